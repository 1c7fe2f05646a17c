"""DATA as a user names it (a data set, a folder, one file) → the sentences of its splits."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seqkit.data.catalog import Card, card_names, load_card
from seqkit.data.formats import Splitter, read_sentences
from seqkit.data.sentence import Sentence
from seqkit.errors import DataError

__all__ = ["EXTENSIONS", "Dataset", "Split", "find_folder", "from_pairs", "resolve", "split_files"]

Pair = tuple[Sequence[str], Sequence[str]]

#: Extensions of a data file inside a folder of splits; a read-me or a log beside them is left alone.
EXTENSIONS = frozenset(
    {"", ".conll", ".conllu", ".iob", ".iob1", ".iob2", ".iobes", ".bio", ".bioes", ".col", ".ner", ".pos"}
    | {".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".txt", ".text", ".tokens", ".tok", ".data"}
    | {".train", ".dev", ".valid", ".val", ".test", ".testa", ".testb"}
)

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
    _read: dict[str, tuple[Splitter | None, list[Sentence]]] = field(default_factory=dict, repr=False)

    @property
    def target(self) -> str:
        """The label column that a tagger learns by default: the card's, or ``""`` (the last one)."""
        return self.card.target if self.card is not None else ""

    @property
    def scheme(self) -> str:
        """The card's label scheme, or ``auto``."""
        return self.card.scheme if self.card is not None else "auto"

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
        if not self.has(split):
            raise DataError(f"expected a {split} split in {self.name}, found {', '.join(self.splits)}")
        source = "all" if "all" in self.splits else "train"
        if split in self.splits and not (split == "train" and self.held_out):
            return self._load(split, splitter)
        # Train and its held-out part are asked for one after the other, so what was read is kept for the second.
        kept = self._read.get(source)
        if kept is None or kept[0] != splitter:
            kept = self._read[source] = (splitter, self._load(source, splitter))
        whole = kept[1]
        cut = len(whole) - max(1, len(whole) // 10) if len(whole) > 1 else len(whole)
        if split == "train":
            return whole[:cut]
        if cut == len(whole):
            file = self.splits[source].file or self.name
            raise DataError("expected at least 2 sentences, of which one is held out as dev, found 1", file=file)
        share = f"{len(whole) - cut:,} of {len(whole):,} sentences"
        note = f"{self.name} has no dev split: the last tenth of train ({share}) is held out"
        if note not in self.notes:
            self.notes.append(note)
        return whole[cut:]

    def _load(self, name: str, splitter: Splitter | None) -> list[Sentence]:
        split = self.splits[name]
        if split.content is not None:
            found = split.content
        else:
            assert split.file is not None
            columns = self.card.columns if self.card is not None and self.card.columns else None
            found = list(read_sentences(split.file, split.format, columns=columns, splitter=splitter))
        # Lines without a token are kept everywhere but teach nothing, so they alone make no training data.
        if name in ("train", "all") and not any(sentence.tokens for sentence in found):
            raise DataError("expected at least one sentence, found none", file=split.file or self.name)
        return found


def from_pairs(
    train: Iterable[Pair], dev: Iterable[Pair] | None = None, test: Iterable[Pair] | None = None, *, name: str = "pairs"
) -> Dataset:
    """A data set from Python: any iterables of ``(tokens, labels)``.

    Args:
        train: the training sentences.
        dev: the development sentences; without them the last tenth of train is held out.
        test: the test sentences.
        name: what messages and reports call the data set.

    Returns:
        The data set; its label column is called ``label``.

    Raises:
        DataError: an item is not a pair of equally long sequences of strings.
    """
    splits = {
        split: Split(content=_sentences_of_pairs(pairs, f"{name} {split}"))
        for split, pairs in (("train", train), ("dev", dev), ("test", test))
        if pairs is not None
    }
    return Dataset(name, splits)


def _sentences_of_pairs(pairs: Iterable[Pair], name: str) -> list[Sentence]:
    sentences = []
    for number, pair in enumerate(pairs, start=1):
        try:
            tokens, labels = pair
        except (TypeError, ValueError):
            raise DataError(f"expected a pair (tokens, labels), found {pair!r:.80}", file=name, line=number) from None
        if isinstance(tokens, str) or isinstance(labels, str):
            raise DataError("expected sequences of strings, found one string", file=name, line=number)
        tokens, labels = list(tokens), list(labels)
        if len(tokens) != len(labels):
            message = f"expected as many labels as tokens, found {len(labels)} labels for {len(tokens)} tokens"
            raise DataError(message, file=name, line=number)
        odd = next((item for item in (*tokens, *labels) if not isinstance(item, str)), None)
        if odd is not None or "" in tokens:
            what = "an empty token" if odd is None else repr(odd)
            raise DataError(
                f"expected tokens and labels to be strings that are not empty, found {what}", file=name, line=number
            )
        sentences.append(Sentence.from_tokens(tokens, {"label": labels}, file=name, line=number))
    return sentences


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
