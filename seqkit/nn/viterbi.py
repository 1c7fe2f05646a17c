"""Maxima over all tag sequences of a chain: the best sequence and the n best ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from seqkit.nn.chain import Chain, working_type
from seqkit.nn.lag import LOWER_EVERY
from seqkit.nn.sequences import running_sum

_LEAST_GROUPED = 1 << 16
"""sums a step from which grouping the transitions pays; below it more function calls cost more than is saved"""


class TransitionGroups(NamedTuple):
    """Legal transitions: those into the largest group of tags that can follow the same tags, and those into the others.

    The marks of spans allow few transitions: after ``B-PER`` only ``I-PER`` and ``E-PER``. With 45 tags of BIOES,
    573 + 44 transitions are computed instead of 2,025.

    Args:
        order: the tags, those of the group first, and K for padding, [K + 1].
        place: the place of each tag in that order, [K].
        first: the places of the tags that the group can follow, [F].
        others: the places of the tags that each other tag can follow, padded to one size, [R, S].
    """

    order: Tensor
    place: Tensor
    first: Tensor
    others: Tensor

    def considered(self) -> int:
        """How many transitions are computed."""
        return len(self.first) * (len(self.place) - len(self.others)) + self.others.numel()


@lru_cache(maxsize=16)  # about as many as there are models in a process
def _group_transitions(legal: bytes, tags: int) -> TransitionGroups | None:
    """The groups of transitions, if grouping pays; `legal` is bool [K, K], from → to, as bytes."""
    table = torch.frombuffer(bytearray(legal), dtype=torch.bool).view(tags, tags)
    sources = [column.nonzero().flatten().tolist() or [tags] for column in table.t()]  # the tags that each can follow
    group = max(sources, key=lambda tag_sources: len(tag_sources) * sources.count(tag_sources))
    order = [*sorted(range(tags), key=lambda tag: sources[tag] != group), tags]
    rest = [torch.tensor(sources[tag]) for tag in order[:-1] if sources[tag] != group]
    others = pad_sequence(rest, batch_first=True, padding_value=tags) if rest else torch.zeros(0, 1, dtype=torch.int64)
    place = torch.tensor(order).argsort()  # [K + 1]
    groups = TransitionGroups(torch.tensor(order), place[:-1], place[group], place[others])
    return groups if groups.considered() <= tags * tags / 2 else None


def _grouped_step(groups: TransitionGroups, chain: Chain, batch: int) -> Callable[[Tensor, Tensor], None]:
    """One step of the recursion over groups: adds to `now` [K + 1, B] the best path there from `before` [K + 1, B]."""
    wide = functional.pad(chain.transitions, (0, 1, 0, 1), value=-torch.inf)  # [K + 1, K + 1]
    wide = wide[groups.order][:, groups.order]
    (rest, width), sources = groups.others.shape, groups.others.flatten()
    split = len(groups.place) - rest
    first = wide[groups.first, :split].unsqueeze(2)  # [F, N, 1]
    paths, best = first.new_empty(*first.shape[:2], batch), first.new_empty(split, batch)
    others = wide[groups.others, torch.arange(split, split + rest)[:, None]].unsqueeze(2)  # [R, S, 1]
    other_paths, other_best = others.new_empty(rest, width, batch), others.new_empty(rest, batch)

    def step(before: Tensor, now: Tensor) -> None:
        torch.add(before.index_select(0, groups.first).unsqueeze(1), first, out=paths)
        now[:split] += torch.amax(paths, 0, out=best)
        torch.add(before.index_select(0, sources).view(rest, width, batch), others, out=other_paths)
        now[split:-1] += torch.amax(other_paths, 1, out=other_best)

    return step


def _plain_step(chain: Chain, batch: int) -> Callable[[Tensor, Tensor], None]:
    """The same over all K² transitions."""
    transitions = chain.transitions[:, :, None]  # [K, K, 1]
    paths, best = transitions.new_empty(*transitions.shape[:2], batch), transitions.new_empty(len(transitions), batch)

    def step(before: Tensor, now: Tensor) -> None:
        torch.add(before[:, None], transitions, out=paths)
        now += torch.amax(paths, 0, out=best)

    return step


def search(
    method: Callable[[Chain, TransitionGroups | None], tuple[Tensor, Tensor]], chain: Chain
) -> tuple[Tensor, Tensor]:
    """Search a batch in parts that fit the workspace, with grouped transitions if the batch is large enough to pay.

    Args:
        method: searches a part, given the groups of its transitions: `best_paths` or `n_best_paths`.
        chain: the scores.

    Returns:
        The results of the method for all rows.
    """
    count, groups = chain.transitions.numel(), None
    if chain.emissions.device.type == "cpu" and len(chain.emissions) * count >= _LEAST_GROUPED:
        legal = chain.transitions.isneginf().logical_not()  # [K, K]
        groups = _group_transitions(legal.numpy().tobytes(), len(legal))
    parts = chain.parts(count if groups is None else groups.considered())
    tags, scores = zip(*(method(part, groups) for _, part in parts), strict=True)
    return torch.cat(tags), torch.cat(scores)


def _best_prefixes(chain: Chain, groups: TransitionGroups | None) -> tuple[Tensor, Tensor]:
    """Score of the best path to each tag, its emission included, less an offset.

    Args:
        chain: the scores.
        groups: the groups of transitions; None computes all of them.

    Returns:
        The scores, [T, B, K], and what has been subtracted from them at each step, [T, B], so that they stay small and
        precise in float32, however long the row.
    """
    batch, steps, _ = chain.emissions.shape
    # Rows come last here: the maximum over the previous tag is then over contiguous [K * B] vectors, two to five times
    # as fast as within [B, K, K].
    if groups is None:
        # Always a copy: with sizes of one the permuted view is contiguous, and the emissions must not be changed.
        scores = chain.emissions.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)  # [T, K, B]
        start, step = chain.start, _plain_step(chain, batch)
    else:
        emissions = chain.emissions.permute(1, 2, 0)  # [T, K, B]
        # Not `functional.pad`: some versions of torch pad no empty batch.
        nowhere = emissions.new_full((steps, 1, batch), -torch.inf)  # [T, 1, B]
        wide = torch.cat([emissions, nowhere], 1)  # [T, K + 1, B]
        scores = wide.index_select(1, groups.order)  # [T, K', B]
        start = functional.pad(chain.start, (0, 1), value=-torch.inf)[groups.order]  # [K']
        step = _grouped_step(groups, chain, batch)
    scores[0] += start[:, None]
    lowered = scores.new_zeros(steps, batch, dtype=working_type(scores.device))  # [T, B]
    least = torch.finfo(scores.dtype).min
    for number, (before, now) in enumerate(pairwise(scores.unbind()), 1):  # each [K', B]
        step(before, now)
        if number % LOWER_EVERY == 0:
            peak = now.amax(0).clamp_(min=least)  # [B]
            now -= peak
            lowered[number] = peak
    prefixes = scores.transpose(1, 2)  # [T, B, K']
    prefixes = prefixes.contiguous() if groups is None else prefixes.index_select(2, groups.place)  # [T, B, K]
    return prefixes, running_sum(lowered, 0)


def best_paths(chain: Chain, groups: TransitionGroups | None) -> tuple[Tensor, Tensor]:
    """The best tag sequence of each row (Viterbi 1967).

    Args:
        chain: the scores.
        groups: see `search`.

    Returns:
        tags [B, T] int64 and their scores [B]. Past a row's end, and if no sequence is legal (its score is -inf), the
        tags have no meaning.
    """
    # No back-pointers are stored: backtracking recomputes which tag was best before, for one tag a row instead of K.
    prefixes, lowered = _best_prefixes(chain, groups)  # [T, B, K], [T, B]
    last = chain.last()
    totals, tag = (prefixes[last] + chain.end).max(1)  # [B]
    into = chain.transitions.t().contiguous()  # [to, from]
    path = [tag]
    for step in range(len(prefixes) - 2, -1, -1):
        # Not argmax, which takes twice as long.
        before = into.index_select(0, path[-1]).add_(prefixes[step]).max(1)[1]  # [B]
        # Until a row's own last step is reached, its final tag is kept.
        path.append(before if chain.equal else torch.where(step < last[0], before, tag))
    return torch.stack(path[::-1], 1), totals + lowered[last]


def n_best_paths(chain: Chain, groups: TransitionGroups | None, n: int) -> tuple[Tensor, Tensor]:
    """The n best tag sequences of each row, best first.

    The tree-trellis search of Soong and Huang (1991): best prefixes of all tags forwards, then the n best suffixes
    backwards. A suffix is ranked by its score plus that of the best prefix it can follow, which is the score of a
    whole sequence, so that no suffix of the n best sequences can be lost.

    Args:
        chain: the scores.
        groups: see `search`.
        n: how many.

    Returns:
        tags [B, n, T] int64 and their scores [B, n], descending; -inf if there are fewer than n legal sequences. Past
        a row's end, and if the score is -inf, the tags have no meaning.
    """
    prefixes, lowered = _best_prefixes(chain, groups)  # [T, B, K], [T, B]
    prefixes = prefixes + lowered[:, :, None]  # [T, B, K]
    steps, batch, tags = prefixes.shape
    last, rows = chain.last()  # [B]
    into = chain.transitions.t().contiguous()  # [to, from]
    # n suffixes a row, each known by its first tag; missing ones are filled up with suffixes of score -inf.
    width = min(n, tags)
    totals, suffixes = prefixes.new_full((2, batch, n), -torch.inf)
    tag = last.new_zeros(batch, n)
    final = prefixes[last, rows] + chain.end  # [B, K]
    totals[:, :width], tag[:, :width] = final.topk(width, 1)
    suffixes[:, :width] = chain.end[tag[:, :width]]  # the score after the first tag, its emission not included
    path, parents = [tag], []
    for step in range(steps - 2, -1, -1):
        ahead = suffixes + chain.emissions[:, step + 1].gather(1, tag)  # [B, n]
        paths = (into[tag] + ahead[:, :, None]).flatten(1)  # [B, n * K]
        best, chosen = (paths.view(batch, n, tags) + prefixes[step][:, None]).flatten(1).topk(n, 1)  # [B, n]
        inside = (step < last)[:, None]  # [B, 1]
        totals = torch.where(inside, best, totals)
        suffixes = torch.where(inside, paths.gather(1, chosen), suffixes)
        tag = torch.where(inside, chosen % tags, tag)
        path.append(tag)
        parents.append(torch.where(inside, chosen // tags, torch.arange(n, device=chosen.device)))
    choice = torch.arange(n, device=tag.device).expand(batch, n)  # [B, n], which suffix of a step
    result = [path.pop()]
    while path:
        choice = parents.pop().gather(1, choice)
        result.append(path.pop().gather(1, choice))
    return torch.stack(result, 2), totals
