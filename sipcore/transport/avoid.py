"""Places that failed: for a while they are tried last. Told the time, owns no clock."""

from msgspec import Struct

from sipcore.transport.order import Place

FIRST_S = 30.0  # doubled with each failure that follows
LONGEST_S = 600.0
MOST = 10_000


class _Failure(Struct):
    until: float
    pause_s: float
    at: float  # the last one, while avoided, too


class Avoided:
    """Which places to leave alone, and until when (RFC 3263 4.3 leaves the way to us)."""

    def __init__(self) -> None:
        self._failures: dict[Place, _Failure] = {}

    def __len__(self) -> int:
        return len(self._failures)

    def failed(self, place: Place, now: float, least_s: float = 0.0) -> None:
        """Avoid a place: 30 s, twice as long each time it fails again, 10 min at most.

        `least_s`: what it asked for itself (Retry-After). Failures while it is avoided anyway, of
        requests that were on their way, do not count.
        """
        known = self._failures.get(place)
        asked_until = now + min(least_s, LONGEST_S)
        if known is not None and now < known.until:
            known.until, known.at = max(known.until, asked_until), now
            return
        pause_s = FIRST_S
        if known is not None and now < known.until + LONGEST_S:
            pause_s = min(known.pause_s * 2, LONGEST_S)
        elif known is None and len(self._failures) >= MOST:
            del self._failures[next(iter(self._failures))]
        self._failures[place] = _Failure(max(now + pause_s, asked_until), pause_s, now)

    def answered(self, place: Place) -> None:
        """Forget a place's failures: it has answered."""
        self._failures.pop(place, None)

    def is_avoided(self, place: Place, now: float) -> bool:
        failure = self._failures.get(place)
        return failure is not None and now < failure.until

    def count(self, now: float) -> int:
        """Return how many places are avoided now."""
        return sum(now < one.until for one in self._failures.values())

    def sort(self, places: list[Place], now: float) -> list[Place]:
        """Put what is avoided last: it is tried where nothing else is left, the one first whose
        last failure is longest ago."""
        if not self._failures:
            return places
        return sorted(
            places, key=lambda one: self._failures[one].at if self.is_avoided(one, now) else 0.0
        )
