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
from seqkit.tasks import TASKS
from seqkit.training.run import run

DATA = {
    "tag": ("train.conll", "a B-X\nb O\n\nb O\na B-X\n\n"),
    "classify": ("train.jsonl", '{"text": "a b", "label": "x"}\n{"text": "b c", "label": "y"}\n'),
    "lm": ("train.txt", "a b c\nb c a\n"),
    "generate": ("train.jsonl", '{"text": "ab", "kind": "x"}\n{"text": "ba", "kind": "y"}\n'),
}
TINY: dict[str, dict[str, Any]] = {
    "tag": {},
    "classify": {"head": {"baseline": False}},
    "lm": {"head": {"baseline": 0}, "training": {"bptt": 3}},
    "generate": {},
}
SETTINGS = [
    (task, section, name, field)
    for task in TASKS
    for section, part in TASKS[task].settings_class().model_fields.items()
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
    ("task", "section", "name", "field"), SETTINGS, ids=[".".join(setting[:3]) for setting in SETTINGS]
)
@pytest.mark.filterwarnings("ignore")
def test_no_number_ends_in_a_traceback(task: str, section: str, name: str, field: FieldInfo, tmp_path: Path) -> None:
    file, content = DATA[task]
    (tmp_path / file).write_text(content * 4)
    settings = override(parse_settings({"task": task}, task), {"encoder": {"hidden": 4}, **TINY[task]})
    settings = override(settings, {"training": {"epochs": 2, "batch_size": 4}})
    for number in extremes(field):
        for around in surroundings(section, name):
            with contextlib.suppress(SeqkitError):
                chosen = override(settings, {**around, section: {**around.get(section, {}), name: number}})
                run(chosen, tmp_path / "model", str(tmp_path / file), device="cpu", force=True, quiet=True)
