"""The output distribution of a language model over its words, and a loss that makes no second copy of its scores."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["IGNORED", "Softmax", "linear_cross_entropy"]

IGNORED = -1
"""the target of a place that has none: padding"""
PADDING = 0
"""the row of the vocabulary that is no word and never has probability"""

# Bytes of scores at a time. What a CPU gains from more is lost in page faults; a GPU wants large products.
_CPU_WORKSPACE = 2**25
_GPU_WORKSPACE = 2**28
# Below so many rows a product over them no longer pays for going through the weight's gradient once more.
_LEAST_ROWS = 128
_ADAPTIVE_ROWS = 1 << 13
"""rows at a time of an adaptive softmax where no gradient is wanted"""
_LINE = 16
"""numbers in a cache line, float32"""
_SHRINK = 4
"""how much smaller the projection of a cluster is than that of the one before"""

_memory = threading.local()

_Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


def _cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, wanted: Sequence[bool], products: torch.dtype
) -> tuple[Tensor, _Gradients]:
    """-log softmax(x Wᵀ + b) of the targets, [N], and the gradients of their sum by x, W and b where they are wanted.

    A part of the rows at a time: scores become weights exp(score - maximum), those become s times the gradient of the
    scores, s the sum of the row's weights, all in one buffer. The division by s is left to the small factor of each
    product, where it is a matter of [N, D] instead of [N, V]. `products` is the precision of the factors of these
    products.
    """
    size, words = len(x), len(weight)
    allowed = _CPU_WORKSPACE if x.device.type == "cpu" else _GPU_WORKSPACE
    rows = max(1, min(size, max(_LEAST_ROWS, allowed // (words * x.element_size()))))
    buffer = _workspace(x, rows, words)  # [rows, V]
    nats = x.new_empty(size)
    known = targets != IGNORED  # [N]
    index = targets.clamp(min=0).unsqueeze(1)  # [N, 1]
    by_x = torch.empty_like(x) if wanted[0] else None
    by_weight = weight.new_empty(weight.shape) if wanted[1] else None
    by_bias = torch.zeros_like(bias) if wanted[2] else None
    rounded = weight.to(products) if wanted[0] else None  # [V, D]
    with torch.autocast(x.device.type, enabled=False):
        for begin in range(0, size, rows):
            part = slice(begin, begin + rows)
            features, target = x[part], index[part]  # [n, D], [n, 1]
            scores = torch.addmm(bias, features, weight.t(), out=buffer[: len(features)])  # [n, V]
            right = scores.gather(1, target)  # [n, 1]
            peak = scores.amax(1, keepdim=True)  # [n, 1]
            weights = scores.sub_(peak).exp_()  # [n, V]
            total = weights.sum(1, keepdim=True)  # [n, 1]
            nats[part] = (total.log() + peak - right).squeeze(1)
            if not any(wanted):
                continue
            gradient = weights.scatter_add_(1, target, -total)  # [n, V], times the row's total
            share = torch.where(known[part].unsqueeze(1), total.reciprocal(), 0)  # [n, 1]
            if by_bias is not None:
                by_bias.addmv_(gradient.t(), share.squeeze(1))  # [V]
            factor = gradient.to(products)  # [n, V]
            if by_x is not None and rounded is not None:
                torch.mul(torch.mm(factor, rounded), share, out=by_x[part])  # [n, D]
            if by_weight is not None:
                _add_product(by_weight, factor.t(), (features * share).to(products), begin == 0)
    if by_weight is not None and size == 0:
        by_weight.zero_()
    return nats.masked_fill_(~known, 0.0), (by_x, by_weight, by_bias)


def _workspace(x: Tensor, rows: int, columns: int) -> Tensor:
    """A matrix to be written to, [rows, columns], of the type and on the device of `x`.

    Its rows begin at full cache lines: written to any other place, a product takes half as long again. On a CPU it is
    the same memory each time, of each thread, or every step would pay for its pages anew.
    """
    width = -(-columns // _LINE) * _LINE
    if x.device.type != "cpu":
        return x.new_empty(rows, width)[:, :columns]
    kept: Tensor | None = getattr(_memory, "kept", None)
    if kept is None or kept.dtype != x.dtype or len(kept) < rows * width:
        with torch.inference_mode(False):  # what is made in that mode can be used in no other
            kept = _memory.kept = torch.empty(rows * width, dtype=x.dtype)
    return kept[: rows * width].view(rows, width)[:, :columns]


def _add_product(result: Tensor, left: Tensor, right: Tensor, first: bool) -> None:
    """Add left · right to a matrix, whose content is not looked at if it is the first."""
    if left.dtype == result.dtype:
        torch.addmm(result, left, right, beta=0 if first else 1, out=result)
    elif first:
        result.copy_(torch.mm(left, right))
    else:
        result.add_(torch.mm(left, right))


class _LinearCrossEntropy(torch.autograd.Function):
    """The sum over rows; the gradients are made along with the loss, while the scores are at hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, products: torch.dtype) -> Tensor:
        nats, ctx.gradients = _cross_entropy(x, weight, bias, targets, ctx.needs_input_grad, products)
        ctx.save_for_backward(x, weight, bias, targets)
        ctx.products = products
        return nats.sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        # They are given away, scaled in place: no copy of a [V, D]. Whoever goes backward twice has them made again.
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            x, weight, bias, targets = ctx.saved_tensors
            gradients = _cross_entropy(x, weight, bias, targets, ctx.needs_input_grad, ctx.products)[1]
        return *(None if gradient is None else gradient.mul_(factor) for gradient in gradients), None, None


