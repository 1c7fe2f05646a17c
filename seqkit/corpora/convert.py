"""Files of sentences from one format, or label scheme, to another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from seqkit.errors import DataError
from seqkit.formats.columns import CONLLU_COLUMNS, read_conll
from seqkit.formats.registry import SUFFIXES, Splitter, detect_format, read_sentences
from seqkit.formats.schemes import SCHEMES, convert, detect_scheme
from seqkit.formats.text import Lines
from seqkit.formats.writers import clean, refuse_breaks, rows, to_json
from seqkit.records import Sentence, align

__all__ = ["convert_file"]

_INSTEAD = "a .jsonl file"
_PLACE = itemgetter(0, 1)


def convert_file(
    source: str | Path,
    destination: str | Path,
    *,
    source_format: str | None = None,
    destination_format: str | None = None,
    scheme: str | None = None,
    columns: Sequence[str] | None = None,
    splitter: Splitter | None = None,
) -> int:
    """Convert a file of sentences.

    CoNLL-U comes out of CoNLL-U as it went in, ranges and empty nodes included. In CoNLL-U output columns that the
    format does not have stand in ``misc`` as ``name=label``.

    Args:
        source: the file to read, or ``-`` for standard input.
        destination: the file to write, or ``-`` for standard output; it may be the source.
        source_format: one of `seqkit.formats.registry.FORMATS`; by default detected.
        destination_format: ``conll``, ``conllu`` or ``jsonl``; by default as the destination's extension says.
        scheme: ``iob1``, ``iob2`` or ``bioes``: rewrite every column of span labels in it, repairing what is illegal.
        columns: names for a ``conll`` source's columns.
        splitter: cuts raw text into tokens.

    Returns:
        The number of sentences.

    Raises:
        DataError: the source has a fault, the destination's format cannot hold it or be written, or there are no span
            labels to rewrite.
        BrokenPipeError: nobody reads standard output any more.
    """
    wanted = destination_format or SUFFIXES.get(Path(destination).suffix.lower(), "conll")
    if wanted not in _TO_TEXT:
        raise DataError(f"expected a format to write among {', '.join(_TO_TEXT)}, found {wanted!r}")
    given = source_format or detect_format(source)
    sentences = list(read_sentences(source, given, columns=columns, splitter=splitter, allow_unlabelled=True))
    if scheme is not None:
        _rewrite(sentences, scheme, source)
    # Made before the file is opened: a fault leaves what stood there.
    content = "".join(map(_TO_TEXT[wanted], sentences)).encode("utf-8")
    if wanted == "conll":
        _refuse_misread(content, sentences)
    try:
        if str(destination) == "-":
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        else:
            Path(destination).write_bytes(content)
    except BrokenPipeError:
        raise  # no fault: the command line ends quietly then
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", file=destination) from None
    return len(sentences)


def _rewrite(sentences: Sequence[Sentence], scheme: str, source: str | Path) -> None:
    """Rewrite every column of span labels, in place."""
    if scheme not in SCHEMES or scheme == "none":
        raise DataError(f"expected a scheme among {', '.join(SCHEMES[:-1])}, found {scheme!r}")
    names = list(dict.fromkeys(name for sentence in sentences for name in sentence.columns))
    found = False
    for name in names:
        holders = [sentence for sentence in sentences if name in sentence.columns]
        present = detect_scheme(sentence.columns[name] for sentence in holders)
        if present != "none":
            found = True
            for sentence in holders:
                sentence.columns[name] = convert(sentence.columns[name], present, scheme)
    if not found and sentences:
        raise DataError(
            f"expected a column of span labels (B-…, I-…), found none among {', '.join(names)}", file=source
        )


def _label_columns(sentence: Sentence) -> dict[str, list[str]]:
    """The columns other than the tokens' own."""
    return {name: column for name, column in sentence.columns.items() if column is not sentence.tokens}


