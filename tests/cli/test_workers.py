"""``--workers N``: the same bytes as one process gives; whatever ends a process, no hang and nothing left running."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqkit.errors import SeqkitError
from seqkit.formats import blocks
from seqkit.formats.blocks import Part
from seqkit.model.requests import block_request
from seqkit.serving.process import Job
from seqkit.serving.workers import started_workers

Run = Callable[..., Any]  # the fixture `run`
pytestmark = pytest.mark.usefixtures("watchdog")

ECHO = '''
"""A worker that needs no model: gives lines back in capitals, and does what they say."""
import os, pathlib, signal, time
from seqkit.errors import DataError, ModelError, describe
from seqkit.model.requests import _parts
from seqkit.serving import worker

def open_model(job):
    folder = pathlib.Path(job.model)
    (folder / str(os.getpid())).touch()
    if job.options.get("faulty", -1) in (job.place, "all"):
        raise ModelError(f"no model at {job.model}")
    if job.options.get("broken"):
        raise ZeroDivisionError
    os.write(1, b"what a library prints\\n")  # at once, and whole

    def answer(request):
        found = {"output": "", "records": 0, "tokens": 0, "unknown": 0, "shortened": 0, "fault": None}
        try:
            for part in _parts(request["block"]):
                for number, line in part.lines():
                    if line == "die":
                        os.kill(os.getpid(), signal.SIGKILL)
                    if line == "bug":
                        raise ZeroDivisionError
                    if line == "fault":
                        raise DataError("expected no fault, found one", file=part.name, line=number)
                    if line.startswith("sleep "):
                        time.sleep(float(line[6:]))
                    found["records"] += 1
                    found["output"] += f"{line.upper()} {job.share}\\n"
        except DataError as error:
            found["fault"] = describe(error)
        return found
    return answer

def main():
    worker.open_model = open_model
    worker.main()
'''
START = "import sys; sys.path[:] = sys.argv[1:]; import echo; echo.main()"
RUN_ECHO = f"""
import sys
import seqkit.serving.workers as workers
from seqkit.cli.main import main
from seqkit.formats.blocks import cut

cut.__defaults__ = (40,)
workers._START = {START!r}
flags = ["--workers", "2", "--threads", "1", "--device", "cpu", "--quiet"]
status = main(["tag", "predict", "-m", sys.argv[1], *flags])
assert "torch" not in sys.modules
sys.exit(status)
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """Makes jobs of workers that need no model; they leave their numbers in ``tmp_path / "seen"``."""
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "seen").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("seqkit.serving.workers._START", START)
    return lambda **options: Job("tag", str(tmp_path / "seen"), options, "conll", 8192, "fp32", True, "cpu", 1)


def left_running(folder: Path) -> list[int]:
    """Processes of a test that still run."""
    found = []
    for file in (folder / "seen").iterdir():
        try:
            os.kill(int(file.name), 0)
        except ProcessLookupError:
            continue
        found.append(int(file.name))
    return found


def request(text: str) -> dict[str, Any]:
    return block_request([Part("in", "text", 1, None, text.encode())], "conll")


def answered(job: Job, texts: list[str], count: int = 2) -> Iterator[tuple[str, str | None]]:
    with started_workers(job, count) as crew:
        for found in crew.answers(map(request, texts)):
            yield found["output"], found["fault"]


# --- the same results -------------------------------------------------------------------------------------------


def inputs(folder: Path, corpus: Path) -> dict[str, Path]:
    """A file of every format, with what is easily lost at a border between two blocks."""
    columns = (corpus / "train.conll").read_text()
    sentences = [[row.split(" ")[0] for row in block.split("\n")] for block in columns.strip().split("\n\n")]
    lines = [" ".join(tokens) for tokens in sentences]
    contents = {
        "a.txt": "\ufeff" + "\r\n".join([*lines, "", "no line end at the end"]),
        "b.conll": "# a comment\n\n-DOCSTART- -X- O\n\n" + columns.replace("\n", "\r\n"),
        "c.conllu": "".join(
            f"# text = {' '.join(tokens)}\n"
            + "".join(f"{n}\t{token}{8 * (chr(9) + '_')}\n" for n, token in enumerate(tokens, 1))
            + "\n"
            for tokens in sentences
        ),
        "d.jsonl": "\r".join(json.dumps({"tokens": tokens}) for tokens in sentences),
        "e.txt": "",
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return {name: folder / name for name in contents}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks.cut, "__defaults__", (700,))


