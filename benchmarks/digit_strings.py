"""Strings of spoken digits by speakers that training has not heard: frame accuracy of `seqkit tag`.

    python benchmarks/digit_strings.py ../shared/data/fsdd /tmp/digits --seeds 1 2 3

The recordings of single digits (FSDD: a folder with `audio/DIGIT_SPEAKER_NUMBER.wav`) are joined into strings of 3 to 7
with 0.1 to 0.5 seconds of low noise before, between and after them, into a folder for each seed that `seqkit` reads:
wav files and manifests whose rows have `audio`, `text` ("3 7 1"), `labels` (runs in seconds) and `speaker`. All
recordings of one speaker are held out for test; `--leave-one-out` takes each in turn. Of the others the recordings 0 to
4 of each digit are held out for dev, by which the epoch is chosen; with `--dev SPEAKER` all recordings of that speaker
are, by which settings can be chosen.

What is speech: the recordings were trimmed by those who made them, but for some that begin or end with silence, which
labels must not call a digit. Each is cut to what lies between the first and the last 20 ms whose energy is less than 45
dB below that of the loudest. What is cut off does not get into the string, the ends that remain fade over 5 ms, and the
run of the digit is what remains.

Five speakers are few, so each training string is changed as a whole: its spectrum is moved up or down, as a shorter or
longer vocal tract does (resampling by 0.9, 1.0 or 1.1 and a further random factor; the tempo is restored by overlapping
and adding, and changed by another factor), noise of another loudness and colour is in its recordings, as in those of
some speakers, a smooth random filter stands for a microphone, and level and noise vary. Dev and test strings only have
the noise. Features are normalised by all strings of their speaker. The seed chooses the strings, all changes, and the
network's weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from seqkit.tasks import TASKS

Samples = NDArray[np.float64]

RESULTS = Path(__file__).parent / "results" / "digit_strings.json"
RATE = 8000
SILENCE = "silence"
SETTINGS = {
    "tag": ["--set", f"data.outside={SILENCE}", "--epochs", "8"],
    "transcribe": ["--unit", "word", "--epochs", "12", "--stack", "3"],
}
"""flags of each task beside those that both have"""
COMMON = [
    *("--normalize", "speaker", "--hidden", "128", "--dropout", "0.4", "--lr", "2e-3", "--batch-size", "16"),
    *("--layers", "2", "--set", "encoder.skip=residual", "--patience", "0", "--precision", "bf16"),
    *("--set", "training.schedule=cosine", "--set", "training.average=0.995"),
    *("--set", "audio.bins=26", "--set", "audio.low_frequency=80"),
    *("--set", "frames.convolutions=2", "--set", "frames.channels=64", "--set", "frames.noise=0.2"),
    *("--set", "frames.feature_masks=2", "--set", "frames.feature_mask=5", "--set", "frames.warp=0.1"),
]


@dataclass(frozen=True)
class Recording:
    """A digit, cut to what is speech.

    Attributes:
        digit: which.
        number: which of the speaker's recordings of it, from 0.
        samples: float64 [samples].
    """

    digit: str
    number: int
    samples: Samples


def read_speakers(folder: Path) -> dict[str, list[Recording]]:
    """Read all recordings.

    Args:
        folder: the data set's folder.

    Returns:
        Speaker → recordings.
    """
    found: dict[str, list[Recording]] = {}
    for path in sorted((folder / "audio").glob("*.wav")):
        digit, speaker, number = path.stem.split("_")
        samples, rate = soundfile.read(path)
        assert rate == RATE, path
        found.setdefault(speaker, []).append(Recording(digit, int(number), speech(samples)))
    return found


def speech(samples: Samples) -> Samples:
    """What lies between the first and the last window whose energy is above the threshold; see the module.

    Args:
        samples: a recording.

    Returns:
        The part.
    """
    window, shift = RATE // 50, RATE // 200
    squares = np.concatenate([[0.0], np.cumsum(samples**2)])
    begins = np.arange(0, max(1, len(samples) - window + 1), shift)
    energy = squares[np.minimum(begins + window, len(samples))] - squares[begins]
    level = 10 * np.log10(energy / window + 1e-10)  # dB
    loud = np.flatnonzero(level > level.max() - 45)
    # The window that first gets loud has its sound at its end, the last one at its beginning.
    begin, end = begins[loud[0]] + window // 2 - shift, begins[loud[-1]] + window // 2 + shift
    return samples[max(0, begin) : end]


# --- changes ------------------------------------------------------------------------------------------------------


def stretch(samples: Samples, length: int) -> Samples:
    """The same sound in another time: overlapping windows from other places, each where it fits best (WSOLA).

    Verhelst & Roelands 1993, https://doi.org/10.1109/ICASSP.1993.319366

    Args:
        samples: the sound.
        length: the number of samples that it is to have.

    Returns:
        float64 [length].
    """
    size = RATE // 40 // 2 * 2
    hop, reach = size // 2, RATE // 125
    if len(samples) < 2 * size or length < 2 * size:
        return np.interp(np.linspace(0, len(samples) - 1, length), np.arange(len(samples)), samples)
    padded = np.concatenate([np.zeros(reach), samples, np.zeros(size + hop + reach)])
    shape = np.hanning(size + 1)[:size]
    out = np.zeros(length + 2 * size)
    place = reach
    for begin in range(0, length, hop):
        if begin:
            wanted = reach + round(begin * (len(samples) - size) / max(1, length - size))
            natural = padded[place + hop : place + hop + size]
            around = padded[wanted - reach : wanted + reach + size]
            place = wanted - reach + int(np.argmax(np.correlate(around, natural, "valid")))
            place = min(place, len(padded) - size - hop)
        out[begin : begin + size] += shape * padded[place : place + size]
    out[:hop] /= np.maximum(shape[:hop], 0.1)  # where only one window lies
    return out[:length]


def moved(samples: Samples, spectrum: float, tempo: float) -> Samples:
    """The same sound with another vocal tract and tempo.

    Args:
        samples: the sound.
        spectrum: factor on all frequencies.
        tempo: factor on the tempo.

    Returns:
        The sound.
    """
    ratio = Fraction(1 / spectrum).limit_denominator(40)
    higher = resample_poly(samples, ratio.numerator, ratio.denominator)
    return stretch(higher, max(2, round(len(samples) / tempo)))


def filtered(samples: Samples, rng: np.random.Generator) -> Samples:
    """The same sound by another microphone: gains of up to 8 dB at six frequencies, and between them what lies between.

    Args:
        samples: the sound.
        rng: chooses the gains.

    Returns:
        The sound.
    """
    gains = rng.uniform(-8, 8, 6)
    places = np.array([0, 250, 500, 1000, 2000, 4000])
    spectrum = np.fft.rfft(samples)
    decibels = np.interp(np.linspace(0, RATE / 2, len(spectrum)), places, gains)
    return np.fft.irfft(spectrum * 10 ** (decibels / 20), len(samples))


def noise(length: int, rng: np.random.Generator) -> Samples:
    """Noise whose power falls by a random slope towards high frequencies.

    Args:
        length: the number of samples.
        rng: chooses it.

    Returns:
        float64 [length], of power 1.
    """
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum /= (1 + np.arange(len(spectrum))) ** rng.uniform(0, 1)  # in amplitude
    samples = np.fft.irfft(spectrum, length)
    return samples / np.sqrt(np.mean(samples**2) + 1e-12)


# --- strings ------------------------------------------------------------------------------------------------------


def string(recordings: Sequence[Recording], rng: np.random.Generator, *, change: bool) -> tuple[Samples, list[Any]]:
    """Join recordings of one speaker.

    Args:
        recordings: those to choose from.
        rng: chooses everything.
        change: whether the sound is changed.

    Returns:
        The string, and its runs.
    """
    spectrum = rng.choice([0.9, 1.0, 1.1]) * rng.uniform(0.92, 1.09) if change else 1.0
    tempo = rng.uniform(0.75, 1.3) if change else 1.0
    loudness = rng.uniform(-50, -12)  # of the noise in the recordings, dB
    parts: list[Samples] = []
    runs: list[Any] = []
    done = 0

    def add(samples: Samples) -> None:
        nonlocal done
        parts.append(samples)
        done += len(samples)

    add(np.zeros(int(rng.uniform(0.1, 0.5) * RATE)))
    for _ in range(rng.integers(3, 8)):
        recording = recordings[rng.integers(len(recordings))]
        samples = recording.samples / np.sqrt(np.mean(recording.samples**2) + 1e-12)
        if change:
            samples = moved(samples, spectrum, tempo * rng.uniform(0.93, 1.07))
            samples = samples + 10 ** (loudness / 20) * noise(len(samples), rng)
            samples = samples * 10 ** (rng.uniform(-4, 4) / 20)
        fade = np.minimum(1, np.arange(1, len(samples) + 1) / (0.005 * RATE))
        runs.append({"start": done / RATE, "end": (done + len(samples)) / RATE, "label": recording.digit})
        add(samples * fade * fade[::-1])
        add(np.zeros(int(rng.uniform(0.1, 0.5) * RATE)))
    whole = np.concatenate(parts)
    if change:
        whole = filtered(whole, rng)
    whole /= np.sqrt(np.mean(whole**2) + 1e-12)
    whole = whole + 10 ** (rng.uniform(-45, -35) / 20) * rng.standard_normal(len(whole))
    level = 10 ** (rng.uniform(-20, 0) / 20) if change else 0.5
    return whole / np.abs(whole).max() * level, runs


def write_strings(
    folder: Path, speakers: dict[str, list[Recording]], sizes: dict[str, int], dev: str, test: str, seed: int
) -> None:
    """Write the manifests of a data set and its recordings.

    Args:
        folder: where to.
        speakers: speaker → recordings.
        sizes: split → number of strings.
        dev: the speaker of dev; empty for some recordings of the speakers of train.
        test: the speaker of test.
        seed: chooses the strings and their changes.
    """
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    train = {name: found for name, found in speakers.items() if name not in (dev, test)}
    held_out = {dev: speakers[dev]} if dev else {name: _numbered(found, 0, 5) for name, found in train.items()}
    if not dev:
        train = {name: _numbered(found, 5, len(found)) for name, found in train.items()}
    splits = {"train": train, "dev": held_out, "test": {test: speakers[test]}}
    for place, (split, chosen) in enumerate(splits.items()):
        rng = np.random.default_rng([seed, place])
        with (folder / f"{split}.jsonl").open("w") as manifest:
            for number in range(sizes[split]):
                speaker = list(chosen)[number % len(chosen)]
                samples, runs = string(chosen[speaker], rng, change=split == "train")
                name = f"audio/{split}-{number:05}.wav"
                soundfile.write(folder / name, samples, RATE, "PCM_16")
                text = " ".join(run["label"] for run in runs)
                row = {"audio": name, "text": text, "labels": runs, "speaker": speaker}
                manifest.write(json.dumps(row) + "\n")


def _numbered(recordings: Sequence[Recording], first: int, end: int) -> list[Recording]:
    """The recordings with numbers from the first on, before the end."""
    return [recording for recording in recordings if first <= recording.number < end]


# --- runs ---------------------------------------------------------------------------------------------------------


def train(task: str, data: Path, output: Path, seed: int, threads: int, flags: Sequence[str]) -> dict[str, Any]:
    """Train once, through the command line, in a process of its own.

    Args:
        task: the command.
        data: the folder of the strings.
        output: the folder of the model.
        seed: the seed.
        threads: processor threads.
        flags: further flags.

    Returns:
        The model's report, and the minutes of training and evaluation.
    """
    command = [sys.executable, "-m", "seqkit", task, "train", str(data), "-o", str(output), "--force"]
    command += ["--seed", str(seed), "--threads", str(threads), *COMMON, *SETTINGS[task], *flags]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    report = json.loads((output / "report.json").read_text())
    return {"scores": report["scores"], "minutes": round((time.monotonic() - began) / 60, 2)}


def main() -> None:
    """Write the strings, train on them, and print a line for each run and the means."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, help="folder of the recordings")
    arguments.add_argument("output", type=Path, help="folder for strings and models")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1])
    arguments.add_argument("--dev", default="", help="speaker of dev")
    arguments.add_argument("--test", default="yweweler", help="speaker of test")
    arguments.add_argument("--leave-one-out", action="store_true", help="each speaker in turn is that of test")
    arguments.add_argument("--strings", type=int, default=3000, help="training strings")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--tasks", nargs="+", default=[name for name in SETTINGS if name in TASKS])
    arguments.add_argument("--strings-only", action="store_true", help="train nothing")
    arguments.add_argument("--flags", nargs=argparse.REMAINDER, default=[], help="further flags of train")
    given = arguments.parse_args()
    speakers = read_speakers(given.data)
    names = sorted(speakers)
    tests = [name for name in names if name != given.dev] if given.leave_one_out else [given.test]
    pairs = [(given.dev, test) for test in tests]
    sizes = {"train": given.strings, "dev": 300, "test": 300}
    jobs = {given.output / f"{test}-{seed}": (dev, test, seed) for dev, test in pairs for seed in given.seeds}
    with ProcessPoolExecutor(given.threads) as pool:
        waiting = [
            pool.submit(write_strings, folder, speakers, sizes, *job)
            for folder, job in jobs.items()
            if not (folder / "test.jsonl").exists()
        ]
        for each in waiting:
            each.result()
    results: list[dict[str, Any]] = []
    for folder, (dev, test, seed) in jobs.items() if not given.strings_only else ():
        for task in given.tasks:
            found = train(task, folder, folder / f"model-{task}", seed, given.threads, given.flags)
            results.append({"task": task, "dev": dev, "test": test, "seed": seed, **found})
            scores = found["scores"]
            told = ", ".join(f"{split} {_figure(task, scores[split])}" for split in ("dev", "test"))
            held_out = dev or "of speakers of train"
            print(f"{task}, dev {held_out}, test {test}, seed {seed}: {told}; {found['minutes']} minutes", flush=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    for task in given.tasks if len(results) > 1 else ():
        figures = [_figure(task, run["scores"]["test"], number=True) for run in results if run["task"] == task]
        print(f"{task}: mean of test {statistics.mean(figures):.4f}")


def _figure(task: str, scores: dict[str, Any], *, number: bool = False) -> Any:
    """What is to be shown of some scores: accuracy of frames, or the error rate of digits."""
    if task == "tag":
        return (
            scores["accuracy"]
            if number
            else f"frames {scores['accuracy']:.4f}, runs {scores['runs']['near']['f1']:.4f}"
        )
    return scores["wer"] if number else f"digit error rate {scores['wer']:.4f}"


if __name__ == "__main__":
    main()
