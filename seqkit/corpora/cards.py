"""Data set cards: one TOML file per data set, with what it is, where it comes from and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seqkit.errors import DataError, file_errors, listed, shown
from seqkit.files import is_plain_name
from seqkit.formats.registry import FORMATS
from seqkit.formats.text import known_encoding
from seqkit.resources import resource_dir
from seqkit.tasks import TASKS
from seqkit.toml import read_toml


class CardFile(BaseModel):
    """One file of a data set, as seqkit reads it.

    Args:
        name: the file's name in the data set's folder.
        url: its public source, with checksum and size; empty if the user has to get the file.
        sha256: checksum of the file as it is in the folder, hexadecimal; empty if none is known.
        size: size of the file as it is in the folder, in bytes.
        unpack: how the file is made from the download: ``gzip`` unpacks it.
        rewrite: a name of `seqkit.corpora.fetch.REWRITES`, applied after unpacking.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    url: str = Field(default="", pattern=r"^(https?://.+)?$")
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    size: int | None = Field(default=None, ge=0, le=1 << 40)
    unpack: Literal["", "gzip"] = ""
    rewrite: Literal["", "trec", "first-space-to-tab"] = ""

    @model_validator(mode="after")
    def _checked(self) -> CardFile:
        if not is_plain_name(self.name):
            raise ValueError(f"files: {shown(self.name)} is not a plain file name")
        if self.url and not (self.sha256 and self.size is not None):
            raise ValueError(f"files: {self.name} has a url, but no sha256 or no size")
        return self


class GeneratorCard(BaseModel):
    """The generator of a data set that comes with seqkit.

    Args:
        name: a name of `seqkit.corpora.samples.GENERATORS`.
        seed: seed of the generator.
        train: how many sentences or other records to write for train.
        dev: how many for dev.
        test: how many for test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal[
        "sample-ner",
        "sample-pos",
        "sample-reviews",
        "sample-pairs",
        "sample-sentences",
        "sample-names",
        "sample-tolari",
        "digits",
        "sample-tones",
        "sample-melodies",
        "sample-gestures",
    ]
    seed: int = Field(default=0, ge=0)
    train: int = Field(gt=0)
    dev: int = Field(gt=0)
    test: int = Field(gt=0)


class Card(BaseModel):
    """What a data set is, where it comes from and how it is read.

    Args:
        name: the name a user gives; the card's file is ``NAME.toml``.
        task: the task it is for.
        input: what the task reads of it, ``words``, ``frames`` or ``pair``.
        description: one or two sentences.
        language: IETF language tag; ``und`` for what is in no language.
        licence: what may be done with the data; shown before a download.
        homepage: where to read more.
        citation: the paper to cite.
        format: a name of `seqkit.formats.registry.FORMATS`.
        columns: names of a column file's columns, in order; empty for formats with names of their own.
        token_column: the column of the tokens, a name or a position from 0; empty for the format's.
        encoding: the encoding of text files; empty for UTF-8.
        target: the column a tagger, or the label a classifier, learns by default.
        source: the field of the text that another one is written from, for task ``translate``.
        source_unit: ``act`` if that text is a dialogue act.
        texts: the fields of the two texts of a pair.
        scheme: how that column writes spans (``iob1``, ``iob2``, ``bioes``, ``none``); ``auto`` detects it.
        instructions: how to get the data set if it cannot be downloaded, and how the files relate to their source.
        splits: train, dev and test → file name.
        files: the files, with their sources and checksums.
        generator: what writes a data set that comes with seqkit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    task: str
    input: Literal["words", "frames", "pair"] = "words"
    description: str = Field(min_length=1)
    language: str = Field(default="und", min_length=2)
    licence: str = Field(min_length=1)
    homepage: str = ""
    citation: str = ""
    format: str
    columns: tuple[str, ...] = ()
    token_column: str = ""
    encoding: str = ""
    target: str = ""
    source: str = ""
    source_unit: Literal["", "act"] = ""
    texts: tuple[()] | tuple[str, str] = ()
    scheme: Literal["auto", "iob1", "iob2", "bioes", "none"] = "auto"
    instructions: str = ""
    splits: dict[Literal["train", "dev", "test"], str] = Field(default_factory=dict)
    files: tuple[CardFile, ...] = ()
    generator: GeneratorCard | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if self.task not in TASKS:
            raise ValueError(f"task: expected one of {', '.join(TASKS)}, found {shown(self.task)}")
        if self.format not in FORMATS:
            raise ValueError(f"format: expected one of {', '.join(FORMATS)}, found {shown(self.format)}")
        if self.encoding:
            try:
                known_encoding(self.encoding)
            except DataError as error:
                raise ValueError(f"encoding: {error}") from None
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError(f"files: a name occurs twice: {', '.join(names)}")
        if self.generator is None and "train" not in self.splits:
            raise ValueError("splits: no train file")
        if self.generator is not None and (self.splits or self.files):
            raise ValueError("generator: a card with a generator cannot have splits or files")
        for split, file in self.splits.items():
            if file not in names:
                raise ValueError(f"splits.{split}: {file!r} is not one of the files ({', '.join(names) or 'none'})")
        if self.columns and self.target and self.target not in self.columns:
            raise ValueError(f"target: {self.target!r} is not one of the columns ({', '.join(self.columns)})")
        if (self.input == "pair") != bool(self.texts):
            raise ValueError("texts: the two fields of a pair are needed for input pair, and for no other")
        if self.source and (self.task != "translate" or not self.target):
            raise ValueError("source: it is for task translate, beside the target")
        if self.source_unit and not self.source:
            raise ValueError("source_unit: it is for a source")
        return self

    @property
    def downloadable(self) -> bool:
        """Whether every file has a public source."""
        return bool(self.files) and all(file.url for file in self.files)


def read_card(path: str | Path) -> Card:
    """Read one card.

    Args:
        path: the TOML file.

    Returns:
        The card, checked.

    Raises:
        DataError: the file cannot be read, is not TOML, or fields have invalid values; the first of these are named.
    """
    path = Path(path)
    try:
        with file_errors("cannot be read", path):
            content = read_toml(path)
    except ValueError as error:
        raise DataError(f"invalid TOML: {shown(error)}", file=path) from None
    try:
        card = Card.model_validate(content)
    except ValidationError as error:
        raise DataError(listed([_fault(dict(fault)) for fault in error.errors(include_url=False)]), file=path) from None
    if card.name != path.stem:
        raise DataError(f"name: expected the name of the file, {path.stem!r}, found {shown(card.name)}", file=path)
    return card


def _fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(name if name.isalnum() else shown(name) for name in map(str, fault["loc"]))
    if fault["type"] == "value_error":  # raised above, with the whole message
        return str(fault["ctx"]["error"])
    if fault["type"] == "missing":
        return f"{where}: missing"
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown field"
    message = str(fault["msg"])
    return f"{where}: {message[:1].lower()}{message[1:]}, found {shown(fault['input'])}"


def card_names() -> list[str]:
    """The names of the data sets that seqkit knows, sorted."""
    return sorted(path.stem for path in resource_dir("datasets").glob("*.toml"))


def load_card(name: str) -> Card:
    """The card of a named data set.

    Args:
        name: as `card_names` gives it.

    Returns:
        The card.

    Raises:
        DataError: there is no such card, or it has faults.
    """
    names = card_names()
    if name not in names:
        raise DataError(f"unknown data set {name!r}; choose from {', '.join(names)}")
    return read_card(resource_dir("datasets") / f"{name}.toml")


def list_cards() -> list[Card]:
    """All cards, sorted by name."""
    return [load_card(name) for name in card_names()]
