"""The rules of the service (service.md section 5), each a short function, in the order of RULES.

A rule is asked about a Case and answers None (no objection) or a Finding. What a refusal says in
SIP stands in attempt.ANSWERS.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from sipcore.policy.attempt import Attempt
from sipcore.policy.book import Book, Extension
from sipcore.policy.caller_id import CallerId
from sipcore.policy.concurrency import Key, trunk_key
from sipcore.policy.routing import Route
from sipcore.policy.standing import ALL_GOOD


class Load(Protocol):
    """How many leases live on a key; 0 for one that nobody holds. Slots.load, or a Counter."""

    def __getitem__(self, key: Key, /) -> int: ...


class Case(Struct, frozen=True, gc=False):
    """All that a rule may look at. `extension` is the caller's, where an extension calls.

    `standing` has the carriers that are not GOOD, by id (standing.py).
    """

    book: Book
    attempt: Attempt
    load: Load
    route: Route
    extension: Extension | None
    caller: CallerId
    standing: Mapping[str, int] = ALL_GOOD


class Finding(Struct, frozen=True, gc=False):
    """Why. `towards`: a more special row of ANSWERS than the rule's own."""

    reason: str
    towards: str = ""


class Rule(Struct, frozen=True, gc=False):
    """A named rule. With `passes` a finding lets the call go, past every rule after this one.

    `is_callers`: of an extension's call out it looks at the Book and the caller alone, where nobody
    remains and nothing is private. What it finds holds for all such calls.
    """

    name: str
    check: Callable[[Case], Finding | None]
    passes: bool = False
    is_callers: bool = False


def emergency(case: Case) -> Finding | None:
    """110, 119, 120, 122 from extensions and customers' trunks always pass."""
    return Finding("emergency number") if case.route.is_emergency else None


def third_party(case: Case) -> Finding | None:
    """A call that came from one carrier never leaves by another."""
    if case.attempt.source.kind == "carrier" and case.route.direction == "outbound":
        return Finding(f"transit from carrier {case.attempt.source.id} to {case.route.callee}")
    return None


def display_number(case: Case) -> Finding | None:
    """An outbound call shows one of the account's own numbers. Before the rest: spoofing counts.

    It is never anonymous: whoever would rather not call then is heeded.
    """
    if case.route.direction != "outbound":
        return None
    if case.caller.fault is not None:
        return Finding(case.caller.fault)
    if case.attempt.is_critical:
        return Finding("privacy is critical, and a call out shows its number", "critical")
    return None


def real_name(case: Case) -> Finding | None:
    """An unverified customer makes no outside call."""
    if case.route.direction != "outbound":
        return None
    if case.book.customers[case.route.account.customer].is_verified:
        return None
    return Finding(f"customer {case.route.account.customer} is not verified")


def soft_landing(case: Case) -> Finding | None:
    """A soft client calls inside, never out to the public network; nor is it led there by others.

    Nor is one who was called there led to it.
    """
    route, remaining = case.route, case.attempt.remaining
    talker: Extension | None = None
    if route.direction != "outbound":
        if remaining is None or remaining.kind != "carrier" or route.leads_to[0] != "extension":
            return None
        talker = case.book.extension(route.account.customer, route.leads_to[1])
    elif remaining is not None and remaining.kind == "extension":
        talker = case.book.extension(remaining.customer, remaining.id)
    caller = case.extension if route.direction == "outbound" else None
    for one in (caller, talker):
        if one is not None and one.device == "soft":
            return Finding(f"extension {one.number} is a soft client")
    return None


def destination(case: Case) -> Finding | None:
    """A destination has a rate, and the account may call its class."""
    route = case.route
    if route.direction != "outbound" or route.destination in route.account.classes:
        return None
    if route.destination is None:
        return Finding(f"no rate for {route.callee}")
    return Finding(f"class {route.destination} is not allowed to account {route.account.id}")


def concurrency(case: Case) -> Finding | None:
    """At most the plan's external calls, and a PBX's channels. The call itself takes the slot."""
    source = case.attempt.source
    own_trunk = trunk_key(source.id) if source.kind == "trunk" else ""
    for key, limit in case.route.slots:
        if limit is None or case.load[key] < limit or key.startswith("carrier:"):
            continue
        is_callers = case.route.direction == "outbound" or key == own_trunk
        return Finding(f"{key} has {limit} of {limit} calls", "" if is_callers else "inbound")
    return None


def carriers(case: Case) -> Finding | None:
    """A carrier has a channel free: the one that calls. (That one is for a call out, decide()
    says: it looks for whom to try.)"""
    if case.route.direction == "outbound":
        return None
    for key, limit in case.route.slots:
        if limit is not None and key.startswith("carrier:") and case.load[key] >= limit:
            return Finding(f"{key} has {limit} of {limit} calls")
    return None


# What will not pass by waiting is named before what will: money and channels come last.
RULES: tuple[Rule, ...] = (
    Rule("emergency", emergency, passes=True),
    Rule("third-party", third_party, is_callers=True),
    Rule("display-number", display_number, is_callers=True),
    Rule("real-name", real_name, is_callers=True),
    Rule("soft-landing", soft_landing, is_callers=True),
    Rule("destination", destination),
    Rule("concurrency", concurrency),
    Rule("carriers", carriers, is_callers=True),
)
