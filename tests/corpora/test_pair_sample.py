from __future__ import annotations

from collections import Counter

from seqkit.corpora.samples import generate
from seqkit.corpora.samples.pairs import _KIND, _PLACES


def test_every_premise_has_a_hypothesis_of_each_label_and_no_label_shows_in_the_words_alone() -> None:
    corpus = generate("sample-pairs", {"train": 1500, "dev": 150}, seed=3)
    rows = [record.fields for split in corpus.values() for record in split]
    assert [len(corpus[split]) for split in corpus] == [1500, 150]
    labels: dict[str, list[str]] = {}
    for row in rows:
        labels.setdefault(row["premise"], []).append(row["label"])
        assert 1.0 <= row["relatedness"] <= 5.0 and row["hypothesis"][-1] == "."
    assert all(sorted(found) == ["contradiction", "entailment", "neutral"] for found in labels.values())
    assert not {record.fields["premise"] for record in corpus["train"]} & {
        record.fields["premise"] for record in corpus["dev"]
    }
    # Who does it to whom counts: some hypotheses that do not follow have exactly the words of one that would.
    turned = [
        row
        for row in rows
        if row["label"] == "neutral"
        and Counter(row["premise"].lower().split()) >= Counter(row["hypothesis"].lower().split())
    ]
    assert len(turned) > 50
    places = [place for place in _PLACES if any(place in row["premise"] for row in rows)]
    assert len(places) == len(_PLACES) and len(_KIND) == len(set(_KIND))
