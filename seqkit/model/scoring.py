"""What all language models have in common, whatever predicts the next unit: scoring lines, and sampling texts."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

import torch

from seqkit.config.recipes import validated
from seqkit.errors import DataError
from seqkit.heads.language_model.settings import DYNAMIC_WINDOW, LmEvaluation, LmSampling
from seqkit.inputs.streams import Corpus
from seqkit.inputs.units import UnitInput
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.metrics.perplexity import PerplexityReport
from seqkit.model.base import Evaluation, Predictor
from seqkit.model.pipeline import not_finite
from seqkit.model.writing import Starts, UnitWriter, written
from seqkit.records import ScoredText, Sentence, WrittenText, refuse_one

_Found = TypeVar("_Found", ScoredText, PerplexityReport)

STATIC_WINDOW = 256
"""units that are computed together where their number has no influence on the result"""


class UnitPredictor(Predictor):
    """A language model: the probability of each unit after all before it, or after some of them.

    `seqkit.model.language_model.LanguageModel` has a network, `seqkit.model.ngram_model.NgramLanguageModel` counts.
    """

    input: UnitInput

    # --- how likely a text is -------------------------------------------------------------------------------------

    @overload
    def score(self, text: str, **options: Any) -> ScoredText: ...

    @overload
    def score(self, text: Iterable[str | Sentence], **options: Any) -> Iterator[ScoredText]: ...

    def score(self, text: str | Iterable[str | Sentence], **options: Any) -> ScoredText | Iterator[ScoredText]:
        """Compute the log-probability of lines, each by itself.

        Args:
            text: one line, or any iterable of lines or records, of which no more than a chunk is read ahead.
            **options: see `Predictor.predict`.

        Returns:
            One record per line, in order; one record alone for one line.
        """
        return next(self.predict([text], **options)) if isinstance(text, str) else self.predict(text, **options)

    @abstractmethod
    def log_prob(
        self, corpus: Corpus, *, window: int = STATIC_WINDOW, dynamic: float = 0.0, precision: str = "fp32"
    ) -> float:
        """Compute the log-probability of a text as one stream.

        Args:
            corpus: the text.
            window: units that are computed together. It has no influence on the result but in dynamic evaluation.
            dynamic: the learning rate of dynamic evaluation (see `stream_log_prob`); 0 for none.
            precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``.

        Returns:
            ln p of the text, ends of lines included, in nats.
        """

    def perplexity(self, text: str | Iterable[str], *, dynamic: float = 0.0, window: int = STATIC_WINDOW) -> float:
        """The perplexity of a text as one stream; see `log_prob`.

        Args:
            text: the text, or its lines.
            dynamic: the learning rate of dynamic evaluation; 0 for none.
            window: units that are computed together.

        Returns:
            exp(−ln p / units).

        Raises:
            DataError: there is no unit in it, or it is no text.
            ModelError: the perplexity is not finite.
        """
        lines = text.removesuffix("\n").split("\n") if isinstance(text, str) else text
        refuse_one(lines, "the text")
        chosen = validated(LmEvaluation, {"dynamic": dynamic, "window": window}, "options").model_dump(
            include={"dynamic", "window"}
        )
        corpus = Corpus.read(lines, self.input.units)
        if not len(corpus):
            raise DataError("the text is empty")
        return self._finite(ScoredText("", self.log_prob(corpus, **chosen), len(corpus)), "fp32").perplexity

    def evaluate_records(
        self, records: Corpus, *, baseline: Any = None, pipeline: Any = None, **options: Any
    ) -> Evaluation:
        """See `Predictor.evaluate_records`: the perplexity of a text, read as one stream from the zero state on.

        Args:
            records: the text.
            baseline: the perplexity of a simpler model on it.
            pipeline: whose precision is used.
            **options: those of `log_prob`; the window is by default 256, and 20 in dynamic evaluation.

        Returns:
            The perplexity.

        Raises:
            ModelError: it is not finite.
        """
        corpus, dynamic = records, options.get("dynamic") or 0.0
        window = options.get("window") or (DYNAMIC_WINDOW if dynamic else STATIC_WINDOW)
        precision = getattr(pipeline, "chosen", None) or "fp32"
        log_prob = self.log_prob(corpus, window=window, dynamic=dynamic, precision=precision)
        counts = corpus.counts()
        ids = self.input.indexer.table(list(counts)).words  # [U]
        unknown = sum(count for index, count in zip(ids, counts.values(), strict=True) if index == UNKNOWN)
        kind = self.input.units.kind
        report = PerplexityReport(log_prob, len(corpus), corpus.lines, unknown, kind, baseline)
        return Evaluation(self._finite(report, precision))

    @staticmethod
    def _finite(found: _Found, precision: str) -> _Found:
        """A score of a text, whose perplexity has to be a number."""
        if not math.isfinite(found.perplexity):
            raise not_finite("the perplexity of the text", precision)
        return found

    # --- sampling -------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def sample(self, prompt: str = "", *, pipeline: Any = None, **options: Any) -> list[WrittenText]:
        """Write texts. An unknown unit is never written.

        Args:
            prompt: how every text begins.
            pipeline: keeps what texts are written with from call to call; by default a new one.
            **options: see `seqkit.heads.language_model.settings.LmSampling`.

        Returns:
            The texts; with a beam they differ, the likeliest comes first, and there may be fewer than asked for.

        Raises:
            DataError: the prompt has a unit that the model does not know.
            SettingsError: there is no such option, or it has another value.
        """
        chosen = validated(LmSampling, {"prompt": prompt, **options}, "options").model_dump()
        prompt, end = chosen.pop("prompt"), self.input.end
        writer, starts = self.writing([end, *self.input.ids_of(prompt)], pipeline)
        found = writer.write(starts, 1, end=end, ends=chosen.pop("lines"), **chosen)
        return [written(self.input, prompt, continuation) for continuation in found]

    @abstractmethod
    def writing(self, first: Sequence[int], pipeline: Any) -> tuple[UnitWriter, Starts]:
        """What writes texts, unit by unit.

        Args:
            first: the units that every text begins with, the end of the text before them first.
            pipeline: keeps what texts are written with from call to call; None for a new one.

        Returns:
            What gives the next unit's log-probabilities, and a function rows of numbers of conditions → the state and
            the last unit that as many texts begin with.
        """

    def usage(self) -> str:
        """See `Predictor.usage`."""
        return "--count 5"
