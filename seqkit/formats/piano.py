"""The keys of a piano, and frames of them."""

from __future__ import annotations

import re

from seqkit.errors import DataError, shown

KEYS = 88
"""from A0 to C8"""
LOWEST = 21
"""the MIDI number of the lowest of them"""
FRAMES_PER_QUARTER = 4
"""frames that a quarter note becomes"""
MOST_PER_QUARTER = 480
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_KEY = re.compile(r"([A-Ga-g])([#b]?)(-?[0-9])")


def key_name(key: int) -> str:
    """The name of a key.

    Args:
        key: its number, counted from 0 at A0.

    Returns:
        The note and the octave.

    Examples:
        >>> key_name(0), key_name(39), key_name(87)
        ('A0', 'C4', 'C8')
    """
    octave, note = divmod(key + LOWEST, 12)
    return f"{_NAMES[note]}{octave - 1}"


def key_number(name: str) -> int:
    """The number of a key, counted from 0 at A0.

    Args:
        name: the note and the octave, or the number that MIDI gives the key, 21 to 108.

    Returns:
        The number.

    Raises:
        DataError: there is no such key.

    Examples:
        >>> key_number("A0"), key_number("Db4"), key_number("60")
        (0, 40, 39)
    """
    found = _KEY.fullmatch(name)
    number = -1
    if found is not None:
        sharp = {"": 0, "#": 1, "b": -1}[found[2]]
        number = _NAMES.index(found[1].upper()) + sharp + 12 * (int(found[3]) + 1)
    elif re.fullmatch("[0-9]{1,3}", name):
        number = int(name)
    if not LOWEST <= number < LOWEST + KEYS:
        raise DataError(f"expected a key from A0 to C8, or from 21 to 108 as MIDI numbers them, found {shown(name)}")
    return number - LOWEST
