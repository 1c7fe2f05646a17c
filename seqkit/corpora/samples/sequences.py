"""The samples of sequences of vectors: tones and rests, tunes, movements of a pen.

Numbers are made by additions and multiplications of `random.Random.random` alone, which are the same everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np

from seqkit.corpora.samples.grammar import distinct, pick, shuffled
from seqkit.formats.arrays import ArraySource
from seqkit.records import FrameRecord, Sentence, TextRecord

T = TypeVar("T")

TONES = ("do", "re", "mi", "fa", "sol", "la", "ti")
REST = "rest"
CONTOURS = ("rising", "falling", "arch", "valley")
_BANDS = 12
_OVERTONE = 4.0
"""bands from a tone to its overtone"""

_KEYS = 88
_LOWEST = 21
"""MIDI number of the lowest of 88 keys"""
_CHORDS: Mapping[str, tuple[int, ...]] = {"I": (0, 4, 7), "IV": (5, 9, 12), "V": (7, 11, 14), "vi": (9, 12, 16)}
"""semitones above the tonic"""
_HALVES = (("I", "IV", "V", "I"), ("I", "vi", "IV", "V"), ("I", "V", "vi", "IV"), ("I", "I", "IV", "V"))
_CLOSE = ("I", "IV", "V", "I")
_BEATS = 4

DIRECTIONS: Mapping[str, tuple[int, int]] = {"up": (0, 1), "down": (0, -1), "left": (-1, 0), "right": (1, 0)}


def tones(sizes: Mapping[str, int], seed: int) -> dict[str, list[FrameRecord]]:
    """Play tones with rests between them: energies of 12 bands, each tone with an overtone, out of tune and in noise.

    Args:
        sizes: split → number of sequences.
        seed: seed of the generator.

    Returns:
        Split → sequences with fields ``labels``, what each frame is (a tone or a rest), ``label``, the contour of the
        tones, which depends on their order, and ``text``, their names.
    """

    def play(rng: random.Random) -> FrameRecord:
        contour = pick(rng, CONTOURS)
        played = [TONES[tone] for tone in _contour(rng, contour)]
        loudness, detuning = 0.6 + 0.8 * rng.random(), 0.5 * rng.random() - 0.25
        frames, labels = [], []
        for name in (*(each for tone in played for each in (REST, tone)), REST):
            center = None if name == REST else 1.0 + 0.9 * TONES.index(name) + detuning
            for step in range(_between(rng, 1, 4) if center is None else _between(rng, 5, 10)):
                energy = loudness * (1.0 - 0.06 * step)
                frames.append([round(_energy(rng, band, center, energy), 3) for band in range(_BANDS)])
                labels.append(name)
        return _record(frames, {"labels": labels, "label": contour, "text": " ".join(played)})

    return _splits(play, sizes, seed)


def _contour(rng: random.Random, contour: str) -> list[int]:
    """Different tones whose order makes a contour."""
    found = sorted(shuffled(rng, range(len(TONES)))[: _between(rng, 3, 5)])
    if contour in ("arch", "valley"):  # the others before and after the highest, or the lowest, at least one of each
        turn = found.pop() if contour == "arch" else found.pop(0)
        sides = ([found[0]], [found[1]]) if rng.random() < 0.5 else ([found[1]], [found[0]])
        for tone in found[2:]:
            sides[rng.random() < 0.5].append(tone)
        before, after = (sorted(side) for side in sides)
        return [*before, turn, *after[::-1]] if contour == "arch" else [*before[::-1], turn, *after]
    return found if contour == "rising" else found[::-1]


def _energy(rng: random.Random, band: int, center: float | None, energy: float) -> float:
    noise = 0.25 * (rng.random() + rng.random() + rng.random() - 1.5)
    if center is None:
        return noise
    return noise + energy * (_bump(band - center) + 0.4 * _bump(band - center - _OVERTONE))


def _bump(distance: float) -> float:
    return max(0.0, 1.0 - abs(distance) / 1.5)


def melodies(sizes: Mapping[str, int], seed: int) -> dict[str, list[FrameRecord]]:
    """Write tunes of eight bars in a major key: a bass that holds the chord of each bar, and a melody over it.

    Args:
        sizes: split → number of tunes.
        seed: seed of the generator.

    Returns:
        Split → sequences of 88 keys, 1 for a key that is down, four frames a bar; no tune occurs twice.

    Raises:
        DataError: there are not so many different tunes.
    """
    seen: set[Hashable] = set()

    def write(rng: random.Random) -> list[tuple[int, int]]:
        tonic = 60 + pick(rng, (-5, -3, 0, 2, 4))
        scale = [tonic + 12 * octave + step for octave in (-1, 0, 1) for step in (0, 2, 4, 5, 7, 9, 11)]
        tune, last = [], pick(rng, scale[7:14])
        for bar, chord in enumerate((*pick(rng, _HALVES), *_CLOSE)):
            tones = [tonic + step for step in _CHORDS[chord]]
            for beat in range(_BEATS):
                if beat in (0, 2):  # a tone of the chord near the last one; then that again, or a neighbour in the key
                    near = sorted(tones, key=lambda tone: (abs(tone - last), tone))
                    last = tonic if bar == 7 else near[int(rng.random() * 2)]
                elif bar < 7 and rng.random() < 0.6:
                    last = scale[scale.index(last) + (1 if rng.random() < 0.5 else -1)]
                tune.append((tones[0] - 24, last))
        return tune

    def split(name: str, size: int) -> list[FrameRecord]:
        made = distinct(partial(write, random.Random(f"{seed} {name}")), tuple, size, seen)
        return [_record(_roll(tune), {}, line) for line, tune in enumerate(made, start=1)]

    return {name: split(name, size) for name, size in sizes.items()}


def _roll(tune: Sequence[tuple[int, int]]) -> list[list[int]]:
    return [[int(key + _LOWEST in beat) for key in range(_KEYS)] for beat in tune]


def gestures(sizes: Mapping[str, int], seed: int) -> dict[str, list[Sentence]]:
    """Move a pen from anywhere, in one to three strokes with pauses between them.

    Args:
        sizes: split → number of movements.
        seed: seed of the generator.

    Returns:
        Split → records with fields ``frames``, the place of the pen at each moment, and ``text``, what was done.
    """

    def move(rng: random.Random) -> Sentence:
        place = [10.0 * rng.random() - 5.0, 10.0 * rng.random() - 5.0]
        frames, told = [], []
        for _ in range(_between(rng, 1, 3)):
            name, slowly = pick(rng, tuple(DIRECTIONS)), rng.random() < 0.4
            told.append(f"{name} slowly" if slowly else name)
            steps = _between(rng, 9, 12) if slowly else _between(rng, 4, 6)
            stroke = (0.4 if slowly else 1.0) * (0.8 + 0.4 * rng.random())
            for step in range(steps + _between(rng, 2, 3)):
                for axis, sign in enumerate(DIRECTIONS[name] if step < steps else ()):
                    place[axis] += sign * stroke
                frames.append([round(each + 0.2 * (rng.random() - 0.5), 2) for each in place])
        text = " then ".join(told)
        return TextRecord(text, {"frames": frames, "text": text}).cut(_words)

    return _splits(move, sizes, seed)


def _words(text: str) -> list[tuple[int, int]]:
    ends = [place for place, character in enumerate(f"{text} ") if character == " "]
    return list(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True))


def _between(rng: random.Random, least: int, most: int) -> int:
    return least + int(rng.random() * (most - least + 1))


def _splits(make: Callable[[random.Random], T], sizes: Mapping[str, int], seed: int) -> dict[str, list[T]]:
    found = {}
    for split, size in sizes.items():
        rng = random.Random(f"{seed} {split}")
        found[split] = [make(rng) for _ in range(size)]
        for line, record in enumerate(found[split], start=1):
            record.line = line  # type: ignore[attr-defined]
    return found


def _record(frames: Sequence[Sequence[float]], fields: dict[str, Any], line: int = 0) -> FrameRecord:
    return FrameRecord(ArraySource(np.array(frames, dtype=np.float32)), fields=fields, line=line)
