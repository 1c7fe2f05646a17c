"""Records: what goes into a model and what comes out of it; each knows its JSON."""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, count
from operator import add, sub
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, overload

from seqkit.errors import DataError, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABEL_SEPARATOR = "|"
"""stands between the labels of a text that has several, where a file has one string for all of them"""

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")
"""control characters (tabs and line breaks among them) and separators of lines"""

SplitFunction = Callable[[str], Sequence[tuple[int, int]]]
"""Text → start and end of each token, in characters."""


class _SpacedOffsets(Sequence[tuple[int, int]]):
    """Offsets of tokens that are joined by single spaces, computed when they are asked for: most never are, and a pair
    a token takes more memory than the tokens do, and much of the garbage collector's time."""  # noqa: D205, D209

    __slots__ = ("_made", "_tokens")

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._made: list[tuple[int, int]] | None = None

    def _pairs(self) -> list[tuple[int, int]]:
        if self._made is None:
            sizes = list(map(len, self._tokens))
            ends = list(map(add, accumulate(sizes), count()))  # as many spaces before a token as tokens
            self._made = list(zip(map(sub, ends, sizes), ends, strict=True))
        return self._made

    def __len__(self) -> int:
        return len(self._tokens)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, int]]: ...

    def __getitem__(self, index: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        return self._pairs()[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._pairs())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._pairs() == list(other)

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __repr__(self) -> str:
        return repr(self._pairs())


@dataclass(slots=True)
class ConlluRows:
    """What a CoNLL-U sentence has beside its tokens, kept for writing it back.

    Args:
        comments: comment lines without the leading ``#``.
        other_rows: rows that are not tokens (multiword ranges, empty nodes), each with the index of the token that
            follows it.
    """

    comments: list[str] = field(default_factory=list)
    other_rows: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Document:
    """The document that sentences were cut out of.

    Args:
        text: its text.
    """

    text: str


@dataclass(slots=True)
class Sentence:
    """One sentence; ``text[start:end] == token`` for every token and its offsets.

    Args:
        tokens: the words, in order; none for an empty line.
        text: the original string.
        offsets: start and end of each token in `text`, in characters (code points).
        columns: name → one string per token. Column files without a card name theirs ``"0"``, ``"1"``, ….
        file: where the sentence came from, for messages.
        line: the line of its first token, counted from 1; 0 when it came from no file.
        fields: the other fields of its row or JSON object, by name: a label, a title, a vector.
        conllu: the comments and other rows of a sentence from a CoNLL-U file.
        document: the document it was cut out of, if there was one.
        start: where it starts in that document, in characters.
    """

    tokens: list[str]
    text: str
    offsets: Sequence[tuple[int, int]]
    columns: dict[str, list[str]] = field(default_factory=dict)
    file: str = ""
    line: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    conllu: ConlluRows | None = None
    document: Document | None = None
    start: int = 0

    @classmethod
    def from_tokens(
        cls,
        tokens: Sequence[str],
        columns: dict[str, list[str]] | None = None,
        *,
        space_after: Sequence[bool] | None = None,
        file: str = "",
        line: int = 0,
    ) -> Sentence:
        """Build a sentence whose text is its tokens joined by spaces (or not, where `space_after` says so).

        Args:
            tokens: the words, in order.
            columns: label columns, each as long as `tokens`.
            space_after: whether a space follows each token; by default one always does.
            file: where the sentence came from.
            line: the line of its first token.

        Returns:
            The sentence, offsets computed.
        """
        if space_after is None:
            kept = list(tokens)
            return cls(kept, " ".join(kept), _SpacedOffsets(kept), columns or {}, file=file, line=line)
        offsets: list[tuple[int, int]] = []
        position = 0
        pieces: list[str] = []
        for index, (token, spaced) in enumerate(zip(tokens, space_after, strict=True)):
            end = position + len(token)
            offsets.append((position, end))
            pieces.append(token)
            position = end
            if spaced and index + 1 < len(tokens):
                pieces.append(" ")
                position += 1
        return cls(list(tokens), "".join(pieces), offsets, columns or {}, file=file, line=line)

    def column(self, target: str) -> list[str]:
        """The labels of one column.

        Args:
            target: see `column_name`.

        Returns:
            One label per token.

        Raises:
            DataError: there is no such column, it has the tokens, or a label has a control character.
        """
        labels = self.columns[self.column_name(target)]
        if fault := control_fault(labels):
            raise DataError(fault, file=self.file, line=self.line)
        return labels

    def column_name(self, target: str) -> str:
        """Which column is meant.

        Args:
            target: a column's name, in other letters too if no other has it so, or its position counted from 0
                (negative from the end). The empty string is ``upos`` where there is one, as in CoNLL-U, and the last
                one elsewhere, that of the tokens not counted.

        Returns:
            Its name.

        Raises:
            DataError: there is no such column, or it has the tokens.
        """
        if self.columns.get(target, self.tokens) is not self.tokens:
            return target
        names, hint = list(self.columns), ""
        labels = [name for name, column in self.columns.items() if column is not self.tokens]
        alike = [name for name in names if name.lower() == target.lower()]
        found = target if target in self.columns else alike[0] if len(alike) == 1 else None
        if not target and labels:  # the last one of CoNLL-U, misc, is nothing to learn
            return "upos" if "upos" in labels else next((name for name in labels[::-1] if name != "misc"), labels[-1])
        if found is None and target:
            try:
                found = names[int(target)]
            except IndexError:
                pass
            except ValueError:
                if names and all(name.isdigit() for name in names):
                    hint = "; they have no names, so give a number (--target -1 is the last one)"
        if found is None:
            wanted = f"a label column {target!r}" if target else "a label column"
            hint = hint if names else "; if it has labels, name its --format"
            message = f"expected {wanted}, found columns: {', '.join(names) or 'none'}{hint}"
            raise DataError(message, file=self.file, line=self.line)
        if found not in labels:
            which = found if found.isdigit() else repr(found)
            told = "--target another column, or --token-column says where the tokens are"
            raise DataError(f"column {which} holds the tokens; {told}", file=self.file, line=self.line)
        return found

    def is_aligned(self) -> bool:
        """Whether ``text[start:end] == token`` for every token and its offsets, as there are as many."""
        try:
            if isinstance(self.offsets, _SpacedOffsets):  # which need not be computed for it
                return self.text == " ".join(self.tokens) and len(self.tokens) == len(self.offsets)
            placed = zip(self.tokens, self.offsets, strict=True)
            found = all(0 <= start <= end and self.text[start:end] == token for token, (start, end) in placed)
            return found and isinstance(self.text, str)
        except (TypeError, ValueError):  # other objects than tokens and offsets, or fewer of the one
            return False

    def given(self) -> dict[str, Any]:
        """What a prediction says of the input: its text."""
        return {"text": self.text}

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self.tokens)


