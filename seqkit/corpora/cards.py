"""Data set cards: one TOML file a data set, saying what it is, where it comes from and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seqkit.errors import DataError, joined, shown
from seqkit.files import is_plain_name
from seqkit.resources import resource_dir
from seqkit.toml import read_toml

__all__ = ["Card", "CardFile", "GeneratorCard", "card_names", "list_cards", "load_card", "read_card"]


class CardFile(BaseModel):
    """One file of a data set, as seqkit reads it.

    Args:
        name: the file's name in the data set's folder.
        url: its public source, of which checksum and size have to be known; empty where the user has to bring the file.
        sha256: checksum of the file as it lies in the folder, hexadecimal; empty where none is known.
        size: length of the file as it lies in the folder, in bytes.
        unpack: how the folder's file is made from the download: ``gzip`` unpacks it.
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
            raise ValueError(f"files: expected plain file names, found {shown(self.name)}")
        if self.url and not (self.sha256 and self.size is not None):
            raise ValueError(f"files: expected sha256 and size beside the url of {self.name}, found none")
        return self


class GeneratorCard(BaseModel):
    """The generator of a data set that comes with seqkit.

    Args:
        name: a name of `seqkit.corpora.samples.GENERATORS`.
        seed: seed of the generator.
        train: sentences, or other records, to make for train.
        dev: sentences to make for dev.
        test: sentences to make for test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["sample-ner", "sample-pos", "sample-reviews", "sample-sentences", "sample-names", "digits"]
    seed: int = Field(default=0, ge=0)
    train: int = Field(gt=0)
    dev: int = Field(gt=0)
    test: int = Field(gt=0)


class Card(BaseModel):
    """What a data set is, where it comes from and how it is read.

    Args:
        name: the name a user gives; the card's file is ``NAME.toml``.
        task: the command it is for.
        description: one or two sentences.
        language: IETF language tag.
        licence: what may be done with the data; shown before a download.
        homepage: where to read more.
        citation: the paper to cite.
        format: a name of `seqkit.formats.registry.FORMATS`.
        columns: names of a column file's columns, in order; empty for formats that name their own.
        target: the column a tagger learns by default.
        scheme: how that column writes spans (``iob1``, ``iob2``, ``bioes``, ``none``); ``auto`` finds out.
        instructions: how to get the data set where it cannot be downloaded, and how the files relate to their source.
        splits: train, dev and test → file name.
        files: the files, with their sources and checksums.
        generator: for a data set that comes with seqkit: what writes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    task: Literal["tag", "classify", "lm", "generate"]
    description: str = Field(min_length=1)
    language: str = Field(min_length=2)
    licence: str = Field(min_length=1)
    homepage: str = ""
    citation: str = ""
    format: Literal["conll", "conllu", "tsv", "csv", "jsonl", "text", "tokens"]
    columns: tuple[str, ...] = ()
    target: str = ""
    scheme: Literal["auto", "iob1", "iob2", "bioes", "none"] = "auto"
    instructions: str = ""
    splits: dict[Literal["train", "dev", "test"], str] = Field(default_factory=dict)
    files: tuple[CardFile, ...] = ()
    generator: GeneratorCard | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError(f"files: expected each name once, found {', '.join(names)}")
        if self.generator is None and "train" not in self.splits:
            raise ValueError("splits: expected a train file, found none")
        if self.generator is not None and (self.splits or self.files):
            raise ValueError("generator: expected no splits and no files beside a generator")
        for split, file in self.splits.items():
            if file not in names:
                raise ValueError(
                    f"splits.{split}: expected one of files ({', '.join(names) or 'none'}), found {file!r}"
                )
        if self.columns and self.target and self.target not in self.columns:
            raise ValueError(f"target: expected one of columns ({', '.join(self.columns)}), found {self.target!r}")
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
        DataError: the file cannot be read, is not TOML, or a field has a value that it cannot have; the first
            such fields are named.
    """
    path = Path(path)
    try:
        content = read_toml(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from None
    except ValueError as error:
        raise DataError(f"expected TOML, found: {shown(error)}", file=path) from None
    try:
        card = Card.model_validate(content)
    except ValidationError as error:
        faults = [_fault(dict(fault)) for fault in error.errors(include_url=False)]
        raise DataError(joined(faults), file=path) from None
    if card.name != path.stem:
        raise DataError(f"name: expected the file's own name {path.stem!r}, found {shown(card.name)}", file=path)
    return card


def _fault(fault: Mapping[str, Any]) -> str:
    where = ".".join(name if name.isalnum() else shown(name) for name in map(str, fault["loc"]))
    if fault["type"] == "value_error":  # raised above, which says it all
        return str(fault["ctx"]["error"])
    if fault["type"] == "missing":
        return f"{where}: expected a value, found none"
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
        raise DataError(f"expected the name of a data set ({', '.join(names)}), found {name!r}")
    return read_card(resource_dir("datasets") / f"{name}.toml")


def list_cards() -> list[Card]:
    """All cards, sorted by name."""
    return [load_card(name) for name in card_names()]
