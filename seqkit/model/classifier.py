"""The classifier as one artefact: a raw text or its tokens → a label, or several, with their probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqkit.config import BATCH_TOKENS, ClassifySettings, Settings
from seqkit.formats.splitting import Splitter
from seqkit.heads.classification.labels import ClassCodec
from seqkit.heads.classification.module import ClassificationHead
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.pretrained import Vectors
from seqkit.model.base import Documents, Model
from seqkit.model.build import (
    build_embedding,
    build_encoder,
    build_indexer,
    given_table,
    indexer_documents,
    restore_indexer,
)
from seqkit.model.memory import BatchTokens
from seqkit.model.precision import AutoPrecision, in_precision
from seqkit.model.restoring import restored_network, saved_size
from seqkit.model.streaming import CHUNK_SENTENCES, KeptWords, as_sentence, predicted
from seqkit.nn.network import Network
from seqkit.records import ClassifiedText, Sentence

__all__ = ["Classifier"]


class Classifier(Model):
    """A classifier: one label a text, or several. Build one with `Classifier.build`, read one with `seqkit.load`.

    Args:
        settings: the settings it was built with.
        splitter: raw text → tokens.
        indexer: tokens → numbers.
        codec: labels ↔ numbers.
        network: the trainable whole.
        report: scores, data and versions, as in ``report.json``.
    """

    task: ClassVar[str] = "classify"
    settings: ClassifySettings

    def __init__(
        self,
        settings: ClassifySettings,
        splitter: Splitter,
        indexer: Indexer,
        codec: ClassCodec,
        network: Network,
        report: dict[str, Any],
    ) -> None:
        super().__init__(settings, network, report)
        self.splitter = splitter
        self.indexer = indexer
        self.codec = codec

    @classmethod
    def build(
        cls,
        settings: ClassifySettings,
        sentences: Sequence[Sentence],
        labels: Sequence[Sequence[str]],
        vectors: Vectors | None = None,
        start: Model | None = None,
    ) -> Classifier:
        """Make an untrained model for some training data.

        Args:
            settings: what to build.
            sentences: the training texts, of which the vocabularies are made.
            labels: the labels of each.
            vectors: given word vectors.
            start: a model whose vocabularies come first.

        Returns:
            The model, initialised from torch's random generator.

        Raises:
            DataError: there is nothing to learn.
            SettingsError: settings do not fit each other.
        """
        data, head = settings.data, settings.head
        types = Counter(token for sentence in sentences for token in sentence.tokens)
        indexer = build_indexer(data, types, vectors, start)
        codec = ClassCodec.build(labels, head.multi_label, data.text, data.label)
        weights = torch.from_numpy(codec.balanced_weights(labels)) if head.class_weights == "balanced" else None
        network = _network(settings, indexer, codec, given_table(vectors, start), weights)
        return cls(settings, Splitter(data.splitter), indexer, codec, network, {})

    # --- use ---------------------------------------------------------------------------------------------------

    def classify(self, text: str | Sequence[str]) -> ClassifiedText:
        """Classify one text.

        Args:
            text: raw text, which the model's splitter splits, or a list of tokens.

        Returns:
            The text with its label, or labels, and the probabilities of all.
        """
        return next(self.predict([text]))

    def predict(
        self,
        sentences: Iterable[Sentence | str | Sequence[str]],
        *,
        batch_tokens: int | BatchTokens = BATCH_TOKENS,
        chunk_sentences: int = CHUNK_SENTENCES,
        precision: str = "fp32",
        auto: AutoPrecision | None = None,
        words: KeptWords | None = None,
    ) -> Iterator[ClassifiedText]:
        """Classify texts, as many as come and in their order, reading ahead no more than a chunk.

        Args:
            sentences: raw texts, lists of tokens, or records; one without tokens gets what an empty text gets.
            batch_tokens: tokens a batch; a longer text is a batch of its own. Halved where memory does not
                suffice; one that is kept from call to call stays so.
            chunk_sentences: texts read ahead at most.
            precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``: see `in_precision`.
            auto: what ``auto`` became, kept from call to call; by default every call decides.
            words: word vectors kept from call to call, of a model that is not trained meanwhile; by default only along
                one stream.

        Yields:
            One record a text.
        """
        head = self.network.head
        assert isinstance(head, ClassificationHead)

        def classified(part: Iterable[Sentence], chosen: str) -> Iterator[ClassifiedText]:
            results = predicted(
                self.network,
                self.indexer,
                part,
                lambda encoded: head.decode(encoded.output.outputs, encoded.lengths),
                lambda batch, scored: self._records(batch, scored.scores),
                batch_tokens=batch_tokens,
                chunk_sentences=chunk_sentences,
                precision=chosen,
                words=words,
            )
            for sentence, found in results:
                yield self._empty(sentence) if found is None else found

        yield from in_precision(
            precision,
            classified,
            (as_sentence(given, self.splitter) for given in sentences),
            lambda record: [frozenset(record.labels)],
            device=self.device,
            ahead=chunk_sentences,
            auto=auto,
        )

    def _records(self, batch: Sequence[Sentence], probabilities: Tensor) -> list[ClassifiedText]:
        """The records of some texts, from the probabilities of their labels, [B, K]."""
        codec = self.codec
        order = probabilities.argsort(dim=1, descending=True, stable=True).tolist()  # [B, K]
        records = []
        for sentence, row, ranks in zip(batch, probabilities.tolist(), order, strict=True):
            probs = {codec.labels[index]: row[index] for index in ranks}
            records.append(ClassifiedText(sentence, codec.choose(probs), probs, codec.multi))
        return records

    def _empty(self, sentence: Sentence) -> ClassifiedText:
        """The record of a text without tokens, whose pooled vector is zero."""
        head, body = self.network.head, self.network.encoder
        assert isinstance(head, ClassificationHead)
        outputs = torch.zeros(1, 0, body.output_size, device=self.device)  # [1, 0, D]
        self.network.eval()
        (found,) = self._records([sentence], head.decode(outputs, torch.zeros(1, dtype=torch.int64)))
        return found

    # --- files -------------------------------------------------------------------------------------------------

    def documents(self) -> dict[str, Any]:
        """See `Model.documents`."""
        rest = {"labels.json": self.codec.to_json(), "splitter.json": self.splitter.to_json()}
        return {**indexer_documents(self.indexer), **rest}

    def description(self) -> list[str]:
        """See `Model.description`."""
        kind = "several labels a text" if self.codec.multi else "one label a text"
        lines = ["```sh", "seqkit classify -m THIS_FOLDER < texts.txt", "```", ""]
        lines += [f"- Labels ({kind}): {', '.join(self.codec.labels)}"]
        for split, scores in self.report.get("scores", {}).items():
            baseline = scores.get("baseline")
            if baseline is not None and "accuracy" in baseline:
                lines += [f"- Beside it, {baseline['name']} has on {split}: accuracy {baseline['accuracy']:.4f}"]
        return lines

    @classmethod
    def restore(cls, settings: Settings, documents: Documents, weights: Mapping[str, Tensor]) -> Classifier:
        """See `Model.restore`."""
        assert isinstance(settings, ClassifySettings)
        indexer = restore_indexer(settings.data, documents)
        codec = ClassCodec.from_json(documents["labels.json"])
        splitter = Splitter.from_json(documents["splitter.json"])
        table = saved_size(weights, "embedding.vectors")
        network = restored_network(lambda: _network(settings, indexer, codec, table, None), weights, documents.place)
        return cls(settings, splitter, indexer, codec, network, documents["report.json"])


def _network(
    settings: ClassifySettings, indexer: Indexer, codec: ClassCodec, vectors: Tensor | None, weights: Tensor | None
) -> Network:
    """The modules of a classifier; with the weights of labels, [K], if it is to be trained with them."""
    words = build_embedding(settings.embedding, indexer, vectors)
    body = build_encoder(settings.encoder, words.output_size)
    head = ClassificationHead(
        body.output_size,
        body.forward_size,
        len(codec.labels),
        pool=settings.head.pool,
        multi_label=codec.multi,
        weights=weights,
        dropout=settings.head.dropout,
    )
    return Network(words, body, head, dropout=settings.embedding.dropout)
