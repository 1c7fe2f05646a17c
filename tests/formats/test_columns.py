"""Files of columns: known formats by name, what the first lines tell, blanks, comments, headers, tables of tokens."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from seqkit.corpora.check import check
from seqkit.corpora.convert import convert_file
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.resolve import resolve
from seqkit.corpora.split import Split
from seqkit.errors import DataError
from seqkit.formats.blocks import cut
from seqkit.formats.conll import CONLL
from seqkit.formats.format import Description, ReadOptions, notes_on
from seqkit.formats.registry import FORMATS, describe, described_sentences, part_sentences, read_sentences
from seqkit.formats.schemes import from_spans
from seqkit.records import Sentence


def read(path: Path, content: str, **given: object) -> tuple[list[Sentence], str, list[str]]:
    """The sentences of a file, its format, and the notes on it; in blocks of every size it is read as whole."""
    path.write_text(content, encoding=str(given.get("encoding") or "utf-8"), newline="")
    description, notes = describe(path, Description(**given))  # type: ignore[arg-type]
    options = ReadOptions(left_out=Counter(), allow_unlabelled=True)
    found = list(described_sentences(path, description, options))
    for size in (1, 50, 1 << 19):
        parts = (part for block in cut([(str(path), description)], size) for part in block)
        assert [each for part in parts for each in part_sentences(part, None)] == found
    notes = [note.removeprefix(f"{path}: ") for note in [*notes, *notes_on(path, options.left_out)]]
    return found, description.format, notes


def table(sentence: Sentence, *names: str) -> list[tuple[str, ...]]:
    return list(zip(sentence.tokens, *(sentence.column(name) for name in names), strict=True))


# --- formats by name --------------------------------------------------------------------------------------------------

PLUS = (
    "# global.columns = ID FORM UPOS NER MISC\n"
    "# text = Zoë can't.\n"
    "1\tZoë\tPROPN\tB-PER\t_\n"
    "2-3\tcan't\t_\t_\tSpaceAfter=No\n"
    "2\tca\tAUX\tO\t_\n"
    "3\tn't\tPART\tO\t_\n"
    "3.1\tgo\tVERB\t_\t_\n"
    "4\t.\tPUNCT\tO\t_\n\n"
    "1\tLima\tPROPN\tB-LOC\tSpaceAfter=No\n"
    "2\t!\tPUNCT\tO\t_\n"
)


@pytest.mark.parametrize("name", ["a.conllup", "a.cupt", "a.conllu", "a.txt", "a.conll"])
def test_conllu_plus(tmp_path: Path, name: str) -> None:
    found, format, _ = read(tmp_path / name, PLUS)
    assert format == "conllup"
    assert [sentence.text for sentence in found] == ["Zoë can't.", "Lima!"]
    assert table(found[0], "upos", "ner") == [
        ("Zoë", "PROPN", "B-PER"),
        ("ca", "AUX", "O"),
        ("n't", "PART", "O"),
        (".", "PUNCT", "O"),
    ]
    assert table(found[1], "NER", "") == [("Lima", "B-LOC", "PROPN"), ("!", "O", "PUNCT")]
    assert found[0].conllu is not None
    assert [place for place, _ in found[0].conllu.other_rows] == [1, 3]


def test_conllu_plus_becomes_conllu(tmp_path: Path) -> None:
    source, destination = tmp_path / "a.conllup", tmp_path / "b.conllu"
    source.write_text(PLUS, encoding="utf-8")
    convert_file(source, destination)
    assert destination.read_text(encoding="utf-8") == (
        "# text = Zoë can't.\n"
        "1\tZoë\t_\tPROPN\t_\t_\t_\t_\t_\tNER=B-PER\n"
        "2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n"
        "2\tca\t_\tAUX\t_\t_\t_\t_\t_\tNER=O\n"
        "3\tn't\t_\tPART\t_\t_\t_\t_\t_\tNER=O\n"
        "3.1\tgo\t_\tVERB\t_\t_\t_\t_\t_\t_\n"
        "4\t.\t_\tPUNCT\t_\t_\t_\t_\t_\tNER=O\n\n"
        "1\tLima\t_\tPROPN\t_\t_\t_\t_\t_\tNER=B-LOC|SpaceAfter=No\n"
        "2\t!\t_\tPUNCT\t_\t_\t_\t_\t_\tNER=O\n\n"
    )


def test_parseme(tmp_path: Path) -> None:
    names = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC PARSEME:MWE"
    rows = "1\tgive\tgive\tVERB\t_\t_\t0\troot\t_\t_\t1:VPC\n2\tup\tup\tADP\t_\t_\t1\tcompound\t_\t_\t1\n"
    ((sentence,), format, _) = read(tmp_path / "a.cupt", f"# global.columns = {names}\n# text = give up\n{rows}")
    assert format == "conllup"
    assert table(sentence, "PARSEME:MWE", "parseme:mwe", "") == [
        ("give", "1:VPC", "1:VPC", "VERB"),
        ("up", "1", "1", "ADP"),
    ]


def test_the_ten_columns_by_name_are_conllu(tmp_path: Path) -> None:
    comment = "# global.columns = ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC\n"
    path = tmp_path / "a.conllu"
    content = f"{comment}# text = a\n1\ta\t_\tX\t_\t_\t0\troot\t_\t_\n\n"
    assert read(path, content)[1] == "conllu"
    convert_file(path, tmp_path / "b.conllu")
    assert (tmp_path / "b.conllu").read_text() == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\ta\tX\n", ":1: expected '# global.columns = ID FORM …' before the first row; --columns names the columns"),
        ("# global.columns = ID LEMMA\n1\ta\n", ":1: expected a column FORM, found columns: ID, LEMMA"),
        ("# global.columns = ID FORM FORM\n", ":1: several columns are named 'form'"),
        ("# global.columns = ID FORM\n1\ta\tb\n", ":2: expected 2 tab-separated columns, found 3"),
        ("# global.columns = ID FORM X\n1\t\tb\n", ":2: empty word in column 2"),
        ("# global.columns = X FORM ID\n\ta\t1\n", ":2: column 1 is empty; write _ for no value"),
        ("# global.columns = ID FORM X\n1\ta\tb\n3\ta\tb\n", ":3: expected token id 2, found '3'"),
        (
            "# global.columns = ID FORM X\n1\ta\tb\n# global.columns = FORM ID\n",
            ":3: the columns are named once more, and differ",
        ),
        (
            "# global.columns = ID FORM X\n1\ta\tb\n\n# global.columns = FORM ID X\n",
            ":4: the columns are named once more, and differ",
        ),
    ],
)
def test_faults_of_conllu_plus(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.conllup"
    path.write_text(content)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}{message}')}"):
        list(read_sentences(path))
    problems = [str(problem) for problem in check(resolve(str(path)))]
    assert any(problem.startswith(f"{path}{message}") for problem in problems)


def test_conllu_plus_whose_columns_the_user_names(tmp_path: Path) -> None:
    ((sentence,), _, _) = read(tmp_path / "a.conllup", "1\ta\tX\n2\tb\tY\n", columns=("ID", "FORM", "NER"))
    assert table(sentence, "ner") == [("a", "X"), ("b", "Y")]


ONTONOTES = (
    "#begin document (x/y); part 000\n"
    "x/y  0  0  The     DT   (TOP(NP*  -  -  -  A  (ORG*     (ARG0*  (ARG1*  (3\n"
    "x/y  0  1  Lima    NNP  *         -  -  -  A  (GPE)     *       *)      -\n"
    "x/y  0  2  Bank    NNP  *))       -  -  -  A  *)        *)      *       3)\n"
    "x/y  0  3  #       SYM  *         -  -  -  A  (MONEY*)  *       *       -\n"
    "\n"
    "x/y  0  0  Yes     UH   (TOP*)    -  -  -  A  *         -\n"
    "\n"
    "#end document\n"
    "#begin document (x/y); part 001\n"
    "x/y  1  0  Bo      NNP  (TOP*)    -  -  -  A  (PERSON(X))  -\n"
    "#end document\n"
)


@pytest.mark.parametrize("name", ["a.gold_conll", "a.v4_auto_conll", "a.conll", "a", "a.v7_gold_conll"])
def test_ontonotes(tmp_path: Path, name: str) -> None:
    found, format, notes = read(tmp_path / name, ONTONOTES)
    assert format == "conll2012"
    assert [table(sentence, "ner", "pos") for sentence in found] == [
        [("The", "B-ORG", "DT"), ("Lima", "I-ORG", "NNP"), ("Bank", "I-ORG", "NNP"), ("#", "B-MONEY", "SYM")],
        [("Yes", "O", "UH")],
        [("Bo", "B-PERSON", "NNP")],
    ]
    assert found[0].columns["coreference"] == ["(3", "-", "3)", "-"]
    assert [sentence.line for sentence in found] == [2, 7, 11]
    assert notes[-2:] == ["columns of arguments of predicates left out: 2", "entities within others left out: 2"]
    assert resolve(str(tmp_path / name)).target == "ner"


def bracketed(spans: list[tuple[int, int, str]], length: int) -> list[str]:
    cells = ["*"] * length
    for start, end, kind in sorted(spans, key=lambda span: span[0] - span[1]):  # the outermost first
        cells[start] = (cells[start].removesuffix("*") if cells[start] != "*" else "") + f"({kind}*"
        cells[end - 1] += ")"
    return cells


def test_entities_in_brackets_are_those_that_were_written(tmp_path: Path) -> None:
    draw = random.Random(5)
    for _ in range(300):
        length = draw.randrange(1, 12)
        outer, position = [], 0
        while position < length:
            size = draw.choice((0, 1, 2, 3))
            if 0 < size <= length - position:
                outer.append((position, position + size, draw.choice("AB")))
            position += size or 1
        inner = [(start, start + 1, "C") for start, end, _ in outer if end - start > 1 and draw.random() < 0.5]
        cells = bracketed(outer + inner, length)
        rows = "".join(f"d 0 {n} w{n} X - - - - - {cell} -\n" for n, cell in enumerate(cells))
        ((sentence,), _, notes) = read(tmp_path / "a.gold_conll", f"#begin document (d); part 000\n{rows}\n")
        assert sentence.columns["ner"] == from_spans(outer, length, "iob2"), cells
        assert notes == ([f"entities within others left out: {len(inner)}"] if inner else [])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0 a (X*\n1 b *\n", "1: the entity X does not end in its sentence"),
        ("0 a *\n1 b *)\n", "2: '*)' ends an entity that does not begin"),
        ("0 a B-X\n", "1: expected an entity in brackets, such as (ORG*, * or *), found 'B-X'"),
        ("0 a *\n2 b *\n", "2: expected token id 1, found '2'"),
    ],
)
def test_faults_of_ontonotes(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "a.gold_conll"
    cells = [row.split() for row in rows.splitlines()]
    path.write_text("".join(f"d 0 {n} {w} X - - - - - {e} -\n" for n, w, e in cells))
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}:{message}')}$"):
        list(read_sentences(path))


def test_rows_of_ontonotes_that_differ_in_width(tmp_path: Path) -> None:
    path = tmp_path / "a.gold_conll"
    row = "d 0 {} w X - - - - - *{} -\n"
    path.write_text(row.format(0, " *") + row.format(1, ""))
    expected = f"{path}:2: expected 13 columns like the first row of the sentence, found 12"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        list(read_sentences(path))
    path.write_text("d 0 0 w X\n")
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}:1: expected at least 11 columns, found 5')}$"):
        list(read_sentences(path))


def test_conll2009(tmp_path: Path) -> None:
    row = "{}\t{}\t_\t_\t{}\t_\t_\t_\t0\t0\tR\tR\t{}\t_{}\n"
    content = (
        row.format(1, "Bo", "NNP", "_", "\tA0\t_")
        + row.format(2, "ran", "VBD", "Y", "\t_\t_")
        + "\n"
        + row.format(1, "#", "UH", "_", "")
    )
    found, format, notes = read(tmp_path / "a.txt", content)
    assert (format, notes[-1]) == ("conll2009", "columns of arguments of predicates left out: 2")
    assert [table(sentence, "pos") for sentence in found] == [[("Bo", "NNP"), ("ran", "VBD")], [("#", "UH")]]
    assert resolve(str(tmp_path / "a.txt")).target == "pos"


GERMEVAL = (
    "#\thttp://x.example/u\t[2001-02-03]\t\n1\tUlm\tB-LOC\tO\n2\tliegt\tO\tO\n3\t#\tO\tO\n\n"
    "#\thttp://x.example/v\t[2001-02-04]\n1\tFC\tB-ORG\tO\n2\tUlm\tI-ORG\tB-LOC\n"
)


@pytest.mark.parametrize("name", ["train.tsv", "train.txt", "train.conll"])
def test_germeval(tmp_path: Path, name: str) -> None:
    found, format, _ = read(tmp_path / name, GERMEVAL)
    assert format == "germeval"
    assert [table(sentence, "ner", "inner_ner") for sentence in found] == [
        [("Ulm", "B-LOC", "O"), ("liegt", "O", "O"), ("#", "O", "O")],
        [("FC", "B-ORG", "O"), ("Ulm", "I-ORG", "B-LOC")],
    ]
    dataset = resolve(str(tmp_path / name))
    assert (dataset.target, check(dataset)) == ("ner", [])


@pytest.mark.parametrize("name", ["train.conllu", "train.tsv", "train.conll", "train"])
def test_wikineural(tmp_path: Path, name: str) -> None:
    content = "0\tBo\tB-PER\n1\tran\tO\n2\t.\tO\n\n0\tUlm\tB-LOC\n1\t!\tO\n\n"
    found, format, _ = read(tmp_path / name, content)
    assert format == "wikineural"
    assert [table(each, "ner")[0] for each in found] == [("Bo", "B-PER"), ("Ulm", "B-LOC")]
    assert resolve(str(tmp_path / name)).target == "ner"


@pytest.mark.parametrize(
    ("format", "row", "columns"),
    [
        ("conll2000", "Bo NNP B-NP", {"word": "Bo", "pos": "NNP", "chunk": "B-NP"}),
        ("conll2002", "Bo B-PER", {"word": "Bo", "ner": "B-PER"}),
        ("conll2002", "Bo NP B-PER", {"word": "Bo", "pos": "NP", "ner": "B-PER"}),
        ("conll2003", "Bo NNP B-NP B-PER", {"word": "Bo", "pos": "NNP", "chunk": "B-NP", "ner": "B-PER"}),
        ("conll2003", "Bo B-PER", {"word": "Bo", "ner": "B-PER"}),
        ("mit", "B-PER\tBo", {"ner": "B-PER", "word": "Bo"}),
        ("germeval", "1\tBo\tB-PER\tO", {"id": "1", "word": "Bo", "ner": "B-PER", "inner_ner": "O"}),
    ],
)
def test_columns_of_named_formats(tmp_path: Path, format: str, row: str, columns: dict[str, str]) -> None:
    ((sentence,), _, _) = read(tmp_path / "a.txt", row + "\n", format=format)
    assert sentence.tokens == ["Bo"]
    assert {name: labels[0] for name, labels in sentence.columns.items()} == columns
    assert sentence.columns["word"] is sentence.tokens
    assert FORMATS[format].target in columns


def test_a_named_format_of_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Bo NNP\n")
    expected = f"{path}:1: expected 3 columns (word, pos, chunk), found 2"
    with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
        list(read_sentences(path, "conll2000"))


# --- where the tokens are ---------------------------------------------------------------------------------------------

GUESSED = {
    "from 1": ("1 Bo NNP B-PER\n2 ran VBD O\n3 off RP O\n\n1 No UH O\n", 1),
    "from 0, two columns after": ("0\tBo\tPROPN\tx\n1\tran\tVERB\tx\n2\toff\tADP\tx\n", 1),
    "running": ("1 Bo NNP O\n2 ran VBD O\n3 off RP O\n\n4 We PRP O\n5 saw VBD O\n\n6 Lima NNP B-LOC\n", 1),
    "document": ("d1 Bo NNP\nd1 ran VBD\nd1 off VBD\n\nd1 We PRP\nd1 saw VBD\n\nd2 Go VB\nd2 on VB\n", 1),
    "document and number": ("d1 0 Bo NNP\nd1 1 ran VBD\nd1 2 off VBD\n\nd1 0 We PRP\nd1 1 saw VBD\n", 2),
    "sentence and number": ("1 1 Bo NNP\n1 2 ran VBD\n1 3 off VBD\n\n2 1 We PRP\n2 2 saw VBD\n", 2),
    "labels first": ("O\tgo\nB-TIME\tnext\nI-TIME\tweek\n\nO\tgo\n", 1),
    "labels first, other letters": ("O\tgo\nB-TIME\tnext\nL-TIME\tweek\n\nU-TIME\tnow\n", 1),
    "number and labels first": ("1 O go\n2 B-TIME next\n3 I-TIME week\n\n1 O went\n2 O on\n", 2),
}


@pytest.mark.parametrize("case", GUESSED)
@pytest.mark.parametrize("separator", ["\t", " "])
def test_the_column_of_the_tokens_is_found(tmp_path: Path, case: str, separator: str) -> None:
    content, place = GUESSED[case]
    content = re.sub("[ \t]", separator, content)
    expected = [row.split(separator)[place] for row in content.splitlines() if row]
    found, format, notes = read(tmp_path / "a.conll", content)
    assert [token for sentence in found for token in sentence.tokens] == expected
    assert format == "conll"
    assert notes == [f"the tokens are in column {place} (counted from 0); --token-column overrides this"]


ORDINARY = {
    "numbers": "1 CD\n2 CD\n3 CD\n4 CD\n",
    "numbers with two labels": "1 CD O\n2 CD O\n3 CD O\n\n1 CD O\n2 CD O\n",
    "a list in a text": "1 CD O\n. . O\nBo NNP B-PER\n\n2 CD O\n. . O\n",
    "years": "1990 CD B-DATE\n1991 CD B-DATE\n1992 CD I-DATE\n\n1993 CD B-DATE\n",
    "dates": "2001-02-03 CD B-DATE\n2001-02-04 CD B-DATE\n",
    "one row": "1 Bo B-PER\n",
    "few rows": "1 Bo B-PER\n\n1 Lima B-LOC\n",
    "one word again and again": "ha UH O\nha UH O\n\nho UH O\nho UH O\nho UH O\n",
    "a word like an outside label": "O UH\nB UH\nI PRP\n\nO UH\n",
    "labels in both columns": "B-NP B-PER\nI-NP I-PER\nO O\nB-NP O\n",
    "digits": "7\tD\n8\tD\n9\tE\n\n0\tD\n1\tE\n",
}


@pytest.mark.parametrize("case", ORDINARY)
def test_the_first_column_has_the_tokens_of_ordinary_files(tmp_path: Path, case: str) -> None:
    content = ORDINARY[case]
    found, _, notes = read(tmp_path / "a.conll", content)
    assert [token for sentence in found for token in sentence.tokens] == [
        re.split("[ \t]", row)[0] for row in content.splitlines() if row
    ]
    assert notes == []


def test_random_ordinary_files_are_left_alone(tmp_path: Path) -> None:
    """Tokens of many kinds, among them numbers, beside parts of speech and spans."""
    draw = random.Random(3)
    words = [*(str(number) for number in range(30)), *"abcdefghijkl", "B-52", "O", "I", "1990", "#", "-"]
    for _ in range(300):
        sentences = [
            "".join(f"{draw.choice(words)}\t{draw.choice('NVA')}\t{draw.choice(('O', 'B-X'))}\n" for _ in range(size))
            for size in (draw.randrange(1, 9) for _ in range(draw.randrange(1, 9)))
        ]
        _, _, notes = read(tmp_path / "a.conll", "\n".join(sentences))
        assert not any("the tokens are in" in note for note in notes), sentences


def test_the_user_says_where_the_tokens_are(tmp_path: Path) -> None:
    content = "1 Bo B-PER\n2 ran O\n3 off O\n"
    for given in (
        {"token_column": "1"},
        {"token_column": "-2"},
        {"columns": ("id", "Word", "ner")},
        {"columns": ("id", "x", "ner"), "token_column": "x"},
    ):
        ((sentence,), _, notes) = read(tmp_path / "a.conll", content, **given)
        assert (table(sentence, ""), notes) == ([("Bo", "B-PER"), ("ran", "O"), ("off", "O")], [])
    ((sentence,), _, _) = read(tmp_path / "a.conll", content, token_column="0")
    assert sentence.tokens == ["1", "2", "3"]


def test_names_without_one_of_the_tokens(tmp_path: Path) -> None:
    content = "1 Bo B-PER\n2 ran O\n3 off O\n"
    ((sentence,), _, notes) = read(tmp_path / "a.conll", content, columns=("id", "x", "ner"))
    assert sentence.tokens == ["Bo", "ran", "off"]
    assert notes == ["the tokens are in column 'x'; --token-column overrides this"]


@pytest.mark.parametrize("target", ["0", "-2", "word"])
def test_the_column_of_the_tokens_is_no_target(tmp_path: Path, target: str) -> None:
    path = tmp_path / "a.conll"
    path.write_text("Bo B-PER\nran O\n")
    columns = ("word", "ner") if target == "word" else None
    (sentence,) = read_sentences(path, columns=columns)
    named = "'word'" if columns else "0"
    told = f"column {named} holds the tokens; --target another column, or --token-column says where the tokens are"
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}:1: {told}')}$"):
        sentence.column(target)


def test_the_last_column_of_labels_is_learned_by_default(tmp_path: Path) -> None:
    (sentence, *_), _, _ = read(tmp_path / "a.conll", GUESSED["labels first"][0])
    assert sentence.column("") == ["O", "B-TIME", "I-TIME"]
    ((sentence,), _, _) = read(tmp_path / "b.conllup", "# global.columns = ID FORM NER MISC\n1\ta\tX\t_\n")
    assert sentence.column("") == ["X"]


# --- a first row of names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["", "\n"])
@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("word\tpos\tner", ("word", "pos", "ner")),
        ("Token\tPOS\tTag", ("Token", "POS", "Tag")),
        ("id\tFORM\tner", ("id", "FORM", "ner")),
        ("\tword\tlabel", ("0", "word", "label")),
    ],
)
def test_a_first_row_of_names(tmp_path: Path, header: str, names: tuple[str, ...], blank: str) -> None:
    content = f"# about\n{header}\n{blank}a\tb\tO\nc\td\tB-X\n\ne\tf\tO\n"
    found, _, notes = read(tmp_path / "a.conll", content)
    assert notes == [f"the first row names the columns: {', '.join(names)}"]
    where = 0 if header.startswith(("word", "Token")) else 1
    assert [sentence.tokens for sentence in found] == [[["a", "c"], ["b", "d"]][where], [["e"], ["f"]][where]]
    assert found[0].columns[names[2]] == ["O", "B-X"]
    assert tuple(found[0].columns) == names
    assert check(resolve(str(tmp_path / "a.conll"))) == []


def test_names_of_the_user_before_those_of_the_file(tmp_path: Path) -> None:
    ((sentence,), _, notes) = read(tmp_path / "a.conll", "word ner\nBo B-PER\nran O\n", columns=("x", "y"))
    assert (sentence.tokens, sentence.columns["y"], notes) == (["Bo", "ran"], ["B-PER", "O"], [])
    ((sentence,), _, _) = read(tmp_path / "a.conll", "x y\nBo B-PER\nran O\n", columns=("x", "y"))
    assert sentence.tokens == ["Bo", "ran"]


def test_words_that_are_no_names(tmp_path: Path) -> None:
    for content in ("Word NN\nwas VBD\n", "the O\nlabel O\n", "form token\nner tag\n"):
        found, _, notes = read(tmp_path / "a.conll", content)
        assert (sum(map(len, found)), notes) == (2, [])


def test_a_name_that_occurs_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("word\tx\tner\tx\na\tb\tc\td\n")
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: several columns are named ')}'x'$"):
        list(read_sentences(path))


# --- comments, blanks -------------------------------------------------------------------------------------------------


def test_comments_that_are_addresses(tmp_path: Path) -> None:
    content = "#\thttp://x.example\t[2001]\na\tN\tO\nb\tV\tB-X\n\n#\thttp://y.example\t[2002]\n#\tV\tO\nb\tN\tO\n"
    found, _, notes = read(tmp_path / "a.conll", content)
    assert [sentence.tokens for sentence in found] == [["a", "b"], ["#", "b"]]
    assert notes == ["rows that start with '#', read as comments: 2"]


@pytest.mark.parametrize("comment", ["# sentence 1", "#\tsentence\t1", "## x y", "#\ta b\tc"])
def test_comments_as_wide_as_the_rows(tmp_path: Path, comment: str) -> None:
    rows = "a N O\nb V B-X\n\n{}\nb N O\n".replace(" ", "\t" if "\t" in comment else " ")
    found, _, notes = read(tmp_path / "a.conll", f"{comment}\n{rows.format(comment)}")
    assert [sentence.tokens for sentence in found] == [["a", "b"], ["b"]]
    assert notes == [
        "rows that start with '#' are comments: their cells are no labels of other rows",
        "rows that start with '#', read as comments: 2",
    ]


def test_comments_before_numbered_rows(tmp_path: Path) -> None:
    content = "# x y\n1 a O\n2 b O\n3 # O\n\n# x y\n# z w\n1 c O\n2 a B-X\n"
    found, _, notes = read(tmp_path / "a.conll", content)
    assert [sentence.tokens for sentence in found] == [["a", "b", "#"], ["c", "a"]]
    assert "rows that start with '#', read as comments: 3" in notes


def test_rows_of_a_token_that_looks_like_a_comment(tmp_path: Path) -> None:
    for row in ("# SYM O", "# # O", "#tag X Y", "## N O"):
        content = f"{row}\na N O\nb V B-X\n\n{row}\nc N O\n"
        found, _, notes = read(tmp_path / "a.conll", content)
        assert [sentence.tokens[0] for sentence in found] == [row.split()[0]] * 2
        assert notes == []
    found, _, notes = read(tmp_path / "a.conll", "# SYM\na N\nb V\n")
    assert (found[0].tokens, notes) == (["#", "a", "b"], [])


@pytest.mark.parametrize("end", [" ", "  ", "\t", " \t ", "\t\t"])
def test_blanks_at_the_end_of_a_row(tmp_path: Path, end: str) -> None:
    rows = ["a b\tO", "c \tB-X", "d\tI-X"]
    expected = [("a b", "O"), ("c ", "B-X"), ("d", "I-X")]
    for chosen in range(8):
        content = "".join(row + end * (chosen >> place & 1) + "\n" for place, row in enumerate(rows))
        ((sentence,), _, _) = read(tmp_path / "a.conll", content)
        assert list(zip(sentence.tokens, sentence.columns["1"], strict=True)) == expected
        spaced = re.sub("[ \t]+", " ", content.replace("a b", "ab")).replace("c  ", "c ")
        ((sentence,), _, _) = read(tmp_path / "a.conll", spaced)
        assert sentence.columns["1"] == ["O", "B-X", "I-X"]


def test_spaces_around_labels_are_counted(tmp_path: Path) -> None:
    (found, _, notes) = read(tmp_path / "a.conll", "a \tN \tO\nb\tV\t O\n\nc\tN\tO\n")
    assert [sentence.columns for sentence in found] == [
        {"0": ["a ", "b"], "1": ["N", "V"], "2": ["O", "O"]},
        {"0": ["c"], "1": ["N"], "2": ["O"]},
    ]
    assert notes == ["rows with spaces around a label, which were removed: 2"]


# --- tables of tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        'Sentence #,Word,POS,Tag\nSentence: 1,Zoë,NNP,B-per\n,",",",",O\nSentence: 2,Ulm,NNP,B-geo\n',
        'sentence_id,Tag,Word,POS\n1,B-per,Zoë,NNP\n1,O,",",","\n2,B-geo,Ulm,NNP\n',
        "sent_id\tToken\tPOS\tTag \n7\tZoë\tNNP\tB-per\n7\t,\t,\tO \n8\tUlm\tNNP\tB-geo\n",
        ',sentence_idx,word,POS,tag\n0,1.0,Zoë,NNP,B-per\n1,1.0,",",",",O\n2,2.0,Ulm,NNP,B-geo\n',
    ],
)
@pytest.mark.parametrize("encoding", ["", "latin-1"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_a_table_of_tokens(tmp_path: Path, content: str, encoding: str, name: str) -> None:
    found, format, _ = read(tmp_path / name, content, encoding=encoding)
    assert format == "token-table"
    assert [table(sentence, "", "pos", "TAG") for sentence in found] == [
        [("Zoë", "B-per", "NNP", "B-per"), (",", "O", ",", "O")],
        [("Ulm", "B-geo", "NNP", "B-geo")],
    ]
    if not encoding:
        assert check(resolve(str(tmp_path / name))) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sent_id,word,tag\n1,a,O,x\n", "2: expected 3 columns, found 4"),
        ("sent_id,word,tag\n1,,O\n", "2: empty token in column 'word'"),
        ("sent_id,word,tag\n1,a,O\n1,b,\n", "3: empty label in column 'tag'"),
        ('sent_id,word,tag\n1,"a,O\n', "2: invalid CSV: a quote is not closed"),
        ("sent_id,word,x,x\n", "1: several columns are named 'x'"),
    ],
)
def test_faults_of_tables_of_tokens(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}:{message}')}$"):
        list(read_sentences(path, "token-table"))
    problems = check(Dataset("a", {"all": Split(path, Description("token-table"))}))
    assert f"{path}:{message}" in map(str, problems)


def test_a_table_of_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("word,tag\na,O\n")
    expected = (
        "expected a first row that names a column of sentences and one of words, such as 'sentence_id,word,tag', "
        "found 'word,tag'"
    )
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}:1: {expected}')}$"):
        list(read_sentences(path, "token-table"))


def test_tables_of_texts_are_no_tables_of_tokens(tmp_path: Path) -> None:
    for content in ("label,text\npos,good\n", "sentence,label\ngood,pos\n"):
        assert read_format(tmp_path / "a.csv", content) == "csv"


def read_format(path: Path, content: str) -> str:
    path.write_text(content)
    return describe(path)[0].format


# --- what is written is read ------------------------------------------------------------------------------------------

ODD_TOKENS = (
    *(
        "#",
        "##",
        "#tag",
        "# a",
        "-DOCSTART-",
        "1",
        "2",
        "3",
        "O",
        "B-X",
        "word",
        "token",
        "a b",
        " ",
        "\u00a0",
        "\u2028",
    ),
    *("# a = b", "#begin document", "_", "\ud800", "a ", "é"),
)
ODD_LABELS = ("O", "B-X", "I-X", "N", "#", "ner", "x y", "a ", "1")


def test_what_is_written_is_read_or_refused(tmp_path: Path) -> None:
    draw = random.Random(11)
    path = tmp_path / "a.conll"
    written = 0
    for _ in range(4000):
        sentences = []
        names = ["word", "pos", "ner"][: draw.choice((2, 3))]
        plain = draw.random() < 0.5
        for _ in range(draw.randrange(1, 5)):
            size = draw.randrange(1, 5)
            tokens = [draw.choice(("a", "b", "#", "1") if plain else ODD_TOKENS) for _ in range(size)]
            known = (("N", "V"), ("O", "B-X")) if plain else (ODD_LABELS, ODD_LABELS)
            labels = [[draw.choice(some) for _ in tokens] for some in known[: len(names) - 1]]
            sentences.append(Sentence.from_tokens(tokens, dict(zip(names[1:], labels, strict=True))))
        try:
            content = CONLL.write(sentences)  # type: ignore[misc]
        except DataError as error:
            assert str(error) == "columns would not be read back as these tokens and labels; use a .jsonl file"
            assert not plain
            continue
        written += 1
        path.write_text(content, encoding="utf-8", newline="")
        found = list(read_sentences(path, "conll", allow_unlabelled=True))
        assert len(found) == len(sentences)
        for one, other in zip(found, sentences, strict=True):
            assert one.tokens == [token.replace("\ud800", "\ufffd") for token in other.tokens]
            labels = [column for column in one.columns.values() if column is not one.tokens]
            assert labels == list(other.columns.values())
    assert written > 2000


def test_columns_are_written_as_the_source_has_them_if_that_is_clear(tmp_path: Path) -> None:
    content = "1\tBo\tB-PER\n2\tran\tO\n3\toff\tO\n\n"
    (tmp_path / "a.conll").write_text(content)
    convert_file(tmp_path / "a.conll", tmp_path / "b.conll")
    assert (tmp_path / "b.conll").read_text() == content
    (tmp_path / "a.conll").write_text("1\tBo\tB-PER\n")
    convert_file(tmp_path / "a.conll", tmp_path / "b.conll", token_column="1")
    assert (tmp_path / "b.conll").read_text() == "Bo\t1\tB-PER\n\n"


# --- labels that are not in the last column ---------------------------------------------------------------------------

_LAST = {
    "annotators": lambda sentence, row: f"annotator{sentence % 3}",
    "documents": lambda sentence, row: f"document-{sentence}",
    "confidences": lambda sentence, row: f"0.{7 * sentence + row}",
    "offsets": lambda sentence, row: str(100 * sentence + 6 * row),
}


@pytest.mark.parametrize("last", _LAST.values(), ids=list(_LAST))
@pytest.mark.parametrize("named", [False, True])
def test_a_last_column_that_cannot_be_labels(tmp_path: Path, last: Callable[[int, int], str], named: bool) -> None:
    rows = [[("Ada", "B-PER"), ("Byron", "I-PER"), ("slept", "O")], [("in", "O"), ("Lima", "B-LOC"), ("!", "O")]] * 6
    content = "token\tner\tmore\n" * named
    for place, sentence in enumerate(rows):
        content += "".join(f"{token}\t{label}\t{last(place, row)}\n" for row, (token, label) in enumerate(sentence))
        content += "\n"
    (tmp_path / "a.conll").write_text(content)
    dataset = resolve(tmp_path / "a.conll")
    assert dataset.target == ("ner" if named else "1")
    labels = dataset.read_sentences().records["train"][0].column(dataset.target)
    assert labels == ["B-PER", "I-PER", "O"]
    which = "'ner'" if named else "1 (counted from 0)"
    note = f"the labels are in column {which}, which marks spans; --target overrides this"
    names = "the first row names the columns: token, ner, more; " if named else ""
    assert dataset.notes_on_lines(formats=True) == [f"{tmp_path / 'a.conll'}: {names}{note}"]


@pytest.mark.parametrize("last", ["B-X", "O", "NOUN VERB", "1 2"])
def test_a_last_column_of_labels_is_learned(tmp_path: Path, last: str) -> None:
    """Labels of spans, none, parts of speech; numbers, where no column marks spans."""
    kinds = last.split()
    other = "X" if last == "1 2" else "B-Y"
    content = "".join(f"a{row}\t{other}\t{kinds[row % len(kinds)]}\n" + "\n" * (row % 3 == 2) for row in range(60))
    (tmp_path / "a.conll").write_text(content)
    assert resolve(tmp_path / "a.conll").target == ""
