"""Prediction on the pretended device: it waits where answers are read, nowhere else, and they are those of the CPU."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch

from seqkit.config import override
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.inputs.streams import Corpus
from seqkit.model.generator import Generator
from seqkit.nn.pooling import POOLINGS
from seqkit.nn.recurrent import CELLS
from tests.model.four_tasks import (
    TINY,
    WORDS,
    classifier,
    generator,
    language_model,
    records,
    tagger,
    text_record,
    texts,
    translator,
)
from tests.pretended.device import pretended

LINES = [WORDS[3], *texts(5, 1, 5)]
WHERE = {
    "model/pipeline.py::_answers": "whether the scores of many records are finite is read at last",
    "heads/tagging/head.py::_decoded": "the labels of many sentences are read together",
    "heads/tagging/head.py::decode": "and the best of several sequences of them",
    "heads/tagging/module.py::decode_lagged": "one tag after the other is decided on the CPU",
    "nn/crf.py::lagged": "by scores of transitions that are read first",
    "heads/tagging/stream.py::accept": "likewise, and a label is given before the next token comes",
    "model/streaming.py::_read": "whether it is sound is known first",
    "heads/tagging/head.py::_token_probs": "so are their probabilities",
    "heads/tagging/head.py::_add_spans": "and those of spans, which are known only now",
    "nn/chain.py::log_variables": "whether float64 held all sums, or they are repeated in logarithms",
    "heads/classification/head.py::_likeliest": "the probabilities of many texts are read together",
    "heads/language_model/head.py::decode": "the log-probabilities of many lines are read together",
    "model/language_model.py::read": "the log-probabilities of 256 windows are read together",
    "nn/softmax.py::_adaptive_log_probabilities": "the cluster of each unit is looked up on the CPU",
    "nn/search.py::sample": "a unit is drawn, and written, before the next is computed",
    "nn/search.py::_read": "likewise the most probable units of each prefix",
    "heads/translation/search.py::select": "the source that each prefix is of is looked up on the CPU",
    "heads/translation/search.py::_uncovered": "the penalties of prefixes are compared with their probabilities",
    "heads/translation/search.py::_gold": "the probabilities of the right texts are read together",
    "heads/translation/search.py::_attention": "what a text looked at is written",
    "heads/translation/search.py::rounded": "and what a given one looks at",
    "heads/translation/search.py::part": "and which source it is of, where units of its own can be copied",
    "heads/translation/search.py::_check_finite": "whether all probabilities were numbers is read at last",
    "model/writing.py::_check_finite": "whether all probabilities were numbers is read at last",
}
"""where prediction waits for the device → why"""
ANSWERS = ("model/pipeline.py::_answers",)
TAGS = (*ANSWERS, "heads/tagging/head.py::_decoded")
LAGGED = (*ANSWERS, "heads/tagging/module.py::decode_lagged", "nn/crf.py::lagged")
STREAMED = ("heads/tagging/stream.py::accept", "model/streaming.py::_read", "nn/crf.py::lagged")
PROBABILITIES = (
    *TAGS,
    "heads/tagging/head.py::_token_probs",
    "heads/tagging/head.py::_add_spans",
    "nn/chain.py::log_variables",
)
SCORES = (*ANSWERS, "heads/language_model/head.py::decode")
LABELS = (*ANSWERS, "heads/classification/head.py::_likeliest")
CLUSTERS = ("nn/softmax.py::_adaptive_log_probabilities",)
TEXT = ("model/language_model.py::read",)
SAMPLE = ("nn/search.py::sample", "model/writing.py::_check_finite")
_BEFORE, _AFTER = (f"heads/translation/search.py::{name}" for name in ("select", "_check_finite"))
SEARCHED = (*ANSWERS, "nn/search.py::_read", _BEFORE, _AFTER)
DRAWN = (*ANSWERS, "nn/search.py::sample", _BEFORE, _AFTER)
COVERED = (*SEARCHED, "heads/translation/search.py::_uncovered")
POINTED = (*SEARCHED, "heads/translation/search.py::_attention")
SPELLED = ("heads/translation/search.py::part",)
COMPARED = (*SEARCHED, "heads/translation/search.py::_gold")
BEAM = ("nn/search.py::_read", "model/writing.py::_check_finite")

Decode = Callable[[Any, str], Any]


def predicted(**options: Any) -> Decode:
    def decode(model: Any, precision: str) -> Any:
        lines = map(model.record, LINES) if model.task.name != "generate" else map(text_record, records(5))
        return [answer.to_json() for answer in model.pipeline(precision=precision)(lines, model.options(options))]

    return decode


def streamed(model: Any, precision: str) -> Any:
    stream = model.stream(lag=2)
    found = [[*map(stream.accept, ([word] for word in line.split())), stream.finish()] for line in LINES]
    return [[each.to_json() for part in parts for each in part] for parts in found]


def forward(changes: dict[str, Any]) -> Any:
    return tagger(changes | {"encoder": {"direction": "forward"} | changes.get("encoder", {})})


def attentive(changes: dict[str, Any]) -> Generator:
    return generator(changes | {"head": {"attention": "general"} | changes.get("head", {})})


def divided(model: Any, precision: str) -> Any:
    """Where memory suffices for two texts at a time."""
    encode, most = model.encode, 2

    def small(batch: Any, *arguments: Any, **options: Any) -> Any:
        if len(batch.lengths) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return encode(batch, *arguments, **options)

    model.encode = small
    with pytest.warns(RuntimeWarning, match="out of memory with batches of"):
        return predicted()(model, precision)


def perplexity(**options: Any) -> Decode:
    def decode(model: Any, precision: str) -> float:
        corpus = Corpus.read(LINES, model.input.units)
        return float(model.log_prob(corpus, window=4, precision=precision, **options))

    return decode


def sampled(**options: Any) -> Decode:
    return lambda model, precision: [text.to_json() for text in model.sample(seed=1, length=6, **options)]


def generated(**options: Any) -> Decode:
    return lambda model, precision: [text.to_json() for text in model.generate(records(2), seed=1, length=6, **options)]


def evaluated(model: Any, precision: str) -> Any:
    found = model.evaluate_records([text_record(row) for row in records(4)]).report.to_json()
    return {name: value for name, value in found.items() if name != "signatures"}


def looked(model: Any, precision: str) -> Any:
    record = model.record(LINES[1])
    return model.head.looked(model.decoding_of([record]), record, f"{WORDS[2] * 2} new")


def poet(changes: dict[str, Any]) -> Generator:
    """Of texts with lines."""
    torch.manual_seed(0)
    rows = [{"kind": "ab"[number % 2], "text": "ab\nba\n" * (1 + number)} for number in range(3)]
    settings = override(override(override(GenerateSettings(), TINY), changes), {"data": {"condition": "kind:label"}})
    return Generator.build(override(settings, {"data": {"unit": "char"}}), [text_record(row) for row in rows])


class Decoding(NamedTuple):
    """What is tried: a kind of model, what it does, and where it then waits."""

    make: Callable[..., Any]
    decode: Decode
    places: tuple[str, ...]


DECODINGS = {
    "tag": Decoding(tagger, predicted(), TAGS),
    "tag probabilities": Decoding(tagger, predicted(probs=True), PROBABILITIES),
    "tag n best": Decoding(tagger, predicted(nbest=3), (*TAGS, "heads/tagging/head.py::decode")),
    "tag lag": Decoding(tagger, predicted(lag=2), LAGGED),
    "stream tag": Decoding(forward, streamed, STREAMED),
    "tag divided": Decoding(tagger, divided, TAGS),
    "classify": Decoding(classifier, predicted(top=2), LABELS),
    "lm score": Decoding(language_model, predicted(), SCORES),
    "lm text": Decoding(language_model, perplexity(), TEXT),
    "lm dynamic": Decoding(language_model, perplexity(dynamic=0.1), TEXT),
    "lm sample": Decoding(language_model, sampled(count=3), SAMPLE),
    "lm filtered": Decoding(language_model, sampled(count=3, temperature=0.7, top_k=9, top_p=0.8), SAMPLE),
    "lm beam": Decoding(language_model, sampled(count=2, beam=3), BEAM),
    "generate score": Decoding(generator, predicted(), SCORES),
    "generate sample": Decoding(generator, generated(count=2), SAMPLE),
    "generate greedy": Decoding(generator, generated(temperature=0.0, prompt="a"), SAMPLE),
    "generate beam": Decoding(generator, generated(beam=2, length_penalty=0.7), BEAM),
    "generate acrostic": Decoding(poet, generated(acrostic="ab"), SAMPLE),
    "generate evaluate": Decoding(generator, evaluated, (*SCORES, *SAMPLE)),
    "generate attention score": Decoding(attentive, predicted(), SCORES),
    "generate attention beam": Decoding(attentive, generated(beam=2), BEAM),
    "translate beam": Decoding(translator, predicted(beam=3, nbest=2), SEARCHED),
    "translate penalty": Decoding(translator, predicted(beam=3, coverage_penalty=0.3), COVERED),
    "translate greedy": Decoding(translator, predicted(beam=1), DRAWN),
    "translate sample": Decoding(translator, predicted(sample=True, seed=1), DRAWN),
    "translate attention": Decoding(translator, predicted(beam=2, attention=True), POINTED),
    "translate looked": Decoding(translator, looked, ("heads/translation/search.py::rounded",)),
    "translate evaluate": Decoding(translator, evaluated, COMPARED),
}
OTHERS: dict[str, list[dict[str, Any]]] = {
    "tag": [{"head": {"crf": False}}, {"encoder": {"direction": "backward", "layers": 2}}],
    "stream": [{"encoder": {"layers": 2, "skip": "highway"}}],
    "classify": [*({"head": {"pool": pool}} for pool in POOLINGS), {"head": {"multi_label": True}}],
    "lm": [
        {"head": {"cutoffs": (20, 40)}, "encoder": {"hidden": 16}},
        {"head": {"tied": True}},
        {"encoder": {"direction": "both"}},
        {"embedding": {"chars": "cnn"}},
    ],
    "generate": [
        {"data": {"unit": "word"}},
        {"head": {"text_hidden": 4}, "encoder": {"layers": 2}},
    ],
    "translate": [
        {"head": {"copy_source": True, "smoothing": 0.0}},
        {"head": {"attention": "additive", "coverage": 1.0}},
        {"head": {"feeding": False, "window": 2.0}},
        {"data": {"shared": True}, "head": {"tied": True}},
    ],
}
"""task → further settings of its models"""


def tried() -> Iterator[Any]:
    """Every decoding with every cell and with the further settings of its task, in turn in fp32, bf16 and fp16."""
    number = 0
    for name, decoding in DECODINGS.items():
        for changes in [*({"encoder": {"cell": cell}} for cell in CELLS), *OTHERS[name.split()[0]]]:
            number += 1
            which = "-".join(str(value) for section in changes.values() for value in section.values())
            precision = ("fp32", "bf16", "fp16")[number % 3]
            yield pytest.param(decoding, changes, precision, id=f"{name}-{which}-{precision}".replace(" ", "-"))


@pytest.mark.parametrize(("decoding", "changes", "precision"), list(tried()))
def test_it_waits_where_answers_are_read_and_they_are_those_of_the_cpu(
    decoding: Decoding, changes: dict[str, Any], precision: str
) -> None:
    model = decoding.make(changes)
    if changes.get("encoder", {}).get("cell") in ("rnn_relu", "rnn_linear", "irnn"):  # whose states are unbounded
        with torch.no_grad():
            torch._foreach_mul_(list(model.network.parameters()), 0.5)
    # A CPU has no fp16, and this device computes in bf16 instead.
    expected = decoding.decode(copy.deepcopy(model), "bf16" if precision == "fp16" else precision)
    with pretended() as waits:
        model.to("cuda")
        with waits.among() as places:
            found = decoding.decode(model, precision)
    head = changes.get("head", {})
    more = CLUSTERS if decoding.places == SCORES and "cutoffs" in head else ()
    more = SPELLED if decoding.places == POINTED and "copy_source" in head else more
    assert places == {*decoding.places, *more}
    assert_alike(found, expected)


def assert_alike(found: Any, expected: Any) -> None:
    """Equal but for the last digits of numbers."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    else:
        assert found == (pytest.approx(expected, rel=1e-4, abs=1e-5) if isinstance(expected, float) else expected)


def test_each_place_has_its_reason() -> None:
    assert set(WHERE) == {place for decoding in DECODINGS.values() for place in (*decoding.places, *CLUSTERS, *SPELLED)}
