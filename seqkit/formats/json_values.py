"""Python objects as JSON has them: what the reader of JSON objects takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqkit.errors import DataError

DEEPEST = 100
"""how deep lists and mappings may be nested"""

_MOST_BITS = 4_096
"""of a whole number: Python refuses to write much longer ones in decimal"""


def as_object(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A mapping as a JSON object: a new one, whose keys are strings and whose values are those of `as_json`.

    Args:
        row: the mapping.

    Returns:
        The object.
    """
    return {str(key): as_json(value) for key, value in row.items()}


def as_json(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it, where it has it.

    Scalars and arrays of other libraries (those with ``tolist``, ``to_list`` or ``as_py``) become numbers, strings and
    lists; NaN, and what pandas has for missing values, become None.

    Args:
        value: the value.
        depth: in how many lists and mappings it lies.

    Returns:
        The value; what JSON has nothing for, such as a date, as it is.

    Raises:
        DataError: lists and mappings are nested too deep, or a number is too long.

    Examples:
        >>> import numpy as np
        >>> as_json({"tokens": np.array(["a", "b"]), "score": np.float32(0.5), "label": float("nan")})
        {'tokens': ['a', 'b'], 'score': 0.5, 'label': None}
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is float:
        return value if value == value else None
    if kind is int:
        if value.bit_length() > _MOST_BITS:
            raise DataError(f"a whole number is too long: {value.bit_length():,} bits")
        return value
    if depth > DEEPEST:
        raise DataError(f"lists and objects are nested more than {DEEPEST} deep")
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, Mapping):
        return {str(key): as_json(each, depth + 1) for key, each in value.items()}
    if issubclass(kind, list | tuple):
        return [each if type(each) is str else as_json(each, depth + 1) for each in value]
    for method in ("tolist", "to_list", "as_py"):
        if hasattr(kind, method):
            return as_json(getattr(value, method)(), depth + 1)
    return value
