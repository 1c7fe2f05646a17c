"""The transcriber: a sequence of vectors, such as a recording of speech → a text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from seqkit.corpora.dataset import Dataset
from seqkit.heads.transcription.head import Transcribing
from seqkit.heads.transcription.settings import TranscribeOptions
from seqkit.inputs.frames import FrameInput
from seqkit.metrics.transcription import transcription_report
from seqkit.model.base import Evaluation
from seqkit.model.fusion import FusedModel, fused
from seqkit.model.scoring import UnitPredictor
from seqkit.nn.ctc_search import LanguageModel
from seqkit.records import Transcription, refuse_one

_WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_BONUSES = (-1.0, 0.0, 1.0, 2.0)
"""of which the best pair is found by ``--tune``, and then a finer one around it"""


class Transcriber(FusedModel):
    """A transcriber. See `Model`; its `predict` takes the options of `TranscribeOptions`."""

    input: FrameInput
    head: Transcribing

    weighed = ("lm_weight", "length_bonus")

    def transcribe(self, given: Any, **options: Any) -> Transcription:
        """Transcribe one sequence.

        Args:
            given: an array [N, F], a list of frames, a record, or a mapping with one of them.
            **options: see `Model.predict`.

        Returns:
            The text, and what was asked for beside it.
        """
        found: Transcription = next(self.predict([given], **options))
        return found

    def posteriors(self, records: Iterable[Any], **options: Any) -> Iterator[Transcription]:
        """Transcribe, and tell how probable the blank and each symbol are at every step.

        Args:
            records: see `Model.predict`.
            **options: see `Model.predict`.

        Returns:
            An iterator over the answers, one at a time, with their `posteriors` and the times of their symbols.
        """
        refuse_one(records, "the argument of posteriors")
        chosen = self.options(options).for_picture()
        return iter(self.pipeline(ahead=1)(self._records(records), chosen))

    def over(self, model: UnitPredictor, place: str) -> LanguageModel:
        """See `FusedModel.over`: of the same units, or of words."""
        return fused(model, self.head.units, self.head.symbols, place)

    def evaluate(self, data: Any, split: str | None = None, *, pipeline: Any = None, **options: Any) -> Evaluation:
        """See `FusedModel.evaluate`; its report tells how long it took."""
        found = super().evaluate(data, split, pipeline=pipeline, **options)
        return found._replace(report=replace(found.report, seconds=found.seconds))

    def tuned(self, dataset: Dataset, given: Mapping[str, Any], pipeline: Any) -> dict[str, float]:
        """See `FusedModel.tuned`: the fewest errors in words, of several those nearest to the defaults."""
        records, _, chosen = self._read(dataset, "dev", given)
        gold = [text for (text,) in self.head.gold(records, **chosen)]
        options = self._prediction_options(chosen)
        pipeline = pipeline or self.pipeline()
        fields = TranscribeOptions.model_fields
        usual = fields["lm_weight"].default, fields["length_bonus"].default
        tried: dict[tuple[float, float], tuple[float, float]] = {}

        def search(weights: Sequence[float], bonuses: Sequence[float]) -> tuple[float, float]:
            pairs = [pair for pair in product(weights, bonuses) if pair not in tried]
            texts = [answer.tried for answer in pipeline(records, options.for_pairs(pairs))]
            for pair, found in zip(pairs, zip(*texts, strict=True), strict=True):
                report = transcription_report(gold, found)
                tried[pair] = (report.wer, report.cer)
            return min(tried, key=lambda pair: (tried[pair], abs(pair[1] - usual[1]), abs(pair[0] - usual[0]), pair))

        weight, bonus = search(_WEIGHTS, _BONUSES)
        weight, bonus = search((weight * 0.8, weight, weight * 1.2), (bonus - 0.5, bonus, bonus + 0.5))
        return {"lm_weight": weight, "length_bonus": bonus}

    def _prediction_options(self, options: Mapping[str, Any]) -> TranscribeOptions:
        """The options of prediction among those of evaluation."""
        known = ("beam", "lm", "lm_weight", "length_bonus")
        found: TranscribeOptions = self.options({name: options[name] for name in known if name in options})
        return found

    def evaluate_records(
        self, records: Any, *, baseline: Any = None, pipeline: Any = None, **options: Any
    ) -> Evaluation:
        """See `Predictor.evaluate_records`."""
        gold = self.head.gold(records, **options)
        asked = self._prediction_options(options).for_scores(options.get("target") or self.head.field)
        pipeline = pipeline or self.pipeline()
        began = time.perf_counter()
        answers = list(pipeline(records, asked))
        seconds = time.perf_counter() - began
        return Evaluation(self.head.report(gold, answers), gold, answers, seconds=seconds)
