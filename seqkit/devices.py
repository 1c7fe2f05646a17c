"""The device and the precision of the network."""

from __future__ import annotations

import os
import platform
import threading
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from itertools import takewhile
from typing import Any

import torch
import torch.utils.deterministic
from torch.nn import functional

from seqkit.errors import SettingsError

_PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "ONEDNN_DEFAULT_FPMATH_MODE"),
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC", "MKL_NUM_THREADS"),
    *("OMP_DYNAMIC", "OMP_THREAD_LIMIT", "OPENBLAS_CORETYPE"),
)
"""variables of the environment by which torch, oneDNN, MKL, OpenMP and OpenBLAS choose kernels or divide sums"""
_gpu_before_fork = False
"""whether a GPU was in use when this process was forked from another one"""
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def choose_device(name: str) -> torch.device:
    """The device of a name.

    Args:
        name: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns:
        The device.

    Raises:
        SettingsError: this machine has no such device, or see `check_fork`.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = torch.device("meta")  # as unknown as other devices of torch
    if device.type not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"expected a device auto, cpu, cuda, cuda:N or mps, found {name!r}")
    check_fork(device)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise SettingsError(f"there is no device {name!r}: the number of CUDA GPUs is {count}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsError("there is no device 'mps': this machine has no Apple GPU")
    return device


@cache
def survive_forks() -> None:
    """Let processes that are forked from this one, by ``multiprocessing`` or a server that loads models first, compute.

    The threads that OpenMP has started are not there in the forked process, which would wait for them without end:
    https://gcc.gnu.org/bugzilla/show_bug.cgi?id=52303. With one thread there is nothing to wait for.
    """
    gpu_used = False

    def before() -> None:  # afterwards torch says that it is not
        nonlocal gpu_used
        gpu_used = torch.cuda.is_initialized()

    def after_in_child() -> None:
        global _gpu_before_fork
        _gpu_before_fork = _gpu_before_fork or gpu_used
        torch.set_num_threads(1)

    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(before=before, after_in_child=after_in_child)


def check_fork(device: torch.device) -> None:
    """See that a device can be used in this process.

    Args:
        device: the device.

    Raises:
        SettingsError: it is a GPU, and the process was forked from one that had used a GPU.
    """
    if device.type == "cuda" and _gpu_before_fork:
        raise SettingsError(
            "a process that was forked from one that had used a GPU cannot use it; fork before a model is loaded, or "
            "start processes by the method 'spawn'"
        )


def spread(name: str, place: int) -> str:
    """The device of one of several processes on a machine, which share its GPUs evenly.

    Args:
        name: the device from the command line; only for ``auto`` and ``cuda`` is there a choice.
        place: the number of the process.

    Returns:
        The name of its device.
    """
    count = torch.cuda.device_count()
    return f"cuda:{place % count}" if name in ("auto", "cuda") and count else name


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The precision of the network, in training and in use; CRF and losses switch to float32 themselves.

    Args:
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        device: where the network runs.

    Returns:
        A context manager. It rounds products of float32 matrices as `training_arithmetic` says, and the network's
        layers to the lower precision, if there is one.

    Raises:
        SettingsError: there is no such precision, or the device does not support it.
    """
    if precision not in _PRECISIONS:
        raise SettingsError(f"the precision must be one of {', '.join(_PRECISIONS)}, found {precision!r}")
    if precision == "fp16" and device.type == "cpu":
        raise SettingsError("expected precision fp32, bf16 or auto on the CPU, found fp16")
    rounds = precision != "auto" or (device.type == "cuda" and multiplies_bf16(device))
    layers: AbstractContextManager[Any] = nullcontext()
    if precision != "fp32" and rounds and device.type != "meta":  # of a dry run, which computes nothing
        layers = torch.autocast(device.type, torch.float16 if precision == "fp16" else torch.bfloat16)
    return _both(training_arithmetic(precision, device), layers) if device.type == "cuda" else layers


@contextmanager
def _both(outer: AbstractContextManager[Any], inner: AbstractContextManager[Any]) -> Iterator[None]:
    with outer, inner:
        yield


