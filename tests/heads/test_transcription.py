"""What a transcriber makes of the posteriors of CTC, for chosen posteriors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqkit.formats.manifest import row_frames
from seqkit.heads.language_model.settings import LmSettings
from seqkit.heads.transcription.settings import TranscribeSettings
from seqkit.inputs.frame_stream import Extent
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import Corpus
from seqkit.model.ngram_model import NgramLanguageModel
from seqkit.model.transcriber import Transcriber
from seqkit.records import FrameRecord

pytest.importorskip("jiwer")


def build(texts: list[str], steps: int = 30, **changes: Any) -> Transcriber:
    """An untrained transcriber of such texts."""
    frames = np.zeros((steps, 3)).tolist()
    return build_of([row_frames({"frames": frames, "text": text}) for text in texts], **changes)


def build_of(records: list[FrameRecord], **changes: Any) -> Transcriber:
    tree = {"encoder": {"hidden": 4, "layers": 1, "direction": "forward"}, **changes}
    return Transcriber.build(TranscribeSettings.model_validate(tree), records)


def record_of(model: Transcriber, frames: int, **fields: Any) -> Any:
    record = model.input.record({"frames": np.zeros((frames, 3)).tolist(), **fields})
    model.input.lengths([record])
    return record


def scores_of(model: Transcriber, path: list[tuple[str, float]]) -> Tensor:
    """ln p where each step has a symbol with a probability, "" for the blank, and the others share the rest."""
    names = ["", *model.head.symbols.labels]
    rows = torch.tensor([[(1 - p) / (len(names) - 1)] * len(names) for _, p in path])
    for row, (symbol, p) in zip(rows, path, strict=True):
        row[names.index(symbol)] = p
    return rows.log()[None]  # [1, T, K + 1]


@pytest.mark.parametrize("data", [{"unit": "char"}, {"unit": "bpe", "bpe_size": 258}])
def test_n_best_texts_are_different_texts(data: dict[str, Any]) -> None:
    model = build(["a dog", "a do", "dog a"], data=data)
    for seed in range(5):
        values = torch.randn(1, 7, len(model.head.symbols) + 1, generator=torch.Generator().manual_seed(seed)) * 2
        options = model.options({"nbest": 12, "beam": 60})
        record = record_of(model, 7)
        (answer,) = model.head.decode(values.log_softmax(-1), torch.tensor([7]), [record], options)
        texts = [one["text"] for one in answer.alternatives or []]
        assert len(texts) == len({*texts}) == 12
        assert answer.text == texts[0]
        scores = [one["score"] for one in answer.alternatives or []]
        assert scores == sorted(scores, reverse=True)


def test_times_are_those_of_labels_of_the_same_frames(tmp_path: Path) -> None:
    """A window of 64 ms every 10 ms: the border of two frames lies halfway between their middles."""
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(size=10_005) * 0.1, 8000, subtype="PCM_16")
    row = {"audio": "a.wav", "text": "ab"}
    model = build_of([row_frames(row, folder=tmp_path)], audio={"window": 64, "shift": 10}, frames={"stack": 5})
    record = row_frames(row, folder=tmp_path)
    (steps,) = model.input.lengths([record])
    assert (len(record), steps) == (119, 24)  # (10,005 − 512) / 80 + 1
    path = [("b", 0.99)] + [("", 0.99)] * 9 + [("a", 0.99)] * 2 + [("", 0.99)] * 11 + [("b", 0.99)]
    options = model.options({"times": True}), model.options({"times": True, "beam": 4})
    for chosen in options:
        (answer,) = model.head.decode(scores_of(model, path), torch.tensor([steps]), [record], chosen)
        times = [(one["symbol"], one["start"], one["end"]) for one in answer.to_json()["symbols"]]
        assert times == [("b", 0.0, 0.077), ("a", 0.527, 0.627), ("b", 1.177, 1.250625)]
    stream = model.head.stream(model.options({}))
    found = [stream.to_json(one) for one in stream.accept(scores_of(model, path), Extent(119, 1.250625))]
    assert [(one["symbol"], one["start"]) for one in found] == [("b", 0.0), ("a", 0.527), ("b", 1.177)]
    assert model.head.report([["ab"]], [answer]).seconds_of_audio == 10_005 / 8000


def test_the_loss_is_of_the_texts_that_are_scored() -> None:
    model = build(["ab", "ba c"])
    draw = np.random.default_rng(2)
    rows = [{"frames": draw.normal(size=(9, 3)), "text": "ab", "other": other} for other in ("b", "  ba   c ", "")]
    other = model.evaluate(rows, target="other")
    renamed = model.evaluate([{"frames": row["frames"], "text": row["other"]} for row in rows])
    assert other.report == renamed.report
    assert other.report.loss != model.evaluate(rows).report.loss
    (found,) = model.posteriors([rows[2]["frames"]])
    blank = -np.log(found.posteriors[:, 0]).sum()  # of the empty text
    assert model.evaluate(rows[2:], target="other").report.loss == pytest.approx(blank, rel=1e-4)


def test_texts_that_the_loss_is_not_of_are_counted_and_their_symbols_named() -> None:
    model = build(["ab", "ba c"])
    texts = ["ab", "a z", "qz", "ab" * 9, "b"]
    rows = [{"frames": np.full((9, 3), number), "text": text} for number, text in enumerate(texts)]
    found = model.evaluate(rows)
    assert found.report.loss == model.evaluate([rows[0], rows[4]]).report.loss
    told = (
        "the loss is of 2 of 5 texts; the others have symbols that training has not seen, or more of them than their "
    )
    assert found.report.left_out == {"loss": f"{told}sequences have steps"}
    assert found.report.to_json()["left_out"] == found.report.left_out
    assert found.notes == ["2 symbols of the data are unknown to the model and count as errors: q, z"]
    assert model.evaluate(rows[1:3]).report.loss is None
    assert model.evaluate(rows[:1]).report.left_out == {}


def test_the_real_time_factor_is_that_of_the_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([3.0, 3.5])
    monkeypatch.setattr("seqkit.model.transcriber.time.perf_counter", lambda: next(clock))
    model = build(["ab"], data={"frame_rate": 50.0})
    report = model.evaluate([{"frames": np.ones((frames, 3)), "text": "b"} for frames in (50, 75)]).report
    assert (report.seconds_of_audio, report.real_time_factor) == (2.5, 0.2)
    assert report.to_json()["real_time_factor"] == 0.2


def test_tuning_computes_posteriors_of_dev_for_many_pairs_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["ab ba", "ba c", "c ab", "ab"]
    units = Units.word()
    NgramLanguageModel.count(LmSettings.model_validate({"head": {"ngram": 2}}), units, Corpus.read(texts, units)).save(
        tmp_path / "lm"
    )
    torch.manual_seed(3)
    model = build(texts)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.normal_()
    draw = np.random.default_rng(0)
    rows = [{"frames": draw.normal(size=(12, 3)), "text": text, "other": text[::-1]} for text in texts]
    given: dict[str, Any] = {"lm": str(tmp_path / "lm"), "beam": 4, "target": "other"}
    read: list[int] = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda batch, *rest: read.append(len(batch.lengths)) or encode(batch, *rest))
    found = model.evaluate({"dev": rows, "test": rows[:1]}, "test", tune=True, **given)
    assert sum(read) == 2 * len(rows) + 1  # dev for the coarse and the finer pairs, and test
    pairs = {(weight, bonus) for weight in (0.25, 0.5, 0.75, 1, 1.5, 2, 3) for bonus in (-1, 0, 1, 2)}
    for finer in (True, False):
        reports = {
            pair: model.evaluate(rows, lm_weight=pair[0], length_bonus=pair[1], **given).report for pair in pairs
        }
        best = min(
            reports, key=lambda pair: (reports[pair].wer, reports[pair].cer, abs(pair[1]), abs(pair[0] - 0.5), pair)
        )
        pairs |= {(best[0] * by, best[1] + more) for by in (0.8, 1, 1.2) for more in (-0.5, 0, 0.5) if finer}
    assert found.notes[-1] == f"tuned on dev: --lm-weight {best[0]:g} --length-bonus {best[1]:g}"
    assert found.tuned == {"lm_weight": best[0], "length_bonus": best[1]}


def test_of_pairs_that_are_equally_good_on_dev_the_nearest_to_the_defaults_is_taken(tmp_path: Path) -> None:
    """A single frame has at most one symbol, and any one is as far from a text of two others as none is."""
    units = Units.word()
    settings = LmSettings.model_validate({"head": {"ngram": 2}})
    NgramLanguageModel.count(settings, units, Corpus.read(["ab", "ba"], units)).save(tmp_path / "lm")
    model = build(["ab", "ba"])
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
    rows = [{"frames": np.ones((1, 3)), "text": "cd"}]
    given: dict[str, Any] = {"lm": str(tmp_path / "lm")}
    found = model.evaluate({"dev": rows, "test": rows}, "test", tune=True, **given)
    assert found.tuned == {"lm_weight": 0.5, "length_bonus": 0.0}


def test_byte_pairs_are_spelled_and_bytes_wait_for_the_rest_of_their_character() -> None:
    model = build(["é dog", "dog é 日"], data={"unit": "bpe", "bpe_size": 257})
    symbols = dict(zip(model.head.names, model.head.symbols.labels, strict=True))
    assert {*symbols} >= {"<0xC3>", "<0xA9>", "<0xE6>", "<0x97>", "<0xA5>", " ", "g"}
    said = ["<0xC3>", "", "<0xA9>", " ", " ", "g", "<0xE6>", "<0x97>", "", "<0xA5>", "<0xC3>"]
    path = [(symbols.get(name, ""), 0.99 - place / 100) for place, name in enumerate(said)]
    scores, record = scores_of(model, path), record_of(model, len(path))
    expected = [("é", 0, 3, 0.97), (" ", 3, 5, 0.96), ("g", 5, 6, 0.94), ("日", 6, 10, 0.9), ("\ufffd", 10, 11, 0.89)]
    for options in ({"times": True}, {"times": True, "beam": 9}):
        (answer,) = model.head.decode(scores, torch.tensor([len(path)]), [record], model.options(options))
        found = [(one.symbol, one.start, one.end, round(one.posterior, 4)) for one in answer.symbols or []]
        assert (answer.text, found) == ("é g日\ufffd", expected)
        columns = [model.head.names[one.id - 1] for one in answer.symbols or []]
        assert columns == ["<0xA9>", " ", "g", "<0xA5>", "<0xC3>"]
    stream = model.head.stream(model.options({}))
    streamed = [one for step in range(len(path)) for one in stream.accept(scores[:, step : step + 1])]
    assert [(one.symbol, one.start) for one in streamed + stream.finish()] == [each[:2] for each in expected]
    assert model.head.unknown([["é ü"]]) == ["<0xBC>"]
    (note,) = model.head.notes([], None)
    assert note == "learning 8 symbols: do g <0xA5> <0xA9> <0xC3> <0xE6> ␣ <0x97>"
