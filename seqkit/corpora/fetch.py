"""Downloads a data set into the cache: all of it with the right checksums, or nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seqkit.corpora.cards import Card, CardFile
from seqkit.corpora.download import download
from seqkit.errors import DataError
from seqkit.files import locked
from seqkit.records import Sentence

__all__ = ["REWRITES", "cache_dir", "checksum", "fetch", "is_intact"]

_SPARE = 1 << 16
"""bytes that a download may have beyond twice what is made of it"""


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


#: How a download becomes the file that seqkit reads, where the two differ; the card's checksum is that of the result.
REWRITES: Mapping[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    "trec": _trec,
    "first-space-to-tab": _first_space_to_tab,
}


def cache_dir() -> Path:
    """Where downloads are kept: ``$SEQKIT_CACHE``, or the platform's cache folder."""
    if os.environ.get("SEQKIT_CACHE"):
        return Path(os.environ["SEQKIT_CACHE"]).expanduser()
    import pooch

    return Path(pooch.os_cache("seqkit"))


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
    """Whether a file is there and is the one that the card describes.

    Args:
        path: where the file should be.
        file: the card's words on it.

    Returns:
        True where its checksum is the card's; also where the card knows none.
    """
    return path.is_file() and file.sha256 in ("", checksum(path))


def fetch(card: Card, *, quiet: bool = False) -> Path:
    """Bring a data set into the cache, where it is not there already.

    A sample is written by its generator instead. The folder appears in the cache when every file in it is right; a
    download that fails leaves nothing behind, and what was there before as it was. Where another process brings the
    same data set, it is waited for; what one that was killed had brought whole is taken.

    Args:
        card: the data set.
        quiet: whether to show neither the licence nor the progress on standard error.

    Returns:
        The folder that holds the files.

    Raises:
        DataError: the data set has to be brought by the user, a file cannot be downloaded, or its checksum is wrong.
    """
    folder = cache_dir() / card.name
    if card.generator is None and not card.downloadable:
        raise DataError(f"expected a public source for {card.name}, found none: {' '.join(card.instructions.split())}")
    if _is_whole(card, folder):
        return folder
    if not quiet:
        print(f"{card.name}: {card.licence}", file=sys.stderr)
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with locked(cache_dir() / f".{card.name}.lock"):
            if not _is_whole(card, folder):  # another process was faster
                _bring(card, folder, quiet)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=cache_dir()) from None
    return folder


def _is_whole(card: Card, folder: Path) -> bool:
    return bool(card.files) and all(is_intact(folder / file.name, file) for file in card.files)


def _bring(card: Card, folder: Path, quiet: bool) -> None:
    """Put a data set together beside its final place, so that the last step is a renaming within one file system."""
    prefix = f".{card.name}~"  # which no other data set's has, since there is no ~ in a name
    left = list(folder.parent.glob(f"{prefix}*"))
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        if card.generator is not None:
            _write_sample(card, staging)
        for file in card.files:
            _bring_file(file, staging, [folder, *left], quiet)
        staging.chmod(0o755)  # mkdtemp makes it private
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(staging, folder)
    finally:
        for place in (staging, *left):
            shutil.rmtree(place, ignore_errors=True)


def _bring_file(file: CardFile, staging: Path, places: Sequence[Path], quiet: bool) -> None:
    for place in places:
        if is_intact(place / file.name, file):
            shutil.copyfile(place / file.name, staging / file.name)
            return
    _get(file, staging / file.name, quiet=quiet)


def _write_sample(card: Card, folder: Path) -> None:
    from seqkit.corpora.samples import generate

    assert card.generator is not None
    made = card.generator
    sizes = {"train": made.train, "dev": made.dev, "test": made.test}
    for split, sentences in generate(made.name, sizes, seed=made.seed).items():
        suffix = "txt" if card.format == "text" else card.format
        with open(folder / f"{split}.{suffix}", "w", encoding="utf-8", newline="\n") as stream:
            for sentence in sentences:
                stream.write(_written(sentence, card))


def _written(sentence: Sentence, card: Card) -> str:
    """A sample's record in the format of its card."""
    if card.format == "conll":
        rows = zip(*(sentence.columns[name] for name in card.columns), strict=True)
        return "".join("\t".join(row) + "\n" for row in rows) + "\n"
    if card.format == "tsv":
        return f"{sentence.fields['label']}\t{sentence.text}\n"
    if card.format == "jsonl":
        return json.dumps(sentence.fields, ensure_ascii=False) + "\n"
    return f"{sentence.text}\n"


def _get(file: CardFile, path: Path, *, quiet: bool) -> None:
    """Download a file, make of it what seqkit reads, and see that it is what the card says."""
    part = path.with_name(path.name + ".part")
    assert file.size is not None
    changed = file.unpack or file.rewrite  # then the download may be somewhat longer than what is made of it
    most = 2 * file.size + _SPARE if changed else file.size
    download(file.url, part, most, quiet=quiet)
    content = part.read_bytes()
    # A server may have unpacked the file on the way, which HTTP allows.
    if file.unpack == "gzip" and content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(most + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"expected a gzip file at {file.url}, found: {error}") from None
        if len(content) > most:
            raise DataError(f"expected at most {most:,} bytes in the gzip file at {file.url}, found more")
    try:
        content = REWRITES[file.rewrite](content)
    except UnicodeError as error:
        raise DataError(f"expected text at {file.url}, found: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"expected {file.name} from {file.url} with SHA-256 {file.sha256}, found {found}; nothing was kept"
        )
    path.write_bytes(content)
    part.unlink()
