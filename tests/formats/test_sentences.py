from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.formats.sentences import split_sentences


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


# language → sentences, which a space parts; "|" parts them where the script has none
DOCUMENTS = {
    "English": """
        Dr. Mary A. Hill and Mr. J. P. Stone met at 9 a.m. on Jan. 5 in Washington, D.C. to talk.
        They paid $3.50 for No. 12, i.e. the last one.
        She works for Brown & Sons Inc. in the U.S. Congress library.
        The U.S. has many parks.
        We left the U.S.
        It was late!
        “Is it true?” she asked.
        “It is.”
        He said (see p. 4. Not p. 5.) that it was.
        Is this version 2.0.1 of the program?
        Write to ann.lee@example.org or see https://example.org/a.html?b=C.
        Really?!
        Well... maybe.
        So it goes…
        Nothing else, etc.
        It is the end of plan B.
        They left.
        Great :)
        See you soon! :D
        It was 1999.
        Then came 2000.
        He lost by a nose vs. the favourite.
    """,
    "German": """
        Dr. Maria Berg traf am 3. Mai 2021 um 8.30 Uhr Hrn. Prof. K. Adler.
        Er zahlte z. B. 3,50 Euro, d. h. ca. ein Drittel.
        Der 2. Weltkrieg endete im 20. Jahrhundert.
        „Kommst du?“, fragte sie.
        „Ja!“ rief er.
        Es gibt Äpfel, Birnen usw.
        Der Markt ist klein.
        Siehe Abb. 3 und S. 12 ff. im Anhang.
        Sie wohnt in der Hauptstr. 5 bei Familie Groß.
        »Gut.«
        Das war alles bzw. nichts.
    """,
    "French": """
        M. Dupont et Mme Petit habitent 12 av. Foch.
        « Vous venez ? » demanda-t-elle.
        « Oui ! »
        Il a payé 3,50 € à la p. 12 du livre.
        Qu'est-ce que c'est ?
        C'est J.-P. Martin, qui écrit à l'adresse a.b@exemple.fr.
        Il y a des pommes, des poires, etc. et du pain.
        Le 1er mai, tout est fermé…
        Et voilà !
    """,
    "Spanish": """
        El Sr. García y la Sra. López llegaron a las 10 a.m. del lunes.
        ¿Cómo está Ud. hoy?
        ¡Qué bien!
        ¿De verdad?
        ¡Claro!
        Vive en la avda. Colón, núm. 5.
        «No lo sé», dijo.
        Los EE.UU. son un país.
        Pagó 3.500,50 euros.
    """,
    "Italian": """
        Il sig. Rossi e la dott.ssa Bianchi arrivano alle 9.30.
        L'avv. Verdi abita in via Roma n. 5.
        «Davvero?» chiese lei.
        Ci sono mele, pere, ecc. in cucina.
        È tutto qui!
        Perché no?
    """,
    "Dutch": """
        Dhr. Jansen en mevr. De Vries komen om 9.30 uur.
        Het kost bijv. 3,50 euro of ca. vier.
        'Kom je?' vroeg hij.
        Zij woont bij drs. P. Bakker.
        Dat is alles, enz.
        Het regent.
    """,
    "Russian": """
        Проф. А. С. Иванов родился в 1837 г. в Москве.
        Он жил на ул. Мира, т. е. в центре.
        «Правда?» — спросила она.
        Там были яблоки, груши и т. д.
        Он ушёл.
        Что делать?
        Ничего…
    """,
    "Greek": """
        Ο κ. Παπάς και η κα. Νίκου ήρθαν στις 9.30.
        Τι κάνεις;
        Καλά· εσύ;
        Υπάρχουν μήλα, π.χ. κόκκινα.
        «Πού πας;» ρώτησε.
        Φεύγω!
    """,
    "Arabic": """
        ذهب الولد إلى المدرسة.
        هل تحب القراءة؟
        نعم، أحبها كثيرا!
        السعر 3.5 دينار.
    """,
    "Urdu": """
        یہ میرا گھر ہے۔
        آپ کیسے ہیں؟
        میں ٹھیک ہوں۔
    """,
    "Hindi": """
        डॉ. शर्मा आज आए।
        आप कैसे हैं?
        मैं ठीक हूँ।
        दाम 3.5 रुपये है।
    """,
    "Armenian": """
        Սա իմ տունն է։
        Նա գնաց դպրոց։
    """,
    "Chinese": (
        "他来了。|“你好！”|她说了3.5次。|真的吗？！|我不知道……也许吧。|"
        "「走吧。」|（他笑了。）|价格是３．５元。|好!|我走了."
    ),
    "Japanese": (
        "今日は晴れです。|「はい。そうです。」と彼は言った。|本当ですか？|"
        "すごい！！|「行こう。」|東京（日本。首都。）に住む。|終わり"
    ),
    "Thai": ("วันนี้อากาศดีมากจริงๆนะครับ|เราไปเที่ยวทะเลกันเถอะเพื่อนรัก และกินข้าวด้วยกันที่นั่น|สมชาย ใจดี ไปโรงเรียนทุกวันเลย"),
}


