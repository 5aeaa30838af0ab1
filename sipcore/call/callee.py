"""The b_leg: an INVITE of ours, the forks that ring for it, the one that answers."""

from sipcore.call.leg import SDP, Leg, Notify, Side
from sipcore.dialog.dialog import Dialog
from sipcore.dialog.events import Reply, Told
from sipcore.dialog.negotiation import CONCLUDE, OFFERED, OURS, RECEIVE_ANSWER
from sipcore.dialog.reliable import is_next, number_of
from sipcore.dialog.transaction import Transaction
from sipcore.endpoint import Endpoint
from sipcore.message.bodies import unpack
from sipcore.message.flow import Hop
from sipcore.message.message import Headers, Request, Response
from sipcore.message.uri import Uri

MOST_18X = 100  # of one INVITE that its caller is told: one a minute is usual (13.3.1.1)


class CalleeLeg(Leg):
    """A b_leg: an INVITE of ours. `who` names the target for people."""

    side: Side = "b"

    def __init__(
        self, endpoint: Endpoint, notify: Notify, request: Request, hop: Hop, who: str
    ) -> None:
        Leg.__init__(self, endpoint, notify, "", hop.flow.remote_address)
        if not request.uri.startswith("sip:"):
            self._scheme = Uri.parse(request.uri).scheme
        self.who = who
        self.is_heard = False  # something has come back
        self.rung = 0  # how many 18x
        self.negotiation.state, self.negotiation.inviting = OFFERED, OURS
        self.early: dict[str, Early] = {}  # by remote tag: the forks that have said something
        self.transaction = endpoint.request(request, hop, self)

    def feed(self, event: Told) -> None:
        """Take an event. 100 wakes nobody; an answer of one more fork is ended at once."""
        if isinstance(event, Reply) and event.transaction is self.transaction:
            self.is_heard = True
            response = event.response
            if response.status == 100:
                return
            if response.body and response.first("Content-Type") != SDP:
                unpack(response)
            if self.dialog is not None and event.dialog is not self.dialog:
                self._late_reply(event)
                return
            if response.status < 200 and not self.is_over and not self._hear(event):
                return
        Leg.feed(self, event)  # super() costs more than the whole of it

    def _hear(self, event: Reply) -> bool:
        """Take an 18x; acknowledge a reliable one. False for a repeat of it, or one too many."""
        response, dialog = event.response, event.dialog
        number = number_of(response)
        if number is not None and dialog is not None:
            if not is_next(dialog, number):
                return False
            self.prack(dialog, response, number)
        if dialog is not None and (response.body or "Allow" in response.headers):
            early = self.early.setdefault(dialog.remote_tag, Early())
            early.allow = response.headers.get("Allow") or early.allow
            if response.body and response.content_type == SDP and not early.is_agreed:
                early.sdp = response.body
                early.is_agreed = number is not None  # what overtook it is no answer (3262 5)
        self.rung += 1
        return self.rung <= MOST_18X

    @property
    def takes_info(self) -> bool:
        """Whether it is told of keys by INFO; before the answer, as a fork that rings says."""
        if self.dialog is None and self.dtmf == "any":
            said = [early.allow for early in self.early.values() if early.allow]
            return any("INFO" in row for allow in said for row in allow)
        return super().takes_info

    def request_early(self, method: str, headers: Headers, body: bytes) -> Transaction | None:
        """Send a request to the fork that was heard last, in its early dialog; None without one."""
        if self.is_over or self.dialog is not None or not self.takes_info:
            return None
        for dialog in reversed(self.transaction.dialogs):
            early = self.early.get(dialog.remote_tag)
            if early is not None and early.sdp:
                return self.ask_early(dialog, method, headers, body)
        return None

    def cancel(self, reason: str | None = None) -> None:
        """Give up on it: CANCEL if it may still be answered; an answer in spite of it is ended."""
        self.leave()
        self.endpoint.cancel(self.transaction, reason)

    def confirm(self, dialog: Dialog, response: Response) -> bytes:
        """Take the fork that answered, and acknowledge; return its SDP, of the 2xx or an 18x.

        The latest counts: that of an UPDATE in the early dialog, then that of the 2xx.
        """
        self.dialog = dialog
        self.negotiation.step(CONCLUDE)
        self.negotiation.step(RECEIVE_ANSWER)
        self.renewed(response)
        self.ack(response)
        early = self.early.pop(dialog.remote_tag, None)
        self.early.clear()
        if early is None:
            return response.body
        self.allow = self.allow or early.allow
        return early.sdp if early.is_renewed or not response.body else response.body


class Early:
    """What a fork that rings has said: its SDP, and whether that is agreed or only a preview.

    `is_renewed`: by an UPDATE in the early dialog, after which no SDP of the INVITE's counts.
    """

    __slots__ = ("allow", "is_agreed", "is_renewed", "sdp")

    def __init__(self) -> None:
        self.sdp = b""
        self.allow: list[str] | None = None
        self.is_agreed = False
        self.is_renewed = False
