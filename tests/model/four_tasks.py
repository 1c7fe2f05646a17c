"""Untrained models of all four tasks, and sentences for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import torch

from seqkit.config import override
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.heads.translation.settings import TranslateSettings
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.base import Model
from seqkit.model.classifier import Classifier
from seqkit.model.generator import Generator
from seqkit.model.language_model import LanguageModel
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.tagger import Tagger
from seqkit.model.translator import Translator
from seqkit.records import Sentence, TextRecord

WORDS = ["".join(random.Random(number).choices("abcdefgh", k=1 + number % 7)) for number in range(60)]
TINY: dict[str, Any] = {"embedding": {"word_size": 6}, "encoder": {"hidden": 6}}
CHARACTERS: dict[str, Any] = {"embedding": {"char_size": 4, "char_features": 4}}

Predict = Callable[..., Iterable[Any]]
"""a model's way from texts to something that can be compared; takes options of ``predict``, or a pipeline as well"""


def texts(count: int, seed: int = 0, longest: int = 12) -> list[str]:
    """Lines of 0 to `longest` words, some of which no model knows."""
    draw = random.Random(seed)
    words = [*WORDS, "new", "Unknown"]
    return [" ".join(draw.choices(words, k=draw.randint(0, longest))) for _ in range(count)]


def tagger(changes: dict[str, Any] | None = None) -> Tagger:
    """A tagger over spans."""
    labels = [("B-X", "B-Y", "O", "I-Y")[number % 4] for number in range(len(WORDS))]
    sentences = [Sentence.from_tokens(WORDS, {"label": labels}) for _ in range(4)]
    return _built(lambda: Tagger.build(_settings(TagSettings(), CHARACTERS, changes), sentences))


def classifier(changes: dict[str, Any] | None = None) -> Classifier:
    """A classifier of three labels."""
    sentences = [Sentence.from_tokens(WORDS) for _ in range(3)]
    for sentence, label in zip(sentences, "abc", strict=True):
        sentence.fields = {"label": label}
    settings = _settings(ClassifySettings(), CHARACTERS, changes)
    return _built(lambda: Classifier.build(settings, sentences))


def language_model(changes: dict[str, Any] | None = None) -> LanguageModel:
    """A language model of words."""
    units = Units.word("spaces")
    counts = Corpus.read(texts(50), units).counts()
    return _built(lambda: LanguageModel.of_counts(_settings(LmSettings(), {}, changes), units, counts))


def ngram_model() -> NgramLanguageModel:
    """A language model of counts."""
    units = Units.word("spaces")
    settings = override(LmSettings(), {"head": {"ngram": 3}})
    return NgramLanguageModel.count(settings, units, Corpus.read(texts(50), units))


def generator(changes: dict[str, Any] | None = None) -> Generator:
    """A generator of characters from a label and a title."""
    settings = _settings(GenerateSettings(), {"data": {"condition": "kind:label,title:text"}}, changes)
    return _built(lambda: Generator.build(settings, [text_record(row) for row in records(20)]))


def translator(changes: dict[str, Any] | None = None) -> Translator:
    """A translator of titles into texts of which each word is twice there."""
    head = {"head": {"hidden": 6, "size": 6}, "data": {"source": "title", "target": "text"}}
    rows = [{**row, "text": " ".join(word + word for word in row["title"].split())} for row in records(40)]
    settings = _settings(TranslateSettings(), head, changes)
    return _built(lambda: Translator.build(settings, [text_record(row) for row in rows]))


def text_record(row: dict[str, Any]) -> TextRecord:
    """A mapping as the record that a generator reads."""
    return TextRecord("", fields=row)


def records(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """What a generator learns from."""
    return [
        {"kind": "ab"[number % 2], "title": text[:9] or "x", "text": text or "x"}
        for number, text in enumerate(texts(count, seed, 4))
    ]


def _settings(start: Any, more: dict[str, Any], changes: dict[str, Any] | None) -> Any:
    return override(override(override(start, TINY), more), changes or {})


def _built(build: Callable[[], Any]) -> Any:
    """A model whose predictions are far from uniform."""
    torch.manual_seed(0)
    model: Model = build()
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    model.network.eval()
    return model


def answers(model: Any, lines: Iterable[Any], pipeline: Any, options: dict[str, Any]) -> Iterable[Any]:
    """What a model predicts, or a pipeline that was made of it before."""
    if pipeline is None:
        return model.predict(lines, **options)
    return pipeline(map(model.record, lines), model.options(options))


def tag(model: Tagger, lines: Iterable[Any], pipeline: Any = None, **options: Any) -> Iterable[Any]:
    """Labels, spans and probabilities."""
    for found in answers(model, lines, pipeline, options):
        spans = [(span.start, span.end, span.label, span.prob) for span in found.spans]
        yield found.sentence.text, found.labels, found.probs, spans, found.alternatives


def classify(model: Classifier, lines: Iterable[Any], pipeline: Any = None, **options: Any) -> Iterable[Any]:
    """Labels and probabilities."""
    for found in answers(model, lines, pipeline, options):
        yield found.sentence.text, found.labels, found.probs


def score(
    model: LanguageModel | NgramLanguageModel, lines: Iterable[Any], pipeline: Any = None, **options: Any
) -> Iterable[Any]:
    """Log-probabilities."""
    for found in model.score(lines, **options) if pipeline is None else answers(model, lines, pipeline, options):
        yield found.text, found.units, found.log_prob


def foretell(model: Generator, lines: Iterable[str], pipeline: Any = None, **options: Any) -> Iterable[Any]:
    """Log-probabilities under a condition."""
    rows = [text_record({"kind": "a", "title": line[:5] or "x", "text": line}) for line in lines]
    if pipeline is None:
        yield from model.log_probs(rows, **options)
    else:
        yield from ((found.log_prob, found.units) for found in answers(model, rows, pipeline, options))


TASKS: dict[str, tuple[Callable[[], Any], Predict]] = {
    "tag": (tagger, tag),
    "classify": (classifier, classify),
    "lm": (language_model, score),
    "generate": (generator, foretell),
}
"""task → what makes a model, and what predicts with it"""
