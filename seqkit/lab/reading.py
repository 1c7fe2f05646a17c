"""Gradients over data: what networks read of it, instead of noise, and trained models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.corpora.dataset import Dataset
from seqkit.errors import DataError, ModelError
from seqkit.heads.classification.settings import ClassifyFramesSettings
from seqkit.inputs.base import NO_SOURCES, Input
from seqkit.inputs.building import build_encoder
from seqkit.inputs.frames import FrameInput
from seqkit.lab.gradients import WARM_UP, GradientCurve, curve_of
from seqkit.lab.training import NetworkOptions
from seqkit.metrics.scores import plural
from seqkit.model.base import Model, Predictor
from seqkit.model.gold import read_gold
from seqkit.nn.encoder import Encoder

Say = Callable[[str], None]


def read_inputs(dataset: Dataset, steps: int, size: int, say: Say = lambda line: None) -> Tensor:
    """Sequences of vectors as untrained networks read them: each feature normalised by all of the data.

    Args:
        dataset: the data, of which train is read, or what there is.
        steps: the least number of steps.
        size: the largest number of sequences.
        say: is called with a line that says what is read.

    Returns:
        Their first steps, [B, T, I].

    Raises:
        DataError: the data cannot be read, or no sequence has so many steps.
    """
    split = "train" if "train" in dataset.splits else dataset.evaluation_split()
    found = dataset.read_frames([split])
    input = FrameInput.build(ClassifyFramesSettings(), found.records[split], NO_SOURCES)
    return first_steps(input, input.module(), found.records[split], steps, size, say)


@torch.no_grad()
def first_steps(
    input: Input, module: nn.Module, records: Sequence[Any], steps: int, size: int, say: Say = lambda line: None
) -> Tensor:
    """The first steps of the first records that are long enough, as an encoder reads them.

    Args:
        input: what reads records.
        module: its module, on the CPU.
        records: the records.
        steps: the least number of steps.
        size: the largest number of records.
        say: is called with a line that says what is read.

    Returns:
        As many steps of each as all of them have, and no more than `WARM_UP` beyond `steps`, [B, T, I].

    Raises:
        DataError: no record has so many steps.
    """
    lengths = input.lengths(records)
    fitting = [number for number, length in enumerate(lengths) if length >= steps]
    if not fitting:
        found = f"expected a sequence of at least {steps} steps, found none longer than {max(lengths, default=0)}"
        raise DataError(f"{found}; measure fewer with --steps")
    rows = fitting[:size]
    batch = input.collate(input.arrays([records[row] for row in rows]), np.arange(len(rows)))
    x: Tensor = module.eval()(batch)  # [B, T, I]
    shown = min(min(lengths[row] for row in rows), WARM_UP + steps)
    enough = f"{len(fitting):,} of {plural(len(lengths), 'sequence')} have at least {steps} steps"
    say(f"{enough}; read are the first {shown} steps of {len(rows)} of them")
    return x[:, :shown]


def measure_model(
    model: Predictor, dataset: Dataset, *, steps: int, batch_size: int, seed: int, say: Say = lambda line: None
) -> GradientCurve:
    """Measure how far back gradients reach in a trained model while it reads data.

    Args:
        model: the model, on the CPU; of one that reads in both directions the forward direction is measured.
        dataset: the data, read as in evaluation.
        steps: K, the number of steps back.
        batch_size: the largest number of sequences.
        seed: the seed of the directions.
        say: is called with a line that says what is read.

    Returns:
        The curve.

    Raises:
        DataError: the data cannot be read, or no sequence has so many steps.
        ModelError: the model has no forward direction of its own, or begins with something else than zeros.
    """
    if not isinstance(model, Model) or model.task.records == "lines" or model.head.has_start:
        raise ModelError(f"a model of seqkit {model.task.name} reads no sequences that begin with a state of zeros")
    encoder = forward_encoder(model)
    data = dataset if dataset.card is not None else dataset.described(model.settings.description())
    records, _ = read_gold(model, data, data.evaluation_split(), {})
    x = first_steps(model.input, model.network.input, records, steps, batch_size, say)
    own = model.settings.encoder
    network = NetworkOptions(own.hidden, own.layers, own.init, own.init_gain, own.forget_bias)
    return curve_of(own.cell, network, [encoder], [x], steps, seed)


def forward_encoder(model: Model) -> Encoder:
    """The forward direction of a model's encoder.

    Args:
        model: the model.

    Returns:
        An encoder with the same weights.

    Raises:
        ModelError: a layer reads what the backward direction of the layer below gave, or there is no forward one.
    """
    encoder, settings = model.network.encoder, model.settings.encoder
    if settings.direction == "forward":
        return encoder
    alone = settings.layers == 1 and settings.skip == "none"
    if settings.direction == "backward" or (settings.concat == "layerwise" and not alone):
        told = "expected an encoder that reads forward, or in both directions with one layer or concat final"
        raise ModelError(f"{told}, found direction {settings.direction} with {plural(settings.layers, 'layer')}")
    forward = settings.model_copy(update={"direction": "forward"})
    with torch.random.fork_rng(devices=[]):
        found = build_encoder(forward, encoder.input_size)
    source = encoder.stacks[0].state_dict()  # of one stack both directions of the only layer, the forward one first
    found.stacks[0].load_state_dict({name: source[name] for name in found.stacks[0].state_dict()})
    return found
