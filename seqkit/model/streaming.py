"""A stream of sentences → chunks that are indexed together → batches that are encoded together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqkit.devices import precision_context
from seqkit.errors import SeqkitError
from seqkit.formats.splitting import Splitter
from seqkit.inputs.arrays import Indexer, TypeIds, TypeRows
from seqkit.inputs.batching import length_batches
from seqkit.model.build import type_batch
from seqkit.model.memory import BatchTokens, fitted
from seqkit.nn.device import to_device
from seqkit.nn.encoder import EncoderOutput
from seqkit.nn.network import Network
from seqkit.records import Sentence

__all__ = [
    "CHUNK_SENTENCES",
    "EncodedBatch",
    "KeptWords",
    "ScoredBatch",
    "WordVectors",
    "as_sentence",
    "chunks",
    "encoded_batches",
    "gather_context",
    "predicted",
]

_Record = TypeVar("_Record")

CHUNK_SENTENCES = 4096
"""sentences that are indexed together in prediction"""
CHUNK_TOKENS = 1 << 16
"""a chunk ends where it has so many tokens"""
JOINED_TOKENS = 1 << 14
"""how many tokens at most, padding included, of several batches are decided on together"""
MOST_WORDS = 1 << 15
"""words whose vectors are kept from chunk to chunk; with more, all are computed anew when they come again"""


def as_sentence(given: Sentence | str | Sequence[str], splitter: Splitter) -> Sentence:
    """What a user of a model gives, as a record.

    Args:
        given: raw text, a list of tokens, or a record.
        splitter: raw text → tokens.

    Returns:
        The record.
    """
    if isinstance(given, Sentence):
        return given
    if not isinstance(given, str):
        return Sentence.from_tokens(given)
    offsets = splitter.split(given)
    return Sentence([given[start:end] for start, end in offsets], given, offsets)


class EncodedBatch(NamedTuple):
    """A batch of sentences of near-equal length with what the encoder makes of them.

    Attributes:
        rows: the sentences' positions in the chunk, [B].
        lengths: tokens in each sentence, int64 [B], on the CPU.
        output: see `EncoderOutput`.
    """

    rows: NDArray[np.int64]
    lengths: Tensor
    output: EncoderOutput


class WordVectors:
    """The vectors of the words of a stream: each word's is computed when it first comes. For one thread at a time.

    Args:
        network: has the embedding.
        indexer: words → numbers.
    """

    def __init__(self, network: Network, indexer: Indexer) -> None:
        self._network = network
        self._indexer = indexer
        self._numbers = TypeIds()
        self._vectors: Tensor | None = None  # [capacity, I]

    def __call__(self, chunk: Sequence[Sentence]) -> tuple[TypeRows, Tensor]:
        """The words of a chunk.

        Args:
            chunk: the sentences.

        Returns:
            Each token's row in the table, and the table, [at least U, I], which the next call may change.
        """
        if len(self._numbers) > MOST_WORDS:  # a stream without end has words without end
            self._numbers, self._vectors = TypeIds(), None
        known = len(self._numbers)
        rows = self._numbers.of([sentence.tokens for sentence in chunk])
        if len(self._numbers) > known:
            try:
                self._vectors = self._with(list(islice(self._numbers, known, None)), known)
            except BaseException:  # no word is numbered whose vector is not there
                self._numbers, self._vectors = TypeIds(), None
                raise
        return rows, torch.empty(0, 0) if self._vectors is None else self._vectors

    def _with(self, types: list[str], known: int) -> Tensor:
        """The table with new rows from a row on."""
        table = self._indexer.table(types)
        order = table.by_length(np.arange(len(types)))  # [U]
        device = next(self._network.parameters()).device
        vectors = self._network.embedding(type_batch(table, order).to(device))  # [U, I]
        kept = self._vectors
        needed = known + len(types)
        if kept is None or len(kept) < needed:
            larger = vectors.new_empty(max(needed, 2 * known), vectors.shape[1])  # [capacity, I]
            if kept is not None:
                larger[:known] = kept[:known]
            kept = larger
        return kept.index_copy_(0, torch.from_numpy(order + known).to(device), vectors)


KeptWords = dict[str, WordVectors]
"""precision → the vectors computed in it"""


def encoded_batches(
    network: Network, words: WordVectors, chunk: Sequence[Sentence], batch_tokens: int, context: Tensor | None = None
) -> Iterator[EncodedBatch]:
    """Encode the sentences of a chunk.

    Args:
        network: an embedding and an encoder.
        words: the vectors of the stream's words.
        chunk: the sentences.
        batch_tokens: tokens a batch; a longer sentence is a batch of its own.
        context: further features of every token, one sentence after the other, [N, C].

    Yields:
        Batches; every sentence that has a token stands in exactly one.
    """
    tokens, vectors = words(chunk)  # [U, I]
    for rows in length_batches(tokens.lengths, batch_tokens):
        index, _ = tokens.padded(tokens.types, rows)  # [B, T]
        lengths = torch.from_numpy(tokens.lengths[rows])  # [B]
        positions = to_device(torch.from_numpy(index), vectors.device)  # [B, T]
        features = None if context is None else gather_context(context, tokens.offsets, rows)  # [B, T, C]
        yield EncodedBatch(rows, lengths, network.encode(vectors, positions, lengths, features=features))


def gather_context(context: Tensor, offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
    """Lay the features of some sentences' tokens out as a batch.

    Args:
        context: features of every token, one sentence after the other, [N, C].
        offsets: where each sentence begins, [S + 1].
        rows: numbers of sentences, [B].

    Returns:
        The features, [B, T, C]; what stands past a sentence's end has no meaning.
    """
    lengths = offsets[rows + 1] - offsets[rows]  # [B]
    positions = offsets[rows, None] + np.arange(int(lengths.max(initial=0)))  # [B, T]
    index = torch.from_numpy(np.minimum(positions, max(0, len(context) - 1)))  # [B, T]
    return context[to_device(index, context.device)].float()  # [B, T, C]


def chunks(sentences: Iterable[Sentence], limit: int) -> Iterator[list[Sentence]]:
    """Cut a stream; where it ends in a fault, what came before the fault is still given first.

    Args:
        sentences: the stream.
        limit: sentences a chunk at most.

    Yields:
        The chunks, in order.

    Raises:
        SeqkitError: the fault that the stream ended in.
    """
    chunk: list[Sentence] = []
    tokens = 0
    fault: SeqkitError | None = None
    iterator = iter(sentences)
    while True:
        try:
            following = next(iterator)
        except StopIteration:
            break
        except SeqkitError as error:
            fault = error
            break
        chunk.append(following)
        tokens += len(following.tokens)
        if tokens >= CHUNK_TOKENS or len(chunk) >= limit:
            yield chunk
            chunk, tokens = [], 0
    if chunk:
        yield chunk
    if fault is not None:
        raise fault


class ScoredBatch(NamedTuple):
    """What a head makes of a batch, still to be decided on.

    Attributes:
        rows: the sentences' positions in the chunk, [B].
        lengths: tokens in each sentence, int64 [B], on the CPU.
        scores: numbers for each token, [B, T, …], or for each sentence, [B, …].
    """

    rows: NDArray[np.int64]
    lengths: Tensor
    scores: Tensor


def _joined(batches: Iterable[ScoredBatch]) -> Iterator[ScoredBatch]:
    """Put batches together: an encoder wants sentences of one length, a decision is faster for many at once."""
    group: list[ScoredBatch] = []
    rows = 0
    for batch in batches:
        # Sentences come in the order of their lengths, so that those of the last batch are the longest.
        if group and (rows + len(batch.rows)) * int(batch.lengths.max()) > JOINED_TOKENS:
            yield _join(group)
            group, rows = [], 0
        group.append(batch)
        rows += len(batch.rows)
    if group:
        yield _join(group)


def _join(group: list[ScoredBatch]) -> ScoredBatch:
    if len(group) == 1:
        return group[0]
    lengths = torch.cat([part.lengths for part in group])  # [B]
    scores = [part.scores for part in group]
    if scores[0].dim() > 2:
        steps = int(lengths.max())
        scores = [functional.pad(each, (0, 0, 0, steps - each.shape[1])) for each in scores]  # each [B, T, K]
    return ScoredBatch(np.concatenate([part.rows for part in group]), lengths, torch.cat(scores))


def predicted(
    network: Network,
    indexer: Indexer,
    sentences: Iterable[Sentence],
    score: Callable[[EncodedBatch], Tensor],
    decode: Callable[[list[Sentence], ScoredBatch], Iterable[_Record]],
    *,
    batch_tokens: int | BatchTokens,
    chunk_sentences: int,
    precision: str,
    context: Callable[[Sequence[Sentence]], Tensor] | None = None,
    words: KeptWords | None = None,
) -> Iterator[tuple[Sentence, _Record | None]]:
    """Predict a stream of sentences, in its order, reading ahead no more than a chunk.

    Args:
        network: an embedding and an encoder.
        indexer: words → numbers.
        sentences: the stream.
        score: what the encoder makes of a batch → the head's numbers for each token, [B, T, K], or sentence, [B, K].
        decode: the sentences of a batch, which may be several of `score` put together, and their numbers → one record
            each.
        batch_tokens: tokens a batch; a longer sentence is a batch of its own. Halved where memory does not suffice.
        chunk_sentences: sentences read ahead at most.
        precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``.
        context: a chunk → further features of every token, [N, C]; none by default.
        words: word vectors of earlier streams of the same network, to which those of this one are added.

    Yields:
        Every sentence with its record; None for one without tokens.
    """
    known = ({} if words is None else words).setdefault(precision, WordVectors(network, indexer))
    room = BatchTokens.of(batch_tokens)

    def predict(part: Sequence[Sentence], size: int) -> list[_Record | None]:
        results: list[_Record | None] = [None] * len(part)
        network.eval()
        with torch.inference_mode(), precision_context(precision, next(network.parameters()).device):
            features = None if context is None else context(part)  # [N, C]
            encoded = encoded_batches(network, known, part, size, features)
            for batch in _joined(ScoredBatch(each.rows, each.lengths, score(each)) for each in encoded):
                rows = batch.rows.tolist()
                found = decode([part[row] for row in rows], batch)
                for row, record in zip(rows, found, strict=True):
                    results[row] = record
        return results

    for chunk in chunks(sentences, chunk_sentences):
        yield from fitted(chunk, room, predict)
