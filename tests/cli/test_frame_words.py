"""Sequences of vectors are told of in their own words, and flags that are for words are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqkit
from seqkit.cli.main import main
from seqkit.corpora.resolve import resolve
from seqkit.model.pipeline import BatchSize
from seqkit.records import FrameRecord
from seqkit.tasks import TASKS, find_task

from .conftest import Run

QUICK = ["--hidden=2", "--epochs=1", "--dropout=0"]


def write(folder: Path, count: int = 6, **fields: Any) -> Path:
    """Sequences of ten frames of two features; a field is what all have, or a function of the number."""
    draw = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "train.jsonl"
    with path.open("w", encoding="utf-8") as stream:
        for row in range(count):
            frames = draw.normal(row % 2, 0.1, (10, 2)).round(3).tolist()
            values = {name: value(row) if callable(value) else value for name, value in fields.items()}
            stream.write(json.dumps({"frames": frames, **values}) + "\n")
    return path


def label(row: int) -> str:
    return "odd" if row % 2 else "even"


def runs(row: int) -> list[dict[str, Any]]:
    return [{"start": 0, "end": 5, "label": label(row)}]


@pytest.fixture
def gestures(tmp_path: Path) -> Path:
    """Sequences with a label."""
    return write(tmp_path / "gestures", label=label)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of them, trained once."""
    place = tmp_path_factory.mktemp("classifier")
    data = write(tmp_path_factory.mktemp("data"), label=label)
    assert main(["classify", "train", str(data), "-o", str(place), "--quiet", *QUICK]) == 0
    return place


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forward tagger of frames with a CRF, trained once."""
    place = tmp_path_factory.mktemp("tagger")
    data = write(tmp_path_factory.mktemp("data"), labels=runs)
    flags = ["-o", str(place), "--quiet", "--direction=forward", *QUICK]
    assert main(["tag", "train", str(data), *flags]) == 0
    return place


# --- nouns --------------------------------------------------------------------------------------------------------


def test_training_counts_frames_whatever_is_stacked(run: Run, gestures: Path, tmp_path: Path) -> None:
    for stack in (1, 5):
        place = tmp_path / str(stack)
        result = run("classify", "train", gestures, "-o", place, f"--stack={stack}", *QUICK)
        (line,) = [line for line in result.lines if line.startswith("epoch ")]
        assert line.endswith(" frames/s")
        (found,) = map(json.loads, (place / "train.jsonl").read_text().splitlines())
        assert round(found["tokens_per_second"] * found["seconds"]) == 50  # five of six sequences


def test_every_row_has_its_words() -> None:
    rows = [row for task in TASKS.values() for row in task.rows]
    assert {(row.record, row.unit, row.step) for row in rows if row.records == "frames"} == {
        ("sequence", "frame", "step")
    }
    assert [(task.name, task.record, task.step) for task in TASKS.values() if task.records != "frames"] == [
        ("tag", "sentence", "token"),
        ("classify", "text", "token"),
        ("lm", "line", "unit"),
        ("generate", "text", "unit"),
        ("translate", "text", "unit"),
    ]


def test_what_a_classifier_learns_is_of_a_sequence(run: Run, tmp_path: Path) -> None:
    data = write(tmp_path / "data", label=lambda row: ["odd", "all"] if row % 2 else ["all"])
    result = run("classify", "train", data, "-o", tmp_path / "several", "--multi-label", *QUICK)
    assert "learning any number of labels per sequence: all (5), odd (2)" in result.lines
    assert "- Labels (several labels per sequence): all, odd" in (tmp_path / "several" / "README.md").read_text()
    assert "all odd  (a sequence may have several)" in run("info", tmp_path / "several").out
    picture = tmp_path / "no.png"
    result = run("classify", "evaluate", data, "-m", tmp_path / "several", "--confusion", picture)
    assert result.lines[-1] == "error: --confusion needs a model of one label per sequence."


def test_memory_that_does_not_suffice_is_told_of_sequences() -> None:
    said: list[str] = []
    size = BatchSize(512, said.append, find_task("tag", "test", "frames"))
    records = [FrameRecord(None, name="a.npy", file="m.jsonl", line=n) for n in (1, 2)]
    size.halve(records, [300, 100])
    assert said == ["out of memory with batches of 400 steps; going on with 200"]
    with pytest.raises(Exception, match=r"^m\.jsonl:1: out of memory with one sequence of 300 steps, 'a\.npy'$"):
        size.halve(records[:1], [300])


def test_a_precision_is_told_of_sequences(run: Run, gestures: Path, classifier: Path) -> None:
    result = run("classify", "evaluate", gestures, "-m", classifier, "--precision", "auto")
    told = ("there are too few sequences to check bf16", "bf16 is not fast here")
    assert result.lines[0] in [f"precision auto: fp32, since {each}" for each in told]


# --- flags of another input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--vectors", "glove.txt"], "--vectors"),
        (["--chars", "cnn"], "--chars"),
        (["--splitter", "spaces"], "--splitter"),
        (["--text", "body"], "--text"),
        (["--token-column", "1"], "--token-column"),
        (["--span-borders", "widen"], "--span-borders"),
        (["--set", "data.lowercase=false"], "data.lowercase"),
        (["--set", "embedding.word_size=3"], "embedding.word_size"),
        (["--set", "data.token_column=1"], "data.token_column"),
    ],
)
def test_flags_of_words(run: Run, gestures: Path, tmp_path: Path, flags: list[str], named: str) -> None:
    result = run("classify", "train", gestures, "-o", tmp_path / "no", *flags)
    told = f"{named} is for words; DATA are sequences of vectors."
    assert (result.status, result.lines[-1]) == (2, f"error: {told}")


@pytest.mark.parametrize(
    ("task", "flags", "named"),
    [
        ("classify", ["--stack", "3"], "--stack"),
        ("classify", ["--features", "mfcc"], "--features"),
        ("classify", ["--set", "audio.window=20"], "audio.window"),
        ("tag", ["--times", "frames"], "--times"),
        ("lm", ["--transpose", "3"], "--transpose"),
    ],
)
def test_flags_of_sequences(run: Run, tmp_path: Path, task: str, flags: list[str], named: str) -> None:
    data = tmp_path / "train.jsonl"
    data.write_text(json.dumps({"text": "so fine", "label": "good"}) + "\n")
    result = run(task, "train", data, "-o", tmp_path / "no", *flags)
    assert (result.status, result.lines[-1]) == (2, f"error: {named} is for sequences of vectors; DATA are words.")


def test_a_flag_that_is_off_and_a_recipe(run: Run, tmp_path: Path, gestures: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text('task = "lm"\ninput = "frames"\n')
    result = run("lm", "train", gestures, "-c", recipe, "-o", tmp_path / "no", "--no-tied")
    assert (result.status, result.lines[-1]) == (
        2,
        f"error: --no-tied is for words; {recipe} reads sequences of vectors.",
    )


def test_data_that_are_not_there_are_told_first(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "no.jsonl"
    result = run("classify", "train", missing, "-o", tmp_path / "no", "--stack", 2)
    assert result.status == 1 and "--stack" not in result.err
    result = run("classify", "train", "-o", tmp_path / "no", "--stack", 2)
    told = "Missing argument 'DATA', and no recipe names a data set."
    assert (result.status, result.lines[-1]) == (2, f"error: {told}")


@pytest.mark.parametrize("flags", [["--text", "body"], ["--token-column", "1"]])
def test_flags_of_words_for_a_model_of_frames(run: Run, gestures: Path, classifier: Path, flags: list[str]) -> None:
    result = run("classify", "predict", gestures, "-m", classifier, *flags)
    told = f"{flags[0]} is for words; the model reads sequences of vectors."
    assert (result.status, result.lines[-1]) == (2, f"error: {told}")


@pytest.mark.parametrize("flags", [["--token-column", "1"], ["--span-borders", "widen"]])
def test_evaluation_of_a_model_of_frames(run: Run, gestures: Path, classifier: Path, flags: list[str]) -> None:
    result = run("classify", "evaluate", gestures, "-m", classifier, *flags)
    told = f"{flags[0]} is for words; the model reads sequences of vectors."
    assert (result.status, result.lines[-1]) == (2, f"error: {told}")


# --- a lag --------------------------------------------------------------------------------------------------------


def test_evaluation_tells_what_a_lag_changes(run: Run, tagger: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "data", 8, labels=runs)
    model = seqkit.load(tagger)
    whole = json.loads(run("tag", "evaluate", data, "-m", tagger, "--json", "-").out)
    for lag in (0, 2, 50):
        result = run("tag", "evaluate", data, "-m", tagger, "--lag", lag, "--json", "-")
        found = json.loads(result.out)
        answers = [list(model.predict(resolve_frames(data), **options)) for options in ({}, {"lag": lag})]
        pairs = [
            pair for one, other in zip(*answers, strict=True) for pair in zip(one.labels, other.labels, strict=True)
        ]
        assert (found["lag"], len(pairs)) == (lag, 80)
        assert found["lag_differing"] == sum(one != other for one, other in pairs) / 80
        assert found["without_lag"] == {name: whole[name] for name in ("accuracy", "runs")}
    shown = " ".join(run("tag", "evaluate", data, "-m", tagger, "--lag", 2).out.split())
    share = "of the labels differ from those decided at the end of the sequence (accuracy "
    assert "each label decided 2 steps later: " in shown and share in shown and ", F1 of runs " in shown


def resolve_frames(data: Path) -> list[Any]:
    return resolve(str(data)).read_frames(["all"]).records["all"]


def test_a_lag_of_a_model_that_reads_backward(run: Run, tmp_path: Path, corpus: Path, ner_model: Path) -> None:
    data, both = write(tmp_path / "data", labels=runs), tmp_path / "both"
    assert run("tag", "train", data, "-o", both, "--quiet", *QUICK).status == 0
    for place, model in ((data, both), (corpus, ner_model)):
        result = run("tag", "evaluate", place, "-m", model, "--lag", 3)
        assert (result.status, result.lines) == (
            1,
            [
                "error: encoder.direction is both: the encoder reads a sequence from its end, too, which a stream does "
                "not wait for; train with --direction forward"
            ],
        )


# --- numbers that are too large -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "npy", "npz", "csv", "beside"])
def test_numbers_beyond_float32_are_one_line_with_file_and_record(kind: str, run: Run, tmp_path: Path) -> None:
    bad = np.array([[0.5, 1e300], [0.0, 1.0]])
    np.save(tmp_path / "a.npy", bad)
    np.savez(tmp_path / "a.npz", b=bad)
    np.savetxt(tmp_path / "a.csv", bad, delimiter=",")
    name: Any = {"json": bad.tolist(), "npy": "a.npy", "npz": "a.npz#b", "csv": "a.csv", "beside": None}[kind]
    if kind == "beside":
        np.save(tmp_path / "rows.frames.npy", np.stack([bad / 1e300, bad, bad * 0, bad * 0]))
    path = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = [{"frames": [[0, row]], "label": "xy"[row % 2]} for row in range(4)]
    rows[1]["frames"] = name
    if kind == "beside":
        rows = [{"label": row["label"]} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = {"json": "", "beside": "'rows.frames.npy#1': "}.get(kind, f"'{name}': ")
    fault = f"{path}:2: {shown}expected finite numbers, found inf in frame 0, feature 1, counted from 0"
    result = run("classify", "train", path, "-o", tmp_path / "no", "--quiet", *QUICK)
    assert (result.status, result.err) == (1, f"error: {fault}\n")
    assert fault in run("data", "check", path).out.splitlines()


def test_a_condition_with_a_number_beyond_float32_is_a_fault_and_not_left_out(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "data", text="ab")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3]["frames"][1][0] = 1e300
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("generate", "train", path, "-o", tmp_path / "no", "--quiet", "--epochs=1", "--hidden=2")
    fault = "'frames': expected finite numbers, found inf in frame 1, feature 0, counted from 0"
    hint = "(conditions found: frames; --condition names others, or none)"
    assert (result.status, result.err) == (1, f"error: {path}:4: {fault} {hint}\n")


# --- what is held out ---------------------------------------------------------------------------------------------


def held_out(run: Run, data: Path, place: Path, *flags: str) -> list[str]:
    result = run("generate", "train", data, "-o", place, "--epochs=1", "--hidden=2", *flags)
    assert result.status == 0, result.err
    told = [line for line in result.lines if " has no dev split: " in line]
    again = run("generate", "evaluate", data, "-m", place, "--split", "dev")
    assert [line for line in again.lines if " has no dev split: " in line] == told
    sizes = json.loads((place / "report.json").read_text())["data"]["sentences"]
    assert sizes["train"] + sizes["dev"] == 40
    return told


def test_texts_of_sequences_are_held_out_as_sequences_are(run: Run, tmp_path: Path) -> None:
    data = write(tmp_path / "sorted", 40, text=lambda row: "ab"[row // 20], note="same")
    assert held_out(run, data, tmp_path / "one", "--condition=frames") == [
        f"{data} has no dev split: one in ten (4 of 40 texts) are held out of train"
    ]
    assert held_out(run, data, tmp_path / "found") == held_out(
        run, data, tmp_path / "kind", "--condition=frames:frames"
    )
    assert held_out(run, data, tmp_path / "other", "--condition=note") == [
        f"{data} has no dev split: the last tenth of train (4 of 40 sentences) is held out"
    ]
    data = write(tmp_path / "spoken", 40, text="ab", speaker=lambda row: row % 10)
    assert held_out(run, data, tmp_path / "speakers", "--condition=frames") == [
        f"{data} has no dev split: those of the last 1 of 10 speakers (4 of 40 texts) are held out of train"
    ]


# --- texts beside sequences ---------------------------------------------------------------------------------------


def text(row: int) -> str:
    return ["a b", "b a", "a a"][row % 3]


WORDS_ALONE = [
    (["--unit", "char", "--ngram", "2"], "--unit"),
    (["--ngram", "2"], "--ngram"),
    (["--text", "text", "--set", "head.ngram=2"], "--text"),
    (["--set", "head.ngram=2"], "head.ngram"),
]


@pytest.mark.parametrize(("flags", "named"), WORDS_ALONE)
def test_lm_reads_the_texts_beside_sequences_if_words_are_asked_for(
    flags: list[str], named: str, run: Run, tmp_path: Path
) -> None:
    path = write(tmp_path, text=text)
    plain = tmp_path / "texts.txt"
    plain.write_text("".join(f"{text(row)}\n" for row in range(6)))
    found = run("lm", "train", path, "-o", tmp_path / "m", *flags)
    said = f"{path}: {named} is for words: the texts of the sequences are read, not their vectors\n"
    assert found.status == 0 and found.err.startswith(said)
    expected = run("lm", "train", plain, "-o", tmp_path / "plain", *flags)
    assert found.out == expected.out
    for verb in ("evaluate", "score"):  # the model decides what is read
        ours, theirs = (
            run("lm", verb, data, "-m", tmp_path / model, "--quiet") for model, data in (("m", path), ("plain", plain))
        )
        assert ours.out.splitlines()[1:] == theirs.out.splitlines()[1:] != []


def test_a_recipe_may_say_that_words_are_read(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, text=text)
    recipe = tmp_path / "letters.toml"
    recipe.write_text('task = "lm"\ninput = "words"\n[data]\nunit = "char"\n[head]\nngram = 2\n')
    found = run("lm", "train", path, "-o", tmp_path / "m", "-c", recipe)
    said = f"{path}: {recipe} is for words: the texts of the sequences are read, not their vectors\n"
    assert found.status == 0 and found.err.startswith(said)


def test_classify_reads_the_texts_beside_sequences(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, text=text, label=label)
    found = run("classify", "train", path, "-o", tmp_path / "m", "--text", "text", *QUICK)
    assert found.status == 0
    assert f"{path}: --text is for words: the texts of the sequences are read, not their vectors\n" in found.err


def test_words_are_refused_of_sequences_without_texts(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, label=label)
    found = run("lm", "train", path, "-o", tmp_path / "m", "--unit", "char")
    assert found.status == 2 and found.err.endswith("error: --unit is for words; DATA are sequences of vectors.\n")
