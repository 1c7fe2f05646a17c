"""Tagging of sequences of vectors, from rows to answers."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.config import parse_settings
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError, SettingsError
from seqkit.formats.runs import runs_of
from seqkit.formats.schemes import from_spans, invalid_moves
from seqkit.model.base import Model
from seqkit.model.loading import load
from seqkit.training.run import run

SHAPES = {"O": (0.0, 0.0), "a": (2.0, 0.0), "b": (0.0, 2.0)}
"""label → what its frames look like"""


def rows(count: int, seed: int, form: str = "runs") -> list[dict[str, Any]]:
    """Sequences with runs of ``a`` and ``b``: as runs, as a label a frame, or in IOB2."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        runs, place = [], 0
        for _ in range(draw.randint(1, 3)):
            start = place + draw.randint(1, 4)
            place = start + draw.randint(3, 7)
            runs.append({"start": start, "end": place, "label": draw.choice("ab")})
        size = place + draw.randint(1, 3)
        spans = [(each["start"], each["end"], each["label"]) for each in runs]
        plain = ["O"] * size
        for start, end, label in spans:
            plain[start:end] = [label] * (end - start)
        frames = [[value + draw.gauss(0, 0.1) for value in SHAPES[label]] for label in plain]
        labels: Any = {"runs": runs, "frames": plain, "iob2": from_spans(spans, size, "iob2")}[form]
        found.append({"frames": frames, "labels": labels})
    return found


def write(folder: Path, form: str = "runs", train: int = 40) -> Path:
    folder.mkdir(exist_ok=True)
    for split, count in (("train", train), ("dev", 8), ("test", 8)):
        lines = map(json.dumps, rows(count, len(split) + count, form))
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def settings(**sections: Any) -> Any:
    """Settings of a small network."""
    tree: dict[str, Any] = {
        "encoder": {"hidden": 8, "dropout": 0.0},
        "training": {"epochs": 12, "batch_size": 4, "lr": 0.02},
    }
    for section, values in sections.items():
        tree[section] = {**tree.get(section, {}), **values}
    return parse_settings({"task": "tag", "input": "frames", **tree}, "test")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    place = tmp_path_factory.mktemp("model")
    run(settings(data={"frame_rate": 50.0}), place, data, quiet=True, force=True)
    return load(place)


def untrained(chosen: Any, items: list[dict[str, Any]], folder: Path) -> Any:
    """A model as it is before training, for rows."""
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, items)) + "\n", encoding="utf-8")
    records = resolve(str(path)).read_frames(["all"]).records["all"]
    complete = chosen.complete_by(records)
    torch.manual_seed(1)
    built = complete.row.model_class(complete).build(complete, records)
    return built, records


def test_runs_are_learned(model: Model, data: Path) -> None:
    found = model.evaluate(data)
    assert found.report.accuracy > 0.9
    assert found.report.near.f1 > 0.9
    assert (found.report.unit, found.report.tolerance) == ("seconds", 0.05)
    strict = model.evaluate(data, tolerance=0.0).report
    assert strict.near == strict.exact == found.report.exact


def test_a_reloaded_model_answers_the_same(model: Model, data: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "copy")
    other = load(tmp_path / "copy")
    items = [{"frames": row["frames"]} for row in rows(6, 5)]
    answers = [[each.to_json() for each in one.predict(items, probs=True)] for one in (model, other)]
    assert answers[0] == answers[1]
    card = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    assert "seqkit tag predict -m THIS_FOLDER FILE\n" in card
    assert "- Field of the labels: `labels`, runs in frames, `O` where there is none\n- Labels: O, a, b\n" in card


def test_an_answer_has_runs_in_frames_and_seconds(model: Model) -> None:
    (row,) = rows(1, 77)
    answer = model.answer({"frames": row["frames"]})
    (found,) = model.predict([row], probs=True)
    runs = [one for one in runs_of(found.labels) if one.label != "O"]
    expected = [
        {"start": s, "end": e, "label": label, "start_second": s / 50, "end_second": e / 50} for s, e, label in runs
    ]
    assert answer == {"frames": None, "labels": expected, "unit": "frames"}
    with_probs = model.answer({"frames": row["frames"], "probs": True})
    for one, got in zip(runs, with_probs["labels"], strict=True):
        assert got["prob"] == pytest.approx(np.mean(found.probs[one.start : one.end]), abs=1e-5)


def test_answers_are_read_as_labels_again(model: Model, tmp_path: Path) -> None:
    """What was predicted is what is right, if the answers are the data."""
    items = rows(5, 8)
    answers = [
        {**answer.to_json(), "frames": row["frames"]} for row, answer in zip(items, model.predict(items), strict=True)
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, answers)) + "\n", encoding="utf-8")
    report = model.evaluate(path).report
    assert report.accuracy == 1.0
    assert report.run_errors == 0
    assert report.exact.f1 == (1.0 if report.exact.support else 0.0)


