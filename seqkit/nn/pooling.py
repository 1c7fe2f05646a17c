"""Pooling: the outputs of a sentence's tokens → one vector a sentence."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqkit.nn.device import to_device
from seqkit.nn.masks import length_mask

__all__ = [
    "POOLINGS",
    "AttentionPooling",
    "ConcatPooling",
    "LastPooling",
    "MaxPooling",
    "MeanPooling",
    "Pooling",
    "make_pooling",
]


_WINDOW = 1 << 13
"""tokens of a sentence whose attention is computed together where no gradient is wanted"""


def _filled(outputs: Tensor, lengths: Tensor, value: float) -> Tensor:
    """The outputs, [B, T, D], with a number past a sentence's end; no copy where all sentences are of one length."""
    if bool((lengths == outputs.shape[1]).all()):
        return outputs
    inside = to_device(length_mask(lengths, outputs.shape[1])[:, :, None], outputs.device)  # [B, T, 1]
    return torch.where(inside, outputs, value)


def _windows(values: Tensor) -> tuple[Tensor, ...]:
    """[B, T, …] in windows of time; in one piece where a gradient is wanted."""
    return (values,) if torch.is_grad_enabled() else values.split(_WINDOW, 1)


class Pooling(nn.Module):
    """What all poolings share: their sizes and the check of what they are given."""

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size

    def extra_repr(self) -> str:
        """Both sizes."""
        return f"{self.input_size}, {self.output_size}"

    def forward(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Pool a batch.

        Args:
            outputs: [B, T, D] of an encoder; what stands past a sentence's end changes nothing.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            [B, output_size]; zeros for a sentence of length zero.

        Raises:
            ValueError: a shape, type or length is not as said above.
        """
        if outputs.dim() != 3 or outputs.shape[2] != self.input_size:
            raise ValueError(f"expected outputs of shape [B, T, {self.input_size}], found {list(outputs.shape)}")
        batch, steps, _ = outputs.shape
        if lengths.shape != (batch,) or lengths.dtype != torch.int64 or lengths.device.type != "cpu":
            found = f"{lengths.dtype} of shape {list(lengths.shape)} on {lengths.device.type}"
            raise ValueError(f"expected lengths as torch.int64 of shape [{batch}] on cpu, found {found}")
        if batch and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
            found = f"{int(lengths.min())} to {int(lengths.max())}"
            raise ValueError(f"expected lengths from 0 to {steps}, found {found}")
        if not batch or not steps:
            return outputs.new_zeros(batch, self.output_size)
        return self._pool(outputs, lengths)

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        raise NotImplementedError


class MeanPooling(Pooling):
    """Mean over a sentence's tokens: Σₜ outputs[t] / length.

    Args:
        input_size: D; the output has the same size.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size, input_size)

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        total = _filled(outputs, lengths, 0.0).sum(1)  # [B, D]
        return total / to_device(lengths.clamp(min=1)[:, None].to(outputs.dtype), outputs.device)


