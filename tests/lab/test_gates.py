"""Gates of a model over a text, against loops written straight from the equations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqkit.config import override
from seqkit.errors import DataError, ModelError
from seqkit.formats.arrays import ArraySource
from seqkit.formats.audio import AudioFile
from seqkit.heads.classification.settings import ClassifyFramesSettings, ClassifySettings
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.inputs.segmentation import Units
from seqkit.lab.gates import Gate, GateRecord, LayerGates, record_gates, sequence_of, shown_step
from seqkit.lab.gates_picture import MOST_FRAMES, MOST_STEPS, draw
from seqkit.model.base import Model
from seqkit.model.classifier import Classifier
from seqkit.model.generator import Generator
from seqkit.model.language_model import LanguageModel
from seqkit.model.tagger import Tagger
from seqkit.nn.recurrent import CELLS
from seqkit.records import FrameRecord, Sentence

TEXT = "Ada met Bo in Rome"
SMALL = {"embedding": {"word_size": 6, "chars": "none"}, "encoder": {"hidden": 5, "layers": 2}}


def tagger(**encoder: object) -> Tagger:
    settings = override(override(TagSettings(), SMALL), {"encoder": encoder})
    torch.manual_seed(3)
    return Tagger.build(settings, [Sentence.from_tokens(TEXT.split(), {"label": list("ABABA")})])


def classifier(**encoder: object) -> Classifier:
    settings = override(override(ClassifySettings(), SMALL), {"encoder": encoder})
    torch.manual_seed(3)
    sentences = [Sentence.from_tokens(TEXT.split()) for _ in range(2)]
    for sentence, label in zip(sentences, "AB", strict=True):
        sentence.fields = {"label": label}
    return Classifier.build(settings, sentences)


def language_model(**encoder: object) -> LanguageModel:
    settings = override(override(LmSettings(), SMALL), {"encoder": {"direction": "forward", **encoder}})
    units = Units.word()
    torch.manual_seed(3)
    return LanguageModel.of_counts(settings, units, dict.fromkeys(TEXT.split(), 2))


def test_byte_pairs_are_spelled() -> None:
    units = Units.train_bpe(["ab ab ab"], 257)
    model = LanguageModel.of_counts(override(LmSettings(), SMALL), units, dict.fromkeys(units.split("ab é"), 2))
    assert record_gates(model, "ab é").steps == ["\n", "ab", " ", "<0xC3>", "<0xA9>"]


def generator(**encoder: object) -> Generator:
    settings = override(override(GenerateSettings(), SMALL), {"encoder": {"direction": "forward", **encoder}})
    settings = override(settings, {"data": {"condition": "kind", "unit": "char"}})
    records = [Sentence([], text, [], fields={"kind": kind}) for kind, text in (("a", "bad\ncab"), ("b", "dab"))]
    torch.manual_seed(3)
    return Generator.build(settings, records)


MODELS: dict[str, Callable[..., Model]] = {
    "tag": tagger,
    "classify": classifier,
    "lm": language_model,
    "generate": generator,
}


def run_layer(layer: torch.nn.Module, x: Tensor, cell: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs [T, H] and gates [T, H] of a layer over x [T, I], one step after the other, from the equations."""
    (w,), (u,), (b,), (c,) = ([p for name, p in layer.named_parameters() if key in name] for key in PARTS)
    hidden = layer.hidden_size
    h, memory = torch.zeros(hidden), torch.zeros(hidden)
    outputs, gates = (
        [],
        {name: [] for name in (("input", "forget", "output") if cell == "lstm" else ("reset", "update"))},
    )
    for step in x:
        own, recurrent = w @ step + b, u @ h + c
        if cell == "lstm":
            i, f, g, o = (own + recurrent).split(hidden)
            memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
            h = o.sigmoid() * memory.tanh()
            found = (i, f, o)
        else:
            (r, z, n), (r2, z2, n2) = own.split(hidden), recurrent.split(hidden)
            found = (r + r2, z + z2)
            candidate = (n + found[0].sigmoid() * n2).tanh()
            h = (1 - found[1].sigmoid()) * candidate + found[1].sigmoid() * h
        outputs.append(h)
        for name, value in zip(gates, found, strict=True):
            gates[name].append(value.sigmoid())
    return torch.stack(outputs), {name: torch.stack(values) for name, values in gates.items()}


def needs_matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the plots extra")


PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(
    ("direction", "concat"), [("both", "layerwise"), ("both", "final"), ("forward", "layerwise"), ("backward", "final")]
)
@torch.no_grad()
def test_every_layer_and_direction_by_hand(cell: str, direction: str, concat: str) -> None:
    model = tagger(cell=cell, direction=direction, concat=concat)
    encoder = model.network.encoder
    inputs: list[Tensor] = []
    hook = encoder.register_forward_pre_hook(lambda _, given: inputs.append(given[0][0].clone()))
    record = record_gates(model, TEXT)
    hook.remove()
    (x,) = inputs  # [T, I]
    directions = ["forward", "backward"] if direction == "both" else [direction]
    below = {name: x for name in directions}
    # stack by stack, level by level, direction by direction
    if concat == "layerwise":
        names = [(level, name) for level in (1, 2) for name in directions]
    else:
        names = [(level, name) for name in directions for level in (1, 2)]
    layers = dict(zip(names, encoder.layers, strict=True))
    assert [(one.level, one.direction) for one in record.layers] == [(n, name) for n in (1, 2) for name in directions]
    found = {(one.level, one.direction): {gate.name: gate.values for gate in one.gates} for one in record.layers}
    for level in (1, 2):
        above = {}
        for name in directions:
            x = below[name].flip(0) if name == "backward" else below[name]
            outputs, gates = run_layer(layers[level, name], x, cell)
            turned = (lambda t: t.flip(0)) if name == "backward" else (lambda t: t)
            above[name] = turned(outputs)
            assert list(found[level, name]) == list(gates)
            for gate, values in gates.items():
                np.testing.assert_allclose(found[level, name][gate], turned(values).numpy(), rtol=1e-4, atol=1e-6)
        together = torch.cat(list(above.values()), 1)
        below = dict.fromkeys(directions, together) if concat == "layerwise" else above


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ("tag", TEXT.split()),
        ("classify", TEXT.split()),
        ("lm", ["\n", *TEXT.split()]),
        ("generate", ["\n\n", *TEXT]),
    ],
)
def test_models_of_all_tasks(task: str, steps: list[str]) -> None:
    model = MODELS[task](cell="gru")
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    conditions = {"kind": "b"} if task == "generate" else None
    record = record_gates(model, TEXT, conditions)
    assert (record.task, record.cell, list(record.steps)) == (task, "gru", steps)
    assert [one.level for one in record.layers] == ([1, 1, 2, 2] if task in ("tag", "classify") else [1, 2])
    for layer in record.layers:
        assert [gate.name for gate in layer.gates] == ["reset", "update"]
        assert all(gate.values.shape == (len(steps), 5) for gate in layer.gates)
    # nothing of it stays with the model, and it does the same again
    assert not any(layer._forward_pre_hooks for layer in model.network.encoder.layers)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    again = record_gates(model, TEXT, conditions)
    assert again.to_json() == record.to_json()


def test_the_condition_of_a_generator_has_influence() -> None:
    model = generator()
    first, second = (record_gates(model, "bad", {"kind": kind}).layers[0].gates[0].values for kind in "ab")
    assert not np.allclose(first[0], second[0])


@pytest.mark.parametrize("cell", ["gru", "lstm", "lstm_peephole"])
@torch.no_grad()
def test_the_gates_of_a_generator_start_from_its_condition(cell: str) -> None:
    model = generator(cell=cell, layers=1)
    (layer,) = model.network.encoder.layers
    inputs: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    record = record_gates(model, "bad", {"kind": "b"})
    hook.remove()
    (x,) = inputs  # [1, T, I]
    condition = model.head.conditions([model.record({"kind": "b"})]).collate(np.arange(1))
    (state,) = model.head.start(condition, 1).state
    for gate in record.layers[0].gates:
        np.testing.assert_allclose(gate.values[0], layer.gates(x[:, :1], state)[gate.name][0, 0], rtol=1e-4, atol=1e-6)
        assert not np.allclose(gate.values[0], layer.gates(x[:, :1])[gate.name][0, 0], atol=1e-4)


@pytest.mark.parametrize("task", ["tag", "lm", "generate"])
def test_a_long_text_is_read_in_one_piece(task: str) -> None:
    record = record_gates(
        MODELS[task](), " ".join(["Ada"] * 3000) if task != "generate" else "bad" * 1000, {"kind": "a"}
    )
    assert len(record.steps) == {"tag": 3000}.get(task, 3001)
    assert all(gate.values.shape == (len(record.steps), 5) for layer in record.layers for gate in layer.gates)


# cell → the parameter and the block of the bias of its update gate
UPDATES = {"gru": ("rnn.bias_ih_l0", 1), "gru_simple": ("bias", 0), "mingru": ("bias", 0)}


