"""What tests of the whole share: one thread, a tiny corpus, and a tiny model trained on it."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

# Before torch is imported: a second thread costs these models more than it gives, and sums differ with the number.
os.environ["OMP_NUM_THREADS"] = "1"
# Started in the background by a script, the suite ignores Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import pytest

from seqkit.config import override
from seqkit.formats.schemes import from_spans
from seqkit.heads.tagging.settings import TagSettings
from seqkit.records import Sentence

# A loaded machine is no fault of the code.
hypothesis.settings.register_profile("seqkit", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("seqkit")

Pairs: TypeAlias = list[tuple[list[str], list[str]]]

HANGING = 60
"""seconds that no test takes to which `watchdog` belongs, on a busy machine either"""
_NAMES = {"PER": ["Ada", "Bo", "Cleo", "Dov", "Esi"], "LOC": ["Rome", "Oslo", "Lima", "Pisa"]}
_VERBS = ["met", "saw", "left", "knew"]


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """Commands flush denormals to zero, a setting of the whole process, which other tests need as it was."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def watchdog() -> Iterator[None]:
    """Fails a test that hangs, which would otherwise keep the suite from telling which one it is."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def hangs(*_: object) -> None:
        pytest.fail(f"expected an end within {HANGING} seconds")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, HANGING)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def make_pairs() -> Callable[..., Pairs]:
    """`make_pairs(count, seed, scheme)`: sentences with entities, some right beside another of their kind."""

    def make(count: int, seed: int = 0, scheme: str = "iob2") -> Pairs:
        draw = random.Random(seed)
        pairs: Pairs = []
        for _ in range(count):
            tokens: list[str] = []
            spans: list[tuple[int, int, str]] = []
            for _ in range(draw.randint(1, 3)):
                kind = draw.choice(["PER", "LOC"])
                for _ in range(draw.choice([1, 1, 2])):
                    start = len(tokens)
                    tokens += [draw.choice(_NAMES[kind]) for _ in range(draw.choice([1, 1, 2, 3]))]
                    spans.append((start, len(tokens), kind))
                tokens += ["in" if kind == "LOC" else draw.choice(_VERBS), draw.choice(["a", "the", "its"])]
            labels = [label[0] for label in tokens] if scheme == "none" else from_spans(spans, len(tokens), scheme)
            pairs.append((tokens, labels))
        return pairs

    return make


@pytest.fixture(scope="session")
def make_sentences(make_pairs: Callable[..., Pairs]) -> Callable[..., list[Sentence]]:
    """The same as records, their labels in the column ``label`` and a part of speech of a kind in ``pos``."""

    def make(count: int, seed: int = 0, scheme: str = "iob2") -> list[Sentence]:
        return [
            Sentence.from_tokens(tokens, {"pos": ["PROPN" if t.istitle() else t for t in tokens], "label": labels})
            for tokens, labels in make_pairs(count, seed, scheme)
        ]

    return make


@pytest.fixture(scope="session")
def tiny_settings() -> Callable[..., TagSettings]:
    """`tiny_settings("training.epochs=3", …)`: settings of a model that trains in a second, with changes to them."""
    from seqkit.config import parse_assignments

    tiny: dict[str, Any] = {
        "embedding": {"word_size": 8, "char_size": 4, "char_features": 4},
        "encoder": {"hidden": 8},
        "training": {"epochs": 2, "batch_size": 8, "lr": 0.01},
    }

    def make(*assignments: str) -> TagSettings:
        return override(override(TagSettings(), tiny), parse_assignments(assignments))

    return make


@pytest.fixture(scope="session")
def trained(
    make_pairs: Callable[..., Pairs],
    tiny_settings: Callable[..., TagSettings],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The directory of a model that was trained with a test split, a little longer than usual. Not to be changed."""
    from seqkit.training.run import train

    output = tmp_path_factory.mktemp("trained") / "model"
    settings = tiny_settings("training.epochs=8", "training.lr=0.03")
    train(settings, output, make_pairs(48), dev=make_pairs(12, 1), test=make_pairs(12, 2), device="cpu")
    return output


@pytest.fixture
def real_file() -> Callable[[str], Path]:
    """``folder/file`` of a data set in one of the folders of ``$SEQKIT_DATA``; skips the test where none has it."""

    def find(name: str) -> Path:
        folders = [folder for folder in os.environ.get("SEQKIT_DATA", "").split(os.pathsep) if folder]
        for folder in folders:
            if (Path(folder) / name).is_file():
                return Path(folder) / name
        pytest.skip(f"needs {name} in a folder of $SEQKIT_DATA ({', '.join(folders) or 'not set'})")

    return find
