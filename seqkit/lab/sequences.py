"""Artificial sequences with a gap between what must be remembered and the question about it.

Three tasks: `Copying` symbols, `Adding` two numbers, `Agreement` of a verb with its subject. Each draws sequences of
vectors from a random generator; all sequences of a batch have the same gap and therefore the same length, and the
answers belong to the last A steps. `chance` is the best expected accuracy without memory across the gap.

For short gaps there are few different sequences: 256 copies and 48 sentence beginnings at gap 1, and 64 copies with
blanks at any gap. There, most sequences of another random stream are the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from seqkit.errors import SettingsError
from seqkit.formats.arrays import ArraySource
from seqkit.records import FrameRecord


class SequenceBatch(NamedTuple):
    """Sequences of one length with the answers at their ends.

    Attributes:
        inputs: one vector per step, [B, T, I].
        targets: the answers at the last A steps, [B, A]: int64 classes, or numbers.
    """

    inputs: Tensor
    targets: Tensor


class MemoryTask(ABC):
    """A source of sequences, and the check of the answers, which are one of D classes by default.

    Attributes:
        name: the name of the task.
        unit: what is counted as correct or wrong, in the plural.
        input_size: I, the features of a step.
        output_size: D, the features of an answer.
        answers: A, the last steps that ask for one each.
        chance: the best expected accuracy without memory across the gap.
        lr: a learning rate of Adam with which gated cells learn the task over a hundred steps.
    """

    name: str
    unit: str
    input_size: int
    output_size: int
    answers = 1
    chance: float
    lr = 5e-3

    @abstractmethod
    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        """Draw sequences.

        Args:
            gap: the steps between what must be remembered and the question, ≥ 0.
            size: B.
            generator: a generator on the CPU.

        Returns:
            The sequences, on the CPU.
        """

    def records(self, gap: int, size: int, generator: torch.Generator) -> list[FrameRecord]:
        """Draw sequences, as a model reads them.

        Args:
            gap: see `batch`.
            size: see `batch`.
            generator: see `batch`.

        Returns:
            The sequences of `batch`, each with its ``answers`` and its ``gap`` as fields.
        """
        pairs = zip(*(part.numpy() for part in self.batch(gap, size, generator)), strict=True)
        return [
            FrameRecord(
                ArraySource(frames), fields={"answers": answers, "gap": gap}, vectors=frames, frames=len(frames)
            )
            for frames, answers in pairs
        ]

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """The loss in training; by default the cross entropy, in nats.

        Args:
            answers: the outputs of the network, [B, A, D].
            targets: see `SequenceBatch`, [B, A].

        Returns:
            The mean loss of an answer, a scalar.
        """
        return functional.cross_entropy(answers.flatten(0, 1), targets.flatten())

    def right(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Which answers are correct; by default those whose most probable class is the target.

        Args:
            answers: the outputs of the network, [B, A, D].
            targets: see `SequenceBatch`, [B, A].

        Returns:
            Bool, [B, A].
        """
        return answers.argmax(2) == targets


class Copying(MemoryTask):
    """Marked symbols, a gap, a cue: repeat the symbols (Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016).

    Inputs are one-hot (the symbols of the alphabet, the blank, the cue) with a mark on what must be remembered. The gap
    is noise: other symbols, which must not be remembered. In a gap of blanks nothing disturbs a state that has settled
    (Bengio, Simard & Frasconi 1994), and any network can learn to keep it; noise needs a protected memory. The cue
    comes at the first step of the answers, blanks at the others. The symbols are independent and uniform, and each
    answer counts separately; so chance is one over the size of the alphabet.

    Args:
        symbols: A, the number of symbols to remember, which are asked for in the same order.
        alphabet: the number of different symbols.
        noise: whether the gap is noise or blanks.
    """

    unit = "symbols"

    def __init__(self, symbols: int = 3, alphabet: int = 4, noise: bool = True) -> None:
        self.name = "copy" if noise else "copy_blanks"
        self.input_size = alphabet + 3
        self.output_size = alphabet
        self.chance = 1.0 / alphabet
        self.answers = symbols
        self.noise = noise

    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        """See `MemoryTask.batch`; T = symbols + gap + symbols."""
        alphabet = self.output_size
        blank, cue, mark = alphabet, alphabet + 1, alphabet + 2
        targets = torch.randint(alphabet, (size, self.answers), generator=generator)  # [B, A]
        between = targets.new_full((size, gap), blank)  # [B, gap]
        if self.noise:
            between = torch.randint(alphabet, (size, gap), generator=generator)  # [B, gap]
        asked = targets.new_full((size, self.answers), blank)  # [B, A]
        asked[:, 0] = cue
        inputs = functional.one_hot(torch.cat([targets, between, asked], 1), self.input_size).float()  # [B, T, I]
        inputs[:, : self.answers, mark] = 1.0
        return SequenceBatch(inputs, targets)


