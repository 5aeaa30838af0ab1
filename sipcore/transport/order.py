"""From a URI to the places where its messages may go, in the order in which to try them (RFC 3263,
RFC 2782). Pure: questions to the DNS are yielded, answers sent in, randomness is handed in.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import groupby

from msgspec import Struct

from sipcore.message.uri import Uri

MOST_PLACES = 16  # of one name: an answer that lists more is cut
MOST_SERVERS = 16  # of one SRV answer
DATAGRAMS_FIRST = ("udp", "tcp", "tls")  # what a client tries where nothing says otherwise (4.1)
NAPTR_SERVICES = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
SRV_NAMES = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}

Fraction = Callable[[], float]  # a number in [0, 1)


class Place(Struct, frozen=True):
    """Transport, address and port. `domain`: what a certificate must prove there (RFC 5922)."""

    transport: str
    address: str
    port: int
    domain: str = ""


class Srv(Struct, frozen=True):
    """One SRV record (RFC 2782). `target` is without its last dot; empty: no such service."""

    priority: int
    weight: int
    port: int
    target: str


class Naptr(Struct, frozen=True):
    """One NAPTR record (RFC 3403 4.1), as far as RFC 3263 reads it."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Question(Struct, frozen=True):
    """What is asked for, of which name (lower case). `kind`: NAPTR, SRV, A or AAAA."""

    kind: str
    name: str


Records = tuple[str | Srv | Naptr, ...]  # a str is an address
Asking = Generator[Sequence[Question], Sequence[Records], list[Place]]


class Target(Struct, frozen=True):
    """What a SIP URI says of where it leads. `transport` is None where the URI leaves it open.

    `domain` is the URI's own host, which maddr does not change.
    """

    host: str
    port: int | None
    transport: str | None
    is_secure: bool  # sips: TLS, or nothing
    domain: str = ""


class Means(Struct, frozen=True):
    """What a node listens on: transports, and families ("A", "AAAA"), the preferred one first."""

    transports: tuple[str, ...] = ()
    families: tuple[str, ...] = ()


def target_of(uri: Uri) -> Target | None:
    """Read a URI (RFC 3263 4); None for one that leads nowhere: tel:, sips over UDP.

    And for WebSockets, whose clients are reached down their own connection alone.
    """
    transport = uri.transport
    if uri.scheme not in ("sip", "sips") or not uri.host or transport in ("ws", "wss"):
        return None
    host, domain = (uri.params.get("maddr") or uri.address).lower(), uri.address.lower()
    if uri.scheme == "sip":
        return Target(host, uri.port, transport, is_secure=False, domain=domain)
    if transport not in (None, "tcp", "tls"):
        return None
    named = None if transport is None else "tls"
    return Target(host, uri.port, named, is_secure=True, domain=domain)


def place_at(target: Target) -> Place:
    """Return the place of a target whose host is an address (4.1, 4.2)."""
    transport = target.transport or ("tls" if target.is_secure else "udp")
    if transport == "tls":
        return Place("tls", target.host, target.port or 5061, target.domain)
    return Place(transport, target.host, target.port or 5060)


def locate(target: Target, means: Means, fraction: Fraction) -> Asking:
    """Find the places of a target whose host is a name. Returns none where it leads nowhere."""
    plain = place_at(target)
    if target.port is not None:  # a port says that there is no SRV to look for (4.1, 4.2)
        servers = [(plain.transport, Srv(0, 0, plain.port, target.host))]
        return (yield from _addresses(target, servers, means, fraction))
    services = yield from _services(target, means)
    answers = (yield [Question("SRV", name) for _, name in services]) if services else ()
    servers = []
    is_known = False
    for (transport, _), records in zip(services, answers, strict=True):
        found = [one for one in records if isinstance(one, Srv)]
        is_known = is_known or bool(found)
        servers += [(transport, one) for one in order_srv(found, fraction) if one.target]
    if not is_known:
        servers = [(plain.transport, Srv(0, 0, plain.port, target.host))]
    return (yield from _addresses(target, servers, means, fraction))


def _services(
    target: Target, means: Means
) -> Generator[Sequence[Question], Sequence[Records], list[tuple[str, str]]]:
    """Return the transports that may be used and the SRV names to ask for, in order (4.1)."""
    if target.transport is not None:
        prefix = SRV_NAMES.get(target.transport)
        return [] if prefix is None else [(target.transport, prefix + target.host)]
    allowed = [
        one
        for one in DATAGRAMS_FIRST
        if one in means.transports and (one == "tls" or not target.is_secure)
    ]
    (records,) = yield [Question("NAPTR", target.host)]
    offered = sorted(
        (one for one in records if isinstance(one, Naptr) and one.flags.lower() == "s"),
        key=lambda one: (one.order, one.preference),
    )
    wanted = [(NAPTR_SERVICES.get(one.service.upper()), one.replacement) for one in offered]
    usable = [(one, name.lower()) for one, name in wanted if one in allowed and one is not None]
    return usable or [(one, SRV_NAMES[one] + target.host) for one in allowed]


def order_srv(records: Iterable[Srv], fraction: Fraction) -> list[Srv]:
    """Put servers in the order of their priorities, drawn by weight within one (RFC 2782).

    One that is listed alone and has no target says that the service is not offered.
    """
    ordered: list[Srv] = []
    by_priority = sorted(records, key=lambda one: (one.priority, one.weight != 0))
    for _, group in groupby(by_priority, key=lambda one: one.priority):
        left = list(group)
        while left:
            ordered.append(left.pop(_draw([one.weight for one in left], fraction())))
    return ordered


def _draw(weights: Sequence[int], fraction: float) -> int:
    """Return which one a number in [0, 1) picks; those without weight stand first."""
    chosen = int(fraction * (sum(weights) + 1))
    running = 0
    for index, weight in enumerate(weights):
        running += weight
        if running >= chosen:
            return index
    return len(weights) - 1


def _addresses(
    target: Target, servers: Sequence[tuple[str, Srv]], means: Means, fraction: Fraction
) -> Generator[Sequence[Question], Sequence[Records], list[Place]]:
    """Find every server's addresses, all asked for at once. Each comes before the next server's."""
    servers = servers[:MOST_SERVERS]
    names = list(dict.fromkeys(one.target for _, one in servers))
    questions = [Question(family, name) for name in names for family in means.families]
    answers = (yield questions) if questions else ()
    found = dict(zip(questions, answers, strict=True))
    places: dict[Place, None] = {}
    for transport, server in servers:
        domain = target.domain if transport == "tls" else ""
        for family in means.families:
            records = found[Question(family, server.target)]
            addresses = [one for one in records if isinstance(one, str)]
            for address in _rotated(addresses, fraction):
                places[Place(transport, address, server.port, domain)] = None
    return list(places)[:MOST_PLACES]


def _rotated(addresses: list[str], fraction: Fraction) -> list[str]:
    """Begin anywhere: the name servers turn such lists, and a cache would stop them from it."""
    if len(addresses) < 2:
        return addresses
    first = int(fraction() * len(addresses))
    return [*addresses[first:], *addresses[:first]]
