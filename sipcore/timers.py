"""A queue of deadlines for code that is told the time. No clock, no callback, no task."""

from collections import deque
from typing import Generic, TypeVar

from msgspec import Struct

What = TypeVar("What")

NEVER = float("inf")
COARSE_S = 5.0


class Timer(Struct, Generic[What], eq=False, gc=False):
    """One deadline. Cancelling costs nothing: the queue drops the empty shell when it surfaces.

    The garbage collector does not look at it: what it is for and it may only hold each other until
    it is due, cancelled or cleared.
    """

    at: float
    what: What | None

    @property
    def is_over(self) -> bool:
        """True once it was due or has been cancelled."""
        return self.what is None

    def cancel(self) -> None:
        self.what = None


class TimerQueue(Generic[What]):
    """Deadlines in lanes: one lane for each delay that is used, in order by itself.

    A protocol knows a dozen delays, and most of its timers are cancelled: a lane takes and drops
    them at its ends, where a heap would have to sort a hundred thousand.
    """

    def __init__(self) -> None:
        self._lanes: dict[float, deque[Timer[What]]] = {}
        self.earliest_at = NEVER  # no deadline is earlier; there may be none at this time

    def __len__(self) -> int:
        return sum(timer.what is not None for lane in self._lanes.values() for timer in lane)

    def add(self, delay_s: float, now: float, what: What) -> Timer[What]:
        """Set a deadline `delay_s` after `now`, which never goes back between calls.

        A delay of COARSE_S or more ends at the next eighth of a second, so that many fall due in
        one wake-up.
        """
        at = now + delay_s
        if delay_s >= COARSE_S:
            at = -(at * -8 // 1) / 8  # rounded up; math.ceil is a call
        timer = Timer(at, what)
        lane = self._lanes.get(delay_s)
        if lane is None:
            lane = self._lanes[delay_s] = deque()
        lane.append(timer)
        if at < self.earliest_at:
            self.earliest_at = at
        return timer

    def pop_due(self, now: float) -> What | None:
        """Take the earliest deadline that is due, or None."""
        if now < self.earliest_at:
            return None
        first = self._first()
        if first is None or first[0].at > now:
            self.earliest_at = NEVER if first is None else first[0].at
            return None
        timer = first.popleft()
        what, timer.what = timer.what, None
        return what

    def clear(self) -> None:
        """Cancel all."""
        for lane in self._lanes.values():
            for timer in lane:
                timer.cancel()
        self._lanes.clear()
        self.earliest_at = NEVER

    def next_at(self) -> float | None:
        """Return a time before which nothing is due, None when nothing waits.

        It may be too early, by a timer that was cancelled: then pop_due finds nothing.
        """
        return None if self.earliest_at == NEVER else self.earliest_at

    def _first(self) -> deque[Timer[What]] | None:
        """Return the lane whose head is the earliest; heads that were cancelled are dropped."""
        first = None
        for lane in self._lanes.values():
            while lane and lane[0].what is None:
                lane.popleft()
            if lane and (first is None or lane[0].at < first[0].at):
                first = lane
        return first
