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
from sipcore.message.memory import remembered
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

ANONYMOUS = "sip:anonymous@anonymous.invalid"  # RFC 3323 4.1.1.3


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
    or trunk that it leads to. `to`: what stands in To, where that is known already.
    """

    who: str
    uri: str
    hop: Hop
    caller: str
    route: tuple[str, ...] = ()
    contact: BindingKey | None = None
    others: tuple[Hop, ...] = ()
    peer: Peer | None = None
    to: str = ""


async def ways_to(call: Inviter, target: Target) -> list[Way]:
    """Return every place to ring for a target; none where nobody is registered."""
    book, contacts = call.book, call.desk.contacts
    if isinstance(target, CarrierTarget):
        return await _by_uri(call, book.carriers[target.id], target)
    if isinstance(target, ExtensionTarget):
        found = contacts.ways_to(target.customer, target.number)
        shown = call.draft.record.caller_shown or ""
        return [Way(target.number, one.uri, one.hop, shown, one.route, one.key) for one in found]
    trunk = book.trunks[target.id]
    found = contacts.ways_to(trunk.customer, trunk.user) if trunk.user else []
    if found:
        return [_bulk(trunk, one, target) for one in found]
    return [] if trunk.uri is None else await _by_uri(call, trunk, target)


async def _by_uri(call: Inviter, peer: Peer, target: CarrierTarget | TrunkTarget) -> list[Way]:
    """Return the way to a peer's URI, by the route that it has given us with a registration."""
    assert peer.uri is not None
    route: tuple[str, ...] = ()
    if isinstance(peer, Carrier) and peer.registration is not None:
        route = call.desk.trunks.registrations.service_route(peer.id)
    endpoint, first = call.desk.endpoint, route[0] if route else peer.uri
    hops = endpoint.ways.hops_at_once(first)
    if hops is None:
        hops = await endpoint.hops_to(Uri.parse(first))
    if not hops:
        return []
    call.desk.trunks.expect(hops)
    for hop in hops:
        endpoint.detours.set(hop, peer.over_mtu)
    others = tuple(hops[1:MOST_PLACES])
    told = tuple([f"<{one}>" for one in route])
    uri, to = _at(peer.uri, target.number)
    return [Way(peer.id, uri, hops[0], target.caller, told, None, others, peer, to)]


def _bulk(trunk: Trunk, reach: Reach, target: TrunkTarget) -> Way:
    """Put the number into the contact of a PBX that has registered (RFC 6140 5.3)."""
    uri = str(with_number(Uri.parse(reach.uri), target.number))
    return Way(trunk.id, uri, reach.hop, target.caller, reach.route, reach.key, peer=trunk)


def _at(uri: str, number: str) -> tuple[str, str]:
    """Put a number in front of a peer's address; return the URI, and what names it in To."""
    scheme, place, params = _parts(uri)
    user = number if _is_plain_user(number) else str(Uri("tel", number))[4:]
    at = f"{scheme}:{user}@{place}"
    return at + params, f"<{at}>"


@remembered
def _parts(uri: str) -> tuple[str, str, str]:
    """Return scheme, host with its port, and parameters of a URI, as they are written."""
    read = Uri.parse(uri)
    place = str(Uri(read.scheme, None, None, read.host, read.port)).partition(":")[2]
    whole = str(Uri(read.scheme, None, None, read.host, read.port, read.params))
    return read.scheme, place, whole.removeprefix(f"{read.scheme}:{place}")


def _is_plain_user(user: str) -> bool:
    """Tell digits and letters, + before them or not: they are written as they are."""
    return user.isascii() and user.removeprefix("+").isalnum()


def _shown(user: str, host: str) -> str:
    """Write the caller's URI."""
    if not user:
        return ANONYMOUS
    return f"sip:{user}@{host}" if _is_plain_user(user) else str(Uri(user=user, host=host))


def invite(call: Inviter, permit: Permit, way: Way, offer: bytes) -> Request:
    """Build the INVITE for one way. `offer` is the SDP."""
    ids, hop, settings = call.desk.ids, way.hop, call.desk.settings
    name = f"{quote(permit.caller_name)} " if permit.caller_name else ""
    name = name if way.caller else '"Anonymous" '
    host = hop.sent_by.rpartition(":")[0]
    shown = _shown(way.caller, host)
    line = f"{name}<{shown}>"
    is_carrier = isinstance(way.peer, Carrier)
    headers: Headers = {
        "Via": [],
        "Max-Forwards": [str(call.max_forwards - 1)],
        "From": [f"{line};tag={ids.token()}"],
        "To": [way.to or _to(way.uri)],
        "Call-ID": [ids.token() + ids.token()],
        "CSeq": ["1 INVITE"],
        "Contact": [hop.contact(scheme=way.uri.partition(":")[0].lower())],
        "Allow": [ALLOW_CARRIERS if is_carrier else ALLOW],
        **(settings.told_carriers if is_carrier else settings.told_callees),
    }
    if way.route:
        headers["Route"] = list(way.route)
    if way.caller:
        headers["P-Asserted-Identity"] = [line]
    offer = call.desk.media.facing(offer, hop.flow.remote_address)
    if call.diverted is not None and way.peer is not None:
        headers |= _forwarded(way.peer, call.diverted, shown, way.uri)
    if call.referrer is not None and way.peer is None:
        headers |= _referred(call.book, call.referrer, way)
    if offer:
        headers["Content-Type"] = [SDP]
    request = Request("INVITE", way.uri, headers, offer)
    if way.peer is not None and not is_plain(way.peer):
        dress(request, way.peer, hop, (way.caller, permit.caller_name))
    return request


def _to(text: str) -> str:
    """Name whom a call is for: a To has nothing that tells the way (RFC 3261 19.1.1)."""
    uri = Uri.parse(text)
    if uri.params or uri.headers or uri.password:
        return Address(Uri(uri.scheme, uri.user, host=uri.host, port=uri.port)).to_text()
    return f"<{text}>"


def _forwarded(peer: Peer, reason: str, shown: str, called: str) -> Headers:
    """Tell a peer that wants to know it which of the customer's numbers has forwarded the call."""
    headers: Headers = {}
    by, to = Uri.parse(shown), Uri.parse(called)
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
