"""Processes that train, which tests kill."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = [
    *("tests.training.killed", "tests.training.every_point"),
    *("seqkit.inputs.words", "seqkit.inputs.units", "seqkit.heads.tagging.head", "seqkit.heads.classification.head"),
    *("seqkit.heads.language_model.head", "seqkit.heads.generation.head", "seqkit.model.tagger"),
    *("seqkit.model.classifier", "seqkit.model.language_model", "seqkit.model.generator", "seqkit.model.ngram_model"),
    # Which optimisers, reports and comparisons import, seconds of work.
    *("torch._dynamo", "seqeval.metrics", "seqkit.lab.compare"),
]


@pytest.fixture(scope="session")
def processes() -> Iterator[Any]:
    """Processes are forked from one that has imported everything and computed nothing."""
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # or the server finds nothing to import
        context.set_forkserver_preload(IMPORTED)
        first = context.Process(target=len, args=("",))  # the server starts with the first
        first.start()
        first.join()
    yield context
