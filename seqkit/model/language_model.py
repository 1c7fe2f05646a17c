"""The language model with a network: how likely a text is, and texts that it writes."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.devices import precision_context
from seqkit.errors import SettingsError
from seqkit.heads.language_model.head import LanguageModelling
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.arrays import TypeTable
from seqkit.inputs.base import NO_SOURCES, Sources
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus, Streams, window_bounds
from seqkit.inputs.units import window_batch
from seqkit.model.base import Model
from seqkit.model.scoring import STATIC_WINDOW, UnitPredictor
from seqkit.model.writing import NetworkWriter, Starts, UnitWriter
from seqkit.nn.encoder import Encoder
from seqkit.nn.recurrent import State
from seqkit.nn.search import SearchState
from seqkit.resources import imported

_READ_EVERY = 256
"""windows between looks at their log-probabilities: reading one from a GPU waits for the GPU"""


class LanguageModel(UnitPredictor, Model):
    """A language model with a network: the probability of each unit after all before it. See `Model`."""

    settings: LmSettings
    head: LanguageModelling

    @classmethod
    def of_counts(
        cls, settings: LmSettings, units: Units, counts: Mapping[str, int], sources: Sources = NO_SOURCES
    ) -> LanguageModel:
        """Make an untrained model for a text of which only counts are known; `build` takes the text itself.

        Args:
            settings: what to build.
            units: text ↔ units.
            counts: how often each unit occurs.
            sources: what else the model is made from.

        Returns:
            The model, initialised from torch's random generator.

        Raises:
            SettingsError: settings do not fit each other.
        """
        task = settings.row
        input = imported(task.input).of_counts(settings, units, counts, sources)
        return cls.assemble(settings, input, imported(task.head).build(settings, [], input))

    def log_prob(
        self, corpus: Corpus, *, window: int = STATIC_WINDOW, dynamic: float = 0.0, precision: str = "fp32"
    ) -> float:
        """See `UnitPredictor.log_prob`; every unit is predicted from all before it, also of earlier lines.

        A cell that cannot forget (see `seqkit.nn.recurrent.RecurrentLayer`) begins anew with every window; outside of
        dynamic evaluation its window is that of training.
        """
        training = self.settings.training
        if not dynamic and not all(layer.forgets for layer in self.network.encoder.layers):
            window = training.bptt
        table, streams = self.input.indexer.table(corpus.types), corpus.streams(1)
        with precision_context(precision, self.device):
            return stream_log_prob(
                self.network, table, streams, window, rate=dynamic, clip=training.clip, clip_by=training.clip_by
            )

    def writing(self, first: Sequence[int], pipeline: Any) -> tuple[UnitWriter, Starts]:
        """See `UnitPredictor.writing`."""
        writer = NetworkWriter.of(pipeline or self.pipeline())

        def starts(rows: Sequence[int]) -> tuple[SearchState, Tensor]:
            layers = self.network.encoder.layers
            return writer.begin(first, tuple(layer.initial_state(len(rows), writer.vectors) for layer in layers))

        return writer, starts


def next_state(encoder: Encoder, state: tuple[State, ...] | None) -> tuple[State, ...] | None:
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
    network: Any,
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
    :math:`\theta \leftarrow \theta - \eta\,\nabla \ell`, so that what comes again is predicted better.

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
    too_large = f"dynamic evaluation at rate {rate:g} makes the weights infinite; try a smaller rate"
    if not abs(rate) < torch.finfo(torch.float32).max:
        raise SettingsError(too_large)
    if rate:
        network = copy.deepcopy(network)
    network.eval()
    for module in network.modules():
        if rate and isinstance(module, nn.RNNBase):
            module.train()  # cuDNN computes gradients in this mode only; there is no dropout inside
    head, embedding = network.head, network.input.embedding
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=rate) if rate else None  # importing it takes most of a second
    device = parameters[0].device
    total = 0.0
    waiting: list[Tensor] = []
    state: tuple[State, ...] | None = None

    def read() -> None:
        nonlocal total
        for nats in torch.stack(waiting).tolist() if waiting else ():
            total -= nats
        waiting.clear()

    with torch.set_grad_enabled(bool(rate)):
        for begin, end in window_bounds(streams.length, window):
            inputs, targets = streams.window(begin, end)  # [B, T], [B, T]
            encoded = network(window_batch(table, inputs).to(device), state=state, return_state=True)
            ids = torch.from_numpy(table.words[targets])  # [B, T]
            found = head.loss(encoded.outputs, encoded.lengths, ids, table=embedding.table)
            waiting.append(found.nats)
            if len(waiting) == _READ_EVERY:
                read()
            state = next_state(network.encoder, encoded.state)
            if optimizer is not None:
                optimizer.zero_grad(set_to_none=True)
                found.objective.backward()
                if clip and clip_by == "norm":
                    nn.utils.clip_grad_norm_(parameters, clip)
                elif clip:
                    nn.utils.clip_grad_value_(parameters, clip)
                optimizer.step()
                torch.clear_autocast_cache()  # the weights in half precision that it keeps are those before the step
    read()
    if rate and not math.isfinite(total):
        raise SettingsError(too_large)
    return total
