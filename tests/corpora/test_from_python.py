"""Data from Python: pairs, mappings, and tables of other libraries, which may be absent: then stand-ins are read."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqkit
from seqkit.config import parse_settings
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.frames import rows
from seqkit.corpora.from_python import from_items
from seqkit.corpora.reading import read_splits
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError, SettingsError
from seqkit.formats.format import Description
from seqkit.formats.json_values import as_json
from seqkit.formats.splitting import Splitter

WORDS = Splitter("words").split
TINY = {"embedding": {"word_size": 4, "chars": "none"}, "encoder": {"hidden": 4}, "training": {"epochs": 1}}


def fault(call: Callable[[], Any], kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value)


# --- stand-ins: classes with the methods of the libraries' classes ------------------------------------------------


class Column:
    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def tolist(self) -> list[Any]:
        return self.values


class PandasLike:
    """Rows by position, like ``pandas.DataFrame``; iteration gives the names of columns."""

    def __init__(self, names: list[Any], columns: list[list[Any]]) -> None:
        self._names, self._columns = names, columns

    @property
    def columns(self) -> list[Any]:
        return self._names

    @property
    def iloc(self) -> PandasLike:
        return self

    def __getitem__(self, place: tuple[slice, int]) -> Column:
        return Column(self._columns[place[1]])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._names)


class PolarsLike:
    """Rows by name, like ``polars.DataFrame``; iteration gives columns."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    @property
    def columns(self) -> list[str]:
        return list(self._rows[0])

    def iter_rows(self, *, named: bool) -> Iterator[dict[str, Any]]:
        assert named
        return iter(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return iter([])


class LazyLike(PolarsLike):
    def __getattribute__(self, name: str) -> Any:
        assert name not in ("iter_rows", "columns"), "a lazy frame has no rows"
        return super().__getattribute__(name)

    def collect(self) -> PolarsLike:
        return PolarsLike(self._rows)

    def collect_schema(self) -> None: ...


class ArrowLike:
    """Like ``pyarrow.Table``, which cannot be iterated over."""

    def __init__(self, rows: list[dict[str, Any]], names: list[str] | None = None) -> None:
        self._rows, self.names = rows, names or list(rows[0])

    @property
    def schema(self) -> ArrowLike:
        return self

    def __getitem__(self, name: str) -> Any: ...

    def to_pylist(self) -> list[dict[str, Any]]:
        return self._rows


class ReaderLike:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def read_all(self) -> ArrowLike:
        return ArrowLike(self._rows)

    def read_next_batch(self) -> None: ...

    def __iter__(self) -> Iterator[Any]:
        return iter([])


class ClassLabel:
    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def int2str(self, number: int) -> str:
        return self.names[number]


class Sequence:
    def __init__(self, feature: Any) -> None:
        self.feature = feature


class Value: ...


class HuggingFaceLike:
    """Like ``datasets.Dataset``."""

    def __init__(self, rows: list[dict[str, Any]], features: Any, is_plain: bool = False) -> None:
        self._rows, self._features, self.is_plain = rows, features, is_plain

    @property
    def features(self) -> Any:
        return self._features

    def with_format(self, kind: None) -> HuggingFaceLike:
        return HuggingFaceLike(self._rows, self._features, True)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        assert self.is_plain, "rows would be tensors"
        return iter(self._rows)


def pandas_like(rows: list[dict[str, Any]]) -> PandasLike:
    return PandasLike(list(rows[0]), [[row[name] for row in rows] for name in rows[0]])


def pandas(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("pandas").DataFrame(rows)


def polars(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("polars").DataFrame(rows)


def lazy(rows: list[dict[str, Any]]) -> Any:
    return polars(rows).lazy()


def arrow(rows: list[dict[str, Any]]) -> Any:
    return pytest.importorskip("pyarrow").Table.from_pylist(rows)


def arrow_reader(rows: list[dict[str, Any]]) -> Any:
    return arrow(rows).to_reader()


def real_datasets() -> Any:
    datasets = pytest.importorskip("datasets")
    if not hasattr(datasets, "Dataset"):  # the folder of this name beside the package
        pytest.skip("could not import 'datasets'")
    return datasets


def hugging_face(rows: list[dict[str, Any]]) -> Any:
    return real_datasets().Dataset.from_list(rows)


TABLES: list[Callable[[list[dict[str, Any]]], Any]] = [
    *(list, iter, lambda rows: (row for row in rows)),
    *(pandas_like, PolarsLike, LazyLike, ArrowLike, ReaderLike, lambda rows: HuggingFaceLike(rows, {"text": Value()})),
    *(pandas, polars, lazy, arrow, arrow_reader, hugging_face),
]
NAMES = [
    *("list", "iterator", "generator", "pandas-like", "polars-like", "lazy-like", "arrow-like", "reader-like"),
    *("datasets-like", "pandas", "polars", "lazy", "arrow", "reader", "datasets"),
]
each_table = pytest.mark.parametrize("table", TABLES, ids=NAMES)


# --- tables -------------------------------------------------------------------------------------------------------


def random_rows(kind: str, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    words = ["new", "old", "naïve", "a.b", "x"]
    found = []
    for number in range(chance.randint(2, 30)):
        tokens = chance.choices(words, k=chance.randint(1, 5))
        if kind == "sentences":
            labels = {name: chance.choices(["B-X", "I-X", "O"], k=len(tokens)) for name in ("pos_tags", "ner_tags")}
            found.append({"id": str(number), "tokens": tokens, **labels})
        else:
            found.append({"id": number, "text": " ".join(tokens), "label": chance.choice([1, 2])})
    return found


@each_table
@pytest.mark.parametrize("kind", ["sentences", "texts"])
def test_rows_are_read_as_the_lines_of_a_file_are(kind: str, table: Any, tmp_path: Path) -> None:
    for seed in range(5):
        given = random_rows(kind, seed)
        file = tmp_path / "all.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")

        def read(dataset: Dataset, split: str, kind: str = kind) -> list[Any]:
            records = dataset.sentences(split) if kind == "sentences" else dataset.texts(split, WORDS)
            return [
                (each.tokens, each.text, list(each.offsets), list(each.columns.items()), each.fields, each.line)
                for each in records
            ]

        expected = read(resolve(file), "all")
        dataset = from_items(kind, table(given), dev=[])
        assert read(dataset, "train") == expected
        assert len(expected) == len(given)


@each_table
def test_tables_go_in_everywhere(table: Any, tmp_path: Path) -> None:
    def made(factor: int = 4) -> Any:
        return table([{"review": "so good", "stars": 5}, {"review": "so bad", "stars": 1}] * factor)

    settings = {"task": "classify", **TINY, "data": {"text": "review", "label": "stars"}}
    model = seqkit.train(settings, tmp_path / "m", made(), dev=made(1), test=made(2), device="cpu")
    assert model.report["data"]["sentences"] == {"train": 8, "dev": 2, "test": 4}
    assert set(model.classify("a").probs) == {"5", "1"}
    assert model.evaluate(made(3)).report.sentences == 6
    found = list(model.predict(made(1)))
    assert [each.sentence.text for each in found] == ["so good", "so bad"]
    assert [each.sentence.fields["stars"] for each in found] == [5, 1]


@each_table
def test_a_missing_value_is_a_fault_of_its_row(table: Any) -> None:
    given = [{"text": "a", "label": "x"}, {"text": "b", "label": None}, {"text": None, "label": "y"}]
    assert (
        fault(lambda: from_items("texts", table(given), dev=[]).texts("train"))
        == 'texts train:2: expected a string or a list of strings in "label", found None'
    )
    given[1]["label"] = "y"
    message = 'texts train:3: expected a text in "text", found none'
    assert fault(lambda: from_items("texts", table(given), dev=[]).texts("train")) == message


def test_missing_values_of_pandas() -> None:
    pd = pytest.importorskip("pandas")
    for missing in (None, float("nan"), np.nan, pd.NA, pd.NaT):
        frame = pd.DataFrame({"text": ["a", missing], "label": ["x", "y"]}, dtype="object")
        message = 'texts train:2: expected a text in "text", found none'
        assert fault(lambda frame=frame: from_items("texts", frame, dev=[]).texts("train")) == message
    frame = pd.DataFrame({"text": ["a", "b"], "label": pd.array([1, None], dtype="Int64")})
    message = 'texts train:2: expected a string or a list of strings in "label", found None'
    assert fault(lambda: from_items("texts", frame, dev=[]).texts("train")) == message


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (3, "3"),
        (5.0, "5.0"),
        (True, "true"),
        (" x\t", "x"),
        (np.int64(3), "3"),
        (np.float64(0.5), "0.5"),
        (np.bool_(False), "false"),
        (np.str_("x"), "x"),
        (["x", 2], ["x", "2"]),
        (("x", "y"), ["x", "y"]),
        (np.array(["x", "y"]), ["x", "y"]),
    ],
)
def test_labels_become_the_strings_that_json_has_for_them(value: Any, label: Any) -> None:
    for item in ({"text": "a", "label": value}, ("a", value)):
        (found,) = from_items("texts", [item], dev=[]).texts("train")
        assert found.fields["label"] == label


def test_columns_of_one_name_are_refused() -> None:
    frame = PandasLike(["text", "label", "text"], [["a"], ["x"], ["b"]])
    expected = "3 columns are called 'a'; rename all but one"
    assert fault(lambda: rows(frame)) == "2 columns are called 'text'; rename all but one"
    assert fault(lambda: rows(ArrowLike([{"a": 1}], ["a", "b", "a", "a"]))) == expected
    assert list(rows(PandasLike([0, 1], [["a"], ["x"]]))) == [{"0": "a", "1": "x"}]


def test_the_column_of_the_tokens_may_have_another_name() -> None:
    given = [{"words": ["a", "b"], "tag": ["X", "Y"], "more": ["1", "2"]}]
    dataset = from_items("sentences", given, dev=[]).described(Description(token_column="words"))
    (found,) = dataset.sentences("train")
    assert (found.tokens, found.columns) == (["a", "b"], {"tag": ["X", "Y"], "more": ["1", "2"]})
    other = from_items("sentences", given, dev=[]).described(Description(token_column="tokens "))
    assert (
        fault(lambda: other.sentences("train"))
        == "pairs train:1: no token column 'tokens '; fields: 'words', 'tag', 'more'"
    )


class DaskLike:
    """Has the methods of pandas, which do not work, and becomes one of pandas; iteration gives names."""

    columns = iloc = property(lambda self: 1 / 0)

    def compute(self) -> PandasLike:
        return pandas_like([{"text": "a", "label": "x"}])

    def __iter__(self) -> Iterator[str]:
        return iter(["text", "label"])


class SparkLike:
    """Can be indexed by the number of a column."""

    columns = property(lambda self: ["text"])

    def toPandas(self) -> PandasLike:
        return pandas_like([{"text": "a", "label": "x"}])

    def __getitem__(self, column: int) -> Any:
        return object()


def test_frames_that_become_those_of_pandas() -> None:
    for frame in (DaskLike(), SparkLike()):
        assert list(from_items("lines", frame, dev=[]).lines("train")) == ["a"]


# --- features of Hugging Face --------------------------------------------------------------------------------------


def test_integers_with_names_become_these() -> None:
    label = ClassLabel("neg", "pos")
    features = {
        "label": label,
        "tags": Sequence(label),
        "old": [label],
        "deep": Sequence(Sequence(label)),
        "struct": {"one": label, "other": Value()},
        "turned": Sequence({"one": label, "other": Value()}),
        "value": Value(),
    }
    row = {
        "label": 1,
        "tags": [0, 1],
        "old": [1],
        "deep": [[0], []],
        "struct": {"one": 0, "other": 1},
        "turned": {"one": [1, 0], "other": [1, 0]},
        "value": 1,
    }
    assert list(rows(HuggingFaceLike([row, {**row, "label": -1}], features))) == [
        {
            "label": "pos",
            "tags": ["neg", "pos"],
            "old": ["pos"],
            "deep": [["neg"], []],
            "struct": {"one": "neg", "other": 1},
            "turned": {"one": ["pos", "neg"], "other": [1, 0]},
            "value": 1,
        },
        {**next(iter(rows(HuggingFaceLike([row], features)))), "label": None},
    ]
    message = "row 1: label 2 has no name: the data set names 2 labels, from 0"
    assert fault(lambda: list(rows(HuggingFaceLike([{"label": 2}], features)))) == message
    assert list(rows(HuggingFaceLike([{"label": 2}], None))) == [{"label": 2}]


def test_named_integers_of_the_real_library() -> None:
    datasets = real_datasets()
    label = datasets.ClassLabel(names=["O", "B-X"])
    several = getattr(datasets, "List", datasets.Sequence)
    for kind in (several, datasets.Sequence):
        features = datasets.Features({"tokens": kind(datasets.Value("string")), "ner_tags": kind(label)})
        given = datasets.Dataset.from_list([{"tokens": ["a", "b"], "ner_tags": [0, 1]}] * 3, features=features)
        expected = [{"tokens": ["a", "b"], "ner_tags": ["O", "B-X"]}] * 3
        assert list(rows(given)) == list(rows(given.with_format("numpy"))) == expected
        assert list(rows(given.to_iterable_dataset())) == expected
        splits = datasets.DatasetDict({"train": given, "validation": given, "test": given})
        dataset = from_items("sentences", splits)
        assert dataset.sentences("dev")[0].columns == {"ner_tags": ["O", "B-X"]}


# --- splits -------------------------------------------------------------------------------------------------------

PAIRS = [("so good", "pos"), ("so bad", "neg")]


@pytest.mark.parametrize("name", ["dev", "validation", "valid", "val", "Validation"])
def test_a_mapping_of_splits(name: str, tmp_path: Path) -> None:
    data = {"train": PAIRS * 4, name: PAIRS * 2, "test": PAIRS}
    model = seqkit.train({"task": "classify", **TINY}, tmp_path / "m", data, device="cpu")
    assert model.report["data"]["sentences"] == {"train": 8, "dev": 4, "test": 2}
    sizes = {split: model.evaluate(data, split).report.sentences for split in (None, "train", "dev", "test")}
    assert sizes == {None: 2, "train": 8, "dev": 4, "test": 2}
    assert model.evaluate({name: PAIRS}).report.sentences == 2


def test_other_keys_are_told() -> None:
    data = {"train": PAIRS, "unsupervised": PAIRS, "validation_matched": PAIRS, "test": None}
    dataset = from_items("texts", data)
    assert dataset.notes == ["texts: not taken: unsupervised, validation_matched"]
    assert list(dataset.splits) == ["train"]


def test_splits_that_clash() -> None:
    message = "texts: 'dev' and 'validation' are both dev; leave one of them out"
    assert fault(lambda: from_items("texts", {"train": PAIRS, "dev": PAIRS, "validation": PAIRS})) == message
    message = "texts: dev is given twice, among the data and beside it"
    assert fault(lambda: from_items("texts", {"train": PAIRS, "dev": PAIRS}, dev=PAIRS)) == message
    assert from_items("texts", {"train": PAIRS}, dev=PAIRS).has("dev")
    message = "texts train must be a list or another iterable of records, found {'train': 'a'}"
    assert fault(lambda: from_items("texts", {"train": "a"})) == message


def test_a_test_split_whose_labels_are_hidden_is_left_out() -> None:
    hidden = HuggingFaceLike([{"text": "a", "label": -1}] * 2, {"label": ClassLabel("neg", "pos")})
    dataset = from_items("texts", {"train": PAIRS, "test": hidden})
    assert dataset.notes == ["texts: not taken: test, in which no row has a 'label'"]
    message = "no test split in texts; it has train; not taken: test, in which no row has a 'label'"
    assert fault(lambda: dataset.evaluation_split("test")) == message
    message = 'texts test:1: expected a string or a list of strings in "label", found None'
    assert fault(lambda: from_items("texts", PAIRS, test=hidden).texts("test")) == message


# --- pairs, mappings, lines ---------------------------------------------------------------------------------------


def test_mappings_of_every_task(tmp_path: Path) -> None:
    for labels in (["A", "B"], [1, 2], (1, 2), np.array([1, 2])):
        (found,) = from_items("sentences", [{"tokens": ["a", "b"], "labels": labels}], dev=[]).sentences("train")
        assert found.columns == {"labels": list(map(str, labels))}
        (found,) = from_items("sentences", [(["a", "b"], labels)], dev=[], label="pos").sentences("train")
        assert found.columns == {"pos": list(map(str, labels))}
    spans = {"text": "Ada slept", "spans": [{"start": 0, "end": 3, "label": "PER"}]}
    (found,) = from_items("sentences", [spans], dev=[]).sentences("train")
    assert found.column("ner") == ["B-PER", "O"]
    lines = from_items("lines", [{"text": "a b"}, "c", {"tokens": ["d", "e"]}, {"text": "f\ng"}], dev=[])
    assert list(lines.lines("train")) == ["a b", "c", "d e", "f", "g"]
    message = 'lines train:2: expected "tokens" or "text", found \'txt\''
    assert fault(lambda: from_items("lines", ["a", {"txt": "b"}])) == message


def test_rejected_rows_are_left_out_as_in_files() -> None:
    rows = [{"text": "a", "label": "x", "answer": answer} for answer in ("accept", "reject", "accept", "ignore")]
    found = from_items("texts", rows, dev=[]).read_texts(WORDS, ["train"])
    assert len(found.records["train"]) == 2
    assert found.notes == ["texts train: left out 1 with answer 'reject' and 1 with answer 'ignore'"]


def test_the_order_of_pairs() -> None:
    swapped = [(("pos", "neg")[number % 2], f"film number {number}") for number in range(10)]
    message = "texts train: 10 pairs have 2 different texts and 10 different labels: give pairs as (text, label), "
    assert fault(lambda: from_items("texts", swapped)) == message + "not (label, text)"
    right = [(text, label) for label, text in swapped]
    for pairs in (right, right[:1] * 9, swapped[:3], [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")] * 3):
        from_items("texts", pairs)


def test_a_list_of_labelled_tokens() -> None:
    sentence = [("Ada", "PER"), ("slept", "O"), (".", "O")]
    message = f"pairs train:1: expected a pair (tokens, labels), found {sentence}; zip(*sentence) makes one of pairs "
    assert fault(lambda: from_items("sentences", [sentence])) == message + "(token, label)"
    (found,) = from_items("sentences", [zip(*sentence, strict=True)], dev=[]).sentences("train")
    assert (found.tokens, found.columns) == (["Ada", "slept", "."], {"label": ["PER", "O", "O"]})


def test_what_is_nested_too_deep_or_too_long() -> None:
    deep: list[Any] = []
    deep.append(deep)
    for item in ({"text": "a", "label": deep}, ("a", deep)):
        message = "texts train:1: lists and objects are nested more than 100 deep"
        assert fault(lambda item=item: from_items("texts", [item])) == message
    message = "texts train:1: a whole number is too long: 20,001 bits"
    assert fault(lambda: from_items("texts", [("a", 2**20_000)])) == message


def test_any_objects_end_in_a_data_set_or_a_fault() -> None:
    chance = random.Random(1)

    class Endless:
        def tolist(self) -> Endless:
            return self

    leaves = [None, float("nan"), float("inf"), 1, 2**70, 2**20_000, True, "", "a", "a b", "\ud800", b"x", 1j, object]
    leaves += [
        Endless(),
        np.array([1, 2]),
        np.array(3),
        np.float32("nan"),
        np.datetime64("2020"),
        range(3),
        {1, 2},
        ...,
    ]
    keys = ["text", "label", "tokens", "labels", "spans", "start", "end", "train", "dev", "answer", 1, None, (1, 2)]

    def value(depth: int = 0) -> Any:
        kind, size = chance.random(), chance.randint(0, 3)
        if depth > 3 or kind < 0.4:
            return chance.choice(leaves)
        if kind < 0.7:
            return [value(depth + 1) for _ in range(size)]
        if kind < 0.8:
            return value(depth + 1), value(depth + 1)
        return {chance.choice(keys): value(depth + 1) for _ in range(size)}

    read = 0
    for _ in range(3_000):
        data = [value() for _ in range(size)] if (size := chance.randint(0, 2)) else value()
        for kind in ("sentences", "texts", "fields", "lines"):
            try:
                dataset = from_items(kind, data, dev=[])
                if kind == "sentences":
                    dataset.sentences("train")
                elif kind == "texts":
                    dataset.texts("train", WORDS)
                elif kind == "fields":
                    dataset.texts("train", label=None)
                else:
                    list(dataset.lines("train"))
                read += 1
            except DataError as error:
                assert "\n" not in str(error)
    assert read > 100


def test_as_json_leaves_its_argument() -> None:
    given = {"a": [1, (2, {"b": float("nan")})], 3: {"x"}}
    found = as_json(given)
    assert found == {"a": [1, [2, {"b": None}]], "3": {"x"}}
    assert isinstance(given["a"][1], tuple)  # type: ignore[index]


# --- what a model takes -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pairs = [("Ada slept", "a"), ("Paris slept", "b")] * 4
    settings = {"task": "classify", **TINY, "head": {"baseline": False}}
    return seqkit.train(settings, tmp_path_factory.mktemp("classifier") / "m", pairs, device="cpu")


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pairs = [(["Ada", "slept"], ["B-PER", "O"]), (["Paris", "slept"], ["B-LOC", "O"])] * 4
    return seqkit.train({"task": "tag", **TINY}, tmp_path_factory.mktemp("tagger") / "m", pairs, device="cpu")


def test_several_texts_are_no_tokens(tagger: Any, classifier: Any) -> None:
    end = " is several words: use predict(texts) for several texts, predict([tokens]) for tokens with spaces"
    for texts in (["Ada slept.", "Paris."], ("Paris", "Ada slept."), np.array(["Ada slept."])):
        message = f"a list given to tag holds the tokens of one text, and 'Ada slept.'{end}"
        assert fault(lambda texts=texts: tagger.tag(texts)) == message
        assert fault(lambda texts=texts: classifier.classify(texts)) == message.replace(" tag ", " classify ")
    assert classifier.classify(["Ada", "slept"]).sentence.tokens == ["Ada", "slept"]
    assert tagger.tag(["Ada", "slept"]).sentence.tokens == ["Ada", "slept"]
    assert tagger.tag({"text": "Ada slept."}).sentence.tokens == ["Ada", "slept", "."]
    assert next(tagger.predict([["10 000", "m"]])).sentence.tokens == ["10 000", "m"]
    message = "the argument of predict must be a list or another iterable of records, found 'Bill'"
    assert fault(lambda: tagger.predict("Bill")) == message
    assert fault(lambda: tagger.tag(None)) == "a record must be a text or a list of tokens (strings), found None"


@each_table
def test_tables_of_the_other_tasks(table: Any, tmp_path: Path) -> None:
    tags = table([{"id": 7, "tokens": ["Ada", "slept"], "chunk": ["B", "O"], "ner": ["B-PER", "O"]}] * 8)
    settings: dict[str, Any] = {"task": "tag", **TINY, "data": {"target": "chunk"}}
    model = seqkit.train(settings, tmp_path / "tag", tags, device="cpu")
    (found,) = model.predict(table([{"id": 7, "tokens": ["Ada", "slept"]}]))
    assert found.sentence.tokens == ["Ada", "slept"] and found.sentence.fields["id"] == 7

    settings = {**TINY, "embedding": {"word_size": 4}}
    poems = [{"poem": "so blue", "about": "sea"}, {"poem": "so red", "about": "sky"}]
    about = {"task": "generate", **settings, "data": {"target": "poem", "condition": "about"}}
    model = seqkit.train(about, tmp_path / "generate", table(poems * 4), dev=table(poems), device="cpu")
    assert len(list(model.predict(table(poems)))) == 2

    lines = [{"text": "so blue"}, {"text": "so red"}]
    model = seqkit.train({"task": "lm", **settings}, tmp_path / "lm", table(lines * 4), dev=table(lines), device="cpu")
    assert [each.text for each in model.score(table(lines))] == ["so blue", "so red"]
    assert model.evaluate(table(lines)).report.sentences == 2


def test_an_argument_that_is_a_setting(tmp_path: Path) -> None:
    def told(recipe: Any, **options: Any) -> str:
        return fault(lambda: seqkit.train(recipe, tmp_path / "m", PAIRS, **options), SettingsError)

    setting = "epochs is a setting: training.epochs; pass it in the recipe: "
    assert told({"task": "classify"}, epochs=1) == f'{setting}{{"training": {{"epochs": 1}}}}'
    changed = f'{setting}seqkit.config.override(settings, {{"training": {{"epochs": 1}}}})'
    assert told(seqkit.ClassifySettings(), epochs=1) == changed
    changed = 'seqkit.config.override(seqkit.load_recipe(\'sample-reviews\').settings, {"encoder": {"hidden": 1}})'
    assert told("sample-reviews", hidden=1) == (
        f"hidden is a setting: encoder.hidden; pass it in the recipe: {changed}"
    )
    arguments = "it has recipe, output, data, dev, test, device, resume, force, quiet"
    assert told({}, forced=True) == f"train has no argument 'forced'; did you mean 'force'?; {arguments}"


def test_labels_are_rewritten_for_one_model_and_not_for_the_next() -> None:
    tags = ["B-PER", "L-PER", "O", "U-LOC"]
    dataset = from_items("sentences", [(list("abcd"), tags)] * 20)
    spans, as_they_are = (
        parse_settings({"task": "tag", "data": {"target": "label", "scheme": scheme}}, "settings").data
        for scheme in ("auto", "none")
    )
    for data, expected in ((as_they_are, tags), (spans, ["B-PER", "E-PER", "O", "S-LOC"]), (as_they_are, tags)):
        found = read_splits(dataset, "sentences", data, None, ["train"]).records["train"]
        assert [sentence.columns["label"] for sentence in found] == [expected] * 18
