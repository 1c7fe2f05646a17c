"""The language model of frames: its scores and its pieces, each against a network that is asked frame by frame."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqkit
from seqkit.config import override
from seqkit.errors import DataError, ModelError, SettingsError
from seqkit.formats.arrays import ArraySource
from seqkit.formats.midi import read_midi, write_midi
from seqkit.formats.piano import KEYS
from seqkit.heads.frame_model.settings import FrameModelSettings
from seqkit.inputs.keys import KeyBatch
from seqkit.model.frame_model import FrameLanguageModel
from seqkit.records import FrameRecord, ScoredFrames


def record(roll: Any, **about: Any) -> FrameRecord:
    return FrameRecord(ArraySource(np.asarray(roll, np.float32)), **about)


def rolls(seed: int, *lengths: int, keys: int = 6) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [(draw.random((length, keys)) < 0.4).astype(np.uint8) for length in lengths]


def made(keys: int = 6, **encoder: Any) -> FrameLanguageModel:
    torch.manual_seed(1)
    settings = override(FrameModelSettings(), {"encoder": {"hidden": 7, "layers": 2, **encoder}})
    model = FrameLanguageModel.build(settings, [record(np.zeros((1, keys)))])
    for parameter in model.network.parameters():  # larger than at first, so that mistakes show
        parameter.data.mul_(3)
    return model


def by_hand(model: FrameLanguageModel, roll: np.ndarray) -> list[float]:
    """ln p of each frame, the network asked one frame at a time."""
    network, state, found = model.network.eval(), None, []
    before = torch.zeros(1, roll.shape[1])
    with torch.no_grad():
        for frame in torch.from_numpy(roll).float():
            batch = KeyBatch(torch.zeros(1, 1, roll.shape[1]), before, torch.ones(1, dtype=torch.int64))
            encoded = network(batch, state=state, return_state=True)
            logits = model.head.module.linear(encoded.outputs[0, 0]).double()
            p = torch.sigmoid(logits)
            found.append(float(torch.where(frame > 0, p, 1 - p).log().sum()))
            state, before = encoded.state, frame.unsqueeze(0)
    return found


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_scores_are_those_of_frame_by_frame(cell: str) -> None:
    model = made(cell=cell)
    parts = rolls(2, 9, 1, 40, 9, 17)
    answers = list(model.predict(map(record, parts), batch_tokens=50))
    for part, answer in zip(parts, answers, strict=True):
        assert isinstance(answer, ScoredFrames)
        assert answer.units == len(part)
        assert answer.log_prob == pytest.approx(sum(by_hand(model, part)), rel=1e-5)
    alone = [next(model.predict([record(part)])).log_prob for part in parts]
    assert [answer.log_prob for answer in answers] == pytest.approx(alone, rel=1e-5)


def test_all_pieces_of_a_length_have_probability_1() -> None:
    model = made(keys=2)
    every = [np.array([[a & 1, a >> 1], [b & 1, b >> 1]]) for a in range(4) for b in range(4)]
    total = math.fsum(math.exp(answer.log_prob) for answer in model.predict(map(record, every)))
    assert total == pytest.approx(1, abs=1e-5)


def test_report_has_the_mean_over_frames_and_over_sequences() -> None:
    model = made()
    answers = [ScoredFrames(record(np.zeros((1, 6))), -30.0, 10), ScoredFrames(record(np.zeros((1, 6))), -8.0, 2)]
    report = model.head.report([], answers)
    assert report.to_json() == {
        "sentences": 2,
        "tokens": 12,
        "units": 12,
        "frames": 12,
        "loss": pytest.approx(38 / 12),
        "loss_by_sequence": pytest.approx((3 + 4) / 2),
    }
    assert report.render() == (
        "loss     3.1667 nats a frame, the mean over all frames\n"
        "         3.5000 nats a frame, the mean over sequences of their means\n\n"
        "12 frames of 2 sequences"
    )
    assert model.head.dev_scores(report) == {"score": -report.loss, "loss": report.loss}


def test_answers() -> None:
    answer = ScoredFrames(record(np.zeros((1, 6)), name="a.mid"), -3.0, 4)
    assert answer.to_json() == {"frames": "a.mid", "nats_per_frame": 0.75, "log_prob": -3.0, "units": 4}
    assert answer.to_cells() == ("0.7500", "-3.0000", "4")


class TestSample:
    @pytest.mark.parametrize("temperature", [0.0, 0.7, 2.0])
    def test_log_prob_is_the_score_of_what_was_added(self, temperature: float) -> None:
        model = made()
        (prompt,) = rolls(3, 300)
        for piece in model.sample(prompt, count=3, length=11, temperature=temperature, seed=4, prompt_length=290):
            assert piece.frames.shape == (301, 6)
            assert piece.frames[:290].tolist() == prompt[:290].tolist()
            assert piece.prompt == 290
            expected = sum(by_hand(model, piece.frames)[290:])
            assert piece.log_prob == pytest.approx(expected, rel=1e-4)
            assert piece.nats_per_frame == pytest.approx(-expected / 11, rel=1e-4)

    def test_seeds(self) -> None:
        model = made()
        one, other, third = (model.sample(length=30, seed=seed)[0].frames.tolist() for seed in (1, 1, 2))
        assert one == other != third

    def test_without_a_seed_pieces_differ_and_the_generator_of_torch_is_left_alone(self) -> None:
        model = made()
        torch.manual_seed(1)
        before = torch.random.get_rng_state()
        one, other = (model.sample(length=30)[0].frames.tolist() for _ in range(2))
        assert one != other
        assert torch.random.get_rng_state().equal(before)

    def test_frames_are_drawn_from_the_model(self) -> None:
        """The frequencies of the first frame, which is drawn from the start alone."""
        model = made(keys=3)
        drawn = np.stack([piece.frames[0] for piece in model.sample(count=1000, length=1, seed=5)])
        expected = [math.exp(by_hand(model, np.array([[1 - 1, 0, 0]]))[0])]
        assert (drawn.sum(1) == 0).mean() == pytest.approx(expected[0], abs=0.05)

    def test_keys_outside_are_off(self) -> None:
        model = made(keys=KEYS)
        (piece,) = model.sample(length=40, keys="C4-60", seed=1)
        assert set(np.flatnonzero(piece.frames.any(0)).tolist()) <= {39}
        assert model.key_range("A0-108") == model.key_range("") == (0, KEYS - 1)

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ("C4", "expected keys LOW-HIGH, such as C3-C6, found 'C4'"),
            ("C4-C3", "expected keys LOW-HIGH, the lower one first, found 'C4-C3'"),
            ("H1-C3", "expected a key from A0 to C8, or from 21 to 108 as MIDI numbers them, found 'H1'"),
            ("", ""),
        ],
    )
    def test_no_such_keys(self, keys: str, message: str) -> None:
        if keys:
            with pytest.raises(DataError) as caught:
                made(keys=KEYS).sample(keys=keys)
            assert str(caught.value) == message
        with pytest.raises(DataError) as caught:
            made().sample(keys="C3-C4")
        assert str(caught.value) == "keys have names where there are 88 of a piano; this model has 6"

    def test_prompts_from_files(self, tmp_path: Path) -> None:
        model = made(keys=KEYS)
        roll = rolls(6, 12, keys=KEYS)[0]
        write_midi(tmp_path / "a.mid", roll, tempo=90)
        np.save(tmp_path / "a.npy", roll)
        np.savez(tmp_path / "a.npz", one=roll, other=roll[:3])
        for name, tempo in (("a.mid", 90), ("a.npy", 120), ("a.npz#one", 120)):
            (piece,) = model.sample(str(tmp_path / name), length=2, seed=1)
            assert piece.frames[:12].tolist() == roll.tolist()
            assert piece.tempo == pytest.approx(tempo)
        assert model.sample(read_midi(tmp_path / "a.mid"), length=1, tempo=60)[0].tempo == 60

    def test_faults(self, tmp_path: Path) -> None:
        model = made()
        with pytest.raises(SettingsError, match="options: beam: "):
            model.sample(beam=3)
        with pytest.raises(DataError) as caught:
            model.sample(np.zeros((2, 5)))
        assert str(caught.value) == "expected 6 keys a frame, as in training, found 5"
        model.head.module.linear.bias.data[0] = math.inf
        with pytest.raises(ModelError, match=r"^the probability of a key is not finite, or too large: "):
            model.sample(length=1)


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = made()
    parts = rolls(7, 5, 8)
    model.save(tmp_path / "model")
    found = seqkit.load(tmp_path / "model")
    assert isinstance(found, FrameLanguageModel)
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "seqkit lm score -m THIS_FOLDER FILE\nseqkit lm sample -m THIS_FOLDER -o piece.mid\n" in card
    both = [[answer.log_prob for answer in each.predict(map(record, parts))] for each in (model, found)]
    assert both[0] == both[1]
    assert found.answer({"frames": parts[0].tolist()}) == {
        "frames": None,
        "nats_per_frame": pytest.approx(-both[0][0] / 5),
        "log_prob": pytest.approx(both[0][0]),
        "units": 5,
    }


def test_requests_name_the_field_of_training() -> None:
    settings = override(FrameModelSettings(), {"data": {"frames": "roll"}, "encoder": {"hidden": 7}})
    model = FrameLanguageModel.build(settings, [record(np.zeros((1, 6)))])
    (roll,) = rolls(7, 5)
    expected = {"nats_per_frame": next(iter(model.predict([roll]))).nats_per_frame, "units": 5}
    for field in ("roll", "frames"):
        answer = model.answer({field: roll.tolist()})
        assert {name: answer[name] for name in expected} == pytest.approx(expected)
    answers = model.answer({"texts": [{"roll": roll.tolist()}, roll.tolist()]})["answers"]
    assert [{name: each[name] for name in expected} for each in answers] == [pytest.approx(expected)] * 2
    with pytest.raises(SettingsError) as caught:
        model.answer({"rolls": roll.tolist()})
    assert str(caught.value) == "a request has 'frames' or 'roll' beside options (none); this one has 'rolls'"


@pytest.mark.parametrize(("section", "value"), [({"direction": "both"}, "direction"), ({"direction": "backward"}, "")])
def test_the_future_is_unseen(section: dict[str, str], value: str) -> None:
    with pytest.raises(SettingsError, match=r"encoder\.direction"):
        override(FrameModelSettings(), {"encoder": section})
