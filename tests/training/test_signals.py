"""Signals that are noted while training, and those that are none of its business."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqkit.training.signals import Signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process there cannot send itself signals")


ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture(params=ENDS, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    before = signal.getsignal(request.param)
    if before is signal.SIG_IGN:  # as nohup starts a process
        signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_is_noted(number: signal.Signals) -> None:
    signals, before = Signals(), signal.getsignal(number)
    with signals.noted():
        os.kill(os.getpid(), number)
        assert signals.number == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_from_the_start_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    signals = Signals()
    with signals.noted():
        os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_IGN
    assert (signals.number, signal.getsignal(number)) == (0, signal.SIG_IGN)


def test_of_two_signals_the_other_is_noted() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with (signals := Signals()).noted():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
        assert signals.number == signal.SIGTERM
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_a_run_in_the_background_goes_on_where_others_are_interrupted(tmp_path: Path) -> None:
    flags = ["--epochs=2", "--hidden=2", "--batch-size=64", "--threads=1", "--device=cpu"]
    words = [sys.executable, "-m", "seqkit", "tag", "train", "sample-ner", "-o", str(tmp_path / "model"), *flags]
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *words]
    with subprocess.Popen(shell, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("epoch   1/2"):
                break
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert (tmp_path / "model" / "config.json").is_file()
