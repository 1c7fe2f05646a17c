"""Where the time goes when a model labels a file: the real path, with a clock around its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple, TypeVar

import torch

from seqkit.bench.flops import forward_flops
from seqkit.bench.machine import Spread, gemm_rate, onednn_rate, spread, wait_for
from seqkit.errors import DataError
from seqkit.model.classifier import Classifier
from seqkit.model.precision import AutoPrecision
from seqkit.model.tagger import Tagger
from seqkit.records import Sentence

__all__ = ["STAGES", "Measured", "StageClock", "measure_stages"]

_Item = TypeVar("_Item")

# "indexing" asks the vocabularies; numbering tokens by their spelling belongs to what lies between the parts.
STAGES = ("reading", "indexing", "characters", "words", "encoder", "head", "batches and records", "writing")
"""The parts of labelling a file, in order: the file to sentences; words to numbers; what a word's characters are worth;
words' vectors; the encoder; scores and the search for the best labels; what lies between these; records to text."""


class StageClock:
    """Seconds of each part of a run, where parts run inside of one another: each counts only for itself.

    Args:
        device: where the network runs; what a GPU was given to do is waited for at a part's beginning and end.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done inside for a part.

        Args:
            name: the part.

        Yields:
            Once.
        """
        self._charge()
        self._running.append(name)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def iterate(self, items: Iterable[_Item], name: str) -> Iterator[_Item]:
        """Count what an iterator does for a part, and not what is done with its items.

        Args:
            items: what to iterate over.
            name: the part.

        Yields:
            The items.
        """
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    @contextmanager
    def around(self, owner: object, method: str, name: str) -> Iterator[None]:
        """Count an object's method for a part, inside the context.

        Args:
            owner: the object.
            method: the method's name.
            name: the part.

        Yields:
            Once.
        """
        plain: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **options: Any) -> Any:
            with self.stage(name):
                wait_for(self._device)
                found = plain(*args, **options)
                wait_for(self._device)
                return found

        setattr(owner, method, timed)
        try:
            yield
        finally:
            delattr(owner, method)  # the class's own shows again


class Measured(NamedTuple):
    """How fast a model labels a file.

    Attributes:
        seconds: of every part of `STAGES`, over the rounds.
        total: seconds of all, over the rounds.
        sentences: in the file.
        tokens: in the file.
        flops: useful FLOPs a token, see `seqkit.bench.flops.forward_flops`.
        precision: in which most of the file was labelled, ``fp32`` or ``bf16``.
        gemm: FLOP/s of `torch.mm` in this precision, over the rounds; None on another device than the CPU.
        onednn: FLOP/s of oneDNN's product in fp32; None in bf16, and where there is none.
    """

    seconds: dict[str, Spread]
    total: Spread
    sentences: int
    tokens: int
    flops: float
    precision: str
    gemm: Spread | None
    onednn: Spread | None

    @property
    def tokens_per_second(self) -> float:
        """Of the median round."""
        return self.tokens / self.total.median

    @property
    def share(self) -> float | None:
        """Useful FLOP/s over those of `torch.mm`: the share of the roofline."""
        return None if self.gemm is None else self.flops * self.tokens_per_second / self.gemm.median

    @property
    def onednn_share(self) -> float | None:
        """Useful FLOP/s over those of oneDNN's product."""
        return None if self.onednn is None else self.flops * self.tokens_per_second / self.onednn.median


def measure_stages(
    model: Tagger | Classifier,
    read: Callable[[], Iterable[Sentence]],
    write: Callable[[Iterable[Any]], object],
    *,
    rounds: int = 5,
    precision: str = "fp32",
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> Measured:
    """Label a file several times over, and see where the time goes.

    Args:
        model: the model.
        read: opens the file anew.
        write: records → text.
        rounds: how many rounds count; one more comes before them.
        precision: ``fp32``, ``bf16`` or ``auto``, which decides anew in every round, as in every process.
        say: is told what ``auto`` became, and why.
        **options: of the model's `predict`.

    Returns:
        What was measured.

    Raises:
        DataError: the file has no tokens.
    """
    sentences = tokens = characters = 0
    for one in read():
        sentences, tokens = sentences + 1, tokens + len(one.tokens)
        characters += sum(map(len, one.tokens))
    if not tokens:
        raise DataError("expected at least one token, found none")
    seconds: dict[str, list[float]] = {name: [] for name in STAGES}
    rates: list[float] = []
    onednn: list[float] = []
    for number in range(-1, rounds):
        auto = AutoPrecision(say if number < 0 else None)
        clock = StageClock(model.device)
        with ExitStack() as stack:
            for context in _parts(clock, model):
                stack.enter_context(context)
            with clock.stage("writing"):
                records = model.predict(clock.iterate(read(), "reading"), precision=precision, auto=auto, **options)
                write(clock.iterate(records, "batches and records"))
        chosen = (auto.chosen or "fp32") if precision == "auto" else precision
        if number >= 0:
            for name in STAGES:
                seconds[name].append(clock.seconds.get(name, 0.0))
            if model.device.type == "cpu":
                rates.append(gemm_rate(dtype=torch.bfloat16 if chosen == "bf16" else torch.float32))
                rate = onednn_rate() if chosen == "fp32" else None
                onednn += [] if rate is None else [rate]
    return Measured(
        {name: spread(values) for name, values in seconds.items()},
        spread([sum(values) for values in zip(*seconds.values(), strict=True)]),
        sentences,
        tokens,
        forward_flops(model.network, characters / tokens, tokens / sentences),
        chosen,
        spread(rates) if rates else None,
        spread(onednn) if onednn else None,
    )


def _parts(clock: StageClock, model: Tagger | Classifier) -> Iterator[AbstractContextManager[None]]:
    """The clock around the parts of a model."""
    network = model.network
    yield clock.around(model.indexer, "table", "indexing")
    if network.embedding.characters is not None:
        yield clock.around(network.embedding.characters, "forward", "characters")
    yield clock.around(network.embedding, "forward", "words")
    yield clock.around(network.encoder, "forward", "encoder")
    yield clock.around(network.head, "decode", "head")
    if isinstance(model, Tagger):
        yield clock.around(network.head, "emissions", "head")
    if network.context is not None:  # another network, whose outputs are features of words
        yield clock.around(network.context.embedding, "forward", "words")
        yield clock.around(network.context.encoder, "forward", "words")
