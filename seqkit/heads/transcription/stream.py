"""Symbols of a sequence that is still going on, each as soon as its first step has come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from seqkit.formats.runs import Clock
from seqkit.formats.writers import clean
from seqkit.inputs.frame_stream import Extent
from seqkit.inputs.segmentation import Units
from seqkit.nn.ctc import BLANK
from seqkit.records import SpokenSymbol


class Speller:
    """Spells the symbols of a text one by one; the first bytes of a character wait for the symbol that completes it.

    Args:
        units: what joins symbols.
    """

    def __init__(self, units: Units) -> None:
        self._join = units.joiner() if units.kind == "bpe" else None
        self._waiting: SpokenSymbol | None = None
        self._last: SpokenSymbol | None = None

    def add(self, symbol: SpokenSymbol) -> list[SpokenSymbol]:
        """Read a symbol.

        Args:
            symbol: the symbol as it is learned.

        Returns:
            It as it is spelled, if it is now known how.
        """
        if self._join is None:
            return [symbol]
        text, begun = self._join(symbol.symbol), self._waiting or symbol
        whole = replace(symbol, symbol=text, start=begun.start, posterior=min(begun.posterior, symbol.posterior))
        self._waiting, self._last = (None, symbol) if text else (whole, symbol)
        return [whole] if text else []

    def end(self) -> list[SpokenSymbol]:
        """What is left at the end of the text; what comes next begins another one."""
        text = "" if self._join is None else self._join(None)
        left = self._waiting or self._last
        self._waiting = self._last = None
        return [replace(left, symbol=text)] if text and left is not None else []


class SymbolStream:
    """See `seqkit.heads.base.Head.stream`; the answers are a `SpokenSymbol` for each symbol of the text, in order.

    They are those of the most probable path, as without a stream. A symbol is given with the first step of its run on
    that path, so that its `end` and its `posterior` are those of this step; how far the run goes, and the largest
    posterior in it, is not known yet. Of byte pairs the first bytes of a character wait for the others.

    Args:
        units: what joins symbols.
        symbols: the symbols by id − 1.
        stride: frames from one step to the next.
        clock: when frames are; None where that is not known.
    """

    lag = 0

    def __init__(self, units: Units, symbols: Sequence[str], stride: int, clock: Clock | None) -> None:
        self._speller = Speller(units)
        self._symbols, self._stride, self._clock = symbols, stride, clock
        self._begin()

    def _begin(self) -> None:
        self._steps, self._last = 0, BLANK

    def accept(self, scores: Tensor, extent: Extent | None = None) -> list[SpokenSymbol]:
        """Read the next steps.

        Args:
            scores: ln p of the blank and of every symbol, [1, t, K + 1].
            extent: how long the sequence is, where these are its last steps.

        Returns:
            The symbols that begin in them.
        """
        peaks, path = (found[0].tolist() for found in scores.max(2))
        answers: list[SpokenSymbol] = []
        for symbol, peak in zip(path, peaks, strict=True):
            if symbol not in (BLANK, self._last):
                start = self._steps * self._stride
                end = start + self._stride if extent is None else min(start + self._stride, extent.frames)
                answers += self._speller.add(
                    SpokenSymbol(self._symbols[symbol - 1], start, end, math.exp(peak), symbol)
                )
            self._steps, self._last = self._steps + 1, symbol
        return answers

    def finish(self, extent: Extent | None = None) -> list[SpokenSymbol]:
        """End the sequence; what comes next begins another one.

        Args:
            extent: not used.

        Returns:
            Bytes of a character that is not complete, if there are some: all other symbols have been given.
        """
        self._begin()
        return self._speller.end()

    def to_json(self, answer: SpokenSymbol) -> dict[str, Any]:
        """An answer as a JSON object: ``symbol``, ``start`` in seconds, or in frames, ``posterior``."""
        # The end of the sequence, which lies elsewhere, has not come.
        found = answer.to_json(None if self._clock is None else partial(self._clock.seconds, frames=-1, duration=0.0))
        del found["end"]
        return found


class OpenText:
    """The text of a sequence that is still going on, as `Transcribing` writes it: with single spaces between words.

    Args:
        units: what joins its symbols.
    """

    def __init__(self, units: Units) -> None:
        self._separator = units.separator
        self._begun = self._spaced = False  # whether there is a word, and a space after it that is not written

    def add(self, symbols: Iterable[str]) -> str:
        """What further symbols add to the text.

        Args:
            symbols: the symbols, as they are spelled.

        Returns:
            The text; a space waits for the word after it.
        """
        return self._written("".join(self._separator + symbol for symbol in symbols))

    def end(self) -> None:
        """End the text; what comes next begins another one."""
        self._begun = self._spaced = False

    def _written(self, text: str) -> str:
        written: list[str] = []
        for char in text:
            if char.isspace():
                self._spaced = self._begun
                continue
            written.append(f" {char}" if self._spaced else char)
            self._begun, self._spaced = True, False
        return clean("".join(written))
