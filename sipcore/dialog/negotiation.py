"""Whose offer is open on a leg, and whose INVITE (RFC 3264 4, RFC 3261 14, RFC 6337): two tables.

What an offer or an answer says is media's; which message carries it, call's.
"""

from typing import Final

from msgspec import Struct

# Offers and answers
STABLE: Final = "stable"
OFFERED: Final = "offered"  # our offer waits for the peer's answer
ASKED: Final = "asked"  # the peer's offer waits for our answer

SEND_OFFER: Final = "send-offer"
RECEIVE_OFFER: Final = "receive-offer"
SEND_ANSWER: Final = "send-answer"
RECEIVE_ANSWER: Final = "receive-answer"
SEND_PREVIEW: Final = "send-preview"  # in an 18x that is not reliable: the answer is still owed
RECEIVE_PREVIEW: Final = "receive-preview"
FAIL: Final = "fail"  # the request that carried the offer was refused

NEGOTIATION: Final = {
    (STABLE, SEND_OFFER): OFFERED,
    (STABLE, RECEIVE_OFFER): ASKED,
    (OFFERED, RECEIVE_ANSWER): STABLE,
    (OFFERED, RECEIVE_PREVIEW): OFFERED,
    (OFFERED, FAIL): STABLE,
    (ASKED, SEND_ANSWER): STABLE,
    (ASKED, SEND_PREVIEW): ASKED,
    (ASKED, FAIL): STABLE,
}

# INVITE transactions within a dialog: one at a time, in either direction (RFC 3261 14.1)
FREE: Final = "free"
OURS: Final = "ours"
THEIRS: Final = "theirs"  # until its ACK

SEND_INVITE: Final = "send-invite"
RECEIVE_INVITE: Final = "receive-invite"
CONCLUDE: Final = "conclude"  # a final response to ours; a refusal or the ACK of theirs

INVITING: Final = {
    (FREE, SEND_INVITE): OURS,
    (FREE, RECEIVE_INVITE): THEIRS,
    (OURS, CONCLUDE): FREE,
    (THEIRS, CONCLUDE): FREE,
}

UNIT_S = 0.01


class Negotiation(Struct, eq=False, gc=False):
    """Offer/answer state of one leg. A step that has no row does not happen and returns False."""

    state: str = STABLE
    inviting: str = FREE

    def step(self, what: str) -> bool:
        """Take a step of either table; False where it is out of turn."""
        after = NEGOTIATION.get((self.state, what))
        if after is not None:
            self.state = after
            return True
        after = INVITING.get((self.inviting, what))
        if after is not None:
            self.inviting = after
        return after is not None

    def refusal(self, method: str = "INVITE") -> int | None:
        """Return the status for an offer that comes now, None where it may come.

        491 while ours is open: glare; 500 with Retry-After while the peer's own is (RFC 3261 14.2,
        RFC 3311 5.2). An INVITE is refused for an INVITE, too, with or without an offer.
        """
        if self.state == OFFERED or (method == "INVITE" and self.inviting == OURS):
            return 491
        if self.state == ASKED or (method == "INVITE" and self.inviting == THEIRS):
            return 500
        return None

    def may_offer(self, method: str) -> bool:
        """Tell whether an offer of ours may go in such a request now."""
        return self.state == STABLE and (method != "INVITE" or self.inviting == FREE)


def glare_wait_s(fraction: float, *, owns_call_id: bool) -> float:
    """Return how long to wait after a 491, in steps of 10 ms (RFC 3261 14.1).

    `fraction` is random, from 0 to 1. Who owns the Call-ID waits longer, so one goes first.
    """
    least_s, most_s = (2.1, 4.0) if owns_call_id else (0.0, 2.0)
    return round((least_s + fraction * (most_s - least_s)) / UNIT_S) * UNIT_S
