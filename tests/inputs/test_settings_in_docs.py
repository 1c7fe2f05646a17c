"""The tables of settings in the documentation are those of the settings classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqkit.config.sections import Section
from seqkit.heads.transcription.settings import TranscribeFrameSettings
from seqkit.inputs.audio_settings import AudioSettings
from seqkit.inputs.frame_settings import FrameSettings, WholeFrameSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sequences.md"


def tables() -> list[list[list[str]]]:
    """The cells of each table with a row for each setting."""
    found: list[list[list[str]]] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line == "| Setting | Default | Meaning |":
            found.append([])
        elif line.startswith("| `"):
            found[-1].append(line.strip("| ").split(" | "))
    return found


def written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize(("place", "kind"), [(0, AudioSettings), (1, WholeFrameSettings)])
def test_every_setting_with_its_default_and_meaning(place: int, kind: type[Section]) -> None:
    expected = [[f"`{name}`", written(field.default), field.description] for name, field in kind.model_fields.items()]
    assert tables()[place] == expected


def test_what_is_said_of_single_tasks() -> None:
    usual, transcribe = WholeFrameSettings(), TranscribeFrameSettings()
    changed = {
        name: getattr(transcribe, name)
        for name in WholeFrameSettings.model_fields
        if getattr(transcribe, name) != getattr(usual, name)
    }
    assert changed == {"time_masks": 2, "feature_masks": 1, "feature_mask": 2}
    assert WholeFrameSettings.model_fields.keys() - FrameSettings.model_fields.keys() == {"speed"}
