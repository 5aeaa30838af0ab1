"""INVITE with Replaces (RFC 3891): a phone or PBX takes a place in its customer's answered call.

It is answered by what whoever stays said last; then that one is offered the newcomer's media
through the call's own relay, as after a transfer, and the replaced party gets BYE. A call that
rings at a phone is picked up (picker.py); a caller's place nobody takes before the answer.
"""

from typing import TYPE_CHECKING, cast

from sipcore.call.attended import find, leg_of, may_meet
from sipcore.call.callee import CalleeLeg
from sipcore.call.caller import CallerLeg
from sipcore.call.draft import Draft
from sipcore.call.ending import Ending, failed
from sipcore.call.keep import keep
from sipcore.call.leg import Leg, Picked
from sipcore.call.part import Part
from sipcore.call.party import party_of
from sipcore.call.picker import Picker
from sipcore.call.referral import MOST_PARTS
from sipcore.call.transfer import AGAIN_S, Transfer
from sipcore.cdr.entry import Answered, Ended
from sipcore.cdr.journal import JournalError
from sipcore.dialog.events import Cancelled, Told, Within
from sipcore.errors import BadMessage, MediaError
from sipcore.log import logger
from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Request
from sipcore.message.reason import write_q850
from sipcore.message.refer import replaces_in
from sipcore.policy.attempt import Source
from sipcore.policy.concurrency import Slot, trunk_key

if TYPE_CHECKING:
    from sipcore.call.call import Call
    from sipcore.call.desk import Desk
    from sipcore.call.group import Caller

BUSY: Headers = {"Retry-After": ["2"]}

_log = logger(__name__)


def take_over(
    desk: "Desk", request: Request, flow: Flow, source: Source
) -> tuple[int, Headers | None] | None:
    """Begin a take-over; return the refusal of one that may not be. Raises BadMessage.

    Who is of another customer, and who asks for a call that is none, hear the same.
    """
    replaces = replaces_in(request)
    if replaces is None or source.kind == "carrier":
        return 481, None
    ringing = leg_of(desk, replaces)
    if isinstance(ringing, CalleeLeg) and ringing.dialog is None and ringing.owner is not None:
        return pick_up(cast("Caller", ringing.owner), ringing, request, flow, source)
    found = find(desk, replaces)
    if found is None:
        return 481, None
    leg, call = found
    if party_of(call.book, leg).customer != source.customer:
        return 481, None
    talking = call.talking
    if talking is None or talking.is_over or leg is not call.sides.get(leg.side):
        return 481, None
    if replaces.is_early_only:
        return 486, None
    if talking.has_transfer or talking.spared is not None or len(call.parts) >= MOST_PARTS:
        return 500, BUSY
    takeover = Takeover(call, leg, request, flow, source)
    talking.begin(takeover)
    takeover.later(takeover.begin, 0.0)
    return None


def pick_up(
    call: "Caller", leg: CalleeLeg, request: Request, flow: Flow, source: Source
) -> tuple[int, Headers | None] | None:
    """Begin to take what rings at a phone or PBX of the same customer; return the refusal.

    `call`: or an attempt that follows from one, by a transfer or a forward. RFC 3891 3: only an
    early dialog that this element began is replaced, which the leg of a callee is.
    """
    if party_of(call.book, leg).customer != source.customer:
        return 481, None
    if call.pickup is not None and not call.pickup.is_over:
        return 500, BUSY
    picker = Picker(call, leg, request, flow, source)
    if may_meet(call.root, call.stays, call.root, picker):
        call.pickup = picker
        call.inbox.feed(Picked(picker))
    else:
        picker.refuse(403)
    return None


