"""The machine and what measurements are summed up to."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
import torch

import seqkit
from seqkit.bench import machine
from seqkit.bench.machine import describe_machine, gemm_rate, onednn_rate, spread


def test_spread() -> None:
    assert spread([3.0, 1.0, 9.0, 2.0]) == (2.5, 1.0, 9.0)
    assert spread([4.0])._asdict() == {"median": 4.0, "least": 4.0, "most": 4.0}


def test_the_rate_is_of_the_median_product_without_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 100.0, 0.0, 2.0, 0.0, 5.0, 0.0, 4.0])  # beginnings and ends: 100, 2, 5 and 4 seconds
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(times))
    seen: list[tuple[torch.Size, torch.dtype]] = []
    product = torch.mm

    def mm(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        seen.append((left.shape, right.dtype))
        return product(left, right)

    monkeypatch.setattr(torch, "mm", mm)
    waits: list[torch.device] = []
    monkeypatch.setattr(machine, "wait_for", waits.append)
    assert gemm_rate(10, torch.bfloat16, repeats=3, device=torch.device("cpu")) == 2 * 10**3 / 4.0
    assert waits == 5 * [torch.device("cpu")]
    assert seen == 4 * [((10, 10), torch.bfloat16)]


def test_the_rate_of_onednn_is_of_its_median_product(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch without oneDNN")
    times = iter([0.0, 100.0, 0.0, 2.0, 0.0, 5.0, 0.0, 4.0])
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(times))
    assert onednn_rate(10, repeats=3) == 2 * 10**3 / 4.0


def test_no_rate_of_onednn_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert onednn_rate(10) is None


def test_the_description_is_json_and_names_threads_and_versions() -> None:
    about = json.loads(json.dumps(describe_machine()))
    assert (about["threads"], about["torch"], about["seqkit"]) == (
        torch.get_num_threads(),
        torch.__version__,
        seqkit.__version__,
    )
    assert isinstance(about["amx"], bool) and isinstance(about["bf16"], bool)


@pytest.mark.parametrize("known", [True, False])
def test_the_processor_has_a_name(known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Abacus 9: fast\n" if known else "processor\t: 0\n")
    monkeypatch.setattr(machine, "CPU_FILE", file)
    expected = "Abacus 9: fast" if known else platform.processor() or platform.machine()
    assert describe_machine()["processor"] == expected
