"""Spans of characters in a text → labels of its tokens, and where a long text is cut into sentences.

Every format with annotated spans uses these functions, so that all treat overlapping spans, spans that end inside a
token and offsets in other units alike.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from seqkit.formats.format import ReadOptions, split_at_spaces
from seqkit.formats.schemes import from_spans
from seqkit.formats.sentences import split_sentences
from seqkit.records import Sentence

WIDENED = "spans that start or end inside a token"
"""what notes call spans whose ends are moved"""
SPANS = "ner"
"""the column that the spans of a text become"""

_LINE_END = re.compile(r"\r\n?|\n")
_LINE_BREAKS_AS_SPACES = str.maketrans("\r\n", "  ")
_OUTSIDE_THE_BMP = re.compile("[\U00010000-\U0010ffff]")


class Fault(ValueError):
    """What is wrong with one record, before the file and line are known.

    Args:
        message: what is wrong.
        start: where the span starts that is faulty, as the file has it; None if it is something else.
    """

    def __init__(self, message: str, start: int | None = None) -> None:
        super().__init__(message)
        self.start = start


class CharacterSpan(NamedTuple):
    """A labelled part of a text.

    Attributes:
        start: its first character.
        end: one past its last character.
        label: its kind.
        text: what it covers, where the file says it.
    """

    start: int
    end: int
    label: str
    text: str | None = None


def checked_spans(
    text: str, spans: Sequence[CharacterSpan], options: ReadOptions, *, trim: bool = True
) -> list[CharacterSpan]:
    """Spans with offsets in characters (code points), and without white space at their ends.

    Programs in JavaScript and Java count UTF-16 units, in which many symbols, such as emoji, are two; others count a
    line break of two characters as one. Where the spans say what they cover, this tells which was counted.

    Args:
        text: the text.
        spans: the spans as they stand in a file.
        options: what is changed is counted in its `left_out`.
        trim: whether no token starts or ends with white space.

    Returns:
        The spans; those of white space alone are left out.

    Raises:
        Fault: a span is outside the text, empty or reversed, or its text is another than that at its offsets.
    """
    found: list[CharacterSpan] = []
    size = len(text)
    for span in _in_characters(text, spans, options):
        start, end, label, _ = span
        if not 0 <= start < end <= size:
            reason = "is empty or reversed" if start >= end else f"is outside the text of {size} characters"
            raise Fault(f"span {start}:{end} ({label}) {reason}", start)
        if trim and (text[start].isspace() or text[end - 1].isspace()):
            covered = text[start:end]
            if not covered.strip():
                options.left_out["spans left out because they cover only white space"] += 1
                continue
            start += len(covered) - len(covered.lstrip())
            end -= len(covered) - len(covered.rstrip())
            span = CharacterSpan(start, end, label)
            options.left_out["spans with white space at their ends, which was removed"] += 1
        found.append(span)
    return found


def _in_characters(text: str, spans: Sequence[CharacterSpan], options: ReadOptions) -> Sequence[CharacterSpan]:
    if text.isascii() and "\r" not in text and all(span[3] is None for span in spans):  # nothing to choose from
        return spans
    wrong = [span for span in spans if not _agrees(text, span)]
    if not wrong:
        return spans
    for what, position in _other_units(text):
        moved = [
            CharacterSpan(position(span.start), position(span.end), span.label, span.text)
            if 0 <= span.start <= span.end
            else span
            for span in spans
        ]
        if all(_agrees(text, span) for span in moved):
            options.left_out[f"texts whose spans count {what}, not characters"] += 1
            return moved
    for start, end, label, given in wrong:
        if given is not None:
            found = text[max(0, start) : max(0, end)]
            raise Fault(f"span {start}:{end} ({label}) is {found!r} in the text, but {given!r} is given", start)
    return spans


def _agrees(text: str, span: CharacterSpan) -> bool:
    """Whether a span covers what it says or, if it does not say it, where units may differ, no parts of words."""
    start, end, _, given = span
    if given is not None:
        found = text[start:end] if start >= 0 else ""
        return found == given or _one_line(found) == _one_line(given)
    inside = (text[max(0, place - 1) : place + 1] for place in (start, end) if place > 0)
    return 0 <= start < end <= len(text) and not any(len(pair) == 2 and pair.isalnum() for pair in inside)


def _one_line(text: str) -> str:
    return text.translate(_LINE_BREAKS_AS_SPACES)


def _other_units(text: str) -> Iterator[tuple[str, Callable[[int], int]]]:
    """Other ways of counting: what is counted, and the function that makes an offset one in characters."""
    if _OUTSIDE_THE_BMP.search(text):
        yield "UTF-16 units", utf_16_positions(text)
    if "\r\n" in text:
        yield "line breaks of two characters as one", _positions([match.start() for match in re.finditer("\r\n", text)])


def utf_16_positions(text: str) -> Callable[[int], int]:
    """A function that makes offsets in UTF-16 units such in characters.

    Args:
        text: the text.

    Returns:
        The function; an offset inside a character or outside the text becomes one outside the text.
    """
    widths = [0, *accumulate(2 if character > "\uffff" else 1 for character in text)]

    def position(offset: int) -> int:
        place = bisect_left(widths, offset)
        return place if place < len(widths) and widths[place] == offset else len(text) + 1

    return position


def _positions(longer: Sequence[int]) -> Callable[[int], int]:
    """Offsets in a text of which each pair of characters that starts at one of some places counted as one."""
    counted = [place - index for index, place in enumerate(longer)]
    return lambda offset: offset + bisect_left(counted, offset)


def span_labels(
    text: str, offsets: Sequence[tuple[int, int]], spans: Sequence[CharacterSpan], options: ReadOptions, begin: int = 0
) -> list[str]:
    """Write spans as IOB2 labels of tokens.

    Where spans overlap, the one of the most tokens is kept, of equally long ones the first.

    Args:
        text: the text.
        offsets: start and end of each token.
        spans: the spans, see `checked_spans`.
        options: what becomes of a span that starts or ends inside a token, `ReadOptions.span_borders`; what is left
            out or changed is counted in its `left_out`.
        begin: where the text starts in its document, for messages.

    Returns:
        One label per token.

    Raises:
        Fault: a span starts or ends inside a token, and the options refuse it.
    """
    if not spans:
        return ["O"] * len(offsets)
    starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
    placed: list[tuple[int, int, str]] = []
    for span in spans:
        start, end, label, _ = span
        first, last = bisect_right(ends, start), bisect_left(starts, end)
        if first < last and (starts[first] < start or ends[last - 1] > end):
            inside = first if starts[first] < start else last - 1
            first, last = _at_borders(text, offsets, span, inside, options, begin)
        if first >= last:
            options.left_out["spans left out because they cover no whole token"] += 1
        else:
            placed.append((first, last, label))
    with suppress(ValueError):  # most spans do not overlap
        return from_spans(placed, len(offsets), "iob2")
    kept: list[tuple[int, int, str]] = []
    taken = bytearray(len(offsets))
    different = dict.fromkeys(placed)  # one that is there twice is the same
    for first, last, label in sorted(different, key=lambda span: (span[0] - span[1], span[0])):
        if taken[first] or taken[last - 1]:  # one that is at least as long cannot lie between the two
            options.left_out["spans left out because they overlap longer ones"] += 1
            continue
        taken[first:last] = b"\1" * (last - first)
        kept.append((first, last, label))
    return from_spans(kept, len(offsets), "iob2")


def _at_borders(
    text: str,
    offsets: Sequence[tuple[int, int]],
    span: CharacterSpan,
    inside: int,
    options: ReadOptions,
    begin: int,
) -> tuple[int, int]:
    """The tokens of a span that starts or ends inside the token at the place `inside`, or inside two."""
    start, end, label, _ = span
    if options.span_borders == "refuse":
        token = text[slice(*offsets[inside])]
        raise Fault(
            f"span {begin + start}:{begin + end} ({text[start:end]!r}, {label}) starts or ends inside the token "
            f"{token!r}; --span-borders widen makes such spans end with the token, --span-borders narrow before it",
            begin + start,
        )
    options.left_out[f"{WIDENED}, {options.span_borders}ed"] += 1
    first = bisect_right(offsets, start, key=lambda token: token[1])
    last = bisect_left(offsets, end, key=lambda token: token[0])
    if options.span_borders == "narrow":
        first += offsets[first][0] < start
        last -= offsets[last - 1][1] > end
    return first, last


# --- documents ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Document:
    """A text of any length whose spans are annotated.

    Args:
        text: the text.
        spans: the spans, see `checked_spans`.
        fields: what else is known about it.
    """

    text: str
    spans: list[CharacterSpan]
    fields: dict[str, Any]


def document_sentences(document: Document, options: ReadOptions) -> Iterator[tuple[int, Sentence]]:
    """Cut a document into sentences whose tokens have labels.

    Args:
        document: the document.
        options: what splits a text into tokens; see also `span_labels`.

    Yields:
        Where each sentence starts that has a token, and the sentence, whose text is that part of the document. At least
        one.

    Raises:
        Fault: a span starts or ends inside a token, and the options refuse it.
    """
    split, text = options.split or split_at_spaces, document.text
    spans = sorted(document.spans, key=lambda span: span.start)
    place, empty = 0, True
    for begin, end in _records(text, spans):
        part = text[begin:end]
        inside: list[CharacterSpan] = []
        while place < len(spans) and spans[place].start < end:
            start, stop, label, _ = spans[place]
            inside.append(CharacterSpan(start - begin, stop - begin, label))
            place += 1
        offsets = split(part)
        if offsets or (end == len(text) and empty):
            empty = False
            tokens = [part[start:stop] for start, stop in offsets]
            labels = {SPANS: span_labels(part, offsets, inside, options, begin)}
            yield begin, Sentence(tokens, part, offsets, labels, fields=document.fields)


def _records(text: str, spans: Sequence[CharacterSpan]) -> Iterator[tuple[int, int]]:
    """Start and end of each record: sentences, those together that a span reaches across."""
    place, covered, begin = 0, 0, -1
    for start, end in split_sentences(text) or [(0, len(text))]:
        begin = start if begin < 0 else begin
        while place < len(spans) and spans[place].start < end:
            covered = max(covered, spans[place].end)
            place += 1
        if covered <= end:
            yield begin, end
            begin = -1
    if begin >= 0:
        yield begin, len(text)
