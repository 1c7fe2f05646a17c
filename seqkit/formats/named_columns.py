"""Formats of columns that differ only in which column is what: one row of a table each.

==========  ======================================================================================
germeval    GermEval 2014: outer and inner entities, the address of the source as a comment
wikineural  WikiNEuRal: tokens counted from 0
mit         MIT movie and restaurant: the label before the token
conll2000   chunks
conll2002   entities; part-of-speech tags or none
conll2003   entities; part-of-speech tags and chunks or none
==========  ======================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from seqkit.formats.columns import Rows, is_numbered, marks_spans, sampled, told_place
from seqkit.formats.conll import CONLL, Layouts, read_conll
from seqkit.formats.format import Format, Sample

_GERMEVAL_LABEL = re.compile(r"O|[BI]-(PER|LOC|ORG|OTH)(deriv|part)?")


def _is_germeval(rows: Rows, lines: Sequence[str]) -> bool:
    """Rows of four cells, numbered from 1; the source of each sentence before it, or the labels of this task alone."""
    labels = {cell for place in (2, 3) for column in rows.columns(place) for cell in column}
    if all(map(_GERMEVAL_LABEL.fullmatch, labels)) and any("deriv" in label or "part" in label for label in labels):
        return True
    sources = [line for line in lines if line.startswith("#")]
    return bool(sources) and all(line.startswith("#\t") for line in sources) and marks_spans(rows.columns(2))


def _is_wikineural(rows: Rows, lines: Sequence[str]) -> bool:
    return all(column[0] == "0" for column in rows.columns(0)) and marks_spans(rows.columns(2))


def _is(width: int, check: Callable[[Rows, Sequence[str]], bool], sample: Sample) -> bool:
    """Whether all rows of a sample have so many cells between tabs, the first ones numbers, and pass a check."""
    if sample.texts or not sample.rows or not all("\t" in row or row.startswith("#") for row in sample.rows):
        return False
    rows = sampled(sample.lines)
    cells = [row for sentence in rows.sentences for row in sentence]
    if not cells or any(len(row) != width for row in cells) or told_place(rows) == 0:
        return False
    return is_numbered(rows.columns(0)) and check(rows, sample.lines)


def _named(
    name: str,
    source: str,
    layouts: Layouts,
    target: str,
    check: Callable[[Rows, Sequence[str]], bool] | None = None,
) -> Format:
    return replace(
        CONLL,
        name=name,
        content=f"tokens with labels ({', '.join(layouts[max(layouts)])})",
        source=source,
        usual_suffixes=(),
        specific=check is not None,
        recognise=lambda sample: check is not None and _is(max(layouts), check, sample),
        describe=lambda sample, given: (given, ""),
        target=target,
        sentences=partial(read_conll, layouts=layouts),
        write=None,
    )


_ENTITIES = {2: ("word", "ner"), 3: ("word", "pos", "ner"), 4: ("word", "pos", "chunk", "ner")}

NAMED_COLUMNS = (
    _named(
        "germeval",
        "https://sites.google.com/site/germeval2014ner/data",
        {4: ("id", "word", "ner", "inner_ner")},
        "ner",
        _is_germeval,
    ),
    _named(
        "wikineural",
        "https://github.com/Babelscape/wikineural",
        {3: ("id", "word", "ner")},
        "ner",
        _is_wikineural,
    ),
    _named("mit", "https://groups.csail.mit.edu/sls/downloads/", {2: ("ner", "word")}, "ner"),
    _named("conll2000", "https://www.clips.uantwerpen.be/conll2000/chunking/", {3: ("word", "pos", "chunk")}, "chunk"),
    _named(
        "conll2002",
        "https://www.clips.uantwerpen.be/conll2002/ner/",
        {width: _ENTITIES[width] for width in (2, 3)},
        "ner",
    ),
    _named("conll2003", "https://www.clips.uantwerpen.be/conll2003/ner/", _ENTITIES, "ner"),
)
