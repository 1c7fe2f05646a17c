"""Data sets from Python objects instead of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from seqkit.corpora.dataset import Dataset, Split
from seqkit.errors import DataError
from seqkit.records import Sentence

__all__ = ["from_pairs", "from_texts"]

Pair = tuple[Sequence[str], Sequence[str]]
LabelledText = tuple[str | Sequence[str], str | Sequence[str]] | Mapping[str, str | Sequence[str]]


def from_pairs(
    train: Iterable[Pair], dev: Iterable[Pair] | None = None, test: Iterable[Pair] | None = None, *, name: str = "pairs"
) -> Dataset:
    """A data set from Python: any iterables of ``(tokens, labels)``.

    Args:
        train: the training sentences.
        dev: the development sentences; without them the last tenth of train is held out.
        test: the test sentences.
        name: what messages and reports call the data set.

    Returns:
        The data set; its label column is called ``label``.

    Raises:
        DataError: an item is not a pair of equally long sequences of strings.
    """
    splits = {
        split: Split(content=_sentences_of_pairs(pairs, f"{name} {split}"))
        for split, pairs in (("train", train), ("dev", dev), ("test", test))
        if pairs is not None
    }
    return Dataset(name, splits)


def _sentences_of_pairs(pairs: Iterable[Pair], name: str) -> list[Sentence]:
    sentences = []
    for number, pair in enumerate(pairs, start=1):
        try:
            tokens, labels = pair
        except (TypeError, ValueError):
            raise DataError(f"expected a pair (tokens, labels), found {pair!r:.80}", file=name, line=number) from None
        if isinstance(tokens, str) or isinstance(labels, str):
            raise DataError("expected sequences of strings, found one string", file=name, line=number)
        tokens, labels = list(tokens), list(labels)
        if len(tokens) != len(labels):
            message = f"expected as many labels as tokens, found {len(labels)} labels for {len(tokens)} tokens"
            raise DataError(message, file=name, line=number)
        odd = next((item for item in (*tokens, *labels) if not isinstance(item, str)), None)
        if odd is not None or "" in tokens or "" in labels:
            what = repr(odd) if odd is not None else "an empty token" if "" in tokens else "an empty label"
            raise DataError(
                f"expected tokens and labels to be strings that are not empty, found {what}", file=name, line=number
            )
        sentences.append(Sentence.from_tokens(tokens, {"label": labels}, file=name, line=number))
    return sentences


def from_texts(
    train: Iterable[LabelledText],
    dev: Iterable[LabelledText] | None = None,
    test: Iterable[LabelledText] | None = None,
    *,
    name: str = "texts",
) -> Dataset:
    """A data set of labelled texts from Python: any iterables of ``(text or tokens, label or labels)``.

    An item may also be a mapping with the keys ``text`` and ``label``.

    Args:
        train: the training texts.
        dev: the development texts; without them the last tenth of train is held out.
        test: the test texts.
        name: what messages and reports call the data set.

    Returns:
        The data set; its label field is called ``label``.

    Raises:
        DataError: an item is not a pair of a text (or its tokens) and a label (or a list of labels).
    """
    splits = {
        split: Split(content=_sentences_of_texts(texts, f"{name} {split}"))
        for split, texts in (("train", train), ("dev", dev), ("test", test))
        if texts is not None
    }
    return Dataset(name, splits)


def _sentences_of_texts(texts: Iterable[LabelledText], name: str) -> list[Sentence]:
    sentences = []
    for number, pair in enumerate(texts, start=1):
        try:
            given, label = (pair["text"], pair["label"]) if isinstance(pair, Mapping) else pair
            label = label if isinstance(label, str) else list(label)
            given = given if isinstance(given, str) else list(given)
        except (TypeError, ValueError, KeyError):
            raise DataError(f"expected a pair (text, label), found {pair!r:.80}", file=name, line=number) from None
        parts = [*([given] if isinstance(given, str) else given), *([label] if isinstance(label, str) else label)]
        odd = next((part for part in parts if not isinstance(part, str)), None)
        if odd is not None or (not isinstance(given, str) and "" in given):
            found = "an empty token" if odd is None else repr(odd)
            raise DataError(f"expected texts, tokens and labels to be strings, found {found}", file=name, line=number)
        sentence = Sentence([], given, []) if isinstance(given, str) else Sentence.from_tokens(given)
        sentence.file, sentence.line, sentence.fields = name, number, {"label": label}
        sentences.append(sentence)
    return sentences
