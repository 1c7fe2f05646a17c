"""Settings and vocabularies → the modules that all tasks share; the one place where these settings become arguments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqkit.config import EncoderSettings
from seqkit.errors import DataError, SettingsError
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.base import Sources
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.settings import DataSettings, EmbeddingSettings
from seqkit.inputs.vocabulary import Normaliser, Vocabulary
from seqkit.nn.embedding import CHARACTER_FEATURES, WordEmbedding
from seqkit.nn.encoder import Encoder


def build_indexer(data: DataSettings, types: Mapping[str, int], sources: Sources) -> Indexer:
    """The vocabularies of some training data.

    Args:
        data: which words are in the vocabulary, and how they are normalised.
        types: every word type with how often it occurs.
        sources: pretrained vectors, and a model whose vocabularies come first and are kept whole.

    Returns:
        The indexer.
    """
    normalise = Normaliser(data.lowercase, data.digits)
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for word, count in types.items():
        words[normalise(word)] += count
        for character in word:
            characters[character] += count
    vocabulary = Vocabulary.build(words, data.min_count, data.max_words or None)
    alphabet = Vocabulary.build(characters)
    pretrained = None
    if sources.start is not None:
        before = sources.start.input.indexer
        vocabulary, alphabet = _extended(before.words, vocabulary), _extended(before.characters, alphabet)
        pretrained = before.vectors
    if sources.vectors is not None:
        pretrained = Vocabulary(word for word in sources.vectors.words if word != "<unk>")
    return Indexer(vocabulary, alphabet, pretrained, normalise)


def _extended(first: Vocabulary, second: Vocabulary) -> Vocabulary:
    """The words of two vocabularies, those of the first with the ids that they have."""
    return Vocabulary([*first.words[2:], *(word for word in second.words[2:] if word not in first)])


def pretrained_table(sources: Sources) -> Tensor | None:
    """The table of pretrained vectors that a model is built with.

    Args:
        sources: pretrained vectors, or a model to start from, whose table serves where there are none.

    Returns:
        The table, [N, E], or None: below two rows of zeros, for padding and unknown words. A vector of the word
        ``<unk>`` is left out, since row 1 stands for it.

    Raises:
        DataError: a value is too large for half precision, in which the table is kept.
    """
    vectors: Vectors | None = sources.vectors
    if vectors is None:
        table: Tensor | None = None if sources.start is None else sources.start.network.input.embedding.vectors
        return table
    largest, most = float(np.abs(vectors.matrix).max(initial=0.0)), float(np.finfo(np.float16).max)
    if largest > most:
        raise DataError(f"the pretrained vectors have a value of {largest:g}, but at most {most:g} can be kept")
    kept = [row for row, word in enumerate(vectors.words) if word != "<unk>"]
    matrix = vectors.matrix if len(kept) == len(vectors.words) else vectors.matrix[kept]
    return torch.from_numpy(np.concatenate([np.zeros((2, vectors.size), dtype=np.float32), matrix]))


def build_embedding(embedding: EmbeddingSettings, indexer: Indexer, vectors: Tensor | None) -> WordEmbedding:
    """The module that turns word types into vectors.

    Args:
        embedding: what to build.
        indexer: its vocabularies give the sizes of the tables.
        vectors: the table of pretrained vectors, [N, E], or None.

    Returns:
        The module, initialised from torch's random generator.

    Raises:
        SettingsError: settings do not fit each other.
    """
    rows = 0 if indexer.vectors is None else len(indexer.vectors)
    if vectors is not None and (vectors.dim() != 2 or len(vectors) != rows):
        found = f"found one of {list(vectors.shape)}"
        raise SettingsError(f"embedding: expected a table of {rows} pretrained vectors, {found}")
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


def build_encoder(encoder: EncoderSettings, input_size: int, **changes: Any) -> Encoder:
    """The shared encoder.

    Args:
        encoder: what to build.
        input_size: the features of a step.
        **changes: arguments of `Encoder` that are not as the settings say.

    Returns:
        The module, initialised from torch's random generator.

    Raises:
        SettingsError: settings do not fit each other.
    """
    arguments = encoder.model_dump(exclude={"hidden"}) | {"hidden_size": encoder.hidden, **changes}
    if arguments["last_dropout"] is not None and arguments["last_dropout"] < 0:
        arguments["last_dropout"] = None
    try:
        return Encoder(input_size, **arguments)
    except ValueError as error:
        raise SettingsError(f"encoder: {error}") from None
