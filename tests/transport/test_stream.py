"""SIP over TCP on real loopback sockets: framing, reuse, and how connections end."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest

from sipcore.message.flow import Flow
from sipcore.message.framing import PING, PONG
from sipcore.transport import connection, stream
from sipcore.transport.connection import MOST_PINGS, MOST_UNREAD_BYTES
from sipcore.transport.stream import StreamTransport
from tests.transport.conftest import Run

ONE = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"
TWO = b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n"


class Peer:
    """A StreamTransport that keeps what comes."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, Flow]] = asyncio.Queue()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        self.transport = StreamTransport(
            asyncio.get_running_loop(), sock, lambda *what: self.heard.put_nowait(what)
        )

    def to(self, port: int) -> Flow:
        return Flow("tcp", "127.0.0.1", self.transport.port, "127.0.0.1", port)

    async def become(self, connections: int) -> None:
        """Wait until so many connections are there; the test's time limit ends it."""
        while len(self.transport) != connections:  # noqa: ASYNC110 - the kernel has no event
            await asyncio.sleep(0)

    async def reports(self, reason: str) -> None:
        """Wait until a connection was ended for this reason."""
        while not self.transport.ended[reason]:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


@asynccontextmanager
async def peers(count: int) -> AsyncIterator[list[Peer]]:
    made = [Peer() for _ in range(count)]
    for one in made:
        await one.transport.start()
    try:
        yield made
    finally:
        for one in made:
            one.transport.close()
            await one.become(0)


