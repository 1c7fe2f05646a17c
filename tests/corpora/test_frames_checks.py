"""Checking, counting and converting data sets of sequences of vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.cli.main import main
from seqkit.corpora.check import check
from seqkit.corpora.convert import convert_file
from seqkit.corpora.from_python import from_items
from seqkit.corpora.preview import preview
from seqkit.corpora.resolve import resolve
from seqkit.corpora.sequences import render_sequences, sequence_statistics
from seqkit.errors import DataError
from seqkit.formats.arrays import array_files
from seqkit.tasks import TASKS


def write(file: Path, *rows: Any) -> Path:
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def sequence(seed: int, size: int = 2) -> list[list[float]]:
    return np.random.default_rng(seed).normal(size=(3, size)).round(2).tolist()


def test_every_fault_is_found_with_its_line(tmp_path: Path) -> None:
    np.save(tmp_path / "nan.npy", np.array([[1, np.nan]]))
    np.save(tmp_path / "none.npy", np.zeros((0, 2)))
    train = write(
        tmp_path / "train.jsonl",
        {"frames": sequence(1), "label": "Yes"},
        {"frames": "no.npy", "label": "no"},
        '{"frames": [[1, 2]',
        {"frames": sequence(2, 3), "label": "no"},
        "",
        {"frames": "nan.npy", "label": "no"},
        {"frames": "none.npy", "label": "no"},
        {"frames": sequence(3), "label": "yes"},
        {"frames": sequence(4), "label": "Yes"},
        {"frames": sequence(5)},
        [1],
    )
    test = write(
        tmp_path / "test.jsonl",
        {"frames": sequence(6), "label": "other"},
        {"frames": sequence(1), "label": "no"},
        {"frames": "a.npy", "frames ": 1},
    )
    notes: list[str] = []
    found = [str(problem) for problem in check(resolve(tmp_path), notes=notes)]
    assert found == [
        f"{train}:2: 'no.npy': cannot be read: No such file or directory; looked for in {str(tmp_path)!r}",
        f"{train}:3: invalid JSON at character 19",
        f"{train}:4: expected 2 features a frame, as the first sequence has, found 3",
        f"{train}:6: 'nan.npy': expected finite numbers, found nan in frame 0, feature 1, counted from 0",
        f"{train}:7: 'none.npy': the sequence has no frames",
        f"{train}:8: label 'yes' (1) differs from 'Yes' (2) only in case; spell both the same",
        f"{train}:10: expected a field 'label', found none",
        f"{train}:11: expected an object, found [1]",
        f"{test}:1: label 'other' does not occur in train (1 in test); correct it or add it to train",
        f"{test}:2: the sequence is also in train, at {train}:1; remove one",
        f"{test}:3: 'a.npy': cannot be read: No such file or directory; looked for in {str(tmp_path)!r}",
    ]
    assert notes[:2] == ["train: 7 sequences, 16 frames of 2 features", "test: 2 sequences, 6 frames of 2 features"]


def test_faults_of_tables_and_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", a=sequence(1), b=np.array(["x"]), c=sequence(2), d=np.array([[np.inf, 1]]))
    np.save(tmp_path / "a.npy", sequence(3))
    table = write(tmp_path / "test.csv", "frames,label", "a.npy,x", "a.npy", "no.npy,y", "a.npy,x,y", "a.npy,z")
    found = [str(problem) for problem in check(resolve(tmp_path))]
    assert found == [
        f"{tmp_path / 'train.npz'}: 'b': not an array of numbers: its type is <U1",
        f"{tmp_path / 'train.npz'}: 'd': expected finite numbers, found inf in frame 0, feature 0, counted from 0",
        f"{tmp_path / 'train.npz'}: no sequence has a label in the field 'label', as others have",
        f"{table}:3: expected 2 comma-separated columns (frames, label), found 1",
        f"{table}:4: 'no.npy': cannot be read: No such file or directory; looked for in {str(tmp_path)!r}",
        f"{table}:5: expected 2 comma-separated columns (frames, label), found 3",
    ]


def test_rows_of_an_array_beside_a_faulty_file_stay_where_they_are(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 2, 2)
    array[2, 1, 0] = np.nan
    np.save(tmp_path / "train.frames.npy", array)
    file = write(tmp_path / "train.jsonl", {"label": "a"}, "{", {"label": "b"})
    assert [str(problem) for problem in check(resolve(tmp_path))] == [
        f"{file}:2: invalid JSON at character 2",
        f"{file}:3: 'train.frames.npy#2': expected finite numbers, found nan in frame 1, feature 0, counted from 0",
    ]


def test_very_many_faults_are_bounded(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", {"frames": [[1, 2]], "label": "a"}, *(["{"] * 12_000))
    found = check(resolve(tmp_path))
    assert len(found) <= 10_001
    assert found[-1].message or found[0].message


def test_faults_of_python_objects() -> None:
    items = [{"frames": sequence(1), "label": "a"}, {"frames": [[1, None]], "label": "b"}, {"label": "b"}]
    assert [str(problem) for problem in check(from_items("frames", items))] == [
        "sequences train: every sequence has the label 'a' (1 in all), so there is nothing to learn; "
        "--target or --label names another column",
        "sequences train:2: expected a number, found None in frame 0, feature 1, counted from 0",
        'sequences train:3: expected a field "frames" or "audio" with a sequence of vectors, found \'label\'; '
        "--frames names another one",
    ]


def test_statistics(tmp_path: Path) -> None:
    rows = [{"frames": [[1, 2]] * (row + 1), "label": "ab"[row % 2], "speaker": row % 3} for row in range(10)]
    write(tmp_path / "train.jsonl", *rows)
    write(tmp_path / "dev.jsonl", {"frames": [[1, 2]], "label": ["a", "b"]})
    found, notes = sequence_statistics(resolve(tmp_path))
    assert notes == []
    assert found["train"].to_json() == {
        "sequences": 10,
        "frames": 55,
        "features": 2,
        "seconds": None,
        "lengths": {"mean": 5.5, "0%": 1.0, "50%": 5.0, "90%": 9.0, "100%": 10.0},
        "speakers": 3,
        "labels": {"a": 5, "b": 5},
        "rates": {},
    }
    assert found["dev"].labels == {"a": 1, "b": 1}
    lines = render_sequences(found).splitlines()
    assert lines[:3] == [
        "                     train  dev",
        "sequences               10    1",
        "frames                  55    1",
    ]


def test_what_a_task_would_learn(tmp_path: Path) -> None:
    rows = [{"frames": sequence(row), "label": "ab"[row // 10]} for row in range(20)]
    write(tmp_path / "train.jsonl", *rows)
    found = preview(resolve(tmp_path), TASKS["classify"])
    assert (found.target, found.sizes, found.labels) == ("label", {"train": 18, "dev": 2}, {"a": 9, "b": 9})
    assert found.header == ["sequence", "label"]


# --- what training refuses ----------------------------------------------------------------------------------------


def refused(data: Path, task: str, *flags: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The faults that `data check` lists, without the table of what would be learned."""
    status = main(["data", "check", str(data), "--task", task, "--quiet", "--json", "-", *flags])
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert status == (1 if problems else 0)
    return [f"{Path(each['file']).name}:{each['line']}: {each['message']}" for each in problems]


