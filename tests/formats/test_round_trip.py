"""What is written is read back, token for token, or refused; `benchmarks/round_trip.py` tries a million tokens."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from seqkit.corpora.check import check
from seqkit.corpora.convert import convert_file
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.formats.format import Description, ReadOptions, notes_on
from seqkit.formats.registry import describe, described_sentences, read_texts
from seqkit.formats.writers import WRITERS
from seqkit.records import ClassifiedText, Sentence, TaggedSentence

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "round_trip.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("round_trip", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ROUND_TRIP = loaded()


@pytest.mark.parametrize("name", ROUND_TRIP.KINDS)
def test_random_tokens(name: str, tmp_path: Path) -> None:
    row = ROUND_TRIP.round_trip(name, 1_500, 7, tmp_path)
    assert (row.lost, row.read) == (0, row.written)
    assert row.written > 1_000


def tagged(tokens: list[str], labels: list[str] | None = None, probs: list[float] | None = None) -> TaggedSentence:
    return TaggedSentence(Sentence.from_tokens(tokens, file="in", line=3), labels or ["X"] * len(tokens), probs)


def tokens_of(path: Path, content: str, format: str = "", **given: str) -> tuple[list[list[str]], list[str]]:
    """The tokens of a file, and the notes on it."""
    path.write_text(content, encoding="utf-8", newline="")
    description, notes = describe(path, Description(format, **given))  # type: ignore[arg-type]
    options = ReadOptions(left_out=Counter())
    found = [one.tokens for one in described_sentences(path, description, options)]
    return found, [note.removeprefix(f"{path}: ") for note in [*notes, *notes_on(path, options.left_out)]]


# --- where a document starts ------------------------------------------------------------------------------------------

BESIDE = "rows '-DOCSTART-' beside other rows of a sentence, read as tokens"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("-DOCSTART- -X- O O\n\nEU N B O\nran V O O\n\n-DOCSTART- -X- O O\n\nBo N O O\n", [["EU", "ran"], ["Bo"]]),
        ("-DOCSTART-\tO\n\nEU\tO\n\n-DOCSTART-\tO\n\nBo\tO\n\n-DOCSTART-\tO\n", [["EU"], ["Bo"]]),
        ("-DOCSTART- -DOCSTART- O\nDe A O\nman N O\n\n", [["De", "man"]]),
        ("-DOCSTART- (1 EU)\nEU\tO\n\n-DOCSTART- (2 Bo)\nBo\tO\n", [["EU"], ["Bo"]]),
        ("-DOCSTART-\t\t\nEU\tN\tO\n-DOCSTART-\t\tO\nBo\tN\tO\n", [["EU"], ["Bo"]]),
        ("EU N O\n-DOCSTART- -X- O\nBo N O\n", [["EU"], ["Bo"]]),
    ],
    ids=["CoNLL-2003", "alone", "at the first sentence", "another width", "empty cells", "no blank line"],
)
def test_the_start_of_a_document_is_no_token(tmp_path: Path, content: str, expected: list[list[str]]) -> None:
    for end in ("\n", "\r\n"):
        assert tokens_of(tmp_path / "a.conll", content.replace("\n", end)) == (expected, [])


def test_elsewhere_it_is_a_token(tmp_path: Path) -> None:
    content = "a\tO\n-DOCSTART-\tO\nb\tO\n\n-DOCSTART-\tO\nc\tO\n\n-DOCSTART-x\tO\n\n-DOCSTART-\tO\n\n"
    expected = [["a", "-DOCSTART-", "b"], ["-DOCSTART-", "c"], ["-DOCSTART-x"]]
    assert tokens_of(tmp_path / "a.conll", content) == (expected, [f"{BESIDE}: 2"])


@pytest.mark.parametrize("tokens", [["-DOCSTART-"], ["a", "-DOCSTART-", "b"], ["-DOCSTART-", "-DOCSTART-"]])
def test_a_predicted_one_is_a_token(tmp_path: Path, tokens: list[str]) -> None:
    written = WRITERS["conll"](tagged(tokens))
    assert written == f"# text = {' '.join(tokens)}\n" + "".join(f"{token}\tX\n" for token in tokens) + "\n"
    assert tokens_of(tmp_path / "a.conll", f"a\tX\n\n{written}{written}") == ([["a"], tokens, tokens], [])


@pytest.mark.parametrize(
    ("comment", "row"),
    [
        ("# id = 3", "0 {} N B-X\n1 ran V O\n"),
        ("# speaker", "{} B-X\nran O\n"),
        ("# from https://example.org", "{} N B-X\nran V O\n"),
        ("#begin document", "{} B-X\nran O\n"),
    ],
    ids=["a value", "a word", "an address", "a border of documents"],
)
def test_further_comments_after_that_on_tokens(tmp_path: Path, comment: str, row: str) -> None:
    names = [f"A{number}" for number in range(30)]
    for first, last in (("", f"{comment}\n"), (f"{comment}\n", "")):
        content = "".join(f"{first}# text = {name} ran\n{last}{row.format(name)}\n" for name in names)
        assert tokens_of(tmp_path / "a.conll", content)[0] == [[name, "ran"] for name in names]


# --- tokens that look like something else -----------------------------------------------------------------------------

PROBS = [0.25, 0.5]
ODD: list[tuple[str, list[TaggedSentence]]] = [
    ("signs of comments", [tagged(["a"]), tagged(["#"]), tagged(["#", "a"], ["S", "X"], PROBS)][:2]),
    ("signs of comments with probabilities", [tagged(["a", "b"], None, PROBS)] * 5 + [tagged(["#"], ["S"], [0.5])]),
    ("a border of documents", [tagged(["#begin document (x)", "a"])]),
    ("names of columns", [tagged(["word", "a"], ["tag", "X"])]),
    ("names of a table", [tagged(["sentence", "a"], ["word", "X"])]),
    ("labels", [tagged(["O", "B-X"], ["N", "V"])] * 3),
    ("numbers of tokens", [tagged(["1", "2"], ["N", "V"], PROBS)] * 20),
    ("names of documents", [tagged(["a", "a"], ["N", "V"], PROBS), tagged(["b", "b"], ["W", "V"], PROBS)] * 10),
    ("single tokens", [tagged([str(n)], [str(n)], [0.5]) for n in "abcdefgh" * 5] + [tagged(["a", "b"], None, PROBS)]),
    ("columns of CoNLL-U Plus", [tagged(["# global.columns = ID FORM", "a"])]),
    ("fastText", [tagged(["__label__a", "__label__b"])]),
    ("JSON", [tagged(["{", "a"], ["}", "X"])]),
    ("a byte-order mark", [tagged(["\ufeff", "a"])]),
    ("compressed data", [tagged(["BZh91AY&SY"])]),
    ("UTF-16", [tagged(["a\0b\0"])]),
    ("a comment on tokens", [tagged(["# text = a", "b"])]),
]


@pytest.mark.parametrize("records", [records for _, records in ODD], ids=[name for name, _ in ODD])
def test_tokens_that_look_like(tmp_path: Path, records: list[TaggedSentence]) -> None:
    content = "".join(map(WRITERS["conll"], records))
    for format in ("", "conll"):
        found, notes = tokens_of(tmp_path / "a.conll", content, format)
        assert found == [record.sentence.tokens for record in records]
        assert not any("the tokens are in column" in note for note in notes)


def test_usual_tokens_have_no_comment() -> None:
    for tokens in (
        ["Ada", "met", "Bob", "."],
        ["#tag", "x"][1:],
        ["He", "said", "-DOCSTART-x"],
        ["a", "#"],
        ["very", "very"],
    ):
        assert "# text" not in WRITERS["conll"](tagged(tokens))


def test_a_comment_tells_where_the_tokens_are(tmp_path: Path) -> None:
    content = "# text = 7 men\n# id = 1\n1\t7\tO\n2\tmen\tO\n\n# text = Bo\n1\tBo\tB-PER\n\n"
    note = "the tokens are in column 1 (counted from 0); --token-column overrides this"
    assert tokens_of(tmp_path / "a.iob2", content) == ([["7", "men"], ["Bo"]], [note])


def test_a_first_token_with_a_sign_of_conllu_plus(tmp_path: Path) -> None:
    content = "# global.columns = FORM UPOS\n# text = # a\n#\tSYM\na\tNOUN\n\n#b\tX\n"
    assert tokens_of(tmp_path / "a.conllup", content) == ([["#", "a"], ["#b"]], [])


def test_json_with_commas_is_no_table_of_tokens(tmp_path: Path) -> None:
    content = json.dumps({"text": "a, sentence, word, b"}) + "\n"
    assert tokens_of(tmp_path / "a.jsonl", content)[0] == [["a,", "sentence,", "word,", "b"]]


# --- what cannot be held ----------------------------------------------------------------------------------------------


def test_a_label_with_a_space_at_its_end_is_refused_in_columns() -> None:
    with pytest.raises(DataError, match=r"^in:3: the label 'X ' has a space at its end; use --output-format jsonl$"):
        WRITERS["conll"](tagged(["a", "b"], ["X", "X "]))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            ClassifiedText(Sentence([], "a", []), ["x|y", "z"], {"x|y": 0.5, "z": 0.5}, True),
            "a label contains '|', which ",
        ),
        (ClassifiedText(Sentence([], "a", []), ["\ufeffx"], {"\ufeffx": 1.0}), "at the start of a file the label "),
        (ClassifiedText(Sentence([], "a", []), ["x\ty"], {"x\ty": 1.0}), "the text or a label contains a line break"),
    ],
)
def test_labels_that_a_table_cannot_hold(record: ClassifiedText, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}.*; use --output-format jsonl$"):
        WRITERS["tsv"](record)
    assert json.loads(WRITERS["jsonl"](record))["text"] == "a"


def test_two_surrogates_that_json_joins_are_refused() -> None:
    message = "in:3: the text has two surrogates that JSON reads as one character; replace them"
    with pytest.raises(DataError, match=f"^{message}$"):
        WRITERS["jsonl"](tagged(["\ud83d\ude00", "b"]))


def test_a_predicted_text_may_have_tabs(tmp_path: Path) -> None:
    texts = ["a\tb", "\t", "review", ""]
    records = [ClassifiedText(Sentence([], text, []), ["topic"], {"topic": 0.75}) for text in texts]
    path = tmp_path / "a.tsv"
    path.write_text("".join(map(WRITERS["tsv"], records)), encoding="utf-8")
    found = resolve(str(path)).described(Description(columns=("label", "probability", "text")))
    assert [(one.text, one.fields["label"]) for one in found.texts("all")] == [(text, "topic") for text in texts]
    path.write_text("a\tb\tc\td\n")
    with pytest.raises(
        DataError, match=f"^{path}:1: expected 3 tab-separated columns .label, probability, text., found 4$"
    ):
        found.texts("all")


def test_named_columns_are_not_those_of_fasttext(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(WRITERS["tsv"](ClassifiedText(Sentence([], "a __label__b", []), ["x"], {"x": 1.0})))
    assert describe(path, Description(columns=("label", "probability", "text")), texts=True)[0].format == "tsv"


def test_converting_refuses_what_would_be_read_otherwise(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("text,tokens\na,b\n")
    with pytest.raises(DataError, match=f"^{source}:2: jsonl would not be read back as this text$"):
        convert_file(source, target)
    assert not target.exists()


def test_converting_says_where_the_format_has_to_be_named(tmp_path: Path) -> None:
    source, target, notes = tmp_path / "in.jsonl", tmp_path / "out.tsv", list[str]()
    source.write_text('{"label": "x", "text": "a __label__b"}\n' * 20)
    convert_file(source, target, notes=notes)
    assert notes == [f"{target}: looks like format fasttext; --format tsv reads it as it was written", "20 texts"]
    assert [one.fields["label"] for one in read_texts(target, "tsv")] == ["x"] * 20


def test_check_reads_what_was_predicted(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text(
        "".join(WRITERS["conll"](tagged(tokens, ["X", "Y"][: len(tokens)])) for tokens in (["-DOCSTART-", "#"], ["b"]))
    )
    assert check(resolve(str(path))) == []
