"""Many to many, unaligned: a text, unit by unit, that looks back at the text it is written from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.config.sections import EncoderSettings
from seqkit.errors import DataError, ModelError, SettingsError, shown
from seqkit.formats.dialogue_act import parse_act
from seqkit.heads.base import Head, Loss, StepTargets
from seqkit.heads.translation.search import Decoding, rounded, translated
from seqkit.heads.translation.settings import TranslateOptions
from seqkit.inputs.arrays import Integers
from seqkit.inputs.base import Documents, Sources
from seqkit.inputs.building import build_encoder
from seqkit.inputs.segmentation import Units
from seqkit.inputs.source import source_text, target_texts
from seqkit.inputs.units import UNIT_NAMES, make_units
from seqkit.inputs.vocabulary import PAD, UNKNOWN, Normaliser, Vocabulary
from seqkit.metrics.translation import TranslationReport, corpus_bleu
from seqkit.nn.attention import Attention
from seqkit.nn.decoder import Decoder
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.sequences import to_device
from seqkit.nn.softmax import IGNORED
from seqkit.records import Translation

_LOOKED_AT = 1_000
"""records by which it is judged how texts are written"""
_SHOWN = 60
"""characters of a text in a note"""
_GREATEST_RATIO = 1e6
"""units that a text has for each of its source at most, which a damaged file must not make endless"""


class TargetBatch(NamedTuple):
    """The texts to be written of a batch.

    Units and copies stay on the CPU, where they are counted, and the decoder moves what it computes with: to read a
    number from a GPU would make every step wait for it.

    Attributes:
        units: the units of each, with its end, int64 [B, L], `IGNORED` past it.
        copies: what each step of the source would be copied as, int64 [B, T]; None without copying.
        acts: dialogue acts as ones and zeros, [B, F], where the decoder is given them.
    """

    units: Tensor
    copies: Tensor | None = None
    acts: Tensor | None = None

    def to(self, device: torch.device) -> TargetBatch:
        """The same with the acts on a device."""
        return self._replace(acts=None if self.acts is None else to_device(self.acts, device))


class TextTargets:
    """The texts to be written.

    Args:
        rows: the ids of each text's units, the end included.
        copies: the ids of what each step of the sources would be copied as; None without copying.
        acts: dialogue acts as ones and zeros, [S, F], where the decoder is given them.

    Attributes:
        written: units of each text, int64 [S], by which batches are made, too.
    """

    def __init__(
        self, rows: Sequence[Sequence[int]], copies: Sequence[Sequence[int]] | None = None, acts: Tensor | None = None
    ) -> None:
        self._units = StepTargets(rows)
        self._copies = None if copies is None else StepTargets(copies)
        self._acts = acts
        self.written: Integers = self._units.rows.lengths

    def collate(self, rows: Integers) -> TargetBatch:
        """See `Targets.collate`."""
        copies = None if self._copies is None else self._copies.collate(rows).clamp_(min=PAD)  # [B, T]
        acts = None if self._acts is None else self._acts[torch.from_numpy(rows)]  # [B, F]
        return TargetBatch(self._units.collate(rows), copies, acts)


class Translating(Head):
    """A text for every source.

    Args:
        settings: the settings of the model.
        input: what the network reads.
        units: text ↔ units that are written.
        words: unit ↔ id.
        ratio: the most units that a text of the training data has for each of its source.
    """

    scores_steps = True
    parts = "units"
    module: Decoder

    def __init__(self, settings: Any, input: Any, units: Units, words: Vocabulary, ratio: float) -> None:
        self.settings = settings
        self.input = input
        self.units = units
        self.words = words
        self.ratio = ratio
        self.normalise = Normaliser(settings.data.lowercase, settings.data.digits)
        self.field = settings.data.target
        self.end = words.index(settings.data.end)
        self._shared: Any = None

    @classmethod
    def build(cls, settings: Any, records: Sequence[Any], input: Any) -> Translating:
        """See `Head.build`."""
        data = settings.data
        texts = [cls.texts_of(input, record, data.target)[0] for record in records]
        units = input.units if data.shared else make_units(data, texts, Sources())
        normalise = Normaliser(data.lowercase, data.digits)
        split = [units.split(text) for text in texts]
        counts = Counter(normalise(unit) for row in split for unit in row)
        if not counts:
            raise DataError(f"all texts in field {data.target!r} of the training data are empty")
        kept = {unit: max(data.min_count, counts.get(unit, 0)) for unit in units.inventory()}
        kept[data.end] = counts.total() + data.min_count
        words = (
            input.indexer.words
            if data.shared
            else Vocabulary.build(counts | kept, data.min_count, data.max_words or None)
        )
        # Of a pair without a source nothing is learned.
        pairs = zip(split, input.lengths(records), strict=True)
        ratio = max(((len(row) + 1) / steps for row, steps in pairs if steps), default=1.0)
        return cls(settings, input, units, words, ratio)

    @classmethod
    def restore(cls, settings: Any, documents: Documents, input: Any) -> Translating:
        """See `Head.restore`."""
        tree = documents["target.json"]
        ratio: Any = tree.get("ratio") if isinstance(tree, dict) else None
        sound = type(ratio) in (int, float) and 0 < ratio <= _GREATEST_RATIO
        if not sound or set(tree) != {"units", "words", "ratio"}:
            raise ModelError(f"{documents.place}: target.json: expected units, words and ratio, found {shown(tree)}")
        words = input.indexer.words if settings.data.shared else Vocabulary.from_json(tree["words"])
        if settings.data.end not in words:
            raise ModelError(f"{documents.place}: target.json: the end of a text is missing")
        return cls(settings, input, Units.from_json(tree["units"]), words, float(ratio))

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`; a shared vocabulary is the input's."""
        words = None if self.settings.data.shared else self.words.to_json()
        return {"target.json": {"units": self.units.to_json(), "words": words, "ratio": self.ratio}}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> Decoder:
        """See `Head.make_module`."""
        head, encoding = self.settings.head, self.settings.encoder
        self._shared = inputs.embedding if self.settings.data.shared else None
        cell = encoding.cell if head.cell == "same" else head.cell
        # The cell that is given an act is none of encoders.
        given: dict[str, Any] = {"cell": cell, "act_size": len(self.input.indexer.words)} if cell == "sc_lstm" else {}
        stack = EncoderSettings(
            cell="lstm" if cell == "sc_lstm" else cell,
            hidden=head.hidden,
            layers=head.layers,
            direction="forward",
            dropout=head.dropout,
            last_dropout=0.0,
            variational=encoding.variational,
        )
        try:
            attention = Attention(
                head.hidden,
                encoder.output_size,
                kind=head.attention,
                heads=head.heads,
                window=head.window,
                coverage=head.coverage > 0,
                dropout=head.attention_dropout,
            )
        except ValueError as error:
            raise SettingsError(f"head.attention: {error}") from None
        size = Decoder.input_size(head.size, head.hidden, feeding=head.feeding)
        self.module = Decoder(
            encoder.output_size,
            encoder.forward_size,
            len(self.words),
            head.size,
            build_encoder(stack, size, **given),
            attention,
            feeding=head.feeding,
            copy=head.copy_source,
            tied=head.tied,
            shared=self.settings.data.shared,
            dropout=head.dropout,
            word_dropout=head.word_dropout,
            sampling=head.sampling,
        )
        return self.module

    # --- what is read ---------------------------------------------------------------------------------------------

    @staticmethod
    def texts_of(input: Any, record: Any, field: str) -> list[str]:
        """The right texts of a record, as they are learned."""
        found: list[str] = input.texts(record, field)
        return found

    @property
    def acts_read(self) -> Any:
        """How dialogue acts are read; None where none are."""
        return self.input.acts

    @property
    def source_field(self) -> str:
        """The field that is read."""
        return str(self.input.field)

    @property
    def source_told(self) -> str:
        """What is read, for the user."""
        data = self.settings.data
        beside = f" with {', '.join(data.factor_fields)}" if data.factor_fields else ""
        return f"{data.source} ({len(self.input.indexer.words) - 2:,} {UNIT_NAMES[data.unit_read]}){beside}"

    def source_names(self, record: Any) -> list[str]:
        """The units of a source, each as it is called by itself: what attention looks at."""
        return [*map(self.input.units.name, self.input.units_of([record])[0])]

    @property
    def table(self) -> Tensor | None:
        """The units' vectors, [V, E], where the input has them, too."""
        return None if self._shared is None else self._shared.table

    # --- training -------------------------------------------------------------------------------------------------

    def targets(self, records: Sequence[Any]) -> TextTargets:
        """See `Head.targets`."""
        texts = [self.texts_of(self.input, record, self.field)[0] for record in records]
        copies = self.copies(records) if self.settings.head.copy_source else None
        extra = [{}] * len(records) if copies is None else [spelled for _, spelled in copies]
        rows = [self.ids(text, known) for text, known in zip(texts, extra, strict=True)]
        return TextTargets(rows, None if copies is None else [ids for ids, _ in copies], self.acts(records))

    def acts(self, records: Sequence[Any]) -> Tensor | None:
        """Dialogue acts as the decoder is given them.

        Args:
            records: the records.

        Returns:
            A one for each unit that is read of an act, float32 [B, F]; None where the decoder is given none.
        """
        if self.settings.head.cell != "sc_lstm":
            return None
        words = self.input.indexer.words
        found = torch.zeros(len(records), len(words))  # [B, F]
        for row, units in enumerate(self.input.units_of(records)):
            found[row, words.indices([*map(self.input.indexer.normalise, units)])] = 1.0
        found[:, UNKNOWN] = 0.0  # of which nothing was learned
        return found

    def ids(self, text: str, extra: dict[str, int]) -> list[int]:
        """The ids of a text's units and of its end.

        Args:
            text: the text.
            extra: the ids of units that the vocabulary lacks and that can be copied.

        Returns:
            The ids.
        """
        units = [self.normalise(unit) for unit in self.units.split(text)]
        found = self.words.indices(units)
        return [extra.get(unit, UNKNOWN) if id == UNKNOWN else id for unit, id in zip(units, found, strict=True)] + [
            self.end
        ]

    def copies(self, records: Sequence[Any]) -> list[tuple[list[int], dict[str, int]]]:
        """What the units of sources are as units that are written.

        Args:
            records: the records.

        Returns:
            Of each record an id a unit, from V on of those that the vocabulary lacks, and the ids of these.
        """
        found: list[tuple[list[int], dict[str, int]]] = []
        for source in self.input.units_of(records):
            extra: dict[str, int] = {}
            row: list[int] = []
            for unit in map(self.normalise, source):
                id = self.words.index(unit)
                row.append(extra.setdefault(unit, len(self.words) + len(extra)) if id == UNKNOWN else id)
            found.append((row, extra))
        return found

    def loss(self, encoded: Encoded, targets: TargetBatch) -> Loss:
        """See `Head.loss`; the units are those of the texts, ends included."""
        head = self.settings.head
        source = self.module.read(encoded.outputs, encoded.lengths, targets.copies, targets.acts)
        steps = self.module.steps(source, self.module.before(targets.units, self.end), self.table)
        total = self.module.nats(source, steps, targets.units, self.table, head.smoothing)
        if head.coverage:
            total = total + head.coverage * self.module.coverage_loss(steps, targets.units)
        if steps.acts is not None:
            total = total + head.reading * self.module.reading_loss(steps, targets.units)
        units = int((targets.units != IGNORED).sum())
        return Loss(total / units, units)

    # --- decoding -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def score(self, encoded: Encoded) -> Tensor:
        """See `Head.score`: the encoder's outputs, which a search looks at, [B, T, D]."""
        return encoded.outputs.float()

    def decode(
        self, scores: Tensor, lengths: Tensor, records: Sequence[Any], options: TranslateOptions
    ) -> list[Translation]:
        """See `Head.decode`."""
        return translated(self, scores, lengths, records, options)

    def decoding(self, outputs: Tensor, lengths: Tensor, records: Sequence[Any]) -> Decoding:
        """What decodes some records.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: their steps, int64 [B], on the CPU.
            records: the records.

        Returns:
            It.
        """
        copies = spelled = None
        if self.settings.head.copy_source:
            found = self.copies(records)
            copies = StepTargets([row for row, _ in found]).collate(np.arange(len(found))).clamp_(min=PAD)  # [B, T]
            spelled = [{id: unit for unit, id in extra.items()} for _, extra in found]
        acts = self.acts(records)
        acts = None if acts is None else to_device(acts, outputs.device)  # [B, F]
        return Decoding(self.module, self.module.read(outputs, lengths, copies, acts), self.table, spelled)

    def looked(self, decoding: Decoding, record: Any, text: str) -> dict[str, Any]:
        """How much each unit of a given text looks at each of its source.

        Args:
            decoding: what decodes the record.
            record: the source.
            text: the text.

        Returns:
            ``source`` and ``target``, units, an empty one for the end, and ``weights``, a row for each of the target.
        """
        if self.acts_read is not None:
            text = self.acts_read.delexicalise(text, record)
        extra = {} if decoding.spelled is None else {unit: id for id, unit in decoding.spelled[0].items()}
        units = to_device(torch.tensor([self.ids(text, extra)]), decoding.source.memory.lengths.device)  # [1, L]
        weights = decoding.steps(units, self.end)[1][0]  # [L, T]
        target = [*map(self.units.name, self.units.split(text)), ""]
        source = self.source_names(record)
        return {"source": source, "target": target, "weights": rounded(weights)}

    def empty(self, record: Any, options: TranslateOptions) -> Translation:
        """See `Head.empty`: no text."""
        return Translation(record, "", self.source_field)

    def labels(self, answer: Translation) -> Sequence[Hashable]:
        """See `Head.labels`: the text."""
        return [answer.text]

    def unknown_slots(self, records: Sequence[Any]) -> list[str]:
        """See `Head.unknown_slots`."""
        return [each for record in records for each in self.input.unknown_slots(record)] if self.acts_read else []

    # --- scores ---------------------------------------------------------------------------------------------------

    def gold(self, records: Sequence[Any], **options: Any) -> list[list[str]]:
        """See `Head.gold`: the right texts of each, one or several; of dialogue acts also those of acts like it."""
        field = options.get("target") or self.field
        found = [[*map(self.respaced, target_texts(record, field))] for record in records]
        return self.acts_read.references(records, found) if self.acts_read else found

    def respaced(self, text: str) -> str:
        """A text as the model would write it: of words with a space between every two of its splitter."""
        return self.units.join(self.units.split(text)) if self.units.kind == "word" else text

    def learned(self, records: Sequence[Any]) -> Iterator[Sequence[str]]:
        """See `Head.learned`."""
        for record in records:
            if self.acts_read is not None:
                self.input.units_of([record])  # of which the type may be unknown
            yield [source_text(record, self.source_field)]
            yield target_texts(record, self.field)

    def report(
        self, gold: Sequence[Sequence[str]], answers: Sequence[Translation], baseline: Any = None
    ) -> TranslationReport:
        """See `Head.report`: without what needs whole texts, see `seqkit.metrics.translation.translation_scores`."""
        split = self.units.split
        texts = [[split(text) for text in several] for several in gold]
        right = [[[*map(self.normalise, units)] for units in several] for several in texts]
        written = [split(answer.text) for answer in answers]
        predicted = [answer.gold for answer in answers if answer.gold is not None]
        log_prob, units, unknown = (sum(each) for each in zip((0.0, 0, 0), *predicted, strict=True))
        return TranslationReport(
            len(answers),
            int(units),
            log_prob,
            int(unknown),
            exact=sum(units in several for units, several in zip(written, texts, strict=True)),
            unit_bleu=corpus_bleu(right, written),
            sourceless=len(answers) - len(predicted),
        )

    def dev_scores(self, report: Any) -> dict[str, float]:
        """See `Head.dev_scores`."""
        return {"bleu": report.unit_bleu, "exact": report.exact_match, "perplexity": report.perplexity}

    def notes(self, records: Sequence[Any], targets: Any) -> list[str]:
        """See `Head.notes`."""
        written = f"{len(self.words) - 2:,} {UNIT_NAMES[self.units.kind]}"
        several = sum(isinstance(record.fields.get(self.field), list) for record in records)
        lengths = self.input.lengths(records)
        empty = lengths.count(0)
        found = [f"translating {self.source_told} into {self.field} ({written})"]
        found += [f"texts with several references, of which training takes the first: {several:,}"] * (several > 0)
        found += [f"texts with an empty source, of which nothing is learned: {empty:,}"] * (empty > 0)
        if self.acts_read is not None:
            found += self.acts_read.notes(records)
        if self._single_words(lengths):
            found.append(
                "each text that is read is a single word, and words that training has not seen are all alike; "
                "read their letters: --set data.source_unit=char"
            )
        texts = [target_texts(record, self.field)[0] for record in records]
        if (
            self.units.kind == "word"
            and len(self.words) > len(texts) / 2
            and all(len(text.split()) <= 1 for text in texts)
        ):
            found.append(
                "each text that is written is a single word, and the model writes none that training has not seen; "
                "write their letters: --unit char"
            )
        if any(self.respaced(text) != " ".join(text.split()) for text in texts[:_LOOKED_AT]):
            found.append(
                "translations have spaces between words and punctuation, and so have the texts they are compared with; "
                "--splitter spaces or --unit bpe keeps texts as they are, predict --detokenize joins them"
            )
        return found + self._first_pair(records[0]) + self._unread_acts(records[:_LOOKED_AT])

    def _first_pair(self, record: Any) -> list[str]:
        """By which a user sees names of columns that are read as texts, and the wrong direction."""
        source, target = source_text(record, self.source_field), target_texts(record, self.field)[0]
        return [f"the first pair: {shown(source, _SHOWN)} → {shown(target, _SHOWN)}"]

    def _unread_acts(self, records: Sequence[Any]) -> list[str]:
        if self.acts_read is not None or getattr(self.settings.data, "unit_read", "act") == "act":
            return []
        try:
            acts = [parse_act(source_text(record, self.source_field)) for record in records]
        except DataError:
            return []
        told = f"the texts of {self.source_field!r} are dialogue acts; --set data.source_unit=act reads them as such"
        return [told] if any(act.slots for act in acts) else []

    def _single_words(self, lengths: Sequence[int]) -> bool:
        """Whether words are read one by one, and most of them once."""
        read = getattr(self.settings.data, "unit_read", "")
        return read == "word" and max(lengths) == 1 and len(self.input.indexer.words) > len(lengths) / 2

    def error(self, gold: Sequence[str], answer: Translation) -> str:
        """See `Head.error`: the source, the right texts, and what was written, between tabs."""
        if answer.text in gold:
            return ""
        return f"{answer.source}\t{' | '.join(gold)}\t{answer.text}\n"

    def description(self) -> list[str]:
        """See `Head.description`."""
        head = self.settings.head
        return [
            f"- Reads: {self.source_told}",
            f"- Writes: {self.field}, {len(self.words) - 2:,} {UNIT_NAMES[self.units.kind]}",
            f"- Decoder: {head.layers} × {head.hidden}, attention {head.attention}"
            + (", input feeding" if head.feeding else "")
            + (", copies the source" if head.copy_source else ""),
        ]
