"""Statistics of a data set: sizes, lengths, labels, and how much of dev and test does not occur in train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from seqkit.corpora.dataset import Dataset
from seqkit.corpora.label_columns import label_scheme, labels_of_splits
from seqkit.corpora.numbers import AS_NUMBERS, are_numbers, labels_in, number_statistics
from seqkit.formats.schemes import detect_scheme
from seqkit.formats.schemes import spans as read_spans
from seqkit.formats.splitting import Splitter
from seqkit.formats.writers import short_cell
from seqkit.metrics.scores import text_table
from seqkit.records import Sentence

_QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class SplitStatistics:
    """The numbers of one split.

    Args:
        sentences: sentences, empty ones among them.
        empty: sentences without a token.
        tokens: tokens.
        types: different tokens.
        lengths: tokens per sentence: mean, and the quantiles ``50%``, ``90%``, ``99%`` and ``100%``.
        unseen_tokens: share of the tokens that do not occur in train; None for train itself.
        unseen_types: share of the word types that do not occur in train; None for train itself.
        scheme: how the labels mark spans; ``none`` if they do not.
        labels: label → tokens; for a span scheme, kind → spans; empty where labels are numbers.
        numbers: of labels that are numbers the mean and quantiles, see `seqkit.corpora.numbers.number_statistics`.
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
    numbers: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON holds them."""
        found = asdict(self)
        return found if self.numbers else {name: value for name, value in found.items() if name != "numbers"}


def statistics(
    dataset: Dataset, target: str | None = None, text: str = "text", *, regression: bool = False
) -> tuple[dict[str, SplitStatistics], list[str]]:
    """Count the sentences, tokens and labels of a data set.

    Args:
        dataset: the data set; a held-out dev split is counted like any other.
        target: the label column; by default the card's, else ``upos`` in CoNLL-U and the last one elsewhere. For
            labelled texts the field of the label, by default the card's or ``label``.
        text: for labelled texts the field of the text; of texts and what is written from them the one to count, by
            default the first.
        regression: the labels of texts are numbers; by default that is so where they look like such.

    Returns:
        Split → numbers, and what the user should know: what was held out.

    Raises:
        DataError: a file has a fault, or there is no such column.
    """
    names = ["all"] if "all" in dataset.splits else [name for name in ("train", "dev", "test") if dataset.has(name)]
    label, notes = None if dataset.in_parallel else dataset.label_field(target), list[str]()
    if dataset.in_parallel:
        text = text if text in dataset.columns else (*dataset.columns, text)[0]
        choice = dataset.choose_splitter("texts", text, None, spaced=True)
        read = dataset.read_texts(Splitter(choice.kind).split, names, text=text, label=None)
        known = Counter(token for sentence in read.records.get("train", ()) for token in sentence.tokens)
        counted = {
            name: _count(found, [], "none", known if name in ("dev", "test") and known else None)
            for name, found in read.records.items()
        }
        return counted, [*read.notes, f"counted are the texts of {text!r}; --text chooses another", choice.reason]
    splitter = dataset.splitter("sentences" if label is None else "texts", text, label, notes)
    if label is None:
        read = dataset.read_sentences(splitter, names)
    else:
        read = dataset.read_texts(splitter, names, text=text, label=label)
    contents = read.records
    train = Counter(token for sentence in contents.get("train", ()) for token in sentence.tokens)
    columns, rewritten = labels_of_splits(dataset, contents, target, label)
    labels = {name: [column for column in found if column is not None] for name, found in columns.items()}
    own = label_scheme(dataset, target, label)
    scheme = detect_scheme(labels[names[0]]) if own == "auto" and names else own
    numbers = {
        name: _count(found, labels[name], scheme, train if name in ("dev", "test") and train else None)
        for name, found in contents.items()
    }
    train_first = next(iter(contents.values()), [])
    if label is not None and (regression or are_numbers(labels_in(train_first, label))):
        rewritten = [*rewritten, *([] if regression else [AS_NUMBERS])]
        numbers = {
            name: replace(part, labels={}, numbers=number_statistics(labels_in(contents[name], label)))
            for name, part in numbers.items()
        }
    return numbers, [*read.notes, *notes, *rewritten]


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
        most: how many labels to show; the others are added up.

    Returns:
        Lines, each ending in a line feed.
    """
    parts = list(found.values())
    rows = [["", *found]]
    rows.append(["sentences", *(f"{part.sentences:,}" for part in parts)])
    rows.append(["  without tokens", *(f"{part.empty:,}" for part in parts)])
    rows.append(["tokens", *(f"{part.tokens:,}" for part in parts)])
    rows.append(["word types", *(f"{part.types:,}" for part in parts)])
    rows.append(["unknown tokens", *(_percentage(part.unseen_tokens) for part in parts)])
    rows.append(["unknown word types", *(_percentage(part.unseen_types) for part in parts)])
    rows.append(["tokens per sentence", *(f"{part.lengths['mean']:.1f}" for part in parts)])
    for name in (f"{share:.0%}" for share in _QUANTILES):
        rows.append([f"  {name} quantile", *(f"{part.lengths.get(name, 0):.0f}" for part in parts)])
    if any(part.numbers for part in parts):
        rows.append(["numbers", *("" for _ in parts)])
        for name in next(part.numbers for part in parts if part.numbers):
            told = name if name == "mean" else f"{name} quantile"
            rows.append([f"  {told}", *(f"{part.numbers[name]:.4g}" if part.numbers else "" for part in parts)])
    totals = sum((Counter(part.labels) for part in parts), Counter[str]())
    if totals:
        scheme = next((part.scheme for part in parts if part.scheme != "none"), None)
        rows.append(["labels" if scheme is None else f"spans ({scheme})", *("" for _ in parts)])
    shown = sorted(totals, key=lambda label: (-totals[label], label))
    for label in shown[:most]:
        rows.append([f"  {short_cell(label)}", *(f"{part.labels.get(label, 0):,}" for part in parts)])
    if rest := shown[most:]:
        counts = [sum(part.labels.get(label, 0) for label in rest) for part in parts]
        rows.append([f"  {len(rest)} more", *(f"{count:,}" for count in counts)])
    return text_table(rows) + "\n"


def _percentage(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
