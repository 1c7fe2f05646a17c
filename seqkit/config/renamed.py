"""Names of settings that an earlier seqkit had: they are still read, from recipes, flags and saved models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqkit.errors import SettingsError

_NAMES = {
    "embedding.char_hidden": "char_features",
    "encoder.join": "concat",
    "head.neighbours": "lm_loss",
    "head.neighbour_words": "lm_loss_words",
    "head.activation": "ar",
    "head.temporal": "tar",
    "training.window": "bptt",
    "training.variable_window": "variable_bptt",
    "training.average_trigger": "asgd_patience",
}
"""section.old name → new name"""

_VALUES = {
    "encoder.concat": {"deep": "layerwise", "top": "final"},
    "encoder.cell": {"cbow": "running_sum"},
}
"""section.name → old value → new value"""


def current_value(setting: str, value: Any) -> Any:
    """The present value for one of an earlier version.

    Args:
        setting: ``section.name``.
        value: its value.

    Returns:
        The value; the same unless it was renamed.
    """
    return _VALUES.get(setting, {}).get(value, value) if isinstance(value, str) else value


def given_name(setting: str, given: Mapping[str, Any]) -> str:
    """The name by which a user calls a setting.

    Args:
        setting: ``section.name``.
        given: the settings as the user wrote them.

    Returns:
        The name; where it is an earlier one, with the present one.

    Examples:
        >>> given_name("encoder.concat", {"encoder": {"join": "sum"}})
        'encoder.join (now encoder.concat)'
    """
    for old, new in _NAMES.items():
        section, _, name = old.partition(".")
        if f"{section}.{new}" == setting and name in (given.get(section) or ()):
            return f"{old} (now {setting})"
    return setting


def current_names(tree: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings under their present names and values.

    Args:
        tree: section → name → value, and whatever stands beside the sections.

    Returns:
        The same under present names, and for each old name or value a line that gives the new one.

    Raises:
        SettingsError: a setting is given under both names.

    Examples:
        >>> current_names({"encoder": {"join": "top"}})
        ({'encoder': {'concat': 'final'}}, ['encoder.join=top is now encoder.concat=final'])
    """
    found: dict[str, Any] = {}
    notes: list[str] = []
    for section, values in tree.items():
        if not isinstance(values, Mapping):
            found[section] = values
            continue
        found[section] = {}
        for old, value in values.items():
            name = _NAMES.get(f"{section}.{old}", old)
            if name != old and name in values:
                raise SettingsError(f"{section}.{old} is now {section}.{name}, and both are given; keep the latter")
            new = current_value(f"{section}.{name}", value)
            found[section][name] = new
            if isinstance(new, str) and (name != old or new is not value):
                notes.append(f"{section}.{old}={value} is now {section}.{name}={new}")
            elif name != old:
                notes.append(f"{section}.{old} is now {section}.{name}")
    return found, notes
