"""Who rings together: a permit's targets of one turn, the legs to them, what has come of them.

And for whom they ring, and who has won. In what order, and until when, is hunt's.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from sipcore.call.callee import CalleeLeg
from sipcore.call.dress import offered
from sipcore.call.ending import Ending, failed
from sipcore.call.inbox import Inbox
from sipcore.call.invite import Inviter, Way, invite
from sipcore.call.leg import Item, Leg, Party
from sipcore.dialog.events import Told, Within
from sipcore.media.session import MediaSession
from sipcore.message.message import Request
from sipcore.policy.attempt import Attempt, CarrierTarget, Permit, Source, Target
from sipcore.policy.concurrency import Slot
from sipcore.policy.standing import Result

if TYPE_CHECKING:
    from sipcore.call.call import Call
    from sipcore.call.deflect import Deflection
    from sipcore.call.onward import Onward
    from sipcore.call.picker import Picker

_IS_HEARD = attrgetter("is_heard")


class Caller(Inviter, Protocol):
    """For whom it rings: a call, or an attempt that follows from one."""

    inbox: Inbox[Item]
    is_delayed: bool
    permit: Permit | None
    slots: list[Slot]
    ringing: Sequence[CalleeLeg]  # of the group that rings now
    pickup: "Picker | None"  # who wants it while it rings

    @property
    def id(self) -> str: ...

    @property
    def a(self) -> Leg | None: ...

    @property
    def stays(self) -> Leg:
        """Who will talk with whoever answers."""
        ...

    @property
    def root(self) -> "Call":
        """The call that it is, or follows from."""
        ...

    @property
    def media(self) -> MediaSession: ...

    def notify(self, leg: Leg, event: Told) -> None: ...

    @property
    def attempt(self) -> Attempt: ...

    @property
    def path(self) -> tuple[Source, ...]:
        """Who has forwarded it already."""
        ...

    def ring(self, status: int, sdp: bytes) -> None: ...

    def overhear(self, leg: Leg | None, sdp: bytes, wait_ms: int) -> None:
        """Hear what one who rings sends early, where nobody calls: see Transfer. None: no more."""
        ...

    def may_forward(self) -> bool:
        """Count one more attempt to which somebody deflects; False where there were too many."""
        ...

    def show(self) -> None:
        """Tell lamps that somebody rings no more."""
        ...

    def respond_early(self, leg: Leg, event: Within) -> None: ...

    def forward(self, attempt: Attempt, offer: bytes, by: Source) -> "Onward":
        """Make the attempt to which `by` has deflected it."""
        ...


class Won(Struct):
    """The leg that answered, and its SDP; and the forwards by which it was reached, in order."""

    leg: "CalleeLeg | Picker"
    sdp: bytes
    slot: Slot
    onwards: tuple["Onward", ...] = ()


class Group:
    """Targets that ring together, and what has come of them. `carrier`: its id, where it is one."""

    has_rung = False
    rung_at: float | None = None
    is_ours = False  # it ended for our own reason, not for what the targets did
    is_last = False  # so did the whole call: nobody else is tried

    def __init__(
        self, targets: tuple[Target, ...], slot: Slot, permit: Permit, offer: bytes
    ) -> None:
        self.targets = targets
        self.slot = slot
        self.permit = permit
        self.offer = offer
        self.legs: list[CalleeLeg] = []
        self.ways: dict[CalleeLeg, Way] = {}
        self.refusals: list[Ending] = []
        self.deflections: list[Deflection] = []
        first = targets[0]
        self.carrier = first.id if isinstance(first, CarrierTarget) else None

    @property
    def is_lost(self) -> bool:
        return all(leg.is_over for leg in self.legs) and all(
            one.is_over for one in self.deflections
        )

    @property
    def is_heard(self) -> bool:
        """True when something has come back from one of them."""
        return any(map(_IS_HEARD, self.legs))

    @property
    def is_carrier(self) -> bool:
        return self.carrier is not None

    @property
    def has_other_places(self) -> bool:
        return any(way.others for way in self.ways.values())

    def ring(self, call: Caller, way: Way, target: Party, again: Request | None = None) -> None:
        """Send an INVITE on a way to a target: a first one, or `again` at another place."""
        offer = self.offer if way.peer is None else offered(way.peer.profile, self.offer)
        request = invite(call, self.permit, way, offer)
        if again is not None:
            request.headers |= {name: again.headers[name] for name in ("From", "Call-ID")}
        self.send(call, way, target, request)

    def send(self, call: Caller, way: Way, target: Party, request: Request) -> CalleeLeg:
        """Send an INVITE that is made already."""
        leg = CalleeLeg(call.desk.endpoint, call.notify, request, way.hop, way.who)
        leg.party, leg.owner, leg.rules = target, call, call.desk.settings.refresh
        if way.peer is not None and way.peer.profile.dtmf != "any":
            leg.dtmf = way.peer.profile.dtmf
        self.legs.append(leg)
        self.ways[leg] = way
        return leg

    def result(self, outcome: Won | Ending | None) -> Result:
        """Return what the outcome says of the carrier."""
        if isinstance(outcome, Won):
            return "answered"
        if outcome is None or self.is_ours or outcome.by == "caller":
            return "rejected" if self.has_rung else "given-up"
        return "failed" if outcome.is_no_answer and not self.has_rung else "rejected"

    def give_up(self, reason: str | None = None) -> None:
        """Cancel all that still ring."""
        for leg in self.legs:
            if not leg.is_over:
                leg.cancel(reason)

    def best_refusal(self) -> Ending:
        """Choose what the caller is told (RFC 3261 16.7): 6xx first, then the lowest class."""
        if not self.refusals:
            return failed(408, "no answer", q850=18)
        return min(self.refusals, key=lambda one: (one.status < 600, one.status // 100, one.status))
