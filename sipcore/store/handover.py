"""A Book handed from the process that built it to the one that uses it: MessagePack, in parts that
are each taken over in a few milliseconds. The tariff is on both sides and is not handed over."""

from collections.abc import Generator, Iterator

import msgspec
from msgspec import Struct

from sipcore.numbering import Home
from sipcore.policy.book import (
    Account,
    Book,
    Carrier,
    Customer,
    DisplayNumber,
    Extension,
    Identity,
    Peer,
    Shelves,
    Trunk,
    shelve,
)
from sipcore.policy.book import Rows as BookRows
from sipcore.policy.peers import PeerAddress
from sipcore.policy.shelf import Packed, Shelf
from sipcore.rating.tariff import Tariff

PART_ROWS = 4000
_LENGTH_BYTES = 8


class _Head(Struct, frozen=True):
    """All but the large tables. `peers`: entry, whether a carrier's, id."""

    home: Home
    hotline: str
    customers: list[Customer]
    accounts: list[Account]
    numbers: list[DisplayNumber]
    trunks: list[Trunk]
    carriers: list[Carrier]
    peers: list[tuple[PeerAddress, bool, str]]
    digests: list[tuple[str, ...]]


class _Part(Struct, frozen=True):
    """Some rows of the large tables, those of a customer in one part."""

    extensions: Packed
    users: Packed
    unique_users: dict[str, str | None]


_ENCODER = msgspec.msgpack.Encoder()


def pack(rows: BookRows) -> bytes:
    """Write what a Book is made of."""
    shelves = shelve(rows.extensions, rows.identities)
    head = _Head(
        rows.home,
        rows.hotline,
        list(rows.customers),
        list(rows.accounts),
        list(rows.numbers),
        list(rows.trunks),
        list(rows.carriers),
        [(entry, isinstance(peer, Carrier), peer.id) for entry, peer in rows.peers],
        shelves.digests,
    )
    parts = [_ENCODER.encode(head), *(_ENCODER.encode(part) for part in _parts(shelves))]
    return b"".join(len(part).to_bytes(_LENGTH_BYTES) + part for part in parts)


def unpack(data: memoryview, tariff: Tariff) -> Generator[None, None, Book]:
    """Make the Book; yields after each part, so that others get their turn.

    Raises MsgspecError for what pack() did not write.
    """
    parts = _cut(data)
    head = msgspec.msgpack.decode(next(parts), type=_Head)
    yield
    shelves = Shelves(Shelf(Extension), Shelf(Identity), {}, head.digests)
    decoder = msgspec.msgpack.Decoder(_Part)
    for data_of_part in parts:
        part = decoder.decode(data_of_part)
        shelves.extensions.put_packed(part.extensions)
        shelves.users.put_packed(part.users)
        shelves.unique_users.update(part.unique_users)
        yield
    carriers = {one.id: one for one in head.carriers}
    trunks = {one.id: one for one in head.trunks}
    peers: list[tuple[PeerAddress, Peer]] = [
        (entry, carriers[id_] if is_carrier else trunks[id_])
        for entry, is_carrier, id_ in head.peers
    ]
    rows = BookRows(
        home=head.home,
        hotline=head.hotline,
        customers=head.customers,
        accounts=head.accounts,
        numbers=head.numbers,
        trunks=head.trunks,
        carriers=head.carriers,
        peers=peers,
        destinations=tariff.destinations,
    )
    return Book(rows, shelves)


def _cut(data: memoryview) -> Iterator[memoryview]:
    at = 0
    while at < len(data):
        end = at + _LENGTH_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES])
        yield data[at + _LENGTH_BYTES : end]
        at = end


def _parts(shelves: Shelves) -> Iterator[_Part]:
    """Cut the tables where one customer ends and the next begins, after PART_ROWS or more."""
    extensions, users = shelves.extensions.packed, shelves.users.packed
    part, count = _Part({}, {}, {}), 0
    for customer in extensions.keys() | users.keys():
        for packed, found in ((part.extensions, extensions), (part.users, users)):
            packed[customer] = found.get(customer, {})
            count += len(packed[customer])
        if count > PART_ROWS:
            yield part
            part, count = _Part({}, {}, {}), 0
    yield part
    unique = list(shelves.unique_users.items())
    for at in range(0, len(unique), PART_ROWS):
        yield _Part({}, {}, dict(unique[at : at + PART_ROWS]))
