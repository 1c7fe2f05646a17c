"""The translator: a text → another one, written by a decoder with attention."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch

from seqkit.config.recipes import validated
from seqkit.errors import DataError, SettingsError, shown
from seqkit.formats.plain import punctuation_is_apart
from seqkit.formats.text import read_lines
from seqkit.heads.translation.head import Translating
from seqkit.heads.translation.search import Decoding
from seqkit.heads.translation.settings import TranslateOptions, TranslateSearch
from seqkit.metrics.slots import SlotErrors
from seqkit.metrics.translation import TranslationReport, saying_scores, translation_scores
from seqkit.model.base import Evaluation, Model
from seqkit.records import Translation


class Translator(Model):
    """A translator. See `Model`; its `predict` takes the options of `TranslateOptions`."""

    input: Any
    head: Translating

    def __init__(self, settings: Any, input: Any, head: Any, network: Any, report: dict[str, Any]) -> None:
        super().__init__(settings, input, head, network, report)
        self._others: dict[str, Translator] = {}
        self._dictionaries: dict[str, dict[str, str]] = {}

    def translate(self, text: str | Mapping[str, Any], **options: Any) -> str:
        """Translate one text.

        Args:
            text: the text, or a mapping with the field that the model reads.
            **options: see `Model.predict`.

        Returns:
            The best translation.

        Raises:
            SettingsError: several were asked for, or an option does not fit.
        """
        if options.get("nbest", 1) != 1:
            raise SettingsError("translate gives the best text; predict gives the n best")
        found: Translation = next(self.predict([text], **options))
        return found.text

    def attention(self, text: str | Mapping[str, Any], written: str | None = None) -> dict[str, Any]:
        """How much each unit of a translation looks at each of its source.

        Args:
            text: the source, see `translate`.
            written: the translation; by default the one that the model finds.

        Returns:
            ``text``, the translation; ``source`` and ``target``, their units, an empty one for the end; and
            ``weights``, a row for each unit of the target.

        Raises:
            DataError: there is nothing to translate.
        """
        if written is not None and not isinstance(written, str):
            raise DataError(f"a translation must be a text, found {shown(written)}")
        record = self.record(text)
        if not self.input.lengths([record])[0]:
            raise DataError("there is nothing to translate in an empty text")
        if written is None:
            answer: Translation = next(self.predict([record], attention=True))
            assert answer.attention is not None
            return {"text": answer.text, **answer.attention}
        with torch.inference_mode():
            return {"text": written, **self.head.looked(self.decoding_of([record]), record, written)}

    def options(self, given: Mapping[str, Any]) -> TranslateOptions:
        """See `Predictor.options`; the models and the dictionary that they name are read once."""
        found = validated(TranslateOptions, given, "options")
        if found.replace_unknown and self.task.records == "frames":
            raise SettingsError("replace_unknown is for texts, and this model reads sequences of vectors")
        data: Any = self.settings.data
        if found.replace_unknown and data.min_count == 1 and not data.max_words:
            how = "train with --set data.min_count=2 or data.max_words, or with head.copy_source"
            raise SettingsError(f"replace_unknown: this model has not learned to write the unknown unit; {how}")
        if self.head.acts_read is None and "rerank" in found.changed():
            raise SettingsError("rerank is for models that read dialogue acts; leave it out")
        places = [*filter(None, map(str.strip, found.ensemble.split(",")))]
        others = [self._other(place) for place in places]
        asked = [name for name in ("coverage_penalty", "replace_unknown", "attention") if getattr(found, name)]
        unlike = [place for place, other in zip(places, others, strict=True) if not self._reads_as(other)]
        if asked and unlike:
            raise SettingsError(f"{asked[0]} needs models that read the same units, and {unlike[0]} reads others")
        return found.with_models(others, self._dictionary(found.dictionary) if found.dictionary else {})

    @property
    def reading_of_acts(self) -> Any:
        """How dialogue acts are read, to be compared; None where none are."""
        return None if self.head.acts_read is None else self.input.settings.acts

    def to(self, device: str | torch.device) -> Translator:
        """See `Predictor.to`; further models are loaded anew where they are needed."""
        self._others.clear()
        return super().to(device)

    def _reads_as(self, other: Translator) -> bool:
        """Whether another model reads a source as the same units."""
        if self.task.records == "frames" or other.task.records == "frames":
            return False
        return bool(self.input.units == other.input.units)

    def _other(self, place: str) -> Translator:
        """Another model whose probabilities can be averaged with this one's."""
        if place not in self._others:
            from seqkit.model.loading import load

            other: Translator = load(place, str(self.device), task="translate")
            alike = {
                "units": other.head.units == self.head.units,
                "vocabulary of what is written": other.head.words == self.head.words,
                "settings of the vocabulary": other.head.normalise == self.head.normalise,
                "copying": other.head.settings.head.copy_source == self.head.settings.head.copy_source,
                "unit of what is copied": not self.head.settings.head.copy_source or self._reads_as(other),
                "data.source": other.head.source_field == self.head.source_field,
                "reading of acts": other.reading_of_acts == self.reading_of_acts,
            }
            if unlike := [name for name, same in alike.items() if not same]:
                needed = "models that write together are trained on the same data, with other seeds"
                raise SettingsError(f"{place}: its {unlike[0]} differs from the first model's; {needed}")
            other.network.eval()
            self._others[place] = other
        return self._others[place]

    def _dictionary(self, place: str) -> dict[str, str]:
        """The lines of a dictionary: a unit of the source, a tab, what is written for it."""
        if place not in self._dictionaries:
            found: dict[str, str] = {}
            for number, line in read_lines(place):
                source, tab, target = line.partition("\t")
                if not tab and line.strip():
                    fault = "expected a unit of the source, a tab and its translation"
                    raise DataError(f"{fault}, found {shown(line)}", file=place, line=number)
                found.setdefault(source, target)
            self._dictionaries[place] = found
        return self._dictionaries[place]

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
        searching = {name: options[name] for name in TranslateSearch.model_fields if name in options}
        tokens = options.get("bleu_tokens", "auto")
        field = options.get("target") or self.head.field
        top = options.get("top", 1)
        if top > 1 and self.head.acts_read is None:
            raise SettingsError("top is for models that read dialogue acts; leave it out")
        began = time.perf_counter()
        report, gold, answers = self._evaluated(records, pipeline, field, scores=tokens, top=top, **searching)
        return Evaluation(report, gold, answers, seconds=time.perf_counter() - began)

    def _evaluated(
        self, records: Sequence[Any], pipeline: Any, field: str, *, scores: str, top: int = 1, **searching: Any
    ) -> tuple[TranslationReport, list[list[str]], list[Translation]]:
        gold = self.head.gold(records, target=field)
        options = self.options({**searching, "nbest": top}).for_scores(field)
        answers: list[Translation] = list((pipeline or self.pipeline())(records, options))
        report: TranslationReport = self.head.report(gold, answers)
        if scores == "auto":
            scores = "none" if punctuation_is_apart([texts[0] for texts in gold]) else "13a"
        if scores:
            named, signatures, errors = translation_scores(gold, [answer.text for answer in answers], scores)
            short = median([len(texts[0].split()) for texts in gold] or [4]) < 4
            report = replace(report, scores=named, signatures=signatures, errors=errors, short=short)
        acts = self.head.acts_read
        if acts is not None:
            slots = SlotErrors.total(acts.errors(answer.text, answer.sentence) for answer in answers)
            best = None
            if top > 1:
                several = [[one["text"] for one in answer.alternatives or []] for answer in answers]
                best = saying_scores(top, records, gold, several, acts.errors, scores)
            unknown = len(self.head.unknown_slots(records))
            report = replace(report, slots=slots, best=best, unknown_slots=unknown)
        return report, gold, answers
