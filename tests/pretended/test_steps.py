"""Training steps on the pretended device: nothing waits, no devices are mixed, and the weights are those of the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.nn.recurrent import CELLS
from seqkit.training.distribution import ALONE, Group
from seqkit.training.learner import Learner
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress
from seqkit.training.stepping import Stepper
from tests.pretended.cases import CHOICES, HEADS, Case, cases
from tests.pretended.device import DEVICE, TRAINED, WAITS, Device, pretended
from tests.training.pair import Pair, together
from tests.training.test_stepping import limited, spoil

pytestmark = TRAINED
CASES = list(cases())
CPU = torch.device("cpu")
PLAIN = {
    **dict.fromkeys(("embedding.dropout", "embedding.word_dropout", "encoder.dropout"), "0.0"),
    "training.precision": "fp32",
    "training.optimizer": "sgd",
}
"""settings with which nothing is drawn, so that a batch and its shares are alike, and small differences stay small"""


def learner_of(case: Case, device: torch.device, **training: str) -> Learner:
    torch.manual_seed(5)
    data = case.dataset
    settings = case.settings(**training).complete(data)
    learner = prepare(settings, data, device, Progress(quiet=True)).learner
    assert learner is not None
    return learner


def stepper_of(learner: Learner, group: Group = ALONE) -> Stepper:
    stepper = Stepper(learner, learner.settings.training, group, Progress(quiet=True))
    stepper.use_sparse_gradients(True)
    learner.network.train()
    return stepper


def steps(stepper: Stepper, batches: Sequence[Any]) -> dict[str, Tensor]:
    """Losses and weights after steps, on the CPU, none of which may wait."""
    found: dict[str, Tensor] = {}
    with WAITS.among() as places:
        for number, batch in enumerate(batches, 1):
            step, _ = stepper.step(batch, 0.01, number, ())
            found |= {f"loss {number}": step.loss, f"norm {number}": step.norm}
    assert places == set()
    found |= stepper.parameters
    if stepper.average is not None:
        found |= {f"average {name}": weight for name, weight in stepper.average.average.items()}
    return {name: getattr(tensor, "held", tensor).detach() for name, tensor in found.items()}


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor], rounded: bool = False) -> None:
    """Equal but for the order of sums, which counts for more where factors are rounded."""
    relative, absolute = (5e-3, 1e-3) if rounded else (1e-5, 1e-6)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name],
            tensor,
            rtol=relative,
            atol=absolute,
            equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_every_cell_and_every_head_meets_every_setting(record_property: Callable[[str, object], None]) -> None:
    seen = {(part, item) for case in CASES for part in (case.head, case.cell) for item in case.chosen.items()}
    possible = set(product([*HEADS, *CELLS], [(name, value) for name in CHOICES for value in CHOICES[name]]))
    assert seen == possible
    assert {(case.head, case.cell) for case in CASES} == set(product(HEADS, CELLS))
    record_property("configurations", len(CASES))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_step_waits_for_nothing_and_gives_the_weights_of_the_cpu(case: Case) -> None:
    def trained(device: torch.device, **training: str) -> dict[str, Tensor]:
        learner = learner_of(case, device, **training)
        stepper = stepper_of(learner)
        stepper.parts = case.parts
        return steps(stepper, learner.batches(0, slice(None)))

    precision = case.chosen["training.precision"]
    # A CPU has no fp16; on this device it is bf16, whose losses are scaled by a power of two, which changes no digit.
    expected = trained(CPU, **({"precision": "bf16"} if precision == "fp16" else {}))
    with pretended() as waits:
        before = waits.operations
        found = trained(DEVICE)
        assert waits.operations > before + 100
    assert_alike(found, expected, rounded=precision != "fp32")


def some(*heads: str, **chosen: str) -> list[Case]:
    return [Case(head, "lstm", {**PLAIN, **chosen}) for head in heads or HEADS]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("case", some("tag crf", "classify max", "lm full", "generate label"), ids=str)
def test_a_batch_whose_loss_is_no_number_is_left_out_without_a_look_at_it(case: Case, optimizer: str) -> None:
    def trained(device: torch.device) -> dict[str, Tensor]:
        learner = learner_of(case, device, on_nan="skip", optimizer=optimizer, average="0.9")
        spoil(learner, {1, 2}, math.nan)
        stepper = stepper_of(learner)
        batches = list(learner.batches(0, slice(None)))
        return steps(stepper, batches * 3)

    expected = trained(CPU)
    assert sum(tensor.isnan().any() for name, tensor in expected.items() if name.startswith("loss")) == 2
    with pretended():
        assert_alike(trained(DEVICE), expected)


@pytest.mark.parametrize("case", some(), ids=str)
def test_a_batch_that_does_not_fit_is_divided(case: Case) -> None:
    def trained(device: torch.device) -> dict[str, Tensor]:
        learner = learner_of(case, device)
        limited(learner, 1, torch.cuda.OutOfMemoryError("CUDA out of memory."))
        stepper = stepper_of(learner)
        found = steps(stepper, learner.batches(0, slice(None)))
        assert stepper.parts == 4
        return found

    expected = trained(CPU)
    with pretended():
        assert_alike(trained(DEVICE), expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(
    "case",
    [
        *some("tag crf", "classify attention", "generate text", "generate attention"),
        *some("translate", "translate copy", "translate act", **{"head.dropout": "0.0"}),
    ],
    ids=str,
)
def test_the_share_of_a_process_may_be_empty_from_the_first_batch_on(case: Case, precision: str) -> None:
    """Two processes take the steps of one, though the second has no part in the first batch."""
    batches = [[0], [1, 2, 3], [4]]
    expected_precision = "bf16" if precision == "fp16" else precision
    alone = learner_of(case, CPU, precision=expected_precision)
    expected = steps(stepper_of(alone), [torch.tensor(batch).numpy() for batch in batches])
    with pretended():
        learners = [learner_of(case, DEVICE, precision=precision) for _ in range(2)]

        def work(group: Pair) -> dict[str, Tensor]:
            shares = [torch.tensor(batch).numpy()[group.share] for batch in batches]
            with Device():  # which is that of a thread
                stepper = stepper_of(learners[group.rank], group)
                return steps(stepper, [share if len(share) else None for share in shares])

        first, second = together(work, str(DEVICE))
    assert_alike(first, expected, rounded=precision != "fp32")
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])


def test_what_a_gpu_would_refuse_or_wait_for_is_noticed() -> None:
    with pretended() as waits:
        values, truth = torch.zeros(3, device=DEVICE), torch.ones(3, dtype=torch.bool, device=DEVICE)
        there: list[Callable[[], Any]] = [
            lambda: values + torch.zeros(3),
            lambda: values.index_add(0, torch.zeros(3, dtype=torch.int64), values),
            lambda: torch.cat([values, torch.zeros(1)]),
        ]
        for mixed in there:
            with pytest.raises(RuntimeError, match="to be on the same device"):
                mixed()
        with pytest.raises(TypeError):
            values.numpy()
        waiting: list[Callable[[], Any]] = [
            lambda: float(values.sum()),
            lambda: bool(truth.any()),
            values.cpu,
            values.tolist,
            values.nonzero,
            lambda: values.to("cpu"),
            lambda: values[truth],
            lambda: values.masked_select(truth),
            lambda: torch.equal(values, values),
            lambda: values.unique(),
            lambda: torch.zeros(3).to(DEVICE),
            lambda: torch.zeros(3).to(DEVICE, non_blocking=True),  # from memory that is not pinned
            lambda: torch.zeros(3).pin_memory().to(DEVICE),
            lambda: values.copy_(torch.zeros(3)),
        ]
        for number, wait in enumerate(waiting):
            with waits.among() as places:
                wait()
            assert places == {"a test"}, number
        with waits.among() as places:
            (values + 1.0).index_select(0, torch.zeros(2, dtype=torch.int64).pin_memory().to(DEVICE, non_blocking=True))
            values.masked_fill(truth, 1.0)
            torch.where(truth, values, 0.0)
        assert places == set()
