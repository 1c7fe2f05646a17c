"""Settings of a language model of frames of keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seqkit.config.sections import Count, Options, Positive, Probability, Section, Settings, TrainingSettings, Weight
from seqkit.formats.piano import FRAMES_PER_QUARTER, MOST_PER_QUARTER
from seqkit.heads.language_model.settings import UnitEncoderSettings
from seqkit.inputs.settings import ReadingSettings

MOST_PIECES = 1_000
"""bound of --count"""


class KeyDataSettings(ReadingSettings):
    """What is read: sequences of keys that are on or off."""

    frames: str = ""
    """field of the sequence: array file, piece of music or numbers  [default: frames, path or file]"""
    frames_per_quarter: Annotated[int, Field(ge=1, le=MOST_PER_QUARTER)] = FRAMES_PER_QUARTER
    """frames that a quarter note becomes in MIDI files that are read, and in those that are written"""


class KeySettings(Section):
    """What is done with frames before the encoder reads them."""

    dropout: Probability = 0.0
    """dropout on the keys that the encoder reads"""
    transpose: Count = 0
    """in training, move each piece up or down by so many keys at most, as far as there is room"""


class KeyEncoderSettings(UnitEncoderSettings):
    """The shared encoder, reading from the first frame to the last."""

    direction: Literal["forward"] = "forward"
    """reading direction: a frame is predicted from those before it"""


class FrameModelHeadSettings(Section):
    """The head of the language model of frames: a Bernoulli distribution for each key."""


class FrameModelTrainingSettings(TrainingSettings):
    """The training loop over sequences, window by window."""

    epochs: Positive = 60
    """maximal number of passes over the training data"""
    batch_size: Positive = 8
    """parallel sequences"""
    bptt: Positive = 100
    """length of truncated back-propagation through time (BPTT), in frames; the state is carried on"""
    lr: Annotated[float, Field(gt=0.0, le=1e30, allow_inf_nan=False)] = 3e-3
    """learning rate at the start (after warm-up)"""
    clip: Weight = 1.0
    """clip the gradient's norm (or values: clip_by) to this; 0 for no clipping"""

    @model_validator(mode="after")
    def _reads_windows(self) -> FrameModelTrainingSettings:
        if self.init_from:
            raise ValueError("init_from is not for a language model of frames")
        return self


class FrameModelSettings(Settings):
    """All settings of a language model of frames."""

    task: Literal["lm"] = "lm"
    """shape of the task"""
    input: Literal["frames"] = "frames"
    """what is read"""
    data: KeyDataSettings = KeyDataSettings()
    """data"""
    frames: KeySettings = KeySettings()
    """frames"""
    encoder: KeyEncoderSettings = KeyEncoderSettings()
    """encoder"""
    head: FrameModelHeadSettings = FrameModelHeadSettings()
    """head"""
    training: FrameModelTrainingSettings = FrameModelTrainingSettings()
    """training"""


class FrameSampling(Options):
    """Options of writing frames."""

    prompt: str = ""
    """the beginning: a MIDI file, an array FILE.npy or FILE.npz#NAME; its frames are part of every piece"""
    prompt_length: Count = 0
    """only so many frames of the prompt; 0 for all"""
    count: Annotated[int, Field(ge=1, le=MOST_PIECES)] = 1
    """how many pieces, at most 1,000"""
    length: Positive = 200
    """number of frames to write after the prompt"""
    temperature: Weight = 1.0
    """below 1: likely keys become likelier; above 1: less so; 0: every key whose probability is above a half"""
    keys: str = ""
    """only these keys, by name (C3-C6) or by their MIDI numbers (48-84)  [default: all]"""
    tempo: Annotated[float, Field(ge=4.0, le=1_000.0)] | None = None
    """quarter notes a minute of MIDI files that are written  [default: the prompt's, or 120]"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """the same seed gives the same pieces"""
