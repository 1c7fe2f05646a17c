"""Tables of text."""

from __future__ import annotations

from seqkit.metrics.scores import text_table

ROWS = [["cell", "kind", "score"], ["lstm", "a", "0.5"], ["rnn_tanh", "", "10.25"]]


def test_text_is_aligned_to_the_left_and_numbers_to_the_right() -> None:
    assert text_table(ROWS, 2).split("\n") == [
        "cell      kind  score",
        "lstm      a       0.5",
        "rnn_tanh        10.25",
    ]
    assert text_table([["a", "b"], ["", ""]]) == "a  b\n"


def test_an_empty_row_is_an_empty_line() -> None:
    assert text_table([["a", "bc"], [], ["d", "e"]]) == "a  bc\n\nd   e"


def test_a_wide_table_is_cut_in_its_first_column() -> None:
    names = ["n" * 40, "short"]
    table = text_table([["", "score"], *([name, "1.0"] for name in names)], width=30)
    assert table.split("\n") == [" " * 25 + "score", "n" * 22 + "…    1.0", "short" + " " * 22 + "1.0"]
    assert text_table(ROWS, width=30) == text_table(ROWS)
    narrow = text_table([["", "score"], [names[0], "1.0"]], width=1)
    assert narrow.split("\n")[1] == "n" * 8 + "…    1.0"
