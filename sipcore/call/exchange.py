"""An offer carried from one leg to the other: one at a time, in every order of events.

RFC 3261 14: 491 for an offer that meets another one open, 500 for one that comes before the last
is answered. An INVITE without SDP asks the other leg for the offer (RFC 3264 via RFC 3725). An
UPDATE goes on as UPDATE where the other leg allows it, else as re-INVITE (RFC 3311).
"""

from sipcore.call.leg import SDP, Leg
from sipcore.dialog.events import Acked, Reply, Within
from sipcore.dialog.negotiation import (
    CONCLUDE,
    FAIL,
    FREE,
    RECEIVE_ANSWER,
    RECEIVE_INVITE,
    RECEIVE_OFFER,
    SEND_ANSWER,
    SEND_OFFER,
)
from sipcore.dialog.transaction import Transaction
from sipcore.errors import BadMessage, MediaError
from sipcore.ids import Ids
from sipcore.media.session import MediaSession
from sipcore.message.bodies import unpack
from sipcore.message.message import Response

OVER = frozenset({408, 481})  # answers that end the dialog they come in (RFC 3261 12.2.1.2)
UPDATE_S = 25.0  # an UPDATE must be answered before its timer F; its re-INVITE may ring for ever
# Failures that mean the same on the other leg, and need no header fields to be understood.
PASSED = frozenset({400, 403, 404, 408, 480, 481, 486, 487, 488, 491, 500, 501, 503, 504, 603, 606})


def passable(status: int, instead: int) -> int:
    """Return what the other leg is told: a challenge, say, was meant for us and not for it."""
    return status if status < 300 or status in PASSED else instead


