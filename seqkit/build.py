"""Settings and vocabularies → the modules of a network; forms → tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import Settings
from seqkit.data.arrays import FormTable, Indexer
from seqkit.data.tag_codec import TagCodec
from seqkit.data.vectors import Vectors
from seqkit.errors import DataError, SettingsError
from seqkit.heads.tagging import TaggingHead
from seqkit.nn.embedding import CHARACTER_FEATURES, FormBatch, WordEmbedding
from seqkit.nn.encoder import Encoder
from seqkit.nn.neighbours import NeighbourPrediction
from seqkit.nn.network import Network

__all__ = ["build_network", "form_batch", "vector_table"]


def form_batch(table: FormTable, forms: NDArray[np.int64]) -> FormBatch:
    """The numbers of some forms as tensors.

    Args:
        table: what is known of the forms.
        forms: numbers of forms, ordered by length in characters, [U].

    Returns:
        The batch.
    """
    groups = list(table.groups(forms))
    return FormBatch(
        torch.from_numpy(table.words[forms]),
        torch.from_numpy(table.vectors[forms]),
        tuple(torch.from_numpy(group.characters) for group in groups),
        tuple(torch.from_numpy(group.lengths) for group in groups),
    )


def vector_table(vectors: Vectors) -> Tensor:
    """The given vectors below two rows of zeros, for padding and for unknown words.

    Args:
        vectors: N vectors of size E.

    Returns:
        The table, [N + 2, E]; a vector of the word ``<unk>`` is left out, since row 1 is that word.

    Raises:
        DataError: a value is too large for half precision, in which the table is kept.
    """
    largest, most = float(np.abs(vectors.matrix).max(initial=0.0)), float(np.finfo(np.float16).max)
    if largest > most:
        raise DataError(f"expected vectors with values up to {most:g}, found {largest:g}")
    kept = [row for row, word in enumerate(vectors.words) if word != "<unk>"]
    matrix = vectors.matrix if len(kept) == len(vectors.words) else vectors.matrix[kept]
    return torch.from_numpy(np.concatenate([np.zeros((2, vectors.size), dtype=np.float32), matrix]))


def build_network(
    settings: Settings, indexer: Indexer, codec: TagCodec, vectors: Tensor | None, *, training: bool
) -> Network:
    """Settings → modules: the one place where settings become plain arguments.

    Args:
        settings: what to build.
        indexer: its vocabularies give the sizes of the tables.
        codec: its tags are what the head scores.
        vectors: the table of given vectors, [N, E], or None.
        training: also build what only training needs.

    Returns:
        The network, initialised from torch's random generator.

    Raises:
        SettingsError: settings do not fit each other.
    """
    embedding, encoder = settings.embedding, settings.encoder
    characters = None
    if embedding.chars != "none":
        options: dict[str, Any] = {"kernel_size": embedding.char_kernel} if embedding.chars == "cnn" else {}
        characters = CHARACTER_FEATURES[embedding.chars](
            len(indexer.characters),
            embedding_size=embedding.char_size,
            output_size=embedding.char_hidden,
            dropout=embedding.char_dropout,
            **options,
        )
    try:
        words = WordEmbedding(
            len(indexer.words),
            embedding.word_size,
            vectors=vectors,
            join=embedding.vectors_join if embedding.word_size else "concat",  # without a table nothing can be added
            characters=characters,
            word_dropout=embedding.word_dropout,
        )
    except ValueError as error:
        raise SettingsError(f"embedding: {error}") from None
    body = Encoder(
        words.output_size,
        cell=encoder.cell,
        hidden_size=encoder.hidden,
        layers=encoder.layers,
        direction=encoder.direction,
        join=encoder.join,
        dropout=encoder.dropout,
        variational=encoder.variational,
        skip=encoder.skip,
    )
    neighbours = None
    if training and settings.head.neighbours:
        size = min(settings.head.neighbour_words, len(indexer.words))
        neighbours = NeighbourPrediction(body.output_size, body.forward_size, size)
    moves = codec.legal_moves()
    head = TaggingHead(
        body.output_size,
        len(codec.tags.labels),
        crf=settings.head.crf,
        moves=None if moves is None else tuple(torch.from_numpy(part) for part in moves),  # type: ignore[arg-type]
        neighbours=neighbours,
        neighbour_weight=settings.head.neighbours,
    )
    return Network(words, body, head, dropout=embedding.dropout)
