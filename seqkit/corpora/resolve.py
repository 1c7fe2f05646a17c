"""Finding the splits of the data that a user names: a data set, a folder or one file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seqkit.corpora.cards import Card, card_names, load_card
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.split import Split, data_files, vector_files
from seqkit.errors import DataError, file_errors, nearest
from seqkit.formats.format import UNDESCRIBED, Description
from seqkit.formats.midi import MIDI_SUFFIXES
from seqkit.formats.parallel_files import PARALLEL_FILES, parallel_file, parallel_words
from seqkit.formats.registry import COMPANIONS, USUAL_SUFFIXES
from seqkit.formats.text import COMPRESSED_SUFFIXES, data_suffix

_WORDS = {"train": "train", "dev": "dev devel development valid validation val testa", "test": "test testb"}
_ABOUT_DATA = re.compile(r"(readme|licen[cs]e|changelog|citation|copying|about)\b", re.IGNORECASE)
"""names of files that are about the data beside them"""
_SPLIT_OF_WORD = {word: split for split, words in _WORDS.items() for word in words.split()}
_AT_AN_END = re.compile(rf"^({'|'.join(_SPLIT_OF_WORD)})(.+)$|^(.+?)({'|'.join(_SPLIT_OF_WORD)})$")


_MOST_NAMES = 20


def split_named(word: str) -> str | None:
    """The split that a word means, such as ``dev`` for ``validation``.

    Args:
        word: the word.

    Returns:
        ``train``, ``dev``, ``test``, or None.
    """
    return _SPLIT_OF_WORD.get(word.lower())


class _Found(NamedTuple):
    """What lies in a folder.

    Attributes:
        files: split → file, or folder of files; of parallel files the first.
        not_taken: the names of the files that are no split.
        parallel: split → the words that name the texts of its parallel files, see `seqkit.formats.parallel_files`.
    """

    files: dict[str, Path]
    not_taken: list[str]
    parallel: dict[str, tuple[str, ...]]


def split_files(folder: Path) -> dict[str, Path]:
    """Find the files of the splits in a folder.

    A file, or a folder of files, belongs to a split if one word of its name says so (``train.conll``,
    ``en_ewt-ud-dev.conllu``, ``esp.testa``), or the beginning or end of its name, if that of another file says so, too
    (``engtrain``, ``engtesta``). A name that is only this word is preferred, and a file that is not compressed.

    Args:
        folder: the folder.

    Returns:
        Split → file.

    Raises:
        DataError: the folder cannot be listed, or two files could be the same split.
    """
    return _look_into(folder).files


def _look_into(folder: Path) -> _Found:
    with file_errors("cannot be read", folder):
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    files: dict[str, Path] = {}
    parallel: dict[str, tuple[str, ...]] = {}
    texts: set[Path] = set()
    inside = [path for path in paths if path.is_file()]
    data = data_files(inside)
    arrays = [path for path in vector_files(inside) if path not in data]
    folders = {_SPLIT_OF_WORD.get(path.name.lower(), ""): path for path in paths if path.is_dir()}
    affixes = {_affix(path) for path in data}
    others = {(before, after) for before, after, split in affixes if split in ("dev", "test")}
    shared = {(before, after) for before, after, split in affixes if split == "train"} & others
    for split in ("train", "dev", "test"):
        found = [path for path in data if _splits_in(path, shared) == {split}]
        found = [path for path in found if path.name.lower().split(".")[0] in _SPLIT_OF_WORD] or found
        plain = {path.name for path in found}
        found = [path for path in found if data_suffix(path) == path.suffix.lower() or path.stem not in plain]
        # Of vectors a split may be a manifest and another an array; beside a split's file an array belongs to it.
        found = found or [path for path in arrays if path.name.lower().split(".")[0] == split]
        words = parallel_words([path.name for path in found])
        # Text has no suffix that identifies its format; factors of words may have one, as ``train.pos``.
        suffixes = {data_suffix(path) for path in found}
        texts_enough = len(suffixes - USUAL_SUFFIXES.keys()) >= 2 or not suffixes & USUAL_SUFFIXES.keys()
        if words and texts_enough and not set(words) & _SPLIT_OF_WORD.keys():
            parallel[split] = words
            texts.update(found)
            found = found[:1]
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            what_to_do = f"give each split a folder named {split}"
            unpacked = [path.stem if path.suffix.lower() in COMPRESSED_SUFFIXES else path.name for path in found]
            if unpacked != [path.name for path in found] and parallel_words(unpacked):
                what_to_do = "compress all parallel files or none"
            raise DataError(f"several {split} files: {names}; {what_to_do}", file=folder)
        found = found or [folder for name, folder in folders.items() if name == split]
        if found:
            files[split] = found[0]
    for split, path in files.items():
        words = next(iter(parallel.values()), ())
        if split not in parallel and path.is_file() and set(re.split(r"[._-]", path.name)) & set(words):
            lacking = [other for other in (parallel_file(path, words, word) for word in words) if not other.exists()]
            raise DataError(f"{' and '.join(other.name for other in lacking)} should be beside it", file=path)
    taken = {*files.values(), *texts}
    return _Found(files, [path.name for path in data if path not in taken], parallel)


def _affix(path: Path) -> tuple[str, str, str]:
    """What stands before or after a split's word that is not a word of its own, and the split."""
    match = _AT_AN_END.match(path.name.lower().split(".")[0])
    if match is None:
        return "", "", ""
    first, after, before, last = match.groups()
    return before or "", after or "", _SPLIT_OF_WORD[first or last]


