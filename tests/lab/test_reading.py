"""Gradients over data and of trained models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.config import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError, ModelError
from seqkit.formats.arrays import ArraySource
from seqkit.heads.classification.settings import ClassifyFramesSettings, ClassifySettings
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.segmentation import Units
from seqkit.lab.gradients import WARM_UP, measure_gradients, state_gradients
from seqkit.lab.reading import forward_encoder, measure_model, read_inputs
from seqkit.lab.training import stream
from seqkit.model.classifier import Classifier
from seqkit.model.language_model import LanguageModel
from seqkit.records import FrameRecord, Sentence

SIZES = (6, 50, 9, 45, 8)


def sequences() -> list[np.ndarray]:
    draw = np.random.default_rng(2)
    return [draw.normal(5.0, 3.0, (size, 2)).astype(np.float32) for size in SIZES]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    rows = [{"frames": one.tolist(), "label": "ab"[n % 2]} for n, one in enumerate(sequences())]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return resolve(str(path), quiet=True)


def model(**encoder: Any) -> Classifier:
    settings = override(ClassifyFramesSettings(), {"encoder": {"hidden": 4, "cell": "gru", **encoder}})
    torch.manual_seed(1)
    records = [FrameRecord(ArraySource(one), fields={"label": "ab"[n % 2]}) for n, one in enumerate(sequences())]
    return Classifier.build(settings, records)


def normalised() -> list[np.ndarray]:
    every = np.concatenate(sequences())
    return [(one - every.mean(0)) / every.std(0) for one in sequences()]


def test_networks_read_the_first_steps_of_sequences_that_are_long_enough(data: Dataset) -> None:
    lines: list[str] = []
    found = read_inputs(data, 9, 2, lines.append)
    expected = np.stack([normalised()[row][:9] for row in (1, 2)])  # the second one has no more
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert lines == ["3 of 5 sequences have at least 9 steps; read are the first 9 steps of 2 of them"]
    long = read_inputs(data, 10, 16)
    assert long.shape == (2, 10 + WARM_UP, 2)
    np.testing.assert_allclose(long[1].numpy(), normalised()[3][: 10 + WARM_UP], rtol=1e-4, atol=1e-5)


def test_no_sequence_is_long_enough(data: Dataset) -> None:
    with pytest.raises(DataError) as caught:
        read_inputs(data, 51, 4)
    found = "expected a sequence of at least 51 steps, found none longer than 50"
    assert str(caught.value) == f"{found}; measure fewer with --steps"


def test_every_network_reads_the_same_data(data: Dataset) -> None:
    read = read_inputs(data, 9, 4)
    curves = measure_gradients(["gru"], ["auto"], [1.0], hidden=5, steps=9, networks=2, read=read)
    assert len(curves[0].norms) == 9
    assert curves == measure_gradients(["gru"], ["auto"], [1.0], hidden=5, steps=9, networks=2, read=read)
    other = measure_gradients(["gru"], ["auto"], [1.0], hidden=5, steps=9, networks=2, read=2 * read)
    assert other[0].norms != curves[0].norms


@pytest.mark.parametrize(
    "encoder",
    [
        {"direction": "forward", "layers": 2},
        {"direction": "both"},
        {"direction": "both", "layers": 2, "concat": "final"},
        {"direction": "both", "layers": 2, "concat": "final", "skip": "dense"},
        {"direction": "both", "concat": "final", "skip": "residual"},
    ],
)
@torch.no_grad()
def test_the_forward_direction_is_that_of_the_model(encoder: dict[str, Any]) -> None:
    whole = model(**encoder).network.encoder.eval()
    x, lengths = torch.randn(3, 7, 2), torch.tensor([7, 7, 7])
    again = model(**encoder)
    before = torch.get_rng_state()
    found = forward_encoder(again).eval()(x, lengths).outputs
    assert torch.equal(before, torch.get_rng_state())
    assert torch.allclose(found, whole(x, lengths).outputs[:, :, : whole.forward_size], atol=1e-6)


@pytest.mark.parametrize(
    ("encoder", "found"),
    [
        ({"direction": "backward"}, "direction backward with 1 layer"),
        ({"direction": "both", "layers": 2}, "direction both with 2 layers"),
    ],
)
def test_encoders_without_a_forward_direction_of_their_own(encoder: dict[str, Any], found: str) -> None:
    with pytest.raises(ModelError) as caught:
        forward_encoder(model(**encoder))
    told = "expected an encoder that reads forward, or in both directions with one layer or concat final"
    assert str(caught.value) == f"{told}, found {found}"


def test_a_model_is_measured_over_what_it_reads(data: Dataset) -> None:
    classifier = model(direction="forward")
    curve = measure_model(classifier, data, steps=9, batch_size=1, seed=3)
    x = torch.from_numpy(normalised()[1][: 9 + WARM_UP])[None].double()
    v = torch.randn(1, 4, generator=stream(3, "directions"), dtype=torch.float64)
    encoder = classifier.network.encoder.double().eval()
    norms = state_gradients(encoder, x, v / v.norm(), 9)[:, 0, 0]
    assert curve.norms == pytest.approx(norms.tolist(), rel=1e-4)
    assert (curve.cell, curve.init, curve.gain) == ("gru", "auto", 1.0)


def test_a_model_of_words_is_measured_too(tmp_path: Path) -> None:
    path = tmp_path / "data.tsv"
    path.write_text("label\ttext\n" + "good\ta fine day\nbad\ta grey day in May\n" * 3)
    sections = {"embedding": {"word_size": 3}, "encoder": {"hidden": 4}}
    texts = [Sentence.from_tokens(["a", "day"]), Sentence.from_tokens(["fine"])]
    for text, label in zip(texts, ("good", "bad"), strict=True):
        text.fields = {"label": label}
    classifier = Classifier.build(override(ClassifySettings(), sections), texts)
    lines: list[str] = []
    data = resolve(str(path), quiet=True)
    curve = measure_model(classifier, data, steps=4, batch_size=9, seed=1, say=lines.append)
    assert len(curve.norms) == 4
    assert lines == ["3 of 6 sequences have at least 4 steps; read are the first 5 steps of 3 of them"]


def test_a_model_that_reads_a_stream_is_refused(data: Dataset) -> None:
    sections = {"embedding": {"word_size": 3}, "encoder": {"hidden": 4, "direction": "forward"}}
    lm = LanguageModel.of_counts(override(LmSettings(), sections), Units.word(), {"a": 2})
    with pytest.raises(ModelError) as caught:
        measure_model(lm, data, steps=2, batch_size=1, seed=1)
    assert str(caught.value) == "a model of seqkit lm reads no sequences that begin with a state of zeros"
