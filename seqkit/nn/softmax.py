"""The output distribution of a language model over its words, and a loss that does not copy its scores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.parts import workspace
from seqkit.nn.sequences import to_device

IGNORED = -1
"""the target of positions without one: padding, or a label that training has not seen"""
PADDING = 0
"""the row of the vocabulary that is not a word and always has probability zero"""

# With fewer rows, a product over them costs less than another pass over the weight's gradient.
_LEAST_ROWS = 128
_ADAPTIVE_ROWS = 1 << 13
"""rows at a time of an adaptive softmax if no gradient is needed"""
_LINE = 16
"""numbers in a cache line, float32"""
_SHRINK = 4
"""the factor by which each cluster's projection is smaller than that of the one before"""

_memory = threading.local()

_Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]


def _cross_entropy(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    wanted: Sequence[bool],
    products: torch.dtype,
    smoothing: float = 0.0,
    pull: Callable[[slice, Tensor], Tensor] | None = None,
) -> tuple[Tensor, _Gradients]:
    """-log softmax(x Wᵀ + b) of the targets, [N], and the gradients of their sum by x, W and b, if `wanted`.

    If they are part of another loss, `pull` gives its gradient by those of some rows, [n]; they are not smoothed then.

    The rows are processed in parts: scores become weights exp(score - maximum), and those become s times the gradient
    of the scores, with s the sum of the row's weights, all in one buffer. The division by s is applied to the smaller
    factor of each product, of size [N, D] instead of [N, V]. `products` is the precision of the factors of these
    products.

    Of a smoothed loss, the share of all words is linear in x, W and b but for the logarithm of the sum, which is that
    of the plain loss: it takes sums over words and over rows, and no product.
    """
    size, words = len(x), len(weight)
    rows = max(1, min(size, max(_LEAST_ROWS, workspace(x.device) // (words * x.element_size()))))
    buffer = _workspace(x, rows, words)  # [rows, V]
    nats = x.new_empty(size)
    known = targets != IGNORED  # [N]
    index = targets.clamp(min=0).unsqueeze(1)  # [N, 1]
    by_x = torch.empty_like(x) if wanted[0] else None
    by_weight = (weight.new_empty if size else weight.new_zeros)(weight.shape) if wanted[1] else None
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
            nats[part] = (total.log() + peak - (1.0 - smoothing) * right).squeeze(1)
            if not any(wanted):
                continue
            gradient = weights.scatter_add_(1, target, total * (smoothing - 1.0))  # [n, V], times the row's total
            scale = total.reciprocal() if pull is None else pull(part, nats[part]).unsqueeze(1) / total  # [n, 1]
            share = torch.where(known[part].unsqueeze(1), scale, 0)  # [n, 1]
            if by_bias is not None:
                by_bias.addmv_(gradient.t(), share.squeeze(1))  # [V]
            factor = gradient.to(products)  # [n, V]
            if by_x is not None and rounded is not None:
                torch.mul(torch.mm(factor, rounded), share, out=by_x[part])  # [n, D]
            if by_weight is not None:
                _add_product(by_weight, factor.t(), (features * share).to(products), begin == 0)
        if smoothing:
            _smooth((x, weight, bias), known, smoothing, nats, (by_x, by_weight, by_bias))
    return nats.masked_fill_(~known, 0.0), (by_x, by_weight, by_bias)


def _smooth(
    problem: tuple[Tensor, Tensor, Tensor], known: Tensor, smoothing: float, nats: Tensor, gradients: _Gradients
) -> None:
    """Give all words but padding their share of a loss, and of its gradients, in equal parts."""
    x, weight, bias = problem
    by_x, by_weight, by_bias = gradients
    words = slice(PADDING + 1, None)
    mean = weight[words].mean(0)  # [D]
    nats -= smoothing * (x @ mean + bias[words].mean())
    part = known.to(x.dtype) * smoothing  # [N]
    if by_x is not None:
        by_x.addr_(part, mean, alpha=-1)
    if by_weight is not None:
        by_weight[words].sub_(part @ x / len(weight[words]))
    if by_bias is not None:
        by_bias[words].sub_(part.sum() / len(bias[words]))


def _workspace(x: Tensor, rows: int, columns: int) -> Tensor:
    """An uninitialised matrix, [rows, columns], of the type and on the device of `x`.

    Its rows start at cache lines: otherwise a product takes half as long again. On a CPU each thread reuses the same
    memory, since otherwise every step would cause page faults.
    """
    width = -(-columns // _LINE) * _LINE
    if x.device.type != "cpu":
        return x.new_empty(rows, width)[:, :columns]
    kept: Tensor | None = getattr(_memory, "kept", None)
    if kept is None or kept.dtype != x.dtype or len(kept) < rows * width:
        with torch.inference_mode(False):  # tensors created in that mode cannot be used outside it
            kept = _memory.kept = torch.empty(rows * width, dtype=x.dtype)
    return kept[: rows * width].view(rows, width)[:, :columns]


def _add_product(result: Tensor, left: Tensor, right: Tensor, first: bool) -> None:
    """Add left · right to a matrix; if it is the first product, write it without reading the matrix."""
    if left.dtype == result.dtype:
        torch.addmm(result, left, right, beta=0 if first else 1, out=result)
    else:
        write = result.copy_ if first else result.add_
        write(torch.mm(left, right))


class _LinearCrossEntropy(torch.autograd.Function):
    """The sum over rows; the gradients are computed together with the loss, while the scores exist."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        products: torch.dtype,
        smoothing: float,
    ) -> Tensor:
        nats, ctx.gradients = _cross_entropy(x, weight, bias, targets, ctx.needs_input_grad, products, smoothing)
        ctx.save_for_backward(x, weight, bias, targets)
        ctx.products, ctx.smoothing = products, smoothing
        return nats.sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        # They are scaled in place and returned: no copy of a [V, D]. A second backward pass computes them again.
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            x, weight, bias, targets = ctx.saved_tensors
            problem = (x, weight, bias, targets)
            gradients = _cross_entropy(*problem, ctx.needs_input_grad, ctx.products, ctx.smoothing)[1]
        return *(None if gradient is None else gradient.mul_(factor) for gradient in gradients), None, None, None


def _mixture(
    problem: tuple[Tensor, Tensor, Tensor, Tensor],
    share: Tensor,
    others: Tensor,
    wanted: Sequence[bool],
    products: torch.dtype,
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """-log(share · softmax(x Wᵀ + b) of the target + others), [N], and the gradients of the sum by x, W, b and both."""

    def pull(part: slice, nats: Tensor) -> Tensor:
        right = share[part] * nats.neg().exp()  # [n]
        return right / (right + others[part])

    nats, gradients = _cross_entropy(*problem, wanted, products, pull=pull)  # [N]
    right = nats.neg().exp().masked_fill_(problem[3] == IGNORED, 0.0)  # [N]
    total = share * right + others  # [N]
    return total.log().neg_(), (*gradients, (right / total).neg_(), total.reciprocal().neg_())


class _LinearMixture(torch.autograd.Function):
    """The sum over rows; see `_LinearCrossEntropy`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        share: Tensor,
        others: Tensor,
        products: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, bias, targets, share, others)
        ctx.products = products
        nats, ctx.gradients = _mixture(
            (x, weight, bias, targets), share, others, ctx.needs_input_grad[:3], ctx.products
        )
        return nats.sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            *problem, share, others = ctx.saved_tensors
            gradients = _mixture(tuple(problem), share, others, ctx.needs_input_grad[:3], ctx.products)[1]
        found = [None if gradient is None else gradient.mul_(factor) for gradient in gradients]
        return *found[:3], None, *found[3:], None


def linear_cross_entropy(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    *,
    products: torch.dtype | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    r"""The cross-entropy of a linear layer's softmax, :math:`-\sum_n \log \mathrm{softmax}(W x_n + b)_{y_n}`.

    Equal to ``functional.cross_entropy(functional.linear(x, weight, bias), targets, ignore_index=-1,
    reduction="sum")``, in less time and bounded memory: the scores exist for a part of the rows at a time, and their
    gradient replaces them. In float32 (or float64, if `x` is), also under mixed precision.

    Args:
        x: features, [N, D].
        weight: W, [V, D].
        bias: b, [V]; a class with bias -inf has probability zero.
        targets: the correct classes, int64 [N]; `IGNORED` for rows without one.
        products: the precision to which the factors of the gradients' matrix products are rounded; the loss stays
            exact.
        smoothing: ε, see `Softmax.loss`; class 0 has no share of it.

    Returns:
        A scalar, in nats.
    """
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    x, weight, bias = x.to(dtype).contiguous(), weight.to(dtype), bias.to(dtype)
    if torch.is_grad_enabled():
        loss: Callable[..., Tensor] = _LinearCrossEntropy.apply
        return loss(x, weight, bias, targets, products or dtype, smoothing)
    return _cross_entropy(x, weight, bias, targets, (False, False, False), dtype, smoothing)[0].sum()


class Softmax(nn.Module):
    r"""Features → a probability for each word of a vocabulary, :math:`p(w \mid h) = \mathrm{softmax}(W h + b)_w`.

    Word 0, padding, always has probability zero. W is a parameter of the layer; or, *tied*, the table of word
    embeddings passed to every call (Press & Wolf 2017; Inan et al. 2017), after a learned projection if its columns
    are not D; or, with `cutoffs`, an adaptive softmax (Grave et al. 2017, "Efficient softmax approximation for GPUs"):
    words from one cutoff to the next form a cluster with a smaller projection. It needs words in order of decreasing
    frequency.

    Args:
        input_size: D.
        num_words: V, padding included.
        tied_size: E, the columns of the table passed to each call; None for a W of the layer.
        cutoffs: the first word of each cluster, ascending; None for a full softmax.

    Attributes:
        products: the precision to which the factors of the gradients' matrix products are rounded, set for training;
            the loss stays exact.

    Raises:
        ValueError: there are no words; the cutoffs are not ascending within the words, are too many for the number of
            features, or are combined with a tied table.
    """

    def __init__(
        self, input_size: int, num_words: int, *, tied_size: int | None = None, cutoffs: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        if num_words < 2:
            raise ValueError(f"expected padding and at least one word, found {num_words} rows")
        if cutoffs is not None and tied_size is not None:
            raise ValueError("cutoffs cannot be combined with a tied table, choose one of them")
        self.num_words = num_words
        self.tied_size = tied_size
        self.products: torch.dtype | None = None
        self.adaptive = None if cutoffs is None else _adaptive_softmax(input_size, num_words, cutoffs)
        self.bias = nn.Parameter(torch.zeros(num_words)) if cutoffs is None else None
        self.weight = self.project = None
        if tied_size is None and cutoffs is None:
            bound = input_size**-0.5
            self.weight = nn.Parameter(torch.empty(num_words, input_size).uniform_(-bound, bound))
        elif tied_size is not None and tied_size != input_size:
            self.project = nn.Linear(input_size, tied_size, bias=False)
            nn.init.xavier_uniform_(self.project.weight)

    def loss(self, features: Tensor, targets: Tensor, table: Tensor | None = None, *, smoothing: float = 0.0) -> Tensor:
        r"""The negative log-likelihood of the correct words, summed.

        With label smoothing ε (Szegedy et al. 2016) a share of it is that of all words in equal parts:
        :math:`-(1 - ε) \log p_y - ε \frac{1}{V} \sum_w \log p_w`, with V without padding.

        Args:
            features: [N, D]; if they are bfloat16, the factors of the gradients are rounded to it as well.
            targets: the correct words, int64 [N]; `IGNORED` for positions without one. On the CPU or the device of the
                features; for an adaptive softmax they are read, and the latter waits for the device.
            table: the embedding table, [V, E], if the layer is tied.
            smoothing: ε; not with an adaptive softmax.

        Returns:
            A scalar, in nats.

        Raises:
            ValueError: the softmax is adaptive, and the loss is to be smoothed.
        """
        with torch.autocast(features.device.type, enabled=False):
            if self.adaptive is not None:
                if smoothing:
                    raise ValueError("label smoothing needs a full softmax, and this one is adaptive")
                return -self._adaptive_log_probabilities(features, targets).sum()
            products = torch.bfloat16 if features.dtype == torch.bfloat16 else self.products
            targets = to_device(targets, features.device)
            layer = self._layer(features, table)  # [N, D], [V, D], [V]
            return linear_cross_entropy(*layer, targets, products=products, smoothing=smoothing)

    @torch.no_grad()
    def target_log_probabilities(self, features: Tensor, targets: Tensor, table: Tensor | None = None) -> Tensor:
        """The log-probability of each correct word, without gradient.

        Args:
            features: [N, D].
            targets: the correct words, int64 [N]; see `loss`.
            table: the embedding table, [V, E], if the layer is tied.

        Returns:
            float32 [N], in nats; 0 for positions without a target.
        """
        with torch.autocast(features.device.type, enabled=False):
            if self.adaptive is not None:
                return self._adaptive_log_probabilities(features, targets)
            layer, targets = self._layer(features, table), to_device(targets, features.device)
            return -_cross_entropy(*layer, targets, (False, False, False), torch.float32)[0]  # [N]

    def mixture_loss(
        self, features: Tensor, targets: Tensor, share: Tensor, others: Tensor, table: Tensor | None = None
    ) -> Tensor:
        r"""The negative log-likelihood of words that have probability from elsewhere, too, summed.

        :math:`-\sum_n \log(g_n \, p(y_n \mid h_n) + q_n)`. As of `loss`, the scores of all words exist for a part of
        the rows at a time, and are computed once. Not for an adaptive softmax.

        Args:
            features: h, [N, D]; see `loss`.
            targets: y, int64 [N]; `IGNORED` for a word that the vocabulary lacks, whose p is 0.
            share: g, float32 [N].
            others: q, float32 [N], more than 0.
            table: the embedding table, [V, E], if the layer is tied.

        Returns:
            A scalar, in nats.
        """
        with torch.autocast(features.device.type, enabled=False):
            products = torch.bfloat16 if features.dtype == torch.bfloat16 else self.products
            x, weight, bias = self._layer(features, table)  # [N, D], [V, D], [V]
            loss: Callable[..., Tensor] = _LinearMixture.apply
            targets = to_device(targets, x.device)
            return loss(x.contiguous(), weight, bias, targets, share, others, products or torch.float32)

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
                return functional.pad(self.adaptive.log_prob(features.float()), (1, 0), value=-torch.inf)  # [N, V]
            return functional.linear(*self._layer(features, table)).log_softmax(1)  # [N, V]

    def _layer(self, features: Tensor, table: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The arguments of the linear layer that gives the scores: [N, D or E], weight [V, D or E] and bias [V]."""
        assert self.bias is not None
        bias = torch.cat([self.bias.new_full((PADDING + 1,), -torch.inf), self.bias[PADDING + 1 :]])  # [V]
        features = features.float()
        if self.weight is not None:
            return features, self.weight, bias
        shape = [self.num_words, self.tied_size]
        if table is None or list(table.shape) != shape:
            found = "none" if table is None else list(table.shape)
            raise ValueError(f"expected an embedding table of shape {shape}, found {found}")
        return features if self.project is None else self.project(features), table, bias

    def _adaptive_log_probabilities(self, features: Tensor, targets: Tensor) -> Tensor:
        targets = targets.cpu()
        known = (targets != IGNORED).nonzero().squeeze(1)  # [n]
        # In parts, since scores of all words would take many times the memory of the features.
        parts = [known] if torch.is_grad_enabled() else known.split(_ADAPTIVE_ROWS)  # each [n]
        found = torch.cat([self._in_clusters(features, part, targets[part] - 1) for part in parts])
        nothing = features.new_zeros(len(targets), dtype=torch.float32)
        return nothing.index_put((to_device(known, features.device),), found)  # [N]

    def _in_clusters(self, features: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
        """The log-probabilities of words by their clusters, as torch's `AdaptiveLogSoftmaxWithLoss` computes them.

        Which rows belong to which cluster is found on the CPU, so that no number has to be read from the device.

        Args:
            features: [N, D].
            rows: of which features, int64 [n], on the CPU.
            targets: the word of each, without padding, int64 [n], on the CPU.

        Returns:
            float32 [n].
        """
        adaptive = self.adaptive
        assert adaptive is not None
        first, device = adaptive.cutoffs[0], features.device
        inner = targets  # [n], the word or, of other clusters, the place of the cluster in the first one
        clusters: list[tuple[nn.Module, Tensor, Tensor]] = []
        for number, (begin, end) in enumerate(pairwise(adaptive.cutoffs)):
            places = ((targets >= begin) & (targets < end)).nonzero().squeeze(1)  # [m]
            if len(places):
                inner = inner.index_fill(0, places, first + number)
                clusters.append((adaptive.tail[number], places, targets[places] - begin))
        # One copy for all.
        indices = torch.cat([rows, inner, *(index for _, *pair in clusters for index in pair)])
        sizes = [len(rows), len(rows), *(len(places) for _, places, _ in clusters for _ in range(2))]
        rows, inner, *others = to_device(indices, device).split(sizes)
        x = features[rows].float()  # [n, D]
        found = x.new_zeros(len(x))  # [n]
        for (tail, *_), places, words in zip(clusters, others[::2], others[1::2], strict=True):
            within = tail(x.index_select(0, places)).log_softmax(1)  # [m, words]
            found = found.index_copy(0, places, within.gather(1, words.unsqueeze(1)).squeeze(1))
        heads: Tensor = adaptive.head(x).log_softmax(1)  # [n, words of the first cluster and other clusters]
        return found + heads.gather(1, inner.unsqueeze(1)).squeeze(1)

    def extra_repr(self) -> str:
        """The arguments, for `repr`."""
        return f"num_words={self.num_words}, tied_size={self.tied_size}"


def _adaptive_softmax(input_size: int, num_words: int, cutoffs: Sequence[int]) -> nn.AdaptiveLogSoftmaxWithLoss:
    """An adaptive softmax over all words except padding, with ids lower by one."""
    bounds = [PADDING + 1, *cutoffs, num_words]
    if not cutoffs or any(begin >= end for begin, end in pairwise(bounds)):
        raise ValueError(f"expected ascending cutoffs in 2 … {num_words - 1}, found {list(cutoffs)}")
    least = _SHRINK ** len(cutoffs)
    if input_size < least:
        raise ValueError(f"expected at least {least} features for {len(cutoffs)} cutoffs, found {input_size}")
    return nn.AdaptiveLogSoftmaxWithLoss(input_size, num_words - 1, [c - 1 for c in cutoffs], _SHRINK, head_bias=True)
