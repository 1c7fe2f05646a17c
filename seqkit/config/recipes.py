"""Recipes: settings read from TOML files, changed one by one, and written back."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SerializeAsAny, ValidationError

from seqkit.config.faults import faults_of
from seqkit.config.renamed import current_names
from seqkit.config.sections import Section, Settings
from seqkit.errors import SettingsError, listed, nearest, shown
from seqkit.resources import resource_dir
from seqkit.tasks import find_task
from seqkit.toml import parse_toml, read_toml

_Kind = TypeVar("_Kind", bound=BaseModel)
_AnySettings = TypeVar("_AnySettings", bound=Settings)


class Recipe(Section):
    """A recipe: settings, with their purpose and scores."""

    description: str = ""
    """one line for listings"""
    dataset: str = ""
    """the data set it is made for"""
    settings: SerializeAsAny[Settings]
    """the settings"""
    scores: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    """scores of the settings, where and when they were measured"""
    notes: tuple[str, ...] = ()
    """lines for the user: which settings have names of an earlier version"""


def recipe_names(task: str | None = None) -> list[str]:
    """The names of the recipes that come with seqkit, sorted.

    Args:
        task: only those of one task.

    Returns:
        The names.
    """
    paths = sorted(resource_dir("tasks").glob("*.toml"))
    return [path.stem for path in paths if task is None or _task_of(path) == task]


def _task_of(path: Path) -> str:
    """The task in the file of a recipe, which is not checked yet."""
    top = path.read_text(encoding="utf-8", errors="replace").partition("\n[")[0]
    found = re.search(r'^task = "(.*)"', top, re.MULTILINE)
    return found[1] if found else "tag"


def load_recipe(recipe: str | Path, task: str = "tag") -> Recipe:
    """Read a recipe by name or from a TOML file.

    Args:
        recipe: the name of a recipe that comes with seqkit, or a path that ends in ``.toml``.
        task: the task of a recipe that names none.

    Returns:
        The recipe.

    Raises:
        SettingsError: there is no such recipe, or it has an error; the first errors are listed.
    """
    name = str(recipe)
    is_path = name.endswith(".toml")
    path = Path(recipe) if is_path else resource_dir("tasks") / f"{name}.toml"
    if not os.path.isfile(path):  # also where the name is too long for a path's own method
        known = recipe_names()
        others = "" if is_path else f"; choose one of {', '.join(known)}, or give the path of a .toml file"
        raise SettingsError(
            f"there is no {'file' if is_path else 'recipe'} {name!r}{nearest(path.stem, known) or others}"
        )
    try:
        tree = read_toml(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{recipe}: cannot be read as TOML: {shown(error)}") from None
    notes = current_names(tree)[1]
    about: dict[str, Any] = {name: tree.pop(name) for name in ("description", "dataset", "scores") if name in tree}
    kind = _kind({"task": task, **tree}, str(recipe))
    faults: list[str] = []
    settings = _read(kind, _without_usual_input(kind, tree), faults) or kind.model_validate({})
    found = _read(Recipe, {**about, "settings": settings, "notes": notes}, faults)
    if faults or found is None:
        raise SettingsError(f"{recipe}: {listed(faults)}")
    return found


def parse_settings(tree: object, source: str) -> Settings:
    """Read the settings of a recipe or a saved model.

    Args:
        tree: the task (by default ``tag``), and section → name → value.
        source: where they are from, for messages.

    Returns:
        The settings, of the class for the task.

    Raises:
        SettingsError: there is no such task, no such setting, or a value is not allowed; the first errors are listed.
    """
    if not isinstance(tree, Mapping):
        raise SettingsError(f"{source}: expected sections of settings, found {shown(tree)}")
    kind = _kind(tree, source)
    return validated(kind, _without_usual_input(kind, tree), source)


def _without_usual_input(kind: type[Settings], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without ``input``, where it is what the task reads first, of which the class has no field."""
    return {name: value for name, value in tree.items() if name != "input" or name in kind.model_fields}


def _kind(tree: Mapping[str, Any], source: str) -> type[Settings]:
    return find_task(tree.get("task", "tag"), source, tree.get("input")).settings_class()


def parse_assignments(assignments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read ``section.key=value`` assignments; values are TOML, or strings without quotation marks.

    Args:
        assignments: the arguments of ``--set``.

    Returns:
        A tree for `override`.

    Raises:
        SettingsError: an assignment has another form.
    """
    tree: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot and section and key):
            raise SettingsError(f"expected section.key=value, found {shown(assignment)}")
        try:
            value = parse_toml(f"value = {text}")["value"]
        except ValueError:
            value = text.strip()
        tree.setdefault(section, {})[key] = value
    return tree


def override(settings: _AnySettings, tree: Mapping[str, Mapping[str, Any]], source: str = "settings") -> _AnySettings:
    """Change some settings and check all of them again.

    Args:
        settings: the settings before.
        tree: section → name → new value.
        source: where the new values are from, for messages.

    Returns:
        The settings after.

    Raises:
        SettingsError: there is no such setting, or a value is not allowed; the first errors are listed.
    """
    merged: dict[str, Any] = settings.model_dump()
    for section, values in current_names(tree)[0].items():
        known = merged.get(section)
        merged[section] = {**known, **values} if isinstance(known, dict) and isinstance(values, Mapping) else values
    return validated(type(settings), merged, source, tree)


def to_toml(settings: Settings, sections: Collection[str] | None = None) -> str:
    """The settings, or some sections of them, as a TOML document for `load_recipe`."""
    import tomli_w

    return tomli_w.dumps(settings.model_dump(mode="json", include=None if sections is None else set(sections)))


def validated(kind: type[_Kind], tree: Mapping[str, Any], source: str, given: Mapping[str, Any] | None = None) -> _Kind:
    """Check settings.

    Args:
        kind: the class of the settings.
        tree: name → value.
        source: where they are from, for messages.
        given: those that the user wrote, where these are not all of the tree.

    Returns:
        The settings.

    Raises:
        SettingsError: there is no such setting, or a value is not allowed; the first errors are listed.
    """
    faults: list[str] = []
    found = _read(kind, tree, faults, given)
    if found is None:
        raise SettingsError(f"{source}: {listed(faults)}")
    return found


def _read(
    kind: type[_Kind], tree: Mapping[str, Any], faults: list[str], given: Mapping[str, Any] | None = None
) -> _Kind | None:
    """The settings of a tree; with errors None, and these are added to a list."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        faults += faults_of(error, kind, tree if given is None else given)
        return None
