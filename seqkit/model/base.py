"""What the models of all tasks have in common: a network with its settings, and the directory that it is kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from seqkit.config import OTHER_FILES, Settings
from seqkit.errors import ModelError
from seqkit.inputs.arrays import Indexer
from seqkit.model.files import write_config
from seqkit.nn.network import Network

__all__ = ["Documents", "Model"]

_Kind = TypeVar("_Kind", bound="Model")


class Documents:
    """The JSON files of a model directory, parsed.

    Args:
        parsed: file name → content.
        place: the directory, for messages.
    """

    def __init__(self, parsed: Mapping[str, Any], place: str) -> None:
        self.parsed = parsed
        self.place = place

    def __contains__(self, name: str) -> bool:
        """Whether the model has such a file."""
        return name in self.parsed

    def __getitem__(self, name: str) -> Any:
        """The content of one file.

        Args:
            name: its name.

        Returns:
            A JSON value.

        Raises:
            ModelError: the model has no such file.
        """
        if name not in self.parsed:
            raise ModelError(self.lacking(name))
        return self.parsed[name]

    def lacking(self, name: str) -> str:
        """The message that a file is not there."""
        return f"{self.place}: expected {name} among the model's files, found {', '.join(sorted(self.parsed))}"


class Model:
    """A model: what it is made of, and its use. Each task has a class of its own; read one with `seqkit.load`.

    Args:
        settings: the settings it was built with.
        network: the trainable whole.
        report: scores, data and versions, as in ``report.json``.

    Attributes:
        task: the command that trains and uses such models.
        indexer: words (or other units of text) → numbers.
    """

    task: ClassVar[str]
    indexer: Indexer
    training_only: ClassVar[str] = ""
    """beginning of the names of weights that only training needs; none by default"""

    def __init__(self, settings: Settings, network: Network, report: dict[str, Any]) -> None:
        self.settings = settings
        self.network = network
        self.report = report

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.network.parameters()).device

    def to(self: _Kind, device: str | torch.device) -> _Kind:
        """Move the network to another device; returns the model itself."""
        self.network.to(device)
        return self

    def parameter_counts(self) -> dict[str, int]:
        """How many trainable numbers each part of the saved model has."""
        counts = {"embedding": 0, "encoder": 0, "head": 0}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad and not self._is_training_only(name):
                part = name.partition(".")[0]
                counts[part] = counts.get(part, 0) + parameter.numel()
        return counts

    def _is_training_only(self, name: str) -> bool:
        return bool(self.training_only) and name.startswith(self.training_only)

    # --- use: each task's class has its own of these ------------------------------------------------------------

    def tag(self, *args: Any, **options: Any) -> Any:
        """See `seqkit.model.tagger.Tagger.tag`."""
        raise self._other("tag")

    def classify(self, *args: Any, **options: Any) -> Any:
        """See `seqkit.model.classifier.Classifier.classify`."""
        raise self._other("classify")

    def predict(self, *args: Any, **options: Any) -> Any:
        """See `seqkit.model.tagger.Tagger.predict` and `seqkit.model.classifier.Classifier.predict`."""
        raise self._other("predict")

    def score(self, *args: Any, **options: Any) -> Any:
        """See `seqkit.model.base_language_model.BaseLanguageModel.score`."""
        raise self._other("score")

    def perplexity(self, *args: Any, **options: Any) -> Any:
        """See `seqkit.model.base_language_model.BaseLanguageModel.perplexity`."""
        raise self._other("perplexity")

    def sample(self, *args: Any, **options: Any) -> Any:
        """See `seqkit.model.base_language_model.BaseLanguageModel.sample`."""
        raise self._other("sample")

    def generate(self, *args: Any, **options: Any) -> Any:
        """See `seqkit.model.generator.Generator.generate`."""
        raise self._other("generate")

    def _other(self, verb: str) -> ModelError:
        return ModelError(f"expected a model that can {verb}, found one of `seqkit {self.task}`")

    # --- files --------------------------------------------------------------------------------------------------

    def documents(self) -> dict[str, Any]:
        """File name → JSON value of everything but settings, weights and report; what `restore` reads back.

        Returns:
            The documents; every name stands in `seqkit.model.files.FILES`.
        """
        raise NotImplementedError  # pragma: no cover - every task's class overrides it

    def description(self) -> list[str]:
        """Lines of the model card that only this task has: how to use it, what it learned."""
        raise NotImplementedError  # pragma: no cover - every task's class overrides it

    def architecture(self) -> list[str]:
        """Lines of the model card that say what it is made of."""
        encoder, embedding = self.settings.encoder, self.settings.embedding
        layers = f"{encoder.layers} × {encoder.hidden} {encoder.cell}, direction {encoder.direction}"
        vectors = Path(embedding.vectors).name or "none"
        return [f"- Encoder: {layers}", f"- Characters: {embedding.chars}; given vectors: {vectors}"]

    @classmethod
    def restore(cls: type[_Kind], settings: Settings, documents: Documents, weights: Mapping[str, Tensor]) -> _Kind:
        """Make a model as it was saved.

        Args:
            settings: the model's settings.
            documents: what `documents` gave, and ``report.json``.
            weights: the saved weights.

        Returns:
            The model.

        Raises:
            ModelError: a document is missing or of another form, or settings, documents and weights do not fit each
                other.
        """
        raise NotImplementedError  # pragma: no cover - every task's class overrides it

    def save(self, directory: str | Path) -> None:
        """Write the model to a directory (see `seqkit.model.files`); nothing in it can execute.

        Args:
            directory: where to; created if need be. Files of the same names are replaced.

        Raises:
            ModelError: a file cannot be written.
        """
        kept = {
            name: tensor.detach().to("cpu").contiguous()
            for name, tensor in self.network.state_dict().items()
            if not self._is_training_only(name)
        }
        documents = {**self.documents(), "report.json": self.report}
        files = {name: json.dumps(value, indent=1).encode("ascii") for name, value in documents.items()}
        files["weights.safetensors"] = safetensors.torch.save(kept)
        files["README.md"] = self.card().encode("utf-8", "replace")
        settings = self.settings.model_dump(mode="json")
        # Where vectors and other models lay on the machine of training concerns nobody: the model has what it took.
        for section, name in OTHER_FILES:
            if settings[section].get(name):
                settings[section][name] = Path(settings[section][name]).resolve().name or "unnamed"  # the root has none
        write_config(Path(directory), {"settings": settings}, files)

    def card(self) -> str:
        """The README of the directory: what the model is, what it was trained on, how well it does, how to use it."""
        data = self.report.get("data", {}).get("name", "unknown data")
        lines = [f"# A seqkit {self.task} model", "", f"Trained with seqkit on `{data}`", ""]
        lines += self.description()
        lines += [*self.architecture(), ""]
        for split, scores in self.report.get("scores", {}).items():
            shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float))
            lines += [f"- {split}: {shown}"]
        return "\n".join(lines) + "\n"
