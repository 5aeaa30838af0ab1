"""Which peers get requests over TCP that are too large for UDP (RFC 3261 18.1.1).

auto: those that have taken a connection before; tcp: the peer says that it does; udp: never.
"""

from collections.abc import Callable

from sipcore.message.flow import Flow, Hop, OverMtu
from sipcore.transport.order import Place
from sipcore.transport.stream import StreamTransport
from sipcore.transport.ways import Ways

MOST_PEERS = 10_000


class TcpDetours:
    """The knowledge of one node. A peer whose TCP failed of late is left alone (avoid.py)."""

    def __init__(self, ways: Ways, now: Callable[[], float]) -> None:
        self._ways = ways
        self._now = now
        self._policies: dict[tuple[str, int], OverMtu] = {}

    def set(self, hop: Hop, policy: OverMtu) -> None:
        """Take a peer's own rule, for the place of one of its ways."""
        place = (hop.flow.remote_address, hop.flow.remote_port)
        if policy == "auto":
            self._policies.pop(place, None)
        elif place in self._policies or len(self._policies) < MOST_PEERS:
            self._policies[place] = policy

    def of(self, flow: Flow) -> Hop | None:
        """Return a way over TCP to where a UDP flow leads, None where there is none to try."""
        place = Place("tcp", flow.remote_address, flow.remote_port)
        policy = self._policies.get((place.address, place.port), "auto")
        if policy == "udp" or self._ways.resolver.avoided.is_avoided(place, self._now()):
            return None
        if policy == "auto" and not self._answers(place):
            return None
        return self._ways.hop_at(place)

    def failed(self, hop: Hop) -> None:
        """Take note that nothing came back."""
        flow = hop.flow
        self._ways.resolver.failed(Place("tcp", flow.remote_address, flow.remote_port))

    def _answers(self, place: Place) -> bool:
        transport = self._ways.transport_to(place)
        return isinstance(transport, StreamTransport) and transport.has_reached(
            place.address, place.port
        )
