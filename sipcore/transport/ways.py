"""Ways: which listening address a message leaves by, and how we name ourselves to its receiver.

What was found is kept until addresses or routes change.
"""

from collections.abc import Callable, Sequence

from sipcore.message.flow import Flow, Hop, host_port
from sipcore.message.uri import Uri
from sipcore.transport.base import Transport
from sipcore.transport.networks import WILDCARDS, Insiders, host_of, nearest, source_address
from sipcore.transport.order import Place
from sipcore.transport.resolve import Resolver, is_address

MOST_KEPT = 10_000


class Ways:
    """All listening addresses. `source` tells the address that the kernel would send from."""

    def __init__(
        self,
        resolver: Resolver,
        insiders: Insiders | None = None,
        source: Callable[[str], str | None] = source_address,
    ) -> None:
        self.resolver = resolver
        self._insiders = insiders or Insiders()
        self._source = source
        self._transports: dict[str, list[Transport]] = {}
        self._advertised: dict[tuple[str, str, int], str] = {}
        self._hops: dict[Place, Hop] = {}
        self._backs: dict[Flow, Hop] = {}
        self._owners: dict[tuple[str, str, int], Transport | None] = {}
        self._locals: dict[str, str] = {}
        self._at_once: dict[str, tuple[Hop]] = {}  # by URI
        self.within: dict[tuple[str, Flow], Hop] = {}  # of dialogs: by Contact and flow of the peer

    def add(self, transport: Transport, advertise: str | None) -> None:
        """Take a listening address in. `advertise` is the name that outsiders are told instead."""
        self._transports.setdefault(transport.name, []).append(transport)
        self.resolver.listens(transport.name, transport.address)
        if advertise:
            self._advertised[transport.name, transport.address, transport.port] = advertise
        self.forget()

    def forget(self) -> None:
        """Find all ways anew: an address or a route has changed."""
        for kept in (self._hops, self._backs, self._owners, self._locals):
            kept.clear()
        self._at_once.clear()
        self.within.clear()

    def close(self) -> None:
        """Close all transports."""
        for transport in self.transports():
            transport.close()
        self._transports = {}
        self.forget()
        self.resolver.close()

    def transports(self) -> list[Transport]:
        """Return every listening address."""
        return [one for of_name in self._transports.values() for one in of_name]

    async def hops_to(self, uri: Uri) -> list[Hop]:
        """Return the ways to a URI in the order to try them; none where its name leads nowhere."""
        hops = [self.hop_at(place) for place in await self.resolver.places(uri)]
        return [one for one in hops if one is not None]

    def hops_at_once(self, text: str) -> Sequence[Hop] | None:
        """Return the ways to a URI of an address: no name, no choice. None: ask hops_to."""
        hops = self._at_once.get(text)
        if hops is None:
            uri = Uri.parse(text)
            if uri.params or not is_address(uri.address):
                return None
            hop = self.hop_at_once(uri)
            if hop is None:
                return ()
            if len(self._at_once) >= MOST_KEPT:
                self._at_once.clear()
            hops = self._at_once[text] = (hop,)
        return hops

    def hop_at_once(self, uri: Uri) -> Hop | None:
        """Return the way to a URI that needs no look-up."""
        place = self.resolver.at_once(uri)
        return None if place is None else self.hop_at(place)

    def hop_at(self, place: Place) -> Hop | None:
        """Return the way to a place; None where we listen on nothing to send there by."""
        hop = self._hops.get(place)
        if hop is None:
            transport = self.transport_to(place)
            if transport is None:
                return None
            local = self._local_address(transport.address, place.address)
            to = (place.address, place.port)
            flow = Flow(place.transport, local, transport.port, *to, domain=place.domain)
            hop = Hop(flow, self._sent_by(flow))
            if len(self._hops) >= MOST_KEPT:
                self._hops.clear()
            self._hops[place] = hop
        return hop

    def hop_by(self, flow: Flow) -> Hop:
        """Return the way back along a flow."""
        hop = self._backs.get(flow)
        if hop is None:
            if len(self._backs) >= MOST_KEPT:
                self._backs.clear()
            hop = self._backs[flow] = Hop(flow, self._sent_by(flow))
        return hop

    def keep_within(self, contact: str, flow: Flow, hop: Hop) -> None:
        """Keep the way for requests within dialogs of a peer."""
        if len(self.within) >= MOST_KEPT:
            self.within.clear()
        self.within[contact, flow] = hop

    def owner_of(self, flow: Flow) -> Transport | None:
        """Return the listening address that a flow belongs to."""
        ours = (flow.transport, flow.local_address, flow.local_port)
        try:
            return self._owners[ours]
        except KeyError:
            if len(self._owners) >= MOST_KEPT:
                self._owners.clear()
            owner = self._owners[ours] = self._find_owner(flow)
            return owner

    def transport_to(self, place: Place) -> Transport | None:
        """Choose a listening address of the same family: the only one, or the one by which the
        kernel would reach the place."""
        is_v6 = ":" in place.address
        same = [
            one
            for one in self._transports.get(place.transport, ())
            if (":" in one.address) == is_v6
        ]
        if len(same) < 2:
            return same[0] if same else None
        source = self._source(place.address)
        return same[0] if source is None else nearest(same, source)

    def _local_address(self, listening: str, remote: str) -> str:
        """Return the address that a peer sees us at: where we listen on all, the kernel chooses."""
        if listening not in WILDCARDS:
            return listening
        local = self._locals.get(remote)
        if local is None:
            if len(self._locals) >= MOST_KEPT:
                self._locals.clear()
            local = self._locals[remote] = self._source(remote) or listening
        return local

    def _sent_by(self, flow: Flow) -> str:
        one = self.owner_of(flow)
        local = self._local_address(flow.local_address, flow.remote_address)
        if one is None:
            return host_port(local, flow.local_port)
        advertised = self._advertised.get((one.name, one.address, one.port))
        if advertised is None or self._insiders.has(flow.remote_address, advertised):
            return host_port(local, one.port)
        host = host_of(advertised)
        return host_port(host, one.port) if advertised in (host, f"[{host}]") else advertised

    def _find_owner(self, flow: Flow) -> Transport | None:
        """A connection that we opened has a port of its own: then any port of the same address."""
        is_v6 = ":" in flow.local_address
        found = None
        for one in self._transports.get(flow.transport, ()):
            if one.address == flow.local_address or (
                one.address in WILDCARDS and (":" in one.address) == is_v6
            ):
                if one.port == flow.local_port:
                    return one
                found = found or one
        return found
