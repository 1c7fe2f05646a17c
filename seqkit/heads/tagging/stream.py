"""Labels of a sequence that is still going on: each as soon as it is certain, or has waited for the lag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqkit.heads.tagging.labels import TagCodec
from seqkit.heads.tagging.module import TaggingHead

DEFAULT_LAG = 8
"""steps after which a label that depends on others is decided, where nothing else is said"""


@dataclass(frozen=True, slots=True)
class StepLabel:
    """The label of one step of a stream.

    Attributes:
        step: the number of the token or frame in its sequence, from 0.
        label: its label.
        prob: the label's probability, if it was asked for.
    """

    step: int
    label: str
    prob: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The label as a JSON object."""
        prob = {} if self.prob is None else {"prob": self.prob}
        return {"step": self.step, "label": self.label, **prob}


class LabelStream:
    """See `seqkit.heads.base.Head.stream`; the answers are a `StepLabel` for each step, in order.

    Args:
        codec: ids of tags → labels.
        module: what decides.
        lag: how many further steps are seen before a tag is decided that depends on others; see
            `seqkit.nn.lag.LaggedViterbi`. One that does not is decided at once.
        probs: whether probabilities are asked for, which tags must not depend on others for.

    Attributes:
        lag: how many steps a label waits; 0 where it is certain at once.
    """

    def __init__(self, codec: TagCodec, module: TaggingHead, *, lag: int, probs: bool) -> None:
        self._codec, self._module, self._probs = codec, module, probs
        self._lagged = None
        if module.crf is not None and not module.independent:
            self._lagged = module.crf.lagged(lag, classes=torch.from_numpy(codec.visible))
        self.lag = 0 if self._lagged is None else lag
        self._steps = 0
        self._last: list[int] = []  # the last tag, on which it may depend how the next one is written

    def accept(self, scores: Tensor) -> list[StepLabel]:
        """Read the next steps.

        Args:
            scores: what `TaggingHead.score` gave, [1, t, K] or [1, t, D].

        Returns:
            The labels that are now certain.
        """
        if self._lagged is not None:
            return self._labelled(self._lagged.accept(scores.cpu())[0].tolist())
        if not scores.shape[1]:
            return []
        decoded = self._module.decode(scores, torch.tensor([scores.shape[1]]), probabilities=self._probs)
        probs = None if decoded.chosen is None else decoded.chosen[0].clamp(max=1.0).tolist()
        return self._labelled(decoded.tags[0].tolist(), probs)

    def finish(self) -> list[StepLabel]:
        """End the sequence; what comes next begins another one.

        Returns:
            The labels that were not certain before.
        """
        found = [] if self._lagged is None else self._labelled(self._lagged.finish()[0].tolist())
        self._steps, self._last = 0, []
        return found

    def _labelled(self, tags: list[int], probs: Sequence[float] | None = None) -> list[StepLabel]:
        labels = self._codec.decode([*self._last, *tags])[len(self._last) :]
        first, self._steps = self._steps, self._steps + len(tags)
        self._last = tags[-1:] or self._last
        values: Sequence[float | None] = probs or [None] * len(tags)
        return [StepLabel(first + n, *each) for n, each in enumerate(zip(labels, values, strict=True))]
