"""Dialogue acts ↔ units, and texts ↔ texts with symbols in the place of values (delexicalisation)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from itertools import permutations
from typing import Any

from seqkit.errors import DataError, shown
from seqkit.formats.dialogue_act import DialogueAct, Slot, parse_act
from seqkit.inputs.settings import ActSettings
from seqkit.inputs.vocabulary import UNKNOWN, Vocabulary
from seqkit.metrics.slots import SlotErrors

_SYMBOL = re.compile(r"(?<!\w)SLOT_[^\W_]+(?:_\d+)?(?!\w)", re.IGNORECASE)
_JOINED = re.compile(r" (?:or|and) ")
_MOST_TYPES = 20
"""types of acts that a message lists"""
_MOST_PARTS = 3
"""parts of a value, as in ``lunch or dinner``, of which every order is looked for"""


class Acts:
    """What is read of dialogue acts, and what texts say of them.

    A value becomes a symbol: ``SLOT_NAME`` stands for the value of the slot ``name``, ``SLOT_NAME_2`` for its second
    one. So values that are rare or new are no harder than others: the network writes symbols, and the values take their
    place afterwards. ``yes``, ``no``, ``none``, ``dontcare``, slots without a value and those that the settings name
    stay what they are: a text says them in words of its own.

    Args:
        settings: how acts are read.
    """

    def __init__(self, settings: ActSettings) -> None:
        self._spelled = settings.names("spelled")
        self._uncounted = settings.names("uncounted")
        self._keywords = settings.words_of_slots()
        self._shown = _word_finder(word for words in self._keywords.values() for word in words)

    def strange(self, slots: Set[str], types: Set[str]) -> dict[str, list[str]]:
        """Setting → the names in it that are none of these slots, or types of acts."""
        return {
            "spelled": sorted(self._spelled - slots),
            "keywords": sorted(self._keywords.keys() - slots),
            "uncounted": sorted(self._uncounted - types),
        }

    def units(self, act: DialogueAct) -> list[str]:
        """What is read of an act.

        Args:
            act: the act.

        Returns:
            Its type, then a unit for each slot in the order of the alphabet: a symbol, or the name with ``=`` and what
            the value means.
        """
        symbols = iter(self.values(act))
        slots = [next(symbols) if self._has_symbol(slot) else self._unit(slot) for slot in act.slots]
        return [act.type, *sorted(slots)]

    def values(self, act: DialogueAct) -> dict[str, str]:
        """Symbol → value of the slots of an act that have one, in order."""
        counts: Counter[str] = Counter()
        found: dict[str, str] = {}
        for slot in act.slots:
            if self._has_symbol(slot):
                counts[slot.name] += 1
                number = counts[slot.name]
                found[f"SLOT_{slot.name.upper()}" + (f"_{number}" if number > 1 else "")] = slot.value
        return found

    def _has_symbol(self, slot: Slot) -> bool:
        return not slot.special and slot.name not in self._spelled

    @staticmethod
    def _unit(slot: Slot) -> str:
        return f"{slot.name}={slot.special or slot.value.lower()}"

    def delexicalise(self, text: str, act: DialogueAct) -> str:
        """Put symbols in the place of an act's values, wherever a text has them as whole words.

        At each place the longest value counts. The parts of a value, as in ``lunch or dinner``, may be in any order,
        with ``and`` as with ``or``; case does not count. Where several slots have the same value, they take turns.

        Args:
            text: the text.
            act: what it says.

        Returns:
            The text with symbols.
        """
        pattern, symbols = _finder(tuple(self.values(act).items()))
        uses: Counter[str] = Counter()

        def symbol(match: re.Match[str]) -> str:
            alike = symbols.get(_plain(match[0]))
            if alike is None:  # of the few letters that have several lower cases
                return match[0]
            chosen = min(alike, key=lambda each: uses[each])
            uses[chosen] += 1
            return chosen

        return text if pattern is None else pattern.sub(symbol, text)

    def lexicalise(self, text: str, act: DialogueAct) -> str:
        """Put an act's values in the place of symbols; a symbol for which it has no value stays.

        Args:
            text: a text with symbols.
            act: the act.

        Returns:
            The text.
        """
        values = self.values(act)
        return _SYMBOL.sub(lambda match: values.get(match[0].upper(), match[0]), text)

    def errors(self, text: str, act: DialogueAct) -> SlotErrors:
        """Which slots of an act a text lacks, and which it has beside them.

        Counted are symbols, each by itself, and slots with keywords that have no symbol, each of which stands for one
        mention. Values that a text has in their place are symbols first; see `delexicalise`.

        Args:
            text: a text with or without symbols.
            act: the act.

        Returns:
            The errors; no slots where acts of this type are not counted.
        """
        if act.type in self._uncounted:
            return SlotErrors()
        text = self.delexicalise(text, act)
        expected = Counter(self.values(act).keys())
        expected.update(slot.name for slot in act.slots if slot.name in self._keywords and not self._has_symbol(slot))
        found = Counter(match[0].upper() for match in _SYMBOL.finditer(text))
        by_words = self._keywords.keys() - {slot.name for slot in act.slots if self._has_symbol(slot)}
        for match in self._shown.finditer(text.lower()) if self._shown is not None else ():
            found.update(name for name in by_words if match[0] in self._keywords[name])
        return SlotErrors((expected - found).total(), (found - expected).total(), expected.total())

    def references(self, acts: Sequence[DialogueAct], texts: Sequence[Sequence[str]]) -> list[list[str]]:
        """The right texts of each act: its own, and those of all acts that are alike but for values (Wen et al. 2015).

        Args:
            acts: acts.
            texts: the right texts of each.

        Returns:
            For each act its own texts, then those of the others, all with its values as it has them; none twice.
        """
        keys = [tuple(self.units(act)) for act in acts]
        learned = [[self.delexicalise(text, act) for text in own] for act, own in zip(acts, texts, strict=True)]
        alike: defaultdict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
        for key, own in zip(keys, learned, strict=True):
            alike[key].update(dict.fromkeys(own))
        rows = zip(keys, acts, learned, strict=True)
        return [[*dict.fromkeys(self.lexicalise(text, act) for text in (*own, *alike[key]))] for key, act, own in rows]


class KnownActs:
    """What training has seen of dialogue acts.

    Args:
        words: the types and slots that it has, see `Acts.units`, as a network reads them.
        normalise: a unit → how `words` has it.
    """

    def __init__(self, words: Vocabulary, normalise: Callable[[str], str] = str) -> None:
        self._words = words
        self._normalise = normalise
        self._slots = {_slot_of(word): word for word in words.words[UNKNOWN + 1 :] if _slot_of(word)}

    def check(self, units: Sequence[str], **place: Any) -> None:
        """Refuse an act of a type that training lacks.

        Args:
            units: what is read of the act.
            **place: the ``file`` and ``line`` that it is from, for messages.

        Raises:
            DataError: it is such.
        """
        if self._normalise(units[0]) not in self._words:
            types = [word for word in self._words.words[UNKNOWN + 1 :] if not _slot_of(word)]
            known = ", ".join(types[:_MOST_TYPES]) + (", …" if len(types) > _MOST_TYPES else "")
            raise DataError(
                f"expected a type of dialogue act seen in training ({known}), found {shown(units[0])}", **place
            )

    def unknown(self, units: Sequence[str]) -> list[str]:
        """What training lacks of the slots of an act, all of which are alike to the network.

        Args:
            units: what is read of the act.

        Returns:
            For each such slot what it is, in words.
        """
        return [self._named(unit) for unit in units[1:] if self._normalise(unit) not in self._words]

    def _named(self, unit: str) -> str:
        name, sign, value = unit.partition("=")
        slot = _slot_of(unit)
        if slot not in self._slots:
            return f"the slot {shown(slot)}"
        if not sign:
            number = unit.rpartition("_")[2]
            return f"{number} values of the slot {shown(slot)}" if number.isdigit() else f"a value of {shown(slot)}"
        return f"the slot {shown(name)} without a value" if value == "?" else f"{shown(f'{name}={value}')}"


class RecordActs:
    """The dialogue acts of records; see `Acts`.

    Args:
        settings: how acts are read.
        text_of: record → its act, as a string.
    """

    def __init__(self, settings: ActSettings, text_of: Callable[[Any], str]) -> None:
        self.acts = Acts(settings)
        self._text_of = text_of

    def act(self, record: Any) -> DialogueAct:
        """The act of a record.

        Args:
            record: the record.

        Returns:
            The act.
        """
        return parse_act(self._text_of(record), file=record.file, line=record.line)

    def units(self, record: Any) -> list[str]:
        """What is read of a record; see `Acts.units`."""
        return self.acts.units(self.act(record))

    def delexicalise(self, text: str, record: Any) -> str:
        """A text that says the act of a record, with symbols for values."""
        return self.acts.delexicalise(text, self.act(record))

    def lexicalise(self, text: str, record: Any) -> str:
        """A text with the values of a record's act for symbols."""
        return self.acts.lexicalise(text, self.act(record))

    def errors(self, text: str, record: Any) -> SlotErrors:
        """The slot errors of a text that is to say the act of a record."""
        return self.acts.errors(text, self.act(record))

    def notes(self, records: Sequence[Any]) -> list[str]:
        """What the user is told of the training data: names in the settings that no act has.

        Args:
            records: the training data.

        Returns:
            Lines.
        """
        found = [*map(self.act, records)]
        slots, types = {slot.name for act in found for slot in act.slots}, {act.type for act in found}
        return [
            f"acts.{setting}: no dialogue act of the training data has {', '.join(lacking)}"
            for setting, lacking in self.acts.strange(slots, types).items()
            if lacking
        ]

    def references(self, records: Sequence[Any], texts: Sequence[Sequence[str]]) -> list[list[str]]:
        """The right texts of each record; see `Acts.references`."""
        return self.acts.references(list(map(self.act, records)), texts)


