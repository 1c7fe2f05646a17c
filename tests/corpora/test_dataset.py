from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqkit.config import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_items
from seqkit.corpora.resolve import resolve, split_files
from seqkit.corpora.split import Split
from seqkit.errors import DataError
from seqkit.formats.format import split_at_spaces
from seqkit.formats.registry import described_sentences, read_sentences
from seqkit.heads.language_model.settings import LmSettings
from seqkit.records import Sentence, TextRecord
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path / "cache"))
    if "real_file" not in request.fixturenames:
        monkeypatch.delenv("SEQKIT_DATA", raising=False)


def conll(count: int, first: int = 0) -> str:
    return "".join(f"word{number}\tO\n\n" for number in range(first, first + count))


def words(dataset: Dataset, split: str) -> list[str]:
    return [" ".join(sentence.tokens) for sentence in dataset.sentences(split)]


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name.replace("__", ".").replace("_", "-")).write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("train.conll", "dev.conll", "test.conll"),
        ("train.txt", "valid.txt", "test.txt"),
        ("train.iob", "val.iob", "test.bio"),
        ("en_x-ud-train.conllu", "en_x-ud-dev.conllu", "en_x-ud-test.conllu"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("esp.train.iob", "esp.testa.iob", "esp.testb.iob"),
        ("TRAIN.TSV", "Dev.tsv", "test.tsv"),
        ("train", "validation", "test"),
        ("train.jsonl", "dev.jsonl", "test.jsonl"),
    ],
)
def test_files_of_splits_are_found(names: tuple[str, str, str], tmp_path: Path) -> None:
    for name in (*names, "README.md", "train.log", ".train.conll", "training.conll", "vectors.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "train.d").mkdir()
    found = split_files(tmp_path)
    assert tuple(found[split].name for split in ("train", "dev", "test")) == names


def test_a_plain_name_goes_before_a_decorated_one(tmp_path: Path) -> None:
    folder(tmp_path, train__conll="", old_train__conll="", test__conll="")
    assert split_files(tmp_path)["train"].name == "train.conll"


def test_two_files_for_one_split(tmp_path: Path) -> None:
    folder(tmp_path, dev__conll="", valid__conll="", train__conll="")
    with pytest.raises(DataError, match=r"several dev files: dev\.conll, valid\.conll"):
        resolve(tmp_path)


def test_a_folder(tmp_path: Path) -> None:
    folder(tmp_path, train__conll=conll(3), valid__conll=conll(2, 3), test__conll=conll(1, 5))
    dataset = resolve(str(tmp_path))
    assert words(dataset, "train") == ["word0", "word1", "word2"]
    assert words(dataset, "dev") == ["word3", "word4"]
    assert words(dataset, "test") == ["word5"]
    assert dataset.evaluation_split() == "test" and dataset.evaluation_split("dev") == "dev"
    assert not dataset.held_out and dataset.notes == [] and dataset.target == "" and dataset.scheme == "auto"


@pytest.mark.parametrize(("count", "held"), [(2, 1), (9, 1), (10, 1), (29, 2), (100, 10)])
@pytest.mark.parametrize("lone", [False, True])
def test_the_last_tenth_of_train_is_held_out_and_reported(count: int, held: int, lone: bool, tmp_path: Path) -> None:
    folder(tmp_path, train__conll=conll(count))
    dataset = resolve(tmp_path / "train.conll" if lone else tmp_path)
    everything = [f"word{number}" for number in range(count)]
    assert words(dataset, "train") == everything[: count - held]
    assert dataset.read_sentences(splits=["train"]).notes == dataset.notes == []
    assert words(dataset, "dev") == everything[count - held :]
    assert words(dataset, "dev") == everything[count - held :]
    (note,) = dataset.read_sentences(splits=["train", "dev", "dev"]).notes
    assert note == f"{dataset.name} has no dev split: the last tenth of train ({held} of {count} sentences) is held out"
    assert dataset.held_out and dataset.has("train") and dataset.has("dev") and not dataset.has("test")


def test_one_sentence_cannot_be_split_into_train_and_dev(tmp_path: Path) -> None:
    dataset = resolve(folder(tmp_path, train__conll=conll(1)))
    assert words(dataset, "train") == ["word0"]
    with pytest.raises(
        DataError, match=r"train\.conll: expected at least 2 sentences, one of them to hold out as dev, found 1"
    ):
        dataset.sentences("dev")


def test_a_lone_file_is_evaluated_as_a_whole(tmp_path: Path) -> None:
    dataset = resolve(folder(tmp_path, sents__conll=conll(20)) / "sents.conll")
    assert dataset.evaluation_split() == dataset.evaluation_split("test") == "all"
    assert len(words(dataset, "all")) == 20
    assert dataset.evaluation_split("dev") == "dev" and words(dataset, "dev") == ["word18", "word19"]
    with pytest.raises(DataError, match=r"no test split in .*; it has all"):
        dataset.sentences("test")


def test_evaluation_of_a_split_that_is_not_there(tmp_path: Path) -> None:
    dataset = resolve(folder(tmp_path, train__conll=conll(20)))
    assert dataset.evaluation_split() == "dev"
    with pytest.raises(DataError, match=f"^{tmp_path}: expected a test file, found train \\(train.conll\\)$"):
        dataset.evaluation_split("test")
    alone = resolve(folder(tmp_path / "other", test__conll=conll(2)))
    assert alone.evaluation_split() == "test" and not alone.held_out
    with pytest.raises(DataError, match=r"other: expected a train file, found test \(test.conll\)$"):
        alone.sentences("train")


def test_text_is_split_by_the_given_splitter(tmp_path: Path) -> None:
    folder(tmp_path, train__txt="ab\n\n", dev__txt="cd\n")

    def letters(text: str) -> list[tuple[int, int]]:
        return [(place, place + 1) for place in range(len(text))]

    dataset = resolve(tmp_path)
    assert [sentence.tokens for sentence in dataset.sentences("train", letters)] == [["a", "b"], []]
    assert [sentence.tokens for sentence in dataset.sentences("train")] == [["ab"], []]


@pytest.mark.parametrize("content", ["", "\n\n\n", "\ufeff"])
def test_an_empty_training_file(content: str, tmp_path: Path) -> None:
    folder(tmp_path, train__conll=content)
    with pytest.raises(DataError, match=r"train\.conll: no sentences found"):
        resolve(tmp_path).sentences("train")
    with pytest.raises(DataError, match=r"train\.conll: no sentences found"):
        resolve(tmp_path / "train.conll").sentences("all")


def test_missing_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^nowhere/x: no such file or folder$"):
        resolve("nowhere/x")
    with pytest.raises(DataError, match=r"^nowhere: no such file or folder$"):
        resolve(Path("nowhere"))
    with pytest.raises(DataError, match=r"no data set, folder or file is called 'wnut1'; did you mean 'wnut17'?"):
        resolve("wnut1")
    with pytest.raises(
        DataError, match="no data set, folder or file is called 'nonesuch'; `seqkit data list` shows the names"
    ):
        resolve("nonesuch")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"^empty: no files named train, dev or test in this folder$"):
        resolve("empty")