@pytest.mark.parametrize("cell", UPDATES)
@torch.no_grad()
def test_the_effect_of_an_open_update_gate(cell: str) -> None:
    layer = CELLS[cell](3, 4)
    name, block = UPDATES[cell]
    layer.get_parameter(name).view(-1, 4)[block] = 50.0  # open
    state = torch.tensor([[0.5, -0.25, 0.75, -0.5]])
    x = torch.randn(1, 1, 3)
    assert layer.gates(x, (state,))["update"].min() > 0.99
    kept = torch.allclose(layer(x, (state,))[0][0], state, atol=1e-4)
    record = GateRecord("lm", cell, ["a"], [LayerGates(1, "forward", [Gate("update", np.ones((1, 4), np.float32))])])
    assert record.opened == {"update": "keeps the last state" if kept else "replaces the last state"}
    assert kept == (cell != "mingru")


def test_the_text_of_a_generator_may_have_several_lines() -> None:
    assert record_gates(generator(), "ab\nd", {"kind": "a"}).steps == ["\n\n", "a", "b", "\n", "d"]


def test_a_later_word_does_not_change_the_gates_before_it() -> None:
    model = language_model()
    one, other = (record_gates(model, text).layers[-1].gates for text in ("Ada met Bo", "Ada met Rome"))
    for before, after in zip(one, other, strict=True):
        assert np.array_equal(before.values[:3], after.values[:3])
        assert not np.allclose(before.values[3], after.values[3])


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell(cell: str) -> None:
    model = language_model(cell=cell, hidden=8)
    names = list(model.network.encoder.layers[0].gates(torch.zeros(1, 1, 6)))
    if not names:
        with pytest.raises(ModelError) as caught:
            record_gates(model, TEXT)
        assert str(caught.value) == f"the cell {cell} has no gates"
        return
    record = record_gates(model, TEXT)
    for layer in record.layers:
        further = ["depth"] if (cell, layer.level) == ("lstm_depth", 2) else []
        assert [gate.name for gate in layer.gates] == [*names, *further]
        for gate in layer.gates:
            assert gate.values.shape == (6, 8)
            assert 0.0 <= gate.values.min() <= gate.values.max() <= 1.0
    assert list(record.opened) == [*names, *(["depth"] if cell == "lstm_depth" else [])]
    needs_matplotlib()
    draw(record, cell)


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ("tag", "", "the text is empty"),
        ("classify", "  ", "the text is empty"),
        ("lm", "", "the text is empty"),
        ("generate", "", "the text is empty"),
        ("tag", "a\nb\nc", "the text has 3 lines; give one line"),
        ("lm", "a\nb", "the text has 2 lines; give one line"),
    ],
)
def test_texts_that_cannot_be_read(task: str, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        record_gates(MODELS[task](), text, {"kind": "a"})
    assert str(caught.value) == message


def test_a_condition_that_is_missing() -> None:
    with pytest.raises(DataError, match="kind"):
        record_gates(generator(), "bad")


VALUES = np.array([[0.05, 0.5, 0.95], [0.05, 0.2, 1.0]], dtype=np.float32)  # [T, H]


def a_record(steps: list[str], values: np.ndarray = VALUES) -> GateRecord:
    return GateRecord("lm", "gru", steps, [LayerGates(1, "forward", [Gate("update", values)])])


def test_figures_by_hand() -> None:
    found = a_record(["a", "b"]).to_json()
    gate = found["layers"][0]["gates"]["update"]
    assert gate["mean"] == pytest.approx(2.75 / 6)
    assert (gate["closed"], gate["open"]) == (2 / 6, 2 / 6)
    assert gate["by_step"] == [0.5, 0.4167]
    assert gate["order"] == [2, 1, 0]
    assert gate["values"] == [[0.05, 0.5, 0.95], [0.05, 0.2, 1.0]]
    assert {name: found[name] for name in ("cell", "steps")} == {"cell": "gru", "steps": ["a", "b"]}
    assert found["open"] == {"update": "keeps the last state"}
    json.dumps(found, allow_nan=False)


def test_the_table_by_hand() -> None:
    head, row, blank, note, opened = a_record(["\n", "b"]).render().split("\n")
    assert " ".join(head.split()) == "layer gate lowest at highest at mean from to < 0.1 > 0.9"
    assert " ".join(row.split()) == "1 forward update b (2) ↵ (1) 0.458 0.417 0.500 33 % 33 %"
    assert (blank, note[:5]) == ("", "mean:")
    assert opened == "open: update: keeps the last state"


@pytest.mark.parametrize(
    ("step", "shown"), [("\n\n", "¶"), ("\n", "↵"), (" ", "␣"), ("a b", "a␣b"), ("é", "é"), ("\udce9", "\ufffd")]
)
def test_white_space_is_visible(step: str, shown: str) -> None:
    assert shown_step(step) == shown


def test_the_picture() -> None:
    needs_matplotlib()
    figure = draw(record_gates(tagger(), TEXT), "a $title$")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert sorted(titles) == [f"layer {level}, {name}" for level in (1, 2) for name in ("backward", "forward")]
    assert len(figure.axes) == 4 * (1 + 3) + 1  # of each layer the means and three gates; and the scale
    labels = [[label.get_text() for label in axes.get_xticklabels()] for axes in figure.axes[:-1]]
    assert [row for row in labels if row] == [TEXT.split()] * 4
    for axes in figure.axes[:-1]:
        (image,) = axes.images
        assert image.get_clim() == (0.0, 1.0)


def test_every_gate_has_a_row_and_a_panel_of_its_own() -> None:
    needs_matplotlib()
    reset, update = VALUES, 1 - VALUES[:, [1, 0, 2]]
    gates = [Gate("reset", reset), Gate("update", update)]
    record = GateRecord("lm", "gru", ["a", "b"], [LayerGates(1, "forward", gates)])
    means, *panels, _ = draw(record, "gates").axes
    assert [label.get_text() for label in means.get_yticklabels()] == ["reset, mean", "update, mean"]
    np.testing.assert_allclose(means.images[0].get_array(), [reset.mean(1), update.mean(1)], rtol=1e-6)
    assert [axes.get_ylabel() for axes in panels] == ["reset\n3 units", "update\n3 units"]
    # the units that are open most stand first
    for axes, values, order in zip(panels, (reset, update), ([2, 1, 0], [1, 0, 2]), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), values[:, order].T)


