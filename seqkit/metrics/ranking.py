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
        map: mean average precision over the groups that have a relevant candidate and another one; None without any.
        mrr: mean reciprocal rank of the first relevant candidate, likewise.
        groups: how many groups were scored.
        left_out: how many groups have no relevant candidate, and are left out.
        all_relevant: how many have no other ones, which no order ranks better or worse, and are left out, too.
        group: the field of the groups.
        positive: the label of the relevant candidates, or the least number that is relevant; empty for all above 0.
    """

    map: float | None
    mrr: float | None
    groups: int
    left_out: int
    all_relevant: int = 0
    group: str = ""
    positive: str | float = ""

    @property
    def scores(self) -> dict[str, float]:
        """Both scores by name; none where no group was scored."""
        return {} if self.map is None or self.mrr is None else {"map": self.map, "mrr": self.mrr}

    def to_json(self) -> dict[str, Any]:
        """The scores as a JSON object: ``map``, ``mrr``, and under ``ranking`` what they are of."""
        about = {name: getattr(self, name) for name in ("group", "positive", "groups", "left_out", "all_relevant")}
        return {"map": self.map, "mrr": self.mrr, "ranking": about}

    def render(self) -> str:
        """The scores, and of how many groups they are, as a line of text."""
        if self.map is None or self.mrr is None:
            return f"no MAP and MRR: {self.told_unscored()}"
        without = [(self.left_out, "a relevant candidate"), (self.all_relevant, "an irrelevant candidate")]
        parts = [f"{plural(count, 'group')} without {what}" for count, what in without if count]
        left_out = f"; left out: {', '.join(parts)}" if parts else ""
        relevant = f"relevant: {told_relevant(self.positive)}"
        scored = f"of {plural(self.groups, 'group')} by {self.group!r}, {relevant}{left_out}"
        return f"MAP {self.map:.4f}  MRR {self.mrr:.4f}  {scored}"

    def told_unscored(self) -> str:
        """Why no group was scored."""
        found = f"{self.left_out:,} without a relevant candidate, {self.all_relevant:,} without an irrelevant one"
        of = plural(self.left_out + self.all_relevant, "group")
        return f"of {of} by {self.group!r} none can be ranked, {found} (relevant: {told_relevant(self.positive)})"


def told_relevant(positive: str | float) -> str:
    """Which candidates are relevant.

    Args:
        positive: see `Ranking`.

    Returns:
        In words.
    """
    if isinstance(positive, float):
        return f"at least {positive:.15g}"
    return repr(positive) if positive else "above 0"


def ranking(
    groups: Sequence[Hashable],
    relevant: Sequence[bool],
    scores: Sequence[float],
    group: str = "",
    positive: str | float = "",
) -> Ranking:
    r"""Score a ranking.

    The average precision of a group is the mean, over its relevant candidates, of the share of relevant ones among
    those down to it; the reciprocal rank is 1 / rank of the first relevant one. Of equal scores the relevant ones come
    last, so that no order of the file flatters. Groups without a relevant candidate, or without another one, say
    nothing about a ranking, and are left out.

    Args:
        groups: the group of each candidate.
        relevant: whether it is relevant.
        scores: what it is ranked by, the greatest first.
        group: the field of the groups.
        positive: see `Ranking`.

    Returns:
        Means over the groups that have both a relevant candidate and another one.

    Examples:
        >>> found = ranking(["q", "q", "q", "r"], [False, True, True, False], [3.0, 2.0, 1.0, 1.0])
        >>> round(found.map, 3), found.mrr, found.groups, found.left_out
        (0.583, 0.5, 1, 1)
    """
    candidates: dict[Hashable, list[tuple[float, bool]]] = {}
    for key, is_relevant, score in zip(groups, relevant, scores, strict=True):
        candidates.setdefault(key, []).append((-score, is_relevant))
    precisions, reciprocals, left_out = [], [], 0
    for found in candidates.values():
        ranks = [rank for rank, (_, is_relevant) in enumerate(sorted(found), start=1) if is_relevant]
        left_out += not ranks
        if 0 < len(ranks) < len(found):
            precisions.append(sum(count / rank for count, rank in enumerate(ranks, start=1)) / len(ranks))
            reciprocals.append(1 / ranks[0])
    scored = len(precisions)
    average, reciprocal = (math.fsum(values) / scored if scored else None for values in (precisions, reciprocals))
    all_relevant = len(candidates) - scored - left_out
    return Ranking(average, reciprocal, scored, left_out, all_relevant, group, positive)
