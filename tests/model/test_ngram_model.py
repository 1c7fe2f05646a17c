from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from seqkit.config import override, parse_assignments
from seqkit.errors import DataError, ModelError, SettingsError
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load
from seqkit.model.ngram_model import NgramLanguageModel

TEXT = [
    "to be or not to be",
    "that is the question",
    "whether it is nobler",
    "",
    "to be is to do",
    "do be do be do",
] * 2


def build(*assignments: str) -> NgramLanguageModel:
    settings = override(LmSettings(), parse_assignments(["head.ngram=3", *assignments]))
    kind = settings.data.unit
    units = Units.train_bpe(TEXT, 270) if kind == "bpe" else Units.char() if kind == "char" else Units.word("spaces")
    return NgramLanguageModel.count(settings, units, Corpus.read(TEXT, units))


def ids_of(model: NgramLanguageModel, units: Iterable[str]) -> list[int]:
    """The id of each unit, those of unknown ones too."""
    return model.input.indexer.words.indices(map(model.input.indexer.normalise, units))


UNITS = ["data.unit=word", "data.unit=char", "data.unit=bpe", "data.min_count=3"]


# --- how likely a text is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", UNITS)
@pytest.mark.parametrize("ahead", [1, 5, 1000])
def test_scores_are_those_of_each_line_by_itself(variant: str, ahead: int) -> None:
    model = build(variant)
    lines = [*TEXT, "to unheard be", "unheard"]
    records = list(model.score(lines, ahead=ahead))
    assert [record.text for record in records] == lines
    for line, record in zip(lines, records, strict=True):
        numbers = [model.input.end, *ids_of(model, model.input.units.split(line)), model.input.end]
        steps = [
            model.kneser_ney.distributions(torch.tensor([numbers[:place]]).numpy())[0, numbers[place]]
            for place in range(1, len(numbers))
        ]
        assert record.log_prob == pytest.approx(sum(steps), abs=1e-9)
        assert (record.units, record.unknown) == (len(steps), numbers.count(1))
        assert json.loads(json.dumps(record.to_json()))["unknown"] == numbers.count(1)
    assert model.score(lines[0]) == records[0]


@pytest.mark.parametrize("variant", UNITS)
def test_a_text_is_as_likely_as_its_lines_are(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(variant)
    corpus = Corpus.read(TEXT, model.input.units)
    kept = TEXT if model.input.units.kind == "char" else [line for line in TEXT if line]
    expected = sum(record.log_prob for record in model.score(kept))
    for together in (1 << 20, 7, 2, 1):
        monkeypatch.setattr("seqkit.model.ngram_model._TOGETHER", together)
        assert model.log_prob(corpus) == pytest.approx(expected, abs=1e-6)
    assert model.log_prob(corpus, window=3, precision="bf16") == model.log_prob(corpus)
    assert model.perplexity(TEXT) == pytest.approx(math.exp(-expected / len(corpus)))
    with pytest.raises(DataError, match=r"^the text is empty$"):
        build().perplexity([""])


def test_there_is_nothing_to_adapt() -> None:
    model = build()
    with pytest.raises(SettingsError) as caught:
        model.perplexity(TEXT, dynamic=0.1)
    assert str(caught.value) == "dynamic evaluation needs a model with a network, not 3-gram Kneser-Ney"


def test_beside_another_model_it_tells_the_same_units_apart() -> None:
    settings = override(LmSettings(), {"data": {"max_words": 4}, "embedding": {"word_size": 4}})
    corpus = Corpus.read(TEXT, Units.word())
    network = LanguageModel.of_counts(settings, Units.word(), corpus.counts())
    ngram = NgramLanguageModel.beside(network.input, corpus, 2)
    assert ngram.input.indexer is network.input.indexer
    assert ngram.name == "2-gram Kneser-Ney"
    assert ngram.score("to be or not").unknown == network.score("to be or not").unknown > 0


# --- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", UNITS)
@pytest.mark.parametrize("options", [{}, {"temperature": 2.0}, {"top_k": 3}, {"top_p": 0.5}, {"beam": 6}])
def test_a_text_is_as_likely_as_the_model_says_of_it(variant: str, options: dict[str, Any]) -> None:
    model = build(variant)
    texts = model.sample(count=6, length=40, seed=1, **options)
    assert any(text.ended for text in texts)
    for text in texts:
        scored = model.score(text.text)
        assert scored.unknown == 0
        if text.ended and scored.units == text.units:  # byte pairs may also be put together in another way
            assert text.log_prob == pytest.approx(scored.log_prob, abs=1e-3)


def test_texts_are_drawn_as_likely_as_they_are() -> None:
    model = build("head.ngram=2")
    texts = [text.text.split(" ")[0] for text in model.sample(count=2000, length=1, lines=0, seed=3)]
    begin = model.kneser_ney.distributions(torch.tensor([[model.input.end]]).numpy())[0]
    known = math.fsum(math.exp(value) for value in begin[2:])
    for word in ("to", "that", "do", "nobler"):
        expected = math.exp(begin[model.input.indexer.words.index(word)]) / known
        assert texts.count(word) / len(texts) == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("prompt", ["", "to be", "to be\ndo", "to be\n"])
def test_a_text_begins_with_its_prompt_and_ends_with_its_line(prompt: str) -> None:
    model = build()
    texts = model.sample(prompt, count=4, length=60, lines=2, seed=3)
    assert texts == model.sample(prompt, count=4, length=60, lines=2, seed=3)
    for text in texts:
        assert text.text.startswith(prompt)
        assert not text.ended or text.text.count("\n") - prompt.count("\n") == 1
    (greedy,) = model.sample("whether it", length=20, temperature=0.0)
    assert greedy.text.startswith("whether it is nobler") or greedy.text.startswith("whether it is the")
    with pytest.raises(DataError, match=r"^the prompt has words that the model does not know: 'æ'$"):
        model.sample("æ")


# --- the artefact -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", [*UNITS, "head.ngram=1", "head.ngram=20"])
def test_a_model_read_back_predicts_the_same(variant: str, tmp_path: Path) -> None:
    model = build(variant)
    model.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, NgramLanguageModel)
    assert list(again.score(TEXT)) == list(model.score(TEXT))
    assert again.sample(count=3, length=20, seed=1) == model.sample(count=3, length=20, seed=1)
    assert (again.name, again.parameter_counts()) == (model.name, model.parameter_counts())
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"- No network: {model.name}, interpolated, modified, no cut-offs\n" in card
    assert "Encoder" not in card
    assert again.to("meta").device == torch.device("cpu")  # wherever it is sent
    assert list(again.score(TEXT)) == list(model.score(TEXT))
    with pytest.raises(ModelError) as caught:
        load(tmp_path, task="lm", network=True)
    assert str(caught.value) == f"{tmp_path}: a model with a network is needed, and this one has n-grams instead"


