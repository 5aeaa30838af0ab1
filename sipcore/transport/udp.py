"""SIP over UDP: one socket, drained a batch at a time (RFC 3261 18).

Read by add_reader rather than a stock transport: it works the same on asyncio and uvloop, and one
wake-up may take many datagrams. Under load the socket is
polled every few milliseconds instead, as network cards do: a wake-up a datagram would cost more
than the datagram. Then `queued_since` is told when the oldest of each batch came, or 0 where none
is left.
"""

import asyncio
import socket
import struct
from collections.abc import Callable

from sipcore.log import logger
from sipcore.message.flow import Flow
from sipcore.transport import stun
from sipcore.transport.base import Lost, ReceiveAll

MOST_AT_ONCE = 96  # datagrams a wake-up, so that timers and other sockets get their turn
DATAGRAM_BYTES = 65535
KEEP_ALIVE_BYTES = 4  # CRLF CRLF, or zeros: what phones send to keep their NAT open
SIP_FROM = 2  # the first octet of STUN is less (RFC 5626 8), of SIP it is a letter
BUSY_PER_S = 500  # datagrams a second from which on the socket is polled
BATCH = 96  # what a poll waits for: a wake-up costs as much as several datagrams
LONGEST_PAUSE_S = 0.03  # between polls: it is added to the time of an answer
JUDGE_S = 0.1
SO_TIMESTAMPNS = 35  # socket(7): the kernel's wall time of arrival, which Python has no name for
TIMESPEC = struct.Struct("@ll")
NOTE_BYTES = 64

_log = logger(__name__)


class UdpTransport:
    """Takes over a bound, non-blocking socket."""

    name = "udp"

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        receive: ReceiveAll,
        queued_since: Callable[[float], None] | None = None,
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._receive = receive
        self._queued_since = queued_since
        self.admits: Callable[[str], bool] = lambda source: True  # asked for STUN alone
        self.address, self.port = sock.getsockname()[:2]
        self.unsent_count = 0
        self._polling: asyncio.TimerHandle | None = None
        self._pause_s = LONGEST_PAUSE_S
        self._judged_at = loop.time()
        self._count = 0  # datagrams since then
        sock.setblocking(False)
        if queued_since is not None:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        loop.add_reader(sock, self._readable)

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        """Send one datagram. A full socket buffer drops it: repeats are the cure on UDP."""
        try:
            self._socket.sendto(data, (flow.remote_address, flow.remote_port))
        except BlockingIOError:
            self.unsent_count += 1
        except OSError as fault:
            _log.info("udp to=%s:%d fault=%s", flow.remote_address, flow.remote_port, fault)
            if lost is not None:
                lost()

    def close(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        self._drain()
        if self._is_busy():
            self._loop.remove_reader(self._socket)
            self._polling = self._loop.call_later(self._pause_s, self._poll)

    def _poll(self) -> None:
        is_empty = True
        try:
            is_empty = self._drain()
        finally:  # whatever a batch met: nobody else would look at the socket again
            if self._is_busy():
                pause_s = self._pause_s if is_empty else 0
                self._polling = self._loop.call_later(pause_s, self._poll)
            else:
                self._polling = None
                self._loop.add_reader(self._socket, self._readable)

    def _is_busy(self) -> bool:
        """Tell whether datagrams came fast of late; judged ten times a second."""
        passed_s = self._loop.time() - self._judged_at
        if passed_s < JUDGE_S:
            return self._polling is not None
        is_busy = self._count > BUSY_PER_S * passed_s
        self._pause_s = min(BATCH * passed_s / max(self._count, 1), LONGEST_PAUSE_S)
        self._judged_at += passed_s
        self._count = 0
        return is_busy

    def _answer_stun(self, data: bytes, source: tuple[str, int]) -> None:
        if not self.admits(source[0]):
            return
        if (answer := stun.answer(data, source[0], source[1])) is not None:
            self.send(answer, Flow("udp", self.address, self.port, source[0], source[1]))

    def _drain(self) -> bool:
        """Take what has come; False where more may be there."""
        batch: list[tuple[bytes, Flow]] = []
        is_empty = False
        ages = self._polling is not None and self._queued_since is not None
        for at in range(MOST_AT_ONCE):
            try:
                if ages and at == 0:
                    data, source = self._receive_oldest()
                else:
                    data, source = self._socket.recvfrom(DATAGRAM_BYTES)
            except BlockingIOError:
                is_empty = True
                break
            except OSError:  # an ICMP error of an earlier datagram: its transaction times out
                continue
            self._count += 1
            if len(data) > KEEP_ALIVE_BYTES:
                if data[0] < SIP_FROM:
                    self._answer_stun(data, source)
                    continue
                batch.append((data, Flow("udp", self.address, self.port, source[0], source[1])))
        if ages and is_empty and self._queued_since is not None:
            self._queued_since(0.0)
        if batch:
            self._receive(batch)
        return is_empty

    def _receive_oldest(self) -> tuple[bytes, tuple[str, int]]:
        """Receive the first of a batch, and tell when the kernel had it (SO_TIMESTAMPNS)."""
        data, notes, _, source = self._socket.recvmsg(DATAGRAM_BYTES, NOTE_BYTES)
        for level, kind, note in notes:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and self._queued_since:
                seconds, nanoseconds = TIMESPEC.unpack(note)
                self._queued_since(seconds + nanoseconds / 1e9)
        return data, source
