from __future__ import annotations

import pytest
import torch

from seqkit.devices import choose_device, multiplies_bf16, precision_context, softmax_products, training_arithmetic
from seqkit.errors import SettingsError


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("gpu", "", "cuda:x", "meta", "xla", None, {}, 1.5):
        with pytest.raises(SettingsError) as caught:
            choose_device(name)
        assert str(caught.value) == f"expected a device auto, cpu, cuda, cuda:N or mps, found {name!r}"
    count = torch.cuda.device_count()
    with pytest.raises(SettingsError) as caught:
        choose_device(f"cuda:{count}")
    assert str(caught.value) == f"there is no device 'cuda:{count}': the number of CUDA GPUs is {count}"


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="has Apple's GPU")
def test_apples_gpu_must_be_there() -> None:
    with pytest.raises(SettingsError) as caught:
        choose_device("mps")
    assert str(caught.value) == "there is no device 'mps': this machine has no Apple GPU"


def test_unknown_precisions() -> None:
    for name in ("fp8", "", "FP32"):
        with pytest.raises(SettingsError) as caught:
            precision_context(name, torch.device("cpu"))
        assert str(caught.value) == f"the precision must be one of auto, fp32, bf16, fp16, found {name!r}"


def test_the_cpu_has_no_fp16() -> None:
    with pytest.raises(SettingsError) as caught:
        precision_context("fp16", torch.device("cpu"))
    assert str(caught.value) == "expected precision fp32, bf16 or auto on the CPU, found fp16"


@pytest.fixture(params=["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def instruction(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The question after some instructions, which one way or the other multiply bf16; the answer to both is no."""
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    return str(request.param)


def test_only_auto_rounds_the_gradient_of_a_softmax_and_only_where_that_is_fast(
    instruction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = torch.device("cpu")
    assert not multiplies_bf16(place)
    assert softmax_products("auto", place) is None
    monkeypatch.delattr(torch.cpu, instruction)  # as in older torch
    assert not multiplies_bf16(place)
    monkeypatch.setattr(torch.cpu, instruction, lambda: True, raising=False)
    assert multiplies_bf16(place)
    assert softmax_products("auto", place) is torch.bfloat16
    assert [softmax_products(name, place) for name in ("fp32", "bf16")] == [None, None]
    assert softmax_products("auto", torch.device("cuda")) is None


@pytest.mark.parametrize(
    ("supported", "capability", "expected"), [(True, (8, 0), True), (True, (7, 0), False), (False, (9, 0), False)]
)
def test_gpus_that_only_emulate_bf16_do_not_multiply_it(
    supported: bool, capability: tuple[int, int], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bf16(torch.device("cuda")) is expected
    assert not multiplies_bf16(torch.device("mps"))


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "fp16"])
def test_tf32_is_on_in_training_but_for_fp32_and_is_put_back(precision: str) -> None:
    def allowed() -> list[bool]:
        return [place.allow_tf32 for place in (torch.backends.cuda.matmul, torch.backends.cudnn)]

    before = allowed()
    with pytest.raises(KeyboardInterrupt), training_arithmetic(precision, torch.device("cuda")):
        assert allowed() == [precision != "fp32"] * 2
        raise KeyboardInterrupt
    assert allowed() == before
    with training_arithmetic(precision, torch.device("cpu")):
        assert allowed() == before
