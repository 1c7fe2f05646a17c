from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from seqkit.corpora.cards import card_names, list_cards, load_card, read_card
from seqkit.corpora.check import check
from seqkit.corpora.fetch import REWRITES, is_intact
from seqkit.corpora.resolve import resolve
from seqkit.corpora.samples import GENERATORS
from seqkit.errors import DataError
from seqkit.formats.registry import FORMATS
from seqkit.formats.schemes import SCHEMES

TAGGING = ("conll2000", "conll2002-es", "ud-english-ewt", "wnut17")
SEQUENCES = ("an4", "fsdd", "japanese-vowels", "natops")
PAIRS = ("g2p-bul", "g2p-dut", "g2p-eng", "g2p-ice", "multi30k", "scan-length", "scan-simple")
OF_TWO_TEXTS = ("babi-1", "babi-4", "sick")
REAL = (
    *TAGGING,
    *SEQUENCES,
    *PAIRS,
    *OF_TWO_TEXTS,
    "ptb",
    "restaurant-acts",
    "sst2",
    "tang",
    "tinyshakespeare",
    "trec6",
)
MINIMAL = {
    "name": '"toy"',
    "task": '"tag"',
    "description": '"a toy"',
    "language": '"en"',
    "licence": '"none"',
    "format": '"conll"',
    "splits": '{ train = "a.conll" }',
    "files": '[{ name = "a.conll" }]',
}


def write(folder: Path, **fields: str) -> Path:
    path = folder / "toy.toml"
    lines = {**MINIMAL, **fields}
    path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if value), encoding="utf-8")
    return path


def test_there_is_a_card_for_every_known_set_and_the_samples() -> None:
    assert card_names() == sorted([*REAL, "conll2003", "nottingham", "pinyin", "pinyin-text", *GENERATORS])
    assert [card.name for card in list_cards()] == card_names()


@pytest.mark.parametrize("card", list_cards(), ids=lambda card: card.name)
def test_cards_say_all_that_a_user_needs(card) -> None:
    assert card.format in FORMATS and card.scheme in (*SCHEMES, "auto")
    assert card.licence and card.description and card.language
    if card.generator is None:
        assert card.homepage.startswith("https://") and card.citation
        first = {
            file.name for file in card.files if card.format != "parallel-files" or file.name.endswith(card.columns[0])
        }
        assert first == set(card.splits.values())
        assert card.downloadable or card.instructions
    if card.task == "tag":
        assert card.target
    for file in card.files:
        assert file.rewrite in REWRITES
        # What is downloaded is verified.
        assert not file.url or (len(file.sha256) == 64 and file.size)


@pytest.mark.parametrize("name", REAL)
def test_checksums_are_those_of_the_real_files(name: str, real_file: Callable[[str], Path]) -> None:
    for file in load_card(name).files:
        path = real_file(f"{name}/{file.name}")
        assert is_intact(path, file)
        assert path.stat().st_size == file.size


@pytest.mark.parametrize("name", OF_TWO_TEXTS)
def test_the_texts_of_a_card_are_fields_of_its_files(name: str, real_file: Callable[[str], Path]) -> None:
    card = load_card(name)
    for file in card.files:
        row = json.loads(real_file(f"{name}/{file.name}").read_text(encoding="utf-8").partition("\n")[0])
        assert {*card.texts, card.target or "label"} <= set(row)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": '"pair"'}, "texts: the two fields of a pair are needed for input pair, and for no other"),
        ({"texts": '["a", "b"]'}, "texts: the two fields of a pair are needed for input pair, and for no other"),
    ],
)
def test_texts_are_for_pairs(fields: dict[str, str], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, task='"classify"', format='"jsonl"', **fields)
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize("name", TAGGING)
def test_columns_and_scheme_of_a_card_fit_its_files(name: str, real_file: Callable[[str], Path]) -> None:
    for file in load_card(name).files:
        real_file(f"{name}/{file.name}")
    faults = [problem for problem in check(resolve(name)) if "is also in" not in problem.message]
    # A label that only test has, and three that break a rule, stand in the published files.
    assert len(faults) == {"conll2000": 1, "conll2002-es": 3}.get(name, 0)


