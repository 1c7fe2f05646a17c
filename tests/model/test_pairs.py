"""Pairs of texts: every join and pooling trains, is saved, and predicts one by one what it predicts together."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import seqkit
from seqkit.config import parse_settings
from seqkit.errors import DataError, SeqkitError, SettingsError
from seqkit.inputs.pair import PairInput
from seqkit.metrics.ranking import Ranking, ranking
from seqkit.model.classifier import Classifier
from seqkit.model.loading import load
from seqkit.records import RatedText, TextPair, number_text
from seqkit.training.trainer import Trainer

TINY: dict[str, Any] = {
    "task": "classify",
    "input": "pair",
    "data": {"text": "claim", "second": "answer"},
    "embedding": {"word_size": 8, "dropout": 0.0, "word_dropout": 0.0},
    "encoder": {"hidden": 6, "dropout": 0.0},
    "head": {"hidden": 8},
    "training": {"epochs": 12, "patience": 0, "batch_size": 8, "lr": 0.03},
}
THINGS = ["film", "book", "song", "play", "poem"]
GIVEN: list[Any] = [
    ("the film", "a film and a book"),
    ("", "a song"),
    ("a play", ""),
    ("", ""),
    ("the book", "words never seen before, in a text that is longer than all of the others are"),
]


def make_pairs(count: int, seed: int = 0, *, numbers: bool = False) -> list[dict[str, Any]]:
    """Whether the second text has the thing of the first; three candidates for each first text."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        thing = draw.choice(THINGS)
        others = draw.sample(THINGS, 2)
        for third in (thing, draw.choice(THINGS), draw.choice(THINGS)):
            answer = draw.sample([third, *others], 3)
            label: Any = "yes" if thing in answer else "no"
            label = round(answer.index(thing) + 1.5, 1) if numbers and label == "yes" else 0 if numbers else label
            rows.append({"claim": f"the {thing}", "answer": " ".join(answer), "label": label, "question": number})
    return rows


def settings(**sections: Any) -> Any:
    tree = {**TINY, **{name: {**TINY.get(name, {}), **values} for name, values in sections.items()}}
    return parse_settings(tree, "settings")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("pairs") / "model"
    seqkit.train(settings(), output, make_pairs(60), dev=make_pairs(10, 1), test=make_pairs(10, 2), device="cpu")
    return output


def probs(answers: Any) -> list[list[float]]:
    return [[answer.probs[label] for label in sorted(answer.probs)] for answer in answers]


def test_it_learns_what_the_texts_have_in_common(directory: Path) -> None:
    scores = load(directory).report["scores"]["test"]
    card = (directory / "README.md").read_text()
    assert "- Pairs of texts, fields `claim` and `answer`\n" in card and "predict -m THIS_FOLDER < pairs.txt" in card
    assert scores["accuracy"] >= 0.9 and scores["baseline"]["name"] == "tf-idf + logistic regression"


def test_together_one_by_one_and_reloaded(directory: Path) -> None:
    model: Classifier = load(directory)
    pairs = [*GIVEN, *((row["claim"], row["answer"]) for row in make_pairs(10, 3))]
    together = list(model.predict(pairs))
    assert [answer.sentence.texts for answer in together] == pairs
    assert torch.allclose(
        torch.tensor(probs(together)), torch.tensor(probs(model.classify(pair) for pair in pairs)), atol=1e-5
    )
    small = model.predict(pairs, batch_tokens=10)
    assert torch.allclose(torch.tensor(probs(together)), torch.tensor(probs(small)), atol=1e-5)
    # The pipeline keeps the vectors of types, training looks them up: both read the same.
    records = [model.record(pair) for pair in pairs]
    arrays = model.input.arrays(records)
    assert isinstance(model.input, PairInput) and arrays.tokens() == [record.sides for record in records]
    import numpy as np

    with torch.inference_mode():
        model.network.eval()
        encoded = model.encode(model.input.collate(arrays, np.arange(len(pairs))))
        found = model.head.module.decode(encoded.outputs, encoded.lengths)  # type: ignore[union-attr]
    assert torch.allclose(found, torch.tensor(probs(together)).to(found), atol=1e-5)


