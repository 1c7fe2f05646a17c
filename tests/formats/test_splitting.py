from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.errors import ModelError, shown
from seqkit.formats.splitting import SPLITTERS, Splitter, _pre_tokenizer, choose_splitter, choose_splitter_for_text

KINDS = list(SPLITTERS)
# Unicode's White_Space property; Python's isspace also takes four control characters for white space
SPACES = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | set(map(chr, range(0x2000, 0x200B)))


def tokens(text: str, kind: str = "english") -> list[str]:
    return [text[start:end] for start, end in Splitter(kind).split(text)]


def without_spaces(text: str) -> str:
    return "".join(character for character in text if character not in SPACES)


ANYTHING = st.text(
    st.one_of(
        st.characters(),  # all of Unicode, lone surrogates and NUL among it
        st.sampled_from(
            list(" \t\n\u00a0.,!?'’-:;/@#&$%()[]\"`*aAbB19é\u0301\u200d\U0001f469\U0001f1e9\ufe0fשم नी漢\ud800\0")
        ),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(ANYTHING, st.sampled_from(KINDS))
def test_every_character_but_white_space_is_in_exactly_one_token(text: str, kind: str) -> None:
    offsets = Splitter(kind).split(text)
    assert all(start < end for start, end in offsets)
    assert all(before <= after for (_, before), (after, _) in pairwise(offsets))
    assert "".join(text[start:end] for start, end in offsets) == without_spaces(text)


@settings(max_examples=100, deadline=None)
@given(ANYTHING)
def test_spaces_alone_part_like_unicode(text: str) -> None:
    pieces = "".join(" " if character in SPACES else character for character in text).split(" ")
    assert tokens(text, "spaces") == [piece for piece in pieces if piece]


@pytest.mark.parametrize("kind", KINDS)
def test_every_single_character(kind: str) -> None:
    splitter = Splitter(kind)
    for code in [*range(0x3100), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10000), *range(0x1F1E0, 0x1F700)]:
        assert splitter.split(chr(code)) == ([] if chr(code) in SPACES else [(0, 1)]), hex(code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \t\u00a0", ""),
        ("Ada Lovelace met Charles Babbage in London.", "Ada Lovelace met Charles Babbage in London ."),
        ("state-of-the-art, it’s l'eau", "state-of-the-art , it’s l'eau"),
        ("$1,000.50 3.5% 12:30 1/2/2003 1.", "$ 1,000.50 3.5 % 12:30 1/2/2003 1 ."),
        ("and/or a,b x:y", "and / or a , b x : y"),
        ("wait... what?! no!! --", "wait ... what ?! no !! --"),
        ("(see [1]).", "( see [ 1 ] ) ."),
        ("“Hi,” ‘he’ ``said''", "“ Hi , ” ‘ he ’ `` said ''"),
        ("http://a.org/b?c=d&e. www.x.com, me.you+z@x-y.org;", "http://a.org/b?c=d&e . www.x.com , me.you+z@x-y.org ;"),
        ("@you #tag #1 @", "@you #tag # 1 @"),
        ("AT&T R&D a&b", "AT&T R&D a & b"),
        ("U.S. e.g. U.S.A", "U.S. e.g. U.S.A"),
        ("good :) bad :-( f:(x) <3", "good :) bad :-( f : ( x ) <3"),
        ("snake_case _", "snake_case _"),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert tokens(text, "words") == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm sure he won't, can’t; DON'T!", "I 'm sure he wo n't , ca n’t ; DO N'T !"),
        ("Ann's they've we'd she'll you're", "Ann 's they 've we 'd she 'll you 're"),
        ("Paris 's mayor did n't", "Paris 's mayor did n't"),
        ("O'Neill's 'sister' 'd' cannot", "O'Neill 's ' sister ' 'd ' cannot"),
        ("Mr. Smith vs. Dr. No. No. 5", "Mr. Smith vs. Dr. No . No. 5"),
        ("George W. Bush saw plan B.", "George W. Bush saw plan B ."),
        ("at 7:30PM or 5 pm", "at 7:30 PM or 5 pm"),
        ("Inc.com Dec.", "Inc.com Dec."),
    ],
)
def test_english(text: str, expected: str) -> None:
    assert tokens(text, "english") == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e\u0301te\u0301 नमस्ते", ["e\u0301te\u0301", "नमस्ते"]),
        ("שלום, עולם! צה״ל", ["שלום", ",", "עולם", "!", "צה״ל"]),
        ("می\u200cخواهم.", ["می\u200cخواهم", "."]),
        ("👩\u200d👩\u200d👧👍🏽!", ["👩\u200d👩\u200d👧", "👍🏽", "!"]),
        ("🇩🇪🇫🇷 1\ufe0f\u20e3", ["🇩🇪", "🇫🇷", "1\ufe0f\u20e3"]),
        ("!!\u0301", ["!", "!\u0301"]),
        ("a\0b", ["a", "\0", "b"]),
        ("x\ud83d y\udce9", ["x", "\ud83d", "y", "\udce9"]),
    ],
)
@pytest.mark.parametrize("kind", ["words", "english"])
def test_scripts_emoji_and_damage(kind: str, text: str, expected: list[str]) -> None:
    assert tokens(text, kind) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我有3.5个iPhone，是吗？！", "我 有 3.5 个 iPhone ， 是 吗 ？ ！"),
        ("東京タワーへ行く。2003年、ラーメン", "東 京 タワー へ 行 く 。 2003 年 、 ラーメン"),
        ("か\u3099カ\u3099 二〇〇八", "か\u3099 カ\u3099 二 〇 〇 八"),
        ("กินข้าว ๑๒๓ กก.", "กิ น ข้ า ว ๑๒๓ ก ก ."),
        ("ລາວ ភាសា မြန်မာ", "ລ າ ວ ភា សា မြ န် မာ"),
        ("བོད་ཡིག", "བོད ་ ཡིག"),
        ("한국어 입니다.", "한국어 입니다 ."),
        ("www.a.org/b。他 a@b.org吧 #東京 @田中", "www.a.org/b 。 他 a@b.org 吧 #東京 @田中"),
    ],
)
@pytest.mark.parametrize("kind", ["words", "english", "elision"])
def test_scripts_without_spaces(kind: str, text: str, expected: str) -> None:
    assert tokens(text, kind) == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "L'homme qu'il voit aujourd'hui, c'est-à-dire l’eau",
            "L' homme qu' il voit aujourd'hui , c' est-à-dire l’ eau",
        ),
        ("Jusqu'à quand quelqu'un dira-t-il: «d'accord»", "Jusqu' à quand quelqu'un dira-t-il : « d' accord »"),
        ("presqu'île L'ONU QU'ON l'80 %", "presqu'île L' ONU QU' ON l' 80 %"),
        ("Dell'acqua un po' d'olio, un'altra all'una", "Dell' acqua un po ' d' olio , un' altra all' una"),
        ("l'home d'aquí n'hi ha s'ha", "l' home d' aquí n' hi ha s' ha"),
        ("L' homme qu' il d' eau L'", "L' homme qu' il d' eau L'"),
        ("it's don't O'Brien rock'n'roll ma'am", "it's don't O'Brien rock'n'roll ma'am"),
        ("'l'ami' l''", "' l' ami ' l ''"),
    ],
)
def test_elision(text: str, expected: str) -> None:
    assert tokens(text, "elision") == expected.split()


SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\u2e80-\u309f\u3400-\u9fff\ua9e0-\uaa7f\uf900-\ufaff\U0001f200]|[\U00016ff0-\U0001b2ff\U00020000-\U0003ffff]|[\U000116d0-\U000116e3]"
)


@settings(max_examples=300, deadline=None)
@given(ANYTHING.map(lambda text: SPACELESS.sub("", text)), st.sampled_from(["words", "english"]))
def test_other_scripts_are_split_as_by_earlier_models(text: str, kind: str) -> None:
    assert Splitter(kind).split(text) == Splitter(kind, is_earlier=True).split(text)


@settings(max_examples=200, deadline=None)
@given(ANYTHING.map(lambda text: re.sub("['’]", "", text)))
def test_elision_needs_an_apostrophe(text: str) -> None:
    assert Splitter("elision").split(text) == Splitter("words").split(text)


MODELS = Path(__file__).parent


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("model", ["tag", "classify"])
def test_models_saved_earlier_split_as_they_did(version: str, model: str) -> None:
    document = json.loads((MODELS / version / model / "splitter.json").read_text(encoding="utf-8"))
    splitter = Splitter.from_json(document)
    assert splitter == Splitter("words", is_earlier=True)
    assert splitter != Splitter("words")
    assert splitter.to_json() == document
    text = "東京へ行く。 Ann's l'eau www.a.org。漢"
    assert [text[start:end] for start, end in splitter.split(text)] == [
        *("東京へ行く", "。", "Ann's", "l'eau", "www.a.org。漢"),
    ]
    assert Splitter.from_json(json.loads(json.dumps(Splitter("words").to_json()))) == Splitter("words")


