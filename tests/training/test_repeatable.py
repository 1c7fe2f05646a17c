"""`--deterministic`: the same settings, data, machine and threads give the same bits; others are told apart."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit import devices
from seqkit.config import override
from seqkit.devices import repeatable
from seqkit.errors import SettingsError, TrainingError
from seqkit.training.checkpoint import read_checkpoint, write_checkpoint
from seqkit.training.run import run
from tests.training.regression import make
from tests.training.together import DROPOUT, data_of, settings_of

Make = Callable[..., Any]


@pytest.mark.parametrize("task", ["tag", "tag sgd", "classify", "lm", "generate"])
def test_two_runs_have_the_same_weights_and_only_such_kernels_run(task: str, tmp_path: Path) -> None:
    settings = override(settings_of(task, tmp_path, DROPOUT), {"training": {"deterministic": True}})
    seen = []
    for name in ("one", "other"):
        data = data_of(task)
        plain = torch.Tensor.backward

        def backward(tensor: Any, *arguments: Any, plain: Any = plain, **options: Any) -> Any:
            seen.append(torch.are_deterministic_algorithms_enabled())
            return plain(tensor, *arguments, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "backward", backward)
            run(settings, tmp_path / name, data, device="cpu")
    assert seen and all(seen)
    assert not torch.are_deterministic_algorithms_enabled()
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "other"))
    assert one == other


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("threads", lambda patch: patch.setattr(torch, "get_num_threads", lambda: 77)),
        ("torch", lambda patch: patch.setattr(torch, "__version__", "99.0.0")),
    ],
)
def test_a_run_goes_on_only_where_the_same_sums_round_alike(
    name: str, change: Callable[[pytest.MonkeyPatch], None], make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    options = {"dev": make_pairs(4, 1), "device": "cpu", "resume": True}
    strict = "training.deterministic=true"
    for folder, more in (("free", []), ("strict", [strict])):
        run(tiny_settings("training.epochs=1", *more), tmp_path / folder, make_pairs(12), **options)
    with pytest.MonkeyPatch.context() as patch:
        change(patch)
        run(tiny_settings("training.epochs=2"), tmp_path / "free", make_pairs(12), **options)
        with pytest.raises(TrainingError) as caught:
            run(tiny_settings("training.epochs=2", strict), tmp_path / "strict", make_pairs(12), **options)
        now = {"threads": torch.get_num_threads(), "torch": torch.__version__}[name]
    before = {"threads": torch.get_num_threads(), "torch": torch.__version__}[name]
    expected = f"expected a checkpoint with {name} = {now}, found {before}; start again with --force"
    assert str(caught.value) == f"{tmp_path / 'strict'}: {expected}"
    run(tiny_settings("training.epochs=2", strict), tmp_path / "strict", make_pairs(12), **options)


def test_a_clock_does_not_go_with_it(tiny_settings: Make) -> None:
    excluded = "deterministic excludes time_limit: how far a run gets depends on the machine"
    with pytest.raises(SettingsError, match=excluded):
        tiny_settings("training.deterministic=true", "training.time_limit=1")


def test_a_kernel_that_cannot_be_repeated_is_a_fault_of_one_line() -> None:
    with pytest.raises(SettingsError) as caught, repeatable(True):
        torch.use_deterministic_algorithms(True)
        raise RuntimeError("x does not have a deterministic implementation, but you set\nso and so")
    assert str(caught.value) == (
        "--deterministic is not possible on this device: x does not have a deterministic implementation, but you set"
    )
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="something else"), repeatable(True):
        raise RuntimeError("something else")
    with repeatable(False):
        assert not torch.are_deterministic_algorithms_enabled()


TRAINING = """
import sys
from pathlib import Path
from seqkit.errors import TrainingError
from tests.training.regression import make, weights

for word in sys.argv[2:]:
    name, epochs = word.split("=")
    trainer = make(Path(sys.argv[1]) / name, deterministic=True, epochs=int(epochs))
    try:
        trainer.resume()
        trainer.run()
        print({name: weight.tolist() for name, weight in weights(trainer).items()})
    except TrainingError as error:
        print(error)
