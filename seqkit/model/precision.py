"""Prediction in the precision that is asked for; ``auto`` is bf16 where it is fast and has shown to change no label."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

import torch

from seqkit.data.sentence import Sentence
from seqkit.devices import multiplies_bf16
from seqkit.model.streaming import chunks

__all__ = ["CHECKED_SENTENCES", "in_precision"]

_Record = TypeVar("_Record")

CHECKED_SENTENCES = 128
"""sentences at the beginning of a stream that are predicted in both precisions"""


def in_precision(
    precision: str,
    predict: Callable[[Iterable[Sentence], str], Iterator[_Record]],
    sentences: Iterable[Sentence],
    labels: Callable[[_Record], Sequence[Hashable]],
    *,
    device: torch.device,
    ahead: int,
    say: Callable[[str], None] | None = None,
) -> Iterator[_Record]:
    """Predict a stream of sentences in a precision that, for ``auto``, its own beginning decides on.

    Where the device multiplies bf16, the first 128 sentences are predicted in both. What is given for them is that of
    fp32; the others are predicted in bf16 if every label of these was the same. So nothing but the stream decides, and
    it is predicted in the same way wherever such a device is.

    Args:
        precision: ``fp32``, ``bf16`` or ``auto``.
        predict: sentences and a precision, ``fp32`` or ``bf16``, → a record each, in order.
        sentences: the stream.
        labels: what has to be the same of a record.
        device: where the network runs.
        ahead: how many sentences may be read ahead; if fewer than are checked, ``auto`` is fp32.
        say: is told once what ``auto`` became, and why.

    Yields:
        A record a sentence.
    """
    if precision != "auto":
        yield from predict(sentences, precision)
        return
    if not multiplies_bf16(device):
        _tell(say, "fp32, since bf16 is not fast here")
        yield from predict(sentences, "fp32")
        return
    if ahead < CHECKED_SENTENCES:
        _tell(say, "fp32, since too few sentences are read ahead to check bf16")
        yield from predict(sentences, "fp32")
        return
    parts = chunks(sentences, CHECKED_SENTENCES)
    first = next(parts, [])
    exact = list(predict(first, "fp32"))
    yield from exact  # before the next ones are read, in which there may be a fault
    following = next(parts, None)
    if following is None:
        _tell(say, "fp32, since there are too few sentences to check bf16")
        return
    pairs = [
        pair
        for one, other in zip(exact, predict(first, "bf16"), strict=True)
        for pair in zip(labels(one), labels(other), strict=True)
    ]
    others = sum(one != other for one, other in pairs)
    checked = f"{len(pairs):,} labels of the first {len(first)} sentences"
    if others:
        _tell(say, f"fp32, since in bf16 {others:,} of the {checked} differ")
    else:
        _tell(say, f"bf16 from here on, since the {checked} agree with fp32")
    yield from predict(chain(following, chain.from_iterable(parts)), "fp32" if others else "bf16")


def _tell(say: Callable[[str], None] | None, found: str) -> None:
    if say is not None:
        say(f"precision auto: {found}")
