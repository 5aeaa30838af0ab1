"""Picking up a call that rings at somebody else: INVITE with Replaces of an early dialog that this
node has begun (RFC 3891 3). Who picks up wins the hunt, as if he had been rung.

Knows what becomes of such an INVITE; who may send one is takeover.py's.
"""

from typing import TYPE_CHECKING

from sipcore.call.callee import CalleeLeg
from sipcore.call.caller import CallerLeg
from sipcore.call.leg import Side
from sipcore.dialog.events import Cancelled, Told, Within
from sipcore.errors import BadMessage, MediaError
from sipcore.message.flow import Flow
from sipcore.message.message import Request
from sipcore.policy.attempt import Source

if TYPE_CHECKING:
    from sipcore.call.call import Call
    from sipcore.call.group import Caller, Group


class Picker(CallerLeg):
    """The leg of who picks up: its INVITE came to us, and it is the call's callee."""

    side: Side = "b"

    def __init__(
        self, call: "Call", replaced: CalleeLeg, request: Request, flow: Flow, source: Source
    ) -> None:
        super().__init__(call.desk.endpoint, call.notify, request, flow)
        self.party, self.owner = source, call
        self.rules = call.desk.settings.refresh
        self.who = source.id
        self.replaced = replaced
        self.sdp = b""  # its offer, as an answer to the caller's
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

    def take(self, call: "Caller", group: "Group") -> bool:
        """Take the call if it still rings where it was, and agree on its media. False: refused."""
        if self.is_over:
            return False
        if self.replaced.is_over or self.replaced not in group.legs:
            self.refuse(481)
            return False
        try:
            self.sdp = call.media.as_answer(self.invite.body)
            self._answer = call.media.answer_here("b", self.invite.body, self.source)
        except (BadMessage, MediaError) as fault:
            self.refuse(fault.status if isinstance(fault, BadMessage) else 488)
            return False
        call.draft.callee_routed = self.who
        return True

    def confirm(self) -> None:
        """Answer it: the caller has its answer."""
        self.answer(self._answer)
