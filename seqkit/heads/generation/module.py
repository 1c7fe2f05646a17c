"""One to many: a text, unit by unit, from a condition that sets the decoder's first state and joins its every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from seqkit.nn.condition import Condition, ConditionInput, InitialState
from seqkit.nn.recurrent import RecurrentLayer, State
from seqkit.nn.softmax import IGNORED, Softmax

__all__ = ["IGNORED", "Beginning", "GenerationHead"]


class Beginning(NamedTuple):
    """What a decoder knows before its first step.

    Attributes:
        state: the state of every layer.
        features: what joins the input of every step, [B, C]; None where nothing does.
    """

    state: tuple[State, ...]
    features: Tensor | None


class GenerationHead(nn.Module):
    r"""A conditional language model's condition and output; the recurrent layers between them are the encoder's.

    .. math:: p(y | c) = \prod_t \mathrm{softmax}(W h_t + b)_{y_t}, \qquad
        h_t = f(h_{t-1}, [e(y_{t-1}), c]), \quad h_0 = \tanh(W_0 c + b_0)

    In training every step is given the right unit before it (teacher forcing: Williams & Zipser 1989).

    Args:
        input_size: D, the size of the recurrent layers' output.
        num_units: V, padding and unknown included; padding is never predicted.
        condition: what the text is generated from; None for a language model of whole texts.
        layers: the recurrent layers, whose first state is computed.
        tied_size: the size of the embedding table that is also the output's, which `loss` and `log_probabilities`
            are then given; None for weights of the output's own.
    """

    def __init__(
        self,
        input_size: int,
        num_units: int,
        condition: Condition | None,
        layers: Sequence[RecurrentLayer],
        *,
        tied_size: int | None = None,
    ) -> None:
        super().__init__()
        self.condition = condition
        self.initial = InitialState(0 if condition is None else condition.output_size, layers)
        self.output = Softmax(input_size, num_units, tied_size=tied_size)

    def begin(self, inputs: ConditionInput, batch: int) -> Beginning:
        """What the decoder knows of B texts before its first step.

        Args:
            inputs: what each field of the condition says; nothing where there is no condition.
            batch: B.

        Returns:
            The layers' states, and what joins the input of every step.

        Raises:
            ValueError: the inputs do not fit the condition.
        """
        if self.condition is None:
            if inputs:
                raise ValueError(f"expected no condition, found {len(inputs)} parts of one")
            nothing = self.initial.bias[0].new_zeros(batch, 0)  # [B, 0]
            return Beginning(self.initial(nothing), None)
        vectors = self.condition(inputs)  # [B, C]
        return Beginning(self.initial(vectors), vectors)

    def loss(self, outputs: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """The training loss: −log p of each right unit, in nats, the mean over units, ends of texts included.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            targets: the right units, int64 [B, T], `IGNORED` past a text's end.
            table: the embedding table, [V, E], of tied weights.

        Returns:
            A scalar.
        """
        total = self.output.loss(outputs.flatten(0, 1), targets.flatten(), table)
        mean: Tensor = total / (targets != IGNORED).sum().clamp(min=1)
        return mean

    def target_log_probabilities(self, outputs: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """Log p of each right unit, in nats.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            targets: the right units, int64 [B, T], `IGNORED` past a text's end.
            table: the embedding table, [V, E], of tied weights.

        Returns:
            Log-probabilities, [B, T], 0 past a text's end.
        """
        flat = self.output.target_log_probabilities(outputs.flatten(0, 1), targets.flatten(), table)  # [B·T]
        found: Tensor = flat.view(targets.shape).masked_fill(targets == IGNORED, 0.0)  # [B, T]
        return found

    def log_probabilities(self, outputs: Tensor, table: Tensor | None = None) -> Tensor:
        """Log p of every unit that may come next.

        Args:
            outputs: the outputs of one step, [N, D].
            table: the embedding table, [V, E], of tied weights.

        Returns:
            Log-probabilities, [N, V], −∞ for padding.
        """
        found: Tensor = self.output.log_probabilities(outputs, table)  # [N, V]
        return found
