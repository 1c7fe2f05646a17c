"""Dialogue acts on the command line: training, evaluation, and sentences with values that training never saw."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]  # the fixture `run`

TINY = ["--hidden=16", "--epochs=30", "--lr=0.02", "--batch-size=8", "--quiet"]
TINY += [f"--set={one}" for one in ("embedding.word_size=8", "head.size=8", "head.hidden=24", "head.dropout=0.0")]
TINY += [f"--set={one}" for one in ("encoder.dropout=0.0", "embedding.dropout=0.0", "head.smoothing=0.0")]
ACTS = ["--source=act", "--target=text", "--set=data.source_unit=act", "--set=data.splitter=spaces"]
ACTS += ["--set=acts.keywords=parking=park,garden=garden", "--set=acts.spelled=kind"]
NAMES = ["rose", "old mill", "green hat", "mill", "crown and cup", "north star", "fox", "bell"]
PLACES = ["north end", "old town", "mill lane", "dock"]


def rows(first: int, count: int) -> list[dict[str, str]]:
    """Acts of a system that finds places to eat, and what it says."""
    found: list[dict[str, str]] = []
    for number in range(first, first + count):
        name, area = NAMES[number % len(NAMES)], PLACES[number // 3 % len(PLACES)]
        parking = ("yes", "no")[number // 2 % 2]
        allowed = "you can park there" if parking == "yes" else "you cannot park there"
        found += [
            {"act": f"inform(name='{name}';area='{area}';kind=pub)", "text": f"{name} is a pub in {area}"},
            {"act": f"inform(name='{name}';parking={parking})", "text": f"{name} is nice and {allowed}"},
            {"act": "?request(area)", "text": "which part of town"},
        ]
    return found


def write(path: Path, items: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("acts")
    for split, first, count in (("train", 0, 16), ("dev", 3, 3), ("test", 5, 4)):
        write(folder / f"{split}.jsonl", rows(first, count))
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqkit.cli.main import main

    output = tmp_path_factory.mktemp("models") / "speaker"
    assert main(["translate", "train", str(data), "-o", str(output), *ACTS, *TINY]) == 0
    return output


GENERATE = ["--condition=act:act", "--target=text", "--set=data.unit=word", "--set=data.splitter=spaces", "--quiet"]
GENERATE += ["--set=acts.keywords=parking=park,garden=garden", "--set=acts.spelled=kind", "--hidden=24", "--lr=0.02"]
GENERATE += ["--set=embedding.word_size=8", "--set=encoder.dropout=0.0", "--batch-size=8"]
FLAGS = {"translate": [*ACTS, *TINY], "generate": [*GENERATE, "--epochs=30", "--cell=sc_lstm"]}
COMMANDS = pytest.mark.parametrize("command", ["translate", "generate"])


@pytest.fixture(scope="module")
def speakers(trained: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each command."""
    from seqkit.cli.main import main

    output = tmp_path_factory.mktemp("models") / "generator"
    assert main(["generate", "train", str(data), "-o", str(output), *FLAGS["generate"]]) == 0
    return {"translate": trained, "generate": output}


def test_values_that_are_new_are_written(trained: Path, run: Run) -> None:
    acts = "inform(area='far, far away';name=\"joe's\";kind=pub)\ninform(name=x;parking=no)\n"
    result = run("translate", "-m", trained, stdin=acts)
    assert (result.status, result.out) == (0, "joe's is a pub in far, far away\nx is nice and you cannot park there\n")


@COMMANDS
def test_evaluation_counts_slots_against_all_texts_for_acts_that_are_alike(
    command: str, speakers: dict[str, Path], data: Path, tmp_path: Path, run: Run
) -> None:
    model = speakers[command]
    result = run(command, "evaluate", data, "-m", model, "--json", "-", "--beam=4", "--top=2")
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert found["slot_errors"] == {"rate": 0.0, "missing": 0, "redundant": 0, "slots": 16}
    assert found["exact_match"] == 1.0
    assert found["bleu"] == pytest.approx(100.0)
    assert found["best"]["count"] == 2
    assert found["best"]["texts"] > found["sentences"]
    assert found["unknown_slots"] == 0
    table = run(command, "evaluate", data, "-m", model, "--beam=3", "--top=2").out
    assert re.search(r"slot errors +0.00 % \(0 missing, 0 redundant of 16 slots\)", table)
    assert "BLEU, best 2" in table
    assert "unknown, since" not in table
    other = write(tmp_path / "other.jsonl", [{"act": "inform(name=a;parking=yes)", "text": f"a {n}"} for n in "xy"])
    found = json.loads(run(command, "evaluate", other, "-m", model, "--json", "-").out)
    assert command == "generate" or found["signatures"]["bleu"].startswith("nrefs:2|")


