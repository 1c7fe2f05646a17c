"""Settings, documents and weights that do not fit each other are refused before there is memory for any of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from seqkit.config import override
from seqkit.errors import ModelError
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.inputs.base import Documents, Sources
from seqkit.inputs.context import ContextFeatures
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.segmentation import Units
from seqkit.model.classifier import Classifier
from seqkit.model.files import read_config, write_config
from seqkit.model.generator import Generator
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load
from seqkit.model.tagger import Tagger
from seqkit.nn.recurrent import CELLS
from seqkit.records import Sentence, TextRecord

WEIGHTS = "weights.safetensors"
TINY = {"embedding": {"word_size": 6, "char_size": 3, "char_features": 4}, "encoder": {"hidden": 6}}
TEXTS = ["to be or not to be", "that is", "to be is to do"]


def sentences() -> list[Sentence]:
    """With labels of tokens, and of the whole."""
    made = []
    for text, label in zip(TEXTS, "aba", strict=True):
        tokens = text.split()
        made.append(Sentence.from_tokens(tokens, {"label": ["B-A" if token == "be" else "O" for token in tokens]}))
        made[-1].fields = {"label": label}
    return made


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = Tagger.build(override(TagSettings(), TINY), sentences())
    model.save(tmp_path / "model")
    return tmp_path / "model"


def changed(
    directory: Path,
    settings: dict[str, Any] | None = None,
    documents: dict[str, Any] | None = None,
    weights: Callable[[dict[str, Tensor]], object] | None = None,
) -> Path:
    """The same model with other content and the checksums of that."""
    config, files = read_config(directory)
    files |= {name: json.dumps(tree).encode() for name, tree in (documents or {}).items()}
    tensors = safetensors.torch.load(files[WEIGHTS])
    if weights is not None:
        weights(tensors)
        files[WEIGHTS] = safetensors.torch.save(tensors)
    for section, values in (settings or {}).items():
        config["settings"][section] |= values
    write_config(directory, {"settings": config["settings"]}, files)
    return directory


def fault_of(directory: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(directory)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        # Each asks for terabytes, where it does not ask for more than there can be.
        ({"encoder": {"hidden": 1_000_000}}, "expected encoder.stacks.0.layers.0.0.rnn.weight_ih_l0 as "),
        ({"encoder": {"hidden": 1_000_000, "layers": 100}}, "expected encoder.stacks.0.layers.1.0.rnn.bias_hh_l0"),
        ({"encoder": {"hidden": 1_000_000, "layers": 100, "skip": "dense"}}, "expected encoder.stacks.0.layers.1.0"),
        (
            {"encoder": {"hidden": 1_000_000, "cell": "clockwork"}},
            "expected encoder.stacks.0.layers.0.0.bias, found none",
        ),
        ({"encoder": {"hidden": 1_000_000, "cell": "mingru"}}, "expected encoder.stacks.0.layers.0.0.bias, found none"),
        (
            {"embedding": {"word_size": 1_000_000}},
            "expected input.embedding.table as float32 [9, 1000000], found float32 [9, 6]",
        ),
        ({"embedding": {"char_size": 1_000_000, "char_features": 1_000_000}}, "expected input.embedding.characters."),
        ({"embedding": {"chars": "lstm", "char_features": 1_000_000}}, "expected input.embedding.characters.encoder."),
    ],
)
def test_settings_that_ask_for_more_than_was_saved(settings: dict[str, Any], found: str, tagger: Path) -> None:
    message = fault_of(changed(tagger, settings))
    assert message.startswith(f"{tagger}: weights do not fit the model's settings: {found}")


def test_vocabularies_and_labels_that_ask_for_more_than_was_saved(tagger: Path) -> None:
    many = [f"w{number}" for number in range(100_000)]
    assert "[100002, 6], found float32 [9, 6]" in fault_of(
        changed(tagger, documents={"words.json": {"words": ["<pad>", "<unk>", *many]}})
    )
    labels = {"labels": ["O", *(f"B-{word}" for word in many)], "scheme": "iob2", "target": ""}
    expected = "expected 100001 × 100001 transitions between labels, found [5, 5]"
    message = fault_of(changed(tagger, documents={"labels.json": labels}))
    assert message == f"{tagger}: weights do not fit the model's settings: {expected}"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda w: w.pop("head.emission.bias"), "expected head.emission.bias, found none"),
        (lambda w: w.update(x=torch.zeros(1)), "expected no other, found 'x'"),
        (
            lambda w: w.update({"head.emission.bias": torch.zeros(6)}),
            "expected head.emission.bias as float32 [5], found float32 [6]",
        ),
        (
            lambda w: w.update({"head.emission.bias": torch.zeros(5, dtype=torch.int64)}),
            "expected head.emission.bias as float32 [5], found int64 [5]",
        ),
        (
            lambda w: w.update({"head.emission.bias": torch.tensor([0, 1, float("nan"), 3, 4])}),
            "expected finite numbers as head.emission.bias, found nan",
        ),
        (
            lambda w: w.update({"head.emission.bias": torch.tensor([0, 1, -float("inf"), 3, 4])}),
            "expected finite numbers as head.emission.bias, found -inf",
        ),
        (
            lambda w: w["head.crf.legal_transitions"].fill_(True),
            "expected head.crf.legal_transitions as the model's documents have it, found other values",
        ),
        (lambda w: w.pop("head.crf.legal_transitions"), "expected 5 × 5 transitions between labels, found none"),
    ],
)
def test_weights_of_another_form(change: Callable[[dict[str, Tensor]], object], found: str, tagger: Path) -> None:
    message = fault_of(changed(tagger, weights=change))
    assert message == f"{tagger}: weights do not fit the model's settings: {found}"


def test_a_scale_is_that_of_the_documents(tmp_path: Path) -> None:
    rows = [{"size": [0.0, 1.0], "text": "ab"}, {"size": [2.0, 3.0], "text": "ba"}]
    settings = override(GenerateSettings(), {**TINY, "data": {"condition": "size"}})
    Generator.build(settings, [TextRecord("", fields=row) for row in rows]).save(tmp_path)
    changed(tmp_path, weights=lambda w: w["head.condition.parts.0.scale"].zero_())
    expected = "expected head.condition.parts.0.scale as the model's documents have it, found other values"
    assert fault_of(tmp_path) == f"{tmp_path}: weights do not fit the model's settings: {expected}"


@pytest.mark.parametrize(
    ("table", "words", "found"),
    [
        (torch.zeros(4, 3), 9, "expected a table of 11 pretrained vectors, found one of [4, 3]"),
        (torch.zeros(4), 2, "expected a table of 4 pretrained vectors, found one of [4]"),
        (torch.zeros(5, 3), 2, "expected a table of 4 pretrained vectors, found one of [5, 3]"),
    ],
)
def test_a_table_of_pretrained_vectors_is_as_long_as_its_vocabulary(
    table: Tensor, words: int, found: str, tmp_path: Path
) -> None:
    settings = override(TagSettings(), {**TINY, "embedding": {"vectors": "x", "vectors_join": "concat"}})
    vectors = Vectors(["to", "be"], np.ones((2, 3), dtype=np.float32))
    Tagger.build(settings, sentences(), Sources(vectors=vectors)).save(tmp_path)
    assert load(tmp_path).network.input.embedding.vectors.shape == (4, 3)
    documents = {"vectors.json": {"words": ["<pad>", "<unk>", *map(str, range(words))]}}
    changed(tmp_path, None, documents, lambda w: w.update({"input.embedding.vectors": table.half()}))
    assert fault_of(tmp_path) == f"{tmp_path}: embedding: {found}"


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_model_of_texts_knows_their_end(end: str, tmp_path: Path) -> None:
    settings = override(LmSettings(), {**TINY, "embedding": {"chars": "none"}, "data": {"unit": "char"}})
    LanguageModel.of_counts(settings, Units.char(), Counter("abc\n")).save(tmp_path)
    words = ["<pad>", "<unk>", *(character for character in "abc\n" if character != end)]
    changed(tmp_path, documents={"words.json": {"words": [*words, *("d" * len(end))]}})
    if end:
        assert fault_of(tmp_path) == f"{tmp_path}: words.json: the end of a text is missing"
    else:
        load(tmp_path)


def test_documents_without_weights_have_none() -> None:
    documents = Documents({"a.json": []}, "here")
    assert documents.weight("a") is None
    assert "a.json" in documents and documents["a.json"] == []
    with pytest.raises(ModelError, match=r"^here: b\.json is missing among the model's files: a\.json$"):
        documents["b.json"]


def test_settings_of_no_network(tagger: Path) -> None:
    assert fault_of(changed(tagger, {"encoder": {"cell": "running_sum", "init": "orthogonal"}})).startswith(
        f"{tagger}: "
    )
    settings = {"embedding": {"word_size": 0, "chars": "none", "vectors": "x"}}
    found = "embedding: no features: use word embeddings, pretrained vectors or character features"
    assert fault_of(changed(tagger, settings)) == f"{tagger}: {found}"


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_predicts_as_before_it_was_saved(cell: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tree = {**TINY, "encoder": {"hidden": 7, "layers": 2, "cell": cell}, "head": {"pool": "attention"}}
    model = Classifier.build(override(ClassifySettings(), tree), sentences())
    model.network.eval()
    model.save(tmp_path)
    state = torch.get_rng_state()
    again = load(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    kept = model.network.state_dict()
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, kept[name]) and tensor.data_ptr() % 16 == 0
    trained = {name: parameter.requires_grad for name, parameter in model.network.named_parameters()}
    assert {name: parameter.requires_grad for name, parameter in again.network.named_parameters()} == trained
    tensors = [*again.network.parameters(), *again.network.buffers()]
    assert not any(tensor.is_meta for tensor in tensors)
    assert [found.probs for found in again.predict(TEXTS)] == [found.probs for found in model.predict(TEXTS)]
    # What was loaded can be trained on, and moved.
    again.to(torch.device("cpu")).network.train()
    again.network.head.loss(torch.zeros(1, 2, 14), torch.tensor([2]), torch.tensor([0])).backward()


def test_what_is_frozen_stays_so(tmp_path: Path) -> None:
    torch.manual_seed(0)
    language = override(LmSettings(), {**TINY, "data": {"unit": "char"}})
    around = ContextFeatures.of(LanguageModel.of_counts(language, Units.char(), Counter("".join(TEXTS))))
    model = Tagger.build(override(TagSettings(), TINY), sentences(), Sources(context=around))
    model.save(tmp_path)
    frozen = {name for name, parameter in model.network.named_parameters() if not parameter.requires_grad}
    again = load(tmp_path).network
    assert frozen and {name for name, each in again.named_parameters() if not each.requires_grad} == frozen


def test_loading_needs_none_of_what_torch_compiles_with(tagger: Path) -> None:
    """Operations without memory that are not in torch's core bring in hundreds of modules, for seconds."""
    code = (
        "import sys, torch, seqkit.model.tagger; from seqkit.model.loading import load; before = set(sys.modules); "
        f"load({str(tagger)!r}); sys.exit('sympy' in set(sys.modules) - before)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
