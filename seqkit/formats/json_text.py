"""Values of JSON in a file: one a line, or the elements of one array (https://www.rfc-editor.org/rfc/rfc8259)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal

from seqkit.errors import DataError, shown
from seqkit.formats.format import Sample
from seqkit.formats.json_values import DEEPEST
from seqkit.formats.spans import Fault
from seqkit.formats.text import Line, Lines, is_blank, last_line_end

Container = Literal["lines", "array", "either"]

_ARRAY = re.compile(r'\[\s*(?:\{\s*["}]|\[\s*"|\]|null\b)')
_OPEN = ("[", "{", ",", ":")
"""ends of a line after which a value goes on"""
_SPACE = re.compile(r"[ \t\r\n]*")
_SAMPLE_OBJECTS = 100
_DECODER = json.JSONDecoder()


def objects(lines: Iterable[Line], name: str, container: Container, *, once: bool = False) -> Iterator[tuple[int, Any]]:
    """The values of a file, and the line in which each starts.

    Args:
        lines: its lines.
        name: the file's name, for messages.
        container: whether each line is one, or they are the elements of an array, or of the only array in an object.
        once: refuse an object with the same key twice, of which the last counts otherwise.

    Yields:
        Line and value.

    Raises:
        DataError: invalid JSON, or something else than an array.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_distinct) if once else _DECODER
    iterator = iter(lines)
    for number, line in iterator:
        if is_blank(line):
            continue
        if container == "array" or (container == "either" and _starts_array(line)):
            yield from _elements("\n".join([line, *(line for _, line in iterator)]), number, name, decoder)
            return
        container = "lines"
        try:
            value = _parsed(line, decoder)
        except Fault as fault:
            raise DataError(str(fault), file=name, line=number) from None
        yield number, value


def _starts_array(line: str) -> bool:
    """Whether a file that starts with a line is no JSON object a line."""
    return line.lstrip(" \t").startswith("[") or line.rstrip(" \t").endswith(_OPEN) or _holds_records(line)


def _parsed(line: str, decoder: json.JSONDecoder = _DECODER) -> Any:
    try:
        found = decoder.decode(line)
    except Fault:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise Fault(f"invalid JSON{place}") from None
    return _shallow(found, line.count("[") + line.count("{"))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise Fault(f"the key {shown(name)} occurs twice in an object")
    return found


def _shallow(value: Any, brackets: int) -> Any:
    """The value, if it is not nested too deep for the code that uses it, most of which is recursive."""
    if brackets <= DEEPEST:
        return value
    level = [value]
    for _ in range(DEEPEST):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inside for each in values if isinstance(each, dict | list)]
        if not level:
            return value
    raise Fault(f"lists and objects are nested more than {DEEPEST} deep")


class _Text:
    """A text of JSON, read value by value."""

    def __init__(self, text: str, line: int, name: str, decoder: json.JSONDecoder) -> None:
        self.text, self.line, self.name = text, line, name
        self._counted, self._decoder = 0, decoder

    def line_of(self, place: int) -> int:
        """The line of a place, not before those that were asked for earlier."""
        self.line += self.text.count("\n", self._counted, place)
        self._counted = max(place, self._counted)
        return self.line

    def skip(self, place: int) -> int:
        """The place of the next character that is no white space."""
        found = _SPACE.match(self.text, place)
        assert found is not None
        return found.end()

    def value(self, place: int) -> tuple[Any, int]:
        """The value that starts at a place, and where it ends."""
        try:
            value, end = self._decoder.raw_decode(self.text, place)
            brackets = self.text.count("[", place, end) + self.text.count("{", place, end)
            return _shallow(value, brackets), end
        except Fault as fault:
            raise DataError(str(fault), file=self.name, line=self.line_of(place)) from None
        except (ValueError, RecursionError) as error:
            raise self.fault(place, error.pos if isinstance(error, json.JSONDecodeError) else place) from None

    def fault(self, place: int, where: int) -> DataError:
        """Invalid JSON in a value that starts at one place, found at another."""
        line = self.line_of(place)
        there = line + self.text.count("\n", place, where)
        column = where - self.text.rfind("\n", 0, where)
        found = "invalid JSON" + (f" at character {column}" + (f" of line {there}" if there != line else ""))
        return DataError(found, file=self.name, line=line)


