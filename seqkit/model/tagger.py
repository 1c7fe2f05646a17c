"""The tagger as one artefact: raw text or tokens → labels and spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqkit.config import BATCH_TOKENS, Settings, TagSettings
from seqkit.errors import ModelError
from seqkit.formats.splitting import Splitter
from seqkit.heads.tagging.decoding import TagDecoder
from seqkit.heads.tagging.labels import TagCodec
from seqkit.heads.tagging.module import TaggingHead
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
from seqkit.model.context import ContextFeatures
from seqkit.model.memory import BatchTokens
from seqkit.model.precision import AutoPrecision, in_precision
from seqkit.model.restoring import restored_network, saved_size, shape_of
from seqkit.model.streaming import CHUNK_SENTENCES, KeptWords, ScoredBatch, as_sentence, predicted
from seqkit.nn.auxiliary import AuxiliaryLanguageModel
from seqkit.nn.network import Network
from seqkit.records import Sentence, TaggedSentence

__all__ = ["Tagger"]


class Tagger(Model):
    """A tagger: one label a token. Build one with `Tagger.build`, read one with `seqkit.load`.

    Args:
        settings: the settings it was built with.
        splitter: raw text → tokens.
        indexer: tokens → numbers.
        codec: labels ↔ numbers.
        network: the trainable whole.
        report: scores, data and versions, as in ``report.json``.
        context: further features of every word, whose network is part of `network`.
    """

    task: ClassVar[str] = "tag"
    training_only: ClassVar[str] = "head.auxiliary."
    settings: TagSettings

    def __init__(
        self,
        settings: TagSettings,
        splitter: Splitter,
        indexer: Indexer,
        codec: TagCodec,
        network: Network,
        report: dict[str, Any],
        context: ContextFeatures | None = None,
    ) -> None:
        super().__init__(settings, network, report)
        self.context = context
        self.splitter = splitter
        self.indexer = indexer
        self.codec = codec

    @classmethod
    def build(
        cls,
        settings: TagSettings,
        sentences: Sequence[Sentence],
        labels: Sequence[Sequence[str]],
        vectors: Vectors | None = None,
        start: Model | None = None,
        context: ContextFeatures | None = None,
    ) -> Tagger:
        """Make an untrained model for some training data.

        Args:
            settings: what to build.
            sentences: the training sentences, of which the vocabularies are made.
            labels: the target labels of each.
            vectors: given word vectors.
            start: a model whose vocabularies come first.
            context: further features of every word.

        Returns:
            The model, initialised from torch's random generator.

        Raises:
            DataError: there is nothing to learn.
            SettingsError: settings do not fit each other.
        """
        types = Counter(token for sentence in sentences for token in sentence.tokens)
        indexer = build_indexer(settings.data, types, vectors, start)
        codec = TagCodec.build(labels, settings.data.scheme, settings.data.target)
        network = _network(settings, indexer, codec, given_table(vectors, start), context, training=True)
        return cls(settings, Splitter(settings.data.splitter), indexer, codec, network, {}, context)

    # --- use ---------------------------------------------------------------------------------------------------

    def tag(self, text: str | Sequence[str], *, probs: bool = False, nbest: int = 1) -> TaggedSentence:
        """Tag one sentence.

        Args:
            text: raw text, which the model's splitter splits, or a list of tokens.
            probs: also give the probability of every token's label and of every span.
            nbest: also give so many best label sequences.

        Returns:
            The sentence with its labels and spans; ``text[start:end]`` is each token and each span.
        """
        return next(self.predict([text], probs=probs, nbest=nbest))

    def predict(
        self,
        sentences: Iterable[Sentence | str | Sequence[str]],
        *,
        probs: bool = False,
        spans: bool = True,
        nbest: int = 1,
        batch_tokens: int | BatchTokens = BATCH_TOKENS,
        chunk_sentences: int = CHUNK_SENTENCES,
        precision: str = "fp32",
        auto: AutoPrecision | None = None,
        words: KeptWords | None = None,
    ) -> Iterator[TaggedSentence]:
        """Tag sentences, as many as come and in their order, reading ahead no more than a chunk.

        Args:
            sentences: raw texts, lists of tokens, or records; one without tokens comes back without labels.
            probs: also give probabilities: of a token's label its marginal, of a span that of exactly its tokens
                carrying exactly its label.
            spans: also collect the spans.
            nbest: also give so many best label sequences, with their probabilities.
            batch_tokens: tokens a batch; a longer sentence is a batch of its own. Halved where memory does not
                suffice; one that is kept from call to call stays so.
            chunk_sentences: sentences read ahead at most.
            precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``: see `in_precision`.
            auto: what ``auto`` became, kept from call to call; by default every call decides.
            words: word vectors kept from call to call, of a model that is not trained meanwhile; by default only along
                one stream.

        Yields:
            One record a sentence.
        """
        head = self.network.head
        assert isinstance(head, TaggingHead)
        decoder = TagDecoder(head, self.codec)
        records = (as_sentence(given, self.splitter) for given in sentences)

        def decode(batch: list[Sentence], scored: ScoredBatch) -> Sequence[TaggedSentence]:
            return decoder.records(batch, scored.scores, scored.lengths, probs=probs, spans=spans, nbest=nbest)

        def tagged(part: Iterable[Sentence], chosen: str) -> Iterator[TaggedSentence]:
            results = predicted(
                self.network,
                self.indexer,
                part,
                lambda encoded: head.emissions(encoded.output.outputs),
                decode,
                batch_tokens=batch_tokens,
                chunk_sentences=chunk_sentences,
                precision=chosen,
                context=self.context,
                words=words,
            )
            for sentence, found in results:
                yield self._untagged(sentence, probs, nbest) if found is None else found

        yield from in_precision(
            precision,
            tagged,
            records,
            lambda record: record.labels,
            device=self.device,
            ahead=chunk_sentences,
            auto=auto,
        )

    def _untagged(self, sentence: Sentence, probs: bool, nbest: int) -> TaggedSentence:
        """The record of a sentence without tokens, with the same fields as the others have."""
        alternatives: list[tuple[list[str], float]] | None = [] if nbest > 1 else None
        return TaggedSentence(sentence, [], [] if probs else None, [], alternatives, self.codec.encoding != "none")

    # --- files -------------------------------------------------------------------------------------------------

    def documents(self) -> dict[str, Any]:
        """See `Model.documents`."""
        rest = {"labels.json": self.codec.to_json(), "splitter.json": self.splitter.to_json()}
        if self.context is not None:
            rest["context.json"] = self.context.document()
        return {**indexer_documents(self.indexer), **rest}

    def description(self) -> list[str]:
        """See `Model.description`."""
        lines = [f"Label column: `{self.codec.target}`", ""] if self.codec.target else []
        labels = list(self.codec.tags.labels)
        if self.codec.encoding != "none":
            kinds = sorted({tag[2:] for tag in labels if tag != "O"})
            labels = [kind or "spans without a kind" for kind in kinds]  # bare prefixes, as in word segmentation
        return [*lines, "```sh", "seqkit tag -m THIS_FOLDER < text.txt", "```", "", f"- Labels: {', '.join(labels)}"]

    @classmethod
    def restore(cls, settings: Settings, documents: Documents, weights: Mapping[str, Tensor]) -> Tagger:
        """See `Model.restore`."""
        assert isinstance(settings, TagSettings)
        indexer = restore_indexer(settings.data, documents)
        codec = TagCodec.from_json(documents["labels.json"])
        splitter = Splitter.from_json(documents["splitter.json"])
        around: list[ContextFeatures] = []

        def build() -> Network:
            if "context.json" in documents:
                place, given = f"{documents.place}: context.json", saved_size(weights, "context.embedding.vectors")
                around.append(ContextFeatures.restore(documents["context.json"], place, given))
            table = saved_size(weights, "embedding.vectors")
            return _network(settings, indexer, codec, table, around[0] if around else None, training=False)

        _check_moves(codec, weights.get("head.crf.legal_transitions"), documents.place)
        network = restored_network(build, weights, documents.place)
        return cls(settings, splitter, indexer, codec, network, documents["report.json"], *around)


def _check_moves(codec: TagCodec, legal: Tensor | None, place: str) -> None:
    """See that there are as many labels as were saved, before moves between all of them are worked out."""
    size = len(codec.tags)
    if legal is None or list(legal.shape) != [size, size]:
        found = "none" if legal is None else shape_of(legal)
        expected = f"expected {size} × {size} moves between labels"
        raise ModelError(f"{place}: weights do not fit the model's settings: {expected}, found {found}")


def _network(
    settings: TagSettings,
    indexer: Indexer,
    codec: TagCodec,
    vectors: Tensor | None,
    context: ContextFeatures | None,
    *,
    training: bool,
) -> Network:
    """The modules of a tagger; with those that only training needs, if it is to be trained."""
    words = build_embedding(settings.embedding, indexer, vectors)
    body = build_encoder(settings.encoder, words.output_size + (0 if context is None else context.size))
    auxiliary = None
    if training and settings.head.lm_loss:
        size = min(settings.head.lm_loss_words, len(indexer.words))
        auxiliary = AuxiliaryLanguageModel(body.output_size, body.forward_size, size)
    moves = codec.legal_moves()
    head = TaggingHead(
        body.output_size,
        len(codec.tags.labels),
        crf=settings.head.crf,
        moves=None if moves is None else tuple(torch.from_numpy(part) for part in moves),  # type: ignore[arg-type]
        auxiliary=auxiliary,
        auxiliary_weight=settings.head.lm_loss,
    )
    around = None if context is None else context.network
    return Network(words, body, head, dropout=settings.embedding.dropout, context=around)
