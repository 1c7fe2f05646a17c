"""Attention: for every query a weighted mean of the steps of another sequence, its memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.sequences import length_mask, to_device

ATTENTIONS = ("dot", "general", "additive")


class Memory(NamedTuple):
    """What queries look at, prepared once for all of them. Every part has the batch first, so that rows can be chosen.

    Attributes:
        keys: what energies are computed from, [B, N, T, K] for N heads.
        values: what is averaged, [B, N, T, A].
        mask: 0 at the steps of a sequence and −∞ at its padding, [B, 1, 1, T].
        lengths: the number of steps of each sequence, [B], as floats on the device.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor
    lengths: Tensor

    def rows(self, index: Tensor) -> Memory:
        """The memory of some sequences, int64 [M]."""
        return Memory(*(part.index_select(0, index) for part in self))


def joined(memories: Sequence[Memory]) -> Memory:
    """Several memories of the same B sequences as one, one after the other."""
    keys, values, masks, lengths = zip(*memories, strict=True)
    return Memory(torch.cat(keys, 2), torch.cat(values, 2), torch.cat(masks, 3), torch.stack(lengths).sum(0))


class Attention(nn.Module):
    r"""Energies between queries and the steps of a memory, their softmax over the steps, and the mean that it weights.

    .. math:: \alpha_j = \mathrm{softmax}_j(e(q, m_j)), \qquad c = \sum_j \alpha_j m_j

    with the energy of one of these kinds:

    - ``dot``: :math:`q^\top m_j` (Luong, Pham & Manning 2015, "Effective approaches to attention-based neural machine
      translation"), which needs vectors of one size;
    - ``general``: :math:`q^\top W m_j` (the same);
    - ``additive``: :math:`v^\top \tanh(W q + U m_j)` (Bahdanau, Cho & Bengio 2015, "Neural machine translation by
      jointly learning to align and translate").

    With N heads each computes energies in its own K / N features of W q and U m (Vaswani et al. 2017), scaled by
    :math:`\sqrt{N / K}` if they are products, and weights its own share of a projection of the memory.

    With a `window` D, attention is local (Luong et al. 2015, local-p): it is centred at the step
    :math:`p = (T - 1)\, \sigma(v_p^\top \tanh(W_p q))`, and :math:`-(j - p)^2 / 2 (D / 2)^2` is added to the
    energies. The weights are normalised with it, so that they sum to one.

    With `coverage` (See, Liu & Manning 2017, "Get to the point"), :math:`w_c \sum_{t' < t} \alpha_{t'j}` is added
    inside the tanh of the additive energy, so that a query knows what was looked at before.

    Args:
        query_size: Q.
        memory_size: M.
        kind: one of `ATTENTIONS`.
        heads: N.
        window: D, twice the standard deviation around the centre, in steps; 0 for attention to all of the memory.
        coverage: whether energies depend on what earlier queries looked at.
        dropout: the probability of dropping a weight in training.

    Attributes:
        output_size: A · N, the size of the result: M.

    Raises:
        ValueError: there is no such kind, or an option does not fit the kind or the sizes.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        kind: str = "general",
        heads: int = 1,
        window: float = 0.0,
        coverage: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in ATTENTIONS:
            raise ValueError(f"expected an attention among {', '.join(ATTENTIONS)}, found {kind!r}")
        if kind == "dot" and query_size != memory_size:
            raise ValueError(
                f"dot needs vectors of one size, and these have {query_size} and {memory_size}; use general"
            )
        if heads < 1 or (heads > 1 and (kind == "dot" or query_size % heads or memory_size % heads)):
            sizes = f"sizes of {query_size} and {memory_size} by kind {kind}"
            raise ValueError(
                f"{heads} heads need general or additive attention and sizes that they divide, found {sizes}"
            )
        if coverage and kind != "additive":
            raise ValueError(f"coverage needs additive attention, found {kind}")
        self.kind = kind
        self.heads = heads
        self.window = window
        self.output_size = memory_size
        self.dropout = dropout
        several = heads > 1
        self.key = nn.Linear(memory_size, query_size, bias=False) if kind != "dot" else None
        self.query = nn.Linear(query_size, query_size) if kind == "additive" or several else None
        self.value = nn.Linear(memory_size, memory_size, bias=False) if several else None
        self.energy = nn.Parameter(torch.empty(heads, query_size // heads)) if kind == "additive" else None
        self.coverage = nn.Parameter(torch.zeros(heads, query_size // heads)) if coverage else None
        self.centre = (
            nn.Sequential(nn.Linear(query_size, query_size), nn.Tanh(), nn.Linear(query_size, 1)) if window else None
        )
        for layer in (self.key, self.query, self.value):
            if layer is not None:
                nn.init.xavier_uniform_(layer.weight)
        if self.energy is not None:
            nn.init.xavier_uniform_(self.energy)

    def prepare(self, memory: Tensor, lengths: Tensor) -> Memory:
        """Compute what does not depend on the queries.

        Args:
            memory: [B, T, M], T ≥ 1.
            lengths: steps of each sequence, int64 [B], on the CPU, each in 1 … T.

        Returns:
            See `Memory`.
        """
        keys = memory if self.key is None else self.key(memory)  # [B, T, K]
        values = memory if self.value is None else self.value(memory)  # [B, T, M]
        inside = length_mask(lengths, memory.shape[1])  # [B, T]
        mask = torch.zeros(inside.shape, dtype=keys.dtype).masked_fill_(~inside, -torch.inf)  # [B, T]
        # In float32 at least: bfloat16 has no 257.
        counts = lengths.to(torch.promote_types(keys.dtype, torch.float32))  # [B]
        mask, counts = to_device(mask, memory.device), to_device(counts, memory.device)
        return Memory(self._split(keys), self._split(values), mask[:, None, None], counts)

    def _split(self, vectors: Tensor) -> Tensor:
        """[B, T, D] → [B, N, T, D / N]."""
        return vectors.view(*vectors.shape[:2], self.heads, -1).transpose(1, 2)

    def weights(self, queries: Tensor, memory: Memory, covered: Tensor | None = None) -> Tensor:
        """How much every query looks at each step.

        Args:
            queries: [B, L, Q].
            memory: what `prepare` gave for B sequences.
            covered: the sum of the weights of earlier queries, [B, N, T], if there is `coverage`; for one query, L = 1.

        Returns:
            [B, N, L, T]; each row sums to one over the sequence's steps, and is zero on padding.
        """
        projected = self._split(queries if self.query is None else self.query(queries))  # [B, N, L, K]
        if self.energy is None:
            scale = 1.0 if self.heads == 1 else projected.shape[-1] ** -0.5
            energies = torch.matmul(projected * scale, memory.keys.transpose(2, 3))  # [B, N, L, T]
        else:
            sums = projected.unsqueeze(3) + memory.keys.unsqueeze(2)  # [B, N, L, T, K]
            if self.coverage is not None and covered is not None:
                sums = sums + covered[:, :, None, :, None] * self.coverage[:, None, None]  # [B, N, L, T, K]
            energies = torch.einsum("bnltk,nk->bnlt", torch.tanh(sums), self.energy)
        narrow = energies.dtype
        wide = torch.promote_types(narrow, torch.float32)
        if self.centre is not None:
            share = torch.sigmoid(self.centre(queries).to(wide))  # [B, L, 1]
            centres = share * (memory.lengths[:, None, None] - 1)  # [B, L, 1]
            steps = torch.arange(memory.mask.shape[-1], device=queries.device)  # [T]
            distance = (steps - centres) / (self.window / 2)  # [B, L, T]
            energies = energies.to(wide) - distance.square().unsqueeze(1) / 2
        masked = energies + memory.mask  # [B, N, L, T]
        found: Tensor = masked.softmax(3, dtype=wide).to(narrow)  # [B, N, L, T]
        return found

    def average(self, weights: Tensor, memory: Memory) -> Tensor:
        """The means of the memory.

        Args:
            weights: [B, N, L, T].
            memory: what `prepare` gave.

        Returns:
            [B, L, M].
        """
        kept = functional.dropout(weights, self.dropout, self.training)
        return torch.matmul(kept, memory.values).transpose(1, 2).flatten(2)  # [B, L, M]

    def forward(self, queries: Tensor, memory: Memory, covered: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Look at a memory.

        Args:
            queries: [B, L, Q].
            memory: what `prepare` gave for B sequences.
            covered: see `weights`.

        Returns:
            The means, [B, L, M], and the weights, [B, N, L, T].
        """
        weights = self.weights(queries, memory, covered)  # [B, N, L, T]
        return self.average(weights, memory), weights
