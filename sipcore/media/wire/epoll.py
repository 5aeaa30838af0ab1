"""The wire that works everywhere: epoll, one UDP socket a door, one system call a packet.

The only loops over packets in the media plane are here.
"""

import ctypes
import errno
import select
import socket
import struct
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from sipcore.media.wire.base import BATCH_ROWS, Addresses, Batch, Remote

SOCKET_BYTES = 1 << 20
# Looks at the sockets in one `receive`: a stream that was held up empties its queue a few packets
# a batch, and no flood keeps the others waiting.
LOOKS = 4
_UNSPECIFIED = struct.pack("=H14x", socket.AF_UNSPEC)
_libc = ctypes.CDLL(None, use_errno=True)


class _Door:
    __slots__ = ("is_connected", "is_vouched", "number", "remote", "socket")

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.socket = sock
        self.remote: Remote | None = None
        self.is_connected = False
        self.is_vouched = False  # connected, and its queue was seen empty since


class EpollWire:
    """Sockets bound to `address` (numeric). See wire/base.py for the face."""

    def __init__(self, address: str, addresses: Addresses, rows: int = BATCH_ROWS) -> None:
        self.batch = Batch(rows)
        self._address = address
        self._addresses = addresses
        self.is_ipv6 = ":" in address
        self._family = socket.AF_INET6 if self.is_ipv6 else socket.AF_INET
        self._epoll = select.epoll()
        self._by_number: dict[int, _Door] = {}
        self._by_socket: dict[int, _Door] = {}
        self._rows = [memoryview(row) for row in self.batch.data]
        self._door_list = [0] * rows
        self._size_list = [0] * rows

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
            door = _Door(2 * row + channel, sock)
            self._by_number[door.number] = door
            self._by_socket[sock.fileno()] = door
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def close(self, row: int) -> None:
        for number in (2 * row, 2 * row + 1):
            if (door := self._by_number.pop(number, None)) is not None:
                del self._by_socket[door.socket.fileno()]
                self._epoll.unregister(door.socket.fileno())
                door.socket.close()

    def aim(self, door: int, remote: Remote | None, *, is_latched: bool) -> None:
        entry = self._by_number[door]
        if entry.is_connected:
            # Python cannot name AF_UNSPEC to connect(); the socket stays bound to its own port.
            _libc.connect(entry.socket.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
            entry.is_connected = entry.is_vouched = False
        entry.remote = remote
        if is_latched and remote is not None:
            with suppress(OSError):
                entry.socket.connect(remote)
                entry.is_connected = True

    def receive(self) -> int:
        batch, doors, sizes = self.batch, self._door_list, self._size_list
        batch.senders.clear()
        by_socket, rows = self._by_socket, self._rows
        count, room = 0, len(rows)
        for _ in range(LOOKS):
            ready = self._epoll.poll(0, room - count)
            for fd, _event in ready:
                door = by_socket[fd]
                if door.is_vouched:
                    try:
                        sizes[count] = door.socket.recv_into(rows[count])
                    except OSError:  # nothing there after all, or an ICMP error of a send
                        continue
                    doors[count] = door.number
                    count += 1
                else:
                    count += self._receive_named(door, count)
            if not ready or count == room:
                break
        batch.door[:count] = doors[:count]
        batch.size[:count] = sizes[:count]
        batch.port[:count] = 0
        for at, (address, port) in batch.senders.items():
            batch.address[at] = self._addresses.number(address)
            batch.port[at] = port
        return count

    def _receive_named(self, door: _Door, at: int) -> int:
        """Receive one packet with its sender; return 1, or 0 when nothing is there.

        What was queued before connect() may be foreign. Once the queue is seen empty the kernel
        vouches for the rest.
        """
        try:
            size, sender = door.socket.recvfrom_into(self._rows[at])
        except OSError:
            return 0
        self._door_list[at] = door.number
        self._size_list[at] = size
        self.batch.senders[at] = sender[:2]
        if door.is_connected:
            try:
                door.socket.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                door.is_vouched = True
            except OSError:
                pass
        return 1

    def send(
        self, doors: NDArray[np.int64], picks: NDArray[np.int64], sizes: NDArray[np.int64]
    ) -> int:
        unsent = 0
        by_number, rows = self._by_number, self._rows
        for number, pick, size in zip(doors.tolist(), picks.tolist(), sizes.tolist(), strict=True):
            door = by_number[number]
            try:
                if door.is_connected:
                    door.socket.send(rows[pick][:size])
                elif door.remote is not None:
                    door.socket.sendto(rows[pick][:size], door.remote)
            except OSError as fault:
                unsent += not self._sent_again(door, pick, size, fault)
        return unsent

    def _sent_again(self, door: _Door, pick: int, size: int, fault: OSError) -> bool:
        """Send once more where the fault was an earlier packet's (ICMP port unreachable)."""
        if fault.errno != errno.ECONNREFUSED:
            return False
        try:
            door.socket.send(self._rows[pick][:size])
        except OSError:
            return False
        return True

    def shut(self) -> None:
        """Close everything."""
        for number in list(self._by_number):
            if number % 2 == 0:
                self.close(number // 2)
        self._epoll.close()
