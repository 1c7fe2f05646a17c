"""The objects of torchtext 0.18.0 itself: its own readers, on small files in place of what they would download."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import seqkit
from seqkit.config import override
from seqkit.errors import DataError
from seqkit.inputs.pretrained import read_vectors, write_vectors
from seqkit.interop import torchtext as interop

Open = Callable[..., Any]


@pytest.fixture
def opened(torchtext_018: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """`opened("AG_NEWS", "train", {"train": ("train.csv", b"…")})`: a data set whose downloads are these bytes."""
    pytest.importorskip("torchdata.datapipes", reason="needs torchdata 0.7.1, which `make test-torch23` sets up")

    def open_it(name: str, split: str, files: dict[str, tuple[str, bytes]] | tuple[str, bytes], **options: Any) -> Any:
        module = importlib.import_module(f"torchtext.datasets.{name.lower()}")
        folder = tmp_path / "data" / "datasets" / name
        folder.mkdir(parents=True, exist_ok=True)
        several = files if isinstance(files, dict) else {"": files}
        sums = {}
        for part, (file, content) in several.items():
            (folder / file).write_bytes(content)
            sums[part] = hashlib.md5(content).hexdigest()
        monkeypatch.setattr(module, "MD5", sums if isinstance(files, dict) else sums[""])
        return getattr(torchtext_018.datasets, name)(root=str(tmp_path / "data"), split=split, **options)

    return open_it


def archive(files: dict[str, str]) -> bytes:
    """A zip archive of these files."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as stream:
        for name, content in files.items():
            stream.writestr(name, content)
    return buffer.getvalue()


# --- vocabularies and vectors -------------------------------------------------------------------------------------


def test_a_built_vocabulary(torchtext_018: ModuleType) -> None:
    lines = [["the", "cat", "sat"], ["the", "dog"]]
    vocab = torchtext_018.vocab.build_vocab_from_iterator(lines, specials=["<unk>", "<pad>", "<bos>"])
    vocab.set_default_index(vocab["<unk>"])
    found = interop.vocabulary(vocab)
    assert vocab.get_itos() == ["<unk>", "<pad>", "<bos>", "the", "cat", "dog", "sat"]
    assert list(found) == ["<pad>", "<unk>", "<bos>", "the", "cat", "dog", "sat"]
    words = ["the", "emu", "<unk>", "dog"]
    assert [found[index] for index in found.indices(words)] == vocab.lookup_tokens(vocab(words))


def test_other_names_and_places_of_the_unknown_string(torchtext_018: ModuleType) -> None:
    build = torchtext_018.vocab.build_vocab_from_iterator
    vocab = build([["the", "cat", "the"]], specials=["[UNK]"], special_first=False)
    assert list(interop.vocabulary(vocab))[2:] == ["the", "cat", "[UNK]"]  # no default index: a word like others
    vocab.set_default_index(2)
    assert list(interop.vocabulary(vocab))[2:] == ["the", "cat"]
    vocab.set_default_index(-1)
    assert list(interop.vocabulary(vocab))[2:] == ["the", "cat", "[UNK]"]
    with pytest.raises(DataError, match=r"^expected a torchtext data set or an iterator over one, found Vocab$"):
        interop.pairs(vocab)


def test_the_way_back(torchtext_018: ModuleType) -> None:
    vocab = torchtext_018.vocab.build_vocab_from_iterator([["b", "a", "b", "c"]], specials=["<unk>"])
    vocab.set_default_index(0)
    found = interop.vocabulary(vocab)
    again = torchtext_018.vocab.vocab(dict.fromkeys(found, 1))
    again.set_default_index(1)
    assert again.get_itos() == list(found)
    words = ["a", "b", "c", "d", "<unk>"]
    assert again(words) == found.indices(words)


