"""Hostile text of the greatest size costs its length, not the square of it."""

import time

import pytest

from sipcore.errors import BadMessage
from sipcore.message.address import parse_address
from sipcore.message.digest import parse_credentials
from sipcore.message.framing import Framer
from sipcore.message.message import Message
from sipcore.message.parse import MOST_BODY_BYTES, MOST_HEAD_BYTES, parse, validate
from sipcore.message.uri import Uri
from sipcore.message.values import parse_cseq, parse_params, parse_via, split_commas

MOST_CPU_S = 1.0
SIZE = MOST_HEAD_BYTES
UNITS = {
    "open brackets": "(",
    "semicolons": ";",
    "commas": ",",
    "quotes": '"',
    "escaped quotes": '\\"',
    "backslashes": "\\",
    "blanks": " ",
    "tabs": "\t",
    "blank semicolons": " ;",
    "angles": "<",
    "closing angles": ">",
    "empty addresses": "<>,",
    "letters": "a",
    "flags": ";a",
    "blank flags": "; a ",
    "equal signs": ";a=",
    "at signs": "a@",
    "colons": "a:",
    "dots": "a.",
    "questions": "?",
    "slashes": "SIP/",
    "digits": "1",
    "per cent": "%",
    "escapes": "%41",
    "foreign": "\udcff",
    "credentials": 'a="b", ',
    "unclosed credentials": 'a="b\\"',
}
FRAMES = ("", "sip:", 'sip:a@b;x="', '"', "<", '"a" <sip:a@b>', "a", "Digest ", "SIP/2.0/UDP a",
          "1 ")  # fmt: skip


def _spent(text: str) -> None:
    """Let everything that reads text read this one."""
    for read in (
        Uri.parse, parse_address, parse_params, parse_via, parse_cseq, split_commas,
        parse_credentials,
    ):  # fmt: skip
        try:
            read(text)
        except BadMessage:
            continue


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_every_reader_is_done_soon(unit: str) -> None:
    before = time.process_time()
    for frame in FRAMES:
        middle = unit * (SIZE // len(unit))
        for end in ("", "x", '"', ">", "\\"):
            _spent(frame + middle + end)
    assert time.process_time() - before < MOST_CPU_S


def _read(data: bytes) -> Message | None:
    try:
        message = parse(data)
        validate(message)
    except BadMessage:
        return None
    return message


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_every_field_is_done_soon(unit: str) -> None:
    most = (SIZE - 300) // len(unit.encode("utf-8", "surrogateescape"))
    text = ("a" + unit * most + "b").encode("utf-8", "surrogateescape")
    before = time.process_time()
    for name in (b"Via", b"From", b"To", b"Contact", b"CSeq", b"Record-Route", b"X", b"l"):
        head = (
            b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1"
            b"\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nX-Fold: 1\r\n 2\r\n"
        )
        _read(head.replace(name + b": ", name + b": " + text, 1) + b"\r\n")
        _read(head + name + b": " + text + b"\r\n\r\n")
        _read(head + name + b" " * most + b"\r\n\r\n")
    assert time.process_time() - before < MOST_CPU_S


def test_a_stream_that_drips_is_read_once() -> None:
    head = b"OPTIONS sip:a@b SIP/2.0\r\n" + b"X: y\r\n" * 2600
    body = b"\r\n\r\n" * (MOST_BODY_BYTES // 4)
    data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    framer = Framer()
    before = time.process_time()
    found = [message for at in range(len(data)) for message in framer.feed(data[at : at + 1])]
    assert time.process_time() - before < MOST_CPU_S
    assert found == [data]


def test_a_stream_of_many_messages_is_cut_soon() -> None:
    one = b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\n\r\n"
    before = time.process_time()
    assert Framer().feed(one * 5000 + b"\r\n\r\n" * 5000) == [one] * 5000 + [b"\r\n\r\n"] * 5000
    assert time.process_time() - before < MOST_CPU_S


def test_the_deepest_fold_is_undone_soon() -> None:
    before = time.process_time()
    for blanks in (b" ", b"\t", b" \t"):
        lws = blanks * 4000
        _read(b"OPTIONS sip:a@b SIP/2.0\r\nX: a" + lws + b"\r\n" + lws + b"b" + lws + b"\r\n\r\n")
    assert time.process_time() - before < MOST_CPU_S
