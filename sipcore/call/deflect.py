"""A 3xx followed (RFC 3261 8.1.3.4): call deflection by a phone or a PBX, as a forward by it.

Its Contacts are tried one after the other in the order of q, each as an attempt of whoever
deflects: under its rights, its number, its slots. A carrier's 3xx is followed where its setting
allows, as a new attempt of the caller's.
"""

from typing import TYPE_CHECKING

from sipcore.call.callee import CalleeLeg
from sipcore.call.ending import Ending
from sipcore.call.identity import number_in
from sipcore.call.leg import Landed
from sipcore.call.party import party_of
from sipcore.errors import BadMessage
from sipcore.log import logger
from sipcore.message.address import preference
from sipcore.message.diversion import MOST_FORWARDS
from sipcore.message.message import Response
from sipcore.policy.attempt import Attempt, Source

if TYPE_CHECKING:
    from sipcore.call.group import Caller, Group, Won
    from sipcore.call.onward import Onward

MOST_CONTACTS = 5
MOST_ATTEMPTS = 20  # of one call: devices that deflect are many at each step (RFC 5393 5)

_log = logger(__name__)


class Deflection:
    """Where one 3xx leads; tells the call that rings, by its inbox, of each attempt's end."""

    def __init__(self, call: "Caller", by: Source, numbers: list[str], offer: bytes) -> None:
        self._call = call
        self._by = by
        self._numbers = numbers
        self._offer = offer
        self._onward: Onward | None = None
        self.is_over = False

    @property
    def outcome(self) -> "Won | Ending | None":
        """What became of the latest attempt."""
        return None if self._onward is None else self._onward.outcome

    @property
    def onward(self) -> "Onward":
        """The latest attempt."""
        assert self._onward is not None
        return self._onward

    def next(self) -> bool:
        """Try the next Contact; False when none is left."""
        call = self._call
        if not self._numbers or not call.may_forward():
            self.is_over = True
            return False
        source, remaining = call.attempt.source, call.attempt.remaining
        if remaining is None and source.kind != "carrier":
            remaining = source
        asserted = call.attempt.asserted if self._by == source else None
        draw = call.desk.ids.fraction()
        attempt = Attempt(self._by, self._numbers.pop(0), asserted, draw, remaining)
        self._onward = call.forward(attempt, self._offer, self._by)
        self._onward.start(lambda _: call.inbox.feed(Landed(self)))
        return True

    async def stop(self) -> None:
        """Give it up."""
        self.is_over = True
        if self._onward is not None:
            await self._onward.stop()


def deflects(call: "Caller", group: "Group", leg: CalleeLeg, response: Response) -> bool:
    """Follow a 3xx if it may be followed and leads anywhere."""
    if not 300 <= response.status < 400:
        return False
    by = party_of(call.book, leg)
    if by.kind == "carrier":
        carrier = call.book.carriers.get(by.id)
        if carrier is None or not carrier.profile.follows_redirects:
            return False
        by = call.attempt.source
    if len(call.path) >= MOST_FORWARDS:
        _log.info("call=%s was forwarded %d times: no further", call.id, len(call.path))
        return False
    deflection = Deflection(call, by, targets_in(response), group.offer)
    if not deflection.next():
        return False
    group.deflections.append(deflection)
    return True


def targets_in(response: Response) -> list[str]:
    """Return the numbers that a 3xx leads to, the preferred first; each once."""
    try:
        contacts = response.addresses("Contact")
        found = [
            (-preference(one.params.get("q")), number_in(one.uri))
            for one in contacts
            if one.uri.scheme in ("sip", "sips", "tel") and one.uri.user
        ]
    except BadMessage:
        return []
    found.sort(key=lambda pair: pair[0])
    return list(dict.fromkeys(number for _, number in found))[:MOST_CONTACTS]
