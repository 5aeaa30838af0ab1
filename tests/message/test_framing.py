"""Messages out of a stream: pieces, keep-alives, limits, and what ends the connection."""

import pytest

from sipcore.errors import BadMessage
from sipcore.message.framing import PING, Framer
from sipcore.message.parse import MOST_BODY_BYTES, MOST_HEAD_BYTES, parse

ONE = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"


def test_a_message_is_given_out_when_its_last_byte_is_there() -> None:
    framer = Framer()
    assert [framer.feed(ONE[at : at + 1]) for at in range(len(ONE))][-2:] == [[], [ONE]]
    assert framer.feed(ONE + ONE + ONE[:10]) == [ONE, ONE]
    assert framer.feed(ONE[10:]) == [ONE]


def test_a_double_crlf_is_a_ping_and_a_single_one_is_nothing() -> None:
    framer = Framer()
    assert framer.feed(PING) == [PING]
    assert framer.feed(b"\r\n\r") == []
    assert framer.feed(b"\n" + PING + ONE) == [PING, PING, ONE]
    assert framer.feed(b"\r\n" + ONE) == [ONE], "a pong"
    assert framer.feed(b"\r\n") == []
    assert framer.feed(ONE) == [ONE], "a pong and then a message"


@pytest.mark.parametrize(
    "field",
    [b"l:4", b"L : 4", b"CONTENT-LENGTH:\t4 ", b"Content-Length:\r\n 4", b"l:\r\n\t\r\n 4\t",
     b"Content-Length: 0004"],
)  # fmt: skip
def test_the_length_is_found_as_parse_finds_it(field: bytes) -> None:
    data = ONE.replace(b"Content-Length: 4", field)
    assert Framer().feed(data + data) == [data, data]
    assert parse(data).body == b"body"


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"X: 1", "no Content-Length"),
        (b"Content-Length: -4", "no Content-Length"),
        (b"Content-Length: 4x", "no Content-Length"),
        (b"Content-Length: 4\r\n 4", "no Content-Length"),
        (b"Content-Length:", "no Content-Length"),
        (b"Content-Length: 0000000004", "no Content-Length"),
        (b"Content-Length: 4\r\nl: 4", "or several"),
        (b"Content-Length: %d" % (MOST_BODY_BYTES + 1), "body too large"),
    ],
)
def test_a_length_that_cannot_be_trusted_ends_the_stream(head: bytes, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        Framer().feed(ONE.replace(b"Content-Length: 4", head))


def test_a_head_that_does_not_end_ends_the_stream() -> None:
    with pytest.raises(BadMessage, match="head too large"):
        Framer().feed(b"A" * (MOST_HEAD_BYTES + 1))
    with pytest.raises(BadMessage, match="head too large"):
        Framer().feed(b"A" * MOST_HEAD_BYTES + b"A" + ONE)
    framer = Framer()
    assert framer.feed(b"A" * MOST_HEAD_BYTES) == []
    with pytest.raises(BadMessage, match="head too large"):
        framer.feed(b"A")


def test_the_greatest_message_passes() -> None:
    length = b"\r\nContent-Length: %d" % MOST_BODY_BYTES
    head = b"A" * (MOST_HEAD_BYTES - len(length)) + length
    whole = head + b"\r\n\r\n" + b"b" * MOST_BODY_BYTES
    assert Framer().feed(whole) == [whole]
