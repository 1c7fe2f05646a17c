"""Settings and vocabularies → the modules that all tasks share; the one place where settings become plain arguments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import DataSettings, EmbeddingSettings, EncoderSettings
from seqkit.errors import DataError, SettingsError
from seqkit.inputs.arrays import Indexer, TypeTable
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.vocabulary import Normaliser, Vocabulary
from seqkit.model.base import Documents, Model
from seqkit.nn.embedding import CHARACTER_FEATURES, TypeBatch, WordEmbedding
from seqkit.nn.encoder import Encoder

__all__ = [
    "build_embedding",
    "build_encoder",
    "build_indexer",
    "given_table",
    "indexer_documents",
    "restore_indexer",
    "type_batch",
    "vector_table",
]


def build_indexer(
    data: DataSettings, types: Mapping[str, int], vectors: Vectors | None = None, start: Model | None = None
) -> Indexer:
    """The vocabularies of some training data.

    Args:
        data: how words become entries of the vocabulary.
        types: every distinct word with how often it occurs.
        vectors: given word vectors.
        start: another model, whose vocabularies come first and are kept whole.

    Returns:
        The indexer.
    """
    normalise = Normaliser(data.lowercase, data.digits)
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for form, count in types.items():
        words[normalise(form)] += count
        for character in form:
            characters[character] += count
    vocabulary = Vocabulary.build(words, data.min_count, data.max_words or None)
    alphabet = Vocabulary.build(characters)
    if start is not None:
        vocabulary = _joined(start.indexer.words, vocabulary)
        alphabet = _joined(start.indexer.characters, alphabet)
    given = None if start is None else start.indexer.vectors
    if vectors is not None:
        given = Vocabulary(word for word in vectors.words if word != "<unk>")
    return Indexer(vocabulary, alphabet, given, normalise)


def _joined(first: Vocabulary, second: Vocabulary) -> Vocabulary:
    """The words of two vocabularies, those of the first under the numbers that they have."""
    return Vocabulary([*first.words[2:], *(word for word in second.words[2:] if word not in first)])


def indexer_documents(indexer: Indexer) -> dict[str, Any]:
    """The vocabularies as documents of a model directory."""
    documents = {"words.json": indexer.words.to_json(), "characters.json": indexer.characters.to_json()}
    if indexer.vectors is not None:
        documents["vectors.json"] = indexer.vectors.to_json()
    return documents


def restore_indexer(data: DataSettings, documents: Documents) -> Indexer:
    """Read what `indexer_documents` gave.

    Args:
        data: the model's settings.
        documents: the documents of a model directory.

    Returns:
        The indexer.

    Raises:
        ModelError: a document is missing or of another form.
    """
    return Indexer(
        Vocabulary.from_json(documents["words.json"]),
        Vocabulary.from_json(documents["characters.json"]),
        Vocabulary.from_json(documents["vectors.json"]) if "vectors.json" in documents else None,
        Normaliser(data.lowercase, data.digits),
    )


def type_batch(table: TypeTable, types: NDArray[np.int64]) -> TypeBatch:
    """The numbers of some types as tensors.

    Args:
        table: what is known of the types.
        types: numbers of types, ordered by length in characters, [U].

    Returns:
        The batch.
    """
    groups = list(table.groups(types))
    return TypeBatch(
        torch.from_numpy(table.words[types]),
        torch.from_numpy(table.vectors[types]),
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


def given_table(vectors: Vectors | None, start: Model | None) -> Tensor | None:
    """The table of given vectors that a model is built with.

    Args:
        vectors: given vectors.
        start: the model that is started from, whose table serves where no vectors are given.

    Returns:
        The table, [N, E], or None.
    """
    if vectors is not None:
        return vector_table(vectors)
    return None if start is None else start.network.embedding.vectors


def build_embedding(embedding: EmbeddingSettings, indexer: Indexer, vectors: Tensor | None) -> WordEmbedding:
    """The module that turns words into vectors.

    Args:
        embedding: what to build.
        indexer: its vocabularies give the sizes of the tables.
        vectors: the table of given vectors, [N, E], or None.

    Returns:
        The module, initialised from torch's random generator.

    Raises:
        SettingsError: settings do not fit each other.
    """
    rows = 0 if indexer.vectors is None else len(indexer.vectors)
    if vectors is not None and (vectors.dim() != 2 or len(vectors) != rows):
        raise SettingsError(f"embedding: expected a table of {rows} given vectors, found one of {list(vectors.shape)}")
    table_size = 0 if embedding.one_hot else embedding.word_size
    characters = None
    if embedding.chars != "none":
        options: dict[str, Any] = {"kernel_size": embedding.char_kernel} if embedding.chars == "cnn" else {}
        characters = CHARACTER_FEATURES[embedding.chars](
            len(indexer.characters),
            embedding_size=embedding.char_size,
            output_size=embedding.char_features,
            dropout=embedding.char_dropout,
            **options,
        )
    try:
        return WordEmbedding(
            len(indexer.words),
            table_size,
            vectors=vectors,
            join=embedding.vectors_join if table_size else "concat",  # without a table nothing can be added
            one_hot=embedding.one_hot,
            characters=characters,
            word_dropout=embedding.word_dropout,
            type_dropout=embedding.type_dropout,
        )
    except ValueError as error:
        raise SettingsError(f"embedding: {error}") from None


def build_encoder(encoder: EncoderSettings, input_size: int) -> Encoder:
    """The shared encoder.

    Args:
        encoder: what to build.
        input_size: the features of a step.

    Returns:
        The module, initialised from torch's random generator.

    Raises:
        SettingsError: settings do not fit each other.
    """
    try:
        return _encoder(encoder, input_size)
    except ValueError as error:
        raise SettingsError(f"encoder: {error}") from None


def _encoder(encoder: EncoderSettings, input_size: int) -> Encoder:
    return Encoder(
        input_size,
        cell=encoder.cell,
        hidden_size=encoder.hidden,
        layers=encoder.layers,
        direction=encoder.direction,
        concat=encoder.concat,
        dropout=encoder.dropout,
        last_dropout=encoder.last_dropout if encoder.last_dropout >= 0 else None,
        weight_dropout=encoder.weight_dropout,
        init=encoder.init,
        init_gain=encoder.init_gain,
        forget_bias=encoder.forget_bias,
        variational=encoder.variational,
        skip=encoder.skip,
    )
