"""What a text is generated from (labels, numbers, another text) → one vector, and the state that a decoder begins with.

Every part is a module with an `output_size` that takes what one field says of B texts and gives a vector for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.encoder import Encoder
from seqkit.nn.pooling import make_pooling
from seqkit.nn.recurrent import RecurrentLayer, State

__all__ = ["Condition", "ConditionInput", "InitialState", "LabelPart", "TextPart", "TextUnits", "VectorPart"]


_FARTHEST = 4.0
"""standard deviations from the mean, beyond which a number of a vector tells no more"""


class TextUnits(NamedTuple):
    """Texts as numbers.

    Attributes:
        units: int64 [B, T], padded with 0 at the end.
        lengths: the texts' lengths, int64 [B], on the CPU.
    """

    units: Tensor
    lengths: Tensor


ConditionInput = tuple["Tensor | TextUnits", ...]
"""what each field says of B texts: labels int64 [B], numbers [B, F], or `TextUnits`"""


class LabelPart(nn.Module):
    """A label's vector: one row of a trained table.

    Args:
        num_labels: K.
        size: E, the size of the vector.
    """

    def __init__(self, num_labels: int, size: int) -> None:
        super().__init__()
        self.output_size = size
        self.table = nn.Embedding(num_labels, size)

    def forward(self, labels: Tensor | TextUnits) -> Tensor:
        """Look labels up.

        Args:
            labels: int64 [B], each in 0 … K − 1.

        Returns:
            Vectors, [B, E].

        Raises:
            ValueError: the input is of another shape or kind.
        """
        if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.dtype != torch.int64:
            raise ValueError(f"expected labels int64 [B], found {_shape(labels)}")
        vectors: Tensor = self.table(labels)  # [B, E]
        return vectors


class VectorPart(nn.Module):
    r"""A vector of numbers, squashed into another: :math:`\tanh(W z + b)` with :math:`z = (v - \mu) / \sigma`.

    z is cut off at ±4, so that a number which hardly ever changes does not drown the others where it does.

    Args:
        mean: μ, what each number is on average, [F].
        scale: σ, how far each usually is from that, [F], each positive.
        size: E, the size of the result.

    Raises:
        ValueError: `mean` and `scale` are not two vectors of one size, or a scale is not positive.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, size: int) -> None:
        super().__init__()
        if mean.dim() != 1 or mean.shape != scale.shape or not bool((scale > 0).all()):
            found = f"shapes {list(mean.shape)} and {list(scale.shape)}"
            raise ValueError(f"expected a mean and a positive scale of one size [F], found {found}")
        self.output_size = size
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", scale.float())
        self.project = nn.Linear(len(mean), size)

    def forward(self, values: Tensor | TextUnits) -> Tensor:
        """Squash vectors.

        Args:
            values: [B, F].

        Returns:
            Vectors, [B, E].

        Raises:
            ValueError: the input is of another shape or kind.
        """
        if not isinstance(values, Tensor) or values.dim() != 2 or values.shape[1] != len(self.mean):
            raise ValueError(f"expected values of shape [B, {len(self.mean)}], found {_shape(values)}")
        standard = ((values.float() - self.mean) / self.scale).clamp(-_FARTHEST, _FARTHEST)  # [B, F]
        return torch.tanh(self.project(standard))  # [B, E]


