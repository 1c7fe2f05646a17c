"""Images of handwritten digits, from scikit-learn's bundled copy of the UCI set, each with its digit's name."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import islice
from typing import Any

from seqkit.corpora.samples.grammar import shuffled
from seqkit.errors import DataError
from seqkit.records import Sentence

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits(sizes: Mapping[str, int], seed: int) -> dict[str, list[Sentence]]:
    """Split the images at random.

    Args:
        sizes: split → number of images.
        seed: seed of the random order.

    Returns:
        Split → records with fields ``image``, 8 × 8 brightnesses from 0 to 16 row by row, and ``text``, the digit's
        name.

    Raises:
        DataError: scikit-learn is not installed, or there are fewer images.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("the images of digits come with scikit-learn: pip install scikit-learn") from None
    images, numbers = load_digits(return_X_y=True)
    if sum(sizes.values()) > len(images):
        raise DataError(f"there are only {len(images):,} images of digits, {sum(sizes.values()):,} were requested")
    left = iter(shuffled(random.Random(seed), range(len(images))))
    return {
        split: [_record(images[place], NAMES[int(numbers[place])]) for place in islice(left, size)]
        for split, size in sizes.items()
    }


def _record(image: Any, name: str) -> Sentence:
    offsets = [(place, place + 1) for place in range(len(name))]
    return Sentence(list(name), name, offsets, fields={"image": image.tolist(), "text": name})
