"""Finding the faults of texts and what is written from each: translations, sentences from dialogue acts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from seqkit.config.recipes import override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.faulty import Content, Problem, Problems, read_content
from seqkit.corpora.preview import settings_of
from seqkit.corpora.sequences import problem_of
from seqkit.errors import DataError, shown
from seqkit.formats.dialogue_act import parse_act
from seqkit.formats.format import ReadOptions, split_at_spaces
from seqkit.tasks import TASKS

_MOST_ACTS = 0.5
"""share of the strings in a field from which on they are dialogue acts, and others are faulty ones"""


def written_problems(
    dataset: Dataset,
    target: str | None,
    text: str,
    refusals: Callable[..., Any] | None,
    notes: list[str],
    problems: Problems,
) -> None:
    """Find the faults of texts and what is written from each.

    These are lines that cannot be read, what training refuses, and pairs or sources that are in two splits.

    Args:
        dataset: the data set.
        target: the field of what is written; by default the card's.
        text: the field of what is read.
        refusals: what finds all that training refuses; see `seqkit.corpora.check.check`.
        notes: receives lines for the user.
        problems: receives the faults.
    """
    try:
        settings = settings_of(dataset, TASKS["translate"], target, text)
        data = settings.data
        options = ReadOptions(split_at_spaces, text=data.source, label=data.target)
        contents: dict[str, Content] = {}
        content = None
        dataset = dataset.described(settings.description())
        for name in dataset.splits:
            contents[name] = content = read_content(dataset, name, options, content, problems, labelled=False)
    except DataError as error:
        problems.append(problem_of(error))
        return
    notes += content.notes if content is not None else ()
    parts = {name: content.sentences for name, content in contents.items()}
    settings = with_acts(settings, parts, notes)
    of_acts = settings.data.unit_read == "act"
    if of_acts:
        problems.extend(_act_problems(parts, settings.data.source, types=refusals is None))
    problems.extend(map(problem_of, refusals(settings, parts) if refusals is not None else ()))
    problems.extend(_shared(contents, settings.data.source, settings.data.target, of_acts))


def with_acts(settings: Any, parts: Mapping[str, Sequence[Any]], notes: list[str]) -> Any:
    """Settings that read fields of dialogue acts as such, where they do not say otherwise.

    Args:
        settings: the settings of a task that writes texts from fields.
        parts: split → its records.
        notes: receives a line for the user.

    Returns:
        The settings.
    """
    rows = [record.fields for records in parts.values() for record in records]
    if not rows:
        return settings
    data = settings.data
    if hasattr(data, "source"):
        if data.source_unit != "same" or not _are_acts(rows, data.source):
            return settings
        found, changes = data.source, {"source_unit": "act"}
    else:
        names = [] if data.condition else data.conditions(rows)
        found = next((name for name in names if _are_acts(rows, name)), "")
        if not found:
            return settings
        changes = {"condition": ",".join(f"{name}:act" if name == found else name for name in names)}
    notes.append(f"the field {found!r} is read as dialogue acts")
    return override(settings, {"data": changes})


def _are_acts(rows: Sequence[Mapping[str, Any]], field: str) -> bool:
    strings = [value for row in rows if isinstance(value := row.get(field), str)]
    return sum(map(_is_act, strings)) > _MOST_ACTS * len(rows)


def _is_act(text: str) -> bool:
    try:
        return "(" in text and bool(parse_act(text))
    except DataError:
        return False


def _act_problems(parts: Mapping[str, Sequence[Any]], field: str, *, types: bool) -> Iterator[Problem]:
    """What is no dialogue act, and types of acts that train lacks, unless training is tried, which refuses these."""
    trained: set[str] = set()
    for split, records in parts.items():
        new: Counter[str] = Counter()
        first: dict[str, Any] = {}
        for record in records:
            value = record.fields.get(field)
            if not isinstance(value, str):
                continue  # which has been told
            try:
                act = parse_act(value, file=record.file, line=record.line)
            except DataError as error:
                yield problem_of(error)
                continue
            if split not in ("dev", "test"):
                trained.add(act.type)
            elif types and trained and act.type not in trained:
                new[act.type] += 1
                first.setdefault(act.type, record)
        for name, count in new.items():
            told = f"no dialogue act of train is of the type {shown(name)} ({count:,} in {split})"
            yield Problem(str(first[name].file), first[name].line, f"{told}; correct it or add it to train")


def _shared(contents: Mapping[str, Content], source: str, target: str, of_acts: bool) -> Iterator[Problem]:
    """Pairs and sources that are in two splits; of dialogue acts pairs only, since each has many texts."""
    first: dict[Any, tuple[str, str, Any]] = {}
    for split, content in contents.items():
        for line, record in content.lines():
            read, written = (_plain(record.fields.get(field)) for field in (source, target))
            key = (read.casefold(), written.casefold() if of_acts else "")
            where = f"{content.file_of(record)}:{line}"
            earlier, place, pair = first.setdefault(key, (split, where, (read, written)))
            if earlier == split:
                continue
            what, how = ("pair", "") if (read, written) == pair else ("source", ", with another text")
            if read != pair[0] or (of_acts and what == "source"):
                what, how = ("pair" if of_acts or written == pair[1] else "source"), ", but for case"
            yield Problem(
                content.file_of(record), line, f"the {what} is also in {earlier}, at {place}{how}; remove one"
            )


def _plain(value: Any) -> str:
    """A text, or several, with single spaces between words."""
    return " ".join(value.split()) if isinstance(value, str) else repr(value)
