from __future__ import annotations

from pathlib import Path

import pytest

from seqkit.toml import MOST_BYTES, parse_toml, read_toml


def test_a_document_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[a]\nb = "é"\n', encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == parse_toml('[a]\nb = "é"\n') == {"a": {"b": "é"}}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = [", "Invalid value|Unclosed array"),
        ("a = " + "[" * 5000, "lists or tables are nested too deeply"),
        ("a = " + "9" * 5000, "Exceeds the limit"),
        ("a = \0", "Invalid value|Illegal"),
        ("a = 1\na = 2", "Cannot overwrite a value"),
    ],
)
def test_what_is_not_toml(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_toml(text)


def test_a_file_beyond_all_measure(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"#" * MOST_BYTES)
    assert read_toml(tmp_path / "a.toml") == {}
    (tmp_path / "a.toml").write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(ValueError, match=r"^more than 1,048,576 bytes$"):
        read_toml(tmp_path / "a.toml")
