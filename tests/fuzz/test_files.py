"""Files whose format is found out, folders of splits, and what the commands for data do with them."""

from __future__ import annotations

import random
from pathlib import Path

from harness import fuzz, put
from records import SEEDS, WORDS, checked, mend, outcome, shown

from seqkit.corpora.check import check
from seqkit.corpora.convert import convert_file
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.resolve import resolve, split_files
from seqkit.corpora.split import Split
from seqkit.corpora.statistics import render_statistics, statistics
from seqkit.formats.blocks import cut
from seqkit.formats.format import Description, ReadOptions
from seqkit.formats.registry import (
    FORMATS,
    USUAL_SUFFIXES,
    describe,
    described_sentences,
    described_texts,
    detect_format,
    part_sentences,
    part_texts,
    read_sentences,
    read_texts,
)
from seqkit.formats.splitting import Splitter
from seqkit.records import Sentence

ALL_SEEDS = [seed for format in SEEDS for seed in SEEDS[format]]
ALL_WORDS = [word for format in WORDS for word in WORDS[format]]
SUFFIXES = ("", ".data", *sorted(USUAL_SUFFIXES))
SPLIT = Splitter("words").split


def test_recognition(tmp_path: Path) -> None:
    files = {suffix: tmp_path / f"train{suffix}" for suffix in SUFFIXES}

    def read(content: bytes, draw: random.Random) -> None:
        file = files[draw.choice(SUFFIXES)]
        put(file, content)
        format = detect_format(file)
        assert format in FORMATS
        for sentence in read_sentences(file, splitter=SPLIT, allow_unlabelled=True):
            checked(sentence)

    fuzz("recognition", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def test_blocks(tmp_path: Path) -> None:
    """A block at a time gives the records, and the fault, of all at once: so prediction reads its inputs."""
    file = tmp_path / "file"

    def read(content: bytes, draw: random.Random) -> None:
        format = draw.choice(
            [name for name, form in FORMATS.items() if name in SEEDS and (form.sentences or form.texts)]
        )
        if draw.random() < 0.5:
            content = draw.choice(SEEDS[format]) * draw.randrange(3) + content
        put(file, content)
        texts = FORMATS[format].sentences is None or (format == "jsonl" and draw.random() < 0.5)
        description = describe(file, Description(format, span_borders="widen"))[0]  # as labels are no fault of inputs
        options = ReadOptions(SPLIT, allow_unlabelled=not texts)
        found, fault = outcome((described_texts if texts else described_sentences)(file, description, options))
        size = draw.choice((1, 2, 7, 30, 200, 1 << 19))
        parts = (part for block in cut([(str(file), description)], size) for part in block)
        read = part_texts if texts else part_sentences
        again, other = outcome(sentence for part in parts for sentence in read(part, SPLIT))
        assert list(map(shown, again)) == list(map(shown, found))
        assert str(other) == str(fault)
        if fault is not None:
            raise fault

    fuzz("blocks", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def folder_of(content: bytes, draw: random.Random, folder: Path) -> Path:
    """A folder with one or several splits of one content, one of them damaged otherwise."""
    for file in folder.iterdir():
        file.unlink()
    suffix = draw.choice(SUFFIXES)
    for split in draw.choice((["train"], ["train", "dev"], ["train", "dev", "test"], ["test"])):
        (folder / f"{split}{suffix}").write_bytes(content)
        content = content[: draw.randrange(len(content) + 1)]
    if draw.random() < 0.2:
        (folder / draw.choice(("a-test.conll", "valid.txt", "esp.testb", "train.image.npy", ".train"))).write_bytes(
            content
        )
    return folder


def test_check(tmp_path: Path) -> None:
    def read(content: bytes, draw: random.Random) -> None:
        dataset = resolve(folder_of(content, draw, tmp_path))
        for problem in check(dataset, draw.choice((None, None, "label", "1", "ner"))):
            assert problem.message
            assert problem.line >= 0
            assert len(str(problem)) < 3_000

    fuzz("check", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def test_statistics(tmp_path: Path) -> None:
    def read(content: bytes, draw: random.Random) -> None:
        dataset = resolve(folder_of(content, draw, tmp_path))
        assert render_statistics(statistics(dataset, draw.choice((None, None, "label", "1", "ner")))[0])

    fuzz("statistics", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def test_datasets(tmp_path: Path) -> None:
    """Sentences, texts and lines of a folder's splits, dev held out where there is none."""

    def read(content: bytes, draw: random.Random) -> None:
        dataset = resolve(folder_of(content, draw, tmp_path))
        for name in ("train", "dev", "test"):
            if not dataset.has(name):
                continue
            match draw.randrange(3):
                case 0:
                    for sentence in dataset.sentences(name, SPLIT):
                        checked(sentence)
                case 1:
                    for sentence in dataset.texts(name, SPLIT, label=draw.choice(("label", None))):
                        checked(sentence)
                case _:
                    assert all("\n" not in line and "\r" not in line for line in dataset.lines(name))

    fuzz("datasets", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def test_names_of_files(tmp_path: Path) -> None:
    """Any file names in a folder of splits, and anything for a data set's name."""

    def read(content: bytes, draw: random.Random) -> None:
        name = content.decode("utf-8", "surrogateescape")
        for file in tmp_path.iterdir():
            file.unlink()
        for part in name.split("\0")[:5]:
            part = part.replace("/", "-")[:60]
            if part not in ("", ".", "..") and len(part.encode("utf-8", "surrogateescape")) < 200:
                (tmp_path / part).touch()
        found = split_files(tmp_path)
        assert set(found) <= {"train", "dev", "test"}
        assert not name or resolve(name, download=False).splits

    words = (b"train", b"dev", b"test", b".", b"_", b"/", b"..", b".conll", b"sample-ner", b"x" * 300)
    fuzz("names-of-files", read, seeds=(b"train.conll\0dev.conll", b"en-ud-dev.conllu", b"a/b"), words=words)


def test_convert(tmp_path: Path) -> None:
    """What is written is read back: the same words and labels, and converted again it is the same file."""
    source, again = tmp_path / "source", tmp_path / "again"

    def read(content: bytes, draw: random.Random) -> None:
        given = draw.choice(("conll", "conllu", "jsonl", "text", "tokens"))
        if draw.random() < 0.5:
            content = draw.choice(SEEDS[given]) + content
        wanted = draw.choice(("conll", "conllu", "jsonl"))
        scheme = draw.choice((None, None, "iob1", "iob2", "bioes"))
        put(source, content)
        written = tmp_path / f"written.{wanted}"
        count = convert_file(
            source, written, source_format=given, destination_format=wanted, scheme=scheme, splitter=SPLIT
        )
        sentences = list(read_sentences(source, given, splitter=SPLIT, allow_unlabelled=True))
        assert count == len(sentences)
        back, fault = outcome(read_sentences(written, wanted, splitter=SPLIT, allow_unlabelled=True))
        assert fault is None
        kept = [one for one in sentences if one.tokens or wanted == "jsonl"]
        assert [one.tokens for one in back] == [[mend(token, wanted) for token in one.tokens] for one in kept]
        if wanted == "jsonl":
            assert [one.offsets for one in back] == [one.offsets for one in kept]
            assert [labels_of(one) for one in back] == [labels_of(one) for one in kept] or scheme
        if len(kept) == len(sentences):
            convert_file(written, again, source_format=wanted, destination_format=wanted, splitter=SPLIT)
            assert again.read_bytes() == written.read_bytes()

    fuzz("convert", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def test_convert_texts(tmp_path: Path) -> None:
    """What is written of texts with fields is read back, and converted again it is the same file."""
    source, again = tmp_path / "source", tmp_path / "again"
    readable = [name for name, format in FORMATS.items() if format.texts and name in SEEDS]
    writable = [name for name, format in FORMATS.items() if format.write_texts]

    def read(content: bytes, draw: random.Random) -> None:
        given, wanted = draw.choice(readable), draw.choice(writable)
        if draw.random() < 0.5:
            content = draw.choice(SEEDS[given]) + content
        put(source, content)
        count = convert_file(source, again, source_format=given, destination_format=wanted, splitter=SPLIT)
        texts = list(read_texts(source, given, label=None))
        if FORMATS[given].sentences is None or wanted != "jsonl":  # where sentences stay such
            assert count == len(texts)
            back = list(read_texts(again, wanted, label=None))
            assert [one.text for one in back] == [mend(one.text, wanted) for one in texts]
        if wanted != "jsonl":  # in which a text alone is cut into tokens
            written = again.read_bytes()
            convert_file(again, again, source_format=wanted, destination_format=wanted, splitter=SPLIT)
            assert again.read_bytes() == written

    fuzz("convert-texts", read, seeds=ALL_SEEDS, words=ALL_WORDS)


def labels_of(sentence: Sentence) -> dict[str, list[str]]:
    return {name: column for name, column in sentence.columns.items() if column is not sentence.tokens}


def test_lines_of_any_split() -> None:
    """Sentences that came from no file can hold any string."""

    def read(content: bytes, draw: random.Random) -> None:
        text = content.decode("utf-8", "surrogateescape")
        from seqkit.corpora.from_python import from_items

        dataset = from_items("texts", [(text, "a"), (text.split(), ["b"])] * 2)
        assert isinstance(dataset, Dataset)
        for split in ("train", "dev"):
            for sentence in dataset.texts(split, SPLIT):
                checked(sentence)
            list(dataset.lines(split))
        assert Split(content=dataset.texts("train", SPLIT)).content

    fuzz("given-texts", read, seeds=SEEDS["text"])