def _splits_in(path: Path, shared: set[tuple[str, str]]) -> set[str]:
    """The splits that the words of a file's name are about, or its beginning or end like those of others."""
    words = re.split(r"[\W_]+", path.name.lower())
    found = {_SPLIT_OF_WORD[word] for word in words if word in _SPLIT_OF_WORD}
    before, after, split = _affix(path)
    return found or ({split} if split and (before, after) in shared else set())


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
        here = f"; {os.path.join('.', text)} is the folder of this name here" if os.path.isdir(text) else ""
        found = _resolve_card(load_card(text), download, quiet, here)
        found.notes += [f"{text} is the named data set{here}"] if here else []
        return found
    path = Path(text)
    # The functions of os.path, since methods of a path raise for a name that is too long in some versions of Python.
    if not is_path and not os.path.exists(path) and text not in ("", ".", ".."):
        path = next((root / text for root in _data_folders() if os.path.isdir(root / text)), path)
    if os.path.isdir(path):
        return _resolve_folder(text, path)
    if os.path.exists(path):
        return Dataset(text, {"all": Split(path)})
    if is_path:
        raise DataError("no such file or folder", file=text)
    hint = nearest(text, card_names()) or "; `seqkit data list` shows the names"
    raise DataError(f"no data set, folder or file is called {text!r}{hint}")


def _shown_names(names: Sequence[str]) -> str:
    """Names for a message, of many the first ones."""
    return ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")


def _resolve_folder(name: str, folder: Path) -> Dataset:
    files, others, parallel = _look_into(folder)
    if files:
        taken = ", ".join(f"{split} {file.name}" for split, file in files.items())
        left = [other for other in others if not _ABOUT_DATA.match(other)]
        notes = [f"{name}: read {taken}; not taken: {', '.join(left)}"] if left else []
        known = {split: Description(PARALLEL_FILES.name, words) for split, words in parallel.items()}
        splits = {split: Split(file, known.get(split, UNDESCRIBED)) for split, file in files.items()}
        return Dataset(name, splits, notes=notes, not_taken=left)
    with file_errors("cannot be read", folder):
        annotated = any(path.suffix.lower() in COMPANIONS for path in folder.iterdir())
    alone = bool(others) and all(Path(other).suffix.lower() in MIDI_SUFFIXES for other in others)
    if annotated or alone:  # documents, each with a file of annotations; pieces, each a file
        return Dataset(name, {"all": Split(folder)})
    found = f"; found {_shown_names(others)}; give one file, or name them so" if others else ""
    with file_errors("cannot be read", folder):
        folders = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if folders and not others:
        found = f"; found the folders {_shown_names(folders)}"
        found += "; if their names are labels of the texts in them, write labels and texts into one table"
    raise DataError(f"no files named train, dev or test in this folder{found}", file=folder)


def _resolve_card(card: Card, download: bool, quiet: bool, here: str) -> Dataset:
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
        raise DataError("; ".join([f"the files of {card.name} are not in {places}", *notes]) + here + steps)
    description = Description(card.format, card.columns, card.token_column, card.encoding)
    return Dataset(card.name, {split: Split(file, description) for split, file in files.items()}, card, notes)


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
