"""A frozen character language model as a contextual feature: one vector per word, from the states at its borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.config import BATCH_TOKENS, parse_settings
from seqkit.errors import ModelError, SettingsError
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.base import Documents
from seqkit.inputs.batching import length_batches
from seqkit.inputs.building import build_embedding, build_encoder
from seqkit.inputs.lookup import LookupModule, TypeCache, indexer_documents, restore_indexer
from seqkit.nn.network import Network
from seqkit.nn.recurrent import State
from seqkit.nn.sequences import to_device
from seqkit.nn.stream import EncoderStream

HALVES = ("forward", "backward")
_WINDOW = 1 << 15
"""characters of a sentence whose states are kept together"""


def _borders(tokens: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Where the last and where the first character of each token stands, [T] each."""
    sizes = torch.tensor([len(token) for token in tokens], dtype=torch.int64)  # [T]
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

    def __init__(self, settings: Any, indexer: Indexer, network: Network) -> None:
        self.settings = settings
        self.indexer = indexer
        self.network = network.requires_grad_(False).eval()

    @classmethod
    def of(cls, model: Any) -> ContextFeatures:
        """The features that a language model gives.

        Args:
            model: a `seqkit.model.language_model.LanguageModel`; its network is frozen.

        Returns:
            The features.

        Raises:
            ModelError: its units are not characters.
        """
        if model.input.units.kind != "char":
            unit = model.input.units.kind
            raise ModelError(f"the context needs a language model of characters (--unit char), found unit {unit}")
        network = Network(model.network.input, model.network.encoder, nn.Identity())
        return cls(model.settings, model.input.indexer, network)

    @property
    def size(self) -> int:
        """C, the features of a word."""
        return self.network.encoder.output_size

    @torch.no_grad()
    def __call__(self, sentences: Sequence[Sequence[str]], batch_tokens: int = BATCH_TOKENS) -> Tensor:
        """Compute the features of every token.

        Args:
            sentences: the tokens of each sentence, N tokens in all.
            batch_tokens: characters a batch; a longer sentence is a batch of its own.

        Returns:
            The features, one sentence after the other, [N, C].
        """
        self.network.eval()  # training sets all parts of a model to training
        device = next(self.network.parameters()).device
        end = self.settings.data.end
        texts = [[end, *" ".join(tokens), end] for tokens in sentences]
        ends = torch.tensor([len(tokens) for tokens in sentences]).cumsum(0)  # [S]
        features = torch.zeros(int(ends[-1]) if len(ends) else 0, self.size, device=device)  # [N, C]
        cache = TypeCache(self.indexer, self.network.input)
        short = [number for number, text in enumerate(texts) if len(text) <= _WINDOW]

        def place(number: int) -> Tensor:
            return features[int(ends[number]) - len(sentences[number]) : int(ends[number])]  # [T, C], a view

        arrays = cache.arrays([texts[number] for number in short])
        for rows in length_batches(arrays.lengths, batch_tokens):
            outputs = self.network(cache.collate(arrays, rows).to(device)).outputs  # [B, L, C]
            for row, number in enumerate(short[each] for each in rows.tolist()):
                self._pick(place(number), _borders(sentences[number]), outputs[row], 0)
        for number in sorted(set(range(len(texts))) - set(short)):
            self._pick_in_windows(place(number), _borders(sentences[number]), cache, texts[number])
        return features

    def stream(self) -> ContextStream:
        """The features of sentences whose tokens come in chunks.

        Returns:
            What computes them.

        Raises:
            SettingsError: the language model also reads backward, from the end of a sentence.
        """
        directions = self.settings.encoder.direction
        if directions != "forward":
            raise SettingsError(
                f"embedding.context: the language model reads in direction {directions}, which needs whole sentences, "
                "so this cannot be streamed; train it with --direction forward"
            )
        return ContextStream(self)

    def _pick(
        self, features: Tensor, borders: tuple[Tensor, Tensor], states: Tensor, begin: int, halves: str = "both"
    ) -> None:
        """Put states of characters, [L, C], the first of which stands at `begin`, into the features of the words whose
        borders they are, [T, C]: those that read forward, those that read backward, or both."""  # noqa: D205, D209
        half = self.network.encoder.forward_size
        for name, places, columns in zip(HALVES, borders, (slice(half), slice(half, None)), strict=True):
            if halves in ("both", name):
                inside = ((places >= begin) & (places < begin + len(states))).nonzero().squeeze(1)  # [N]
                found = states[to_device(places[inside] - begin, states.device), columns]  # [N, columns]
                features[to_device(inside, features.device), columns] = found.to(features.dtype)

    def _pick_in_windows(
        self, features: Tensor, borders: tuple[Tensor, Tensor], cache: TypeCache, text: Sequence[str]
    ) -> None:
        """The same of a sentence whose characters have too many states to be kept: of each window only those wanted.

        Each direction reads the windows in its own order, its state carried from one to the next; the other direction
        of a language model has no influence on it.
        """
        starts = range(0, len(text), _WINDOW)
        both = self.network.encoder.forward_size < self.size
        for half, order in [*zip(HALVES, (starts, reversed(starts)), strict=True)][: 1 + both]:
            state: tuple[State, ...] | None = None
            for start in order:
                arrays = cache.arrays([text[start : start + _WINDOW]])
                batch = cache.collate(arrays, np.array([0])).to(features.device)
                encoded = self.network(batch, state=state, return_state=True)
                state = encoded.state
                self._pick(features, borders, encoded.outputs[0], start, half)

    def document(self) -> dict[str, Any]:
        """The features as one document of a model directory, but for the weights; see `restore`."""
        return {"settings": self.settings.model_dump(mode="json"), "vocabularies": indexer_documents(self.indexer)}

    @classmethod
    def restore(cls, document: object, place: str, vectors: Tensor | None = None) -> ContextFeatures:
        """Read what `document` gave.

        Args:
            document: a parsed JSON value.
            place: what error messages call it.
            vectors: the table of pretrained vectors, [N, E], where the language model has one.

        Returns:
            The features, their weights still to be put in.

        Raises:
            ModelError: it is of another form.
        """
        tree = document if isinstance(document, dict) else {}
        given, vocabularies = tree.get("settings"), tree.get("vocabularies")
        try:
            settings: Any = parse_settings(given if isinstance(given, dict) else {}, place)
        except SettingsError as error:
            raise ModelError(str(error)) from None
        if settings.task != "lm" or not isinstance(vocabularies, dict):
            raise ModelError(f"{place}: expected the settings and vocabularies of a language model")
        indexer = restore_indexer(settings.data, Documents(vocabularies, place))
        module = LookupModule(build_embedding(settings.embedding, indexer, vectors))
        encoder = build_encoder(settings.encoder, module.output_size)
        return cls(settings, indexer, Network(module, encoder, nn.Identity()))


class ContextStream:
    """The features of a sentence whose tokens come in chunks; those of the whole sentence.

    Args:
        features: of a language model that only reads forward.
    """

    def __init__(self, features: ContextFeatures) -> None:
        self._end = features.settings.data.end
        self._module = features.network.input
        self._cache = TypeCache(features.indexer, self._module)
        self._encoder = EncoderStream(features.network.eval().encoder)
        self._before = self._end  # the character before the next token

    def accept(self, tokens: Sequence[str]) -> Tensor:
        """Read the next tokens, t of them and at least one.

        Args:
            tokens: the tokens.

        Returns:
            Their features, [t, C].
        """
        arrays = self._cache.arrays([[self._before, *" ".join(tokens)]])
        self._before = " "
        device = next(self._module.parameters()).device
        states = self._encoder.accept(self._module(self._cache.collate(arrays, np.array([0])).to(device)))  # [1, L, C]
        return states[0, to_device(_borders(tokens)[0], device)]

    def finish(self) -> None:
        """End the sentence; what comes next begins another one."""
        self._encoder.finish()
        self._before = self._end
