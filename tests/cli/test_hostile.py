"""Whatever comes in: as many sentences and tokens come out, or one line says what is wrong and where."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqkit

Run = Callable[..., Any]  # the fixture `run`

WHITE_SPACE = re.compile(
    "[\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
)  # as Unicode has it

TEXTS = {
    "nothing": b"",
    "a byte-order mark alone": b"\xef\xbb\xbf",
    "an empty line": b"\n",
    "empty lines": b"\n\nAda\n\n\n",
    "lines of white space": " \nAda\n\t \t\n\u00a0\n\u3000\u2009\n".encode(),
    "one token a line": b"Ada\n.\n7\n",
    "no newline at the end": b"Ada met\nhim",
    "line endings of three kinds": b"Ada met\r\nhim\rin Paris\n\r\nat\r\r",
    "a byte-order mark": "\ufeffAda met him\n".encode(),
    "a byte-order mark inside": "Ada \ufeff met\nhim\ufeff\n".encode(),
    "emoji": "👩‍👩‍👧‍👦 met 👍🏽 in 🇫🇷 !\n❤️‍🔥\n".encode(),
    "combining marks": "A\u0301da\u0323 re\u0301sume\u0301 \u0301 e\u0300\u0301\u0302\n".encode(),
    "right to left": "פגשתי את עדה בלונדון.\n\u202eAda\u202c التقت به في باريس\n".encode(),
    "scripts without spaces": "彼女はロンドンで彼に会った。\nเธอพบเขา\n".encode(),
    "NUL and other controls": b"Ada\x00met\x00 \x00 him\x01\x1b[31m\x7f\x1c\x1dx\n\x00\n",
    "separators that are no line ends": "Ada\u2028met\u2029him\u0085in\u00a0Paris\x0b\x0cnow\n".encode(),
    "characters of the last plane": "\U0010ffff\U000e0041 \uffff \ufdd0\n".encode(),
    "a token of every mark": "".join(map(chr, range(33, 127))).encode() + b"\n",
}


def lines_of(content: bytes) -> list[str]:
    """The lines of a file of text, written down once more."""
    text = content.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def check_objects(result: Any, lines: list[str]) -> None:
    """Every line is an object, its tokens are all that is no white space, and offsets point at them."""
    assert (result.status, result.err) == (0, "")
    objects = [json.loads(line) for line in result.out.split("\n")[:-1]]
    assert [found["text"] for found in objects] == lines
    for found in objects:
        text, tokens = found["text"], found["tokens"]
        assert all(text[token["start"] : token["end"]] == token["text"] != "" for token in tokens)
        assert all(token["label"] for token in tokens)
        assert "".join(token["text"] for token in tokens) == WHITE_SPACE.sub("", text)
        assert all(text[span["start"] : span["end"]] == span["text"] for span in found["spans"])


def check_blocks(result: Any, sentences: list[list[str]]) -> None:
    """Every sentence is a block, every token a row of its own."""
    assert (result.status, result.err) == (0, "")
    position, rows = 0, result.out.split("\n")
    for tokens in sentences:
        assert [row.split("\t")[0] for row in rows[position : position + len(tokens)]] == tokens
        assert rows[position + len(tokens)] == ""
        position += len(tokens) + 1
    assert rows[position:] == [""]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("extra", [[], ["--probs"], ["--nbest", "2"]], ids=lambda extra: " ".join(extra) or "plain")
def test_text_comes_out_whole(name: str, extra: list[str], ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, "--output-format", "jsonl", "--quiet", *extra, stdin=TEXTS[name])
    check_objects(result, lines_of(TEXTS[name]))


@pytest.mark.parametrize("name", TEXTS)
def test_text_comes_out_whole_without_crf(name: str, pos_model: Path, run: Run) -> None:
    result = run("tag", "-m", pos_model, "--output-format", "jsonl", "--quiet", stdin=TEXTS[name])
    check_objects(result, lines_of(TEXTS[name]))


@pytest.mark.parametrize("name", TEXTS)
def test_tokens_come_out_whole(name: str, ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, "--input", "tokens", "--quiet", stdin=TEXTS[name])
    check_blocks(result, [re.findall(r"[^ \t]+", line) for line in lines_of(TEXTS[name])])


@pytest.mark.parametrize("name", TEXTS)
def test_columns_come_out_whole(name: str, ner_model: Path, tmp_path: Path, run: Run) -> None:
    tokens = [token for line in lines_of(TEXTS[name]) for token in re.findall(r"[^ \t]+", line)]
    file = tmp_path / "tokens.conll"
    file.write_text("".join(f"{token}\tO\n" for token in tokens), encoding="utf-8", newline="")
    result = run("tag", "predict", file, "-m", ner_model, "--quiet")
    check_blocks(result, [tokens] if tokens else [])


@pytest.mark.parametrize("name", TEXTS)
def test_inline_keeps_the_text(name: str, ner_model: Path, run: Run) -> None:
    lines = lines_of(TEXTS[name])
    result = run("tag", "-m", ner_model, "--output-format", "inline", "--quiet", stdin=TEXTS[name])
    found = result.out.split("\n")
    assert (result.status, result.err, found.pop(), len(found)) == (0, "", "", len(lines))
    kinds = "|".join(sorted({label[2:] for label in seqkit.load(ner_model).codec.tags.labels if label != "O"}))
    for line, marked in zip(lines, found, strict=True):
        assert re.sub(rf"\]({kinds})", "]", marked).replace("[", "").replace("]", "") == re.sub(r"[][]", "", line)


def test_a_line_of_50000_tokens(ner_model: Path, run: Run) -> None:
    line = " ".join(f"w{number % 977}" for number in range(50_000))
    result = run("tag", "-m", ner_model, "--output-format", "jsonl", "--quiet", stdin=f"Ada\n{line}\nParis\n")
    check_objects(result, ["Ada", line, "Paris"])
    assert len(json.loads(result.out.split("\n")[1])["tokens"]) == 50_000


@pytest.mark.parametrize("word", ["x" * 100_000, "x" + "\u0301" * 99_999], ids=["letters", "marks"])
def test_a_word_of_100000_characters(word: str, ner_model: Path, run: Run) -> None:
    result = run("tag", "-m", ner_model, "--output-format", "jsonl", "--quiet", "--probs", stdin=f"Ada\n{word} met\n")
    check_objects(result, ["Ada", f"{word} met"])
    assert [token["text"] for token in json.loads(result.out.split("\n")[1])["tokens"]] == [word, "met"]


@pytest.mark.parametrize("text", ["\ud800", "Ada \udcff met\udc80 \ud83d him", "a\ud83d b\ude00"])
def test_lone_surrogates(text: str, ner_model: Path, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text(json.dumps({"text": text}) + "\n", encoding="ascii")
    result = run("tag", "predict", file, "-m", ner_model, "--output-format", "jsonl", "--quiet")
    result.out.encode("utf-8")  # is UTF-8 all the same
    check_objects(result, [text])

    record = seqkit.load(ner_model).tag(text)
    assert [text[start:end] for start, end in record.sentence.offsets] == record.sentence.tokens
    assert [token["text"] for token in json.loads(result.out)["tokens"]] == record.sentence.tokens
    assert seqkit.load(ner_model).tag(text.split()).sentence.tokens == text.split()

    columns = run("tag", "predict", file, "-m", ner_model, "--quiet")
    check_blocks(columns, [[re.sub("[\ud800-\udfff]", "\ufffd", token) for token in record.sentence.tokens]])


# --- faults -------------------------------------------------------------------------------------------------------

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
        r"train\.conll:19: expected UTF-8 text, found byte 0xe9 at position 4",
    ),
    "Latin-1 to predict": (
        lambda p: p.predict(p.file("a.txt", b"Ada met\nAndr\xe9 .\n")),
        r"a\.txt:2: expected UTF-8 text, found byte 0xe9 at position 4",
    ),
    "UTF-16": (
        lambda p: p.predict(p.file("a.txt", "Ada met\n".encode("utf-16"))),
        r"a\.txt:1: expected UTF-8 text, found byte 0xff at position 0",
    ),
    "UTF-16 to train on": (
        lambda p: p.train(GOOD.decode().encode("utf-16-le") + b"\xff"),
        r"train\.conll:\d+: expected .*",
    ),
    "binary rubbish as text": (
        lambda p: p.predict(p.file("a.txt", bytes(range(256)) * 4)),
        r"a\.txt:\d+: expected UTF-8 text, found byte 0x80 at position \d+",
    ),
    "binary rubbish as columns": (
        lambda p: p.train(hashlib.sha512(b"").digest() * 9),
        r"train\.conll:1: expected UTF-8 text, found byte 0x\w\w at position \d+",
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
    "an empty training file": (lambda p: p.train(b""), r"train\.conll: expected at least one sentence, found none"),
    "a training file of blank lines": (
        lambda p: p.train(b"\n \n\t\n\r\n"),
        r"train\.conll: expected at least one sentence, found none",
    ),
    "a single sentence": (
        lambda p: p.train(b"Ada B-PER\nmet O\n"),
        r"train\.conll: expected at least 2 sentences, of which one is held out as dev, found 1",
    ),
    "one label only": (
        lambda p: p.train(b"Ada O\nmet O\n\n" * 4),
        r"expected at least two labels in the last column of the training data, found only 'O'",
    ),
    "no such column": (
        lambda p: p.train(GOOD, "--target", "upos"),
        r"train\.conll:1: expected a label column 'upos', found columns: 0, 1",
    ),
    "a column out of range": (
        lambda p: p.train(GOOD, "--target", "-3"),
        r"train\.conll:1: expected a label column '-3', found columns: 0, 1",
    ),
    "labelled texts": (
        lambda p: ["tag", "train", p.file("a.tsv", b"good\tI like it\nbad\tI do not\n"), "-o", p.folder / "out"],
        r"a\.tsv: expected columns of tokens and labels, found labelled texts, one a line",
    ),
    "plain text to train on": (
        lambda p: ["tag", "train", p.file("a.txt", b"Ada met him .\nHe met Ada in London .\n"), "-o", p.folder / "out"],
        r"a\.txt:1: expected a label column, found columns: none",
    ),
    "an empty dev split": (
        lambda p: [
            *p.train(GOOD)[:2],
            (p.file("d/train.conll", GOOD), p.file("d/dev.conll", b"\n"))[0].parent,
            "-o",
            p.folder / "out",
        ],
        r"dev\.conll: expected at least one sentence, found none",
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
        r"expected the name of a data set, a folder or a file, found nothing called 'wnut7'; did you mean 'wnut17'\?",
    ),
    "a missing file": (
        lambda p: ["tag", "train", p.folder / "none.conll", "-o", p.folder / "out"],
        r"none\.conll: expected a folder or a file, found nothing there",
    ),
    "a folder without splits": (
        lambda p: ["tag", "train", p.folder, "-o", p.folder / "out"],
        r"expected files called train, dev and test, found none of them",
    ),
    "a pipe to train on": (
        lambda p: ["tag", "train", "/dev/null", "-o", p.folder / "out"],
        r"/dev/null: expected a file, found a pipe or device, whose format cannot be looked up",
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
        r"a\.csv: expected one of the formats text, tokens, conll, conllu, jsonl, found csv; say which with --input",
    ),
    "faulty JSON": (
        lambda p: p.predict(p.file("a.jsonl", b'{"text": "Ada"}\n{"text": "Ada"\n')),
        r"a\.jsonl:2: expected a JSON object, found faulty JSON at character \d+",
    ),
    "JSON without text": (
        lambda p: p.predict(p.file("a.jsonl", b'{"sentence": "Ada"}\n')),
        r"""a\.jsonl:1: expected "tokens" or "text", found 'sentence'""",
    ),
    "faulty CoNLL-U": (
        lambda p: p.predict(p.file("a.conllu", b"1\tAda\t_\n")),
        r"a\.conllu:1: expected 10 columns between tabs, found 3",
    ),
    "a tab inside a token": (
        lambda p: p.predict(p.file("a.jsonl", b'{"tokens": ["Ada\\tB"]}\n')),
        r"a\.jsonl:1: expected tokens without tabs .*, found one with them; --output-format jsonl can hold it",
    ),
    "data without labels": (
        lambda p: ["tag", "evaluate", p.file("a.txt", b"Ada met him .\n"), "-m", p.model],
        r"a\.txt:1: expected a label column, found columns: none",
    ),
    "no sentence to evaluate": (
        lambda p: ["tag", "evaluate", p.file("test/test.conll", b"\n").parent, "-m", p.model],
        r"test\.conll: expected at least one sentence, found none",
    ),
    "a split that is not there": (
        lambda p: ["tag", "evaluate", p.corpus, "-m", p.model, "--split", "tset"],
        r"expected a tset split in .*, found train, dev, test",
    ),
    "an unknown recipe": (
        lambda p: ["tag", "train", p.corpus, "-o", p.folder / "out", "-c", "sample-nre"],
        r"expected a recipe among .*sample-ner.* or a \.toml file, found 'sample-nre'",
    ),
    "a recipe with an unknown key": (
        lambda p: p.recipe("[encoder]\nhiden = 3\n"),
        r"recipe\.toml: encoder\.hiden: expected one of cell, hidden, .*",
    ),
    "a recipe with an unknown section": (
        lambda p: p.recipe("[decoder]\nhidden = 3\n"),
        r"recipe\.toml: decoder: expected one of task, data, .*",
    ),
    "a recipe with wrong values": (
        lambda p: p.recipe('[encoder]\nhidden = 0\ncell = "lsmt"\n'),
        r"recipe\.toml: encoder\.cell: .*'lstm'.*, found 'lsmt'; encoder\.hidden: .* or equal to 1, found 0",
    ),
    "a recipe that is no TOML": (
        lambda p: p.recipe("[encoder\n"),
        r"recipe\.toml: expected a TOML file, found: .*",
    ),
    "a recipe that is not UTF-8": (
        lambda p: ["tag", "train", p.corpus, "-o", p.folder / "out", "-c", p.file("r.toml", b"# \xe9\n")],
        r"r\.toml: expected a TOML file, found: .*",
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
        r"--set: encoder\.hiden: expected one of cell, hidden, .*",
    ),
    "--set of an unknown section": (
        lambda p: p.train(GOOD, "--set", "decoder.hidden=3"),
        r"--set: decoder: expected one of task, data, .*",
    ),
    "--set of what is no section": (lambda p: p.train(GOOD, "--set", "task.name=tag"), r"--set: task: .*"),
    "--set of a wrong type": (
        lambda p: p.train(GOOD, "--set", "encoder.hidden=many"),
        r"--set: encoder\.hidden: .* valid integer.*, found 'many'",
    ),
    "a flag out of range": (
        lambda p: p.train(GOOD, "--hidden", "0"),
        r"command line: encoder\.hidden: .* greater than or equal to 1, found 0",
    ),
    "a model without inputs": (
        lambda p: p.train(GOOD, "--set", "embedding.word_size=0", "--chars", "none"),
        r"command line: embedding: expected word_size > 0, vectors or chars, found none of them",
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
        r"expected a CUDA device for 'cuda:99', found \d+",
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
        lambda p: ["tag", "train", p.corpus, "-o", p.corpus],
        r"expected an empty output directory, found files; use --resume or --force",
    ),
    "an output directory with things of others": (
        lambda p: ["tag", "train", p.corpus, "-o", p.corpus, "--force"],
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


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line(
    name: str, ner_model: Path, corpus: Path, tiny: list[str], tmp_path: Path, run: Run
) -> None:
    arguments, pattern = FAULTS[name]
    given = arguments(Place(tmp_path, ner_model, corpus, tiny))
    result = run(*given, *(["--quiet"] if given[0] == "tag" else []))
    assert (result.status, result.out) == (1, "")
    assert re.fullmatch(rf"error: (\S*/)?({pattern}|\S+: {pattern})\n", result.err), result.err
    assert not (tmp_path / "out").exists()  # nothing half made is left


@pytest.mark.parametrize("flags", [[], ["--input", "tokens"]], ids=["found out", "said"])
def test_an_unreadable_file(
    flags: list[str], ner_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def refuse(file: str, *_: object) -> None:
        raise PermissionError(13, "Permission denied", file)

    monkeypatch.setattr("seqkit.data.text.open", refuse, raising=False)  # the superuser may read everything
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
    assert result.lines == ["error: <stdin>:2: expected UTF-8 text, found byte 0xff at position 0"]


def test_a_message_is_one_line_whatever_it_quotes(run: Run) -> None:
    result = run("tag", "train", "a/\r\n\x85b\u2028c\x1c", "-o", "out")
    message = "error: a/ b c : expected a folder or a file, found nothing there\n"
    assert (result.status, result.out, result.err) == (1, "", message)


# --- damaged models -----------------------------------------------------------------------------------------------

FILES = [
    "config.json",
    "weights.safetensors",
    "words.json",
    "characters.json",
    "labels.json",
    "splitter.json",
    "report.json",
]


@pytest.fixture
def broken(ner_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ner_model, tmp_path / "model"))


def test_every_file_of_a_model_is_named_here(ner_model: Path) -> None:
    others = {"README.md", "train.jsonl"}  # for people
    assert {path.name for path in ner_model.iterdir() if path.is_file()} == {*FILES} | others


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_seen(name: str, place: float, broken: Path, run: Run) -> None:
    content = bytearray((broken / name).read_bytes())
    content[round(place * (len(content) - 1))] ^= 0x01
    (broken / name).write_bytes(content)
    for command in (["tag", "-m", broken], ["info", broken]):
        result = run(*command, stdin=b"Ada\n")
        assert (result.status, result.out, len(result.lines)) == (1, "", 1)
        assert re.match(rf"error: {re.escape(str(broken / name))}: (damaged: |expected )", result.err), result.err


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_seen(name: str, broken: Path, run: Run) -> None:
    (broken / name).write_bytes((broken / name).read_bytes()[:-7])
    result = run("tag", "-m", broken, stdin=b"Ada\n")
    assert (result.status, result.out, len(result.lines)) == (1, "", 1)
    assert result.err.startswith(f"error: {broken / name}: damaged: "), result.err


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_seen(name: str, broken: Path, run: Run) -> None:
    (broken / name).unlink()
    result = run("tag", "-m", broken, stdin=b"Ada\n")
    assert result.err == f"error: {broken / name}: cannot be read: No such file or directory\n"
    assert (result.status, result.out) == (1, "")


def _rewrite(model: Path, change: Callable[[dict], None]) -> None:
    """Change the configuration of a model, and its checksum with it."""
    config = json.loads((model / "config.json").read_text())
    change(config)
    del config["checksum"]
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    config["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    (model / "config.json").write_text(json.dumps(config, indent=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format_version=2), r"expected format version 1 or older, found 2; upgrade seqkit"),
        (lambda c: c.update(format_version="1"), r"expected a model's configuration, found no format_version"),
        (lambda c: c.pop("format_version"), r"expected a model's configuration, found no format_version"),
        (lambda c: c.pop("settings"), r"damaged: 'settings'"),
        (lambda c: c.update(settings=3), r"damaged: 'int' object .*"),
        (lambda c: c["settings"]["encoder"].update(hidden=9), r".*weights do not fit the model's settings: .*"),
        (lambda c: c["settings"]["encoder"].update(hiden=9), r".*encoder\.hiden: expected one of .*"),
        (lambda c: c.pop("files"), r"expected the model's files with their checksums, found NoneType"),
        (lambda c: c["files"].pop("words.json"), r"expected words\.json among the model's files, found .*"),
        (lambda c: c["files"].update({"../x": {}}), r"expected plain file names, found '\.\./x'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_configuration_that_cannot_be_used(
    change: Callable[[dict], None], message: str, broken: Path, run: Run
) -> None:
    _rewrite(broken, change)
    result = run("tag", "-m", broken, stdin=b"Ada\n")
    assert (result.status, result.out) == (1, "")
    assert re.fullmatch(rf"error: {re.escape(str(broken))}(/config\.json)?: ({message})\n", result.err), result.err


def test_a_newer_model_is_named_by_info_too(broken: Path, run: Run) -> None:
    _rewrite(broken, lambda config: config.update(format_version=2))
    result = run("info", broken)
    message = f"error: {broken / 'config.json'}: expected format version 1 or older, found 2; upgrade seqkit\n"
    assert (result.status, result.out, result.err) == (1, "", message)


def test_no_fault_leaves_a_traceback_in_a_process_of_its_own(broken: Path) -> None:
    (broken / "labels.json").write_bytes(b"\x80")
    found = subprocess.run(
        [sys.executable, "-m", "seqkit", "info", str(broken)], capture_output=True, text=True, timeout=60
    )
    message = f"error: {broken / 'labels.json'}: damaged: its content does not agree with the checksum in config.json\n"
    assert (found.returncode, found.stdout, found.stderr) == (1, "", message)
