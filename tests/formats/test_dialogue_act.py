"""Dialogue acts: what they are read as, and what is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit.errors import DataError
from seqkit.formats.dialogue_act import DialogueAct, Slot, parse_act


@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("bye()", DialogueAct("bye", ())),
        (" bye ( ) ", DialogueAct("bye", ())),
        ("?request(Price_Range)", DialogueAct("?request", (Slot("pricerange", "", "?"),))),
        ("inform(a=b;a='c d')", DialogueAct("inform", (Slot("a", "b", ""), Slot("a", "c d", "")))),
        ("inform(a='x;y (z)';b=no)", DialogueAct("inform", (Slot("a", "x;y (z)", ""), Slot("b", "no", "no")))),
        ("inform(a='joe's bar')", DialogueAct("inform", (Slot("a", "joe's bar", ""),))),
        ("inform(a=\"joe's\"; b = 'c' )", DialogueAct("inform", (Slot("a", "joe's", ""), Slot("b", "c", "")))),
        ("inform(a=dinner';b='lunch)", DialogueAct("inform", (Slot("a", "dinner", ""), Slot("b", "lunch", "")))),
        ("inform(battery rating=33.7  inch;)", DialogueAct("inform", (Slot("batteryrating", "33.7 inch", ""),))),
        ("inform(a=;b='')", DialogueAct("inform", (Slot("a", "", "?"), Slot("b", "", "?")))),
        ("inform(a=x=y)", DialogueAct("inform", (Slot("a", "x=y", ""),))),
    ],
)
def test_an_act_has_a_type_and_slots(text: str, act: DialogueAct) -> None:
    assert parse_act(text) == act


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("Yes", "yes"), ("true", "yes"), ("false", "no"), ("None", "none"), ("dont_care", "dontcare"), ("no one", "")],
)
def test_some_values_are_no_strings_of_texts(value: str, meaning: str) -> None:
    assert parse_act(f"inform(a='{value}')").slots[0].special == meaning


@pytest.mark.parametrize("text", ["", "inform", "inform(", "(a=b)", "a b(c=d)", "inform(a=b", "inform(a=b) and more"])
def test_what_is_no_act_is_said_with_its_place(text: str) -> None:
    message = "some.jsonl:3: expected a dialogue act such as inform(name='red door cafe';kidsallowed=yes), found "
    with pytest.raises(DataError, match=re.escape(message)):
        parse_act(text, file="some.jsonl", line=3)


def test_a_slot_without_a_name_is_a_fault() -> None:
    message = re.escape("some.jsonl:3: a slot of the dialogue act 'inform(=b)' has no name")
    with pytest.raises(DataError, match=message):
        parse_act("inform(=b)", file="some.jsonl", line=3)


def test_an_act_is_not_endless() -> None:
    with pytest.raises(DataError, match="a dialogue act has at most 5,000 characters, and this one has"):
        parse_act("inform(" + "a='" * 10_000 + ")")


@given(st.text("ab=;()'\" \n\\é", max_size=60))
def test_any_text_is_read_or_refused(body: str) -> None:
    try:
        act = parse_act(f"inform({body})")
    except DataError:
        return
    assert all(slot.name and (slot.value or slot.special == "?") for slot in act.slots)


@given(st.text(max_size=40))
def test_any_string_is_read_or_refused(text: str) -> None:
    for one in (text, f"{text}({text})", f"inform(a={text};b='{text}')"):
        try:
            parse_act(one)
        except DataError:
            continue
