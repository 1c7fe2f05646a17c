"""Weights that are finite, but huge: every prediction is a distribution, or there is one error, whatever the model."""

from __future__ import annotations

import copy
import io
import math
import random
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

import seqkit
from seqkit.cli.main import main
from seqkit.errors import ModelError
from seqkit.model.pipeline import not_finite
from seqkit.nn.recurrent import CELLS
from seqkit.records import Sentence
from tests.model.four_tasks import classifier, generator, language_model, records, tagger, text_record, texts

Make = Callable[..., Any]
HUGE = 3e38
FACTORS = (1e3, 1e10, 1e30, HUGE)
CAUSES = "training diverged (try a smaller --lr), the weights are damaged, or a given number is too large"
TAIL = f" is not finite, or too large: {CAUSES}"
CONDITION = {"kind": "a", "title": "ab"}
NARROW = {"hidden": 1, "direction": "forward"}


def tags(model: Any) -> list[Any]:
    """Of each sentence all probabilities, and those of the n best sequences."""
    rows = []
    for found in model.predict(texts(4), probs=True, nbest=3):
        alternatives = [prob for _, prob in found.alternatives]
        rows += [[prob] for prob in (*found.probs, *(span.prob for span in found.spans))]
        rows.append(alternatives if sum(alternatives) <= 1 + 1e-3 else [math.nan])
    return rows


def classes(model: Any) -> list[Any]:
    rows = [list(found.probs.values()) for found in model.predict(texts(4))]
    several = model.settings.head.multi_label
    return [row if several or math.isclose(sum(row), 1, abs_tol=1e-5) else [math.nan] for row in rows]


def scores(model: Any) -> list[Any]:
    lines = records(4) if model.task.name == "generate" else texts(4)
    return [[found.log_prob, found.perplexity] for found in model.predict([_record(line) for line in lines])]


def stream(model: Any) -> list[Any]:
    return [[model.perplexity(texts(4))]]


def written(model: Any) -> list[Any]:
    given = [CONDITION] if model.task.name == "generate" else []
    write = model.generate if given else model.sample
    found = write(*given, count=3, length=5, seed=1) + write(*given, beam=3, count=3, length=4)
    return [[each.log_prob] for each in found] or [[math.nan]]  # at least one is the likeliest


def _record(line: Any) -> Any:
    return text_record(line) if isinstance(line, dict) else line


KINDS: list[tuple[Make, dict[str, Any], list[Callable[[Any], list[Any]]]]] = [
    (tagger, {}, [tags]),
    (tagger, {"head": {"crf": False}}, [tags]),
    # More labels than features: scores are made when they are needed.
    (tagger, {"head": {"crf": False}, "encoder": NARROW}, [tags]),
    (classifier, {"encoder": NARROW}, [classes]),
    (classifier, {}, [classes]),
    (classifier, {"head": {"pool": "attention"}}, [classes]),
    (classifier, {"head": {"multi_label": True}}, [classes]),
    (language_model, {}, [scores, stream, written]),
    (generator, {}, [scores, written]),
]