def test_a_name_that_no_file_can_have() -> None:
    name = "x" * 300
    with pytest.raises(DataError, match=f"^no data set, folder or file is called '{name}'; "):
        resolve(name)
    with pytest.raises(DataError, match=f"^f/{name}: no such file or folder$"):
        resolve(f"f/{name}")


def test_a_name_is_a_name_and_a_path_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "sample-ner", train__conll=conll(5))
    assert resolve("sample-ner").card is not None
    assert resolve("./sample-ner").card is None and resolve(Path("sample-ner")).card is None
    folder(tmp_path / "mine", train__conll=conll(5))
    assert words(resolve("mine"), "dev") == ["word4"]


def test_every_folder_of_seqkit_data_is_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.setenv("SEQKIT_DATA", f"{one}:{two}")
    row = "EU NNP B-NP B-ORG\n\n"
    folder(two / "conll2003", eng__train=row * 3, eng__testa=row, eng__testb=row)
    dataset = resolve("conll2003")
    assert dataset.splits["dev"].file == two / "conll2003" / "eng.testa"
    assert dataset.sentences("train")[0].column("ner") == ["B-ORG"] and dataset.target == "ner"
    # A folder that lacks a split is passed over, and that is said; other names of the files will do.
    folder(one / "conll2003", train__txt=row)
    dataset = resolve("conll2003")
    assert dataset.splits["dev"].file == two / "conll2003" / "eng.testa"
    assert dataset.notes == [f"{one / 'conll2003'} was skipped: it does not have every split of conll2003"]
    folder(one / "conll2003", valid__txt=row, test__txt=row)
    assert resolve("conll2003").splits["dev"].file == one / "conll2003" / "valid.txt"
    # A folder there needs no card.
    folder(two / "mine", train__conll=conll(5), dev__conll=conll(1))
    assert words(resolve("mine"), "dev") == ["word0"]


def test_a_data_set_that_the_user_has_to_provide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQKIT_DATA", str(tmp_path))
    places = f"{tmp_path}/conll2003, {tmp_path}/cache/conll2003"
    with pytest.raises(DataError, match=f"the files of conll2003 are not in {places}: obtain the Reuters"):
        resolve("conll2003")


