"""TOML of recipes, cards and assignments, whose errors are all a ValueError."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from seqkit.files import open_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 1 << 20
"""bytes of a recipe or a card; those that come with seqkit have a few thousand"""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a small TOML file.

    Args:
        path: the file.

    Returns:
        The parsed document.

    Raises:
        OSError: it cannot be read, or is not a regular file.
        ValueError: it is longer than `MOST_BYTES`, not UTF-8, or not TOML.
    """
    with open_regular(path) as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    return parse_toml(content.decode("utf-8"))


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Args:
        text: a document.

    Returns:
        The parsed document.

    Raises:
        ValueError: it is not TOML.
    """
    try:
        tree: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise ValueError("lists or tables are nested too deeply") from None
    return tree
