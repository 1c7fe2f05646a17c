from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.errors import DataError, SettingsError
from seqkit.metrics.plots import confusion_matrix, confusion_matrix_png

PNG = b"\x89PNG\r\n\x1a\n"


def size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(PNG)
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


class TestCounts:
    def test_by_hand(self) -> None:
        labels, counts = confusion_matrix([["B", "A"], ["A"]], [["A", "A"], ["C"]])
        assert labels == ["A", "B", "C"]
        assert counts.tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("ABCDE"), st.sampled_from("ABCDE"))), st.integers(1, 6))
    def test_every_token_is_counted_once(self, pairs: list[tuple[str, str]], most: int) -> None:
        gold, predicted = [[a for a, _ in pairs]], [[b for _, b in pairs]]
        labels, counts = confusion_matrix(gold, predicted)
        assert counts.sum() == len(pairs)
        assert np.trace(counts) == sum(a == b for a, b in pairs)
        assert counts.sum(axis=1).tolist() == [gold[0].count(label) for label in labels]
        fewer, together = confusion_matrix(gold, predicted, most)
        assert together.sum() == len(pairs)
        assert together.shape == (len(fewer), len(fewer)) == (min(most, len(labels)),) * 2

    def test_the_rarest_labels_are_counted_together(self) -> None:
        labels, counts = confusion_matrix([list("AAABBBCD")], [list("AAABBBDE")], most_labels=3)
        assert labels == ["A", "B", "other labels"]
        assert counts.tolist() == [[3, 0, 0], [0, 3, 0], [0, 0, 2]]

    def test_a_label_may_be_called_as_the_rest_is(self) -> None:
        gold = [["other labels"] * 3 + list("BCD")]
        labels, counts = confusion_matrix(gold, gold, most_labels=2)
        assert labels == ["other labels", "(other labels)"]
        assert counts.tolist() == [[3, 0], [0, 3]]

    def test_nothing(self) -> None:
        labels, counts = confusion_matrix([[]], [[]])
        assert (labels, counts.shape) == ([], (0, 0))

    @pytest.mark.parametrize("predicted", [[], [["A", "B"]]])
    def test_what_does_not_fit_is_refused(self, predicted: list[list[str]]) -> None:
        with pytest.raises(ValueError, match=r"argument 2 is (shorter|longer) than argument 1"):
            confusion_matrix([["A"]], predicted)


class TestPicture:
    def test_is_written(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        path = tmp_path / "matrix.png"
        confusion_matrix_png([["B-X", "O"]], [["B-X", "B-X"]], path)
        width, height = size(path)
        assert 300 < height < 1200
        assert height < width < 1600

    def test_has_a_margin_on_every_side(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        from matplotlib.image import imread

        path = tmp_path / "matrix.png"
        confusion_matrix_png([["B-A-LONG-LABEL", "O"]], [["O", "O"]], path)
        pixels = imread(path)[:, :, :3]
        assert all((edge == 1.0).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))

    def test_grows_with_the_labels_and_spells_them_as_they_are(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        path = tmp_path / "matrix"  # no extension, still a PNG file
        labels = ["$", "$x$", "``", "漢", "a_b", "\udce9", *(f"TAG{index}" for index in range(60))]
        confusion_matrix_png([labels], [labels], path)
        assert 1500 < min(size(path)) < 3500

    def test_leaves_no_state_behind(self, tmp_path: Path) -> None:
        matplotlib = pytest.importorskip("matplotlib")
        before = dict(matplotlib.rcParams)
        confusion_matrix_png([["A"]], [["A"]], tmp_path / "matrix.png")
        assert dict(matplotlib.rcParams) == before

    def test_nothing_to_draw(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        with pytest.raises(DataError, match=r"^no tokens to draw a confusion matrix of$"):
            confusion_matrix_png([[]], [[]], tmp_path / "matrix.png")

    def test_a_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        path = tmp_path / "absent" / "matrix.png"
        with pytest.raises(DataError, match=f"^{re.escape(str(path))}: cannot be written: No such file or directory$"):
            confusion_matrix_png([["A"]], [["A"]], path)

    def test_without_matplotlib(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("matplotlib.backends.backend_agg", "matplotlib.figure"):
            monkeypatch.setitem(sys.modules, name, None)
        message = "a confusion matrix needs matplotlib, which is not installed: pip install 'seqkit-nlp[plots]'"
        with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
            confusion_matrix_png([["A"]], [["A"]], tmp_path / "matrix.png")


@pytest.mark.parametrize("label", ["\ud800", "a\nb\x1b[2J\0", "\u202ea", "$\\frac$"], ids=ascii)
def test_labels_of_any_characters_are_drawn_as_they_are_shown(label: str, tmp_path: Path) -> None:
    confusion_matrix_png([[label], ["A"]], [["A"], [label]], tmp_path / "a.png")
    shown = label.encode("unicode_escape").decode() if label != "$\\frac$" else label
    confusion_matrix_png([[shown], ["A"]], [["A"], [shown]], tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
