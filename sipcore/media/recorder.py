"""The recorder: hears packets on the tick, copies them, and hands them to a thread that writes.

The tick never waits for it: what the writer cannot keep up with is dropped, and the recording told
to be degraded. Other threads finish files, because a digest takes its time, and so does the disk.
"""

import threading
from collections import deque
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from sipcore.clock import Clock
from sipcore.log import logger
from sipcore.media.control import Record, Recorded, Side
from sipcore.media.recording import Recording
from sipcore.media.scribe import Begin, Change, End, Job, Kept, Packets, Scribe
from sipcore.media.streams import Bools, Ints
from sipcore.media.tap import Heard

HAND_OVER_S = 0.4  # with a tick each 250 ms: twice a second; what kill -9 costs at most
ROWS, WIDTH = 1024, 256  # of one block of packets, at least
COLUMN_OCTETS = 6 * 8
MOST_OCTETS = 32 << 20  # that wait for the writer: some 15 s of a hundred calls
FINISHERS = 4  # the disk takes them together
CLOSE_S = 2.0  # the supervisor's patience is 3 s

_log = logger(__name__)


class Recorder:
    """A Tap. `folder` is DATA/recordings; nothing is started before the first recording."""

    def __init__(self, folder: Path, clock: Clock, most_octets: int = MOST_OCTETS) -> None:
        self._clock = clock
        self._most_octets = most_octets
        self._scribe = Scribe(folder, clock)
        self._tracks: Ints = np.full(64, -1, np.int64)  # by row
        self._calls: dict[str, int] = {}  # call: its number
        self._rows: dict[int, list[int]] = {}  # number: the rows it listens to
        self._free: list[int] = []
        self._last = -1
        self._kept: list[Kept] = []
        self._dropped: set[int] = set()
        self._hand_over_at = 0.0
        self._handed = self._written = 0  # octets: by the tick, by the writer
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._ends: SimpleQueue[tuple[End, Recording] | None] = SimpleQueue()
        self._ended: deque[tuple[int, Recorded]] = deque()
        self._threads: list[threading.Thread] = []
        self._finished = self._degraded = 0

    def begin(self, verb: Record, rows: dict[Side, int], now: float) -> None:
        """Record a call, or take in what its sides may send from now on."""
        number = self._calls.get(verb.call)
        if number is None:
            self._last += not self._free
            number = self._calls[verb.call] = self._free.pop() if self._free else self._last
            self._put(Begin(number, verb, now, self._clock.wall_s()))
        else:
            self._hand_over(now)  # what was heard meant what was agreed before
            self._put(Change(number, verb))
            self._tracks[self._rows[number]] = -1
        self._rows[number] = list(rows.values())
        while len(self._tracks) <= max(rows.values(), default=0):
            self._tracks = np.append(self._tracks, np.full_like(self._tracks, -1))
        for side, row in rows.items():
            self._tracks[row] = 2 * number + (side == "b")

    def listened(self, rows: Ints) -> Bools:
        """Say which of `rows` (n,) are recorded."""
        heard: Bools = self._tracks.take(rows, mode="clip") >= 0
        if len(rows) and int(rows.max()) >= len(self._tracks):
            heard &= rows < len(self._tracks)
        return heard

    def hear(self, heard: Heard) -> None:
        """Keep copies of packets, all of streams that are recorded."""
        if not (count := len(heard.rows)):
            return
        tracks = self._tracks[heard.rows]
        width = int((heard.at + heard.octets).max())
        if self.waiting_octets + count * (width + COLUMN_OCTETS) > self._most_octets:
            self._drop(tracks)
            return
        kept = self._room(count, width)
        part = slice(kept.count, kept.count + count)
        kept.data[part, :width] = heard.packets[:, :width]
        kept.track[part] = tracks
        kept.at[part] = heard.at
        kept.octets[part] = heard.octets
        kept.payload_type[part] = heard.payload_type
        kept.timestamp[part] = heard.timestamp
        kept.play_at[part] = heard.play_at
        kept.count += count

    def end(self, call: str, now: float) -> None:
        """Finish a call's recording, if it has one."""
        if (number := self._calls.pop(call, None)) is None:
            return
        self._tracks[self._rows.pop(number)] = -1
        self._hand_over(now)
        self._put(End(number, now, number in self._dropped))
        self._dropped.discard(number)

    def tick(self, now: float) -> None:
        """Hand over what was heard, twice a second."""
        if self._calls and now >= self._hand_over_at:
            self._hand_over(now)

    def poll(self) -> Recorded | None:
        """Return the next recording that is finished, or None."""
        if not self._ended:
            return None
        number, recorded = self._ended.popleft()
        self._free.append(number)
        self._finished += 1
        self._degraded += recorded.is_degraded
        return recorded

    def close(self, now: float) -> None:
        """Finish everything; wait for it, but not for ever."""
        for call in list(self._calls):
            self.end(call, now)
        self._jobs.put(None)
        deadline = self._clock.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))
        self._threads.clear()

    def counts(self) -> dict[str, int]:
        """Return the fields of Totals that the recorder knows."""
        return {
            "recordings": len(self._calls),
            "recordings_finished": self._finished,
            "recordings_degraded": self._degraded,
            "recordings_stopped": self._scribe.tally.stopped,
            "recorded_octets": self._scribe.tally.octets,
        }

    def _room(self, count: int, width: int) -> Kept:
        """Return a block with room for so many packets."""
        if self._kept:
            last = self._kept[-1]
            if last.data.shape[1] >= width and last.count + count <= len(last.data):
                return last
        self._kept.append(Kept(max(count, ROWS), max(width, WIDTH)))
        return self._kept[-1]

    @property
    def waiting_octets(self) -> int:
        """What has been heard and not written yet."""
        return self._handed - self._written + _octets(self._kept)

    def _drop(self, tracks: Ints) -> None:
        numbers = set((tracks >> 1).tolist())
        if not self._dropped:
            _log.error("recordings are degraded: the disk does not keep up")
        self._dropped |= numbers

    def _hand_over(self, now: float) -> None:
        self._hand_over_at = now + HAND_OVER_S
        kept, self._kept = self._kept, []
        self._handed += _octets(kept)
        self._put(Packets(kept, now))

    def _put(self, job: Job) -> None:
        if not self._threads:
            for work in (self._write, *[self._finish] * FINISHERS):
                thread = threading.Thread(target=work, name="recorder", daemon=True)
                thread.start()
                self._threads.append(thread)
        self._jobs.put(job)

    def _write(self) -> None:
        """The writer thread: job after job until None."""
        while (job := self._jobs.get()) is not None:
            if (ended := self._do(job)) is not None:
                self._ends.put(ended)
            self._scribe.sync(self._jobs.empty)
        for _ in range(FINISHERS):
            self._ends.put(None)

    def _finish(self) -> None:
        """A finishing thread: file after file until None."""
        while (ended := self._ends.get()) is not None:
            end, recording = ended
            try:
                told = recording.finish(end.now)
            except Exception:  # a bug must not end the thread
                _log.exception("recorder: a bug kept a file from its place")
                told = Recorded(recording.call, recording.name, "", True)
            self._ended.append((end.number, told))

    def _do(self, job: Job) -> tuple[End, Recording] | None:
        """Let the scribe do its job; return what is left to be finished."""
        try:
            match job:
                case Begin():
                    self._scribe.begin(job)
                case Change():
                    self._scribe.change(job)
                case Packets():
                    self._scribe.take(job)
                case End():
                    recording = self._scribe.end(job)
                    return None if recording is None else (job, recording)
        except Exception:  # a bug must not end all recordings to come
            _log.exception("recorder: a bug lost sound")
            self._scribe.doubt()
        finally:
            if isinstance(job, Packets):
                self._written += _octets(job.kept)
        return None


class InlineRecorder(Recorder):
    """The same recorder without threads: for simulations in virtual time."""

    def _put(self, job: Job) -> None:
        if (ended := self._do(job)) is not None:
            end, recording = ended
            self._ended.append((end.number, recording.finish(end.now)))


def _octets(kept: list[Kept]) -> int:
    return sum(one.count * (one.data.shape[1] + COLUMN_OCTETS) for one in kept)
