"""What the charts show of runs."""

from pathlib import Path

import pytest

from bench.charts import against_rate, distribution
from bench.load import Run, Window
from bench.plot import draw
from bench.report import Chart
from bench.stats import Trial


def run(rate: float, *, failed: int = 0) -> Run:
    trial = Trial(rate=rate, reached=rate, done=1000, failed=failed, retransmitted=0)
    windows = [Window(1000.0, {"signalling": 1.0, "sipp": 0.4})]
    return Run(trial, windows, delays_ms=[float(ms) for ms in range(1, 101)])


def test_cpu_is_a_share_of_a_core_and_grows_with_the_rate() -> None:
    cpu, _ = against_rate("calls", "calls", {"sipcore": [run(600.0), run(400.0)]})
    assert cpu.lines == {"signalling": [(400.0, 40.0), (600.0, 60.0)]}  # SIPp is not of interest


def test_rates_that_did_not_hold_are_left_out() -> None:
    cpu, delay = against_rate("calls", "calls", {"sipcore": [run(400.0), run(900.0, failed=50)]})
    assert cpu.lines["signalling"] == [(400.0, 40.0)]
    assert delay.lines == {"50%": [(400.0, 50.0)], "95%": [(400.0, 95.0)], "99%": [(400.0, 99.0)]}


def test_lines_tell_the_programs_apart_where_there_are_several() -> None:
    cpu, _ = against_rate("calls", "calls", {"sipcore": [run(400.0)], "sippy": []})
    assert list(cpu.lines) == ["sipcore signalling"]


def test_a_distribution_has_a_line_for_every_program_that_finished_something() -> None:
    chart = distribution("delay", {"sipcore": [1.0, 2.0], "sippy": []})
    assert chart.lines["sipcore"][:1] == [(1.0, 1.0)]
    assert chart.lines["sipcore"][-1:] == [(99.9, 2.0)]
    assert "sippy" not in chart.lines


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_charts_are_drawn_by_the_ending_of_the_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"charts{ending}"
    chart = Chart("delay", "calls/s", "ms", {"50%": [(100.0, 4.0), (200.0, 5.0)]})
    draw([chart, Chart("nothing", "x", "y", {"a": []})], "a machine", path)
    assert (b"PNG" in path.read_bytes()[:8]) is (ending == ".png")
    assert (b"<svg" in path.read_bytes()) is (ending == ".svg")
