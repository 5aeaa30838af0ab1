"""A recorder that hears packets: what its files hold, sample by sample."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipcore.media.control import Record, Recorded
from sipcore.media.g711 import LINEAR
from sipcore.media.recorder import InlineRecorder
from tests.media.tape import CODECS, NAME, ROWS, SIZE, Packet, Tape, hear, read, stream


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    tape = Tape(tmp_path)
    tape.begin()
    return tape


def noise(seed: int, packets: int) -> list[bytes]:
    octets = np.random.default_rng(seed).integers(0, 256, (packets, SIZE), np.uint8)
    return [row.tobytes() for row in octets]


def linear(payloads: list[bytes], law: int = 0) -> list[int]:
    return [int(one) for one in LINEAR[law][np.frombuffer(b"".join(payloads), np.uint8)]]


def test_each_side_has_its_channel_to_the_sample(tape: Tape) -> None:
    a, b = noise(1, 100), noise(2, 100)
    for of_a, of_b in zip(
        stream(3, tape.began_at, a, 77), stream(4, tape.began_at, b, 0xFFFFF000), strict=True
    ):
        tape.hear(of_a, of_b)
        tape.wait(0.02)
    recorded = tape.end()
    assert (recorded.call, recorded.name, recorded.is_degraded) == ("one", NAME, False)
    assert tape.sound()[:, 0].tolist() == linear(a)
    assert tape.sound()[:, 1].tolist() == linear(b)


def test_gaps_are_silent_and_the_file_is_as_long_as_the_call(tape: Tape) -> None:
    a = noise(1, 10)
    tape.wait(1)
    tape.hear(*stream(3, tape.began_at + 1, a))
    tape.wait(2)
    tape.hear(*stream(3, tape.began_at + 3, a, 24_000))
    tape.wait(7)
    tape.end()
    sound = tape.sound()
    assert len(sound) == 10 * 8000
    assert sound[8000:9600, 0].tolist() == sound[24_000:25_600, 0].tolist() == linear(a)
    sound = np.delete(sound, np.r_[8000:9600, 24_000:25_600], axis=0)
    assert not sound.any()


def test_a_law_other_packet_lengths_and_extensions(tape: Tape) -> None:
    short, long = bytes(range(80)), bytes(range(240))
    tape.hear(
        Packet(3, tape.began_at, 0, short, payload_type=8),
        Packet(3, tape.began_at + 0.01, 80, long, payload_type=8),
        Packet(3, tape.began_at + 0.04, 320, b"", payload_type=8),
        Packet(4, tape.began_at, 0, long, payload_type=0),
    )
    tape.wait(0.04)
    tape.end()
    assert tape.sound()[:, 0].tolist() == linear([short, long], 1)
    assert tape.sound()[:240, 1].tolist() == linear([long])


def test_digits_are_no_sound(tape: Tape) -> None:
    tape.hear(Packet(3, tape.began_at, 0, b"\x01\x8a\x00\xa0", payload_type=101))
    tape.wait(1)
    tape.end()
    assert not tape.sound().any()
    assert [file.name for file in (tape.folder / NAME).parent.iterdir()] == ["0123.wav"]


def test_other_codecs_are_kept_as_they_came_beside_silence(tape: Tape) -> None:
    packets = [
        Packet(4, tape.began_at + 0.02 * number, 160 * number, bytes([number]) * 20, 18)
        for number in range(100)
    ]
    for packet in packets:
        tape.hear(packet)
        tape.wait(0.02)
    tape.end()
    assert not tape.sound().any()
    kept = (tape.folder / NAME).with_name("0123.b.rtpdump").read_bytes()
    first, _, rest = kept.partition(b"\n")
    assert first == b"#!rtpplay1.0 0.0.0.0/0"
    seconds, micros, _, _, _ = struct.unpack_from(">IIIHH", rest)
    assert seconds + micros / 1e6 == pytest.approx(tape.clock.wall_s() - 2, abs=1e-3)
    at, found = 16, []
    while at < len(rest):
        length, plen, offset_ms = struct.unpack_from(">HHI", rest, at)
        found.append((offset_ms, rest[at + 8 : at + length]))
        assert plen == length - 8
        at += length
    assert found == [(20 * number, packet.whole()) for number, packet in enumerate(packets)]


def test_what_was_heard_before_the_recording_is_cut_off(tape: Tape) -> None:
    a = noise(1, 3)
    tape.hear(*stream(3, tape.began_at - 0.03, a))
    tape.hear(Packet(4, tape.began_at - 1))
    tape.wait(1)
    tape.end()
    assert tape.sound()[:240, 0].tolist() == linear(a)[240:]


def test_files_are_for_nobody_else(tape: Tape) -> None:
    tape.hear(Packet(3, tape.began_at, payload_type=18))
    tape.wait(1)
    [part] = (tape.folder / "open").glob("*.wav.part")
    assert part.name == "2026-11-18-0123.wav.part"
    assert part.stat().st_mode & 0o777 == 0o600
    tape.end()
    assert list((tape.folder / "open").iterdir()) == []
    for path in tape.folder.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_a_codec_agreed_later_counts_from_then_on(tape: Tape) -> None:
    tape.hear(Packet(3, tape.began_at, 0, bytes([1]) * SIZE, payload_type=0))
    verb = Record("one", NAME, (("a", 0, "PCMA"),))
    tape.recorder.begin(verb, {"a": 3, "b": 9}, tape.clock.now)
    tape.hear(Packet(3, tape.began_at + 0.02, 160, bytes([1]) * SIZE, payload_type=0))
    assert tape.recorder.listened(np.array([3, 4, 9])).tolist() == [True, False, True]
    tape.wait(1)
    tape.end()
    assert tape.sound()[:320, 0].tolist() == linear([bytes([1]) * SIZE]) + linear(
        [bytes([1]) * SIZE], 1
    )


def test_only_recorded_streams_are_listened_to(tape: Tape) -> None:
    rows = np.array([0, 3, 4, 5, 63, 64, 100_000])
    assert tape.recorder.listened(rows).tolist() == [False, True, True, *[False] * 4]
    tape.end()
    assert not tape.recorder.listened(rows).any()
    assert tape.recorder.listened(rows[:0]).tolist() == []


def test_rows_of_a_call_that_ended_may_be_another_ones(tape: Tape) -> None:
    first, second = noise(1, 5), noise(2, 5)
    tape.hear(*stream(3, tape.began_at, first))
    tape.recorder.end("one", tape.began_at + 0.1)
    tape.recorder.begin(Record("two", "2026/11/18/two.wav", CODECS), ROWS, tape.clock.now)
    tape.hear(*stream(3, tape.began_at, second))
    tape.recorder.end("two", tape.began_at + 0.1)
    assert tape.sound()[:, 0].tolist() == linear(first)
    assert read(tape.folder / "2026/11/18/two.wav")[:, 0].tolist() == linear(second)
    told = [tape.recorder.poll() for _ in range(3)]
    assert [one and (one.call, one.is_degraded) for one in told] == [
        ("one", False),
        ("two", False),
        None,
    ]
    assert tape.recorder.counts() == {
        "recordings": 0,
        "recordings_finished": 2,
        "recordings_degraded": 0,
        "recordings_stopped": 0,
        "recorded_octets": tape.recorder.counts()["recorded_octets"],
    }


moves = st.tuples(
    st.integers(0, 3),  # packets lost before this one
    st.sampled_from([0, 0, 0, 8]),
    st.sampled_from([0, 0, 0, 0, 0, 1 << 20, 0xFFFF0000]),  # the sender sets its clock anew
)
sides = st.lists(moves, min_size=1, max_size=120)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sides, sides, st.integers(0, 0xFFFFFFFF), st.randoms(use_true_random=False))
def test_both_sides_stay_aligned_through_gaps_reorder_wraps_and_codec_changes(
    tmp_path_factory: pytest.TempPathFactory,
    a: list[tuple[int, int, int]],
    b: list[tuple[int, int, int]],
    stamp: int,
    dice: random.Random,
) -> None:
    tape = Tape(tmp_path_factory.mktemp("tape"))
    tape.begin()
    expected = np.zeros((8000 * 12, 2), np.int16)
    packets: list[Packet] = []
    for channel, side in enumerate((a, b)):
        number, clock = 0, stamp
        for lost, codec, step in side:
            number += 1 + lost
            clock += step
            payload = noise(number, 1)[0]
            at = tape.began_at + number * 0.02
            packets.append(Packet(3 + channel, at, clock + number * SIZE, payload, codec))
            expected[number * SIZE : (number + 1) * SIZE, channel] = LINEAR[codec // 8][
                np.frombuffer(payload, np.uint8)
            ]
    packets.sort(key=lambda one: one.play_at)
    end = packets[-1].play_at + 0.02
    for begin in range(0, len(packets), 7):
        hear(tape.recorder, shuffled(packets[begin : begin + 7], dice))
        tape.wait(0.1)
    tape.clock.now = end
    tape.end()
    sound = tape.sound()
    assert (sound[: round((end - tape.began_at) * 8000)] == expected[: len(sound)]).all()


def shuffled(packets: list[Packet], dice: random.Random) -> list[Packet]:
    dice.shuffle(packets)
    return packets


def test_a_recorder_closed_with_calls_up_finishes_them(tmp_path: Path) -> None:
    tape = Tape(tmp_path)
    tape.begin()
    a = noise(1, 50)
    tape.hear(*stream(3, tape.began_at, a))
    tape.clock.now += 1
    tape.recorder.close(tape.clock.now)
    told = tape.recorder.poll()
    assert isinstance(told, Recorded)
    assert tape.sound()[:, 0].tolist() == linear(a)
    assert isinstance(tape.recorder, InlineRecorder)
