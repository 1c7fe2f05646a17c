"""The language-modelling task for the training loop: streams of text → windows, losses and dev scores."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seqkit.config import LmSettings, Settings, override
from seqkit.corpora.dataset import Dataset, Split
from seqkit.devices import precision_context
from seqkit.errors import DataError
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.streams import Corpus, window_bounds
from seqkit.inputs.units import Units
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.metrics.perplexity import Baseline, PerplexityReport
from seqkit.model.base import Model
from seqkit.model.base_language_model import BaseLanguageModel
from seqkit.model.generator import Generator
from seqkit.model.language_model import LanguageModel
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.stream import STATIC_WINDOW, carried, encode_window
from seqkit.nn.device import to_device
from seqkit.nn.recurrent import State
from seqkit.nn.softmax import IGNORED
from seqkit.records import Sentence
from seqkit.training.progress import Progress
from seqkit.training.task import MOST_NAMED, TrainingTask, digest
from seqkit.training.transfer import adopt, load_start
from seqkit.training.words import given_vectors

__all__ = ["LanguageModelTask", "StreamTask", "evaluate_stream", "read_corpora", "read_corpus"]

BASELINE_UNITS = 1 << 23
"""a longer training text gets no baseline: counting it would take a gigabyte and more, which no network here needs"""

_UNIT_NAMES = {"word": "words", "char": "characters", "bpe": "byte pairs"}


class StreamTask(TrainingTask):
    """What all language models are made from: texts, each one stream of units.

    Args:
        settings: what to build.
        model: the model.
        corpora: train, dev and, where there is one, test.
        vectors: given word vectors.
    """

    settings: LmSettings
    model: BaseLanguageModel
    metric = "score"

    def __init__(
        self, settings: LmSettings, model: BaseLanguageModel, corpora: Mapping[str, Corpus], vectors: Vectors | None
    ) -> None:
        super().__init__(settings, model)
        self.corpora = corpora
        self.size = corpora["train"].lines
        self.checksum = _checksum([corpora["train"], corpora["dev"]], vectors)

    @classmethod
    def complete(cls, settings: Settings, dataset: Dataset) -> Settings:
        """See `TrainingTask.complete`: text that comes as words is cut at spaces, if nothing else is asked for."""
        if dataset.has_tokens and settings.data.splitter == "words":
            return override(settings, {"data": {"splitter": "spaces"}})
        return settings

    @classmethod
    def from_items(cls, train: Iterable[Any], dev: Iterable[Any] | None, test: Iterable[Any] | None) -> Dataset:
        """See `TrainingTask.from_items`: lines of text."""
        given = {name: lines for name, lines in (("train", train), ("dev", dev), ("test", test)) if lines is not None}
        return Dataset("lines", {name: Split(content=_records(name, lines)) for name, lines in given.items()})

    def baseline(self) -> NgramLanguageModel | None:
        """A simpler model of the same units to report on beside this one; none by default."""
        return None

    def reports(self, dataset: Dataset) -> dict[str, PerplexityReport]:
        """See `TrainingTask.reports`; with the perplexity of the baseline, which is fitted here."""
        ngram = self.baseline()
        found = {}
        for name in ("dev", "test"):
            corpus = self.corpora.get(name)
            if corpus is not None:
                beside = None
                if ngram is not None:
                    beside = Baseline(ngram.name, evaluate_stream(ngram, corpus).perplexity)
                found[name] = evaluate_stream(self.model, corpus, baseline=beside)
        return found


class Window(NamedTuple):
    """Some steps of streams that are read side by side.

    Attributes:
        begin: the first step.
        end: the step after the last.
        first: the first stream.
        last: the stream after the last; None for all.
    """

    begin: int
    end: int
    first: int = 0
    last: int | None = None


class LanguageModelTask(StreamTask):
    """Trains a language model by truncated back-propagation through time.

    The text is cut into as many streams as a batch has rows, which are read side by side, window by window. The state
    is carried from window to window, no gradient with it, and begins at zero in every epoch.

    Args:
        settings: what to build and how to train it.
        units: text ↔ units.
        corpora: train, dev and, where there is one, test.
        vectors: given word vectors.
        device: where to train.
        start: a model whose vocabularies come first.
    """

    model: LanguageModel

    def __init__(
        self,
        settings: LmSettings,
        units: Units,
        corpora: Mapping[str, Corpus],
        vectors: Vectors | None,
        device: torch.device,
        start: Model | None = None,
    ) -> None:
        train = corpora["train"]
        model = LanguageModel.build(settings, units, train.counts(), vectors, start).to(device)
        super().__init__(settings, model, corpora, vectors)
        self._table = self.model.indexer.table(train.types)
        self._streams = train.streams(settings.training.batch_size)
        self._state: tuple[State, ...] | None = None
        self._after: list[tuple[State, ...] | None] = []
        """the states after the parts of a window that have been computed so far"""

    @classmethod
    def prepare(
        cls, settings: Settings, dataset: Dataset, device: torch.device, progress: Progress
    ) -> LanguageModelTask:
        """See `TrainingTask.prepare`."""
        assert isinstance(settings, LmSettings)
        start = load_start(settings)
        units, corpora = read_corpora(settings, dataset, progress, start)
        vectors, complete = given_vectors(settings)
        task = cls(adopt(complete, start), units, corpora, vectors, device, start)
        task.start_from(start, progress)
        progress.say(f"vocabulary: {len(task.model.indexer.words) - 2:,} units")
        if settings.head.baseline and len(corpora["train"]) > BASELINE_UNITS:
            progress.say(f"no baseline, since the training text has more than {BASELINE_UNITS:,} units")
        return task

    def batches(self, epoch: int) -> Sequence[Window | None]:
        """See `TrainingTask.batches`: the windows of all streams."""
        training = self.settings.training
        bounds = window_bounds(
            self._streams.length,
            training.bptt,
            variable=training.variable_bptt,
            seed=(training.seed & 0xFFFFFFFF, epoch),
        )
        return [Window(*bound) if self._rows else None for bound in bounds]

    @property
    def _rows(self) -> int:
        """How many streams are read here."""
        return len(range(self._streams.batch)[self.share])

    def divided(self, batch: Window, count: int) -> Sequence[Window]:
        """See `TrainingTask.divided`: the same steps of fewer streams."""
        bounds = np.linspace(0, self._rows, min(count, self._rows) + 1).astype(int).tolist()
        return [batch._replace(first=first, last=last) for first, last in pairwise(bounds)]

    def named(self, batch: Window) -> str:
        """See `TrainingTask.named`: the lines that the window touches in each stream, counted from 1."""
        ends = np.flatnonzero(self.corpora["train"].numbers == 0)  # of the lines
        rows = range(self._streams.batch)[self.share][batch.first : batch.last]
        spans = []
        for row in rows[:MOST_NAMED]:
            first, last = np.searchsorted(ends, row * self._streams.length + np.array([batch.begin, batch.end - 1])) + 1
            spans.append(f"{first:,}" if first == last else f"{first:,} to {last:,}")
        return f"training lines {', '.join(spans)}" + (", …" if len(rows) > MOST_NAMED else "")

    def loss(self, batch: Window) -> tuple[Tensor, int, int]:
        """See `TrainingTask.loss`; the units are those that are predicted."""
        begin, end, first, last = batch
        if begin == 0:
            self._state = None
        rows = slice(first, last)
        network, model = self.network, self.model
        inputs, targets = (part[self.share][rows] for part in self._streams.window(begin, end))  # [B, T], [B, T]
        with precision_context(self.settings.training.precision, model.device):
            output = encode_window(network, self._table, inputs, _some_rows(self._state, rows))
            following, here = (
                to_device(torch.from_numpy(self._table.words[part]), model.device) for part in (targets, inputs)
            )  # [B, T]
            before = functional.pad(here[:, :-1], (1, 0), value=IGNORED)  # [B, T]
            lengths = torch.full((len(targets),), end - begin)  # [B]
            found = model.head.loss(output.outputs, lengths, following, before, network.embedding.table)
        self._carry(batch, carried(network.encoder, output.state))
        objective = found.objective
        if self.settings.training.variable_bptt:  # a unit counts as much in a short window as in a long one
            objective = objective * ((end - begin) / self.settings.training.bptt)
        # Told is what perplexity is made of; what the gradient descends has the regularisers in it.
        loss = objective + (found.nats / found.units - objective).detach()
        return loss, found.units, found.units

    def _carry(self, batch: Window, state: tuple[State, ...] | None) -> None:
        """Keep the state for the next window; where this one comes in parts, when the last of them has come."""
        self._after = [*(self._after if batch.first else []), state]
        if batch.last in (None, self._rows):
            self._state = _all_rows(self._after)
            self._after = []

    def evaluate(self) -> dict[str, float]:
        """See `TrainingTask.evaluate`: dev as one stream."""
        report = evaluate_stream(self.model, self.corpora["dev"])
        return {"score": report.score, "perplexity": report.perplexity}

    def baseline(self) -> NgramLanguageModel | None:
        """See `StreamTask.baseline`: counts of the training text, unless it is too long for that."""
        order, train = self.settings.head.baseline, self.corpora["train"]
        if not order or len(train) > BASELINE_UNITS:
            return None
        return NgramLanguageModel.beside(self.model, train, order)

    def state(self) -> dict[str, Tensor]:
        """See `TrainingTask.state`: what the recurrent layers remember between two windows."""
        layers = self._state or ()
        return {f"{layer}.{part}": tensor for layer, parts in enumerate(layers) for part, tensor in enumerate(parts)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `TrainingTask.restore`."""
        layers: dict[int, list[Tensor]] = {}
        for name in sorted(state, key=lambda name: [int(number) for number in name.split(".")]):
            layers.setdefault(int(name.split(".")[0]), []).append(state[name].to(self.model.device))
        self._state = tuple(map(tuple, layers.values())) or None


