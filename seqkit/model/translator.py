"""The translator: a text → another one, written by a decoder with attention."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqkit.config.recipes import validated
from seqkit.heads.translation.head import Translating
from seqkit.heads.translation.search import Decoding
from seqkit.heads.translation.settings import TranslateOptions
from seqkit.inputs.source import SourceInput
from seqkit.metrics.translation import TranslationReport, corpus_bleu, translation_scores
from seqkit.model.base import Evaluation, Model
from seqkit.records import Translation

_SEARCHING = ("beam", "length_penalty", "coverage_penalty", "max_ratio", "replace_unknown")
"""options of prediction that evaluation has, too"""


class Translator(Model):
    """A translator. See `Model`; its `predict` takes the options of `TranslateOptions`."""

    input: SourceInput
    head: Translating

    def translate(self, text: str | Mapping[str, Any], **options: Any) -> str:
        """Translate one text.

        Args:
            text: the text, or a mapping with the field that the model reads.
            **options: see `Model.predict`.

        Returns:
            The best translation.
        """
        found: Translation = next(self.predict([text], **options))
        return found.text

    def decoding_of(self, records: Sequence[Any]) -> Decoding:
        """What decodes some records with this model, in an ensemble with others.

        Args:
            records: the records, none of them empty.

        Returns:
            It.
        """
        arrays = self.input.arrays(records)
        batch = self.input.collate(arrays, np.arange(len(records))).to(self.device)
        encoded = self.encode(batch)
        return self.head.decoding(self.head.score(encoded), encoded.lengths, records)

    def dev_report(self, records: Sequence[Any], pipeline: Any = None) -> TranslationReport:
        """See `Model.dev_report`: of texts that are written greedily, and without what no epoch is chosen by."""
        return self._evaluated(records, pipeline, self.head.field, scores="", beam=1)[0]

    def evaluate_records(
        self, records: Any, *, baseline: Any = None, pipeline: Any = None, **options: Any
    ) -> Evaluation:
        """See `Predictor.evaluate_records`."""
        searching = {name: options[name] for name in _SEARCHING if name in options}
        tokens = options.get("bleu_tokens", "auto")
        if tokens == "auto":
            data: Any = self.settings.data
            whole = data.unit == "word" and data.split_kind == "spaces"
            tokens = "none" if whole else "13a"
        field = options.get("target") or self.head.field
        began = time.perf_counter()
        report, gold, answers = self._evaluated(records, pipeline, field, scores=tokens, **searching)
        return Evaluation(report, gold, answers, seconds=time.perf_counter() - began)

    def _evaluated(
        self, records: Sequence[Any], pipeline: Any, field: str, *, scores: str, **searching: Any
    ) -> tuple[TranslationReport, list[list[str]], list[Translation]]:
        gold = self.head.gold(records, target=field)
        options = validated(TranslateOptions, searching, "options").for_scores(field)
        answers: list[Translation] = list((pipeline or self.pipeline())(records, options))
        split = self.head.units.split
        right = [[[self.head.normalise(unit) for unit in split(text)] for text in texts] for texts in gold]
        written = [split(answer.text) for answer in answers]
        exact = sum(units in texts for units, texts in zip(written, right, strict=True))
        predicted = [answer.gold or (0.0, 0, 0) for answer in answers]
        log_prob, units, unknown = (sum(each) for each in zip(*predicted, strict=True)) if answers else (0.0, 0, 0)
        texts = [answer.text for answer in answers]
        found = translation_scores(gold, texts, scores) if scores else ({}, {}, {})
        bleu = corpus_bleu(right, written)
        return TranslationReport(len(answers), int(units), log_prob, int(unknown), exact, bleu, *found), gold, answers