class Exchange:
    """Holds the offer that is open in a call, if one is. `give_up_at`: when it is given up."""

    give_up_at: float | None = None
    _asker: Leg | None = None
    _other: Leg | None = None
    _asked: Transaction | None = None  # the request that came
    _passed: Transaction | None = None  # the request that we sent on
    _offer = b""
    _is_delayed = False
    _unacked: Response | None = None  # the other's 2xx, waiting for the asker's ACK
    _is_left = False  # one of the two has hung up; what the other was told or asked goes on

    def __init__(self, media: MediaSession, ids: Ids) -> None:
        self._media = media
        self._ids = ids

    @property
    def is_open(self) -> bool:
        return self._asked is not None

    async def begin(self, asker: Leg, other: Leg, event: Within) -> None:
        """Take a re-INVITE, or an UPDATE with an offer, from `asker` and pass it on to `other`."""
        request, transaction = event.request, event.transaction
        if asker.refuses_timer(event) or self._refuses(asker, other, event):
            return
        offer = b""
        if request.body and request.content_type != SDP and not unpack(request):
            asker.endpoint.respond(transaction, 415, {"Accept": [SDP]})
            return
        if request.body:
            if self._media.is_same(asker.side, request.body) and self._repeated(asker, event):
                return
            try:
                offer = await self._media.offer(asker.side, request.body, asker.source)
            except (BadMessage, MediaError) as fault:
                self._media.withdraw()
                asker.endpoint.respond(transaction, 400 if isinstance(fault, BadMessage) else 488)
                return
        asker.learn(request)
        self._asker, self._other, self._asked = asker, other, transaction
        self._is_delayed, self._offer = not offer, offer
        if transaction.is_invite:
            asker.negotiation.step(RECEIVE_INVITE)
        if offer:
            asker.negotiation.step(RECEIVE_OFFER)
        self._pass_on(request.method)

    def _refuses(self, asker: Leg, other: Leg, event: Within) -> bool:
        method = event.request.method
        status = asker.negotiation.refusal(method)
        if status is None and self._is_busy(other, method):
            status = 500 if asker is self._asker else 491
        if status is None:
            return False
        wait_s = str(int(self._ids.fraction() * 10))
        headers = {"Retry-After": [wait_s]} if status == 500 else None
        asker.endpoint.respond(event.transaction, status, headers)
        return True

    def _is_busy(self, other: Leg, method: str) -> bool:
        if self._asked is not None or other.negotiation.refusal(method) is not None:
            return True
        return other.negotiation.inviting != FREE and not other.allows("UPDATE")

    def _repeated(self, asker: Leg, event: Within) -> bool:
        """Answer what the asker has said before: it refreshes its session (RFC 4028 7.4)."""
        try:
            answer = self._media.answer_here(asker.side, event.request.body, asker.source)
        except (BadMessage, MediaError):
            return False
        asker.learn(event.request)
        if event.transaction.is_invite:
            asker.negotiation.step(RECEIVE_INVITE)
        asker.accept(event.transaction, answer)
        return True

    def _pass_on(self, method: str) -> None:
        assert self._other is not None
        if method == "UPDATE" and not self._other.allows("UPDATE"):
            method = "INVITE"
            self.give_up_at = self._other.endpoint.now + UPDATE_S
        self._passed = self._other.request(method, None, self._offer)

    @property
    def is_free(self) -> bool:
        """True when no re-INVITE is open."""
        return self._asked is None

    def owns(self, transaction: Transaction) -> bool:
        """Tell whether an event's transaction is part of this exchange."""
        return transaction is self._passed or transaction is self._asked

    async def reply(self, event: Reply) -> bool:
        """Take the other leg's answer. False when it ends that leg."""
        asker, other, asked = self._asker, self._other, self._asked
        response, is_invite = event.response, event.transaction.is_invite
        if response.status < 200 or asker is None or other is None or asked is None:
            return True
        if is_invite:
            other.negotiation.step(CONCLUDE)
        if self._is_left:
            return self._answered_left(other, event)
        if response.status >= 300:
            return self._refused(other, event)
        if is_invite:
            other.renewed(response)
        else:
            other.updated(response)
        try:
            told = await self._take(other, response)
        except (BadMessage, MediaError):
            if is_invite:
                other.ack(response)
            self._fail(488)
            return True
        if self._is_delayed:
            self._unacked = response
            asker.awaits_ack = True
            asker.negotiation.step(SEND_OFFER)
        else:
            if is_invite:
                other.ack(response)
            other.negotiation.step(RECEIVE_ANSWER)
            asker.negotiation.step(SEND_ANSWER)
            self._forget()
        asker.accept(asked, told)
        return True

    def _refused(self, other: Leg, event: Reply) -> bool:
        status = event.response.status
        is_again = other.timer is not None and other.timer.heed(event.response)
        if status in (405, 501) and event.transaction.method == "UPDATE":
            other.allow, is_again = None, True  # it said that it could
        if is_again:
            other.negotiation.step(FAIL)
            self._pass_on(event.transaction.method)
            return True
        self._fail(passable(status, 488))
        return status not in OVER

    async def _take(self, other: Leg, response: Response) -> bytes:
        if response.content_type != SDP:
            unpack(response)
        if self._is_delayed:
            return await self._media.offer(other.side, response.body, other.source)
        if not response.body:
            raise MediaError("a 2xx without the answer")
        return self._media.answer(other.side, response.body, other.source)

    def acked(self, event: Acked) -> None:
        """Take the ACK of the asker: after a delayed offer it carries the answer."""
        if event.transaction is not self._asked or self._unacked is None:
            return
        asker, other = self._asker, self._other
        if asker is None or other is None:
            return
        if self._is_left:
            self._acked_left(asker, event)
            return
        answer = b""
        try:
            if event.request.body:
                answer = self._media.answer(asker.side, event.request.body, asker.source)
        except (BadMessage, MediaError):
            self._media.withdraw()
        if not asker.negotiation.step(RECEIVE_ANSWER if answer else FAIL):
            asker.negotiation.step(FAIL)
        other.ack(self._unacked, answer)
        asker.awaits_ack = False
        self._forget()

    def give_up(self) -> None:
        """The other leg rings for ever at what must be answered now."""
        self.give_up_at = None
        self.cancel()  # the 487 comes back by reply()

    def cancel(self) -> None:
        """The asker has cancelled its re-INVITE: so do we; the 487 comes back by reply()."""
        if self._other is not None and self._passed is not None:
            self._other.endpoint.cancel(self._passed)

    def leave(self, leg: Leg) -> None:
        """A side has hung up and the call goes on: the one who stays may know of an offer of it,
        and whatever comes of that is what this one has agreed to.
        """
        asker, other, asked, unacked = self._asker, self._other, self._asked, self._unacked
        if asker is None or other is None or asked is None:
            return
        if leg is other and unacked is None:
            self.abort()
            return
        self._is_left, self.give_up_at = True, None
        if leg is other and unacked is not None:  # its offer is in our 2xx: the ACK is to come
            other.ack(unacked)
            return
        asker.endpoint.respond(asked, 487 if asked.is_invite else 504)
        if unacked is None:
            self.cancel()  # but a 2xx may be on its way, and an UPDATE cannot be cancelled
            return
        self._media.withdraw()
        self._answer_left(other, unacked)

    def _answer_left(self, other: Leg, response: Response) -> None:
        """Answer the offer of a 2xx, for which nobody waits any more, by what was said last."""
        try:
            answer = self._media.answer_here(other.side, response.body, other.source)
        except (BadMessage, MediaError):
            answer = b""
        other.ack(response, answer)
        self._forget()

    def _answered_left(self, other: Leg, event: Reply) -> bool:
        """Take the answer of the one who stays. False when it ends that leg."""
        response, is_invite = event.response, event.transaction.is_invite
        if response.status >= 300:
            self._media.withdraw()
            other.negotiation.step(FAIL)
            self._forget()
            return response.status not in OVER
        if is_invite:
            other.renewed(response)
        else:
            other.updated(response)
        if response.content_type != SDP:
            unpack(response)
        if self._is_delayed:
            self._answer_left(other, response)
            return True
        if is_invite:
            other.ack(response)
        self._learn_left(other, response.body)
        return True

    def _acked_left(self, asker: Leg, event: Acked) -> None:
        asker.awaits_ack = False
        self._learn_left(asker, event.request.body)

    def _learn_left(self, leg: Leg, answer: bytes) -> None:
        """Take what the one who stays has answered; nobody is there to be told."""
        try:
            if not answer:
                raise MediaError("no answer")
            self._media.learn(leg.side, answer, leg.source)
            leg.negotiation.step(RECEIVE_ANSWER)
        except (BadMessage, MediaError):
            self._media.withdraw()
            leg.negotiation.step(FAIL)
        self._forget()

    def abort(self) -> None:
        """The call ends: nothing stays open (a BYE during a re-INVITE)."""
        if self._asked is None:
            return
        self.cancel()
        if self._unacked is not None and self._other is not None:
            self._other.ack(self._unacked)
        self._fail(487)

    def _fail(self, status: int) -> None:
        asker, other, asked = self._asker, self._other, self._asked
        if asker is None or other is None or asked is None:
            return
        self._media.withdraw()
        if status == 487 and not asked.is_invite:
            status = 504
        asker.endpoint.respond(asked, status)
        if asked.is_invite:
            asker.negotiation.step(CONCLUDE)
        asker.negotiation.step(FAIL)
        other.negotiation.step(FAIL)
        self._forget()

    def _forget(self) -> None:
        self._asker = self._other = self._asked = self._passed = self._unacked = None
        self.give_up_at, self._is_left = None, False
