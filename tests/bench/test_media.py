"""When a number of calls holds, and what the media bench draws."""

from bench.level import Level
from bench.media import charts
from bench.rtp_check import Tally
from bench.rtp_load import Loaded, Plan


def level(
    relay: str = "sipcore",
    calls: int = 100,
    *,
    lost: int = 0,
    p99_ms: float = 30,
    on_time: float = 1.0,
    sink_lost: int = 0,
    damaged: int = 0,
    cpu_s: float = 1.0,
    others: float = 0.0,
) -> Level:
    tally = Tally(100_000, lost, 0, 0, 0, 0, (20.0, 25.0, p99_ms, 35.0))
    loaded = Loaded(tally, damaged, 0, 0, sink_lost, on_time, 0.2)
    return Level(relay, calls, 40, loaded, 10.0, cpu_s, others)


def test_calls_hold_under_a_thousandth_of_loss_and_up_to_the_bound_of_delay() -> None:
    assert level(lost=99).holds
    assert level(p99_ms=40).holds
    assert not level(lost=100).holds
    assert not level(p99_ms=40.1).holds


def test_a_load_that_was_late_or_lost_packets_itself_says_nothing_of_the_relay() -> None:
    for found in (level(on_time=0.94), level(lost=500, sink_lost=500)):
        assert found.is_load_at_fault
        assert not found.holds
        assert "not judged" in found.words()


def test_the_cost_is_of_a_packet_that_was_passed_on() -> None:
    assert level(lost=50_000, cpu_s=0.5).us_per_packet == 10
    assert level(lost=100_000).us_per_packet == 0


def test_what_no_relay_may_do_is_named_with_its_count() -> None:
    assert level().complaints() == []
    assert level(damaged=3).complaints() == ["sipcore, 100 calls: 3 packets damaged"]


def test_a_plan_counts_packets_of_20_ms() -> None:
    assert Plan(2.0, 3.0, 40).window == range(100, 250)


def test_phones_begin_to_speak_one_after_the_other_and_all_do_in_the_window() -> None:
    plan = Plan(3.0, 1.0, 40)
    shares = [plan.share(number) for number in range(plan.window.stop)]
    assert shares[0] == 0.02
    assert shares[:50] == sorted(shares[:50])
    assert set(shares[49:]) == {1.0}
    assert Plan(0.0, 1.0, 40).share(0) == 1.0


def test_charts_have_a_line_a_relay_and_the_median_of_what_held() -> None:
    found = charts(
        [
            level(calls=200, cpu_s=2.0),
            *(level(cpu_s=cpu_s) for cpu_s in (1.0, 4.0, 1.2)),
            level(calls=300, lost=5000),
            level("rtpengine", p99_ms=1.0),
        ]
    )
    cpu, mine, its = found
    assert cpu.lines == {"sipcore": [(10_000, 12), (20_000, 20)], "rtpengine": [(10_000, 10)]}
    assert mine.lines["p99"] == [(100, 30), (200, 30)]
    assert its.lines["p99"] == [(100, 1)]
