"""The shared encoder: deep recurrent layers in one or both directions over padded batches, nothing packed.

Sequences are padded at the end. The forward direction never sees padding before a token; the backward direction is a
layer of its own that runs over each sequence reversed by its own length, so that padding comes last there too. Hence
no output depends on padding or on batch mates, and the fused kernels run at full speed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from seqkit.nn.device import to_device
from seqkit.nn.directed import run_layer
from seqkit.nn.dropout import SequenceDropout
from seqkit.nn.masks import length_mask
from seqkit.nn.recurrent import RecurrentLayer, State, make_layer

__all__ = ["CONCATS", "DIRECTIONS", "SKIPS", "Encoder", "EncoderOutput"]

DIRECTIONS = ("forward", "backward", "both")
CONCATS = ("layerwise", "final")
SKIPS = ("none", "residual", "highway", "dense")


class EncoderOutput(NamedTuple):
    """What an encoder gives.

    Attributes:
        outputs: one vector a step, [B, T, D], zero past a sequence's end.
        final: the forward features of the last step and the backward features of the first, [B, D]; zeros for an
            empty sequence.
        state: the state of every layer after its last step, in the order of `Encoder.layers`, if it was asked for.
    """

    outputs: Tensor
    final: Tensor
    state: tuple[State, ...] | None


class _Skip(nn.Module):
    r"""A way around a level :math:`f`.

    Residual: :math:`f(x) + Px`. Highway: :math:`g \odot f(x) + (1 - g) \odot Px` with :math:`g = \sigma(Wx + b)`.
    P is the identity where the sizes agree and a learned projection elsewhere. Highway: Srivastava, Greff &
    Schmidhuber 2015; its bias starts at −1, favouring the way around.
    """

    def __init__(self, kind: str, input_size: int, output_size: int) -> None:
        super().__init__()
        same = input_size == output_size
        self.project: nn.Module = nn.Identity() if same else nn.Linear(input_size, output_size, bias=False)
        self.gate = nn.Linear(input_size, output_size) if kind == "highway" else None
        if self.gate is not None:
            nn.init.constant_(self.gate.bias, -1.0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        around: Tensor = self.project(x)  # [B, T, D]
        if self.gate is None:
            return y + around  # [B, T, D]
        # Not torch.lerp: it refuses the mixture of dtypes that autocast gives here.
        return around + torch.sigmoid(self.gate(x)) * (y - around)  # [B, T, D]


class _Stack(nn.Module):
    """Recurrent layers on top of each other, each level read in the same direction or directions."""

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        layers: int,
        directions: tuple[str, ...],
        dropouts: tuple[SequenceDropout, SequenceDropout],
        skip: str,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.directions = directions
        self.skip = skip
        self.dropout, self.last_dropout = dropouts
        width = hidden_size * len(directions)
        above = [input_size + level * width if skip == "dense" else width for level in range(1, layers)]
        sizes = [input_size, *above]  # of each level's input
        self.layers = nn.ModuleList(
            nn.ModuleList(
                make_layer(cell, size, hidden_size, below=level > 0, above=level < layers - 1, **options)
                for _ in directions
            )
            for level, size in enumerate(sizes)
        )
        around = skip in ("residual", "highway")
        self.skips = nn.ModuleList(_Skip(skip, size, width) for size in sizes) if around else None

    def by_layer(self) -> list[tuple[RecurrentLayer, ...]]:
        """The layers of each level, one a direction."""
        return [tuple(cast("Iterable[RecurrentLayer]", level)) for level in self.layers]

    def forward(
        self, x: Tensor, lengths: Tensor, state: tuple[State, ...] | None, carry: bool
    ) -> tuple[list[Tensor], list[State]]:
        """Run the stack; what comes back with the layers' states are tensors of features to be put side by side, those
        that read forward first, [B, T, H or L·H] a direction or one of all, [B, T, W]."""  # noqa: D205, D209
        states: list[State] = []
        history: list[list[Tensor]] = []
        memories: dict[str, Tensor] = {}  # of the level below, where the cell hands it up
        for level, layers in enumerate(self.by_layer()):
            given = None if state is None else state[len(states) : len(states) + len(layers)]
            y, after = self._level(layers, x, lengths, given, memories, carry)  # [B, T, W]
            states += after
            if self.skips is not None:
                y = self.skips[level](x, y)  # [B, T, W]
            y = (self.last_dropout if level == len(self.layers) - 1 else self.dropout)(y)  # [B, T, W]
            if self.skip == "dense":
                history.append(list(y.chunk(len(self.directions), 2)))
                y = torch.cat([x, y], 2)  # [B, T, next I]
            x = y
        return [_beside(parts) for parts in zip(*history, strict=True)] if history else [x], states

    def _level(
        self,
        layers: Sequence[RecurrentLayer],
        x: Tensor,
        lengths: Tensor,
        state: tuple[State, ...] | None,
        memories: dict[str, Tensor],
        carry: bool,
    ) -> tuple[Tensor, list[State]]:
        """Run one level: its outputs, [B, T, W], and its layers' states; memories give way to its own."""
        outputs: list[Tensor] = []
        states: list[State] = []
        for number, (direction, layer) in enumerate(zip(self.directions, layers, strict=True)):
            given = None if state is None else state[number]
            inputs = torch.cat([x, memories.pop(direction)], 2) if direction in memories else x  # [B, T, I (+ H)]
            output, after = run_layer(layer, inputs, lengths, given, direction == "backward", carry)  # [B, T, H (+ H)]
            if layer.output_size > layer.hidden_size:
                output, memories[direction] = output.chunk(2, 2)  # each [B, T, H]
            outputs.append(output)
            states.append(after)
        return _beside(outputs), states


