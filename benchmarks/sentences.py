"""Where sentences end: seqkit's rules beside other programs, on the raw text of the English Web Treebank.

    SEQKIT_DATA=../shared/data python benchmarks/sentences.py --split test

The text is rebuilt from the ``# text`` comments of ``ud-english-ewt`` in four settings: paragraphs parted by blank
lines; the sentences of a document joined by spaces; paragraphs parted by single line breaks; every ``# text`` a line of
its own. Documents are always parted by blank lines. Given are the F1 of sentences (both ends exact) and of sentence
ends alone. spaCy's sentencizer, pySBD, syntok and NLTK's Punkt (trained on the text itself) are measured if they can be
imported; all read one block without blank lines at a time, because most of them do not heed blank lines.

Prints a table and writes ``benchmarks/results/sentences.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # other environments need not have seqkit installed

from seqkit.formats.sentences import split_sentences

Spans = list[tuple[int, int]]
SEPARATORS = {
    "paragraphs by blank lines": ("\n\n", " "),
    "documents as one line": (" ", " "),
    "paragraphs by line breaks": ("\n", " "),
    "a line for each # text": ("\n", "\n"),
}
"""setting → what stands between two paragraphs, and between two sentences"""


def read(file: Path, paragraphs: str, sentences: str) -> tuple[str, Spans]:
    """Text and gold sentences.

    Args:
        file: a CoNLL-U file with ``# newdoc``, ``# newpar`` and ``# text``.
        paragraphs: between two paragraphs.
        sentences: between two sentences.

    Returns:
        The text, and start and end of each sentence.
    """
    parts: list[str] = []
    spans: Spans = []
    position, between = 0, ""
    for line in file.read_text(encoding="utf-8").split("\n"):
        if line.startswith("# newdoc") and parts:
            between = "\n\n"
        elif line.startswith("# newpar") and parts and between != "\n\n":
            between = paragraphs
        elif line.startswith("# text = "):
            sentence = " ".join(line.removeprefix("# text = ").split())
            start = position + len(between)
            position = start + len(sentence)
            spans.append((start, position))
            parts += [between, sentence]
            between = sentences
    return "".join(parts), spans


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Without white space at either end."""
    content = text[start:end]
    return start + len(content) - len(content.lstrip()), start + len(content.rstrip())


def by_block(split: Callable[[str], Iterator[tuple[int, int]]]) -> Callable[[str], Spans]:
    """Apply a splitter to each block without blank lines."""

    def whole(text: str) -> Spans:
        spans = []
        for block in re.finditer(r"(?:[^\n]|\n(?!\n))+", text):
            for start, end in split(block.group()):
                found = trimmed(text, block.start() + start, block.start() + end)
                if found[0] < found[1]:
                    spans.append(found)
        return spans

    return whole


def spacy() -> Callable[[str], Spans]:
    """spaCy's sentencizer."""
    pipeline = import_module("spacy").blank("en")
    pipeline.add_pipe("sentencizer")
    return by_block(lambda text: ((one.start_char, one.end_char) for one in pipeline(text).sents))


def pysbd() -> Callable[[str], Spans]:
    """The rules of pySBD."""
    segmenter = import_module("pysbd").Segmenter(language="en", clean=False, char_span=True)
    return by_block(lambda text: ((one.start, one.end) for one in segmenter.segment(text)))


def syntok() -> Callable[[str], Spans]:
    """The rules of syntok."""
    process = import_module("syntok.segmenter").process
    return by_block(
        lambda text: (
            (tokens[0].offset, tokens[-1].offset + len(tokens[-1].value))
            for paragraph in process(text)
            for tokens in map(list, paragraph)
        )
    )


def punkt() -> Callable[[str], Spans]:
    """NLTK's Punkt, trained on the text that it splits."""
    tokenizer = import_module("nltk.tokenize.punkt").PunktSentenceTokenizer
    return lambda text: by_block(tokenizer(text).span_tokenize)(text)


def f1(gold: set[object], found: set[object]) -> float:
    """F1 in percent."""
    return 200 * len(gold & found) / (len(gold) + len(found))


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--split", default="test", choices=["train", "dev", "test"])
    options = arguments.parse_args()
    folders = [Path(folder) for folder in os.environ.get("SEQKIT_DATA", "").split(os.pathsep) if folder]
    files = [file for folder in folders for file in (folder / "ud-english-ewt").glob(f"*{options.split}*.conllu")]
    if not files:
        raise SystemExit("error: ud-english-ewt is in no folder of $SEQKIT_DATA")
    splitters: dict[str, Callable[[str], Spans]] = {"seqkit": split_sentences}
    for name, make in {"spaCy": spacy, "pySBD": pysbd, "syntok": syntok, "Punkt": punkt}.items():
        try:
            splitters[name] = make()
        except ImportError:
            print(f"{name} is not installed", file=sys.stderr)
    results = []
    print("| setting | program | sentences, F1 | ends, F1 | characters/s |\n| --- | --- | --- | --- | --- |")
    for setting, (paragraphs, sentences) in SEPARATORS.items():
        text, gold = read(files[0], paragraphs, sentences)
        for name, split in splitters.items():
            began = time.perf_counter()
            found = split(text)
            speed = len(text) / (time.perf_counter() - began)
            exact = f1(set(gold), set(found))
            ends = f1({end for _, end in gold}, {end for _, end in found})
            print(f"| {setting} | {name} | {exact:.2f} | {ends:.2f} | {speed:,.0f} |")
            results.append({"setting": setting, "program": name, "f1": exact, "ends_f1": ends, "speed": speed})
    write_results(options.split, results)


def write_results(split: str, results: list[dict[str, object]]) -> None:
    """Write the JSON without `common.write`, which needs torch: the other programs may be elsewhere."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    tree = {"split": split, "results": results}
    (folder / "sentences.json").write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
