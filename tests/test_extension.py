"""A new input and a new head: a class and a row in the table of tasks each, and everything works with them."""

from __future__ import annotations

import ast
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seqkit
from seqkit.cli.main import main
from seqkit.config.sections import EncoderSettings, Section, Settings, TrainingSettings
from seqkit.errors import SettingsError
from seqkit.heads.base import Head, Loss, RecordTargets
from seqkit.heads.classification.settings import ClassifyDataSettings, ClassifyHeadSettings
from seqkit.heads.tagging.settings import TagDataSettings, TagHeadSettings
from seqkit.inputs.base import Documents, Input, Sources
from seqkit.inputs.settings import EmbeddingSettings
from seqkit.lab.gates import record_gates
from seqkit.model.base import Model
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.records import Sentence
from seqkit.tasks import TASKS, Task

ROOT = Path(__file__).resolve().parent.parent

# --- a new input: the letters of a text, 64 kinds of them -----------------------------------------------------------


class LetterSettings(Section):
    size: int = 6
    """size of a letter's vector"""


@dataclass
class LetterArrays:
    codes: list[np.ndarray]

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(code) for code in self.codes], dtype=np.int64)


@dataclass
class LetterBatch:
    codes: Tensor  # int64 [B, T]
    lengths: Tensor  # int64 [B]

    def to(self, device: torch.device) -> LetterBatch:
        return LetterBatch(self.codes.to(device), self.lengths)


