"""Which field of a manifest has the sequence, and what is said where none has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]
FLAGS = ["--quiet", "--device=cpu", "--dry-run"]


@pytest.fixture(autouse=True)
def arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        np.save(f"{number}.npy", np.full((5, 2), number % 2, dtype=np.float32))


def manifest(made: Callable[[int], dict[str, Any]]) -> str:
    rows = [json.dumps({**made(number), "label": "ab"[number % 2]}) + "\n" for number in range(12)]
    Path("m.jsonl").write_text("".join(rows), encoding="utf-8")
    return "m.jsonl"


@pytest.mark.parametrize("name", ["file_name", "filename", "Audio", "FRAMES", "File_Name", "Path"])
@pytest.mark.parametrize("nested", [False, True])
def test_the_usual_fields_in_any_case(name: str, nested: bool, run: Run) -> None:
    def made(number: int) -> dict[str, Any]:
        return {name: {"path": f"{number}.npy", "bytes": None} if nested else f"{number}.npy"}

    result = run("classify", "train", manifest(made), *FLAGS)
    assert (result.status, result.err) == (0, "")
    assert 'input = "frames"' in result.out
    result = run("data", "check", "m.jsonl", "--quiet")
    assert (result.status, result.out, result.err) == (0, "", "")


def test_a_field_that_is_named_makes_sequences_of_the_data(run: Run) -> None:
    data = manifest(lambda number: {"x": [number, 2.0, 3.0], "y": [0, 1, 2]})
    result = run("classify", "train", data, "--frames=x", *FLAGS)
    assert (result.status, result.err) == (0, "")
    assert 'frames = "x"' in result.out


UNREAD: list[tuple[Callable[[int], dict[str, Any]], str]] = [
    (lambda number: {"audio": f"{number}.m4a"}, "'0.m4a': in no format that seqkit reads; convert it to wav or flac"),
    (lambda number: {"Audio": {"path": f"a b/{number}.AAC"}},
     "'a b/0.AAC': in no format that seqkit reads; convert it to wav or flac"),
    (lambda number: {"frames": f"{number}.mat"}, "'0.mat': in no format that seqkit reads; convert it to npy or npz"),
    (lambda number: {"frames": f"{number}.pt"}, "'0.pt': in no format that seqkit reads; convert it to npy or npz"),
    (lambda number: {"audio": f"{number}.xyz"},
     "'0.xyz': in no format that seqkit reads; convert it to wav, flac, npy or npz"),
    (lambda number: {"audio": f"{number}"},
     "'0': expected the name of an array (.npy, .npz), a table (.csv), a recording (.wav, .flac, .ogg) or a piece of "
     "music (.mid)"),
    (lambda number: {"x": [1, 2, 3], "y": [3, 4, 5]},
     "which field has the sequence? name it with --frames FIELD (fields: 'x', 'y', 'label')"),
    (lambda number: {"wave": f"{number}.wav"},
     "which field has the sequence? name it with --frames FIELD (fields: 'wave', 'label')"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "message"), UNREAD)
def test_what_is_not_read_is_said_once(made: Callable[[int], dict[str, Any]], message: str, run: Run) -> None:
    data = manifest(made)
    result = run("classify", "train", data, *FLAGS)
    assert (result.status, result.err) == (1, f"error: m.jsonl:1: {message}\n")
    result = run("data", "check", data)
    assert (result.status, result.out, result.err) == (1, "", f"error: m.jsonl:1: {message}\n")


def test_texts_stay_texts(run: Run) -> None:
    for made, flags in (
        (lambda number: {"text": "so it is", "audio": f"{number}.m4a"}, []),
        (lambda number: {"name": f"n{number}", "vector": [1, 2, number]}, ["--text=name"]),
        (lambda number: {"review": "so it is", "audio": f"{number}.m4a"}, ["--text=review"]),
    ):
        result = run("classify", "train", manifest(made), *flags, *FLAGS)  # type: ignore[arg-type]
        assert (result.status, result.err) == (0, ""), result.err
        assert 'input = "frames"' not in result.out


def test_a_label_in_another_case(run: Run) -> None:
    Path("m.jsonl").write_text('{"frames": "0.npy", "Label": "a"}\n{"frames": "1.npy", "Label": "b"}\n', "utf-8")
    told = "m.jsonl:1: expected a field 'label', found 'Label'; --label Label names this one"
    assert run("classify", "train", "m.jsonl", *FLAGS).err == f"error: {told}\n"


def test_tables_without_names_and_without_rows(run: Run) -> None:
    Path("m.csv").write_text("".join(f"{number}.npy,{'ab'[number % 2]}\n" for number in range(12)), encoding="utf-8")
    told = "expected a first row with the names of the columns, such as frames, found 0.npy, a; --columns names them"
    assert run("classify", "train", "m.csv", *FLAGS).err == f"error: m.csv:1: {told}\n"
    result = run("data", "check", "m.csv", "--quiet")
    assert (result.status, result.out) == (1, f"m.csv:1: {told}\n")
    result = run("classify", "train", "m.csv", "--columns=frames,label", *FLAGS)
    assert (result.status, result.err) == (0, "")
    assert run("classify", "train", "m.csv", "--set=data.columns=frames,label", *FLAGS).status == 0
    Path("m.csv").write_text("File_Name,label\n", encoding="utf-8")
    told = "m.csv: no rows found, only the names of columns: File_Name, label"
    assert run("classify", "train", "m.csv", *FLAGS).err == f"error: {told}\n"
    result = run("data", "check", "m.csv", "--quiet")
    assert (result.status, result.out) == (1, f"{told}\n")