@lru_cache(maxsize=4096)  # a few labels, looked at for every record
def _has_control(label: str) -> bool:
    return _CONTROL.search(label) is not None


def control_fault(labels: Iterable[str]) -> str:
    r"""What is wrong with labels that have control characters, such as tabs and line breaks, or ESC.

    Rows of predictions, tables of scores and terminals could not hold them as they are.

    Args:
        labels: the labels.

    Returns:
        What is wrong with the first such label; empty if there is none.

    Examples:
        >>> control_fault(["O", "B-PER"])
        ''
        >>> control_fault(["a\tb"])
        "the label 'a\\tb' has a control character; replace it"
    """
    found = next((label for label in {*labels} if _has_control(label)), None)
    return "" if found is None else f"the label {shown(found)} has a control character; replace it"


@dataclass(slots=True)
class TextPair(Sentence):
    """Two texts as one record: what a sentence has is of both, `text` with a tab between them.

    Args:
        border: how many of the tokens are those of the first text.
        middle: where the tab stands in `text`.
        names: the fields of the two.
    """

    border: int = 0
    middle: int = 0
    names: tuple[str, str] = ("sentence1", "sentence2")

    @classmethod
    def of(cls, first: Sentence, second: Sentence, names: tuple[str, str]) -> TextPair:
        """Make a pair.

        Args:
            first: the first text.
            second: the second one.
            names: the fields of the two.

        Returns:
            The pair, without fields.
        """
        middle, after = len(first.text), len(first.text) + 1
        offsets = [*first.offsets, *((start + after, end + after) for start, end in second.offsets)]
        text = f"{first.text}\t{second.text}"
        return cls([*first.tokens, *second.tokens], text, offsets, border=len(first), middle=middle, names=names)

    @property
    def sides(self) -> tuple[list[str], list[str]]:
        """The tokens of the first text, and those of the second."""
        return self.tokens[: self.border], self.tokens[self.border :]

    @property
    def texts(self) -> tuple[str, str]:
        """The first text, and the second."""
        return self.text[: self.middle], self.text[self.middle + 1 :]

    def given(self) -> dict[str, Any]:
        """What a prediction says of the input: both texts under the names of their fields."""
        return dict(zip(self.names, self.texts, strict=True))


