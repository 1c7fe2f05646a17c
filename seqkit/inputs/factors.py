"""Factors: what stands beside every word that is read, such as its part of speech or its lemma."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.errors import DataError, ModelError, shown
from seqkit.inputs.lookup import LookupBatch, LookupModule
from seqkit.inputs.vocabulary import UNKNOWN, Vocabulary
from seqkit.nn.embedding import WordEmbedding
from seqkit.records import Sentence, TextRecord


class Factors:
    """The words of some fields of a record, one for each word of its text.

    Args:
        words: the vocabulary of each field, by its name.
    """

    def __init__(self, words: Mapping[str, Vocabulary]) -> None:
        self.words = words

    @classmethod
    def build(cls, fields: Sequence[str], records: Sequence[Any], least: int) -> Factors:
        """Collect the words.

        Args:
            fields: the fields.
            records: the training data.
            least: see `Vocabulary.build`.

        Returns:
            The factors.
        """
        counts = {
            field: Counter(chain.from_iterable(factor_words(each, field) for each in records)) for field in fields
        }
        return cls({field: Vocabulary.build(found, least, None) for field, found in counts.items()})

    @classmethod
    def from_json(cls, tree: Any, fields: Sequence[str], place: str) -> Factors:
        """Restore factors.

        Args:
            tree: what `to_json` gave.
            fields: the fields that the settings name.
            place: where the model is, for messages.

        Returns:
            The factors.

        Raises:
            ModelError: the fields are others.
        """
        if not isinstance(tree, dict) or [*tree] != [*fields]:
            raise ModelError(f"{place}: factors.json: expected {', '.join(fields)}, found {shown(tree)}")
        return cls({field: Vocabulary.from_json(words) for field, words in tree.items()})

    def to_json(self) -> dict[str, Any]:
        """The vocabularies."""
        return {field: words.to_json() for field, words in self.words.items()}

    def ids(self, records: Sequence[Any], lengths: Sequence[int]) -> Tensor:
        """The ids of the factors of every word.

        Args:
            records: the records.
            lengths: the words of each record's text.

        Returns:
            One record after the other, int32 [N, F].

        Raises:
            DataError: a field has another number of words than the text.
        """
        columns: list[list[int]] = []
        for field, words in self.words.items():
            column: list[int] = []
            for record, length in zip(records, lengths, strict=True):
                found = factor_words(record, field)
                if len(found) != length:
                    wanted = f"a word for each of the {length} words that are read"
                    raise DataError(
                        f"field {field!r} needs {wanted}, found {len(found)}", file=record.file, line=record.line
                    )
                column += words.indices(found)
            columns.append(column)
        return torch.tensor(columns, dtype=torch.int32).t().contiguous()  # [N, F]

    def module(self, embedding: WordEmbedding, size: int) -> FactorModule:
        """The module that reads batches.

        Args:
            embedding: of the words.
            size: of the vector of each factor.

        Returns:
            It.
        """
        return FactorModule(embedding, [len(words) for words in self.words.values()], size)


class FactorModule(LookupModule):
    r"""A batch of words with factors → vectors, :math:`x_t = [e(w_t); e_1(f_{t1}); e_2(f_{t2}); …]`.

    Sennrich & Haddow 2016, "Linguistic input features improve neural machine translation".

    Args:
        embedding: word types → vectors.
        numbers: how many words each factor has, those that are reserved included.
        size: the size of the vector of each factor. Those of padding and of an unknown word are zero.
    """

    def __init__(self, embedding: WordEmbedding, numbers: Sequence[int], size: int) -> None:
        super().__init__(embedding, features=size * len(numbers))
        self.factors = nn.ParameterList(torch.empty(number, size).uniform_(-0.1, 0.1) for number in numbers)
        with torch.no_grad():
            for table in self.factors:
                table[: UNKNOWN + 1] = 0.0

    def forward(self, batch: LookupBatch) -> Tensor:
        """Look a batch up.

        Args:
            batch: B sequences, whose features are the ids of factors, [B, T, F].

        Returns:
            Vectors, [B, T, I].
        """
        assert batch.features is not None
        ids = batch.features.long()  # [B, T, F]
        found = [functional.embedding(ids[..., place], table) for place, table in enumerate(self.factors)]
        return self.joined(batch, torch.cat(found, 2))


def factor_words(record: TextRecord | Sentence, field: str) -> list[str]:
    """The words of a field, between spaces.

    Args:
        record: the record.
        field: the field; a list of words counts as one, too.

    Returns:
        The words.

    Raises:
        DataError: there is no such field, or it holds something else.
    """
    found = record.fields.get(field)
    if isinstance(found, str):
        return found.split()
    if isinstance(found, list) and all(isinstance(word, str) for word in found):
        return [*found]
    refuse_field(record, field, "words")


def refuse_field(record: TextRecord | Sentence, field: str, expected: str) -> NoReturn:
    """Say that a field is missing, or holds something else.

    Args:
        record: the record.
        field: the field.
        expected: what it should hold.

    Raises:
        DataError: always.
    """
    if field in record.fields:
        found = f"found {record.fields[field]!r:.40}"
    elif record.fields:
        found = f"the fields are {', '.join(map(repr, record.fields))}"
    else:
        found = "found a text without fields"
    raise DataError(f"expected {expected} in field {field!r}, {found}", file=record.file, line=record.line)
