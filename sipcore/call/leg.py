"""One side of the B2BUA: its dialog, its offer/answer state, and how it is ended in any state."""

import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, Protocol

from msgspec import Struct

from sipcore.call.ending import Ending
from sipcore.call.hops import hop_within
from sipcore.dialog import refresh
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Acked, Reply, Told, Unacked, User, Within
from sipcore.dialog.negotiation import (
    CONCLUDE,
    SEND_INVITE,
    SEND_OFFER,
    Negotiation,
)
from sipcore.dialog.reliable import rack
from sipcore.dialog.transaction import Transaction
from sipcore.endpoint import Endpoint
from sipcore.errors import BadMessage
from sipcore.media.control import MediaEvent
from sipcore.message.bodies import SDP as SDP
from sipcore.message.flow import Flow, Hop
from sipcore.message.message import Headers, Request, Response
from sipcore.message.signer import CHALLENGED, Signer
from sipcore.policy.attempt import CarrierTarget, Source, Target
from sipcore.policy.profile import Dtmf

if TYPE_CHECKING:
    from sipcore.call.deflect import Deflection
    from sipcore.call.picker import Picker

Side = Literal["a", "b"]
Act = Callable[[], Coroutine[Any, Any, Ending | None]]


class Deed(Struct, frozen=True):
    """Something to be done when the call comes to it, between two events."""

    act: Act


class Landed(Struct, frozen=True):
    """An attempt that a 3xx led to was answered, or has failed."""

    deflection: "Deflection"


class Picked(Struct, frozen=True):
    """Somebody else takes a call that rings."""

    picker: "Picker"


Item = (
    tuple["Leg", Told] | MediaEvent | Ending | Deed | Landed | Picked
)  # what a call's inbox holds
Notify = Callable[["Leg", Told], None]
Party = Source | Target | None

ALLOW = (
    "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, MESSAGE, REFER, REGISTER, SUBSCRIBE, PRACK, UPDATE"
)
# Of the peers that may ask for less: nobody at a carrier has rights here, to transfer a call say.
ALLOW_CARRIERS = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, MESSAGE, PRACK, UPDATE"
SUPPORTED = "100rel, timer"
REPLACES = "replaces"  # understood of phones and PBXs alone (RFC 3891)
SUPPORTED_ALL = f"{SUPPORTED}, {REPLACES}"
MADE_ANEW = frozenset(("Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Route"))


class Owner(Protocol):
    """The call that a leg is of, or an attempt that follows from one."""

    @property
    def id(self) -> str: ...


class Signed:
    """Requests that were signed. `again`: those sent once more, and for which; `users`: who waits
    for what comes of one."""

    __slots__ = ("again", "users")

    def __init__(self) -> None:
        self.again: dict[Transaction, Transaction] = {}
        self.users: dict[Transaction, User] = {}


