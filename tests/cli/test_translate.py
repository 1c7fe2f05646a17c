"""`seqkit translate` on an invented language: every word has its own translation, and the order is reversed."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqkit
from seqkit.cli.main import main
from seqkit.errors import DataError, ModelError, SettingsError

pytest.importorskip("sacrebleu")
pytest.importorskip("jiwer")

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Any]
WORDS = dict(zip("abcdef", ["ka", "lo", "mi", "nu", "pe", "so"], strict=True))
TINY = ["--set=encoder.hidden=16", "--set=head.hidden=32", "--set=embedding.word_size=12", "--set=head.size=12"]
TINY += ["--set=encoder.dropout=0", "--set=embedding.dropout=0", "--set=head.dropout=0", "--set=head.smoothing=0"]
TINY += ["--set=training.lr=0.01", "--set=training.batch_size=8", "--device=cpu", "--threads=1"]


def pairs(count: int, seed: int, longest: int = 4) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    sources = [draw.choices("abcdef", k=draw.randint(1, longest)) for _ in range(count)]
    return [(" ".join(source), " ".join(WORDS[word] for word in reversed(source))) for source in sources]


def write(folder: Path, split: str, rows: list[tuple[str, str]]) -> None:
    for number, name in enumerate(("xx", "yy")):
        lines = "".join(f"{row[number]}\n" for row in rows)
        (folder / f"{split}.{name}").write_text(lines, encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for number, (split, size) in enumerate({"train": 240, "dev": 30, "test": 30}.items()):
        write(folder, split, pairs(size, number))
    return folder


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(data, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def second(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(data, tmp_path_factory.mktemp("second"), "--seed=2")


def trained(data: Path, place: Path, *flags: str, epochs: int = 14) -> Path:
    arguments = [
        "translate",
        "train",
        str(data),
        "--source=xx",
        f"--epochs={epochs}",
        "-o",
        str(place / "m"),
        "--quiet",
    ]
    assert main([*arguments, *TINY, *flags]) == 0
    return place / "m"


# --- training and scores ------------------------------------------------------------------------------------------


def test_training_tells_what_is_translated_and_how_well(data: Path, tmp_path: Path, run: Run) -> None:
    found = run("translate", "train", data, "--target", "yy", "--epochs", 1, "-o", tmp_path / "m", *TINY)
    assert (found.status, found.out.count("exact match")) == (0, 2)
    assert "translating xx (6 words) into yy (7 words)" in found.lines
    assert any("train 240 texts, dev 30 texts, test 30 texts" in line for line in found.lines)
    assert "texts are split at spaces only, since no punctuation is attached to their words" in found.lines


def test_single_words_are_told_to_be_read_by_letters(tmp_path: Path, run: Run) -> None:
    (tmp_path / "words.tsv").write_text("".join(f"word{number}\tw {number}\n" for number in range(40)))
    found = run("translate", "train", tmp_path / "words.tsv", "--epochs", 1, "-o", tmp_path / "m", *TINY)
    assert found.status == 0 and sum("read their letters: --set data.source_unit=char" in x for x in found.lines) == 1
    letters = run(
        "translate",
        "train",
        tmp_path / "words.tsv",
        "--epochs",
        1,
        "-o",
        tmp_path / "n",
        *TINY,
        "--set=data.source_unit=char",
    )
    assert letters.status == 0 and "read their letters" not in letters.err


def test_the_toy_language_is_learned(data: Path, model: Path, run: Run, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    found = run("translate", "evaluate", data, "-m", model, "--json", scores, "--beam", 5)
    assert found.status == 0
    read = json.loads(scores.read_text())
    assert read["exact_match"] > 0.9 and read["bleu"] > 90 and read["chrf"] > 90 and read["ter"] < 10
    assert read["wer"] < 0.1 and read["cer"] < 0.1 and read["split"] == "test"
    assert set(read["signatures"]) == {"bleu", "chrf", "ter"} and "tok:none" in read["signatures"]["bleu"]
    shown = run("translate", "evaluate", data, "-m", model).out
    assert shown.count("\nBLEU  ") == 1 and "BLEU counts runs of four words, and most right texts are shorter" in shown


def test_the_evaluated_loss_is_that_of_forced_decoding(data: Path, model: Path) -> None:
    loaded = seqkit.load(model)
    report = loaded.evaluate(data).report
    total, units = 0.0, 0
    for source, target in pairs(30, 2):
        record = loaded.record(source)
        with torch.inference_mode():
            decoding = loaded.decoding_of([record])
            ids = torch.tensor([loaded.head.ids(target, {})])
            total += float(decoding.steps(ids, loaded.head.end)[0].sum())
            units += ids.shape[1]
    assert report.units == units
    assert report.loss == pytest.approx(-total / units, abs=1e-5)


def test_scores_are_those_of_sacrebleu_on_the_texts(data: Path, model: Path) -> None:
    from sacrebleu.metrics import BLEU, CHRF, TER

    loaded = seqkit.load(model)
    report = loaded.evaluate(data, beam=1).report
    texts = [answer.text for answer in loaded.predict([source for source, _ in pairs(30, 2)], beam=1)]
    right = [[target for _, target in pairs(30, 2)]]
    for name, metric in {"bleu": BLEU(tokenize="none"), "chrf": CHRF(), "ter": TER()}.items():
        assert report.scores[name] == pytest.approx(metric.corpus_score(texts, right).score)


def test_how_bleu_cuts_texts_is_found_out_and_can_be_said(model: Path) -> None:
    loaded = seqkit.load(model)
    attached = [{"xx": "a b", "yy": "lo, ka!"}, {"xx": "c", "yy": "mi."}]
    for rows, options, expected in (
        (attached, {}, "13a"),
        ([{"xx": "a b", "yy": "lo , ka !"}], {}, "none"),
        (attached, {"bleu_tokens": "char"}, "char"),
    ):
        signature = loaded.evaluate(rows, **options).report.signatures["bleu"]
        assert f"tok:{expected}" in signature


def test_several_references_count_together(model: Path, tmp_path: Path) -> None:
    loaded = seqkit.load(model)
    rows = [{"xx": source, "yy": ["so so so so", target]} for source, target in pairs(20, 5)]
    alone = loaded.evaluate([{"xx": row["xx"], "yy": row["yy"][1]} for row in rows]).report
    together = loaded.evaluate(rows).report
    assert together.exact_match == alone.exact_match > 0.8
    assert together.scores["bleu"] > 70 and together.loss > alone.loss  # that of the first reference


@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
def test_tables_and_objects_are_read_like_parallel_files(suffix: str, data: Path, model: Path, tmp_path: Path) -> None:
    rows = pairs(30, 2)
    lines = [f"{a}\t{b}" if suffix == "tsv" else json.dumps({"yy": b, "xx": a}) for a, b in rows]
    head = ["xx\tyy"] if suffix == "tsv" else []
    file = tmp_path / f"some.{suffix}"
    file.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    loaded = seqkit.load(model)
    assert loaded.evaluate(file).report == loaded.evaluate(data).report


def test_what_training_does_not_take_is_told(tmp_path: Path, run: Run) -> None:
    rows = [{"xx": a, "yy": [b, "so"]} for a, b in pairs(20, 0)] + [{"xx": "", "yy": "so"}] * 2
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    flags = ["--source=xx", "--target=yy", "--epochs", 1, *TINY]
    found = run("translate", "train", tmp_path, "-o", tmp_path / "m", *flags)
    assert "texts with several references, of which training takes the first: 20" in found.lines
    assert "texts with an empty source, of which nothing is learned: 2" in found.lines


def test_rows_without_names_are_source_and_target(tmp_path: Path, run: Run) -> None:
    for number, (split, size) in enumerate({"train": 40, "dev": 8}.items()):
        rows = "".join(f"{a}\t{b}\n" for a, b in pairs(size, number))
        (tmp_path / f"{split}.tsv").write_text(rows, encoding="utf-8")
    found = run("translate", "train", tmp_path, "--epochs", 1, "-o", tmp_path / "m", *TINY)
    assert found.status == 0
    assert "translating source (6 words) into target (7 words)" in found.lines
    source, target = pairs(40, 0)[0]
    assert f"the first pair: {source!r} → {target!r}" in found.lines


# --- prediction ---------------------------------------------------------------------------------------------------


def test_lines_stay_in_order_and_empty_ones_stay(model: Path, run: Run) -> None:
    found = run("translate", "-m", model, stdin="a b\n\nc\n   \nunknown words\n")
    lines = found.out.split("\n")
    assert (found.status, lines[:5], len(lines)) == (0, ["lo ka", "", "mi", "", lines[4]], 6)
    assert lines[4]


def test_objects_tell_probabilities_the_best_texts_and_attention(model: Path, run: Run) -> None:
    options = ["--nbest", 3, "--attention", "--output-format", "jsonl", "--beam", 6]
    found = run("translate", "predict", "-m", model, *options, stdin="a b c\n")
    read = json.loads(found.out)
    assert (read["source"], read["text"], read["units"], read["ended"]) == ("a b c", "mi lo ka", 4, True)
    assert read["nbest"][0]["text"] == "mi lo ka" and len(read["nbest"]) == 3
    assert read["attention"]["source"] == ["a", "b", "c"]
    assert read["attention"]["target"] == ["mi", "lo", "ka", ""]
    weights = np.array(read["attention"]["weights"])
    assert weights.shape == (4, 3) and np.allclose(weights.sum(1), 1, atol=1e-4)


def test_n_best_scores_are_true_log_probabilities_and_a_wide_beam_finds_the_most_probable_text(model: Path) -> None:
    loaded = seqkit.load(model)
    answer = next(loaded.predict(["b a"], nbest=40, beam=400, length_penalty=0.0, max_ratio=1e-9))
    assert len({each["text"] for each in answer.alternatives}) == 40
    with torch.inference_mode():
        decoding = loaded.decoding_of([loaded.record("b a")])
        for each in answer.alternatives:
            ids = torch.tensor([loaded.head.ids(each["text"], {})])
            total = float(decoding.steps(ids, loaded.head.end)[0].sum())
            assert each["log_prob"] == pytest.approx(total, abs=1e-4)
    found = [each["log_prob"] for each in answer.alternatives]
    assert found == sorted(found, reverse=True)


def test_attention_has_a_column_for_each_unit_in_half_precision(model: Path) -> None:
    answer = next(seqkit.load(model).predict(["a " * 259], attention=True, precision="bf16", max_ratio=0.01))
    assert {len(row) for row in answer.attention["weights"]} == {259}


def test_beam_one_is_greedy_and_batches_equal_one_by_one(model: Path) -> None:
    loaded = seqkit.load(model)
    texts = [source for source, _ in pairs(40, 9, longest=7)]
    for options in ({"beam": 1}, {"beam": 4}, {"beam": 3, "coverage_penalty": 0.5}):
        together = [(each.text, each.log_prob) for each in loaded.predict(texts, **options)]
        alone = [(each.text, each.log_prob) for text in texts for each in loaded.predict([text], **options)]
        assert [text for text, _ in together] == [text for text, _ in alone]
        assert [score for _, score in together] == pytest.approx([score for _, score in alone], abs=1e-4)
    with torch.inference_mode():
        for text, found in zip(texts, loaded.predict(texts, beam=1), strict=True):
            decoding = loaded.decoding_of([loaded.record(text)])
            source, module = decoding.source, decoding.module
            carried, last, written = module.begin(source), torch.tensor([loaded.head.end]), []
            for _ in range(30):
                scores, carried = module.next(last, source, carried)
                scores[:, 1] = -torch.inf  # the unknown unit
                last = scores.argmax(1)
                if int(last) == loaded.head.end:
                    break
                written.append(loaded.head.words[int(last)])
            assert found.text == " ".join(written)


def test_a_text_begins_with_the_prefix_and_is_no_longer_than_allowed(model: Path, run: Run) -> None:
    loaded = seqkit.load(model)
    assert next(loaded.predict(["a b"], prefix="so mi")).text.startswith("so mi")
    longest = next(loaded.predict(["a b c d"], prefix=" ".join(["so"] * 12), max_ratio=0.5, length_penalty=0.0))
    assert longest.units <= int(0.5 * 4) + 10 + 12 and longest.text.startswith(" ".join(["so"] * 12))
    assert all(each.text.startswith("so mi") for each in loaded.predict(["a b", "c"], prefix="so mi", sample=True))
    with pytest.raises(DataError, match=r"^the prefix has units that the model cannot write: 'zz'$"):
        list(loaded.predict(["a"], prefix="zz"))


def test_the_same_seed_draws_the_same_texts_however_they_are_grouped(model: Path) -> None:
    loaded = seqkit.load(model)
    texts = [source for source, _ in pairs(20, 4)] + ["a b"] * 30
    options = {"sample": True, "seed": 3, "temperature": 3.0}
    together = [each.text for each in loaded.predict(texts, **options)]
    one_by_one = [each.text for each in loaded.predict(texts, **options, ahead=1)]
    assert together == one_by_one
    assert len(set(together[20:])) > 10  # equal sources have texts of their own
    assert [each.text for each in loaded.predict(texts, **{**options, "seed": 4})] != together
    several = next(loaded.predict(["a b"], sample=True, nbest=4, seed=1)).alternatives
    assert [each["log_prob"] for each in several] == sorted((each["log_prob"] for each in several), reverse=True)
    assert all(set(each) == {"text", "log_prob", "units", "ended"} for each in several)


def test_a_pair_without_a_source_does_not_lengthen_texts(tmp_path: Path) -> None:
    rows = [{"source": a, "target": b} for a, b in pairs(20, 1)] + [{"source": "", "target": "ka " * 60}]
    settings = {"task": "translate", "training": {"epochs": 1}, "encoder": {"hidden": 4}, "head": {"hidden": 4}}
    trained_model = seqkit.train(settings, tmp_path / "m", rows, quiet=True)
    assert trained_model.head.ratio == 2.0


def test_exact_match_takes_texts_as_they_are(tmp_path: Path, run: Run) -> None:
    rows = [(source, target.upper()) for source, target in pairs(120, 1, longest=3)]
    write(tmp_path, "train", rows)
    write(tmp_path, "dev", rows[:20])
    place = trained(tmp_path, tmp_path, "--set=data.lowercase=true")
    run("translate", "evaluate", tmp_path, "-m", place, "--json", tmp_path / "s.json")
    scores = json.loads((tmp_path / "s.json").read_text())
    assert (scores["exact_match"], scores["wer"]) == (0.0, 1.0)


def test_tokens_become_running_text(tmp_path: Path, run: Run) -> None:
    pytest.importorskip("sacremoses")
    write(tmp_path, "train", [("a b", "hello , world !"), ("c", "yes ( wait ) .")] * 20)
    write(tmp_path, "dev", [("a b", "hello , world !")])
    place = trained(tmp_path, tmp_path)
    assert run("translate", "-m", place, stdin="a b\n\n").out == "hello , world !\n\n"
    found = run(
        "translate", "-m", place, "--detokenize", "en", "--nbest", 2, "--output-format", "jsonl", stdin="a b\n\nc\n"
    )
    texts = [json.loads(line) for line in found.out.splitlines()]
    assert [each["text"] for each in texts] == ["hello, world!", "", "yes (wait)."]
    assert texts[0]["nbest"][0]["text"] == "hello, world!"


def test_texts_are_drawn_again_by_their_seed(model: Path) -> None:
    loaded = seqkit.load(model)
    options: dict[str, Any] = {"sample": True, "temperature": 3.0, "nbest": 5, "seed": 4}
    first, again = (next(loaded.predict(["a b c"], **options)).alternatives for _ in range(2))
    assert first == again and len({each["text"] for each in first}) > 1
    cold = next(loaded.predict(["a b c"], sample=True, top_k=1))
    assert cold.text == "mi lo ka"
    assert next(loaded.predict(["a b c"], sample=True, top_p=0.01)).text == "mi lo ka"


def test_unknown_units_become_what_attention_points_to(data: Path, tmp_path: Path, run: Run) -> None:
    for number, (split, size) in enumerate({"train": 240, "dev": 20}.items()):
        draw = random.Random(number)
        rows = []
        for source, _ in pairs(size, number):
            words = [*source.split()]
            words[draw.randrange(len(words))] = f"n{draw.randrange(10**6)}"  # names, each of which is written as it is
            rows.append((" ".join(words), " ".join(WORDS.get(word, word) for word in reversed(words))))
        write(tmp_path, split, rows)
    place = trained(tmp_path, tmp_path, "--set=data.min_count=2", "--set=head.feeding=false", epochs=20)
    words = tmp_path / "words.tsv"
    words.write_text("n7\tseven\n", encoding="utf-8")
    assert run("translate", "-m", place, "--replace-unknown", stdin="a n1 b\n").out == "lo n1 ka\n"
    assert run("translate", "-m", place, "--replace-unknown", "--dictionary", words, stdin="a n7\n").out == "seven ka\n"
    found = run("translate", "-m", place, "--dictionary", words, stdin="a n7\n")
    assert (found.status, found.lines[-1]) == (2, "error: --dictionary is for --replace-unknown")
    words.write_text("n7 seven\n", encoding="utf-8")
    found = run("translate", "-m", place, "--replace-unknown", "--dictionary", words, stdin="a n7\n")
    expected = "expected a unit of the source, a tab and its translation, found 'n7 seven'"
    assert (found.status, found.lines[-1]) == (1, f"error: {words}:1: {expected}")
    copying = trained(
        tmp_path, tmp_path / "copying", "--set=data.min_count=2", "--set=head.copy_source=true", epochs=16
    )
    assert run("translate", "-m", copying, stdin="a n1 b\n").out == "lo n1 ka\n"
    assert run("translate", "-m", copying, "--prefix", "n1", stdin="a n1 b\n").out.startswith("n1 ")
    letters = trained(
        tmp_path, tmp_path / "letters", "--set=head.copy_source=true", "--set=data.source_unit=char", epochs=1
    )
    with pytest.raises(SettingsError, match="differs from the first model's"):
        list(seqkit.load(copying).predict(["a"], ensemble=str(letters)))


def test_an_ensemble_has_the_mean_of_the_probabilities(model: Path, second: Path, run: Run, data: Path) -> None:
    one, other = seqkit.load(model), seqkit.load(second)
    texts = [source for source, _ in pairs(12, 8)]
    together = list(one.predict(texts, ensemble=str(second)))
    with torch.inference_mode():
        for text, found in zip(texts, together, strict=True):
            steps = []
            for loaded in (one, other):
                ids = torch.tensor([loaded.head.ids(found.text, {})])
                steps.append(loaded.decoding_of([loaded.record(text)]).steps(ids, loaded.head.end)[0].exp())
            expected = (sum(steps) / 2).log().sum()
            assert found.log_prob == pytest.approx(float(expected), abs=1e-4)
    named = run("translate", "predict", "-m", f"{model},{second}", stdin="\n".join(texts) + "\n")
    assert named.out.splitlines() == [each.text for each in together]
    assert run("translate", "evaluate", data, "-m", f"{model},{second}").status == 0
    turned = run(
        "translate", "predict", "-m", f"{second}, {model}", "--coverage-penalty", 2, stdin="\n".join(texts) + "\n"
    )
    straight = run(
        "translate", "predict", "-m", f"{model},{second}", "--coverage-penalty", 2, stdin="\n".join(texts) + "\n"
    )
    assert turned.status == 0 and turned.out == straight.out
    looked = next(one.predict(["a b c"], ensemble=str(second), attention=True)).attention["weights"]
    each = [np.array(loaded.attention("a b c", "mi lo ka")["weights"]) for loaded in (one, other)]
    assert np.allclose(looked, sum(each) / 2, atol=1e-4)
    one.to("cpu")
    assert not one._others
    for joint, found in zip(one.predict(texts, ensemble=str(model)), one.predict(texts), strict=True):
        assert (joint.text, joint.log_prob) == (found.text, pytest.approx(found.log_prob, abs=1e-4))


def test_models_of_other_data_do_not_write_together(model: Path, tmp_path: Path) -> None:
    write(tmp_path, "train", [("a", "ka"), ("b", "lo")] * 4)
    write(tmp_path, "dev", [("a", "ka")])
    place = trained(tmp_path, tmp_path, epochs=1)
    with pytest.raises(SettingsError) as caught:
        list(seqkit.load(model).predict(["a"], ensemble=str(place)))
    differs = "its vocabulary of what is written differs from the first model's"
    assert str(caught.value) == (
        f"{place}: {differs}; models that write together are trained on the same data, with other seeds"
    )
    with pytest.raises(ModelError):
        list(seqkit.load(model).predict(["a"], ensemble=str(tmp_path)))


def test_weights_that_give_no_numbers_are_told(model: Path) -> None:
    loaded = seqkit.load(model)
    with torch.no_grad():
        loaded.head.module.readout.bias.fill_(torch.nan)
    causes = "training diverged (try a smaller --lr), the weights are damaged, or a given number is too large"
    for options in ({"beam": 1}, {"beam": 4}, {"sample": True}):
        with pytest.raises(ModelError) as caught:
            list(loaded.predict(["a b"], **options))
        assert str(caught.value) == f"a probability of what may come next is not finite, or too large: {causes}"


def test_options_that_would_do_nothing_are_refused(model: Path) -> None:
    loaded = seqkit.load(model)
    alone = "ranks the texts of a beam, and beam 1 has a single one"
    for options, message in (
        ({"sample": True, "beam": 3}, "beam is for searching, and sample draws texts at random"),
        ({"sample": True, "length_penalty": 0.5}, "length_penalty is for searching, and sample draws texts at random"),
        (
            {"beam": 1, "coverage_penalty": 0.5},
            f"coverage_penalty {alone}",
        ),
        ({"seed": 3}, "temperature, top_k, top_p and seed are for sample"),
    ):
        with pytest.raises(SettingsError) as caught:
            list(loaded.predict(["a"], **options))
        assert str(caught.value) == f"options: {message}"


def test_empty_sources_are_told_and_not_counted(model: Path) -> None:
    loaded = seqkit.load(model)
    rows = [{"xx": "a b", "yy": "lo ka"}, {"xx": "", "yy": "so"}]
    report = loaded.evaluate(rows).report
    assert (report.units, report.sourceless, report.exact) == (3, 1, 1)
    assert "2 texts, 3 units with their ends; those of 1 empty source are not counted" in report.render()


def test_python_and_requests(model: Path) -> None:
    loaded = seqkit.load(model)
    assert loaded.translate("a b") == loaded.translate({"xx": "a b"}) == "lo ka"
    answer = loaded.answer({"text": "a b", "nbest": 2})
    assert answer["text"] == "lo ka" and len(answer["nbest"]) == 2
    assert [each["text"] for each in loaded.answer({"texts": ["a", ""]})["answers"]] == ["ka", ""]
    with pytest.raises(SettingsError, match=r"^a request cannot name files of this machine, and 'ensemble' is one$"):
        loaded.answer({"text": "a", "ensemble": "x"})


def test_workers_write_the_same(model: Path, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "some.txt"
    file.write_text("".join(f"{source}\n" for source, _ in pairs(50, 3)), encoding="utf-8")
    alone = run("translate", "predict", file, "-m", model, "--threads", 1)
    shared = run("translate", "predict", file, "-m", model, "--workers", 2, "--threads", 2)
    assert alone.out == shared.out and len(alone.out.splitlines()) == 50


# --- factors ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def factored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of words that are translated by what stands beside them; its data in ``data``."""
    place = tmp_path_factory.mktemp("factored")
    draw = random.Random(3)
    (place / "data").mkdir()
    for split, count in (("train", 400), ("dev", 30), ("test", 30)):
        rows = [[draw.choice(["can", "saw", "fly"]) for _ in range(draw.randint(1, 4))] for _ in range(count)]
        kinds = [[draw.choice("NV") for _ in row] for row in rows]
        both = [[word + kind for word, kind in zip(*each, strict=True)] for each in zip(rows, kinds, strict=True)]
        for name, texts in (("xx", rows), ("kind", kinds), ("yy", both)):
            (place / "data" / f"{split}.{name}").write_text("".join(f"{' '.join(text)}\n" for text in texts))
    return trained(place / "data", place, "--target=yy", "--set=data.factors=kind", "--set=embedding.factor_size=8")


