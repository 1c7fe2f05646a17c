"""One encoder, many heads: what a model takes of another, what it does not, and what thaws when."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqkit.config import Settings, override, parse_assignments
from seqkit.corpora.from_python import from_items
from seqkit.errors import ModelError, SettingsError, TrainingError
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.language_model.settings import LmSettings
from seqkit.model.base import Model
from seqkit.model.loading import load
from seqkit.tasks import TASKS
from seqkit.training.learner import Learner, RecordLearner
from seqkit.training.prepare import prepare
from seqkit.training.progress import Progress
from seqkit.training.run import run
from seqkit.training.signals import Interrupted

Make = Callable[..., Any]

TINY: dict[str, Any] = {
    "embedding": {"word_size": 6, "chars": "cnn", "char_size": 4, "char_features": 4},
    "encoder": {"hidden": 5, "layers": 1},
    "training": {"epochs": 1, "batch_size": 4},
}
LINES = ["Ada met the Bo in Oslo", "Cleo saw Rome in Lima .", "Ada left", "Never a Pisa without Ada"] * 6
PAIRS = [("Ada met Bo", ["N", "V", "N"]), ("a cat saw Rome", ["D", "N", "V", "N"]), ("in Oslo", ["P", "N"])] * 4
TAGGED = [(text.split(), labels) for text, labels in PAIRS]
TEXTS = [("Ada met Bo", "a"), ("a cat saw Rome", "b"), ("zebra in Oslo", "a")] * 4
RECORDS = [{"text": "Ada left", "kind": "x"}, {"text": "Bo met a cat", "kind": "y"}] * 6


def lm_settings(*assignments: str) -> LmSettings:
    return override(override(LmSettings(), TINY), parse_assignments(assignments))


def classify_settings(*assignments: str) -> ClassifySettings:
    tree = {**TINY, "head": {"baseline": False}}
    return override(override(ClassifySettings(), tree), parse_assignments(assignments))


def generate_settings(*assignments: str) -> GenerateSettings:
    settings = override(GenerateSettings(), {**TINY, "data": {"condition": "kind:label"}})
    return override(settings, parse_assignments(assignments))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_settings: Make) -> dict[str, Path]:
    """A model of every kind to start from. Not to be changed."""
    folder = tmp_path_factory.mktemp("models")
    both = ("encoder.direction=both", "encoder.concat=final")
    wanted: dict[str, tuple[Settings, Any]] = {
        "lm": (lm_settings(), LINES),
        "lm-both": (lm_settings(*both, "encoder.layers=2", "data.lowercase=true"), LINES),
        "lm-char": (lm_settings("data.unit=char", *both), LINES),
        "lm-bpe": (lm_settings("data.unit=bpe", "data.bpe_size=270", "embedding.chars=none"), LINES),
        "tagger": (tiny_settings("encoder.hidden=5", "training.epochs=1"), TAGGED),
        "tagger-deep": (tiny_settings("encoder.hidden=5", "encoder.layers=2", "training.epochs=1"), TAGGED),
        "tagger-backward": (tiny_settings("encoder.hidden=5", "encoder.direction=backward"), TAGGED),
        "classifier": (classify_settings(), TEXTS),
    }
    for name, (settings, items) in wanted.items():
        run(settings, folder / name, items, dev=items[:3], device="cpu")
    return {name: folder / name for name in wanted}


def started(settings: Settings, items: Any, start: Path, *assignments: str) -> Learner:
    """The learner that starts from a model, before its first step."""
    settings = override(settings, {"training": {"init_from": str(start)}})
    settings = override(settings, parse_assignments(assignments))
    dataset = from_items(TASKS[settings.task].records, items, items[:3], None)
    learner = prepare(settings, dataset, torch.device("cpu"), Progress(quiet=False)).learner
    assert learner is not None
    return learner


def fault_of(kind: type[Exception], function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    return str(caught.value)


def parameters(model: Model, part: str) -> dict[str, Tensor]:
    return {name.removeprefix(part): p for name, p in model.network.named_parameters() if name.startswith(part)}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], *, same: bool = True) -> None:
    assert ours.keys() == theirs.keys() and ours
    for name, tensor in ours.items():
        if tensor.dim() == 2:  # biases begin at zero everywhere
            assert torch.equal(tensor, theirs[name]) == same, name


def assert_rows_by_word(ours: Model, theirs: Model) -> None:
    """Every word and every character that the other model knows has the vector that it has there."""
    for mine, other, table in (
        (ours.input.indexer.words, theirs.input.indexer.words, "input.embedding.table"),
        (ours.input.indexer.characters, theirs.input.indexer.characters, "input.embedding.characters.table"),
    ):
        mine_rows, other_rows = (dict(model.network.named_parameters())[table] for model in (ours, theirs))
        assert len(mine_rows) == len(mine.words) >= len(other.words)
        for word in other.words[2:]:
            (here,), (there,) = mine.indices([word]), other.indices([word])
            assert torch.equal(mine_rows[here], other_rows[there]), word
        assert torch.equal(mine_rows[:2], other_rows[:2])


# --- what is taken ------------------------------------------------------------------------------------------------


def test_a_language_model_in_both_directions_gives_a_tagger_both_stacks(
    models: dict[str, Path], tiny_settings: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    learner, source = started(tiny_settings(), TAGGED, models["lm-both"]), load(models["lm-both"])
    encoder = learner.model.settings.encoder
    assert (encoder.direction, encoder.concat, encoder.layers, encoder.hidden) == ("both", "final", 2, 5)
    assert learner.model.settings.encoder.dropout == tiny_settings().encoder.dropout  # what is no size is the task's
    assert learner.model.settings.data.lowercase
    assert_same(parameters(learner.model, "encoder."), parameters(source, "encoder."))
    assert_rows_by_word(learner.model, source)
    theirs, ours = len(source.input.indexer.words) - 2, len(learner.model.input.indexer.words) - 2
    assert theirs < ours and "cat" in learner.model.input.indexer.words and "cat" not in source.input.indexer.words
    layers = "layer 1 forward, layer 2 forward, layer 1 backward, layer 2 backward"
    said = f"taken from {models['lm-both']}: word vectors ({theirs} of {ours}), characters, {layers}; new: head\n"
    assert said in capsys.readouterr().err


def test_a_language_model_that_reads_forward_gives_one_stack(
    models: dict[str, Path], tiny_settings: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    learner, source = started(tiny_settings(), TAGGED, models["lm"]), load(models["lm"])
    assert (learner.model.settings.encoder.direction, learner.model.settings.encoder.concat) == ("both", "final")
    assert_same(parameters(learner.model, "encoder.stacks.0."), parameters(source, "encoder.stacks.0."))
    assert_same(parameters(learner.model, "encoder.stacks.1."), parameters(source, "encoder.stacks.0."), same=False)
    assert "characters, layer 1 forward; new: layer 1 backward, head\n" in capsys.readouterr().err
    one = started(tiny_settings("encoder.direction=forward"), TAGGED, models["lm"])
    assert_same(parameters(one.model, "encoder."), parameters(source, "encoder."))


def test_a_stack_is_taken_for_the_direction_in_which_it_reads(
    models: dict[str, Path], tiny_settings: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    learner, source = started(tiny_settings(), TAGGED, models["tagger-backward"]), load(models["tagger-backward"])
    assert_same(parameters(learner.model, "encoder.stacks.1."), parameters(source, "encoder.stacks.0."))
    assert "layer 1 backward; new: layer 1 forward, head\n" in capsys.readouterr().err
    forward = started(tiny_settings("encoder.direction=forward"), TAGGED, models["tagger-backward"])
    assert_same(parameters(forward.model, "encoder."), parameters(source, "encoder."), same=False)
    assert "characters; new: layer 1 forward, head\n" in capsys.readouterr().err


def test_a_tagger_gives_a_classifier_its_whole_encoder(models: dict[str, Path]) -> None:
    for name in ("tagger", "tagger-deep"):
        learner, source = started(classify_settings(), TEXTS, models[name]), load(models[name])
        assert_same(parameters(learner.model, "encoder."), parameters(source, "encoder."))
        assert_rows_by_word(learner.model, source)
        assert learner.model.settings.embedding.word_size == source.settings.embedding.word_size == 8


def test_a_classifier_gives_a_language_model_what_reads_forward(
    models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    learner, source = started(lm_settings(), LINES, models["classifier"]), load(models["classifier"])
    ours, theirs = (
        parameters(learner.model, "encoder.stacks.0.layers.0.0."),
        parameters(source, "encoder.stacks.0.layers.0.0."),
    )
    assert_same(ours, theirs)
    assert len(parameters(learner.model, "encoder.")) == len(ours)
    assert_rows_by_word(learner.model, source)
    assert "characters, layer 1 forward; new: head\n" in capsys.readouterr().err
    # On the lowest level the directions have not met yet: both may be had.
    both = started(lm_settings("encoder.direction=both"), LINES, models["classifier"])
    assert_same(parameters(both.model, "encoder."), parameters(source, "encoder."))


def test_what_has_seen_the_future_is_not_taken(models: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    started(lm_settings(), LINES, models["tagger-deep"])
    assert "layer 1 forward; new: layer 2 forward, head\n" in capsys.readouterr().err
    message = fault_of(SettingsError, started, lm_settings("encoder.direction=both"), LINES, models["tagger-deep"])
    assert message == (
        f"--init-from {models['tagger-deep']}: encoder.direction: both needs encoder.concat final in a language model; "
        "with layerwise, upper layers have seen the words that they are to predict"
    )


def test_a_generator_has_the_weights_of_its_condition_to_learn(models: dict[str, Path]) -> None:
    learner, source = started(generate_settings("data.unit=word"), RECORDS, models["lm"]), load(models["lm"])
    for name, theirs in parameters(source, "encoder.").items():
        ours = parameters(learner.model, "encoder.")[name]
        if name.endswith("weight_ih_l0"):
            size = source.network.input.embedding.output_size
            assert ours.shape[1] > size == theirs.shape[1]
            assert ours[:, size:].any()
            ours = ours[:, :size]
        assert torch.equal(ours, theirs), name
    assert_rows_by_word(learner.model, source)


def test_byte_pairs_are_those_of_the_model_that_is_started_from(models: dict[str, Path]) -> None:
    source = load(models["lm-bpe"])
    lines = ["quite another zigzag text", "zigzag zigzag"] * 4
    learner = started(lm_settings("data.unit=bpe", "data.bpe_size=300"), lines, models["lm-bpe"])
    assert learner.model.input.units == source.input.units
    assert learner.model.input.indexer.words.words == source.input.indexer.words.words
    generator = started(generate_settings("data.unit=bpe"), RECORDS, models["lm-bpe"])
    assert generator.model.input.units == source.input.units
    assert (
        generator.model.input.indexer.words.words[: len(source.input.indexer.words)] == source.input.indexer.words.words
    )


@pytest.mark.parametrize("join", ["concat", "sum"])
def test_given_vectors_come_from_the_other_model_or_are_the_new_ones(
    join: str, tiny_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, factor in (("a", 1), ("b", 2)):
        rows = [f"{word} " + " ".join(str(factor * (n + k)) for k in range(8)) for n, word in enumerate(["ada", "bo"])]
        (tmp_path / f"{name}.txt").write_text("\n".join(rows) + "\n")
    settings = tiny_settings(f"embedding.vectors={tmp_path / 'a.txt'}", f"embedding.vectors_join={join}")
    run(settings, tmp_path / "source", TAGGED, dev=TAGGED[:3], device="cpu")
    source = load(tmp_path / "source")
    learner = started(tiny_settings(), TAGGED, tmp_path / "source")
    assert torch.equal(learner.model.network.input.embedding.vectors, source.network.input.embedding.vectors)
    assert (
        learner.model.input.indexer.vectors is not None and "pretrained vectors; new: head\n" in capsys.readouterr().err
    )
    other = started(tiny_settings(), TAGGED, tmp_path / "source", f"embedding.vectors={tmp_path / 'b.txt'}")
    assert torch.equal(other.model.network.input.embedding.vectors, 2 * source.network.input.embedding.vectors)
    assert_same(parameters(other.model, "encoder."), parameters(source, "encoder."))


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "items", "message"),
    [
        ("lm-char", classify_settings(), TEXTS, "expected a model of unit word to start from, found one of char"),
        ("lm-bpe", classify_settings(), TEXTS, "expected a model of unit word to start from, found one of bpe"),
        (
            "tagger",
            lm_settings("data.unit=char"),
            LINES,
            "expected a model of unit char to start from, found one of word",
        ),
        (
            "lm-char",
            lm_settings("data.unit=bpe"),
            LINES,
            "expected a model of unit bpe to start from, found one of char",
        ),
        ("lm", generate_settings(), RECORDS, "expected a model of unit char to start from, found one of word"),
    ],
)
def test_a_model_of_other_units_is_refused(
    name: str, settings: Settings, items: Any, message: str, models: dict[str, Path]
) -> None:
    assert fault_of(SettingsError, started, settings, items, models[name]) == f"{models[name]}: {message}"


def test_a_tagger_is_told_what_a_model_of_characters_is_for(models: dict[str, Path], tiny_settings: Make) -> None:
    assert fault_of(SettingsError, started, tiny_settings(), TAGGED, models["lm-char"]) == (
        f"{models['lm-char']}: expected a model of unit word to start from, found one of char; "
        "--context takes a model of characters"
    )


def test_what_is_no_model_is_refused(tiny_settings: Make, tmp_path: Path) -> None:
    message = fault_of(ModelError, started, tiny_settings(), TAGGED, tmp_path)
    assert message.startswith(str(tmp_path))


def test_nothing_thaws_that_was_not_taken(tiny_settings: Make) -> None:
    message = fault_of(SettingsError, tiny_settings, "training.freeze=2")
    assert "training: freeze needs init_from, a model to start from" in message


# --- thawing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freeze", "thawed"),
    [
        (1, ["", "210"]),
        (2, ["", "2", "210"]),
        (3, ["", "2", "21", "210"]),
        (4, ["", "", "2", "21", "210"]),
        (6, ["", "", "2", "2", "21", "21", "210"]),
    ],
)
def test_the_top_thaws_first_and_the_embedding_last(
    freeze: int, thawed: list[str], models: dict[str, Path], tiny_settings: Make
) -> None:
    """Of two levels, 2 and 1, and the embedding, 0."""
    learner = started(tiny_settings(), TAGGED, models["lm-both"], f"training.freeze={freeze}")
    groups = {
        "2": [name for name in parameters(learner.model, "") if ".layers.1." in name],
        "1": [name for name in parameters(learner.model, "") if ".layers.0." in name],
        "0": [name for name in parameters(learner.model, "") if name.startswith("input.")],
    }
    for epoch, digits in enumerate([*thawed, "210"]):
        wanted = {name for digit, names in groups.items() if digit not in digits for name in names}
        assert learner.frozen(epoch) == wanted, epoch


def test_what_is_frozen_does_not_move_and_what_has_thawed_does(
    models: dict[str, Path], tiny_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights after each epoch, of a run whose first epochs are frozen in part; with averaging and weight decay."""
    seen: list[dict[str, Tensor]] = []
    plain = RecordLearner.evaluate

    def noted(learner: RecordLearner) -> dict[str, float]:
        seen.append({name: p.detach().clone() for name, p in learner.network.named_parameters()})
        return plain(learner)

    monkeypatch.setattr(RecordLearner, "evaluate", noted)
    options = ("training.weight_decay=0.1", "training.average=0.5", "training.epochs=4", "training.freeze=3")
    settings = tiny_settings(f"training.init_from={models['lm-both']}", *options)
    trained = run(settings, tmp_path / "model", TAGGED, dev=TAGGED[:3], device="cpu")
    start = {name: p for name, p in started(tiny_settings(), TAGGED, models["lm-both"]).network.named_parameters()}
    frozen = (("input.", ".layers.0.", ".layers.1."), ("input.", ".layers.0."), ("input.",), ())
    for before, after, kept in zip([start, *seen], seen, frozen, strict=False):
        for name, tensor in after.items():
            if any(part in name for part in kept):
                assert torch.equal(tensor, start[name]), name
            elif ".characters." not in name:  # of which a maximum may hide some
                assert not torch.equal(tensor, before[name]), name
    counts = trained.model.report["parameters"]
    assert counts["input"] > 0 and counts["encoder"] > 0  # all count, also where the best epoch was a frozen one


