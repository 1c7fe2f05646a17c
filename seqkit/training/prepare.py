"""Settings and data → what is trained: reading, what a model starts from, building."""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch

from seqkit.config import Settings, override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.reading import read_splits, with_splitter
from seqkit.devices import precision_context
from seqkit.errors import DataError, SettingsError
from seqkit.formats.splitting import Splitter
from seqkit.inputs.base import Sources
from seqkit.inputs.context import ContextFeatures
from seqkit.inputs.pretrained import Vectors, read_vectors
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.inputs.units import UNIT_NAMES, make_units
from seqkit.metrics.scores import plural
from seqkit.model.base import Model, Predictor
from seqkit.model.files import read_config
from seqkit.model.gold import notes_on_blank_lines, read_corpus
from seqkit.model.loading import load
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.records import digest
from seqkit.resources import imported
from seqkit.tasks import Task
from seqkit.training.learner import Learner, digest_network
from seqkit.training.progress import Progress
from seqkit.training.streams import BASELINE_UNITS, StreamLearner, perplexity_reports
from seqkit.training.transfer import adopt, describe, thawing_groups, transfer

_AnySettings = TypeVar("_AnySettings", bound=Settings)


class Prepared(NamedTuple):
    """What is to be trained.

    Attributes:
        model: the model.
        learner: what the trainer trains; None for a model that is complete, of n-grams.
        size: the number of training records.
        reports: scores the finished model on a data set.
        training: what the report says of the training of a complete model.
    """

    model: Predictor
    learner: Learner | None
    size: int
    reports: Any
    training: Mapping[str, Any] = {}


def prepare(
    settings: Settings,
    dataset: Dataset,
    device: torch.device,
    progress: Progress,
    features: Path | None = None,
    *,
    resumes: bool = False,
) -> Prepared:
    """Read the data and build the model, from the seed on.

    Args:
        settings: complete settings.
        dataset: the data.
        device: where to train.
        progress: where messages go.
        features: see `Sources.features`.
        resumes: whether an earlier run goes on.

    Returns:
        What is to be trained, its model initialised.

    Raises:
        SeqkitError: the data, the vectors or the settings cannot be used.
    """
    precision_context(settings.training.precision, device)  # a precision that the device lacks is an error now
    for section, name in settings.elsewhere():
        place = getattr(getattr(settings, section), name)
        if place and name in ("context", "init_from"):
            read_config(Path(place))  # before the data, which may take long to read
    settings, choice = with_splitter(settings, dataset)
    torch.manual_seed(settings.training.seed)
    task = settings.row
    if task.records != "lines":
        prepared = _prepare_records(settings, dataset, device, progress, Sources(features=features, resumes=resumes))
    elif issubclass(task.model_class(settings), Model):
        prepared = _prepare_streams(settings, dataset, device, progress)
    else:
        prepared = _count(settings, dataset, progress)
    for line in choice:
        progress.say(line)
    return prepared


def _prepare_records(
    settings: Settings, dataset: Dataset, device: torch.device, progress: Progress, run: Sources
) -> Prepared:
    task, data = settings.row, cast("Any", settings.data)
    splitter = Splitter(data.split_kind).split if imported(task.input).reads_tokens else None
    numbers = settings.predicts == "regression"
    contents: list[int] = []

    def read(source: Dataset, splits: Sequence[str]) -> dict[str, list[Any]]:
        return read_splits(source, task.records, data, splitter, splits, numbers=numbers).records

    # The test split is not used before the end, where a fault in it would come too late.
    found = read_splits(dataset, task.records, data, splitter, numbers=numbers)
    parts = found.records
    sizes = [_size(split, part, task) for split, part in parts.items()]
    cut = getattr(data, "unit", "") == "word" and dataset.has_tokens  # which a reader of texts does not say
    notes = [*found.notes, *(dataset.notes_on_lines(formats=True) if cut else ())]
    _say_sizes(dataset, list(dict.fromkeys(notes)), sizes, progress)
    train = parts["train"]
    sources, settings = _load_sources(settings)
    complete = settings.complete_by(train)
    sources = replace(sources, features=run.features, resumes=run.resumes)
    try:
        model: Model = task.model_class(complete).build(complete, train, sources).to(device)
        for part in parts.values():
            deque(model.head.learned(part), maxlen=0)  # every record has what is learned
            contents.append(model.input.check(part))
        model.check_splits(parts)
        learner = imported(task.learner)(
            model, train, parts["dev"], read, digest([[*map(str, contents[:2])]], _checksum(sources))
        )
    except DataError as error:
        asked = getattr(complete.data, "condition", "")
        if complete != settings and any(repr(name) in str(error) for name in asked.split(",")):
            raise DataError(f"{error} (conditions found: {asked}; --condition names others, or none)") from None
        raise
    _start_from(learner, sources.start, progress)
    learner.facts, lines = model.input.facts(train)
    for line in [*model.head.notes(train, learner.targets), *lines]:
        progress.say(line)
    return Prepared(model, learner, learner.size, learner.reports)


def _size(split: str, part: Sequence[Any], task: Task) -> str:
    found = f"{split} {plural(len(part), task.record)}"
    if task.records in ("fields", "frames"):
        return found
    return f"{found}, {plural(sum(len(record.tokens) for record in part), 'token')}"