def test_its_numbers_are_counted() -> None:
    assert build("head.ngram=1").parameter_counts() == {"probabilities": 14, "backoffs": 0}
    model = build("head.ngram=2")
    second = model.kneser_ney.levels[1]
    assert model.parameter_counts() == {"probabilities": 14 + len(second.keys), "backoffs": 15}
    assert str(model) == f"2-gram Kneser-Ney, 14 + {len(second.keys)} n-grams"


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    """Change the weights of a model, and every checksum with them."""
    weights = safetensors.torch.load_file(directory / "weights.safetensors")
    change(weights)
    content = safetensors.torch.save(weights)
    (directory / "weights.safetensors").write_bytes(content)
    config = json.loads((directory / "config.json").read_text())
    fingerprint = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    config["files"]["weights.safetensors"] = fingerprint
    del config["checksum"]
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    config["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    (directory / "config.json").write_text(json.dumps(config, indent=2))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda w: w.pop("probability1"), "expected probability1 of one dimension in float32, found none"),
        (lambda w: w.pop("backoff2"), "expected backoff2 of one dimension in float32, found none"),
        (
            lambda w: w.update(keys2=w["keys2"].int()),
            "expected keys2 of one dimension in int64, found [23] in int32",
        ),
        (
            lambda w: w.update(probability2=w["probability2"].bfloat16()),
            "expected probability2 of one dimension in float32, found [23] in bfloat16",
        ),
        (
            lambda w: w.update(probability1=w["probability1"][:, None].clone()),
            "expected probability1 of one dimension in float32, found [15, 1] in float32",
        ),
        (
            lambda w: w.update(probability1=w["probability1"][:-1].clone()),
            "expected 15 and 15 numbers at order 1, found 14 and 15",
        ),
        (lambda w: w["keys3"].add_(10**12), "the keys of order 3 are not ascending numbers from 0 to 344"),
        (lambda w: w["keys2"].neg_(), "the keys of order 2 are not ascending numbers from 0 to 224"),
        (
            lambda w: w["probability1"][:1].fill_(math.nan),
            "unit 0 is padding and must have probability 0, found nan",
        ),
        (lambda w: w["probability3"].fill_(math.nan), "order 3 has probabilities outside 0 < p ≤ 1"),
        (lambda w: w["backoff1"].fill_(0.0), "order 1 has probabilities outside 0 < p ≤ 1"),
    ],
)
def test_a_file_that_is_no_model_gives_one_line(change: Callable[..., None], fault: str, tmp_path: Path) -> None:
    build().save(tmp_path)
    rewrite(tmp_path, change)
    with pytest.raises(ModelError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: weights.safetensors: {fault}")


def test_tensors_too_many_are_refused(tmp_path: Path) -> None:
    build().save(tmp_path)
    rewrite(tmp_path, lambda weights: weights.update(more=torch.zeros(1)))
    with pytest.raises(ModelError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: weights.safetensors: 'more' is no tensor of such a model"


@pytest.mark.parametrize(
    ("assignments", "fault"),
    [
        (
            ["training.init_from=other"],
            "head.ngram and training.init_from exclude each other: n-grams are counted from the text alone",
        ),
        (
            ["embedding.vectors=other"],
            "head.ngram and embedding.vectors exclude each other: n-grams are counted from the text alone",
        ),
        (["head.ngram=21"], "head.ngram: expected at most 20"),
        (["head.baseline=-1"], "head.baseline: expected at least 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(assignments: list[str], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(*assignments)
    assert fault in str(caught.value)
