"""The generator as one artefact: what a text is to be about → the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import BATCH_TOKENS, GenerateSettings, Settings
from seqkit.devices import precision_context
from seqkit.errors import DataError
from seqkit.heads.generation.acrostic import Acrostic
from seqkit.heads.generation.module import IGNORED, GenerationHead
from seqkit.inputs.arrays import Indexer, TokenArrays
from seqkit.inputs.batching import length_batches
from seqkit.inputs.conditions import ConditionCodec, Value, parse_fields
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.units import Units
from seqkit.model.base import Documents, Model
from seqkit.model.build import build_indexer, given_table, indexer_documents, restore_indexer, type_batch
from seqkit.model.generation import (
    END,
    build_generation_network,
    condition_units,
    make_units,
    record_sentence,
    target_text,
)
from seqkit.model.memory import BatchTokens, fitted
from seqkit.model.restoring import restored_network, saved_size
from seqkit.model.writing import Writer, known_numbers
from seqkit.nn.condition import ConditionInput, TextUnits
from seqkit.nn.device import to_device
from seqkit.nn.embedding import TypeBatch
from seqkit.nn.network import Network
from seqkit.nn.search import Continuation, SearchState
from seqkit.records import ScoredText, Sentence, WrittenText

__all__ = ["LENGTH", "GenerationBatch", "Generator"]

LENGTH = 500
"""units of a generated text at most, unless said otherwise"""

Conditions = Mapping[str, Any]
Encoded = tuple[Value, ...]


class GenerationBatch(NamedTuple):
    """The numbers of some texts: what the decoder reads and what it is to write.

    Attributes:
        positions: the unit before each step as a position among `types`, int64 [B, T].
        targets: the right unit of each step, int64 [B, T], `IGNORED` past a text's end.
        lengths: steps of each text, its end included, int64 [B], on the CPU.
        types: the batch's distinct units.
        condition: what each field says.
    """

    positions: Tensor
    targets: Tensor
    lengths: Tensor
    types: TypeBatch
    condition: ConditionInput


class Generator(Model):
    """Writes texts from conditions. Build one with `Generator.build`, read one with `seqkit.load`.

    Args:
        settings: the settings it was built with.
        units: text ↔ units.
        indexer: units → numbers.
        codec: what a text is generated from ↔ numbers.
        network: the trainable whole.
        report: scores, data and versions, as in ``report.json``.
    """

    task: ClassVar[str] = "generate"
    settings: GenerateSettings

    def __init__(
        self,
        settings: GenerateSettings,
        units: Units,
        indexer: Indexer,
        codec: ConditionCodec,
        network: Network,
        report: dict[str, Any],
    ) -> None:
        super().__init__(settings, network, report)
        self.units = units
        self.indexer = indexer
        self.codec = codec
        self.end = indexer.words.index(indexer.normalise(END))

    @classmethod
    def build(
        cls,
        settings: GenerateSettings,
        sentences: Sequence[Sentence],
        vectors: Vectors | None = None,
        start: Model | None = None,
    ) -> Generator:
        """Make an untrained model for some training data.

        Args:
            settings: what to build.
            sentences: the training texts with their fields, of which the vocabularies are made.
            vectors: given vectors of units.
            start: a model whose vocabularies come first.

        Returns:
            The model, initialised from torch's random generator.

        Raises:
            DataError: there is nothing to learn, or a field of the condition is missing.
            SettingsError: settings do not fit each other.
        """
        data = settings.data
        texts = [target_text(sentence, data.target) for sentence in sentences]
        units = make_units(settings, texts, start)
        counts: Counter[str] = Counter(unit for text in texts for unit in units.split(text))
        if not counts:
            raise DataError(f"expected texts as {data.target!r} to learn from, found only empty ones")
        kept = {unit: max(data.min_count, counts[unit]) for unit in units.inventory()}
        # No limit on the vocabulary may leave the end of a text out.
        indexer = build_indexer(data, {**counts, **kept, END: counts.total() + data.min_count}, vectors, start)
        asked = [] if data.condition == "none" else parse_fields(data.condition)
        codec = ConditionCodec.build(sentences, asked, condition_units(units).split)
        network = build_generation_network(settings, indexer, codec, given_table(vectors, start))
        return cls(settings, units, indexer, codec, network, {})

    @property
    def head(self) -> GenerationHead:
        """The network's head."""
        head = self.network.head
        assert isinstance(head, GenerationHead)
        return head

    @property
    def table(self) -> Tensor | None:
        """The table that embedding and output share, [V, E], if they do."""
        return self.network.embedding.table if self.settings.head.tied else None

    # --- numbers -----------------------------------------------------------------------------------------------

    def arrays(self, texts: Sequence[str]) -> TokenArrays:
        """Texts as arrays of units, each with the end in front of it, which is fed first."""
        return self.indexer([[END, *self.units.split(text)] for text in texts])

    def condition(self, encoded: Sequence[Encoded]) -> ConditionInput:
        """What the condition's fields say of B texts, as tensors.

        Args:
            encoded: what the codec's `encode` gave for each.

        Returns:
            One input a field, on the model's device.
        """
        parts: list[Tensor | TextUnits] = []
        for batch in self.codec.batch(encoded):
            values = to_device(torch.from_numpy(batch.values), self.device)
            parts.append(values if batch.lengths is None else TextUnits(values, torch.from_numpy(batch.lengths)))
        return tuple(parts)

    def batch(self, arrays: TokenArrays, rows: NDArray[np.int64], encoded: Sequence[Encoded]) -> GenerationBatch:
        """The numbers of some texts.

        Args:
            arrays: what `arrays` gave for all texts.
            rows: numbers of texts, [B].
            encoded: what the codec's `encode` gave for all texts.

        Returns:
            The batch, on the model's device.
        """
        tokens = arrays.batch(rows)
        words = torch.from_numpy(arrays.table.words[tokens.types][tokens.index])  # [B, T]
        lengths = torch.from_numpy(tokens.lengths)  # [B]
        steps = torch.arange(words.shape[1])  # [T]
        targets = words.roll(-1, 1)  # [B, T]
        targets[steps == (lengths - 1).unsqueeze(1)] = self.end
        targets[steps >= lengths.unsqueeze(1)] = IGNORED
        return GenerationBatch(
            to_device(torch.from_numpy(tokens.index), self.device),
            to_device(targets, self.device),
            lengths,
            type_batch(arrays.table, tokens.types).to(self.device),
            self.condition([encoded[row] for row in rows]),
        )

    def outputs(self, batch: GenerationBatch) -> Tensor:
        """The decoder's outputs with the right units before each step, [B, T, D]."""
        beginning = self.head.begin(batch.condition, len(batch.positions))
        features = None
        if beginning.features is not None:
            features = beginning.features.unsqueeze(1).expand(-1, batch.positions.shape[1], -1)  # [B, T, C]
        output = self.network(batch.types, batch.positions, batch.lengths, features=features, state=beginning.state)
        outputs: Tensor = output.outputs
        return outputs

    # --- use ---------------------------------------------------------------------------------------------------

    def log_probs(
        self, sentences: Sequence[Sentence], *, batch_tokens: int | BatchTokens = BATCH_TOKENS, precision: str = "fp32"
    ) -> list[tuple[float, int]]:
        """How likely the model finds texts, each under its condition.

        Args:
            sentences: records with the texts and the fields of the condition.
            batch_tokens: units a batch; a longer text is a batch of its own. Halved where memory does not suffice.
            precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``.

        Returns:
            Of each text ln p in nats, and how many units that is of, the end included in both.

        Raises:
            DataError: a field is missing or cannot be used.
        """
        lines = [self._line(sentence) for sentence in sentences]
        score = partial(self._log_probs, precision=precision)
        return [found for _, found in fitted(lines, BatchTokens.of(batch_tokens), score)]

    def _line(self, sentence: Sentence) -> Sentence:
        """A record with what the decoder reads of its text as tokens."""
        text = target_text(sentence, self.settings.data.target)
        return replace(sentence, text=text, tokens=[END, *self.units.split(text)], offsets=[])

    def _log_probs(self, lines: Sequence[Sentence], batch_tokens: int, precision: str) -> list[tuple[float, int]]:
        arrays = self.indexer([line.tokens for line in lines])
        encoded = [self.codec.encode(line.fields, line.file, line.line) for line in lines]
        found: list[tuple[float, int]] = [(0.0, 0)] * len(lines)
        self.network.eval()
        with torch.inference_mode(), precision_context(precision, self.device):
            for rows in length_batches(arrays.lengths, batch_tokens):
                batch = self.batch(arrays, rows, encoded)
                scores = self.head.target_log_probabilities(self.outputs(batch), batch.targets, self.table)  # [B, T]
                totals = scores.double().sum(1).tolist()
                for row, total, units in zip(rows, totals, batch.lengths.tolist(), strict=True):
                    found[row] = (total, units)
        return found

    def perplexity(self, records: Sequence[Conditions]) -> float:
        """The perplexity a unit of texts under their conditions.

        Args:
            records: mappings with the text, under the field that the model learned it from, and the condition.

        Returns:
            exp of the mean −ln p a unit, ends of texts included.

        Raises:
            DataError: a field is missing or cannot be used.
        """
        scored = self.log_probs([record_sentence(record) for record in records])
        total, units = (sum(column) for column in zip(*scored, strict=True)) if scored else (0.0, 0)
        return ScoredText("", total, units).perplexity

    @torch.inference_mode()
    def generate(
        self,
        conditions: Conditions | Sequence[Conditions] | None = None,
        *,
        count: int = 1,
        prompt: str = "",
        length: int = LENGTH,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        beam: int = 0,
        length_penalty: float = 1.0,
        acrostic: str = "",
        seed: int | None = None,
    ) -> list[WrittenText]:
        """Write texts. An unknown unit is never written.

        Args:
            conditions: field → value of a condition, or several such.
            count: how many texts for each condition.
            prompt: how every text begins.
            length: how many units are added at most, the end included.
            temperature: below 1 likely units become likelier, above 1 less so; 0 always takes the likeliest.
            top_k: only the `top_k` likeliest units are drawn from; 0 for all.
            top_p: only the likeliest units that together have this probability are drawn from.
            beam: search for the likeliest texts with a beam of this width, or of `count` where that is more, instead of
                drawing; 0 for drawing.
            length_penalty: what a beam finds is ranked by ln p / units to the power of this; 0 for ln p itself, which
                prefers short texts.
            acrostic: characters that the lines begin with, one each (see `seqkit.heads.generation.acrostic.LINE_ENDS`).
            seed: the same seed gives the same texts; None for other ones each time.

        Returns:
            The texts of one condition after those of the other; with a beam those of each differ, the best comes
            first, and there may be fewer than asked for.

        Raises:
            DataError: a condition, the prompt or the acrostic cannot be used.
            SettingsError: a number is outside its range.
        """
        given = [conditions or {}] if conditions is None or isinstance(conditions, Mapping) else conditions
        odd = next((one for one in given if not isinstance(one, Mapping)), None)
        if odd is not None:
            raise DataError(f"expected conditions as field → value, found {odd!r:.80}")
        encoded = [self.codec.encode(one) for one in given]
        self.network.eval()
        writer = Writer(self.network, self.indexer, lambda outputs: self.head.log_probabilities(outputs, self.table))
        start = [self.end, *self._prompt(prompt)]
        found = writer.write(
            lambda rows: self._begin(writer, [encoded[row] for row in rows], start),
            len(encoded),
            count=count,
            beam=beam,
            length_penalty=length_penalty,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            end=self.end,
            length=length,
            allowed=self._acrostic(acrostic, prompt, length, writer) if acrostic else writer.allowed,
        )
        return [self._written(prompt, continuation) for continuation in found]

    def _begin(self, writer: Writer, encoded: Sequence[Encoded], start: Sequence[int]) -> tuple[SearchState, Tensor]:
        beginning = self.head.begin(self.condition(encoded), len(encoded))
        return writer.begin(start, beginning.state, beginning.features)

    def _prompt(self, prompt: str) -> list[int]:
        """The numbers of a prompt's units."""
        return known_numbers(self.indexer, self.units.split(prompt), self.units.kind)

    def _acrostic(self, characters: str, prompt: str, length: int, writer: Writer) -> Acrostic:
        if prompt:
            raise DataError("expected either a prompt or an acrostic, found both")
        if self.units.kind == "bpe":
            raise DataError("expected a model of characters or words for an acrostic, found one of byte pairs")
        return Acrostic(characters, self.indexer.words, self.end, length, writer.writable)

    def _written(self, prompt: str, found: Continuation) -> WrittenText:
        units = [self.indexer.words[token] for token in found.tokens]
        apart = prompt and not prompt[-1].isspace() and units
        text = prompt + (self.units.separator if apart else "") + self.units.join(units)
        return WrittenText(text, found.log_prob, len(units) + found.ended, found.ended)

    # --- files -------------------------------------------------------------------------------------------------

    def documents(self) -> dict[str, Any]:
        """See `Model.documents`."""
        rest = {"units.json": self.units.to_json(), "conditions.json": self.codec.to_json()}
        return {**indexer_documents(self.indexer), **rest}

    def description(self) -> list[str]:
        """See `Model.description`."""
        given = " ".join(f"--condition {field.name}=…" for field in self.codec.fields)
        usage = f"seqkit generate sample -m THIS_FOLDER {given}".rstrip()
        lines = [f"- From {line}" for line in self.codec.describe()]
        return ["```sh", usage, "```", "", *lines, f"- Writes: `{self.settings.data.target}`, unit {self.units.kind}"]

    @classmethod
    def restore(cls, settings: Settings, documents: Documents, weights: Mapping[str, Tensor]) -> Generator:
        """See `Model.restore`."""
        assert isinstance(settings, GenerateSettings)
        indexer = restore_indexer(settings.data, documents)
        units = Units.from_json(documents["units.json"])
        codec = ConditionCodec.from_json(documents["conditions.json"], condition_units(units).split)
        table = saved_size(weights, "embedding.vectors")
        network = restored_network(
            lambda: build_generation_network(settings, indexer, codec, table), weights, documents.place
        )
        return cls(settings, units, indexer, codec, network, documents["report.json"])