@contextmanager
def training_arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Whether a GPU rounds the factors of float32 products to TF32, 10 bits of fraction: in training all the time, also
    in the backward pass, and in prediction as part of `precision_context`.

    That is several times as fast, and as precise as the other roundings of every precision except ``fp32``, for which
    it is off, also in cuDNN, where it is on by default. The flags are those of the whole process: of several such
    blocks that are active, one within the other or in several threads, it is off if it is for one of them.

    Args:
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        device: where the network runs; only on a CUDA device is anything changed.

    Yields:
        Nothing; after the last block the flags are as they were before the first.
    """  # noqa: D205 - one sentence and what follows it
    if device.type != "cuda":
        yield
        return
    exact = precision == "fp32"
    _ROUNDING.enter(exact)
    try:
        yield
    finally:
        _ROUNDING.leave(exact)


class _Rounding:
    """Torch's flags of TF32, and what the active blocks ask of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: list[bool] = []  # of each block whether it is exact
        self._allowed: bool | None = None  # as the flags are set; None where they are as they were
        self._before: list[tuple[Any, str, Any]] = []  # what to put back

    def enter(self, exact: bool) -> None:
        with self._lock:
            self._asked.append(exact)
            self._apply()

    def leave(self, exact: bool) -> None:
        with self._lock:
            self._asked.remove(exact)
            self._apply()

    def _apply(self) -> None:
        allowed = None if not self._asked else not any(self._asked)
        if allowed == self._allowed:
            return
        while self._before:
            setattr(*self._before.pop())
        if allowed is not None:
            self._set(allowed)
        self._allowed = allowed

    def _set(self, allowed: bool) -> None:
        matmul: Any = torch.backends.cuda.matmul
        cudnn: Any = torch.backends.cudnn
        if not hasattr(matmul, "fp32_precision"):  # before torch 2.9
            for place in (matmul, cudnn):
                self._change(place, "allow_tf32", allowed, place.allow_tf32)
            return
        # After these have been used, torch refuses to read the older flags:
        # https://docs.pytorch.org/docs/stable/notes/cuda.html#tensorfloat-32-tf32-on-ampere-and-later-devices
        name, wanted = "fp32_precision", "tf32" if allowed else "ieee"
        general = cudnn.fp32_precision
        # What has no value of its own follows that of cuDNN, and this one that of all devices, and is to do so again.
        self._change(cudnn, name, wanted, "none" if general == torch.backends.fp32_precision else general)  # type: ignore[attr-defined]
        for place in (matmul, cudnn.conv, cudnn.rnn):
            if place.fp32_precision != wanted:
                self._change(place, name, wanted, place.fp32_precision)

    def _change(self, place: Any, name: str, value: Any, before: Any) -> None:
        self._before.append((place, name, before))
        setattr(place, name, value)


_ROUNDING = _Rounding()


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """Use only deterministic kernels, which add in the same order every time.

    Those of a CPU always do, with the same number of threads.

    Args:
        wanted: whether to do so; otherwise nothing is changed.

    Yields:
        Nothing; afterwards the earlier values are back.

    Raises:
        SettingsError: the device has no deterministic kernel for an operation of the network, or CUDA was used in this
            process before.
        RuntimeError: another error inside the block.
    """
    if not wanted:
        yield
        return
    filling: Any = torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        filling.fill_uninitialized_memory,
        os.environ.get(_WORKSPACE),
    )
    # Read when CUDA's products are first used, and by torch, which keeps what it found. Of the two values that torch
    # accepts, :16:8 and :4096:8, only the first makes cuDNN's recurrent layers deterministic, too:
    # https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    # https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    os.environ[_WORKSPACE] = ":16:8"
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    filling.fill_uninitialized_memory = False  # which is for finding faults, and takes time
    try:
        yield
    except RuntimeError as error:
        if _WORKSPACE in str(error):
            raise SettingsError(
                "--deterministic is not possible any more in this process, which has used CUDA before; set "
                f"{_WORKSPACE}=:16:8 before it starts"
            ) from None
        if "deterministic" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise SettingsError(f"--deterministic is not possible on this device: {reason}") from None
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        filling.fill_uninitialized_memory = before[2]
        if before[3] is None:
            os.environ.pop(_WORKSPACE, None)
        else:
            os.environ[_WORKSPACE] = before[3]


