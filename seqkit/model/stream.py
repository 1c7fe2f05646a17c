"""A network over streams of units: window after window, the state carried from each to the next."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seqkit.errors import SettingsError
from seqkit.heads.language_model.module import LanguageModelHead
from seqkit.inputs.arrays import TypeTable
from seqkit.inputs.streams import Streams, window_bounds
from seqkit.model.build import type_batch
from seqkit.nn.device import to_device
from seqkit.nn.encoder import Encoder, EncoderOutput
from seqkit.nn.network import Network
from seqkit.nn.recurrent import State

__all__ = ["STATIC_WINDOW", "carried", "encode_window", "stream_log_prob"]

STATIC_WINDOW = 256
"""units that are computed together where their number has no influence on the result"""


def encode_window(
    network: Network, table: TypeTable, inputs: NDArray[np.int32], state: tuple[State, ...] | None
) -> EncoderOutput:
    """Encode one window.

    Args:
        network: an embedding and an encoder.
        table: what is known of the types.
        inputs: the form of every unit that goes in, [B, T].
        state: the state before the first step; None for zeros.

    Returns:
        The outputs, and the state after the last step.
    """
    device = next(network.parameters()).device
    batch = table.batch(inputs, np.full(len(inputs), inputs.shape[1], dtype=np.int64))
    types = type_batch(table, batch.types).to(device)
    index = to_device(torch.from_numpy(batch.index), device)  # [B, T]
    output: EncoderOutput = network(types, index, torch.from_numpy(batch.lengths), state=state, return_state=True)
    return output


def carried(encoder: Encoder, state: tuple[State, ...] | None) -> tuple[State, ...] | None:
    """The state that the next window begins with, no gradient flowing back through it.

    Args:
        encoder: the encoder.
        state: its state after a window.

    Returns:
        The state of the layers that read forward and forget. That of the others is zero: those that read backward begin
        anew at the end of every window, and a sum of all that was ever read would only grow.
    """
    if state is None:
        return None
    # With two directions there are two stacks of equal height, the forward one first.
    forward = len(state) if encoder.forward_size == encoder.output_size else len(state) // 2
    return tuple(
        tuple(part.detach() if number < forward and layer.forgets else torch.zeros_like(part) for part in parts)
        for number, (layer, parts) in enumerate(zip(encoder.layers, state, strict=True))
    )


def stream_log_prob(
    network: Network,
    table: TypeTable,
    streams: Streams,
    window: int,
    *,
    rate: float = 0.0,
    clip: float = 0.0,
    clip_by: str = "norm",
) -> float:
    r"""ln p of streams of units, each from the zero state on, the state carried from window to window.

    With a rate :math:`\eta`, by dynamic evaluation (Krause et al. 2018, "Dynamic evaluation of neural sequence
    models"): after each window has been scored, a copy of the weights takes a step towards it,
    :math:`\theta \leftarrow \theta - \eta\,\nabla \ell`, so that what comes again is foretold better.

    Args:
        network: a language model's network; its weights stay as they are.
        table: what is known of the streams' types.
        streams: the text.
        window: T, the steps of a window.
        rate: :math:`\eta`; 0 for the weights as they are.
        clip: the largest norm of a gradient, or the largest of its values; 0 for no limit.
        clip_by: ``norm`` or ``value``.

    Returns:
        ln p of all units, in nats.

    Raises:
        SettingsError: the rate is so large that the weights are no numbers any more.
    """
    too_large = f"expected a rate of dynamic evaluation at which weights stay finite, found {rate:g}"
    if not abs(rate) < torch.finfo(torch.float32).max:
        raise SettingsError(too_large)
    if rate:
        network = copy.deepcopy(network)
    network.eval()
    for module in network.modules():
        if rate and isinstance(module, nn.RNNBase):
            module.train()  # cuDNN computes gradients in this mode only; there is no dropout inside
    head = network.head
    assert isinstance(head, LanguageModelHead)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    device = parameters[0].device
    total = 0.0
    state: tuple[State, ...] | None = None
    with torch.set_grad_enabled(bool(rate)):
        for begin, end in window_bounds(streams.length, window):
            inputs, targets = streams.window(begin, end)  # [B, T], [B, T]
            output = encode_window(network, table, inputs, state)
            words = torch.from_numpy(table.words[targets]).to(device)  # [B, T]
            lengths = torch.full((len(words),), end - begin)  # [B]
            found = head.loss(output.outputs, lengths, words, table=network.embedding.table)
            total -= float(found.nats)
            state = carried(network.encoder, output.state)
            if rate:
                gradients = torch.autograd.grad(found.objective, parameters, allow_unused=True)
                _descend(parameters, gradients, rate, clip, clip_by)
                torch.clear_autocast_cache()  # the weights in half precision that it keeps are those before the step
    if rate and not math.isfinite(total):
        raise SettingsError(too_large)
    return total


@torch.no_grad()
def _descend(
    parameters: list[nn.Parameter],
    gradients: tuple[torch.Tensor | None, ...],
    rate: float,
    clip: float,
    clip_by: str,
) -> None:
    """A step of gradient descent."""
    found = [gradient for gradient in gradients if gradient is not None]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in found]))
    factor = rate * (min(1.0, clip / max(float(norm), 1e-12)) if clip and clip_by == "norm" else 1.0)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            limited = gradient.clamp(-clip, clip) if clip and clip_by == "value" else gradient
            parameter.sub_(limited, alpha=factor)
