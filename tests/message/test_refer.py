"""Refer-To and Replaces: what is written is read, and any text is read or refused."""

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.errors import BadMessage
from sipcore.message.message import Headers, Request
from sipcore.message.refer import (
    Replaces,
    parse_replaces,
    referred_by,
    replaces_in,
    sipfrag,
    wants_no_reports,
)
from tests.message.strategies import tokens

call_ids = st.text(
    st.characters(codec="ascii", exclude_characters=' "<>;,', min_codepoint=33, max_codepoint=126),
    min_size=1,
    max_size=30,
)
replaces = st.builds(Replaces, call_ids, tokens, tokens, st.booleans())


def refer(**headers: list[str]) -> Request:
    named: Headers = {name.replace("_", "-"): rows for name, rows in headers.items()}
    return Request("REFER", "sip:b@x", named)


@given(replaces)
def test_what_is_written_is_read(one: Replaces) -> None:
    assert parse_replaces(one.to_text()) == one
    assert replaces_in(Request("INVITE", "sip:b@x", {"Replaces": [one.to_text()]})) == one


@given(replaces, tokens)
def test_refer_to_carries_it_escaped(one: Replaces, user: str) -> None:
    text = f"<sip:8004@x?Subject=a&Replaces={quote(one.to_text(), safe='')}>"
    wish = referred_by(refer(Refer_To=[text]))
    assert (wish.target.user, wish.replaces) == ("8004", one)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (
        lambda: parse_replaces(text),
        lambda: referred_by(refer(Refer_To=[text])),
        lambda: referred_by(refer(Refer_To=[f"<sip:a@b?Replaces={quote(text, safe='')}>"])),
    ):
        with contextlib.suppress(BadMessage):
            read()


@pytest.mark.parametrize(
    "text",
    ["", "id", "id;to-tag=1", "id;from-tag=1", ";to-tag=1;from-tag=2", "i d;to-tag=1;from-tag=2"],
)
def test_a_dialog_needs_its_three_names(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_replaces(text)


def test_two_dialogs_cannot_be_replaced_at_once() -> None:
    one = "id;to-tag=1;from-tag=2"
    with pytest.raises(BadMessage):
        replaces_in(Request("INVITE", "sip:b@x", {"Replaces": [one, one]}))


def test_reports_may_be_unwanted() -> None:
    assert [
        wants_no_reports(refer(Refer_Sub=[text])) for text in ("false", " False", "true", "")
    ] == [True, True, False, False]
    assert not wants_no_reports(refer())


def test_a_fragment_is_a_status_line() -> None:
    assert sipfrag(486) == b"SIP/2.0 486 Busy Here\r\n"