@lru_cache(maxsize=1 << 12)
def _finder(values: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str] | None, Mapping[str, Sequence[str]]]:
    """What finds values in a text, and value → the symbols that stand for it."""
    symbols: defaultdict[str, list[str]] = defaultdict(list)
    for symbol, value in values:
        for form in dict.fromkeys(map(_plain, _forms(value))):
            symbols[form].append(symbol)
    if not symbols:
        return None, {}
    forms = sorted(symbols, key=len, reverse=True)
    either = "|".join(r"\s+".join(map(re.escape, form.split(" "))) for form in forms)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE), symbols


def _slot_of(unit: str) -> str:
    """The slot that a unit stands for, in lower case; empty for the type of an act."""
    if _SYMBOL.fullmatch(unit):
        return unit.split("_")[1].lower()
    name, sign, _ = unit.partition("=")
    return name.lower() if sign else ""


def _word_finder(words: Iterable[str]) -> re.Pattern[str] | None:
    """What finds words in a text in lower case, also those with marks in them, the longest at each place."""
    found = sorted(set(words), key=lambda word: (-len(word), word))
    edged = [_edge(word[0], "(?<!\\w)") + re.escape(word) + _edge(word[-1], "(?!\\w)") for word in found]
    return re.compile("|".join(edged)) if found else None


def _edge(character: str, border: str) -> str:
    return border if re.fullmatch(r"\w", character) else ""


def _plain(value: str) -> str:
    return " ".join(value.lower().split())


def _forms(value: str) -> Iterator[str]:
    """The orders in which a text may have the parts of a value."""
    parts = _JOINED.split(value)
    yield value
    if 1 < len(parts) <= _MOST_PARTS:
        for order in permutations(parts):
            yield from (" or ".join(order), " and ".join(order))
