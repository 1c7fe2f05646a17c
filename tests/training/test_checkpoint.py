from __future__ import annotations

import errno
import importlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqkit.config import TrainingSettings
from seqkit.errors import ModelError, TrainingError
from seqkit.training import checkpoint
from seqkit.training.checkpoint import (
    all_files,
    checkpoint_files,
    has_checkpoint,
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
    "one": torch.zeros(4, dtype=torch.bfloat16)[::2][:1],  # of any stride
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


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"shape":[2,3]', b'"shape":[3,2]'),  # as many numbers
        (b'"dtype":"F16"', b'"dtype":"I16"'),  # as many bytes
        (b'"weights.a"', b'"weights.b"'),
    ],
)
def test_the_checksum_is_also_of_what_a_tensor_is_taken_for(was: bytes, becomes: bytes, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, TENSORS, STATE)
    path = checkpoint_files(tmp_path)[0]
    content = path.read_bytes()
    assert content.count(was) == 1
    path.write_bytes(content.replace(was, becomes))
    with pytest.raises(TrainingError) as caught:
        read_checkpoint(tmp_path)
    assert str(caught.value) == f"{path}: damaged checkpoint (its checksum is another); start again with --force"


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


# --- a process that ends, and disks that are full, at any point of writing -----------------------------------------

CALLS = [("builtins", "open"), ("os", "fsync"), ("os", "replace")]
"""what writing a file goes through, each of them before and after"""


class _Killed(BaseException):
    """What no handler takes care of, as nothing does when a process is killed."""


