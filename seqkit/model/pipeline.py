"""Prediction of a stream of records: chunks → batches → answers, in order, in the precision and memory there is."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqkit.config import BATCH_TOKENS
from seqkit.devices import check_fork, multiplies_bf16, precision_context
from seqkit.errors import NOT_FINITE, DataError, ModelError, SeqkitError, SettingsError, is_out_of_memory, shown
from seqkit.inputs.batching import length_batches
from seqkit.tasks import TASKS, Task

if TYPE_CHECKING:
    from seqkit.model.base import Model

CHUNK_RECORDS = 4096
"""records that are read ahead at most"""
CHUNK_TOKENS = 1 << 16
"""a chunk ends where it has so many tokens"""
DECODED_TOKENS = 1 << 14
"""tokens at most, padding included, of several batches that are decoded together"""
DECODED_NUMBERS = 1 << 24
"""scores at most, padding included, of several batches that are decoded together"""
CHECKED_RECORDS = 128
"""records at the beginning of a stream by which ``auto`` checks bf16"""
_SHOWN = 40
"""characters of a text that messages show"""


def check_pipeline(device: torch.device, precision: str, **sizes: Any) -> None:
    """Check the settings of a pipeline.

    Args:
        device: where the network runs.
        precision: arithmetic of the network.
        **sizes: numbers of tokens and records.

    Raises:
        SettingsError: a size is no whole number or too small, there is no such precision, the device lacks it, or the
            process was forked from one that had used it.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise SettingsError(f"{name} must be a whole number of at least 1, found {shown(size)}")
    precision_context(precision, device)
    check_fork(device)


