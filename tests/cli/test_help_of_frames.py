"""Help pages of tasks that read text, recordings and arrays name them all, and no option that none of these needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("tag", "Label every token of a text, or every frame of a recording or an array."),
        ("tag predict", "Tag sentences, recordings or arrays, of files or of standard input, in order."),
        (
            "classify",
            "Label every text, pair of texts, recording or array: sentiment, topic, entailment, spoken word, gesture; "
            "one label or several, or a number (--regression).",
        ),
        ("classify predict", "Label texts, recordings or arrays, of files or of standard input, in order."),
        ("lm", "Language models: how likely a text or a piece of music is, and sampling of new ones."),
        (
            "lm score",
            "Compute the log-probability of lines or pieces of music, of files or of standard input, in order.",
        ),
    ],
)
def test_the_first_line(command: str, line: str, run: Run) -> None:
    page = run(*command.split(), "--help").out
    paragraph = page.split("\n\n")[1]
    assert " ".join(paragraph.split()) == line


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "show"])
def test_options_of_words_are_not_listed_where_there_are_none(verb: str, run: Run) -> None:
    page = run("transcribe", verb, "--help").out
    assert "--columns" in page or verb == "show"
    assert "--token-column" not in page
    assert "--span-borders" not in page
    assert "--token-column" in run("tag", "train", "--help").out
