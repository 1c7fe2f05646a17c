"""A process that is forked after a model was used, by threads that it does not have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from four_tasks import tagger

from seqkit import devices
from seqkit.errors import SettingsError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PREDICTING = """
import multiprocessing, os, signal, sys, warnings
warnings.simplefilter("ignore")  # newer versions of Python warn of forks beside threads
import torch
sys.path.insert(0, FOLDER)
from four_tasks import CHARACTERS, TASKS, answers, texts

assert torch.get_num_threads() == 2
wide = {"embedding": {"word_size": 64}, "encoder": {"hidden": 64}}
made = {name: TASKS[name][0](wide) for name in ("tag", "lm")}

def use():
    return [[labels(x) for x in TASKS[name][1](model, texts(60))] for name, model in made.items()]

def labels(found):
    return found[:2] if isinstance(found[1], list) else (found[0], found[1])

def rounded(rows):
    return [[[round(v, 3) if isinstance(v, float) else v for v in row] for row in each] for each in rows]

expected = rounded(use())  # with both threads

def child(seconds=40):
    signal.alarm(seconds)
    assert rounded(use()) == expected
"""

FORKING = {
    "multiprocessing, then os.fork, several at once, and from one of them": """
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.map(child, [40, 40, 40])
pids = []
for number in range(3):
    pid = os.fork()
    if not pid:
        child()
        if not os.fork():
            child()
            os._exit(0)
        assert os.wait()[1] == 0
        os._exit(0)
    pids.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
""",
    "during training, and training in the child": """
import tempfile
from pathlib import Path
from seqkit.training.learner import RecordLearner
sys.path.insert(0, str(Path(FOLDER).parent.parent))
from tests.training.together import data_of, settings_of
from seqkit.training.run import run

plain, statuses = RecordLearner.evaluate, []
SHORT = {"training": {"epochs": 1}, "head": {"baseline": False}}

def evaluate(learner):
    if not statuses:
        pid = os.fork()
        if not pid:
            child()
            statuses.append(None)
            run(settings_of("classify", folder, SHORT), folder / "child", data_of("classify"), device="cpu")
            os._exit(0)
        statuses.append(os.waitpid(pid, 0)[1])
    return plain(learner)

RecordLearner.evaluate = evaluate
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    run(settings_of("classify", folder, SHORT), folder / "parent", data_of("classify"), device="cpu")
assert statuses == [0]
""",
}


@pytest.mark.parametrize("forking", FORKING)
def test_a_forked_process_predicts_as_the_one_before_it(forking: str) -> None:
    code = f"FOLDER = {str(Path(__file__).parent)!r}{PREDICTING}{FORKING[forking]}\nassert rounded(use()) == expected\n"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert found.returncode == 0, found.stderr


def test_a_gpu_cannot_be_used_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused in the process that was forked, however deep, and goes on in the other one."""
    tagger()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    pid = os.fork()
    if not pid:
        torch.cuda.is_initialized = lambda: False
        if not os.fork():
            os._exit(0 if _refusal().startswith("a process that was forked from one that had used a GPU ") else 1)
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]) or (0 if _refusal() else 1))
    assert os.waitpid(pid, 0)[1] == 0
    assert _refusal() == ""


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_no_name_of_a_gpu_is_a_way_around(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices.choose_device(name).type == "cuda"
    monkeypatch.setattr(devices, "_gpu_before_fork", True)
    with pytest.raises(SettingsError, match="a process that was forked from one that had used a GPU cannot use it"):
        devices.choose_device(name)


def _refusal() -> str:
    try:
        devices.check_fork(torch.device("cuda"))
    except SettingsError as error:
        return str(error)
    return ""
