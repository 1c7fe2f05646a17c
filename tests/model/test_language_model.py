from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqkit.config import override, parse_assignments
from seqkit.corpora.from_python import from_items
from seqkit.errors import DataError, SettingsError
from seqkit.heads.language_model.settings import LmSettings
from seqkit.inputs.lookup import LookupBatch
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import END, Corpus
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.model.language_model import LanguageModel
from seqkit.model.loading import load
from seqkit.model.writing import NetworkWriter
from seqkit.nn.search import SearchState
from seqkit.records import TextRecord

TEXT = [
    "to be or not to be",
    "that is the question",
    "whether it is nobler",
    "",
    "to be is to do",
    "do be do be do",
] * 2
TINY = {"embedding": {"word_size": 6}, "encoder": {"hidden": 7}}


def build(*assignments: str, text: Iterable[str] = TEXT, seed: int = 0) -> LanguageModel:
    """An untrained model whose predictions are far from uniform."""
    settings = override(override(LmSettings(), TINY), parse_assignments(assignments))
    kind = settings.data.unit
    units = Units.train_bpe(text, 270) if kind == "bpe" else Units.char() if kind == "char" else Units.word("spaces")
    torch.manual_seed(seed)
    model = LanguageModel.of_counts(settings, units, Corpus.read(text, units).counts())
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    return model


def ids_of(model: LanguageModel, units: Iterable[str]) -> list[int]:
    """The id of each unit, those of unknown ones too."""
    return model.input.indexer.words.indices(map(model.input.indexer.normalise, units))


def batch_of(vectors: Tensor, index: Tensor) -> LookupBatch:
    """Rows of a table, [V, E], as a batch of equally long sequences, [B, T]."""
    lengths = torch.full((len(index),), index.shape[1])
    return LookupBatch(lengths, index, torch.arange(len(vectors)), vectors=vectors)


def outputs_of(model: LanguageModel, numbers: list[int]) -> Tensor:
    """Log-probabilities of the unit after each of the given ones, [T, V]."""
    network = model.network.eval()
    index = torch.tensor([numbers])  # [1, T]
    vectors = network.input.embedding.table  # [V, I]
    with torch.no_grad():
        output = network(batch_of(vectors, index))
        return model.head.module.log_probabilities(output.outputs, vectors)[0]


VARIANTS = [
    "encoder.cell=lstm",
    "encoder.cell=gru",
    "encoder.cell=rnn_tanh",
    "encoder.layers=1",
    "encoder.layers=3",
    "encoder.skip=dense",
    "encoder.skip=highway",
    "encoder.direction=both",
    "head.tied=true",
    "head.cutoffs=[4]",
    "data.unit=char",
]


# --- the future ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_change_of_the_next_unit_changes_nothing_up_to_this_one(variant: str) -> None:
    model = build(variant)
    size = len(model.input.indexer.words)
    numbers = torch.randint(2, size, (12,), generator=torch.Generator().manual_seed(1)).tolist()
    before = outputs_of(model, numbers)
    for step in range(len(numbers) - 1):
        changed = [*numbers]
        changed[step + 1] = 2 + (numbers[step + 1] - 1) % (size - 2)
        after = outputs_of(model, changed)
        assert torch.equal(after[: step + 1], before[: step + 1])
        assert not torch.allclose(after[step + 1], before[step + 1])