def test_ways_to_give_a_pair(directory: Path) -> None:
    model: Classifier = load(directory)
    usual = model.classify(("the film", "a film"))
    for given in (
        ["the film", "a film"],
        {"claim": "the film", "answer": "a film", "label": "ignored"},
        {"claim": ["the", "film"], "answer": ["a", "film"]},
        (["the", "film"], "a film"),
        usual.sentence,
    ):
        assert model.classify(given).probs == usual.probs
    assert usual.to_json()["claim"] == "the film" and usual.to_json()["answer"] == "a film"
    answered = model.answer({"claim": "the film", "answer": "a film", "top": 1})
    assert answered == {"claim": "the film", "answer": "a film", "label": usual.label, "probs": answered["probs"]}
    several = model.answer({"texts": [{"claim": "the film", "answer": "a film"}] * 2})
    assert len(several["answers"]) == 2 and several["answers"][0]["label"] == usual.label


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("one text", "a record must be a pair (text, text) or a mapping of fields with 'claim' and 'answer', found "),
        (("a", "b", "c"), "a record must be a pair (text, text) or a mapping of fields with 'claim' and 'answer', "),
        (("a", 3), 'expected a string in "answer", found 3'),
        (("a", ["b", ""]), "expected non-empty strings in \"tokens\", found ''"),
        ({"claim": "a"}, 'expected texts in "claim" and "answer", found \'claim\'; --text FIELD --text FIELD names '),
    ],
)
def test_what_is_no_pair(directory: Path, given: Any, message: str) -> None:
    model: Classifier = load(directory)
    with pytest.raises(DataError) as caught:
        model.classify(given)
    assert str(caught.value).removeprefix("records:1: ").startswith(message)


@pytest.mark.parametrize("pool", ["mean", "max", "last", "attention", "concat"])
@pytest.mark.parametrize("join", ["concat", "attention"])
@pytest.mark.parametrize("regression", [False, True])
def test_every_pooling_and_join_trains_and_is_saved(tmp_path: Path, join: str, pool: str, regression: bool) -> None:
    chosen = settings(
        head={"join": join, "pool": pool, "regression": regression, "hidden": 0 if pool == "max" else 4},
        embedding={"match": pool != "last", "chars": "cnn" if pool == "mean" else "none"},
        training={"epochs": 1},
    )
    train = make_pairs(8, numbers=regression)
    model = seqkit.train(chosen, tmp_path / "model", train, dev=train, device="cpu")
    parameters = dict(model.network.named_parameters())
    learner_targets = model.head.targets([model.record(row) for row in _with_labels(train)])
    records = [model.record(row) for row in _with_labels(train)]
    import numpy as np

    rows = np.arange(len(records))
    model.network.train()
    arrays = model.input.arrays(records)
    loss = model.head.loss(model.encode(model.input.collate(arrays, rows)), learner_targets.collate(rows))
    loss.mean.backward()
    assert loss.units == len(records)
    assert [name for name, each in parameters.items() if each.grad is None or not each.grad.isfinite().all()] == []
    again = load(tmp_path / "model")
    for one, other in zip(model.predict(GIVEN), again.predict(GIVEN), strict=True):
        assert one.to_json() == other.to_json()


def _with_labels(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "label": str(row["label"])} for row in rows]


def test_numbers(tmp_path: Path) -> None:
    train, dev = make_pairs(50, numbers=True), make_pairs(15, 1, numbers=True)
    model = seqkit.train(settings(head={"regression": True}), tmp_path / "model", train, dev=dev, device="cpu")
    scores = model.report["scores"]["dev"]
    assert scores["pearson"] > 0.6 and set(scores["baseline"]) == {"name", "mse", "pearson", "spearman"}
    found = model.classify(("the film", "film book song"))
    assert isinstance(found, RatedText) and isinstance(found.sentence, TextPair)
    assert found.to_json() == {"claim": "the film", "answer": "film book song", "value": found.value}
    with pytest.raises(SettingsError, match=r"^options: top is for labels, and this model predicts a number$"):
        model.predict(GIVEN, top=2)
    evaluated = model.evaluate(dev, group="question").report
    assert evaluated.ranking is not None and 0 < evaluated.ranking.mrr <= 1
    assert "relevant: above 0" in evaluated.render()
    with pytest.raises(SettingsError) as caught:
        model.evaluate(dev, group="question", positive="yes")
    assert str(caught.value) == (
        "positive: where numbers are predicted it is the least one that makes a candidate relevant; expected a number, "
        "found 'yes'"
    )


