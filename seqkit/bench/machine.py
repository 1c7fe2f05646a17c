"""The machine, the speed of matrix products on it, and the summary of measurements."""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seqkit._version import __version__

CPU_FILE = Path("/proc/cpuinfo")


class Spread(NamedTuple):
    """A summary of repeated measurements.

    Attributes:
        median: the median.
        least: the least.
        most: the most.
    """

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise measurements.

    Args:
        values: at least one.

    Returns:
        The median, the least and the most.
    """
    return Spread(statistics.median(values), min(values), max(values))


def wait_for(device: torch.device) -> None:
    """Wait until a device has finished its work.

    Args:
        device: the device; a CPU never has outstanding work.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


_CPU = torch.device("cpu")


def gemm_rate(
    size: int = 1024, dtype: torch.dtype = torch.float32, repeats: int = 9, device: torch.device = _CPU
) -> float:
    """The speed of `torch.mm` of two square matrices at this moment, on a CPU with torch's threads.

    Args:
        size: rows and columns.
        dtype: the type of the matrices.
        repeats: the number of measured products, of which the median counts, after one that is not measured.
        device: where to compute.

    Returns:
        FLOP/s; a product of n × n matrices has 2 n³ FLOPs.
    """
    left, right = (torch.randn(size, size).to(device, dtype) for _ in range(2))  # [n, n] each
    wait_for(device)
    return 2 * size**3 / _median_seconds(lambda: torch.mm(left, right), repeats, device)


def onednn_rate(size: int = 1024, repeats: int = 9) -> float | None:
    """The speed of oneDNN's product of two square matrices in fp32 on the CPU; oneDNN also computes the LSTM.

    `torch.mm` uses another library, mostly MKL, which is slower on some processors.

    Args:
        size: rows and columns.
        repeats: see `gemm_rate`.

    Returns:
        FLOP/s; None where torch has no oneDNN.
    """
    if not torch.backends.mkldnn.is_available():
        return None
    left, right = (torch.randn(size, size).to_mkldnn() for _ in range(2))  # [n, n] each
    product = torch.ops.aten.mkldnn_linear
    return 2 * size**3 / _median_seconds(lambda: product(left, right, None), repeats)


def _median_seconds(work: Callable[[], object], repeats: int, device: torch.device = _CPU) -> float:
    """The median time of some work, after one call that is not measured."""
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        wait_for(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def describe_machine() -> dict[str, Any]:
    """What speed depends on: the machine and the versions of the software.

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
    """The name of the processor; on Linux it is in a file, as `platform` mostly does not know it."""
    text = CPU_FILE.read_text(errors="replace") if CPU_FILE.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
