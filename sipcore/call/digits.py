"""Keys pressed in a call, carried between INFO and telephone events (RFC 4733).

An INFO with a key becomes an event where the other side has telephone-event, and goes on as it is
where it has none. An event of a side whose other side has none becomes INFO: one at a time, so that
none overtakes another. Before the answer that goes to who is heard early; what he does not take, or
nobody is there to take, is told to whoever answers.
"""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct

from sipcore.call.callee import CalleeLeg
from sipcore.call.caller import CallerLeg
from sipcore.call.leg import Leg
from sipcore.dialog.events import Reply, Within
from sipcore.dialog.transaction import Transaction
from sipcore.errors import BadMessage, MediaError
from sipcore.media.agreement import other_than
from sipcore.media.control import Pressed, Side
from sipcore.media.lent import Speaker
from sipcore.media.session import MediaSession
from sipcore.message.keys import RELAY, Key, key_in
from sipcore.message.message import Headers

OF_KEYS: Headers = {"Content-Type": [RELAY]}
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
    """Of one call, from the first key on that is no event on both sides.

    `legs` have no callee before the answer; who is heard till then is among the `speakers`.
    """

    def __init__(self, legs: Mapping[Side, Leg], speakers: Mapping[Side, Speaker]) -> None:
        self._legs = legs
        self._speakers = speakers
        self._waiting: deque[tuple[Leg | None, Key]] = deque()  # None: for whoever answers
        self._sent: Transaction | None = None
        self._asked: Leg | None = None  # whose answer that waits for
        self._early: Key | None = None  # what was told before the answer, and is not answered
        self._is_early_over = False
        self._heard: dict[Side, _Heard] = {}

    def tell(self, pressed: Pressed, now: float) -> None:
        """Send the key of an event to the other side as INFO, when the last one is answered."""
        began = now - pressed.duration_ms / 1000  # it is told when it is over
        if self._repeats(pressed.side, _Heard(pressed.event, False, now), began):
            return
        self._put(other_than(pressed.side), Key(pressed.event, max(pressed.duration_ms, 1)))

    def tell_early(self, side: Side, event: Within) -> None:
        """Keep the key of an INFO that came before the answer, or tell it to who is heard."""
        with suppress(BadMessage):
            self._put(side, key_in(event.request))

    def _put(self, side: Side, key: Key) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((self._legs.get(side), key))
        self.go_on()

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

    def answered(self, event: Reply) -> None:
        """The key is there, or never will be: the next one."""
        key, self._sent, self._early = self._early, None, None
        if key is not None and event.response.status >= 300 and not event.is_local:
            self._waiting.appendleft((None, key))
            self._is_early_over = True
        self.go_on()

    def go_on(self) -> None:
        """Tell the next key, if it may be told."""
        if self._asked is not None and self._asked.is_over:  # transferred: its answer goes nowhere
            self._sent = self._asked = self._early = None
        while self._sent is None and self._waiting:
            leg, key = self._waiting[0]
            leg = leg or self._legs.get("b")
            if leg is None:
                if not self._tell_early(key):
                    return
            elif isinstance(leg, CallerLeg) and not leg.transaction.is_answered:
                return
            elif not leg.is_over:
                self._sent, self._asked = leg.request("INFO", dict(OF_KEYS), key.to_body()), leg
            self._waiting.popleft()

    def _tell_early(self, key: Key) -> bool:
        leg = self._speakers.get("b")
        if not isinstance(leg, CalleeLeg) or self._is_early_over:
            return False
        self._sent = leg.request_early("INFO", dict(OF_KEYS), key.to_body())
        self._asked, self._early = leg, key
        return self._sent is not None
