"""Keys pressed in a call, carried between INFO and telephone events (RFC 4733).

An INFO with a key becomes an event where the other side has telephone-event, and goes on as it is
where it has none. An event of a side whose other side has none becomes INFO: one at a time, so that
none overtakes another.
"""

from collections import deque
from collections.abc import Mapping

from msgspec import Struct

from sipcore.call.leg import Leg
from sipcore.dialog.events import Within
from sipcore.dialog.transaction import Transaction
from sipcore.errors import BadMessage, MediaError
from sipcore.media.agreement import other_than
from sipcore.media.control import Pressed, Side
from sipcore.media.session import MediaSession
from sipcore.message.keys import RELAY, Key, key_in

MOST_WAITING = 32  # keys that a slow peer has not answered yet
SAME_S = 1.0  # a key that comes both ways within this is one


class _Heard(Struct, frozen=True):
    """The latest key of a side, and by which of the two ways it came."""

    event: int
    is_info: bool
    at: float


def press(media: MediaSession, side: Side, event: Within) -> int | None:
    """Let `side` hear the key of an INFO as an event; return the status of the INFO.

    None where it must go on as INFO: that side has no telephone-event.
    """
    if not media.takes_events(side):
        return None
    try:
        key = key_in(event.request)
        media.press(side, key.event, key.duration_ms)
    except BadMessage as fault:
        return fault.status
    except MediaError:
        return 503
    return 200


class Digits:
    """Of one call, from the first key on that is no event on both sides."""

    def __init__(self, legs: Mapping[Side, Leg]) -> None:
        self._legs = legs
        self._waiting: deque[tuple[Leg, Key]] = deque()
        self._sent: Transaction | None = None
        self._asked: Leg | None = None  # whose answer that waits for
        self._heard: dict[Side, _Heard] = {}

    def tell(self, pressed: Pressed, now: float) -> None:
        """Send the key of an event to the other side as INFO, when the last one is answered."""
        began = now - pressed.duration_ms / 1000  # it is told when it is over
        if self._repeats(pressed.side, _Heard(pressed.event, False, now), began):
            return
        leg = self._legs.get(other_than(pressed.side))
        if leg is not None and len(self._waiting) < MOST_WAITING:
            self._waiting.append((leg, Key(pressed.event, max(pressed.duration_ms, 1))))
        self._next()

    def repeats(self, side: Side, event: Within, now: float) -> bool:
        """Tell whether an INFO tells of a key that was told of as an event already."""
        try:
            key = key_in(event.request)
        except BadMessage:
            return False  # what it means is the other side's business
        return self._repeats(side, _Heard(key.event, True, now), now)

    def _repeats(self, side: Side, key: _Heard, began: float) -> bool:
        last = self._heard.get(side)
        is_same = last is not None and (last.event, last.is_info) == (key.event, not key.is_info)
        if last is not None and is_same and began - last.at < SAME_S:
            del self._heard[side]
            return True
        self._heard[side] = key
        return False

    def owns(self, transaction: Transaction) -> bool:
        """Tell whether an answer is that of a key's INFO."""
        return transaction is self._sent

    def answered(self) -> None:
        """The key is there, or never will be: the next one."""
        self._sent = None
        self._next()

    def _next(self) -> None:
        if self._asked is not None and self._asked.is_over:  # transferred: its answer goes nowhere
            self._sent = self._asked = None
        while self._sent is None and self._waiting:
            leg, key = self._waiting.popleft()
            if not leg.is_over:
                headers = {"Content-Type": [RELAY]}
                self._sent, self._asked = leg.request("INFO", headers, key.to_body()), leg