def test_words_are_translated_by_their_factors(factored: Path, run: Run, tmp_path: Path) -> None:
    found = run("translate", "evaluate", factored.parent / "data", "-m", factored, "--json", tmp_path / "s.json")
    assert found.status == 0
    assert json.loads((tmp_path / "s.json").read_text())["exact_match"] > 0.9
    card = (factored / "README.md").read_text()
    assert "- Reads: xx (3 words) with kind" in card
    assert "seqkit translate show -m THIS_FOLDER 'TEXT' -o picture.png" in card
    if find_spec("matplotlib"):
        given = json.dumps({"xx": "can fly", "kind": "V N"})
        assert run("translate", "show", "-m", factored, given, "-o", tmp_path / "a.png").out == "canV flyN\n"
    rows = [{"xx": "can fly", "kind": "V N"}, {"xx": "", "kind": ""}, {"xx": "saw", "kind": ["N"]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("translate", "-m", factored, tmp_path / "rows.jsonl").out == "canV flyN\n\nsawN\n"
    assert seqkit.load(factored).answer({"xx": "fly", "kind": "V"})["text"] == "flyV"
    # A factor that training has not seen is an unknown one.
    assert seqkit.load(factored).answer({"xx": "fly", "kind": "X"})["text"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"xx": "can fly", "kind": "V"}, "field 'kind' needs a word for each of the 2 words that are read, found 1"),
        ({"xx": "can fly", "kind": 3}, "expected words in field 'kind', found 3"),
        ({"xx": "can fly"}, "expected words in field 'kind', the fields are 'xx'"),
    ],
)
def test_words_without_factors_are_refused(
    factored: Path, row: dict[str, Any], message: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    found = run("translate", "-m", factored, tmp_path / "rows.jsonl")
    assert (found.status, found.lines[-1]) == (1, f"error: {tmp_path / 'rows.jsonl'}:1: {message}")


def test_a_text_alone_has_no_factors(factored: Path) -> None:
    with pytest.raises(DataError, match="expected words in field 'kind', found a text without fields"):
        list(seqkit.load(factored).predict(["can fly"]))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["data.factors=kind", "data.unit=char"], "factors need words to be read, and source_unit is char"),
        (["data.factors=yy"], "factors stand beside what is read, and 'yy' is the source or the target"),
        (["data.factors=kind,kind"], "factors must be different fields, found 'kind,kind'"),
        (["embedding.factor_size=3"], "embedding.factor_size is for factors: name their fields in data.factors"),
    ],
)
def test_factors_that_would_do_nothing_are_refused(
    factored: Path, flags: list[str], message: str, run: Run, tmp_path: Path
) -> None:
    sets = [f"--set={flag}" for flag in flags]
    data = factored.parent / "data"
    found = run("translate", "train", data, "--source=xx", "--target=yy", "-o", tmp_path / "m", *sets)
    assert found.status == 2 and message in found.lines[-1]


# --- sequences of vectors ------------------------------------------------------------------------------------------


def spelled(folder: Path, split: str, count: int, seed: int) -> list[str]:
    """Sequences of frames, two or three for each letter of a word, and the word."""
    draw = np.random.default_rng(seed)
    words = ["".join(draw.choice(list("abc"), int(draw.integers(1, 4)))) for _ in range(count)]
    lines = []
    for word in words:
        frames = [[0.0, 0.0, 0.0]]  # which is between letters
        for letter in word:
            frames += [[float(letter == each) for each in "abc"]] * int(draw.integers(2, 4)) + [[0.0, 0.0, 0.0]]
        lines.append(json.dumps({"frames": frames, "text": word}) + "\n")
    (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return words


def test_a_text_is_written_from_a_sequence_of_vectors(tmp_path: Path, run: Run) -> None:
    spelled(tmp_path, "train", 160, 0)
    words = spelled(tmp_path, "dev", 30, 1)
    flags = [flag for flag in TINY if "embedding" not in flag]
    train = [
        "translate",
        "train",
        tmp_path,
        "-o",
        tmp_path / "m",
        "--epochs",
        16,
        "--set=frames.normalize=none",
        *flags,
    ]
    found = run(*train)
    assert found.status == 0
    assert "translating sequences of vectors of 3 numbers into text (4 characters)" in found.lines
    assert run("info", tmp_path / "m").status == 0
    predicted = run("translate", "predict", tmp_path / "dev.jsonl", "-m", tmp_path / "m")
    right = sum(one == other for one, other in zip(predicted.out.splitlines(), words, strict=True))
    assert right > 24
    written = run(
        *("translate", "predict", tmp_path / "dev.jsonl", "-m", tmp_path / "m", "--output-format", "jsonl"),
        "--attention",
    )
    attention = json.loads(written.out.splitlines()[0])["attention"]
    assert attention["source"] == [str(step) for step in range(len(attention["weights"][0]))]
    refused = run("translate", "predict", tmp_path / "dev.jsonl", "-m", tmp_path / "m", "--replace-unknown")
    assert refused.lines[-1] == "error: replace_unknown is for texts, and this model reads sequences of vectors"
    assert run("translate", "evaluate", tmp_path, "-m", tmp_path / "m").status == 0
    assert run("data", "check", tmp_path, "--task", "translate", "--target", "text").out.count("cannot learn") == 0
    fault = "head: copy_source is for texts, not for sequences of vectors"
    assert fault in run(*train, "--set=head.copy_source=true", "--force").err


# --- pictures -----------------------------------------------------------------------------------------------------


def test_attention_is_drawn_and_written(model: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("matplotlib")
    picture, numbers = tmp_path / "a.png", tmp_path / "a.json"
    found = run("translate", "show", "-m", model, "a b c", "-o", picture, "--json", numbers)
    assert (found.status, found.out, found.lines) == (0, "mi lo ka\n", [])
    assert picture.read_bytes().startswith(b"\x89PNG")
    read = json.loads(numbers.read_text())
    assert (read["text"], read["source"], read["target"]) == ("mi lo ka", ["a", "b", "c"], ["mi", "lo", "ka", ""])
    assert np.array(read["weights"]).shape == (4, 3)
    given = run("translate", "show", "-m", model, "a b c", "--written", "so so", "-o", picture, "--json", numbers)
    assert (given.status, json.loads(numbers.read_text())["target"]) == (0, ["so", "so", ""])
    with pytest.raises(DataError, match=r"^a translation must be a text, found 3$"):
        seqkit.load(model).attention("a", 3)  # type: ignore[arg-type]
    empty = run("translate", "show", "-m", model, " ", "-o", picture)
    assert (empty.status, empty.lines) == (1, ["error: there is nothing to translate in an empty text"])
    assert run("translate", "show", "-m", model, "a", "-o", tmp_path / "a.gif").status == 2


# --- settings -----------------------------------------------------------------------------------------------------

SETTINGS: list[list[str]] = [
    ["--attention=dot"],
    ["--attention=additive", "--set=head.heads=2"],
    ["--set=head.feeding=false", "--cell=gru", "--set=head.layers=2", "--layers=2"],
    ["--set=head.cell=lstm_peephole", "--cell=mingru"],
    ["--set=head.window=3", "--set=head.attention_dropout=0.1"],
    ["--attention=additive", "--set=head.coverage=1"],
    ["--set=head.copy_source=true"],
    ["--set=head.tied=true", "--set=head.smoothing=0.1", "--set=head.word_dropout=0.1"],
    ["--set=head.sampling=0.2"],
    ["--set=data.shared=true", "--set=head.tied=true"],
    ["--unit=char"],
    ["--unit=bpe", "--set=data.bpe_size=270"],
    ["--unit=bpe", "--set=data.bpe_size=270", "--set=data.shared=true"],
    ["--set=data.source_unit=char"],
    ["--set=embedding.chars=cnn", "--set=embedding.char_features=4"],
    ["--direction=forward"],
    ["--direction=backward"],
    ["--set=training.batch_tokens=60", "--set=training.average=0.9"],
]


@pytest.mark.parametrize("flags", SETTINGS, ids=" ".join)
def test_every_setting_trains_is_saved_and_writes(flags: list[str], tmp_path: Path, run: Run) -> None:
    for number, (split, size) in enumerate({"train": 24, "dev": 6}.items()):
        write(tmp_path, split, pairs(size, number))
    place = trained(tmp_path, tmp_path, *flags, epochs=1)
    loaded = seqkit.load(place)
    answers = [each.text for each in loaded.predict(["a b", "", "c zz"], beam=2)]
    found = run("translate", "predict", "-m", place, "--beam", 2, stdin="a b\n\nc zz\n")
    assert (found.status, found.out.split("\n")[:3]) == (0, answers)
    loaded.network.train()
    records = [loaded.record({"xx": source, "yy": target}) for source, target in pairs(6, 3)]
    rows = np.arange(len(records))
    encoded = loaded.encode(loaded.input.collate(loaded.input.arrays(records), rows))
    loaded.head.loss(encoded, loaded.head.targets(records).collate(rows)).mean.backward()
    parameters = dict(loaded.network.named_parameters())
    assert not [name for name, each in parameters.items() if each.grad is None or not each.grad.isfinite().all()]


def test_settings_that_do_not_fit(data: Path, tmp_path: Path, run: Run) -> None:
    def refused(*flags: str) -> str:
        found = run("translate", "train", data, "--source=xx", "-o", tmp_path / "m", *flags)
        assert found.status in (1, 2)
        return str(found.lines[-1])

    assert "head: coverage needs attention additive" in refused("--set=head.coverage=1")
    assert "copy_source needs smoothing 0" in refused("--set=head.copy_source=true")
    assert "dot needs vectors of one size" in refused("--attention=dot", "--set=head.hidden=40")
    assert "data.shared needs trained vectors of one size" in refused(
        "--set=data.shared=true", "--set=embedding.word_size=9"
    )
    assert "source and target must be different fields" in refused("--target=xx")
    found = run("translate", "train", data, "-o", tmp_path / "m")
    expected = f"error: {data} has the texts xx, yy; say what to translate: --source xx --target yy"
    assert (found.status, found.lines[-1]) == (1, expected)
    assert "there is no text 'zz'; these are parallel: xx, yy" in refused("--target=zz")


def test_files_that_are_not_parallel(data: Path, tmp_path: Path, run: Run) -> None:
    write(tmp_path, "train", pairs(9, 1))
    with (tmp_path / "train.xx").open("a", encoding="utf-8") as stream:
        stream.write("a\n")
    found = run("translate", "train", tmp_path, "--source=xx", "-o", tmp_path / "m")
    place, fault = tmp_path / "train.xx", "parallel files have as many lines as each other, and train.yy ends here"
    assert (found.status, found.lines[-1]) == (1, f"error: {place}:10: {fault}")


def test_data_are_checked_and_counted_as_pairs(data: Path, tmp_path: Path, run: Run) -> None:
    found = run("data", "check", data, "--task", "translate")
    shared = [line for line in found.out.splitlines() if "the pair is also in" in line]
    assert found.status == (1 if shared else 0)
    assert "seqkit translate would learn from 'yy'; train 240, dev 30, test 30" in found.out
    write(tmp_path, "train", [("a", "ka"), ("b", "lo")])
    write(tmp_path, "dev", [("c", "mi"), ("b", "lo")])
    found = run("data", "check", tmp_path)
    place = f"{tmp_path / 'dev.xx'}:2"
    expected = f"{place}: the pair is also in train, at {tmp_path / 'train.xx'}:2; remove one"
    assert (found.status, found.out.splitlines()) == (1, [expected])
    counted = run("data", "stats", tmp_path, "--text", "yy", "--json", "-")
    assert json.loads(counted.out)["train"]["types"] == 2
    assert "counted are the texts of 'yy'; --text chooses another" in counted.lines


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--set=head.window=0.01"], "window must be 0 or at least 0.1, found 0.01"),
        (["--set=head.reading=3"], "head.reading is for head.cell sc_lstm: leave it out"),
        (["--set=encoder.variational=true", "--set=head.layers=2"], "encoder.variational needs head.layers 1, or all"),
        (["--set=head.copy_source=true", "--set=head.sampling=0.2"], "copy_source needs sampling 0: sampling reads"),
    ],
)
def test_settings_that_would_not_do_what_they_say(
    flags: list[str], message: str, data: Path, tmp_path: Path, run: Run
) -> None:
    found = run("translate", "train", data, "--source=xx", "-o", tmp_path / "m", *TINY, *flags)
    assert found.status == 2 and message in found.lines[-1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--beam", 1, "--nbest", 3], "a --beam of 1 finds no 3 texts; widen it to 3"),
        (["--max-ratio", 1e9], "expected at most 1000, found 1000000000.0"),
        (["--detokenize", "klingon"], "needs a language as en or de, found 'klingon'"),
    ],
)
def test_options_that_would_not_do_what_they_say(flags: list[Any], message: str, model: Path, run: Run) -> None:
    found = run("translate", "-m", model, *flags, stdin="a\n")
    assert found.status == 2 and message in found.lines[-1]


