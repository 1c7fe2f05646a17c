"""Settings of sequences of vectors: what is read, and what is done with it before the encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seqkit.config.sections import LARGEST, Count, Positive, Probability, Section, Weight
from seqkit.inputs.settings import ReadingSettings

_Odd = Annotated[int, Field(ge=1, le=1001)]


class FrameDataSettings(ReadingSettings):
    """What is read: sequences of vectors."""

    frames: str = ""
    """field of the sequence: array file, recording or numbers  [default: frames, audio, path or file]"""
    speaker: str = "speaker"
    """field of the speaker: whole speakers are held out as dev where there are at least ten"""
    frame_rate: Weight = 0.0
    """frames a second of arrays, by which times are in seconds; 0: unknown"""


class FrameSettings(Section):
    """What is done with frames before the encoder reads them."""

    normalize: Literal["data", "speaker", "sequence", "none"] = "data"
    """subtract each feature's mean, divide by its deviation: of the training data, a speaker's sequences, or each"""
    stack: Annotated[int, Field(ge=1, le=1000)] = 1
    """frames side by side that become one step of the encoder"""
    stride: Annotated[int, Field(ge=0, le=1000)] = 0
    """frames from one step to the next; 0: as many as are stacked"""
    convolutions: Annotated[int, Field(ge=0, le=20)] = 0
    """convolutions over time in front of the encoder"""
    channels: Annotated[int, Field(ge=1, le=LARGEST)] = 128
    """features that each convolution makes"""
    kernel: _Odd = 5
    """frames that a convolution sees, an odd number"""
    causal: bool = False
    """convolutions see only the frames before, as streaming without delay needs it"""
    dropout: Probability = 0.0
    """dropout on the vectors that the encoder reads"""
    noise: Weight = 0.0
    """standard deviation of Gaussian noise that is added in training, to normalised features"""
    offset: Weight = 0.0
    """the same of what is added to each feature of a whole sequence: another microphone, another sensor"""
    warp: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """greatest change of the frequencies in training, as a share: another vocal tract each time (VTLP)"""
    spectrum: Literal["", "logmel", "mfcc"] = ""
    """what arrays hold, for warp, without differences in time; of recordings that is known"""
    time_masks: Count = 0
    """stretches of time that are masked in training (SpecAugment, Park et al. 2019)"""
    time_mask: Positive = 20
    """greatest length of such a stretch in frames, never more than a fifth of a sequence"""
    feature_masks: Count = 0
    """bands of features that are masked in training"""
    feature_mask: Positive = 4
    """greatest width of such a band in features"""

    @model_validator(mode="after")
    def _fit_together(self) -> FrameSettings:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be an odd number, found {self.kernel}")
        return self

    @property
    def step(self) -> int:
        """Frames from one step of the encoder to the next."""
        return self.stride or self.stack


class WholeFrameSettings(FrameSettings):
    """What is done with frames where no label belongs to a single one."""

    speed: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    """greatest change of tempo in training, as a share: another one each time, by interpolation between frames"""