def test_marginals_of_frames_sum_to_one(model: Model) -> None:
    """Of a CRF the probability of the best label of each frame, by enumeration over a short sequence."""
    from itertools import product

    frames = np.array([[0.1, 0.2], [1.1, 0.9], [0.3, 1.2]], np.float32)
    (found,) = model.predict([frames], probs=True)
    arrays = model.input.arrays([model.record(frames)])
    with torch.no_grad():
        emissions = model.head.score(model.encode(model.input.collate(arrays, np.array([0]))))[0].double()
    crf, tags = model.head.module.crf.requires_grad_(False), range(3)
    scores = {
        path: float(
            crf.start_transitions[path[0]]
            + sum(emissions[t, tag] for t, tag in enumerate(path))
            + sum(crf.transitions[one, other] for one, other in itertools.pairwise(path))
            + crf.end_transitions[path[-1]]
        )
        for path in product(tags, repeat=3)
    }
    total = sum(np.exp(score) for score in scores.values())
    best = max(scores, key=lambda path: scores[path])
    assert found.labels == model.head.codec.decode(best)
    for frame, prob in enumerate(found.probs):
        marginal = sum(np.exp(score) for path, score in scores.items() if path[frame] == best[frame]) / total
        assert prob == pytest.approx(marginal, abs=1e-5)


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize(("stack", "stride"), [(1, 0), (3, 0), (3, 2), (1, 4)])
def test_steps_of_several_frames_have_a_label_for_each_frame(
    crf: bool, stack: int, stride: int, tmp_path: Path
) -> None:
    items = rows(6, 3)
    made, records = untrained(settings(head={"crf": crf}, frames={"stack": stack, "stride": stride}), items, tmp_path)
    targets = made.head.targets(records).collate(np.arange(len(records)))
    assert [int((row >= 0).sum()) for row in targets] == made.input.lengths(records)
    for row, answer in zip(items, made.predict(records, probs=True), strict=True):
        assert len(answer.labels) == len(answer.probs) == len(row["frames"])
        step = stride or stack
        assert all(len(set(answer.labels[place : place + step])) == 1 for place in range(0, len(answer.labels), step))


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes"])
@pytest.mark.parametrize("stack", [1, 3])
def test_no_illegal_sequence_is_predicted(scheme: str, stack: int, tmp_path: Path) -> None:
    items = rows(10, 4)
    chosen = settings(data={"scheme": scheme}, frames={"stack": stack}, head={"crf": stack == 1})
    made, records = untrained(chosen, items, tmp_path)
    for answer in made.predict(records):
        assert not invalid_moves(answer.labels, scheme)
        assert {one.label for one in answer.runs} <= {"a", "b"}
        assert [(one.start, one.end, one.label) for one in answer.runs] == [*runs_of(answer.labels, scheme)]


def test_iob_labels_are_recognised_and_answered_as_spans(tmp_path: Path) -> None:
    data = write(tmp_path / "data", "iob2")
    found = run(settings(), tmp_path / "model", data, quiet=True).reports["test"]
    assert found.scheme == "iob2"
    assert found.near.f1 > 0.8
    assert load(tmp_path / "model").evaluate(data).report == found


def test_lists_of_labels_teach_the_same_as_runs(tmp_path: Path) -> None:
    for form in ("runs", "frames"):
        made, records = untrained(settings(), rows(5, 6, form), tmp_path)
        targets = made.head.targets(records).collate(np.arange(5))
        if form == "runs":
            before = targets
    assert torch.equal(before, targets)


def test_other_files_may_have_another_field_and_unit(model: Model, tmp_path: Path) -> None:
    items = rows(4, 9)
    for row in items:
        row["gold"] = [{**run, "start": run["start"] / 50, "end": run["end"] / 50} for run in row.pop("labels")]
    path = tmp_path / "other.jsonl"
    path.write_text("\n".join(map(json.dumps, items)) + "\n", encoding="utf-8")
    for times in ("seconds", "auto"):
        assert model.evaluate(path, target="gold", times=times).report.accuracy > 0.9
    with pytest.raises(DataError) as caught:
        model.evaluate(path, target="gold")
    assert "; --times seconds reads seconds" in str(caught.value)
    with pytest.raises(DataError) as caught:
        model.evaluate(path)
    told = "expected a field 'labels' with labels, found 'gold'; --target names another one"
    assert str(caught.value) == f"{path}:1: {told}"


def test_errors_are_stretches_of_frames(model: Model) -> None:
    (row,) = rows(1, 11)
    (answer,) = model.predict([{**row, "frames": row["frames"]}])
    gold = list(answer.labels)
    gold[2:4] = ["x", "x"]
    gold[4] = "y"
    name = answer.sentence.text
    expected = [f"{name}\t0.040\t0.080\tx", f"{name}\t0.080\t0.100\ty"]
    lines = model.head.error(gold, answer).splitlines()
    assert [line.rpartition("\t")[0] for line in lines] in (expected, [expected[0], expected[0], expected[1]])
    assert model.head.error(answer.labels, answer) == ""


def test_runs_that_steps_lose_are_counted(tmp_path: Path) -> None:
    items = [
        {
            "frames": [[float(n), 0.0] for n in range(8)],
            "labels": [{"start": 1, "end": 2, "label": "a"}, {"start": 5, "end": 8, "label": "b"}],
        }
    ]
    made, records = untrained(settings(frames={"stack": 4}), items, tmp_path)
    assert made.head.notes(records, None) == [
        "learning a label for each frame from field 'labels': O, a, b",
        "the runs of field 'labels' are read in frames (--times)",
        "steps of 4 frames are too long for 2 of 4 runs, which are lost; --set frames.stride=2 has shorter ones",
    ]


def test_unknown_labels_are_told(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps({"frames": [[0, 0], [1, 1]], "labels": ["O", "z"]}) + "\n", encoding="utf-8")
    assert model.evaluate(path).notes[-1] == "1 labels of the data are unknown to the model and count as errors: z"


def test_a_lone_sequence_of_one_frame(model: Model) -> None:
    (answer,) = model.predict([[[0.0, 0.0]]], probs=True)
    assert len(answer.labels) == 1
    assert model.tag([[0.0, 0.0]], probs=True).to_json() == answer.to_json()


def test_options_of_other_taggers_are_refused(model: Model) -> None:
    with pytest.raises(SettingsError):
        next(model.predict([[[0.0, 0.0]]], nbest=2))
