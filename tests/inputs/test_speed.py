"""Sequences that are faster or slower in training: linear interpolation between the first and the last frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqkit.config import override
from seqkit.formats.arrays import ArraySource
from seqkit.heads.classification.settings import ClassifyFramesSettings
from seqkit.heads.transcription.head import SymbolTargets
from seqkit.inputs.base import NO_SOURCES
from seqkit.inputs.frames import FrameInput
from seqkit.records import FrameRecord


def made(speed: float, lengths: tuple[int, ...], stack: int = 1) -> tuple[FrameInput, list[FrameRecord]]:
    draw = np.random.default_rng(1)
    records = [FrameRecord(ArraySource(draw.normal(size=(length, 3)).astype(np.float32))) for length in lengths]
    changes = {"frames": {"speed": speed, "stack": stack, "normalize": "none"}}
    return FrameInput.build(override(ClassifyFramesSettings(), changes), records, NO_SOURCES), records


def test_each_feature_is_interpolated_as_numpy_does() -> None:
    input, records = made(0.3, (1, 2, 7, 40))
    arrays = input.arrays(records)
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        batch = input.training_batch(arrays, np.arange(4), None)
        for row, (record, count) in enumerate(zip(records, batch.frame_lengths.tolist(), strict=True)):
            frames = record.source.read()
            places = np.linspace(0, len(frames) - 1, count)
            expected = [np.interp(places, np.arange(len(frames)), feature) for feature in frames.T]
            np.testing.assert_allclose(batch.frames[row, :count], np.array(expected).T, rtol=1e-5, atol=1e-6)
            assert not batch.frames[row, count:].any()
            assert round(len(frames) / 1.3) <= count <= round(len(frames) / 0.7)
        seen.add(batch.frame_lengths[3].item())
    assert len(seen) > 10


def test_no_sequence_is_shorter_than_its_text_needs() -> None:
    input, records = made(0.9, (12, 12), stack=2)
    targets = SymbolTargets([[1, 1, 2], [1]])
    for seed in range(50):
        torch.manual_seed(seed)
        batch = input.training_batch(input.arrays(records), np.arange(2), targets)
        assert batch.lengths[0] >= 4
        assert batch.lengths[1] >= 1
        assert batch.lengths.tolist() == [-(-count // 2) for count in batch.frame_lengths.tolist()]


@pytest.mark.parametrize("speed", [0.0, 0.5])
def test_predictions_are_of_the_sequence_as_it_is(speed: float) -> None:
    input, records = made(speed, (5, 9))
    arrays = input.arrays(records)
    batch = input.collate(arrays, np.arange(2))
    assert batch.frame_lengths.tolist() == [5, 9]
    if not speed:
        state = torch.get_rng_state()
        assert torch.equal(input.training_batch(arrays, np.arange(2), None).frames, batch.frames)
        assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn
