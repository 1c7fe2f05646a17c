"""Whatever comes in: as many sentences and tokens come out."""

from __future__ import annotations

import json
import re
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
    kinds = "|".join(sorted({label[2:] for label in seqkit.load(ner_model).head.codec.tags.labels if label != "O"}))
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