def expected(language: str) -> list[str]:
    text = DOCUMENTS[language]
    return text.split("|") if "|" in text else [line.strip() for line in text.strip().split("\n")]


@pytest.mark.parametrize("language", DOCUMENTS)
def test_languages(language: str) -> None:
    wanted = expected(language)
    separator = "" if language in {"Chinese", "Japanese"} else " "
    assert sentences(separator.join(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        (" \n\u00a0\n", []),
        ("...", ["..."]),
        ("A heading\n\nIt is a text. It\nends", ["A heading", "It is a text.", "It\nends"]),
        ("One.\r\n\r\nTwo\r\n \t\r\nthree", ["One.", "Two", "three"]),
        ("one\fTwo\u2029three", ["one", "Two", "three"]),
        ("- milk\n- bread\n* and butter", ["- milk", "- bread", "* and butter"]),
        ("Buy:\n1. First the milk.\n2. Then the bread", ["Buy:", "1. First the milk.", "2. Then the bread"]),
        (
            "A list of longer items that are each broken into lines:\n- the first of the items is long enough to need\n"
            "  a second line\n- the next one is not",
            [
                "A list of longer items that are each broken into lines:",
                "- the first of the items is long enough to need\n  a second line",
                "- the next one is not",
            ],
        ),
        (
            "A Heading\nThe text was broken by an editor so that Dr.\nMiller's lines stay short. It has three\nlines.",
            [
                "A Heading",
                "The text was broken by an editor so that Dr.\nMiller's lines stay short.",
                "It has three\nlines.",
            ],
        ),
        ("Roses are red,\nViolets are blue", ["Roses are red,\nViolets are blue"]),
        ("First Citizen\nSpeak. Speak", ["First Citizen", "Speak.", "Speak"]),
        ("Ann Lee 05/31/2001 09:01 AM Please call me", ["Ann Lee", "05/31/2001 09:01 AM", "Please call me"]),
        ("Call me. Regards, Bob", ["Call me.", "Regards,", "Bob"]),
        ("See http://a.org/b. Then go", ["See http://a.org/b.", "Then go"]),
        ("http://a.org/b?c!d http://a.org/e", ["http://a.org/b?c!d", "http://a.org/e"]),
        ("He left. :) She stayed 😀 They slept", ["He left. :)", "She stayed 😀", "They slept"]),
        ("Wait. . . He said (it was. Really.) no", ["Wait. . .", "He said (it was. Really.) no"]),
        ("a man sits . two dogs run .", ["a man sits .", "two dogs run ."]),
        (
            "i saw it. it was late. ask bldg. the rest etc. or so",
            ["i saw it.", "it was late.", "ask bldg. the rest etc. or so"],
        ),
        ("So it is... http://a.org/b", ["So it is...", "http://a.org/b"]),
        ("Who? (Nobody.) “Yes.” So", ["Who?", "(Nobody.)", "“Yes.”", "So"]),
    ],
)
def test_layout_and_marks(text: str, wanted: list[str]) -> None:
    assert sentences(text) == wanted


