"""Words → vectors: trained embeddings, pretrained vectors, character features; once per unique word of a batch."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.encoder import Encoder
from seqkit.nn.pooling import make_pooling
from seqkit.nn.sequences import length_mask, to_device

UNKNOWN = 1
"""the row of the vocabulary for unknown words"""
_FEW_CHARACTERS = 512
"""up to this number of characters a look-up table pays; scripts with thousands of characters exceed it"""


class TypeBatch(NamedTuple):
    """The unique words (word types) of a batch, as ids.

    Attributes:
        words: id of each word type in the trained word table, int64 [U].
        vectors: id of each word type in the table of pretrained vectors, int64 [U].
        characters: the types' characters in groups of similar length, each int64 [U_g, L_g], padded with 0; the
            groups follow one another in the order of `words`.
        lengths: the types' lengths in characters, a tensor [U_g] on the CPU for each group.
    """

    words: Tensor
    vectors: Tensor
    characters: tuple[Tensor, ...]
    lengths: tuple[Tensor, ...]

    def to(self, device: torch.device) -> TypeBatch:
        """The same types with the ids on another device; lengths stay on the CPU."""
        words, vectors, *characters = (to_device(ids, device) for ids in (self.words, self.vectors, *self.characters))
        return TypeBatch(words, vectors, tuple(characters), self.lengths)


class CharacterCNN(nn.Module):
    r"""Character features by convolution and maximum over the word (Ma & Hovy 2016; dos Santos & Zadrozny 2014).

    .. math:: r_f = \max_t \left( b_f + \sum_{k=1}^{K} W_{f,k}\, e(c_{t+k-1}) \right)

    where t runs over every window that overlaps the word; positions outside the word are zero vectors.

    Args:
        num_characters: the number of distinct characters, padding included.
        embedding_size: E, the size of a character's vector.
        output_size: F, the number of filters.
        kernel_size: K, the width of a filter in characters.
        dropout: the probability of dropping a feature of a character's vector.
    """

    def __init__(
        self,
        num_characters: int,
        *,
        embedding_size: int = 30,
        output_size: int = 50,
        kernel_size: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.output_size = output_size
        self.dropout = dropout
        self.table = nn.Parameter(_uniform_table(num_characters, embedding_size))
        self.filters = nn.Linear(kernel_size * embedding_size, output_size)
        nn.init.xavier_uniform_(self.filters.weight)
        nn.init.zeros_(self.filters.bias)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Compute one vector per word.

        Args:
            characters: character ids, [U, L], padded with 0.
            lengths: characters in each word, [U], on the CPU.

        Returns:
            Features, [U, F].
        """
        border = self.kernel_size - 1
        padded = functional.pad(characters, (border, border))  # [U, L + 2(K − 1)]
        outside: Tensor | None = None
        if not bool((lengths == characters.shape[1]).all()):
            kept = (lengths + border).clamp(min=1)  # [U]; a word without characters has one window of zeros
            outside = to_device(~length_mask(kept, characters.shape[1] + border), characters.device)  # [U, L + K − 1]
        # Whether a look-up table pays does not depend on the batch, and so a word's features do not either.
        dropped = self.training and self.dropout > 0.0  # then a character's vector differs from place to place
        # `embedding_bag` was missing on Apple's GPUs for a long time.
        if not dropped and padded.device.type != "mps" and len(self.table) <= _FEW_CHARACTERS:
            return self._looked_up(padded, outside)  # [U, F]
        vectors = functional.embedding(padded, self.table, padding_idx=0)  # [U, L + 2(K − 1), E]
        vectors = functional.dropout(vectors, self.dropout, self.training)
        windows = vectors.unfold(1, self.kernel_size, 1).transpose(2, 3).flatten(2)  # [U, L + K − 1, K·E]
        responses: Tensor = self.filters(windows)  # [U, L + K − 1, F]
        if outside is not None:
            responses = responses.masked_fill(outside.unsqueeze(2), -torch.inf)
        return responses.amax(1)  # [U, F]

    def _looked_up(self, padded: Tensor, outside: Tensor | None) -> Tensor:
        """The same without dropout, as sums of look-ups.

        The contribution of a character to a filter at a position in the window is one row of a table, so that a window
        is a sum of K rows instead of a product.
        """
        size, width = len(self.table), self.kernel_size
        table = functional.pad(self.table[1:], (0, 0, 1, 0))  # [C, E], padding zero
        weight = self.filters.weight.view(self.output_size, width, -1)  # [F, K, E]
        shares = torch.einsum("fke,ce->kcf", weight, table).flatten(0, 1)  # [K·C, F]
        offsets = torch.arange(0, width * size, size, device=padded.device)  # [K]
        rows = padded.unfold(1, width, 1) + offsets  # [U, L + K − 1, K]
        if outside is not None:
            rows[:, :, 0].masked_fill_(outside, width * size)
        shares = functional.pad(shares, (0, 0, 0, 1), value=-torch.inf)  # [K·C + 1, F]; the last: outside the word
        sums = functional.embedding_bag(rows.flatten(0, 1), shares, mode="sum")  # [U·(L + K − 1), F]
        best = sums.view(*rows.shape[:2], self.output_size).amax(1)  # [U, F]
        return best + self.filters.bias.to(best.dtype)


