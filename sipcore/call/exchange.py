"""A re-INVITE carried from one leg to the other: one at a time, in every order of events.

RFC 3261 14: 491 for an offer that meets another one open, 500 for one that comes before the last
is answered. An INVITE without SDP asks the other leg for the offer (RFC 3264 via RFC 3725).
"""

from sipcore.call.leg import SDP, Leg
from sipcore.dialog.events import Acked, Reply, Within
from sipcore.dialog.negotiation import (
    FAIL,
    RECEIVE_ANSWER,
    RECEIVE_OFFER,
    SEND_ANSWER,
    SEND_OFFER,
)
from sipcore.dialog.transaction import Transaction
from sipcore.errors import BadMessage, MediaError
from sipcore.ids import Ids
from sipcore.media.session import MediaSession
from sipcore.message.message import Response

OVER = frozenset({408, 481})  # answers that end the dialog they come in (RFC 3261 12.2.1.2)


# Failures that mean the same on the other leg, and need no header fields to be understood.
PASSED = frozenset({400, 403, 404, 408, 480, 481, 486, 487, 488, 491, 500, 501, 503, 504, 603, 606})


def passable(status: int, instead: int) -> int:
    """Return what the other leg is told: a challenge, say, was meant for us and not for it."""
    return status if status < 300 or status in PASSED else instead


class Exchange:
    """Holds the re-INVITE that is open in a call, if one is."""

    def __init__(self, media: MediaSession, ids: Ids) -> None:
        self._media = media
        self._ids = ids
        self._asker: Leg | None = None
        self._other: Leg | None = None
        self._asked: Transaction | None = None  # the INVITE that came
        self._passed: Transaction | None = None  # the INVITE that we sent on
        self._is_delayed = False
        self._unacked: Response | None = None  # the other's 2xx, waiting for the asker's ACK

    async def begin(self, asker: Leg, other: Leg, event: Within) -> None:
        """Take a re-INVITE from `asker` and pass it on to `other`."""
        refusal = asker.negotiation.refusal() or other.negotiation.refusal()
        if refusal is None and self._asked is not None:
            refusal = 500 if asker is self._asker else 491
        if refusal is not None:
            wait_s = str(int(self._ids.fraction() * 10))
            headers = {"Retry-After": [wait_s]} if refusal == 500 else None
            asker.endpoint.respond(event.transaction, refusal, headers)
            return
        request = event.request
        offer = b""
        if request.body:
            if request.content_type != SDP:
                asker.endpoint.respond(event.transaction, 415, {"Accept": [SDP]})
                return
            try:
                offer = await self._media.offer(asker.side, request.body, asker.source)
            except BadMessage:
                asker.endpoint.respond(event.transaction, 400)
                return
            except MediaError:
                self._media.withdraw()
                asker.endpoint.respond(event.transaction, 488)
                return
        self._asker, self._other, self._asked = asker, other, event.transaction
        self._is_delayed = not offer
        if offer:
            asker.negotiation.step(RECEIVE_OFFER)
            other.negotiation.step(SEND_OFFER)
        self._passed = other.request("INVITE", {"Content-Type": [SDP]} if offer else None, offer)

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
        response = event.response
        if response.status < 200 or asker is None or other is None or asked is None:
            return True
        if response.status >= 300:
            self._fail(passable(response.status, 488))
            return response.status not in OVER
        try:
            told = await self._take(other, response)
        except (BadMessage, MediaError):
            other.ack(response)
            self._fail(488)
            return True
        if self._is_delayed:
            self._unacked = response
            asker.awaits_ack = True
        else:
            other.ack(response)
            other.negotiation.step(RECEIVE_ANSWER)
            asker.negotiation.step(SEND_ANSWER)
            self._forget()
        asker.accept(asked, told)
        return True

    async def _take(self, other: Leg, response: Response) -> bytes:
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
        answer = b""
        try:
            if event.request.body:
                answer = self._media.answer(asker.side, event.request.body, asker.source)
        except (BadMessage, MediaError):
            self._media.withdraw()
        other.ack(self._unacked, answer)
        asker.awaits_ack = False
        self._forget()

    def cancel(self) -> None:
        """The asker has cancelled its re-INVITE: so do we; the 487 comes back by reply()."""
        if self._other is not None and self._passed is not None:
            self._other.endpoint.cancel(self._passed)

    def abort(self) -> None:
        """The call ends: nothing stays open (a BYE during a re-INVITE)."""
        if self._asked is None:
            return
        self.cancel()
        if self._unacked is not None and self._other is not None:
            self._other.ack(self._unacked)
        self._fail(487)

    def _fail(self, status: int) -> None:
        assert self._asker is not None
        assert self._other is not None
        assert self._asked is not None
        self._media.withdraw()
        self._asker.endpoint.respond(self._asked, status)
        self._asker.negotiation.step(FAIL)
        self._other.negotiation.step(FAIL)
        self._forget()

    def _forget(self) -> None:
        self._asker = self._other = self._asked = self._passed = self._unacked = None
