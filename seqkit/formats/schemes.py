"""Span labels in text form: the schemes IOB1, IOB2 and BIOES, their detection, conversion and legal moves.

A label is ``O`` (outside) or a prefix and a kind, ``B-PER``; a bare prefix (``B``, as in word segmentation) has the
empty kind. The prefixes of the tokens of a span:

========  =============================  ===========================  ===============
scheme    first token                    further tokens               single token
========  =============================  ===========================  ===============
``iob1``  ``I``; ``B`` only right after  ``I``                        as first
          a span of the same kind
``iob2``  ``B``                          ``I``                        ``B``
``bioes`` ``B``                          ``I``, the last one ``E``    ``S``
========  =============================  ===========================  ===============

``none`` means labels that mark no spans, such as parts of speech. IOB1 is from Ramshaw and Marcus (1995),
"Text chunking using transformation-based learning".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMES = ("iob1", "iob2", "bioes", "none")

_PREFIXES = {"iob1": "BI", "iob2": "BI", "bioes": "BIES"}


class Span(NamedTuple):
    """A labelled run of tokens.

    Args:
        start: the first token's index.
        end: one past the last token's index.
        label: the kind, without a prefix.
    """

    start: int
    end: int
    label: str


@lru_cache(maxsize=4096)  # a few labels, looked up for every token
def _parts(label: str) -> tuple[str, str]:
    """Prefix and kind; ``("O", "")`` for outside, and ``("", "")`` for other labels."""
    if label == "O":
        return "O", ""
    if label[:1] in ("B", "I", "E", "S") and (len(label) == 1 or (label[1] == "-" and len(label) > 2)):
        return label[0], label[2:]
    return "", ""


def _join(prefix: str, kind: str) -> str:
    return f"{prefix}-{kind}" if kind else prefix


def _known(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; choose from {', '.join(SCHEMES)}")


def detect_scheme(sequences: Iterable[Sequence[str]]) -> str:
    """Find the scheme that label sequences are written in.

    ``none`` if some label is not of the form ``O`` or ``B-…``, ``I-…``, ``E-…``, ``S-…``, or nothing but ``O`` occurs;
    ``bioes`` if there is an ``E`` or ``S``; ``iob1`` if an ``I`` starts a span while ``B`` occurs only right after a
    span of the same kind; otherwise ``iob2``, in which a rare ``I`` at the start of a span counts as an error.

    Args:
        sequences: the labels of each sentence.

    Returns:
        One of `SCHEMES`.
    """
    seen: dict[str, tuple[str, str]] = {}
    inside_begins = b_elsewhere = False
    for labels in sequences:
        previous = ("O", "")
        for label in labels:
            current = seen.get(label)
            if current is None:
                current = seen[label] = _parts(label)
                if not current[0]:
                    return "none"
            if current[0] != "O" and (previous[0] == "O" or previous[1] != current[1]):
                inside_begins = inside_begins or current[0] == "I"
                b_elsewhere = b_elsewhere or current[0] == "B"
            previous = current
    prefixes = {prefix for prefix, _ in seen.values()}
    if prefixes <= {"O"}:
        return "none"
    if prefixes & {"E", "S"}:
        return "bioes"
    return "iob1" if inside_begins and not b_elsewhere else "iob2"


def spans(labels: Sequence[str], scheme: str) -> list[Span]:
    """Read the spans of one sentence's labels by the CoNLL rules.

    The rules (those of ``conlleval``, and of seqeval's default mode) accept every sequence: a span starts at ``B`` or
    ``S``, at ``I`` or ``E`` after ``O``, ``E`` or ``S``, and where the kind changes; it ends before the next span,
    before ``O``, and after ``E`` or ``S``. A label that is not one of the scheme's counts as ``O``.

    Args:
        labels: one label per token.
        scheme: one of `SCHEMES`; with ``none`` there are no spans.

    Returns:
        The spans in order of their tokens; they never overlap.
    """
    _known(scheme)
    if scheme == "none":
        return []
    found: list[Span] = []
    start, kind = -1, ""  # start: where the open span began, -1 when none is open
    for index, label in enumerate(labels):
        if label == "O" and start < 0:  # the most frequent case by far
            continue
        prefix, new_kind = _parts(label)
        outside = prefix in ("O", "")
        if start >= 0 and (outside or prefix in ("B", "S") or new_kind != kind):
            found.append(Span(start, index, kind))
            start = -1
        if outside:
            continue
        if start < 0:
            start, kind = index, new_kind
        if prefix in ("E", "S"):
            found.append(Span(start, index + 1, kind))
            start = -1
    if start >= 0:
        found.append(Span(start, len(labels), kind))
    return found


def from_spans(spans: Iterable[tuple[int, int, str]], length: int, scheme: str) -> list[str]:
    """Write spans as labels.

    Args:
        spans: ``(start, end, label)`` in tokens, `end` exclusive; no two may share a token.
        length: the number of tokens.
        scheme: ``iob1``, ``iob2`` or ``bioes``.

    Returns:
        One label per token.

    Raises:
        ValueError: a span is empty, lies outside the sentence or overlaps another; or the scheme has no spans.
    """
    _known(scheme)
    if scheme == "none":
        raise ValueError("scheme 'none' has no spans")
    labels = ["O"] * length
    before = Span(0, 0, "")
    for start, end, kind in sorted(spans, key=lambda span: span[:2]):
        if not before.end <= start < end <= length:
            raise ValueError(f"span {start}:{end} is empty, outside the {length} tokens, or overlaps another")
        labels[start:end] = [_join("I", kind)] * (end - start)
        touches = before.end == start and before.label == kind and before.start < before.end
        if scheme != "iob1" or touches:
            labels[start] = _join("B", kind)
        if scheme == "bioes":
            labels[end - 1] = _join("E" if end - start > 1 else "S", kind)
        before = Span(start, end, kind)
    return labels


def convert(labels: Sequence[str], source: str, target: str) -> list[str]:
    """Rewrite one sentence's labels in another scheme.

    An invalid sequence is repaired by the CoNLL rules (see `spans`), even if both schemes are the same.

    Args:
        labels: one label per token.
        source: the scheme they are in.
        target: the new scheme.

    Returns:
        As many labels; unchanged if either scheme is ``none``.
    """
    _known(target)
    if "none" in (source, target):
        return list(labels)
    return from_spans(spans(labels, source), len(labels), target)


def _may_follow(before: tuple[str, str], after: tuple[str, str], scheme: str) -> bool:
    """Whether `after` may follow `before`; ``("O", "")`` also means the start and the end of the sentence."""
    prefix, kind = after
    same = before[0] != "O" and before[1] == kind
    if scheme == "iob1":
        return prefix != "B" or same
    if scheme == "iob2":
        return prefix != "I" or same
    open_before = before[0] in ("B", "I")
    return open_before and same if prefix in ("I", "E") else not open_before


def _in_scheme(label: str, scheme: str) -> tuple[str, str]:
    """Like `_parts`, with ``("", "")`` also for a prefix that the scheme does not have."""
    prefix, kind = _parts(label)
    return (prefix, kind) if prefix == "O" or (prefix and prefix in _PREFIXES[scheme]) else ("", "")


def is_label(label: str, scheme: str) -> bool:
    """Whether a label has the form that a scheme's labels have: ``O``, or one of its prefixes and a kind."""
    return scheme == "none" or bool(_in_scheme(label, scheme)[0])


def invalid_moves(labels: Sequence[str], scheme: str) -> list[tuple[int, str]]:
    """Find where one sentence's labels break their scheme's rules.

    Args:
        labels: one label per token.
        scheme: one of `SCHEMES`; with ``none`` everything is valid.

    Returns:
        For every fault the token's index and what is wrong, in order.
    """
    _known(scheme)
    if scheme == "none":
        return []
    faults: list[tuple[int, str]] = []
    before, before_label = ("O", ""), "the start of the sentence"
    for index, label in enumerate(labels):
        current = _in_scheme(label, scheme)
        if not current[0]:
            faults.append((index, f"{label} is not a label of {scheme}"))
            current = ("O", "")
        elif not _may_follow(before, current, scheme):
            faults.append((index, f"{label} may not follow {before_label} in {scheme}"))
        before, before_label = current, label
    if not _may_follow(before, ("O", ""), scheme):
        faults.append((len(labels) - 1, f"{before_label} may not end a sentence in {scheme}"))
    return faults


def legal_moves(labels: Sequence[str], scheme: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which labels may start a sentence, follow one another, and end a sentence.

    A label that is not one of the scheme's is treated as ``O``. Complete the labels with `inventory` first if every
    sentence, even one of a single token, must have a valid sequence.

    Args:
        labels: the K labels of a model, in its order.
        scheme: one of `SCHEMES`; with ``none`` everything is valid.

    Returns:
        Boolean arrays start [K], transition [K, K] (from, to) and end [K].
    """
    import numpy as np

    _known(scheme)
    size = len(labels)
    if scheme == "none":
        return np.ones(size, bool), np.ones((size, size), bool), np.ones(size, bool)
    outside = ("O", "")
    parts = [part if part[0] else outside for part in (_in_scheme(label, scheme) for label in labels)]
    start = np.array([_may_follow(outside, part, scheme) for part in parts], bool)  # [K]
    end = np.array([_may_follow(part, outside, scheme) for part in parts], bool)  # [K]
    # Only whether two kinds are the same matters, so that pairs of prefixes are compared, not K² pairs of labels.
    prefixes, kinds = "OBIES", {kind: number for number, kind in enumerate(dict.fromkeys(kind for _, kind in parts))}
    prefix = np.array([prefixes.index(part[0]) for part in parts], np.int64)  # [K]
    kind = np.array([kinds[part[1]] for part in parts], np.int64)  # [K]
    alike, unlike = (
        np.array([[_may_follow((one, "x"), (other, name), scheme) for other in prefixes] for one in prefixes])[prefix]
        for name in ("x", "y")
    )  # each [K, 5]
    moves = np.where(kind[:, None] == kind, alike[:, prefix], unlike[:, prefix])  # [K, K]
    return start, moves, end


def inventory(labels: Iterable[str], scheme: str) -> list[str]:
    """All labels that a scheme needs for the kinds that occur.

    Training data may lack some, ``E-LOC`` or even ``O``; with the full set there is a valid sequence of every length.

    Args:
        labels: the labels that occur, in any order and number.
        scheme: one of `SCHEMES`.

    Returns:
        Sorted labels; for ``none`` only those that occur.
    """
    _known(scheme)
    found = set(labels)
    if scheme != "none":
        parts = [_in_scheme(label, scheme) for label in found]
        kinds = {kind for prefix, kind in parts if prefix not in ("", "O")}
        found |= {"O"} | {_join(prefix, kind) for kind in kinds for prefix in _PREFIXES[scheme]}
    return sorted(found)