def _refuse_misread(content: bytes, sentences: Sequence[Sentence]) -> None:
    """See that columns are read as they were written: rows of one width, no token that is taken for another thing."""
    read = read_conll(Lines([content], ""), "", allow_unlabelled=True)
    for sentence in sentences:
        if not sentence.tokens:
            continue
        try:
            found = next(read, None)
        except DataError:
            found = None
        written = [list(map(clean, column)) for column in _columns(sentence)]
        if found is None or (list(found.columns.values()) or [found.tokens]) != written:
            expected = "expected tokens and labels that can be read again from columns as wide as those before"
            message = f"{expected}, found others; {_INSTEAD} can hold them"
            raise DataError(message, file=sentence.file or None, line=sentence.line or None)


def _columns(sentence: Sentence) -> list[list[str]]:
    """All columns in the order that the source had them, that of the tokens among them."""
    columns = list(sentence.columns.values())
    return columns if any(column is sentence.tokens for column in columns) else [sentence.tokens, *columns]


def _to_conll(sentence: Sentence) -> str:
    """Rows of tab-separated columns."""
    columns = _columns(sentence)
    block = rows(columns)
    refuse_breaks(block, len(sentence.tokens) * (len(columns) - 1), len(sentence.tokens) + 1, sentence, _INSTEAD)
    return clean(block)


def _to_jsonl(sentence: Sentence) -> str:
    """``{"text", "tokens", …}``, tokens as strings where they can be found again in the text by order alone."""
    tokens: list[Any] = sentence.tokens
    if align(sentence.tokens, sentence.text) != sentence.offsets:
        tokens = [
            {"text": token, "start": start, "end": end}
            for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True)
        ]
    return to_json({"text": sentence.text, "tokens": tokens, **_label_columns(sentence)}) + "\n"


def _to_conllu(sentence: Sentence) -> str:
    """A block of CoNLL-U; a sentence that has comments and ``misc`` of its own keeps them."""
    tokens = sentence.tokens
    if not tokens:
        return ""
    blank = ["_"] * len(tokens)
    known = [sentence.columns.get(name, blank) for name in CONLLU_COLUMNS[1:]]
    if "misc" not in sentence.columns:
        known[-1] = _misc(sentence)
    numbers = [str(index) for index in range(1, len(tokens) + 1)]
    lines = list(map("\t".join, zip(numbers, tokens, *known, strict=True)))
    if sentence.other_rows:
        placed = [(position, 0, row) for position, row in sentence.other_rows]  # each stands before the word there
        lines = [
            line for *_, line in sorted([*placed, *((index, 1, line) for index, line in enumerate(lines))], key=_PLACE)
        ]
    comments = sentence.comments if "misc" in sentence.columns else [f" text = {sentence.text}"]
    head = "".join(f"#{comment}\n" for comment in comments)
    body = "".join(f"{line}\n" for line in lines)
    refuse_breaks(head, None, len(comments), sentence, _INSTEAD)
    refuse_breaks(body, 9 * len(lines), len(lines), sentence, _INSTEAD)
    return clean(f"{head}{body}\n")


def _misc(sentence: Sentence) -> list[str]:
    """``misc`` of each token: the columns that CoNLL-U has no place for, and whether a space follows."""
    extra = {name: column for name, column in _label_columns(sentence).items() if name not in CONLLU_COLUMNS}
    found: list[str] = []
    for index, (_, end) in enumerate(sentence.offsets):
        parts = [f"{name}={column[index]}".replace("|", "\\p") for name, column in extra.items()]  # as UDPipe writes it
        if index + 1 < len(sentence.offsets) and sentence.offsets[index + 1][0] == end:
            parts.append("SpaceAfter=No")
        found.append("|".join(parts) or "_")
    return found


_TO_TEXT: dict[str, Callable[[Sentence], str]] = {"conll": _to_conll, "conllu": _to_conllu, "jsonl": _to_jsonl}
