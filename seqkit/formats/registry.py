"""The table of formats, and reading files of any of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from seqkit.errors import DataError, nearest, shortened
from seqkit.formats.brat import BRAT
from seqkit.formats.columns import may_have_texts
from seqkit.formats.conll import CONLL
from seqkit.formats.conllu import CONLLU, CONLLU_PLUS
from seqkit.formats.doccano import DOCCANO
from seqkit.formats.documents import DOCUMENT
from seqkit.formats.fasttext import FASTTEXT
from seqkit.formats.format import UNDESCRIBED, Description, Format, ReadOptions, Sample
from seqkit.formats.json_array import JSON
from seqkit.formats.jsonl import JSONL
from seqkit.formats.label_studio import LABEL_STUDIO
from seqkit.formats.manifest import AUDIO, NPY, NPZ, NUMBERS
from seqkit.formats.midi import MIDI
from seqkit.formats.named_columns import NAMED_COLUMNS
from seqkit.formats.parallel_files import PARALLEL_FILES
from seqkit.formats.plain import TEXT, TOKENS, WIKITEXT
from seqkit.formats.predicates import CONLL2009, CONLL2012
from seqkit.formats.prodigy import PRODIGY
from seqkit.formats.published import PUBLISHED
from seqkit.formats.spacy_data import SPACY, SPACY_JSON
from seqkit.formats.tables import CSV, PARALLEL, SEMICOLONS, TABS, TSV
from seqkit.formats.text import Line, Part, data_suffix, is_blank, read_lines
from seqkit.formats.time_series import TIME_SERIES
from seqkit.formats.token_tables import TOKEN_TABLE
from seqkit.formats.webanno import WEBANNO
from seqkit.records import FrameRecord, Sentence, SplitFunction, TextRecord

_ANNOTATED = (LABEL_STUDIO, PRODIGY, DOCCANO, SPACY_JSON, SPACY, BRAT, WEBANNO)
_COLUMNS = (CONLLU, CONLLU_PLUS, CONLL2009, CONLL2012, *NAMED_COLUMNS, CONLL)
_TABLES = (TOKEN_TABLE, TSV, CSV, SEMICOLONS, TABS, PARALLEL, PARALLEL_FILES, FASTTEXT, *PUBLISHED)
_VECTORS = (NPY, NPZ, TIME_SERIES, NUMBERS, AUDIO, MIDI)
FORMATS = {
    each.name: each
    for each in (JSONL, *_ANNOTATED, JSON, *_COLUMNS, *_TABLES, *_VECTORS, WIKITEXT, TOKENS, TEXT, DOCUMENT)
}
"""name → format; the content of a file is compared with each in this order"""
SUFFIXES = {suffix: each.name for each in FORMATS.values() for suffix in each.suffixes}
"""the extensions that identify a format"""
USUAL_SUFFIXES = SUFFIXES | {suffix: each.name for each in FORMATS.values() for suffix in each.usual_suffixes}
"""these, and those that files of a format usually have"""
COMPANIONS = {suffix for each in FORMATS.values() for suffix in each.companions}
"""extensions of files that belong to another file and are not read on their own"""

_COLUMN_SUFFIXES = {suffix for each in _COLUMNS for suffix in (*each.suffixes, *each.usual_suffixes)}
"""extensions of files that have columns, whose tokens may look like files of other formats"""

_SAMPLE_LINES = 400  # enough for many sentences, few enough to cost nothing


def format_named(name: str) -> Format:
    """Look up a format.

    Args:
        name: its name.

    Returns:
        The format.

    Raises:
        DataError: there is no such format.
    """
    if name not in FORMATS:
        hint = nearest(name, FORMATS) or "; seqkit data formats lists them"
        raise DataError(f"unknown format {name!r}{hint}")
    return FORMATS[name]


def detect_format(path: str | Path, *, texts: bool = False) -> str:
    """Recognise a file's format; see `describe`.

    Args:
        path: the file; not ``-``, whose format must be named.
        texts: whether a file of texts is expected.

    Returns:
        The format's name.

    Raises:
        DataError: the file cannot be read or is not UTF-8, or `path` is ``-`` or another pipe.
    """
    return describe(path, texts=texts)[0].format


def describe(
    path: str | Path, given: Description = UNDESCRIBED, *, texts: bool = False, lines: Iterable[Line] | None = None
) -> tuple[Description, list[str]]:
    """How a file is to be read: what the user says, and otherwise what its extension and first lines say.

    Args:
        path: the file; ``-`` and pipes only with a format.
        given: what the user says.
        texts: whether a file of texts is expected: then the extension ``.tsv`` is that of a table of them.
        lines: its lines, where they have been read.

    Returns:
        The description, which names a format; and notes for the user on what was found.

    Raises:
        DataError: the file cannot be read, there is no such format, or it has to be named.
    """
    suffix = data_suffix(path)
    if str(path) == "-" or is_pipe(path):  # its reader would miss the lines that are read here
        format = given.format or SUFFIXES.get(suffix, "")
        if not format and str(path) == "-":
            raise DataError("the format of standard input must be named with --format; seqkit data formats lists them")
        if not format:
            raise DataError("the format of a pipe or device cannot be detected; name it with --format", file=path)
        return replace(given, format=format_named(format).name), []
    known = format_named(given.format) if given.format else None
    first: list[str] = []
    if not any(each.binary and suffix in each.suffixes for each in FORMATS.values()):
        first = _first_lines(read_lines(path, given.encoding) if lines is None else lines)
    rows = [line for line in first if not is_blank(line)]
    rows = [row for row in rows if not row.startswith(("# ", "-DOCSTART-"))] or rows
    sample = Sample(Path(path), suffix, first, rows, texts)
    form = known or _recognise(sample, bool(given.columns))
    description, guess = form.describe(sample, replace(given, format=form.name))
    notes = [shortened(f"{path}: {guess}")] if guess else []
    if known is None and form is CONLL and may_have_texts(sample):
        notes.append(f"{path}: each row is read as a token and its label; --format tsv reads a label and a text")
    if not given.format and USUAL_SUFFIXES.get(suffix, "text") not in (form.name, "tsv"):
        evidence = form.evidence(sample)
        read = (
            f"{evidence}, read as format {form.name}; --format text" if evidence else f"read as {form.name}; --format"
        )
        notes.insert(0, f"{path}: {read} overrides this")
    return description, notes


def _first_lines(lines: Iterable[Line]) -> list[str]:
    """Lines for a sample, up to a fault in one of them, which is left to the reader."""
    found: list[str] = []
    try:
        found.extend(line for _, line in islice(lines, _SAMPLE_LINES))
    except DataError as error:
        if error.line is None:
            raise
    return found


def _recognise(sample: Sample, named: bool) -> Format:
    """What is sure of its content goes before what the extension says, and that before what the content looks like.

    `named` if the user names columns, which fastText does not have.
    """
    formats = _COLUMNS if sample.suffix in _COLUMN_SUFFIXES else tuple(FORMATS.values())
    sure = (each for each in formats if each.specific and not (named and each is FASTTEXT) and each.recognise(sample))
    said = FORMATS[SUFFIXES[sample.suffix]] if sample.suffix in SUFFIXES else None
    found = next(sure, said)
    return found or next(each for each in formats if not each.specific and each.recognise(sample))


def is_pipe(path: str | Path) -> bool:
    """Whether a path can be read only once: a pipe, a socket or a device.

    Args:
        path: the path.

    Returns:
        False for files and folders, and if nothing is there.
    """
    place = Path(path)
    return place.exists() and not place.is_file() and not place.is_dir()


def read_sentences(
    path: str | Path,
    format: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    splitter: SplitFunction | None = None,
    allow_unlabelled: bool = False,
    token_column: str = "",
    encoding: str = "",
) -> Iterator[Sentence]:
    """Read a file of sentences, one record at a time.

    Args:
        path: the file, or ``-`` for standard input, whose format must be named.
        format: one of `FORMATS`; by default detected.
        columns: the names of a column file's columns, in order; by default those of its format, or ``"0"``, ``"1"``, ….
        splitter: splits raw text into tokens, for ``text`` and for ``jsonl`` without tokens; by default at spaces.
        allow_unlabelled: whether a ``conll`` file may have tokens alone, like input for prediction.
        token_column: the column of the tokens, a name or a position; by default that of the format.
        encoding: the text's encoding; by default UTF-8.

    Returns:
        An iterator over the sentences, in the file's order. In ``text`` and ``tokens`` every line is one, an empty line
        a sentence without tokens.

    Raises:
        DataError: the format is unknown or contains no sentences; while iterating, anything wrong with the file.
    """
    given = Description(format or "", tuple(columns or ()), token_column, encoding)
    options = ReadOptions(splitter, allow_unlabelled=allow_unlabelled)
    return described_sentences(path, describe(path, given)[0], options)


def described_sentences(path: str | Path, description: Description, options: ReadOptions) -> Iterator[Sentence]:
    """Read a file of sentences whose description is known; see `read_sentences`.

    Args:
        path: the file, or ``-``.
        description: how it is to be read; see `describe`.
        options: further options.

    Returns:
        An iterator over the sentences.

    Raises:
        DataError: the format is unknown or contains no sentences; while iterating, anything wrong with the file.
    """
    read = sentence_reader(description.format, path)
    return read(read_lines(path, description.encoding), _name(path), options.of(description))


def read_texts(
    path: str | Path,
    format: str | None = None,
    *,
    text: str = "text",
    label: str | None = "label",
    splitter: SplitFunction | None = None,
    encoding: str = "",
) -> Iterator[Sentence | TextRecord]:
    """Read a file of texts that have labels or other fields, one record at a time.

    Args:
        path: the file, or ``-`` for standard input, whose format must be named.
        format: one that contains labelled texts, such as ``tsv``, ``csv`` or ``jsonl``, and if no label is needed also
            ``text`` or ``tokens``, in which every line that is not blank is a record with the only field ``text``; by
            default detected.
        text: the column or key of the text.
        label: the column or key of the label; None if records need none. A ``tsv`` or ``csv`` file whose first row does
            not name its columns has the label and the text, in this order.
        splitter: splits the text into tokens; None for texts that are not split.
        encoding: the text's encoding; by default UTF-8.

    Returns:
        An iterator over the texts, in the file's order: `Sentence` records if there is a splitter, `TextRecord` records
        otherwise. The `fields` of each are its cells or its JSON object; the label among them is a string, or a list of
        strings if JSON has a list.

    Raises:
        DataError: the file is in another format; while iterating, anything wrong with the file.
    """
    given = Description(format or "", encoding=encoding)
    options = ReadOptions(splitter, text=text, label=label)
    return described_texts(path, describe(path, given, texts=True)[0], options)


def described_texts(
    path: str | Path, description: Description, options: ReadOptions
) -> Iterator[Sentence | TextRecord]:
    """Read a file of texts whose description is known; see `read_texts`.

    Args:
        path: the file, or ``-``.
        description: how it is to be read; see `describe`.
        options: further options.

    Returns:
        An iterator over the texts.

    Raises:
        DataError: the file is in another format; while iterating, anything wrong with the file.
    """
    read = text_reader(description.format, path, options.label)
    return read(read_lines(path, description.encoding), _name(path), options.of(description))


def described_frames(path: str | Path, description: Description, options: ReadOptions) -> Iterator[FrameRecord]:
    """Read a file of sequences of vectors whose description is known.

    Args:
        path: the file, or ``-``.
        description: how it is to be read; see `describe`.
        options: further options.

    Returns:
        An iterator over the sequences.

    Raises:
        DataError: the file is in another format; while iterating, anything wrong with the file.
    """
    read = frame_reader(description.format, path)
    lines: Iterable[Line] = [] if FORMATS[description.format].opens else read_lines(path, description.encoding)
    return read(lines, _name(path), options.of(description))


def frame_reader(format: str, path: str | Path) -> Callable[[Iterable[Line], str, ReadOptions], Iterator[FrameRecord]]:
    """What reads a file, or its lines, as sequences of vectors; see `Format.frames`.

    Args:
        format: the file's format.
        path: the file, for the message.

    Returns:
        The reader.

    Raises:
        DataError: the format is unknown or contains none.
    """
    found = format_named(format)
    if found.frames is None:
        expected = "expected sequences of vectors (a .jsonl or .csv manifest, .npy, .npz, .ts, or a recording)"
        raise DataError(f"{expected}, found {found.content}", file=_name(path))
    return found.frames


def _name(path: str | Path) -> str:
    return "<stdin>" if str(path) == "-" else str(path)


def sentence_reader(format: str, path: str | Path) -> Callable[[Iterable[Line], str, ReadOptions], Iterator[Sentence]]:
    """What reads a file's lines as sentences; see `Format.sentences`.

    Args:
        format: the file's format.
        path: the file, for the message.

    Returns:
        The reader.

    Raises:
        DataError: the format is unknown or contains no sentences.
    """
    found = format_named(format)
    if found.sentences is None:
        raise DataError(f"expected tokens with labels, found {found.content}", file=_name(path))
    return found.sentences


def text_reader(
    format: str, path: str | Path, label: str | None
) -> Callable[[Iterable[Line], str, ReadOptions], Iterator[Any]]:
    """What reads a file's lines as texts; see `Format.texts`.

    Args:
        format: the file's format.
        path: the file, for the message.
        label: the field of the label; None if no label is needed.

    Returns:
        The reader.

    Raises:
        DataError: the format is unknown or contains no such texts.
    """
    found = format_named(format)
    if found.texts is None or (label is not None and found.has_label is None):
        expected = "expected labelled texts (a .tsv, .csv or .jsonl file)"
        raise DataError(f"{expected}, found {found.content}", file=_name(path))
    return found.texts


def part_sentences(part: Part, splitter: SplitFunction | None) -> Iterator[Sentence]:
    """Read a part of an input of sentences, in which a ``conll`` file may have tokens alone; see `read_sentences`.

    Args:
        part: the part.
        splitter: splits raw text into tokens.

    Returns:
        An iterator over the sentences, the same ones that reading the whole input gives at this place.

    Raises:
        DataError: the format contains no sentences; while iterating, anything wrong with the part.
    """
    return sentence_reader(part.format, part.name)(part.lines(), part.name, _part_options(part, splitter))


def part_texts(
    part: Part, splitter: SplitFunction | None, text: str = "text", second: str = "", *, text_first: bool = False
) -> Iterator[Any]:
    """Read a part of an input of texts that need no label; see `read_texts`.

    Args:
        part: the part.
        splitter: splits the text into tokens.
        text: the column or key of the text, where the part does not say it.
        second: that of the second text, where texts come in pairs.
        text_first: whether of two columns without names the first is the text.

    Returns:
        An iterator over the texts, the same ones that reading the whole input gives at this place; in ``text`` and
        ``tokens`` every line is one.

    Raises:
        DataError: the format contains no texts; while iterating, anything wrong with the part.
    """
    texts: dict[str, Any] = {"text": part.text or text, "second": part.second or second, "text_first": text_first}
    options = replace(_part_options(part, splitter), **texts)
    if format_named(part.format).line_per_record:
        return sentence_reader(part.format, part.name)(part.lines(), part.name, options)
    return text_reader(part.format, part.name, None)(part.lines(), part.name, options)


def part_frames(part: Part, field: str = "", left_out: Counter[str] | None = None) -> Iterator[FrameRecord]:
    """Read a part of an input of sequences of vectors.

    Args:
        part: the part.
        field: the field of the sequence; empty for the usual ones.
        left_out: receives what was left out or changed, see `ReadOptions`.

    Yields:
        The sequences, the same ones that reading the whole input gives at this place.

    Raises:
        DataError: the format contains none; while iterating, anything wrong with the part.
    """
    counted: Counter[str] = Counter() if left_out is None else left_out
    options = replace(_part_options(part, None), frames=part.text or field, left_out=counted)
    for record in frame_reader(part.format, part.name)(part.lines(), part.name, options):
        record.shorten(part.below)
        yield record


def _part_options(part: Part, splitter: SplitFunction | None) -> ReadOptions:
    return ReadOptions(
        splitter,
        tuple(part.columns) or None,
        allow_unlabelled=True,
        head=part.head,
        token_column=part.token_column,
        comment_rows=part.comment_rows,
        span_borders="widen",  # labels that a file has are not looked at, so that they are no fault either
    )
