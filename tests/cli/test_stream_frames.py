"""``predict --stream`` of models that read sequences of vectors: `seqkit transcribe` and `seqkit tag`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.config import parse_settings
from seqkit.formats.manifest import row_frames
from seqkit.heads.transcription.stream import OpenText
from seqkit.model.loading import load
from seqkit.model.tagger import FrameTagger
from seqkit.model.transcriber import Transcriber

Run = Callable[..., Any]  # the fixture `run`

RAW = "reading raw samples: signed 16 bit, little endian, one channel, 8,000 Hz"
LINES = "reading frames: a JSON list of 3 numbers a line; an empty line ends a sequence"
RATE = 8000
PHONES = ["AH", "B", "K", "L"]


def build(place: Path, task: str, rows: list[dict[str, Any]], **tree: Any) -> None:
    """Save an untrained model whose answers differ from frame to frame."""
    encoder = {"hidden": 6, "layers": 1, "direction": "forward"}
    tree = {"task": task, "input": "frames", "audio": {"bins": 8}, "encoder": encoder, **tree}
    records = [row_frames(row, folder=Path()) for row in rows]
    torch.manual_seed(4)
    model = (Transcriber if task == "transcribe" else FrameTagger).build(parse_settings(tree, "test"), records)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.normal_()
        if task == "transcribe":
            model.network.head.output.bias[0] = -1.0
    model.save(place)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models and what they read: of arrays, and of recordings (``heard``, ``events``)."""
    soundfile = pytest.importorskip("soundfile")
    found, draw = tmp_path_factory.mktemp("streams"), np.random.default_rng(0)
    arrays = [draw.normal(size=(int(draw.integers(30, 50)), 3)).astype(np.float32) for _ in range(3)]
    (found / "all.jsonl").write_text("".join(f'{{"frames": "{n}.npy"}}\n' for n in range(3)), encoding="utf-8")
    (found / "sound.jsonl").write_text("".join(f'{{"audio": "{n}.wav"}}\n' for n in range(3)), encoding="utf-8")
    texts = [[json.dumps(frame) for frame in array.tolist()] for array in arrays]
    (found / "lines.txt").write_text("\n\n".join("\n".join(lines) for lines in texts) + "\n", encoding="utf-8")
    for number, array in enumerate(arrays):
        np.save(found / f"{number}.npy", array)
        samples = (
            draw.normal(size=4000 + 123 * number) * np.repeat(draw.uniform(1, 9000, 10), 500)[: 4000 + 123 * number]
        )
        whole = samples.clip(-32768, 32767).astype("<i2")
        (found / f"{number}.raw").write_bytes(whole.tobytes())
        soundfile.write(found / f"{number}.wav", whole, RATE, subtype="PCM_16")
    sound = [{"audio": str(found / f"{number}.wav")} for number in range(3)]
    plain: list[dict[str, Any]] = [{"frames": array} for array in arrays]
    spoken = {"text": "ab c", "phones": " ".join(PHONES)}
    build(found / "letters", "transcribe", [row | spoken for row in plain])
    build(found / "phones", "transcribe", [row | spoken for row in plain], data={"unit": "phones"})
    build(found / "heard", "transcribe", [row | spoken for row in sound])
    runs = [{"start": 2, "end": 5, "label": "a"}, {"start": 9, "end": 12, "label": "b"}]
    build(found / "runs", "tag", [row | {"labels": runs} for row in plain], head={"crf": False})
    build(found / "crf", "tag", [row | {"labels": runs} for row in plain])
    times = [{"start": 0.05, "end": 0.1, "label": "a"}]
    build(found / "events", "tag", [row | {"labels": times} for row in sound], head={"crf": False})
    return found


def streamed(run: Run, task: str, model: Path, *arguments: Any, **given: Any) -> Any:
    return run(task, "predict", "--stream", "-m", model, "--quiet", *arguments, **given)


