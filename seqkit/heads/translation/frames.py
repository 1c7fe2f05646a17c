"""Many to many, unaligned: a text from a sequence of vectors, by a decoder that looks back at the frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from seqkit.heads.translation.head import Translating
from seqkit.inputs.frames import FrameInput
from seqkit.inputs.source import target_texts


class FrameTranslating(Translating):
    """A text for every sequence of vectors (for speech: Chan et al. 2016, "Listen, attend and spell")."""

    input: FrameInput

    @staticmethod
    def texts_of(input: Any, record: Any, field: str) -> list[str]:
        """See `Translating.texts_of`."""
        return target_texts(record, field)

    @property
    def acts_read(self) -> None:
        """See `Translating.acts_read`: none."""
        return None

    @property
    def source_field(self) -> str:
        """See `Translating.source_field`."""
        return str(self.settings.data.frames or "frames")

    @property
    def source_told(self) -> str:
        """See `Translating.source_told`."""
        return f"sequences of vectors of {self.input.size} numbers"

    def source_names(self, record: Any) -> list[str]:
        """See `Translating.source_names`: the first frame of each step."""
        stride = self.settings.frames.step
        return [str(step * stride) for step in range(self.input.lengths([record])[0])]

    def _first_pair(self, record: Any) -> list[str]:
        return []  # a sequence of vectors tells nobody anything

    def learned(self, records: Sequence[Any]) -> Iterator[Sequence[str]]:
        """See `Head.learned`; what is read has a checksum of its own."""
        for record in records:
            yield target_texts(record, self.field)

    def error(self, gold: Sequence[str], answer: Any) -> str:
        """See `Head.error`: the right texts, what was written, and the name, between tabs."""
        return "" if answer.text in gold else f"{' | '.join(gold)}\t{answer.text}\t{answer.sentence.text}\n"
