"""Requests of ours within a call: a session timer is refreshed (RFC 4028), or a side is told what
the other one has changed without it (an answer from another fork, an UPDATE answered here).

One offer at a time; UPDATE where the peer allows it, else re-INVITE. After 491 both sides wait a
random time (RFC 3261 14.1).
"""

from collections.abc import Mapping

from sipcore.call.exchange import OVER
from sipcore.call.leg import Leg
from sipcore.dialog.events import Reply
from sipcore.dialog.negotiation import (
    CONCLUDE,
    FAIL,
    RECEIVE_ANSWER,
    glare_wait_s,
)
from sipcore.dialog.transaction import Transaction
from sipcore.errors import BadMessage, MediaError
from sipcore.ids import Ids
from sipcore.log import logger
from sipcore.media.control import Side
from sipcore.media.session import MediaSession

MOST_OFFERS = 6  # of ours in a row that nobody asked for: two peers that answer back for ever
LATER_S = 2.0  # where an offer of ours may not go yet
LONGEST_WAIT_S = 30  # of a Retry-After
WORTH_ANOTHER = frozenset({491, 500, 503})

_log = logger(__name__)


class Upkeep:
    """One per call that talks. `next_at`: when `act` must be called; None for never."""

    _offering: tuple[Transaction, Leg] | None = None
    _count = 0

    def __init__(self, media: MediaSession, ids: Ids, legs: Mapping[Side, Leg]) -> None:
        self._media = media
        self._ids = ids
        self._legs = legs
        self._due: dict[Side, float] = {}  # from when on a side may be told
        self._refreshing: dict[Transaction, Leg] = {}  # UPDATEs without SDP

    @property
    def is_open(self) -> bool:
        """True while an offer of ours waits for its answer."""
        return self._offering is not None

    @property
    def next_at(self) -> float | None:
        """When something is to be done: a side told, a timer refreshed, or a leg given up."""
        at = min(self._due.values()) if self._due and self._offering is None else None
        for leg in self._legs.values():
            timer = leg.timer
            if timer is not None and not leg.is_over and (at is None or timer.next_at < at):
                at = timer.next_at
        return at

    def look(self, now: float) -> None:
        """Find out whether a side must be told something; it has changed, nobody has told it."""
        self._count = 0
        self._look(now)

    def _look(self, now: float) -> None:
        for side in self._legs:
            if self._media.is_due(side):
                self._due.setdefault(side, now)
            else:
                self._due.pop(side, None)

    def act(self, now: float, *, is_free: bool) -> Leg | None:
        """Do what is due; return a leg whose session nobody has refreshed in time.

        `is_free`: no offer of the peers is open, so that one of ours may go.
        """
        for side, leg in self._legs.items():
            timer = leg.timer
            if leg.is_over:
                self._due.pop(side, None)
            elif timer is not None and timer.next_at <= now:
                if timer.over_at <= now:
                    return leg
                self._refresh(leg, now, is_free=is_free)
            elif self._due.get(side, now + 1) <= now and self._offering is None:
                self._tell(side, leg, now, is_free=is_free)
        return None

    def _refresh(self, leg: Leg, now: float, *, is_free: bool) -> None:
        assert leg.timer is not None
        if leg.allows("UPDATE"):
            leg.timer.take_turn()
            self._refreshing[leg.request("UPDATE")] = leg
        elif is_free and self._offering is None and leg.negotiation.may_offer("INVITE"):
            leg.timer.take_turn()
            self._offering = leg.request("INVITE", None, self._media.repeat(leg.side)), leg
        else:
            leg.timer.put_off(now + LATER_S)

    def _tell(self, side: Side, leg: Leg, now: float, *, is_free: bool) -> None:
        method = "UPDATE" if leg.allows("UPDATE") else "INVITE"
        if not is_free or not leg.negotiation.may_offer(method):
            self._due[side] = now + LATER_S
            return
        del self._due[side]
        self._count += 1
        if self._count > MOST_OFFERS or not self._media.is_due(side):
            return
        self._offering = leg.request(method, None, self._media.retell(side)), leg

    def owns(self, transaction: Transaction) -> bool:
        """Tell whether an event's transaction is one of these requests."""
        offering = self._offering
        return transaction in self._refreshing or (
            offering is not None and offering[0] is transaction
        )

    def reply(self, event: Reply, now: float) -> bool:
        """Take an answer. False when it ends the leg."""
        response = event.response
        if response.status < 200:
            return True
        leg = self._refreshing.pop(event.transaction, None)
        if leg is not None:
            if response.status < 300:
                leg.updated(response)
                return True
            return self._refused(leg, event, now)
        assert self._offering is not None
        leg, self._offering = self._offering[1], None
        if event.transaction.is_invite:
            leg.negotiation.step(CONCLUDE)
        if response.status >= 300:
            leg.negotiation.step(FAIL)
            return self._refused(leg, event, now)
        if event.transaction.is_invite:
            leg.renewed(response)
            leg.ack(response)
        else:
            leg.updated(response)
        try:
            self._media.learn(leg.side, response.body, leg.source)
            leg.negotiation.step(RECEIVE_ANSWER)
        except (BadMessage, MediaError) as fault:
            leg.negotiation.step(FAIL)
            self._media.withdraw()
            _log.info("%s answered an offer of ours with what cannot be used: %s", leg.side, fault)
        self._look(now)
        return True

    def _refused(self, leg: Leg, event: Reply, now: float) -> bool:
        """Ask again later where that is worth it; else leave the session as it was."""
        response, timer = event.response, leg.timer
        if response.status in OVER:
            return False
        method, is_offer = event.transaction.method, bool(event.request.body)
        if timer is not None and timer.heed(response):
            wait_s = 0.0
        elif method == "UPDATE" and response.status in (405, 501):
            leg.allow, wait_s = None, 0.0
        elif response.status in WORTH_ANOTHER:
            asked_s = self._retry_after_s(event)
            owns = leg.side == "b"
            wait_s = asked_s or glare_wait_s(self._ids.fraction(), owns_call_id=owns)
        else:
            self._media.withdraw()
            return True
        if is_offer:
            self._media.put_off()
            if self._media.is_due(leg.side):
                self._due[leg.side] = now + wait_s
        if timer is not None and timer.is_ours and timer.refresh_at is None:
            timer.put_off(now + wait_s)
        return True

    @staticmethod
    def _retry_after_s(event: Reply) -> float:
        try:
            return float(min(event.response.number("Retry-After", 2**31) or 0, LONGEST_WAIT_S))
        except BadMessage:
            return 0.0

    def leave(self, leg: Leg) -> None:
        """A leg has hung up, and the call goes on: no answer comes to what it was offered."""
        if self._offering is not None and self._offering[1] is leg:
            self.close()
            self._media.put_off()

    def close(self) -> None:
        """Leave nothing open: the call ends."""
        if self._offering is not None:
            transaction, leg = self._offering
            leg.endpoint.cancel(transaction)
            self._offering = None
