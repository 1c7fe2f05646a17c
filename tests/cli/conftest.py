"""A tiny corpus, two tiny models trained on it, and the command line called in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqkit.cli.main import main
from seqkit.config import override
from seqkit.corpora.samples import generate
from seqkit.heads.tagging.settings import TagSettings

SIZES = {"train": 60, "dev": 12, "test": 12}
TINY = {
    "embedding": {"word_size": 12, "char_size": 6, "char_features": 6, "word_dropout": 0.0, "dropout": 0.0},
    "encoder": {"hidden": 8, "dropout": 0.0},
    "training": {"epochs": 2, "batch_size": 8, "lr": 0.02},
}


@dataclass
class Result:
    """What one call of the command line gave."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line with arguments and standard input."""

    def call(*arguments: object, stdin: str | bytes = b"") -> Result:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Result(status, *capsys.readouterr())

    return call


@pytest.fixture
def tiny() -> list[str]:
    """Flags of a training that takes no time."""
    return ["--hidden=4", "--epochs=1", "--set=embedding.word_size=6", "--set=embedding.char_features=4"]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of splits in columns: token, part of speech (its last letter stands for one), entity (IOB2)."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, sentences in generate("sample-ner", SIZES, seed=1).items():
        blocks = [
            "".join(
                f"{token} {token[-1]} {label}\n" for token, label in zip(each.tokens, each.columns["ner"], strict=True)
            )
            for each in sentences
        ]
        (folder / f"{split}.conll").write_text("\n".join(blocks), encoding="utf-8")
    return folder


def _train(folder: Path, output: Path, tree: dict) -> Path:
    import seqkit

    seqkit.train(override(TagSettings(), {**TINY, **tree}), output, folder, device="cpu")
    return output


@pytest.fixture(scope="session")
def ner_model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tagger with a CRF over spans."""
    return _train(corpus, tmp_path_factory.mktemp("models") / "ner", {})


@pytest.fixture(scope="session")
def pos_model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tagger with a softmax over labels that mark no spans."""
    tree = {"data": {"target": "1", "scheme": "none"}, "head": {"crf": False}}
    return _train(corpus, tmp_path_factory.mktemp("models") / "pos", tree)
