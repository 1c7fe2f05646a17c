"""The taggers: raw text or tokens → labels and spans; sequences of vectors → labels of frames and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqkit.corpora.dataset import Dataset
from seqkit.errors import SettingsError
from seqkit.heads.tagging.frames import FrameTagging
from seqkit.heads.tagging.head import Tagging
from seqkit.heads.tagging.settings import TagOptions
from seqkit.inputs.frames import FrameInput
from seqkit.inputs.words import WordInput
from seqkit.metrics.tagging import LagReport
from seqkit.model.base import Evaluation, Model
from seqkit.model.fusion import FusedModel, over_labels
from seqkit.model.scoring import UnitPredictor
from seqkit.nn.label_search import LabelUnits
from seqkit.records import TaggedFrames, TaggedSentence

_WEIGHTS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
"""of which ``--tune`` finds the best; where that is the largest, larger ones follow, and then finer ones around it"""
_LARGEST_WEIGHT = 32.0


class _Tagger(Model):
    """What taggers of words and of frames have in common."""

    head: Any

    def evaluate_records(
        self,
        records: Any,
        *,
        baseline: Any = None,
        pipeline: Any = None,
        lag: int | None = None,
        tolerance: float | None = None,
        frame_rate: float = 0.0,
        **options: Any,
    ) -> Evaluation:
        """See `Predictor.evaluate_records`.

        Args:
            records: the records.
            baseline: of no use here.
            pipeline: what predicts; by default a new one.
            lag: score the labels that a stream gives which waits for so many further steps before each.
            tolerance: of frames: by how much both ends of a run may be off, in seconds, or in frames where these are
                not known.
            frame_rate: of frames: how many a second the arrays have; 0 for the model's.
            **options: those of evaluation.

        Returns:
            The scores, and what they are of.

        Raises:
            SettingsError: there is a lag, and the model cannot be streamed.
        """
        if lag is not None:
            self.stream(lag=lag)  # which says why, if it cannot be
        clock: dict[str, Any] = {"frame_rate": frame_rate} if frame_rate else {}
        shared = self.task.options_class().model_fields.keys() & options.keys()
        search = {name: options.pop(name) for name in shared}
        scoring = clock if tolerance is None else {"tolerance": tolerance, **clock}
        gold = self.head.gold(records, **clock, **options)
        answers = self.predicted(records, pipeline, **clock, **search)
        report = self.head.report(gold, answers, baseline, **scoring)
        if lag is None:
            return Evaluation(report, gold, answers)
        lagged = self.predicted(records, pipeline, lag=lag, **clock)
        pairs = zip(answers, lagged, strict=True)
        differing = sum(one != other for pair in pairs for one, other in zip(*map(self.head.labels, pair), strict=True))
        share = differing / max(1, report.tokens)
        about = LagReport(lag, share, report, self.task.step, self.task.record)
        found = self.head.report(gold, lagged, baseline, **scoring)
        return Evaluation(replace(found, lag=about), gold, lagged)


class Tagger(_Tagger, FusedModel):
    """A tagger: one label per token. See `Model`; its `predict` takes the options of `TagOptions`."""

    input: WordInput
    head: Tagging

    def over(self, model: UnitPredictor, place: str) -> LabelUnits:
        """See `FusedModel.over`: each label is one of its units, and they do not depend on each other."""
        if not self.head.module.independent:
            kind = "by a CRF" if self.head.module.learns_transitions else "that mark spans"
            how = "train with --no-crf" + ("" if self.head.codec.encoding == "none" else " --scheme none")
            raise SettingsError(
                f"lm: labels {kind} depend on each other, and are not searched with another model; {how}"
            )
        return over_labels(model, self.head.codec.tags.labels, place)

    def tuned(self, dataset: Dataset, given: Mapping[str, Any], pipeline: Any) -> dict[str, float]:
        """See `FusedModel.tuned`: the best score of the weights tried, of several that nearest to the default."""
        records, _, chosen = self._read(dataset, "dev", given)
        usual = TagOptions.model_fields["lm_weight"].default
        tried: dict[float, float] = {}

        def search(weights: Sequence[float]) -> float:
            for weight in weights:
                found = self.evaluate_records(records, pipeline=pipeline, **chosen | {"lm_weight": weight})
                tried[weight] = found.report.score
            return max(tried, key=lambda weight: (tried[weight], -abs(weight - usual), -weight))

        best = search(_WEIGHTS)
        while best == max(tried) and best < _LARGEST_WEIGHT:
            best = search([2 * best])
        return {"lm_weight": search([round(best * part, 6) for part in (0.7, 0.85, 1.2, 1.4)])}

    def tag(
        self, text: str | Sequence[str] | Mapping[str, Any], *, probs: bool = False, nbest: int = 1
    ) -> TaggedSentence:
        """Tag one sentence.

        Args:
            text: raw text, which the model's splitter splits, a list of tokens, or a mapping with either.
            probs: also give the probability of every token's label, its marginal, and of every span, that of exactly
                its tokens carrying exactly its label.
            nbest: also give so many best label sequences, with their probabilities.

        Returns:
            The sentence with its labels and spans; ``text[start:end]`` is each token and each span.

        Raises:
            DataError: it is something else, or the list holds several texts.
        """
        self._refuse_texts(text, "tag")
        found: TaggedSentence = next(self.predict([text], probs=probs, nbest=nbest))
        return found


class FrameTagger(_Tagger):
    """A tagger of sequences of vectors: one label per frame. See `Model`; its `predict` takes ``probs``."""

    input: FrameInput
    head: FrameTagging

    def tag(self, frames: Any, *, probs: bool = False) -> TaggedFrames:
        """Tag one sequence.

        Args:
            frames: an array or list of frames [N, F], a record, or a mapping with one of them.
            probs: also give the probability of every frame's label, its marginal, and the mean of it for every run.

        Returns:
            The sequence with its labels and runs.

        Raises:
            DataError: it is something else.
        """
        found: TaggedFrames = next(self.predict([frames], probs=probs))
        return found
