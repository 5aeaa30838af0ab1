"""Book: what is provisioned, as far as routing and admission need it. An immutable snapshot.

Made by store/snapshot.py, swapped whole when something changes. Holds digest hashes, no passwords;
knows numbers, accounts and peers, not SIP.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from sys import intern
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar

from msgspec import Struct

from sipcore.message.flow import OverMtu
from sipcore.numbering import Home, PrefixTable, normalise
from sipcore.policy.concurrency import Want, carrier_key
from sipcore.policy.peers import PeerAddress, Peers
from sipcore.policy.profile import USUAL, Profile
from sipcore.policy.shelf import Shelf
from sipcore.policy.standing import Limits

if TYPE_CHECKING:
    from sipcore.policy.attempt import Source
    from sipcore.policy.decide import Known

DeviceKind = Literal["phone", "gateway", "pbx", "soft"]
NATIONAL = frozenset({"national"})


class Customer(Struct, frozen=True, gc=False):
    """The company that signs. `is_verified`: its real-name check has passed."""

    id: str
    domain: str
    name: str = ""
    is_verified: bool = False
    language: str | None = None


class Account(Struct, frozen=True, gc=False):
    """What is charged. `concurrency`: external calls at once, the sum over its plans.

    `numbers` are its display numbers in +E.164, the default one first. `classes`: destination
    classes that it may call.
    """

    id: str
    customer: str
    concurrency: int = 0
    numbers: tuple[str, ...] = ()
    classes: frozenset[str] = NATIONAL

    @property
    def default_number(self) -> str | None:
        return self.numbers[0] if self.numbers else None


class Extension(Struct, frozen=True, gc=False, array_like=True):
    """An internal number of a customer. `digest` empty: the node's order of algorithms."""

    customer: str
    number: str
    account: str
    name: str = ""
    display_number: str | None = None
    device: DeviceKind = "phone"
    is_recorded: bool = False
    digest: tuple[str, ...] = ()


class DisplayNumber(Struct, frozen=True, gc=False):
    """A number of the public network that an account owns, and where calls to it lead.

    `leads_to` is a kind and an id: ("extension", "8001"), ("trunk", "beta-pbx"), ("hotline", "").
    """

    number: str
    customer: str
    account: str
    leads_to: tuple[str, str]


class Login(Struct, frozen=True, gc=False):
    """What a peer wants to be shown for our calls. `secret` is sealed: store.secrets opens it."""

    user: str
    secret: str


class Trunk(Struct, frozen=True, gc=False):
    """A customer's own PBX. Without `uri` it registers as `user` and is called where it did."""

    id: str
    customer: str
    account: str
    channels: int
    uri: str | None = None
    user: str | None = None
    health_s: int = 0
    over_mtu: OverMtu = "auto"
    profile: Profile = USUAL
    login: Login | None = None
    tls_names: tuple[str, ...] = ()


class Registration(Struct, frozen=True, gc=False):
    """Where a carrier wants to be registered with. `secret` is sealed: store.secrets opens it.

    `auth_user`: the digest user name, where it is not `user` (the private identity of an IMS).
    """

    user: str
    secret: str
    domain: str
    expires_s: int = 600
    auth_user: str | None = None


class Carrier(Struct, frozen=True, gc=False):
    """A gateway to the public network. `allow`: destination classes that it takes.

    `health_s`: how often it is asked whether it lives; 0: never. `demote`: when it is demoted.
    """

    id: str
    uri: str
    channels: int
    priority: int = 1
    weight: int = 10
    allow: frozenset[str] = NATIONAL
    registration: Registration | None = None
    health_s: int = 0
    demote: Limits = Limits()
    over_mtu: OverMtu = "auto"
    profile: Profile = USUAL
    login: Login | None = None
    tls_names: tuple[str, ...] = ()


_HA1S = {  # algorithm, whether of the long user name
    ("MD5", False): slice(16),
    ("MD5", True): slice(16, 32),
    ("SHA-256", False): slice(32, 64),
    ("SHA-256", True): slice(64, 96),
}


