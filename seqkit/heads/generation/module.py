"""One to many: a text, unit by unit, from a condition that sets the first state and joins the input of each step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.heads.base import Start
from seqkit.nn.attention import Attention, Memory, joined
from seqkit.nn.condition import Condition, ConditionInput, InitialState
from seqkit.nn.recurrent import RecurrentLayer
from seqkit.nn.softmax import IGNORED, Softmax


class GenerationHead(nn.Module):
    r"""A conditional language model's condition and output; the recurrent layers between them are the encoder's.

    .. math:: p(y | c) = \prod_t \mathrm{softmax}(W h_t + b)_{y_t}, \qquad
        h_t = f(h_{t-1}, [e(y_{t-1}), c]), \quad h_0 = \tanh(W_0 c + b_0)

    With attention what the output layer reads is :math:`\tanh(W_a [h_t; \sum_j \alpha_{tj} m_j] + b_a)` instead of h,
    with m the encoder's outputs of all texts and sequences of vectors in the condition, see
    `seqkit.nn.attention.Attention`.

    In training the input of every step is the correct previous unit (teacher forcing: Williams & Zipser 1989).

    Args:
        input_size: D, the size of the recurrent layers' output.
        num_units: V, padding and unknown included; padding is never predicted.
        condition: the condition of the text; None for a language model of whole texts.
        layers: the recurrent layers, whose initial state is computed.
        attention: looks at the texts and sequences of vectors in the condition, for queries of size D; None for none.
        tied_size: the size of the embedding table that is also the output matrix, and is passed to `loss` and
            `log_probabilities`; None for a separate output matrix.
    """

    def __init__(
        self,
        input_size: int,
        num_units: int,
        condition: Condition | None,
        layers: Sequence[RecurrentLayer],
        *,
        attention: Attention | None = None,
        tied_size: int | None = None,
    ) -> None:
        super().__init__()
        self.condition = condition
        self.initial = InitialState(0 if condition is None else condition.output_size, layers)
        self.attention = attention
        self.readout = None if attention is None else nn.Linear(input_size + attention.output_size, input_size)
        self.output = Softmax(input_size, num_units, tied_size=tied_size)

    def begin(self, inputs: ConditionInput, batch: int, given: Tensor | None = None) -> Start:
        """The initial state of the decoder for B texts.

        Args:
            inputs: the values of each field of the condition; empty without a condition.
            batch: B.
            given: the dialogue act that is a part of the first state, [B, F], where there is one.

        Returns:
            The layers' states, further features of the input of every step, and what attention looks at.

        Raises:
            ValueError: the inputs do not fit the condition.
        """
        if self.condition is None:
            if inputs:
                raise ValueError(f"expected no condition inputs, found {len(inputs)}")
            return Start(self.initial(self.initial.bias[0].new_zeros(batch, 0), given))
        vectors, sequences = self.condition.read(inputs)  # [B, C]
        if self.attention is None:
            return Start(self.initial(vectors, given), vectors)
        memories = []
        for outputs, lengths in sequences:
            # Of an empty text a single step of zeros, since weights sum to one.
            padded = outputs if outputs.shape[1] else functional.pad(outputs, (0, 0, 0, 1))  # [B, T, M]
            memories.append(self.attention.prepare(padded, lengths.clamp(min=1)))
        return Start(self.initial(vectors, given), vectors, joined(memories))

    def look(self, outputs: Tensor, memory: Memory) -> Tensor:
        """Look at the condition.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            memory: what `begin` gave.

        Returns:
            What the output layer reads, [B, T, D].
        """
        assert self.attention is not None and self.readout is not None
        seen, _ = self.attention(outputs, memory)  # [B, T, M]
        found: Tensor = torch.tanh(self.readout(torch.cat([outputs, seen], 2)))  # [B, T, D]
        return found

    def loss(self, outputs: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """The training loss: −log p of each correct unit, in nats, the mean over units, ends of texts included.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            targets: the correct units, int64 [B, T], `IGNORED` past a text's end.
            table: the embedding table, [V, E], if weights are tied.

        Returns:
            A scalar.
        """
        total = self.output.loss(outputs.flatten(0, 1), targets.flatten(), table)
        return total / (targets != IGNORED).sum().clamp(min=1)

    def target_log_probabilities(self, outputs: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """Log p of each correct unit, in nats.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            targets: the correct units, int64 [B, T], `IGNORED` past a text's end.
            table: the embedding table, [V, E], if weights are tied.

        Returns:
            Log-probabilities, [B, T], 0 past a text's end.
        """
        flat = self.output.target_log_probabilities(outputs.flatten(0, 1), targets.flatten(), table)  # [B·T]
        return flat.view(targets.shape)  # [B, T]

    def log_probabilities(self, outputs: Tensor, table: Tensor | None = None) -> Tensor:
        """Log p of every possible next unit.

        Args:
            outputs: the outputs of one step, [N, D].
            table: the embedding table, [V, E], if weights are tied.

        Returns:
            Log-probabilities, [N, V], −∞ for padding.
        """
        return self.output.log_probabilities(outputs, table)  # [N, V]
