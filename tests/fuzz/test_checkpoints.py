"""Checkpoints with bytes of a stranger: the last one or the one before, or a `TrainingError`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import safetensors.torch
import torch
from harness import fuzz
from hostile_models import changed_tensors, changed_tree

from seqkit.training.checkpoint import _checksum, checkpoint_files, read_checkpoint, write_checkpoint

TENSORS = {
    "weight": torch.arange(6.0).view(2, 3),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "random": torch.arange(3),
}
STATE = {"epoch": 3, "schedule": {"best": 0.5}, "history": [1.0, None], "name": "x"}
WORDS = (
    b"state",
    b"checksum",
    b'"F32"',
    b'"BOOL"',
    b"data_offsets",
    b"shape",
    b"{",
    b"}",
    b"__metadata__",
    b"null",
    b"[]",
)


def test_bytes_of_checkpoints(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, TENSORS, STATE)
    last, previous = checkpoint_files(tmp_path)
    whole = last.read_bytes()

    def read(content: bytes, draw: random.Random) -> None:
        if draw.random() < 0.3:  # with a checksum that is right
            text = json.dumps(changed_tree(STATE, draw))
            tensors = changed_tensors(TENSORS, draw)
            metadata = {"state": text, "checksum": _checksum(tensors, text)}
            content = safetensors.torch.save(tensors, metadata=metadata)
        last.write_bytes(content)
        previous.unlink(missing_ok=True)
        kept = draw.random() < 0.5
        if kept:
            previous.write_bytes(whole)
        found = read_checkpoint(tmp_path)
        assert found is not None
        if kept and not last.exists():
            assert found[1] == STATE

    fuzz("checkpoint", read, seeds=[whole], words=WORDS, multiple=5_000)
