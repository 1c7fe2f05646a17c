"""Training a generator: it learns what its condition says, faults come before training, and a run can be resumed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.config import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_items
from seqkit.corpora.reading import read_splits
from seqkit.corpora.resolve import resolve
from seqkit.errors import SeqkitError
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.model.generator import Generator
from seqkit.records import Sentence
from seqkit.training.learner import RecordLearner
from seqkit.training.prepare import Prepared, prepare
from seqkit.training.progress import Progress
from seqkit.training.run import run

NAMES = ("zero", "one", "two", "three")
TINY = {
    "embedding": {"word_size": 8},
    "encoder": {"hidden": 16},
    "training": {"epochs": 30, "batch_size": 8, "lr": 0.02},
}
CPU = torch.device("cpu")


def items(count: int) -> list[dict[str, Any]]:
    """Numbers as labels and as vectors, with their names to be spelled."""
    return [
        {"number": number % 4, "image": [float(number % 4 == k) for k in range(4)], "text": NAMES[number % 4]}
        for number in range(count)
    ]


def tuned(**data: Any) -> GenerateSettings:
    return override(override(GenerateSettings(), TINY), {"data": data})


def dataset_of(rows: list[Any]) -> Dataset:
    return from_items("fields", rows, rows, None)


def prepared(settings: GenerateSettings, dataset: Dataset) -> Prepared:
    return prepare(settings.complete(dataset), dataset, CPU, Progress(quiet=True))


def records_of(dataset: Dataset, split: str, target: str = "text") -> list[Sentence]:
    return read_splits(dataset, "fields", tuned(target=target).data, None, [split]).records[split]


def write(folder: Path, split: str, rows: list[dict[str, Any]]) -> Path:
    file = folder / f"{split}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize("condition", ["number", "image", "number:text", "image,number"])
def test_it_learns_to_spell_what_the_condition_says(condition: str, tmp_path: Path) -> None:
    trained = run(tuned(condition=condition), tmp_path / "m", items(40), dev=items(8), device="cpu")
    report = trained.reports["dev"]
    assert (report.exact_match, report.same_lines) == (1.0, None)
    assert report.prediction.perplexity < 1.2
    assert isinstance(trained.model, Generator)
    assert [one.text for one in trained.model.generate(items(4), temperature=0)] == list(NAMES)
    assert trained.model.perplexity(items(8)) == pytest.approx(report.prediction.perplexity)


def test_without_a_condition_it_is_a_language_model_and_knows_less(tmp_path: Path) -> None:
    none = run(tuned(condition="none"), tmp_path / "none", items(40), dev=items(8), device="cpu")
    perplexity = none.reports["dev"].prediction.perplexity
    # Four equally likely names of 3 + 4 + 4 + 5 letters with their ends: ln 4 for each 4.75 units at best.
    assert math.exp(math.log(4) / 4.75) * 0.98 < perplexity < 2.0
    assert none.reports["dev"].exact_match == 0.25


def test_by_default_all_fields_are_the_condition(tmp_path: Path) -> None:
    rows = [{**row, "note": None if number else "x"} for number, row in enumerate(items(20))]
    model = prepared(tuned(), dataset_of(rows)).model
    assert model.settings.data.condition == "number,image"
    assert [field.kind for field in model.head.codec.fields] == ["label", "vector"]


def test_a_run_that_was_cut_short_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    short = override(tuned(condition="number"), {"training": {"epochs": 2}})
    long = override(short, {"training": {"epochs": 4}})
    whole = run(long, tmp_path / "whole", items(20), dev=items(4), device="cpu")
    run(short, tmp_path / "parts", items(20), dev=items(4), device="cpu")
    parts = run(long, tmp_path / "parts", items(20), dev=items(4), device="cpu", resume=True)
    for name, weight in whole.model.network.state_dict().items():
        assert torch.equal(weight, parts.model.network.state_dict()[name]), name
    with pytest.raises(SeqkitError) as caught:
        other = [{**row, "number": 3} for row in items(20)]
        run(tuned(condition="number:label"), tmp_path / "parts", other, dev=items(4), device="cpu", resume=True)
    assert "expected" in str(caught.value)


def test_arrays_beside_the_files_are_read_also_where_dev_is_held_out(tmp_path: Path) -> None:
    rows = [{"text": row["text"]} for row in items(20)]
    write(tmp_path, "train", rows)
    np.save(tmp_path / "train.image.npy", np.array([row["image"] for row in items(20)]))
    dataset = resolve(tmp_path)
    train, dev = (records_of(dataset, split) for split in ("train", "dev"))
    assert [one.fields["image"].tolist() for one in (*train, *dev)] == [row["image"] for row in items(20)]
    assert len(dev) == 2


def test_faults_in_any_split_are_told_before_training(tmp_path: Path) -> None:
    write(tmp_path, "train", items(8))
    write(tmp_path, "dev", items(4))
    test = write(tmp_path, "test", [*items(2), {**items(1)[0], "number": 9}])
    output = tmp_path / "m"
    with pytest.raises(SeqkitError) as caught:
        run(tuned(condition="number:label"), output, tmp_path, device="cpu")
    assert str(caught.value) == f"{test}:3: expected a 'number' seen in training (0, 1, 2, 3), found '9'"
    write(tmp_path, "test", [{"number": 1}])
    with pytest.raises(SeqkitError) as caught:
        run(tuned(condition="number:label"), output, tmp_path, device="cpu")
    assert str(caught.value).startswith(f"{test}:1: expected ")
    write(tmp_path, "test", [])
    with pytest.raises(SeqkitError) as caught:
        run(tuned(condition="number:label"), output, tmp_path, device="cpu")
    assert str(caught.value) == f"{test}: no texts found"
    with pytest.raises(SeqkitError) as caught:  # from Python, where no file is read
        run(tuned(condition="number"), output, items(8), dev=items(2), test=[{"number": 1}], device="cpu")
    assert "expected a text in field 'text'" in str(caught.value)
    assert not output.exists()


def test_what_is_not_learned_does_not_change_the_checksum_of_the_data() -> None:
    settings, rows = tuned(condition="number"), items(12)

    def checksum(changes: dict[str, Any]) -> int:
        learner = prepared(settings, dataset_of([{**row, **changes} for row in rows])).learner
        assert learner is not None
        return learner.checksum

    assert checksum({}) == checksum({"tags": {"x", "y", "z"}}) == checksum({"other": object()})
    assert checksum({}) != checksum({"number": 1})
    assert checksum({}) != checksum({"text": "a"})


def test_it_starts_from_another_models_embedding_and_vocabulary(tmp_path: Path) -> None:
    first = run(tuned(condition="none"), tmp_path / "first", items(20), dev=items(4), device="cpu").model
    start = override(tuned(condition="number"), {"training": {"init_from": str(tmp_path / "first"), "epochs": 1}})
    rows = [{**row, "text": row["text"] + "!"} for row in items(20)]
    model = prepared(start, dataset_of(rows)).model
    assert isinstance(first, Generator)
    size = len(first.input.indexer.words)
    assert model.input.indexer.words.words[:size] == first.input.indexer.words.words
    assert "!" in model.input.indexer.words
    theirs, ours = first.network.input.embedding.table, model.network.input.embedding.table
    assert theirs is not None and ours is not None
    assert torch.equal(ours[:size], theirs)


def test_items_that_are_no_mappings() -> None:
    with pytest.raises(SeqkitError) as caught:
        dataset_of([items(1)[0], "one"])
    assert str(caught.value) == "records train:2: expected a mapping of fields, found 'one'"


def test_unknown_units_count_as_wrong_and_are_told() -> None:
    torch.manual_seed(0)
    train = [Sentence([], "ab", [], fields={"k": "x"})] * 4
    model = Generator.build(tuned(condition="k:label"), train)
    report = model.evaluate_records([Sentence([], "az", [], fields={"k": "x"})] * 2).report
    assert report.prediction.unknown == 2
    assert report.exact == 0
    assert report.prediction.units == 6


def test_lines_are_learned_without_a_condition(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("one\ntwo\n\nthree four\n" * 4, encoding="utf-8")
    dataset = resolve(tmp_path / "names.txt")
    found = prepared(tuned(), dataset)
    assert found.model.settings.data.condition == "none"
    assert isinstance(found.learner, RecordLearner)
    assert (found.size, len(found.learner.dev)) == (11, 1)
    assert [one.text for one in records_of(dataset, "train")[:3]] == ["one", "two", "three four"]


def test_items_may_call_their_text_otherwise() -> None:
    rows = [{"poem": row["text"], "number": row["number"]} for row in items(8)]
    records = records_of(dataset_of(rows), "dev", "poem")
    assert [one.fields["poem"] for one in records] == [row["text"] for row in items(8)]
    assert prepared(tuned(target="poem"), dataset_of(rows)).model.settings.data.condition == "number"