# --- equal to what is predicted of the whole ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["letters", "phones"])
def test_text_of_arrays(name: str, folder: Path, run: Run) -> None:
    whole = run("transcribe", "predict", "-m", folder / name, folder / "all.jsonl", "--quiet")
    assert len(set(whole.out.split("\n"))) == 4
    assert name != "phones" or " " in whole.out
    lines = (folder / "lines.txt").read_text(encoding="utf-8")
    assert streamed(run, "transcribe", folder / name, stdin=lines).out == whole.out
    again = "\r\n \t\n" + lines.replace("\n\n", "\n\n \n").replace("\n", "\r\n") + "\r\n\r\n"
    assert streamed(run, "transcribe", folder / name, stdin=again).out == whole.out
    for given in (["all.jsonl"], ["0.npy", "1.npy", "2.npy"]):
        assert streamed(run, "transcribe", folder / name, *(folder / file for file in given)).out == whole.out
    objects = run(
        *("transcribe", "predict", "-m", folder / name, folder / "all.jsonl", "--quiet"),
        *("--times", "--output-format", "jsonl"),
    )
    found = streamed(run, "transcribe", folder / name, "--output-format=jsonl", stdin=lines)
    sequences = [[json.loads(row) for row in part.splitlines()] for part in found.out.split("\n\n")]
    assert [[(each["symbol"], each["start"]) for each in sequence] for sequence in sequences] == [
        [(each["symbol"], each["start"]) for each in json.loads(row)["symbols"]] for row in objects.out.splitlines()
    ]
    assert {tuple(each) for sequence in sequences for each in sequence} == {("symbol", "start", "posterior")}


def test_text_of_recordings(folder: Path, run: Run) -> None:
    whole = run("transcribe", "predict", "-m", folder / "heard", folder / "sound.jsonl", "--quiet")
    assert streamed(run, "transcribe", folder / "heard", folder / "sound.jsonl").out == whole.out
    for number, line in enumerate(whole.out.splitlines()):
        raw = (folder / f"{number}.raw").read_bytes()
        found = streamed(run, "transcribe", folder / "heard", stdin=raw)
        assert (found.status, found.out, found.err) == (0, f"{line}\n", "")
        assert streamed(run, "transcribe", folder / "heard", folder / f"{number}.wav").out == f"{line}\n"


@pytest.mark.parametrize(("name", "flags"), [("runs", []), ("runs", ["--probs"]), ("crf", ["--lag=100"])])
def test_runs_of_arrays(name: str, flags: list[str], folder: Path, run: Run) -> None:
    whole = run("tag", "predict", "-m", folder / name, folder / "all.jsonl", "--quiet", *flags)
    runs = [json.loads(row)["labels"] for row in whole.out.splitlines()]
    assert all(runs)
    lines = (folder / "lines.txt").read_text(encoding="utf-8")
    for arguments, given in (([], {"stdin": lines}), ([folder / "all.jsonl"], {})):
        found = streamed(run, "tag", folder / name, *flags, *arguments, **given)
        assert (found.status, found.err) == (0, "")
        again = [[json.loads(row) for row in part.splitlines()] for part in found.out.split("\n\n")]
        probs, right = (
            [each.pop("prob", 0) for part in parts for each in part] for parts in (again, json.loads(json.dumps(runs)))
        )
        assert probs == pytest.approx(right, abs=1e-5)
        assert again == [[{key: each[key] for key in each if key != "prob"} for each in part] for part in runs]


def test_runs_of_recordings(folder: Path, run: Run) -> None:
    whole = run("tag", "predict", "-m", folder / "events", folder / "1.wav", "--quiet")
    found = streamed(run, "tag", folder / "events", stdin=(folder / "1.raw").read_bytes())
    assert [json.loads(row) for row in found.out.splitlines()] == json.loads(whole.out)["labels"]


