"""Scores of a tagger of sequences of vectors: of frames, and of the runs that their labels make."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from seqkit.formats.runs import Run, runs_of
from seqkit.metrics.scores import LabelReport, Score, plural, score_labels
from seqkit.metrics.tagging import LagReport


@dataclass(frozen=True)
class FrameTaggingReport(LabelReport):
    """The scores of a tagger on a set of sequences of vectors; `tokens` and `per_label` are of frames.

    Args:
        sentences: the number of sequences that were scored.
        tokens: the number of their frames.
        accuracy: the share of frames whose label is correct, between 0 and 1.
        per_label: label → score of its frames.
        scheme: how labels mark spans; ``none`` where each run of equal labels is one.
        exact: of runs: correct are those with the same label, start and end, in frames.
        near: of runs: both ends may be off by the tolerance; each run counts for one at most.
        tolerance: by how much.
        unit: what that is in: ``seconds`` or ``frames``.
        labels: of each sequence the labels of its gold runs and of those that were predicted.
        lag: what the labels have to do with those of whole sequences, where they were decided earlier.
    """

    scheme: str = "none"
    exact: Score = field(default_factory=lambda: Score(0.0, 0.0, 0.0, 0))
    near: Score = field(default_factory=lambda: Score(0.0, 0.0, 0.0, 0))
    tolerance: float = 0.0
    unit: str = "frames"
    labels: Sequence[tuple[Sequence[str], Sequence[str]]] = field(default=(), repr=False, compare=False)
    lag: LagReport | None = None

    @property
    def summary(self) -> dict[str, float]:
        """The scores in a line, by their names."""
        return {"accuracy": self.accuracy, "F1 of runs": self.near.f1}

    @cached_property
    def run_errors(self) -> int:
        """The fewest runs to be replaced, removed or added, so that the labels are the gold ones in their order.

        Its time grows with the product of both numbers of runs of a sequence: it is computed where it is asked for.
        """
        return sum(edit_distance(*pair) for pair in self.labels)

    @property
    def run_error_rate(self) -> float:
        """The errors for each gold run, which may be more than 1; without any run, their number."""
        return self.run_errors / max(1, self.exact.support)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object.

        Returns:
            ``scheme``, ``sentences``, ``tokens``, ``accuracy`` and ``per_label`` of frames; and as ``runs`` their
            number, ``exact`` and ``near`` with precision, recall and F1, ``tolerance`` and its ``unit``, and ``errors``
            with ``error_rate``; and what `LagReport.to_json` gives.
        """
        exact, near = ({k: v for k, v in asdict(score).items() if k != "support"} for score in (self.exact, self.near))
        runs: dict[str, Any] = {"count": self.exact.support, "exact": exact, "near": near}
        runs |= {"tolerance": self.tolerance, "unit": self.unit}
        runs |= {"errors": self.run_errors, "error_rate": self.run_error_rate}
        lag = {} if self.lag is None else self.lag.to_json()
        return {"scheme": self.scheme, **self._json({"runs": runs}), **lag}

    def render(self, width: int = 80) -> str:
        """The report as a table of text.

        Args:
            width: columns of the terminal; longer labels are cut.

        Returns:
            Lines without a final line ending: a row per label, the average, and the accuracy; and of runs.
        """
        averages: dict[str, Score | None] = {
            "macro avg": self.macro,
            "runs, exact": self.exact,
            "runs, near": self.near,
        }
        table = self._table(averages, width)
        frames = f"accuracy {self.accuracy:.4f} of {plural(self.tokens, 'frame')} in"
        unit = self.unit if self.tolerance != 1 else self.unit.removesuffix("s")
        closing = (
            f"{frames} {plural(self.sentences, 'sequence')}; labels of runs in their order: error rate "
            f"{100 * self.run_error_rate:.2f} % of {plural(self.exact.support, 'run')}; near: both ends within "
            f"{self.tolerance:g} {unit}"
        )
        closings = [closing] if self.lag is None else [closing, self.lag.render()]
        return "\n\n".join([table, *(textwrap.fill(each, max(width, 20)) for each in closings)])