class MaxPooling(Pooling):
    """Largest value of each feature over a sentence's tokens (Collobert et al. 2011).

    Args:
        input_size: D; the output has the same size.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size, input_size)

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        highest = _filled(outputs, lengths, -torch.inf).amax(1)  # [B, D]
        return torch.where(to_device((lengths > 0)[:, None], outputs.device), highest, 0)


class LastPooling(Pooling):
    """Each direction's own last step: its state after reading the whole sentence.

    Features that read left to right end at the last token, those that read right to left at the first.

    Args:
        input_size: D; the output has the same size.
        forward_size: how many leading features read left to right; the others read right to left.
    """

    def __init__(self, input_size: int, forward_size: int) -> None:
        super().__init__(input_size, input_size)
        self.forward_size = forward_size

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        rows = torch.arange(len(outputs), device=outputs.device)
        last = to_device((lengths - 1).clamp(min=0), outputs.device)  # [B]
        ahead = outputs[rows, last, : self.forward_size]  # [B, F]
        back = outputs[:, 0, self.forward_size :]  # [B, D - F]
        return torch.where(to_device((lengths > 0)[:, None], outputs.device), torch.cat((ahead, back), 1), 0)


class AttentionPooling(Pooling):
    """Mean weighted by attention of one learnt query (Yang et al. 2016, "Hierarchical attention networks").

    weights = softmaxₜ(query · tanh(W outputs[t] + b)),  result = Σₜ weights[t] outputs[t]

    Args:
        input_size: D; the output has the same size.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size, input_size)
        self.projection = nn.Linear(input_size, input_size)
        self.query = nn.Parameter(torch.empty(input_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projection anew (Glorot and Bengio 2010) and set the query to zero, which starts as the mean."""
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        nn.init.zeros_(self.query)

    def weights(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Attention of the query to each token.

        Args:
            outputs: [B, T, D] of an encoder.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            [B, T], summing to 1 over a sentence; zero past its end.
        """
        # Padding is cleared before the projection, not only after it: NaN there would reach the gradients.
        windows = _windows(_filled(outputs, lengths, 0.0))  # each [B, W, D]
        energy = torch.cat([torch.tanh(self.projection(window)) @ self.query for window in windows], 1)  # [B, T]
        mask = to_device(length_mask(lengths, outputs.shape[1]), outputs.device)  # [B, T]
        # The least finite number instead of -inf, so that a row of padding alone gives no NaN.
        energy = energy.masked_fill(~mask, torch.finfo(energy.dtype).min)  # [B, T]
        return torch.where(mask, energy.softmax(1), 0)

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        weights = self.weights(outputs, lengths)[:, :, None]  # [B, T, 1]
        pairs = zip(_windows(weights), _windows(_filled(outputs, lengths, 0.0)), strict=True)
        return torch.stack([(share * window).sum(1) for share, window in pairs]).sum(0)  # [B, D]


class ConcatPooling(Pooling):
    """Last, maximum and mean beside each other (Howard and Ruder 2018).

    Args:
        input_size: D; the output has three times that size.
        forward_size: how many leading features read left to right; the others read right to left.
    """

    def __init__(self, input_size: int, forward_size: int) -> None:
        super().__init__(input_size, 3 * input_size)
        self.parts = nn.ModuleList(
            (LastPooling(input_size, forward_size), MaxPooling(input_size), MeanPooling(input_size))
        )

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([part(outputs, lengths) for part in self.parts], 1)  # [B, 3 D]


POOLINGS: dict[str, Callable[[int, int], Pooling]] = {
    "mean": lambda size, forward: MeanPooling(size),
    "max": lambda size, forward: MaxPooling(size),
    "last": LastPooling,
    "attention": lambda size, forward: AttentionPooling(size),
    "concat": ConcatPooling,
}


def make_pooling(name: str, input_size: int, forward_size: int) -> Pooling:
    """Build a pooling by name.

    Args:
        name: one of `POOLINGS`: ``mean``, ``max``, ``last``, ``attention`` or ``concat``.
        input_size: D, the encoder's output size.
        forward_size: how many leading features read left to right: all of a forward encoder, none of a backward one,
            half of one that reads both ways.

    Returns:
        A module ``(outputs [B, T, D], lengths [B]) → [B, output_size]`` with an attribute `output_size`.

    Raises:
        ValueError: there is no such pooling, or a size does not fit.
    """
    if name not in POOLINGS:
        raise ValueError(f"expected a pooling of {', '.join(POOLINGS)}, found {name!r}")
    if input_size < 1 or not 0 <= forward_size <= input_size:
        found = f"input_size={input_size} and forward_size={forward_size}"
        raise ValueError(f"expected input_size of at least 1 and forward_size from 0 to input_size, found {found}")
    return POOLINGS[name](input_size, forward_size)
