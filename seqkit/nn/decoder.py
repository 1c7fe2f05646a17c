"""A recurrent decoder that looks back at the encoder's outputs: attention, input feeding, copying, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.attention import Attention, Memory
from seqkit.nn.condition import InitialState
from seqkit.nn.encoder import Encoder
from seqkit.nn.feeding import FeedingLoop
from seqkit.nn.pooling import make_pooling
from seqkit.nn.recurrent import State
from seqkit.nn.recurrent.fused import LSTM
from seqkit.nn.recurrent.semantic import SemanticLSTM, reading_cost
from seqkit.nn.sequences import SequenceDropout, running_sum, to_device
from seqkit.nn.softmax import IGNORED, PADDING, Softmax

_TINY = 1e-30
"""added to a probability before its logarithm, where a word can neither be written nor copied"""


class Source(NamedTuple):
    """What is decoded from.

    Attributes:
        memory: the encoder's outputs as attention reads them.
        state: the state of every layer before the first unit.
        copies: the unit that each step would be copied as, int64 [B, T], V and more for those that the vocabulary
            lacks, `PADDING` past a sequence's end; None without copying.
        units: how many units can be written or copied; 0 without copying.
    """

    memory: Memory
    state: tuple[State, ...]
    copies: Tensor | None = None
    units: int = 0


class Steps(NamedTuple):
    """What a decoder makes of its inputs at L steps.

    Attributes:
        features: what the output layer reads, [B, L, A].
        weights: how much each step looks at each of the memory, [B, N, L, T]; without dropout.
        generate: the probability that a unit is written and not copied, [B, L]; None without copying.
        acts: what there is of a dialogue act before and after each step, [B, L, 2, F]; None but in training and of the
            cell ``sc_lstm``.
    """

    features: Tensor
    weights: Tensor
    generate: Tensor | None
    acts: Tensor | None = None


class Carried(NamedTuple):
    """What a step takes over from the one before.

    Attributes:
        layers: the state of every layer.
        fed: the features of the step before, [B, A]; without input feeding [B, 0].
        covered: the sum of the weights of all steps before, [B, N, T].
    """

    layers: tuple[State, ...]
    fed: Tensor
    covered: Tensor


class Decoder(nn.Module):
    r"""An attentional decoder.

    .. math::
        s_t &= f(s_{t-1}, [e(y_{t-1}); a_{t-1}]), \qquad
        c_t = \sum_j \alpha_{tj} m_j, \quad \alpha_t = \mathrm{attention}(s_t, m) \\
        a_t &= \tanh(W_s s_t + W_c c_t + b), \qquad p(y_t) = \mathrm{softmax}(W a_t + b)_{y_t}

    :math:`a_{t-1}` joins the input only with input feeding (Luong, Pham & Manning 2015); without it nothing of a step
    but the state depends on the one before, and all steps of a known text are computed in one call. The first state is
    :math:`\tanh(W_0 h + b_0)` for each part of each layer's state, of the encoder's last outputs h in each direction.

    With `copy` (the pointer-generator of See, Liu & Manning 2017, "Get to the point") a step also writes a unit of the
    source, in proportion to the attention at the places where it stands:
    :math:`p(y) = g\, p_{softmax}(y) + (1 - g) \sum_{j: x_j = y} \alpha_{tj}`, with
    :math:`g = \sigma(w^\top [s_t; c_t; e(y_{t-1})] + b)`.

    Args:
        memory_size: M, the size of the encoder's outputs.
        forward_size: how many of their leading features read left to right.
        num_units: V, padding and unknown included; padding is never predicted.
        size: E, the size of the units' vectors.
        layers: the recurrent layers, which read forward; made for inputs of `input_size`.
        attention: looks at the memory, for queries of their output size.
        feeding: whether the features of a step join the input of the next.
        copy: whether units of the source may be copied.
        tied: whether the output layer shares the units' vectors (Press & Wolf 2017).
        shared: whether these are passed to every call as `table`, [V, E], and not the decoder's own.
        dropout: the probability of dropping a feature of the units' vectors, and of the features before the softmax.
        word_dropout: the probability of replacing a unit that is read by `unknown` in training.
        sampling: in training, the probability of reading the unit that the decoder finds most probable itself
            (scheduled sampling: Bengio et al. 2015).
        unknown: the id of the unknown unit.

    Raises:
        ValueError: the layers do not read what the decoder gives them.
    """

    def __init__(
        self,
        memory_size: int,
        forward_size: int,
        num_units: int,
        size: int,
        layers: Encoder,
        attention: Attention,
        *,
        feeding: bool = True,
        copy: bool = False,
        tied: bool = False,
        shared: bool = False,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        sampling: float = 0.0,
        unknown: int = 1,
    ) -> None:
        super().__init__()
        features = layers.output_size
        expected = self.input_size(size, features, feeding=feeding)
        if layers.input_size != expected:
            raise ValueError(f"expected layers that read {expected} features, found {layers.input_size}")
        self.num_units = num_units
        self.feeding = feeding
        self.word_dropout = word_dropout
        self.sampling = sampling
        self.unknown = unknown
        self.table = None if shared else nn.Parameter(torch.empty(num_units, size).uniform_(-0.1, 0.1))
        self.layers = layers
        self.attention = attention
        self.last = make_pooling("last", memory_size, forward_size)
        self.bridge = InitialState(memory_size, layers.layers)
        self.readout = nn.Linear(features + attention.output_size, features)
        nn.init.xavier_uniform_(self.readout.weight)
        self.gate = nn.Linear(features + attention.output_size + size, 1) if copy else None
        self.tied = tied
        self.output = Softmax(features, num_units, tied_size=size if tied else None)
        self.input_dropout = SequenceDropout(dropout, variational=False)
        self.output_dropout = SequenceDropout(dropout, variational=False)

    @staticmethod
    def input_size(size: int, features: int, *, feeding: bool) -> int:
        """What the layers read: a unit's vector and, with input feeding, the features of the step before."""
        return size + (features if feeding else 0)

    # --- the source -----------------------------------------------------------------------------------------------

    def read(self, outputs: Tensor, lengths: Tensor, copies: Tensor | None = None, act: Tensor | None = None) -> Source:
        """Prepare what is decoded from.

        Args:
            outputs: the encoder's outputs, [B, T, M], T ≥ 1.
            lengths: steps of each sequence, int64 [B], on the CPU, each at least 1.
            copies: see `Source`; on the CPU, or the device is waited for.
            act: the dialogue act that the cell ``sc_lstm`` is given, [B, F].

        Returns:
            See `Source`.
        """
        state, memory = self.bridge(self.last(outputs, lengths), act), self.attention.prepare(outputs, lengths)
        if self.gate is None or copies is None:
            return Source(memory, state)
        units = max(self.num_units, int(copies.max()) + 1)
        return Source(memory, state, to_device(copies, outputs.device), units)

    def begin(self, source: Source) -> Carried:
        """What the first step takes over.

        Args:
            source: what is decoded from.

        Returns:
            See `Carried`.
        """
        first = source.state[0][0]  # [B, H]
        fed = first.new_zeros(len(first), self.readout.out_features if self.feeding else 0)  # [B, A]
        batch, heads, steps, _ = source.memory.keys.shape
        return Carried(source.state, fed, first.new_zeros(batch, heads, steps))

    # --- training -------------------------------------------------------------------------------------------------

    @staticmethod
    def before(targets: Tensor, end: int) -> Tensor:
        """What is read before each of the right units: the end that stands before a text, then its units.

        Args:
            targets: the right units, int64 [B, L].
            end: the unit that ends a text.

        Returns:
            Int64 [B, L].
        """
        return functional.pad(targets[:, :-1], (1, 0), value=end)  # [B, L]

    def steps(self, source: Source, units: Tensor, table: Tensor | None = None) -> Steps:
        """Read known units.

        Args:
            source: what is decoded from.
            units: what is read at each step: the end that stands before a text, then its units; int64 [B, L], on
                the CPU or the device.
            table: the units' vectors, [V, E], where they are shared.

        Returns:
            See `Steps`.
        """
        x = self.input_dropout(self._embedded(units, table))  # [B, L, E]
        if not self._in_order:
            lengths = torch.full((len(x),), x.shape[1], dtype=torch.int64)  # [B]; what is after a text's end is no loss
            states = self.layers(x, lengths, source.state).outputs  # [B, L, H]
            means, weights = self.attention(states, source.memory)  # [B, L, M], [B, N, L, T]
            return self._read_out(x, states, means, weights)
        if self._is_plain and not (self.training and self.sampling):
            return self._fed(source, x)
        carried = self.begin(source)
        found: list[Steps] = []
        for step in x.unbind(1):
            if self.training and self.sampling and found:
                step = self._sampled(step, found[-1], table)
            now, carried = self._step(step, source.memory, carried)
            found.append(now)
        features, weights, generate, acts = zip(*found, strict=True)
        return Steps(
            torch.cat(features, 1),
            torch.cat(weights, 2),
            None if self.gate is None else torch.cat(generate, 1),
            None if acts[0] is None else torch.cat(acts, 1),
        )

    @property
    def _in_order(self) -> bool:
        """Whether a step needs more of the one before than the state."""
        return self.feeding or self.attention.coverage is not None or (self.training and self.sampling > 0)

    @property
    def _is_plain(self) -> bool:
        """Whether all steps are one operation: an LSTM of one layer, and products for attention."""
        layers, attention = self.layers.layers, self.attention
        products = attention.kind != "additive" and attention.heads == 1 and not (attention.window or attention.dropout)
        return len(layers) == 1 and isinstance(layers[0], LSTM) and products and self.gate is None and self.feeding

    def _fed(self, source: Source, x: Tensor) -> Steps:
        """The steps with input feeding as one operation: x is [B, L, E]."""
        (layer,) = self.layers.layers
        assert isinstance(layer, LSTM)
        w_ih, w_hh, b_ih, b_hh = layer.rnn.parameters()
        size, features = layer.hidden_size, self.readout.out_features
        pre = functional.linear(x.transpose(0, 1), w_ih[:, : x.shape[2]], b_ih + b_hh)  # [L, B, 4 H]
        dropped = layer.dropped()
        recurrent = torch.cat([w_hh if dropped is None else dropped, w_ih[:, x.shape[2] :]], 1)  # [4 H, H + A]
        keys, values = source.memory.keys.squeeze(1), source.memory.values.squeeze(1)  # [B, T, H], [B, T, M]
        seen = functional.linear(values, self.readout.weight[:, size:])  # [B, T, A]
        mask = None
        if self.training and self.output_dropout.p:
            kept = 1.0 - self.output_dropout.p
            mask = pre.new_empty(pre.shape[0], pre.shape[1], features).bernoulli_(kept).div_(kept)  # [L, B, A]
        dtype = pre.dtype
        h, c = source.state[0]  # each [B, H]
        out, weights = FeedingLoop.apply(  # type: ignore[no-untyped-call]
            pre.float(),
            h.float(),
            c.float(),
            recurrent.to(dtype),
            keys.to(dtype),
            seen.to(dtype),
            source.memory.mask[:, 0, 0].float(),
            self.readout.weight[:, :size].to(dtype),
            self.readout.bias,
            mask,
            self.output.products,
        )
        return Steps(out.transpose(0, 1), weights.transpose(0, 1).unsqueeze(1), None)

    @torch.no_grad()
    def _best(self, before: Steps, table: Tensor | None) -> Tensor:
        return self.output.log_probabilities(before.features.squeeze(1), self._output_table(table)).argmax(1)  # [B]

    def _sampled(self, x: Tensor, before: Steps, table: Tensor | None) -> Tensor:
        """The vectors of units, [B, E], some of them of what the step before would have written."""
        best = self.input_dropout(self._embedded(self._best(before, table).unsqueeze(1), table)).squeeze(1)  # [B, E]
        taken = torch.rand(len(x), 1, device=x.device) < self.sampling  # [B, 1]
        return torch.where(taken, best, x)

    def _embedded(self, units: Tensor, table: Tensor | None) -> Tensor:
        vectors = self.table if table is None else table
        assert vectors is not None
        units = to_device(units, vectors.device)
        known = units.masked_fill(units >= self.num_units, self.unknown)  # [B, L]; a copied one may have no vector
        if self.training and self.word_dropout:
            dropped = torch.rand(known.shape, device=known.device) < self.word_dropout  # [B, L]
            known = known.masked_fill(dropped, self.unknown)
        return functional.embedding(known.clamp(min=PADDING), vectors)  # [B, L, E]

    def _step(self, x: Tensor, memory: Memory, carried: Carried) -> tuple[Steps, Carried]:
        """One step: x is [B, E]."""
        joined = torch.cat([x, carried.fed], 1) if self.feeding else x  # [B, E (+ A)]
        ones = torch.ones(len(x), dtype=torch.int64)  # [B]
        states, layers = self.layers(joined.unsqueeze(1), ones, carried.layers, return_state=True)  # [B, 1, H]
        means, weights = self.attention(states, memory, carried.covered)  # [B, 1, M], [B, N, 1, T]
        found = self._read_out(x.unsqueeze(1), states, means, weights)
        fed = found.features.squeeze(1) if self.feeding else carried.fed  # [B, A]
        return found, Carried(layers, fed, carried.covered + weights.squeeze(2))

    def _read_out(self, x: Tensor, states: Tensor, means: Tensor, weights: Tensor) -> Steps:
        seen = torch.cat([states, means], 2)  # [B, L, H + M]
        features = self.output_dropout(torch.tanh(self.readout(seen)))  # [B, L, A]
        generate = None if self.gate is None else torch.sigmoid(self.gate(torch.cat([seen, x], 2))).squeeze(2)  # [B, L]
        acts = None if self.cell is None else self.cell.take_acts()  # [B, L + 1, F]
        pairs = None if acts is None else torch.stack([acts[:, :-1], acts[:, 1:]], 2)  # [B, L, 2, F]
        return Steps(features, weights, generate, pairs)

    @property
    def cell(self) -> SemanticLSTM | None:
        """The layer that is given a dialogue act, if it is of the cell ``sc_lstm``."""
        layer = self.layers.layers[0]
        return layer if isinstance(layer, SemanticLSTM) else None

    def nats(
        self, source: Source, steps: Steps, targets: Tensor, table: Tensor | None = None, smoothing: float = 0.0
    ) -> Tensor:
        """The summed negative log-likelihood of the right units.

        Args:
            source: what was decoded from.
            steps: what `steps` gave for the units before them.
            targets: the right units, int64 [B, L], V and more for copies, `IGNORED` past a text's end; on the CPU, or
                the device is waited for.
            table: the units' vectors, where they are shared.
            smoothing: see `seqkit.nn.softmax.Softmax.loss`; not with copying.

        Returns:
            A scalar, in nats.
        """
        table = self._output_table(table)
        flat = targets.flatten()  # [B · L]
        places = (flat != IGNORED).nonzero().squeeze(1)  # [n]
        right, places = flat[places], to_device(places, steps.features.device)
        features = steps.features.flatten(0, 1).index_select(0, places)  # [n, A]
        if self.gate is None:
            return self.output.loss(features, right, table, smoothing=smoothing)
        share, copied = self._copied(source, steps, targets)  # [B, L] each
        written = right.masked_fill(right >= self.num_units, IGNORED)  # [n]
        others = ((1 - share) * copied + _TINY).flatten().index_select(0, places)  # [n]
        return self.output.mixture_loss(features, written, share.flatten().index_select(0, places), others, table)

    @staticmethod
    def reading_loss(steps: Steps, targets: Tensor) -> Tensor:
        """What it costs that a dialogue act is not said, or all at once; see `reading_cost`.

        Args:
            steps: what `steps` gave in training.
            targets: see `nats`.

        Returns:
            A scalar, the sum over all texts; zero without a dialogue act.
        """
        if steps.acts is None:
            return steps.features.new_zeros(())
        lengths = (targets != IGNORED).sum(1).cpu()  # [B]
        return reading_cost(torch.cat([steps.acts[:, :1, 0], steps.acts[:, :, 1]], 1), lengths)

    def coverage_loss(self, steps: Steps, targets: Tensor) -> Tensor:
        r"""What was looked at again, :math:`\sum_t \sum_j \min(\alpha_{tj}, \sum_{t' < t} \alpha_{t'j})` (See 2017).

        Args:
            steps: what `steps` gave.
            targets: see `nats`; on the CPU or the device.

        Returns:
            A scalar, the sum over all texts, the mean over heads.
        """
        before = running_sum(steps.weights, 2) - steps.weights  # [B, N, L, T]
        again = torch.minimum(steps.weights, before).sum(3).mean(1)  # [B, L]
        return again.masked_fill(to_device(targets == IGNORED, again.device), 0.0).sum()

    def _output_table(self, table: Tensor | None) -> Tensor | None:
        return (self.table if table is None else table) if self.tied else None

    # --- probabilities --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def target_log_probabilities(
        self, source: Source, steps: Steps, targets: Tensor, table: Tensor | None = None
    ) -> Tensor:
        """ln p of the right units, without gradient.

        Args:
            source: see `nats`.
            steps: see `nats`.
            targets: see `nats`; on the CPU or the device.
            table: see `nats`.

        Returns:
            float32 [B, L]; 0 past a text's end.
        """
        table = self._output_table(table)
        features, flat = steps.features.flatten(0, 1), targets.flatten()  # [B · L, A], [B · L]
        written = flat.masked_fill(flat >= self.num_units, IGNORED)  # [B · L]
        found = self.output.target_log_probabilities(features, written, table).view(targets.shape)  # [B, L]
        if self.gate is None:
            return found
        share, copied = self._copied(source, steps, targets)  # [B, L] each
        known = to_device(written != IGNORED, found.device).view(targets.shape)  # [B, L]
        total = share * found.exp() * known + (1 - share) * copied + _TINY  # [B, L]
        return total.log().masked_fill(to_device(targets == IGNORED, found.device), 0.0)

    @staticmethod
    def _copied(source: Source, steps: Steps, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The probability that each unit is written and not copied, and else that the right one is copied, [B, L]."""
        assert source.copies is not None and steps.generate is not None
        weights = steps.weights.float().mean(1)  # [B, L, T]
        alike = to_device(targets, weights.device).unsqueeze(2) == source.copies.unsqueeze(1)  # [B, L, T]
        return steps.generate.float(), (weights * alike).sum(2)

    def next(
        self, units: Tensor, source: Source, carried: Carried, table: Tensor | None = None
    ) -> tuple[Tensor, Carried]:
        """One step of a search.

        Args:
            units: the last unit of each text, int64 [B].
            source: what is decoded from, of each text.
            carried: what the step before left.
            table: the units' vectors, where they are shared.

        Returns:
            ln p of every unit as the next, float32 [B, V, or more where units can be copied that it lacks], and what
            the next step takes over.
        """
        x = self._embedded(units.unsqueeze(1), table).squeeze(1)  # [B, E]
        steps, after = self._step(x, source.memory, carried)
        found = self.output.log_probabilities(steps.features.squeeze(1), self._output_table(table))  # [B, V]
        if source.copies is None or steps.generate is None:
            return found, after
        weights = steps.weights.float().mean(1).squeeze(1)  # [B, T]
        copied = weights.new_zeros(len(weights), source.units).scatter_add_(1, source.copies, weights)  # [B, V']
        copied[:, PADDING] = 0.0
        written = functional.pad(found.exp(), (0, source.units - self.num_units))  # [B, V']
        share = steps.generate.float()  # [B, 1]
        return (share * written + (1 - share) * copied).log(), after


def select_source(source: Source, index: Tensor) -> Source:
    """What is decoded from, of some texts.

    Args:
        source: of B texts.
        index: which, int64 [M].

    Returns:
        Of M texts.
    """
    copies = None if source.copies is None else source.copies.index_select(0, index)
    return Source(source.memory.rows(index), select_layers(source.state, index), copies, source.units)


def select_layers(state: Sequence[State], index: Tensor) -> tuple[State, ...]:
    """The states of some texts."""
    return tuple(tuple(part.index_select(0, index) for part in layer) for layer in state)
