"""What only a GPU can show of the whole: the same numbers as a CPU, the same run twice, and what is waited for.

Other tests marked ``gpu`` stand beside those of what they are about. ``SEQKIT_TRY_GPU_TESTS=cpu`` runs these on a CPU,
to see that they run.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit.devices import training_arithmetic
from seqkit.model.base import Model
from seqkit.nn.recurrent import fused
from tests.model import four_tasks
from tests.pretended.cases import HEADS, Case
from tests.pretended.test_decoding import DECODINGS, OTHERS, assert_alike
from tests.pretended.test_steps import CASES, learner_of, some, stepper_of

PLACE = os.environ.get("SEQKIT_TRY_GPU_TESTS") or "cuda"
ON_GPU = PLACE == "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ROOT = Path(__file__).resolve().parents[1]
# So large that products rounded to TF32 would be seen.
WIDE: dict[str, Any] = {"embedding": {"word_size": 100}, "encoder": {"hidden": 200}}

REPEATED = """
import sys
from pathlib import Path

from seqkit.config import override
from seqkit.training.run import run
from tests.training.together import DROPOUT, data_of, settings_of

folder, place = Path(sys.argv[1]), sys.argv[2]
for task in ("tag", "classify", "lm", "generate"):
    for name in ("one", "other"):
        more = {**DROPOUT, "training": {"deterministic": True, "precision": sys.argv[3], "epochs": 2}}
        run(settings_of(task, folder, more), folder / task / name, data_of(task), device=place, quiet=True)
    resumed = folder / task / "resumed"
    settings = settings_of(task, folder, {**more, "training": {**more["training"], "epochs": 1}})
    run(settings, resumed, data_of(task), device=place, quiet=True)
    run(settings_of(task, folder, more), resumed, data_of(task), device=place, resume=True, quiet=True)
    one, other, resumed = (
        (folder / task / name / "weights.safetensors").read_bytes() for name in ("one", "other", "resumed")
    )
    print(task, one == other, one == resumed)
"""


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_deterministic_run_is_the_same_twice_and_resumed(precision: str, tmp_path: Path) -> None:
    """In a process of its own: torch looks once at what makes cuBLAS deterministic."""
    done = subprocess.run(
        [sys.executable, "-c", REPEATED, str(tmp_path), PLACE, precision],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{task} True True" for task in ("tag", "classify", "lm", "generate")]


SCORES: dict[str, Callable[[Model], Any]] = {
    "tag": lambda model: [record.probs for record in model.predict(four_tasks.texts(40), probs=True)],
    "classify": lambda model: [
        [probability for _, probability in sorted(record.probs.items())]
        for record in model.predict(four_tasks.texts(40))
    ],
    "lm": lambda model: [[record.log_prob] for record in model.predict(four_tasks.texts(40))],
}
MODELS = {"tag": four_tasks.tagger, "classify": four_tasks.classifier, "lm": four_tasks.language_model}


def values_of(rows: Any) -> torch.Tensor:
    return torch.tensor([value for row in rows for value in row], dtype=torch.float64)


@pytest.mark.parametrize("task", MODELS)
def test_prediction_in_fp32_is_that_of_a_cpu(task: str) -> None:
    """By default cuDNN rounds to TF32, ten bits of fraction."""
    model: Any = MODELS[task](WIDE)
    expected = values_of(SCORES[task](model))
    torch.testing.assert_close(values_of(SCORES[task](model.to(PLACE))), expected, rtol=2e-5, atol=2e-5)


OPTIONS: list[dict[str, Any]] = [{}, {"top_k": 5}, {"top_p": 0.8, "temperature": 1.5}, {"temperature": 0}, {"beam": 4}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cutoffs", [(), (10, 30)])
def test_a_seed_gives_the_same_texts_as_on_a_cpu(options: dict[str, Any], cutoffs: tuple[int, ...]) -> None:
    model = four_tasks.language_model({**WIDE, "head": {"cutoffs": cutoffs}})
    asked = {"count": 4, "seed": 3, "length": 20, "lines": 0, **options}
    expected = model.sample("", **asked)
    found = model.to(PLACE).sample("", **asked)
    assert [one.text for one in found] == [one.text for one in expected]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in expected], rel=1e-4)


@pytest.mark.skipif(not ON_GPU, reason="a CPU is not waited for")
@pytest.mark.parametrize("options", OPTIONS)
def test_generation_waits_for_the_gpu_once_a_symbol(options: dict[str, Any]) -> None:
    model = four_tasks.language_model(WIDE).to(PLACE)
    pipeline = model.pipeline()
    asked = {"count": 4, "seed": 3, "length": 20, "lines": 0, "pipeline": pipeline, **options}
    model.sample("", **asked)  # the first time libraries are set up
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            model.sample("", **asked)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [str(each.message) for each in seen if "synchronizing" in str(each.message)]
    assert 1 <= len(waits) <= 20


@pytest.mark.parametrize("name", DECODINGS)
def test_whatever_is_predicted_in_fp32_is_that_of_a_cpu(name: str) -> None:
    """Labels, n-best lists, probabilities, scores, dynamic evaluation; texts that are drawn, searched and written."""
    make, decode, _ = DECODINGS[name]
    for changes in ({}, *OTHERS[name.split()[0]]):
        model = make(changes)
        expected = decode(copy.deepcopy(model), "fp32")
        assert_alike(decode(model.to(PLACE), "fp32"), expected)


@pytest.mark.parametrize("case", some(), ids=str)
def test_training_in_fp32_ends_with_the_weights_of_a_cpu(case: Case) -> None:
    def trained(place: str) -> dict[str, torch.Tensor]:
        learner = learner_of(case, torch.device(place))
        stepper = stepper_of(learner)
        with training_arithmetic("fp32", learner.model.device):
            for epoch in range(4):
                for batch in learner.batches(epoch, slice(None)):
                    stepper.step(batch, 0.1, epoch + 1, ())
        return {name: weight.detach().cpu() for name, weight in stepper.parameters.items()}

    expected = trained("cpu")
    for name, weight in trained(PLACE).items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-3, atol=1e-4)


@contextmanager
def _refused() -> Iterator[None]:
    """What waits for the GPU is an error meanwhile."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("case", [*CASES[:: len(HEADS) // 2], *some()], ids=str)
def test_whole_steps_do_not_wait_for_the_gpu(case: Case) -> None:
    on_cpu = {"precision": "fp32"} if case.chosen["training.precision"] == "fp16" and not ON_GPU else {}
    learner = learner_of(case, torch.device(PLACE), **on_cpu)
    stepper = stepper_of(learner)
    stepper.parts = case.parts
    batches = [*learner.batches(0, slice(None)), *learner.batches(1, slice(None))]
    stepper.step(batches[0], 0.01, 1, ())  # the first one sets libraries up, which may wait
    with _refused() if ON_GPU else nullcontext():
        steps = [stepper.step(batch, 0.01, number, ())[0] for number, batch in enumerate(batches[1:], 2)]
    assert all(step.loss.isfinite() for step in steps)
    assert all(bool(weight.isfinite().all()) for weight in stepper.parameters.values())


@pytest.mark.skipif(not ON_GPU, reason="a CPU has other kernels")
def test_what_recurrent_layers_are_computed_in(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to be seen to but the answer, which is printed."""
    device = torch.device("cuda", torch.cuda.current_device())
    with capsys.disabled():
        print(f"\ncuDNN {torch.backends.cudnn.version()}: recurrent layers in bf16: {fused._has_bf16_kernels(device)}")