class BatchSize:
    """Tokens per batch, halved when memory runs out. For one thread at a time.

    Args:
        tokens: how many at first.
        say: is called with a line at every halving, and with other warnings of prediction; by default it is a warning.
        task: the task, whose words messages have for records and their parts.

    Attributes:
        tokens: how many.
        say: tells a line.
    """

    def __init__(self, tokens: int, say: Callable[[str], None] | None = None, task: Task = TASKS["tag"]) -> None:
        self.tokens = tokens
        self._task = task
        self.say = say or partial(warnings.warn, category=RuntimeWarning)
        self._most: int | None = None  # tokens that are worked on together, of several batches

    def halve(self, part: Sequence[Any], lengths: Sequence[int]) -> None:
        """Take fewer tokens from now on.

        Args:
            part: the records that did not fit.
            lengths: tokens of each.

        Raises:
            DataError: it is one record, which cannot be divided.
        """
        total = sum(max(1, length) for length in lengths)
        if len(part) == 1:
            what = f"one {self._task.record} of {total:,} {self._task.step}s, {shown(part[0].text, _SHOWN)}"
            raise DataError(f"out of memory with {what}", file=part[0].file, line=part[0].line)
        tried = min(self.tokens, total)
        self._most = total // 2
        self.tokens = max(1, tried // 2)
        self.say(f"out of memory with batches of {tried:,} {self._task.step}s; going on with {self.tokens:,}")

    def divide(self, records: Sequence[Any], lengths_of: Callable[[Sequence[Any]], Sequence[int]]) -> list[Any]:
        """Cut records into parts that can be worked on together.

        Args:
            records: the records.
            lengths_of: tokens of each record.

        Returns:
            The parts, in order; a record that is longer than a part may be is a part of its own.
        """
        if self._most is None:
            return [records]
        parts: list[list[Any]] = []
        room = 0
        for record, length in zip(records, lengths_of(records), strict=True):
            if max(1, length) > room:
                parts.append([])
                room = self._most
            parts[-1].append(record)
            room -= max(1, length)
        return list(parts)


def halving(
    chunk: Sequence[Any],
    size: BatchSize,
    lengths_of: Callable[[Sequence[Any]], Sequence[int]],
    predict: Callable[[Sequence[Any], int], Sequence[Any]],
) -> Iterator[Any]:
    """Predict records, fewer at a time where memory does not suffice for all.

    Args:
        chunk: the records.
        size: tokens per batch; halved where that is needed.
        lengths_of: tokens of each record.
        predict: some of the records, and tokens per batch, → an answer each.

    Yields:
        The answers, in order; none is lost or given twice.

    Raises:
        DataError: a single record does not fit; the answers to those before it have been given.
    """
    waiting = deque([chunk])
    before = vars(size).copy()
    while waiting:
        part, *others = size.divide(waiting.popleft(), lengths_of)
        waiting.extendleft(reversed(others))
        found = _attempted(predict, part, size.tokens)
        if found is None:
            try:
                size.halve(part, lengths_of(part))
            except DataError:  # no batch is small enough for this record, and others need no smaller ones
                vars(size).update(before)
                raise
            waiting.appendleft(part)
        else:
            yield from found


def _attempted(
    predict: Callable[[Sequence[Any], int], Sequence[Any]], part: Sequence[Any], size: int
) -> Sequence[Any] | None:
    """The answers; None where memory ran out, all that was computed being freed again."""
    try:
        return predict(part, size)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return None


def chunks(records: Iterable[Any], limit: int) -> Iterator[list[Any]]:
    """Cut a stream; where it ends in a fault, what came before the fault is still given first.

    Args:
        records: the stream.
        limit: records a chunk at most.

    Yields:
        The chunks, in order.

    Raises:
        SeqkitError: the fault that the stream ended in.
    """
    chunk: list[Any] = []
    tokens = 0
    fault: SeqkitError | None = None
    iterator = iter(records)
    while True:
        try:
            following = next(iterator)
        except StopIteration:
            break
        except SeqkitError as error:
            fault = error
            break
        chunk.append(following)
        tokens += len(getattr(following, "tokens", ()) or getattr(following, "text", ".")) or 1
        if tokens >= CHUNK_TOKENS or len(chunk) >= limit:
            yield chunk
            chunk, tokens = [], 0
    if chunk:
        yield chunk
    if fault is not None:
        raise fault


def not_finite(what: str, precision: str) -> ModelError:
    """The fault of weights that are finite, as `load` sees to, but so large that what is computed with them is not.

    Args:
        what: what cannot be computed.
        precision: the arithmetic of the network.

    Returns:
        The error.
    """
    hint = "" if precision == "fp32" else f"; it may be finite with --precision fp32, instead of {precision}"
    return ModelError(f"{what} is not finite, or too large: {NOT_FINITE}{hint}")


class _Scored(NamedTuple):
    """What a head makes of a batch, still to be decided on.

    Attributes:
        rows: the records' positions in the chunk, [B].
        lengths: steps of each record, int64 [B], on the CPU.
        scores: numbers of each step, [B, T, …], or of each record, [B, …].
    """

    rows: NDArray[np.int64]
    lengths: Tensor
    scores: Tensor


def _joined(batches: Iterable[_Scored], steps: bool) -> Iterator[_Scored]:
    """Put batches together: an encoder wants sequences of one length, decoding is faster for many at once."""
    group: list[_Scored] = []
    rows = 0
    for batch in batches:
        # Records come in the order of their lengths, so that those of the last batch are the longest.
        together = (rows + len(batch.rows)) * int(batch.lengths.max())
        each = batch.scores.shape[-1] if batch.scores.dim() > 1 else 1  # numbers of a step, or of a record
        if group and (together > DECODED_TOKENS or together * each > DECODED_NUMBERS):
            yield _join(group, steps)
            group, rows = [], 0
        group.append(batch)
        rows += len(batch.rows)
    if group:
        yield _join(group, steps)


def _join(group: list[_Scored], steps: bool) -> _Scored:
    if len(group) == 1:
        return group[0]
    lengths = torch.cat([part.lengths for part in group])  # [B]
    scores = [part.scores for part in group]
    if steps:
        longest, others = int(lengths.max()), (0, 0) * (scores[0].dim() - 2)
        scores = [functional.pad(each, (*others, 0, longest - each.shape[1])) for each in scores]  # each [B, T, …]
    return _Scored(np.concatenate([part.rows for part in group]), lengths, torch.cat(scores))


class Pipeline:
    """Predicts with one model, call after call. For one thread at a time, of a model that is not trained meanwhile.

    Kept from call to call are what the input keeps (the vectors of word types), what ``auto`` chose, and the size of
    a batch after memory ran out.

    Args:
        model: the model.
        batch_tokens: tokens per batch; a longer record is a batch of its own. Halved where memory runs out.
        ahead: records that are read ahead at most.
        precision: arithmetic of the network, ``fp32``, ``bf16`` or ``auto``. Where the device multiplies bf16, ``auto``
            predicts the first 128 records in both, gives those in fp32, and predicts all that follow in bf16 if every
            label of these was the same and there was one. Where nothing is labelled, it is bf16 on a GPU that has it.
        say: is called with a line when memory ran out, and when ``auto`` has chosen; by default the former is a
            warning, and nothing is said of the latter.
        size: instead of `batch_tokens`, one that has been halved where that was needed.
        options: an object of the task's options class, for calls without options of their own.

    Attributes:
        chosen: what ``auto`` chose; None until then, which is predicted in fp32.

    Raises:
        SettingsError: a size is no whole number or too small, there is no such precision, or the device lacks it.
    """

    def __init__(
        self,
        model: Model,
        *,
        batch_tokens: int = BATCH_TOKENS,
        ahead: int = CHUNK_RECORDS,
        precision: str = "fp32",
        say: Callable[[str], None] | None = None,
        size: BatchSize | None = None,
        options: Any = None,
    ) -> None:
        check_pipeline(model.device, precision, batch_tokens=batch_tokens, ahead=ahead)
        self.model = model
        self.options = model.options({}) if options is None else options
        self.size = size or BatchSize(batch_tokens, say, model.task)
        self.ahead = ahead
        self.chosen = None if precision == "auto" and model.head.has_labels else precision
        self._say = say
        self._said: set[str] = set()
        self._kept: dict[str, Any] = {}

    def __call__(self, records: Iterable[Any], options: Any = None) -> Iterator[Any]:
        """Predict a stream, in its order, reading ahead no more than a chunk, unless the input has to see all records.

        Args:
            records: the stream.
            options: an object of the task's options class; by default those of the pipeline.

        Yields:
            One answer per record.
        """
        options, predict = options or self.options, self._predict
        if self.model.input.surveys:
            records = list(records)
            predict = partial(predict, surveyed=self.model.input.surveyed(records))
        if self.chosen is None and not multiplies_bf16(self.model.device):
            self._choose("fp32", "bf16 is not fast here")
        if self.chosen is None and self.ahead >= CHECKED_RECORDS:
            parts = chunks(records, CHECKED_RECORDS)
            first = next(parts, [])
            exact = list(predict(first, options, "fp32"))
            yield from exact  # before the next ones are read, in which there may be a fault
            following = next(parts, None)
            if following is None:
                self._tell(f"fp32, since there are too few {self._records} to check bf16")
                return
            try:
                self._compare(exact, list(predict(first, options, "bf16")))
            except ModelError:  # the only one of a prediction: see `not_finite`
                self._choose("fp32", "in bf16 what the network computes is not finite")
            records = chain(following, chain.from_iterable(parts))
        elif self.chosen is None:
            self._tell(f"fp32, since too few {self._records} are read ahead to check bf16")
        for chunk in chunks(records, self.ahead):
            yield from predict(chunk, options, self.chosen or "fp32")

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What is made once and kept from call to call.

        Args:
            name: what it is called.
            make: makes it.

        Returns:
            It.
        """
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def warn(self, lines: Iterable[str]) -> None:
        """Tell the user what is unusual about what is read, each thing once.

        Args:
            lines: what to say.
        """
        for line in lines:
            self.size.say(f"warning: {line}")

    # --- precision ------------------------------------------------------------------------------------------------

    @property
    def _records(self) -> str:
        return f"{self.model.task.record}s"

    def _compare(self, exact: Sequence[Any], rounded: Sequence[Any]) -> None:
        """Choose the precision of what follows by answers in fp32 and in bf16."""
        labels = self.model.head.labels
        pairs = [
            pair
            for one, other in zip(exact, rounded, strict=True)
            for pair in zip(labels(one), labels(other), strict=True)
        ]
        others = sum(one != other for one, other in pairs)
        checked = f"{len(pairs):,} labels of the first {len(exact)} {self._records}"
        if not pairs:
            self._tell(f"fp32, since the first {len(exact)} {self._records} have no labels to check bf16 by")
        elif others:
            self._choose("fp32", f"in bf16 {others:,} of the {checked} differ")
        else:
            self.chosen = "bf16"
            self._tell(f"bf16 from here on, since the {checked} agree with fp32")

    def _choose(self, precision: str, reason: str) -> None:
        self.chosen = precision
        self._tell(f"{precision}, since {reason}")

    def _tell(self, found: str) -> None:
        if self._say is not None and found not in self._said:
            self._said.add(found)
            self._say(f"precision auto: {found}")

    # --- chunks and batches ---------------------------------------------------------------------------------------

    def _predict(self, chunk: Sequence[Any], options: Any, precision: str, surveyed: Any = None) -> Iterator[Any]:
        """Predict a chunk, in parts where memory asks for it; `surveyed` is an input that has seen all records."""
        network = self.model.network
        input = surveyed or self.kept(precision, lambda: self.model.input.cached(network.input))

        def predict(part: Sequence[Any], size: int) -> Sequence[Any]:
            network.eval()
            with torch.inference_mode(), precision_context(precision, self.model.device):
                answers, sound = self._answers(part, size, options, input)
            if not sound.all():
                record = part[int(sound.argmin())]
                where = f"{record.file}:{record.line}: " if record.file and record.line else ""
                raise not_finite(
                    f"{where}what the network computes of {shown(record.text or record.fields, _SHOWN)}", precision
                )
            return answers

        return halving(chunk, self.size, self.model.input.lengths, predict)

    def _answers(
        self, part: Sequence[Any], size: int, options: Any, input: Any
    ) -> tuple[Sequence[Any], NDArray[np.bool_]]:
        """An answer for each record, and whether the scores that it is decided by are sound."""
        head = self.model.head
        arrays = input.arrays(part)
        self.warn(self.model.unusual(part))
        conditions = head.conditions(part) if head.has_start else None

        def scored() -> Iterator[_Scored]:
            for rows in length_batches(arrays.lengths, size):
                batch = input.collate(arrays, rows).to(self.model.device)
                encoded = self.model.encode(batch, conditions and conditions.collate(rows))
                yield _Scored(rows, encoded.lengths, head.score(encoded))

        answers: list[Any] = [None] * len(part)
        checked: list[tuple[NDArray[np.int64], Tensor]] = []
        for batch in _joined(scored(), head.scores_steps):
            checked.append((batch.rows, head.sound(batch.scores, batch.lengths)))
            rows = batch.rows.tolist()
            found = head.decode(batch.scores, batch.lengths, [part[row] for row in rows], options)
            for row, answer in zip(rows, found, strict=True):
                answers[row] = answer
        sound = np.ones(len(part), dtype=np.bool_)
        if checked:  # read at last, once for all, so that a GPU need not be waited for
            rows, values = zip(*checked, strict=True)
            sound[np.concatenate(rows)] = torch.cat(values).cpu().numpy()
        filled = [
            head.empty(record, options) if answer is None else answer
            for record, answer in zip(part, answers, strict=True)
        ]
        return filled, sound
