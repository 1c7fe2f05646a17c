"""A language model as a part of a tagger, on a toy language whose syllables have several signs each."""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seqkit
from seqkit.config import override, parse_assignments
from seqkit.corpora.resolve import resolve
from seqkit.errors import ModelError, SettingsError
from seqkit.formats.arrays import ArraySource
from seqkit.heads.frame_model.settings import FrameModelSettings
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.frame_model import FrameLanguageModel
from seqkit.model.fusion import over_labels
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.tagger import Tagger
from seqkit.records import FrameRecord, Sentence

SIGNS = {"ka": "αβγ", "mi": "δε", "to": "ζ"}
"""the signs that a syllable may be written with"""
SMALL = {"embedding": {"word_size": 8, "chars": "none", "word_dropout": 0.0}, "encoder": {"hidden": 4}}


def written(seed: int, count: int) -> list[tuple[list[str], list[str]]]:
    """Syllables and signs: which sign stands for a syllable depends on the sign before it."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        syllables, signs = draw.choices(list(SIGNS), k=draw.randrange(2, 7)), ["α"]
        for syllable in syllables:
            choice = SIGNS[syllable]
            signs.append(choice["αβγδεζ".index(signs[-1]) % len(choice)])
        found.append((syllables, signs[1:]))
    return found


def sentences(pairs: list[tuple[list[str], list[str]]]) -> list[Sentence]:
    return [Sentence.from_tokens(tokens, {"label": labels}) for tokens, labels in pairs]


def tagger(*assignments: str, labels: str = "", seed: int = 1) -> Tagger:
    torch.manual_seed(seed)
    tree = {**SMALL, "data": {"target": "label", "scheme": "none"}, "head": {"crf": False}}
    settings = override(override(TagSettings(), tree), parse_assignments(assignments))
    given = sentences(written(1, 30))
    if labels:
        given = [Sentence.from_tokens(["x"] * len(labels.split()), {"label": labels.split()})]
    model = Tagger.build(settings, given)
    with torch.no_grad():
        for parameter in model.network.head.parameters():
            parameter.normal_()
    return model


def counted(unit: str = "char", *assignments: str, lines: list[str] | None = None) -> NgramLanguageModel:
    units = {"char": Units.char, "word": Units.word, "bpe": lambda: Units.train_bpe(["ab"], 257)}[unit]()
    settings = override(LmSettings(), parse_assignments([f"data.unit={unit}", "head.ngram=3", *assignments]))
    text = lines or [units.separator.join(signs) for _, signs in written(1, 30)]
    return NgramLanguageModel.count(settings, units, Corpus.read(text, units))


def network(unit: str = "char") -> LanguageModel:
    torch.manual_seed(2)
    units = Units.char() if unit == "char" else Units.word()
    settings = override(LmSettings(), parse_assignments([f"data.unit={unit}", "encoder.hidden=6", "head.tied=false"]))
    corpus = Corpus.read([units.separator.join(signs) for _, signs in written(1, 30)], units)
    return LanguageModel.of_counts(settings, units, corpus.counts())


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories of language models."""
    folder = tmp_path_factory.mktemp("models")
    made: dict[str, Any] = {
        "counts": counted(),
        "words": counted("word"),
        "network": network(),
        "network of words": network("word"),
    }
    for name, model in made.items():
        model.save(folder / name)
    return {name: folder / name for name in made}


@pytest.mark.parametrize("name", ["counts", "words", "network", "network of words"])
@pytest.mark.parametrize("weight", [0.0, 0.6])
def test_the_best_are_those_of_enumeration_by_both_models(name: str, weight: float, models: dict[str, Path]) -> None:
    model, lm = tagger(), load(models[name], task="lm")
    labels = model.head.codec.tags.labels
    given = [["ka", "mi", "ka"], ["to"], ["mi", "ka"]]
    options: dict[str, Any] = {"lm": str(models[name]), "lm_weight": weight, "nbest": 300}
    found = list(model.predict(given, **options))
    for tokens, answer in zip(given, found, strict=True):
        (alone,) = model.predict([tokens], nbest=300)
        own = {tuple(each): math.log(prob) for each, prob in alone.alternatives or []}
        texts = list(itertools.product(labels, repeat=len(tokens)))
        said = lm.score([lm.input.units.separator.join(text) for text in texts])  # type: ignore[attr-defined]
        expected = {
            text: (own[text] + weight * one.log_prob, one.log_prob) for text, one in zip(texts, said, strict=True)
        }
        best = sorted(expected, key=lambda text: -expected[text][0])[:300]
        assert answer.alternatives is not None and answer.scores is not None
        assert [tuple(each) for each, _ in answer.alternatives] == best
        for (each, prob), scores in zip(answer.alternatives, answer.scores, strict=True):
            assert scores == pytest.approx(expected[tuple(each)], abs=1e-4)
            assert prob == pytest.approx(math.exp(own[tuple(each)]), rel=1e-4)
        assert answer.labels == list(best[0]) and answer.probs is None
        if not weight:
            assert answer.labels == alone.labels


