"""The Viterbi recursion with a fixed lag: tags of a sequence that is still going on."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

LOWER_EVERY = 32
"""steps between two reductions of the scores, which would grow along a long sequence"""


class LaggedViterbi:
    """The tag of step t is that on the best path to step t + N, and is decided as soon as that step has been seen.

    A tag that was decided is not taken back: what follows is searched among the paths through it, or through one like
    it where tags stand for the same. With N ≥ T the result is the best sequence (Viterbi 1967). What is kept are N
    steps, however long the sequence is. A step takes as long as two of the Viterbi recursion where all paths agree on
    the tag, as they mostly do if N is not too small; otherwise the N steps are searched again.

    Args:
        start: scores of the first tag, [K], -inf where illegal, as the next two.
        transitions: from → to, [K, K].
        end: scores of the last tag, [K].
        lag: N, at least 0.
        classes: the class of each tag, int64 [K], of which that is decided and not the tag; by default each has its
            own.

    Raises:
        ValueError: `lag` is negative.
    """

    def __init__(
        self, start: Tensor, transitions: Tensor, end: Tensor, lag: int, classes: Tensor | None = None
    ) -> None:
        if lag < 0:
            raise ValueError(f"expected a lag of at least 0, found {lag}")
        self._start, self._transitions, self._end = start, transitions, end
        self._lag = lag
        self._every = torch.arange(len(start), device=start.device)  # [K]
        self._classes = self._every if classes is None else classes
        self._begin()

    def _begin(self) -> None:
        self._open: deque[Tensor] = deque()  # the emissions of the steps whose tag is not decided, [B, K] each
        self._paths = _Paths()  # from the first open step to the last
        self._before = self._start  # of the best path up to each tag of the first open step, [K] or [B, K]
        self._scores = self._start  # of the best path to each tag of the last step, [B, K]
        self._steps = 0

    def accept(self, emissions: Tensor) -> Tensor:
        """Read the next steps of B sequences of equal length.

        Args:
            emissions: [B, t, K] scores, in the type and on the device of those of transitions; t may be 0.

        Returns:
            The tags that are now decided, int64 [B, n], in order.
        """
        decided = [torch.zeros(len(emissions), 0, dtype=torch.int64, device=emissions.device)]
        for emission in emissions.unbind(1):  # [B, K]
            self._advance(emission)
            if len(self._open) > self._lag:
                decided.append(self._decide())
        return torch.cat(decided, 1)

    def finish(self) -> Tensor:
        """End the sequences; what comes next begins others.

        Returns:
            The tags that were not decided yet, int64 [B, n]; [1, 0] where nothing was read. If none may end a sequence
            after what has been decided, the end is not considered.
        """
        scores = torch.atleast_2d(self._scores)  # [B, K]
        ended = scores + self._end  # [B, K]
        scores = torch.where(ended.isneginf().all(1, keepdim=True), scores, ended)
        last = scores.argmax(1, keepdim=True)  # [B, 1]
        tags = [last[:, :0]]
        while self._open:
            tags.append(self._paths.first(last))
            self._close()
        self._begin()
        return torch.cat(tags, 1)

    def _advance(self, emission: Tensor) -> None:
        """Continue the paths by a step."""
        if self._open:
            best, before = (self._scores.unsqueeze(2) + self._transitions).max(1)  # [B, K]
            self._paths.append(before)
            self._scores = best.add_(emission)
        else:
            self._scores = self._before + emission
        if self._steps and self._steps % LOWER_EVERY == 0:
            _lower(self._scores)
        self._open.append(emission)
        self._steps += 1

    def _decide(self) -> Tensor:
        """Decide the first open step, [B, 1]."""
        first = self._paths.first(self._every.expand(self._scores.shape))  # [B, K], where the best path comes from
        tag = first.gather(1, self._scores.argmax(1, keepdim=True))  # [B, 1]
        others = self._classes[tag] != self._classes  # [B, K]
        through = (self._before + self._open[0]).masked_fill(others, -torch.inf)  # [B, K]
        self._before = (through.unsqueeze(2) + self._transitions).amax(1)  # [B, K]
        if self._steps % LOWER_EVERY == 0:
            _lower(self._before)
        self._close()
        if self._open and bool((others.gather(1, first) & (self._scores > -torch.inf)).any()):
            # The best path to some tag came from another one: there may be one to it from this one, too.
            again, self._open, self._paths = self._open, deque(), _Paths()
            for emission in again:
                self._advance(emission)
        return tag

    def _close(self) -> None:
        self._open.popleft()
        if self._open:
            self._paths.pop()


def _lower(scores: Tensor) -> None:
    """Subtract the largest score of each row, [B, K]; only differences matter."""
    scores.sub_(scores.amax(1, keepdim=True).clamp_(min=torch.finfo(scores.dtype).min))


class _Paths:
    """The best paths from the first open step to the last: maps from the tags of a step to those before them, [B, K].

    The first step is asked for after every step, so that the composition of all maps is kept: of a queue, by two stacks
    (the older maps are composed with all those after them once, when they come to be the first), with one or two
    compositions a step on average, whatever the lag.
    """

    def __init__(self) -> None:
        self._older: list[Tensor] = []  # each composed with the older ones after it, the first step's at the end
        self._newer: list[Tensor] = []
        self._composed: Tensor | None = None  # of the newer ones

    def append(self, before: Tensor) -> None:
        """Continue the paths by a step: before it stood which tag, [B, K]."""
        self._newer.append(before)
        self._composed = before if self._composed is None else self._composed.gather(1, before)

    def first(self, tags: Tensor) -> Tensor:
        """The tags of the first open step on the paths to some tags of the last one, [B, n]."""
        tags = tags if self._composed is None else self._composed.gather(1, tags)
        return self._older[-1].gather(1, tags) if self._older else tags

    def pop(self) -> None:
        """Leave out the first step."""
        if not self._older:
            while self._newer:
                before = self._newer.pop()
                self._older.append(before.gather(1, self._older[-1]) if self._older else before)
            self._composed = None
        self._older.pop()
