"""CoNLL-U, the format of Universal Dependencies, and CoNLL-U Plus, which has other columns.

CoNLL-U is defined at https://universaldependencies.org/format.html, CoNLL-U Plus at
https://universaldependencies.org/ext-format.html; the files ``.cupt`` of PARSEME
(https://gitlab.com/parseme/corpora/-/wikis/CUPT-format) are in CoNLL-U Plus.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from operator import itemgetter

from seqkit.errors import DataError, shown
from seqkit.formats.format import DEFAULTS, Description, Format, ReadOptions, Sample
from seqkit.formats.text import Line, Lines, is_blank, last_blank_line_end
from seqkit.formats.writers import clean, label_columns, refuse_breaks
from seqkit.records import ConlluRows, Sentence, align

CONLLU_COLUMNS = ("form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of a CoNLL-U file after its first, the token's id."""

_RANGE = re.compile(r"[0-9]{1,9}-([0-9]{1,9})")
_EMPTY_NODE = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}")
_INSTEAD = "a .jsonl file"


_COLUMNS = ("id", *CONLLU_COLUMNS)
_NAMING = "# global.columns = "
_NOT_NAMED = "expected '# global.columns = ID FORM …' before the first row; --columns names the columns otherwise"


class _Layout:
    """Which columns a file has.

    Args:
        names: their names as the file has them.
        file: the file's name, for messages.

    Raises:
        DataError: a name occurs twice, or there is no column of words.
    """

    def __init__(self, names: Sequence[str], file: str) -> None:
        self.names = tuple(name.lower() if name.lower() in _COLUMNS else name for name in names)
        if twice := [name for name, times in Counter(self.names).items() if times > 1]:
            raise DataError(f"several columns are named {twice[0]!r}", file=file)
        if "form" not in self.names:
            raise DataError(f"expected a column FORM, found columns: {', '.join(names)}", file=file)
        self.form = self.names.index("form")
        self.tabs = len(self.names) - 1
        self.id = self.names.index("id") if "id" in self.names else None

    def as_conllu(self, row: Sequence[str]) -> str:
        """The row with the columns of CoNLL-U, ``_`` for those that the file does not have."""
        cells = dict(zip(self.names, row, strict=True))
        return "\t".join(cells.get(name, "_") for name in _COLUMNS)


_CONLLU_LAYOUT = _Layout(_COLUMNS, "")


