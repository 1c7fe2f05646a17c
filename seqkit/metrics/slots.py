"""Slot errors: which slots of a dialogue act a text lacks, and which it has beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from seqkit.metrics.scores import plural


@dataclass(frozen=True)
class SlotErrors:
    r"""The slot errors of texts.

    The slot error rate is :math:`(p + q) / N` with p slots missing and q redundant of N (Wen et al. 2015, "Semantically
    conditioned LSTM-based natural language generation for spoken dialogue systems").

    Args:
        missing: p, how many slots texts lack that their acts have.
        redundant: q, how many they have that the acts lack, or more often than these.
        slots: N, how many the acts have.
    """

    missing: int = 0
    redundant: int = 0
    slots: int = 0

    @property
    def errors(self) -> int:
        """How many slots are missing or redundant."""
        return self.missing + self.redundant

    @property
    def rate(self) -> float:
        """The slot error rate, a share; it may be more than one."""
        return self.errors / max(1, self.slots)

    @classmethod
    def total(cls, parts: Iterable[SlotErrors]) -> SlotErrors:
        """The errors of several texts together."""
        rows = [(part.missing, part.redundant, part.slots) for part in parts]
        return cls(*map(sum, zip(*rows, strict=True))) if rows else cls()

    def to_json(self) -> dict[str, float]:
        """The errors as a JSON object."""
        counts = {"missing": self.missing, "redundant": self.redundant, "slots": self.slots}
        return {"rate": self.rate, **counts}

    def __str__(self) -> str:
        """The errors as a person reads them."""
        counts = f"{self.missing:,} missing, {self.redundant:,} redundant of {plural(self.slots, 'slot')}"
        return f"{100 * self.rate:.2f} % ({counts})"


@dataclass(frozen=True)
class SayingScores:
    """The scores of texts that say dialogue acts, one or several of each, all counted alike.

    Args:
        count: how many of each at most; Wen et al. 2015 take five.
        texts: how many in all.
        bleu: BLEU against all right texts, in percent, each text a hypothesis of its own.
        slots: slot errors.
    """

    count: int
    texts: int
    bleu: float
    slots: SlotErrors

    def to_json(self) -> dict[str, Any]:
        """The scores as a JSON object."""
        return {"count": self.count, "texts": self.texts, "bleu": self.bleu, "slot_errors": self.slots.to_json()}

    def rows(self) -> list[list[str]]:
        """The scores as rows of a table."""
        which = f", best {self.count}" if self.count > 1 else ""
        return [[f"BLEU{which}", f"{self.bleu:.2f}"], [f"slot errors{which}", str(self.slots)]]


def unknown_slots_note(count: int | None) -> str:
    """What a report says of slots of acts that training lacks; nothing where there are none."""
    if not count:
        return ""
    told = f"\n{plural(count, 'slot')} of the acts, which the training data lack,"
    return f"{told} {'is' if count == 1 else 'are'} read as unknown"
