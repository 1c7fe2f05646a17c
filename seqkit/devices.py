"""Where the network runs and in which arithmetic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from seqkit.errors import SettingsError

__all__ = [
    "choose_device",
    "multiplies_bf16",
    "precision_context",
    "repeatable",
    "softmax_products",
    "spread",
    "training_arithmetic",
]

_PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def choose_device(name: str) -> torch.device:
    """The device that a name stands for.

    Args:
        name: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns:
        The device.

    Raises:
        SettingsError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"expected a device auto, cpu, cuda, cuda:N or mps, found {name!r}") from None
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise SettingsError(f"expected a CUDA device for {name!r}, found {count or 'none'}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsError(f"expected Apple's GPU for {name!r}, found none")
    if device.type not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"expected a device auto, cpu, cuda, cuda:N or mps, found {name!r}")
    return device


def spread(name: str, place: int) -> str:
    """The device of one of several processes on a machine, each of which gets a GPU of its own as far as there are any.

    Args:
        name: what was asked for; ``auto`` and ``cuda`` leave the choice.
        place: the number of the process.

    Returns:
        The name of its device.
    """
    count = torch.cuda.device_count()
    return f"cuda:{place % count}" if name in ("auto", "cuda") and count else name


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The arithmetic that the network runs in; CRF and losses leave it for float32 by themselves.

    Args:
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        device: where the network runs.

    Returns:
        A context manager.

    Raises:
        SettingsError: there is no such precision, or the device cannot do it.
    """
    if precision not in _PRECISIONS:
        raise SettingsError(f"expected a precision among {', '.join(_PRECISIONS)}, found {precision!r}")
    if precision == "fp16" and device.type == "cpu":
        raise SettingsError("expected precision fp32, bf16 or auto on the CPU, found fp16")
    if precision == "auto":
        half = device.type == "cuda" and multiplies_bf16(device)
        precision = "bf16" if half else "fp32"
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


@contextmanager
def training_arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """While a network is trained: whether a GPU rounds the factors of float32 products to TF32, 10 bits of fraction.

    That is several times as fast, and no coarser than what else is rounded in any precision but ``fp32``, where it is
    off, also in cuDNN, which has it on by default.

    Args:
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        device: where the network runs; elsewhere than on a CUDA device nothing is changed.

    Yields:
        Nothing; at the end all is as it was.
    """
    if device.type != "cuda":
        yield
        return
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = precision != "fp32"
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """Let only such kernels run that add up in the same order every time.

    A processor's do so anyway, with the same number of threads.

    Args:
        wanted: whether that is wanted; otherwise nothing is changed.

    Yields:
        Nothing; at the end all is as it was.

    Raises:
        SettingsError: the device has none for something that the network computes.
        RuntimeError: what came out of the block, for another reason.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    # cuBLAS looks at it when it is first used: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        found = str(error).splitlines()[0]
        raise SettingsError(f"expected kernels that can be repeated for --deterministic, found: {found}") from None
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware: a GPU's own units; AMX or AVX512-BF16 of a processor.

    Args:
        device: where the network runs.

    Returns:
        Whether it does, as far as torch makes use of it.
    """
    if device.type == "cuda":
        # Older GPUs are said to support it, too, and emulate it.
        return bool(torch.cuda.is_bf16_supported()) and torch.cuda.get_device_capability(device) >= (8, 0)
    # Older releases of torch lack one or the other.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device.type == "cpu" and any(has is not None and has() for has in asked)


def softmax_products(precision: str, device: torch.device) -> torch.dtype | None:
    """What the gradient of a language model's softmax may be rounded to, most of the work of training a small one.

    It depends on what the processor can do and not on how fast it is found to be, so that a run can be repeated.

    Args:
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        device: where the network runs.

    Returns:
        bfloat16 for ``auto`` on a processor that multiplies such matrices in hardware; None for no rounding.
    """
    return torch.bfloat16 if precision == "auto" and device.type == "cpu" and multiplies_bf16(device) else None
