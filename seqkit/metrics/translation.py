"""Scores of translations: BLEU, chrF and TER, error rates of words and characters, exact match, perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqkit.metrics.scores import plural
from seqkit.metrics.slots import SayingScores, SlotErrors, unknown_slots_note
from seqkit.metrics.transcription import unit_errors
from seqkit.resources import extra


@dataclass(frozen=True)
class TranslationReport:
    """The scores of translations.

    Args:
        sentences: how many texts were translated.
        units: how many units the right texts have, ends included; of several right texts the first counts.
        log_prob: ln p of them.
        unknown: how many of these units are unknown to the model.
        exact: how many translations equal a right text.
        scores: ``bleu``, ``chrf`` and ``ter``, in percent.
        signatures: of each how sacrebleu computed it.
        errors: ``wer`` and ``cer`` by the first right text, shares.
        unit_bleu: BLEU of the model's own units, in percent.
        slots: slot errors, where the texts say dialogue acts.
        best: the scores of several of the best texts of each act together, where they were asked for.
        unknown_slots: how many slots of the acts training lacks; None where no acts are read.
        sourceless: how many texts have nothing to translate, whose right texts are not among the units.
        short: whether most right texts have fewer than four words, so that their BLEU means little.
    """

    sentences: int
    units: int
    log_prob: float
    unknown: int
    exact: int
    unit_bleu: float
    scores: dict[str, float] = field(default_factory=dict)
    signatures: dict[str, str] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    slots: SlotErrors | None = None
    best: SayingScores | None = None
    unknown_slots: int | None = None
    sourceless: int = 0
    short: bool = False

    @property
    def tokens(self) -> int:
        """The number of units of the right texts."""
        return self.units

    @property
    def loss(self) -> float:
        """Nats a unit of the right texts."""
        return -self.log_prob / max(1, self.units)

    @property
    def perplexity(self) -> float:
        """e to the power of the loss."""
        return math.exp(min(self.loss, 709.0))

    @property
    def exact_match(self) -> float:
        """The share of translations that equal a right text."""
        return self.exact / max(1, self.sentences)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "sentences": self.sentences,
            "tokens": self.units,
            "loss": self.loss,
            "perplexity": self.perplexity,
            "unknown": self.unknown,
            "sourceless": self.sourceless,
            "exact_match": self.exact_match,
            "unit_bleu": self.unit_bleu,
            **self.scores,
            **self.errors,
            "signatures": self.signatures,
            **({} if self.slots is None else {"slot_errors": self.slots.to_json()}),
            **({} if self.best is None else {"best": self.best.to_json()}),
            **({} if self.unknown_slots is None else {"unknown_slots": self.unknown_slots}),
        }

    def render(self, width: int = 80) -> str:
        """The report as a table of text.

        Args:
            width: columns of the terminal.

        Returns:
            Lines without a final line ending.
        """
        names = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER", "wer": "word error rate", "cer": "character error rate"}
        rows = [["perplexity", f"{self.perplexity:,.2f}"], ["loss", f"{self.loss:.4f} nats per unit"]]
        rows += [[names[name], f"{value:.2f}"] for name, value in self.scores.items()]
        rows += [[names[name], f"{100 * value:.2f} %"] for name, value in self.errors.items()]
        if self.short:
            rows.append(["BLEU of units", f"{self.unit_bleu:.2f}"])
        rows.append(["exact match", f"{100 * self.exact_match:.2f} %"])
        if self.slots is not None:
            rows.append(["slot errors", str(self.slots)])
        if self.best is not None:
            rows += self.best.rows()
        told = f"{plural(self.sentences, 'text')}, {plural(self.units, 'unit')} with their ends"
        if self.unknown:
            told += f"; {self.unknown:,} {'is' if self.unknown == 1 else 'are'} unknown to the model"
        if self.sourceless:
            told += f"; those of {plural(self.sourceless, 'empty source')} are not counted"
        told += unknown_slots_note(self.unknown_slots)
        if self.short:
            told += (
                "\nBLEU counts runs of four words, and most right texts are shorter; that of units takes shorter runs"
            )
        wide = max(len(name) for name, _ in rows)
        signed = [f"{names[name]} {signature}" for name, signature in self.signatures.items()]
        return "\n".join([*(f"{name:{wide}}  {value}" for name, value in rows), "", told, *signed])


def corpus_bleu(gold: Sequence[Sequence[Sequence[str]]], found: Sequence[Sequence[str]]) -> float:
    """BLEU of texts that are cut already (Papineni et al. 2002), by sacrebleu; of short ones without long n-grams.

    Texts of fewer than four units have no 4-grams, without which BLEU is zero however good they are. So n-grams are
    counted up to the median length of the right texts, and four at most.

    Args:
        gold: of each text the units of every right one.
        found: the units of each text.

    Returns:
        Percent.
    """
    metrics = extra("sacrebleu.metrics", "scores", "BLEU")
    most = max((len(texts) for texts in gold), default=1)
    numbers: dict[str, str] = {}  # a unit may be a space, or have one

    def spelled(units: Sequence[str]) -> str:
        return " ".join(numbers.setdefault(unit, str(len(numbers))) for unit in units)

    streams = [[spelled(texts[min(n, len(texts) - 1)]) for texts in gold] for n in range(most)]
    lengths = sorted(len(texts[0]) for texts in gold)
    order = max(1, min(4, lengths[len(lengths) // 2] if lengths else 1))
    bleu = metrics.BLEU(tokenize="none", force=True, max_ngram_order=order)
    return float(bleu.corpus_score([*map(spelled, found)], streams).score) if found else 0.0


def text_bleu(gold: Sequence[Sequence[str]], found: Sequence[str], tokens: str = "none") -> float:
    """BLEU by sacrebleu.

    Args:
        gold: the right texts of each source, at least one.
        found: the translations.
        tokens: how texts are cut into words, a name of sacrebleu's.

    Returns:
        Percent.
    """
    metrics = extra("sacrebleu.metrics", "scores", "BLEU")
    bleu = metrics.BLEU(tokenize=tokens, force=True)
    return float(bleu.corpus_score(list(found), _streams(gold)).score) if found else 0.0


def saying_scores(
    count: int,
    records: Sequence[Any],
    gold: Sequence[Sequence[str]],
    found: Sequence[Sequence[str]],
    errors: Callable[[str, Any], SlotErrors],
    tokens: str = "none",
) -> SayingScores:
    """Compare texts with the dialogue acts that they should say.

    Args:
        count: how many of the texts of each record count, the first ones.
        records: the records.
        gold: the right texts of each, at least one.
        found: the texts that were written for each.
        errors: gives the slot errors of a text that is to say the act of a record.
        tokens: how BLEU cuts texts into words, a name of sacrebleu's.

    Returns:
        The scores, every text counted alike.
    """
    rows = [
        (record, right, text)
        for record, right, texts in zip(records, gold, found, strict=True)
        for text in texts[:count]
    ]
    bleu = text_bleu([right for _, right, _ in rows], [text for _, _, text in rows], tokens)
    return SayingScores(count, len(rows), bleu, SlotErrors.total(errors(text, record) for record, _, text in rows))


def _streams(gold: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Right texts as sacrebleu takes them: the first of each, the second of each, and so on."""
    most = max(map(len, gold))
    return [[texts[n] if n < len(texts) else None for texts in gold] for n in range(most)]


