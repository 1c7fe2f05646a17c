from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqkit.config import override
from seqkit.errors import DataError, SettingsError
from seqkit.formats.splitting import SPLITTERS
from seqkit.formats.writers import WRITERS, format_inline
from seqkit.heads.tagging.settings import TagSettings
from seqkit.inputs.base import Sources
from seqkit.inputs.pretrained import Vectors
from seqkit.model.loading import load
from seqkit.model.tagger import Tagger
from seqkit.records import Sentence, TaggedSentence

ODD_TEXTS = {
    "empty": "",
    "white space": " \t\u00a0\u2003 ",
    "one character": "x",
    "lone surrogates": "Ada \ud83d met\udc00 \udfff",
    "NUL": "a\x00b \x00 \x00\x00",
    "controls": "\x07 bell \x1b[0m \x7f \ufeff",
    "emoji": "👩\u200d🚀 met 🇫🇷👍🏽 ❤️!",
    "right to left": "שלום עליכם \u202bمرحبا بالعالم\u202c",
    "combining marks": "Zoe\u0308 e\u0301te\u0301 \u0301\u0302 x\u0327",
    "astral": "𝔸𝕕𝕒 𐐷 \U0010ffff",
    "no spaces": "東京に行った。กรุงเทพ",
    "separators": "a\u2028b\u2029c\u0085d\x1ce\vf\fg",
    "a sentence of 5,000 tokens": "Ada met Bo in Oslo " * 1000,
    "words of 5,000 characters": "x" * 5000 + " " + "é" * 5000 + " Ada " + "9" * 5001,
}


def build(
    settings: TagSettings,
    sentences: Sequence[Sentence],
    vectors: Vectors | None = None,
    seed: int = 0,
) -> Tagger:
    """An untrained model whose predictions are far from uniform."""
    torch.manual_seed(seed)
    model = Tagger.build(settings, sentences, Sources(vectors=vectors))
    with torch.no_grad():
        for parameter in model.network.head.parameters():
            parameter.normal_()
    return model


def contents(records: Iterator[TaggedSentence] | Sequence[TaggedSentence]) -> list[tuple[object, ...]]:
    """What records say, to be compared exactly."""
    return [(r.sentence.tokens, r.labels, r.probs, r.spans, r.alternatives) for r in records]


@pytest.fixture(scope="session")
def model(trained: Path) -> Tagger:
    return load(trained)


# --- saved and read again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "assignments",
    [
        (),
        ("head.crf=false",),
        ("data.scheme=none",),
        ("data.scheme=none", "head.crf=false"),
        ("data.scheme=bioes", "embedding.chars=lstm", "encoder.cell=gru", "encoder.layers=2"),
        ("data.scheme=iob1", "embedding.chars=none", "encoder.cell=rnn_tanh", "encoder.direction=backward"),
        ("embedding.word_size=0", "encoder.cell=rnn_relu", "encoder.skip=dense", "encoder.layers=2"),
        ("encoder.concat=final", "encoder.layers=2", "encoder.skip=highway", "encoder.direction=both"),
        ("data.lowercase=false", "data.digits=false", "data.min_count=2", "data.max_words=5", "data.splitter=english"),
        ("embedding.vectors=x.txt", "embedding.vectors_join=sum"),
        ("embedding.vectors=x.txt", "embedding.vectors_join=concat"),
        ("embedding.vectors=x.txt", "embedding.word_size=0", "embedding.chars=none"),
    ],
    ids=" ".join,
)
def test_predictions_are_bit_equal_after_a_reload(
    assignments: tuple[str, ...],
    make_sentences: Callable[..., list[Sentence]],
    tiny_settings: Callable[..., TagSettings],
    tmp_path: Path,
) -> None:
    settings = tiny_settings(*assignments)
    scheme = "iob2" if settings.data.scheme in ("auto", "none") else settings.data.scheme
    draw = np.random.default_rng(0)
    vectors = Vectors(["ada", "new", "rome"], draw.normal(size=(3, 8)).astype(np.float32))
    before = build(settings, make_sentences(16, 0, scheme), vectors=vectors if settings.embedding.vectors else None)
    before.save(tmp_path)
    after = load(tmp_path)
    assert after.settings == before.settings
    assert after.input.splitter == before.input.splitter
    sentences = [*make_sentences(8, 3), Sentence.from_tokens([]), Sentence.from_tokens(["New", "unseen", "Ω", "7"])]
    kept = contents(before.predict(sentences, probs=True, nbest=3))
    assert contents(after.predict(sentences, probs=True, nbest=3)) == kept
    assert kept[0][2] is not None
    after.save(tmp_path / "again")
    for path in tmp_path.glob("*.*"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_a_trained_model_predicts_as_the_one_in_memory_did(
    tmp_path: Path, make_pairs: Callable[..., list], tiny_settings: Callable[..., TagSettings]
) -> None:
    from seqkit.training.run import train

    settings = tiny_settings("training.average=0.9", "training.epochs=3")
    model = train(settings, tmp_path / "m", make_pairs(24), dev=make_pairs(8, 1), device="cpu")
    sentences = [Sentence.from_tokens(tokens) for tokens, _ in make_pairs(8, 2)]
    kept = contents(model.predict(sentences, probs=True, nbest=2))
    again = load(tmp_path / "m")
    assert contents(again.predict(sentences, probs=True, nbest=2)) == kept
    assert again.report == model.report
    assert again.parameter_counts() == model.parameter_counts()


def test_a_save_replaces_an_older_model(
    make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings], tmp_path: Path
) -> None:
    vectors = Vectors(["ada"], np.ones((1, 8), dtype=np.float32))
    build(tiny_settings("embedding.vectors=x"), make_sentences(4), vectors=vectors).save(tmp_path)
    plain = build(tiny_settings(), make_sentences(6, 1))
    plain.save(tmp_path)
    again = load(tmp_path)
    assert again.input.indexer.vectors is None
    assert contents(again.predict(make_sentences(2))) == contents(plain.predict(make_sentences(2)))


