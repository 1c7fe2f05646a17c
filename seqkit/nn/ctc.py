r"""Connectionist temporal classification: a short sequence of symbols from a long sequence of steps, without alignment.

Of every step there is a distribution over K symbols and a blank. A path takes one of them at each step; it spells the
text that is left when equal neighbours are merged and blanks are removed: ``a a - a b -`` spells ``a a b``. A text has
the probability of all paths that spell it (Graves, Fernández, Gomez and Schmidhuber 2006, "Connectionist temporal
classification: labelling unsegmented sequence data with recurrent neural networks"):

.. math:: p(y | x) = \sum_{\pi \text{ spells } y} \prod_{t=1}^T p_t(\pi_t)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.sequences import check_padded, to_device, token_mask

BLANK = 0
"""the id of the blank; symbols have ids from 1 on"""


class Alignment(NamedTuple):
    """A text and where its symbols are.

    Attributes:
        symbols: the ids of the text's symbols, L of them.
        first: the first step of each, from 0 on.
        last: the last step of each, included.
        posteriors: of each the largest probability that it has at one of its steps. (The mean would be lower, the more
            steps a path gives to a symbol on its way from and to the blank, however certain the symbol is.)
    """

    symbols: list[int]
    first: list[int]
    last: list[int]
    posteriors: list[float]


class CTC(nn.Module):
    r"""Scores of K symbols and a blank from an encoder's outputs, and their loss.

    .. math:: \ell = -\frac1B \sum_{b=1}^B \ln p(y_b | x_b)

    Args:
        input_size: D of the encoder.
        num_symbols: K, without the blank.
        dropout: the probability of dropping a feature of the encoder's outputs.

    Raises:
        ValueError: there is no symbol.
    """

    def __init__(self, input_size: int, num_symbols: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if num_symbols < 1:
            raise ValueError(f"expected at least one symbol, found num_symbols={num_symbols}")
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(input_size, num_symbols + 1)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """The log-probabilities of the symbols at every step, in float32 also under mixed precision.

        Args:
            outputs: the encoder's outputs, [B, T, D].

        Returns:
            ln p, [B, T, K + 1], that of the blank first; float64 if the layer is.
        """
        with torch.autocast(outputs.device.type, enabled=False):
            scores: Tensor = self.output(self.dropout(outputs.to(self.output.weight.dtype)))  # [B, T, K + 1]
            return scores.log_softmax(2)

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """The training loss in nats: the negative log-likelihood of whole texts, the mean over the sequences.

        Args:
            outputs: the encoder's outputs, [B, T, D].
            lengths: steps of each sequence, int64 [B], on the CPU.
            targets: the symbols of each text, int64 [B, L], each in 1…K, `BLANK` past its end.

        Returns:
            A scalar; 0 for no sequences.

        Raises:
            ValueError: a shape, type, length or symbol is not as said above, or a text needs more steps than its
                sequence has, see `steps_needed`.
        """
        targets = _checked(targets, len(outputs), self.output.out_features)
        _check_possible(targets, lengths)
        found = log_likelihood(self.log_probabilities(outputs), lengths, targets)  # [B]
        return -found.sum() / max(1, len(found))

    def extra_repr(self) -> str:
        """K, for `repr`."""
        return f"num_symbols={self.output.out_features - 1}"


def steps_needed(symbols: Sequence[int]) -> int:
    """The least number of steps whose path can spell a text: equal neighbours need a blank between them.

    Args:
        symbols: the ids of the text's symbols.

    Returns:
        The number of symbols and of equal neighbours.

    Examples:
        >>> steps_needed([2, 2, 2, 1]), steps_needed([])
        (6, 0)
    """
    return len(symbols) + sum(left == right for left, right in pairwise(symbols))


def _steps_needed(targets: Tensor) -> Tensor:
    """The same of padded texts [B, L], int64 [B]."""
    repeated = (targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] != BLANK)  # [B, L - 1]
    return (targets != BLANK).sum(1) + repeated.sum(1)


def log_likelihood(log_probabilities: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """ln p(text | sequence) in nats, exactly: all paths that spell the text are summed by the forward algorithm.

    The gradient is right if the log-probabilities are those of a softmax.

    Args:
        log_probabilities: ln p of every symbol at every step, [B, T, K + 1], that of `BLANK` first; those past a
            sequence's end have no influence.
        lengths: steps of each sequence, int64 [B], on the CPU.
        targets: the symbols of each text, int64 [B, L], each in 1…K, `BLANK` past its end.

    Returns:
        [B], at most 0 up to rounding, float32, or float64 if the log-probabilities are; -inf with a gradient of zero
        where a text needs more steps than there are. The empty text of a sequence without steps has 0.

    Raises:
        ValueError: a shape, type, length or symbol is not as said above.
    """
    check_padded(log_probabilities, lengths, log_probabilities.shape[-1], "log-probabilities")
    device = log_probabilities.device
    targets = _checked(targets, *log_probabilities.shape[::2])
    sizes, needed = (targets != BLANK).sum(1), _steps_needed(targets)  # [B] each
    exact = torch.float64 if log_probabilities.dtype == torch.float64 else torch.float32
    impossible = needed > lengths  # [B]
    nothing = torch.zeros(len(targets), dtype=exact).masked_fill_(impossible, -torch.inf)  # [B]
    # With no number of the others, which may be NaN, but with a gradient.
    found = to_device(nothing, device) + log_probabilities.flatten()[:0].sum()  # [B]
    # torch's gives inf or an error for the others, depending on its version and the device.
    rows = (~impossible & (lengths > 0)).nonzero().flatten()  # [B']
    if not len(rows):
        return found
    lengths, sizes = lengths[rows], sizes[rows]  # [B'] each
    targets = targets[rows, : int(sizes.max())]  # [B', L']
    if not targets.shape[1]:
        targets = functional.pad(targets, (0, 1), value=1)  # a column that is not read, since some versions expect one
    index, steps = to_device(rows, device), int(lengths.max())
    inputs = log_probabilities[index, :steps].to(exact)  # [B', T', K + 1]
    # What lies past the end may be NaN, which its gradient of zero would not stop.
    inputs = inputs.masked_fill(~token_mask(lengths, inputs).unsqueeze(2), 0.0).transpose(0, 1)  # [T', B', K + 1]
    # Where only deterministic kernels are allowed, a GPU has none for this loss, and Apple's have none at all.
    if device.type == "mps" or (device.type == "cuda" and torch.are_deterministic_algorithms_enabled()):
        inputs = inputs.cpu()
    with torch.autocast(device.type, enabled=False):
        losses = functional.ctc_loss(
            inputs, to_device(targets, inputs.device), lengths, sizes, blank=BLANK, reduction="none"
        )  # [B']
    return found.index_put((index,), -to_device(losses, device))


def _checked(targets: Tensor, batch: int, size: int) -> Tensor:
    """Targets on the CPU, if they are texts of symbols from 1 to size - 1."""
    if targets.dim() != 2 or len(targets) != batch or targets.dtype != torch.int64:
        found = f"{targets.dtype} of shape {list(targets.shape)}"
        raise ValueError(f"expected targets as torch.int64 of shape [{batch}, L], found {found}")
    targets = targets.cpu()
    if not targets.numel():
        return targets
    least, most = int(targets.min()), int(targets.max())
    if least < BLANK or most >= size:
        raise ValueError(f"expected symbols from 1 to {size - 1}, found {least} to {most}")
    if bool(((targets[:, :-1] == BLANK) & (targets[:, 1:] != BLANK)).any()):
        raise ValueError("expected blanks only past the end of a text, found one before a symbol")
    return targets


def _check_possible(targets: Tensor, lengths: Tensor) -> None:
    """Check that the texts have as many steps as they need."""
    needed = _steps_needed(targets)  # [B]
    for row in (needed > lengths).nonzero().flatten().tolist():
        found = f"found {int(lengths[row])}; use fewer frames a step, or leave the record out"
        raise ValueError(f"expected at least {int(needed[row])} steps for the text of row {row}, {found}")


@torch.no_grad()
def greedy(log_probabilities: Tensor, lengths: Tensor) -> list[Alignment]:
    """The text that the most probable path of each sequence spells, which need not be the most probable text.

    Args:
        log_probabilities: ln p of every symbol at every step, [B, T, K + 1], that of `BLANK` first.
        lengths: steps of each sequence, int64 [B], on the CPU.

    Returns:
        One text a sequence. Of equally probable symbols the one with the lowest id is taken.

    Raises:
        ValueError: a shape, type or length is not as said above.
    """
    check_padded(log_probabilities, lengths, log_probabilities.shape[-1], "log-probabilities")
    peaks, path = (found.cpu() for found in log_probabilities.max(2))  # [B, T] each
    return _runs(path.masked_fill_(~token_mask(lengths, path), BLANK), peaks)


def _runs(path: Tensor, scores: Tensor) -> list[Alignment]:
    """The texts that paths [B, T] of symbols on the CPU spell, given ln p of each step's symbol, [B, T]."""
    changes = torch.ones_like(path, dtype=torch.bool)  # [B, T], where another symbol begins
    changes[:, 1:] = path[:, 1:] != path[:, :-1]
    flat = changes.flatten()  # [B · T]
    begins = flat.nonzero().flatten()  # [R], runs of equal symbols, each in one row
    ends = torch.cat([begins[1:], begins.new_tensor([flat.numel()])[: len(begins)]]) - 1  # [R]
    peaks = scores.new_full(begins.shape, -torch.inf)  # [R]
    peaks.scatter_reduce_(0, flat.cumsum(0) - 1, scores.flatten(), "amax")
    kept = (path.flatten()[begins] != BLANK).nonzero().flatten()  # [S]
    begins, ends, peaks = begins[kept], ends[kept], peaks[kept]
    steps = max(1, path.shape[1])
    counts = (begins // steps).bincount(minlength=len(path)).tolist()
    columns = path.flatten()[begins], begins % steps, ends % steps, peaks.exp()
    parts = (column.split(counts) for column in columns)
    return [Alignment(*(part.tolist() for part in row)) for row in zip(*parts, strict=True)]


@torch.no_grad()
def align(log_probabilities: Tensor, lengths: Tensor, targets: Tensor) -> list[Alignment]:
    """Forced alignment: where the symbols of given texts are on the most probable path that spells each (Viterbi).

    Args:
        log_probabilities: ln p of every symbol at every step, [B, T, K + 1], that of `BLANK` first.
        lengths: steps of each sequence, int64 [B], on the CPU.
        targets: the symbols of each text, int64 [B, L], each in 1…K, `BLANK` past its end.

    Returns:
        One text a sequence.

    Raises:
        ValueError: a shape, type, length or symbol is not as said above, or a text needs more steps than its sequence
            has, see `steps_needed`.
    """
    check_padded(log_probabilities, lengths, log_probabilities.shape[-1], "log-probabilities")
    targets = _checked(targets, *log_probabilities.shape[::2])
    _check_possible(targets, lengths)
    values = log_probabilities.cpu()
    batch, steps, _ = values.shape
    # The places of a path: blanks at the even ones, the symbols at the odd ones.
    places = functional.pad(targets.repeat_interleave(2, 1), (1, 0))  # [B, W], W = 2 L + 1
    places[:, ::2] = BLANK
    skips = torch.zeros(places.shape, dtype=torch.bool)  # [B, W], whether a place may follow the one before the last
    skips[:, 2:] = (places[:, 2:] != BLANK) & (places[:, 2:] != places[:, :-2])
    skips[:, 1:2] = True
    closed = torch.zeros(places.shape, dtype=values.dtype).masked_fill_(~skips, -torch.inf)  # [B, W]
    # Two places in front, which a path never returns to; it begins in the second, and so reaches the first two places.
    best = values.new_full((batch, places.shape[1] + 2), -torch.inf)  # [B, 2 + W]
    best[:, 1] = 0.0
    moves = torch.zeros(steps, *places.shape, dtype=torch.uint8)  # [T, B, W], how many places on
    finals = best.clone()  # [B, 2 + W], as it was after the last step of each row
    for step in range(steps):
        choices = torch.stack([best[:, 2:], best[:, 1:-1], best[:, :-2] + closed])  # [3, B, W]
        found, moved = choices.max(0)  # [B, W] each
        moves[step] = moved
        best[:, 2:] = found + values[:, step].gather(1, places)
        best[:, 1] = -torch.inf
        ending = lengths == step + 1
        finals[ending] = best[ending]
    last = 2 * (targets != BLANK).sum(1, keepdim=True)  # [B, 1], the blank after the last symbol
    ends = finals.gather(1, torch.cat([last + 2, last + 1], 1))  # [B, 2]
    place = last - ends.argmax(1, keepdim=True)  # [B, 1]
    path = torch.zeros(batch, steps, dtype=torch.int64)  # [B, T]
    for step in reversed(range(steps)):
        inside = (lengths > step).unsqueeze(1)  # [B, 1]
        now = place.clamp(min=0)
        path[:, step : step + 1] = places.gather(1, now) * inside
        place = place - moves[step].gather(1, now) * inside
    return _runs(path, values.gather(2, path.unsqueeze(2)).squeeze(2))
