"""The jitter buffer: what comes in disorder and late leaves in order and in time."""

import random

import pytest

from sipcore.media.control import Mode
from tests.media.net import Bench, describe, rtp
from tests.media.path import (
    IN,
    LEAST_S,
    MOST_S,
    OUT,
    TICK_S,
    A,
    Arrival,
    B,
    delayed,
    numbers,
    opened,
    play,
    read,
    talk,
)


def test_a_clean_path_adds_the_low_bound_and_ten_ms_at_most() -> None:
    for phase in (0.0, 0.001, 0.0049):
        left = play(opened(), talk(range(200), 100 + phase))
        assert numbers(left) == list(range(200))
        for one in left:
            delay = one.at - (100 + phase + one.number * 0.02)
            assert LEAST_S - 1e-6 <= delay <= LEAST_S + 0.010


def test_jitter_and_reordering_come_out_in_order_without_gaps() -> None:
    for seed in range(4):
        rng = random.Random(seed)
        sent = [number for number in range(1500) if rng.random() > 0.01]
        delays = [rng.uniform(0, 0.04) for _ in sent]
        # What is reordered comes after one or two of its successors.
        delays = [one + (0.03 if rng.random() < 0.02 else 0) for one in delays]
        left = play(opened(), delayed(talk(sent), delays))
        got = numbers(left)
        assert got == sorted(set(got))
        assert [n for n in got if n >= 150] == [n for n in sent if n >= 150]
        assert all(one.sequence == one.number for one in left), "gaps stay gaps"


def test_playout_follows_the_timestamps_and_not_the_arrivals() -> None:
    rng = random.Random(1)
    left = play(opened(), delayed(talk(range(600)), (rng.uniform(0, 0.04) for _ in range(600))))
    late = [one.at - one.number * 0.02 for one in left[300:]]
    assert max(late) - min(late) <= TICK_S + 0.002


def test_the_delay_grows_at_once_and_shrinks_slowly_between_its_bounds() -> None:
    bench = opened()
    wild = delayed(talk(range(100)), [0.0, 0.3] * 50)
    play(bench, wild)
    assert bench.state("one")[0].delay_ms == pytest.approx(MOST_S * 1000)
    begun = bench.now
    play(bench, talk(range(100, 200), begun))
    assert 80 < bench.state("one")[0].delay_ms <= 120
    play(bench, talk(range(200, 2200), bench.now))
    assert bench.state("one")[0].delay_ms == pytest.approx(LEAST_S * 1000, abs=2)


def test_one_packet_is_spared_and_the_second_that_needs_more_makes_the_delay_grow() -> None:
    bench = opened()
    arrivals = delayed(talk(range(52)), [*([0.0] * 50), 0.055, 0.055])
    play(bench, arrivals[:51], 0.01)
    assert bench.state("one")[0].delay_ms == pytest.approx(LEAST_S * 1000, abs=2)
    play(bench, arrivals[51:])
    assert bench.state("one")[0].delay_ms == pytest.approx(72, abs=5)


def test_a_worker_that_was_held_up_does_not_blame_the_network() -> None:
    bench = opened()
    arrivals = talk(range(200))
    play(bench, arrivals[:100], 0.01)
    for at, packet in arrivals[100:106]:
        bench.now = at
        bench.wire.deliver(A, IN, packet)
    play(bench, arrivals[106:])
    assert bench.state("one")[0].delay_ms == pytest.approx(LEAST_S * 1000, abs=2)
    assert bench.state("one")[1].sent_packets == 200


@pytest.mark.parametrize("stall_s", [0.15, 0.45, 1.0, 3.0])
def test_a_worker_that_stood_takes_what_waited_for_no_jitter(stall_s: float) -> None:
    bench = opened()
    bench.wire.most = 4  # of one socket in one look: what waited comes over many ticks
    arrivals = talk(range(800))
    stood = range(200, 200 + round(stall_s / 0.02))
    play(bench, arrivals[: stood.start], 0.0)
    for at, packet in arrivals[stood.start : stood.stop]:
        bench.now = at
        bench.wire.deliver(A, IN, packet)
    play(bench, arrivals[stood.stop :])
    state = bench.state("one")[0]
    assert state.delay_ms == pytest.approx(LEAST_S * 1000, abs=3)
    assert bench.state("one")[1].sent_packets == 800
    assert bench.totals().overflowed == 0


def test_duplicates_leave_once() -> None:
    once = talk(range(100))
    again = [(at + 0.003 * (number % 12), packet) for number, (at, packet) in enumerate(once)]
    bench = opened()
    assert numbers(play(bench, once + again)) == list(range(100))
    assert bench.state("one")[0].duplicates == 100
    assert bench.state("one")[0].late == 0


def test_a_packet_after_its_successor_was_played_is_late_and_counted() -> None:
    bench = opened()
    delays = [0.0] * 50
    delays[20] = 0.1
    left = play(bench, delayed(talk(range(50)), delays))
    assert numbers(left) == [*range(20), *range(21, 50)]
    assert (bench.state("one")[0].late, bench.totals().late) == (1, 1)
    bench.close("one")
    assert bench.totals().late == 1


def test_a_packet_before_the_first_one_heard_still_comes_first() -> None:
    left = play(opened(), delayed(talk(range(20)), [0.025] + [0.0] * 19))
    assert numbers(left) == list(range(20))
    assert [one.sequence for one in left] == list(range(20))


