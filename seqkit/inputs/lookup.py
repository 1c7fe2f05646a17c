"""What inputs that are looked up in vocabularies have in common: words and other units, each type once a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.inputs.arrays import Indexer, Integers, TokenArrays, TokenBatch, TypeIds, TypeRows, TypeTable
from seqkit.inputs.base import Documents, Input
from seqkit.inputs.building import build_embedding
from seqkit.inputs.settings import DataSettings
from seqkit.inputs.vocabulary import Normaliser, Vocabulary
from seqkit.nn.embedding import TypeBatch, WordEmbedding
from seqkit.nn.sequences import to_device
from seqkit.terminal import markdown

_Kind = TypeVar("_Kind", bound="LookupInput")

MOST_TYPES = 1 << 15
"""word types whose vectors are kept from chunk to chunk; with more, all are computed anew when they come again"""


@dataclass(frozen=True, slots=True)
class LookupBatch:
    """Sequences of words or other units as tensors.

    Attributes:
        lengths: steps of each sequence, int64 [B], on the CPU.
        index: every step's row among the types, int64 or int32 [B, T].
        word_ids: each type's id in the word vocabulary, int64 [U].
        types: the types as `WordEmbedding` reads them; None where their vectors are known.
        vectors: the types' vectors, [at least U, I], where they are known.
        features: further features of every step, [B, T, C].
    """

    lengths: Tensor
    index: Tensor
    word_ids: Tensor
    types: TypeBatch | None = None
    vectors: Tensor | None = None
    features: Tensor | None = None

    @property
    def ids(self) -> Tensor:
        """Every step's id in the word vocabulary, int64 [B, T]; those past a sequence's end mean nothing."""
        return self.word_ids[self.index]

    def to(self, device: torch.device) -> LookupBatch:
        """The same on another device; lengths stay on the CPU."""
        types = None if self.types is None else self.types.to(device)
        return replace(
            self,
            index=to_device(self.index, device),
            word_ids=to_device(self.word_ids, device) if types is None else types.words,
            types=types,
            features=None if self.features is None else to_device(self.features, device),
        )


class LookupModule(nn.Module):
    """A batch of words or other units → vectors: each type's once, and further features beside them.

    Args:
        embedding: word types → vectors.
        context: a frozen network whose outputs are features of the words; kept here, computed elsewhere.
        features: how many further features a word has.
    """

    def __init__(self, embedding: WordEmbedding, context: nn.Module | None = None, features: int = 0) -> None:
        super().__init__()
        self.context = context
        self.embedding = embedding
        further = 0 if context is None else int(context.encoder.output_size)  # type: ignore[union-attr, arg-type]
        self.output_size = embedding.output_size + further + features

    def forward(self, batch: LookupBatch) -> Tensor:
        """Look a batch up.

        Args:
            batch: B sequences.

        Returns:
            Vectors, [B, T, I].
        """
        return self.joined(batch, batch.features)

    def joined(self, batch: LookupBatch, features: Tensor | None) -> Tensor:
        """The vectors of a batch, and features beside them.

        Args:
            batch: B sequences.
            features: [B, T, C], or None.

        Returns:
            [B, T, I].
        """
        vectors = self.embedding(batch.types) if batch.vectors is None else batch.vectors  # [U, E]
        x = functional.embedding(batch.index, vectors)  # [B, T, E]
        return x if features is None else torch.cat([x, features.to(x.dtype)], 2)  # [B, T, E + C]


def type_batch(table: TypeTable, types: Integers) -> TypeBatch:
    """Some word types as tensors.

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


