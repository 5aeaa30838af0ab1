"""SIP over TCP and TLS: connections accepted and opened, reused for everything towards the same
peer (RFC 3261 18, RFC 5923). How one of them behaves is connection.py's."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

from sipcore.log import logger
from sipcore.message.flow import Flow
from sipcore.transport.base import Lost, Receive
from sipcore.transport.bounds import Bounds
from sipcore.transport.connection import HANDSHAKE, LIMIT, Connection
from sipcore.transport.guard import source_of
from sipcore.transport.tls import Tls

HANDSHAKE_COST = 10  # a TLS handshake costs us as much as so many messages
MOST_WAITING = 1_000  # messages for one connection that is being opened
MOST_REACHED = 10_000
MOST_AT_ONCE = 64  # connections accepted in a row
BACKLOG = 1024
CONNECT_S = 8.0
FULL_S = 1.0  # without a free file descriptor

_log = logger(__name__)

Remote = tuple[str, int, str]  # address, port, domain


class StreamTransport:
    """One listening TCP or TLS address and every connection that belongs to it.

    Limits are kept before a handshake begins: what is accepted counts, whatever becomes of it.
    """

    names = ("tcp", "tls")
    kind = Connection
    _numbers = count(1)  # of the process: a flow's connection is one listening address's alone

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        receive: Receive,
        tls: Tls | None = None,
    ) -> None:
        self.name = self.names[tls is not None]
        self.now = loop.time
        self.receive = receive
        self.tls = tls
        self.bounds = Bounds()
        self.address, self.port = sock.getsockname()[:2]
        self.ended: Counter[str] = Counter()  # by us, by reason
        self.is_banned: Callable[[str], bool] = lambda source: False
        self.is_known: Callable[[str], bool] = lambda source: False  # an address or a /64
        self.admits: Callable[[str, int], bool] = lambda source, cost: True
        self._loop = loop
        self._socket = sock
        self._connections: dict[int, Connection] = {}
        self._by_remote: dict[Remote, Connection] = {}
        self._reached: dict[tuple[str, int], None] = {}  # who took a connection of ours
        self._of_source: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()  # by source, as above
        self._stranger_count = 0
        self._waiting: dict[Remote, list[tuple[bytes, Lost | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to accept."""
        self._socket.setblocking(False)
        self._socket.listen(BACKLOG)
        self._loop.add_reader(self._socket, self._accept)
        self._looking = self._loop.call_later(self.bounds.look_s, self._look)

    def __len__(self) -> int:
        return len(self._connections)

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        """Send on the flow's connection; one that is new or gone is opened to the same place.

        A connection that a client opened and lost cannot be opened from here (RFC 5626 5.3): the
        attempt fails soon and `lost` is called.
        """
        connection = self._connections.get(flow.connection)
        remote = (flow.remote_address, flow.remote_port, flow.domain)
        if connection is None:
            connection = self._by_remote.get(remote)
            if connection is not None and flow.connection and not connection.is_ours:
                connection = None  # who came from there since is another, behind the same NAT
        if connection is None or not connection.send(data):
            self._reopen(remote, data, lost)

    def _reopen(self, remote: Remote, data: bytes, lost: Lost | None) -> None:
        waiting = self._waiting.get(remote)
        if waiting is not None:
            if len(waiting) < MOST_WAITING:
                waiting.append((data, lost))
            elif lost is not None:
                lost()
            return
        self._waiting[remote] = [(data, lost)]
        self._begin(self._open(remote))

    def close(self) -> None:
        for timer in (self._looking, self._resting):
            if timer is not None:
                timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
        self._socket.close()
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections.values()):
            connection.abort()

    def vouch(self, number: int) -> None:
        """Let a connection stay: it has registered, or it is a peer's."""
        connection = self._connections.get(number)
        if connection is not None and not connection.is_vouched:
            connection.is_vouched = True
            self._forget_stranger(connection)

    def is_open(self, flow: Flow) -> bool:
        """Tell whether a message could go along a flow without a new connection."""
        if flow.connection:
            return flow.connection in self._connections
        return (flow.remote_address, flow.remote_port, flow.domain) in self._by_remote

    def has_reached(self, address: str, port: int) -> bool:
        """Tell whether a peer took the last connection that we opened to it."""
        return (address, port) in self._reached

    def names_of(self, number: int) -> tuple[str, ...]:
        """Return the SIP domains that a connection's peer has proven by its certificate."""
        connection = self._connections.get(number)
        return () if connection is None else connection.names

    def count(self, reason: str) -> None:
        """Count a connection that was ended, or not begun, for a fault of the peer."""
        self.ended[reason] += 1

    def forget(self, connection: Connection) -> None:
        """Let a lost connection go."""
        if self._connections.pop(connection.number, None) is None:
            return
        if (flow := connection.flow) is not None:
            remote = (flow.remote_address, flow.remote_port, flow.domain)
            if self._by_remote.get(remote) is connection:
                del self._by_remote[remote]
        if not connection.is_vouched:
            self._forget_stranger(connection)
        self._of_source[connection.source] -= 1
        if not self._of_source[connection.source]:
            del self._of_source[connection.source]

    def _forget_stranger(self, connection: Connection) -> None:
        self._stranger_count -= 1
        self._strangers[connection.source] -= 1
        if not self._strangers[connection.source]:
            del self._strangers[connection.source]

    def _make(self, source: str, *, domain: str = "", is_ours: bool = False) -> Connection:
        number = next(self._numbers)
        return self.kind(self, number, source_of(source), domain=domain, is_ours=is_ours)

    def _admit(self, connection: Connection) -> bool:
        """Take a new connection in, unless there are too many."""
        if (
            len(self._connections) >= self.bounds.connections
            or self._of_source[connection.source] >= self.bounds.of_one_source
            or (not connection.is_ours and self._are_strangers_too_many(connection.source))
        ):
            self.count(LIMIT)
            return False
        self._of_source[connection.source] += 1
        if not connection.is_vouched:
            self._stranger_count += 1
            self._strangers[connection.source] += 1
        self._connections[connection.number] = connection
        return True

    def _are_strangers_too_many(self, source: str) -> bool:
        """A few sources, or one, must not keep out the phones that are known."""
        if (
            self._stranger_count < self.bounds.strangers
            and self._strangers.get(source, 0) < self.bounds.strangers_of_one_source
        ):
            return False
        return not self.is_known(source)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Those who come

    def _accept(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                sock, source = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as fault:
                _log.warning("%s port=%d accepts nobody: %s", self.name, self.port, fault)
                self._loop.remove_reader(self._socket)
                self._resting = self._loop.call_later(FULL_S, self._accept_again)
                return
            connection = self._make(source[0])
            if self._is_let_in(source[0]) and self._admit(connection):
                self._begin(self._welcome(connection, sock))
            else:
                sock.close()

    def _is_let_in(self, address: str) -> bool:
        if self.is_banned(address):
            return False
        if self.admits(address, HANDSHAKE_COST if self.tls is not None else 1):
            return True
        self.count(LIMIT)
        return False

    def _accept_again(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    async def _welcome(self, connection: Connection, sock: socket.socket) -> None:
        sock.setblocking(False)
        tls = self.tls
        try:
            if tls is None:
                await self._loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=tls.accepting,
                    ssl_handshake_timeout=self.bounds.handshake_s,
                )
            self._know(connection)
        except (OSError, TimeoutError) as fault:
            self.count(HANDSHAKE)
            _log.debug("%s from=%s no handshake: %s", self.name, connection.source, fault)
        finally:
            if connection.flow is None:
                sock.close()
                self.forget(connection)

    def _know(self, connection: Connection) -> None:
        if (flow := connection.flow) is not None and connection.number in self._connections:
            self._by_remote[flow.remote_address, flow.remote_port, flow.domain] = connection

    def _look(self) -> None:
        now = self.now()
        if self.tls is not None:
            self.tls.reload()
        for connection in list(self._connections.values()):
            connection.look(now)
        self._looking = self._loop.call_later(self.bounds.look_s, self._look)

    # Those whom we call

    async def _open(self, remote: Remote) -> None:
        connection = None
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await self._connect(remote)
        except (OSError, TimeoutError, UnicodeError) as fault:
            is_refused = isinstance(fault, ssl.SSLError)  # by us, most often: who vouches for it?
            if is_refused:
                self.count(HANDSHAKE)
            log = _log.warning if is_refused else _log.info
            log("%s to=%s:%d fault=%s", self.name, *remote[:2], fault or "timed out")
        finally:
            for data, lost in self._waiting.pop(remote, ()):
                if (connection is None or not connection.send(data)) and lost is not None:
                    lost()

    async def _connect(self, remote: Remote) -> Connection | None:
        address, port, domain = remote
        local = None if self.address in ("0.0.0.0", "::") else (self.address, 0)
        tls = self.tls
        if tls is not None:
            domain.encode("idna")  # UnicodeError: no handshake could ask for it
        connection = self._make(address, domain=domain, is_ours=True)
        if not self._admit(connection):
            return None
        try:
            await self._loop.create_connection(
                lambda: connection,
                address,
                port,
                local_addr=local,
                ssl=None if tls is None else tls.connecting,
                server_hostname=None if tls is None else domain or address,
            )
            self._know(connection)
            if len(self._reached) < MOST_REACHED:
                self._reached[address, port] = None
        finally:
            if connection.flow is None:
                self._reached.pop((address, port), None)
                self.forget(connection)
        return connection
