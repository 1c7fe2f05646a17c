"""A training step orders work of the device and never waits for it: tried on a GPU, and on a device without numbers.

PyTorch's ``meta`` device knows shapes and no numbers, so that whatever would have to read one fails: `item`, `bool` of
a tensor, `nonzero`, indexing by truth values. What remains to be seen is that copies to it do not block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqkit.config import override, parse_assignments
from seqkit.corpora.from_python import from_items
from seqkit.tasks import TASKS
from seqkit.training.learner import Computed, Learner
from seqkit.training.optimisation import clip_gradient, make_optimizer
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress

WORDS = ["the", "a", "dog", "cat", "sees", "hears", "runs", "Paris", "is", "old"]
TINY = {"encoder": {"hidden": 6}, "training": {"batch_size": 4, "optimizer": "adam", "lr": 0.01, "precision": "fp32"}}
CASES = {
    "tag": ["", "head.crf=false", "embedding.chars=lstm", "head.lm_loss=0.1", "training.clip_by=value"],
    "classify": [f"head.pool={name}" for name in ("mean", "max", "last", "attention", "concat")],
    "lm": [
        "",
        "encoder.direction=both",
        "head.tied=true embedding.word_size=6",
        "head.ar=1 head.tar=1",
        "head.cutoffs=[3,6] encoder.hidden=16",
        "head.cutoffs=[3,6] encoder.hidden=16 encoder.direction=both",
    ],
    "generate": ["", "data.condition=kind:text"],
}
STEPS = [(task, changes) for task, several in CASES.items() for changes in several]


def items(task: str) -> list[Any]:
    """Training data of unequal lengths, so that there is padding."""
    rows = [[WORDS[(3 * row + place) % len(WORDS)] for place in range(2 + row % 5)] for row in range(12)]
    return {
        "tag": [(tokens, ["NAME" if token.istitle() else "O" for token in tokens]) for tokens in rows],
        "classify": [(" ".join(tokens), tokens[0]) for tokens in rows],
        "lm": [" ".join(tokens) for tokens in rows * 4],
        "generate": [{"kind": tokens[0], "text": " ".join(tokens)} for tokens in rows],
    }[task]


def build(task: str, changes: str, device: str) -> Learner:
    settings = override(override(TASKS[task].settings_class()(), TINY), parse_assignments(changes.split()))
    if task == "generate" and not changes:
        settings = override(settings, {"data": {"condition": "kind"}})
    dataset = from_items(TASKS[task].records, items(task), items(task)[:4], None)
    learner = prepare(settings.complete(dataset), dataset, torch.device(device), Progress(quiet=True)).learner
    assert learner is not None
    return learner


def step(learner: Learner, optimizer: torch.optim.Optimizer, batch: Any, carried: Any) -> Computed:
    """A step as `seqkit.training.trainer.Trainer` takes it, on a device that is not a CPU."""
    training = learner.settings.training
    optimizer.zero_grad(set_to_none=True)
    computed = learner.compute(batch, carried)
    computed.loss.backward()
    clip_gradient(optimizer, learner.network.parameters(), training.clip, training.clip_by)
    optimizer.step()
    return computed


class _CopiesDoNotBlock(TorchDispatchMode):
    """Fails where numbers of the CPU are copied to another device in a way that would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.copies = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = [value for value in args if isinstance(value, Tensor)]
        copies = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        if copies and result.device.type != "cpu" and given[-1].device.type == "cpu":
            self.copies += 1
            if func is torch.ops.aten._to_copy.default:
                assert kwargs.get("non_blocking"), f"a copy of {list(result.shape)} blocks"
            else:
                assert args[2:] == (True,), f"a copy into {list(result.shape)} blocks"
        return result


@pytest.mark.parametrize(("name", "changes"), STEPS)
def test_a_step_reads_no_number_and_waits_for_no_copy(name: str, changes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())  # it does not know the device
    learner = build(name, changes, "meta")
    optimizer = torch.optim.SGD(learner.network.parameters(), lr=0.1)  # the fused ones do not know it either
    learner.network.train()
    batches, carried = list(learner.batches(0, slice(None))), None
    assert len(batches) > 1
    with _CopiesDoNotBlock() as seen:
        for batch in batches:
            try:
                loss, _, _, carried = step(learner, optimizer, batch, carried)
            except NotImplementedError as error:  # as of torch 2.3
                if "_embedding_bag_dense_backward" in str(error):
                    pytest.skip("this torch's meta device has no gradient of embedding_bag")
                raise
            assert loss.device.type == "meta"
    assert seen.copies
    trained = [p for p in learner.network.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)


def test_what_would_wait_is_noticed() -> None:
    values = torch.zeros(3, device="meta")
    for wait in (
        lambda: values.sum().item(),
        lambda: bool(values.any()),
        lambda: values.nonzero(),
        lambda: values.cpu(),
    ):
        with pytest.raises((RuntimeError, NotImplementedError)):
            wait()
    with _CopiesDoNotBlock(), pytest.raises(AssertionError, match=r"a copy of \[3\] blocks"):
        torch.zeros(3).to("meta")
    with _CopiesDoNotBlock(), pytest.raises(AssertionError, match=r"a copy into \[3\] blocks"):
        values.copy_(torch.zeros(3))


@contextmanager
def _refused() -> Iterator[None]:
    """What waits for the GPU is an error meanwhile."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "auto"])
@pytest.mark.parametrize(("name", "changes"), STEPS)
def test_a_step_does_not_wait_for_a_gpu(name: str, changes: str, precision: str) -> None:
    learner = build(name, f"{changes} training.precision={precision}", "cuda")
    optimizer = make_optimizer(learner.settings.training, learner.network.parameters())
    learner.network.train()
    batches = list(learner.batches(0, slice(None)))
    computed = step(learner, optimizer, batches[0], None)  # the first one sets libraries up, which may wait
    losses = [computed.loss]
    with _refused():
        for batch in batches:
            computed = step(learner, optimizer, batch, computed.carried)
            losses.append(computed.loss)
    assert all(loss.isfinite() for loss in losses)