def lookup_batch(table: TypeTable, tokens: TokenBatch, features: Tensor | None = None) -> LookupBatch:
    """A batch as tensors.

    Args:
        table: the ids of the types.
        tokens: the batch.
        features: further features of every token, [B, T, C].

    Returns:
        The batch, on the CPU.
    """
    types = type_batch(table, tokens.types)
    lengths, index = torch.from_numpy(tokens.lengths), torch.from_numpy(tokens.index)
    return LookupBatch(lengths, index, types.words, types, features=features)


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
        ModelError: a document is missing or malformed.
    """
    return Indexer(
        Vocabulary.from_json(documents["words.json"]),
        Vocabulary.from_json(documents["characters.json"]),
        Vocabulary.from_json(documents["vectors.json"]) if "vectors.json" in documents else None,
        Normaliser(data.lowercase, data.digits),
    )


class LookupInput(Input):
    """Words or other units of text.

    Args:
        settings: the settings of the model.
        indexer: units → ids.
        vectors: the table of pretrained vectors that `module` takes up, [N, E], or None.
    """

    def __init__(self, settings: Any, indexer: Indexer, vectors: Tensor | None) -> None:
        self.settings = settings
        self.indexer = indexer
        self._vectors = vectors

    @property
    def dropout(self) -> float:
        """See `Input.dropout`."""
        return float(self.settings.embedding.dropout)

    def module(self) -> LookupModule:
        """See `Input.module`."""
        return LookupModule(build_embedding(self.settings.embedding, self.indexer, self._vectors))

    def units_of(self, records: Sequence[Any]) -> list[Sequence[str]]:
        """What is looked up of each record."""
        raise NotImplementedError  # pragma: no cover - every input overrides it

    def features_of(self, records: Sequence[Any]) -> Tensor | None:
        """Further features of every step, or the ids of such, one record after the other, [N, C]; none by default."""
        return None

    def arrays(self, records: Sequence[Any]) -> TokenArrays:
        """See `Input.arrays`."""
        features = self.features_of(records)
        if features is not None and features.is_floating_point():
            features = features.half()  # as pretrained vectors are: all of the training data's are kept
        return replace(self.indexer(self.units_of(records)), features=features)

    def collate(self, arrays: TokenArrays, rows: Integers) -> LookupBatch:
        """See `Input.collate`."""
        return lookup_batch(arrays.table, arrays.batch(rows), gathered(arrays, rows))

    def lengths(self, records: Sequence[Any]) -> list[int]:
        """See `Input.lengths`."""
        return [len(units) for units in self.units_of(records)]

    def cached(self, module: nn.Module) -> TypeCache:
        """See `Input.cached`: the vectors of word types are kept."""
        return TypeCache(self.indexer, module, self.units_of, self.features_of)

    def documents(self) -> dict[str, Any]:
        """See `Input.documents`."""
        return indexer_documents(self.indexer)

    def facts(self, records: Sequence[Any]) -> tuple[dict[str, Any], list[str]]:
        """See `Input.facts`: how many of the training words have a pretrained vector."""
        if not self.settings.embedding.vectors or self._vectors is None:
            return {}, []
        counts = Counter(chain.from_iterable(self.units_of(records)))
        found = self.indexer.table(list(counts)).vectors > 1  # [U]
        tokens = np.array(list(counts.values()))  # [U]
        words, size = len(self._vectors) - 2, self._vectors.shape[1]
        share = tokens[found].sum() / max(1, tokens.sum())
        line = f"pretrained vectors: {words:,} words of size {size}, for {found.mean():.1%} of the training words"
        kept = {"words": words, "size": size, "found": float(found.mean())}
        return {"vectors": kept}, [f"{line}, {share:.1%} of the tokens"]

    def description(self) -> list[str]:
        """See `Input.description`."""
        embedding = self.settings.embedding
        vectors = markdown(Path(embedding.vectors).name) if embedding.vectors else "none"
        return [f"- Characters: {embedding.chars}; pretrained vectors: {vectors}"]


def gathered(rows_of: TypeRows, rows: Integers) -> Tensor | None:
    """The features of some records' steps as a batch.

    Args:
        rows_of: all records, with the features of every step, [N, C].
        rows: numbers of records, [B].

    Returns:
        The features, float32 or ids, [B, T, C], or None where there are none; those past a sequence's end mean nothing.
    """
    features: Tensor | None = rows_of.features
    if features is None:
        return None
    lengths = rows_of.offsets[rows + 1] - rows_of.offsets[rows]  # [B]
    positions = rows_of.offsets[rows, None] + np.arange(int(lengths.max(initial=0)))  # [B, T]
    index = torch.from_numpy(np.minimum(positions, max(0, len(features) - 1)))  # [B, T]
    found = features[to_device(index, features.device)]  # [B, T, C]
    return found.float() if found.is_floating_point() else found


class TypeCache:
    """The input of a stream: each word type's vector is computed when it first comes. For one thread at a time.

    Args:
        indexer: units → ids.
        module: has the embedding.
        units_of: see `LookupInput.units_of`.
        features_of: see `LookupInput.features_of`.
    """

    def __init__(
        self,
        indexer: Indexer,
        module: nn.Module,
        units_of: Callable[[Sequence[Any]], list[Sequence[str]]] = list,
        features_of: Callable[[Sequence[Any]], Tensor | None] = lambda records: None,
    ) -> None:
        self._indexer = indexer
        self._embedding = module.embedding
        self._units_of = units_of
        self._features_of = features_of
        # One-hot vectors have no parameters.
        self._device = next(chain(module.parameters(), module.buffers())).device
        self._forget()

    def _forget(self) -> None:
        self._ids = TypeIds()
        self._words = np.empty(0, dtype=np.int64)  # [U]
        self._vectors: Tensor | None = None  # [capacity, I]

    def arrays(self, records: Sequence[Any]) -> TypeRows:
        """See `Input.arrays`; word types that are new get their vectors."""
        if len(self._ids) > MOST_TYPES:  # an endless stream has ever new words
            self._forget()
        known = len(self._ids)
        rows = self._ids.of(self._units_of(records))
        if len(self._ids) > known:
            try:
                self._add(list(islice(self._ids, known, None)), known)
            except BaseException:  # no type is numbered whose vector is missing
                self._forget()
                raise
        return replace(rows, features=self._features_of(records))

    def _add(self, types: list[str], known: int) -> None:
        """Compute the vectors of new types, which are numbered from `known` on."""
        table = self._indexer.table(types)
        order = table.by_length(np.arange(len(types)))  # [U]
        vectors: Tensor = self._embedding(type_batch(table, order).to(self._device))  # type: ignore[operator]  # [U, I]
        kept, needed = self._vectors, known + len(types)
        if kept is None or len(kept) < needed:
            larger = vectors.new_empty(max(needed, 2 * known), vectors.shape[1])  # [capacity, I]
            if kept is not None:
                larger[:known] = kept[:known]
            kept = larger
        self._vectors = kept.index_copy_(0, to_device(torch.from_numpy(order + known), self._device), vectors)
        self._words = np.concatenate([self._words, table.words])

    def collate(self, rows_of: TypeRows, rows: Integers) -> LookupBatch:
        """See `Input.collate`; with vectors, which the next chunk may move."""
        index, _ = rows_of.padded(rows_of.types, rows)  # [B, T]
        lengths = torch.from_numpy(rows_of.lengths[rows])  # [B]
        words = torch.from_numpy(self._words)  # [U]
        features = gathered(rows_of, rows)
        return LookupBatch(lengths, torch.from_numpy(index), words, vectors=self._vectors, features=features)
