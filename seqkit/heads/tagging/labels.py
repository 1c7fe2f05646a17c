"""Labels ↔ ids of the tags that a tagging head predicts, for one label column and one scheme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqkit.errors import DataError, ModelError, shown
from seqkit.formats.schemes import SCHEMES, Span, convert, detect_scheme, inventory, is_label, legal_moves, spans
from seqkit.inputs.vocabulary import LabelVocabulary


class TagCodec:
    """Labels of a file ↔ tags of a model.

    Files mark spans by IOB1, IOB2 or BIOES. The model always learns BIOES, whose tags say most about a span's borders
    (Ratinov & Roth 2009); its predictions are converted to the file's scheme. Labels that do not mark spans are used as
    tags without a change.

    Args:
        tags: the model's tags.
        scheme: the scheme of the files: ``iob1``, ``iob2``, ``bioes`` or ``none``.
        target: the label column, for reading more data of the same kind.

    Attributes:
        encoding: ``bioes``, or ``none`` if labels do not mark spans.
        visible: the class of each tag, int64 [K], by what readers of labels see of it while a sentence is still going
            on: in IOB1 and IOB2 not whether a span ends.
        classes: the class of each tag, int64 [K]; tags of one class are written as the same label, in IOB1 with one
            exception, see `touching`.
    """

    def __init__(self, tags: LabelVocabulary, scheme: str, target: str) -> None:
        self.tags = tags
        self.scheme = scheme
        self.target = target
        self.encoding = "none" if scheme == "none" else "bioes"
        self._written = [_rename(tag, scheme) for tag in tags.labels]
        alike = ["I" + label[1:] if scheme == "iob1" and label[0] == "B" else label for label in self._written]
        numbers = {label: number for number, label in enumerate(sorted(set(alike)))}
        self.classes: NDArray[np.int64] = np.array([numbers[label] for label in alike], dtype=np.int64)
        places = {label: number for number, label in enumerate(dict.fromkeys(self._written))}
        self.visible: NDArray[np.int64] = np.array([places[label] for label in self._written], dtype=np.int64)
        self._kinds: dict[int, list[int]] = {}  # class → its tags
        for tag, number in enumerate(self.classes.tolist()):
            self._kinds.setdefault(number, []).append(tag)

    @classmethod
    def build(cls, sequences: Sequence[Sequence[str]], scheme: str, target: str) -> TagCodec:
        """Collect the labels of a training set.

        Args:
            sequences: the labels of each training sentence.
            scheme: the scheme of the file, or ``auto``.
            target: the label column.

        Returns:
            The codec.

        Raises:
            DataError: a label is not in the scheme, or all labels are the same.
        """
        found = detect_scheme(sequences) if scheme == "auto" else scheme
        occurring = {label for labels in sequences for label in labels}
        column = f"column {target!r}" if target else "the last column"
        if len(occurring) < 2:
            only = f"only {occurring.pop()!r}" if occurring else "none"
            raise DataError(f"expected at least two different labels in {column} of the training data, found {only}")
        if odd := sorted(label for label in occurring if not is_label(label, found)):
            raise DataError(f"expected labels in {found} in {column} of the training data, found {odd[0]!r}")
        encoding = "none" if found == "none" else "bioes"
        tags = {tag for labels in sequences for tag in convert(labels, found, encoding)}
        return cls(LabelVocabulary.build(inventory(tags, encoding)), found, target)

    def encode(self, labels: Sequence[str]) -> list[int]:
        """Labels of a file → ids of tags, -1 for a tag that is not in the training data."""
        return self.tags.indices(convert(labels, self.scheme, self.encoding))

    def decode(self, tags: Iterable[int]) -> list[str]:
        """Ids of tags → labels of a file."""
        labels = [self._written[tag] for tag in tags]
        return convert(labels, "iob2", "iob1") if self.scheme == "iob1" else labels

    def spans(self, tags: Sequence[int]) -> list[Span]:
        """The spans that ids of tags mark; empty if labels do not mark spans."""
        names = self.tags.labels
        return spans([names[tag] for tag in tags], self.encoding)

    def touching(self, tag: int) -> list[tuple[int, int]]:
        """Pairs of tags of which IOB1 writes the second as ``B``, because a span of its kind ends just before it.

        Args:
            tag: a tag; all tags of its class have the same pairs.

        Returns:
            Tags that end a span of this kind, each with every tag that begins one; empty in other schemes.
        """
        if self.scheme != "iob1":
            return []
        kind = self._kinds[int(self.classes[tag])]
        ends = [number for number in kind if self.tags[number][0] in "ES"]
        begins = [number for number in kind if self.tags[number][0] in "BS"]
        return list(product(ends, begins))

    def legal_moves(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]] | None:
        """Which tags may begin a sentence [K], follow each other [K, K] and end it [K]; None if all may."""
        return None if self.encoding == "none" else legal_moves(self.tags.labels, self.encoding)

    def to_json(self) -> dict[str, Any]:
        """The codec as a JSON object; see `from_json`."""
        return {**self.tags.to_json(), "scheme": self.scheme, "target": self.target}

    @classmethod
    def from_json(cls, value: object) -> TagCodec:
        """Read what `to_json` gave.

        Args:
            value: a parsed JSON value.

        Returns:
            The codec.

        Raises:
            ModelError: `value` is something else.
        """
        tree = value if isinstance(value, dict) else {}
        scheme, target = tree.get("scheme"), tree.get("target")
        if scheme not in SCHEMES or not isinstance(target, str):
            raise ModelError(f"labels: expected a scheme and a target, found {shown(scheme)} and {shown(target)}")
        tags = LabelVocabulary.from_json({"labels": tree.get("labels")})
        if "" in tags.labels:
            raise ModelError("labels: a label is empty")
        return cls(tags, scheme, target)


def _rename(tag: str, scheme: str) -> str:
    """A BIOES tag in IOB2, from which IOB1 is made later; tags of other schemes unchanged."""
    if scheme not in ("iob1", "iob2"):
        return tag
    return {"S": "B", "E": "I"}.get(tag[0], tag[0]) + tag[1:]