@pytest.mark.parametrize("rate", [11025, 44100, 7999])
def test_runs_of_resampled_recordings_end_with_them(rate: int, folder: Path, run: Run, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    model: Any = load(folder / "events")
    with torch.no_grad():
        model.network.head.emission.bias[model.head.codec.tags.labels.index("a")] = 99.0
    model.save(tmp_path / "model")
    samples = np.random.default_rng(0).normal(size=rate + 7) * 0.1
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="PCM_16")
    whole = json.loads(run("tag", "predict", "-m", tmp_path / "model", tmp_path / "a.wav", "--quiet").out)["labels"]
    assert [(run["start"], run["end"]) for run in whole] == [(0.0, round((rate + 7) / rate, 6))]
    found = streamed(run, "tag", tmp_path / "model", tmp_path / "a.wav")
    assert [json.loads(row) for row in found.out.splitlines()] == whole
    record = row_frames({"audio": "a.wav"}, folder=tmp_path)
    stream = model.stream()
    answers = [run for part in model.input.parts(record) for run in stream.accept(part)]
    answers += stream.finish(record.source.seconds)
    assert [stream.to_json(run) for run in answers] == whole
    assert stream.extent == (len(record), (rate + 7) / rate)


def test_what_is_read_and_counted_is_said(folder: Path, run: Run) -> None:
    result = run("transcribe", "predict", "--stream", "-m", folder / "heard", stdin=(folder / "0.raw").read_bytes())
    assert result.lines[0] == RAW
    assert result.lines[1].startswith("1 sequence, 48 frames in ")
    result = run("tag", "predict", "--stream", "-m", folder / "crf", stdin="[1, 2, 3]\n\n[1, 2, 3]")
    told = "each label is decided 8 steps later, or at the end of its sequence; --lag N changes that"
    assert result.lines[:2] == [told, LINES]
    assert result.lines[2].startswith("2 sequences, 2 frames in ")
    result = run("transcribe", "predict", "--stream", "-m", folder / "letters", folder / "0.npy")
    assert len(result.lines) == 1
    for task in ("tag", "transcribe"):
        told = " ".join(run(task, "predict", "--help").out.replace("│", " ").split())
        assert "raw samples, signed 16 bit little endian, one channel, at the model's rate" in told


# --- while the input is still coming ------------------------------------------------------------------------------


