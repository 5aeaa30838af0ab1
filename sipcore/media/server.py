"""The worker's end of its control socket; with it its signals and the lifeline."""

import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field

from sipcore.errors import CannotStart, MediaError
from sipcore.log import logger
from sipcore.media import control
from sipcore.media.control import read_verbs, write_frame

MAX_UNREAD = 8 << 20  # bytes of events that nobody reads; then the connection is dropped

log = logger(__name__)


class Server:
    """The worker's end: a Unix socket that any number may connect to, signals, the lifeline.

    `fileno()` becomes readable when `serve` has something to do. The loss of a connection is
    nothing: calls go on, and whoever connects next may list them.
    """

    def __init__(self, path: str, lifeline_fd: int) -> None:
        """Listen at `path`. Raises CannotStart."""
        self.is_over = False
        self._path = Path(path)
        self._lifeline_fd = lifeline_fd
        self._peers: dict[int, _Peer] = {}
        self._epoll = select.epoll()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)
            self._listener.bind(path)
            self._path.chmod(0o600)
            self._listener.listen()
        except OSError as fault:
            raise CannotStart(f"media worker cannot listen at {path}: {fault.strerror}") from None
        self._listener.setblocking(False)
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGTERM, lambda *_: None)
        for fd in (self._listener.fileno(), self._woken.fileno(), lifeline_fd):
            self._epoll.register(fd, select.EPOLLIN)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def serve(self, handle: Callable[[control.Verb], control.Reply | None]) -> None:
        """Take what has come in; reply to each connection in one write."""
        for fd, _ in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif fd == self._lifeline_fd:
                self.is_over |= not os.read(fd, 1)
            elif fd == self._woken.fileno():
                self.is_over = True  # SIGTERM: the only signal that wakes
            elif (peer := self._peers.get(fd)) is not None:
                self._hear(peer, handle)

    def tell(self, event: control.Event) -> None:
        """Send an event to every connection."""
        for peer in list(self._peers.values()):
            write_frame(peer.out, event)
            self._flush(peer)

    def shut(self) -> None:
        """Close everything, the path included."""
        signal.set_wakeup_fd(-1)
        for peer in list(self._peers.values()):
            self._drop(peer)
        for one in (self._listener, self._woken, self._wake, self._epoll):
            one.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        self._peers[sock.fileno()] = _Peer(sock)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _hear(self, peer: "_Peer", handle: Callable[[control.Verb], control.Reply | None]) -> None:
        try:
            data = peer.socket.recv(1 << 18)
        except BlockingIOError:
            return self._flush(peer)
        except OSError:
            data = b""
        peer.inward += data
        try:
            for verb in read_verbs(peer.inward):
                if (reply := handle(verb)) is not None:
                    write_frame(peer.out, reply)
        except MediaError as fault:
            log.error("media control: %s", fault)
            data = b""
        self._flush(peer) if data else self._drop(peer)

    def _flush(self, peer: "_Peer") -> None:
        try:
            while peer.out:
                del peer.out[: peer.socket.send(peer.out)]
        except BlockingIOError:
            pass
        except OSError:
            peer.out.clear()
        if len(peer.out) > MAX_UNREAD:
            self._drop(peer)
        elif bool(peer.out) != peer.is_waiting:
            peer.is_waiting = bool(peer.out)
            wanted = select.EPOLLIN | (select.EPOLLOUT if peer.is_waiting else 0)
            self._epoll.modify(peer.socket.fileno(), wanted)

    def _drop(self, peer: "_Peer") -> None:
        del self._peers[peer.socket.fileno()]
        self._epoll.unregister(peer.socket.fileno())
        peer.socket.close()


class _Peer(Struct):
    """One connection of the server."""

    socket: socket.socket
    inward: bytearray = field(default_factory=bytearray)
    out: bytearray = field(default_factory=bytearray)
    is_waiting: bool = False
