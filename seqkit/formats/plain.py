"""Plain text: one sentence per line, which is split into tokens, or whose tokens are separated by spaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from seqkit.formats.format import Format, ReadOptions, split_at_spaces
from seqkit.formats.text import Line, is_blank
from seqkit.records import Sentence, TextRecord


def _read(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
    """Every line, an empty one too."""
    split = options.split or split_at_spaces
    for number, text in lines:
        offsets = split(text)  # not through a `TextRecord`, which would take a few per cent of the time
        yield Sentence([text[start:end] for start, end in offsets], text, offsets, file=name, line=number)


def _read_tokens(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
    return _read(lines, name, replace(options, split=split_at_spaces))


def _read_texts(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    """Every line that is not blank."""
    for number, text in lines:
        if not is_blank(text):
            yield options.record(text, {"text": text}, name, number)


TEXT = Format(
    "text",
    "lines without labels",
    recognise=lambda sample: True,
    sentences=_read,
    texts=_read_texts,
    line_per_record=True,
)
TOKENS = replace(TEXT, name="tokens", recognise=lambda sample: False, sentences=_read_tokens, has_tokens=True)
