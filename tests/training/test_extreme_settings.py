"""Every number that a setting may be, however small or great, trains a model or ends in an error of one line."""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from seqkit.config import override, parse_settings
from seqkit.config.sections import Section
from seqkit.errors import SeqkitError
from seqkit.tasks import TASKS, Task
from seqkit.training.run import run

DATA = {
    "tag": ("train.conll", "a B-X\nb O\n\nb O\na B-X\n\n"),
    "classify": ("train.jsonl", '{"text": "a b", "label": "x"}\n{"text": "b c", "label": "y"}\n'),
    "lm": ("train.txt", "a b c\nb c a\n"),
    "generate": ("train.jsonl", '{"text": "ab", "kind": "x"}\n{"text": "ba", "kind": "y"}\n'),
    "translate": ("train.tsv", "source\ttarget\na b\tx y\nb\tz\n"),
}
_STEPS = "[[0, 1], [1, 0], [2, 1], [0, 2]]"
_FRAMES = (
    f'{{"frames": {_STEPS}, "label": "x", "labels": ["a", "b", "a", "a"], "text": "ab"}}\n'
    f'{{"frames": [[1, 1], [0, 1]], "label": "y", "labels": ["b", "b"], "text": "b"}}\n'
)
DATA_OF_FRAMES = dict.fromkeys(("tag", "classify", "translate", "transcribe"), ("train.jsonl", _FRAMES)) | {
    "lm": ("train.jsonl", '{"frames": [[0, 1], [1, 0], [1, 1]]}\n{"frames": [[1, 0], [0, 1]]}\n')
}
TINY: dict[str, dict[str, Any]] = {
    "tag": {},
    "classify": {"head": {"baseline": False}},
    "lm": {"head": {"baseline": 0}, "training": {"bptt": 3}},
    "generate": {},
    "translate": {"head": {"hidden": 4, "size": 4}, "embedding": {"word_size": 4}},
}
SETTINGS = [
    (row, section, name, field)
    for task in TASKS
    for row in TASKS[task].rows
    for section, part in row.settings_class().model_fields.items()
    if isinstance(part.annotation, type) and issubclass(part.annotation, Section)
    for name, field in part.annotation.model_fields.items()
    if field.annotation is float
]


def extremes(field: FieldInfo) -> list[float]:
    """The smallest and the greatest number that a setting may be."""
    limits = {
        name: getattr(each, name) for each in field.metadata for name in ("ge", "gt", "lt", "le") if hasattr(each, name)
    }
    least = math.nextafter(limits["gt"], math.inf) if "gt" in limits else limits.get("ge", -sys.float_info.max)
    most = math.nextafter(limits["lt"], -math.inf) if "lt" in limits else limits.get("le", sys.float_info.max)
    return [least, most]


def surroundings(section: str, name: str) -> list[dict[str, dict[str, Any]]]:
    """Other settings that decide what becomes of a number."""
    if name in ("init_gain", "forget_bias"):
        return [{"encoder": {"cell": cell}} for cell in ("lstm", "gru", "rnn_relu", "lstm_coupled", "minlstm")]
    if name in ("decay", "warmup", "plateau_factor", "step_factor"):
        return [{"training": {"schedule": schedule}} for schedule in ("inverse", "cosine", "plateau", "step")]
    if section != "training":
        return [{}]
    kinds = [(kind, by) for kind in ("sgd", "adam", "adamw") for by in ("norm", "value")]
    return [{"training": {"optimizer": kind, "clip_by": by}} for kind, by in kinds]


@pytest.mark.parametrize(
    ("row", "section", "name", "field"),
    SETTINGS,
    ids=[f"{row.name}-{row.input_name}.{section}.{name}" for row, section, name, _ in SETTINGS],
)
@pytest.mark.filterwarnings("ignore")
def test_no_number_ends_in_a_traceback(row: Task, section: str, name: str, field: FieldInfo, tmp_path: Path) -> None:
    of_frames = row.input_name == "frames"
    file, content = (DATA_OF_FRAMES if of_frames else DATA)[row.name]
    (tmp_path / file).write_text(content * 4)
    tree = {"task": row.name, "input": "frames"} if of_frames else {"task": row.name}
    tiny = {"training": {"bptt": 3}} if of_frames and row.name == "lm" else {} if of_frames else TINY[row.name]
    settings = override(parse_settings(tree, row.name), {"encoder": {"hidden": 4}, **tiny})
    settings = override(settings, {"training": {"epochs": 2, "batch_size": 4}})
    for number in extremes(field):
        for around in surroundings(section, name):
            with contextlib.suppress(SeqkitError):
                chosen = override(settings, {**around, section: {**around.get(section, {}), name: number}})
                run(chosen, tmp_path / "model", str(tmp_path / file), device="cpu", force=True, quiet=True)


@pytest.mark.parametrize(
    "row", [row for task in TASKS for row in TASKS[task].rows if row.input_name == "frames"], ids=lambda row: row.name
)
def test_the_data_of_frames_train(row: Task, tmp_path: Path) -> None:
    file, content = DATA_OF_FRAMES[row.name]
    (tmp_path / file).write_text(content * 4)
    settings = override(parse_settings({"task": row.name, "input": "frames"}, row.name), {"training": {"epochs": 2}})
    assert run(settings, tmp_path / "model", str(tmp_path / file), device="cpu").model.task is row