async def client(peer: Peer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", peer.transport.port)


async def end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


class Claimed(socket.socket):
    """A listening socket whose clients seem to come from all over one IPv6 /64."""

    count = 0

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        sock, _ = super().accept()
        self.count += 1
        return sock, (f"2001:db8::{self.count:x}", 5060)


def test_all_addresses_of_one_ipv6_network_are_one_source(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(stream, "MOST_OF_ONE_SOURCE", 2)
        sock = Claimed()
        sock.bind(("127.0.0.1", 0))
        transport = StreamTransport(asyncio.get_running_loop(), sock, lambda *what: None)
        await transport.start()
        writers = [
            (await asyncio.open_connection("127.0.0.1", transport.port))[1] for _ in range(3)
        ]
        while not transport.ended["limit"]:  # noqa: ASYNC110 - the kernel has no event
            await asyncio.sleep(0)
        assert len(transport) == 2
        transport.close()
        while len(transport):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        for writer in writers:
            writer.close()

    run(main())


def test_a_stranger_who_is_banned_loses_the_connection_it_has(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            _, writer = await client(here)
            writer.write(ONE)
            await here.heard.get()
            here.transport.is_banned = lambda source: source == "127.0.0.1"
            writer.write(ONE)
            await here.reports("limit")
            await here.become(0)
            assert here.heard.empty()
            await end_lost(writer)

    run(main())


async def end_lost(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def test_messages_split_anyhow_come_whole_and_are_answered_on_their_connection(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            reader, writer = await client(here)
            writer.write(ONE[:10])
            await writer.drain()
            await here.become(1)
            writer.write(ONE[10:] + TWO + ONE[:-1])
            await writer.drain()
            assert [(await here.heard.get())[0] for _ in range(2)] == [ONE, TWO]
            writer.write(ONE[-1:])
            data, flow = await here.heard.get()
            assert data == ONE
            assert (flow.transport, flow.remote_port) == (
                "tcp",
                writer.get_extra_info("sockname")[1],
            )
            here.transport.send(TWO, flow)
            assert await reader.readexactly(len(TWO)) == TWO
            assert len(here.transport) == 1
            await end(writer)

    run(main())


def test_a_ping_is_answered_with_a_pong_and_not_handed_up(run: Run) -> None:  # RFC 5626 4.4.1
    async def main() -> None:
        async with peers(1) as (here,):
            reader, writer = await client(here)
            writer.write(b"\r\n\r\n" + b"\r\n" + ONE)
            assert await reader.readexactly(2) == b"\r\n"
            assert (await here.heard.get())[0] == ONE
            assert here.heard.empty()
            await end(writer)

    run(main())


def test_one_connection_carries_everything_to_the_same_place(run: Run) -> None:
    async def main() -> None:
        async with peers(2) as (here, there):
            to = here.to(there.transport.port)
            for data in (ONE, TWO, ONE):  # the first opens it, the others wait for it
                here.transport.send(data, to)
            assert [(await there.heard.get())[0] for _ in range(3)] == [ONE, TWO, ONE]
            here.transport.send(TWO, to)
            data, flow = await there.heard.get()
            there.transport.send(ONE, flow)
            back, came_by = await here.heard.get()
            assert (data, back) == (TWO, ONE)
            assert came_by.remote_port == there.transport.port
            assert (len(here.transport), len(there.transport)) == (1, 1)

    run(main())


def test_a_connection_that_is_gone_is_opened_again(run: Run) -> None:
    async def main() -> None:
        async with peers(2) as (here, there):
            to = here.to(there.transport.port)
            here.transport.send(ONE, to)
            _, first = await there.heard.get()
            there.transport.close()
            await here.become(0)
            again = Peer.__new__(Peer)
            again.heard = asyncio.Queue()
            sock = socket.create_server(("127.0.0.1", there.transport.port))
            again.transport = StreamTransport(
                asyncio.get_running_loop(), sock, lambda *what: again.heard.put_nowait(what)
            )
            await again.transport.start()
            here.transport.send(TWO, to)
            data, second = await again.heard.get()
            assert data == TWO
            assert second.remote_port != first.remote_port
            again.transport.close()
            await again.become(0)

    run(main())


def test_a_refused_connection_is_told_once_for_each_message(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                port = unused.getsockname()[1]
            lost: asyncio.Queue[int] = asyncio.Queue()
            for number in range(3):
                here.transport.send(ONE, here.to(port), partial(lost.put_nowait, number))
            here.transport.send(ONE, here.to(port))
            assert [await lost.get() for _ in range(3)] == [0, 1, 2]
            await asyncio.sleep(0)
            assert lost.empty()

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        b"OPTIONS sip:a@b SIP/2.0\r\nX: 1\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01" * 6000,
    ],
)
def test_a_stream_that_cannot_be_cut_is_closed(run: Run, data: bytes) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            reader, writer = await client(here)
            writer.write(data)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            await here.become(0)
            assert here.heard.empty()
            writer.close()

    run(main())


def test_a_peer_that_does_not_read_loses_its_connection_not_our_memory(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", here.transport.port))
            sock.send(ONE)
            _, flow = await here.heard.get()
            lost: list[bool] = []
            chunk = b"x" * 65536
            most = 16 * MOST_UNREAD_BYTES // len(chunk)
            for _ in range(most):
                here.transport.send(chunk, flow, lambda: lost.append(True))
                await asyncio.sleep(0)
                if lost or not len(here.transport):
                    break
            await here.become(0)
            sock.close()

    run(main())


def test_too_many_connections_of_one_source_are_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_OF_ONE_SOURCE", 2)

    async def main() -> None:
        async with peers(1) as (here,):
            first, second = await client(here), await client(here)
            await here.become(2)
            reader, writer = await client(here)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()
            assert len(here.transport) == 2
            await end(first[1])
            await here.become(1)
            third = await client(here)
            await here.become(2)
            for _, one in (second, third):
                await end(one)

    run(main())


def test_strangers_of_one_source_have_few_connections_and_known_sources_many(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_STRANGERS_OF_ONE_SOURCE", 1)

    async def main() -> None:
        async with peers(1) as (here,):
            clients = [await client(here), await client(here)]
            await here.reports(connection.LIMIT)
            assert len(here.transport) == 1
            clients[0][1].write(ONE)
            _, flow = await here.heard.get()
            here.transport.vouch(flow.connection)
            clients.append(await client(here))
            here.transport.is_known = lambda source: source == "127.0.0.1"
            clients += [await client(here), await client(here)]
            for _, writer in clients[2:]:
                writer.write(ONE)
                await here.heard.get()
            assert len(here.transport) == 4
            for _, writer in clients:
                writer.close()

    run(main())


def test_strangers_cannot_keep_known_sources_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_STRANGERS", 0)

    async def main() -> None:
        async with peers(1) as (here,):
            _, refused = await client(here)
            await here.reports(connection.LIMIT)
            here.transport.is_known = lambda source: True
            _, taken = await client(here)
            taken.write(ONE)
            await here.heard.get()
            refused.close()
            taken.close()

    run(main())


def test_a_connection_costs_its_source_something(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            asked: list[tuple[str, int]] = []

            def admits(source: str, cost: int) -> bool:
                asked.append((source, cost))
                return len(asked) == 1

            here.transport.admits = admits
            clients = [await client(here), await client(here)]
            await here.reports(connection.LIMIT)
            assert asked == [("127.0.0.1", 1)] * 2
            assert len(here.transport) == 1
            for _, writer in clients:
                writer.close()

    run(main())


async def _from_port(peer: Peer, port: int) -> tuple[socket.socket, Flow]:
    """Connect from a port of ours, and say something; return the flow that it is at the peer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends by RST
    sock.bind(("127.0.0.1", port))
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", peer.transport.port))
    await loop.sock_sendall(sock, ONE)
    return sock, (await peer.heard.get())[1]


def test_what_is_for_a_connection_that_has_gone_never_goes_to_another_from_the_same_port(
    run: Run,
) -> None:
    """A NAT gives the port of one phone to the next (RFC 5626 4.2: a flow is one connection)."""

    async def main() -> None:
        async with peers(1) as (here,):
            first, gone = await _from_port(here, 0)
            first.close()
            await here.become(0)
            second, flow = await _from_port(here, gone.remote_port)
            assert (flow.remote_address, flow.remote_port) == ("127.0.0.1", gone.remote_port)
            assert (here.transport.is_open(gone), here.transport.is_open(flow)) == (False, True)
            lost = asyncio.Event()
            here.transport.send(TWO, gone, lost.set)
            await lost.wait()
            here.transport.send(ONE, flow)
            assert await asyncio.get_running_loop().sock_recv(second, 1000) == ONE
            second.close()

    run(main())


def test_who_sends_keep_alives_without_end_loses_the_connection(run: Run) -> None:
    async def main() -> None:
        async with peers(1) as (here,):
            reader, writer = await client(here)
            writer.write(PING * MOST_PINGS)
            assert await reader.readexactly(2 * MOST_PINGS) == PONG * MOST_PINGS
            writer.write(PING)
            await here.reports(connection.LIMIT)
            await here.become(0)
            writer.close()

    run(main())


def test_a_connection_of_ours_above_the_limit_is_told_lost(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MOST_CONNECTIONS", 0)

    async def main() -> None:
        async with peers(1) as (here,):
            listener = socket.create_server(("127.0.0.1", 0))
            told = asyncio.Event()
            here.transport.send(ONE, here.to(listener.getsockname()[1]), told.set)
            await told.wait()
            listener.close()

    run(main())


def test_a_message_that_is_not_finished_ends_its_connection(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LOOK_S", 0.01)
    monkeypatch.setattr(connection, "MESSAGE_S", 0.0)

    async def main() -> None:
        async with peers(1) as (here,):
            _, writer = await client(here)
            writer.write(ONE[:-1])
            await here.reports(connection.SLOW)
            await here.become(0)
            assert here.heard.empty()
            writer.close()

    run(main())


def test_a_stranger_must_speak_and_one_who_is_vouched_for_may_be_silent(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LOOK_S", 0.01)
    monkeypatch.setattr(connection, "STRANGER_S", 0.05)

    async def main() -> None:
        async with peers(1) as (here,):
            first, second = await client(here), await client(here)
            second[1].write(ONE)
            _, flow = await here.heard.get()
            here.transport.vouch(flow.connection)
            here.transport.vouch(flow.connection)
            first[1].write(b"\r\n\r\n")
            assert await first[0].read() == b"\r\n", "a ping alone is no message"
            assert here.transport.ended[connection.SLOW] == 1
            assert here.transport.is_open(flow)
            here.transport.send(TWO, flow)
            assert await second[0].readexactly(len(TWO)) == TWO
            for _, writer in (first, second):
                writer.close()

    run(main())


def test_one_who_is_silent_for_hours_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_S", 0.01)
    monkeypatch.setattr(connection, "IDLE_S", 0.0)

    async def main() -> None:
        async with peers(2) as (here, there):
            here.transport.send(ONE, here.to(there.transport.port))
            assert (await there.heard.get())[0] == ONE
            await here.reports(connection.IDLE)
            await there.become(0)

    run(main())
