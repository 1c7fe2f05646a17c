r"""The best labels of sequences by a tagger and a language model of what the labels spell: beam search.

A tagger that decides on each step by itself knows nothing of which labels follow each other; a language model does, and
may have learned it from other texts. A sequence of labels y is judged by

.. math:: \sum_t \ln p(y_t | x) + \alpha \ln p_\text{LM}(y)

with the weight of the language model, which reads one unit a label and then the end of its text. Input methods choose
characters for what is typed in this way (Chen and Lee 2000, "A new statistical approach to Chinese pinyin input"), with
a network instead of their typing model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from seqkit.nn.chain import working_type
from seqkit.nn.parts import workspace
from seqkit.nn.search import SearchState, Step, select_rows
from seqkit.nn.sequences import to_device

LabelScores = Callable[[Tensor, int], Tensor]
"""numbers of sequences, int64 [N], and a step → ln p of every label of each at that step, [N, K]"""


class LabelUnits(NamedTuple):
    """A language model that reads labels, one unit a label.

    Attributes:
        step: reads a unit and gives the distribution of the next one: see `seqkit.nn.search.Step`.
        state: the state before `last`, of one sequence.
        last: the unit that stands before a text, int64 [1], on the language model's device.
        units: the unit of each label, int64 [K], on that device.
        end: the unit that ends a text.
    """

    step: Step
    state: SearchState
    last: Tensor
    units: Tensor
    end: int


class JudgedLabels(NamedTuple):
    """A sequence of labels that was found.

    Attributes:
        labels: the label of each step.
        score: what it is judged by.
        log_prob: ln p of the labels under the tagger, in nats.
        lm: ln p of what they spell, and of its end, under the language model, in nats.
    """

    labels: list[int]
    score: float
    log_prob: float
    lm: float


@torch.no_grad()
def label_beam_search(
    log_probabilities: LabelScores, lengths: Tensor, model: LabelUnits, *, weight: float, beam: int, nbest: int = 1
) -> list[list[JudgedLabels]]:
    """Find the best labels of sequences.

    The `beam` best prefixes of each length are kept, out of all labels after each. The search is exact if `beam` is at
    least the number of prefixes of each length.

    Args:
        log_probabilities: ln p of labels, asked step by step, so that those of all steps need not exist together.
        lengths: steps of each sequence, int64 [B], on the CPU.
        model: the language model.
        weight: its weight.
        beam: how many prefixes are kept at each step, at least 1.
        nbest: how many sequences of labels to return, at most `beam`.

    Returns:
        Of each of the B at most `nbest` different sequences of labels, best first, and at least one.

    Raises:
        ValueError: `beam` or `nbest` is outside its range.
    """
    if not 1 <= nbest <= beam:
        raise ValueError(f"expected nbest of at least 1 and at most beam, found {nbest} and {beam}")
    device, exact = model.last.device, working_type(model.last.device)
    order = lengths.argsort(descending=True, stable=True)  # [B]
    steps = lengths[order].tolist()
    rows = to_device(order, device)  # [B]: the sequences, the longest first
    tags = rows.new_empty(len(rows), 1, 0)  # [B, N, t]: the prefixes
    tagger = torch.zeros(len(rows), 1, dtype=exact, device=device)  # [B, N]: ln p of each under the tagger
    lm = torch.zeros_like(tagger)  # [B, N]: and under the language model
    last = model.last.expand(len(rows))  # [B · N]
    state = select_rows(model.state, torch.zeros_like(rows))
    found: list[list[JudgedLabels]] = [[] for _ in steps]
    for step in range(max(steps, default=-1) + 1):
        read, state = model.step(last, state)  # [B · N, V]
        ends = read[:, model.end].to(exact).view(lm.shape)  # [B, N]
        going = sum(length > step for length in steps)  # B': the others end here
        for row in range(going, len(rows)):
            found[int(order[row])] = _ranked(tags[row], tagger[row], lm[row] + ends[row], weight, nbest)
        if not going:
            break
        rows, steps = rows[:going], steps[:going]
        given = log_probabilities(order[:going], step).to(device, exact)  # [B', K]
        own = tagger[:going, :, None] + given[:, None]  # [B', N, K]
        read = read[: going * lm.shape[1]]  # [B' · N, V]
        spelled = read.gather(1, model.units.expand(len(read), -1)).to(exact)  # [B' · N, K]
        theirs = lm[:going, :, None] + spelled.view(own.shape)  # [B', N, K]
        judged = _judged(own, theirs, weight).flatten(1)  # [B', N · K]
        places = judged.topk(min(beam, judged.shape[1])).indices  # [B', N']
        before, label = places // own.shape[2], places % own.shape[2]  # [B', N']
        tagger, lm = own.flatten(1).gather(1, places), theirs.flatten(1).gather(1, places)  # [B', N']
        tags = tags[:going].gather(1, before[:, :, None].expand(-1, -1, step))  # [B', N', t]
        tags = torch.cat([tags, label[:, :, None]], 2)  # [B', N', t + 1]
        first = torch.arange(going, device=device)[:, None] * own.shape[1]  # [B', 1]
        state, last = select_rows(state, (first + before).flatten()), model.units[label.flatten()]  # [B' · N']
    return found


def sequences_together(beam: int, model: LabelUnits, labels: int) -> int:
    """How many sequences `label_beam_search` should be given at a time.

    Args:
        beam: how many prefixes are kept of each.
        model: the language model.
        labels: K.

    Returns:
        So many that the scores of the next label of all prefixes are in the device's `workspace`.
    """
    return max(1, workspace(model.last.device) // (8 * beam * labels))


def _judged(own: Tensor, theirs: Tensor, weight: float) -> Tensor:
    return torch.add(own, theirs, alpha=weight) if weight else own  # 0 · ∞ is not a number


def _ranked(tags: Tensor, tagger: Tensor, lm: Tensor, weight: float, nbest: int) -> list[JudgedLabels]:
    """The best of a sequence's prefixes [N, t] that have come to its end, with both ln p [N] of each."""
    scores, places = _judged(tagger, lm, weight).topk(min(nbest, len(tags)))  # [n] each
    chosen = zip(tags[places].tolist(), scores.tolist(), tagger[places].tolist(), lm[places].tolist(), strict=True)
    return [JudgedLabels(*parts) for parts in chosen]
