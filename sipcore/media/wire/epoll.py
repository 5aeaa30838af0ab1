"""The wire that works everywhere: epoll, one UDP socket a door, one system call a packet.

The only loops over packets in the media plane are here; what they call was bound beforehand.
"""

import ctypes
import errno
import platform
import select
import socket
import struct
from collections.abc import Callable
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
    """A socket, and what is known of its remote."""

    __slots__ = ("is_connected", "number", "remote", "socket", "unvouched")

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.socket = sock
        self.remote: Remote | None = None
        self.is_connected = False
        self.unvouched = 0  # packets that may have been queued before it was connected

    def send(self, packet: memoryview) -> None:
        if self.remote is not None:
            self.socket.sendto(packet, self.remote)


class EpollWire:
    """Sockets bound to `address` (numeric). See wire/base.py for the face.

    `receive` looks LOOKS times at the sockets: a stream that was held up empties its queue a few
    packets a batch, and no flood keeps the others waiting.
    """

    def __init__(self, address: str, addresses: Addresses, rows: int = BATCH_ROWS) -> None:
        self.batch = Batch(rows)
        self._address = address
        self._addresses = addresses
        self.is_ipv6 = ":" in address
        self._family = socket.AF_INET6 if self.is_ipv6 else socket.AF_INET
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
        pair: list[socket.socket] = []
        try:
            for number in (port, port + 1):
                sock = socket.socket(self._family, socket.SOCK_DGRAM)
                pair.append(sock)
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
                sock.bind((self._address, number))
        except OSError:
            for sock in pair:
                sock.close()
            raise
        for channel, sock in enumerate(pair):
            self._add(_Door(2 * row + channel, sock))

    def _add(self, door: _Door) -> None:
        fd = door.socket.fileno()
        while fd >= len(self._receivers):
            self._receivers.append(_receive_nothing)
        if fd >= len(self._numbers):
            self._numbers = np.resize(self._numbers, 2 * fd)
        while door.number >= len(self._senders):
            self._senders.append(_send_nothing)
        self._doors[door.number] = door
        self._numbers[fd] = door.number
        self._bind(door)
        self._epoll.register(fd, select.EPOLLIN)

    def _bind(self, door: _Door) -> None:
        """Choose what sends by a door, and what receives: without names where the kernel vouches.

        What was queued before connect() may be foreign; most often nothing was.
        """
        fd = door.socket.fileno()
        self._senders[door.number] = door.socket.send if door.is_connected else door.send
        door.unvouched = _queued(door.socket)
        if door.is_connected and not door.unvouched:
            self._receivers[fd] = door.socket.recv_into
        else:
            self._receivers[fd] = lambda view: self._receive_named(door, view)

    def close(self, row: int) -> None:
        for number in (2 * row, 2 * row + 1):
            if (door := self._doors.pop(number, None)) is not None:
                fd = door.socket.fileno()
                self._senders[number] = _send_nothing
                self._receivers[fd] = _receive_nothing
                self._epoll.unregister(fd)
                door.socket.close()

    def aim(self, door: int, remote: Remote | None, *, is_latched: bool) -> None:
        entry = self._doors[door]
        if entry.is_connected:
            # Python cannot name AF_UNSPEC to connect(); the socket stays bound to its own port.
            _libc.connect(entry.socket.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
            entry.is_connected = False
        entry.remote = remote
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

    def _receive_named(self, door: _Door, view: memoryview) -> int:
        """Receive one packet with its sender. Raises OSError when nothing is there."""
        size, sender = door.socket.recvfrom_into(view)
        self.batch.senders[len(self._sizes)] = sender[:2]
        if door.is_connected:
            door.unvouched -= 1
            if door.unvouched <= 0:
                self._receivers[door.socket.fileno()] = door.socket.recv_into
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


def _queued(sock: socket.socket) -> int:
    """Return how many packets wait in a socket, at most."""
    figures = struct.unpack_from("=I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
    return int(figures[0]) // _LEAST_PACKET_BYTES


def _receive_nothing(view: memoryview) -> int:
    return _NOTHING


def _send_nothing(packet: memoryview) -> None:
    pass
