"""Maxima over all tag sequences of a chain: the best one, the n best ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from seqkit.nn.chain import Chain, working_type

__all__ = ["best_paths", "n_best_paths"]

_LOWER_EVERY = 32
"""steps between two lowerings of the scores"""
_LEAST_GROUPED = 1 << 16
"""sums a step from which on it pays to group moves: below it calling more functions costs more than it saves"""


class _Moves(NamedTuple):
    """Legal moves between tags, those into tags that can follow the same tags put together.

    The marks of spans allow few moves: after ``B-PER`` only ``I-PER`` and ``E-PER``. The group of most moves stands for
    itself, the others are padded to one size: of 45 tags of BIOES, 573 + 44 moves are looked at instead of 2,025.

    Args:
        order: the tags in the order of the groups; K stands for padding, [K'].
        place: where each tag stands in that order, [K].
        first: the tags before, of the first group, [F₁].
        others: those of the other groups, one group after the other, [G · F₂]; none where all are in the first.
        sizes: how many tags follow in the first group; G, F₂, and how many tags follow in each of the others.
    """

    order: Tensor
    place: Tensor
    first: Tensor
    others: Tensor
    sizes: tuple[int, int, int, int]

    def considered(self) -> int:
        """How many moves are looked at."""
        follow, groups, sources, targets = self.sizes
        return len(self.first) * follow + groups * sources * targets


@lru_cache(maxsize=16)  # as many as there are models in a process, or nearly
def _grouped_moves(legal: bytes, tags: int) -> _Moves | None:
    """The groups of moves, if it pays to tell them apart; `legal` is bool [K, K], from → to, as bytes."""
    table = torch.frombuffer(bytearray(legal), dtype=torch.bool).view(tags, tags)
    groups: dict[tuple[int, ...], list[int]] = {}
    for tag, column in enumerate(table.t().unbind()):
        groups.setdefault(tuple(column.nonzero().flatten().tolist()), []).append(tag)
    (first, targets), *rest = sorted(groups.items(), key=lambda group: -len(group[0]) * len(group[1]))
    before = max((len(sources) or 1 for sources, _ in rest), default=0)
    after = max((len(follow) for _, follow in rest), default=0)
    if not first or len(first) * len(targets) + len(rest) * before * after > tags * tags / 2:
        return None
    order, others = list(targets), []
    for sources, follow in rest:
        order += [*follow, *[tags] * (after - len(follow))]
        others += [*sources, *[tags] * (before - len(sources))]
    place = [order.index(tag) for tag in range(tags)]
    padding = order.index(tags) if tags in order else len(order)  # the row of a tag that nothing can come from
    rows = torch.tensor([*place, padding])
    return _Moves(
        torch.tensor(order if tags in order else [*order, tags]),
        rows[:-1],
        rows[list(first)],
        rows[others],
        (len(targets), len(rest), before, after),
    )


def _grouped_step(moves: _Moves, chain: Chain, batch: int) -> Callable[[Tensor, Tensor], None]:
    """One step of the recursion over groups: adds to `now` [K', B] the best way there from `before` [K', B]."""
    wide = functional.pad(chain.transitions, (0, 1, 0, 1), value=-torch.inf)  # [K + 1, K + 1]
    follow, groups, sources, targets = moves.sizes
    first = wide[moves.order[moves.first]][:, moves.order[:follow]].unsqueeze(2)  # [F, N, 1]
    ways, best = first.new_empty(*first.shape[:2], batch), first.new_empty(follow, batch)
    from_tags = moves.order[moves.others].view(groups, sources, 1)  # [G, F, 1]
    to_tags = moves.order[follow : follow + groups * targets].view(groups, 1, targets)  # [G, 1, N]
    rest = wide[from_tags, to_tags].unsqueeze(3)  # [G, F, N, 1]
    rest_ways, rest_best = rest.new_empty(*rest.shape[:3], batch), rest.new_empty(groups, targets, batch)
    sum_of_rest = rest_best.view(groups * targets, batch)

    def step(before: Tensor, now: Tensor) -> None:
        torch.add(before.index_select(0, moves.first).unsqueeze(1), first, out=ways)
        now[:follow] += torch.amax(ways, 0, out=best)
        if groups:
            torch.add(before.index_select(0, moves.others).view(groups, sources, 1, batch), rest, out=rest_ways)
            torch.amax(rest_ways, 1, out=rest_best)
            now[follow : follow + groups * targets] += sum_of_rest

    return step


def _plain_step(chain: Chain, batch: int) -> Callable[[Tensor, Tensor], None]:
    """The same over all K² moves."""
    moves = chain.transitions[:, :, None]  # [K, K, 1]
    ways, best = moves.new_empty(*moves.shape[:2], batch), moves.new_empty(len(moves), batch)

    def step(before: Tensor, now: Tensor) -> None:
        torch.add(before[:, None], moves, out=ways)
        now += torch.amax(ways, 0, out=best)

    return step


def _moves_of(chain: Chain) -> _Moves | None:
    """The groups of a chain's moves, where a batch is large enough for them to be faster."""
    tags = len(chain.start)
    if chain.emissions.device.type != "cpu" or len(chain.emissions) * tags * tags < _LEAST_GROUPED:
        return None
    return _grouped_moves(chain.transitions.isneginf().logical_not().numpy().tobytes(), tags)


def _in_parts(search: Callable[[Chain], tuple[Tensor, Tensor]], chain: Chain) -> tuple[Tensor, Tensor]:
    """Search a batch in parts that fit the workspace."""
    moves = _moves_of(chain)
    parts = chain.parts(0 if moves is None else moves.considered())
    if len(parts) == 1:
        return search(chain)
    tags, scores = zip(*(search(chain.rows(part)) for part in parts), strict=True)
    return torch.cat(tags), torch.cat(scores)


def _best_prefixes(chain: Chain) -> tuple[Tensor, Tensor]:
    """Score of the best way to each tag, its emission included, [T, B, K], less what a row's scores have been lowered
    by at that step, [T, B]: so that they stay small, and precise in float32, however long the row."""  # noqa: D205, D209
    batch, steps, _ = chain.emissions.shape
    # Rows stand last here: the maximum over the tag before is then over contiguous [K * B] vectors, two to five times
    # as fast as within [B, K, K].
    # A copy in any case: sizes of one make the permuted view contiguous, and the emissions are not ours to change.
    moves = _moves_of(chain)
    if moves is None:
        scores = chain.emissions.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)  # [T, K, B]
        start, step = chain.start, _plain_step(chain, batch)
    else:
        wide = functional.pad(chain.emissions.permute(1, 2, 0), (0, 0, 0, 1), value=-torch.inf)  # [T, K + 1, B]
        scores = wide.index_select(1, moves.order)  # [T, K', B]
        start = functional.pad(chain.start, (0, 1), value=-torch.inf)[moves.order]  # [K']
        step = _grouped_step(moves, chain, batch)
    scores[0] += start[:, None]
    lowered = scores.new_zeros(steps, batch, dtype=working_type(scores.device))  # [T, B]
    least = torch.finfo(scores.dtype).min
    each = scores.unbind()  # T of [K', B]
    for number, (before, now) in enumerate(pairwise(each), 1):
        step(before, now)
        if number % _LOWER_EVERY == 0:
            peak = now.amax(0).clamp_(min=least)  # [B]
            now -= peak
            lowered[number] = peak
    prefixes = scores.transpose(1, 2)  # [T, B, K']
    return prefixes.contiguous() if moves is None else prefixes.index_select(2, moves.place), lowered.cumsum_(0)


