from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seqkit.corpora.cards import Card, load_card
from seqkit.corpora.fetch import REWRITES, cache_dir, checksum, fetch
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError

TRAIN = b"Ada\tB-PER\nsang\tO\n\n"
ZIPPED = gzip.compress(TRAIN, mtime=0)
TEST = b"Bob\tB-PER\nslept\tO\n\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Site:
    """A web site of a few files, how often each was asked for, and from which byte on.

    Attributes:
        breaks: after how many bytes of an answer the connection breaks, an answer each; then no more.
        tags: what the files are called in each answer, the last for all that follow; none for a server that cannot
            answer from a byte on.
        before_answer: called with the path first.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.breaks: list[int] = []
        self.tags: list[str] = []
        self.before_answer: Callable[[str], None] = lambda path: None
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.before_answer(self.path)
                asked = self.headers["Range"]
                site.ranges.append(asked)
                content = site.files.get(self.path)
                if "location" in site.headers:
                    self.send_response(302)
                    self.send_header("Location", site.headers["location"])
                    self.end_headers()
                    return
                if self.path == "/endless":
                    self.send_response(200)
                    self.end_headers()
                    with suppress(OSError):
                        while True:
                            self.wfile.write(b"x" * 4096)
                    return
                tag = "" if not site.tags else site.tags.pop(0) if len(site.tags) > 1 else site.tags[0]
                begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and tag else 0
                if begin and self.headers["If-Range"] != tag:
                    begin = 0
                self.send_response(404 if content is None else 206 if begin else 200)
                answer = (content or b"")[begin:]
                self.send_header("Content-Length", str(len(answer) + int(site.headers.get("missing", 0))))
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{begin + len(answer) - 1}/{begin + len(answer)}")
                if tag:
                    self.send_header("ETag", tag)
                if "encoding" in site.headers:
                    self.send_header("Content-Encoding", site.headers["encoding"])
                self.end_headers()
                self.wfile.write(answer[: site.breaks.pop(0)] if site.breaks else answer)

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
        {"name": f"{split}.conll", "url": f"{site.url}/{split}", "size": len(content), "sha256": sha256(content)}
        for split, content in (("train", TRAIN), ("test", TEST))
    ]
    files[0] |= train
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
    message = f"test.conll from .*/test: expected SHA-256 {expected}, found {found}; the download was deleted"
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
    with pytest.raises(DataError, match=r"cannot download test\.conll from http://127.*/test: status 404"):
        fetch(card(site), quiet=True)
    lost = card(site, url="http://127.0.0.1:1/train")
    with pytest.raises(DataError, match=r"cannot download train\.conll from .*:1/train: no answer \(ConnectionError\)"):
        fetch(lost, quiet=True)
    assert list(cache.iterdir()) == []


def test_a_connection_that_breaks_leaves_nothing_behind(site: Site, cache: Path) -> None:
    site.headers["missing"] = "100"
    with pytest.raises(DataError, match=r"cannot download train\.conll"):
        fetch(card(site), quiet=True)
    assert list(cache.iterdir()) == []


# --- what is somebody else's ---------------------------------------------------------------------------------------


def test_own_files_in_the_folder_of_a_sample_stay(cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = fetch(load_card("sample-ner"), quiet=True)
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    own = {"mine.txt": b"mine", "train.conll": b"edited\tO\n"}
    for name, content in own.items():
        (folder / name).write_bytes(content)
    (folder / "sub").mkdir()
    (folder / "sub" / "more.txt").write_bytes(b"more")
    assert fetch(load_card("sample-ner")) == folder
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert found == {**written, "mine.txt": b"mine", "train.conll.old": own["train.conll"]}
    assert (folder / "sub" / "more.txt").read_bytes() == b"more"
    note = f"{folder / 'train.conll'}: differs from the data set's; the old file is now train.conll.old\n"
    assert capfd.readouterr() == ("", "sample-ner: MIT, as seqkit itself\n" + note)
    (folder / "train.conll").write_bytes(b"edited again")
    fetch(load_card("sample-ner"), quiet=True)
    assert (folder / "train.conll.old").read_bytes() == own["train.conll"]
    assert (folder / "train.conll.old1").read_bytes() == b"edited again"
    assert [path.name for path in cache.iterdir()] == ["sample-ner"]


def test_own_files_in_the_folder_of_a_data_set_stay(site: Site) -> None:
    folder = cache_dir() / "toy"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_bytes(b"mine")
    (folder / "test.conll").write_bytes(b"mine, too")
    assert fetch(card(site), quiet=True) == folder
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    expected = {"train.conll": TRAIN, "test.conll": TEST, "mine.txt": b"mine", "test.conll.old": b"mine, too"}
    assert found == expected


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_in_the_cache_are_not_followed_when_writing(site: Site, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "test.conll").write_bytes(b"mine")
    cache.mkdir()
    for one in (card(site), load_card("sample-ner")):
        (cache / one.name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(DataError) as caught:
            fetch(one, quiet=True)
        message = "the folder of a data set in the cache is a link, which is not written to"
        assert str(caught.value) == f"{cache / one.name}: {message}"
        (cache / one.name).unlink()
    (cache / "toy").mkdir()
    (cache / "toy" / "test.conll").symlink_to(tmp_path / "elsewhere" / "test.conll")
    fetch(card(site), quiet=True)
    assert not (cache / "toy" / "test.conll").is_symlink()
    assert {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()} == {"test.conll": b"mine"}


# --- connections that break ----------------------------------------------------------------------------------------


@pytest.fixture
def byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of a piece is lost with the connection."""
    monkeypatch.setattr("seqkit.corpora.download._CHUNK", 1)


