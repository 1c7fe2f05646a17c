"""The condition of a generated text (labels, numbers, texts, frames) → one vector, and the decoder's initial state.

Each part is a module with an `output_size` that maps the values of one field for B texts to a vector for each text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.encoder import Encoder
from seqkit.nn.frames import FrameLayer
from seqkit.nn.pooling import make_pooling
from seqkit.nn.recurrent import RecurrentLayer, State
from seqkit.nn.sequences import to_device

_CLIP = 4.0
"""standard deviations from the mean at which the numbers of a vector are clipped"""


class TextUnits(NamedTuple):
    """Texts as ids.

    Attributes:
        units: ids of the units, int64 [B, T], padded with 0 at the end.
        lengths: the texts' lengths, int64 [B], on the CPU.
    """

    units: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> TextUnits:
        """The same on a device, the lengths still on the CPU."""
        return self._replace(units=to_device(self.units, device))


class FrameSequences(NamedTuple):
    """Sequences of vectors.

    Attributes:
        frames: the vectors, float32 [B, N, F], padded at the end.
        lengths: the number of vectors of each sequence, int64 [B], on the CPU.
    """

    frames: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> FrameSequences:
        """The same on a device, the lengths still on the CPU."""
        return self._replace(frames=to_device(self.frames, device))


FieldInput = Tensor | TextUnits | FrameSequences
"""the values of one field for B texts: labels int64 [B], numbers [B, F], texts, or sequences of vectors"""
ConditionInput = tuple[FieldInput, ...]
"""the values of each field"""


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

    def forward(self, labels: FieldInput) -> Tensor:
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
        return functional.embedding(labels, self.table.weight)  # [B, E]


class VectorPart(nn.Module):
    r"""A standardised and projected vector of numbers: :math:`\tanh(W z + b)` with :math:`z = (v - \mu) / \sigma`.

    z is clipped at ±4, so that a rare outlier of a nearly constant number does not dominate the others.

    Args:
        mean: μ, the mean of each number, [F].
        scale: σ, the standard deviation of each number, [F], each positive.
        size: E, the size of the result.

    Raises:
        ValueError: `mean` and `scale` are not two vectors of the same size, or a scale is not positive.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, size: int) -> None:
        super().__init__()
        if mean.dim() != 1 or mean.shape != scale.shape or not bool((scale > 0).all()):
            found = f"shapes {list(mean.shape)} and {list(scale.shape)}"
            raise ValueError(f"expected a mean and a positive scale of the same shape [F], found {found}")
        self.output_size = size
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", scale.float())
        self.project = nn.Linear(len(mean), size)

    def forward(self, values: FieldInput) -> Tensor:
        """Project vectors.

        Args:
            values: [B, F].

        Returns:
            Vectors, [B, E].

        Raises:
            ValueError: the input is of another shape or kind.
        """
        if not isinstance(values, Tensor) or values.dim() != 2 or values.shape[1] != len(self.mean):
            raise ValueError(f"expected values of shape [B, {len(self.mean)}], found {_shape(values)}")
        standard = ((values.float() - self.mean) / self.scale).clamp(-_CLIP, _CLIP)  # [B, F]
        return torch.tanh(self.project(standard))  # [B, E]


class SequencePart(nn.Module):
    """A sequence of any kind, encoded and pooled."""

    def forward(self, sequences: FieldInput) -> Tensor:
        """Encode sequences.

        Args:
            sequences: B sequences; an empty one gives zeros.

        Returns:
            Vectors, [B, output_size].

        Raises:
            ValueError: the input is of another kind.
        """
        return self.read(sequences)[0]

    def read(self, sequences: FieldInput) -> tuple[Tensor, Tensor, Tensor]:
        """Encode sequences; see `forward`.

        Args:
            sequences: B sequences.

        Returns:
            Vectors, [B, output_size], the outputs that they are pooled from, [B, T, D], and how many there are, [B].

        Raises:
            ValueError: the input is of another kind.
        """
        raise NotImplementedError  # pragma: no cover - every part overrides it


