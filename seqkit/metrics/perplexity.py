"""How well a model foretells a text: loss a unit, perplexity, bits a unit."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Baseline", "PerplexityReport"]


@dataclass(frozen=True)
class Baseline:
    """What a simpler model reaches on the same text.

    Args:
        name: what it is.
        perplexity: see `PerplexityReport.perplexity`.
    """

    name: str
    perplexity: float


@dataclass(frozen=True)
class PerplexityReport:
    r"""The scores of one model on one text.

    .. math:: \ell = -\frac1N \sum_{n=1}^N \ln p(u_n \mid u_1 \dots u_{n-1}), \qquad \text{perplexity} = e^\ell

    Args:
        log_prob: ln p of the whole text, in nats.
        units: N, how many units were predicted, ends of lines included.
        sentences: how many lines.
        unknown: how many of the units the model does not tell apart from other unknown ones.
        unit: what a unit is: ``word``, ``char`` or ``bpe``.
        baseline: what a simpler model of the same units reaches, where there is one.
    """

    log_prob: float
    units: int
    sentences: int
    unknown: int = 0
    unit: str = "word"
    baseline: Baseline | None = None

    @property
    def loss(self) -> float:
        """The mean loss, in nats a unit; 0 where there is no unit."""
        return -self.log_prob / max(1, self.units)

    @property
    def perplexity(self) -> float:
        """As if so many units were equally likely at every place; infinite where that is too large a number."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf

    @property
    def bits_per_unit(self) -> float:
        """The mean loss, in bits a unit."""
        return self.loss / math.log(2.0)

    @property
    def score(self) -> float:
        """The one number a model is judged by, the higher the better: ln p a unit."""
        return -self.loss

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``sentences`` (lines), ``tokens`` and ``units`` (the same number), ``unit``, ``unknown``, ``loss`` (nats a
            unit), ``perplexity`` and ``bits_per_unit``; where there is a baseline also ``baseline`` with its ``name``
            and ``perplexity``.
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
            width: columns of the terminal; of no influence on so narrow a table.

        Returns:
            Lines without a line ending at the end: perplexity, beside that of the baseline where there is one, loss and
            bits.
        """
        name, many = {"char": ("character", "characters"), "bpe": ("byte pair", "byte pairs")}.get(
            self.unit, ("word", "words")
        )
        closing = f"{self.units:,} {many}, {self.sentences:,} ends of lines among them"
        if self.unknown:
            closing += f"; {self.unknown:,} are unknown to the model"
        rows = [
            f"perplexity {self.perplexity:12,.2f}",
            f"loss       {self.loss:12.4f} nats a {name}",
            f"bits       {self.bits_per_unit:12.4f} a {name}",
        ]
        if self.baseline is not None:
            both = (Baseline("this model", self.perplexity), self.baseline)
            first = max(len(each.name) for each in both)
            rows += ["", f"{'':{first}}  perplexity", ""]
            rows += [f"{each.name:{first}}  {each.perplexity:10,.2f}" for each in both]
        return "\n".join([*rows, "", closing])
