"""Picking up a call that rings at somebody else: INVITE with Replaces of an early dialog that this
node has begun (RFC 3891 3). Who picks up wins the hunt, as if he had been rung.

Knows what becomes of such an INVITE; who may send one is takeover.py's.
"""

from typing import TYPE_CHECKING

from sipcore.call.callee import CalleeLeg
from sipcore.call.caller import CallerLeg
from sipcore.call.dress import offered
from sipcore.call.leg import Side
from sipcore.dialog.events import Cancelled, Told, Within
from sipcore.errors import BadMessage, MediaError
from sipcore.media.agreement import other_than
from sipcore.message.flow import Flow
from sipcore.message.message import Request
from sipcore.policy.attempt import Source, TrunkTarget
from sipcore.policy.concurrency import Slot, trunk_key

if TYPE_CHECKING:
    from sipcore.call.group import Caller, Group


class Picker(CallerLeg):
    """The leg of who picks up: its INVITE came to us, and it is the call's callee."""

    side: Side = "b"

    def __init__(
        self, call: "Caller", replaced: CalleeLeg, request: Request, flow: Flow, source: Source
    ) -> None:
        super().__init__(call.desk.endpoint, call.notify, request, flow)
        self.party, self.owner = source, call
        self.rules = call.desk.settings.refresh
        self.who = source.id
        self.replaced = replaced
        self.sdp = b""  # its offer, as an answer to the caller's
        self.told = b""  # to the caller, where it made none
        self._by = source
        self._answer = b""

    def feed(self, event: Told) -> None:
        """Take an event; one who gives up before his answer has picked up nothing."""
        is_bye = isinstance(event, Within) and event.request.method == "BYE"
        if self.transaction.is_answered or not (is_bye or isinstance(event, Cancelled)):
            super().feed(event)
            return
        if isinstance(event, Within):
            self.endpoint.respond(event.transaction, 200)
        self.refuse(487)

    def bye(self, reason: str | None = None) -> None:
        """End the dialog, or refuse what is not answered yet."""
        if self.transaction.is_answered:
            super().bye(reason)
        else:
            self.refuse(487)

    def take(self, call: "Caller", group: "Group") -> Slot | None:
        """Take what still rings where it was, and agree on its media; return what it needs of
        channels. None: refused.
        """
        if self.is_over:
            return None
        if self.replaced.is_over or self.replaced not in group.legs:
            self.refuse(481)
            return None
        slot = self._channel(call)
        if slot is None:
            self.refuse(503)
            return None
        try:
            self._agree(call, group)
        except (BadMessage, MediaError) as fault:
            slot.release()
            self.refuse(fault.status if isinstance(fault, BadMessage) else 488)
            return None
        self._leave_to(call)
        call.draft.record.callee_routed = self.who
        if self._by.kind == "trunk":
            call.draft.record.trunk = self._by.id
        return slot

    def _agree(self, call: "Caller", group: "Group") -> None:
        """Make of its offer an answer to the caller's, and an answer to it of what is known.

        One without SDP is offered what all who ring are; the caller is answered by G.711 of ours
        till its ACK has the answer. Whoever stays of a transfer has his say when this one takes
        the place (Transfer.seat).
        """
        body, media = self.invite.body, call.media
        if self._by.kind == "trunk":
            profile = call.book.profile("trunk", self._by.id)
            body, self.dtmf = offered(profile, body), profile.dtmf
            self.invite.body = body
        if not body:
            self._offer_to(call, group)
        elif call.a is None:
            media.check_offer(other_than(call.stays.side), body, self.source)
        elif media.has_spoken("a"):
            self.sdp = media.as_answer(body)
            self._answer = media.answer_here("b", body, self.source)
        else:  # the caller's INVITE had no SDP: its answer is yet to come
            self.sdp, self._answer = media.answer_ahead("b", body, self.source)

    def _offer_to(self, call: "Caller", group: "Group") -> None:
        a, media = call.a, call.media
        if a is None:
            return
        if not media.has_spoken("a") or not isinstance(a, CallerLeg):
            raise MediaError("neither side has made an offer")
        self.told = b"" if a.is_agreed else media.foretell("a")
        self._answer = call.desk.media.facing(group.offer, self.source)
        self.awaits_ack = True

    def _channel(self, call: "Caller") -> Slot | None:
        """Take a PBX's channel; one that takes what rings at itself has it already."""
        by, rung, wants = self._by, self.replaced.party, []
        if by.kind == "trunk" and not (isinstance(rung, TrunkTarget) and rung.id == by.id):
            wants = [(trunk_key(by.id), call.book.trunks[by.id].channels)]
        return call.desk.slots.take(wants, call.id)

    def _leave_to(self, call: "Caller") -> None:
        """Give back the channel of a PBX at which it rings no more."""
        rung = self.replaced.party
        if isinstance(rung, TrunkTarget) and rung.id != self._by.id:
            key = trunk_key(rung.id)
            held = next((one for one in call.slots if key in one.keys), None)
            if held is not None:
                held.give_back(key)

    def confirm(self) -> None:
        """Answer it: the caller has its answer."""
        self.answer(self._answer)