def test_reranking_is_for_dialogue_acts(model: Path, run: Run) -> None:
    found = run("translate", "-m", model, "--rerank", "none", stdin="a\n")
    assert (found.status, found.lines) == (1, ["error: rerank is for models that read dialogue acts; leave it out"])


# --- what a new user has to be told -------------------------------------------------------------------------------


def test_scores_compare_texts_of_one_form(tmp_path: Path, run: Run) -> None:
    rows = [(source + ".", target.capitalize() + ".") for source, target in pairs(200, 1, longest=3)]
    for split, part in (("train", rows), ("dev", rows[:20])):
        write(tmp_path, split, part)
    told = "translations have spaces between words and punctuation, and so have the texts they are compared with"
    found = run(
        "translate", "train", tmp_path, "--source=xx", "-o", tmp_path / "m", *TINY, "--epochs=12", "--splitter=words"
    )
    assert any(line.startswith(told) for line in found.lines)
    evaluated = run("translate", "evaluate", tmp_path, "-m", tmp_path / "m", "--json", tmp_path / "s", "--errors", "-")
    scores = json.loads((tmp_path / "s").read_text())
    assert scores["exact_match"] > 0.8
    assert (scores["wer"] == 0) == (scores["ter"] == 0) == (scores["exact_match"] == 1) == (not evaluated.out)
    spaces = run(
        "translate", "train", tmp_path, "--source=xx", "-o", tmp_path / "n", *TINY, "--epochs=1", "--splitter=spaces"
    )
    assert spaces.status == 0 and told not in spaces.err


