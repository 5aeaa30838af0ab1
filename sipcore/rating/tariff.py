"""The catalogue: plans, options, fees, rates. Frozen values decoded from TOML, every fault named.

Knows what is sold and for how much. Not what anybody has bought, and not what a call costs.
"""

import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from functools import cached_property
from importlib import resources
from itertools import pairwise
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from sipcore.errors import BadConfig
from sipcore.numbering import PrefixTable
from sipcore.rating.money import Money, yuan
from sipcore.rating.tables import Fault, as_text, decode, decode_each

Id = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Months = Annotated[int, Meta(ge=0, le=120)]
Amount = int | Decimal  # yuan, as the file has it
Prefix = Annotated[str, Meta(pattern=r"^\+?[0-9]{1,15}$")]


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """What a minute to a prefix costs. `included`: the plan's minutes pay for it."""

    class_: Id = field(name="class")
    prefix: Prefix
    per_minute: Amount
    increment_s: Annotated[int, Meta(ge=1, le=3600)] = 60
    connect: Amount = 0
    band: Id = "any"
    included: bool = False

    @property
    def price(self) -> Money:
        return yuan(self.per_minute)


class Term(Struct, frozen=True, forbid_unknown_fields=True):
    """How long one is bound. `months` does not count the month of application."""

    months: Months = 6
    first_month: Literal["by-day", "whole"] = "by-day"
    prepay: tuple[Literal["monthly", "half-year"], ...] = ("monthly",)
    renewal_months: Months = 12
    notice_days: Count = 30


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """What is rented by the month. `rent` in yuan; `minutes` are included national ones."""

    id: Id
    name: str
    kind: Literal["line", "extensions", "switchboard", "trunk", "option"]
    rent: Amount
    display_numbers: Count = 0
    concurrency: Count = 0
    extensions: Count = 0
    minutes: Count = 0
    per: Literal["account", "number", "seat"] = "account"
    starts: Literal["at-once", "next-month"] = "at-once"
    term_months: Months | None = None


class Fee(Struct, frozen=True, forbid_unknown_fields=True):
    """What is paid once. `amount` in yuan for each of what `per` names."""

    id: Id
    name: str
    amount: Amount
    per: Id
    waived_for_trunks_if_extensions: bool = False


class Totals(Struct, frozen=True):
    """What several plans on one account come to: they add up (service.md section 2)."""

    display_numbers: int = 0
    concurrency: int = 0
    extensions: int = 0
    minutes: int = 0


class Tariff(Struct, frozen=True, dict=True):
    """One version of the catalogue, in force from a day on."""

    version: str
    begins: date
    currency: str
    rates: tuple[Rate, ...]
    term: Term
    plans: tuple[Plan, ...]
    fees: tuple[Fee, ...]

    @cached_property
    def plans_by_id(self) -> dict[str, Plan]:
        return {plan.id: plan for plan in self.plans}

    @cached_property
    def fees_by_id(self) -> dict[str, Fee]:
        return {fee.id: fee for fee in self.fees}

    @cached_property
    def destinations(self) -> PrefixTable[str]:
        """The class of a destination by its longest prefix. No rate, no class."""
        return PrefixTable({rate.prefix: rate.class_ for rate in self.rates})

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(rate.class_ for rate in self.rates)

    def totals(self, plans: Iterable[str]) -> Totals:
        """Add up plans by id; one may stand twice. Raises KeyError for one that is not sold."""
        chosen = [self.plans_by_id[plan] for plan in plans]
        return Totals(
            display_numbers=sum(plan.display_numbers for plan in chosen),
            concurrency=sum(plan.concurrency for plan in chosen),
            extensions=sum(plan.extensions for plan in chosen),
            minutes=sum(plan.minutes for plan in chosen),
        )


class Catalogue(Struct, frozen=True):
    """Versions of a tariff in the order in which they begin."""

    versions: tuple[Tariff, ...]

    def at(self, day: date) -> Tariff:
        """Return the version in force on a day; before the first one, the first."""
        begun = [one for one in self.versions if one.begins <= day]
        return begun[-1] if begun else self.versions[0]


class _Head(Struct, frozen=True, forbid_unknown_fields=True):
    version: Annotated[str, Meta(min_length=1)]
    begins: date = field(name="from")
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "CNY"


def parse_tariff(text: str) -> Tariff:
    """Decode a tariff file. Raises BadConfig with every fault, each with its place."""
    try:
        tables: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as fault:
        raise BadConfig([str(fault)]) from None
    faults: list[Fault] = []
    parts = {name: tables.pop(name, []) for name in ("rate", "plan", "fee")}
    term = decode(tables.pop("term", {}), Term, ("term",), faults)
    head = decode(tables, _Head, (), faults)
    rates = decode_each(parts["rate"], Rate, ("rate",), faults)
    plans = decode_each(parts["plan"], Plan, ("plan",), faults)
    fees = decode_each(parts["fee"], Fee, ("fee",), faults)
    for where, rate in rates:
        faults += _amount_faults((*where, "per_minute"), rate.per_minute)
        faults += _amount_faults((*where, "connect"), rate.connect)
    for where, plan in plans:
        faults += _amount_faults((*where, "rent"), plan.rent)
    for where, fee in fees:
        faults += _amount_faults((*where, "amount"), fee.amount)
    faults += _twice(((*where, "id"), plan.id) for where, plan in plans)
    faults += _twice(((*where, "id"), fee.id) for where, fee in fees)
    faults += _twice(
        ((*where, "prefix"), f"{rate.prefix} in band {rate.band}") for where, rate in rates
    )
    if faults or head is None or term is None:
        raise BadConfig([f"{reason} - at `{as_text(place)}`" for place, reason in faults])
    return Tariff(
        version=head.version,
        begins=head.begins,
        currency=head.currency,
        rates=tuple(rate for _, rate in rates),
        term=term,
        plans=tuple(plan for _, plan in plans),
        fees=tuple(fee for _, fee in fees),
    )


def parse_catalogue(texts: Iterable[str]) -> Catalogue:
    """Decode one file a version. Raises BadConfig; two versions may not begin on the same day."""
    versions = sorted((parse_tariff(text) for text in texts), key=lambda one: one.begins)
    if not versions:
        raise BadConfig(["a catalogue needs a tariff"])
    for earlier, later in pairwise(versions):
        if earlier.begins == later.begins:
            raise BadConfig([f"{earlier.version} and {later.version} both begin {later.begins}"])
    return Catalogue(tuple(versions))


def embedded_catalogue() -> Catalogue:
    """Return the catalogue that comes with sipcore."""
    return parse_catalogue(
        [resources.files(__package__).joinpath("tariff.toml").read_text("utf-8")]
    )


def _amount_faults(place: tuple[str | int, ...], amount: Amount) -> Iterator[Fault]:
    try:
        if yuan(amount) < 0:
            yield place, f"{place[-1]}: {amount} is below zero"
    except ValueError as fault:
        yield place, f"{place[-1]}: {fault}"


def _twice(named: Iterable[tuple[tuple[str | int, ...], str]]) -> Iterator[Fault]:
    seen: set[str] = set()
    for place, name in named:
        if name in seen:
            yield place, f"{name} stands twice"
        seen.add(name)