def best_paths(chain: Chain) -> tuple[Tensor, Tensor]:
    """The best tag sequence of each row (Viterbi 1967).

    Args:
        chain: the scores.

    Returns:
        tags [B, T] int64 and their scores [B]. Past a row's end, and where no sequence is legal (its score is -inf),
        the tags mean nothing.
    """
    return _in_parts(_best_paths, chain)


def _best_paths(chain: Chain) -> tuple[Tensor, Tensor]:
    # No back-pointers are kept: the way back asks again which tag was best before, for one tag a row instead of K.
    prefixes, lowered = _best_prefixes(chain)  # [T, B, K], [T, B]
    at_end = chain.last(), torch.arange(prefixes.shape[1], device=prefixes.device)
    totals, tag = (prefixes[at_end] + chain.end).max(1)  # [B]
    into = chain.transitions.t().contiguous()  # [to, from]
    path = [tag]
    for step in range(len(prefixes) - 2, -1, -1):
        # Not argmax, which takes twice as long.
        before = into.index_select(0, path[-1]).add_(prefixes[step]).max(1)[1]  # [B]
        # Until a row's own last step is reached the final tag is carried along.
        path.append(before if chain.equal else torch.where(step < at_end[0], before, tag))
    return torch.stack(path[::-1], 1), totals + lowered[at_end]


