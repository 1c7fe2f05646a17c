"""Downloading one file: never longer than allowed, and resumed if the connection breaks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from rich.progress import DownloadColumn, TransferSpeedColumn

from seqkit.errors import DataError
from seqkit.terminal import one_line, progress_bar, tell

_TIMEOUT = 30  # seconds without an answer after which a server counts as unavailable
_CHUNK = 1 << 16
_ATTEMPTS = 4


def download(url: str, path: Path, most: int, *, quiet: bool = False) -> None:
    """Download a file. If the connection breaks, only the rest is requested, provided the server can identify the file.

    Progress is a bar on a terminal and one line at the end elsewhere, on standard error.

    Args:
        url: its address, of HTTP or HTTPS; a redirection to anything else is refused.
        path: where to; a part of the file may remain there if the download fails.
        most: how many bytes it may have.
        quiet: whether to show no progress.

    Raises:
        DataError: it cannot be downloaded, or is longer.
        OSError: it cannot be written.
    """
    import requests

    name = path.name.removesuffix(".part")
    shown = not quiet and sys.stderr.isatty()
    version = ""  # how the server identifies the file as it is now; without it the part that is here is useless
    reason = "its answers do not belong together"
    with progress_bar(DownloadColumn(), TransferSpeedColumn(), disable=not shown) as progress:
        task = progress.add_task(one_line(name), total=None)
        for _ in range(_ATTEMPTS):
            begin = path.stat().st_size if version else 0
            headers = {"Accept-Encoding": "identity"}
            if begin:
                headers |= {"Range": f"bytes={begin}-", "If-Range": version}
            try:
                with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
                    sent = response.headers.get("Content-Range", "") if response.status_code == 206 else ""
                    if begin and not sent.startswith(f"bytes {begin}-"):
                        version, begin = "", 0
                        if response.status_code != 200:  # not the whole file either: requested again
                            continue
                    response.raise_for_status()
                    version = _version(response.headers)
                    length = response.headers.get("Content-Length", "")
                    total = begin + int(length) if length.isdecimal() and len(length) < 20 else None
                    with open(path, "r+b" if begin else "wb") as stream:
                        stream.seek(begin)
                        for block in response.iter_content(_CHUNK):
                            begin += len(block)
                            if begin > most:
                                raise DataError(f"{name}: {response.url} sends more than the expected {most:,} bytes")
                            stream.write(block)
                            progress.update(task, completed=begin, total=total)
                break
            except requests.RequestException as error:
                reason = f"no answer ({type(error).__name__})"
                if error.response is not None:
                    reason = f"status {error.response.status_code}"
                broken = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
                if not isinstance(error, broken):
                    raise DataError(f"cannot download {name} from {url}: {reason}") from None
        else:
            raise DataError(f"cannot download {name} from {url}: {reason}")
    if not (quiet or shown):
        tell(f"downloaded {name}: {begin / 1e6:.1f} MB")


def _version(headers: Mapping[str, str]) -> str:
    """What identifies one version of a file, byte by byte; nothing if the server does not say."""
    if headers.get("Content-Encoding", "identity") != "identity":
        return ""  # its bytes are counted before they are unpacked, ours after it
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
