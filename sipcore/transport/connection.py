"""One connection of a stream transport: bytes in, whole messages up, and when it has to go.

A stranger must send messages, and finish what it begins. Once somebody above vouches for it (it
registered, it is a peer) it may stay silent for longer than any registration lasts: the kernel's
own probes tell a dead one.
"""

import asyncio
import socket
from typing import TYPE_CHECKING, Final, cast

from sipcore.errors import BadMessage
from sipcore.log import logger
from sipcore.message.flow import Flow
from sipcore.message.framing import PING, PONG, Framer
from sipcore.transport.tls import canonical, proven_names

if TYPE_CHECKING:
    from sipcore.transport.stream import StreamTransport

MOST_UNREAD_BYTES = 1 << 20  # a peer that does not read loses its connection, not our memory
MOST_PINGS = 500  # keep-alives between two looks, 5 s: they are answered, unread by the guard
PROBES = (120, 20, 3)  # seconds of silence, seconds between probes, probes: a dead peer shows

# Why a connection was ended by us, for the metric.
LIMIT: Final = "limit"
HANDSHAKE: Final = "handshake"
FRAMING: Final = "framing"
SLOW: Final = "slow"
IDLE: Final = "idle"
UNREAD: Final = "unread"

_log = logger(__name__)


class Connection(asyncio.Protocol):
    """Accepted, or opened by us: then `domain` is what its certificate must prove, if it has one.

    `names` are the SIP domains that the peer's certificate does prove (RFC 5922 7.1).
    """

    def __init__(
        self, owner: "StreamTransport", number: int, source: str, *, domain: str, is_ours: bool
    ) -> None:
        self.owner = owner
        self.number = number
        self.source = source
        self.domain = domain
        self.is_ours = is_ours
        self.is_vouched = is_ours
        self.names: tuple[str, ...] = ()
        self.flow: Flow | None = None
        self.heard_at = owner.now()  # anything
        self._spoke_at = self.heard_at  # a whole message
        self._unfinished_since: float | None = None
        self._pings = 0  # since the last look
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        mine = self._transport = cast(asyncio.Transport, transport)  # uvloop's own kind of it
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if local is None or remote is None:  # gone before it was accepted
            mine.abort()
            return
        self.names = proven_names(transport.get_extra_info("peercert"))
        if self.is_ours and self.owner.tls is not None and not self._is_proven(remote[0]):
            mine.abort()
            return
        _probe(transport.get_extra_info("socket"))
        here, there = (local[0], local[1]), (remote[0], remote[1])  # IPv6 has two more
        self.flow = Flow(self.owner.name, *here, *there, self.number, self.domain)

    def _is_proven(self, address: str) -> bool:
        """Tell whether the peer is whom we meant to reach (RFC 5922 7.2)."""
        wanted = canonical(self.domain or address)
        if wanted in self.names:
            return True
        names = ", ".join(self.names) or "nobody"
        _log.warning(
            "%s to=%s closed: its certificate is for %s, not for %s",
            self.owner.name,
            address,
            names,
            wanted,
        )
        self.owner.count(HANDSHAKE)
        return False

    def data_received(self, data: bytes) -> None:
        flow = self.flow
        if flow is None:
            return
        if self.is_shut_out(flow):
            return
        now = self.heard_at = self.owner.now()
        try:
            messages = self._framer.feed(data)
        except BadMessage as fault:
            self.end(FRAMING, fault.reason)
            return
        if messages:
            self._unfinished_since = None
        self._note_unfinished(self._framer.is_within)
        pings = messages.count(PING)
        if pings:  # thousands may come in one piece: a write each would hold up the loop
            if self.is_pinging(pings):
                return
            self.write(PONG * pings)
        for message in messages:
            if message != PING:
                self._spoke_at = now
                self.owner.receive(message, flow)

    def is_pinging(self, pings: int) -> bool:
        """Count keep-alives; end the connection of one who sends nothing but them."""
        self._pings += pings
        if self._pings <= MOST_PINGS:
            return False
        self.end(LIMIT, "too many keep-alives")
        return True

    def is_shut_out(self, flow: Flow) -> bool:
        """End the connection of a stranger who was banned since it came: else it could go on to
        cost us the cutting of what nobody reads."""
        if self.is_vouched or not self.owner.is_banned(flow.remote_address):
            return False
        self.end(LIMIT, "it is banned")
        return True

    def _note_unfinished(self, is_within: bool) -> None:
        """Remember since when a message waits for the rest of it."""
        if not is_within:
            self._unfinished_since = None
        elif self._unfinished_since is None:
            self._unfinished_since = self.heard_at

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.forget(self)

    def send(self, message: bytes) -> bool:
        """Send one message; False where the connection is going or its peer does not read."""
        return self.write(message)

    def write(self, data: bytes) -> bool:
        """Queue bytes; False as above."""
        transport = self._transport
        if transport is None or self.flow is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            self.end(UNREAD, "it does not read")
            return False
        transport.write(data)
        return True

    def look(self, now: float) -> None:
        """End it where it is overdue; called every few seconds."""
        if self.flow is None:
            return  # a handshake has its own time-out
        self._pings = 0
        bounds, since = self.owner.bounds, self._unfinished_since
        if since is not None and now - since > bounds.message_s:
            self.end(SLOW, "a message begun and not finished")
        elif not self.is_vouched and now - self._spoke_at > bounds.stranger_s:
            self.end(SLOW, "no message of one whom nobody knows")
        elif now - self.heard_at > bounds.idle_s:
            self.end(IDLE, "silent for hours")

    def end(self, reason: str, words: str) -> None:
        """Close it at once for a fault of the peer, and count that."""
        self.owner.count(reason)
        _log.debug("%s closed: %s", self.flow, words)
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _probe(sock: socket.socket | None) -> None:
    """Have the kernel probe a silent peer; this keeps the way through its NAT open, too."""
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    for option, value in zip(options, PROBES, strict=True):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