@pytest.mark.parametrize(
    ("name", "file", "sizes", "labels"),
    [
        ("conll2000", "train.txt", (8043, 893, 2012), {"B-NP", "I-NP", "O"}),
        ("conll2002-es", "esp.train.iob", (8323, 1915, 1517), {"B-PER", "B-MISC", "O"}),
        ("wnut17", "train.conll", (3394, 1009, 1287), {"B-creative-work", "O"}),
        ("ud-english-ewt", "train.conllu", (12544, 2001, 2077), {"NOUN", "PUNCT"}),
    ],
)
def test_real_sets(
    name: str, file: str, sizes: tuple[int, int, int], labels: set[str], real_file: Callable[[str], Path]
) -> None:
    real_file(f"{name}/{file}")
    dataset = resolve(name)
    found = {split: dataset.sentences(split) for split in ("train", "dev", "test")}
    assert tuple(map(len, found.values())) == sizes
    column = {label for sentence in found["test"] for label in sentence.column(dataset.target)}
    assert labels <= column


PAIRS = [(["Ada", "sang"], ["B-PER", "O"]), ([], []), (("Bob",), ("B-PER",))]


def test_pairs() -> None:
    dataset = from_items("sentences", iter(PAIRS), dev=PAIRS[:1])
    assert [sentence.tokens for sentence in dataset.sentences("train")] == [["Ada", "sang"], [], ["Bob"]]
    assert dataset.sentences("dev")[0].column(dataset.target) == ["B-PER", "O"]
    assert dataset.has("dev") and not dataset.has("test")
    assert len(from_items("sentences", PAIRS).sentences("dev")) == 1


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((["a"], ["O", "O"]), "expected as many labels as tokens, found 2 labels for 1 tokens"),
        (("ab", "OO"), "expected sequences of strings, found one string"),
        (["a", "b", "c"], r"expected a pair \(tokens, labels\), found \['a', 'b', 'c'\]"),
        (7, r"expected a pair \(tokens, labels\), found 7"),
        ((["a", 1], ["O", "O"]), "tokens and labels must be non-empty strings, found 1"),
        ((["a", ""], ["O", "O"]), "tokens and labels must be non-empty strings, found ''"),
        ((["a", "b"], ["O", ""]), "tokens and labels must be non-empty strings, found ''"),
    ],
)
def test_faulty_pairs(pair: object, message: str) -> None:
    with pytest.raises(DataError, match=f"^pairs dev:2: {message}$"):
        from_items("sentences", PAIRS, dev=[PAIRS[0], pair])  # type: ignore[list-item]


def test_no_pairs() -> None:
    with pytest.raises(DataError, match=r"^pairs: no sentences found$"):
        from_items("sentences", []).sentences("train")
    with pytest.raises(DataError, match=r"^pairs: no sentences found$"):
        from_items("sentences", [([], [])]).sentences("dev")


