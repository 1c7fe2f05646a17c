"""Pronunciation: word errors of `seqkit translate` and of `seqkit tag` on aligned letters, of one model and of several.

    python benchmarks/pronunciation.py ../shared/data/g2p-dut /tmp/pronunciation --threads 2

The folder has ``train.tsv``, ``dev.tsv`` and ``test.tsv``: a word, a tab, and its phones between spaces. Two methods
write the phones: attention (recipe `translate-g2p`), and a tagger (recipe `tag-g2p`) that gives every letter its
symbols: none, one, two or three. A phone is one symbol, and a mark of length or palatalisation at its end a further
one, so that few words are enough to learn what makes a vowel long. Every letter stands three times in what the tagger
reads (``a a' a''``), and each place has a label of its own: a symbol, or none. With ``--places 1`` every letter stands
once, and all its symbols are its label, which suits many words; ``--fewest 8`` then leaves out what a letter hardly
ever has.

Which symbols belong to which letter is found by expectation maximisation on train alone, each letter by itself:
p(symbols | letter), as in Jiampojamarn et al. 2007, "Applying many-to-many alignments and hidden Markov models to
letter-to-phoneme conversion", with one letter at a time. At first one symbol is likelier than none or two.

A word is right if all of its phones are. Of several models, attention writes by the mean of their probabilities; of the
taggers' words the most frequent is taken. Models that are in the output folder are not trained again; `--data-only`
stops after the tagger's data set: ``SEQKIT_DATA=FOLDER seqkit tag train -c tag-g2p -o M``. What follows ``--`` is
given to training: ``--methods tagger -- --epochs 60 --batch-size 16``.
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
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "pronunciation.json"
SPLITS = ("train", "dev", "test")
METHODS = {"attention": "translate", "tagger": "tag"}
ROUNDS = 12
"""of expectation maximisation"""
AT_FIRST = {0: 0.1, 1: 1.0, 2: 0.1, 3: 0.01}
"""how likely so many symbols of a letter are at first, up to a factor"""
MOST = 3
"""symbols of a letter"""
NOTHING, AND, AGAIN = "_", "+", "'"
"""the label of a place without a symbol, what stands between several, and what marks the second place of a letter"""
MARKS = tuple("ːʲ")
"""what is a symbol of its own at the end of a phone"""
Phones = tuple[str, ...]
Entry = tuple[str, Phones]


def read(folder: Path, split: str) -> list[Entry]:
    """The words of a split, each with its phones."""
    rows = (line.split("\t") for line in (folder / f"{split}.tsv").read_text("utf-8").splitlines() if line)
    return [(word, tuple(phones.split())) for word, phones in rows]


def divided(phones: Phones) -> Phones:
    """Phones → symbols: a long vowel is a vowel and the mark of length."""
    pairs = ((phone[:-1], phone[-1]) if len(phone) > 1 and phone.endswith(MARKS) else (phone,) for phone in phones)
    return tuple(chain.from_iterable(pairs))


def joined(symbols: Sequence[str]) -> Phones:
    """Symbols → phones, what `divided` has divided."""
    phones: list[str] = []
    for symbol in symbols:
        if symbol in MARKS and phones:
            phones[-1] += symbol
        else:
            phones.append(symbol)
    return tuple(phones)


# --- alignment ----------------------------------------------------------------------------------------------------


class Alignment:
    """p(symbols | letter), and the best division of a word's symbols among its letters.

    Args:
        entries: the words to learn from.
        fewest: how often a letter must have its symbols; words that need rarer ones are not aligned.
    """

    def __init__(self, entries: Sequence[Entry], fewest: int = 1) -> None:
        self.table: dict[str, dict[Phones, float]] = {}
        counts: dict[str, dict[Phones, float]] = defaultdict(dict)
        for word, symbols in entries:
            for letter, _, begin, end in self._arcs(word, symbols):
                counts[letter][symbols[begin:end]] = AT_FIRST[end - begin]
        self._share(counts)
        for _ in range(ROUNDS):
            counts = defaultdict(lambda: defaultdict(float))
            for word, symbols in entries:
                self._expect(word, symbols, counts)
            self._share(counts)
        if fewest > 1:
            self._prune(entries, fewest)

    def _prune(self, entries: Sequence[Entry], fewest: int) -> None:
        """Leave out what letters hardly ever have; words that need it are not aligned any more."""
        used: dict[str, Counter[Phones]] = defaultdict(Counter)
        for word, symbols in entries:
            for letter, own in zip(word, self(word, symbols) or (), strict=False):
                used[letter][own] += 1
        self.table = {
            letter: {symbols: p for symbols, p in found.items() if used[letter][symbols] >= fewest}
            for letter, found in self.table.items()
        }

    @staticmethod
    def _arcs(word: str, symbols: Phones) -> Iterator[tuple[str, int, int, int]]:
        """Every letter with its place and each stretch of symbols that could be its own."""
        for place, letter in enumerate(word):
            left = len(word) - place - 1
            for begin in range(min(len(symbols), place * MOST) + 1):
                for end in range(begin, min(len(symbols), begin + MOST) + 1):
                    if len(symbols) - end <= left * MOST:
                        yield letter, place, begin, end

    def _share(self, counts: dict[str, dict[Phones, float]]) -> None:
        self.table = {
            letter: {symbols: count / sum(found.values()) for symbols, count in found.items()}
            for letter, found in counts.items()
        }

    def _expect(self, word: str, symbols: Phones, counts: dict[str, dict[Phones, float]]) -> None:
        """Add how often each letter is expected to have had which symbols."""
        arcs = [
            (letter, place, begin, end, p)
            for letter, place, begin, end in self._arcs(word, symbols)
            if (p := self.table[letter].get(symbols[begin:end], 0.0)) > 0.0
        ]
        forward: dict[tuple[int, int], float] = defaultdict(float, {(0, 0): 1.0})
        for _, place, begin, end, p in arcs:
            forward[place + 1, end] += forward[place, begin] * p
        last = (len(word), len(symbols))
        total = forward[last]
        if not total:
            return
        backward: dict[tuple[int, int], float] = defaultdict(float, {last: 1.0})
        for letter, place, begin, end, p in reversed(arcs):
            share = p * backward[place + 1, end]
            backward[place, begin] += share
            counts[letter][symbols[begin:end]] += forward[place, begin] * share / total

    def __call__(self, word: str, symbols: Phones) -> list[Phones] | None:
        """Divide symbols among letters.

        Args:
            word: the letters.
            symbols: the symbols.

        Returns:
            Those of each letter; None where there are too many.
        """
        best: dict[tuple[int, int], tuple[float, int]] = {(0, 0): (1.0, 0)}
        for letter, place, begin, end in self._arcs(word, symbols):
            p = best.get((place, begin), (0.0, 0))[0] * self.table.get(letter, {}).get(symbols[begin:end], 0.0)
            if p > best.get((place + 1, end), (0.0, 0))[0]:
                best[place + 1, end] = p, begin
        end, bounds = len(symbols), [len(symbols)]
        for place in range(len(word), 0, -1):
            if (place, end) not in best:
                return None
            end = best[place, end][1]
            bounds.append(end)
        return [symbols[begin:end] for begin, end in pairwise(reversed(bounds))]


def read_as(word: str, places: int) -> list[str]:
    """What a tagger reads: every letter at so many places."""
    return [letter + AGAIN * again for letter in word for again in range(places)]


def labels_of(own: Phones, places: int) -> list[str]:
    """A letter's symbols at its places; what is left when there is only one more stands together."""
    alone, rest = own[: places - 1], own[places - 1 :]
    return [*alone, *[NOTHING] * (places - 1 - len(alone)), AND.join(rest) or NOTHING]


