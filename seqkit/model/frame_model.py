"""The language model of frames of keys: how likely a piece is, and pieces that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqkit.config.recipes import validated
from seqkit.errors import DataError
from seqkit.formats.manifest import row_frames
from seqkit.formats.midi import TEMPO, Piece
from seqkit.formats.piano import KEYS, key_number
from seqkit.heads.frame_model.head import FrameModelling
from seqkit.heads.frame_model.settings import FrameModelSettings, FrameSampling
from seqkit.inputs.keys import KeyBatch, KeyInput
from seqkit.model.base import Model
from seqkit.model.pipeline import not_finite
from seqkit.nn import bernoulli
from seqkit.records import FrameRecord, WrittenFrames

_WINDOW = 256
"""frames of a prompt that are read at a time"""


class FrameLanguageModel(Model):
    """A language model of frames: the probability of every key in each frame after all before it. See `Model`."""

    settings: FrameModelSettings
    input: KeyInput
    head: FrameModelling

    def sample(self, prompt: Any = "", **options: Any) -> list[WrittenFrames]:
        """Write pieces, frame by frame.

        Args:
            prompt: how every piece begins: the name of a file, see `FrameSampling.prompt`, or what `predict` takes.
            **options: the fields of `FrameSampling`.

        Returns:
            The pieces.

        Raises:
            DataError: the prompt cannot be read or has no note, or there are no such keys.
            SettingsError: there is no such option, or it has another value.
        """
        chosen = validated(FrameSampling, options, "options")
        record = self._prompt(prompt)
        begun = np.zeros((0, self.input.keys), np.uint8)  # [N, K]
        if record is not None:
            if isinstance(record.source, Piece) and record.source.silence:
                raise record.fault(record.source.silence)
            begun = self.input.read(record)[: chosen.prompt_length or None]
        low, high = self.key_range(chosen.keys)
        generator = torch.Generator()  # of the CPU, so that a seed gives the same on every device
        generator.manual_seed(chosen.seed) if chosen.seed is not None else generator.seed()
        written, log_probs = self._write(begun, chosen, low, high, generator)
        source = record.source if record is not None else None
        tempo = chosen.tempo or (source.tempo if isinstance(source, Piece) else TEMPO)
        return [
            WrittenFrames(np.concatenate([begun, frames]), len(begun), log_prob, tempo)
            for frames, log_prob in zip(written, log_probs, strict=True)
        ]

    def key_range(self, keys: str) -> tuple[int, int]:
        """The lowest and the highest key that may be on.

        Args:
            keys: see `FrameSampling.keys`.

        Returns:
            Both, counted from 0.

        Raises:
            DataError: there are no such keys.
        """
        if not keys:
            return 0, self.input.keys - 1
        if self.input.keys != KEYS:
            raise DataError(f"keys have names where there are {KEYS} of a piano; this model has {self.input.keys}")
        names = keys.rsplit("-", 1) if keys.count("-") == 1 else []
        if len(names) != 2:
            raise DataError(f"expected keys LOW-HIGH, such as C3-C6, found {keys!r}")
        low, high = map(key_number, names)
        if low > high:
            raise DataError(f"expected keys LOW-HIGH, the lower one first, found {keys!r}")
        return low, high

    def _prompt(self, given: Any) -> FrameRecord | None:
        if isinstance(given, str):
            return row_frames({"frames": given}, folder=Path()) if given else None
        return self.input.record(given)

    @torch.inference_mode()
    def _write(
        self, begun: Any, options: FrameSampling, low: int, high: int, generator: torch.Generator
    ) -> tuple[list[Any], list[float]]:
        """Frames after a prompt, each piece uint8 [N, K], and ln p of what was added, as no temperature changes it."""
        network, device, count = self.network.eval(), self.device, options.count
        keys, state = self.input.keys, None
        known = torch.from_numpy(begun).float().expand(count, -1, -1)  # [C, N, K]
        before = torch.zeros(count, keys)  # [C, K]
        for begin in range(0, len(begun), _WINDOW):
            window = known[:, begin : begin + _WINDOW]  # [C, T, K]
            lengths = torch.full((count,), window.shape[1])
            batch = KeyBatch(window, before, lengths).to(device)
            state = network(batch, state=state, return_state=True).state
            before = window[:, -1]
        written, total = [], torch.zeros(count, dtype=torch.float64)
        for _ in range(options.length):
            batch = KeyBatch(before.unsqueeze(1), before, torch.ones(count, dtype=torch.int64)).to(device)
            encoded = network(batch, state=state, return_state=True)  # which reads only the frame before
            logits = self.head.module(encoded.outputs[:, 0]).cpu()  # [C, K]
            if not bool(logits.isfinite().all()):
                raise not_finite("the probability of a key", "fp32")
            before = bernoulli.sample(logits, temperature=options.temperature, low=low, high=high, generator=generator)
            total -= bernoulli.nats(logits.double(), before)
            written.append(before.byte())
            state = encoded.state
        frames = torch.stack(written, 1).numpy()  # [C, N, K]
        return list(frames), total.tolist()
