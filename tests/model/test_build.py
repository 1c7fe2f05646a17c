from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import four_tasks
import numpy as np
import pytest
import torch

from seqkit.config import EncoderSettings
from seqkit.errors import DataError, SettingsError
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.inputs.base import Sources
from seqkit.inputs.building import build_encoder, pretrained_table
from seqkit.inputs.lookup import type_batch
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.language_model import LanguageModel
from seqkit.model.tagger import Tagger
from seqkit.records import Sentence


def build(settings: TagSettings, sentences: Sequence[Sentence], vectors: Vectors) -> Tagger:
    """An untrained model whose predictions are far from uniform."""
    torch.manual_seed(0)
    model = Tagger.build(settings, sentences, Sources(vectors=vectors))
    with torch.no_grad():
        for parameter in model.network.head.parameters():
            parameter.normal_()
    return model


@pytest.mark.parametrize("join", ["sum", "concat"])
def test_words_with_a_given_vector_are_not_unknown_though_unseen_in_training(
    join: str, make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    draw = np.random.default_rng(0)
    vectors = Vectors(["<unk>", "known", "Other", "ada", "0000"], draw.normal(size=(5, 8)).astype(np.float32))
    settings = tiny_settings(f"embedding.vectors_join={join}", "embedding.vectors=x", "embedding.chars=none")
    model = build(settings, make_sentences(8), vectors)

    def vector(word: str) -> torch.Tensor:
        table = model.input.indexer.table([word])
        return model.network.input.embedding.eval()(type_batch(table, np.array([0])))[0].detach()

    def probs(word: str) -> list[float]:
        found = model.tag([word, "saw", "Rome"], probs=True).probs
        assert found is not None
        return found

    if join == "concat":
        assert torch.equal(vector("known")[-8:], torch.from_numpy(vectors.matrix[1]).half().float())
    assert torch.equal(vector("KNOWN"), vector("known"))  # found in lower case
    assert torch.equal(vector("1984"), vector("0000"))  # found with its digits folded
    assert torch.equal(vector("unseen"), vector("<unk>"))
    assert torch.equal(vector("other"), vector("unseen"))  # the file has it with a capital only
    assert not torch.equal(vector("Other"), vector("unseen"))
    assert probs("unseen") == probs("neither")
    assert probs("known") != probs("unseen")
    assert probs("known") != probs("Other")


@pytest.mark.parametrize("chars", ["cnn", "lstm"])
def test_character_features_have_the_sizes_of_the_settings(chars: str) -> None:
    model = four_tasks.tagger({"embedding": {"chars": chars, "char_size": 5, "char_features": 8, "word_size": 6}})
    embedding = model.network.input.embedding
    shapes = [tuple(parameter.shape) for parameter in embedding.characters.parameters()]
    assert (len(model.input.indexer.characters), 5) in shapes
    assert embedding.output_size == 6 + 8


def test_taggers_fold_case_and_digits_and_models_of_text_do_not() -> None:
    tokens = ["Ada", "1984"]
    tagger = Tagger.build(TagSettings(), [Sentence.from_tokens(tokens, {"label": ["B-X", "O"]})])
    assert set(tagger.input.indexer.words.words[2:]) == {"ada", "0000"}
    assert set(tagger.input.indexer.characters.words[2:]) == set("Ada1984")
    units = Units.word("spaces")
    language_model = LanguageModel.of_counts(LmSettings(), units, Corpus.read(["Ada 1984"], units).counts())
    assert set(language_model.input.indexer.words.words[2:]) == {"Ada", "1984", "\n"}


@pytest.mark.parametrize(
    ("model", "commands"),
    [
        (four_tasks.tagger, ["tag predict -m THIS_FOLDER < text.txt"]),
        (four_tasks.classifier, ["classify predict -m THIS_FOLDER < text.txt"]),
        *(
            (make, ["lm score -m THIS_FOLDER < text.txt", "lm sample -m THIS_FOLDER --count 5"])
            for make in (four_tasks.language_model, four_tasks.ngram_model)
        ),
        (four_tasks.generator, ["generate sample -m THIS_FOLDER --condition kind=… --condition title=…"]),
    ],
)
def test_the_card_says_how_the_model_is_used(model: Callable[[], Any], commands: list[str]) -> None:
    before, _, rest = model().card().partition("```sh\n")
    assert before.startswith("# A seqkit ")
    assert rest.partition("```")[0].splitlines() == [f"seqkit {command}" for command in commands]


@pytest.mark.parametrize(
    ("make", "variational", "alike"),
    [
        (four_tasks.tagger, True, True),
        (four_tasks.tagger, False, True),
        (four_tasks.classifier, False, True),
        (four_tasks.language_model, True, True),
        (four_tasks.language_model, False, False),
    ],
)
def test_all_steps_of_a_text_share_the_dropout_mask_of_their_vectors(
    make: Callable[..., Any], variational: bool, alike: bool
) -> None:
    """But those of a language model without variational dropout."""
    embedding = {"word_size": 64, "dropout": 0.5, "word_dropout": 0.0}
    model = make({"embedding": embedding, "encoder": {"variational": variational}})
    seen: list[torch.Tensor] = []
    model.network.encoder.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    batch = model.input.collate(model.input.arrays([model.record("a a a a a a a a")]), np.arange(1))
    model.network.train()
    model.network(batch)
    dropped = seen[0][0, 1:, :64] == 0  # [T, I], of steps with the same vector
    assert 0.2 < dropped.float().mean() < 0.8
    assert bool((dropped == dropped[0]).all()) == alike


def test_the_sum_starts_from_the_given_vectors(
    make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    vectors = Vectors(["ada"], np.full((1, 8), 0.5, dtype=np.float32))
    settings = tiny_settings("embedding.vectors_join=sum", "embedding.vectors=x", "embedding.chars=none")
    model = build(settings, make_sentences(8), vectors)
    table = model.input.indexer.table(["Ada", "saw"])
    found = model.network.input.embedding.eval()(type_batch(table, np.array([0, 1])))
    assert torch.equal(found.detach(), torch.tensor([[0.5] * 8, [0.0] * 8]))


def test_sizes_must_fit_to_be_added(
    make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    vectors = Vectors(["ada"], np.ones((1, 3), dtype=np.float32))
    with pytest.raises(SettingsError) as caught:
        build(tiny_settings("embedding.vectors_join=sum", "embedding.vectors=x"), make_sentences(2), vectors)
    assert str(caught.value) == "embedding: expected vectors of size 8 to add to the word table, found 3"


def test_vectors_alone_need_no_word_table(
    make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    vectors = Vectors(["ada"], np.ones((1, 3), dtype=np.float32))
    settings = tiny_settings("embedding.word_size=0", "embedding.chars=none", "embedding.vectors=x")
    assert build(settings, make_sentences(2), vectors).network.input.embedding.output_size == 3


def test_vectors_too_large_for_half_precision_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        pretrained_table(Sources(vectors=Vectors(["a"], np.array([[1e5, 0.0]], dtype=np.float32))))
    assert str(caught.value) == "the pretrained vectors have a value of 100000, but at most 65504 can be kept"


def test_the_encoder_begins_as_the_settings_say() -> None:
    settings = EncoderSettings(hidden=3, init="identity", init_gain=0.5, forget_bias=2.0)
    for layer in build_encoder(settings, 4).layers:
        for matrix in layer.recurrent_matrices():
            assert torch.equal(matrix, 0.5 * torch.eye(3))
        assert layer.forget_biases()[0].tolist() == [2.0] * 3
