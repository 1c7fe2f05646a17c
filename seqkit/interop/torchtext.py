"""torchtext's vocabularies, word vectors and data sets in seqkit's types.

The objects are recognised by their attributes; torchtext itself is never imported. Supported are 0.18.0, the last
release, which works only with torch 2.3, and 0.6.0, the last release in pure Python (``Field``, ``Example``,
``BucketIterator``), which works with any torch. `seqkit.train` learns from the results of `pairs`, `texts` and `lines`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from seqkit.errors import DataError
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.vocabulary import Vocabulary
from seqkit.records import Sentence

_ITEM = "torchtext item"
_UNKNOWN = "<unk>"
_END_OF_LINE = "<eos>"
"""the token of a ``LanguageModelingDataset`` of 0.6 at the end of a line"""


# --- vocabularies and vectors -------------------------------------------------------------------------------------


def vocabulary(vocab: Any, *, pad: str = "<pad>") -> Vocabulary:
    """A ``torchtext.vocab.Vocab`` as a vocabulary.

    The strings keep their order but not their ids: in seqkit 0 is padding and 1 is every unknown string. The strings
    for unknown words (the default index of `vocab` in 0.18, ``unk_index`` in 0.6, otherwise ``<unk>``) and for padding
    become these two ids and are not words.

    The other direction needs no function: ``torchtext.vocab.vocab(dict.fromkeys(found, 1))`` in 0.18, followed by
    ``set_default_index(1)``, and ``torchtext.vocab.Vocab(Counter(), specials=list(found))`` in 0.6 give every string
    its id in seqkit.

    Args:
        vocab: the vocabulary, of 0.18 or 0.6.
        pad: the string for padding.

    Returns:
        The vocabulary.

    Raises:
        DataError: `vocab` has another type, or contains a string twice.

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
    # the default is often -1, which is not an index
    known = isinstance(default, int) and 0 <= default < len(strings)
    reserved = {pad, strings[default] if known else _UNKNOWN}
    try:
        return Vocabulary(string for string in strings if string not in reserved)
    except ValueError as error:
        raise DataError(f"torchtext Vocab: {error}") from None