def n_best_paths(chain: Chain, n: int) -> tuple[Tensor, Tensor]:
    """The n best tag sequences of each row, best first.

    The tree-trellis search of Soong and Huang (1991): best prefixes of all tags forwards, then the n best suffixes
    backwards. A suffix is ranked by its score plus that of the best prefix it can follow, which is the score of a
    whole sequence, so that no suffix of the n best sequences can fall out.

    Args:
        chain: the scores.
        n: how many.

    Returns:
        tags [B, n, T] int64 and their scores [B, n], descending; -inf where there are fewer than n legal sequences.
        Past a row's end, and where the score is -inf, the tags mean nothing.
    """
    return _in_parts(partial(_n_best_paths, n=n), chain)


def _n_best_paths(chain: Chain, n: int) -> tuple[Tensor, Tensor]:
    prefixes, lowered = _best_prefixes(chain)  # [T, B, K], [T, B]
    prefixes = prefixes + lowered[:, :, None]  # [T, B, K]
    steps, batch, tags = prefixes.shape
    last = chain.last()[:, None]  # [B, 1]
    rows = torch.arange(batch, device=last.device)[:, None]  # [B, 1]
    into = chain.transitions.t().contiguous()  # [to, from]
    # n suffixes a row, each known by its first tag; suffixes of score -inf fill up what there is not.
    width = min(n, tags)
    totals, suffixes = prefixes.new_full((2, batch, n), -torch.inf)
    tag = last.new_zeros(batch, n)
    final = prefixes[last, rows].squeeze(1) + chain.end  # [B, K]
    totals[:, :width], tag[:, :width] = final.topk(width, 1)
    suffixes[:, :width] = chain.end[tag[:, :width]]  # all that follows the first tag, its emission not included
    path, parents = [tag], []
    for step in range(steps - 2, -1, -1):
        ahead = suffixes + chain.emissions[:, step + 1].gather(1, tag)  # [B, n]
        ways = (into[tag] + ahead[:, :, None]).flatten(1)  # [B, n * K]
        best, way = (ways.view(batch, n, tags) + prefixes[step][:, None]).flatten(1).topk(n, 1)  # [B, n]
        inside = step < last  # [B, 1]
        totals = torch.where(inside, best, totals)
        suffixes = torch.where(inside, ways.gather(1, way), suffixes)
        tag = torch.where(inside, way % tags, tag)
        path.append(tag)
        parents.append(torch.where(inside, way // tags, torch.arange(n, device=way.device)))
    choice = torch.arange(n, device=tag.device).expand(batch, n)  # [B, n], which suffix of a step
    result = [path.pop()]
    while path:
        choice = parents.pop().gather(1, choice)
        result.append(path.pop().gather(1, choice))
    return torch.stack(result, 2), totals
