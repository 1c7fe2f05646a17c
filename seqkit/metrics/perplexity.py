"""How well a model predicts a text: loss, perplexity and bits per unit."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from seqkit.metrics.scores import text_table


@dataclass(frozen=True)
class Baseline:
    """The perplexity of a simpler model on the same text.

    Args:
        name: the kind of model.
        perplexity: see `PerplexityReport.perplexity`.
    """

    name: str
    perplexity: float


@dataclass(frozen=True)
class PerplexityReport:
    r"""The scores of a model on a text.

    .. math:: \ell = -\frac1N \sum_{n=1}^N \ln p(u_n \mid u_1 \dots u_{n-1}), \qquad \text{perplexity} = e^\ell

    Args:
        log_prob: ln p of the whole text, in nats.
        units: N, the number of predicted units, ends of lines included.
        sentences: the number of lines.
        unknown: the number of units that are not in the model's vocabulary.
        unit: the kind of unit: ``word``, ``char`` or ``bpe``.
        baseline: the perplexity of a simpler model of the same units, where there is one.
    """

    log_prob: float
    units: int
    sentences: int
    unknown: int = 0
    unit: str = "word"
    baseline: Baseline | None = None

    @property
    def loss(self) -> float:
        """The mean loss, in nats per unit; 0 where there is no unit."""
        return -self.log_prob / max(1, self.units)

    @property
    def perplexity(self) -> float:
        """e to the loss; infinite where that is too large for a float."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf

    @property
    def bits_per_unit(self) -> float:
        """The mean loss, in bits per unit."""
        return self.loss / math.log(2.0)

    @property
    def score(self) -> float:
        """The score that selects the best model, the higher the better: ln p per unit."""
        return -self.loss

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``sentences`` (lines), ``tokens`` and ``units`` (the same number), ``unit``, ``unknown``, ``loss`` (nats
            per unit), ``perplexity`` and ``bits_per_unit``; where there is a baseline also ``baseline`` with its
            ``name`` and ``perplexity``.
        """
        report: dict[str, Any] = {
            "sentences": self.sentences,
            "tokens": self.units,
            "units": self.units,
            "unit": self.unit,
            "unknown": self.unknown,
            "loss": self.loss,
            "perplexity": self.perplexity,
            "bits_per_unit": self.bits_per_unit,
        }
        if self.baseline is not None:
            report["baseline"] = asdict(self.baseline)
        return report

    def render(self, width: int = 80) -> str:
        """The report as text.

        Args:
            width: not used: the lines are short.

        Returns:
            Lines without a final line ending: perplexity, loss and bits, and the baseline where there is one.
        """
        name = {"char": "character", "bpe": "byte pair"}.get(self.unit, "word")
        lines = [
            f"perplexity {self.perplexity:12,.2f}",
            f"loss       {self.loss:12.4f} nats per {name}",
            f"bits       {self.bits_per_unit:12.4f} per {name}",
        ]
        if self.baseline is not None:
            both = (Baseline("this model", self.perplexity), self.baseline)
            rows = [["", "perplexity"], [], *([each.name, f"{each.perplexity:,.2f}"] for each in both)]
            lines += ["", text_table(rows)]
        closing = f"{self.units:,} {name}s, {self.sentences:,} ends of lines among them{self.unknown_note}"
        return "\n".join([*lines, "", closing])

    @property
    def unknown_note(self) -> str:
        """What to add to the counts where some units are unknown."""
        return f"; {self.unknown:,} are unknown to the model" if self.unknown else ""