def test_reranking_puts_texts_first_that_say_what_they_should(trained: Path, run: Run) -> None:
    asked = "inform(name=x;area=y;kind=pub;parking=yes;garden=yes)\n"
    options = ("-m", trained, "--beam=40", "--nbest=40", "--output-format=jsonl")
    plain = json.loads(run("translate", "predict", *options, "--rerank=none", stdin=asked).out)["nbest"]
    ranked = json.loads(run("translate", "predict", *options, stdin=asked).out)["nbest"]

    def errors(text: str) -> int:
        words = text.split()
        return sum(abs(words.count(word) - 1) for word in ("x", "y", "park", "garden"))

    assert sorted(plain, key=lambda one: errors(one["text"])) == ranked
    assert plain != ranked


def test_the_decoder_may_have_the_cell_that_consumes_the_act(data: Path, tmp_path: Path, run: Run) -> None:
    cell = ("--set=head.cell=sc_lstm", "--set=head.feeding=false")
    result = run("translate", "train", data, "-o", tmp_path / "m", *ACTS, *TINY, *cell, "--epochs=16", "--json", "-")
    assert result.status == 0, result.err
    acts = "inform(area=x;name=y;kind=pub)\n?request(area)\n"
    assert run("translate", "-m", tmp_path / "m", stdin=acts).out == "y is a pub in x\nwhich part of town\n"


def test_that_cell_needs_acts(data: Path, tmp_path: Path, run: Run) -> None:
    result = run("translate", "train", data, "-o", tmp_path / "m", *ACTS[:2], "--set=head.cell=sc_lstm")
    needed = "set data.source_unit to act, or take another cell"
    assert result.status == 2
    assert f"head.cell sc_lstm is for dialogue acts: {needed}" in result.err
    result = run(
        "translate", "train", data, "-o", tmp_path / "m", *ACTS, *TINY, "--set=head.cell=sc_lstm", "--set=head.layers=2"
    )
    assert "head: cell sc_lstm needs layers 1: it has one dialogue act to read" in result.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"act": "inform(name=a", "text": "a"}', "expected a dialogue act such as "),
        ('{"act": "inform(=a)", "text": "a"}', "a slot of the dialogue act 'inform(=a)' has no name"),
    ],
)
@COMMANDS
def test_what_is_no_act_is_told_with_its_line(
    command: str, line: str, message: str, speakers: dict[str, Path], tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"act": "?request(area)", "text": "bye"}\n' + line + "\n", encoding="utf-8")
    train = (command, "train", path, "-o", tmp_path / "m", *FLAGS[command])
    for arguments in (train, (command, "evaluate", path, "-m", speakers[command])):
        result = run(*arguments)
        assert result.status == 1
        assert f"error: {path}:2: {message}" in result.err


@pytest.mark.parametrize(
    ("command", "flags"), [("translate", []), ("generate", ["--condition=source", "--target=target"])]
)
def test_what_is_for_acts_needs_acts(command: str, flags: list[str], tmp_path: Path, run: Run) -> None:
    path = write(tmp_path / "plain.jsonl", [{"source": "a b", "target": "b a"}] * 4)
    assert run(command, "train", path, "-o", tmp_path / "m", "--epochs=1", *TINY[:1], *flags).status == 0
    for option in ("--top=2", "--rerank=none"):
        result = run(command, "evaluate", path, "-m", tmp_path / "m", "--beam=3", option)
        name = option[2:].partition("=")[0]
        fault = f"error: {name} is for models that read dialogue acts; leave it out"
        assert (result.status, result.err.splitlines()[-1]) == (1, fault)
    if command == "generate":
        result = run("generate", "sample", "-m", tmp_path / "m", "--condition=source=a b", "--rerank=none")
        assert result.err == "error: rerank is for models that read dialogue acts; leave it out\n"


def test_a_length_penalty_needs_a_beam(speakers: dict[str, Path], data: Path, run: Run) -> None:
    act = ("--condition=act=?request(area)",)
    for command in (("evaluate", data), ("sample", *act)):
        result = run("generate", *command, "-m", speakers["generate"], "--length-penalty=0.3")
        assert result.status == 2
        assert "--length-penalty needs --beam above 1, whose texts it ranks" in result.err


