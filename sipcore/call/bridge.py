"""A call, from the INVITE to the CDR: one coroutine that reads top to bottom.

admit -> media -> hunt -> answer (journalled first) -> talk until the first end. Leaving the blocks
ends the legs still up, closes the media, gives the slots back and writes the CDR, in every path.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from msgspec import structs

from sipcore.call.callee import CalleeLeg
from sipcore.call.caller import CallerLeg
from sipcore.call.desk import Desk
from sipcore.call.draft import Draft
from sipcore.call.dress import offered
from sipcore.call.early import until_acknowledged
from sipcore.call.ending import Ending, failed, refused
from sipcore.call.group import Won
from sipcore.call.held import Held
from sipcore.call.hunt import hunt
from sipcore.call.keep import keep
from sipcore.call.lamp import Line, dialog_of, move, show
from sipcore.call.leg import Leg, Side
from sipcore.call.onward import Onward, forward
from sipcore.call.part import Part, of_leg, open_parts
from sipcore.call.picker import Picker
from sipcore.call.talk import Talk
from sipcore.call.taping import is_recorded, keep_recording
from sipcore.cdr.entry import Answered, Ended
from sipcore.cdr.journal import JournalError
from sipcore.dialog.events import Cancelled, Told, Within
from sipcore.errors import BadMessage, MediaError
from sipcore.log import logger
from sipcore.media.session import LegStatistics, MediaSession
from sipcore.message.flow import Flow
from sipcore.message.headers import METHODS
from sipcore.message.message import Request
from sipcore.message.notify import DialogState
from sipcore.message.reason import q850_in
from sipcore.policy.attempt import (
    Attempt,
    Permit,
    Refuse,
    Source,
    refuse_permitted,
)
from sipcore.policy.concurrency import Slot
from sipcore.policy.decide import decide

BUG = Ending("node", 500, 41, "internal error")

_log = logger(__name__)


class Call:
    """The state of one call that its parts share. Owned by bridge(); ended by leaving it."""

    path: tuple[Source, ...] = ()
    diverted: str | None = None
    referrer: Source | None = None
    ringing: Sequence[CalleeLeg] = ()
    pickup: Picker | None = None  # who wants it while it rings

    def __init__(self, desk: Desk, request: Request, flow: Flow, attempt: Attempt) -> None:
        self.desk = desk
        self.book = desk.book()
        self.attempt = attempt
        self.id = desk.ids.record(desk.clock.wall_s())
        self.inbox = desk.inbox()
        self.draft = Draft(desk.clock, self.id, request.call_id, desk.settings.node)
        self.draft.callee_dialled = attempt.dialled
        if attempt.source.kind == "trunk":
            self.draft.trunk = attempt.source.id
        elif attempt.source.kind == "carrier":
            self.draft.carrier = attempt.source.id
        forwards = request.number("Max-Forwards", 255)
        self.max_forwards = 70 if forwards is None else forwards
        self.is_delayed = not request.body
        self.a = CallerLeg(desk.endpoint, self.notify, request, flow)
        self.a.rules, self.a.is_reliable = desk.settings.refresh, desk.settings.is_reliable
        self.a.party, self.a.owner = attempt.source, self
        self.sides: dict[Side, Leg] = {"a": self.a}
        self.talking: Talk | None = None
        self.parts: list[Part] = []  # its records, once it has more than one
        self.given: Part | None = None  # its record, where another call goes on with it
        self.state = "setup"
        self.is_emergency = False
        self.is_over = False
        self.permit: Permit | None = None
        self.lines: tuple[Line, ...] | None = None  # extensions whose lamps may show it; see lamp
        desk.enter(self)

    @property
    def media(self) -> MediaSession:
        """The call's sound; there from the permit on."""
        assert self._media is not None
        return self._media

    _media: MediaSession | None = None
    slots: list[Slot]
    held: Held

    def notify(self, leg: Leg, event: Told) -> None:
        """Put a leg's event into the inbox."""
        self.inbox.feed((leg, event))

    def end_for(self, reason: str) -> None:
        """Ask the call to end, for the node's own reason."""
        status = 200 if self.is_answered else 503
        self.inbox.feed(Ending("node", status, 41, reason))

    def ring(self, status: int, sdp: bytes) -> None:
        """Tell the caller that it rings, or let it hear early media."""
        if self.draft.ringing_at is None:
            self._count_setup()
            self.state = "ringing"
        self.show()
        self.draft.ring()
        self.a.progress(status, sdp)

    def show(self) -> None:
        """Tell lamps that it has changed."""
        show(self)

    def respond_unknown(self, leg: Leg, event: Within) -> None:
        """Refuse a request that is not carried: 405 for known methods, 501 for others."""
        status = 405 if event.request.method in METHODS else 501
        self.desk.endpoint.respond(event.transaction, status, {"Allow": [leg.allowed]})

    def heed_newcomer(self, leg: Leg, event: Told) -> None:
        """Answer one who has answered and has no place in the call yet: it may hang up."""
        if not isinstance(event, Within):
            return
        if event.request.method == "BYE":
            self.desk.endpoint.respond(event.transaction, 200)
            leg.close()
        elif event.request.method == "INVITE":
            self.desk.endpoint.respond(event.transaction, 491)
        else:
            self.respond_early(leg, event)

    def forward(self, attempt: Attempt, offer: bytes, by: Source) -> Onward:
        """Make the attempt to which a party of this one has deflected it."""
        return forward(self, attempt, offer, by)

    def respond_early(self, leg: Leg, event: Within) -> None:
        """Answer a request within an early dialog: it is there, but nothing is carried yet."""
        if event.request.method in ("OPTIONS", "INFO"):
            self.desk.endpoint.respond(event.transaction, 200, {"Allow": [leg.allowed]})
        else:
            self.respond_unknown(leg, event)

    def gave_up(self) -> Ending | None:
        """Return the ending if the caller's CANCEL waits in the inbox."""
        for item in self.inbox:
            if isinstance(item, tuple) and isinstance(item[1], Cancelled) and item[0] is self.a:
                return failed(487, "caller gave up", "caller", q850_in(item[1].request) or 16)
        return None

    def settle(self) -> None:
        """Give back to the legs what came too late for the call: each gets its answer."""
        for item in self.inbox.drain():
            if isinstance(item, tuple):
                leg, event = item
                if leg.is_over:
                    leg.feed(event)

    def describe(self) -> Mapping[str, str | float | None]:
        """Return what `sipcore show calls` tells."""
        draft, now = self.draft, self.desk.clock.monotonic()
        return {
            "id": self.id,
            "state": self.state,
            "direction": draft.direction,
            "customer": draft.customer,
            "caller": draft.caller_shown or draft.caller_asserted,
            "callee": draft.callee_dialled,
            "via": draft.carrier or draft.trunk,
            "age_s": round(now - draft.setup_on, 1),
            "talked_s": round(self.desk.clock.wall_s() - draft.answered_at, 1)
            if draft.answered_at
            else None,
        }

    @property
    def is_answered(self) -> bool:
        return self.state == "answered"

    @property
    def records(self) -> list[str]:
        """The ids of its records that go on."""
        return [part.draft.id for part in open_parts(self.parts)] if self.parts else [self.id]

    def record_of(self, leg: Leg) -> str:
        """Return the id of the record that a leg's journal lines belong to."""
        return of_leg(self.parts, leg).draft.id if self.parts else self.id

    def dialog_of(self, line: Line) -> DialogState | None:
        """Return what the busy lamp of an extension shows of the call."""
        return dialog_of(self, line)

    def attach(self, media: MediaSession) -> None:
        self._media = media

    def _count_setup(self) -> None:
        desk = self.desk
        desk.metrics.call_setup_s.observe(desk.clock.monotonic() - self.draft.setup_on)

    def note_answer(self) -> None:
        """Take note that the callee has answered."""
        if self.draft.ringing_at is None:
            self._count_setup()
        self.state = "answered"
        # A forward, or who picked it up, has led to somebody who was not expected.
        (move if self.parts or self.pickup else show)(self)


