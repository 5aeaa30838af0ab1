"""The only place that reads a clock. Everything else is handed `now`."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings: one that only goes forward, and the time of day."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never jumps. Durations are measured with it."""
        ...

    def wall_s(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump. For what people and carriers read."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()


def rfc3339(wall_s: float) -> str:
    """Write a time of day as RFC 3339, UTC, with microseconds (service.md section 7)."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
