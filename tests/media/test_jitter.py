"""The jitter buffer: what comes in disorder and late leaves in order and in time."""

import random
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from msgspec import Struct

from sipcore.media.control import Mode
from tests.media.net import Bench, describe, rtp

A, B = ("198.51.100.1", 4000), ("198.51.100.2", 5000)
IN, OUT = 10000, 10002  # the port that A speaks to; the one that B hears from
TICK_S = 0.005
LEAST_S, MOST_S = 0.020, 0.120

Arrival = tuple[float, bytes]


class Left(Struct, frozen=True):
    """A packet as B got it. `number` is the sequence that A had given it."""

    at: float
    number: int
    sequence: int
    timestamp: int
    ssrc: int
    payload_type: int
    marker: bool


def opened(**kwargs: Any) -> Bench:
    bench = Bench()
    bench.open("one", A, B, (IN, OUT), mode="buffer", **kwargs)
    return bench


def play(bench: Bench, arrivals: Iterable[Arrival], rest_s: float = 1.0) -> list[Left]:
    """Bring packets of A, in the order of their times; return what B got of them."""
    bench.wire.log.clear()
    for at, packet in sorted(arrivals, key=lambda one: one[0]):
        bench.bring(at, A, IN, packet)
    bench.wait(rest_s)
    return [read(at, packet) for at, port, packet in bench.wire.log if port == OUT]


def read(at: float, packet: bytes) -> Left:
    _, kind, sequence, timestamp, ssrc, number = struct.unpack_from(">BBHIII", packet)
    return Left(at, number, sequence, timestamp, ssrc, kind & 127, kind >= 128)


def talk(
    numbers: Sequence[int],
    start: float = 100.0,
    *,
    ptime_s: float = 0.02,
    rate: int = 8000,
    ssrc: int = 0x1234,
    skew: float = 0.0,
) -> list[Arrival]:
    """Packets that come as they are made, each number at its time; `skew` is the clock's fault."""
    return [
        (
            start + (number - numbers[0]) * ptime_s * (1 + skew),
            rtp(number, int(number * ptime_s * rate), ssrc),
        )
        for number in numbers
    ]


def delayed(arrivals: Sequence[Arrival], delays_s: Iterable[float]) -> list[Arrival]:
    return [(at + late, packet) for (at, packet), late in zip(arrivals, delays_s, strict=True)]


def numbers(left: Iterable[Left]) -> list[int]:
    return [one.number for one in left]


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


def test_sequence_and_timestamp_wrap() -> None:
    first = 65536 * 3 - 70
    arrivals = [
        (100 + n * 0.02, rtp(first + n, (1 << 32) - 50 * 160 + n * 160)) for n in range(200)
    ]
    rng = random.Random(2)
    left = play(opened(), delayed(arrivals, (rng.uniform(0, 0.03) for _ in arrivals)))
    assert numbers(left) == [first + n for n in range(200)]
    assert [one.sequence for one in left] == [(first + n) & 0xFFFF for n in range(200)]
    assert [one.timestamp for one in left] == [
        ((1 << 32) - 50 * 160 + n * 160) & 0xFFFFFFFF for n in range(200)
    ]


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 60])
def test_any_packet_time_is_played_at_its_own_pace(ptime_ms: int) -> None:
    ptime_s = ptime_ms / 1000
    rng = random.Random(ptime_ms)
    arrivals = talk(range(400), ptime_s=ptime_s)
    left = play(opened(), delayed(arrivals, (rng.uniform(0, 0.015) for _ in arrivals)))
    assert numbers(left) == list(range(400))
    for one, following in pairwise(left[200:]):
        assert following.at - one.at == pytest.approx(ptime_s, abs=TICK_S + 0.002)


