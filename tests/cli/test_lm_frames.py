"""``seqkit lm`` on frames of keys: pieces of music in, scores and pieces out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.errors import shown
from seqkit.formats.midi import read_midi, write_midi
from seqkit.formats.piano import KEYS

Run = Callable[..., Any]
TINY = ["--hidden=8", "--epochs=2", "--batch-size=2", "--bptt=10", "--device=cpu", "--frames-per-quarter=2"]


def tunes(seed: int, count: int) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        roll = np.zeros((draw.integers(12, 30), KEYS), np.uint8)
        roll[np.arange(len(roll)), 40 + draw.integers(0, 4) + np.arange(len(roll)) % 4] = 1
        found.append(roll)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tunes")
    for seed, (split, count) in enumerate({"train": 8, "dev": 2, "test": 3}.items()):
        np.savez(found / f"{split}.npz", **{f"{number:02d}": roll for number, roll in enumerate(tunes(seed, count))})
    return found


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqkit.cli.main import main

    found = tmp_path_factory.mktemp("models") / "tunes"
    assert main(["lm", "train", str(folder), "-o", str(found), "--quiet", *TINY]) == 0
    return found


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pieces")
    for number, roll in enumerate(tunes(2, 3)):
        write_midi(found / f"tune{number}.mid", roll, frames_per_quarter=2)
    return found


def test_recordings_are_no_frames_of_keys(run: Run, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    for number in range(12):
        soundfile.write(tmp_path / f"{number}.wav", np.zeros(800, np.float32), 8000)
    data = tmp_path / "train.jsonl"
    data.write_text("".join(f'{{"audio": "{number}.wav"}}\n' for number in range(12)), encoding="utf-8")
    expected = "'0.wav': expected frames of keys that are on or off, found a recording"
    result = run("lm", "train", data, "-o", tmp_path / "m", *TINY)
    assert (result.status, result.lines[-1]) == (1, f"error: {data}:1: {expected}")
    result = run("data", "check", data, "--task", "lm")
    assert result.status == 1
    assert f"{data}:1: {expected}" in result.out + result.err


def test_train_says_what_is_learned(run: Run, folder: Path, tmp_path: Path) -> None:
    result = run("lm", "train", folder, "-o", tmp_path / "m", *TINY)
    assert result.status == 0
    frames = sum(map(len, tunes(0, 8)))
    assert f"{folder}: train 8 sequences, dev 2 sequences, test 3 sequences\n" in result.err
    assert f"{frames:,} frames of 88 keys to learn from\n" in result.err
    assert result.out.startswith("dev\n\nloss  ")
    assert result.out.endswith(" frames of 3 sequences\n")


def test_evaluate_gives_the_figures_that_programs_rely_on(run: Run, folder: Path, model: Path) -> None:
    result = run("lm", "evaluate", folder, "-m", model, "--json", "-", "--quiet")
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    common = {"task", "data", "split", "sentences", "tokens", "seconds", "tokens_per_second", "model", "seqkit_version"}
    assert set(found) == common | {"loss", "loss_by_sequence", "units", "frames"}
    assert (found["task"], found["split"], found["sentences"]) == ("lm", "test", 3)
    assert found["units"] == found["frames"] == found["tokens"] == sum(map(len, tunes(2, 3)))


def test_score_gives_what_evaluate_is_the_mean_of(run: Run, folder: Path, model: Path, pieces: Path) -> None:
    evaluated = json.loads(run("lm", "evaluate", folder, "-m", model, "--json", "-", "--quiet").out)
    for given in ([folder / "test.npz"], sorted(pieces.iterdir()), [pieces]):
        result = run("lm", "score", *given, "-m", model, "--output-format", "jsonl", "--quiet")
        assert (result.status, result.err) == (0, "")
        rows = [json.loads(line) for line in result.out.splitlines()]
        assert [row["units"] for row in rows] == [len(roll) for roll in tunes(2, 3)]
        assert -sum(row["log_prob"] for row in rows) / evaluated["units"] == pytest.approx(evaluated["loss"])
        by_sequence = [row["nats_per_frame"] for row in rows]
        assert np.mean(by_sequence) == pytest.approx(evaluated["loss_by_sequence"])
    table = run("lm", "score", pieces / "tune1.mid", "-m", model, "--quiet").out
    nats, _, frames, name = table.rstrip("\n").split("\t")
    assert (nats, frames, name) == (
        f"{rows[1]['nats_per_frame']:.4f}",
        str(rows[1]["units"]),
        str(pieces / "tune1.mid"),
    )


def test_a_folder_of_pieces_is_data(run: Run, pieces: Path, tmp_path: Path) -> None:
    songs = tmp_path / "songs"
    songs.mkdir()
    for number, roll in enumerate(tunes(0, 20)):
        write_midi(songs / f"song{number:02d}.mid", roll, frames_per_quarter=2)
    result = run("lm", "train", songs, "-o", tmp_path / "m", *TINY)
    assert result.status == 0, result.err
    assert f"{songs}: train 18 sequences, dev 2 sequences\n" in result.err
    evaluated = run("lm", "evaluate", pieces, "-m", tmp_path / "m", "--json", "-", "--quiet")
    assert json.loads(evaluated.out)["sentences"] == 3


def test_what_is_left_out_of_pieces_is_said(run: Run, tmp_path: Path) -> None:
    import mido

    for number, roll in enumerate(tunes(0, 12)):
        file = tmp_path / f"song{number:02d}.mid"
        write_midi(file, roll, frames_per_quarter=2)
        song = mido.MidiFile(str(file))
        song.tracks.append([mido.Message("note_on", channel=9, note=40), mido.Message("note_on", note=4)])
        song.type = 1
        song.save(str(file))
    result = run("lm", "train", tmp_path, "-o", tmp_path / "m", *TINY)
    assert result.status == 0, result.err
    assert f"{tmp_path}: notes of drums (channel 10) left out: 12\n" in result.err
    assert f"{tmp_path}: notes outside the keys of a piano (A0 to C8) left out: 12\n" in result.err


class TestSample:
    def test_one_piece(self, run: Run, model: Path, tmp_path: Path, pieces: Path) -> None:
        file, prompt = tmp_path / "a.mid", pieces / "tune0.mid"
        arguments = ["--prompt", prompt, "--length", 9, "--seed", 1, "--tempo", 90, "--keys", "C4-C6"]
        result = run("lm", "sample", "-m", model, "-o", file, *arguments)
        assert (result.status, result.out) == (0, "")
        written = read_midi(file)
        given = read_midi(prompt).frames(2)
        assert written.frames(2)[: len(given)].tolist() == given.tolist()
        assert len(written.frames(2)) == len(given) + 9
        assert not written.frames(2)[len(given) :, :39].any()
        assert written.tempo == pytest.approx(90)
        told = f"{file}: 9 frames after {len(given)} frames of the prompt, "
        assert result.err.startswith(told)
        assert result.err.endswith(" nats a frame\n")

    def test_several_are_numbered(self, run: Run, model: Path, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        arguments = ["--count", 10, "--length", 3, "--seed", 1, "--output-format", "jsonl", "--picture"]
        result = run("lm", "sample", "-m", model, "-o", tmp_path / "a.npy", *arguments, tmp_path / "b.png")
        assert (result.status, result.err) == (0, "")
        names = [f"{number:02d}" for number in range(1, 11)]
        rows = [json.loads(line) for line in result.out.splitlines()]
        assert [row["file"] for row in rows] == [str(tmp_path / f"a-{name}.npy") for name in names]
        assert set(rows[0]) == {"file", "length", "prompt", "log_prob", "nats_per_frame", "tempo"}
        rolls = [np.load(tmp_path / f"a-{name}.npy") for name in names]
        assert {roll.shape for roll in rolls} == {(3, KEYS)}
        assert (tmp_path / "b-07.png").is_file()

    @pytest.mark.parametrize(
        ("arguments", "status", "message"),
        [
            ([], 2, "Missing option '-o' / '--output': a model of frames writes FILE.mid or FILE.npy."),
            (["-o", "a.txt"], 2, "Invalid value for '--output': expected a file .mid, .midi, .npy, found 'a.txt'"),
            (["-o", "a.mid", "--beam", 3], 2, "--beam is for words; the model reads sequences of vectors."),
            (["-o", "a.mid", "--keys", "C4"], 1, "expected keys LOW-HIGH, such as C3-C6, found 'C4'"),
            (["-o", "a.mid", "--prompt", "b.mid"], 1, "'b.mid': cannot be read: No such file or directory"),
            (["-o", "a.mid", "--prompt", "b.txt"], 1, "'b.txt': cannot be read: No such file or directory"),
            (["-o", "a.mid", "--tempo", 1], 2, "Invalid value for '--tempo': "),
        ],
    )
    def test_faults(
        self,
        run: Run,
        model: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[Any],
        status: int,
        message: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        result = run("lm", "sample", "-m", model, *arguments)
        assert result.status == status, result.err
        assert f"error: {message}" in result.err

    def test_a_prompt_is_not_written_over(self, run: Run, model: Path, tmp_path: Path) -> None:
        file = tmp_path / "a.mid"
        write_midi(file, tunes(0, 1)[0])
        before = file.read_bytes()
        result = run("lm", "sample", "-m", model, "-o", file, "--prompt", file)
        assert result.status == 1
        assert result.err == f"error: {file}: cannot be written as -o: this command reads it\n"
        assert file.read_bytes() == before

    def test_flags_of_frames_are_not_for_text(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "train.txt").write_text("a b\n" * 20, encoding="utf-8")
        run("lm", "train", tmp_path / "train.txt", "-o", tmp_path / "m", "--ngram", 2, "--quiet")
        for flag in (["--keys", "C3-C4"], ["-o", tmp_path / "a.mid"], ["--prompt-length", 3]):
            result = run("lm", "sample", "-m", tmp_path / "m", *flag)
            assert result.status == 2
            name = {"-o": "--output"}.get(str(flag[0]), flag[0])
            assert result.err.endswith(f"error: {name} is for sequences of vectors; the model reads words.\n")


# --- what is no note of the piano ---------------------------------------------------------------------------------


def other_piece(path: Path, *notes: tuple[int, int]) -> Path:
    """A piece of single notes, each a key as MIDI counts it and a channel from 0."""
    mido = pytest.importorskip("mido", reason="needs the extra midi")
    file = mido.MidiFile()
    track = mido.MidiTrack()
    file.tracks.append(track)
    for key, channel in notes:
        track.append(mido.Message("note_on", note=key, velocity=64, channel=channel, time=0))
        track.append(mido.Message("note_off", note=key, channel=channel, time=480))
    file.save(path)
    return path


def test_notes_that_are_left_out_are_told(run: Run, model: Path, tmp_path: Path) -> None:
    file = other_piece(tmp_path / "mixed.mid", (60, 0), (36, 9), (38, 9), (5, 0))
    told = f"{file}: notes of drums (channel 10) left out: 2\n"
    told += f"{file}: notes outside the keys of a piano (A0 to C8) left out: 1\n"
    assert run("lm", "score", file, "-m", model).err.startswith(told)
    out = tmp_path / "out.npy"
    assert run("lm", "sample", "-m", model, "--prompt", file, "-o", out, "--length=3").err.startswith(told)
    assert run("lm", "sample", "-m", model, "--prompt", file, "-o", out, "--length=3", "--quiet").err == ""


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        ([(36, 9)], "no note is left in this piece (notes of drums (channel 10) left out: 1)"),
        ([(5, 0)], "no note is left in this piece (notes outside the keys of a piano (A0 to C8) left out: 1)"),
    ],
)
def test_pieces_without_a_note_are_refused(
    run: Run, model: Path, tmp_path: Path, notes: list[tuple[int, int]], reason: str
) -> None:
    file = other_piece(tmp_path / "silent.mid", *notes)
    scored = run("lm", "score", file, "-m", model)
    assert (scored.status, scored.out, scored.err) == (1, "", f"error: {file}: {reason}\n")
    begun = run("lm", "sample", "-m", model, "--prompt", file, "-o", tmp_path / "out.mid")
    assert (begun.status, begun.out, begun.err) == (1, "", f"error: {shown(str(file))}: {reason}\n")


def test_other_keys_than_those_of_a_piano_are_no_midi_file(run: Run, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "train.npz", **{str(row): (draw.random((12, 5)) < 0.4).astype(np.uint8) for row in range(6)})
    assert run("lm", "train", tmp_path / "train.npz", "-o", tmp_path / "m", "--quiet", *TINY).status == 0
    refused = run("lm", "sample", "-m", tmp_path / "m", "-o", tmp_path / "a.mid", "--length=3")
    reason = "a MIDI file has the 88 keys of a piano, and this model has 5; -o a.npy has its frames"
    assert (refused.status, refused.err) == (1, f"error: {reason}\n")
    assert run("lm", "sample", "-m", tmp_path / "m", "-o", tmp_path / "a.npy", "--length=3").status == 0
    assert np.load(tmp_path / "a.npy").shape == (3, 5)
    assert "input       frames of 5 keys\n" in run("info", tmp_path / "m").out
