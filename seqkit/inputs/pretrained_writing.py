"""Word vectors → a file that `seqkit.inputs.pretrained.read_vectors` reads: word2vec's binary format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqkit.errors import DataError
from seqkit.inputs.pretrained import Vectors

__all__ = ["write_vectors"]


def write_vectors(vectors: Vectors, path: str | Path) -> None:
    """Write word vectors to a file, as the setting ``embedding.vectors`` (``--vectors``) names one.

    The format is word2vec's binary one, which takes every float32 value as it is: reading gives equal vectors.

    Args:
        vectors: the vectors.
        path: the file; replaced where it exists.

    Raises:
        DataError: the file cannot be written; a word is empty, holds a space or begins with a line break, which this
            format cannot tell from what stands around it, or is not to be written in UTF-8; a value is not finite.

    Examples:
        >>> import tempfile
        >>> from seqkit.inputs.pretrained import read_vectors
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_vectors(Vectors(["the", "cat"], np.eye(2, dtype=np.float32)), f"{folder}/two.bin")
        ...     read_vectors(f"{folder}/two.bin").words
        ['the', 'cat']
    """
    for word, row in zip(vectors.words, vectors.matrix, strict=True):
        if not word or " " in word or word.startswith("\n"):
            raise DataError(f"expected words that are not empty and hold no space, found {word!r}", file=path)
        if not np.isfinite(row).all():
            raise DataError(f"expected finite numbers, found others in the vector of {word!r}", file=path)
    try:
        # word2vec writes a line break after each vector; here one stands before each word: no text begins like that.
        spelled = [b"\n" + word.encode("utf-8") + b" " for word in vectors.words]
        with open(path, "wb") as stream:
            stream.write(f"{len(vectors)} {vectors.size}\n".encode("ascii"))
            for start, row in zip(spelled, np.ascontiguousarray(vectors.matrix, dtype="<f4"), strict=True):
                stream.write(start)
                stream.write(row.data)
    except UnicodeEncodeError as error:
        raise DataError(f"expected words that UTF-8 can write, found {error.object!r}", file=path) from None
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=path) from None
