"""Parallel text: files with as many lines as each other, the texts of a line being translations of each other.

``train.de`` and ``train.en``, or ``train.de.txt`` and ``train.en.txt``: names differ in one word, which names the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from seqkit.errors import DataError
from seqkit.formats.format import Format, ReadOptions
from seqkit.formats.text import Line, read_lines
from seqkit.records import Sentence, TextRecord

_WORDS = re.compile(r"([._-])")


def parallel_words(names: Sequence[str]) -> tuple[str, ...]:
    """The words in which the names of several files differ.

    Args:
        names: the names of at least two files.

    Returns:
        One word of each, all different; none if the names differ in more than one place, or do not differ.

    Examples:
        >>> parallel_words(["train.de", "train.en"])
        ('de', 'en')
        >>> parallel_words(["train.de", "dev.en"])
        ()
    """
    parts = [_WORDS.split(name) for name in names]
    if len(parts) < 2 or len({len(each) for each in parts}) > 1:
        return ()
    differing = [words for words in zip(*parts, strict=True) if len(set(words)) > 1]
    if len(differing) != 1 or len(set(differing[0])) < len(names):
        return ()
    return differing[0]


def parallel_file(path: Path, words: Sequence[str], word: str) -> Path:
    """The file beside one that has another of the texts.

    Args:
        path: one of the files.
        words: the words that name the texts.
        word: the one of the text that is wanted.

    Returns:
        The file.

    Raises:
        DataError: the name of `path` has none of the words.
    """
    parts = _WORDS.split(path.name)
    places = [place for place, part in enumerate(parts) if part in words]
    if not places:
        raise DataError(f"its name has none of {', '.join(words)}, which name the parallel texts", file=path)
    parts[places[-1]] = word
    return path.with_name("".join(parts))


def refuse_unknown_texts(options: ReadOptions, name: str) -> None:
    """See that the texts that are asked for are there.

    Args:
        options: which are.
        name: one of the files.

    Raises:
        DataError: one is not.
    """
    words = tuple(options.columns or ())
    for word in (options.label, options.text):
        if word is not None and word not in words:
            raise DataError(f"there is no text {word!r}; these are parallel: {', '.join(words) or 'none'}", file=name)


def uneven(names: Sequence[str]) -> str:
    """What is wrong where files end before others."""
    return f"parallel files have as many lines as each other, and {', '.join(names)} ends here"


def _read(lines: Iterable[Line], name: str, options: ReadOptions) -> Iterator[Sentence | TextRecord]:
    """A record a line, with a field for each text."""
    words = tuple(options.columns or ())
    refuse_unknown_texts(options, name)
    paths = {word: parallel_file(Path(name), words, word) for word in words}
    own = next(word for word, path in paths.items() if path.name == Path(name).name)
    others = {word: read_lines(path, options.encoding) for word, path in paths.items() if word != own}
    for rows in zip_longest(lines, *others.values()):
        if None in rows:
            short = [word for word, row in zip([own, *others], rows, strict=True) if row is None]
            number = next(row[0] for row in rows if row is not None)
            raise DataError(uneven([paths[word].name for word in short]), file=name, line=number)
        texts = {word: text for word, (_, text) in zip([own, *others], rows, strict=True)}
        yield options.record(texts.get(options.text, ""), {word: texts[word] for word in words}, name, rows[0][0])


PARALLEL_FILES = Format(
    "parallel-files",
    "lines of several files that are translations of each other",
    source="one text a file, as https://www.statmt.org/wmt14/translation-task.html has them",
    texts=_read,
    has_label=lambda lines, label: False,  # its texts may be what others are learned from, but no labels
)
