"""A model as `seqkit.nn.search` wants it: one unit at a time, in numbers of the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqkit.errors import DataError, SettingsError
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.model.build import type_batch
from seqkit.nn.network import Network
from seqkit.nn.recurrent import State
from seqkit.nn.search import Continuation, SearchState, beam_search, sample

__all__ = ["Beginning", "UnitWriter", "Writer", "known_numbers"]

Beginning = Callable[[Sequence[int]], tuple[SearchState, Tensor]]
"""numbers of beginnings, one a text, N of them → the state before the last unit of each, and these units, int64 [N]"""

_TOGETHER = 256
"""texts that are drawn side by side"""


def known_numbers(indexer: Indexer, units: Sequence[str], kind: str) -> list[int]:
    """The numbers of a prompt's units.

    Args:
        indexer: the vocabularies.
        units: the units.
        kind: what they are, a kind of `seqkit.inputs.units.Units`, for the message.

    Returns:
        Their numbers in the vocabulary.

    Raises:
        DataError: one of them is unknown to the model.
    """
    numbers = indexer.words.indices(map(indexer.normalise, units))
    unknown = list(dict.fromkeys(unit for unit, index in zip(units, numbers, strict=True) if index == UNKNOWN))
    if unknown:
        expected = {"char": "characters", "bpe": "byte pairs"}.get(kind, "words")
        shown = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        raise DataError(f"expected a prompt of {expected} that the model knows, found {shown}")
    return numbers


class UnitWriter:
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
        begin: Beginning,
        beginnings: int,
        *,
        count: int,
        beam: int,
        seed: int | None,
        temperature: float,
        top_k: int,
        top_p: float,
        length_penalty: float = 0.0,
        **options: Any,
    ) -> list[Continuation]:
        """Continue texts that begin differently, drawing or searching.

        Args:
            begin: how the texts begin.
            beginnings: how many there are.
            count: how many continuations of each.
            beam: the width of a search for the likeliest, at least `count`; 0 for drawing.
            seed: what decides the draws; None for other ones each time.
            temperature: see `seqkit.nn.search.sample`, as the rest.
            top_k: how many units are drawn from.
            top_p: how much probability is drawn from.
            length_penalty: see `seqkit.nn.search.beam_search`.
            **options: what drawing and searching have in common: ``end``, ``length``, ``ends``, ``allowed``.

        Returns:
            The continuations of one beginning after those of the other; of a search there may be fewer.

        Raises:
            SettingsError: a number is outside its range.
        """
        if count < 1 or beam < 0:
            raise SettingsError(f"expected a count of at least 1 and a beam of at least 0, found {count} and {beam}")
        options = {"allowed": self.allowed, **options}
        found: list[Continuation] = []
        try:
            if beam:
                for row in range(beginnings):
                    state, last = begin([row])
                    found += beam_search(
                        self.step, state, last, beam=max(beam, count), length_penalty=length_penalty, **options
                    )[:count]
                return found
            generator = torch.Generator()
            generator.manual_seed(seed) if seed is not None else generator.seed()
            options |= {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": generator}
            rows = [row for row in range(beginnings) for _ in range(count)]
            for start in range(0, len(rows), _TOGETHER):
                state, last = begin(rows[start : start + _TOGETHER])
                found += sample(self.step, state, last, **options)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        return found

    def step(self, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        """See `seqkit.nn.search.Step`."""
        raise NotImplementedError  # pragma: no cover - every kind of model overrides it

    def allowed(self, count: int, histories: Sequence[Sequence[int]]) -> Tensor:
        """See `seqkit.nn.search.Allowed`."""
        return self.writable


class Writer(UnitWriter):
    """Writes units with a network; the state that it hands around is the encoder's, and what joins every step's input.

    Args:
        network: an embedding of units and an encoder.
        indexer: its vocabularies.
        score: the encoder's outputs of one step, [N, D] → log p of every unit that may be next, [N, V].
    """

    def __init__(self, network: Network, indexer: Indexer, score: Callable[[Tensor], Tensor]) -> None:
        super().__init__(len(indexer.words))
        self.network = network
        self.score = score
        words = indexer.words
        table = indexer.table(words.words)
        order = table.by_length(np.arange(len(words)))  # [V]
        self.device = next(network.parameters()).device
        vectors = network.embedding(type_batch(table, order).to(self.device))  # [V, I], by length
        self.vectors = torch.empty_like(vectors).index_copy_(0, torch.from_numpy(order).to(self.device), vectors)

    def begin(
        self, units: Sequence[int], state: tuple[State, ...], features: Tensor | None = None
    ) -> tuple[SearchState, Tensor]:
        """Read how N texts begin.

        Args:
            units: the first units, alike for all texts; at least one, the end that stands before every text.
            state: the encoder's state before the first of them.
            features: what joins the input of every step of each text, [N, C].

        Returns:
            The state after all of them but the last, and the last one, int64 [N].
        """
        carried: SearchState = state if features is None else (*state, (features,))
        size = len(state[0][0])
        *before, last = (torch.full((size,), unit, dtype=torch.int64, device=self.device) for unit in units)
        for given in before:
            carried = self._encode(given, carried, features is not None)[1]
        return carried, last

    def step(self, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        """See `seqkit.nn.search.Step`."""
        outputs, after = self._encode(last, state, len(state) > len(self.network.encoder.layers))
        return self.score(outputs), after

    def _encode(self, last: Tensor, state: SearchState, joined: bool) -> tuple[Tensor, SearchState]:
        layers, extra = (state[:-1], state[-1:]) if joined else (state, ())
        output = self.network.encode(
            self.vectors,
            last.unsqueeze(1),
            torch.ones(len(last), dtype=torch.int64),
            features=extra[0][0].unsqueeze(1) if extra else None,
            state=layers,
            return_state=True,
        )
        assert output.state is not None
        return output.outputs[:, 0], (*output.state, *extra)
