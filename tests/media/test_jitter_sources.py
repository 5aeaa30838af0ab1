"""What a source may do with its numbers and clock: the outgoing stream goes on without a jump."""

import random
import struct
from itertools import pairwise

import pytest

from tests.media.net import rtp
from tests.media.path import LEAST_S, OUT, TICK_S, Arrival, delayed, numbers, opened, play, talk


def press(first: int, count: int, stamp: int, start: float, ptime_s: float = 0.02) -> list[Arrival]:
    """A key held down: one timestamp for all its packets (RFC 4733 2.5.1)."""
    return [
        (start + n * ptime_s, rtp(first + n, stamp, payload_type=101, size=8)) for n in range(count)
    ]


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


def test_reports_name_the_source_and_the_clock_that_the_peer_hears() -> None:
    bench = opened()
    left = play(bench, talk(range(100)))
    bench.wire.take_sent()
    bench.wait(7)  # the longest there is between two reports: 6.2 s
    (_, compound), *_ = bench.heard(OUT + 1)
    ssrc, _, _, stamp, sent = struct.unpack_from(">IIIII", compound, 4)
    assert (ssrc, sent) == (left[0].ssrc, 100)
    assert 100 * 160 <= stamp <= 106 * 8000