@pytest.mark.parametrize("flags", [["--probs"], ["--output-format=jsonl", "--probs"], ["--output-format=inline"]])
def test_two_workers_tag_as_one_process_does(
    flags: list[str], small_blocks: None, corpus: Path, ner_model: Path, tmp_path: Path, run: Run
) -> None:
    arguments = ["tag", "predict", *inputs(tmp_path, corpus).values(), "-m", ner_model, *flags]
    alone, shared = run(*arguments), run(*arguments, "--workers", "2")
    assert alone.status == shared.status == 0
    assert shared.out == alone.out and len(alone.out) > 10_000
    told = r"243 sentences, [\d,]+ tokens in \d+\.\d\d s: [\d,]+ tokens/s"
    assert re.fullmatch(told, alone.lines[-1]) and re.fullmatch(told, shared.lines[-1])


def test_a_fault_comes_after_all_that_is_before_it(
    small_blocks: None, corpus: Path, ner_model: Path, tmp_path: Path, run: Run
) -> None:
    file = inputs(tmp_path, corpus)["b.conll"]
    rows = file.read_bytes().split(b"\r\n")
    rows[400:400] = [b"", b"Ada", b""]
    file.write_bytes(b"\r\n".join(rows))
    alone, shared = (run("tag", "predict", file, "-m", ner_model, "--workers", count) for count in (1, 2))
    assert (shared.status, shared.out, shared.err) == (alone.status, alone.out, alone.err)
    assert alone.out.count("\n") > 300
    assert alone.err == f"error: {file}:406: expected 3 columns, found 1\n"


def test_a_fault_of_the_model_is_said_once(corpus: Path, tmp_path: Path, run: Run) -> None:
    alone, shared = (
        run("tag", "predict", corpus / "dev.conll", "-m", tmp_path / "none", "--workers", count) for count in (1, 2)
    )
    assert (shared.status, shared.out, shared.err) == (1, "", alone.err)
    assert shared.err.count("error: ") == 1


def test_a_fault_of_the_files_is_seen_before_a_worker_starts(ner_model: Path, tmp_path: Path, run: Run) -> None:
    result = run("tag", "predict", tmp_path / "none", "-m", ner_model, "--workers", "2")
    assert result.err == f"error: {tmp_path / 'none'}: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(("count", "expected"), [("0", "at least 1"), ("257", "at most 256")])
def test_no_workers_and_too_many_are_wrong_usage(count: str, expected: str, ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, "--workers", count)
    fault = f"error: Invalid value for '--workers': expected {expected}, found {count}"
    assert (result.status, result.lines[-1]) == (2, fault)


# --- order, threads, faults of blocks -----------------------------------------------------------------------------


def test_answers_come_in_order_whoever_is_first(echo: Callable[..., Job], tmp_path: Path) -> None:
    draw = random.Random(0)
    texts = [f"sleep {draw.choice([0.0, 0.0, 0.01, 0.05])}\n{number}\n" for number in range(40)]
    found = list(answered(echo(), texts, 3))
    assert found == [("".join(f"{line.upper()} 3\n" for line in text.splitlines()), None) for text in texts]
    assert not left_running(tmp_path)


def test_few_blocks_are_read_ahead(echo: Callable[..., Job]) -> None:
    taken = 0

    def source() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield request(f"{number}\n")

    with started_workers(echo(), 2) as crew:
        for number, found in enumerate(crew.answers(source())):
            assert found["output"] == f"{number} 2\n"
            if number < 3:
                time.sleep(0.3)
                assert taken <= number + 6
    assert taken == 50


def test_workers_answer_again(echo: Callable[..., Job]) -> None:
    with started_workers(echo(), 2) as crew:
        for texts in (["a\n", "b\n", "c\n"], [], ["d\n"]):
            found = [answer["output"] for answer in crew.answers(map(request, texts))]
            assert found == [f"{text.strip().upper()} 2\n" for text in texts]


