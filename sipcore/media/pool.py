"""The signalling side of the media plane: sessions, ports, workers, recordings that are awaited.

With session.py the only face that call/ sees.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct

from sipcore.clock import Clock
from sipcore.errors import MediaError
from sipcore.ids import Ids
from sipcore.log import logger
from sipcore.media import control
from sipcore.media.connection import Carried, Worker
from sipcore.media.control import OnEvent, Recorded, Side
from sipcore.media.offer import Author, show
from sipcore.media.quality import StreamState, Totals
from sipcore.media.session import MediaSession
from sipcore.media.wire.ports import Ports

RECORDED_S = 2.0  # a record waits no longer for its recording to be finished

# Finishes what a dead worker left of a recording; returns its SHA-256, "" where there is nothing.
Salvage = Callable[[str], Awaitable[str]]

_log = logger(__name__)


class LegState(Struct, frozen=True):
    """One stream as `sipcore show media` tells it. `codec` is empty where nobody here knows it."""

    call: str
    worker: int
    codec: str
    state: StreamState

    @property
    def side(self) -> Side:
        return self.state.side

    @property
    def last_packet_age_s(self) -> float:
        """Seconds since its last RTP or RTCP packet, -1 before the first: the proof of life."""
        return self.state.last_packet_age_s


class MediaPool:
    """The workers of a node and its media ports.

    `address` is what every SDP shows, or `address6`, if there is one, to those who come by IPv6;
    `ports` the first and last UDP port, inclusive; `connects` has one way to connect for each
    worker (control.unix_link). `silence_s` is the workers' setting, kept here for whoever asks.
    `salvage` is asked for recordings whose worker is no more.
    """

    def __init__(
        self,
        address: str,
        ports: tuple[int, int],
        silence_s: float,
        clock: Clock,
        ids: Ids,
        connects: Sequence[control.Connect],
        salvage: Salvage | None = None,
        address6: str = "",
    ) -> None:
        self.address = address
        self.address6 = address6
        self.silence_s = silence_s
        self.ports = Ports(ports[0], ports[1], ids.fraction)
        self._clock = clock
        self._ids = ids
        self._workers = [Worker(number, connect, self) for number, connect in enumerate(connects)]
        self._came_up = asyncio.Event()  # a pulse
        self._moves: set[asyncio.Task[None]] = set()
        self.moved_calls = 0  # those that went on at another worker, since the start
        self._sessions: dict[str, MediaSession] = {}
        self._orphans: dict[str, tuple[Worker, list[int]]] = {}  # who carries them; their ports
        self._salvage = salvage
        self._recordings: dict[str, asyncio.Future[Recorded]] = {}  # by call

    async def start(self) -> None:
        """Connect to every worker. Raises MediaError when one does not answer within 5 s."""
        await asyncio.gather(*(worker.start() for worker in self._workers))

    async def stop(self) -> None:
        """End the connections. What the workers carry goes on."""
        for move in self._moves:
            move.cancel()
        for worker in self._workers:
            await worker.stop()

    def __len__(self) -> int:
        """Count the sessions."""
        return len(self._sessions)

    def up_count(self) -> int:
        """Count the workers that are connected."""
        return sum(worker.is_up for worker in self._workers)

    def session(self, call_id: str, on_event: OnEvent) -> MediaSession:
        """Begin the media of a call; leaving the `with` block ends it. Opens nothing yet."""
        if call_id in self._sessions:
            raise MediaError("a call of this id has media already")
        session = MediaSession(self, call_id, on_event)
        self._sessions[call_id] = session
        return session

    async def survey(self) -> list[LegState]:
        """Return every stream of every worker that answers."""
        states: list[LegState] = []
        for worker in self._workers:
            with suppress(MediaError):
                for call, streams in (await worker.listed()).items():
                    session = self._sessions.get(call)
                    states += [
                        LegState(call, worker.number, session.codec_of(one) if session else "", one)
                        for one in streams
                    ]
        return states

    async def heard_within(self, seconds: float) -> dict[str, float]:
        """Return the calls that were heard in so many seconds, and how many seconds ago."""
        ages_s: dict[str, float] = {}
        for worker in self._workers:
            with suppress(MediaError):
                reply = await worker.ask(lambda number: control.Prove(number, seconds))
                if isinstance(reply, control.Proven):
                    ages_s |= reply.ages_s
        return ages_s

    async def metrics(self) -> dict[int, Totals]:
        """Return the totals of every worker that answers, by its number."""
        totals = {}
        for worker in self._workers:
            with suppress(MediaError):
                reply = await worker.ask(control.Metrics)
                if isinstance(reply, control.Measured):
                    totals[worker.number] = reply.totals
        return totals

    async def end_orphan(self, call_id: str) -> list[StreamState]:
        """Close a call that a worker carries for a signalling process that is no more.

        Returns its streams, none where no worker had it. `recorded` then returns what became of its
        recording, if `expect_recording` was called.
        """
        ended: list[StreamState] = []
        for worker in self._workers:
            with suppress(MediaError):
                reply = await worker.ask(lambda number: control.Close(number, call_id))
                if isinstance(reply, control.Closed):
                    ended += reply.streams
        self._let_orphan_go(call_id)
        return ended

    def _let_orphan_go(self, call_id: str) -> None:
        _, ports = self._orphans.pop(call_id, (None, []))
        self.give_back(ports)

    def expect_recording(self, call_id: str) -> None:
        """Keep what is told of a call's recording until `recorded` asks for it."""
        told = self._recordings.get(call_id)
        if told is None or told.done():
            self._recordings[call_id] = asyncio.get_running_loop().create_future()

    def forget_recording(self, call_id: str) -> None:
        """Expect nothing any more; what comes is logged."""
        self._recordings.pop(call_id, None)

    async def recorded(self, call_id: str, name: str, is_carried: bool = True) -> Recorded:
        """Return what became of a recording whose call is closed; waits RECORDED_S at most.

        `is_carried`: a worker is there that will tell. What none will tell of is salvaged.
        """
        future = self._recordings.get(call_id)
        try:
            if future is not None and (is_carried or future.done()):
                with suppress(TimeoutError):
                    async with asyncio.timeout(RECORDED_S):
                        return await future
        finally:
            self.forget_recording(call_id)
        digest = ""
        with suppress(TimeoutError):  # a disk that hangs holds no record up
            async with asyncio.timeout(RECORDED_S):
                digest = await self._salvage(name) if self._salvage is not None else ""
        _log.warning("call=%s recording=%s is degraded, sha256=%s", call_id, name, digest or "none")
        return Recorded(call_id, name, digest, is_degraded=True)

    def place(self) -> Worker:
        """Return the worker with the fewest sessions. Raises MediaError when none is there."""
        there = [worker for worker in self._workers if worker.is_up]
        if not there:
            raise MediaError("no media worker is there")
        return there[0] if len(there) == 1 else min(there, key=lambda one: len(one.calls))

    def take_ports(self, how_many: int) -> list[int]:
        """Take RTP ports. Raises MediaError, and keeps none, when there are too few."""
        now = self._clock.monotonic()
        taken: list[int] = []
        try:
            for _ in range(how_many):
                taken.append(self.ports.take(now))  # noqa: PERF401  (what was taken is given back)
        except MediaError:
            self.put_back(taken)
            raise
        return taken

    def give_back(self, ports: Sequence[int]) -> None:
        """Let ports rest that were in use."""
        now = self._clock.monotonic()
        for port in ports:
            self.ports.release(port, now)

    def put_back(self, ports: Sequence[int], taken: Sequence[int] = ()) -> None:
        """Undo take_ports, but for those that another program was found to hold."""
        now = self._clock.monotonic()
        for port in ports:
            if port in taken:
                self.ports.put_aside(port, now)
            else:
                self.ports.put_back(port)

    def facing(self, sdp: bytes, peer: str) -> bytes:
        """Return an offer of ours as a peer at this address is told it: our own of its family."""
        if not self.address6:
            return sdp
        both = (self.address, self.address6)
        return show(sdp, *(both if ":" in peer else both[::-1]))

    def author(self) -> Author:
        """Return who writes our descriptions for one side of a call."""
        return Author(str(int(self._ids.token(12), 16)), self.address, self.address6)

    def forget(self, call_id: str) -> None:
        """Take a finished session off the list."""
        self._sessions.pop(call_id, None)

    def begin_move(self, move: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run the move of a session to another worker; ended with the pool at the latest."""
        task = asyncio.get_running_loop().create_task(move)
        self._moves.add(task)
        task.add_done_callback(self._moves.discard)
        return task

    async def wait_for_worker(self, longest_s: float) -> None:
        """Return when a worker has come up, or after so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._came_up.wait()

    # What the workers tell

    def heard(self, event: control.Event) -> None:
        """Take an event of a worker."""
        if isinstance(event, Recorded):
            self._take(event)
        elif (session := self._sessions.get(event.call)) is not None:
            session.on_event(event)

    def gone(self, worker: Worker) -> None:
        """Let what a dead worker carried go on elsewhere, and what it carried for nobody end."""
        for call in [call for call, (at, _) in self._orphans.items() if at is worker]:
            self._let_orphan_go(call)
        for call in sorted(worker.calls):
            worker.close_call(call)  # should it live after all
            if (session := self._sessions.get(call)) is not None:
                session.move()

    def back(self, worker: Worker, known: set[str], carried: Carried) -> None:
        """See what a worker carries that is connected again, and what it has lost."""
        for call in sorted(known - carried.keys()):
            worker.calls.discard(call)
            if (session := self._sessions.get(call)) is not None:
                session.move()
        for call, streams in carried.items():
            session = self._sessions.get(call)
            if session is not None and session.goes_on_at(worker, streams):
                continue
            if session is not None or worker.owes_close(call):
                worker.close_call(call)  # it is elsewhere, or over
            else:  # of a process that is no more: its ports are not free
                _, ports = self._orphans.setdefault(call, (worker, []))
                ports += [one.port for one in streams if self.ports.claim(one.port)]
        self._came_up.set()
        self._came_up.clear()

    def _take(self, recorded: Recorded) -> None:
        """Hand it to whoever writes the call's record; what comes too late for that is logged."""
        future = self._recordings.get(recorded.call)
        if future is None:
            name, digest = recorded.name, recorded.sha256 or "none"
            _log.warning("call=%s recording=%s is finished, sha256=%s", recorded.call, name, digest)
        elif not future.done():
            future.set_result(recorded)