def test_unknown_units_of_sources_are_counted(model: Path, run: Run) -> None:
    assert run("translate", "-m", model, stdin="a zz\nyy b\n").lines[-1] == "2 of the units are unknown to the model"
    assert "unknown" not in run("translate", "-m", model, stdin="a b\n").err


def test_what_cannot_replace_anything_is_refused(model: Path, run: Run) -> None:
    found = run("translate", "-m", model, "--replace-unknown", stdin="a\n")
    told = "error: replace_unknown: this model has not learned to write the unknown unit; train with"
    assert found.status == 1 and found.lines[-1].startswith(told)
    with pytest.raises(SettingsError, match=r"^translate gives the best text; predict gives the n best$"):
        seqkit.load(model).translate("a", nbest=2)


def test_a_factor_may_be_called_as_a_format_is(tmp_path: Path, run: Run) -> None:
    for split in ("train", "dev"):
        write(tmp_path, split, pairs(12, 1))
        (tmp_path / f"{split}.pos").write_bytes((tmp_path / f"{split}.xx").read_bytes())
    flags = ["--source=xx", "--target=yy", "--set=data.factors=pos", "--epochs=1", *TINY]
    assert run("translate", "train", tmp_path, "-o", tmp_path / "m", *flags).status == 0


def test_letters_and_acts_are_told_where_words_were_read(tmp_path: Path, run: Run) -> None:
    rows = "".join(f"day {number}\td{number}\n" for number in range(40))
    (tmp_path / "days.tsv").write_text(rows, encoding="utf-8")
    found = run("translate", "train", tmp_path / "days.tsv", "--epochs", 1, "-o", tmp_path / "m", *TINY)
    assert sum("write their letters: --unit char" in line for line in found.lines) == 1
    acts = "".join(f"inform(name={number})\tit is {number}\n" for number in range(20))
    (tmp_path / "acts.tsv").write_text(acts, encoding="utf-8")
    found = run("translate", "train", tmp_path / "acts.tsv", "--epochs", 1, "-o", tmp_path / "n", *TINY)
    told = "the texts of 'source' are dialogue acts; --set data.source_unit=act reads them as such"
    assert told in found.lines