def test_the_earlier_english_is_kept() -> None:
    splitter = Splitter("english", is_earlier=True)
    assert Splitter.from_json(json.loads(json.dumps(splitter.to_json()))) == splitter
    text = "Mr. O'Neill didn't see 漢字です."
    assert [text[start:end] for start, end in splitter.split(text)] == [
        *("Mr.", "O'Neill", "did", "n't", "see", "漢字です", "."),
    ]


def test_other_kinds_have_no_earlier_form() -> None:
    with pytest.raises(ValueError, match=r"^splitter 'spaces' has no earlier form$"):
        Splitter("spaces", is_earlier=True)


def joined(*sentences: str) -> list[tuple[str, list[tuple[int, int]]]]:
    return [(text, Splitter("spaces").split(text)) for text in sentences]


def cut(*sentences: str) -> list[tuple[str, list[tuple[int, int]]]]:
    """Tokens are parted by ``|`` where the text has no space."""
    found = []
    for sentence in sentences:
        text, spans = sentence.replace("|", ""), []
        position = 0
        for token in re.split(r"[ |]", sentence):
            start = text.index(token, position)
            position = start + len(token)
            spans.append((start, position))
        found.append((text, spans))
    return found


@pytest.mark.parametrize(
    ("sentences", "kind", "reason"),
    [
        (
            cut("She did|n't see Ann|'s dog|.", "It is|."),
            "english",
            "raw text is split by 'english', which finds 100.0% of the tokens of train ('words': 63.6%)",
        ),
        (
            cut("L'|homme qu'|il voit|."),
            "elision",
            "raw text is split by 'elision', which finds 100.0% of the tokens of train ('words': 33.3%)",
        ),
        (
            cut("Hello, world."),
            "spaces",
            "raw text is split by 'spaces', because marks are part of the words of train",
        ),
        (
            cut("a|b|c d|e"),
            "characters",
            "raw text is split by 'characters', which finds 100.0% of the tokens of train ('words': 0.0%)",
        ),
        (cut("我|有|3.5|元|。"), "words", "raw text is split by 'words', which finds 100.0% of the tokens of train"),
        (cut("It is|."), "words", "raw text is split by 'words', which finds 100.0% of the tokens of train"),
        (
            joined("She did n't see Ann 's dog ."),
            "english",
            "raw text is split by 'english', which leaves 100.0% of the tokens of train whole ('words': 87.5%)",
        ),
        (
            joined("L' homme qu' il voit ."),
            "elision",
            "raw text is split by 'elision', which leaves 100.0% of the tokens of train whole ('words': 66.7%)",
        ),
        (
            joined("我 有 元 。"),
            "words",
            "raw text is split by 'words', which leaves 100.0% of the tokens of train whole",
        ),
        ([], "words", "raw text is split by 'words', because train has no tokens"),
        ([("", [])], "words", "raw text is split by 'words', because train has no tokens"),
    ],
)
def test_the_splitter_that_agrees_with_tokens(
    sentences: list[tuple[str, list[tuple[int, int]]]], kind: str, reason: str
) -> None:
    assert choose_splitter(iter(sentences)) == (kind, reason)


