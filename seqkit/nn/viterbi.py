"""Maxima over all tag sequences of a chain: the best one, the n best ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from seqkit.nn.chain import Chain

__all__ = ["best_paths", "n_best_paths"]


def _in_parts(search: Callable[[Chain], tuple[Tensor, Tensor]], chain: Chain) -> tuple[Tensor, Tensor]:
    """Search a batch in parts that fit the workspace."""
    parts = chain.parts()
    if len(parts) == 1:
        return search(chain)
    tags, scores = zip(*(search(chain.rows(part)) for part in parts), strict=True)
    return torch.cat(tags), torch.cat(scores)


def _best_prefixes(chain: Chain) -> Tensor:
    """Score of the best way to each tag, its emission included: [T, B, K]."""
    batch, _, tags = chain.emissions.shape
    # Rows stand last here: the maximum over the tag before is then over contiguous [K * B] vectors, two to five times
    # as fast as within [B, K, K].
    # A copy in any case: sizes of one make the permuted view contiguous, and the emissions are not ours to change.
    scores = chain.emissions.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)  # [T, K, B]
    scores[0] += chain.start[:, None]
    moves = chain.transitions[:, :, None]  # [K, K, 1]
    ways, best = scores.new_empty(tags, tags, batch), scores.new_empty(tags, batch)
    each = scores.unbind()  # T of [K, B]
    for before, now in pairwise(each):
        torch.add(before[:, None], moves, out=ways)
        now += torch.amax(ways, 0, out=best)
    return scores.transpose(1, 2).contiguous()


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
    prefixes = _best_prefixes(chain)  # [T, B, K]
    last = chain.last()  # [B]
    final = prefixes[last, torch.arange(len(last), device=last.device)] + chain.end  # [B, K]
    totals, tag = final.max(1)  # [B]
    into = chain.transitions.t().contiguous()  # [to, from]
    path = [tag]
    for step in range(len(prefixes) - 2, -1, -1):
        before = into.index_select(0, path[-1]).add_(prefixes[step]).argmax(1)  # [B]
        # Until a row's own last step is reached the final tag is carried along.
        path.append(before if chain.equal else torch.where(step < last, before, tag))
    return torch.stack(path[::-1], 1), totals


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
    prefixes = _best_prefixes(chain)  # [T, B, K]
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
