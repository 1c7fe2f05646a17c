"""The classifier: a raw text or its tokens → a label, or several, with their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from seqkit.heads.classification.head import Classification
from seqkit.inputs.words import WordInput
from seqkit.model.base import Model
from seqkit.records import ClassifiedText


class Classifier(Model):
    """A classifier: one label per text, or several. See `Model`; its `predict` takes ``top``."""

    input: WordInput
    head: Classification

    def classify(self, text: str | Sequence[str]) -> ClassifiedText:
        """Classify one text.

        Args:
            text: raw text, which the model's splitter splits, or a list of tokens.

        Returns:
            The text with its label, or labels, and the probabilities of all.
        """
        found: ClassifiedText = next(self.predict([text]))
        return found
