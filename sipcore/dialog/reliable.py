"""Provisional responses that are acknowledged (RFC 3262): what RSeq and RAck say, in what order.

Pure. The repeating of ours is the stack's, their SDP the call's.
"""

from collections import deque

from msgspec import Struct

from sipcore.dialog.dialog import Dialog
from sipcore.errors import BadMessage
from sipcore.message.message import Headers, Request, Response

TAG = "100rel"
MOST_NUMBER = 2**32 - 1  # RFC 3262 7.1
MOST_FIRST = 2**31 - 1  # 3: the first one of ours, so that it need not wrap
MOST_WAITING = 8  # 18x that wait behind one that is not acknowledged


def number_of(response: Response) -> int | None:
    """Return the RSeq of an 18x that wants a PRACK; None for any other response.

    One that cannot be read counts as none: then the response is like an unreliable one.
    """
    if "RSeq" not in response.headers or not 100 < response.status < 200:
        return None
    if TAG not in response.tokens("Require"):
        return None
    try:
        return response.number("RSeq", MOST_NUMBER)
    except BadMessage:
        return None


def is_next(dialog: Dialog, number: int) -> bool:
    """Take the RSeq of an 18x in its dialog; False for a repeat or one out of order (4)."""
    if dialog.heard_rseq is not None and number != dialog.heard_rseq + 1:
        return False
    dialog.heard_rseq = number
    return True


def rack(response: Response, number: int) -> Headers:
    """Return what a PRACK says it is for (7.2)."""
    return {"RAck": [f"{number} {response.cseq.number} {response.cseq.method}"]}


class Provisional(Struct, frozen=True):
    """An 18x of ours: what it is made of."""

    status: int
    headers: Headers
    body: bytes = b""
    is_reliable: bool = True


class Reliable:
    """The reliable 18x of ours to one INVITE: one at a time, the next when it is acknowledged (3).

    `first` is the first RSeq, a random number from 1 to MOST_FIRST.
    """

    __slots__ = ("_number", "_waiting", "open")

    def __init__(self, first: int) -> None:
        self._number = first - 1
        self._waiting: deque[Provisional] = deque()
        self.open: Provisional | None = None  # sent, not acknowledged

    @property
    def holds_answer_back(self) -> bool:
        """True while a 2xx may not go: an 18x with SDP is not acknowledged (3)."""
        if self.open is None:
            return False
        return any(one.is_reliable and one.body for one in (self.open, *self._waiting))

    def send(self, one: Provisional) -> Provisional | None:
        """Return the 18x to send now, with its RSeq; None where it must wait for a PRACK."""
        if self.open is None:
            return self._numbered(one)
        if one.body or len(self._waiting) < MOST_WAITING:
            self._waiting.append(one)
        return None

    def acknowledge(self, prack: Request, invite_number: int) -> bool:
        """Take a PRACK. False where it is for nothing that is open: 481 (3)."""
        said = (prack.first("RAck") or "").split()
        if self.open is None or said != [str(self._number), str(invite_number), "INVITE"]:
            return False
        self.open = None
        return True

    def next(self) -> Provisional | None:
        """Return what has waited and may go now; call until None."""
        if self.open is not None or not self._waiting:
            return None
        return self._numbered(self._waiting.popleft())

    def _numbered(self, one: Provisional) -> Provisional:
        if not one.is_reliable:
            return one
        self._number += 1
        headers = one.headers | {"Require": [TAG], "RSeq": [str(self._number)]}
        self.open = Provisional(one.status, headers, one.body)
        return self.open
