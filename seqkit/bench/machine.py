"""What the machine is, what matrix products reach on it, and how measurements are summed up."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seqkit._version import __version__

__all__ = ["Spread", "describe_machine", "gemm_rate", "onednn_rate", "spread", "wait_for"]

CPU_FILE = Path("/proc/cpuinfo")


class Spread(NamedTuple):
    """Measurements of the same thing, summed up.

    Attributes:
        median: the median.
        least: the least.
        most: the most.
    """

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Sum up measurements.

    Args:
        values: at least one.

    Returns:
        The median, the least and the most.
    """
    return Spread(statistics.median(values), min(values), max(values))


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given to do.

    Args:
        device: a GPU; on another device nothing is outstanding.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def gemm_rate(
    size: int = 1024, dtype: torch.dtype = torch.float32, repeats: int = 9, device: torch.device | None = None
) -> float:
    """What `torch.mm` of two square matrices reaches here and now, with torch's threads.

    Args:
        size: rows and columns.
        dtype: of the matrices.
        repeats: the median of so many products counts, after one that does not.
        device: where to multiply; by default the CPU.

    Returns:
        FLOP/s; a product of n × n matrices is 2 n³ FLOPs.
    """
    device = device or torch.device("cpu")
    left, right = (torch.randn(size, size).to(device, dtype) for _ in range(2))  # [n, n] each
    return 2 * size**3 / _median_seconds(lambda: torch.mm(left, right), repeats, device)


def onednn_rate(size: int = 1024, repeats: int = 9) -> float | None:
    """What oneDNN's product of two square matrices in fp32 reaches on the CPU, whose library also has the LSTM.

    `torch.mm` asks another library, mostly MKL, which on some processors is slower.

    Args:
        size: rows and columns.
        repeats: the median of so many products counts, after one that does not.

    Returns:
        FLOP/s; None where torch has no oneDNN.
    """
    if not torch.backends.mkldnn.is_available():
        return None
    left, right = (torch.randn(size, size).to_mkldnn() for _ in range(2))  # [n, n] each
    product = torch.ops.aten.mkldnn_linear
    return 2 * size**3 / _median_seconds(lambda: product(left, right, None), repeats, torch.device("cpu"))


def _median_seconds(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """The median time of some work, after once that does not count."""
    seconds = []
    for _ in range(repeats + 1):
        wait_for(device)
        began = time.perf_counter()
        work()
        wait_for(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def describe_machine() -> dict[str, Any]:
    """The machine as far as speed depends on it, and the versions of what runs.

    Returns:
        Names and values for JSON.
    """
    has_bf16 = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bf16": bool(has_bf16()),
        "amx": bool(has_tiles()),
        "mkl": torch.backends.mkl.is_available(),
        "mkldnn": torch.backends.mkldnn.is_available(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "seqkit": __version__,
    }


def _processor() -> str:
    """The processor's name; Linux has it in a file, and `platform` mostly does not know it there."""
    if CPU_FILE.is_file():
        for line in CPU_FILE.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
