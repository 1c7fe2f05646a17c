"""Faults of texts and what is written from each: parallel files, dialogue acts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqkit.corpora.cards import Card, list_cards
from seqkit.corpora.check import check
from seqkit.corpora.resolve import find_folder, resolve
from seqkit.formats.format import Description
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.translation.settings import TranslateSettings
from seqkit.model.trial import refusals

CONTENT = ("is also in", "does not occur in train", "may not follow")
"""what messages say of faults that are none of reading"""


def put(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("__", ".")).write_bytes(raw)
    return folder


def objects(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def faults(folder: Path, **options: Any) -> list[str]:
    return [str(each).replace(f"{folder}/", "") for each in check(resolve(folder), **options)]


def here(card: Card) -> bool:
    return card.generator is not None or find_folder(card)[0] is not None


@pytest.mark.parametrize("name", [card.name for card in list_cards()])
def test_every_card_is_read_without_a_fault(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path))
    card = next(card for card in list_cards() if card.name == name)
    if not here(card):
        pytest.skip(f"needs {name} in $SEQKIT_DATA")
    first, second = card.texts or ("text", "")
    dataset = resolve(name, quiet=True).described(Description(second=second))
    found = check(dataset, text=first)
    assert [str(one) for one in found if not any(each in one.message for each in CONTENT)] == []


def test_parallel_files_are_read_to_their_ends(tmp_path: Path) -> None:
    put(tmp_path, train__xx=b"a b\nc\n\xff\nd\ne\n", train__yy=b"k\nl \xfe\nm\nn\n")
    put(tmp_path, dev__xx="A  B\nd\nz\na b\n", dev__yy="k\nq\nz\nk\n")
    utf_8 = "expected UTF-8 text, found byte"
    for options in ({}, {"task": "translate", "refusals": refusals}):
        assert sorted(faults(tmp_path, **options)) == [
            "dev.xx:1: the pair is also in train, at train.xx:1, but for case; remove one",
            "dev.xx:2: the source is also in train, at train.xx:4, with another text; remove one",
            "dev.xx:4: the pair is also in train, at train.xx:1; remove one",
            f"train.xx:3: {utf_8} 0xff at position 0 (try --encoding latin-1)",
            "train.xx:5: parallel files have as many lines as each other, and train.yy ends here",
            f"train.yy:2: {utf_8} 0xfe at position 2 (try --encoding latin-1)",
        ]


def test_tables_of_two_texts_are_read_to_their_ends(tmp_path: Path) -> None:
    rows = "source\ttarget\n" + "a\tk\nb\nc\tl\tm\nd\tn\n"
    found = faults(put(tmp_path, train__tsv=rows), task="translate")
    assert [one.partition(": ")[0] for one in found] == ["train.tsv:3", "train.tsv:4"]


def test_texts_with_a_bar_are_no_labels(tmp_path: Path) -> None:
    put(tmp_path, train__xx="a\nb\n", train__yy="k|k\n\n")
    assert faults(tmp_path) == []


ACTS = [{"act": f"inform(name=n{number})", "text": f"n{number} is it"} for number in range(6)]


@pytest.mark.parametrize("task", ["translate", "generate"])
def test_dialogue_acts_that_are_none(task: str, tmp_path: Path) -> None:
    odd = [{"act": "inform(name=x", "text": "x"}, {"act": "hello", "text": "y"}]
    dev = [{"act": "deny(name=n1)", "text": "no"}, {"act": "inform(", "text": "z"}]
    put(tmp_path, train__jsonl=objects(*ACTS, *odd), dev__jsonl=objects(*dev))
    options = {"text": "act", "target": "text"} if task == "translate" else {}
    notes: list[str] = []
    none = "expected a dialogue act such as inform(name='red door cafe';kidsallowed=yes), found"
    assert faults(tmp_path, task=task, refusals=refusals, notes=notes, **options) == [
        f"train.jsonl:7: {none} 'inform(name=x'",
        f"train.jsonl:8: {none} 'hello'",
        "dev.jsonl:1: expected a type of dialogue act seen in training (inform), found 'deny'",
        f"dev.jsonl:2: {none} 'inform('",
    ]
    assert "the field 'act' is read as dialogue acts" in notes


def test_without_a_task_types_of_acts_are_compared(tmp_path: Path) -> None:
    put(tmp_path, train__jsonl=objects(*ACTS), dev__jsonl=objects({"act": "deny(name=n1)", "text": "no"}))
    assert faults(tmp_path, task="translate", text="act", target="text") == [
        "dev.jsonl:1: no dialogue act of train is of the type 'deny' (1 in dev); correct it or add it to train"
    ]


def test_of_dialogue_acts_pairs_are_compared(tmp_path: Path) -> None:
    dev = [{**ACTS[1], "text": "N1 is it"}, {**ACTS[2], "text": "it is n2"}, ACTS[3]]
    put(tmp_path, train__jsonl=objects(*ACTS), dev__jsonl=objects(*dev))
    assert faults(tmp_path, task="translate", text="act", target="text") == [
        "dev.jsonl:1: the pair is also in train, at train.jsonl:2, but for case; remove one",
        "dev.jsonl:3: the pair is also in train, at train.jsonl:4; remove one",
    ]


def test_a_card_tells_tasks_that_its_texts_are_acts(real_file: Callable[[str], Path]) -> None:
    real_file("restaurant-acts/train.jsonl")
    dataset = resolve("restaurant-acts", quiet=True)
    data = TranslateSettings().complete(dataset).data
    assert (data.source, data.target, data.unit_read) == ("act", "text", "act")
    assert TranslateSettings(data={"source_unit": "char"}).complete(dataset).data.unit_read == "char"
    assert GenerateSettings().complete(dataset).data.condition == "act:act"
    assert GenerateSettings(data={"condition": "none"}).complete(dataset).data.condition == "none"
