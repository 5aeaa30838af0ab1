"""Budgets and the pages made of figures."""

import pytest

from bench.__main__ import NAMES
from bench.node import parse_metrics, total
from bench.profile import parse, shares
from bench.report import (
    BUDGETS,
    Budget,
    Chart,
    Judged,
    Report,
    expected,
    judge,
    read_budgets,
    to_object,
    to_text,
)

BUDGET = """
[[budget]]
bench = "calls"
figure = "highest_rate"
least = 400
unit = "calls/s"
from = "issue 2"
"""


def test_the_budgets_of_the_project_can_be_read_and_have_one_bound_each() -> None:
    budgets = read_budgets(BUDGETS.read_text("utf-8"))
    assert {one.bench for one in budgets} <= set(NAMES)
    assert all((one.most is None) != (one.least is None) for one in budgets)


@pytest.mark.parametrize(("rate", "is_met"), [(400.0, True), (399.0, False), (None, False)])
def test_a_budget_is_met_at_its_bound_and_missed_where_nothing_was_measured(
    rate: float | None, is_met: bool
) -> None:
    report = Report("calls", figures={} if rate is None else {"highest_rate": rate})
    [judged] = judge(read_budgets(BUDGET), report)
    assert judged.is_met is is_met
    assert ("NOT MET" in to_text(report, [judged])) is not is_met
    assert to_object(report, [judged])["budgets"][0]["met"] is is_met


@pytest.mark.parametrize(
    ("value", "searching", "peers", "stays"),
    [
        (None, True, True, True),
        (None, False, True, False),
        (None, True, False, False),
        (0.5, False, False, True),
    ],
)
def test_a_budget_that_nobody_asked_to_measure_is_not_judged(
    value: float | None, searching: bool, peers: bool, stays: bool
) -> None:
    budget = Budget(bench="calls", figure="ratio", unit="", asked_by="x", most=1.0, peer="sippy")
    judged = [Judged(budget, value, value is not None)]
    assert bool(expected(judged, searching=searching, peers=peers)) is stays


def test_the_points_of_the_charts_are_for_programs_too() -> None:
    chart = Chart("delay", "calls/s", "ms", {"50%": [(100.0, 4.0)]})
    [found] = to_object(Report("calls", charts=[chart]), [])["charts"]
    assert found == {
        "title": "delay", "x": "calls/s", "y": "ms", "lines": {"50%": [(100.0, 4.0)]}
    }  # fmt: skip


def test_a_budget_of_another_bench_is_left_alone() -> None:
    assert judge(read_budgets(BUDGET), Report("register")) == []


def test_metrics_are_added_up_over_labels() -> None:
    page = '# HELP x y\nm_total{direction="in",class="2xx"} 3.0\nm_total{direction="out"} 4.0\n'
    metrics = parse_metrics(page)
    assert total(metrics, "m_total") == 7
    assert total(metrics, "m_total", 'direction="in"') == 3


def test_a_profile_counts_a_recursive_function_once_a_sample() -> None:
    own, whole, every = shares(parse("a;b;a 2\na;c 1\nbroken\n"))
    assert (own["a"], own["c"], whole["a"], whole["b"], every) == (2, 1, 3, 2, 3)
