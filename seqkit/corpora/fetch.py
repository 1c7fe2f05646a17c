"""Downloading a data set into the cache: all of it with the right checksums, or nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

import platformdirs

from seqkit.corpora.cards import Card, CardFile
from seqkit.corpora.download import download
from seqkit.errors import DataError, file_errors
from seqkit.files import locked
from seqkit.formats.writers import rows, to_json
from seqkit.records import FrameRecord, Sentence
from seqkit.terminal import tell

_SPARE = 1 << 16
"""how many bytes a download may have beyond twice the size of the resulting file"""


def _trec(content: bytes) -> bytes:
    """``DESC:manner How did …`` in ISO-8859-1 → ``DESC<TAB>How did …`` in UTF-8."""
    lines = []
    for line in content.decode("iso-8859-1").split("\n"):
        label, _, question = line.rstrip(" \r").partition(" ")
        lines.append(f"{label.partition(':')[0]}\t{question}" if label else "")
    return "\n".join(lines).encode()


def _first_space_to_tab(content: bytes) -> bytes:
    """``1 a stirring …`` → ``1<TAB>a stirring …``, line by line."""
    return b"\n".join(line.replace(b" ", b"\t", 1) for line in content.split(b"\n"))


#: How a download becomes the file that seqkit reads, if they differ; the card's checksum is that of the result.
REWRITES: Mapping[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    "trec": _trec,
    "first-space-to-tab": _first_space_to_tab,
}


def cache_dir() -> Path:
    """Where downloads are kept: ``$SEQKIT_CACHE``, or the platform's cache folder."""
    return Path(os.environ.get("SEQKIT_CACHE") or platformdirs.user_cache_dir("seqkit")).expanduser()


def checksum(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Args:
        path: the file.

    Returns:
        64 digits.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_intact(path: Path, file: CardFile) -> bool:
    """Whether a file exists and is the one that the card describes.

    Args:
        path: where the file should be.
        file: its entry in the card.

    Returns:
        True if its checksum is the card's; also if the card has none.
    """
    return path.is_file() and file.sha256 in ("", checksum(path))


def fetch(card: Card, *, quiet: bool = False) -> Path:
    """Download a data set into the cache, if it is not there already; a sample is written by its generator instead.

    The folder appears in the cache when every file in it is right; a download that fails leaves nothing behind, and
    earlier files as they were. Other files in it are left alone, and one that stands in the way of the data set's is
    renamed. If another process downloads the same data set, it is waited for; files that a killed process had
    completed are used.

    Args:
        card: the data set.
        quiet: whether to show neither the licence nor the progress on standard error.

    Returns:
        The folder that holds the files.

    Raises:
        DataError: the user has to get the data set, a file cannot be downloaded, its checksum is wrong, or the folder
            is a link.
    """
    folder = cache_dir() / card.name
    if card.generator is None and not card.downloadable:
        raise DataError(f"{card.name} cannot be downloaded: {' '.join(card.instructions.split())}")
    if _is_whole(card, folder):
        return folder
    if not quiet:
        tell(f"{card.name}: {card.licence}")
    with file_errors("cannot be written", cache_dir()):
        cache_dir().mkdir(parents=True, exist_ok=True)
        with locked(cache_dir() / f".{card.name}.lock"):
            if not _is_whole(card, folder):  # another process was faster
                _put_together(card, folder, quiet)
    return folder


def _is_whole(card: Card, folder: Path) -> bool:
    return bool(card.files) and all(is_intact(folder / file.name, file) for file in card.files)


def _put_together(card: Card, folder: Path, quiet: bool) -> None:
    """Put together what lacks beside its final place, so that the last steps are renames within one file system."""
    if folder.is_symlink():
        raise DataError("the folder of a data set in the cache is a link, which is not written to", file=folder)
    prefix = f".{card.name}~"  # not a prefix of any other data set, since names have no ~
    left = list(folder.parent.glob(f"{prefix}*"))
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        if card.generator is not None:
            _write_sample(card, staging)
        for file in card.files:
            if is_intact(folder / file.name, file):
                continue
            kept = next((place for place in left if is_intact(place / file.name, file)), None)
            if kept is None:
                _get(file, staging / file.name, quiet=quiet)
            else:
                shutil.copyfile(kept / file.name, staging / file.name)
        staging.chmod(0o755)  # mkdtemp makes it private
        if not folder.exists():
            os.replace(staging, folder)
        else:
            for path in sorted(staging.iterdir()):
                _move(path, folder / path.name, quiet)
    finally:
        for place in (staging, *left):
            shutil.rmtree(place, ignore_errors=True)


def _move(path: Path, place: Path, quiet: bool) -> None:
    """Give a file its final place; what stands there and is another is someone's, or damaged, and stays beside it."""
    if place.is_file() and not place.is_symlink() and checksum(place) == checksum(path):
        return
    if os.path.lexists(place):
        names = (f"{place.name}.old{number or ''}" for number in count())
        kept = next(name for name in names if not os.path.lexists(place.with_name(name)))
        os.rename(place, place.with_name(kept))
        if not quiet:
            tell(f"{place}: differs from the data set's; the old file is now {kept}")
    os.replace(path, place)


def _write_sample(card: Card, folder: Path) -> None:
    from seqkit.corpora.samples import generate_card

    for split, sentences in generate_card(card).items():
        suffix = "txt" if card.format == "text" else card.format
        with open(folder / f"{split}.{suffix}", "w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(_written(sentence, card) for sentence in sentences)


def _written(sentence: Sentence | FrameRecord, card: Card) -> str:
    """A sample's record in the format of its card."""
    if isinstance(sentence, FrameRecord):
        # The shortest decimals that are the same numbers again.
        frames = sentence.source.read().astype(str).astype(float).tolist()
        return to_json({sentence.key: frames, **sentence.fields}) + "\n"
    if card.format == "conll":
        return rows([sentence.columns[name] for name in card.columns])
    if card.format == "tsv":
        return f"{sentence.fields['label']}\t{sentence.text}\n"
    if card.format == "jsonl":
        return to_json(sentence.fields) + "\n"
    return f"{sentence.text}\n"


def _get(file: CardFile, path: Path, *, quiet: bool) -> None:
    """Download a file, convert it to what seqkit reads, and check that it is what the card says."""
    part = path.with_name(path.name + ".part")
    assert file.size is not None
    # A download that is changed may be somewhat longer than the resulting file.
    most = 2 * file.size + _SPARE if file.unpack or file.rewrite else file.size
    download(file.url, part, most, quiet=quiet)
    content = part.read_bytes()
    # A server may have unpacked the file on the way, which HTTP allows.
    if file.unpack == "gzip" and content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(most + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{file.url} is not a valid gzip file: {error}") from None
        if len(content) > most:
            raise DataError(f"the gzip file at {file.url} unpacks to more than the expected {most:,} bytes")
    try:
        content = REWRITES[file.rewrite](content)
    except UnicodeError as error:
        raise DataError(f"{file.url} is not text: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        expected = f"expected SHA-256 {file.sha256}, found {found}"
        raise DataError(f"{file.name} from {file.url}: {expected}; the download was deleted")
    path.write_bytes(content)
    part.unlink()
