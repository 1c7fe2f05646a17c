"""The useful FLOPs of a network per token, independent of how they are computed."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from seqkit.heads.classification.module import ClassificationHead
from seqkit.nn.embedding import CharacterCNN, CharacterLSTM
from seqkit.nn.softmax import Softmax

TRAINED = 3
"""FLOPs of a training step per FLOP of the forward pass: the backward pass has two products for each of its products"""


def forward_flops(network: Any, characters: float, length: float = 1.0) -> float:
    """The useful FLOPs of the forward pass per token: two for each weight, one multiplication and one addition.

    This holds for matrices, for elementwise weights (peepholes), and for the transition scores of a CRF, each of which
    is added and compared once in a step of the Viterbi search. Character features count for every token, even where
    they are computed once per word type, and as products, even where a convolution is a table look-up. Embeddings,
    which are only looked up, and biases do not count. A language model for contextual features reads every character,
    and the space or the end after each token.

    Args:
        network: of words or other units: its `input` has an `embedding`.
        characters: the average number of characters per token.
        length: the average number of tokens per text: a classifier scores the labels once per text.

    Returns:
        FLOPs per token.
    """
    used = [weight for part in (network.encoder, network.head) for weight in _matrices(part)]
    flops = 2.0 * sum(weight.numel() for weight in used)
    # A tied softmax has no weights of its own: it uses those of the embedding.
    softmaxes = [part for part in network.head.modules() if isinstance(part, Softmax)]
    flops += sum(2.0 * part.num_words * (part.tied_size or 0) for part in softmaxes)
    if isinstance(network.head, ClassificationHead):
        flops -= 2.0 * network.head.output.weight.numel() * (1.0 - 1.0 / length)
    context = network.input.context
    if context is not None:
        flops += forward_flops(context, 0.0) * (characters + 1.0)
    features = network.input.embedding.characters
    if isinstance(features, CharacterCNN):
        flops += 2.0 * features.filters.weight.numel() * (characters + features.kernel_size - 1)
    elif isinstance(features, CharacterLSTM):
        flops += 2.0 * sum(weight.numel() for weight in _matrices(features.encoder)) * characters
    return flops


def _matrices(module: nn.Module) -> list[Tensor]:
    """The weights of a prediction step, each once, without those that only training uses."""
    named = module.named_parameters()
    return [weight for name, weight in named if weight.dim() >= 2 and not name.startswith("auxiliary.")]