def test_numbers_are_relevant_from_a_threshold_on(tmp_path: Path) -> None:
    rows = [{**row, "label": number % 3 + 1} for number, row in enumerate(make_pairs(12))]  # as of ratings, never 0
    numbers = settings(head={"regression": True}, training={"epochs": 1})
    model = seqkit.train(numbers, tmp_path / "model", rows, dev=rows, device="cpu")
    values = [answer.value for answer in model.predict(rows)]
    for given in (3, 3.0, "3"):
        found = model.evaluate(rows, group="question", positive=given).report.ranking
        expected = ranking([row["question"] for row in rows], [row["label"] >= 3 for row in rows], values)
        assert (found.map, found.mrr, found.groups, found.positive) == (expected.map, expected.mrr, 12, 3.0)
        assert "relevant: at least 3" in found.render()
    refused = {
        "": "no candidate is irrelevant: every number in field 'label' is above 0, they are 1 to 3",
        "1": "no candidate is irrelevant: every number in field 'label' is at least 1, they are 1 to 3",
        "3.5": "no candidate is relevant: no number in field 'label' is at least 3.5, they are 1 to 3",
    }
    for positive, message in refused.items():
        with pytest.raises(DataError) as caught:
            model.evaluate(rows, group="question", positive=positive)
        told = str(caught.value)
        assert told == f"pairs test: {message}; --positive X (data.positive) makes those of at least X relevant"
    group = {"group": "question"}
    with pytest.raises(DataError, match=r"^pairs dev: no candidate is irrelevant: every number .* is above 0, they"):
        train_nothing(settings(head={"regression": True}, data=group), tmp_path, rows, dev=rows)
    chosen = settings(head={"regression": True}, data={**group, "positive": 2}, training={"epochs": 1})
    model = seqkit.train(chosen, tmp_path / "ranks", rows, dev=rows, device="cpu")
    assert load(tmp_path / "ranks").report["scores"]["dev"]["ranking"]["positive"] == 2.0


def test_numbers_on_a_small_scale(tmp_path: Path) -> None:
    rows = make_pairs(20, numbers=True)
    small = [{**row, "label": row["label"] * 1e-9} for row in rows]
    chosen = settings(head={"regression": True}, training={"epochs": 3})
    model = seqkit.train(chosen, tmp_path / "model", small, dev=small, device="cpu")
    usual = seqkit.train(chosen, tmp_path / "usual", rows, dev=rows, device="cpu")
    for found, expected in zip(model.predict(GIVEN), usual.predict(GIVEN), strict=True):
        assert found.to_json()["value"] == found.value == pytest.approx(expected.value * 1e-9, rel=1e-3)
        assert float(found.to_cells()[0]) == pytest.approx(found.value, rel=1e-5)
        assert float(model.head.error(["0"], found).split("\t")[1]) == pytest.approx(found.value, rel=1e-5)
    mse = model.report["scores"]["dev"]["mse"]
    assert f"mse {mse:.6g}" in (tmp_path / "model" / "README.md").read_text() and 0 < mse < 1e-16


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.25"), (-1.23456789, "-1.23457"), (1e-12, "1e-12"), (12345678.25, "12345678.2500")]
)
def test_numbers_in_text(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize("value", ["many", "nan", "inf", "1e31", "1_000", ["1", "2"]])
def test_labels_that_are_no_numbers(tmp_path: Path, value: Any) -> None:
    rows = make_pairs(8, numbers=True)
    rows[5]["label"] = value
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError) as caught:
        seqkit.train(settings(head={"regression": True}), tmp_path / "model", file, device="cpu")
    wanted = "a number of at most 1e+30" if value == "1e31" else "a number"
    expected = f"expected {wanted} in field 'label', found '{value}'"
    expected = "expected one label in field 'label', found 2 (1, 2); --multi-label learns several" * isinstance(
        value, list
    ) or (expected)
    assert str(caught.value) == f"{file}:6: {expected}"