class Adding(MemoryTask):
    """A marked number, a gap of unmarked numbers, a second marked number: the answer is the sum of the two.

    After Hochreiter & Schmidhuber (1997), with the marked numbers at the two ends, so that the gap is exact. The inputs
    of a step are a number, uniform in 0 … 1, and its mark, 1 or 0. An answer is correct if its error is below
    `tolerance`; this is their tolerance, but their targets are scaled to 0 … 1 and these span 0 … 2: it is twice as
    strict here. Without the first number the best answer is the second + ½, correct with probability 2 · tolerance.
    """

    tolerance = 0.04
    name = "adding"
    unit = "sums"
    input_size = 2
    output_size = 1
    chance = 2.0 * tolerance

    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        """See `MemoryTask.batch`; T = gap + 2."""
        numbers = torch.rand(size, gap + 2, generator=generator)  # [B, T]
        marks = torch.zeros_like(numbers)
        marks[:, 0] = marks[:, -1] = 1.0
        return SequenceBatch(torch.stack([numbers, marks], 2), (numbers[:, :1] + numbers[:, -1:]))

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """See `MemoryTask.loss`; the squared error."""
        return functional.mse_loss(answers.squeeze(2), targets)

    def right(self, answers: Tensor, targets: Tensor) -> Tensor:
        """See `MemoryTask.right`."""
        return (answers.squeeze(2) - targets).abs() < self.tolerance  # [B, A]


_NOUNS = ("key", "door", "car", "tree", "bird", "boat", "book", "hill")
_PREPOSITIONS = ("near", "behind", "beside", "under", "above", "beyond")
_ADVERBS = ("often", "still", "always")
WORDS = ("the", *_NOUNS, *(f"{noun}s" for noun in _NOUNS), *_PREPOSITIONS, *_ADVERBS)


class Agreement(MemoryTask):
    """The verb agrees with its subject, not with the nouns between: *the key near the doors behind the cars* **is**.

    After Linzen, Dupoux & Goldberg (2016), from a small grammar: ``the NOUN (PREPOSITION the NOUN)* ADVERB*``. The gap
    is the words between subject and verb: as many phrases as fit, then adverbs. Subjects are singular or plural with
    equal probability, and so are the nouns between, independently: only the subject decides, and chance is a half.
    Inputs are one-hot words; the answer, at the last word before the verb, is 0 for singular and 1 for plural.
    """

    name = "agreement"
    unit = "verbs"
    input_size = len(WORDS)
    output_size = 2
    chance = 0.5
    lr = 1e-2

    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        """See `MemoryTask.batch`; T = gap + 2."""
        words, plural = self.words(gap, size, generator)  # [B, T], [B]
        return SequenceBatch(functional.one_hot(words, self.input_size).float(), plural.unsqueeze(1))

    def words(self, gap: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sentence beginnings, up to the verb.

        Args:
            gap: the words between subject and verb.
            size: B.
            generator: a generator on the CPU.

        Returns:
            The ids of the words, int64 [B, gap + 2], and whether the subject is plural, int64 [B].
        """
        phrases, rest = divmod(gap, 3)

        def draw(many: int, first: int, columns: int) -> Tensor:  # [B, columns]
            return first + torch.randint(many, (size, columns), generator=generator)

        nouns = draw(2 * len(_NOUNS), 1, phrases + 1)  # [B, P + 1]; the plurals follow the singulars
        prepositions = draw(len(_PREPOSITIONS), 1 + 2 * len(_NOUNS), phrases)  # [B, P]
        adverbs = draw(len(_ADVERBS), 1 + 2 * len(_NOUNS) + len(_PREPOSITIONS), rest)  # [B, rest]
        articles = torch.zeros_like(prepositions)  # [B, P]
        between = torch.stack([prepositions, articles, nouns[:, 1:]], 2).flatten(1)  # [B, 3 P]
        subject = torch.cat([torch.zeros_like(nouns[:, :1]), nouns[:, :1]], 1)  # [B, 2]
        plural = (nouns[:, 0] > len(_NOUNS)).long()  # [B]
        return torch.cat([subject, between, adverbs], 1), plural


_TASKS = (Copying(), Copying(noise=False), Adding(), Agreement())
MEMORY_TASKS: dict[str, MemoryTask] = {task.name: task for task in _TASKS}


def make_memory_task(name: str) -> MemoryTask:
    """The task of a name.

    Args:
        name: a key of `MEMORY_TASKS`.

    Returns:
        The task.

    Raises:
        SettingsError: there is no such task.
    """
    if name not in MEMORY_TASKS:
        raise SettingsError(f"unknown task {name!r}; known: {', '.join(MEMORY_TASKS)}")
    return MEMORY_TASKS[name]
