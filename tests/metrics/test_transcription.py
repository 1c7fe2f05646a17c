from __future__ import annotations

import json
import random
import sys

import pytest

from seqkit.errors import SeqkitError
from seqkit.metrics import transcription
from seqkit.metrics.transcription import Confusion, TranscriptionReport, UnitErrors, transcription_report, unit_errors


def distance(gold: list[str], found: list[str]) -> int:
    """Levenshtein's distance by its definition: the oracle of this file."""
    row = list(range(len(found) + 1))
    for number, right in enumerate(gold, 1):
        before, row = row, [number]
        for place, guess in enumerate(found, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (right != guess)))
    return row[-1]


def some_texts(generator: random.Random, units: list[str]) -> list[list[str]]:
    return [generator.choices(units, k=generator.randrange(7)) for _ in range(12)]


@pytest.mark.parametrize("seed", range(40))
def test_counts_equal_a_literal_alignment(seed: int) -> None:
    generator = random.Random(seed)
    units = ["a", "b b", "", "é", " "][: generator.randrange(1, 6)]
    gold, found = some_texts(generator, units), some_texts(generator, units)
    errors = unit_errors(gold, found)
    assert errors.errors == sum(map(distance, gold, found))
    assert errors.gold == sum(map(len, gold))
    assert errors.hits + errors.substitutions + errors.insertions == sum(map(len, found))
    assert errors.rate == errors.errors / max(1, errors.gold)
    assert errors.hits == sum(unit_errors([right], [guess]).hits for right, guess in zip(gold, found, strict=True))
    for unit in units:  # each unit is somewhere: right, replaced or missing; right, in another's place or too many
        right, guess = (sum(text.count(unit) for text in texts) for texts in (gold, found))
        replaced = sum(count for (one, _), count in errors.substituted.items() if one == unit)
        instead = sum(count for (_, one), count in errors.substituted.items() if one == unit)
        assert right - replaced - errors.deleted[unit] == guess - instead - errors.inserted[unit] >= 0
    assert sum(one.count for one in errors.confusions()) == errors.errors


@pytest.mark.parametrize("seed", range(20))
def test_words_and_characters_of_texts(seed: int) -> None:
    generator = random.Random(seed)
    gold, found = ([" ".join(text) for text in some_texts(generator, ["one", "too", "two", "ö"])] for _ in range(2))
    report = transcription_report(gold, found)
    assert report.words.errors == sum(distance(a.split(), b.split()) for a, b in zip(gold, found, strict=True))
    assert report.characters.errors == sum(distance(list(a), list(b)) for a, b in zip(gold, found, strict=True))
    assert (report.wer, report.cer) == (report.words.rate, report.characters.rate)
    assert report.exact == sum(a == b for a, b in zip(gold, found, strict=True))
    assert transcription_report(gold, gold).score == 0.0
    assert transcription_report([f"  {text.replace(' ', '   ')} " for text in gold], found) == report


def test_confusions_are_counted_and_the_most_frequent_come_first() -> None:
    errors = unit_errors(
        [["a", "x"], ["a", "y"], ["b", "z"], ["c", "c"], []],
        [["o", "x"], ["o", "y"], ["z"], ["c", "d", "c"], ["d"]],
    )
    assert errors.confusions() == [Confusion("a", "o", 2), Confusion(None, "d", 2), Confusion("b", None, 1)]
    assert errors.confusions(1) == [Confusion("a", "o", 2)]
    assert (errors.hits, errors.substitutions, errors.deletions, errors.insertions, errors.gold) == (5, 2, 1, 2, 8)
    assert errors.to_json() == {
        "gold": 8,
        "hits": 5,
        "substitutions": 2,
        "deletions": 1,
        "insertions": 2,
        "confusions": [
            {"gold": "a", "found": "o", "count": 2},
            {"gold": None, "found": "d", "count": 2},
            {"gold": "b", "found": None, "count": 1},
        ],
    }


def test_gold_texts_without_words() -> None:
    errors = unit_errors([[], ["a"], []], [["b", "b", "c"], ["a"], []])
    assert (errors.gold, errors.insertions, errors.rate) == (1, 3, 3.0)
    nothing = transcription_report(["", "  "], ["ab c", ""])
    assert (nothing.wer, nothing.cer, nothing.exact_match, nothing.tokens) == (2.0, 4.0, 0.5, 0)
    none = transcription_report([], [])
    assert (none.wer, none.cer, none.exact_match, none.sentences) == (0.0, 0.0, 0.0, 0)
    assert none.render(80).endswith("exact match 0.0000 of 0 texts")


