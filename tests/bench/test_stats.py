"""The search for the highest rate, and the sums around it."""

import pytest

from bench.stats import Trial, highest, percentile, spread, value_at


def trial(rate: int, *, holds: bool) -> Trial:
    return Trial(rate=rate, reached=rate, done=1000, failed=0 if holds else 10, retransmitted=0)


def test_spread_is_median_and_extremes() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.least, found.most) == (2.0, 1.0, 3.0)
    assert found.noise == pytest.approx(0.5)


def test_a_rate_holds_below_one_in_a_thousand_failed_or_retransmitted() -> None:
    assert Trial(100, 100, 10_000, 4, 5).holds
    assert not Trial(100, 100, 10_000, 5, 6).holds


def test_a_rate_that_the_generator_did_not_reach_does_not_hold() -> None:
    assert not Trial(rate=1000, reached=900, done=9000, failed=0, retransmitted=0).holds


def test_a_run_without_any_operation_does_not_hold() -> None:
    assert not Trial(100, 100, 0, 0, 0).holds


def test_the_search_closes_in_on_the_highest_rate() -> None:
    best, trials = highest(lambda rate: trial(rate, holds=rate <= 730), 200)
    assert best is not None
    assert 730 * 0.93 <= best.rate <= 730
    assert len(trials) <= 12


def test_the_search_ends_where_the_first_rate_does_not_hold() -> None:
    best, trials = highest(lambda rate: trial(rate, holds=False), 200)
    assert best is None
    assert [one.rate for one in trials] == [200, 200]


def test_a_rate_disturbed_once_is_tried_again() -> None:
    seen: list[int] = []

    def disturbed(rate: int) -> Trial:
        seen.append(rate)
        return trial(rate, holds=len(seen) != 2)

    best, _ = highest(disturbed, 100, most_trials=4)
    assert seen == [100, 150, 150, 225]
    assert best is not None
    assert best.rate == 225


def test_the_search_is_bounded() -> None:
    _, trials = highest(lambda rate: trial(rate, holds=True), 1, most_trials=5)
    assert len(trials) == 5


def test_the_search_asks_whether_it_may_go_on() -> None:
    best, trials = highest(lambda rate: trial(rate, holds=True), 100, may_go_on=lambda: False)
    assert best is not None
    assert [one.rate for one in trials] == [100]


@pytest.mark.parametrize(("share", "found"), [(0.5, 5), (0.95, 10), (0.0, 1), (1.0, 10)])
def test_a_percentile_is_the_least_value_that_its_share_does_not_exceed(
    share: float, found: float
) -> None:
    assert percentile([3, 1, 2, 10, 9, 8, 7, 6, 5, 4], share) == found


def test_a_count_is_read_between_its_readings() -> None:
    points = [(10.0, 0.0), (11.0, 100.0), (12.0, 300.0)]
    assert [value_at(points, at) for at in (9.0, 10.5, 11.5, 13.0)] == [0, 50, 200, 300]
    assert value_at([], 5.0) == 0
