"""sendmmsg and recvmmsg (sendmmsg(2), recvmmsg(2)) over rows that exist. 64-bit Linux only."""

import ctypes
import errno
import os
import socket
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.rtp_check import PACKET_BYTES, ROW_BYTES, START, Ints, Packets

SO_TIMESTAMPNS = 35  # socket(7); no name in Python 3.11
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8  # its ninth word (linux/sock_diag.h)
_MSG_DONTWAIT = socket.MSG_DONTWAIT
_CONTROL_BYTES = 32  # one cmsghdr and a timespec
_MSGHDR = np.dtype(
    [
        ("name", "u8"), ("name_bytes", "u8"), ("vector", "u8"), ("vector_count", "u8"),
        ("control", "u8"), ("control_bytes", "u8"), ("flags", "u8"), ("bytes", "u8"),
    ]
)  # fmt: skip
_VECTOR = np.dtype([("base", "u8"), ("bytes", "u8")])
_libc = ctypes.CDLL(None, use_errno=True)
_libc.sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
_libc.recvmmsg.argtypes = [*_libc.sendmmsg.argtypes, ctypes.c_void_p]


class Messages:
    """Packets with an address each: `ports` (rows,) >u2 of their remotes."""

    def __init__(self, rows: int, *, is_stamped: bool) -> None:
        """`is_stamped`: room for the kernel's time of arrival, for receiving."""
        self.packets = Packets(rows)
        self._names: NDArray[np.uint8] = np.zeros((rows, 16), np.uint8)
        self._names[:, :2].view(np.uint16)[:, 0] = socket.AF_INET
        self.ports = self._names[:, 2:4].view(">u2")[:, 0]
        self._vectors = np.zeros(rows, _VECTOR)
        self._vectors["base"] = self.packets.address()
        self._vectors["bytes"] = ROW_BYTES - START if is_stamped else PACKET_BYTES
        self._controls: Ints = np.zeros((rows, _CONTROL_BYTES // 8), np.int64)
        self._headers = np.zeros(rows, _MSGHDR)
        self._headers["name"] = _addresses(self._names)
        self._headers["vector"] = _addresses(self._vectors)
        self._headers["vector_count"] = 1
        self._headers["control"] = _addresses(self._controls) if is_stamped else 0
        self._control_bytes = _CONTROL_BYTES if is_stamped else 0
        self._base = self._headers.ctypes.data
        self.reset(rows)

    def __len__(self) -> int:
        return len(self._headers)

    def address_to(self, rows: slice, address: str, ports: Sequence[int]) -> None:
        """Address rows to ports of a numeric IPv4 address."""
        self._names[rows, 4:8] = np.frombuffer(socket.inet_aton(address), np.uint8)
        self.ports[rows] = ports

    def send(self, sock: socket.socket, rows: range) -> int:
        """Send rows; return how many went."""
        done = _libc.sendmmsg(sock.fileno(), self._at(rows), len(rows), _MSG_DONTWAIT)
        return _count(done)

    def receive(self, sock: socket.socket, rows: range) -> int:
        """Fill the front of `rows` with what has come; return how many."""
        done = _libc.recvmmsg(sock.fileno(), self._at(rows), len(rows), _MSG_DONTWAIT, None)
        return _count(done)

    def sizes(self, count: int) -> Ints:
        """Return the sizes of the first `count` packets received."""
        found: Ints = self._headers["bytes"][:count].astype(np.int64)
        return found

    def arrived_ns(self, count: int) -> Ints:
        """Return when the first `count` came: the kernel's time of day, in ns."""
        stamps: Ints = self._controls[:count, 2] * 1_000_000_000 + self._controls[:count, 3]
        return stamps

    def reset(self, count: int) -> None:
        """Make the first `count` rows ready for receiving again."""
        self._headers["name_bytes"][:count] = 16
        self._headers["control_bytes"][:count] = self._control_bytes
        self._headers["bytes"][:count] = 0

    def _at(self, rows: range) -> int:
        return self._base + rows.start * _MSGHDR.itemsize


def open_socket(address: str, buffer_bytes: int) -> socket.socket:
    """Open a UDP socket at a free port, with a large buffer and stamps of arrival."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    opened.bind((address, 0))
    return opened


def drops(sock: socket.socket) -> int:
    """Return how many packets the kernel has thrown away because nobody read the socket."""
    words = np.frombuffer(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64), np.uint32)
    return int(words[_MEMINFO_DROPS])


def _addresses(rows: NDArray[np.generic]) -> Ints:
    """Return where in memory each row of an array begins."""
    found: Ints = np.arange(len(rows)) * rows.strides[0] + rows.ctypes.data
    return found


def _count(done: int) -> int:
    """Return how many messages a call moved. Raises OSError for what is not a full buffer."""
    if done >= 0:
        return done
    number = ctypes.get_errno()
    if number in (errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED):
        return 0
    raise OSError(number, os.strerror(number))
