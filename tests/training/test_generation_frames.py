"""``seqkit generate`` from sequences of vectors: movements are told in words, whatever the sequences lie in."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.config import override
from seqkit.errors import SeqkitError
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.model.generator import Generator
from seqkit.model.loading import load
from seqkit.records import TextRecord
from seqkit.training.run import run

Run = Callable[..., Any]  # the fixture `run`

TINY: dict[str, Any] = {
    "data": {"unit": "word"},
    "embedding": {"word_size": 8},
    "encoder": {"hidden": 24},
    "head": {"text_hidden": 16, "pool": "last"},
    "training": {"epochs": 20, "batch_size": 8, "lr": 0.02, "schedule": "cosine"},
}


def movement(words: list[str], steps: int = 2) -> list[list[float]]:
    """A height and a constant, the height changing in each of so many steps of a movement."""
    heights = [0.0]
    for word in words:
        heights += [heights[-1] + (step + 1) * (1 if word == "up" else -1) for step in range(steps)]
    return [[height, 1.0] for height in heights]


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    told = [[draw.choice(["up", "down"]) for _ in range(draw.choice((1, 2)))] for _ in range(count)]
    return [{"frames": movement(words), "text": " ".join(words)} for words in told]


def settings(tree: dict[str, Any] | None = None) -> GenerateSettings:
    return override(override(GenerateSettings(), TINY), tree or {})


def write(folder: Path, split: str, made: list[dict[str, Any]], layout: str) -> None:
    """Write a split: numbers in its lines, files that they name, or an array beside it."""
    told = [dict(row) for row in made]
    arrays = {str(number): np.array(row["frames"]) for number, row in enumerate(made) if "frames" in row}
    if layout == "files":
        for number, row in enumerate(told):
            np.save(folder / f"{split}-{number}.npy", arrays[str(number)])
            row["frames"] = f"{split}-{number}.npy"
    elif layout == "members":
        np.savez(folder / f"{split}.npz", **arrays)
        for number, row in enumerate(told):
            row["frames"] = f"{split}.npz#{number}"
    lines = (json.dumps(row) + "\n" for row in told)
    (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("movements")
    for split, count, layout in (("train", 40, "files"), ("dev", 8, "members"), ("test", 8, "numbers")):
        write(folder, split, rows(count, len(split)), layout)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(settings(), tmp_path_factory.mktemp("models") / "m", data, device="cpu")


@pytest.fixture
def model(trained: Any) -> Generator:
    found = trained.model
    assert isinstance(found, Generator)
    return found


def test_it_learns_to_tell_a_movement_in_words(trained: Any, model: Generator) -> None:
    assert [(field.name, field.kind) for field in model.head.codec.fields] == [("frames", "frames")]
    assert {split: report.exact_match for split, report in trained.reports.items()} == {"dev": 1.0, "test": 1.0}
    told = model.generate([{"frames": movement(["down", "up"])}, {"frames": np.array(movement(["up"]))}], temperature=0)
    assert [one.text for one in told] == ["down up", "up"]
    assert model.perplexity(rows(8, 4)) == pytest.approx(trained.reports["test"].prediction.perplexity, abs=1e-5)


def test_the_same_numbers_train_the_same_model_wherever_they_lie(data: Path, tmp_path: Path) -> None:
    short = settings({"training": {"epochs": 2, "schedule": "constant"}})
    found = []
    for layout in ("numbers", "files", "members"):
        folder = tmp_path / layout
        folder.mkdir()
        for split, count in (("train", 12), ("dev", 4)):
            write(folder, split, rows(count, len(split)), layout)
        found.append(run(short, tmp_path / f"{layout}-m", folder, device="cpu").model.network.state_dict())
    items = run(short, tmp_path / "items", rows(12, 5), dev=rows(4, 3), device="cpu").model.network.state_dict()
    for other in (*found[1:], items):
        assert found[0].keys() == other.keys()
        assert all(torch.equal(weight, other[name]) for name, weight in found[0].items())


def test_arrays_of_sequences_beside_the_files(tmp_path: Path) -> None:
    made = [row for row in rows(60, 1) if len(row["frames"]) == 3][:20]
    write(tmp_path, "train", [{"text": row["text"]} for row in made], "numbers")
    np.save(tmp_path / "train.frames.npy", np.array([row["frames"] for row in made]))
    found = run(settings({"training": {"epochs": 2}}), tmp_path / "m", tmp_path, device="cpu").model
    dev = made[9::10]  # one in ten is held out
    train = [row for number, row in enumerate(made) if number % 10 < 9]
    items = run(settings({"training": {"epochs": 2}}), tmp_path / "items", train, dev=dev, device="cpu").model
    assert found.settings.data.condition == "frames"
    weights = items.network.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in found.network.state_dict().items())


def test_saved_and_read_again_it_writes_the_same(model: Generator, trained: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert isinstance(again, Generator)
    given = [{"frames": row["frames"]} for row in rows(5, 9)]
    options: dict[str, Any] = {"count": 2, "seed": 5, "length": 9}
    assert again.generate(given, **options) == model.generate(given, **options)
    assert again.perplexity(rows(5, 9)) == model.perplexity(rows(5, 9))
    assert "- From frames: a sequence of vectors of 2 numbers" in (tmp_path / "m" / "README.md").read_text()


def test_nothing_depends_on_what_else_is_in_a_batch(model: Generator) -> None:
    draw = random.Random(3)
    made = [{"frames": movement(["up"] * draw.randrange(1, 9), draw.randrange(1, 5)), "text": "up"} for _ in range(20)]
    together = model.log_probs(made)
    for row, found in zip(made, together, strict=True):
        assert model.log_probs([row])[0] == pytest.approx(found, abs=1e-5)
    texts = model.generate(made, temperature=0, length=12)
    assert [one.text for one in texts] == [model.generate(row, temperature=0, length=12)[0].text for row in made]


def test_a_run_that_was_cut_short_goes_on_as_if_it_had_not_been(data: Path, tmp_path: Path) -> None:
    tree = {"frames": {"noise": 0.1, "time_masks": 1, "stack": 2}, "training": {"schedule": "constant"}}
    short, long = (settings({**tree, "training": {"epochs": count, "schedule": "constant"}}) for count in (1, 3))
    whole = run(long, tmp_path / "whole", data, device="cpu").model.network.state_dict()
    run(short, tmp_path / "parts", data, device="cpu")
    parts = run(long, tmp_path / "parts", data, device="cpu", resume=True).model.network.state_dict()
    assert all(torch.equal(weight, parts[name]) for name, weight in whole.items())
    other = [{**row, "frames": [[0.0, 1.0]]} for row in rows(40, 5)]
    with pytest.raises(SeqkitError) as caught:
        run(long, tmp_path / "parts", other, dev=rows(8, 3), device="cpu", resume=True)
    assert "checksum of the data" in str(caught.value)


def test_requests(model: Generator) -> None:
    move, other = movement(["up", "down"]), movement(["down"])
    answer = model.answer({"frames": move, "temperature": 0})
    assert (answer["text"], answer["ended"]) == ("up down", True)
    assert model.answer({"condition": {"frames": move}, "temperature": 0}) == answer
    several = model.answer({"conditions": [{"frames": move}, {"frames": other}], "temperature": 0})
    assert [one["text"] for one in several["answers"]] == ["up down", "down"]
    for request, fault in (
        ({"frames": "a.npy"}, "expected a list of frames, each of numbers in \"frames\", found 'a.npy'"),
        ({"frames": [[1.0]]}, "'frames': expected 2 features a frame, as in training, found 1"),
        ({"frames": [[1, 1e38]]}, "'frames': expected "),
    ):
        with pytest.raises(SeqkitError) as caught:
            model.answer(request)
        assert str(caught.value).startswith(fault)


def test_faults_of_numbers_are_told_before_training(tmp_path: Path) -> None:
    made = rows(12, 1)
    made[4]["frames"][2][0] = 1e38
    write(tmp_path, "train", rows(12, 2), "numbers")
    write(tmp_path, "dev", rows(2, 3), "numbers")
    write(tmp_path, "test", made, "files")
    with pytest.raises(SeqkitError) as caught:
        run(settings(), tmp_path / "m", tmp_path, device="cpu")
    assert str(caught.value).startswith(f"{tmp_path / 'test.jsonl'}:5: 'test-4.npy': expected ")
    (tmp_path / "test-4.npy").unlink()
    with pytest.raises(SeqkitError) as caught:
        run(settings(), tmp_path / "m", tmp_path, device="cpu")
    assert str(caught.value).startswith(f"{tmp_path / 'test.jsonl'}:5: ")
    assert str(caught.value).endswith(
        f"cannot be read: No such file or directory; looked for in {str(tmp_path)!r} (field 'frames') "
        "(conditions found: frames; --condition names others, or none)"
    )
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("cell", ["gru", "minlstm"])
@pytest.mark.parametrize("pool", ["mean", "last"])
def test_every_parameter_gets_a_gradient(cell: str, pool: str) -> None:
    torch.manual_seed(0)
    tree = {"encoder": {"cell": cell}, "head": {"pool": pool}, "frames": {"convolutions": 1, "channels": 4, "stack": 2}}
    records = [TextRecord(row["text"], row) for row in rows(6)]
    model = Generator.build(settings({**tree, "data": {"unit": "word", "condition": "frames"}}), records)
    arrays, conditions = model.input.arrays(records), model.head.conditions(records)
    every = np.arange(len(records))
    encoded = model.encode(model.input.collate(arrays, every), conditions.collate(every))
    loss = model.head.loss(encoded, None).mean
    assert math.isfinite(float(loss.detach()))
    loss.backward()
    for name, parameter in model.network.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name
