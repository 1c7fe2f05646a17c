"""What a character language model makes of a word where it stands, and a tagger that is given it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.config import override, parse_assignments
from seqkit.errors import ModelError, TrainingError
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.inputs.context import ContextFeatures
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load
from seqkit.records import Sentence
from seqkit.training.run import run

Make = Callable[..., Any]

LINES = ["Ada met Bo in Oslo", "Cleo saw the Rome", "Dov knew Lima and Pisa"] * 4
SENTENCES = [
    tokens.split()
    for tokens in ("Ada met Bo", "", "Rome", "a b c d e f g h i j k", "never-seen ζ 😀 words !", "Lima a")
]
RECORDS = [Sentence.from_tokens(tokens) for tokens in SENTENCES]


def lm_settings(*assignments: str) -> LmSettings:
    tree = {
        "data": {"unit": "char"},
        "embedding": {"word_size": 6, "dropout": 0.3},
        "encoder": {"hidden": 5, "layers": 1, "dropout": 0.3},
        "training": {"epochs": 1, "batch_size": 4, "lr": 0.02},
    }
    return override(override(LmSettings(), tree), parse_assignments(assignments))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Language models. Not to be changed."""
    folder = tmp_path_factory.mktemp("models")
    wanted = {
        "both": lm_settings("encoder.direction=both", "encoder.layers=2"),
        "forward": lm_settings(),
        "other": lm_settings("training.seed=2"),
        "lowercase": lm_settings("encoder.direction=both", "data.lowercase=true", "encoder.cell=gru"),
        "words": lm_settings("data.unit=word"),
        "bpe": lm_settings("data.unit=bpe", "data.bpe_size=260"),
    }
    for name, settings in wanted.items():
        run(settings, folder / name, LINES, dev=LINES[:2], device="cpu")
    return {name: folder / name for name in wanted}


def features_of(directory: Path) -> ContextFeatures:
    return ContextFeatures.of(load(directory, task="lm", network=True))