@pytest.mark.parametrize(
    ("assignments", "fault"),
    [
        (["encoder.direction=backward"], "a language model reads forward, or both with encoder.concat final"),
        (
            ["encoder.direction=both", "encoder.concat=layerwise"],
            "both needs encoder.concat final in a language model; with layerwise, upper layers have seen the words "
            "that they are to predict",
        ),
    ],
)
def test_a_direction_that_sees_the_future_is_refused_with_the_reason(assignments: list[str], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(*assignments)
    assert str(caught.value) == f"settings: encoder.direction: {fault}"


# --- how likely a text is -----------------------------------------------------------------------------------------


def plain_log_prob(model: LanguageModel, text: list[str]) -> float:
    """A two-layer LSTM in plain torch over the whole text at once."""
    weights = {name: tensor.double() for name, tensor in model.network.state_dict().items()}
    lstm = nn.LSTM(6, 7, 2, batch_first=True).double()
    for level in range(2):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            part = weights[f"encoder.stacks.0.layers.{level}.0.rnn.{name}_l0"]
            getattr(lstm, f"{name}_l{level}").data.copy_(part)
    words = model.input.indexer.words
    stream = [words.index(END)]
    for line in text:
        units = model.input.units.split(line)
        if units or model.input.units.kind == "char":
            stream += [*words.indices(units), words.index(END)]
    with torch.no_grad():
        hidden, _ = lstm(weights["input.embedding.table"][torch.tensor([stream[:-1]])])  # [1, N, H]
        scores = hidden[0] @ weights["head.next.weight"].t() + weights["head.next.bias"]  # [N, V]
        scores[:, 0] = -math.inf
        return float(scores.log_softmax(1)[range(len(stream) - 1), stream[1:]].sum())


@pytest.mark.parametrize("unit", ["word", "char", "bpe"])
@pytest.mark.parametrize("window", [1, 3, 7, 1000])
def test_evaluation_agrees_with_plain_torch_whatever_the_window(unit: str, window: int) -> None:
    model = build(f"data.unit={unit}")
    corpus = Corpus.read(TEXT, model.input.units)
    expected = plain_log_prob(model, TEXT)
    assert model.log_prob(corpus, window=window) / len(corpus) == pytest.approx(expected / len(corpus), abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_evaluation_does_not_depend_on_the_window(variant: str) -> None:
    model = build(variant)
    corpus = Corpus.read(TEXT, model.input.units)
    found = [model.log_prob(corpus, window=window) / len(corpus) for window in (1, 5, 500)]
    assert found == pytest.approx([found[0]] * 3, abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("batch_tokens", [1, 20, 10_000])
def test_scores_are_those_of_each_line_as_a_text_of_its_own(variant: str, batch_tokens: int) -> None:
    model = build(variant)
    records = list(model.score(TEXT, batch_tokens=batch_tokens, ahead=5))
    assert [record.text for record in records] == TEXT
    for line, record in zip(TEXT, records, strict=True):
        numbers = ids_of(model, [END, *model.input.units.split(line)])
        following = [*numbers[1:], model.input.end]
        steps = outputs_of(model, numbers)[range(len(numbers)), following]
        assert record.log_prob == pytest.approx(float(steps.sum()), abs=1e-4)
        assert record.units == len(numbers)
        assert record.perplexity == pytest.approx(math.exp(-record.log_prob / record.units))
    assert model.score(TEXT[0]).log_prob == pytest.approx(records[0].log_prob, abs=1e-4)


def test_the_probabilities_of_all_lines_sum_to_one() -> None:
    """Of the lines of up to two letters, and all that begins with two letters."""
    model = build("data.unit=char", text=["ab", "ba", "a"])
    ended = sum(math.exp(model.score(line).log_prob) for line in ("", "a", "b", "\ud7ff"))
    going_on = 0.0
    for first in range(1, len(model.input.indexer.words)):
        if first != model.input.end:
            steps = outputs_of(model, [model.input.end, first])
            started = math.exp(float(steps[0, first]))
            going_on += started * (1.0 - math.exp(float(steps[1, model.input.end])))
    assert ended + going_on == pytest.approx(1.0, abs=1e-5)


def test_perplexity_of_a_text_is_that_of_its_lines_as_a_stream() -> None:
    model = build()
    corpus = Corpus.read(TEXT, model.input.units)
    expected = math.exp(-model.log_prob(corpus) / len(corpus))
    assert model.perplexity(TEXT) == model.perplexity("\n".join(TEXT) + "\n") == expected
    with pytest.raises(DataError, match=r"^the text is empty$"):
        model.perplexity(["", " "])


# --- dynamic evaluation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("clip", "clip_by"), [(0.0, "norm"), (0.01, "value"), (0.01, "norm")])
def test_dynamic_evaluation_scores_each_window_with_weights_that_learned_from_those_before(
    clip: float, clip_by: str
) -> None:
    model = build(f"training.clip={clip}", f"training.clip_by={clip_by}", "encoder.layers=1")
    corpus = Corpus.read(TEXT[:2], model.input.units)
    assert len(corpus) == 12
    kept = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    found = model.log_prob(corpus, window=6, dynamic=0.5)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.network.state_dict().items())

    def window(stream: list[int], state: Any) -> tuple[Tensor, Any]:
        vectors = model.network.input.embedding.table
        output = model.network(batch_of(vectors, torch.tensor([stream[:6]])), state=state, return_state=True)
        chosen = model.head.module.log_probabilities(output.outputs, vectors)[0, range(6), stream[1:]]  # [T]
        return -chosen.sum(), output.state

    stream = [2, *ids_of(model, (corpus.types[number] for number in corpus.numbers))]
    first, state = window(stream[:7], None)
    (first / 6).backward()
    with torch.no_grad():
        learned = [parameter for parameter in model.network.parameters() if parameter.grad is not None]
        norm = sum(float(parameter.grad.square().sum()) for parameter in learned) ** 0.5
        for parameter in learned:
            clipped = parameter.grad * min(1.0, clip / norm) if clip_by == "norm" else parameter.grad.clamp(-clip, clip)
            parameter.sub_(clipped if clip else parameter.grad, alpha=0.5)
        second, _ = window(stream[6:], state)
    assert found == pytest.approx(-(first.item() + second.item()), abs=1e-3)


def test_dynamic_evaluation_helps_where_a_text_repeats_itself() -> None:
    model = build()
    corpus = Corpus.read(["do be do be do"] * 60, model.input.units)
    static = model.log_prob(corpus)
    dynamic = model.log_prob(corpus, window=5, dynamic=0.5)
    assert dynamic > 0.6 * static  # both are negative
    assert model.log_prob(corpus, window=5, dynamic=1e-9) == pytest.approx(static, rel=1e-5)


def test_dynamic_evaluation_in_half_precision_uses_the_weights_of_the_last_step() -> None:
    model = build()
    corpus = Corpus.read(["do be do be do"] * 60, model.input.units)
    exact = model.log_prob(corpus, window=5, dynamic=0.5)
    assert model.log_prob(corpus, window=5, dynamic=0.5, precision="bf16") == pytest.approx(exact, rel=0.05)


# --- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", [*VARIANTS, "data.unit=bpe"])
def test_a_text_is_as_likely_as_the_model_says_of_it(variant: str) -> None:
    model = build(variant)
    texts = model.sample(count=20, length=40, seed=1)
    assert any(text.ended for text in texts)
    for text in texts:
        if text.ended and model.input.units.split(text.text) == model.input.units.split(model.score(text.text).text):
            scored = model.score(text.text)
            if scored.units == text.units:  # byte pairs may also be put together in another way
                assert text.log_prob == pytest.approx(scored.log_prob, abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"temperature": 3.0}, {"top_k": 5}, {"top_p": 0.5}, {"beam": 4}])
