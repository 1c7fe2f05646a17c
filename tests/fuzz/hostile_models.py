"""Tiny models of every kind, changed by someone with bad intentions: every checksum is right."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from seqkit.cli.info import command as info
from seqkit.config import override
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.heads.translation.settings import TranslateSettings
from seqkit.inputs.base import Sources
from seqkit.inputs.context import ContextFeatures
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.base import Predictor
from seqkit.model.classifier import Classifier
from seqkit.model.files import CONFIG, _checksum, _fingerprint, _render, read_config
from seqkit.model.generator import Generator
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.tagger import Tagger
from seqkit.model.translator import Translator
from seqkit.records import Sentence, TextRecord

WEIGHTS = "weights.safetensors"
TINY: dict[str, Any] = {
    "embedding": {"word_size": 3, "char_size": 2, "char_features": 2},
    "encoder": {"hidden": 2, "layers": 1},
}
TEXT = ["to be or not", "to be", "do be do"]
PAIRS: list[dict[str, Any]] = [{"source": text, "target": text[::-1]} for text in ("to be", "or not", "b")]
ROWS: list[dict[str, Any]] = [
    {"kind": "a", "size": [0.0, 1.0], "title": "new", "text": "ab\n"},
    {"kind": "b", "size": [2.0, 1.0], "title": "old", "text": "ba\n"},
    {"kind": "a", "size": [0.0, 3.0], "title": "old", "text": "aab\n"},
]


@dataclass
class Saved:
    """A model directory, and what it holds.

    Attributes:
        directory: where it is.
        config: what ``config.json`` says.
        files: name → content of the others.
        use: uses the model a little.
    """

    directory: Path
    config: dict[str, Any]
    files: dict[str, bytes]
    use: Callable[[Any], object]

    def read(self, config: object, files: dict[str, bytes], device: str = "cpu") -> None:
        """Load the model with other content, every checksum right, use it, and put the old content back."""
        changed = [name for name in files if files[name] != self.files.get(name)]
        for name in changed:
            (self.directory / name).write_bytes(files[name])
        sealed(self.directory, config, files)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                model = load(self.directory, device)
                self.use(model)
                model.card()
                assert info.callback is not None
                info.callback(self.directory, False)
        finally:
            for name in changed:
                if name in self.files:
                    (self.directory / name).write_bytes(self.files[name])
                else:
                    (self.directory / name).unlink()


def sealed(directory: Path, config: object, files: dict[str, bytes]) -> None:
    """Write ``config.json`` with the checksums of files as they are, as far as its form allows."""
    config = copy.copy(config)
    if isinstance(config, dict):
        config.pop("checksum", None)
        if isinstance(config.get("files"), dict):
            known = {name: _fingerprint(files[name]) for name in config["files"] if name in files}
            config["files"] = {**config["files"], **known}
        config["checksum"] = _checksum(config)
        (directory / CONFIG).write_bytes(_render(config))
    else:
        (directory / CONFIG).write_bytes(json.dumps(config).encode())


def saved_models(folder: Path) -> dict[str, Saved]:
    """Make a model of each kind and save it."""
    torch.manual_seed(1)
    sentences = [
        Sentence.from_tokens(tokens, {"label": ["B-A" if token == "be" else "O" for token in tokens]})
        for tokens in map(str.split, TEXT)
    ]
    texts = [Sentence.from_tokens(text.split()) for text in TEXT]
    for text, label in zip(texts, "aba", strict=True):
        text.fields["label"] = label
    units = {"word": Units.word("spaces"), "char": Units.char(), "bpe": Units.train_bpe(TEXT, 260)}
    language = _tuned(LmSettings, {"data": {"unit": "char"}})
    character = LanguageModel.of_counts(language, units["char"], Corpus.read(TEXT, units["char"]).counts())
    tag, pos = _tuned(TagSettings), _tuned(TagSettings, {"data": {"scheme": "none"}, "head": {"crf": False}})
    given = _tuned(TagSettings, {"embedding": {"vectors": "x.txt"}})
    vectors = Vectors(["to", "be"], np.ones((2, 3), np.float32))
    words = _tuned(LmSettings, {"head": {"cutoffs": [3]}, "encoder": {"hidden": 4, "cell": "gru"}})
    pairs = _tuned(LmSettings, {"data": {"unit": "bpe"}, "head": {"tied": True}})
    written = _tuned(GenerateSettings, {"data": {"condition": "kind:label,size,title:text"}})
    small = {"head": {"hidden": 4, "size": 4}, "embedding": {"word_size": 4}}
    from_words = override(_tuned(TranslateSettings, small), {"data": {"unit": "char", "shared": True}})
    copying = override(_tuned(TranslateSettings, small), {"head": {"copy_source": True, "smoothing": 0.0}})
    models: dict[str, tuple[Predictor, Callable[[Any], object]]] = {
        "tag": (Tagger.build(tag, sentences), _tag),
        "tag-pos": (Tagger.build(pos, sentences), _tag),
        "tag-vectors": (Tagger.build(given, sentences, Sources(vectors=vectors)), _tag),
        "tag-context": (Tagger.build(tag, sentences, Sources(context=ContextFeatures.of(character))), _tag),
        "classify": (
            Classifier.build(_tuned(ClassifySettings, {"head": {"pool": "attention"}}), texts),
            lambda model: list(model.predict(["to be", ""])),
        ),
        "lm": (character, _write),
        "lm-words": (LanguageModel.of_counts(words, units["word"], Corpus.read(TEXT, units["word"]).counts()), _write),
        "lm-pairs": (LanguageModel.of_counts(pairs, units["bpe"], Corpus.read(TEXT, units["bpe"]).counts()), _write),
        "generate": (Generator.build(written, [Sentence([], "", [], fields=row) for row in ROWS]), _generate),
        "translate": (Translator.build(from_words, [TextRecord("", row) for row in PAIRS]), _translate),
        "translate-copy": (Translator.build(copying, [TextRecord("", row) for row in PAIRS]), _translate),
        "ngram": (
            NgramLanguageModel.count(
                _tuned(LmSettings, {"head": {"ngram": 3}}), units["word"], Corpus.read(TEXT, units["word"])
            ),
            _write,
        ),
    }
    found = {}
    for name, (model, use) in models.items():
        model.report = {
            "data": {"name": "x"},
            "scores": {
                "dev": {"accuracy": 0.5, "loss": 1.0, "sentences": 3, "baseline": {"name": "y", "accuracy": 0.25}}
            },
            "parameters": {"input": 3},
            "versions": {"torch": "2"},
        }
        model.save(folder / name)
        found[name] = Saved(folder / name, *read_config(folder / name), use)
    return found


def _tuned(kind: Any, tree: dict[str, Any] | None = None) -> Any:
    return override(override(kind(), TINY), tree or {})


def _tag(model: Tagger) -> object:
    return list(model.predict(["to be", ["do"], ""], probs=True, nbest=2))


def _write(model: LanguageModel | NgramLanguageModel) -> object:
    scored = list(model.score(["to be", ""]))
    return scored, model.sample("to", length=3, seed=1), model.sample(length=2, beam=2)


def _generate(model: Generator) -> object:
    row = ROWS[0]
    scored = model.log_probs([row])
    return scored, model.generate(row, length=3, seed=1), model.generate(row, length=2, beam=2)


def _translate(model: Translator) -> object:
    return list(model.predict(["to be", "x", ""], beam=2)), list(model.predict(["to be"], sample=True, seed=1))


# --- changes of values ---------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 100, 10**6, 10**9, 2**31, 2**63, -(2**63), 10**400, 0.0, 0.5, -1.5, 1e300),
    *(
        float("nan"),
        float("inf"),
        -float("inf"),
        "",
        "a",
        "O",
        "B-A",
        "I-",
        "\n",
        "\0",
        "\ud800",
        "../x",
        "x" * 3000,
        "1",
    ),
    *([], {}, [[]], [0], ["a", "a"], {"": 0}, {"words": []}, [[[[[[]]]]]]),
)


def changed_tree(tree: Any, draw: random.Random) -> Any:
    """A JSON value with a few changes anywhere in it."""
    whole = {"": copy.deepcopy(tree)}
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        places = list(_places(whole))
        holder, key = draw.choice(places)
        _change(holder, key, draw, [inner[name] for inner, name in places])
    return whole.get("")


def _places(tree: Any) -> Any:
    """Every value inside, as what holds it and its key; of long lists only the ends."""
    keys = list(tree) if isinstance(tree, dict) else [*range(len(tree))][:12] + [*range(12, len(tree))][-3:]
    for key in keys:
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


def _change(holder: Any, key: Any, draw: random.Random, values: list[Any]) -> None:
    how = draw.randrange(10)
    value = holder[key]
    if how < 4:
        holder[key] = copy.deepcopy(draw.choice(ODD))
    elif how < 6 and type(value) in (int, float):
        holder[key] = draw.choice((value + 1, value - 1, -value, value * 2, value * 10**9, str(value)))
    elif how == 6 and key != "":
        del holder[key]
    elif how == 7:
        holder[key] = copy.deepcopy(draw.choice(values))
    elif how == 8 and isinstance(value, list):
        draw.choice((value.reverse, value.clear, lambda: value.extend(copy.deepcopy(value))))()
    elif isinstance(value, dict):
        value[draw.choice(("", "task", "kind", "x", "words", "\n", "a.b", "../x"))] = copy.deepcopy(draw.choice(ODD))
    elif isinstance(value, list):
        value.insert(draw.randrange(len(value) + 1), copy.deepcopy(draw.choice([*ODD, *value])))
    elif isinstance(value, str):
        holder[key] = draw.choice((value + "\0", value[1:], value.upper(), value * 2, "\ud800" + value))
    else:
        holder[key] = copy.deepcopy(draw.choice(ODD))


NUMBERS = (float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-45, 0.0, -1.0, 1e4, 2.0)
DTYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool, torch.uint8)


def changed_tensors(tensors: dict[str, Tensor], draw: random.Random) -> dict[str, Tensor]:
    """Tensors with a few changes."""
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    for _ in range(draw.choice((1, 1, 2, 4))):
        name = draw.choice(sorted(tensors) or [""])
        if not name:
            break
        tensor = tensors.pop(name)
        how = draw.randrange(9)
        if how == 0:
            continue
        if how == 1:
            tensors[
                draw.choice(
                    ("x", "", name + "2", "head", "input.context.input.embedding.table", "input.embedding.vectors")
                )
            ] = tensor
        elif how == 2:
            tensors[name] = tensor.to(draw.choice(DTYPES))
        elif how == 3:
            tensors[name] = draw.choice(
                (
                    tensor[None],
                    tensor.flatten(),
                    tensor[..., :0],
                    tensor[:1],
                    tensor.transpose(0, -1) if tensor.dim() else tensor,
                )
            ).clone()
        elif how == 4 and tensors:
            other = draw.choice(sorted(tensors))
            tensors[name], tensors[other] = tensors[other], tensor
        elif tensor.numel():
            flat = tensor.flatten()
            places = slice(draw.randrange(len(flat)), None) if draw.random() < 0.3 else draw.randrange(len(flat))
            number = draw.choice(NUMBERS)
            chosen = number if tensor.is_floating_point() else draw.choice((0, 1, 2, 100))
            flat[places] = torch.tensor(chosen, dtype=torch.float64).to(flat.dtype)  # half precision may overflow
            tensors[name] = flat.view(tensor.shape)
        else:
            tensors[name] = tensor
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def as_json(tree: Any) -> bytes:
    """A JSON document as a model has it."""
    return json.dumps(tree, indent=1).encode("ascii")


def as_safetensors(tensors: dict[str, Tensor]) -> bytes:
    """A file of tensors."""
    return safetensors.torch.save(tensors)
