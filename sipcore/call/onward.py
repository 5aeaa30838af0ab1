"""Onward: an attempt that follows from a call, by a transfer or a forward, with its own record.

It is decided, takes its slots and rings like any attempt of the one who asks for it, beside the
call that it came from; that one is told what became of it, and takes the leg that answered.
"""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import structs

from sipcore.call.callee import CalleeLeg
from sipcore.call.draft import Draft
from sipcore.call.ending import Ending, failed, refused
from sipcore.call.group import Caller, Won
from sipcore.call.hunt import hunt
from sipcore.call.inbox import Inbox
from sipcore.call.lamp import show_beside
from sipcore.call.leg import Item, Leg
from sipcore.call.picker import Picker
from sipcore.cdr.entry import Ended
from sipcore.dialog.events import Told, Within
from sipcore.log import logger
from sipcore.media.session import MediaSession
from sipcore.message.headers import METHODS
from sipcore.policy.attempt import (
    Attempt,
    ExtensionTarget,
    Permit,
    Refuse,
    Source,
    refuse_permitted,
)
from sipcore.policy.concurrency import Slot
from sipcore.policy.decide import decide

BUG = Ending("node", 500, 41, "internal error")
OnEarly = Callable[[Leg | None, bytes, int], None]

_log = logger(__name__)


