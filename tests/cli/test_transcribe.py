"""`seqkit transcribe` on spelled tones: each letter is a stretch of frames of its own, silence between them."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqkit
from seqkit.cli.main import main
from seqkit.errors import DataError, SettingsError
from seqkit.metrics.transcription import unit_errors

pytest.importorskip("jiwer")

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Any]
WORDS = ("ab", "ba", "cab", "c")
TINY = ["--hidden=24", "--layers=1", "--dropout=0.1", "--device=cpu", "--threads=1", "--set=training.lr=0.02"]
TINY += ["--set=frames.time_masks=0", "--set=frames.feature_masks=0", "--set=training.batch_size=8"]


def spelled(text: str, draw: np.random.Generator) -> np.ndarray[Any, Any]:
    """Frames [N, 4]: of a letter those of its feature, of a space those of another one; silence between them."""
    rows = [np.zeros((int(draw.integers(1, 3)), 4))]
    for letter in text:
        row = np.zeros((int(draw.integers(3, 6)), 4))
        row[:, " abc".index(letter)] = 1.0
        rows += [row, np.zeros((int(draw.integers(1, 3)), 4))]
    frames = np.concatenate(rows)
    return (frames + draw.normal(0, 0.1, frames.shape)).astype(np.float32)


def write(folder: Path, count: int, seed: int) -> list[str]:
    """A manifest of arrays, each in a file of its own."""
    draw = np.random.default_rng(seed)
    texts = [" ".join(draw.choice(WORDS, int(draw.integers(1, 4)))) for _ in range(count)]
    lines = []
    for number, text in enumerate(texts):
        np.save(folder / f"{seed}-{number}.npy", spelled(text, draw))
        said = " ".join(text.replace(" ", "_"))
        row = {"frames": f"{seed}-{number}.npy", "text": text, "phones": said, "speaker": f"s{number % 3}"}
        lines.append(json.dumps(row) + "\n")
    (folder / f"{('train', 'dev', 'test')[seed]}.jsonl").write_text("".join(lines), encoding="utf-8")
    return texts


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    for seed, count in enumerate((64, 12, 12)):
        write(folder, count, seed)
    return folder


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("models") / "listener"
    assert main(["transcribe", "train", str(data), "-o", str(output), "--quiet", "--epochs=14", *TINY]) == 0
    return output


@pytest.fixture(scope="module")
def words(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of words."""
    output = tmp_path_factory.mktemp("models") / "words"
    text = output.with_suffix(".txt")
    rows = (data / "train.jsonl").read_text(encoding="utf-8").splitlines()
    text.write_text("".join(json.loads(row)["text"] + "\n" for row in rows), encoding="utf-8")
    assert main(["lm", "train", str(text), "-o", str(output), "--ngram", "3", "--quiet"]) == 0
    return output


