"""A run that was interrupted goes on; a checkpoint of another run is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seqkit
from seqkit.cli.options import settings_from_flags
from seqkit.errors import TrainingError
from seqkit.heads.tagging.settings import TagSettings
from seqkit.model.loading import load
from seqkit.training.checkpoint import read_checkpoint
from seqkit.training.learner import RecordLearner
from seqkit.training.run import run
from seqkit.training.signals import Interrupted

ROOT = Path(seqkit.__file__).resolve().parent.parent
Make = Callable[..., Any]


def weights(output: Path) -> bytes:
    return (output / "weights.safetensors").read_bytes()


def fault_of(kind: type[Exception], function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    return str(caught.value)


def interrupt(patch: pytest.MonkeyPatch, calls: int) -> None:
    """Press Ctrl-C during the given step."""
    plain = RecordLearner.compute
    left = iter(range(calls - 1, -1, -1))

    def counted(learner: RecordLearner, batch: Any, carried: Any) -> Any:
        if next(left, 1) == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(learner, batch, carried)

    patch.setattr(RecordLearner, "compute", counted)


@pytest.mark.parametrize("steps", [1, 5, 6, 8])
def test_a_resumed_run_ends_with_the_files_of_an_uninterrupted_one(
    steps: int, make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    """Within an epoch of six steps, with dropout, a moving average and a schedule."""
    settings = tiny_settings("training.average=0.9", "training.schedule=cosine", "training.warmup=0.5")
    options = {"dev": make_pairs(6, 1), "device": "cpu"}
    run(settings, tmp_path / "whole", make_pairs(48), **options)
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, steps)
        with pytest.raises(Interrupted):
            run(settings, tmp_path / "parts", make_pairs(48), **options)
    assert not (tmp_path / "parts" / "config.json").exists()
    run(settings, tmp_path / "parts", make_pairs(48), resume=True, **options)
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert load(tmp_path / "parts").report["scores"] == load(tmp_path / "whole").report["scores"]


def test_resume_starts_where_there_is_nothing_to_resume(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings("training.epochs=1")
    run(settings, tmp_path / "a", make_pairs(12), dev=make_pairs(4, 1), device="cpu", resume=True)
    run(settings, tmp_path / "b", make_pairs(12), dev=make_pairs(4, 1), device="cpu")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_a_finished_run_may_go_on_for_more_epochs(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    options = {"dev": make_pairs(4, 1), "device": "cpu", "resume": True}
    run(tiny_settings("training.epochs=1"), tmp_path / "a", make_pairs(12), **options)
    run(tiny_settings("training.epochs=3"), tmp_path / "a", make_pairs(12), **options)
    run(tiny_settings("training.epochs=3"), tmp_path / "b", make_pairs(12), **options)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_how_long_to_go_on_and_through_what_may_be_chosen_anew(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    options = {"dev": make_pairs(4, 1), "device": "cpu", "resume": True}
    run(tiny_settings("training.epochs=1"), tmp_path, make_pairs(12), **options)
    others = ["on_nan=skip", "patience=3", "time_limit=60", "checkpoint_minutes=30"]
    settings = tiny_settings("training.epochs=2", *(f"training.{other}" for other in others))
    run(settings, tmp_path, make_pairs(12), **options)
    assert [row["epoch"] for row in map(json.loads, (tmp_path / "train.jsonl").read_text().splitlines())] == [1, 2]


def test_a_checkpoint_is_taken_up_only_with_its_own_settings_and_data(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    pairs, dev = make_pairs(12), make_pairs(4, 1)
    options = {"device": "cpu", "resume": True}
    run(tiny_settings("training.epochs=1"), tmp_path, pairs, dev=dev, **options)
    kept = weights(tmp_path)

    def refused(settings: TagSettings, data: Any, dev: Any) -> str:
        message = fault_of(TrainingError, run, settings, tmp_path, data, dev=dev, **options)
        assert weights(tmp_path) == kept
        prefix, suffix = f"{tmp_path}: expected a checkpoint with ", "; start again with --force"
        assert message.startswith(prefix)
        assert message.endswith(suffix)
        return message[len(prefix) : -len(suffix)]

    assert refused(tiny_settings("encoder.hidden=9"), pairs, dev) == "encoder.hidden = 9, found 8"
    assert refused(tiny_settings("training.lr=0.5"), pairs, dev) == "training.lr = 0.5, found 0.01"
    assert refused(tiny_settings("training.seed=2"), pairs, dev) == "training.seed = 2, found 1"
    assert refused(tiny_settings("training.schedule=cosine"), pairs, dev).startswith(
        "training.schedule = cosine, found"
    )
    assert refused(tiny_settings(), pairs[1:], dev) == "training records = 11, found 12"
    renamed = [([token.replace("Ada", "Eve") for token in tokens], labels) for tokens, labels in pairs]
    relabelled = [(tokens, [label.replace("PER", "MEN") for label in labels]) for tokens, labels in pairs]
    reordered = [pairs[1], pairs[0], *pairs[2:]]
    for other in (renamed, relabelled, reordered):
        assert refused(tiny_settings(), other, dev).startswith("checksum of the data = ")
    assert refused(tiny_settings(), pairs, make_pairs(4, 2)).startswith("checksum of the data = ")


def test_other_vectors_under_the_same_name_are_other_data(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    path = tmp_path / "v.txt"
    path.write_text("ada 1 2\n")
    settings = tiny_settings(f"embedding.vectors={path}", "training.epochs=1")
    options = {"dev": make_pairs(4, 1), "device": "cpu", "resume": True}
    run(settings, tmp_path / "m", make_pairs(12), **options)
    path.write_text("ada 1 3\n")
    with pytest.raises(TrainingError, match="checksum of the data"):
        run(settings, tmp_path / "m", make_pairs(12), **options)


def test_a_damaged_checkpoint_is_a_fault_and_force_starts_again(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    settings = tiny_settings("training.epochs=1")
    options = {"dev": make_pairs(4, 1), "device": "cpu"}
    run(settings, tmp_path, make_pairs(12), **options)
    kept = weights(tmp_path)
    path = tmp_path / "checkpoint" / "state.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    message = fault_of(TrainingError, run, settings, tmp_path, make_pairs(12), resume=True, **options)
    assert message == f"{path}: damaged checkpoint (its checksum is another); start again with --force"
    run(settings, tmp_path, make_pairs(12), force=True, **options)
    assert weights(tmp_path) == kept


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_real_process(number: signal.Signals, make_pairs: Make, tmp_path: Path) -> None:
    """Exit status 130 or 143, how to go on, and after `--resume` the weights of a run that was left in peace."""
    folder = tmp_path / "data folder"
    folder.mkdir()
    for split, (count, seed) in {"train": (80, 0), "dev": (8, 1)}.items():
        rows = ["".join(f"{t}\t{label}\n" for t, label in zip(*pair, strict=True)) for pair in make_pairs(count, seed)]
        (folder / f"{split}.conll").write_text("\n".join(rows), encoding="utf-8")
    flags = ["--batch-size=4", "--hidden=8", "--set=embedding.word_size=8", "--set=embedding.char_features=4"]
    parts = tmp_path / "parts"
    start = [sys.executable, "-m", "seqkit", "tag", "train", str(folder), "-o", str(parts), "--device=cpu", *flags]
    process = subprocess.Popen(
        [*start, "--epochs=10000"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch   1/"):
            break
    time.sleep(0.05)  # into the next epoch
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("interrupted; a checkpoint is saved, continue with: seqkit tag train ")
    assert last.endswith(" --resume")
    assert "Traceback" not in err
    assert not (parts / "config.json").exists()
    checkpoint = read_checkpoint(parts)
    assert checkpoint is not None
    epochs = checkpoint[1]["counters"]["epoch"] + 1
    resume = [*start, f"--epochs={epochs}", "--resume"]
    done = subprocess.run(resume, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"resuming at epoch {epochs}, step " in done.stderr
    assert "dev\n\n" in done.stdout
    settings = settings_from_flags(
        "tag",
        None,
        ("training.batch_size=4", "encoder.hidden=8", "embedding.word_size=8", "embedding.char_features=4"),
        {"training__epochs": epochs},
    )
    torch.set_flush_denormal(True)  # as the command line does
    try:
        run(settings, tmp_path / "whole", folder, device="cpu")
    finally:
        torch.set_flush_denormal(False)
    assert weights(parts) == weights(tmp_path / "whole")
