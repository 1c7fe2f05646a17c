"""The record that every reader yields and every writer takes: one sentence, its tokens and its label columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from operator import add, sub
from typing import Any, overload

from seqkit.errors import DataError

__all__ = ["Sentence", "align"]


class _SpacedOffsets(Sequence[tuple[int, int]]):
    """Offsets of tokens that are joined by single spaces, computed when they are asked for: most never are, and a pair
    a token takes more memory than the tokens do, and much of the garbage collector's time."""  # noqa: D205, D209

    __slots__ = ("_made", "_tokens")

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._made: list[tuple[int, int]] | None = None

    def _pairs(self) -> list[tuple[int, int]]:
        if self._made is None:
            sizes = list(map(len, self._tokens))
            ends = list(map(add, accumulate(sizes), count()))  # as many spaces before a token as tokens
            self._made = list(zip(map(sub, ends, sizes), ends, strict=True))
        return self._made

    def __len__(self) -> int:
        return len(self._tokens)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, int]]: ...

    def __getitem__(self, index: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        return self._pairs()[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._pairs())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._pairs() == list(other)

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __repr__(self) -> str:
        return repr(self._pairs())


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
    offsets: Sequence[tuple[int, int]]
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
        if space_after is None:
            kept = list(tokens)
            return cls(kept, " ".join(kept), _SpacedOffsets(kept), columns or {}, file=file, line=line)
        offsets: list[tuple[int, int]] = []
        position = 0
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
