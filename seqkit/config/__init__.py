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
from seqkit.config.sections import BATCH_TOKENS, EncoderSettings, Section, Settings, TrainingSettings

__all__ = [
    "BATCH_TOKENS",
    "EncoderSettings",
    "Recipe",
    "Section",
    "Settings",
    "TrainingSettings",
    "load_recipe",
    "override",
    "parse_assignments",
    "parse_settings",
    "recipe_names",
    "to_toml",
]
