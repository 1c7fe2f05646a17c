"""Vocabularies + embedding + encoder + head as one artefact: build, save, load, predict."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqkit.artefact import read_config, read_json, write_config
from seqkit.config import Settings, override
from seqkit.data.arrays import FormTable, Indexer
from seqkit.data.batching import length_batches
from seqkit.data.sentence import Sentence
from seqkit.data.splitting import Splitter
from seqkit.data.tag_codec import TagCodec
from seqkit.data.tagged import TaggedSentence, TaggedSpan
from seqkit.data.vectors import Vectors
from seqkit.data.vocabulary import Normaliser, Vocabulary
from seqkit.errors import ModelError, SettingsError
from seqkit.heads.tagging import TaggingHead, TagSegment
from seqkit.nn.embedding import CHARACTER_FEATURES, FormBatch, WordEmbedding
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Network

__all__ = ["Model", "choose_device", "form_batch", "load", "precision_context"]

CHUNK_SENTENCES = 4096
"""sentences that are indexed together in prediction"""
CHUNK_TOKENS = 200_000
"""a chunk ends where it has so many tokens"""
BATCH_TOKENS = 8192
"""tokens a batch in prediction, padding included"""
_AUXILIARY = "head.auxiliary."


def choose_device(name: str) -> torch.device:
    """The device that a name stands for.

    Args:
        name: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns:
        The device.

    Raises:
        SettingsError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"expected a device auto, cpu, cuda, cuda:N or mps, found {name!r}") from None
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise SettingsError(f"expected a CUDA device for {name!r}, found {count}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsError(f"expected Apple's GPU for {name!r}, found none")
    if device.type not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"expected a device auto, cpu, cuda, cuda:N or mps, found {name!r}")
    return device


