"""Batches of sentences of near-equal or equal lengths, in a reproducible order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqkit.inputs.arrays import Integers

_POOL_BATCHES = 50
"""batches in a pool: sentences are sorted by length only within a pool, so that batches differ between epochs"""
_BATCH_TOKENS, _STEP_TOKENS, _MASKING = 300, 5, 1.06
"""cost of a batch, of a step of a batch, and of a token in a batch of different lengths, in units of a token in a batch
of one length: measured with the reference tagger on two cores"""


def training_batches(
    lengths: Integers,
    *,
    written: Integers | None = None,
    batch_size: int,
    batch_tokens: int = 0,
    equal: bool = False,
    seed: tuple[int, ...] = (0,),
) -> list[Integers]:
    """Cut a corpus into batches of near-equal lengths, in random order.

    Sentences are shuffled, cut into pools, sorted by length within a pool, and cut into batches, which are shuffled.

    Args:
        lengths: tokens in each sentence, [S].
        written: units of the text that is written from each, [S]; batches are then of texts that are alike in both.
        batch_size: sentences per batch, if `batch_tokens` is 0.
        batch_tokens: the largest number of tokens per batch, of both sides, with padding (a longer sentence is a batch
            of its own).
        equal: only sentences of equal length in a batch: there is no padding, but some batches are small.
        seed: the same seed gives the same batches; it should contain the number of the epoch.

    Returns:
        The sentences of each batch; every sentence with tokens is in exactly one.

    Raises:
        ValueError: neither `batch_size` nor `batch_tokens` is positive.
    """
    if batch_tokens < 0 or (batch_tokens == 0 and batch_size < 1):
        raise ValueError(f"batch_size or batch_tokens must be at least 1, found {batch_size} and {batch_tokens}")
    generator = np.random.default_rng(seed)
    rows = generator.permutation(len(lengths)).astype(np.int64)
    rows = rows[lengths[rows] > 0]
    both = lengths if written is None else lengths + written  # [S]
    mean = max(1.0, float(both[rows].mean())) if len(rows) else 1.0
    pool = _POOL_BATCHES * (max(1, int(batch_tokens / mean)) if batch_tokens else batch_size)
    batches: list[Integers] = []
    for begin in range(0, len(rows), pool):
        part = rows[begin : begin + pool]
        order = np.argsort(lengths[part], kind="stable")
        part = part[order if written is None else np.lexsort((lengths[part], written[part]))]
        for piece in np.split(part, np.flatnonzero(np.diff(lengths[part])) + 1) if equal else [part]:
            batches.extend(_cut(piece, lengths, written, batch_size, batch_tokens))
    return [batches[number] for number in generator.permutation(len(batches))]


def length_batches(lengths: Integers, batch_tokens: int) -> list[Integers]:
    """Cut sentences into batches of near-equal lengths for prediction, shortest first.

    Args:
        lengths: tokens in each sentence, [S].
        batch_tokens: the largest number of tokens per batch, with padding (a longer sentence is a batch of its own).

    Returns:
        The sentences of each batch; every sentence with tokens is in exactly one.

    Raises:
        ValueError: `batch_tokens` is not positive.
    """
    if batch_tokens < 1:
        raise ValueError(f"batch_tokens must be at least 1, found {batch_tokens}")
    rows = np.argsort(lengths, kind="stable").astype(np.int64)
    rows = rows[lengths[rows] > 0]
    batches: list[Integers] = []
    begin = 0
    for size, steps in _cheapest_runs(*np.unique(lengths[rows], return_counts=True), batch_tokens):
        pieces = -(-size // max(1, batch_tokens // steps))
        batches.extend(np.array_split(rows[begin : begin + size], pieces))
        begin += size
    return batches


def _cheapest_runs(steps: Integers, counts: Integers, batch_tokens: int) -> list[tuple[int, int]]:
    """Which neighbouring lengths to put together, by dynamic programming.

    Batches of one length need no padding and no masking; batches of several lengths are fewer.

    Args:
        steps: the different lengths, ascending, [L].
        counts: the number of sentences of each length, [L].
        batch_tokens: tokens per batch.

    Returns:
        The number of sentences and the longest length of each run.
    """
    lengths = steps.tolist()
    until = [0, *np.cumsum(counts).tolist()]  # sentences up to each length
    least = [0.0] + [np.inf] * len(lengths)
    begins = [0] * (len(lengths) + 1)
    for end, longest in enumerate(lengths, 1):
        overhead = _BATCH_TOKENS + _STEP_TOKENS * longest
        for begin in range(end - 1, -1, -1):
            tokens = (until[end] - until[begin]) * longest
            mixed = begin < end - 1
            if mixed and tokens > batch_tokens:
                break
            cost = least[begin] + -(-tokens // batch_tokens) * overhead + tokens * (_MASKING if mixed else 1.0)
            if cost < least[end]:
                least[end], begins[end] = cost, begin
    runs = []
    end = len(lengths)
    while end:
        runs.append((until[end] - until[begins[end]], lengths[end - 1]))
        end = begins[end]
    return runs[::-1]


def _cut(
    rows: Integers, lengths: Integers, written: Integers | None, batch_size: int, batch_tokens: int
) -> Iterator[Integers]:
    """Cut sentences that are sorted by length, or by that of what is written from them, into batches."""
    begin = 0
    size = batch_size
    sorted_by = lengths if written is None else written
    while begin < len(rows):
        if batch_tokens:
            most = max(1, batch_tokens // int(sorted_by[rows[begin]]))  # the others are not shorter than the first
            part = rows[begin : begin + most]
            longest = np.maximum.accumulate(lengths[part]) + (0 if written is None else written[part])
            padded = longest * np.arange(1, len(part) + 1)  # tokens with padding in a batch that ends there
            size = max(1, int(np.searchsorted(padded, batch_tokens, side="right")))
        yield rows[begin : begin + size]
        begin += size