def multiplied(model: Any, factor: float, draw: random.Random) -> None:
    """Let the largest weight of all tensors, or of some, be `factor`."""
    parameters = list(model.network.parameters())
    chosen = parameters if draw.random() < 0.5 else draw.sample(parameters, max(1, len(parameters) // 3))
    with torch.no_grad():
        for parameter in chosen:
            parameter.div_(parameter.abs().max()).mul_(factor)


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_predicted_is_finite_and_a_distribution_or_one_error(cell: str) -> None:
    draw = random.Random(cell)
    outcomes = {"good": 0, "refused": 0}
    made = [(make({"encoder": {"cell": cell, "hidden": 4}, **head}), uses) for make, head, uses in KINDS]
    for (model, uses), factor in product(made, FACTORS):
        kept = copy.deepcopy(model.network.state_dict())
        multiplied(model, factor, draw)
        for use in uses:
            try:
                rows = use(model)
            except ModelError as error:
                assert str(error).endswith(TAIL)
                outcomes["refused"] += 1
            else:
                values, place = [value for row in rows for value in row], (factor, use.__name__)
                assert all(map(math.isfinite, values)), place
                assert all(0 <= value <= 1 for value in values) or use not in (tags, classes), place
                outcomes["good"] += 1
        model.network.load_state_dict(kept)
    assert min(outcomes.values()) > 5


def damaged(make: Make, weight: str, number: float = math.nan) -> Any:
    """A model with one number throughout one of its weights; NaN stands for what overflows on the way."""
    model = make()
    dict(model.network.named_parameters())[weight].data.fill_(number)
    return model


def test_the_sentence_is_named_by_its_file_and_line(tmp_path: Path) -> None:
    """One word alone has a vector that overflows."""
    model = tagger()
    row = model.input.indexer.words.index("b")
    model.network.input.embedding.table.data[row] = math.inf
    sentences = [Sentence.from_tokens([word]) for word in ("a", "b", "a")]
    for number, sentence in enumerate(sentences, 7):
        sentence.file, sentence.line = "x.txt", number
    with pytest.raises(ModelError) as caught:
        list(model.predict(sentences))
    assert str(caught.value) == f"x.txt:8: what the network computes of 'b'{TAIL}"
    assert [found.labels for found in model.predict(sentences[:1])]


@pytest.mark.parametrize(
    ("make", "request_"),
    [
        (tagger, {"text": "a b"}),
        (classifier, {"text": "a b"}),
        (language_model, {"text": "a b"}),
        (generator, {"condition": CONDITION, "beam": 2}),
        (generator, {"condition": CONDITION, "seed": 1}),
    ],
)
def test_an_answer_to_a_request_is_none(make: Make, request_: dict[str, Any]) -> None:
    model = damaged(make, "head.emission.bias" if make is tagger else _bias(make()))
    what = "a probability of what may come next" if make is generator else "what the network computes of 'a b'"
    with pytest.raises(ModelError) as caught:
        model.answer(request_)
    assert str(caught.value) == what + TAIL


def _bias(model: Any) -> str:
    """The name of the bias that the last scores have."""
    return [name for name, _ in model.network.named_parameters() if name.startswith("head.") and "bias" in name][-1]


def test_scores_from_which_no_probability_can_be_computed() -> None:
    """Finite in float64, yet so large that the difference of two is all rounding."""
    model = tagger()
    model.network.head.emission.bias.data.mul_(0).add_(1e13)
    with pytest.raises(ModelError):
        list(model.predict(["a b"]))
    model.network.head.emission.bias.data.mul_(1e-13)
    transitions = model.network.head.crf.transitions.data
    assert list(model.predict(["a b"]))
    transitions[0, 0] = 1e13
    with pytest.raises(ModelError):
        list(model.predict(["a b"]))


def test_a_score_that_overflowed_is_not_taken_for_certainty() -> None:
    """A sigmoid makes 1 of infinity."""
    model = classifier({"head": {"multi_label": True}})
    model.network.head.output.bias.data[0] = math.inf
    with pytest.raises(ModelError, match="not finite"):
        list(model.predict(["a"]))


def test_perplexity_beyond_numbers() -> None:
    model = language_model()
    model.network.head.next.bias.data[2] = 1e6  # so that nothing else has a probability
    for use in (lambda: list(model.score(["a b"])), lambda: model.perplexity("a b"), lambda: model.evaluate(["a b"])):
        with pytest.raises(ModelError) as caught:
            use()
        assert str(caught.value).endswith(TAIL)


def test_a_record_without_a_text_of_its_own_is_named_by_its_fields() -> None:
    model = generator()
    for weight in model.network.head.parameters():
        weight.data *= 1e30
    with pytest.raises(ModelError) as caught:
        list(model.pipeline()([text_record({"kind": "a", "title": "ab", "text": "ba"})], model.options({})))
    assert str(caught.value).startswith("what the network computes of {'kind': 'a', 'title': 'ab', 'text': 'ba…")


def test_what_overflows_in_half_precision_only() -> None:
    """The largest bf16 is less than 3.4e38; zero times that is zero, and zero times infinity is not."""
    model = classifier({"encoder": {"cell": "rnn_tanh"}})
    table = model.network.input.embedding.table.data
    table[:, 0] = 3.4e38
    for name, weight in model.network.named_parameters():
        if "weight_ih" in name:
            weight.data[:, 0] = 0
    exact = [found.probs for found in model.predict(["a b"] * 200)]
    assert all(math.isfinite(prob) for found in exact for prob in found.values())
    with pytest.raises(ModelError) as caught:
        list(model.predict(["a b"], precision="bf16"))
    hint = "; it may be finite with --precision fp32, instead of bf16"
    assert str(caught.value) == f"what the network computes of 'a b'{TAIL}{hint}"


def test_auto_then_stays_with_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    model, said = classifier(), []
    monkeypatch.setattr("seqkit.model.pipeline.multiplies_bf16", lambda device: True)
    pipeline = model.pipeline(precision="auto", say=said.append)
    plain = pipeline._predict

    def predict(chunk: Any, options: Any, precision: str) -> Any:
        if precision == "bf16":
            raise not_finite("x", precision)
        return plain(chunk, options, precision)

    monkeypatch.setattr(pipeline, "_predict", predict)
    assert len(list(pipeline(map(model.record, texts(300))))) == 300
    assert said == ["precision auto: fp32, since in bf16 what the network computes is not finite"]


@pytest.mark.parametrize(
    ("task", "make", "arguments"),
    [
        ("tag", tagger, ["predict"]),
        ("tag", tagger, ["predict", "--probs", "--output-format", "jsonl"]),
        ("classify", classifier, ["predict", "--top", "2"]),
        ("lm", language_model, ["score"]),
        ("lm", language_model, ["evaluate", "DATA"]),
        ("lm", language_model, ["sample", "--seed", "1"]),
        ("lm", language_model, ["sample", "--beam", "2"]),
        ("generate", generator, ["sample", "--condition", "kind=a", "--condition", "title=ab"]),
    ],
)
def test_on_the_command_line(
    task: str,
    make: Make,
    arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make({"encoder": {"cell": "rnn_relu"}})
    for name, weight in model.network.named_parameters():
        if name.startswith(("encoder.", "input.", "head.")):
            weight.data.fill_(HUGE)
    model.save(tmp_path / "model")
    assert seqkit.load(tmp_path / "model")
    (tmp_path / "data.txt").write_text("a b\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b\n"), encoding="utf-8"))
    chosen = [str(tmp_path / "data.txt") if each == "DATA" else each for each in arguments]
    assert main([task, *chosen, "-m", str(tmp_path / "model"), "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.endswith(f"{TAIL}\n") and err.count("\n") == 1
