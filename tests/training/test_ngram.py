from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.config import override, parse_assignments
from seqkit.errors import ModelError, SettingsError, TrainingError
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.inputs.streams import Corpus
from seqkit.model.loading import load
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.torchrun import Launch
from seqkit.training.distribution import Group
from seqkit.training.run import run

LINES = ["to be or not to be", "that is the question", "do be do be do"] * 8
TINY: dict[str, Any] = {
    "embedding": {"word_size": 6},
    "encoder": {"hidden": 7},
    "training": {"batch_size": 3, "bptt": 4, "epochs": 1, "optimizer": "adam", "lr": 0.02},
}


def tiny(*assignments: str) -> LmSettings:
    return override(override(LmSettings(), TINY), parse_assignments(assignments))


def fault_of(kind: type[Exception], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        run(*arguments, device="cpu", **options)
    return str(caught.value)


# --- instead of a network -----------------------------------------------------------------------------------------


def test_a_run_writes_a_model_and_its_report_and_no_history(tmp_path: Path) -> None:
    output = tmp_path / "lm"
    trained = run(tiny("head.ngram=3"), output, LINES, dev=LINES[:6], test=["to be", "unheard of"], device="cpu")
    names = {"README.md", "characters.json", "config.json", "report.json", "units.json", "weights.safetensors"}
    assert {path.name for path in output.iterdir()} == {*names, "words.json"}
    model = load(output)
    assert isinstance(model, NgramLanguageModel)
    corpus = Corpus.read(["to be", "unheard of"], model.input.units)
    assert model.evaluate_records(corpus).report == trained.reports["test"]
    assert trained.reports["test"].unknown == 2
    assert trained.reports["dev"].perplexity < 2.0
    report = json.loads((output / "report.json").read_text())
    assert set(report["training"]) == {"seconds"}
    assert report["parameters"] == model.parameter_counts()
    assert report["data"]["sentences"] == {"train": 24, "dev": 6, "test": 2}
    assert all("baseline" not in scores for scores in report["scores"].values())


def test_a_second_run_needs_force(tmp_path: Path) -> None:
    settings = tiny("head.ngram=2")
    run(settings, tmp_path, LINES, dev=LINES[:3], device="cpu", resume=True)  # there is nothing to go on from
    before = (tmp_path / "weights.safetensors").read_bytes()
    found = f"{tmp_path}: expected an empty output directory, found files; use --resume or --force"
    assert fault_of(TrainingError, settings, tmp_path, LINES) == found
    found = f"{tmp_path}: expected a checkpoint to go on from, found a model alone; use --force"
    assert fault_of(TrainingError, settings, tmp_path, LINES, resume=True) == found
    assert fault_of(TrainingError, tiny(), tmp_path, LINES, resume=True) == found
    run(settings, tmp_path, LINES, dev=LINES[:3], device="cpu", force=True)
    assert (tmp_path / "weights.safetensors").read_bytes() == before


def test_several_processes_cannot_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def several(device: str) -> Iterator[Group]:
        group = Group(Launch.from_environment(), torch.device("cpu"))
        group.size = 3
        yield group

    monkeypatch.setattr("seqkit.training.run.training_group", several)
    fault = fault_of(SettingsError, tiny("head.ngram=2"), tmp_path / "lm", LINES, dev=LINES[:3])
    assert fault == "n-grams are counted by one process, and 3 were started"
    assert not (tmp_path / "lm").exists()


def test_the_run_of_a_network_is_not_gone_on_with(tmp_path: Path) -> None:
    run(tiny(), tmp_path, LINES, dev=LINES[:3], device="cpu")
    before = (tmp_path / "config.json").read_bytes()
    fault = "n-grams are counted at once, and cannot go on from the checkpoint that is there"
    found = fault_of(TrainingError, tiny("head.ngram=2"), tmp_path, LINES, dev=LINES[:3], resume=True)
    assert found == f"{tmp_path}: {fault}; start again with --force"
    assert (tmp_path / "config.json").read_bytes() == before
    run(tiny("head.ngram=2"), tmp_path, LINES, dev=LINES[:3], device="cpu", force=True)
    assert not (tmp_path / "checkpoint").exists()
    assert not (tmp_path / "train.jsonl").exists()


def test_no_network_starts_from_counts(tmp_path: Path) -> None:
    ngram = tmp_path / "ngram"
    run(tiny("head.ngram=2", "data.unit=char"), ngram, LINES, dev=LINES[:3], device="cpu")
    expected = f"{ngram}: a model with a network is needed, and this one has n-grams instead"
    start = tiny(f"training.init_from={ngram}", "data.unit=char")
    assert fault_of(ModelError, start, tmp_path / "lm", LINES, dev=LINES[:3]) == expected
    context = override(TagSettings(), {"embedding": {"context": str(ngram)}})
    pairs = [(["to", "be"], ["O", "O"])] * 4
    assert fault_of(ModelError, context, tmp_path / "tag", pairs, dev=pairs) == expected


# --- beside a network ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("assignments", [(), ("data.unit=char",), ("data.unit=bpe", "data.bpe_size=270")])
@pytest.mark.parametrize("limit", [(), ("data.max_words=4",)])
def test_the_baseline_is_the_model_of_counts(
    assignments: tuple[str, ...], limit: tuple[str, ...], tmp_path: Path
) -> None:
    splits: dict[str, Any] = {"dev": LINES[:3], "test": ["to be or to do", "is that nobler"]}
    trained = run(tiny(*assignments, *limit), tmp_path / "a", LINES, **splits, device="cpu")
    counted = run(tiny(*assignments, *limit, "head.ngram=5"), tmp_path / "b", LINES, **splits, device="cpu")
    for split in ("dev", "test"):
        beside = trained.reports[split].baseline
        assert beside.name == "5-gram Kneser-Ney"
        assert beside.perplexity == pytest.approx(counted.reports[split].perplexity)
        assert trained.reports[split].unknown == counted.reports[split].unknown
        recorded = trained.model.report["scores"][split]["baseline"]
        assert recorded == {"name": beside.name, "perplexity": beside.perplexity}
    assert trained.reports["dev"].baseline != trained.reports["test"].baseline


def test_the_baseline_is_known_of_the_splits_that_were_scored(tmp_path: Path) -> None:
    trained = run(tiny(), tmp_path, LINES, dev=LINES[:3], test=["to be or to do"], device="cpu")
    assert set(trained.model.report["checksums"]) == {"dev", "test"}
    for split, lines in (("dev", LINES[:3]), ("test", ["to be or to do"])):
        baseline = trained.model.evaluate(lines).report.baseline
        assert baseline is not None and baseline == trained.reports[split].baseline
    assert trained.model.evaluate(["to do or to be"]).report.baseline is None


def test_the_baseline_can_be_left_out_and_has_an_order(tmp_path: Path) -> None:
    without = run(tiny("head.baseline=0"), tmp_path / "a", LINES, dev=LINES[:3], device="cpu")
    assert without.reports["dev"].baseline is None
    assert "baseline" not in without.model.report["scores"]["dev"]
    second = run(tiny("head.baseline=2"), tmp_path / "b", LINES, dev=LINES[:3], device="cpu")
    assert second.reports["dev"].baseline.name == "2-gram Kneser-Ney"


def test_a_text_too_long_for_it_has_no_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("prepare", "streams"):
        monkeypatch.setattr(f"seqkit.training.{module}.BASELINE_UNITS", 100)
    trained = run(tiny(), tmp_path, LINES, dev=LINES[:3], device="cpu", quiet=False)
    assert trained.reports["dev"].baseline is None
    assert "no n-gram baseline: the training text has more than 100 units\n" in capsys.readouterr().err