def test_all_numbers_the_same(tmp_path: Path) -> None:
    rows = [{**row, "label": 2} for row in make_pairs(8)]
    with pytest.raises(DataError) as caught:
        seqkit.train(settings(head={"regression": True}), tmp_path / "model", rows, device="cpu")
    assert str(caught.value) == "expected different numbers in field 'label' of the training data, found only 2"
    for scale in (1e-200, 1e-160):  # whose squares underflow, all or most of their digits
        rows = [{**row, "label": (number % 3 + 1) * scale} for number, row in enumerate(make_pairs(8))]
        with pytest.raises(DataError) as caught:
            seqkit.train(settings(head={"regression": True}), tmp_path / "model", rows, device="cpu")
        assert str(caught.value) == (
            "expected different numbers in field 'label' of the training data, found only "
            f"{scale:g} to {3 * scale:g}, whose squares are 0 to a computer"
        )


def test_ranking(directory: Path) -> None:
    model: Classifier = load(directory)
    rows = make_pairs(20, 5)
    report = model.evaluate(rows, group="question").report
    assert report.ranking is not None and report.ranking.map >= 0.9 and report.ranking.positive == "yes"
    told = [{row["label"] for row in rows if row["question"] == number} for number in range(20)]
    both, alone = sum(len(labels) == 2 for labels in told), sum(labels == {"yes"} for labels in told)
    assert (report.ranking.groups, report.ranking.left_out, report.ranking.all_relevant) == (both, 0, alone)
    other = model.evaluate(rows, group="question", positive="no").report.ranking
    assert other is not None and (other.groups, other.left_out, other.positive) == (both, alone, "no")
    wrong = model.evaluate([row for row in rows if row["label"] == "no"], group="question").report
    assert wrong.ranking is not None and wrong.to_json()["map"] is None and wrong.to_json()["mrr"] is None
    assert "no MAP and MRR: of " in wrong.render()
    for options, message in (
        ({"group": "question", "positive": "maybe"}, "positive: expected a label among no, yes, found 'maybe'"),
        ({"positive": "yes"}, "positive says which candidates are relevant, and needs group"),
    ):
        with pytest.raises(SettingsError) as caught:
            model.evaluate(rows, **options)
        assert str(caught.value) == message
    with pytest.raises(SeqkitError) as refused:
        model.evaluate(rows, group="topic")
    assert str(refused.value) == (
        "pairs test:1: expected a string or a number in field 'topic', by which candidates are ranked together, found "
        "the fields 'claim', 'answer', 'label', 'question'"
    )


def test_ranking_of_single_texts_and_of_several_labels(tmp_path: Path) -> None:
    texts = {name: values for name, values in TINY.items() if name not in ("input", "data")}
    rows = [{"text": f"so {word}", "label": word, "n": number % 3} for number, word in enumerate(["a", "b", "c"] * 6)]
    model = seqkit.train(
        {**texts, "training": {"epochs": 20, "lr": 0.05}}, tmp_path / "one", rows, dev=rows, device="cpu"
    )
    for row, each in enumerate(rows):  # each candidate in a group with one of every label
        each["n"] = row // 3
    found = model.evaluate(rows, group="n", positive="b").report.ranking
    assert found is not None and found.map == 1.0
    with pytest.raises(SettingsError) as caught:
        model.evaluate(rows, group="n")
    assert str(caught.value) == "positive: say which of the labels is that of relevant candidates: a, b, c"
    several = [{"text": row["text"], "label": [row["label"]], "n": row["n"]} for row in rows]
    chosen = {**texts, "head": {"multi_label": True}, "training": {"epochs": 1}}
    model = seqkit.train(chosen, tmp_path / "several", several, dev=several, device="cpu")
    with pytest.raises(
        SettingsError, match=r"^group is for models of one label, by whose probability candidates can be"
    ):
        model.evaluate(several, group="n")


