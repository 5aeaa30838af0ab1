"""Statistics of a few runs, and the search for the highest rate that holds. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Protocol, TypeVar

from msgspec import Struct

STEP = 1.5  # from one rate that held to the next
MOST_LOSS = 0.001  # failed or retransmitted, of all operations: above it a rate does not hold


class Spread(Struct, frozen=True):
    """The median of some runs, and how far apart they were."""

    median: float
    least: float
    most: float

    @property
    def noise(self) -> float:
        """Half of the distance between the extremes, as a share of the median."""
        return (self.most - self.least) / 2 / self.median if self.median else 0.0

    def to_text(self) -> str:
        return f"{self.median:.3f}  ({self.least:.3f} to {self.most:.3f})"


def spread(values: Iterable[float]) -> Spread:
    """Return the spread of at least one value."""
    seen = sorted(values)
    return Spread(median(seen), seen[0], seen[-1])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that `share` (0 to 1) of the values do not exceed (nearest rank)."""
    seen = sorted(values)
    return seen[max(0, math.ceil(share * len(seen)) - 1)]


class Trial(Struct, frozen=True):
    """What became of a load of `rate` operations a second."""

    rate: float
    reached: float  # operations that were begun, a second
    done: int
    failed: int
    retransmitted: int

    @property
    def loss(self) -> float:
        """Failed or retransmitted, as a share of all."""
        every = self.done + self.failed
        return (self.failed + self.retransmitted) / every if every else 1.0

    @property
    def holds(self) -> bool:
        return self.loss < MOST_LOSS and self.reached >= 0.95 * self.rate


class Tried(Protocol):
    """What became of any load."""

    @property
    def holds(self) -> bool: ...


AnyTrial = TypeVar("AnyTrial", bound=Tried)


def highest(
    run: Callable[[int], AnyTrial], start: int, *, close: float = 0.05, most_trials: int = 12,
    may_go_on: Callable[[], bool] = lambda: True,
) -> tuple[AnyTrial | None, Sequence[AnyTrial]]:  # fmt: skip
    """Search the highest rate that holds: up by half, then halve the gap until it is `close`.

    A rate that did not hold is tried once more, since other programs may have disturbed it.
    `may_go_on` is asked before each further trial. Returns the best trial, None when not even
    `start` held, and all trials.
    """
    trials: list[AnyTrial] = []
    best: AnyTrial | None = None
    low, high, rate = 0, 0, start
    while len(trials) < most_trials:
        trial = run(rate)
        trials.append(trial)
        if not trial.holds and len(trials) < most_trials and may_go_on():
            trial = run(rate)
            trials.append(trial)
        if trial.holds:
            best, low = trial, rate
        else:
            high = rate
        if not low or (high and high - low <= close * low) or not may_go_on():
            break
        rate = round((low + high) / 2) if high else round(rate * STEP)
    return best, trials


def value_at(points: Sequence[tuple[float, float]], at: float) -> float:
    """Return a growing count at a time, on a straight line between the readings around it."""
    if not points:
        return 0.0
    before = points[0]
    for point in points:
        if point[0] >= at:
            width = point[0] - before[0]
            share = (at - before[0]) / width if width > 0 else 1.0
            return before[1] + max(0.0, share) * (point[1] - before[1])
        before = point
    return before[1]
