"""The scribe: takes packets in batches and writes them into the files of their recordings.

Owns no thread: recorder.py runs it off the tick.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from msgspec import Struct

from sipcore.clock import Clock
from sipcore.log import logger
from sipcore.media import g711
from sipcore.media.control import Record
from sipcore.media.g711 import Samples
from sipcore.media.recording import Piece, Recording, Tally
from sipcore.media.streams import Floats, Ints, Octets
from sipcore.media.timeline import Timeline

OTHER, MU_LAW, A_LAW, NO_SOUND = range(4)  # what a payload type is
KINDS = {"PCMU": MU_LAW, "PCMA": A_LAW, "TELEPHONE-EVENT": NO_SOUND, "CN": NO_SOUND}
SYNC_S = 0.75  # looked at twice a second: once a second, then
COLUMNS = ("track", "at", "octets", "payload_type", "timestamp", "play_at")

_log = logger(__name__)


class Begin(Struct, frozen=True):
    """Begin recording `number`, whose tracks are 2 x number (side a) and the one after (b)."""

    number: int
    verb: Record
    now: float
    wall_s: float


class Change(Struct, frozen=True):
    """What the sides may send is something else from now on."""

    number: int
    verb: Record


class End(Struct, frozen=True):
    """Finish a recording. `has_dropped`: packets of it never came here."""

    number: int
    now: float
    has_dropped: bool


class Kept:
    """Packets copied off the tick: columns of `rows`, of which the first `count` are filled."""

    def __init__(self, rows: int, width: int) -> None:
        self.count = 0
        self.data: Octets = np.empty((rows, width), np.uint8)
        self.track: Ints = np.empty(rows, np.int64)
        self.at: Ints = np.empty(rows, np.int64)
        self.octets: Ints = np.empty(rows, np.int64)
        self.payload_type: Ints = np.empty(rows, np.int64)
        self.timestamp: Ints = np.empty(rows, np.int64)
        self.play_at: Floats = np.empty(rows)


class Packets(Struct, frozen=True):
    """What was heard up to `now`."""

    kept: list[Kept]
    now: float


Job = Begin | Change | End | Packets


class Scribe:
    """Recordings by number, and the time line that they lie on."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.tally = Tally()
        self._folder = folder
        self._clock = clock
        self._timeline = Timeline()
        self._kinds: Octets = np.zeros((64, 128), np.uint8)
        self._running: dict[int, Recording] = {}
        self._is_refused = False  # by the disk, and said so

    def begin(self, job: Begin) -> None:
        """Open the files of a new recording."""
        recording = Recording(self._folder, job.verb.call, job.verb.name, self.tally)
        self._running[job.number] = recording
        try:
            recording.open(job.now, job.wall_s, job.verb.started_at)
            self._is_refused = False
        except OSError as fault:
            self._stop(recording, fault)
        for track in (2 * job.number, 2 * job.number + 1):
            self._timeline.begin(track, recording.origin)
        self.change(Change(job.number, job.verb))

    def change(self, job: Change) -> None:
        """Take in what a recording's sides may send."""
        track = 2 * job.number
        while track >= len(self._kinds):
            self._kinds = np.concatenate((self._kinds, np.zeros_like(self._kinds)))
        self._kinds[track : track + 2] = OTHER
        for side, payload_type, codec in job.verb.codecs:
            kind = KINDS.get(codec.upper(), OTHER)
            self._kinds[track + (side == "b"), payload_type & 127] = kind

    def take(self, job: Packets) -> None:
        """Write what was heard; every file is then as long as its call."""
        heard = _Sorted(job.kept)
        kinds = self._kinds[heard.track, heard.payload_type]
        self._lay(heard, kinds)
        self._keep(heard, np.flatnonzero(kinds == OTHER))
        for recording in self._going():
            try:
                recording.reach(job.now)
            except OSError as fault:
                self._stop(recording, fault)

    def end(self, job: End) -> Recording | None:
        """Let go of a recording; what is left is to finish it."""
        recording = self._running.pop(job.number, None)
        if recording is not None:
            recording.is_degraded |= job.has_dropped
        return recording

    def sync(self, is_free: Callable[[], bool]) -> None:
        """Have on disk what was written over a second ago, as far as the disk keeps up.

        Files not synced for longest come first. Leaves off when `is_free` says that there is work.
        """
        now = self._clock.monotonic()
        unsynced = [one for one in self._going() if one.is_unsynced]
        for number, recording in enumerate(sorted(unsynced, key=lambda one: one.synced_at)):
            if now - recording.synced_at < SYNC_S or (number and not is_free()):
                break
            try:
                recording.sync()
            except OSError as fault:
                self._stop(recording, fault)
            now = recording.synced_at = self._clock.monotonic()

    def doubt(self) -> None:
        """A bug may have cost any recording something: say so in all of them."""
        for recording in self._running.values():
            recording.is_degraded = True

    def _going(self) -> Iterator[Recording]:
        return (one for one in self._running.values() if not one.is_stopped)

    def _lay(self, heard: "_Sorted", kinds: Octets) -> None:
        """Decode G.711, all packets at once, and write it, a recording at a time."""
        picks = np.flatnonzero((kinds == MU_LAW) | (kinds == A_LAW))
        if not len(picks):
            return
        tracks, octets = heard.track[picks], heard.octets[picks]
        frames = self._timeline.place(tracks, heard.timestamp[picks], heard.play_at[picks])
        laws = np.where(kinds[picks] == A_LAW, g711.A_LAW, g711.MU_LAW)
        samples = g711.decode(heard.payloads(picks), laws)
        for low, high in _groups(tracks >> 1):
            recording = self._running.get(int(tracks[low]) >> 1)
            if recording is None or recording.is_stopped:
                continue
            middle = low + int(np.searchsorted(tracks[low:high] & 1, 1))
            pieces = [
                *_pieces(0, frames[low:middle], octets[low:middle], samples[low:middle]),
                *_pieces(1, frames[middle:high], octets[middle:high], samples[middle:high]),
            ]
            try:
                recording.lay(pieces)
            except OSError as fault:
                self._stop(recording, fault)

    def _keep(self, heard: "_Sorted", picks: Ints) -> None:
        """Write packets of other codecs as they are."""
        for low, high in _groups(heard.track[picks]):
            track = int(heard.track[picks[low]])
            recording = self._running.get(track >> 1)
            if recording is None or recording.is_stopped:
                continue
            packets = [heard.packet(at) for at in picks[low:high].tolist()]
            try:
                recording.keep(track & 1, packets)
            except OSError as fault:
                self._stop(recording, fault)

    def _stop(self, recording: Recording, fault: OSError) -> None:
        """The disk takes no more of a recording; its call goes on."""
        recording.is_stopped = recording.is_degraded = True
        self.tally.stopped += 1
        if not self._is_refused:
            _log.error(
                "call=%s recording=%s stopped, others may follow: %s",
                recording.call,
                recording.name,
                fault.strerror,
            )
        self._is_refused = True


