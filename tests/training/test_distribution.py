"""Several processes take the steps that one takes with the whole batch, keep equal weights, stop and go on together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

import seqkit
from seqkit.corpora.samples import generate
from seqkit.errors import SeqkitError, SettingsError, TrainingError
from seqkit.torchrun import Launch, first_to_tell
from seqkit.training.checkpoint import read_checkpoint
from seqkit.training.distribution import ALONE, Group
from seqkit.training.run import run
from tests.training.together import DROPOUT, SMALL, STEPS, TASKS, data_of, settings_of, train_all

ROOT = Path(seqkit.__file__).resolve().parent.parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
CPU = torch.device("cpu")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def write_data(folder: Path) -> None:
    """A sample in columns."""
    folder.mkdir()
    for split, sentences in generate("sample-ner", {"train": 53, "dev": 5}, seed=1).items():
        blocks = (zip(each.tokens, each.columns["ner"], strict=True) for each in sentences)
        text = "\n".join("".join(f"{token}\t{label}\n" for token, label in block) for block in blocks)
        (folder / f"{split}.conll").write_text(text, encoding="utf-8")


def train_and_kill(folder: Path) -> subprocess.CompletedProcess[str]:
    """A training on the command line by two processes, the second of which is killed after two epochs."""
    tree = {section: {**SMALL[section], **DROPOUT[section]} for section in SMALL}
    sets = [f"--set={section}.{name}={json.dumps(tree[section][name])}" for section in tree for name in tree[section]]
    command = [*TORCHRUN, "-m", "seqkit", "tag", "train", "data", "-o", "killed", "--device=cpu", *sets]
    process = subprocess.Popen(
        [*command, "--epochs=100000"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("epoch   2/"):
            break
    children = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    (second,) = [child for child in children if b"\0RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes()]
    os.kill(second, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, "".join(lines) + err)


def train_together(folder: Path) -> list[dict[str, Any]]:
    """What each of two processes finds."""
    command = [*TORCHRUN, ROOT / "tests" / "training" / "together.py", folder]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


# --- real processes ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux to find the process to be killed")
def test_two_processes_do_what_one_does_and_end_together(tmp_path: Path) -> None:
    """One test, so that the processes are started once, wherever the suite is shared out to."""
    write_data(tmp_path / "data")
    killed = train_and_kill(tmp_path)
    check_that_one_line_tells_of_the_end(killed)
    checkpoint = read_checkpoint(tmp_path / "killed")
    assert checkpoint is not None
    (tmp_path / "epochs").write_text(str(checkpoint[1]["counters"]["epoch"] + 1))
    alone = train_all(tmp_path / "alone")
    together = train_together(tmp_path)
    for task in TASKS:
        check_that_losses_are_those_of_one_process(task, alone[task], [found["tasks"][task] for found in together])
        check_that_the_first_writes(task, tmp_path / "several", [found["tasks"][task] for found in together])
    for task in ("tag", "lm"):
        check_that_what_was_interrupted_goes_on(task, tmp_path, [found[f"dropped {task}"] for found in together])
    assert together[0]["dropped tag"]["losses"][:5] != alone["tag"]["losses"][:5]
    # What was killed went on as if nothing had been.
    resumed, whole = together[0]["killed"]
    assert resumed == whole
    assert together[1]["killed"] == [resumed, whole]
    check_faults(tmp_path, [found["faults"] for found in together])


def check_that_one_line_tells_of_the_end(killed: subprocess.CompletedProcess[str]) -> None:
    """The rest of standard error is torchrun's."""
    assert killed.returncode == 1
    assert killed.stdout == ""
    told = [line for line in killed.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1, killed.stderr  # shown whole, should the line ever be missing
    (line,) = told
    assert line.startswith("error: one of the 2 processes that train together is gone: ")
    ours = killed.stderr[: killed.stderr.index(line)]
    assert "Traceback" not in ours
    assert ours.count("epoch   1/") == 1


def check_that_losses_are_those_of_one_process(
    task: str, alone: dict[str, Any], together: list[dict[str, Any]]
) -> None:
    assert len(alone["losses"]) == STEPS
    for found in together:
        assert found["losses"] == pytest.approx(alone["losses"], abs=1e-5, rel=1e-6), task
        assert found["resting"] == alone["resting"], task
    assert (len(set(alone["resting"])) > 1) == (task == "lm")
    shares = list(zip(*(found["units"] for found in together), strict=True))
    assert [sum(pair) for pair in shares] == alone["units"]
    assert any(first != second for first, second in shares), task
    if task in ("tag", "lm alone"):
        assert any(second == 0 for _, second in shares), task


def check_that_the_first_writes(task: str, several: Path, together: list[dict[str, Any]]) -> None:
    first, second = together
    assert first["weights"] == second["weights"], task
    assert (first["splits"], second["splits"]) == (["dev"], [])
    assert first["scores"] == second["scores"] != {}
    lines = (several / task / "train.jsonl").read_text().splitlines()
    assert len(lines) == settings_of(task, several).training.epochs


def check_that_what_was_interrupted_goes_on(task: str, folder: Path, together: list[dict[str, Any]]) -> None:
    """By a signal to the second process alone; it and the first end after the next step."""
    first, second = together
    assert first["stopped"] == second["stopped"] == "interrupted with -1 steps left"
    assert first["weights"] == second["weights"]
    assert first["weights"][0] == first["weights"][1]
    assert first["losses"] == second["losses"]
    assert first["random"] != second["random"]  # each draws masks of its own
    checkpoint = read_checkpoint(folder / "several" / f"dropped {task}" / "parts")
    assert checkpoint is not None
    tensors, state = checkpoint
    assert state["fingerprint"]["processes"] == 2
    assert not torch.equal(tensors["random.cpu"], tensors["process.1.random.cpu"])
    carried = {name: len(tensor) for name, tensor in tensors.items() if "carried." in name}
    streams = {f"{own}carried.0.{part}": rows for own, rows in (("", 2), ("process.1.", 1)) for part in (0, 1)}
    assert carried == (streams if task == "lm" else {})


def check_faults(folder: Path, together: list[list[str]]) -> None:
    suffix = "; start again with --force"
    for other_number, counting, _ in together:
        where = folder / "alone" / "tag"
        assert other_number == f"TrainingError: {where}: expected a checkpoint with processes = 2, found 1{suffix}"
        assert counting == "SettingsError: n-grams are counted by one process, and 2 were started"
    assert not (folder / "several" / "n").exists()
    assert together[1][2] == (
        "TrainingError: training records must be the same in all processes: it is 53 in the first and 52 in process 1"
    )
    assert together[0][2].startswith("ProcessLost: one of the 2 processes that train together is gone: ")
    where = folder / "several" / "tag"
    with pytest.raises(TrainingError) as caught:
        run(settings_of("tag", folder / "several"), where, data_of("tag"), device="cpu", resume=True)
    assert str(caught.value) == f"{where}: expected a checkpoint with processes = 1, found 2{suffix}"


# --- this process alone ------------------------------------------------------------------------------------------


def test_in_a_group_of_one_all_stays_as_it_is() -> None:
    layer = nn.Linear(2, 1)
    loss = layer(torch.ones(3, 2)).sum()
    loss.backward()
    gradients = [parameter.grad for parameter in layer.parameters()]
    found = ALONE.add_up(list(layer.parameters()), loss, 3, 6, (True, False))
    assert (found.units, found.tokens, found.asked) == (3, 6, (True, False))
    assert torch.equal(found.loss, loss.detach())
    assert not found.loss.requires_grad
    assert all(one.grad is other for one, other in zip(layer.parameters(), gradients, strict=True))
    value, tensors = {"x": object()}, {"y": torch.ones(1)}
    assert ALONE.tell(value, tensors) == (value, tensors)
    assert ALONE.collect(tensors) == [tensors]
    assert (ALONE.any(True), ALONE.any(False), ALONE.is_first, [7, 8][ALONE.share]) == (True, False, True, [7, 8])


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`launched(RANK=1, …)`: as ``torchrun`` would start the second of two processes."""

    def set_all(**changed: object) -> None:
        usual = {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "localhost"}
        for name, value in {**usual, "MASTER_PORT": 1, **changed}.items():
            monkeypatch.setenv(name, str(value))

    return set_all


def test_where_a_process_stands_is_what_torchrun_says(launched: Callable[..., None]) -> None:
    assert Launch.from_environment() == Launch(0, 1, 0, 1)
    launched(RANK=5, WORLD_SIZE=6)
    launch = Launch.from_environment()
    assert launch == Launch(5, 6, 1, 2)
    assert list(range(20))[Group(launch, CPU).share] == [5, 11, 17]
    assert launch.command == "torchrun --nnodes 3 … --nproc-per-node 2 -m seqkit"
    assert Launch(0, 2, 0, 2).command == "torchrun --nproc-per-node 2 -m seqkit"
    assert Launch().command == "seqkit"


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_half_of_what_torchrun_says_is_refused(name: str, launched: Callable[..., None]) -> None:
    launched(**{name: ""})
    with pytest.raises(SettingsError) as caught:
        Launch.from_environment()
    assert str(caught.value) == f"expected {name} as torchrun sets it, found ''"
    assert first_to_tell()  # whoever cannot ask tells


def devices_of(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    devices_of(monkeypatch, 2)
    for name in ("auto", "cuda"):
        assert [Launch(2 + k, 4, k, 2).device(name) for k in range(2)] == [torch.device("cuda", k) for k in range(2)]
    assert Launch(1, 2, 1, 2).device("cpu") == CPU
    assert Launch(1, 2, 0, 1).device("cuda:1") == torch.device("cuda:1")  # alone on its machine
    assert Launch().device("cuda") == torch.device("cuda")


@pytest.mark.parametrize(
    ("count", "name", "message"),
    [
        (1, "auto", "2 processes need a GPU each, found 1; start fewer, or use --device cpu"),
        (
            *(2, "cuda:0"),
            "2 processes need a GPU each, found only cuda:0; "
            "use --device cuda, and CUDA_VISIBLE_DEVICES to choose GPUs",
        ),
    ],
)
def test_processes_cannot_share_a_gpu(count: int, name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    devices_of(monkeypatch, count)
    with pytest.raises(SettingsError) as caught:
        Launch(1, 2, 1, 2).device(name)
    assert str(caught.value) == message


def test_apples_gpu_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    with pytest.raises(SettingsError) as caught:
        Launch(1, 2, 1, 2).device("mps")
    assert str(caught.value) == "several processes need the device cpu or cuda, found mps"


def test_the_first_that_asks_may_tell(launched: Callable[..., None]) -> None:
    assert first_to_tell()
    assert first_to_tell()  # a process alone always may
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    launched(MASTER_PORT=store.port)
    assert [first_to_tell() for _ in range(3)] == [True, False, False]
    launched(MASTER_PORT=store.port, TORCHELASTIC_RESTART_COUNT=1)
    assert [first_to_tell() for _ in range(3)] == [True, False, False]


def test_processes_that_do_not_find_each_other_are_a_fault(
    launched: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no route")

    launched()
    monkeypatch.setattr(dist, "init_process_group", fail)
    with pytest.raises(SeqkitError) as caught:
        run(settings_of("tag", tmp_path), tmp_path / "m", data_of("tag"), device="cpu")
    assert str(caught.value) == "cannot connect the 2 processes: no route"