def test_vectors_equal_what_seqkit_reads_itself(torchtext_018: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("the 0.5 -1.25 2\ncat 0.001 3 -4.5\nsat 0 1 2\n", encoding="utf-8")
    given = torchtext_018.vocab.Vectors(str(path), cache=str(tmp_path / "cache"))
    found, expected = interop.vectors(given), read_vectors(path)
    assert (found.words, found.size) == (expected.words, 3)
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    with pytest.raises(DataError, match=r"^expected torchtext Vectors \(with itos and vectors\), found Vocab$"):
        interop.vectors(torchtext_018.vocab.vocab({"the": 1}))


# --- data sets ----------------------------------------------------------------------------------------------------


def test_columns_of_chunks(opened: Open) -> None:
    rows = b"He PRP B-NP\nran VBD B-VP\n\nParis NNP B-NP\n\n"
    found = opened("CoNLL2000Chunking", "train", {"train": ("train.txt.gz", gzip.compress(rows))})
    assert list(interop.pairs(found)) == [(["He", "ran"], ["B-NP", "B-VP"]), (["Paris"], ["B-NP"])]
    assert list(interop.pairs(found, target=1)) == [(["He", "ran"], ["PRP", "VBD"]), (["Paris"], ["NNP"])]


def test_columns_of_parts_of_speech(opened: Open) -> None:
    files = archive({"ud/train.txt": "He\tPRON\tPRP\nran\tVERB\tVBD\n\n", "ud/dev.txt": "x\tX\tFW\n"})
    found = opened("UDPOS", "train", ("en-ud-v2.zip", files))
    assert list(interop.pairs(found, target=1)) == [(["He", "ran"], ["PRON", "VERB"])]
    assert list(interop.pairs(found)) == [(["He", "ran"], ["PRP", "VBD"])]


def test_labels_and_texts(opened: Open, torchtext_018: ModuleType) -> None:
    news = opened("AG_NEWS", "test", {"test": ("test.csv", b'3,"Oil, up","Again."\n1,Rain,All day\n')})
    expected = [("Oil, up Again.", "3"), ("Rain All day", "1")]
    assert list(interop.texts(news)) == expected
    fixed = torchtext_018.data.functional.to_map_style_dataset(news)
    assert list(interop.texts(fixed)) == expected
    assert list(interop.texts(torch.utils.data.Subset(fixed, [1]))) == expected[1:]
    assert list(interop.texts(torch.utils.data.DataLoader(news, batch_size=2))) == expected
    tokenizer = torchtext_018.data.get_tokenizer("basic_english")
    cut = [(label, tokenizer(text)) for label, text in news]
    assert list(interop.texts(cut))[1] == (["rain", "all", "day"], "1")


def test_texts_and_labels(opened: Open) -> None:
    train, test = "sentence\tlabel\na fine film \t1\n", "index\tsentence\n0\tx\n"
    content = archive({"SST-2/train.tsv": train, "SST-2/test.tsv": test})
    assert list(interop.texts(opened("SST2", "train", ("SST-2.zip", content)))) == [("a fine film", "1")]
    with pytest.raises(DataError, match=r"item:1: expected a label and a text or its tokens, found \('x',\)$"):
        list(interop.texts(opened("SST2", "test", ("SST-2.zip", content))))


def test_texts_of_three_columns(opened: Open) -> None:
    content = archive({"cola_public/raw/in_domain_train.tsv": "source\tlabel\t\tsentence\ngj04\t1\t\tThey ran.\n"})
    found = opened("CoLA", "train", ("cola_public_1.1.zip", content))
    assert list(interop.texts(found, text=2, label=1)) == [("They ran.", "1")]
    with pytest.raises(DataError, match="item:1: expected a label and a text or its tokens, found "):
        list(interop.texts(found))


def test_lines_of_text(opened: Open) -> None:
    content = b" no it was n't \n black monday \n"
    found = opened("PennTreebank", "train", {"train": ("ptb.train.txt", content)})
    assert list(interop.lines(found)) == ["no it was n't", "black monday"]


def test_all_splits_at_once_are_no_data_set(opened: Open, torchtext_018: ModuleType) -> None:
    both = opened("AG_NEWS", ("train", "test"), {"train": ("train.csv", b"1,a,b\n"), "test": ("test.csv", b"1,a,b\n")})
    with pytest.raises(DataError, match="item:1: expected a label and a text or its tokens, found Sharding"):
        list(interop.texts(both))


# --- training -----------------------------------------------------------------------------------------------------

TINY: dict[str, Any] = {
    "embedding": {"word_size": 8, "chars": "none"},
    "encoder": {"hidden": 8},
    "training": {"epochs": 6, "batch_size": 8, "lr": 0.05, "optimizer": "adam"},
}


def test_a_tagger_and_given_vectors(
    opened: Open, torchtext_018: ModuleType, make_pairs: Callable[..., Any], tmp_path: Path
) -> None:
    files = {}
    for name, seed in (("train", 0), ("test", 1)):
        sentences = [
            "".join(f"{token} X {label}\n" for token, label in zip(*pair, strict=True)) for pair in make_pairs(40, seed)
        ]
        files[name] = (f"{name}.txt.gz", gzip.compress("\n".join(sentences).encode()))
    train, test = (opened("CoNLL2000Chunking", name, files) for name in ("train", "test"))
    known = sorted({token for tokens, _ in make_pairs(40) for token in tokens})
    draw = random.Random(0)
    text = "".join(f"{word} {' '.join(str(draw.gauss(0, 1)) for _ in range(8))}\n" for word in known)
    (tmp_path / "given.txt").write_text(text, encoding="utf-8")
    given = torchtext_018.vocab.Vectors(str(tmp_path / "given.txt"), cache=str(tmp_path))
    write_vectors(interop.vectors(given), tmp_path / "given.bin")

    settings = override(seqkit.TagSettings(), TINY)
    settings = override(settings, {"embedding": {"vectors": str(tmp_path / "given.bin")}})
    model = seqkit.train(settings, tmp_path / "model", interop.pairs(train), dev=interop.pairs(test), device="cpu")
    assert model.report["data"]["sentences"] == {"train": 40, "dev": 40}
    assert model.report["vectors"] == {"words": len(known), "size": 8, "found": 1.0}
    assert seqkit.load(tmp_path / "model").tag("Ada saw a").labels == ["B-PER", "O", "O"]


def test_a_classifier(opened: Open, tmp_path: Path) -> None:
    draw = random.Random(0)
    words = [draw.choice(["good", "bad"]) for _ in range(40)]
    rows = "".join(f"{1 + (word == 'good')},A {word} film,seen\n" for word in words)
    news = opened("AG_NEWS", "train", {"train": ("train.csv", rows.encode())})
    settings = override(seqkit.ClassifySettings(), TINY)
    model = seqkit.train(settings, tmp_path / "model", interop.texts(news), device="cpu")
    assert model.report["data"]["sentences"] == {"train": 36, "dev": 4}
    assert model.classify("A bad film seen").label == "1"
    assert model.classify("A good film seen").label == "2"


def test_a_language_model(opened: Open, tmp_path: Path) -> None:
    files = {"train": ("ptb.train.txt", b" the <unk> sat \n the dog ran \n" * 20)}
    settings = override(seqkit.LmSettings(), TINY)
    settings = override(settings, {"data": {"splitter": "spaces"}, "training": {"batch_size": 2, "bptt": 5}})
    lines = interop.lines(opened("PennTreebank", "train", files))
    model = seqkit.train(settings, tmp_path / "model", lines, device="cpu")
    assert model.report["data"]["sentences"]["train"] == 36
    assert model.score("the dog ran").units == 4


def test_what_readme_says(opened: Open, tmp_path: Path, run_readme: Callable[[int], dict[str, Any]]) -> None:
    rows = {"train": b"He PRP B-NP\nran VBD B-VP\n\n" * 8, "test": b"Paris NNP B-NP\n\n"}
    opened("CoNLL2000Chunking", "train", {name: (f"{name}.txt.gz", gzip.compress(row)) for name, row in rows.items()})
    (tmp_path / "glove.6B.100d.txt").write_text(f"He{' 0.5' * 100}\nran{' 0.25' * 100}\n", encoding="utf-8")
    names = run_readme(0)
    assert names["model"].report["data"]["sentences"] == {"train": 7, "dev": 1, "test": 1}
    assert names["model"].report["vectors"] == {"words": 2, "size": 100, "found": 1.0}
    assert seqkit.load(tmp_path / "chunker").tag("He ran").labels == ["B-NP", "B-VP"]
