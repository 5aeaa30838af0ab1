"""The pairs of UDP ports of a node: chosen at random, and left alone for a time after use.

A packet still under way to a call that is over must not find another call at its port.
"""

from collections import deque
from collections.abc import Callable

from sipcore.errors import MediaError

REST_S = 30.0
LEAST_REST_S = 1.0
ASIDE_S = 300.0


class Ports:
    """Even RTP ports from `first` to `last`, RTCP on the next; `fraction()` is in [0, 1).

    A released port rests for `REST_S`. When no other is free the one that has rested longest is
    taken early, but never within `LEAST_REST_S`: a small range under a high call rate turns over
    faster than the rest, and refusing calls would be worse.
    """

    def __init__(self, first: int, last: int, fraction: Callable[[], float]) -> None:
        self._fraction = fraction
        self._free = list(range(first + first % 2, last, 2))
        self._resting: deque[tuple[float, int]] = deque()
        self._aside: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        """Count the pairs that nobody uses, resting ones included."""
        return len(self._free) + len(self._resting)

    def take(self, now: float) -> int:
        """Return a free RTP port. Raises MediaError when there is none."""
        self._wake(now)
        free = self._free
        if free:
            index = int(self._fraction() * len(free))
            port = free[index]
            free[index] = free[-1]
            free.pop()
            return port
        if self._resting and now - self._resting[0][0] >= LEAST_REST_S:
            return self._resting.popleft()[1]
        raise MediaError("no media port is free")

    def release(self, port: int, now: float) -> None:
        """Let a port rest."""
        self._resting.append((now, port))

    def put_back(self, port: int) -> None:
        """Undo `take`: nobody was told of this port, so it need not rest."""
        self._free.append(port)

    def put_aside(self, port: int, now: float) -> None:
        """Leave a port that another program holds alone for `ASIDE_S`."""
        self._aside.append((now, port))

    def claim(self, port: int) -> bool:
        """Take one given port out of the free ones: a worker holds it. False if it was not free."""
        if port not in self._free:
            return False
        self._free.remove(port)
        return True

    def _wake(self, now: float) -> None:
        while self._resting and now - self._resting[0][0] >= REST_S:
            self._free.append(self._resting.popleft()[1])
        while self._aside and now - self._aside[0][0] >= ASIDE_S:
            self._free.append(self._aside.popleft()[1])
