"""The encoder in chunks against the encoder over the whole sequence."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch

from seqkit.nn.encoder import SKIPS, Encoder
from seqkit.nn.recurrent import CELLS
from seqkit.nn.stream import EncoderStream


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


def test_a_stream_of_no_steps_leaves_the_state() -> None:
    encoder = random_encoder(cell="lstm", layers=2)
    stream, x = EncoderStream(encoder), torch.randn(1, 4, 3)
    with torch.inference_mode():
        whole = encoder(x, torch.tensor([4])).outputs
        parts = [stream.accept(x[:, :0]), stream.accept(x[:, :2]), stream.accept(x[:, 2:2]), stream.accept(x[:, 2:])]
    torch.testing.assert_close(torch.cat(parts, 1), whole)
