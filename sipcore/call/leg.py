"""One side of the B2BUA: its dialog, its offer/answer state, and how it is ended in any state."""

import ipaddress
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, Literal, Protocol

from msgspec import Struct

from sipcore.call.ending import Ending
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Acked, Reply, Told, Unacked, User, Within
from sipcore.dialog.negotiation import Negotiation
from sipcore.dialog.transaction import Transaction
from sipcore.endpoint import Endpoint
from sipcore.media.control import MediaEvent
from sipcore.message.flow import Flow, Hop
from sipcore.message.message import Headers, Request, Response
from sipcore.message.uri import Uri
from sipcore.policy.attempt import Source, Target

Side = Literal["a", "b"]
Act = Callable[[], Coroutine[Any, Any, Ending | None]]


class Deed(Struct, frozen=True):
    """Something to be done when the call comes to it, between two events."""

    act: Act


Item = tuple["Leg", Told] | MediaEvent | Ending | Deed  # what a call's inbox holds
Notify = Callable[["Leg", Told], None]
Party = Source | Target | None

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, MESSAGE, REFER, REGISTER, SUBSCRIBE"
SDP = "application/sdp"
REFRESHING = frozenset({"INVITE", "NOTIFY"})  # requests that tell our Contact (RFC 3261, 6665)


class Owner(Protocol):
    """The call that a leg is of, or an attempt that follows from one."""

    @property
    def id(self) -> str: ...


class Leg:
    """What a caller's and a callee's leg have in common once there is a dialog.

    `notify` is told of events until the leg is over; then the leg cleans up by itself: late
    answers are acknowledged and ended, late requests get 481.
    """

    side: Side

    def __init__(self, endpoint: Endpoint, notify: Notify, contact_user: str, source: str) -> None:
        self.endpoint = endpoint
        self.source = source  # the address that its signalling comes from
        self.dialog: Dialog | None = None
        self.negotiation = Negotiation()
        self.is_over = False
        self.awaits_ack = False  # somebody waits for what an ACK carries
        self._notify = notify
        self._contact_user = contact_user
        self._scheme = "sip"  # of our Contact (RFC 3261 12.1.1)
        self._is_unacked = False
        self._bye_owed: Headers | None = None
        self.kept_at: tuple[str, Flow] | None = None  # where the journal has its peer
        self.party: Party = None  # who it is, in the words of policy
        self.owner: Owner | None = None
        self.has_referred = False

    def feed(self, event: Told) -> None:
        """Take an event of this leg's transactions and dialogs."""
        is_ack = isinstance(event, Acked)
        if is_ack or isinstance(event, Unacked):
            self._is_unacked = False
            if self._bye_owed is not None:
                self._send_bye(self._bye_owed)
            if is_ack and not self.awaits_ack:
                return
        if not self.is_over:
            self._notify(self, event)
        elif isinstance(event, Within):
            self.endpoint.respond(event.transaction, 200 if event.request.method == "BYE" else 481)
        elif isinstance(event, Reply):
            self._late_reply(event)

    def _hop(self, dialog: Dialog) -> Hop:
        return hop_within(self.endpoint, dialog)

    def request(
        self,
        method: str,
        headers: Headers | None = None,
        body: bytes = b"",
        user: User | None = None,
    ) -> Transaction:
        """Send a request within the dialog; its replies come as events, to `user` if one asks."""
        assert self.dialog is not None
        hop = self._hop(self.dialog)
        extra: Headers = (
            {"Contact": [hop.contact(self._contact_user, self._scheme)]}
            if method in REFRESHING
            else {}
        )
        request = self.dialog.request(method, extra | (headers or {}), body)
        return self.endpoint.request(request, hop, user or self)

    def ack(self, response: Response, body: bytes = b"") -> None:
        """Acknowledge a 2xx to an INVITE of ours."""
        assert self.dialog is not None
        headers: Headers | None = {"Content-Type": [SDP]} if body else None
        self.endpoint.ack(self.dialog, response.cseq.number, self._hop(self.dialog), headers, body)

    def accept(self, transaction: Transaction, body: bytes = b"") -> None:
        """Answer an INVITE with 200; BYE waits from now for its ACK (RFC 3261 15)."""
        headers = self._about_us(transaction.flow)
        if body:
            headers["Content-Type"] = [SDP]
        if self.endpoint.respond(transaction, 200, headers, body):
            self._is_unacked = True

    def bye(self, reason: str | None = None) -> None:
        """End the dialog: BYE, once the peer has acknowledged our 2xx."""
        self.leave()
        headers: Headers = {"Reason": [reason]} if reason else {}
        if self._is_unacked:
            self._bye_owed = headers
        else:
            self._send_bye(headers)

    def join(self, side: Side, owner: Owner, notify: Notify) -> None:
        """Be part of another call from now on, or in another's place."""
        self.side, self.owner, self._notify = side, owner, notify

    def leave(self) -> None:
        """Be over: from now on the leg cleans up by itself, and the call is let go."""
        self.is_over = True
        self._notify = _nobody

    def close(self) -> None:
        """The peer has ended the dialog."""
        self.leave()
        if self.dialog is not None:
            self.endpoint.end(self.dialog)

    def _send_bye(self, headers: Headers) -> None:
        self._bye_owed = None
        if self.dialog is not None:
            self.request("BYE", headers)
            self.endpoint.end(self.dialog)

    def _about_us(self, flow: Flow) -> Headers:
        contact = self.endpoint.hop_by(flow).contact(self._contact_user, self._scheme)
        return {"Contact": [contact], "Allow": [ALLOW]}

    def _late_reply(self, event: Reply) -> None:
        """An INVITE was answered after its leg was over: acknowledge; end what it began."""
        if not event.transaction.is_invite or not 200 <= event.response.status < 300:
            return
        if event.dialog is not None:
            self._end_fork(event.dialog, event.response)
        elif self.dialog is not None and event.request.to.tag:
            self.ack(event.response)  # of a re-INVITE that our BYE overtook

    def _end_fork(self, dialog: Dialog, response: Response) -> None:
        """Accept and end a dialog that is not wanted (RFC 3261 13.2.2.4)."""
        hop = self._hop(dialog)
        self.endpoint.ack(dialog, response.cseq.number, hop)
        self.endpoint.request(dialog.request("BYE"), hop, None)
        self.endpoint.end(dialog)


