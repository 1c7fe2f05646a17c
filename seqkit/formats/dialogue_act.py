"""Dialogue acts: what a system has to say, as a type with slots, ``inform(name='red door cafe';kidsallowed=yes)``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from seqkit.errors import DataError, shown

_LONGEST = 5_000
"""characters of an act"""
_ACT = re.compile(r"\s*([^\s()=;'\"]+)\s*\((.*)\)\s*", re.DOTALL)
_SLOT = re.compile(
    r"""([^=;]*)(?:=\s*(?:(['"])((?:(?!\2).|\2(?!\s*(?:;|\Z)))*)\2\s*(?=;|\Z)|([^;]*)))?(?:;|\Z)""", re.DOTALL
)
_SPECIAL = {"yes": "yes", "true": "yes", "no": "no", "false": "no", "none": "none", "dontcare": "dontcare"}
"""value without ``_`` and spaces → what it means; such a value is no string that a text repeats"""


@dataclass(frozen=True)
class Slot:
    """A slot of an act.

    Args:
        name: its name in lower case, without spaces, ``_`` and other marks.
        value: its value; empty for a slot that is only named, as in a request.
        special: what a value means that no text repeats: ``yes``, ``no``, ``none``, ``dontcare``, and ``?`` for no
            value; empty for any other value.
    """

    name: str
    value: str
    special: str


@dataclass(frozen=True)
class DialogueAct:
    """A dialogue act.

    Args:
        type: what is done, as ``inform`` or ``?request``.
        slots: with what, in order.
    """

    type: str
    slots: tuple[Slot, ...]


def parse_act(text: str, **place: Any) -> DialogueAct:
    """Read a dialogue act.

    Slots stand in parentheses, with ``;`` between them. A value may be in single or double quotes, which end before a
    ``;`` or the last parenthesis, so that it may have these and apostrophes in it.

    Args:
        text: the act.
        **place: the ``file`` and ``line`` that it is from, for messages.

    Returns:
        The act.

    Raises:
        DataError: it is none.

    Examples:
        >>> parse_act("inform(name='red door cafe';food)").slots[0].value
        'red door cafe'
    """
    if len(text) > _LONGEST:
        told = f"a dialogue act has at most {_LONGEST:,} characters, and this one has {len(text):,}"
        raise DataError(f"{told}: {shown(text)}", **place)
    found = _ACT.fullmatch(text)
    if found is None:
        expected = "expected a dialogue act such as inform(name='red door cafe';kidsallowed=yes)"
        raise DataError(f"{expected}, found {shown(text)}", **place)
    slots: list[Slot] = []
    body = found[2].strip()
    end = 0
    while end < len(body):
        one = _SLOT.match(body, end)
        assert one is not None  # it matches any text
        name = re.sub(r"[\W_]", "", one[1]).lower()
        if not name:
            raise DataError(f"a slot of the dialogue act {shown(text)} has no name", **place)
        value = (one[4] or "").strip().strip("'\"") if one[3] is None else one[3]
        value = " ".join(value.split())
        special = _SPECIAL.get(re.sub(r"[_ ]", "", value.lower()), "") if value else "?"
        slots.append(Slot(name, value, special))
        end = one.end()
    return DialogueAct(found[1], tuple(slots))
