"""Writes one tiny model of each kind in the present format, and what it predicts: `python tests/formats/make.py`.

They are written once for a format version and then kept as they are, so that every later seqkit can be tried on files
that an earlier one wrote. A kind that is there is not written again.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import seqkit
from seqkit.config import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.samples import generate
from seqkit.corpora.split import Split
from seqkit.inputs.pretrained import Vectors, write_vectors
from seqkit.model.files import FORMAT_VERSION
from seqkit.tasks import TASKS

FORMATS = Path(__file__).resolve().parent

# --- what the models are made of ----------------------------------------------------------------------------------

TINY: dict[str, Any] = {
    "data": {"min_count": 2},
    "embedding": {"word_size": 6},
    "encoder": {"hidden": 6, "layers": 1},
    "training": {"epochs": 30, "batch_size": 8, "lr": 0.05, "optimizer": "adam", "precision": "fp32"},
}
CHARACTERS: dict[str, Any] = {"chars": "cnn", "char_size": 4, "char_features": 4}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "tag": ("tag", "sample-ner", {"embedding": {**CHARACTERS, "vectors": "vectors.bin", "vectors_join": "concat"}}),
    "tag-context": (
        "tag",
        "sample-pos",
        {
            "embedding": {"chars": "none", "context": "characters"},
            "encoder": {"hidden": 4},
            "head": {"crf": False},
        },
    ),
    "classify": ("classify", "sample-reviews", {"embedding": CHARACTERS, "head": {"pool": "attention"}}),
    "classify-pair": ("classify", "sample-pairs", {"head": {"hidden": 4}}),
    "classify-number": (
        "classify",
        "sample-pairs",
        {"data": {"label": "relatedness"}, "head": {"regression": True, "hidden": 4}},
    ),
    "lm": (
        *("lm", "sample-sentences"),
        {
            "data": {"unit": "bpe", "bpe_size": 257},
            "embedding": {"word_size": 4},
            "encoder": {"hidden": 4},
            "head": {"tied": True, "baseline": 0},
        },
    ),
    "generate": ("generate", "sample-names", {"data": {"condition": "category"}}),
    "translate": (
        *("translate", "sample-tolari"),
        {
            "data": {"source": "english", "target": "tolari", "splitter": "spaces"},
            "head": {"hidden": 6, "size": 6, "copy_source": True, "smoothing": 0.0},
        },
    ),
    "tag-frames": ("tag", "sample-tones", {"frames": {"stack": 2, "convolutions": 1, "channels": 4}}),
    "classify-frames": ("classify", "sample-tones", {"frames": {"normalize": "none"}}),
    "translate-frames": ("translate", "sample-tones", {"encoder": {"hidden": 3}, "head": {"hidden": 6, "size": 6}}),
    "lm-frames": ("lm", "sample-melodies", {"encoder": {"hidden": 4}}),
    "transcribe": ("transcribe", "sample-tones", {"data": {"unit": "char"}}),
    "ngram": ("lm", "sample-sentences", {"head": {"ngram": 2}}),
}
"""name → task, sample, and settings beside those of `TINY`; together they have every file that a model may have"""


PAIRS = {"data": {"text": "premise", "second": "hypothesis"}, "encoder": {"hidden": 3}}
"""settings of models of pairs"""


def make(name: str, place: Path, working: Path) -> None:
    """Train a model of a kind and write it, without what only a training leaves behind."""
    task, sample, changes = KINDS[name]
    splits = generate(sample, {"train": 40, "dev": 20}, seed=1)
    data = Dataset(sample, {split: Split(content=sentences) for split, sentences in splits.items()})
    row = TASKS[task].of("frames") if data.has_frames else TASKS[task]
    if sample == "sample-pairs":
        row, changes = (
            TASKS[task].of("pair"),
            {**PAIRS, **changes, "data": {**PAIRS["data"], **changes.get("data", {})}},
        )
    tiny = {section: TINY[section] for section in (("encoder", "training") if data.has_frames else TINY)}
    settings = override(override(row.settings_class()(), tiny), changes)
    seqkit.train(settings, working / name, data, device="cpu")
    seqkit.load(working / name).save(place)


def write_inputs(working: Path) -> None:
    """Write the vectors and the character language model that two of the kinds start from."""
    words = ["the", "Paris", "in", "and", "from", "met", "was", "to"]
    matrix = np.random.default_rng(1).normal(size=(len(words), 4)).astype(np.float32)
    write_vectors(Vectors(words, matrix), working / "vectors.bin")
    lines = generate("sample-sentences", {"train": 40, "dev": 20}, seed=1)
    data = Dataset("sample-sentences", {split: Split(content=sentences) for split, sentences in lines.items()})
    changes = {
        "data": {"unit": "char"},
        "encoder": {"hidden": 4, "direction": "both", "concat": "final"},
        "training": {"epochs": 3},
        "head": {"baseline": 0},
    }
    seqkit.train(
        override(override(TASKS["lm"].settings_class()(), TINY), changes), working / "characters", data, device="cpu"
    )


# --- what they predict --------------------------------------------------------------------------------------------


PROBABLE: dict[str, dict[str, Any]] = {"tag": {"probs": True}, "transcribe": {"times": True}}
"""options with which numbers are predicted, too"""


def _frames(size: int) -> list[Any]:
    """Three sequences of vectors: ramps of zeros and ones that every processor has alike."""
    steps, features = np.arange(9)[:, None], np.arange(size)
    whole = ((steps + features) % 7 == 0).astype(np.float32)
    return [whole, whole[:1], whole[::-1].copy()]


def predictions(name: str, directory: Path) -> list[Any]:
    """What a model of a kind predicts for a few texts, as JSON: strings, and numbers."""
    model = seqkit.load(directory)
    task = KINDS[name][0]
    if model.task.records == "frames":
        return [
            found.to_json()
            for found in model.predict(_frames(getattr(model.input, "size", 88)), **PROBABLE.get(task, {}))
        ]
    if task == "tag":
        texts = ["Ronald met Gerald in Paris.", "O, 1984 was dull ☃", ""]
        tagged = [model.tag(text, probs=True) for text in texts]
        return [[one.sentence.tokens, one.labels, one.probs] for one in tagged]
    if model.task.records == "pairs":
        pairs = [("An old man feeds a hen.", "A person feeds a hen."), ("A dog.", ""), ("", "")]
        found = list(map(model.classify, pairs))
        return [one.value if name == "classify-number" else [one.labels, one.probs] for one in found]
    if task == "classify":
        texts = ["The salad was bland, but the cake was good.", "The menu changes in August.", "☃", ""]
        return [[one.labels, one.probs] for one in map(model.classify, texts)]
    if task == "generate":
        written = [model.generate({"category": kind}, count=2, beam=4) for kind in ("dragon", "robot")]
        return [[one.text, one.log_prob] for several in written for one in several]
    if task == "translate":
        texts = ["the old dog sees a boat .", "Naïve ☃", ""]
        return [[one.text, one.log_prob] for one in model.predict(texts, beam=4, max_ratio=0.1)]
    lines = ["The king and his son are quiet.", "Naïve ☃", ""]
    scored = [model.score(line) for line in lines]
    written = model.sample("The", count=2, beam=4, length=12)
    return [[one.units, one.log_prob] for one in scored] + [[one.text, one.log_prob] for one in written]


def main() -> None:
    """Write the models of the present version that are not there, and what they predict."""
    folder = FORMATS / f"v{FORMAT_VERSION}"
    fresh = [kind for kind in KINDS if not (folder / kind).exists()]
    if not fresh:
        sys.exit(f"every kind is in {folder}: files of a version are written once and then kept as they are")
    with tempfile.TemporaryDirectory() as name:
        working = Path(name)
        write_inputs(working)
        for kind in fresh:
            changes = KINDS[kind][2]
            for given in ("vectors", "context"):
                if given in changes.get("embedding", {}):
                    changes["embedding"][given] = str(working / changes["embedding"][given])
            make(kind, working / "saved" / kind, working)
        known = folder / "expected.json"
        expected = json.loads(known.read_text(encoding="ascii")) if known.exists() else {}
        expected |= {kind: predictions(kind, working / "saved" / kind) for kind in fresh}
        (working / "saved" / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="ascii")
        shutil.copytree(working / "saved", folder, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
