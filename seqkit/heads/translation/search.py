"""Writing texts with a decoder: search and sampling over many sources at once, several models together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqkit.errors import NOT_FINITE, DataError, ModelError
from seqkit.heads.base import StepTargets
from seqkit.heads.translation.settings import TranslateOptions
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.nn.decoder import Carried, Decoder, Source, select_layers, select_source
from seqkit.nn.search import Allowed, Continuation, beam_search, sample
from seqkit.nn.sequences import to_device
from seqkit.nn.softmax import IGNORED
from seqkit.records import Translation
from seqkit.resources import extra

if TYPE_CHECKING:
    from seqkit.heads.translation.head import Translating

_TOGETHER = 1 << 11
"""prefixes that are searched side by side at most"""
_LOWEST = 1e-9
"""of what a step of the source was looked at, before its logarithm"""


@dataclass(frozen=True)
class Decoding:
    """What decodes some sources.

    Args:
        module: the decoder.
        source: what is decoded from.
        table: the units' vectors, where the input has them.
        spelled: of each source id → unit for those that can be copied and the vocabulary lacks; None without copying.
    """

    module: Decoder
    source: Source
    table: Tensor | None
    spelled: Sequence[dict[int, str]] | None = None

    def part(self, rows: Tensor) -> Decoding:
        """The same for some sources, int64 [M], on the device."""
        spelled = None if self.spelled is None else [self.spelled[row] for row in rows.tolist()]
        return replace(self, source=select_source(self.source, rows), spelled=spelled)

    def steps(self, units: Tensor, end: int) -> tuple[Tensor, Tensor]:
        """Read known texts.

        Args:
            units: the units of each, with its end, int64 [B, L], `IGNORED` past it.
            end: the unit that ends a text.

        Returns:
            ln p of every unit, [B, L], and how much each looks at each of the source, the mean over heads, [B, L, T].
        """
        steps = self.module.steps(self.source, self.module.before(units, end), self.table)
        found = self.module.target_log_probabilities(self.source, steps, units, self.table)
        return found, steps.weights.mean(1)


class DecoderState:
    """The state of a search, a `seqkit.nn.search.RowState`: what each prefix carries, and the source that it is of.

    The parts of the sources that a prefix looks at are copied only when the prefixes are of others than before.

    Args:
        whole: what is decoded from, of all sources.
        rows: the source of each prefix, int64 [N], on the CPU.
        source: what is decoded from, of each prefix.
        carried: what the step before left.
    """

    def __init__(self, whole: Source, rows: Tensor, source: Source, carried: Carried) -> None:
        self.whole = whole
        self.rows = rows
        self.source = source
        self.carried = carried

    @classmethod
    def begin(cls, decoding: Decoding) -> DecoderState:
        """The state before the first unit."""
        source = decoding.source
        return cls(source, torch.arange(len(source.memory.lengths)), source, decoding.module.begin(source))

    def select(self, index: Tensor) -> DecoderState:
        """See `seqkit.nn.search.RowState.select`."""
        rows = self.rows[index.cpu()]
        source = self.source
        if not torch.equal(rows, self.rows):
            source = select_source(self.whole, to_device(rows, index.device))
        layers, fed, covered = self.carried
        carried = Carried(select_layers(layers, index), fed.index_select(0, index), covered.index_select(0, index))
        return DecoderState(self.whole, rows, source, carried)


class JointState:
    """The states of several models.

    Args:
        parts: see `DecoderState`.
        count: how many units have been written.
    """

    def __init__(self, parts: Sequence[DecoderState], count: int = 0) -> None:
        self.parts = parts
        self.count = count

    def select(self, index: Tensor) -> JointState:
        """See `seqkit.nn.search.RowState.select`."""
        return JointState([part.select(index) for part in self.parts], self.count)


def translated(
    head: Translating, outputs: Tensor, lengths: Tensor, records: Sequence[Any], options: TranslateOptions
) -> list[Translation]:
    """Write a text for every source.

    Args:
        head: the head.
        outputs: the encoder's outputs, [B, T, D].
        lengths: their steps, int64 [B], on the CPU.
        records: the sources.
        options: how to search, and what is wanted beside the texts.

    Returns:
        An answer each.
    """
    size = max(1, _TOGETHER // (options.nbest if options.sample else options.width))
    found: list[Translation] = []
    unknown = [0] * len(records) if options.scored else _unknown(head, records)  # evaluation has counts of its own
    for begin in range(0, len(records), size):
        part = slice(begin, begin + size)
        steps = int(lengths[part].max())
        own = head.decoding(outputs[part, :steps], lengths[part], records[part])
        further = [other.decoding_of(records[part]) for other in options.others]
        found += _translated(head, [own, *further], lengths[part], records[part], options)
    for answer, count in zip(found, unknown, strict=True):
        answer.unknown = count
    if options.detokenize:
        join = _detokenizer(options.detokenize)
        for answer in found:
            answer.text = join(answer.text)
            for one in answer.alternatives or ():
                one["text"] = join(one["text"])
    return found


def _unknown(head: Translating, records: Sequence[Any]) -> list[int]:
    """How many units of each source are nothing but unknown."""
    indexer, embedding = getattr(head.input, "indexer", None), getattr(head.settings, "embedding", None)
    if indexer is None or embedding is None or embedding.vectors or embedding.chars != "none":
        return [0] * len(records)
    rows = head.input.units_of(records)
    return [indexer.words.indices([*map(indexer.normalise, units)]).count(UNKNOWN) for units in rows]


@cache
def _detokenizer(language: str) -> Callable[[str], str]:
    """Tokens with spaces between them → running text."""
    moses = extra("sacremoses", "detokenize", "joining tokens to running text")
    joined = moses.MosesDetokenizer(lang=language)
    return lambda text: str(joined.detokenize(text.split()))


def _translated(
    head: Translating, models: Sequence[Decoding], lengths: Tensor, records: Sequence[Any], options: TranslateOptions
) -> list[Translation]:
    ratio = options.max_ratio or head.ratio * 1.2
    spelled = models[0].spelled or [{}] * len(records)
    prefixes = [_prefix(head, options.prefix, record, copied) for record, copied in zip(records, spelled, strict=True)]
    pairs = zip(lengths.tolist(), prefixes, strict=True)
    longest = [int(ratio * steps) + 10 + len(prefix) for steps, prefix in pairs]
    device = models[0].source.memory.lengths.device
    answers = [Translation(record, "", head.source_field) for record in records]
    if options.scored:
        for answer, (log_prob, units, unknown) in zip(
            answers, _gold(head, models, records, options.scored), strict=True
        ):
            answer.gold = (log_prob, units, unknown)
    state = JointState([DecoderState.begin(model) for model in models])
    first = torch.full((len(records),), head.end, dtype=torch.int64, device=device)  # [B]
    common: dict[str, Any] = {"end": head.end, "allowed": _allowed(head, options, models[0].source.units)}
    peaks: list[Tensor] = []
    step = _step(models, peaks, prefixes)
    try:
        if options.sample:
            drawing = {name: getattr(options, name) for name in ("temperature", "top_k", "top_p")}
            rows = torch.arange(len(records)).repeat_interleave(options.nbest)
            generators = [options.generator(f"{answer.source} {answer.sentence.line}") for answer in answers]
            drawn = sample(
                step,
                state.select(to_device(rows, device)),
                first[to_device(rows, device)],
                length=[most for most in longest for _ in range(options.nbest)],
                generator=[generators[row] for row in rows.tolist()],
                **common,
                **drawing,
            )
            by_log_prob = attrgetter("log_prob")
            groups = (drawn[row : row + options.nbest] for row in range(0, len(drawn), options.nbest))
            texts = [sorted(group, key=by_log_prob, reverse=True) for group in groups]
        elif options.width == 1:
            texts = [[one] for one in sample(step, state, first, length=longest, temperature=0, **common)]
        else:
            penalty = None
            if options.coverage_penalty:
                penalty = lambda state: options.coverage_penalty * _uncovered(state.parts)  # noqa: E731
            texts = beam_search(
                step,
                state,
                first,
                length=longest,
                beam=options.width,
                length_penalty=options.length_penalty,
                penalty=penalty,
                **common,
            )
    except ValueError:
        _check_finite(peaks)  # of which it is a consequence
        raise
    _check_finite(peaks)
    pointed = options.replace_unknown or options.attention
    for row, (answer, continuations) in enumerate(zip(answers, texts, strict=True)):
        found = [_Written(head, one, spelled[row]) for one in continuations]
        acts, record = head.acts_read, answer.sentence
        if acts is not None and options.rerank == "slots":
            found.sort(key=lambda one: acts.errors(one.text, record).errors)
        found = found[: options.nbest]
        if pointed and found:
            place = torch.full((len(found),), row, dtype=torch.int64, device=device)
            weights = _attention(head, [model.part(place) for model in models], found)
            source = head.source_names(record)
            for one, looked in zip(found, weights, strict=True):
                one.point(looked, source, options.words)
        if found:
            best = found[0]
            finished = [one.text if acts is None else acts.lexicalise(one.text, record) for one in found]
            answer.text, answer.log_prob, answer.units, answer.ended = (
                finished[0],
                best.log_prob,
                best.count,
                best.ended,
            )
            if options.nbest > 1:
                answer.alternatives = [
                    {"text": text, "log_prob": one.log_prob, "units": one.count, "ended": one.ended}
                    for text, one in zip(finished, found, strict=True)
                ]
            if options.attention:
                answer.attention = {"source": source, "target": best.shown, "weights": best.weights}
    return answers


class _Written:
    """What was written.

    Args:
        head: the head.
        one: the units.
        spelled: id → unit of those that were copied and that the vocabulary lacks.
    """

    def __init__(self, head: Translating, one: Continuation, spelled: dict[int, str]) -> None:
        self.head = head
        self.tokens = one.tokens
        self.log_prob = one.log_prob
        self.ended = one.ended
        self.count = len(one.tokens) + one.ended
        self.units = [spelled.get(id) or head.words[id] for id in one.tokens]
        self.weights: list[list[float]] = []

    def point(self, weights: Tensor, source: Sequence[str], words: Mapping[str, str]) -> None:
        """Take the weights, [L, T]: unknown units become those that they point to, or what `words` has for these."""
        places = weights.argmax(1).tolist()
        pairs = zip(self.tokens, self.units, places, strict=False)
        self.units = [words.get(source[place], source[place]) if id == UNKNOWN else unit for id, unit, place in pairs]
        self.weights = rounded(weights)

    @property
    def text(self) -> str:
        """The text."""
        return self.head.units.join(self.units)

    @property
    def shown(self) -> list[str]:
        """The units, and the end where there is one, each as it is called by itself."""
        return [*map(self.head.units.name, self.units), *([""] if self.ended else [])]


def rounded(weights: Tensor) -> list[list[float]]:
    """Weights, [L, T], as JSON has them."""
    return [[round(value, 6) for value in row] for row in weights.tolist()]


def _check_finite(peaks: Sequence[Tensor]) -> None:
    """See that probabilities were numbers, by the largest of every step."""
    if peaks and bool(torch.stack(list(peaks)).isnan().any()):
        raise ModelError(f"a probability of what may come next is not finite, or too large: {NOT_FINITE}")


def _prefix(head: Translating, prefix: str, record: Any, copied: Mapping[int, str]) -> list[int]:
    """The units that the text of a record begins with; `copied` are those that the vocabulary lacks."""
    if not prefix:
        return []
    if head.acts_read is not None:
        prefix = head.acts_read.delexicalise(prefix, record)
    found = head.ids(prefix, {unit: id for id, unit in copied.items()})[:-1]
    spelled = zip(head.units.split(prefix), found, strict=True)
    if unknown := [unit for unit, id in spelled if id == UNKNOWN]:
        raise DataError(f"the prefix has units that the model cannot write: {', '.join(map(repr, unknown[:5]))}")
    return found


def _step(
    models: Sequence[Decoding], peaks: list[Tensor], prefixes: Sequence[Sequence[int]]
) -> Callable[[Tensor, JointState], tuple[Tensor, JointState]]:
    """The models as one, whose probabilities are the means of theirs.

    Args:
        models: the models.
        peaks: receives the largest of each step.
        prefixes: the units that the text of each source begins with; nothing else is possible there.

    Returns:
        A `seqkit.nn.search.Step`.
    """
    most = max(map(len, prefixes), default=0)
    forced = torch.full((len(prefixes), most), -1, dtype=torch.int64)  # [B, P]
    for row, prefix in enumerate(prefixes):
        forced[row, : len(prefix)] = torch.tensor(prefix, dtype=torch.int64)

    def step(last: Tensor, state: JointState) -> tuple[Tensor, JointState]:
        found: list[Tensor] = []
        parts: list[DecoderState] = []
        for model, part in zip(models, state.parts, strict=True):
            log_probabilities, carried = model.module.next(last, part.source, part.carried, model.table)  # [N, V]
            found.append(log_probabilities)
            peaks.append(log_probabilities.amax())  # NaN if there is one; a GPU is not waited for
            parts.append(DecoderState(part.whole, part.rows, part.source, carried))
        together = torch.stack(found).logsumexp(0) - math.log(len(found)) if len(found) > 1 else found[0]  # [N, V]
        if state.count < most:
            wanted = to_device(forced[parts[0].rows, state.count], together.device).unsqueeze(1)  # [N, 1]
            units = torch.arange(together.shape[1], device=together.device)  # [V]
            together = together.masked_fill((wanted >= 0) & (units != wanted), -torch.inf)  # [N, V]
        return together, JointState(parts, state.count + 1)

    return step


def _allowed(head: Translating, options: TranslateOptions, units: int) -> Allowed:
    """Which units may come next: all but padding and the unknown one."""
    least = UNKNOWN if options.replace_unknown else UNKNOWN + 1
    written = torch.arange(max(len(head.words), units)) >= least  # [V]
    return lambda count, histories: written


def _uncovered(states: Sequence[DecoderState]) -> Tensor:
    """−Σ ln min(1, what was looked at) over each source's steps, float64 [N] (Wu et al. 2016); of heads the mean."""
    found = torch.stack([state.carried.covered.mean(1) for state in states]).mean(0)  # [N, T]
    looked = found.clamp(_LOWEST, 1.0)  # [N, T]
    inside = states[0].source.memory.mask[:, 0, 0] == 0  # [N, T]
    return -looked.log().masked_fill(~inside, 0.0).sum(1).double().cpu()


