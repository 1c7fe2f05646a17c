"""The language model without a network as one artefact: Kneser-Ney over counted n-grams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.config import LmSettings, Settings
from seqkit.errors import ModelError, SettingsError
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.streams import END, Corpus
from seqkit.inputs.units import Units
from seqkit.model.base import Documents
from seqkit.model.base_language_model import BaseLanguageModel, unit_indexer
from seqkit.model.stream import STATIC_WINDOW
from seqkit.model.writing import Beginning, UnitWriter
from seqkit.ngram.kneser_ney import KneserNey, Level
from seqkit.nn.search import SearchState
from seqkit.records import Sentence

__all__ = ["NgramLanguageModel", "NgramTables"]

_TOGETHER = 1 << 20
"""units of a text that are looked up together"""


class NgramTables(nn.Module):
    """The arrays of a Kneser-Ney model under the names that they are saved by; there is nothing in it to train.

    They stay on the CPU, where they are looked up, wherever the module is moved.

    Args:
        model: the model; the tensors are its own arrays, not copies.
    """

    def __init__(self, model: KneserNey) -> None:
        super().__init__()
        self.model = model
        for order, level in enumerate(model.levels, 1):
            self.register_buffer(f"probability{order}", torch.from_numpy(level.probability))
            if order > 1:  # the keys of order 1 are all units
                self.register_buffer(f"keys{order}", torch.from_numpy(level.keys))
            if order < len(model.levels):
                self.register_buffer(f"backoff{order}", torch.from_numpy(level.backoff))

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], highest: int, size: int, end: int) -> NgramTables:
        """Take up saved tensors.

        Args:
            tensors: name → tensor.
            highest: the order is no more than that.
            size: V, how many units there are.
            end: the unit that ends a line.

        Returns:
            The module, made of them.

        Raises:
            ValueError: they are no model.
        """
        levels: list[Level] = []
        for order in range(1, highest + 1):
            keys = _array(tensors, f"keys{order}", np.int64) if order > 1 else np.arange(size)
            last = order == highest or f"keys{order + 1}" not in tensors
            backoff = np.empty(0, np.float32) if last else _array(tensors, f"backoff{order}", np.float32)
            levels.append(Level(keys, _array(tensors, f"probability{order}", np.float32), backoff))
            if last:
                break
        tables = cls(KneserNey(end, levels))
        others = sorted(tensors.keys() - tables.state_dict().keys())
        if others:
            raise ValueError(f"expected no other tensors, found {others[0]!r:.80}")
        return tables

    def _apply(self, fn: Any, recurse: bool = True) -> NgramTables:
        return self

    def extra_repr(self) -> str:
        """Its order, and how many n-grams of each order there are."""
        counts = (f"{len(level.keys) - (order == 1):,}" for order, level in enumerate(self.model.levels, 1))
        return f"{self.model.name}, {' + '.join(counts)} n-grams"


class NgramWriter(UnitWriter):
    """Writes units with an n-gram model; the state is what was written last, [N, C], −1 before the beginning.

    Args:
        model: the n-gram model.
    """

    def __init__(self, model: KneserNey) -> None:
        super().__init__(model.size)
        self.model = model
        self.memory = max(1, model.order - 1)
        """C, so many units"""

    def begin(self, units: Sequence[int], rows: int) -> tuple[SearchState, Tensor]:
        """Read how N texts begin.

        Args:
            units: the first units, alike for all texts; at least one, the end that stands before every text.
            rows: N.

        Returns:
            What stands before the last of them, and the last one, int64 [N].
        """
        *before, last = units
        kept = [*[-1] * self.memory, *before][-self.memory :]
        return ((torch.tensor(kept).repeat(rows, 1),),), torch.full((rows,), last, dtype=torch.int64)

    def step(self, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        """See `seqkit.nn.search.Step`."""
        history = torch.cat([state[0][0][:, 1:], last.unsqueeze(1)], 1)  # [N, C]
        return torch.from_numpy(self.model.distributions(history.numpy())), ((history,),)


class NgramLanguageModel(BaseLanguageModel):
    """A language model of counts: the probability of each unit after the few before it in its line.

    See `BaseLanguageModel` for what it is made of and `seqkit.ngram.kneser_ney.KneserNey` for the mathematics. No state
    is carried from line to line, and neither window, batch nor arithmetic have any influence.
    """

    network: NgramTables  # type: ignore[assignment]  # whoever wants a network's parts asks for another class

    @classmethod
    def build(cls, settings: LmSettings, units: Units, corpus: Corpus) -> NgramLanguageModel:
        """Count the n-grams of a text.

        Args:
            settings: the order (``head.ngram``) and the limits on the vocabulary.
            units: text ↔ units.
            corpus: the text, cut into such units.

        Returns:
            The model.
        """
        return cls._counted(
            settings, units, unit_indexer(settings, units, corpus.counts()), corpus, settings.head.ngram
        )

    @classmethod
    def beside(cls, model: BaseLanguageModel, corpus: Corpus, order: int) -> NgramLanguageModel:
        """Count n-grams of the units that another model tells apart, so that the perplexities can be compared.

        Args:
            model: the other model.
            corpus: what it is trained on.
            order: how many units an n-gram has at most.

        Returns:
            The model.
        """
        return cls._counted(model.settings, model.units, model.indexer, corpus, order)

    @classmethod
    def _counted(
        cls, settings: LmSettings, units: Units, indexer: Indexer, corpus: Corpus, order: int
    ) -> NgramLanguageModel:
        words = indexer.table(corpus.types).words.astype(np.int32)  # [U]
        found = KneserNey.fit(words[corpus.numbers], order, len(indexer.words), indexer.words.index(END))
        return cls(settings, units, indexer, NgramTables(found), {})

    @property
    def kneser_ney(self) -> KneserNey:
        """The probabilities."""
        return self.network.model

    @property
    def name(self) -> str:
        """What such a model is called."""
        return self.kneser_ney.name

    @property
    def device(self) -> torch.device:
        """See `Model.device`; it stays on the CPU."""
        return torch.device("cpu")

    def parameter_counts(self) -> dict[str, int]:
        """How many numbers it has learned."""
        counts = {"probabilities": -1, "backoffs": 0}  # that of padding is none
        for level in self.kneser_ney.levels:
            counts["probabilities"] += len(level.probability)
            counts["backoffs"] += len(level.backoff)
        return counts

    def _log_probs(
        self, chunk: Sequence[Sentence], targets: list[list[int]], batch_tokens: int, precision: str
    ) -> list[float]:
        starts = np.cumsum([0, *map(len, targets)])[:-1]  # [B]
        numbers = np.fromiter(chain.from_iterable(targets), dtype=np.int64)  # [N]
        steps = self.kneser_ney.log_probabilities(numbers)  # [N]
        totals: list[float] = np.add.reduceat(steps, starts).tolist()
        return totals

    def log_prob(
        self, corpus: Corpus, *, window: int = STATIC_WINDOW, dynamic: float = 0.0, precision: str = "fp32"
    ) -> float:
        """See `BaseLanguageModel.log_prob`; every unit is predicted from those before it in its line.

        Args:
            corpus: the text.
            window: of no influence.
            dynamic: 0.
            precision: of no influence.

        Returns:
            ln p of the text, ends of lines included, in nats.

        Raises:
            SettingsError: dynamic evaluation is asked for.
        """
        if dynamic:
            raise SettingsError(f"expected a model with a network for dynamic evaluation, found {self.name}")
        words = self.indexer.table(corpus.types).words  # [U]
        return sum(float(part.sum()) for part in self._steps(words, corpus))

    def _steps(self, words: np.ndarray[Any, np.dtype[np.int64]], corpus: Corpus) -> Iterator[Any]:
        before = np.array([self.end])  # [C]
        for begin in range(0, len(corpus), _TOGETHER):
            numbers = words[corpus.numbers[begin : begin + _TOGETHER]]  # [M]
            yield self.kneser_ney.log_probabilities(numbers, before)
            before = np.concatenate([before, numbers])[-self.kneser_ney.order :]

    def _writing(self, start: Sequence[int]) -> tuple[UnitWriter, Beginning]:
        writer = NgramWriter(self.kneser_ney)
        return writer, lambda rows: writer.begin(start, len(rows))

    def architecture(self) -> list[str]:
        """See `Model.architecture`."""
        # Of the units, padding is none.
        counts = [len(level.keys) - (number == 0) for number, level in enumerate(self.kneser_ney.levels)]
        return [
            f"- No network: {self.name}, interpolated, modified, no cut-offs",
            f"- N-grams of order 1, 2, …: {', '.join(f'{count:,}' for count in counts)}",
        ]

    @classmethod
    def restore(cls, settings: Settings, documents: Documents, weights: Mapping[str, Tensor]) -> NgramLanguageModel:
        """See `Model.restore`."""
        assert isinstance(settings, LmSettings)
        units, indexer = cls._restored(settings, documents)
        end = indexer.words.index(END)
        try:
            tables = NgramTables.restore(weights, settings.head.ngram, len(indexer.words), end)
        except ValueError as error:
            raise ModelError(f"{documents.place}: weights.safetensors: {error}") from None
        return cls(settings, units, indexer, tables, documents["report.json"])


def _array(tensors: Mapping[str, Tensor], name: str, kind: type[np.generic]) -> Any:
    """A saved tensor as an array of one dimension and the expected kind of numbers."""
    tensor = tensors.get(name)
    expected = f"expected {name} of one dimension in {np.dtype(kind).name}"
    if tensor is None:
        raise ValueError(f"{expected}, found none")
    if tensor.dim() != 1 or str(tensor.dtype) != f"torch.{np.dtype(kind).name}":
        raise ValueError(f"{expected}, found {list(tensor.shape)} in {str(tensor.dtype).removeprefix('torch.')}")
    return tensor.numpy()
