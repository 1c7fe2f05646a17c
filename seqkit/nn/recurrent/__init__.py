r"""One recurrent layer in one direction: the equation of a cell, unrolled over time.

Every layer is called as ``(x [B, T, I], state) → (outputs [B, T, H], state)``. A state is a tuple of tensors
[B, H], one for each part of the cell's memory: ``(h,)``, or ``(h, c)`` for the LSTM. `CELLS` has one row per cell that
any network may have; ``sc_lstm`` is for those that are given a dialogue act.
"""

from __future__ import annotations

from typing import Any

from seqkit.nn.recurrent.clockwork import ClockworkRNN
from seqkit.nn.recurrent.fused import GRU, LSTM, FusedLayer, IdentityRNN, ReluRNN, TanhRNN
from seqkit.nn.recurrent.layer import INITS, RecurrentLayer, State
from seqkit.nn.recurrent.parallel import MinGRU, MinLSTM, RunningSum, linear_scan
from seqkit.nn.recurrent.semantic import SemanticLSTM
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
    cell: str,
    input_size: int,
    hidden_size: int,
    *,
    below: bool = False,
    above: bool = False,
    act_size: int = 0,
    **options: Any,
) -> RecurrentLayer:
    """Build a layer by the name of its cell.

    Args:
        cell: a key of `CELLS`, or ``sc_lstm``.
        input_size: I.
        hidden_size: H.
        below: whether there is a layer below, whose memory cells `seqkit.nn.recurrent.unrolled.DepthGatedLSTM` reads;
            other cells ignore it.
        above: whether there is a layer above, which reads the memory cells of this one.
        act_size: the size of the dialogue act that `seqkit.nn.recurrent.semantic.SemanticLSTM` is given.
        **options: ``weight_dropout``, ``init``, ``init_gain`` and ``forget_bias``; see `RecurrentLayer`.

    Returns:
        The layer, initialised.

    Raises:
        ValueError: the cell is unknown, or see `RecurrentLayer`.
    """
    if cell == "sc_lstm":
        return SemanticLSTM(input_size, hidden_size, act_size, **options)
    if cell not in CELLS:
        raise ValueError(f"expected a cell among {', '.join(CELLS)}, found {cell!r}")
    kind = CELLS[cell]
    if issubclass(kind, DepthGatedLSTM):
        return kind(input_size, hidden_size, below=below, above=above, **options)
    return kind(input_size, hidden_size, **options)
