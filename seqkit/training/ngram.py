"""The task of making a language model without a network: its n-grams are counted, once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from seqkit.config import LmSettings, Settings
from seqkit.corpora.dataset import Dataset
from seqkit.errors import TrainingError
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.training.checkpoint import has_checkpoint
from seqkit.training.distribution import ALONE, Group
from seqkit.training.language_model import StreamTask, read_corpora
from seqkit.training.progress import Progress

__all__ = ["NgramTask"]


class NgramTask(StreamTask):
    """Counts n-grams. There are no epochs, so that neither ``train.jsonl`` nor a checkpoint is written."""

    model: NgramLanguageModel
    divisible = False
    seconds = 0.0
    """how long counting took"""

    @classmethod
    def prepare(cls, settings: Settings, dataset: Dataset, device: torch.device, progress: Progress) -> NgramTask:
        """See `TrainingTask.prepare`; the model is complete, as what is said of it needs the counts."""
        assert isinstance(settings, LmSettings)
        units, corpora = read_corpora(settings, dataset, progress)
        began = time.monotonic()
        task = cls(settings, NgramLanguageModel.build(settings, units, corpora["train"]), corpora, None)
        task.seconds = time.monotonic() - began
        progress.say(f"vocabulary: {len(task.model.indexer.words) - 2:,} units")
        return task

    def fit(self, output: Path, progress: Progress, group: Group = ALONE, *, resume: bool) -> dict[str, Any]:
        """See `TrainingTask.fit`; nothing is left to be done.

        Args:
            output: where nothing is written.
            progress: where messages go.
            group: this process.
            resume: see that no network's checkpoint is in `output`, whose model would be replaced.

        Returns:
            What the report says of the training.

        Raises:
            TrainingError: there is one.
        """
        if resume and has_checkpoint(output):
            expected = "expected nothing to go on from, since n-grams are counted at once, found a checkpoint"
            raise TrainingError(f"{output}: {expected}; use --force")
        progress.say(f"{self.model.name}: counted in {self.seconds:.1f} seconds")
        return {"seconds": self.seconds}