@COMMANDS
def test_types_of_acts_that_training_lacks_are_refused(
    command: str, speakers: dict[str, Path], data: Path, tmp_path: Path, run: Run
) -> None:
    other = write(tmp_path / "other.jsonl", [{"act": "?request(area)", "text": "a"}, {"act": "deny()", "text": "no"}])
    expected = "expected a type of dialogue act seen in training (inform, ?request), found 'deny'"
    result = run(command, "evaluate", other, "-m", speakers[command])
    assert (result.status, result.err.splitlines()[-1]) == (1, f"error: {other}:2: {expected}")
    if command == "translate":
        assert (
            "expected a type of dialogue act seen in training"
            in run(command, "-m", speakers[command], stdin="deny()").err
        )
    else:
        result = run(command, "sample", "-m", speakers[command], "--condition=act=deny()")
        assert result.err.startswith("error: expected a type of dialogue act seen in training")
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "train.jsonl", rows(0, 4))
    write(folder / "dev.jsonl", [{"act": "deny()", "text": "no"}])
    result = run(command, "train", folder, "-o", tmp_path / "m", *FLAGS[command])
    assert result.status == 1
    assert f"error: {folder / 'dev.jsonl'}:1: expected a type of dialogue act seen in training" in result.err


@COMMANDS
def test_slots_and_values_that_training_lacks_are_told_once(
    command: str, speakers: dict[str, Path], tmp_path: Path, run: Run
) -> None:
    acts = ["inform(name=a;pool=yes)", "inform(name=a;kind=inn;pool=yes)", "inform(name=a;name=b)", "inform(name=no)"]
    path = write(tmp_path / "other.jsonl", [{"act": act, "text": "a"} for act in acts])
    result = run(command, "evaluate", path, "-m", speakers[command])
    assert result.status == 0, result.err
    told = [line for line in result.err.splitlines() if line.startswith("warning:")]
    assert told == [
        f"warning: no dialogue act of the training data has {slot}, which is read as unknown"
        for slot in ("the slot 'pool'", "'kind=inn'", "2 values of the slot 'name'", "'name=no'")
    ]
    assert "5 slots of the acts, which the training data lack, are read as unknown" in result.out
    found = json.loads(run(command, "evaluate", path, "-m", speakers[command], "--json=-", "--quiet").out)
    assert found["unknown_slots"] == 5
    if command == "generate":
        act = ("--condition=act=inform(name=a;pool=yes)",)
        assert "has the slot 'pool', which" in run(command, "sample", "-m", speakers[command], *act).err
        assert run(command, "sample", "-m", speakers[command], *act, "--quiet").err == ""
    else:
        assert "has the slot 'pool', which" in run(command, "-m", speakers[command], stdin=acts[0]).err


def test_what_training_lacks_is_nothing_to_be_said(
    speakers: dict[str, Path], data: Path, tmp_path: Path, run: Run
) -> None:
    import seqkit

    cell = ("--set=head.cell=sc_lstm", "--set=head.feeding=false", "--epochs=1")
    assert run("translate", "train", data, "-o", tmp_path / "m", *ACTS, *TINY, *cell).status == 0
    model = seqkit.load(tmp_path / "m", task="translate")
    act = model.head.acts([model.record("inform(name=a;pool=yes)")])
    assert act.shape == (1, len(model.input.indexer.words))
    assert act[0, 1] == 0 and act.sum() == 2
    generator = seqkit.load(speakers["generate"], task="generate")
    record = generator.record({"act": "inform(name=a;pool=yes)", "text": "a"})
    start = generator.head.start(generator.head.conditions([record]).collate(np.arange(1)), 1)
    assert start.state is not None
    given = start.state[0][-1]
    assert given.shape == (1, len(generator.head.codec.fields[0].units))
    assert given[0, 1] == 0 and given.sum() == 2


@pytest.mark.parametrize("cell", ["sc_lstm", "gru"])
def test_generate_writes_from_acts(cell: str, data: Path, tmp_path: Path, run: Run) -> None:
    model = tmp_path / "m"
    result = run("generate", "train", data, "-o", model, *GENERATE, "--epochs=30", "--cell", cell, "--json", "-")
    assert result.status == 0, result.err
    act = ("--condition", "act=inform(area='the far end';name=y;kind=pub)")
    for how in (("--temperature=0",), ("--beam=3",)):
        assert run("generate", "sample", "-m", model, *act, *how).out == "y is a pub in the far end\n"
    many = run("generate", "sample", "-m", model, *act, "--count=20", "--seed=1", "--temperature=3").out.splitlines()
    plain = ("--count=20", "--seed=1", "--temperature=3", "--rerank=none")
    unranked = run("generate", "sample", "-m", model, *act, *plain).out.splitlines()

    def errors(text: str) -> int:
        words = text.replace("the far end", "END").split()
        return sum(abs(words.count(word) - 1) for word in ("y", "END")) + words.count("park")

    assert len(many) == 20
    assert sorted(unranked, key=errors) == many
    found = json.loads(run("generate", "evaluate", data, "-m", model, "--json", "-", "--beam=4", "--top=3").out)
    assert found["slot_errors"] == {"rate": 0.0, "missing": 0, "redundant": 0, "slots": 16}
    assert found["exact_match"] == 1.0
    assert found["bleu"] == pytest.approx(100.0)
    assert found["best"]["count"] == 3
    table = run("generate", "evaluate", data, "-m", model).out
    assert "BLEU        100.00\nslot errors 0.00 % (0 missing, 0 redundant of 16 slots)" in table
    fault = run("generate", "sample", "-m", model, "--condition", "act=inform")
    assert fault.err == (
        "error: expected a dialogue act such as inform(name='red door cafe';kidsallowed=yes), found 'inform'\n"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cell=sc_lstm"], "encoder.cell sc_lstm is for dialogue acts: set data.condition to a dialogue act"),
        (["--set=acts.spelled=a"], "acts.spelled is for dialogue acts: set data.condition to a dialogue act"),
        (["--condition=a:act,b:act"], "condition: one field may be a dialogue act, not several"),
        (["--condition=a:act", "--set=data.digits=true"], "a condition that is a dialogue act needs digits false"),
        (["--condition=a:act", "--cell=sc_lstm", "--layers=2"], "encoder.cell sc_lstm needs layers 1"),
    ],
)
def test_settings_of_generation_from_acts(flags: list[str], message: str, data: Path, tmp_path: Path, run: Run) -> None:
    result = run("generate", "train", data, "-o", tmp_path / "m", *flags)
    assert result.status == 2
    assert message in result.err


