"""The generator: what a text is to be about → the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seqkit.config.recipes import validated
from seqkit.errors import DataError, SettingsError, shown
from seqkit.heads.generation.acrostic import Acrostic
from seqkit.heads.generation.head import Generation
from seqkit.heads.generation.settings import GenerateEvaluation
from seqkit.heads.generation.verse import line_lengths
from seqkit.inputs.units import UnitInput, target_text
from seqkit.metrics.generation import GenerationReport
from seqkit.metrics.slots import SayingScores
from seqkit.metrics.translation import saying_scores
from seqkit.model.base import Evaluation, Model
from seqkit.model.writing import NetworkWriter, written
from seqkit.nn.search import Allowed, SearchState
from seqkit.records import ScoredText, Sentence, TextRecord, WrittenText

Conditions = Mapping[str, Any]


class Generator(Model):
    """Writes texts from conditions. See `Model`."""

    input: UnitInput
    head: Generation

    def log_probs(self, records: Sequence[Any], **options: Any) -> list[tuple[float, int]]:
        """Compute the log-probability of texts, each under its condition.

        Args:
            records: records, or mappings, with the text and the fields of the condition.
            **options: see `Predictor.predict`.

        Returns:
            Of each text ln p in nats, and of how many units, the end included in both.

        Raises:
            DataError: a field is missing or cannot be used.
        """
        return [(found.log_prob, found.units) for found in self.predict(records, **options)]

    def perplexity(self, records: Sequence[Conditions]) -> float:
        """The perplexity per unit of texts under their conditions.

        Args:
            records: mappings with the text, under the field that the model learned it from, and the condition.

        Returns:
            exp of the mean −ln p per unit, ends of texts included.

        Raises:
            DataError: a field is missing or cannot be used.
        """
        scored = self.log_probs(records)
        total, units = (sum(column) for column in zip(*scored, strict=True)) if scored else (0.0, 0)
        return ScoredText("", total, int(units)).perplexity

    @torch.inference_mode()
    def generate(
        self,
        conditions: Conditions | Sequence[Conditions | TextRecord | Sentence] | None = None,
        *,
        allowed: Callable[[int], Allowed] | None = None,
        pipeline: Any = None,
        **options: Any,
    ) -> list[WrittenText]:
        """Write texts. An unknown unit is never written.

        Args:
            conditions: field → value of a condition, or several such, or records with such fields.
            allowed: the maximal length → which units may come next; by default any, or those of an acrostic. Not with
                a prompt.
            pipeline: keeps what texts are written with from call to call; by default a new one.
            **options: see `seqkit.heads.generation.settings.GenerateOptions`; ``count`` is of each condition.

        Returns:
            The texts of one condition after those of the other; with a beam those of each differ, the best comes
            first, and there may be fewer than asked for.

        Raises:
            DataError: a condition or the prompt cannot be used.
            SettingsError: there is no such option, or it has another value.
        """
        several = isinstance(conditions, Iterable) and not isinstance(conditions, Mapping)
        given: list[Any] = list(conditions) if several else [{} if conditions is None else conditions]  # type: ignore[arg-type]
        return [text for texts in self._written(given, allowed, pipeline, options) for text in texts]

    def _written(
        self,
        given: Sequence[Conditions | TextRecord | Sentence],
        allowed: Callable[[int], Allowed] | None,
        pipeline: Any,
        options: Mapping[str, Any],
    ) -> list[list[WrittenText]]:
        """The texts of each condition; see `generate`."""
        asked = self.options(options)
        self._refuse_of_acts(asked)
        chosen = asked.model_dump()
        odd = [one for one in given if not isinstance(one, Mapping | TextRecord | Sentence)]
        if odd:
            raise DataError(f"expected conditions as a mapping field → value, found {odd[0]!r:.80}")
        records = [TextRecord("", dict(one)) if isinstance(one, Mapping) else one for one in given]
        codes = self.head.conditions(records)
        prompt, initials, rerank = chosen.pop("prompt"), chosen.pop("acrostic"), chosen.pop("rerank")
        if initials:
            allowed = self.acrostic(initials)
        if prompt and allowed is not None:
            raise DataError("prompt and allowed exclude each other: an acrostic is about the whole text")
        end = self.input.end
        first = [end, *self.input.ids_of(prompt)]
        pipeline = pipeline or self.pipeline()
        pipeline.warn(self.unusual(records))
        writer = NetworkWriter.of(pipeline)

        def starts(rows: Sequence[int]) -> tuple[SearchState, Tensor]:
            start = self.head.start(codes.collate(rows), len(rows))  # type: ignore[arg-type]
            assert start.state is not None
            return writer.begin(first, start.state, start.features, start.memory)

        permitted = None if allowed is None else allowed(chosen["length"])
        acts, count = self.input.acts, chosen["count"]
        common = {"end": end, "allowed": permitted, **chosen}
        if chosen["beam"]:  # which may find fewer texts of one condition than of another
            common["count"] = count if acts is None else max(count, chosen["beam"])
            found = [writer.write(lambda rows, row=row: starts([row]), 1, **common) for row in range(len(records))]
        else:
            drawn = writer.write(starts, len(records), **common)
            found = [drawn[first : first + count] for first in range(0, len(drawn), count)]
        texts = [[written(self.input, prompt, one) for one in several] for several in found]
        if acts is not None:
            for record, own in zip(records, texts, strict=True):
                if rerank == "slots":
                    own.sort(key=lambda text, record=record: acts.errors(text.text, record).errors)  # type: ignore[misc]
                own[:] = [replace(text, text=acts.lexicalise(text.text, record)) for text in own[:count]]
        return texts

    def _refuse_of_acts(self, options: Any) -> None:
        """Refuse options of dialogue acts where none are read."""
        asked = [name for name in ("rerank", "top") if name in options.changed()]
        if asked and self.input.acts is None:
            raise SettingsError(f"{asked[0]} is for models that read dialogue acts; leave it out")

    def acrostic(self, characters: str) -> Callable[[int], Allowed]:
        """Which units may come next in poems whose lines begin with given characters, for `generate`.

        Args:
            characters: one per line.

        Returns:
            The maximal length of a poem → what `generate` takes as ``allowed``.

        Raises:
            DataError: the units are byte pairs, or see `Acrostic`.
        """
        if self.input.units.kind == "bpe":
            raise DataError("an acrostic needs a model of characters or words, not of byte pairs")
        words = self.input.indexer.words
        writable = torch.arange(len(words)) > 1  # [V]
        return lambda length: Acrostic(characters, words, self.input.end, length, writable)

    def dev_report(self, records: Sequence[Any], pipeline: Any = None) -> Any:
        """See `Model.dev_report`: nothing is written for it."""
        return self.head.report([], self.predicted(records, pipeline))

    def evaluate_records(
        self, records: Any, *, baseline: Any = None, pipeline: Any = None, **options: Any
    ) -> Evaluation:
        """See `Predictor.evaluate_records`; also how what it writes compares with the texts.

        Args:
            records: the texts with their fields.
            baseline: none.
            pipeline: what predicts; by default a new one.
            **options: see `seqkit.heads.generation.settings.GenerateEvaluation`.

        Returns:
            The scores.
        """
        chosen = validated(GenerateEvaluation, options, "options")
        self._refuse_of_acts(chosen)
        prediction = self.predicted(records, pipeline)
        units = [self.input.units.split(target_text(record, self.input.field)) for record in records]
        right = [self.input.units.join(map(self.input.indexer.normalise, row)) for row in units]
        # What is longer than all right texts is wrong, however long it goes on.
        length = max(map(len, units), default=0) + 2
        how: dict[str, Any] = {"temperature": 0.0}
        if chosen.beam:
            how = {"beam": chosen.beam, "length_penalty": chosen.length_penalty, "count": chosen.top}
        found = self._written(records, None, pipeline, {**how, "length": length, "rerank": chosen.rerank})
        texts = [several[0] for several in found]
        acts, gold, scores = self.input.acts, [[text] for text in right], list[SayingScores]()
        if acts is not None:
            gold = acts.references(records, gold)
            several = [[text.text for text in own] for own in found]
            data: Any = self.settings.data
            cut = "none" if data.unit == "word" and data.split_kind == "spaces" else "13a"
            scores = [saying_scores(top, records, gold, several, acts.errors, cut) for top in sorted({1, chosen.top})]
        pairs = list(zip(right, texts, strict=True))
        alike = sum(text.ended and line_lengths(text.text) == line_lengths(wanted) for wanted, text in pairs)
        report = GenerationReport(
            self.head.report([], prediction),
            exact=sum(text.ended and text.text in wanted for wanted, text in zip(gold, texts, strict=True)),
            alike=alike if any(len(line_lengths(text)) > 1 for text in right) else None,
            ended=sum(text.ended for text in texts),
            beam=chosen.beam,
            saying=tuple(scores),
            unknown_slots=None if acts is None else len(self.head.unknown_slots(records)),
        )
        return Evaluation(report, answers=texts)

    def answer(self, request: Mapping[str, Any], pipeline: Any = None) -> dict[str, Any]:
        """See `Predictor.answer`: what to write from, and options of `generate` beside it; the texts written.

        Args:
            request: ``{"condition": {field: value, …}}``, or the fields themselves where none is called as an option
                is, or ``{"conditions": […]}`` for several; and option → value.
            pipeline: keeps what texts are written with; by default a new one.

        Returns:
            One text as a JSON object, or ``{"answers": […]}`` for several conditions or where ``count`` was given.

        Raises:
            SeqkitError: the request cannot be answered.
            SettingsError: it is no JSON object.
        """
        if not isinstance(request, Mapping):
            raise SettingsError(f"a request is a JSON object, found {shown(request)}")
        options = dict(request)
        one, several = options.pop("condition", None), options.pop("conditions", None)
        if one is several is None:
            one = {field.name: options.pop(field.name) for field in self.head.codec.fields if field.name in options}
        if not (isinstance(one, Mapping) if several is None else isinstance(several, list) and one is None):
            raise SettingsError("a request has a 'condition', an object, or 'conditions', a list of objects")
        chosen = self.options(options).model_dump()  # no other keyword of `generate` can be asked for
        texts = [found.to_json() for found in self.generate(one or several, pipeline=pipeline, **chosen)]
        return {"answers": texts} if "conditions" in request or "count" in options else texts[0]
