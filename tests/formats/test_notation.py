"""Labels in other notations: what is written in one is recognised and read as the same spans."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from seqkit.corpora.label_columns import note_on_numbers, read_notation
from seqkit.formats.notation import NOTATIONS, detect_notation, joined_spans, write_notation
from seqkit.formats.schemes import Span, from_spans, spans
from seqkit.heads.tagging.head import Tagging
from seqkit.heads.tagging.labels import TagCodec
from seqkit.records import Sentence

KINDS = ("PER", "geo-political", "w:x")


def random_spans(draw: random.Random, length: int, kinds: Sequence[str] = KINDS) -> list[Span]:
    found, position = [], 0
    while position < length:
        size = draw.choice((0, 0, 1, 2, 4))
        if 0 < size <= length - position:
            found.append(Span(position, position + size, draw.choice(kinds)))
        position += size or 1
    return found


def sentences_of_spans(draw: random.Random, kinds: Sequence[str] = KINDS) -> list[tuple[list[Span], int]]:
    """Several sentences, in one of which every form of span occurs."""
    every = [Span(1, 2, kinds[0]), Span(2, 5, kinds[0]), *(Span(6 + 4 * n, 9 + 4 * n, k) for n, k in enumerate(kinds))]
    random_ones = [(random_spans(draw, length, kinds), length) for length in (draw.randrange(1, 12) for _ in range(6))]
    return [(every, 30), *random_ones]


def joined(found: Sequence[Span]) -> list[Span]:
    """Spans of one kind that touch as one."""
    result: list[Span] = []
    for span in found:
        if result and result[-1].end == span.start and result[-1].label == span.label:
            result[-1] = Span(result[-1].start, span.end, span.label)
        else:
            result.append(span)
    return result


def restyled(label: str, delimiter: str, behind: bool, small: bool) -> str:
    if label != "O":
        letter, kind = label.split("-", 1)
        label = f"{kind}{delimiter}{letter}" if behind else f"{letter}{delimiter}{kind}"
    return label.lower() if small else label


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("delimiter", ["-", "_", ":"])
@pytest.mark.parametrize("name", ["iob1", "iob2", "bioes", "bilou", "bmes", "bmewo"])
def test_what_is_written_is_recognised_and_read(name: str, delimiter: str, behind: bool, small: bool) -> None:
    draw = random.Random(f"{name} {delimiter} {behind} {small}")
    for _ in range(60):
        kinds = [kind.lower() if small else kind for kind in KINDS]
        gold = sentences_of_spans(draw, kinds)
        written = [
            write_notation(from_spans(each, length, "bioes"), name)
            if name in NOTATIONS
            else from_spans(each, length, name)
            for each, length in gold
        ]
        written = [[restyled(label, delimiter, behind, small) for label in labels] for labels in written]
        notation = detect_notation(written)
        plain = name in ("iob1", "iob2", "bioes") and delimiter == "-" and not behind and not small
        assert (notation is None) == plain
        read = written if notation is None else list(map(notation.read, written))
        assert [spans(labels, "bioes") for labels in read] == [each for each, _ in gold]
        if notation is not None:
            small_letters = ", small letters" in notation.name
            assert (small_letters, ", prefix behind" in notation.name) == (small, behind)
            assert (f"delimiter '{delimiter}'" in notation.name) == (delimiter != "-")


@pytest.mark.parametrize("small", [False, True])
def test_io_joins_spans_that_touch_and_loses_nothing_else(small: bool) -> None:
    draw = random.Random(small)
    for _ in range(200):
        kinds = [kind.lower() if small else kind for kind in KINDS]
        gold = sentences_of_spans(draw, kinds)
        labels = [from_spans(each, length, "bioes") for each, length in gold]
        written = [write_notation(each, "io") for each in labels]
        read = [[label.lower() if small else label for label in each] for each in written]
        notation = detect_notation([*read, ["o" if small else "O"] * 60])
        assert notation is not None and notation.name == "IO"
        found = [spans(notation.read(each), "iob2") for each in read]
        assert found == [joined(each) for each, _ in gold]
        lost = sum(len(each) for each, _ in gold) - sum(map(len, found))
        assert sum(map(joined_spans, labels)) == lost


def test_letters_alone() -> None:
    """Word segmentation."""
    notation = detect_notation([["B", "E", "S", "B", "M", "E"], ["S"]])
    assert notation is not None and notation.name == "BMES"
    assert notation.read(["B", "M", "E", "S"]) == ["B", "I", "E", "S"]
    assert write_notation(["B", "I", "I", "B"], "bmes") == ["B", "M", "E", "S"]
    assert write_notation(["B", "I", "O"], "io") == ["I", "I", "O"]
    assert detect_notation([["B", "E", "S", "B", "I", "E"], ["S"]]) is None


@pytest.mark.parametrize(
    "labels",
    [
        ["NN", "B", "I-SG", "VB", "O"],
        ["NN-S", "VB-I", "NN-S", "JJ-B"],
        ["m", "b", "m", "b", "b"],
        ["M", "S", "M", "B", "S"],
        ["pos", "neg", "pos"],
        ["N", "V", "O", "O"],
        ["NOUN", "VERB", "PUNCT", "NOUN"],
        ["1", "2", "O", "O"],
        ["B-PER", "I-PER", "O"],
        ["I", "I", "O", "B"],
        ["BPER", "IPER", "NN", "NN"],
        ["O", "O"],
        [],
    ],
)
def test_other_labels_are_left_as_they_are(labels: list[str]) -> None:
    assert detect_notation([labels]) is None
    assert detect_notation([[label] for label in labels]) is None


def test_the_whole_column_decides() -> None:
    assert detect_notation([["B_PER", "I_PER", "O"], ["X"]]) is None


def test_unknown_notation() -> None:
    with pytest.raises(ValueError, match=r"^unknown notation 'bpe'; choose from bilou, bmes, bmewo, io$"):
        write_notation(["O"], "bpe")


def sentence(labels: Sequence[str]) -> Sentence:
    tokens = [f"t{place}" for place in range(len(labels))]
    made = Sentence.from_tokens(tokens, {"word": [], "ner": list(labels)})
    made.columns["word"] = made.tokens
    return made


def test_a_small_split_is_read_as_the_others_are() -> None:
    train = [sentence(["PER", "PER", "O", "O", "LOC"]), Sentence.from_tokens([])]
    dev = [sentence(["PER", "PER"])]
    other = [sentence(["B-PER", "I-PER"])]
    notes = read_notation([train, dev, other], "ner")
    assert notes == ["the labels mark spans in IO: a run of 'PER' is one span"]
    assert train[0].columns["ner"] == ["B-PER", "I-PER", "O", "O", "B-LOC"]
    assert dev[0].columns["ner"] == other[0].columns["ner"] == ["B-PER", "I-PER"]


def test_splits_in_different_notations() -> None:
    splits = [[sentence(["B-PER", "L-PER", "O"])], [sentence(["PER-B", "PER-I", "O"])], [sentence(["U-PER", "O"])]]
    assert read_notation(splits, "") == [
        "the labels mark spans in BILOU: 'L-PER' is read as 'E-PER'",
        "the labels mark spans in BIO, prefix behind: 'PER-B' is read as 'B-PER'",
    ]
    found = [each.columns["ner"] for split in splits for each in split]
    assert found == [["B-PER", "E-PER", "O"], ["B-PER", "I-PER", "O"], ["S-PER", "O"]]


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes"])
@pytest.mark.parametrize("name", ["bilou", "bmes", "bmewo"])
def test_gold_in_another_notation_is_that_in_the_scheme_of_the_model(name: str, scheme: str) -> None:
    draw = random.Random(f"{name} {scheme}")
    for _ in range(30):
        gold = sentences_of_spans(draw)
        expected = [from_spans(each, length, scheme) for each, length in gold]
        head = Tagging(None, TagCodec.build(expected, scheme, "ner"), 0)  # type: ignore[arg-type]
        records = [sentence(write_notation(labels, name)) for labels in expected]
        read_notation([records], "ner")
        assert head.gold(records) == expected


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (
            ["0", "3", "0", "12", "7"],
            "the labels are numbers (0, 12, 3, …); if they stand for names, put the names in their place: only labels "
            "such as B-PER and O mark spans and are scored as such",
        ),
        (
            ["O", "B-3", "I-3"],
            "the labels are numbers (B-3, I-3); if they stand for names, put the names in their place",
        ),
        (["O", "B-3", "B-PER"], None),
        (["O", "O"], None),
        (["1", "1"], None),
        (["NOUN", "CD", "2"], None),
    ],
)
def test_numbers_as_labels_are_told(labels: list[str], note: str | None) -> None:
    sentence = Sentence.from_tokens([f"w{place}" for place in range(len(labels))], {"ner": labels})
    assert note_on_numbers([sentence], "ner") == ([note] if note else [])
