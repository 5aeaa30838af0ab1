"""The provisioning file as an operator writes it: customers, numbers, extensions, trunks, carriers.

Structs with the file's own keys, decoded table by table so that every fault is found. What the
values mean together is for check.py.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import NODEFAULT, Meta, Struct, convert
from msgspec.structs import FieldInfo, fields, replace

from sipcore.errors import BadConfig
from sipcore.message.flow import OverMtu
from sipcore.policy.book import DeviceKind
from sipcore.policy.profile import USUAL, Profile
from sipcore.policy.standing import Limits
from sipcore.rating.tables import Fault, Place, decode

Amount = int | Decimal  # yuan
NEUTRAL = "\0"  # begins a text that stands in for a wrong one
Channels = Annotated[int, Meta(ge=1, le=100_000)]
Rank = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Interval = bool | Annotated[int, Meta(ge=5, le=3600)]  # seconds; true: the usual ones
Algorithm = Literal["MD5", "SHA-256"]


class RegisterForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a carrier wants to be registered with. Without `domain`: that of its URI.

    `auth_user`: the user name of the password, where it is not `user`.
    """

    user: str
    password: str
    auth_user: str | None = None
    domain: str | None = None
    expires: Annotated[int, Meta(ge=60, le=86_400)] = 600


class LoginForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a peer wants to be shown for our calls, where that is not what `register` says."""

    user: str
    password: str


class CarrierForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    uri: str
    priority: Rank = 1
    weight: Rank = 10
    channels: Channels
    accept_from: tuple[str, ...] = ()
    register: RegisterForm | None = None
    allow: tuple[str, ...] = ("national",)
    tls_names: tuple[str, ...] = ()
    login: LoginForm | None = None
    health: Interval = False
    demote: Limits = Limits()
    over_mtu: OverMtu = "auto"
    profile: Profile = USUAL


class OptionForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An option ordered on a day; without one, from the account's opening."""

    id: str
    count: Count = 1
    ordered: date | None = None


class FeeForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    count: Count = 1
    use: Literal["extension", "trunk"] | None = None


class AccountForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    payment: Literal["prepaid", "postpaid"] = "prepaid"
    credit_limit: Amount | None = None
    prepay: Literal["monthly", "half-year"] = "monthly"
    term_months: Annotated[int, Meta(ge=0, le=120)] | None = None
    plans: tuple[str, ...]
    options: tuple[str | OptionForm, ...] = ()
    fees: tuple[FeeForm, ...] = ()
    opened: date
    closed: date | None = None
    deposit: Amount = 0
    hotline_password: str | None = None


class NumberForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    number: str
    account: str
    to: str


class ExtensionForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    number: str
    name: str = ""
    password: str
    account: str
    display_number: str | None = None
    device: DeviceKind = "phone"
    record: bool = False
    digest: tuple[Algorithm, ...] = ()


class TrunkForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    account: str
    uri: str | None = None
    accept_from: tuple[str, ...] = ()
    user: str | None = None
    password: str | None = None
    channels: Channels
    tls_names: tuple[str, ...] = ()
    login: LoginForm | None = None
    health: Interval = False
    over_mtu: OverMtu = "auto"
    profile: Profile = USUAL


class CustomerForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    name: str
    domain: str
    verified: bool = False
    industry: str = ""
    purpose: str = ""
    language: Literal["zh", "en"] | None = None


OfCustomer = AccountForm | NumberForm | ExtensionForm | TrunkForm
AnyForm = CarrierForm | CustomerForm | OfCustomer
# In the order in which they are checked and stored: what is named stands before what names it.
OF_CUSTOMER: dict[str, type[OfCustomer]] = {
    "account": AccountForm,
    "number": NumberForm,
    "extension": ExtensionForm,
    "trunk": TrunkForm,
}


class Placed(Struct, frozen=True):
    """A table, where it stands, and whose it is: a customer's id, empty for the node's own.

    `mended`: keys whose value was wrong or missing and is now a neutral one, so that the rest of
    the table can be judged. What is found out about a mended key is not told.
    """

    place: Place
    form: AnyForm
    customer: str = ""
    mended: frozenset[str] = frozenset()


class Forms(Struct, frozen=True):
    """A file. `declared`: (table, customer, name) of every table that has a name."""

    placed: tuple[Placed, ...]
    declared: frozenset[tuple[str, str, str]]


def parse_forms(text: str) -> tuple[Forms, list[Fault]]:
    """Decode a file. Return its tables, and all faults.

    Raises BadConfig, with the line, where the text is no TOML.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as fault:
        raise BadConfig([str(fault)]) from None
    faults: list[Fault] = [
        ((key,), f"unknown table `{key}`") for key in tables if key not in ("carrier", "customer")
    ]
    placed: list[Placed] = []
    declared: set[tuple[str, str, str]] = set()
    for place, table in _each(tables, "carrier", (), faults):
        placed.append(_decode(table, CarrierForm, place, "", faults))
    for place, table in _each(tables, "customer", (), faults):
        own = {key: value for key, value in table.items() if key not in OF_CUSTOMER}
        customer = str(table.get("id", ""))
        placed.append(_decode(own, CustomerForm, place, customer, faults))
        for key, kind in OF_CUSTOMER.items():
            for where, part in _each(table, key, place, faults):
                declared.add((key, customer, str(part.get("id", part.get("number", "")))))
                placed.append(_decode(part, kind, where, customer, faults))
    return Forms(tuple(placed), frozenset(declared)), faults


def mend(placed: Placed, wrong: frozenset[str]) -> Placed:
    """Return the table with neutral values in place of wrong ones."""
    neutral = {
        field.name: _neutral(field, placed.place)
        for field in fields(placed.form)
        if field.name in wrong
    }
    form = replace(placed.form, **neutral)
    return Placed(placed.place, form, placed.customer, placed.mended | wrong)


def _decode(
    table: Mapping[str, Any],
    kind: type[AnyForm],
    place: Place,
    customer: str,
    faults: list[Fault],
) -> Placed:
    before = len(faults)
    form = decode(table, kind, place, faults)
    if form is not None:
        return Placed(place, form, customer)
    wrong = {str(at[-1]) for at, _ in faults[before:] if len(at) > len(place)}
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in table and field.name not in wrong:
            values[field.name] = convert(table[field.name], field.type)
        else:
            if field.required:
                wrong.add(field.name)
            values[field.name] = _neutral(field, place)
    return Placed(place, kind(**values), customer, frozenset(wrong))


def _neutral(field: FieldInfo, place: Place) -> Any:
    """Return a value that collides with nothing and refers to nothing."""
    if field.default is not NODEFAULT:
        return field.default
    nowhere = f"{NEUTRAL}{'.'.join(map(str, place))}"
    return {"plans": (), "opened": date.min, "channels": 1}.get(field.name, nowhere)


def _each(
    table: Mapping[str, Any], key: str, place: Place, faults: list[Fault]
) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the tables of an array of tables, each with its place."""
    tables = table.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        faults.append(
            ((*place, key), f"write [[{'customer.' if place else ''}{key}]] for each one")
        )
        return
    for position, one in enumerate(tables):
        yield (*place, key, position), one