def test_the_picture_of_odd_tokens() -> None:
    needs_matplotlib()
    figure = draw(a_record(["$a$", "漢" * 40]), "$x$")
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["$a$", "漢" * 23 + "…"]


def test_only_the_beginning_of_a_long_text_is_drawn() -> None:
    needs_matplotlib()
    steps = MOST_STEPS + 30
    figure = draw(a_record(["a"] * steps, np.zeros((steps, 2), dtype=np.float32)), "long")
    title = f"long, first {MOST_STEPS} of {steps} steps\nopen: update: keeps the last state"
    assert figure.get_suptitle() == title
    assert figure.axes[1].images[0].get_array().shape == (2, MOST_STEPS)


# --- sequences of vectors -------------------------------------------------------------------------------------------

FRAMES = np.random.default_rng(4).normal(3.0, 2.0, (7, 3)).astype(np.float32)  # [N, F]


def of_frames(sources: list[Any], sections: dict[str, Any]) -> Classifier:
    small = {"encoder": {"hidden": 5, "layers": 2, "cell": "gru"}}
    settings = override(override(ClassifyFramesSettings(), small), sections)
    torch.manual_seed(3)
    return Classifier.build(settings, [FrameRecord(one, fields={"label": str(n)}) for n, one in enumerate(sources)])


def gestures(**frames: Any) -> Classifier:
    return of_frames([ArraySource(FRAMES), ArraySource(FRAMES[:4] * 2)], {"frames": frames})


def gates_of(record: GateRecord) -> list[np.ndarray]:
    return [gate.values for layer in record.layers for gate in layer.gates]


