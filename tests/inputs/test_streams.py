from __future__ import annotations

import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.corpora.resolve import resolve
from seqkit.errors import DataError
from seqkit.inputs import streams as streams_module
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.segmentation import Units
from seqkit.inputs.streams import END, Corpus, Streams, window_bounds
from seqkit.inputs.vocabulary import Normaliser, Vocabulary

LINES = ["to be or not", "", "to be"]


def text(corpus: Corpus) -> list[str]:
    return [corpus.types[number] for number in corpus.numbers]


def test_words_are_a_stream_with_an_end_after_every_line_that_has_any() -> None:
    corpus = Corpus.read(LINES, Units.word())
    assert text(corpus) == ["to", "be", "or", "not", END, "to", "be", END]
    assert corpus.types[0] == END
    assert (len(corpus), corpus.lines) == (8, 2)


def test_characters_are_the_text_itself_blank_lines_included() -> None:
    corpus = Corpus.read(LINES, Units.char())
    assert "".join(text(corpus)) == "to be or not\n\nto be\n"
    assert corpus.lines == 3


@pytest.fixture
def little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where corpora keep their temporary files, which all of them need."""
    monkeypatch.setattr(streams_module, "_MEMORY_UNITS", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("memory_units", [1, 5, 1 << 20])
def test_a_corpus_in_a_file_equals_one_in_memory(memory_units: int, monkeypatch: pytest.MonkeyPatch) -> None:
    units = Units.char()
    in_memory = text(Corpus.read(LINES, units))
    monkeypatch.setattr(streams_module, "_MEMORY_UNITS", memory_units)
    corpus = Corpus.read(iter(LINES), units)
    assert isinstance(corpus.numbers, np.memmap) == (memory_units < 20)
    assert text(corpus) == in_memory
    assert corpus.counts() == Counter("to be or not\n\nto be\n")


@pytest.mark.parametrize("memory_units", [1, 7, 1 << 20])
def test_the_checksum_is_of_every_unit_in_its_place(memory_units: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Corpus.read(LINES, Units.char()).checksum(5)
    monkeypatch.setattr(streams_module, "_MEMORY_UNITS", memory_units)
    assert Corpus.read(LINES, Units.char()).checksum(5) == expected  # wherever it is kept
    numbers = Corpus.read(LINES, Units.char()).numbers
    for place in range(len(numbers)):  # the same units, two of them exchanged
        other = Corpus.read(LINES, Units.char())
        other.numbers = np.array(numbers)
        other.numbers[[place, place - 1]] = other.numbers[[place - 1, place]]
        assert (other.checksum(5) == expected) == (numbers[place] == numbers[place - 1])
    assert Corpus.read(LINES, Units.char()).checksum(6) != expected  # nor without what came before


def test_the_file_is_gone_when_the_corpus_is(little_memory: Path) -> None:
    corpus = Corpus.read(LINES, Units.char())
    assert isinstance(corpus.numbers, np.memmap)
    numbers = list(corpus.numbers)
    assert len(numbers) == 20
    del corpus, numbers
    assert not list(little_memory.iterdir())


def test_a_temporary_file_that_cannot_be_written(little_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(little_memory / "missing"))
    with pytest.raises(DataError) as caught:
        Corpus.read(LINES, Units.char())
    assert str(caught.value) == "the corpus cannot be kept in a temporary file: No such file or directory"


@pytest.mark.parametrize("line", ["a" * (1 << 20), "to be " * (1 << 18)])
def test_of_a_long_line_little_is_in_memory_at_once(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "_MEMORY_UNITS", 1 << 14)
    units = Units.char() if " " not in line else Units.word()
    units.split("a b")  # what is loaded once does not count
    tracemalloc.start()
    corpus = Corpus.read([line], units)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 23
    assert len(corpus) == len(units.split(line)) + 1 and corpus.lines == 1


def test_an_empty_text_is_an_empty_corpus() -> None:
    corpus = Corpus.read(["", "  "], Units.word())
    assert (len(corpus), corpus.lines, corpus.types, corpus.counts()) == (0, 0, [END], Counter())


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 9))
def test_inputs_are_the_units_before_the_targets_whatever_the_window(size: int, batch: int, window: int) -> None:
    numbers = np.arange(1, size + 1, dtype=np.int32)
    streams = Streams(numbers, min(batch, size))
    parts = [streams.window(begin, end) for begin, end in window_bounds(streams.length, window)]
    inputs = np.concatenate([part for part, _ in parts], axis=1)  # [B, M]
    targets = np.concatenate([part for _, part in parts], axis=1)  # [B, M]
    assert (inputs == targets - 1).all()  # 0, the end of a line, before the first unit of all
    assert list(targets.ravel()) == list(range(1, streams.batch * streams.length + 1))
    assert size - targets.size < streams.batch


def test_more_streams_than_units_become_one_unit_each() -> None:
    streams = Corpus.read(["ab"], Units.char()).streams(100)
    assert (streams.batch, streams.length) == (3, 1)


@given(st.integers(0, 500), st.integers(1, 80), st.booleans(), st.integers(0, 5))
def test_windows_cover_every_step_once(length: int, window: int, variable: bool, seed: int) -> None:
    bounds = window_bounds(length, window, variable=variable, seed=(seed,))
    steps = [step for begin, end in bounds for step in range(begin, end)]
    assert steps == list(range(length))
    assert bounds == window_bounds(length, window, variable=variable, seed=(seed,))
    if not variable:
        assert {end - begin for begin, end in bounds[:-1]} <= {window}


def test_variable_windows_vary_around_their_mean() -> None:
    lengths = np.diff(np.array(window_bounds(200_000, 70, variable=True, seed=(3, 1))))[:-1, 0]
    assert lengths.min() >= 5
    assert 66 < lengths.mean() < 70  # 0.95 · 70 + 0.05 · 35 = 68.25
    assert 0.02 < (lengths < 50).mean() < 0.08
    assert window_bounds(1000, 70, variable=True, seed=(3, 1)) != window_bounds(1000, 70, variable=True, seed=(3, 2))


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the BPTT window must be at least 1 step, found 0$"):
        window_bounds(10, 0)


def test_a_window_is_a_batch_of_forms() -> None:
    corpus = Corpus.read(["the cat the dog"], Units.word())
    vocabulary = Vocabulary(["\n", "the"])
    table = Indexer(vocabulary, Vocabulary([]), None, Normaliser()).table(corpus.types)
    inputs, targets = corpus.streams(1).window(0, 5)
    batch = table.batch(inputs, np.array([5]))
    assert (batch.types[batch.index] == inputs).all()
    assert list(table.words[targets[0]]) == [3, 1, 3, 1, 2]


@pytest.mark.parametrize(
    ("name", "units", "lengths", "types"),
    [("ptb", Units.word(), (929_589, 73_760, 82_430), 10_000), ("tinyshakespeare", Units.char(), (1_115_394,), 65)],
)
def test_real_corpora_have_as_many_units_as_their_cards_say(
    real_file: Callable[[str], Path], name: str, units: Units, lengths: tuple[int, ...], types: int
) -> None:
    file = {"ptb": "ptb/train.txt", "tinyshakespeare": "tinyshakespeare/input.txt"}[name]
    data = resolve(real_file(file).parent if name == "ptb" else real_file(file))
    splits = ("train", "dev", "test") if name == "ptb" else ("all",)
    read = [Corpus.read(data.lines(split), units) for split in splits]
    assert tuple(map(len, read)) == lengths
    assert len(read[0].types) == types
