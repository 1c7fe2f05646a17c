"""The classifier: a raw text or its tokens → a label, or several, with their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqkit.heads.classification.head import Classification
from seqkit.inputs.words import WordInput
from seqkit.model.base import Model
from seqkit.records import ClassifiedText


class Classifier(Model):
    """A classifier: one label per text, or several. See `Model`; its `predict` takes ``top``."""

    input: WordInput
    head: Classification

    def classify(self, text: str | Sequence[str] | Mapping[str, Any]) -> ClassifiedText:
        """Classify one text.

        Args:
            text: raw text, which the model's splitter splits, a list of tokens, or a mapping with either.

        Returns:
            The text with its label, or labels, and the probabilities of all.

        Raises:
            DataError: it is something else, or the list holds several texts.
        """
        self._refuse_texts(text, "classify")
        found: ClassifiedText = next(self.predict([text]))
        return found
