"""The type in which a fused layer computes under autocast: on a GPU torch itself would always take float16."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqkit.devices import precision_context
from seqkit.nn.recurrent import CELLS, FusedLayer, fused, make_layer

FUSED = [cell for cell in CELLS if issubclass(CELLS[cell], FusedLayer)]
GPU, CPU = torch.device("cuda", 0), torch.device("cpu")


@pytest.fixture(params=[True, False], ids=["has bf16 kernels", "has none"])
def has(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether cuDNN is taken to compute recurrent layers in bfloat16."""
    monkeypatch.setattr(fused, "_has_bf16_kernels", lambda device: request.param)
    return bool(request.param)


@pytest.fixture
def autocast() -> Iterator[Any]:
    """`autocast(dtype)` switches it on for CUDA devices, also where there are none."""
    newer = hasattr(torch, "get_autocast_dtype")
    get, put = (torch.get_autocast_dtype, torch.set_autocast_dtype) if newer else (None, None)
    before = get("cuda") if get else torch.get_autocast_gpu_dtype()

    def switch(on: bool, dtype: torch.dtype) -> None:
        if put:
            torch.set_autocast_enabled("cuda", on)
            put("cuda", dtype)
        else:
            torch.set_autocast_enabled(on)
            torch.set_autocast_gpu_dtype(dtype)

    yield lambda dtype: switch(True, dtype)
    switch(False, before)


def test_bf16_is_never_float16(has: bool, autocast: Any) -> None:
    assert fused.cast_type(GPU) is None
    autocast(torch.float16)  # whose loss is scaled
    assert fused.cast_type(GPU) is None
    autocast(torch.bfloat16)
    assert fused.cast_type(GPU) is (torch.bfloat16 if has else torch.float32)
    assert fused.cast_type(CPU) is None


def test_to_find_out_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    fused._has_bf16_kernels.cache_clear()
    assert not fused._has_bf16_kernels(CPU)  # where no kernel's gradient has the name of a GPU's
    assert torch.equal(torch.get_rng_state(), before)


class _Kernels(TorchDispatchMode):
    """The types of inputs and weights of the calls of fused kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: set[torch.dtype] = set()
        self.weights: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._cudnn_rnn.default:
            self.inputs.add(args[0].dtype)
            self.weights |= {weight.dtype for weight in args[1]}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("cell", FUSED)
@pytest.mark.parametrize("weight_dropout", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_inputs_weights_and_states_are_cast_and_their_gradients_are_not(
    cell: str, weight_dropout: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    layer = make_layer(cell, 3, 6, weight_dropout=weight_dropout)
    assert isinstance(layer, FusedLayer)
    x, recurrent = torch.randn(2, 5, 3), layer.dropped()
    state = tuple(torch.rand(2, 6) for _ in layer.state_parts)
    expected, last = layer(x, state, recurrent)
    gradients = torch.autograd.grad(expected.square().sum(), list(layer.parameters()), retain_graph=True)
    monkeypatch.setattr(fused, "cast_type", lambda device: dtype)
    given: list[Tensor] = []
    kernel = getattr(torch._VF, layer.rnn.mode.lower())

    def seen(*arguments: Any) -> Any:
        states = arguments[1] if isinstance(arguments[1], tuple) else (arguments[1],)
        given.extend([arguments[0], *states, *arguments[2]])
        return kernel(*arguments)

    monkeypatch.setattr(torch._VF, layer.rnn.mode.lower(), seen)
    with torch.autocast("cpu", torch.bfloat16):
        found, after = layer(x, state, recurrent)
    assert {one.dtype for one in given} == {dtype}
    exact = dtype is torch.float32
    # What is not its own weights in their own type is one piece of memory, as cuDNN needs it.
    pieces = {one.untyped_storage().data_ptr() for one in given[-4:]}
    assert len(pieces) == (4 if exact and not weight_dropout else 1)
    assert {found.dtype, *(part.dtype for part in after)} == {dtype}
    tolerance = {"rtol": 0.0, "atol": 0.0} if exact else {"rtol": 0.05, "atol": 0.02}
    torch.testing.assert_close(found.float(), expected, **tolerance)
    torch.testing.assert_close([part.float() for part in after], list(last), **tolerance)
    for weight, one, other in zip(
        layer.parameters(),
        torch.autograd.grad(found.float().square().sum(), list(layer.parameters())),
        gradients,
        strict=True,
    ):
        assert one.dtype is weight.dtype is torch.float32
        torch.testing.assert_close(one, other, rtol=0.1, atol=0.0 if exact else 0.1)


# --- on a GPU -----------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cell", FUSED)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto", "fp16"])
def test_the_types_that_a_gpu_computes_in(cell: str, precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(4)
    layer = make_layer(cell, 8, 8).cuda()
    x = torch.randn(4, 9, 8, device="cuda")
    with _Kernels() as seen, precision_context(precision, x.device):
        found, after = layer(x)
        expected = fused.cast_type(x.device) or {"fp16": torch.float16}.get(precision, torch.float32)
    with capsys.disabled():
        print(f"\n{cell} in {precision}: inputs {seen.inputs}, weights {seen.weights}, outputs {found.dtype}")
    assert seen.inputs == seen.weights == {found.dtype} == {part.dtype for part in after} == {expected}
    assert expected is not torch.float16 or precision == "fp16"
    reference = make_layer(cell, 8, 8)
    reference.load_state_dict(layer.cpu().state_dict())
    torch.testing.assert_close(found.float().cpu(), reference(x.cpu())[0], rtol=0.05, atol=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cell", FUSED)
@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_a_small_gradient_is_not_lost_on_a_gpu(cell: str, precision: str) -> None:
    """Without a scale for the loss: in float16 it would be zero."""
    layer = make_layer(cell, 8, 8).cuda()
    x = torch.randn(4, 9, 8, device="cuda")
    with precision_context(precision, x.device):
        found, _ = layer(x)
    (found.float().sum() * 1e-9).backward()
    for weight in layer.parameters():
        assert weight.grad is not None and bool(weight.grad.any())