def dying_at(moment: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Let the process end at the given moment, counted from 0; gives the moments there were."""
    moments: list[str] = []

    def at(name: str) -> None:
        moments.append(name)
        if len(moments) - 1 == moment:
            raise _Killed

    def watched(module: str, name: str) -> None:
        plain = getattr(importlib.import_module(module), name)

        def call(*arguments: Any, **options: Any) -> Any:
            at(f"before {name}")
            found = plain(*arguments, **options)
            if name == "open" and "x" in str(arguments[1:]):
                return _HalfWritten(found, lambda: at("half written"))
            at(f"after {name}")
            return found

        patch.setattr(f"{module}.{name}", call)

    for module, name in CALLS:
        watched(module, name)
    return moments


class _HalfWritten:
    """A file of which half is written before the rest."""

    def __init__(self, stream: Any, between: Callable[[], None]) -> None:
        self.stream = stream
        self.between = between

    def __enter__(self) -> _HalfWritten:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def write(self, content: bytes) -> None:
        self.stream.write(content[: len(content) // 2])
        self.stream.flush()
        self.between()
        self.stream.write(content[len(content) // 2 :])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def step_of(output: Path, warnings: list[str] | None = None) -> int:
    found = read_checkpoint(output, (warnings if warnings is not None else []).append)
    assert found is not None
    assert torch.equal(found[0]["step"], torch.tensor(found[1]["step"]))
    return int(found[1]["step"])


def write(output: Path, step: int) -> None:
    write_checkpoint(output, {"step": torch.tensor(step), "more": torch.rand(50)}, {"step": step})


def test_whenever_writing_ends_the_last_or_the_new_one_is_found(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        moments = dying_at(-1, patch)
        for step in (1, 2, 3):
            write(tmp_path / "never", step)
        count = len(moments) // 3 + 3
    reached = 0
    for moment in range(count):
        for before in (1, 2, 3):
            output = tmp_path / f"{moment} {before}"
            for step in range(1, before + 1):
                write(output, step)
            with pytest.MonkeyPatch.context() as patch:
                dying_at(moment, patch)
                try:
                    write(output, before + 1)
                except _Killed:
                    reached += 1
            warnings: list[str] = []
            assert step_of(output, warnings) in (before, before + 1)
            assert warnings == []
            write(output, before + 2)  # and what is left over is no obstacle
            assert step_of(output) == before + 2
            assert not list(output.rglob("*.part"))
    assert reached > 20
    assert {"before open", "half written", "after fsync", "before replace", "after replace"} <= set(moments)


@pytest.mark.parametrize("name", ["fsync", "replace", "write", "open"])
def test_a_disk_that_is_full_leaves_the_last_one_whole(name: str, tmp_path: Path) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)
    files = checkpoint_files(tmp_path)

    def full(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        if name == "write":
            plain = open
            patch.setattr("builtins.open", lambda *given: _HalfWritten(plain(*given), full))
        else:
            patch.setattr(f"{'builtins' if name == 'open' else 'os'}.{name}", full)
        with pytest.raises(ModelError) as caught:
            write(tmp_path, 3)
    assert str(caught.value) == f"{files[0]}: cannot be written: No space left on device"
    assert step_of(tmp_path) == 2
    assert {path.name for path in files[0].parent.iterdir()} <= {path.name for path in files}


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-9], lambda content: b"x" + content])
def test_of_a_damaged_one_the_one_before_is_used_with_a_warning(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)
    last, previous = checkpoint_files(tmp_path)
    whole = last.read_bytes()
    last.write_bytes(damage(whole))
    warnings: list[str] = []
    assert step_of(tmp_path, warnings) == 1
    assert len(warnings) == 1
    assert warnings[0].startswith(f"warning: {last}: damaged checkpoint (")
    assert warnings[0].endswith("); going on from the one before")
    assert not last.exists()
    assert all_files(tmp_path)[2].read_bytes() == damage(whole)
    write(tmp_path, 3)
    assert step_of(tmp_path) == 3
    assert len(warnings) == 1
    for path in (last, previous):
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainingError) as caught:
        read_checkpoint(tmp_path)
    told = str(caught.value)
    assert told.startswith(f"{last}: damaged checkpoint (") and f" and {previous}: damaged checkpoint (" in told
    assert told.endswith("); start again with --force") and "\n" not in told


def test_one_of_both_is_enough(tmp_path: Path) -> None:
    assert not has_checkpoint(tmp_path)
    write(tmp_path, 1)
    write(tmp_path, 2)
    last, previous = checkpoint_files(tmp_path)
    last.unlink()
    assert has_checkpoint(tmp_path)
    assert step_of(tmp_path) == 1
    write(tmp_path, 3)  # the one before is not thrown away for nothing
    last.write_bytes(b"")
    assert step_of(tmp_path) == 1
    assert not last.exists()
    previous.unlink()
    assert not has_checkpoint(tmp_path)
    assert read_checkpoint(tmp_path) is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
        (MemoryError(), "too little memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "too little memory"),
    ],
)
def test_what_cannot_be_read_is_not_taken_for_damaged(error: Exception, told: str, tmp_path: Path) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)

    def refused(*_: object) -> Any:
        raise error

    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError) as caught:
        patch.setattr(checkpoint, "open_regular", refused)
        read_checkpoint(tmp_path)
    assert str(caught.value) == f"{checkpoint_files(tmp_path)[0]}: cannot be read: {told}"
    assert step_of(tmp_path) == 2


@pytest.mark.parametrize("kind", ["directory", "pipe", "link"])
def test_something_else_in_place_of_a_checkpoint_is_told(kind: str, tmp_path: Path) -> None:
    write(tmp_path, 1)
    write(tmp_path, 2)
    last = checkpoint_files(tmp_path)[0]
    last.unlink()
    {"directory": last.mkdir, "pipe": lambda: os.mkfifo(last), "link": lambda: last.symlink_to("nowhere")}[kind]()
    assert has_checkpoint(tmp_path)
    with pytest.raises(TrainingError) as caught:
        read_checkpoint(tmp_path)
    other = "No such file or directory" if kind == "link" else "not a regular file"
    assert str(caught.value) == f"{last}: cannot be read: {other}"