def write_letters(source: Path, folder: Path, places: int = MOST, fewest: int = 1) -> None:
    """Make the tagger's data set: a line for each place, with its symbol.

    Args:
        source: the folder of the words.
        folder: where to.
        places: of a letter.
        fewest: how often a letter must have its symbols.
    """
    entries = {split: [(word, divided(phones)) for word, phones in read(source, split)] for split in ("train", "dev")}
    align = Alignment(entries["train"], fewest)
    folder.mkdir(parents=True, exist_ok=True)
    for split, words in entries.items():
        blocks = []
        for word, symbols in words:
            found = align(word, symbols)
            if found is not None:
                labels = chain.from_iterable(labels_of(own, places) for own in found)
                rows = (f"{place}\t{label}\n" for place, label in zip(read_as(word, places), labels, strict=True))
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


def by_attention(models: Sequence[Path], entries: Sequence[Entry], places: int) -> list[Phones]:
    """What one or several models write."""
    import seqkit

    together = ",".join(map(str, models[1:]))
    found = seqkit.load(models[0]).predict((word for word, _ in entries), beam=5, ensemble=together)
    return [tuple(answer.text.split()) for answer in found]


def by_letters(models: Sequence[Path], entries: Sequence[Entry], places: int) -> list[Phones]:
    """The phones that most taggers give a word; of equal numbers those of the first tagger."""
    import seqkit

    written = []
    for model in models:
        found = seqkit.load(model).predict(read_as(word, places) for word, _ in entries)
        labels = ([label for label in answer.labels if label != NOTHING] for answer in found)
        written.append([joined([symbol for label in row for symbol in label.split(AND)]) for row in labels])
    return [Counter(each).most_common(1)[0][0] for each in zip(*written, strict=True)]


