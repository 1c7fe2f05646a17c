"""One recurrent encoder under four heads: tag, classify, model and generate sequences.

>>> import seqkit
>>> model = seqkit.train("sample-ner", "model")                 # doctest: +SKIP
>>> seqkit.load("model").tag("Ada Lovelace was in Paris.").spans  # doctest: +SKIP

Data from Python are pairs (tokens, labels) or (text, label), mappings such as ``{"text": …, "label": …}``, frames of
pandas and polars, Arrow tables, Hugging Face data sets, or a mapping of splits to such:

>>> import tempfile
>>> data = {"train": [("a fine film", "good"), ("never again", "bad")] * 4, "test": [{"text": "fine", "label": "good"}]}
>>> settings = {"task": "classify", "encoder": {"hidden": 4}, "training": {"epochs": 1}}
>>> with tempfile.TemporaryDirectory() as folder:
...     model = seqkit.train(settings, folder, data, device="cpu")
>>> model.evaluate(data).report.sentences, len(list(model.predict(["so fine", "never"])))
(1, 2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seqkit._version import __version__ as __version__

if TYPE_CHECKING:
    from seqkit.config import Recipe, Settings, load_recipe
    from seqkit.errors import DataError, ModelError, SeqkitError, SettingsError, TrainingError
    from seqkit.heads.classification.settings import ClassifySettings
    from seqkit.heads.generation.settings import GenerateSettings
    from seqkit.heads.language_model.settings import LmSettings
    from seqkit.heads.tagging.settings import TagSettings
    from seqkit.model.base import Model
    from seqkit.model.loading import load
    from seqkit.records import ClassifiedText, ScoredText, Sentence, TaggedSentence, TaggedSpan, WrittenText
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
    "seqkit.config": ("Recipe", "Settings", "load_recipe"),
    "seqkit.errors": ("DataError", "ModelError", "SeqkitError", "SettingsError", "TrainingError"),
    "seqkit.heads.classification.settings": ("ClassifySettings",),
    "seqkit.heads.generation.settings": ("GenerateSettings",),
    "seqkit.heads.language_model.settings": ("LmSettings",),
    "seqkit.heads.tagging.settings": ("TagSettings",),
    "seqkit.model.base": ("Model",),
    "seqkit.model.loading": ("load",),
    "seqkit.records": ("ClassifiedText", "ScoredText", "Sentence", "TaggedSentence", "TaggedSpan", "WrittenText"),
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
