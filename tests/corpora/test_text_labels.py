"""Labels that cannot be labels are refused before training; what is only unusual is said."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from seqkit.corpora.check import check
from seqkit.corpora.from_python import from_items
from seqkit.corpora.reading import read_splits
from seqkit.corpora.resolve import resolve
from seqkit.corpora.text_labels import refuse_no_labels
from seqkit.errors import DataError
from seqkit.formats.format import Description
from seqkit.heads.classification.settings import ClassifyDataSettings
from seqkit.records import TextRecord

OUT = (
    "--columns text,label if the text stands first in a table without names of columns; otherwise "
    "--set data.text=NAME --set data.label=NAME (or --text NAME --label NAME)"
)
DATA = ClassifyDataSettings()
REVIEWS = [f"a {mood} film, number {number}" for number in range(40) for mood in ("fine", "dull")]
OPINIONS = ["pos", "neg"] * 40


def records(labels: Sequence[str | list[str]], texts: Sequence[str]) -> list[TextRecord]:
    return [TextRecord(text, {"label": label}) for label, text in zip(labels, texts, strict=True)]


def refusal(labels: Sequence[str | list[str]], texts: Sequence[str], dev: int) -> str:
    """What is said of the labels, of which the last ones are those of dev."""
    found = records(labels, texts)
    try:
        return "\n".join(refuse_no_labels(found[:-dev], found[-dev:], "label", "f"))
    except DataError as error:
        return f"error: {error}"


def test_texts_sorted_by_label_of_which_the_last_tenth_is_held_out(tmp_path: Path) -> None:
    """Dev has labels of its own then, and the scores say nothing: training says so, as `check` does."""
    order = "the texts are sorted by label: the last tenth, which is held out as dev, has only 'pos' of 2 labels; "
    message = f"{order}shuffle the lines, or give a dev file"
    rows = [f"{label}\t{text}\n" for label, text in zip(sorted(OPINIONS), REVIEWS, strict=True)]
    file = tmp_path / "train.tsv"
    file.write_text("".join(rows))
    assert read_splits(resolve(file), "texts", DATA, None).notes[-1] == f"warning: {message}"
    assert [each.message for each in check(resolve(file))] == [message]
    (tmp_path / "dev.tsv").write_text("pos\ta fine play\nneg\ta dull play\n")
    assert read_splits(resolve(tmp_path), "texts", DATA, None).notes == []
    file.write_text("".join(f"{label}\t{text}\n" for label, text in zip(OPINIONS, REVIEWS, strict=True)))
    (tmp_path / "dev.tsv").unlink()
    assert "sorted by label" not in "".join(read_splits(resolve(file), "texts", DATA, None).notes)


@pytest.mark.parametrize("size", [5, 10, 80])
def test_a_text_that_stands_first(size: int, tmp_path: Path) -> None:
    for name, mark in (("f.tsv", "\t"), ("f.csv", ";")):
        file = tmp_path / name
        rows = list(zip(REVIEWS, OPINIONS, strict=True))[:size]
        file.write_text("".join(f"{text}{mark}{label}\n" for text, label in rows))
        train = size - max(1, size // 10)
        found = f"{train} different labels for 2 different texts of {train}"
        message = f"the texts look like labels and the labels like texts ({found}); {OUT}"
        with pytest.raises(DataError) as caught:
            read_splits(resolve(file), "texts", DATA, None)
        assert str(caught.value) == f"{file}: {message}"
        assert f"{file}: {message}" in map(str, check(resolve(file)))
        named = resolve(file).described(Description(columns=("text", "label")))
        found_texts = read_splits(named, "texts", DATA, None).records["train"]
        assert [one.fields["label"] for one in found_texts] == OPINIONS[:train]
        assert not [one for one in check(named) if "also in" not in one.message]


def test_labels_from_python() -> None:
    dataset = from_items("texts", [("review", "sentiment"), *zip(REVIEWS, OPINIONS, strict=True)])
    with pytest.raises(DataError) as caught:
        read_splits(dataset, "texts", DATA, None)
    found = "the first text and its label look like names of columns: review, sentiment"
    assert str(caught.value) == f"texts train:1: {found}; leave them out"
    usual = from_items("texts", list(zip(REVIEWS, OPINIONS, strict=True)))
    assert len(read_splits(usual, "texts", DATA, None).records["train"]) == 72


def test_numbers_of_rows_are_no_labels() -> None:
    labels = [f"t{number}" for number in range(80)]
    assert refusal(labels, REVIEWS, 8) == (
        "error: f: the field 'label' does not look like a label: 72 different labels for 72 texts, and 0 of 8 texts of "
        f"dev have one of them; {OUT}"
    )
    assert refusal(labels[:10], REVIEWS[:10], 1) == ""  # too few to say


def test_a_few_examples_for_each_of_many_labels_are_fine() -> None:
    names = [f"intent_{number}" for number in range(40)]
    assert (
        refusal(names * 2, REVIEWS, 40) == "warning: 40 different labels for 40 texts, fewer than two examples for most"
    )
    assert refusal(names + names + names, REVIEWS + REVIEWS[:40], 40) == ""


def test_short_texts_with_longer_labels_are_fine() -> None:
    names = [f"{first}{last}" for first in "ABCDEFGH" for last in "abcdefgh"]
    languages = ["Portuguese", "Indonesian", "Norwegian", "Hungarian"] * 16
    assert refusal(languages, names, 8) == ""
    assert refusal(languages, ["Al", "Bo", "Cy", "Di"] * 16, 8) == ""  # the same names, one language each


def test_several_labels_are_counted_one_by_one() -> None:
    draw = random.Random(1)
    several = [sorted(draw.sample("abcdefgh", 4)) for _ in REVIEWS]
    assert refusal(several, REVIEWS, 8) == ""
    assert refusal(["|".join(each) for each in several], REVIEWS, 8) == ""


def test_records_without_texts_are_not_compared() -> None:
    assert refusal([str(number) for number in range(20)], [""] * 20, 2) == ""


def test_names_of_columns_are_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "imdb.csv"
    file.write_text(
        "review,sentiment\n" + "".join(f'"{one}",{two}\n' for one, two in zip(REVIEWS, OPINIONS, strict=True))
    )
    message = (
        f"{file}:1: the first row looks like names of columns: review, sentiment; say which is which: "
        "--set data.text=review --set data.label=sentiment (or --text review --label sentiment)"
    )
    with pytest.raises(DataError) as caught:
        read_splits(resolve(file), "texts", DATA, None)
    assert str(caught.value) == message
    assert message in map(str, check(resolve(file)))
    assert check(resolve(file), "sentiment", text="review") == []


@pytest.mark.parametrize("sign", "#,;")
def test_several_labels_in_one_are_told(sign: str) -> None:
    joined = f"pos{sign} long"
    labels = ["pos", "neg", joined, "neg"] * 20
    read = f"the label {joined!r} looks like several with {sign} between them and is read as one"
    message = f"warning: {read}; several labels stand with | between them, or as a list in JSON"
    assert refusal(labels, REVIEWS, 8) == message
    assert refusal([label.replace(sign, "|") for label in labels], REVIEWS, 8) == ""
    assert refusal([label.replace(sign, "-") for label in labels], REVIEWS, 8) == ""
    assert refusal(["C", f"C{sign}"] * 40, REVIEWS, 8) == ""
    assert refusal([f"a{sign}b", "c"] * 40, REVIEWS, 8) == ""