PIECES = [
    *(
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "\u00a0",
        "\u2029",
        "a",
        "b c",
        "A",
        "Dr",
        "the",
        "The",
        "12",
        "3",
        "é",
        "Thanks",
    ),
    *(
        ".",
        "...",
        "?",
        "!",
        "…",
        ";",
        ",",
        ":",
        "(",
        ")",
        "「",
        "」",
        "“",
        "”",
        '"',
        "'",
        "»",
        "«",
        "-",
        "-----",
        ":)",
        "😀",
    ),
    *(
        "。",
        "！",
        "（",
        "）",
        "漢字",
        "と",
        "।",
        "؟",
        "ไทย",
        "www.",
        "http://a.b",
        "1/2/2003 10:30",
        "PM",
        "\ud800",
        "\0",
    ),
]
ANYTHING = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


@settings(max_examples=500, deadline=None)
@given(ANYTHING)
def test_every_character_but_white_space_is_in_exactly_one_sentence(text: str) -> None:
    found = split_sentences(text)
    position = 0
    for start, end in found:
        assert start < end
        assert not text[position:start].strip()
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()


@settings(max_examples=300, deadline=None)
@given(ANYTHING, ANYTHING)
def test_paragraphs_do_not_depend_on_each_other(first: str, second: str) -> None:
    assert sentences(f"{first}\n\n{second}") == sentences(first) + sentences(second)


def test_a_sentence_is_its_own_only_sentence() -> None:
    for language in DOCUMENTS:
        for sentence in expected(language):
            assert sentences(sentence) == [sentence]


def test_the_order_of_sentences_does_not_matter() -> None:
    generator = random.Random(1)
    for language in ("Hindi", "Arabic", "Urdu"):
        for _ in range(20):
            wanted = generator.sample(expected(language), 3)
            assert sentences(" ".join(wanted)) == wanted


def wrapped(words: Iterator[str], width: int) -> str:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


@pytest.mark.parametrize("width", [50, 60, 72, 80, 100])
def test_hard_wrapping_changes_nothing(width: int) -> None:
    for language in ("English", "German", "French", "Spanish", "Italian", "Dutch", "Russian", "Hindi"):
        text = " ".join(expected(language))
        found = sentences(wrapped(iter(text.split(" ")), width))
        assert [" ".join(sentence.split("\n")) for sentence in found] == expected(language)


# the unit's text read again for every candidate would take hours
@pytest.mark.parametrize(
    "unit", [*PIECES, "a.", ". ", "A b. ", "( . ", "「。", "www.,", "1/1/11 1:", "- a\n", " \n", "ก ", "? »"]
)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    read = 0

    class Counted(str):
        """Counts the characters that are copied out of the text."""

        def __getitem__(self, key: object) -> str:
            nonlocal read
            value = super().__getitem__(key)  # type: ignore[index]
            read += len(value)
            return value

    text = Counted(unit * (100_000 // len(unit)))
    split_sentences(text)
    assert read <= 600 * len(text)


def treebank(split: str) -> tuple[str, list[tuple[int, int]]]:
    """Text and gold sentences, with a blank line between paragraphs."""
    for folder in os.environ.get("SEQKIT_DATA", "").split(os.pathsep):
        found = sorted(Path(folder, "ud-english-ewt").glob(f"*{split}*.conllu")) if folder else []
        if found:
            break
    else:
        pytest.skip("ud-english-ewt is in no folder of $SEQKIT_DATA")
    parts: list[str] = []
    spans, position, separator = [], 0, ""
    for line in found[0].read_text(encoding="utf-8").split("\n"):
        if line.startswith(("# newpar", "# newdoc")):
            separator = "\n\n"
        elif line.startswith("# text = "):
            sentence = " ".join(line[len("# text = ") :].split())
            start = position + len(separator)
            position = start + len(sentence)
            spans.append((start, position))
            parts += [separator, sentence]
            separator = " "
    return "".join(parts), spans


def test_agrees_with_a_treebank() -> None:
    text, gold = treebank("dev")
    found = split_sentences(text)
    assert 2 * len(set(gold) & set(found)) / (len(gold) + len(found)) >= 0.87
    ends, gold_ends = {end for _, end in found}, {end for _, end in gold}
    assert 2 * len(ends & gold_ends) / (len(ends) + len(gold_ends)) >= 0.945
