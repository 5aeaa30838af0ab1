"""Where a dialled number leads (service.md section 1) and in which order carriers are tried.

Tried as: emergency, *codes, own extensions, service numbers, own customer's display numbers
(inside), outside. Whether the call may go there is for rules.py.
"""

from collections.abc import Iterator

from msgspec import Struct

from sipcore.numbering import normalise, without_separators
from sipcore.policy.attempt import Attempt, Direction, Source
from sipcore.policy.book import Account, Book, Carrier, DisplayNumber, Extension
from sipcore.policy.concurrency import Want, account_key, carrier_key, trunk_key

EMERGENCY = frozenset({"110", "119", "120", "122"})
NOBODY = Account(id="", customer="")  # of a call from outside to a number that nobody here owns
OUTSIDE = ("outside", "")


class Route(Struct, frozen=True, gc=False):
    """Where a call would go. `leads_to`: a kind and an id, as DisplayNumber has them, or OUTSIDE.

    `destination` is the class of an outside number, None where no rate is known for it.
    """

    direction: Direction
    account: Account
    callee: str
    leads_to: tuple[str, str]
    slots: tuple[Want, ...] = ()
    destination: str | None = None
    is_emergency: bool = False


class Unrouted(Struct, frozen=True, gc=False):
    """Nowhere to go, and the rule that says so."""

    rule: str
    reason: str
    direction: Direction
    callee: str = ""


def find_route(book: Book, attempt: Attempt) -> Route | Unrouted:
    """Return where the call would go."""
    source = attempt.source
    dialled = without_separators(attempt.dialled)
    if source.kind == "carrier":
        return _from_carrier(book, source, dialled)
    account = book.accounts.get(source.account)
    own_slots = _source_slots(book, source)
    if account is None or own_slots is None:
        return Unrouted("third-party", f"{source.kind} {source.id} is not provisioned", "outbound")
    if dialled not in EMERGENCY:  # inside first without normalising: most calls end here
        if dialled.startswith("*"):
            return Unrouted("unknown", f"no service has the code {dialled}", "internal", dialled)
        if book.extension(source.customer, dialled) is not None:
            return Route("internal", account, dialled, ("extension", dialled), own_slots)
    number = book.read(dialled, source.kind, source.id)
    if number is None:
        return Unrouted("unknown", f"{dialled!r} is not a number", "outbound", dialled)
    if number in EMERGENCY:
        free = tuple((key, None) for key, _ in own_slots)
        return Route("outbound", account, number, OUTSIDE, free, is_emergency=True)
    if number == book.hotline:
        return Unrouted("unknown", "the hotline is not in service yet", "internal", number)
    owned = book.display_number(number)
    if owned is not None and owned.customer == source.customer:
        return _to_own_number(book, owned, Route("internal", account, number, OUTSIDE, own_slots))
    return _outside(book, account, number, own_slots)


def _outside(
    book: Book, account: Account, number: str, own_slots: tuple[Want, ...]
) -> Route | Unrouted:
    """Route to the public network. A short number goes out only where a rate names it."""
    destination = book.destination_class(number)
    if destination is None and number[0] != "+":
        return Unrouted("unknown", f"nothing here has the number {number}", "outbound", number)
    slots = ((account_key(account.id), account.concurrency), *own_slots)
    return Route("outbound", account, number, OUTSIDE, slots, destination)


def _from_carrier(book: Book, source: Source, dialled: str) -> Route | Unrouted:
    """Route a call from the public network: to the number's owner, or nowhere.

    A number that is not ours would have to leave by a carrier again: the third-party rule judges
    that. An unallocated one of our own blocks is simply unknown.
    """
    own_slots = _source_slots(book, source)
    if own_slots is None:
        return Unrouted("third-party", f"carrier {source.id} is not provisioned", "inbound")
    number = book.read(dialled, source.kind, source.id) or dialled
    owned = book.display_number(number)
    if owned is not None:
        account = book.accounts[owned.account]
        slots = ((account_key(account.id), account.concurrency), *own_slots)
        return _to_own_number(book, owned, Route("inbound", account, number, OUTSIDE, slots))
    destination = book.destination_class(number)
    if destination is None or book.is_own_block(number):
        return Unrouted("unknown", f"nobody here has the number {number}", "inbound", number)
    return Route("outbound", NOBODY, number, OUTSIDE, own_slots, destination)


def _to_own_number(book: Book, owned: DisplayNumber, route: Route) -> Route | Unrouted:
    """Follow a display number to where it leads; `route` has all but that."""
    kind, to = owned.leads_to
    slots = route.slots
    if kind == "extension" and book.extension(owned.customer, to) is not None:
        callee = to
    elif kind == "trunk" and to in book.trunks:
        callee = owned.number
        slots = (*slots, (trunk_key(to), book.trunks[to].channels))
    else:
        where = f"{kind}:{to}" if to else kind
        reason = f"{owned.number} leads to {where}, which is not in service"
        return Unrouted("unknown", reason, route.direction, owned.number)
    return Route(route.direction, route.account, callee, owned.leads_to, slots)


def extension_of(book: Book, customer: str, dialled: str) -> Extension | None:
    """Return the customer's own extension that a number stands for: a short or a display number."""
    dialled = without_separators(dialled)
    found = book.extension(customer, dialled)
    if found is not None:
        return found
    owned = book.display_number(normalise(dialled, book.home) or "")
    if owned is None or owned.customer != customer or owned.leads_to[0] != "extension":
        return None
    return book.extension(customer, owned.leads_to[1])


def _source_slots(book: Book, source: Source) -> tuple[Want, ...] | None:
    """Return the channel that a call takes on the trunk or carrier it comes from; None: no such."""
    if source.kind == "extension":
        return ()
    if source.kind == "trunk":
        trunk = book.trunks.get(source.id)
        return None if trunk is None else ((trunk_key(trunk.id), trunk.channels),)
    carrier = book.carriers.get(source.id)
    return None if carrier is None else ((carrier_key(carrier.id), carrier.channels),)


def in_weighted_order(carriers: list[Carrier], draw: float) -> Iterator[Carrier]:
    """Yield carriers of one priority in a random order in which weight counts (RFC 2782).

    One draw in [0, 1) is enough: what is left of it inside the chosen interval is uniform again.
    Weight 0 comes after all others.
    """
    left = [one for one in carriers if one.weight > 0]
    while len(left) > 1:
        point = draw * sum(one.weight for one in left)
        chosen = 0
        while point >= left[chosen].weight and chosen < len(left) - 1:
            point -= left[chosen].weight
            chosen += 1
        carrier = left.pop(chosen)
        draw = point / carrier.weight
        yield carrier
    yield from left
    yield from (one for one in carriers if one.weight == 0)
