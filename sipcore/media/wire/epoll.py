"""The wire that works everywhere: epoll, one UDP socket a door, one system call a packet.

The only loops over packets in the media plane are here; what they call was bound beforehand.
"""

import ctypes
import errno
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from sipcore.media.wire.base import BATCH_ROWS, LOOKS, Addresses, Batch, Remote

SOCKET_BYTES = 1 << 20
_UNSPECIFIED = struct.pack("=H14x", socket.AF_UNSPEC)
_NOTHING = -1  # the size of a packet that was not there after all
_libc = ctypes.CDLL(None, use_errno=True)

Receive = Callable[[memoryview], int]
Send = Callable[[memoryview], object]


class _Door:
    """A socket, and what is known of its remote."""

    __slots__ = ("is_connected", "number", "remote", "socket")

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.socket = sock
        self.remote: Remote | None = None
        self.is_connected = False

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
        self._numbers: list[int] = []
        self._receivers: list[Receive] = []
        self._senders: list[Send] = []
        whole = self.batch.data.reshape(-1).data
        width = self.batch.data.shape[1]
        self._views = [whole[at : at + width] for at in range(0, len(whole), width)]
        self._sizes: list[int] = []

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
        while fd >= len(self._numbers):
            self._numbers.append(0)
            self._receivers.append(_receive_nothing)
        while door.number >= len(self._senders):
            self._senders.append(_send_nothing)
        self._doors[door.number] = door
        self._numbers[fd] = door.number
        self._bind(door)
        self._epoll.register(fd, select.EPOLLIN)

    def _bind(self, door: _Door) -> None:
        """Choose what sends by a door and, as nobody vouches for it yet, names who it hears."""
        self._senders[door.number] = door.socket.send if door.is_connected else door.send
        self._receivers[door.socket.fileno()] = lambda view: self._receive_named(door, view)

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
        fds: list[int] = []
        cells: list[int] = []
        room = batch.room()
        for _ in range(LOOKS):
            if not room or not (ready := self._epoll.poll(0, room)):
                break
            some = batch.free[-len(ready) :]
            del batch.free[-len(ready) :]
            for (fd, _event), cell in zip(ready, some, strict=True):
                try:
                    note(receivers[fd](views[cell]))
                except OSError:  # nothing there after all, or an ICMP error of a send
                    note(_NOTHING)
            fds += [fd for fd, _event in ready]
            cells += some
            room -= len(ready)
        return self._fill(fds, cells) if fds else 0

    def _fill(self, fds: list[int], cells: list[int]) -> int:
        """Put what came into the batch's columns; return how many packets there are."""
        batch, sizes, numbers = self.batch, self._sizes, self._numbers
        if min(sizes) == _NOTHING:
            batch.free += [c for c, size in zip(cells, sizes, strict=True) if size == _NOTHING]
            kept = [at for at, size in enumerate(sizes) if size != _NOTHING]
            batch.senders = {
                at: batch.senders[old] for at, old in enumerate(kept) if old in batch.senders
            }
            fds, cells, sizes = ([one[at] for at in kept] for one in (fds, cells, sizes))
        count = len(fds)
        batch.cell[:count] = cells
        batch.door[:count] = [numbers[fd] for fd in fds]
        batch.size[batch.cell[:count]] = sizes
        batch.port[:count] = 0
        for at, (address, port) in batch.senders.items():
            batch.address[at] = self._addresses.number(address)
            batch.port[at] = port
        return count

    def _receive_named(self, door: _Door, view: memoryview) -> int:
        """Receive one packet with its sender. Raises OSError when nothing is there.

        What was queued before connect() may be foreign. Once the queue is seen empty the kernel
        vouches for the rest.
        """
        size, sender = door.socket.recvfrom_into(view)
        self.batch.senders[len(self._sizes)] = sender[:2]
        if door.is_connected:
            try:
                door.socket.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                self._receivers[door.socket.fileno()] = door.socket.recv_into
            except OSError:
                pass
        return size

    def send(self, doors: NDArray[np.int64], cells: NDArray[np.int64]) -> int:
        unsent = 0
        senders, views = self._senders, self._views
        sizes = self.batch.size[cells].tolist()
        for door, cell, size in zip(doors.tolist(), cells.tolist(), sizes, strict=True):
            try:
                senders[door](views[cell][:size])
            except OSError as fault:
                unsent += not self._sent_again(door, views[cell][:size], fault)
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


def _receive_nothing(view: memoryview) -> int:
    return _NOTHING


def _send_nothing(packet: memoryview) -> None:
    pass
