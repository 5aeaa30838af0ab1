"""Telephone events (RFC 4733) at a worker: told once and swallowed, or sent in place of sound."""

import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs

from sipcore.media.control import FirstPacket, Press, Pressed
from sipcore.media.events import END_PACKETS, Event, packets_of, parse_event
from tests.media.net import Bench, describe, rtp
from tests.media.path import IN, OUT, A, Arrival, Left, numbers, opened, play, read, talk

PAYLOAD_TYPE = 101
START = 100.0


class Tone(Struct, frozen=True):
    """An event packet as it left."""

    at: float
    sequence: int
    timestamp: int
    ssrc: int
    marker: bool
    event: Event


def key(
    code: int, timestamp: int, first: int, *, durations: Iterable[int], ssrc: int = 0x1234
) -> list[bytes]:
    """Write the packets of an event, from sequence number `first`; the last is sent three times."""
    told = list(durations)
    events = [Event(code, False, 10, one) for one in told]
    events += [Event(code, True, 10, told[-1])] * 3
    return [
        rtp(first + at, timestamp, ssrc, PAYLOAD_TYPE, size=0) + one.to_bytes()
        for at, one in enumerate(events)
    ]


def spaced(packets: Iterable[bytes], start: float) -> list[Arrival]:
    return [(start + at * 0.02, one) for at, one in enumerate(packets)]


def uneven() -> Bench:
    """A has telephone-event, B has not."""
    bench = opened()
    bench.update("one", structs.replace(describe(0, A, mode="buffer"), event_type=PAYLOAD_TYPE))
    return bench


def pressed(bench: Bench) -> list[Pressed]:
    return [one for one in bench.events() if isinstance(one, Pressed)]


def press(bench: Bench, code: int = 5, duration_ms: int = 160) -> None:
    """Ask for an event towards B."""
    bench.engine.handle(Press("one", 1, PAYLOAD_TYPE, 8000, code, duration_ms), bench.now)


def tones(bench: Bench) -> list[Tone]:
    found = []
    for at, port, packet in bench.wire.log:
        if port == OUT and packet[1] & 127 == PAYLOAD_TYPE:
            _, kind, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", packet)
            event = parse_event(packet[12:])
            assert event is not None
            assert len(packet) == 16
            found.append(Tone(at, sequence, timestamp, ssrc, kind >= 128, event))
    return found


def sound(bench: Bench) -> list[Left]:
    return [
        read(at, packet)
        for at, port, packet in bench.wire.log
        if port == OUT and packet[1] & 127 != PAYLOAD_TYPE
    ]


# Told


def test_a_key_is_told_once_with_its_length_and_goes_no_further() -> None:
    bench = uneven()
    speech = talk(range(10), START)
    event = spaced(key(7, 1600, 10, durations=(160, 320, 480, 640)), START + 0.2)
    after = [(START + 0.34 + at * 0.02, rtp(17 + at, 2720 + at * 160)) for at in range(10)]
    left = play(bench, [*speech, *event, *after])
    assert pressed(bench) == [Pressed("one", "a", 7, 80)]
    assert numbers(left) == [*range(10), *range(17, 27)]
    assert all(one.payload_type == 0 for one in left)
    steps = [b.sequence - a.sequence for a, b in itertools.pairwise(left)]
    assert set(steps) == {1}, "B sees no loss where the key was"


def test_keys_one_after_the_other_are_told_each() -> None:
    bench = uneven()
    arrivals: list[Arrival] = []
    for at, code in enumerate((1, 1, 11)):
        packets = key(code, 1600 + at * 1600, at * 5, durations=(160, 320))
        arrivals += spaced(packets, START + at * 0.2)
    play(bench, arrivals)
    assert [one.event for one in pressed(bench)] == [1, 1, 11]


