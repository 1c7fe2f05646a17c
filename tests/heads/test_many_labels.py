"""Tens of thousands of labels: what is computed stays exact, in memory that does not grow with their square."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from seqkit.config import override
from seqkit.errors import SettingsError
from seqkit.heads.classification import baseline
from seqkit.heads.classification.baseline import NAME, TfidfBaseline, TooLargeError
from seqkit.heads.classification.labels import ClassCodec
from seqkit.heads.classification.module import ClassificationHead
from seqkit.heads.classification.settings import MOST_PROBS, ClassifySettings
from seqkit.heads.tagging import head as tagging
from seqkit.heads.tagging.module import MOST_TAGS, TaggingHead
from seqkit.heads.tagging.settings import TagSettings
from seqkit.metrics.ranking import ranking
from seqkit.model.classifier import Classifier
from seqkit.model.loading import load
from seqkit.model.tagger import Tagger
from seqkit.nn import parts
from seqkit.nn.pooling import make_pooling
from seqkit.records import Sentence

MANY = MOST_TAGS + 8
SMALL = {"embedding": {"word_size": 4}, "encoder": {"hidden": 2}}


def tagged(labels: int, prefix: str = "") -> list[Sentence]:
    names = [f"{prefix}L{number}" for number in range(labels)]
    return [Sentence.from_tokens(["a"] * labels, {"label": names})]


def tagger(tiny_settings: Callable[..., TagSettings], labels: int, *assignments: str, seed: int = 1) -> Tagger:
    torch.manual_seed(seed)
    settings = tiny_settings("data.target=label", "embedding.chars=none", "encoder.hidden=2", *assignments)
    return Tagger.build(settings, tagged(labels))


# --- tables of transitions ----------------------------------------------------------------------------------------


def refused(count: int, gigabytes: str) -> str:
    size = f"{count:,} tags give {count * count:,} transitions, {gigabytes} GB"
    return f"for each transition between tags: {size}; at most 8,192 tags; use "


@pytest.mark.parametrize(
    ("prefix", "assignment", "message"),
    [
        (
            "",
            "data.scheme=none",
            "a CRF learns a score " + refused(8200, "3.2") + "--no-crf, which chooses each label by itself",
        ),
        (
            "S-",
            "data.scheme=bioes",
            "a CRF learns a score "
            + refused(4 * 8200 + 1, "51.6")
            + "--no-crf --scheme none, which learns the labels one by one",
        ),
        (
            "S-",
            "head.crf=false",
            "tags of spans need to know "
            + refused(4 * 8200 + 1, "1.1")
            + "--scheme none, which learns the labels one by one",
        ),
    ],
)
def test_a_table_of_transitions_that_is_too_large_is_refused_before_it_is_made(
    prefix: str,
    assignment: str,
    message: str,
    tiny_settings: Callable[..., TagSettings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tagging, "TaggingHead", None)
    monkeypatch.setattr("seqkit.heads.tagging.labels.legal_moves", None)
    settings = tiny_settings("data.target=label", "embedding.chars=none", assignment)
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        Tagger.build(settings, tagged(MANY, prefix))


@pytest.mark.parametrize("labels", [12, MANY])
def test_without_a_crf_there_is_no_table(
    labels: int, tiny_settings: Callable[..., TagSettings], tmp_path: Path
) -> None:
    model = tagger(tiny_settings, labels, "head.crf=false", "data.scheme=none")
    model.save(tmp_path)
    kept = safetensors.torch.load_file(tmp_path / "weights.safetensors")
    assert not [name for name in kept if "crf" in name]
    assert len((tmp_path / "README.md").read_text(encoding="utf-8")) < 3000
    again = load(tmp_path)
    words = ["a", "b", "c"]
    (found,) = again.predict([words], probs=True, nbest=5)
    (other,) = model.predict([words], probs=True, nbest=5)
    assert found == other
    assert found.alternatives is not None and len({tuple(labels) for labels, _ in found.alternatives}) == 5
    if labels == MANY:
        assert again.head.notes(tagged(9), None)[0].endswith(f"L1000, L1001, L1002, L1003, … ({MANY:,} in all)")


def test_a_table_that_an_earlier_version_saved_is_read(
    tiny_settings: Callable[..., TagSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        built = tagging.Tagging.__init__
        earlier.setattr(tagging.Tagging, "__init__", partialmethod(built, transitions=True))
        model = tagger(tiny_settings, 12, "head.crf=false", "data.scheme=none")
        model.save(tmp_path)
    assert "head.crf.legal_transitions" in safetensors.torch.load_file(tmp_path / "weights.safetensors")
    again = load(tmp_path)
    assert next(again.predict(["a b"], probs=True)) == next(model.predict(["a b"], probs=True))
    again.save(tmp_path / "again")
    assert "head.crf.legal_transitions" in safetensors.torch.load_file(tmp_path / "again" / "weights.safetensors")


# --- tags chosen one by one ---------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 2**25], ids=["row by row", "together"])
def workspace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "workspace", lambda device: request.param)


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("nbest", [1, 3, 7])
def test_more_tags_than_features_are_decoded_as_by_a_softmax(nbest: int) -> None:
    torch.manual_seed(nbest)
    head = TaggingHead(3, 5, crf=False)
    assert head.late
    outputs, lengths = torch.randn(3, 4, 3), torch.tensor([4, 1, 0])
    logs = head.emission(outputs).detach().double().log_softmax(2)  # [B, T, K]
    found = head.decode(head.score(outputs), lengths, probabilities=True, nbest=nbest)
    assert found.chosen is not None
    for row, length in enumerate(lengths.tolist()):
        assert found.tags[row].tolist() == logs[row, :length].argmax(1).tolist() + [0] * (4 - length)
        assert found.chosen[row].tolist() == pytest.approx(
            logs[row, :length].amax(1).exp().tolist() + [0.0] * (4 - length)
        )
        if nbest == 1:
            continue
        assert found.alternatives is not None and found.alternative_log_probs is not None
        paths = torch.cartesian_prod(*[torch.arange(5)] * length).reshape(-1, length) if length else torch.empty(1, 0)
        likelihood = torch.stack([logs[row, range(length), path.long()].sum() for path in paths])
        order = likelihood.argsort(descending=True)[:nbest].tolist()
        rest = nbest - len(order)
        assert found.alternative_log_probs[row].tolist() == pytest.approx(
            [likelihood[place].item() for place in order] + [-np.inf] * rest, abs=1e-6
        )
        expected = [paths[place].long().tolist() + [0] * (4 - length) for place in order] + [[0] * 4] * rest
        assert found.alternatives[row].tolist() == expected


def test_the_loss_of_more_tags_than_features_is_the_cross_entropy() -> None:
    torch.manual_seed(0)
    head = TaggingHead(3, 50, crf=False)
    outputs = torch.randn(2, 4, 3, requires_grad=True)
    tags = torch.tensor([[1, 49, 0, 7], [3, -1, -1, -1]])
    loss = head.loss(outputs, torch.tensor([4, 1]), tags)
    loss.backward()
    found = [outputs.grad, *(parameter.grad for parameter in head.parameters())]
    again = outputs.detach().requires_grad_()
    head.zero_grad()
    scores = head.emission(again).flatten(0, 1)
    expected = functional.cross_entropy(scores, tags.flatten(), ignore_index=-1, reduction="sum") / 2
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for one, other in zip(found, [again.grad, *(parameter.grad for parameter in head.parameters())], strict=True):
        assert one is not None and other is not None
        assert torch.allclose(one, other, atol=1e-6)


# --- labels of texts ----------------------------------------------------------------------------------------------


def classifier(labels: int, multi: bool = False) -> Classifier:
    torch.manual_seed(2)
    rows = [Sentence(["a"], "a", [(0, 1)], fields={"text": "a", "label": f"L{number}"}) for number in range(labels)]
    if multi:
        for row in rows:
            row.fields["label"] = [row.fields["label"]]
    settings = ClassifySettings.model_validate({**SMALL, "head": {"multi_label": multi}})
    model = Classifier.build(settings, rows)
    with torch.no_grad():
        for parameter in model.network.head.parameters():
            parameter.normal_()
    return model


def ranks(model: Classifier, positive: str) -> None:
    """Let a model be one that has learned to rank, whose loss is told, too."""
    model.settings = override(model.settings, {"data": {"group": "n", "positive": positive}})
    model.head.settings = model.settings  # type: ignore[assignment]


def probabilities(model: Classifier, text: Sentence) -> Tensor:
    model.network.eval()
    batch = model.input.collate(model.input.arrays([text]), np.array([0]))
    encoded = model.network(batch)
    module = model.network.head
    assert isinstance(module, ClassificationHead)
    found: Tensor = module.decode(encoded.outputs, encoded.lengths)[0]
    return found


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("labels", [9, MOST_PROBS + 9])
def test_answers_have_the_most_probable_labels_and_all_that_are_predicted(labels: int, multi: bool) -> None:
    model = classifier(labels, multi)
    texts = [model.record(["a"] * count) for count in range(1, 4)]
    names = model.head.codec.labels.labels
    for text, answer, first, brief in zip(
        texts,
        model.predict(texts),
        model.predict(texts, top=3),
        model.pipeline()(texts, model.options({}).for_output(None)),
        strict=True,
    ):
        values = probabilities(model, text).tolist()
        order = sorted(range(labels), key=lambda index: -values[index])
        right = [names[index] for index in order if values[index] > 0.5] if multi else [names[order[0]]]
        kept = max(min(labels, MOST_PROBS), len(right) if multi else 1)
        assert answer.labels == first.labels == brief.labels == right
        assert list(answer.probs) == [names[index] for index in order[:kept]]
        assert list(answer.probs.values()) == pytest.approx([values[index] for index in order[:kept]])
        assert list(first.probs)[:3] == list(answer.probs)[:3]
        assert len(first.probs) == max(3, len(right) if multi else 1)
        assert len(brief.probs) == max(1, len(right))
        assert answer.left_out == labels - kept
        assert answer.to_json().get("probs_left_out", 0) == labels - kept
        assert "probs_left_out" not in first.to_json()


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("labels", [9, MOST_PROBS + 40])
def test_candidates_are_ranked_and_the_loss_is_computed_by_all_probabilities(labels: int) -> None:
    model = classifier(labels)
    with torch.no_grad():
        model.network.head.output.bias.mul_(3.0)  # type: ignore[union-attr, operator]
    texts = [model.record(["a"] * count) for count in range(1, 25)]
    found = torch.stack([probabilities(model, text) for text in texts]).double()  # [N, K]
    names = model.head.codec.labels.labels
    label = int(found.sum(0).argmin())  # of the least probable label, which an answer of 1,000 labels lacks
    for number, text in enumerate(texts):
        text.fields |= {"label": names[label if number % 2 else number % labels], "n": str(number // 4)}
    report = model.evaluate_records(texts, group="n", positive=names[label]).report
    ids = [names.index(text.fields["label"]) for text in texts]
    odds = found[:, label].log() - (found.sum(1) - found[:, label]).log()
    relevant = [each == label for each in ids]
    expected = ranking([text.fields["n"] for text in texts], relevant, odds.tolist())
    assert (report.ranking.map, report.ranking.mrr) == (expected.map, expected.mrr) and expected.map < 1
    ranks(model, names[label])
    answers = model.evaluate_records(texts)
    assert answers.report.ranking == report.ranking
    assert answers.report.loss == pytest.approx(-found[torch.arange(24), ids].log().mean().item(), rel=1e-5)
    for answer, row, right in zip(answers.answers, found, ids, strict=True):
        assert answer.probs[names[right]] == pytest.approx(row[right].item(), rel=1e-4)
        assert answer.rest == pytest.approx(1 - sum(answer.probs.values()), abs=1e-5)
        assert list(answer.probs.values()) == sorted(answer.probs.values(), reverse=True)


@pytest.mark.usefixtures("workspace")
def test_unknown_labels_of_candidates_have_the_least_probability() -> None:
    model = classifier(MOST_PROBS + 40)
    texts = [model.record(["a"]) for _ in range(2)]
    for text, label in zip(texts, ("L3", "unknown"), strict=True):
        text.fields |= {"label": label, "n": "1"}
    ranks(model, "L3")
    report = model.evaluate_records(texts).report
    first = probabilities(model, texts[0])[model.head.codec.labels.labels.index("L3")].log().item()
    assert report.loss == pytest.approx((-first - math.log(1e-12)) / 2, rel=1e-5)


def test_targets_of_several_labels_take_no_more_than_there_are() -> None:
    model = classifier(20_000, multi=True)
    rows = [Sentence(["a"], "a", [(0, 1)], fields={"text": "a", "label": ["L7", "L19999"]})] * 50_000
    targets = model.head.targets(rows)
    assert len(targets.ids()) == 50_000
    found = targets.collate(np.array([5, 49_999]))  # a table of all would have 10⁹ numbers
    assert found.shape == (2, 20_000) and found.sum(1).tolist() == [2, 2]


# --- the baseline -------------------------------------------------------------------------------------------------


def fit(labels: int = 3, multi: bool = False) -> TfidfBaseline:
    rows = [[f"L{number}"] for number in range(labels)]
    codec = ClassCodec.build(rows, multi=multi)
    texts = [["some", f"w{number}"] for number in range(labels)]
    return TfidfBaseline(codec, texts, codec.encode(rows), texts, rows)


def test_a_baseline_of_bounded_memory_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit().strength > 0.0
    monkeypatch.setattr(baseline, "MOST_MEMORY", 4000)
    size = "3 labels × 7 words and bigrams take 0.0 GB of memory, more than 0.0 GB"
    with pytest.raises(TooLargeError, match=f"^{re.escape(f'{NAME} was not trained: {size}')}$"):
        fit()
    assert fit(multi=True).strength > 0.0  # one label at a time
    monkeypatch.setattr(baseline, "MOST_PRODUCTS", 26)
    size = "3 labels × 9 words and bigrams in the texts are 0.0 billion products a pass, more than 0.0 billion"
    with pytest.raises(TooLargeError, match=f"^{re.escape(f'{NAME} was not trained: {size}')}$"):
        fit(multi=True)


def test_no_weight_of_a_baseline_is_made_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "_fit", None)
    with pytest.raises(TooLargeError, match=r"^tf-idf \+ logistic regression was not trained: 3,000 labels × 6,001 "):
        fit(3000)


def test_the_loss_of_more_labels_than_features_is_the_cross_entropy() -> None:
    torch.manual_seed(0)
    head = ClassificationHead(make_pooling("mean", 4, 2), 30)
    assert head.late
    outputs, lengths = torch.randn(3, 2, 4, requires_grad=True), torch.tensor([2, 1, 2])
    targets = torch.tensor([29, -1, 4])
    loss = head.loss(outputs, lengths, targets)
    loss.backward()
    logs = head.decode(outputs, lengths).log()
    assert loss.item() == pytest.approx(-(logs[0, 29] + logs[2, 4]).item() / 3, rel=1e-5)
    found = [parameter.grad.clone() for parameter in head.parameters() if parameter.grad is not None]
    head.zero_grad()
    (-(head.output(head.pooling(outputs, lengths)).log_softmax(1)[[0, 2], [29, 4]]).sum() / 3).backward()
    expected = [parameter.grad for parameter in head.parameters() if parameter.grad is not None]
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(found, expected, strict=True))


MEASURED = """
import resource, torch
from seqkit.heads.classification.module import ClassificationHead
from seqkit.heads.tagging.module import TaggingHead
from seqkit.nn.pooling import make_pooling
torch.set_num_threads(1)
outputs, lengths = torch.randn(50, 40, 8), torch.full((50,), 40)
tags = TaggingHead(8, 100_000, crf=False, transitions=False)
texts = ClassificationHead(make_pooling("mean", 8, 4), 100_000).eval()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
with torch.inference_mode():
    tags.decode(tags.score(outputs), lengths)
    for part in texts.probabilities(texts.score(outputs, lengths).repeat(40, 1)):
        part.argmax(1)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is counted as Linux counts it")
def test_scores_of_many_labels_never_exist_together() -> None:
    """Of 2,000 tokens, and of 2,000 texts, they would take 800 MB each, and twice that while they are made."""
    found = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, check=True, text=True)
    assert int(found.stdout) < 400