class TextPart(nn.Module):
    """A text, read by an encoder and pooled.

    Args:
        num_units: V, the number of its units, padding and unknown included.
        size: E, the size of a unit's vector.
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        hidden_size: H of each of the encoder's two directions.
        pooling: a key of `seqkit.nn.pooling.POOLINGS`.
        dropout: the probability of dropping a feature of a unit's vector.
    """

    def __init__(
        self,
        num_units: int,
        size: int,
        *,
        cell: str = "lstm",
        hidden_size: int = 100,
        pooling: str = "mean",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.table = nn.Embedding(num_units, size, padding_idx=0)
        self.encoder = Encoder(size, cell=cell, hidden_size=hidden_size)
        self.pooling = make_pooling(pooling, self.encoder.output_size, self.encoder.forward_size)
        self.output_size = self.pooling.output_size

    def forward(self, texts: Tensor | TextUnits) -> Tensor:
        """Read texts.

        Args:
            texts: B texts; an empty one gives zeros.

        Returns:
            Vectors, [B, output_size].

        Raises:
            ValueError: the input is of another kind.
        """
        if not isinstance(texts, TextUnits):
            raise ValueError(f"expected texts as units and lengths, found {_shape(texts)}")
        x = functional.dropout(self.table(texts.units), self.dropout, self.training)  # [B, T, E]
        outputs = self.encoder(x, texts.lengths).outputs  # [B, T, 2 H]
        pooled: Tensor = self.pooling(outputs, texts.lengths)  # [B, output_size]
        return pooled


class Condition(nn.Module):
    """All parts of a condition beside each other.

    Args:
        parts: one module a field; with none every condition is a vector of size 0.
        dropout: the probability of dropping a feature of the vector.

    Attributes:
        output_size: C, the size of the vector.
    """

    def __init__(self, parts: Iterable[LabelPart | VectorPart | TextPart], *, dropout: float = 0.0) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.dropout = dropout
        self.output_size = sum(cast("int", part.output_size) for part in self.parts)

    def forward(self, inputs: ConditionInput) -> Tensor:
        """Compute the condition of B texts.

        Args:
            inputs: what each field says of them, in the order of the parts.

        Returns:
            Vectors, [B, C].

        Raises:
            ValueError: there are not as many inputs as parts, none at all, or one of another kind.
        """
        if len(inputs) != len(self.parts) or not inputs:
            raise ValueError(f"expected inputs for {len(self.parts) or 'at least one'} parts, found {len(inputs)}")
        vectors = torch.cat([part(given) for part, given in zip(self.parts, inputs, strict=True)], 1)  # [B, C]
        return functional.dropout(vectors, self.dropout, self.training)


class InitialState(nn.Module):
    r"""A vector → the state of every layer before its first step: :math:`s_0 = \tanh(W_s c + b_s)` for each part s.

    (Vinyals et al. 2015, "Show and tell", and Cho et al. 2014 begin a decoder with what it is to say.) A counter of
    steps begins at zero.

    Args:
        input_size: C; with 0 every state is learned and the same for all.
        layers: the decoder's layers, whose sizes are taken.
    """

    def __init__(self, input_size: int, layers: Sequence[RecurrentLayer]) -> None:
        super().__init__()
        self.parts = [[part not in layer.counters for part in layer.state_parts] for layer in layers]
        sizes = [
            layer.hidden_size
            for layer, features in zip(layers, self.parts, strict=True)
            for feature in features
            if feature
        ]
        self.weight = nn.ParameterList(nn.Parameter(torch.empty(size, input_size)) for size in sizes)
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in sizes)
        for weight in self.weight if input_size else ():
            nn.init.xavier_uniform_(weight)

    def forward(self, vectors: Tensor) -> tuple[State, ...]:
        """Compute the states.

        Args:
            vectors: conditions, [B, C].

        Returns:
            For every layer a tuple of [B, H], one for each part of its state.
        """
        pairs = zip(self.weight, self.bias, strict=True)
        states = iter([torch.tanh(functional.linear(vectors, weight, bias)) for weight, bias in pairs])  # each [B, H]
        found: list[State] = []
        for features in self.parts:
            first = next(states)  # [B, H]; h, which every cell has
            rest = (next(states) if feature else torch.zeros_like(first) for feature in features[1:])
            found.append((first, *rest))
        return tuple(found)


def _shape(found: Tensor | TextUnits) -> str:
    if not isinstance(found, Tensor):
        return "a text"
    return f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
