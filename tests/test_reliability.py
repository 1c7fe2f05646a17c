"""The table of faults names tests that exist, and enough of them."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "reliability.md"
ROW = re.compile(r"\| (?P<fault>[^|]+) \| (?P<effect>[^|]+) \| `(?P<file>tests/[\w/]+\.py)::(?P<test>\w+)` \|")


def rows() -> list[re.Match[str]]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    cells = [line for line in lines if line.startswith("| ") and line != "| fault | what happens | test |"]
    found = [ROW.fullmatch(line) for line in cells]
    assert None not in found, [line for line, row in zip(cells, found, strict=True) if row is None]
    return [row for row in found if row is not None]


@cache
def named_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_there_are_many_rows_and_each_fault_stands_once() -> None:
    faults = [row["fault"] for row in rows()]
    assert len(faults) >= 40
    assert len(set(faults)) == len(faults)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["fault"])
def test_each_row_names_a_test(row: re.Match[str]) -> None:
    assert row["test"].startswith("test_")
    assert row["test"] in named_in(ROOT / row["file"])
