"""The command line as a whole: help, versions, exit statuses, streams."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import seqkit
from seqkit.cli.main import cli
from seqkit.corpora.cards import list_cards
from seqkit.nn.recurrent import CELLS

Run = Callable[..., Any]  # the fixture `run`

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "LC_ALL": "C", "PYTHONWARNINGS": "error"}


def levels() -> list[list[str]]:
    """The arguments that lead to each command."""
    found: list[list[str]] = [[]]
    for place in found:
        command: click.Command = cli
        for name in place:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), name) or command
        if isinstance(command, click.Group):
            found += [[*place, name] for name in command.list_commands(click.Context(command))]
    return found


LEVELS = levels()


def process(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")} | options
    words = [sys.executable, "-m", "seqkit", *map(str, arguments)]
    return subprocess.Popen(words, **{"env": ENVIRONMENT, **pipes})


# --- help and version ---------------------------------------------------------------------------------------------


def test_all_commands_are_there() -> None:
    verbs = {
        "tag": ["train", "evaluate", "predict", "show"],
        "classify": ["train", "evaluate", "predict"],
        "lm": ["train", "evaluate", "score", "sample"],
        "generate": ["train", "sample", "evaluate"],
        "translate": ["train", "evaluate", "predict", "show"],
        "transcribe": ["train", "evaluate", "predict", "show"],
        "lab": ["gradients", "memory", "compare", "gates"],
        "data": ["list", "fetch", "formats", "check", "stats", "convert"],
    }
    expected = [
        [],
        *([name] for name in verbs),
        ["info"],
        ["bench"],
        *([group, verb] for group, names in verbs.items() for verb in names),
    ]
    assert sorted(LEVELS) == sorted(expected)


@pytest.mark.parametrize("place", LEVELS, ids=" ".join)
def test_help_on_every_level(place: list[str], run: Run) -> None:
    long, short = run(*place, "--help"), run(*place, "-h")
    assert (long.status, long.err) == (0, "")
    assert long == short
    assert long.out.startswith(f"Usage: {' '.join(['seqkit', *place])} ")
    assert "..." not in long.out.partition("\n")[2]  # no sentence is cut short
    assert max(map(len, long.out.splitlines())) <= 100


def test_help_of_the_whole_shows_every_command_and_how_to_begin(run: Run) -> None:
    out = run("--help").out
    assert re.findall(r"^  (\w+) +\w", out.partition("Commands:")[2], re.MULTILINE) == [
        *("tag", "classify", "lm", "generate", "translate", "transcribe", "lab", "data", "info", "bench")
    ]
    assert "seqkit tag train sample-ner -c sample-ner -o model" in out


@pytest.mark.parametrize(
    "place", [["--help"], ["tag", "--help"], ["tag", "train", "-h"], ["data", "--help"]], ids=" ".join
)
def test_help_loads_nothing_heavy(place: list[str]) -> None:
    code = f"""
import sys
from seqkit.cli.main import main
status = main({place!r})
heavy = {{"torch", "numpy", "sklearn", "seqeval", "tokenizers", "safetensors", "rich", "pooch", "matplotlib"}}
print(*sorted(heavy & set(sys.modules)), file=sys.stderr, end="")
sys.exit(status)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("Usage: seqkit ")


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.status, result.out, result.err) == (0, f"seqkit, version {seqkit.__version__}\n", "")