def test_each_kind_is_found_again_by_its_own_tokens() -> None:
    texts = ["Mr. Lee didn't pay l'ami $3.50, e.g. to a@b.org!", "L'homme n'est qu'à 漢字タワー (they're)..."]
    for kind in SPLITTERS:
        assert choose_splitter((text, Splitter(kind).split(text)) for text in texts).kind == kind


def test_a_sample_is_enough() -> None:
    def sentences() -> Iterator[tuple[str, list[tuple[int, int]]]]:
        yield from cut("It is|.") * 2000
        raise AssertionError("more than the sample was read")

    assert choose_splitter(sentences(), "dev").reason == (
        "raw text is split by 'words', which finds 100.0% of the tokens of dev"
    )


WORDS = ("words", "raw text is split by 'words', the splitter for text of any language")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", WORDS),
        ("The man didn't see D'Artagnan, and it's all that he said to the king's men.", WORDS),
        ("Der Mann sah die Frau nicht, und das ist gut.", WORDS),
        ("El hombre no vio a la mujer en la casa.", WORDS),
        (
            "Le soir, l'homme et la femme sont dans une maison qu'il a vue.",
            ("elision", "raw text is split by 'elision', because 13.3% of its words are like l' or qu'"),
        ),
        (
            "La sera il sole scende nell'acqua e non si vede che la luna.",
            ("elision", "raw text is split by 'elision', because 7.1% of its words are like l' or qu'"),
        ),
    ],
)
def test_a_guess_from_raw_text(text: str, expected: tuple[str, str]) -> None:
    assert choose_splitter_for_text(text) == expected


def test_characters_keep_what_combines() -> None:
    assert tokens("ab e\u0301 漢字 👍🏽", "characters") == ["a", "b", "e\u0301", "漢", "字", "👍🏽"]


# each of these could be read in many ways; were one tried after another, time would grow with the square of the length
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a-",
        "a..b",
        "a.b",
        "@",
        ".",
        "www.",
        "www.,",
        "1,",
        "é ",
        "a@",
        ":)",
        "A&",
        "'s",
        "A.",
        "#a",
        "://",
        "\u0301",
        "Mr.",
        "漢",
        "漢\u0301",
        "かa",
        "www.漢",
        "l'",
        "qu'a",
    ],
)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    for kind in KINDS:
        begin = time.perf_counter()
        found = tokens(text, kind)
        assert time.perf_counter() - begin < 3.0  # the square would take minutes
        assert "".join(found) == without_spaces(text)


def test_a_long_word_is_one_token() -> None:
    assert Splitter("english").split("x" * 100_000) == [(0, 100_000)]


def test_a_long_line() -> None:
    assert Splitter("english").split("ab " * 50_000) == [(start, start + 2) for start in range(0, 150_000, 3)]


def test_another_kind_is_refused() -> None:
    message = "unknown splitter 'word'; choose from words, english, elision, spaces, characters"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Splitter("word")


@pytest.mark.parametrize("kind", KINDS)
def test_saved_splitters_split_alike(kind: str) -> None:
    splitter = Splitter(kind)
    text = "Mr. O'Neill didn't pay $1,000.50 to e\u0301t\u00e9@x.org :)"
    expected = splitter.split(text)
    for again in (
        Splitter.from_json(json.loads(json.dumps(splitter.to_json()))),
        pickle.loads(pickle.dumps(splitter)),
        copy.deepcopy(splitter),
    ):
        assert again == splitter
        assert hash(again) == hash(splitter)
        assert repr(again) == f"Splitter(kind={kind!r})"
        assert again.split(text) == expected


NOT_OURS = "splitter: not one of seqkit's own (words, english, elision, spaces, characters): "


