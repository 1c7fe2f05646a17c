"""Models without a network, to compare the network with: TF-IDF and logistic or ridge regression."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from seqkit.errors import SeqkitError
from seqkit.heads.classification.labels import ClassCodec
from seqkit.metrics.classification import Baseline, classification_report
from seqkit.metrics.regression import RegressionBaseline, regression_report
from seqkit.records import TextPair
from seqkit.waiting import interruptible

NAME = "tf-idf + logistic regression"
RIDGE = "tf-idf + ridge regression"
MOST_MEMORY = 2 << 30
"""bytes that training the baseline may take"""
MOST_PRODUCTS = 1 << 29
"""products of a label's weight and a term of a text in one pass over the training texts, some seconds of work"""

_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""inverse regularisation strengths, of which the best on dev is chosen, as the best epoch of the network is"""
_WEIGHT = 8
_TRAINED_WEIGHT = 28 * _WEIGHT
"""bytes of a weight, and of one in training: L-BFGS keeps ten steps and ten gradients, and some more"""
_SCORES = 1 << 22
"""scores of labels that are computed together"""

Tokens = Sequence[str] | tuple[Sequence[str], Sequence[str]]
"""the tokens of a text, a list, or those of both texts of a pair"""
Labels = Sequence[Sequence[str]]


class TooLargeError(SeqkitError):
    """The baseline would take more memory or time than its bounds."""


def tokens_of(record: Any) -> Tokens:
    """The tokens of a record as `Features` reads them."""
    found: Tokens = record.sides if isinstance(record, TextPair) else record.tokens
    return found


def notes_on_dev(settings: Any) -> list[str]:
    """A warning where the baseline learns from the data that its strength of regularisation is chosen on.

    Args:
        settings: the settings of the model.

    Returns:
        A line for the user, or none.
    """
    if not (settings.row.records in ("texts", "pairs") and settings.head.baseline and settings.training.on_dev):
        return []
    return [
        "warning: the TF-IDF baseline may look worse than it is: its regularisation is chosen on dev, which it "
        "is trained on, too (training.on_dev)"
    ]


class Features:
    """TF-IDF weights of words and word bigrams, in lower case; term frequencies are damped by 1 + log.

    Of a pair these are the terms of each text and, as terms of their own, those that both have and those that only one
    has; and four numbers beside them: the share of each text's words that the other has, both together, and the cosine
    of the two texts' weights of words.
    """

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._terms = TfidfVectorizer(analyzer=_terms, sublinear_tf=True)
        self._words = TfidfVectorizer(analyzer=_words, sublinear_tf=True)

    def fit(self, texts: Sequence[Tokens]) -> Any:
        """Learn the terms of training texts.

        Args:
            texts: the tokens of each.

        Returns:
            See `__call__`.
        """
        self._terms.fit(texts)
        if any(isinstance(text, tuple) for text in texts):
            self._words.fit([side for first, second in texts for side in (first, second)])
        return self(texts)

    def __call__(self, texts: Sequence[Tokens]) -> Any:
        """The features of texts.

        Args:
            texts: the tokens of each.

        Returns:
            A sparse matrix, [N, F].
        """
        features = self._terms.transform(texts)
        if not any(isinstance(text, tuple) for text in texts):
            return features
        from scipy.sparse import csr_matrix, hstack

        first, second = (self._words.transform([text[side] for text in texts]) for side in (0, 1))
        cosine = np.asarray(first.multiply(second).sum(1)).reshape(-1, 1)  # [N, 1]
        shares = np.array([_shares(set(_words(one)), set(_words(other))) for one, other in texts])  # [N, 3]
        return hstack([features, csr_matrix(np.concatenate([shares, cosine], 1))]).tocsr()


def _shares(first: set[str], second: set[str]) -> tuple[float, float, float]:
    both = len(first & second)
    return both / max(1, len(first)), both / max(1, len(second)), both / max(1, len(first | second))


class RidgeBaseline:
    """Ridge regression on `Features`; the regularisation strength is the best on dev.

    Args:
        train: the tokens of each training text.
        values: their numbers.
        dev: the tokens of each development text.
        dev_values: their numbers.

    Raises:
        TooLargeError: it would take more memory than there is.
    """

    def __init__(
        self, train: Sequence[Tokens], values: Sequence[float], dev: Sequence[Tokens], dev_values: Sequence[float]
    ) -> None:
        from sklearn.linear_model import Ridge

        self._features, best = Features(), math.inf
        try:
            features, held_out = self._features.fit(train), self._features(dev)
            for strength in _STRENGTHS:
                found = Ridge(alpha=1 / strength)
                interruptible(lambda model=found: model.fit(features, np.array(values)))  # type: ignore[misc]
                error = float(np.mean((found.predict(held_out) - np.array(dev_values)) ** 2))
                if error < best:
                    self._model, best = found, error
        except MemoryError:
            raise TooLargeError(f"{RIDGE} was not trained: out of memory") from None

    def score(self, texts: Sequence[Tokens], values: Sequence[float]) -> RegressionBaseline:
        """Evaluate the baseline.

        Args:
            texts: the tokens of each text.
            values: the right numbers.

        Returns:
            Its scores.
        """
        found = self._model.predict(self._features(texts)).tolist() if texts else []
        report = regression_report(values, found)
        return RegressionBaseline(RIDGE, report.mse, report.pearson, report.spearman)


class TfidfBaseline:
    """Logistic regression on `Features`.

    The regularisation strength is the best on dev. It has the same tokens as the network, and no pretrained vectors.

    Args:
        codec: the labels.
        train: the tokens of each training text.
        targets: the ids of their labels, as from `ClassCodec.encode`.
        dev: the tokens of each development text.
        dev_labels: the labels of each.

    Attributes:
        strength: the inverse regularisation strength that was chosen.

    Raises:
        TooLargeError: the weights of that many labels and terms do not fit the bounds, or the memory there is.
    """

    def __init__(
        self,
        codec: ClassCodec,
        train: Iterable[Tokens],
        targets: Sequence[Sequence[int]],
        dev: Sequence[Tokens],
        dev_labels: Labels,
    ) -> None:
        self.codec = codec
        self._features = Features()
        try:
            features, held_out = self._features.fit(list(train)), self._features(dev)
            _refuse_too_large(len(codec.labels), features, codec.multi)
            wanted = _wanted(targets, len(codec.labels), codec.multi)
            self.strength, self._classifier, best = 0.0, None, -1.0
            for strength in _STRENGTHS:
                classifier = interruptible(lambda c=strength: _fit(features, wanted, c, codec.multi))  # type: ignore[misc]
                report = classification_report(dev_labels, self._labels(classifier, held_out), multi=codec.multi)
                if report.score > best:
                    self.strength, self._classifier, best = strength, classifier, report.score
        except MemoryError:
            raise TooLargeError(f"{NAME} was not trained: out of memory") from None

    def predict(self, texts: Sequence[Tokens]) -> list[list[str]]:
        """Predict the labels of texts.

        Args:
            texts: the tokens of each.

        Returns:
            The labels of each.
        """
        return self._labels(self._classifier, self._features(texts)) if texts else []

    def score(self, texts: Sequence[Tokens], labels: Labels) -> Baseline:
        """Evaluate the baseline.

        Args:
            texts: the tokens of each text.
            labels: the gold labels of each.

        Returns:
            Its accuracy and macro F1.
        """
        report = classification_report(labels, self.predict(texts), multi=self.codec.multi)
        return Baseline(NAME, report.accuracy, report.macro.f1)

    def _labels(self, classifier: Any, features: Any) -> list[list[str]]:
        names, found = self.codec.labels.labels, list[list[str]]()
        size = max(1, _SCORES // len(names))
        for begin in range(0, features.shape[0], size):
            part = features[begin : begin + size]
            # [n], or [n, K] of zeros and ones
            chosen = interruptible(lambda rows=part: classifier.predict(rows))  # type: ignore[misc]
            if self.codec.multi:
                table = chosen.toarray() if hasattr(chosen, "toarray") else chosen.reshape(-1, len(names))
                found += [[names[int(index)] for index in np.flatnonzero(row)] for row in table]
            else:
                found += [[names[int(index)]] for index in chosen]
        return found


def _words(tokens: Sequence[str]) -> list[str]:
    return [token.lower() for token in tokens]


def _terms(tokens: Tokens) -> Iterator[str]:
    if isinstance(tokens, tuple):
        first, second = (list(_terms(side)) for side in tokens)
        yield from (f"1\t\t{term}" for term in first)
        yield from (f"2\t\t{term}" for term in second)
        yield from (f"both\t\t{term}" for term in sorted({*first} & {*second}))
        yield from (f"one\t\t{term}" for term in sorted({*first} ^ {*second}))
        return
    words = _words(tokens)
    yield from words
    yield from map("\t".join, pairwise(words))  # tokens contain no tabs


def _refuse_too_large(labels: int, features: Any, multi: bool) -> None:
    terms, together = features.shape[1], 1 if multi or labels == 2 else labels  # labels that are trained together
    memory = labels * terms * _WEIGHT + together * terms * _TRAINED_WEIGHT
    if memory > MOST_MEMORY:
        size = f"{labels:,} labels × {terms:,} words and bigrams take {memory / 1e9:,.1f} GB"
        raise TooLargeError(f"{NAME} was not trained: {size} of memory, more than {MOST_MEMORY / 1e9:.1f} GB")
    products = labels * features.nnz
    if products > MOST_PRODUCTS:
        size = f"{labels:,} labels × {features.nnz:,} words and bigrams in the texts are {products / 1e9:,.1f} billion"
        raise TooLargeError(
            f"{NAME} was not trained: {size} products a pass, more than {MOST_PRODUCTS / 1e9:.1f} billion"
        )


def _wanted(targets: Sequence[Sequence[int]], labels: int, multi: bool) -> Any:
    """The targets as scikit-learn takes them: ids, [N], or a sparse matrix of zeros and ones, [N, K]."""
    if not multi:
        return np.array([row[0] for row in targets], dtype=np.int64)
    from sklearn.preprocessing import MultiLabelBinarizer

    matrix = MultiLabelBinarizer(classes=range(labels), sparse_output=True).fit_transform(targets)
    return matrix if labels > 1 else matrix.toarray()  # one column is not taken for labels if it is sparse


def _fit(features: Any, targets: Any, strength: float, multi: bool) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    classifier = LogisticRegression(C=strength, max_iter=300)
    with warnings.catch_warnings():
        # A label of all texts or of none, and a fit that has not converged in its last digit, do no harm here.
        warnings.simplefilter("ignore")
        return (OneVsRestClassifier(classifier) if multi else classifier).fit(features, targets)