def by_hand(model: LanguageModel, tokens: list[str]) -> Tensor:
    """Each direction of each level by itself, a character at a time."""
    encoder, table = model.network.encoder, model.network.input.embedding.table
    assert table is not None
    text = "\n" + " ".join(tokens) + "\n"
    ends = [len("\n" + " ".join(tokens[: number + 1])) - 1 for number in range(len(tokens))]
    starts = [end - len(token) + 1 for end, token in zip(ends, tokens, strict=True)]
    inputs = [table[model.input.indexer.words.indices([model.input.indexer.normalise(c)])[0]] for c in text]
    halves = []
    for stack, (direction,) in enumerate(encoder.directions):
        steps = range(len(text)) if direction == "forward" else range(len(text) - 1, -1, -1)
        layers = encoder.layers[stack * len(encoder.layers) // len(encoder.directions) :]
        values = dict(enumerate(inputs))
        for layer in layers[: len(encoder.layers) // len(encoder.directions)]:
            state = None
            for step in steps:
                output, state = layer(values[step].view(1, 1, -1), state)
                values[step] = output.flatten()
        halves.append(torch.stack([values[place] for place in (ends if direction == "forward" else starts)]))
    return torch.cat(halves, 1)


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["both", "forward", "lowercase"])
@torch.no_grad()
def test_features_are_the_states_at_the_words_borders(name: str, models: dict[str, Path]) -> None:
    model = load(models[name], task="lm", network=True)
    features = ContextFeatures.of(model)
    found = features(SENTENCES)
    assert found.shape == (sum(map(len, SENTENCES)), features.size)
    assert features.size == (5 if name == "forward" else 10)
    expected = torch.cat([by_hand(model, tokens) for tokens in SENTENCES if tokens])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert len({tuple(row) for row in found.tolist()}) == len(found)


def test_features_do_not_depend_on_batch_mates_or_batch_size(models: dict[str, Path]) -> None:
    features = features_of(models["both"])
    whole = features(SENTENCES)
    alone = torch.cat([features([sentence]) for sentence in SENTENCES])
    torch.testing.assert_close(whole, alone, atol=1e-6, rtol=1e-5)
    for batch_tokens in (1, 20, 50):
        torch.testing.assert_close(features(SENTENCES, batch_tokens), whole, atol=1e-6, rtol=1e-5)
    again = features(SENTENCES[::-1]).split([len(sentence) for sentence in SENTENCES[::-1]])
    torch.testing.assert_close(torch.cat(again[::-1]), whole, atol=1e-6, rtol=1e-5)
    assert features([]).shape == features([[]]).shape == (0, 10)


@pytest.mark.parametrize("name", ["both", "forward", "lowercase"])
@pytest.mark.parametrize("window", [1, 7, 20])
def test_a_long_sentence_is_read_in_windows(
    name: str, window: int, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    features = features_of(models[name])
    whole = features(SENTENCES)
    monkeypatch.setattr("seqkit.inputs.context._WINDOW", window)
    torch.testing.assert_close(features(SENTENCES), whole, atol=1e-6, rtol=1e-5)


def test_each_half_sees_one_side(models: dict[str, Path]) -> None:
    """The forward half nothing to the right of the word, the backward half nothing to the left."""
    features = features_of(models["both"])
    one, two = (features([text.split()]) for text in ("Ada met Bo in", "Ada met Al on"))
    assert torch.equal(one[:2, :5], two[:2, :5])
    assert not torch.isclose(one[:2, 5:], two[:2, 5:]).all(1).any()
    one, two = (features([text.split()]) for text in ("Ada met Bo in", "Eva saw Bo in"))
    torch.testing.assert_close(one[2:, 5:], two[2:, 5:])
    assert not torch.isclose(one[2:, :5], two[2:, :5]).all(1).any()


def test_dropout_and_training_change_nothing(models: dict[str, Path]) -> None:
    features = features_of(models["both"])
    before = features(SENTENCES)
    features.network.train()
    assert torch.equal(features(SENTENCES), before)
    assert not any(parameter.requires_grad for parameter in features.network.parameters())


@pytest.mark.parametrize(("name", "unit"), [("words", "word"), ("bpe", "bpe")])
def test_a_model_of_other_units_is_refused(name: str, unit: str, models: dict[str, Path]) -> None:
    with pytest.raises(ModelError) as caught:
        features_of(models[name])
    assert str(caught.value) == f"the context needs a language model of characters (--unit char), found unit {unit}"


# --- taggers ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tagger(models: dict[str, Path], make_pairs: Make, tiny_settings: Make, tmp_path_factory: Any) -> tuple[Path, Any]:
    """A tagger with context, where the language model is gone, and what it predicted before that."""
    folder = tmp_path_factory.mktemp("tagger")
    shutil.copytree(models["both"], folder / "lm")
    settings = tiny_settings(f"embedding.context={folder / 'lm'}", "training.epochs=3")
    model = run(settings, folder / "model", make_pairs(24), dev=make_pairs(6, 1), device="cpu").model
    shutil.rmtree(folder / "lm")
    return folder / "model", list(model.predict(RECORDS, probs=True))


def test_a_tagger_has_its_context_with_it(tagger: tuple[Path, Any], models: dict[str, Path]) -> None:
    model = load(tagger[0])
    assert model.input.context is not None
    assert model.settings.embedding.context == "lm"
    assert model.network.encoder.input_size == model.network.input.embedding.output_size + model.input.context.size
    again = list(model.predict(RECORDS, probs=True))
    assert [(r.labels, r.probs) for r in again] == [(r.labels, r.probs) for r in tagger[1]]
    # Training has not touched it.
    theirs = load(models["both"]).network.state_dict()
    kept = {name: p for name, p in model.network.state_dict().items() if name.startswith("input.context.")}
    assert len(kept) == sum(not name.startswith("head.") for name in theirs)
    for name, tensor in kept.items():
        assert torch.equal(tensor, theirs[name.removeprefix("input.context.")])
    ours = [p for name, p in model.network.named_parameters() if not name.startswith("input.context.")]
    assert sum(model.parameter_counts().values()) == sum(parameter.numel() for parameter in ours)


def test_a_sentence_is_tagged_alike_alone_and_among_others(tagger: tuple[Path, Any]) -> None:
    model = load(tagger[0])
    for sentence, among in zip(SENTENCES, tagger[1], strict=True):
        alone = model.tag(sentence, probs=True)
        assert alone.labels == among.labels
        assert alone.probs == pytest.approx(among.probs, abs=1e-5)
    small = list(model.predict(RECORDS, probs=True, batch_tokens=3, ahead=2))
    assert [record.labels for record in small] == [record.labels for record in tagger[1]]


def test_the_tagger_reads_its_context(tagger: tuple[Path, Any]) -> None:
    model = load(tagger[0])
    before = model.tag("Ada met Bo", probs=True).probs
    with torch.no_grad():
        for parameter in model.network.input.context.parameters():  # type: ignore[union-attr]
            parameter.mul_(-3)
    assert model.tag("Ada met Bo", probs=True).probs != before


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ([], "context.json: expected the settings and vocabularies of a language model"),
        ({"settings": {"task": "tag"}, "vocabularies": {}}, "context.json: expected the settings and vocabularies"),
        ({"settings": {"task": "lm"}, "vocabularies": 1}, "context.json: expected the settings and vocabularies"),
        (
            {"settings": {"task": "lm"}, "vocabularies": {}},
            "context.json: words.json is missing among the model's files: ",
        ),
        (
            {"settings": {"task": "lm", "x": 1}, "vocabularies": {}},
            "context.json: x: unknown name, expected one of task, ",
        ),
        ({"settings": 1, "vocabularies": {}}, "context.json: expected the settings and vocabularies"),
    ],
)
def test_a_damaged_context_is_a_fault_of_the_model(document: object, found: str) -> None:
    with pytest.raises(ModelError) as caught:
        ContextFeatures.restore(document, "context.json")
    assert str(caught.value).startswith(found)


