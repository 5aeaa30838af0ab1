"""Ports that no other test on this machine has: a block of them, below those of the kernel.

On an address of this process's own, so that what others do on 127.0.0.1 is no matter.
"""

import os
import socket
from itertools import count as count_from
from itertools import islice

_PID = os.getpid()
HOST = (
    f"127.{1 + (_PID >> 16) % 250}.{_PID >> 8 & 255}.{_PID & 255}"  # all of 127/8 is this machine
)
NEXT_DOOR = f"127.252.{_PID >> 8 & 255}.{_PID & 255}"  # for who must not be taken for others there
FIRST, LAST, SIZE = 12_000, 32_000, 600  # ephemeral ports begin at 32,768 on Linux

_TURNS = count_from(_PID)


class Ports:
    """A block of ports. The first one stays bound by this process: that is the lease. All blocks
    are of one size, so that none overlaps another one's whose ports are not bound yet."""

    def __init__(self, host: str = HOST) -> None:
        count = (LAST - FIRST) // SIZE
        for turn in islice(_TURNS, count):  # not the block before: somebody may still write there
            first = FIRST + turn % count * SIZE
            lease = bound(host, first, socket.SOCK_STREAM)
            if lease is None:
                continue
            lease.listen()  # else others could bind it, too
            if all(is_free(host, port) for port in range(first + 1, first + SIZE)):
                break
            lease.close()
        else:
            raise RuntimeError(f"no block of {SIZE} free ports between {FIRST} and {LAST}")
        self._lease = lease
        self._next = first + 1
        self._end = first + SIZE

    def take(self, count: int = 1) -> int:
        """Return the first of so many ports in a row."""
        port = self._next
        self._next += count
        if self._next > self._end:
            raise RuntimeError("the test takes more ports than its block has")
        return port

    def close(self) -> None:
        """Give the block back."""
        self._lease.close()


def bound(host: str, port: int, kind: int) -> socket.socket | None:
    """Return a socket that has the port; None where another one has it."""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:  # connections that are over do not count
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError:
        opened.close()
        return None
    return opened


def is_free(host: str, port: int) -> bool:
    """Tell whether nobody has the port, for UDP and TCP."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        opened = bound(host, port, kind)
        if opened is None:
            return False
        opened.close()
    return True


def accepts(host: str, port: int) -> bool:
    """Tell whether somebody takes connections there. To be bound is not enough for that."""
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return False
    return True


def is_taken(port: int) -> bool:
    """Tell whether somebody receives datagrams there."""
    opened = bound(HOST, port, socket.SOCK_DGRAM)
    if opened is None:
        return True
    opened.close()
    return False
