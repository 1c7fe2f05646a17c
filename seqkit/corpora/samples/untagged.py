"""The samples whose tokens have no labels: reviews, sentences for a language model, invented names."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from operator import itemgetter

from seqkit.corpora.samples.grammar import Drawer, distinct, embedded
from seqkit.records import Sentence, TextRecord

_TOKEN = re.compile(r"\w+(?:['-]\w+)*|[^\w\s]")
_CLOSING = frozenset(".,;:?!")


def reviews(sizes: Mapping[str, int], seed: int) -> dict[str, list[Sentence]]:
    """Write reviews of films, restaurants and telephones.

    Which of two opinions counts depends on the order of the words: what is negated, what follows "but", what was
    expected and what happened. A few sentences are ambiguous.

    Args:
        sizes: split → number of reviews; ``train`` is written without the words and phrases kept for the others.
        seed: seed of the generator.

    Returns:
        Split → records with fields ``label`` (negative, neutral, positive) and ``text``; no text occurs twice.
    """

    def write(drawer: Drawer) -> dict[str, str]:
        label = drawer.choose("sample-reviews")[0].value
        drawer.enter_domain()
        return {"label": label, "text": _running_text(drawer.expand(label))}

    return _corpus("reviews.toml", "sample-reviews", write, sizes, seed)


def sentences(sizes: Mapping[str, int], seed: int) -> dict[str, list[Sentence]]:
    """Write sentences for a language model.

    A verb agrees with a subject further away than the nearest noun, and the context allows only one of two words that
    sound alike. Every word of dev and test occurs in train.

    Args:
        sizes: split → number of sentences.
        seed: seed of the generator.

    Returns:
        Split → records whose only field is ``text``; no text occurs twice.
    """

    def write(drawer: Drawer) -> dict[str, str]:
        return {"text": _running_text(drawer.expand("sample-sentences"))}

    return _corpus("sentences.toml", "sample-sentences", write, sizes, seed, whole=True)


def names(sizes: Mapping[str, int], seed: int) -> dict[str, list[Sentence]]:
    """Invent names of rivers, stars, dragons, villages and robots, each kind with syllables and endings of its own.

    Args:
        sizes: split → number of names.
        seed: seed of the generator.

    Returns:
        Split → records with fields ``category`` and ``text``, one token per character; no name occurs twice.
    """

    def write(drawer: Drawer) -> dict[str, str]:
        category = drawer.enter_domain()
        words = "".join(drawer.expand("name")).replace("_", " ").split(" ")
        text = " ".join(word if word == "the" else word[:1].upper() + word[1:] for word in words)
        return {"category": category, "text": text}

    return _corpus("names.toml", "sample-names", write, sizes, seed, token=re.compile(r"\S"), whole=True)


def _corpus(
    file: str,
    start: str,
    write: Callable[[Drawer], dict[str, str]],
    sizes: Mapping[str, int],
    seed: int,
    *,
    token: re.Pattern[str] = _TOKEN,
    whole: bool = False,
) -> dict[str, list[Sentence]]:
    """Write records until each split is full, all texts different."""
    seen: set[Hashable] = set()
    corpus: dict[str, list[Sentence]] = {}
    for split, size in sizes.items():
        drawer = Drawer(embedded(file), start, random.Random(f"{seed} {split}"), whole=whole or split != "train")
        corpus[split] = []
        for fields in distinct(partial(write, drawer), itemgetter("text"), size, seen):
            record = TextRecord(fields["text"], dict(fields))
            corpus[split].append(record.cut(lambda text: [match.span() for match in token.finditer(text)]))
    return corpus


def _running_text(words: Sequence[str]) -> str:
    """Words → text: no space before punctuation and clitics, ``an`` before a vowel, a capital at each beginning."""
    pieces: list[str] = []
    for place, word in enumerate(words):
        following = words[place + 1] if place + 1 < len(words) else ""
        if word == "a" and following[:1].lower() in set("aeiou"):
            word = "an"
        if not pieces or pieces[-1] in (".", "?", "!"):
            word = word[:1].upper() + word[1:]
        if pieces and word not in _CLOSING and not word.startswith(("n't", "'")):
            pieces.append(" ")
        pieces.append(word)
    return "".join(pieces)
