"""Normalisation by a speaker: of all sequences that are read together, whatever they are predicted in."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqkit
from seqkit.config import override
from seqkit.errors import SettingsError
from seqkit.formats.manifest import row_frames
from seqkit.heads.classification.settings import ClassifyFramesSettings
from seqkit.heads.transcription.settings import TranscribeSettings
from seqkit.inputs.base import NO_SOURCES
from seqkit.inputs.frame_statistics import Moments, statistics_of
from seqkit.inputs.frames import FrameInput
from seqkit.model.classifier import Classifier
from seqkit.records import FrameRecord
from tests.cli.conftest import run  # noqa: F401

SPEAKERS = ("ada", "bo", None, "ada", "bo", 7, "ada")


def records(numbers: np.random.Generator) -> list[FrameRecord]:
    shapes = [(int(numbers.integers(1, 9)), 3) for _ in SPEAKERS]
    rows: list[dict[str, Any]] = [{"frames": numbers.normal(3, 5, shape)} for shape in shapes]
    for row, speaker in zip(rows, SPEAKERS, strict=True):
        row |= {} if speaker is None else {"speaker": speaker}
    return [row_frames(row) for row in rows]


def made(given: list[FrameRecord], **changes: Any) -> FrameInput:
    settings = override(TranscribeSettings(), {"frames": {"normalize": "speaker"}, **changes})
    return FrameInput.build(settings, given, NO_SOURCES)


def test_of_each_speaker_the_mean_is_0_and_the_deviation_1() -> None:
    given = records(np.random.default_rng(1))
    input = made(given).surveyed(given)
    batch = input.collate(input.arrays(given), np.arange(len(given)))
    for speaker in set(SPEAKERS):
        rows = [row for row, name in enumerate(SPEAKERS) if name == speaker]
        inside = np.concatenate([batch.frames[row, : batch.frame_lengths[row]].numpy() for row in rows])
        raw = np.concatenate([np.asarray(given[row].source.read(), np.float64) for row in rows])
        deviation = raw.std(0)
        expected = (raw - raw.mean(0)) / np.where(deviation > 0, deviation, 1)
        np.testing.assert_allclose(inside, expected, atol=1e-5)


def test_what_one_model_takes_from_a_speaker_is_unknown_to_all_others() -> None:
    given = records(np.random.default_rng(6))
    by_speaker = made(given)
    by_sequence = made(given, frames={"normalize": "sequence"})
    rows = np.arange(len(given))
    alone = by_sequence.collate(by_sequence.arrays(given), rows).frames
    surveyed = by_speaker.surveyed(given)
    arrays = surveyed.arrays(given)
    together = surveyed.collate(arrays, rows).frames
    assert not np.allclose(together, alone)
    assert np.array_equal(by_sequence.collate(by_sequence.arrays(given), rows).frames, alone)
    assert np.array_equal(by_speaker.collate(by_speaker.arrays(given), rows).frames, alone)  # which has seen no others
    by_speaker.surveyed(given[:2])
    assert np.array_equal(surveyed.collate(arrays, rows).frames, together)


def test_a_sequence_that_is_normalised_by_itself_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = records(np.random.default_rng(7))
    input = made(given, frames={"normalize": "sequence"})
    arrays = input.arrays(given)
    read: list[FrameRecord] = []
    original = FrameInput.read
    monkeypatch.setattr(FrameInput, "read", lambda *known, **how: read.append(known[1]) or original(*known, **how))
    batch = input.collate(arrays, np.arange(len(given)))
    assert list(map(id, read)) == list(map(id, given))
    for row, record in enumerate(given):
        frames = record.source.read()
        mean, scale = statistics_of([frames], 3)
        assert np.array_equal(batch.frames[row, : len(frames)], (frames - mean) * scale)


@pytest.mark.parametrize("factor", [1e-45, 1e-42, 1e-38, 1e-30, 1e25, 9e28])
def test_numbers_near_the_ends_of_float32_are_normalised_without_a_warning(factor: float) -> None:
    moments = Moments(2)
    frames = (np.random.default_rng(4).normal(size=(50, 2)) * [factor, 1]).astype(np.float32)
    moments.add(frames)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, scale = moments.normalisation()
        found = (frames - mean) * scale
    assert np.isfinite(scale).all() and np.isfinite(found).all()
    assert found[:, 1].std() == pytest.approx(1, rel=1e-5)
    if factor >= 1e-37:
        assert found[:, 0].std() == pytest.approx(1, rel=1e-4)


def test_data_without_speakers_are_refused() -> None:
    numbers = np.random.default_rng(2)
    with pytest.raises(SettingsError) as caught:
        made(records(numbers), data={"speaker": "who"})
    assert str(caught.value) == (
        "frames.normalize is speaker, but no sequence has a field 'who'; name it by --set data.speaker, or use --set "
        "frames.normalize=sequence"
    )


def test_a_request_tells_the_speaker() -> None:
    numbers = np.random.default_rng(8)
    rows: list[dict[str, Any]] = [
        {"frames": numbers.normal(place, 1 + place, (5, 2)).tolist(), "who": "ab"[place % 2]} for place in range(6)
    ]
    changes = {"frames": {"normalize": "speaker"}, "data": {"speaker": "who"}, "encoder": {"hidden": 4}}
    labelled = [row_frames({**row, "label": "xy"[place % 2]}) for place, row in enumerate(rows)]
    model = Classifier.build(override(ClassifyFramesSettings(), changes), labelled)
    together = [answer.probs for answer in model.predict(rows)]
    alone = [next(iter(model.predict([row]))).probs for row in rows]
    assert together[0] != pytest.approx(alone[0], abs=1e-4)
    answers = model.answer({"texts": rows})["answers"]
    for row, answer, expected, single in zip(rows, answers, together, alone, strict=True):
        assert answer["probs"] == pytest.approx(expected, abs=1e-5)
        assert model.answer(row)["probs"] == pytest.approx(single, abs=1e-5)
        assert model.answer({"frames": row["frames"]})["probs"] == pytest.approx(single, abs=1e-5)
    for request, found in (({"frames": [[0, 0]], "speaker": "a"}, "'frames', 'speaker'"), ({"who": "a"}, "'who'")):
        with pytest.raises(SettingsError) as caught:
            model.answer(request)
        assert str(caught.value) == (
            f"a request has 'frames', perhaps 'who', beside options (top); this one has {found}"
        )
    other = Classifier.build(override(ClassifyFramesSettings(), changes | {"frames": {"normalize": "data"}}), labelled)
    with pytest.raises(SettingsError) as caught:
        other.answer(rows[0])
    assert str(caught.value) == "a request has 'frames' beside options (top); this one has 'frames', 'who'"


def test_a_command_python_and_workers_read_the_same(run: Callable[..., Any], tmp_path: Path) -> None:  # noqa: F811
    numbers = np.random.default_rng(3)
    rows = [
        {
            "frames": numbers.normal(who, 1 + who, (int(numbers.integers(4, 9)), 2)).tolist(),
            "speaker": who,
            "text": "ab",
        }
        for who in numbers.integers(0, 3, 60).tolist()
    ]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = tmp_path / "model"
    flags = ["--set", "frames.normalize=speaker", "--hidden=4", "--epochs=1"]
    run("transcribe", "train", file, "-o", model, *flags)
    loaded = seqkit.load(model)
    together = [answer.alternatives[0]["score"] for answer in loaded.predict(rows, nbest=2)]
    alone = [next(iter(loaded.predict([row], nbest=2))).alternatives[0]["score"] for row in rows]
    assert together != pytest.approx(alone, abs=1e-4)
    for asked in ([], ["--workers=2"], ["--batch-tokens=8"]):
        told = run("transcribe", "predict", file, "-m", model, "--nbest=2", "--output-format=jsonl", *asked).out
        assert [json.loads(line)["nbest"][0]["score"] for line in told.splitlines()] == pytest.approx(
            together, abs=1e-4
        )
