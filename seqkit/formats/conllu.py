"""CoNLL-U, the format of Universal Dependencies (https://universaldependencies.org/format.html)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter

from seqkit.errors import DataError
from seqkit.formats.format import DEFAULTS, Format, ReadOptions
from seqkit.formats.text import Line, is_blank, last_blank_line_end
from seqkit.formats.writers import clean, label_columns, refuse_breaks
from seqkit.records import ConlluRows, Sentence, align

CONLLU_COLUMNS = ("form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of a CoNLL-U file after its first, the token's id."""

_RANGE = re.compile(r"[0-9]{1,9}-([0-9]{1,9})")
_EMPTY_NODE = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}")
_INSTEAD = "a .jsonl file"


def read_conllu(lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    """Read CoNLL-U.

    The words are the tokens. Multiword ranges (``3-4``) and empty nodes (``8.1``) are not, and are kept in
    `Sentence.conllu` for writing back. The text is the comment ``# text = …`` if the words are found in it one after
    another; otherwise (``del`` for the words ``de el``) it is built from the words and ``SpaceAfter=No``.

    Args:
        lines: numbered lines.
        name: the file's name, for messages.
        options: none of them matters here.

    Yields:
        Sentences with the columns `CONLLU_COLUMNS`.

    Raises:
        DataError: a row does not have 10 columns, has an empty one or an id out of order; a range does not start at the
            next word, or starts within another range.
    """
    words: list[list[str]] = []
    kept = ConlluRows()
    first = covered = 0  # the line of the first word; the last word of a range
    for number, line in chain(lines, [(0, "")]):
        if is_blank(line):
            if words:
                yield _sentence(words, kept, name, first)
            covered = 0
            words, kept = [], ConlluRows()  # also after a block without words, which is not a sentence
            continue
        if line.startswith("#"):
            kept.comments.append(line[1:])
            continue
        row = line.split("\t")
        if len(row) != 10:
            raise DataError(f"expected 10 tab-separated columns, found {len(row)}", file=name, line=number)
        if "" in row:
            empty = f"column {row.index('') + 1} is empty; write _ for no value" if row[1] else "empty word in column 2"
            raise DataError(empty, file=name, line=number)
        following = len(words) + 1
        if row[0] == str(following):
            first = first if words else number
            words.append(row)
            continue
        last = _range_end(row[0]) if row[0].startswith(f"{following}-") and following > covered else 0
        if last < following and not _EMPTY_NODE.fullmatch(row[0]):
            raise DataError(f"expected token id {following}, found {row[0]!r}", file=name, line=number)
        covered = max(covered, last)
        kept.other_rows.append((len(words), line))


def _range_end(text: str) -> int:
    """The last token of a multiword range, ``3-4``; 0 if this is not one."""
    found = _RANGE.fullmatch(text)
    return int(found[1]) if found else 0


def _sentence(rows: list[list[str]], kept: ConlluRows, name: str, line: int) -> Sentence:
    cells = [list(column) for column in zip(*rows, strict=True)][1:]
    columns = dict(zip(CONLLU_COLUMNS, cells, strict=True))
    words, misc = columns["form"], columns["misc"]
    text = next((comment[len(" text = ") :] for comment in kept.comments if comment.startswith(" text = ")), None)
    offsets = None if text is None else align(words, text)
    if text is not None and offsets is not None:
        return Sentence(words, text, offsets, columns, file=name, line=line, conllu=kept)
    space_after = ["SpaceAfter=No" not in each for each in misc]
    for _, other in kept.other_rows:
        _space_in_range(other.split("\t"), words, space_after)
    sentence = Sentence.from_tokens(words, columns, space_after=space_after, file=name, line=line)
    columns["form"] = sentence.tokens  # the same list, by which writers recognise that column
    sentence.conllu = kept
    return sentence


def _space_in_range(row: list[str], words: list[str], space_after: list[bool]) -> None:
    """Apply a multiword range's spacing: no space within ``don't``, which is its words joined, but within ``de el``."""
    first, _, last = row[0].partition("-")
    if not last or int(last) > len(words):
        return
    inside = range(int(first) - 1, int(last))
    spaced = "".join(words[index] for index in inside) != row[1]
    for index in inside:
        space_after[index] = spaced
    space_after[inside[-1]] = "SpaceAfter=No" not in row[9]


def _write(sentences: Sequence[Sentence]) -> str:
    return "".join(_block(sentence) for sentence in sentences if sentence.tokens)


def _block(sentence: Sentence) -> str:
    """The lines of a sentence; one that has ``misc`` of its own keeps it and its comments."""
    kept = sentence.conllu or ConlluRows()
    tokens, blank = sentence.tokens, ["_"] * len(sentence.tokens)
    columns = [sentence.columns.get(name, blank) for name in CONLLU_COLUMNS[1:]]
    comments = kept.comments
    if "misc" not in sentence.columns:
        columns[-1] = _misc(sentence)
        comments = [f" text = {sentence.text}"]
    ids = [str(index) for index in range(1, len(tokens) + 1)]
    lines = list(map("\t".join, zip(ids, tokens, *columns, strict=True)))
    if kept.other_rows:
        placed = [(position, 0, row) for position, row in kept.other_rows]  # each stands before the word there
        placed += [(index, 1, line) for index, line in enumerate(lines)]
        lines = [line for *_, line in sorted(placed, key=itemgetter(0, 1))]
    head = "".join(f"#{comment}\n" for comment in comments)
    body = "".join(f"{line}\n" for line in lines)
    refuse_breaks(head, None, len(comments), sentence, _INSTEAD)
    refuse_breaks(body, 9 * len(lines), len(lines), sentence, _INSTEAD)
    return clean(f"{head}{body}\n")


def _misc(sentence: Sentence) -> list[str]:
    """``misc`` of each token: the columns that CoNLL-U does not have, and whether a space follows."""
    extra = {name: column for name, column in label_columns(sentence).items() if name not in CONLLU_COLUMNS}
    found: list[str] = []
    for index, (_, end) in enumerate(sentence.offsets):
        parts = [f"{name}={column[index]}".replace("|", "\\p") for name, column in extra.items()]  # as UDPipe writes it
        if index + 1 < len(sentence.offsets) and sentence.offsets[index + 1][0] == end:
            parts.append("SpaceAfter=No")
        found.append("|".join(parts) or "_")
    return found


CONLLU = Format(
    "conllu",
    "tokens with labels",
    suffixes=(".conllu",),
    recognise=lambda sample: (
        bool(sample.rows) and all(row.count("\t") == 9 and row[0].isdigit() for row in sample.rows)
    ),
    sentences=read_conllu,
    write=_write,
    last_end=last_blank_line_end,
    row_per_token=True,
    numbered=True,
)