class CharacterLSTM(nn.Module):
    """Character features by a bidirectional LSTM: both directions' last states (Lample et al. 2016).

    Args:
        num_characters: the number of distinct characters, padding included.
        embedding_size: the size of a character's vector.
        output_size: F, the size of the result, half for each direction; an odd F gives F − 1 features.
        dropout: the probability of dropping a feature of a character's vector.
    """

    def __init__(
        self, num_characters: int, *, embedding_size: int = 30, output_size: int = 50, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.output_size = 2 * (output_size // 2)
        self.dropout = dropout
        self.table = nn.Parameter(_uniform_table(num_characters, embedding_size))
        self.encoder = Encoder(embedding_size, cell="lstm", hidden_size=output_size // 2)
        self.pooling = make_pooling("last", self.encoder.output_size, self.encoder.forward_size)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Compute one vector per word.

        Args:
            characters: character ids, [U, L], padded with 0.
            lengths: characters in each word, [U], on the CPU.

        Returns:
            Features, [U, F].
        """
        vectors = functional.embedding(characters, self.table, padding_idx=0)  # [U, L, E]
        vectors = functional.dropout(vectors, self.dropout, self.training)
        features: Tensor = self.pooling(self.encoder(vectors, lengths).outputs, lengths)  # [U, F]
        return features


CHARACTER_FEATURES: dict[str, type[CharacterCNN] | type[CharacterLSTM]] = {"cnn": CharacterCNN, "lstm": CharacterLSTM}


class WordEmbedding(nn.Module):
    r"""One vector for each unique word: trained embedding or one-hot vector, pretrained vector, character features.

    The trained table and the pretrained vectors (frozen, kept in half precision) are concatenated, or added
    (``join="sum"``: the trained table starts at zero and learns a correction of the pretrained vectors).

    Args:
        num_words: rows of the trained table, padding and unknown included; 0 for none.
        word_size: columns of the trained table.
        vectors: the pretrained vectors, [N, E], or None; row 0 is padding, row 1 unknown.
        join: ``concat`` or ``sum`` (needs ``word_size == E``).
        characters: the module for character features, or None.
        one_hot: instead of a trained table, a one-hot vector of size `num_words`, so that the next layer has a column
            of weights for each word.
        word_dropout: the probability that a word is replaced by the unknown word during training, drawn independently
            for the trained table and for the pretrained vectors.
        type_dropout: the probability that a word's whole vector is zero throughout a batch during training; those of
            other words are scaled up by 1 / (1 − p) (Gal & Ghahramani 2016; Merity, Keskar & Socher 2018).

    Attributes:
        output_size: the size of a word's vector.
        sparse_gradient: give the trained table a sparse gradient, for optimisers that support it.

    Raises:
        ValueError: `join` is unknown, the sizes to add differ, a word would have no vector at all, or `type_dropout` is
            not a probability below 1.
    """

    vectors: Tensor | None
    one: Tensor

    def __init__(
        self,
        num_words: int,
        word_size: int,
        *,
        vectors: Tensor | None = None,
        join: str = "concat",
        characters: CharacterCNN | CharacterLSTM | None = None,
        one_hot: bool = False,
        word_dropout: float = 0.0,
        type_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if join not in ("concat", "sum"):
            raise ValueError(f"expected a join among concat, sum, found {join!r}")
        if join == "sum" and vectors is not None and vectors.shape[1] != word_size:
            raise ValueError(f"expected vectors of size {word_size} to add to the word table, found {vectors.shape[1]}")
        if not 0.0 <= type_dropout < 1.0:
            raise ValueError(f"expected a type_dropout in 0 ≤ p < 1, found {type_dropout}")
        self.join = join if vectors is not None else "concat"
        self.word_dropout = word_dropout
        self.sparse_gradient = False
        self.type_dropout = type_dropout
        summed = self.join == "sum"
        use_table = num_words > 0 and word_size > 0
        start = torch.zeros(num_words, word_size) if summed else _uniform_table(num_words, word_size)
        self.table = nn.Parameter(start) if use_table else None
        self.register_buffer("vectors", None if vectors is None else vectors.to(torch.float16))
        self.characters = characters
        self.one_hot = num_words if one_hot else 0
        # Follows the module's precision and device. Not saved, so it has memory even if others are on the meta device.
        self.register_buffer("one", torch.ones((), device="cpu"), persistent=False)
        vector_size = 0 if vectors is None or (summed and use_table) else vectors.shape[1]
        character_size = 0 if characters is None else characters.output_size
        self.output_size = self.one_hot + (word_size if use_table else 0) + vector_size + character_size
        if self.output_size == 0:
            raise ValueError("no features: use word embeddings, pretrained vectors or character features")

    def forward(self, types: TypeBatch) -> Tensor:
        """Compute the vectors of the unique words of a batch.

        Args:
            types: the unique words, U of them.

        Returns:
            One vector per word, [U, output_size].
        """
        parts: list[Tensor] = []
        if self.one_hot:
            zeros = self.one.new_zeros(len(types.words), self.one_hot)  # [U, V]
            parts.append(zeros.scatter_(1, self._drop(types.words).unsqueeze(1), 1.0))
        if self.table is not None:
            ids = self._drop(types.words)
            parts.append(functional.embedding(ids, self.table, sparse=self.sparse_gradient))  # [U, W]
        if self.vectors is not None:
            pretrained = self.vectors[self._drop(types.vectors)].float()  # [U, E]
            if self.join == "sum" and parts:
                parts[0] = parts[0] + pretrained  # [U, E]
            else:
                parts.append(pretrained)
        if self.characters is not None:
            pairs = zip(types.characters, types.lengths, strict=True)
            none = self.characters.table.new_zeros(0, self.characters.output_size)  # [0, F]
            groups = [self.characters(characters, lengths) for characters, lengths in pairs] or [none]  # each [U_g, F]
            parts.append(torch.cat(groups))  # [U, F]
        result = parts[0] if len(parts) == 1 else torch.cat(parts, 1)  # [U, output_size]
        if not self.training or self.type_dropout == 0.0:
            return result
        return result * functional.dropout(result.new_ones(len(result), 1), self.type_dropout)  # [U, output_size]

    def _drop(self, ids: Tensor) -> Tensor:
        if not self.training or self.word_dropout == 0.0:
            return ids
        return ids.masked_fill(torch.rand(ids.shape, device=ids.device) < self.word_dropout, UNKNOWN)  # [U]


def _uniform_table(rows: int, columns: int) -> Tensor:
    """Uniform in ±√(3 / columns), so that a vector's squared norm is 1 in expectation (row 0, padding, is zero)."""
    bound = math.sqrt(3.0 / max(columns, 1))
    table = torch.empty(rows, columns)
    if table.is_meta:  # no memory to fill, and arithmetic on it makes torch import its compiler
        return table
    table = table.uniform_(-1.0, 1.0) * bound
    table[:1] = 0.0
    return table