def test_a_new_ssrc_goes_on_in_the_same_outgoing_stream() -> None:
    bench = opened()
    first = talk(range(100), ssrc=1)
    second = [(102 + n * 0.02, rtp(40000 + n, 777 + n * 160, 2)) for n in range(100)]
    left = play(bench, first + second)
    assert numbers(left) == [*range(100), *range(40000, 40100)]
    assert [one.sequence for one in left] == list(range(200))
    assert len({one.ssrc for one in left}) == 1
    assert left[0].ssrc not in (1, 2)
    for number, one in enumerate(left):
        assert one.timestamp == pytest.approx(number * 160, abs=TICK_S * 8000)


def test_a_clock_set_anew_goes_on_in_the_same_outgoing_stream() -> None:
    first = talk(range(100))
    for stamp in (5_000_000, 15_840 - 8000, 1 << 31):
        second = [(102 + n * 0.02, rtp(100 + n, stamp + n * 160)) for n in range(100)]
        left = play(opened(), first + second)
        assert [one.sequence for one in left] == list(range(200))
        for number, one in enumerate(left):
            assert one.timestamp == pytest.approx(number * 160, abs=TICK_S * 8000)


def test_a_source_that_numbers_anew_goes_on_in_the_same_outgoing_stream() -> None:
    first = talk(range(100))
    second = [(102 + n * 0.02, rtp(30000 + n, (100 + n) * 160)) for n in range(100)]
    left = play(opened(), first + second)
    assert [one.sequence for one in left] == list(range(200))


def test_another_clock_rate_goes_on_without_a_jump_in_sequence() -> None:
    bench = opened(other_rates=((97, 48000),))
    first = talk(range(50))
    second = [(101 + n * 0.02, rtp(50 + n, 9000 + n * 960, payload_type=97)) for n in range(50)]
    left = play(bench, first + second)
    assert [one.sequence for one in left] == list(range(100))
    assert [b.timestamp - a.timestamp for a, b in pairwise(left[50:])] == [960] * 49


def test_a_source_whose_clock_stood_on_hold_is_taken_up_at_once() -> None:
    first = talk(range(100))
    second = [(112 + n * 0.02, rtp(100 + n, (100 + n) * 160)) for n in range(100)]
    left = play(opened(), first + second)
    assert [one.timestamp for one in left] == [n * 160 for n in range(200)]
    assert [one.at - 112 for one in left[100:]] == pytest.approx(
        [n * 0.02 + LEAST_S for n in range(100)], abs=TICK_S
    )


def test_silence_without_packets_keeps_its_length() -> None:  # DTX, RFC 3389
    sent = [*range(50), *range(51, 60)]
    stamps = [*range(50), *range(200, 209)]
    arrivals = [
        (100 + stamp * 0.02, rtp(number, stamp * 160))
        for number, stamp in zip(sent, stamps, strict=True)
    ]
    left = play(opened(), arrivals)
    assert numbers(left) == sent
    assert left[50].at - left[49].at == pytest.approx(151 * 0.02, abs=TICK_S)
    assert left[50].timestamp - left[49].timestamp == 151 * 160


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


def press(first: int, count: int, stamp: int, start: float, ptime_s: float = 0.02) -> list[Arrival]:
    """A key held down: one timestamp for all its packets (RFC 4733 2.5.1)."""
    return [
        (start + n * ptime_s, rtp(first + n, stamp, payload_type=101, size=8)) for n in range(count)
    ]


def test_a_long_telephone_event_is_played_like_the_sound_around_it() -> None:
    arrivals = [
        *talk(range(100)),
        *press(100, 50, 100 * 160, 102.0),
        *[(at + 1.0, packet) for at, packet in talk(range(150, 250), 102.0)],
    ]
    rng = random.Random(4)
    bench = opened()
    left = play(bench, delayed(arrivals, (rng.uniform(0, 0.04) for _ in arrivals)))
    assert numbers(left) == list(range(250))
    assert bench.state("one")[0].late == 0
    assert {one.timestamp for one in left if one.payload_type == 101} == {100 * 160}
    late = [one.at - 100 - one.number * 0.02 for one in left[50:]]
    assert max(late) - min(late) < 0.012
    gaps = [b.at - a.at for a, b in pairwise(left[50:])]
    assert min(gaps) > 0.009


