"""Hostile bytes for a reader: valid files damaged in every way, and bytes from nothing.

A test names its reader's seeds (valid files) and words (what the format knows), and hands over a function that reads:

    def test_columns() -> None:
        fuzz("columns", read, seeds=[b"Ada B-PER\\n"], words=[b"-DOCSTART-"])

`read(content, draw)` gives anything or raises a `SeqkitError`; it also asserts what has to hold of what it gives. What
it chooses itself (a format, a block size) it draws from `draw`. Another exception, more memory than is allowed, or a
minute without an end is a finding: it is printed with the number of its case and its bytes.

``SEQKIT_FUZZ_CASES=100000`` runs so many cases of every reader (``make fuzz``), 2,000 by default.
``SEQKIT_FUZZ_CASE=columns:1234`` runs that one alone: name, number, seeds and words are all that a case depends on.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import re
import signal
import sys
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seqkit.errors import SeqkitError

Read = Callable[[bytes, random.Random], object]

SECONDS = 60
"""after which a case hangs: none takes a tenth of a second"""
LONGEST = 1 << 16
"""bytes of a case"""
LONGEST_MESSAGE = 2_000
"""characters of what a user is told, as `SeqkitError` has it"""
MEMORY_EVERY = 20
"""the last case of so many is measured: to count what is allocated makes a case several times as slow"""
SPARE_BYTES = 4 << 20
"""allowed beside the multiple of the input: buffers, tables that are made once, the messages of an exception"""

SPARE_ADDRESSES = 1 << 29
"""bytes that the system lends a case: threads and their heaps may take hundreds of MB, a reader of so little no more"""

WORDS = (
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b" ", b"\0", b'"', b"'", b",", b"\\", b"/", b"-", b"#", b"="),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x1a"),
    *(
        odd.encode()
        for odd in ("\u2028", "\x85", "\xa0", "\u3000\x0b\x0c\x1c", "²", "٣", "é", "e\u0301", "\u0301", "\u202e")
    ),
    *("\U0001f469\u200d\U0001f467".encode(), "\U0010ffff".encode()),
)
NUMBERS = (
    *(
        b"0",
        b"-0",
        b"-1",
        b"1",
        b"2",
        b"255",
        b"256",
        b"65536",
        b"2147483648",
        b"9223372036854775808",
        b"1000000000000",
    ),
    *(b"-9223372036854775809", b"1e999", b"-1e999", b"NaN", b"nan", b"inf", b"-Infinity", b"1e-999", b"0.5", b"1_0"),
    *(b"0x10", b"00", b"+1", b"1.", "²".encode(), "٣".encode(), b"9" * 400, b"9" * 5000),
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def cases() -> int:
    """How many cases a reader gets."""
    return int(os.environ.get("SEQKIT_FUZZ_CASES", "2000"))


# --- what a case reads --------------------------------------------------------------------------------------------


def make_case(name: str, number: int, seeds: Sequence[bytes], words: Sequence[bytes]) -> tuple[bytes, random.Random]:
    """The bytes of one case, and the source of what else it chooses. The first cases are the seeds themselves."""
    draw = random.Random(f"{name}:{number}")
    if number < len(seeds):
        return seeds[number], draw
    words = [*words, *WORDS]
    if not seeds or draw.random() < 0.1:
        return _from_nothing(draw, words), draw
    damage = _Damage(draw, seeds, words)
    for _ in range(min(12, 1 + int(draw.expovariate(0.5)))):
        draw.choice(_CHANGES)(damage)
    return bytes(damage.content[:LONGEST]), draw


def _from_nothing(draw: random.Random, words: Sequence[bytes]) -> bytes:
    if draw.random() < 0.3:
        return draw.randbytes(draw.randrange(200))
    return b"".join(draw.choices([*words, *NUMBERS[:-2]], k=draw.randrange(40)))


class _Damage:
    """A seed, and what can happen to it."""

    def __init__(self, draw: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
        self.draw = draw
        self.seeds = seeds
        self.words = words
        self.content = bytearray(draw.choice(seeds))

    def _place(self) -> int:
        return self.draw.randrange(len(self.content) + 1)

    def _slice(self, *lengths: int) -> slice:
        begin = self._place()
        return slice(begin, begin + self.draw.randrange(self.draw.choice(lengths) + 1))

    def flip_a_bit(self) -> None:
        if self.content:
            self.content[self.draw.randrange(len(self.content))] ^= 1 << self.draw.randrange(8)

    def insert_bytes(self) -> None:
        self.content[self._slice(0)] = self.draw.randbytes(self.draw.choice((1, 1, 2, 4, 16)))

    def put_a_word(self) -> None:
        self.content[self._slice(0, 0, 1, 8)] = self.draw.choice(self.words)

    def change_a_number(self) -> None:
        found = [match.span() for match in _NUMBER.finditer(self.content)]
        if found:
            self.content[slice(*self.draw.choice(found))] = self.draw.choice(NUMBERS)

    def delete(self) -> None:
        del self.content[self._slice(1, 4, 40)]

    def cut(self) -> None:
        place = self._place()
        del self.content[slice(place, None) if self.draw.random() < 0.7 else slice(place)]

    def repeat(self) -> None:
        where = self._slice(1, 8, 80)
        self.content[where] = (self.content[where] * self.draw.choice((2, 3, 10, 100)))[:LONGEST]

    def splice(self) -> None:
        other = self.draw.choice(self.seeds)
        self.content[self._place() :] = other[self.draw.randrange(len(other) + 1) :]

    def move_a_line(self) -> None:
        lines = bytes(self.content).splitlines(keepends=True)
        if lines:
            line = lines.pop(self.draw.randrange(len(lines)))
            lines.insert(self.draw.randrange(len(lines) + 1), line)
            self.content[:] = b"".join(lines)

    def change_line_ends(self) -> None:
        ends = (b"\r", b"\r\n", b"\n\n", b"\n \n", b" ", b"\0")
        self.content[:] = self.content.replace(b"\n", self.draw.choice(ends))


_CHANGES: tuple[Callable[[_Damage], None], ...] = (
    *(_Damage.put_a_word, _Damage.put_a_word, _Damage.put_a_word, _Damage.change_a_number, _Damage.change_a_number),
    *(_Damage.flip_a_bit, _Damage.insert_bytes, _Damage.delete, _Damage.cut, _Damage.repeat, _Damage.splice),
    *(_Damage.move_a_line, _Damage.change_line_ends),
)


def put(file: Path, content: bytes) -> None:
    """Write the file of a case; one that is emptied first is flushed to the disk by some systems, case after case."""
    with open(file, "r+b" if file.exists() else "wb") as stream:
        stream.write(content)
        stream.truncate()


# --- what may come of it ------------------------------------------------------------------------------------------


@dataclass
class _Outcome:
    """What came of a reader's cases: how many were read and refused, and each different finding with its first case."""

    read: int = 0
    refused: int = 0
    findings: dict[str, str] = field(default_factory=dict)


