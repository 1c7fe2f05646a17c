from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from seqkit.corpora.cards import load_card
from seqkit.corpora.check import check
from seqkit.corpora.resolve import resolve
from seqkit.corpora.samples import GENERATORS, generate
from seqkit.corpora.samples.grammar import read_grammar
from seqkit.corpora.samples.tagged import MADE_UP
from seqkit.errors import DataError
from seqkit.formats.schemes import detect_scheme, spans
from seqkit.records import Sentence
from seqkit.resources import resource_dir

COLUMNS = {"sample-ner": "ner", "sample-pos": "upos"}
OF_FRAMES = {"sample-tones", "sample-melodies"}
OF_PAIRS = {"sample-pairs", "sample-tolari"}
UPOS = set("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB".split())  # noqa: SIM905


@pytest.fixture(scope="module", params=sorted(COLUMNS))
def corpus(request: pytest.FixtureRequest) -> tuple[str, dict[str, list[Sentence]]]:
    dataset = resolve(request.param)
    return COLUMNS[request.param], {split: dataset.sentences(split) for split in ("train", "dev", "test")}


def test_sizes_columns_and_offsets(corpus: tuple[str, dict[str, list[Sentence]]]) -> None:
    column, splits = corpus
    assert {split: len(sentences) for split, sentences in splits.items()} == {"train": 1500, "dev": 250, "test": 250}
    for sentence in (sentence for sentences in splits.values() for sentence in sentences):
        assert list(sentence.columns) == ["word", column] and sentence.columns["word"] == sentence.tokens
        assert len(sentence.column(column)) == len(sentence.tokens) >= 3
        assert all(
            sentence.text[start:end] == token
            for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True)
        )
        assert all(token and not set(token) & set(" <>[]/") for token in sentence.tokens)


@pytest.mark.parametrize("name", sorted(GENERATORS.keys() - OF_FRAMES - OF_PAIRS))
def test_a_corpus_has_no_fault(name: str) -> None:
    assert check(resolve(name)) == []


def test_labels() -> None:
    ner = generate("sample-ner", {"train": 600}, seed=3)["train"]
    assert detect_scheme(sentence.column("ner") for sentence in ner) == "iob2"
    kinds = Counter(span.label for sentence in ner for span in spans(sentence.column("ner"), "iob2"))
    assert set(kinds) == {"PER", "LOC", "ORG", "DATE"} and min(kinds.values()) > 50
    pos = generate("sample-pos", {"train": 1500}, seed=3)["train"]
    assert {label for sentence in pos for label in sentence.column("upos")} == UPOS


def test_the_same_seed_gives_the_same_corpus_everywhere() -> None:
    def digest(seed: int) -> str:
        rows = [
            f"{sentence.text}|{sentence.columns}" for sentence in generate("sample-ner", {"dev": 50}, seed=seed)["dev"]
        ]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    assert digest(1) == digest(1) != digest(2)


