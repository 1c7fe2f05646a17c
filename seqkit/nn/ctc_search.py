r"""The most probable texts under CTC, also together with a language model: prefix beam search.

The best path need not spell the best text, whose probability is the sum over all its paths. The search goes through the
steps and keeps the most probable prefixes of texts, of each the summed probability of its paths that end in a blank and
of those that end in its last symbol (Graves and Jaitly 2014, "Towards end-to-end speech recognition with recurrent
neural networks"; Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using bi-directional
recurrent DNNs"). A text y is judged by

.. math:: \ln p_\text{CTC}(y | x) + \alpha \ln p_\text{LM}(y) + \beta |y|

with the weight of the language model and a bonus for its length, in the language model's units.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import lru_cache
from heapq import nlargest
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol
from weakref import ref

import torch
from torch import Tensor

from seqkit.nn.ctc import BLANK
from seqkit.nn.search import SearchState, Step
from seqkit.nn.sequences import to_device

_NEVER = -math.inf
_REMEMBERED = 1 << 16
"""words after others whose scores a `WordModel` remembers"""
_LONGEST = 128
"""characters without a space that a `WordModel` looks at together, so that time grows only with a text's length"""


class Scored(NamedTuple):
    """What a language model says of one more symbol.

    Attributes:
        log_prob: what it adds to ln p of the text.
        units: how many units of the language model it completes: the bonus for length counts them.
        state: the state after it.
    """

    log_prob: float
    units: int
    state: Any


class LanguageModel(Protocol):
    """A language model over the symbols of a CTC network.

    A state is any object that the model makes of what it has read; it is never changed. The search asks for many
    symbols at once, so that a network can compute them together.
    """

    def start(self) -> Any:
        """The state before any symbol."""

    def scores(self, states: Sequence[Any], symbols: Sequence[int]) -> list[Scored]:
        """Read one more symbol after each of N states.

        Args:
            states: N states.
            symbols: the id of the symbol after each, from 1 to K.

        Returns:
            What is said of each.
        """

    def ends(self, states: Sequence[Any]) -> list[Scored]:
        """The end of the text after each of N states, as `scores`; the state after it is not used."""


class Hypothesis(NamedTuple):
    """A text that was found.

    Attributes:
        symbols: the ids of its symbols.
        score: what it is judged by.
        ctc: ln p of the text under CTC, in nats: of those of its paths that were not pruned.
        lm: ln p of the text and its end under the language model, in nats; 0 without one.
        units: its length in the language model's units; without one, of symbols.
    """

    symbols: tuple[int, ...]
    score: float
    ctc: float
    lm: float
    units: int


class SymbolModel:
    """A language model whose units are the symbols themselves: a network, or counts, one unit a symbol.

    Args:
        step: reads a unit and gives the distribution of the next one: see `seqkit.nn.search.Step`.
        state: the state before `last`, of one sequence.
        last: the unit that stands before a text, int64 [1], on the device of the network.
        units: the unit of each symbol, by its id; that of the blank is not used.
        end: the unit that ends a text.
    """

    def __init__(self, step: Step, state: SearchState, last: Tensor, units: Sequence[int], end: int) -> None:
        self._step, self._units, self._end = step, units, end
        self._start, self._device = _Reading(int(last), state), last.device

    def start(self) -> _Reading:
        """See `LanguageModel.start`."""
        return self._start

    def scores(self, states: Sequence[_Reading], symbols: Sequence[int]) -> list[Scored]:
        """See `LanguageModel.scores`: a unit is read when something is asked of what follows it."""
        self._read(states)
        units = [self._units[symbol] for symbol in symbols]
        return [
            Scored(state.next[unit], 1, _Reading(unit, state.after)) for state, unit in zip(states, units, strict=True)
        ]

    def ends(self, states: Sequence[_Reading]) -> list[Scored]:
        """See `LanguageModel.ends`."""
        self._read(states)
        return [Scored(state.next[self._end], 0, None) for state in states]

    @torch.no_grad()
    def _read(self, states: Sequence[_Reading]) -> None:
        """Let the states read their last units, those that have not yet, together."""
        waiting = list({id(state): state for state in states if not state.next}.values())
        if not waiting:
            return
        layers = zip(*(state.after for state in waiting), strict=True)
        joined = tuple(tuple(torch.cat(parts) for parts in zip(*layer, strict=True)) for layer in layers)
        last = to_device(torch.tensor([state.last for state in waiting]), self._device)  # [N]
        found, after = self._step(last, joined)  # [N, V]
        for row, (state, following) in enumerate(zip(waiting, found.tolist(), strict=True)):
            state.next = following
            state.after = tuple(tuple(part[row : row + 1] for part in layer) for layer in after)


