"""Input + encoder + head as one artefact: build, predict, answer, and the directory that it is kept in."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from seqkit.config.recipes import validated
from seqkit.config.sections import Options, Settings
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.frames import rows
from seqkit.corpora.from_python import from_items, has_splits
from seqkit.corpora.resolve import resolve
from seqkit.devices import survive_forks
from seqkit.errors import DataError, SettingsError, shown
from seqkit.heads.base import Head, Start
from seqkit.inputs.base import NO_SOURCES, Documents, Input, Sources
from seqkit.inputs.building import build_encoder
from seqkit.inputs.settings import ReadingSettings
from seqkit.metrics.scores import figure
from seqkit.model.files import path_of, write_config
from seqkit.model.gold import checksum, read_gold
from seqkit.model.pipeline import Pipeline
from seqkit.model.requests import answer
from seqkit.model.restoring import restored_network
from seqkit.model.streaming import Stream
from seqkit.nn.network import Encoded, Network
from seqkit.nn.recurrent import State
from seqkit.records import FrameRecord, refuse_one
from seqkit.resources import imported
from seqkit.tasks import Task
from seqkit.terminal import code, markdown

_MOST_WARNINGS = 20
"""unknown slots of dialogue acts that are named"""
_Kind = TypeVar("_Kind", bound="Model")
_Predictor = TypeVar("_Predictor", bound="Predictor")


class Evaluation(NamedTuple):
    """How good a model is on some data.

    Attributes:
        report: the scores, a `seqkit.heads.base.Report`.
        gold: the right labels of each record, where predictions are labels.
        answers: the predictions.
        notes: lines for the user, on the data.
        seconds: how long the predictions took, where that was measured.
        tuned: options that were found on dev, None if none were to be found.
    """

    report: Any
    gold: Sequence[Sequence[str]] = ()
    answers: Sequence[Any] = ()
    notes: Sequence[str] = ()
    seconds: float | None = None
    tuned: Mapping[str, Any] | None = None


class Predictor(ABC):
    """What is kept in a model directory and answers requests; a `Model`, which has a network, or counts of n-grams.

    Args:
        settings: the settings it was built with.
        report: scores, data and versions, as in ``report.json``.

    Attributes:
        input: what it reads, a `seqkit.inputs.base.Input`.
        head: what a network predicts, a `seqkit.heads.base.Head`; None where there is no network.
    """

    input: Any
    head: Any = None

    def __init__(self, settings: Settings, report: dict[str, Any]) -> None:
        survive_forks()
        self.settings = settings
        self.report = report

    @property
    def task(self) -> Task:
        """What it is for."""
        return self.settings.row

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it computes."""

    def to(self: _Predictor, device: str | torch.device) -> _Predictor:
        """Move it to another device, if it can be; returns the model itself."""
        return self

    # --- use ------------------------------------------------------------------------------------------------------

    def options(self, given: Mapping[str, Any]) -> Options:
        """Options of prediction, checked.

        Args:
            given: option → value, named as the flags of the command line are.

        Returns:
            An object of the task's options class.

        Raises:
            SettingsError: there is no such option, or it has another value.
        """
        return validated(self.task.options_class(), given, "options")

    def pipeline(self, **settings: Any) -> Any:
        """What predicts call after call; see `Pipeline` for the settings."""
        return Pipeline(self, **settings)  # type: ignore[arg-type]

    def record(self, given: Any) -> Any:
        """What a user gives, raw text, tokens, fields or a record, as a record; see `seqkit.inputs.base.Input`."""
        return self.input.record(given)

    def predict(
        self,
        records: Iterable[Any],
        *,
        batch_tokens: int | None = None,
        ahead: int | None = None,
        precision: str = "fp32",
        **options: Any,
    ) -> Iterator[Any]:
        """Predict any number of records, in order, reading ahead no more than a chunk.

        Args:
            records: raw texts, lists of tokens, mappings of fields, or records; or a table of such rows, see
                `seqkit.corpora.frames.rows`.
            batch_tokens: tokens per batch; a longer record is a batch of its own. Halved where memory runs out.
            ahead: records that are read ahead at most.
            precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``: see `Pipeline`.
            **options: those of the task, named as the flags of the command line are.

        Returns:
            An iterator, which gives one prediction per record.

        Raises:
            DataError: `records` is a single one; while iterating: one of them cannot be predicted.
            SettingsError: there is no such option, or it has another value.
        """
        refuse_one(records, "the argument of predict")
        asked = {"batch_tokens": batch_tokens, "ahead": ahead}
        sizes = {name: size for name, size in asked.items() if size is not None}
        pipeline = self.pipeline(precision=precision, **sizes)
        return iter(pipeline(self._records(records), self.options(options)))

    def stream(self, **options: Any) -> Any:
        """Answer while a sequence is still going on.

        Args:
            **options: those of the task, named as the flags of the command line are.

        Returns:
            A `seqkit.model.streaming.Stream`.

        Raises:
            SettingsError: the model cannot do so, or not with these options; or there is no such option.
        """
        raise SettingsError("what this model predicts cannot be streamed: it is about the whole of what is read")

    def _records(self, given: Iterable[Any]) -> Iterator[Any]:
        for number, item in enumerate(rows(given), start=1):
            own = isinstance(item, FrameRecord) or not (isinstance(item, Mapping) or self.task.records == "frames")
            if own:  # a text says itself which it is
                yield self.record(item)
                continue
            try:
                record = self.record(item)
            except DataError as error:
                raise DataError(error.reason, file="records", line=number) from None
            record.file, record.line = "records", number
            yield record

    def _refuse_texts(self, given: Any, verb: str) -> None:
        """See that a list is the tokens of one text, and not several texts."""
        if hasattr(given, "__len__") and hasattr(given, "__iter__") and not isinstance(given, str | bytes | Mapping):
            spaced = next((each for each in given if isinstance(each, str) and len(each.split()) > 1), None)
            if spaced is not None:
                raise DataError(
                    f"a list given to {verb} holds the tokens of one text, and {shown(str(spaced))} is several words: "
                    "use predict(texts) for several texts, predict([tokens]) for tokens with spaces"
                )

    def answer(self, request: Mapping[str, Any], pipeline: Any = None) -> dict[str, Any]:
        """Answer a request, JSON in and JSON out: what workers, the processes of ``torchrun`` and servers use.

        Args:
            request: ``{"text": …}`` or, of an input of words, ``{"tokens": […]}``, of sequences of vectors
                ``{"frames": […]}``, with its speaker where frames are normalised by it, and options of prediction
                beside it; or ``{"texts": […]}`` for several; or ``{"block": […], "output_format": …}`` for a block of a
                file (see `seqkit.formats.blocks`), whose bytes are strings, each undecodable byte a lone surrogate.
            pipeline: what predicts; by default a new one.

        Returns:
            What the verb of use writes as JSON; ``{"answers": […]}`` of several; and of a block ``output`` (or
            ``files``, pairs of a name and a text, of a format whose files hold one record), the number of ``records``
            and ``tokens``, and ``fault``, what is wrong with the block, or None.

        Raises:
            SeqkitError: the request cannot be answered.
        """
        return answer(self, request, pipeline or self.pipeline())

    def evaluate(self, data: Any, split: str | None = None, *, pipeline: Any = None, **options: Any) -> Evaluation:
        """Predict data for which it is known what is right, and score the predictions.

        Args:
            data: the name of a data set, a file, a folder, a `Dataset`, a table or any iterable of what the task learns
                from, or a mapping split → such (see `seqkit.corpora.from_python.from_items`).
            split: which split of a data set; by default test, or dev where there is no test.
            pipeline: what predicts; by default a new one.
            **options: those of evaluation, named as the flags of the command line are.

        Returns:
            The scores, and what they are of.

        Raises:
            DataError: the data cannot be read, or a record lacks its label.
            SettingsError: there is no such option, or it has another value.
        """
        records, notes, chosen = self._read(data, split, options)
        baseline = self.recorded_baseline(checksum(self, records, **chosen))
        found = self.evaluate_records(records, baseline=baseline, pipeline=pipeline, **chosen)
        unknown = self.head.unknown(found.gold) if self.head is not None else []
        if unknown:
            shown = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
            told = "unknown to the model and count as errors"
            notes = [*notes, f"{len(unknown)} {self.head.parts} of the data are {told}: {shown}"]
        return found._replace(notes=notes)

    def _dataset(self, data: Any, options: Mapping[str, Any]) -> Dataset:
        """Data as they may be given to `evaluate`, and its options, → a data set."""
        if isinstance(data, str | Path):
            return resolve(data, quiet=True)
        if isinstance(data, Dataset):
            return data
        label = options.get("label") or options.get("target") or self.settings.label
        if has_splits(data):
            return from_items(self.task.records, data, label=label, texts=self.settings.texts)
        test = () if data is None else data
        return from_items(self.task.records, None, test=test, label=label, texts=self.settings.texts)

    def _read(self, data: Any, split: str | None, options: Mapping[str, Any]) -> tuple[Any, list[str], dict[str, Any]]:
        """What is to be evaluated, see `evaluate`, notes on it, and the options of evaluation, checked and all."""
        chosen = validated(self.task.evaluation_class(), options, "options").model_dump()
        self.check_evaluation(chosen)
        reading = {name: chosen.pop(name) for name in ReadingSettings.model_fields}
        data = self._dataset(data, chosen)
        if data.card is None:  # which describes its files itself
            data = data.described(self.settings.description())
        data = data.described(ReadingSettings(**reading).description())
        records, notes = read_gold(self, data, data.evaluation_split(split), chosen)
        return records, list(notes), chosen

    def check_evaluation(self, options: Mapping[str, Any], named: Callable[[str], str] = str) -> None:
        """See that options of evaluation fit each other and the model, which `evaluate` does before it reads data.

        Args:
            options: those that are given, each of them allowed by itself.
            named: what messages call an option.

        Raises:
            SettingsError: they do not.
        """
        return None

    def check_splits(self, parts: Mapping[str, Sequence[Any]]) -> None:
        """See that a model can be chosen and scored by records, before it is trained.

        Args:
            parts: split → its records.

        Raises:
            DataError: the scores that are asked for cannot be told of some records.
            SettingsError: settings do not fit what was learned from the training records.
        """
        return None

    @abstractmethod
    def evaluate_records(
        self, records: Any, *, baseline: Any = None, pipeline: Any = None, **options: Any
    ) -> Evaluation:
        """Predict records for which it is known what is right, and score the predictions; what `evaluate` does.

        Args:
            records: the records; of a language model a `seqkit.inputs.streams.Corpus`.
            baseline: the scores of a simpler model on them, as the head's report takes them.
            pipeline: what predicts; by default a new one.
            **options: those of evaluation.

        Returns:
            The scores, and what they are of.

        Raises:
            DataError: a record lacks its label.
        """

    def recorded_baseline(self, known: int) -> Any:
        """What the baseline reached when the model was trained, as `evaluate_records` takes it.

        Args:
            known: the checksum of what is to be evaluated, see `seqkit.model.gold.checksum`.

        Returns:
            The baseline's scores; None where there are none, or those are of other data.
        """
        split = next((split for split, found in self.report.get("checksums", {}).items() if found == known), "")
        found = self.report.get("scores", {}).get(split, {}).get("baseline")
        return self.head.recorded(found) if isinstance(found, dict) and self.head is not None else None

    # --- files ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Name → tensor of everything that was learned."""

    @abstractmethod
    def documents(self) -> dict[str, Any]:
        """File name → JSON value of everything but settings, weights and report; what `restore` reads back."""

    @abstractmethod
    def parameter_counts(self) -> dict[str, int]:
        """How many trainable numbers each part has."""

    def usage(self) -> str:
        """Flags of a verb of use, for the model card."""
        return ""

    @abstractmethod
    def description(self) -> list[str]:
        """Lines of the model card that say what it is made of and predicts."""

    @classmethod
    @abstractmethod
    def restore(cls: type[_Predictor], settings: Any, documents: Documents) -> _Predictor:
        """Make a model as it was saved.

        Args:
            settings: the model's settings.
            documents: what `documents` gave, ``report.json``, and the saved weights.

        Returns:
            The model.

        Raises:
            ModelError: a document is missing or malformed, or settings, documents and weights do not fit each other.
        """

    def save(self, directory: str | Path) -> None:
        """Write the model to a directory (see `seqkit.model.files`); nothing in it can execute.

        Args:
            directory: where to; created if need be. A model that is there is replaced.

        Raises:
            ModelError: a file cannot be written, or there are other files of the same names.
            TrainingError: a training run writes to the directory.
            SettingsError: `directory` is no path.
        """
        kept = {name: tensor.detach().to("cpu").contiguous() for name, tensor in self.weights().items()}
        documents = {**self.documents(), "report.json": self.report}
        files = {name: json.dumps(value, indent=1).encode("ascii") for name, value in documents.items()}
        files["weights.safetensors"] = safetensors.torch.save(kept)
        files["README.md"] = self.card().encode("utf-8", "replace")
        settings = self.settings.model_dump(mode="json")
        # Where files lay on the machine of training concerns nobody: the model has what it took of them.
        for section, name in self.settings.elsewhere():
            if settings[section][name]:
                settings[section][name] = Path(settings[section][name]).resolve().name or "unnamed"  # the root has none
        write_config(path_of(directory, "a model's directory"), {"settings": settings}, files)

    def card(self) -> str:
        """The README of the directory: what the model is, what it was trained on, how well it does, how to use it."""
        data = self.report.get("data", {}).get("name", "unknown data")
        read = {"frames": "FILE", "pairs": "< pairs.txt"}.get(self.task.records, "< text.txt")
        shown = f"{'FILE' if self.task.records == 'frames' else repr('TEXT')} -o picture.png"
        verbs = [
            f"seqkit {self.task.name} {verb} -m THIS_FOLDER "
            f"{shown if verb == 'show' else self.usage() if place else read}".rstrip()
            for verb, place in self.task.verbs.items()
            if verb != "show" or self.task.records in ("frames", "fields")
        ]
        lines = [f"# A seqkit {self.task.name} model", "", f"Trained with seqkit on {code(data)}", ""]
        lines += ["```sh", *verbs, "```", "", *self.description(), ""]
        for split, scores in self.report.get("scores", {}).items():
            shown = ", ".join(
                f"{markdown(name)} {figure(name, value)}" for name, value in scores.items() if isinstance(value, float)
            )
            known = ", which training has seen" if split == "dev" and self.settings.training.on_dev else ""
            lines += [f"- {markdown(split)}{known}: {shown}"]
            beside = scores.get("baseline") or {}
            numbers = [
                f"{markdown(name)} {figure(name, value)}" for name, value in beside.items() if isinstance(value, float)
            ]
            lines += [f"- {markdown(split)}, {markdown(beside['name'])}: {', '.join(numbers)}"] if numbers else []
        return "\n".join(lines) + "\n"


