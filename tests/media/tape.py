"""A recorder in virtual time, packets for it, and its files read back."""

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sipcore.media.control import Record, Recorded, Side
from sipcore.media.recorder import InlineRecorder, Recorder
from sipcore.media.tap import Heard
from tests.media.net import FakeClock, rtp

NAME = "2026/11/18/0123.wav"
CODECS: tuple[tuple[Side, int, str], ...] = tuple(
    (side, number, codec)
    for side in ("a", "b")
    for number, codec in ((0, "PCMU"), (8, "PCMA"), (18, "G729"), (101, "telephone-event"))
)
PTIME_S = 0.02
SIZE = 160
ROWS: dict[Side, int] = {"a": 3, "b": 4}

Sound = NDArray[np.int16]


class Packet(Struct):
    """One packet as the engine shows it."""

    row: int
    play_at: float
    timestamp: int = 0
    payload: bytes = b"\xff" * SIZE
    payload_type: int = 0

    def whole(self) -> bytes:
        return rtp(0, self.timestamp, payload_type=self.payload_type, size=0) + self.payload


class Tape:
    """One call that is recorded."""

    def __init__(self, folder: Path, recorder: Recorder | None = None, name: str = NAME) -> None:
        self.clock = FakeClock()
        self.folder = folder
        self.recorder = recorder or InlineRecorder(folder, self.clock)
        self.name = name
        self.began_at = self.clock.now

    def begin(self, started_at: float = 0.0) -> None:
        verb = Record("one", self.name, CODECS, started_at)
        self.recorder.begin(verb, ROWS, self.clock.now)

    def hear(self, *packets: Packet) -> None:
        """Let the recorder hear packets, all at once."""
        hear(self.recorder, packets)

    def wait(self, seconds: float) -> None:
        """Let time pass, with a tick every 250 ms."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(self.clock.now + 0.25, end)
            self.recorder.tick(self.clock.now)

    def end(self) -> Recorded:
        """End the call; return what is told of its recording."""
        self.recorder.end("one", self.clock.now)
        recorded = self.recorder.poll()
        assert recorded is not None
        return recorded

    def sound(self) -> Sound:
        """Return what the finished file has, (frames, 2)."""
        return read(self.folder / self.name)


def hear(recorder: Recorder, packets: Sequence[Packet]) -> None:
    """Show packets to a recorder, as the engine does with those that are listened to."""
    rows = np.array([one.row for one in packets])
    packets = [
        one for one, is_heard in zip(packets, recorder.listened(rows), strict=True) if is_heard
    ]
    wholes = [one.whole() for one in packets]
    matrix = np.zeros((len(packets), 2048), np.uint8)
    for at, whole in enumerate(wholes):
        matrix[at, : len(whole)] = np.frombuffer(whole, np.uint8)
    recorder.hear(
        Heard(
            np.array([one.row for one in packets], np.int64),
            matrix,
            np.full(len(packets), 12),
            np.array([len(whole) - 12 for whole in wholes], np.int64),
            np.array([one.payload_type for one in packets], np.int64),
            np.array([one.timestamp & 0xFFFFFFFF for one in packets], np.int64),
            np.array([one.play_at for one in packets], np.float64),
        )
    )


def read(file: Path) -> Sound:
    """Return the sound of a WAV file, by Python's own reader: (frames, 2)."""
    with wave.open(str(file), "rb") as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (2, 2, 8000)
        frames = sound.readframes(sound.getnframes())
        assert len(frames) == 4 * sound.getnframes()
        return np.frombuffer(frames, "<i2").reshape(-1, 2)


def stream(row: int, first_at: float, payloads: Sequence[bytes], stamp: int = 0) -> list[Packet]:
    """Return the packets of a stream without gaps, PCMU, 20 ms each."""
    return [
        Packet(row, first_at + number * PTIME_S, stamp + number * SIZE, payload)
        for number, payload in enumerate(payloads)
    ]