@pytest.mark.parametrize("features", [2, 50])
def test_batches_equal_one_by_one(features: int, models: dict[str, Path]) -> None:
    """With fewer features than labels, scores of labels are computed in the search."""
    model = tagger(f"encoder.hidden={features}")
    assert model.head.module.late == (features == 2)
    given = [tokens for tokens, _ in written(5, 40)] + [[]]
    for name in ("counts", "network"):
        options: dict[str, Any] = {"lm": str(models[name]), "lm_weight": 0.8, "beam": 3, "nbest": 2}
        together = list(model.predict(given, **options))
        for tokens, answer in zip(given, together, strict=True):
            (alone,) = model.predict([tokens], **options)
            assert alone.labels == answer.labels and len(alone.labels) == len(tokens)
            assert [each for each, _ in alone.alternatives] == [each for each, _ in answer.alternatives or []]
        assert [one.labels for one in model.predict(given, batch_tokens=1, **options)] == [
            one.labels for one in together
        ]


# --- what does not fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "labels", "told"),
    [
        (
            ["head.crf=true"],
            "",
            "lm: labels by a CRF depend on each other, and are not searched with another model; train with --no-crf",
        ),
        (
            ["data.scheme=iob2"],
            "B-X I-X O",
            "lm: labels that mark spans depend on each other, and are not searched with another model; train with "
            "--no-crf --scheme none",
        ),
    ],
)
def test_labels_that_depend_on_each_other(changes: list[str], labels: str, told: str, models: dict[str, Path]) -> None:
    model = tagger(*changes, labels=labels)
    with pytest.raises(SettingsError) as caught:
        model.options({"lm": str(models["counts"])})
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("model", "labels", "told"),
    [
        (
            counted("bpe"),
            ["a"],
            "LM: a language model of unit bpe does not fit a tagger, of which every label has to be one unit; train "
            "one with --unit char or --unit word",
        ),
        (
            counted(),
            ["α", "NN", "VB"],
            "LM: every label of the tagger has to be one unit of the language model, whose units are characters, "
            "unlike 'NN', 'VB'; where labels are words, train one with --unit word",
        ),
        (
            counted("word"),
            ["α", " "],
            "LM: every label of the tagger has to be one unit of the language model, whose units are words, unlike "
            "' '; where labels are characters, train one with --unit char",
        ),
        (
            counted(),
            ["α", *"tuvwxyz"],
            "LM: the language model does not know 7 of the 8 labels of the tagger: 't', 'u', 'v', 'w', 'x', …; train "
            "it on a text in which they occur, with data.min_count 1",
        ),
    ],
)
def test_labels_that_are_no_units(model: NgramLanguageModel, labels: list[str], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        over_labels(model, labels, "LM")
    assert str(caught.value) == told


def test_labels_are_read_as_the_language_model_reads_words() -> None:
    model = counted("word", "data.lowercase=true", lines=["det noun verb"])
    found = over_labels(model, ["DET", "Noun"], "LM")
    assert found.units.tolist() == [model.input.indexer.words.index(word) for word in ("det", "noun")]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"lm_weight": 1.0}, "options: lm_weight needs a language model, lm"),
        ({"beam": 3}, "options: beam needs a language model, lm"),
        (
            {"lm": "x", "probs": True},
            "options: probs: there are none of labels that are searched for with a language model, lm",
        ),
        (
            {"lm": "x", "lag": 1},
            "options: lag: a search with a language model, lm, needs the whole sentence, which lag excludes",
        ),
    ],
)
def test_options_that_exclude_each_other(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        tagger().options(options)
    assert str(caught.value) == told


def test_a_stream_and_weights_that_are_no_numbers(models: dict[str, Path]) -> None:
    with pytest.raises(SettingsError) as caught:
        tagger("encoder.direction=forward").stream(lm=str(models["counts"]))
    assert str(caught.value) == "lm: a search with a language model needs the whole sentence, not a stream"
    lm = network()
    with torch.no_grad():
        for parameter in lm.network.head.parameters():
            parameter.fill_(math.nan)
    units = over_labels(lm, ["α"], "LM")
    with pytest.raises(ModelError) as caught_later:
        units.step(units.last, units.state)
    assert str(caught_later.value).startswith("LM: what the language model computes is not finite, or too large: ")


def test_a_language_model_of_something_else(tmp_path: Path) -> None:
    roll = FrameRecord(ArraySource(np.zeros((1, 6), np.float32)))
    FrameLanguageModel.build(override(FrameModelSettings(), {"encoder": {"hidden": 2}}), [roll]).save(tmp_path / "keys")
    with pytest.raises(SettingsError) as caught:
        tagger().options({"lm": str(tmp_path / "keys")})
    told = "expected a language model of text, found one of sequences of vectors"
    assert str(caught.value) == f"{tmp_path / 'keys'}: {told}"


# --- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    for seed, split, count in ((1, "train", 60), (2, "dev", 20), (3, "test", 30)):
        pairs = written(seed, count)
        rows = "".join("".join(f"{a}\t{b}\n" for a, b in zip(*pair, strict=True)) + "\n" for pair in pairs)
        (folder / f"{split}.tsv").write_text(rows, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained") / "tagger"
    tree = {**SMALL, "head": {"crf": False}, "training": {"epochs": 8, "lr": 0.05, "batch_size": 8}}
    seqkit.train(override(TagSettings(), tree), output, str(toy), device="cpu")
    return output


def test_a_language_model_helps_and_its_weight_is_found_on_dev(
    toy: Path, trained: Path, models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from seqkit.cli.main import main

    def scores(*flags: str) -> dict[str, Any]:
        asked = ["-m", str(trained), "--json", str(tmp_path / "scores.json"), "--device=cpu", *flags]
        assert main(["tag", "evaluate", str(toy), *asked]) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
        return found

    lm = f"--lm={models['counts']}"
    alone = scores()
    tuned = scores(lm, "--tune")
    assert f"tuned on dev: --lm-weight {tuned['lm_weight']:g}\n" in capsys.readouterr().err
    assert tuned["accuracy"] > alone["accuracy"]
    again = scores(lm, f"--lm-weight={tuned['lm_weight']}")
    assert again["accuracy"] == tuned["accuracy"]
    model = load(trained)
    on_dev = {}
    for weight in (0.125, 0.25, 0.5, 1.0, 2.0, tuned["lm_weight"]):
        found = model.evaluate(str(toy), "dev", lm=str(models["counts"]), lm_weight=weight)
        on_dev[weight] = found.report.accuracy
    assert on_dev[tuned["lm_weight"]] == max(on_dev.values())
    scores(lm, "--tune", "--split", "dev")
    assert "tuned on dev, the split that is scored here: --lm-weight" in capsys.readouterr().err
    assert main(["tag", "evaluate", str(toy / "test.tsv"), "-m", str(trained), lm, "--tune"]) == 1
    fault = "error: tune needs dev beside what is scored: give a folder or data set that has both"
    assert capsys.readouterr().err.splitlines()[-1] == fault


@pytest.mark.parametrize(("peak", "found"), [(0.0, 0.0), (11.0, 11.2), (0.45, 0.425)])
def test_the_weight_is_looked_for_from_nothing_to_large_ones(
    peak: float, found: float, toy: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    model = load(trained)
    report = lambda lm_weight, **_: SimpleNamespace(report=SimpleNamespace(score=-abs(lm_weight - peak)))  # noqa: E731
    monkeypatch.setattr(model, "evaluate_records", lambda records, **options: report(**options))
    assert model.tuned(resolve(toy), {}, None) == {"lm_weight": pytest.approx(found)}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--tune"], "error: tune needs a language model, --lm"),
        (["--tune", "--lm=x", "--lm-weight=2"], "error: --tune finds --lm-weight; leave one of them out"),
        (["--beam=3"], "error: --beam needs a language model, --lm"),
        (["--lm=nowhere"], "error: nowhere: expected a model directory with config.json, found none"),
    ],
)
def test_faults_of_evaluation(
    flags: list[str], told: str, toy: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from seqkit.cli.main import main

    assert main(["tag", "evaluate", str(toy), "-m", str(trained), "--device=cpu", *flags]) in (1, 2)
    assert capsys.readouterr().err.splitlines()[-1] == told


def test_every_output_format(trained: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    import io
    import sys

    from seqkit.cli.main import main

    def predicted(*flags: str) -> str:
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ka mi\n"), encoding="utf-8"))
            asked = ["-m", str(trained), "--quiet", "--device=cpu", f"--lm={models['counts']}", "--lm-weight=0.7"]
            assert main(["tag", "predict", *asked, *flags]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    whole = json.loads(predicted("--nbest=2", "--output-format=jsonl"))
    (first, second), labels = whole["nbest"], [token["label"] for token in whole["tokens"]]
    assert set(first) == {"labels", "prob", "score", "lm_log_prob"} and first["labels"] == labels
    assert first["score"] == pytest.approx(math.log(first["prob"]) + 0.7 * first["lm_log_prob"], abs=1e-3)
    assert first["score"] > second["score"]
    rows = [f"ka\t{labels[0]}\nmi\t{labels[1]}\n\n", "ka\t{}\nmi\t{}\n\n".format(*second["labels"])]
    assert predicted() == rows[0]
    assert predicted("--nbest=2") == (
        f"# nbest = 1 score = {first['score']:.4f}\n{rows[0]}# nbest = 2 score = {second['score']:.4f}\n{rows[1]}"
    )
    assert predicted("--nbest=2", "--output-format=inline") == "".join(
        "{:.4f}\tka_{} mi_{}\n".format(each["score"], *each["labels"]) for each in (first, second)
    )


def test_only_for_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from seqkit.cli.main import main

    (tmp_path / "config.json").write_text('{"settings": {"task": "tag", "input": "frames"}}', encoding="utf-8")
    assert main(["tag", "predict", "x.npy", "-m", str(tmp_path), "--lm=x"]) == 2
    told = "error: --lm is for words; the model reads sequences of vectors."
    assert capsys.readouterr().err.splitlines()[-1] == told
