"""DATA as a user names it (a data set, a folder, one file) → the sentences of its splits."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from seqkit.data.array_files import attach_arrays
from seqkit.data.catalog import Card, card_names, load_card
from seqkit.data.formats import Splitter, detect_format, is_pipe, read_sentences, read_texts
from seqkit.data.jsonl import first_object_has
from seqkit.data.sentence import Sentence
from seqkit.data.text import read_lines
from seqkit.errors import DataError

__all__ = ["EXTENSIONS", "Dataset", "Split", "find_folder", "resolve", "split_files"]

#: Extensions of a data file inside a folder of splits; a read-me or a log beside them is left alone.
EXTENSIONS = frozenset(
    {"", ".conll", ".conllu", ".iob", ".iob1", ".iob2", ".iobes", ".bio", ".bioes", ".col", ".ner", ".pos"}
    | {".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".txt", ".text", ".tokens", ".tok", ".data"}
    | {".train", ".dev", ".valid", ".val", ".test", ".testa", ".testb"}
)

_LINE_BREAK = re.compile(r"\r\n?|\n")

_SPLIT_OF_WORD = {
    "train": "train",
    "dev": "dev",
    "devel": "dev",
    "development": "dev",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "testa": "dev",
    "test": "test",
    "testb": "test",
}


@dataclass(slots=True)
class Split:
    """One split: a file still to be read, or sentences already here.

    Args:
        file: the file, or None where the sentences did not come from one.
        format: its format; None lets the reader find out.
        content: sentences already here.
    """

    file: Path | None = None
    format: str | None = None
    content: list[Sentence] | None = None


@dataclass(slots=True)
class Dataset:
    """The splits of a data set, read when asked for.

    Args:
        name: what the user called it.
        splits: ``train``, ``dev``, ``test`` → the split; a lone file is ``all``.
        card: the data set's card, where it has one.
        notes: what the user should be told; what was held out is added when it is first read.
    """

    name: str
    splits: dict[str, Split]
    card: Card | None = None
    notes: list[str] = field(default_factory=list)
    _read: dict[str, tuple[object, list[Sentence]]] = field(default_factory=dict, repr=False)
    _labelled: dict[str, bool] = field(default_factory=dict, repr=False)
    _totals: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def target(self) -> str:
        """The label column that a tagger learns by default: the card's, or ``""`` (the last one)."""
        return self.card.target if self.card is not None else ""

    @property
    def scheme(self) -> str:
        """The card's label scheme, or ``auto``."""
        return self.card.scheme if self.card is not None else "auto"

    @property
    def _columns(self) -> Sequence[str] | None:
        """The names of the card's columns, if it has any."""
        return self.card.columns if self.card is not None and self.card.columns else None

    @property
    def held_out(self) -> bool:
        """Whether dev is the last tenth of train (or of a lone file)."""
        return "dev" not in self.splits and ("train" in self.splits or "all" in self.splits)

    def has(self, split: str) -> bool:
        """Whether `sentences` can answer for a split.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.

        Returns:
            True where there are sentences for it, held out of train or not.
        """
        return split in self.splits or (split == "train" and "all" in self.splits) or (split == "dev" and self.held_out)

    @property
    def has_tokens(self) -> bool:
        """Whether the text comes as words already, so that the spaces in its lines stand between words."""
        if self.card is not None:
            return self.card.format in ("tokens", "conll")
        split = next(iter(self.splits.values()))
        return split.file is not None and (split.format or detect_format(split.file)) in ("tokens", "conll")

    def label_field(self, target: str | None = None, format: str | None = None) -> str | None:
        """Whether this is a data set of labelled texts, and where their labels are.

        Args:
            target: the field of the label; by default the card's, or ``label``.
            format: the format of the first file; by default what is found out.

        Returns:
            The field; None for sentences whose tokens have labels, or that have none.

        Raises:
            DataError: a file cannot be read.
        """
        label = target or self.target or "label"
        if label not in self._labelled:
            self._labelled[label] = self._has_labels(label, format)
        return label if self._labelled[label] else None

    def _has_labels(self, label: str, format: str | None) -> bool:
        if self.card is not None:
            return self.card.task == "classify"
        split = next(iter(self.splits.values()))
        if split.content is not None:
            return any(label in sentence.fields for sentence in split.content[:1])
        assert split.file is not None
        if is_pipe(split.file):  # what is looked at would be lost to its reader
            return False
        format = format or split.format or detect_format(split.file)
        if format == "jsonl":
            return first_object_has(read_lines(split.file), label)
        return format in ("tsv", "csv")

    def evaluation_split(self, asked: str | None = None) -> str:
        """Which split to evaluate on.

        Args:
            asked: what the user asked for; None means test, or dev where there is no test.

        Returns:
            The split's name; a lone file is evaluated as a whole (``all``) unless dev or train was asked for.

        Raises:
            DataError: there is no such split.
        """
        if "all" in self.splits and asked in (None, "test"):
            return "all"
        if asked is None:
            return "test" if self.has("test") else "dev"
        if not self.has(asked):
            found = ", ".join([name for name in ("train", "dev", "test") if self.has(name)])
            raise DataError(f"expected a {asked} split in {self.name}, found {found or 'none'}")
        return asked

    def sentences(self, split: str, splitter: Splitter | None = None) -> list[Sentence]:
        """Read one split.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
            splitter: text → token offsets, for formats that hold plain text.

        Returns:
            The sentences, in the file's order. Where dev is held out, train is all but its last tenth.

        Raises:
            DataError: there is no such split, it cannot be read, train is empty, or train has too few sentences for
                a dev split to be held out.
        """
        return self._split(split, splitter, lambda name: self._load(name, splitter))

    def texts(
        self, split: str, splitter: Splitter | None = None, *, text: str = "text", label: str | None = "label"
    ) -> list[Sentence]:
        """Read one split of texts that have labels or other fields.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
            splitter: text → token offsets.
            text: the field of the text.
            label: the field of the label; None where a text needs none.

        Returns:
            One sentence a text, in the file's order, with its `fields`; see `seqkit.data.formats.read_texts`. Where dev
            is held out, train is all but its last tenth.

        Raises:
            DataError: there is no such split, it cannot be read, a field is missing, train is empty, or train has too
                few texts for a dev split to be held out.
        """
        return self._split(split, (splitter, text, label), lambda name: self._load_texts(name, splitter, text, label))

    def _split(self, split: str, key: object, load: Callable[[str], list[Sentence]]) -> list[Sentence]:
        """Load one split, held out or not; the same key stands for the same way of loading."""
        if not self.has(split):
            raise DataError(f"expected a {split} split in {self.name}, found {', '.join(self.splits)}")
        source = "all" if "all" in self.splits else "train"
        if split in self.splits and not (split == "train" and self.held_out):
            return load(split)
        # Train and its held-out part are asked for one after the other, so what was read is kept for the second.
        kept = self._read.get(source)
        if kept is None or kept[0] != key:
            kept = self._read[source] = (key, load(source))
        whole = kept[1]
        return whole[slice(*self._part(split, source, len(whole), "sentences"))]

    def lines(self, split: str) -> Iterator[str]:
        """Read one split as raw text, one line at a time.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.

        Yields:
            Of files of plain text every line as it stands, also an empty one; of other formats the text of every
            sentence, one that has line breaks as several lines. Where dev is held out, train is all but its last tenth.

        Raises:
            DataError: there is no such split, it cannot be read, or train has too few lines for a dev split to be held
                out.
        """
        if not self.has(split):
            raise DataError(f"expected a {split} split in {self.name}, found {', '.join(self.splits)}")
        if split in self.splits and not (split == "train" and self.held_out):
            yield from self._lines(split)
            return
        source = "all" if "all" in self.splits else "train"
        total = self._totals.get(source)
        if total is None:  # read once more than needed, but never held in memory
            total = self._totals[source] = sum(1 for _ in self._lines(source))
        yield from islice(self._lines(source), *self._part(split, source, total, "lines"))

    def _part(self, split: str, source: str, total: int, items: str) -> tuple[int, int]:
        """Where train, or dev that is held out of it, begins and ends among so many items."""
        cut = total - max(1, total // 10) if total > 1 else total
        if split == "train":
            return 0, cut
        if cut == total:
            file = self.splits[source].file or self.name
            found = f"found {total}"
            raise DataError(f"expected at least 2 {items}, of which one is held out as dev, {found}", file=file)
        share = f"{total - cut:,} of {total:,} {items}"
        note = f"{self.name} has no dev split: the last tenth of train ({share}) is held out"
        if note not in self.notes:
            self.notes.append(note)
        return cut, total

    def _lines(self, name: str) -> Iterator[str]:
        split = self.splits[name]
        if split.content is not None:
            return _lines_of(split.content)
        assert split.file is not None
        format = detect_format(split.file) if split.format is None else split.format
        if format in ("text", "tokens"):
            return (text for _, text in read_lines(split.file))
        if "conll" in format:
            return _lines_of(read_sentences(split.file, format, columns=self._columns))
        return _lines_of(read_texts(split.file, format, label=None))

    def _load(self, name: str, splitter: Splitter | None) -> list[Sentence]:
        split = self.splits[name]
        if split.content is not None:
            found = split.content
        else:
            assert split.file is not None
            found = list(read_sentences(split.file, split.format, columns=self._columns, splitter=splitter))
        self._refuse_empty(name, found)
        return found

    def _load_texts(self, name: str, splitter: Splitter | None, text: str, label: str | None) -> list[Sentence]:
        split = self.splits[name]
        if split.content is not None:
            found = [_given_text(sentence, splitter, text, label) for sentence in split.content]
        else:
            assert split.file is not None
            found = list(read_texts(split.file, split.format, text=text, label=label, splitter=splitter))
            if label is None:
                attach_arrays(found, split.file)
        self._refuse_empty(name, found)
        return found

    def _refuse_empty(self, name: str, found: Sequence[Sentence]) -> None:
        # Lines without a token are kept everywhere but teach nothing, so they alone make no training data.
        if name in ("train", "all") and not any(sentence.tokens for sentence in found):
            raise DataError("expected at least one sentence, found none", file=self.splits[name].file or self.name)


def _lines_of(sentences: Iterable[Sentence]) -> Iterator[str]:
    """The lines of each sentence's text: JSON and quoted cells can hold several, also with a break after the last."""
    for sentence in sentences:
        lines = _LINE_BREAK.split(sentence.text)
        yield from lines[:-1] if len(lines) > 1 and not lines[-1] else lines


def _given_text(sentence: Sentence, splitter: Splitter | None, text: str, label: str | None) -> Sentence:
    """A text that came from no file, cut into tokens unless it was given as tokens."""
    if label is not None and label not in sentence.fields:
        found = ", ".join(map(repr, sentence.fields)) or "none"
        raise DataError(f"expected a field {label!r}, found {found}", file=sentence.file, line=sentence.line or None)
    whole = sentence.fields.get(text)
    if not isinstance(whole, str):
        if sentence.tokens:
            return sentence
        whole = sentence.text
    if not whole or splitter is None:
        return sentence
    offsets = splitter(whole)
    return replace(sentence, text=whole, tokens=[whole[start:end] for start, end in offsets], offsets=offsets)


def split_files(folder: Path) -> dict[str, Path]:
    """Find the files of the splits in a folder.

    A file belongs to a split when one word of its name says so (``train.conll``, ``en_ewt-ud-dev.conllu``,
    ``esp.testa``) and its extension is one of `EXTENSIONS`; a name that is the split's word alone goes before others.

    Args:
        folder: the folder.

    Returns:
        Split → file.

    Raises:
        DataError: the folder cannot be listed, or two files could be the same split.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=folder) from None
    exact: dict[str, list[Path]] = {}
    decorated: dict[str, list[Path]] = {}
    for path in paths:
        if path.suffix.lower() not in EXTENSIONS:
            continue
        found = {_SPLIT_OF_WORD[word] for word in re.split(r"[\W_]+", path.name.lower()) if word in _SPLIT_OF_WORD}
        if len(found) == 1:
            kind = exact if path.name.lower().split(".")[0] in _SPLIT_OF_WORD else decorated
            kind.setdefault(found.pop(), []).append(path)
    files = {}
    for split in ("train", "dev", "test"):
        candidates = exact.get(split) or decorated.get(split) or []
        if len(candidates) > 1:
            names = ", ".join(path.name for path in candidates)
            raise DataError(f"expected one {split} file, found {names}", file=folder)
        if candidates:
            files[split] = candidates[0]
    return files


def resolve(data: str | Path, *, download: bool = True, quiet: bool = False) -> Dataset:
    """Find the data that a user named.

    A name is looked up in the cards; its files are looked for in each folder of ``$SEQKIT_DATA``, then in the cache,
    then downloaded. Anything with a path separator, or which no card is called, is a folder with train, dev (also
    valid, val, testa) and test (also testb) files, or one file.

    Args:
        data: a data set's name, a folder or a file; a `Path` is never a name.
        download: whether to download a named data set that is nowhere to be found.
        quiet: whether a download shows no progress and no licence on standard error.

    Returns:
        The data set, nothing read yet. What the user should be told stands in its notes.

    Raises:
        DataError: there is no such data set, folder or file, or it could not be downloaded.
    """
    text = str(data)
    is_path = isinstance(data, Path) or "/" in text or os.sep in text
    if not is_path and text in card_names():
        return _resolve_card(load_card(text), download, quiet)
    path = Path(text)
    if not is_path and not path.exists():
        for root in _data_folders():
            if text not in ("", ".", "..") and (root / text).is_dir():
                path = root / text
                break
    if path.is_dir():
        files = split_files(path)
        if "train" not in files and "test" not in files and "dev" not in files:
            raise DataError("expected files called train, dev and test, found none of them", file=path)
        return Dataset(text, {split: Split(file) for split, file in files.items()})
    if path.exists():
        return Dataset(text, {"all": Split(path)})
    if is_path:
        raise DataError("expected a folder or a file, found nothing there", file=text)
    near = difflib.get_close_matches(text, card_names(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; `seqkit data list` shows the names"
    raise DataError(f"expected the name of a data set, a folder or a file, found nothing called {text!r}{hint}")


def _resolve_card(card: Card, download: bool, quiet: bool) -> Dataset:
    if card.generator is not None:
        from seqkit.data.samples import generate

        made = card.generator
        sizes = {"train": made.train, "dev": made.dev, "test": made.test}
        corpus = generate(made.name, sizes, seed=made.seed)
        return Dataset(card.name, {split: Split(content=content) for split, content in corpus.items()}, card)
    folder, notes = find_folder(card)
    if folder is None and card.downloadable and download:
        from seqkit.data.fetch import fetch

        folder = fetch(card, quiet=quiet)
    files = None if folder is None else _files_of_card(card, folder)
    if files is None:
        places = ", ".join(str(place) for place in _places(card))
        steps = "" if card.downloadable else f": {' '.join(card.instructions.split())}"
        found = "; ".join(notes) or "none"
        raise DataError(f"expected the files of {card.name} in {places}, found {found}{steps}")
    return Dataset(card.name, {split: Split(file, card.format) for split, file in files.items()}, card, notes)


def find_folder(card: Card) -> tuple[Path | None, list[str]]:
    """Look for a named data set in each folder of ``$SEQKIT_DATA`` and in the cache.

    Args:
        card: the data set.

    Returns:
        The first folder that holds every split, or None; and which folders were passed over because they do not.
    """
    notes: list[str] = []
    for folder in _places(card):
        if folder.is_dir():
            if _files_of_card(card, folder) is not None:
                return folder, notes
            notes.append(f"{folder} was passed over: it does not hold every split of {card.name}")
    return None, notes


def _places(card: Card) -> list[Path]:
    from seqkit.data.fetch import cache_dir

    return [root / card.name for root in (*_data_folders(), cache_dir())]


def _files_of_card(card: Card, folder: Path) -> dict[str, Path] | None:
    """The card's splits in a folder, under the card's names or others that `split_files` knows; None unless all are."""
    named: dict[str, Path] = {split: folder / file for split, file in card.splits.items()}
    if all(file.is_file() for file in named.values()):
        return named
    found = split_files(folder)
    return {split: found[split] for split in named} if set(named) <= set(found) else None


def _data_folders() -> list[Path]:
    return [Path(part).expanduser() for part in os.environ.get("SEQKIT_DATA", "").split(os.pathsep) if part]
