"""Reading whole messages: what is tolerated, what is refused, and every limit on size."""

import pytest

from sipcore.errors import BadMessage
from sipcore.message.address import name_of
from sipcore.message.message import Message, Request, Response
from sipcore.message.parse import (
    MOST_BODY_BYTES,
    MOST_FIELDS,
    MOST_HEAD_BYTES,
    MOST_HOPS,
    parse,
    validate,
)

BASE = (
    ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
    ("From", "<sip:a@x.example>;tag=1"),
    ("To", "<sip:b@x.example>"),
    ("Call-ID", "one"),
    ("CSeq", "1 INVITE"),
)


def message(start: str = "INVITE sip:b@x.example SIP/2.0", *more: str, body: bytes = b"") -> bytes:
    """Write a message; rows of `more` take the place of those with the same name."""
    given = {row.partition(":")[0] for row in more}
    rows = [f"{name}: {value}" for name, value in BASE if name not in given]
    head = "\r\n".join([start, *rows, *more])
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def read(data: bytes) -> Message:
    found = parse(data)
    validate(found)
    return found


def refusal(data: bytes) -> tuple[int, str]:
    """Return why validate refuses what parse could split."""
    found = parse(data)
    with pytest.raises(BadMessage) as fault:
        validate(found)
    return fault.value.status, fault.value.reason


def test_compact_names_mean_their_long_ones() -> None:
    found = parse(
        b"INVITE sip:b@x SIP/2.0\r\nv: V\r\nf: F\r\nt: T\r\ni: I\r\nm: M\r\nc: C\r\ns: S\r\n"
        b"k: K\r\nr: R\r\nx: X\r\no: O\r\nu: U\r\ne: E\r\nL: 2\r\n\r\nok"
    )
    assert list(found.headers) == [
        "Via", "From", "To", "Call-ID", "Contact", "Content-Type", "Subject", "Supported",
        "Refer-To", "Session-Expires", "Event", "Allow-Events", "Content-Encoding",
    ]  # fmt: skip
    assert found.body == b"ok"


def test_names_are_known_in_any_case_and_unknown_ones_are_kept() -> None:
    found = parse(
        b"OPTIONS sip:b@x SIP/2.0\r\ncall-id : 1\r\nx-FOO-bar: 2\r\nWWW-authenticate:3\r\n\r\n"
    )
    assert found.headers == {"Call-ID": ["1"], "X-Foo-Bar": ["2"], "WWW-Authenticate": ["3"]}
    assert list(found.rows()) == [("Call-ID", "1"), ("X-Foo-Bar", "2"), ("WWW-Authenticate", "3")]


def test_folded_fields_are_one_line() -> None:
    found = parse(
        message("INVITE sip:b@x SIP/2.0", "Subject: one \r\n\t two\r\n three", "To:\r\n <sip:b@x>")
    )
    assert found.first("Subject") == "one two three"
    assert found.to.uri.host == "x"


def test_a_gbk_display_name_passes_and_can_be_read() -> None:
    raw = '"张三" <sip:a@x.example>;tag=1'.encode("gb18030")
    found = read(message().replace(b"<sip:a@x.example>;tag=1", raw))
    assert name_of(found.from_.display) == "张三"
    assert raw in found.to_bytes()
    assert name_of("李四") == "李四"
    assert name_of("\udcff") == "\ufffd", "neither UTF-8 nor GBK"


def test_octets_after_content_length_are_dropped() -> None:
    assert parse(message("A sip:b SIP/2.0", "Content-Length: 3", body=b"abcdef")).body == b"abc"
    assert parse(message(body=b"without a length")).body == b"without a length"