class Onward:
    """One such attempt. `outcome` is there when `tell` of start() is called."""

    a: Leg | None = None  # who hears it before the answer: the caller of a call that is forwarded
    permit: Permit | None = None
    referrer: Source | None = None
    ringing: Sequence[CalleeLeg] = ()
    pickup: Picker | None = None  # who wants it while it rings
    on_early: OnEarly | None = None  # hears who rings, where no caller does

    def __init__(
        self, call: Caller, attempt: Attempt, offer: bytes, on_ring: Callable[[int, bytes], None]
    ) -> None:
        desk = self.desk = call.desk
        self.book = call.book
        self.id = desk.ids.record(desk.clock.wall_s())
        self.inbox: Inbox[Item] = desk.inbox()
        self.draft = Draft(desk.clock, self.id, call.draft.record.call_id, desk.settings.node)
        self.draft.record.parent_id = call.draft.id
        self.draft.record.callee_dialled = attempt.dialled or None
        self.max_forwards = call.max_forwards - 1
        self.is_delayed = True  # early media is not for somebody who talks or is on hold
        self.outcome: Won | Ending | None = None
        self.slots: list[Slot] = []
        self.diverted: str | None = None
        self.path: tuple[Source, ...] = call.path
        self._on_ring = on_ring
        self._call = call
        self.root = call.root
        self.stays = call.stays
        self.attempt = attempt
        self._offer = offer
        self._task: asyncio.Task[None] | None = None

    @property
    def media(self) -> MediaSession:
        """The sound of the call that it follows from."""
        return self._call.media

    def start(self, tell: Callable[["Onward"], None]) -> None:
        """Begin; `tell` is called once, when it was answered or has failed."""
        self._task = self.desk.loop.create_task(self._run(tell))

    async def stop(self) -> None:
        """Give it up, whatever has become of it. Its record is written when this returns."""
        if self._task is None:
            return
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.outcome is None:  # cancelled before its first step
            self.fail(failed(487, "given up", "caller", q850=16))
        if isinstance(self.outcome, Won):
            won = self.outcome
            self.fail(failed(487, "the call ended meanwhile", "caller", q850=16))
            won.leg.bye()
        self._task = None

    def fail(self, end: Ending) -> None:
        """Write the record of what led nowhere, and give its slots back."""
        if isinstance(self.outcome, Won):
            self.slots.append(self.outcome.slot)
            for onward in self.outcome.onwards:
                onward.fail(end)
        self.outcome = end
        self._refuse_pickup(None)
        self.show()
        for slot in self.slots:
            slot.release()
        cdr = self.draft.finish(end, {})
        self.desk.journal.append(Ended(cdr))
        self.desk.metrics.count_call(cdr.direction, end.status)

    def _refuse_pickup(self, winner: Leg | None) -> None:
        if self.pickup is not None and self.pickup is not winner and not self.pickup.is_over:
            self.pickup.refuse(481)

    def notify(self, leg: Leg, event: Told) -> None:
        """Put a leg's event into the inbox; once it is answered, into that of the call."""
        if self.outcome is None:
            self.inbox.feed((leg, event))
        else:
            self._call.notify(leg, event)

    def forward(self, attempt: Attempt, offer: bytes, by: Source) -> "Onward":
        """Make the attempt to which a party of this one has deflected it."""
        return forward(self, attempt, offer, by)

    def may_forward(self) -> bool:
        """Count one more attempt of the call that this one comes from."""
        return self._call.may_forward()

    def ring(self, status: int, sdp: bytes) -> None:
        """Note that it rings, and tell."""
        self.draft.ring()
        self.show()
        self._on_ring(status, sdp)

    def overhear(self, leg: Leg | None, sdp: bytes, wait_ms: int) -> None:
        """Let whoever stays of a transfer hear what one who rings sends early."""
        if self.on_early is not None:
            self.on_early(leg, sdp, wait_ms)

    @property
    def is_emergency(self) -> bool:
        return self.permit is not None and self.permit.is_emergency

    def show(self) -> None:
        """Tell lamps that it rings, or somebody of it rings no more."""
        show_beside(self.root, self)

    def respond_early(self, leg: Leg, event: Within) -> None:
        """Answer a request within an early dialog."""
        method = event.request.method
        status = 200 if method in ("OPTIONS", "INFO") else 405 if method in METHODS else 501
        self.desk.endpoint.respond(event.transaction, status, {"Allow": [leg.allowed]})

    async def _run(self, tell: Callable[["Onward"], None]) -> None:
        try:
            self.outcome = await self._try()
        except asyncio.CancelledError:
            self.outcome = failed(487, "given up", "caller", q850=16)
        except Exception:
            _log.exception("a bug met the attempt %s of call=%s", self.id, self._call.id)
            self.outcome = BUG
        if isinstance(self.outcome, Ending):
            self.fail(self.outcome)
        else:
            self._refuse_pickup(self.outcome.leg)
        tell(self)
        for item in self.inbox.drain():
            if isinstance(item, tuple) and item[0].is_over:
                item[0].feed(item[1])
            elif isinstance(item, tuple):
                self._call.notify(*item)

    async def _try(self) -> Won | Ending:
        desk = self.desk
        verdict = decide(self.book, self.attempt, desk.slots.load, desk.trunks.not_good())
        self.draft.learn(verdict)
        if isinstance(verdict, Refuse):
            return refused(verdict)
        if self.max_forwards < 1:
            return failed(483, "no hop is left for a forward")
        if self.diverted is not None:
            if (fault := self._loop_in(verdict)) is not None:
                return fault
            if verdict.direction == "internal":  # who is called sees who calls, not who forwards
                self.draft.record.caller_shown = self._call.draft.record.caller_shown
                name = "" if self._call.permit is None else self._call.permit.caller_name
                verdict = structs.replace(verdict, caller_name=name)
        self.permit = verdict
        slot = desk.slots.take(verdict.slots, self.id)
        if slot is None:
            return refused(refuse_permitted(verdict, "concurrency", "all lines in use"))
        self.slots.append(slot)
        root = self.root
        root.beside = (*root.beside, self)
        try:
            return await hunt(self, verdict, self._offer)
        finally:
            root.beside = tuple(one for one in root.beside if one is not self)

    def _loop_in(self, permit: Permit) -> Ending | None:
        """A forward to one who has forwarded it before would go round for ever."""
        before = {(one.customer, one.id) for one in self.path if one.kind == "extension"}
        for target in (one for group in permit.targets for one in group):
            if isinstance(target, ExtensionTarget) and (target.customer, target.number) in before:
                return failed(482, f"{target.number} has forwarded this call before")
        return None


def forward(call: Caller, attempt: Attempt, offer: bytes, by: Source) -> Onward:
    """Make an attempt that is a forward by `by`: its caller hears what the target sends early."""
    onward = Onward(call, attempt, offer, call.ring)
    onward.a, onward.is_delayed = call.a, call.is_delayed
    onward.diverted = "deflection"
    if isinstance(call, Onward):
        onward.on_early = call.on_early
    onward.path = (*call.path, by)
    return onward
