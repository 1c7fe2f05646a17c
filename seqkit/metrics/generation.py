"""How well a model writes texts: how it foretells the right ones, and how its own compare with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seqkit.metrics.perplexity import PerplexityReport

__all__ = ["GenerationReport"]


@dataclass(frozen=True)
class GenerationReport:
    """The scores of a generator on texts with their conditions.

    Args:
        prediction: how well the right texts are foretold.
        exact: how many texts that were written greedily are the right ones.
        alike: how many have as many lines as the right ones, each as long; None where no right one has several lines.
        ended: how many came to an end.
    """

    prediction: PerplexityReport
    exact: int
    alike: int | None
    ended: int

    @property
    def sentences(self) -> int:
        """How many texts."""
        return self.prediction.sentences

    @property
    def tokens(self) -> int:
        """How many units were foretold."""
        return self.prediction.units

    @property
    def exact_match(self) -> float:
        """The share of texts that were written exactly as they should be."""
        return self.exact / max(1, self.sentences)

    @property
    def same_lines(self) -> float | None:
        """The share of texts with as many lines as the right ones, each as long; None where nothing has several."""
        return None if self.alike is None else self.alike / max(1, self.sentences)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            The keys of `PerplexityReport.to_json`, ``exact_match``, ``ended`` and, where texts have several lines,
            ``same_lines``.
        """
        shares = {"exact_match": self.exact_match, "ended": self.ended / max(1, self.sentences)}
        if self.same_lines is not None:
            shares["same_lines"] = self.same_lines
        return {**self.prediction.to_json(), **shares}

    def render(self, width: int = 80) -> str:
        """The report as text.

        Args:
            width: columns of the terminal; of no influence on so narrow a table.

        Returns:
            Lines without a line ending at the end.
        """
        unknown = f"; {self.prediction.unknown:,} are unknown to the model" if self.prediction.unknown else ""
        rows = [
            f"perplexity  {self.prediction.perplexity:12,.2f}",
            f"loss        {self.prediction.loss:12.4f} nats a unit",
            f"exact match {self.exact_match:12.4f} of the texts, written greedily",
        ]
        if self.same_lines is not None:
            rows.append(f"same lines  {self.same_lines:12.4f} have as many lines, each as long")
        closing = f"{self.sentences:,} texts, {self.tokens:,} units with their ends{unknown}"
        return "\n".join([*rows, "", closing])
