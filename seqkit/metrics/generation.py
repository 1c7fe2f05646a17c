"""How well a model generates texts: how well it predicts the gold texts, and how its own texts compare with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seqkit.metrics.perplexity import PerplexityReport
from seqkit.metrics.scores import plural
from seqkit.metrics.slots import SayingScores, unknown_slots_note


@dataclass(frozen=True)
class GenerationReport:
    """The scores of a generator on texts with their conditions.

    Args:
        prediction: how well the model predicts the gold texts.
        exact: the number of texts that equal the gold text, or one of several.
        alike: the number of texts with as many lines as the gold text, each as long; None where no gold text has
            several lines.
        ended: the number of texts that ended by themselves.
        beam: the width of the beam that they were found with; 0 for the most probable unit of each step.
        saying: the scores of texts that say dialogue acts: of the best of each, and of several of each.
        unknown_slots: how many slots of the acts training lacks; None where no acts are read.
    """

    prediction: PerplexityReport
    exact: int
    alike: int | None
    ended: int
    beam: int = 0
    saying: tuple[SayingScores, ...] = ()
    unknown_slots: int | None = None

    @property
    def sentences(self) -> int:
        """The number of texts."""
        return self.prediction.sentences

    @property
    def tokens(self) -> int:
        """The number of predicted units."""
        return self.prediction.units

    @property
    def exact_match(self) -> float:
        """The share of texts that equal the gold text."""
        return self.exact / max(1, self.sentences)

    @property
    def same_lines(self) -> float | None:
        """The share of texts with as many lines as the gold text, each as long; None where none has several."""
        return None if self.alike is None else self.alike / max(1, self.sentences)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            The keys of `PerplexityReport.to_json`, ``exact_match``, ``ended``, where texts have several lines
            ``same_lines``, and where they say dialogue acts ``bleu``, ``slot_errors``, perhaps ``best``,
            and ``unknown_slots``.
        """
        shares = {"exact_match": self.exact_match, "ended": self.ended / max(1, self.sentences)}
        if self.same_lines is not None:
            shares["same_lines"] = self.same_lines
        found = {**self.prediction.to_json(), **shares}
        for scores in self.saying:
            several = {"best": scores.to_json()}
            found |= several if scores.count > 1 else {"bleu": scores.bleu, "slot_errors": scores.slots.to_json()}
        return found if self.unknown_slots is None else {**found, "unknown_slots": self.unknown_slots}

    def render(self, width: int = 80) -> str:
        """The report as text.

        Args:
            width: not used: the lines are short.

        Returns:
            Lines without a final line ending.
        """
        how = f"with a beam of {self.beam}" if self.beam else "greedily"
        rows = [
            f"perplexity  {self.prediction.perplexity:12,.2f}",
            f"loss        {self.prediction.loss:12.4f} nats per unit",
            f"exact match {self.exact_match:12.4f} of the texts, written {how}",
        ]
        saying = [row for scores in self.saying for row in scores.rows()]
        wide = max((len(name) for name, _ in saying), default=0)
        rows += [f"{name:{wide}} {value}" for name, value in saying]
        if self.same_lines is not None:
            rows.append(f"same lines  {self.same_lines:12.4f} have as many lines, each as long")
        closing = f"{plural(self.sentences, 'text')}, {plural(self.tokens, 'unit')} with their ends"
        closing += self.prediction.unknown_note + unknown_slots_note(self.unknown_slots)
        return "\n".join([*rows, "", closing])
