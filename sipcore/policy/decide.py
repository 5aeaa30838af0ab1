"""May this call be made, and where to: a function of a snapshot, which support can replay.

Reads top to bottom: where it leads (routing), what it shows (caller_id), what forbids it (rules),
whom to try (targets). Takes no slot: the call does, before any INVITE leaves.
"""

from collections.abc import Mapping

from msgspec import Struct

from sipcore.policy.attempt import (
    Attempt,
    CarrierTarget,
    ExtensionTarget,
    Permit,
    Refuse,
    Target,
    TrunkTarget,
    answer_to,
)
from sipcore.policy.book import Book, Carrier, Extension
from sipcore.policy.caller_id import CallerId, inside_caller, outside_caller, public_caller
from sipcore.policy.profile import USUAL, Profile
from sipcore.policy.routing import OUTSIDE, Route, Unrouted, find_route, in_weighted_order
from sipcore.policy.rules import RULES, Case, Load, Rule
from sipcore.policy.standing import ALL_GOOD, GOOD, TRIAL

MOST_KNOWN = 4096  # a Book's callers, each by what it says that its number is
MOST_CHARS = 64


class Known(Struct, frozen=True, gc=False):
    """What the Book says of an extension that calls, whatever it dials: found once a Book.

    `caller`: what its calls out show. `rules`: those that may object to one.
    """

    extension: Extension | None
    caller: CallerId
    rules: tuple[Rule, ...]


def decide(
    book: Book, attempt: Attempt, load: Load, standing: Mapping[str, int] = ALL_GOOD
) -> Permit | Refuse:
    """Return the permit or the refusal of an attempt, the whole reason in its arguments.

    `standing`: how the carriers stand that are not GOOD.
    """
    known = None
    if attempt.source.kind == "extension" and not (attempt.remaining or attempt.is_critical):
        known = _known(book, attempt)
    extension = _calling_extension(book, attempt) if known is None else known.extension
    route = find_route(book, attempt)
    if isinstance(route, Unrouted):
        return _unrouted(attempt, route, extension)
    if known is not None and route.direction == "outbound":
        caller, rules = known.caller, known.rules
    else:
        caller, rules = _caller(book, attempt, route, extension), RULES
    case = Case(book, attempt, load, route, extension, caller, standing)
    for rule in rules:
        finding = rule.check(case)
        if finding is None:
            continue
        if rule.passes:
            break
        return _refused(case, rule.name, finding.reason, finding.towards)
    targets = _targets(case)
    if not targets:
        why = f"no carrier has a channel free for {route.callee}"
        return _refused(case, "carriers", why if book.carriers else "no carrier is provisioned", "")
    return Permit(
        direction=route.direction,
        customer=route.account.customer,
        account=route.account.id,
        caller_asserted=attempt.asserted or "",
        caller_shown=case.caller.number,
        caller_name=case.caller.name,
        callee_routed=route.callee,
        targets=targets,
        slots=route.slots,
        device=_device(attempt, extension),
        is_emergency=route.is_emergency,
        is_recorded=extension is not None and extension.is_recorded,
    )


def _known(book: Book, attempt: Attempt) -> Known | None:
    """Return what is known of an extension; None where its account is not provisioned."""
    source, asserted = attempt.source, attempt.asserted
    known = book.known.get((source, asserted))
    account = book.accounts.get(source.account)
    if known is not None or account is None:
        return known
    extension = _calling_extension(book, attempt)
    caller = outside_caller(book, account, extension, asserted)
    sample = Attempt(source, "", asserted)
    case = Case(book, sample, {}, Route("outbound", account, "", OUTSIDE), extension, caller)
    rules = tuple(one for one in RULES if not one.is_callers or one.check(case) is not None)
    known = Known(extension, caller, rules)
    if len(asserted or "") <= MOST_CHARS:
        if len(book.known) >= MOST_KNOWN:
            book.known.clear()
        book.known[source, asserted] = known
    return known


def _calling_extension(book: Book, attempt: Attempt) -> Extension | None:
    source = attempt.source
    return book.extension(source.customer, source.id) if source.kind == "extension" else None