def hop_within(endpoint: Endpoint, dialog: Dialog) -> Hop:
    """Return the way for the next request within a dialog.

    Along the route set or to the peer's Contact (RFC 3261 12.2.1.1); back along the flow on a
    stream, to a Contact that cannot be reached from here (a private address behind NAT), and
    to a name that has no address.
    """
    flow = dialog.flow
    uri = Uri.parse(dialog.next_hop())
    if not dialog.route_set and (flow.is_reliable or is_behind_nat(uri, flow)):
        return endpoint.hop_by(flow)
    return endpoint.hop_at_once(uri) or endpoint.hop_by(flow)


def _nobody(leg: Leg, event: Told) -> None:
    """Take the events of a leg that has left its call."""


class CallerLeg(Leg):
    """The a_leg: its INVITE came to us."""

    side: Side = "a"

    def __init__(self, endpoint: Endpoint, notify: Notify, request: Request, flow: Flow) -> None:
        uri = Uri.parse(request.uri)
        super().__init__(endpoint, notify, uri.user or "", flow.remote_address)
        self._scheme = uri.scheme
        self.invite = request
        self.transaction = endpoint.accept(request, flow, self)
        self.dialog = endpoint.open_dialog(self.transaction)

    def progress(self, status: int, sdp: bytes = b"") -> None:
        """Send 180, 181, 182 or 183, with early media or without."""
        headers = self._about_us(self.transaction.flow)
        if sdp:
            headers["Content-Type"] = [SDP]
        self.endpoint.respond(self.transaction, status, headers, sdp)

    def answer(self, sdp: bytes) -> None:
        """Answer the call."""
        self.accept(self.transaction, sdp)

    def refuse(self, status: int, headers: Headers | None = None) -> None:
        """Refuse the call, if it has no final answer yet."""
        self.leave()
        self.endpoint.respond(self.transaction, status, headers)


class CalleeLeg(Leg):
    """A b_leg: an INVITE of ours. `who` names the target for people."""

    side: Side = "b"

    def __init__(
        self, endpoint: Endpoint, notify: Notify, request: Request, hop: Hop, who: str
    ) -> None:
        super().__init__(endpoint, notify, "", hop.flow.remote_address)
        self._scheme = Uri.parse(request.uri).scheme
        self.who = who
        self.is_heard = False  # something has come back
        self.transaction = endpoint.request(request, hop, self)

    def feed(self, event: Told) -> None:
        """Take an event. 100 wakes nobody; an answer of one more fork is ended at once."""
        if isinstance(event, Reply) and event.transaction is self.transaction:
            self.is_heard = True
            if event.response.status == 100:
                return
            if self.dialog is not None and event.dialog is not self.dialog:
                self._late_reply(event)
                return
        super().feed(event)

    def cancel(self, reason: str | None = None) -> None:
        """Give up on it: CANCEL if it may still be answered; an answer in spite of it is ended."""
        self.leave()
        self.endpoint.cancel(self.transaction, reason)

    def confirm(self, dialog: Dialog, response: Response) -> None:
        """Take the fork that answered, and acknowledge."""
        self.dialog = dialog
        self.ack(response)


def is_behind_nat(uri: Uri, flow: Flow) -> bool:
    """Tell whether a message from the public network names a Contact that is not in it.

    Between private addresses the Contact is believed: networks of carriers are like that.
    """
    if uri.address == flow.remote_address:
        return False
    return _is_public(uri.address) is False and _is_public(flow.remote_address) is True


@lru_cache(4096)
def _is_public(host: str) -> bool | None:
    """None for what is no address. 100.64.0.0/10 (RFC 6598) is not public."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return None