DIGESTS = {
    "sample-ner": "0a2bbd3b5dfe94e41b34d7838013a47927ab16e2ff812ded435d67921286a383",
    "sample-pos": "839e9570152cd0615db4fc50d863e7ce2db837f7e69ed1e69d568c3d557e4827",
    "sample-reviews": "f25722f9c9a380f1731716ae0aa8c79e61d9e3d6d6dbf470173983619958c7fd",
    "sample-pairs": "363adb8799db3d2037c85c33f0ec2fb5d9094215ed16ae1b16eef344ff36a0eb",
    "sample-tolari": "9e21761f2faf42aba1d70b48c711ef30883c92e3e400d83486ef0091ecdd2bdf",
    "sample-sentences": "09e30b9450c39ce193bc1f36ef4fedcccda333f01d6174fe99826d27ff8d0539",
    "sample-names": "68851c9e3f746901f2babf19772080353d894882dcc2f5809d922bfe39ef5d36",
    "digits": "bfe85f52e09bec026fcb0cb7356fcec9ddfc47a68fbe72f4503913f6e86e9252",
    "sample-tones": "f5e620cbdfc78224fa6eccd538dcdbb64f59f64e6c0d07e3a500889cea2207e5",
    "sample-melodies": "e5d0acd7eb4a03098e8a2b664903e74a75b1e287288dccec8cab2f7fab4e0a80",
    "sample-gestures": "9aab09b82210ee210eb03742432a8f2cf3a73d72282242deebd9b84bb970e794",
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_corpus_never_changes(name: str) -> None:
    """Scores on it are published, so it has to be the same on every platform and in every version."""
    digest = hashlib.sha256()
    dataset = resolve(name)
    for split in ("train", "dev", "test"):
        if name in OF_FRAMES:
            for record in dataset.read_frames([split]).records[split]:
                digest.update(record.source.read().tobytes() + json.dumps(record.fields, sort_keys=True).encode())
            continue
        if name in OF_PAIRS:
            digest.update(json.dumps([record.fields for record in dataset.splits[split].content or ()]).encode())
            continue
        for sentence in dataset.sentences(split):
            row = [sentence.text, sentence.tokens, sentence.columns, sentence.fields]
            digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    assert digest.hexdigest() == DIGESTS[name]


@pytest.mark.parametrize("name", ["sample-pos", "sample-sentences"])
def test_a_grammar_that_has_nothing_more_to_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqkit.corpora.samples.grammar._PATIENCE", 5)
    monkeypatch.setattr("random.Random.random", lambda _: 0.5)
    with pytest.raises(DataError, match=r"^the grammar has only 1 of 2 different texts$"):
        generate(name, {"train": 2})


def test_dev_and_test_hold_words_that_train_lacks(corpus: tuple[str, dict[str, list[Sentence]]]) -> None:
    _, splits = corpus
    known = {token for sentence in splits["train"] for token in sentence.tokens}
    for split in ("dev", "test"):
        tokens = [token for sentence in splits[split] for token in sentence.tokens]
        assert 0.05 < sum(token not in known for token in tokens) / len(tokens) < 0.25


def test_words_alone_do_not_tell_the_label(corpus: tuple[str, dict[str, list[Sentence]]]) -> None:
    """The baseline that gives every word its commonest label stays far behind a tagger that reads the context."""
    column, splits = corpus
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in splits["train"]:
        for token, label in zip(sentence.tokens, sentence.column(column), strict=True):
            counts[token][label] += 1
    ambiguous = [word for word, labels in counts.items() if len(labels) > 1]
    assert {"Paris", "Chelsea", "Jordan", "that", "light"} & set(ambiguous)
    right = total = 0
    for sentence in splits["test"]:
        for token, label in zip(sentence.tokens, sentence.column(column), strict=True):
            guess = counts[token].most_common(1)[0][0] if token in counts else "PROPN" if column == "upos" else "O"
            right += guess == label
            total += 1
    assert 0.7 < right / total < 0.93


def test_names_are_shared_between_people_and_places() -> None:
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for sentence in resolve("sample-ner").sentences("train"):
        for start, end, label in spans(sentence.column("ner"), "iob2"):
            kinds[" ".join(sentence.tokens[start:end])].add(label)
    assert sum({"PER", "LOC"} <= found for found in kinds.values()) >= 10
    assert sum({"LOC", "ORG"} <= found for found in kinds.values()) >= 20


def test_articles_fit_the_next_word() -> None:
    for sentence in resolve("sample-pos").sentences("train"):
        for token, label, following in zip(sentence.tokens, sentence.column("upos"), sentence.tokens[1:], strict=False):
            if label == "DET" and token.lower() in ("a", "an"):
                assert (token.lower() == "an") == (following[0].lower() in "aeiou")


def test_the_card_says_what_is_made() -> None:
    for name in GENERATORS:
        card = load_card(name)
        assert card.generator is not None and card.generator.name == name
    for name, column in COLUMNS.items():
        card = load_card(name)
        assert card.columns == ("word", column) and card.target == column


def test_there_is_no_other_sample() -> None:
    with pytest.raises(DataError, match=r"^unknown sample 'sample-lm'; choose from sample-ner, .*, sample-gestures$"):
        generate("sample-lm", {"train": 1})


@pytest.mark.parametrize("file", ["grammar.toml", "reviews.toml", "sentences.toml", "names.toml"])
def test_every_phrase_of_a_grammar_is_used(file: str) -> None:
    grammar = read_grammar(resource_dir("datasets") / "sample" / file, MADE_UP if file == "grammar.toml" else ())
    named = {item.value for phrases in grammar.phrases.values() for _, items in phrases for item in items}
    named |= {f"{domain}-{name}" for domain in grammar.domains for name in named}
    assert set(grammar.phrases) | set(grammar.words) <= named | set(GENERATORS)


def test_every_word_of_the_tagged_grammar_has_a_tag() -> None:
    grammar = read_grammar(resource_dir("datasets") / "sample" / "grammar.toml", MADE_UP)
    for phrases in grammar.phrases.values():
        for _, items in phrases:
            brackets = [item.kind for item in items if item.kind in ("open", "close")]
            assert brackets == ["open", "close"] * (len(brackets) // 2)
    tags = {item.tag for phrases in grammar.phrases.values() for _, items in phrases for item in items if item.tag}
    assert tags | {tag for tag, _ in grammar.words.values()} == UPOS


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        ('a = ["the frog"]', r"no part of speech for 'frog' in \[tags\]"),
        ('a = ["the <frog>"]', r"no word list or phrase for <frog> in 'a'"),
        ("a = [", "invalid grammar: "),
    ],
)
def test_a_faulty_grammar(phrases: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "grammar.toml"
    path.write_text(f'[tags]\nDET = "the"\n[words.NOUN]\ncat = "cat"\n[phrases]\n{phrases}\n')
    with pytest.raises(DataError, match=rf"grammar\.toml: {message}"):
        read_grammar(path)


def test_a_symbol_has_to_be_there_in_every_domain(tmp_path: Path) -> None:
    path = tmp_path / "grammar.toml"
    text = 'domains = ["a", "b"]\n[words]\na-part = "x"\n[phrases]\nstart = ["the <part>"]\n'
    path.write_text(text)
    with pytest.raises(DataError, match=r"grammar\.toml: no word list or phrase for <part> in 'start'$"):
        read_grammar(path)
    path.write_text(text.replace("start", "a-start"))  # only said of films, so to speak
    assert read_grammar(path).domains == ("a", "b")
