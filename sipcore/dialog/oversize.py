"""Requests too large for a datagram (RFC 3261 18.1.1): made smaller; if that is not enough, sent
over TCP where that works, for this one request; if TCP fails, over UDP after all, in fragments.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from sipcore.message.flow import Flow, Hop
from sipcore.message.shrink import shrink

if TYPE_CHECKING:
    from sipcore.dialog.transaction import Transaction

LARGE: Final = 1300  # bytes
DETOUR_S: Final = 2.0  # without any response over TCP


class Detours(Protocol):
    """Who knows which peers take TCP."""

    def of(self, flow: Flow) -> Hop | None:
        """Return a way over TCP to where a UDP flow leads, None where there is none to try."""
        ...

    def failed(self, hop: Hop) -> None:
        """Take note that nothing came back."""
        ...


class Detour(Struct):
    """Where a transaction would be if its request were smaller: the flow, Via and bytes for it."""

    flow: Flow
    via: str
    data: bytes
    failed: Callable[[], None]


class Oversize:
    """The rule for large requests. `counts`: what became of them."""

    def __init__(self) -> None:
        self.detours: Detours | None = None
        self.counts = {"shrunk": 0, "tcp": 0, "fragmented": 0}

    def fit(self, transaction: "Transaction") -> None:
        """Make a request fit that is about to go as a datagram."""
        data = transaction.kept = shrink(transaction.request, LARGE)
        if len(data) <= LARGE:
            self.counts["shrunk"] += 1
            return
        detours = self.detours
        hop = None if detours is None else detours.of(transaction.flow)
        if detours is None or hop is None:
            self.counts["fragmented"] += 1
            return
        self.counts["tcp"] += 1
        request, via = transaction.request, transaction.request.headers["Via"][0]
        transaction.detour = Detour(transaction.flow, via, data, lambda: self._failed(hop))
        request.headers["Via"] = [hop.via(transaction.key[0])]
        transaction.flow, transaction.kept = hop.flow, request.to_bytes()

    def _failed(self, hop: Hop) -> None:
        self.counts["fragmented"] += 1
        if self.detours is not None:
            self.detours.failed(hop)


def come_back(transaction: "Transaction") -> None:
    """Go on over UDP: same branch, so that the peer knows what it may have got over TCP."""
    detour = transaction.detour
    assert detour is not None
    transaction.detour = None
    if transaction.retry is not None:
        transaction.retry.cancel()
        transaction.retry = None
    transaction.flow, transaction.kept = detour.flow, detour.data
    transaction.request.headers["Via"] = [detour.via]
    detour.failed()
