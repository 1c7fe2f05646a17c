"""The language model without a network: Kneser-Ney over counted n-grams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqkit.config import BATCH_TOKENS
from seqkit.errors import ModelError, SettingsError
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.base import Documents
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.inputs.units import UnitInput
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.model.pipeline import CHUNK_RECORDS, BatchSize, check_pipeline, chunks, halving
from seqkit.model.scoring import STATIC_WINDOW, UnitPredictor
from seqkit.model.writing import Starts, UnitWriter
from seqkit.ngram.kneser_ney import KneserNey, Level
from seqkit.nn.search import SearchState
from seqkit.records import ScoredText

_TOGETHER = 1 << 20
"""units of a text that are looked up together"""


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


class NgramLanguageModel(UnitPredictor):
    """A language model of counts: the probability of each unit after the few before it in its line.

    No state is carried from line to line, and neither window, batch nor precision has any influence.

    Args:
        settings: the settings it was built with.
        input: the units of a text.
        kneser_ney: the probabilities.
        report: scores, data and versions, as in ``report.json``.
    """

    def __init__(self, settings: Any, input: UnitInput, kneser_ney: KneserNey, report: dict[str, Any]) -> None:
        super().__init__(settings, report)
        self.input = input
        self.kneser_ney = kneser_ney

    @classmethod
    def count(cls, settings: LmSettings, units: Units, corpus: Corpus) -> NgramLanguageModel:
        """Count the n-grams of a text.

        Args:
            settings: the order (``head.ngram``) and the limits on the vocabulary.
            units: text ↔ units.
            corpus: the text, split into such units.

        Returns:
            The model.
        """
        return cls.beside(UnitInput.of_counts(settings, units, corpus.counts()), corpus, settings.head.ngram)

    @classmethod
    def beside(cls, input: UnitInput, corpus: Corpus, order: int) -> NgramLanguageModel:
        """Count n-grams of the units of another model, so that the perplexities can be compared.

        Args:
            input: the units.
            corpus: what the other model is trained on.
            order: the maximal length of an n-gram.

        Returns:
            The model.
        """
        ids = input.indexer.table(corpus.types).words.astype(np.int32)  # [U]
        found = KneserNey.fit(ids[corpus.numbers], order, len(input.indexer.words), input.end)
        return cls(input.settings, input, found, {})

    @property
    def name(self) -> str:
        """What such a model is called."""
        return self.kneser_ney.name

    @property
    def device(self) -> torch.device:
        """See `Predictor.device`."""
        return torch.device("cpu")

    # --- use ------------------------------------------------------------------------------------------------------

    def pipeline(self, **settings: Any) -> Any:
        """See `Predictor.pipeline`; a batch is a chunk, divided where memory runs out, and precision has no effect."""
        ahead, batch_tokens = settings.get("ahead", CHUNK_RECORDS), settings.get("batch_tokens", BATCH_TOKENS)
        check_pipeline(self.device, settings.get("precision", "fp32"), batch_tokens=batch_tokens, ahead=ahead)
        size = settings.get("size") or BatchSize(batch_tokens, settings.get("say"), self.task)

        def predict(records: Iterable[Any], options: Any = None) -> Iterator[ScoredText]:
            for chunk in chunks(records, ahead):
                yield from halving(chunk, size, self.input.lengths, lambda part, tokens: self._scores(part))

        return predict

    def _scores(self, chunk: Sequence[Any]) -> list[ScoredText]:
        arrays = self.input.arrays(chunk)
        ids = arrays.table.words[arrays.types]  # [N], the end before each line
        targets, first = np.append(ids[1:], self.input.end), arrays.offsets[:-1]  # [N], [S]
        totals = np.add.reduceat(self.kneser_ney.log_probabilities(targets), first).tolist()
        unknown = np.add.reduceat(targets == UNKNOWN, first, dtype=np.int64).tolist()
        return list(map(ScoredText, (record.text for record in chunk), totals, arrays.lengths.tolist(), unknown))

    def log_prob(
        self, corpus: Corpus, *, window: int = STATIC_WINDOW, dynamic: float = 0.0, precision: str = "fp32"
    ) -> float:
        """See `UnitPredictor.log_prob`; every unit is predicted from those before it in its line.

        Args:
            corpus: the text.
            window: without effect.
            dynamic: 0.
            precision: without effect.

        Returns:
            ln p of the text, ends of lines included, in nats.

        Raises:
            SettingsError: dynamic evaluation is asked for.
        """
        if dynamic:
            raise SettingsError(f"dynamic evaluation needs a model with a network, not {self.name}")
        ids = self.input.indexer.table(corpus.types).words  # [U]
        before = np.array([self.input.end])  # [C]
        total = 0.0
        for begin in range(0, len(corpus), _TOGETHER):
            targets = ids[corpus.numbers[begin : begin + _TOGETHER]]  # [M]
            total += float(self.kneser_ney.log_probabilities(targets, before).sum())
            before = np.concatenate([before, targets])[-self.kneser_ney.order :]
        return total

    def writing(self, first: Sequence[int], pipeline: Any) -> tuple[UnitWriter, Starts]:
        """See `UnitPredictor.writing`."""
        writer = NgramWriter(self.kneser_ney)
        return writer, lambda rows: writer.begin(first, len(rows))

    # --- files ----------------------------------------------------------------------------------------------------

    def weights(self) -> dict[str, Tensor]:
        """See `Predictor.weights`; the keys of order 1 are all units."""
        found: dict[str, Any] = {}
        levels = self.kneser_ney.levels
        for order, level in enumerate(levels, 1):
            found[f"probability{order}"] = level.probability
            found |= {f"keys{order}": level.keys} if order > 1 else {}
            found |= {f"backoff{order}": level.backoff} if order < len(levels) else {}
        return {name: torch.from_numpy(array) for name, array in found.items()}

    def documents(self) -> dict[str, Any]:
        """See `Predictor.documents`."""
        return self.input.documents()

    def parameter_counts(self) -> dict[str, int]:
        """See `Predictor.parameter_counts`."""
        levels = self.kneser_ney.levels
        # Padding has no probability.
        probabilities = sum(len(level.probability) for level in levels) - 1
        return {"probabilities": probabilities, "backoffs": sum(len(level.backoff) for level in levels)}

    def description(self) -> list[str]:
        """See `Predictor.description`."""
        return [
            f"- Units: {self.input.units.kind}, {len(self.input.indexer.words) - 2:,} known",
            f"- No network: {self.name}, interpolated, modified, no cut-offs",
            f"- N-grams of order 1, 2, …: {', '.join(f'{count:,}' for count in self._counts())}",
        ]

    def _counts(self) -> list[int]:
        """How many n-grams there are of each order; padding is none."""
        return [len(level.keys) - (number == 0) for number, level in enumerate(self.kneser_ney.levels)]

    def __str__(self) -> str:
        """Its order, and how many n-grams of each order there are."""
        return f"{self.name}, {' + '.join(f'{count:,}' for count in self._counts())} n-grams"

    @classmethod
    def restore(cls, settings: Any, documents: Documents) -> NgramLanguageModel:
        """See `Predictor.restore`."""
        input = UnitInput.restore(settings, documents)
        try:
            found = _restored(documents.weights, settings.head.ngram, len(input.indexer.words), input.end)
        except ValueError as error:
            raise ModelError(f"{documents.place}: weights.safetensors: {error}") from None
        return cls(settings, input, found, documents["report.json"])


def _restored(tensors: Mapping[str, Tensor], highest: int, size: int, end: int) -> KneserNey:
    """A Kneser-Ney model from saved tensors, of order `highest` at most."""
    levels: list[Level] = []
    names: set[str] = set()

    def array(name: str, kind: type[np.generic]) -> Any:
        names.add(name)
        return _array(tensors, name, kind)

    for order in range(1, highest + 1):
        keys = array(f"keys{order}", np.int64) if order > 1 else np.arange(size)
        last = order == highest or f"keys{order + 1}" not in tensors
        backoff = np.empty(0, np.float32) if last else array(f"backoff{order}", np.float32)
        levels.append(Level(keys, array(f"probability{order}", np.float32), backoff))
        if last:
            break
    others = sorted(tensors.keys() - names)
    if others:
        raise ValueError(f"{others[0]!r:.80} is no tensor of such a model")
    return KneserNey(end, levels)


def _array(tensors: Mapping[str, Tensor], name: str, kind: type[np.generic]) -> Any:
    """A saved tensor as an array of one dimension and the expected kind of numbers."""
    tensor = tensors.get(name)
    expected = f"expected {name} of one dimension in {np.dtype(kind).name}"
    if tensor is None:
        raise ValueError(f"{expected}, found none")
    if tensor.dim() != 1 or str(tensor.dtype) != f"torch.{np.dtype(kind).name}":
        raise ValueError(f"{expected}, found {list(tensor.shape)} in {str(tensor.dtype).removeprefix('torch.')}")
    return tensor.numpy()