def translation_scores(
    gold: Sequence[Sequence[str]], found: Sequence[str], tokens: str = "none"
) -> tuple[dict[str, float], dict[str, str], dict[str, float]]:
    """BLEU, chrF and TER by sacrebleu, and error rates by jiwer.

    Args:
        gold: the right texts of each source, at least one.
        found: the translations.
        tokens: how BLEU cuts texts into words, a name of sacrebleu's.

    Returns:
        Scores in percent, their signatures, and error rates as shares.
    """
    if not found:
        return {}, {}, {}
    metrics = extra("sacrebleu.metrics", "scores", "BLEU, chrF and TER")
    streams = _streams(gold)
    scores: dict[str, float] = {}
    signatures: dict[str, str] = {}
    for name, metric in {
        "bleu": metrics.BLEU(tokenize=tokens, force=True),
        "chrf": metrics.CHRF(),
        "ter": metrics.TER(),
    }.items():
        scores[name] = float(metric.corpus_score(list(found), streams).score)
        signatures[name] = str(metric.get_signature())
    words = [[text.split() for text in texts] for texts in ([texts[0] for texts in gold], found)]
    characters = [[list(" ".join(text)) for text in texts] for texts in words]
    return scores, signatures, {"wer": unit_errors(*words).rate, "cer": unit_errors(*characters).rate}
