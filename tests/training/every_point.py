"""Runs that end, or whose disk fails, at any call that changes a file: what `test_every_point.py` tries.

A point is a call that creates, writes, flushes, renames or removes a file or a directory of the output. The process is
killed with SIGKILL before it, or in the middle of a write; or the call fails, once (``EIO``) or it and all that need
room after it (``ENOSPC``).
"""

from __future__ import annotations

import builtins
import errno
import hashlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from seqkit.config import Settings, override, parse_settings
from seqkit.errors import ModelError, SeqkitError
from seqkit.model.files import CONFIG, read_config
from seqkit.model.lock import LOCK
from seqkit.training.checkpoint import checkpoint_files
from seqkit.training.run import run
from tests.training.together import SMALL, data_of

FAULTS = ("SIGKILL", "EIO", "ENOSPC")
SCENARIOS = ("fresh", "force", "resume", "n-grams", "compare")
_NEED_ROOM = ("open", "write", "fsync", "mkdir", "rename")
_CELLS = ("gru", "rnn_tanh")
_LEFT = (CONFIG, LOCK, "compare.png", "train.jsonl")
"""files that are not compared: with the checksum of a report that has times, without a meaning, and compared below"""


class Points:
    """Counts the points that a process passes, and lets one of them fail.

    Args:
        output: the directory that is watched.
        fault: one of `FAULTS`.
        at: which point fails, from 0 on; -1 for none.
    """

    def __init__(self, output: Path, fault: str, at: int) -> None:
        self.output, self.fault, self.at = str(output), fault, at
        self.passed: list[str] = []

    def watch(self) -> None:
        """Begin; it does not end before the process does."""
        sys.addaudithook(self._heard)
        fsync, write, plain = os.fsync, os.write, builtins.open

        def flushed(handle: int) -> None:
            self._at("fsync", os.readlink(f"/proc/self/fd/{handle}"))
            fsync(handle)

        def written(handle: int, content: bytes) -> int:
            self._at("write", os.readlink(f"/proc/self/fd/{handle}"))
            return write(handle, content)

        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            stream = plain(file, mode, *arguments, **options)
            return _Halving(stream, lambda: self._at("write", str(file))) if mode == "xb" else stream

        os.fsync, os.write, builtins.open = flushed, written, opened  # type: ignore[assignment]

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        name = event.removeprefix("os.")
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_WRONLY):
            self._at("open", arguments[0])
        elif event.startswith("os.") and name in ("rename", "remove", "mkdir", "rmdir", "truncate", "link", "symlink"):
            self._at(name, arguments[0])

    def _at(self, kind: str, place: object) -> None:
        if not str(place).startswith(self.output):
            return
        self.passed.append(f"{kind} {os.path.relpath(str(place), self.output)}")
        number = len(self.passed) - 1
        if number == self.at and self.fault == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        if number == self.at and self.fault == "EIO":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if 0 <= self.at <= number and self.fault == "ENOSPC" and kind in _NEED_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _Halving:
    """A new file of which half is written before the rest."""

    def __init__(self, stream: Any, between: Callable[[], None]) -> None:
        self._stream, self._between = stream, between

    def __enter__(self) -> _Halving:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, content: bytes) -> None:
        self._stream.write(content[: len(content) // 2])
        self._stream.flush()
        self._between()
        self._stream.write(content[len(content) // 2 :])


def settings_of(scenario: str, seed: int) -> Settings:
    """Two epochs with a tiny network, or counts of n-grams."""
    if scenario == "n-grams":
        return override(parse_settings({"task": "lm"}, scenario), {"head": {"ngram": 1 + seed}})
    settings = override(parse_settings({"task": "tag"}, scenario), SMALL)
    small = {"training": {"seed": seed, "epochs": 2, "batch_size": 20}, "embedding": {"chars": "none"}}
    return override(settings, small)


def train(scenario: str, output: Path, *, seed: int, resume: bool = False, force: bool = False) -> None:
    """One run of a scenario."""
    torch.set_num_threads(1)
    settings = settings_of(scenario, seed)
    data = data_of("lm" if scenario == "n-grams" else "tag")
    if scenario == "compare":
        from seqkit.lab.compare import compare_cells

        compare_cells(settings, data, _CELLS, output, device="cpu", resume=resume, force=force)
    else:
        run(settings, output, data, device="cpu", resume=resume, force=force)


def life(scenario: str, output: Path, options: dict[str, Any], fault: str, at: int, told: Connection) -> None:
    """A process's life: a run with a fault at a point. Tells how it ended, and which points it passed."""
    points = Points(output, fault, at)
    points.watch()
    word = "done"
    try:
        train(scenario, output, **options)
    except SeqkitError as error:
        word = f"error: {error}"
    except BaseException:
        word = f"traceback: {traceback.format_exc()}"
    told.send((word, points.passed))


def content_of(output: Path) -> dict[str, str]:
    """All that a run or a comparison leaves, without times: name → checksum."""
    found = {}
    for path in sorted(output.rglob("*")):
        if path.is_file() and path.name not in _LEFT and path.parent.name != "checkpoint":
            content = path.read_bytes()
            if path.suffix == ".json":
                content = json.dumps(_timeless(json.loads(content))).encode()
            found[str(path.relative_to(output))] = hashlib.sha256(content).hexdigest()
        if path.name == "train.jsonl":
            lines = [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
            found[str(path.relative_to(output))] = json.dumps(lines)
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(each) for name, each in value.items() if "second" not in name and name != "device"}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


class Lives:
    """Processes of a scenario, and what they leave.

    Args:
        context: starts processes, of `multiprocessing`.
        folder: for outputs.
        scenario: one of `SCENARIOS`.
    """

    def __init__(self, context: Any, folder: Path, scenario: str) -> None:
        self.context, self.folder, self.scenario = context, folder / scenario, scenario
        self.folder.mkdir(parents=True)
        self.before = self.folder / "before"
        self.options: dict[str, Any] = {"seed": 2}
        self.old: dict[str, bytes] = {}
        if scenario in ("force", "n-grams"):
            self.options["force"] = True
            word, _ = self.live(self.before, {"seed": 1})
            assert word == "done", word
        elif scenario == "resume":
            self.options["resume"] = True
            # Killed when half of the points of a whole run are passed, where its first epoch is over.
            half = len(self.live(self.folder / "first", {"seed": 2})[1]) // 3
            assert self.live(self.before, {"seed": 2}, "SIGKILL", half)[0] == "killed"
            assert checkpoint_files(self.before)[0].exists()
        if self.before.exists() and (self.before / CONFIG).exists():
            self.old = read_config(self.before)[1]
        word, self.points = self.live(self.prepared("whole"), self.options)
        assert word == "done", word
        self.whole = content_of(self.folder / "whole")
        self.models = {path.parent.relative_to(self.folder / "whole") for path in self.models_in("whole")}
        self.new = {place: read_config(self.folder / "whole" / place)[1] for place in self.models}

    def models_in(self, name: str) -> Iterable[Path]:
        """The configurations of models in an output directory."""
        return (self.folder / name).rglob(CONFIG)

    def prepared(self, name: str) -> Path:
        """An output directory as it is before the run."""
        output = self.folder / name
        if self.before.exists():
            shutil.copytree(self.before, output)
        return output

    def live(self, output: Path, options: dict[str, Any], fault: str = "", at: int = -1) -> tuple[str, list[str]]:
        """Run in a process of its own; how it ended, and the points that it passed."""
        here, there = self.context.Pipe(duplex=False)
        process = self.context.Process(target=life, args=(self.scenario, output, options, fault, at, there))
        process.start()
        there.close()
        try:
            word, passed = here.recv()
        except EOFError:
            word, passed = "killed", []
        process.join()
        assert (word == "killed") == (process.exitcode == -signal.SIGKILL)
        return str(word), passed

    def check(self, fault: str, at: int) -> str:
        """Let a run fail at a point, read what is there, and resume; gives what was wrong, nothing if all is right."""
        output = self.prepared(f"{fault} {at}")
        here = f"{self.scenario}, {fault} at {at} ({self.points[at]}): "
        word, _ = self.live(output, self.options, fault, at)
        if word.startswith("traceback") or (word == "killed") != (fault == "SIGKILL"):
            return f"{here}{word}"
        for place in self.models:
            if (wrong := self._misread(output / place, self.new[place], done=word == "done")) != "":
                return f"{here}{wrong} (the run: {word})"
        if self.scenario == "n-grams" and (word == "done" or content_of(output) == self.whole):  # nothing to resume
            shutil.rmtree(output)
            return ""
        again = {"seed": 2, "resume": True}
        word, _ = self.live(output, again)
        if word.startswith("error") and self.options.get("force") and self._is_untouched(output):
            word, _ = self.live(output, {"seed": 2, "force": True})
        if word != "done":
            return f"{here}resuming: {word}"
        if content_of(output) != self.whole:
            return f"{here}resumed, it ended with other content"
        shutil.rmtree(output)
        return ""

    def _misread(self, model: Path, new: dict[str, bytes], *, done: bool) -> str:
        """What is wrong with a model that should be the old one, the new one, or absent if there was none."""
        if not (model / CONFIG).exists():
            return "no model" if done or self.old else ""
        try:
            found = read_config(model)[1]
        except ModelError as error:
            return str(error)
        if found == self.old and not done:
            return ""
        # Its report may lack the scores, which come with the second writing, and has times.
        same = all(found.get(name) == data for name, data in new.items() if name != "report.json")
        return "" if same and found.keys() == new.keys() else "neither the old model nor the new one"

    def _is_untouched(self, output: Path) -> bool:
        """Whether a run with ``--force`` ended before it had changed anything: the earlier run can go on."""

        def files(folder: Path) -> dict[Path, bytes]:
            kept = [path for path in folder.rglob("*") if path.is_file()]
            names = (LOCK, checkpoint_files(folder)[1].name)
            return {path.relative_to(folder): path.read_bytes() for path in kept if path.name not in names}

        return files(output) == files(self.before)

    def faults_at(self, every: int = 1) -> Iterator[tuple[str, int]]:
        """Faults and points to try: each, or one in so many, others with each fault."""
        for number, fault in enumerate(FAULTS):
            for at in range(number * every // len(FAULTS), len(self.points), every):
                yield fault, at
