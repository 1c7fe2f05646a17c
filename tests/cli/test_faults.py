"""Bad input gives one line that says what is wrong and where."""

from __future__ import annotations

import gzip
import hashlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]  # the fixture `run`

GOOD = b"Ada B-PER\nmet O\n\nhim O\n.  O\n\n" * 3


class Place:
    """A folder to break things in."""

    def __init__(self, folder: Path, model: Path, corpus: Path, flags: list[str]) -> None:
        self.folder = folder
        self.model = model
        self.corpus = corpus
        self.flags = flags

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def train(self, content: bytes | str, *flags: object) -> list[object]:
        return ["tag", "train", self.file("train.conll", content), "-o", self.folder / "out", *self.flags, *flags]

    def recipe(self, content: str) -> list[object]:
        return ["tag", "train", self.corpus, "-o", self.folder / "out", "-c", self.file("recipe.toml", content)]

    def predict(self, file: object, *flags: object) -> list[object]:
        return ["tag", "predict", file, "-m", self.model, *flags]


FAULTS: dict[str, tuple[Callable[[Place], list[object]], str]] = {
    "a row with too few columns": (
        lambda p: p.train(GOOD + b"Ada B-PER\nmet\n"),
        r"train\.conll:20: expected 2 columns, found 1",
    ),
    "a row with too many columns": (
        lambda p: p.train(b"Ada\tO\nmet\tO\tO\n"),
        r"train\.conll:2: expected 2 columns, found 3",
    ),
    "no label column": (
        lambda p: p.train(b"Ada\nmet\n"),
        r"train\.conll:1: expected at least 2 columns \(token and label\), found 1",
    ),
    "Latin-1": (
        lambda p: p.train(GOOD + b"Andr\xe9 B-PER\n"),
        r"train\.conll:19: expected UTF-8 text, found byte 0xe9 at position 4 \(try --encoding latin-1\)",
    ),
    "Latin-1 to predict": (
        lambda p: p.predict(p.file("a.txt", b"Ada met\nAndr\xe9 .\n")),
        r"a\.txt:2: expected UTF-8 text, found byte 0xe9 at position 4 \(try --encoding latin-1\)",
    ),
    "UTF-16": (
        lambda p: p.predict(p.file("a.txt", "Ada met\n".encode("utf-16"))),
        r"a\.txt:1: expected UTF-8 text, found UTF-16; --encoding utf-16 reads it",
    ),
    "a packed file": (
        lambda p: p.predict(p.file("a.txt.gz", gzip.compress(b"Ada met\n")[:-5])),
        r"a\.txt\.gz: the compressed data are damaged: Compressed file ended before .*",
    ),
    "UTF-16 to train on": (
        lambda p: p.train(GOOD.decode().encode("utf-16-le") + b"\xff"),
        r"train\.conll:\d+: expected .*",
    ),
    "binary rubbish as text": (
        lambda p: p.predict(p.file("a.txt", bytes(range(256)) * 4)),
        r"a\.txt:\d+: expected UTF-8 text, found byte 0x80 at position \d+ \(try --encoding latin-1\)",
    ),
    "binary rubbish as columns": (
        lambda p: p.train(hashlib.sha512(b"").digest() * 9),
        r"train\.conll:1: expected UTF-8 text, found byte 0x\w\w at position \d+ \(try --encoding latin-1\)",
    ),
    "a cut vectors file": (
        lambda p: p.train(GOOD, "--vectors", p.file("v.txt", b"ada 0.1 0.2 0.3\nmet 0.1 0.2 0.3\nhim 0.1 0.")),
        r"v\.txt:3: expected 3 values, found 2",
    ),
    "vectors of several sizes": (
        lambda p: p.train(
            GOOD, "--vectors", p.file("v.txt", b"ada 0.1 0.2 0.3\nmet 0.1 0.2 0.3 0.4\nhim 0.1 0.2 0.3\n")
        ),
        r"v\.txt:2: expected 3 values, found 4",
    ),
    "vectors that are no numbers": (
        lambda p: p.train(GOOD, "--vectors", p.file("v.txt", b"ada 0.1 0.2\nmet 0.1 nan\n")),
        r"v\.txt:2: expected finite numbers, found 'nan'",
    ),
    "no vectors file": (
        lambda p: p.train(GOOD, "--vectors", p.folder / "none.txt"),
        r"none\.txt: cannot be read: No such file or directory",
    ),
    "an empty training file": (lambda p: p.train(b""), r"train\.conll: no sentences found"),
    "a training file of blank lines": (
        lambda p: p.train(b"\n \n\t\n\r\n"),
        r"train\.conll: no sentences found",
    ),
    "a single sentence": (
        lambda p: p.train(b"Ada B-PER\nmet O\n"),
        r"train\.conll: expected at least 2 sentences, one of them to hold out as dev, found 1",
    ),
    "one label only": (
        lambda p: p.train(b"Ada O\nmet O\n\n" * 4),
        r"expected at least two different labels in the last column of the training data, found only 'O'",
    ),
    "no such column": (
        lambda p: p.train(GOOD, "--target", "upos"),
        r"train\.conll:1: expected a label column 'upos', found columns: 0, 1; they have no names, .*",
    ),
    "a name where columns have none": (
        lambda p: p.train(GOOD, "--target", "ner"),
        r"train\.conll:1: expected a label column 'ner', found columns: .* a number \(--target -1 is the last one\)",
    ),
    "a column out of range": (
        lambda p: p.train(GOOD, "--target", "-3"),
        r"train\.conll:1: expected a label column '-3', found columns: 0, 1",
    ),
    "labelled texts": (
        lambda p: ["tag", "train", p.file("a.tsv", b"good\tI like it\nbad\tI do not\n"), "-o", p.folder / "out"],
        r"a\.tsv: expected tokens with labels, found labelled texts",
    ),
    "plain text to train on": (
        lambda p: ["tag", "train", p.file("a.txt", b"Ada met him .\nHe met Ada in London .\n"), "-o", p.folder / "out"],
        r"a\.txt:1: expected a label column, found columns: none; if it has labels, name its --format",
    ),
    "an empty dev split": (
        lambda p: [
            *p.train(GOOD)[:2],
            (p.file("d/train.conll", GOOD), p.file("d/dev.conll", b"\n"))[0].parent,
            "-o",
            p.folder / "out",
        ],
        r"dev\.conll: no sentences found",
    ),
    "a test split that cannot be scored": (
        lambda p: [
            *p.train(GOOD)[:2],
            (p.file("d/train.conll", GOOD), p.file("d/test.conll", b"Ada O\nmet\n"))[0].parent,
            "-o",
            p.folder / "out",
        ],
        r"test\.conll:2: expected 2 columns, found 1",
    ),
    "an unknown data set": (
        lambda p: ["tag", "train", "wnut7", "-o", p.folder / "out"],
        r"no data set, folder or file is called 'wnut7'; did you mean 'wnut17'\?",
    ),
    "a missing file": (
        lambda p: ["tag", "train", p.folder / "none.conll", "-o", p.folder / "out"],
        r"none\.conll: no such file or folder",
    ),
    "a folder without splits": (
        lambda p: ["tag", "train", p.folder, "-o", p.folder / "out"],
        r"no files named train, dev or test in this folder",
    ),
    "a pipe to train on": (
        lambda p: ["tag", "train", "/dev/null", "-o", p.folder / "out"],
        r"/dev/null: a pipe or device can be read only once, and training needs its data several times; "
        "write the data to a file first",
    ),
    "a missing file to predict": (
        lambda p: p.predict(p.folder / "none.txt"),
        r"none\.txt: cannot be read: No such file or directory",
    ),
    "a missing file to predict, its format said": (
        lambda p: p.predict(p.folder / "none.txt", "--input", "conllu"),
        r"none\.txt: cannot be read: No such file or directory",
    ),
    "a folder to predict": (lambda p: p.predict(p.folder), r"cannot be read: Is a directory"),
    "labelled texts to predict": (
        lambda p: p.predict(p.file("a.csv", b"good,I like it\n")),
        r"a\.csv: the format is csv, but this command reads text, tokens, document, .*, jsonl; say which with --input",
    ),
    "faulty JSON": (
        lambda p: p.predict(p.file("a.jsonl", b'{"text": "Ada"\n')),
        r"a\.jsonl:1: invalid JSON at character \d+",
    ),
    "JSON without text": (
        lambda p: p.predict(p.file("a.jsonl", b'{"sentence": "Ada"}\n')),
        r"""a\.jsonl:1: expected "tokens" or "text", found 'sentence'""",
    ),
    "faulty CoNLL-U": (
        lambda p: p.predict(p.file("a.conllu", b"1\tAda\t_\n")),
        r"a\.conllu:1: expected 10 tab-separated columns, found 3",
    ),
    "a tab inside a token": (
        lambda p: p.predict(p.file("a.jsonl", b'{"tokens": ["Ada\\tB"]}\n')),
        r"a\.jsonl:1: a token contains a tab or line break; use --output-format jsonl",
    ),
    "data without labels": (
        lambda p: ["tag", "evaluate", p.file("a.txt", b"Ada met him .\n"), "-m", p.model],
        r"a\.txt:1: expected a label column, found columns: none; if it has labels, name its --format",
    ),
    "no sentence to evaluate": (
        lambda p: ["tag", "evaluate", p.file("test/test.conll", b"\n").parent, "-m", p.model],
        r"test\.conll: no sentences found",
    ),
    "a split that is not there": (
        lambda p: ["tag", "evaluate", p.corpus, "-m", p.model, "--split", "tset"],
        r"no tset split in .*; it has train, dev, test",
    ),
    "an unknown recipe": (
        lambda p: ["tag", "train", p.corpus, "-o", p.folder / "out", "-c", "sample-nre"],
        r"there is no recipe 'sample-nre'; did you mean 'sample-ner'\?",
    ),
    "a recipe with an unknown key": (
        lambda p: p.recipe("[encoder]\nhiden = 3\n"),
        r"recipe\.toml: encoder\.hiden: unknown name, expected one of cell, hidden, .*",
    ),
    "a recipe with an unknown section": (
        lambda p: p.recipe("[decoder]\nhidden = 3\n"),
        r"recipe\.toml: decoder: unknown name, expected one of task, data, .*",
    ),
    "a recipe with wrong values": (
        lambda p: p.recipe('[encoder]\nhidden = 0\ncell = "lsmt"\n'),
        r"recipe\.toml: encoder\.cell: .*'lstm'.*, found 'lsmt'; encoder\.hidden: expected at least 1, found 0",
    ),
    "a recipe that is no TOML": (
        lambda p: p.recipe("[encoder\n"),
        r"recipe\.toml: cannot be read as TOML: .*",
    ),
    "a recipe that is not UTF-8": (
        lambda p: ["tag", "train", p.corpus, "-o", p.folder / "out", "-c", p.file("r.toml", b"# \xe9\n")],
        r"r\.toml: cannot be read as TOML: .*",
    ),
    "--set of a wrong form": (
        lambda p: p.train(GOOD, "--set", "hidden=3"),
        r"expected section\.key=value, found 'hidden=3'",
    ),
    "--set without a value": (
        lambda p: p.train(GOOD, "--set", "encoder.hidden"),
        r"expected section\.key=value, found 'encoder\.hidden'",
    ),
    "--set of an unknown key": (
        lambda p: p.train(GOOD, "--set", "encoder.hiden=3"),
        r"--set: encoder\.hiden: unknown name, expected one of cell, hidden, .*",
    ),
    "--set of an unknown section": (
        lambda p: p.train(GOOD, "--set", "decoder.hidden=3"),
        r"--set: decoder: unknown name, expected one of task, data, .*",
    ),
    "--set of what is no section": (lambda p: p.train(GOOD, "--set", "task.name=tag"), r"--set: task: .*"),
    "--set of a wrong type": (
        lambda p: p.train(GOOD, "--set", "encoder.hidden=many"),
        r"--set: encoder\.hidden: .* valid integer.*, found 'many'",
    ),
    "a flag out of range": (
        lambda p: p.train(GOOD, "--hidden", "0"),
        r"command line: encoder\.hidden: .* at least 1, found 0",
    ),
    "a model without inputs": (
        lambda p: p.train(GOOD, "--set", "embedding.word_size=0", "--chars", "none"),
        r"command line: embedding: a word has no vector: set word_size > 0, one_hot, vectors or chars",
    ),
    "no such device": (
        lambda p: p.predict("-", "--device", "gpu"),
        r"expected a device auto, cpu, cuda, cuda:N or mps, found 'gpu'",
    ),
    "a device of another kind": (
        lambda p: p.predict("-", "--device", "meta"),
        r"expected a device auto, cpu, cuda, cuda:N or mps, found 'meta'",
    ),
    "a device that is not there": (
        lambda p: p.train(GOOD, "--device", "cuda:99"),
        r"there is no device 'cuda:99': the number of CUDA GPUs is \d+",
    ),
    "no model": (
        lambda p: ["tag", "-m", p.folder / "none"],
        r"none: expected a model directory with config\.json, found none",
    ),
    "a folder that is no model": (
        lambda p: ["tag", "-m", p.corpus],
        r"expected a model directory with config\.json, found none",
    ),
    "no model to describe": (
        lambda p: ["info", p.corpus],
        r"expected a model directory with config\.json, found none",
    ),
    "an output directory that is not empty": (
        lambda p: ["tag", "train", p.corpus, "-o", p.file("own/train.conll", "Ada O\n").parent],
        r"expected an empty output directory, found files; use --resume or --force",
    ),
    "an output directory with things of others": (
        lambda p: ["tag", "train", p.corpus, "-o", p.file("own/train.conll", "Ada O\n").parent, "--force"],
        r"expected a model or a training run to replace, found other files",
    ),
    "a file as output directory": (
        lambda p: ["tag", "train", p.corpus, "-o", p.corpus / "train.conll"],
        r"train\.conll: cannot be used as output directory: Not a directory",
    ),
    "a report that cannot be written": (
        lambda p: ["tag", "evaluate", p.corpus, "-m", p.model, "--json", p.folder / "none" / "report.json"],
        r"report\.json: cannot be written as --json: there is no folder .*none",
    ),
    "errors that cannot be written": (
        lambda p: ["tag", "evaluate", p.corpus, "-m", p.model, "--errors", p.folder],
        r"cannot be written as --errors: Is a directory",
    ),
}