@pytest.mark.usefixtures("byte_by_byte")
def test_a_download_continues_where_the_connection_broke(site: Site) -> None:
    site.breaks, site.tags = [7, 3], ['"one"']
    assert (fetch(card(site), quiet=True) / "train.conll").read_bytes() == TRAIN
    assert site.asked == ["/train", "/train", "/train", "/test"]
    assert site.ranges == [None, "bytes=7-", "bytes=10-", None]


@pytest.mark.usefixtures("byte_by_byte")
def test_a_file_that_changed_meanwhile_is_downloaded_again(site: Site) -> None:
    site.breaks, site.tags = [7], ['"one"', '"two"']
    assert (fetch(card(site), quiet=True) / "train.conll").read_bytes() == TRAIN
    assert site.ranges == [None, "bytes=7-", None]


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_a_server_that_cannot_distinguish_versions_is_asked_for_the_whole_file(tag: str, site: Site) -> None:
    site.breaks, site.tags = [7], [tag] if tag else []
    assert (fetch(card(site), quiet=True) / "train.conll").read_bytes() == TRAIN
    assert site.ranges == [None, None, None]


@pytest.mark.usefixtures("byte_by_byte")
def test_a_connection_that_breaks_every_time_leaves_nothing_behind(site: Site, cache: Path) -> None:
    site.breaks, site.tags = [1] * 9, ['"one"']
    with pytest.raises(
        DataError, match=r"^cannot download train\.conll from .*/train: no answer \(ChunkedEncodingError\)$"
    ):
        fetch(card(site), quiet=True)
    assert site.ranges == [None, "bytes=1-", "bytes=2-", "bytes=3-"]
    assert list(cache.iterdir()) == []


# --- servers with bad intentions -----------------------------------------------------------------------------------


def test_a_server_that_sends_without_end_is_cut_off(site: Site, cache: Path) -> None:
    expected = rf"^train\.conll: {site.url}/endless sends more than the expected {len(TRAIN)} bytes$"
    with pytest.raises(DataError, match=expected):
        fetch(card(site, url=f"{site.url}/endless"), quiet=True)
    assert list(cache.iterdir()) == []


def test_a_bomb_is_not_unpacked(site: Site, cache: Path) -> None:
    site.files["/train"] = gzip.compress(bytes(10_000_000))
    most = 2 * len(TRAIN) + (1 << 16)
    with pytest.raises(
        DataError, match=rf"^the gzip file at .*/train unpacks to more than the expected {most:,} bytes$"
    ):
        fetch(card(site, unpack="gzip"), quiet=True)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/train", "/train"])
def test_a_redirection_elsewhere_or_in_circles_is_refused(place: str, site: Site, cache: Path) -> None:
    site.headers["location"] = place
    found = "status 302" if place == "/train" else r"no answer \(InvalidSchema\)"
    with pytest.raises(DataError, match=rf"cannot download train\.conll from .*/train: {found}"):
        fetch(card(site), quiet=True)
    assert list(cache.iterdir()) == []


# --- several processes, and some that are killed -------------------------------------------------------------------

