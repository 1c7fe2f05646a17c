"""Where the time goes when a model labels a file: the real code path, with a clock around its stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import torch

from seqkit.bench.flops import forward_flops
from seqkit.bench.machine import Spread, gemm_rate, onednn_rate, spread, wait_for
from seqkit.config import BATCH_TOKENS
from seqkit.errors import DataError, SettingsError
from seqkit.inputs.lookup import LookupInput
from seqkit.model.base import Model

_Item = TypeVar("_Item")

# "indexing" looks up words in the vocabularies; finding the word types of a batch is part of "batches and records".
STAGES = ("reading", "indexing", "characters", "words", "encoder", "head", "batches and records", "writing")
"""The stages of labelling a file, in order: file to sentences; words to ids; character features; word vectors; encoder;
scores and search for the best labels; everything between these stages; records to text."""


class StageClock:
    """The seconds of each stage of a run. Stages may be nested: the time of an inner one does not count for the outer.

    Args:
        device: the device of the network; a GPU is synchronised at the start and the end of a stage.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._device = device
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the context for a stage.

        Args:
            name: the stage.

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
        """Count the time of an iterator for a stage, without the time between its items.

        Args:
            items: the items.
            name: the stage.

        Yields:
            The items.
        """
        iterator = iter(items)
        while True:
            with self.stage(name):
                found = list(islice(iterator, 1))
            if not found:
                return
            yield found[0]

    @contextmanager
    def around(self, owner: object, method: str, name: str) -> Iterator[None]:
        """Count the time of an object's method for a stage, inside the context.

        Args:
            owner: the object.
            method: the name of the method.
            name: the stage.

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
            delattr(owner, method)  # restores the method of the class


class Measured(NamedTuple):
    """How fast a model labels a file.

    Attributes:
        seconds: the seconds of every stage, over the rounds.
        total: the seconds of all stages, over the rounds.
        sentences: the number of sentences in the file.
        tokens: the number of tokens in the file.
        flops: useful FLOPs per token, see `seqkit.bench.flops.forward_flops`.
        precision: the precision of most of the file, ``fp32`` or ``bf16``.
        gemm: FLOP/s of `torch.mm` in this precision, over the rounds; None on a device other than the CPU.
        onednn: FLOP/s of oneDNN's product in fp32; None in bf16, or where torch has no oneDNN.
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
        """The speed of the median round."""
        return self.tokens / self.total.median

    @property
    def share(self) -> float | None:
        """Useful FLOP/s divided by those of `torch.mm`: the share of the roofline."""
        return None if self.gemm is None else self.flops * self.tokens_per_second / self.gemm.median

    @property
    def onednn_share(self) -> float | None:
        """Useful FLOP/s divided by those of oneDNN's product."""
        return None if self.onednn is None else self.flops * self.tokens_per_second / self.onednn.median

    def to_json(self) -> dict[str, Any]:
        """The measurements as a JSON object.

        Returns:
            The counts, the seconds of all and of each stage, FLOPs and shares.
        """
        return {
            "sentences": self.sentences,
            "tokens": self.tokens,
            "tokens_per_second": self.tokens_per_second,
            "seconds": self.total._asdict(),
            "stages": {name: seconds._asdict() for name, seconds in self.seconds.items()},
            "flops_per_token": self.flops,
            "gemm_flops": self.gemm and self.gemm._asdict(),
            "roofline_share": self.share,
            "onednn_flops": self.onednn and self.onednn._asdict(),
            "onednn_share": self.onednn_share,
            "arithmetic": self.precision,
        }


def measure_stages(
    model: Model,
    read: Callable[[], Iterable[Any]],
    write: Callable[[Iterable[Any]], object],
    *,
    rounds: int = 5,
    batch_tokens: int = BATCH_TOKENS,
    precision: str = "fp32",
    say: Callable[[str], None] | None = None,
    options: Any = None,
) -> Measured:
    """Label a file several times and measure the time of each stage.

    Args:
        model: the model.
        read: opens the file again: its records, which have tokens.
        write: records → text.
        rounds: the number of measured rounds, after one that does not count.
        batch_tokens: tokens per batch.
        precision: ``fp32``, ``bf16`` or ``auto``, which chooses again in every round, as in every process.
        say: called with the choice of ``auto`` and its reason.
        options: an object of the task's options class; by default those of the model.

    Returns:
        The measurements.

    Raises:
        DataError: the file has no tokens.
        SettingsError: the model's input is of another kind than the stages are.
    """
    if not isinstance(model.input, LookupInput):
        raise SettingsError(f"seqkit bench needs a model that reads words, and `seqkit {model.task.name}` reads others")
    sentences = tokens = characters = 0
    for one in read():
        sentences, tokens = sentences + 1, tokens + len(one.tokens)
        characters += sum(map(len, one.tokens))
    if not tokens:
        raise DataError("there are no tokens to label")
    measured: list[list[float]] = []  # for each round the seconds of each stage
    gemm: list[float] = []
    onednn: list[float | None] = []
    for number in range(-1, rounds):
        clock = StageClock(model.device)
        with ExitStack() as stack:
            for context in _parts(clock, model):
                stack.enter_context(context)
            with clock.stage("writing"):
                told = say if number < 0 else None
                pipeline = model.pipeline(batch_tokens=batch_tokens, precision=precision, say=told, options=options)
                answers = pipeline(clock.iterate(read(), "reading"))
                write(clock.iterate(answers, "batches and records"))
        chosen = pipeline.chosen or "fp32"
        if number >= 0:
            measured.append([clock.seconds.get(name, 0.0) for name in STAGES])
            if model.device.type == "cpu":
                gemm.append(gemm_rate(dtype=torch.bfloat16 if chosen == "bf16" else torch.float32))
                onednn.append(onednn_rate() if chosen == "fp32" else None)
    known = [rate for rate in onednn if rate is not None]
    return Measured(
        {name: spread(seconds) for name, *seconds in zip(STAGES, *measured, strict=True)},
        spread(list(map(sum, measured))),
        sentences,
        tokens,
        forward_flops(model.network, characters / tokens, tokens / sentences),
        chosen,
        spread(gemm) if gemm else None,
        spread(known) if known else None,
    )


def _parts(clock: StageClock, model: Model) -> Iterator[AbstractContextManager[None]]:
    """The clock around the stages of a model."""
    network: Any = model.network
    yield clock.around(model.input.indexer, "table", "indexing")
    embedding, context = network.input.embedding, network.input.context
    if embedding.characters is not None:
        yield clock.around(embedding.characters, "forward", "characters")
    yield clock.around(embedding, "forward", "words")
    yield clock.around(network.encoder, "forward", "encoder")
    for method in ("score", "decode"):
        yield clock.around(model.head, method, "head")
    if context is not None:  # a language model whose states are features of words
        yield clock.around(context.input, "forward", "words")
        yield clock.around(context.encoder, "forward", "words")