def test_tab_completion_knows_the_commands(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    for name, value in {"_SEQKIT_COMPLETE": "bash_complete", "COMP_WORDS": "seqkit tag ", "COMP_CWORD": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 0


# --- usage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [[], ["tag"], ["data"]], ids=" ".join)
def test_a_group_alone_shows_its_help_and_is_wrong_usage(place: list[str], run: Run) -> None:
    result = run(*place)
    assert (result.status, result.out) == (2, "")
    assert result.err == run(*place, "--help").out


@pytest.mark.parametrize(
    ("arguments", "place", "message"),
    [
        (
            ["tga"],
            "",
            "expected a command among tag, classify, lm, generate, translate, transcribe, lab, data, info, bench, "
            "found 'tga'; did you mean 'tag'?",
        ),
        (
            ["xyz"],
            "",
            "expected a command among tag, classify, lm, generate, translate, transcribe, lab, data, info, bench, "
            "found 'xyz'",
        ),
        (
            ["tag", "trian"],
            " tag",
            "expected a command among train, evaluate, predict, show, found 'trian'; did you mean 'train'?",
        ),
        (["tag", "-m", "none", "evaluate"], " tag", "expected 'evaluate' before the options: seqkit tag evaluate …"),
        (["tag", __file__], " tag", f"expected a verb before the file: seqkit tag predict {__file__} …"),
        (
            ["tag", "train", "x", "-o", "x", "--resume", "--force"],
            " tag train",
            "--resume and --force exclude each other.",
        ),
        (["tag", "predict"], " tag predict", "Missing option '-m' / '--model'."),
        (["tag", "evaluate", "-m", "model"], " tag evaluate", "Missing argument 'DATA'."),
        (["tag", "evaluate", "sample-ner"], " tag evaluate", "Missing option '-m' / '--model'."),
        (["tag", "train", "sample-ner"], " tag train", "Missing option '-o' / '--output'."),
        (["tag", "train", "sample-ner", "-o", ""], " tag train", "Missing option '-o' / '--output'."),
        (["tag", "train", "-o", "x"], " tag train", "Missing argument 'DATA', and no recipe names a data set."),
        (
            ["tag", "train", "sample-ner", "--threads", "0"],
            " tag train",
            "Invalid value for '--threads': expected at least 1, found 0",
        ),
        (
            ["tag", "train", "sample-ner", "--threads", "1025"],
            " tag train",
            "Invalid value for '--threads': expected at most 1024, found 1025",
        ),
        (
            ["tag", "-m", "x", "--batch-tokens", "2147483648"],
            " tag predict",
            "Invalid value for '--batch-tokens': expected at most 2147483647, found 2147483648",
        ),
        (
            ["tag", "-m", "x", "--nbest", "1001"],
            " tag predict",
            "Invalid value for '--nbest': expected at most 1000, found 1001",
        ),
        (
            ["tag", "-m", "x", "--nbest", "-1"],
            " tag predict",
            "Invalid value for '--nbest': expected at least 1, found -1",
        ),
        (
            ["tag", "-m", "x", "--batch-tokens", "0"],
            " tag predict",
            "Invalid value for '--batch-tokens': expected at least 1, found 0",
        ),
        (
            ["tag", "train", "x", "--epochs", "many"],
            " tag train",
            "Invalid value for '--epochs': 'many' is not a valid integer.",
        ),
        (
            ["tag", "train", "x", "--cell", "lsmt"],
            " tag train",
            f"Invalid value for '--cell': 'lsmt' is not one of {', '.join(map(repr, CELLS))}.",
        ),
        (
            ["tag", "evaluate", "x", "-m", "x", "--json", "-", "--errors", "-"],
            " tag evaluate",
            "--json and --errors cannot both go to standard output.",
        ),
        (["info"], " info", "Missing argument 'DIR'."),
        (["bench"], " bench", "Missing argument 'FILE'."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(arguments: list[str], place: str, message: str, run: Run) -> None:
    result = run(*arguments)
    assert (result.status, result.out) == (2, "")
    usage, hint, fault = result.lines
    assert usage.startswith(f"Usage: seqkit{place} [OPTIONS]")
    assert hint == f"Try 'seqkit{place} --help' for help."
    assert fault == f"error: {message}"


def test_a_misspelled_option_is_named(run: Run) -> None:
    result = run("tag", "train", "sample-ner", "--epcohs", "3")
    assert (result.status, result.out) == (2, "")
    assert re.match(r"error: No such option:? '?--epcohs", result.lines[-1])
    assert "--epochs" in result.lines[-1]


# --- faults that are nobody's data --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (
            MemoryError(),
            "out of memory; try a smaller --batch-tokens, --batch-size or --hidden",
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
            "out of memory; try a smaller --batch-tokens, --batch-size or --hidden",
        ),
        (OSError(28, "No space left on device"), "standard output cannot be written: No space left on device"),
        (PermissionError(13, "Permission denied", "a.json"), "a.json: Permission denied"),
        (seqkit.SeqkitError("one\r\ntwo\u2028three\x1c\x85four"), r"one two\u2028three\x1c\u0085four"),
        (seqkit.SeqkitError("bad \udcff name"), "bad \\udcff name"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_fault_of_the_environment_is_one_line(
    raised: Exception, message: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("seqkit.model.loading.load", fail)
    result = run("tag", "-m", "model")
    assert (result.status, result.out, result.err) == (1, "", f"error: {message}\n")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("seqkit.model.loading.load", fail)
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2 shapes cannot be multiplied$"):
        run("tag", "-m", "model")


# --- streams and signals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbuffered", ["", "1"])  # with "1" a write may end early, and only the next one fails
def test_a_closed_pipe_ends_quietly(pos_model: Path, tmp_path: Path, unbuffered: str) -> None:
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered}
    file = tmp_path / "much.txt"
    file.write_text("né\n" * 50_000, encoding="utf-8")  # far more than a pipe holds
    with process("tag", "predict", file, "-m", pos_model, "--threads", 1, env=environment) as running:
        assert running.stdout is not None and running.stderr is not None
        first = running.stdout.readline().decode("utf-8")  # UTF-8 in the C locale too
        running.stdout.close()
        assert (running.stderr.read(), running.wait(timeout=60)) == (b"", 0)
    assert first.split("\t")[0] == "né"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_interrupted_prediction_ends_quietly(number: int, status: int, pos_model: Path) -> None:
    with process("tag", "-m", pos_model, "--input", "tokens", "--threads", 1) as running:
        assert running.stdin is not None and running.stdout is not None and running.stderr is not None
        running.stdin.write(b"Ada\n" * 5000)
        running.stdin.flush()
        assert running.stdout.readline().startswith(b"Ada\t")  # it has begun, and waits for more
        running.send_signal(number)
        assert running.stdout.read().startswith(b"\n")
        assert (running.stderr.read(), running.wait(timeout=60)) == (b"", status)


def test_interrupted_before_it_begins(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seqkit.model.loading.load", interrupt)
    result = run("tag", "-m", "model")
    assert (result.status, result.out, result.err) == (130, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line(pos_model: Path) -> None:
    with open("/dev/full", "wb") as full:
        running = process("info", pos_model, stdout=full)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (1, b"error: standard output cannot be written: No space left on device\n")


@pytest.mark.parametrize(
    "verb", [["info"], ["tag", "predict", "FILE", "-m"], ["tag", "predict", "FILE", "--workers=2", "-m"]]
)
def test_results_that_go_nowhere_are_a_fault(verb: list[str], pos_model: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Ada\n")
    arguments = [str(tmp_path / "in.txt") if word == "FILE" else word for word in verb]
    words = [sys.executable, "-m", "seqkit", *arguments, str(pos_model)]
    found = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *words], env=ENVIRONMENT, timeout=60, check=False, stderr=subprocess.PIPE
    )
    message = b"error: standard output cannot be written: Bad file descriptor\n"
    assert (found.returncode, found.stderr) == (1, message)


def without_streams(redirections: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    """Run seqkit with some of its streams closed."""
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "seqkit", *map(str, words)]
    return subprocess.run(command, env=ENVIRONMENT, timeout=60, check=False, capture_output=True)


def test_a_process_without_other_streams(pos_model: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Ada\n")
    found = without_streams("<&- 2>&-", "tag", "predict", tmp_path / "in.txt", "-m", pos_model)
    assert (found.returncode, found.stdout[:4], found.stderr) == (0, b"Ada\t", b"")
    found = without_streams("<&- 2>&-", "tag", "predict", "-m", pos_model)
    assert (found.returncode, found.stdout, found.stderr) == (1, b"", b"")


@pytest.mark.parametrize(
    "words",
    [["tag", "-m"], ["tag", "predict", "-", "--workers=2", "-m"], ["data", "convert", "--input=conll", "-"]],
    ids="-".join,
)
def test_a_closed_standard_input_is_a_fault(words: list[str], pos_model: Path) -> None:
    found = without_streams("<&-", *words, "-" if "convert" in words else pos_model)
    message = b"error: <stdin>: cannot be read: Bad file descriptor\n"
    assert (found.returncode, found.stdout, found.stderr) == (1, b"", message)


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="needs /dev/stdin")
@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["tag", "predict", "/dev/stdin"], "/dev/stdin: cannot be read: No such device or address"),
        (["tag", "predict", "--input=conll", "/dev/fd/0"], "/dev/fd/0: cannot be read: No such device or address"),
        (
            ["tag", "evaluate", "sample-ner", "--json=/dev/stdout"],
            "/dev/stdout: cannot be written: No such device or address",
        ),
    ],
)
def test_the_name_of_a_closed_stream_is_no_way_around(words: list[str], fault: str, pos_model: Path) -> None:
    found = without_streams("<&- >&-", *words, "-m", pos_model)
    assert (found.returncode, found.stderr.decode().splitlines()[-1]) == (1, f"error: {fault}")


def test_json_on_standard_output_is_nothing_but_json(run: Run) -> None:
    result = run("data", "list", "--json", "-")
    assert (result.status, result.err) == (0, "")
    assert {row["name"] for row in json.loads(result.out)} == {card.name for card in list_cards()}


def test_numpy_does_not_warn_of_small_numbers_that_are_flushed() -> None:
    code = (
        "import numpy as np\nfrom seqkit.serving.process import prepare_torch\nprepare_torch(1)\n"
        "print(*(np.finfo(kind).max for kind in (np.float32, np.float64)))"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["tag", "predict"], ["tag", "train", "sample-ner", "--epochs=1", "--hidden=2"]])
def test_a_log_that_cannot_be_written_is_no_fault(arguments: list[str], pos_model: Path, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    place = ["-m", pos_model] if "predict" in arguments else ["-o", tmp_path / "m", "--batch-size=256"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "seqkit", *arguments, *place],
            input="Ada met him\n",
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert done.returncode == 0
    assert done.stdout
    assert "predict" in arguments or (tmp_path / "m" / "config.json").is_file()


# --- names of earlier versions ------------------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A folder of text."""
    for split in ("train", "dev"):
        (tmp_path / f"{split}.txt").write_text("to be or not to be\n" * 6)
    return tmp_path


SMALL = ("--hidden=4", "--epochs=1", "--batch-size=2", "--set=embedding.word_size=4", "--set=head.baseline=0")


def test_a_flag_puts_right_what_does_not_fit_without_it(lines: Path, run: Run) -> None:
    arguments = ["lm", "train", lines, "--dry-run", "--device=cpu", "--set", "training.keep=last"]
    fault = "keep last needs patience 0: that waits for a better dev score"
    result = run(*arguments, "--patience=3")
    assert (result.status, result.lines[-1]) == (2, f"error: command line: training: {fault}")
    recipe = lines / "patient.toml"
    recipe.write_text("task = 'lm'\n[training]\npatience = 3\n", encoding="utf-8")
    result = run(*arguments, "-c", recipe)
    assert (result.status, result.lines[-1]) == (2, f"error: --set: training: {fault}")
    result = run(*arguments, "-c", recipe, "--patience=0")
    assert result.status == 0 and '\nkeep = "last"\n' in result.out and "\npatience = 0\n" in result.out


def test_old_names_are_read_with_a_note_that_gives_the_new_one(lines: Path, run: Run) -> None:
    recipe = lines / "old.toml"
    recipe.write_text("task = 'lm'\n[encoder]\njoin = 'top'\n[training]\nvariable_window = true\n", encoding="utf-8")
    arguments = ["lm", "train", lines, "--dry-run", "--device=cpu", "--window=7"]
    result = run(*arguments, "-c", recipe, "--set", "head.activation=2", "--set", "encoder.cell=cbow")
    assert result.status == 0
    assert [line for line in result.lines if line.startswith("note: ")] == [
        f"note: {recipe}: encoder.join=top is now encoder.concat=final",
        f"note: {recipe}: training.variable_window is now training.variable_bptt",
        "note: --window is now --bptt",
        "note: head.activation is now head.ar",
        "note: encoder.cell=cbow is now encoder.cell=running_sum",
    ]
    for setting in ("bptt = 7", "variable_bptt = true", 'concat = "final"', 'cell = "running_sum"', "ar = 2.0"):
        assert f"\n{setting}\n" in result.out
    assert "--window" not in run("lm", "train", "--help").out
    again = run("lm", "train", lines, "--dry-run", "--device=cpu", "--bptt=7")
    assert "note: " not in again.err
    assert run(*arguments, "--quiet").err == ""


def test_a_flag_with_an_old_value_is_read(lines: Path, run: Run) -> None:
    result = run("lm", "train", lines, "--dry-run", "--device=cpu", "--cell=cbow")
    assert result.status == 0
    assert 'cell = "running_sum"' in result.out
    assert [line for line in result.lines if line.startswith("note: ")] == [
        "note: encoder.cell=cbow is now encoder.cell=running_sum"
    ]


def test_an_old_flag_has_the_faults_of_the_new_one(lines: Path, run: Run) -> None:
    result = run("lm", "train", lines, "-o", lines / "m", "--window=0")
    assert (result.status, result.lines[-1]) == (2, "error: command line: training.bptt: expected at least 1, found 0")
    assert run("tag", "train", lines, "-o", lines / "m", "--window=3").status == 2  # which a tagger never had


def test_a_model_that_was_saved_with_old_names_is_used(lines: Path, run: Run) -> None:
    model = lines / "m"
    assert run("lm", "train", lines, "-o", model, "--device=cpu", "--quiet", "--bptt=5", *SMALL).status == 0
    before = run("lm", "score", "-m", model, "--quiet", stdin="to be\n")
    config = json.loads((model / "config.json").read_text())
    settings = config["settings"]
    settings["training"]["window"] = settings["training"].pop("bptt")
    settings["encoder"]["join"] = {"final": "top", "layerwise": "deep"}[settings["encoder"].pop("concat")]
    settings["head"]["activation"] = settings["head"].pop("ar")
    del config["checksum"]
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    config["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    (model / "config.json").write_text(json.dumps(config, indent=2))
    assert run("lm", "score", "-m", model, "--quiet", stdin="to be\n") == before
    assert before.status == 0 and before.out.endswith("\tto be\n")
    assert "\nbptt = 5\n" in run("info", model).out


@pytest.mark.parametrize("flags", [["--window", "7", "--bptt", "9"], ["--bptt", "9", "--window", "7"]])
def test_an_old_flag_beside_its_present_one_is_refused(flags: list[str], run: Run) -> None:
    result = run("lm", "train", "sample-sentences", "--dry-run", *flags)
    assert result.status == 2
    assert result.lines[-1] == "error: --window is now --bptt, and both are given; keep --bptt."