@torch.no_grad()
def test_the_gates_of_a_sequence_are_those_of_its_steps() -> None:
    model = gestures(stack=2)
    record = record_gates(model, FRAMES)
    assert (record.unit, record.spacing, list(record.steps)) == ("frames", 2, ["0", "2", "4", "6"])
    every = np.concatenate([FRAMES, FRAMES[:4] * 2])  # the training frames, by whose mean and deviation is normalised
    x = np.concatenate([(FRAMES - every.mean(0)) / every.std(0), np.zeros((1, 3))])  # the last step is padded
    steps = torch.from_numpy(x.reshape(4, 6)).float()  # [T, I]
    layers = model.network.encoder.layers
    for layer, found in zip(layers[:2], record.layers[:2], strict=True):
        backward = found.direction == "backward"
        _, gates = run_layer(layer, steps.flip(0) if backward else steps, "gru")
        for gate in found.gates:
            expected = gates[gate.name].flip(0) if backward else gates[gate.name]
            np.testing.assert_allclose(gate.values, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("concat", ["layerwise", "final"])
def test_a_long_sequence_is_read_in_pieces(concat: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = of_frames([ArraySource(FRAMES), ArraySource(FRAMES)], {"encoder": {"concat": concat}})
    expected = gates_of(record_gates(model, FRAMES))
    monkeypatch.setattr("seqkit.nn.recurrent.layer._WINDOW", 3)
    for found, whole in zip(gates_of(record_gates(model, FRAMES)), expected, strict=True):
        np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)


def test_a_sequence_is_named_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, numbers = gestures(), json.dumps(FRAMES.tolist())
    np.save(tmp_path / "a.npy", FRAMES)
    np.save(tmp_path / "all.npy", np.stack([FRAMES + 1, FRAMES]))
    np.savez(tmp_path / "b.npz", other=FRAMES[:2], wanted=FRAMES)
    monkeypatch.chdir(tmp_path)
    expected = gates_of(record_gates(model, model.record(FRAMES)))
    objects = ['{"frames": "a.npy"}', f'{{"frames": {numbers}, "label": 1}}', f'{{"path":\n{numbers}}}']
    for given in ("a.npy", str(tmp_path / "a.npy"), "all.npy#1", "b.npz#wanted", numbers, f"\n {numbers}", *objects):
        found = gates_of(record_gates(model, given))
        assert all(map(np.array_equal, found, expected)), given


def test_an_object_may_have_a_field_of_its_own() -> None:
    assert sequence_of('{"signal": [[1, 2]], "frames": [[3, 4]]}', "signal").source.read().tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "hello",
            "'hello': expected the name of an array (.npy, .npz), a table (.csv), a recording (.wav, .flac, .ogg) "
            "or a piece of music (.mid)",
        ),
        ("[[1, 2", "JSON:1: invalid JSON at character 7"),
        ("[]", 'expected a list of frames, each of numbers in "frames", found []'),
        ('{"a": 1}', "expected a field 'frames' with a sequence of vectors, found 'a'"),
        ("[[1, 2]]", "expected 3 features a frame, as in training, found 2"),
        ('[[1, 2, "a"]]', "expected a number, found 'a' in frame 0, feature 2, counted from 0"),
        ("[[1, 2, NaN]]", "expected finite numbers, found nan in frame 0, feature 2, counted from 0"),
    ],
)
def test_sequences_that_cannot_be_read(given: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        record_gates(gestures(), given)
    assert str(caught.value) == message


def test_an_array_of_several_sequences_is_not_one(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", np.stack([FRAMES, FRAMES]))
    with pytest.raises(DataError) as caught:
        record_gates(gestures(), str(tmp_path / "all.npy"))
    found = "expected one, found 2 sequences; name one of them, such as all.npy#0"
    assert str(caught.value).endswith(f": {found}")


def test_the_steps_of_a_recording_are_in_seconds(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("kaldi_native_fbank")
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, 4000), 8000)
    model = of_frames([AudioFile(path), AudioFile(path)], {"audio": {"shift": 20.0}, "frames": {"stack": 2}})
    record = record_gates(model, str(path))
    assert (record.unit, record.spacing) == ("seconds", pytest.approx(0.04))
    assert list(record.steps) == [f"{0.04 * step:.10g}" for step in range(len(record.steps))]
    assert record.to_json()["unit"] == "seconds"
    assert record.render().splitlines()[1].split()[4] == "s"


def test_the_axis_of_a_sequence_has_numbers() -> None:
    needs_matplotlib()
    for unit, spacing in (("seconds", 0.01), ("frames", 3)):
        values = np.linspace(0, 1, (MOST_FRAMES + 5) * 2, dtype=np.float32).reshape(-1, 2)
        steps = [f"{spacing * step:g}" for step in range(len(values))]
        layers = [LayerGates(1, "forward", [Gate("update", values)])]
        figure = draw(GateRecord("classify", "gru", steps, layers, unit, spacing), "long")
        title = f"long, first {MOST_FRAMES} of {MOST_FRAMES + 5} steps"
        assert figure.get_suptitle().splitlines()[0] == title
        axes = figure.axes[1]
        (image,) = axes.images
        assert image.get_array().shape == (2, MOST_FRAMES)
        assert image.get_extent() == pytest.approx([-spacing / 2, (MOST_FRAMES - 0.5) * spacing, 1.5, -0.5])
        assert axes.get_xlabel() == {"seconds": "seconds", "frames": "frame"}[unit]
        assert figure.get_figwidth() < 10


def test_places_in_the_table_are_frames_or_seconds() -> None:
    for unit, place in (("frames", "frame 4"), ("seconds", "4 s")):
        layers = [LayerGates(1, "forward", [Gate("update", VALUES)])]
        row = GateRecord("classify", "gru", ["0", "4"], layers, unit, 4.0).render().splitlines()[1]
        assert place in row and "(" not in row
