"""One recurrent encoder under four heads: tag, classify, model and generate sequences.

>>> import seqkit
>>> model = seqkit.train("sample-ner", "model")                 # doctest: +SKIP
>>> seqkit.load("model").tag("Ada Lovelace was in Paris.").spans  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from seqkit.config import (
        ClassifySettings,
        GenerateSettings,
        LmSettings,
        Recipe,
        Settings,
        TagSettings,
        load_recipe,
    )
    from seqkit.data.classified import ClassifiedText
    from seqkit.data.scored import ScoredText, WrittenText
    from seqkit.data.sentence import Sentence
    from seqkit.data.tagged import TaggedSentence, TaggedSpan
    from seqkit.errors import DataError, ModelError, SeqkitError, SettingsError, TrainingError
    from seqkit.model import Model, load
    from seqkit.training.run import train

__all__ = [
    "ClassifiedText",
    "ClassifySettings",
    "DataError",
    "GenerateSettings",
    "LmSettings",
    "Model",
    "ModelError",
    "Recipe",
    "ScoredText",
    "Sentence",
    "SeqkitError",
    "Settings",
    "SettingsError",
    "TagSettings",
    "TaggedSentence",
    "TaggedSpan",
    "TrainingError",
    "WrittenText",
    "load",
    "load_recipe",
    "train",
]

_HOMES = {
    "seqkit.config": (
        *("ClassifySettings", "GenerateSettings", "LmSettings", "Recipe", "Settings", "TagSettings"),
        "load_recipe",
    ),
    "seqkit.data.classified": ("ClassifiedText",),
    "seqkit.data.scored": ("ScoredText", "WrittenText"),
    "seqkit.data.sentence": ("Sentence",),
    "seqkit.data.tagged": ("TaggedSentence", "TaggedSpan"),
    "seqkit.errors": ("DataError", "ModelError", "SeqkitError", "SettingsError", "TrainingError"),
    "seqkit.model": ("Model", "load"),
    "seqkit.training.run": ("train",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import seqkit` alone loads neither torch nor pydantic."""
    if name not in _MODULES:
        raise AttributeError(f"module 'seqkit' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
