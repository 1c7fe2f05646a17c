"""Finding the splits of the data that a user names: a data set, a folder or one file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from seqkit.corpora.cards import Card, card_names, load_card
from seqkit.corpora.dataset import Dataset, Split
from seqkit.errors import DataError, file_errors, nearest

#: Extensions of data files inside a folder of splits; a readme or a log beside them is ignored.
EXTENSIONS = frozenset(
    {"", ".conll", ".conllu", ".iob", ".iob1", ".iob2", ".iobes", ".bio", ".bioes", ".col", ".ner", ".pos"}
    | {".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".txt", ".text", ".tokens", ".tok", ".data"}
    | {".train", ".dev", ".valid", ".val", ".test", ".testa", ".testb"}
)

_WORDS = {"train": "train", "dev": "dev devel development valid validation val testa", "test": "test testb"}
_SPLIT_OF_WORD = {word: split for split, words in _WORDS.items() for word in words.split()}


def split_files(folder: Path) -> dict[str, Path]:
    """Find the files of the splits in a folder.

    A file belongs to a split if one word of its name says so (``train.conll``, ``en_ewt-ud-dev.conllu``,
    ``esp.testa``) and its extension is one of `EXTENSIONS`; a name that is only this word is preferred.

    Args:
        folder: the folder.

    Returns:
        Split → file.

    Raises:
        DataError: the folder cannot be listed, or two files could be the same split.
    """
    with file_errors("cannot be read", folder):
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    files = {}
    for split in ("train", "dev", "test"):
        found = [path for path in paths if path.suffix.lower() in EXTENSIONS and _splits_in(path) == {split}]
        found = [path for path in found if path.name.lower().split(".")[0] in _SPLIT_OF_WORD] or found
        if len(found) > 1:
            raise DataError(f"several {split} files: {', '.join(path.name for path in found)}", file=folder)
        if found:
            files[split] = found[0]
    return files


def _splits_in(path: Path) -> set[str]:
    """The splits that the words of a file's name are about."""
    return {_SPLIT_OF_WORD[word] for word in re.split(r"[\W_]+", path.name.lower()) if word in _SPLIT_OF_WORD}


def resolve(data: str | Path, *, download: bool = True, quiet: bool = False) -> Dataset:
    """Find the data that a user named.

    The name of a card stands for a data set, whose files are searched in each folder of ``$SEQKIT_DATA``, then in the
    cache, then downloaded. Anything with a path separator, or without such a card, is a folder with train, dev (also
    valid, val, testa) and test (also testb) files, or one file.

    Args:
        data: a data set's name, a folder or a file; a `Path` is never a name.
        download: whether to download a named data set that is not found.
        quiet: whether a download shows no progress and no licence on standard error.

    Returns:
        The data set, not read yet. Its notes are for the user.

    Raises:
        DataError: there is no such data set, folder or file, or it could not be downloaded.
    """
    text = str(data)
    is_path = isinstance(data, Path) or "/" in text or os.sep in text
    if not is_path and text in card_names():
        return _resolve_card(load_card(text), download, quiet)
    path = Path(text)
    # The functions of os.path, since methods of a path raise for a name that is too long in some versions of Python.
    if not is_path and not os.path.exists(path) and text not in ("", ".", ".."):
        path = next((root / text for root in _data_folders() if os.path.isdir(root / text)), path)
    if os.path.isdir(path):
        files = split_files(path)
        if not files:
            raise DataError("no files named train, dev or test in this folder", file=path)
        return Dataset(text, {split: Split(file) for split, file in files.items()})
    if os.path.exists(path):
        return Dataset(text, {"all": Split(path)})
    if is_path:
        raise DataError("no such file or folder", file=text)
    hint = nearest(text, card_names()) or "; `seqkit data list` shows the names"
    raise DataError(f"no data set, folder or file is called {text!r}{hint}")


def _resolve_card(card: Card, download: bool, quiet: bool) -> Dataset:
    if card.generator is not None:
        from seqkit.corpora.samples import generate_card

        return Dataset(card.name, {name: Split(content=content) for name, content in generate_card(card).items()}, card)
    folder, notes = find_folder(card)
    if folder is None and card.downloadable and download:
        from seqkit.corpora.fetch import fetch

        folder = fetch(card, quiet=quiet)
    files = None if folder is None else _files_of_card(card, folder)
    if files is None:
        places = ", ".join(str(place) for place in _places(card))
        steps = "" if card.downloadable else f": {' '.join(card.instructions.split())}"
        raise DataError("; ".join([f"the files of {card.name} are not in {places}", *notes]) + steps)
    return Dataset(card.name, {split: Split(file, card.format) for split, file in files.items()}, card, notes)


def find_folder(card: Card) -> tuple[Path | None, list[str]]:
    """Search a named data set in each folder of ``$SEQKIT_DATA`` and in the cache.

    Args:
        card: the data set.

    Returns:
        The first folder with every split, or None; and which folders were skipped because they lack one.
    """
    notes: list[str] = []
    for folder in _places(card):
        if folder.is_dir():
            if _files_of_card(card, folder) is not None:
                return folder, notes
            notes.append(f"{folder} was skipped: it does not have every split of {card.name}")
    return None, notes


def _places(card: Card) -> list[Path]:
    from seqkit.corpora.fetch import cache_dir

    return [root / card.name for root in (*_data_folders(), cache_dir())]


def _files_of_card(card: Card, folder: Path) -> dict[str, Path] | None:
    """The card's splits in a folder, under the card's names or others that `split_files` finds; None if one lacks."""
    named: dict[str, Path] = {split: folder / file for split, file in card.splits.items()}
    if all(file.is_file() for file in named.values()):
        return named
    found = split_files(folder)
    return {split: found[split] for split in named} if set(named) <= set(found) else None


def _data_folders() -> list[Path]:
    return [Path(part).expanduser() for part in os.environ.get("SEQKIT_DATA", "").split(os.pathsep) if part]
