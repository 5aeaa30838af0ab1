"""A queue of deadlines for code that is told the time. No clock, no callback, no task."""

import heapq
from itertools import count
from typing import Generic, TypeVar

What = TypeVar("What")


class Timer(Generic[What]):
    """One deadline. Cancelling costs nothing: the queue drops it when it surfaces."""

    __slots__ = ("at", "is_cancelled", "what")

    def __init__(self, at: float, what: What) -> None:
        self.at = at
        self.what = what
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class TimerQueue(Generic[What]):
    """Deadlines in order. `what` is returned to the owner when its time has come."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer[What]]] = []
        self._order = count()

    def __len__(self) -> int:
        return sum(not timer.is_cancelled for _, _, timer in self._heap)

    def add(self, at: float, what: What) -> Timer[What]:
        """Set a deadline at `at`, in the owner's seconds."""
        timer = Timer(at, what)
        heapq.heappush(self._heap, (at, next(self._order), timer))
        return timer

    def pop_due(self, now: float) -> What | None:
        """Take the earliest deadline that is due, or None."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if not timer.is_cancelled:
                timer.is_cancelled = True
                return timer.what
        return None

    def next_at(self) -> float | None:
        """Return the earliest deadline, or None when nothing waits."""
        heap = self._heap
        while heap and heap[0][2].is_cancelled:
            heapq.heappop(heap)
        return heap[0][0] if heap else None