class _Reading:
    """A state of a `SymbolModel`.

    Args:
        last: the last unit.
        after: the state before it and, once it has been read, after it.
    """

    __slots__ = ("after", "last", "next")

    def __init__(self, last: int, after: SearchState) -> None:
        self.last = last
        self.after = after
        self.next: list[float] = []  # ln p of each next unit, once the last one has been read


class WordModel:
    """A language model of words over symbols that spell them: a word counts when a space or the end comes after it.

    Several spaces are like one, and those at the ends of a text are not counted. What goes on for more than `_LONGEST`
    characters without a space, as in scripts that have none, is read in parts.

    Args:
        word_score: ln p of a word after the words before it; None stands for the end of the text.
        spelling: what each symbol spells, by its id: a text, or bytes of UTF-8, of which those of several symbols may
            make a character; a space separates words. That of the blank is not used.
        context: how many words before a word are given to `word_score`; None for all of them.
        vocabulary: the words that the model knows; None for all words.
        unknown: what is added to ln p of a word outside the vocabulary, in nats, finite if `words` cuts; as soon as its
            beginning is that of no word in it, so that such a beginning does not displace better ones until its end.
        words: what stands between two spaces → the words that the model reads there, as the vocabulary has them; by
            default one word, as it is.
    """

    def __init__(
        self,
        word_score: Callable[[tuple[str, ...], str | None], float],
        spelling: Sequence[str] | Sequence[bytes],
        *,
        context: int | None = None,
        vocabulary: Collection[str] | None = None,
        unknown: float = 0.0,
        words: Callable[[str], Sequence[str]] = lambda text: [text] if text else [],
    ) -> None:
        self._spelling, self._context = spelling, context
        self._all_known, self._unknown = vocabulary is None, unknown
        self._vocabulary = frozenset(vocabulary or ())
        begun = (_beginning(word) for word in self._vocabulary)
        self._beginnings = {word[:size] for word in begun for size in range(len(word) + 1)} | {""}
        self._word_score = lru_cache(_REMEMBERED)(word_score)
        self._words = lru_cache(_REMEMBERED)(words)
        self._charge = lru_cache(_REMEMBERED)(self._charged)

    def start(self) -> _Spelled:
        """See `LanguageModel.start`."""
        return _Spelled((), "", b"")

    def scores(self, states: Sequence[_Spelled], symbols: Sequence[int]) -> list[Scored]:
        """See `LanguageModel.scores`."""
        found = []
        for state, symbol in zip(states, symbols, strict=True):
            more = self._spelling[symbol]
            found.append(self._read(state, *(_decoded(state.rest, more) if isinstance(more, bytes) else (more, b""))))
        return found

    def ends(self, states: Sequence[_Spelled]) -> list[Scored]:
        """See `LanguageModel.ends`: the last word and the end."""
        found = []
        for state in states:
            log_prob, units, after = self._read(state, state.rest.decode("utf-8", "replace") + " ", b"")
            found.append(Scored(log_prob + self._word_score(after.words, None), units, None))
        return found

    def _read(self, state: _Spelled, more: str, rest: bytes) -> Scored:
        """What is said of more characters."""
        words, charged = state.words, self._charge(state.begun, False)
        *whole, begun = (state.begun + more).split(" ")
        while len(begun) > _LONGEST:
            whole.append(begun[:_LONGEST])
            begun = begun[_LONGEST:]
        total, units = 0.0, 0
        for text in whole:
            for word in self._words(text):
                total += self._word_score(words, word)
                units += 1
                words = (*words, word)
                if self._context is not None:
                    words = words[max(0, len(words) - self._context) :]
            total += _rise(charged, self._charge(text, True))
            charged = 0.0
        return Scored(total + _rise(charged, self._charge(begun, False)), units, _Spelled(words, begun, rest))

    def _charged(self, text: str, ended: bool) -> float:
        """What is added to ln p for the unknown words between two spaces, of which the last may go on."""
        words = [] if self._all_known else self._words(text)
        unknown = sum(word not in self._vocabulary for word in (words if ended else words[:-1]))
        if words and not ended:
            unknown += _beginning(words[-1]) not in self._beginnings
        return self._unknown * unknown if unknown else 0.0  # 0 · ∞ is not a number


class _Spelled(NamedTuple):
    """A state of a `WordModel`.

    Attributes:
        words: the words before, as many as are looked at.
        begun: the beginning of what stands before the next space.
        rest: the first bytes of a character after it.
    """

    words: tuple[str, ...]
    begun: str
    rest: bytes


