"""Bodies that are no plain SDP: the session description in them, or that they may be ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.message.bodies import unpack
from sipcore.message.message import Request
from tests.message.many_parts import ISUP, parts

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\n"
SESSION = b"Content-Type: application/sdp\r\n\r\n" + SDP


def message(kind: str, body: bytes, **more: str) -> Request:
    headers = {"Content-Type": [kind]} if kind else {}
    headers |= {name.replace("_", "-"): [value] for name, value in more.items()}
    return Request("INVITE", "sip:8002@acme.example", headers, body)


def found(kind: str, body: bytes, **more: str) -> bytes | None:
    """Return what is left of a body; None where it cannot be understood."""
    request = message(kind, body, **more)
    if not unpack(request):
        assert request.body == body
        return None
    said = request.headers.get("Content-Type")
    assert said == (["application/sdp"] if request.body else None)
    return request.body


MIXED = "multipart/mixed;boundary=b1"
AS_BINARY, AS_BASE64 = (
    SESSION.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: %s\r\n\r\n" % one, 1)
    for one in (b"binary", b"base64")
)
NEEDED = ISUP + b"Content-Disposition: signal;handling=required\r\n\r\n\x01"


@pytest.mark.parametrize(
    ("kind", "contents"),
    [
        (MIXED, [SESSION, ISUP + b"\r\n\x01\x10"]),
        (MIXED, [ISUP + b"Content-Disposition: signal;handling=optional\r\n\r\n\x01", SESSION]),
        ('Multipart/Mixed; boundary="b1"', [b"no head at all", SESSION]),
        (MIXED, [AS_BINARY]),
        ("multipart/alternative;boundary=b1", [b"Content-Type: text/plain\r\n\r\nhello", SESSION]),
        ("multipart/related;boundary=b1", [SESSION, ISUP + b"\r\n\x01"]),
        (MIXED, [b"Content-Type: multipart/alternative;boundary=b2\r\n\r\n"
                 + parts(SESSION, boundary=b"b2")]),
    ],
)  # fmt: skip
def test_the_session_description_is_found_among_parts(kind: str, contents: list[bytes]) -> None:
    assert (found(kind, parts(*contents)) or b"").rstrip() == SDP.rstrip()


def test_the_last_of_alternatives_is_preferred() -> None:
    later = SESSION.replace(b"10.0.0.9", b"10.0.0.8")
    kind = "multipart/{};boundary=b1"
    assert b"10.0.0.8" in (found(kind.format("alternative"), parts(SESSION, later)) or b"")
    assert b"10.0.0.9" in (found(kind.format("mixed"), parts(SESSION, later)) or b"")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/isup", b"\x01"),
        ("multipart/mixed", parts(SESSION)),  # without its boundary
        (MIXED, b"nothing"),
        (MIXED, parts(ISUP + b"\r\n\x01")),
        (MIXED, parts(SESSION, NEEDED)),
        (MIXED, parts(AS_BASE64)),
        (MIXED, parts(b"Content-Type: multipart/mixed;boundary=b2\r\n\r\n" + parts(
            b"Content-Type: multipart/mixed;boundary=b3\r\n\r\n" + parts(SESSION, boundary=b"b3"),
            boundary=b"b2"))),
    ],
)  # fmt: skip
def test_what_must_be_understood_and_cannot_be_is_refused(kind: str, body: bytes) -> None:
    assert found(kind, body) is None


@pytest.mark.parametrize("kind", ["application/isup", MIXED, ""])
def test_what_may_be_ignored_is_as_if_it_was_not_there(kind: str) -> None:
    body = parts(ISUP + b"\r\n\x01")
    assert found(kind, body, Content_Disposition="signal; handling=OPTIONAL") == b""


@given(st.sampled_from([MIXED, "multipart/alternative;boundary=b1"]), st.binary())
def test_any_bytes_are_read_without_a_fault(kind: str, body: bytes) -> None:
    unpack(message(kind, body))
    unpack(message(kind, parts(body, SESSION)))