def test_keys_that_a_language_model_cannot_learn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on, off = [[0, 1, 0], [1, 1, 0]], [[0, 0, 0]]
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    write(
        tmp_path / "train.jsonl",
        *({"frames": frames} for frames in (on, [[0, 1, 2]], [[0, 1]], "none.npy", off, [[1, 1, 1], [0, 0.5, 1]])),
    )
    write(tmp_path / "test.jsonl", {"frames": [[0, 1, 1]]}, {"frames": [[-1, 0, 0]]})
    assert refused(tmp_path, "lm", capsys=capsys) == [
        "train.jsonl:2: expected zeros and ones, found 2 in frame 0, key 2",
        "train.jsonl:3: expected 3 keys a frame, as in training, found 2",
        "train.jsonl:4: 'none.npy': the sequence has no frames",
        "train.jsonl:6: expected zeros and ones, found 0.5 in frame 1, key 1",
        "test.jsonl:2: expected zeros and ones, found -1 in frame 0, key 0",
    ]
    # what is no key may well have a label
    assert refused(tmp_path, "classify", capsys=capsys)[0] == "train.jsonl:1: expected a field 'label', found none"


def test_labels_that_a_tagger_cannot_learn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = {"start": 0, "end": 2, "label": "a"}
    labels: list[Any] = [
        [run],
        [{**run, "end": 9}],
        [{**run, "start": 2, "end": 1}],
        ["a", "b"],
        [run, {**run, "end": 3}],
    ]
    rows = [{"frames": sequence(row), "labels": each} for row, each in enumerate(labels)]
    train = write(
        tmp_path / "train.jsonl", *rows, {"frames": sequence(9)}, {"frames": sequence(8), "labels": ["a"] * 3}
    )
    found = refused(train, "tag", capsys=capsys)
    assert [line.partition(": ")[0] for line in found] == [f"train.jsonl:{line}" for line in (2, 3, 4, 5, 6)]
    assert found[-1] == "train.jsonl:6: expected a field 'labels' with labels, found none; --target names another one"