def linear_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, products: torch.dtype | None = None
) -> Tensor:
    r"""The cross-entropy of a linear layer's softmax, :math:`-\sum_n \log \mathrm{softmax}(W x_n + b)_{y_n}`.

    Equal to ``functional.cross_entropy(functional.linear(x, weight, bias), targets, ignore_index=-1,
    reduction="sum")``, in less time and bounded memory: the scores of a part of the rows at a time, and their gradient
    in their place. In float32 (or float64, if `x` is), also under mixed precision.

    Args:
        x: features, [N, D].
        weight: W, [V, D].
        bias: b, [V]; a class of bias -inf has no probability.
        targets: the right classes, int64 [N]; `IGNORED` where a row has none.
        products: what the factors of the gradients' matrix products are rounded to; the loss stays exact.

    Returns:
        A scalar, in nats.
    """
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    x, weight, bias = x.to(dtype).contiguous(), weight.to(dtype), bias.to(dtype)
    if torch.is_grad_enabled():
        inputs = (x, weight, bias, targets, products or dtype)
        total: Tensor = _LinearCrossEntropy.apply(*inputs)  # type: ignore[no-untyped-call]
        return total
    return _cross_entropy(x, weight, bias, targets, (False, False, False), dtype)[0].sum()


class Softmax(nn.Module):
    r"""Features → a probability for each word of a vocabulary, :math:`p(w \mid h) = \mathrm{softmax}(W h + b)_w`.

    Word 0, padding, never has probability. W is the layer's own; or, *tied*, the table of word embeddings that every
    call is given (Press & Wolf 2017; Inan et al. 2017), behind a learned projection if its columns are not D; or,
    with `cutoffs`, the adaptive softmax of Grave et al. (2017, "Efficient softmax approximation for GPUs"): words
    from one cutoff to the next form a cluster with a smaller projection. It wants words in order of falling frequency.

    Args:
        input_size: D.
        num_words: V, padding included.
        tied_size: E, the columns of the table that each call is given; None for a W of its own.
        cutoffs: the first word of each cluster, ascending; None for a full softmax.

    Attributes:
        products: what the factors of the gradients' matrix products are rounded to, to be set by whoever trains; the
            loss is exact all the same.

    Raises:
        ValueError: there are no words; the cutoffs are not ascending within the words, too many for so few features,
            or come with a tied table.
    """

    def __init__(
        self,
        input_size: int,
        num_words: int,
        *,
        tied_size: int | None = None,
        cutoffs: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if num_words < 2:
            raise ValueError(f"expected padding and at least one word, found {num_words} rows")
        if cutoffs is not None and tied_size is not None:
            raise ValueError("expected either cutoffs or a tied table, found both")
        self.num_words = num_words
        self.tied_size = tied_size
        self.weight: nn.Parameter | None = None
        self.bias: nn.Parameter | None = None
        self.project: nn.Linear | None = None
        self.adaptive: nn.AdaptiveLogSoftmaxWithLoss | None = None
        self.products: torch.dtype | None = None
        if cutoffs is not None:
            bounds = [PADDING + 1, *cutoffs, num_words]
            if not cutoffs or any(begin >= end for begin, end in pairwise(bounds)):
                raise ValueError(f"expected ascending cutoffs in 2 … {num_words - 1}, found {list(cutoffs)}")
            if input_size < _SHRINK ** len(cutoffs):
                found = f"{input_size} with {len(cutoffs)} cutoffs"
                raise ValueError(f"expected at least {_SHRINK} to the power of the cutoffs features, found {found}")
            # Of all words but padding, each numbered one lower.
            self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(
                input_size, num_words - 1, [cutoff - 1 for cutoff in cutoffs], _SHRINK, head_bias=True
            )
            return
        self.bias = nn.Parameter(torch.zeros(num_words))
        if tied_size is None:
            bound = input_size**-0.5
            self.weight = nn.Parameter(torch.empty(num_words, input_size).uniform_(-bound, bound))
        elif tied_size != input_size:
            self.project = nn.Linear(input_size, tied_size, bias=False)
            nn.init.xavier_uniform_(self.project.weight)

    def loss(self, features: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """The negative log-likelihood of the right words, summed.

        Args:
            features: [N, D]; in bfloat16 they say that gradients need be no more exact than that.
            targets: the right words, int64 [N]; `IGNORED` where there is none.
            table: the embedding table, [V, E], if the layer is tied.

        Returns:
            A scalar, in nats.
        """
        with torch.autocast(features.device.type, enabled=False):
            if self.adaptive is not None:
                return -self._adaptive_log_probabilities(features, targets).sum()
            products = torch.bfloat16 if features.dtype == torch.bfloat16 else self.products
            return linear_cross_entropy(*self._layer(features, table), targets, products=products)

    @torch.no_grad()
    def target_log_probabilities(self, features: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """The log-probability of the right words, one by one, without gradient.

        Args:
            features: [N, D].
            targets: the right words, int64 [N]; `IGNORED` where there is none.
            table: the embedding table, [V, E], if the layer is tied.

        Returns:
            float32 [N], in nats; 0 where there is no target.
        """
        with torch.autocast(features.device.type, enabled=False):
            if self.adaptive is not None:
                return self._adaptive_log_probabilities(features, targets)
            x, weight, bias = self._layer(features, table)
            nats = _cross_entropy(x, weight, bias, targets, (False, False, False), torch.float32)[0]  # [N]
        return -nats

    def log_probabilities(self, features: Tensor, table: Tensor | None = None) -> Tensor:
        """The log-probability of every word.

        Args:
            features: [N, D].
            table: the embedding table, [V, E], if the layer is tied.

        Returns:
            float32 [N, V]; -inf for padding.
        """
        with torch.autocast(features.device.type, enabled=False):
            if self.adaptive is not None:
                words: Tensor = self.adaptive.log_prob(features.float())  # [N, V − 1]
                return functional.pad(words, (1, 0), value=-torch.inf)  # [N, V]
            return functional.linear(*self._layer(features, table)).log_softmax(1)  # [N, V]

    def _layer(self, features: Tensor, table: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """What the scores are the linear layer of: features [N, D or E], weight [V, D or E] and bias [V]."""
        assert self.bias is not None
        bias = torch.cat([self.bias.new_full((PADDING + 1,), -torch.inf), self.bias[PADDING + 1 :]])  # [V]
        if self.weight is not None:
            return features.float(), self.weight, bias
        expected = f"an embedding table of shape {[self.num_words, self.tied_size]}"
        if table is None or list(table.shape) != [self.num_words, self.tied_size]:
            raise ValueError(f"expected {expected}, found {'none' if table is None else list(table.shape)}")
        features = features.float()
        return features if self.project is None else self.project(features), table, bias

    def _adaptive_log_probabilities(self, features: Tensor, targets: Tensor) -> Tensor:
        assert self.adaptive is not None
        known = (targets != IGNORED).nonzero().squeeze(1)  # [n]
        result = features.new_zeros(len(targets), dtype=torch.float32)  # [N]
        if not len(known):
            return result
        # Scores of all words at once would take many times as much as the features.
        parts = [known] if torch.is_grad_enabled() else known.split(_ADAPTIVE_ROWS)  # each [n]
        found = torch.cat([self.adaptive(features[part].float(), targets[part] - 1).output for part in parts])
        return result.index_put((known,), found)  # [N]

    def extra_repr(self) -> str:
        """The arguments, for `repr`."""
        return f"num_words={self.num_words}, tied_size={self.tied_size}"
