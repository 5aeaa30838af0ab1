"""SIP over TCP on real loopback sockets: framing, reuse, and how connections end."""

import asyncio
import socket
import struct
from functools import partial

import pytest

from sipcore.message.flow import Flow
from sipcore.transport.connection import MOST_UNREAD_BYTES
from sipcore.transport.stream import StreamTransport
from tests.transport.conftest import Run
from tests.transport.tcp import ONE, TWO, Peer, client, end, peers


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
