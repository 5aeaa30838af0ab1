"""Carriers by what became of their calls: demoted, rested, tried, good again."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sipcore.policy.standing import (
    DEMOTED,
    GOOD,
    MOST_REST_S,
    TRIAL,
    TRIALS,
    Limits,
    Result,
    Standing,
)

NOW = 1000.0


def calls(one: Standing, count: int, result: Result, setup_s: float = 1.0, at: float = NOW) -> None:
    for _ in range(count):
        is_trial = one.begin(at)
        one.end(result, setup_s, at, is_trial=is_trial)


def demoted() -> Standing:
    one = Standing(Limits())
    calls(one, 5, "failed")
    assert one.level(NOW) == DEMOTED
    return one


def test_five_failures_in_a_row_need_no_window() -> None:
    one = Standing(Limits())
    calls(one, 4, "failed")
    assert one.level(NOW) == GOOD
    calls(one, 1, "failed")
    assert (one.level(NOW), one.reason) == (DEMOTED, "5 calls in a row failed")


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        (("answered", 1.0), ("failed", 1.0), "11 of 20 calls failed"),
        (("answered", 1.0), ("answered", 11.0), "11 of 20 calls rang after 10 s"),
        (("answered", 1.0), ("given-up", 30.0), "11 of 20 calls rang after 10 s"),
    ],
)
def test_more_than_half_of_twenty(
    good: tuple[Result, float], bad: tuple[Result, float], reason: str
) -> None:
    one = Standing(Limits())
    for at in range(20):
        calls(one, 1, *(bad if at % 2 == 0 or at == 19 else good))
    assert one.reason == reason


def test_a_call_that_went_well_demotes_nobody() -> None:
    one = Standing(Limits())
    for _ in range(4):
        calls(one, 3, "failed")
        calls(one, 1, "answered")
    calls(one, 4, "answered")
    assert one.level(NOW) == GOOD, "though 12 of 20 have failed"
    calls(one, 1, "failed")
    assert one.reason == "13 of 21 calls failed"


def test_a_carrier_where_nobody_answers_is_demoted_and_one_in_twenty_is_enough() -> None:
    one = Standing(Limits())
    calls(one, 20, "rejected")
    assert one.reason == "0 of 20 calls were answered"
    other = Standing(Limits())
    calls(other, 1, "answered")
    calls(other, 19, "rejected")
    assert other.level(NOW) == GOOD


def test_callers_who_give_up_at_once_say_nothing() -> None:
    one = Standing(Limits())
    calls(one, 100, "given-up", 2.0)
    assert one.figures(NOW).calls == 0


def test_what_is_older_than_the_window_is_forgotten() -> None:
    one = Standing(Limits(window_s=100))
    calls(one, 4, "failed")
    calls(one, 1, "answered")
    assert one.figures(NOW + 80).calls == 5
    assert one.figures(NOW + 101).calls == 0


def test_after_a_rest_one_call_at_a_time_is_a_trial_and_three_make_it_good() -> None:
    one = demoted()
    assert one.level(NOW + 59) == DEMOTED
    now = NOW + 61
    for _ in range(TRIALS):
        assert one.level(now) == TRIAL
        assert one.begin(now)
        assert one.level(now) == DEMOTED, "while the trial is out"
        assert not one.begin(now)
        one.end("rejected", 1.0, now, is_trial=True)
    assert one.level(now) == GOOD
    assert one.reason == ""


def test_a_trial_that_fails_doubles_the_rest_up_to_half_an_hour() -> None:
    one, now, rests = demoted(), NOW, []
    for _ in range(8):
        waited = 0.0
        while one.level(now + waited) != TRIAL:
            waited += 10
        rests.append(waited)
        now += waited
        calls(one, 1, "failed", at=now)
    assert rests[:4] == [60, 120, 240, 480]
    assert rests[-1] == MOST_REST_S


def test_a_trial_that_the_caller_gives_up_proves_nothing() -> None:
    one = demoted()
    calls(one, 1, "given-up", 1.0, at=NOW + 61)
    assert one.level(NOW + 61) == TRIAL


def test_a_trial_that_began_under_other_limits_does_not_keep_it_from_its_own() -> None:
    one = Standing(Limits())
    one.end("answered", 1.0, NOW, is_trial=True)
    calls(one, 5, "failed")
    assert one.level(NOW + 61) == TRIAL


def test_calls_that_are_no_trial_do_not_end_a_rest() -> None:
    one = demoted()
    calls(one, 50, "answered", at=NOW + 10)
    assert one.level(NOW + 10) == DEMOTED


@given(st.lists(st.tuples(st.sampled_from(["answered", "rejected"]), st.floats(0, 10))))
def test_a_carrier_whose_calls_ring_and_are_answered_stays_good(
    ended: list[tuple[str, float]],
) -> None:
    one = Standing(Limits(answered=0))
    for result, setup_s in ended:
        calls(one, 1, cast(Result, result), setup_s)
    assert one.level(NOW) == GOOD


class Lives(RuleBasedStateMachine):
    """Calls come and go in any order and at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.one = Standing(Limits(calls=5, window_s=100, rest_s=30))
        self.now = NOW
        self.out: list[bool] = []

    @rule(seconds=st.floats(0, 4000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        was = self.one.level(self.now)
        is_trial = self.one.begin(self.now)
        assert is_trial == (was == TRIAL)
        self.out.append(is_trial)

    @precondition(lambda self: self.out)
    @rule(
        result=st.sampled_from(["answered", "rejected", "failed", "given-up"]),
        setup=st.floats(0, 60),
    )
    def end(self, result: Result, setup: float) -> None:
        self.one.end(result, setup, self.now, is_trial=self.out.pop(0))

    @invariant()
    def one_trial_at_a_time(self) -> None:
        assert sum(self.out) <= 1
        if any(self.out):
            assert self.one.level(self.now) == DEMOTED

    @invariant()
    def a_demoted_carrier_has_a_reason_and_is_tried_again(self) -> None:
        if self.one.level(self.now) != GOOD:
            assert self.one.reason
        if not any(self.out):
            assert self.one.level(self.now + MOST_REST_S + 1) in (GOOD, TRIAL)


TestLives = Lives.TestCase
