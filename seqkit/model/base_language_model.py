"""What all language models have in common, whatever foretells the next unit: scoring lines, and writing texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, overload

import torch

from seqkit.config import BATCH_TOKENS, LmSettings
from seqkit.errors import DataError, ModelError
from seqkit.inputs.arrays import Indexer
from seqkit.inputs.pretrained import Vectors
from seqkit.inputs.streams import END, Corpus
from seqkit.inputs.units import Units
from seqkit.inputs.vocabulary import UNKNOWN
from seqkit.model.base import Documents, Model
from seqkit.model.build import build_indexer, indexer_documents, restore_indexer
from seqkit.model.memory import BatchTokens, fitted
from seqkit.model.stream import STATIC_WINDOW
from seqkit.model.streaming import CHUNK_SENTENCES, chunks
from seqkit.model.writing import Beginning, UnitWriter, known_numbers
from seqkit.nn.search import Continuation
from seqkit.records import ScoredText, Sentence, WrittenText

__all__ = ["BaseLanguageModel", "unit_indexer"]


def unit_indexer(
    settings: LmSettings,
    units: Units,
    counts: Mapping[str, int],
    vectors: Vectors | None = None,
    start: Model | None = None,
) -> Indexer:
    """Choose the units that a language model tells apart.

    Args:
        settings: the limits on the vocabulary.
        units: text ↔ units.
        counts: how often every distinct unit occurs in the training data.
        vectors: given word vectors.
        start: a model whose vocabularies come first.

    Returns:
        The vocabularies; the end of a line is in them whatever the limits.
    """
    least = settings.data.min_count
    kept = {unit: max(least, counts.get(unit, 0)) for unit in units.inventory()}
    # No limit on the vocabulary may leave the end of a line out.
    types = {**counts, **kept, END: sum(counts.values()) + least}
    return build_indexer(settings.data, types, vectors, start)


class BaseLanguageModel(Model):
    """A language model: the probability of each unit after all before it, or after some of them.

    `seqkit.model.language_model.LanguageModel` is one with a network, `seqkit.model.ngram_model.NgramLanguageModel`
    one without.

    Args:
        settings: the settings it was built with.
        units: text ↔ units.
        indexer: units → numbers.
        network: all its numbers.
        report: scores, data and versions, as in ``report.json``.

    Attributes:
        end: the number of the unit that ends a line, which is also what stands before the first unit.
    """

    task: ClassVar[str] = "lm"
    settings: LmSettings

    def __init__(
        self, settings: LmSettings, units: Units, indexer: Indexer, network: Any, report: dict[str, Any]
    ) -> None:
        super().__init__(settings, network, report)
        self.units = units
        self.indexer = indexer
        self.end = indexer.words.index(END)

    # --- how likely a text is -------------------------------------------------------------------------------------

    @overload
    def score(self, text: str, **options: Any) -> ScoredText: ...

    @overload
    def score(self, text: Iterable[str | Sentence], **options: Any) -> Iterator[ScoredText]: ...

    def score(self, text: str | Iterable[str | Sentence], **options: Any) -> ScoredText | Iterator[ScoredText]:
        """Say how likely lines are, each by itself.

        Args:
            text: one line, or any iterable of lines, of which no more than a chunk is read ahead: strings, or records,
                whose place a fault then names.
            **options: ``batch_tokens``, units a batch (a longer line is a batch of its own), halved where memory does
                not suffice (see `seqkit.model.memory.BatchTokens`); ``chunk_lines``, lines read ahead at most;
                ``precision``, arithmetic of the network, ``fp32``, ``bf16`` or ``auto``.

        Returns:
            One record a line, in order; one record alone for one line.
        """
        return next(self._scores([text], **options)) if isinstance(text, str) else self._scores(text, **options)

    def _scores(
        self,
        lines: Iterable[str | Sentence],
        *,
        batch_tokens: int | BatchTokens = BATCH_TOKENS,
        chunk_lines: int = CHUNK_SENTENCES,
        precision: str = "fp32",
    ) -> Iterator[ScoredText]:
        records = (self._line(line) for line in lines)
        room = BatchTokens.of(batch_tokens)

        def score(part: Sequence[Sentence], size: int) -> list[ScoredText]:
            targets = [[*self._numbers(sentence.tokens[1:]), self.end] for sentence in part]
            found = self._log_probs(part, targets, size, precision)
            return [
                ScoredText(sentence.text, log_prob, len(numbers), numbers.count(UNKNOWN))
                for sentence, numbers, log_prob in zip(part, targets, found, strict=True)
            ]

        for chunk in chunks(records, chunk_lines):
            for _, scored in fitted(chunk, room, score):
                yield scored

    def _line(self, given: str | Sentence) -> Sentence:
        """A line as what goes in, which begins with the end of a line; what is to be predicted ends with one."""
        line = given if isinstance(given, Sentence) else Sentence([], given, [])
        return Sentence([END, *self.units.split(line.text)], line.text, [], file=line.file, line=line.line)

    def _log_probs(
        self, chunk: Sequence[Sentence], targets: list[list[int]], batch_tokens: int, precision: str
    ) -> list[float]:
        """How likely each line of a chunk is by itself.

        Args:
            chunk: the lines, as what goes in.
            targets: the numbers of what is to be predicted of each.
            batch_tokens: units a batch.
            precision: arithmetic of the network.

        Returns:
            ln p of each line.
        """
        raise NotImplementedError  # pragma: no cover - every kind of model overrides it

    def _numbers(self, units: Iterable[str]) -> list[int]:
        return self.indexer.words.indices(map(self.indexer.normalise, units))

    def log_prob(
        self, corpus: Corpus, *, window: int = STATIC_WINDOW, dynamic: float = 0.0, precision: str = "fp32"
    ) -> float:
        """Say how likely a text is as one stream.

        Args:
            corpus: the text.
            window: units that are computed together. It has no influence on the result but in dynamic evaluation.
            dynamic: the learning rate of dynamic evaluation (see `seqkit.model.stream.stream_log_prob`); 0 for none.
            precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``.

        Returns:
            ln p of the text, ends of lines included, in nats.
        """
        raise NotImplementedError  # pragma: no cover - every kind of model overrides it

    def perplexity(self, text: str | Iterable[str], *, dynamic: float = 0.0, window: int = STATIC_WINDOW) -> float:
        """The perplexity of a text as one stream; see `log_prob`.

        Args:
            text: the text, or its lines.
            dynamic: the learning rate of dynamic evaluation; 0 for none.
            window: units that are computed together.

        Returns:
            exp(−ln p / units).

        Raises:
            DataError: there is no unit in it.
        """
        lines = text.removesuffix("\n").split("\n") if isinstance(text, str) else text
        corpus = Corpus.read(lines, self.units)
        if not len(corpus):
            raise DataError("expected a text with at least one unit, found none")
        return ScoredText("", self.log_prob(corpus, dynamic=dynamic, window=window), len(corpus)).perplexity

    # --- writing --------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def sample(
        self,
        prompt: str = "",
        *,
        count: int = 1,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        beam: int = 0,
        lines: int = 1,
        seed: int | None = None,
    ) -> list[WrittenText]:
        """Write texts. An unknown unit is never written.

        Args:
            prompt: how every text begins.
            count: how many texts.
            length: how many units are added at most, ends of lines included.
            temperature: below 1 likely units become likelier, above 1 less so; 0 always takes the likeliest.
            top_k: only the `top_k` likeliest units are drawn from; 0 for all.
            top_p: only the likeliest units that together have this probability are drawn from.
            beam: search for the likeliest texts with a beam of this width, or of `count` where that is more, instead of
                drawing; 0 for drawing.
            lines: a text ends with the end of its so many-th line (the prompt's last one counts); 0: only by `length`.
            seed: the same seed gives the same texts; None for other ones each time.

        Returns:
            The texts; with a beam they differ, the likeliest comes first, and there may be fewer than asked for.

        Raises:
            DataError: the prompt has a unit that the model does not know.
            SettingsError: a number is outside its range.
        """
        writer, begin = self._writing([self.end, *self._prompt(prompt)])
        found = writer.write(
            begin,
            1,
            count=count,
            beam=beam,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            end=self.end,
            length=length,
            ends=lines,
        )
        return [self._written(prompt, continuation) for continuation in found]

    def _writing(self, start: Sequence[int]) -> tuple[UnitWriter, Beginning]:
        """What writes texts that begin with some units, and how they begin."""
        raise NotImplementedError  # pragma: no cover - every kind of model overrides it

    def _prompt(self, prompt: str) -> list[int]:
        """The numbers of a prompt's units."""
        units: list[str] = []
        for number, line in enumerate(prompt.split("\n")):
            units += [END] * (number > 0) + self.units.split(line)
        return known_numbers(self.indexer, units, self.units.kind)

    def _written(self, prompt: str, continuation: Continuation) -> WrittenText:
        lines: list[list[str]] = [[]]
        for token in continuation.tokens:
            if token == self.end:
                lines.append([])
            else:
                lines[-1].append(self.indexer.words[token])
        added = "\n".join(map(self.units.join, lines))
        apart = prompt and not prompt[-1].isspace() and lines[0]
        text = prompt + (self.units.separator if apart else "") + added
        units = len(continuation.tokens) + continuation.ended
        return WrittenText(text, continuation.log_prob, units, continuation.ended)

    # --- files ----------------------------------------------------------------------------------------------------

    def documents(self) -> dict[str, Any]:
        """See `Model.documents`."""
        return {**indexer_documents(self.indexer), "units.json": self.units.to_json()}

    def description(self) -> list[str]:
        """See `Model.description`."""
        commands = ["seqkit lm score -m THIS_FOLDER < text.txt", "seqkit lm sample -m THIS_FOLDER --count 5"]
        return ["```sh", *commands, "```", "", f"- Units: {self.units.kind}, {len(self.indexer.words) - 2:,} known"]

    @classmethod
    def _restored(cls, settings: LmSettings, documents: Documents) -> tuple[Units, Indexer]:
        """What `documents` gave, read back."""
        indexer = restore_indexer(settings.data, documents)
        if END not in indexer.words:
            raise ModelError(f"{documents.place}: words.json: expected the end of a line among the units, found none")
        return Units.from_json(documents["units.json"]), indexer
