"""A small town to decide calls in: two customers, a PBX, two carriers."""

from msgspec.structs import replace

from sipcore.numbering import Home, PrefixTable
from sipcore.policy.attempt import Attempt, Permit, Refuse, Source
from sipcore.policy.book import (
    Account,
    Book,
    Carrier,
    Customer,
    DisplayNumber,
    Extension,
    Identity,
    Rows,
    Trunk,
)
from sipcore.policy.peers import parse_peer_address

HASHES = bytes(range(96))
CARRIER_A = Carrier("carrier-a", "sip:127.0.0.10:25080", 2, priority=1)
CARRIER_B = Carrier("carrier-b", "sip:127.0.0.11:25081", 2, priority=2)
PBX = Trunk("beta-pbx", "beta", "beta-1", 2, "sip:127.0.0.2:25090", "beta-pbx")

ROWS = Rows(
    home=Home("86", "021"),
    hotline="10088",
    customers=[
        Customer("acme", "acme.example", is_verified=True),
        Customer("beta", "beta.example", is_verified=True),
        Customer("gamma", "gamma.example"),
    ],
    accounts=[
        Account("acme-1", "acme", 2, ("+862136413501", "+862136413502")),
        Account("acme-2", "acme", 1, ("+862136413511",)),
        Account("acme-3", "acme", 1),
        Account("beta-1", "beta", 3, ("+862136413599",)),
        Account("gamma-1", "gamma", 1, ("+862136413600",)),
    ],
    extensions=[
        Extension("acme", "8001", "acme-1", "Front desk", "+862136413502"),
        Extension("acme", "8002", "acme-1", "Workshop"),
        Extension("acme", "8003", "acme-1", "Laptop", device="soft"),
        Extension("acme", "8009", "acme-3"),
        Extension("acme", "80010001", "acme-1", device="gateway"),
        Extension("beta", "8001", "beta-1", "Beta desk"),
        Extension("gamma", "7001", "gamma-1"),
    ],
    numbers=[
        DisplayNumber("+862136413501", "acme", "acme-1", ("extension", "8001")),
        DisplayNumber("+862136413502", "acme", "acme-1", ("hotline", "")),
        DisplayNumber("+862136413511", "acme", "acme-2", ("extension", "8888")),
        DisplayNumber("+862136413599", "beta", "beta-1", ("trunk", "beta-pbx")),
        DisplayNumber("+862136413600", "gamma", "gamma-1", ("group", "sales")),
    ],
    trunks=[PBX],
    carriers=[CARRIER_B, CARRIER_A],
    identities=[
        Identity("acme", "extension", "8001", "acme-1", "8001", HASHES),
        Identity("acme", "extension", "8002", "acme-1", "8002", HASHES),
        Identity("beta", "extension", "8001", "beta-1", "8001", HASHES),
        Identity("beta", "trunk", "beta-pbx", "beta-1", "beta-pbx", HASHES),
    ],
    peers=[
        (parse_peer_address("127.0.0.10/32"), CARRIER_A),
        (parse_peer_address("127.0.0.11/32"), CARRIER_B),
        (parse_peer_address("127.0.0.2/32"), PBX),
    ],
    destinations=PrefixTable({"+86": "national", "+852": "international"}),
)
TOWN = Book(ROWS)

FRONT_DESK = Source("extension", "8001", "acme", "acme-1")
WORKSHOP = Source("extension", "8002", "acme", "acme-1")
LAPTOP = Source("extension", "8003", "acme", "acme-1")
BETA_PBX = Source("trunk", "beta-pbx", "beta", "beta-1")
UNVERIFIED = Source("extension", "7001", "gamma", "gamma-1")
FROM_A = Source("carrier", "carrier-a")


def town(**changes: object) -> Book:
    """Return the town with other rows."""
    return Book(replace(ROWS, **changes))


def attempt(
    source: Source, dialled: str, asserted: str | None = None, draw: float = 0.0
) -> Attempt:
    return Attempt(source, dialled, asserted, draw)


def permitted(verdict: Permit | Refuse) -> Permit:
    assert isinstance(verdict, Permit), verdict
    return verdict


def refused(verdict: Permit | Refuse) -> Refuse:
    assert isinstance(verdict, Refuse), verdict
    return verdict
