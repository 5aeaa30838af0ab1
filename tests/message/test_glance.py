"""A glance sees what the parser sees, or nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.dialog.matching import server_key, stamp_via
from sipcore.errors import BadMessage
from sipcore.message.flow import Flow
from sipcore.message.glance import glance, refusal
from sipcore.message.message import Request, Response, response_to
from sipcore.message.parse import parse, validate
from tests.message import strategies
from tests.message.samples import INVITE

FLOW = Flow("udp", "10.0.0.1", 5060, "203.0.113.9", 5070)


def agrees(data: bytes) -> bool:
    """Whether a glance saw anything; if so it is what the parser finds."""
    seen = glance(data)
    if seen is None:
        return False
    message = parse(data)
    assert isinstance(message, Request)
    assert message.method == seen.method
    assert message.headers["Call-ID"] == [seen.call_id.decode("utf-8", "surrogateescape")]
    signed = {"Authorization", "Proxy-Authorization"} & message.headers.keys()
    assert seen.is_signed == bool(signed)
    try:
        validate(message)
    except BadMessage:
        return True
    assert message.to.tag is None
    assert server_key(message) == seen.key
    answer = parse(refusal(seen, FLOW, "t", 7))
    validate(answer)
    stamp_via(message, FLOW)
    whole = response_to(message, 503, "t")
    whole.headers["Retry-After"] = ["7"]
    assert isinstance(answer, Response)
    assert answer.headers.keys() == whole.headers.keys()
    assert answer.values("Via")[1:] == whole.values("Via")[1:]
    assert answer.via == whole.via
    for name in ("From", "To", "Call-ID", "CSeq", "Retry-After"):
        assert answer.headers[name] == whole.headers[name]
    return True


def test_an_ordinary_invite_is_seen_and_refused_as_the_stack_would() -> None:
    assert agrees(INVITE)
    seen = glance(INVITE)
    assert seen is not None
    assert (seen.number, seen.is_signed) == ("8002", False)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Call-ID", b"i"),
        (b"From", b"f"),
        (b"To:", b"t :"),
        (b"Via:", b"v:"),
        (b"CSeq", b"cseq"),
        (b";branch=z9hG4bK1;rport", b";rport;branch=z9hG4bK1"),
        (b"203.0.113.9:5070;", b"Phone.Example;"),
        (b"203.0.113.9:5070;", b"[2001:db8::1]:5070;"),
        (b"UDP", b"TCP"),
        (b"Contact:", b"Authorization: Digest x=1\r\nContact:"),
    ],
)
def test_other_spellings_are_seen_too(old: bytes, new: bytes) -> None:
    assert agrees(INVITE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"INVITE sip", b"BYE sip"),
        (b"INVITE sip", b"ACK sip"),
        (b"INVITE sip", b"CANCEL sip"),
        (b"INVITE sip:8002@acme.example SIP/2.0", b"SIP/2.0 200 OK"),
        (b"To: <sip:8002@acme.example>", b"To: <sip:8002@acme.example>;tag=2"),
        (b";rport", b""),
        (b";rport", b";rport=1"),
        (b"z9hG4bK1", b"1"),
        (b"z9hG4bK1", b"z9hG4bK"),
        (b"sip:8002", b"sip:%38002"),
        (b"Call-ID", b"X-ID"),
        (b"Contact:", b"Call-ID: 2\r\nContact:"),
        (b"Contact:", b" folded\r\nContact:"),
        (b";rport", b";rport, SIP/2.0/UDP x;branch=z9hG4bK9"),
    ],
)
def test_what_is_no_new_request_or_unusual_is_left_to_the_parser(old: bytes, new: bytes) -> None:
    assert not agrees(INVITE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        (b"sip:110@acme.example", "110"),
        (b"tel:110", "110"),
        (b"sip:1-1-0;x=1@acme.example", "110"),
        (b"sips:8002@acme.example", "8002"),
    ],
)
def test_the_digits_of_whom_it_is_for_are_seen(uri: bytes, number: str) -> None:
    seen = glance(INVITE.replace(b"sip:8002@acme.example", uri, 1))
    assert seen is not None
    assert seen.number == number


@settings(max_examples=300, deadline=None)
@given(strategies.requests(), st.sampled_from(["INVITE", "REGISTER", "OPTIONS"]))
def test_a_glance_never_differs_from_the_parser(request_: Request, method: str) -> None:
    request_.method = method
    number = request_.headers["CSeq"][0].partition(" ")[0]
    request_.headers["CSeq"] = [f"{number} {method}"]
    request_.headers["Via"][0] = "SIP/2.0/UDP Host_1.example:5070;branch=z9hG4bK-x;rport"
    agrees(request_.to_bytes())


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_are_seen_or_left_alone(noise: bytes, at: int) -> None:
    glance(noise)
    data = INVITE[:at] + noise + INVITE[at + len(noise) :]
    seen = glance(data)
    if seen is not None:
        refusal(seen, FLOW, "t", 7)


@pytest.mark.parametrize(
    ("row", "is_one"),
    [
        (b"To: <sip:8002@acme.example>", False),
        (b"To: <sip:110@acme.example>", True),
        (b'To: "120" <sip:8002@acme.example>', False),
        (b"t: <tel:+86-110;phone-context=+86>", True),
        (b"t: sip:0086120@acme.example", True),
        (b"To: <sip:8002@acme.example>\r\nP-Called-Party-ID: <sip:119@ims.example>", True),
    ],
)
def test_an_emergency_number_is_seen_wherever_a_peer_may_put_it(row: bytes, is_one: bool) -> None:
    data = INVITE.replace(b"To: <sip:8002@acme.example>", row)
    assert agrees(data)
    seen = glance(data)
    assert seen is not None
    assert seen.calls_any({"110", "119", "120"}) == is_one
    other = glance(data.replace(b"INVITE", b"MESSAGE"))
    assert other is not None
    assert not other.calls_any({"110", "119", "120"}), "a call alone is one"
