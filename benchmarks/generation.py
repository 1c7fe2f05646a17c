"""Generators: how much a condition helps, whether poems keep their form, whether acrostics are obeyed.

    SEQKIT_DATA=../shared/data python benchmarks/generation.py --threads 2

Trains the recipe ``generate-tang`` with its condition and without any, unless ``--model`` and ``--plain`` name such
models, and compares their perplexities on the test split. Then writes poems of each form on the titles of the test
split, freely and with an acrostic, and counts those with exactly the number of lines, and of characters per line, of
their form. Trains the recipe ``generate-digits`` and counts the images whose digit is spelled exactly right. Prints a
table and writes ``benchmarks/results/generation.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from seqkit import __version__
from seqkit.config import load_recipe, override
from seqkit.corpora.reading import read_splits
from seqkit.corpora.resolve import resolve
from seqkit.heads.generation.verse import line_lengths
from seqkit.model.generator import Generator
from seqkit.model.loading import load
from seqkit.records import TextRecord
from seqkit.training.run import run

RESULTS = Path(__file__).parent / "results" / "generation.json"
TEMPERATURE = 0.8
ACROSTIC_POEMS = 50


def trained(recipe: str, given: Path | None, tree: dict[str, Any], seed: int = 1) -> Generator:
    """A model of a recipe: a given one, or one that is trained now.

    Args:
        recipe: the recipe's name.
        given: the directory of a model, or None.
        tree: settings that differ from the recipe.
        seed: the seed of training.

    Returns:
        The model.
    """
    if given is not None:
        return loaded(given)
    chosen = load_recipe(recipe)
    settings = override(override(chosen.settings, tree), {"training": {"seed": seed}})
    with tempfile.TemporaryDirectory() as folder:
        run(settings, folder, chosen.dataset, device="cpu", quiet=False, force=True)
        return loaded(folder)


def loaded(folder: str | Path) -> Generator:
    """Read a generator."""
    model: Generator = load(folder, task="generate")
    return model


def test_records(data: str, model: Generator) -> list[TextRecord]:
    """The test split of a data set, as a model reads it."""
    return read_splits(resolve(data), "fields", model.settings.data, None, ["test"]).records["test"]


def forms(model: Generator, records: list[TextRecord], poems: int) -> list[dict[str, Any]]:
    """Write poems of each form.

    Args:
        model: a generator of poems.
        records: poems of the test split, whose titles are used.
        poems: the number of poems of each form.

    Returns:
        One entry per form.
    """
    entries = []
    titles = [one.fields["title"] for one in records]
    for form in sorted({one.fields["form"] for one in records}):
        shape = statistics.mode([tuple(line_lengths(one.text)) for one in records if one.fields["form"] == form])
        given = [{"form": form, "title": titles[number % len(titles)]} for number in range(poems)]
        written = model.generate(given, temperature=TEMPERATURE, seed=1, length=200)
        exact = sum(one.ended and tuple(line_lengths(one.text)) == shape for one in written)
        obeyed, kept = acrostics(model, given, shape)
        entries.append(
            {
                "form": form,
                "lines": len(shape),
                "characters_a_line": shape[0],
                "poems": poems,
                "exact": exact / poems,
                "acrostics": obeyed,
                "exact_acrostics": kept,
                "example": written[0].text,
                "example_title": given[0]["title"],
            }
        )
    return entries


def acrostics(model: Generator, given: list[dict[str, Any]], shape: tuple[int, ...]) -> tuple[float, float]:
    """Write poems whose lines begin with characters drawn at random.

    Args:
        model: a generator of poems.
        given: their conditions.
        shape: the number of characters of each line of their form.

    Returns:
        The share of poems that obey their acrostic, and the share that also keep their form.
    """
    words = model.input.indexer.words
    known = [word for word in words.words[2:] if word.isalpha()]
    choice = random.Random(1)
    obeyed = kept = 0
    for number, one in enumerate(given[:ACROSTIC_POEMS]):
        initials = "".join(choice.choices(known, k=len(shape)))
        (poem,) = model.generate(
            one, allowed=model.acrostic(initials), temperature=TEMPERATURE, seed=number, length=200
        )
        lengths = line_lengths(poem.text)
        starts = [sum(lengths[:line]) + line for line in range(len(lengths))]
        obeyed += "".join(poem.text[start] for start in starts[: len(initials)]) == initials
        kept += poem.ended and tuple(lengths) == shape
    count = min(ACROSTIC_POEMS, len(given))
    return obeyed / count, kept / count


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, help="a model of generate-tang")
    parser.add_argument("--plain", type=Path, help="one that was trained with --condition none")
    parser.add_argument("--poems", type=int, default=200, help="poems of each form")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="seeds of generate-digits")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {"seqkit_version": __version__, "torch": torch.__version__, "temperature": TEMPERATURE}
    models = {
        "with": trained("generate-tang", arguments.model, {}),
        "without": trained("generate-tang", arguments.plain, {"data": {"condition": "none"}}),
    }
    records = test_records("tang", models["with"])
    for name, model in models.items():
        report = model.evaluate_records(records).report
        found[f"perplexity_{name}_condition"] = report.prediction.perplexity
        print(f"tang, {name} condition: perplexity {report.prediction.perplexity:.2f}")
    found["forms"] = forms(models["with"], records, arguments.poems)
    print(f"\n{'form':<8}{'poems':>6}{'exact':>8}{'acrostics':>11}{'exact':>8}")
    for entry in found["forms"]:
        shares = f"{entry['exact']:>8.3f}{entry['acrostics']:>11.3f}{entry['exact_acrostics']:>8.3f}"
        print(f"{entry['form']:<4}{entry['poems']:>6}{shares}")
    found["digits"] = []
    for seed in arguments.seeds:
        model = trained("generate-digits", None, {}, seed)
        report = model.evaluate_records(test_records("digits", model)).report
        found["digits"].append({"seed": seed, "exact_match": report.exact_match})
        print(f"digits, seed {seed}: exact match {report.exact_match:.4f}")
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
