"""One file from a server: no longer than it may be, gone on with where the connection broke."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from seqkit.errors import DataError

if TYPE_CHECKING:
    import requests

__all__ = ["download"]

_TIMEOUT = 30  # seconds without an answer after which a server counts as gone
_CHUNK = 1 << 16
_ATTEMPTS = 4


def download(url: str, path: Path, most: int, *, quiet: bool = False) -> None:
    """Get a file. Where the connection breaks, the rest alone is asked for, if the server can tell that it is the rest.

    Args:
        url: its address, of HTTP or HTTPS; a redirection to anything else is refused.
        path: where to; what is there may be a part of the file where this fails.
        most: how many bytes it may have.
        quiet: whether to show no progress on standard error.

    Raises:
        DataError: it cannot be had, or is longer.
        OSError: it cannot be written.
    """
    import requests

    name = path.name.removesuffix(".part")
    bar = _Bar(name, quiet=quiet)
    version = ""  # what the server calls the file as it is now; without it what is there is no use
    found = "no two answers that fit together"
    try:
        for _ in range(_ATTEMPTS):
            begin = path.stat().st_size if version else 0
            asked = {"Range": f"bytes={begin}-", "If-Range": version} if begin else {}
            headers = {"Accept-Encoding": "identity", **asked}
            try:
                with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
                    if begin and not _goes_on(response, begin):
                        version, begin = "", 0
                        if response.status_code != 200:  # nor is it the whole file: asked for once more
                            continue
                    response.raise_for_status()
                    version = _version(response.headers)
                    _receive(response, path, begin, most, bar)
                return
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                found = f"no answer ({type(error).__name__})"
    except requests.RequestException as error:
        answer = getattr(error, "response", None)
        found = f"status {answer.status_code}" if answer is not None else f"no answer ({type(error).__name__})"
    finally:
        bar.close()
    raise DataError(f"expected {name} at {url}, found {found}")


def _receive(response: requests.Response, path: Path, begin: int, most: int, bar: _Bar) -> None:
    """Write what comes behind the first bytes of a file, as long as it is not too much."""
    told = response.headers.get("Content-Length", "")
    bar.begin(begin, begin + int(told) if told.isdecimal() and len(told) < 20 else 0)
    with open(path, "r+b" if begin else "wb") as stream:
        stream.seek(begin)
        for block in response.iter_content(_CHUNK):
            begin += len(block)
            if begin > most:
                name = path.name.removesuffix(".part")
                raise DataError(f"expected at most {most:,} bytes as {name} from {response.url}, found more")
            stream.write(block)
            bar.advance(len(block))


def _goes_on(response: requests.Response, begin: int) -> bool:
    """Whether an answer is the rest of the file from a byte on, and of the same file."""
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {begin}-")


def _version(headers: Mapping[str, str]) -> str:
    """What tells one version of a file from another, byte by byte; nothing where the server does not say."""
    if headers.get("Content-Encoding", "identity") != "identity":
        return ""  # bytes are counted before they are unpacked, here after it
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


class _Bar:
    """A progress bar: drawn on a terminal, one line at the end elsewhere, on standard error."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        self._name = name
        self._quiet = quiet
        self._done = 0
        self._progress: Progress | None = None
        console = Console(stderr=True)
        if console.is_terminal and not quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._progress = Progress(*columns, console=console)
            self._progress.start()
            self._task = self._progress.add_task(name, total=None)

    def begin(self, done: int, total: int) -> None:
        """An answer begins: so much is there already, of so much, 0 where nobody knows."""
        self._done = done
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total or None)

    def advance(self, count: int) -> None:
        """So much more is there."""
        self._done += count
        if self._progress is not None:
            self._progress.update(self._task, advance=count)

    def close(self) -> None:
        """Take the bar away, or say how much came."""
        if self._progress is not None:
            self._progress.stop()
        elif not self._quiet and self._done:
            print(f"downloaded {self._name}: {self._done / 1e6:.1f} MB", file=sys.stderr)
