"""A frozen character language model as a contextual feature: one vector a word, from the states at its borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.config import BATCH_TOKENS, LmSettings, parse_settings
from seqkit.data.arrays import Indexer
from seqkit.data.corpus import END
from seqkit.data.sentence import Sentence
from seqkit.errors import ModelError, SettingsError
from seqkit.model.base import Documents
from seqkit.model.build import build_embedding, build_encoder, indexer_documents, restore_indexer
from seqkit.model.language_model import LanguageModel
from seqkit.model.streaming import WordVectors, encoded_batches
from seqkit.nn.network import Network

__all__ = ["ContextFeatures"]


class ContextFeatures:
    r"""What a character language model makes of a word where it stands (Akbik, Blythe & Vollgraf 2018).

    The characters of a sentence, its tokens parted by spaces, go through the model's encoder. A word's features are

    .. math:: [\overrightarrow{h}_{\text{last character}} ; \overleftarrow{h}_{\text{first character}}]

    so that each half has read the word and all that stands on one side of it; of a model that only reads forward there
    is the first half alone.

    Args:
        settings: the language model's settings.
        indexer: its vocabularies.
        network: its embedding and encoder; frozen.
    """

    def __init__(self, settings: LmSettings, indexer: Indexer, network: Network) -> None:
        self.settings = settings
        self.indexer = indexer
        self.network = network.requires_grad_(False).eval()

    @classmethod
    def of(cls, model: LanguageModel) -> ContextFeatures:
        """The features that a language model gives.

        Args:
            model: the language model, which is left as it is but for being frozen.

        Returns:
            The features.

        Raises:
            ModelError: it is no model of characters.
        """
        if model.units.kind != "char":
            raise ModelError(
                f"expected a language model of characters as context, found one of unit {model.units.kind}"
            )
        network = Network(model.network.embedding, model.network.encoder, nn.Identity())
        return cls(model.settings, model.indexer, network)

    @property
    def size(self) -> int:
        """C, the features of a word."""
        return self.network.encoder.output_size

    @torch.no_grad()
    def __call__(self, sentences: Sequence[Sentence], batch_tokens: int = BATCH_TOKENS) -> Tensor:
        """Compute the features of every token.

        Args:
            sentences: the sentences, N tokens in all.
            batch_tokens: characters a batch; a longer sentence is a batch of its own.

        Returns:
            The features, one sentence after the other, [N, C].
        """
        self.network.eval()  # whoever trains a model sets all its parts to training
        device = next(self.network.parameters()).device
        texts = [Sentence([END, *" ".join(sentence.tokens), END], "", []) for sentence in sentences]
        ends = torch.tensor([len(sentence) for sentence in sentences]).cumsum(0)  # [S]
        features = torch.zeros(int(ends[-1]) if len(ends) else 0, self.size, device=device)  # [N, C]
        half = self.network.encoder.forward_size
        words = WordVectors(self.network, self.indexer)
        for rows, _, output in encoded_batches(self.network, words, texts, batch_tokens):
            for row, number in enumerate(rows.tolist()):
                sentence = sentences[number]
                sizes = torch.tensor([len(token) for token in sentence.tokens], dtype=torch.int64)  # [T]
                last = (sizes + 1).cumsum(0) - 1  # [T]; the first character stands at 1, after the end of a line
                first = last - sizes + 1  # [T]
                states = output.outputs[row]  # [L, C]
                place = slice(int(ends[number]) - len(sentence), int(ends[number]))
                features[place, :half] = states[last.to(device), :half].to(features.dtype)
                features[place, half:] = states[first.to(device), half:].to(features.dtype)
        return features

    def document(self) -> dict[str, Any]:
        """The features as one document of a model directory, but for the weights; see `restore`."""
        settings = self.settings.model_dump(mode="json")
        return {"settings": settings, "vocabularies": indexer_documents(self.indexer)}

    @classmethod
    def restore(cls, document: object, place: str, vectors: Tensor | None = None) -> ContextFeatures:
        """Read what `document` gave.

        Args:
            document: a parsed JSON value.
            place: what error messages call it.
            vectors: the table of given vectors, [N, E], where the language model has one.

        Returns:
            The features, their weights still to be put in.

        Raises:
            ModelError: it is of another form.
        """
        tree = document if isinstance(document, dict) else {}
        given, vocabularies = tree.get("settings"), tree.get("vocabularies")
        try:
            settings = parse_settings(given if isinstance(given, dict) else {}, place)
        except SettingsError as error:
            raise ModelError(str(error)) from None
        if not isinstance(settings, LmSettings) or not isinstance(vocabularies, dict):
            raise ModelError(f"{place}: expected the settings and vocabularies of a language model, found others")
        indexer = restore_indexer(settings.data, Documents(vocabularies, place))
        embedding = build_embedding(settings.embedding, indexer, vectors)
        encoder = build_encoder(settings.encoder, embedding.output_size)
        return cls(settings, indexer, Network(embedding, encoder, nn.Identity()))
