"""The samples of sequences of vectors: what they say of themselves is true, and single frames do not tell it."""

from __future__ import annotations

import json
import re
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.corpora.cards import load_card
from seqkit.corpora.fetch import fetch
from seqkit.corpora.resolve import resolve
from seqkit.corpora.samples import generate
from seqkit.corpora.samples.sequences import CONTOURS, DIRECTIONS, REST, TONES
from seqkit.records import FrameRecord

SPLITS = ("train", "dev", "test")
NAMES = ("sample-tones", "sample-melodies", "sample-gestures")


@pytest.fixture(scope="module")
def corpora() -> dict[str, dict[str, list[Any]]]:
    return {
        name: resolve(name).read_frames().records
        if load_card(name).input == "frames"
        else resolve(name).read_texts(label=None).records
        for name in NAMES
    }


def frames_of(record: Any) -> Any:
    return record.source.read() if isinstance(record, FrameRecord) else np.array(record.fields["frames"])


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_those_of_the_card_and_the_seed_decides(name: str, corpora: dict[str, Any]) -> None:
    card = load_card(name).generator
    assert card is not None
    assert [len(corpora[name][split]) for split in SPLITS] == [card.train, card.dev, card.test]
    numbers = [
        [frames_of(record).tolist() for record in generate(name, {"train": 5}, seed=seed)["train"]]
        for seed in (1, 1, 2)
    ]
    assert numbers[0] == numbers[1] != numbers[2]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_fetched_holds_the_same(
    name: str, corpora: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path))
    folder = fetch(load_card(name), quiet=True)
    dataset = resolve(folder)
    assert dataset.has_frames
    found = dataset.read_frames().records
    for split in SPLITS:
        for record, other in zip(corpora[name][split], found[split], strict=True):
            assert np.array_equal(frames_of(record).astype(np.float32), other.source.read())
            assert other.fields == {key: value for key, value in record.fields.items() if key != "frames"}
        lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        assert max(len(str(number)) for number in json.loads(lines[0])["frames"][0]) <= 7  # as they were written


def test_tones(corpora: dict[str, Any]) -> None:
    for record in (record for split in SPLITS for record in corpora["sample-tones"][split]):
        labels = record.fields["labels"]
        assert frames_of(record).shape == (len(labels), 12)
        runs = [label for label, _ in groupby(labels)]
        assert runs[::2] == [REST] * (len(runs) // 2 + 1)
        assert record.fields["text"].split() == runs[1::2]
        played = [TONES.index(name) for name in runs[1::2]]
        turns = "".join("-+"[after > before] for before, after in pairwise(played))
        shapes = {"rising": r"\++", "falling": "-+", "arch": r"\++-+", "valley": r"-+\++"}
        assert re.fullmatch(shapes[record.fields["label"]], turns)
        assert len(set(played)) == len(played)
        # By CTC: no two symbols in one frame, and a blank between equal ones.
        text = record.fields["text"]
        assert len(text) + sum(a == b for a, b in pairwise(text)) <= len(labels)
    contours = [record.fields["label"] for record in corpora["sample-tones"]["train"]]
    assert min(map(contours.count, CONTOURS)) > 80


def test_the_order_of_tones_alone_tells_their_contour(corpora: dict[str, Any]) -> None:
    from sklearn.linear_model import LogisticRegression

    def features(records: list[Any]) -> Any:
        return np.stack([np.r_[frames_of(record).mean(0), frames_of(record).max(0)] for record in records])

    def labels(records: list[Any]) -> list[str]:
        return [record.fields["label"] for record in records]

    train, test = corpora["sample-tones"]["train"], corpora["sample-tones"]["test"]
    model = LogisticRegression(max_iter=500).fit(features(train), labels(train))
    assert model.score(features(test), labels(test)) < 0.6


def test_melodies(corpora: dict[str, Any]) -> None:
    seen = set()
    for record in (record for split in SPLITS for record in corpora["sample-melodies"][split]):
        frames = frames_of(record)
        seen.add(frames.tobytes())
        assert frames.shape == (32, 88) and set(np.unique(frames)) == {0, 1}
        assert frames.sum(1).tolist() == [2] * 32
        bass, melody = frames.argmax(1), 87 - frames[:, ::-1].argmax(1)
        assert (bass < melody).all()
        assert all(len(set(bass[bar : bar + 4])) == 1 for bar in range(0, 32, 4))
        assert set(melody[-4:]) == {bass[-1] + 24}  # the tonic
        major = {(bass[-1] + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
        assert {int(key) % 12 for key in (*bass, *melody)} <= major
    assert len(seen) == sum(len(corpora["sample-melodies"][split]) for split in SPLITS)


def test_gestures(corpora: dict[str, Any]) -> None:
    """What is told is what the places say: the ways of the strokes and how long they took."""
    for record in (record for split in SPLITS for record in corpora["sample-gestures"][split]):
        places = frames_of(record)
        told = record.fields["text"].split(" then ")
        assert record.text == record.fields["text"]
        assert 1 <= len(told) <= 3
        slow = sum("slowly" in words for words in told)
        assert 6 * (len(told) - slow) + 11 * slow <= len(places) <= 9 * (len(told) - slow) + 15 * slow
        ways = np.array([DIRECTIONS[words.split()[0]] for words in told])
        for axis, way in enumerate((places[-1] - places[0]).tolist()):
            if not ways[:, axis].any():
                assert abs(way) < 0.3
            elif abs(ways[:, axis].sum()) == np.abs(ways[:, axis]).sum():  # not to and fro
                assert way * ways[:, axis].sum() > 1
