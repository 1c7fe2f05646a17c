"""Probabilities as a user gets them, against enumeration of everything that the model could have written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch

from seqkit.formats.schemes import from_spans, invalid_moves, spans
from seqkit.heads.tagging.module import DecodedTags, TaggingHead
from seqkit.heads.tagging.settings import TagSettings
from seqkit.model.tagger import Tagger
from seqkit.records import Sentence


def random_model(scheme: str, crf: bool, seed: int, settings: TagSettings) -> Tagger:
    """An untrained model that likes single-token spans, so that spans of one kind stand side by side."""
    sample = [(0, 1, "A"), (1, 2, "A"), (2, 4, "B"), (5, 8, "A")]
    labels = ["N", "V", "X"] * 3 if scheme == "none" else from_spans(sample, 9, scheme)
    tokens = [f"w{number}" for number in range(9)]
    torch.manual_seed(seed)
    model = Tagger.build(settings, [Sentence.from_tokens(tokens, {"label": labels})])
    with torch.no_grad():
        for parameter in model.network.head.parameters():
            parameter.normal_()
        if scheme != "none":
            bias = model.network.head.emission.bias
            bias[model.head.codec.tags.index("S-A")] += 2.0
            bias[model.head.codec.tags.index("O")] -= 1.0
    return model


def oracle(model: Tagger, sentence: Sentence) -> list[tuple[list[str], float]]:
    """Every label sequence that the model could write, with its probability, by enumeration of tag sequences."""
    model.network.eval()
    batch = model.input.collate(model.input.arrays([sentence]), np.array([0]))
    with torch.no_grad():
        encoded = model.network(batch).outputs
        emissions = model.network.head.emission(encoded)[0].double()
        crf = model.network.head.crf
        found = []
        for tags in product(range(len(model.head.codec.tags)), repeat=len(sentence.tokens)):
            names = [model.head.codec.tags[tag] for tag in tags]
            if model.head.codec.encoding == "bioes" and invalid_moves(names, "bioes"):
                continue
            score = sum(emissions[t, tag] for t, tag in enumerate(tags))
            if crf is not None and crf.transitions is not None:
                score = score + crf.start_transitions[tags[0]] + crf.end_transitions[tags[-1]]
                score = score + sum(crf.transitions[a, b] for a, b in pairwise(tags))
            if model.head.codec.encoding == "none":
                written = names
            else:
                written = from_spans(spans(names, "bioes"), len(names), model.head.codec.scheme)
            found.append((written, float(score)))
    total = np.logaddexp.reduce([score for _, score in found])
    return [(written, float(np.exp(score - total))) for written, score in found]


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "none"])
def test_probabilities_of_tokens_spans_and_sequences_equal_enumeration(
    scheme: str, crf: bool, tiny_settings: Callable[..., TagSettings]
) -> None:
    touching = 0
    for seed in range(6):
        model = random_model(scheme, crf, seed, tiny_settings(f"head.crf={str(crf).lower()}", f"data.scheme={scheme}"))
        sentence = Sentence.from_tokens(["w1", "w7", "w3", "new"][: 3 + seed % 2])
        expected = oracle(model, sentence)
        (record,) = model.predict([sentence], probs=True, nbest=3)
        best = sorted(expected, key=lambda pair: -pair[1])[:3]
        assert record.labels == best[0][0]
        assert record.probs is not None
        assert record.alternatives is not None
        for position, (label, probability) in enumerate(zip(record.labels, record.probs, strict=True)):
            assert probability == pytest.approx(sum(p for row, p in expected if row[position] == label), abs=1e-5)
        for span in record.spans:
            exact = (span.first_token, span.last_token, span.label)
            assert span.prob == pytest.approx(sum(p for row, p in expected if exact in spans(row, scheme)), abs=1e-5)
        assert [labels for labels, _ in record.alternatives] == [labels for labels, _ in best]
        assert [p for _, p in record.alternatives] == pytest.approx([p for _, p in best], abs=1e-5)
        assert [(s.first_token, s.last_token, s.label) for s in record.spans] == spans(record.labels, scheme)
        ends = {(span.last_token, span.label) for span in record.spans}
        touching += sum((span.first_token, span.label) in ends for span in record.spans)
    assert touching or scheme == "none"


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "none"])
def test_probabilities_of_all_labels_of_a_token_sum_to_one(
    scheme: str, tiny_settings: Callable[..., TagSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every label that can be written is, in turn: each sequence of tags is passed off as the best one."""
    model = random_model(scheme, True, 3, tiny_settings(f"data.scheme={scheme}"))
    head = model.network.head
    assert isinstance(head, TaggingHead)
    sentence = Sentence.from_tokens(["w1", "w7", "w3"])
    found: list[dict[str, float]] = [{}, {}, {}]
    decode = head.decode
    for path in product(range(len(model.head.codec.tags)), repeat=3):
        if scheme != "none" and invalid_moves([model.head.codec.tags[tag] for tag in path], "bioes"):
            continue

        def chosen(*arguments: Any, tags: tuple[int, ...] = path, **options: Any) -> DecodedTags:
            return decode(*arguments, **options)._replace(tags=torch.tensor([tags]))

        monkeypatch.setattr(head, "decode", chosen)
        (record,) = model.predict([sentence], probs=True)
        assert record.probs is not None
        for position, (label, probability) in enumerate(zip(record.labels, record.probs, strict=True)):
            assert probability == pytest.approx(found[position].setdefault(label, probability))
    for position, by_label in enumerate(found):
        expected: dict[str, float] = {}
        for row, probability in oracle(model, sentence):
            expected[row[position]] = expected.get(row[position], 0.0) + probability
        assert by_label == pytest.approx(expected, abs=1e-5)
        assert sum(by_label.values()) == pytest.approx(1.0, abs=1e-5)
