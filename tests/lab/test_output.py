"""The files that every command of the lab writes."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import pytest

import seqkit
from seqkit.errors import DataError, ModelError, SettingsError
from seqkit.lab.output import claim_files, remove_files, write_files
from seqkit.metrics.plots import new_figure

pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")


def write(directory: Path, results: object = None, title: str = "") -> None:
    figure = new_figure(2.0, 1.0)
    figure.add_subplot().set_title(title)
    write_files(directory, "memory", figure, {"hidden": 4}, results, 1.5)


def test_both_files_are_there(tmp_path: Path) -> None:
    claim_files(tmp_path / "a" / "b", "memory")
    assert not (tmp_path / "a").exists()  # or an error in the work would leave an empty folder
    write(tmp_path / "a" / "b", {"curve": [1.0, 0.5]})
    folder = tmp_path / "a" / "b"
    assert sorted(path.name for path in folder.iterdir()) == ["memory.json", "memory.png"]
    content = (folder / "memory.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert (int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")) == (240, 120)
    assert json.loads((folder / "memory.json").read_text(encoding="ascii")) == {
        "task": "lab memory",
        "settings": {"hidden": 4},
        "results": {"curve": [1.0, 0.5]},
        "seconds": 1.5,
        "seqkit_version": seqkit.__version__,
    }


def test_numbers_stand_on_one_line_and_strings_stay_as_they_are(tmp_path: Path) -> None:
    results = {"a": [[1, 2.5], [3, math.nan]], "b": ["[\n1,\n 2]", "é [ 1 ]"], "c": [], "d": [-math.inf]}
    write(tmp_path, results)
    text = (tmp_path / "memory.json").read_text(encoding="ascii")
    assert '"d": [null]' in text and "[1, 2.5]" in text and "[3, null]" in text
    assert json.loads(text)["results"] == {**results, "a": [[1, 2.5], [3, None]], "d": [None]}


def test_a_word_that_the_font_lacks_is_still_drawn(tmp_path: Path) -> None:
    write(tmp_path, title="漢")  # a warning would be an error here
    assert (tmp_path / "memory.png").is_file()


@pytest.mark.parametrize("name", ["memory.png", "memory.json"])
def test_existing_files_are_refused_without_force(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("mine")
    with pytest.raises(DataError) as caught:
        claim_files(tmp_path, "memory")
    assert str(caught.value) == f"{path}: the file exists; use --force to replace it"
    claim_files(tmp_path, "gradients")
    claim_files(tmp_path, "memory", force=True)
    assert path.read_text() == "mine"  # until there is something to put in its place
    write(tmp_path)
    assert path.read_bytes() != b"mine"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "memory.json").mkdir()
    with pytest.raises(DataError) as caught:
        claim_files(tmp_path, "memory", force=True)
    assert str(caught.value) == f"{tmp_path / 'memory.json'}: cannot be written: it is a folder"
    below = tmp_path / "file" / "x"
    below.parent.touch()
    with pytest.raises(DataError, match=f"^{re.escape(str(below))}: cannot be used as output folder: Not a directory$"):
        claim_files(below, "memory")
    with pytest.raises(DataError, match=r"cannot be used as output folder: File name too long$"):
        claim_files(tmp_path / "new" / ("x" * 300), "memory")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ModelError, match=r"memory\.png: cannot be written: "):
        write(below)


def test_removed_files(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("memory.txt", "gates.json"):
        (tmp_path / name).touch()
    for _ in range(2):  # what is not there is no fault
        remove_files(tmp_path, "memory")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["gates.json", "memory.txt"]
    (tmp_path / "memory.png").mkdir()
    with pytest.raises(DataError, match=r"memory\.png: cannot be removed: "):
        remove_files(tmp_path, "memory")


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib.backends.backend_agg", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    message = "lab memory needs matplotlib, which is not installed: pip install 'seqkit-nlp[plots]'"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        claim_files(tmp_path / "out", "memory")
    assert not (tmp_path / "out").exists()


def test_figures_leave_no_state_behind() -> None:
    import matplotlib
    from matplotlib import _pylab_helpers

    before = dict(matplotlib.rcParams)
    new_figure(1.0, 1.0)
    assert dict(matplotlib.rcParams) == before
    assert not _pylab_helpers.Gcf.figs