def _some_rows(state: tuple[State, ...] | None, rows: slice) -> tuple[State, ...] | None:
    """The state of some streams."""
    if state is None or rows == slice(0, None):
        return state
    return tuple(tuple(part[rows] for part in parts) for parts in state)


def _all_rows(states: Sequence[tuple[State, ...] | None]) -> tuple[State, ...] | None:
    """The state of all streams from those of parts of them."""
    if len(states) == 1:
        return states[0]
    layers = zip(*(state for state in states if state is not None), strict=True)
    return tuple(tuple(torch.cat(parts) for parts in zip(*layer, strict=True)) for layer in layers)


def read_corpora(
    settings: LmSettings, dataset: Dataset, progress: Progress, start: Model | None = None
) -> tuple[Units, dict[str, Corpus]]:
    """Read all splits of a data set, and say what is in them.

    Args:
        settings: which units.
        dataset: the data.
        progress: where messages go.
        start: a model that is started from.

    Returns:
        Text ↔ units, and train, dev and, where there is one, test.
    """
    units = _units(settings, dataset, start, progress)
    # The test split is not used before the end, where a fault in it would come too late.
    splits = [name for name in ("train", "dev", "test") if dataset.has(name)]
    corpora = {name: read_corpus(dataset, name, units) for name in splits}
    for note in dataset.notes:
        progress.say(note)
    told = (f"{name} {part.lines:,} lines, {len(part):,} {_UNIT_NAMES[units.kind]}" for name, part in corpora.items())
    progress.say(f"{dataset.name}: {', '.join(told)}")
    return units, corpora


