"""Keys in INFO: dtmf-relay and dtmf as phones write them; any body is a key or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.errors import BadMessage
from sipcore.message.keys import FLASH, KEYS, LEAST_MS, MOST_MS, Key, key_in, tells_key
from sipcore.message.message import Request


def info(body: bytes, content_type: str = "application/dtmf-relay") -> Request:
    return Request("INFO", "sip:a@b.example", {"Content-Type": [content_type]}, body)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b"Signal=5\r\nDuration=160\r\n", Key(5, 160)),
        (b"Signal= 5\nDuration= 250", Key(5, 250)),
        (b"signal=#\r\n", Key(11, 160)),
        (b"Signal=*\r\nDuration=100\r\n", Key(10, 100)),
        (b"Duration=100\r\nSignal=d\r\n", Key(15, 100)),
        (b"Signal=10\r\nDuration=100", Key(10, 100)),
        (b"Signal=11", Key(11, 160)),
        (b"Signal=hf", Key(FLASH, 160)),
        (b"Signal=16", Key(FLASH, 160)),
        (b"5", Key(5, 160)),
        (b"#\r\n", Key(11, 160)),
        (b"Signal=1\r\nDuration=1\r\n", Key(1, LEAST_MS)),
        (b"Signal=1\r\nDuration=999999999\r\n", Key(1, MOST_MS)),
    ],
)
def test_what_phones_write_is_read(body: bytes, key: Key) -> None:
    assert key_in(info(body)) == key


@pytest.mark.parametrize(
    "body",
    [b"", b"Signal=", b"Signal=E", b"Signal=17", b"Signal=55", b"123", b"Duration=5", b"\xb2"],
)
def test_what_names_no_key_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage):
        key_in(info(body))


def test_only_the_two_media_types_tell_of_keys() -> None:
    assert tells_key(info(b"", "application/DTMF-Relay;x=y"))
    assert tells_key(info(b"", "application/dtmf"))
    assert not tells_key(info(b"", "application/media_control+xml"))


@given(st.binary(max_size=64))
def test_any_body_is_a_key_or_refused(body: bytes) -> None:
    try:
        key = key_in(info(body))
    except BadMessage:
        return
    assert 0 <= key.event <= FLASH
    assert LEAST_MS <= key.duration_ms <= MOST_MS


@given(st.integers(0, FLASH), st.integers(LEAST_MS, MOST_MS))
def test_a_key_comes_back_as_it_was_written(event: int, duration_ms: int) -> None:
    key = Key(event, duration_ms)
    assert key_in(info(key.to_body())) == key
    assert len(KEYS) == FLASH
