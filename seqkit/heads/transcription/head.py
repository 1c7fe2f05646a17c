"""Many to fewer, in order: a text from a long sequence of vectors, by connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.errors import DataError, ModelError, SettingsError, shown
from seqkit.formats.runs import Clock, duration
from seqkit.heads.base import Head, Loss, StepTargets
from seqkit.heads.times import clock_of, seconds_of
from seqkit.heads.transcription.settings import TranscribeOptions, TranscribeSettings
from seqkit.heads.transcription.stream import OpenText, Speller, SymbolStream
from seqkit.inputs.base import Documents, Input
from seqkit.inputs.frames import FrameInput
from seqkit.inputs.segmentation import Units
from seqkit.inputs.units import UNIT_NAMES
from seqkit.inputs.vocabulary import LabelVocabulary
from seqkit.metrics.scores import plural
from seqkit.metrics.transcription import TranscriptionReport, transcription_report
from seqkit.nn.ctc import BLANK, CTC, Alignment, align, greedy, log_likelihood, steps_needed
from seqkit.nn.ctc_search import Hypothesis, prefix_beam_search
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.softmax import IGNORED
from seqkit.records import FrameRecord, SpokenSymbol, Transcription

_SHOWN = 40
"""symbols that are named at the start of training"""


class SymbolTargets(StepTargets):
    """The symbols of each text.

    Args:
        rows: the ids of each text's symbols.

    Attributes:
        needed: the least number of steps that each needs, int64 [S].
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        super().__init__(rows)
        self.needed = np.array([steps_needed(row) for row in rows], dtype=np.int64)

    def collate(self, rows: Any) -> Tensor:
        """See `Targets.collate`: int64 [B, L], `BLANK` past the end of each text."""
        found = super().collate(rows)  # [B, L]
        return found.masked_fill_(found == IGNORED, BLANK)


