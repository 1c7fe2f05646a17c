"""Every cell in every task and direction: it trains on the samples, and predicts the same after a reload."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import seqkit
from seqkit.config import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.samples import generate
from seqkit.corpora.split import Split
from seqkit.errors import SettingsError
from seqkit.model.base import Model
from seqkit.nn.recurrent import CELLS
from seqkit.tasks import TASKS

SAMPLES = {"tag": "sample-ner", "classify": "sample-reviews", "lm": "sample-sentences", "generate": "sample-names"}
SIZES = {"train": 24, "dev": 8}
SMALL: dict[str, Any] = {
    "embedding": {"word_size": 8, "chars": "none", "dropout": 0.0, "word_dropout": 0.0},
    "encoder": {"hidden": 8, "layers": 2, "concat": "final", "dropout": 0.0},
    "training": {"epochs": 3, "batch_size": 4, "lr": 0.01, "optimizer": "adam"},
}
OWN: dict[str, dict[str, Any]] = {
    "tag": {"data": {"target": "ner", "scheme": "iob2"}},
    "classify": {"head": {"baseline": False}},
    "lm": {"data": {"splitter": "spaces"}, "head": {"baseline": 0}, "training": {"bptt": 8}},
    "generate": {"data": {"condition": "category"}},
}
DIRECTIONS = {
    "tag": ("forward", "backward", "both"),
    "classify": ("forward", "backward", "both"),
    "lm": ("forward", "both"),
    "generate": ("forward",),
}


@pytest.fixture(scope="module")
def data() -> dict[str, Dataset]:
    return {
        task: Dataset(name, {split: Split(content=part) for split, part in generate(name, SIZES, seed=1).items()})
        for task, name in SAMPLES.items()
    }


def predictions(model: Model) -> Any:
    if model.task.name == "tag":
        return model.tag(["Ada", "Lovelace", "met", "Jordan"], probs=True)
    if model.task.name == "classify":
        return model.classify("a fine film")
    if model.task.name == "lm":
        return model.score("the dogs sleep").log_prob
    return model.generate({"category": "river"}, temperature=0.0, length=9)


@pytest.mark.parametrize(
    ("task", "direction"), [(task, direction) for task, directions in DIRECTIONS.items() for direction in directions]
)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_trains(cell: str, task: str, direction: str, data: dict[str, Dataset], tmp_path: Path) -> None:
    settings = override(override(TASKS[task].settings_class()(), SMALL), OWN[task])
    settings = override(settings, {"encoder": {"cell": cell, "direction": direction}})
    model = seqkit.train(settings, tmp_path / "model", data[task], device="cpu", quiet=True)
    lines = (tmp_path / "model" / "train.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert min(losses[1:]) < losses[0]
    assert model.settings.encoder.cell == cell
    assert predictions(seqkit.load(tmp_path / "model")) == predictions(model)


def test_a_cell_without_recurrent_weights_has_none_to_drop(data: dict[str, Dataset], tmp_path: Path) -> None:
    settings = override(TASKS["lm"].settings_class()(), {"encoder": {"cell": "mingru", "weight_dropout": 0.5}})
    with pytest.raises(SettingsError) as caught:
        seqkit.train(settings, tmp_path / "model", data["lm"], device="cpu", quiet=True)
    assert str(caught.value) == ("encoder: expected a weight_dropout of 0 without recurrent weights, found 0.5")


@pytest.mark.parametrize("task", SAMPLES)
def test_one_hot_input_and_the_other_options_of_the_craft(task: str, data: dict[str, Dataset], tmp_path: Path) -> None:
    settings = override(override(TASKS[task].settings_class()(), SMALL), OWN[task])
    craft = {
        "embedding": {"one_hot": True},
        "encoder": {"init": "identity", "init_gain": 0.9, "forget_bias": 2.0},
        "training": {"clip": 0.1, "clip_by": "value"},
    }
    model = seqkit.train(override(settings, craft), tmp_path / "model", data[task], device="cpu", quiet=True)
    assert model.network.input.embedding.table is None
    assert model.network.input.embedding.output_size == len(model.input.indexer.words)
    reloaded = seqkit.load(tmp_path / "model")
    assert predictions(reloaded) == predictions(model)
    for name, weight in model.network.state_dict().items():
        assert torch.equal(weight, reloaded.network.state_dict()[name])


def test_a_sum_of_all_that_was_read_does_not_grow_along_a_stream(tmp_path: Path) -> None:
    lines = generate("sample-sentences", {"train": 300, "dev": 100}, seed=1)
    dataset = Dataset("sentences", {split: Split(content=part) for split, part in lines.items()})
    settings = override(
        override(TASKS["lm"].settings_class()(), SMALL), {**OWN["lm"], "encoder": {"cell": "running_sum"}}
    )
    model = seqkit.train(settings, tmp_path / "model", dataset, device="cpu", quiet=True)
    assert model.report["scores"]["dev"]["perplexity"] < 0.7 * len(model.input.indexer.words)  # of chance
    words = ["the dogs sleep"] * 50
    assert model.perplexity(words, window=7) == pytest.approx(model.perplexity(words, window=100))