USAGE = {"a flag out of range", "a model without inputs", *(name for name in FAULTS if name.startswith("--set"))}
"""faults of the command line itself: usage goes before the line, and the status is 2"""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line(
    name: str, ner_model: Path, corpus: Path, tiny: list[str], tmp_path: Path, run: Run
) -> None:
    arguments, pattern = FAULTS[name]
    given = arguments(Place(tmp_path, ner_model, corpus, tiny))
    result = run(*given, *(["--quiet"] if given[0] == "tag" else []))
    assert (result.status, result.out) == (2 if name in USAGE else 1, "")
    fault = result.err.rpartition("--help' for help.\n")[2] if name in USAGE else result.err
    assert re.fullmatch(rf"error: (\S*/)?({pattern}|\S+: {pattern})\n", fault), result.err
    assert not (tmp_path / "out").exists()  # nothing half made is left


@pytest.mark.parametrize("flags", [[], ["--input", "tokens"]], ids=["found out", "said"])
def test_an_unreadable_file(
    flags: list[str], ner_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def refuse(file: str, *_: object) -> None:
        raise PermissionError(13, "Permission denied", file)

    monkeypatch.setattr("seqkit.formats.text.open", refuse, raising=False)  # the superuser may read everything
    (tmp_path / "a.txt").touch()
    result = run("tag", "predict", tmp_path / "a.txt", "-m", ner_model, *flags)
    assert (result.status, result.out) == (1, "")
    assert result.err == f"error: {tmp_path / 'a.txt'}: cannot be read: Permission denied\n"


def test_a_faulty_file_among_good_ones_is_seen_before_any_is_tagged(ner_model: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "a.txt").write_text("Ada\n")
    result = run("tag", "predict", tmp_path / "a.txt", tmp_path / "none.txt", "-m", ner_model)
    assert (result.status, result.out) == (1, "")
    assert result.err == f"error: {tmp_path / 'none.txt'}: cannot be read: No such file or directory\n"


def test_a_fault_says_where_on_standard_input(ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, stdin=b"Ada\n\xff\n")
    assert result.status == 1
    assert result.lines == [
        "error: <stdin>:2: expected UTF-8 text, found byte 0xff at position 0 (try --encoding latin-1)"
    ]


def test_a_message_is_one_line_whatever_it_quotes(run: Run) -> None:
    result = run("tag", "train", "a/\r\n\x85b\u2028c\x1c", "-o", "out")
    message = "error: a/ \\u0085b\\u2028c\\x1c: no such file or folder\n"
    assert (result.status, result.out, result.err) == (1, "", message)


PIECES = [
    *(
        "Ada",
        " ",
        "\t",
        "\n",
        "\n\n",
        "\r",
        "O",
        "B-PER",
        "I-PER",
        "#",
        "# a = b",
        "-DOCSTART-",
        "1",
        "2-3",
        "1.1",
        "_",
        "=",
    ),
    *(
        "{",
        "}",
        '"text"',
        ":",
        '"tokens"',
        "[",
        "]",
        ",",
        '"x"',
        "\ufeff",
        "\u2028",
        "\x85",
        "\x00",
        "é",
        "👩‍👧",
        "\u0301",
    ),
    *(
        "\\ud800",
        "1\tAda" + 8 * "\t_",
        "2-3\tx" + 8 * "\t_",
        '{"text": "Ada met"}',
        '{"tokens": ["a", "b"], "labels": ["O", "B-X"]}',
    ),
]


@pytest.mark.parametrize("verb", ["predict", "evaluate", "train"])
def test_any_content_is_read_or_refused_in_one_line(
    verb: str, ner_model: Path, tiny: list[str], tmp_path: Path, run: Run
) -> None:
    draw = random.Random(verb)
    rest = {
        "predict": ["-m", ner_model],
        "evaluate": ["-m", ner_model],
        "train": ["-o", tmp_path / "out", "--force", *tiny],
    }
    for _ in range(60):
        content = "".join(draw.choices(PIECES, k=draw.randrange(25))).encode()
        if draw.random() < 0.1:
            content += bytes([draw.randrange(256)]) + content
        file = tmp_path / f"in.{draw.choice(['txt', 'conll', 'conllu', 'jsonl', 'tsv', 'csv'])}"
        file.write_bytes(content)
        result = run("tag", verb, file, *rest[verb], "--quiet")
        assert (result.status, result.err) == (0, "") or re.fullmatch(r"error: [^\n]+\n", result.err), content
        assert result.status in (0, 1), content
