"""What raw text adds to a tenth of the labels: taggers from scratch, from a language model, and with its features.

    SEQKIT_DATA=../shared/data python benchmarks/transfer_scores.py --work /tmp/transfer --threads 2

Part-of-speech taggers are trained on the first tenth of the training sentences of ``ud-english-ewt`` (1,254). They
differ only in what they start from: nothing; the embedding and both stacks of a word language model (``--init-from``);
the states of a character language model as further features (``--context``). The language models are trained on the
raw text of the whole train split, without labels. Writes ``benchmarks/results/transfer_scores.json`` after every run
and prints a table of means. What the file and the work folder already have is not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from seqkit.corpora.resolve import resolve

RESULTS = Path(__file__).parent / "results" / "transfer_scores.json"
DATA = "ud-english-ewt"
SHARE = 10
LANGUAGE_MODELS = {
    "words": (
        "--unit word --chars cnn --layers 1 --hidden 200 --direction both --dropout 0.3 --tied --epochs 5 "
        "--batch-size 32 --lr 0.003 --clip 1.0 --set encoder.concat=final --set data.splitter=english "
        "--set data.lowercase=true --set data.digits=true --set data.min_count=2 --set embedding.word_size=100 "
        "--set embedding.char_features=100 --set embedding.dropout=0.2 --set embedding.word_dropout=0.05 "
        "--set training.schedule=cosine --set training.warmup=0.5"
    ),
    "characters": (
        "--unit char --layers 1 --hidden 256 --direction both --dropout 0.1 --epochs 4 --batch-size 32 --bptt 80 "
        "--lr 0.005 --clip 1.0 --set encoder.concat=final --set embedding.word_size=50 "
        "--set training.schedule=cosine --set training.warmup=0.2"
    ),
}
"""name → its training flags"""
TAGGER = (
    "-c pos-ewt --chars cnn --batch-size 16 --set encoder.concat=final "
    "--set training.average=0.99 --set training.warmup=1"
)
"""the flags of every tagger; everything else is from the recipe"""
STARTS = {
    "from scratch": "",
    "--init-from, words": "--init-from words",
    "--context, characters": "--context characters",
}
"""name → further flags of a tagger; a language model's name stands for its folder"""


def train(task: str, data: str, flags: str, output: Path, threads: int) -> dict[str, Any]:
    """Train once, through the command line, in a process of its own.

    Args:
        task: the command.
        data: what to train on.
        flags: the settings.
        output: where the model goes.
        threads: processor threads.

    Returns:
        The model's report, with the minutes of the whole run.
    """
    command = [sys.executable, "-m", "seqkit", task, "train", data, "-o", str(output), *flags.split()]
    began = time.monotonic()
    subprocess.run([*command, "--threads", str(threads), "--force"], check=True, stdout=subprocess.DEVNULL)
    report: dict[str, Any] = json.loads((output / "report.json").read_text())
    return report | {"minutes": round((time.monotonic() - began) / 60, 1)}


def share_of_train(folder: Path) -> str:
    """Write a data set with the first sentences of train, and all of dev and test.

    Args:
        folder: where to write it.

    Returns:
        The folder, as `train` takes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dataset = resolve(DATA)
    for split, part in dataset.splits.items():
        assert part.file is not None
        text = Path(part.file).read_text(encoding="utf-8")
        if split == "train":
            sentences = text.split("\n\n")[:-1]  # each ends with an empty line
            text = "".join(f"{sentence}\n\n" for sentence in sentences[: len(sentences) // SHARE])
        (folder / f"{split}.conllu").write_text(text, encoding="utf-8")
    return str(folder)


def language_model(name: str, work: Path, threads: int) -> dict[str, Any]:
    """Train a language model on the raw text of the train split, unless the work folder has it.

    Args:
        name: a key of `LANGUAGE_MODELS`.
        work: the work folder.
        threads: processor threads.

    Returns:
        Its entry in the results.
    """
    output = work / name
    if (output / "config.json").is_file():
        report = json.loads((output / "report.json").read_text())
        report["minutes"] = round(report["training"]["seconds"] / 60, 1)
    else:
        report = train("lm", DATA, f"{LANGUAGE_MODELS[name]} --seed 1", output, threads)
    perplexity = {split: round(scores["perplexity"], 3) for split, scores in report["scores"].items()}
    return {"flags": LANGUAGE_MODELS[name], "seed": 1, "perplexity": perplexity, "minutes": report["minutes"]}


def means(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, in percent.

    Args:
        runs: the entries of the runs.

    Returns:
        Name → dev and test, the number of seeds, the test score of each.
    """
    found = {}
    for name in STARTS:
        part = sorted((run for run in runs if run["start"] == name), key=lambda run: int(run["seed"]))
        if part:
            dev, test = ([run[split] for run in part] for split in ("dev", "test"))
            averages = {"dev": round(statistics.mean(dev), 2), "test": round(statistics.mean(test), 2)}
            minutes = max(run["minutes"] for run in part)
            found[name] = {"seeds": len(part), **averages, "each_test": test, "minutes_at_most": minutes}
    return found


def table(results: dict[str, Any]) -> str:
    """The means as a Markdown table.

    Args:
        results: the content of the file.

    Returns:
        The table.
    """
    lines = ["| tagger | seeds | dev | test | each test score | minutes a run |", "|---|---|---|---|---|---|"]
    for name, row in results["means"].items():
        each = " ".join(f"{value:.2f}" for value in row["each_test"])
        scores = f"{row['dev']:.2f} | **{row['test']:.2f}** | {each}"
        lines.append(f"| {name} | {row['seeds']} | {scores} | ≤ {row['minutes_at_most']:.0f} |")
    lines += ["", "| language model | perplexity on dev | minutes |", "|---|---|---|"]
    for name, row in results["language_models"].items():
        lines.append(f"| of {name} | {row['perplexity']['dev']:.2f} | {row['minutes']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the language models and the small data set"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    data = share_of_train(options.work / "data")
    results: dict[str, Any] = {"tagger": TAGGER, "language_models": {}, "runs": [], "means": {}}
    if RESULTS.is_file():
        results = json.loads(RESULTS.read_text())
    for seed in options.seeds:
        for name, start in STARTS.items():
            if any((run["start"], run["seed"]) == (name, seed) for run in results["runs"]):
                continue
            for model in LANGUAGE_MODELS:
                if model in start.split():
                    results["language_models"][model] = language_model(model, options.work, options.threads)
                    start = start.replace(model, str(options.work / model))
            output = options.work / f"tagger-{name.split(',')[0].strip('-').replace(' ', '-')}-{seed}"
            report = train("tag", data, f"{TAGGER} {start} --seed {seed}", output, options.threads)
            run: dict[str, Any] = {"start": name, "seed": seed, "minutes": report["minutes"]}
            run |= {split: round(100 * scores["accuracy"], 2) for split, scores in report["scores"].items()}
            run |= {"best_epoch": report["training"]["best_epoch"], "threads": options.threads}
            results["runs"].append(run | {"versions": report["versions"]})
            results["means"] = means(results["runs"])
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
