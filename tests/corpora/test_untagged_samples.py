from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from seqkit.corpora.cards import load_card
from seqkit.corpora.check import check
from seqkit.corpora.fetch import fetch
from seqkit.corpora.resolve import resolve
from seqkit.corpora.samples import generate
from seqkit.corpora.samples.digits import NAMES
from seqkit.corpora.samples.grammar import embedded
from seqkit.errors import DataError
from seqkit.formats.registry import detect_format
from seqkit.formats.splitting import Splitter
from seqkit.records import Sentence

KINDS = {
    "sample-reviews": ("words", {"label", "text"}),
    "sample-sentences": ("words", {"text"}),
    "sample-names": ("characters", {"category", "text"}),
    "digits": ("characters", {"image", "text"}),
}
SPLITS = ("train", "dev", "test")
SOUND_ALIKE = """
their/there two/too too/to flour/flower sea/see right/write hear/here know/no week/weak knight/night sun/son meet/meat
piece/peace bear/bare sale/sail tail/tale mail/male pair/pear whole/hole weight/wait rode/road won/one ate/eight
knew/new through/threw blue/blew there/they're
""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def corpora() -> dict[str, dict[str, list[Sentence]]]:
    return {name: {split: resolve(name).sentences(split) for split in SPLITS} for name in KINDS}


def fields(sentences: list[Sentence], name: str) -> list[str]:
    return [sentence.fields[name] for sentence in sentences]


@pytest.mark.parametrize("name", KINDS)
def test_records(name: str, corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    made = load_card(name).generator
    kind, expected = KINDS[name]
    split = Splitter(kind).split
    assert made is not None
    assert [len(corpora[name][part]) for part in SPLITS] == [made.train, made.dev, made.test]
    for sentence in (sentence for part in SPLITS for sentence in corpora[name][part]):
        assert set(sentence.fields) == expected and sentence.fields["text"] == sentence.text
        # Tokens are those that a task's own splitter finds.
        assert sentence.offsets == split(sentence.text)
        assert sentence.tokens == [sentence.text[start:end] for start, end in sentence.offsets] != []


@pytest.mark.parametrize("name", ["sample-reviews", "sample-sentences", "sample-names"])
def test_no_text_occurs_twice(name: str, corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    texts = [sentence.text for part in SPLITS for sentence in corpora[name][part]]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("name", KINDS)
def test_the_seed_decides(name: str) -> None:
    one, again, other = (generate(name, {"train": 20}, seed=seed)["train"] for seed in (1, 1, 2))
    assert one == again != other


def test_texts_are_cut_as_the_task_wants() -> None:
    texts = resolve("sample-reviews").texts("train", Splitter("english").split)
    assert any("n't" in sentence.tokens for sentence in texts)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_fetched_holds_the_same(
    name: str,
    corpora: dict[str, dict[str, list[Sentence]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEQKIT_CACHE", str(tmp_path))
    folder = fetch(load_card(name), quiet=True)
    format = load_card(name).format
    for part in SPLITS:
        path = folder / f"{part}.{'txt' if format == 'text' else format}"
        assert detect_format(path) == format
        lines = path.read_text(encoding="utf-8").splitlines()
        if format == "jsonl":
            assert [json.loads(line) for line in lines] == [sentence.fields for sentence in corpora[name][part]]
        elif format == "tsv":
            assert lines == [f"{sentence.fields['label']}\t{sentence.text}" for sentence in corpora[name][part]]
        else:
            assert lines == [sentence.text for sentence in corpora[name][part]]
    assert check(resolve(folder)) == []


def test_reviews_have_three_labels_in_equal_shares_of_three_domains(
    corpora: dict[str, dict[str, list[Sentence]]],
) -> None:
    train = corpora["sample-reviews"]["train"]
    counts = Counter(fields(train, "label"))
    assert set(counts) == {"negative", "neutral", "positive"} and min(counts.values()) > 400
    for domain in embedded("reviews.toml").domains:
        things = embedded("reviews.toml").words[f"{domain}-thing"][1]
        assert sum(any(thing in sentence.tokens for thing in things) for sentence in train) > 40


def test_the_words_of_a_review_alone_do_not_tell_its_label(corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    """Words and pairs of words stay behind an encoder that reads the whole, which gets above 90 %."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, test = corpora["sample-reviews"]["train"], corpora["sample-reviews"]["test"]
    features = TfidfVectorizer(ngram_range=(1, 2))
    model = LogisticRegression(max_iter=500, C=10).fit(
        features.fit_transform(fields(train, "text")), fields(train, "label")
    )
    assert 0.5 < model.score(features.transform(fields(test, "text")), fields(test, "label")) < 0.85


