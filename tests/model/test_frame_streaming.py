"""`Model.stream` of sequences of vectors: frames or samples in chunks, answers equal to those of the whole."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from seqkit.config import parse_settings
from seqkit.config.sections import EncoderSettings
from seqkit.errors import DataError, SettingsError
from seqkit.formats.manifest import row_frames
from seqkit.formats.runs import runs_of
from seqkit.formats.schemes import from_spans
from seqkit.heads.transcription.stream import OpenText, Speller
from seqkit.inputs.segmentation import Units
from seqkit.model.base import Model
from seqkit.model.tagger import FrameTagger
from seqkit.model.transcriber import Transcriber
from seqkit.records import SpokenSymbol

SIZES = (1, 2, 7, 59, 1000)
STACKINGS: tuple[dict[str, Any], ...] = (
    {},
    {"stack": 3},
    {"stack": 4, "stride": 2},
    {"stack": 2, "stride": 5},
    {"convolutions": 2, "kernel": 3, "channels": 5},
    {"convolutions": 1, "kernel": 5, "channels": 5, "causal": True, "stack": 2},
)


def shaken(model: Any, seed: int = 0) -> Any:
    """A model whose answers differ from frame to frame."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.normal_(0, 0.5)
    return model


def arrays(count: int = 3, size: int = 3, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    draw = np.random.default_rng(seed)
    return [draw.normal(size=(int(draw.integers(40, 70)), size)).astype(np.float32) for _ in range(count)]


def transcriber(frames: dict[str, Any] | None = None, unit: str = "char", **encoder: Any) -> Transcriber:
    settings = parse_settings(
        {
            "task": "transcribe",
            "data": {"unit": unit},
            "frames": frames or {},
            "encoder": {"hidden": 6, "layers": 2, "direction": "forward", **encoder},
        },
        "test",
    )
    texts = ("ab ba", "c", "cab a")
    return shaken(
        Transcriber.build(
            settings, [row_frames({"frames": x, "text": t, "speaker": 1}) for x, t in zip(arrays(), texts, strict=True)]
        )
    )


def tagger(scheme: str, crf: bool, frames: dict[str, Any] | None = None, **data: Any) -> FrameTagger:
    spans = [(0, 3, "A"), (3, 8, "A"), (8, 9, "B"), (12, 16, "A"), (16, 30, "B")]
    settings = parse_settings(
        {
            "task": "tag",
            "input": "frames",
            "data": {"scheme": scheme, **data},
            "frames": frames or {},
            "head": {"crf": crf},
            "encoder": {"hidden": 6, "layers": 1, "direction": "forward"},
        },
        "test",
    )
    rows = []
    for x in arrays():
        labels = ["O", "A", "B", "A"] * 100
        if scheme != "none":
            labels = from_spans(spans, len(x), scheme)
        rows.append(row_frames({"frames": x, "labels": labels[: len(x)]}))
    return shaken(FrameTagger.build(settings, rows))


def chunks(sequence: Any, size: int) -> Iterator[Any]:
    for begin in range(0, len(sequence), size):
        yield sequence[begin : begin + size]


def streamed(stream: Any, sequence: Any, size: int) -> list[Any]:
    found: list[Any] = []
    for chunk in chunks(sequence, size):
        found += stream.accept(chunk)
    return found + stream.finish()


def scores_of(model: Model, sequence: Any) -> torch.Tensor:
    """What the head scores of a whole sequence, [1, T, …]."""
    records = [model.record(sequence)]
    batch = model.input.collate(model.input.arrays(records), np.array([0]))
    with torch.inference_mode():
        found: torch.Tensor = model.head.score(model.network.eval()(batch))
    return found


def streamed_scores(model: Model, sequence: Any, size: int) -> torch.Tensor:
    """The same in chunks."""
    stream = model.stream()
    found: list[torch.Tensor] = []
    accept = stream._decided.accept
    stream._decided.accept = lambda scores, extent=None: (found.append(scores), accept(scores, extent))[1]
    streamed(stream, sequence, size)
    return torch.cat(found, 1)


# --- equal to the whole -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", get_args(EncoderSettings.model_fields["cell"].annotation))
def test_scores_are_those_of_the_whole_with_every_cell(cell: str) -> None:
    model = transcriber({"stack": 2}, cell=cell)
    (x,) = arrays(1, seed=5)
    whole = scores_of(model, x)
    most = max(1.0, float(whole.abs().max()))  # sums of some cells grow, and with them what is rounded
    for size in SIZES:
        torch.testing.assert_close(streamed_scores(model, x, size), whole, rtol=0, atol=1e-5 * most)


@pytest.mark.parametrize("frames", STACKINGS)
def test_symbols_are_those_of_the_whole(frames: dict[str, Any]) -> None:
    model = transcriber(frames)
    stream = model.stream()
    for number, x in enumerate(arrays(2, seed=1)):
        whole = model.transcribe(x, times=True)
        assert whole.symbols
        torch.testing.assert_close(streamed_scores(model, x, 7), scores_of(model, x), rtol=0, atol=1e-5)
        step = model.settings.frames.step
        for size in SIZES:
            found = streamed(stream, x if number % 2 else x.tolist(), size)
            assert [(each.symbol, each.start) for each in found] == [
                (each.symbol, each.start) for each in whole.symbols
            ]
            assert stream.extent == (len(x), None)
            text = OpenText(model.head.units)
            assert "".join(text.add([each.symbol]) for each in found) == whole.text
            scores = scores_of(model, x).exp()[0]
            for each, same in zip(found, whole.symbols, strict=True):
                assert each.end in (each.start + step, len(x))
                assert each.end <= same.end or each.end == each.start + step
                of = 1 + model.head.symbols.labels.index(each.symbol)
                assert each.posterior == pytest.approx(float(scores[each.start // step, of]), abs=1e-5)
                assert each.posterior <= same.posterior + 1e-5


def test_a_symbol_is_given_with_its_first_step() -> None:
    model = transcriber()
    (x,) = arrays(1, seed=2)
    stream = model.stream()
    assert (stream.lag, stream.delay) == (0, 0)
    for number, frame in enumerate(x):
        assert all(each.start == number for each in stream.accept([frame]))
    assert stream.finish() == stream.finish() == []


@pytest.mark.parametrize(("frames", "delay"), list(zip(STACKINGS, (0, 2, 3, 1, 2, 1), strict=True)))
def test_the_delay_is_as_told(frames: dict[str, Any], delay: int) -> None:
    model = transcriber(frames)
    stream = model.stream()
    assert stream.delay == delay
    vectors, module = model.input.stream(model.network.input), model.network.input.layer
    steps = 0
    for number, frame in enumerate(arrays(1, seed=2)[0]):
        steps += vectors.accept([frame]).shape[1]
        assert steps == max(0, (number - delay) // module.stacking.stride + 1)


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("scheme", ["none", "iob1", "iob2", "bioes"])
def test_runs_are_those_of_the_whole(scheme: str, crf: bool) -> None:
    for frames in ({}, {"stack": 2, "stride": 3}):
        model = tagger(scheme, crf, frames, frame_rate=20)
        with torch.no_grad():
            model.network.head.emission.bias[model.head.codec.tags.index("A" if scheme == "none" else "S-A")] += 2.0
        independent = scheme == "none" and not crf
        for x in arrays(2, seed=3):
            (whole,) = model.predict([x], probs=independent)
            assert whole.runs
            for lag in (0, 100) if independent else (0, 2, 100):
                (lagged,) = model.predict([x], lag=lag, probs=independent)
                stream = model.stream(lag=lag, probs=independent)
                assert stream.lag == (0 if independent else lag)
                for size in (1, 7, 1000):
                    found = streamed(stream, x, size)
                    expected = [(run.start, run.end, run.label) for run in lagged.runs]
                    assert [(run.start, run.end, run.label) for run in found] == expected
                    objects = [stream.to_json(run) for run in found]
                    probs = [each.pop("prob", None) for each in objects]
                    right = lagged.to_json()["labels"]
                    assert probs == pytest.approx([each.pop("prob", None) for each in right], abs=1e-5)
                    assert objects == right
            assert lag != 100 or lagged.runs == whole.runs


def test_runs_end_with_the_next_step() -> None:
    model = tagger("none", False)
    (x,) = arrays(1, seed=4)
    (whole,) = model.predict([x])
    stream = model.stream()
    for number, frame in enumerate(x):
        assert all(run.end == number for run in stream.accept([frame]))
    labels = runs_of(whole.labels)
    assert [(run.start, run.end) for run in stream.finish()] == [tuple(labels[-1][:2])] * (labels[-1].label != "O")


# --- recordings ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Recordings of noise of changing loudness, at 8 kHz, in whole numbers."""
    soundfile = pytest.importorskip("soundfile")
    folder, draw = tmp_path_factory.mktemp("sound"), np.random.default_rng(0)
    found = []
    for number in range(3):
        loudness = np.repeat(draw.uniform(0.001, 0.3, 8), 500)[: 3000 + 177 * number]
        samples = (draw.normal(size=len(loudness)) * loudness * 32767).clip(-32768, 32767).astype(np.int16)
        found.append(folder / f"{number}.wav")
        soundfile.write(found[-1], samples, 8000, subtype="PCM_16")
    return found


def listener(recordings: list[Path], task: str, **audio: Any) -> Any:
    tree: dict[str, Any] = {
        "task": task,
        "audio": {"bins": 8, "coefficients": 5, **audio},
        "frames": {"stack": 2},
        "encoder": {"hidden": 6, "layers": 1, "direction": "forward"},
    }
    if task == "tag":
        tree |= {"input": "frames", "head": {"crf": False}}
    fields: dict[str, Any] = {"text": "ab", "labels": [{"start": 0.05, "end": 0.1, "label": "a"}]}
    rows = [row_frames({"audio": str(file), **fields}, folder=Path()) for file in recordings]
    return shaken((Transcriber if task == "transcribe" else FrameTagger).build(parse_settings(tree, "test"), rows), 3)


@pytest.mark.parametrize("audio", [{}, {"features": "mfcc", "deltas": 1}, {"deltas": 2, "delta_width": 3}])
def test_recordings_in_odd_chunks(recordings: list[Path], audio: dict[str, Any]) -> None:
    soundfile = pytest.importorskip("soundfile")
    model = listener(recordings, "transcribe", **audio)
    stream = model.stream()
    assert stream.delay == 1 + audio.get("deltas", 0) * audio.get("delta_width", 2)
    for file in recordings:
        record = row_frames({"audio": str(file)}, folder=Path())
        (whole,) = model.predict([record], times=True)
        samples, _ = soundfile.read(file, dtype="int16")
        for size in (1, 999) if file == recordings[0] else (79, 5000):
            for given in (samples, samples.astype(np.float32) / 32768):
                found = streamed(stream, given, size)
                assert [(each.symbol, each.start) for each in found] == [
                    (each.symbol, each.start) for each in whole.symbols
                ]
            starts = [stream.to_json(each)["start"] for each in found]
            assert starts == [each["start"] for each in whole.to_json()["symbols"]]
            assert stream.extent == (len(record), len(samples) / 8000)
            torch.testing.assert_close(
                streamed_scores(model, samples, size), scores_of(model, record), rtol=0, atol=1e-5
            )


def test_runs_of_recordings_have_their_times(recordings: list[Path]) -> None:
    soundfile = pytest.importorskip("soundfile")
    model = listener(recordings, "tag")
    stream = model.stream()
    for file in recordings:
        (whole,) = model.predict([row_frames({"audio": str(file)}, folder=Path())])
        found = streamed(stream, soundfile.read(file, dtype="int16")[0], 333)
        assert [stream.to_json(run) for run in found] == whole.to_json()["labels"]
        assert all(set(stream.to_json(run)) == {"start", "end", "label", "start_frame", "end_frame"} for run in found)


@pytest.mark.parametrize(
    ("chunk", "found"),
    [
        ([1, 2], "int64 [2]"),
        ([[0.5]], "float64 [1, 1]"),
        ("ab", "'ab'"),
        ({"a": 1}, "{'a': 1}"),
        ([[1.0], [1.0, 2.0]], "[[1.0], [1.0, 2.0]]"),
        (np.zeros(3, np.int32), "int32 [3]"),
    ],
)
def test_what_are_no_samples(recordings: list[Path], chunk: Any, found: str) -> None:
    stream = listener(recordings, "transcribe").stream()
    with pytest.raises(DataError) as caught:
        stream.accept(chunk)
    expected = "a chunk of a stream must be samples [n] of one channel, of floating point or int16"
    assert str(caught.value) == f"{expected}, found {found}"


def test_samples_are_checked_and_a_recording_has_a_window(recordings: list[Path]) -> None:
    stream = listener(recordings, "transcribe").stream()
    stream.accept(np.zeros(10))
    for value, told in ((np.nan, "nan"), (np.inf, "inf"), (1e300, "inf"), (2.0**32, "4.29497e+09")):
        with pytest.raises(DataError) as caught:
            stream.accept(np.array([0.0, value]))
        assert str(caught.value) == f"sample 12 is {told}, expected numbers between -1 and 1"
    with pytest.raises(DataError) as caught:
        stream.finish()
    assert str(caught.value) == "the recording is shorter than one window of 25 ms (--set audio.window)"
    assert stream.finish() == []


# --- chunks of frames ---------------------------------------------------------------------------------------------


def test_kinds_of_chunks() -> None:
    model = transcriber()
    (x,) = arrays(1, seed=6)
    stream = model.stream()
    whole = streamed(stream, x, 9)
    kinds = (torch.from_numpy, lambda part: torch.from_numpy(part).double(), np.float64, np.ndarray.tolist, tuple, list)
    for kind in kinds:
        found = [each for part in chunks(x, 9) for each in stream.accept(kind(part))] + stream.finish()
        assert found == whole
    for nothing in ([], (), np.zeros((0, 3)), torch.zeros(0, 3)):
        assert stream.accept(nothing) == []
    assert stream.finish() == []


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ([[1.0, 2.0]], "expected 3 features a frame, as in training, found 2"),
        ([1.0, 2.0, 3.0], "expected 3 features a frame, as in training, found 1"),
        ([[1, 2, 3], [1, 2]], "expected 3 numbers in every frame, as in the first, found 2 in frame 1, counted from 0"),
        ([["a", "b", "c"]], "expected a number, found 'a' in frame 0, feature 0, counted from 0"),
        ("abc", "a chunk of a stream must be frames, a list or an array [n, F], found 'abc'"),
        (3, "a chunk of a stream must be frames, a list or an array [n, F], found 3"),
        (None, "a chunk of a stream must be frames, a list or an array [n, F], found None"),
        ([[1, 2, float("nan")]], "expected finite numbers, found nan in frame 4, feature 2, counted from 0"),
        ([[1, 2, 3], [1, 1e300, 3]], "expected finite numbers, found inf in frame 5, feature 1, counted from 0"),
    ],
)
def test_what_are_no_frames(chunk: Any, message: str) -> None:
    stream = transcriber().stream()
    before = stream.accept(np.ones((4, 3)))
    with pytest.raises(DataError) as caught:
        stream.accept(chunk)
    assert str(caught.value) == message
    again = transcriber().stream()
    after = np.zeros((5, 3))
    assert before + stream.accept(after) == again.accept(np.ones((4, 3))) + again.accept(after)


# --- what cannot be streamed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["beam", "nbest"])
def test_searches_are_refused(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        transcriber().stream(**{name: 5})
    told = "it is for beam search, which takes back what it has begun with; a stream takes the best symbol of each step"
    assert str(caught.value) == f"{name}: {told}"


def test_normalisation_by_sequence_and_directions_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        transcriber({"normalize": "sequence"}).stream()
    assert str(caught.value) == (
        "frames.normalize is sequence: the mean of the whole sequence is subtracted, which a stream does not wait for; "
        "train with --set frames.normalize=data"
    )
    with pytest.raises(
        SettingsError, match="speaker: the mean of all sequences of a speaker is subtracted, which a str"
    ):
        transcriber({"normalize": "speaker"}).stream()
    with pytest.raises(SettingsError, match=r"encoder\.direction is both:"):
        transcriber(direction="both").stream()
    with pytest.raises(SettingsError, match="probs: probabilities of labels by a CRF"):
        tagger("none", True).stream(probs=True)


# --- text ---------------------------------------------------------------------------------------------------------


def test_the_text_of_symbols_one_by_one_is_that_of_all() -> None:
    draw = random.Random(0)
    byte_pairs = Units.train_bpe(["ab cañ 日本 ab 😀 x\n"] * 9, 300)
    kinds = [
        (byte_pairs, list(byte_pairs.inventory())),
        (Units.char(), [*"ab \n\u3000é"]),
        (Units.word("spaces"), ["ab", "c", "é"]),
    ]
    for units, known in kinds:
        text, speller = OpenText(units), Speller(units)
        for _ in range(500):
            symbols = draw.choices(known, k=draw.randint(0, 9))
            spoken = [SpokenSymbol(symbol, place, place + 1, 1 / (place + 1)) for place, symbol in enumerate(symbols)]
            spelled = [each for one in spoken for each in speller.add(one)] + speller.end()
            found = "".join(text.add(part) for part in chunks([each.symbol for each in spelled], 2))
            text.end()
            assert found == " ".join(units.join(symbols).split())
            assert units.join(symbols) == units.separator.join(each.symbol for each in spelled)
            assert all(
                one.end <= other.start for one, other in pairwise(spelled) if "\ufffd" not in one.symbol + other.symbol
            )
            assert all(each.symbol and each.posterior == 1 / each.end for each in spelled)


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["symbols", "labels", "spans"])
def test_frames_leave_nothing_behind(kind: str) -> None:
    frames = {"stack": 4, "convolutions": 1, "channels": 4}
    model = transcriber(frames) if kind == "symbols" else tagger("none" if kind == "labels" else "iob2", False, frames)
    stream = model.stream()
    chunk = np.zeros((400, 3), np.float32)  # of which one run is made
    tracemalloc.start()
    for number in range(60):
        stream.accept(chunk)
        if number == 9:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 60_000  # some caches fill slowly; 5,000 steps of 20 bytes would be more
    assert peak - before < 500_000  # what one chunk takes