"""


def in_a_process(folder: Path, *runs: str, **variables: str) -> list[str]:
    """Train in each of some folders, ``NAME=EPOCHS``, or go on there; the weights, or what was refused, of each."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), **variables}
    found = subprocess.run(
        [sys.executable, "-c", TRAINING, str(folder), *runs],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.splitlines()


def test_other_kernels_are_refused_and_the_same_ones_give_the_same_bits(tmp_path: Path) -> None:
    fewer = {"ATEN_CPU_CAPABILITY": "default"}
    whole, _ = in_a_process(tmp_path, "whole=4", "parts=2", **fewer)
    expected = "expected a checkpoint with ATEN_CPU_CAPABILITY = not set, found DEFAULT"
    mend = "sums would be rounded differently: resume with ATEN_CPU_CAPABILITY as it was, or start again with --force"
    assert in_a_process(tmp_path, "parts=4") == [f"{tmp_path / 'parts'}: {expected}; {mend}"]
    assert in_a_process(tmp_path, "parts=4", **fewer) == [whole]


@pytest.mark.parametrize(
    ("name", "value", "before", "change"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", "not set", lambda patch: patch.setenv("DNNL_MAX_CPU_ISA", "avx2")),
        ("ONEDNN_MAX_CPU_ISA", "SSE41", "not set", lambda patch: patch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")),
        ("MKL_CBWR", "COMPATIBLE", "not set", lambda patch: patch.setenv("MKL_CBWR", "COMPATIBLE")),
        ("MKL_ENABLE_INSTRUCTIONS", "AVX2", "not set", lambda patch: patch.setenv("MKL_ENABLE_INSTRUCTIONS", "AVX2")),
        ("processor", "x 1", "", lambda patch: patch.setattr(devices, "_processor", lambda: "x 1")),
        (
            "instruction set",
            "SVE256",
            "",
            lambda patch: patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "SVE256"),
        ),
        ("oneDNN", "not used", "used", lambda patch: patch.setattr(torch.backends.mkldnn, "is_available", bool)),
        (
            "float32 matmul precision",
            "bf16",
            "",
            lambda patch: patch.setattr(devices, "_precision_of_products", lambda: "bf16"),
        ),
        ("denormals", "flushed to zero", "kept", lambda patch: torch.set_flush_denormal(True)),
        ("trial of the kernels", "0000002a", "", lambda patch: patch.setattr(devices, "_trial", lambda: 42)),
    ],
)
def test_what_rounds_otherwise_is_named(
    name: str,
    value: str,
    before: str,
    change: Callable[[pytest.MonkeyPatch], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(tmp_path, deterministic=True, epochs=1).run()
    make(tmp_path, epochs=2, deterministic=True).resume()
    before = before or devices.arithmetic(torch.device("cpu"))[name]
    change(monkeypatch)
    with pytest.raises(TrainingError) as caught:
        make(tmp_path, epochs=2, deterministic=True).resume()
    expected = f"expected a checkpoint with {name} = {value}, found {before}"
    mend = f"sums would be rounded differently: resume with {name} as it was, or start again with --force"
    assert str(caught.value) == f"{tmp_path}: {expected}; {mend}"
    make(tmp_path / "free", epochs=1).run()
    make(tmp_path / "free", epochs=2).resume()  # says nothing of it


def test_checkpoints_from_before_it_was_noted_are_taken_up(tmp_path: Path) -> None:
    make(tmp_path, deterministic=True, epochs=1).run()
    tensors, state = read_checkpoint(tmp_path, print)  # type: ignore[misc]
    noted = devices.arithmetic(torch.device("cpu"))
    assert noted.items() <= state["fingerprint"].items()
    state["fingerprint"] = {name: value for name, value in state["fingerprint"].items() if name not in noted}
    write_checkpoint(tmp_path, tensors, state)
    assert make(tmp_path, deterministic=True, epochs=2).resume()


def test_a_trial_of_the_kernels_gives_the_same_every_time() -> None:
    random = torch.get_rng_state()
    found = {devices._trial() for _ in range(5)}
    with torch.no_grad(), repeatable(True):
        found.add(devices._trial())
    assert len(found) == 1
    assert torch.equal(torch.get_rng_state(), random)