def precision_context(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The arithmetic that the network runs in; CRF and losses leave it for float32 by themselves.

    Args:
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        device: where the network runs.

    Returns:
        A context manager.

    Raises:
        SettingsError: the device cannot do it.
    """
    if precision == "fp16" and device.type == "cpu":
        raise SettingsError("expected precision fp32, bf16 or auto on the CPU, found fp16")
    if precision == "auto":
        half = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16" if half else "fp32"
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def form_batch(table: FormTable, forms: NDArray[np.int64]) -> FormBatch:
    """The numbers of some forms as tensors.

    Args:
        table: what is known of the forms.
        forms: numbers of forms, ordered by length in characters, [U].

    Returns:
        The batch.
    """
    groups = list(table.groups(forms))
    return FormBatch(
        torch.from_numpy(table.words[forms]),
        torch.from_numpy(table.vectors[forms]),
        tuple(torch.from_numpy(group.characters) for group in groups),
        tuple(torch.from_numpy(group.lengths) for group in groups),
    )


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
        auxiliary: dict[str, int] | None = None,
    ) -> Model:
        """Make an untrained model for some training data.

        Args:
            settings: what to build.
            sentences: the training sentences, of which the vocabularies are made.
            labels: the target labels of each.
            vectors: given word vectors.
            auxiliary: name → number of labels of each auxiliary column.

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
        matrix = None if vectors is None else _vector_table(vectors)
        network = _build_network(settings, indexer, codec, matrix, auxiliary)
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
        """How many trainable numbers each part has, auxiliary columns left out: they are no part of the saved model."""
        counts = {"embedding": 0, "encoder": 0, "head": 0}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad and not name.startswith(_AUXILIARY):
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
        sentences: Iterable[Sentence],
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
            sentences: the sentences; one without tokens comes back without labels.
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
        for chunk in _chunks(sentences, chunk_sentences):
            results: list[TaggedSentence | None] = [None] * len(chunk)
            self.network.eval()
            with torch.inference_mode(), precision_context(precision, self.device):
                self._predict_chunk(chunk, results, probs, spans, nbest, batch_tokens)
            for sentence, result in zip(chunk, results, strict=True):
                yield TaggedSentence(sentence, [], [] if probs else None) if result is None else result

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
        vectors = self.network.embedding(form_batch(arrays.table, order).to(self.device))  # [U, I]
        for rows in length_batches(arrays.lengths, batch_tokens):
            index, _ = arrays.padded(arrays.forms, rows)  # [B, T]
            lengths = torch.from_numpy(arrays.lengths[rows])  # [B]
            positions = torch.from_numpy(rank[index]).to(self.device)  # [B, T]
            outputs = self.network.encode(vectors, positions, lengths).outputs  # [B, T, D]
            batch = [chunk[row] for row in rows]
            for row, result in zip(rows, self._decode(batch, outputs, lengths, probs, spans, nbest), strict=True):
                results[row] = result

    def _decode(
        self, batch: list[Sentence], outputs: Tensor, lengths: Tensor, probs: bool, spans: bool, nbest: int
    ) -> list[TaggedSentence]:
        head = self.network.head
        assert isinstance(head, TaggingHead)
        decoded = head.decode(outputs, lengths, probabilities=probs, nbest=nbest)
        sizes = lengths.tolist()
        rows = [tags[:size] for tags, size in zip(decoded.tags.tolist(), sizes, strict=True)]
        results = [
            TaggedSentence(sentence, self.codec.decode(tags)) for sentence, tags in zip(batch, rows, strict=True)
        ]
        if decoded.marginals is not None:
            values = self._token_probs(decoded.marginals, decoded.tags)
            for result, row, size in zip(results, values, sizes, strict=True):
                result.probs = row[:size]
            self._divide_touching(results, rows, outputs, lengths)
        if spans:
            self._add_spans(results, rows, outputs, lengths, probs)
        if decoded.alternatives is not None and decoded.alternative_scores is not None:
            options, weights = decoded.alternatives.tolist(), decoded.alternative_scores.tolist()
            for result, paths, likelihood, size in zip(results, options, weights, sizes, strict=True):
                pairs = zip(paths, likelihood, strict=True)
                result.alternatives = [(self.codec.decode(path[:size]), p) for path, p in pairs if p > 0.0]
        return results

    def _token_probs(self, marginals: Tensor, tags: Tensor) -> list[list[float]]:
        """The probability of each token's written label: the sum over the tags that are written alike."""
        classes = torch.from_numpy(self.codec.classes).to(tags.device)  # [K]
        alike = classes[tags].unsqueeze(2) == classes  # [B, T, K]
        values: list[list[float]] = (marginals * alike).sum(2).clamp(max=1.0).tolist()
        return values

    def _divide_touching(
        self, results: list[TaggedSentence], rows: list[list[int]], outputs: Tensor, lengths: Tensor
    ) -> None:
        """IOB1 writes a beginning as ``B`` or ``I`` by the tag before it: the probability of the one written."""
        if self.codec.scheme != "iob1":
            return
        known = {tag: self.codec.touching(tag) for tag in set(chain.from_iterable(rows))}
        places: list[tuple[int, int]] = []
        segments: list[TagSegment] = []
        for number, tags in enumerate(rows):
            for last in range(1, len(tags)):
                places += [(number, last)] * len(known[tags[last]])
                segments += [TagSegment(number, last - 1, pair) for pair in known[tags[last]]]
        if not segments:
            return
        head = self.network.head
        assert isinstance(head, TaggingHead)
        touching: Counter[tuple[int, int]] = Counter()
        for place, value in zip(places, head.segment_probabilities(outputs, lengths, segments).tolist(), strict=True):
            touching[place] += value
        for (number, last), value in touching.items():
            result = results[number]
            assert result.probs is not None
            chosen = value if result.labels[last].startswith("B") else result.probs[last] - value
            result.probs[last] = min(max(chosen, 0.0), 1.0)

    def _add_spans(
        self, results: list[TaggedSentence], rows: list[list[int]], outputs: Tensor, lengths: Tensor, probs: bool
    ) -> None:
        segments: list[TagSegment] = []
        for number, (result, tags) in enumerate(zip(results, rows, strict=True)):
            sentence = result.sentence
            for first, last, label in self.codec.spans(tags):
                start, end = sentence.offsets[first][0], sentence.offsets[last - 1][1]
                result.spans.append(TaggedSpan(start, end, label, sentence.text[start:end], first, last))
                segments.append(TagSegment(number, first, tags[first:last]))
        if probs and segments:
            head = self.network.head
            assert isinstance(head, TaggingHead)
            values = iter(head.segment_probabilities(outputs, lengths, segments).clamp(max=1.0).tolist())
            for result in results:
                for span in result.spans:
                    span.prob = next(values)

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
            if not name.startswith(_AUXILIARY)
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
        write_config(Path(directory), {"settings": self.settings.model_dump(mode="json")}, files)


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
        network = _build_network(settings, indexer, codec, weights.get("embedding.vectors"), None)
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
    kinds = sorted({tag[2:] for tag in model.codec.tags.labels if "-" in tag})
    labels = kinds if model.codec.encoding != "none" else list(model.codec.tags.labels)
    lines += [f"- Labels: {', '.join(labels)}", ""]
    for split, scores in report.get("scores", {}).items():
        shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float))
        lines += [f"- {split}: {shown}"]
    return "\n".join(lines) + "\n"