@lru_cache(_REMEMBERED)
def _decoded(rest: bytes, more: bytes) -> tuple[str, bytes]:
    """Bytes of UTF-8 → the characters that they complete, and the bytes of one that goes on."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.setstate((rest, 0))
    return decoder.decode(more), decoder.getstate()[0]


def _beginning(word: str) -> str:
    """A word, or a beginning of one, by which the other is found: a sigma is another letter at a word's end."""
    return word.replace("ς", "σ")


def _rise(before: float, after: float) -> float:
    return 0.0 if before == after else after - before  # also of −∞


class _Prefix:
    """A prefix of texts. It keeps no longer ones alive, so that those that are pruned vanish.

    Args:
        parent: the prefix without its last symbol; None of the empty one.
        symbol: its last symbol, `BLANK` of the empty one.
        state: the language model's state after it.
        lm: ln p of it under the language model.
        units: its length.
        fused: what language model and length add to its score.
    """

    __slots__ = (
        "__weakref__", "blank", "fused", "lm", "longer", "parent", "scored", "state", "symbol", "total",
        "units", "voiced",
    )  # fmt: skip

    def __init__(self, parent: _Prefix | None, symbol: int, state: Any, lm: float, units: int, fused: float) -> None:
        self.parent, self.symbol, self.state, self.lm, self.units, self.fused = parent, symbol, state, lm, units, fused
        self.blank = self.voiced = self.total = _NEVER  # ln p of its paths that end in a blank, in its symbol, of all
        self.longer: dict[int, ref[_Prefix]] = {}  # those with one more symbol that exist
        self.scored: dict[int, Scored] = {}  # what the language model says of each further symbol

    def longer_by(self, symbol: int) -> _Prefix | None:
        """The prefix with one more symbol, if it exists."""
        found = self.longer.get(symbol)
        return None if found is None else found()

    def extend(self, symbol: int, log_prob: float, fusion: _Fusion) -> _Prefix:
        """The prefix with one more symbol, whose paths all end in it and have ln p together."""
        longer = self.longer_by(symbol)
        if longer is None:
            scored = self.scored[symbol]
            gain = fusion.gain(scored)
            longer = _Prefix(
                self, symbol, scored.state, self.lm + scored.log_prob, self.units + scored.units, self.fused + gain
            )
            self.longer[symbol] = ref(longer)
        longer.blank, longer.voiced, longer.total = _NEVER, log_prob, log_prob
        return longer

    def symbols(self) -> tuple[int, ...]:
        """All its symbols."""
        found, prefix = [], self
        while prefix.parent is not None:
            found.append(prefix.symbol)
            prefix = prefix.parent
        return tuple(reversed(found))


class _Fusion(NamedTuple):
    """What a text is judged by beside CTC.

    Attributes:
        model: the language model, if there is one.
        weight: its weight.
        bonus: the bonus for length.
    """

    model: LanguageModel | None
    weight: float
    bonus: float

    def gain(self, scored: Scored) -> float:
        """What a symbol adds to the score."""
        weighted = self.weight * scored.log_prob if self.weight else 0.0  # 0 · ∞ is not a number
        return weighted + self.bonus * scored.units

    def score(self, fresh: Sequence[_Extension]) -> None:
        """Ask what the language model says of symbols after prefixes, where it has not been asked before."""
        asked = [(prefix, symbol) for _, prefix, symbol in fresh if symbol not in prefix.scored]
        if self.model is None:
            found = [Scored(0.0, 1, None)] * len(asked)
        else:
            found = self.model.scores([prefix.state for prefix, _ in asked], [symbol for _, symbol in asked])
        for (prefix, symbol), scored in zip(asked, found, strict=True):
            prefix.scored[symbol] = scored


_Extension = tuple[float, _Prefix, int]
"""ln p of the paths of a prefix that take one more symbol at a step; the prefix; the symbol"""


