"""Converting files of sentences to another format or label scheme."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from seqkit.corpora.label_columns import read_notation
from seqkit.errors import DataError
from seqkit.formats.notation import NOTATIONS, joined_spans, write_notation
from seqkit.formats.registry import FORMATS, USUAL_SUFFIXES, read_sentences
from seqkit.formats.schemes import SCHEMES, convert, detect_scheme
from seqkit.records import Sentence, SplitFunction


def convert_file(
    source: str | Path,
    destination: str | Path,
    *,
    source_format: str | None = None,
    destination_format: str | None = None,
    scheme: str | None = None,
    columns: Sequence[str] | None = None,
    token_column: str = "",
    encoding: str = "",
    splitter: SplitFunction | None = None,
) -> int:
    """Convert a file of sentences.

    CoNLL-U converted to CoNLL-U is unchanged, ranges and empty nodes included. In CoNLL-U output, columns that the
    format does not have are written to ``misc`` as ``name=label``.

    Args:
        source: the file to read, or ``-`` for standard input.
        destination: the file to write, or ``-`` for standard output; it may be the source.
        source_format: one of `seqkit.formats.registry.FORMATS`; by default detected.
        destination_format: ``conll``, ``conllu`` or ``jsonl``; by default the destination's extension tells, and
            standard output is ``conll``.
        scheme: ``iob1``, ``iob2`` or ``bioes``: rewrite every column of span labels in this scheme, and repair invalid
            sequences.
        columns: names for a ``conll`` source's columns.
        token_column: the column of its tokens.
        encoding: its encoding.
        splitter: splits raw text into tokens.

    Returns:
        The number of sentences.

    Raises:
        DataError: the source has a fault, the destination cannot be written, its format is not known or cannot
            represent the source, or there are no span labels to rewrite.
        BrokenPipeError: standard output is closed.
    """
    suffix = Path(destination).suffix.lower()
    wanted = destination_format or ("conll" if str(destination) == "-" else USUAL_SUFFIXES.get(suffix))
    writers = {name: format.write for name, format in FORMATS.items() if format.write is not None}
    if wanted is None:
        known = ", ".join(suffix for suffix, name in USUAL_SUFFIXES.items() if name in writers)
        message = f"the extension does not tell the format; use one of {known}, or --output-format"
        raise DataError(message, file=destination)
    if wanted not in writers:
        raise DataError(f"cannot write format {wanted!r}; choose from {', '.join(writers)}")
    sentences = list(
        read_sentences(
            source,
            source_format,
            columns=columns,
            splitter=splitter,
            allow_unlabelled=True,
            token_column=token_column,
            encoding=encoding,
        )
    )
    if scheme is not None:
        _rewrite(sentences, scheme, source)
    content = writers[wanted](sentences).encode("utf-8")  # before the file is opened: a fault leaves it unchanged
    try:
        if str(destination) == "-":
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        else:
            Path(destination).write_bytes(content)
    except BrokenPipeError:
        raise  # not a fault: the command line exits silently
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=destination) from None
    return len(sentences)


def _rewrite(sentences: Sequence[Sentence], scheme: str, source: str | Path) -> list[str]:
    """Rewrite every column of span labels, in place; notes for the user."""
    if scheme not in (*SCHEMES[:-1], *NOTATIONS):
        raise DataError(f"unknown scheme {scheme!r}; choose from {', '.join((*SCHEMES[:-1], *NOTATIONS))}")
    names = list(dict.fromkeys(name for sentence in sentences for name in sentence.columns))
    found, notes, joined = False, [], 0
    for name in names:
        holders = [sentence for sentence in sentences if name in sentence.columns]
        if any(sentence.columns[name] is sentence.tokens for sentence in holders):
            continue
        notes += [f"{name}: {note}" for note in read_notation([holders], name)]
        present = detect_scheme(sentence.columns[name] for sentence in holders)
        if present == "none":
            continue
        found = True
        for sentence in holders:
            labels = convert(sentence.columns[name], present, "bioes" if scheme in NOTATIONS else scheme)
            joined += joined_spans(labels) if scheme == "io" else 0
            sentence.columns[name] = write_notation(labels, scheme) if scheme in NOTATIONS else labels
    if not found and sentences:
        raise DataError(f"no column of span labels (B-…, I-…) among {', '.join(names)}", file=source)
    return [*notes, f"touching spans that io joins: {joined:,}"] if joined else notes
