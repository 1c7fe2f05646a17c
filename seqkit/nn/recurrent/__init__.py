r"""One recurrent layer in one direction: the equation of a cell, unrolled over time.

Every layer is called as ``(x [B, T, I], state) → (outputs [B, T, H], state)``. A state is a tuple of tensors
[B, H], one for each thing the cell remembers: ``(h,)``, or ``(h, c)`` for the LSTM. `CELLS` has one row a cell.
"""

from __future__ import annotations

from typing import Any

from seqkit.nn.recurrent.clockwork import ClockworkRNN
from seqkit.nn.recurrent.fused import GRU, LSTM, FusedLayer, IdentityRNN, ReluRNN, TanhRNN
from seqkit.nn.recurrent.layer import INITS, RecurrentLayer, State
from seqkit.nn.recurrent.parallel import MinGRU, MinLSTM, RunningSum, linear_scan
from seqkit.nn.recurrent.unrolled import CoupledLSTM, DepthGatedLSTM, LinearRNN, PeepholeLSTM, SimpleGRU

__all__ = ["CELLS", "INITS", "FusedLayer", "RecurrentLayer", "State", "linear_scan", "make_layer"]

CELLS: dict[str, type[RecurrentLayer]] = {
    "lstm": LSTM,
    "gru": GRU,
    "rnn_tanh": TanhRNN,
    "rnn_relu": ReluRNN,
    "irnn": IdentityRNN,
    "rnn_linear": LinearRNN,
    "lstm_peephole": PeepholeLSTM,
    "lstm_coupled": CoupledLSTM,
    "lstm_depth": DepthGatedLSTM,
    "gru_simple": SimpleGRU,
    "clockwork": ClockworkRNN,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "running_sum": RunningSum,
}


def make_layer(
    cell: str, input_size: int, hidden_size: int, *, below: bool = False, above: bool = False, **options: Any
) -> RecurrentLayer:
    """Build the layer that `CELLS` has under a name.

    Args:
        cell: a key of `CELLS`.
        input_size: I.
        hidden_size: H.
        below: there is a level below, whose memory `seqkit.nn.recurrent.unrolled.DepthGatedLSTM` reads; the other
            cells do not.
        above: there is a level above that is to read this one's.
        **options: ``weight_dropout``, ``init``, ``init_gain`` and ``forget_bias``; see `RecurrentLayer`.

    Returns:
        The layer, initialised.

    Raises:
        ValueError: no such cell, or see `RecurrentLayer`.
    """
    if cell not in CELLS:
        raise ValueError(f"expected a cell among {', '.join(CELLS)}, found {cell!r}")
    kind = CELLS[cell]
    if issubclass(kind, DepthGatedLSTM):
        return kind(input_size, hidden_size, below=below, above=above, **options)
    return kind(input_size, hidden_size, **options)
