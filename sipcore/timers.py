"""A queue of deadlines for code that is told the time. No clock, no callback, no task."""

import heapq
from itertools import count
from typing import Generic, TypeVar

What = TypeVar("What")


class Timer(Generic[What]):
    """One deadline. Cancelling costs nothing: the queue drops the empty shell when it surfaces."""

    __slots__ = ("what",)

    def __init__(self, what: What) -> None:
        self.what: What | None = what

    def cancel(self) -> None:
        self.what = None


class TimerQueue(Generic[What]):
    """Deadlines in order. `what` is returned to the owner when its time has come."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer[What]]] = []
        self._order = count()

    def __len__(self) -> int:
        return sum(timer.what is not None for _, _, timer in self._heap)

    def add(self, at: float, what: What) -> Timer[What]:
        """Set a deadline at `at`, in the owner's seconds."""
        timer = Timer(what)
        heapq.heappush(self._heap, (at, next(self._order), timer))
        return timer

    def pop_due(self, now: float) -> What | None:
        """Take the earliest deadline that is due, or None."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if timer.what is not None:
                what, timer.what = timer.what, None
                return what
        return None

    def next_at(self) -> float | None:
        """Return the earliest deadline, or None when nothing waits."""
        heap = self._heap
        while heap and heap[0][2].what is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None
