"""A run may end or fail at any call that changes a file: the old model is there or the new one, and it can go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.every_point import FAULTS, SCENARIOS, Lives

EVERY = {"fresh": 15, "force": 12, "resume": 15, "n-grams": 12, "compare": 100}
"""one point in so many is tried here; ``benchmarks/every_point.py`` tries all"""


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_that_ends_or_fails_anywhere_loses_nothing(scenario: str, processes: Any, tmp_path: Path) -> None:
    if scenario == "compare":
        pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")
    lives = Lives(processes, tmp_path, scenario)
    assert {point.split()[0] for point in lives.points} >= {"open", "write", "fsync", "rename", "remove"}
    wrong = [lives.check(fault, at) for fault, at in lives.faults_at(EVERY[scenario])]
    assert [one for one in wrong if one] == []
    assert len(wrong) >= 2 * len(FAULTS)
