"""Images of handwritten digits, from scikit-learn's bundled copy of the UCI set, each with its digit's name."""

from __future__ import annotations

import random
from collections.abc import Mapping

from seqkit.corpora.samples.grammar import shuffled
from seqkit.errors import DataError
from seqkit.records import Sentence

__all__ = ["NAMES", "digits"]

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits(sizes: Mapping[str, int], seed: int) -> dict[str, list[Sentence]]:
    """Split the images by chance.

    Args:
        sizes: split → number of images.
        seed: which split it is.

    Returns:
        Split → records with fields ``image``, 8 × 8 brightnesses from 0 to 16 row by row, and ``text``, the digit's
        name.

    Raises:
        DataError: scikit-learn is not installed, or there are fewer images.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        message = "expected scikit-learn, which holds the images of digits, found none; pip install scikit-learn"
        raise DataError(message) from None
    images, numbers = load_digits(return_X_y=True)
    if sum(sizes.values()) > len(images):
        raise DataError(f"expected at most {len(images):,} images of digits, found {sum(sizes.values()):,} asked for")
    left = iter(shuffled(random.Random(seed), range(len(images))))
    corpus: dict[str, list[Sentence]] = {}
    for split, size in sizes.items():
        corpus[split] = []
        for _, place in zip(range(size), left, strict=False):
            name = NAMES[int(numbers[place])]
            spelled = Sentence.from_tokens(list(name), space_after=[False] * len(name))
            spelled.fields = {"image": images[place].tolist(), "text": name}
            corpus[split].append(spelled)
    return corpus