def frame_tagging_report(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    scheme: str = "none",
    *,
    outside: str = "O",
    tolerance: float = 0.0,
    unit: str = "frames",
    frames: float | None = None,
) -> FrameTaggingReport:
    """Compare predicted labels of frames with gold ones.

    Args:
        gold: the gold labels, one list per sequence.
        predicted: the labels that a tagger predicted, as many per sequence.
        scheme: how labels mark spans: ``iob1``, ``iob2`` or ``bioes``; ``none``: runs of equal labels count.
        outside: the label whose runs do not count.
        tolerance: by how much both ends of a run may be off.
        unit: what that is in.
        frames: the same in frames; by default it is.

    Returns:
        The report.

    Raises:
        ValueError: there are not as many predicted sequences or labels as gold ones.

    Examples:
        >>> report = frame_tagging_report([list("OaaabbO")], [list("OOaabbb")], tolerance=1)
        >>> round(report.accuracy, 3), report.exact.f1, report.near.f1, report.run_error_rate
        (0.714, 0.0, 1.0, 0.0)
    """
    if len(gold) != len(predicted):
        raise ValueError(f"expected labels for {plural(len(gold), 'sequence')}, found {len(predicted)}")
    for index, (right, guess) in enumerate(zip(gold, predicted, strict=True)):
        if len(right) != len(guess):
            raise ValueError(f"sequence {index}: expected {plural(len(right), 'label')}, found {len(guess)}")
    flat_gold, flat_predicted = (list(chain.from_iterable(labels)) for labels in (gold, predicted))
    matching = [label for label, guess in zip(flat_gold, flat_predicted, strict=True) if label == guess]
    per_label, _ = score_labels(Counter(matching), Counter(flat_predicted), Counter(flat_gold))
    counts = [0, 0, 0, 0]  # exact, near, predicted and gold runs
    pairs: list[tuple[list[str], list[str]]] = []
    for right, guess in zip(gold, predicted, strict=True):
        runs, found = (
            [run for run in runs_of(labels, scheme) if scheme != "none" or run.label != outside]
            for labels in (right, guess)
        )
        near = _matches(runs, found, tolerance if frames is None else frames)
        here = (len(set(runs) & set(found)), near, len(found), len(runs))
        counts = [total + each for total, each in zip(counts, here, strict=True)]
        pairs.append(([run.label for run in runs], [run.label for run in found]))
    return FrameTaggingReport(
        len(gold),
        len(flat_gold),
        len(matching) / max(1, len(flat_gold)),
        per_label,
        scheme,
        Score.of_counts(counts[0], counts[2], counts[3]),
        Score.of_counts(counts[1], counts[2], counts[3]),
        tolerance,
        unit,
        pairs,
    )


def _matches(gold: Sequence[Run], predicted: Sequence[Run], tolerance: float) -> int:
    """How many pairs of runs can be made whose labels are the same and whose ends are near.

    Runs of one label follow each other, so that those that are near a run come one after another, and not before those
    near an earlier run: the first one that is free is always a best choice.
    """
    waiting: defaultdict[str, list[Run]] = defaultdict(list)
    for run in reversed(predicted):
        waiting[run.label].append(run)
    tolerance += 1e-6  # of rounding, a part of a frame
    count = 0
    for run in gold:
        others = waiting[run.label]
        while others and (others[-1].start < run.start - tolerance or others[-1].end < run.end - tolerance):
            others.pop()
        if others and others[-1].start <= run.start + tolerance and others[-1].end <= run.end + tolerance:
            others.pop()
            count += 1
    return count


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """The fewest labels to be replaced, removed or added, so that one sequence becomes the other (Levenshtein 1966).

    Args:
        one: labels.
        other: labels.

    Returns:
        The number.
    """
    numbers = {label: number for number, label in enumerate({*one, *other})}
    columns = np.array([numbers[label] for label in other], dtype=np.int64)  # [M]
    places = np.arange(len(columns) + 1)  # [M + 1]
    row = places  # of each beginning of the other the distance to a beginning of the one
    for number, label in enumerate(one, start=1):
        best = np.minimum(row[:-1] + (columns != numbers[label]), row[1:] + 1)  # [M]
        # An added label costs one more than the place before: the least of all places before, and the way from there.
        row = np.minimum.accumulate(np.concatenate([[number], best]) - places) + places  # [M + 1]
    return int(row[-1])
