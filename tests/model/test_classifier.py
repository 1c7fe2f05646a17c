from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

import seqkit
from seqkit.config import override, parse_assignments
from seqkit.corpora.from_python import from_items
from seqkit.errors import DataError, ModelError
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.model import pipeline
from seqkit.model.classifier import Classifier
from seqkit.model.loading import load
from seqkit.records import Sentence
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress

TINY: dict[str, Any] = {
    "embedding": {"word_size": 8, "dropout": 0.0, "word_dropout": 0.0},
    "encoder": {"hidden": 6, "dropout": 0.0},
    "training": {"epochs": 12, "patience": 0, "batch_size": 8, "lr": 0.03},
}
CPU = torch.device("cpu")
Texts = list[tuple[str, Any]]


def settings(*assignments: str) -> ClassifySettings:
    return override(override(ClassifySettings(), TINY), parse_assignments(assignments))


def make_texts(count: int, seed: int = 0, several: bool = False) -> Texts:
    """Reviews whose label is in one word; of several labels one is in each of two words."""
    draw = random.Random(seed)
    texts: Texts = []
    for _ in range(count):
        mood, thing = draw.choice(["good", "fine", "bad", "dull"]), draw.choice(["film", "book", "song"])
        label: Any = "pos" if mood in ("good", "fine") else "neg"
        if several:
            label = [name for name, holds in (("pos", label == "pos"), ("film", thing == "film")) if holds]
        texts.append(
            (f"{draw.choice(['a', 'the', 'this'])} {thing} was {draw.choice(['so', 'very', ''])} {mood}", label)
        )
    return texts


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("classifier") / "model"
    seqkit.train(settings(), output, make_texts(64), dev=make_texts(12, 1), test=make_texts(12, 2), device="cpu")
    return output


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("several") / "model"
    texts = make_texts(64, several=True)
    changes = ("head.multi_label=true", "head.class_weights=balanced")
    seqkit.train(settings(*changes), output, texts, device="cpu")
    return output


def test_a_text_and_its_tokens_have_a_label_with_probabilities(directory: Path) -> None:
    model = load(directory, task="classify")
    for text, label in make_texts(12, 1):  # those that the best epoch was chosen by
        found = model.classify(text)
        assert (found.label, found.labels, found.sentence.text) == (label, [label], text)
        assert sum(found.probs.values()) == pytest.approx(1.0)
        assert next(iter(found.probs)) == label
        assert model.classify(text.split()).probs == found.probs


def test_several_labels(several: Path) -> None:
    model = load(several, task="classify")
    assert sorted(model.classify("this film was very good").labels) == ["film", "pos"]
    assert model.classify("the song was so dull").labels == [] and model.classify("the song was so dull").label == ""
    assert set(model.classify("").probs) == {"film", "pos"}
    assert {"micro_f1", "accuracy", "macro_f1"} <= set(model.report["scores"]["dev"])


def test_outputs_equal_inputs_in_order_whatever_the_batch(directory: Path) -> None:
    model = load(directory, task="classify")
    texts: list[Any] = [
        "",
        *(text for text, _ in make_texts(20, 3)),
        "  ",
        ["one"],
        Sentence.from_tokens(["two", "good"]),
    ]
    together = list(model.predict(texts))
    assert [each.sentence.text for each in together] == [*texts[:-2], "one", "two good"]
    for options in ({"batch_tokens": 1}, {"ahead": 3}, {"batch_tokens": 7, "ahead": 5}):
        for one, other in zip(together, model.predict(texts, **options), strict=True):
            assert one.labels == other.labels
            assert one.probs == pytest.approx(other.probs, abs=1e-6)
    assert together[0].probs == together[-3].probs  # no tokens, no evidence: both have what an empty text has


def test_a_fault_in_the_stream_comes_after_what_was_before_it(directory: Path) -> None:
    def stream() -> Any:
        yield "a good film"
        raise DataError("broken")

    results = load(directory, task="classify").predict(stream())
    assert next(results).sentence.text == "a good film"
    with pytest.raises(DataError, match=r"^broken$"):
        next(results)


def test_a_reload_predicts_bit_for_bit_the_same(directory: Path, tmp_path: Path) -> None:
    model = load(directory, task="classify")
    model.save(tmp_path / "again")
    again = load(tmp_path / "again", task="classify")
    texts = [text for text, _ in make_texts(20, 4)]
    assert [each.probs for each in model.predict(texts)] == [each.probs for each in again.predict(texts)]
    assert again.head.codec.to_json() == {
        "labels": ["neg", "pos"],
        "multi_label": False,
        "text": "text",
        "label": "label",
    }


def test_the_report_and_the_card_have_the_baseline(directory: Path) -> None:
    model = load(directory, task="classify")
    for split in ("dev", "test"):
        baseline = model.report["scores"][split]["baseline"]
        assert baseline["name"] == "tf-idf + logistic regression" and baseline["accuracy"] == 1.0
    texts = make_texts(12, 1)
    assert model.report["scores"]["dev"]["sentences"] == 12
    assert model.evaluate(texts).report.baseline.accuracy == 1.0
    # Of other texts or labels, or in another order, the baseline is not known.
    assert model.evaluate(make_texts(12, 2)).report.baseline is not None
    other_texts = [(f"{text} x", label) for text, label in texts]
    other_labels = [(text, {"neg": "pos", "pos": "neg"}[label]) for text, label in texts]
    for others in (texts[:-1], texts[::-1], other_texts, other_labels, make_texts(12, 3)):
        assert model.evaluate(others).report.baseline is None
    card = (directory / "README.md").read_text()
    assert (
        "- Labels (one label per text): neg, pos" in card
        and "\n- test, tf-idf + logistic regression: accuracy 1.0000" in card
    )


