from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seqkit import devices
from seqkit.config import LmSettings, override, parse_assignments
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.inputs.streams import Corpus
from seqkit.inputs.units import Units
from seqkit.model.loading import load
from seqkit.training.language_model import LanguageModelTask, Window, evaluate_stream
from seqkit.training.progress import Progress
from seqkit.training.run import complete_settings, run
from seqkit.training.signals import Interrupted

LINES = ["to be or not to be", "that is the question", "do be do be do"] * 8
TINY: dict[str, Any] = {
    "embedding": {"word_size": 6},
    "encoder": {"hidden": 7},
    "training": {"batch_size": 3, "bptt": 4, "epochs": 2, "optimizer": "adam", "lr": 0.02},
}


def tiny(*assignments: str) -> LmSettings:
    return override(override(LmSettings(), TINY), parse_assignments(assignments))


def task_of(*assignments: str, lines: list[str] = LINES, seed: int = 0) -> LanguageModelTask:
    units = Units.word()
    corpora = {"train": Corpus.read(lines, units), "dev": Corpus.read(lines[:3], units)}
    torch.manual_seed(seed)
    return LanguageModelTask(tiny(*assignments), units, corpora, None, torch.device("cpu"))


def fault_of(kind: type[Exception], function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    return str(caught.value)


# --- precision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "options", "said"),
    [
        (True, (), True),
        (False, (), False),
        (True, ("training.precision=fp32",), False),
        (True, ("head.cutoffs=[3]",), False),
    ],
)
def test_it_is_said_when_the_gradient_is_rounded(
    has: bool,
    options: tuple[str, ...],
    said: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: has)
    task = task_of("training.epochs=1", *options)
    task.fit(tmp_path, Progress(), resume=False)
    line = "precision auto: fp32, but bf16 for the products in the gradient of the softmax over words\n"
    assert capsys.readouterr().err.count(line) == said


# --- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("assignments", [(), ("encoder.cell=gru", "encoder.layers=1"), ("training.batch_size=1",)])
def test_windows_carry_the_state_so_that_their_losses_are_those_of_the_whole(assignments: tuple[str, ...]) -> None:
    task, whole = task_of(*assignments), task_of("training.bptt=1000", *assignments)
    task.network.eval(), whole.network.eval()
    for _ in range(2):  # every epoch begins anew
        parts = [task.loss(batch) for batch in task.batches(0)]
        ((total, units, _),) = [whole.loss(batch) for batch in whole.batches(0)]
        assert len(parts) > 5
        assert sum(part[1] for part in parts) == units
        mean = sum(part[0].item() * part[1] for part in parts) / units
        assert mean == pytest.approx(total.item(), abs=1e-5)


def test_no_gradient_flows_into_the_window_before() -> None:
    task = task_of("training.batch_size=1")
    first, second = task.batches(0)[:2]
    task.loss(first)
    carried = task.state()
    assert set(carried) == {"0.0", "0.1", "1.0", "1.1"}
    assert not any(tensor.requires_grad for tensor in carried.values())
    loss = task.loss(second)[0]
    loss.backward()
    other = task_of("training.batch_size=1")
    other.restore(carried)
    again = other.loss(second)[0]
    again.backward()
    assert torch.equal(again, loss)
    for mine, theirs in zip(task.network.parameters(), other.network.parameters(), strict=True):
        assert mine.grad is not None and theirs.grad is not None
        assert torch.equal(mine.grad, theirs.grad)


def test_the_backward_half_begins_anew_in_every_window() -> None:
    task = task_of("encoder.direction=both", "training.batch_size=2")
    task.loss(task.batches(0)[0])
    state = task.state()
    assert len(state) == 8  # two stacks of two levels, two parts each
    assert [bool(tensor.any()) for tensor in state.values()] == [True] * 4 + [False] * 4


def test_windows_of_variable_length_count_by_their_units() -> None:
    task = task_of("training.variable_bptt=true", "training.bptt=8", "training.batch_size=1")
    plain = task_of("training.bptt=8", "training.batch_size=1")
    batch = next(bounds for bounds in task.batches(0) if bounds[0] == 0)
    steps = batch[1]
    loss, same = task.loss(Window(0, steps))[0], plain.loss(Window(0, steps))[0]
    assert torch.equal(loss, same)
    loss.backward()
    same.backward()
    for mine, theirs in zip(task.network.parameters(), plain.network.parameters(), strict=True):
        assert mine.grad is not None and theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad * (steps / 8))
    assert task.batches(0) != task.batches(1)


def test_what_is_told_is_free_of_regularisers() -> None:
    options = ("head.ar=5.0", "head.tar=5.0", "embedding.dropout=0.0")
    task, plain = task_of(*options), task_of()
    batch = task.batches(0)[0]
    loss, same = task.loss(batch)[0], plain.loss(batch)[0]
    torch.testing.assert_close(loss, same)
    loss.backward()
    same.backward()
    grads = [torch.cat([p.grad.flatten() for p in part.network.parameters()]) for part in (task, plain)]
    assert not torch.allclose(*grads)