class TextPart(SequencePart):
    """A text, encoded and pooled.

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

    def read(self, sequences: FieldInput) -> tuple[Tensor, Tensor, Tensor]:
        """See `SequencePart.read`: of texts."""
        if not isinstance(sequences, TextUnits):
            raise ValueError(f"expected texts as units and lengths, found {_shape(sequences)}")
        x = functional.dropout(self.table(sequences.units), self.dropout, self.training)  # [B, T, E]
        outputs = self.encoder(x, sequences.lengths).outputs  # [B, T, D]
        return self.pooling(outputs, sequences.lengths), outputs, sequences.lengths


class FramePart(SequencePart):
    """A sequence of vectors, encoded and pooled.

    Args:
        layer: what normalises, augments, convolves and stacks vectors.
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        hidden_size: H of each of the encoder's two directions.
        pooling: a key of `seqkit.nn.pooling.POOLINGS`.
        dropout: the probability of dropping a feature of the encoder's input.
    """

    def __init__(
        self,
        layer: FrameLayer,
        *,
        cell: str = "lstm",
        hidden_size: int = 100,
        pooling: str = "mean",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.layer = layer
        self.encoder = Encoder(layer.output_size, cell=cell, hidden_size=hidden_size)
        self.pooling = make_pooling(pooling, self.encoder.output_size, self.encoder.forward_size)
        self.output_size = self.pooling.output_size

    def read(self, sequences: FieldInput) -> tuple[Tensor, Tensor, Tensor]:
        """See `SequencePart.read`: of vectors."""
        if not isinstance(sequences, FrameSequences):
            raise ValueError(f"expected sequences of vectors and lengths, found {_shape(sequences)}")
        x = self.layer(sequences.frames, sequences.lengths)  # [B, T, I]
        x = functional.dropout(x, self.dropout, self.training)  # [B, T, I]
        steps = self.layer.steps(sequences.lengths)  # [B]
        outputs = self.encoder(x, steps).outputs  # [B, T, D]
        return self.pooling(outputs, steps), outputs, steps


Part = LabelPart | VectorPart | TextPart | FramePart


class Condition(nn.Module):
    """All parts of a condition, concatenated.

    Args:
        parts: one module for each field.

    Attributes:
        output_size: C, the size of the vector.
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.output_size = sum(cast("int", part.output_size) for part in self.parts)

    def forward(self, inputs: ConditionInput) -> Tensor:
        """Compute the condition of B texts.

        Args:
            inputs: the values of each field, in the order of the parts.

        Returns:
            Vectors, [B, C].

        Raises:
            ValueError: the number of inputs differs from the number of parts, or is zero, or an input has another kind.
        """
        return self.read(inputs)[0]

    def read(self, inputs: ConditionInput) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Compute the condition of B texts, and what attention can look at.

        Args:
            inputs: see `forward`.

        Returns:
            Vectors, [B, C]; and of each part that is a text or a sequence of vectors the outputs of its encoder,
            [B, T, D], and how many there are, [B].

        Raises:
            ValueError: see `forward`.
        """
        if len(inputs) != len(self.parts) or not inputs:
            raise ValueError(f"expected inputs for {len(self.parts) or 'at least one'} parts, found {len(inputs)}")
        vectors: list[Tensor] = []
        sequences: list[tuple[Tensor, Tensor]] = []
        for part, values in zip(self.parts, inputs, strict=True):
            if isinstance(part, TextPart | FramePart):
                vector, outputs, lengths = part.read(values)
                sequences.append((outputs, lengths))
            else:
                vector = part(values)
            vectors.append(vector)
        return torch.cat(vectors, 1), sequences  # [B, C]


class InitialState(nn.Module):
    r"""A vector → the state of every layer before its first step: :math:`s_0 = \tanh(W_s c + b_s)` for each part s.

    (Vinyals et al. 2015, "Show and tell", and Cho et al. 2014 initialise a decoder with its condition.) A counter of
    steps starts at zero; a part that is given is what it is.

    Args:
        input_size: C; with 0 every state is learned and the same for all.
        layers: the decoder's layers, which determine the sizes.
    """

    def __init__(self, input_size: int, layers: Sequence[RecurrentLayer]) -> None:
        super().__init__()
        self.learned = [[part not in (*layer.counters, *layer.given) for part in layer.state_parts] for layer in layers]
        self.given = [[part in layer.given for part in layer.state_parts] for layer in layers]
        sizes = [layer.hidden_size for layer, parts in zip(layers, self.learned, strict=True) for part in parts if part]
        self.weight = nn.ParameterList(nn.Parameter(torch.empty(size, input_size)) for size in sizes)
        self.bias = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in sizes)
        for weight in self.weight if input_size else ():
            nn.init.xavier_uniform_(weight)

    def forward(self, vectors: Tensor, given: Tensor | None = None) -> tuple[State, ...]:
        """Compute the states.

        Args:
            vectors: conditions, [B, C].
            given: the parts of states that are given, [B, F], where there are such.

        Returns:
            For every layer a tuple of [B, H], one for each part of its state.

        Raises:
            ValueError: a part is to be given and is not, or there is none.
        """
        if any(map(any, self.given)) != (given is not None):
            raise ValueError(f"expected {'no' if given is not None else 'a'} part of the state to be given")
        pairs = zip(self.weight, self.bias, strict=True)
        states = iter([torch.tanh(functional.linear(vectors, weight, bias)) for weight, bias in pairs])  # each [B, H]
        result: list[State] = []
        for learned, as_given in zip(self.learned, self.given, strict=True):
            first = next(states)  # [B, H]; h, which every cell has
            parts = [first]
            for part, told in zip(learned[1:], as_given[1:], strict=True):
                parts.append(next(states) if part else given if told and given is not None else torch.zeros_like(first))
            result.append(tuple(parts))
        return tuple(result)


def _shape(found: FieldInput) -> str:
    if not isinstance(found, Tensor):
        return "a text" if isinstance(found, TextUnits) else "sequences of vectors"
    return f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