def test_answers_that_are_closed_early_leave_no_thread_and_the_workers_free(
    echo: Callable[..., Job], tmp_path: Path
) -> None:
    before, stalled = threading.active_count(), threading.Event()

    def source() -> Iterator[dict[str, Any]]:
        yield from map(request, ["a\n", "sleep 0.3\n", "b\n"])
        stalled.wait(60)
        yield request("die\n")

    with started_workers(echo(), 2) as crew:
        for requests in (map(request, ["a\n"] * 50), source()):
            answers = crew.answers(requests)
            assert next(answers)["output"] == "A 2\n"
            answers.close()
        assert [answer["output"] for answer in crew.answers(map(request, "xyz"))] == ["X 2\n", "Y 2\n", "Z 2\n"]
        stalled.set()
        wait_until(lambda: threading.active_count() == before)
    assert not left_running(tmp_path)


def test_a_fault_of_the_input_comes_after_the_answers_before_it(echo: Callable[..., Job]) -> None:
    def source() -> Iterator[dict[str, Any]]:
        yield request("sleep 0.2\n")
        yield request("b\n")
        raise SeqkitError("the disk is gone")

    found = []
    with started_workers(echo(), 2) as crew, pytest.raises(SeqkitError, match="the disk is gone"):
        for answer in crew.answers(source()):
            found.append(answer["output"])
    assert found == ["SLEEP 0.2 2\n", "B 2\n"]


def test_a_faulty_block_gives_what_is_before_its_fault(echo: Callable[..., Job]) -> None:
    assert list(answered(echo(), ["a\nb\nfault\nc\n", "d\n"])) == [
        ("A 2\nB 2\n", "in:3: expected no fault, found one"),
        ("D 2\n", None),
    ]


