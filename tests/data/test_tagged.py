from __future__ import annotations

import pytest

from seqkit.data.sentence import Sentence
from seqkit.data.tagged import TaggedSentence, TaggedSpan


def test_spans_are_in_characters_of_the_text() -> None:
    text = "  Ada  Lovelace met Bob."
    sentence = Sentence(["Ada", "Lovelace", "met", "Bob", "."], text, [(2, 5), (7, 15), (16, 19), (20, 23), (23, 24)])
    record = TaggedSentence.from_labels(sentence, ["B-P", "E-P", "O", "S-P", "O"], "bioes", probs=[0.5] * 5)
    assert record.spans == [
        TaggedSpan(2, 15, "P", "Ada  Lovelace", first_token=0, last_token=2),
        TaggedSpan(20, 23, "P", "Bob", first_token=3, last_token=4),
    ]
    assert all(text[span.start : span.end] == span.text for span in record.spans)
    assert (record.probs, record.alternatives) == ([0.5] * 5, None)


def test_no_spans_without_a_scheme_or_tokens() -> None:
    assert TaggedSentence.from_labels(Sentence.from_tokens(["a"]), ["I-X"], "none").spans == []
    assert TaggedSentence.from_labels(Sentence.from_tokens([]), [], "iob2") == TaggedSentence(
        Sentence.from_tokens([]), []
    )


def test_as_many_labels_as_tokens() -> None:
    sentence = Sentence.from_tokens(["a", "b"])
    with pytest.raises(ValueError, match=r"^expected 2 labels, one a token, found 1$"):
        TaggedSentence.from_labels(sentence, ["O"], "iob2")
    with pytest.raises(ValueError, match=r"^expected 2 probabilities, one a token, found 3$"):
        TaggedSentence.from_labels(sentence, ["O", "O"], "iob2", probs=[1.0] * 3)
