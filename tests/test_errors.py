"""The family of errors, and what out of memory looks like."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seqkit.errors import DataError, SeqkitError, file_errors, is_out_of_memory, listed, shown

HUGE = 1 << 46


@pytest.mark.parametrize("allocate", [lambda: torch.empty(HUGE), lambda: np.empty(HUGE), lambda: bytearray(HUGE)])
def test_what_allocators_raise_is_out_of_memory(allocate: Callable[[], object]) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        allocate()
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("could not create a primitive"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_what_libraries_say_is_out_of_memory(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2"),
        RuntimeError("could not create a primitive descriptor for an LSTM"),
        OSError(errno.ENOSPC, "full"),
        ValueError("9"),
        EOFError(),
    ],
)
def test_other_faults_are_not(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_errors_need_no_torch() -> None:
    code = "import sys, seqkit.errors; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_data_error_says_where() -> None:
    assert str(DataError("expected a, found b", file="x.txt", line=3)) == "x.txt:3: expected a, found b"
    assert isinstance(DataError("a"), SeqkitError)


def test_what_the_system_says_of_a_file_is_a_data_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    with pytest.raises(DataError) as caught, file_errors("cannot be read", missing):
        missing.read_bytes()
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory"
    assert caught.value.file == missing
    with pytest.raises(DataError, match=r"^cannot be kept: reason$"), file_errors("cannot be kept"):
        raise OSError("reason")
    with pytest.raises(ValueError, match=r"^another$"), file_errors("cannot be read", missing):
        raise ValueError("another")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", "'a\\nb'"),
        ([1, 2], "[1, 2]"),
        ("x" * 100, "'" + "x" * 79 + "…"),
        (ValueError("a\n b"), "a b"),
        (ValueError(), "ValueError"),
    ],
)
def test_what_is_shown_of_a_value(value: object, text: str) -> None:
    assert shown(value) == text


def test_what_is_shown_of_lists_too_deep() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "a list"
    while deep:  # one by one: all at once would be as deep
        deep = deep.pop()  # type: ignore[assignment]


def test_what_is_shown_of_a_number_too_long_to_be_written() -> None:
    assert shown(16**5000) == "a int"


def test_faults_are_listed_to_a_message_of_bounded_length() -> None:
    assert listed([]) == ""
    assert listed(["a", "b"]) == "a; b"
    assert listed([str(number) for number in range(1_010)]) == "0; 1; 2; 3; 4; 5; 6; 7; and 1,002 more"
    assert listed(["x" * 400, "y" * 400, "z" * 400]) == "x" * 400 + "; " + "y" * 400 + "; and 1 more"
    assert listed(["x" * 10**6]) == "x" * 1_000 + "…"


@pytest.mark.parametrize("make", [SeqkitError, lambda message: DataError(message, file="f", line=3)])
def test_of_a_long_message_the_middle_is_left_out(make: type[SeqkitError]) -> None:
    before = str(make(""))
    assert str(make("x" * (2_000 - len(before)))) == before + "x" * (2_000 - len(before))
    text = str(make("a" * 5_000 + "b" * 5_000))
    assert text == f"{before}{'a' * (1_900 - len(before))} … {'b' * 97}"
    assert len(text) == 2_000
