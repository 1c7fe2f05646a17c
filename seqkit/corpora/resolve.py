"""DATA as a user names it (a data set, a folder, one file) → where its splits are."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from seqkit.corpora.cards import Card, card_names, load_card
from seqkit.corpora.dataset import Dataset, Split
from seqkit.errors import DataError

__all__ = ["EXTENSIONS", "find_folder", "resolve", "split_files"]

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
    # The functions of os.path: methods of a path raise for a name that is too long, and not in all versions of Python.
    if not is_path and not os.path.exists(path):
        for root in _data_folders():
            if text not in ("", ".", "..") and os.path.isdir(root / text):
                path = root / text
                break
    if os.path.isdir(path):
        files = split_files(path)
        if "train" not in files and "test" not in files and "dev" not in files:
            raise DataError("expected files called train, dev and test, found none of them", file=path)
        return Dataset(text, {split: Split(file) for split, file in files.items()})
    if os.path.exists(path):
        return Dataset(text, {"all": Split(path)})
    if is_path:
        raise DataError("expected a folder or a file, found nothing there", file=text)
    near = difflib.get_close_matches(text, card_names(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; `seqkit data list` shows the names"
    raise DataError(f"expected the name of a data set, a folder or a file, found nothing called {text!r}{hint}")


def _resolve_card(card: Card, download: bool, quiet: bool) -> Dataset:
    if card.generator is not None:
        from seqkit.corpora.samples import generate

        made = card.generator
        sizes = {"train": made.train, "dev": made.dev, "test": made.test}
        corpus = generate(made.name, sizes, seed=made.seed)
        return Dataset(card.name, {split: Split(content=content) for split, content in corpus.items()}, card)
    folder, notes = find_folder(card)
    if folder is None and card.downloadable and download:
        from seqkit.corpora.fetch import fetch

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
    from seqkit.corpora.fetch import cache_dir

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
