"""The shared encoder: deep recurrent layers in one or both directions over padded batches, nothing packed.

Sequences are padded at the end. The forward direction never sees padding before a token; the backward direction is a
layer of its own that runs over each sequence reversed by its own length, so that padding comes last there too. Hence
no output depends on padding or on the other sequences of the batch, and the fused kernels run at full speed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from seqkit.nn.recurrent import RecurrentLayer, State, make_layer
from seqkit.nn.recurrent.layer import run_layer
from seqkit.nn.sequences import SequenceDropout, check_padded, token_mask

DIRECTIONS = ("forward", "backward", "both")
CONCATS = ("layerwise", "final")
SKIPS = ("none", "residual", "highway", "dense")


class EncoderOutput(NamedTuple):
    """What an encoder returns.

    Attributes:
        outputs: one vector a step, [B, T, D], zero past a sequence's end.
        state: the state of every layer after its last step, in the order of `Encoder.layers`, if requested.
    """

    outputs: Tensor
    state: tuple[State, ...] | None


class _Skip(nn.Module):
    r"""A skip connection around a layer :math:`f`.

    Residual: :math:`f(x) + Px`. Highway: :math:`g \odot f(x) + (1 - g) \odot Px` with :math:`g = \sigma(Wx + b)`.
    P is the identity if the sizes agree and a learned projection otherwise. Highway: Srivastava, Greff &
    Schmidhuber 2015; its bias starts at −1, in favour of the skip connection.
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
    """Recurrent layers on top of each other; a layer consists of one recurrent layer for each direction.

    Args:
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        input_size: I.
        hidden_size: H of one direction.
        directions: the directions of every layer.
        dropouts: the dropout after each layer, from the lowest to the highest.
        skip: see `Encoder`.
        options: see `make_layer`.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        directions: tuple[str, ...],
        dropouts: Sequence[SequenceDropout],
        skip: str,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.directions = directions
        self.skip = skip
        self.dropouts = nn.ModuleList(dropouts)
        width = hidden_size * len(directions)
        sizes = [input_size + number * width if skip == "dense" else width for number in range(len(dropouts))]
        sizes[0] = input_size  # of each layer's input
        self.layers = nn.ModuleList(
            nn.ModuleList(
                make_layer(cell, size, hidden_size, below=number > 0, above=number < len(sizes) - 1, **options)
                for _ in directions
            )
            for number, size in enumerate(sizes)
        )
        skips = [_Skip(skip, size, width) for size in sizes if skip in ("residual", "highway")]
        self.skips = nn.ModuleList(skips) if skips else None

    def by_layer(self) -> list[tuple[RecurrentLayer, ...]]:
        """The recurrent layers of each layer, one for each direction."""
        return [tuple(cast("Iterable[RecurrentLayer]", layers)) for layers in self.layers]

    def forward(
        self, x: Tensor, lengths: Tensor, before: Iterator[State], return_state: bool
    ) -> tuple[list[Tensor], list[State]]:
        """Run the stack.

        Args:
            x: inputs, [B, T, I].
            lengths: steps of each sequence, int64 [B], on the CPU.
            before: the state of each recurrent layer before the first step; zeros after its end.
            return_state: whether the states are needed.

        Returns:
            Features to be concatenated, [B, T, L·H] for each direction if dense, otherwise all in one, [B, T, W];
            and the state of each recurrent layer.
        """
        states: list[State] = []
        history: list[Sequence[Tensor]] = []
        memories: dict[str, Tensor] = {}  # the memory cells of the layer below, for cells whose layers share them
        for number, (layers, dropout) in enumerate(zip(self.by_layer(), self.dropouts, strict=True)):
            outputs: list[Tensor] = []
            for direction, layer in zip(self.directions, layers, strict=True):
                inputs = torch.cat([x, memories.pop(direction)], 2) if direction in memories else x  # [B, T, I (+ H)]
                start, backward = next(before, None), direction == "backward"
                output, state = run_layer(layer, inputs, lengths, start, backward, return_state)  # [B, T, H (+ H)]
                if layer.output_size > layer.hidden_size:
                    output, memories[direction] = output.chunk(2, 2)  # each [B, T, H]
                outputs.append(output)
                states.append(state)
            y = _concatenated(outputs)  # [B, T, W]
            if self.skips is not None:
                y = self.skips[number](x, y)  # [B, T, W]
            y = dropout(y)  # [B, T, W]
            if self.skip == "dense":
                history.append(y.chunk(len(self.directions), 2))
                y = torch.cat([x, y], 2)  # [B, T, next I]
            x = y
        return [_concatenated(parts) for parts in zip(*(history or [[x]]), strict=True)], states


def _concatenated(parts: Sequence[Tensor]) -> Tensor:
    """Features side by side, [B, T, …]; without a copy of a single one."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), 2)


