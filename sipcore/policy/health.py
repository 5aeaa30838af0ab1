"""Is a peer there? It is asked now and then (OPTIONS, RFC 3261 11); one answer changes nothing.

Knows when to ask and what an answer means. Told the time; sends nothing.
"""

FALL = 3  # failures in a row: it is down
RISE = 2  # answers in a row: it is up again
ANSWER_S = 5.0  # an answer that takes longer is none
DEAD = frozenset({408, 503})  # any other status says that somebody lives there
_SPREAD = 0.1  # of the interval, to either side: what starts together does not stay together


class Health:
    """Of one peer. Up until proven otherwise. A draw is a number in [0, 1)."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.is_up = True
        self.next_at = 0.0  # when due() wants to be called
        self._asked_at: float | None = None
        self._row = 0  # answers in a row; failures count downwards

    def begin(self, now: float, draw: float) -> None:
        """Ask within an interval, so that peers are asked one after the other."""
        self.next_at = now + self.interval_s * draw

    def due(self, now: float, draw: float) -> bool:
        """Tell whether to ask now; a question that has had its time is a failure."""
        if now < self.next_at:
            return False
        if self._asked_at is None:
            self._asked_at = now
            self.next_at = now + min(ANSWER_S, self.interval_s)
            return True
        self._count(False, now, draw)
        return False

    def answered(self, status: int, now: float, draw: float) -> None:
        """Take the answer to the question that is out; one that came too late is nothing."""
        if self._asked_at is not None:
            self._count(status not in DEAD, now, draw)

    def _count(self, is_alive: bool, now: float, draw: float) -> None:
        asked_at = now if self._asked_at is None else self._asked_at
        self._asked_at = None
        spread = 1 + _SPREAD * (2 * draw - 1)
        self.next_at = max(now, asked_at + self.interval_s * spread)
        self._row = max(self._row, 0) + 1 if is_alive else min(self._row, 0) - 1
        if self._row >= RISE:
            self.is_up = True
        elif self._row <= -FALL:
            self.is_up = False
