"""Interpolated modified Kneser-Ney smoothing: the probability of each unit after the n − 1 before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seqkit.ngram.counting import Integers, Numbers, count_ngrams, find_keys
from seqkit.waiting import interruptible

Reals = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Level:
    """The n-grams of one order n, G of them, with their probabilities.

    Attributes:
        keys: see `seqkit.ngram.counting.OrderCounts`; for order 1 all units, [G].
        probability: that of the last unit after the others, interpolated with lower orders, [G]; for order 1 that of
            unit 0 is 0.
        backoff: the weight of the lower order after the n-gram, 1 if no unit was seen there, [G]; empty for the highest
            order.
    """

    keys: Integers
    probability: Reals
    backoff: Reals


def discounts(counts: Integers) -> Doubles:
    r"""The discounts of the counts of one order, by maximum likelihood on held-out counts (Chen & Goodman 1999).

    .. math:: Y = \frac{n_1}{n_1 + 2 n_2}, \qquad D_k = k - (k + 1)\, Y \frac{n_{k+1}}{n_k}, \quad k = 1, 2, 3+

    where :math:`n_k` n-grams have the count k. If the text (or the alphabet) is so small that one of these numbers is
    0, or if :math:`D_k` is outside :math:`0 < D_k < k`, then :math:`D_k = k / 2`. So every discounted count is
    positive, and the lower order has a positive weight.

    Args:
        counts: the adjusted counts of all n-grams of the order, [G].

    Returns:
        :math:`0, D_1, D_2, D_{3+}`, [4].

    Examples:
        >>> discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])).tolist()
        [0.0, 0.5, 1.25, 1.0]
    """
    seen = np.bincount(np.minimum(counts, 5), minlength=5).astype(np.float64)  # n_0, n_1, …, [6]
    found = np.array([0.0, 0.5, 1.0, 1.5])
    for count in (1, 2, 3):
        if seen[1] and seen[2] and seen[count] and seen[count + 1]:
            ratio = seen[1] / (seen[1] + 2.0 * seen[2])
            amount = count - (count + 1) * ratio * seen[count + 1] / seen[count]
            if 0.0 < amount < count:
                found[count] = amount
    return found


class KneserNey:
    r"""An n-gram model with interpolated modified Kneser-Ney smoothing and no cut-offs (Chen & Goodman 1999, "An
    empirical study of smoothing techniques for language modeling").

    .. math::
        p(w \mid h) = \frac{c(h w) - D(c(h w))}{\sum_v c(h v)} + \gamma(h)\, p(w \mid h'), \qquad
        \gamma(h) = \frac{\sum_v D(c(h v))}{\sum_v c(h v)}

    h are the units before w, from its own line and the beginning of the line, n − 1 units at most; h' is h without its
    first unit; c are the adjusted counts (see `seqkit.ngram.counting.OrderCounts`), D the `discounts` of their order,
    and D(0) = 0. Below the lowest order every unit except 0, which is padding and never predicted, is equally likely.
    After an h that was never seen, p is that after h'.

    Args:
        end: the unit that ends a line.
        levels: the n-grams of the orders 1, 2, …; order 1 has all V units.

    Raises:
        ValueError: the arrays do not fit each other, or contain values that are not probabilities.
    """  # noqa: D205 - one sentence and what follows it

    def __init__(self, end: int, levels: Sequence[Level]) -> None:
        self.end = end
        self.levels = tuple(levels)
        _validate(end, self.levels)

    @classmethod
    def fit(cls, numbers: Numbers, order: int, size: int, end: int) -> KneserNey:
        """Train on a text.

        With running text this needs 70 to 120 bytes a unit at order 5, temporary arrays included, and the model needs
        20 to 40: 16 for each distinct n-gram.

        Args:
            numbers: the units, line after line, the end of a line after each, [N]; none is 0.
            order: the highest order; that of the model is lower if no line is long enough.
            size: V; units are less than that.
            end: the unit that ends a line.

        Returns:
            The model.

        Raises:
            ValueError: a unit or an argument is outside its range.
        """
        return interruptible(lambda: cls._fit(numbers, order, size, end))  # sorting alone may take a minute

    @classmethod
    def _fit(cls, numbers: Numbers, order: int, size: int, end: int) -> KneserNey:
        counted = count_ngrams(numbers, order, size, end)
        if counted[0].counts[0]:
            raise ValueError("unit 0 is padding and must not occur in the text")
        levels: list[Level] = []
        lower = np.full(1, 1.0 / (size - 1))  # the uniform distribution
        for number, part in enumerate(counted):
            amounts = discounts(part.counts)[np.minimum(part.counts, 3)]  # [G]
            contexts = part.keys // size if number else np.zeros(size, dtype=np.int64)  # [G]
            known = len(levels[-1].keys) if number else 1  # G' (n − 1)-grams
            totals = np.bincount(contexts, weights=part.counts, minlength=known)  # [G']
            unseen = totals == 0.0  # [G']
            totals[unseen] = 1.0
            left = np.where(unseen, 1.0, np.bincount(contexts, weights=amounts, minlength=known) / totals)  # [G']
            found = (part.counts - amounts) / totals[contexts]  # [G]
            found += left[contexts] * lower[part.suffixes if number else contexts]
            if number:
                levels[-1] = replace(levels[-1], backoff=left.astype(np.float32))
            else:
                found[0] = 0.0
            levels.append(Level(part.keys, found.astype(np.float32), np.empty(0, np.float32)))
            lower = found
        return cls(end, levels)

    @property
    def order(self) -> int:
        """N, the maximum number of units in an n-gram."""
        return len(self.levels)

    @property
    def size(self) -> int:
        """V, the number of units, 0 included."""
        return len(self.levels[0].keys)

    @property
    def name(self) -> str:
        """The name of the model."""
        return f"{self.order}-gram Kneser-Ney"

    def log_probabilities(self, numbers: Numbers, before: Numbers | None = None) -> Doubles:
        """The log-probability of each unit of a text after those before it in its line.

        Args:
            numbers: the units, line after line, the end of a line after each, [N]; none is 0.
            before: the units before them, of which the last N − 1 are used; the end of a line represents the beginning
                of the next one, and is the default.

        Returns:
            ln p of each, [N].
        """
        if before is None:
            before = np.array([self.end])
        before = before[max(0, len(before) - max(1, self.order - 1)) :]
        stream = np.concatenate([before, numbers]).astype(np.int64)  # [C + N]
        first = len(before)
        found = _log(self.levels[0].probability[stream[first:]])  # [N]
        for number, (contexts, grams) in enumerate(self._grams(stream), 1):
            previous, seen = contexts[first - 1 : -1], grams[first:]  # [N], [N]
            (places,) = np.nonzero(previous >= 0)  # [M]
            if not len(places):
                break
            previous, seen = previous[places], seen[places]  # [M], [M]
            lower = found[places] + _log(self.levels[number - 1].backoff[previous])  # [M]
            found[places] = np.where(seen >= 0, _log(self.levels[number].probability[seen]), lower)
        return found

    def distributions(self, histories: Numbers) -> Doubles:
        """The log-probability of every unit after some units.

        Args:
            histories: the units before, [B, C], C ≥ 1; only the last N − 1 units are used, and of these those from the
                last end of a line on, which represents the beginning of the next line. A row with fewer units is padded
                with −1 at its beginning.

        Returns:
            ln p of every unit, [B, V]; that of unit 0 is −∞.
        """
        stream = histories[:, -max(1, self.order - 1) :].astype(np.int64)  # [B, C]
        found = np.tile(_log(self.levels[0].probability), (len(stream), 1))  # [B, V]
        for number, (all_contexts, _) in enumerate(self._grams(stream), 1):
            known, contexts = self.levels[number], all_contexts[:, -1]  # [B]
            # The n-grams after a context have adjacent keys.
            bounds = np.searchsorted(known.keys, contexts[:, None] * self.size + np.array([0, self.size]))  # [B, 2]
            for row in np.flatnonzero(contexts >= 0):
                found[row] += float(_log(self.levels[number - 1].backoff[contexts[row]]))
                begin, end = bounds[row]
                units = known.keys[begin:end] - contexts[row] * self.size  # [M]
                found[row, units] = _log(known.probability[begin:end])
        found[:, 0] = -np.inf
        return found

    def _grams(self, stream: Integers) -> Iterator[tuple[Integers, Integers]]:
        """For n = 2, 3, …: the ids of the (n − 1)-gram and the n-gram that end at each position, −1 for none, [..., T].

        An (n − 1)-gram of two or more units that ends with the end of a line is none: the next unit belongs to another
        line.
        """
        contexts = stream
        for known in self.levels[1:]:
            grams = np.full(stream.shape, -1, dtype=np.int64)  # [..., T]
            inside = (contexts[..., :-1] >= 0) & (stream[..., 1:] >= 0)  # [..., T - 1]
            wanted = contexts[..., :-1][inside] * self.size + stream[..., 1:][inside]  # [M]
            grams[..., 1:][inside] = find_keys(known.keys, wanted)
            yield contexts, grams
            contexts = np.where(stream == self.end, -1, grams)


def _log(probabilities: Reals) -> Doubles:
    with np.errstate(divide="ignore"):
        return np.log(probabilities.astype(np.float64))


def _validate(end: int, levels: Sequence[Level]) -> None:
    """Check that no key is outside an array and that all probabilities are valid."""
    if not levels:
        raise ValueError("there are no n-grams of order 1")
    size = len(levels[0].keys)
    if size < 2 or not np.array_equal(levels[0].keys, np.arange(size)) or not 0 < end < size:
        raise ValueError(f"expected all units and an end of a line among them, found {size} and {end}")
    for order, level in enumerate(levels, 1):
        count = len(level.keys)
        if order > 1:
            last = len(levels[order - 2].keys) * size - 1
            ascending = count > 0 and bool((level.keys[1:] > level.keys[:-1]).all())
            if not ascending or level.keys[0] < 0 or level.keys[-1] > last:
                raise ValueError(f"the keys of order {order} are not ascending numbers from 0 to {last}")
        expected = (count, 0 if order == len(levels) else count)
        if (len(level.probability), len(level.backoff)) != expected:
            found = f"{len(level.probability)} and {len(level.backoff)}"
            raise ValueError(f"expected {expected[0]} and {expected[1]} numbers at order {order}, found {found}")
        if order == 1 and level.probability[0] != 0.0:
            raise ValueError(f"unit 0 is padding and must have probability 0, found {level.probability[0]}")
        probability = level.probability[1:] if order == 1 else level.probability
        if not all(bool(((p > 0.0) & (p <= 1.0)).all()) for p in (probability, level.backoff)):
            raise ValueError(f"order {order} has probabilities outside 0 < p ≤ 1")