def _elements(text: str, line: int, name: str, decoder: json.JSONDecoder) -> Iterator[tuple[int, Any]]:
    """The elements of an array, or of the only array of objects or lists in an object."""
    source = _Text(text, line, name, decoder)
    place = source.skip(0)
    if text[place : place + 1] == "{":
        place = _only_array(source, place)
        source = _Text(text, line, name, decoder)
    elif text[place : place + 1] != "[":
        raise DataError("expected a JSON array, found something else", file=name, line=line)
    place = source.skip(place + 1)
    if text[place : place + 1] == "]":
        place += 1
    else:
        while True:
            begin = place
            value, place = source.value(place)
            yield source.line_of(begin), value
            place = source.skip(place)
            mark, place = text[place : place + 1], place + 1
            if mark == "]":
                break
            if mark != ",":
                raise source.fault(place - 1, place - 1)
            place = source.skip(place)


def _only_array(source: _Text, place: int) -> int:
    """Where the array starts in an object."""
    text, found, keys = source.text, [], []
    begin, line = place, source.line
    place = source.skip(place + 1)
    while text[place : place + 1] != "}":
        key, place = source.value(place)
        place = source.skip(place)
        if not isinstance(key, str) or text[place : place + 1] != ":":
            raise source.fault(begin, place)
        place = source.skip(place + 1)
        start = place
        value, place = source.value(place)
        keys.append(key)
        if _is_of_records(value):
            found.append(start)
        place = source.skip(place)
        mark = text[place : place + 1]
        if mark == ",":
            place = source.skip(place + 1)
        elif mark != "}":
            raise source.fault(begin, place)
    if len(found) != 1:
        expected = "expected an array, or an object with one array of records in it"
        raise DataError(f"{expected}, found keys: {', '.join(keys[:20]) or 'none'}", file=source.name, line=line)
    return found[0]


def sample_objects(sample: Sample) -> list[Any]:
    """The values that the first lines of a file hold, as far as they are complete.

    Args:
        sample: the first lines.

    Returns:
        The values; none if this is no JSON.
    """
    first = next((line for line in sample.lines if not is_blank(line)), "").lstrip(" \t")
    if not first.startswith(("{", "[")):
        return []
    found: list[Any] = []
    try:
        container: Container = "array" if is_array(sample) else "lines"
        for _, value in objects(enumerate(sample.lines, start=1), "", container):
            found.append(value)
            if len(found) == _SAMPLE_OBJECTS:
                break
    except DataError:  # also where the first lines end
        pass
    return found


def is_array(sample: Sample) -> bool:
    """Whether a file is one array, or one object with an array of records in it.

    Args:
        sample: its first lines.

    Returns:
        Whether it is.
    """
    lines = [line for line in sample.lines if not is_blank(line)]
    first = lines[0].strip(" \t") if lines else ""
    if first.startswith("["):
        return (sample.suffix == ".json" and first == "[") or _ARRAY.match("\n".join(lines[:20]).lstrip()) is not None
    if first.startswith("{") and first.endswith(_OPEN):  # not a line that is cut off
        return sample.suffix == ".json" or (first == "{" and len(lines) > 1 and lines[1].lstrip().startswith('"'))
    return first.startswith("{") and len(lines) == 1 and _holds_records(first)


def _holds_records(line: str) -> bool:
    """Whether an object is no record but holds an array of some."""
    try:
        found = _parsed(line)
    except Fault:
        return False
    if (
        not isinstance(found, dict)
        or {"text", "tokens", "frames", "audio"} & found.keys()
        or isinstance(found.get("data"), dict)
    ):
        return False
    return sum(map(_is_of_records, found.values())) == 1


def _is_of_records(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(map(_may_be_record, value))


def _may_be_record(value: Any) -> bool:
    """Whether an element of an array may be a record: a list of numbers is a vector."""
    if isinstance(value, list):
        return not value or any(not isinstance(each, int | float) for each in value)
    return isinstance(value, dict | None)


def _first_line(lines: Iterable[Line]) -> str:
    return next((line for _, line in lines if not is_blank(line)), "")


def container_head(lines: Iterable[Line]) -> list[str]:
    """What the objects of a file are in, as `Format.head` says it.

    Args:
        lines: its first lines.

    Returns:
        ``["array"]`` or ``["lines"]``.
    """
    return ["array" if _starts_array(_first_line(lines)) else "lines"]


def last_object_end(data: bytearray, first: bool) -> int:
    """Where the last object certainly ends; see `Format.last_end`.

    Args:
        data: bytes of a file.
        first: whether they are its first ones.

    Returns:
        The end of the last line; 0 for an array, which is read whole.
    """
    end = last_line_end(data, first)
    with suppress(DataError):  # what is not UTF-8 is left to the reader
        start = _first_line(Lines([bytes(data[:end])], "")) if first else "{}"
        if is_blank(start) or _starts_array(start):  # blank lines do not tell yet
            return 0
    return end
