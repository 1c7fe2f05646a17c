"""The objects of torchtext 0.6.0 itself: fields, examples, iterators over batches."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
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

COLUMNS = "He\tPRP\tB-NP\nran\tVBD\tB-VP\n\nParis\tNNP\tB-NP\nis\tVBZ\tB-VP\nold\tJJ\tB-ADJP\n\n"
PAIRS = [(["He", "ran"], ["B-NP", "B-VP"]), (["Paris", "is", "old"], ["B-NP", "B-VP", "B-ADJP"])]
VECTORS = "the 0.5 -1.25 2\ncat 0.001 3 -4.5\nsat 0 1 2\n"


@pytest.fixture
def columns(torchtext_06: ModuleType, tmp_path: Path) -> Any:
    """A data set of tokens, parts of speech (which are left out) and chunks."""
    path = tmp_path / "train.txt"
    path.write_text(COLUMNS, encoding="utf-8")
    data = torchtext_06.data
    fields = [("word", data.Field(lower=False)), (None, None), ("chunk", data.Field(unk_token=None))]
    return torchtext_06.datasets.SequenceTaggingDataset(str(path), fields)


def built(torchtext: ModuleType, lines: list[str], **options: Any) -> Any:
    """The vocabulary that a field builds of some lines."""
    field = torchtext.data.Field(**options)
    examples = [torchtext.data.Example.fromlist([line], [("text", field)]) for line in lines]
    field.build_vocab(torchtext.data.Dataset(examples, [("text", field)]))
    return field.vocab


# --- vocabularies and vectors -------------------------------------------------------------------------------------


def test_the_vocabulary_of_a_field(torchtext_06: ModuleType) -> None:
    vocab = built(torchtext_06, ["the cat sat", "the dog"], init_token="<sos>")
    found = interop.vocabulary(vocab)
    assert vocab.itos == ["<unk>", "<pad>", "<sos>", "the", "cat", "dog", "sat"]
    assert list(found) == ["<pad>", "<unk>", "<sos>", "the", "cat", "dog", "sat"]
    words = ["the", "emu", "<unk>", "dog"]
    assert [found[index] for index in found.indices(words)] == [vocab.itos[vocab.stoi[word]] for word in words]


def test_reserved_strings_at_the_end_and_none_for_unknown_words(torchtext_06: ModuleType) -> None:
    counts = Counter(["the", "cat", "the"])
    last = torchtext_06.vocab.Vocab(counts, specials=["<pad>", "<unk>"], specials_first=False)
    assert last.itos == ["the", "cat", "<pad>", "<unk>"]
    assert list(interop.vocabulary(last))[2:] == ["the", "cat"]
    assert list(interop.vocabulary(torchtext_06.vocab.Vocab(counts, specials=[])))[2:] == ["the", "cat"]


def test_the_way_back(torchtext_06: ModuleType) -> None:
    found = interop.vocabulary(built(torchtext_06, ["b a b c"]))
    again = torchtext_06.vocab.Vocab(Counter(), specials=list(found))
    assert again.itos == list(found)
    words = ["a", "b", "c", "d", "<unk>"]
    assert [again.stoi[word] for word in words] == found.indices(words)


def test_vectors_equal_what_seqkit_reads_itself(torchtext_06: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text(VECTORS, encoding="utf-8")
    given = torchtext_06.vocab.Vectors(str(tmp_path / "vectors.txt"), cache=str(tmp_path / "cache"))
    found, expected = interop.vectors(given), read_vectors(tmp_path / "vectors.txt")
    assert (found.words, found.size) == (expected.words, 3)
    np.testing.assert_array_equal(found.matrix, expected.matrix)


def test_the_vectors_of_a_vocabulary(torchtext_06: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text(VECTORS, encoding="utf-8")
    vocab = built(torchtext_06, ["the cat ran"])
    with pytest.raises(DataError, match=r"found a Vocab without vectors$"):
        interop.vectors(vocab)
    vocab.load_vectors(torchtext_06.vocab.Vectors(str(tmp_path / "vectors.txt"), cache=str(tmp_path / "cache")))
    found = interop.vectors(vocab)
    assert found.words == vocab.itos
    assert found.matrix[found.words.index("cat")].tolist() == np.array([0.001, 3, -4.5], dtype=np.float32).tolist()


def test_vectors_of_parts_of_words_are_refused(torchtext_06: ModuleType) -> None:
    parts = torchtext_06.vocab.CharNGram.__new__(torchtext_06.vocab.CharNGram)  # without its download
    parts.itos, parts.stoi, parts.vectors = ["2gram-ab"], {"2gram-ab": 0}, torch.ones(1, 2)
    with pytest.raises(DataError, match="CharNGram has vectors of character n-grams"):
        interop.vectors(parts)


# --- data sets ----------------------------------------------------------------------------------------------------


def test_a_data_set_of_columns(columns: Any, torchtext_06: ModuleType) -> None:
    assert list(interop.pairs(columns)) == PAIRS
    assert list(interop.pairs(columns, target="chunk")) == list(interop.pairs(columns, target=1)) == PAIRS
    assert list(interop.pairs(list(columns))) == PAIRS  # its examples alone
    with pytest.raises(DataError, match=r"item:1: expected a label column 'pos', found columns: word, chunk$"):
        next(interop.pairs(columns, target="pos"))


def test_a_data_set_is_no_vocabulary_although_it_has_every_attribute(columns: Any) -> None:
    with pytest.raises(DataError, match=r"found SequenceTaggingDataset$"):
        interop.vocabulary(columns)
    with pytest.raises(DataError, match=r"found a SequenceTaggingDataset without vectors$"):
        interop.vectors(columns)


def test_iterators_give_the_examples_that_they_would_pad(columns: Any, torchtext_06: ModuleType) -> None:
    for field in columns.fields.values():
        if field is not None:
            field.build_vocab(columns)
    for kind in (torchtext_06.data.BucketIterator, torchtext_06.data.Iterator):
        batches = kind(columns, batch_size=2, sort_key=lambda example: len(example.word), shuffle=True)
        assert list(interop.pairs(batches)) == PAIRS
        with pytest.raises(DataError, match="item:1: expected columns of strings: tokens and their labels, found "):
            next(interop.pairs(list(batches)))  # batches are numbers already


def labelled(torchtext: ModuleType, path: Path, fields: Any, format: str) -> Any:
    return torchtext.data.TabularDataset(str(path), format, fields)


def test_tables_of_labelled_texts(torchtext_06: ModuleType, tmp_path: Path) -> None:
    data = torchtext_06.data
    words, whole = data.Field(), data.Field(sequential=False)
    label = data.LabelField()
    table, objects = tmp_path / "train.tsv", tmp_path / "train.json"
    table.write_text("pos\ta fine film\nneg\tnever again\n", encoding="utf-8")
    objects.write_text('{"stars": 5, "title": "x", "review": "a fine film"}\n', encoding="utf-8")
    cut = labelled(torchtext_06, table, [("label", label), ("text", words)], "tsv")
    assert list(interop.texts(cut)) == [(["a", "fine", "film"], "pos"), (["never", "again"], "neg")]
    uncut = labelled(torchtext_06, table, [("label", label), ("text", whole)], "tsv")
    assert list(interop.texts(uncut)) == [("a fine film", "pos"), ("never again", "neg")]
    renamed = labelled(torchtext_06, table, [("polarity", label), ("review", whole)], "tsv")
    unnamed = labelled(torchtext_06, table, [("polarity", words), ("review", whole)], "tsv")
    expected = "expected a label and a text or its tokens in 'label' and 'text', found {'polarity': ['pos'], 'review'"
    with pytest.raises(DataError, match=f"item:1: {re.escape(expected)}"):
        next(interop.texts(unnamed))
    assert list(interop.texts(renamed, text="review", label="polarity"))[1] == ("never again", "neg")
    keyed = labelled(torchtext_06, objects, {"review": ("text", whole), "stars": ("label", label)}, "json")
    assert list(interop.texts(keyed)) == [("a fine film", "5")]


def test_a_text_that_is_one_example(torchtext_06: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("the cat sat\n\nthe dog ran\n", encoding="utf-8")
    field = torchtext_06.data.Field()
    text = torchtext_06.datasets.LanguageModelingDataset(str(path), field)
    assert list(interop.lines(text)) == ["the cat sat", "", "the dog ran"]
    field.build_vocab(text)
    windows = torchtext_06.data.BPTTIterator(text, batch_size=1, bptt_len=2)
    assert list(interop.lines(windows)) == ["the cat sat", "", "the dog ran"]
    joined = torchtext_06.datasets.LanguageModelingDataset(str(path), field, newline_eos=False)
    assert list(interop.lines(joined)) == ["the cat sat the dog ran"]
    characters = torchtext_06.data.Field(tokenize=list)
    spelled = torchtext_06.datasets.LanguageModelingDataset(str(path), characters)
    with pytest.raises(
        DataError, match="item:1: a token contains white space or is empty: ' '; tokens are joined by spaces"
    ):
        list(interop.lines(spelled))


# --- training -----------------------------------------------------------------------------------------------------

TINY: dict[str, Any] = {
    "embedding": {"word_size": 8, "chars": "none"},
    "encoder": {"hidden": 8},
    "training": {"epochs": 6, "batch_size": 8, "lr": 0.05, "optimizer": "adam"},
}


def test_a_tagger_and_given_vectors(torchtext_06: ModuleType, make_pairs: Callable[..., Any], tmp_path: Path) -> None:
    for name, seed in (("train", 0), ("dev", 1)):
        sentences = make_pairs(40, seed)
        rows = "\n\n".join("\n".join(map("\t".join, zip(*pair, strict=True))) for pair in sentences)
        (tmp_path / f"{name}.txt").write_text(rows + "\n", encoding="utf-8")
    known = sorted({token for tokens, _ in make_pairs(40) for token in tokens})
    draw = random.Random(0)
    text = "".join(f"{word} {' '.join(str(draw.gauss(0, 1)) for _ in range(8))}\n" for word in known)
    (tmp_path / "given.txt").write_text(text, encoding="utf-8")
    field = torchtext_06.data.Field
    train, dev = torchtext_06.datasets.SequenceTaggingDataset.splits(
        str(tmp_path), train="train.txt", validation="dev.txt", fields=[("word", field()), ("tag", field())]
    )
    given = torchtext_06.vocab.Vectors(str(tmp_path / "given.txt"), cache=str(tmp_path))
    write_vectors(interop.vectors(given), tmp_path / "given.bin")

    settings = override(seqkit.TagSettings(), TINY)
    settings = override(settings, {"embedding": {"vectors": str(tmp_path / "given.bin")}})
    model = seqkit.train(
        settings,
        tmp_path / "model",
        interop.pairs(train),
        dev=interop.pairs(dev),
        test=interop.pairs(dev),
        device="cpu",
    )
    assert model.report["data"]["sentences"] == {"train": 40, "dev": 40, "test": 40}
    assert model.report["vectors"] == {"words": len(known), "size": 8, "found": 1.0}
    assert model.report["scores"]["dev"]["f1"] > 0.5
    tagged = seqkit.load(tmp_path / "model").tag("Ada saw a")
    assert tagged.labels == ["B-PER", "O", "O"]


def test_a_classifier(torchtext_06: ModuleType, tmp_path: Path) -> None:
    draw = random.Random(0)
    words = [draw.choice(["good", "bad"]) for _ in range(40)]
    rows = [{"text": f"{word} a b", "label": "pos" if word == "good" else "neg"} for word in words]
    (tmp_path / "train.json").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = torchtext_06.data
    fields = {"text": ("text", data.Field()), "label": ("label", data.LabelField())}
    dataset = data.TabularDataset(str(tmp_path / "train.json"), "json", fields)
    train, dev = dataset.split(0.8, random_state=random.Random(1).getstate())
    fields["label"][1].build_vocab(dataset)
    fields["text"][1].build_vocab(dataset)
    batches = data.BucketIterator(train, 4, sort_key=lambda example: len(example.text))
    settings = override(seqkit.ClassifySettings(), TINY)
    model = seqkit.train(settings, tmp_path / "model", interop.texts(batches), dev=interop.texts(dev), device="cpu")
    assert model.report["data"]["sentences"] == {"train": 32, "dev": 8}
    assert model.classify("bad a b").label == "neg"
    assert model.classify("good a b").label == "pos"


def test_a_language_model(torchtext_06: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("the <unk> sat\nthe dog ran\n" * 20, encoding="utf-8")
    text = torchtext_06.datasets.LanguageModelingDataset(str(tmp_path / "train.txt"), torchtext_06.data.Field())
    changes = {"data": {"splitter": "spaces"}, "training": {"batch_size": 2, "bptt": 5}}
    settings = override(override(seqkit.LmSettings(), TINY), changes)
    model = seqkit.train(settings, tmp_path / "model", interop.lines(text), device="cpu")
    assert model.report["data"]["sentences"]["train"] == 36
    assert model.score("the dog ran").units == 4


def test_what_readme_says(
    torchtext_06: ModuleType, tmp_path: Path, run_readme: Callable[[int], dict[str, Any]]
) -> None:
    (tmp_path / "train.tsv").write_text("pos\tA good film\nneg\tA bad film\n" * 8, encoding="utf-8")
    (tmp_path / "dev.tsv").write_text("neg\tBad\n", encoding="utf-8")
    names = run_readme(1)
    assert names["model"].report["data"]["sentences"] == {"train": 16, "dev": 1}
    assert seqkit.load(tmp_path / "opinions").classify("good").labels
