"""``seqkit tag``: every flag runs, and files and streams are as documented."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import seqkit
from seqkit.cli.options import SETTING_FLAGS
from seqkit.model import BATCH_TOKENS
from seqkit.training.tagging import TaggingTask

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Run = Callable[..., Any]  # the fixture `run`

MODEL_FILES = {
    "README.md",
    "characters.json",
    "config.json",
    "labels.json",
    "report.json",
    "splitter.json",
    "train.jsonl",
    "weights.safetensors",
    "words.json",
    "checkpoint",
}
COMMON_KEYS = {
    "task",
    "data",
    "split",
    "sentences",
    "tokens",
    "seconds",
    "tokens_per_second",
    "model",
    "seqkit_version",
}
SPAN_KEYS = {"accuracy", "precision", "recall", "f1", "mode", "scheme", "per_label"}


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    file = tmp_path / "vectors.txt"
    words = ["in", "the", "london", "paris", ".", "met"]
    file.write_text("".join(f"{word} 0.{index} -1 0.5 2e-1\n" for index, word in enumerate(words)))
    return file


def settings_of(result: Any) -> dict[str, Any]:
    """What a dry run printed, read as TOML."""
    assert (result.status, result.err) == (0, "")
    return tomllib.loads(result.out)


# --- train --------------------------------------------------------------------------------------------------------


def test_train_writes_a_model_and_reports(corpus: Path, tiny: list[str], tmp_path: Path, run: Run) -> None:
    output = tmp_path / "a" / "model"
    result = run(
        "tag", "train", corpus, "-o", output, "--epochs", "2", "--threads", "1", "--seed", "3", *tiny[2:], "--hidden=4"
    )
    assert result.status == 0
    assert re.match(rf"{corpus}: train 60 sentences, [\d,]+ tokens, dev 12 .*, test 12 .*\n", result.err)
    assert re.search(r"\nepoch +2/2  loss \d+\.\d+  dev f1 [01]\.\d{4}  accuracy .*\n", result.err)
    assert re.match(r"dev\n\n +precision +recall +f1 +support\n", result.out)
    assert re.search(r"\ntest\n\n +precision +recall +f1 +support\n", result.out)
    assert result.out.count("accuracy ") == 2
    assert {path.name for path in output.iterdir()} == MODEL_FILES
    lines = [json.loads(line) for line in (output / "train.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert {"loss", "dev", "lr", "gradient_norm", "tokens_per_second"} <= set(lines[0])
    report = json.loads((output / "report.json").read_text())
    assert {"data", "scores", "versions"} <= set(report)
    assert f"{report['scores']['test']['accuracy']:.4f}" in result.out


def test_train_on_one_file_says_what_it_holds_out(corpus: Path, tiny: list[str], tmp_path: Path, run: Run) -> None:
    file = corpus / "train.conll"
    result = run("tag", "train", file, "-o", tmp_path / "out", *tiny)
    assert result.status == 0
    note = f"{file} has no dev split: the last tenth of train (6 of 60 sentences) is held out"
    assert note in result.lines
    assert result.out.startswith("dev\n") and "\ntest\n" not in result.out


def test_a_recipe_may_name_the_data(tiny: list[str], tmp_path: Path, run: Run) -> None:
    result = run("tag", "train", "-c", "sample-ner", "--dry-run", "--quiet")
    assert settings_of(result)["dataset"] == "sample-ner"


def test_quiet_train_says_nothing_but_the_report(corpus: Path, tiny: list[str], tmp_path: Path, run: Run) -> None:
    result = run("tag", "train", corpus, "-o", tmp_path / "out", *tiny, "--quiet")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("dev\n")


def test_train_json_on_standard_output_is_nothing_but_json(
    corpus: Path, tiny: list[str], tmp_path: Path, run: Run
) -> None:
    result = run("tag", "train", corpus, "-o", tmp_path / "out", *tiny, "--json", "-")
    assert result.status == 0
    assert json.loads(result.out) == json.loads((tmp_path / "out" / "report.json").read_text())


def test_train_json_to_a_file_leaves_the_tables(corpus: Path, tiny: list[str], tmp_path: Path, run: Run) -> None:
    result = run("tag", "train", corpus, "-o", tmp_path / "out", *tiny, "--json", tmp_path / "report.json")
    assert (result.status, result.out[:4]) == (0, "dev\n")
    assert json.loads((tmp_path / "report.json").read_text())["scores"]["dev"]["sentences"] == 12


@pytest.mark.parametrize(
    "flags",
    [
        ["--cell", "lstm", "--layers", "2"],
        ["--cell", "gru", "--direction", "forward"],
        ["--cell", "rnn_tanh", "--direction", "backward"],
        ["--cell", "rnn_relu", "--dropout", "0.5"],
        ["--chars", "lstm"],
        ["--chars", "none"],
        ["--no-crf"],
        ["--crf", "--scheme", "bioes"],
        ["--scheme", "none"],
        ["--scheme", "iob1"],
        ["--target", "1", "--no-crf"],
        ["--target", "-2"],
        ["--target", "ner"],
        ["--optimizer", "sgd", "--lr", "0.1", "--clip", "0"],
        ["--optimizer", "adamw", "--clip", "1", "--batch-size", "7"],
        ["--epochs", "3", "--patience", "1"],
        ["--epochs", "1000000", "--time-limit", "0.001"],
        ["--checkpoint-minutes", "0.00001"],
        ["--precision", "auto"],
        ["--precision", "fp32"],
        ["--precision", "bf16"],
        ["--device", "cpu", "--threads", "1", "--seed", "0"],
        ["--set", "encoder.skip=highway", "--set", "encoder.layers=2", "--set", "training.schedule=cosine"],
        ["--set", "training.average=0.9", "--set", 'head.auxiliary=["1"]'],
    ],
    ids=" ".join,
)
def test_every_training_flag_runs(flags: list[str], corpus: Path, tiny: list[str], tmp_path: Path, run: Run) -> None:
    result = run("tag", "train", corpus, "-o", tmp_path / "out", *tiny, *flags)
    assert result.status == 0, result.err
    tagged = run("tag", "-m", tmp_path / "out", "--quiet", stdin="Ada Lovelace met him .\n")
    assert (tagged.status, tagged.err, tagged.out.count("\t")) == (0, "", 5)


@pytest.mark.parametrize("join", ["sum", "concat"])
def test_vectors(join: str, corpus: Path, tiny: list[str], vectors: Path, tmp_path: Path, run: Run) -> None:
    flags = ["--vectors", vectors, "--set", f"embedding.vectors_join={join}"]
    result = run("tag", "train", corpus, "-o", tmp_path / "out", *tiny, *flags)
    assert result.status == 0
    assert re.search(
        r"^vectors: 6 words of size 4, found for \d.*% of the training words, .*", result.err, re.MULTILINE
    )
    vectors.unlink()  # a model does not need them any more
    assert run("tag", "-m", tmp_path / "out", stdin="met\n").status == 0


def test_every_documented_training_flag_is_in_the_help(run: Run) -> None:
    documented = """--output --recipe --set --seed --device --threads --resume --force --quiet --json --dry-run
        --checkpoint-minutes --cell --layers --hidden --direction --dropout --vectors --chars --epochs --batch-size
        --optimizer --lr --clip --patience --time-limit --precision --target --scheme --crf --no-crf"""
    shown = run("tag", "train", "--help").out
    assert set(documented.split()) | {"-o", "-c"} <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown))


@pytest.mark.parametrize(
    ("verb", "documented"),
    [
        ("evaluate", "--model --split --json --errors --confusion --device --threads --quiet"),
        ("predict", "--model --input --output-format --probs --nbest --batch-tokens --device --threads --quiet"),
    ],
)
def test_every_documented_flag_is_in_the_help(verb: str, documented: str, run: Run) -> None:
    shown = run("tag", verb, "--help").out
    assert {*documented.split(), "-m"} <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown))
    assert f"a longer sentence is one by itself [default: {BATCH_TOKENS}]" in " ".join(shown.split())


# --- settings -----------------------------------------------------------------------------------------------------


def test_settings_weakest_first(corpus: Path, tmp_path: Path, run: Run) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("[encoder]\nhidden = 11\nlayers = 2\ndropout = 0.1\n[training]\nlr = 0.5\n")
    arguments = ["tag", "train", corpus, "--dry-run", "--quiet"]
    default = settings_of(run(*arguments))["encoder"]
    assert (default["hidden"], default["layers"], default["dropout"]) == (200, 1, 0.33)
    arguments += ["-c", recipe]
    found = settings_of(run(*arguments))
    assert (found["encoder"]["hidden"], found["encoder"]["layers"], found["training"]["lr"]) == (11, 2, 0.5)
    arguments += ["--set", "encoder.hidden=13", "--set", "encoder.layers=3"]
    found = settings_of(run(*arguments))["encoder"]
    assert (found["hidden"], found["layers"], found["dropout"]) == (13, 3, 0.1)
    found = settings_of(run(*arguments, "--hidden", "17", "--set", "encoder.hidden=19"))["encoder"]
    assert (found["hidden"], found["layers"], found["dropout"]) == (17, 3, 0.1)


def test_a_dry_run_is_a_recipe(corpus: Path, vectors: Path, tmp_path: Path, run: Run) -> None:
    flags = ["--cell", "gru", "--layers", "2", "--no-crf", "--vectors", vectors, "--target", "-1", "--lr", "0.01"]
    first = run("tag", "train", corpus, "--dry-run", "--quiet", *flags)
    assert settings_of(first)["embedding"]["word_size"] == 4  # as the vectors want it
    recipe = tmp_path / "again.toml"
    recipe.write_text(first.out, encoding="utf-8")
    assert run("tag", "train", "--dry-run", "--quiet", "-c", recipe) == first  # the data set is in it too
    assert run("tag", "train", corpus, "--dry-run", "--quiet", "-c", recipe) == first
    assert not (tmp_path / "out").exists()


def test_a_dry_run_shows_the_shape(corpus: Path, run: Run) -> None:
    result = run("tag", "train", corpus, "--dry-run", "--hidden", "7")
    assert result.status == 0
    assert "LSTM(" in result.out
    total, parts = re.search(r"# ([\d,]+) parameters: (.*)$", result.out).groups()  # type: ignore[union-attr]
    numbers = [int(number.replace(",", "")) for number in re.findall(r"\w+ ([\d,]+)(?:, |$)", parts)]
    assert len(numbers) == 3 and sum(numbers) == int(total.replace(",", ""))


def test_a_dry_run_needs_no_output_and_leaves_it_alone(corpus: Path, ner_model: Path, run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in ner_model.rglob("*")}
    assert run("tag", "train", corpus, "-o", ner_model, "--dry-run").status == 0
    assert {path: path.stat().st_mtime_ns for path in ner_model.rglob("*")} == before


def test_every_setting_flag_reaches_its_setting(corpus: Path, vectors: Path, run: Run) -> None:
    values = {
        "--cell": "gru", "--layers": 3, "--hidden": 5, "--direction": "forward", "--dropout": 0.125, "--chars": "lstm",
        "--vectors": str(vectors), "--epochs": 9, "--batch-size": 3, "--optimizer": "sgd", "--lr": 0.25, "--clip": 1.5,
        "--patience": 4, "--time-limit": 2.5, "--checkpoint-minutes": 0.5, "--precision": "fp32", "--seed": 12,
    }  # fmt: skip
    assert values.keys() == SETTING_FLAGS.keys()
    words = [word for flag, value in values.items() for word in (flag, value)]
    found = settings_of(run("tag", "train", corpus, "--dry-run", "--quiet", *words))
    for flag, value in values.items():
        section, name = SETTING_FLAGS[flag].split(".")
        assert found[section][name] == value, flag


# --- output directories, interruptions ----------------------------------------------------------------------------


def test_a_directory_in_use_is_refused_or_replaced(corpus: Path, tiny: list[str], tmp_path: Path, run: Run) -> None:
    output = tmp_path / "out"
    arguments = ["tag", "train", corpus, "-o", output, *tiny, "--quiet"]
    assert run(*arguments).status == 0
    before = (output / "weights.safetensors").read_bytes()
    result = run(*arguments, "--seed", "5")
    message = f"error: {output}: expected an empty output directory, found files; use --resume or --force\n"
    assert (result.status, result.out, result.err) == (1, "", message)
    assert (output / "weights.safetensors").read_bytes() == before
    assert run(*arguments, "--seed", "5", "--force").status == 0
    assert (output / "weights.safetensors").read_bytes() != before


@pytest.mark.parametrize("fault", [["--device", "cuda:99"], ["--vectors", "none.txt"], ["--target", "9"]], ids=" ".join)
def test_a_model_is_replaced_only_when_nothing_is_wrong(
    fault: list[str], corpus: Path, tiny: list[str], ner_model: Path, tmp_path: Path, run: Run
) -> None:
    output = Path(shutil.copytree(ner_model, tmp_path / "model"))
    result = run("tag", "train", corpus, "-o", output, *tiny, "--force", *fault)
    assert result.status == 1
    assert run("tag", "-m", output, stdin="Ada\n").status == 0


def test_resume_starts_where_there_is_nothing_to_resume(
    corpus: Path, tiny: list[str], tmp_path: Path, run: Run
) -> None:
    result = run("tag", "train", corpus, "-o", tmp_path / "out", *tiny, "--resume")
    assert result.status == 0
    assert "resuming" not in result.err
    assert seqkit.load(tmp_path / "out").tag("Ada").labels


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Have something happen at the loss of the `step`-th batch from now."""
    original, calls = TaggingTask.loss, iter(range(1, 1_000_000))

    def loss(self: TaggingTask, batch: Any) -> Any:
        if next(calls) == step:
            action()
        return original(self, batch)

    monkeypatch.setattr(TaggingTask, "loss", loss)