def test_a_card_is_read(tmp_path: Path) -> None:
    card = read_card(write(tmp_path))
    assert card.splits == {"train": "a.conll"}
    assert card.scheme == "auto" and card.target == "" and not card.downloadable


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": '"sing"'}, r"task: expected one of tag, classify, lm, generate, translate, transcribe, found 'sing'"),
        ({"licence": ""}, r"licence: missing"),
        ({"colour": '"red"'}, r"colour: unknown field"),
        ({"licence": "", "colour": "1"}, r"licence: missing; colour: unknown field"),
        ({"files": '[{ name = "a.conll", sha256 = "12" }]'}, r"files\.0\.sha256: string should match.*, found '12'"),
        ({"files": '[{ name = "../a.conll" }]'}, r"files: '\.\./a\.conll' is not a plain file name"),
        ({"files": '[{ name = ".." }]'}, r"files: '\.\.' is not a plain file name"),
        ({"files": '[{ name = "CON.txt" }]'}, r"files: 'CON\.txt' is not a plain file name"),
        ({"files": '[{ name = "a", unpack = "zip" }]'}, r"files\.0\.unpack: input should be '' or 'gzip', found 'zip'"),
        (
            {"files": '[{ name = "a.conll", url = "https://x/y" }]'},
            r"files: a\.conll has a url, but no sha256 or no size",
        ),
        ({"files": "[{ name = 'a', size = 1e999 }]"}, r"files\.0\.size: .*, found inf"),
        ({"files": f"[{{ name = 'a', size = 0x{'f' * 5000} }}]"}, r"files\.0\.size: .*, found a int"),
        ({"citation": f"{'9' * 5000}"}, r"invalid TOML: Exceeds the limit .*"),
        ({"citation": f"{'[' * 5000}"}, r"invalid TOML: lists or tables are nested too deeply"),
        ({"citation": f'"{"x" * (1 << 20)}"'}, r"invalid TOML: more than 1,048,576 bytes"),
        ({f"more{number}": "1" for number in range(10)}, r"more0: unknown field; .*; more7: unknown field; and 2 more"),
        (
            {"files": '[{ name = "a.conll", url = "ftp://x" }]'},
            r"files\.0\.url: string should match.*, found 'ftp://x'",
        ),
        ({"files": '[{ name = "b" }]'}, r"splits\.train: 'a\.conll' is not one of the files \(b\)"),
        (
            {"files": '[{ name = "a.conll" }, { name = "a.conll" }]'},
            r"files: a name occurs twice: a\.conll, a\.conll",
        ),
        ({"splits": "{}"}, r"splits: no train file"),
        (
            {"columns": '["word", "pos"]', "target": '"ner"'},
            r"target: 'ner' is not one of the columns \(word, pos\)",
        ),
        ({"name": '"other"'}, r"name: expected the name of the file, 'toy', found 'other'"),
        ({"name": "'toy"}, r"invalid TOML: .+"),
        (
            {"generator": '{ name = "sample-ner", train = 1, dev = 1, test = 1 }'},
            r"generator: a card with a generator cannot have splits or files",
        ),
    ],
)
def test_a_faulty_card_names_its_file_and_field(fields: dict[str, str], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, **fields)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: {message}$"):
        read_card(path)


def test_a_card_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_bytes(b'name = "\xed\xa0\x80"')
    with pytest.raises(DataError, match=r"toy\.toml: invalid TOML: 'utf-8' codec can't decode byte 0xed .+$"):
        read_card(tmp_path / "toy.toml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name")
def test_a_card_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "toy.toml")
    with pytest.raises(DataError, match=r"toy\.toml: cannot be read: not a regular file$"):
        read_card(tmp_path / "toy.toml")


def test_a_missing_card(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown data set 'nonesuch'; choose from an4, babi-1, .*wnut17"):
        load_card("nonesuch")
    with pytest.raises(DataError, match=r"toy\.toml: cannot be read: No such file"):
        read_card(tmp_path / "toy.toml")
