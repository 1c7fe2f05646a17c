"""The generator: what a text is to be about → the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seqkit.errors import DataError
from seqkit.heads.generation.acrostic import Acrostic
from seqkit.heads.generation.head import Generation
from seqkit.heads.generation.verse import line_lengths
from seqkit.inputs.units import UnitInput, target_text
from seqkit.metrics.generation import GenerationReport
from seqkit.model.base import Evaluation, Model
from seqkit.model.writing import NetworkWriter, written
from seqkit.nn.search import Allowed, SearchState
from seqkit.records import ScoredText, TextRecord, WrittenText

LENGTH = 500
"""default maximal length of a generated text, in units"""

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
        conditions: Conditions | Sequence[Conditions] | None = None,
        *,
        count: int = 1,
        prompt: str = "",
        length: int = LENGTH,
        length_penalty: float = 1.0,
        allowed: Callable[[int], Allowed] | None = None,
        **decoding: Any,
    ) -> list[WrittenText]:
        """Write texts. An unknown unit is never written.

        Args:
            conditions: field → value of a condition, or several such.
            count: how many texts for each condition.
            prompt: how every text begins.
            length: how many units are added at most, the end included.
            length_penalty: see `seqkit.model.writing.UnitWriter.write`.
            allowed: the maximal length → which units may come next, for example `acrostic`; by default any. Not
                with a prompt.
            **decoding: see `seqkit.model.writing.UnitWriter.write`.

        Returns:
            The texts of one condition after those of the other; with a beam those of each differ, the best comes
            first, and there may be fewer than asked for.

        Raises:
            DataError: a condition or the prompt cannot be used.
            SettingsError: a number is outside its range.
        """
        given = [conditions or {}] if conditions is None or isinstance(conditions, Mapping) else conditions
        odd = next((one for one in given if not isinstance(one, Mapping)), None)
        if odd is not None:
            raise DataError(f"expected conditions as a mapping field → value, found {odd!r:.80}")
        codes = self.head.conditions([TextRecord("", dict(one)) for one in given])
        if prompt and allowed is not None:
            raise DataError("prompt and allowed exclude each other: an acrostic is about the whole text")
        end = self.input.end
        first = [end, *self.input.ids_of(prompt)]
        self.network.eval()
        writer = NetworkWriter(self)

        def starts(rows: Sequence[int]) -> tuple[SearchState, Tensor]:
            start = self.head.start(codes.collate(rows), len(rows))  # type: ignore[arg-type]
            assert start.state is not None
            return writer.begin(first, start.state, start.features)

        found = writer.write(
            starts,
            len(given),
            count=count,
            length_penalty=length_penalty,
            end=end,
            length=length,
            allowed=None if allowed is None else allowed(length),
            **decoding,
        )
        return [written(self.input, prompt, continuation) for continuation in found]

    def sample(self, conditions: Conditions, **options: Any) -> list[WrittenText]:
        """Write texts as `generate` does, with the options of the command line.

        Args:
            conditions: field → value of a condition.
            **options: see `seqkit.heads.generation.settings.GenerateOptions`.

        Returns:
            The texts.

        Raises:
            DataError: see `generate`.
            SettingsError: there is no such option, or it has another value.
        """
        chosen = self.options(options).model_dump()
        initials = chosen.pop("acrostic")
        return self.generate(conditions, allowed=self.acrostic(initials) if initials else None, **chosen)

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

    def evaluate(self, records: Any, *, baseline: Any = None, pipeline: Any = None, **options: Any) -> Evaluation:
        """See `Model.evaluate`; also how what it writes greedily compares with the texts.

        Args:
            records: the texts with their fields.
            baseline: none.
            pipeline: what predicts; by default a new one.
            **options: none.

        Returns:
            The scores.
        """
        prediction = self.predicted(records, pipeline)
        units = [self.input.units.split(target_text(record, self.input.field)) for record in records]
        right = [self.input.units.join(map(self.input.indexer.normalise, row)) for row in units]
        # What is longer than all right texts is wrong, however long it goes on.
        length = max(map(len, units), default=0) + 2
        texts = self.generate([record.fields for record in records], temperature=0, length=length)
        pairs = list(zip(right, texts, strict=True))
        alike = sum(found.ended and line_lengths(found.text) == line_lengths(text) for text, found in pairs)
        report = GenerationReport(
            self.head.report([], prediction),
            exact=sum(found.ended and found.text == text for text, found in pairs),
            alike=alike if any(len(line_lengths(text)) > 1 for text in right) else None,
            ended=sum(found.ended for found in texts),
        )
        return Evaluation(report, answers=texts)

    def answer(self, request: Mapping[str, Any], pipeline: Any = None) -> dict[str, Any]:
        """See `Predictor.answer`: the fields of a condition, and options of `generate` beside them; the texts written.

        Args:
            request: field → value of the condition, and option → value.
            pipeline: not used.

        Returns:
            One text as a JSON object, or ``{"answers": […]}`` where ``count`` was given.
        """
        fields = {field.name for field in self.head.codec.fields}
        conditions = {name: value for name, value in request.items() if name in fields}
        options = {name: value for name, value in request.items() if name not in fields}
        texts = [found.to_json() for found in self.sample(conditions, **options)]
        return {"answers": texts} if "count" in options else texts[0]
