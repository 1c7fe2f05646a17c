"""Pooling: the outputs of a sentence's tokens → one vector a sentence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqkit.nn.sequences import check_padded, to_device, token_mask

_WINDOW = 1 << 13
"""tokens of a sentence whose attention is computed together if no gradient is needed"""


def _filled(outputs: Tensor, lengths: Tensor, value: float) -> Tensor:
    """The outputs, [B, T, D], with a constant past a sentence's end; no copy if all sentences have the same length."""
    if bool((lengths == outputs.shape[1]).all()):
        return outputs
    return torch.where(token_mask(lengths, outputs)[:, :, None], outputs, value)


def _windows(values: Tensor) -> tuple[Tensor, ...]:
    """[B, T, …] in windows of time; in one piece if a gradient is needed."""
    return (values,) if torch.is_grad_enabled() else values.split(_WINDOW, 1)


class Pooling(nn.Module):
    """Base class of all poolings: their sizes and the check of their inputs.

    Args:
        input_size: D.
        forward_size: the number of leading features that read left to right; the others read right to left.

    Attributes:
        output_size: the size of the result.
    """

    vectors = 1
    """how many vectors [D] the result consists of"""

    def __init__(self, input_size: int, forward_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.forward_size = forward_size
        self.output_size = self.vectors * input_size

    def extra_repr(self) -> str:
        """Both sizes."""
        return f"{self.input_size}, {self.output_size}"

    def forward(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Pool a batch.

        Args:
            outputs: [B, T, D] of an encoder; values past a sentence's end have no influence.
            lengths: [B] int64 on the CPU, each in 0…T.

        Returns:
            [B, output_size]; zeros for a sentence of length zero.

        Raises:
            ValueError: a shape, type or length is wrong.
        """
        check_padded(outputs, lengths, self.input_size, "outputs")
        if not outputs.shape[0] or not outputs.shape[1]:
            return outputs.new_zeros(outputs.shape[0], self.output_size)
        return self._pool(outputs, lengths)

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        raise NotImplementedError


class MeanPooling(Pooling):
    """Mean over a sentence's tokens: Σₜ outputs[t] / length."""

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        total = _filled(outputs, lengths, 0.0).sum(1)  # [B, D]
        return total / to_device(lengths.clamp(min=1)[:, None].to(outputs.dtype), outputs.device)


class MaxPooling(Pooling):
    """Largest value of each feature over a sentence's tokens (Collobert et al. 2011)."""

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        highest = _filled(outputs, lengths, -torch.inf).amax(1)  # [B, D]
        return torch.where(to_device((lengths > 0)[:, None], outputs.device), highest, 0)


class LastPooling(Pooling):
    """Each direction's own last step: its state after reading the whole sentence.

    Features that read left to right end at the last token, those that read right to left at the first.
    """

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        rows = torch.arange(len(outputs), device=outputs.device)
        last = to_device((lengths - 1).clamp(min=0), outputs.device)  # [B]
        ahead = outputs[rows, last, : self.forward_size]  # [B, F]
        back = outputs[:, 0, self.forward_size :]  # [B, D - F]
        return torch.where(to_device((lengths > 0)[:, None], outputs.device), torch.cat((ahead, back), 1), 0)


class AttentionPooling(Pooling):
    """Mean weighted by the attention of one learned query (Yang et al. 2016, "Hierarchical attention networks").

    weights = softmaxₜ(query · tanh(W outputs[t] + b)),  result = Σₜ weights[t] outputs[t]

    W is initialised as by Glorot and Bengio (2010), b and the query with zeros, so that training starts from the mean.
    """

    def __init__(self, input_size: int, forward_size: int) -> None:
        super().__init__(input_size, forward_size)
        self.projection = nn.Linear(input_size, input_size)
        self.query = nn.Parameter(torch.zeros(input_size))
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

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
        mask = token_mask(lengths, outputs)  # [B, T]
        # The least finite number instead of -inf, so that a row of padding alone gives no NaN.
        energy = energy.masked_fill(~mask, torch.finfo(energy.dtype).min)  # [B, T]
        return torch.where(mask, energy.softmax(1), 0)

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        weights = self.weights(outputs, lengths)[:, :, None]  # [B, T, 1]
        pairs = zip(_windows(weights), _windows(_filled(outputs, lengths, 0.0)), strict=True)
        return torch.stack([(share * window).sum(1) for share, window in pairs]).sum(0)  # [B, D]


class ConcatPooling(Pooling):
    """Last, maximum and mean side by side (Howard and Ruder 2018)."""

    vectors = 3

    def __init__(self, input_size: int, forward_size: int) -> None:
        super().__init__(input_size, forward_size)
        kinds = (LastPooling, MaxPooling, MeanPooling)
        self.parts = nn.ModuleList(kind(input_size, forward_size) for kind in kinds)

    def _pool(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([part(outputs, lengths) for part in self.parts], 1)  # [B, 3 D]


POOLINGS: dict[str, type[Pooling]] = {
    "mean": MeanPooling,
    "max": MaxPooling,
    "last": LastPooling,
    "attention": AttentionPooling,
    "concat": ConcatPooling,
}


def make_pooling(name: str, input_size: int, forward_size: int) -> Pooling:
    """Build a pooling by name.

    Args:
        name: one of `POOLINGS`: ``mean``, ``max``, ``last``, ``attention`` or ``concat``.
        input_size: D, the encoder's output size.
        forward_size: the number of leading features that read left to right: all of a forward encoder, none of a
            backward one, half of a bidirectional one.

    Returns:
        A module ``(outputs [B, T, D], lengths [B]) → [B, output_size]`` with an attribute `output_size`.

    Raises:
        ValueError: there is no such pooling, or the sizes do not fit.
    """
    if name not in POOLINGS:
        raise ValueError(f"expected a pooling among {', '.join(POOLINGS)}, found {name!r}")
    if input_size < 1 or not 0 <= forward_size <= input_size:
        found = f"input_size={input_size} and forward_size={forward_size}"
        raise ValueError(f"expected input_size of at least 1 and forward_size from 0 to input_size, found {found}")
    return POOLINGS[name](input_size, forward_size)
