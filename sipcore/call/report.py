"""Report: the subscription that a REFER begins, and its NOTIFYs (RFC 3515 2.4, RFC 4488)."""

from sipcore.call.leg import Leg
from sipcore.dialog.events import Reply, Told, Within
from sipcore.message.message import Headers, Request
from sipcore.message.refer import SIPFRAG, sipfrag, wants_no_reports
from sipcore.message.values import parse_number

EXPIRES_S = 300
GONE = frozenset({408, 481})  # nobody listens any more


class Report:
    """Tells the one who sent a REFER how far it has come: 100 at once, 180, then how it ended.

    One that is not the first in its dialog is told apart by its CSeq number.
    """

    def __init__(self, leg: Leg, refer: Request) -> None:
        self._leg = leg
        self._number = refer.cseq.number
        self._event = f"refer;id={self._number}" if leg.has_referred else "refer"
        leg.has_referred = True
        self._is_open = not wants_no_reports(refer)
        self._said = 0
        self._ends_leg = False

    def say(self, status: int) -> None:
        """Tell of a status, each once; a final one ends the subscription."""
        if not self._is_open or self._leg.is_over or self._said >= status:
            return
        self._said = status
        self._is_open = status < 200
        self._notify(
            f"active;expires={EXPIRES_S}" if self._is_open else "terminated;reason=noresource"
        )

    def renew(self, event: Within) -> bool:
        """Take a SUBSCRIBE that refreshes or ends it (RFC 6665 4.1.2). False: there is none."""
        request, leg = event.request, self._leg
        named = (request.first("Event") or "").replace(" ", "").lower()
        if not self._is_open or named not in (self._event, f"refer;id={self._number}"):
            return False
        wanted_s = parse_number(request.first("Expires") or "")
        expires_s = EXPIRES_S if wanted_s is None else min(wanted_s, EXPIRES_S)
        told = {"Expires": [str(expires_s)]} | leg.about_us(event.transaction.flow)
        leg.endpoint.respond(event.transaction, 200, told)
        self._is_open = expires_s > 0
        self._notify(f"active;expires={expires_s}" if expires_s else "terminated;reason=timeout")
        return True

    def _notify(self, state: str) -> None:
        headers: Headers = {
            "Event": [self._event],
            "Subscription-State": [state],
            "Content-Type": [SIPFRAG],
        }
        self._leg.request("NOTIFY", headers, sipfrag(self._said), self)

    def conclude(self) -> None:
        """Tell that it went well; BYE follows once that was heard, or phones show a failure."""
        if self._leg.is_over:
            return
        is_told = self._is_open
        self.say(200)
        self._ends_leg = True
        self._leg.leave()
        if not is_told:
            self._leg.bye()

    def feed(self, event: Told) -> None:
        """Take the answer to a NOTIFY."""
        if not isinstance(event, Reply) or event.response.status < 200:
            return
        if self._ends_leg and event.request.headers["Subscription-State"][0][0] == "t":
            self._leg.bye()
        elif event.response.status in GONE:
            self._is_open = False
