"""A call: its legs, records, slots and media, and what happens to it, in order, in one inbox.

What is done with them, and when, is bridge's and, once it is answered, talk's.
"""

import asyncio
from collections.abc import Mapping, Sequence

from sipcore.call.allowed import without
from sipcore.call.callee import CalleeLeg
from sipcore.call.caller import CallerLeg
from sipcore.call.deflect import MOST_ATTEMPTS
from sipcore.call.desk import Desk
from sipcore.call.digits import Digits
from sipcore.call.draft import Draft
from sipcore.call.ending import Ending, failed
from sipcore.call.held import Held
from sipcore.call.lamp import Line, dialog_of, move, show
from sipcore.call.leg import Leg, Side
from sipcore.call.onward import Onward, forward
from sipcore.call.part import Part, of_leg, open_parts
from sipcore.call.picker import Picker
from sipcore.call.talk import Talk
from sipcore.dialog.events import Cancelled, Told, Within
from sipcore.media.session import MediaSession
from sipcore.message.flow import Flow
from sipcore.message.headers import METHODS
from sipcore.message.message import Request
from sipcore.message.notify import DialogState
from sipcore.message.parse import MOST_HOPS
from sipcore.message.reason import q850_in
from sipcore.message.values import parse_number
from sipcore.policy.attempt import Attempt, Permit, Source
from sipcore.policy.concurrency import Slot


class Call:
    """The state of one call that its parts share. Owned by bridge(); ended by leaving it."""

    path: tuple[Source, ...] = ()
    diverted: str | None = None
    referrer: Source | None = None
    ringing: Sequence[CalleeLeg] = ()
    pickup: Picker | None = None  # who wants it while it rings
    beside: Sequence[Onward] = ()  # attempts that ring for it
    lines_beside: tuple[Line, ...] = ()
    digits: Digits | None = None  # from the first key on that is no event on both sides
    forwarded = 0
    talking: Talk | None = None
    given: Part | None = None  # its record, where another call goes on with it
    state = "setup"
    is_emergency = False
    is_over = False
    permit: Permit | None = None
    lines: tuple[Line, ...] | None = None  # extensions whose lamps may show it; see lamp
    media: MediaSession  # its sound; there from the permit on
    slots: list[Slot]
    held: Held
    task: asyncio.Task[None]  # which runs it

    def __init__(self, desk: Desk, request: Request, flow: Flow, attempt: Attempt) -> None:
        self.desk = desk
        self.book = desk.book()
        self.attempt = attempt
        self.id = desk.ids.record(desk.clock.wall_s())
        self.inbox = desk.inbox()
        self.draft = Draft(desk.clock, self.id, request.call_id, desk.settings.node)
        self.draft.begin(attempt)
        forwards = request.number("Max-Forwards", 255)
        self.max_forwards = MOST_HOPS if forwards is None else min(forwards, MOST_HOPS)
        self.is_delayed = not request.body
        self.a = CallerLeg(desk.endpoint, self.notify, request, flow)
        self.a.rules, self.a.party, self.a.owner = desk.settings.refresh, attempt.source, self
        if not desk.settings.is_reliable:
            self.a.is_reliable = False
        self.sides: dict[Side, Leg] = {"a": self.a}
        self.parts: list[Part] = []  # its records, once it has more than one
        desk.enter(self)

    @property
    def root(self) -> "Call":
        """The call itself: see Onward."""
        return self

    @property
    def stays(self) -> Leg:
        """Who will talk with whoever answers: the caller."""
        return self.a

    def notify(self, leg: Leg, event: Told) -> None:
        """Put a leg's event into the inbox."""
        self.inbox.feed((leg, event))

    def end_for(self, reason: str) -> None:
        """Ask the call to end, for the node's own reason."""
        status = 200 if self.is_answered else 503
        self.inbox.feed(Ending("node", status, 41, reason))

    def expire_later(self) -> asyncio.TimerHandle | None:
        """Let the invitation end when its sender wants it to (RFC 3261 13.3.1), if we ring on."""
        wait_s = parse_number(self.a.invite.headers["Expires"][0]) or 0
        if not 0 < wait_s < self.desk.settings.outside_ring_s:
            return None
        return self.desk.loop.call_later(wait_s, self._expire)

    def _expire(self) -> None:
        if self.ringing:
            self.inbox.feed(failed(487, "the invitation has expired", q850=102))

    def ring(self, status: int, sdp: bytes) -> None:
        """Tell the caller that it rings, or let it hear early media."""
        if self.draft.record.ringing_at is None:
            self._count_setup()
            self.state = "ringing"
        self.show()
        self.draft.ring()
        self.a.progress(status, sdp)

    def overhear(self, leg: Leg | None, sdp: bytes, wait_ms: int) -> None:
        """Its caller hears it, by an 18x."""

    def may_forward(self) -> bool:
        """Count one more attempt that this call leads to before it is answered."""
        self.forwarded += 1
        return self.forwarded <= MOST_ATTEMPTS

    def show(self) -> None:
        """Tell lamps that it has changed."""
        show(self)

    def respond_unknown(self, leg: Leg, event: Within) -> None:
        """Refuse a request that is not carried: 405 for known methods, 501 for others."""
        method = event.request.method
        status = 405 if method in METHODS else 501
        allowed = without(leg.allowed, method)
        self.desk.endpoint.respond(event.transaction, status, {"Allow": [allowed]})

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

    def keys(self) -> Digits:
        """Return what tells keys to a side that has no events."""
        if self.digits is None:
            self.digits = Digits(self.sides, self.media.speakers)
        return self.digits

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
        draft, clock = self.draft.record, self.desk.clock
        return {
            "id": self.id,
            "state": self.state,
            "direction": draft.direction,
            "customer": draft.customer or "",
            "caller": draft.caller_shown or draft.caller_asserted or "",
            "callee": draft.callee_dialled or "",
            "via": draft.carrier or draft.trunk or "",
            "age_s": round(clock.monotonic() - self.draft.setup_on, 1),
            "talked_s": round(clock.wall_s() - draft.answered_at, 1) if draft.answered_at else None,
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

    def _count_setup(self) -> None:
        desk = self.desk
        desk.metrics.call_setup_s.observe(desk.clock.monotonic() - self.draft.setup_on)

    def note_answer(self) -> None:
        """Take note that the callee has answered."""
        if self.draft.record.ringing_at is None:
            self._count_setup()
        self.state = "answered"
        # A forward, or who picked it up, has led to somebody who was not expected.
        (move if self.parts or self.pickup else show)(self)