@dataclass(slots=True)
class TextRecord:
    """A text that is not cut into tokens, with the other fields of its row.

    Args:
        text: the text.
        fields: the fields of its row or JSON object, by name.
        file: where it came from, for messages.
        line: the line it starts at, counted from 1; 0 when it came from no file.
    """

    text: str
    fields: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    line: int = 0
    tokens: ClassVar[Sequence[str]] = ()

    def given(self) -> dict[str, Any]:
        """What a prediction says of the input: its text."""
        return {"text": self.text}

    def __len__(self) -> int:
        """The number of tokens: none, as it is not cut into any."""
        return 0

    def __bool__(self) -> bool:
        return True

    def cut(self, split: SplitFunction) -> Sentence:
        """Cut the text into tokens.

        Args:
            split: text → start and end of each token.

        Returns:
            A sentence with the same text and fields.
        """
        offsets = split(self.text)
        tokens = [self.text[start:end] for start, end in offsets]
        return Sentence(tokens, self.text, offsets, file=self.file, line=self.line, fields=self.fields)


class VectorSource(Protocol):
    """Where the vectors of a sequence lie."""

    @property
    def shape(self) -> tuple[int, int]:
        """N frames of F features, known before the numbers are read."""

    def read(self) -> NDArray[np.float32]:
        """The vectors, [N, F]."""


@dataclass(slots=True, eq=False)
class FrameRecord:
    """A sequence of vectors, read when it is needed: speech, gestures, sensors, keys of a piano.

    Args:
        source: where the vectors lie, or a recording that they are made from, a `seqkit.formats.audio.AudioFile`.
        key: the field that named it: ``frames``, ``audio`` or another one.
        name: what it was called there, such as ``a.npy``; empty for numbers that stood there themselves.
        fields: the other fields of its row: a label, a text, a speaker.
        file: where its row came from, for messages.
        line: the line of its row, counted from 1; 0 when it came from no file.
        segment: the fields of its row that say what part of the recording or array it is, such as ``start`` and
            ``end``; empty where it is all.
        vectors: the vectors, where they have been read or made already, [N, F].
        frames: N, where it is known; of what a model makes frames of, as the one counted that read it last, and no
            other one relies on.
    """

    source: Any
    key: str = "frames"
    name: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    line: int = 0
    segment: dict[str, Any] = field(default_factory=dict)
    vectors: NDArray[np.float32] | None = None
    frames: int = 0
    tokens: ClassVar[Sequence[str]] = ()

    @property
    def text(self) -> str:
        """What messages call it: its name and segment, or which one it is."""
        return " ".join([self.name or f"sequence {self.line}", *(f"{name} {at}" for name, at in self.segment.items())])

    def given(self) -> dict[str, Any]:
        """What a prediction says of the input: its name under its key, None for one that has none, and its segment."""
        return {self.key: self.name or None, **self.segment}

    def __len__(self) -> int:
        """The number of its frames, as far as it is known."""
        return self.frames

    def __bool__(self) -> bool:
        return True

    def fault(self, message: str) -> DataError:
        """What is wrong with it, as an error that names it."""
        name = self._name_in_file
        return DataError(f"{shown(name)}: {message}" if name else message, file=self.file, line=self.line)

    @property
    def _name_in_file(self) -> str:
        """Its name without what its file says already, as that of a sequence that is a file or lies in one does."""
        ends = [len(self.name), *(place for place, char in enumerate(self.name[:1000]) if char == "#")]
        for end in ends[:10]:
            whole = self.name[:end]
            if whole and (self.file == whole or self.file.endswith(os.sep + whole)):
                return self.name[end + 1 :]
        return self.name

    def shorten(self, folder: str | os.PathLike[str]) -> None:
        """Call it, if its file is in a folder, by the path below that.

        Args:
            folder: the folder; empty for none.
        """
        within = os.path.join(folder, "") if folder else ""
        if within and self.name.startswith(within) and self.file.startswith(within):
            self.name = self.name.removeprefix(within)

    def fault_of(self, error: DataError) -> DataError:
        """What is wrong with the file that it lies in, as an error that names it."""
        if error.file is not None and str(error.file) == self.file:
            return error
        return self.fault(f"line {error.line}: {error.reason}" if error.line else error.reason)