class LetterModule(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size
        self.table = nn.Embedding(64, size)

    def forward(self, batch: LetterBatch) -> Tensor:
        return self.table(batch.codes)  # [B, T, I]


class Letters(Input):
    def __init__(self, size: int) -> None:
        self.size = size

    @classmethod
    def build(cls, settings: Any, records: Sequence[Any], sources: Sources) -> Letters:
        return cls(settings.embedding.size)

    @classmethod
    def restore(cls, settings: Any, documents: Documents) -> Letters:
        return cls(settings.embedding.size)

    def documents(self) -> dict[str, Any]:
        return {}

    def module(self) -> nn.Module:
        return LetterModule(self.size)

    def arrays(self, records: Sequence[Any]) -> LetterArrays:
        return LetterArrays([np.array([ord(letter) % 64 for letter in record.text], dtype=int) for record in records])

    def collate(self, arrays: LetterArrays, rows: np.ndarray) -> LetterBatch:
        codes = [torch.from_numpy(arrays.codes[row]) for row in rows]
        return LetterBatch(nn.utils.rnn.pad_sequence(codes, True), torch.from_numpy(arrays.lengths[rows]))


class LettersSettings(Settings):
    task: Literal["letters"] = "letters"
    data: ClassifyDataSettings = ClassifyDataSettings()
    embedding: LetterSettings = LetterSettings()
    encoder: EncoderSettings = EncoderSettings(hidden=8)
    head: ClassifyHeadSettings = ClassifyHeadSettings()
    training: TrainingSettings = TrainingSettings(epochs=2, lr=0.01)


# --- a new head: a number for a text, from the mean of the encoder's outputs ----------------------------------------


class NumberHeadSettings(Section):
    scale: float = 1.0
    """what the number is multiplied by"""


@dataclass
class NumberedText:
    sentence: Any
    number: float

    def to_json(self) -> dict[str, Any]:
        return {"text": self.sentence.text, "number": round(self.number, 4)}


@dataclass
class NumberReport:
    sentences: int
    error: float

    def to_json(self) -> dict[str, Any]:
        return {"sentences": self.sentences, "tokens": self.sentences, "mean_error": self.error}

    def render(self, width: int) -> str:
        return f"mean error {self.error:.4f} of {self.sentences} texts"


class Numbers(Head):
    def __init__(self, scale: float) -> None:
        self.scale = scale

    @classmethod
    def build(cls, settings: Any, records: Sequence[Any], input: Input) -> Numbers:
        return cls(settings.head.scale)

    @classmethod
    def restore(cls, settings: Any, documents: Documents, input: Input) -> Numbers:
        return cls(settings.head.scale)

    def documents(self) -> dict[str, Any]:
        return {}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> nn.Module:
        self.module = nn.Linear(encoder.output_size, 1)
        return self.module

    def targets(self, records: Sequence[Any]) -> RecordTargets:
        return RecordTargets(np.array([int(record.fields["label"]) for record in records]))

    def score(self, encoded: Encoded) -> Tensor:
        mean = encoded.outputs.sum(1) / encoded.lengths.clamp(min=1).to(encoded.outputs).unsqueeze(1)  # [B, D]
        return self.scale * self.module(mean).squeeze(1)  # [B]

    def loss(self, encoded: Encoded, targets: Tensor) -> Loss:
        return Loss((self.score(encoded) - targets).square().mean(), len(targets))

    def decode(self, scores: Tensor, lengths: Tensor, records: Sequence[Any], options: Any) -> list[NumberedText]:
        return [NumberedText(*pair) for pair in zip(records, scores.tolist(), strict=True)]

    def empty(self, record: Any, options: Any) -> NumberedText:
        return NumberedText(record, 0.0)

    def gold(self, records: Sequence[Any], **options: Any) -> list[list[str]]:
        return [[record.fields["label"]] for record in records]

    def report(self, gold: Any, answers: Any, baseline: Any = None) -> NumberReport:
        errors = [abs(int(right) - found.number) for (right,), found in zip(gold, answers, strict=True)]
        return NumberReport(len(errors), sum(errors) / max(1, len(errors)))

    def dev_scores(self, report: NumberReport) -> dict[str, float]:
        return {"score": -report.error}


class NumbersSettings(Settings):
    task: Literal["numbers"] = "numbers"
    data: ClassifyDataSettings = ClassifyDataSettings()
    embedding: EmbeddingSettings = EmbeddingSettings(word_size=8, chars="none")
    encoder: EncoderSettings = EncoderSettings(hidden=8)
    head: NumberHeadSettings = NumberHeadSettings()
    training: TrainingSettings = TrainingSettings(epochs=2, lr=0.01)


# --- a row each -----------------------------------------------------------------------------------------------------

HERE = "tests.test_extension"
ROWS = (
    Task(
        name="letters",
        summary="Label a text by its letters.",
        settings=f"{HERE}:LettersSettings",
        input=f"{HERE}:Letters",
        head="seqkit.heads.classification.head:Classification",
        options="seqkit.heads.classification.settings:ClassifyOptions",
    ),
    Task(
        name="numbers",
        summary="Give a text a number.",
        settings=f"{HERE}:NumbersSettings",
        input="seqkit.inputs.words:WordInput",
        head=f"{HERE}:Numbers",
        learned="",
    ),
)


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in ROWS:
        monkeypatch.setitem(TASKS, row.name, row)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of a's and b's, labelled by how many a's there are."""
    folder = tmp_path_factory.mktemp("data")
    draw = random.Random(0)
    for split, count in (("train", 60), ("dev", 15), ("test", 15)):
        words = [draw.choices(["a", "b"], k=draw.randint(1, 6)) for _ in range(count)]
        rows = [{"text": " ".join(text), "label": str(text.count("a"))} for text in words]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
    return folder


@pytest.fixture(params=[row.name for row in ROWS])
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_trains_evaluates_predicts_and_loads_again(
    task: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model"
    assert main([task, "train", str(data), "-o", str(output), "--epochs", "3", "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert "test" in told.out
    assert "best epoch" in told.err
    assert main([task, "evaluate", str(data), "-m", str(output), "--json", "-"]) == 0
    scores = json.loads(capsys.readouterr().out)
    report = seqkit.load(output).report["scores"]["test"]
    assert {name: scores[name] for name in report} == report  # the reloaded model predicts what the trained one did
    texts = tmp_path / "texts.txt"
    texts.write_text("a b a\n\nb\n", encoding="ascii")
    assert main([task, "predict", str(texts), "-m", str(output), "--quiet"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["a b a", "", "b"]
    model = seqkit.load(output)
    assert [model.answer({"text": text}) for text in ("a b a", "", "b")] == lines
    assert main([task, "predict", str(texts), "-m", str(output), "--quiet", "--workers", "1"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == lines


def test_dry_run_info_and_help(task: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([task, "train", str(data), "--dry-run", "--quiet"]) == 0
    recipe = capsys.readouterr().out
    assert f'task = "{task}"' in recipe
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    output = tmp_path / "model"
    assert main([task, "train", "-c", str(tmp_path / "recipe.toml"), "-o", str(output), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["info", str(output)]) == 0
    told = capsys.readouterr().out
    assert f"{output}: {task}, " in told
    assert "parameters  " in told
    assert main(["--help"]) == 0
    assert TASKS[task].summary in capsys.readouterr().out
    for verb in ("train", "evaluate", "predict"):
        assert main([task, verb, "--help"]) == 0
        assert "Usage: seqkit" in capsys.readouterr().out


def test_starts_from_another_model_only_where_both_read_words(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = str(tmp_path / "letters"), str(tmp_path / "more")
    assert main(["letters", "train", str(data), "-o", first, "--epochs", "1", "--quiet", "--device", "cpu"]) == 0
    capsys.readouterr()
    for task in ("letters", "numbers"):
        flags = ["--init-from", first, "--quiet", "--device", "cpu"]
        assert main([task, "train", str(data), "-o", second, *flags]) == 1
        fault = "a model can only start from another where both read words or units"
        assert capsys.readouterr().err == f"error: --init-from {first}: {fault}\n"


# --- what a new input or head does not have -------------------------------------------------------------------------


def trained(task: str, data: Path, output: Path, *flags: str) -> Path:
    assert (
        main([task, "train", str(data), "-o", str(output), "--epochs", "1", "--quiet", "--device", "cpu", *flags]) == 0
    )
    return output


def test_an_input_without_words_has_none_to_predict(monkeypatch: pytest.MonkeyPatch) -> None:
    class TagLetters(Settings):
        task: Literal["tag_letters"] = "tag_letters"
        data: TagDataSettings = TagDataSettings()
        embedding: LetterSettings = LetterSettings()
        encoder: EncoderSettings = EncoderSettings(hidden=8, concat="final")
        head: TagHeadSettings = TagHeadSettings(lm_loss=0.1)
        training: TrainingSettings = TrainingSettings()

    row = Task("tag_letters", "", "", f"{HERE}:Letters", "seqkit.heads.tagging.head:Tagging")
    monkeypatch.setitem(TASKS, row.name, row)
    records = [Sentence.from_tokens(["a", "b"], {"label": ["X", "Y"]})]
    with pytest.raises(SettingsError) as caught:
        Model.build(TagLetters(), records)
    assert str(caught.value) == "head.lm_loss: the input of this task has no words to predict, so it must be 0"
    plain = TagLetters(head=TagHeadSettings())
    assert Model.build(plain, records).head.codec.tags.labels == ("X", "Y")


def test_bench_and_gates(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(trained("letters", data, tmp_path / "model"))
    texts = tmp_path / "texts.txt"
    texts.write_text("a b a\n", encoding="ascii")
    capsys.readouterr()
    assert main(["bench", str(texts), "-m", model]) == 1
    fault = "seqkit bench needs a model that reads words, and `seqkit letters` reads others"
    assert capsys.readouterr().err == f"error: {fault}\n"
    found = record_gates(seqkit.load(model), "a b a")
    assert (found.steps, found.layers[0].gates[0].values.shape) == (["0", "1", "2", "3", "4"], (5, 8))
    assert main(["lab", "gates", "a b a", "-m", model, "-o", str(tmp_path / "gates")]) == 0


def test_evaluate_shows_errors_and_labels_only_where_there_are_some(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "numbers", TASKS["numbers"]._replace(errors="write the texts with errors"))
    model = str(trained("numbers", data, tmp_path / "model"))
    picture = tmp_path / "confusion.png"
    for flags, fault in (
        (["--errors", "-"], "--errors needs a model whose predictions are right or wrong."),
        (["--confusion", str(picture)], "--confusion needs a model that predicts labels."),
    ):
        capsys.readouterr()
        assert main(["numbers", "evaluate", str(data), "-m", model, *flags]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == f"error: {fault}"
    assert not picture.exists()


def test_info_shows_the_documents_that_there_are(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "numbers", TASKS["numbers"]._replace(learned=Task._field_defaults["learned"]))
    for task, rows in (("numbers", set()), ("letters", {"labels"})):
        model = str(trained(task, data, tmp_path / task))
        capsys.readouterr()
        assert main(["info", model]) == 0
        told = capsys.readouterr().out
        assert {line.split()[0] for line in told.partition("\n\n")[0].splitlines()} & {"labels"} == rows
        assert main(["info", model, "--json"]) == 0
        keys = {"format_version", "seqkit_version", "settings", "files", "report", "fault"}
        assert set(json.loads(capsys.readouterr().out)) == keys | rows


def test_workers_do_not_know_a_task_of_this_process(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = trained("letters", data, tmp_path / "model")
    texts = tmp_path / "texts.txt"
    texts.write_text("a b a\n", encoding="ascii")
    capsys.readouterr()
    assert main(["letters", "predict", str(texts), "-m", str(model), "--quiet", "--workers", "2"]) == 1
    fault = f"{model}: there is no task 'letters' in this installation of seqkit"
    assert capsys.readouterr().err == f"error: {fault}\n"


def started(task: str, data: Path, output: Path, *flags: str) -> list[str]:
    code = f"import sys; from {HERE} import ROWS; from seqkit.tasks import TASKS; "
    code += "TASKS.update({row.name: row for row in ROWS}); from seqkit.cli.main import main; sys.exit(main())"
    flags = ("--epochs", "20", "--batch-size", "2", "--set", "encoder.dropout=0.3", "--device", "cpu", *flags)
    return [sys.executable, "-c", code, task, "train", str(data), "-o", str(output), *flags]


def test_resumes_after_a_kill(task: str, data: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(started(task, data, whole, "--quiet"), cwd=ROOT, check=True, timeout=120)
    process = subprocess.Popen(started(task, data, killed, "--quiet", "--checkpoint-minutes", "0.0005"), cwd=ROOT)
    for _ in range(600):
        if (killed / "checkpoint" / "state.safetensors").exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "config.json").exists()
    subprocess.run(started(task, data, killed, "--quiet", "--resume"), cwd=ROOT, check=True, timeout=120)
    weights = [(output / "weights.safetensors").read_bytes() for output in (whole, killed)]
    assert weights[0] == weights[1]


def lines_of(*names: str) -> Iterator[int]:
    for node in ast.parse(Path(__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name in names:
            yield (node.end_lineno or 0) - node.lineno + 1


def test_that_is_little_code() -> None:
    """Lines of a class, docstrings and blank lines included."""
    assert sum(lines_of("LetterSettings", "LetterArrays", "LetterBatch", "LetterModule", "Letters")) < 60
    assert sum(lines_of("NumberHeadSettings", "NumberedText", "NumberReport", "Numbers")) < 80
