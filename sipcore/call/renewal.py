"""Renewal: a re-INVITE of our own, with an offer, on one leg of a call (RFC 3261 14.1)."""

from collections.abc import Callable

from sipcore.call.leg import Leg
from sipcore.dialog.events import Reply, Told
from sipcore.dialog.negotiation import CONCLUDE, FAIL, RECEIVE_ANSWER
from sipcore.message.message import Response


class Renewal:
    """Its answer is acknowledged at once, also of a leg that is over; then `tell` is told."""

    def __init__(self, leg: Leg, offer: bytes, tell: Callable[[Response], None]) -> None:
        self._leg = leg
        self._tell = tell
        leg.request("INVITE", None, offer, self)

    def feed(self, event: Told) -> None:
        """Take what comes of the re-INVITE."""
        if not isinstance(event, Reply) or event.response.status < 200:
            return
        is_taken = event.response.status < 300
        self._leg.negotiation.step(CONCLUDE)
        self._leg.negotiation.step(RECEIVE_ANSWER if is_taken else FAIL)
        if is_taken:
            self._leg.renewed(event.response)
            self._leg.ack(event.response)
        self._tell(event.response)