# --- whole runs ---------------------------------------------------------------------------------------------------


def starts(models: dict[str, Path], tiny_settings: Make) -> Iterator[tuple[str, Settings, list[Any]]]:
    yield "lm-both", tiny_settings(), TAGGED
    yield "tagger-deep", classify_settings(), TEXTS
    yield "classifier", lm_settings(), LINES
    yield "lm", generate_settings("data.unit=word"), RECORDS


def test_a_model_has_all_that_it_took(models: dict[str, Path], tiny_settings: Make, tmp_path: Path) -> None:
    for name, settings, items in starts(models, tiny_settings):
        source = tmp_path / "source"
        shutil.copytree(models[name], source)
        settings = override(settings, {"training": {"init_from": str(source)}})
        trained = run(settings, tmp_path / name, items, dev=items[:3], device="cpu").model
        shutil.rmtree(source)
        model = load(tmp_path / name)
        assert model.settings.training.init_from == "source"  # where it lay is nobody's business
        for key, tensor in trained.network.state_dict().items():
            if trained._is_kept(key):
                assert torch.equal(tensor, model.network.state_dict()[key])
        if name == "lm-both":
            tokens = [tokens for tokens, _ in TAGGED]
            assert [record.labels for record in model.predict(tokens)] == [r.labels for r in trained.predict(tokens)]


