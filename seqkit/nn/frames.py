"""Sequences of vectors (frames) → steps of an encoder: normalisation, augmentation, convolutions, stacking; streams."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqkit.nn.sequences import check_padded, length_mask, to_device

Lengths = TypeVar("Lengths", int, Tensor)
"""a length, or lengths int64 [B]"""


class _Convolution(nn.Module):
    r"""A convolution over time and ReLU: :math:`y_t = \max(0, b + \sum_{k=1}^{K} W_k\, x_{t+k-1-\text{before}})`.

    Args:
        input_size: D.
        output_size: C.
        width: K.
        causal: no output depends on a later input; otherwise each depends on as many later as earlier ones.
    """

    stride = 1

    def __init__(self, input_size: int, output_size: int, width: int, *, causal: bool) -> None:
        super().__init__()
        self.width = width
        self.before = width - 1 if causal else width // 2
        self.after = width - 1 - self.before
        self.output_size = output_size
        self.weight = nn.Parameter(torch.empty(output_size, input_size, width))
        self.bias = nn.Parameter(torch.zeros(output_size))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")  # He et al. 2015

    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        """All windows of [B, before + N + after, D] → [B, N, C], zero where `inside` [B, N] is false."""
        # An image of height 1 whose channels come last in memory, as features do here: oneDNN and cuDNN read it as it
        # is, whereas `conv1d` would copy the input and the output.
        image = x.transpose(1, 2).unsqueeze(2)  # [B, D, 1, before + N + after]
        image = functional.conv2d(image, self.weight.unsqueeze(2), self.bias)  # [B, C, 1, N]
        if inside is not None:
            # Unknown to autograd, since ReLU passes no gradient to zeros anyway. `masked_fill` takes ten times as long.
            image.detach().mul_(inside[:, None, None].to(image.dtype))  # [B, C, 1, N]; no NaN, since padding is zero
        return image.relu_().squeeze(2).transpose(1, 2)  # [B, N, C]

    def extra_repr(self) -> str:
        """The sizes and what an output depends on, for `repr`."""
        sizes = f"{self.weight.shape[1]}, {self.output_size}, width={self.width}"
        return f"{sizes}, before={self.before}, after={self.after}"


class _Stacking(nn.Module):
    """Windows of consecutive vectors, each as one vector.

    Args:
        input_size: D.
        width: the vectors of a window.
        stride: the vectors from a window's beginning to the next one's.
    """

    before = 0

    def __init__(self, input_size: int, width: int, stride: int) -> None:
        super().__init__()
        self.width = width
        self.stride = stride
        self.after = width - 1
        self.output_size = width * input_size

    def forward(self, x: Tensor) -> Tensor:
        """All whole windows of [B, N, D], at least one → [B, T, width · D]; a view."""
        return x.unfold(1, self.width, self.stride).transpose(2, 3).flatten(2)  # [B, T, width · D]

    def extra_repr(self) -> str:
        """The arguments, for `repr`."""
        return f"width={self.width}, stride={self.stride}"


class FrameLayer(nn.Module):
    r"""Turns frames into the steps of an encoder: :math:`(\text{frames} [B, N, F], \text{lengths}) → [B, T, I]`.

    1. Normalisation: :math:`(x - \text{mean}) \odot \text{scale}`.
    2. While training, for each sequence anew: Gaussian noise and a Gaussian offset of each feature, the same in all
       frames, as another microphone or sensor has it; and then time masks and feature masks, which hide
       consecutive frames or features by zeros, the mean (SpecAugment without time warping: Park et al. 2019). A mask's
       width is drawn from 0 to the greatest width with equal probability, then its place in the recording.
    3. Convolutions over time, each followed by ReLU; zeros stand beyond both ends of the recording.
    4. Stacking and subsampling: step t consists of the `stack` frames from frame t · `stride` on, zeros past the end of
       the recording; :math:`T = \lceil N / \text{stride} \rceil`.

    No result depends on padding or on the other sequences of the batch. Masks are drawn on the CPU whatever the device.

    Args:
        input_size: F.
        mean: subtracted from each frame, [F]; zeros by default, a placeholder for that of a weights file.
        scale: what the difference is multiplied by, such as the inverse of the standard deviation, [F]; ones by
            default.
        noise: the standard deviation of the noise, in units of the normalised features.
        offset: the standard deviation of the offsets, in the same units.
        time_masks: the number of time masks of a sequence; they may overlap.
        time_mask_width: the greatest width of a time mask, in frames.
        time_mask_share: the greatest width of a time mask, as a share of the recording; the smaller of both counts.
        feature_masks: the number of feature masks of a sequence; they may overlap.
        feature_mask_width: the greatest width of a feature mask, in features, at most F.
        convolutions: the number of convolutions.
        channels: the output size of each convolution.
        kernel: the width of a convolution in frames; odd unless `causal`.
        causal: a convolution reads no later frames; otherwise as many later as earlier ones.
        stack: the frames of a step.
        stride: the frames from one step to the next; `stack` by default.

    Attributes:
        output_size: I.
        delay: how many frames after the first of a step the step depends on, and so how many a stream waits for.

    Raises:
        ValueError: an argument is out of its range or has another shape.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        input_size: int,
        *,
        mean: Tensor | None = None,
        scale: Tensor | None = None,
        noise: float = 0.0,
        offset: float = 0.0,
        time_masks: int = 0,
        time_mask_width: int = 0,
        time_mask_share: float = 1.0,
        feature_masks: int = 0,
        feature_mask_width: int = 0,
        convolutions: int = 0,
        channels: int = 128,
        kernel: int = 5,
        causal: bool = False,
        stack: int = 1,
        stride: int | None = None,
    ) -> None:
        super().__init__()
        stride = stack if stride is None else stride
        sizes = {"input_size": input_size, "channels": channels, "kernel": kernel, "stack": stack, "stride": stride}
        masks = {"time_masks": time_masks, "time_mask_width": time_mask_width, "feature_masks": feature_masks}
        for least, numbers in ((1, sizes), (0, {**masks, "convolutions": convolutions})):
            for name, number in numbers.items():
                if number < least:
                    raise ValueError(f"expected {name} of at least {least}, found {number}")
        if not 0 <= feature_mask_width <= input_size:
            raise ValueError(f"expected feature_mask_width from 0 to {input_size}, found {feature_mask_width}")
        if not 0.0 <= time_mask_share <= 1.0:
            raise ValueError(f"expected time_mask_share from 0 to 1, found {time_mask_share}")
        for name, deviation in (("noise", noise), ("offset", offset)):
            if not 0.0 <= deviation < math.inf:
                raise ValueError(f"expected {name} as a standard deviation of at least 0, found {deviation}")
        if not causal and not kernel % 2:
            raise ValueError(f"expected an odd kernel of convolutions that are not causal, found {kernel}")
        for name, values, default in (("mean", mean, 0.0), ("scale", scale, 1.0)):
            vector = torch.full((input_size,), default) if values is None else values.detach().clone().float()  # [F]
            if vector.shape != (input_size,):
                raise ValueError(f"expected {name} of shape [{input_size}], found {list(vector.shape)}")
            self.register_buffer(name, vector)
        self.input_size = input_size
        self.noise = noise
        self.offset = offset
        self.time_masks = time_masks
        self.time_mask_width = time_mask_width
        self.time_mask_share = time_mask_share
        self.feature_masks = feature_masks
        self.feature_mask_width = feature_mask_width
        inputs = [input_size, *[channels] * convolutions]  # of each convolution, and of the stacking
        self.convolutions = nn.ModuleList(_Convolution(size, channels, kernel, causal=causal) for size in inputs[:-1])
        self.stacking = _Stacking(inputs[-1], stack, stride)
        self.output_size = self.stacking.output_size
        self.delay = sum(stage.after for stage in self.stages)

    @property
    def stages(self) -> list[_Convolution | _Stacking]:
        """What reads windows of its input, in order."""
        return [*cast("Iterable[_Convolution]", self.convolutions), self.stacking]

    def steps(self, lengths: Lengths) -> Lengths:
        """The number of steps that recordings become: ⌈N / stride⌉.

        Args:
            lengths: the number of frames N of one recording or of several.

        Returns:
            T of each, of the same type and shape.
        """
        return (lengths + self.stacking.stride - 1) // self.stacking.stride

    def normalised(self, frames: Tensor) -> Tensor:
        """Frames as the network reads them, (x − mean) · scale, in memory of their own.

        Args:
            frames: [..., F].

        Returns:
            [..., F].
        """
        return (frames - self.mean).mul_(self.scale)  # [..., F]

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Compute the steps of a padded batch.

        Args:
            frames: recordings, [B, N, F], padded at the end; values past a recording's end have no influence.
            lengths: the number of frames of each recording, int64 [B], on the CPU, each in 0 … N.

        Returns:
            Steps, [B, T, I], zero past a recording's `steps`.

        Raises:
            ValueError: the shapes do not fit together, or the lengths are not int64 on the CPU.
        """
        check_padded(frames, lengths, self.input_size, "frames")
        batch, size, _ = frames.shape
        if not batch or not size:
            return frames.new_zeros(batch, self.steps(size), self.output_size)
        x = self.normalised(frames)  # [B, N, F]
        inside: Tensor | None = None
        if not bool((lengths == size).all()):
            inside = length_mask(lengths, size)  # [B, N], on the CPU
        shown = inside
        if self.training and self.noise:
            x.add_(torch.randn_like(x), alpha=self.noise)  # [B, N, F]
        if self.training and self.offset:
            x.add_(torch.randn_like(x[:, :1]), alpha=self.offset)  # [B, N, F]
        if self.training and self.time_masks:
            widest = (lengths.double() * self.time_mask_share).floor().clamp(max=self.time_mask_width)  # [B]
            unmasked = ~_random_masks(self.time_masks, widest, lengths, size)  # [B, N]
            shown = unmasked if inside is None else unmasked & inside  # [B, N]
        if shown is not None:
            x.masked_fill_(to_device(~shown, x.device).unsqueeze(2), 0.0)  # [B, N, F]; padding may be NaN
        if self.training and self.feature_masks:
            widest = torch.full((batch,), self.feature_mask_width)  # [B]
            unmasked = ~_random_masks(self.feature_masks, widest, torch.tensor(self.input_size), self.input_size)
            x.mul_(to_device(unmasked, x.device).unsqueeze(1).to(x.dtype))  # [B, N, F]
        if self.convolutions and inside is not None:
            inside = to_device(inside, x.device)  # [B, N]
        for convolution in cast("Iterable[_Convolution]", self.convolutions):
            x = functional.pad(x, (0, 0, convolution.before, convolution.after))  # [B, before + N + after, D]
            x = convolution(x, inside)  # [B, N, C]
        return self._stacked(x)  # [B, T, I]

    def _stacked(self, x: Tensor) -> Tensor:
        """[B, N, C] → [B, T, I], padded where the last step is not whole."""
        stacking = self.stacking
        missing = (self.steps(x.shape[1]) - 1) * stacking.stride + stacking.width - x.shape[1]
        if missing > 0:
            x = functional.pad(x, (0, 0, 0, missing))  # [B, N + missing, C]
        steps: Tensor = stacking(x)  # [B, T, I]
        return steps

    def stream(self) -> FrameStream:
        """Evaluate the layer for one recording of which a part is known at a time; nothing is drawn.

        Returns:
            The stream, at the recording's beginning.
        """
        return FrameStream(self)

    def extra_repr(self) -> str:
        """Sizes and augmentation, for `repr`."""
        return (
            f"{self.input_size}, {self.output_size}, noise={self.noise}, offset={self.offset}, "
            f"time_masks={self.time_masks}, time_mask_width={self.time_mask_width}, "
            f"time_mask_share={self.time_mask_share}, feature_masks={self.feature_masks}, "
            f"feature_mask_width={self.feature_mask_width}"
        )


def _random_masks(count: int, widest: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Where masks of random width and place lie.

    Args:
        count: the number of masks of a sequence.
        widest: the greatest width of a mask for each sequence, [B], at most its length.
        lengths: the range within which a sequence's masks lie, [B] or one for all.
        size: N, what the longest is padded to.

    Returns:
        [B, N], true inside a mask.
    """
    draws = torch.rand(2, count, len(widest), dtype=torch.float64)  # [2, count, B]; in float64 no product is rounded up
    widths = (draws[0] * (widest + 1)).floor()  # [count, B]
    begins = (draws[1] * (lengths - widths + 1)).floor()  # [count, B]
    places = torch.arange(size)  # [N]
    inside = (places >= begins[..., None]) & (places < (begins + widths)[..., None])  # [count, B, N]
    return inside.any(0)  # [B, N]


