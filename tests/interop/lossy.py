"""A path between a peer and the node that loses one message, once."""

import re
import select
import socket
import threading

from msgspec import Struct

from tests.interop.ports import HOST, Ports

_CSEQ = re.compile(rb"^CSeq:\s*(\d+)\s+(\w+)", re.MULTILINE)
LOOK_S = 0.1


class Loss(Struct, frozen=True):
    """The message to lose: by its name (as CSEQ_METHOD or STATUS to CSEQ_METHOD), on which way."""

    name: str
    to_node: bool


def name_of(datagram: bytes) -> str:
    """Return "2 INVITE" for a request, "180 to 2 INVITE" for a response."""
    found = _CSEQ.search(datagram)
    assert found is not None, datagram
    number, method = found[1].decode(), found[2].decode()
    if datagram.startswith(b"SIP/2.0 "):
        return f"{datagram[8:11].decode()} to {number} {method}"
    return f"{number} {method}"


class LossyPath:
    """Two sockets: `peer_side` is what the peer sends to, `node_side` what the node sends to."""

    def __init__(self, ports: Ports, node: int, peer: int, node_side: int | None = None) -> None:
        self.peer_side = ports.take()
        self.node_side = node_side or ports.take()
        self.passed: list[str] = []
        self.lost = 0
        self._loss: Loss | None = None
        self.peer = peer
        self._node, self._peer = (HOST, node), (HOST, peer)
        self._sockets = [bound(self.peer_side), bound(self.node_side)]
        self._is_over = False
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def lose(self, loss: Loss) -> None:
        """Lose the first message of this kind."""
        self._loss = loss

    def __enter__(self) -> "LossyPath":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join()
        for one in self._sockets:
            one.close()

    def _carry(self) -> None:
        from_peer, from_node = self._sockets
        while not self._is_over:
            for ready in select.select(self._sockets, [], [], LOOK_S)[0]:
                datagram = ready.recv(65536)
                to_node = ready is from_peer
                if self._is_lost(datagram, to_node):
                    continue
                if to_node:
                    from_node.sendto(datagram, self._node)
                else:
                    from_peer.sendto(datagram, self._peer)

    def _is_lost(self, datagram: bytes, to_node: bool) -> bool:
        name = name_of(datagram)
        if self._loss == Loss(name, to_node):
            self._loss = None
            self.lost += 1
            return True
        self.passed.append(name)
        return False


def bound(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((HOST, port))
    return opened
