"""A classifier without a network, to compare the network with: TF-IDF and logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from seqkit.errors import SeqkitError
from seqkit.heads.classification.labels import ClassCodec
from seqkit.metrics.classification import Baseline, classification_report
from seqkit.waiting import interruptible

NAME = "tf-idf + logistic regression"
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

Tokens = Sequence[str]
Labels = Sequence[Sequence[str]]


class TooLargeError(SeqkitError):
    """The baseline would take more memory or time than its bounds."""


class TfidfBaseline:
    """Logistic regression on TF-IDF weights of words and word bigrams, in lower case.

    Term frequencies are damped by 1 + log; the regularisation strength is the best on dev. It has the same tokens as
    the network, and no pretrained vectors.

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
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.codec = codec
        self._vectorizer = TfidfVectorizer(analyzer=_terms, sublinear_tf=True)
        try:
            features, held_out = self._vectorizer.fit_transform(train), self._vectorizer.transform(dev)
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
        return self._labels(self._classifier, self._vectorizer.transform(texts)) if texts else []

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


def _terms(tokens: Tokens) -> Iterator[str]:
    words = [token.lower() for token in tokens]
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
