"""How well a carrier does, from what became of its calls; and what follows: demoted, tried, good.

A circuit breaker over a sliding window: pure, told the time. What is demoted is tried after the
others, never left out; after a rest it gets a call now and then at its old place.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

Result = Literal["answered", "rejected", "failed", "given-up"]

# How a carrier stands, the best first: the order in which carriers are tried. Priority comes after.
GOOD: Final = 0
TRIAL: Final = 1  # demoted, rested, and the next call may show what it does
DEMOTED: Final = 2
UNREGISTERED: Final = 3  # it wants to be registered with, and has not granted it
DOWN: Final = 4  # it does not answer OPTIONS
WORDS: Final = ("good", "trial", "demoted", "unregistered", "down")

ALL_GOOD: Final[Mapping[str, int]] = MappingProxyType({})

TRIALS = 3  # calls that must go well, one at a time
ROW = 5  # failures in a row: no window is waited for
MOST_REST_S = 1800.0
_PARTS = 10  # of a window, forgotten one by one

Percent = Annotated[int, Meta(ge=0, le=100)]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a carrier is demoted: of at least `calls` in `window_s`, more than `failed` percent got
    5xx, 408 or nothing; or fewer than `answered` percent were answered; or more than half took over
    `setup_s` to ring. `rest_s`: for how long at first."""

    calls: Annotated[int, Meta(ge=1, le=10_000)] = 20
    window_s: Annotated[int, Meta(ge=10, le=86_400)] = 300
    failed: Percent = 50
    answered: Percent = 5
    setup_s: Annotated[int, Meta(ge=1, le=180)] = 10
    rest_s: Annotated[int, Meta(ge=1, le=1800)] = 60


class Figures(Struct):
    """Counts of calls. `slow`: rang late, or had not rung when they were given up."""

    calls: int = 0
    answered: int = 0
    failed: int = 0
    slow: int = 0

    def take_away(self, other: "Figures") -> None:
        self.calls -= other.calls
        self.answered -= other.answered
        self.failed -= other.failed
        self.slow -= other.slow


class Standing:
    """One carrier's."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.reason = ""  # why it was demoted
        self.demotions = 0
        self._parts: dict[int, Figures] = {}  # part of time: what ended in it
        self._part = Figures()  # that of now
        self._part_at = -1
        self._window = Figures()  # the sum of all parts
        self._row = 0  # failures in a row
        self._rest_s = float(limits.rest_s)
        self._rests_until: float | None = None
        self._good_since = 0.0
        self._on_trial = 0  # calls that are out
        self._passed = 0

    def level(self, now: float) -> int:
        """Return GOOD, TRIAL or DEMOTED."""
        if self._rests_until is None:
            return GOOD
        if now < self._rests_until or self._on_trial:
            return DEMOTED
        return TRIAL

    def figures(self, now: float) -> Figures:
        """Return the counts of the window that ends now."""
        self._turn(now)
        return replace(self._window)

    def begin(self, now: float) -> bool:
        """A call goes there. True: it is a trial; tell it to `end`."""
        is_trial = self.level(now) == TRIAL
        self._on_trial += is_trial
        return is_trial

    def end(self, result: Result, setup_s: float, now: float, *, is_trial: bool) -> None:
        """A call was answered or not. `setup_s`: until it rang, or for how long it did not."""
        is_slow = setup_s > self.limits.setup_s
        self._on_trial = max(0, self._on_trial - is_trial)  # it may have begun under other limits
        if result == "given-up" and not is_slow:
            return  # the caller's wish says nothing of the carrier
        self._note(result, is_slow, now)
        self._row = self._row + 1 if result == "failed" else 0
        if self._rests_until is None:  # a call that went well is no reason to demote
            if (is_slow or result != "answered") and (reason := self._fault()):
                self._demote(reason, now)
        elif is_trial:
            self._judge_trial(result == "failed" or is_slow, now)

    def _note(self, result: Result, is_slow: bool, now: float) -> None:
        self._turn(now)
        for of in (self._part, self._window):
            of.calls += 1
            if result == "answered":
                of.answered += 1
            elif result == "failed":
                of.failed += 1
            if is_slow:
                of.slow += 1

    def _turn(self, now: float) -> None:
        """Begin the part of now, if another one was the last; forget those behind the window."""
        at = int(now / (self.limits.window_s / _PARTS))
        if at == self._part_at:
            return
        self._part_at = at
        self._part = self._parts.setdefault(at, Figures())
        for part in [one for one in self._parts if one <= at - _PARTS]:
            self._window.take_away(self._parts.pop(part))

    def _fault(self) -> str:
        """Return what is wrong with it, or ""."""
        if self._row >= ROW:
            return f"{self._row} calls in a row failed"
        limits, seen = self.limits, self._window
        if seen.calls < limits.calls:
            return ""
        if seen.failed * 100 > limits.failed * seen.calls:
            return f"{seen.failed} of {seen.calls} calls failed"
        if seen.answered * 100 < limits.answered * seen.calls:
            return f"{seen.answered} of {seen.calls} calls were answered"
        if seen.slow * 2 > seen.calls:
            return f"{seen.slow} of {seen.calls} calls rang after {limits.setup_s} s"
        return ""

    def _demote(self, reason: str, now: float) -> None:
        """Demote for a rest; for twice as long as the last time where that was lately."""
        lately = self.demotions and now - self._good_since < 2 * self.limits.window_s
        self._rest_s = min(2 * self._rest_s, MOST_REST_S) if lately else float(self.limits.rest_s)
        self.reason = reason
        self.demotions += 1
        self._rests_until = now + self._rest_s
        self._passed = 0

    def _judge_trial(self, is_bad: bool, now: float) -> None:
        if is_bad:
            self._good_since = now
            self._demote("a trial call failed", now)
            return
        self._passed += 1
        if self._passed >= TRIALS:
            self._parts.clear()
            self._part_at, self._window = -1, Figures()
            self._rests_until = None
            self._good_since = now
            self.reason = ""