@given(st.integers(2, 300))
def test_train_and_held_out_dev_are_all_of_it(count: int) -> None:
    dataset = from_items("sentences", [([f"w{number}"], ["O"]) for number in range(count)])
    train, dev = dataset.sentences("train"), dataset.sentences("dev")
    assert [sentence.tokens[0] for sentence in (*train, *dev)] == [f"w{number}" for number in range(count)]
    assert len(dev) == max(1, count // 10)


def test_sentences_are_those_of_the_reader(tmp_path: Path) -> None:
    folder(tmp_path, train__conll=conll(4), dev__conll=conll(2))
    assert resolve(tmp_path).sentences("dev") == list(read_sentences(tmp_path / "dev.conll"))


def test_lines_are_the_raw_text_of_any_format(tmp_path: Path) -> None:
    folder(
        tmp_path,
        train__txt=" To  be,\n\nor not\n",
        dev__conllu="1\tGo\tgo\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No\n2\t!\t!\tPUNCT\t_\t_\t1\tpunct\t_\t_\n",
        test__jsonl='{"text": "a b", "tokens": ["a", "b"]}\n{"tokens": ["c", "d"]}\n',
    )
    dataset = resolve(tmp_path)
    assert list(dataset.lines("train")) == [" To  be,", "", "or not"]
    assert list(dataset.lines("dev")) == ["Go!"]
    assert list(dataset.lines("test")) == ["a b", "c d"]
    assert list(from_items("sentences", [(["a", "b"], ["X", "Y"]), (["c"], ["X"])]).lines("train")) == ["a b"]


def test_a_text_of_several_lines_is_read_as_these(tmp_path: Path) -> None:
    folder(tmp_path, train__jsonl='{"text": "a\\nb\\r\\n\\r\u2028c"}\n', dev__csv='text\n"d\n\ne\n"\n""\n')
    dataset = resolve(tmp_path)
    assert list(dataset.lines("train")) == ["a", "b", "", "\u2028c"]
    assert list(dataset.lines("dev")) == ["d", "", "e", ""]


@pytest.mark.parametrize(("count", "held"), [(2, 1), (9, 1), (10, 1), (25, 2)])
def test_lines_hold_out_the_same_last_tenth_as_sentences(
    tmp_path: Path, count: int, held: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "text.txt"
    file.write_text("".join(f"line {number}\n" for number in range(count)), encoding="utf-8")
    dataset = resolve(file)
    train, dev = list(dataset.lines("train")), list(dataset.lines("dev"))
    assert (len(train), len(dev)) == (count - held, held)
    assert train + dev == list(dataset.lines("all"))
    assert [sentence.text for sentence in dataset.sentences("dev")] == dev
    note = f"{file} has no dev split: the last tenth of train ({held} of {count} lines) is held out"
    assert dataset.held_out_note(count, "lines") == note
    # and training says so, before anything else
    settings = override(LmSettings(), {"embedding": {"word_size": 2}, "encoder": {"hidden": 2}})
    prepare(settings, dataset, torch.device("cpu"), Progress())
    assert capsys.readouterr().err.splitlines()[0] == note


def test_missing_lines(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("alone\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(resolve(file).lines("dev"))
    assert str(caught.value) == f"{file}: expected at least 2 lines, one of them to hold out as dev, found 1"
    with pytest.raises(DataError) as caught:
        list(resolve(file).lines("test"))
    assert str(caught.value) == f"no test split in {file}; it has all"


@pytest.mark.parametrize("splits", [None, ["dev", "train"]])
def test_splits_are_read_together_and_leave_nothing_behind(
    splits: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, train__conll=conll(20), test__conll=conll(1))
    dataset = resolve(tmp_path)
    dataset.notes.append("a note")
    read: list[str] = []

    def counted(path: Path, *arguments: Any) -> Iterator[Sentence]:
        read.append(path.name)
        return described_sentences(path, *arguments)

    monkeypatch.setattr("seqkit.corpora.dataset.described_sentences", counted)
    found = dataset.read_sentences(splits=splits)
    sizes = {"train": 18, "dev": 2, "test": 1}
    assert {split: len(records) for split, records in found.records.items()} == {
        split: sizes[split] for split in splits or sizes
    }
    share = "the last tenth of train (2 of 20 sentences) is held out"
    assert found.notes == ["a note", f"{tmp_path} has no dev split: {share}"]
    assert read == ["train.conll", "test.conll"][: 1 if splits else 2]
    assert dataset.notes == ["a note"] and list(dataset.splits) == ["train", "test"]
    assert dataset.read_sentences(splits=["train"]).notes == ["a note"]
    with pytest.raises(DataError, match=r"^no all split in .*; it has train, test$"):
        dataset.read_sentences(splits=["all"])


def test_texts_without_a_splitter_are_not_split(tmp_path: Path) -> None:
    content = '{"text": "a b", "n": 1}\n{"tokens": ["c", "d"]}\n'
    dataset = resolve(folder(tmp_path, train__jsonl=content, dev__csv='text\n"a, b"\n'))
    found = dataset.read_texts(label=None)
    file = str(tmp_path / "train.jsonl")
    assert found.records["train"] == [
        TextRecord("a b", {"text": "a b", "n": 1}, file, 1),
        TextRecord("c d", {"tokens": ["c", "d"]}, file, 2),
    ]
    assert found.records["dev"] == [TextRecord("a, b", {"text": "a, b"}, str(tmp_path / "dev.csv"), 2)]
    cut = dataset.read_texts(split_at_spaces, label=None)
    assert [record.tokens for record in cut.records["train"]] == [["a", "b"], ["c", "d"]]
    given = Dataset("given", {"train": Split(content=[Sentence.from_tokens(["x", "y"]), *cut.records["train"]])})
    assert [type(record) for record in given.read_texts(label=None, splits=["train"]).records["train"]] == [
        TextRecord
    ] * 2
    assert [record.text for record in given.read_texts(label=None).records["dev"]] == ["c d"]


def test_a_splitter_is_chosen_by_annotated_spans(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    spans = [{"start": 0, "end": 3, "label": "PER"}]
    file.write_text("".join(json.dumps({"text": f"Ada's word {n}.", "spans": spans}) + "\n" for n in range(12)))
    reason = "raw text is split by 'english'; spans that start or end inside a token: 0 ('words': 12)"
    assert resolve(file).choose_splitter("sentences") == ("english", reason)
    assert resolve(file).choose_splitter("texts", label=None)[0] == "words"
