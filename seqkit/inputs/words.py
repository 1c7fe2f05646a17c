"""Words: trained embeddings, pretrained vectors, character features and contextual string embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.errors import DataError, shown
from seqkit.formats.format import ReadOptions
from seqkit.formats.json_values import as_object
from seqkit.formats.objects import object_text
from seqkit.formats.splitting import Splitter
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.base import Documents, Sources
from seqkit.inputs.building import build_embedding, build_indexer, pretrained_table
from seqkit.inputs.context import ContextFeatures
from seqkit.inputs.lookup import LookupInput, LookupModule, TypeCache, restore_indexer
from seqkit.records import Sentence, SplitFunction, TextRecord


class WordInput(LookupInput):
    """The words of sentences.

    Args:
        settings: the settings of the model.
        splitter: raw text → tokens.
        indexer: tokens → ids.
        vectors: the table of pretrained vectors, [N, E], or None.
        context: further features of every word.
    """

    fields: tuple[str, ...] = ("text", "tokens")
    reads_tokens = True

    def __init__(
        self,
        settings: Any,
        splitter: Splitter,
        indexer: Indexer,
        vectors: Tensor | None = None,
        context: ContextFeatures | None = None,
    ) -> None:
        super().__init__(settings, indexer, vectors)
        self.splitter = splitter
        self.context = context

    @classmethod
    def build(cls, settings: Any, records: Sequence[Sentence], sources: Sources) -> WordInput:
        """See `Input.build`."""
        types = Counter(token for record in records for token in record.tokens)
        indexer = build_indexer(settings.data, types, sources)
        return cls(settings, Splitter(settings.data.split_kind), indexer, pretrained_table(sources), sources.context)

    @classmethod
    def restore(cls, settings: Any, documents: Documents) -> WordInput:
        """See `Input.restore`."""
        context = None
        if "context.json" in documents:
            table = documents.weight("input.context.input.embedding.vectors")
            context = ContextFeatures.restore(documents["context.json"], f"{documents.place}: context.json", table)
        splitter = Splitter.from_json(documents["splitter.json"])
        indexer = restore_indexer(settings.data, documents)
        return cls(settings, splitter, indexer, documents.weight("input.embedding.vectors"), context)

    @property
    def split(self) -> SplitFunction:
        """See `Input.split`."""
        return self.splitter.split

    def module(self) -> LookupModule:
        """See `Input.module`."""
        embedding = build_embedding(self.settings.embedding, self.indexer, self._vectors)
        return LookupModule(embedding, None if self.context is None else self.context.network)

    def stream(self, module: nn.Module) -> WordStream:
        """See `Input.stream`; a chunk is a list of tokens."""
        return WordStream(self, module)

    def units_of(self, records: Sequence[Sentence]) -> list[Sequence[str]]:
        """See `LookupInput.units_of`."""
        return [record.tokens for record in records]

    def features_of(self, records: Sequence[Sentence]) -> Tensor | None:
        """See `LookupInput.features_of`."""
        return None if self.context is None else self.context([record.tokens for record in records])

    def record(self, given: Any) -> Sentence:
        """What a user gives as a sentence; see `Input.record`.

        Args:
            given: raw text, which is split, a list of tokens, a record, or a mapping, which is read as an object of a
                JSON Lines file is, its text under the name that the settings have for it or ``text``.

        Returns:
            The sentence.

        Raises:
            DataError: it is something else.
        """
        if isinstance(given, Sentence):
            # The readers of files, which number lines, have seen to it.
            if not given.line and not given.is_aligned():
                raise DataError(f"a sentence needs text[start:end] == token for every token, found {shown(given)}")
            return given
        if isinstance(given, Mapping):
            found, text = as_object(given), getattr(self.settings.data, "text", "text")
            tokens = self.settings.data.token_column
            options = ReadOptions(
                self.splitter.split,
                text=text if text in found else "text",
                token_column=tokens if tokens in found else "",
            )
            record = object_text(found, options)
            assert isinstance(record, Sentence)  # as there is a splitter
            return record
        if isinstance(given, (str, TextRecord)):
            return TextRecord.cut(super().record(given), self.splitter.split)
        try:
            return Sentence.from_tokens(given)
        except TypeError:  # no iterable of strings
            raise DataError(f"a record must be a text or a list of tokens (strings), found {shown(given)}") from None

    def documents(self) -> dict[str, Any]:
        """See `Input.documents`."""
        documents = {**super().documents(), "splitter.json": self.splitter.to_json()}
        if self.context is not None:
            documents["context.json"] = self.context.document()
        return documents


class WordStream:
    """The words of sentences that come in chunks; see `Input.stream`.

    Args:
        input: what is read.
        module: the module that reads batches.
    """

    delay = 0
    extent = None

    def __init__(self, input: WordInput, module: nn.Module) -> None:
        context = None if input.context is None else input.context.stream()
        self._context = context
        features = (lambda records: None) if context is None else (lambda records: context.accept(records[0]))
        self._module = module
        self._device = next(chain(module.parameters(), module.buffers())).device
        self._cache = TypeCache(input.indexer, module, features_of=features)
        self._nothing = torch.zeros(1, 0, int(module.output_size), device=self._device)  # type: ignore[arg-type]

    def accept(self, chunk: Sequence[str]) -> Tensor:
        """Read the next tokens of a sentence.

        Args:
            chunk: the tokens; there may be none.

        Returns:
            Their vectors, [1, t, I].

        Raises:
            DataError: it is something else.
        """
        listed = hasattr(chunk, "__iter__") and not isinstance(chunk, str | bytes | Mapping)
        tokens = list(chunk) if listed else []
        if not listed or not all(isinstance(token, str) for token in tokens):
            raise DataError(f"a chunk of a stream must be a list of tokens (strings), found {shown(chunk)}")
        if not tokens:
            return self._nothing
        arrays = self._cache.arrays([tokens])
        vectors: Tensor = self._module(self._cache.collate(arrays, np.array([0])).to(self._device))
        return vectors

    def finish(self) -> Tensor:
        """End the sentence: nothing is left, [1, 0, I]."""
        if self._context is not None:
            self._context.finish()
        return self._nothing
