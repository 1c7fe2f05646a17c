"""How the labels of a file write spans: other letters, the prefix behind, other delimiters, small letters, no prefix.

Everything else reads labels as `seqkit.formats.schemes` has them: ``B-PER``. Here the labels of a whole column are
recognised as another notation of the same, and rewritten:

==================  ===============================================  ==================
BILOU, BIOUL        L ends a span, U is a span of one token           ``L-PER``, ``U-PER``
BMES, BMEWO         M is inside of a span, S or W one of one token    ``M-PER``, ``S-PER``
prefix behind                                                         ``PER-B``
other delimiters                                                      ``B_PER``, ``B:PER``
small letters                                                         ``b-per``, ``o``
IO                  the kind alone; touching spans of a kind are one  ``PER``
==================  ===============================================  ==================

BILOU is described by Ratinov and Roth (2009), "Design challenges and misconceptions in named entity recognition"; BMES
by Xue (2003), "Chinese word segmentation as character tagging".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from seqkit.formats.schemes import from_spans, invalid_moves, spans

_LETTERS = {"BIO": "BI", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW"}
"""notation → its letters beside ``O``, the poorest first"""
_AS_BIOES = {"L": "E", "U": "S", "M": "I", "W": "S"}
_FROM_BIOES = {
    "bilou": {"E": "L", "S": "U"},
    "bmes": {"I": "M"},
    "bmewo": {"I": "M", "S": "W"},
    "io": {},
}
NOTATIONS = tuple(_FROM_BIOES)
"""the notations that `write_notation` writes"""
_DELIMITERS = "-_:"
_PREFIXED = re.compile(r"[A-Z][-_:]")
_MOST_OUTSIDE = 0.3
"""the least share of ``O`` by which labels without prefixes are recognised as those of spans"""
_MOST_KINDS = 50
"""kinds of spans at most in labels without prefixes"""
_MOST_FAULTS = 0.05
"""the greatest share of letters without kinds that do not follow on those before, as in no other labels"""


@dataclass(frozen=True)
class Notation:
    """How the labels of a column are written.

    Args:
        name: what users call it.
        labels: each label → the label as `seqkit.formats.schemes` has it.
    """

    name: str
    labels: Mapping[str, str]

    @property
    def example(self) -> str:
        """How one of the labels that are rewritten is read."""
        changed = ((label, read) for label, read in self.labels.items() if label != read and read != "O")
        label, read = next(changed, (next(label for label in self.labels if label not in ("O", "o")), ""))
        return f"{label!r} is read as {read!r}" if read else f"a run of {label!r} is one span"

    def read(self, labels: Sequence[str]) -> list[str]:
        """The labels of a sentence as `seqkit.formats.schemes` has them, in IOB2 those without a prefix."""
        found = [self.labels.get(label, label) for label in labels]
        if self.name != "IO":
            return found
        starts = [True, *(before != after for before, after in pairwise(found))]
        return [
            label if label == "O" else ("B-" if start else "I-") + label
            for label, start in zip(found, starts, strict=True)
        ]


def detect_notation(sequences: Iterable[Sequence[str]]) -> Notation | None:
    """Recognise labels that mark spans in another notation than those of `seqkit.formats.schemes`.

    Args:
        sequences: the labels of each sentence.

    Returns:
        The notation; None for labels that need no rewriting, or that mark no spans.
    """
    columns = list(sequences)
    counts = Counter(label for labels in columns for label in labels)
    inside = [label for label in counts if label not in ("O", "o")]
    if not inside:
        return None
    for behind in (False, True):
        for delimiter in _DELIMITERS:
            parts = {label: _parts(label, delimiter, behind) for label in inside}
            letters = {letter for letter, _ in parts.values()}
            for name, known in _LETTERS.items():
                if letters <= {*known} or letters <= {*known.lower()}:
                    found = _notation(name, parts, behind, delimiter, letters)
                    return (
                        found if found is None or _is_likely(found, parts, columns, len(inside) < len(counts)) else None
                    )
    return _without_prefixes(counts, inside)


def _parts(label: str, delimiter: str, behind: bool) -> tuple[str, str]:
    """Letter and kind; the letter is empty if the label is not of this form."""
    if len(label) == 1 and not behind:
        return label, ""
    kind, found, letter = label.rpartition(delimiter) if behind else label.partition(delimiter)[::-1]
    return (letter, kind) if found and len(letter) == 1 and kind else ("", "")


def _notation(
    name: str, parts: Mapping[str, tuple[str, str]], behind: bool, delimiter: str, letters: set[str]
) -> Notation | None:
    """The notation of labels of known form; None if they are written as `seqkit.formats.schemes` writes them."""
    renamed = _AS_BIOES if name not in ("BIO", "BIOES") else {}
    read = {"O": "O", "o": "O"}
    for label, (letter, kind) in parts.items():
        prefix = renamed.get(letter.upper(), letter.upper())
        read[label] = f"{prefix}-{kind}" if kind else prefix
    if all(label == new for label, new in read.items() if label != "o"):
        return None
    form = (", prefix behind" if behind else "") + (f", delimiter {delimiter!r}" if delimiter != "-" else "")
    return Notation(name + form + (", small letters" if any(map(str.islower, letters)) else ""), read)


def _is_likely(
    notation: Notation, parts: Mapping[str, tuple[str, str]], columns: Sequence[Sequence[str]], has_outside: bool
) -> bool:
    """Whether labels of this form mark spans: kinds have several letters, or letters alone follow as they have to."""
    kinds = Counter(kind for _, kind in parts.values())
    if [*kinds] == [""]:
        faults = sum(len(invalid_moves(notation.read(labels), "bioes")) for labels in columns)
        return len(parts) > 1 and faults <= _MOST_FAULTS * sum(map(len, columns))
    return has_outside or 2 * sum(letters > 1 for letters in kinds.values()) >= len(kinds)


def _without_prefixes(counts: Counter[str], inside: Sequence[str]) -> Notation | None:
    """IO: mostly ``O``, and kinds alone."""
    outside = counts["O"] + counts["o"]
    if outside < _MOST_OUTSIDE * counts.total() or len(inside) > _MOST_KINDS:
        return None
    if not all(len(label) > 1 and label[0].isalpha() for label in inside):
        return None
    if any(_PREFIXED.match(label) for label in inside):
        return None
    return Notation("IO", {"O": "O", "o": "O", **{label: label for label in inside}})


def write_notation(labels: Sequence[str], name: str) -> list[str]:
    """Write the labels of a sentence in another notation than those of `seqkit.formats.schemes`.

    Spans are those of `seqkit.formats.schemes.spans`, which reads every scheme by the same rules. IO loses where a span
    ends and the next one of its kind begins; see `joined_spans`. The other notations lose nothing.

    Args:
        labels: the labels, in any scheme but ``none``.
        name: one of `NOTATIONS`.

    Returns:
        As many labels.

    Raises:
        ValueError: there is no such notation.
    """
    if name not in NOTATIONS:
        raise ValueError(f"unknown notation {name!r}; choose from {', '.join(NOTATIONS)}")
    whole = from_spans(spans(labels, "bioes"), len(labels), "bioes")
    if name == "io":
        return [label if label == "O" else label[2:] or "I" for label in whole]
    letters = _FROM_BIOES[name]
    return [label if label == "O" else letters.get(label[0], label[0]) + label[1:] for label in whole]


def joined_spans(labels: Sequence[str]) -> int:
    """How many spans of a sentence directly follow one of their kind, with which IO joins them.

    Args:
        labels: the labels, in any scheme but ``none``.

    Returns:
        The number.
    """
    found = spans(labels, "bioes")
    return sum(one.end == other.start and one.label == other.label for one, other in pairwise(found))
