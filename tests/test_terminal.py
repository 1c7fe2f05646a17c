"""What a person is shown cannot command the terminal; what a program reads stays as it is."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

import seqkit
from seqkit.terminal import code, markdown, one_line, printable

PACKAGE = Path(seqkit.__file__).parent

BIDIRECTIONAL = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
HARMFUL = {
    chr(point)
    for point in range(0x110000)
    if unicodedata.category(chr(point)) in ("Cc", "Cs", "Zl", "Zp") or point in BIDIRECTIONAL
}
"""by the categories of Unicode: controls, surrogates, separators of lines and paragraphs"""


@pytest.mark.parametrize("show", [printable, one_line])
def test_of_every_character_the_harmful_ones_are_escaped_and_no_other(show) -> None:
    for point in range(0x110000):
        text = chr(point)
        if text not in HARMFUL or (text == "\n" and show is printable):
            assert show(text) == text
        else:
            escaped = show(text)
            assert escaped.isascii() and escaped.isprintable()
            assert escaped.encode().decode("unicode_escape") == text
            assert show(escaped) == escaped


def test_texts_of_any_characters() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        text = "".join(
            draw.choices([*sorted(HARMFUL)[:70], "a", "ß", "\n", "\\", "🙂", "\u202e"], k=draw.randint(0, 12))
        )
        assert not HARMFUL & set(one_line(text))
        assert HARMFUL & set(printable(text)) <= {"\n"}
        assert printable(text).split("\n") == [one_line(line) for line in text.split("\n")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("LOC", "LOC"),
        ("macro_f1", "macro_f1"),
        ("TF-IDF, logistic regression (words)", "TF-IDF, logistic regression (words)"),
        ("_LOC_", "`_LOC_`"),
        ("*", "`*`"),
        ("[LOC](https://example.org)", "`[LOC](https://example.org)`"),
        ("<img src=x>", "`<img src=x>`"),
        ("www.example.org", "`www.example.org`"),
        ("a|b", "`a|b`"),
        ("a\n# b", "`a\\n# b`"),
        ("\x1b[2J", "`\\x1b[2J`"),
        ("`", "`` ` ``"),
        ("a``b", "```a``b```"),
        (" ", "`   `"),
        ("", "`  `"),
    ],
)
def test_markdown(text: str, shown: str) -> None:
    assert markdown(text) == shown


def test_a_code_span_ends_where_its_text_does() -> None:
    draw = random.Random(2)
    for _ in range(2000):
        text = "".join(draw.choices("`a \n", k=draw.randint(1, 10)))
        span = code(text)
        fence = re.match("`+", span)[0]  # the first run of backticks is the fence, ended by the next run as long
        assert re.match(rf"{fence}(?!`)(.*?)(?<!`){fence}(?!`)", span)[0] == span


def test_nothing_is_printed_past_these_functions() -> None:
    found: Counter[str] = Counter()
    for path in PACKAGE.rglob("*.py"):
        calls = re.findall(
            r"^(?!.*>>> ).*(?:\bprint\(|click\.s?echo|\bConsole\(|sys\.stderr\.write)",
            path.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        found[path.relative_to(PACKAGE).as_posix()] += len(calls)
    assert +found == {
        "terminal.py": 3,
        "training/progress.py": 1,  # above the bar
        "cli/main.py": 1,  # the usage, which is ours
        "cli/group.py": 1,  # help
        "cli/data.py": 1,  # the folder that `data fetch` gives to scripts
        "cli/info.py": 1,  # JSON
        "cli/sample.py": 3,  # texts as the model wrote them
    }
