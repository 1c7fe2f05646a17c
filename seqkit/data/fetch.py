"""Downloads a data set into the cache: all of it with the right checksums, or nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from seqkit.data.catalog import Card, CardFile
from seqkit.data.sentence import Sentence
from seqkit.errors import DataError

__all__ = ["REWRITES", "cache_dir", "checksum", "fetch", "is_intact"]

_TIMEOUT = 30  # seconds without an answer after which a server counts as gone
_CHUNK = 1 << 16


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
    download that fails leaves nothing behind, and what was there before as it was.

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
    if card.files and all(is_intact(folder / file.name, file) for file in card.files):
        return folder
    if not quiet:
        print(f"{card.name}: {card.licence}", file=sys.stderr)
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that the last step is a renaming within one file system.
        staging = Path(tempfile.mkdtemp(prefix=f".{card.name}-", dir=cache_dir()))
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=cache_dir()) from None
    try:
        if card.generator is not None:
            _write_sample(card, staging)
        for file in card.files:
            if is_intact(folder / file.name, file):
                shutil.copyfile(folder / file.name, staging / file.name)
            else:
                _download(file, staging / file.name, quiet=quiet)
        staging.chmod(0o755)  # mkdtemp makes it private
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(staging, folder)
    except OSError as error:
        if card.files and all(is_intact(folder / file.name, file) for file in card.files):
            return folder  # another process was faster
        raise DataError(f"cannot be written: {error.strerror or error}", file=folder) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def _write_sample(card: Card, folder: Path) -> None:
    from seqkit.data.samples import generate

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


def _download(file: CardFile, path: Path, *, quiet: bool) -> None:
    import pooch
    import requests

    bar = _Bar(file.name, quiet=quiet)
    try:
        pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT)(file.url, str(path), None)
    except requests.RequestException as error:
        response = getattr(error, "response", None)
        found = f"status {response.status_code}" if response is not None else f"no answer ({type(error).__name__})"
        raise DataError(f"expected {file.name} at {file.url}, found {found}") from None
    finally:
        bar.close()
    content = path.read_bytes()
    # A server may have unpacked the file on the way, which HTTP allows.
    if file.unpack == "gzip" and content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise DataError(f"expected a gzip file at {file.url}, found: {error}") from None
    try:
        content = REWRITES[file.rewrite](content)
    except UnicodeError as error:
        raise DataError(f"expected text at {file.url}, found: {error}") from None
    path.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    if file.sha256 and found != file.sha256:
        raise DataError(
            f"expected {file.name} from {file.url} with SHA-256 {file.sha256}, found {found}; nothing was kept"
        )


class _Bar:
    """A progress bar for pooch: drawn on a terminal, one line at the end elsewhere, on standard error."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        self.total = 0
        self._done = 0
        self._name = name
        self._quiet = quiet
        self._closed = False
        console = Console(stderr=True)
        self._progress: Progress | None = None
        if console.is_terminal and not quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._progress = Progress(*columns, console=console)
            self._progress.start()
            self._task = self._progress.add_task(name, total=None)

    def update(self, count: int) -> None:
        """Add a number of bytes."""
        self._done += count
        if self._progress is not None:
            total = self.total or None
            self._progress.update(self._task, completed=min(self._done, total or self._done), total=total)

    def reset(self) -> None:
        """Start from nothing, as pooch does before it fills the bar."""
        if not self.total and self._progress is None:
            self.total = self._done  # a server that does not tell the length
        self._done = 0

    def close(self) -> None:
        """Finish: take the bar away, or say how much came."""
        if self._closed:
            return
        self._closed = True
        if self._progress is not None:
            self._progress.stop()
        elif not self._quiet and self._done:
            print(f"downloaded {self._name}: {self._done / 1e6:.1f} MB", file=sys.stderr)
