r"""Predictions → text: columns, JSON lines, or brackets in the running text.

All text is valid UTF-8 with ``\n`` as line ending, whatever the strings hold: lone surrogates (from a bad decode) are
escaped in JSON and become U+FFFD elsewhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

from seqkit.errors import DataError
from seqkit.formats.schemes import spans as read_spans
from seqkit.records import LABEL_SEPARATOR, ClassifiedText, Sentence, TaggedSentence

__all__ = [
    "CLASS_WRITERS",
    "WRITERS",
    "clean",
    "finite",
    "format_conll",
    "format_inline",
    "format_jsonl",
    "format_tsv",
    "refuse_breaks",
    "rows",
    "to_json",
    "write_classified",
    "write_records",
]

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot hold, by U+FFFD.

    Args:
        text: any string.

    Returns:
        As long a string that can be encoded.
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def finite(value: Any) -> Any:
    """A value as JSON can have it: JSON has no number for what is not finite, so that null stands there.

    Args:
        value: anything of JSON's types.

    Returns:
        The same, None for every number that is infinite or not a number.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(each) for name, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def to_json(value: object) -> str:
    """Write one line of JSON, readable in any script.

    A lone surrogate is escaped, and so loads back as itself; two of them that happen to make a pair load back as the
    one character that the pair stands for, for JSON cannot tell these apart.

    Args:
        value: anything of JSON's types.

    Returns:
        The line, without its ending.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(finite(value), ensure_ascii=False)
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def rows(columns: Sequence[Sequence[str]]) -> str:
    r"""Write columns as tab-separated rows and a blank line.

    Args:
        columns: equally long columns.

    Returns:
        The lines, each with its ``\n``; of no rows only the blank line.
    """
    lines = list(map("\t".join, zip(*columns, strict=True)))
    return "\n".join(lines) + "\n\n" if lines else "\n"


def refuse_breaks(
    block: str, tabs: int | None, lines: int, sentence: Sentence, instead: str = "--output-format jsonl"
) -> None:
    """See that no token brought a line break, or a tab between columns, of its own.

    Args:
        block: the sentence as it would be written.
        tabs: how many tabs it should have; None where they do not matter.
        lines: how many lines it should have.
        sentence: what was written, for the message.
        instead: what can hold it, for the message.

    Raises:
        DataError: there are more.
    """
    if block.count("\n") != lines or "\r" in block or (tabs is not None and block.count("\t") != tabs):
        message = f"expected tokens without tabs and line breaks, found one with them; {instead} can hold it"
        raise DataError(message, file=sentence.file or None, line=sentence.line or None)


def format_conll(record: TaggedSentence) -> str:
    r"""One prediction as rows ``token<TAB>label`` (``<TAB>probability`` where there are any) and a blank line.

    Of n-best predictions each is a block of its own after a comment, ``# nbest = 1 prob = 0.9300``.

    Args:
        record: the prediction; of a sentence without tokens only the blank line is left.

    Returns:
        The lines, each with its ``\n``.

    Raises:
        DataError: a token is empty or holds a tab or line break.
    """
    sentence, probs = record.sentence, record.probs
    tokens = sentence.tokens
    if "" in tokens:
        message = "expected tokens that are not empty, found an empty one; --output-format jsonl can hold it"
        raise DataError(message, file=sentence.file or None, line=sentence.line or None)
    if record.alternatives:
        blocks = [
            f"# nbest = {rank} prob = {prob:.4f}\n" + rows([tokens, labels])
            for rank, (labels, prob) in enumerate(record.alternatives, start=1)
        ]
        tabs, lines = len(tokens) * len(blocks), (len(tokens) + 2) * len(blocks)
        block = "".join(blocks)
    elif probs is None:
        block, tabs, lines = rows([tokens, record.labels]), len(tokens), len(tokens) + 1
    else:
        block = rows([tokens, record.labels, [f"{prob:.4f}" for prob in probs]])
        tabs, lines = 2 * len(tokens), len(tokens) + 1
    refuse_breaks(block, tabs, lines, sentence)
    return clean(block)


def format_jsonl(record: TaggedSentence) -> str:
    r"""One prediction as a JSON object: ``text``, ``tokens`` and ``spans`` with character offsets into the text.

    Of n-best predictions all stand under ``nbest``, each an object with ``labels`` and ``prob``.

    Args:
        record: the prediction.

    Returns:
        One line, with its ``\n``.
    """
    sentence = record.sentence
    tokens: list[dict[str, Any]] = [
        {"text": token, "start": start, "end": end, "label": label}
        for token, (start, end), label in zip(sentence.tokens, sentence.offsets, record.labels, strict=True)
    ]
    if record.probs is not None:
        for token, prob in zip(tokens, record.probs, strict=True):
            token["prob"] = round(float(prob), 6)
    spans: list[dict[str, Any]] = []
    for span in record.spans:
        spans.append({"start": span.start, "end": span.end, "label": span.label, "text": span.text})
        if span.prob is not None:
            spans[-1]["prob"] = round(float(span.prob), 6)
    found: dict[str, Any] = {"text": sentence.text, "tokens": tokens, "spans": spans}
    if record.alternatives is not None:
        found["nbest"] = [{"labels": labels, "prob": round(float(prob), 6)} for labels, prob in record.alternatives]
    return to_json(found) + "\n"


def format_inline(record: TaggedSentence) -> str:
    r"""One prediction as running text: ``[Ada Lovelace]PER met …``, or ``Ada_PROPN met_VERB …`` without spans.

    With spans it is the original text, spacing and all. N-best predictions are a line each, after ``probability<TAB>``.

    Args:
        record: the prediction.

    Returns:
        One line, with its ``\n``, or as many as there are alternatives.

    Raises:
        DataError: the text holds a line break.
    """
    sentence = record.sentence
    if record.alternatives:
        pairs = record.alternatives
        block = "".join(f"{prob:.4f}\t{_inline(sentence, labels, record.marks_spans)}\n" for labels, prob in pairs)
        lines = len(pairs)
    else:
        block, lines = _inline(sentence, record.labels, record.marks_spans) + "\n", 1
    refuse_breaks(block, None, lines, sentence)
    return clean(block)


def _inline(sentence: Sentence, labels: Sequence[str], marks_spans: bool) -> str:
    if not marks_spans:
        return " ".join(map("_".join, zip(sentence.tokens, labels, strict=True)))
    pieces: list[str] = []
    text, position = sentence.text, 0
    for first, last, label in read_spans(labels, "bioes"):  # the rules for reading spans are the same in all schemes
        start, end = sentence.offsets[first][0], sentence.offsets[last - 1][1]
        pieces += (text[position:start], "[", text[start:end], "]", label)
        position = end
    return "".join([*pieces, text[position:]])


WRITERS: Mapping[str, Callable[[TaggedSentence], str]] = {
    "conll": format_conll,
    "jsonl": format_jsonl,
    "inline": format_inline,
}
"""Output format → prediction to text."""


def write_records(records: Iterable[TaggedSentence], stream: TextIO, output_format: str) -> int:
    """Write predictions, each as soon as it comes.

    Args:
        records: the predictions.
        stream: a text stream in UTF-8.
        output_format: one of `WRITERS`.

    Returns:
        How many were written.

    Raises:
        DataError: the format cannot hold a token; or there is no such format.
    """
    if output_format not in WRITERS:
        raise DataError(f"expected an output format among {', '.join(WRITERS)}, found {output_format!r}")
    form = WRITERS[output_format]
    count = 0
    for record in records:
        stream.write(form(record))
        count += 1
    return count


# --- labelled texts ------------------------------------------------------------------------------------------


def format_tsv(record: ClassifiedText, top: int | None = None) -> str:
    r"""One prediction as ``label<TAB>probability<TAB>text``.

    Several labels stand in one column with `LABEL_SEPARATOR` between them, and so do their probabilities. The text
    comes last and as it was given, tabs included.

    Args:
        record: the prediction.
        top: so many of the most probable labels instead of the predicted ones.

    Returns:
        One line, with its ``\n``.

    Raises:
        DataError: the text holds a line break, or a label a tab or line break.
    """
    sentence = record.sentence
    labels = record.labels if top is None else list(record.probs)[:top]
    label = LABEL_SEPARATOR.join(labels)
    if any(mark in sentence.text for mark in "\n\r") or any(mark in label for mark in "\n\r\t"):
        message = "expected texts without line breaks, found one with them; --output-format jsonl can hold it"
        raise DataError(message, file=sentence.file or None, line=sentence.line or None)
    probs = LABEL_SEPARATOR.join(f"{record.probs[each]:.4f}" for each in labels)
    return clean(f"{label}\t{probs}\t{sentence.text}\n")


def _format_jsonl(record: ClassifiedText, top: int | None = None) -> str:
    return to_json(record.to_json(top)) + "\n"


CLASS_WRITERS: Mapping[str, Callable[[ClassifiedText, int | None], str]] = {"tsv": format_tsv, "jsonl": _format_jsonl}
"""output format → prediction and number of labels to text"""


def write_classified(
    records: Iterable[ClassifiedText], stream: TextIO, output_format: str, top: int | None = None
) -> int:
    """Write predictions, each as soon as it comes.

    Args:
        records: the predictions.
        stream: a text stream in UTF-8.
        output_format: one of `CLASS_WRITERS`.
        top: so many of the most probable labels.

    Returns:
        How many were written.

    Raises:
        DataError: the format cannot hold a text; or there is no such format.
    """
    if output_format not in CLASS_WRITERS:
        raise DataError(f"expected an output format among {', '.join(CLASS_WRITERS)}, found {output_format!r}")
    form = CLASS_WRITERS[output_format]
    count = 0
    for record in records:
        stream.write(form(record, top))
        count += 1
    return count
