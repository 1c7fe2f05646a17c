"""What is given to prediction from Python: records in every form that is one; all else is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from four_tasks import classifier, generator, language_model, ngram_model, tagger

from seqkit.errors import DataError, SettingsError
from seqkit.records import Sentence, TextRecord

MODELS: dict[str, Callable[[], Any]] = {
    "tag": tagger,
    "classify": classifier,
    "lm": language_model,
    "ngram": ngram_model,
    "generate": generator,
}
WORDS = ("tag", "classify")
UNITS = ("lm", "ngram", "generate")
NO_WORDS = "a record must be a text or a list of tokens (strings), found "
NO_TEXT = "a record must be a text or a mapping of its fields, found "
NO_FIELD = 'records:1: expected "tokens" or "text", found '
SEVERAL = "the argument of predict must be a list or another iterable of records, found "
ALIGNED = "a sentence needs text[start:end] == token for every token, found "


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: make() for name, make in MODELS.items()}


def fault(kind: type[Exception], call: Callable[[], Any]) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value)


# --- records ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, NO_WORDS + "None"),
        (b"abc", NO_WORDS + "b'abc'"),
        (1, NO_WORDS + "1"),
        (1.5, NO_WORDS + "1.5"),
        ([None], NO_WORDS + "[None]"),
        (["a", 1], NO_WORDS + "['a', 1]"),
        (range(3), NO_WORDS + "range(0, 3)"),
        ({"tokens": None}, NO_FIELD + "'tokens'"),
        ({"tokens": b"a"}, "records:1: expected a list in \"tokens\", found b'a'"),
        ({"text": None}, 'records:1: expected a text in "text", found none'),
        ({"text": float("nan")}, 'records:1: expected a text in "text", found none'),
        ({"text": b"a"}, "records:1: expected a string in \"text\", found b'a'"),
        ({"text": ["a"]}, "records:1: expected a string in \"text\", found ['a']"),
        ({"text": {"text": "a"}}, "records:1: expected a string in \"text\", found {'text': 'a'}"),
        ({"tokens": "abc"}, "records:1: expected a list in \"tokens\", found 'abc'"),
        ({"tokens": {"a": 1}}, "records:1: expected a list in \"tokens\", found {'a': 1}"),
        ({"tokens": ["a", 1]}, 'records:1: expected non-empty strings in "tokens", found 1'),
        (
            {"text": "a", "tokens": ["b"]},
            'records:1: the tokens do not follow one another in "text" with only white space between them',
        ),
        ({}, NO_FIELD + "no keys"),
        ({"txt": "a"}, NO_FIELD + "'txt'"),
        (TextRecord(None), NO_TEXT + "TextRecord(text=None, fields={}, file='', line=0)"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_record_of_words(name: str, given: Any, message: str, models: dict[str, Any]) -> None:
    assert fault(DataError, lambda: list(models[name].predict([given]))) == message


def test_an_object_is_no_record(models: dict[str, Any]) -> None:
    for name, message in {"tag": NO_WORDS, "lm": NO_TEXT}.items():
        found = fault(DataError, lambda name=name: list(models[name].predict([object()])))  # type: ignore[misc]
        assert found.startswith(f"{message}<object object at 0x")


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("given", [None, b"abc", 1, [], ["a", ""], {}])
def test_what_is_no_record_of_units(name: str, given: Any, models: dict[str, Any]) -> None:
    assert fault(DataError, lambda: list(models[name].predict([given]))) == (
        f"{'records:1: ' if given == {} else ''}{NO_TEXT}{given!r}"
    )


@pytest.mark.parametrize("name", ["lm", "ngram"])
def test_fields_without_a_text(name: str, models: dict[str, Any]) -> None:
    faults = [({"text": 3}, "found 3"), ({"text": None}, "found None"), ({"txt": "a"}, "the fields are 'txt'")]
    for given, found in faults:
        message = fault(DataError, lambda given=given: list(models[name].predict([given])))  # type: ignore[misc]
        assert message == f"records:1: expected a text in field 'text', {found}"
    assert [one.text for one in models[name].predict(["a", {"text": "a"}, TextRecord("a")])] == ["a"] * 3


@pytest.mark.parametrize("name", WORDS)
def test_forms_of_one_record(name: str, models: dict[str, Any]) -> None:
    text, tokens = "new b", ["new", "b"]
    forms = [
        *(
            text,
            TextRecord(text),
            {"text": text},
            {"text": text, "label": "x"},
            {"text": text, "tokens": tokens},
            Sentence.from_tokens(tokens),
        ),
        *(tokens, tuple(tokens), np.array(tokens), iter(tokens), {"tokens": tokens}, {"tokens": np.array(tokens)}),
        Sentence(tokens, text, [(0, 3), (4, 5)]),
    ]
    found = [one.to_json() for one in models[name].predict(forms)]
    assert found == [found[0]] * len(forms)
    for one in models[name].predict(forms[:1]):
        assert one.sentence.tokens == tokens


def test_the_predictions_before_a_fault_come_first(models: dict[str, Any]) -> None:
    found = models["tag"].predict(["a", "b", None])
    assert [next(found).sentence.text for _ in range(2)] == ["a", "b"]
    assert fault(DataError, lambda: next(found)) == f"{NO_WORDS}None"


@pytest.mark.parametrize(
    "sentence",
    [
        Sentence(["a"], "b", [(0, 1)]),
        Sentence(["a", "b"], "a b", [(0, 1)]),
        Sentence(["a"], "a b", [(0, 1), (2, 3)]),
        Sentence(["a"], "a", [(0, None)]),  # type: ignore[list-item]
        Sentence(["b"], "ab", [(-1, 2)]),
        Sentence(["a"], "a", [0]),  # type: ignore[list-item]
        Sentence(["a"], "a", None),  # type: ignore[arg-type]
        Sentence(None, "a", []),  # type: ignore[arg-type]
        Sentence([b"a"], b"a", [(0, 1)]),  # type: ignore[arg-type, list-item]
        Sentence([1], "1", [(0, 1)]),  # type: ignore[list-item]
    ],
    ids=str,
)
def test_offsets_that_are_not_those_of_the_tokens(sentence: Sentence, models: dict[str, Any]) -> None:
    for name in WORDS:
        message = fault(DataError, lambda name=name: list(models[name].predict([sentence])))  # type: ignore[misc]
        assert message.startswith(f"{ALIGNED}Sentence(tokens=") and "\n" not in message
    assert not sentence.is_aligned()


def test_offsets_of_readers_are_not_checked_again(models: dict[str, Any]) -> None:
    class Unread(list[tuple[int, int]]):
        def __iter__(self) -> Any:
            raise AssertionError("the offsets were read")

    given = Sentence(["a"], "a", Unread([(0, 1)]), file="a.txt", line=1)
    assert models["tag"].record(given) is given


# --- several records, and how they are predicted ------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("given", ["Paris", b"Paris", {"text": "a"}, None, 5, TextRecord("a")])
def test_a_single_record_is_refused_at_once(name: str, given: Any, models: dict[str, Any]) -> None:
    assert fault(DataError, lambda: models[name].predict(given)) == f"{SEVERAL}{given!r}"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("setting", ["batch_tokens", "ahead"])
@pytest.mark.parametrize("value", [-1, 0, -3, "4", 1.5, True, [1]])
def test_sizes_are_whole_numbers(name: str, setting: str, value: Any, models: dict[str, Any]) -> None:
    message = f"{setting} must be a whole number of at least 1, found {value!r}"
    assert fault(SettingsError, lambda: models[name].predict([], **{setting: value})) == message
    assert fault(SettingsError, lambda: models[name].pipeline(**{setting: value})) == message


@pytest.mark.parametrize("name", MODELS)
def test_precisions_are_known(name: str, models: dict[str, Any]) -> None:
    for value in (None, "fp8", 3):
        message = f"the precision must be one of auto, fp32, bf16, fp16, found {value!r}"
        found = fault(SettingsError, lambda value=value: models[name].predict([], precision=value))  # type: ignore[misc]
        assert found == message


@pytest.mark.parametrize("name", MODELS)
def test_sizes_of_other_kinds_of_whole_numbers(name: str, models: dict[str, Any]) -> None:
    given = [{"kind": "a", "title": "b", "text": "new"}] if name == "generate" else ["new"]
    expected = list(models[name].predict(given, batch_tokens=None, ahead=None))
    assert list(models[name].predict(given, batch_tokens=np.int64(9), ahead=np.int64(1))) == expected


# --- the other ways to use a model --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lm", "ngram"])
def test_a_text_whose_perplexity_is_asked_for(name: str, models: dict[str, Any]) -> None:
    for given in (None, 3, b"a", {"text": "a"}):
        message = f"the text must be a list or another iterable of records, found {given!r}"
        assert fault(DataError, lambda given=given: models[name].perplexity(given)) == message  # type: ignore[misc]
    assert fault(DataError, lambda: models[name].perplexity(["new", 3])) == "a line must be a text, found 3"
    assert models[name].perplexity(iter(["new", "b"])) == models[name].perplexity("new\nb\n")


@pytest.mark.parametrize("name", ["lm", "ngram"])
def test_a_prompt_of_bytes_is_the_text_that_they_are(name: str, models: dict[str, Any]) -> None:
    word = models[name].input.indexer.words[2]
    expected = models[name].sample(word, length=3, seed=1)
    assert models[name].sample(word.encode(), length=3, seed=1) == expected
    assert fault(SettingsError, lambda: models[name].sample(3)).startswith("options: prompt: expected a valid string")


@pytest.mark.parametrize("given", [None, b"model", 3, "a\0b"])
def test_a_model_is_saved_at_a_path(given: Any, models: dict[str, Any]) -> None:
    message = f"a model's directory must be a path, found {given!r}"
    assert fault(SettingsError, lambda: models["tag"].save(given)) == message
