"""Recipes, cards, ``--set`` and trees of settings, with whatever a stranger writes in them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from harness import fuzz
from hostile_models import changed_tree

from seqkit.config import Settings, load_recipe, override, parse_assignments, parse_settings, to_toml
from seqkit.corpora.cards import read_card
from seqkit.resources import resource_dir
from seqkit.tasks import TASKS

WORDS = (
    *(b"=", b"[", b"]", b"[[", b"]]", b"{", b"}", b'"""', b"'''", b"true", b"nan", b"inf", b"-inf", b"a.b = 1\n"),
    *(b"1979-05-27T07:32:00Z", b"07:32:00", b"0x" + b"f" * 5000, b"0b1", b"\\u0000", b"\\ud800"),
    *(b"[" * 500, b"{a=" * 500, b"a." * 500 + b"b = 1"),
    *(b"[encoder]", b"[training]", b"[[files]]", b"hidden", b"task", b"name", b"url", b"[a.b.c]"),
)


def checked(settings: Settings) -> None:
    """Whatever was read can be written and read again."""
    again = parse_settings(settings.model_dump(mode="json"), "again")
    assert again == settings
    assert isinstance(to_toml(settings), str)


def test_recipes(tmp_path: Path) -> None:
    seeds = [path.read_bytes() for path in sorted(resource_dir("tasks").glob("*.toml"))]
    path = tmp_path / "recipe.toml"

    def read(content: bytes, draw: random.Random) -> None:
        path.write_bytes(content)
        checked(load_recipe(path).settings)

    fuzz("recipe", read, seeds=seeds, words=WORDS, multiple=5_000)


def test_cards(tmp_path: Path) -> None:
    paths = sorted(resource_dir("datasets").glob("*.toml"))
    path = tmp_path / "toy.toml"

    def read(content: bytes, draw: random.Random) -> None:
        path.write_bytes(content)
        card = read_card(path)
        assert card.name == "toy"
        assert all("/" not in file.name and file.name not in ("", ".", "..") for file in card.files)

    seeds = [each.read_bytes().replace(b'"' + each.stem.encode() + b'"', b'"toy"', 1) for each in paths]
    fuzz("card", read, seeds=seeds, words=WORDS, multiple=5_000)


def test_assignments() -> None:
    seeds = [
        *(b"encoder.hidden=200", b"embedding.vectors=glove.txt", b"head.cutoffs=[2, 5]", b"training.lr=1e-3"),
        *(b"data.target=-1", b"task=lm", b'training.schedule="cosine"', b"encoder.variational=true"),
    ]

    def read(content: bytes, draw: random.Random) -> None:
        assignments = [part.decode("utf-8", "surrogateescape") for part in content.split(b"\n\n")]
        checked(override(TASKS[draw.choice(sorted(TASKS))].settings_class()(), parse_assignments(assignments), "--set"))

    fuzz("set", read, seeds=seeds, words=WORDS, multiple=20_000)


def test_trees() -> None:
    trees: list[Any] = [task.settings_class()().model_dump(mode="json") for task in TASKS.values()]
    trees += [
        load_recipe(path).settings.model_dump(mode="json") for path in sorted(resource_dir("tasks").glob("*.toml"))
    ]

    def read(content: bytes, draw: random.Random) -> None:
        checked(parse_settings(changed_tree(draw.choice(trees), draw), "tree"))

    fuzz("settings", read, multiple=50_000)
