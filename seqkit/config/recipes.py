"""Recipes: settings read from TOML files, replaced one by one, and written back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SerializeAsAny, ValidationError

from seqkit.config.renamed import current_names
from seqkit.config.sections import Section
from seqkit.config.tasks import SETTINGS, Settings, TagSettings
from seqkit.errors import SettingsError, joined, shown
from seqkit.resources import resource_dir
from seqkit.toml import parse_toml, read_toml

__all__ = [
    "Recipe",
    "load_recipe",
    "override",
    "parse_assignments",
    "parse_settings",
    "recipe_names",
    "to_toml",
]

_Kind = TypeVar("_Kind", bound=BaseModel)
_AnySettings = TypeVar("_AnySettings", bound=Settings)


class Recipe(Section):
    """A recipe: settings with what they are for and the scores they reached."""

    description: str = ""
    """one line for listings"""
    dataset: str = ""
    """the data set it is meant for"""
    settings: SerializeAsAny[Settings] = TagSettings()
    """the settings"""
    scores: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    """what the settings reached, where and when it was measured"""
    notes: tuple[str, ...] = ()
    """lines for the user: which names of settings are those of an earlier version"""


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
    """The task that a recipe's file says; a faulty file is found when it is asked for."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("task = "):
            return line.partition("=")[2].strip().strip('"')
        if line.startswith("["):
            break
    return "tag"


def load_recipe(recipe: str | Path) -> Recipe:
    """Read a recipe by name or from a TOML file.

    Args:
        recipe: the name of a recipe that comes with seqkit, or a path that ends in ``.toml``.

    Returns:
        The recipe.

    Raises:
        SettingsError: there is no such recipe, or a value in it cannot be used; the first faults are named.
    """
    path = Path(recipe) if str(recipe).endswith(".toml") else resource_dir("tasks") / f"{recipe}.toml"
    if not path.is_file():
        known = ", ".join(recipe_names())
        raise SettingsError(f"expected a recipe among {known} or a .toml file, found {str(recipe)!r}")
    try:
        tree = read_toml(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{recipe}: expected a TOML file, found: {shown(error)}") from None
    tree, notes = current_names(tree)
    about: dict[str, Any] = {name: tree.pop(name) for name in ("description", "dataset", "scores") if name in tree}
    kind = _kind(tree, str(recipe))
    faults: list[str] = []
    settings = _read(kind, tree, faults)
    found = _read(Recipe, {**about, "settings": settings or TagSettings(), "notes": notes}, faults)
    if faults or found is None:
        raise SettingsError(f"{recipe}: {joined(faults)}")
    return found


def parse_settings(tree: object, source: str) -> Settings:
    """Read settings as a recipe or a saved model has them.

    Args:
        tree: a mapping of the task, ``tag`` where it says none, and section → name → value.
        source: what error messages call it.

    Returns:
        The settings, of the class that the task has.

    Raises:
        SettingsError: there is no such task, a name is unknown or a value cannot be used; the first
            faults are named.
    """
    if not isinstance(tree, Mapping):
        raise SettingsError(f"{source}: expected sections of settings, found {shown(tree)}")
    return _validated(_kind(tree, source), current_names(tree)[0], source)


def _kind(tree: Mapping[str, Any], source: str) -> type[Settings]:
    task = tree.get("task", "tag")
    if not isinstance(task, str) or task not in SETTINGS:
        raise SettingsError(f"{source}: task: expected one of {', '.join(SETTINGS)}, found {shown(task)}")
    return SETTINGS[task]


def parse_assignments(assignments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read ``section.key=value`` assignments; values are TOML, and bare words are text.

    Args:
        assignments: as given to ``--set``.

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
    """Replace some settings and check the whole again.

    Args:
        settings: what to start from.
        tree: section → name → value.
        source: what error messages call the new values.

    Returns:
        The new settings.

    Raises:
        SettingsError: a name is unknown or a value cannot be used; the first faults are named.
    """
    merged: dict[str, Any] = settings.model_dump()
    for section, values in current_names(tree)[0].items():
        known = merged.get(section)
        merged[section] = {**known, **values} if isinstance(known, dict) and isinstance(values, Mapping) else values
    return _validated(type(settings), merged, source)


def to_toml(settings: Settings, sections: Collection[str] | None = None) -> str:
    """The settings, or some sections of them, as a TOML document that `load_recipe` reads back."""
    import tomli_w

    return tomli_w.dumps(settings.model_dump(mode="json", include=None if sections is None else set(sections)))


def _validated(kind: type[_Kind], tree: Mapping[str, Any], source: str) -> _Kind:
    faults: list[str] = []
    found = _read(kind, tree, faults)
    if found is None:
        raise SettingsError(f"{source}: {joined(faults)}")
    return found


def _read(kind: type[_Kind], tree: Mapping[str, Any], faults: list[str]) -> _Kind | None:
    """What a tree stands for; or None, its faults added to a list."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        faults += [_fault(fault, kind) for fault in error.errors(include_url=False)]
        return None


def _fault(fault: Mapping[str, Any], kind: type[BaseModel]) -> str:
    """One fault of a settings tree: where, what was expected, what was found."""
    place = fault["loc"]
    where = ".".join(name if name.replace("_", "").isalnum() else shown(name) for name in map(str, place))
    if fault["type"] == "extra_forbidden":
        field = kind.model_fields.get(str(place[0])) if len(place) > 1 else None
        section = kind if field is None else field.annotation
        assert isinstance(section, type) and issubclass(section, BaseModel)
        return f"{where}: expected one of {', '.join(section.model_fields)}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "model_type":
        message = "expected a section"
    for verb in ("Input", "String"):
        message = message.replace(f"{verb} should be ", "expected ").replace(f"{verb} should have ", "expected ")
    prefix = f"{where}: " if where else ""
    return (
        f"{prefix}{message}" if fault["type"] == "value_error" else f"{prefix}{message}, found {shown(fault['input'])}"
    )
