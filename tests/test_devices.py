from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
import torch

from seqkit.devices import (
    arithmetic,
    choose_device,
    multiplies_bf16,
    precision_context,
    repeatable,
    softmax_products,
    training_arithmetic,
)
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


# --- TF32 ----------------------------------------------------------------------------------------------------------

CUDA = torch.device("cuda")
NEW = hasattr(torch.backends.cuda.matmul, "fp32_precision")
OPERATIONS = [("generic", "all"), ("cuda", "all"), ("cuda", "matmul"), ("cuda", "conv"), ("cuda", "rnn")]


def rounded() -> list[bool]:
    """Whether products of cuBLAS and the recurrent layers of cuDNN are rounded to TF32."""
    if NEW:
        return [place.fp32_precision == "tf32" for place in (torch.backends.cuda.matmul, torch.backends.cudnn.rnn)]
    return [place.allow_tf32 for place in (torch.backends.cuda.matmul, torch.backends.cudnn)]


def flags() -> list[Any]:
    """All that there is to be put back."""
    return [torch._C._get_fp32_precision_getter(*each) for each in OPERATIONS] if NEW else rounded()


@pytest.fixture
def untouched() -> Iterator[None]:
    """Leaves torch's flags as they are in a new process."""
    yield
    torch.set_float32_matmul_precision("highest")  # the processor's, too
    if NEW:
        torch.backends.fp32_precision = torch.backends.cudnn.fp32_precision = "none"
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = True
    if NEW:
        torch.backends.cuda.matmul.fp32_precision = "none"


def new_precision(place: str, value: str) -> None:
    if not NEW:
        pytest.skip("this torch has no fp32_precision")
    owner: Any = torch.backends
    for part in filter(None, place.split(".")):
        owner = getattr(owner, part)
    owner.fp32_precision = value


EARLIER: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "products on": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "cuDNN off": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "new, of all": lambda: new_precision("", "tf32"),
    "new, of cuDNN": lambda: new_precision("cudnn", "ieee"),
    "new, of products": lambda: new_precision("cuda.matmul", "tf32"),
    "new, of recurrent layers": lambda: new_precision("cudnn.rnn", "ieee"),
}


@pytest.mark.parametrize("earlier", EARLIER)
@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "fp16"])
@pytest.mark.usefixtures("untouched")
def test_tf32_is_off_for_fp32_and_on_else_and_put_back_whatever_a_caller_used(precision: str, earlier: str) -> None:
    EARLIER[earlier]()
    before = flags()
    with pytest.raises(KeyboardInterrupt), training_arithmetic(precision, CUDA):
        assert rounded() == [precision != "fp32"] * 2
        raise KeyboardInterrupt
    assert flags() == before
    with training_arithmetic(precision, torch.device("cpu")):
        assert flags() == before


@pytest.mark.skipif(not NEW, reason="this torch has no fp32_precision")
@pytest.mark.usefixtures("untouched")
def test_what_followed_a_general_setting_follows_it_again() -> None:
    for general in ("tf32", "ieee"):
        torch.backends.fp32_precision = general
        with training_arithmetic("fp32" if general == "tf32" else "auto", CUDA):
            assert rounded() == [general != "tf32"] * 2
    torch.backends.fp32_precision = "tf32"
    assert rounded() == [True, True]


@pytest.mark.parametrize("earlier", EARLIER)
@pytest.mark.usefixtures("untouched")
def test_the_arithmetic_of_the_processor_can_be_told_whatever_a_gpu_has(earlier: str) -> None:
    found = arithmetic(torch.device("cpu"))
    with training_arithmetic("auto", CUDA):
        assert arithmetic(torch.device("cpu")) == found
    EARLIER[earlier]()
    if earlier in ("high", "medium"):
        assert arithmetic(torch.device("cpu")) != found
    else:
        arithmetic(torch.device("cpu"))


@pytest.mark.parametrize("precision", ["auto", "fp32"])
@pytest.mark.usefixtures("untouched")
def test_prediction_in_fp32_rounds_nothing_also_in_the_middle_of_a_training(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default cuDNN rounds to TF32: dev scores would be of another arithmetic than reports."""
    monkeypatch.setattr("seqkit.devices.multiplies_bf16", lambda device: False)  # a context without autocast
    before = flags()
    with precision_context("fp32", CUDA):
        assert rounded() == [False, False]
    with training_arithmetic(precision, CUDA):
        with precision_context("fp32", CUDA):
            assert rounded() == [False, False]
        with precision_context(precision, CUDA):
            assert rounded() == [precision != "fp32"] * 2
        assert rounded() == [precision != "fp32"] * 2
    assert flags() == before


@pytest.mark.usefixtures("untouched")
def test_several_threads_leave_the_flags_as_they_were() -> None:
    before = flags()
    wrong: list[list[bool]] = []

    def predict() -> None:
        for _ in range(300):
            with training_arithmetic("fp32", CUDA):
                found = rounded()
            if any(found):
                wrong.append(found)

    threads = [Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        with training_arithmetic("auto", CUDA):
            pass
    for thread in threads:
        thread.join()
    assert not wrong
    assert flags() == before


# --- deterministic kernels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("earlier", [None, ":4096:8"])
def test_deterministic_kernels_get_the_only_workspace_that_cublas_and_cudnn_both_accept(
    earlier: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.delenv(name, raising=False)
    if earlier is not None:
        monkeypatch.setenv(name, earlier)
    with repeatable(True):
        assert os.environ[name] == ":16:8"
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert os.environ.get(name) == earlier
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_where_cuda_was_used_before_it_is_said_what_to_do() -> None:
    """Torch looks at the environment once, at the first product."""
    with pytest.raises(SettingsError) as caught, repeatable(True):
        raise RuntimeError(
            "Deterministic behavior was enabled, but this operation is not deterministic because it uses CuBLAS and "
            "you have CUDA >= 10.2. You must set CUBLAS_WORKSPACE_CONFIG=:4096:8 or CUBLAS_WORKSPACE_CONFIG=:16:8"
        )
    assert str(caught.value) == (
        "--deterministic is not possible any more in this process, which has used CUDA before; set "
        "CUBLAS_WORKSPACE_CONFIG=:16:8 before it starts"
    )
