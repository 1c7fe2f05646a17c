"""brat: a text and, beside it, a file of annotations with the extension ``.ann``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from seqkit.errors import DataError, shortened
from seqkit.formats.format import Format, ReadOptions, Sample
from seqkit.formats.spans import CharacterSpan, Document, Fault, checked_spans, document_sentences
from seqkit.formats.text import BYTE_ORDER_MARK, Line, Lines, data_suffix, read_lines
from seqkit.records import Sentence

_OFFSETS = re.compile(r"(\S+) (\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)")
_LINE_END = re.compile(r"\r\n?|\n")


def _annotations(path: Path) -> Path:
    return path.with_suffix(".ann")


def _read(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
    raw = lines.whole() if isinstance(lines, Lines) else "\n".join(line for _, line in lines).encode("utf-8", "replace")
    try:  # not as lines: offsets count both characters of a line break
        text = raw.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"expected UTF-8 text, found byte 0x{raw[error.start]:02x} (try --encoding latin-1)"
        raise DataError(message, file=name, line=line) from None
    if not text:
        return
    path = _annotations(Path(name))
    if not path.is_file():
        raise DataError(f"expected annotations of brat's in {path.name}, found no such file", file=name)
    placed = dict(_spans(read_lines(path), str(path), options))
    spans = list(placed.values())
    line, place = 1, 0
    try:
        for begin, sentence in document_sentences(Document(text, checked_spans(text, spans, options), {}), options):
            line += len(_LINE_END.findall(text, place, begin))
            place = begin
            sentence.file, sentence.line = name, line
            yield sentence
    except Fault as fault:
        where = next((number for number, span in placed.items() if span.start == fault.start), None)
        raise DataError(str(fault), file=path, line=where) from None


def _spans(lines: Lines, name: str, options: ReadOptions) -> Iterator[tuple[int, CharacterSpan]]:
    """The entities, and the line of each; relations, events, attributes and notes are about these."""
    for number, line in lines:
        if not line.startswith("T"):
            continue
        _, kind, *rest = [*line.split("\t", 2), ""]
        match = _OFFSETS.fullmatch(kind)
        if match is None:
            message = f"expected an entity like T1<tab>PER 0 3<tab>Ann, found {shortened(repr(line))}"
            raise DataError(message, file=name, line=number)
        parts = [tuple(map(int, part.split(" "))) for part in match[2].split(";")]
        if len(parts) > 1:
            options.left_out["spans in several parts, read from the first to the last character"] += 1
        covered = rest[0] if len(parts) == 1 and rest[0] else None
        start, end = min(part[0] for part in parts), max(part[1] for part in parts)
        yield number, CharacterSpan(start, end, match[1], covered)


def _recognise(sample: Sample) -> bool:
    return data_suffix(sample.path) == ".txt" and _annotations(sample.path).is_file()


BRAT = Format(
    "brat",
    "a text with annotations beside it",
    "https://brat.nlplab.org/standoff.html",
    recognise=_recognise,
    specific=True,
    sentences=_read,
    last_end=lambda data, first: 0,
    whole=lambda lines: True,
    companions=(".ann",),
)
