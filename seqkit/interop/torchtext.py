"""torchtext's vocabularies, word vectors and data sets, as seqkit takes them.

The objects are known by what they offer, so that torchtext itself is never imported: those of 0.18.0, the last release,
which loads beside torch 2.3 alone, and those of 0.6.0, the last one in pure Python (``Field``, ``Example``,
``BucketIterator``), which loads beside any torch. What `pairs`, `texts` and `lines` give `seqkit.train` learns from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from seqkit.errors import DataError
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.vocabulary import Vocabulary
from seqkit.records import Sentence

__all__ = ["lines", "pairs", "texts", "vectors", "vocabulary"]

_ITEM = "torchtext item"
_UNKNOWN = "<unk>"
_END_OF_LINE = "<eos>"
"""what a ``LanguageModelingDataset`` of 0.6 writes where a line ended"""


# --- vocabularies and vectors -------------------------------------------------------------------------------------


def vocabulary(vocab: Any, *, pad: str = "<pad>") -> Vocabulary:
    """A ``torchtext.vocab.Vocab`` as a vocabulary.

    The strings keep their order but not their indices: in seqkit 0 pads and 1 is every unknown string. The string
    that stands for unknown ones in `vocab` (its default index in 0.18, ``unk_index`` in 0.6, else ``<unk>``) and the
    one that pads are these two, and no words.

    The way back needs no function: ``torchtext.vocab.vocab(dict.fromkeys(found, 1))`` in 0.18, after which
    ``set_default_index(1)``, and ``torchtext.vocab.Vocab(Counter(), specials=list(found))`` in 0.6 give every string
    the index that it has in seqkit.

    Args:
        vocab: the vocabulary, of 0.18 or 0.6.
        pad: the string that pads.

    Returns:
        The vocabulary.

    Raises:
        DataError: `vocab` is something else, or lists a string twice.

    Examples:
        >>> from types import SimpleNamespace
        >>> vocab = SimpleNamespace(itos=["<unk>", "<pad>", "the", "cat"], stoi={}, unk_index=0)  # as 0.6 has it
        >>> vocabulary(vocab).indices(["the", "dog", "cat"])
        [2, 1, 3]
    """
    if _is_vocab(vocab):
        strings, default = vocab.get_itos(), vocab.get_default_index()
    else:
        strings, default = getattr(vocab, "itos", None), getattr(vocab, "unk_index", None)
    if not isinstance(strings, list):
        raise DataError(_message("a torchtext Vocab (with get_itos and get_default_index, or itos)", vocab))
    # -1 is a default that is often set, and no string's index
    known = isinstance(default, int) and 0 <= default < len(strings)
    reserved = {pad, strings[default] if known else _UNKNOWN}
    try:
        return Vocabulary(string for string in strings if string not in reserved)
    except ValueError as error:
        raise DataError(f"torchtext Vocab: {error}") from None


def vectors(given: Any) -> Vectors:
    """A ``torchtext.vocab.Vectors`` (``GloVe``, ``FastText``), or a ``Vocab`` of 0.6 with vectors, as vectors.

    Training reads vectors from a file, which `seqkit.inputs.pretrained_writing.write_vectors` writes.

    Args:
        given: the vectors: ``itos`` and a tensor ``vectors`` [N, D]. Where a word stands twice the last one counts, as
            in torchtext.

    Returns:
        The vectors.

    Raises:
        DataError: `given` is something else, has no vectors or not one a word, or is a ``CharNGram``, whose vectors are
            not those of words.

    Examples:
        >>> from types import SimpleNamespace
        >>> import torch
        >>> glove = SimpleNamespace(itos=["the", "cat"], stoi={"the": 0, "cat": 1}, vectors=torch.eye(2), dim=2)
        >>> vectors(glove).words, vectors(glove).size
        (['the', 'cat'], 2)
    """
    expected = "torchtext Vectors (with itos and vectors)"
    if not hasattr(given, "itos") or not hasattr(given, "vectors"):
        raise DataError(_message(expected, given))
    if any(kind.__name__ == "CharNGram" for kind in type(given).__mro__):
        raise DataError(
            f"expected {expected}, found those of parts of words; a Vocab of 0.6 that loaded them has words'"
        )
    if not isinstance(given.itos, list) or not callable(getattr(given.vectors, "detach", None)):
        raise DataError(f"expected {expected}, found a {type(given).__name__} without vectors")
    matrix: npt.NDArray[np.float32] = given.vectors.detach().float().cpu().numpy()  # [N, D]
    if matrix.ndim != 2 or len(matrix) != len(given.itos):
        shape = " × ".join(map(str, matrix.shape))
        raise DataError(f"expected {expected}, one row a word, found {len(given.itos)} words and {shape} values")
    rows = {word: row for row, word in enumerate(given.itos)}
    return Vectors(list(rows), matrix if len(rows) == len(matrix) else matrix[list(rows.values())])


# --- data sets ----------------------------------------------------------------------------------------------------


def pairs(dataset: Any, *, target: str | int = "") -> Iterator[tuple[list[str], list[str]]]:
    """Labelled tokens, what a tagger learns from.

    Args:
        dataset: what yields rows of columns, as ``CoNLL2000Chunking`` and ``UDPOS`` of 0.18 do; or a ``Dataset`` of 0.6
            such as a ``SequenceTaggingDataset``, or an iterator over one. The first column or field is the tokens.
        target: which column is learned: the name of a field, or a column's position counted from 0 (the tokens) or
            backwards from -1; by default the last one.

    Returns:
        Pairs of tokens and labels, made as they are asked for.

    Raises:
        DataError: `dataset` or, when it is asked for, one of its items is something else.

    Examples:
        >>> rows = [[["He", "ran"], ["PRP", "VBD"], ["B-NP", "B-VP"]]]  # as CoNLL2000Chunking yields them
        >>> list(pairs(rows, target=1))
        [(['He', 'ran'], ['PRP', 'VBD'])]
    """
    return _pairs(_items(dataset), str(target))


def _pairs(items: Iterable[Any], target: str) -> Iterator[tuple[list[str], list[str]]]:
    for number, item in enumerate(items, start=1):
        columns = _columns(item)
        if len(columns) < 2 or not all(map(_is_tokens, columns.values())):
            raise _fault("columns of strings, tokens and their labels", item, number)
        row = Sentence([], "", [], columns, file=_ITEM, line=number)
        yield list(next(iter(columns.values()))), list(row.column(target))


def texts(
    dataset: Any, *, text: str | int = "text", label: str | int = "label"
) -> Iterator[tuple[str | list[str], str]]:
    """Labelled texts, what a classifier learns from.

    Args:
        dataset: what yields ``(label, text)``, as most data sets of 0.18 do, or ``(text, label)`` with a number as the
            label, as its ``SST2`` does; or a ``Dataset`` of 0.6, or an iterator over one.
        text: the field of a ``Dataset`` of 0.6 that holds the text; of rows of more than two columns, as ``CoLA`` of
            0.18 has them, the column's position counted from 0.
        label: the one that holds the label.

    Returns:
        Pairs of a text (or its tokens, if that is what the data set has) and a label, made as they are asked for.
        Labels that are numbers are written in digits.

    Raises:
        DataError: `dataset` or, when it is asked for, one of its items is something else.

    Examples:
        >>> list(texts([(1, "A fine film."), (2, "Never again.")]))  # as AG_NEWS yields them
        [('A fine film.', '1'), ('Never again.', '2')]
    """
    return _texts(_items(dataset), str(text), str(label))


def _texts(items: Iterable[Any], text_field: str, label_field: str) -> Iterator[tuple[str | list[str], str]]:
    for number, item in enumerate(items, start=1):
        columns = _columns(item)
        label, text = columns.get(label_field), columns.get(text_field)
        if isinstance(item, Sequence) and len(columns) == 2:
            label, text = columns.values()
            if _is_number(text):
                label, text = text, label
        if not (isinstance(label, str) or _is_number(label)) or not (isinstance(text, str) or _is_tokens(text)):
            raise _fault("a label and a text, or its tokens", item, number, label_field, text_field)
        yield text if isinstance(text, str) else list(text), str(label)


def lines(dataset: Any, *, text: str | int = "text") -> Iterator[str]:
    r"""Lines of text, what a language model learns from.

    Args:
        dataset: what yields lines, as ``WikiText2`` and ``PennTreebank`` of 0.18 do; or a ``Dataset`` of 0.6 such as a
            ``LanguageModelingDataset``, or an iterator over one.
        text: the field of a ``Dataset`` of 0.6 that holds the text; of rows of columns, as ``CC100`` of 0.18 has them,
            the column's position counted from 0.

    Returns:
        The lines, made as they are asked for. Tokens are joined by spaces, and ``<eos>``, which 0.6 writes where a line
        ended, ends one; the setting ``data.splitter = "spaces"`` takes them apart as they were.

    Raises:
        DataError: `dataset` or, when it is asked for, one of its items is something else, or a token holds white space.

    Examples:
        >>> list(lines(["no it was n't \n", "black monday \n"]))  # as PennTreebank yields them
        ["no it was n't ", 'black monday ']
    """
    return _lines(_items(dataset), str(text))


def _lines(items: Iterable[Any], field: str) -> Iterator[str]:
    for number, item in enumerate(items, start=1):
        text = item if isinstance(item, str | list) else _columns(item).get(field)
        if isinstance(text, str):
            yield text.removesuffix("\n").removesuffix("\r")
        elif _is_tokens(text):
            yield from _joined(text, number)
        else:
            raise _fault("a line of text, or its tokens", item, number, field)


def _joined(tokens: Sequence[str], number: int) -> Iterator[str]:
    """The lines that tokens with `_END_OF_LINE` among them are."""
    start = 0
    for end, token in enumerate(tokens):
        if token.split() != [token]:
            message = f"expected tokens without white space, which is what joins them, found {token!r}"
            raise DataError(message, file=_ITEM, line=number)
        if token == _END_OF_LINE:
            yield " ".join(tokens[start:end])
            start = end + 1
    if start < len(tokens) or not tokens:
        yield " ".join(tokens[start:])


def _items(dataset: Any) -> Iterable[Any]:
    """What a data set yields; of an iterator over it not its batches, which are numbers already."""
    if isinstance(getattr(dataset, "batch_size", None), int):  # a Dataset of 0.6 has every attribute, as a generator
        dataset = getattr(dataset, "dataset", None)
    iterable = hasattr(dataset, "__iter__") or hasattr(dataset, "__getitem__")  # torch's Subset has the latter alone
    if not iterable or isinstance(dataset, str | bytes | Mapping) or _is_vocab(dataset):
        raise DataError(_message("a torchtext data set or an iterator over one", dataset))
    found: Iterable[Any] = dataset
    return found


def _is_vocab(value: Any) -> bool:
    """Whether this is a Vocab of 0.18."""
    return callable(getattr(value, "get_itos", None)) and callable(getattr(value, "get_default_index", None))


def _columns(item: Any) -> dict[str, Any]:
    """The columns of an item by name: of a row their positions, of an Example of 0.6 its fields."""
    if isinstance(item, Sequence):
        return {} if isinstance(item, str | bytes) else {str(place): value for place, value in enumerate(item)}
    return dict(vars(item)) if type(item).__name__ == "Example" else {}


def _is_tokens(value: Any) -> TypeGuard[Sequence[str]]:
    return isinstance(value, list | tuple) and all(isinstance(token, str) for token in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fault(expected: str, item: Any, number: int, *fields: str) -> DataError:
    columns = _columns(item)
    is_example = bool(columns) and not isinstance(item, Sequence)
    place = f" in {' and '.join(map(repr, fields))}" if is_example and fields else ""
    found = " ".join(repr(columns if is_example else item).split())
    return DataError(f"expected {expected}{place}, found {found:.80}", file=_ITEM, line=number)


def _message(expected: str, found: Any) -> str:
    return f"expected {expected}, found {type(found).__name__}"
