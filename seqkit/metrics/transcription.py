"""Scores of transcriptions: error rates of words and of characters, and what is taken for what.

A text that was found is compared with the gold one by an alignment with the fewest errors (Levenshtein 1966), which
`jiwer <https://jitsi.github.io/jiwer/>`_ finds. Of S substitutions, D deletions and I insertions in N units of the gold
texts the error rate is (S + D + I) / N, of all texts together.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from seqkit.metrics.scores import plural, text_table
from seqkit.resources import extra

MOST_CONFUSIONS = 1000
"""confusions that a report keeps, of words and of characters; counts are always of all"""
_MOST_ROWS = 10
"""confusions in a printed table"""
_LEAST = 9
"""columns that the confused units of a table keep on a narrow terminal"""


@dataclass(frozen=True)
class Confusion:
    """An error and how often it was made.

    Args:
        gold: the unit that is right; None where one was inserted.
        found: the unit in its place; None where the right one was deleted.
        count: how often.
    """

    gold: str | None
    found: str | None
    count: int


@dataclass(frozen=True)
class UnitErrors:
    """The errors in units of texts: words, characters, phones, digits.

    Args:
        hits: the number of units that are right.
        substituted: (right unit, unit in its place) → how often.
        deleted: unit that is missing → how often.
        inserted: unit that is too many → how often.
    """

    hits: int = 0
    substituted: Counter[tuple[str, str]] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    inserted: Counter[str] = field(default_factory=Counter)

    @property
    def substitutions(self) -> int:
        """The number of units that another one stands for."""
        return self.substituted.total()

    @property
    def deletions(self) -> int:
        """The number of units that are missing."""
        return self.deleted.total()

    @property
    def insertions(self) -> int:
        """The number of units that are too many."""
        return self.inserted.total()

    @property
    def gold(self) -> int:
        """The number of units in the gold texts."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """The number of errors of any kind."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """The errors for each unit of the gold texts, which may be more than 1; without any unit, their number."""
        return self.errors / max(1, self.gold)

    def confusions(self, most: int | None = None) -> list[Confusion]:
        """The most frequent errors.

        Args:
            most: how many; None for all.

        Returns:
            The most frequent one first; of equally frequent ones substitutions, then deletions, then insertions, each
            in the order of code points.
        """
        found = [Confusion(right, guess, count) for (right, guess), count in sorted(self.substituted.items())]
        found += [Confusion(unit, None, count) for unit, count in sorted(self.deleted.items())]
        found += [Confusion(None, unit, count) for unit, count in sorted(self.inserted.items())]
        return sorted(found, key=lambda one: -one.count)[:most]

    def to_json(self) -> dict[str, Any]:
        """The counts as a JSON object.

        Returns:
            ``gold``, ``hits``, ``substitutions``, ``deletions`` and ``insertions``, and ``confusions``, a list of
            objects with ``gold`` (null of an insertion), ``found`` (null of a deletion) and ``count``.
        """
        return {
            "gold": self.gold,
            "hits": self.hits,
            "substitutions": self.substitutions,
            "deletions": self.deletions,
            "insertions": self.insertions,
            "confusions": [asdict(one) for one in self.confusions(MOST_CONFUSIONS)],
        }


def unit_errors(gold: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> UnitErrors:
    """Count the errors in texts of any units.

    Args:
        gold: the units of each gold text, perhaps none.
        found: the units of each text that was found.

    Returns:
        The errors of all texts together.

    Raises:
        ValueError: there are not as many texts as gold ones.

    Examples:
        >>> errors = unit_errors([["one", "two"], []], [["one", "too"], ["six"]])
        >>> errors.rate, errors.confusions()
        (1.0, [Confusion(gold='two', found='too', count=1), Confusion(gold=None, found='six', count=1)])
    """
    if len(gold) != len(found):
        raise ValueError(f"expected {plural(len(gold), 'text')}, found {len(found)}")
    jiwer = extra("jiwer", "scores", "scoring transcriptions")
    rights, guesses = [list(text) for text in gold], [list(text) for text in found]
    # Split already, since a unit may hold spaces.
    output = jiwer.process_words(rights, guesses, _unchanged, _unchanged)
    errors = UnitErrors(output.hits)
    for right, guess, chunks in zip(rights, guesses, output.alignments, strict=True):
        for chunk in chunks:
            here = right[chunk.ref_start_idx : chunk.ref_end_idx]
            there = guess[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "substitute":
                errors.substituted.update(zip(here, there, strict=True))
            elif chunk.type != "equal":  # one of both is empty
                errors.deleted.update(here)
                errors.inserted.update(there)
    return errors


def _unchanged(texts: Any) -> Any:
    """How jiwer is to split texts that are split."""
    return texts


@dataclass(frozen=True)
class TranscriptionReport:
    """The scores of transcriptions.

    Args:
        sentences: the number of texts.
        exact: how many of them have no error.
        words: the errors in words: whatever stands between spaces, such as phones.
        characters: the errors in characters, one space between two words counted as one.
        loss: the mean loss in nats a text, where it was computed.
        frames: the number of frames that were read.
        seconds_of_audio: how long they last, where their rate is known.
        seconds: how long transcribing them took, where it was measured.
        unit: what the words are called, in the plural.
        impossible: how many texts the loss is not of, as the model finds them impossible.
    """

    sentences: int
    exact: int
    words: UnitErrors
    characters: UnitErrors
    loss: float | None = None
    frames: int = 0
    seconds_of_audio: float | None = None
    seconds: float | None = field(default=None, compare=False)
    unit: str = "words"
    impossible: int = 0

    @property
    def tokens(self) -> int:
        """The number of words in the gold texts."""
        return self.words.gold

    @property
    def wer(self) -> float:
        """The word error rate."""
        return self.words.rate

    @property
    def cer(self) -> float:
        """The character error rate."""
        return self.characters.rate

    @property
    def score(self) -> float:
        """The score that selects the best model, the higher the better: the character error rate, negative."""
        return -self.cer

    @property
    def exact_match(self) -> float:
        """The share of texts without an error."""
        return self.exact / max(1, self.sentences)

    @property
    def real_time_factor(self) -> float | None:
        """The seconds that transcribing one second took; None where they are not known."""
        return self.seconds / self.seconds_of_audio if self.seconds is not None and self.seconds_of_audio else None

    @property
    def left_out(self) -> dict[str, str]:
        """What `to_json` leaves out, by its key: a line that says what, and why."""
        found = {}
        for key, errors in (("words", self.words), ("characters", self.characters)):
            count = len(errors.substituted) + len(errors.deleted) + len(errors.inserted)
            if count > MOST_CONFUSIONS:
                kept = f"the {MOST_CONFUSIONS:,} most frequent confusions of {count:,} are kept"
                found[key] = f"{kept}; rates and counts are of all"
        if self.impossible:
            others = "symbols that training has not seen, or more of them than their sequences have steps"
            scored = f"{self.sentences - self.impossible:,} of {plural(self.sentences, 'text')}"
            found["loss"] = f"the loss is of {scored}; the others have {others}"
        return found

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``sentences``, ``tokens`` (words of the gold texts), ``wer``, ``cer``, ``exact_match``, ``words`` and
            ``characters`` (see `UnitErrors.to_json`) and ``frames``; where they are known ``loss``,
            ``seconds_of_audio`` and ``real_time_factor``; and ``left_out``, if anything is.
        """
        known = {
            "loss": self.loss,
            "seconds_of_audio": self.seconds_of_audio,
            "real_time_factor": self.real_time_factor,
            "left_out": self.left_out or None,
        }
        return {
            "sentences": self.sentences,
            "tokens": self.tokens,
            "wer": self.wer,
            "cer": self.cer,
            "exact_match": self.exact_match,
            "words": self.words.to_json(),
            "characters": self.characters.to_json(),
            "frames": self.frames,
            **{key: value for key, value in known.items() if value is not None},
        }

    def render(self, width: int = 80) -> str:
        """The report as tables of text.

        Args:
            width: columns of the terminal; longer units are cut.

        Returns:
            Lines without a final line ending: the error rates, the most frequent errors in words and in characters, and
            a line on the whole.
        """
        both = {self.unit: self.words, "characters": self.characters}
        head = ["", "error rate", "substituted", "deleted", "inserted", "in gold texts"]
        rows = [
            [name, f"{100 * errors.rate:.2f} %", *(f"{count:,}" for count in counts)]
            for name, errors in both.items()
            for counts in [(errors.substitutions, errors.deletions, errors.insertions, errors.gold)]
        ]
        parts = [text_table([head, [], *rows], width=width)]
        parts += [_confusions(name, errors, width) for name, errors in both.items() if errors.errors]
        facts = [f"exact match {self.exact_match:.4f} of {plural(self.sentences, 'text')}"]
        if self.loss is not None:
            facts.append(f"loss {self.loss:.4f} nats per text")
        if self.frames:
            facts.append(plural(self.frames, "frame"))
        if self.seconds_of_audio is not None:
            facts.append(f"{self.seconds_of_audio:,.1f} seconds of audio")
        if self.real_time_factor is not None:
            facts.append(f"real-time factor {self.real_time_factor:.4f}")
        return "\n\n".join([*parts, textwrap.fill(", ".join(facts), max(width, 20))])