def best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: Any, changes: list[dict[str, Any]], **data: Any
) -> int:
    """Which epoch is best where the reports on dev are the right ones, but for what is given for each epoch."""
    told, report = iter(changes), Classifier.dev_report
    monkeypatch.setattr(
        Classifier, "dev_report", lambda *given, **named: replace(report(*given, **named), **next(told))
    )
    model = seqkit.train(chosen, tmp_path / "model", make_pairs(10, **data), dev=make_pairs(5, 1, **data), device="cpu")
    return int(model.report["training"]["best_epoch"])


def test_ranking_in_training_decides_which_epoch_is_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(data={"group": "question", "positive": "yes"}, training={"epochs": 3})
    ranked = [Ranking(value, 1 - value, 5, 0) for value in (0.5, 0.75, 0.25)]
    scores = zip(ranked, (0.9, 0.1, 0.8), (0.1, 0.9, 0.2), strict=True)
    changes = [{"ranking": found, "accuracy": accuracy, "loss": loss} for found, accuracy, loss in scores]
    assert best_epoch(tmp_path, monkeypatch, chosen, changes) == 2
    assert load(tmp_path / "model").report["scores"]["dev"]["ranking"]["positive"] == "yes"


def test_the_best_epoch_of_numbers_is_that_of_the_highest_pearson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(head={"regression": True}, training={"epochs": 3})
    scores = ((0.5, 0.9, 1.0), (0.75, 0.25, 9.0), (0.25, 0.5, 0.5))
    changes = [{"pearson": pearson, "spearman": rank, "mse": error} for pearson, rank, error in scores]
    assert best_epoch(tmp_path, monkeypatch, chosen, changes, numbers=True) == 2