class FrameStream:
    """One recording through a `FrameLayer` chunk by chunk: together the steps are those of the whole recording.

    What is kept between chunks are the last frames that a later step depends on, so that memory is constant.

    Args:
        layer: the layer, which is read as in evaluation; do not change its weights or device meanwhile.

    Attributes:
        delay: how many frames after its first a step waits for.
    """

    def __init__(self, layer: FrameLayer) -> None:
        self.layer = layer
        self.delay = layer.delay
        self._windows = [_Windows(stage, layer.mean) for stage in layer.stages]
        self._finished = False

    def accept(self, frames: Tensor) -> Tensor:
        """Read the next frames.

        Args:
            frames: [n, F], any n.

        Returns:
            The steps that can be known now and could not before, [t, I].

        Raises:
            ValueError: the frames have another shape, or the stream is finished.
        """
        if frames.dim() != 2 or frames.shape[1] != self.layer.input_size:
            raise ValueError(f"expected frames of shape [n, {self.layer.input_size}], found {list(frames.shape)}")
        return self._run(frames, last=False)  # [t, I]

    def finish(self) -> Tensor:
        """End the recording.

        Returns:
            The remaining steps, [t, I].

        Raises:
            ValueError: the stream is finished already.
        """
        nothing = self.layer.mean.new_zeros(0, self.layer.input_size)  # [0, F]
        steps = self._run(nothing, last=True)  # [t, I]
        self._finished = True
        return steps

    @torch.no_grad()
    def _run(self, frames: Tensor, *, last: bool) -> Tensor:
        """[n, F] → [t, I]."""
        if self._finished:
            raise ValueError("expected another stream for another recording: this one is finished")
        x = self.layer.normalised(frames)  # [n, F]
        for windows in self._windows:
            x = windows.read(x, last=last)  # [n, C]; at last [t, I]
        return x