class Encoder(nn.Module):
    r"""A deep recurrent network over sequences of vectors: :math:`(x [B, T, I], \text{lengths}) → [B, T, D]`.

    With ``direction="both"``, ``concat="layerwise"`` concatenates the two directions after every layer (Schuster &
    Paliwal 1997), so that each layer sees both; ``concat="final"`` keeps two independent stacks and concatenates once,
    after the last layer: the only form whose forward half can be shared with a language model.

    Args:
        input_size: I.
        cell: a key of `seqkit.nn.recurrent.CELLS`.
        hidden_size: H of one direction.
        layers: the number of layers, ≥ 1.
        direction: ``forward``, ``backward`` or ``both``.
        concat: ``layerwise`` or ``final``; no effect with one direction.
        dropout: the probability of dropping a feature of a layer's output.
        last_dropout: the same for the last layer, whose output a head with its own dropout may want whole; None for
            the probability of every layer.
        weight_dropout: the probability of dropping a recurrent connection; see `RecurrentLayer`.
        init: the initialisation of the recurrent matrices; see `RecurrentLayer`.
        init_gain: the factor by which their initial values are multiplied.
        forget_bias: the initial bias of the forget gates.
        variational: one dropout mask a sequence instead of one per step.
        skip: ``none``; ``residual`` or ``highway`` around every layer; ``dense``: each layer reads the input and the
            outputs of all layers below, and the encoder outputs those of all layers.
        act_size: the size of the dialogue act that the cell ``sc_lstm`` is given as a part of its first state.

    Attributes:
        output_size: D, all that a head needs to know.
        forward_size: the number of leading features that read left to right; the others read right to left.

    Raises:
        ValueError: an option has an unknown value, a size is not positive, a dropout is not a probability below 1, or
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
        act_size: int = 0,
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
        rates = [*[dropout] * (layers - 1), dropout if last_dropout is None else last_dropout]  # of each layer
        dropouts = [SequenceDropout(rate, variational=variational) for rate in rates]
        options = {"weight_dropout": weight_dropout, "init": init, "init_gain": init_gain, "forget_bias": forget_bias}
        options["act_size"] = act_size
        self.stacks = nn.ModuleList(
            _Stack(cell, input_size, hidden_size, group, dropouts, skip, options) for group in groups
        )
        width = hidden_size * (layers if skip == "dense" else 1)
        self.output_size = width * len(directions)
        self.forward_size = width * directions.count("forward")

    @property
    def directions(self) -> list[tuple[str, ...]]:
        """The directions of each stack, in the order of its recurrent layers."""
        return [stack.directions for stack in cast("Iterable[_Stack]", self.stacks)]

    @property
    def layers(self) -> list[RecurrentLayer]:
        """Every recurrent layer, in the order of the states: stack by stack, layer by layer, direction by direction."""
        stacks = cast("Iterable[_Stack]", self.stacks)
        return [layer for stack in stacks for layers in stack.by_layer() for layer in layers]

    def forward(
        self, x: Tensor, lengths: Tensor, state: tuple[State, ...] | None = None, *, return_state: bool = False
    ) -> EncoderOutput:
        """Encode a padded batch.

        Args:
            x: inputs, [B, T, I]; values past a sequence's end have no influence.
            lengths: the number of steps of each sequence, int64 [B], on the CPU, each in 0 … T.
            state: the state before the first step (for the backward direction: before the last) of every layer, as
                an earlier call returned it; zeros by default.
            return_state: also return the state, exact for every sequence in spite of padding; costs a kernel call
                for each distinct length in the batch.

        Returns:
            Outputs [B, T, D], and the state or None.

        Raises:
            ValueError: the shapes do not fit together, or the lengths are not int64 on the CPU.
        """
        check_padded(x, lengths, self.input_size, "x")
        batch, steps, _ = x.shape
        if state is not None:
            self._check_state(state, batch)
        if steps == 0 or batch == 0:
            after = state if state is not None else tuple(layer.initial_state(batch, x) for layer in self.layers)
            return EncoderOutput(x.new_zeros(batch, steps, self.output_size), after if return_state else None)
        padding: Tensor | None = None
        if not bool((lengths == steps).all()):
            padding = ~token_mask(lengths, x).unsqueeze(2)  # [B, T, 1]
            if torch.is_grad_enabled():
                # No value depends on padding, but gradients of weights add up zeros times padding: NaN if it is inf.
                x = x.masked_fill(padding, 0.0)  # [B, T, I]
        before = iter(state or ())
        results = [stack(x, lengths, before, return_state) for stack in self.stacks]
        features: list[Tensor] = [part for parts, _ in results for part in parts]
        outputs = _concatenated(features)  # [B, T, D]
        if padding is not None:
            fresh = len(features) > 1 and not torch.is_grad_enabled()
            outputs = outputs.masked_fill_(padding, 0.0) if fresh else outputs.masked_fill(padding, 0.0)  # [B, T, D]
        return EncoderOutput(outputs, tuple(part for _, parts in results for part in parts) if return_state else None)

    def _check_state(self, state: tuple[State, ...], batch: int) -> None:
        layers = self.layers
        if len(state) != len(layers):
            raise ValueError(f"expected the states of {len(layers)} layers, found {len(state)}")
        for number, (layer, parts) in enumerate(zip(layers, state, strict=True)):
            shapes = [[batch, size] for size in layer.state_sizes]
            found = [list(part.shape) for part in parts]
            if found != shapes:
                names = ", ".join(layer.state_parts)
                shape = shapes[0] if shapes == shapes[:1] * len(shapes) else shapes
                raise ValueError(f"expected the state of layer {number} as {names} of shape {shape}, found {found}")