def test_the_same_sentence_turned_round_has_the_other_label(corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    shape = re.compile(r"I expected an? (\w+) \w+ and got an? (\w+) one\.")
    grammar = embedded("reviews.toml")
    good = {word for name in grammar.words if name.endswith("good") for word in grammar.words[name][1]}
    found = [(shape.fullmatch(sentence.text), sentence) for sentence in corpora["sample-reviews"]["train"]]
    labels = {(match[1] in good, sentence.fields["label"]) for match, sentence in found if match}
    assert labels == {(True, "negative"), (False, "positive")}


def test_the_vocabulary_of_the_sentences(corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    counts = {
        part: Counter(token for sentence in corpora["sample-sentences"][part] for token in sentence.tokens)
        for part in SPLITS
    }
    assert 300 < len(counts["train"]) < 600
    assert set(counts["dev"]) | set(counts["test"]) <= set(counts["train"])
    for pair in SOUND_ALIKE:
        for word in pair.split("/"):
            assert counts["train"][word] + counts["train"][word.capitalize()] > 20, word


def test_verbs_agree_with_a_subject_further_away(corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    words = {name: set(found) for name, (_, found) in embedded("sentences.toml").words.items()}
    one = words["thing-one"] | words["being-one"] | words["furniture-one"]
    many = words["thing-many"] | words["being-many"] | words["furniture-many"]
    total = misleading = 0
    for sentence in corpora["sample-sentences"]["train"]:
        verb = next((place for place, word in enumerate(sentence.tokens) if word in VERBS), 0)
        nouns = [word for word in sentence.tokens[:verb] if word in one | many]
        if sentence.tokens[0] == "The" and len(nouns) > 1 and sentence.tokens[1] == nouns[0]:
            assert VERBS[sentence.tokens[verb]] == ("one" if nouns[0] in one else "many"), sentence.text
            total += 1
            misleading += (nouns[0] in one) != (nouns[-1] in one)
    assert total > 500 and 0.3 < misleading / total < 0.7


VERBS = {
    "is": "one",
    "was": "one",
    "has": "one",
    "does": "one",
    "are": "many",
    "were": "many",
    "have": "many",
    "do": "many",
}


def test_the_spelling_of_a_name_tells_its_category(corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    train, test = corpora["sample-names"]["train"], corpora["sample-names"]["test"]
    counts = Counter(fields(train, "category"))
    assert set(counts) == {"dragon", "river", "robot", "star", "village"} and min(counts.values()) > 300
    features = CountVectorizer(analyzer="char_wb", ngram_range=(1, 3))
    model = LogisticRegression(max_iter=500).fit(
        features.fit_transform(fields(train, "text")), fields(train, "category")
    )
    assert model.score(features.transform(fields(test, "text")), fields(test, "category")) > 0.9


def test_digits_are_those_of_scikit_learn(corpora: dict[str, dict[str, list[Sentence]]]) -> None:
    from sklearn.datasets import load_digits

    images, numbers = load_digits(return_X_y=True)
    expected = sorted((image.tolist(), NAMES[number]) for image, number in zip(images, numbers, strict=True))
    found = [sentence.fields for part in SPLITS for sentence in corpora["digits"][part]]
    assert sorted((record["image"], record["text"]) for record in found) == expected
    assert min(Counter(fields(corpora["digits"]["test"], "text")).values()) > 15


def test_there_are_only_so_many_digits() -> None:
    with pytest.raises(DataError, match=r"^there are only 1,797 images of digits, 1,798 were requested$"):
        generate("digits", {"train": 1790, "test": 8})


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    message = "^the images of digits come with scikit-learn: pip install scikit-learn$"
    with pytest.raises(DataError, match=message):
        generate("digits", {"train": 1})
