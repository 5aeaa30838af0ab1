"""Report: the subscription that a REFER begins, and its NOTIFYs (RFC 3515 2.4, RFC 4488)."""

from sipcore.call.leg import Leg
from sipcore.dialog.events import Reply, Told
from sipcore.message.message import Headers, Request
from sipcore.message.refer import SIPFRAG, sipfrag, wants_no_reports

EXPIRES_S = 300
GONE = frozenset({408, 481})  # nobody listens any more


class Report:
    """Tells the one who sent a REFER how far it has come: 100 at once, 180, then how it ended.

    One that is not the first in its dialog is told apart by its CSeq number.
    """

    def __init__(self, leg: Leg, refer: Request) -> None:
        self._leg = leg
        self._event = f"refer;id={refer.cseq.number}" if leg.has_referred else "refer"
        leg.has_referred = True
        self._is_open = self.is_wanted = not wants_no_reports(refer)
        self._said = 0
        self._ends_leg = False

    def say(self, status: int) -> None:
        """Tell of a status, each once; a final one ends the subscription."""
        if not self._is_open or self._leg.is_over or self._said >= status:
            return
        self._said = status
        state = f"active;expires={EXPIRES_S}"
        if status >= 200:
            self._is_open, state = False, "terminated;reason=noresource"
        headers: Headers = {
            "Event": [self._event],
            "Subscription-State": [state],
            "Content-Type": [SIPFRAG],
        }
        self._leg.request("NOTIFY", headers, sipfrag(status), self)

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