def word_errors(written: Sequence[Phones], entries: Sequence[Entry]) -> float:
    """The percentage of words that are not right."""
    wrong = sum(found != phones for found, (_, phones) in zip(written, entries, strict=True))
    return 100 * wrong / len(entries)


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("source", type=Path, help="folder of the words")
    arguments.add_argument("folder", type=Path, help="folder for data sets and models")
    arguments.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--places", type=int, default=MOST, choices=range(1, MOST + 1), help="of a letter")
    arguments.add_argument("--fewest", type=int, default=1, help="times that a letter must have its symbols")
    arguments.add_argument("--splits", nargs="+", default=["dev", "test"], choices=SPLITS)
    arguments.add_argument("--data-only", action="store_true", help="stop after the tagger's data set")
    given = [*sys.argv[1:], "--"]  # argparse does not leave what follows -- alone after options
    own, further = given[: given.index("--")], given[given.index("--") + 1 : -1]
    options = arguments.parse_args(own)
    name = options.source.resolve().name
    letters = options.folder / f"{name}-letters"
    write_letters(options.source, letters, options.places, options.fewest)
    if options.data_only:
        return
    for method in options.methods:
        data, write = (options.source, by_attention) if method == "attention" else (letters, by_letters)
        models = [options.folder / f"{name}-{method}-{seed}" for seed in options.seeds]
        minutes = [
            train(METHODS[method], data, model, seed, options, further)
            for model, seed in zip(models, options.seeds, strict=True)
        ]
        found: dict[str, Any] = {"options": " ".join(further), "minutes": minutes}
        for split in options.splits:
            entries = read(options.source, split)
            each = [word_errors(write([model], entries, options.places), entries) for model in models]
            together = word_errors(write(models, entries, options.places), entries)
            found[split] = {"mean": statistics.mean(each), "each": each, "together": together}
            spread = ", ".join(f"{value:.2f}" for value in each)
            print(f"{name} {split}, {method}: {statistics.mean(each):.2f} % wrong ({spread}), together {together:.2f}")
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results.setdefault(name, {})[method] = found
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
