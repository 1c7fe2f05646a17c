"""The record that every reader yields and every writer takes: one sentence, its tokens and its label columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seqkit.errors import DataError

__all__ = ["Sentence", "align"]


@dataclass(slots=True)
class Sentence:
    """One sentence; ``text[start:end] == token`` for every token and its offsets.

    Args:
        tokens: the words, in order; none for an empty line.
        text: the original string.
        offsets: start and end of each token in `text`, in characters (code points).
        columns: name → one string a token. Column files without a card name theirs ``"0"``, ``"1"``, ….
        comments: CoNLL-U comment lines without the leading ``#``, kept for writing back.
        file: where the sentence came from, for messages.
        line: the line of its first token, counted from 1; 0 when it came from no file.
        other_rows: CoNLL-U rows that are no tokens (multiword ranges, empty nodes), each with the index of the token it
            stands before; kept for writing back.
        fields: what else a row or an object of the file says, by name: a label, a title, a vector.
    """

    tokens: list[str]
    text: str
    offsets: list[tuple[int, int]]
    columns: dict[str, list[str]] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    file: str = ""
    line: int = 0
    other_rows: list[tuple[int, str]] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_tokens(
        cls,
        tokens: Sequence[str],
        columns: dict[str, list[str]] | None = None,
        *,
        space_after: Sequence[bool] | None = None,
        file: str = "",
        line: int = 0,
    ) -> Sentence:
        """Build a sentence whose text is its tokens joined by spaces (or not, where `space_after` says so).

        Args:
            tokens: the words, in order.
            columns: label columns, each as long as `tokens`.
            space_after: whether a space follows each token; by default one always does.
            file: where the sentence came from.
            line: the line of its first token.

        Returns:
            The sentence, offsets computed.
        """
        offsets: list[tuple[int, int]] = []
        position = 0
        if space_after is None:
            for token in tokens:
                end = position + len(token)
                offsets.append((position, end))
                position = end + 1
            return cls(list(tokens), " ".join(tokens), offsets, columns or {}, file=file, line=line)
        pieces: list[str] = []
        for index, (token, spaced) in enumerate(zip(tokens, space_after, strict=True)):
            end = position + len(token)
            offsets.append((position, end))
            pieces.append(token)
            position = end
            if spaced and index + 1 < len(tokens):
                pieces.append(" ")
                position += 1
        return cls(list(tokens), "".join(pieces), offsets, columns or {}, file=file, line=line)

    def column(self, target: str) -> list[str]:
        """The labels of one column.

        Args:
            target: a column's name, or its position counted from 0 (negative from the end); in a file whose columns
                have no names ``ner``, ``chunk`` and ``pos`` mean the last one. The empty string is ``upos`` where
                there is one, as in CoNLL-U, and the last one elsewhere.

        Returns:
            One label a token.

        Raises:
            DataError: there is no such column.
        """
        if target in self.columns:
            return self.columns[target]
        if target == "" and "upos" in self.columns:  # the last one of CoNLL-U, misc, is nothing to learn
            return self.columns["upos"]
        names = list(self.columns)
        try:
            return self.columns[names[int(target)]]
        except (ValueError, IndexError):
            pass
        unnamed = bool(names) and all(name.isdigit() for name in names)
        if names and (target == "" or (unnamed and target in ("ner", "chunk", "pos"))):
            return self.columns[names[-1]]
        wanted = f"a label column {target!r}" if target else "a label column"
        raise DataError(
            f"expected {wanted}, found columns: {', '.join(names) or 'none'}",
            file=self.file or None,
            line=self.line or None,
        )

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self.tokens)


def align(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Find tokens in the text that they were cut from.

    Args:
        tokens: the words, in order, none of them empty.
        text: the original string.

    Returns:
        Start and end of each token in `text`, in characters; or None where the tokens do not stand one after another
        with nothing but white space before, between and after them.
    """
    offsets: list[tuple[int, int]] = []
    position = 0
    for token in tokens:
        start = position
        while not text.startswith(token, start):
            if start >= len(text) or not text[start].isspace():
                return None
            start += 1
        position = start + len(token)
        offsets.append((start, position))
    return offsets if not text[position:].strip() else None