def test_an_unknown_unit_is_never_written(options: dict[str, Any]) -> None:
    model = build()
    with torch.no_grad():
        model.head.module.next.bias[UNKNOWN] = 30.0
    written = model.sample(count=4, length=30, lines=0, seed=1, **options)
    assert all(text.units == 30 and "<unk>" not in text.text and "<pad>" not in text.text for text in written)


def test_a_seed_decides_what_is_written() -> None:
    model = build()
    texts = model.sample(count=5, length=30, lines=0, seed=7)
    assert model.sample(count=5, length=30, lines=0, seed=7) == texts
    assert len({text.text for text in texts}) == 5
    assert model.sample(count=5, length=30, lines=0) != model.sample(count=5, length=30, lines=0)


def test_only_so_many_texts_are_drawn_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqkit.model.writing._TOGETHER", 4)
    sizes: set[int] = set()
    plain = NetworkWriter.step

    def step(writer: NetworkWriter, last: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        sizes.add(len(last))
        return plain(writer, last, state)

    monkeypatch.setattr(NetworkWriter, "step", step)
    model = build()
    texts = model.sample(count=10, length=3, lines=0, seed=1)
    assert (len(texts), sizes) == (10, {4, 2})
    assert texts[:4] == model.sample(count=4, length=3, lines=0, seed=1)


@pytest.mark.parametrize("unit", ["word", "char", "bpe"])
def test_a_text_begins_with_its_prompt_and_ends_with_its_line(unit: str) -> None:
    model = build(f"data.unit={unit}")
    for prompt in ("", "to be", "to be\nor not", "to be\n"):
        for lines in (1, 2):
            for text in model.sample(prompt, count=4, length=60, lines=lines, seed=3):
                assert text.text.startswith(prompt)
                added = text.text.count("\n") - prompt.count("\n")
                assert added == lines - 1 if text.ended else added <= lines


def test_words_stand_apart_from_the_prompt_and_characters_do_not() -> None:
    words = build().sample("to be", count=5, length=3, lines=0, seed=1)
    assert all(text.text[5:].startswith((" ", "\n")) for text in words)
    longest = build("data.unit=char").sample("to be", length=3, lines=0, seed=1)[0]
    assert len(longest.text) == 8


def test_a_prompt_is_read() -> None:
    model = build()
    (greedy,) = model.sample("to be or", length=1, lines=0, temperature=0.0)
    steps = outputs_of(model, ids_of(model, [END, "to", "be", "or"]))[-1]
    steps[:2] = -math.inf
    expected = model.input.indexer.words[int(steps.argmax())]
    assert greedy.text == ("to be or\n" if expected == END else f"to be or {expected}")
    assert greedy.log_prob == pytest.approx(float(steps.max()), abs=1e-5)


def test_a_beam_finds_different_texts_the_likeliest_first() -> None:
    model = build()
    found = model.sample(count=5, length=4, beam=50)
    assert len({text.text for text in found}) == 5
    assert [text.log_prob for text in found] == sorted((text.log_prob for text in found), reverse=True)
    assert len(model.sample(count=5, length=4, beam=2)) == 5  # no fewer for want of width
    drawn = model.sample(count=200, length=4, seed=1)
    assert found[0].log_prob >= max(text.log_prob for text in drawn) - 1e-5


@pytest.mark.parametrize(
    ("unit", "prompt", "fault"),
    [
        ("char", "tö bé", "the prompt has characters that the model does not know: 'ö', 'é'"),
        ("char", "ABCDEFGA", "the prompt has characters that the model does not know: 'A', 'B', 'C', 'D', 'E', …"),
        ("word", "to live", "the prompt has words that the model does not know: 'live'"),
    ],
)
def test_a_prompt_of_unknown_units_is_refused(unit: str, prompt: str, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        build(f"data.unit={unit}").sample(prompt)
    assert str(caught.value) == fault


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"count": 0}, "count: expected at least 1, found 0"),
        ({"count": 10_001}, "count: expected at most 10000, found 10001"),
        ({"beam": -1}, "beam: expected at least 0, found -1"),
        ({"beam": 1001}, "beam: expected at most 1000, found 1001"),
        ({"beam": 2, "count": 1001}, "beam finds at most 1,000 texts, and count is 1,001"),
        ({"temperature": -1.0}, "temperature: expected at least 0, found -1.0"),
        ({"top_p": 0.0}, "top_p: expected greater than 0, found 0.0"),
        ({"length": -1}, "length: expected at least 1, found -1"),
        (
            {"end": 3},
            "end: unknown name, expected one of prompt, count, length, temperature, top_k, top_p, beam, seed, lines",
        ),
    ],
)
def test_numbers_outside_their_range_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build().sample(**options)
    assert str(caught.value) == f"options: {fault}"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"window": 0}, "window: expected at least 1, found 0"),
        ({"window": "x"}, "window: expected a valid integer, unable to parse string as an integer, found 'x'"),
        ({"dynamic": -1}, "dynamic: expected at least 0, found -1"),
    ],
)
def test_options_of_perplexity_are_checked(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build().perplexity("to be", **options)
    assert str(caught.value) == f"options: {fault}"


def test_a_model_is_built_from_lines_or_from_their_counts() -> None:
    units = Units.word(LmSettings().data.split_kind)
    torch.manual_seed(0)
    settings = override(LmSettings(), TINY)
    one = LanguageModel.build(settings, [TextRecord(line) for line in TEXT if line])
    torch.manual_seed(0)
    other = LanguageModel.of_counts(settings, units, Corpus.read(TEXT, units).counts())
    assert one.input.indexer.words.words == other.input.indexer.words.words
    assert one.sample(seed=1, length=20) == other.sample(seed=1, length=20)


# --- the artefact -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", [*VARIANTS, "data.unit=bpe", "embedding.chars=cnn"])
def test_a_model_read_back_predicts_the_same(variant: str, tmp_path: Path) -> None:
    model = build(variant)
    model.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, LanguageModel)
    assert again.input.units == model.input.units
    assert list(again.score(TEXT)) == list(model.score(TEXT))
    assert again.sample(count=3, length=20, seed=1) == model.sample(count=3, length=20, seed=1)
    assert "seqkit lm sample" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_only_its_own_verbs() -> None:
    with pytest.raises(AttributeError) as caught:
        build().tag("to be")  # type: ignore[attr-defined]
    assert str(caught.value) == "'LanguageModel' object has no attribute 'tag'"