def test_texts_that_a_transcriber_cannot_learn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["ab", "aa", "abcd", 7, "ba"]
    rows = [{"frames": sequence(row), "text": text} for row, text in enumerate(texts)]
    write(tmp_path / "train.jsonl", *rows, {"frames": [[1, "x"]], "text": "a"})
    write(tmp_path / "test.jsonl", {"frames": sequence(8)}, {"frames": sequence(9), "text": "b"})
    found = refused(tmp_path, "transcribe", capsys=capsys)
    assert [line.partition(": ")[0] for line in found] == [
        "train.jsonl:3",
        "train.jsonl:4",
        "train.jsonl:6",
        "test.jsonl:1",
    ]
    assert found[0] == (
        "train.jsonl:3: the text needs at least 4 steps, one for each symbol and between equal ones, and the sequence "
        "has 3; stack fewer frames, or leave it out"
    )


def test_conditions_that_a_generator_cannot_learn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moves = [sequence(row) for row in range(8)]
    moves[2][1][0] = 1e300
    moves[5] = sequence(5, 3)
    rows = [{"move": move, "text": "ab"[row % 2]} for row, move in enumerate(moves)]
    train = write(tmp_path / "train.jsonl", *rows)
    expected = [
        "train.jsonl:3: 'move': expected finite numbers, found inf in frame 1, feature 0, counted from 0",
        "train.jsonl:6: 'move': expected 2 features a frame, as in training, found 3",
    ]
    assert refused(train, "generate", capsys=capsys) == expected
    named = [{"frames": row["move"], "text": row["text"]} for row in rows]
    train = write(tmp_path / "train.jsonl", *named)
    found = refused(train, "generate", capsys=capsys)
    assert [line.replace("frames'", "move'") for line in found if "'frames'" in line] == expected


def test_what_training_refuses_is_not_said_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [{"frames": sequence(row), "label": "ab"[row % 2]} for row in range(12)]
    rows[3]["label"] = "A"
    rows[4]["frames"] = "no.npy"
    rows[5]["frames"][1][1] = float("nan")
    rows[6]["frames"] = sequence(6, 4)
    del rows[7]["label"]
    train = write(tmp_path / "train.jsonl", *rows)
    assert refused(train, "classify", capsys=capsys) == [
        "train.jsonl:4: label 'A' (1) differs from 'a' (5) only in case; spell both the same",
        f"train.jsonl:5: 'no.npy': cannot be read: No such file or directory; looked for in {str(tmp_path)!r}",
        "train.jsonl:6: expected finite numbers, found nan in frame 1, feature 1, counted from 0",
        "train.jsonl:7: expected 2 features a frame, as in training, found 4",
        "train.jsonl:8: expected a field 'label', found none",
    ]


# --- converting ---------------------------------------------------------------------------------------------------


def values(file: Path) -> list[Any]:
    records = resolve(file).read_frames(["all"]).records["all"]
    return [(record.source.read().tolist(), record.fields) for record in records]


