"""The file laid over what is stored: what would be there, and where each row stands in the file.

Finds what stands twice and what belongs to another customer.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from sipcore.policy.peers import PeerAddress, parse_peer_address
from sipcore.rating.tables import Fault, Place
from sipcore.store.draft import Row
from sipcore.store.forms import Placed
from sipcore.store.rows import (
    AccountRow,
    CarrierRow,
    CustomerRow,
    ExtensionRow,
    NumberRow,
    Rows,
    TrunkRow,
)

Key = str | tuple[str, str]


class Merged(Struct, frozen=True):
    """`rows`: stored and new together. `placed`: those of the file, by kind of table and key."""

    rows: Rows
    placed: dict[tuple[str, Key], tuple[Placed, Row]]

    def place(self, kind: str, key: Key) -> Place | None:
        """Return where a row stands in the file; None for one that is only stored."""
        found = self.placed.get((kind, key))
        return None if found is None else found[0].place

    def new(self, kind: str) -> Iterator[tuple[Key, Placed, Row]]:
        """Yield the file's rows of a kind in the file's order."""
        for (own_kind, key), (placed, row) in self.placed.items():
            if own_kind == kind:
                yield key, placed, row


def merge(new: Iterable[tuple[Placed, Row]], stored: Rows) -> tuple[Merged, list[Fault]]:
    """Lay the file's rows over the stored ones."""
    rows = Rows(
        dict(stored.carriers),
        dict(stored.customers),
        dict(stored.accounts),
        dict(stored.numbers),
        dict(stored.extensions),
        dict(stored.trunks),
        stored.credentials,
    )
    merged = Merged(rows, {})
    faults: list[Fault] = []
    for placed, row in new:
        kind, key, was = _put(rows, row)
        name = key if isinstance(key, str) else key[1]
        field = "number" if kind in ("number", "extension") else "id"
        owner = getattr(was, "customer", placed.customer)
        if (kind, key) in merged.placed:
            faults.append(((*placed.place, field), f"{kind} {name} stands twice"))
        elif owner != placed.customer:
            faults.append(((*placed.place, field), f"{kind} {name} belongs to customer {owner}"))
        merged.placed.setdefault((kind, key), (placed, row))
    return merged, faults


def _put(rows: Rows, row: Row) -> tuple[str, Key, Row | None]:
    """Put a row where it belongs. Return its kind, its key, and what stood there."""
    was: Row | None
    match row:
        case CarrierRow():
            was, rows.carriers[row.id] = rows.carriers.get(row.id), row
            return "carrier", row.id, was
        case CustomerRow():
            was, rows.customers[row.id] = rows.customers.get(row.id), row
            return "customer", row.id, was
        case AccountRow():
            was, rows.accounts[row.id] = rows.accounts.get(row.id), row
            return "account", row.id, was
        case NumberRow():
            was, rows.numbers[row.number] = rows.numbers.get(row.number), row
            return "number", row.number, was
        case ExtensionRow():
            key = (row.customer, row.number)
            was, rows.extensions[key] = rows.extensions.get(key), row
            return "extension", key, was
        case TrunkRow():
            was, rows.trunks[row.id] = rows.trunks.get(row.id), row
            return "trunk", row.id, was


def collisions(merged: Merged) -> Iterator[Fault]:
    """Yield what two rows may not share: a domain, a digest user, an accept_from entry."""
    yield from _shared(merged, "domain", _domains(merged.rows))
    yield from _shared(merged, "user", _users(merged.rows))
    yield from _shared(merged, "accept_from", _entries(merged.rows))
    yield from _shared(merged, "tls_names", _tls_names(merged.rows))


Claim = tuple[object, str, Key, str]  # what is claimed, by which kind and key, how it is called


def _shared(merged: Merged, field: str, claims: Iterable[Claim]) -> Iterator[Fault]:
    """Yield a fault for each claim on what is taken, blaming the file and there the later one."""
    taken: dict[object, tuple[str, Key]] = {}
    for what, kind, key, name in sorted(
        claims, key=lambda claim: merged.place(claim[1], claim[2]) is not None
    ):
        if what not in taken:
            taken[what] = kind, key
            continue
        other_kind, other = taken[what]
        place = merged.place(kind, key)
        if place is not None:
            other_name = other if isinstance(other, str) else other[1]
            yield (*place, field), f"{field}: {name} is {other_kind} {other_name}'s already"


def _domains(rows: Rows) -> Iterator[Claim]:
    for customer in rows.customers.values():
        yield customer.domain, "customer", customer.id, customer.domain


def _users(rows: Rows) -> Iterator[Claim]:
    for key, extension in rows.extensions.items():
        yield (extension.customer, extension.number), "extension", key, extension.number
    for trunk in rows.trunks.values():
        if trunk.user is not None:
            yield (trunk.customer, trunk.user), "trunk", trunk.id, trunk.user


def _entries(rows: Rows) -> Iterator[Claim]:
    for kind, id_, accept_from in entries_of(rows):
        for text, entry in accept_from:
            yield entry, kind, id_, text


def _tls_names(rows: Rows) -> Iterator[Claim]:
    for carrier in rows.carriers.values():
        for name in carrier.tls_names:
            yield name, "carrier", carrier.id, name
    for trunk in rows.trunks.values():
        for name in trunk.tls_names:
            yield name, "trunk", trunk.id, name


def entries_of(rows: Rows) -> Iterator[tuple[str, str, list[tuple[str, PeerAddress]]]]:
    """Yield kind, id and parsed accept_from entries of every carrier and trunk."""
    for carrier in rows.carriers.values():
        yield "carrier", carrier.id, [(one, parse_peer_address(one)) for one in carrier.accept_from]
    for trunk in rows.trunks.values():
        yield "trunk", trunk.id, [(one, parse_peer_address(one)) for one in trunk.accept_from]
