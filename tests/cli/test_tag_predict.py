"""``seqkit tag predict``: every input and output format, every flag, files and streams."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seqkit
import seqkit.cli.main
from seqkit.config import override

Run = Callable[..., Any]  # the fixture `run`

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
    assert result.lines[0] == f"{file}: read as conll; --format overrides this"
    assert result.out == expected_blocks(ner_model)


def test_columns_of_training(ner_model: Path, tmp_path: Path, run: Run) -> None:
    model = tmp_path / "model"
    tagger = seqkit.load(ner_model)
    settings = tagger.settings
    rows = ["".join(f"B-X\tNN\t{token}\t1\n" for token in tokens) + "\n" for tokens in SENTENCES]
    file = tmp_path / "in.conll"
    file.write_text("".join(rows), encoding="utf-8")
    expected = expected_blocks(ner_model)
    for given, note in [
        ({}, None),
        (
            {"columns": "ner,pos,word,id"},
            f"{file}: the columns are those of training: ner, pos, word, id; --columns overrides this",
        ),
        (
            {"token_column": "-2"},
            f"{file}: the tokens are in column 2 (counted from 0) as in training; --token-column overrides this",
        ),
        ({"columns": "ner,pos,word"}, None),
        ({"token_column": "4"}, None),
    ]:
        tagger.settings = override(settings, {"data": given})
        tagger.save(model)
        result = run("tag", "predict", file, "-m", model)
        if note is not None:
            assert (result.lines[0], result.out) == (note, expected)
        assert (note is None) == (" training" not in result.err)
        bare = tmp_path / "bare.conll"
        bare.write_text("\n\n".join("\n".join(tokens) for tokens in SENTENCES) + "\n")
        assert run("tag", "predict", bare, "-m", model).out == expected
        again = run("tag", "predict", file, "-m", model, "--columns", "ner,pos,word,id")
        assert again.out == expected


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
    if output_format == "inline" and "--probs" in flags:
        assert result.err.endswith("error: --probs needs --output-format conll or jsonl; inline does not show it.\n")
        return
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


def test_what_auto_became_is_said(ner_model: Path, run: Run) -> None:
    said = "precision auto: fp32, since "  # either for want of bf16, or for want of sentences
    result = run("tag", "-m", ner_model, "--precision", "auto", stdin=INPUTS["text"])
    assert (result.status, result.out, result.err.count(said)) == (0, expected_blocks(ner_model), 1)


def test_threads_are_set(ner_model: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    import torch

    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    run("tag", "-m", ner_model, "--threads", "3", stdin="Ada\n")
    run("tag", "-m", ner_model, stdin="Ada\n")
    assert asked == [3]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs terminals")
def test_whoever_types_sees_each_answer_at_once(ner_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    keyboard, terminal = os.openpty()
    seen: list[str] = []
    typed = [b"Ada\n", b"met him\n", b"\x04"]  # the last is Ctrl-D

    class Screen(io.RawIOBase):
        """Whoever looks at it types the next line after each answer."""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            seen.append(bytes(data).decode())
            os.write(keyboard, typed.pop(0))
            return len(data)

    stuck = threading.Timer(60, os.close, [keyboard])
    stuck.start()
    with open(terminal, encoding="utf-8") as stdin, io.TextIOWrapper(io.BufferedWriter(Screen())) as stdout:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        os.write(keyboard, typed.pop(0))
        assert seqkit.cli.main.main(["tag", "-m", str(ner_model)]) == 0
        monkeypatch.undo()
    stuck.cancel()
    os.close(keyboard)
    assert [re.sub(r"\t.*", "", block) for block in seen] == ["Ada\n\n", "met\nhim\n\n"]
    assert capsys.readouterr() == ("", "reading text from the terminal; Ctrl-D ends it\n")
