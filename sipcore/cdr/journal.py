"""The journal: what happened, on disk before anyone acts on it; the truth after a crash.

The loop side queues lines and hands them over a group at a time; one thread writes groups. They
share nothing but a queue of jobs and one callback a group. A full disk keeps lines, never calls.
"""

import asyncio
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from sipcore.catalogue import CDRS, JOURNAL_UNWRITTEN
from sipcore.cdr.entry import Alive, Answered, Ended, Entry, Moved, to_line
from sipcore.cdr.recovery import NOTHING_LEFT, Interrupted, Recovery, close_interrupted, recover
from sipcore.cdr.segments import Segments
from sipcore.clock import SystemClock
from sipcore.errors import CannotStart, SipcoreError
from sipcore.log import logger
from sipcore.metrics import Metrics

__all__ = [
    "Alive",
    "Answered",
    "Bounds",
    "Ended",
    "InlineJournal",
    "Interrupted",
    "Journal",
    "JournalError",
    "Recovery",
    "close_interrupted",
    "recover",
]

LINGER_S = 0.05  # a line that nobody waits for goes with a group of others for so long
GAP_S = 0.02  # between groups under load, as the SIP socket is polled: a group costs 150 us of CPU

_log = logger(__name__)


class Bounds(NamedTuple):
    """How much a journal keeps, and how long it waits for its disk."""

    segment_bytes: int = 64 << 20
    keep_bytes: int = 256 << 20  # lines kept while the disk takes none; above it: _is_precious
    retry_s: float = 0.5
    patience_s: float = 2.0


USUAL = Bounds()


class JournalError(SipcoreError):
    """The disk does not take the journal now. Refuse new calls; what was appended is kept."""


class _Job(NamedTuple):
    """One group. `carry` is not None: begin a new segment with it."""

    lines: bytes
    carry: bytes | None