# --- files that are read stay as they are -------------------------------------------------------------------------


def test_no_output_replaces_what_is_read(data: Path, model: Path, second: Path, tmp_path: Path, run: Run) -> None:
    words = tmp_path / "words.tsv"
    words.write_text("n7\tseven\n", encoding="utf-8")
    before = {file: file.read_bytes() for file in (second / "config.json", second / "weights.safetensors", words)}
    replaced = ["--replace-unknown", "--dictionary", words]
    for flags in (
        ["-m", f"{model},{second}", "--errors", second / "config.json"],
        ["-m", model, "--ensemble", second, "--json", second / "weights.safetensors"],
        ["-m", model, *replaced, "--errors", words],
    ):
        found = run("translate", "evaluate", data, *flags)
        assert found.status == 1 and "this command reads it" in found.lines[-1]
    assert {file: file.read_bytes() for file in before} == before
    picture = tmp_path / "x.png"
    found = run("translate", "show", "-m", model, "a", "-o", picture, "--json", picture)
    assert found.status in (1, 2) and not picture.exists()


def test_a_line_break_that_was_written_is_no_line(tmp_path: Path, run: Run) -> None:
    rows = [{"xx": "a b", "yy": "k\nl"}] * 60
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    place = trained(tmp_path, tmp_path, "--target=yy", "--unit=char", epochs=8)
    found = run("translate", "-m", place, stdin="a b\n")
    assert (found.status, found.out) == (1, "")
    assert found.lines[-1] == "error: <stdin>:1: what was written has a line break; use --output-format jsonl"
    assert json.loads(run("translate", "-m", place, "--output-format=jsonl", stdin="a b\n").out)["text"] == "k\nl"


