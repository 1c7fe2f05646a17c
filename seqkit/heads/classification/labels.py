"""Labels of texts ↔ ids of the classes that a classification head predicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, ModelError, shown
from seqkit.inputs.vocabulary import LabelVocabulary


class ClassCodec:
    """Labels of a file ↔ classes of a model.

    Args:
        labels: the classes.
        multi: whether a text may have several labels or none.
        text: the field of the text, for reading more data of the same kind.
        label: the field of the label.
    """

    def __init__(self, labels: LabelVocabulary, multi: bool = False, text: str = "text", label: str = "label") -> None:
        self.labels = labels
        self.multi = multi
        self.text = text
        self.label = label

    @classmethod
    def build(
        cls, rows: Iterable[Sequence[str]], multi: bool = False, text: str = "text", label: str = "label"
    ) -> ClassCodec:
        """Collect the labels of a training set.

        Args:
            rows: the labels of each training text, as from `labels_of_text`.
            multi: whether a text may have several labels or none.
            text: the field of the text.
            label: the field of the label.

        Returns:
            The codec.

        Raises:
            DataError: there are too few different labels.
        """
        found = sorted({each for row in rows for each in row})
        if len(found) < (1 if multi else 2):
            expected = "labels" if multi else "at least two different labels"
            only = f"only {found[0]!r}" if found else "none"
            raise DataError(f"expected {expected} in field {label!r} of the training data, found {only}")
        return cls(LabelVocabulary(found), multi, text, label)

    def encode(self, rows: Sequence[Sequence[str]]) -> list[list[int]]:
        """Labels of a file → ids.

        Args:
            rows: the labels of N texts.

        Returns:
            The ids of each text's labels. With one label per text, -1 if it is not in the training data; with several,
            labels that are not in the training data are left out.
        """
        found = [self.labels.indices(row) for row in rows]
        return [[index for index in row if index >= 0] for row in found] if self.multi else found

    def choose(self, probabilities: Mapping[str, float]) -> list[str]:
        """Choose the labels of one text.

        Args:
            probabilities: label → probability, the most probable first; if a text may have several, at least of all
                labels with a probability above 0.5.

        Returns:
            The most probable label; if a text may have several, all with a probability above 0.5.
        """
        if not self.multi:
            return [next(iter(probabilities))]
        return [label for label, probability in probabilities.items() if probability > 0.5]

    def balanced_weights(self, rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Weights of the labels in the loss, so that rare and frequent labels have the same total weight.

        Args:
            rows: the labels of N training texts.

        Returns:
            [K]: with one label per text, N / (K · count); with several, the weight of texts that have the label, the
            number of texts without it divided by the number with it, (N − count) / count.
        """
        counts = Counter(label for row in rows for label in row)
        found = np.array([max(1, counts[label]) for label in self.labels], dtype=np.float32)  # [K]
        total = len(rows)
        weights = np.maximum(total - found, 1) / found if self.multi else total / (len(self.labels) * found)
        return weights.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """The codec as a JSON object; see `from_json`."""
        return {**self.labels.to_json(), "multi_label": self.multi, "text": self.text, "label": self.label}

    @classmethod
    def from_json(cls, value: object) -> ClassCodec:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.

        Returns:
            The codec.

        Raises:
            ModelError: `value` is something else.
        """
        tree = value if isinstance(value, dict) else {}
        multi, text, label = (tree.get(name) for name in ("multi_label", "text", "label"))
        if not isinstance(multi, bool) or not isinstance(text, str) or not isinstance(label, str):
            found = f"{shown(multi)}, {shown(text)} and {shown(label)}"
            raise ModelError(f"labels: expected multi_label (true or false), text and label (strings), found {found}")
        return cls(LabelVocabulary.from_json({"labels": tree.get("labels")}), multi, text, label)
