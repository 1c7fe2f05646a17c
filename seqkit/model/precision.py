"""Prediction in the precision that is asked for; ``auto`` is bf16 where it is fast and has shown to change no label."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

import torch

from seqkit.devices import multiplies_bf16
from seqkit.model.streaming import chunks
from seqkit.records import Sentence

__all__ = ["CHECKED_SENTENCES", "AutoPrecision", "in_precision"]

_Record = TypeVar("_Record")

CHECKED_SENTENCES = 128
"""sentences at the beginning of a stream that are predicted in both precisions"""


class AutoPrecision:
    """What ``auto`` became. Kept from stream to stream of one model, the first that can be checked decides for all.

    Args:
        say: is told what it became, and why; the same line only once.

    Attributes:
        chosen: ``fp32`` or ``bf16``; None until a stream has been checked, which are predicted in fp32.
    """

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.chosen: str | None = None
        self._say = say
        self._said: set[str] = set()

    def tell(self, found: str) -> None:
        """Tell what it became.

        Args:
            found: the precision, and why.
        """
        if self._say is not None and found not in self._said:
            self._said.add(found)
            self._say(f"precision auto: {found}")


def in_precision(
    precision: str,
    predict: Callable[[Iterable[Sentence], str], Iterator[_Record]],
    sentences: Iterable[Sentence],
    labels: Callable[[_Record], Sequence[Hashable]],
    *,
    device: torch.device,
    ahead: int,
    auto: AutoPrecision | None = None,
) -> Iterator[_Record]:
    """Predict a stream of sentences in a precision that, for ``auto``, its own beginning decides on.

    Where the device multiplies bf16, the first 128 sentences are predicted in both. What is given for them is that of
    fp32; the others are predicted in bf16 if every label of these was the same, and there was one. So nothing but the
    stream decides, unless an earlier one has.

    Args:
        precision: ``fp32``, ``bf16`` or ``auto``.
        predict: sentences and a precision, ``fp32`` or ``bf16``, → a record each, in order.
        sentences: the stream.
        labels: what has to be the same of a record.
        device: where the network runs.
        ahead: how many sentences may be read ahead; if fewer than are checked, ``auto`` is fp32.
        auto: what earlier streams of the model decided, and who is told; by default nothing, and nobody.

    Yields:
        A record a sentence.
    """
    if precision != "auto":
        yield from predict(sentences, precision)
        return
    auto = auto or AutoPrecision()
    if auto.chosen is None and not multiplies_bf16(device):
        auto.chosen = "fp32"
        auto.tell("fp32, since bf16 is not fast here")
    if auto.chosen is not None:
        yield from predict(sentences, auto.chosen)
        return
    if ahead < CHECKED_SENTENCES:
        auto.tell("fp32, since too few sentences are read ahead to check bf16")
        yield from predict(sentences, "fp32")
        return
    parts = chunks(sentences, CHECKED_SENTENCES)
    first = next(parts, [])
    exact = list(predict(first, "fp32"))
    yield from exact  # before the next ones are read, in which there may be a fault
    following = next(parts, None)
    if following is None:
        auto.tell("fp32, since there are too few sentences to check bf16")
        return
    pairs = [
        pair
        for one, other in zip(exact, predict(first, "bf16"), strict=True)
        for pair in zip(labels(one), labels(other), strict=True)
    ]
    others = sum(one != other for one, other in pairs)
    checked = f"{len(pairs):,} labels of the first {len(first)} sentences"
    if not pairs:
        auto.tell(f"fp32, since the first {len(first)} sentences have no labels to check bf16 by")
    elif others:
        auto.chosen = "fp32"
        auto.tell(f"fp32, since in bf16 {others:,} of the {checked} differ")
    else:
        auto.chosen = "bf16"
        auto.tell(f"bf16 from here on, since the {checked} agree with fp32")
    yield from predict(chain(following, chain.from_iterable(parts)), auto.chosen or "fp32")
