"""Plain text: one sentence per line, which is split into tokens, or whose tokens are separated by spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from seqkit.errors import DataError
from seqkit.formats.format import Format, ReadOptions, Sample, split_at_spaces
from seqkit.formats.text import Line, is_blank
from seqkit.records import Sentence, TextRecord


def _read(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
    """Every line, an empty one too."""
    if options.second:
        yield from _read_pairs(lines, name, options)
        return
    split = options.split or split_at_spaces
    for number, text in lines:
        offsets = split(text)  # not through a `TextRecord`, which would take a few per cent of the time
        yield Sentence([text[start:end] for start, end in offsets], text, offsets, file=name, line=number)


def _read_pairs(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
    """Every line as two texts with a tab between them; an empty one is a pair of empty texts."""
    for number, line in lines:
        texts = line.split("\t") if line else ["", ""]
        if len(texts) != 2:
            found = "no tab" if len(texts) == 1 else f"{len(texts) - 1} tabs"
            raise DataError(f"expected two texts with a tab between them, found {found}", file=name, line=number)
        pair = options.record(texts[0], {options.text: texts[0], options.second: texts[1]}, name, number)
        assert isinstance(pair, Sentence)
        yield pair


def _read_tokens(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
    return _read(lines, name, replace(options, split=split_at_spaces))


def _read_texts(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    """Every line that is not blank."""
    if options.second:
        yield from _read_pairs(((number, text) for number, text in lines if not is_blank(text)), name, options)
        return
    for number, text in lines:
        if not is_blank(text):
            yield options.record(text, {"text": text}, name, number)


# --- text that is cut already -------------------------------------------------------------------------------------


def _evidence(sample: Sample) -> list[str]:
    """What shows that a text is cut into tokens; nothing if it is not.

    Signs that only a tokeniser writes, or full stops and commas apart from the words in most lines; and hardly a comma
    at a word, or a full stop at the last word of a line, as running text has them. (A question mark apart from its word
    is no sign: French is written so.)
    """
    rows = sample.rows
    if not rows or sample.texts or not punctuation_is_apart(rows):
        return []
    signs = [sign for sign, pattern in _SIGNS.items() if sum(map(bool, map(pattern.search, rows))) * 100 >= len(rows)]
    apart = sum(_APART.search(row) is not None for row in rows)
    return signs + ["spaces around punctuation"] * (apart >= _LEAST_APART * len(rows) and len(rows) >= _LEAST_ROWS)


def punctuation_is_apart(rows: Sequence[str]) -> bool:
    """Whether punctuation stands apart from words, as in text that is cut into tokens; so it does where there is none.

    Args:
        rows: lines of a text.

    Returns:
        Whether hardly a line has a comma at a word, or ends with a full stop at one.
    """
    return sum(_ATTACHED.search(row) is not None for row in rows) <= _MOST_ATTACHED * len(rows)


def _is_cut(sample: Sample) -> bool:
    return bool(_evidence(sample))


def _is_wikitext(sample: Sample) -> bool:
    titles = any(_TITLE.match(row) for row in sample.rows)
    return titles and bool(set(_evidence(sample)) & _SIGNS.keys())


def _shown_evidence(sample: Sample) -> str:
    return f"the text is cut into tokens already ({', '.join(_evidence(sample))})"


_SIGNS = {sign: re.compile(f"(?<![^ ]){re.escape(sign)}(?![^ ])") for sign in ("<unk>", "<UNK>", "@-@", "@,@", "@.@")}
"""tokens that only a tokeniser writes: an unknown word, and a sign that stood between two letters or figures"""
_APART = re.compile(r"(?<![^ ])[.,\u3002\uff0c\u3001](?![^ ])")
"""a full stop or comma between spaces, also an ideographic or fullwidth one"""
_ATTACHED = re.compile(r"\w[,;\uff0c\uff1b](?![^ ])|[^\W_]{3}[.\u3002] *$|\w[?!\uff1f\uff01] *$")
_TITLE = re.compile(r" ?= [^=].* = *$")
_MOST_ATTACHED = 0.03
"""share of lines with punctuation at a word"""
_LEAST_APART = 0.6
"""share of lines with punctuation apart"""
_LEAST_ROWS = 3

TEXT = Format(
    "text",
    "lines without labels",
    source="https://www.rfc-editor.org/rfc/rfc2046#section-4.1.3",
    recognise=lambda sample: True,
    sentences=_read,
    texts=_read_texts,
    line_per_record=True,
)
TOKENS = replace(
    TEXT,
    name="tokens",
    content="lines of tokens with spaces between them",
    recognise=_is_cut,
    evidence=_shown_evidence,
    sentences=_read_tokens,
    has_tokens=True,
)
WIKITEXT = replace(
    TOKENS,
    name="wikitext",
    source="Merity, Xiong, Bradbury and Socher (2016), https://arxiv.org/abs/1609.07843",
    recognise=_is_wikitext,
    blank_lines=True,
    evidence=lambda sample: f"{_shown_evidence(sample)}, titles and blank lines count like other lines",
)
