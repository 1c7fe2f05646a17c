"""The records of a model that foretells or writes text: a line with its probability, a text that was written."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ScoredText", "WrittenText"]


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A line and how likely a model finds it.

    Args:
        text: the line.
        log_prob: ln p of its units, the end of the line included, in nats.
        units: how many units that are.
        unknown: how many of them the model does not know, and so finds as likely as it finds unknown units as a whole;
            the figures of a line that has some are not comparable with those of one that has none.
    """

    text: str
    log_prob: float
    units: int
    unknown: int = 0

    @property
    def perplexity(self) -> float:
        """exp(−log_prob / units); infinite where that is too large a number."""
        try:
            return math.exp(-self.log_prob / max(1, self.units))
        except OverflowError:
            return math.inf

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: ``text``, ``log_prob``, ``units``, ``unknown``, ``perplexity``."""
        return {**asdict(self), "perplexity": self.perplexity}


@dataclass(frozen=True, slots=True)
class WrittenText:
    """A text that a model wrote.

    Args:
        text: the text, its given beginning included, without the end that closes it.
        log_prob: ln p of what was added, of that end too, in nats; no temperature changes it.
        units: how many units were added, the end included.
        ended: whether the model ended it, and not only the greatest length.
    """

    text: str
    log_prob: float
    units: int
    ended: bool

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object: ``text``, ``log_prob``, ``units``, ``ended``."""
        return asdict(self)
