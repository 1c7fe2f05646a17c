"""What the tasks that read words share: given word vectors, batches of sentences, their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.config import Settings, TrainingSettings, override
from seqkit.inputs.arrays import Indexer, TokenArrays
from seqkit.inputs.batching import training_batches
from seqkit.inputs.pretrained import Vectors, read_vectors
from seqkit.model.base import Model
from seqkit.model.build import type_batch
from seqkit.nn.device import to_device
from seqkit.nn.embedding import TypeBatch
from seqkit.records import Sentence

__all__ = ["batch_tensors", "epoch_batches", "given_vectors", "labelled", "vector_coverage"]

Integers = NDArray[np.int64]

_AnySettings = TypeVar("_AnySettings", bound=Settings)


def given_vectors(settings: _AnySettings) -> tuple[Vectors | None, _AnySettings]:
    """Read the vectors that settings name.

    Args:
        settings: where they are, and how many of them are wanted.

    Returns:
        The vectors, or None where none are named; and the settings, with the size that the vectors ask for.

    Raises:
        DataError: the file cannot be read.
    """
    embedding = settings.embedding
    if not embedding.vectors:
        return None, settings
    vectors = read_vectors(embedding.vectors, limit=embedding.vectors_limit or None)
    if embedding.vectors_join == "sum" and embedding.word_size:
        settings = override(settings, {"embedding": {"word_size": vectors.size}})
    return vectors, settings


def vector_coverage(model: Model, indexer: Indexer, sentences: Sequence[Sentence], vectors: Vectors) -> str:
    """How many of the training words have a given vector; also noted in the model's report.

    Args:
        model: the model to be trained.
        indexer: its vocabularies.
        sentences: the training sentences.
        vectors: the given vectors.

    Returns:
        A line to be shown.
    """
    types: dict[str, int] = {}
    for sentence in sentences:
        for token in sentence.tokens:
            types[token] = types.get(token, 0) + 1
    found = indexer.table(list(types)).vectors > 1  # [U]
    tokens = np.array(list(types.values()))  # [U]
    shares = f"{found.mean():.1%} of the training words, {tokens[found].sum() / max(1, tokens.sum()):.1%} of the tokens"
    model.report["vectors"] = {"words": len(vectors), "size": vectors.size, "found": float(found.mean())}
    return f"vectors: {len(vectors):,} words of size {vectors.size}, found for {shares}"


def labelled(sentences: Sequence[Sentence], labels: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    """What is learned from, as rows of strings for a checksum.

    Args:
        sentences: the sentences.
        labels: the labels of each.

    Yields:
        The tokens and then the labels of each sentence.
    """
    for sentence, row in zip(sentences, labels, strict=True):
        yield sentence.tokens
        yield row


def epoch_batches(
    lengths: Integers, training: TrainingSettings, epoch: int, share: slice = slice(None)
) -> list[Integers | None]:
    """The batches of an epoch, reproducibly.

    Args:
        lengths: tokens in each sentence, [S].
        training: how large a batch is, and the seed.
        epoch: the epoch's number.
        share: which part of each batch is wanted.

    Returns:
        The numbers of each batch's sentences; None where none of them are in the share.
    """
    batches = training_batches(
        lengths,
        batch_size=training.batch_size,
        batch_tokens=training.batch_tokens,
        equal=training.equal_lengths,
        seed=(training.seed & 0xFFFFFFFF, epoch),
    )
    return [part if len(part) else None for part in (batch[share] for batch in batches)]


def batch_tensors(arrays: TokenArrays, rows: Integers, device: torch.device) -> tuple[TypeBatch, Tensor, Tensor]:
    """What a network reads of some sentences.

    Args:
        arrays: all sentences.
        rows: numbers of sentences, [B].
        device: where the network is.

    Returns:
        The unique words, each token's position among them, int64 [B, T], and the lengths, int64 [B] on the CPU.
    """
    tokens = arrays.batch(rows)
    types = type_batch(arrays.table, tokens.types).to(device)
    return types, to_device(torch.from_numpy(tokens.index), device), torch.from_numpy(tokens.lengths)
