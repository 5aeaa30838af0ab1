"""The epoll wire on real sockets of loopback."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from sipcore.media.wire.base import CELL_BYTES, Addresses
from sipcore.media.wire.epoll import EpollWire

PORT = 21400
RTP, RTCP = 2, 3  # the doors of row 1


@pytest.fixture
def wire() -> Iterator[EpollWire]:
    addresses = Addresses()
    addresses.hold("127.0.0.1")
    wire = EpollWire("127.0.0.1", addresses, rows=8)
    wire.open(1, PORT)
    yield wire
    wire.shut()


@pytest.fixture
def hosts() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        sockets = []
        for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind((address, 0))
            sock.settimeout(5)
            sockets.append(sock)
        yield sockets


def send(wire: EpollWire, door: int, data: bytes) -> int:
    wire.batch.data[0, : len(data)] = np.frombuffer(data, np.uint8)
    wire.batch.size[0] = len(data)
    return wire.send(np.array([door]), np.array([0]))


def received(wire: EpollWire) -> list[tuple[int, bytes, int, int]]:
    batch = wire.batch
    count = wire.receive()
    found = [
        (
            int(batch.door[at]),
            batch.data[cell, : batch.size[cell]].tobytes(),
            int(batch.address[at]) if batch.port[at] else 0,
            int(batch.port[at]),
        )
        for at, cell in enumerate(batch.cell[:count].tolist())
    ]
    batch.give_back(batch.cell[:count])
    return found


def test_senders_are_named_until_the_door_is_latched(
    wire: EpollWire, hosts: list[socket.socket]
) -> None:
    known, _, unknown = hosts
    known.sendto(b"one", ("127.0.0.1", PORT))
    assert received(wire) == [(RTP, b"one", 1, known.getsockname()[1])]
    unknown.sendto(b"two", ("127.0.0.1", PORT + 1))
    assert received(wire) == [(RTCP, b"two", -1, unknown.getsockname()[1])]
    assert received(wire) == []


def test_a_latched_door_hears_only_its_remote(wire: EpollWire, hosts: list[socket.socket]) -> None:
    known, neighbour, unknown = hosts
    wire.aim(RTP, known.getsockname(), is_latched=True)
    for sock in (neighbour, unknown, known):
        sock.sendto(b"hello", ("127.0.0.1", PORT))
    assert [one[1] for one in received(wire)] == [b"hello"]
    known.sendto(b"again", ("127.0.0.1", PORT))
    assert received(wire) == [(RTP, b"again", 0, 0)]  # the kernel vouches for it


def test_what_was_queued_before_latching_is_still_named(
    wire: EpollWire, hosts: list[socket.socket]
) -> None:
    known, _, unknown = hosts
    unknown.sendto(b"early", ("127.0.0.1", PORT))
    wire.aim(RTP, known.getsockname(), is_latched=True)
    known.sendto(b"late", ("127.0.0.1", PORT))
    assert [one[2:] for one in received(wire)] == [
        (-1, unknown.getsockname()[1]),
        (0, 0),
    ]


def test_a_door_is_unlatched_and_keeps_its_port(
    wire: EpollWire, hosts: list[socket.socket]
) -> None:
    known, neighbour, _ = hosts
    wire.aim(RTP, known.getsockname(), is_latched=True)
    wire.aim(RTP, known.getsockname(), is_latched=False)
    neighbour.sendto(b"hello", ("127.0.0.1", PORT))
    assert [one[3] for one in received(wire)] == [neighbour.getsockname()[1]]
    assert send(wire, RTP, b"back") == 0
    assert known.recvfrom(100) == (b"back", ("127.0.0.1", PORT))


def test_sending_to_nobody_or_to_a_closed_port_hurts_nothing(
    wire: EpollWire, hosts: list[socket.socket]
) -> None:
    assert send(wire, RTP, b"x") == 0
    gone = hosts[0].getsockname()
    hosts[0].close()
    wire.aim(RTP, gone, is_latched=True)
    for _ in range(4):
        send(wire, RTP, b"x")
        assert received(wire) == []


def test_a_flood_at_one_door_is_taken_in_turn_and_never_more_than_fits(
    wire: EpollWire, hosts: list[socket.socket]
) -> None:
    for number in range(30):
        hosts[2].sendto(bytes([number]), ("127.0.0.1", PORT))
    hosts[0].sendto(b"genuine", ("127.0.0.1", PORT + 1))
    first = received(wire)
    assert (RTCP, b"genuine", 1, hosts[0].getsockname()[1]) in first
    found = [one for one in first if one[0] == RTP]
    while more := received(wire):
        assert len(more) <= 8
        found += more
    assert [one[1] for one in found] == [bytes([number]) for number in range(30)]


def test_a_datagram_that_is_too_long_fills_its_row(
    wire: EpollWire, hosts: list[socket.socket]
) -> None:
    hosts[0].sendto(bytes(9000), ("127.0.0.1", PORT))
    assert len(received(wire)[0][1]) == CELL_BYTES


def test_open_binds_both_ports_or_neither(wire: EpollWire, hosts: list[socket.socket]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", PORT + 3))
        with pytest.raises(OSError, match="in use") as fault:
            wire.open(2, PORT + 2)
        assert fault.value.errno == errno.EADDRINUSE
    wire.open(2, PORT + 2)
    wire.close(2)
    wire.open(3, PORT + 2)


def test_ipv6(hosts: list[socket.socket]) -> None:
    addresses = Addresses()
    number = addresses.hold("0:0:0:0:0:0:0:1")
    wire = EpollWire("::1", addresses, rows=4)
    wire.open(1, PORT + 10)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone:
        phone.bind(("::1", 0))
        phone.settimeout(5)
        phone.sendto(b"six", ("::1", PORT + 10))
        assert received(wire) == [(RTP, b"six", number, phone.getsockname()[1])]
        wire.aim(RTP, ("::1", phone.getsockname()[1]), is_latched=True)
        assert send(wire, RTP, b"back") == 0
        assert phone.recv(100) == b"back"
        phone.sendto(b"latched", ("::1", PORT + 10))
        phone.sendto(b"vouched", ("::1", PORT + 10))
        wire.receive()
        phone.sendto(b"now", ("::1", PORT + 10))
        assert received(wire) == [(RTP, b"now", 0, 0)]
    wire.shut()


def test_a_door_of_both_families_is_where_its_remote_is() -> None:
    addresses = Addresses()
    four, six = addresses.hold("127.0.0.1"), addresses.hold("::1")
    wire = EpollWire("127.0.0.1", addresses, rows=8, address6="::1")
    assert wire.reaches("192.0.2.1")
    assert wire.reaches("2001:db8::1")
    wire.open(1, PORT + 20)
    old = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    new = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with old, new:
        for phone, host, number in ((old, "127.0.0.1", four), (new, "::1", six)):
            phone.bind((host, 0))
            phone.settimeout(5)
            phone.sendto(b"hello", (host, PORT + 20))
            assert received(wire) == [(RTP, b"hello", number, phone.getsockname()[1])]
        for phone, host, other, its in ((new, "::1", old, four), (old, "127.0.0.1", new, six)):
            wire.aim(RTP, (host, phone.getsockname()[1]), is_latched=True)
            assert send(wire, RTP, b"back") == 0
            assert phone.recv(100) == b"back"
            phone.sendto(b"mine", (host, PORT + 20))
            assert received(wire) == [(RTP, b"mine", 0, 0)]
            far = "::1" if host == "127.0.0.1" else "127.0.0.1"
            other.sendto(b"foreign", (far, PORT + 20))
            assert received(wire) == [(RTP, b"foreign", its, other.getsockname()[1])]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::1", PORT + 23))
        with pytest.raises(OSError, match="in use"):
            wire.open(2, PORT + 22)
    wire.open(2, PORT + 22)
    wire.shut()


def test_a_wire_of_one_family_reaches_no_other(wire: EpollWire) -> None:
    assert (wire.reaches("192.0.2.1"), wire.reaches("::1")) == (True, False)
