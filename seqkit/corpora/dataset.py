"""A data set: its splits, read on demand as sentences, labelled texts or lines."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from seqkit.corpora.cards import Card
from seqkit.corpora.label_columns import accepted, settle_columns
from seqkit.corpora.split import LOOKED_AT, Split, add_layout, in_layout_of, names_alone
from seqkit.errors import DataError
from seqkit.formats.arrays import attach_arrays
from seqkit.formats.format import UNDESCRIBED, Description, ReadOptions, notes_on
from seqkit.formats.json_values import as_object
from seqkit.formats.manifest import beside, has_frames, may_have_frames, not_read, row_frames
from seqkit.formats.objects import labels_whole_text, object_sentence, object_text
from seqkit.formats.parallel_files import PARALLEL_FILES
from seqkit.formats.plain import punctuation_is_apart
from seqkit.formats.registry import FORMATS, described_frames, described_sentences, described_texts
from seqkit.formats.spans import WIDENED
from seqkit.formats.splitting import Choice, Splitter, choose_splitter, choose_splitter_for_text
from seqkit.formats.tables import PARALLEL, NoNamesError
from seqkit.formats.text import OTHER_ENCODING, read_lines
from seqkit.records import FrameRecord, Sentence, SplitFunction, TextRecord
from seqkit.tasks import TASKS

_SAMPLE = 2000
"""records by which a splitter is chosen"""
_LINE_BREAK = re.compile(r"\r\n?|\n")

_FEWEST_SPEAKERS = 10
"""speakers from which on whole speakers are held out"""

R = TypeVar("R", bound=Sentence | TextRecord | FrameRecord)
Chooser = Callable[[Sequence[Any]], tuple[set[int], str] | None]
"""all records → the numbers of those that are held out as dev, and what they are; None for the last tenth"""


@dataclass(frozen=True, slots=True)
class Splits(Generic[R]):
    """Splits of a data set, read together: a file that dev is held out of is read once.

    Args:
        records: split → its records, in the file's order.
        notes: what the user should know about the data set, and what was held out.
    """

    records: dict[str, list[R]]
    notes: list[str]


@dataclass(slots=True)
class Dataset:
    """The splits of a data set, read on demand.

    Args:
        name: what the user called it.
        splits: ``train``, ``dev``, ``test`` → the split; a lone file is ``all``.
        card: the data set's card, if it has one.
        notes: what the user should know.
        not_taken: files of the folder that are no split, which messages name.
        dev_in_train: whether what is held out as dev is in train as well.
    """

    name: str
    splits: dict[str, Split]
    card: Card | None = None
    notes: list[str] = field(default_factory=list)
    not_taken: Sequence[str] = ()
    dev_in_train: bool = False
    _dev: set[int] | None = None
    """which records were held out, where that is not the last tenth"""

    def described(self, given: Description | None) -> Dataset:
        """The same data, read as a description says.

        Args:
            given: the description; where it says nothing, that of the card counts, or what is found out.

        Returns:
            The data set; this one if the description says nothing.
        """
        if given is None or given == UNDESCRIBED:
            return self
        said = {each.name: value for each in fields(given) if (value := getattr(given, each.name)) != each.default}
        splits = {
            name: Split(split.file, replace(split.description, **said), split.content)
            for name, split in self.splits.items()
        }
        return replace(self, splits=splits, notes=list(self.notes))

    @property
    def target(self) -> str:
        """The label column that a tagger learns by default: the card's or the format's, or ``""`` (the last one)."""
        if self.card is not None and self.card.target:
            return self.card.target
        split = next(iter(self.splits.values()))
        if self.card is not None or split.file is None or split.is_pipe:
            return ""
        try:
            description = split.first()[1]
            return description.target or FORMATS[description.format].target
        except DataError:  # which reading it says again, after what else may be wrong
            return ""

    @property
    def in_parallel(self) -> bool:
        """Whether it has texts and what is written from each, as its card or its format says."""
        if self.card is not None:
            return self.card.task == "translate"
        split = next(iter(self.splits.values()))
        if split.file is None or split.is_pipe:
            return False
        with suppress(DataError):  # which reading it says again
            return split.first(texts=True)[1].format in (PARALLEL.name, PARALLEL_FILES.name)
        return False

    @property
    def second(self) -> str:
        """The field of the second text, where texts come in pairs."""
        return next(iter(self.splits.values())).description.second

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns or of the parallel texts, as far as a card, a user or the names of files say it."""
        split = next(iter(self.splits.values()))
        found = split.description.columns or (self.card.columns if self.card is not None else ())
        if found or split.file is None or split.is_pipe:
            return found
        with suppress(DataError):  # which reading it says again, after what else may be wrong
            return split.first(texts=True)[1].columns
        return ()

    @property
    def scheme(self) -> str:
        """The card's label scheme, or ``auto``."""
        return self.card.scheme if self.card is not None else "auto"

    @property
    def held_out(self) -> bool:
        """Whether dev is the last tenth of train (or of a lone file)."""
        return "dev" not in self.splits and ("train" in self.splits or "all" in self.splits)

    def has(self, split: str) -> bool:
        """Whether a split can be read.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.

        Returns:
            True if there are records for it, held out of train or not.
        """
        return split in self.splits or (split == "train" and "all" in self.splits) or (split == "dev" and self.held_out)

    def _files(self, name: str, *, texts: bool = False) -> list[tuple[Path, Description]]:
        """The files of a split; one that is too small to show its layout has that of the first split."""
        files = [(file, description) for file, description, _ in self.splits[name].located(texts=texts)]
        first = self.splits[next(iter(self.splits))]
        known = None if first.file is None or first.is_pipe else first.first(texts=texts)[1]
        return [(file, in_layout_of(known, own)) for file, own in files]

    @property
    def has_tokens(self) -> bool:
        """Whether the text comes as words already, so that the spaces in its lines are between words."""
        split = next(iter(self.splits.values()))
        if split.file is None or (self.card is not None and split.description.format == self.card.format):
            return self.card is not None and FORMATS[self.card.format].has_tokens
        return FORMATS[split.first()[1].format].has_tokens

    @property
    def blank_lines(self) -> bool:
        """Whether a language model of words predicts the ends of blank lines, too."""
        files = [split for split in self.splits.values() if split.file is not None and not split.is_pipe]
        return any(FORMATS[split.first()[1].format].blank_lines for split in files)

    def notes_on_lines(self, *, formats: bool) -> list[str]:
        """What the user should know of files whose lines were read.

        Args:
            formats: whether also which formats were recognised.

        Returns:
            A line for each: of formats, of what was left out or changed.
        """
        files = [split for split in self.splits.values() if split.file is not None and not split.is_pipe]
        found: list[str] = []
        for split in files if formats else ():
            add_layout(found, split.located())
        return found + [note for split in files for note in notes_on(split.file, split.left_out)]

    def choose_splitter(
        self, kind: str, text: str = "text", label: str | None = None, *, spaced: bool = False
    ) -> Choice:
        """Choose how raw text is split into tokens, by the first records of the first split.

        Args:
            kind: what the data set holds, see `seqkit.tasks.Task.records`.
            text: the field of the text.
            label: the field of the label; None if texts need none.
            spaced: whether texts may be tokens with spaces between them, without saying so.

        Returns:
            A kind of splitter, and the reason: the one that finds the given tokens best, or a guess from the text.

        Raises:
            DataError: the data cannot be read.
        """
        name = next(iter(self.splits))
        first = self.splits[name]
        if first.is_pipe:
            return Choice("words", f"raw text is split by 'words', because {first.file} can be read only once")
        if kind == "lines":
            return choose_splitter_for_text("\n".join(islice(self._lines(name, text), _SAMPLE)))
        was_split, words = False, Splitter("words").split

        def split(text: str) -> Sequence[tuple[int, int]]:
            nonlocal was_split
            was_split = True
            return words(text)

        if first.content is not None:
            records = list(islice(first.content, _SAMPLE))
        else:
            file, known = first.first(texts=kind != "sentences")
            description = replace(known, span_borders="widen")  # labels do not matter here
            options = ReadOptions(split, text=text, label=label, allow_unlabelled=True)
            read = described_sentences if kind == "sentences" else described_texts
            records = list(islice(read(file, description, options), _SAMPLE))
            if widened := sum(options.left_out[each] for each in options.left_out if each.startswith(WIDENED)):
                return self._fewest_widened(file, description, widened)
        given = [record for record in records if isinstance(record, Sentence) and record.tokens]
        if kind == "sentences" and given and not was_split:
            return choose_splitter(((record.text, record.offsets) for record in given), name)
        texts = [record.text for record in records]
        if spaced and punctuation_is_apart(texts):
            return Choice("spaces", "texts are split at spaces only, since no punctuation is attached to their words")
        return choose_splitter_for_text("\n".join(texts))

    @staticmethod
    def _fewest_widened(file: Path, description: Description, widened: int) -> Choice:
        """The splitter with which the fewest annotated spans start or end inside a token."""
        found = {"words": widened}
        for kind in ("english", "elision"):
            options = ReadOptions(Splitter(kind).split, allow_unlabelled=True)
            deque(islice(described_sentences(file, description, options), _SAMPLE), maxlen=0)
            found[kind] = sum(times for what, times in options.left_out.items() if what.startswith(WIDENED))
        best = min(found, key=lambda kind: found[kind])
        beside = "" if best == "words" else f" ('words': {widened:,})"
        return Choice(
            best, f"raw text is split by {best!r}; spans that start or end inside a token: {found[best]:,}{beside}"
        )

    def splitter(
        self, kind: str, text: str = "text", label: str | None = None, notes: list[str] | None = None
    ) -> SplitFunction:
        """What splits raw text; chosen, see `choose_splitter`, when there is some: data with tokens need no choice.

        Args:
            kind: what the data set holds.
            text: the field of the text.
            label: the field of the label.
            notes: receives the reason, if the choice depends on the text.

        Returns:
            The function; of data with faults the one for text of any language.
        """
        chosen: list[SplitFunction] = []

        def split(raw: str) -> Sequence[tuple[int, int]]:
            if not chosen:
                choice = Choice("words", "")
                with suppress(DataError):  # which reading them tells better
                    choice = self.choose_splitter(kind, text, label)
                chosen.append(Splitter(choice.kind).split)
                if notes is not None and choice.kind != "words":
                    notes.append(choice.reason)
            return chosen[0](raw)

        return split

    def label_field(self, target: str | None = None, format: str | None = None) -> str | None:
        """Whether this is a data set of labelled texts, and where their labels are.

        Args:
            target: the field of the label; by default the card's, or ``label``.
            format: the format of the first file; by default detected.

        Returns:
            The field; None for sentences whose tokens have labels, or that have none.

        Raises:
            DataError: a file cannot be read.
        """
        label = target or self.target or "label"
        split = next(iter(self.splits.values()))
        if self.card is not None:
            labelled = TASKS[self.card.task].records == "texts"
        elif split.file is None:
            labelled = any(labels_whole_text(sentence.fields, label) for sentence in (split.content or [])[:1])
        elif split.is_pipe:  # its reader would miss what is read here
            labelled = False
        else:
            has_label = FORMATS[format or split.first()[1].format].has_label
            lines = read_lines(split.files()[0], split.description.encoding)
            labelled = has_label is not None and has_label(lines, label)
        return label if labelled else None

    def evaluation_split(self, asked: str | None = None) -> str:
        """Which split to evaluate on.

        Args:
            asked: what the user asked for; None means test, or dev if there is no test.

        Returns:
            The split's name; a lone file is evaluated as a whole (``all``) unless dev or train was asked for.

        Raises:
            DataError: there is no such split.
        """
        if "all" in self.splits and asked in (None, "test"):
            return "all"
        if asked is None:
            return "test" if self.has("test") else "dev"
        if not self.has(asked):
            raise self._missing(asked)
        return asked

    def refuse_untrainable(self) -> None:
        """See that a model can be trained: there is train, and every file can be read more than once.

        Raises:
            DataError: there is no train split, or a file is a pipe or device.
        """
        self.evaluation_split("train")
        for split in self.splits.values():
            if split.is_pipe:
                found = "a pipe or device can be read only once, and training needs its data several times"
                raise DataError(f"{found}; write the data to a file first", file=split.file)

    def _missing(self, split: str) -> DataError:
        """What is wrong if a split is not there, with the files that could have been it."""
        files = [f"{name} ({part.file.name})" for name, part in self.splits.items() if part.file is not None]
        others = f"; not taken: {', '.join(self.not_taken)}" if self.not_taken else ""
        if not files or "all" in self.splits or split not in ("train", "dev", "test"):
            return DataError(
                f"no {split} split in {self.name}; it has {', '.join(self.splits)}{others if not files else ''}"
            )
        return DataError(f"expected a {split} file, found {', '.join(files)}{others}", file=self.name)

    def read_sentences(
        self, splitter: SplitFunction | None = None, splits: Sequence[str] | None = None
    ) -> Splits[Sentence]:
        """Read several splits as sentences. If dev is held out, train is all but its last tenth.

        Args:
            splitter: text → token offsets, for formats with plain text; by default at spaces.
            splits: which; by default train, dev and test as far as there are any.

        Returns:
            The splits; see `Splits`.

        Raises:
            DataError: there is no such split, it cannot be read, train is empty, or train has too few sentences for
                a dev split to be held out.
        """
        return self._read(splits, lambda split, notes: self._sentences(split, splitter, notes))

    def read_texts(
        self,
        splitter: SplitFunction | None = None,
        splits: Sequence[str] | None = None,
        *,
        text: str = "text",
        label: str | None = "label",
        choose: Chooser = lambda records: None,
    ) -> Splits[Any]:
        """Read several splits as texts with fields. If dev is held out, train is all but its last tenth, or `choose`.

        Args:
            splitter: text → token offsets; None for texts that are not split.
            splits: which; by default train, dev and test as far as there are any.
            text: the field of the text.
            label: the field of the label; None if texts need none.
            choose: all records → which are held out, and what they are, see `held_out_rows`; None for the last tenth.

        Returns:
            The splits, of `Sentence` records with `fields` if there is a splitter, of `TextRecord` records otherwise.

        Raises:
            DataError: there is no such split, it cannot be read, a field is missing, train is empty, or train has too
                few texts for a dev split to be held out.
        """
        return self._read(
            splits, lambda split, notes: self._texts(split, splitter, text, label, notes), choose, chosen="texts"
        )

    def read_frames(
        self, splits: Sequence[str] | None = None, *, field: str = "", label: str = "", speaker: str = ""
    ) -> Splits[FrameRecord]:
        """Read several splits as sequences of vectors. If dev is held out of train, `held_out_rows` says what is.

        Args:
            splits: which; by default train, dev and test as far as there are any.
            field: the field of the sequence; by default the usual ones.
            label: the field of the label; empty for none.
            speaker: the field of the speaker; empty for none.

        Returns:
            The splits; see `Splits`.

        Raises:
            DataError: there is no such split, it cannot be read, train is empty, or train has too few sequences for a
                dev split to be held out.
        """

        def choose(records: Sequence[FrameRecord]) -> tuple[set[int], str]:
            labels, speakers = ([record.fields.get(name) for record in records] for name in (label, speaker))
            return held_out_rows(labels, speakers, len(records))

        return self._read(
            splits, lambda split, notes: self._frames(split, field, notes), choose, "sequences", chosen="sequences"
        )

    @property
    def has_frames(self) -> bool:
        """Whether the first split has sequences of vectors."""
        return self.reads_frames(named=True)

    def reads_frames(self, *, named: bool) -> bool:
        """Whether the first split has sequences of vectors.

        Args:
            named: whether the user names the field of a text.

        Returns:
            Whether it has.

        Raises:
            DataError: no field of a text is named, and its rows have no text, but sequences that are not read: files
                of other formats, or in a field of another name.
        """
        if self.card is not None:
            return self.card.input == "frames"
        split = next(iter(self.splits.values()))
        if split.content is not None:
            first = next(iter(split.content), None)
            return isinstance(first, FrameRecord) or has_frames(getattr(first, "fields", None))
        if split.is_pipe:
            return False
        faults: list[tuple[str, int]] = []
        with suppress(DataError):  # which reading them tells better
            path, description = split.first(texts=True)
            form = FORMATS[description.format]
            if form.rows is None or beside(path) is not None:
                return form.frames is not None
            if may_have_frames(names_alone(path, description)):
                return True
            try:
                for row, line in _first_rows(path, description):
                    if has_frames(row):
                        return True
                    faults.append((not_read(row), line))
            except NoNamesError:
                return True
            except DataError:
                faults.clear()
                raise
            named |= bool(description.token_column)
        if not named and faults and all(fault for fault, _ in faults):
            raise DataError(faults[0][0], file=path, line=faults[0][1])
        return False

    def has_texts(self, field: str) -> bool:
        """Whether the first rows of the first split have texts, or tokens, beside their sequences of vectors.

        Args:
            field: the field of the text.

        Returns:
            Whether one has.
        """
        split = next(iter(self.splits.values()))
        with suppress(DataError):
            if split.content is not None:
                rows: Iterable[Any] = (record.fields for record in split.content[:LOOKED_AT])
            else:
                path, description = split.first(texts=True)
                if FORMATS[description.format].rows is None:
                    return False
                rows = (row for row, _ in _first_rows(path, description))
            found = [row for row in rows if isinstance(row, Mapping)]
            return any(isinstance(row.get(field), str) or "tokens" in row for row in found)
        return False

    def read_all_frames(self, split: str, field: str, faults: Any) -> list[FrameRecord]:
        """The sequences of a split in memory that can be read; the others become faults.

        Args:
            split: the split.
            field: the field of the sequence; empty for the usual ones.
            faults: receives each fault, by a method `fault`.

        Returns:
            The sequences.
        """
        found: list[FrameRecord] = []
        for record in self.splits[split].content or ():
            try:
                found.append(_given_frames(record, field))
            except DataError as error:
                faults.fault(error)
        return found

    def sentences(self, split: str, splitter: SplitFunction | None = None) -> list[Sentence]:
        """Read one split; see `read_sentences`."""
        return self.read_sentences(splitter, [split]).records[split]

    def texts(
        self, split: str, splitter: SplitFunction | None = None, *, text: str = "text", label: str | None = "label"
    ) -> list[Any]:
        """Read one split of texts; see `read_texts`."""
        return self.read_texts(splitter, [split], text=text, label=label).records[split]

    def _read(
        self,
        splits: Sequence[str] | None,
        load: Callable[[str, list[str]], list[R]],
        choose: Chooser = lambda records: None,
        items: str = "sentences",
        chosen: str = "",
    ) -> Splits[R]:
        wanted = [name for name in ("train", "dev", "test") if self.has(name)] if splits is None else splits
        source, whole = self._source, None
        found: Splits[R] = Splits({}, list(self.notes))
        for split in wanted:
            if not self._is_part(split):
                found.records[split] = load(split, found.notes)
                continue
            whole = load(source, found.notes) if whole is None else whole
            if split == "train" and self.dev_in_train:
                found.records[split] = list(whole)
                continue
            if len(whole) > 1 and (choice := choose(whole)) is not None:
                rows, how = choice
                self._dev = rows
                found.records[split] = [record for row, record in enumerate(whole) if (row in rows) == (split == "dev")]
                if split == "dev":
                    held_out = f"{how} ({len(rows):,} of {len(whole):,} {chosen})"
                    what = "are dev, and in train as well" if self.dev_in_train else "are held out of train"
                    found.notes.append(f"{self.name} has no dev split: {held_out} {what}")
                continue
            begin, end = self._range(split, len(whole), items)
            found.records[split] = whole[begin:end]
            if split == "dev" and (note := self.held_out_note(len(whole))) not in found.notes:
                found.notes.append(note)
        return found

    def forget_train(self) -> None:
        """Remove training sentences that came from no file, once they have become arrays; dev remains as it is."""
        content = self.splits[self._source].content if self._source in self.splits else None
        if content is None:
            return
        if self.held_out:
            rows = self._dev if self._dev is not None else range(*self._range("dev", len(content), "sentences"))
            self.splits["dev"] = Split(content=[content[row] for row in sorted(rows)])
        del self.splits[self._source]
        self.splits["train"] = Split(content=[])

    def lines(self, split: str, text: str = "text") -> Iterator[str]:
        """Read one split as raw text, one line at a time.

        Args:
            split: ``train``, ``dev``, ``test``, or ``all`` for a lone file.
            text: the field of the text, where records have fields.

        Yields:
            Of files of plain text every line as it is, also an empty one; of other formats the text of every record,
            several lines if it has line breaks. If dev is held out, train is all but its last tenth.

        Raises:
            DataError: there is no such split, it cannot be read, or train has too few lines for a dev split to be held
                out.
        """
        if not self._is_part(split):
            yield from self._lines(split, text)
            return
        total = sum(1 for _ in self._lines(self._source, text))  # read once more, but never held in memory
        begin, end = self._range(split, total, "lines")
        yield from islice(self._lines(self._source, text), begin, end)

    def held_out_note(self, total: int, items: str = "sentences") -> str:
        """What to tell the user about a dev split that is held out.

        Args:
            total: how many items train and dev have together.
            items: what they are.

        Returns:
            The note.
        """
        share = f"{max(1, total // 10):,} of {total:,} {items}"
        what = "is dev, and in train as well" if self.dev_in_train else "is held out"
        return f"{self.name} has no dev split: the last tenth of train ({share}) {what}"

    @property
    def _source(self) -> str:
        """The split that dev is held out of."""
        return "all" if "all" in self.splits else "train"

    def _is_part(self, split: str) -> bool:
        """Whether a split is only a part of what is in its file."""
        if not self.has(split):
            raise self._missing(split)
        return split not in self.splits or (split == "train" and self.held_out)

    def _range(self, split: str, total: int, items: str) -> tuple[int, int]:
        """Where train, or dev that is held out of it, starts and ends among so many items."""
        if total < 2 and split == "dev":
            message = f"expected at least 2 {items}, one of them to hold out as dev, found {total}"
            raise DataError(message, file=self._place(self._source))
        cut = total - max(1, total // 10) if total > 1 else total
        if split == "train" and self.dev_in_train:
            return 0, total
        return (0, cut) if split == "train" else (cut, total)

    def _place(self, split: str) -> Path | str:
        return self.splits[split].file or self.name

    def _lines(self, name: str, text: str) -> Iterator[str]:
        split = self.splits[name]
        options = ReadOptions(left_out=split.left_out, text=text)
        if split.content is not None:
            yield from (line for record in split.content for line in text_lines(_given_text(record, options).text))
            return
        split.left_out.clear()
        for file, description in self._files(name):
            form = FORMATS[description.format]
            if form.line_per_record:
                yield from (line for _, line in read_lines(file, description.encoding))
            elif form.texts is None or form.has_label is None:
                sentences = described_sentences(file, description, options)
                yield from (line for record in sentences for line in text_lines(record.text))
            else:
                texts = described_texts(file, description, options)
                yield from (line for record in texts for line in text_lines(record.text))

    def _sentences(self, name: str, splitter: SplitFunction | None, notes: list[str]) -> list[Sentence]:
        split = self.splits[name]
        found: list[Sentence] = []
        options = ReadOptions(splitter)
        if split.content is not None:
            options = options.of(split.description)
            found = [_given_sentence(record, options) for record in split.content]
            if any(isinstance(record, TextRecord) for record in split.content):
                found, said = accepted(found, f"{self.name} {name}")
                settle_columns(found)
                notes += [*said, *notes_on(f"{self.name} {name}", options.left_out)]
            self._refuse_empty(name, found)
            return found
        files = self._files(name)
        add_layout(notes, split.located())
        for file, description in files:
            found += _accepted(list(described_sentences(file, description, options)), file, notes)
        if any(FORMATS[description.format].label_columns_vary for _, description in files):
            settle_columns(found)
        notes += notes_on(split.file, options.left_out)
        self._refuse_empty(name, found)
        return found

    def _texts(
        self, name: str, splitter: SplitFunction | None, text: str, label: str | None, notes: list[str]
    ) -> list[Sentence | TextRecord]:
        split = self.splits[name]
        found: list[Sentence | TextRecord] = []
        if split.content is not None:
            options = ReadOptions(splitter, text=text, label=label).of(split.description)
            found, said = accepted([_given_text(record, options) for record in split.content], f"{self.name} {name}")
            notes += said
            self._refuse_empty(name, found)
            return found
        options = ReadOptions(splitter, text=text, label=label)
        add_layout(notes, split.located(texts=True))
        for file, description in self._files(name, texts=True):
            read = list(described_texts(file, description, options))
            if label is None:
                attach_arrays(read, file)
            found += _accepted(read, file, notes)
        notes += notes_on(split.file, options.left_out)
        self._refuse_empty(name, found)
        return found

    def _frames(self, name: str, field: str, notes: list[str]) -> list[FrameRecord]:
        split = self.splits[name]
        found: list[FrameRecord] = []
        if split.content is not None:
            found = [_given_frames(record, field) for record in split.content]
        else:
            options = ReadOptions(frames=field, left_out=split.left_out)
            add_layout(notes, split.located(texts=True))
            for file, description in self._files(name, texts=True):
                found += described_frames(file, description, options)
            for record in found:
                record.shorten(split.file if split.file is not None and split.file.is_dir() else "")
            notes += notes_on(split.file, options.left_out)
        if not found:
            raise DataError(split.nothing_found, file=self._place(name))
        return found

    def _refuse_empty(self, name: str, found: Sequence[Sentence | TextRecord]) -> None:
        # Lines without a token are kept everywhere but teach nothing, so they alone are not training data.
        learned = any(one.text if isinstance(one, TextRecord) else one.tokens for one in found)
        if name in ("train", "all") and not learned:
            raise DataError("no sentences found", file=self._place(name))


def held_out_rows(labels: Sequence[Any], speakers: Sequence[Any], total: int) -> tuple[set[int], str]:
    """Which sequences of vectors are held out as dev: they often come sorted, by label or by speaker.

    Args:
        labels: the label of each, or None.
        speakers: the speaker of each, or None.
        total: how many sequences there are, at least 2.

    Returns:
        The last tenth of the speakers if there are at least ten, or else every tenth sequence, sorted by label where
        labels repeat; their numbers, and what they are.
    """
    known = list(dict.fromkeys(map(str, speakers)))
    if None not in speakers and len(known) >= _FEWEST_SPEAKERS:
        last = set(known[-(len(known) // 10) :])
        rows = {row for row, speaker in enumerate(speakers) if str(speaker) in last}
        return rows, f"those of the last {len(last)} of {len(known)} speakers"
    counts = Counter(map(str, labels))
    if len(counts) in (1, total):  # labels that tell nothing, such as texts that all differ
        return set(range(total)[9::10]) or {total - 1}, "one in ten"
    by_label = sorted(range(total), key=lambda row: str(labels[row]))  # stable: in the order of the file within a label
    several = [row for row in by_label if counts[str(labels[row])] > 1]  # one of its kind is needed to learn it
    return set(several[9::10]) or {several[-1]}, "one in ten of each label"


def _first_rows(path: Path, description: Description) -> Iterator[tuple[Any, int]]:
    """The first rows of a file; in which encoding it is does not matter for what kind of rows they are."""
    read, encoding = FORMATS[description.format].rows, description.encoding
    assert read is not None
    try:
        deque(islice(read_lines(path, encoding), LOOKED_AT), maxlen=0)
    except DataError as error:
        encoding = "latin-1" if OTHER_ENCODING in error.reason else encoding
    for line, row in read(islice(read_lines(path, encoding), LOOKED_AT), str(path), ReadOptions().of(description)):
        yield row, line


def _accepted(records: list[R], file: Path, notes: list[str]) -> list[R]:
    kept, said = accepted(records, file)
    notes += said
    return kept


def text_lines(text: str) -> list[str]:
    """The lines of a text: JSON and quoted cells can have several, also with a break after the last.

    Args:
        text: the text.

    Returns:
        The lines, without line ends.
    """
    lines = _LINE_BREAK.split(text)
    return lines[:-1] if len(lines) > 1 and not lines[-1] else lines


def _given_sentence(record: Sentence | TextRecord, options: ReadOptions) -> Sentence:
    """A sentence that came from no file: as it is, or read from the fields of its row."""
    if isinstance(record, Sentence):
        return record
    return object_sentence(record.fields, options, record.file, record.line)


def _given_frames(record: FrameRecord | TextRecord, field: str) -> FrameRecord:
    """A sequence that came from no file: as it is, or read from the fields of its row."""
    if isinstance(record, FrameRecord):
        return record
    found = row_frames(record.fields, field, Path(), record.file, record.line)
    found.fields = as_object(found.fields)
    return found


def _given_text(record: Sentence | TextRecord, options: ReadOptions) -> Sentence | TextRecord:
    """A text that came from no file, split into tokens unless it was given as tokens."""
    fields, label = record.fields, options.label
    if isinstance(record, TextRecord) and (label is not None or options.second):
        return object_text(dict(fields), options, record.file, record.line)
    if label is not None and label not in fields:
        found = ", ".join(map(repr, fields)) or "none"
        raise DataError(f"no field {label!r}; fields: {found}", file=record.file, line=record.line)
    whole = fields.get(options.text)
    if not isinstance(whole, str) or not whole:
        if isinstance(record, Sentence) and record.tokens and options.split is not None:
            return record
        whole = record.text
    return options.record(whole, fields, record.file, record.line)