def _beside(parts: Sequence[Tensor]) -> Tensor:
    """Features put side by side, [B, T, …]."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), 2)


class Encoder(nn.Module):
    r"""A deep recurrent network over sequences of vectors: :math:`(x [B, T, I], \text{lengths}) → [B, T, D]`.

    With ``direction="both"``, ``concat="layerwise"`` concatenates the two directions after every layer (Schuster &
    Paliwal 1997), so that each layer sees both; ``concat="final"`` keeps two independent stacks and concatenates once,
    after the last layer: the only form whose forward half a language model may share.

    Args:
        input_size: I.
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        hidden_size: H of one direction.
        layers: the number of levels, ≥ 1.
        direction: ``forward``, ``backward`` or ``both``.
        concat: ``layerwise`` or ``final``; without effect in one direction.
        dropout: the probability of dropping a feature of a level's output.
        last_dropout: the same of the highest level's output, which a head that drops features itself may want whole;
            None for that of every level.
        weight_dropout: the probability of dropping a recurrent connection; see `RecurrentLayer`.
        init: how the recurrent matrices begin; see `RecurrentLayer`.
        init_gain: what they are multiplied by at the beginning.
        forget_bias: the bias of the forget gates at the beginning.
        variational: one dropout mask a sequence instead of one a step.
        skip: ``none``; ``residual`` or ``highway`` around every level; ``dense``: a level reads the input and the
            outputs of all levels below, and the encoder gives those of all levels.

    Attributes:
        output_size: D, all that a head needs to know.
        forward_size: how many leading features read left to right; the others read right to left.

    Raises:
        ValueError: an option has none of its values, a size is not positive, a dropout is no probability below 1, or
            see `RecurrentLayer`.
    """

    def __init__(
        self,
        input_size: int,
        *,
        cell: str = "lstm",
        hidden_size: int = 200,
        layers: int = 1,
        direction: str = "both",
        concat: str = "layerwise",
        dropout: float = 0.0,
        last_dropout: float | None = None,
        weight_dropout: float = 0.0,
        init: str = "auto",
        init_gain: float = 1.0,
        forget_bias: float = 1.0,
        variational: bool = True,
        skip: str = "none",
    ) -> None:
        super().__init__()
        choices = (("direction", direction, DIRECTIONS), ("concat", concat, CONCATS), ("skip", skip, SKIPS))
        for name, value, allowed in choices:
            if value not in allowed:
                raise ValueError(f"expected a {name} among {', '.join(allowed)}, found {value!r}")
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("layers", layers)):
            if size < 1:
                raise ValueError(f"expected {name} of at least 1, found {size}")
        self.input_size = input_size
        directions = ("forward", "backward") if direction == "both" else (direction,)
        groups = [directions] if concat == "layerwise" else [(name,) for name in directions]
        last = dropout if last_dropout is None else last_dropout
        drops = (SequenceDropout(dropout, variational=variational), SequenceDropout(last, variational=variational))
        options = {
            "weight_dropout": weight_dropout,
            "init": init,
            "init_gain": init_gain,
            "forget_bias": forget_bias,
        }
        self.stacks = nn.ModuleList(
            _Stack(cell, input_size, hidden_size, layers, group, drops, skip, options) for group in groups
        )
        width = hidden_size * (layers if skip == "dense" else 1)
        self.output_size = width * len(directions)
        self.forward_size = width * directions.count("forward")

    @property
    def directions(self) -> list[tuple[str, ...]]:
        """The directions of each stack, in the order of its layers on a level."""
        return [stack.directions for stack in cast("Iterable[_Stack]", self.stacks)]

    @property
    def layers(self) -> list[RecurrentLayer]:
        """Every recurrent layer, in the order of the states: stack by stack, level by level, direction by direction."""
        stacks = cast("Iterable[_Stack]", self.stacks)
        return [layer for stack in stacks for level in stack.by_layer() for layer in level]

    def forward(
        self, x: Tensor, lengths: Tensor, state: tuple[State, ...] | None = None, *, return_state: bool = False
    ) -> EncoderOutput:
        """Encode a padded batch.

        Args:
            x: inputs, [B, T, I]; what stands past a sequence's end has no influence.
            lengths: the number of steps of each sequence, int64 [B], on the CPU, each in 0 … T.
            state: the state before the first step (for the backward direction: before the last) of every layer, as
                an earlier call returned it; zeros by default.
            return_state: also return the state, exact for every sequence whatever the padding; costs a kernel call
                for each distinct length in the batch.

        Returns:
            Outputs [B, T, D], final [B, D], and the state or None.

        Raises:
            ValueError: the shapes do not fit together, or the lengths are not int64 on the CPU.
        """
        self._validate(x, lengths, state)
        batch, steps = x.shape[:2]
        if steps == 0 or batch == 0:
            outputs = x.new_zeros(batch, steps, self.output_size)  # [B, T, D]
            after = state if state is not None else tuple(layer.initial_state(batch, x) for layer in self.layers)
            return EncoderOutput(outputs, x.new_zeros(batch, self.output_size), after if return_state else None)
        past: Tensor | None = None
        if not bool((lengths == steps).all()):
            past = to_device(~length_mask(lengths, steps).unsqueeze(2), x.device)  # [B, T, 1]
            if torch.is_grad_enabled():
                # No value depends on padding, but gradients of weights add up zeros times padding: NaN if it is inf.
                x = x.masked_fill(past, 0.0)  # [B, T, I]
        by_direction: list[Tensor] = []
        states: list[State] = []
        for stack in cast("Iterable[_Stack]", self.stacks):
            size = len(stack.layers) * len(stack.directions)
            given = None if state is None else state[len(states) : len(states) + size]
            features, stack_states = stack(x, lengths, given, return_state)
            by_direction += features
            states += stack_states
        outputs = by_direction[0] if len(by_direction) == 1 else torch.cat(by_direction, 2)  # [B, T, D]
        if past is not None:
            fresh = len(by_direction) > 1 and not torch.is_grad_enabled()
            outputs = outputs.masked_fill_(past, 0.0) if fresh else outputs.masked_fill(past, 0.0)  # [B, T, D]
        return EncoderOutput(outputs, self._final(outputs, lengths), tuple(states) if return_state else None)

    def _final(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        last = to_device((lengths - 1).clamp(min=0), outputs.device)  # [B]
        rows = torch.arange(outputs.shape[0], device=outputs.device)  # [B]
        forward = outputs[rows, last, : self.forward_size]  # [B, F]
        return torch.cat([forward, outputs[:, 0, self.forward_size :]], 1)  # [B, D]

    def _validate(self, x: Tensor, lengths: Tensor, state: tuple[State, ...] | None) -> None:
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"expected x of shape [B, T, {self.input_size}], found {list(x.shape)}")
        if lengths.shape != x.shape[:1] or lengths.dtype != torch.int64 or lengths.device.type != "cpu":
            found = f"{str(lengths.dtype).removeprefix('torch.')} {list(lengths.shape)} on {lengths.device}"
            raise ValueError(f"expected lengths int64 [{x.shape[0]}] on cpu, found {found}")
        if len(lengths) and (int(lengths.min()) < 0 or int(lengths.max()) > x.shape[1]):
            found = f"{int(lengths.min())} … {int(lengths.max())}"
            raise ValueError(f"expected lengths in 0 … {x.shape[1]}, found {found}")
        if state is None:
            return
        layers = self.layers
        if len(state) != len(layers):
            raise ValueError(f"expected the states of {len(layers)} layers, found {len(state)}")
        for number, (layer, parts) in enumerate(zip(layers, state, strict=True)):
            shapes = [list(part.shape) for part in parts]
            if shapes != [[x.shape[0], layer.hidden_size]] * len(layer.state_parts):
                expected = f"{', '.join(layer.state_parts)} of shape {[x.shape[0], layer.hidden_size]}"
                raise ValueError(f"expected the state of layer {number} as {expected}, found {shapes}")
