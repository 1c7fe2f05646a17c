r"""Predictions → text: columns, JSON lines, or brackets in the running text.

All text is valid UTF-8 with ``\n`` as line ending, for any string: lone surrogates (from a wrong decoding) are escaped
in JSON and become U+FFFD elsewhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TextIO

from seqkit.errors import DataError, shown
from seqkit.formats.columns import TEXT, needs_text
from seqkit.formats.intervals import format_audacity, format_textgrid
from seqkit.formats.schemes import spans as read_spans
from seqkit.records import LABEL_SEPARATOR, ClassifiedText, Sentence, TaggedSentence, TextPair
from seqkit.terminal import one_line

_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_UNLIKE_LABELS = re.compile("\ufeff|PAR1|BZh|%PDF-")
"""first bytes by which a file is taken for another kind, see `seqkit.formats.text`"""


def clean(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, by U+FFFD.

    Args:
        text: any string.

    Returns:
        A string of the same length that can be encoded.
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def finite(value: Any) -> Any:
    """A value for JSON, which has no infinite numbers and no NaN, so that null replaces them.

    Args:
        value: anything of JSON's types.

    Returns:
        The same, with None for every number that is not finite.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(each) for name, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def to_json(value: object) -> str:
    """Write one line of JSON, readable in any script.

    A lone surrogate is escaped, so that it is read back as itself; two that happen to be a pair are read back as the
    character that the pair encodes, since JSON cannot distinguish these.

    Args:
        value: anything of JSON's types.

    Returns:
        The line, without its ending.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(finite(value), ensure_ascii=False)
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def rows(columns: Sequence[Sequence[str]]) -> str:
    r"""Write columns as tab-separated rows and a blank line.

    Args:
        columns: equally long columns.

    Returns:
        The lines, each with its ``\n``; only the blank line if there are no rows.
    """
    lines = list(map("\t".join, zip(*columns, strict=True)))
    return "\n".join(lines) + "\n\n" if lines else "\n"


def short_cell(value: object, most: int = 60) -> str:
    """A value as a cell of a table for people: on one line, and only the beginning of a long one.

    Args:
        value: the value.
        most: characters.

    Returns:
        The cell.
    """
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def aligned(table: Sequence[Sequence[str]]) -> str:
    r"""Write a table of texts, for a person, in columns of equal width.

    Args:
        table: rows of cells.

    Returns:
        The lines, each with its ``\n``.
    """
    shown = [list(map(one_line, row)) for row in table]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in shown)


def label_columns(sentence: Sentence) -> dict[str, list[str]]:
    """The columns of a sentence other than that of its tokens, by name."""
    return {name: column for name, column in sentence.columns.items() if column is not sentence.tokens}


def refuse_breaks(
    block: str, tabs: int | None, lines: int, sentence: Sentence, instead: str = "--output-format jsonl"
) -> None:
    """Check that no token has a line break, or a tab between columns.

    Args:
        block: the sentence as it would be written.
        tabs: how many tabs it should have; None if they do not matter.
        lines: how many lines it should have.
        sentence: what was written, for the message.
        instead: what the message recommends.

    Raises:
        DataError: there are more.
    """
    if block.count("\n") != lines or "\r" in block or (tabs is not None and block.count("\t") != tabs):
        message = f"a token contains a tab or line break; use {instead}"
        raise DataError(message, file=sentence.file, line=sentence.line)


def format_conll(record: TaggedSentence) -> str:
    r"""One prediction as rows ``token<TAB>label`` (``<TAB>probability`` if there are any) and a blank line.

    A sentence of a document is such a block, too. N-best predictions are a block each, after a comment,
    ``# nbest = 1 prob = 0.9300``, or ``score`` where a language model helped to choose. Where rows might be read as
    something else than tokens, such as ``-DOCSTART-`` or ``#``, the comment ``# text = …`` before them says that they
    are.

    Args:
        record: the prediction; a sentence without tokens is only the blank line.

    Returns:
        The lines, each with its ``\n``.

    Raises:
        DataError: a token is empty or contains a tab or line break, or a label has a space at its end.
    """
    tokens, probs = record.sentence.tokens, record.probs
    if "" in tokens:
        raise DataError("empty token; use --output-format jsonl", file=record.sentence.file, line=record.sentence.line)
    if record.alternatives:
        sentences = [
            (f"# nbest = {rank} {_judged(record)} = {value:.4f}\n", [tokens, labels])
            for rank, (labels, value) in enumerate(_alternatives(record), start=1)
        ]
    else:
        columns = [tokens, record.labels]
        if probs is not None:
            columns.append([f"{prob:.4f}" for prob in probs])
        if record.sentences:
            sentences = [("", [column[first:last] for column in columns]) for first, last in record.sentences]
        else:
            sentences = [("", columns)]
    blocks: list[str] = []
    tabs = lines = 0
    for head, columns in sentences:
        text = f"{TEXT}{' '.join(columns[0])}\n" if columns[0] and needs_text(columns) else ""
        blocks.append(f"{head}{text}{rows(columns)}")
        tabs += len(columns[0]) * (len(columns) - 1)
        lines += len(columns[0]) + 1 + bool(head) + bool(text)
    block = "".join(blocks)
    refuse_breaks(block, tabs, lines, record.sentence)
    if " " in block:
        _refuse_blanks(sentences, record.sentence)
    return clean(block)


_MOST_HELD = 1000
"""tokens at most that wait until it is clear how their rows will be read"""


class OpenRows:
    """Rows as `format_conll` writes them, of a sentence that is still going on.

    They are held back as long as they may be read as something else than tokens, so that the comment which says that
    they are can come first; mostly that is clear with the second token, and at the latest with the thousandth.

    Args:
        file: where the sentence comes from, for messages.
        line: its line.
    """

    def __init__(self, file: str, line: int) -> None:
        self._where = Sentence([], "", [], file=file, line=line)
        self._tokens: list[str] = []  # those that are not written
        self._cells: list[list[str]] = []  # of the first of them, as far as they are known
        self._begun = False

    def add(self, tokens: Sequence[str], cells: Sequence[list[str]], ended: bool = False) -> str:
        r"""Take what is new.

        Args:
            tokens: further tokens.
            cells: the further cells of the first tokens that had none: the label, or label and probability.
            ended: whether the sentence ends here, so that all tokens have cells.

        Returns:
            The rows that can be written, each with its ``\n``; a blank line after the last one.

        Raises:
            DataError: a token contains a tab or line break, or a label has a space at its end.
        """
        self._tokens += tokens
        self._cells += cells
        head = ""
        if self._cells and not self._begun:
            columns = [self._tokens, *map(list, zip(*self._cells, strict=True))]
            doubtful = needs_text(columns)
            unclear = doubtful or (len(self._tokens) == 1 and len(columns) > 2)
            if unclear and not ended and len(self._tokens) < _MOST_HELD:
                return ""
            head = f"{TEXT}{' '.join(self._tokens)}\n" if doubtful else ""
            self._begun = True
        known = [[token, *each] for token, each in zip(self._tokens, self._cells, strict=False)]
        del self._tokens[: len(known)], self._cells[:]
        block = head + "".join("\t".join(row) + "\n" for row in known)
        refuse_breaks(block, sum(len(row) - 1 for row in known), len(known) + bool(head), self._where)
        if " " in block:
            _refuse_blanks([("", list(zip(*known, strict=True)))], self._where)
        return clean(block + ("\n" if ended else ""))


def _refuse_blanks(sentences: Sequence[tuple[str, Sequence[Sequence[str]]]], sentence: Sentence) -> None:
    """Check that no label has a space at its end, which is read as none."""
    for label in {label for _, columns in sentences for label in columns[1]}:
        if label != label.strip(" "):
            message = f"the label {label!r} has a space at its end; use --output-format jsonl"
            raise DataError(message, file=sentence.file, line=sentence.line)


def _format_jsonl(record: Any) -> str:
    line = to_json(record.to_json()) + "\n"
    source = getattr(record, "sentence", record)
    if not source.text.isascii() and _PAIR.search(source.text):
        message = "the text has two surrogates that JSON reads as one character; replace them"
        raise DataError(message, file=getattr(source, "file", None), line=getattr(source, "line", None))
    return line


def _format_text(record: Any) -> str:
    """A line of text, for a line of input."""
    if any(mark in record.text for mark in "\n\r"):
        source = getattr(record, "sentence", record)
        where = {"file": getattr(source, "file", None), "line": getattr(source, "line", None)}
        raise DataError("what was written has a line break; use --output-format jsonl", **where)
    return clean(record.text + "\n")


def _format_tsv(record: Any) -> str:
    """Cells separated by tabs, the text last and unchanged, tabs included; see `seqkit.formats.tables.read_table`."""
    source, cells = getattr(record, "sentence", record), record.to_cells()
    fault, text = "", source.text
    if isinstance(source, TextPair) and text.count("\t") > 1:
        fault = "a text of the pair contains a tab"
    elif any(mark in text for mark in "\n\r") or any(mark in cell for cell in cells for mark in "\n\r\t"):
        fault = "the text or a label contains a line break"
    elif isinstance(record, ClassifiedText) and _has_separator(record, cells):
        fault = f"a label contains {LABEL_SEPARATOR!r}, which stands between labels"
    elif isinstance(record, ClassifiedText) and _UNLIKE_LABELS.match(cells[0]):
        fault = f"at the start of a file the label {shown(cells[0])} would not be read as one"
    if fault:
        where = {"file": getattr(source, "file", None), "line": getattr(source, "line", None)}
        raise DataError(f"{fault}; use --output-format jsonl", **where)
    return clean("\t".join([*cells, source.text]) + "\n")


def _has_separator(record: ClassifiedText, cells: Sequence[str]) -> bool:
    """Whether one of several labels has in it what stands between them, as no probability has."""
    several = record.multi or LABEL_SEPARATOR in cells[1]
    return several and cells[0].count(LABEL_SEPARATOR) != cells[1].count(LABEL_SEPARATOR)


def format_inline(record: TaggedSentence) -> str:
    r"""One prediction as running text: ``[Ada Lovelace]PER met …``, or ``Ada_PROPN met_VERB …`` without spans.

    With spans it is the original text with its spacing; a document is one line, too. N-best predictions are a line
    each, after ``probability<TAB>``, or ``score<TAB>`` where a language model helped to choose.

    Args:
        record: the prediction.

    Returns:
        One line, with its ``\n``, or as many as there are alternatives.

    Raises:
        DataError: the text contains a line break.
    """
    sentence = record.sentence
    borders = record.sentences
    if borders is not None:
        sentence = replace(sentence, text=sentence.text.replace("\n", " "))
    lines = [_inline(sentence, record.labels, record.marks_spans, borders)]
    if record.alternatives:
        lines = [
            f"{value:.4f}\t{_inline(sentence, labels, record.marks_spans)}" for labels, value in _alternatives(record)
        ]
    block = "".join(f"{line}\n" for line in lines)
    refuse_breaks(block, None, len(lines), sentence)
    return clean(block)


def _alternatives(record: TaggedSentence) -> list[tuple[list[str], float]]:
    """The n best label sequences, each with what they are ranked by: its probability, or its score."""
    found = record.alternatives or []
    if record.scores is None:
        return found
    return [(labels, score) for (labels, _), (score, _) in zip(found, record.scores, strict=True)]


def _judged(record: TaggedSentence) -> str:
    return "prob" if record.scores is None else "score"


def _inline(
    sentence: Sentence, labels: Sequence[str], marks_spans: bool, borders: Sequence[tuple[int, int]] | None = None
) -> str:
    if not marks_spans:
        return " ".join(map("_".join, zip(sentence.tokens, labels, strict=True)))
    pieces: list[str] = []
    text, position = sentence.text, 0
    for begin, end in borders or [(0, len(labels))]:
        for span in read_spans(labels[begin:end], "bioes"):  # the rules for reading spans are the same in all schemes
            start, stop = sentence.offsets[begin + span.start][0], sentence.offsets[begin + span.end - 1][1]
            pieces += (text[position:start], "[", text[start:stop], "]", span.label)
            position = stop
    return "".join([*pieces, text[position:]])


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "conll": format_conll,
    "jsonl": _format_jsonl,
    "inline": format_inline,
    "tsv": _format_tsv,
    "textgrid": lambda record: clean(format_textgrid(record)),
    "audacity": lambda record: clean(format_audacity(record)),
    "text": _format_text,
}
"""Output format → prediction to text."""


def write_records(records: Iterable[Any], stream: TextIO, output_format: str) -> int:
    """Write predictions, each as soon as it comes.

    Args:
        records: the predictions.
        stream: a text stream in UTF-8.
        output_format: one of `WRITERS`.

    Returns:
        How many were written.

    Raises:
        DataError: the format cannot represent a token or text; or there is no such format.
    """
    if output_format not in WRITERS:
        raise DataError(f"unknown output format {output_format!r}; choose from {', '.join(WRITERS)}")
    count = 0
    for record in records:
        stream.write(WRITERS[output_format](record))
        count += 1
    return count
