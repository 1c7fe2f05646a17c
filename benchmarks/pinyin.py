"""An input method: Chinese characters for pinyin, by frequency, by `seqkit tag`, and together with `seqkit lm`.

    pip install pypinyin
    python benchmarks/pinyin.py ../shared/data/tang /tmp/input-method --seeds 1 2 3 --threads 2

The poems of `tang` are cut at full stops, and what stands between two of them, without commas, is a sentence of five to
fourteen characters. `pypinyin` says how each character of it is read, without tones, as people type it (`lv` for lü).
That makes two data sets in the folder: `pinyin`, columns of syllables and characters, and `pinyin-text`, the same
sentences as lines of characters. Poems stay in their split, and a sentence that poems of several splits have is only in
the last of them: none of test is in train.

Three methods choose a character for each syllable: the one that most often was read so in train; a tagger, which sees
the whole sentence (recipe `tag-pinyin`); and a beam search by the tagger and a language model of the characters,
trained on the same sentences (recipe `lm-pinyin`), whose weight is found on dev. A character that train does not have
counts as an error. Models that are in the folder are not trained again. `--data-only` stops after the data sets:
`SEQKIT_DATA=FOLDER seqkit tag train -c tag-pinyin -o M`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "pinyin.json"
STOP = re.compile("[。！？；]")  # noqa: RUF001 - Chinese punctuation
COMMA = re.compile("[，、：]")  # noqa: RUF001
SPLITS = ("train", "dev", "test")
METHODS = {"frequency": "most frequent reading", "tagger": "tagger", "lm": "tagger and language model"}
Pairs = list[tuple[str, str]]


# --- data ---------------------------------------------------------------------------------------------------------


def sentences(poem: str) -> list[Pairs]:
    """The sentences of a poem.

    Args:
        poem: its text.

    Returns:
        Of each sentence its syllables, each with its character.
    """
    from pypinyin import Style, lazy_pinyin

    lines = filter(None, (COMMA.sub("", sentence) for sentence in STOP.split(poem)))
    return [list(zip(lazy_pinyin(line, style=Style.NORMAL, errors=list), line, strict=True)) for line in lines]


def write(source: Path, folder: Path) -> None:
    """Make the two data sets.

    Args:
        source: the folder of the poems, a file of JSON lines with a text for each split.
        folder: where to.
    """
    for name in ("pinyin", "pinyin-text"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for split in reversed(SPLITS):
        poems = [json.loads(row)["text"] for row in (source / f"{split}.jsonl").read_text("utf-8").splitlines()]
        every = [sentence for poem in poems for sentence in sentences(poem)]
        spelled = ["".join(char for _, char in sentence) for sentence in every]
        found = [sentence for sentence, text in zip(every, spelled, strict=True) if text not in taken]
        taken.update(spelled)
        columns = "".join("".join(f"{read}\t{char}\n" for read, char in each) + "\n" for each in found)
        lines = "".join("".join(char for _, char in each) + "\n" for each in found)
        (folder / "pinyin" / f"{split}.tsv").write_text(columns, "utf-8")
        (folder / "pinyin-text" / f"{split}.txt").write_text(lines, "utf-8")


def read(folder: Path, split: str) -> Pairs:
    """The syllables of a split, each with its character."""
    rows = (folder / "pinyin" / f"{split}.tsv").read_text("utf-8").splitlines()
    return [(each[0], each[1]) for each in (row.split("\t") for row in rows if row)]


# --- methods ------------------------------------------------------------------------------------------------------


def by_frequency(folder: Path, split: str) -> float:
    """The share of a split's characters that are those which train has most often for their syllables."""
    best: dict[str, str] = {}
    for (syllable, character), _ in Counter(read(folder, "train")).most_common():
        best.setdefault(syllable, character)
    pairs = read(folder, split)
    return sum(best.get(syllable) == character for syllable, character in pairs) / len(pairs)


def seqkit(*arguments: object) -> float:
    """Call the command line in a process of its own; gives the minutes that it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "seqkit", *map(str, arguments), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return round((time.monotonic() - began) / 60, 2)


def run(folder: Path, seed: int, threads: int) -> dict[str, Any]:
    """Train both models, and score them on dev and test.

    Args:
        folder: the folder of the data sets, and of the models.
        seed: the seed of both.
        threads: processor threads.

    Returns:
        Method → split → share of the characters that are right, the weight of the language model, and minutes.
    """
    data, tagger, lm = folder / "pinyin", folder / f"tagger-{seed}", folder / f"lm-{seed}"
    flags = ["--threads", threads]
    minutes: dict[str, float] = {}
    for task, of, output in (("tag", data, tagger), ("lm", folder / "pinyin-text", lm)):
        if not (output / "config.json").exists():
            minutes[task] = seqkit(task, "train", of, "-c", f"{task}-pinyin", "-o", output, "--seed", seed, *flags)
    found: dict[str, Any] = {method: {} for method in METHODS}
    weighed = ["--tune"]
    for split in ("dev", "test"):
        found["frequency"][split] = by_frequency(folder, split)
        for method, search in (("tagger", []), ("lm", ["--lm", lm, *weighed])):
            scores = folder / f"{method}-{seed}-{split}.json"
            asked = ["-m", tagger, "--split", split, "--json", scores, *flags, *search]
            minutes[f"{method} {split}"] = seqkit("tag", "evaluate", data, *asked)
            content = json.loads(scores.read_text("utf-8"))
            found[method][split] = content["accuracy"]
        weighed = ["--lm-weight", content["lm_weight"]]  # found on dev
    return {"seed": seed, **found, "lm_weight": content["lm_weight"], "minutes": minutes}


def main() -> None:
    """Make the data, train, and print a table of the characters that are right."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("poems", type=Path, help="folder of the poems")
    arguments.add_argument("output", type=Path, help="folder for data and models")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1])
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--data-only", action="store_true", help="train nothing")
    given = arguments.parse_args()
    write(given.poems, given.output)
    if given.data_only:
        return
    os.environ.setdefault("OMP_NUM_THREADS", str(given.threads))
    results = []
    for seed in given.seeds:
        results.append(run(given.output, seed, given.threads))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        print(
            f"seed {seed}: weight of the language model {results[-1]['lm_weight']:g}, minutes {results[-1]['minutes']}"
        )
    print(f"\n{'characters right, percent':30}{'dev':>8}{'test':>8}")
    for method, name in METHODS.items():
        means = [100 * statistics.mean(each[method][split] for each in results) for split in ("dev", "test")]
        print(f"{name:30}{means[0]:8.2f}{means[1]:8.2f}")


if __name__ == "__main__":
    main()
