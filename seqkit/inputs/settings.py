"""Settings of the inputs: what is read, and how it becomes vectors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from seqkit.config.sections import LARGEST, Count, Elsewhere, Options, Positive, Probability, Section, Size, SizeOrNone
from seqkit.errors import DataError

if TYPE_CHECKING:
    from seqkit.formats.format import Description


class ReadingSettings(Section):
    """How files are described that do not describe themselves."""

    format: str = ""
    """format of the files, one of seqkit data formats  [default: by their names and content]"""
    columns: str = ""
    """names of the columns of files, in order, separated by commas  [default: those of the files or their format]"""
    token_column: Annotated[str, Field(coerce_numbers_to_str=True)] = ""
    """column of the tokens: a name, or a position from 0  [default: that of the format or of the first lines]"""
    encoding: str = ""
    """encoding of text files  [default: utf-8]"""
    span_borders: Literal["refuse", "widen", "narrow"] = "refuse"
    """spans that start or end inside a token are a fault (refuse), take the token (widen) or leave it out (narrow)"""

    @field_validator("format", "encoding")
    @classmethod
    def _is_known(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            return value
        # All formats, for which help texts need not wait.
        from seqkit.formats.registry import format_named
        from seqkit.formats.text import known_encoding

        try:
            (format_named if info.field_name == "format" else known_encoding)(value)
        except DataError as error:
            raise ValueError(str(error)) from None
        return value

    def description(self) -> Description:
        """How files are to be read, as far as the settings say it."""
        from seqkit.formats.format import Description, column_names

        return Description(self.format, column_names(self.columns), self.token_column, self.encoding, self.span_borders)


class EvaluationOptions(ReadingSettings, Options):
    """Options of evaluation that all tasks have; what they do not say the model's settings do."""


class DataSettings(ReadingSettings):
    """What is read, how text is split into words, and which words are in the vocabulary."""

    splitter: Literal["auto", "words", "english", "elision", "spaces", "characters"] = "auto"
    """how raw text is split into tokens (auto: as fits the training data best)"""
    lowercase: bool = True
    """lower-case the word vocabulary (characters keep their case)"""
    digits: bool = True
    """replace every digit by 0 in the word vocabulary"""
    min_count: Positive = 1
    """words that occur fewer times in training are unknown"""
    max_words: Count = 0
    """maximal size of the vocabulary; 0 for no limit"""

    @property
    def split_kind(self) -> str:
        """The kind of splitter; where it was not chosen by data, the one for text of any language."""
        return "words" if self.splitter == "auto" else self.splitter


class EmbeddingSettings(Section):
    """How a word becomes a vector."""

    word_size: SizeOrNone = 100
    """size of the trained word vectors; 0 for none"""
    vectors: Elsewhere = ""
    """file of pretrained word vectors: GloVe, word2vec or fastText"""
    vectors_limit: Count = 0
    """read only the first vectors of the file (the most frequent words); 0 for all"""
    vectors_join: Literal["concat", "sum"] = "sum"
    """add the trained word vector to the pretrained one (word_size is then the pretrained size), or concatenate"""
    one_hot: bool = False
    """one-hot word vectors, as long as the vocabulary, instead of trained ones"""
    chars: Literal["cnn", "lstm", "none"] = "cnn"
    """character features of a word"""
    char_size: Size = 30
    """size of the character vectors"""
    char_features: Annotated[int, Field(ge=2, le=LARGEST)] = 50
    """size of a word's character features"""
    char_kernel: Annotated[int, Field(ge=1, le=100)] = 3
    """width of a character filter"""
    char_dropout: Probability = 0.0
    """dropout on character vectors"""
    dropout: Probability = 0.33
    """dropout on word vectors, one mask a sentence"""
    word_dropout: Probability = 0.05
    """probability that a word is replaced by the unknown word in training"""
    type_dropout: Probability = 0.0
    """embedding dropout: probability that a word type's vector is zero throughout a batch (Merity et al. 2018)"""

    @model_validator(mode="after")
    def _some_input(self) -> EmbeddingSettings:
        if not (self.word_size or self.one_hot or self.vectors or self.chars != "none"):
            raise ValueError("a word has no vector: set word_size > 0, one_hot, vectors or chars")
        return self


class UnitDataSettings(DataSettings):
    """What a model that writes text reads: the units of the text."""

    end: ClassVar[str] = "\n"
    """the unit that ends a text"""
    unit: Literal["word", "char", "bpe"] = "word"
    """unit of prediction: words, characters, or byte pairs (BPE) learned from the data"""
    bpe_size: Annotated[int, Field(ge=257, le=1_000_000)] = 4000
    """maximal number of byte-pair units"""
    lowercase: bool = False
    """lower-case the text"""
    digits: bool = False
    """replace every digit by 0"""

    @model_validator(mode="after")
    def _bytes_have_no_case(self) -> UnitDataSettings:
        # A byte pair is spelled in letters that stand for bytes: in lower case they would stand for others.
        if self.unit == "bpe" and self.lowercase:
            raise ValueError("lowercase needs unit word or char, not bpe")
        return self


class UnitEmbeddingSettings(EmbeddingSettings):
    """How a unit of text becomes a vector."""

    word_size: SizeOrNone = 200
    """size of the trained vectors; 0 for none"""
    chars: Literal["cnn", "lstm", "none"] = "none"
    """character features of a word"""
    dropout: Probability = 0.0
    """dropout on unit vectors, one mask per sequence"""
    word_dropout: Probability = 0.0
    """probability that a unit is replaced by the unknown unit in training"""
    type_dropout: Probability = 0.0
    """embedding dropout: probability that a unit's vector is zero throughout a batch (Merity et al. 2018)"""


class ActSettings(Section):
    """How dialogue acts are read, and which slots are counted as errors."""

    spelled: str = ""
    """slots whose values are read and written as words, and not as symbols, separated by commas"""
    keywords: str = ""
    """slots without symbols that are counted by words that show them, as slot=word word,slot=word"""
    uncounted: str = ""
    """types of acts whose slots are not counted, separated by commas"""

    def names(self, field: str) -> frozenset[str]:
        """The names that a setting has between commas; those of slots as `seqkit.formats.dialogue_act.Slot` has them.

        Args:
            field: ``spelled`` or ``uncounted``.

        Returns:
            They.
        """
        found = [name.strip() for name in getattr(self, field).split(",")]
        return frozenset(filter(None, map(_slot_name, found) if field == "spelled" else found))

    def words_of_slots(self) -> dict[str, frozenset[str]]:
        """Slot → the words that show it."""
        found = [part.partition("=") for part in self.keywords.split(",") if part.strip()]
        return {_slot_name(name): frozenset(words.lower().split()) for name, _, words in found}

    @field_validator("keywords")
    @classmethod
    def _are_words_of_slots(cls, value: str) -> str:
        for part in filter(str.strip, value.split(",")):
            name, _, words = part.partition("=")
            if not _slot_name(name) or not words.split():
                raise ValueError(f"expected slots with words, as kidsallowed=child kid, found {part.strip()!r}")
        return value


def _slot_name(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
