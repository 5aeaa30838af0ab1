"""A tone in the place of a stream that says nothing: until somebody speaks there."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sipcore.media import control
from sipcore.media.control import Play
from sipcore.media.g711 import A_LAW, MU_LAW, decode
from tests.media.net import Bench, describe
from tests.media.path import IN, OUT, TICK_S, A, B, Left, opened, read, talk

C = ("198.51.100.3", 6000)
PCMA = Play(0, "ringback", 8, "PCMA")
SINE_S = 1.0


def tell(bench: Bench, play: Play | None, *descriptions: control.Description) -> None:
    bench.engine.handle(control.Update("one", descriptions, play), bench.now)


def left(bench: Bench) -> list[Left]:
    """Return what B got, in order."""
    return [read(at, packet) for at, port, packet in bench.wire.log if port == OUT]


def samples(bench: Bench, law: int = A_LAW) -> NDArray[np.int16]:
    """Return the sound that B got."""
    octets = b"".join(packet[12:] for _, port, packet in bench.wire.log if port == OUT)
    row = np.frombuffer(octets, np.uint8).reshape(1, -1)
    return decode(row, np.array([law])).reshape(-1)


def check_goes_on(packets: list[Left]) -> None:
    """One SSRC, no hole in the numbers, and no timestamp that lies within the packet before."""
    assert len({one.ssrc for one in packets}) == 1
    for one, following in pairwise(packets):
        assert following.sequence == (one.sequence + 1) & 0xFFFF
        assert (following.timestamp - one.timestamp) & 0xFFFFFFFF >= 160
        assert following.at >= one.at


def hertz(sound: NDArray[np.int16]) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax()) * 8000 / len(sound)


@pytest.mark.parametrize(("kind", "codec", "law"), [(8, "PCMA", A_LAW), (0, "PCMU", MU_LAW)])
def test_the_tone_is_heard_as_it_was_asked_for(kind: int, codec: str, law: int) -> None:
    bench = opened()
    tell(bench, Play(0, "ringback", kind, "PCMA" if codec == "PCMA" else "PCMU"))
    bench.wait(12.1)
    packets, heard = left(bench), samples(bench, law)
    check_goes_on(packets)
    assert {one.payload_type for one in packets} == {kind}
    assert [one.marker for one in packets] == [True] + [False] * (len(packets) - 1)
    for one, following in pairwise(packets):
        assert following.timestamp == (one.timestamp + 160) & 0xFFFFFFFF
        assert following.at - one.at == pytest.approx(0.02, abs=1e-6)
    for start_s in (0, 5, 10):
        at = start_s * 8000
        assert hertz(heard[at : at + 8000]) == pytest.approx(450, abs=1)
        assert (np.abs(heard[at + 8000 : at + 40000]) <= 8).all()


def test_a_tone_begins_when_its_wait_is_over() -> None:
    bench = opened()
    tell(bench, Play(0, "ringback", 8, "PCMA", wait_ms=500))
    bench.wait(1)
    assert left(bench)[0].at - 100 == pytest.approx(0.54, abs=0.021)


def test_sound_that_comes_within_the_wait_is_all_that_is_heard() -> None:
    bench = opened()
    tell(bench, Play(0, "ringback", 8, "PCMA", wait_ms=500))
    for at, packet in talk(range(100), 100.48):
        bench.bring(at, A, IN, packet)
    bench.wait(20)
    assert [one.number for one in left(bench)] == list(range(100))


def test_the_first_packet_of_the_other_side_ends_the_tone_and_goes_on_from_it() -> None:
    bench = opened()
    tell(bench, PCMA)
    bench.wait(1.213)
    for at, packet in talk(range(7000, 7100), bench.now):
        bench.bring(at, A, IN, packet)
    bench.wait(10)
    packets = left(bench)
    check_goes_on(packets)
    spoken = packets[-100:]
    assert [one.number for one in spoken] == list(range(7000, 7100))
    assert spoken[0].at - 101.213 <= 0.045
    assert spoken[-1].at - (101.213 + 99 * 0.02) <= 0.025 + TICK_S
    tone = packets[:-100]
    assert tone[-1].at <= 101.213 + 0.025
    state = bench.state("one")[0]
    assert (state.packets, state.lost, state.late) == (100, 0, 0), "a tone is not its speaker's"


def test_the_answer_ends_the_tone() -> None:
    bench = opened()
    tell(bench, PCMA)
    bench.wait(0.5)
    tell(bench, None)
    bench.wait(5)
    assert left(bench)[-1].at <= 100.5 + 0.025
    for at, packet in talk(range(50), bench.now):
        bench.bring(at, A, IN, packet)
    bench.wait(1)
    check_goes_on(left(bench))


def test_once_the_other_side_has_spoken_no_tone_comes_back() -> None:
    bench = opened()
    for at, packet in talk(range(10)):
        bench.bring(at, A, IN, packet)
    bench.wait(5)
    tell(bench, PCMA)
    bench.wait(5)
    assert len(left(bench)) == 10


def test_a_new_speaker_is_waited_for_anew() -> None:  # another fork, the next carrier
    bench = opened()
    for at, packet in talk(range(10)):
        bench.bring(at, A, IN, packet)
    there = describe(0, C, other_rates=((101, 0),), mode="buffer")
    tell(bench, Play(0, "ringback", 8, "PCMA", wait_ms=500), there)
    moved_at = bench.now
    bench.wait(2)
    packets = left(bench)
    check_goes_on(packets)
    assert packets[10].at - moved_at == pytest.approx(0.54, abs=0.021)


def test_a_tone_that_plays_is_not_put_off_by_hearing_of_it_again() -> None:
    bench = opened()
    tell(bench, PCMA)
    for _ in range(10):
        bench.wait(0.1)
        tell(bench, Play(0, "ringback", 8, "PCMA", wait_ms=500))
    bench.wait(0.5)
    packets = left(bench)
    check_goes_on(packets)
    assert packets[-1].at > 101.4
    assert [one.marker for one in packets].count(True) == 1


def test_a_tone_between_words_is_back_after_each_pause() -> None:
    bench = opened()
    tell(bench, Play(0, "ringback", 8, "PCMA", pause_ms=500))
    bench.wait(1)
    for at, packet in talk(range(50), bench.now):
        bench.bring(at, A, IN, packet)
    spoke_until = bench.now
    bench.wait(2)
    packets = left(bench)
    check_goes_on(packets)
    again = [one for one in packets if one.marker]
    assert len(again) == 2, "each begins with a marker"
    assert again[1].at - spoke_until == pytest.approx(0.53, abs=0.03)


def test_a_tone_may_stand_for_one_who_has_not_described_himself() -> None:
    bench = Bench()
    bench.open("one", None, B, (IN, OUT), mode="buffer")
    tell(bench, PCMA)
    bench.wait(1)
    tell(bench, None, describe(0, A, mode="buffer"))
    for at, packet in talk(range(50), bench.now):
        bench.bring(at, A, IN, packet)
    bench.wait(1)
    packets = left(bench)
    check_goes_on(packets)
    assert len(packets) == pytest.approx(100, abs=3)
    assert hertz(samples(bench)[:6400]) == pytest.approx(450, abs=2)


def test_a_key_is_played_in_the_tone() -> None:  # a transferor presses one, and it goes as an event
    bench = opened()
    tell(bench, PCMA)
    bench.wait(1)
    bench.engine.handle(control.Press("one", 1, 101, 8000, 5, 200), bench.now)
    bench.wait(1)
    packets = left(bench)
    assert len({one.ssrc for one in packets}) == 1
    for one, following in pairwise(packets):
        assert following.sequence == (one.sequence + 1) & 0xFFFF
    kinds = [one.payload_type for one in packets]
    assert kinds == [8] * kinds.index(101) + [101] * kinds.count(101) + [8] * kinds[::-1].index(101)
    assert kinds[-30:] == [8] * 30


def test_nothing_is_played_to_who_cannot_be_sent_to() -> None:
    bench = opened()
    held = describe(1, ("", 5000), mode="buffer")
    tell(bench, PCMA, held)
    bench.wait(1)
    assert left(bench) == []


def test_a_stream_that_passes_at_once_is_no_place_for_a_tone() -> None:  # fax
    bench = Bench()
    bench.open("one", A, B, (IN, OUT), mode="pass")
    tell(bench, PCMA)
    bench.wait(1)
    assert left(bench) == []


def test_a_number_that_no_stream_has_plays_nothing() -> None:
    bench = opened()
    for stream in (-1, 2, 1 << 40):
        tell(bench, Play(stream, "ringback", 8, "PCMA"))
    bench.wait(1)
    assert left(bench) == []


def test_a_call_that_ends_takes_its_tone_along() -> None:
    bench = opened()
    tell(bench, PCMA)
    bench.wait(1)
    bench.close("one")
    bench.wait(1)
    bench.wire.log.clear()
    bench.open("two", A, B, (IN, OUT), mode="buffer")
    bench.wait(2)
    assert left(bench) == []
    assert bench.engine.next_timeout() >= bench.now


def test_many_tones_play_side_by_side() -> None:
    bench = Bench(rows=512)
    for number in range(200):
        ports = (20000 + 4 * number, 20002 + 4 * number)
        bench.open(str(number), A, B, ports, mode="buffer")
        bench.engine.handle(control.Update(str(number), (), PCMA), bench.now)
        bench.wait(0.003)
    bench.wait(2)
    for number in range(200):
        port = 20002 + 4 * number
        packets = [read(at, data) for at, to, data in bench.wire.log if to == port]
        check_goes_on(packets)
        assert len(packets) >= 95


def test_a_worker_that_slept_leaves_out_what_it_slept_through() -> None:
    bench = opened()
    tell(bench, PCMA)
    bench.wait(1)
    bench.now += 0.5
    bench.wait(0.5)
    packets = left(bench)
    span = (packets[-1].timestamp - packets[0].timestamp) & 0xFFFFFFFF
    assert span / 8000 == pytest.approx(packets[-1].at - packets[0].at, abs=0.03)
    assert len(packets) == pytest.approx(75, abs=4)


@settings(max_examples=60, deadline=None)
@given(
    waits=st.lists(
        st.tuples(
            st.sampled_from(("play", "wait", "pause", "stop", "speak", "move", "silence")),
            st.integers(1, 700),
        ),
        max_size=12,
    )
)
def test_whatever_happens_what_is_heard_has_no_hole(waits: list[tuple[str, int]]) -> None:
    bench = opened()
    number, ssrc, where = 0, 1, A
    for what, ms in waits:
        if what == "play":
            tell(bench, PCMA)
        elif what == "wait":
            tell(bench, Play(0, "ringback", 8, "PCMA", wait_ms=ms))
        elif what == "pause":
            tell(bench, Play(0, "ringback", 8, "PCMA", pause_ms=ms))
        elif what == "stop":
            tell(bench, None)
        elif what == "move":
            where, ssrc = (C, A)[where is C], ssrc + 1
            tell(bench, PCMA, describe(0, where, other_rates=((101, 0),), mode="buffer"))
        if what == "speak":
            for at, packet in talk(range(number, number + ms // 20), bench.now, ssrc=ssrc):
                bench.bring(at, where, IN, packet)
            number += ms // 20
        bench.wait(ms / 1000)
    bench.wait(1)
    packets = left(bench)
    assert len({one.ssrc for one in packets}) <= 1
    for one, following in pairwise(packets):
        assert following.sequence == (one.sequence + 1) & 0xFFFF
        assert 0 < (following.timestamp - one.timestamp) & 0xFFFFFFFF < 1 << 31
    assert bench.state("one")[0].late == 0
    bench.close("one")
    assert bench.wire.batch.free_count == len(bench.wire.batch.data) - 256