def _confusions(name: str, errors: UnitErrors, width: int) -> str:
    """A table of the most frequent errors in units of some name."""
    kept = errors.confusions(_MOST_ROWS + 1)
    cells = max(_LEAST, (width - len("  count  ")) // 2)
    rows = [[*(_shown(unit, cells) for unit in (one.gold, one.found)), f"{one.count:,}"] for one in kept[:_MOST_ROWS]]
    more = [[], ["… and others", "", ""]] if len(kept) > _MOST_ROWS else []
    return text_table([[name, "found as", "count"], [], *rows, *more], names=2, width=width)


def _shown(unit: str | None, most: int) -> str:
    """A unit as a cell of a table."""
    if unit is None:
        return "(nothing)"
    if unit.isspace():
        return "(space)"
    return unit if len(unit) <= most else f"{unit[: most - 1]}…"


def transcription_report(
    gold: Sequence[str],
    found: Sequence[str],
    *,
    loss: float | None = None,
    frames: int = 0,
    seconds_of_audio: float | None = None,
    seconds: float | None = None,
    unit: str = "words",
    impossible: int = 0,
) -> TranscriptionReport:
    """Compare transcriptions with the gold texts.

    Args:
        gold: the gold texts; several spaces are like one, and those at the ends of a text are not counted.
        found: the texts that were found.
        loss: see `TranscriptionReport`.
        frames: see `TranscriptionReport`.
        seconds_of_audio: see `TranscriptionReport`.
        seconds: see `TranscriptionReport`.
        unit: what the words are called, in the plural.
        impossible: see `TranscriptionReport`.

    Returns:
        The report.

    Raises:
        ValueError: there are not as many texts as gold ones.

    Examples:
        >>> report = transcription_report(["one two", ""], ["one too", ""])
        >>> report.wer, report.cer, report.exact_match
        (0.5, 0.14285714285714285, 0.5)
    """
    words = [[text.split() for text in texts] for texts in (gold, found)]
    characters = [[" ".join(text) for text in texts] for texts in words]
    errors = unit_errors(*words), unit_errors(*characters)
    exact = sum(right == guess for right, guess in zip(*words, strict=True))
    return TranscriptionReport(len(gold), exact, *errors, loss, frames, seconds_of_audio, seconds, unit, impossible)