async def bridge(call: Call, counted: AbstractContextManager[None]) -> None:
    """Run a call to its end. Never raises: a bug ends the call, with its CDR.

    `counted`: it is one of its source's calls as long as this block is not left.
    """
    desk = call.desk
    end = BUG
    figures: dict[str, LegStatistics] = {}
    try:
        with counted, Held() as held:
            try:
                end = await _run(call, held)
            finally:
                _end_legs(call, end)
                call.is_over = True
                show(call)
            call.settle()
            if "b" in call.sides or call.given is not None:
                figures = await call.media.finish()
                if call.given is not None:
                    call.given.figures = figures
        if call.draft.recording:  # slots and ports are given back by now
            await keep_recording(call)
    except Exception:
        _log.exception("a bug ended call=%s", call.id)
    finally:
        call.settle()
        if end is BUG and call.is_answered:
            end = structs.replace(BUG, status=200)
        try:
            _write(call, end, figures)
        finally:
            call.talking = None  # each would hold the other until a collection
            desk.leave(call)


async def _run(call: Call, held: Held) -> Ending:
    desk = call.desk
    verdict = decide(call.book, call.attempt, desk.slots.load, desk.trunks.not_good())
    call.draft.learn(verdict)
    if call.attempt.is_private and verdict.direction == "outbound":
        _log.info("call=%s asked for privacy, which a call out does not have", call.id)
    if isinstance(verdict, Refuse):
        return refused(verdict)
    call.is_emergency = verdict.is_emergency
    call.permit = verdict
    show(call)
    if not verdict.is_emergency:
        if desk.retry_after_s is not None:
            return failed(503, "the node takes no new calls", q850=42)
        if len(desk.calls) > desk.settings.most_calls:
            return failed(503, "too many calls", q850=42)
        if desk.journal.fault is not None:
            return failed(503, "journal not on disk")
    slot = desk.slots.take(verdict.slots, call.id)
    if slot is None:
        return refused(refuse_permitted(verdict, "concurrency", "all lines in use"))
    held.enter_context(slot)
    call.slots = [slot]
    media = held.enter_context(desk.media.session(call.id, call.inbox.feed))
    call.attach(media)
    won = await _reach(call, verdict)
    if isinstance(won, Ending):
        return won
    if call.pickup not in (None, won.leg):
        call.pickup.refuse(481)
    held.enter_context(won.slot)
    call.slots.append(won.slot)
    if won.onwards:
        _take_forwards(call, won, held)
    call.held = held
    if (over := await _answer(call, won, is_recorded(call, verdict, won.leg))) is not None:
        return over
    del won, verdict, slot, media  # a call may last for hours, and it waits here
    call.talking = Talk(call)
    return await call.talking.run()