def _say_sizes(dataset: Dataset, notes: Sequence[str], sizes: Sequence[str], progress: Progress) -> None:
    for note in notes:
        progress.say(note)
    progress.say(f"{dataset.name}: {', '.join(sizes)}")


# --- streams of text ----------------------------------------------------------------------------------------------


def _prepare_streams(settings: Any, dataset: Dataset, device: torch.device, progress: Progress) -> Prepared:
    sources, settings = _load_sources(settings)
    units, corpora = _read_corpora(settings, dataset, progress, sources)
    model = settings.row.model_class(settings).of_counts(settings, units, corpora["train"].counts(), sources)
    learner = StreamLearner(model.to(device), corpora, _checksum(sources))
    _start_from(learner, sources.start, progress)
    for note in model.head.notes([], None):
        progress.say(note)
    if settings.head.baseline and len(corpora["train"]) > BASELINE_UNITS:
        progress.say(f"no n-gram baseline: the training text has more than {BASELINE_UNITS:,} units")
    return Prepared(model, learner, learner.size, learner.reports)


def _count(settings: Any, dataset: Dataset, progress: Progress) -> Prepared:
    """Count n-grams: there are no epochs, so that neither ``train.jsonl`` nor a checkpoint is written."""
    units, corpora = _read_corpora(settings, dataset, progress, Sources())
    began = time.monotonic()
    model = NgramLanguageModel.count(settings, units, corpora["train"])
    seconds = time.monotonic() - began
    progress.say(f"vocabulary: {len(model.input.indexer.words) - 2:,} units")
    progress.say(f"{model.name}: counted in {seconds:.1f} seconds")
    size = corpora["train"].lines
    return Prepared(model, None, size, lambda dataset: perplexity_reports(model, corpora), {"seconds": seconds})


def _read_corpora(
    settings: Any, dataset: Dataset, progress: Progress, sources: Sources
) -> tuple[Units, dict[str, Corpus]]:
    """Text ↔ units, and train, dev and, where there is one, test."""
    if settings.data.unit == "bpe" and sources.start is None:
        progress.say(f"learning at most {settings.data.bpe_size:,} byte pairs")
    units = make_units(settings.data, dataset.lines("train", settings.data.text), sources)
    # The test split is not used before the end, where a fault in it would come too late.
    splits = [split for split in ("train", "dev", "test") if dataset.has(split)]
    read = {split: read_corpus(dataset, split, units, settings.data.text) for split in splits}
    corpora = {split: corpus for split, (corpus, _) in read.items()}
    notes = [*dataset.notes, *dataset.notes_on_lines(formats=True)]
    if dataset.held_out:
        total = read["train"][1] + (0 if dataset.dev_in_train else read["dev"][1])
        notes.append(dataset.held_out_note(total, "lines"))
    notes += notes_on_blank_lines(dataset, {split: lines - corpus.lines for split, (corpus, lines) in read.items()})
    told = [f"{split} {part.lines:,} lines, {len(part):,} {UNIT_NAMES[units.kind]}" for split, part in corpora.items()]
    _say_sizes(dataset, notes, told, progress)
    return units, corpora


# --- what a model starts from -------------------------------------------------------------------------------------


def _load_sources(settings: _AnySettings) -> tuple[Sources, _AnySettings]:
    """Read the vectors and models that settings name; and the settings, with the sizes that these ask for."""
    embedding: Any = getattr(settings, "embedding", None)
    vectors = context = start = None
    if getattr(embedding, "vectors", ""):
        vectors = read_vectors(embedding.vectors, limit=embedding.vectors_limit or None)
        if embedding.vectors_join == "sum" and embedding.word_size:
            settings = override(settings, {"embedding": {"word_size": vectors.size}})
    if settings.training.init_from:
        start = load(settings.training.init_from, network=True)
        theirs, ours = (str(getattr(some.data, "unit", "word")) for some in (start.settings, settings))
        of_frames = "frames" in (start.settings.row.records, settings.row.records)  # of which `adopt` tells
        if theirs != ours and not of_frames:
            fits_context = theirs == "char" and hasattr(embedding, "context")
            hint = "; --context takes a model of characters" if fits_context else ""
            expected = f"expected a model of unit {ours} to start from, found one of {theirs}{hint}"
            raise SettingsError(f"{settings.training.init_from}: {expected}")
        settings = adopt(settings, start)
    if getattr(embedding, "context", ""):
        context = ContextFeatures.of(load(embedding.context, task="lm", network=True))
    return Sources(vectors, start, context), settings


def _checksum(sources: Sources) -> int:
    """Of what training depends on beside its data and the model that it starts from."""
    found = 0
    vectors: Vectors | None = sources.vectors
    if vectors is not None:
        found = zlib.crc32(np.ascontiguousarray(vectors.matrix).data, digest([vectors.words]))
    if sources.context is not None:
        found = digest_network(sources.context.network, sources.context.indexer.words.words, found)
    return found


def _start_from(learner: Learner, start: Model | None, progress: Progress) -> None:
    """Take input module and encoder of another model, with whose vocabularies the learner's model was built."""
    if start is None:
        return
    learner.checksum = digest_network(start.network, start.input.indexer.words.words, learner.checksum)
    taken = transfer(start, learner.model)
    learner.thawing = thawing_groups(taken)
    progress.say(describe(start, learner.model, taken))
