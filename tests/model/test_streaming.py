"""`Model.stream`: answers to chunks are those to the whole, as early as promised, in memory that does not grow."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from four_tasks import WORDS, classifier, generator, language_model, ngram_model, tagger, texts

from seqkit.config import override, parse_assignments
from seqkit.config.sections import EncoderSettings
from seqkit.errors import DataError, ModelError, SettingsError
from seqkit.formats.schemes import from_spans, invalid_moves
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.heads.tagging.stream import StepLabel
from seqkit.inputs.base import Sources
from seqkit.inputs.context import ContextFeatures
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load
from seqkit.model.tagger import Tagger
from seqkit.nn.recurrent import CELLS
from seqkit.records import Sentence

LINES = [line.split() for line in [*texts(20, longest=30), ""]]
FORWARD = {"direction": "forward"}


def forward(**changes: Any) -> Tagger:
    """A tagger that reads forward, of BIOES tags under a CRF unless changes say otherwise."""
    return tagger({"encoder": FORWARD | changes.pop("encoder", {}), **changes})


def of_scheme(scheme: str, crf: bool) -> Tagger:
    """A tagger whose files have some scheme, with spans of one kind side by side."""
    spans = [(0, 1, "A"), (1, 2, "A"), (2, 4, "B"), (5, 8, "A")]
    labels = ["N", "V", "X"] * 3 if scheme == "none" else from_spans(spans, 9, scheme)
    tree = {"encoder": {"hidden": 6, **FORWARD}, "head": {"crf": crf}, "data": {"scheme": scheme}}
    torch.manual_seed(1)
    model = Tagger.build(override(TagSettings(), tree), [Sentence.from_tokens(WORDS[:9], {"label": labels})] * 2)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.normal_()
        if scheme != "none":
            model.network.head.emission.bias[model.head.codec.tags.index("S-A")] += 2.0
    return model


def chunks(tokens: Sequence[str], draw: random.Random) -> Iterator[list[str]]:
    """The tokens, cut anywhere."""
    while tokens:
        size = draw.randint(0, 7)
        yield list(tokens[:size])
        tokens = tokens[size:]


def streamed(stream: Any, tokens: Sequence[str], draw: random.Random) -> list[StepLabel]:
    found: list[StepLabel] = []
    for chunk in chunks(tokens, draw):
        found += stream.accept(chunk)
    found += stream.finish()
    assert [each.step for each in found] == list(range(len(tokens)))
    return found


# --- equal to the whole -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "none"])
def test_labels_are_those_of_the_whole_and_of_predict_with_the_same_lag(scheme: str, crf: bool) -> None:
    model, draw = of_scheme(scheme, crf), random.Random(0)
    expected = list(model.predict(LINES))
    differ = 0
    for lag in (0, 1, 3, 40):
        stream = model.stream(lag=lag)
        assert stream.lag == (0 if scheme == "none" and not crf else lag)
        for whole, lagged in zip(expected, model.predict(LINES, lag=lag), strict=True):
            labels = [each.label for each in streamed(stream, whole.sentence.tokens, draw)]
            assert labels == lagged.labels
            faults = invalid_moves(labels, scheme)
            assert [fault for fault in faults if lag or "may not end" not in fault[1]] == []
            if lag == 40 or (scheme == "none" and not crf):
                assert labels == whole.labels
                assert lagged.spans == whole.spans
            differ += labels != whole.labels
    assert (differ > 0) == (scheme != "none" or crf)


@pytest.mark.parametrize("cell", get_args(EncoderSettings.model_fields["cell"].annotation))
def test_every_cell_can_be_streamed(cell: str) -> None:
    assert cell in CELLS
    model = forward(encoder={"cell": cell, "layers": 2})
    stream, draw = model.stream(lag=40), random.Random(1)
    for whole in model.predict(LINES[:6]):
        assert [each.label for each in streamed(stream, whole.sentence.tokens, draw)] == whole.labels


def test_probabilities_of_independent_labels() -> None:
    model = of_scheme("none", crf=False)
    stream, draw = model.stream(probs=True), random.Random(2)
    for whole in model.predict(LINES, probs=True):
        found = streamed(stream, whole.sentence.tokens, draw)
        assert [each.label for each in found] == whole.labels
        assert [each.prob for each in found] == pytest.approx(whole.probs, abs=1e-5)
    assert StepLabel(3, "N", 0.5).to_json() == {"step": 3, "label": "N", "prob": 0.5}
    assert StepLabel(3, "N").to_json() == {"step": 3, "label": "N"}


def test_more_tags_than_features() -> None:
    labels = [f"L{number}" for number in range(len(WORDS))]
    tree = {"encoder": {"hidden": 6, **FORWARD}, "head": {"crf": False}}
    model = Tagger.build(override(TagSettings(), tree), [Sentence.from_tokens(WORDS, {"label": labels})])
    assert model.head.module.late
    stream, draw = model.stream(), random.Random(3)
    for whole in model.predict(LINES[:5]):
        assert [each.label for each in streamed(stream, whole.sentence.tokens, draw)] == whole.labels


def test_contextual_embeddings_that_read_forward(tmp_path: Path) -> None:
    settings = override(
        LmSettings(), parse_assignments(["data.unit=char", "encoder.hidden=5", "embedding.word_size=6"])
    )
    lines, units = [" ".join(tokens) for tokens in LINES if tokens], Units.char()
    for direction in ("forward", "both"):
        chosen = override(settings, {"encoder": {"direction": direction}})
        language = LanguageModel.of_counts(chosen, units, Corpus.read(lines, units).counts())
        tree = {"encoder": {"hidden": 6, **FORWARD}}
        sentences = [Sentence.from_tokens(WORDS, {"label": ["B-X", "O", "B-Y"] * 20})]
        model = Tagger.build(override(TagSettings(), tree), sentences, Sources(context=ContextFeatures.of(language)))
        if direction == "both":
            with pytest.raises(SettingsError) as caught:
                model.stream()
            assert str(caught.value) == (
                "embedding.context: the language model reads in direction both, which needs whole sentences, so this "
                "cannot be streamed; train it with --direction forward"
            )
            continue
        model.save(tmp_path)
        stream, draw = load(tmp_path).stream(lag=40), random.Random(4)
        for whole in model.predict(LINES):
            assert [each.label for each in streamed(stream, whole.sentence.tokens, draw)] == whole.labels


# --- as early as promised -----------------------------------------------------------------------------------------


def test_each_label_comes_exactly_as_many_tokens_later_as_was_asked_for() -> None:
    for lag in (0, 1, 5):
        stream = forward().stream(lag=lag)
        sizes = [len(stream.accept([word])) for word in WORDS[:20]]
        assert sizes == [int(number >= lag) for number in range(20)]
        assert len(stream.finish()) == lag
    assert forward().stream().lag == 8
    stream = of_scheme("none", crf=False).stream()
    assert [each.step for word in WORDS[:5] for each in stream.accept([word])] == [0, 1, 2, 3, 4]
    assert (stream.finish(), stream.finish()) == ([], [])


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("crf", "count"), [(False, 100_000), (True, 10_000)])
def test_a_hundred_thousand_tokens_leave_nothing_behind(crf: bool, count: int) -> None:
    stream = (forward() if crf else of_scheme("none", crf=False)).stream()
    chunk, steps = (WORDS * 9)[:500], 0
    tracemalloc.start()
    for number in range(count // len(chunk)):
        steps += len(stream.accept(chunk))
        if number == 9:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert steps == count - stream.lag
    assert after - before < 50_000
    assert peak - before < 1_000_000  # what one chunk takes


# --- what cannot be streamed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["backward", "both"])
def test_an_encoder_that_reads_from_the_end_is_refused_with_the_flag_that_trains_another(direction: str) -> None:
    with pytest.raises(SettingsError) as caught:
        tagger({"encoder": {"direction": direction}}).stream()
    assert str(caught.value) == (
        f"encoder.direction is {direction}: the encoder reads a sequence from its end, too, which a stream does not "
        "wait for; train with --direction forward"
    )


@pytest.mark.parametrize("make", [classifier, language_model, ngram_model, generator])
def test_other_tasks_are_about_the_whole(make: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        make().stream()
    assert str(caught.value) == ("what this model predicts cannot be streamed: it is about the whole of what is read")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nbest": 2}, "nbest: the best sequences of labels are those of whole sentences, not of a stream"),
        (
            {"probs": True},
            "probs: probabilities of labels by a CRF need the whole sentence, which neither a stream nor a lag waits "
            "for",
        ),
        (
            {"nbest": 2, "lag": 1},
            "options: nbest: the best sequences of labels are those of whole sentences, which lag excludes",
        ),
        ({"lag": -1}, "options: lag: expected at least 0, found -1"),
        ({"lag": 1_000_001}, "options: lag: expected at most 1000000, found 1000001"),
        ({"delay": 1}, "options: delay: unknown name, expected one of probs, nbest, lag, lm, lm_weight, beam"),
    ],
)
def test_options_that_need_the_whole_sentence_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        forward().stream(**options)
    assert str(caught.value) == message


def test_probabilities_of_tags_of_spans_are_refused_with_a_lag_too() -> None:
    model = of_scheme("iob2", crf=False)
    message = (
        "probs: probabilities of labels by tags of spans need the whole sentence, which neither a stream nor a lag "
        "waits for"
    )
    for use in (lambda: model.stream(probs=True), lambda: list(model.predict(LINES, probs=True, lag=2))):
        with pytest.raises(SettingsError) as caught:
            use()
        assert str(caught.value) == message


@pytest.mark.parametrize("chunk", ["Ada met", 3, None, ["a", 3], {"tokens": ["a"]}])
def test_a_chunk_is_a_list_of_tokens(chunk: Any) -> None:
    stream = forward().stream()
    with pytest.raises(DataError) as caught:
        stream.accept(chunk)
    assert str(caught.value) == f"a chunk of a stream must be a list of tokens (strings), found {chunk!r}"


def test_what_is_not_finite_is_no_label() -> None:
    model = forward()
    with torch.no_grad():
        model.network.head.emission.weight.fill_(1e38)
    stream = model.stream(lag=0)
    with pytest.raises(ModelError) as caught:
        stream.accept(["a", "b"])
    assert str(caught.value).startswith("what the network computes of the stream is not finite, or too large: ")
