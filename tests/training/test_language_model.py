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
from seqkit.config import override, parse_assignments
from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load
from seqkit.training.run import run
from seqkit.training.signals import Interrupted
from seqkit.training.streams import StreamLearner, Window

LINES = ["to be or not to be", "that is the question", "do be do be do"] * 8
TINY: dict[str, Any] = {
    "embedding": {"word_size": 6},
    "encoder": {"hidden": 7},
    "training": {"batch_size": 3, "bptt": 4, "epochs": 2, "optimizer": "adam", "lr": 0.02},
}


def tiny(*assignments: str) -> LmSettings:
    return override(override(LmSettings(), TINY), parse_assignments(assignments))


def learner_of(*assignments: str, lines: list[str] = LINES, seed: int = 0) -> StreamLearner:
    units = Units.word()
    corpora = {"train": Corpus.read(lines, units), "dev": Corpus.read(lines[:3], units)}
    torch.manual_seed(seed)
    return StreamLearner(LanguageModel.of_counts(tiny(*assignments), units, corpora["train"].counts()), corpora)


def windows(learner: StreamLearner, epoch: int = 0) -> list[Window]:
    """All batches of an epoch."""
    return [window for window in learner.batches(epoch, slice(None)) if window is not None]


def fault_of(kind: type[Exception], function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    return str(caught.value)


def test_sizes_and_vocabulary_are_said_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tiny("training.epochs=1"), tmp_path, LINES, dev=LINES[:3], test=["to be"], device="cpu", quiet=False)
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith(": train 24 lines, 144 words, dev 3 lines, 18 words, test 1 lines, 3 words")
    assert said[1] == f"vocabulary: {len({word for line in LINES for word in line.split()}) + 1} units"  # and the end


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
    run(tiny("training.epochs=1", *options), tmp_path, LINES, dev=LINES[:3], device="cpu", quiet=False)
    line = "precision auto: fp32, with bf16 products in the gradient of the softmax over the vocabulary\n"
    assert capsys.readouterr().err.count(line) == said


# --- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("assignments", [(), ("encoder.cell=gru", "encoder.layers=1"), ("training.batch_size=1",)])
def test_windows_carry_the_state_so_that_their_losses_are_those_of_the_whole(assignments: tuple[str, ...]) -> None:
    learner, whole = learner_of(*assignments), learner_of("training.bptt=1000", *assignments)
    learner.network.eval(), whole.network.eval()
    carried = None
    for _ in range(2):  # every epoch begins anew
        parts = []
        for batch in windows(learner):
            parts.append(learner.compute(batch, carried))
            carried = parts[-1].carried
        (found,) = [whole.compute(batch, carried) for batch in windows(whole)]
        assert len(parts) > 5
        assert sum(part.units for part in parts) == found.units
        mean = sum(part.loss.item() * part.units for part in parts) / found.units
        assert mean == pytest.approx(found.loss.item(), abs=1e-5)


def test_no_gradient_flows_into_the_window_before() -> None:
    learner = learner_of("training.batch_size=1")
    first, second = windows(learner)[:2]
    state = learner.compute(first, None).carried
    carried = learner.pack(state)
    assert set(carried) == {"0.0", "0.1", "1.0", "1.1"}
    assert not any(tensor.requires_grad for tensor in carried.values())
    loss = learner.compute(second, state).loss
    loss.backward()
    other = learner_of("training.batch_size=1")
    again = other.compute(second, other.unpack(carried)).loss
    again.backward()
    assert torch.equal(again, loss)
    for mine, theirs in zip(learner.network.parameters(), other.network.parameters(), strict=True):
        assert mine.grad is not None and theirs.grad is not None
        assert torch.equal(mine.grad, theirs.grad)


def test_the_backward_half_begins_anew_in_every_window() -> None:
    learner = learner_of("encoder.direction=both", "training.batch_size=2")
    state = learner.pack(learner.compute(windows(learner)[0], None).carried)
    assert len(state) == 8  # two stacks of two levels, two parts each
    assert [bool(tensor.any()) for tensor in state.values()] == [True] * 4 + [False] * 4


