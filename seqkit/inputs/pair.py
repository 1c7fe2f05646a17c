"""Pairs of texts: two texts a record, both through the same embedding and encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.errors import DataError, shown
from seqkit.formats.format import ReadOptions
from seqkit.formats.json_values import as_object
from seqkit.formats.objects import object_text
from seqkit.inputs.arrays import Integers, TokenArrays
from seqkit.inputs.building import build_embedding
from seqkit.inputs.lookup import LookupBatch, LookupModule, TypeCache
from seqkit.inputs.words import WordInput
from seqkit.records import TextPair
from seqkit.terminal import code

_PARALLEL = "a record must be a pair (text, text) or a mapping of fields"


@dataclass(frozen=True, slots=True)
class PairArrays:
    """Pairs as twice as many texts.

    Attributes:
        sides: the texts, the two of each pair one after the other, 2 S of them.
    """

    sides: Any

    @property
    def lengths(self) -> Integers:
        """Steps that a pair takes in a batch, where both texts are as long as the longer one, [S]."""
        found: Integers = 2 * self.sides.lengths.reshape(-1, 2).max(1)
        return found

    def tokens(self) -> list[tuple[list[str], list[str]]]:
        """The tokens of both texts of each pair."""
        found = list(self.sides.tokens())
        return list(zip(found[::2], found[1::2], strict=True))


def _rows(rows: Integers) -> Integers:
    """Numbers of pairs, [B], → those of their first texts and then those of their second ones, [2 B]."""
    return np.concatenate([2 * rows, 2 * rows + 1])


class PairInput(WordInput):
    """The words of pairs of texts; a batch has the B first texts, and then the B second ones."""

    fields = ()

    def units_of(self, records: Sequence[Any]) -> list[Sequence[str]]:
        """See `LookupInput.units_of`: of each pair both texts."""
        return list(chain.from_iterable(record.sides for record in records))

    def module(self) -> LookupModule:
        """See `Input.module`."""
        embedding = self.settings.embedding
        return LookupModule(build_embedding(embedding, self.indexer, self._vectors), features=int(embedding.match))

    def features_of(self, records: Sequence[Any]) -> Tensor | None:
        """See `LookupInput.features_of`: whether the other text of the pair has a word, in any case, [N, 1]."""
        if not self.settings.embedding.match:
            return None
        found: list[bool] = []
        for record in records:
            first, second = ([token.lower() for token in side] for side in record.sides)
            others = (set(second), set(first))
            found += (token in other for side, other in zip((first, second), others, strict=True) for token in side)
        return torch.tensor(found, dtype=torch.float32)[:, None]  # [N, 1]

    def arrays(self, records: Sequence[Any]) -> PairArrays:  # type: ignore[override]
        """See `Input.arrays`."""
        return PairArrays(super().arrays(records))

    def collate(self, arrays: PairArrays, rows: Integers) -> LookupBatch:  # type: ignore[override]
        """See `Input.collate`; 2 B sequences."""
        sides: TokenArrays = arrays.sides
        return super().collate(sides, _rows(rows))

    def description(self) -> list[str]:
        """See `Input.description`."""
        data = self.settings.data
        return [f"- Pairs of texts, fields {code(data.text)} and {code(data.second)}", *super().description()]

    def lengths(self, records: Sequence[Any]) -> list[int]:
        """See `Input.lengths`, and `PairArrays.lengths`."""
        return [2 * max(map(len, record.sides)) for record in records]

    def cached(self, module: nn.Module) -> PairCache:  # type: ignore[override]
        """See `Input.cached`."""
        return PairCache(super().cached(module))

    def record(self, given: Any) -> TextPair:
        """What a user gives as a pair; see `Input.record`.

        Args:
            given: two texts, each raw text or a list of tokens, or a mapping with both under the names of their fields.

        Returns:
            The pair.

        Raises:
            DataError: it is something else.
        """
        if isinstance(given, TextPair):
            return given
        data = self.settings.data
        if isinstance(given, Mapping):
            found = as_object(given)
        elif isinstance(given, tuple | list) and len(given) == 2:
            found = as_object(dict(zip((data.text, data.second), given, strict=True)))
        else:
            raise DataError(f"{_PARALLEL} with {data.text!r} and {data.second!r}, found {shown(given)}")
        record = object_text(found, ReadOptions(self.splitter.split, text=data.text, second=data.second))
        assert isinstance(record, TextPair)
        return record


class PairCache:
    """Pairs for prediction; see `TypeCache`.

    Args:
        cache: of single texts.
    """

    def __init__(self, cache: TypeCache) -> None:
        self._cache = cache

    def arrays(self, records: Sequence[Any]) -> PairArrays:
        """See `Input.arrays`."""
        return PairArrays(self._cache.arrays(records))

    def collate(self, arrays: PairArrays, rows: Integers) -> LookupBatch:
        """See `PairInput.collate`."""
        return self._cache.collate(arrays.sides, _rows(rows))