def _chunks(sentences: Iterable[Sentence], limit: int) -> Iterator[list[Sentence]]:
    iterator = iter(sentences)
    for first in iterator:
        chunk, tokens = [first], len(first.tokens)
        while tokens < CHUNK_TOKENS and len(chunk) < limit:
            following = next(iterator, None)
            if following is None:
                break
            chunk.append(following)
            tokens += len(following.tokens)
        yield chunk


def _vector_table(vectors: Vectors) -> Tensor:
    """The given vectors below two rows of zeros, for padding and for unknown words."""
    kept = [row for row, word in enumerate(vectors.words) if word != "<unk>"]
    matrix = vectors.matrix if len(kept) == len(vectors.words) else vectors.matrix[kept]
    return torch.from_numpy(np.concatenate([np.zeros((2, vectors.size), dtype=np.float32), matrix]))


def _build_network(
    settings: Settings, indexer: Indexer, codec: TagCodec, vectors: Tensor | None, auxiliary: dict[str, int] | None
) -> Network:
    """Settings → modules: the one place where settings become plain arguments."""
    embedding, encoder = settings.embedding, settings.encoder
    characters = None
    if embedding.chars != "none":
        options: dict[str, Any] = {"kernel_size": embedding.char_kernel} if embedding.chars == "cnn" else {}
        characters = CHARACTER_FEATURES[embedding.chars](
            len(indexer.characters),
            embedding_size=embedding.char_size,
            output_size=embedding.char_hidden,
            dropout=embedding.char_dropout,
            **options,
        )
    try:
        words = WordEmbedding(
            len(indexer.words),
            embedding.word_size,
            vectors=vectors,
            join=embedding.vectors_join if embedding.word_size else "concat",  # without a table nothing can be added
            characters=characters,
            word_dropout=embedding.word_dropout,
        )
    except ValueError as error:
        raise SettingsError(f"embedding: {error}") from None
    body = Encoder(
        words.output_size,
        cell=encoder.cell,
        hidden_size=encoder.hidden,
        layers=encoder.layers,
        direction=encoder.direction,
        join=encoder.join,
        dropout=encoder.dropout,
        variational=encoder.variational,
        skip=encoder.skip,
    )
    moves = codec.legal_moves()
    head = TaggingHead(
        body.output_size,
        len(codec.tags.labels),
        crf=settings.head.crf,
        moves=None if moves is None else tuple(torch.from_numpy(part) for part in moves),  # type: ignore[arg-type]
        auxiliary=auxiliary,
        auxiliary_weight=settings.head.auxiliary_weight,
    )
    return Network(words, body, head, dropout=embedding.dropout)