class _Sorted:
    """The packets of a batch, those of a track together, in the order in which they were heard."""

    track: Ints
    at: Ints
    octets: Ints
    payload_type: Ints
    timestamp: Ints
    play_at: Floats

    def __init__(self, kept: Sequence[Kept]) -> None:
        kept = kept or [Kept(0, 0)]
        tracks = np.concatenate([one.track[: one.count] for one in kept])
        order = np.argsort(tracks, kind="stable")
        for name in COLUMNS:
            column = np.concatenate([getattr(one, name)[: one.count] for one in kept])
            setattr(self, name, column[order])
        self._data = np.zeros((len(order), max(one.data.shape[1] for one in kept)), np.uint8)
        begin = 0
        for one in kept:
            self._data[begin : begin + one.count, : one.data.shape[1]] = one.data[: one.count]
            begin += one.count
        self._rows = order

    def payloads(self, picks: Ints) -> Octets:
        """Return what packets carry, (n, the most that one has); junk behind a shorter one."""
        rows, at = self._rows[picks], self.at[picks]
        width = int(self.octets[picks].max())
        if (at == at[0]).all():
            alike: Octets = self._data[rows, at[0] : at[0] + width]
            return alike
        columns = np.minimum(at[:, None] + np.arange(width), self._data.shape[1] - 1)
        found: Octets = self._data[rows[:, None], columns]
        return found

    def packet(self, at: int) -> tuple[bytes, float]:
        """Return one packet whole, and when it was played."""
        end = int(self.at[at] + self.octets[at])
        return self._data[self._rows[at], :end].tobytes(), float(self.play_at[at])


def _groups(column: Ints) -> Iterator[tuple[int, int]]:
    """Return where runs of equal values begin and end, in a sorted column."""
    if not len(column):
        return iter(())
    edges = np.flatnonzero(column[1:] != column[:-1]) + 1
    return pairwise([0, *edges.tolist(), len(column)])


def _pieces(channel: int, frames: Ints, octets: Ints, samples: Samples) -> Iterator[Piece]:
    """Yield the sound of one channel: one piece, in a stream without gaps."""
    if not len(frames):
        return
    size = int(octets[0])
    if (octets == size).all() and (np.diff(frames) == size).all():
        yield Piece(channel, int(frames[0]), samples[:, :size].reshape(-1))
        return
    for frame, length, row in zip(frames.tolist(), octets.tolist(), samples, strict=True):
        yield Piece(channel, frame, row[:length])
