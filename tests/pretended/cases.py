"""What is tried on the pretended device: every head with every cell, and other settings such that all pairs occur."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from seqkit.config import Settings, override, parse_assignments
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_items
from seqkit.nn.recurrent import CELLS
from seqkit.tasks import TASKS

HEADS = {
    "tag crf": "",
    "tag softmax": "head.crf=false",
    "tag auxiliary": "head.lm_loss=0.1 encoder.concat=final",
    **{f"classify {pool}": f"head.pool={pool}" for pool in ("mean", "max", "last", "attention", "concat")},
    "classify several": "head.multi_label=true head.class_weights=balanced head.dropout=0.2",
    "lm full": "head.ar=1 head.tar=1",
    "lm tied": "head.tied=true",
    "lm adaptive": "head.cutoffs=[4,7] encoder.hidden=16",
    "generate label": "data.condition=kind:label",
    "generate text": "data.condition=kind:label,title:text,size:vector head.pool=attention",
    "generate attention": "data.condition=title:text,kind:label,rest:text head.attention=general",
    "translate": "",
    "translate copy": "head.copy_source=true head.smoothing=0 data.min_count=2",
    "translate coverage": "head.attention=additive head.coverage=1 head.sampling=0.3",
    "translate act": "data.source_unit=act data.source=act head.cell=sc_lstm",
    "translate unfed": "head.feeding=false head.window=2 head.tied=true head.word_dropout=0.2",
    "translate frames": "head.heads=2 head.attention_dropout=0.2 head.layers=2 frames.stack=2 frames.noise=0.1",
}
"""kind of network → its settings; the task first"""
CHOICES = {
    "training.precision": ("fp32", "bf16", "fp16"),
    "training.optimizer": ("sgd", "momentum", "adam", "adamw"),
    "training.clip": ("0.0", "0.25", "value"),
    "training.average": ("0.0", "0.9"),
    "training.on_nan": ("stop", "skip"),
    "encoder.direction": ("forward", "backward", "both"),
    "encoder.layers": ("1", "2"),
    "encoder.skip": ("none", "residual", "highway", "dense"),
    "encoder.weight_dropout": ("0.0", "0.3"),
    "encoder.dropout": ("0.0", "0.3"),
    "encoder.variational": ("true", "false"),
    "embedding.chars": ("none", "cnn", "lstm"),
    "embedding.type_dropout": ("0.0", "0.2"),
    "embedding.one_hot": ("false", "true"),
    "parts": ("1", "2"),
}
"""setting → its values; ``parts``: in how many a batch is computed after memory ran out"""
TINY: dict[str, Any] = {
    "embedding": {"word_size": 4, "char_size": 2, "char_features": 2, "dropout": 0.2, "word_dropout": 0.1},
    "encoder": {"hidden": 4},
    "training": {"batch_size": 3, "lr": 0.01, "epochs": 2},
}
DECODER: dict[str, Any] = {"hidden": 4, "size": 4, "dropout": 0.2}
"""of the heads that have one"""
OF_FRAMES = ("encoder", "training", "parts")
"""sections of networks that read sequences of vectors"""
WITHOUT_MATRICES = ("mingru", "minlstm", "running_sum")
"""cells without weights between the states of two steps"""
WORDS = ["the", "a", "dog", "cat", "sees", "hears", "runs", "Paris", "is", "old"]


class Case(NamedTuple):
    """What is tried.

    Attributes:
        head: a key of `HEADS`.
        cell: a key of `CELLS`.
        chosen: setting → value, of `CHOICES`.
    """

    head: str
    cell: str
    chosen: dict[str, str]

    def __str__(self) -> str:
        """The name of the test."""
        return f"{self.head}-{self.cell}".replace(" ", "-")

    @property
    def task(self) -> str:
        """The shape of the task."""
        return self.head.split()[0]

    @property
    def dataset(self) -> Dataset:
        """What it learns from."""
        return dataset(self.head if self.head in DATA else self.task)

    @property
    def parts(self) -> int:
        """In how many parts a batch is computed."""
        return int(self.chosen.get("parts", "1"))

    def settings(self, **others: str) -> Settings:
        """The settings, without what does not go together; with others of the section ``training``."""
        given = {
            "encoder.cell": self.cell,
            **self._possible(),
            **{f"training.{name}": each for name, each in others.items()},
        }
        changes = [f"{name}={value}" for name, value in given.items()] + HEADS[self.head].split()
        frames = self.head.endswith("frames")
        row = TASKS[self.task].of("frames") if frames else TASKS[self.task]
        start = override(row.settings_class()(), {name: TINY[name] for name in TINY if not frames or name in OF_FRAMES})
        if self.task == "translate":
            start = override(start, {"head": DECODER})
        if self.task == "lm":
            start = override(start, {"head": {"baseline": 0}, "training": {"bptt": 4}, "data": {"splitter": "spaces"}})
        return override(start, parse_assignments(changes))

    def _possible(self) -> dict[str, str]:
        found = dict(self.chosen)
        found.pop("parts", None)
        if found.get("training.clip") == "value":
            found |= {"training.clip": "0.25", "training.clip_by": "value"}
        if found.get("training.optimizer") == "momentum":
            found |= {"training.optimizer": "sgd", "training.momentum": "0.9"}
        if self.cell in WITHOUT_MATRICES:
            found.pop("encoder.weight_dropout", None)
        if self.task == "generate" or (self.task == "lm" and found.get("encoder.direction") == "backward"):
            found.pop("encoder.direction", None)
        if self.head == "lm tied":
            found.pop("embedding.one_hot", None)
        if self.head == "translate frames":
            found = {name: each for name, each in found.items() if name.split(".")[0] in OF_FRAMES}
        return found


def cases(seed: int = 55) -> Iterator[Case]:
    """Every head with every cell, the other settings drawn, with a seed by which each head and each cell meets all."""
    draw = random.Random(seed)
    for cell in CELLS:
        drawn = {
            name: [values[number % len(values)] for number in range(len(HEADS))] for name, values in CHOICES.items()
        }
        for values in drawn.values():
            draw.shuffle(values)
        for number, head in enumerate(HEADS):
            yield Case(head, cell, {name: values[number] for name, values in drawn.items()})


_ROWS = [[WORDS[(3 * row + place) % len(WORDS)] for place in range(1 + row % 4)] for row in range(6)]
DATA: dict[str, list[Any]] = {
    "tag": [(tokens, ["B-NAME" if token.istitle() else "O" for token in tokens]) for tokens in _ROWS],
    "classify": [(" ".join(tokens), tokens[0]) for tokens in _ROWS],
    "classify several": [(" ".join(tokens), [tokens[0], "all"]) for tokens in _ROWS],
    "lm": [" ".join(tokens) for tokens in _ROWS],
    "generate": [
        {
            "kind": tokens[0],
            "title": tokens[-1],
            "rest": " ".join(tokens[1:]),
            "size": [0.5, len(tokens)],
            "text": " ".join(tokens)[:6],
        }
        for tokens in _ROWS
    ],
    "translate": [{"source": " ".join(tokens), "target": " ".join([*tokens[::-1], "too"][:3])} for tokens in _ROWS],
    "translate act": [
        {
            "act": f"inform({';'.join(f'slot{place}={token}' for place, token in enumerate(tokens))})",
            "target": " ".join(tokens),
        }
        for tokens in _ROWS
    ],
    "translate frames": [
        {
            "frames": [[0.1 * len(token), float(place)] for place, token in enumerate(tokens)],
            "text": " ".join(tokens)[:6],
        }
        for tokens in _ROWS
    ],
}
"""kind of network, or task → a few items of unequal lengths, so that there is padding"""


@cache
def dataset(name: str, copies: int = 1) -> Dataset:
    """The items of a key of `DATA`, again and again."""
    task, *kind = name.split()
    row = TASKS[task].of("frames") if kind == ["frames"] else TASKS[task]
    return from_items(row.records, DATA[name] * copies, DATA[name][:3], DATA[name][:2])
