"""A stream of units → the distinct n-grams of every order and their counts.

An n-gram is numbered by its rank among those of its order, and found by one integer, its key: the number of its first
n − 1 units as an (n − 1)-gram, times the size of the vocabulary, plus its last unit. So the key of five words is no
longer than that of two, and fits in 64 bits for up to 2³¹ units of 2³¹ kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OrderCounts", "count_ngrams", "find_keys"]

Integers = NDArray[np.int64]
Numbers = NDArray[np.integer[Any]]

MOST_UNITS = 2**31 - 2
"""so many units a stream may have: n-grams are numbered in 32 bits"""


@dataclass(frozen=True, slots=True)
class OrderCounts:
    r"""The distinct n-grams of one order n, G of them.

    The count is adjusted as Kneser & Ney (1995) want it below the highest order: not how often the n-gram occurs, but
    how many different units stand before it, :math:`N_{1+}(\bullet\,w_1 \dots w_n)`. Before the beginning of a line
    stands nothing, so that an n-gram that begins there keeps the number of its occurrences; so do those of the highest
    order.

    Attributes:
        keys: ascending, [G]; of order 1 the units themselves, all V of them, whether they occur or not.
        counts: the adjusted counts, [G].
        suffixes: the number of each n-gram without its first unit among those of order n − 1, int32 [G]; empty at 1.
    """

    keys: Integers
    counts: Integers
    suffixes: NDArray[np.int32]


def count_ngrams(numbers: Numbers, order: int, size: int, end: int) -> list[OrderCounts]:
    """Count the n-grams of a text, of all orders.

    None reaches over the end of a line. As the first unit of a longer n-gram the end of a line is that of the line
    before: it stands for the beginning of a line, which is never foretold.


    Args:
        numbers: the units, line after line, the end of a line after each, [N].
        order: the highest order.
        size: V; units are less than that.
        end: the unit that ends a line.

    Returns:
        The counts of the orders 1, 2, …; fewer than `order` where no line is so long.

    Raises:
        ValueError: there is no unit, one outside 0 ≤ unit < V, or too many; or `order` is not positive.
    """
    if order < 1:
        raise ValueError(f"expected an order of at least 1, found {order}")
    if not 0 < len(numbers) <= MOST_UNITS:
        raise ValueError(f"expected 1 to {MOST_UNITS:,} units, found {len(numbers):,}")
    stream = np.empty(len(numbers) + 1, dtype=np.int32)  # [N + 1]
    stream[0] = end  # before the first line
    stream[1:] = numbers
    if stream.min() < 0 or stream.max() >= size:
        raise ValueError(f"expected units of 0 to {size - 1}, found {stream.min()} to {stream.max()}")
    raw = np.bincount(stream[1:], minlength=size)  # [V]
    found = [OrderCounts(np.arange(size), raw, np.empty(0, np.int32))]
    last = stream  # the number of the (n − 1)-gram that ends at each place, −1 where there is none, [N + 1]
    for level in range(2, order + 1):
        inside = last[:-1] >= 0  # [N]
        if level > 2:
            inside &= stream[:-1] != end
        keys = last[:-1][inside].astype(np.int64)  # [M]
        if not len(keys):
            break
        keys *= size
        keys += stream[1:][inside]
        keys, first, counts, rank = _distinct(keys)  # [G], [G], [G], [M]
        suffixes = last[1:][inside][first]  # [G]
        below = found[-1]
        continued = np.bincount(suffixes, minlength=len(below.keys))  # [G']
        found[-1] = OrderCounts(below.keys, np.where(continued, continued, below.counts), below.suffixes)
        found.append(OrderCounts(keys, counts, suffixes))
        last = np.full(len(stream), -1, dtype=np.int32)  # [N + 1]
        last[1:][inside] = rank
    return found


def _distinct(keys: Integers) -> tuple[Integers, Integers, Integers, NDArray[np.int32]]:
    """The distinct keys, ascending; where each first stands in sorted order; its count; and each key's rank.

    As `numpy.unique` gives them, but for less memory.
    """
    order = np.argsort(keys)  # [M]
    keys = keys[order]  # [M]
    new = np.empty(len(keys), dtype=np.bool_)  # [M]
    new[0] = True
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    starts = np.flatnonzero(new)  # [G]
    rank = np.empty(len(keys), dtype=np.int32)  # [M]
    rank[order] = np.cumsum(new, dtype=np.int32) - np.int32(1)
    return keys[starts], order[starts], np.diff(starts, append=len(keys)), rank


def find_keys(keys: Integers, wanted: Integers) -> Integers:
    """Look n-grams up.

    Args:
        keys: the keys of all, ascending, [G].
        wanted: the keys to look for, [N].

    Returns:
        The number of each, −1 where it is not among them, [N].
    """
    if not len(keys):
        return np.full(wanted.shape, -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)  # [N]
    return np.where(keys[places] == wanted, places, -1)