def prefix_beam_search(
    log_probabilities: Tensor,
    *,
    beam: int = 20,
    top: int = 0,
    threshold: float = -9.0,
    nbest: int = 1,
    model: LanguageModel | None = None,
    weight: float = 0.0,
    bonus: float = 0.0,
    text: Callable[[tuple[int, ...]], Hashable] = lambda symbols: symbols,
) -> list[Hypothesis]:
    """The best texts of a sequence.

    If no prefix and no symbol is pruned, they are the best of all texts. What a prefix loses when it is pruned is not
    in `Hypothesis.ctc`: `seqkit.nn.ctc.log_likelihood` gives ln p of a text exactly.

    Args:
        log_probabilities: ln p of every symbol at every step, [T, K + 1], that of `BLANK` first.
        beam: how many prefixes are kept at each step, at least 1.
        top: how many symbols at each step may follow a prefix, the most probable ones; 0 for all.
        threshold: the least ln p with which a symbol may follow a prefix; -inf for all.
        nbest: how many texts to return, at least 1.
        model: a language model.
        weight: the weight of ln p under it.
        bonus: what each unit of length adds: units of the language model, or symbols without one.
        text: symbols → what they spell, by which texts differ. Of those that spell the same, the best one stands for
            all, with their probability under CTC together.

    Returns:
        At most `nbest` different texts, best first, and at least one. Those that are impossible under the language
        model come last, with a score of -inf.

    Raises:
        ValueError: the log-probabilities have another shape, or `beam`, `top` or `nbest` is too small.
    """
    if log_probabilities.dim() != 2:
        raise ValueError(f"expected log-probabilities of shape [T, K + 1], found {list(log_probabilities.shape)}")
    if beam < 1 or nbest < 1 or top < 0:
        raise ValueError(
            f"expected beam and nbest of at least 1 and top of at least 0, found {beam}, {nbest} and {top}"
        )
    fusion = _Fusion(model, weight, bonus)
    empty = _Prefix(None, BLANK, None if model is None else model.start(), 0.0, 0, 0.0)
    empty.blank = empty.total = 0.0
    kept = [empty]
    for step, row in enumerate(log_probabilities.tolist()):
        symbols = [(symbol, value) for symbol, value in enumerate(row) if value >= threshold and symbol != BLANK]
        if 0 < top < len(symbols):
            symbols = nlargest(top, symbols, key=itemgetter(1))
        kept = _advance(kept, step, row, symbols, fusion, beam)
    ends = [Scored(0.0, 0, None)] * len(kept) if model is None else model.ends([prefix.state for prefix in kept])
    found = [
        Hypothesis(
            prefix.symbols(),
            prefix.total + prefix.fused + fusion.gain(end),
            prefix.total,
            prefix.lm + end.log_prob,
            prefix.units + end.units,
        )
        for prefix, end in zip(kept, ends, strict=True)
    ]
    found.sort(key=attrgetter("score", "ctc"), reverse=True)
    texts: dict[Hashable, Hypothesis] = {}
    for one in found:
        spelled = text(one.symbols)
        if (best := texts.get(spelled)) is None:
            texts[spelled] = one
        else:
            ctc = _add(best.ctc, one.ctc)
            texts[spelled] = best._replace(ctc=ctc, score=best.score + _rise(best.ctc, ctc))
    return nlargest(nbest, texts.values(), key=attrgetter("score"))


def _advance(
    kept: list[_Prefix], step: int, row: list[float], symbols: list[tuple[int, float]], fusion: _Fusion, beam: int
) -> list[_Prefix]:
    """The prefixes that are kept after a step.

    Args:
        kept: those that were kept before it.
        step: the number of the step.
        row: ln p of every symbol at it.
        symbols: those that may follow a prefix, and ln p of each.
        fusion: what prefixes are judged by beside CTC.
        beam: how many are kept.

    Returns:
        The best ones, best first.
    """
    fresh: list[_Extension] = []
    voiced = [prefix.voiced + row[prefix.symbol] for prefix in kept]
    places: dict[_Prefix | None, int] = {prefix: place for place, prefix in enumerate(kept)}
    for prefix in kept:
        blank, total, last, known = prefix.blank, prefix.total, prefix.symbol, prefix.longer
        for symbol, value in symbols:
            log_prob = value + (blank if symbol == last else total)  # equal neighbours need a blank between them
            place = places.get(known[symbol]()) if symbol in known else None
            if place is not None:
                voiced[place] = _add(voiced[place], log_prob)
            elif log_prob > _NEVER:
                fresh.append((log_prob, prefix, symbol))
    for prefix, log_prob in zip(kept, voiced, strict=True):
        prefix.blank, prefix.voiced = prefix.total + row[BLANK], log_prob
        prefix.total = _add(prefix.blank, log_prob)
    fusion.score(fresh)
    found = [(prefix.total + prefix.fused, prefix, BLANK, _NEVER) for prefix in kept]
    for log_prob, prefix, symbol in fresh:
        found.append((log_prob + prefix.fused + fusion.gain(prefix.scored[symbol]), prefix, symbol, log_prob))
    found = [one for one in found if one[0] > _NEVER] or found[: len(kept)]
    found.sort(key=itemgetter(0), reverse=True)
    return [
        prefix if symbol == BLANK else prefix.extend(symbol, log_prob, fusion)
        for _, prefix, symbol, log_prob in found[:beam]
    ]


def _add(left: float, right: float) -> float:
    """ln of the sum of two probabilities, given as logarithms."""
    if left < right:
        left, right = right, left
    return left if right == _NEVER else left + math.log1p(math.exp(right - left))
