"""Frames become steps as literal loops say, masks have their distribution, and streams give what the whole gives."""

from __future__ import annotations

import copy
import itertools
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqkit.nn.encoder import Encoder
from seqkit.nn.frames import FrameLayer
from tests.pretended.device import DEVICE, pretended


def build(size: int, *, dtype: torch.dtype = torch.float64, **options: Any) -> FrameLayer:
    """A layer whose statistics and biases are not those that it starts with."""
    layer = FrameLayer(size, mean=torch.randn(size), scale=torch.rand(size) + 0.5, **options)
    for name, parameter in layer.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, 0.0, 0.3)
    return layer.to(dtype)


def layer_is_causal(layer: FrameLayer) -> bool:
    return layer.delay == layer.stacking.width - 1


def literal(layer: FrameLayer, recording: np.ndarray, *, normalise: bool = True) -> np.ndarray:
    """One recording [N, F] in evaluation, frame by frame from the definition: the oracle of this file."""
    rows = [list(frame) for frame in recording]
    if normalise:
        mean, scale = layer.mean.tolist(), layer.scale.tolist()
        rows = [[(value - mean[f]) * scale[f] for f, value in enumerate(frame)] for frame in rows]
    for convolution in layer.convolutions:
        weight, bias = convolution.weight.detach().numpy(), convolution.bias.detach().numpy()
        channels, _, width = weight.shape
        first = -(width - 1) if layer_is_causal(layer) else -(width // 2)
        after = []
        for t in range(len(rows)):
            frame = []
            for c in range(channels):
                total = float(bias[c])
                for k in range(width):
                    if 0 <= t + first + k < len(rows):
                        total += float(np.dot(weight[c, :, k], rows[t + first + k]))
                frame.append(max(total, 0.0))
            after.append(frame)
        rows = after
    stack, stride = layer.stacking.width, layer.stacking.stride
    size = layer.output_size // stack
    steps = []
    for start in range(0, len(rows), stride):
        step: list[float] = []
        for n in range(start, start + stack):
            step += rows[n] if n < len(rows) else [0.0] * size
        steps.append(step)
    return np.array(steps, dtype=np.float64).reshape(len(steps), layer.output_size)


SHAPES: list[dict[str, Any]] = [
    {},
    {"stack": 3},
    {"stack": 3, "stride": 1},
    {"stack": 2, "stride": 3},
    {"stack": 1, "stride": 4},
    {"stack": 5, "stride": 2},
    {"convolutions": 1, "channels": 4, "kernel": 3},
    {"convolutions": 1, "channels": 4, "kernel": 1},
    {"convolutions": 2, "channels": 1, "kernel": 5},
    {"convolutions": 2, "channels": 4, "kernel": 3, "causal": True},
    {"convolutions": 1, "channels": 3, "kernel": 4, "causal": True, "stack": 2},
    {"convolutions": 3, "channels": 5, "kernel": 3, "stack": 3, "stride": 2},
    {"convolutions": 2, "channels": 4, "kernel": 7, "stack": 2, "stride": 5},
]
MASKS: dict[str, Any] = {
    "noise": 0.5,
    "offset": 0.5,
    "time_masks": 2,
    "time_mask_width": 5,
    "time_mask_share": 0.4,
    "feature_masks": 1,
    "feature_mask_width": 2,
}
LENGTHS = [[7, 1, 0, 12], [1], [0], [12, 12], [3, 2, 1]]


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_equals_a_literal_loop(options: dict[str, Any], size: int) -> None:
    torch.manual_seed(1)
    layer = build(size, **options)
    assert "causal" not in options or layer_is_causal(layer)
    for lengths, extra in itertools.product(LENGTHS, [0, 2]):
        frames = torch.randn(len(lengths), max(lengths) + extra, size, dtype=torch.float64)
        steps = layer(frames, torch.tensor(lengths))
        counts = layer.steps(torch.tensor(lengths)).tolist()
        assert steps.shape == (len(lengths), layer.steps(max(lengths) + extra), layer.output_size)
        for row, length in enumerate(lengths):
            expected = literal(layer, frames[row, :length].numpy())
            assert len(expected) == counts[row] == layer.steps(length)
            np.testing.assert_allclose(steps[row, : counts[row]].detach().numpy(), expected, rtol=1e-10, atol=1e-12)
            assert steps[row, counts[row] :].eq(0).all()


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_what_was_hidden_goes_through_the_same_stages(options: dict[str, Any]) -> None:
    torch.manual_seed(2)
    layer = build(4, **options, **MASKS)
    hiding = FrameLayer(4, mean=layer.mean, scale=layer.scale, **MASKS).double()
    frames, lengths = torch.randn(3, 14, 4, dtype=torch.float64), torch.tensor([14, 6, 9])
    torch.manual_seed(3)
    hidden = hiding(frames, lengths)
    torch.manual_seed(3)
    steps = layer(frames, lengths)
    for row, length in enumerate(lengths.tolist()):
        expected = literal(layer, hidden[row, :length].numpy(), normalise=False)
        found = steps[row, : len(expected)].detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", [*SHAPES, {**SHAPES[-2], **MASKS}], ids=str)
@pytest.mark.parametrize("padding", [math.nan, math.inf])
def test_padding_never_matters(options: dict[str, Any], padding: float) -> None:
    torch.manual_seed(4)
    layer, lengths = build(3, **options), torch.tensor([5, 0, 9, 1])
    outside = torch.arange(11) >= lengths[:, None]  # [B, N]
    frames = torch.randn(4, 11, 3, dtype=torch.float64)
    results = []
    for filling in (0.0, padding):
        given = frames.masked_fill(outside[:, :, None], filling).requires_grad_()
        torch.manual_seed(5)
        steps = layer(given, lengths)
        results.append((steps, *torch.autograd.grad(steps.square().sum(), [given, *layer.parameters()])))
        assert results[-1][1][outside].eq(0).all()
    for clean, dirty in zip(*results, strict=True):
        assert dirty.equal(clean)


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_batch_mates_never_matter(options: dict[str, Any]) -> None:
    torch.manual_seed(6)
    layer, lengths = build(3, **options), [5, 0, 9, 1, 8]
    frames = torch.randn(5, 9, 3, dtype=torch.float64, requires_grad=True)
    together = layer(frames, torch.tensor(lengths))
    pull = torch.randn_like(together)
    inputs = [frames, *layer.parameters()]
    gradients = torch.autograd.grad((together * pull).sum(), inputs)
    alone = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(lengths):
        steps = layer(frames[row : row + 1, :length], torch.tensor([length]))[0]
        torch.testing.assert_close(steps, together[row, : len(steps)], rtol=1e-10, atol=1e-12)
        alone = alone + (steps * pull[row, : len(steps)]).sum()
    torch.testing.assert_close(torch.autograd.grad(alone, inputs), gradients, rtol=1e-9, atol=1e-10)


def test_gradients_equal_finite_differences() -> None:
    torch.manual_seed(7)
    layer = build(2, convolutions=2, channels=3, kernel=3, stack=3, stride=2)
    frames, lengths = torch.randn(2, 6, 2, dtype=torch.float64, requires_grad=True), torch.tensor([6, 3])
    names = [name for name, _ in layer.named_parameters()]

    def call(given: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (given, lengths))

    assert torch.autograd.gradcheck(call, (frames, *layer.parameters()))


@pytest.mark.parametrize("options", [*SHAPES, MASKS], ids=str)
@pytest.mark.parametrize(("batch", "size"), [(0, 5), (3, 0), (0, 0), (2, 4)])
def test_no_recordings_and_no_frames(options: dict[str, Any], batch: int, size: int) -> None:
    layer = build(3, **options)
    steps = layer(torch.randn(batch, size, 3, dtype=torch.float64), torch.zeros(batch, dtype=torch.int64))
    assert steps.equal(torch.zeros(batch, layer.steps(size), layer.output_size, dtype=torch.float64))


@pytest.mark.parametrize(("stack", "stride", "size"), [(1, 1, 5), (3, 3, 12), (2, 4, 10), (1, 4, 5)])
def test_frames_are_stacked_without_a_copy_if_the_last_step_is_whole(stack: int, stride: int, size: int) -> None:
    x = torch.randn(2, size, 2)
    assert FrameLayer(2, stack=stack, stride=stride)._stacked(x).data_ptr() == x.data_ptr()


def test_an_encoder_reads_steps_that_share_frames_in_memory() -> None:
    torch.manual_seed(22)
    layer, encoder = build(3, convolutions=1, channels=4, kernel=3, stack=3, stride=1), Encoder(12, hidden_size=5)
    frames, lengths = torch.randn(2, 9, 3, dtype=torch.float64), torch.tensor([9, 4])
    weights = [*layer.parameters(), *encoder.double().parameters()]
    results = []
    for steps in (layer(frames, lengths), layer(frames, lengths).clone()):
        outputs = encoder(steps, layer.steps(lengths)).outputs
        results.append((outputs, *torch.autograd.grad(outputs.square().sum(), weights)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-12)


def test_frames_that_are_given_stay_as_they_are() -> None:
    layer = FrameLayer(3, **MASKS)
    frames = torch.randn(4, 9, 3)
    before = frames.clone()
    layer(frames, torch.tensor([9, 3, 0, 1]))
    assert frames.equal(before)


def test_frames_of_any_memory_layout() -> None:
    torch.manual_seed(8)
    layer, lengths = build(3, convolutions=1, channels=4, kernel=3, stack=2), torch.tensor([6, 4])
    frames = torch.randn(2, 6, 3, dtype=torch.float64)
    for given in (frames.transpose(1, 2).contiguous().transpose(1, 2), frames.repeat(1, 1, 2)[:, :, :3]):
        assert not given.is_contiguous()
        torch.testing.assert_close(layer(given, lengths), layer(frames, lengths), rtol=1e-12, atol=1e-14)


def test_numbers_of_steps() -> None:
    for stack, stride in ((1, 1), (3, 3), (3, 2), (2, 7)):
        layer = FrameLayer(1, stack=stack, stride=stride)
        expected = [len(range(0, size, stride)) for size in range(30)]
        assert [layer.steps(size) for size in range(30)] == expected
        found = layer.steps(torch.arange(30))
        assert found.dtype == torch.int64 and found.tolist() == expected


# --- precision and weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [*SHAPES, MASKS], ids=str)
def test_mixed_precision_runs_and_is_near(options: dict[str, Any]) -> None:
    torch.manual_seed(9)
    layer, lengths = build(3, dtype=torch.float32, **options), torch.tensor([9, 0, 4])
    frames = torch.randn(3, 9, 3)
    torch.manual_seed(10)
    exact = layer(frames, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(10)
        rounded = layer(frames, lengths)
    assert exact.dtype == torch.float32
    assert rounded.dtype == (torch.bfloat16 if layer.convolutions else torch.float32)  # frames are never rounded
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)
    if layer.convolutions:
        rounded.float().square().sum().backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in layer.parameters())


def test_frames_are_float32_whatever_the_statistics_are_given_as() -> None:
    layer = FrameLayer(2, mean=torch.tensor([1, 2]), scale=torch.tensor([0.5, 2.0], dtype=torch.float64))
    steps = layer(torch.tensor([[[3.0, 3.0]]]), torch.tensor([1]))
    assert steps.equal(torch.tensor([[[1.0, 2.0]]]))


def test_statistics_are_of_the_weights_and_copied() -> None:
    mean, scale = torch.randn(3), torch.rand(3)
    layer = FrameLayer(3, mean=mean, scale=scale, convolutions=1, channels=2, kernel=1)
    mean.zero_()
    assert layer.mean.any()
    names = ["mean", "scale", "convolutions.0.weight", "convolutions.0.bias"]
    assert list(layer.state_dict()) == names
    restored = FrameLayer(3, convolutions=1, channels=2, kernel=1)
    assert restored.mean.equal(torch.zeros(3)) and restored.scale.equal(torch.ones(3))
    restored.load_state_dict(layer.state_dict())
    frames, lengths = torch.randn(2, 4, 3), torch.tensor([4, 2])
    assert restored(frames, lengths).equal(layer(frames, lengths))
    assert [name for name, _ in layer.named_parameters()] == names[2:]


def test_outputs_start_with_the_size_of_the_inputs() -> None:
    torch.manual_seed(11)
    layer = FrameLayer(40, convolutions=4, channels=200, kernel=5)
    frames = torch.randn(8, 100, 40)
    steps = layer(frames, torch.full((8,), 100))
    assert 0.5 < steps.square().mean().sqrt() < 2.0


# --- augmentation -------------------------------------------------------------------------------------------------


def test_nothing_is_drawn_in_evaluation_and_without_masks() -> None:
    frames, lengths = torch.randn(3, 9, 4), torch.tensor([9, 2, 0])
    evaluated = build(4, dtype=torch.float32, **MASKS, convolutions=1, channels=2, kernel=3).eval()
    plain = build(4, dtype=torch.float32, time_mask_width=9, feature_mask_width=4, convolutions=1, kernel=3)
    for layer in (evaluated, plain):
        before = torch.random.get_rng_state()
        assert layer(frames, lengths).equal(layer(frames, lengths))
        assert torch.random.get_rng_state().equal(before)


def test_the_seed_decides() -> None:
    layer = FrameLayer(4, **MASKS, convolutions=1, channels=5, kernel=3, stack=2)
    frames, lengths = torch.randn(3, 9, 4), torch.tensor([9, 2, 0])
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(layer(frames, lengths))
    assert results[0].equal(results[1]) and not results[0].equal(results[2])


def covered(size: int, widest: int) -> list[float]:
    """The probability that a mask hides each of `size` places, by enumeration of widths and beginnings."""
    shares = [0.0] * size
    for width in range(widest + 1):
        for begin in range(size - width + 1):
            for place in range(begin, begin + width):
                shares[place] += 1 / (widest + 1) / (size - width + 1)
    return shares


def runs(hidden: Tensor) -> Tensor:
    """How many runs of ones each row has."""
    before = torch.cat([torch.zeros(len(hidden), 1, dtype=hidden.dtype), hidden[:, :-1]], 1)
    return ((hidden == 1) & (before == 0)).sum(1)


@pytest.mark.parametrize(("width", "share"), [(4, 1.0), (50, 1.0), (4, 0.2), (50, 0.3), (0, 1.0), (5, 0.0)])
@pytest.mark.parametrize("count", [1, 3])
def test_time_masks_hide_each_frame_as_often_as_they_should(count: int, width: int, share: float) -> None:
    torch.manual_seed(12)
    layer = FrameLayer(2, time_masks=count, time_mask_width=width, time_mask_share=share)
    copies, sizes = 4000, [12, 7, 1, 0]
    lengths = torch.tensor(sizes * copies)
    steps = layer(torch.ones(len(lengths), 12, 2), lengths).unflatten(0, (copies, len(sizes)))
    assert steps.eq(0).all(3).equal(steps.eq(0).any(3))  # all features of a frame, or none
    for row, size in enumerate(sizes):
        hidden = steps[:, row, :size, 0].eq(0).double()  # [copies, N]
        widest = min(width, math.floor(size * share))
        assert hidden.sum(1).max() <= count * widest
        expected = 1 - (1 - torch.tensor(covered(size, widest), dtype=torch.float64)) ** count
        error = (expected * (1 - expected) / copies).sqrt()
        assert ((hidden.mean(0) - expected).abs() <= 5 * error + 1e-12).all()
        if count == 1 and size:
            assert runs(hidden).max() <= 1
            widths = torch.bincount(hidden.sum(1).long(), minlength=widest + 1)
            spread = math.sqrt(copies * (1 / (widest + 1)) * (1 - 1 / (widest + 1)))
            assert ((widths - copies / (widest + 1)).abs() <= 5 * spread).all()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("width", [0, 2, 5])
def test_feature_masks_hide_each_feature_as_often_as_they_should(count: int, width: int) -> None:
    torch.manual_seed(13)
    layer, copies = FrameLayer(5, feature_masks=count, feature_mask_width=width), 6000
    steps = layer(torch.ones(copies, 3, 5), torch.full((copies,), 3))
    assert steps.equal(steps[:, :1].expand_as(steps))  # the same at every frame
    expected = 1 - (1 - torch.tensor(covered(5, width), dtype=torch.float64)) ** count
    error = (expected * (1 - expected) / copies).sqrt()
    assert ((steps[:, 0].eq(0).double().mean(0) - expected).abs() <= 5 * error + 1e-12).all()


def test_masks_hide_by_the_mean_without_a_trace_of_noise() -> None:
    torch.manual_seed(14)
    layer = build(4, dtype=torch.float32, **MASKS)
    steps = layer(torch.randn(200, 10, 4), torch.full((200,), 10))
    frames, features = steps.eq(0).all(2), steps.eq(0).all(1)
    assert frames.any() and features.any()
    assert steps.eq(0).equal(frames[:, :, None] | features[:, None, :])


def test_an_offset_is_the_same_in_all_frames_of_a_sequence() -> None:
    torch.manual_seed(3)
    layer, lengths = build(5, dtype=torch.float32, offset=0.7), torch.tensor([20, 7] * 400)
    frames = torch.randn(800, 20, 5)
    offsets = layer(frames, lengths) - layer.eval()(frames, lengths)
    assert offsets[1::2, 7:].eq(0).all()
    torch.testing.assert_close(offsets[1::2, :7], offsets[1::2, :1].expand(-1, 7, -1), atol=1e-5, rtol=0)
    drawn = offsets[:, 0].double()  # [S, F]
    torch.testing.assert_close(drawn.std(0), torch.full((5,), 0.7, dtype=torch.float64), atol=0.05, rtol=0)
    assert drawn.T.corrcoef().triu(1).abs().max() < 0.15


def test_noise_has_its_deviation_and_no_place_in_padding() -> None:
    torch.manual_seed(15)
    layer, lengths = build(5, dtype=torch.float32, noise=0.3), torch.tensor([100, 37] * 40)
    frames = torch.randn(80, 100, 5)
    noise = layer(frames, lengths) - layer.eval()(frames, lengths)
    inside = torch.arange(100) < lengths[:, None]
    assert noise[~inside].eq(0).all()
    drawn = noise[inside].double()
    assert drawn.mean().abs() < 5 * 0.3 / math.sqrt(drawn.numel())
    assert drawn.std().item() == pytest.approx(0.3, rel=5 / math.sqrt(2 * drawn.numel()))


@pytest.mark.parametrize("options", [*SHAPES, {**SHAPES[-2], **MASKS}], ids=str)
def test_another_device_gives_the_same_and_is_not_waited_for(options: dict[str, Any]) -> None:
    torch.manual_seed(23)
    layer = build(3, dtype=torch.float32, **options)
    frames, lengths = torch.randn(4, 9, 3), torch.tensor([9, 0, 4, 8])
    torch.manual_seed(24)
    expected, there = layer(frames, lengths), copy.deepcopy(layer)
    with pretended() as waits:
        there.to("cuda")
        given = frames.to(DEVICE)
        torch.manual_seed(24)
        with waits.among() as places:
            found = there(given, lengths)
            stream = there.stream()
            parts = [stream.accept(given[0, :5]), stream.accept(given[0, 5:]), stream.finish()]
        assert not places
        assert found.device == parts[0].device == DEVICE
        steps, chunks = found.detach().cpu(), torch.cat(parts).cpu()
    torch.testing.assert_close(steps, expected)
    torch.testing.assert_close(chunks, streamed(layer, frames[0], [5, 4]))


# --- streams ------------------------------------------------------------------------------------------------------


def streamed(layer: FrameLayer, recording: Tensor, chunks: list[int]) -> Tensor:
    stream, parts, begin = layer.stream(), [], 0
    for size in chunks:
        parts.append(stream.accept(recording[begin : begin + size]))
        begin += size
    return torch.cat([*parts, stream.finish()])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_chunks_of_any_size_give_what_the_whole_gives(options: dict[str, Any], dtype: torch.dtype) -> None:
    torch.manual_seed(17)
    layer = build(3, dtype=dtype, **options, **MASKS)  # whose stream draws nothing, in training either
    for size in (0, 1, 2, 3, 4, 7, 20):
        recording = torch.randn(size, 3, dtype=dtype)
        layer.eval()
        whole = layer(recording[None], torch.tensor([size]))[0].detach()
        layer.train()
        draw = random.Random(size)
        cuts = sorted(draw.randint(0, size) for _ in range(6))
        uneven = [end - begin for begin, end in itertools.pairwise([0, *cuts, size])]  # some of no frames
        for chunks in (*([step] * math.ceil(size / step) for step in range(1, size + 2)), uneven, []):
            if sum(chunks) < size:
                continue
            steps = streamed(layer, recording, chunks)
            assert not steps.requires_grad and steps.dtype == dtype
            torch.testing.assert_close(steps, whole, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_a_step_comes_as_soon_as_it_can_be_known(options: dict[str, Any]) -> None:
    torch.manual_seed(18)
    layer = build(2, **options)
    stream, recording = layer.stream(), torch.randn(40, 2, dtype=torch.float64)
    assert stream.delay == layer.delay
    steps = 0
    for frames in range(1, 41):
        steps += len(stream.accept(recording[frames - 1 : frames]))
        assert steps == len([start for start in range(0, 40, layer.stacking.stride) if start + layer.delay < frames])
    # And no frame that comes later has an influence on it.
    start = 3 * layer.stacking.stride
    frames = recording[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(frames, torch.tensor([40]))[0, 3].sum(), frames)
    read = gradient[0].ne(0).any(1).nonzero().flatten()
    assert read.max() <= start + layer.delay
    if not layer.convolutions:
        assert read.tolist() == list(range(start, start + layer.delay + 1))


def test_delays() -> None:
    assert FrameLayer(2).delay == 0
    assert FrameLayer(2, stack=4, stride=1).delay == 3
    assert FrameLayer(2, convolutions=3, kernel=5, stack=2).delay == 7
    assert FrameLayer(2, convolutions=3, kernel=4, causal=True, stack=2).delay == 1


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_what_a_stream_keeps_does_not_grow(options: dict[str, Any]) -> None:
    layer = build(2, **options)
    stream = layer.stream()
    draw = random.Random(19)
    for _ in range(200):
        stream.accept(torch.zeros(draw.choice([0, 1, 2, 50]), 2, dtype=torch.float64))
        for windows in stream._windows:
            kept = windows.kept
            assert len(kept) < windows.stage.width and windows.unread < windows.stage.stride
            assert kept.untyped_storage().nbytes() <= windows.stage.width * kept.shape[1] * kept.element_size()


def test_streams_of_one_layer_are_apart() -> None:
    torch.manual_seed(20)
    layer = build(2, convolutions=1, channels=3, kernel=3, stack=2)
    one, other = torch.randn(2, 9, 2, dtype=torch.float64)
    streams = layer.stream(), layer.stream()
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for n in range(9):
        parts[0].append(streams[0].accept(one[n : n + 1]))
        parts[1].append(streams[1].accept(other[n : n + 1]))
    for recording, stream, steps in zip((one, other), streams, parts, strict=True):
        torch.testing.assert_close(torch.cat([*steps, stream.finish()]), streamed(layer, recording, [9]))


def test_a_stream_under_mixed_precision() -> None:
    torch.manual_seed(21)
    layer = build(3, dtype=torch.float32, convolutions=2, channels=4, kernel=3, stack=2)
    recording = torch.randn(11, 3)
    exact = streamed(layer, recording, [3, 8])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = streamed(layer, recording, [3, 8])
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)


# --- faults -------------------------------------------------------------------------------------------------------


FAULTS: list[tuple[dict[str, Any], str]] = [
    *(({name: 0}, f"expected {name} of at least 1, found 0") for name in ("channels", "kernel", "stack", "stride")),
    *(
        ({name: -1}, f"expected {name} of at least 0, found -1")
        for name in ("time_masks", "time_mask_width", "feature_masks", "convolutions")
    ),
    ({"feature_mask_width": 5}, "expected feature_mask_width from 0 to 4, found 5"),
    ({"feature_mask_width": -1}, "expected feature_mask_width from 0 to 4, found -1"),
    ({"time_mask_share": 1.5}, "expected time_mask_share from 0 to 1, found 1.5"),
    ({"time_mask_share": math.nan}, "expected time_mask_share from 0 to 1, found nan"),
    ({"noise": -0.5}, "expected noise as a standard deviation of at least 0, found -0.5"),
    ({"noise": math.inf}, "expected noise as a standard deviation of at least 0, found inf"),
    ({"noise": math.nan}, "expected noise as a standard deviation of at least 0, found nan"),
    ({"offset": -1.0}, "expected offset as a standard deviation of at least 0, found -1.0"),
    ({"kernel": 4}, "expected an odd kernel of convolutions that are not causal, found 4"),
    ({"mean": torch.zeros(3)}, "expected mean of shape [4], found [3]"),
    ({"scale": torch.ones(1, 4)}, "expected scale of shape [4], found [1, 4]"),
]


@pytest.mark.parametrize(("options", "message"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
def test_unusable_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        FrameLayer(4, **options)
    assert str(caught.value) == message


def test_no_features() -> None:
    with pytest.raises(ValueError) as caught:
        FrameLayer(0)
    assert str(caught.value) == "expected input_size of at least 1, found 0"


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 3, 5), [3, 1], "expected frames of shape [B, T, 4], found [2, 3, 5]"),
        ((3, 4), [3], "expected frames of shape [B, T, 4], found [3, 4]"),
        ((2, 3, 4), [3, 4], "expected lengths from 0 to 3, found 3 to 4"),
        ((2, 3, 4), [3], "expected lengths as torch.int64 of shape [2] on cpu, found torch.int64 of shape [1] on cpu"),
    ],
)
def test_unusable_batches(shape: tuple[int, ...], lengths: list[int], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        FrameLayer(4)(torch.zeros(shape), torch.tensor(lengths))
    assert str(caught.value) == message


def test_unusable_chunks() -> None:
    stream = FrameLayer(4).stream()
    for shape in ((3,), (3, 5), (1, 3, 4)):
        with pytest.raises(ValueError) as caught:
            stream.accept(torch.zeros(shape))
        assert str(caught.value) == f"expected frames of shape [n, 4], found {list(shape)}"
    assert stream.finish().shape == (0, 4)
    for call in (stream.finish, lambda: stream.accept(torch.zeros(1, 4))):
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == "expected another stream for another recording: this one is finished"


def test_repr_names_sizes_and_stages() -> None:
    text = repr(FrameLayer(4, noise=0.1, convolutions=1, channels=8, kernel=3, stack=2, time_masks=1))
    assert text == (
        "FrameLayer(\n"
        "  4, 16, noise=0.1, offset=0.0, time_masks=1, time_mask_width=0, time_mask_share=1.0, feature_masks=0, "
        "feature_mask_width=0\n"
        "  (convolutions): ModuleList(\n"
        "    (0): _Convolution(4, 8, width=3, before=1, after=1)\n"
        "  )\n"
        "  (stacking): _Stacking(width=2, stride=2)\n"
        ")"
    )
