"""Artificial sequences with a gap between what has to be remembered and where it is asked for.

Three tasks: `Copying` symbols, `Adding` two numbers, `Agreement` of a verb with its subject. Each draws sequences from
a generator, all of a batch with the same gap and hence of the same length; what has to be answered stands at the last A
steps. `chance` is the best expected accuracy of one who has forgotten everything before the gap.

There are few different sequences at short gaps: 256 copies and 48 beginnings of sentences at gap 1, of copies with
blanks 64 at any gap. There, sequences of another random stream are mostly the same ones again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from seqkit.errors import SettingsError

__all__ = ["MEMORY_TASKS", "Adding", "Agreement", "Copying", "MemoryTask", "SequenceBatch", "make_memory_task"]


class SequenceBatch(NamedTuple):
    """Sequences of one length, and what a network has to say at their ends.

    Attributes:
        inputs: one vector a step, [B, T, I].
        targets: the answers at the last A steps, [B, A]: int64 classes, or numbers.
    """

    inputs: Tensor
    targets: Tensor


class MemoryTask(Protocol):
    """A source of sequences, and the judge of the answers."""

    @property
    def name(self) -> str:
        """What the task is called."""

    @property
    def unit(self) -> str:
        """What is counted as right or wrong, in the plural."""

    @property
    def input_size(self) -> int:
        """I, the features of a step."""

    @property
    def output_size(self) -> int:
        """D, the features of an answer."""

    @property
    def chance(self) -> float:
        """The best expected accuracy without memory across the gap."""

    @property
    def lr(self) -> float:
        """A learning rate of Adam with which gated cells learn it across a hundred steps."""

    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        """Draw sequences.

        Args:
            gap: the steps between what has to be remembered and where it is asked for, ≥ 0.
            size: B.
            generator: a generator of the CPU.

        Returns:
            The sequences, on the CPU.
        """

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """What training makes small.

        Args:
            answers: of the network, [B, A, D].
            targets: see `SequenceBatch`, [B, A].

        Returns:
            The mean loss of an answer, a scalar.
        """

    def right(self, answers: Tensor, targets: Tensor) -> Tensor:
        """Which answers count as right.

        Args:
            answers: of the network, [B, A, D].
            targets: see `SequenceBatch`, [B, A].

        Returns:
            Bool, [B, A].
        """


class _Choice:
    """A task whose answers are one of D classes."""

    def loss(self, answers: Tensor, targets: Tensor) -> Tensor:
        """See `MemoryTask.loss`; cross entropy, in nats."""
        return functional.cross_entropy(answers.flatten(0, 1), targets.flatten())

    def right(self, answers: Tensor, targets: Tensor) -> Tensor:
        """See `MemoryTask.right`; the most probable class is the target."""
        return answers.argmax(2) == targets  # [B, A]


@dataclass(frozen=True)
class Copying(_Choice):
    """Marked symbols, a gap, a cue: now say the symbols again (Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016).

    Inputs are one-hot: the symbols of the alphabet, the blank, the cue; and a mark on what is to be remembered. The gap
    is noise: other symbols, which are not to be remembered. In a gap of blanks nothing disturbs a state that has
    settled (Bengio, Simard & Frasconi 1994), and it can be found again by any network; noise asks for a memory that is
    protected. The cue comes at the first step at which a symbol is asked for, blanks at the others. The symbols are
    drawn independently and evenly, and each is judged by itself; hence chance is one in as many as the alphabet has.

    Args:
        symbols: A, how many are shown, and asked for in the same order.
        alphabet: how many different ones there are.
        noise: whether the gap is of noise, not of blanks.
    """

    symbols: int = 3
    alphabet: int = 4
    noise: bool = True

    unit = "symbols"
    lr = 5e-3

    @property
    def name(self) -> str:
        """See `MemoryTask.name`."""
        return "copy" if self.noise else "copy_blanks"

    @property
    def input_size(self) -> int:
        """I."""
        return self.alphabet + 3

    @property
    def output_size(self) -> int:
        """D."""
        return self.alphabet

    @property
    def chance(self) -> float:
        """See `MemoryTask.chance`."""
        return 1.0 / self.alphabet

    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        """See `MemoryTask.batch`; T = symbols + gap + symbols."""
        blank, cue, mark = self.alphabet, self.alphabet + 1, self.alphabet + 2
        targets = torch.randint(self.alphabet, (size, self.symbols), generator=generator)  # [B, A]
        between = targets.new_full((size, gap), blank)  # [B, gap]
        if self.noise:
            between = torch.randint(self.alphabet, (size, gap), generator=generator)  # [B, gap]
        asked = targets.new_full((size, self.symbols), blank)  # [B, A]
        asked[:, 0] = cue
        inputs = functional.one_hot(torch.cat([targets, between, asked], 1), self.input_size).float()  # [B, T, I]
        inputs[:, : self.symbols, mark] = 1.0
        return SequenceBatch(inputs, targets)


@dataclass(frozen=True)
class Adding:
    r"""A marked number, a gap of unmarked ones, a second marked number: say the sum of the two.

    After Hochreiter & Schmidhuber (1997), with the marked numbers at the two ends, so that the gap is exact. A step's
    inputs are a number, even in 0 … 1, and its mark, 1 or 0. An answer is right if it errs by less than `tolerance`; it
    is the number that they have, but their target is scaled to 0 … 1 and this one spans 0 … 2: here it is twice as
    strict. One who has forgotten the first number says the second + ½, and is right with probability 2 · tolerance.

    Args:
        tolerance: the error from which on an answer is wrong, below ½.
    """

    tolerance: float = 0.04

    name = "adding"
    unit = "sums"
    input_size = 2
    output_size = 1
    lr = 5e-3

    @property
    def chance(self) -> float:
        """See `MemoryTask.chance`."""
        return 2.0 * self.tolerance

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
_WORDS = ("the", *_NOUNS, *(f"{noun}s" for noun in _NOUNS), *_PREPOSITIONS, *_ADVERBS)


@dataclass(frozen=True)
class Agreement(_Choice):
    """The verb agrees with its subject, not with the nouns between: *the key near the doors behind the cars* **is**.

    After Linzen, Dupoux & Goldberg (2016), from a small grammar: ``the NOUN (PREPOSITION the NOUN)* ADVERB*``. The gap
    is the words between subject and verb, as many phrases as fit and then adverbs. Subjects are singular or plural
    evenly, and the nouns between are so independently: only the subject tells the verb, and chance is a half. Inputs
    are one-hot words; the answer, at the last word before the verb, is 0 for singular and 1 for plural.
    """

    name = "agreement"
    unit = "verbs"
    input_size = len(_WORDS)
    output_size = 2
    chance = 0.5
    lr = 1e-2

    def batch(self, gap: int, size: int, generator: torch.Generator) -> SequenceBatch:
        """See `MemoryTask.batch`; T = gap + 2."""
        words, plural = self.words(gap, size, generator)  # [B, T], [B]
        return SequenceBatch(functional.one_hot(words, self.input_size).float(), plural.unsqueeze(1))

    def words(self, gap: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw beginnings of sentences, up to the verb.

        Args:
            gap: the words between subject and verb.
            size: B.
            generator: a generator of the CPU.

        Returns:
            The words as rows of the vocabulary, int64 [B, gap + 2], and whether the subject is plural, int64 [B].
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

    def spell(self, words: Tensor) -> str:
        """One beginning of a sentence as text.

        Args:
            words: a row of what `words` gave, [T].

        Returns:
            The words with spaces between.
        """
        return " ".join(_WORDS[word] for word in words.tolist())


MEMORY_TASKS: dict[str, Callable[[], MemoryTask]] = {
    "copy": Copying,
    "copy_blanks": partial(Copying, noise=False),
    "adding": Adding,
    "agreement": Agreement,
}


def make_memory_task(name: str) -> MemoryTask:
    """A task with its own sizes.

    Args:
        name: a key of `MEMORY_TASKS`.

    Returns:
        The task.

    Raises:
        SettingsError: there is no such task.
    """
    if name not in MEMORY_TASKS:
        raise SettingsError(f"expected a task among {', '.join(MEMORY_TASKS)}, found {name!r}")
    return MEMORY_TASKS[name]()
