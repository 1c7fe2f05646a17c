"""Data sets of sequences of vectors: folders of every layout, Python objects, what is held out."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqkit
from seqkit.config import parse_settings
from seqkit.corpora.dataset import Dataset, held_out_rows
from seqkit.corpora.from_python import from_items
from seqkit.corpora.reading import read_splits
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError, SettingsError
from seqkit.heads.generation.settings import GenerateSettings

SETTINGS = {
    "task": "classify",
    "input": "frames",
    "encoder": {"hidden": 4},
    "training": {"epochs": 1, "batch_size": 4},
}


def arrays(count: int, seed: int = 0, size: int = 2) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.normal(row % 2 * 4, 1, (3 + row % 4, size)).astype(np.float32) for row in range(count)]


def labels(count: int) -> list[str]:
    return ["even" if row % 2 == 0 else "odd" for row in range(count)]


def write_manifest(file: Path, sequences: list[np.ndarray], **fields: list[Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        for row, array in enumerate(sequences):
            name = f"{file.stem} {row}.npy"
            np.save(file.parent / name, array)
            row_fields = {key: values[row] for key, values in fields.items()}
            stream.write(json.dumps({"frames": name, **row_fields}) + "\n")


def fault(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises((DataError, SettingsError)) as caught:
        call(*arguments, **options)
    return str(caught.value)


def contents(dataset: Dataset, split: str) -> list[Any]:
    return [record.source.read().tolist() for record in dataset.read_frames([split]).records[split]]


# --- layouts ------------------------------------------------------------------------------------------------------


def test_splits_may_be_of_different_kinds(tmp_path: Path) -> None:
    sequences = arrays(6)
    write_manifest(tmp_path / "train.jsonl", sequences[:4], label=labels(4))
    np.savez(tmp_path / "test.npz", *sequences[4:])
    np.save(tmp_path / "vectors.npy", np.zeros((9, 2)))  # no split
    dataset = resolve(tmp_path)
    assert {name: split.file.name for name, split in dataset.splits.items() if split.file} == {
        "train": "train.jsonl",
        "test": "test.npz",
    }
    assert dataset.has_frames
    assert contents(dataset, "test") == [each.tolist() for each in sequences[4:]]


def test_an_array_beside_a_file_of_texts_is_no_split(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("a\tgood\nb\tbad\n")
    np.save(tmp_path / "train.image.npy", np.zeros((2, 3)))
    np.save(tmp_path / "train.npy", np.zeros((2, 3)))
    dataset = resolve(tmp_path)
    assert (list(dataset.splits), dataset.has_frames, dataset.notes) == (["train"], False, [])


@pytest.mark.parametrize("kind", ["npy", "npz", "stacked", "folders", "time series"])
def test_folders_without_manifests(tmp_path: Path, kind: str) -> None:
    parts = {"train": arrays(3), "test": arrays(2, seed=1)}
    for split, sequences in parts.items():
        if kind == "npy":
            np.save(tmp_path / f"{split}.npy", sequences[0])
            parts[split] = sequences[:1]
        elif kind == "npz":
            np.savez_compressed(tmp_path / f"{split}.npz", *sequences)
        elif kind == "stacked":
            parts[split] = [each[:3] for each in sequences]
            np.save(tmp_path / f"{split}.npy", np.stack(parts[split]))
        elif kind == "time series":
            lines = [":".join(",".join(map(str, column)) for column in each.T.tolist()) + ":x" for each in sequences]
            header = "@problemName t\n@classLabel true x\n@data\n"
            (tmp_path / f"T_{split.upper()}.ts").write_text(header + "\n".join(lines) + "\n")
        else:
            (tmp_path / split).mkdir()
            (tmp_path / split / "README.md").write_text("about")
            for row, each in enumerate(sequences):
                np.save(tmp_path / split / f"{row}.npy", each)
    dataset = resolve(tmp_path)
    assert dataset.has_frames
    for split, sequences in parts.items():
        found = contents(dataset, split) + (contents(dataset, "dev") if split == "train" and len(sequences) > 1 else [])
        assert sorted(found) == sorted(each.tolist() for each in sequences)


def test_recordings_beside_a_manifest_are_no_data_of_their_own(tmp_path: Path) -> None:
    write_manifest(tmp_path / "train.jsonl", arrays(2), label=labels(2))
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    assert resolve(tmp_path).notes == []


def test_a_file_without_sequences(tmp_path: Path) -> None:
    write_manifest(tmp_path / "train.jsonl", arrays(2), label=labels(2))
    np.savez(tmp_path / "test.npz")
    assert fault(resolve(tmp_path).read_frames) == f"{tmp_path / 'test.npz'}: no sequences of vectors found"


def test_members_that_are_no_arrays_are_counted(tmp_path: Path) -> None:
    import zipfile

    np.savez(tmp_path / "all.npz", a=np.zeros((1, 2)))
    with zipfile.ZipFile(tmp_path / "all.npz", "a") as archive:
        archive.writestr("readme.txt", "x")
    read = resolve(tmp_path / "all.npz").read_frames(["all"])
    assert f"{tmp_path / 'all.npz'}: members that are no arrays left out: 1" in read.notes


def test_texts_are_no_sequences(tmp_path: Path) -> None:
    for name, text in {
        "a.jsonl": '{"text": "x", "label": "y"}\n',
        "b.csv": "text,label\nx,y\n",
        "c.txt": "1 2\n",
    }.items():
        (tmp_path / name).write_text(text)
        assert not resolve(tmp_path / name).has_frames


# --- what is held out ---------------------------------------------------------------------------------------------


def test_held_out_of_speakers() -> None:
    speakers = [f"s{row // 3:02}" for row in range(60)]
    rows, how = held_out_rows([None] * 60, speakers, 60)
    assert (rows, how) == (set(range(54, 60)), "those of the last 2 of 20 speakers")


def test_held_out_of_labels_that_are_sorted() -> None:
    order = [label for label in "abc" for _ in range(20)]
    rows, how = held_out_rows(order, [None] * 60, 60)
    assert how == "one in ten of each label"
    assert sorted(order[row] for row in rows) == ["a", "a", "b", "b", "c", "c"]


def test_held_out_of_any_data() -> None:
    draw = random.Random(1)
    for _ in range(300):
        total = draw.randrange(2, 80)
        kinds = draw.choice((1, 2, 5, total, 2 * total))
        found = [draw.choice((f"l{draw.randrange(kinds)}", [f"l{draw.randrange(kinds)}"])) for _ in range(total)]
        found = [None] * total if draw.random() < 0.2 else found
        speakers = [draw.choice((f"s{draw.randrange(draw.choice((3, 40)))}", None)) for _ in range(total)]
        speakers = [f"s{draw.randrange(40)}" for _ in range(total)] if draw.random() < 0.3 else speakers
        rows, _ = held_out_rows(found, speakers, total)
        assert rows
        assert rows < set(range(total))
        if None in speakers:
            assert len(rows) <= max(1, total // 10)
            if len({str(each) for each in found}) < total:  # no label is held out whole because it occurs once
                for row in rows:
                    assert sum(str(each) == str(found[row]) for each in found) > 1


@pytest.mark.parametrize("task", ["classify", "tag", "transcribe"])
def test_what_is_held_out_does_not_depend_on_what_is_scored(task: str) -> None:
    kinds = [f"{'abc'[row % 3]}" for row in range(40)]
    others = [f"{'xyzw'[row // 10]}" for row in range(40)]
    given = [
        {"frames": frames.tolist(), "number": row, "label": one, "labels": [one] * len(frames), "text": one}
        | {"other": [other] * len(frames) if task == "tag" else other}
        for row, (frames, one, other) in enumerate(zip(arrays(40), kinds, others, strict=True))
    ]
    dataset = from_items("frames", given)
    data = parse_settings({"task": task, "input": "frames"}, "settings").data
    train = read_splits(dataset, "frames", data, None, ["train"]).records["train"]
    for label in (None, "other"):
        dev = read_splits(dataset, "frames", data, None, ["dev"], label).records["dev"]
        numbers = [record.fields["number"] for record in (*train, *dev)]
        assert sorted(numbers) == list(range(40))


def test_texts_of_sequences_are_held_out_by_the_conditions_that_are_found() -> None:
    draw = np.random.default_rng(2)
    for lacking in (None, 5):  # a field that one record lacks is no condition
        given: list[dict[str, Any]] = [{"text": "ab"[row // 20], "note": "same", "number": row} for row in range(40)]
        for row in given:
            row |= {} if row["number"] == lacking else {"moves": draw.normal(size=(3, 2)).tolist()}
        settings = GenerateSettings()
        dataset = from_items("fields", given)
        train = read_splits(dataset, "fields", settings.data, None, ["train"]).records["train"]
        complete = settings.complete_by(train)
        assert ("moves" in complete.data.condition.split(",")) == (lacking is None)
        dev = read_splits(dataset, "fields", complete.data, None, ["dev"]).records["dev"]
        assert sorted(record.fields["number"] for record in (*train, *dev)) == list(range(40))


def test_too_few_sequences(tmp_path: Path) -> None:
    write_manifest(tmp_path / "train.jsonl", arrays(1), label=labels(1))
    expected = "expected at least 2 sequences, one of them to hold out as dev, found 1"
    assert fault(resolve(tmp_path).read_frames) == f"{tmp_path / 'train.jsonl'}: {expected}"


@pytest.mark.parametrize("kind", ["folder", "file", "python"])
def test_dev_is_what_training_held_out(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences, known = arrays(30), labels(30)
    folder = tmp_path / "data"
    write_manifest(folder / "train.jsonl", sequences, label=known)
    data: Any = {"folder": folder, "file": folder / "train.jsonl", "python": list(zip(sequences, known, strict=True))}[
        kind
    ]
    read: list[list[Any]] = []
    original = Dataset.read_frames

    def noted(self: Dataset, splits: Any = None, **options: Any) -> Any:
        found = original(self, splits, **options)
        read.append([record.source.read().tolist() for record in found.records.get("dev", ())])
        return found

    monkeypatch.setattr(Dataset, "read_frames", noted)
    model = seqkit.train(SETTINGS, tmp_path / "model", data, device="cpu")
    seqkit.train(
        SETTINGS | {"training": {"epochs": 2, "batch_size": 4}}, tmp_path / "model", data, device="cpu", resume=True
    )
    found = model.evaluate(data if kind != "python" else {"train": data}, "dev")
    assert len(read) >= 4
    assert all(part == read[0] for part in read)
    assert len(read[0]) == len(found.gold) == 3


# --- Python objects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pairs", "lists", "mappings", "tensors", "stacked", "numbers", "zip"])
def test_training_on_python_objects(tmp_path: Path, kind: str) -> None:
    sequences, known = arrays(12), labels(12)
    same = [each[:3] for each in sequences]
    data: Any = {
        "pairs": list(zip(sequences, known, strict=True)),
        "lists": [(each.tolist(), label) for each, label in zip(sequences, known, strict=True)],
        "mappings": [{"frames": each, "label": label} for each, label in zip(sequences, known, strict=True)],
        "tensors": [
            (torch.tensor(each, requires_grad=True), label) for each, label in zip(sequences, known, strict=True)
        ],
        "stacked": (np.stack(same), known),
        "numbers": (torch.tensor(np.stack(same)), np.array([0, 1] * 6)),
        "zip": zip(sequences, known, strict=True),
    }[kind]
    model = seqkit.train(SETTINGS, tmp_path / "model", data, device="cpu")
    expected = {"0", "1"} if kind == "numbers" else {"even", "odd"}
    assert set(model.head.codec.labels) == expected
    several = [same, np.stack(same), torch.tensor(np.stack(same)), [each.tolist() for each in same]]
    answers = [[answer.probs for answer in model.predict(given)] for given in several]
    rows = [{"frames": each} for each in same]
    answers.append([answer.probs for answer in model.predict(rows)])
    answers.append([model.answer({"frames": each.tolist()})["probs"] for each in same])
    answers.append([one["probs"] for one in model.answer({"texts": [each.tolist() for each in same]})["answers"]])
    answers.append(
        [one["probs"] for one in model.answer({"texts": [{"frames": each.tolist()} for each in same]})["answers"]]
    )
    for found in answers:
        assert len(found) == 12
        for one, other in zip(found, answers[0], strict=True):
            assert one == pytest.approx(other, abs=2e-6)


def test_settings_that_do_not_say_what_is_read_leave_it_to_the_data(tmp_path: Path) -> None:
    """Of a file as on the command line: the vectors, unless a setting is of words; the same of mappings."""
    sequences, file = arrays(12), tmp_path / "train.jsonl"
    write_manifest(file, sequences, label=labels(12), text=[f"text {row}" for row in range(12)])
    rows = [{"frames": array, "label": label} for array, label in zip(sequences, labels(12), strict=True)]
    unsaid = {name: value for name, value in SETTINGS.items() if name != "input"}
    found = {}
    for name, settings, data in (
        ("said", SETTINGS, file),
        ("file", unsaid, file),
        ("mappings", unsaid, rows),
        ("of frames", {**unsaid, "frames": {"stack": 2}}, file),
        ("words", {**unsaid, "input": "words"}, file),
        ("of words", {**unsaid, "embedding": {"word_size": 4}}, file),
        ("named", {**unsaid, "data": {"text": "text"}}, file),
    ):
        found[name] = seqkit.train(settings, tmp_path / name, data, device="cpu")
    kinds = [model.settings.row.records for model in found.values()]
    assert kinds == ["frames"] * 4 + ["texts"] * 3
    weights = {name: model.weights() for name, model in found.items()}
    for name in ("file", "mappings"):
        assert all(torch.equal(weights[name][key], value) for key, value in weights["said"].items())


@pytest.mark.parametrize("task", ["tag", "classify", "lm"])
def test_pairs_of_arrays_need_to_be_said(task: str, tmp_path: Path) -> None:
    array = np.zeros((2, 3), np.float32)
    items = {"tag": [(array, ["a", "b"])], "classify": [(array, "a")], "lm": [array]}[task]
    found = fault(seqkit.train, {"task": task}, tmp_path / "m", items, device="cpu")
    assert found.endswith('; for sequences of vectors the settings need "input": "frames"')


def test_a_pair_is_told_from_a_sequence_of_two_frames() -> None:
    frames = np.ones((2, 2))
    for item, fields in (
        (([[1, 2], [3, 4]], "x"), {"label": "x"}),
        (([1, 2, 3], 7), {"label": 7}),
        ((frames, np.int64(7)), {"label": 7}),
        ((frames, ["a", "b"]), {"label": ["a", "b"]}),
        ((frames, [0, 1]), {"label": [0, 1]}),
        ((frames, None), {"label": None}),
        ([[1, 2], [3, 4]], {}),
        (([1, 2], [3, 4]), {}),
        (frames, {}),
        ([0.5, 1.5], {}),
    ):
        dataset = from_items("frames", [item, item])
        record = dataset.read_frames(["train"]).records["train"][0]
        assert record.fields == fields, item
        assert record.source.shape[0] in (2, 3)


def test_faults_of_python_objects(tmp_path: Path) -> None:
    def train(data: Any) -> str:
        return fault(lambda: seqkit.train(SETTINGS, tmp_path / "model", data, device="cpu"))

    good = list(zip(arrays(3), labels(3), strict=True))
    expected = "expected 2 numbers in every frame, as in the first, found 1 in frame 1, counted from 0"
    assert train([*good, ([[1, 2], [3]], "odd")]) == f"sequences train:4: {expected}"
    assert train([*good, (np.ones((2, 3)), "odd")]) == (
        "sequences train:4: expected 2 features a frame, as in training, found 3"
    )
    assert train([*good, {"frames": "no such.npy", "label": "odd"}]) == (
        f"sequences train:4: 'no such.npy': cannot be read: No such file or directory; looked for in {os.getcwd()!r}"
    )
    assert train((np.ones((2, 3, 2)), ["a"])) == "expected as many labels as sequences, found 1 for 2"
    assert train([*good, {"label": "odd"}]) == (
        'sequences train:4: expected a field "frames" or "audio" with a sequence of vectors, found \'label\'; '
        "--frames names another one"
    )
    assert train([*good, (np.full((2, 2), np.nan), "odd")]) == (
        "sequences train:4: expected finite numbers, found nan in frame 0, feature 0, counted from 0"
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pairs = list(zip(arrays(12), labels(12), strict=True))
    return seqkit.train(SETTINGS, tmp_path_factory.mktemp("model"), pairs, device="cpu")


def test_records_that_cannot_be_predicted_are_named(model: Any) -> None:
    good = np.ones((2, 2))
    length = "expected 2 numbers in every frame, as in the first, found 1 in frame 1, counted from 0"
    kind = "a record must be an array of frames [N, F], or a mapping with one, found 'a.npy'"
    place = "in frame 0, feature 1, counted from 0"
    for given, expected in (
        ([good, np.ones((2, 3))], "records:2: expected 2 features a frame, as in training, found 3"),
        ([good, [[1, 2], [3]]], f"records:2: {length}"),
        ([good, "a.npy"], f"records:2: {kind}"),
        ([good, np.zeros((0, 2))], "records:2: the sequence has no frames"),
        ([{"frames": [[1, float("inf")]]}], f"records:1: expected finite numbers, found inf {place}"),
        ([{"frames": [[1, -3e30]]}], f"records:1: expected numbers below 1e+30, found -3e+30 {place}"),
    ):
        assert fault(lambda given=given: list(model.predict(given))) == expected


def test_a_request_opens_no_file(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "secret.npy", np.ones((3, 2), np.float32))
    (tmp_path / "secret.csv").write_text("1,2\n")
    monkeypatch.chdir(tmp_path)
    opened: list[Any] = []
    for place in ("seqkit.formats.arrays.open_regular", "seqkit.formats.arrays._state", "os.path.exists"):
        monkeypatch.setattr(place, lambda *found: opened.append(found))
    for name in ("secret.npy", str(tmp_path / "secret.npy"), "secret.csv", "secret.wav", "all.npz#1"):
        for request in (
            {"frames": name},
            {"audio": name},
            {"path": name},
            {"texts": [{"frames": name}]},
            {"texts": [name]},
            {"frames": [name]},
            {"frames": {"path": name}},
        ):
            fault(model.answer, request)
    assert opened == []
    expected = "expected a list of frames, each of numbers in \"frames\", found 'secret.npy'"
    assert fault(model.answer, {"frames": "secret.npy"}) == f"{expected}; only the rows of files name files"


def test_blocks_of_files_may_name_files(model: Any, tmp_path: Path) -> None:
    from seqkit.formats.blocks import cut
    from seqkit.formats.format import Description
    from seqkit.model.requests import block_request

    sequences = arrays(5)
    write_manifest(tmp_path / "all.jsonl", sequences)
    expected = [answer.label for answer in model.predict(sequences)]
    for size in (1, 50, 1 << 19):
        found: list[str] = []
        for block in cut([(str(tmp_path / "all.jsonl"), Description("jsonl"))], size):
            answer = model.answer(block_request(block, "jsonl"))
            assert answer["fault"] is None
            found += [json.loads(line)["label"] for line in answer["output"].splitlines()]
        assert found == expected


def test_rows_of_an_array_beside_a_file_are_the_same_however_it_is_cut(model: Any, tmp_path: Path) -> None:
    from seqkit.formats.blocks import cut
    from seqkit.formats.format import Description
    from seqkit.formats.registry import part_frames

    array = np.arange(60, dtype=np.float32).reshape(10, 3, 2)
    np.save(tmp_path / "all.frames.npy", array)
    (tmp_path / "all.jsonl").write_text('\n{"label": "x"}\n' * 10)
    for size in (1, 20, 1 << 19):
        parts = [part for block in cut([(str(tmp_path / "all.jsonl"), Description("jsonl"))], size) for part in block]
        found = [record.source.read().tolist() for part in parts for record in part_frames(part)]
        assert found == array.tolist()