FETCHING = """
import sys
from pathlib import Path
from seqkit.corpora.cards import Card
from seqkit.corpora.fetch import fetch
fetch(Card.model_validate_json(sys.argv[1]), quiet=True)
"""


def fetching(card: Card) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", FETCHING, card.model_dump_json()], env=dict(os.environ))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal")
def test_after_a_process_that_was_killed_the_next_takes_what_was_whole(site: Site, cache: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait(path: str) -> None:
        if path == "/test":
            reached.set()
            go_on.wait(60)

    site.before_answer = wait
    process = fetching(card(site))
    assert reached.wait(60)
    process.kill()
    process.wait()
    go_on.set()
    left = [path.name for path in cache.iterdir()]
    assert len(left) == 2 and ".toy.lock" in left and any(name.startswith(".toy~") for name in left)
    folder = fetch(card(site), quiet=True)
    assert (folder / "train.conll").read_bytes() == TRAIN
    assert (folder / "test.conll").read_bytes() == TEST
    assert [path.name for path in cache.iterdir()] == ["toy"]
    assert site.asked == ["/train", "/test", "/test"]


def test_of_two_processes_one_downloads_and_the_other_waits(site: Site, cache: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()
    site.before_answer = lambda path: (reached.set(), go_on.wait(60))[1]  # type: ignore[func-returns-value]
    first = fetching(card(site))
    assert reached.wait(60)
    second = threading.Thread(target=fetch, args=(card(site),), kwargs={"quiet": True})
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    second.join(60)
    assert first.wait(60) == 0 and not second.is_alive()
    assert site.asked == ["/train", "/test"]
    assert [path.name for path in cache.iterdir()] == ["toy"]


# --- what becomes of a download ------------------------------------------------------------------------------------


@pytest.mark.parametrize("unpacked_by_server", [False, True])
def test_gzip_is_unpacked(unpacked_by_server: bool, site: Site) -> None:
    site.files = {
        "/train": ZIPPED,
        "/test": gzip.compress(TEST, mtime=0) if unpacked_by_server else TEST,
    }
    if unpacked_by_server:
        site.headers["encoding"] = "gzip"
    folder = fetch(card(site, unpack="gzip"), quiet=True)
    assert (folder / "train.conll").read_bytes() == TRAIN


@pytest.mark.parametrize(
    "broken",
    [
        ZIPPED[:-9],
        ZIPPED[:10] + b"\xff" * 20,
        ZIPPED[:-1] + b"\xff",
    ],
)
def test_a_broken_gzip_file(broken: bytes, site: Site) -> None:
    site.files["/train"] = broken
    with pytest.raises(DataError, match=r"^http://.*/train is not a valid gzip file: "):
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
    folder = fetch(card(site, rewrite="first-space-to-tab", sha256=digest, size=6), quiet=True)
    assert (folder / "train.conll").read_bytes() == b"1\ta b\n"


def test_a_set_that_the_user_brings() -> None:
    with pytest.raises(DataError, match=r"conll2003 cannot be downloaded: obtain the Reuters"):
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
            assert one.column("ner") == other.column("")


def test_a_named_set_is_downloaded_when_it_is_nowhere(
    site: Site, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("seqkit.corpora.resolve.card_names", lambda: ["toy"])
    monkeypatch.setattr("seqkit.corpora.resolve.load_card", lambda name: card(site))
    with pytest.raises(DataError, match=r"the files of toy are not in .*data/toy, .*cache/toy$"):
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
def test_the_real_files_are_made_from_the_form_of_their_source(
    name: str, site: Site, real_file: Callable[[str], Path]
) -> None:
    """The local server stands in for the public ones: it serves what they serve, made from the files at hand."""
    real = load_card(name)
    files = []
    for file in real.files:
        content = real_file(f"{name}/{file.name}").read_bytes()
        if file.rewrite == "first-space-to-tab":
            content = content.replace(b"\t", b" ")
        elif file.rewrite == "trec":
            content = content.decode().replace("\t", ":fine ").encode("iso-8859-1")
        site.files[f"/{file.name}"] = gzip.compress(content, 1, mtime=0) if file.unpack == "gzip" else content
        files.append(file.model_copy(update={"url": f"{site.url}/{file.name}"}))
    folder = fetch(real.model_copy(update={"files": tuple(files)}), quiet=True)
    assert {path.name: checksum(path) for path in folder.iterdir()} == {file.name: file.sha256 for file in real.files}
