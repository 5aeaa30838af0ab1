"""An attended transfer: REFER with a Replaces that names another call of the transferor's customer.

That call is taken apart: whoever is at its other end joins this one, with its record and slots; the
transferor's leg in it ends. While it still rings it is rung anew from here, as a blind transfer.
"""

from functools import partial
from typing import TYPE_CHECKING, cast

from sipcore.call.desk import Desk
from sipcore.call.ending import Ending, failed, hung_up, quoted
from sipcore.call.leg import Deed, Leg
from sipcore.call.part import Part
from sipcore.call.party import party_of
from sipcore.call.renewal import Renewal
from sipcore.call.transfer import AGAIN_S, GLARE_S, Transfer
from sipcore.errors import BadMessage, MediaError
from sipcore.log import logger
from sipcore.message.message import Response
from sipcore.message.refer import Replaces
from sipcore.policy.attempt import CarrierTarget

if TYPE_CHECKING:
    from sipcore.call.call import Call

NO_SUCH_CALL = failed(481, "Replaces names no call of this customer's")
GLARES = 3

_log = logger(__name__)


async def attend(transfer: Transfer, replaces: Replaces) -> Ending | None:
    """Find the other call and begin to join it."""
    call = transfer.call
    found = find(call.desk, replaces)
    if found is None or found[1] is call:
        return transfer.fail(NO_SUCH_CALL)
    leg, other = found
    if party_of(call.book, leg).customer != transfer.source.customer:
        return transfer.fail(NO_SUCH_CALL)
    if not other.is_answered:
        if replaces.is_early_only or leg is not other.a:
            return transfer.fail(NO_SUCH_CALL)
        other.inbox.feed(failed(487, "transferred before the answer", "caller", q850=16))
        return await transfer.ring(other.attempt.dialled)
    if replaces.is_early_only:
        return transfer.fail(failed(486, "the call to be replaced is answered"))
    return await _Join(transfer, other, leg).begin()


def find(desk: Desk, replaces: Replaces) -> tuple[Leg, "Call"] | None:
    """Return the leg whose dialog is named, and its call."""
    leg = leg_of(desk, replaces)
    if leg is None or leg.owner is None:
        return None
    call = desk.calls.get(leg.owner.id)
    return (leg, cast("Call", call)) if call is leg.owner else None


def leg_of(desk: Desk, replaces: Replaces) -> Leg | None:
    """Return the leg whose dialog is named: of a call, or of an attempt that follows from one.

    The peer's tags may stand either way round: seen by the peer itself, who asks us to replace it,
    or as we see them, by one who has them from dialog-info (RFC 4235).
    """
    tags = (replaces.to_tag, replaces.from_tag)
    leg = desk.endpoint.user_of(replaces.call_id, tags)
    if leg is None:
        leg = desk.endpoint.user_of(replaces.call_id, tags[::-1])
    return leg if isinstance(leg, Leg) and not leg.is_over else None