class Transcribing(Head):
    """A text for every sequence.

    Args:
        settings: the settings of the model.
        input: what the network reads.
        units: text ↔ symbols.
        symbols: symbol ↔ id − 1.
    """

    scores_steps = True
    parts = "symbols"
    module: CTC

    def __init__(self, settings: TranscribeSettings, input: FrameInput, units: Units, symbols: LabelVocabulary) -> None:
        self.settings = settings
        self.input = input
        self.units = units
        self.symbols = symbols
        self.field = settings.data.field

    @classmethod
    def build(cls, settings: TranscribeSettings, records: Sequence[FrameRecord], input: Input) -> Transcribing:
        """See `Head.build`."""
        assert isinstance(input, FrameInput)
        data = settings.data
        texts = [text_of(record, data.field) for record in records]
        if data.kind == "bpe":
            units = Units.train_bpe(texts, data.bpe_size)
        else:
            units = Units.char() if data.kind == "char" else Units.word("spaces")
        found = sorted({symbol for text in texts for symbol in units.split(text)})
        if not found:
            raise DataError(f"all texts in field {data.field!r} of the training data are empty")
        return cls(settings, input, units, LabelVocabulary(found))

    @classmethod
    def restore(cls, settings: TranscribeSettings, documents: Documents, input: Input) -> Transcribing:
        """See `Head.restore`."""
        assert isinstance(input, FrameInput)
        tree = documents["symbols.json"]
        if not isinstance(tree, dict) or not tree.get("labels"):
            raise ModelError(f"{documents.place}: symbols.json: expected units and symbols, found {shown(tree)}")
        units = Units.from_json(tree.get("units"))
        return cls(settings, input, units, LabelVocabulary.from_json({"labels": tree["labels"]}))

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`."""
        return {"symbols.json": {"units": self.units.to_json(), **self.symbols.to_json()}}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> CTC:
        """See `Head.make_module`."""
        self.module = CTC(encoder.output_size, len(self.symbols), dropout=self.settings.head.dropout)
        return self.module

    # --- training -------------------------------------------------------------------------------------------------

    def targets(self, records: Sequence[FrameRecord]) -> SymbolTargets:
        """See `Head.targets`.

        Args:
            records: the records.

        Returns:
            The targets.

        Raises:
            DataError: a record has no text, or one that is longer than its sequence.
        """
        rows = [self._ids(text_of(record, self.field)) for record in records]
        for record, row, steps in zip(records, rows, self.input.lengths(records), strict=True):
            needed = steps_needed(row)
            if needed > steps:
                raise record.fault(
                    f"the text needs at least {needed} steps, one for each symbol and between equal ones, and the "
                    f"sequence has {steps}; stack fewer frames, or leave it out"
                )
        return SymbolTargets(rows)

    def _ids(self, text: str) -> list[int]:
        return [index + 1 for index in self.symbols.indices(self.units.split(text))]

    def loss(self, encoded: Encoded, targets: Tensor) -> Loss:
        """See `Head.loss`; the units are sequences."""
        return Loss(self.module.loss(encoded.outputs, encoded.lengths, targets), len(encoded.lengths))

    # --- decoding -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def score(self, encoded: Encoded) -> Tensor:
        """See `Head.score`: ln p of the blank and of every symbol at every step, [B, T, K + 1]."""
        return self.module.log_probabilities(encoded.outputs)

    def sound(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """See `Head.sound`: a probability may be 0, but none is NaN."""
        return ~scores.flatten(1).isnan().any(1)

    def decode(
        self, scores: Tensor, lengths: Tensor, records: Sequence[FrameRecord], options: TranscribeOptions
    ) -> list[Transcription]:
        """See `Head.decode`."""
        if options.pairs:
            return self._tried(scores, lengths, records, options)
        if options.width:
            found = self._searched(scores, lengths, records, options)
        else:
            found = [
                self._answer(record, alignment, options)
                for record, alignment in zip(records, greedy(scores, lengths), strict=True)
            ]
        if options.scored:
            for answer, loss in zip(found, self._losses(scores, lengths, records, options.scored), strict=True):
                answer.loss = loss
        if options.drawn:
            for answer, row, steps in zip(found, scores.exp().cpu(), lengths.tolist(), strict=True):
                answer.posteriors = row[:steps].numpy()
        return found

    def stream(self, options: TranscribeOptions) -> SymbolStream:
        """See `Head.stream` and `SymbolStream`."""
        asked = {"nbest": options.nbest > 1, "lm": bool(options.lm), "beam": bool(options.beam)}
        asked |= {name: name in options.model_fields_set for name in ("lm_weight", "length_bonus")}
        if found := next((name for name, given in asked.items() if given), ""):
            searched = "is for beam search, which takes back what it has begun with; a stream takes the best symbol of"
            raise SettingsError(f"{found}: it {searched} each step")
        return SymbolStream(self.units, self.symbols.labels, self.settings.frames.step, self._clock)

    @property
    def names(self) -> list[str]:
        """What each symbol is called where it stands by itself."""
        return [self.units.name(symbol) for symbol in self.symbols.labels]

    @property
    def _clock(self) -> Clock | None:
        return clock_of(self.input, self.settings.data.frame_rate)

    def open_text(self) -> OpenText:
        """What writes the text of a sequence whose symbols come one by one."""
        return OpenText(self.units)

    def _searched(
        self, scores: Tensor, lengths: Tensor, records: Sequence[FrameRecord], options: TranscribeOptions
    ) -> list[Transcription]:
        """The best texts of each sequence by beam search."""
        found: list[Transcription] = []
        on_cpu = scores.cpu()  # [B, T, K + 1]
        for record, row, steps in zip(records, on_cpu, lengths.tolist(), strict=True):
            texts = self._search(row[:steps], options, options.lm_weight, options.length_bonus)
            ids = torch.tensor([texts[0].symbols], dtype=torch.int64)  # [1, L]
            one = torch.tensor([steps])
            alignment = (
                align(row[None, :steps], one, ids)[0] if options.times else Alignment([*ids[0].tolist()], [], [], [])
            )
            answer = self._answer(record, alignment, options)
            if options.nbest > 1:
                answer.alternatives = [self._alternative(text) for text in texts]
            found.append(answer)
        return found

    def _search(self, scores: Tensor, options: TranscribeOptions, weight: float, bonus: float) -> list[Hypothesis]:
        """The best texts of a sequence, [T, K + 1] on the CPU."""
        return prefix_beam_search(
            scores,
            beam=max(options.width, options.nbest),
            nbest=options.nbest,
            model=options.model,
            weight=weight,
            bonus=bonus,
            text=self._text,
        )

    def _tried(
        self, scores: Tensor, lengths: Tensor, records: Sequence[FrameRecord], options: TranscribeOptions
    ) -> list[Transcription]:
        """The best text of each sequence by each weight and bonus that is to be tried."""
        found: list[Transcription] = []
        for record, row, steps in zip(records, scores.cpu(), lengths.tolist(), strict=True):
            best = [self._search(row[:steps], options, weight, bonus)[0] for weight, bonus in options.pairs]
            texts = [self._text(one.symbols) for one in best]
            found.append(Transcription(record, texts[0], tried=texts))
        return found

    def _alternative(self, found: Hypothesis) -> dict[str, Any]:
        return {
            "text": self._text(found.symbols),
            "score": found.score,
            "log_prob": found.ctc,
            "lm_log_prob": found.lm,
        }

    def _text(self, symbols: Sequence[int]) -> str:
        text = self.units.join(self.symbols[symbol - 1] for symbol in symbols)
        return " ".join(text.split())

    def _answer(self, record: FrameRecord, alignment: Alignment, options: TranscribeOptions) -> Transcription:
        answer = Transcription(record, self._text(alignment.symbols))
        if options.times:
            stride, count = self.settings.frames.step, self.input.count(record)
            speller = Speller(self.units)
            answer.symbols = []
            for symbol, first, last, posterior in zip(*alignment, strict=True):
                end = min((last + 1) * stride, count)
                spoken = SpokenSymbol(self.symbols[symbol - 1], first * stride, end, posterior, symbol)
                answer.symbols += speller.add(spoken)
            answer.symbols += speller.end()
            answer.seconds = seconds_of(record, count, self._clock)
        return answer

    def _losses(self, scores: Tensor, lengths: Tensor, records: Sequence[FrameRecord], field: str) -> list[float]:
        """−ln p of the right text of each sequence; infinite where it has a symbol that training has not seen."""
        rows = [self._ids(text_of(record, field)) for record in records]
        targets = torch.zeros(len(rows), max(map(len, rows), default=0), dtype=torch.int64)  # [B, L]
        for number, row in enumerate(rows):
            if BLANK not in row:
                targets[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
        found = log_likelihood(scores, lengths, targets.to(scores.device)).tolist()
        return [np.inf if BLANK in row else -value for row, value in zip(rows, found, strict=True)]

    def empty(self, record: FrameRecord, options: TranscribeOptions) -> Transcription:
        """See `Head.empty`: no text."""
        return Transcription(record, "")

    def labels(self, answer: Transcription) -> Sequence[Hashable]:
        """See `Head.labels`: the text."""
        return [answer.text]

    # --- scores ---------------------------------------------------------------------------------------------------

    def gold(self, records: Sequence[FrameRecord], **options: Any) -> list[list[str]]:
        """See `Head.gold`: the text of each."""
        field = options.get("target") or self.field
        return [[text_of(record, field)] for record in records]

    def report(
        self, gold: Sequence[Sequence[str]], answers: Sequence[Transcription], baseline: Any = None
    ) -> TranscriptionReport:
        """See `Head.report`."""
        scored = [answer.loss for answer in answers if answer.loss is not None]
        losses = [loss for loss in scored if np.isfinite(loss)]
        frames = sum(len(answer.sentence) for answer in answers)
        clock = self._clock
        return transcription_report(
            [text for (text,) in gold],
            [answer.text for answer in answers],
            loss=sum(losses) / len(losses) if losses else None,
            impossible=len(scored) - len(losses),
            frames=frames,
            seconds_of_audio=None if clock is None else sum(duration(answer.sentence, clock) for answer in answers),
            unit="words" if self.settings.data.unit in ("char", "bpe", "word") else "symbols",
        )

    def dev_scores(self, report: TranscriptionReport) -> dict[str, float]:
        """See `Head.dev_scores`."""
        scores = {"score": report.score, "cer": report.cer, "wer": report.wer}
        return scores if report.loss is None else {**scores, "loss": report.loss}

    def notes(self, records: Sequence[FrameRecord], targets: Any) -> list[str]:
        """See `Head.notes`: which symbols are learned."""
        shown_symbols = " ".join(name.replace(" ", "␣") for name in self.names[:_SHOWN])
        more = " …" if len(self.symbols) > _SHOWN else ""
        return [f"learning {plural(len(self.symbols), 'symbol')}: {shown_symbols}{more}"]

    def unknown(self, gold: Sequence[Sequence[str]]) -> list[str]:
        """See `Head.unknown`."""
        symbols = {symbol for (text,) in gold for symbol in self.units.split(text)} - {*self.symbols.labels}
        return sorted(self.units.name(symbol).replace(" ", "␣") for symbol in symbols)

    def error(self, gold: Sequence[str], answer: Transcription) -> str:
        """See `Head.error`: the right text, what was found, and the name, between tabs."""
        (text,) = gold
        return "" if text == answer.text else f"{text}\t{answer.text}\t{answer.sentence.text}\n"

    def usage(self) -> str:
        """See `Head.usage`: of `show`."""
        return "FILE -o picture.png"

    def description(self) -> list[str]:
        """See `Head.description`."""
        kind = UNIT_NAMES[self.units.kind] if self.settings.data.unit == self.units.kind else self.settings.data.unit
        return [f"- Output: text by CTC over {len(self.symbols)} symbols ({kind})"]


def text_of(record: FrameRecord, field: str) -> str:
    """The right text of a sequence, single spaces between its words.

    Args:
        record: the sequence.
        field: the field that holds it.

    Returns:
        The text.

    Raises:
        DataError: there is no such field, or it holds no text.
    """
    found = record.fields.get(field)
    if isinstance(found, str):
        return " ".join(found.split())
    known = ", ".join(map(repr, record.fields)) or "none"
    what = f"found {shown(found)}" if field in record.fields else f"the other fields are {known}"
    raise record.fault(f"expected a text in field {field!r}, {what}")