def arithmetic(device: torch.device) -> dict[str, str]:
    """What decides how sums are rounded, beside threads, torch and the kind of device: it has to stay for equal bits.

    Which kernels the libraries choose cannot be asked of all of them, so that there is also what a small computation
    with each gives, as a checksum.

    Args:
        device: where the network runs.

    Returns:
        Name → value, for messages: variables of the environment, the processor or GPU, settings of torch.
    """
    if device.type == "cuda":
        if not torch.cuda.is_initialized():
            return {}
        return {"GPU": torch.cuda.get_device_name(device), "cuDNN": str(torch.backends.cudnn.version())}
    if device.type != "cpu":
        return {}
    found = {name: _from_environment(name) for name in _VARIABLES}
    found |= {"processor": _processor(), "instruction set": torch.backends.cpu.get_cpu_capability()}
    found["oneDNN"] = "used" if torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled else "not used"
    found["float32 matmul precision"] = _precision_of_products()
    found["denormals"] = "kept" if bool(torch.tensor(1e-39) * 1.0) else "flushed to zero"
    return {**found, "trial of the kernels": f"{_trial():08x}"}


def _precision_of_products() -> str:
    matmul: Any = getattr(torch.backends.mkldnn, "matmul", None)
    if not hasattr(matmul, "fp32_precision"):  # before torch 2.9
        return torch.get_float32_matmul_precision()
    # Torch refuses to say the older name where a GPU has another precision than the processor.
    return "ieee" if matmul.fp32_precision == "none" else str(matmul.fp32_precision)


def _from_environment(name: str) -> str:
    value = os.environ.get(name) or os.environ.get(name.replace("ONEDNN_", "DNNL_"))  # oneDNN's name before 2.0
    return value.upper() if value else "not set"


def _processor() -> str:
    """The model of the processor, by which libraries choose kernels."""
    wanted = ("vendor_id", "cpu family", "model", "model name", "CPU implementer", "CPU part")
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
        rows = (line.partition(":") for line in takewhile(str.strip, stream))
        found = [value.strip() for name, _, value in rows if name.strip() in wanted]
        if found:
            return " ".join(found)
    return platform.processor() or platform.machine()


@torch.enable_grad()
def _trial() -> int:
    """A checksum of what kernels of each library give: MKL's products, oneDNN's LSTM and convolution, torch's own."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.empty(shape).uniform_(-0.5, 0.5, generator=generator).requires_grad_()

    x, state = drawn(37, 19, 45), torch.zeros(1, 37, 33)  # [B, T, I], [1, B, H]
    weights = [drawn(*shape) for shape in ((132, 45), (132, 33), (132,), (132,))]
    outputs = torch.lstm(x, (state, state), weights, True, 1, 0.0, True, False, True)[0]  # [B, T, H]
    scores = functional.log_softmax(x @ drawn(45, 203), 2)  # [B, T, V]
    pooled = functional.conv1d(x.transpose(1, 2), drawn(20, 45, 3)).amax(2).sigmoid()  # [B, D]
    total = outputs.square().sum() + scores.logsumexp(1).sum() + pooled.sum() + scores.double().exp().mean()
    parts = [outputs, scores, pooled, total.view(1), *torch.autograd.grad(total, [x, *weights])]
    found = 0
    for part in parts:
        found = zlib.crc32(part.detach().contiguous().view(torch.uint8).numpy().data, found)
    return found


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware: a GPU's own units; AMX or AVX512-BF16 of a CPU.

    Args:
        device: where the network runs.

    Returns:
        Whether it does, and torch uses it.
    """
    if device.type == "cuda":
        # torch says that older GPUs support it, too, but they emulate it.
        return bool(torch.cuda.is_bf16_supported()) and torch.cuda.get_device_capability(device) >= (8, 0)
    # Older releases of torch lack one or both.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device.type == "cpu" and any(has is not None and has() for has in asked)


def softmax_products(precision: str, device: torch.device) -> torch.dtype | None:
    """The precision of the gradient of a language model's softmax, most of the work of training a small model.

    It depends on the instructions of the CPU and not on a measured speed, so that a run can be repeated.

    Args:
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        device: where the network runs.

    Returns:
        bfloat16 for ``auto`` on a CPU that multiplies such matrices in hardware; otherwise None, no rounding.
    """
    return torch.bfloat16 if precision == "auto" and device.type == "cpu" and multiplies_bf16(device) else None