def test_no_baseline_where_none_is_asked_for(tmp_path: Path) -> None:
    changed = settings("head.baseline=false", "training.epochs=1")
    model = seqkit.train(changed, tmp_path, make_texts(12), device="cpu")
    assert "baseline" not in model.report["scores"]["dev"]


def test_labels_never_seen_count_as_errors(directory: Path) -> None:
    model = load(directory, task="classify")
    pairs = [("a good film", "pos"), ("a good film", "news")]
    texts = from_items("texts", pairs, dev=pairs).texts("train", model.input.splitter.split)
    assert model.evaluate_records(texts).report.accuracy == 0.5


def test_only_its_own_verbs(directory: Path, trained: Path) -> None:
    for verb in ("tag", "score", "sample"):
        with pytest.raises(AttributeError, match=f"^'Classifier' object has no attribute '{verb}'$"):
            getattr(load(directory), verb)("x")
    with pytest.raises(ModelError, match="expected a model of `seqkit classify`, found one of `seqkit tag`"):
        load(trained, task="classify")


# --- training ------------------------------------------------------------------------------------------------------


def learner_of(changed: ClassifySettings, texts: Texts) -> Any:
    return prepare(changed, from_items("texts", texts, dev=texts[:2]), CPU, Progress(quiet=True)).learner


@pytest.mark.parametrize("pool", ["mean", "max", "last", "attention", "concat"])
@pytest.mark.parametrize("multi", [False, True])
def test_every_parameter_gets_a_gradient(pool: str, multi: bool) -> None:
    changed = settings(f"head.pool={pool}", f"head.multi_label={str(multi).lower()}", "embedding.chars=cnn")
    learner = learner_of(changed, make_texts(16, several=multi))
    (batch, *_) = learner.batches(0, slice(None))
    found = learner.compute(batch)
    found.loss.backward()
    assert found.units == 8 and found.tokens > 20
    missing = [name for name, parameter in learner.network.named_parameters() if parameter.grad is None]
    assert not missing


def test_batches_are_a_matter_of_the_seed_and_texts_without_tokens_teach_nothing() -> None:
    learner = learner_of(settings(), [*make_texts(16), ("", "pos")])
    assert learner.size == 17
    first, again, other = ([batch.tolist() for batch in learner.batches(epoch, slice(None))] for epoch in (0, 0, 1))
    assert first == again != other
    assert sorted(row for batch in first for row in batch) == list(range(16))


def test_balanced_weights_change_the_loss_of_rare_labels() -> None:
    texts = [("a good film", "pos")] * 9 + [("a bad film", "neg")]
    plain, balanced = (learner_of(settings(f"head.class_weights={kind}"), texts) for kind in ("none", "balanced"))
    assert balanced.network.head.weights.tolist() == pytest.approx([5.0, 10 / 18])  # type: ignore[union-attr]
    assert plain.network.head.weights is None


def test_the_checksum_is_of_texts_and_labels() -> None:
    sums = {learner_of(settings(), texts).checksum for texts in (make_texts(16), make_texts(16, 1))}
    relabelled = [(text, "neg" if label == "pos" else "pos") for text, label in make_texts(16)]
    assert len(sums | {learner_of(settings(), relabelled).checksum}) == 3


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            [("a", "x"), ("b", "x")],
            "expected at least two different labels in field 'label' of the training data, found only 'x'",
        ),
        (
            [("a", "x"), ("b", ["x", "y"])],
            "texts train:2: expected one label in field 'label', found 2 (x, y); --multi-label learns several",
        ),
        ([("a", "x"), ("b", "")], "texts train:2: expected a label in field 'label', found an empty one"),
        ([("", "x"), (" ", "y")], "texts: no sentences found"),
    ],
)
def test_what_cannot_be_learned(texts: Texts, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        seqkit.train(settings(), tmp_path / "model", texts, dev=[("a", "x")], device="cpu")
    assert str(caught.value) == message
    assert not (tmp_path / "model").exists()


def test_the_card_s_target_is_the_label_field() -> None:
    class Card:
        target = "topic"

    dataset = from_items("texts", make_texts(4))
    assert settings().complete(dataset).data.label == "label"
    dataset.card = Card()  # type: ignore[assignment]
    assert settings().complete(dataset).data.label == "topic"
    assert settings("data.label=mine").complete(dataset).data.label == "mine"


def test_it_starts_from_another_model(trained: Path, tmp_path: Path) -> None:
    tagger = load(trained)
    changed = settings(f"training.init_from={trained}", "training.epochs=1", "training.freeze=1")
    model = seqkit.train(changed, tmp_path / "model", make_texts(12), device="cpu")
    assert isinstance(model, Classifier)
    assert model.input.indexer.words.words[: len(tagger.input.indexer.words)] == tagger.input.indexer.words.words  # type: ignore[attr-defined]
    ours, theirs = model.network.state_dict(), tagger.network.state_dict()
    taken = [name for name in theirs if name.startswith("encoder.")]
    assert taken and all(torch.equal(ours[name], theirs[name]) for name in taken)  # frozen in this one epoch


def test_auto_is_bf16_where_the_first_labels_agree(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "multiplies_bf16", lambda device: True)
    model, texts, said = load(directory), [text for text, _ in make_texts(150, 3)], []
    auto = model.pipeline(precision="auto", say=said.append)
    exact, found = list(model.predict(texts)), list(auto(map(model.record, texts), model.options({})))
    assert [record.probs for record in found[:128]] == [record.probs for record in exact[:128]]
    assert all(abs(a.probs[a.label] - b.probs[a.label]) < 0.05 for a, b in zip(found, exact, strict=True))
    assert said == ["precision auto: bf16 from here on, since the 128 labels of the first 128 texts agree with fp32"]
