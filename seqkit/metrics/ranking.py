"""Scores of a ranking: candidates in groups, such as the answers to each question, the best first."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from seqkit.metrics.scores import plural


@dataclass(frozen=True)
class Ranking:
    """How good candidates are ranked within their groups.

    Args:
        map: mean average precision over the groups.
        mrr: mean reciprocal rank of the first relevant candidate.
        groups: how many groups were scored.
        left_out: how many groups have no relevant candidate, and are left out.
        group: the field of the groups.
        positive: the label of the relevant candidates; empty for numbers above 0.
    """

    map: float
    mrr: float
    groups: int
    left_out: int
    group: str = ""
    positive: str = ""

    def to_json(self) -> dict[str, Any]:
        """The scores as a JSON object: ``map``, ``mrr``, and under ``ranking`` what they are of."""
        about = {"group": self.group, "positive": self.positive, "groups": self.groups, "left_out": self.left_out}
        return {"map": self.map, "mrr": self.mrr, "ranking": about}

    def render(self) -> str:
        """The scores as a line of text."""
        relevant = repr(self.positive) if self.positive else "above 0"
        left_out = f"; {plural(self.left_out, 'group')} without a relevant candidate left out" if self.left_out else ""
        told = f"of {plural(self.groups, 'group')} by {self.group!r}, relevant: {relevant}{left_out}"
        return f"MAP {self.map:.4f}  MRR {self.mrr:.4f}  {told}"


def ranking(
    groups: Sequence[Hashable], relevant: Sequence[bool], scores: Sequence[float], group: str = "", positive: str = ""
) -> Ranking:
    r"""Score a ranking.

    The average precision of a group is the mean, over its relevant candidates, of the share of relevant ones among
    those down to it; the reciprocal rank is 1 / rank of the first relevant one. Of equal scores the relevant ones come
    last, so that no order of the file flatters.

    Args:
        groups: the group of each candidate.
        relevant: whether it is relevant.
        scores: what it is ranked by, the greatest first.
        group: the field of the groups.
        positive: the label of the relevant candidates.

    Returns:
        Means over the groups that have a relevant candidate; zeros where there is none.

    Examples:
        >>> found = ranking(["q", "q", "q", "r"], [False, True, True, False], [3.0, 2.0, 1.0, 1.0])
        >>> round(found.map, 3), found.mrr, found.groups, found.left_out
        (0.583, 0.5, 1, 1)
    """
    candidates: dict[Hashable, list[tuple[float, bool]]] = {}
    for key, is_relevant, score in zip(groups, relevant, scores, strict=True):
        candidates.setdefault(key, []).append((-score, is_relevant))
    precisions, reciprocals = [], []
    for found in candidates.values():
        ranks = [rank for rank, (_, is_relevant) in enumerate(sorted(found), start=1) if is_relevant]
        if ranks:
            precisions.append(sum(count / rank for count, rank in enumerate(ranks, start=1)) / len(ranks))
            reciprocals.append(1 / ranks[0])
    scored = len(precisions)
    average, reciprocal = (math.fsum(values) / max(1, scored) for values in (precisions, reciprocals))
    return Ranking(average, reciprocal, scored, len(candidates) - scored, group, positive)
