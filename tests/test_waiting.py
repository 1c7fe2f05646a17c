"""Signals act in the midst of long calls of compiled code: a process that is told to end does so at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from seqkit.waiting import interruptible, is_left

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

BYTE_PAIRS = ["lm", "train", "--unit", "bpe", "--set", "data.bpe_size=30000"]
NATIVE = """
import hashlib, sys
def native(*arguments, **options):  # minutes in one call
    print("inside", file=sys.stderr)
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 10**9)
"""
COUNTING = f"""{NATIVE}
import seqkit.ngram.kneser_ney
seqkit.ngram.kneser_ney.count_ngrams = native
from seqkit.cli.main import main
sys.exit(main())
"""
FITTING = f"""{NATIVE}
import seqkit.heads.classification.baseline as baseline
from seqkit.cli.main import main
import seqkit.training.run
def run(*arguments, **options):
    codec = baseline.ClassCodec.build([["x"], ["y"]])
    baseline._fit = native
    baseline.TfidfBaseline(codec, [["a"], ["b"]], [[0], [1]], [["a"]], [["x"]])
seqkit.training.run.run = run
sys.exit(main())
"""


def test_what_is_called_gives_and_raises_as_ever() -> None:
    assert interruptible(lambda: 7) == 7
    with pytest.raises(MemoryError, match=r"^none left$"):
        interruptible(lambda: (_ for _ in ()).throw(MemoryError("none left")))
    assert interruptible(threading.current_thread) is not threading.main_thread()
    # In another thread, which gets no signals, nothing is won by a further one.
    assert interruptible(lambda: interruptible(threading.current_thread) is threading.current_thread())


def test_a_signal_leaves_the_call_alone() -> None:
    release = threading.Event()
    threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(release.wait)
    assert is_left()
    release.set()
    for _ in range(1000):
        if not is_left():
            break
        time.sleep(0.01)
    assert not is_left()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize(
    ("script", "arguments", "inside", "number"),
    [
        (None, BYTE_PAIRS, "learning at most 30,000 byte pairs", signal.SIGINT),
        (None, BYTE_PAIRS, "learning at most 30,000 byte pairs", signal.SIGTERM),
        (COUNTING, ["lm", "train", "--ngram", "2"], "inside", signal.SIGINT),
        (FITTING, ["classify", "train"], "inside", signal.SIGINT),
    ],
    ids=["byte pairs", "byte pairs, SIGTERM", "n-grams", "baseline"],
)
def test_a_process_ends_in_the_midst_of_a_long_call(
    script: str | None, arguments: list[str], inside: str, number: int, tmp_path: Path
) -> None:
    """Each call would take minutes; SIGTERM ends a process that has nothing to save, as the system does it."""
    draw = random.Random(1)
    long = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=4_000_000)) if script is None else "to be or not"
    (tmp_path / "text.txt").write_text(f"{long}\nto be or not to be\n" + "a b\n" * 20, encoding="utf-8")
    start = ["-m", "seqkit"] if script is None else ["-c", script]
    command = [sys.executable, *start, *arguments, str(tmp_path / "text.txt"), "-o", str(tmp_path / "model")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=tmp_path) as process:
        assert process.stderr is not None
        said = iter(process.stderr.readline, "")
        try:
            assert any(inside in line for line in said)
            time.sleep(0.5)
            process.send_signal(number)
            assert process.wait(timeout=20) == (130 if number == signal.SIGINT else -number)
        finally:
            process.kill()
        rest = process.stderr.read()
    assert rest == ("interrupted before the first checkpoint\n" if number == signal.SIGINT else "")
