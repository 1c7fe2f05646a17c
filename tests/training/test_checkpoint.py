from __future__ import annotations

import math
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqkit.config import TrainingSettings
from seqkit.errors import TrainingError
from seqkit.training.checkpoint import (
    checkpoint_files,
    read_checkpoint,
    write_checkpoint,
)
from seqkit.training.optimisation import make_optimizer, optimizer_tensors, restore_optimizer

TENSORS = {
    "weights.a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "weights.half": torch.ones(3, dtype=torch.float16),
    "random.cpu": torch.arange(5, dtype=torch.uint8),
    "step": torch.tensor(3.0),
    "empty": torch.zeros(0, 4),
}
STATE = {"counters": {"epoch": 2, "best_score": -math.inf}, "text": "é\ud800", "history": [{"loss": 0.1}]}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    write_checkpoint(tmp_path, TENSORS, STATE)
    found = read_checkpoint(tmp_path)
    assert found is not None
    tensors, state = found
    assert state == STATE
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_a_new_checkpoint_takes_the_place_of_the_last(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, TENSORS, STATE)
    write_checkpoint(tmp_path, {"a": torch.ones(1)}, {"x": 1})
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert list(found[0]) == ["a"]
    assert {path.name for path in checkpoint_files(tmp_path)[0].parent.iterdir()} == {
        "state.safetensors",
        "previous.safetensors",
    }


def test_views_and_gradients_are_written_as_plain_values(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.arange(6.0).reshape(2, 3))
    write_checkpoint(tmp_path, {"a": weight, "b": weight.t()}, {})
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert torch.equal(found[0]["b"], weight.detach().t())
    assert not found[0]["a"].requires_grad


@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_byte_is_found(position: float, flip: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    output = tmp_path_factory.mktemp("run")
    write_checkpoint(output, {"a": torch.ones(2, 2), "b": torch.zeros(3)}, {"x": 1})
    path = checkpoint_files(output)[0]
    content = bytearray(path.read_bytes())
    place = int(position * len(content))
    if content[place] == ord(" ") and content[place] ^ flip in b"\t\n\r":
        return  # white space of the header instead of other white space means the same
    content[place] ^= flip
    path.write_bytes(content)
    with pytest.raises(TrainingError) as caught:
        read_checkpoint(output)
    assert str(caught.value).startswith(f"{path}: damaged checkpoint (")
    assert str(caught.value).endswith("); start again with --force")


@pytest.mark.parametrize("content", [b"", b"junk", b"\x80\x04pickle", b"\xff" * 100])
def test_what_is_no_checkpoint_is_found(content: bytes, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, TENSORS, STATE)
    checkpoint_files(tmp_path)[0].write_bytes(content)
    with pytest.raises(TrainingError, match="damaged checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("size", [4, 100, -1])
def test_a_checkpoint_cut_short_is_found(size: int, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, TENSORS, STATE)
    path = checkpoint_files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(TrainingError, match="damaged checkpoint"):
        read_checkpoint(tmp_path)


def test_weights_of_something_else_are_no_checkpoint(tmp_path: Path) -> None:
    path = checkpoint_files(tmp_path)[0]
    path.parent.mkdir()
    for metadata in (None, {"format": "pt"}, {"state": "{}"}):
        path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, metadata=metadata))
        with pytest.raises(TrainingError, match="damaged checkpoint"):
            read_checkpoint(tmp_path)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_an_optimiser_goes_on_from_its_tensors(kind: str, momentum: float, tmp_path: Path) -> None:
    settings = TrainingSettings(optimizer=kind, momentum=momentum, weight_decay=0.1)
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(4, 3, generator=draw)
    gradients = torch.randn(6, 4, 3, generator=draw)

    def run(weight: nn.Parameter, optimizer: torch.optim.Optimizer, part: torch.Tensor) -> None:
        for gradient in part:
            weight.grad = gradient.clone()
            optimizer.step()

    weight = nn.Parameter(start.clone())
    optimizer = make_optimizer(settings, [weight])
    run(weight, optimizer, gradients[:3])
    write_checkpoint(tmp_path, {"w": weight, **optimizer_tensors(optimizer, "optimizer.")}, {})
    found = read_checkpoint(tmp_path)
    assert found is not None
    other = nn.Parameter(found[0]["w"].clone())
    again = make_optimizer(settings, [other])
    restore_optimizer(again, found[0], "optimizer.")
    run(weight, optimizer, gradients[3:])
    run(other, again, gradients[3:])
    assert torch.equal(weight, other)