@pytest.mark.parametrize("steps", [2, 4, 7])
def test_a_run_that_started_from_a_model_is_resumed(
    steps: int, models: dict[str, Path], tiny_settings: Make, tmp_path: Path
) -> None:
    settings = tiny_settings(
        f"training.init_from={models['lm-both']}", "training.freeze=2", "training.epochs=3", "training.batch_size=4"
    )
    options = {"dev": TAGGED[:3], "device": "cpu"}
    run(settings, tmp_path / "whole", TAGGED, **options)
    with pytest.MonkeyPatch.context() as patch:
        plain = RecordLearner.compute
        left = iter(range(steps - 1, -1, -1))

        def counted(learner: RecordLearner, batch: Any, carried: Any) -> Any:
            if next(left, 1) == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return plain(learner, batch, carried)

        patch.setattr(RecordLearner, "compute", counted)
        with pytest.raises(Interrupted):
            run(settings, tmp_path / "parts", TAGGED, **options)
    run(settings, tmp_path / "parts", TAGGED, resume=True, **options)
    files = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


def test_a_checkpoint_is_taken_up_only_with_the_model_that_it_started_from(
    models: dict[str, Path], tiny_settings: Make, tmp_path: Path
) -> None:
    source = tmp_path / "elsewhere" / "source"
    shutil.copytree(models["lm"], source)
    options = {"dev": TAGGED[:3], "device": "cpu"}
    run(tiny_settings(f"training.init_from={models['lm']}"), tmp_path / "model", TAGGED, **options)
    longer = tiny_settings(f"training.init_from={source}", "training.epochs=3")
    run(longer, tmp_path / "model", TAGGED, resume=True, **options)  # the same model, wherever it lies
    shutil.rmtree(source)
    run(lm_settings("training.seed=7"), source, LINES, dev=LINES[:3], device="cpu")
    message = fault_of(TrainingError, run, longer, tmp_path / "model", TAGGED, resume=True, **options)
    assert "expected a checkpoint with checksum of the data = " in message
    assert message.endswith("start again with --force")


def test_the_columns_of_one_hot_words_stay_with_their_words(tmp_path: Path) -> None:
    settings = lm_settings("embedding.one_hot=true", "encoder.layers=2", "embedding.chars=cnn")
    run(settings, tmp_path / "start", LINES, dev=LINES[:3], device="cpu")
    start = load(tmp_path / "start")
    learner = started(lm_settings(), [*LINES, "wholly unheard words"], tmp_path / "start")
    model = learner.model
    assert model.settings.embedding.one_hot
    old, new = len(start.input.indexer.words), len(model.input.indexer.words)
    assert new == old + 3
    for name, theirs in parameters(start, "encoder.").items():
        ours = parameters(model, "encoder.")[name]
        if ours.shape == theirs.shape:
            assert torch.equal(ours, theirs), name
            continue
        assert name.endswith("layers.0.0.rnn.weight_ih_l0")
        assert torch.equal(ours[:, :old], theirs[:, :old])
        assert torch.equal(ours[:, new:], theirs[:, old:])  # of the character features, which come after
        assert ours[:, old:new].any()
