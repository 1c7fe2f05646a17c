"""Pronunciation: word errors of `seqkit translate`, of five models together, and of `seqkit tag` on aligned letters.

    python benchmarks/pronunciation.py ../shared/data/g2p-dut /tmp/pronunciation --threads 2

The folder has ``train.tsv``, ``dev.tsv`` and ``test.tsv``: a word, a tab, and its phones between spaces. Three methods
write the phones: attention (recipe `translate-g2p`), the models of all seeds together, and a tagger (recipe `tag-g2p`)
that gives every letter its phones: none, one, two or three. Which phones belong to which letter is found by expectation
maximisation on train alone, each letter by itself: p(phones | letter), as in Jiampojamarn et al. 2007, "Applying
many-to-many alignments and hidden Markov models to letter-to-phoneme conversion", with one letter at a time.

A word is right if all of its phones are. Models that are in the output folder are not trained again; `--data-only`
stops after the tagger's data set: ``SEQKIT_DATA=FOLDER seqkit tag train -c tag-g2p -o M``. What follows ``--`` is
given to both trainings: ``-- --epochs 60 --batch-size 16``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "pronunciation.json"
SPLITS = ("train", "dev", "test")
MOST = 3
"""phones of a letter"""
ROUNDS = 12
"""of expectation maximisation"""
NOTHING, AND = "_", "+"
"""the label of a letter without phones, and what stands between the phones of a letter"""
Phones = tuple[str, ...]
Entry = tuple[str, Phones]


def read(folder: Path, split: str) -> list[Entry]:
    """The words of a split, each with its phones."""
    rows = (line.split("\t") for line in (folder / f"{split}.tsv").read_text("utf-8").splitlines() if line)
    return [(word, tuple(phones.split())) for word, phones in rows]


# --- alignment ----------------------------------------------------------------------------------------------------


class Alignment:
    """p(phones | letter), and the best division of a word's phones among its letters.

    Args:
        entries: the words to learn from.
        fewest: how often a letter must have its phones; words that need rarer ones are not aligned.
    """

    def __init__(self, entries: Sequence[Entry], fewest: int = 1) -> None:
        self.table: dict[str, dict[Phones, float]] = {}
        counts: dict[str, Counter[Phones]] = defaultdict(Counter)
        for word, phones in entries:  # at first everything that is possible is as probable
            for letter, _, begin, end in self._arcs(word, phones):
                counts[letter][phones[begin:end]] = 1
        self._share(counts)
        for _ in range(ROUNDS):
            counts = defaultdict(Counter)
            for word, phones in entries:
                self._expect(word, phones, counts)
            self._share(counts)
        if fewest > 1:
            self._prune(entries, fewest)

    def _prune(self, entries: Sequence[Entry], fewest: int) -> None:
        """Leave out what letters hardly ever have; words that need it are not aligned any more."""
        used: dict[str, Counter[Phones]] = defaultdict(Counter)
        for word, phones in entries:
            for letter, own in zip(word, self(word, phones) or (), strict=False):
                used[letter][own] += 1
        self.table = {
            letter: {phones: p for phones, p in found.items() if used[letter][phones] >= fewest}
            for letter, found in self.table.items()
        }

    @staticmethod
    def _arcs(word: str, phones: Phones) -> Iterator[tuple[str, int, int, int]]:
        """Every letter with its place and each stretch of phones that could be its own."""
        for place, letter in enumerate(word):
            left = len(word) - place - 1
            for begin in range(min(len(phones), place * MOST) + 1):
                for end in range(begin, min(len(phones), begin + MOST) + 1):
                    if len(phones) - end <= left * MOST:
                        yield letter, place, begin, end

    def _share(self, counts: dict[str, Counter[Phones]]) -> None:
        self.table = {
            letter: {phones: count / found.total() for phones, count in found.items()}
            for letter, found in counts.items()
        }

    def _expect(self, word: str, phones: Phones, counts: dict[str, Counter[Phones]]) -> None:
        """Add how often each letter is expected to have had which phones."""
        arcs = [
            (letter, place, begin, end, p)
            for letter, place, begin, end in self._arcs(word, phones)
            if (p := self.table[letter].get(phones[begin:end], 0.0)) > 0.0
        ]
        forward: dict[tuple[int, int], float] = defaultdict(float, {(0, 0): 1.0})
        for _, place, begin, end, p in arcs:
            forward[place + 1, end] += forward[place, begin] * p
        last = (len(word), len(phones))
        total = forward[last]
        if not total:
            return
        backward: dict[tuple[int, int], float] = defaultdict(float, {last: 1.0})
        for letter, place, begin, end, p in reversed(arcs):
            share = p * backward[place + 1, end]
            backward[place, begin] += share
            counts[letter][phones[begin:end]] += forward[place, begin] * share / total

    def __call__(self, word: str, phones: Phones) -> list[Phones] | None:
        """Divide phones among letters.

        Args:
            word: the letters.
            phones: the phones.

        Returns:
            Those of each letter; None where there are too many.
        """
        best: dict[tuple[int, int], tuple[float, int]] = {(0, 0): (1.0, 0)}
        for letter, place, begin, end in self._arcs(word, phones):
            p = best.get((place, begin), (0.0, 0))[0] * self.table.get(letter, {}).get(phones[begin:end], 0.0)
            if p > best.get((place + 1, end), (0.0, 0))[0]:
                best[place + 1, end] = p, begin
        end, bounds = len(phones), [len(phones)]
        for place in range(len(word), 0, -1):
            if (place, end) not in best:
                return None
            end = best[place, end][1]
            bounds.append(end)
        return [phones[begin:end] for begin, end in pairwise(reversed(bounds))]


def write_letters(source: Path, folder: Path, fewest: int = 1) -> None:
    """Make the tagger's data set: a line for each letter, with its phones.

    Args:
        source: the folder of the words.
        folder: where to.
        fewest: how often a letter must have its phones in train.
    """
    align = Alignment(read(source, "train"), fewest)
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev"):
        blocks = []
        for word, phones in read(source, split):
            found = align(word, phones)
            if found is not None:
                rows = (f"{letter}\t{AND.join(own) or NOTHING}\n" for letter, own in zip(word, found, strict=True))
                blocks.append("".join(rows))
        (folder / f"{split}.tsv").write_text("\n".join(blocks), "utf-8")


# --- methods ------------------------------------------------------------------------------------------------------


def train(task: str, data: Path, output: Path, seed: int, options: argparse.Namespace, further: Sequence[str]) -> float:
    """Train a model in a process of its own, if it is not there; gives the minutes that it took, or 0."""
    if (output / "config.json").exists():
        return 0.0
    began = time.monotonic()
    command = ["-m", "seqkit", task, "train", data, "-c", f"{task}-g2p", "-o", output, "--seed", seed, "--quiet"]
    command += ["--threads", options.threads, *further]
    subprocess.run([sys.executable, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
    return round((time.monotonic() - began) / 60, 1)


def by_attention(models: Sequence[Path], entries: Sequence[Entry]) -> list[Phones]:
    """What one or several models write."""
    import seqkit

    together = ",".join(map(str, models[1:]))
    found = seqkit.load(models[0]).predict((word for word, _ in entries), beam=5, ensemble=together)
    return [tuple(answer.text.split()) for answer in found]


def by_letters(model: Path, entries: Sequence[Entry]) -> list[Phones]:
    """What a tagger gives the letters."""
    import seqkit

    found = seqkit.load(model).predict(list(word) for word, _ in entries)
    labels = ([label for label in answer.labels if label != NOTHING] for answer in found)
    return [tuple(phone for label in row for phone in label.split(AND)) for row in labels]


def word_errors(written: Sequence[Phones], entries: Sequence[Entry]) -> float:
    """The percentage of words that are not right."""
    wrong = sum(found != phones for found, (_, phones) in zip(written, entries, strict=True))
    return 100 * wrong / len(entries)


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", type=Path, help="folder of the words")
    arguments.add_argument("folder", type=Path, help="folder for data sets and models")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument(
        "--fewest", type=int, default=1, help="times that a letter must have its phones; 8 suits English: 90 labels"
    )
    arguments.add_argument("--splits", nargs="+", default=["dev", "test"], choices=SPLITS)
    arguments.add_argument("--data-only", action="store_true", help="stop after the tagger's data set")
    given = [*sys.argv[1:], "--"]  # argparse does not leave what follows -- alone after options
    own, further = given[: given.index("--")], given[given.index("--") + 1 : -1]
    options = arguments.parse_args(own)
    name = options.source.resolve().name
    letters = options.folder / f"{name}-letters"
    write_letters(options.source, letters, options.fewest)
    if options.data_only:
        return
    minutes: dict[str, list[float]] = {"attention": [], "tagger": []}
    models: dict[str, list[Path]] = {"attention": [], "tagger": []}
    for seed in options.seeds:
        for method, task, data in (("attention", "translate", options.source), ("tagger", "tag", letters)):
            output = options.folder / f"{name}-{method}-{seed}"
            minutes[method].append(train(task, data, output, seed, options, further))
            models[method].append(output)
    found: dict[str, Any] = {"minutes": minutes}
    for split in options.splits:
        entries = read(options.source, split)
        errors: dict[str, list[float]] = {
            "attention": [word_errors(by_attention([each], entries), entries) for each in models["attention"]],
            "attention, all seeds together": [word_errors(by_attention(models["attention"], entries), entries)],
            "tagger": [word_errors(by_letters(each, entries), entries) for each in models["tagger"]],
        }
        found[split] = {method: {"mean": statistics.mean(each), "all": each} for method, each in errors.items()}
        for method, each in errors.items():
            spread = ", ".join(f"{value:.2f}" for value in each)
            print(f"{name} {split}  {method}: {statistics.mean(each):.2f} % of words wrong ({spread})")
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**before, name: found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
