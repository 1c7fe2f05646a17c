"""The recursions beneath the CRF: gradients, precision, extremes and memory, in scaled probabilities and log space."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.nn import chain
from seqkit.nn.crf import CRF


@pytest.mark.parametrize("scale", [1.0, 500.0])
@pytest.mark.parametrize("lengths", [[7, 7, 7, 7], [7, 0, 1, 4], [5]], ids=str)
def test_a_device_that_is_not_looked_at_finds_the_same(
    monkeypatch: pytest.MonkeyPatch, lengths: list[int], scale: float
) -> None:
    torch.manual_seed(5)
    legal = ~torch.eye(4, dtype=torch.bool)
    crf, sizes = CRF(4, transition=legal).double(), torch.tensor(lengths)
    emissions = (scale * torch.randn(len(lengths), max(lengths), 4, dtype=torch.float64)).requires_grad_()

    def found() -> list[Tensor]:
        normalizer = crf.normalizer(emissions, sizes)
        weights = torch.arange(1.0, 1.0 + len(lengths), dtype=torch.float64)
        gradients = torch.autograd.grad((weights * normalizer).sum(), [emissions, *crf.parameters()])
        return [normalizer, *gradients, crf.marginals(emissions, sizes)]

    checked = found()
    monkeypatch.setattr(chain, "_CHECKED", ())
    for workspace in (2**26, 2**10, 1):  # all at once, in parts, row by row
        monkeypatch.setattr(chain, "_GPU_WORKSPACE", workspace)
        monkeypatch.setattr(chain, "_CPU_WORKSPACE", workspace)
        for one, other in zip(found(), checked, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("least_mass", [None, math.inf], ids=["scaled", "log space"])
@pytest.mark.parametrize("lengths", [[4, 4, 4], [5, 0, 1, 3]], ids=["equal", "unequal"])
def test_gradients(monkeypatch: pytest.MonkeyPatch, least_mass: float | None, lengths: list[int]) -> None:
    if least_mass is not None:
        monkeypatch.setattr(chain, "_LEAST_MASS", least_mass)  # no row passes: all of them go through log space
    torch.manual_seed(3)
    legal = ~torch.eye(3, dtype=torch.bool)
    legal[0, 0] = True  # only the first tag may repeat
    crf, sizes = CRF(3, start=torch.tensor([True, True, False]), transition=legal).double(), torch.tensor(lengths)
    emissions = torch.randn(len(lengths), max(lengths), 3, dtype=torch.float64)
    tags = crf.viterbi(emissions.flip(0), sizes)[0]  # legal, and not what these emissions say
    emissions.requires_grad_()
    names = [name for name, _ in crf.named_parameters()]

    def likelihood(scores: Tensor, *parameters: Tensor) -> Tensor:
        state: dict[str, Any] = dict(zip(names, parameters, strict=True))
        original = {name: crf._parameters.pop(name) for name in names}
        crf.__dict__.update(state)  # gradcheck's tensors in place of the parameters
        try:
            return crf.log_likelihood(scores, tags, sizes)
        finally:
            for name in names:
                del crf.__dict__[name]
            crf._parameters.update(original)

    assert torch.isfinite(likelihood(emissions, *crf.parameters())).all()
    assert torch.autograd.gradcheck(likelihood, (emissions, *crf.parameters()))


def test_scaled_and_log_space_rows_mix_in_one_batch() -> None:
    # A tag can only be kept: what looks worst at first may win in the end, after all of it has underflowed.
    crf, lengths = CRF(4, transition=torch.eye(4, dtype=torch.bool)).double(), torch.tensor([6, 6, 4])
    emissions, tags = torch.randn(3, 6, 4, dtype=torch.float64), torch.tensor([[0], [1], [2]]).expand(3, 6)
    emissions[1] *= 2000
    with torch.no_grad():
        inside = torch.where(chain.token_mask(lengths, emissions)[:, :, None], emissions, 0)
        counts = chain.expected_counts(chain.Chain(inside, *crf._scores(emissions.dtype), lengths, False))[1]
    assert counts.exact_rows.tolist() == [1]

    def gradients(rows: list[int]) -> list[Tensor]:
        total = crf.log_likelihood(emissions[rows], tags[rows], lengths[rows]).sum()
        return list(torch.autograd.grad(total, list(crf.parameters())))

    for together, *apart in zip(gradients([0, 1, 2]), *(gradients([row]) for row in range(3)), strict=True):
        torch.testing.assert_close(together, apart[0] + apart[1] + apart[2], rtol=1e-12, atol=1e-12)


def test_float32_gradients_equal_an_autograd_recursion() -> None:
    torch.manual_seed(0)
    crf, emissions, tags = CRF(9), torch.randn(8, 20, 9, requires_grad=True), torch.randint(0, 9, (8, 20))
    alpha = crf.start_transitions + emissions[:, 0]
    for step in range(1, 20):
        alpha = (alpha[:, :, None] + crf.transitions).logsumexp(1) + emissions[:, step]
    expected = crf.score(emissions, tags, torch.full((8,), 20)) - (alpha + crf.end_transitions).logsumexp(1)
    found = crf.log_likelihood(emissions, tags, torch.full((8,), 20))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    inputs = [emissions, *crf.parameters()]
    torch.testing.assert_close(torch.autograd.grad(found.sum(), inputs), torch.autograd.grad(expected.sum(), inputs))


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_extreme_emissions_give_no_nan(scale: float) -> None:
    crf, lengths = CRF(4), torch.tensor([6, 6, 2])
    emissions = torch.where(torch.rand(3, 6, 4, generator=torch.Generator().manual_seed(2)) < 0.5, -scale, scale)
    emissions.requires_grad_()
    tags, scores = crf.viterbi(emissions, lengths)
    likelihood = crf.log_likelihood(emissions, tags, lengths)
    assert likelihood.isfinite().all() and likelihood.le(0).all() and scores.isfinite().all()
    gradients = torch.autograd.grad(likelihood.sum(), [emissions, *crf.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)
    sums = crf.marginals(emissions, lengths).sum(2)
    torch.testing.assert_close(sums[:2], torch.ones(2, 6))


def test_emissions_of_minus_infinity_rule_tags_out() -> None:
    crf, lengths = CRF(3), torch.tensor([3])
    emissions = torch.zeros(1, 3, 3)
    emissions[0, 1, :2] = -torch.inf
    emissions.requires_grad_()
    assert crf.viterbi(emissions, lengths)[0][0, 1] == 2
    assert crf.marginals(emissions, lengths)[0, 1].tolist() == pytest.approx([0, 0, 1])
    gradients = torch.autograd.grad(crf.normalizer(emissions, lengths).sum(), [emissions, *crf.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_long_sentence_keeps_its_precision() -> None:
    torch.manual_seed(0)
    crf, emissions, lengths = CRF(3, trainable=False), torch.randn(1, 20_000, 3) * 5 + 100, torch.tensor([20_000])
    tags = emissions.argmax(2)  # without moves tokens are independent, so that the answer is known
    expected = emissions.double().log_softmax(2).amax(2).sum(1)
    assert crf.log_likelihood(emissions, tags, lengths).item() == pytest.approx(expected.item(), rel=1e-6)
    assert crf.viterbi(emissions, lengths)[0].equal(tags)
    torch.testing.assert_close(crf.marginals(emissions, lengths), emissions.softmax(2))


MEMORY = """
import pathlib, resource, sys, torch
from seqkit.nn.crf import CRF
torch.set_num_threads(1)
lengths, tags = torch.tensor([200, 150, 20]), torch.zeros(3, 200, dtype=torch.int64)
crf, emissions = CRF(500), torch.randn(3, 200, 500, requires_grad=True)
crf.log_likelihood(emissions, tags, lengths).sum().backward()
crf.viterbi(emissions, lengths), crf.nbest(emissions, lengths, 3), crf.marginals(emissions, lengths)
crf = CRF(500, transition=torch.eye(500, dtype=torch.bool))
crf.log_likelihood(emissions[:1] * 2000, tags[:1], lengths[:1]).sum().backward()  # in log space
status = pathlib.Path("/proc/self/status")
if status.exists():  # elsewhere a process has the peak of the one that began it, too
    print(1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def test_memory_of_many_tags() -> None:
    pytest.importorskip("resource")
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 2**30
