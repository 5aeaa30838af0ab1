"""The bodies of NOTIFY: right XML whatever names hold, and what phones look for."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from sipcore.message.notify import (
    ContactState,
    Counts,
    DialogState,
    dialog_info,
    pidf,
    reginfo,
    summary,
)

AOR = "sip:8001@acme.example"
INFO = "{urn:ietf:params:xml:ns:dialog-info}"
REG = "{urn:ietf:params:xml:ns:reginfo}"
PIDF = "{urn:ietf:params:xml:ns:pidf}"

# Anything that a header may hold: any character, and bytes that are no UTF-8.
TEXTS = st.text(st.characters(codec="utf-8")) | st.binary(max_size=40).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)


def test_a_mailbox_is_told_in_three_lines() -> None:
    assert summary(AOR, Counts(4, 8, 1, 2)) == (
        b"Messages-Waiting: yes\r\nMessage-Account: sip:8001@acme.example\r\n"
        b"Voice-Message: 4/8 (1/2)\r\n"
    )
    assert summary(AOR, Counts(0, 8)).startswith(b"Messages-Waiting: no\r\n")


def test_a_dialog_has_its_parties_and_its_direction() -> None:
    known = DialogState("c1", "early", "recipient", "sip:8003@acme.example", "Wang & Söhne <1>")
    hidden = DialogState("c2", "confirmed", "initiator")
    root = ElementTree.fromstring(dialog_info(AOR, 7, [known, hidden]))
    assert root.attrib == {"version": "7", "state": "full", "entity": AOR}
    first, second = root
    assert (first.get("id"), first.get("direction")) == ("c1", "recipient")
    assert first.findtext(f"{INFO}state") == "early"
    identity = first.find(f"{INFO}remote/{INFO}identity")
    assert identity is not None
    assert (identity.text, identity.get("display")) == ("sip:8003@acme.example", "Wang & Söhne <1>")
    assert second.findtext(f"{INFO}remote/{INFO}identity") == "sip:anonymous@anonymous.invalid"
    target = second.find(f"{INFO}local/{INFO}target")
    assert target is not None
    assert target.get("uri") == AOR


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_makes_a_document_that_can_be_read(name: str, uri: str, agent: str) -> None:
    contact = ContactState("c1", uri, name, 1, 60, 0.5, agent)
    for body in (
        dialog_info(uri, 0, [DialogState("d", "early", "recipient", uri, name)]),
        reginfo(uri, 0, [contact]),
        pidf(uri, is_open=True, is_busy=True),
    ):
        ElementTree.fromstring(body)
    summary(uri, Counts())


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), min_size=1))
def test_a_readable_name_arrives_as_it_was(name: str) -> None:
    body = dialog_info(AOR, 0, [DialogState("d", "early", "recipient", AOR, name)])
    identity = ElementTree.fromstring(body).find(f".//{INFO}remote/{INFO}identity")
    assert identity is not None
    assert identity.get("display") == name


def test_contacts_are_told_with_their_state() -> None:
    contact = ContactState("c1", "sip:8001@10.0.0.7", "reg-1", 7, 60, 0.5)
    root = ElementTree.fromstring(reginfo(AOR, 3, [contact]))
    registration = root[0]
    assert registration.attrib == {"aor": AOR, "id": "r1", "state": "active"}
    assert registration[0].attrib == {
        "id": "c1",
        "state": "active",
        "event": "registered",
        "expires": "60",
        "q": "0.5",
        "callid": "reg-1",
        "cseq": "7",
    }
    assert registration[0].findtext(f"{REG}uri") == "sip:8001@10.0.0.7"
    states = [ElementTree.fromstring(reginfo(AOR, number, []))[0].get("state") for number in (0, 1)]
    assert states == ["init", "terminated"]


def test_presence_is_open_or_closed_and_busy_or_not() -> None:
    for is_open, is_busy in ((True, False), (True, True), (False, False)):
        body = pidf(AOR, is_open=is_open, is_busy=is_busy)
        root = ElementTree.fromstring(body)
        assert root.findtext(f".//{PIDF}basic") == ("open" if is_open else "closed")
        assert (b"on-the-phone" in body) == is_busy
