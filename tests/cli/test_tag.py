"""``seqkit tag train``: every flag runs, settings add up, runs can be resumed."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqkit
from seqkit.cli.options import SETTING_FLAGS
from seqkit.config import BATCH_TOKENS
from seqkit.training.learner import RecordLearner

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
        ["--target", "-1"],
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
        ["--set", "training.average=0.9", "--set", "head.lm_loss=0.1"],
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
        r"^pretrained vectors: 6 words of size 4, for \d.*% of the training words, .*", result.err, re.MULTILINE
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
        ("evaluate", "--model --split --target --label-column --json --errors --confusion --device --threads --quiet"),
        ("predict", "--model --input --output-format --probs --nbest --batch-tokens --device --threads --quiet"),
    ],
)
def test_every_documented_flag_is_in_the_help(verb: str, documented: str, run: Run) -> None:
    shown = run("tag", verb, "--help").out
    assert {*documented.split(), "-m"} <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown))
    assert f"a longer record is a batch of its own [default: {BATCH_TOKENS}]" in " ".join(shown.split())


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


@pytest.mark.parametrize(
    ("flags", "counts"),
    [
        (
            ["--hidden=1000000", "--layers=9", "--chars=none"],
            "200,000,978,034,140 parameters: input 33,800, encoder 200,000,944,000,000, head 34,000,340",
        ),
        (
            ["--set=embedding.word_size=1000000", "--chars=none"],
            "1,938,330,340 parameters: input 338,000,000, encoder 1,600,323,200, head 7,140",
        ),
    ],
)
def test_a_dry_run_takes_no_memory_for_the_model(flags: list[str], counts: str, corpus: Path, run: Run) -> None:
    result = run("tag", "train", corpus, "--dry-run", "--quiet", *flags)
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[-1] == f"# {counts}"


def test_a_dry_run_refuses_a_precision_that_the_device_lacks(corpus: Path, run: Run) -> None:
    result = run("tag", "train", corpus, "--dry-run", "--quiet", "--device=cpu", "--precision=fp16")
    assert (result.status, result.out) == (1, "")
    assert result.err == "error: expected precision fp32, bf16 or auto on the CPU, found fp16\n"


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
        "--init-from": "", "--freeze": 0, "--on-nan": "skip", "--format": "conll", "--columns": "word,pos,label",
        "--token-column": "word", "--encoding": "utf-8", "--span-borders": "widen", "--splitter": "english",
    }  # fmt: skip
    assert values.keys() | {"--deterministic"} == SETTING_FLAGS.keys()
    words = [word for flag, value in values.items() for word in (flag, value)]
    found = settings_of(run("tag", "train", corpus, "--dry-run", "--quiet", *words))
    for flag, value in values.items():
        section, name = SETTING_FLAGS[flag].split(".")
        assert found[section][name] == value, flag
    assert found["training"]["deterministic"] is False
    found = settings_of(run("tag", "train", corpus, "--dry-run", "--quiet", "--deterministic"))
    assert found["training"]["deterministic"] is True  # not beside --time-limit


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
    original, calls = RecordLearner.compute, iter(range(1, 1_000_000))

    def compute(self: RecordLearner, batch: Any, carried: Any = None) -> Any:
        if next(calls) == step:
            action()
        return original(self, batch, carried)

    monkeypatch.setattr(RecordLearner, "compute", compute)


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
        f"interrupted; a checkpoint is saved, continue with: seqkit tag train {corpus} -o '{output}' {' '.join(tiny)}"
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
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seqkit.training.run.prepare", interrupt)
    result = run("tag", "train", corpus, "-o", tmp_path / "out", *tiny)
    assert (result.status, result.out) == (130, "")
    assert result.err == "interrupted before the first checkpoint\n"
