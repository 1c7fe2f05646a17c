"""A data set: its splits, read when they are asked for, as sentences, labelled texts or lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from seqkit.corpora.cards import Card
from seqkit.errors import DataError
from seqkit.formats.arrays import attach_arrays
from seqkit.formats.jsonl import first_object_has
from seqkit.formats.registry import Splitter, detect_format, is_pipe, read_sentences, read_texts
from seqkit.formats.text import read_lines
from seqkit.records import Sentence

__all__ = ["Dataset", "Split"]

_LINE_BREAK = re.compile(r"\r\n?|\n")


@dataclass(slots=True)
class Split:
    """One split: a file still to be read, or sentences already here.

    Args:
        file: the file, or None where the sentences did not come from one.
        format: its format; None lets the reader find out.
        content: sentences already here.
    """

    file: Path | None = None
    format: str | None = None
    content: list[Sentence] | None = None


@dataclass(slots=True)
class Dataset:
    """The splits of a data set, read when asked for.

    Args:
        name: what the user called it.
        splits: ``train``, ``dev``, ``test`` → the split; a lone file is ``all``.
        card: the data set's card, where it has one.
        notes: what the user should be told; what was held out is added when it is first read.
    """

    name: str
    splits: dict[str, Split]
    card: Card | None = None
    notes: list[str] = field(default_factory=list)
    _held_out: dict[str, tuple[object, int, list[Sentence]]] = field(default_factory=dict, repr=False)
    _labelled: dict[str, bool] = field(default_factory=dict, repr=False)
    _totals: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def target(self) -> str:
        """The label column that a tagger learns by default: the card's, or ``""`` (the last one)."""
        return self.card.target if self.card is not None else ""

    @property
    def scheme(self) -> str:
        """The card's label scheme, or ``auto``."""
        return self.card.scheme if self.card is not None else "auto"

    @property
    def _columns(self) -> Sequence[str] | None:
        """The names of the card's columns, if it has any."""
        return self.card.columns if self.card is not None and self.card.columns else None

    @property
    def held_out(self) -> bool:
        """Whether dev is the last tenth of train (or of a lone file)."""
        return "dev" not in self.splits and ("train" in self.splits or "all" in self.splits)

    def has(self, split: str) -> bool:
        """Whether `sentences` can answer for a split.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.

        Returns:
            True where there are sentences for it, held out of train or not.
        """
        return split in self.splits or (split == "train" and "all" in self.splits) or (split == "dev" and self.held_out)

    @property
    def has_tokens(self) -> bool:
        """Whether the text comes as words already, so that the spaces in its lines stand between words."""
        if self.card is not None:
            return self.card.format in ("tokens", "conll")
        split = next(iter(self.splits.values()))
        return split.file is not None and (split.format or detect_format(split.file)) in ("tokens", "conll")

    def label_field(self, target: str | None = None, format: str | None = None) -> str | None:
        """Whether this is a data set of labelled texts, and where their labels are.

        Args:
            target: the field of the label; by default the card's, or ``label``.
            format: the format of the first file; by default what is found out.

        Returns:
            The field; None for sentences whose tokens have labels, or that have none.

        Raises:
            DataError: a file cannot be read.
        """
        label = target or self.target or "label"
        if label not in self._labelled:
            self._labelled[label] = self._has_labels(label, format)
        return label if self._labelled[label] else None

    def _has_labels(self, label: str, format: str | None) -> bool:
        if self.card is not None:
            return self.card.task == "classify"
        split = next(iter(self.splits.values()))
        if split.content is not None:
            return any(label in sentence.fields for sentence in split.content[:1])
        assert split.file is not None
        if is_pipe(split.file):  # what is looked at would be lost to its reader
            return False
        format = format or split.format or detect_format(split.file)
        if format == "jsonl":
            return first_object_has(read_lines(split.file), label)
        return format in ("tsv", "csv")

    def evaluation_split(self, asked: str | None = None) -> str:
        """Which split to evaluate on.

        Args:
            asked: what the user asked for; None means test, or dev where there is no test.

        Returns:
            The split's name; a lone file is evaluated as a whole (``all``) unless dev or train was asked for.

        Raises:
            DataError: there is no such split.
        """
        if "all" in self.splits and asked in (None, "test"):
            return "all"
        if asked is None:
            return "test" if self.has("test") else "dev"
        if not self.has(asked):
            found = ", ".join([name for name in ("train", "dev", "test") if self.has(name)])
            raise DataError(f"expected a {asked} split in {self.name}, found {found or 'none'}")
        return asked

    def sentences(self, split: str, splitter: Splitter | None = None) -> list[Sentence]:
        """Read one split.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
            splitter: text → token offsets, for formats that hold plain text.

        Returns:
            The sentences, in the file's order. Where dev is held out, train is all but its last tenth.

        Raises:
            DataError: there is no such split, it cannot be read, train is empty, or train has too few sentences for
                a dev split to be held out.
        """
        return self._split(split, splitter, lambda name: self._load(name, splitter))

    def texts(
        self, split: str, splitter: Splitter | None = None, *, text: str = "text", label: str | None = "label"
    ) -> list[Sentence]:
        """Read one split of texts that have labels or other fields.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
            splitter: text → token offsets.
            text: the field of the text.
            label: the field of the label; None where a text needs none.

        Returns:
            One sentence a text, in the file's order, with its `fields`; see `seqkit.formats.registry.read_texts`. Where
            dev is held out, train is all but its last tenth.

        Raises:
            DataError: there is no such split, it cannot be read, a field is missing, train is empty, or train has too
                few texts for a dev split to be held out.
        """
        return self._split(split, (splitter, text, label), lambda name: self._load_texts(name, splitter, text, label))

    def _split(self, split: str, key: object, load: Callable[[str], list[Sentence]]) -> list[Sentence]:
        """Load one split, held out or not; the same key stands for the same way of loading."""
        if not self.has(split):
            raise DataError(f"expected a {split} split in {self.name}, found {', '.join(self.splits)}")
        source = "all" if "all" in self.splits else "train"
        if split in self.splits and not (split == "train" and self.held_out):
            return load(split)
        kept = self._held_out.get(source)
        if split == "dev" and kept is not None and kept[0] == key:
            _, total, found = kept
            self._part(split, source, total, "sentences")
            return found
        whole = load(source)
        _, cut = self._part("train", source, len(whole), "sentences")
        # Dev is asked for after train: it is kept, but not the nine tenths that become arrays.
        self._held_out[source] = key, len(whole), whole[cut:]
        return whole[slice(*self._part(split, source, len(whole), "sentences"))]

    def forget_train(self) -> None:
        """Let go of training sentences that came from no file, once they have become arrays; dev stays what it is."""
        source = "all" if "all" in self.splits else "train"
        content = self.splits[source].content if source in self.splits else None
        if content is None:
            return
        if self.held_out:
            _, cut = self._part("train", source, len(content), "sentences")
            self.splits["dev"] = Split(content=content[cut:])
        del self.splits[source]
        self.splits["train"] = Split(content=[])
        self._held_out.clear()

    def lines(self, split: str) -> Iterator[str]:
        """Read one split as raw text, one line at a time.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.

        Yields:
            Of files of plain text every line as it stands, also an empty one; of other formats the text of every
            sentence, one that has line breaks as several lines. Where dev is held out, train is all but its last tenth.

        Raises:
            DataError: there is no such split, it cannot be read, or train has too few lines for a dev split to be held
                out.
        """
        if not self.has(split):
            raise DataError(f"expected a {split} split in {self.name}, found {', '.join(self.splits)}")
        if split in self.splits and not (split == "train" and self.held_out):
            yield from self._lines(split)
            return
        source = "all" if "all" in self.splits else "train"
        total = self._totals.get(source)
        if total is None:  # read once more than needed, but never held in memory
            total = self._totals[source] = sum(1 for _ in self._lines(source))
        yield from islice(self._lines(source), *self._part(split, source, total, "lines"))

    def _part(self, split: str, source: str, total: int, items: str) -> tuple[int, int]:
        """Where train, or dev that is held out of it, begins and ends among so many items."""
        cut = total - max(1, total // 10) if total > 1 else total
        if split == "train":
            return 0, cut
        if cut == total:
            file = self.splits[source].file or self.name
            found = f"found {total}"
            raise DataError(f"expected at least 2 {items}, of which one is held out as dev, {found}", file=file)
        share = f"{total - cut:,} of {total:,} {items}"
        note = f"{self.name} has no dev split: the last tenth of train ({share}) is held out"
        if note not in self.notes:
            self.notes.append(note)
        return cut, total

    def _lines(self, name: str) -> Iterator[str]:
        split = self.splits[name]
        if split.content is not None:
            return _lines_of(split.content)
        assert split.file is not None
        format = detect_format(split.file) if split.format is None else split.format
        if format in ("text", "tokens"):
            return (text for _, text in read_lines(split.file))
        if "conll" in format:
            return _lines_of(read_sentences(split.file, format, columns=self._columns))
        return _lines_of(read_texts(split.file, format, label=None))

    def _load(self, name: str, splitter: Splitter | None) -> list[Sentence]:
        split = self.splits[name]
        if split.content is not None:
            found = split.content
        else:
            assert split.file is not None
            found = list(read_sentences(split.file, split.format, columns=self._columns, splitter=splitter))
        self._refuse_empty(name, found)
        return found

    def _load_texts(self, name: str, splitter: Splitter | None, text: str, label: str | None) -> list[Sentence]:
        split = self.splits[name]
        if split.content is not None:
            found = [_given_text(sentence, splitter, text, label) for sentence in split.content]
        else:
            assert split.file is not None
            found = list(read_texts(split.file, split.format, text=text, label=label, splitter=splitter))
            if label is None:
                attach_arrays(found, split.file)
        self._refuse_empty(name, found)
        return found

    def _refuse_empty(self, name: str, found: Sequence[Sentence]) -> None:
        # Lines without a token are kept everywhere but teach nothing, so they alone make no training data.
        if name in ("train", "all") and not any(sentence.tokens for sentence in found):
            raise DataError("expected at least one sentence, found none", file=self.splits[name].file or self.name)


def _lines_of(sentences: Iterable[Sentence]) -> Iterator[str]:
    """The lines of each sentence's text: JSON and quoted cells can hold several, also with a break after the last."""
    for sentence in sentences:
        lines = _LINE_BREAK.split(sentence.text)
        yield from lines[:-1] if len(lines) > 1 and not lines[-1] else lines


def _given_text(sentence: Sentence, splitter: Splitter | None, text: str, label: str | None) -> Sentence:
    """A text that came from no file, cut into tokens unless it was given as tokens."""
    if label is not None and label not in sentence.fields:
        found = ", ".join(map(repr, sentence.fields)) or "none"
        raise DataError(f"expected a field {label!r}, found {found}", file=sentence.file, line=sentence.line or None)
    whole = sentence.fields.get(text)
    if not isinstance(whole, str):
        if sentence.tokens:
            return sentence
        whole = sentence.text
    if not whole or splitter is None:
        return sentence
    offsets = splitter(whole)
    return replace(sentence, text=whole, tokens=[whole[start:end] for start, end in offsets], offsets=offsets)
