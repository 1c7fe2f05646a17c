"""The language model with a network as one artefact: how likely a text is, and texts that it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from seqkit.config import LmSettings, Settings
from seqkit.devices import precision_context
from seqkit.errors import SettingsError
from seqkit.heads.language_model.module import LanguageModelHead
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.streams import Corpus
from seqkit.inputs.units import Units
from seqkit.model.base import Documents, Model
from seqkit.model.base_language_model import BaseLanguageModel, unit_indexer
from seqkit.model.build import build_embedding, build_encoder, given_table
from seqkit.model.restoring import restored_network, saved_size
from seqkit.model.stream import STATIC_WINDOW, stream_log_prob
from seqkit.model.streaming import WordVectors, encoded_batches
from seqkit.model.writing import Beginning, UnitWriter, Writer
from seqkit.nn.network import Network
from seqkit.nn.search import SearchState
from seqkit.nn.softmax import IGNORED
from seqkit.records import Sentence

__all__ = ["LanguageModel"]


class LanguageModel(BaseLanguageModel):
    """A language model with a network: the probability of each unit after all before it. Build one with
    `LanguageModel.build`, read one with `seqkit.load`; see `BaseLanguageModel` for what it is made of.
    """  # noqa: D205 - one sentence and what follows it

    @classmethod
    def build(
        cls,
        settings: LmSettings,
        units: Units,
        counts: Mapping[str, int],
        vectors: Vectors | None = None,
        start: Model | None = None,
    ) -> LanguageModel:
        """Make an untrained model for some training data.

        Args:
            settings: what to build.
            units: text ↔ units.
            counts: how often every distinct unit occurs in the training data.
            vectors: given word vectors.
            start: a model whose vocabularies come first.

        Returns:
            The model, initialised from torch's random generator.

        Raises:
            SettingsError: settings do not fit each other.
        """
        indexer = unit_indexer(settings, units, counts, vectors, start)
        network = _network(settings, indexer, given_table(vectors, start))
        return cls(settings, units, indexer, network, {})

    @property
    def head(self) -> LanguageModelHead:
        """The network's head."""
        head = self.network.head
        assert isinstance(head, LanguageModelHead)
        return head

    def _log_probs(
        self, chunk: Sequence[Sentence], targets: list[list[int]], batch_tokens: int, precision: str
    ) -> list[float]:
        found = [0.0] * len(chunk)
        table = self.network.embedding.table
        words = WordVectors(self.network, self.indexer)
        self.network.eval()
        with torch.inference_mode(), precision_context(precision, self.device):
            for rows, _, output in encoded_batches(self.network, words, chunk, batch_tokens):
                following = _padded([targets[row] for row in rows]).to(self.device)  # [B, T]
                steps = self.head.target_log_probabilities(output.outputs, following, table)  # [B, T]
                for row, total in zip(rows, steps.double().sum(1).tolist(), strict=True):
                    found[row] = total
        return found

    def log_prob(
        self, corpus: Corpus, *, window: int = STATIC_WINDOW, dynamic: float = 0.0, precision: str = "fp32"
    ) -> float:
        """See `BaseLanguageModel.log_prob`; every unit is predicted from all before it, also of earlier lines.

        A cell that cannot forget (see `seqkit.nn.recurrent.RecurrentLayer`) begins anew with every window; outside of
        dynamic evaluation its window is that of training.
        """
        table = self.indexer.table(corpus.types)
        training = self.settings.training
        if not dynamic and not all(layer.forgets for layer in self.network.encoder.layers):
            window = training.bptt
        with precision_context(precision, self.device):
            return stream_log_prob(
                self.network,
                table,
                corpus.streams(1),
                window,
                rate=dynamic,
                clip=training.clip,
                clip_by=training.clip_by,
            )

    def _writing(self, start: Sequence[int]) -> tuple[UnitWriter, Beginning]:
        self.network.eval()
        table = self.network.embedding.table
        writer = Writer(self.network, self.indexer, lambda outputs: self.head.log_probabilities(outputs, table))

        def begin(rows: Sequence[int]) -> tuple[SearchState, Tensor]:
            layers = self.network.encoder.layers
            return writer.begin(start, tuple(layer.initial_state(len(rows), writer.vectors) for layer in layers))

        return writer, begin

    @classmethod
    def restore(cls, settings: Settings, documents: Documents, weights: Mapping[str, Tensor]) -> LanguageModel:
        """See `Model.restore`."""
        assert isinstance(settings, LmSettings)
        units, indexer = cls._restored(settings, documents)
        table = saved_size(weights, "embedding.vectors")
        network = restored_network(lambda: _network(settings, indexer, table), weights, documents.place)
        return cls(settings, units, indexer, network, documents["report.json"])


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of numbers, int64 [B, T], `IGNORED` past the end of each."""
    matrix = np.full((len(rows), max(map(len, rows))), IGNORED, dtype=np.int64)  # [B, T]
    for number, row in enumerate(rows):
        matrix[number, : len(row)] = row
    return torch.from_numpy(matrix)


def _network(settings: LmSettings, indexer: Indexer, vectors: Tensor | None) -> Network:
    embedding = build_embedding(settings.embedding, indexer, vectors)
    # The head drops out the top level's outputs by itself, because it has use for them as they are, too.
    encoder = build_encoder(settings.encoder.model_copy(update={"last_dropout": 0.0}), embedding.output_size)
    last = settings.encoder.last_dropout
    try:
        head = LanguageModelHead(
            encoder.output_size,
            encoder.forward_size,
            len(indexer.words),
            tied_size=settings.embedding.word_size if settings.head.tied else None,
            cutoffs=settings.head.cutoffs or None,
            dropout=last if last >= 0 else settings.encoder.dropout,
            variational=settings.encoder.variational,
            ar=settings.head.ar,
            tar=settings.head.tar,
        )
    except ValueError as error:
        raise SettingsError(f"head: {error}") from None
    variational = settings.encoder.variational
    return Network(embedding, encoder, head, dropout=settings.embedding.dropout, variational=variational)
