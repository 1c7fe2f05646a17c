"""Any labels: their scheme, their spans, their numbers, and all of it back."""

from __future__ import annotations

import json
import random

from harness import fuzz

from seqkit.formats.schemes import SCHEMES, convert, detect_scheme, from_spans, invalid_moves, spans
from seqkit.heads.tagging.labels import TagCodec

SEEDS = (
    b"B-PER I-PER O\nB-LOC O S-LOC",
    b"I-A I-A B-A O\nO I-B",
    b"S-X B-X I-X E-X O",
    b"NOUN VERB DET\nNOUN",
    b"B I E S O\nB- I- -",
)
WORDS = (b"B-", b"I-", b"E-", b"S-", b"O", b" ", b"\n", b"B-B-", b"I-O", b"O-O", b"b-per")


def test_labels() -> None:
    def read(content: bytes, draw: random.Random) -> None:
        lines = content.decode("utf-8", "surrogateescape").split("\n")
        sequences = [[label for label in line.split(" ") if label] for line in lines]
        found = detect_scheme(sequences)
        scheme, other = draw.choice((found, *SCHEMES)), draw.choice(SCHEMES)
        for labels in sequences:
            invalid_moves(labels, scheme)
            marked = spans(labels, scheme)
            again = convert(labels, scheme, other)
            assert len(again) == len(labels)
            if "none" not in (scheme, other):
                assert spans(again, other) == marked
                assert again == from_spans(marked, len(labels), other)
                assert not invalid_moves(again, other)
        codec = TagCodec.build(sequences, draw.choice((scheme, "auto")), "label")
        assert TagCodec.from_json(json.loads(json.dumps(codec.to_json()))).to_json() == codec.to_json()
        for labels in sequences:
            tags = codec.encode(labels)
            assert min(tags, default=0) >= 0
            assert codec.decode(tags) == convert(labels, codec.scheme, codec.scheme)
            assert codec.spans(tags) == spans(labels, codec.scheme)
        shuffled = [draw.randrange(len(codec.tags)) for _ in range(5)]
        assert len(codec.decode(shuffled)) == 5

    fuzz("labels", read, seeds=SEEDS, words=WORDS)
