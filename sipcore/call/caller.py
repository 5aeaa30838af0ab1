"""The a_leg: an INVITE that came to us; its 18x, reliable or not (RFC 3262), and its answer."""

import zlib

from sipcore.call.leg import SDP, Leg, Notify, Side
from sipcore.dialog.events import Told, Within
from sipcore.dialog.negotiation import (
    ASKED,
    OFFERED,
    SEND_ANSWER,
    SEND_OFFER,
    SEND_PREVIEW,
    STABLE,
    THEIRS,
)
from sipcore.dialog.reliable import MOST_FIRST, Provisional, Reliable
from sipcore.dialog.reliable import TAG as RELIABLE
from sipcore.endpoint import Endpoint
from sipcore.message.flow import Flow
from sipcore.message.message import NO_REQUEST, Headers, Request
from sipcore.message.uri import Uri


class CallerLeg(Leg):
    """The a_leg: its INVITE came to us. `is_agreed`: it has our SDP for good, by an 18x or 2xx."""

    side: Side = "a"
    is_reliable = True  # the node acknowledges, and has acknowledged, 18x
    _reliable: Reliable | None = None
    _rang = 183  # what it was told last, or may be told

    def __init__(self, endpoint: Endpoint, notify: Notify, request: Request, flow: Flow) -> None:
        uri = Uri.parse(request.uri)
        Leg.__init__(self, endpoint, notify, uri.user or "", flow.remote_address)
        if uri.scheme != "sip":
            self._scheme = uri.scheme
        self.invite = request  # until it is answered
        self._number = request.cseq.number
        self.allow = request.headers.get("Allow")
        self.negotiation.inviting = THEIRS
        if request.body:
            self.negotiation.state = ASKED
        self.is_agreed = False
        self.transaction = endpoint.accept(request, flow, self)
        self.dialog = endpoint.open_dialog(self.transaction)

    def feed(self, event: Told) -> None:
        """Take an event. A PRACK is matched here, and answered unless its SDP is to be."""
        if isinstance(event, Within) and event.request.method == "PRACK" and not self.is_over:
            if not self._acknowledged(event):
                return
            if not event.request.body:
                self.endpoint.respond(event.transaction, 200)
        Leg.feed(self, event)  # super() costs more than the whole of it

    def _acknowledged(self, event: Within) -> bool:
        ours = self._reliable
        if ours is None or not ours.acknowledge(event.request, self._number):
            self.endpoint.respond(event.transaction, 481)
            return False
        if not self.transaction.is_answered:
            self.endpoint.settle(self.transaction)
            while (one := ours.next()) is not None:
                self._provisional(one)
        return True

    @property
    def requires_reliable(self) -> bool:
        return RELIABLE in self.invite.tokens("Require")

    @property
    def is_able_to_prack(self) -> bool:
        """Whether it takes reliable 18x."""
        headers = self.invite.headers
        if not self.is_reliable or ("Supported" not in headers and "Require" not in headers):
            return False
        return RELIABLE in self.invite.tokens("Supported") or self.requires_reliable

    @property
    def owes_prack(self) -> bool:
        """True while the call may not be answered: an 18x with SDP is not acknowledged."""
        return self._reliable is not None and self._reliable.holds_answer_back

    @property
    def has_spoken_early(self) -> bool:
        """Whether it had 18x that count: then the other side may have changed since."""
        return self._reliable is not None

    def progress(self, status: int, sdp: bytes = b"") -> None:
        """Send 180, 181, 182 or 183: reliably where it has SDP, to a caller that can (RFC 3262).

        SDP that comes when `is_agreed` must not be given: it would be a second answer.
        """
        self._rang = 183 if sdp else status
        headers = self.about_us(self.transaction.flow)
        if sdp:
            headers["Content-Type"] = [SDP]
        if not self.is_able_to_prack:
            if sdp:
                self.negotiation.step(SEND_PREVIEW)
            self.endpoint.respond(self.transaction, status, headers, sdp)
            return
        is_reliable = bool(sdp) or self.requires_reliable
        if is_reliable and not sdp and not self.invite.body and not self.is_agreed:
            return  # it would have to be our offer (RFC 3262 5)
        if sdp:
            self.is_agreed = True
            self.negotiation.step(SEND_ANSWER if self.invite.body else SEND_OFFER)
        if self._reliable is None:
            self._reliable = Reliable(zlib.crc32(self.transaction.tag.encode()) % MOST_FIRST + 1)
        one = self._reliable.send(Provisional(status, headers, sdp, is_reliable))
        if one is not None:
            self._provisional(one)

    def remind(self) -> None:
        """Say again that it rings, without SDP: whoever has had one goes on listening to it."""
        self.progress(183 if self.is_agreed else self._rang)

    def _provisional(self, one: Provisional) -> None:
        if one.is_reliable:
            self.endpoint.respond_reliably(self.transaction, one.status, one.headers, one.body)
        else:
            self.endpoint.respond(self.transaction, one.status, one.headers, one.body)

    def answer(self, sdp: bytes) -> None:
        """Answer the call. Its SDP does not go again if an 18x had it for good (RFC 6337 3.1)."""
        if self.is_agreed:
            sdp = b""
        elif sdp:
            self.is_agreed = True
            self.negotiation.state = STABLE if self.invite.body else OFFERED
        self.accept(self.transaction, sdp)
        self.invite = NO_REQUEST  # several KiB, and a call may last for hours

    def refuse(self, status: int, headers: Headers | None = None) -> None:
        """Refuse the call, if it has no final answer yet."""
        self.leave()
        self.endpoint.respond(self.transaction, status, headers)