def test_events_at_another_pace_are_neither_bunched_nor_dropped() -> None:
    bench = opened()
    events = press(100, 10, 100 * 160, 102.0, 0.05)
    after = [(at + 0.5, packet) for at, packet in talk(range(110, 200), 102.0)]
    after = [(at, rtp(110 + n, 125 * 160 + n * 160)) for n, (at, _) in enumerate(after)]
    left = play(bench, [*talk(range(100)), *events, *after])
    assert numbers(left) == list(range(200))
    played = [one.at for one in left if one.payload_type == 101]
    for one, (at, _) in zip(played, events, strict=True):
        assert one - at == pytest.approx(LEAST_S, abs=2 * TICK_S)


def test_a_stream_may_begin_with_an_event() -> None:
    arrivals = [*press(0, 10, 0, 100.0), *[(at, p) for at, p in talk(range(10, 60), 100.2)]]
    left = play(opened(), arrivals)
    assert numbers(left) == list(range(60))
    assert [one.timestamp for one in left[10:]] == [n * 160 for n in range(10, 60)]


@pytest.mark.parametrize("skew", [200e-6, -200e-6])
def test_a_clock_that_drifts_neither_grows_late_nor_overflows(skew: float) -> None:
    bench = opened()
    count = 30_000  # ten minutes
    arrivals = talk(range(count), skew=skew)
    left = play(bench, arrivals)
    assert numbers(left) == list(range(count))
    late = [one.at - at for one, (at, _) in zip(left, arrivals, strict=True)]
    assert max(late) <= LEAST_S + 0.012
    assert min(late) >= LEAST_S - 0.007
    state = bench.state("one")[0]
    assert (state.late, bench.totals().overflowed) == (0, 0)


def test_a_flood_of_one_source_takes_no_more_than_its_part() -> None:
    bench = opened()
    bench.open("two", ("198.51.100.3", 4000), ("198.51.100.4", 5000), (10004, 10006), mode="buffer")
    free = len(bench.wire.batch.free)
    flood = [(100.0 + n * 1e-5, rtp(n, 0)) for n in range(500)]
    for at, packet in flood:
        bench.bring(at, A, IN, packet)
    bench.bring(100.006, ("198.51.100.3", 4000), 10004, rtp(1))
    bench.wait(0.004)
    assert free - len(bench.wire.batch.free) < 50
    bench.wait(1)
    assert bench.totals().overflowed > 400
    assert bench.state("two")[1].sent_packets == 1
    assert len(bench.wire.batch.free) == free


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
    assert len(bench.wire.batch.free) == 24


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
    assert bench.heard(OUT) == []
    assert len(bench.wire.batch.free) == len(bench.wire.batch.size) - 256


def test_a_side_on_hold_when_a_packet_is_due_is_sent_nothing() -> None:
    bench = opened()
    bench.bring(100.0, A, IN, rtp(1))
    bench.update("one", describe(1, ("", 5000), sources=(B[0],), mode="buffer"))
    bench.wait(1)
    assert bench.heard(OUT) == []


def test_reports_name_the_source_and_the_clock_that_the_peer_hears() -> None:
    bench = opened()
    left = play(bench, talk(range(100)))
    bench.wire.take_sent()
    bench.wait(4)
    (_, compound), *_ = bench.heard(OUT + 1)
    ssrc, _, _, stamp, sent = struct.unpack_from(">IIIII", compound, 4)
    assert (ssrc, sent) == (left[0].ssrc, 100)
    assert 100 * 160 <= stamp <= 106 * 8000


def test_ticks_are_counted_and_end_when_nothing_plays() -> None:
    bench = opened()
    play(bench, talk(range(10)))
    ticks = bench.totals().ticks
    assert 40 < ticks < 100
    bench.wait(10)
    assert bench.totals().ticks == ticks
    assert bench.totals().greatest_late_ms == pytest.approx(0, abs=1e-6)
    assert bench.totals().delay_ms == bench.totals().greatest_delay_ms == pytest.approx(20)
