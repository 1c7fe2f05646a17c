"""Folders and files as people have them: names, extensions, compression, encodings."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from seqkit.corpora.check import check
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.formats.blocks import cut
from seqkit.formats.format import Description
from seqkit.formats.registry import part_sentences
from seqkit.formats.text import read_lines

ROWS = "Ann B-PER\nran O\n\nBo B-PER\nsat O\n\n"


def put(folder: Path, *names: str, content: str = ROWS) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def taken(dataset: Dataset) -> dict[str, str]:
    return {name: split.file.name for name, split in dataset.splits.items() if split.file is not None}


@pytest.mark.parametrize(
    "names",
    [
        ("train.char.bmes", "dev.char.bmes", "test.char.bmes"),
        ("train.annotated", "valid.annotated", "test.annotated"),
        ("train.raw", "dev.raw", "test.raw"),
        ("engtrain.bio", "engtesta.bio", "engtestb.bio"),
        ("trainset.txt", "devset.txt", "testset.txt"),
        ("conll.train.gz", "conll.dev.gz", "conll.test.gz"),
    ],
    ids=lambda names: names[0],
)
def test_files_are_found_whatever_their_extension(names: tuple[str, str, str], tmp_path: Path) -> None:
    put(tmp_path, *names, "README.md", "LICENSE", ".hidden")
    found = resolve(tmp_path)
    assert tuple(taken(found).values()) == names
    assert found.notes == []  # a readme is not worth a word
    assert [sentence.tokens for sentence in found.sentences("test")] == [["Ann", "ran"], ["Bo", "sat"]]


@pytest.mark.parametrize("suffix", ["gold_conll", "conllup", "cupt", "spacy", "tsv", "parquet"])
def test_files_are_found_before_their_format_is_known(suffix: str, tmp_path: Path) -> None:
    put(tmp_path, f"train.{suffix}", f"x.dev.{suffix}")
    assert taken(resolve(tmp_path)) == {"train": f"train.{suffix}", "dev": f"x.dev.{suffix}"}


def test_a_small_split_has_the_layout_of_the_first(tmp_path: Path) -> None:
    put(tmp_path, "train.conll", content="1 Ann B-PER\n2 ran O\n3 . O\n\n1 Bo B-PER\n2 sat O\n\n" * 5)
    put(tmp_path, "dev.conll", content="1 Eve B-PER\n\n")
    assert [sentence.tokens for sentence in resolve(tmp_path).sentences("dev")] == [["Eve"]]
    assert check(resolve(tmp_path)) == []


def test_what_was_not_taken_is_said(tmp_path: Path) -> None:
    put(tmp_path, "train.conll", "dev.conll", "extra.conll", "vectors.txt")
    assert resolve(tmp_path).notes == [
        f"{tmp_path}: read train train.conll, dev dev.conll; not taken: extra.conll, vectors.txt"
    ]


def test_a_name_that_ends_like_a_split_is_none_if_no_other_does(tmp_path: Path) -> None:
    put(tmp_path, "contest.conll", "latest.conll", "mytrain.conll", "emerging.dev.conll")
    found = resolve(tmp_path)
    assert taken(found) == {"dev": "emerging.dev.conll"}
    with pytest.raises(DataError) as caught:
        found.evaluation_split("train")
    expected = "expected a train file, found dev (emerging.dev.conll); not taken: contest.conll, latest.conll, mytrain"
    assert str(caught.value) == f"{tmp_path}: {expected}.conll"


def test_a_folder_without_splits_names_what_it_has(tmp_path: Path) -> None:
    put(tmp_path, "a.conll", "b.bmes", "notes.md")
    message = f"^{tmp_path}: no files named train, dev or test in this folder; found a.conll, b.bmes; "
    message += "give one file, or name them so$"
    with pytest.raises(DataError, match=message):
        resolve(tmp_path)


def test_a_folder_of_folders_names_them(tmp_path: Path) -> None:
    for name in ("neg", "pos", ".hidden"):
        (tmp_path / name).mkdir()
    found = "no files named train, dev or test in this folder; found the folders neg, pos; "
    what_to_do = "if their names are labels of the texts in them, write labels and texts into one table"
    with pytest.raises(DataError, match=f"^{tmp_path}: {found}{what_to_do}$"):
        resolve(tmp_path)


def test_a_folder_with_the_name_of_a_data_set_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample-ner").mkdir()
    note = "sample-ner is the named data set; ./sample-ner is the folder of this name here"
    assert resolve("sample-ner").notes == [note]
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path / "none"))
    (tmp_path / "conll2003").mkdir()
    with pytest.raises(DataError, match=r"; \./conll2003 is the folder of this name here: obtain the Reuters Corpus"):
        resolve("conll2003")


def test_two_files_for_one_split(tmp_path: Path) -> None:
    put(tmp_path, "a-train.conll", "b-train.conll", "dev.conll")
    names = "a-train.conll, b-train.conll"
    with pytest.raises(
        DataError, match=f"^{tmp_path}: several train files: {names}; give each split a folder named train$"
    ):
        resolve(tmp_path)


def test_a_split_may_be_a_folder_of_files(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.conll", "train/b.conll", "train/.c.conll", "dev/1.conll", "test.conll", "other/1.conll")
    found = resolve(tmp_path)
    assert taken(found) == {"train": "train", "dev": "dev", "test": "test.conll"}
    train = found.sentences("train")
    assert [Path(sentence.file).name for sentence in train] == ["1.conll"] * 2 + ["b.conll"] * 2
    assert len(found.sentences("dev")) == 2
    (tmp_path / "empty" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"/train: no files to read in this folder$"):
        resolve(tmp_path / "empty").sentences("train")


def test_how_files_are_read_is_said_once(tmp_path: Path) -> None:
    lone = '{"tokens": ["Ann", "ran"], "ner": ["B-PER", "O"]}\n'
    put(tmp_path, "train/1.txt", "train/2.txt", "dev.txt", "test.txt")
    put(tmp_path, "train/3.txt", content=lone)
    notes = [
        f"{tmp_path}/train/1.txt: read as conll; --format overrides this",
        f"{tmp_path}/train/3.txt: read as jsonl; --format overrides this",
    ]
    assert resolve(tmp_path).read_sentences().notes == notes
    assert resolve(tmp_path).read_sentences(splits=["test"]).notes == [notes[0].replace("train/1.txt", "test.txt")]


def test_a_compressed_copy_beside_a_file_is_not_another_one(tmp_path: Path) -> None:
    put(tmp_path, "train.conll", "dev.conll")
    (tmp_path / "train.conll.gz").write_bytes(gzip.compress(ROWS.encode()))
    assert taken(resolve(tmp_path)) == {"train": "train.conll", "dev": "dev.conll"}


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}


@pytest.mark.parametrize("suffix", PACKED)
def test_compressed_files_are_read_as_they_are(suffix: str, tmp_path: Path) -> None:
    content = (ROWS * 3000).encode()
    path = tmp_path / f"train.conll{suffix}"
    path.write_bytes(PACKED[suffix](content))
    plain = tmp_path / "plain.conll"
    plain.write_bytes(content)
    read, expected = resolve(path).sentences("all"), resolve(plain).sentences("all")
    assert [(one.tokens, one.line) for one in read] == [(one.tokens, one.line) for one in expected]
    path.rename(tmp_path / "unnamed")  # the content tells
    assert len(resolve(tmp_path / "unnamed").sentences("all")) == 6000


@pytest.mark.parametrize("suffix", PACKED)
def test_damaged_compressed_files(suffix: str, tmp_path: Path) -> None:
    packed = PACKED[suffix]((ROWS * 3000).encode())
    path = tmp_path / f"train.conll{suffix}"
    for damaged in (packed[:-9], packed[:12], packed[: len(packed) // 2] + b"\0" * 40 + packed[len(packed) // 2 :]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"^{path}(:|: the compressed data are damaged: |: cannot be read: ).*"):
            resolve(path).sentences("all")


def test_files_of_a_folder_that_are_unlike_the_first_are_named(tmp_path: Path) -> None:
    put(tmp_path, "train/0.conll")
    put(tmp_path, *(f"train/README{place}" for place in range(5)), content="Read me.\n")
    folder = tmp_path / "train"
    assert resolve(tmp_path).read_sentences(splits=["train"]).notes[:4] == [
        *(
            f"{folder}/README{place}: read as text, unlike the first file of the folder, read as conll"
            for place in range(3)
        ),
        f"{folder}: 2 more files are read unlike the first",
    ]


@pytest.mark.parametrize("suffix", PACKED)
def test_a_compressed_file_that_is_cut_off_anywhere_is_damaged(suffix: str, tmp_path: Path) -> None:
    packed = PACKED[suffix](b"".join(b"tok%d B-PER\nmet O\n\n" % index for index in range(20_000)))
    path = tmp_path / f"train.conll{suffix}"
    for left_out in (1, 5, 9, len(packed) // 2):
        path.write_bytes(packed[:-left_out])
        with pytest.raises(DataError, match=rf"^{path}: the compressed data are damaged: .* before the end.*"):
            resolve(path).sentences("all")


@pytest.mark.parametrize("suffix", PACKED)
def test_compressed_parts_one_after_another_in_another_encoding(suffix: str, tmp_path: Path) -> None:
    pack = PACKED[suffix]
    path = tmp_path / f"train.conll{suffix}"
    path.write_bytes(pack("Zoë B-PER\n\n".encode("latin-1")) + pack("Zoé B-PER\n\n".encode("latin-1")))
    given = Description("conll", encoding="latin-1")
    found = [sentence.tokens for sentence in resolve(path).described(given).sentences("all")]
    assert found == [["Zoë"], ["Zoé"]]
    parts = [part for block in cut([(str(path), given)], 1) for part in block]
    assert [sentence.tokens for part in parts for sentence in part_sentences(part, None)] == found


def test_zstandard_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.zst"
    path.write_bytes(zstandard.compress(ROWS.encode()))
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    message = rf"^{path}: Zstandard data need the package zstandard: pip install 'seqkit-nlp\[zstd\]'$"
    with pytest.raises(DataError, match=message):
        resolve(path).sentences("all")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "shift_jis", "utf-32"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_other_encodings(encoding: str, ending: str, tmp_path: Path) -> None:
    word = "東京" if encoding == "shift_jis" else "Éva"
    text = f"{word} B-PER\nran O\n\n" * 5000
    path = tmp_path / "train.conll"
    path.write_bytes(text.replace("\n", ending).encode(encoding))
    found = resolve(path).described(Description(encoding=encoding)).sentences("all")
    assert [(one.tokens, one.line) for one in found] == [([word, "ran"], 3 * place + 1) for place in range(5000)]


def test_a_text_in_another_encoding_than_was_said(tmp_path: Path) -> None:
    path = tmp_path / "train.conll"
    path.write_bytes("Éva O\n".encode("latin-1") * 3)
    message = r":1: the text is not in the encoding ascii \(ordinal not in range\(128\)\); --encoding names another$"
    with pytest.raises(DataError, match=message):
        list(read_lines(path, "ascii"))
    path.write_bytes("Éva O\n".encode("utf-16")[:-1])
    with pytest.raises(
        DataError, match=r":1: the text is not in the encoding utf-16 \(truncated data\); --encoding names"
    ):
        list(read_lines(path, "utf-16"))


@pytest.mark.parametrize(
    "name", ["latine", "rot13", "zip", "idna", "punycode", "unicode_escape", "undefined", "\0", "é"]
)
def test_unknown_encodings(name: str) -> None:
    expected = f"unknown encoding {name!r}; utf-8, utf-16, latin-1 and cp1252 are usual ones"
    with pytest.raises(DataError) as caught:
        list(read_lines(__file__, name))
    assert str(caught.value) == expected