def _gold(
    head: Translating, models: Sequence[Decoding], records: Sequence[Any], field: str
) -> list[tuple[float, int, int]]:
    """ln p of the right text of each source, its units, and how many of them are unknown."""
    texts = [head.texts_of(head.input, record, field)[0] for record in records]
    extra = (
        [{}] * len(records)
        if models[0].spelled is None
        else [{unit: id for id, unit in row.items()} for row in models[0].spelled]
    )
    rows = [head.ids(text, known) for text, known in zip(texts, extra, strict=True)]
    units = _padded(rows, models[0].source.memory.lengths.device)  # [B, L]
    each = [model.steps(units, head.end)[0].double() for model in models]  # each [B, L]
    steps = torch.stack(each).logsumexp(0) - math.log(len(each))  # [B, L]
    steps = steps.masked_fill(units == IGNORED, 0.0)
    return [(total, len(row), row.count(UNKNOWN)) for total, row in zip(steps.sum(1).tolist(), rows, strict=True)]


def _attention(head: Translating, models: Sequence[Decoding], found: Sequence[_Written]) -> list[Tensor]:
    """How much each unit that was written looks at each of the source, [L, T] each; of several models the mean."""
    lengths = models[0].source.memory.lengths
    units = _padded([[*one.tokens, head.end] for one in found], lengths.device)
    weights = torch.stack([model.steps(units, head.end)[1] for model in models]).mean(0)  # [B, L, T]
    steps = [int(length) for length in lengths.tolist()]
    return [row[: one.count, :length].cpu() for row, one, length in zip(weights, found, steps, strict=True)]


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    import numpy as np

    return to_device(StepTargets(rows).collate(np.arange(len(rows))), device)  # [B, L]