def test_json_of_a_report() -> None:
    report = transcription_report(
        ["g o", "s t o p"],
        ["g o", "s d o p p"],
        loss=1.5,
        frames=210,
        seconds_of_audio=2.1,
        seconds=0.42,
        unit="phones",
    )
    found = json.loads(json.dumps(report.to_json()))
    assert {key: value for key, value in found.items() if key not in ("words", "characters")} == {
        "sentences": 2,
        "tokens": 6,
        "wer": 2 / 6,
        "cer": 3 / 10,
        "exact_match": 0.5,
        "frames": 210,
        "loss": 1.5,
        "seconds_of_audio": 2.1,
        "real_time_factor": pytest.approx(0.2),
    }
    assert (found["words"]["substitutions"], found["words"]["insertions"], found["words"]["gold"]) == (1, 1, 6)
    assert (found["characters"]["substitutions"], found["characters"]["insertions"]) == (1, 2)
    assert "loss" not in transcription_report(["a"], ["a"]).to_json()


def test_a_report_as_tables() -> None:
    report = transcription_report(
        ["one two", "six", ""], ["one too", "", "x"], loss=2.0, frames=1234, seconds_of_audio=12.34, seconds=0.617
    )
    assert report.render(80).split("\n") == [
        "            error rate  substituted  deleted  inserted  in gold texts",
        "",
        "words         100.00 %            1        1         1              3",
        "characters     50.00 %            1        3         1             10",
        "",
        "words      found as   count",
        "",
        "two        too            1",
        "six        (nothing)      1",
        "(nothing)  x              1",
        "",
        "characters  found as   count",
        "",
        "w           o              1",
        "i           (nothing)      1",
        "s           (nothing)      1",
        "x           (nothing)      1",
        "(nothing)   x              1",
        "",
        "exact match 0.0000 of 3 texts, loss 2.0000 nats per text, 1,234 frames, 12.3",
        "seconds of audio, real-time factor 0.0500",
    ]
    spaces = transcription_report(["ab", "c d"], ["a b", "cd"]).render(80).split("\n")
    assert {"(space)     (nothing)      1", "(nothing)   (space)        1"} <= set(spaces)
    assert "phones" in TranscriptionReport(2, 0, report.words, report.characters, unit="phones").render(80)


def test_tables_fit_the_terminal() -> None:
    gold = " ".join(f"{letter * 70}{number}" for number, letter in enumerate("abcdefghijklm"))
    lines = transcription_report([gold], [gold.upper() + "\x1b[1m"]).render(60).split("\n")
    tables = lines[lines.index("") + 4 :]
    assert max(map(len, tables)) <= 60
    assert tables.count("… and others") == 2
    assert not any("\x1b" in line for line in lines)


def test_rare_confusions_are_left_out_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcription, "MOST_CONFUSIONS", 2)
    found = transcription_report(["a b c"], ["x y c z"]).to_json()
    assert len(found["words"]["confusions"]) == 2
    assert found["left_out"] == {
        "words": "the 2 most frequent confusions of 3 are kept; rates and counts are of all",
        "characters": "the 2 most frequent confusions of 4 are kept; rates and counts are of all",
    }


def test_wrong_numbers_of_texts() -> None:
    with pytest.raises(ValueError) as caught:
        unit_errors([["a"], ["b"]], [["a"]])
    assert str(caught.value) == "expected 2 texts, found 1"
    with pytest.raises(ValueError) as caught:
        transcription_report(["a"], [])
    assert str(caught.value) == "expected 1 text, found 0"


def test_without_jiwer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(SeqkitError) as caught:
        transcription_report(["a"], ["a"])
    assert str(caught.value) == 'scoring transcriptions needs jiwer: pip install "seqkit-nlp[scores]"'


def test_no_errors() -> None:
    assert UnitErrors(3).rate == 0.0
    assert UnitErrors().rate == 0.0
    assert "found as" not in transcription_report(["a b"], ["a b"]).render(80)
