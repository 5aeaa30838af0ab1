"""Whose offer is open on a leg (RFC 3264 4, RFC 3261 14): a table of three states."""

from typing import Final

STABLE: Final = "stable"
OFFERED: Final = "offered"  # our offer waits for the peer's answer
ASKED: Final = "asked"  # the peer's offer waits for our answer

SEND_OFFER: Final = "send-offer"
RECEIVE_OFFER: Final = "receive-offer"
SEND_ANSWER: Final = "send-answer"
RECEIVE_ANSWER: Final = "receive-answer"
FAIL: Final = "fail"  # the request that carried the offer was refused

NEGOTIATION: Final = {
    (STABLE, SEND_OFFER): OFFERED,
    (STABLE, RECEIVE_OFFER): ASKED,
    (OFFERED, RECEIVE_ANSWER): STABLE,
    (OFFERED, FAIL): STABLE,
    (ASKED, SEND_ANSWER): STABLE,
    (ASKED, FAIL): STABLE,
}


class Negotiation:
    """Offer/answer state of one leg. A step that has no row does not happen and returns False."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: str = STABLE

    def step(self, what: str) -> bool:
        """Take a step; False where it is out of turn."""
        after = NEGOTIATION.get((self.state, what))
        if after is None:
            return False
        self.state = after
        return True

    def refusal(self) -> int | None:
        """Return the status for an offer that comes now, None where it may come.

        491 while ours is open: glare; 500 with Retry-After while the peer's own is (RFC 3261 14.2).
        """
        return {STABLE: None, OFFERED: 491, ASKED: 500}[self.state]