def test_ctrl_c_saves_and_says_how_to_resume(
    corpus: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    output = tmp_path / "my model"
    arguments = ["tag", "train", str(corpus), "-o", str(output), *tiny, "--epochs=3"]
    with monkeypatch.context() as patched:
        interrupt_at(3, patched, lambda: signal.raise_signal(signal.SIGINT))
        result = run(*arguments)
    assert (result.status, result.out) == (130, "")
    assert result.lines[-1] == (
        f"interrupted; a checkpoint is saved, go on with: seqkit tag train {corpus} -o '{output}' {' '.join(tiny)}"
        " --epochs=3 --resume"
    )
    unfinished = run("tag", "-m", output)
    message = f"error: {output}: expected a model directory with config.json, found an unfinished training run\n"
    assert (unfinished.status, unfinished.err) == (1, message)
    resumed = run(*arguments, "--resume")
    assert resumed.status == 0
    assert re.search(r"^resuming at epoch 2, step 3$", resumed.err, re.MULTILINE)

    whole = tmp_path / "whole"
    assert run("tag", "train", corpus, "-o", whole, *tiny, "--epochs=3").status == 0
    assert (whole / "weights.safetensors").read_bytes() == (output / "weights.safetensors").read_bytes()


def test_ctrl_c_before_the_first_checkpoint(
    corpus: Path, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seqkit.training.run.prepare", interrupt)
    result = run("tag", "train", corpus, "-o", tmp_path / "out", *tiny)
    assert (result.status, result.out) == (130, "")
    assert result.err == "interrupted before there was anything to save\n"


# --- evaluate -----------------------------------------------------------------------------------------------------


def test_evaluate_prints_a_report(corpus: Path, ner_model: Path, run: Run) -> None:
    result = run("tag", "evaluate", corpus, "-m", ner_model)
    assert (result.status, result.err) == (0, "")
    assert re.match(rf"{corpus} test\n\n +precision +recall +f1 +support\n", result.out)
    kept = json.loads((ner_model / "report.json").read_text())["scores"]["test"]
    assert f"accuracy {kept['accuracy']:.4f} of" in result.out
    assert f"{kept['f1']:.4f}" in result.out


def test_evaluate_json_keys(corpus: Path, ner_model: Path, run: Run) -> None:
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--json", "-")
    assert (result.status, result.err) == (0, "")
    found = json.loads(result.out)
    assert set(found) == COMMON_KEYS | SPAN_KEYS | {"strict"}
    about = {"task": "tag", "data": str(corpus), "split": "test", "sentences": 12, "model": str(ner_model)}
    assert {key: found[key] for key in about} == about
    assert (found["mode"], found["scheme"], found["seqkit_version"]) == ("default", "iob2", seqkit.__version__)
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / found["seconds"])
    assert all(set(scores) == {"precision", "recall", "f1", "support"} for scores in found["per_label"].values())
    assert {"PER", "LOC"} <= set(found["per_label"])
    kept = json.loads((ner_model / "report.json").read_text())["scores"]["test"]
    assert {key: found[key] for key in kept} == kept


def test_evaluate_json_keys_without_spans(corpus: Path, pos_model: Path, run: Run) -> None:
    found = json.loads(run("tag", "evaluate", corpus, "-m", pos_model, "--json", "-").out)
    assert set(found) == COMMON_KEYS | {"accuracy", "scheme", "per_label"}
    assert found["scheme"] == "none"


def test_evaluate_json_to_a_file(corpus: Path, ner_model: Path, tmp_path: Path, run: Run) -> None:
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--split", "dev", "--json", tmp_path / "dev.json")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(f"{corpus} dev\n")
    assert json.loads((tmp_path / "dev.json").read_text())["split"] == "dev"


def test_evaluate_one_file_as_a_whole(corpus: Path, ner_model: Path, run: Run) -> None:
    found = json.loads(run("tag", "evaluate", corpus / "train.conll", "-m", ner_model, "--json", "-").out)
    assert (found["split"], found["sentences"]) == ("all", 60)


def test_evaluate_says_what_is_held_out(corpus: Path, ner_model: Path, run: Run) -> None:
    arguments = ["tag", "evaluate", corpus / "train.conll", "-m", ner_model, "--split", "dev"]
    result = run(*arguments)
    assert (result.status, result.lines) == (
        0,
        [f"{corpus / 'train.conll'} has no dev split: the last tenth of train (6 of 60 sentences) is held out"],
    )
    assert run(*arguments, "--quiet").err == ""


def test_evaluate_another_column(corpus: Path, pos_model: Path, run: Run) -> None:
    arguments = ["tag", "evaluate", corpus, "-m", pos_model, "--json", "-"]
    own, other = (json.loads(run(*arguments, *extra).out) for extra in ([], ["--target", "2"]))
    assert own["accuracy"] > 0.0 == other["accuracy"]  # labels never seen in training count as errors
    assert own == {
        **json.loads(run(*arguments, "--target", "-2").out),
        **{k: own[k] for k in ("seconds", "tokens_per_second")},
    }


@pytest.mark.parametrize(
    "flags",
    [["--batch-tokens", "1"], ["--batch-tokens", "100000"], ["--device", "cpu", "--threads", "1"]],
    ids=" ".join,
)
def test_evaluation_flags_change_no_score(flags: list[str], corpus: Path, ner_model: Path, run: Run) -> None:
    plain = run("tag", "evaluate", corpus, "-m", ner_model)
    assert run("tag", "evaluate", corpus, "-m", ner_model, *flags) == plain


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_precision_of_evaluation(precision: str, corpus: Path, ner_model: Path, run: Run) -> None:
    assert run("tag", "evaluate", corpus, "-m", ner_model, "--precision", precision).status == 0


def test_errors_are_the_sentences_with_errors(corpus: Path, ner_model: Path, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "errors.tsv"
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--errors", file)
    assert (result.status, result.err) == (0, "")
    blocks = [block.split("\n") for block in file.read_text(encoding="utf-8").removesuffix("\n\n").split("\n\n")]
    model = seqkit.load(ner_model)
    expected = []
    for block in (corpus / "test.conll").read_text(encoding="utf-8").removesuffix("\n").split("\n\n"):
        rows = [row.split(" ") for row in block.split("\n")]
        guesses = model.tag([row[0] for row in rows]).labels
        if guesses != [row[2] for row in rows]:
            expected.append([f"{row[0]}\t{row[2]}\t{guess}" for row, guess in zip(rows, guesses, strict=True)])
    assert blocks == expected
    shown = run("tag", "evaluate", corpus, "-m", ner_model, "--errors", "-")
    assert (shown.status, shown.err, shown.out) == (0, "", file.read_text(encoding="utf-8"))


def test_no_errors_are_an_empty_file(ner_model: Path, tmp_path: Path, run: Run) -> None:
    tagged = run("tag", "-m", ner_model, "--input", "tokens", stdin="Ada met him .\nHe was in Paris .\n").out
    (tmp_path / "test.conll").write_text(tagged, encoding="utf-8")
    result = run("tag", "evaluate", tmp_path, "-m", ner_model, "--errors", tmp_path / "errors", "--json", "-")
    assert json.loads(result.out)["accuracy"] == 1.0
    assert (tmp_path / "errors").read_bytes() == b""


def test_confusion(corpus: Path, ner_model: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")
    result = run("tag", "evaluate", corpus, "-m", ner_model, "--confusion", tmp_path / "confusion.png")
    assert (result.status, result.err) == (0, "")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG\r\n")


# --- predict ------------------------------------------------------------------------------------------------------

SENTENCES = [["Ada", "Lovelace", "met", "him", "."], ["In", "Paris"], ["Who", "?"]]
INPUTS = {
    "text": "Ada Lovelace met him.\nIn Paris\nWho?\n",
    "tokens": "Ada Lovelace met him .\nIn  Paris\nWho ?\n",
    "conll": "".join("".join(f"{token} O\n" for token in tokens) + "\n" for tokens in SENTENCES),
    "conllu": "".join(
        "".join(f"{number}\t{token}{8 * (chr(9) + '_')}\n" for number, token in enumerate(tokens, start=1)) + "\n"
        for tokens in SENTENCES
    ),
    "jsonl": "".join(json.dumps({"tokens": tokens}) + "\n" for tokens in SENTENCES),
}


def expected_blocks(model: Path) -> str:
    tagger = seqkit.load(model)
    blocks = [zip(tokens, tagger.tag(tokens).labels, strict=True) for tokens in SENTENCES]
    return "".join("".join(f"{token}\t{label}\n" for token, label in block) + "\n" for block in blocks)


@pytest.mark.parametrize("name", INPUTS)
def test_inputs(name: str, ner_model: Path, tmp_path: Path, run: Run) -> None:
    expected = expected_blocks(ner_model)
    said = run("tag", "predict", "-m", ner_model, "--input", name, "--quiet", stdin=INPUTS[name])
    assert (said.status, said.out, said.err) == (0, expected, "")
    file = tmp_path / f"in.{ {'text': 'txt', 'tokens': 'tok'}.get(name, name) }"
    file.write_text(INPUTS[name], encoding="utf-8")
    extra = ["--input", name] if name == "tokens" else []  # which nothing tells from text
    found = run("tag", "predict", file, "-m", ner_model, "--quiet", *extra)
    assert (found.status, found.out, found.err) == (0, expected, "")


def test_bare_tokens_in_a_column_file(ner_model: Path, run: Run) -> None:
    bare = "\n\n".join("\n".join(tokens) for tokens in SENTENCES) + "\n"
    result = run("tag", "-m", ner_model, "--input", "conll", stdin=bare)
    assert result.out == expected_blocks(ner_model)


def test_what_a_file_was_taken_for_is_said_where_its_name_does_not(ner_model: Path, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "in.txt"
    file.write_text(INPUTS["conll"], encoding="utf-8")
    result = run("tag", "predict", file, "-m", ner_model)
    assert result.lines[0] == f"{file}: read as conll; --input says otherwise"
    assert result.out == expected_blocks(ner_model)


def test_no_verb_no_file_a_dash_and_predict_are_the_same(ner_model: Path, run: Run) -> None:
    ways = [["tag"], ["tag", "predict"], ["tag", "predict", "-"]]
    results = [run(*way, "-m", ner_model, "--quiet", stdin=INPUTS["text"]) for way in ways]
    assert [(result.status, result.out, result.err) for result in results] == [(0, expected_blocks(ner_model), "")] * 3


def test_several_files_and_standard_input_in_their_order(ner_model: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.txt").write_text(INPUTS["text"])
    (tmp_path / "b.jsonl").write_text(INPUTS["jsonl"])
    arguments = ["tag", "predict", tmp_path / "b.jsonl", "-", tmp_path / "a.txt", "-m", ner_model]
    result = run(*arguments, stdin="met\n")
    blocks = expected_blocks(ner_model)
    middle = f"met\t{seqkit.load(ner_model).tag(['met']).labels[0]}\n\n"
    assert (result.status, result.out) == (0, blocks + middle + blocks)
    assert re.fullmatch(r"7 sentences, 19 tokens in \d+\.\d\d s: [\d,]+ tokens/s\n", result.err)


def test_one_sentence_is_counted_as_one(ner_model: Path, run: Run) -> None:
    assert run("tag", "-m", ner_model, stdin="met\n").err.startswith("1 sentence, 1 token in ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_read_once_and_whole(ner_model: Path, tmp_path: Path, run: Run) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(INPUTS["text"]))
    writer.start()
    result = run("tag", "predict", pipe, "-m", ner_model, "--quiet")
    writer.join()
    assert (result.status, result.out, result.err) == (0, expected_blocks(ner_model), "")


def test_conll_output_with_probabilities(ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, "--probs", "--quiet", stdin=INPUTS["text"])
    record = seqkit.load(ner_model).tag("Ada Lovelace met him.", probs=True)
    block = result.out.split("\n\n")[0].split("\n")
    assert record.probs is not None
    rows = zip(record.sentence.tokens, record.labels, record.probs, strict=True)
    assert block == [f"{token}\t{label}\t{prob:.4f}" for token, label, prob in rows]


@pytest.mark.parametrize("probs", [False, True], ids=["plain", "probs"])
@pytest.mark.parametrize("nbest", [1, 3])
def test_jsonl_output(nbest: int, probs: bool, ner_model: Path, run: Run) -> None:
    flags = ["--nbest", str(nbest), *(["--probs"] if probs else [])]
    text = "  Ada  Lovelace met him in Paris."
    result = run("tag", "-m", ner_model, "--output-format", "jsonl", "--quiet", *flags, stdin=text)
    found = json.loads(result.out)
    record = seqkit.load(ner_model).tag(text, probs=probs, nbest=nbest)
    assert set(found) == {"text", "tokens", "spans"} | ({"nbest"} if nbest > 1 else set())
    assert found["text"] == text
    keys = {"text", "start", "end", "label"} | ({"prob"} if probs else set())
    assert all(set(token) == keys for token in found["tokens"])
    assert all(set(span) == keys for span in found["spans"])
    assert [token["label"] for token in found["tokens"]] == record.labels
    assert [(s["start"], s["end"], s["label"]) for s in found["spans"]] == [
        (s.start, s.end, s.label) for s in record.spans
    ]
    if nbest > 1:
        ranked = [alternative["prob"] for alternative in found["nbest"]]
        assert ranked == sorted(ranked, reverse=True) and len(ranked) == nbest and sum(ranked) <= 1 + 1e-6
        assert found["nbest"][0]["labels"] == record.labels


def test_conll_output_of_the_n_best(ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, "--nbest", "2", "--input", "tokens", "--quiet", stdin="Ada met\n\nhim\n")
    blocks = result.out.split("\n\n")
    assert re.match(r"# nbest = 1 prob = [01]\.\d{4}\nAda\t\S+\nmet\t\S+$", blocks[0])
    assert re.match(r"# nbest = 2 prob = [01]\.\d{4}\nAda\t\S+\nmet\t\S+$", blocks[1])
    assert re.match(r"\n# nbest = 1 prob = [01]\.\d{4}\nhim\t\S+$", blocks[2])  # after the empty line's block
    first = [float(block.strip().split("\n")[0].split(" = ")[2]) for block in blocks[:2]]
    assert first[0] >= first[1]


@pytest.mark.parametrize("flags", [["--probs"], ["--nbest", "2"], ["--probs", "--nbest", "2"]], ids=" ".join)
@pytest.mark.parametrize("output_format", ["conll", "jsonl", "inline"])
def test_every_output_of_a_tagger_without_crf(output_format: str, flags: list[str], pos_model: Path, run: Run) -> None:
    arguments = ["tag", "-m", pos_model, "--output-format", output_format, "--quiet", *flags]
    result = run(*arguments, stdin="Ada met him.\n\n.\n")
    assert (result.status, result.err) == (0, "")
    assert result.out.count("Ada") >= 1


def test_inline_output(corpus: Path, ner_model: Path, run: Run) -> None:
    text = "Ada Lovelace  met him in Paris ."
    record = seqkit.load(ner_model).tag(text)
    expected, position = "", 0
    for span in record.spans:
        expected += f"{text[position : span.start]}[{span.text}]{span.label}"
        position = span.end
    result = run("tag", "-m", ner_model, "--output-format", "inline", "--quiet", stdin=text)
    assert (result.status, result.out, result.err) == (0, expected + text[position:] + "\n", "")


def test_inline_output_without_spans(pos_model: Path, run: Run) -> None:
    labels = seqkit.load(pos_model).tag(["Ada", "met"]).labels
    result = run("tag", "-m", pos_model, "--output-format", "inline", "--quiet", stdin="Ada met\n")
    assert result.out == f"Ada_{labels[0]} met_{labels[1]}\n"


@pytest.mark.parametrize(
    "flags",
    [
        ["--batch-tokens", "1"],
        ["--batch-tokens", "3"],
        ["--threads", "1"],
        ["--device", "cpu"],
        ["--precision", "auto"],
    ],
    ids=" ".join,
)
def test_prediction_flags_change_no_label(flags: list[str], ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, "--quiet", *flags, stdin=INPUTS["text"])
    assert (result.status, result.out, result.err) == (0, expected_blocks(ner_model), "")


def test_bf16_tags_all_tokens(ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, "--precision", "bf16", "--quiet", stdin=INPUTS["text"])
    rows = [row.split("\t")[0] for row in result.out.split("\n") if row]
    assert (result.status, result.err, rows) == (0, "", [token for tokens in SENTENCES for token in tokens])


def test_threads_are_set(ner_model: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    import torch

    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    run("tag", "-m", ner_model, "--threads", "3", stdin="Ada\n")
    run("tag", "-m", ner_model, stdin="Ada\n")
    assert asked == [3]


def test_whoever_types_sees_each_answer_at_once(
    ner_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    from seqkit.cli.main import main

    seen: list[str] = []
    said = ""

    def typed() -> Iterator[bytes]:
        nonlocal said
        said = capsys.readouterr().err
        for line in (b"Ada\n", b"met him\n"):
            yield line
            seen.append(capsys.readouterr().out)

    class Terminal:
        buffer = typed()

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["tag", "-m", str(ner_model)]) == 0
    assert [re.sub(r"\t.*", "", block) for block in seen] == ["Ada\n\n", "met\nhim\n\n"]
    assert said == "reading text from the terminal; Ctrl-D ends it\n"
    assert capsys.readouterr() == ("", "")
