"""What the engine shows whoever listens: the packets that leave, with the time of their sound."""

import struct
from dataclasses import dataclass, field

import numpy as np
import pytest

from sipcore.media.control import Mode, Record, Recorded, Side
from sipcore.media.streams import Bools, Ints
from sipcore.media.tap import Heard
from tests.media.net import Bench, rtp

A, B = ("198.51.100.1", 4000), ("198.51.100.2", 5000)
IN, OUT = 10000, 10002


@dataclass
class Ear:
    """Listens to the sides that it is told of."""

    rows: dict[Side, int] = field(default_factory=dict)
    shown: list[tuple[int, bytes, int, int, float]] = field(default_factory=list)
    wanted: tuple[Side, ...] = ("a", "b")

    def begin(self, verb: Record, rows: dict[Side, int], now: float) -> None:
        self.rows = {side: row for side, row in rows.items() if side in self.wanted}

    def listened(self, rows: Ints) -> Bools:
        return np.isin(rows, list(self.rows.values()))

    def hear(self, heard: Heard) -> None:
        for n in range(len(heard.rows)):
            begin = int(heard.at[n])
            payload = heard.packets[n, begin : begin + int(heard.octets[n])].tobytes()
            self.shown.append(
                (
                    int(heard.rows[n]),
                    payload,
                    int(heard.payload_type[n]),
                    int(heard.timestamp[n]),
                    float(heard.play_at[n]),
                )
            )

    def end(self, call: str, now: float) -> None:
        self.rows = {}

    def tick(self, now: float) -> None:
        pass

    def poll(self) -> Recorded | None:
        return None

    def counts(self) -> dict[str, int]:
        return {}

    def close(self, now: float) -> None:
        pass


def listening(mode: Mode, wanted: tuple[Side, ...] = ("a", "b")) -> tuple[Bench, Ear]:
    ear = Ear(wanted=wanted)
    bench = Bench(tap=ear)
    bench.open("one", A, B, (IN, OUT), mode=mode)
    bench.engine.handle(Record("one", "x.wav"), bench.now)
    return bench, ear


def test_a_late_packet_with_a_stamp_from_long_ago_is_shown_where_it_is_played() -> None:
    bench, ear = listening("buffer")
    for number in range(100):
        if number != 50:
            bench.bring(100 + number * 0.02, A, IN, rtp(number, number * 160 + (1 << 31)))
        if number == 51:
            bench.bring(100 + number * 0.02 + 0.001, A, IN, rtp(50, 50 * 160 + (1 << 30)))
    bench.wait(1)
    assert len(ear.shown) == 100
    times = [play_at for *_, play_at in ear.shown]
    assert times == sorted(times)
    assert times[50] == pytest.approx(100 + 50 * 0.02 + 0.02, abs=0.02)


def test_in_buffer_mode_sound_is_shown_on_an_exact_grid_of_its_timestamps() -> None:
    bench, ear = listening("buffer")
    for number in range(100):
        bench.bring(100 + number * 0.02 + number % 3 * 0.004, A, IN, rtp(number, payload_type=8))
    bench.wait(1)
    assert [payload for _, payload, *_ in ear.shown] == [rtp(n)[12:] for n in range(100)]
    assert {(row, kind) for row, _, kind, _, _ in ear.shown} == {(ear.rows["a"], 8)}
    assert [stamp for *_, stamp, _ in ear.shown] == [number * 160 for number in range(100)]
    first = ear.shown[0][4]
    assert [one[4] - first for one in ear.shown] == pytest.approx([n * 0.02 for n in range(100)])


def test_in_pass_mode_sound_is_shown_as_it_comes() -> None:
    bench, ear = listening("pass")
    times = [100.0, 100.031, 100.05]
    for number, at in enumerate(times):
        bench.bring(at, A, IN, rtp(number))
    bench.wait(1)
    assert [one[4] for one in ear.shown] == pytest.approx(times, abs=0.006)


def test_payload_is_shown_without_extension_and_padding() -> None:
    bench, ear = listening("buffer")
    head = struct.pack(">BBHIII", 0xB1, 0, 1, 160, 7, 9)
    packet = head + b"\0\0\0\1" + bytes(4) + b"sound" + b"\0\0\3"
    bench.bring(100.0, A, IN, packet)
    bench.wait(1)
    assert [payload for _, payload, *_ in ear.shown] == [b"sound"]


def test_only_what_is_listened_to_is_shown() -> None:
    bench, ear = listening("buffer", ("b",))
    bench.bring(100.0, A, IN, rtp(1))
    bench.bring(100.0, B, OUT, rtp(2))
    bench.wait(1)
    assert [payload for _, payload, *_ in ear.shown] == [rtp(2)[12:]]