class _Join:
    """Two calls that become one: `other` gives what is at the far end of `leg`."""

    def __init__(self, transfer: Transfer, other: "Call", leg: Leg) -> None:
        self._transfer = transfer
        self._other = other
        self._leg = leg  # the transferor's in the other call
        self._newcomer = other.sides["b" if leg.side == "a" else "a"]
        self._glares = 0
        self._is_asking = False  # the newcomer's answer is awaited
        self._is_moved = False  # it has answered, and hears this call

    def abandon(self) -> None:
        """The transfer is over before anything was joined."""
        if not self._is_asking:  # else when the answer comes
            self._let_go(self._is_moved)

    def _fail(self, end: Ending) -> Ending | None:
        self._let_go(self._is_moved)
        return self._transfer.fail(end)

    async def begin(self) -> Ending | None:
        """Offer the newcomer what whoever stays can do."""
        transfer, other, newcomer = self._transfer, self._other, self._newcomer
        talking = other.talking
        if talking is None or self._leg.is_over or newcomer.is_over or talking.has_transfer:
            return self._fail(NO_SUCH_CALL)
        if not may_meet(transfer.call, transfer.stays, other, newcomer):
            return self._fail(failed(403, "a soft client calls inside only"))
        if not talking.is_free or newcomer.negotiation.refusal() is not None:
            transfer.later(self.begin, AGAIN_S)
            return None
        author = other.media.author(newcomer.side)
        try:
            offer, author = transfer.call.media.renew(transfer.stays.side, author)
        except MediaError as fault:
            return self._fail(failed(488, str(fault), q850=47))
        transfer.offered = author, offer
        talking.spared = self._leg
        transfer.on_stop = self.abandon
        self._is_asking = True
        Renewal(newcomer, offer, self._told)
        return None

    def _told(self, response: Response) -> None:
        self._is_asking, self._is_moved = False, response.status < 300
        if self._transfer.is_over:  # its call has ended
            self._let_go(self._is_moved)
        else:
            self._transfer.later(partial(self._answered, response), 0.0)

    async def _answered(self, response: Response) -> Ending | None:
        transfer, status = self._transfer, response.status
        if self._newcomer.is_over:
            return self._fail(failed(487, "the other call ended meanwhile"))
        if status == 491 and self._glares < GLARES and not self._leg.is_over:
            self._glares += 1
            transfer.later(self.begin, GLARE_S[0])
            return None
        if status >= 300:
            return self._fail(quoted(status, response.reason))
        if not transfer.is_free():
            transfer.later(partial(self._answered, response), AGAIN_S)
            return None
        try:
            is_news = transfer.take_media(self._newcomer, response.body)
        except (BadMessage, MediaError) as fault:
            return self._fail(failed(488, f"answered with no usable SDP: {fault}"))
        self._hand_over()
        if is_news:
            return await transfer.renew()
        transfer.finish()
        return None

    def _let_go(self, is_moved: bool) -> None:
        """Leave the other call as it was; `is_moved`: the newcomer's media must come back to it."""
        other, leg, newcomer = self._other, self._leg, self._newcomer
        self._transfer.on_stop = None
        if other.talking is None or other.talking.spared is not leg:
            return
        other.talking.spared = None
        if leg.is_over:
            other.inbox.feed(hung_up("caller" if leg.side == "a" else "callee"))
        elif is_moved and not newcomer.is_over:
            other.inbox.feed(Deed(partial(_bring_back, other, newcomer)))

    def _hand_over(self) -> None:
        """Move records, slots and the newcomer; what is left of the other call ends."""
        transfer, other, leg = self._transfer, self._other, self._leg
        transfer.on_stop = None
        parts = other.parts or [Part(other.draft, other.sides["b"])]
        parts[0].draft.record.parent_id = transfer.call.draft.id
        other.given = next(one for one in parts if one.draft is other.draft)
        slots = [slot.hand_over(transfer.call.id) for slot in other.slots]
        other.parts, other.slots = [], []
        del other.sides[self._newcomer.side]
        transfer.take(parts, slots, self._newcomer, [transfer.leg, leg])
        end = hung_up("caller" if leg.side == "a" else "callee", reason="transferred")
        waiting = other.inbox.drain()
        other.inbox.feed(end)
        for item in waiting:
            is_moved = isinstance(item, tuple) and item[0] is self._newcomer
            (transfer.call if is_moved else other).inbox.feed(item)


async def _bring_back(call: "Call", leg: Leg) -> Ending | None:
    """Offer a leg its own call's media again."""

    async def take(response: Response) -> Ending | None:
        if response.status < 300:
            try:
                call.media.learn(leg.side, response.body, leg.source)
            except (BadMessage, MediaError) as fault:
                _log.info("call=%s an answer cannot be used: %s", call.id, fault)
        return None

    def tell(response: Response) -> None:
        call.inbox.feed(Deed(partial(take, response)))

    Renewal(leg, call.media.retell(leg.side), tell)
    return None


def may_meet(call: "Call", stays: Leg, other: "Call", newcomer: Leg) -> bool:
    """Tell whether the rule soft-landing lets the two talk: soft clients talk inside only."""
    return not (
        (_is_soft(call, stays) and isinstance(newcomer.party, CarrierTarget))
        or (_is_soft(other, newcomer) and isinstance(stays.party, CarrierTarget))
    )


def _is_soft(call: "Call", leg: Leg) -> bool:
    party = party_of(call.book, leg)
    if party.kind != "extension":
        return False
    extension = call.book.extension(party.customer, party.id)
    return extension is None or extension.device == "soft"