@contextmanager
def started(*words: str) -> Iterator[Any]:
    command = [sys.executable, "-m", "seqkit", *words, "--threads=1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        stuck = threading.Timer(50, process.kill)
        stuck.start()
        yield process
        stuck.cancel()


def parts(folder: Path, name: str) -> list[bytes]:
    """What a slow writer writes, one after the other."""
    if name == "heard":
        raw = (folder / "0.raw").read_bytes()
        return [raw[begin : begin + 1501] for begin in range(0, len(raw), 1501)]
    lines = (folder / "lines.txt").read_bytes().split(b"\n")
    return [line + b"\n" for line in lines]


@pytest.mark.parametrize(("task", "name"), [("transcribe", "letters"), ("transcribe", "heard"), ("tag", "runs")])
@pytest.mark.usefixtures("watchdog")
def test_answers_come_before_the_pipe_is_closed(task: str, name: str, folder: Path) -> None:
    model: Any = load(folder / name)
    stream = model.stream()
    text = OpenText(model.head.units) if task == "transcribe" else None
    rest, seen = b"", 0
    with started(task, "predict", "--stream", "-m", str(folder / name), "--quiet") as process:
        for part in parts(folder, name):
            if name == "heard":
                whole = rest + part
                rest = whole[len(whole) - len(whole) % 2 :]
                answers = stream.accept(np.frombuffer(whole[: len(whole) - len(rest)], "<i2"))
            else:
                answers = stream.accept([json.loads(part)]) if part.strip() else stream.finish()
            expected = "".join(json.dumps(stream.to_json(each)) + "\n" for each in answers)
            if text is not None:
                expected = text.add(each.symbol for each in answers) + ("\n" if part == b"\n" else "")
                text = OpenText(model.head.units) if part == b"\n" else text
            process.stdin.write(part)
            process.stdin.flush()
            found = process.stdout.read(len(expected.encode())).decode()
            if found.startswith("\n") and text is None:  # between two sequences
                found = found[1:] + process.stdout.read(1).decode()
            if text is None:
                assert [json.loads(row) for row in found.splitlines()] == [
                    json.loads(row) for row in expected.splitlines()
                ]
            else:
                assert found == expected
            seen += len(answers)
        assert seen > 3
        process.stdin.close()
        process.stdout.read()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.usefixtures("watchdog")
def test_ctrl_c_and_a_closed_pipe(folder: Path) -> None:
    frames = b"".join(parts(folder, "letters")[:20])
    with started("transcribe", "predict", "--stream", "-m", str(folder / "letters"), "--quiet") as process:
        process.stdin.write(frames)
        process.stdin.flush()
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read().decode().splitlines()[-1:] in ([], ["interrupted"])
    with started("transcribe", "predict", "--stream", "-m", str(folder / "letters"), "--quiet") as process:
        process.stdin.write(frames)
        process.stdin.flush()
        process.stdout.read(1)
        process.stdout.close()
        process.stdin.write(frames * 3)
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 141, -signal.SIGPIPE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.usefixtures("watchdog")
def test_a_named_pipe_is_read_as_standard_input_is(folder: Path, tmp_path: Path, run: Run) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes((folder / "0.raw").read_bytes()))
    writer.start()
    found = run("transcribe", "predict", "--stream", "-m", folder / "heard", pipe)
    writer.join()
    assert found.out == streamed(run, "transcribe", folder / "heard", folder / "0.wav").out
    assert found.lines[0] == RAW


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["letters", "heard", "runs", "events"])
def test_an_empty_input_gives_nothing(name: str, folder: Path, run: Run) -> None:
    task = "transcribe" if name in ("letters", "heard") else "tag"
    for stdin in ("",) if name in ("heard", "events") else ("", "\n", "\n \n\n"):
        result = streamed(run, task, folder / name, stdin=stdin)
        assert (result.status, result.out, result.err) == (0, "", "")


def test_a_byte_too_many_is_said_after_the_answers(folder: Path, run: Run) -> None:
    raw = (folder / "0.raw").read_bytes()
    whole = streamed(run, "transcribe", folder / "heard", stdin=raw)
    result = streamed(run, "transcribe", folder / "heard", stdin=raw + b"x")
    assert (result.status, result.out) == (1, whole.out)
    assert result.lines == ["error: <stdin>: the last sample is cut short: it has one byte of two"]
    for few in (b"x", b"xyz"):
        assert streamed(run, "transcribe", folder / "heard", stdin=few).status == 1


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"RIFF....WAVE", "<stdin>: expected raw samples without a header, found a recording (WAV); name it as a file"),
        (b"fLaC....", "<stdin>: expected raw samples without a header, found a recording (FLAC); name it as a file"),
        (b"ab" * 99, "<stdin>: the recording is shorter than one window of 25 ms (--set audio.window)"),
    ],
)
def test_faults_of_samples(stdin: bytes, message: str, folder: Path, run: Run) -> None:
    result = streamed(run, "transcribe", folder / "heard", stdin=stdin)
    assert (result.status, result.out, result.lines) == (1, "", [f"error: {message}"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2]", "expected 3 features a frame, as in training, found 2"),
        ("[]", "expected 3 features a frame, as in training, found 0"),
        ("[1, 2, NaN]", "expected finite numbers, found nan in frame 1, feature 2, counted from 0"),
        ("[1, 1e400, 3]", "expected finite numbers, found inf in frame 1, feature 1, counted from 0"),
        ('[1, 2, "a"]', "expected a frame, a list of numbers, found '[1, 2, \"a\"]'"),
        ("[[1, 2, 3]]", "expected a frame, a list of numbers, found '[[1, 2, 3]]'"),
        ('{"frames": [1, 2, 3]}', "expected a frame, a list of numbers, found '{\"frames\": [1, 2, 3]}'"),
        ("1 2 3", "invalid JSON at character 3"),
    ],
)
def test_faults_of_frames(line: str, message: str, folder: Path, run: Run) -> None:
    first = "[1, 2, 3]\n"
    whole = streamed(run, "transcribe", folder / "letters", stdin=first)
    result = streamed(run, "transcribe", folder / "letters", stdin=f"{first}{line}\n{first}")
    assert (result.status, result.out, result.lines) == (1, whole.out.rstrip("\n"), [f"error: <stdin>:2: {message}"])


