"""What a transcriber makes of the posteriors of CTC, for chosen posteriors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqkit.formats.manifest import row_frames
from seqkit.heads.transcription.settings import TranscribeSettings
from seqkit.model.transcriber import Transcriber

pytest.importorskip("jiwer")


def build(texts: list[str], steps: int = 30, **changes: Any) -> Transcriber:
    """An untrained transcriber of such texts."""
    tree = {"encoder": {"hidden": 4, "layers": 1, "direction": "forward"}, **changes}
    frames = np.zeros((steps, 3)).tolist()
    records = [row_frames({"frames": frames, "text": text}) for text in texts]
    return Transcriber.build(TranscribeSettings.model_validate(tree), records)


def record_of(model: Transcriber, frames: int, **fields: Any) -> Any:
    record = model.input.record({"frames": np.zeros((frames, 3)).tolist(), **fields})
    model.input.lengths([record])
    return record


def scores_of(model: Transcriber, path: list[tuple[str, float]]) -> Tensor:
    """ln p where each step has a symbol with a probability, "" for the blank, and the others share the rest."""
    names = ["", *model.head.symbols.labels]
    rows = torch.tensor([[(1 - p) / (len(names) - 1)] * len(names) for _, p in path])
    for row, (symbol, p) in zip(rows, path, strict=True):
        row[names.index(symbol)] = p
    return rows.log()[None]  # [1, T, K + 1]


@pytest.mark.parametrize("data", [{"unit": "char"}, {"unit": "bpe", "bpe_size": 258}])
def test_n_best_texts_are_different_texts(data: dict[str, Any]) -> None:
    model = build(["a dog", "a do", "dog a"], data=data)
    for seed in range(5):
        values = torch.randn(1, 7, len(model.head.symbols) + 1, generator=torch.Generator().manual_seed(seed)) * 2
        options = model.options({"nbest": 12, "beam": 60})
        record = record_of(model, 7)
        (answer,) = model.head.decode(values.log_softmax(-1), torch.tensor([7]), [record], options)
        texts = [one["text"] for one in answer.alternatives or []]
        assert len(texts) == len({*texts}) == 12
        assert answer.text == texts[0]
        scores = [one["score"] for one in answer.alternatives or []]
        assert scores == sorted(scores, reverse=True)
