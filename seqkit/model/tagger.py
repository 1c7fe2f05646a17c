"""The tagger: raw text or tokens → labels and spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqkit.heads.tagging.head import Tagging
from seqkit.inputs.words import WordInput
from seqkit.model.base import Model
from seqkit.records import TaggedSentence


class Tagger(Model):
    """A tagger: one label per token. See `Model`; its `predict` takes ``probs`` and ``nbest``."""

    input: WordInput
    head: Tagging

    def tag(
        self, text: str | Sequence[str] | Mapping[str, Any], *, probs: bool = False, nbest: int = 1
    ) -> TaggedSentence:
        """Tag one sentence.

        Args:
            text: raw text, which the model's splitter splits, a list of tokens, or a mapping with either.
            probs: also give the probability of every token's label, its marginal, and of every span, that of exactly
                its tokens carrying exactly its label.
            nbest: also give so many best label sequences, with their probabilities.

        Returns:
            The sentence with its labels and spans; ``text[start:end]`` is each token and each span.

        Raises:
            DataError: it is something else, or the list holds several texts.
        """
        self._refuse_texts(text, "tag")
        found: TaggedSentence = next(self.predict([text], probs=probs, nbest=nbest))
        return found