def test_vectors_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    arrays = [draw.normal(0, 10.0 ** draw.integers(-20, 20), (row, 3)).astype(np.float32) for row in range(1, 9)]
    rows = []
    for row, array in enumerate(arrays):
        np.save(tmp_path / f"{row}.npy", array)
        rows.append({"frames": f"{row}.npy", "label": "é", "runs": [{"start": 0, "end": 1, "label": "x"}]})
    manifest = write(tmp_path / "train.jsonl", *rows)
    fields = {"label": "é", "runs": [{"start": 0, "end": 1, "label": "x"}]}
    notes: list[str] = []
    assert convert_file(manifest, tmp_path / "nested.jsonl", notes=notes) == 8
    assert notes == ["8 sequences"]
    assert values(tmp_path / "nested.jsonl") == [(array.tolist(), fields) for array in arrays]
    notes.clear()
    assert convert_file(tmp_path / "nested.jsonl", tmp_path / "all.npz", notes=notes) == 8
    reason = "left out, which an archive of arrays cannot hold: 8"
    nested = tmp_path / "nested.jsonl"
    assert notes == [f"{nested}: fields 'label' {reason}", f"{nested}: fields 'runs' {reason}", "8 sequences"]
    assert values(tmp_path / "all.npz") == [(array.tolist(), {}) for array in arrays]
    convert_file(manifest, tmp_path / "named.npz")
    assert [each.member for each in array_files(tmp_path / "named.npz")] == [str(row) for row in range(8)]
    convert_file(tmp_path / "all.npz", tmp_path / "again.jsonl")
    convert_file(tmp_path / "again.jsonl", tmp_path / "again.jsonl")  # into itself
    assert values(tmp_path / "again.jsonl") == [(array.tolist(), {}) for array in arrays]
    assert not list(tmp_path.glob("*.part"))


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    np.save(tmp_path / "nan.npy", np.array([[np.nan]]))
    (tmp_path / "a.wav").write_bytes(b"")
    bad = write(tmp_path / "bad.jsonl", {"frames": "nan.npy"})
    spoken = write(tmp_path / "spoken.jsonl", {"audio": "a.wav"})

    def fault(source: Path, name: str) -> str:
        with pytest.raises(DataError) as caught:
            convert_file(source, tmp_path / name)
        assert not (tmp_path / name).exists()
        return str(caught.value)

    place = "in frame 0, feature 0, counted from 0"
    assert fault(bad, "x.npz") == f"{bad}:1: 'nan.npy': expected finite numbers, found nan {place}"
    assert fault(spoken, "x.jsonl") == f"{spoken}:1: 'a.wav': recordings are not converted: a manifest names them"
    assert fault(bad, "x.conll") == f"{bad}: conll cannot hold sequences of vectors; --output-format jsonl or npz can"


# --- the command line ---------------------------------------------------------------------------------------------


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "train.jsonl", *({"signal": sequence(row), "label": "ab"[row % 2]} for row in range(20)))

    def run(*arguments: Any) -> str:
        assert main(["data", *map(str, arguments)]) == 0
        found = capsys.readouterr()
        return found.out + found.err

    assert "20 sequences, 60 frames of 2 features" in run("check", file, "--frames", "signal")
    assert json.loads(run("stats", file, "--frames", "signal", "--json", "-", "--quiet"))["all"]["frames"] == 60
    run("convert", file, tmp_path / "all.npz", "--frames", "signal", "--quiet")
    assert len(list(array_files(tmp_path / "all.npz"))) == 20
    names = {row["name"] for row in json.loads(run("formats", "--json", "-"))}
    assert {"npy", "npz", "ts", "numbers", "audio"} <= names


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("table", [True, False])
def test_runs_of_one_label_are_learned_beside_the_other_frames(tmp_path: Path, table: bool, outside: bool) -> None:
    runs = [{"start": 2, "end": 5, "label": "bark"}]
    labels = [["O", "O", "bark", "bark", "bark"] if outside else ["bark"] * 5] if table else [runs]
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.random.default_rng(number).normal(size=(5, 2)))
    rows = [{"frames": f"{number}.npy", "labels": label} for number in range(3) for label in labels]
    for given, name in ((rows, "lists"), ([{**row, "labels": runs} for row in rows], "runs")):
        if table:
            path = tmp_path / f"{name}.csv"
            cells = "".join(
                f'{row["frames"]},"{json.dumps(row["labels"]).replace(chr(34), chr(34) * 2)}"\n' for row in given
            )
            path.write_text(f"frames,labels\n{cells}")
        else:
            path = write(tmp_path / f"{name}.jsonl", *given)
        told = [problem.message for problem in check(resolve(path), "labels")]
        same = "every sequence has the label 'bark' (3 in all), so there is nothing to learn"
        is_alone = table and not outside and name == "lists"
        assert told == ([f"{same}; --target or --label names another column"] if is_alone else [])
        assert sequence_statistics(resolve(path), "", "labels")[0]["all"].labels == (
            {"O": 3, "bark": 3} if table and outside and name == "lists" else {"bark": 3}
        )
