"""Documents of running text: blocks between blank lines, whose sentences are found and whose offsets are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from seqkit.formats.format import DEFAULTS, Format, ReadOptions, split_at_spaces
from seqkit.formats.sentences import split_sentences
from seqkit.formats.text import Line, is_blank, last_blank_line_end
from seqkit.records import Document, Sentence, SplitFunction, TextRecord


def sentences_of(text: str, split: SplitFunction, file: str = "", line: int = 0) -> Iterator[Sentence]:
    """The sentences of a document, each with its place in it.

    Args:
        text: the document.
        split: splits a sentence into tokens.
        file: where the document came from, for messages.
        line: the line it starts at.

    Yields:
        Sentences whose offsets index their own text; line breaks in it are spaces.
    """
    whole = Document(text)
    for start, end in split_sentences(text) or [(0, len(text))]:
        own = text[start:end]
        offsets = split(own)
        tokens = [own[first:last] for first, last in offsets]
        number = line + text.count("\n", 0, start)
        found = Sentence(tokens, own.replace("\n", " "), offsets, file=file, line=number)
        found.document, found.start = whole, start
        yield found


def _blocks(lines: Iterable[Line]) -> Iterator[tuple[int, str]]:
    """The documents: the line that each starts at, and its text."""
    block: list[str] = []
    first = 0
    for number, line in chain(lines, [(0, "")]):
        if not is_blank(line):
            first = first if block else number
            block.append(line)
        elif block:
            yield first, "\n".join(block)
            block = []


def _read(lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    for line, text in _blocks(lines):
        yield from sentences_of(text, options.split or split_at_spaces, name, line)


def _read_texts(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    for line, text in _blocks(lines):
        yield options.record(text, {"text": text}, name, line)


DOCUMENT = Format(
    "document",
    "running text",
    source="https://www.rfc-editor.org/rfc/rfc2046#section-4.1.3",
    sentences=_read,
    texts=_read_texts,
    last_end=last_blank_line_end,
)
