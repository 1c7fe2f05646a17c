"""`--deterministic`: the same settings, data, machine and threads give the same bits; others are told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.config import override
from seqkit.devices import repeatable
from seqkit.errors import SettingsError, TrainingError
from seqkit.training.run import run
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
