"""Subscriptions as their notifier sees them (RFC 6665 4.2): when a NOTIFY is due, when it is over.

One NOTIFY at most is in flight for each; what changes meanwhile is told by the next, which has the
newest state. What states mean and how bytes leave is not known here.
"""

from collections import deque
from collections.abc import Callable
from types import MappingProxyType
from typing import Generic, TypeVar

from msgspec import Struct

from sipcore.timers import Timer, TimerQueue

# States
QUIET = "quiet"  # the subscriber knows all
FLYING = "flying"  # a NOTIFY waits for its answer
STALE = "stale"  # and something has changed since
RESTING = "resting"  # too soon for another one; nothing has changed
WAITING = "waiting"  # too soon for another one, which is due
OWED = "owed"  # over; the NOTIFY that says so waits for the one in flight
LAST = "last"  # the NOTIFY that says that it is over waits for its answer
OVER = "over"

# Words
CHANGE = "change"  # of what is watched
ASK = "ask"  # SUBSCRIBE: the state is told at once (4.2.1.2)
TOLD = "told"  # 2xx
LATER = "later"  # refused with Retry-After
UNHEARD = "unheard"  # no answer
GONE = "gone"  # no answer twice, or one that ends the subscription (4.2.2)
DUE = "due"  # the rest is over
END = "end"  # unsubscribed, expired, not allowed any more

# Actions
SEND = "send"
SEND_LAST = "send last"
REST = "rest"
WAKE = "wake"  # forget the rest
FORGET = "forget"

Row = tuple[str, tuple[str, ...]]

NOTIFIER: MappingProxyType[tuple[str, str], Row] = MappingProxyType({
    (QUIET, CHANGE): (FLYING, (SEND,)),
    (QUIET, ASK): (FLYING, (SEND,)),
    (QUIET, END): (LAST, (SEND_LAST,)),
    (FLYING, CHANGE): (STALE, ()),
    (FLYING, ASK): (STALE, ()),
    (FLYING, TOLD): (RESTING, (REST,)),
    (FLYING, LATER): (WAITING, (REST,)),
    (FLYING, UNHEARD): (FLYING, (SEND,)),
    (FLYING, GONE): (OVER, (FORGET,)),
    (FLYING, END): (OWED, ()),
    (STALE, CHANGE): (STALE, ()),
    (STALE, ASK): (STALE, ()),
    (STALE, TOLD): (WAITING, (REST,)),
    (STALE, LATER): (WAITING, (REST,)),
    (STALE, UNHEARD): (FLYING, (SEND,)),
    (STALE, GONE): (OVER, (FORGET,)),
    (STALE, END): (OWED, ()),
    (RESTING, CHANGE): (WAITING, ()),
    (RESTING, ASK): (FLYING, (WAKE, SEND)),
    (RESTING, DUE): (QUIET, ()),
    (RESTING, END): (LAST, (WAKE, SEND_LAST)),
    (WAITING, CHANGE): (WAITING, ()),
    (WAITING, ASK): (FLYING, (WAKE, SEND)),
    (WAITING, DUE): (FLYING, (SEND,)),
    (WAITING, END): (LAST, (WAKE, SEND_LAST)),
    (OWED, TOLD): (LAST, (SEND_LAST,)),
    (OWED, LATER): (LAST, (SEND_LAST,)),
    (OWED, UNHEARD): (LAST, (SEND_LAST,)),
    (OWED, GONE): (OVER, (FORGET,)),
    (LAST, TOLD): (OVER, (FORGET,)),
    (LAST, LATER): (OVER, (FORGET,)),
    (LAST, UNHEARD): (OVER, (FORGET,)),
    (LAST, GONE): (OVER, (FORGET,)),
})  # fmt: skip

LEAST_EXPIRES_S = 60
MOST_EXPIRES_S = 600
MOST_LATER_S = 60

Watcher = TypeVar("Watcher")


class Notice(Struct, Generic[Watcher]):
    """A NOTIFY that is due now, with the state of now; or, `is_over`, a subscription to forget."""

    watcher: Watcher
    is_last: bool = False
    is_over: bool = False