def test_standard_input_that_looks_like_json_lines_is_read_as_text_and_told(model: Path, run: Run) -> None:
    told = "<stdin>: read as text, though it looks like JSON Lines; --format jsonl reads its fields"
    row = '{"source": "a b"}\n'
    assert told in run("translate", "-m", model, stdin=row).lines
    for flags in ((), ("--format=text",), ("--format=jsonl",), ("--quiet",)):
        assert told not in run("translate", "-m", model, *flags, stdin=row if flags else "a b\n" + row).lines


# --- parallel files that do not fit -------------------------------------------------------------------------------


def test_parallel_files_that_lack_something_are_told(tmp_path: Path, run: Run) -> None:
    for split in ("train", "dev"):
        write(tmp_path, split, pairs(12, 1))

    def told() -> str:
        found = run("translate", "train", tmp_path, "--source=xx", "--epochs=1", "-o", tmp_path / "m", *TINY)
        assert found.status in (1, 2)
        return str(found.lines[-1])

    dev = (tmp_path / "dev.yy").read_bytes()
    (tmp_path / "dev.yy").unlink()
    assert told() == f"error: {tmp_path / 'dev.xx'}: dev.yy should be beside it"
    (tmp_path / "dev.yy.gz").write_bytes(gzip.compress(dev))
    assert "several dev files: dev.xx, dev.yy.gz; compress all parallel files or none" in told()
    (tmp_path / "dev.yy.gz").unlink()
    (tmp_path / "dev.yy").write_bytes(dev)
    for split in ("train", "dev"):
        (tmp_path / f"{split}.zz").write_bytes((tmp_path / f"{split}.yy").read_bytes())
    assert "has the texts xx, yy, zz; say which to write: --target yy or --target zz" in told()