class Leg:
    """What a caller's and a callee's leg have in common once there is a dialog.

    `notify` is told of events until the leg is over; then the leg cleans up by itself: late
    answers are acknowledged and ended, late requests get 481.
    """

    # What most legs never set costs them nothing: it is the class's.
    side: Side
    dtmf: Dtmf = "any"
    kept_at: tuple[str, Flow] | None = None  # where the journal has its peer
    party: Party = None  # who it is, in the words of policy
    owner: Owner | None = None
    has_referred = False
    rules = refresh.Rules()
    timer: refresh.Refresh | None = None  # the session timer, if one runs (RFC 4028)
    allow: list[str] | None = None  # the peer's Allow, row by row
    _scheme = "sip"  # of our Contact (RFC 3261 12.1.1)
    _bye_owed: Headers | None = None
    _signed: "Signed | None" = None

    def __init__(self, endpoint: Endpoint, notify: Notify, contact_user: str, source: str) -> None:
        self.endpoint = endpoint
        self.source = source  # the address that its signalling comes from
        self.dialog: Dialog | None = None
        self.negotiation = Negotiation()
        self.is_over = False
        self.awaits_ack = False  # somebody waits for what an ACK carries
        self.signer: Signer | None = None  # of what is sent to a peer that wants credentials
        self._notify = notify
        self._contact_user = contact_user
        self._is_unacked = False

    def feed(self, event: Told) -> None:
        """Take an event of this leg's transactions and dialogs."""
        if isinstance(event, Reply):
            if self.signer is not None and self._takes(event):
                return
        elif isinstance(event, Acked):
            self._conclude(event)
            if not self.awaits_ack:
                return
        elif isinstance(event, Unacked):
            self._conclude(event)
        if not self.is_over:
            self._notify(self, event)
        elif isinstance(event, Within):
            self.endpoint.respond(event.transaction, 200 if event.request.method == "BYE" else 481)
        elif isinstance(event, Reply):
            self._late_reply(event)

    def _takes(self, event: Reply) -> bool:
        """Take the reply to what was signed, where that is all: it is signed again, or is told to
        who has asked for it."""
        if self._signs_again(event):
            return True
        users = self._signed.users if self._signed is not None else {}
        user = users.get(event.transaction)
        if user is None:
            return False
        if event.response.status >= 200:
            del users[event.transaction]
        user.feed(event)
        return True

    def _conclude(self, event: Acked | Unacked) -> None:
        """The ACK of a 2xx has come, or will not; or that of an 18x, which changes nothing."""
        if event.transaction.is_answered:
            self._is_unacked = False
            self.negotiation.step(CONCLUDE)
            if self._bye_owed is not None:
                self._send_bye(self._bye_owed)

    def _hop(self, dialog: Dialog) -> Hop:
        return hop_within(self.endpoint, dialog)

    @property
    def is_carriers(self) -> bool:
        """Whether a carrier is at its other end."""
        party = self.party
        if isinstance(party, Source):
            return party.kind == "carrier"
        return isinstance(party, CarrierTarget)

    @property
    def allowed(self) -> str:
        """What the peer is told in Allow."""
        return ALLOW_CARRIERS if self.is_carriers else ALLOW

    def allows(self, method: str) -> bool:
        """Tell whether the peer has said that it takes such requests."""
        return self.allow is not None and any(method in row for row in self.allow)

    @property
    def takes_info(self) -> bool:
        """Whether it is told of keys by INFO, where it has no telephone-event (RFC 4733)."""
        return self.dtmf == "info" or (self.dtmf == "any" and self.allows("INFO"))

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
        extra = headers or {}
        if method == "INVITE" or method == "UPDATE":
            extra = self._renewing(hop, method, body) | extra
        elif method == "NOTIFY":
            extra = {"Contact": [hop.contact(self._contact_user, self._scheme)]} | extra
        request = self.dialog.request(method, extra, body)
        if self.signer is not None:
            self.signer.sign(request)
        if self.signer is None or user is None:
            return self.endpoint.request(request, hop, user or self)
        transaction = self.endpoint.request(request, hop, self)  # which may have to sign again
        self._signed = self._signed or Signed()
        self._signed.users[transaction] = user
        return transaction

    def _renewing(self, hop: Hop, method: str, body: bytes) -> Headers:
        """Begin a request that refreshes target and session: take the step, write its headers."""
        contact = hop.contact(self._contact_user, self._scheme)
        headers: Headers = {"Contact": [contact], "Allow": [self.allowed]}
        if method == "INVITE":
            self.negotiation.step(SEND_INVITE)
        if body:
            self.negotiation.step(SEND_OFFER)
            headers["Content-Type"] = [SDP]
        known = [] if self.is_carriers else [REPLACES]  # no 18x of a re-INVITE is acknowledged
        if self.timer is not None:
            known.insert(0, refresh.TAG)
            headers |= self.timer.headers()
        if known:
            headers["Supported"] = [", ".join(known)]
        return headers

    def learn(self, message: Request | Response) -> None:
        """Take what a peer's INVITE, UPDATE or 2xx to one says of its abilities."""
        allow = message.headers.get("Allow")
        if allow is not None:
            self.allow = allow

    def refuses_timer(self, event: Within) -> bool:
        """Refuse a request whose session timer is broken, or too short for us (RFC 4028 9)."""
        if "Session-Expires" not in event.request.headers:
            return False
        try:
            if not refresh.is_too_short(event.request, self.rules):
                return False
        except BadMessage:
            self.endpoint.respond(event.transaction, 400)
            return True
        least = {"Min-SE": [str(self.rules.least_s)]}
        self.endpoint.respond(event.transaction, 422, least)
        return True

    def renewed(self, response: Response) -> None:
        """Take a 2xx to an INVITE or UPDATE of ours: the session timer is what it says."""
        self.learn(response)
        if self.timer is not None or "Session-Expires" in response.headers:
            self.timer = refresh.agreed(response, self.endpoint.now)

    def updated(self, response: Response) -> None:
        """Take a 2xx to an UPDATE of ours: the peer may have moved, too (RFC 3261 12.2.1.2)."""
        self.renewed(response)
        with contextlib.suppress(BadMessage):
            if self.dialog is not None:
                self.dialog.learn_target(response)

    def _signs_again(self, event: Reply) -> bool:
        """Sign a request within the dialog again that was challenged: its nonce was too old.

        What comes of it is told under the transaction that it was first sent in.
        """
        request, response, signer = event.request, event.response, self.signer
        if signer is None or self.dialog is None or response.status < 200:
            return False
        signed = self._signed = self._signed or Signed()
        first = signed.again.pop(event.transaction, event.transaction)
        event.transaction = first
        if response.status not in CHALLENGED or event.is_local:
            signer.accepted()
            return False
        if not request.to.tag or not signer.learn(response):
            return False
        extra = {name: of for name, of in request.headers.items() if name not in MADE_ANEW}
        again = self.dialog.request(request.method, extra, request.body)
        signer.sign(again)
        transaction = self.endpoint.request(again, self._hop(self.dialog), self)
        signed.again[transaction] = first
        return True

    def ack(self, response: Response, body: bytes = b"") -> None:
        """Acknowledge a 2xx to an INVITE of ours."""
        assert self.dialog is not None
        headers: Headers | None = {"Content-Type": [SDP]} if body else None
        if self.signer is not None:
            headers = self.signer.shown | (headers or {})
        self.endpoint.ack(self.dialog, response.cseq.number, self._hop(self.dialog), headers, body)

    def accept(self, transaction: Transaction, body: bytes = b"") -> None:
        """Answer an INVITE or UPDATE with 200; BYE waits from now for an INVITE's ACK (15)."""
        headers = self.about_us(transaction.flow)
        headers["Supported"] = [self.supported]
        request = transaction.request
        if "Session-Expires" in request.headers or "Supported" in request.headers:
            headers |= self._timed(request)
        elif self.timer is not None:
            self.timer = None  # a 2xx that sets none ends it (RFC 4028 9)
        if body:
            headers["Content-Type"] = [SDP]
        is_invite = transaction.is_invite
        if self.endpoint.respond(transaction, 200, headers, body) and is_invite:
            self._is_unacked = True

    def _timed(self, request: Request) -> Headers:
        """Set the session timer that a request of the peer asks for; return what our 2xx says."""
        made = None
        with contextlib.suppress(BadMessage):  # refused at the door, where it matters
            made = refresh.answer(request, self.rules, self.endpoint.now)
        self.timer, headers = made or (None, {})
        return headers

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
        self.owner, self._notify = None, _nobody

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

    @property
    def supported(self) -> str:
        """What the peer is told in Supported."""
        return SUPPORTED if self.is_carriers else SUPPORTED_ALL

    def about_us(self, flow: Flow) -> Headers:
        """Return what responses that begin or renew a dialog say: our Contact, and Allow."""
        contact = self.endpoint.hop_by(flow).contact(self._contact_user, self._scheme)
        return {"Contact": [contact], "Allow": [self.allowed]}

    def _late_reply(self, event: Reply) -> None:
        """An INVITE was answered after its leg was over: acknowledge; end what it began."""
        if not event.transaction.is_invite or not 200 <= event.response.status < 300:
            return
        if event.dialog is not None:
            self._end_fork(event.dialog, event.response)
        elif self.dialog is not None and event.request.marks.to_tag:
            self.ack(event.response)  # of a re-INVITE that our BYE overtook

    def prack(self, dialog: Dialog, response: Response, number: int) -> Transaction:
        """Acknowledge a reliable 18x, in its early dialog."""
        return self.ask_early(dialog, "PRACK", rack(response, number))

    def ask_early(
        self, dialog: Dialog, method: str, headers: Headers, body: bytes = b""
    ) -> Transaction:
        """Send a request in an early dialog of this leg's INVITE."""
        request = dialog.request(method, headers, body)
        if self.signer is not None:
            self.signer.sign(request)
        return self.endpoint.request(request, self._hop(dialog), self)

    def _end_fork(self, dialog: Dialog, response: Response) -> None:
        """Accept and end a dialog that is not wanted (RFC 3261 13.2.2.4)."""
        hop = self._hop(dialog)
        self.endpoint.ack(dialog, response.cseq.number, hop)
        self.endpoint.request(dialog.request("BYE"), hop, None)
        self.endpoint.end(dialog)


def _nobody(leg: Leg, event: Told) -> None:
    """Take the events of a leg that has left its call."""
