"""What the artificial sequences hold, that answers follow from them, and what chance is."""

from __future__ import annotations

import re

import pytest
import torch

from seqkit.errors import SettingsError
from seqkit.lab.sequences import MEMORY_TASKS, WORDS, Adding, Agreement, Copying, make_memory_task


def spelled(words: torch.Tensor) -> str:
    return " ".join(WORDS[word] for word in words.tolist())


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", MEMORY_TASKS)
@pytest.mark.parametrize("gap", [0, 1, 2, 3, 10])
def test_sequences_have_the_sizes_that_the_task_says(name: str, gap: int) -> None:
    task = make_memory_task(name)
    inputs, targets = task.batch(gap, 6, generator())
    assert task.name == name
    assert inputs.shape == (6, inputs.shape[1], task.input_size)
    assert inputs.dtype == torch.float32
    assert inputs.shape[1] == task.batch(0, 6, generator()).inputs.shape[1] + gap
    answers = torch.randn(6, targets.shape[1], task.output_size, generator=generator())
    assert task.right(answers, targets).shape == targets.shape
    assert task.loss(answers, targets).shape == ()


@pytest.mark.parametrize("name", MEMORY_TASKS)
def test_the_same_seed_gives_the_same_sequences_and_another_seed_others(name: str) -> None:
    task = make_memory_task(name)
    first, again, other = (task.batch(9, 20, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.inputs, other.inputs)


@pytest.mark.parametrize("noise", [True, False])
def test_copying_marks_what_to_say_again_and_then_asks_for_it(noise: bool) -> None:
    task = Copying(symbols=2, alphabet=3, noise=noise)
    inputs, targets = task.batch(5, 400, generator())
    steps, marks = inputs[:, :, :-1].argmax(2), inputs[:, :, -1]  # [B, T] each
    assert torch.equal(steps[:, :2], targets)
    assert torch.equal(marks, torch.tensor([1.0, 1.0, *[0.0] * 7]).expand(400, 9))
    assert torch.equal(inputs[:, :, :-1].sum(2), torch.ones(400, 9))
    assert steps[:, 7:].unique(dim=0).tolist() == [[4, 3]]  # the cue, a blank
    assert steps[:, 2:7].unique().tolist() == ([0, 1, 2] if noise else [3])
    assert targets.unique(dim=0).shape[0] == 9


def test_noise_says_nothing_of_the_symbols() -> None:
    task = Copying(symbols=1, alphabet=2)
    inputs, targets = task.batch(1, 20_000, generator())
    assert float((inputs[:, 1, 0] == targets[:, 0]).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_adding_asks_for_the_sum_of_the_marked_numbers() -> None:
    inputs, targets = Adding().batch(7, 50, generator())
    numbers, marks = inputs.unbind(2)  # [B, T] each
    assert torch.allclose((numbers * marks).sum(1, keepdim=True), targets)
    assert marks.sum(1).unique().tolist() == [2.0]
    assert torch.equal(marks[0], torch.tensor([1.0, *[0.0] * 7, 1.0]))


def test_an_answer_is_right_within_the_tolerance() -> None:
    answers, targets = torch.tensor([[[0.5]], [[0.5]], [[0.5]]]), torch.tensor([[0.53], [0.55], [0.46001]])
    assert Adding().right(answers, targets).tolist() == [[True], [False], [True]]


@pytest.mark.parametrize("name", MEMORY_TASKS)
def test_chance_is_what_the_best_guess_without_memory_reaches(name: str) -> None:
    task = make_memory_task(name)
    inputs, targets = task.batch(3, 40_000, generator())
    if name == "adding":
        guess = (inputs[:, -1:, :1] + 0.5).expand(-1, 1, 1)  # the second number is seen, of the first only the mean
    else:
        guess = torch.zeros(40_000, targets.shape[1], task.output_size)
        guess[..., 0] = 1.0  # always the same class
    assert float(task.right(guess, targets).float().mean()) == pytest.approx(task.chance, abs=0.01)


def test_losses_are_those_of_their_kind() -> None:
    answers = torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])
    assert float(Agreement().loss(answers, torch.tensor([[0], [1]]))) == pytest.approx(0.693147)
    assert float(Adding().loss(answers[:, :, :1], torch.tensor([[0.5], [1.5]]))) == pytest.approx(1.25)


NOUN = "(key|door|car|tree|bird|boat|book|hill)"
SENTENCE = re.compile(
    rf"the {NOUN}(?P<plural>s?)( (near|behind|beside|under|above|beyond) the {NOUN}s?)*( (often|still|always)){{0,2}}"
)


@pytest.mark.parametrize("gap", [0, 1, 2, 3, 8, 30])
def test_agreement_is_with_the_first_noun_of_a_sentence_of_the_grammar(gap: int) -> None:
    task = Agreement()
    words, plural = task.words(gap, 30, generator())
    for row, many in zip(words, plural, strict=True):
        text = spelled(row)
        found = SENTENCE.fullmatch(text)
        assert found, text
        assert (found["plural"] == "s") == bool(many)
        assert len(text.split()) == gap + 2


def test_the_inputs_of_agreement_are_its_words() -> None:
    task = Agreement()
    words, plural = task.words(4, 5, generator())
    inputs, targets = task.batch(4, 5, generator())
    assert torch.equal(inputs.argmax(2), words)
    assert torch.equal(targets[:, 0], plural)
    assert torch.equal(inputs.sum(2), torch.ones(5, 6))


def test_the_nouns_between_say_nothing_of_the_subject() -> None:
    task = Agreement()
    words, plural = task.words(3, 20_000, generator())
    last = torch.tensor([spelled(row).endswith("s") for row in words])
    assert float(plural.float().mean()) == pytest.approx(0.5, abs=0.02)
    assert float((last == plural.bool()).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        make_memory_task("recall")
    assert str(caught.value) == "unknown task 'recall'; known: copy, copy_blanks, adding, agreement"