class Model(Predictor):
    """A model with a network. Build one with `build`, read one with `seqkit.load`.

    Args:
        settings: the settings it was built with.
        input: what the network reads.
        head: what it predicts.
        network: the trainable whole.
        report: scores, data and versions, as in ``report.json``.
    """

    def __init__(self, settings: Any, input: Any, head: Head, network: Network, report: dict[str, Any]) -> None:
        super().__init__(settings, report)
        self.input = input
        self.head = head
        self.network = network
        self._unknown_slots: set[str] = set()

    @classmethod
    def build(cls: type[_Kind], settings: Any, records: Sequence[Any], sources: Sources = NO_SOURCES) -> _Kind:
        """Make an untrained model for some training data.

        Args:
            settings: what to build.
            records: the training records.
            sources: what else the model is made from.

        Returns:
            The model, initialised from torch's random generator.

        Raises:
            DataError: there is nothing to learn.
            SettingsError: settings do not fit each other.
        """
        task = settings.row
        input: Input = imported(task.input).build(settings, records, sources)
        head: Head = task.head_class(settings).build(settings, records, input)
        return cls.assemble(settings, input, head)

    @classmethod
    def assemble(cls: type[_Kind], settings: Any, input: Any, head: Any) -> _Kind:
        """Make an untrained model of its input and its head.

        Args:
            settings: what to build.
            input: what the network reads.
            head: what it predicts.

        Returns:
            The model, initialised from torch's random generator.
        """
        return cls(settings, input, head, _network(settings, input, head, training=True), {})

    @classmethod
    def restore(cls: type[_Kind], settings: Any, documents: Documents) -> _Kind:
        """See `Predictor.restore`."""
        task = settings.row
        made: list[Any] = []

        def build() -> Network:
            input = imported(task.input).restore(settings, documents)
            head = task.head_class(settings).restore(settings, documents, input)
            made.extend((input, head))
            return _network(settings, input, head, training=False)

        network = restored_network(build, documents.weights, documents.place)
        return cls(settings, made[0], made[1], network, documents["report.json"])

    # --- use ------------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """See `Predictor.device`: where the network's weights are."""
        return next(self.network.parameters()).device

    def to(self: _Kind, device: str | torch.device) -> _Kind:
        """See `Predictor.to`."""
        self.network.to(device)
        return self

    def encode(
        self, batch: Any, condition: Any = None, state: tuple[State, ...] | None = None, *, return_state: bool = False
    ) -> Encoded:
        """Encode a batch.

        Args:
            batch: what the input collated, on the model's device.
            condition: what the head's `conditions` collated for it.
            state: the encoder's state before the first step; by default what the head's `start` says.
            return_state: also return the state after the last step.

        Returns:
            See `Encoded`.
        """
        start = self.head.start(condition, len(batch.lengths)) if self.head.has_start else Start()
        encoded: Encoded = self.network(
            batch, state=state or start.state, features=start.features, return_state=return_state
        )
        if start.memory is None:
            return encoded
        return encoded._replace(outputs=self.head.look(encoded.outputs, start.memory))

    def stream(self, **options: Any) -> Stream:
        """See `Predictor.stream`."""
        return Stream(self, self.options(options))

    def evaluate_records(
        self, records: Any, *, baseline: Any = None, pipeline: Any = None, **options: Any
    ) -> Evaluation:
        """See `Predictor.evaluate_records`."""
        gold = self.head.gold(records, **options)
        answers = self.predicted(records, pipeline)
        return Evaluation(self.head.report(gold, answers, baseline), gold, answers)

    def unusual(self, records: Sequence[Any]) -> list[str]:
        """What the user is warned of in what is read: slots of dialogue acts that training lacks, each once.

        Args:
            records: what is read.

        Returns:
            Lines.
        """
        found = list[str]()
        for slot in self.head.unknown_slots(records):
            if slot not in self._unknown_slots and len(self._unknown_slots) < _MOST_WARNINGS:
                self._unknown_slots.add(slot)
                found.append(f"no dialogue act of the training data has {slot}, which is read as unknown")
                if len(self._unknown_slots) == _MOST_WARNINGS:
                    found.append(f"these are {_MOST_WARNINGS} slots and values that are unknown; others are not named")
        return found

    def dev_report(self, records: Sequence[Any], pipeline: Any = None) -> Any:
        """The report of an epoch in training, by which the best one is chosen."""
        return self.evaluate_records(records, pipeline=pipeline).report

    def predicted(self, records: Sequence[Any], pipeline: Any = None, **options: Any) -> list[Any]:
        """The predictions for some records, by a pipeline or a new one, without what evaluation does not need."""
        return list((pipeline or self.pipeline())(records, self.options(options).for_output(None)))

    # --- files ----------------------------------------------------------------------------------------------------

    def weights(self) -> dict[str, Tensor]:
        """See `Predictor.weights`; without those that only training needs."""
        return {name: tensor for name, tensor in self.network.state_dict().items() if self._is_kept(name)}

    def _is_kept(self, name: str) -> bool:
        return not (self.head.training_only and name.startswith(self.head.training_only))

    def parameter_counts(self) -> dict[str, int]:
        """See `Predictor.parameter_counts`; of the saved model."""
        counts = {"input": 0, "encoder": 0, "head": 0}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad and self._is_kept(name):
                counts[name.partition(".")[0]] += parameter.numel()
        return counts

    def documents(self) -> dict[str, Any]:
        """See `Predictor.documents`."""
        return {**self.input.documents(), **self.head.documents()}

    def usage(self) -> str:
        """See `Predictor.usage`."""
        usage: str = self.head.usage()
        return usage

    def description(self) -> list[str]:
        """See `Predictor.description`."""
        encoder = self.settings.encoder
        layers = f"{encoder.layers} × {encoder.hidden} {encoder.cell}, direction {encoder.direction}"
        return [*self.head.description(), f"- Encoder: {layers}", *self.input.description()]


def _network(settings: Any, input: Input, head: Head, *, training: bool) -> Network:
    """The modules of a model; with those that only training needs, if it is to be trained."""
    vectors = input.module()
    size = int(vectors.output_size) + head.make_start()  # type: ignore[arg-type]
    # A head that drops out the last layer's outputs itself has use for them as they are, too.
    changes = {"last_dropout": 0.0} if head.drops_outputs else {}
    encoder = build_encoder(settings.encoder, size, **changes, **head.encoder_options)
    module = head.make_module(encoder, vectors, training=training)
    return Network(
        vectors,
        encoder,
        module,
        dropout=input.dropout,
        variational=settings.encoder.variational or not head.drops_outputs,
    )
