"""SIP over TCP: connections accepted and opened, reused for everything towards the same peer
(RFC 3261 18, RFC 5923), cut into messages, ended when they break the framing or stay unread."""

import asyncio
import socket
from collections import Counter
from itertools import count
from typing import cast

from sipcore.errors import BadMessage
from sipcore.log import logger
from sipcore.message.flow import Flow
from sipcore.message.framing import PING, PONG, Framer
from sipcore.transport.base import Lost, Receive

MOST_CONNECTIONS = 20_000
MOST_OF_ONE_SOURCE = 1_000
MOST_UNREAD_BYTES = 1 << 20  # a peer that does not read loses its connection, not our memory
MOST_WAITING = 1_000  # messages for one connection that is being opened
CONNECT_S = 8.0

_log = logger(__name__)


class _Connection(asyncio.Protocol):
    """One connection: bytes in, whole messages up."""

    def __init__(self, owner: "StreamTransport", number: int) -> None:
        self.owner = owner
        self.number = number
        self.flow: Flow | None = None
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        mine = self._transport = cast(asyncio.Transport, transport)  # uvloop's own kind of it
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if local is None or remote is None:  # gone before it was accepted
            mine.abort()
            return
        self.flow = Flow("tcp", local[0], local[1], remote[0], remote[1], self.number)
        if not self.owner.admit(self, self.flow):
            mine.abort()

    def data_received(self, data: bytes) -> None:
        flow = self.flow
        if flow is None:
            return
        try:
            messages = self._framer.feed(data)
        except BadMessage as fault:
            _log.info("tcp from=%s closed: %s", flow, fault)
            self.abort()
            return
        for message in messages:
            if message == PING:
                self.write(PONG)
            else:
                self.owner.receive(message, flow)

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.forget(self)

    def write(self, data: bytes) -> bool:
        """Queue bytes; False where the connection is going or its peer does not read."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            _log.warning("tcp to=%s closed: peer does not read", self.flow)
            transport.abort()
            return False
        transport.write(data)
        return True

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class StreamTransport:
    """One listening TCP address and every connection that belongs to it."""

    name = "tcp"
    _numbers = count(1)  # of the process: a flow's connection is one listening address's alone

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, receive: Receive
    ) -> None:
        self._loop = loop
        self._socket = sock
        self.receive = receive
        self.address, self.port = sock.getsockname()[:2]
        self._connections: dict[int, _Connection] = {}
        self._by_remote: dict[tuple[str, int], _Connection] = {}
        self._of_source: Counter[str] = Counter()
        self._waiting: dict[tuple[str, int], list[tuple[bytes, Lost | None]]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept."""
        self._server = await self._loop.create_server(self._make, sock=self._socket)

    def __len__(self) -> int:
        return len(self._connections)

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        """Send on the flow's connection; one that is new or gone is opened to the same place.

        A connection that a client opened and lost cannot be opened from here (RFC 5626 5.3): the
        attempt fails soon and `lost` is called.
        """
        connection = self._connections.get(flow.connection)
        remote = (flow.remote_address, flow.remote_port)
        if connection is None:
            connection = self._by_remote.get(remote)
        if connection is not None and connection.write(data):
            return
        waiting = self._waiting.get(remote)
        if waiting is not None:
            if len(waiting) < MOST_WAITING:
                waiting.append((data, lost))
            elif lost is not None:
                lost()
            return
        self._waiting[remote] = [(data, lost)]
        task = self._loop.create_task(self._open(remote))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        else:
            self._socket.close()
        for task in self._opening:
            task.cancel()
        for connection in list(self._connections.values()):
            connection.abort()

    def admit(self, connection: _Connection, flow: Flow) -> bool:
        """Take a new connection in, unless there are too many."""
        source = flow.remote_address
        if (
            len(self._connections) >= MOST_CONNECTIONS
            or self._of_source[source] >= MOST_OF_ONE_SOURCE
        ):
            _log.warning("tcp from=%s refused: too many connections", flow)
            return False
        self._of_source[source] += 1
        self._connections[connection.number] = connection
        self._by_remote[source, flow.remote_port] = connection
        return True

    def forget(self, connection: _Connection) -> None:
        """Let a lost connection go."""
        flow = connection.flow
        if flow is None or self._connections.pop(connection.number, None) is None:
            return
        remote = (flow.remote_address, flow.remote_port)
        if self._by_remote.get(remote) is connection:
            del self._by_remote[remote]
        self._of_source[flow.remote_address] -= 1
        if not self._of_source[flow.remote_address]:
            del self._of_source[flow.remote_address]

    def _make(self) -> _Connection:
        return _Connection(self, next(self._numbers))

    async def _open(self, remote: tuple[str, int]) -> None:
        local = None if self.address in ("0.0.0.0", "::") else (self.address, 0)
        connection = None
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await self._loop.create_connection(
                    self._make, *remote, local_addr=local
                )
        except (OSError, TimeoutError) as fault:
            _log.info("tcp to=%s:%d fault=%s", *remote, fault)
        finally:
            for data, lost in self._waiting.pop(remote, ()):
                if (connection is None or not connection.write(data)) and lost is not None:
                    lost()