def test_a_key_whose_ends_are_lost_is_told_all_the_same() -> None:
    bench = uneven()
    play(bench, spaced(key(3, 1600, 0, durations=(160, 320, 480))[:3], START))
    assert pressed(bench) == [Pressed("one", "a", 3, 60)]


def test_a_key_whose_ends_alone_arrive_is_told() -> None:
    bench = uneven()
    play(bench, spaced(key(3, 1600, 0, durations=(160, 320, 480))[4:], START))
    assert pressed(bench) == [Pressed("one", "a", 3, 60)]


def test_a_late_packet_of_an_earlier_key_is_no_key() -> None:
    bench = uneven()
    first, second = (key(code, 1600 * code, 10 * code, durations=(160, 320)) for code in (1, 2))
    play(bench, spaced([*first[:3], *second[:1], first[3], first[4], *second[1:]], START))
    assert [one.event for one in pressed(bench)] == [1, 2]


def test_a_key_held_for_ten_seconds_is_one_key() -> None:
    bench = uneven()
    long = key(5, 1600, 0, durations=range(160, 0xFFFF, 160))[:-3]
    rest = key(5, 1600 + 0xFFFF, len(long), durations=range(160, 14465, 160))
    play(bench, spaced([*long, *rest], START))
    assert pressed(bench) == [Pressed("one", "a", 5, (0xFFFF + 14400) * 1000 // 8000)]


def test_what_is_no_key_is_swallowed_and_not_told() -> None:
    bench = uneven()
    broken = rtp(40, 9000, payload_type=PAYLOAD_TYPE, size=0) + b"\5\x80"
    answering_tone = key(32, 1600, 0, durations=(160, 320))
    assert play(bench, spaced([*answering_tone, broken], START)) == []
    assert pressed(bench) == []


def test_where_both_have_events_they_pass_and_nothing_is_told() -> None:
    bench = uneven()
    bench.update("one", describe(0, A, mode="buffer"))
    left = play(bench, spaced(key(7, 1600, 10, durations=(160, 320)), START))
    assert len(left) == 5
    assert pressed(bench) == []


def test_the_first_packet_may_be_a_key() -> None:
    bench = uneven()
    play(bench, spaced(key(7, 1600, 10, durations=(160,)), START))
    assert bench.events() == [FirstPacket("one", "a"), Pressed("one", "a", 7, 20)]


# Sent


def test_a_key_takes_the_place_of_sound_and_sound_goes_on_after_it() -> None:
    bench = opened()
    speech = talk(range(100), START)
    for at, packet in speech[:50]:
        bench.bring(at, A, IN, packet)
    press(bench)
    for at, packet in speech[50:]:
        bench.bring(at, A, IN, packet)
    bench.wait(1)
    found, heard = tones(bench), sound(bench)
    assert [one.marker for one in found] == [True] + [False] * 9
    assert [one.event.duration for one in found] == [*range(160, 1281, 160), 1280, 1280]
    assert [one.event.is_end for one in found] == [False] * 7 + [True] * END_PACKETS
    assert {(one.event.code, one.event.volume) for one in found} == {(5, 10)}
    assert len({one.timestamp for one in found}) == 1
    assert {one.ssrc for one in found} == {one.ssrc for one in heard}
    gaps = [b.at - a.at for a, b in itertools.pairwise(found)]
    assert gaps == pytest.approx([0.02] * 9)
    together = sorted([(one.at, one.sequence) for one in found + heard])
    steps = [b[1] - a[1] for a, b in itertools.pairwise(together)]
    assert set(steps) == {1}, "one numbering, without a gap"
    before = [one for one in heard if one.at < found[0].at]
    after = [one for one in heard if one.at > found[-1].at]
    assert before
    assert len(after) > 30
    assert len(before) + len(after) == len(heard), "no sound during the key"
    assert found[0].timestamp == before[-1].timestamp + 160
    assert after[0].timestamp >= found[0].timestamp + 1280
    assert after[0].at - found[-1].at <= 0.03


def test_a_key_is_sent_to_one_who_hears_nothing_else() -> None:
    bench = opened()
    press(bench, 11, 100)
    bench.wait(0.5)
    found = tones(bench)
    assert [one.event.code for one in found] == [11] * 7
    assert [one.sequence - found[0].sequence for one in found] == list(range(7))
    left = play(bench, talk(range(20), bench.now))
    assert [one.sequence for one in left] == [found[-1].sequence + 1 + at for at in range(20)]
    stamps = [found[0].timestamp + 800, *[one.timestamp for one in left]]
    assert stamps == sorted(stamps)


def test_keys_asked_for_at_once_are_sent_one_after_the_other() -> None:
    bench = opened()
    for code in (1, 2, 3):
        press(bench, code, 100)
    bench.wait(2)
    found = tones(bench)
    assert [one.event.code for one in found] == [1] * 7 + [2] * 7 + [3] * 7
    assert [one.marker for one in found].count(True) == 3
    stamps = sorted({one.timestamp for one in found})
    assert len(stamps) == 3
    assert all(b - a >= 800 + 320 for a, b in itertools.pairwise(stamps))


def test_keys_without_end_are_not_kept() -> None:
    bench = opened()
    for _ in range(1000):
        press(bench, 1, 5000)
    bench.wait(60)
    assert len(tones(bench)) <= 400
    assert bench.wire.batch.free_count == len(bench.wire.batch.data) - 256


def test_a_phone_that_sends_a_key_both_ways_is_heard_once() -> None:
    for lead_s in (-0.05, 0.05):
        bench = opened()
        event = spaced(key(5, 16000, 100, durations=range(160, 3201, 160)), START + 2.0)
        arrivals = sorted([*talk(range(100), START), *event], key=lambda one: one[0])
        asked = False
        for at, packet in arrivals:
            if at >= START + 2.0 + lead_s and not asked:
                bench.wait(START + 2.0 + lead_s - bench.now)
                press(bench)
                asked = True
            bench.bring(at, A, IN, packet)
        bench.wait(1)
        assert len({one.timestamp for one in tones(bench)}) == 1, lead_s


def test_a_closed_call_takes_its_keys_with_it() -> None:
    bench = uneven()
    press(bench, 1, 1000)
    bench.wait(0.2)
    bench.close("one")
    bench.wait(2)
    assert bench.wire.batch.free_count == len(bench.wire.batch.data) - 256


# The payload


@given(st.binary(max_size=8))
def test_any_payload_is_an_event_or_none(payload: bytes) -> None:
    event = parse_event(payload)
    assert (event is None) == (len(payload) < 4)
    if event is not None:
        reserved = payload[1] & 0x40
        assert event.to_bytes() == bytes((payload[0], payload[1] & ~reserved)) + payload[2:4]


@given(st.integers(0, 16), st.integers(1, 40000), st.integers(1, 960))
def test_an_event_grows_to_its_length_and_ends_three_times(
    code: int, duration: int, step: int
) -> None:
    events = packets_of(code, duration, step)
    assert [one.is_end for one in events[-3:]] == [True] * 3
    assert not any(one.is_end for one in events[:-3])
    assert {one.duration for one in events[-3:]} == {duration}
    told = [one.duration for one in events[:-2]]
    assert told == sorted(set(told))
    assert all(b - a <= step for a, b in zip([0, *told], told, strict=False))
    assert all(parse_event(one.to_bytes()) == one for one in events)


def test_time_goes_on_from_the_keys_of_one_who_has_sent_nothing_else() -> None:
    bench = opened()
    play(bench, spaced(key(7, 0x90001600, 0, durations=(160, 320)), START), rest_s=1.5)
    before = tones(bench)[-1]
    press(bench)
    bench.wait(1.0)
    after = tones(bench)[-1]
    assert after.ssrc == before.ssrc
    assert 0 < after.timestamp - before.timestamp < 5 * 8000
