r"""WebAnno TSV 3, which INCEpTION writes, too: a row a token, a column a feature of a layer of annotations.

A sentence comes after lines ``#Text=``. A row has the numbers of sentence and token, the offsets of the token, the
token, and for each feature ``_`` (no annotation), ``*`` (one without a value) or the value; several annotations of a
token have ``|`` between them. A number in brackets connects the rows of an annotation of several tokens. A row numbered
``1-2.1`` is of a part of token ``1-2``. A backslash is before characters that are meant as they are. Offsets count
UTF-16 units.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from seqkit.errors import DataError, shown
from seqkit.formats.format import Format, ReadOptions, Sample
from seqkit.formats.spans import CharacterSpan, Fault, span_labels, utf_16_positions
from seqkit.formats.text import Line, is_blank
from seqkit.records import Sentence, align

_START = "#FORMAT=WebAnno TSV 3"
_LAYER = re.compile(r"#T_(SP|CH|RL)=(.+)")
_ROW = re.compile(r"\d+-(\d+)(\.\d+)?\t(\d{1,9})-(\d{1,9})\t([^\t]+)((?:\t[^\t]*)*)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r"}
_STACKED = re.compile(r"(?:[^\\|]|\\.|\\$)+", re.DOTALL)
_NUMBERED = re.compile(r"((?:[^\\]|\\.|\\$)*?)(?:\[(\d{1,9})\])?", re.DOTALL)
_OF_TOKENS = ("pos.POS", "type.Lemma", "type.Stem", "morph.MorphologicalFeatures", "TokenForm", "SurfaceForm")
"""ends of the names of layers whose annotations are each of one token"""
_NAMED_ENTITY = "NamedEntity"
_USUAL_FEATURES = ("value", "label")


class _Column(NamedTuple):
    """A feature of annotations.

    Attributes:
        feature: its name; empty for a layer without features.
        layer: the layer's short name, the label of an annotation without a value.
        place: its place among the columns of features.
        of_tokens: whether each annotation is of one token.
    """

    feature: str
    layer: str
    place: int
    of_tokens: bool

    @property
    def name(self) -> str:
        """Layer and feature."""
        return f"{self.layer}.{self.feature}" if self.feature else self.layer

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """What is learned by default has the highest rank."""
        return not self.of_tokens, self.feature in _USUAL_FEATURES, self.layer == _NAMED_ENTITY


@dataclass(slots=True)
class _Rows:
    """The rows of a sentence.

    Attributes:
        line: the line of the first.
        text: the sentence as its lines ``#Text=`` have it.
        rows: number of the row's line, start and end (in UTF-16 units of the document), token, cells, and whether the
            row is of a part of a token.
    """

    line: int = 0
    text: list[str] = field(default_factory=list)
    rows: list[tuple[int, int, int, str, list[str], bool]] = field(default_factory=list)


def _read(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence]:
    columns: list[_Column] = []
    width, started, current = 0, False, _Rows()
    for number, line in lines:
        if not started:
            if is_blank(line):
                continue
            if not line.startswith(_START):
                raise DataError(f"expected a first line {_START}.…, found {shown(line)}", file=name, line=number)
            started = True
        elif line.startswith("#"):
            if current.rows:
                yield _sentence(current, columns, name, options)
                current = _Rows()
            if layer := _LAYER.fullmatch(line):
                width += _add_layer(layer[1], layer[2], width, columns, options)
            elif line.startswith("#Text="):
                current.text.append(_plain(line.removeprefix("#Text=")))
        elif is_blank(line):
            if current.rows:
                yield _sentence(current, columns, name, options)
                current = _Rows()
        else:
            match = _ROW.fullmatch(line)
            cells = match[6].split("\t")[1:] if match is not None else []
            cells = cells[:-1] if cells and not cells[-1] else cells  # a tab ends each row
            start, end = (int(match[3]), int(match[4])) if match is not None else (0, 0)
            if match is None or len(cells) != width or start >= end:
                expected = f"numbers, offsets, a token and {width} features, separated by tabs"
                raise DataError(f"expected a row of {expected}, found {shown(line)}", file=name, line=number)
            current.line = current.line or number
            current.rows.append((number, start, end, _plain(match[5]), cells, match[2] is not None))
    if current.rows:
        yield _sentence(current, columns, name, options)


def _add_layer(kind: str, layer: str, place: int, columns: list[_Column], options: ReadOptions) -> int:
    """Add the columns of a layer; how many it has."""
    full, *features = layer.split("|")
    short = full.rsplit(".", 1)[-1]
    if kind != "SP":
        options.left_out[f"layers of relations or chains left out ({short})"] += 1
        return max(1, len(features))
    linked = False  # a feature that links annotations has two columns, the second of what it points at
    for index, feature in enumerate(features or [""]):
        if linked or feature.startswith("ROLE_"):
            linked = not linked
            options.left_out[f"features that link annotations left out ({short})"] += linked
        else:
            columns.append(_Column(feature, short, place + index, full.endswith(_OF_TOKENS)))
    return max(1, len(features))


def _named(columns: Sequence[_Column]) -> list[tuple[str, _Column]]:
    """The columns by name, that which is learned by default last; of features of one name the layer is in it."""
    features = Counter(column.feature for column in columns)
    ordered = sorted(columns, key=lambda column: column.rank)
    return [(each.feature if features[each.feature] == 1 and each.feature else each.name, each) for each in ordered]


def _plain(text: str) -> str:
    """A text without its backslashes."""
    return _ESCAPED.sub(lambda match: _CONTROLS.get(match[1], match[1]), text) if "\\" in text else text


def _sentence(found: _Rows, columns: Sequence[_Column], name: str, options: ReadOptions) -> Sentence:
    tokens = [token for _, _, _, token, _, part in found.rows if not part]
    text = "\n".join(found.text)
    offsets = align(tokens, text) if found.text else None
    if not tokens:
        raise DataError("expected a token before its parts", file=name, line=found.line)
    sentence = Sentence(tokens, text, offsets) if offsets is not None else Sentence.from_tokens(tokens)
    if offsets is None:
        options.left_out["sentences whose tokens are not those of their text; they are joined by spaces"] += 1
    sentence.file, sentence.line = name, found.line
    try:
        places = _places(found, sentence)
        for key, column in _named(columns):
            cells = [row[4][column.place] for row in found.rows]
            if column.of_tokens:
                whole = [cell for cell, row in zip(cells, found.rows, strict=True) if not row[5]]
                sentence.columns[key] = [_value(cell, column, options) for cell in whole]
            else:
                spans = _spans(cells, places, column)
                labels = span_labels(sentence.text, sentence.offsets, spans, options)
                sentence.columns[key] = labels
    except Fault as fault:
        raise DataError(str(fault), file=name, line=found.line) from None
    return sentence


def _places(found: _Rows, sentence: Sentence) -> list[tuple[int, int]]:
    """Start and end of each row in the text of the sentence, in characters."""
    places: list[tuple[int, int]] = []
    index, begin, position = -1, 0, utf_16_positions("")
    for _, start, end, token, _, part in found.rows:
        if not part:
            index += 1
            places.append(sentence.offsets[index])
            begin, position = start, utf_16_positions(token)
            continue
        if index < 0:
            raise Fault("expected a token before its parts")
        whole = sentence.tokens[index]
        first, last = (position(offset - begin) if offset >= begin else -1 for offset in (start, end))
        if not 0 <= first < last <= len(whole) or whole[first:last] != token:
            raise Fault(f"{token!r} is not at {start}:{end} in the token {whole!r}, which starts at {begin}")
        offset = sentence.offsets[index][0]
        places.append((offset + first, offset + last))
    return places


def _annotations(cell: str) -> Iterator[tuple[str, str]]:
    """Value and number of each annotation in a cell; the number is empty if there is none."""
    if cell in ("_", ""):
        return
    for part in _STACKED.findall(cell):
        match = _NUMBERED.fullmatch(part)
        value, number = (match[1], match[2] or "") if match is not None else (part, "")
        if value != "_":
            yield value, number


def _value(cell: str, column: _Column, options: ReadOptions) -> str:
    values = [value for value, _ in _annotations(cell)]
    if len(values) > 1:
        options.left_out[f"annotations of a token left out, where it has several ({column.name})"] += len(values) - 1
    return _label(values[0], column) if values else "_"


def _label(value: str, column: _Column) -> str:
    return column.layer if value in ("*", "") else _plain(value)


def _spans(cells: Sequence[str], places: Sequence[tuple[int, int]], column: _Column) -> list[CharacterSpan]:
    """The annotations of a sentence: rows with one number are one."""
    spans: list[CharacterSpan] = []
    numbered: dict[tuple[str, str], int] = {}
    for cell, (start, end) in zip(cells, places, strict=True):
        for value, number in _annotations(cell):
            known = numbered.get((value, number)) if number else None
            if known is None:
                if number:
                    numbered[value, number] = len(spans)
                spans.append(CharacterSpan(start, end, _label(value, column)))
            else:
                before = spans[known]
                spans[known] = before._replace(start=min(start, before.start), end=max(end, before.end))
    return spans


def _recognise(sample: Sample) -> bool:
    return next((line for line in sample.lines if not is_blank(line)), "").startswith(_START)


WEBANNO = Format(
    "webanno",
    "tokens with annotations of WebAnno or INCEpTION",
    "https://inception-project.github.io/releases/36.2/docs/user-guide.html#sect_formats_webannotsv3",
    recognise=_recognise,
    specific=True,
    sentences=_read,
    last_end=lambda data, first: 0,
    whole=lambda lines: True,
    has_tokens=True,
)