def _units(settings: LmSettings, dataset: Dataset, start: Model | None, progress: Progress) -> Units:
    """What the text is cut into; the byte pairs are those of the model that is started from."""
    data = settings.data
    if data.unit != "bpe":
        return Units.char() if data.unit == "char" else Units.word(data.splitter)
    if isinstance(start, LanguageModel | Generator):
        return start.units
    progress.say(f"learning at most {data.bpe_size:,} byte pairs")
    return Units.train_bpe(dataset.lines("train"), data.bpe_size)


def read_corpus(dataset: Dataset, split: str, units: Units) -> Corpus:
    """Read one split as a stream of units.

    Args:
        dataset: the data.
        split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
        units: what cuts a line.

    Returns:
        The corpus.

    Raises:
        DataError: it cannot be read, or there is no text in it.
    """
    corpus = Corpus.read(dataset.lines(split), units)
    if len(corpus.types) == 1:  # of ends of lines alone nothing can be learned
        source = dataset.splits.get(split) or dataset.splits.get("all")
        file = source.file if source is not None else None
        raise DataError("expected at least one line of text, found none", file=file or f"{dataset.name} {split}")
    return corpus


def evaluate_stream(
    model: BaseLanguageModel,
    corpus: Corpus,
    *,
    window: int = STATIC_WINDOW,
    dynamic: float = 0.0,
    precision: str = "fp32",
    baseline: Baseline | None = None,
) -> PerplexityReport:
    """Score a model on a text, read as one stream from the zero state on.

    Args:
        model: a language model.
        corpus: the text.
        window: units that are computed together; no influence on the result but in dynamic evaluation.
        dynamic: the learning rate of dynamic evaluation; 0 for none.
        precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``.
        baseline: what a simpler model reaches on it.

    Returns:
        The report.
    """
    log_prob = model.log_prob(corpus, window=window, dynamic=dynamic, precision=precision)
    counts = corpus.counts()
    indices = model.indexer.table(list(counts)).words  # [U]
    unknown = sum(count for index, count in zip(indices, counts.values(), strict=True) if index == UNKNOWN)
    return PerplexityReport(log_prob, len(corpus), corpus.lines, unknown, model.units.kind, baseline)


def _records(name: str, lines: Iterable[Any]) -> list[Sentence]:
    records = []
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise DataError(f"expected a line of text, found {line!r:.80}", file=f"lines {name}", line=number)
        records.append(Sentence([], line, []))
    return records


def _checksum(corpora: Iterable[Corpus], vectors: Vectors | None) -> int:
    found = digest([], vectors)
    for corpus in corpora:
        found = digest([corpus.types], start=found)
        for begin in range(0, len(corpus), 1 << 24):
            found = zlib.crc32(np.ascontiguousarray(corpus.numbers[begin : begin + (1 << 24)]).data, found)
    return found
