"""Settings and vocabularies → the modules of a generator; records → the texts that it is to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seqkit.config import GenerateSettings
from seqkit.errors import DataError
from seqkit.heads.generation.module import GenerationHead
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.conditions import ConditionCodec
from seqkit.inputs.units import Units
from seqkit.model.base import Model
from seqkit.model.build import build_embedding, build_encoder
from seqkit.nn.condition import Condition, LabelPart, TextPart, VectorPart
from seqkit.nn.network import Network
from seqkit.records import Sentence

__all__ = ["END", "build_generation_network", "condition_units", "make_units", "record_sentence", "target_text"]

END = "\n\n"
"""the unit that ends a text, and is fed to the decoder first; no unit of a text is spelled so"""


def target_text(sentence: Sentence, target: str) -> str:
    """The text of a record that is to be written.

    Args:
        sentence: the record.
        target: the field that holds the text; ``text`` is also the record's own.

    Returns:
        The text.

    Raises:
        DataError: there is no such field, or it holds something else.
    """
    found = sentence.fields.get(target)
    if found is None and target == "text" and (sentence.text or not sentence.fields):
        return sentence.text
    if isinstance(found, str):
        return found
    wanted = f"expected a text to write as {target!r}"
    shown = f"found {found!r:.40}" if found is not None else f"found {', '.join(map(repr, sentence.fields))}"
    raise DataError(f"{wanted}, {shown}", file=sentence.file or None, line=sentence.line or None)


def record_sentence(record: Mapping[str, Any]) -> Sentence:
    """A mapping of fields as a record.

    Args:
        record: the fields.

    Returns:
        The record, of no text of its own.
    """
    return Sentence([], "", [], fields=dict(record))


def make_units(settings: GenerateSettings, texts: Sequence[str], start: Model | None = None) -> Units:
    """What the texts are cut into.

    Args:
        settings: which units.
        texts: the training texts, of which byte pairs are learned.
        start: a model that is started from; its byte pairs are taken.

    Returns:
        The units.
    """
    data = settings.data
    if data.unit == "bpe":
        given = getattr(start, "units", None)
        if isinstance(given, Units) and given.kind == "bpe":
            return given
        return Units.train_bpe(texts, data.bpe_size)
    return Units.char() if data.unit == "char" else Units.word(data.splitter)


def condition_units(units: Units) -> Units:
    """What a text in a condition is cut into: as the texts to be written, but into words where those are byte pairs.

    Args:
        units: the units of the texts to be written.

    Returns:
        The units.
    """
    return Units.word("words") if units.kind == "bpe" else units


def build_generation_network(
    settings: GenerateSettings, indexer: Indexer, codec: ConditionCodec, vectors: Tensor | None
) -> Network:
    """The modules of a generator; the one place where its settings become plain arguments.

    Args:
        settings: what to build.
        indexer: its vocabularies give the sizes of the tables.
        codec: the fields of the condition.
        vectors: the table of given vectors, [N, E], or None.

    Returns:
        The network, initialised from torch's random generator.

    Raises:
        SettingsError: settings do not fit each other.
    """
    head, embedding = settings.head, settings.embedding
    words = build_embedding(embedding, indexer, vectors)
    parts: list[LabelPart | VectorPart | TextPart] = []
    for field in codec.fields:
        if field.labels is not None:
            parts.append(LabelPart(len(field.labels), head.label_size))
        elif field.units is not None:
            size = embedding.word_size or head.text_hidden
            parts.append(
                TextPart(
                    len(field.units),
                    size,
                    cell=settings.encoder.cell,
                    hidden_size=head.text_hidden,
                    pooling=head.pool,
                    dropout=embedding.dropout,
                )
            )
        else:
            # They are known where weights have no memory yet: see seqkit.model.restoring.
            mean, scale = (torch.tensor(numbers, device="cpu") for numbers in (field.mean, field.scale))  # each [F]
            parts.append(VectorPart(mean, scale, head.vector_size))
    # Its dropout is that of the steps' inputs, which it joins; the first state always says the whole condition.
    condition = Condition(parts) if parts else None
    body = build_encoder(settings.encoder, words.output_size + (condition.output_size if condition else 0))
    decoder = GenerationHead(
        body.output_size,
        len(indexer.words),
        condition,
        body.layers,
        tied_size=embedding.word_size if head.tied else None,
    )
    return Network(words, body, decoder, dropout=embedding.dropout)