class _Farewell:
    """What the replaced party is told: BYE."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def say(self, status: int) -> None:
        """It did not ask, so it is not told."""

    def conclude(self) -> None:
        if not self._leg.is_over:
            self._leg.bye(write_q850(16, "replaced"))


class Takeover(Transfer):
    """A transfer that the newcomer asks for: `leg` is replaced by the one that calls."""

    def __init__(
        self, call: "Call", leg: Leg, request: Request, flow: Flow, source: Source
    ) -> None:
        talking = call.talking
        assert talking is not None
        super().__init__(call, leg, _Farewell(leg), lambda: talking.is_free)
        self.is_over = False
        self._by = source
        self._newcomer = CallerLeg(call.desk.endpoint, self._hear, request, flow)
        self._newcomer.party, self._newcomer.owner = source, call
        self._newcomer.rules = call.desk.settings.refresh

    def _hear(self, leg: Leg, event: Told) -> None:
        """Take what the newcomer says before it is answered."""
        is_bye = isinstance(event, Within) and event.request.method == "BYE"
        if isinstance(event, Within) and is_bye:
            self.call.desk.endpoint.respond(event.transaction, 200)
        if isinstance(event, Cancelled) or is_bye:
            self._refuse(487)
        else:
            self.call.heed_newcomer(leg, event)

    def _refuse(self, status: int) -> None:
        self.is_over = True
        if not self._newcomer.is_over:
            self._newcomer.refuse(status)

    async def stop(self) -> None:
        """The call is over: whoever wanted it is told, if he waits."""
        if not self.is_done:
            self._refuse(481)
        await super().stop()

    async def begin(self) -> Ending | None:
        """Put the newcomer into the call, once nothing is open between its sides."""
        newcomer = self._newcomer
        if newcomer.is_over or self.leg.is_over or self.stays.is_over:
            self._refuse(481)
        elif not may_meet(self.call, self.stays, self.call, newcomer):
            self._refuse(403)
        elif not self.is_free():
            self.later(self.begin, AGAIN_S)
        else:
            return await self._join()
        return None

    async def _join(self) -> Ending | None:
        call, newcomer = self.call, self._newcomer
        slot = self._channel()
        if slot is None or call.desk.journal.fault is not None:
            if slot is not None:
                slot.release()
            self._refuse(503)
            return None
        draft = self._draft()
        line = Answered(draft.answer(), (keep(newcomer),), call.media.rows(), call.id)
        call.desk.journal.append(line)
        answer = await self._answer()
        if isinstance(answer, Ending):
            slot.release()
            draft.unanswer()
            call.desk.journal.append(Ended(draft.finish(answer, {})))
            call.desk.metrics.count_call(draft.record.direction, answer.status)
            self._refuse(answer.status)
            return None
        newcomer.answer(answer)
        self.take([Part(draft, newcomer)], [slot], newcomer, [self.leg])
        if self.is_news(newcomer):
            return await self.renew()
        self.finish()
        return None

    async def _answer(self) -> bytes | Ending:
        """Wait for the journal; then let the newcomer's offer count, and return the answer."""
        call, newcomer = self.call, self._newcomer
        try:
            await call.desk.journal.sync()
        except JournalError as fault:
            _log.error("call=%s the journal is not on disk: %s", call.id, fault)
            return failed(503, "journal not on disk")
        if newcomer.is_over:
            return failed(487, "caller gave up", "caller", q850=16)
        try:
            return self.seat(newcomer)
        except BadMessage as fault:
            return failed(400, fault.reason)
        except MediaError as fault:
            return failed(488, str(fault), q850=47)

    def _draft(self) -> Draft:
        """Begin the newcomer's record: of the replaced party's way to it, as after a transfer."""
        call, by, desk = self.call, self._by, self.call.desk
        draft = Draft(
            desk.clock,
            desk.ids.record(desk.clock.wall_s()),
            self._newcomer.invite.call_id,
            desk.settings.node,
        )
        record = draft.record
        record.parent_id = call.draft.id
        record.customer, record.account = by.customer or None, by.account or None
        record.caller_shown = self.source.id
        record.callee_dialled = record.callee_routed = by.id
        if by.kind == "trunk":
            record.trunk = by.id
        return draft

    @property
    def _is_same_trunk(self) -> bool:
        by, left = self._by, self.source
        return by.kind == "trunk" and (by.kind, by.id) == (left.kind, left.id)

    def _channel(self) -> Slot | None:
        """Take a PBX's channel; one that replaces itself keeps its own."""
        by, wants = self._by, []
        if by.kind == "trunk" and not self._is_same_trunk:
            wants = [(trunk_key(by.id), self.call.book.trunks[by.id].channels)]
        return self.call.desk.slots.take(wants, self.call.id)

    def leave_trunk(self, slots: list[Slot]) -> None:
        """Give back the channel of a PBX that has left the call."""
        if not self._is_same_trunk:
            super().leave_trunk(slots)
