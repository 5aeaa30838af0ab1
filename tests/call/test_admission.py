"""Admission against a simulated queue: at twice its capacity it still does nine tenths."""

import random
from collections.abc import Callable
from heapq import heappop, heappush

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.call.admission import KNOWN, LEAST, LISTED, STEP_S, Admission, level

REFUSAL = 0.03  # of what a call costs
LATER = 0.4  # of a call's cost falls due after its answer
BATCH = 64
LOAD_S, AFTER_S, SETTLE_S = 16.0, 11.0, 4.0


class Queue:
    """One server: calls of which a part is due later, refusals that cost a little."""

    def __init__(self, capacity: float, hold_s: float, seed: int) -> None:
        self.admission = Admission()
        self.done: list[float] = []
        self.shares: list[tuple[float, float]] = []
        self._cost_s = 1 / capacity
        self._hold_s = hold_s
        self._random = random.Random(seed)
        self._now = 0.0
        self._step_at = STEP_S
        self._new: list[float] = []
        self._due: list[float] = []

    def run(self, per_s: Callable[[float], float], until: float) -> None:
        at = 0.0
        while self._now < until:
            while at <= self._now:
                self._new.append(at)
                at += self._random.expovariate(per_s(at))
            self._work(at)
            if self._now >= self._step_at:
                self.admission.step(self._now - self._step_at)
                self.shares.append((self._now, self.admission.share))
                self._step_at = max(self._step_at + STEP_S, self._now)

    def _work(self, next_at: float) -> None:
        is_due = bool(self._due) and self._due[0] <= self._now
        if not self._new and not is_due:
            self.admission.observe(0.0)
            self._now = min(next_at, self._due[0] if self._due else next_at, self._step_at) + 1e-9
            return
        oldest = min(*self._new[:1], *self._due[:1], self._now)
        self.admission.observe(self._now - oldest)
        for _ in range(BATCH):
            self._one()

    def _one(self) -> None:
        if self._due and self._due[0] <= self._now and (not self._new or self._due < self._new):
            heappop(self._due)
            self._now += LATER * self._cost_s
            self.done.append(self._now)
        elif self._new:
            self._new.pop(0)
            if self.admission.is_calm or self.admission.admits(self._random.random()):
                self._now += (1 - LATER) * self._cost_s
                heappush(self._due, self._now + self._random.uniform(0, 2 * self._hold_s))
            else:
                self._now += REFUSAL * self._cost_s


@settings(max_examples=12, deadline=None)
@given(st.integers(150, 1500), st.floats(1.3, 2.2), st.floats(0.01, 1), st.integers(0, 1 << 32))
def test_overloaded_it_does_nine_tenths_and_recovers_within_ten_seconds(
    capacity: int, overload: float, hold_s: float, seed: int
) -> None:
    queue = Queue(capacity, hold_s, seed)
    queue.run(lambda at: capacity * (overload if at < LOAD_S else 0.5), LOAD_S + AFTER_S)
    done = sum(SETTLE_S <= at < LOAD_S for at in queue.done)
    assert done >= 0.9 * capacity * (LOAD_S - SETTLE_S)
    assert queue.shares[-1][1] == 1.0
    last = [share for at, share in queue.shares if at > LOAD_S + 10]
    assert min(last) == 1.0


@pytest.mark.parametrize("load", [0.3, 0.6, 0.85])
def test_a_node_that_is_not_overloaded_refuses_nobody(load: float) -> None:
    queue = Queue(600, 0.2, 1)
    queue.run(lambda at: 600 * load, 20)
    assert {share for _, share in queue.shares} == {1.0}


def test_one_stall_refuses_nobody() -> None:
    admission = Admission()
    for late_s in (0, 0, 1.0, 0, 0):
        admission.observe(late_s)
        admission.observe(0.0)
        admission.step(late_s)
        assert admission.is_calm


def test_however_bad_it_is_a_little_is_let_in_and_it_comes_back() -> None:
    admission = Admission()
    for _ in range(1000):
        admission.observe(30.0)
        admission.step(0.0)
    assert admission.share == pytest.approx(LEAST)
    steps = 0
    while not admission.is_calm:
        admission.step(0.0)
        steps += 1
    assert steps * STEP_S < 10


def test_a_loop_that_is_late_all_the_time_is_overload_too() -> None:
    admission = Admission()
    for _ in range(10):
        admission.step(0.2)
    assert admission.share < 0.5


def test_carriers_have_their_own_share_when_strangers_flood() -> None:
    admission = Admission()
    dice = random.Random(1)
    in_: dict[float, int] = {1.0: 0, LISTED: 0}
    for step in range(100):
        for _ in range(90):
            in_[1.0] += admission.admits(dice.random(), 1.0)
        for _ in range(10):
            in_[LISTED] += admission.admits(dice.random(), LISTED)
        admission.observe(0.1 if admission.share > 0.3 else 0.02)
        admission.step(0.0)
        if step == 20:
            in_ = dict.fromkeys(in_, 0)
    assert in_[LISTED] / (79 * 10) > 0.9
    assert in_[1.0] / (79 * 90) < 0.4


@given(
    st.floats(LEAST, 1),
    st.dictionaries(st.sampled_from([1.0, KNOWN, LISTED]), st.floats(0.01, 1000), min_size=1),
)
def test_the_level_lets_in_just_the_share(share: float, offered: dict[float, float]) -> None:
    found = level(share, offered)
    let_in = sum(count * min(1.0, found * weight) for weight, count in offered.items())
    assert let_in == pytest.approx(share * sum(offered.values()), rel=1e-6)