def test_attention_is_on_units_of_the_act(trained: Path) -> None:
    import seqkit

    model = seqkit.load(trained, task="translate")
    found = model.attention({"act": "inform(area='far end';name=x;kind=pub)"}, "x is a pub in Far End")
    assert found["source"] == ["inform", "SLOT_AREA", "SLOT_NAME", "kind=pub"]
    assert found["target"] == ["SLOT_NAME", "is", "a", "pub", "in", "SLOT_AREA", ""]


def test_acts_in_lower_case_keep_their_slots(data: Path, tmp_path: Path, run: Run) -> None:
    import seqkit

    flags = [*ACTS, *TINY, "--epochs=1", "--set=head.cell=sc_lstm", "--set=data.lowercase=true"]
    assert run("translate", "train", data, "-o", tmp_path / "m", *flags).status == 0
    model = seqkit.load(tmp_path / "m")
    record = model.record("inform(name='x';area='y';kind=pub)")
    words = model.input.indexer.words
    assert [words[id] for id in model.head.acts([record])[0].nonzero().flatten().tolist()].count("slot_name") == 1
    assert "<unk>" not in [words[id] for id in model.head.acts([record])[0].nonzero().flatten().tolist()]


def test_a_text_begins_with_values_of_its_act(trained: Path, run: Run) -> None:
    acts = "inform(area=dock;name=x;kind=pub)\ninform(area=dock;name='old mill';kind=pub)\n"
    result = run("translate", "-m", trained, "--prefix", "x is", stdin=acts)
    assert result.status == 1 and "the prefix has units that the model cannot write: 'x'" in result.err
    assert result.out in ("", "x is a pub in dock\n")
    alone = run("translate", "-m", trained, "--prefix", "x is", stdin=acts.splitlines()[0] + "\n")
    assert (alone.status, alone.out) == (0, "x is a pub in dock\n")


@COMMANDS
def test_names_that_no_act_has_are_told(command: str, data: Path, tmp_path: Path, run: Run) -> None:
    flags = [flag for flag in FLAGS[command] if "=acts." not in flag]
    flags += ["--epochs=1", "--set=acts.spelled=nope,kind", "--set=acts.uncounted=inform,never"]
    flags = [flag for flag in flags if flag != "--quiet"]
    result = run(command, "train", data, "-o", tmp_path / "m", *flags, "--set=acts.keywords=parkng=park")
    for line in (
        "spelled: no dialogue act of the training data has nope",
        "keywords: no dialogue act of the training data has parkng",
    ):
        assert f"acts.{line}" in result.lines
    assert "acts.uncounted: no dialogue act of the training data has never" in result.lines


def test_an_act_that_is_too_long_is_told(trained: Path, run: Run) -> None:
    result = run("translate", "-m", trained, stdin="inform(" + "a=b;" * 2000 + "c=d)\n")
    assert result.status == 1
    assert "a dialogue act has at most 5,000 characters, and this one has 8,011" in result.lines[-1]


def test_models_that_write_together_read_acts_alike(trained: Path, data: Path, tmp_path: Path, run: Run) -> None:
    assert run("translate", "-m", f"{trained},{trained}", stdin="?request(area)").out == "which part of town\n"
    other = tmp_path / "other"
    others = [*ACTS[:-2], ACTS[-1]]
    assert run("translate", "train", data, "-o", other, *others, *TINY, "--epochs=1").status == 0
    result = run("translate", "-m", f"{trained},{other}", stdin="?request(area)")
    assert f"error: {other}: its reading of acts differs from the first model's; models that write" in result.err
