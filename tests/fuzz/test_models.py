"""Model directories from strangers, every checksum right: a model that can be used, or a `SeqkitError`."""

from __future__ import annotations

import copy
import json
import random

import pytest
import safetensors.torch
from harness import fuzz
from hostile_models import WEIGHTS, Saved, as_json, as_safetensors, changed_tensors, changed_tree, saved_models

from seqkit.model.loading import read_weights


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Saved]:
    return saved_models(tmp_path_factory.mktemp("models"))


KINDS = (
    *("tag", "tag-pos", "tag-vectors", "tag-context", "classify", "lm", "lm-words", "lm-pairs", "generate", "ngram"),
    *("translate", "translate-copy"),
)


def test_every_kind_of_model_is_here(models: dict[str, Saved]) -> None:
    assert set(models) == set(KINDS)
    for saved in models.values():
        saved.read(saved.config, saved.files)


def test_values_of_a_model(models: dict[str, Saved]) -> None:
    """Settings, vocabularies, labels, units and tensors with other values, types and sizes."""
    trees = {
        kind: {name: json.loads(content) for name, content in saved.files.items() if name.endswith(".json")}
        for kind, saved in models.items()
    }
    tensors = {kind: safetensors.torch.load(saved.files[WEIGHTS]) for kind, saved in models.items()}

    def read(content: bytes, draw: random.Random) -> None:
        kind = draw.choice(KINDS)
        saved = models[kind]
        config, files = copy.deepcopy(saved.config), dict(saved.files)
        for _ in range(draw.choice((1, 1, 2))):
            part = draw.choice(("settings", "settings", "config", "document", "document", "weights"))
            if part == "settings" and isinstance(config, dict):
                config["settings"] = changed_tree(config.get("settings"), draw)
            elif part == "weights":
                files[WEIGHTS] = as_safetensors(changed_tensors(tensors[kind], draw))
            elif part == "document":
                name = draw.choice(sorted(trees[kind]))
                files[name] = as_json(changed_tree(trees[kind][name], draw))
            else:
                config = changed_tree(config, draw)
        saved.read(config, files)

    fuzz("model-values", read, multiple=100_000)


def test_bytes_of_a_model(models: dict[str, Saved]) -> None:
    """Each file with other bytes."""
    seeds = [
        f"{kind} {name}\n".encode() + content
        for kind, saved in models.items()
        for name, content in saved.files.items()
        if len(content) < 20_000
    ]

    def read(content: bytes, draw: random.Random) -> None:
        head, _, rest = content.partition(b"\n")
        kind, _, name = head.decode("latin-1").partition(" ")
        saved = models.get(kind) or models[draw.choice(KINDS)]
        name = name if name in saved.files else draw.choice(sorted(saved.files))
        saved.read(saved.config, {**saved.files, name: rest})

    fuzz("model-bytes", read, seeds=seeds, words=WORDS, multiple=5_000)


def test_bytes_of_a_configuration(models: dict[str, Saved]) -> None:
    """``config.json`` with other bytes: as they are, and where they are JSON, with a checksum that is right."""
    seeds = [json.dumps(saved.config, indent=2).encode() for saved in models.values()]
    saved = models["tag"]

    def read(content: bytes, draw: random.Random) -> None:
        if draw.random() < 0.8:
            try:
                saved.read(json.loads(content), saved.files)
            except (ValueError, RecursionError):
                pass
            else:
                return
        (saved.directory / "config.json").write_bytes(content)
        from seqkit.model.loading import load

        load(saved.directory)

    fuzz("model-config", read, seeds=seeds, words=WORDS, multiple=5_000)


def test_bytes_of_tensors(models: dict[str, Saved]) -> None:
    """The header of a safetensors file, and what follows it."""

    def read(content: bytes, draw: random.Random) -> None:
        if draw.random() < 0.5:  # the length of the header right all the same
            content = _right_length(content)
        found = read_weights(content, "weights")
        assert sum(tensor.nbytes for tensor in found.values()) <= len(content)

    seeds = [saved.files[WEIGHTS] for saved in models.values()]
    words = (*WORDS, *(f'"{name}"'.encode() for name in ("F64", "F32", "BF16", "I8", "BOOL", "F8_E4M3", "C64", "F4")))
    fuzz("safetensors", read, seeds=seeds, words=words, multiple=5_000)


def _right_length(content: bytes) -> bytes:
    end = content.rfind(b"}") + 1
    return max(0, end - 8).to_bytes(8, "little") + content[8:]


WORDS = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b":",
        b",",
        b"null",
        b"true",
        b"false",
        b"NaN",
        b"Infinity",
        b"\\ud800",
        b"\\u0000",
    ),
    *(b'"dtype"', b'"shape"', b'"data_offsets"', b'"__metadata__"', b'"F32"', b'"words"', b'"labels"', b'"task"'),
    *(b"<pad>", b"<unk>", b"1e400", b"[[[[", b"{}", b"[]", b'""'),
)