def vectors(given: Any) -> Vectors:
    """A ``torchtext.vocab.Vectors`` (``GloVe``, ``FastText``), or a ``Vocab`` of 0.6 with vectors, as word vectors.

    Training reads word vectors from a file, which `seqkit.inputs.pretrained.write_vectors` writes.

    Args:
        given: the vectors: ``itos`` and a tensor ``vectors`` [N, D]. Of a repeated word the last vector counts, as in
            torchtext.

    Returns:
        The vectors.

    Raises:
        DataError: `given` has another type, has no vectors or not one per word, or is a ``CharNGram``, which has
            vectors of character n-grams.

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
        raise DataError("CharNGram has vectors of character n-grams; use a Vocab of 0.6 that loaded them")
    if not isinstance(given.itos, list) or not callable(getattr(given.vectors, "detach", None)):
        raise DataError(f"expected {expected}, found a {type(given).__name__} without vectors")
    matrix: npt.NDArray[np.float32] = given.vectors.detach().float().cpu().numpy()  # [N, D]
    if matrix.ndim != 2 or len(matrix) != len(given.itos):
        shape = " × ".join(map(str, matrix.shape))
        raise DataError(f"expected {expected}, one row per word, found {len(given.itos)} words and {shape} values")
    rows = {word: row for row, word in enumerate(given.itos)}
    return Vectors(list(rows), matrix if len(rows) == len(matrix) else matrix[list(rows.values())])


# --- data sets ----------------------------------------------------------------------------------------------------


def pairs(dataset: Any, *, target: str | int = "") -> Iterator[tuple[list[str], list[str]]]:
    """Labelled tokens, the training data of a tagger.

    Args:
        dataset: a data set whose items are rows of columns, such as ``CoNLL2000Chunking`` and ``UDPOS`` of 0.18; or a
            ``Dataset`` of 0.6 such as a ``SequenceTaggingDataset``, or an iterator over one. The first column or field
            has the tokens.
        target: the column with the labels: the name of a field, or a column's position counted from 0 (the tokens) or
            backwards from -1; by default the last one.

    Returns:
        Pairs of tokens and labels, created one by one.

    Raises:
        DataError: `dataset` has another type; or, when it is read, an item has.

    Examples:
        >>> rows = [[["He", "ran"], ["PRP", "VBD"], ["B-NP", "B-VP"]]]  # as CoNLL2000Chunking yields them
        >>> list(pairs(rows, target=1))
        [(['He', 'ran'], ['PRP', 'VBD'])]
    """
    return (_pair(item, number, str(target)) for number, item in enumerate(_items(dataset), start=1))


def _pair(item: Any, number: int, target: str) -> tuple[list[str], list[str]]:
    columns = _columns(item)
    if len(columns) < 2 or not all(map(_is_tokens, columns.values())):
        raise _fault("columns of strings: tokens and their labels", item, number)
    row = Sentence([], "", [], columns, file=_ITEM, line=number)
    return list(next(iter(columns.values()))), list(row.column(target))


def texts(
    dataset: Any, *, text: str | int = "text", label: str | int = "label"
) -> Iterator[tuple[str | list[str], str]]:
    """Labelled texts, the training data of a classifier.

    Args:
        dataset: a data set whose items are ``(label, text)``, like most of 0.18, or ``(text, label)`` with a number as
            the label, like its ``SST2``; or a ``Dataset`` of 0.6, or an iterator over one.
        text: the field of a ``Dataset`` of 0.6 with the text; for rows of more than two columns, such as those of
            ``CoLA`` of 0.18, the column's position counted from 0.
        label: the field or position of the label.

    Returns:
        Pairs of a text (or its tokens, if the data set has tokens) and a label, created one by one. Numbers as labels
        become strings.

    Raises:
        DataError: `dataset` has another type; or, when it is read, an item has.

    Examples:
        >>> list(texts([(1, "A fine film."), (2, "Never again.")]))  # as AG_NEWS yields them
        [('A fine film.', '1'), ('Never again.', '2')]
    """
    return (_text(item, number, str(text), str(label)) for number, item in enumerate(_items(dataset), start=1))


def _text(item: Any, number: int, text_field: str, label_field: str) -> tuple[str | list[str], str]:
    columns = _columns(item)
    label, text = columns.get(label_field), columns.get(text_field)
    if isinstance(item, Sequence) and len(columns) == 2:
        label, text = columns.values()
        if _is_number(text):
            label, text = text, label
    if not (isinstance(label, str) or _is_number(label)) or not (isinstance(text, str) or _is_tokens(text)):
        raise _fault("a label and a text or its tokens", item, number, label_field, text_field)
    return text if isinstance(text, str) else list(text), str(label)


def lines(dataset: Any, *, text: str | int = "text") -> Iterator[str]:
    r"""Lines of text, the training data of a language model.

    Args:
        dataset: a data set whose items are lines, such as ``WikiText2`` and ``PennTreebank`` of 0.18; or a ``Dataset``
            of 0.6 such as a ``LanguageModelingDataset``, or an iterator over one.
        text: the field of a ``Dataset`` of 0.6 with the text; for rows of columns, such as those of ``CC100`` of 0.18,
            the column's position counted from 0.

    Returns:
        The lines, created one by one. Tokens are joined by spaces, and the token ``<eos>`` of 0.6 ends a line; the
        setting ``data.splitter = "spaces"`` restores the tokens.

    Raises:
        DataError: `dataset` has another type; or, when it is read, an item has, or a token contains white space.

    Examples:
        >>> list(lines(["no it was n't \n", "black monday \n"]))  # as PennTreebank yields them
        ["no it was n't ", 'black monday ']
    """
    return chain.from_iterable(_lines(item, number, str(text)) for number, item in enumerate(_items(dataset), start=1))


def _lines(item: Any, number: int, field: str) -> Iterator[str]:
    text = item if isinstance(item, str | list) else _columns(item).get(field)
    if isinstance(text, str):
        yield text.removesuffix("\n").removesuffix("\r")
        return
    if not _is_tokens(text):
        raise _fault("a line of text or its tokens", item, number, field)
    start = 0
    for end, token in enumerate(text):
        if token.split() != [token]:
            message = f"a token contains white space or is empty: {token!r}; tokens are joined by spaces"
            raise DataError(message, file=_ITEM, line=number)
        if token == _END_OF_LINE:
            yield " ".join(text[start:end])
            start = end + 1
    if start < len(text) or not text:
        yield " ".join(text[start:])


def _items(dataset: Any) -> Iterable[Any]:
    """The items of a data set; of an iterator those of its data set, as its batches are already tensors."""
    if isinstance(getattr(dataset, "batch_size", None), int):  # a Dataset of 0.6 returns a generator for any attribute
        dataset = getattr(dataset, "dataset", None)
    iterable = hasattr(dataset, "__iter__") or hasattr(dataset, "__getitem__")  # torch's Subset has only the latter
    if not iterable or isinstance(dataset, str | bytes | Mapping) or _is_vocab(dataset):
        raise DataError(_message("a torchtext data set or an iterator over one", dataset))
    found: Iterable[Any] = dataset
    return found


def _is_vocab(value: Any) -> bool:
    """Whether this is a Vocab of 0.18."""
    return callable(getattr(value, "get_itos", None)) and callable(getattr(value, "get_default_index", None))


def _columns(item: Any) -> dict[str, Any]:
    """The columns of an item: position → value of a row, field → value of an Example of 0.6."""
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
