"""A frozen character language model as a contextual feature: one vector a word, from the states at its borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.config import BATCH_TOKENS, LmSettings, parse_settings
from seqkit.errors import ModelError, SettingsError
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.streams import END
from seqkit.model.base import Documents
from seqkit.model.build import build_embedding, build_encoder, indexer_documents, restore_indexer
from seqkit.model.language_model import LanguageModel
from seqkit.model.streaming import WordVectors, encoded_batches
from seqkit.nn.device import to_device
from seqkit.nn.network import Network
from seqkit.nn.recurrent import State
from seqkit.records import Sentence

__all__ = ["ContextFeatures"]

HALVES = ("forward", "backward")
_WINDOW = 1 << 15
"""characters of a sentence whose states are kept together"""


def _borders(sentence: Sentence) -> tuple[Tensor, Tensor]:
    """Where the last and where the first character of each token stands, [T] each."""
    sizes = torch.tensor([len(token) for token in sentence.tokens], dtype=torch.int64)  # [T]
    last = (sizes + 1).cumsum(0) - 1  # [T]; the first character stands at 1, after the end of a line
    return last, last - sizes + 1


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
        words = WordVectors(self.network, self.indexer)
        short = [number for number, text in enumerate(texts) if len(text) <= _WINDOW]

        def place(number: int) -> Tensor:
            return features[int(ends[number]) - len(sentences[number]) : int(ends[number])]  # [T, C], a view

        for rows, _, output in encoded_batches(self.network, words, [texts[number] for number in short], batch_tokens):
            for row, number in enumerate(short[each] for each in rows.tolist()):
                self._pick(place(number), _borders(sentences[number]), output.outputs[row], 0)
        for number in sorted(set(range(len(texts))) - set(short)):
            self._pick_in_windows(place(number), _borders(sentences[number]), words, texts[number])
        return features

    def _pick(
        self, features: Tensor, borders: tuple[Tensor, Tensor], states: Tensor, begin: int, halves: str = "both"
    ) -> None:
        """Put states of characters, [L, C], the first of which stands at `begin`, into the features of the words whose
        borders they are, [T, C]: those that read forward, those that read backward, or both."""  # noqa: D205, D209
        half = self.network.encoder.forward_size
        for name, places, columns in zip(HALVES, borders, (slice(half), slice(half, None)), strict=True):
            if halves in ("both", name):
                inside = ((places >= begin) & (places < begin + len(states))).nonzero().squeeze(1)  # [N]
                found = states[(places[inside] - begin).to(states.device), columns]  # [N, columns]
                features[inside.to(features.device), columns] = found.to(features.dtype)

    def _pick_in_windows(
        self, features: Tensor, borders: tuple[Tensor, Tensor], words: WordVectors, text: Sentence
    ) -> None:
        """The same of a sentence whose characters have too many states to be kept: of each window only those wanted.

        Each half reads the windows in its own order, its state carried from one to the next; the other half of a
        language model has no influence on it.
        """
        rows, vectors = words([text])  # [U, I]
        index = torch.from_numpy(rows.types).unsqueeze(0)  # [1, L]
        begins = range(0, len(text), _WINDOW)
        both = self.network.encoder.forward_size < self.size
        for half, order in [*zip(HALVES, (begins, reversed(begins)), strict=True)][: 1 + both]:
            state: tuple[State, ...] | None = None
            for begin in order:
                part = to_device(index[:, begin : begin + _WINDOW], vectors.device)  # [1, W]
                lengths = torch.tensor([part.shape[1]])  # [1]
                output = self.network.encode(vectors, part, lengths, state=state, return_state=True)
                state = output.state
                self._pick(features, borders, output.outputs[0], begin, half)

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
