"""A stream of units → the distinct n-grams of every order and their counts.

The id of an n-gram is its rank among those of its order, and it is found by one integer, its key: the id of its first
n − 1 units as an (n − 1)-gram, times the size of the vocabulary, plus its last unit. So the key of five words is no
longer than that of two, and fits in 64 bits for up to 2³¹ units and a vocabulary of up to 2³¹.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Numbers = NDArray[np.integer[Any]]

MOST_UNITS = 2**31 - 2
"""the maximum length of a stream: ids of n-grams have 32 bits"""


@dataclass(frozen=True, slots=True)
class OrderCounts:
    r"""The distinct n-grams of one order n, G of them.

    Below the highest order, counts are adjusted (Kneser & Ney 1995): not the number of occurrences of the n-gram, but
    the number of different units before it, :math:`N_{1+}(\bullet\,w_1 \dots w_n)`. N-grams at the beginning of a line
    have no unit before them and keep the number of their occurrences; so do those of the highest order.

    Attributes:
        keys: ascending, [G]; for order 1 the units themselves, all V of them, even those that do not occur.
        counts: the adjusted counts, [G].
        suffixes: the id of each n-gram without its first unit among those of order n − 1, int32 [G]; empty for order 1.
    """

    keys: Integers
    counts: Integers
    suffixes: NDArray[np.int32]


def count_ngrams(numbers: Numbers, order: int, size: int, end: int) -> list[OrderCounts]:
    """Count the n-grams of a text, of all orders.

    No n-gram crosses the end of a line. As the first unit of a longer n-gram, the end of a line belongs to the previous
    line: it represents the beginning of a line, which is never predicted.

    Args:
        numbers: the units, line after line, the end of a line after each, [N].
        order: the highest order.
        size: V; units are less than that.
        end: the unit that ends a line.

    Returns:
        The counts of the orders 1, 2, …; fewer than `order` if no line is long enough.

    Raises:
        ValueError: there are no units or too many, or a unit is outside 0 ≤ unit < V; or `order` is not positive.
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
    last = stream  # the id of the (n − 1)-gram that ends at each position, −1 for none, [N + 1]
    for n in range(2, order + 1):
        inside = last[:-1] >= 0  # [N]
        if n > 2:
            inside &= stream[:-1] != end
        keys = last[:-1][inside].astype(np.int64)  # [M]
        if not len(keys):
            break
        keys *= size
        keys += stream[1:][inside]
        keys, first, counts, rank = _distinct(keys)  # [G], [G], [G], [M]
        suffixes = last[1:][inside][first]  # [G]
        lower = found[-1]
        continued = np.bincount(suffixes, minlength=len(lower.keys))  # [G']
        found[-1] = OrderCounts(lower.keys, np.where(continued, continued, lower.counts), lower.suffixes)
        found.append(OrderCounts(keys, counts, suffixes))
        last = np.full(len(stream), -1, dtype=np.int32)  # [N + 1]
        last[1:][inside] = rank
    return found


def _distinct(keys: Integers) -> tuple[Integers, Integers, Integers, NDArray[np.int32]]:
    """The distinct keys, ascending; the position of each one's first occurrence; its count; and each key's rank.

    As returned by `numpy.unique`, but with less memory.
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
    """Look up n-grams.

    Args:
        keys: the keys of all n-grams, ascending, [G].
        wanted: the keys to look up, [N].

    Returns:
        The id of each, −1 for keys that do not exist, [N].
    """
    if not len(keys):
        return np.full(wanted.shape, -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)  # [N]
    return np.where(keys[places] == wanted, places, -1)