class Identity(Struct, frozen=True, gc=False, array_like=True):
    """Who a digest user name stands for. `id`: the extension's number or the trunk's id.

    `ha1s`: hashes of user:realm:password and user@domain:realm:password (RFC 7616 3.4.2), two
    MD5s, then two SHA-256s, one behind the other: 96 bytes.
    """

    customer: str
    kind: Literal["extension", "trunk"]
    id: str
    account: str
    user: str
    ha1s: bytes
    digest: tuple[str, ...] = ()

    def ha1(self, algorithm: str, user: str) -> str | None:
        """Return the hash for a challenge's algorithm and the user name as it was sent."""
        place = _HA1S.get((algorithm, "@" in user))
        return None if place is None else self.ha1s[place].hex()


Peer = Carrier | Trunk


class Rows(Struct, frozen=True, kw_only=True):
    """What a Book is made of. Every id that a row names must be there. The large tables may be
    read once only, while they are fetched."""

    home: Home = Home()
    hotline: str = "10088"
    customers: Sequence[Customer] = ()
    accounts: Sequence[Account] = ()
    extensions: Iterable[Extension] = ()
    numbers: Sequence[DisplayNumber] = ()
    trunks: Sequence[Trunk] = ()
    carriers: Sequence[Carrier] = ()
    identities: Iterable[Identity] = ()
    peers: Sequence[tuple[PeerAddress, Peer]] = ()
    destinations: PrefixTable[str] = PrefixTable({})


class Shelves(Struct, frozen=True):
    """The large tables of a Book. `unique_users`: the customer of each user name that one alone
    has. `digests`: orders of algorithms that identities have of their own."""

    extensions: Shelf[Extension]
    users: Shelf[Identity]
    unique_users: dict[str, str | None]
    digests: list[tuple[str, ...]]


def shelve(extensions: Iterable[Extension], identities: Iterable[Identity]) -> Shelves:
    """Put rows on shelves."""
    shelves = Shelves(Shelf(Extension), Shelf(Identity), {}, [])
    for extension in extensions:
        shelves.extensions.put(extension.customer, extension.number, extension)
    for identity in identities:
        shelves.users.put(identity.customer, identity.user, identity)
        user = intern(identity.user)
        is_first = user not in shelves.unique_users
        shelves.unique_users[user] = intern(identity.customer) if is_first else None
        if identity.digest:
            shelves.digests.append(identity.digest)
    return shelves