@pytest.mark.parametrize(
    "other",
    [
        {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed", "invert": True},  # of no end
        {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Removed", "invert": True},
        {"type": "Nothing"},
        Splitter("english").to_json()["pre_tokenizer"],
    ],
)
def test_expressions_of_others_are_refused(other: dict[str, object]) -> None:
    for kind in ("words", "mine"):
        value = {"kind": kind, "pre_tokenizer": other}
        with pytest.raises(ModelError, match=f"^{re.escape(NOT_OURS + shown(value))}$"):
            Splitter.from_json(value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_form_is_that_of_tokenizers(kind: str) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Tokenizer.from_str(
        json.dumps(json.loads(tokenizer.to_str()) | {"pre_tokenizer": Splitter(kind).to_json()["pre_tokenizer"]})
    ).pre_tokenizer
    assert json.loads(tokenizer.to_str())["pre_tokenizer"] == Splitter(kind).to_json()["pre_tokenizer"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([], "[]"),
        ({}, "{}"),
        ({"kind": "words"}, "{'kind': 'words'}"),
        ({"kind": 1, "pre_tokenizer": {}}, "{'kind': 1, 'pre_tokenizer': {}}"),
        ({"kind": "words", "pre_tokenizer": None}, "{'kind': 'words', 'pre_tokenizer': None}"),
    ],
)
def test_other_json_is_refused(value: object, found: str) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(NOT_OURS + found)}$"):
        Splitter.from_json(value)


def test_the_library_is_loaded_when_first_used() -> None:
    code = (
        "import sys; from seqkit.formats.splitting import Splitter; s = Splitter(); Splitter.from_json(s.to_json());"
        "assert 'tokenizers' not in sys.modules; s.split('a'); assert 'tokenizers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("kind", ["words", "english", "characters"])
def test_flags_are_pairs_of_letters_with_what_combines_with_them(kind: str) -> None:
    a, b = "\U0001f1e6", "\U0001f1e7"
    text = f"{a}{b}{a}{b}\u0301\u200d{b}x{a}{b}{a} {a}{b}\U0001f3fb."
    tokens = [text[start:end] for start, end in Splitter(kind).split(text)]
    assert tokens == [a + b, f"{a}{b}\u0301\u200d", b, "x", a + b, a, f"{a}{b}\U0001f3fb", "."]


_BESIDE_FLAGS = [
    "\U0001f1e6",
    "\U0001f1e7",
    "\u0301",
    "\u200d",
    "\U0001f469",
    "\u0600",
    "a",
    "1",
    ".",
    ":)",
    "'s",
    "@",
    "&",
    " ",
]


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.sampled_from(_BESIDE_FLAGS), max_size=12))
def test_flags_are_cut_as_the_expressions_cut_them(kind: str, pieces: list[str]) -> None:
    splitter, text = Splitter(kind), "".join(pieces)
    expected = [offsets for _, offsets in _pre_tokenizer(kind, False).pre_tokenize_str(text)]
    assert splitter.split(text) == expected


def english_web_treebank(split: str) -> Path:
    for folder in os.environ.get("SEQKIT_DATA", "").split(os.pathsep):
        found = sorted(Path(folder, "ud-english-ewt").glob(f"*{split}*.conllu")) if folder else []
        if found:
            return found[0]
    pytest.skip("ud-english-ewt is in no folder of $SEQKIT_DATA")


@pytest.mark.parametrize(("kind", "least"), [("english", 0.98), ("words", 0.96)])
def test_agrees_with_a_treebank(kind: str, least: float) -> None:
    splitter = Splitter(kind)
    right = found = gold = 0
    text, position = "", 0
    spans: set[tuple[int, int]] = set()
    for line in english_web_treebank("dev").read_text(encoding="utf-8").split("\n"):
        fields = line.split("\t")
        if line.startswith("# text = "):
            text, position, spans = line[len("# text = ") :], 0, set()
        elif fields[0].isdigit():
            start = text.index(fields[1], position)
            position = start + len(fields[1])
            spans.add((start, position))
        elif not line and spans:
            offsets = set(splitter.split(text))
            right, found, gold = right + len(spans & offsets), found + len(offsets), gold + len(spans)
            spans = set()
    assert gold > 20_000
    assert 2 * right / (found + gold) >= least


@pytest.mark.parametrize("text", ["我爱北京天安门。", "東京へ行く。", "ฉันรักประเทศไทย", "ខ្ញុំស្រលាញ់", "他说 hello 了"])
def test_scripts_without_spaces_are_told(text: str) -> None:
    expected = "raw text is split by 'words', a token for every character of a script without spaces between words"
    assert choose_splitter_for_text(text * 3) == ("words", expected)
    assert choose_splitter_for_text("Ein deutscher Satz über " + text[:1])[1] != expected
