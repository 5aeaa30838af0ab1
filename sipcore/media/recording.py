"""The files of one recording, as whoever writes them sees them: sound laid at its frame, a header
that is right after every write, other codecs beside it. Knows no packets in flight and no threads.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from sipcore.media import rtpdump, staging, wav
from sipcore.media.control import Recorded
from sipcore.media.g711 import Samples

SILENT_FRAMES = 2000  # the file may lag behind the call by 250 ms while nobody speaks
MOST_BACK_FRAMES = 30 * wav.RATE  # sound that lies further back than the newest is not believed
LONGEST_GAP_S = 60.0  # between two workers; more is a clock that was set


class Piece(NamedTuple):
    """Sound of one channel, (n,) int16 samples, and the frame at which it begins."""

    channel: int
    frame: int
    samples: Samples


class Tally(Struct):
    """What the disk took, and how many recordings it refused to go on with."""

    octets: int = 0
    stopped: int = 0


class Recording:
    """One call's WAV file, staged until it is finished. Everything here raises OSError."""

    def __init__(self, folder: Path, call: str, name: str, tally: Tally) -> None:
        self.call = call
        self.name = name
        self.origin = 0.0  # the moment of frame 0, seconds of the worker's clock
        self.frames = 0
        self.is_degraded = False
        self.is_stopped = False
        self.is_unsynced = False
        self.synced_at = 0.0
        self._started_at = 0.0  # the moment of frame 0, UTC seconds
        self._folder = folder
        self._tally = tally
        self._fd = -1
        self._sides: dict[int, int] = {}  # channel: descriptor

    def open(self, now: float, wall_s: float, started_at: float) -> None:
        """Begin the file at `now`; one that a dead worker left goes on where it should by now.

        `started_at` is when the recording began, UTC, and `wall_s` what time it is.
        """
        self._fd = staging.open_staged(self._folder, self.name)
        size = os.fstat(self._fd).st_size
        self.origin, self._started_at = now, wall_s
        if size:
            self.frames = wav.frames_in(max(size, wav.HEADER_BYTES))
            self.is_degraded = True  # what the dead worker had not yet written
            there_s = self.frames / wav.RATE
            elapsed_s = wall_s - started_at
            if not there_s <= elapsed_s <= there_s + LONGEST_GAP_S:
                elapsed_s = there_s
            self.origin, self._started_at = now - elapsed_s, wall_s - elapsed_s
        self._write(self._fd, wav.header(self.frames), 0)

    def lay(self, pieces: Sequence[Piece]) -> None:
        """Write sound where it belongs; what is already there of the other channel stays."""
        end = max(piece.frame + len(piece.samples) for piece in pieces)
        if min(piece.frame for piece in pieces) < end - MOST_BACK_FRAMES:
            self.is_degraded = True  # nobody plays what is so old: the past is not written anew
            pieces = [piece for piece in pieces if piece.frame >= end - MOST_BACK_FRAMES]
        first = max(min(piece.frame for piece in pieces), 0)
        if end <= first:
            return  # played before the recording began
        if end > wav.MOST_FRAMES:
            raise OSError(errno.EFBIG, "longer than a WAV file can be")
        frames = np.zeros((end - first, wav.CHANNELS), "<i2")
        if first < self.frames:
            os.preadv(self._fd, [frames.data.cast("B")], wav.place(first))
        for channel, frame, samples in pieces:
            begin = frame - first
            if begin < 0:
                samples, begin = samples[-begin:], 0
            frames[begin : begin + len(samples), channel] = samples
        self._write(self._fd, frames.data.cast("B"), wav.place(first))
        self._grow(end)

    def reach(self, now: float) -> None:
        """Be as long as the call is by now, or nearly: silence is sound, too."""
        frames = self._frame_of(now)
        if frames > self.frames + SILENT_FRAMES:
            self._extend(frames)

    def keep(self, channel: int, packets: Iterable[tuple[bytes, float]]) -> None:
        """Write packets that cannot be decoded beside the sound, with the moments of playing."""
        if (fd := self._sides.get(channel)) is None:
            fd = self._sides[channel] = staging.open_staged(self._folder, self._side(channel))
            if not os.fstat(fd).st_size:
                self._write(fd, rtpdump.head(self._started_at), 0)
        entries = [rtpdump.entry(packet, at - self.origin) for packet, at in packets]
        self._write(fd, b"".join(entries), os.fstat(fd).st_size)

    def sync(self) -> None:
        """Have on disk what was written."""
        self.is_unsynced = False
        for fd in (self._fd, *self._sides.values()):
            os.fsync(fd)

    def finish(self, now: float) -> Recorded:
        """Close the files at the call's end and move them to their place. Does not raise."""
        digest = ""
        try:
            if self._fd >= 0:
                frames = self.frames if self.is_stopped else max(self.frames, self._frame_of(now))
                digest = self._settle(frames)
        except OSError:
            self.is_degraded = True  # the next start of the node finishes it
        finally:
            self.close()
        return Recorded(self.call, self.name, digest, self.is_degraded)

    def close(self) -> None:
        """Let go of the files; staged ones stay."""
        for fd in (self._fd, *self._sides.values()):
            if fd >= 0:
                with suppress(OSError):  # what a write lost, fsync has told
                    os.close(fd)
        self._fd = -1
        self._sides.clear()

    def _settle(self, frames: int) -> str:
        for channel, fd in self._sides.items():
            os.fsync(fd)
            staging.settle(self._folder, self._side(channel))
        return staging.close_wav(self._folder, self.name, self._fd, frames)

    def _side(self, channel: int) -> str:
        return staging.beside(self.name, staging.SIDES[channel])

    def _frame_of(self, now: float) -> int:
        return min(int((now - self.origin) * wav.RATE), wav.MOST_FRAMES)

    def _grow(self, frames: int) -> None:
        """Say in the header that there is more, once there is."""
        if frames > self.frames:
            self.frames = frames
            self._write(self._fd, wav.header(frames), 0)

    def _extend(self, frames: int) -> None:
        os.ftruncate(self._fd, wav.place(frames))
        self._grow(frames)

    def _write(self, fd: int, data: bytes | memoryview, at: int) -> None:
        self.is_unsynced = True
        self._tally.octets += len(data)
        while data:  # a disk that is nearly full takes the first part, and refuses the rest
            done = os.pwrite(fd, data, at)
            data, at = data[done:], at + done
