"""A transfer: one side of a call sends the other to somebody else by REFER (RFC 3515, 5589).

Blind: a new attempt of the transferor's, under its rights, its number and its slots, rings beside
the call. Attended: Replaces names another call of ours, which is joined (see attended.py). Either
way whoever stays is offered the newcomer's media through the call's own relay, and what was on hold
is on hold no more. No REFER ever leaves by another leg.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sipcore.call import part
from sipcore.call.caller import CallerLeg
from sipcore.call.ending import Ending, failed, hung_up
from sipcore.call.exchange import OVER
from sipcore.call.group import Won
from sipcore.call.keep import keep
from sipcore.call.lamp import move
from sipcore.call.leg import Act, Deed, Leg
from sipcore.call.onward import Onward
from sipcore.call.part import Part
from sipcore.call.party import party_of, remaining_of
from sipcore.call.picker import Picker
from sipcore.call.renewal import Renewal
from sipcore.cdr.entry import Answered
from sipcore.cdr.journal import JournalError
from sipcore.errors import BadMessage, MediaError
from sipcore.log import logger
from sipcore.media.offer import Author
from sipcore.media.placement import Ringback
from sipcore.message.message import Response
from sipcore.policy.attempt import Attempt
from sipcore.policy.concurrency import Slot, trunk_key

if TYPE_CHECKING:
    from sipcore.call.call import Call

AGAIN_S = 0.1  # a re-INVITE between the two is still open
WORTH_ANOTHER = frozenset({500, 503})
PAUSE_MS = 500  # the transferor may speak till it has gone
GLARE_S = (2.1, 4.0)  # RFC 3261 14.1: we own the Call-ID, or may as well

_log = logger(__name__)


class Listener(Protocol):
    """What the transferor is told: how far it has come, and that it may go."""

    def say(self, status: int) -> None: ...

    def conclude(self) -> None: ...


class Transfer:
    """One REFER and what comes of it, until it fails or whoever stays has the newcomer's media.

    `is_free` tells whether nothing is open between the two sides of the call.
    """

    def __init__(
        self, call: "Call", leg: Leg, report: Listener, is_free: Callable[[], bool]
    ) -> None:
        self.call = call
        self.leg = leg  # the transferor's
        self.side = leg.side
        self.stays = call.sides["b" if leg.side == "a" else "a"]
        self.is_free = is_free
        self.source = party_of(call.book, leg)
        self.is_over = True
        self.is_done = False  # whoever was called has taken the transferor's place
        self.names_referrer = False  # the transferor wants to be named (RFC 3892)
        self.report = report
        self._onward: Onward | None = None
        self.on_stop: Callable[[], None] | None = None  # gives another call back what it lent
        self.offered: tuple[Author, bytes] | None = None  # to the newcomer, and by whom
        self._is_recall = False
        self._early: tuple[Leg, bytes, int] | None = None  # what the target sends before its answer

    def outlives(self, leg: Leg) -> bool:
        """Tell whether the call goes on without a leg that has hung up: the transferor's may."""
        return leg is self.leg and not self.is_over and not self.is_done

    async def stop(self) -> None:
        """The call is over: give up what was tried."""
        self.is_over = True
        if self.on_stop is not None:
            self.on_stop()
        if self._onward is not None:
            await self._onward.stop()

    def later(self, act: Act, wait_s: float) -> None:
        """Let the call do something when it comes to it, or after a while."""
        deed = Deed(partial(self._unless_over, act))
        if wait_s:
            self.call.desk.loop.call_later(wait_s, self.call.inbox.feed, deed)
        else:
            self.call.inbox.feed(deed)

    async def _unless_over(self, act: Act) -> Ending | None:
        return None if self.is_over else await act()

    # Blind

    async def ring(self, dialled: str) -> Ending | None:
        """Ring somebody in the transferor's name."""
        desk = self.call.desk
        try:
            offer, author = self.call.media.renew(self.stays.side)
        except MediaError as fault:
            return self.fail(failed(488, str(fault), q850=47))
        self.offered = author, offer
        remaining = remaining_of(self.call.book, self.stays)
        draw = desk.ids.fraction()
        attempt = Attempt(self.source, dialled, None, draw, remaining)
        self._onward = Onward(self.call, attempt, offer, lambda *_: self._rings())
        if self.names_referrer and not self._is_recall:
            self._onward.referrer = self.source
        self._onward.stays, self._onward.on_early = self.stays, self._hear_early
        self._onward.start(lambda _: self.later(self._rung, 0.0))
        return None

    def _rings(self) -> None:
        """Tell the transferor, and let whoever stays hear it."""
        self.report.say(180)
        if self.call.media.ringback is None:
            self.call.media.ringback = Ringback(self.stays.side, pause_ms=PAUSE_MS)
            self.call.media.tell()

    def _hear_early(self, leg: Leg | None, sdp: bytes, wait_ms: int) -> None:
        self._early = None if leg is None else (leg, sdp, wait_ms)
        self.listen()

    def listen(self) -> None:
        """Let whoever stays hear what the target sends early, once the transferor speaks no more:
        he holds or has gone. No offer is made for it: the target has answered what was offered.
        """
        media = self.call.media
        if self.is_over or self.is_done:
            return
        if not (self.leg.is_over or media.is_held(self.side)):
            return
        ringback = Ringback(self.stays.side, pause_ms=PAUSE_MS)
        media.let_out()
        if self._early is not None:
            leg, sdp, wait_ms = self._early
            try:
                media.ringback = Ringback(self.stays.side, wait_ms)
                media.let_in(self.side, sdp, leg.source)
                return
            except (BadMessage, MediaError) as fault:
                _log.info("call=%s early media of a transfer is not heard: %s", self.call.id, fault)
        if media.ringback is not None:
            media.ringback = ringback
            media.tell()

    def _hush(self) -> None:
        media = self.call.media
        if media.ringback is not None or media.guest is not None:
            media.let_out()
            media.ringback = None
            media.tell()

    async def _rung(self) -> Ending | None:
        onward = self._onward
        assert onward is not None
        won = onward.outcome
        if not isinstance(won, Won):
            assert won is not None
            return self.fail(won)
        if won.leg.is_over:
            return self._give_up(won, failed(480, "hung up at once", "callee", q850=16))
        if not self.is_free():
            self.later(self._rung, AGAIN_S)
            return None
        cdr, lines = onward.draft.answer(), (keep(won.leg),)
        rows = self.call.media.rows()
        self.call.desk.journal.append(Answered(cdr, lines, rows, self.call.id))
        for one in won.onwards:
            one.draft.answer()
        try:
            await self.call.desk.journal.sync()
        except JournalError as fault:
            _log.error("call=%s the journal is not on disk: %s", self.call.id, fault)
            if not any(one.is_emergency for one in (onward, *won.onwards)):
                return self._give_up(won, failed(503, "journal not on disk"))
        leg = won.leg
        if leg.is_over:
            return self._give_up(won, failed(480, "picked up and gave up", "callee", q850=16))
        try:
            if isinstance(leg, Picker):
                leg.answer(self.seat(leg))
                told = self.is_news(leg)
            else:
                told = self.take_media(leg, won.sdp)
        except (BadMessage, MediaError) as fault:
            return self._give_up(won, failed(488, f"answered with no usable SDP: {fault}"))
        self._onward = None
        chain = (onward, *won.onwards)
        slots = [slot for one in chain for slot in one.slots]
        parts = [Part(one.draft, won.leg) for one in chain]
        self.take(parts, [*slots, won.slot], won.leg, [self.leg])
        if told:
            return await self.renew()
        self.finish()
        return None

    def _give_up(self, won: Won, end: Ending) -> Ending | None:
        """End a leg that answered and is of no use."""
        if not won.leg.is_over:
            won.leg.bye(end.header)
        assert self._onward is not None
        for one in (self._onward, *won.onwards):
            one.draft.unanswer()
        self._onward.fail(end)
        return self.fail(end)

    # Either way

    def take_media(self, leg: Leg, answer: bytes) -> bool:
        """Let what a newcomer answered count. True: whoever stays must be told of it.

        Raises BadMessage and MediaError; then what was agreed before goes on.
        """
        media = self.call.media
        assert self.offered is not None
        heard, media.ringback = media.ringback, None
        media.let_out()
        standing = media.stand_in(self.side, *self.offered)
        media.speakers[self.side] = leg
        try:
            media.learn(self.side, answer, leg.source)
        except (BadMessage, MediaError):
            media.put_back(self.side, standing)
            media.speakers[self.side], media.ringback = self.leg, heard
            raise
        return media.is_due(self.stays.side)

    def seat(self, newcomer: CallerLeg) -> bytes:
        """Let the offer of one who asks for the place count; return the answer to it.

        One without SDP gets an offer, and is heard once its ACK has the answer (Talk). Raises as
        take_media does.
        """
        media = self.call.media
        offer, author = media.renew(self.stays.side)
        heard, media.ringback = media.ringback, None
        media.let_out()
        standing = media.stand_in(self.side, author, offer)
        media.face(self.side, newcomer.source)
        media.speakers[self.side] = newcomer
        if not newcomer.invite.body:
            newcomer.awaits_ack = True
            media.await_answer(self.side)
            return offer
        try:
            return media.answer_here(self.side, newcomer.invite.body, newcomer.source)
        except (BadMessage, MediaError):
            media.put_back(self.side, standing)
            media.speakers[self.side], media.ringback = self.leg, heard
            raise

    def is_news(self, newcomer: CallerLeg) -> bool:
        """Tell whether whoever stays must hear of a newcomer now. Of one who has not answered yet
        it hears after the ACK (Talk).
        """
        return not newcomer.awaits_ack and self.call.media.is_due(self.stays.side)

    def take(self, parts: list[Part], slots: list[Slot], newcomer: Leg, leaving: list[Leg]) -> None:
        """Put a newcomer, its records and its slots into the call; the transferor's legs leave."""
        call = self.call
        if not call.parts:
            call.parts.append(Part(call.draft, call.sides["b"]))
        call.parts += parts
        end = hung_up("callee", reason=f"transferred to {parts[0].draft.record.callee_dialled}")
        for leg in leaving:
            part.leave(call.parts, leg, end)
        newcomer.join(self.side, call, call.notify)
        call.sides[self.side] = newcomer
        move(call)
        for slot in slots:
            call.held.enter_context(slot)
        self.leave_trunk(call.slots)
        self.leave_trunk(slots)
        call.slots += slots
        for line in part.lines(call.id, call.parts, call.sides, call.media):
            call.desk.journal.append(line)
        self.is_done = True
        self.report.conclude()
        _log.info("call=%s side=%s was transferred: %s", call.id, self.side, end.reason)

    def leave_trunk(self, slots: list[Slot]) -> None:
        """Give back the channel of a PBX that has left the call."""
        if self.source.kind == "trunk":
            key = trunk_key(self.source.id)
            for slot in slots:
                if key in slot.keys:
                    slot.give_back(key)
                    return

    def fail(self, end: Ending) -> Ending | None:
        """Tell the transferor. One who has hung up is rung; else the call is over."""
        self.report.say(end.status)
        self._onward = self._early = None
        self._hush()
        if not self.leg.is_over:
            self.is_over = True
            return None
        if self._is_recall or self.source.kind != "extension":
            reason = f"transfer failed: {end.status if end.is_quoted else end.reason}"
            return Ending("node", 200, end.q850, reason)
        self._is_recall = True
        self.later(partial(self.ring, self.source.id), 0.0)
        return None

    def finish(self) -> None:
        """Whoever stays knows of the newcomer, who in turn may have to be told of a hold."""
        self.is_over = True
        if self.call.talking is not None:
            self.call.talking.look()

    async def renew(self) -> Ending | None:
        """Offer whoever stays what the newcomer said last; again a little later after glare."""
        if self.stays.is_over:
            return None
        if self.stays.negotiation.refusal() is not None or not self.is_free():
            self.later(self.renew, AGAIN_S)
            return None
        offer = self.call.media.retell(self.stays.side)
        Renewal(self.stays, offer, lambda answer: self.later(partial(self._renewed, answer), 0.0))
        return None

    async def _renewed(self, response: Response) -> Ending | None:
        media, status = self.call.media, response.status
        if status < 300:
            try:
                media.learn(self.stays.side, response.body, self.stays.source)
            except (BadMessage, MediaError) as fault:
                _log.info("call=%s an answer cannot be used: %s", self.call.id, fault)
            self.finish()
            return None
        if status in WORTH_ANOTHER:  # not now: it is told as whatever else changes (upkeep.py)
            media.put_off()
            self.finish()
            return None
        if status == 491:
            media.put_off()
            least_s, most_s = GLARE_S
            wait_s = least_s + (most_s - least_s) * self.call.desk.ids.fraction()
            self.later(self.renew, wait_s)
            return None
        media.withdraw()
        self.is_over = True
        if status in OVER and not self.stays.is_over:
            end = Ending("node", 200, 102, f"{self.stays.side} leg: re-INVITE got {status}")
            self.stays.bye(end.header)
            return end
        _log.info(
            "call=%s whoever stays does not take the newcomer's SDP: %s", self.call.id, status
        )
        return None