class Subscription(Generic[Watcher]):
    """One subscription. `watcher` is who keeps it; `pace_s` is the least time between NOTIFYs.

    `reason` says why it is over (4.1.3), once it is.
    """

    __slots__ = ("expires_at", "is_unheard", "pace_s", "reason", "rest", "state", "watcher")

    def __init__(self, watcher: Watcher, pace_s: float, expires_at: float) -> None:
        self.watcher = watcher
        self.pace_s = pace_s
        self.expires_at = expires_at
        self.state = QUIET
        self.reason = ""
        self.is_unheard = False  # the last NOTIFY got no answer
        self.rest: Timer[Subscription[Watcher]] | None = None

    @property
    def is_ending(self) -> bool:
        """True where no SUBSCRIBE can prolong it any more."""
        return self.state in (OWED, LAST, OVER)


class Notifier(Generic[Watcher]):
    """Moves subscriptions by the table. Poll it after every call that takes `now`."""

    def __init__(self) -> None:
        self._timers: TimerQueue[Subscription[Watcher]] = TimerQueue()
        self._out: deque[Notice[Watcher]] = deque()
        self._acts: dict[str, Callable[[Subscription[Watcher]], None]] = {
            SEND: lambda one: self._out.append(Notice(one.watcher)),
            SEND_LAST: lambda one: self._out.append(Notice(one.watcher, is_last=True)),
            FORGET: lambda one: self._out.append(Notice(one.watcher, is_over=True)),
            WAKE: _wake,
        }

    def ask(self, one: Subscription[Watcher], expires_at: float, now: float) -> None:
        """Take a SUBSCRIBE: it lasts until `expires_at`, and the state is told at once."""
        one.expires_at = expires_at
        one.is_unheard = False
        self._feed(one, ASK, now)

    def change(self, one: Subscription[Watcher], now: float) -> None:
        """Take note that what is watched has changed."""
        self._feed(one, CHANGE, now)

    def end(self, one: Subscription[Watcher], reason: str, now: float) -> None:
        """End a subscription; one more NOTIFY says so, with the state of then and the reason."""
        if not one.is_ending:
            one.reason = reason
            self._feed(one, END, now)

    def answered(
        self, one: Subscription[Watcher], status: int, later_s: int | None, now: float
    ) -> None:
        """Take the answer to a NOTIFY; 408 also where none came. `later_s` is its Retry-After.

        Silence is given one more NOTIFY, of 32 s again: a phone that starts anew takes a minute.
        """
        if 200 <= status < 300:
            word, rest_s = TOLD, one.pace_s
        elif status == 408:
            word, rest_s = (GONE if one.is_unheard else UNHEARD), one.pace_s
        elif later_s is not None and status != 481:
            word, rest_s = LATER, float(min(max(later_s, 1), MOST_LATER_S))
        else:
            word, rest_s = GONE, 0.0
        one.is_unheard = word == UNHEARD
        self._feed(one, word, now, rest_s)

    def handle_timeout(self, now: float) -> None:
        """Act on every rest that is over at `now`."""
        while (one := self._timers.pop_due(now)) is not None:
            one.rest = None
            self._feed(one, DUE, now)

    def next_timeout(self) -> float | None:
        """Return when handle_timeout must be called next."""
        return self._timers.next_at()

    def timer_count(self) -> int:
        """Return how many rests there are."""
        return len(self._timers)

    def poll(self) -> Notice[Watcher] | None:
        """Take the next thing to do."""
        return self._out.popleft() if self._out else None

    def _feed(self, one: Subscription[Watcher], word: str, now: float, rest_s: float = 0.0) -> None:
        row = NOTIFIER.get((one.state, word))
        if row is None:
            return
        one.state, actions = row
        for action in actions:
            if action == REST:
                one.rest = self._timers.add(rest_s, now, one)
            else:
                self._acts[action](one)


def _wake(one: Subscription[Watcher]) -> None:
    if one.rest is not None:
        one.rest.cancel()
        one.rest = None


def granted_s(asked_s: int | None) -> int | None:
    """Return for how long a subscription is granted; None where it is too short (423).

    Shorter than asked is always allowed (4.2.1.1); only what is asked for less than an hour may be
    called too short. 0 asks for the state once, or ends a subscription.
    """
    if asked_s is None:
        return MOST_EXPIRES_S
    if 0 < asked_s < LEAST_EXPIRES_S:
        return None
    return min(asked_s, MOST_EXPIRES_S)
