"""SIP over WebSocket on real loopback sockets; the client is the websockets library's own."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from sipcore.message.flow import Flow
from sipcore.transport import connection
from sipcore.transport.bounds import Bounds
from sipcore.transport.tls import Tls
from sipcore.transport.websocket import MOST_MESSAGE_BYTES, WebSocketTransport
from tests.transport.certificates import Authority
from tests.transport.conftest import Run
from tests.transport.tcp import ONE, Listener

SIP = Subprotocol("sip")


class Server(Listener):
    """At an address for WebSockets."""

    def __init__(self, tls: Tls | None = None, origins: Sequence[str] = ()) -> None:
        super().__init__()
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        self.transport = WebSocketTransport(loop, sock, self.hear, tls, origins)

    @property
    def uri(self) -> str:
        return f"{self.transport.name}://127.0.0.1:{self.transport.port}/"


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[None]:
    await server.transport.start()
    try:
        yield
    finally:
        server.transport.close()
        await server.become(0)


def client(server: Server, origin: str | None = None) -> connect:
    return connect(
        server.uri,
        subprotocols=[SIP],
        origin=None if origin is None else Origin(origin),
        proxy=None,
        close_timeout=1,
        ping_interval=None,
    )


async def status_of(attempt: connect) -> int:
    """Return the HTTP status that a handshake is answered with."""
    try:
        async with attempt:
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def ask(server: Server, browser: ClientConnection, message: str | bytes) -> Flow:
    """Say a message and return the flow that it came by."""
    await browser.send(message)
    data, flow = await server.heard.get()
    assert data == (message.encode() if isinstance(message, str) else message)
    return flow


def test_text_and_binary_come_and_are_answered_down_their_connection(run: Run) -> None:
    async def main() -> None:
        server = Server()
        async with serving(server), client(server) as browser:
            assert browser.subprotocol == "sip"
            assert browser.response is not None
            assert "Sec-WebSocket-Extensions" not in browser.response.headers
            for message in (ONE, ONE.decode(), "OPTIONS sip:张三@b SIP/2.0\r\n\r\n"):
                flow = await ask(server, browser, message)
            assert (flow.transport, flow.is_reliable) == ("ws", True)
            for answer in (b"SIP/2.0 200 OK\r\n\r\n", "Warning: 张三".encode()):
                server.transport.send(answer, flow)
                assert await browser.recv() == answer.decode()
            server.transport.send("Warning: 张三".encode("gbk"), flow)
            assert await browser.recv() == "Warning: 张三".encode("gbk")

    run(main())


def test_a_message_in_pieces_comes_whole(run: Run) -> None:
    async def main() -> None:
        server = Server()
        async with serving(server), client(server) as browser:
            await browser.send([ONE[:5], ONE[5:20], b"", ONE[20:]])
            assert (await server.heard.get())[0] == ONE
            await browser.send(["\r\n", "\r\n"])
            assert await browser.recv() == "\r\n", "RFC 5626 4.4.1 in a frame"
            await browser.send("\r\n")
            await ask(server, browser, ONE)
            assert server.heard.empty()

    run(main())


def test_a_ping_is_answered(run: Run) -> None:
    async def main() -> None:
        server = Server()
        async with serving(server), client(server) as browser:
            await (await browser.ping())

    run(main())


async def raw_client(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Shake hands, and leave the frames to the test."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: sip\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return reader, writer


def test_a_silent_client_is_pinged(run: Run) -> None:
    async def main() -> None:
        server = Server()
        server.transport.bounds = Bounds(look_s=0.01, ping_s=0.01)
        async with serving(server):
            reader, writer = await raw_client(server)
            assert await reader.readexactly(4) == b"\x89\x00\x89\x00", "two pings"
            writer.close()

    run(main())


def test_a_client_that_answers_no_ping_is_ended(run: Run) -> None:
    async def main() -> None:
        server = Server()
        server.transport.bounds = Bounds(look_s=0.01, dead_s=0.03)
        async with serving(server), client(server) as browser:
            await ask(server, browser, ONE)
            await server.reports(connection.IDLE)
            with pytest.raises(ConnectionClosed):
                await browser.recv()

    run(main())


def test_what_is_for_a_client_that_has_gone_is_lost(run: Run) -> None:
    async def main() -> None:
        server = Server()
        async with serving(server):
            async with client(server) as browser:
                flow = await ask(server, browser, ONE)
                assert server.transport.is_open(flow)
            await server.become(0)
            assert not server.transport.is_open(flow)
            lost = asyncio.Event()
            server.transport.send(ONE, flow, lost.set)
            server.transport.send(ONE, flow)
            assert not lost.is_set(), "not while the sender is still sending"
            await lost.wait()

    run(main())


def test_the_handshake_asks_for_sip_and_comes_from_a_page_that_may(run: Run) -> None:
    async def main() -> None:
        anywhere = Server()
        async with serving(anywhere):
            assert await status_of(client(anywhere, "https://evil.example")) == 101
            assert await status_of(connect(anywhere.uri, proxy=None)) == 400
            assert await status_of(
                connect(anywhere.uri, subprotocols=[Subprotocol("xmpp")], proxy=None)
            ) == 400  # fmt: skip
        server = Server(origins=["https://phone.example"])
        async with serving(server):
            assert await status_of(client(server, "https://phone.example")) == 101
            assert await status_of(client(server, "https://evil.example")) == 403
            assert await status_of(client(server)) == 101, "no browser, no Origin"

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        ONE,
        b"\x16\x03\x01\x00\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + 200 * (b"X: " + 200 * b"y" + b"\r\n"),
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_handshake_is_hung_up_on(run: Run, data: bytes) -> None:
    async def main() -> None:
        server = Server()
        async with serving(server):
            _, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
            writer.write(data)
            await server.reports(connection.HANDSHAKE)
            await server.become(0)
            assert server.heard.empty()
            writer.close()

    run(main())


def test_a_handshake_that_does_not_end_is_ended(run: Run) -> None:
    async def main() -> None:
        server = Server()
        server.transport.bounds = Bounds(look_s=0.01, upgrade_s=0.02)
        async with serving(server):
            _, writer = await asyncio.open_connection("127.0.0.1", server.transport.port)
            writer.write(b"GET / HTTP/1.1\r\n")
            await server.reports(connection.HANDSHAKE)
            writer.close()

    run(main())


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_message_too_large_ends_its_connection(run: Run, pieces: int) -> None:
    async def main() -> None:
        server = Server()
        async with serving(server), client(server) as browser:
            most = b"x" * MOST_MESSAGE_BYTES
            await ask(server, browser, most)
            size = len(most) // pieces + 1
            with suppress(ConnectionClosed):
                await browser.send([b"y" * size] * pieces)
            await server.reports(connection.FRAMING)
            await browser.wait_closed()
            assert browser.close_code in (1006, 1009)

    run(main())


def test_a_browser_calls_over_tls(run: Run, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")

    async def main() -> None:
        server = Server(Tls([pair]))
        context = ssl.create_default_context(cafile=authority.file)
        secure = connect(server.uri, subprotocols=[SIP], ssl=context, proxy=None)
        async with serving(server), secure as browser:
            flow = await ask(server, browser, ONE)
            assert (flow.transport, flow.is_secure) == ("wss", True)
            server.transport.send(ONE, flow)
            assert await browser.recv() == ONE.decode()

    run(main())


@pytest.mark.parametrize("frame", [b"\x89\x80key1", b"\x01\x80key1", b"\x81\x82key1fo"])
def test_frames_that_are_no_message_do_not_come_without_end(run: Run, frame: bytes) -> None:
    """Pings, parts of nothing, empty lines: no guard sees them."""
    first, more = frame, frame if frame[0] != 1 else b"\x00\x80key1"

    async def main() -> None:
        server = Server()
        async with serving(server):
            _, writer = await raw_client(server)
            writer.write(first + more * 2 * connection.MOST_PINGS)
            await server.reports(connection.LIMIT)
            await server.become(0)
            assert server.heard.empty()
            assert server.transport.ended[connection.LIMIT] == 1
            writer.close()

    run(main())