@pytest.mark.parametrize(("threads", "share", "expected"), [(4, 2, 2), (3, 2, 1), (1, 3, 1), (None, 2, 3)])
def test_workers_share_the_threads(
    threads: int | None, share: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from seqkit.serving.process import prepare_torch

    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    prepare_torch(threads, share)
    assert asked == [expected]


def test_every_worker_gets_a_gpu_as_far_as_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from seqkit.devices import spread

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [spread(name, place) for name in ("auto", "cuda") for place in (1, 2)] == ["cuda:1", "cuda:0"] * 2
    assert [spread(name, 1) for name in ("cpu", "cuda:0", "mps")] == ["cpu", "cuda:0", "mps"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert [spread(name, 1) for name in ("auto", "cuda")] == ["auto", "cuda"]


# --- whatever ends a process --------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_said_in_one_line(echo: Callable[..., Job], tmp_path: Path) -> None:
    found = []
    with pytest.raises(SeqkitError) as caught:
        for text, _ in answered(echo(), ["a\n", "b\n", "die\n", "c\n"]):
            found.append(text)
    assert found == ["A 2\n", "B 2\n"]
    message = r"worker process [12] of 2 was ended by SIGKILL; the machine may be out of memory"
    assert re.fullmatch(message, str(caught.value))
    assert not left_running(tmp_path)


@pytest.mark.parametrize("options", [{"faulty": 1}, {"faulty": "all"}], ids=["one", "all"])
def test_a_worker_without_a_model_ends_all(options: dict[str, Any], echo: Callable[..., Job], tmp_path: Path) -> None:
    with pytest.raises(SeqkitError) as caught:
        list(answered(echo(**options), ["a\n"]))
    assert str(caught.value) == f"no model at {tmp_path / 'seen'}"
    assert not left_running(tmp_path)


@pytest.mark.parametrize(("options", "text"), [({"broken": True}, "a\n"), ({}, "bug\n")], ids=["loading", "working"])
def test_a_bug_in_a_worker_shows_its_traceback(
    options: dict[str, Any], text: str, echo: Callable[..., Job], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SeqkitError, match=r"^worker process 1 of 1 exited with status 1$"):
        list(answered(echo(**options), [text], 1))
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert not left_running(tmp_path)


@pytest.fixture
def process(echo: Callable[..., Job], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command line in a process of its own, echoing standard input by two workers."""
    command = [sys.executable, "-c", RUN_ECHO, str(tmp_path / "seen")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    # A session of its own has a group of its own, which stands for a terminal's.
    streams: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **streams, env=environment, start_new_session=True) as found:
        yield found
        found.kill()


def wait_until(condition: Callable[[], object]) -> None:
    """Nothing here takes long, but a machine may be busy."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("state", ["waiting", "working"])
def test_a_signal_ends_all_processes(number: int, state: str, process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    process.stdin.write(b"Ada\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ADA 2\n"  # while the input goes on
    if state == "working":
        process.stdin.write(b"sleep 100\nsleep 100\n")
        process.stdin.flush()
        time.sleep(0.2)
    os.killpg(process.pid, number)
    assert process.wait(60) == (130 if number == signal.SIGINT else -number)
    assert process.stdout.read() == b""
    assert process.stderr.read() == b"what a library prints\n" * 2
    wait_until(lambda: not left_running(tmp_path))


def test_a_closed_output_ends_all_processes_quietly(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    feeder = threading.Thread(target=_feed, args=(process,))
    feeder.start()
    assert process.stdout.readline() == b"0 2\n"
    process.stdout.close()
    assert process.wait(60) == 0
    feeder.join()
    assert process.stderr.read() == b"what a library prints\n" * 2
    wait_until(lambda: not left_running(tmp_path))


def _feed(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        for line in range(10**9):
            process.stdin.write(f"{line}\n".encode())
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def test_an_idle_worker_that_was_killed_is_noticed(echo: Callable[..., Job], tmp_path: Path) -> None:
    with (
        started_workers(echo(), 1) as crew,
        pytest.raises(SeqkitError, match=r"^worker process 1 of 1 was ended by SIGKILL"),
    ):
        (worker,) = left_running(tmp_path)
        os.kill(worker, signal.SIGKILL)
        list(crew.answers(iter([request("a\n")])))


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_killed_while_the_input_stalls_is_noticed_at_once(
    victim: int, echo: Callable[..., Job], tmp_path: Path
) -> None:
    stalled = threading.Event()

    def source() -> Iterator[dict[str, Any]]:
        yield request("a\n")
        assert not stalled.wait(60), "nobody noticed"  # a fault of the input would be another one

    found = []
    with (
        started_workers(echo(), 2) as crew,
        pytest.raises(SeqkitError, match=r"^worker process [12] of 2 was ended by SIGKILL"),
    ):
        for answer in crew.answers(source()):
            found.append(answer["output"])
            os.kill(sorted(left_running(tmp_path))[victim], signal.SIGKILL)
    stalled.set()
    assert found == ["A 2\n"]
    assert not left_running(tmp_path)


def test_a_consumer_that_takes_its_time_gets_all(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert process.stdin is not None and process.stdout is not None
    lines = [f"{number} {'x' * 2000}" for number in range(300)]  # far more than pipes hold
    feeder = threading.Thread(target=process.stdin.write, args=("\n".join(lines).encode(),))
    feeder.start()
    taken = bytearray()
    for _ in range(4):
        time.sleep(0.1)
        taken += os.read(process.stdout.fileno(), 1000)
    feeder.join(0.1)
    assert feeder.is_alive()  # no more is taken in than goes out
    closer = threading.Thread(target=lambda: (feeder.join(), process.stdin.close()))
    closer.start()
    taken += process.stdout.read()
    closer.join()
    assert taken.decode().splitlines() == [f"{line.upper()} 2" for line in lines]
    assert process.wait(60) == 0
    wait_until(lambda: not left_running(tmp_path))


def test_workers_do_without_standard_error(echo: Callable[..., Job], tmp_path: Path) -> None:
    words = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", RUN_ECHO, str(tmp_path / "seen")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    found = subprocess.run(words, input=b"a\nb\n", stdout=subprocess.PIPE, env=environment, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, b"A 2\nB 2\n")


def test_the_process_that_writes_needs_no_torch(process: subprocess.Popen[bytes]) -> None:
    output, said = process.communicate(b"Ada\nmet\n", 60)
    assert (process.returncode, output, said) == (0, b"ADA 2\nMET 2\n", b"what a library prints\n" * 2)
