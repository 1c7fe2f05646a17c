"""Files that are not where, or not what, they are said to be: each message tells what was found and what to do."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.corpora.check import check
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.split import Split
from seqkit.errors import DataError
from seqkit.formats.audio import AudioFile
from seqkit.formats.format import DEFAULTS
from seqkit.formats.manifest import object_frames, row_frames
from seqkit.formats.text import Lines


def fault(read: Callable[[], Any]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    return str(caught.value)


def saved(save: Callable[..., None], *arrays: Any, **named: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


STDIN = "<stdin>:1: expected UTF-8 text, found "
RAW = "or its raw samples with --stream"


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (b"RIFF\x24\x80\0\0WAVEfmt ", f"a recording (WAV); give it as a file whose name ends in .wav, {RAW}"),
        (b"FORM\0\0\n\nAIFC", f"a recording (AIFF); give it as a file whose name ends in .aiff, {RAW}"),
        (b"fLaC\0\0\0\x22", f"a recording (FLAC); give it as a file whose name ends in .flac, {RAW}"),
        (b"OggS\0\2\0\0", f"a recording (Ogg); give it as a file whose name ends in .ogg, {RAW}"),
        (b"ID3\x04\0\0", f"a recording (MP3); give it as a file whose name ends in .mp3, {RAW}"),
        (saved(np.save, np.zeros((2, 2))), "an array of numbers; give it as a file whose name ends in .npy"),
        (saved(np.savez, long_name=np.zeros(2)), "arrays; give them as a file whose name ends in .npz"),
        (b"MThd\0\0\0\6", "a piece of music (MIDI); give it as a file whose name ends in .mid"),
        (b"PK\x03\x04" + b"x" * 50,
         "a zip file or a document of an office program; unpack it, or save it as text or CSV, first"),
        (b"\xff\xfea\0", "UTF-16; --encoding utf-16 reads it"),
    ],
)  # fmt: skip
def test_recordings_and_arrays_where_text_is_expected(begin: bytes, message: str) -> None:
    assert fault(lambda: list(Lines([begin + b"\n\xff"], "<stdin>"))) == STDIN + message


def test_text_that_begins_like_a_recording() -> None:
    for text in ("RIFF is a chunk", "FORM 10-K", "OggS", "ID3 tags", "PK is short"):
        assert [line for _, line in Lines([text.encode()], "<stdin>")] == [text]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x.npy", "'x.npy'; give the name of the file itself as an argument"),
        ("hello there", "'hello there'"),
        ("1,2,3", "'1,2,3'"),
    ],
)
def test_text_where_sequences_are_expected(line: str, found: str) -> None:
    expected = 'a JSON object with a sequence or the name of its file, such as {"audio": "x.wav"}'
    message = fault(lambda: list(object_frames("lines", [(1, line)], "<stdin>", DEFAULTS)))
    assert message == f"<stdin>:1: expected {expected}, found {found}"


def test_invalid_objects_are_still_invalid() -> None:
    message = fault(lambda: list(object_frames("lines", [(2, '{"frames": ')], "<stdin>", DEFAULTS)))
    assert message == "<stdin>:2: invalid JSON at character 12"


def test_backslashes_and_the_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    for folder in ("a", "home"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", np.full((2, 1), len(folder)))
        np.savez(tmp_path / folder / "y.npz", **{"m\\n": np.full((3, 1), len(folder))})
    for name, size, value in (
        ("a\\x.npy", 2, 1), ("a\\y.npz#m\\n", 3, 1), ("~/x.npy", 2, 4), ("~\\y.npz#m\\n", 3, 4), ("a/x.npy", 2, 1)
    ):  # fmt: skip
        frames = row_frames({"frames": name}, "", tmp_path).source.read()
        assert frames.tolist() == [[value]] * size, name
    if os.sep == "/":  # where such names are as good as others
        np.save(tmp_path / "a\\x.npy", np.full((2, 1), 7))
        assert row_frames({"frames": "a\\x.npy"}, "", tmp_path).source.read().tolist() == [[7], [7]]


def test_a_file_that_is_missing_is_missed_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = "cannot be read: No such file or directory; looked for in "
    for name, folder in (
        ("x.npy", tmp_path), ("b/x.npz#y", tmp_path / "b"), ("b\\x.csv", tmp_path / "b"), ("x.mid", tmp_path)
    ):  # fmt: skip
        message = fault(lambda name=name: row_frames({"frames": name}, "", Path(), "m.jsonl", 3))  # type: ignore[misc]
        assert message == f"m.jsonl:3: {name!r}: {told}{str(folder)!r}"
    pytest.importorskip("soundfile")
    record = row_frames({"audio": "b\\x.wav"}, "", Path(), "m.jsonl", 3)
    message = fault(lambda: record.source.rate)
    assert message == f"m.jsonl:3: recording 'b/x.wav': {told}{str(tmp_path / 'b')!r}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"this is no sound\n" * 50, "it is a text, which begins with 'this is no sound'"),
        (
            "gr\u00fc\u00dfe".encode() * 200,
            "it is a text, which begins with 'gr\u00fc\u00dfegr\u00fc\u00dfe…",
        ),
        (b"\0\1\2\3" * 50, "Format not recognised"),
    ],
)
def test_recordings_that_are_none(content: bytes, reason: str, tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    file = tmp_path / "x.wav"
    file.write_bytes(content)
    message = fault(lambda: AudioFile(file).rate)
    if reason.endswith("…"):
        assert message.startswith(f"{file}: not a recording that can be read: {reason[:-1]}")
    else:
        assert message == f"{file}: not a recording that can be read: {reason}"


def test_a_manifest_in_another_encoding_has_one_fault(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    rows = [json.dumps({"audio": f"t\u00f6ne {number}.wav", "label": "a"}, ensure_ascii=False) for number in range(4)]
    file.write_bytes("\n".join(rows).encode("latin-1"))
    problems = check(Dataset("m", {"all": Split(file)}))
    told = f"{file}:1: expected UTF-8 text, found byte 0xf6 at position 12 (try --encoding latin-1)"
    assert list(map(str, problems)) == [told]
