"""Many calls recorded at once through the engine, jitter buffer and all, sample by sample.

10 calls for 5 s in `make test`; `make long` runs the 100 calls for 60 s that the issue names, and
both run the writer in its threads.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sipcore.media import control
from sipcore.media.control import Record, Recorded, Stream
from sipcore.media.engine import Engine
from sipcore.media.g711 import LINEAR
from sipcore.media.recorder import MOST_OCTETS, Recorder
from tests.media.net import FakeClock, MemoryWire, describe, rtp, seeded
from tests.media.tape import CODECS, PTIME_S, SIZE, read

MOST_WAITING = MOST_OCTETS // 2
PATIENCE_S = 60.0
SETTLE_S = 0.5  # the jitter buffer's delay, and a moment more


class Studio:
    """An engine with calls between two hosts, all of which are recorded."""

    def __init__(self, folder: Path, calls: int, packets: int) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.wire = MemoryWire(256)
        self.recorder = Recorder(folder, self.clock)
        self.engine = Engine(self.wire, self.wire.addresses, seeded(), 60, 1.7e9, tap=self.recorder)
        dice = np.random.default_rng(calls)
        self.octets = dice.integers(0, 256, (calls, 2, packets * SIZE), np.uint8)
        self.stamps = dice.integers(0, 1 << 32, (calls, 2)).tolist()
        for call in range(calls):
            self._open(call)

    def _open(self, call: int) -> None:
        ports = (10_000 + 4 * call, 10_002 + 4 * call)
        streams = (Stream("a", 0, ports[0]), Stream("b", 0, ports[1]))
        remotes = self.remote(call, 0), self.remote(call, 1)
        told = tuple(describe(side, remotes[side], mode="buffer") for side in (0, 1))
        verb = control.Open(1, str(call), streams, told)
        assert self.engine.handle(verb, self.clock.now) == control.Opened(1)
        self.engine.handle(Record(str(call), self.name(call), CODECS), self.clock.now)

    def name(self, call: int) -> str:
        return f"2026/11/18/{call}.wav"

    def remote(self, call: int, side: int) -> tuple[str, int]:
        return f"198.51.100.{1 + side}", 20_000 + 2 * call

    def speak(self, number: int) -> None:
        """Let everybody send their next packet; even calls speak mu-law, odd ones A-law."""
        for call, sides in enumerate(self.octets):
            for side, octets in enumerate(sides):
                payload = octets[number * SIZE : (number + 1) * SIZE].tobytes()
                stamp = self.stamps[call][side] + number * SIZE
                kind = 8 * (call & 1)
                packet = rtp(number, stamp, payload_type=kind, size=0) + payload
                port = 10_000 + 4 * call + 2 * side
                self.wire.deliver(self.remote(call, side), port, packet)

    def wait(self, seconds: float) -> None:
        """Let time pass, the engine doing what the worker lets it do."""
        end = self.clock.now + seconds
        while self.engine.receive(self.clock.now):
            pass
        while (at := self.engine.next_timeout()) <= end:
            self.clock.now = max(at, self.clock.now)
            self.engine.tick(self.clock.now)
            self.wire.take_sent()
        self.clock.now = end

    def keep_pace(self) -> None:
        """Let the writer's threads catch up: virtual time runs faster than any disk."""
        deadline = time.monotonic() + PATIENCE_S
        while self.recorder.waiting_octets > MOST_WAITING:
            assert time.monotonic() < deadline, "the writer stands still"
            os.sched_yield()

    def close(self) -> list[Recorded]:
        """End all calls; return what is told of their recordings."""
        self.engine.close(self.clock.now)
        events = iter(self.engine.poll, None)
        return [event for event in events if isinstance(event, Recorded)]


def begin_of(heard: NDArray[np.int16], said: NDArray[np.int16]) -> int:
    """Return at which frame a channel begins to say something, which must be all of it."""
    begin = int(np.flatnonzero(heard)[0]) - int(np.flatnonzero(said)[0])
    end = begin + len(said)
    assert (heard[begin:end] == said).all()
    assert not heard[:begin].any()
    assert not heard[end:].any()
    return begin


def record(folder: Path, calls: int, seconds: int) -> None:
    packets = round(seconds / PTIME_S)
    studio = Studio(folder, calls, packets)
    for number in range(packets):
        studio.speak(number)
        studio.wait(PTIME_S)
        studio.keep_pace()
    studio.wait(SETTLE_S)
    told = studio.close()
    assert sorted(int(one.call) for one in told) == list(range(calls))
    assert not any(one.is_degraded for one in told)
    for call, sides in enumerate(studio.octets):
        sound = read(folder / studio.name(call))
        said = LINEAR[call & 1][sides]
        begins = [begin_of(sound[:, side], said[side]) for side in (0, 1)]
        assert abs(begins[0] - begins[1]) <= SIZE
        assert len(sound) == pytest.approx((seconds + SETTLE_S) * 8000, abs=2)


def test_10_calls_for_5_s_sample_by_sample(tmp_path: Path) -> None:
    record(tmp_path, 10, 5)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_100_calls_for_60_s_sample_by_sample(tmp_path: Path) -> None:
    record(tmp_path, 100, 60)
