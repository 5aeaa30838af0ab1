"""What is kept of a provisioning file: normalised, no password in it. The bodies of the tables."""

from datetime import date
from typing import Literal

from msgspec import Struct

from sipcore.message.flow import OverMtu
from sipcore.numbering import Home
from sipcore.policy.book import DeviceKind
from sipcore.policy.profile import USUAL, Profile
from sipcore.policy.standing import Limits


class Site(Struct, frozen=True):
    """What a node's configuration says that provisioning depends on."""

    home: Home = Home()
    hotline: str = "10088"
    realm: str = "sipcore"


class RegisterRow(Struct, frozen=True, omit_defaults=True):
    """`secret` is sealed with the node's key."""

    user: str
    secret: str
    domain: str
    expires_s: int
    auth_user: str | None = None


class LoginRow(Struct, frozen=True):
    """`secret` is sealed with the node's key."""

    user: str
    secret: str


class CarrierRow(Struct, frozen=True, omit_defaults=True):
    id: str
    uri: str
    priority: int
    weight: int
    channels: int
    accept_from: tuple[str, ...]
    allow: tuple[str, ...]
    register: RegisterRow | None = None
    health_s: int = 0
    demote: Limits = Limits()
    over_mtu: OverMtu = "auto"
    profile: Profile = USUAL
    tls_names: tuple[str, ...] = ()
    login: LoginRow | None = None


class CustomerRow(Struct, frozen=True, omit_defaults=True):
    id: str
    name: str
    domain: str
    verified: bool = False
    industry: str = ""
    purpose: str = ""
    language: str | None = None


class OptionRow(Struct, frozen=True, omit_defaults=True):
    id: str
    count: int
    ordered: date


class FeeRow(Struct, frozen=True, omit_defaults=True):
    id: str
    count: int
    use: str | None = None


class AccountRow(Struct, frozen=True, omit_defaults=True):
    """`deposit` and `credit_limit` in 1/10000 yuan; `pin` is keyed-hashed, never the digits."""

    id: str
    customer: str
    payment: Literal["prepaid", "postpaid"]
    prepay: str
    plans: tuple[str, ...]
    opened: date
    deposit: int
    credit_limit: int | None = None
    term_months: int | None = None
    options: tuple[OptionRow, ...] = ()
    fees: tuple[FeeRow, ...] = ()
    closed: date | None = None
    pin: str | None = None


class NumberRow(Struct, frozen=True, omit_defaults=True):
    """`number` in +E.164. `position` orders an account's numbers; the first is its default."""

    number: str
    customer: str
    account: str
    to: str
    position: int = 0


class ExtensionRow(Struct, frozen=True, omit_defaults=True):
    customer: str
    number: str
    account: str
    name: str = ""
    display_number: str | None = None
    device: DeviceKind = "phone"
    record: bool = False
    digest: tuple[str, ...] = ()


class TrunkRow(Struct, frozen=True, omit_defaults=True):
    id: str
    customer: str
    account: str
    channels: int
    uri: str | None = None
    accept_from: tuple[str, ...] = ()
    user: str | None = None
    health_s: int = 0
    over_mtu: OverMtu = "auto"
    profile: Profile = USUAL
    tls_names: tuple[str, ...] = ()
    login: LoginRow | None = None


class CredentialRow(Struct, frozen=True):
    """Digest hashes of a user of a customer, under one realm."""

    customer: str
    user: str
    kind: Literal["extension", "trunk"]
    id: str
    realm: str
    md5: str
    md5_domain: str
    sha256: str
    sha256_domain: str


class Rows(Struct, frozen=True):
    """Everything provisioned, by key."""

    carriers: dict[str, CarrierRow]
    customers: dict[str, CustomerRow]
    accounts: dict[str, AccountRow]
    numbers: dict[str, NumberRow]
    extensions: dict[tuple[str, str], ExtensionRow]
    trunks: dict[str, TrunkRow]
    credentials: dict[tuple[str, str], CredentialRow]


def no_rows() -> Rows:
    return Rows({}, {}, {}, {}, {}, {}, {})