@pytest.fixture(scope="module")
def letters(words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of characters, a network."""
    output = tmp_path_factory.mktemp("models") / "letters"
    flags = ["--unit=char", "--hidden=8", "--epochs=2", "--device=cpu", "--quiet"]
    assert main(["lm", "train", str(words.with_suffix(".txt")), "-o", str(output), *flags]) == 0
    return output


def test_learns_to_spell_and_scores_itself(data: Path, model: Path, run: Run, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    result = run("transcribe", "evaluate", data, "-m", model, "--json", scores, "--errors", tmp_path / "errors")
    assert result.status == 0, result.err
    found = json.loads(scores.read_text(encoding="utf-8"))
    assert found["cer"] < 0.05
    assert found["loss"] < 3.0
    assert found["words"]["gold"] == found["tokens"]
    gold = [json.loads(row) for row in (data / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    result = run("transcribe", "predict", data / "test.jsonl", "-m", model, "--quiet")
    texts = result.out.splitlines()
    assert len(texts) == len(gold)
    errors = unit_errors([row["text"].split() for row in gold], [text.split() for text in texts])
    assert found["wer"] == pytest.approx(errors.rate)
    assert found["frames"] == sum(len(np.load(data / row["frames"])) for row in gold)
    wrong = (tmp_path / "errors").read_text(encoding="utf-8").splitlines()
    assert wrong == [
        f"{row['text']}\t{text}\t{row['frames']}" for row, text in zip(gold, texts, strict=True) if row["text"] != text
    ]


def test_predictions_are_the_same_however_they_are_asked_for(data: Path, model: Path, run: Run) -> None:
    rows = [json.loads(row) for row in (data / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    whole = run("transcribe", "predict", data / "test.jsonl", "-m", model, "--quiet").out.splitlines()
    single = [run("transcribe", "-m", model, data / row["frames"], "--quiet").out.rstrip("\n") for row in rows]
    assert single == whole
    numbers = "".join(json.dumps({"frames": np.load(data / row["frames"]).tolist()}) + "\n" for row in rows)
    assert run("transcribe", "-m", model, "--quiet", stdin=numbers).out.splitlines() == whole
    workers = run("transcribe", "predict", data / "test.jsonl", "-m", model, "--quiet", "--workers", 2)
    assert workers.out.splitlines() == whole
    loaded = seqkit.load(model, device="cpu")
    arrays = [np.load(data / row["frames"]) for row in rows]
    assert [loaded.transcribe(array).text for array in arrays] == whole
    assert [loaded.answer({"frames": array.tolist()})["text"] for array in arrays] == whole
    assert [found.text for found in loaded.predict(arrays, beam=1)] == [
        found.text for found in loaded.predict(arrays, beam=1, batch_tokens=1)
    ]


def test_times_and_posteriors_of_symbols(data: Path, model: Path, run: Run) -> None:
    for flags in ([], ["--beam", "8"]):
        asked = ["-m", model, "--times", "--output-format", "jsonl", "--quiet", *flags]
        result = run("transcribe", "predict", data / "test.jsonl", *asked)
        for line, row in zip(
            result.out.splitlines(), (data / "test.jsonl").read_text(encoding="utf-8").splitlines(), strict=True
        ):
            found, frames = json.loads(line), np.load(data / json.loads(row)["frames"])
            assert found["frames"] == json.loads(row)["frames"]
            assert " ".join("".join(each["symbol"] for each in found["symbols"]).split()) == found["text"]
            ends = [0]
            for each in found["symbols"]:
                assert ends[-1] <= each["start"] < each["end"] <= len(frames)
                assert 0 < each["posterior"] <= 1
                ends.append(each["end"])
    loaded = seqkit.load(model, device="cpu")
    record = next(iter(loaded.predict([frames], times=True)))
    assert record.to_json()["frames"] is None


def test_times_are_in_seconds_where_the_rate_is_known(data: Path, tmp_path: Path, run: Run, model: Path) -> None:
    rated = tmp_path / "rated"
    flags = ["--quiet", "--epochs=1", "--set=data.frame_rate=50", "--stack=2", *TINY]
    assert run("transcribe", "train", data, "-o", rated, *flags).status == 0
    loaded = seqkit.load(rated, device="cpu")
    loaded.network.head.output.bias.data[0] = -9.0  # so that something is said
    frames = np.zeros((5, 4), dtype=np.float32)
    scores = tmp_path / "scores.json"
    assert run("transcribe", "evaluate", data, "-m", rated, "--json", scores, "--quiet").status == 0
    scored = json.loads(scores.read_text(encoding="utf-8"))
    assert scored["seconds_of_audio"] == pytest.approx(scored["frames"] / 50)
    assert 0 < scored["real_time_factor"] <= scored["seconds"] / scored["seconds_of_audio"]
    found = next(iter(loaded.predict([frames], times=True)))
    (symbol,) = found.to_json()["symbols"]
    assert (symbol["start"], symbol["end"]) == (0.0, 0.1)
    assert len(found.symbols) == 1 and found.symbols[0].end == 5


def test_a_language_model_helps_and_is_tuned_on_dev(
    data: Path, model: Path, words: Path, letters: Path, run: Run, tmp_path: Path
) -> None:
    loaded = seqkit.load(model, device="cpu")
    plain = loaded.evaluate(str(data)).report
    for place in (words, letters):
        found = loaded.evaluate(str(data), lm=str(place), lm_weight=0.5, length_bonus=0.5, beam=8).report
        assert found.cer <= plain.cer + 0.05
    flags = ["--lm", words, "--tune", "--beam", "4", "--json", tmp_path / "r.json"]
    result = run("transcribe", "evaluate", data, "-m", model, *flags)
    assert result.status == 0, result.err
    (tuned,) = (line for line in result.lines if line.startswith("tuned on dev: --lm-weight "))
    scores = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    _, weight, _, bonus = tuned.removeprefix("tuned on dev: ").split()
    assert (f"{scores['lm_weight']:g}", f"{scores['length_bonus']:g}") == (weight, bonus)
    again = loaded.evaluate(str(data), lm=str(words), lm_weight=float(weight), length_bonus=float(bonus), beam=4).report
    assert scores["wer"] == again.wer
    heavy = loaded.predict([np.load(data / "2-0.npy")], lm=str(words), lm_weight=1e6, beam=8)
    assert set(next(iter(heavy)).text.split()) <= set(WORDS)  # the language model alone decides
    result = run("transcribe", "evaluate", data, "-m", model, "--tune")
    assert (result.status, result.lines[-1]) == (1, "error: tune needs a language model, --lm")


def test_a_transcriber_starts_from_no_other_model(
    data: Path, model: Path, letters: Path, run: Run, tmp_path: Path
) -> None:
    for other in (model, letters):  # of other units, too
        flags = ["--unit", "word", "--init-from", other, "--quiet"]
        result = run("transcribe", "train", data, "-o", tmp_path / "m", *flags)
        told = f"--init-from {other}: a model can only start from another where both read words or units"
        assert (result.status, result.lines) == (1, [f"error: {told}"])


def test_nothing_is_tuned_on_what_was_trained_on(data: Path, words: Path, run: Run, tmp_path: Path) -> None:
    rows = (data / "train.jsonl").read_text(encoding="utf-8").splitlines()
    parsed = [{**json.loads(row), "frames": str(data / json.loads(row)["frames"])} for row in rows]
    alone = tmp_path / "alone.jsonl"
    alone.write_text("".join(json.dumps(row) + "\n" for row in parsed), encoding="utf-8")
    flags = ["--hidden=4", "--layers=1", "--epochs=1", "--patience=0"]
    everything = ["--set", "training.keep=last", "--set", "training.on_dev=true"]
    result = run("transcribe", "train", alone, "-o", tmp_path / "m", *flags, *everything)
    assert result.status == 0, result.err
    result = run("transcribe", "evaluate", alone, "-m", tmp_path / "m", "--split", "dev", "--lm", words, "--tune")
    assert (result.status, result.lines[-1]) == (
        1,
        "error: tune: dev may have been trained on (training.on_dev); tune on a model without it, and give what was "
        "found as --lm-weight and --length-bonus",
    )


def test_n_best_texts(data: Path, model: Path, words: Path, run: Run) -> None:
    for flags in ([], ["--lm", words, "--lm-weight", "0.7", "--length-bonus", "0.3"]):
        result = run(
            "transcribe", "predict", data / "2-1.npy", "-m", model, "--nbest", "3", "--output-format", "jsonl",
            "--quiet", *flags,
        )  # fmt: skip
        found = json.loads(result.out)
        assert next(each["text"] for each in found["nbest"]) == found["text"]
        scores = [each["score"] for each in found["nbest"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 3
        if not flags:
            assert all(each["lm_log_prob"] == 0 and each["score"] == each["log_prob"] for each in found["nbest"])


@pytest.mark.parametrize("unit", ["word", "bpe", "phones"])
def test_other_units(data: Path, tmp_path: Path, run: Run, unit: str) -> None:
    output = tmp_path / "model"
    flags = [f"--unit={unit}", "--epochs=2", "--set=data.bpe_size=258", *TINY]
    result = run("transcribe", "train", data, "-o", output, *flags)
    assert result.status == 0, result.err
    learned = {"word": "learning 4 symbols: ab ba c cab", "phones": "learning 4 symbols: _ a b c"}
    assert unit == "bpe" or learned[unit] in result.lines
    result = run("transcribe", "evaluate", data, "-m", output, "--quiet")
    assert result.status == 0, result.err
    assert ("symbols" if unit == "phones" else "words") in result.out
    assert run("info", output).status == 0


def test_a_language_model_of_other_units_is_refused(
    data: Path, model: Path, letters: Path, words: Path, tmp_path: Path
) -> None:
    output = tmp_path / "by-word"
    assert (
        main(["transcribe", "train", str(data), "-o", str(output), "--unit=word", "--epochs=1", "--quiet", *TINY]) == 0
    )
    with pytest.raises(SettingsError) as caught:
        seqkit.load(output, device="cpu").evaluate(str(data), lm=str(letters))
    fault = "a language model of unit char does not fit a transcriber of unit word; train one with --unit word"
    assert str(caught.value) == f"{letters}: {fault}"
    assert seqkit.load(output, device="cpu").evaluate(str(data), lm=str(words)).report.sentences == 12


def test_what_cannot_be_learned_is_refused_with_its_place(data: Path, tmp_path: Path, run: Run) -> None:
    np.save(tmp_path / "short.npy", np.zeros((4, 4), dtype=np.float32))
    np.save(tmp_path / "long.npy", np.zeros((9, 4), dtype=np.float32))
    good = json.dumps({"frames": "long.npy", "text": "ab"}) + "\n"
    faults = {
        json.dumps({"frames": "short.npy", "text": "abb"}) + "\n": None,  # four steps are enough
        json.dumps({"frames": "short.npy", "text": "aabb"}) + "\n": (
            "'short.npy': the text needs at least 6 steps, one for each symbol and between equal ones, and the "
            "sequence has 4; stack fewer frames, or leave it out"
        ),
        json.dumps({"frames": "short.npy"}) + "\n": (
            "'short.npy': expected a text in field 'text', the other fields are none"
        ),
        json.dumps({"frames": "short.npy", "text": 3, "id": 1}) + "\n": (
            "'short.npy': expected a text in field 'text', found 3"
        ),
        json.dumps({"frames": "short.npy", "text": None}) + "\n": (
            "'short.npy': expected a text in field 'text', found None"
        ),
    }
    for line, fault in faults.items():
        (tmp_path / "a.jsonl").write_text(good + line + good * 2, encoding="utf-8")
        result = run("transcribe", "train", tmp_path / "a.jsonl", "-o", tmp_path / "m", "--epochs=1", "--force", *TINY)
        if fault is None:
            assert result.status == 0, result.err
        else:
            assert (result.status, result.lines[-1]) == (1, f"error: {tmp_path / 'a.jsonl'}:2: {fault}")
    (tmp_path / "a.jsonl").write_text(good.replace('"ab"', '" "') * 12, encoding="utf-8")
    result = run("transcribe", "train", tmp_path / "a.jsonl", "-o", tmp_path / "m", "--force", *TINY)
    assert result.lines[-1] == "error: all texts in field 'text' of the training data are empty"


def test_frames_are_wanted(data: Path, model: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.txt").write_text("some words\n", encoding="utf-8")
    result = run("transcribe", "predict", tmp_path / "a.txt", "-m", model)
    assert result.status == 1
    with pytest.raises(DataError) as caught:
        seqkit.load(model, device="cpu").transcribe(np.zeros((3, 5)))
    assert str(caught.value).endswith("expected 4 features a frame, as in training, found 5")
    assert run("transcribe", "train", tmp_path / "a.txt", "-o", tmp_path / "m").status == 1


def test_a_beam_of_one_cannot_hold_several_texts(data: Path, model: Path, run: Run) -> None:
    result = run("transcribe", "predict", data / "2-1.npy", "-m", model, "--nbest", "2", "--beam", "1")
    assert (result.status, result.lines[-1]) == (2, "error: --beam must be more than 1 for --lm and --nbest")


def test_a_text_of_one_step_has_the_probability_of_its_step(model: Path) -> None:
    """The loss that a report has is −ln p of the right text: of one step and one letter it is −ln p of the letter."""
    loaded = seqkit.load(model, device="cpu")
    frames = np.zeros((1, 4), dtype=np.float32)
    frames[0, 1] = 1.0
    found = loaded.evaluate_records([loaded.record({"frames": frames, "text": "a"})]).report
    batch = loaded.input.collate(loaded.input.arrays([loaded.record(frames)]), np.array([0]))
    with torch.inference_mode():
        loaded.network.eval()
        scores = loaded.head.score(loaded.encode(batch))
    assert found.loss == pytest.approx(-float(scores[0, 0, loaded.head.symbols.labels.index("a") + 1]), rel=1e-5)
    assert math.isfinite(found.loss)


def test_resumes_after_a_kill(data: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    flags = ["--epochs=6", "--set=encoder.dropout=0.3", *TINY, "--set=frames.time_masks=1"]

    def started(output: Path, *more: str) -> list[str]:
        command = [sys.executable, "-m", "seqkit", "transcribe", "train", str(data), "-o", str(output), "--quiet"]
        return [*command, *flags, *more]

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(started(whole), cwd=ROOT, env=environment, check=True, timeout=240)
    process = subprocess.Popen(started(killed, "--checkpoint-minutes", "0.0005"), cwd=ROOT, env=environment)
    for _ in range(3000):
        if (killed / "checkpoint" / "state.safetensors").exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    subprocess.run(started(killed, "--resume"), cwd=ROOT, env=environment, check=True, timeout=240)
    assert (whole / "weights.safetensors").read_bytes() == (killed / "weights.safetensors").read_bytes()


def test_a_request_opens_no_language_model(model: Path, words: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        seqkit.load(model, device="cpu").answer({"frames": [[0, 0, 0, 0]], "lm": str(words)})
    assert str(caught.value) == "a request cannot name files of this machine, and 'lm' is one"
