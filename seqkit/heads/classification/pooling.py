"""Settings → the pooling of what is classified: texts, sequences of vectors, or pairs of texts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqkit.inputs.building import build_encoder
from seqkit.nn.alignment import Comparison, PairPooling
from seqkit.nn.encoder import Encoder
from seqkit.nn.pooling import make_pooling


def build_pooling(settings: Any, encoder: Encoder) -> nn.Module:
    """Make what turns the outputs of an encoder into a vector for each record.

    Args:
        settings: the settings of the model.
        encoder: the encoder; of pairs that are joined with attention, a layer like its own ones reads on.

    Returns:
        A module ``(outputs, lengths) → vectors`` with an `input_size` and an `output_size`.
    """
    head = settings.head
    if settings.row.records != "pairs":
        return make_pooling(head.pool, encoder.output_size, encoder.forward_size)
    comparison, last = None, encoder
    if head.join == "attention":
        last = build_encoder(settings.encoder, settings.encoder.hidden, layers=1, skip="none", last_dropout=None)
        comparison = Comparison(encoder.output_size, last, settings.encoder.dropout)
    return PairPooling(make_pooling(head.pool, last.output_size, last.forward_size), comparison)


def nothing(settings: Any, module: Any) -> tuple[Tensor, Tensor]:
    """What a head scores of a record without a step: of a pair without a word in either text.

    Args:
        settings: the settings of the model.
        module: the head's module.

    Returns:
        Its scores, [1, …], and its lengths.
    """
    sequences = 2 if settings.row.records == "pairs" else 1
    outputs = module.output.weight.new_zeros(sequences, 0, module.pooling.input_size)  # [1 or 2, 0, D]
    lengths = torch.zeros(sequences, dtype=torch.int64)  # [1 or 2]
    return module.score(outputs, lengths), lengths
