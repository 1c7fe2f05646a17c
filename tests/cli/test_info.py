"""``seqkit info``."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

import seqkit
from seqkit.errors import ModelError
from seqkit.model.files import read_config, write_config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Run = Callable[..., Any]  # the fixture `run`


def rows_of(result: Any) -> dict[str, str]:
    """The rows above the settings, by name."""
    assert (result.status, result.err) == (0, "")
    return dict(line.split(maxsplit=1) for line in result.out.partition("\n\n")[0].split("\n"))


def test_a_span_tagger(ner_model: Path, corpus: Path, run: Run) -> None:
    rows = rows_of(run("info", ner_model))
    assert list(rows) == ["model", "data", "labels", "dev", "test", "parameters", "versions"]
    assert rows["model"].startswith(f"{ner_model}: tag, 0.")
    assert rows["data"] == str(corpus)
    kinds, scheme = rows["labels"].split("  ")
    assert {"PER", "LOC"} <= set(kinds.split()) and scheme == "(spans, IOB2)"
    report = json.loads((ner_model / "report.json").read_text())
    scores = report["scores"]["test"]
    assert rows["test"].startswith(f"f1 {scores['f1']:.4f}  precision ")
    assert rows["test"].endswith(f"accuracy {scores['accuracy']:.4f}  (12 sentences)")
    assert rows["parameters"].startswith(f"{sum(report['parameters'].values()):,} (input ")
    assert rows["versions"].startswith(f"seqkit {seqkit.__version__}, torch ")


def test_a_tagger_without_spans(pos_model: Path, corpus: Path, run: Run) -> None:
    rows = rows_of(run("info", pos_model))
    assert rows["data"] == f"{corpus}, column 1"
    assert "(spans" not in rows["labels"] and "." in rows["labels"].split()
    assert rows["dev"].startswith("accuracy ")


def test_settings_are_a_recipe(ner_model: Path, run: Run) -> None:
    settings = tomllib.loads(run("info", ner_model).out.partition("\n\n")[2])
    assert settings == json.loads((ner_model / "config.json").read_text())["settings"]


@pytest.mark.parametrize("order", [["--json", "DIR"], ["DIR", "--json"]], ids=" ".join)
def test_json(order: list[str], ner_model: Path, run: Run) -> None:
    result = run("info", *(str(ner_model) if word == "DIR" else word for word in order))
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    assert set(found) == {"format_version", "seqkit_version", "settings", "labels", "files", "report", "fault"}
    assert found["fault"] is None
    assert found["report"] == json.loads((ner_model / "report.json").read_text())
    assert found["files"]["weights.safetensors"] == (ner_model / "weights.safetensors").stat().st_size
    assert found["labels"]["scheme"] == "iob2"


def test_a_model_from_python_without_scores(tmp_path: Path, run: Run) -> None:
    from seqkit.model.tagger import Tagger
    from seqkit.records import Sentence

    model = Tagger.build(seqkit.TagSettings(), [Sentence.from_tokens(["a", "b"], {"label": ["X", "Y"]})])
    model.save(tmp_path / "model")
    rows = rows_of(run("info", tmp_path / "model"))
    assert (list(rows), rows["labels"]) == (["model", "labels"], "X Y")


def test_what_load_refuses_is_described_with_the_fault(ner_model: Path, tmp_path: Path, run: Run) -> None:
    """All checksums are right, and the files do not fit each other."""
    whole = run("info", ner_model).out
    shutil.copytree(ner_model, tmp_path / "model")
    config, files = read_config(ner_model)
    weights = safetensors.torch.load(files["weights.safetensors"])
    weights["head.emission.bias"][0] = float("nan")
    files["weights.safetensors"] = safetensors.torch.save(weights)
    write_config(tmp_path / "model", {"settings": config["settings"]}, files)
    with pytest.raises(ModelError) as caught:
        seqkit.load(tmp_path / "model")
    fault = "weights do not fit the model's settings: expected finite numbers as head.emission.bias, found nan"
    assert str(caught.value) == f"{tmp_path / 'model'}: {fault}"
    result = run("info", tmp_path / "model")
    assert result.status == 1
    assert result.out == whole.replace(str(ner_model), str(tmp_path / "model"))
    assert result.err == f"error: {tmp_path / 'model'}: {fault}\n"
    result = run("info", tmp_path / "model", "--json")
    assert (result.status, result.err) == (1, f"error: {tmp_path / 'model'}: {fault}\n")
    assert json.loads(result.out)["fault"] == f"{tmp_path / 'model'}: {fault}"


@pytest.mark.parametrize("model", sorted((Path(__file__).parent.parent / "formats").glob("v?/*/config.json")), ids=str)
def test_models_of_every_format_version(model: Path, tmp_path: Path, run: Run) -> None:
    """Also of n-grams. What one lacks is told by `info` as by `load`."""
    model = model.parent
    assert run("info", model).status == 0
    config, files = read_config(model)
    del files["weights.safetensors"]
    shutil.copytree(model, tmp_path / "model")
    write_config(tmp_path / "model", {"settings": config["settings"]}, files)
    with pytest.raises(ModelError) as caught:
        seqkit.load(tmp_path / "model")
    result = run("info", tmp_path / "model")
    assert (result.status, result.err) == (1, f"error: {caught.value}\n")
    assert result.out.startswith(f"model       {tmp_path / 'model'}: ")


def test_checkpoints_are_no_model(tmp_path: Path, run: Run) -> None:
    (tmp_path / "checkpoint").mkdir()
    result = run("info", tmp_path)
    fault = f"{tmp_path}: expected a model directory with config.json, found an unfinished training run"
    assert (result.status, result.out, result.err) == (1, "", f"error: {fault}\n")