async def _reach(call: Call, permit: Permit) -> Won | Ending:
    """Open the media and ring."""
    a = call.media.speakers["a"] = call.a
    try:
        if call.is_delayed:
            offer = await call.media.propose("b")
            call.media.face("a", a.source)
        else:
            body = a.invite.body
            if (source := call.attempt.source).kind != "extension":
                profile = call.book.profile(source.kind, source.id)
                body, a.dtmf = offered(profile, body), profile.dtmf
            offer = await call.media.offer("a", body, a.source)
    except BadMessage as fault:
        return failed(400, fault.reason)
    except MediaError as fault:
        _log.warning("call=%s no media: %s", call.id, fault)
        return failed(488 if "relayed" in str(fault) else 503, str(fault), q850=47)
    return await hunt(call, permit, offer)


async def _answer(call: Call, won: Won, is_recorded: bool) -> Ending | None:
    """Answer the caller once the journal has the answer on disk. Why not, if it comes to that."""
    desk, leg, sdp = call.desk, won.leg, won.sdp
    call.sides["b"] = call.media.speakers["b"] = leg
    if call.media.ringback is not None:
        call.media.ringback = None
    try:
        if call.a.is_agreed:
            told = b""
            call.media.learn("b", sdp, leg.source)
        else:
            told = call.media.answer("b", sdp, leg.source)
    except (BadMessage, MediaError) as fault:
        return failed(488, f"{leg.who} answered with an SDP that cannot be used: {fault}")
    if call.a.owes_prack and (over := await until_acknowledged(call, leg)) is not None:
        return over
    call.note_answer()
    cdr, legs = call.draft.answer(is_recorded), (keep(call.a), keep(leg))
    desk.journal.append(Answered(cdr, legs, call.media.rows()))
    for one in call.parts[1:]:
        desk.journal.append(Answered(one.draft.answer(), media_call=call.id))
    try:
        await desk.journal.sync()
    except JournalError as fault:
        _log.error("call=%s the journal is not on disk: %s", call.id, fault)
        if not (call.is_emergency or any(one.is_emergency for one in won.onwards)):
            _unanswer(call)
            return failed(503, "journal not on disk")
    if (gave_up := call.gave_up()) is not None:
        _unanswer(call)
        return gave_up
    if leg.is_over:
        _unanswer(call)
        return failed(480, "picked up and gave up", "callee", q850=16)
    call.a.awaits_ack = bool(told) and call.is_delayed
    call.a.answer(told)
    if isinstance(leg, Picker):
        leg.confirm()
    if call.draft.recording and call.draft.answered_at is not None:
        call.media.record(call.draft.recording, call.draft.answered_at)
    return None


def _take_forwards(call: Call, won: Won, held: Held) -> None:
    """Take the records and slots of the forwards by which the callee was reached."""
    call.parts = [Part(call.draft, won.leg)]
    for onward in won.onwards:
        call.parts.append(Part(onward.draft, won.leg))
        for slot in onward.slots:
            call.slots.append(held.enter_context(slot))


def _unanswer(call: Call) -> None:
    call.draft.unanswer()
    for one in call.parts[1:]:
        one.draft.unanswer()


def _write(call: Call, end: Ending, figures: dict[str, LegStatistics]) -> None:
    """Write the record, or the records of all that the call has become."""
    desk = call.desk
    ended = [one.finish(call.sides, end, figures) for one in call.parts]
    if not call.parts and call.given is None:
        ended = [(call.draft.finish(end, figures), end)]
    for cdr, why in ended:
        desk.journal.append(Ended(cdr))
        desk.metrics.count_call(cdr.direction, why.status)


def _end_legs(call: Call, end: Ending) -> None:
    """End what is still up, by its state: refuse, BYE, or nothing left to do."""
    legs = call.sides.values()
    for leg in legs if call.pickup is None else {*legs, call.pickup}:
        if leg.is_over:
            continue
        try:
            if isinstance(leg, CallerLeg) and not leg.transaction.is_answered:
                status = end.status if end.status >= 300 else 500
                leg.refuse(status, {"Reason": [end.header]} | call.desk.again(status))
            else:
                leg.bye(end.header)
        except Exception:  # the other leg must be ended all the same
            _log.exception("call=%s leg=%s cannot be ended", call.id, leg.side)