def refuse_one(given: object, what: str) -> None:
    """See that an object is several records, not a single one, whose characters or keys would be taken for records.

    Args:
        given: the object.
        what: what messages call the records.

    Raises:
        DataError: it is a single record, or nothing that has records.
    """
    several = hasattr(given, "__iter__") or hasattr(given, "__getitem__")
    is_scalar = getattr(given, "ndim", None) == 0  # an array without dimensions has the methods, too
    if isinstance(given, str | bytes | Mapping) or is_scalar or not several:
        raise DataError(f"{what} must be a list or another iterable of records, found {shown(given)}")


def align(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Find tokens in the text that they were cut from.

    Args:
        tokens: the words, in order, none of them empty.
        text: the original string.

    Returns:
        Start and end of each token in `text`, in characters; or None where the tokens do not stand one after another
        with nothing but white space before, between and after them.
    """
    offsets: list[tuple[int, int]] = []
    position = 0
    for token in tokens:
        start = position
        while not text.startswith(token, start):
            if start >= len(text) or not text[start].isspace():
                return None
            start += 1
        position = start + len(token)
        offsets.append((start, position))
    return offsets if not text[position:].strip() else None


def labels_of_text(sentence: Sentence | TextRecord | FrameRecord, field: str, multi: bool = False) -> list[str]:
    """The labels that a text has in its file.

    Args:
        sentence: the text, with its fields.
        field: the field of the label.
        multi: whether there may be several, or none: a list, or one string with `LABEL_SEPARATOR` between them.

    Returns:
        The labels, each once; exactly one unless there may be several.

    Raises:
        DataError: there is no such field, it holds no strings, a label is empty or has a control character, or there
            are several where one is expected.
    """
    file, line = sentence.file, sentence.line
    if field not in sentence.fields:
        found = ", ".join(map(repr, sentence.fields)) or "none"
        other = next((name for name in sentence.fields if name.casefold() == field.casefold()), "")
        hint = f"; --label {other} names this one" if other else ""
        raise DataError(f"expected a field {field!r}, found {found}{hint}", file=file, line=line)
    value = sentence.fields[field]
    if isinstance(sentence, FrameRecord) and isinstance(value, int | float) and value == value:
        value = json.dumps(value)
    if isinstance(value, str):
        labels = [part.strip() for part in value.split(LABEL_SEPARATOR)] if multi else [value]
        if multi and not value.strip():
            labels = []
    elif isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        labels = list(value)
    else:
        found = " ".join(repr(value).split())[:40]
        expected = f"expected a string or a list of strings in field {field!r}"
        raise DataError(f"{expected}, found {found}", file=file, line=line)
    if "" in labels:
        raise DataError(f"expected a label in field {field!r}, found an empty one", file=file, line=line)
    if fault := control_fault(labels):
        raise DataError(fault, file=file, line=line)
    if not multi and len(labels) != 1:
        found = f"{len(labels)} ({', '.join(labels)}); --multi-label learns several" if labels else "none"
        raise DataError(f"expected one label in field {field!r}, found {found}", file=file, line=line)
    return list(dict.fromkeys(labels))


# --- predictions --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class TaggedSpan:
    """One labelled span; ``sentence.text[start:end] == text``.

    Args:
        start: its first character in the sentence's text.
        end: one past its last character.
        label: its kind, without a prefix.
        text: what it covers.
        first_token: its first token's index.
        last_token: one past its last token's index.
        prob: the probability of exactly this span with this label, where it was asked for.
    """

    start: int
    end: int
    label: str
    text: str
    first_token: int
    last_token: int
    prob: float | None = None


@dataclass(slots=True)
class TaggedSentence:
    """A sentence with one predicted label per token.

    Args:
        sentence: the input, as it was read.
        labels: one label per token.
        probs: the probability of each token's label, where it was asked for.
        spans: the spans that the labels mark; none for labels that mark no spans.
        alternatives: the n best label sequences, the best first, each with its probability, where they were asked for.
        marks_spans: whether labels such as these mark spans: a sentence of ``O`` alone does not show it.
        sentences: first and past-the-last token of each sentence of a document; None for a single sentence.
        scores: of alternatives that a language model helped to choose: what each is judged by, and ln p of it under the
            language model.
    """

    sentence: Sentence
    labels: list[str]
    probs: list[float] | None = None
    spans: list[TaggedSpan] = field(default_factory=list)
    alternatives: list[tuple[list[str], float]] | None = None
    marks_spans: bool = False
    sentences: list[tuple[int, int]] | None = None
    scores: list[tuple[float, float]] | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: ``text``, ``tokens`` and ``spans`` with character offsets into the text.

        N-best predictions stand under ``nbest``, each an object with ``labels`` and ``prob``, and ``score`` and
        ``lm_log_prob`` where a language model helped to choose; the sentences of a document under ``sentences``.
        """
        sentence = self.sentence
        tokens: list[dict[str, Any]] = [
            {"text": token, "start": start, "end": end, "label": label}
            for token, (start, end), label in zip(sentence.tokens, sentence.offsets, self.labels, strict=True)
        ]
        for token, prob in zip(tokens, self.probs or (), strict=False):
            token["prob"] = round(float(prob), 6)
        spans: list[dict[str, Any]] = []
        for span in self.spans:
            spans.append({"start": span.start, "end": span.end, "label": span.label, "text": span.text})
            if span.prob is not None:
                spans[-1]["prob"] = round(float(span.prob), 6)
        found: dict[str, Any] = {"text": sentence.text, "tokens": tokens, "spans": spans}
        if self.sentences is not None:
            places = [(sentence.offsets[first][0], sentence.offsets[last - 1][1]) for first, last in self.sentences]
            found["sentences"] = [{"start": start, "end": end} for start, end in places]
        if self.alternatives is not None:
            found["nbest"] = [{"labels": labels, "prob": round(float(prob), 6)} for labels, prob in self.alternatives]
            for each, (score, lm) in zip(found["nbest"], self.scores or (), strict=False):
                each |= {"score": score, "lm_log_prob": lm}
        return found


@dataclass(slots=True)
class TaggedRun:
    """Consecutive frames with one label.

    Args:
        start: the first frame.
        end: one past the last frame.
        label: their label, of spans without a prefix.
        prob: the mean of the marginal probabilities of the label over the frames, where it was asked for.
    """

    start: int
    end: int
    label: str
    prob: float | None = None

    def to_json(self, times: tuple[float, float] | None, unit: str) -> dict[str, Any]:
        """The run as a JSON object, in the form in which training reads it.

        Args:
            times: start and end in seconds; None where they are not known.
            unit: what ``start`` and ``end`` are, as far as they are known.

        Returns:
            An object with ``start``, ``end``, ``label``, the others of frames and seconds, and perhaps ``prob``.
        """
        frames = {"start": self.start, "end": self.end}
        found: dict[str, Any] = {**frames, "label": self.label}
        if times is not None:
            seconds = dict(zip(frames, (round(time, 6) for time in times), strict=True))
            first, then, name = (seconds, frames, "frame") if unit == "seconds" else (frames, seconds, "second")
            found |= {**first, **{f"{key}_{name}": value for key, value in then.items()}}
        if self.prob is not None:
            found["prob"] = round(float(self.prob), 6)
        return found


@dataclass(slots=True)
class TaggedFrames:
    """A sequence of vectors with one predicted label per frame.

    Args:
        sentence: the input, as it was read.
        labels: one label per frame.
        runs: the runs that the labels make, without those of the label of what is outside of runs.
        probs: the probability of each frame's label, its marginal, where it was asked for.
        seconds: a frame's number → when it begins, in seconds, of N frames also the end, N; None where that is not
            known.
        unit: what ``start`` and ``end`` are in JSON, the one that the labels in training had.
        target: the field of the labels in training.
    """

    sentence: FrameRecord
    labels: list[str]
    runs: list[TaggedRun] = field(default_factory=list)
    probs: list[float] | None = None
    seconds: Callable[[int], float] | None = None
    unit: str = "frames"
    target: str = "labels"

    def times(self) -> list[tuple[float, float]]:
        """Start and end of each run in seconds.

        Returns:
            A pair for each run.

        Raises:
            DataError: it is not known when frames are.
        """
        if self.seconds is None:
            told = "it is not known how many frames a second the arrays have, so runs have no times in seconds"
            raise self.sentence.fault(f"{told}; --frame-rate N says it")
        return [(self.seconds(run.start), self.seconds(run.end)) for run in self.runs]

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: the input's name, and the runs in the form in which training reads them.

        Each run has ``start``, ``end`` and ``label``; the numbers are seconds or frames, as ``unit`` says. Where the
        other ones are known, they follow as ``start_frame`` and ``end_frame``, or ``start_second`` and ``end_second``.
        """
        times = self.times() if self.seconds is not None else None
        runs = [run.to_json(times[number] if times else None, self.unit) for number, run in enumerate(self.runs)]
        unit = self.unit if times is not None else "frames"
        return {**self.sentence.given(), self.target: runs, "unit": unit}


def whole_documents(records: Iterable[Any]) -> Iterator[Any]:
    """Predictions of sentences that were cut out of documents → predictions of the documents.

    Args:
        records: predictions, in order; those of sentences that are no part of a document are passed on as they are.

    Yields:
        The predictions, one a document, whose offsets index its text.
    """
    waiting: list[TaggedSentence] = []
    for record in records:
        document = record.sentence.document if isinstance(record, TaggedSentence) else None
        if waiting and document is not waiting[0].sentence.document:
            yield _joined(waiting)
            waiting = []
        if document is None:
            yield record
        else:
            waiting.append(record)
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[TaggedSentence]) -> TaggedSentence:
    first = parts[0].sentence
    assert first.document is not None
    if any(part.alternatives is not None for part in parts):
        raise DataError("n-best predictions are those of single sentences, not of documents", file=first.file)
    whole = Sentence([], first.document.text, [], file=first.file, line=first.line)
    offsets: list[tuple[int, int]] = []
    found = TaggedSentence(whole, [], None if parts[0].probs is None else [], marks_spans=parts[0].marks_spans)
    found.sentences = []
    for part in parts:
        before, shift = len(offsets), part.sentence.start
        offsets += [(start + shift, end + shift) for start, end in part.sentence.offsets]
        whole.tokens += part.sentence.tokens
        found.labels += part.labels
        if found.probs is not None:
            found.probs += part.probs or []
        found.spans += [
            replace(
                span,
                start=span.start + shift,
                end=span.end + shift,
                text=whole.text[span.start + shift : span.end + shift],
                first_token=span.first_token + before,
                last_token=span.last_token + before,
            )
            for span in part.spans
        ]
        if len(offsets) > before:
            found.sentences.append((before, len(offsets)))
    whole.offsets = offsets
    return found


@dataclass(slots=True)
class ClassifiedText:
    """A text with its predicted label, or labels.

    Args:
        sentence: the input, as it was read.
        labels: the predicted labels, the most probable first; exactly one unless a text may have several.
        probs: label → probability, the most probable first: all labels, or of very many the most probable ones.
        multi: whether a text may have several labels: then the probabilities do not sum to 1.
        top: write only so many of the most probable labels.
        left_out: how many labels have no probability here.
        rest: the probability of all of these together, where candidates are ranked; 0 otherwise.
    """

    sentence: Sentence | FrameRecord
    labels: list[str]
    probs: dict[str, float]
    multi: bool = False
    top: int | None = None
    left_out: int = 0
    rest: float = 0.0

    @property
    def label(self) -> str:
        """The label; of several all of them, joined by `LABEL_SEPARATOR`."""
        return LABEL_SEPARATOR.join(self.labels)

    @property
    def shortened(self) -> bool:
        """Whether `to_json` has fewer labels than there are, though no number of them was asked for."""
        return self.left_out > 0 and self.top is None

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: ``text``, ``label`` (a list where a text may have several) and ``probs``.

        Of how many labels the probability is left out stands under ``probs_left_out``, unless the number was asked for.
        """
        probs = {label: round(prob, 6) for label, prob in list(self.probs.items())[: self.top]}
        label = self.labels if self.multi else self.label
        left_out = {"probs_left_out": self.left_out} if self.shortened else {}
        return {**self.sentence.given(), "label": label, "probs": probs, **left_out}

    def to_cells(self) -> tuple[str, ...]:
        """The record as the cells of a row: labels and probabilities, several with `LABEL_SEPARATOR` between them."""
        labels = self.labels if self.top is None else list(self.probs)[: self.top]
        return LABEL_SEPARATOR.join(labels), LABEL_SEPARATOR.join(f"{self.probs[each]:.4f}" for each in labels)


@dataclass(slots=True)
class RatedText:
    """A text with the number that was predicted for it.

    Args:
        sentence: the input, as it was read.
        value: the number.
    """

    sentence: Sentence | FrameRecord
    value: float

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: ``text`` and ``value``."""
        return {**self.sentence.given(), "value": self.value}

    def to_cells(self) -> tuple[str, ...]:
        """The record as the cells of a row: the number."""
        return (number_text(self.value),)


def number_text(value: float) -> str:
    """A predicted number in text.

    Args:
        value: the number.

    Returns:
        Six significant digits, and of large numbers four decimals.
    """
    return f"{value:.6g}" if abs(value) < 100 else f"{value:.4f}"


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A line and how likely a model finds it.

    Args:
        text: the line.
        log_prob: ln p of its units, the end of the line included, in nats.
        units: how many units that are.
        unknown: how many of them the model does not know, and so finds as likely as it finds unknown units as a whole;
            the figures of a line that has some are not comparable with those of one that has none.
    """

    text: str
    log_prob: float
    units: int
    unknown: int = 0

    @property
    def perplexity(self) -> float:
        """exp(−log_prob / units); infinite where that is too large a number."""
        try:
            return math.exp(-self.log_prob / max(1, self.units))
        except OverflowError:
            return math.inf

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: ``text``, ``log_prob``, ``units``, ``unknown``, ``perplexity``."""
        return {**asdict(self), "perplexity": self.perplexity}

    def to_cells(self) -> tuple[str, ...]:
        """The record as the cells of a row: log-probability, units, perplexity."""
        return f"{self.log_prob:.4f}", str(self.units), f"{self.perplexity:.4f}"


@dataclass(frozen=True, slots=True)
class ScoredFrames:
    """A sequence of frames and how likely a model finds it.

    Args:
        sentence: the sequence, as it was read.
        log_prob: ln p of its frames, in nats.
        units: how many frames that are.
    """

    sentence: FrameRecord
    log_prob: float
    units: int

    @property
    def nats_per_frame(self) -> float:
        """The mean loss of a frame."""
        return -self.log_prob / max(1, self.units)

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: the input's name, ``nats_per_frame``, ``log_prob`` and ``units``."""
        scores = {"nats_per_frame": self.nats_per_frame, "log_prob": self.log_prob, "units": self.units}
        return {**self.sentence.given(), **scores}

    def to_cells(self) -> tuple[str, ...]:
        """The record as the cells of a row: nats a frame, log-probability, frames."""
        return f"{self.nats_per_frame:.4f}", f"{self.log_prob:.4f}", str(self.units)


@dataclass(frozen=True, slots=True, eq=False)
class WrittenFrames:
    """A piece that a model wrote.

    Args:
        frames: zeros and ones, its given beginning included, uint8 [N, K].
        prompt: how many frames were given.
        log_prob: ln p of those that were added, in nats; no temperature changes it.
        tempo: quarter notes a minute.
    """

    frames: NDArray[np.uint8]
    prompt: int
    log_prob: float
    tempo: float

    @property
    def nats_per_frame(self) -> float:
        """The mean loss of a frame that was added."""
        return -self.log_prob / max(1, len(self.frames) - self.prompt)

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object, without the frames themselves, which have a file."""
        scores = {"log_prob": self.log_prob, "nats_per_frame": self.nats_per_frame}
        return {"length": len(self.frames), "prompt": self.prompt, **scores, "tempo": self.tempo}


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text that a model wrote.

    Args:
        text: the text, its given beginning included, without the end that closes it.
        log_prob: ln p of what was added, of that end too, in nats; no temperature changes it.
        units: how many units were added, the end included.
        ended: whether the model ended it, and not only the greatest length.
    """

    text: str
    log_prob: float
    units: int
    ended: bool

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: ``text``, ``log_prob``, ``units``, ``ended``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SpokenSymbol:
    """A symbol of a transcription, and when it was said.

    Args:
        symbol: the symbol; of byte pairs what it spells, together with those before it that spell the first bytes of
            its first character.
        start: the first frame of its most probable path.
        end: one past the last.
        posterior: the largest probability that it has in one of these frames; of several together the smallest.
        id: its id, of several together that of the last.
    """

    symbol: str
    start: int
    end: int
    posterior: float
    id: int = field(default=0, compare=False)

    def to_json(self, seconds: Callable[[int], float] | None = None) -> dict[str, Any]:
        """The symbol as a JSON object.

        Args:
            seconds: see `Transcription`; None where times are in frames.

        Returns:
            An object with ``symbol``, ``start``, ``end`` and ``posterior``.
        """
        frames = {"start": self.start, "end": self.end}
        times = frames if seconds is None else {name: round(seconds(frame), 6) for name, frame in frames.items()}
        return {"symbol": self.symbol, **times, "posterior": round(self.posterior, 6)}


@dataclass(slots=True)
class Transcription:
    """A sequence of vectors with the text that was found in it.

    Args:
        sentence: the input, as it was read.
        text: the text.
        symbols: its symbols and when they were said, where that was asked for.
        seconds: see `TaggedFrames`; of the symbols, where these were asked for.
        alternatives: the n best texts, the best first, where they were asked for: each an object with ``text``,
            ``score``, ``log_prob`` and ``lm_log_prob``.
        loss: −ln p of the right text, where that was asked for, in nats.
        tried: the text by each pair of a weight and a bonus of the language model that were to be tried.
        posteriors: the probabilities of the blank and of each of K symbols at every step of the network, where they
            were asked for, float32 [T, K + 1].
    """

    sentence: FrameRecord
    text: str
    symbols: list[SpokenSymbol] | None = None
    seconds: Callable[[int], float] | None = field(default=None, compare=False)
    alternatives: list[dict[str, Any]] | None = None
    loss: float | None = None
    tried: list[str] | None = None
    posteriors: NDArray[np.float32] | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: the input's name under its key, ``text``, and what was asked for.

        The symbols stand under ``symbols``, each an object with ``symbol``, ``start`` and ``end`` in seconds, or in
        frames where it is not known when these are, and ``posterior``; n-best texts under ``nbest``.
        """
        found: dict[str, Any] = {**self.sentence.given(), "text": self.text}
        if self.symbols is not None:
            found["symbols"] = [symbol.to_json(self.seconds) for symbol in self.symbols]
        if self.alternatives is not None:
            found["nbest"] = self.alternatives
        return found


@dataclass(slots=True)
class Translation:
    """A text that was written from another one.

    Args:
        sentence: the input, as it was read.
        text: the text.
        field: the field of the input that was read.
        log_prob: ln p of the text and its end, in nats.
        units: how many units were written, the end included.
        ended: whether the model ended it, and not only the greatest length.
        alternatives: the n best texts, the best first, where they were asked for: each an object with ``text`` and
            ``log_prob``.
        attention: how much each unit looks at each of the source, where that was asked for: an object with ``source``,
            ``target`` and ``weights``, a row for each unit of the target.
        gold: ln p of the right text, its units and how many of these are unknown, where that was asked for.
        unknown: how many units of the source the model does not know.
    """

    sentence: Any
    text: str
    field: str = "text"
    log_prob: float = 0.0
    units: int = 0
    ended: bool = True
    alternatives: list[dict[str, Any]] | None = None
    attention: dict[str, Any] | None = None
    gold: tuple[float, int, int] | None = None
    unknown: int = 0

    @property
    def source(self) -> str:
        """The text that it was written from."""
        found = self.sentence.fields.get(self.field)
        return found if isinstance(found, str) else str(self.sentence.text)

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: ``source``, ``text``, ``log_prob``, ``units``, and what was asked for."""
        given = self.sentence.given() if isinstance(self.sentence, FrameRecord) else {"source": self.source}
        found: dict[str, Any] = {
            **given,
            "text": self.text,
            "log_prob": self.log_prob,
            "units": self.units,
            "ended": self.ended,
        }
        if self.alternatives is not None:
            found["nbest"] = self.alternatives
        if self.attention is not None:
            found["attention"] = self.attention
        return found


def digest(rows: Iterable[Sequence[str]], start: int = 0) -> int:
    """A checksum of strings.

    Args:
        rows: tokens, labels and whatever else.
        start: a checksum of what came before.

    Returns:
        The checksum.
    """
    found = start
    for row in rows:
        found = zlib.crc32("\t".join(row).encode("utf-8", "surrogatepass") + b"\n", found)
    return found