def test_a_document_says_all_but_the_weights(models: dict[str, Path]) -> None:
    features = features_of(models["lowercase"])
    again = ContextFeatures.restore(features.document(), "here")
    again.network.load_state_dict(features.network.state_dict())
    assert torch.equal(again(SENTENCES), features(SENTENCES))


def test_a_language_model_may_have_given_vectors(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("a 1 2 3\nd 2 0 1\n")
    given = lm_settings(f"embedding.vectors={tmp_path / 'vectors.txt'}", "embedding.vectors_join=concat")
    run(given, tmp_path / "lm", LINES, dev=LINES[:2], device="cpu")
    settings = tiny_settings(f"embedding.context={tmp_path / 'lm'}", "training.epochs=1")
    model = run(settings, tmp_path / "model", make_pairs(12), dev=make_pairs(4, 1), device="cpu").model
    again = load(tmp_path / "model")
    assert model.input.context is not None and again.input.context is not None
    assert torch.equal(again.input.context(SENTENCES), model.input.context(SENTENCES))
    assert [r.labels for r in again.predict(RECORDS)] == [r.labels for r in model.predict(RECORDS)]


def test_a_checkpoint_is_taken_up_only_with_its_own_context(
    models: dict[str, Path], make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    def settings(name: str, epochs: int) -> TagSettings:
        return tiny_settings(f"embedding.context={models[name]}", f"training.epochs={epochs}")

    options = {"dev": make_pairs(6, 1), "device": "cpu", "resume": True}
    run(settings("forward", 1), tmp_path / "a", make_pairs(12), **options)
    with pytest.raises(TrainingError, match="expected a checkpoint with checksum of the data"):
        run(settings("other", 2), tmp_path / "a", make_pairs(12), **options)
    run(settings("forward", 2), tmp_path / "a", make_pairs(12), **options)
    run(settings("forward", 2), tmp_path / "b", make_pairs(12), **options)
    assert (tmp_path / "a" / "weights.safetensors").read_bytes() == (
        tmp_path / "b" / "weights.safetensors"
    ).read_bytes()
