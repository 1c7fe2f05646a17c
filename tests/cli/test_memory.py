"""Memory of a long prediction goes back to the system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqkit.serving import process


@pytest.mark.parametrize(("resident", "given_back"), [([0, 10], 0), ([0, 97 << 20], 1), ([0, 97 << 20, 1], 1)])
def test_what_is_free_is_given_back_as_it_becomes_much(
    resident: list[int], given_back: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Library:
        def __init__(self, name: None) -> None:
            self.malloc_trim = asked.append

    monkeypatch.setattr(process.ctypes, "CDLL", Library)
    monkeypatch.setattr(process, "_resident", lambda: resident.pop(0))
    give_back = process.memory_returner()
    while resident:
        give_back()
    assert asked == [0] * given_back


@pytest.mark.parametrize("fault", [TypeError, OSError, AttributeError])
def test_other_systems_are_left_alone(fault: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise fault

    monkeypatch.setattr(process.ctypes, "CDLL", refuse)
    process.memory_returner()()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_resident_memory_is_that_of_this_process() -> None:
    assert 1 << 20 < process._resident() < 1 << 40


def test_a_number_of_kernels_that_the_user_chose_stays() -> None:
    code = "import os; from seqkit.serving.process import bound_kernels; bound_kernels(); print(os.environ['%s'])"
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    for given, expected in (({}, "64"), ({name: "7"}, "7")):
        environment = {key: value for key, value in os.environ.items() if key != name} | given
        result = subprocess.run(
            [sys.executable, "-c", code % name], env=environment, capture_output=True, text=True, check=True
        )
        assert result.stdout == f"{expected}\n"
