from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seqkit.data.catalog import Card, load_card
from seqkit.data.fetch import REWRITES, cache_dir, checksum, fetch
from seqkit.data.resolving import resolve
from seqkit.errors import DataError

TRAIN = b"Ada\tB-PER\nsang\tO\n\n"
TEST = b"Bob\tB-PER\nslept\tO\n\n"


class Site:
    """A web site of a few files, and how often each was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                content = site.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"") + int(site.headers.get("missing", 0))))
                if "encoding" in site.headers:
                    self.send_header("Content-Encoding", site.headers["encoding"])
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    site.files = {"/train": TRAIN, "/test": TEST}
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def card(site: Site, **train: object) -> Card:
    files = [
        {"name": "train.conll", "url": f"{site.url}/train", "sha256": hashlib.sha256(TRAIN).hexdigest(), **train},
        {"name": "test.conll", "url": f"{site.url}/test", "sha256": hashlib.sha256(TEST).hexdigest()},
    ]
    about = {"name": "toy", "task": "tag", "description": "a toy", "language": "en", "licence": "for play only"}
    splits = {"train": "train.conll", "test": "test.conll"}
    return Card.model_validate({**about, "format": "conll", "files": files, "splits": splits})


def test_files_come_into_the_cache_once(site: Site, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = fetch(card(site))
    assert folder == cache / "toy" == cache_dir() / "toy"
    assert (folder / "train.conll").read_bytes() == TRAIN
    assert (folder / "test.conll").read_bytes() == TEST
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err == "toy: for play only\ndownloaded train.conll: 0.0 MB\ndownloaded test.conll: 0.0 MB\n"
    assert fetch(card(site)) == folder
    assert site.asked == ["/train", "/test"]
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in cache.iterdir()] == ["toy"]


def test_quiet_says_nothing(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    fetch(card(site), quiet=True)
    assert capfd.readouterr() == ("", "")


def test_a_damaged_file_alone_is_fetched_again(site: Site) -> None:
    folder = fetch(card(site), quiet=True)
    (folder / "test.conll").write_bytes(b"damaged")
    site.asked.clear()
    assert fetch(card(site), quiet=True) == folder
    assert (folder / "test.conll").read_bytes() == TEST
    assert site.asked == ["/test"]


def test_a_wrong_checksum_leaves_nothing_behind(site: Site, cache: Path) -> None:
    site.files["/test"] = b"forged"
    found, expected = hashlib.sha256(b"forged").hexdigest(), hashlib.sha256(TEST).hexdigest()
    message = f"expected test.conll from .*/test with SHA-256 {expected}, found {found}; nothing was kept"
    with pytest.raises(DataError, match=message):
        fetch(card(site), quiet=True)
    assert list(cache.iterdir()) == []


def test_a_wrong_checksum_leaves_what_was_there_alone(site: Site) -> None:
    folder = fetch(card(site), quiet=True)
    (folder / "test.conll").write_bytes(b"old")
    site.files["/test"] = b"forged"
    with pytest.raises(DataError, match="SHA-256"):
        fetch(card(site), quiet=True)
    assert (folder / "train.conll").read_bytes() == TRAIN
    assert (folder / "test.conll").read_bytes() == b"old"


def test_a_missing_file_and_a_missing_server(site: Site, cache: Path) -> None:
    del site.files["/test"]
    with pytest.raises(DataError, match=r"expected test\.conll at http://127.*/test, found status 404"):
        fetch(card(site), quiet=True)
    lost = card(site, url="http://127.0.0.1:1/train")
    with pytest.raises(DataError, match=r"expected train\.conll at .*:1/train, found no answer \(ConnectionError\)"):
        fetch(lost, quiet=True)
    assert list(cache.iterdir()) == []


def test_a_connection_that_breaks_leaves_nothing_behind(site: Site, cache: Path) -> None:
    site.headers["missing"] = "100"
    with pytest.raises(DataError, match=r"expected train\.conll"):
        fetch(card(site), quiet=True)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("unpacked_by_server", [False, True])
def test_gzip_is_unpacked(unpacked_by_server: bool, site: Site) -> None:
    site.files = {"/train": gzip.compress(TRAIN), "/test": gzip.compress(TEST) if unpacked_by_server else TEST}
    if unpacked_by_server:
        site.headers["encoding"] = "gzip"
    folder = fetch(card(site, unpack="gzip"), quiet=True)
    assert (folder / "train.conll").read_bytes() == TRAIN


def test_a_broken_gzip_file(site: Site) -> None:
    site.files["/train"] = gzip.compress(TRAIN)[:-9]
    with pytest.raises(DataError, match=r"expected a gzip file at .*/train, found: "):
        fetch(card(site, unpack="gzip"), quiet=True)


def test_rewrites() -> None:
    assert (
        REWRITES["trec"](b"DESC:manner How did\xf0 it ? \nHUM:ind Who ?\r\n")
        == "DESC\tHow didð it ?\nHUM\tWho ?\n".encode()
    )
    assert REWRITES["first-space-to-tab"](b"1 a b\n0 c\n") == b"1\ta b\n0\tc\n"


def test_a_rewrite_comes_before_the_checksum(site: Site) -> None:
    site.files["/train"] = b"1 a b\n"
    digest = hashlib.sha256(b"1\ta b\n").hexdigest()
    folder = fetch(card(site, rewrite="first-space-to-tab", sha256=digest), quiet=True)
    assert (folder / "train.conll").read_bytes() == b"1\ta b\n"


def test_a_set_that_the_user_brings() -> None:
    with pytest.raises(DataError, match=r"expected a public source for conll2003, found none: obtain the Reuters"):
        fetch(load_card("conll2003"))


def test_a_cache_that_cannot_be_written(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="cache: cannot be written: Not a directory"):
        fetch(card(site), quiet=True)


def test_a_sample_is_written(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQKIT_DATA", raising=False)
    folder = fetch(load_card("sample-ner"), quiet=True)
    assert sorted(path.name for path in folder.iterdir()) == ["dev.conll", "test.conll", "train.conll"]
    embedded, written = resolve("sample-ner"), resolve(folder)
    for split in ("train", "dev", "test"):
        for one, other in zip(embedded.sentences(split), written.sentences(split), strict=True):
            assert one.tokens == other.tokens
            assert one.column("ner") == other.column("ner")


def test_a_named_set_is_downloaded_when_it_is_nowhere(
    site: Site, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("seqkit.data.resolving.card_names", lambda: ["toy"])
    monkeypatch.setattr("seqkit.data.resolving.load_card", lambda name: card(site))
    with pytest.raises(DataError, match=r"expected the files of toy in .*data/toy, .*cache/toy, found none$"):
        resolve("toy", download=False)
    dataset = resolve("toy", quiet=True)
    assert [sentence.tokens for sentence in dataset.sentences("test")] == [["Bob", "slept"]]
    assert dataset.splits["test"].file == cache / "toy" / "test.conll"
    # Now it is in the cache, and a folder of SEQKIT_DATA goes before the cache.
    resolve("toy", quiet=True)
    assert len(site.asked) == 2
    (tmp_path / "data" / "toy").mkdir(parents=True)
    for name in ("train", "test"):
        (tmp_path / "data" / "toy" / f"{name}.conll").write_bytes(TRAIN)
    assert resolve("toy").splits["test"].file == tmp_path / "data" / "toy" / "test.conll"


@pytest.mark.parametrize(
    "name", ["conll2000", "conll2002-es", "ptb", "sst2", "tinyshakespeare", "trec6", "ud-english-ewt", "wnut17"]
)
def test_the_real_files_come_out_of_their_sources_form(name: str, site: Site, real_file: Callable[[str], Path]) -> None:
    """The local server stands in for the public ones: it serves what they serve, made from the files at hand."""
    real = load_card(name)
    files = []
    for file in real.files:
        content = real_file(f"{name}/{file.name}").read_bytes()
        if file.rewrite == "first-space-to-tab":
            content = content.replace(b"\t", b" ")
        elif file.rewrite == "trec":
            content = content.decode().replace("\t", ":fine ").encode("iso-8859-1")
        site.files[f"/{file.name}"] = gzip.compress(content, 1) if file.unpack == "gzip" else content
        files.append(file.model_copy(update={"url": f"{site.url}/{file.name}"}))
    folder = fetch(real.model_copy(update={"files": tuple(files)}), quiet=True)
    assert {path.name: checksum(path) for path in folder.iterdir()} == {file.name: file.sha256 for file in real.files}
