"""SIP over WebSocket (RFC 7118): a message a frame or several, down the client's connection alone.

The Sans-I/O half of the websockets library reads and writes frames; connections, limits and TLS
are those of every stream. No extension is offered: nothing here inflates what came small.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from sipcore.message.framing import PING, PONG
from sipcore.message.parse import MOST_BODY_BYTES, MOST_HEAD_BYTES
from sipcore.transport.base import Lost, Receive
from sipcore.transport.connection import FRAMING, HANDSHAKE, IDLE, Connection
from sipcore.transport.stream import Remote, StreamTransport
from sipcore.transport.tls import Tls

if TYPE_CHECKING:
    from sipcore.message.flow import Flow

MOST_MESSAGE_BYTES = MOST_HEAD_BYTES + MOST_BODY_BYTES
MOST_HANDSHAKE_BYTES = 16 << 10
PIECE_BYTES = 4096  # of what came in one piece is cut at once: small frames are dear

# RFC 7118 4.1: a client must ask for it.
SIP: Final = Subprotocol("sip")

_quiet = logging.getLogger("sipcore.websockets")
_quiet.setLevel(logging.ERROR)  # a line a connection says nothing


class WebSocket(Connection):
    """One client. It says "sip" in its handshake, else it is told 400."""

    owner: "WebSocketTransport"

    def __init__(
        self, owner: StreamTransport, number: int, source: str, *, domain: str, is_ours: bool
    ) -> None:
        super().__init__(owner, number, source, domain=domain, is_ours=is_ours)
        self._protocol = ServerProtocol(
            origins=self.owner.origins,
            subprotocols=[SIP],
            max_size=MOST_MESSAGE_BYTES,
            logger=_quiet,
        )
        self._opened_at = self.heard_at
        self._pinged_at = 0.0
        self._handshake_bytes = 0
        self._parts = bytearray()

    def data_received(self, data: bytes) -> None:
        flow, protocol = self.flow, self._protocol
        if flow is None or protocol.close_expected():
            return
        if self.is_shut_out(flow):
            return
        self.heard_at = self.owner.now()
        if protocol.state is State.CONNECTING:
            self._handshake_bytes += len(data)
            if self._handshake_bytes > MOST_HANDSHAKE_BYTES:
                self.end(HANDSHAKE, "a handshake too large")
                return
        for at in range(0, len(data), PIECE_BYTES):
            protocol.receive_data(data[at : at + PIECE_BYTES])
            if not self._hear_all(flow):
                return
        self._note_unfinished(bool(self._parts or protocol.reader.buffer))
        self._flush()
        if protocol.close_expected():
            self._close()

    def send(self, message: bytes) -> bool:
        """Send one message, as text where it is text; False where nobody would get it."""
        if self._protocol.state is not State.OPEN:
            return False
        if _is_text(message):
            self._protocol.send_text(message)
        else:
            self._protocol.send_binary(message)
        return self._flush()

    def look(self, now: float) -> None:
        """Ping a silent client; end one that is dead, or does not get its handshake done."""
        state, silent_s = self._protocol.state, now - self.heard_at
        if self.flow is None:
            return
        bounds = self.owner.bounds
        if state is State.CONNECTING and now - self._opened_at > bounds.upgrade_s:
            self.end(HANDSHAKE, "no WebSocket handshake")
        elif state is not State.CONNECTING and silent_s > bounds.dead_s:
            self.end(IDLE, "no answer to pings")
        else:
            super().look(now)
        if state is State.OPEN and min(silent_s, now - self._pinged_at) > bounds.ping_s:
            self._pinged_at = now
            self._protocol.send_ping(b"")
            self._flush()

    def _hear_all(self, flow: "Flow") -> bool:
        """Take what has been cut; False where it sends too much that is no message."""
        protocol = self._protocol
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
            elif isinstance(event, Frame) and not self._hear(event, flow):
                return False
        return True

    def _hear(self, frame: Frame, flow: "Flow") -> bool:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return not self.is_pinging(1)  # the library answers pings, and closes
        if not frame.fin or self._parts:
            self._parts += frame.data
            if not frame.fin:
                return not self.is_pinging(1)  # empty parts could go on for ever
            message = bytes(self._parts)
            self._parts.clear()
        else:
            message = bytes(frame.data)
        self._unfinished_since = None
        if message.strip(b"\r\n"):
            self._spoke_at = self.heard_at
            self.owner.receive(message, flow)
            return True
        if self.is_pinging(1):
            return False
        if message == PING:
            self.send(PONG)
        return True

    def _flush(self) -> bool:
        data = b"".join(self._protocol.data_to_send())
        return not data or self.write(data)

    def _close(self) -> None:
        """End it in peace: the response that refuses, or the close frame, still goes out."""
        protocol = self._protocol
        if protocol.handshake_exc is not None:
            self.owner.count(HANDSHAKE)
        elif protocol.parser_exc is not None:
            self.owner.count(FRAMING)
        if self._transport is not None:
            self._transport.close()


class WebSocketTransport(StreamTransport):
    """One listening address for WebSockets, over TLS if `tls` is there.

    `origins` are the pages that may connect; with none named every page may. A page of somebody
    else's gains nothing by it, for no cookie signs in here: each request is digested with a
    password. Clients that are no browsers send no Origin and may connect in any case.
    """

    names = ("ws", "wss")
    kind = WebSocket

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        receive: Receive,
        tls: Tls | None = None,
        origins: Sequence[str] = (),
    ) -> None:
        super().__init__(loop, sock, receive, tls)
        self.origins = [*map(Origin, origins), None] if origins else None

    def _reopen(self, remote: Remote, data: bytes, lost: Lost | None) -> None:
        """A client cannot be connected to (RFC 7118 5): what would go to it is lost."""
        if lost is not None:
            self._loop.call_soon(lost)


def _is_text(message: bytes) -> bool:
    if message.isascii():
        return True
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
