"""The frame finds what it is there to find, and finds it again by its number."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import harness
import pytest
import torch

from seqkit.errors import SeqkitError


def refuse(content: bytes, draw: random.Random) -> None:
    raise SeqkitError("expected more")


def refuse_without_a_word(content: bytes, draw: random.Random) -> None:
    raise SeqkitError("")


def fail(content: bytes, draw: random.Random) -> None:
    raise IndexError(len(content))


def hang(content: bytes, draw: random.Random) -> None:
    while True:
        time.sleep(0.01)


def hoard(content: bytes, draw: random.Random) -> None:
    bytearray(1 << 24)


def borrow(content: bytes, draw: random.Random) -> None:
    torch.empty(1 << 30, dtype=torch.uint8)  # which Python does not know of


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (refuse_without_a_word, "expected a message, found none"),
        (fail, "IndexError: 1"),
        (hang, "Hanging: expected an end within 0.2 seconds"),
        (hoard, "bytes of memory, found 16,7"),
        (borrow, "can't allocate memory"),
    ],
)
def test_findings(read: Callable[[bytes, random.Random], None], found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "SECONDS", 0.2)
    monkeypatch.setattr(harness, "MEMORY_EVERY", 1)
    monkeypatch.setenv("SEQKIT_FUZZ_CASES", "1")
    monkeypatch.delenv("SEQKIT_FUZZ_CASE", raising=False)
    with pytest.raises(AssertionError) as caught:
        harness.fuzz("it", read, seeds=[b"a"])
    assert found in str(caught.value)
    assert "of the bytes b'a'\nSEQKIT_FUZZ_CASE=it:0 repeats it" in str(caught.value)
    harness.fuzz("it", refuse, seeds=[b"a"])


def test_a_case_is_found_again_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setenv("SEQKIT_FUZZ_CASES", "50")
    monkeypatch.delenv("SEQKIT_FUZZ_CASE", raising=False)
    harness.fuzz("it", lambda content, draw: seen.append(content), seeds=[b"a 1\n"], words=[b"O"])
    monkeypatch.setenv("SEQKIT_FUZZ_CASE", "it:31")
    harness.fuzz("it", lambda content, draw: seen.append(content), seeds=[b"a 1\n"], words=[b"O"])
    assert len(seen) == 51
    assert (seen[0], seen[50]) == (b"a 1\n", seen[31])
    assert len(set(seen)) > 30
