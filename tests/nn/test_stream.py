"""The encoder in chunks against the encoder over the whole sequence."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch

from seqkit.nn.encoder import SKIPS, Encoder
from seqkit.nn.recurrent import CELLS, FusedLayer, make_layer
from seqkit.nn.stream import EncoderStream

NAMES = {"lstm": "lstm_cell", "gru": "gru_cell", "rnn_tanh": "rnn_tanh_cell", "rnn_relu": "rnn_relu_cell"}
NAMES["irnn"] = NAMES["rnn_relu"]


def random_encoder(**options: object) -> Encoder:
    encoder = Encoder(3, hidden_size=8, direction="forward", dropout=0.3, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.normal_(0, 0.3)
    return encoder.eval()


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("cell", CELLS)
@torch.inference_mode()
def test_chunks_of_any_size_give_the_outputs_of_the_whole(cell: str, skip: str) -> None:
    torch.manual_seed(0)
    draw = random.Random(0)
    for layers in (1, 3):
        encoder, steps = random_encoder(cell=cell, skip=skip, layers=layers), 70
        x = torch.randn(1, steps, 3)
        whole = encoder(x, torch.tensor([steps])).outputs  # [1, T, D]
        mixed = [0]
        while mixed[-1] < steps:
            mixed.append(min(steps, mixed[-1] + draw.randint(0, 9)))
        ends = [[*range(0, steps, size), steps] for size in (1, 2, 3, 7, 32, 33, 69, 70)]
        stream = EncoderStream(encoder)
        for bounds in [*ends, mixed]:
            found = [stream.accept(x[:, begin:end]) for begin, end in pairwise(bounds)]
            stream.finish()
            # Sums of some cells grow, and with them what is rounded.
            assert (torch.cat(found, 1) - whole).abs().max() < 1e-5 * whole.abs().max().clamp(min=1.0)


@pytest.mark.parametrize("options", [{"direction": "backward"}, {"direction": "both"}, {"concat": "final"}])
def test_what_reads_backward_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError) as caught:
        EncoderStream(Encoder(3, hidden_size=4, **options))  # type: ignore[arg-type]
    assert str(caught.value) == "expected an encoder of direction forward"


@pytest.mark.parametrize("cell", [name for name, kind in CELLS.items() if issubclass(kind, FusedLayer)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_by_itself_is_that_of_the_kernel(cell: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = make_layer(cell, 5, 7).to(dtype).eval()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_()
    called: list[int] = []
    one_step = getattr(torch, NAMES[cell])
    monkeypatch.setattr(type(layer), "cell", staticmethod(lambda *args: called.append(1) or one_step(*args)))
    for size in (1, 16, 17):
        x = torch.randn(size, 1, 5, dtype=dtype)
        state = tuple(torch.randn(size, 7, dtype=dtype) for _ in layer.state_parts)
        whole = layer(x, state)  # with a gradient
        assert not called
        with torch.no_grad():
            found = layer(x, state)
        assert bool(called) == (size <= 16)
        called.clear()
        for one, other in zip([found[0], *found[1]], [whole[0], *whole[1]], strict=True):
            torch.testing.assert_close(one, other.detach(), rtol=1e-5, atol=1e-6)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            layer(x, state)
        assert not called


def test_a_stream_of_no_steps_leaves_the_state() -> None:
    encoder = random_encoder(cell="lstm", layers=2)
    stream, x = EncoderStream(encoder), torch.randn(1, 4, 3)
    with torch.inference_mode():
        whole = encoder(x, torch.tensor([4])).outputs
        parts = [stream.accept(x[:, :0]), stream.accept(x[:, :2]), stream.accept(x[:, 2:2]), stream.accept(x[:, 2:])]
    torch.testing.assert_close(torch.cat(parts, 1), whole)