def test_loading_leaves_the_random_generator_alone(trained: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(trained)
    assert torch.equal(torch.rand(3), expected)


# --- prediction --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crf", ["true", "false"])
def test_labels_depend_on_no_batch_mate_chunk_or_order(
    crf: str, make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    model = build(tiny_settings(f"head.crf={crf}", "embedding.chars=lstm"), make_sentences(20))
    sentences = [*make_sentences(25, 1), Sentence.from_tokens([]), Sentence.from_tokens(["Ada"])]
    random.Random(0).shuffle(sentences)
    alone = [next(model.predict([sentence], probs=True)) for sentence in sentences]
    for batch_tokens, ahead in ((1, 1), (1, 100), (7, 4), (40, 13), (10**6, 10**6), (10**6, 2)):
        found = list(model.predict(sentences, probs=True, batch_tokens=batch_tokens, ahead=ahead))
        assert [record.sentence for record in found] == sentences
        for record, expected in zip(found, alone, strict=True):
            assert record.labels == expected.labels
            assert record.probs == pytest.approx(expected.probs, abs=1e-5)
            assert [(s.start, s.end, s.label) for s in record.spans] == [
                (s.start, s.end, s.label) for s in expected.spans
            ]


def test_the_vector_of_a_word_is_computed_once_in_a_stream(
    model: Tagger, make_sentences: Callable[..., list[Sentence]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = make_sentences(30, 2)
    expected = [record.labels for record in model.predict(sentences)]
    computed: list[int] = []
    embedding = model.network.input.embedding
    handle = embedding.register_forward_pre_hook(lambda module, given: computed.append(len(given[0].words)))
    distinct = len({token for sentence in sentences for token in sentence.tokens})
    assert [record.labels for record in model.predict(sentences, ahead=3)] == expected
    assert sum(computed) == distinct and len(computed) > 1
    computed.clear()
    monkeypatch.setattr("seqkit.inputs.lookup.MOST_TYPES", 0)  # nothing is kept, as of a stream of ever new words
    assert [record.labels for record in model.predict(sentences, ahead=3)] == expected
    assert len(computed) == 10 and sum(computed) > distinct
    handle.remove()


def test_a_word_whose_vector_could_not_be_computed_is_computed_the_next_time(
    model: Tagger, make_sentences: Callable[..., list[Sentence]]
) -> None:
    sentences, pipeline, options = make_sentences(9, 3), model.pipeline(), model.options({})
    expected = [record.labels for record in model.predict(sentences)]

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    handle = model.network.input.embedding.register_forward_pre_hook(fail)
    with pytest.raises(ZeroDivisionError):
        list(pipeline(sentences, options))
    handle.remove()
    assert [record.labels for record in pipeline(sentences, options)] == expected


def test_one_long_sentence_after_many_short_ones_is_decided_on_by_itself(model: Tagger) -> None:
    sizes: list[int] = []
    joined = [Sentence.from_tokens(["a"])] * 600 + [Sentence.from_tokens(["a"] * 3000)]
    decode = model.network.head.decode

    def counted(scores: Tensor, lengths: Tensor, **options: Any) -> Any:
        sizes.append(scores.shape[0] * scores.shape[1])
        return decode(scores, lengths, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.network.head, "decode", counted)
        assert len(list(model.predict(joined))) == 601
    assert sorted(sizes) == [600, 3000]


def test_batches_are_decided_on_together(
    model: Tagger, make_sentences: Callable[..., list[Sentence]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = make_sentences(30, 2)
    decisions: list[list[int]] = []
    decode = model.network.head.decode

    def counted(emissions: Tensor, lengths: Tensor, **options: Any) -> Any:
        decisions.append(lengths.tolist())
        return decode(emissions, lengths, **options)

    monkeypatch.setattr(model.network.head, "decode", counted)
    found = {}
    for limit in (1, 20, 1 << 14):
        monkeypatch.setattr("seqkit.model.pipeline.DECODED_TOKENS", limit)
        decisions.clear()
        found[limit] = [record.labels for record in model.predict(sentences, batch_tokens=6)], len(decisions)
        largest = max(len(sizes) * max(sizes) for sizes in decisions)
        assert largest <= max(limit, 6, max(map(len, sentences)))
    assert found[1][0] == found[20][0] == found[1 << 14][0]
    assert found[1][1] > found[20][1] > found[1 << 14][1] == 1


def test_records_are_those_given_in_their_order(model: Tagger) -> None:
    draw = random.Random(1)
    sentences = [Sentence.from_tokens([f"t{number}"] * draw.randint(0, 9)) for number in range(60)]
    found = list(model.predict(iter(sentences), batch_tokens=16, ahead=7))
    assert all(record.sentence is sentence for record, sentence in zip(found, sentences, strict=True))
    assert all(len(record.labels) == len(record.sentence) for record in found)


def test_no_more_is_read_ahead_than_a_chunk(model: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def source(size: int) -> Iterator[Sentence]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield Sentence.from_tokens(["a"] * size)

    next(model.predict(source(1), ahead=5))
    assert read == 5
    read = 0
    next(model.predict(source(1), ahead=1))
    assert read == 1
    monkeypatch.setattr("seqkit.model.pipeline.CHUNK_TOKENS", 10)
    read = 0
    next(model.predict(source(4)))
    assert read == 3
    read = 0
    next(model.predict(source(11)))
    assert read == 1


def test_empty_sentences_come_back_empty(model: Tagger) -> None:
    empty = Sentence.from_tokens([])
    assert list(model.predict([])) == []
    assert list(model.predict([empty, empty])) == [TaggedSentence(empty, [], marks_spans=True)] * 2
    assert list(model.predict([empty], probs=True)) == [TaggedSentence(empty, [], [], marks_spans=True)]
    found = list(model.predict([empty, Sentence.from_tokens(["Ada"]), empty], probs=True, nbest=2))
    assert [len(record.labels) for record in found] == [0, 1, 0]


def test_a_long_sentence_has_n_best_though_their_probability_is_too_small_for_a_number(model: Tagger) -> None:
    (record,) = model.predict([Sentence.from_tokens(["Ada", "of", "x"] * 1000)], nbest=3)
    assert record.alternatives is not None
    assert [len(labels) for labels, _ in record.alternatives] == [3000] * 3
    assert all(0.0 <= probability <= 1.0 for _, probability in record.alternatives)


def test_an_empty_sentence_has_an_empty_list_of_n_best(model: Tagger) -> None:
    (record,) = model.predict([Sentence.from_tokens([])], nbest=2)
    assert record.alternatives == []
    assert json.loads(WRITERS["jsonl"](record)) == {"text": "", "tokens": [], "spans": [], "nbest": []}


def test_a_model_writes_all_sentences_in_one_form(
    make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    """Also one where all is `O`, whether or not the labels look like those of spans or spans are asked for."""
    sentences = make_sentences(8)
    for scheme, spans in product(("none", "iob2"), (True, False)):
        model = build(tiny_settings(f"data.scheme={scheme}"), sentences)
        with torch.no_grad():
            model.network.head.emission.bias[model.head.codec.tags.index("O")] = 1e4
        options = model.options({}).for_output("inline" if spans else None)
        record, empty = model.pipeline()([Sentence.from_tokens(["Ada", "saw"]), Sentence([], " ", [])], options)
        assert record.labels == ["O", "O"]
        expected = ("Ada_O saw_O\n", "\n") if scheme == "none" else ("Ada saw\n", " \n")
        assert (format_inline(record), format_inline(empty)) == expected


def test_only_what_is_asked_for_is_given(model: Tagger) -> None:
    sentence = model.record("Ada saw Bo in Rome")
    (plain,) = model.predicted([sentence])
    assert (plain.probs, plain.spans, plain.alternatives) == (None, [], None)
    (record,) = model.predict([sentence], nbest=3)
    assert record.probs is None
    assert record.spans
    assert all(span.prob is None for span in record.spans)
    assert record.alternatives is not None
    assert len(record.alternatives) == 3
    assert record.alternatives[0][0] == record.labels == plain.labels


def test_prediction_does_not_depend_on_the_mode_the_network_was_left_in(model: Tagger) -> None:
    expected = model.tag("Ada saw Bo in Rome", probs=True)
    model.network.train()
    assert model.tag("Ada saw Bo in Rome", probs=True) == expected


def test_probabilities_are_probabilities(model: Tagger, make_sentences: Callable[..., list[Sentence]]) -> None:
    for record in model.predict(make_sentences(20, 4), probs=True, nbest=4):
        assert record.probs is not None
        assert record.alternatives is not None
        spans = [span.prob for span in record.spans]
        sequences = [probability for _, probability in record.alternatives]
        assert all(p is not None and 0.0 <= p <= 1.0 for p in [*record.probs, *spans, *sequences])
        assert sum(sequences) <= 1.0 + 1e-6
        assert sequences == sorted(sequences, reverse=True)
        for span in record.spans:  # a span is no likelier than the least likely label in it
            assert span.prob is not None
            assert span.prob <= min(record.probs[span.first_token : span.last_token]) + 1e-6


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_half_precision_changes_little(model: Tagger, precision: str, make_sentences: Callable[..., list]) -> None:
    sentences = make_sentences(10, 5)
    full = [record.labels for record in model.predict(sentences)]
    half = [record.labels for record in model.predict(sentences, precision=precision)]
    pairs = [(a, b) for x, y in zip(full, half, strict=True) for a, b in zip(x, y, strict=True)]
    assert sum(a == b for a, b in pairs) > 0.9 * len(pairs)


# --- raw text ----------------------------------------------------------------------------------------------------


def check_offsets(record: TaggedSentence, text: str) -> None:
    sentence = record.sentence
    assert sentence.text == text
    assert len(sentence.tokens) == len(sentence.offsets) == len(record.labels)
    assert [text[start:end] for start, end in sentence.offsets] == sentence.tokens
    assert "" not in sentence.tokens
    ends = [0, *(end for _, end in sentence.offsets)]
    assert all(start >= before for (start, _), before in zip(sentence.offsets, ends, strict=False))
    for span in record.spans:
        assert text[span.start : span.end] == span.text
        assert (span.start, span.end) == (
            sentence.offsets[span.first_token][0],
            sentence.offsets[span.last_token - 1][1],
        )


@pytest.mark.parametrize("name", ODD_TEXTS)
def test_any_text_can_be_tagged_and_offsets_index_it(name: str, model: Tagger) -> None:
    text = ODD_TEXTS[name]
    record = model.tag(text, probs=True, nbest=2)
    check_offsets(record, text)
    assert "".join(record.sentence.tokens) == "".join(c for c in text if not c.isspace() or c in "\x1c\x1d\x1e\x1f")
    if name.startswith("a sentence"):
        assert len(record.labels) == 5000
    if name.startswith("words"):
        assert [len(token) for token in record.sentence.tokens] == [5000, 5000, 3, 5001]


@pytest.mark.parametrize("chars", ["cnn", "lstm", "none"])
@pytest.mark.parametrize("splitter", SPLITTERS)
def test_every_splitter_and_character_feature_takes_odd_text(
    chars: str, splitter: str, make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    model = build(tiny_settings(f"embedding.chars={chars}", f"data.splitter={splitter}"), make_sentences(8))
    texts = [text[:1000] for text in ODD_TEXTS.values()]
    for record, text in zip(model.predict(texts, probs=True), texts, strict=True):
        check_offsets(record, text)


@given(text=st.text(st.characters(exclude_categories=[]), max_size=40))
def test_offsets_index_any_text(model: Tagger, text: str) -> None:
    check_offsets(model.tag(text), text)


def test_tokens_are_taken_as_they_are(model: Tagger) -> None:
    tokens = ["Ada Lovelace", "met", "", "a\tb", "\ud800", "in", "Rome"]
    for given_tokens in (tokens, tuple(tokens)):
        record = next(model.predict([given_tokens]))
        assert record.sentence.tokens == tokens
        assert len(record.labels) == len(tokens)
        assert [record.sentence.text[start:end] for start, end in record.sentence.offsets] == tokens
    assert model.tag([]).labels == []


def test_raw_text_is_tagged_like_its_tokens(model: Tagger) -> None:
    record = model.tag("Ada saw Bo in Rome", probs=True)
    assert record.sentence.tokens == ["Ada", "saw", "Bo", "in", "Rome"]
    tokens = model.tag(["Ada", "saw", "Bo", "in", "Rome"], probs=True)
    assert contents([record]) == contents([tokens])
    assert record.spans


# --- the card ------------------------------------------------------------------------------------------------------


def test_loading_on_a_device_that_is_not_there_is_a_fault(trained: Path) -> None:
    with pytest.raises(SettingsError, match="expected a device"):
        load(trained, "gpu")


def test_the_card_says_what_the_model_is(model: Tagger, trained: Path) -> None:
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert card == model.card()
    assert "Trained with seqkit on `pairs`" in card
    assert "- Encoder: 1 × 8 lstm, direction both" in card
    assert "- Labels: LOC, PER" in card
    for split in ("dev", "test"):
        assert f"- {split}: accuracy {model.report['scores'][split]['accuracy']:.4f}" in card


def test_a_card_can_be_written_of_a_model_without_a_report(
    make_sentences: Callable[..., list[Sentence]], tiny_settings: Callable[..., TagSettings]
) -> None:
    model = build(tiny_settings("data.scheme=none", "data.target=pos"), make_sentences(4))
    card = model.card()
    assert "unknown data" in card
    assert "Label column: `pos`" in card
    assert "PROPN" in card


def test_the_card_of_labels_without_a_kind(tiny_settings: Callable[..., TagSettings]) -> None:
    words = [Sentence.from_tokens(["a", "b", "c"], {"label": ["B", "I", "B"]})]
    assert "\n- Labels: spans without a kind\n" in build(tiny_settings(), words).card()
    both = [Sentence.from_tokens(["a", "b", "c"], {"label": ["B", "I", "B-X"]})]
    assert "\n- Labels: spans without a kind, X\n" in build(tiny_settings(), both).card()


def test_sentences_before_a_fault_in_the_input_are_tagged_first(trained: Path) -> None:
    def stream() -> Iterator[Sentence]:
        yield Sentence.from_tokens(["Ada", "slept"])
        raise DataError("expected 2 columns, found 1", file="x.conll", line=4)

    records = load(trained).predict(stream())
    assert len(next(records).labels) == 2
    with pytest.raises(DataError) as caught:
        next(records)
    assert str(caught.value) == "x.conll:4: expected 2 columns, found 1"


def test_where_the_vectors_lay_is_not_in_the_model(trained: Path, tmp_path: Path) -> None:
    model = load(trained)
    model.settings = override(model.settings, {"embedding": {"vectors": str(tmp_path / "private" / "v.txt")}})
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").settings.embedding.vectors == "v.txt"


@pytest.mark.parametrize(("place", "kept"), [(".", "start"), ("..", None), ("sub/..", "start"), ("/", "unnamed")])
def test_a_start_without_a_name_of_its_own_leaves_a_model_that_can_be_read(
    place: str, kept: str | None, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(trained)
    (tmp_path / "start" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "start")
    model.settings = override(model.settings, {"training": {"init_from": place, "freeze": 2}})
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").settings.training.init_from == (kept or tmp_path.name)


def test_predict_takes_texts_token_lists_and_records(trained: Path) -> None:
    model = load(trained)
    found = [record.labels for record in model.predict(["Ada slept", ["Ada", "slept"], model.record("Ada slept")])]
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


def test_one_sentence_is_tagged_with_all_that_a_stream_is_asked_for(model: Tagger) -> None:
    for options in ({}, {"probs": True}, {"nbest": 3}, {"probs": True, "nbest": 2}):
        (expected,) = model.predict(["Ada met Bo in Rome"], **options)
        found = model.tag("Ada met Bo in Rome", **options)
        assert (found.labels, found.probs, found.alternatives) == (
            expected.labels,
            expected.probs,
            expected.alternatives,
        )
        assert (found.probs is not None) == ("probs" in options)
        assert len(found.alternatives or ()) == options.get("nbest", 0)
