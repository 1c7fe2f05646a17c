"""Reports and files of tensors as strangers write them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from seqkit.errors import ModelError, SettingsError
from seqkit.model.files import read_config, write_config
from seqkit.model.loading import load, read_weights

OTHERS = "expected data, and scores of each split, as JSON objects, found something else"
BASELINES = "expected names and scores of baselines, found something else"


@pytest.mark.parametrize(
    ("report", "fault"),
    [
        ([], "expected a JSON object, found something else"),
        ({"data": []}, OTHERS),
        ({"scores": []}, OTHERS),
        ({"scores": {"dev": 0.5}}, OTHERS),
        ({"scores": {"dev": {"baseline": 0.5}}}, OTHERS),
        ({"scores": {"dev": {"baseline": {}}}}, BASELINES),
        ({"scores": {"dev": {"baseline": {"name": "x", "accuracy": "high"}}}}, BASELINES),
    ],
)
def test_a_report_has_the_form_that_a_card_is_made_from(report: Any, fault: str, trained: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(trained, tmp_path / "model"))
    config, files = read_config(path)
    write_config(path, {"settings": config["settings"]}, {**files, "report.json": json.dumps(report).encode()})
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value) == f"{path / 'report.json'}: {fault}"


@pytest.mark.parametrize("given", [None, b"model", 3, "a\0b", Path("a\0b")])
def test_what_is_no_path(given: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        load(given)
    assert str(caught.value) == f"a model's directory must be a path, found {given!r}"


def test_a_path_that_is_too_long() -> None:
    with pytest.raises(ModelError) as caught:
        load("a" * 1_500)
    assert str(caught.value) == f"{'a' * 1_500}: expected a model directory with config.json, found none"


def test_a_device_that_is_no_name(trained: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(trained, None)  # type: ignore[arg-type]
    assert str(caught.value) == "expected a device auto, cpu, cuda, cuda:N or mps, found None"


def test_a_task_of_another_installation(trained: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(trained, tmp_path / "model"))
    config, files = read_config(path)
    for name, fault in (
        ("novel", "there is no task 'novel' in this installation of seqkit"),
        (
            3,
            f"damaged: {path / 'config.json'}: task: expected one of tag, classify, lm, generate, translate, "
            "transcribe, found 3",
        ),
    ):
        write_config(path, {"settings": {**config["settings"], "task": name}}, files)
        with pytest.raises(ModelError) as caught:
            load(path)
        assert str(caught.value) == f"{path}: {fault}"


def header(**entry: Any) -> bytes:
    content = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **entry}}).encode()
    return len(content).to_bytes(8, "little") + content + bytes(4)


def test_tensors_are_read() -> None:
    assert torch.equal(read_weights(header(), "w")["a"], torch.zeros(1))
    assert read_weights(safetensors.torch.save({}), "w") == {}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"1234567", b"\x80\x04pickle", (1 << 63).to_bytes(8, "little"), (100).to_bytes(8, "little") + b"{}"),
        *((2).to_bytes(8, "little") + b"[]", (1).to_bytes(8, "little") + b"{", header()[:-1], header() + b"\0"),
        *(header(dtype="F33"), header(dtype="F8_E8M0", shape=[4]), header(shape=[2]), header(shape=[-1])),
        *(header(shape=[2**62, 4]), header(shape=[10**400]), header(data_offsets=[0, 8]), header(data_offsets=[4, 0])),
        *(header(data_offsets=[-4, 0]), header(shape="1"), header(dtype=None), header(more=1, data_offsets=None)),
    ],
)
def test_a_header_accounts_for_every_byte(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"^w: damaged: expected tensors, found: .+$"):
        read_weights(content, "w")