def test_the_delay_shrinks_where_a_talk_spurt_begins() -> None:
    bench = opened()
    rng = random.Random(3)
    arrivals = talk(range(901))
    delays = [rng.uniform(0, 0.08) for _ in range(300)] + [0.0] * 601
    play(bench, delayed(arrivals[:900], delays[:900]), 0.01)
    long_ms = bench.state("one")[0].delay_ms
    assert long_ms > 50
    at, packet = arrivals[900]
    play(bench, [(at, packet[:1] + bytes([packet[1] | 128]) + packet[2:])])
    assert bench.state("one")[0].delay_ms == pytest.approx(LEAST_S * 1000, abs=2)


def test_a_flood_of_one_source_takes_no_more_than_its_part() -> None:
    bench = opened()
    bench.open("two", ("198.51.100.3", 4000), ("198.51.100.4", 5000), (10004, 10006), mode="buffer")
    free = bench.wire.batch.free_count
    flood = [(100.0 + n * 1e-5, rtp(n, 0)) for n in range(500)]
    for at, packet in flood:
        bench.bring(at, A, IN, packet)
    bench.bring(100.006, ("198.51.100.3", 4000), 10004, rtp(1))
    bench.wait(0.004)
    assert free - bench.wire.batch.free_count < 50
    bench.wait(1)
    assert bench.totals().overflowed > 400
    assert bench.state("two")[1].sent_packets == 1
    assert bench.wire.batch.free_count == free


def test_without_cells_to_spare_packets_leave_early_and_are_not_lost() -> None:
    bench = Bench(rows=8, cells=24)
    for call in range(8):
        a, b = (A[0], 4000 + call), (B[0], 5000 + call)
        ports = (10000 + 4 * call, 10002 + 4 * call)
        bench.open(str(call), a, b, ports, mode="buffer")
    for number in range(20):
        for call in range(8):
            source = (A[0], 4000 + call)
            bench.bring(100 + number * 0.004, source, 10000 + 4 * call, rtp(number, number * 32))
    bench.wait(1)
    assert bench.totals().packets_sent == 160
    assert bench.wire.batch.free_count == 24


def test_a_packet_as_large_as_the_network_takes_passes_whole() -> None:
    bench = opened()
    packet = rtp(1, size=1460)
    bench.bring(100.0, A, IN, packet)
    bench.wait(1)
    ((_, sent),) = bench.heard(OUT)
    assert sent[12:] == packet[12:]


def test_pass_mode_sends_at_once_and_unchanged() -> None:
    bench = Bench()
    bench.open("one", A, B, (IN, OUT), mode="pass")
    packet = rtp(5, 777, ssrc=9)
    bench.bring(100.0, A, IN, packet)
    assert bench.heard(OUT) == [(B, packet)]
    state = bench.state("one")[0]
    assert (state.mode, state.delay_ms) == ("pass", 0)


def test_each_leg_has_its_own_mode_and_it_may_change_in_the_call() -> None:
    bench = opened()
    bench.update("one", describe(1, B, mode="pass"))
    packet = rtp(1, ssrc=7)
    bench.bring(100.0, B, OUT, packet)
    assert bench.heard(IN) == [(A, packet)]
    assert [one.mode for one in bench.state("one")] == ["buffer", "pass"]
    fore, middle, after = (talk(range(n, n + 50), 101.0 + n * 0.02) for n in (0, 50, 100))
    parts: list[tuple[list[Arrival], Mode]] = [
        (fore, "buffer"),
        (middle, "pass"),
        (after, "buffer"),
    ]
    for part, mode in parts:
        bench.update("one", describe(0, A, mode=mode))
        for at, one in part:
            bench.bring(at, A, IN, one)
        bench.wait(0.01)
    bench.wait(0.1)
    left = [read(at, one) for at, port, one in bench.wire.log if port == OUT]
    assert numbers(left) == list(range(150))
    assert {one.ssrc for one in left[50:100]} == {0x1234}
    assert {one.ssrc for one in left[:50]} == {one.ssrc for one in left[100:]} != {0x1234}


def test_what_waits_when_a_call_closes_never_leaves() -> None:
    bench = opened()
    bench.bring(100.0, A, IN, rtp(1))
    bench.close("one")
    bench.open("two", A, B, (IN, OUT), mode="buffer")
    bench.wait(1)
    assert [port for _, port, _ in bench.wire.log if port % 2 == 0] == []
    assert bench.wire.batch.free_count == len(bench.wire.batch.size) - 256


def test_a_side_on_hold_when_a_packet_is_due_is_sent_nothing() -> None:
    bench = opened()
    bench.bring(100.0, A, IN, rtp(1))
    bench.update("one", describe(1, ("", 5000), sources=(B[0],), mode="buffer"))
    bench.wait(1)
    assert bench.heard(OUT) == []


def test_ticks_are_counted_and_end_when_nothing_plays() -> None:
    bench = opened()
    play(bench, talk(range(10)))
    ticks = bench.totals().ticks
    assert 40 < ticks < 100
    bench.wait(10)
    assert bench.totals().ticks == ticks
    assert bench.totals().greatest_late_ms == pytest.approx(0, abs=1e-6)
    assert bench.totals().delay_ms == bench.totals().greatest_delay_ms == pytest.approx(20)
