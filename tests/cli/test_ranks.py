"""``torchrun … -m seqkit``: prediction shared by rank, everything else done by the first process alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.distributed import TCPStore

from seqkit.cli.main import main

Run = Callable[..., Any]  # the fixture `run`

START = """
import sys
from seqkit.cli.main import main
from seqkit.formats.blocks import cut

cut.__defaults__ = (700,)
sys.exit(main())
"""
LAUNCHED = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
"""what both of two processes find in their environment; there is nobody at that port"""

Launch = Callable[..., list[subprocess.Popen[str]]]


@pytest.fixture
def launch() -> Any:
    """Starts the processes that ``torchrun --nproc-per-node 2`` would, each with its own arguments if need be."""
    started: list[subprocess.Popen[str]] = []
    stores: list[TCPStore] = []

    def start(*arguments: object, second: tuple[object, ...] | None = None) -> list[subprocess.Popen[str]]:
        stores.append(TCPStore("localhost", 0, is_master=True, wait_for_workers=False))  # torchrun keeps it
        for rank in range(2):
            given = second if rank and second is not None else arguments
            environment = {
                **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
                **{"MASTER_ADDR": "localhost", "MASTER_PORT": str(stores[-1].port)},
                **{"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"},
            }
            process = subprocess.Popen(
                [sys.executable, "-c", START, *map(str, given)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **environment},
            )
            started.append(process)
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


def results(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit status, output and messages of every process."""
    ended = [process.communicate(timeout=120) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, ended, strict=True)]


def test_two_ranks_tag_as_one_process_does(corpus: Path, ner_model: Path, launch: Launch, run: Run) -> None:
    files = [corpus / "train.conll", corpus / "dev.conll"]
    arguments = ["tag", "predict", *files, "-m", ner_model, "--probs", "--device", "cpu"]
    alone = run(*arguments)
    (first, output, told), second = results(launch(*arguments))
    assert (first, output) == (0, alone.out)
    assert told.startswith("72 sentences, ") and told.count("\n") == 1
    assert second == (0, "", "")


def test_a_fault_in_any_rank_is_told_by_the_first(
    corpus: Path, ner_model: Path, tmp_path: Path, launch: Launch, run: Run
) -> None:
    file = tmp_path / "in.conll"
    rows = (corpus / "train.conll").read_text().replace("\n\n", "\n\nAda\n\n", 20).split("\n\n")
    file.write_text("\n\n".join(row for number, row in enumerate(rows) if row != "Ada" or number > 25))
    alone = run("tag", "predict", file, "-m", ner_model)
    assert alone.status == 1 and alone.out.count("\n\n") > 10
    first, second = results(launch("tag", "predict", file, "-m", ner_model, "--device", "cpu"))
    assert first == (1, alone.out, alone.err)
    assert second == (0, "", "")


def test_a_file_that_only_another_rank_lacks_is_told(
    corpus: Path, ner_model: Path, tmp_path: Path, launch: Launch
) -> None:
    rest = ["-m", ner_model, "--device", "cpu"]
    missing = tmp_path / "none"
    both = launch("tag", "predict", corpus / "dev.conll", *rest, second=("tag", "predict", missing, *rest))
    first, second = results(both)
    assert first == (1, "", f"error: {missing}: cannot be read: No such file or directory\n")
    assert second == (0, "", "")


def test_a_rank_that_is_killed_is_told_by_the_first(
    corpus: Path, ner_model: Path, tmp_path: Path, launch: Launch
) -> None:
    file = tmp_path / "in.txt"
    file.write_text("Ada met him in Paris .\n" * 200_000)
    processes = launch("tag", "predict", file, "-m", ner_model, "--device", "cpu", "--input", "text")
    assert processes[0].stdout is not None
    assert processes[0].stdout.readline().startswith("Ada\t")
    processes[1].send_signal(signal.SIGKILL)
    (status, _, told), _ = results(processes)
    assert (status, told) == (1, "error: process 2 of 2 exited\n")


def test_a_closed_output_ends_all_ranks_quietly(ner_model: Path, tmp_path: Path, launch: Launch) -> None:
    file = tmp_path / "in.txt"
    file.write_text("Ada met him in Paris .\n" * 200_000)
    processes = launch("tag", "predict", file, "-m", ner_model, "--device", "cpu", "--input", "text")
    assert processes[0].stdout is not None
    processes[0].stdout.readline()
    processes[0].stdout.close()
    until = time.monotonic() + 60
    while any(process.poll() is None for process in processes):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [process.returncode for process in processes] == [0, 0]
    assert [process.stderr.read() for process in processes if process.stderr is not None] == ["", ""]


def test_files_that_differ_between_processes_are_refused(ner_model: Path, tmp_path: Path, launch: Launch) -> None:
    files = [tmp_path / name for name in ("first", "second")]  # as if an old copy stood on another machine
    for file, lines in zip(files, (60, 25), strict=True):
        file.write_text("Ada met him\n" * lines)
    first, second = (("tag", "predict", file, "-m", ner_model, "--input", "text") for file in files)
    found, _ = results(launch(*first, second=second))
    sizes = "process 1 of 2 has text of 720 bytes, process 2 has text of 300 bytes; all need the same file"
    assert found == (1, "", f"error: {files[0]}: {sizes}\n")


@pytest.mark.parametrize(
    ("files", "flags", "fault"),
    [
        ([], [], "torchrun needs files, which each of its processes can read, not standard input."),
        (["-"], [], "torchrun needs files, which each of its processes can read, not standard input."),
        (["FIFO"], [], "torchrun needs files, which each of its processes can read, not FIFO, a pipe or device."),
        (["FILE"], ["--workers", "2"], "--workers and torchrun exclude each other."),
    ],
)
@pytest.mark.parametrize("rank", [0, 1])
def test_what_ranks_cannot_share_is_told_by_the_first(
    rank: int,
    files: list[str],
    flags: list[str],
    fault: str,
    ner_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    (tmp_path / "FILE").write_text("Ada\n")
    os.mkfifo(tmp_path / "FIFO")
    monkeypatch.chdir(tmp_path)
    for name, value in {**LAUNCHED, "RANK": rank, "LOCAL_RANK": rank}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("seqkit.cli.main._first_to_tell", lambda: True)  # nobody else is there
    result = run("tag", "predict", *files, "-m", ner_model, *flags)
    if rank == 0:
        assert (result.status, result.out, result.lines[-1]) == (2, "", f"error: {fault}")
    else:
        assert (result.status, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize("arguments", [["info", "MODEL"], ["tag", "evaluate", "DATA", "-m", "MODEL"]], ids=" ".join)
def test_what_is_not_shared_the_first_does_alone(
    arguments: list[str], corpus: Path, ner_model: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    places = {"MODEL": str(ner_model), "DATA": str(corpus)}
    given = [places.get(argument, argument) for argument in arguments]
    for name, value in {**LAUNCHED, "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert run(*given).out
    monkeypatch.setenv("RANK", "1")
    result = run(*given)
    assert (result.status, result.out, result.err) == (0, "", "")


def test_a_process_by_itself_has_no_rank(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("RANK", "3")  # as some schedulers set it for what they start alone
    assert main(["--version"]) == 0
    assert run("data", "list").out
