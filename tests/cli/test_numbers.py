"""Labels that are numbers: how they are known, checked and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqkit.corpora.numbers import are_numbers, as_number, number_statistics

Run = Callable[..., Any]  # the fixture `run`
NOTE = "nearly all labels are numbers; --regression learns them as such"


@pytest.mark.parametrize(
    ("value", "number"),
    [("1.5", 1.5), (2, 2.0), ("1e3", 1000.0), ("nan", None), ("inf", None), ("1_0", None), (True, None), (None, None)],
)
def test_what_is_a_number(value: Any, number: float | None) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([f"{number / 7:.3f}" for number in range(40)], True),
        ([str(number) for number in range(40)], True),
        ([*(f"{number / 7:.3f}" for number in range(40)), "?"], True),
        ([*(f"{number / 7:.3f}" for number in range(40)), *"abcd"], False),
        ([str(number % 30) for number in range(300)], False),
        ([str(1 + number % 9 / 2) for number in range(300)], False),
        ([], False),
    ],
)
def test_numbers_are_told_from_names_of_classes(labels: list[str], expected: bool) -> None:
    assert are_numbers(labels) is expected


def test_mean_and_quantiles() -> None:
    found = number_statistics(["4", "x", "1", "2", "3", "0"])
    assert found == {"mean": pytest.approx(2.0), "0%": 0.0, "25%": 1.0, "50%": 2.0, "75%": 3.0, "100%": 4.0}
    assert number_statistics(["x"]) == {}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for split, first, count in (("train", 0, 60), ("dev", 60, 8)):
        rows = [{"text": f"text {n}", "label": f"{n % 30 / 3 + first / 100:.3f}"} for n in range(first, first + count)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_numbers_are_checked_and_counted_as_such(data: Path, run: Run) -> None:
    found = run("data", "check", data)
    assert (found.status, found.out) == (0, "")
    assert NOTE in found.lines
    assert NOTE not in run("data", "check", data, "--regression").lines
    assert run("data", "check", data, "--regression", "--task=classify").status == 0
    counted = json.loads(run("data", "stats", data, "--json", "-").out)
    assert counted["train"]["labels"] == {}
    assert counted["train"]["numbers"]["100%"] == 9.667
    assert "  50% quantile" in run("data", "stats", data).out.partition("numbers")[2]
    with (data / "dev.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"text": "last", "label": "many"}\n')
    found = run("data", "check", data)
    assert found.out == f"{data / 'dev.jsonl'}:9: expected a number in field 'label', found 'many'\n"


def test_training_without_regression_tells_it(data: Path, tmp_path: Path, run: Run) -> None:
    small = ["--epochs=1", "--hidden=2", "--set=embedding.word_size=2", "--set=embedding.chars=none"]
    found = run("classify", "train", data, "-o", tmp_path / "m", *small)
    assert NOTE in found.err
    found = run("classify", "train", data, "-o", tmp_path / "n", "--regression", *small)
    assert (found.status, NOTE in found.err) == (0, False)


def test_of_pairs_the_pair_is_in_two_splits(tmp_path: Path, run: Run) -> None:
    row = json.dumps({"premise": "a", "hypothesis": "b", "label": "x"}) + "\n"
    other = json.dumps({"premise": "a", "hypothesis": "c", "label": "y"}) + "\n"
    (tmp_path / "train.jsonl").write_text(row + other, encoding="utf-8")
    (tmp_path / "dev.jsonl").write_text(row, encoding="utf-8")
    found = run("data", "check", tmp_path, "--text=premise", "--text=hypothesis")
    assert f"{tmp_path / 'dev.jsonl'}:1: the pair is also in train, at" in found.out