def train_nothing(chosen: Any, tmp_path: Path, rows: list[dict[str, Any]], **splits: Any) -> None:
    """Train; whatever is wrong is found before an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run", lambda trainer: pytest.fail("an epoch was trained"))
        seqkit.train(chosen, tmp_path / "nothing", rows, device="cpu", **splits)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_candidates_without_a_group_are_found_before_training(split: str, tmp_path: Path) -> None:
    parts = {"dev": make_pairs(5, 1), "test": make_pairs(5, 2)}
    del parts[split][3]["question"]
    with pytest.raises(DataError) as caught:
        train_nothing(settings(data={"group": "question"}), tmp_path, make_pairs(8), **parts)
    assert str(caught.value) == (
        f"pairs {split}:4: expected a string or a number in field 'question', by which candidates are ranked together, "
        "found the fields 'claim', 'answer', 'label'"
    )


def test_groups_of_dev_that_cannot_be_ranked_are_found_before_training(tmp_path: Path) -> None:
    chosen = settings(data={"group": "question"}, training={"epochs": 1})
    no = [{**row, "label": "no"} for row in make_pairs(5, 1)]
    alone = [{**row, "question": number} for number, row in enumerate(make_pairs(5, 1))]
    counts = {"yes": sum(row["label"] == "yes" for row in alone), "no": sum(row["label"] == "no" for row in alone)}
    for dev, (groups, without, only) in ((no, (5, 5, 0)), (alone, (15, counts["no"], counts["yes"]))):
        with pytest.raises(DataError) as caught:
            train_nothing(chosen, tmp_path, make_pairs(8), dev=dev)
        assert str(caught.value) == (
            "pairs dev: data.group has candidates of dev ranked, by which the best epoch is chosen, and of "
            f"{groups} groups by 'question' none can be ranked, {without} without a relevant candidate, {only} without "
            "an irrelevant one (relevant: 'yes')"
        )
    model = seqkit.train(chosen, tmp_path / "model", make_pairs(8), dev=make_pairs(5, 1), test=no, device="cpu")
    scores = json.loads((tmp_path / "model" / "report.json").read_text())["scores"]["test"]
    assert scores["map"] is None and scores["ranking"]["left_out"] == 5
    assert "no MAP" in model.evaluate(no).report.render()


@pytest.mark.parametrize(
    ("positive", "message"),
    [
        ("", "data.positive: say which of the labels is that of relevant candidates: a, no, yes"),
        ("maybe", "data.positive: expected a label among a, no, yes, found 'maybe'"),
    ],
)
def test_a_label_of_relevant_candidates_that_is_none_is_found_before_training(
    positive: str, message: str, tmp_path: Path
) -> None:
    rows = [*make_pairs(8), {"claim": "a", "answer": "b", "label": "a", "question": 9}]
    with pytest.raises(SettingsError) as caught:
        train_nothing(settings(data={"group": "question", "positive": positive}), tmp_path, rows, dev=rows)
    assert str(caught.value) == message


@pytest.mark.parametrize("input", ["pair", "frames", "words"])
@pytest.mark.parametrize(
    ("data", "head", "message"),
    [
        ({"positive": "yes"}, {}, "data.positive says which candidates are relevant, and needs data.group"),
        (
            {"group": "n"},
            {"multi_label": True},
            "data.group is for models of one label, by whose probability candidates can be ranked, and not for several "
            "(multi_label)",
        ),
        (
            {"group": "n", "positive": "yes"},
            {"regression": True},
            "data.positive: where numbers are predicted it is the least one that makes a candidate relevant; expected "
            "a number, found 'yes'",
        ),
        ({"group": "n", "positive": True}, {}, "data.positive: expected a valid string, found True"),
    ],
)
def test_settings_of_ranking_that_contradict_each_other(
    data: dict[str, Any], head: dict[str, Any], message: str, input: str
) -> None:
    tree = {"task": "classify", "data": data, "head": head, **({} if input == "words" else {"input": input})}
    with pytest.raises(SettingsError) as caught:
        parse_settings(tree, "recipe")
    assert str(caught.value) == f"recipe: {message}"


def test_single_texts_and_frames_have_numbers_too(tmp_path: Path) -> None:
    rows = [{"text": f"so {word}", "label": value} for word, value in (("good", 4.5), ("bad", 1), ("fine", 3.25))] * 4
    texts = {name: values for name, values in TINY.items() if name not in ("input", "data")}
    chosen = {**texts, "head": {"regression": True}, "training": {"epochs": 30, "lr": 0.03}}
    model = seqkit.train(chosen, tmp_path / "texts", rows, dev=rows, device="cpu")
    assert model.classify("so good").value > model.classify("so bad").value
    assert next(iter(model.predict(["", "so"]))).sentence.text == ""
    sequences = [{"frames": [[float(number), 1.0]] * 3, "label": number / 2} for number in range(12)]
    frames = {"task": "classify", "head": {"regression": True}, "training": {"epochs": 2}, "encoder": {"hidden": 4}}
    model = seqkit.train(frames, tmp_path / "frames", sequences, device="cpu")
    assert set(model.report["scores"]["dev"]) == {"sentences", "tokens", "mse", "pearson", "spearman"}


def test_items_of_python(tmp_path: Path) -> None:
    items = [(row["claim"], row["answer"], row["label"]) for row in make_pairs(8)]
    nested = [((first, second), label) for first, second, label in items]
    models = [
        seqkit.train(settings(training={"epochs": 1}), tmp_path / name, rows, dev=rows, device="cpu")
        for name, rows in (("a", items), ("b", nested), ("c", make_pairs(8)))
    ]
    first, *others = (probs(model.predict(GIVEN)) for model in models)
    assert all(other == first for other in others)
    with pytest.raises(DataError) as caught:
        seqkit.train(settings(), tmp_path / "d", [*items, ("a", "b")], device="cpu")
    assert str(caught.value) == "pairs train:25: expected (text, text, label), found ('a', 'b')"


def test_starting_from_a_model_of_texts(tmp_path: Path, directory: Path) -> None:
    texts = {name: values for name, values in TINY.items() if name not in ("input", "data")}
    rows = [("the film", "a"), ("the book", "b")] * 4
    seqkit.train({**texts, "training": {"epochs": 1}}, tmp_path / "texts", rows, dev=rows, device="cpu")
    for start in (tmp_path / "texts", directory):
        chosen = settings(training={"epochs": 1, "init_from": str(start)})
        model = seqkit.train(chosen, tmp_path / f"from-{start.name}", make_pairs(8), device="cpu")
        assert "film" in model.input.indexer.words