def test_no_limit_on_the_vocabulary_leaves_out_the_end_of_a_line() -> None:
    assert build("data.max_words=1").input.end == 2
    assert build("data.min_count=100").input.end == 2
    model = build("data.unit=bpe", "data.min_count=100")
    assert set(model.input.units.inventory()) <= set(model.input.indexer.words)


@pytest.mark.parametrize("variant", ["encoder.direction=both", "head.tied=true", "head.cutoffs=[4]"])
def test_every_parameter_learns(variant: str) -> None:
    from seqkit.training.prepare import prepare
    from seqkit.training.progress import Progress
    from seqkit.training.streams import Window

    settings = override(override(LmSettings(), TINY), parse_assignments([variant, "training.batch_size=2"]))
    dataset = from_items("lines", TEXT, TEXT, None)
    learner: Any = prepare(settings, dataset, torch.device("cpu"), Progress(quiet=True)).learner
    learner.compute(Window(0, len(learner.corpora["train"]) // 2, range(2)), None).loss.backward()
    silent = [name for name, part in learner.network.named_parameters() if part.grad is None or not part.grad.any()]
    assert not silent


def test_an_output_layer_that_cannot_be_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^head: expected ascending cutoffs in 2 … "):
        build("head.cutoffs=[4000]")


def test_unknown_units_of_a_line_are_counted() -> None:
    model = build()
    known = model.input.units.join([word for word in model.input.indexer.words.words[2:5] if word != END])
    assert model.score(known).unknown == 0
    assert model.score(f"{known} neverseen {known} northis").unknown == 2


# --- devices ------------------------------------------------------------------------------------------------------


def test_log_probabilities_of_windows_are_read_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a GPU that would wait; the sum is the same to the last bit."""
    model, corpus = build(), Corpus.read(TEXT * 5, Units.word("spaces"))
    expected = [model.log_prob(corpus, window=7, dynamic=rate) for rate in (0.0, 0.1)]
    plain, reads = Tensor.tolist, []
    for every in (1, 4, 1000):
        monkeypatch.setattr("seqkit.model.language_model._READ_EVERY", every)
        reads.clear()
        monkeypatch.setattr(Tensor, "tolist", lambda tensor: reads.append(len(tensor)) or plain(tensor))
        assert [model.log_prob(corpus, window=7, dynamic=rate) for rate in (0.0, 0.1)] == expected
        monkeypatch.setattr(Tensor, "tolist", plain)
        windows = -(-len(corpus) // 7)
        full, rest = divmod(windows, every)
        assert reads == ([every] * full + [rest] * (rest > 0)) * 2


@pytest.mark.parametrize("options", [{"count": 2}, {"beam": 2}])
def test_texts_are_written_in_fp32_whatever_torch_s_default_is(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    active: list[tuple[str, torch.device]] = []
    outside: list[str] = []

    @contextmanager
    def noted(precision: str, device: torch.device) -> Iterator[None]:
        active.append((precision, device))
        yield
        active.pop()

    monkeypatch.setattr("seqkit.model.writing.precision_context", noted)
    model = build()
    expected = [("fp32", model.device)]

    def check(module: nn.Module, given: Any) -> None:
        if active != expected:
            outside.append(type(module).__name__)

    model.network.register_forward_pre_hook(check)
    model.network.input.embedding.register_forward_pre_hook(check)
    assert model.sample("to be", length=5, seed=1, **options)
    assert not outside and not active
