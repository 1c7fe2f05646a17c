"""Vocabularies + embedding + encoder + head as one artefact: build, save, load, predict."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from seqkit.artefact import read_config, read_json, write_config
from seqkit.build import build_network, form_batch, vector_table
from seqkit.config import BATCH_TOKENS, Settings, override
from seqkit.data.arrays import Indexer
from seqkit.data.batching import length_batches
from seqkit.data.sentence import Sentence
from seqkit.data.splitting import Splitter
from seqkit.data.tag_codec import TagCodec
from seqkit.data.tagged import TaggedSentence
from seqkit.data.vectors import Vectors
from seqkit.data.vocabulary import Normaliser, Vocabulary
from seqkit.decoding import TagDecoder
from seqkit.devices import choose_device, precision_context
from seqkit.errors import ModelError, SeqkitError, SettingsError
from seqkit.heads.tagging import TaggingHead
from seqkit.nn.network import Network

__all__ = ["Model", "load"]

CHUNK_SENTENCES = 4096
"""sentences that are indexed together in prediction"""
CHUNK_TOKENS = 200_000
"""a chunk ends where it has so many tokens"""
_TRAINING_ONLY = "head.neighbours."


class Model:
    """A model: what it is made of, and its use. Build one with `Model.build`, read one with `load`.

    Args:
        settings: the settings it was built with.
        splitter: raw text → tokens.
        indexer: tokens → numbers.
        codec: labels ↔ numbers.
        network: the trainable whole.
        report: scores, data and versions, as in ``report.json``.
    """

    def __init__(
        self,
        settings: Settings,
        splitter: Splitter,
        indexer: Indexer,
        codec: TagCodec,
        network: Network,
        report: dict[str, Any],
    ) -> None:
        self.settings = settings
        self.splitter = splitter
        self.indexer = indexer
        self.codec = codec
        self.network = network
        self.report = report

    @classmethod
    def build(
        cls,
        settings: Settings,
        sentences: Sequence[Sentence],
        labels: Sequence[Sequence[str]],
        vectors: Vectors | None = None,
    ) -> Model:
        """Make an untrained model for some training data.

        Args:
            settings: what to build.
            sentences: the training sentences, of which the vocabularies are made.
            labels: the target labels of each.
            vectors: given word vectors.

        Returns:
            The model, initialised from torch's random generator.

        Raises:
            DataError: there is nothing to learn.
            SettingsError: settings do not fit each other.
        """
        data = settings.data
        normalise = Normaliser(data.lowercase, data.digits)
        forms = Counter(token for sentence in sentences for token in sentence.tokens)
        words: Counter[str] = Counter()
        characters: Counter[str] = Counter()
        for form, count in forms.items():
            words[normalise(form)] += count
            for character in form:
                characters[character] += count
        indexer = Indexer(
            Vocabulary.build(words, data.min_count, data.max_words or None),
            Vocabulary.build(characters),
            None if vectors is None else Vocabulary(word for word in vectors.words if word != "<unk>"),
            normalise,
        )
        codec = TagCodec.build(labels, data.scheme, data.target)
        matrix = None if vectors is None else vector_table(vectors)
        network = build_network(settings, indexer, codec, matrix, training=True)
        return cls(settings, Splitter(data.splitter), indexer, codec, network, {})

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> Model:
        """Move the network to another device; returns the model itself."""
        self.network.to(device)
        return self

    def parameter_counts(self) -> dict[str, int]:
        """How many trainable numbers each part of the saved model has."""
        counts = {"embedding": 0, "encoder": 0, "head": 0}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad and not name.startswith(_TRAINING_ONLY):
                counts[name.partition(".")[0]] += parameter.numel()
        return counts

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
        return next(self.predict([self.sentence(text)], probs=probs, nbest=nbest))

    def sentence(self, text: str | Sequence[str]) -> Sentence:
        """Raw text, split by the model's splitter, or a list of tokens, as a record."""
        if not isinstance(text, str):
            return Sentence.from_tokens(text)
        offsets = self.splitter.split(text)
        return Sentence([text[start:end] for start, end in offsets], text, offsets)

    def predict(
        self,
        sentences: Iterable[Sentence | str | Sequence[str]],
        *,
        probs: bool = False,
        spans: bool = True,
        nbest: int = 1,
        batch_tokens: int = BATCH_TOKENS,
        chunk_sentences: int = CHUNK_SENTENCES,
        precision: str = "fp32",
    ) -> Iterator[TaggedSentence]:
        """Tag sentences, as many as come and in their order, reading ahead no more than a chunk.

        Args:
            sentences: raw texts, lists of tokens, or records; one without tokens comes back without labels.
            probs: also give probabilities: of a token's label its marginal, of a span that of exactly its tokens
                carrying exactly its label.
            spans: also collect the spans.
            nbest: also give so many best label sequences, with their probabilities.
            batch_tokens: tokens a batch; a longer sentence is a batch of its own.
            chunk_sentences: sentences read ahead at most.
            precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``.

        Yields:
            One record a sentence.
        """
        records = (given if isinstance(given, Sentence) else self.sentence(given) for given in sentences)
        for chunk in _chunks(records, chunk_sentences):
            results: list[TaggedSentence | None] = [None] * len(chunk)
            self.network.eval()
            with torch.inference_mode(), precision_context(precision, self.device):
                self._predict_chunk(chunk, results, probs, spans, nbest, batch_tokens)
            for sentence, result in zip(chunk, results, strict=True):
                yield self._untagged(sentence, probs, nbest) if result is None else result

    def _predict_chunk(
        self,
        chunk: list[Sentence],
        results: list[TaggedSentence | None],
        probs: bool,
        spans: bool,
        nbest: int,
        batch_tokens: int,
    ) -> None:
        arrays = self.indexer([sentence.tokens for sentence in chunk])
        order = arrays.table.by_length(np.arange(len(arrays.table.words)))  # [U]
        rank = np.empty(len(order), dtype=np.int64)  # [U]
        rank[order] = np.arange(len(order))
        if len(order) == 0:
            return
        head = self.network.head
        assert isinstance(head, TaggingHead)
        decoder = TagDecoder(head, self.codec)
        vectors = self.network.embedding(form_batch(arrays.table, order).to(self.device))  # [U, I]
        for rows in length_batches(arrays.lengths, batch_tokens):
            index, _ = arrays.padded(arrays.forms, rows)  # [B, T]
            lengths = torch.from_numpy(arrays.lengths[rows])  # [B]
            positions = torch.from_numpy(rank[index]).to(self.device)  # [B, T]
            outputs = self.network.encode(vectors, positions, lengths).outputs  # [B, T, D]
            batch = [chunk[row] for row in rows]
            records = decoder.records(batch, outputs, lengths, probs=probs, spans=spans, nbest=nbest)
            for row, result in zip(rows, records, strict=True):
                results[row] = result

    def _untagged(self, sentence: Sentence, probs: bool, nbest: int) -> TaggedSentence:
        """The record of a sentence without tokens, with the same fields as the others have."""
        alternatives: list[tuple[list[str], float]] | None = [] if nbest > 1 else None
        return TaggedSentence(sentence, [], [] if probs else None, [], alternatives, self.codec.encoding != "none")

    # --- files -------------------------------------------------------------------------------------------------

    def save(self, directory: str | Path) -> None:
        """Write the model to a directory (see `seqkit.artefact`); nothing in it can execute.

        Args:
            directory: where to; created if need be. Files of the same names are replaced.

        Raises:
            ModelError: a file cannot be written.
        """
        kept = {
            name: tensor.detach().to("cpu").contiguous()
            for name, tensor in self.network.state_dict().items()
            if not name.startswith(_TRAINING_ONLY)
        }
        documents: dict[str, Any] = {
            "words.json": self.indexer.words.to_json(),
            "characters.json": self.indexer.characters.to_json(),
            "labels.json": self.codec.to_json(),
            "splitter.json": self.splitter.to_json(),
            "report.json": self.report,
        }
        if self.indexer.vectors is not None:
            documents["vectors.json"] = self.indexer.vectors.to_json()
        files = {name: json.dumps(value, indent=1).encode("ascii") for name, value in documents.items()}
        files["weights.safetensors"] = safetensors.torch.save(kept)
        files["README.md"] = model_card(self).encode("utf-8", "replace")
        settings = self.settings.model_dump(mode="json")
        # Where the vectors lay on the machine of training concerns nobody: the model has them.
        settings["embedding"]["vectors"] = Path(settings["embedding"]["vectors"]).name
        write_config(Path(directory), {"settings": settings}, files)


