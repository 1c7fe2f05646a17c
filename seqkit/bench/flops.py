"""How many FLOPs a network needs a token: those that are useful, however they are computed."""

from __future__ import annotations

from torch import Tensor, nn

from seqkit.heads.classification.module import ClassificationHead
from seqkit.nn.embedding import CharacterCNN, CharacterLSTM
from seqkit.nn.network import Network
from seqkit.nn.softmax import Softmax

__all__ = ["TRAINED", "forward_flops"]

TRAINED = 3
"""a step of training is so many times the forward pass: the backward pass has two products for each of its one"""


def forward_flops(network: Network, characters: float, length: float = 1.0) -> float:
    """The useful FLOPs of the forward pass a token: two for each weight, which multiplies once and adds once.

    That holds for matrices, for weights that multiply number by number (peepholes), and for a CRF's scores of moves,
    of which a step of the Viterbi search adds and compares each once. Character features are counted for every token,
    also where they are computed once a word, and as products, also where a convolution looks them up in a table;
    embeddings, which are only looked up, and biases are not counted. The network that gives features of the context
    reads every character, and the space or the end after each token.

    Args:
        network: embedding, encoder and head.
        characters: characters a token, on average.
        length: tokens a text, on average: a classifier scores the labels once a text.

    Returns:
        FLOPs a token.
    """
    used = [weight for part in (network.encoder, network.head) for weight in _matrices(part)]
    flops = 2.0 * sum(weight.numel() for weight in used)
    # A tied softmax has no weights of its own: it multiplies with the embedding's.
    softmaxes = [part for part in network.head.modules() if isinstance(part, Softmax)]
    flops += sum(2.0 * part.num_words * (part.tied_size or 0) for part in softmaxes)
    if isinstance(network.head, ClassificationHead):
        flops -= 2.0 * network.head.output.weight.numel() * (1.0 - 1.0 / length)
    if network.context is not None:
        flops += forward_flops(network.context, 0.0) * (characters + 1.0)
    features = network.embedding.characters
    if isinstance(features, CharacterCNN):
        flops += 2.0 * features.filters.weight.numel() * (characters + features.kernel_size - 1)
    elif isinstance(features, CharacterLSTM):
        flops += 2.0 * sum(weight.numel() for weight in _matrices(features.encoder)) * characters
    return flops


def _matrices(module: nn.Module) -> list[Tensor]:
    """The weights that a step of prediction multiplies with, each once; not those that only training has."""
    named = module.named_parameters()
    return [weight for name, weight in named if weight.dim() >= 2 and not name.startswith("auxiliary.")]
