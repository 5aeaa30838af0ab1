"""UDP sockets on loopback, and what listens at them."""

import asyncio
import socket
from collections.abc import Sequence

from sipcore.message.flow import Flow
from sipcore.transport.udp import UdpTransport

BUFFER_BYTES = 1 << 20


def bound(address: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES
    )  # a burst is to be lost nowhere
    sock.bind((address, 0))
    return sock


class Peer:
    """A UdpTransport that keeps what comes."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.heard: asyncio.Queue[tuple[bytes, Flow]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self.transport = UdpTransport(loop, bound(address), self._hear)

    def _hear(self, batch: Sequence[tuple[bytes, Flow]]) -> None:
        for one in batch:
            self.heard.put_nowait(one)

    def to(self, other: "Peer") -> Flow:
        mine, theirs = self.transport, other.transport
        return Flow("udp", mine.address, mine.port, theirs.address, theirs.port)