# --- whole runs ---------------------------------------------------------------------------------------------------


def test_a_repeated_text_is_learned(tmp_path: Path) -> None:
    settings = tiny("training.epochs=30", "training.lr=0.03", "encoder.hidden=16")
    trained = run(settings, tmp_path / "lm", LINES * 3, dev=LINES[:6], test=LINES[:3], device="cpu")
    assert set(trained.reports) == {"dev", "test"}
    assert trained.reports["test"].perplexity < 2.0  # six words or so are equally likely at first
    model = load(tmp_path / "lm")
    corpus = Corpus.read(LINES[:3], model.units)
    assert evaluate_stream(model, corpus) == replace(trained.reports["test"], baseline=None)
    assert model.report["scores"]["test"]["units"] == len(corpus)
    (text,) = model.sample("to be or", temperature=0.0)
    assert text.text == "to be or not to be" and text.ended


@pytest.mark.parametrize("steps", [1, 4, 8])
@pytest.mark.parametrize("options", [(), ("training.variable_bptt=true", "training.bptt=9", "encoder.dropout=0.3")])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    steps: int, options: tuple[str, ...], tmp_path: Path
) -> None:
    settings = tiny(*options)
    run(settings, tmp_path / "whole", LINES, dev=LINES[:3], device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        plain = LanguageModelTask.loss
        left = iter(range(steps - 1, -1, -1))

        def counted(task: LanguageModelTask, batch: Any) -> Any:
            if next(left, 1) == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return plain(task, batch)

        patch.setattr(LanguageModelTask, "loss", counted)
        with pytest.raises(Interrupted):
            run(settings, tmp_path / "parts", LINES, dev=LINES[:3], device="cpu")
    run(settings, tmp_path / "parts", LINES, dev=LINES[:3], device="cpu", resume=True)
    files = [tmp_path / name / "weights.safetensors" for name in ("parts", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("unit", ["word", "char", "bpe"])
@pytest.mark.parametrize("options", [(), ("head.tied=true", "encoder.skip=residual"), ("encoder.direction=both",)])
def test_every_unit_can_be_learned(unit: str, options: tuple[str, ...], tmp_path: Path) -> None:
    settings = tiny(f"data.unit={unit}", "data.bpe_size=260", *options)
    trained = run(settings, tmp_path / "lm", LINES, device="cpu")
    assert trained.reports["dev"].unit == unit
    assert trained.reports["dev"].sentences == 2  # the last tenth
    assert 1.0 < trained.reports["dev"].perplexity < 300


def test_another_text_is_another_run(tmp_path: Path) -> None:
    assert task_of().checksum == task_of().checksum
    assert task_of().checksum != task_of(lines=[*LINES[:-1], "do be do be be"]).checksum
    assert task_of().checksum != task_of(lines=[LINES[1], LINES[0], *LINES[2:]]).checksum


# --- data ---------------------------------------------------------------------------------------------------------


def test_a_text_that_comes_as_words_is_cut_at_its_spaces(tmp_path: Path) -> None:
    (tmp_path / "words.conll").write_text("It\tO\nis\tO\nn't\tO\n\n" * 3, encoding="utf-8")
    (tmp_path / "text.txt").write_text("It isn't.\n" * 3, encoding="utf-8")
    settings, asked = tiny(), tiny("data.splitter=english")
    assert complete_settings(settings, resolve(tmp_path / "words.conll")).data.splitter == "spaces"
    assert complete_settings(settings, resolve(tmp_path / "text.txt")).data.splitter == settings.data.splitter
    assert complete_settings(settings, resolve("sample-ner")).data.splitter == "spaces"
    assert complete_settings(asked, resolve("sample-ner")).data.splitter == "english"


@pytest.mark.parametrize("unit", ["word", "char"])
def test_an_empty_text_is_refused(unit: str, tmp_path: Path) -> None:
    for name, content in (("train", "\n\n\n"), ("dev", "to be\n")):
        (tmp_path / f"{name}.txt").write_text(content, encoding="utf-8")
    settings = tiny(f"data.unit={unit}")
    fault = f"{tmp_path / 'train.txt'}: expected at least one line of text, found none"
    assert fault_of(DataError, run, settings, tmp_path / "lm", tmp_path, device="cpu") == fault
    (tmp_path / "train.txt").write_text("", encoding="utf-8")
    assert fault_of(DataError, run, settings, tmp_path / "lm", tmp_path, device="cpu") == fault
    assert not (tmp_path / "lm").exists()


def test_lines_are_strings(tmp_path: Path) -> None:
    fault = "lines train:2: expected a line of text, found ['to', 'be']"
    assert fault_of(DataError, run, tiny(), tmp_path / "lm", ["to be", ["to", "be"]], device="cpu") == fault
