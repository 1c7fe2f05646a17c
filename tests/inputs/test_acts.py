"""Dialogue acts as units, and values as symbols."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.errors import DataError, SettingsError
from seqkit.formats.dialogue_act import DialogueAct, Slot, parse_act
from seqkit.heads.translation.settings import TranslateSettings
from seqkit.inputs.acts import Acts, KnownActs
from seqkit.inputs.settings import ActSettings
from seqkit.inputs.vocabulary import Vocabulary
from seqkit.metrics.slots import SlotErrors

PLAIN = Acts(ActSettings())
ACTS = Acts(ActSettings(spelled="Type, size", keywords="kids_allowed=child Kids", uncounted="?select"))
BAR = parse_act("inform(name='red door';near=door;type=bar;kidsallowed=no;name='old red door')")


def test_units_are_the_type_and_the_slots_in_order() -> None:
    slots = ["SLOT_NAME", "SLOT_NAME_2", "SLOT_NEAR", "kidsallowed=no", "type=bar"]
    assert ACTS.units(BAR) == ["inform", *slots]
    assert PLAIN.units(parse_act("?request(food;area=dontcare)")) == ["?request", "area=dontcare", "food=?"]


def test_the_longest_value_becomes_a_symbol_and_comes_back() -> None:
    text = "Old Red Door is near the door , the red  door is no doorway : a bar"
    symbols = "SLOT_NAME_2 is near the SLOT_NEAR , the SLOT_NAME is no doorway : a bar"
    assert ACTS.delexicalise(text, BAR) == symbols
    assert ACTS.lexicalise(symbols, BAR) == "old red door is near the door , the red door is no doorway : a bar"


def test_symbols_in_other_letters_are_symbols_and_those_without_a_value_stay() -> None:
    assert ACTS.lexicalise("slot_name , SLOT_NAME_3 , SLOT_FOOD , SLOT_NAMES", BAR) == (
        "red door , SLOT_NAME_3 , SLOT_FOOD , SLOT_NAMES"
    )


def test_parts_of_a_value_come_in_any_order() -> None:
    act = parse_act("inform(meal='lunch or dinner')")
    assert PLAIN.delexicalise("dinner and lunch , or lunch", act) == "SLOT_MEAL , or lunch"


def test_slots_with_the_same_value_take_turns() -> None:
    act = parse_act("inform(near='old town';area='old town')")
    assert PLAIN.delexicalise("near old town in old town", act) == "near SLOT_NEAR in SLOT_AREA"


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("red door near door , no child : old red door", SlotErrors(0, 0, 4)),
        ("red door , red door near door : old red door", SlotErrors(1, 1, 4)),
        ("SLOT_NAME_2 near SLOT_NEAR SLOT_FOOD child kids", SlotErrors(1, 2, 4)),
        ("", SlotErrors(4, 0, 4)),
    ],
)
def test_errors_are_missing_and_redundant_slots(text: str, errors: SlotErrors) -> None:
    assert ACTS.errors(text, BAR) == errors


def test_every_slot_with_keywords_and_without_a_symbol_is_expected() -> None:
    acts = Acts(ActSettings(spelled="type", keywords="type=pub bar,near=beside"))
    act = parse_act("inform(name=x;type=pub;near='the mill')")
    assert acts.errors("x is a pub beside the mill", act) == SlotErrors(0, 0, 3)
    assert acts.errors("x is near the mill", act) == SlotErrors(1, 0, 3)
    assert acts.errors("x is a bar , a pub , near the mill", act) == SlotErrors(0, 1, 3)


def test_keywords_may_have_marks() -> None:
    acts = Acts(ActSettings(keywords="wifi=wi-fi Wi,price=$"))
    act = parse_act("inform(wifi=yes;price=none)")
    assert acts.errors("Wi-Fi for $5", act) == SlotErrors(0, 0, 2)
    assert acts.errors("wi fi", act) == SlotErrors(1, 0, 2)
    assert acts.errors("wi-fidelity wide", act) == SlotErrors(1, 0, 2)


def test_of_equal_values_a_text_with_symbols_tells_which_one_is_meant() -> None:
    act = parse_act("inform(near='old town';area='old town')")
    assert PLAIN.errors("SLOT_AREA , SLOT_AREA", act) == SlotErrors(1, 1, 2)
    assert PLAIN.errors("old town , old town", act) == SlotErrors(0, 0, 2)


def test_what_training_has_seen_of_acts() -> None:
    known = KnownActs(Vocabulary(["inform", "slot_name", "kind=pub", "area=?"]), str.lower)
    known.check(["Inform"])
    with pytest.raises(DataError) as fault:
        known.check(["deny", "SLOT_NAME"], file="f", line=3)
    assert str(fault.value) == "f:3: expected a type of dialogue act seen in training (inform), found 'deny'"
    units = ["inform", "SLOT_NAME", "SLOT_NAME_2", "SLOT_AREA", "kind=?", "kind=bar", "kind=pub", "pool=yes"]
    assert known.unknown(units) == [
        "2 values of the slot 'name'",
        "a value of 'area'",
        "the slot 'kind' without a value",
        "'kind=bar'",
        "the slot 'pool'",
    ]


def test_acts_of_some_types_are_not_counted() -> None:
    act = DialogueAct("?select", BAR.slots)
    assert ACTS.errors("", act) == SlotErrors()
    assert PLAIN.errors("", act) == SlotErrors(4, 0, 4)


def test_the_rate_is_that_of_all_texts_together() -> None:
    total = SlotErrors.total([SlotErrors(1, 2, 4), SlotErrors(0, 0, 6)])
    assert (total, total.rate, total.errors) == (SlotErrors(1, 2, 10), 0.3, 3)
    assert SlotErrors.total([]).rate == 0.0


def test_references_are_those_of_acts_that_differ_in_values_only() -> None:
    acts = [*map(parse_act, ("inform(name=x)", "inform(name=y)", "inform(name=no)", "confirm(name=y)"))]
    texts = [["x it is", "here is X"], ["it is y", "y it is"], ["none"], ["y ?"]]
    assert PLAIN.references(acts, texts) == [
        ["x it is", "here is x", "it is x"],
        ["it is y", "y it is", "here is y"],
        ["none"],
        ["y ?"],
    ]


VALUES = st.lists(st.text("ab ", min_size=1, max_size=4).filter(str.strip), max_size=4)


@given(VALUES, st.lists(st.sampled_from(["a", "b", "ab", "ba", "c"]), max_size=8))
def test_a_text_comes_back_as_it_was(values: list[str], words: list[str]) -> None:
    act = parse_act(f"inform({';'.join(f'slot={value}' for value in values)})")
    text = " ".join(words)
    assert PLAIN.lexicalise(PLAIN.delexicalise(text, act), act) == text


@given(st.text(max_size=20), st.text(max_size=40))
def test_any_values_and_texts_can_be_compared(value: str, text: str) -> None:
    act = DialogueAct("inform", (Slot("name", value or "x", ""), Slot("a", value + " or " + text, "")))
    assert isinstance(PLAIN.lexicalise(PLAIN.delexicalise(text + value, act), act), str)
    assert ACTS.errors(text, act).slots == 2
    assert PLAIN.references([act], [[text, value]])


def test_people_leave_out_almost_no_slot(real_file: Callable[[str], Path]) -> None:
    acts = Acts(ActSettings(spelled="type", keywords="kidsallowed=child kid kids children", uncounted="?select"))
    lines = real_file("restaurant-acts/test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    errors = SlotErrors.total(acts.errors(row["text"], parse_act(row["act"])) for row in rows)
    assert errors == SlotErrors(3, 1, 1675)


def test_settings_of_acts_need_acts() -> None:
    with pytest.raises(SettingsError) as fault:
        TranslateSettings(acts={"spelled": "type"})
    assert str(fault.value) == (
        "settings: acts.spelled is for dialogue acts: set data.source_unit to act, or leave it out"
    )
    with pytest.raises(SettingsError) as fault:
        TranslateSettings(data={"source_unit": "act"}, acts={"keywords": "kids"})
    assert str(fault.value) == (
        "settings: acts.keywords: expected slots with words, as kidsallowed=child kid, found 'kids'"
    )
    with pytest.raises(SettingsError) as fault:
        TranslateSettings(data={"source_unit": "act", "digits": True})
    assert str(fault.value) == ("settings: data: source_unit act needs digits false: symbols for values have numbers")
