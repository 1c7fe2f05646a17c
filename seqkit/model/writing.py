"""Writing text: a model as `seqkit.nn.search` wants it, one unit at a time, in ids of the vocabulary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqkit.devices import precision_context
from seqkit.errors import SettingsError
from seqkit.inputs.lookup import LookupBatch, type_batch
from seqkit.inputs.units import UnitInput
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.model.pipeline import not_finite
from seqkit.nn.attention import Memory
from seqkit.nn.recurrent import State
from seqkit.nn.search import Continuation, SearchState, beam_search, sample
from seqkit.nn.sequences import to_device
from seqkit.records import WrittenText

Starts = Callable[[Sequence[int]], tuple[SearchState, Tensor]]
"""numbers of conditions, one a text, N of them → the state before the last unit given of each, and that unit, [N]"""

_TOGETHER = 256
"""texts that are drawn side by side"""
_PRECISION = "fp32"
"""in which texts are written, whatever other predictions are computed in"""


def written(input: UnitInput, prompt: str, found: Continuation) -> WrittenText:
    """What was written, as a text.

    Args:
        input: ids ↔ units.
        prompt: how the text begins.
        found: what was added.

    Returns:
        The text.
    """
    lines: list[list[str]] = [[]]
    for index in found.tokens:
        if index == input.end:
            lines.append([])
        else:
            lines[-1].append(input.indexer.words[index])
    added = "\n".join(map(input.units.join, lines))
    apart = prompt and not prompt[-1].isspace() and lines[0]
    text = prompt + (input.units.separator if apart else "") + added
    return WrittenText(text, found.log_prob, len(found.tokens) + found.ended, found.ended)


def _check_finite(peaks: Sequence[Tensor]) -> None:
    """See that log-probabilities were numbers, by the largest of every step."""
    if peaks and bool(torch.stack(list(peaks)).isnan().any()):
        raise not_finite("a probability of what may come next", _PRECISION)


class UnitWriter(ABC):
    """Writes units with a model that says what may come next, drawing or searching; each kind of model has its own.

    Args:
        size: V, how many units the vocabulary has.

    Attributes:
        writable: which units may be written, all but padding and the unknown one, bool [V].
    """

    def __init__(self, size: int) -> None:
        self.writable = torch.arange(size) > UNKNOWN  # [V]

    def write(
        self,
        starts: Starts,
        conditions: int,
        *,
        count: int,
        temperature: float,
        top_k: int,
        top_p: float,
        beam: int,
        length_penalty: float = 0.0,
        seed: int | None,
        **options: Any,
    ) -> list[Continuation]:
        """Continue texts, drawing or searching.

        Args:
            starts: how the texts begin.
            conditions: how many different ones there are.
            count: how many continuations of each.
            temperature: below 1 likely units become likelier, above 1 less so; 0 always takes the likeliest.
            top_k: only the `top_k` likeliest units are drawn from; 0 for all.
            top_p: only the likeliest units that together have this probability are drawn from.
            beam: search for the likeliest texts with a beam of this width, or of `count` where that is more, instead of
                drawing; 0 for drawing.
            length_penalty: a beam's texts are ranked by ln p / units to the power of this; 0 for ln p itself, which
                prefers short texts.
            seed: the same seed gives the same texts; None for other ones each time.
            **options: what drawing and searching have in common: ``end``, ``length``, ``ends``, ``allowed``.

        Returns:
            The continuations of one condition after those of the other; of a search there may be fewer.

        Raises:
            ModelError: a probability is not finite.
            SettingsError: a number is outside its range.
        """
        if options.get("allowed") is None:
            options["allowed"] = lambda count, histories: self.writable
        found: list[Continuation] = []
        peaks: list[Tensor] = []

        def step(last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
            log_probabilities, after = self.step(last, state)
            peaks.append(log_probabilities.amax())  # NaN if there is one; a GPU is not waited for
            return log_probabilities, after

        try:
            if beam:
                options |= {"beam": max(beam, count), "length_penalty": length_penalty}
                for row in range(conditions):
                    (texts,) = beam_search(step, *starts([row]), **options)
                    found += texts[:count]
            else:
                generator = torch.Generator()
                generator.manual_seed(seed) if seed is not None else generator.seed()
                options |= {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": generator}
                rows = [row for row in range(conditions) for _ in range(count)]
                for first in range(0, len(rows), _TOGETHER):
                    found += sample(step, *starts(rows[first : first + _TOGETHER]), **options)
        except ValueError as error:
            _check_finite(peaks)  # of which it may be a consequence
            raise SettingsError(str(error)) from None
        _check_finite(peaks)
        return found

    @abstractmethod
    def step(self, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        """See `seqkit.nn.search.Step`."""


class NetworkWriter(UnitWriter):
    """Writes units with a network.

    The state is what joins every step's input, [N, C], what steps can look at, and that of the encoder.

    Args:
        model: a `seqkit.model.base.Model` whose head is a `seqkit.heads.language_model.head.UnitHead`.
    """

    @classmethod
    def of(cls, pipeline: Any) -> NetworkWriter:
        """The one of a pipeline: the vectors of the vocabulary are computed once."""
        found: NetworkWriter = pipeline.kept("writer", lambda: cls(pipeline.model))
        return found

    def __init__(self, model: Any) -> None:
        words = model.input.indexer.words
        super().__init__(len(words))
        self._network, self._head = model.network.eval(), model.head
        self.writable = to_device(self.writable, model.device)
        table = model.input.indexer.table(words.words)
        order = table.by_length(np.arange(len(words)))  # [V]
        with precision_context(_PRECISION, model.device):
            vectors = self._network.input.embedding(type_batch(table, order).to(model.device))  # [V, I], by length
        place = to_device(torch.from_numpy(order), model.device)  # [V]
        self.vectors = torch.empty_like(vectors).index_copy_(0, place, vectors)  # [V, I]
        self._ids = torch.arange(len(words), device=model.device)  # [V]

    def write(self, *arguments: Any, **options: Any) -> list[Continuation]:
        """See `UnitWriter.write`."""
        with precision_context(_PRECISION, self._ids.device):
            return super().write(*arguments, **options)

    def begin(
        self,
        units: Sequence[int],
        state: tuple[State, ...],
        features: Tensor | None = None,
        memory: Memory | None = None,
    ) -> tuple[SearchState, Tensor]:
        """Read how N texts begin.

        Args:
            units: the first units, alike for all texts; at least one, the end that stands before every text.
            state: the encoder's state before the first of them.
            features: what joins the input of every step of each text, [N, C].
            memory: what every step can look at, see `seqkit.heads.base.Start`.

        Returns:
            The state after all of them but the last, and the last one, int64 [N].
        """
        size = len(state[0][0])
        joined = self.vectors.new_empty(size, 0) if features is None else features  # [N, C]
        carried: SearchState = ((joined,), () if memory is None else tuple(memory), *state)
        *before, last = (torch.full((size,), unit, dtype=torch.int64, device=self._ids.device) for unit in units)
        for given in before:
            carried = self._encode(given, carried)[1]
        return carried, last

    def step(self, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        """See `seqkit.nn.search.Step`."""
        outputs, after = self._encode(last, state)
        return self._head.module.log_probabilities(outputs, self._head.table), after

    def _encode(self, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        (joined,), memory, *layers = state
        lengths = torch.ones(len(last), dtype=torch.int64)  # [N]
        batch = LookupBatch(lengths, last.unsqueeze(1), self._ids, vectors=self.vectors)
        features = joined if joined.shape[1] else None
        encoded = self._network(batch, state=tuple(layers), features=features, return_state=True)
        outputs = encoded.outputs if not memory else self._head.look(encoded.outputs, Memory(*memory))  # [N, 1, D]
        return outputs[:, 0], ((joined,), memory, *encoded.state)