@pytest.mark.parametrize("start", [b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n"])
def test_empty_lines_before_the_start_line_are_skipped(start: bytes) -> None:
    assert parse(start + message()) == parse(message())


def test_a_datagram_may_forget_the_empty_line() -> None:
    assert read(message()[:-2]) == read(message())
    with pytest.raises(BadMessage, match="no empty line"):
        parse(message()[:-4])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no empty line"),
        (b"\r\n\r\n", "no empty line"),
        (b"\x00\x00\x00\x00", "no empty line"),
        (b"hello\r\n\r\n", "broken request line|neither"),
        (b"SIP/2.0 99 Low\r\n\r\n", "status out of range"),
        (b"SIP/2.0 700 High\r\n\r\n", "status out of range"),
        (b"SIP/2.0 0200 Long\r\n\r\n", "status out of range"),
        (b"SIP/3.0 200 OK\r\n\r\n", "neither"),
        (b"A sip:b SIP/2.0\r\nno colon\r\n\r\n", "broken header field"),
        (b"A sip:b SIP/2.0\r\nSubject\r\n\r\n", "broken header field"),
        (b"A sip:b SIP/2.0\r\n: no name\r\n\r\n", "broken header field"),
        (b"A sip:b SIP/2.0\r\nsp ace: 1\r\n\r\n", "broken header field"),
        (b"A sip:b SIP/2.0\r\nX: a\nY: b\r\n\r\n", "bare CR or LF"),
        (b"A sip:b SIP/2.0\r\nX: a\rY: b\r\n\r\n", "bare CR or LF"),
        (b"A sip:b SIP/2.0\r\nX: a\0\r\n\r\n", "zero byte"),
    ],
)
def test_what_is_no_sip_is_refused_at_once(data: bytes, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        validate(parse(data))


def test_the_head_has_a_greatest_size() -> None:
    room = MOST_HEAD_BYTES - len(message()) + 4 - len("\r\nX: ")
    assert read(message("INVITE sip:b@x.example SIP/2.0", "X: " + "a" * room))
    with pytest.raises(BadMessage, match="head too large"):
        parse(message("INVITE sip:b@x.example SIP/2.0", "X: " + "a" * (room + 1)))


def test_the_body_has_a_greatest_size() -> None:
    assert read(message(body=b"a" * MOST_BODY_BYTES))
    assert refusal(message(body=b"a" * (MOST_BODY_BYTES + 1))) == (513, "body too large")


def test_there_is_a_greatest_number_of_fields() -> None:
    rows = ["A: 1"] * (MOST_FIELDS - len(BASE))
    assert read(message("INVITE sip:b@x.example SIP/2.0", *rows))
    with pytest.raises(BadMessage, match="too many header fields"):
        parse(message("INVITE sip:b@x.example SIP/2.0", *rows, "A: 1"))


def test_a_route_has_a_greatest_number_of_hops() -> None:
    invite = "INVITE sip:b@x.example SIP/2.0"
    route = ", ".join(["<sip:p;lr>"] * MOST_HOPS)
    assert read(message(invite, f"Record-Route: {route}"))
    one_more = message(invite, f"Record-Route: {route}", "Record-Route: <sip:p;lr>")
    assert refusal(one_more) == (513, "too many Record-Route")


def test_no_fields_at_all_is_a_message_without_a_call_id() -> None:
    assert refusal(b"OPTIONS sip:b@x SIP/2.0\r\n\r\n") == (400, "Call-ID is missing")


@pytest.mark.parametrize(
    ("rows", "status", "reason"),
    [
        (["Call-ID: "], 400, "Call-ID is empty"),
        (["Call-ID: 1", "Call-ID: 2"], 400, "Call-ID stands 2 times"),
        (["From: <sip:a@x>"] * 2, 400, "From stands 2 times"),
        (["Via: SIP/2.0 x"], 400, "broken Via"),
        (["Via: SIP/2.0/UDP x:99999"], 400, "Via port out of range"),
        (["Via: SIP/2.0/UDP x;;"], 400, "broken parameter"),
        (["From: <sip:>"], 400, "broken URI"),
        (["From: <sip:a@x"], 400, "broken URI"),
        (["To: <sip:a@x:0>"], 400, "URI port out of range"),
        (["To: <sip:a@x>junk"], 400, "broken parameter"),
        (["To: <sip:a@x;>"], 400, "broken URI"),
        (["CSeq: 1"], 400, "broken CSeq"),
        (["CSeq: x INVITE"], 400, "broken CSeq"),
        (["CSeq: 2147483648 INVITE"], 400, "CSeq number too large"),
        (["CSeq: 9999999999999 INVITE"], 400, "CSeq number too large"),
        (["CSeq: 1 ACK"], 400, "CSeq names another method"),
        (["Max-Forwards: 256"], 400, "Max-Forwards is no number from 0 to 255"),
        (["Max-Forwards: -1"], 400, "Max-Forwards is no number from 0 to 255"),
        (["Content-Length: 5"], 400, "Content-Length is wrong"),
        (["Content-Length: -5"], 400, "Content-Length is wrong"),
        (["Content-Length: 0000000000"], 400, "Content-Length is wrong"),
        (["Content-Length: 0", "Content-Length: 0"], 400, "Content-Length stands 2 times"),
        (["Contact: sip:a@x?b=c"], 400, "URI needs angle brackets"),
        (["Contact: <sip:a b@x>"], 400, "broken URI"),
        (["Record-Route: <sip:x;lr>, nonsense"], 400, "broken URI"),
    ],
)
def test_a_broken_field_is_refused_with_its_reason(
    rows: list[str], status: int, reason: str
) -> None:
    assert refusal(message("INVITE sip:b@x.example SIP/2.0", *rows)) == (status, reason)


@pytest.mark.parametrize(
    ("start", "status", "reason"),
    [
        ("INVITE sip:b@x", 400, "broken request line"),
        ("INVITE  sip:b@x SIP/2.0", 400, "broken URI"),
        ("INVITE sip:b@x SIP/2.0 ", 400, "broken request line"),
        ("INVITE <sip:b@x> SIP/2.0", 400, "broken URI"),
        ("INVITE sip:b@x?c=d SIP/2.0", 400, "Request-URI has header fields"),
        ("INVITE sip:b@x SIP/3.0", 505, "version not supported"),
    ],
)
def test_a_broken_request_line_is_refused_with_its_reason(
    start: str, status: int, reason: str
) -> None:
    assert refusal(message(start)) == (status, reason)


def test_the_version_is_read_in_any_case() -> None:
    assert isinstance(read(message("INVITE sip:b@x sip/2.0")), Request)


def test_an_address_of_record_is_a_sip_uri() -> None:
    rows = ["CSeq: 1 REGISTER", "To: <tel:+8613800000000>"]
    assert refusal(message("REGISTER sip:x SIP/2.0", *rows)) == (400, "To is no SIP URI")


def test_a_refusal_may_have_any_contact_for_it_makes_no_dialog() -> None:
    found = read(message("SIP/2.0 404 Not Found", "Contact: what, ever?"))
    assert isinstance(found, Response)
    assert refusal(message("SIP/2.0 200 OK", "Contact: ever?")) == (400, "URI needs angle brackets")


def test_a_status_line_needs_no_reason() -> None:
    for line, reason in (("SIP/2.0 180", ""), ("SIP/2.0 180 ", ""), ("sip/2.0  180 R R", "R R")):
        found = parse(message(line))
        assert isinstance(found, Response)
        assert (found.status, found.reason) == (180, reason)
