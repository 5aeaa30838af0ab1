"""Notices that this machine's addresses or routes have changed: the kernel tells (rtnetlink(7)).

What changed is not read: whoever is told looks anew.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

from sipcore.log import logger

SETTLE_S = 1.0  # changes come in bursts
MOST_AT_ONCE = 256
MESSAGE_BYTES = 65536
_IPV4 = 0x10 | 0x40  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE
_IPV6 = 0x100 | 0x400  # RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE

_log = logger(__name__)


def open_routes() -> socket.socket | None:
    """Open a socket that hears of changes; None where the kernel has none for us."""
    sock = None
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        sock.bind((0, _IPV4 | _IPV6))
    except OSError as fault:
        _log.warning("changes of addresses are not noticed: %s", fault)
        if sock is not None:
            sock.close()
        return None
    return sock


class Routes:
    """Calls `changed` a second after something changed. Takes the socket over."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        changed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._changed = changed
        self._settling: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        loop.add_reader(sock, self._readable)

    def close(self) -> None:
        """Listen no more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._settling is not None:
            self._settling.cancel()

    def _readable(self) -> None:
        """Take what has come. Too much of it for the socket (ENOBUFS) is a change, too."""
        for _ in range(MOST_AT_ONCE):
            try:
                self._socket.recv(MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError as fault:
                if fault.errno != errno.ENOBUFS:
                    _log.warning("changes of addresses are not noticed: %s", fault)
                    self._loop.remove_reader(self._socket)
                break
        if self._settling is None:
            self._settling = self._loop.call_later(SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._settling = None
        _log.info("addresses or routes changed")
        self._changed()
