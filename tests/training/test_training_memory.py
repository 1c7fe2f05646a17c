"""What stays in memory of the training data: arrays, and no record of a sentence that is not scored."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.config import override
from seqkit.corpora.resolve import resolve
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.records import Sentence
from seqkit.training.learner import RecordLearner
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress
from seqkit.training.run import train
from seqkit.training.trainer import Trainer

Pairs = list[tuple[list[str], list[str]]]


def sentences() -> int:
    gc.collect()
    return sum(type(each) is Sentence for each in gc.get_objects())


def write(file: Path, pairs: Pairs) -> Path:
    rows = ("".join(f"{token}\t{label}\n" for token, label in zip(*pair, strict=True)) for pair in pairs)
    file.write_text("\n".join(rows))
    return file


@pytest.mark.parametrize("held_out", [False, True], ids=["dev given", "dev held out"])
def test_a_tagger_keeps_arrays_of_its_files(
    held_out: bool,
    make_pairs: Callable[..., Pairs],
    tiny_settings: Callable[..., TagSettings],
    tmp_path: Path,
) -> None:
    write(tmp_path / "train.conll", make_pairs(40))
    if not held_out:
        write(tmp_path / "dev.conll", make_pairs(4, 1))
    before = sentences()
    dataset = resolve(str(tmp_path))
    learner = prepare(tiny_settings(), dataset, torch.device("cpu"), Progress(quiet=True)).learner
    assert sentences() - before == 4  # those of dev
    assert isinstance(learner, RecordLearner)
    assert learner.size == (36 if held_out else 40)
    assert len(dataset.sentences("train")) == learner.size  # read once more
    assert [each.tokens for each in dataset.sentences("dev")] == [each.tokens for each in learner.dev]


@pytest.mark.parametrize("dev", [None, 3], ids=["dev held out", "dev given"])
def test_a_tagger_keeps_arrays_of_what_it_was_given(
    dev: int | None,
    make_pairs: Callable[..., Pairs],
    tiny_settings: Callable[..., TagSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, during = sentences(), []
    whole = Trainer.run

    def counted(trainer: Any) -> None:
        during.append(sentences() - before)
        whole(trainer)

    monkeypatch.setattr(Trainer, "run", counted)
    given = None if dev is None else make_pairs(dev, 1)
    model = train(tiny_settings("training.epochs=1"), tmp_path / "out", make_pairs(40), dev=given, device="cpu")
    assert during == [dev or 4]
    assert model.report["data"]["sentences"] == {"train": 36 if dev is None else 40, "dev": dev or 4}


def test_a_classifier_keeps_arrays_and_its_baseline_still_reads_every_text(tmp_path: Path) -> None:
    texts = [
        f"{kind}\tthe {kind} film of {number % 7} and {number}" for number in range(20) for kind in ("good", "bad")
    ]
    (tmp_path / "train.tsv").write_text("\n".join(texts) + "\n")
    (tmp_path / "dev.tsv").write_text("\n".join(texts[:4]) + "\n")
    before = sentences()
    tiny = {"embedding": {"word_size": 8, "chars": "none"}, "encoder": {"hidden": 4}}
    settings = override(ClassifySettings(), tiny)
    dataset = resolve(str(tmp_path))
    learner = prepare(settings, dataset, torch.device("cpu"), Progress(quiet=True)).learner
    assert sentences() - before == 4  # those of dev
    assert isinstance(learner, RecordLearner)
    split = learner.model.input.splitter.split
    expected = [each.tokens for each in dataset.texts("train", split)]
    assert list(learner.arrays.tokens()) == expected and len(expected) == 40