def read_conllu(lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    """Read CoNLL-U.

    The words are the tokens. Multiword ranges (``3-4``) and empty nodes (``8.1``) are not, and are kept in
    `Sentence.conllu` for writing back. The text is the comment ``# text = …`` if the words are found in it one after
    another; otherwise (``del`` for the words ``de el``) it is built from the words and ``SpaceAfter=No``.

    Args:
        lines: numbered lines.
        name: the file's name, for messages.
        options: none of them matters here.

    Returns:
        An iterator over sentences with the columns `CONLLU_COLUMNS`; while iterating, `DataError` if a row does not
        have 10 columns, has an empty one or an id out of order, or a range does not start at the next word, or starts
        within another range.
    """
    return _read(lines, name, _CONLLU_LAYOUT, naming=False)


def read_conllu_plus(lines: Iterable[Line], name: str, options: ReadOptions = DEFAULTS) -> Iterator[Sentence]:
    """Read CoNLL-U Plus: CoNLL-U with the columns that ``# global.columns = ID FORM …`` names.

    Args:
        lines: numbered lines.
        name: the file's name, for messages.
        options: the names of the columns, for a file that does not have them; as head these names, for lines that do
            not start the file.

    Returns:
        An iterator over sentences with these columns but ``ID``; those of CoNLL-U are called as there (``upos``), the
        others as the file has them. While iterating, `DataError` as in `read_conllu`, and if the columns have no names.

    Raises:
        DataError: the head is none of names.
    """
    head = options.head or options.columns
    if not all(isinstance(each, str) for each in head or ()):
        raise DataError(f"a head must be names of columns, found {shown(head)}", file=name)
    return _read(lines, name, _Layout(head, name) if head else None, naming=True, named=bool(options.head))


def _read(
    lines: Iterable[Line], name: str, layout: _Layout | None, *, naming: bool, named: bool = False
) -> Iterator[Sentence]:
    """Sentences of rows with certain columns, those that a comment names if there may be one and none has before."""
    words: list[list[str]] = []
    kept = ConlluRows()
    first = covered = 0  # the line of the first word; the last word of a range
    for number, line in chain(lines, [(0, "")]):
        if is_blank(line):
            if words and layout is not None:
                yield _sentence(words, kept, layout, name, first)
            covered = 0
            words, kept = [], ConlluRows()  # also after a block without words, which is not a sentence
            continue
        # Where no id comes first, a token that starts with # starts a row.
        if line.startswith("#") and not (layout is not None and layout.id != 0 and line.count("\t") == layout.tabs):
            if naming and _is_naming(line):
                found = _named(line, name, number)
                if named and layout is not None and found.names != layout.names:
                    raise DataError("the columns are named once more, and differ", file=name, line=number)
                layout, named = found, True
            else:
                kept.comments.append(line[1:])
            continue
        if layout is None:
            raise DataError(_NOT_NAMED, file=name, line=number)
        named = True
        row = line.split("\t")
        if len(row) != len(layout.names):
            expected = f"expected {len(layout.names)} tab-separated columns"
            raise DataError(f"{expected}, found {len(row)}", file=name, line=number)
        if "" in row:
            place, form = row.index(""), row[layout.form]
            empty = (
                f"column {place + 1} is empty; write _ for no value"
                if form
                else f"empty word in column {layout.form + 1}"
            )
            raise DataError(empty, file=name, line=number)
        following = len(words) + 1
        identity = row[layout.id] if layout.id is not None else str(following)
        if identity == str(following):
            first = first if words else number
            words.append(row)
            continue
        last = _range_end(identity) if identity.startswith(f"{following}-") and following > covered else 0
        if last < following and not _EMPTY_NODE.fullmatch(identity):
            raise DataError(f"expected token id {following}, found {identity!r}", file=name, line=number)
        covered = max(covered, last)
        kept.other_rows.append((len(words), line if layout is _CONLLU_LAYOUT else layout.as_conllu(row)))


def _is_naming(line: str) -> bool:
    """Whether a comment names the columns, with spaces between them; with a tab it would be a row."""
    return line.startswith(_NAMING) and "\t" not in line


def _named(line: str, name: str, number: int) -> _Layout:
    try:
        return _Layout(line[len(_NAMING) :].split(), name)
    except DataError as error:
        raise DataError(str(error).removeprefix(f"{name}: "), file=name, line=number) from None


def _range_end(text: str) -> int:
    """The last token of a multiword range, ``3-4``; 0 if this is not one."""
    found = _RANGE.fullmatch(text)
    return int(found[1]) if found else 0


def _sentence(rows: list[list[str]], kept: ConlluRows, layout: _Layout, name: str, line: int) -> Sentence:
    cells = [list(column) for column in zip(*rows, strict=True)]
    columns = dict(zip(layout.names, cells, strict=True))
    columns.pop("id", None)
    words = columns["form"]
    misc = columns.get("misc") or ["_"] * len(words)
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
        comments = [*(each for each in comments if not each.startswith(" text = ")), f" text = {sentence.text}"]
    elif extra := _extra(sentence):
        columns[-1] = [
            "|".join(filter(None, [*_features(extra, place), each.strip("_")])) or "_"
            for place, each in enumerate(columns[-1])
        ]
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


def _extra(sentence: Sentence) -> dict[str, list[str]]:
    """The columns that CoNLL-U does not have."""
    return {name: column for name, column in label_columns(sentence).items() if name not in CONLLU_COLUMNS}


def _features(extra: dict[str, list[str]], index: int) -> list[str]:
    """Other labels of a token, as UDPipe writes them into ``misc``."""
    return [f"{name}={column[index]}".replace("|", "\\p") for name, column in extra.items()]


def _misc(sentence: Sentence) -> list[str]:
    """``misc`` of each token: the columns that CoNLL-U does not have, and whether a space follows."""
    extra = _extra(sentence)
    found: list[str] = []
    for index, (_, end) in enumerate(sentence.offsets):
        parts = _features(extra, index)
        if index + 1 < len(sentence.offsets) and sentence.offsets[index + 1][0] == end:
            parts.append("SpaceAfter=No")
        found.append("|".join(parts) or "_")
    return found


def _is_plus(sample: Sample) -> bool:
    """Whether columns are named, other ones than those of CoNLL-U."""
    naming = next(filter(_is_naming, sample.lines), None)
    if naming is None or any(not line.startswith("#") for line in sample.lines[: sample.lines.index(naming)]):
        return False
    return tuple(naming[len(_NAMING) :].lower().split()) != _COLUMNS


def _head(lines: Lines, name: str) -> tuple[Sequence[str] | None, bool]:
    """The names of the columns; known once there is a row, or they are."""
    for number, line in lines:
        if _is_naming(line):
            _named(line, name, number)
            return line[len(_NAMING) :].split(), True
        if not is_blank(line) and not line.startswith("#"):
            return None, True
    return None, False


def _usual_head(lines: Sequence[Line], name: str, options: ReadOptions) -> Sequence[str] | None:
    naming = next(((number, line) for number, line in lines if _is_naming(line)), None)
    if naming is None and options.columns is None and lines:
        raise DataError(_NOT_NAMED, file=name, line=1)
    if naming is None:
        return None
    _named(naming[1], name, naming[0])
    return naming[1][len(_NAMING) :].split()


def _describe(sample: Sample, given: Description) -> tuple[Description, str]:
    """What the user says of columns does not matter here, which is said."""
    said = [flag for flag, value in (("--columns", given.columns), ("--token-column", given.token_column)) if value]
    fixed = f"CoNLL-U has columns of its own: {' and '.join(said)} not used; --format conll reads other columns"
    return given, fixed if said else ""


CONLLU = Format(
    "conllu",
    "tokens with labels",
    source="https://universaldependencies.org/format.html",
    suffixes=(".conllu",),
    recognise=lambda sample: (
        bool(sample.rows) and all(row.count("\t") == 9 and row[0].isdigit() for row in sample.rows)
    ),
    describe=_describe,
    sentences=read_conllu,
    write=_write,
    last_end=last_blank_line_end,
    row_per_token=True,
    numbered=True,
)
CONLLU_PLUS = replace(
    CONLLU,
    name="conllup",
    source="https://universaldependencies.org/ext-format.html",
    suffixes=(".conllup", ".cupt"),
    recognise=_is_plus,
    specific=True,
    describe=lambda sample, given: (given, ""),
    sentences=read_conllu_plus,
    write=None,
    head=_head,
    usual_head=_usual_head,
)