def test_files_of_another_kind(folder: Path, run: Run) -> None:
    for name, file, kinds in (
        ("letters", "0.wav", ("an array of frames", "a recording")),
        ("heard", "0.npy", ("a recording", "an array of frames")),
    ):
        result = streamed(run, "transcribe", folder / name, folder / file)
        assert (result.status, result.out) == (1, "")
        assert result.lines[-1].endswith(f"expected {kinds[0]}, as the model was trained on, found {kinds[1]}")


@pytest.mark.parametrize(
    ("name", "flags", "status", "message"),
    [
        ("crf", ["--output-format=textgrid"], 2, "--stream writes jsonl only, not textgrid."),
        ("letters", ["--workers=2"], 2, "--workers and --stream exclude each other: one process reads a stream."),
        (
            "letters",
            ["--beam=4"],
            1,
            "beam: it is for beam search, which takes back what it has begun with; a stream takes the best symbol of "
            "each step",
        ),
        (
            "letters",
            ["--length-bonus=1"],
            1,
            "length_bonus: it is for beam search, which takes back what it has begun with; a stream takes the best "
            "symbol of each step",
        ),
        (
            "letters",
            ["--batch-tokens=9"],
            2,
            "--batch-tokens and --stream exclude each other: a stream makes no batches.",
        ),
        *(
            (
                "crf",
                [f"{flag}=jsonl"],
                2,
                f"{flag} and --stream exclude each other: what comes through a pipe is samples, or frames a line, and "
                "has no fields.",
            )
            for flag in ("--input", "--columns", "--frames")
        ),
    ],
)
def test_what_makes_no_sense_of_a_stream_is_refused(
    name: str, flags: list[str], status: int, message: str, folder: Path, run: Run
) -> None:
    result = streamed(run, "tag" if name == "crf" else "transcribe", folder / name, *flags, stdin="")
    assert (result.status, result.out, result.lines[-1]) == (status, "", f"error: {message}")


def test_any_lines_end_in_answers_or_one_error(folder: Path, run: Run) -> None:
    draw = random.Random(0)
    pieces = [
        "[",
        "]",
        "1",
        "-2.5",
        ",",
        "1e999",
        "9" * 400,
        "NaN",
        "true",
        "null",
        '"a"',
        "{",
        "}",
        " ",
        "\n",
        "\r",
        "é",
        "[1, 2, 3]\n",
    ]
    for _ in range(150):
        text = "".join(draw.choices(pieces, [1] * (len(pieces) - 1) + [9], k=draw.randint(1, 12)))
        for task, name in (("transcribe", "letters"), ("tag", "runs")):
            result = streamed(run, task, folder / name, stdin=text)
            assert result.status in (0, 1)
            assert len(result.lines) == result.status
    for _ in range(60):
        raw = draw.choice([b"", b"RIF", b"fLa"]) + draw.randbytes(draw.randint(0, 900))
        result = streamed(run, "transcribe", folder / "heard", stdin=raw)
        assert len(result.lines) == result.status == int(len(raw) % 2 or 0 < len(raw) < 400)