def _caller(book: Book, attempt: Attempt, route: Route, extension: Extension | None) -> CallerId:
    asserted = attempt.asserted
    profile = USUAL
    if asserted and extension is None:
        profile = book.profile(attempt.source.kind, attempt.source.id)
    if asserted and profile != USUAL:  # a peer may have its own way to write numbers
        asserted = profile.read(asserted, book.home) or asserted
    if route.direction == "outbound":
        return outside_caller(book, route.account, extension, asserted)
    if attempt.is_private:
        return CallerId("")
    if route.direction == "inbound":
        return public_caller(book, asserted)
    return inside_caller(book, attempt.source, route.account, extension, asserted)


def _targets(case: Case) -> tuple[tuple[Target, ...], ...]:
    """Return whom to try: one group inside, a group a carrier outside."""
    book, route = case.book, case.route
    if route.leads_to == OUTSIDE:
        return _carrier_targets(case)
    kind, to = route.leads_to
    if kind == "trunk":
        profile, home = book.trunks[to].profile, book.home
        caller = profile.told_caller(case.caller.number, home)
        return ((TrunkTarget(to, profile.told(route.callee, home), caller),),)
    return ((ExtensionTarget(route.account.customer, to),),)


def _carrier_targets(case: Case) -> tuple[tuple[Target, ...], ...]:
    """Return a group for each carrier: priority first, then by weight (service.md section 1).

    Those that stand worse come after all others, and are left out for nobody.
    """
    book, route, load = case.book, case.route, case.load
    wants, destination, is_emergency = book.carrier_wants, route.destination, route.is_emergency
    carriers: list[Carrier] = []
    for rank in book.carrier_ranks:
        free = [
            one
            for one in rank
            if is_emergency  # it may exceed class and channels
            or (destination in one.allow and load[wants[one.id][0]] < one.channels)
        ]
        carriers += in_weighted_order(free, case.attempt.draw) if len(free) > 1 else free
    if case.standing:
        carriers.sort(key=lambda one: _level(case, one))
    targets: list[tuple[Target, ...]] = []
    profile: Profile | None = None
    for one in carriers:
        if one.profile is not profile:  # nearly all have the same
            profile = one.profile
            callee = profile.told(route.callee, book.home)
            caller = profile.told_caller(case.caller.number, book.home)
        want = wants[one.id]
        slots = ((want[0], None) if is_emergency else want,)
        targets.append((CarrierTarget(one.id, callee, caller, slots),))
    return tuple(targets)


def _level(case: Case, carrier: Carrier) -> int:
    """Return how late a carrier is tried. An emergency call is nobody's trial."""
    level = case.standing.get(carrier.id, GOOD)
    return GOOD if level == TRIAL and not case.route.is_emergency else level


def _device(attempt: Attempt, extension: Extension | None) -> str:
    if extension is not None:
        return extension.device
    return "pbx" if attempt.source.kind == "trunk" else ""


def _refused(case: Case, rule: str, reason: str, towards: str) -> Refuse:
    answer = answer_to(rule, towards)
    return Refuse(
        rule=rule,
        reason=reason,
        sip_status=answer.sip_status,
        q850_cause=answer.q850_cause,
        said=answer.said,
        direction=case.route.direction,
        customer=case.route.account.customer,
        account=case.route.account.id,
        caller_asserted=case.attempt.asserted or "",
        caller_shown=case.caller.number if case.caller.fault is None else "",
        callee_routed=case.route.callee,
        device=_device(case.attempt, case.extension),
    )


def _unrouted(attempt: Attempt, route: Unrouted, extension: Extension | None) -> Refuse:
    answer = answer_to(route.rule)
    return Refuse(
        rule=route.rule,
        reason=route.reason,
        sip_status=answer.sip_status,
        q850_cause=answer.q850_cause,
        said=answer.said,
        direction=route.direction,
        customer=attempt.source.customer,
        account=attempt.source.account,
        caller_asserted=attempt.asserted or "",
        callee_routed=route.callee,
        device=_device(attempt, extension),
    )
