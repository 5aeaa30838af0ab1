"""The wire that works everywhere: epoll, one UDP socket a door, one system call a packet.

The only loops over packets in the media plane are here; what they call was bound beforehand.
"""

import ctypes
import errno
import platform
import select
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sipcore.media.wire.base import BATCH_ROWS, LOOKS, Addresses, Batch, Remote

SOCKET_BYTES = 1 << 20
_UNSPECIFIED = struct.pack("=H14x", socket.AF_UNSPEC)
_NOTHING = -1  # the size of a packet that was not there after all
# What waits in a socket: the first figure is of octets received, each packet with its overhead.
_SO_MEMINFO = 55
_LEAST_PACKET_BYTES = 512  # sk_buff and skb_shared_info alone are more
_libc = ctypes.CDLL(None, use_errno=True)
_libc.epoll_wait.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
# struct epoll_event, packed on x86-64 alone; its union holds the descriptor.
_FD_AT = 4 if platform.machine() == "x86_64" else 8
_EVENT = np.dtype({"names": ["fd"], "formats": ["i4"], "offsets": [_FD_AT], "itemsize": _FD_AT + 8})

Receive = Callable[[memoryview], int]
Send = Callable[[memoryview], object]


class _Door:
    """A socket of each family that there is, and what is known of its remote.

    `socket` is the one of the remote's family.
    """

    __slots__ = ("is_connected", "number", "remote", "socket", "sockets", "unvouched")

    def __init__(self, number: int, sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self.socket = sockets[0]
        self.remote: Remote | None = None
        self.is_connected = False
        self.unvouched = 0  # packets that may have been queued before it was connected

    def send(self, packet: memoryview) -> None:
        if self.remote is not None:
            self.socket.sendto(packet, self.remote)


class EpollWire:
    """Sockets bound to `address` (numeric), and to `address6` if there is one.

    See wire/base.py for the face.

    `receive` looks LOOKS times at the sockets: a stream that was held up empties its queue a few
    packets a batch, and no flood keeps the others waiting.
    """

    def __init__(
        self, address: str, addresses: Addresses, rows: int = BATCH_ROWS, address6: str = ""
    ) -> None:
        self.batch = Batch(rows)
        self._homes = [(_family(one), one) for one in (address, address6) if one]
        self._addresses = addresses
        self._epoll = select.epoll()
        self._doors: dict[int, _Door] = {}
        # By descriptor: the door's number, and what receives there. By door: what sends there.
        self._numbers = np.zeros(64, np.int64)
        self._receivers: list[Receive] = []
        self._senders: list[Send] = []
        whole = self.batch.data.reshape(-1).data
        width = self.batch.data.shape[1]
        self._views = [whole[at : at + width] for at in range(0, len(whole), width)]
        self._cuts = self._views.copy()  # the packets last sent out of the cells
        self._sizes: list[int] = []
        events = np.zeros(rows, _EVENT)
        self._ready = events["fd"]
        self._wait = partial(_libc.epoll_wait, self._epoll.fileno(), events.ctypes.data)

    def fileno(self) -> int:
        """Return what becomes readable when a packet has come."""
        return self._epoll.fileno()

    def open(self, row: int, port: int) -> None:
        opened: list[socket.socket] = []
        try:
            for number in (port, port + 1):
                for family, address in self._homes:
                    sock = socket.socket(family, socket.SOCK_DGRAM)
                    opened.append(sock)
                    sock.setblocking(False)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
                    sock.bind((address, number))
        except OSError:
            for sock in opened:
                sock.close()
            raise
        each = len(self._homes)
        self._add(_Door(2 * row, opened[:each]))
        self._add(_Door(2 * row + 1, opened[each:]))

    def reaches(self, address: str) -> bool:
        return _family(address) in [family for family, _ in self._homes]

    def _add(self, door: _Door) -> None:
        fds = [sock.fileno() for sock in door.sockets]
        while max(fds) >= len(self._receivers):
            self._receivers.append(_receive_nothing)
        if max(fds) >= len(self._numbers):
            self._numbers = np.resize(self._numbers, 2 * max(fds))
        while door.number >= len(self._senders):
            self._senders.append(_send_nothing)
        self._doors[door.number] = door
        self._numbers[fds] = door.number
        self._bind(door)
        for fd in fds:
            self._epoll.register(fd, select.EPOLLIN)

    def _bind(self, door: _Door) -> None:
        """Choose what sends by a door, and what receives: without names where the kernel vouches.

        What was queued before connect() may be foreign; most often nothing was.
        """
        self._senders[door.number] = door.socket.send if door.is_connected else door.send
        door.unvouched = _queued(door.socket)
        for sock in door.sockets:
            self._receivers[sock.fileno()] = partial(self._receive_named, door, sock)
        if door.is_connected and not door.unvouched:
            self._receivers[door.socket.fileno()] = door.socket.recv_into

    def close(self, row: int) -> None:
        for number in (2 * row, 2 * row + 1):
            if (door := self._doors.pop(number, None)) is not None:
                self._senders[number] = _send_nothing
                for sock in door.sockets:
                    self._receivers[sock.fileno()] = _receive_nothing
                    self._epoll.unregister(sock.fileno())
                    sock.close()

    def aim(self, door: int, remote: Remote | None, *, is_latched: bool) -> None:
        entry = self._doors[door]
        if entry.is_connected:
            # Python cannot name AF_UNSPEC to connect(); the socket stays bound to its own port.
            _libc.connect(entry.socket.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
            entry.is_connected = False
        entry.remote = remote
        if remote is not None:
            family = _family(remote[0])
            entry.socket = next((s for s in entry.sockets if s.family == family), entry.socket)
        if is_latched and remote is not None:
            with suppress(OSError):
                entry.socket.connect(remote)
                entry.is_connected = True
        self._bind(entry)

    def receive(self) -> int:
        batch, sizes = self.batch, self._sizes
        batch.senders.clear()
        sizes.clear()
        receivers, views, note = self._receivers, self._views, sizes.append
        count, room = 0, batch.room()
        for _ in range(LOOKS):
            # Not select.epoll: it makes a tuple of each event, and what comes here are columns.
            if not room or (ready := self._wait(room, 0)) <= 0:
                break
            fds, cells = self._ready[:ready], batch.take(ready)
            batch.cell[count : count + ready] = cells
            batch.door[count : count + ready] = self._numbers[fds]
            for fd, cell in zip(fds.tolist(), cells.tolist(), strict=True):
                try:
                    note(receivers[fd](views[cell]))
                except OSError:  # nothing there after all, or an ICMP error of a send
                    note(_NOTHING)
            count += ready
            room -= ready
        return self._fill() if count else 0

    def _fill(self) -> int:
        """Note how long each packet is and who sent it; return how many there are."""
        batch = self.batch
        sizes = np.array(self._sizes)
        count = len(sizes)
        if (sizes == _NOTHING).any():
            batch.give_back(batch.cell[:count][sizes == _NOTHING])
            kept = np.flatnonzero(sizes != _NOTHING)
            count, sizes = len(kept), sizes[kept]
            batch.cell[:count], batch.door[:count] = batch.cell[kept], batch.door[kept]
            places = {old: at for at, old in enumerate(kept.tolist())}
            batch.senders = {places[old]: one for old, one in batch.senders.items()}
        batch.size[batch.cell[:count]] = sizes
        batch.port[:count] = 0
        for at, (address, port) in batch.senders.items():
            batch.address[at] = self._addresses.number(address)
            batch.port[at] = port
        return count

    def _receive_named(self, door: _Door, sock: socket.socket, view: memoryview) -> int:
        """Receive one packet with its sender. Raises OSError when nothing is there."""
        size, sender = sock.recvfrom_into(view)
        self.batch.senders[len(self._sizes)] = sender[:2]
        if door.is_connected and sock is door.socket:
            door.unvouched -= 1
            if door.unvouched <= 0:
                self._receivers[sock.fileno()] = sock.recv_into
        return size

    def send(self, doors: NDArray[np.int64], cells: NDArray[np.int64]) -> int:
        unsent = 0
        senders, views, cuts = self._senders, self._views, self._cuts
        sizes = self.batch.size[cells].tolist()
        for door, cell, size in zip(doors.tolist(), cells.tolist(), sizes, strict=True):
            try:
                # To cut a view takes longer than to see that the last packet there was as long.
                if len(packet := cuts[cell]) != size:
                    packet = cuts[cell] = views[cell][:size]
                senders[door](packet)
            except OSError as fault:
                unsent += not self._sent_again(door, packet, fault)
        return unsent

    def _sent_again(self, door: int, packet: memoryview, fault: OSError) -> bool:
        """Send once more where the fault was an earlier packet's (ICMP port unreachable)."""
        if fault.errno != errno.ECONNREFUSED:
            return False
        try:
            self._senders[door](packet)
        except OSError:
            return False
        return True

    def shut(self) -> None:
        """Close everything."""
        for number in list(self._doors):
            if number % 2 == 0:
                self.close(number // 2)
        self._epoll.close()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _queued(sock: socket.socket) -> int:
    """Return how many packets wait in a socket, at most."""
    figures = struct.unpack_from("=I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
    return int(figures[0]) // _LEAST_PACKET_BYTES


def _receive_nothing(view: memoryview) -> int:
    return _NOTHING


def _send_nothing(packet: memoryview) -> None:
    pass