def test_windows_of_variable_length_count_by_their_units() -> None:
    learner = learner_of("training.variable_bptt=true", "training.bptt=8", "training.batch_size=1")
    plain = learner_of("training.bptt=8", "training.batch_size=1")
    batch = next(window for window in windows(learner) if window.begin == 0)
    steps = batch.end
    loss, same = learner.compute(batch, None).loss, plain.compute(Window(0, steps, range(1)), None).loss
    assert torch.equal(loss, same)
    loss.backward()
    same.backward()
    for mine, theirs in zip(learner.network.parameters(), plain.network.parameters(), strict=True):
        assert mine.grad is not None and theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad * (steps / 8))
    assert windows(learner, 0) != windows(learner, 1)


def test_what_is_told_is_free_of_regularisers() -> None:
    options = ("head.ar=5.0", "head.tar=5.0", "embedding.dropout=0.0")
    learner, plain = learner_of(*options), learner_of()
    batch = windows(learner)[0]
    loss, same = learner.compute(batch, None).loss, plain.compute(batch, None).loss
    torch.testing.assert_close(loss, same)
    loss.backward()
    same.backward()
    grads = [torch.cat([p.grad.flatten() for p in part.network.parameters()]) for part in (learner, plain)]
    assert not torch.allclose(*grads)


# --- whole runs ---------------------------------------------------------------------------------------------------


def test_a_repeated_text_is_learned(tmp_path: Path) -> None:
    settings = tiny("training.epochs=30", "training.lr=0.03", "encoder.hidden=16")
    trained = run(settings, tmp_path / "lm", LINES * 3, dev=LINES[:6], test=LINES[:3], device="cpu")
    assert set(trained.reports) == {"dev", "test"}
    assert trained.reports["test"].perplexity < 2.0  # six words or so are equally likely at first
    model = load(tmp_path / "lm")
    corpus = Corpus.read(LINES[:3], model.input.units)
    assert model.evaluate_records(corpus).report == replace(trained.reports["test"], baseline=None)
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
        plain = StreamLearner.compute
        left = iter(range(steps - 1, -1, -1))

        def counted(learner: StreamLearner, batch: Any, carried: Any) -> Any:
            if next(left, 1) == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return plain(learner, batch, carried)

        patch.setattr(StreamLearner, "compute", counted)
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
    assert learner_of().checksum == learner_of().checksum
    assert learner_of().checksum != learner_of(lines=[*LINES[:-1], "do be do be be"]).checksum
    assert learner_of().checksum != learner_of(lines=[LINES[1], LINES[0], *LINES[2:]]).checksum


# --- data ---------------------------------------------------------------------------------------------------------


def test_a_text_that_comes_as_words_is_cut_at_its_spaces(tmp_path: Path) -> None:
    (tmp_path / "words.conll").write_text("It\tO\nis\tO\nn't\tO\n\n" * 3, encoding="utf-8")
    (tmp_path / "text.txt").write_text("It isn't.\n" * 3, encoding="utf-8")
    settings, asked = tiny(), tiny("data.splitter=english")
    assert settings.complete(resolve(tmp_path / "words.conll")).data.splitter == "spaces"
    assert settings.complete(resolve(tmp_path / "text.txt")).data.splitter == settings.data.splitter
    assert settings.complete(resolve("sample-ner")).data.splitter == "spaces"
    assert asked.complete(resolve("sample-ner")).data.splitter == "english"


@pytest.mark.parametrize("unit", ["word", "char"])
def test_an_empty_text_is_refused(unit: str, tmp_path: Path) -> None:
    for name, content in (("train", "\n\n\n"), ("dev", "to be\n")):
        (tmp_path / f"{name}.txt").write_text(content, encoding="utf-8")
    settings = tiny(f"data.unit={unit}")
    fault = f"{tmp_path / 'train.txt'}: no text found"
    assert fault_of(DataError, run, settings, tmp_path / "lm", tmp_path, device="cpu") == fault
    (tmp_path / "train.txt").write_text("", encoding="utf-8")
    assert fault_of(DataError, run, settings, tmp_path / "lm", tmp_path, device="cpu") == fault
    assert not (tmp_path / "lm").exists()


def test_lines_are_strings(tmp_path: Path) -> None:
    fault = "lines train:2: expected a line of text, found ['to', 'be']"
    assert fault_of(DataError, run, tiny(), tmp_path / "lm", ["to be", ["to", "be"]], device="cpu") == fault
