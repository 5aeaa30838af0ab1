"""The b_leg's INVITE: where a target is, and what it is told. Topology is hidden by construction:
nothing of the caller's request passes but what is written here."""

from typing import Protocol

from msgspec import Struct

from sipcore.call.desk import Desk, Reach
from sipcore.call.draft import Draft
from sipcore.call.dress import dress, is_plain
from sipcore.call.leg import ALLOW, ALLOW_CARRIERS, SDP
from sipcore.call.wish import with_number
from sipcore.message.address import Address
from sipcore.message.diversion import diversion, history
from sipcore.message.flow import Hop
from sipcore.message.message import Headers, Request
from sipcore.message.uri import Uri
from sipcore.message.values import quote
from sipcore.policy.attempt import (
    CarrierTarget,
    ExtensionTarget,
    Permit,
    Source,
    Target,
    TrunkTarget,
)
from sipcore.policy.book import Book, Carrier, Peer, Trunk
from sipcore.store.bindings import BindingKey

ANONYMOUS = Uri(user="anonymous", host="anonymous.invalid")  # RFC 3323 4.1.1.3


class Inviter(Protocol):
    """Who sends an INVITE: what it needs to know of a call."""

    desk: Desk
    book: Book
    draft: Draft
    max_forwards: int

    @property
    def diverted(self) -> str | None:
        """Why it was sent on, in Diversion's words; None for a call that is where it was sent."""
        ...

    @property
    def referrer(self) -> Source | None:
        """Who has transferred somebody to it, and says so (RFC 3892)."""
        ...


MOST_PLACES = 4  # of one peer in one call: each may cost seconds of silence


class Way(Struct, frozen=True, gc=False):
    """One place that a target stands for. `caller`: its number as this target is told it.

    `route` and `contact` belong to one that has registered: its path (RFC 3327), its binding.
    `others` are the peer's next places, for when this one fails (RFC 3263 4.3). `peer`: the carrier
    or trunk that it leads to.
    """

    who: str
    uri: str
    hop: Hop
    caller: str
    route: tuple[str, ...] = ()
    contact: BindingKey | None = None
    others: tuple[Hop, ...] = ()
    peer: Peer | None = None


async def ways_to(call: Inviter, target: Target) -> list[Way]:
    """Return every place to ring for a target; none where nobody is registered."""
    book, contacts = call.book, call.desk.contacts
    if isinstance(target, CarrierTarget):
        return await _by_uri(call, book.carriers[target.id], target)
    if isinstance(target, ExtensionTarget):
        found = contacts.ways_to(target.customer, target.number)
        shown = call.draft.caller_shown
        return [Way(target.number, one.uri, one.hop, shown, one.route, one.key) for one in found]
    trunk = book.trunks[target.id]
    found = contacts.ways_to(trunk.customer, trunk.user) if trunk.user else []
    if found:
        return [_bulk(trunk, one, target) for one in found]
    return [] if trunk.uri is None else await _by_uri(call, trunk, target)


async def _by_uri(call: Inviter, peer: Peer, target: CarrierTarget | TrunkTarget) -> list[Way]:
    """Return the way to a peer's URI, by the route that it has given us with a registration."""
    assert peer.uri is not None
    uri = with_user(Uri.parse(peer.uri), target.number)
    route: tuple[str, ...] = ()
    if isinstance(peer, Carrier) and peer.registration is not None:
        route = call.desk.trunks.registrations.service_route(peer.id)
    endpoint = call.desk.endpoint
    hops = await endpoint.hops_to(Uri.parse(route[0]) if route else uri)
    if not hops:
        return []
    call.desk.trunks.expect(hops)
    for hop in hops:
        endpoint.detours.set(hop, peer.over_mtu)
    others = tuple(hops[1:MOST_PLACES])
    told = tuple(f"<{one}>" for one in route)
    return [Way(peer.id, str(uri), hops[0], target.caller, told, others=others, peer=peer)]


def _bulk(trunk: Trunk, reach: Reach, target: TrunkTarget) -> Way:
    """Put the number into the contact of a PBX that has registered (RFC 6140 5.3)."""
    uri = str(with_number(Uri.parse(reach.uri), target.number))
    return Way(trunk.id, uri, reach.hop, target.caller, reach.route, reach.key, peer=trunk)


def with_user(uri: Uri, user: str) -> Uri:
    """Put a number in front of a peer's address."""
    return Uri(uri.scheme, user, None, uri.host, uri.port, uri.params)


def invite(call: Inviter, permit: Permit, way: Way, offer: bytes) -> Request:
    """Build the INVITE for one way. `offer` is the SDP."""
    ids, hop, settings = call.desk.ids, way.hop, call.desk.settings
    name = f"{quote(permit.caller_name)} " if permit.caller_name else ""
    name = name if way.caller else '"Anonymous" '
    host = hop.sent_by.rpartition(":")[0]
    shown = Uri(user=way.caller, host=host) if way.caller else ANONYMOUS
    called = Uri.parse(way.uri)
    line = f"{name}<{shown}>"
    headers: Headers = {
        "Via": [],
        "Max-Forwards": [str(call.max_forwards - 1)],
        "From": [f"{line};tag={ids.token()}"],
        "To": [_to(way.uri, called)],
        "Call-ID": [ids.token(32)],
        "CSeq": ["1 INVITE"],
        "Contact": [hop.contact(scheme=called.scheme)],
        "Allow": [ALLOW_CARRIERS if isinstance(way.peer, Carrier) else ALLOW],
        **(settings.told_carriers if isinstance(way.peer, Carrier) else settings.told_callees),
    }
    if way.route:
        headers["Route"] = list(way.route)
    if way.caller:
        headers["P-Asserted-Identity"] = [line]
    offer = call.desk.media.facing(offer, hop.flow.remote_address)
    if call.diverted is not None and way.peer is not None:
        headers |= _forwarded(way.peer, call.diverted, shown, called)
    if call.referrer is not None and way.peer is None:
        headers |= _referred(call.book, call.referrer, way)
    if offer:
        headers["Content-Type"] = [SDP]
    request = Request("INVITE", way.uri, headers, offer)
    if way.peer is not None and not is_plain(way.peer):
        dress(request, way.peer, hop, (way.caller, permit.caller_name))
    return request


def _to(text: str, uri: Uri) -> str:
    """Name whom a call is for: a To has nothing that tells the way (RFC 3261 19.1.1)."""
    if uri.params or uri.headers or uri.password:
        return Address(Uri(uri.scheme, uri.user, host=uri.host, port=uri.port)).to_text()
    return f"<{text}>"


def _forwarded(peer: Peer, reason: str, by: Uri, to: Uri) -> Headers:
    """Tell a peer that wants to know it which of the customer's numbers has forwarded the call."""
    headers: Headers = {}
    tell = peer.profile.forwards_told
    if tell in ("diversion", "both"):
        headers["Diversion"] = [diversion(by, reason)]
    if tell in ("history-info", "both"):
        headers["History-Info"] = history(by, to, reason)
    return headers


def _referred(book: Book, by: Source, way: Way) -> Headers:
    """Tell a phone who has sent the caller to it: an extension of its own customer (RFC 3892).

    It is who has signed in, whatever the REFER's own words were.
    """
    known = book.extension(by.customer, by.id) if by.kind == "extension" else None
    if known is None or way.contact is None or way.contact[0] != by.customer:
        return {}
    name = f"{quote(known.name)} " if known.name else ""
    aor = Uri(user=by.id, host=book.customers[by.customer].domain)
    return {"Referred-By": [f"{name}<{aor}>"]}