def load(directory: str | Path, device: str = "cpu") -> Model:
    """Read a model.

    Args:
        directory: what ``seqkit … train -o`` or `Model.save` wrote.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns:
        The model; its predictions are bit-equal to those made before it was saved.

    Raises:
        ModelError: the directory is no model, damaged, or of a newer format version.
    """
    directory = Path(directory)
    place = choose_device(device)
    config, files = read_config(directory)
    needed = ("words.json", "characters.json", "labels.json", "splitter.json", "report.json", "weights.safetensors")
    for name in needed:
        if name not in files:
            raise ModelError(f"{directory}: expected {name} among the model's files, found {', '.join(sorted(files))}")
    parsed = {name: read_json(directory / name, data) for name, data in files.items() if name.endswith(".json")}
    try:
        settings = override(Settings(), config["settings"], str(directory / "config.json"))
        weights = safetensors.torch.load(files["weights.safetensors"])
    except (SettingsError, safetensors.SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{directory}: damaged: {error}") from None
    indexer = Indexer(
        Vocabulary.from_json(parsed["words.json"]),
        Vocabulary.from_json(parsed["characters.json"]),
        Vocabulary.from_json(parsed["vectors.json"]) if "vectors.json" in parsed else None,
        Normaliser(settings.data.lowercase, settings.data.digits),
    )
    codec = TagCodec.from_json(parsed["labels.json"])
    with torch.random.fork_rng(devices=[]):  # the initial values are thrown away
        network = build_network(settings, indexer, codec, weights.get("embedding.vectors"), training=False)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        fault = str(error).splitlines()[-1].strip()
        raise ModelError(f"{directory}: weights do not fit the model's settings: {fault}") from None
    network.eval().to(place)
    return Model(settings, Splitter.from_json(parsed["splitter.json"]), indexer, codec, network, parsed["report.json"])


def model_card(model: Model) -> str:
    """The README of a model directory: what the model is, what it was trained on, how well it does, how to use it."""
    report = model.report
    data = report.get("data", {})
    lines = [f"# A seqkit {model.settings.task} model", ""]
    lines += [f"Trained with seqkit on `{data.get('name', 'unknown data')}`"]
    if model.codec.target:
        lines[-1] += f", column `{model.codec.target}`"
    lines += ["", "```sh", "seqkit tag -m THIS_FOLDER < text.txt", "```", ""]
    encoder, embedding = model.settings.encoder, model.settings.embedding
    layers = f"{encoder.layers} × {encoder.hidden} {encoder.cell}, direction {encoder.direction}"
    vectors = Path(embedding.vectors).name or "none"
    lines += [f"- Encoder: {layers}", f"- Characters: {embedding.chars}; given vectors: {vectors}"]
    labels = list(model.codec.tags.labels)
    if model.codec.encoding != "none":
        kinds = sorted({tag[2:] for tag in labels if tag != "O"})
        labels = [kind or "spans without a kind" for kind in kinds]  # bare prefixes, as in word segmentation
    lines += [f"- Labels: {', '.join(labels)}", ""]
    for split, scores in report.get("scores", {}).items():
        shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float))
        lines += [f"- {split}: {shown}"]
    return "\n".join(lines) + "\n"


def _chunks(sentences: Iterable[Sentence], limit: int) -> Iterator[list[Sentence]]:
    """Cut a stream; where it ends in a fault, what came before the fault is still given first."""
    chunk: list[Sentence] = []
    tokens = 0
    fault: SeqkitError | None = None
    iterator = iter(sentences)
    while True:
        try:
            following = next(iterator)
        except StopIteration:
            break
        except SeqkitError as error:
            fault = error
            break
        chunk.append(following)
        tokens += len(following.tokens)
        if tokens >= CHUNK_TOKENS or len(chunk) >= limit:
            yield chunk
            chunk, tokens = [], 0
    if chunk:
        yield chunk
    if fault is not None:
        raise fault
