"""A binding request on the SIP socket is told where it came from."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.transport.stun import COOKIE, answer
from sipcore.transport.udp import UdpTransport
from tests.transport.conftest import Run
from tests.transport.udp import bound

# RFC 5769 2.2 and 2.3: what a server sees as 192.0.2.1:32853 and 2001:db8:…:9d90:32853.
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = struct.pack(">HHI", 1, 0, COOKIE) + TRANSACTION


def with_attribute(kind: int, value: bytes, cookie: int = COOKIE) -> bytes:
    said = struct.pack(">HH", kind, len(value)) + value
    return struct.pack(">HHI", 1, len(said), cookie) + TRANSACTION + said


@pytest.mark.parametrize(
    ("address", "attribute"),
    [
        ("192.0.2.1", "002000080001a147e112a643"),
        (
            "2001:db8:1234:5678:11:2233:4455:6677",
            "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9",
        ),
    ],
)
def test_a_request_is_answered_as_the_vectors_have_it(address: str, attribute: str) -> None:
    said = bytes.fromhex(attribute)
    head = struct.pack(">HHI", 0x0101, len(said), COOKIE)
    assert answer(REQUEST, address, 32853) == head + TRANSACTION + said


def test_an_old_client_is_told_plainly() -> None:  # RFC 8489 11
    old = struct.pack(">HHI", 1, 0, 7) + TRANSACTION
    told = answer(old, "192.0.2.1", 32853)
    assert told is not None
    assert told[20:] == bytes.fromhex("0001000800018055c0000201")


def test_what_must_be_understood_and_is_not_is_refused() -> None:
    told = answer(with_attribute(0x0003, b"\0\0\0\4"), "192.0.2.1", 1)
    assert told is not None
    assert (told[:2], told[24:28], told[-8:]) == (
        b"\x01\x11",
        b"\0\0\4\x14",
        b"\0\x0a\0\2\0\3\0\0",
    )
    assert (answer(with_attribute(0x8022, b"agent..."), "192.0.2.1", 1) or b"")[:2] == b"\1\1"


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 8,
        REQUEST[:-1],
        REQUEST + b"\0\0\0\0",
        b"\1\1" + REQUEST[2:],
        with_attribute(0x8022, b"agent...")[:-4],
        with_attribute(0x8022, b"agent...")[:2] + b"\0\4" + TRANSACTION,
    ],
)
def test_what_is_no_request_is_not_answered(data: bytes) -> None:
    assert answer(data, "192.0.2.1", 1) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    for start in (b"", b"\0\1", b"\0\1\0\x08!\x12\xa4B"):
        answer(start + data, "192.0.2.1", 1)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=9)), max_size=6))
def test_any_attributes_are_answered(attributes: list[tuple[int, bytes]]) -> None:
    said = b"".join(
        struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)
        for kind, value in attributes
    )
    told = answer(struct.pack(">HHI", 1, len(said), COOKIE) + TRANSACTION + said, "::1", 1)
    assert told is not None
    assert len(told) == 20 + struct.unpack_from(">H", told, 2)[0]


def test_a_udp_socket_answers_and_hands_nothing_up(run: Run) -> None:
    async def main() -> None:
        heard: list[object] = []
        loop = asyncio.get_running_loop()
        for address in ("127.0.0.1", "::1"):
            here = UdpTransport(loop, bound(address), heard.append)
            phone = bound(address)
            phone.settimeout(5)
            phone.sendto(b"\1" * 30, (here.address, here.port))
            phone.sendto(REQUEST, (here.address, here.port))
            told, _ = await asyncio.to_thread(phone.recvfrom, 100)
            assert told == answer(REQUEST, *phone.getsockname()[:2])
            here.close()
            phone.close()
        assert heard == []


def test_stun_is_answered_as_far_as_the_guard_lets_it(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        here, phone = UdpTransport(loop, bound("127.0.0.1"), lambda batch: None), bound("127.0.0.1")
        asked: list[str] = []

        def admits(source: str) -> bool:
            asked.append(source)
            return len(asked) > 1

        here.admits = admits
        phone.settimeout(5)
        other = REQUEST[:8] + b"x" * 12
        phone.sendto(other, (here.address, here.port))
        phone.sendto(REQUEST, (here.address, here.port))
        told, _ = await asyncio.to_thread(phone.recvfrom, 100)
        assert told == answer(REQUEST, *phone.getsockname()[:2])
        assert asked == ["127.0.0.1"] * 2
        here.close()
        phone.close()

    run(main())
