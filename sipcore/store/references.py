"""What a row names exists, and what it sums up to is sold: checks over file and store together.

Each check yields the faults of one kind of row. They stand in CHECKS.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from msgspec import Struct

from sipcore.numbering import normalise
from sipcore.rating.money import Money, text
from sipcore.rating.tables import Fault, Place
from sipcore.rating.tariff import Tariff
from sipcore.store.forms import AccountForm, Placed, TrunkForm
from sipcore.store.merge import Merged
from sipcore.store.rows import (
    AccountRow,
    CarrierRow,
    CustomerRow,
    ExtensionRow,
    NumberRow,
    Rows,
    Site,
    TrunkRow,
)

_CLASSES = frozenset({"national", "international", "premium", "satellite"})


class Case(Struct, frozen=True):
    """`declared`: (table, customer, name) of all tables of the file, those with faults too: what
    names such a one is not blamed again.
    """

    declared: frozenset[tuple[str, str, str]]
    merged: Merged
    stored: Rows
    tariff: Tariff
    site: Site

    def has_account(self, customer: str, account: str) -> bool:
        known = self.merged.rows.accounts.get(account)
        is_known = known is not None and known.customer == customer
        return is_known or ("account", customer, account) in self.declared

    def has_extension(self, customer: str, number: str) -> bool:
        known = (customer, number) in self.merged.rows.extensions
        return known or ("extension", customer, number) in self.declared

    def has_trunk(self, customer: str, trunk: str) -> bool:
        known = self.merged.rows.trunks.get(trunk)
        is_known = known is not None and known.customer == customer
        return is_known or ("trunk", customer, trunk) in self.declared


Check = Callable[[Case], Iterator[Fault]]


def _carriers(case: Case) -> Iterator[Fault]:
    known = _CLASSES | case.tariff.classes
    for _, placed, row in case.merged.new("carrier"):
        assert isinstance(row, CarrierRow)
        if row.register is None and "From" not in row.profile.caller_in:
            reason = "profile: without From in caller_in, From has the user of `register`"
            yield (*placed.place, "profile"), reason
        for one in row.allow:
            if one not in known:
                yield (*placed.place, "allow"), f"allow: there is no destination class {one}"


def _customers(case: Case) -> Iterator[Fault]:
    """A domain is part of the hashes of user@domain, which cannot be made without passwords."""
    given = {(placed.customer, _user_of(row)) for placed, row in case.merged.placed.values()}
    for _, placed, row in case.merged.new("customer"):
        assert isinstance(row, CustomerRow)
        was = case.stored.customers.get(row.id)
        if was is None or was.domain == row.domain:
            continue
        left = [
            user
            for customer, user in case.stored.credentials
            if customer == row.id and (row.id, user) not in given
        ]
        if left:
            reason = f"domain: was {was.domain}; give the passwords of {len(left)} users again"
            yield (*placed.place, "domain"), f"{reason} ({', '.join(sorted(left)[:5])})"


def _user_of(row: object) -> str | None:
    if isinstance(row, ExtensionRow):
        return row.number
    return row.user if isinstance(row, TrunkRow) else None


def _accounts(case: Case) -> Iterator[Fault]:
    for key, placed, row in case.merged.new("account"):
        assert isinstance(row, AccountRow)
        place = placed.place
        yield from _sold(case, row, place)
        if row.prepay not in case.tariff.term.prepay:
            yield (*place, "prepay"), f"prepay: {row.prepay} is not offered"
        if row.payment == "postpaid" and row.credit_limit is None:
            yield (*place, "payment"), "payment: postpaid needs a credit_limit"
        if row.payment == "prepaid" and row.credit_limit is not None:
            yield (*place, "credit_limit"), "credit_limit: a prepaid account has none"
        if row.closed is not None and row.closed < row.opened:
            yield (*place, "closed"), f"closed: {row.closed} is before opened, {row.opened}"
        was = case.stored.accounts.get(str(key))
        if was is not None and was.deposit != row.deposit:
            before, now = text(Money(was.deposit)), text(Money(row.deposit))
            reason = f"deposit: was {before}, is {now}; it is posted once, recharge the account"
            yield (*place, "deposit"), reason


def _sold(case: Case, row: AccountRow, place: Place) -> Iterator[Fault]:
    plans = case.tariff.plans_by_id
    for one in dict.fromkeys(row.plans):
        if one not in plans:
            yield (*place, "plans"), f"plans: the tariff has no plan {one}"
        elif plans[one].kind == "option":
            yield (*place, "plans"), f"plans: {one} is an option, not a plan"
    for option in row.options:
        if option.id not in plans or plans[option.id].kind != "option":
            yield (*place, "options"), f"options: the tariff has no option {option.id}"
    for fee in row.fees:
        if fee.id not in case.tariff.fees_by_id:
            yield (*place, "fees"), f"fees: the tariff has no fee {fee.id}"


def _numbers(case: Case) -> Iterator[Fault]:
    for _, placed, row in case.merged.new("number"):
        assert isinstance(row, NumberRow)
        yield from _account_of(case, row, placed)
        kind, _, to = row.to.rpartition(":")
        if row.to == "hotline":
            continue
        if kind == "":
            is_there, what = case.has_extension(row.customer, to), f"extension {to}"
        else:
            is_there, what = kind == "trunk" and case.has_trunk(row.customer, to), f"{kind} {to}"
        if not is_there:
            yield (*placed.place, "to"), f"to: customer {row.customer} has no {what}"


def _extensions(case: Case) -> Iterator[Fault]:
    for _, placed, row in case.merged.new("extension"):
        assert isinstance(row, ExtensionRow)
        yield from _account_of(case, row, placed)
    home = case.site.home
    declared = {
        (customer, normalise(name, home))
        for kind, customer, name in case.declared
        if kind == "number"
    }
    numbers = case.merged.rows.numbers
    for key, extension in case.merged.rows.extensions.items():
        shown = extension.display_number
        if shown is None:
            continue
        number = numbers.get(shown)
        if number is None and (extension.customer, shown) in declared:
            continue
        if number is None or number.account != extension.account:
            place = case.merged.place("extension", key) or case.merged.place("number", shown) or ()
            reason = f"{shown} is not a number of account {extension.account}"
            yield (*place, "display_number"), f"display_number of {extension.number}: {reason}"


def _trunks(case: Case) -> Iterator[Fault]:
    for _, placed, row in case.merged.new("trunk"):
        assert isinstance(row, TrunkRow)
        assert isinstance(placed.form, TrunkForm)
        yield from _account_of(case, row, placed)
        if (row.user is None) != (placed.form.password is None):
            yield placed.place, "user and password go together"
        if row.uri is None and row.user is None:
            yield placed.place, "a trunk needs a uri to be called at, or a user to register as"
        if "From" not in row.profile.caller_in:
            yield (*placed.place, "profile"), "profile: caller_in of a trunk needs From"
        if row.uri is None and row.health_s:
            yield (*placed.place, "health"), "health: there is no uri to ask at"


def _account_of(
    case: Case, row: NumberRow | ExtensionRow | TrunkRow, placed: Placed
) -> Iterator[Fault]:
    if not case.has_account(row.customer, row.account):
        reason = f"customer {row.customer} has no account {row.account}"
        yield (*placed.place, "account"), f"account: {reason}"


def _totals(case: Case) -> Iterator[Fault]:
    """Numbers and extensions of an account are at most what its plans grant together."""
    rows = case.merged.rows
    numbers = Counter(row.account for row in rows.numbers.values())
    extensions = Counter(row.account for row in rows.extensions.values())
    # The last row of the file that touches an account is the one too many.
    touched: dict[str, Place] = {}
    for placed, row in case.merged.placed.values():
        if isinstance(row, NumberRow | ExtensionRow):
            touched[row.account] = placed.place
    for placed, row in case.merged.placed.values():
        if isinstance(placed.form, AccountForm) and isinstance(row, AccountRow):
            touched[row.id] = (*placed.place, "plans")
    for id_, place in touched.items():
        account = rows.accounts.get(id_)
        if account is None or any(one not in case.tariff.plans_by_id for one in account.plans):
            continue
        granted = case.tariff.totals(account.plans)
        for count, allowed, what in (
            (numbers[id_], granted.display_numbers, "display numbers"),
            (extensions[id_], granted.extensions, "extensions"),
        ):
            if count > allowed:
                yield place, f"account {id_}: {count} {what}, its plans grant {allowed}"


CHECKS: tuple[Check, ...] = (
    _carriers,
    _customers,
    _accounts,
    _numbers,
    _extensions,
    _trunks,
    _totals,
)