class Journal:
    """Append-only, group commit. One per node, used from one event loop.

    `folder` is DATA/journal; `left` what recover() found there. Raises CannotStart from start().
    """

    def __init__(
        self,
        folder: Path,
        metrics: Metrics,
        left: Recovery = NOTHING_LEFT,
        bounds: Bounds = USUAL,
    ) -> None:
        self._folder = folder
        self._metrics = metrics
        self._bounds = bounds
        self._limit = bounds.segment_bytes
        self._open = {one.answered.cdr.id: to_line(one.answered) for one in left.open}
        self._proofs = {one.answered.cdr.id: one.proof_at for one in left.open}
        self._moves: dict[str, dict[str, bytes]] = {}  # call: its legs' latest lines
        self._size = 0
        self._lines: list[bytes] = []
        self._kept_bytes = 0
        self._cdrs = 0
        self._fault: str | None = None
        metrics.watch(CDRS, lambda: self._cdrs)
        metrics.watch(JOURNAL_UNWRITTEN, lambda: self._kept_bytes)

    @property
    def fault(self) -> str | None:
        """Why the disk takes nothing now; None when all is well."""
        return self._fault

    def start(self) -> None:
        """Begin a segment with what is still open and start the writer, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._job: _Job | None = None
        self._handed_at = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self._job_waiters: list[asyncio.Future[None]] = []
        self._is_due = self._is_lingering = self._is_watching = self._is_closed = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._begin(is_durable=True)
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def _begin(self, is_durable: bool) -> None:
        try:
            self._segments = Segments(self._folder, is_durable)
            self._segments.begin(carry := self._carry())
        except OSError as fault:
            raise CannotStart(f"the journal cannot be written: {fault}") from None
        self._size = len(carry)

    def append(self, entry: Entry) -> None:
        """Queue one entry. Never blocks or raises; on disk within twice LINGER_S and a write."""
        if (line := self._note(entry)) is None:
            return
        self._lines.append(line)
        if not self._is_lingering and self._job is None:
            self._linger()

    async def sync(self) -> None:
        """Return when everything appended before this call is on disk.

        Raises JournalError when the disk refuses it or takes longer than about twice its patience.
        """
        if self._fault is not None:
            raise JournalError(self._fault)
        if self._lines:
            waiters = self._waiters
            self._schedule()
        elif self._job is not None:
            waiters = self._job_waiters
        else:
            return
        waiters.append(waiter := self._loop.create_future())
        if not self._is_watching:
            self._is_watching = True
            self._loop.call_later(self._bounds.patience_s, self._watch)
        await waiter

    async def close(self) -> None:
        """Write what is queued and end the writer. Raises JournalError when lines are lost."""
        try:
            await self.sync()
        except JournalError:
            _log.error("journal closed with %d bytes not written", self._kept_bytes)
            raise
        finally:
            self._is_closed = True
            self._jobs.put(None)
            self._thread.join(timeout=self._bounds.patience_s)

    def _note(self, entry: Entry) -> bytes | None:
        """Keep what is open, for the next segment's beginning; return the line to write."""
        line = to_line(entry)
        match entry:
            case Answered(cdr):
                self._open[cdr.id] = line
                self._moves.pop(cdr.id, None)
            case Moved(call, leg):
                self._moves.setdefault(call, {})[leg.side] = line
            case Ended(cdr):
                self._open.pop(cdr.id, None)
                self._moves.pop(cdr.id, None)
                self._proofs.pop(cdr.id, None)
                self._cdrs += 1
            case Alive(_, proofs):
                self._proofs.update((i, at) for i, at in proofs.items() if i in self._open)
        if self._kept_bytes > self._bounds.keep_bytes and not _is_precious(entry):
            self._metrics.journal_dropped.inc()
            return None
        self._kept_bytes += len(line)
        return line

    def _carry(self) -> bytes:
        """Return the lines of all that is open, so that recovery needs the newest segment only."""
        lines = list(self._open.values())
        lines += [line for moves in self._moves.values() for line in moves.values()]
        if self._proofs:
            lines.append(to_line(Alive(max(self._proofs.values()), self._proofs)))
        return b"".join(lines)

    def _next_job(self) -> _Job:
        """Take all queued lines; the segment they would overfill is left for a new one."""
        lines = b"".join(self._lines)
        self._lines.clear()
        self._size += len(lines)
        if self._size <= self._limit:
            return _Job(lines, None)
        carry = self._carry()
        self._size = len(carry) + len(lines)
        self._limit = max(self._bounds.segment_bytes, 2 * self._size)
        return _Job(lines, carry)

    def _schedule(self) -> None:
        """Hand over soon: at the end of this turn of the loop, or GAP_S after the group before."""
        if self._is_due or self._job is not None:
            return
        self._is_due = True
        wait_s = self._handed_at + GAP_S - self._loop.time()
        if wait_s > 0:
            self._loop.call_later(wait_s, self._hand_over)
        else:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._is_due = False
        if self._job is not None or not self._lines:
            return
        self._job = self._next_job()
        self._waiters, self._job_waiters = [], self._waiters
        self._handed_at = self._loop.time()
        self._jobs.put(self._job)

    def _linger(self) -> None:
        if not self._is_lingering:
            self._is_lingering = True
            began_at = self._loop.time()
            self._loop.call_later(LINGER_S, self._linger_over, began_at)

    def _linger_over(self, began_at: float) -> None:
        self._is_lingering = False
        if self._handed_at < began_at:
            self._hand_over()
        elif self._lines and self._job is None:  # a group took what waited: these are younger
            self._linger()

    def _written(self, fault: str | None, took_s: float) -> None:
        """On the loop: the writer is through with the job, or failed on it."""
        if fault is not None:
            self._fail(f"the disk does not take the journal: {fault}")
            if not self._is_closed:
                self._loop.call_later(self._bounds.retry_s, self._retry)
            return
        if self._fault is not None:
            _log.warning("journal written again, nothing was lost")
            self._fault = None
        self._metrics.journal_sync_s.observe(took_s)
        if self._job is not None:
            self._kept_bytes -= len(self._job.lines)
        self._job = None
        waiters, self._job_waiters = self._job_waiters, []
        if self._waiters:
            self._schedule()
        elif self._lines:
            self._linger()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _retry(self) -> None:
        if self._job is not None and not self._is_closed:
            self._handed_at = self._loop.time()
            self._jobs.put(self._job)

    def _fail(self, fault: str) -> None:
        if self._fault is None:
            _log.error("%s; new calls are refused, lines are kept and tried again", fault)
        self._fault = fault
        self._metrics.journal_errors.inc()
        waiters = self._job_waiters + self._waiters
        self._job_waiters, self._waiters = [], []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(JournalError(fault))

    def _watch(self) -> None:
        """A disk that hangs answers nobody: those who wait are told. One timer for all of them."""
        self._is_watching = False
        if not self._job_waiters and not self._waiters:
            return
        waited_s = self._loop.time() - self._handed_at
        if self._job is not None and waited_s >= self._bounds.patience_s:
            self._fail(f"the disk has not answered for {waited_s:.1f} s")
            return
        self._is_watching = True
        self._loop.call_later(max(0.01, self._bounds.patience_s - waited_s), self._watch)

    def _write(self) -> None:
        """The writer thread: job after job until None."""
        monotonic = SystemClock().monotonic
        while (job := self._jobs.get()) is not None:
            began, fault = monotonic(), None
            try:
                _put(self._segments, job)
            except OSError as error:
                fault = str(error)
            try:
                self._loop.call_soon_threadsafe(self._written, fault, monotonic() - began)
            except RuntimeError:  # the loop is closed: nobody waits any more
                break
        self._segments.close()


class InlineJournal(Journal):
    """The same journal without thread, timers and waiting: for simulations in virtual time.

    Lines are in the file when append returns, not forced to disk (a simulated crash is no power
    cut). `refuse` makes the disk fail: sync raises it, lines are kept.
    """

    refuse: str | None = None

    def start(self) -> None:
        self._begin(is_durable=False)

    def append(self, entry: Entry) -> None:
        if (line := self._note(entry)) is not None:
            self._lines.append(line)
        if self.refuse is None:
            job = self._next_job()
            _put(self._segments, job)
            self._kept_bytes = 0

    async def sync(self) -> None:
        if self.refuse is not None:
            raise JournalError(self.refuse)

    @property
    def fault(self) -> str | None:
        return self.refuse

    async def close(self) -> None:
        self._segments.close()


def _put(files: Segments, job: _Job) -> None:
    """`carry` and lines go into a new segment together: a crash between them would lose an end."""
    if job.carry is None:
        files.write(job.lines)
    else:
        files.begin(job.carry + job.lines)


def _is_precious(entry: Entry) -> bool:
    """Calls that were answered cost money: their lines are never given up."""
    return isinstance(entry, Answered) or (
        isinstance(entry, Ended) and entry.cdr.answered_at is not None
    )