def fuzz(
    name: str, read: Read, *, seeds: Sequence[bytes] = (), words: Sequence[bytes] = (), multiple: float = 1_000
) -> None:
    """Run all cases of a reader, and fail with every different finding.

    Args:
        name: the reader's, from which its cases follow.
        read: reads bytes: gives anything, or raises a `SeqkitError`.
        seeds: valid inputs.
        words: what inputs of this kind are made of.
        multiple: bytes of memory that a byte of input may take, beside `SPARE_BYTES`.
    """
    alone = os.environ.get("SEQKIT_FUZZ_CASE", "")
    wanted, _, number = alone.rpartition(":")
    if alone and wanted != name:
        pytest.skip(f"only {alone} was asked for")
    outcome = _Outcome()
    began = time.perf_counter()
    watched = 0.0
    try:
        for case in [int(number)] if alone else range(cases()):
            if time.monotonic() > watched + 1:  # the watchdog is a thread, which takes longer to start than most cases
                faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=sys.__stderr__)
                watched = time.monotonic()
            _run(name, case, read, seeds, words, multiple, outcome)
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds = time.perf_counter() - began
    found = f"{outcome.read} read, {outcome.refused} refused, {len(outcome.findings)} different findings"
    print(f"fuzz {name}: {1 if alone else cases():,} cases in {seconds:.0f} s, {found}")
    assert not outcome.findings, "\n\n".join(outcome.findings.values())


def _run(
    name: str,
    number: int,
    read: Read,
    seeds: Sequence[bytes],
    words: Sequence[bytes],
    multiple: float,
    outcome: _Outcome,
) -> None:
    content, draw = make_case(name, number, seeds, words)
    allowed = multiple * len(content) + SPARE_BYTES
    try:
        with (
            _alarm(),
            limited_addresses(),
            limited_memory(allowed if number % MEMORY_EVERY == MEMORY_EVERY - 1 else None),
        ):
            try:
                read(content, draw)
                outcome.read += 1
            except SeqkitError as error:
                outcome.refused += 1
                assert str(error).strip(), "expected a message, found none"
                assert len(str(error)) <= LONGEST_MESSAGE, (
                    f"expected a short message, found {len(str(error))} characters"
                )
    except (Exception, Hanging) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {place.filename}:{place.lineno}"
        shown = repr(content) if len(content) < 2_000 else f"{content[:2_000]!r}… ({len(content)} bytes)"
        message = "".join(traceback.format_exception(error, limit=-6))
        finding = f"{name}:{number}: {message}of the bytes {shown}\nSEQKIT_FUZZ_CASE={name}:{number} repeats it"
        outcome.findings.setdefault(kind, finding)


@contextlib.contextmanager
def limited_addresses() -> Iterator[None]:
    """Let the system refuse memory that a header or a setting asks for, whichever library asks for it."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + SPARE_ADDRESSES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class Hanging(BaseException):
    """A case that does not end; no `Exception`, which a reader might take for one of its own."""


@contextlib.contextmanager
def limited_time() -> Iterator[None]:
    """Raise `Hanging` in Python code that goes on for too long; end the process with a traceback where C code does."""
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=sys.__stderr__)
    try:
        with _alarm():
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGALRM, _hang)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _hang(*_: object) -> None:
    raise Hanging(f"expected an end within {SECONDS} seconds")


@contextlib.contextmanager
def limited_memory(allowed: float | None) -> Iterator[None]:
    """See that no more is allocated at any time; None not to look."""
    if allowed is None:
        yield
        return
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= allowed, f"expected at most {allowed:,.0f} bytes of memory, found {peak:,}"
