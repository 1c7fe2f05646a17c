"""What there is in a data set: sizes, lengths, labels, and how much of dev and test train has never seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seqkit.corpora.check import label_column
from seqkit.corpora.dataset import Dataset
from seqkit.formats.schemes import detect_scheme
from seqkit.formats.schemes import spans as read_spans
from seqkit.formats.splitting import Splitter
from seqkit.records import Sentence

__all__ = ["SplitStatistics", "render_statistics", "statistics"]

_QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """The numbers of one split.

    Args:
        sentences: sentences, empty ones among them.
        empty: sentences without a token.
        tokens: tokens.
        types: different tokens.
        lengths: tokens a sentence: mean, and the quantiles ``50%``, ``90%``, ``99%`` and ``100%``.
        unseen_tokens: share of the tokens that train does not have; None for train itself.
        unseen_types: share of the types that train does not have; None for train itself.
        scheme: how the labels mark spans; ``none`` where they do not.
        labels: label → tokens; of a span scheme, kind → spans.
    """

    sentences: int
    empty: int
    tokens: int
    types: int
    lengths: dict[str, float]
    unseen_tokens: float | None
    unseen_types: float | None
    scheme: str
    labels: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON holds them."""
        return asdict(self)


def statistics(dataset: Dataset, target: str | None = None) -> dict[str, SplitStatistics]:
    """Count what there is in a data set.

    Args:
        dataset: the data set; a held-out dev split is counted as one.
        target: the label column; by default the card's, else ``upos`` in CoNLL-U and the last one elsewhere. Of
            labelled texts the field of the label, by default the card's or ``label``.

    Returns:
        Split → numbers.

    Raises:
        DataError: a file has a fault, or there is no such column.
    """
    names = ["all"] if "all" in dataset.splits else [name for name in ("train", "dev", "test") if dataset.has(name)]
    splitter = Splitter("words").split
    field = dataset.label_field(target)
    contents = {
        name: dataset.sentences(name, splitter) if field is None else dataset.texts(name, splitter, label=field)
        for name in names
    }
    train = Counter(token for sentence in contents.get("train", ()) for token in sentence.tokens)
    labels = {
        name: [column for sentence in found if (column := label_column(dataset, sentence, target)) is not None]
        for name, found in contents.items()
    }
    own = dataset.scheme if target in (None, dataset.target) else "auto"
    own = own if field is None else "none"
    scheme = detect_scheme(labels[names[0]]) if own == "auto" and names else own
    return {
        name: _count(found, labels[name], scheme, train if name in ("dev", "test") and train else None)
        for name, found in contents.items()
    }


def _count(
    sentences: Sequence[Sentence], labels: Sequence[Sequence[str]], scheme: str, train: Counter[str] | None
) -> SplitStatistics:
    tokens = Counter(token for sentence in sentences for token in sentence.tokens)
    total = sum(tokens.values())
    lengths = sorted(len(sentence) for sentence in sentences if sentence.tokens)
    quantiles = {f"{share:.0%}": float(lengths[round(share * (len(lengths) - 1))]) for share in _QUANTILES if lengths}
    if scheme == "none":
        counts = Counter(label for sequence in labels for label in sequence)
    else:
        counts = Counter(span.label for sequence in labels for span in read_spans(sequence, scheme))
    unseen = [] if train is None else [token for token in tokens if token not in train]
    return SplitStatistics(
        sentences=len(sentences),
        empty=len(sentences) - len(lengths),
        tokens=total,
        types=len(tokens),
        lengths={"mean": total / max(1, len(lengths)), **quantiles},
        unseen_tokens=None if train is None else sum(tokens[token] for token in unseen) / max(1, total),
        unseen_types=None if train is None else len(unseen) / max(1, len(tokens)),
        scheme=scheme,
        labels=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    )


def render_statistics(found: dict[str, SplitStatistics], *, most: int = 40) -> str:
    """The numbers as a table of text.

    Args:
        found: split → numbers.
        most: labels to show; of more, the rarest are summed up.

    Returns:
        Lines, each ending in a line feed.
    """
    rows: list[tuple[str, ...]] = [("", *found)]
    for title, number in (
        ("sentences", lambda part: f"{part.sentences:,}"),
        ("  without tokens", lambda part: f"{part.empty:,}"),
        ("tokens", lambda part: f"{part.tokens:,}"),
        ("types", lambda part: f"{part.types:,}"),
        ("unseen tokens", lambda part: "" if part.unseen_tokens is None else f"{part.unseen_tokens:.1%}"),
        ("unseen types", lambda part: "" if part.unseen_types is None else f"{part.unseen_types:.1%}"),
    ):
        rows.append((title, *map(number, found.values())))
    for name in ("mean", *(f"{share:.0%}" for share in _QUANTILES)):
        title = "tokens a sentence" if name == "mean" else f"  at most, {name}"
        rows.append((title, *(f"{part.lengths.get(name, 0):.{int(name == 'mean')}f}" for part in found.values())))
    totals: Counter[str] = Counter()
    for part in found.values():
        totals.update(part.labels)
    spans = any(part.scheme != "none" for part in found.values())
    if totals:
        rows.append((f"spans ({next(iter(found.values())).scheme})" if spans else "labels",) + ("",) * len(found))
    shown = sorted(totals, key=lambda label: (-totals[label], label))[:most]
    for label in shown:
        rows.append((f"  {label}", *(f"{part.labels.get(label, 0):,}" for part in found.values())))
    if len(totals) > len(shown):
        rest = [sum(count for label, count in part.labels.items() if label not in shown) for part in found.values()]
        rows.append((f"  {len(totals) - len(shown)} more", *(f"{count:,}" for count in rest)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(found) + 1)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)
