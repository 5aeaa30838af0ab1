"""Transports over TCP on real loopback sockets, and clients of theirs."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sipcore.message.flow import Flow
from sipcore.transport.bounds import Bounds
from sipcore.transport.stream import StreamTransport

ONE = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"
USUAL = Bounds()
TWO = b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n"


class Listener:
    """Keeps what comes to a transport; waits for its connections to come and go."""

    transport: StreamTransport

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, Flow]] = asyncio.Queue()

    def hear(self, message: bytes, flow: Flow) -> None:
        self.heard.put_nowait((message, flow))

    async def become(self, connections: int) -> None:
        """Wait until so many connections are there; the test's time limit ends it."""
        while len(self.transport) != connections:  # noqa: ASYNC110 - the kernel has no event
            await asyncio.sleep(0)

    async def reports(self, reason: str) -> None:
        """Wait until a connection was ended for this reason."""
        while not self.transport.ended[reason]:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


class Peer(Listener):
    """At a TCP address."""

    def __init__(self) -> None:
        super().__init__()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        self.transport = StreamTransport(asyncio.get_running_loop(), sock, self.hear)

    def to(self, port: int) -> Flow:
        return Flow("tcp", "127.0.0.1", self.transport.port, "127.0.0.1", port)


@asynccontextmanager
async def peers(count: int, bounds: Bounds = USUAL) -> AsyncIterator[list[Peer]]:
    made = [Peer() for _ in range(count)]
    for one in made:
        one.transport.bounds = bounds
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


async def end_lost(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