class _Windows:
    """A convolution or a stacking over a stream of vectors.

    Args:
        stage: which.
        like: a tensor of the device and the type of the vectors.
    """

    def __init__(self, stage: _Convolution | _Stacking, like: Tensor) -> None:
        self.stage = stage
        size = stage.weight.shape[1] if isinstance(stage, _Convolution) else stage.output_size // stage.width
        self.kept = like.new_zeros(stage.before, size)  # [at most width − 1, D]
        self.unread = 0
        """how many of the next vectors no window reads"""

    def read(self, x: Tensor, *, last: bool) -> Tensor:
        """The next vectors, [n, D] → those of the windows that are now complete, [t, C]."""
        stage = self.stage
        x, self.unread = x[self.unread :], max(0, self.unread - len(x))  # [n or fewer, D]
        x = torch.cat([self.kept, x])  # [m, D]
        if last:
            x = functional.pad(x, (0, 0, 0, stage.after))  # [m + after, D]
        if len(x) < stage.width:
            self.kept = x
            return x.new_zeros(0, stage.output_size)  # [0, C]
        outputs: Tensor = stage(x.unsqueeze(0)).squeeze(0)  # [t, C]
        read = len(outputs) * stage.stride
        self.kept = x[read:].clone()  # [less than width, D]; a view would keep the chunk
        self.unread = max(0, read - len(x))
        return outputs