class Book:
    """Look-ups in O(1) over Rows. Never changed once made. `shelves` stand for the extensions and
    identities of Rows, where somebody has them already.

    `known`: what decide() has found out about callers of late.
    """

    def __init__(self, rows: Rows, shelves: Shelves | None = None) -> None:
        shelves = shelves or shelve(rows.extensions, rows.identities)
        self.home = rows.home
        self.hotline = rows.hotline
        self.customers: Mapping[str, Customer] = _by_id(rows.customers)
        self.accounts: Mapping[str, Account] = _by_id(rows.accounts)
        self.trunks: Mapping[str, Trunk] = _by_id(rows.trunks)
        self.carriers: Mapping[str, Carrier] = _by_id(rows.carriers)
        self.carrier_ranks = _ranks(rows.carriers)
        self.carrier_wants: Mapping[str, Want] = {
            one.id: (carrier_key(one.id), one.channels) for one in rows.carriers
        }
        self.known: dict[tuple[Source, str | None], Known] = {}
        self.extension_count = shelves.extensions.count
        self._domains = {one.domain.lower(): one.id for one in rows.customers}
        self._numbers = {one.number: one for one in rows.numbers}
        # Networks hand out numbers in blocks of 10,000: the last four digits are the switch's own.
        self._blocks = frozenset(one.number[:-4] for one in rows.numbers)
        self._shelves = shelves
        self._extensions = shelves.extensions
        self._users = shelves.users
        self._peers = Peers(rows.peers)
        named: list[Peer] = [*rows.carriers, *rows.trunks]
        self._names = {name.lower(): one for one in named for name in one.tls_names}
        self._destinations = rows.destinations

    def customer_at(self, domain: str) -> Customer | None:
        """Return the customer whose SIP domain this is."""
        found = self._domains.get(domain.lower())
        return None if found is None else self.customers[found]

    def extension(self, customer: str, number: str) -> Extension | None:
        """Return a customer's extension."""
        return self._extensions.find(customer, number)

    def extensions_of(self, customer: str) -> Mapping[str, Extension]:
        """Return a customer's extensions by number."""
        return MappingProxyType(self._extensions.all_of(customer))

    def display_number(self, number: str) -> DisplayNumber | None:
        """Return the display number written as +E.164, whoever owns it."""
        return self._numbers.get(number)

    def is_own_block(self, number: str) -> bool:
        """Tell whether we hold other numbers of the same 10,000: then this one is unallocated."""
        return number[:-4] in self._blocks

    def peer(self, address: str, port: int) -> Peer | None:
        """Return the carrier or trunk that sends from there. Raises ValueError: no IP address."""
        return self._peers.find(address, port)

    def peer_by_name(self, name: str) -> Peer | None:
        """Return the carrier or trunk whose TLS certificate has proven a name (RFC 5922)."""
        return self._names.get(name.lower())

    def profile(self, kind: str, id_: str) -> Profile:
        """Return the settings of a carrier or a trunk; the usual ones for all others."""
        peer: Peer | None = None
        if kind == "carrier":
            peer = self.carriers.get(id_)
        elif kind == "trunk":
            peer = self.trunks.get(id_)
        return USUAL if peer is None else peer.profile

    def read(self, number: str, kind: str, id_: str) -> str | None:
        """Read a number that an extension, a carrier or a trunk has sent, as normalise() does."""
        if kind == "extension":
            return normalise(number, self.home)
        return self.profile(kind, id_).read(number, self.home)

    def is_listed(self, address: str) -> bool:
        """Tell whether a carrier or trunk sends from an address, or from within ADDRESS/BITS.

        Raises ValueError for what is neither.
        """
        return self._peers.has(address)

    def listed_networks(self) -> list[str]:
        """Return from where carriers and trunks send: ADDRESS or ADDRESS/BITS."""
        return self._peers.networks()

    @property
    def has_own_digests(self) -> bool:
        """True where some have an order of digest algorithms of their own."""
        return bool(self._shelves.digests)

    def digest_like(self, number: int) -> tuple[str, ...]:
        """Return the order of algorithms of one of the identities, each as likely as the next."""
        digests = self._shelves.digests
        at = number % max(self._users.count, 1)
        return digests[at] if at < len(digests) else ()

    def destination_class(self, number: str) -> str | None:
        """Return the class of the longest rated prefix, or None: no rate, no call."""
        return self._destinations.find(number)

    def identity(self, user: str, domain: str | None) -> Identity | None:
        """Return whom a digest user name stands for (service.md section 1, Identities).

        `user` is `8001` or `8001@acme.example`; `domain` is that of To (REGISTER) or From. An
        address or a foreign domain counts as none; then the user must be unique on the node.
        """
        customer = self._domains.get(domain.lower()) if domain else None
        name, at, own = user.partition("@")
        if at:
            named = self._domains.get(own.lower())
            if named is None or customer not in (None, named):
                return None
            customer = named
        if customer is None:
            customer = self._shelves.unique_users.get(name)
        return None if customer is None else self._users.find(customer, name)


One = TypeVar("One", Customer, Account, Trunk, Carrier)


def _by_id(rows: Sequence[One]) -> Mapping[str, One]:
    return MappingProxyType({one.id: one for one in rows})


def _ranks(carriers: Sequence[Carrier]) -> tuple[tuple[Carrier, ...], ...]:
    """Return the carriers in groups of equal priority, lowest first."""
    ordered = sorted(carriers, key=lambda one: (one.priority, one.id))
    return tuple(tuple(of) for _, of in groupby(ordered, key=lambda one: one.priority))