def test_all_parallel_files_are_in_the_encoding_that_is_given(tmp_path: Path, run: Run) -> None:
    for split, numbers in (("train", range(12)), ("dev", range(12, 16))):
        for word, text in (("xx", "caf\xe9"), ("yy", "\xfcber")):
            (tmp_path / f"{split}.{word}").write_bytes("".join(f"{text} {n}\n" for n in numbers).encode("latin-1"))
    checked = run("data", "check", tmp_path, "--task=translate", "--source=xx", "--target=yy", "--encoding=latin-1")
    assert checked.status == 0 and "caf\xe9 0  \xfcber 0" in checked.out
    known = ("--source=xx", "--encoding=latin-1", "--epochs=1")
    assert run("translate", "train", tmp_path, *known, "-o", tmp_path / "m", *TINY).status == 0
    target = json.loads((tmp_path / "m" / "target.json").read_text("utf-8"))
    assert "'\xfcber'" in str(target)


def test_columns_that_are_not_named_are_told_with_the_flags_of_translation(tmp_path: Path, run: Run) -> None:
    (tmp_path / "h.tsv").write_text("en\tde\na\tb\n", encoding="utf-8")
    found = run("translate", "train", tmp_path / "h.tsv", "--source=en", "-o", tmp_path / "m")
    assert found.status == 1 and found.lines[-1].endswith("; say which is which: --source NAME --target NAME")
    (tmp_path / "h.tsv").write_text("a\tb\tc\n" * 3, encoding="utf-8")
    found = run("translate", "train", tmp_path / "h.tsv", "-o", tmp_path / "m")
    assert found.status == 1 and "expected 2 columns (source and target) or a header" in found.lines[-1]


# --- kill and resume ----------------------------------------------------------------------------------------------


def test_a_killed_run_ends_in_the_same_weights(data: Path, tmp_path: Path) -> None:
    flags = [*TINY, "--set=head.dropout=0.2", "--epochs=6", "--quiet", "--source=xx"]
    assert main(["translate", "train", str(data), "-o", str(tmp_path / "whole"), *flags]) == 0
    command = [sys.executable, "-m", "seqkit", "translate", "train", str(data), "-o", str(tmp_path / "cut"), *flags]
    process = subprocess.Popen([*command, "--resume"], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (tmp_path / "cut" / "train.jsonl").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert main(["translate", "train", str(data), "-o", str(tmp_path / "cut"), *flags, "--resume"]) == 0
    one, other = (seqkit.load(tmp_path / name).weights() for name in ("whole", "cut"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_pipe_is_translated_as_it_comes(model: Path) -> None:
    command = [sys.executable, "-m", "seqkit", "translate", "predict", "-m", str(model), "--quiet"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"a b\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"lo ka\n"
        process.stdin.close()
        assert process.wait(30) == 0
