"""A classifier without a network, to compare the network with: TF-IDF and logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from seqkit.heads.classification.labels import ClassCodec
from seqkit.metrics.classification import Baseline, classification_report

NAME = "tf-idf + logistic regression"

_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""inverse regularisation strengths, of which the best on dev is chosen, as the best epoch of the network is"""

Tokens = Sequence[str]
Labels = Sequence[Sequence[str]]


class TfidfBaseline:
    """Logistic regression on TF-IDF weights of words and word bigrams, in lower case.

    Term frequencies are damped by 1 + log; the regularisation strength is the best on dev. It has the same tokens as
    the network, and no pretrained vectors.

    Args:
        codec: the labels.
        train: the tokens of each training text.
        targets: the ids of their labels, as from `ClassCodec.encode`, [N] or [N, K].
        dev: the tokens of each development text.
        dev_labels: the labels of each.

    Attributes:
        strength: the inverse regularisation strength that was chosen.
    """

    def __init__(
        self, codec: ClassCodec, train: Iterable[Tokens], targets: Any, dev: Sequence[Tokens], dev_labels: Labels
    ) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.codec = codec
        self._vectorizer = TfidfVectorizer(analyzer=_terms, sublinear_tf=True)
        features, held_out = self._vectorizer.fit_transform(train), self._vectorizer.transform(dev)
        self.strength, self._classifier, best = 0.0, None, -1.0
        for strength in _STRENGTHS:
            classifier = _fit(features, targets, strength, codec.multi)
            report = classification_report(dev_labels, self._labels(classifier, held_out), multi=codec.multi)
            if report.score > best:
                self.strength, self._classifier, best = strength, classifier, report.score

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
        chosen = classifier.predict(features)  # [N], or [N, K] of zeros and ones
        names = self.codec.labels
        if self.codec.multi:
            return [[names[int(index)] for index in np.flatnonzero(row)] for row in chosen.reshape(-1, len(names))]
        return [[names[int(index)]] for index in chosen]


def _terms(tokens: Tokens) -> Iterator[str]:
    words = [token.lower() for token in tokens]
    yield from words
    yield from map("\t".join, pairwise(words))  # tokens contain no tabs


def _fit(features: Any, targets: Any, strength: float, multi: bool) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    classifier = LogisticRegression(C=strength, max_iter=300)
    with warnings.catch_warnings():
        # A label of all texts or of none, and a fit that has not converged in its last digit, do no harm here.
        warnings.simplefilter("ignore")
        return (OneVsRestClassifier(classifier) if multi else classifier).fit(features, targets)
