"""The data sets that come with seqkit: small corpora written by a grammar, with the difficulties of real text.

========================  =======================================================================================
``sample-ner, -pos``      sentences with entities, or parts of speech; see `seqkit.corpora.samples.tagged`
``sample-reviews``        texts with a label that depends on the order of their words
``sample-pairs``          pairs of sentences, of which the one follows from the other, contradicts it, or neither
``sample-sentences``      sentences whose agreement and homophones depend on words further away
``sample-names``          names whose spelling depends on what they name
``sample-tolari``        sentences and their translation into an invented language of another order
``digits``                images of handwritten digits, and how each digit is spelled
``sample-tones``          frames of tones and rests: what each is, the contour of the tones, their names as a text
``sample-melodies``       tunes as frames of 88 keys
``sample-gestures``       movements of a pen, and what was done in words
========================  =======================================================================================

The same seed gives the same corpus on every platform and Python version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from seqkit.corpora.cards import Card
from seqkit.corpora.samples import sequences, tagged, translations, untagged
from seqkit.corpora.samples.digits import digits
from seqkit.corpora.samples.pairs import pairs
from seqkit.errors import DataError

__all__ = ["GENERATORS", "generate", "generate_card"]

Generator = Callable[[Mapping[str, int], int], Mapping[str, Sequence[Any]]]
"""Sizes of the splits and a seed → the splits."""

#: Sample → what writes it.
GENERATORS: Mapping[str, Generator] = {
    "sample-ner": partial(tagged.generate, "sample-ner", "ner"),
    "sample-pos": partial(tagged.generate, "sample-pos", "upos"),
    "sample-reviews": untagged.reviews,
    "sample-pairs": pairs,
    "sample-sentences": untagged.sentences,
    "sample-names": untagged.names,
    "sample-tolari": translations.translations,
    "digits": digits,
    "sample-tones": sequences.tones,
    "sample-melodies": sequences.melodies,
    "sample-gestures": sequences.gestures,
}


def generate(name: str, sizes: Mapping[str, int], *, seed: int = 0) -> dict[str, list[Any]]:
    """Write a sample.

    Args:
        name: a name of `GENERATORS`.
        sizes: split → number of records.
        seed: seed of the generator.

    Returns:
        Split → sentences, or sequences of vectors. Those for tagging have a column ``word`` and one of labels, the
        others the fields that a file of labelled texts has.

    Raises:
        DataError: there is no such sample, or it has fewer items than were asked for.
    """
    if name not in GENERATORS:
        raise DataError(f"unknown sample {name!r}; choose from {', '.join(GENERATORS)}")
    return {split: list(records) for split, records in GENERATORS[name](sizes, seed).items()}


def generate_card(card: Card) -> dict[str, list[Any]]:
    """Write the sample that a card describes; see `generate`."""
    assert card.generator is not None
    sizes = {"train": card.generator.train, "dev": card.generator.dev, "test": card.generator.test}
    return generate(card.generator.name, sizes, seed=card.generator.seed)
