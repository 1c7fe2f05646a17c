"""Typed settings: the one source of names, defaults, help texts and checks for recipes, flags and saved models.

A recipe is a TOML file with the sections of `Settings`; a model's ``config.json`` holds the same tree. Nothing here
imports torch, so that help and usage errors are instant.
"""

from seqkit.config.recipes import (
    Recipe,
    load_recipe,
    override,
    parse_assignments,
    parse_settings,
    recipe_names,
    to_toml,
)
from seqkit.config.sections import DataSettings, EmbeddingSettings, EncoderSettings, TrainingSettings
from seqkit.config.tasks import (
    SETTINGS,
    ClassifySettings,
    GenerateSettings,
    LmSettings,
    Settings,
    TagSettings,
)

__all__ = [
    "BATCH_TOKENS",
    "OTHER_FILES",
    "SETTINGS",
    "ClassifySettings",
    "DataSettings",
    "EmbeddingSettings",
    "EncoderSettings",
    "GenerateSettings",
    "LmSettings",
    "Recipe",
    "Settings",
    "TagSettings",
    "TrainingSettings",
    "load_recipe",
    "override",
    "parse_assignments",
    "parse_settings",
    "recipe_names",
    "to_toml",
]

OTHER_FILES = (("embedding", "vectors"), ("embedding", "context"), ("training", "init_from"))
"""settings that name files which lie elsewhere: what is in them counts, and not where they lie"""
BATCH_TOKENS = 8192
"""tokens a batch in prediction, padding included, where nothing else is said"""
