"""The signalling side of the media plane: sessions, ports, workers. The only face call/ sees.

A session is the media of one call: sides "a" and "b", each m-line with a stream at either side. It
costs two round trips to a worker: opening the ports, and the figures at the end.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from msgspec import Struct

from sipcore.clock import Clock
from sipcore.errors import MediaError
from sipcore.ids import Ids
from sipcore.media import control, quality
from sipcore.media.control import MediaEvent, OnEvent, Side, Stream, Worker
from sipcore.media.offer import Author, Described, Said, align, describe, is_held, read
from sipcore.media.quality import StreamState, Totals
from sipcore.media.wire.ports import Ports
from sipcore.message.sdp import Codec, Sdp, parse_sdp

OPEN_TRIES = 8  # a port that another program holds costs one


class LegStatistics(Struct, frozen=True):
    """One side's figures for the CDR: what came from it. `mos` is None before a packet came."""

    codec: str
    packets: int
    lost: int
    jitter_ms: float
    mos: float | None


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

    `address` is what every SDP shows; `ports` the first and last UDP port, inclusive; `connects`
    has one way to connect for each worker (control.unix_link). `silence_s` is the workers' setting,
    kept here for whoever asks.
    """

    def __init__(
        self,
        address: str,
        ports: tuple[int, int],
        silence_s: float,
        clock: Clock,
        ids: Ids,
        connects: Sequence[control.Connect],
    ) -> None:
        self.address = address
        self.silence_s = silence_s
        self.ports = Ports(ports[0], ports[1], ids.fraction)
        self._clock = clock
        self._ids = ids
        self._workers = [
            Worker(number, connect, self._route, self._orphan)
            for number, connect in enumerate(connects)
        ]
        self._sessions: dict[str, MediaSession] = {}

    async def start(self) -> None:
        """Connect to every worker. Raises MediaError when one does not answer within 5 s."""
        await asyncio.gather(*(worker.start() for worker in self._workers))

    async def stop(self) -> None:
        """End the connections. What the workers carry goes on."""
        for worker in self._workers:
            await worker.stop()

    def __len__(self) -> int:
        """Count the sessions."""
        return len(self._sessions)

    def up_count(self) -> int:
        """Count the workers that are connected."""
        return sum(worker.is_up for worker in self._workers)

    def session(self, call_id: str, on_event: OnEvent) -> "MediaSession":
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

    async def metrics(self) -> dict[int, Totals]:
        """Return the totals of every worker that answers, by its number."""
        totals = {}
        for worker in self._workers:
            with suppress(MediaError):
                reply = await worker.ask(control.Metrics)
                if isinstance(reply, control.Measured):
                    totals[worker.number] = reply.totals
        return totals

    async def end_orphan(self, call_id: str) -> None:
        """Close a call that a worker carries for a signalling process that is no more."""
        for worker in self._workers:
            with suppress(MediaError):
                reply = await worker.ask(lambda number: control.Close(number, call_id))
                if isinstance(reply, control.Closed):
                    self.give_back([stream.port for stream in reply.streams])

    def place(self) -> Worker:
        """Return the worker with the fewest sessions. Raises MediaError when none is there."""
        there = [worker for worker in self._workers if worker.is_up]
        if not there:
            raise MediaError("no media worker is there")
        return min(there, key=lambda worker: len(worker.calls))

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

    def author(self) -> Author:
        """Return who writes our descriptions for one side of a call."""
        return Author(str(int(self._ids.token(12), 16)), self.address)

    def forget(self, call_id: str) -> None:
        """Take a finished session off the list."""
        self._sessions.pop(call_id, None)

    def _route(self, event: MediaEvent) -> None:
        if (session := self._sessions.get(event.call)) is not None:
            session.on_event(event)

    def _orphan(self, streams: Sequence[StreamState]) -> None:
        """A call nobody here knows holds ports in a worker: they are not free."""
        for stream in streams:
            self.ports.claim(stream.port)


class MediaSession:
    """The media of one call. Made by MediaPool.session, used in a `with` block."""

    def __init__(self, pool: MediaPool, call_id: str, on_event: OnEvent) -> None:
        self.on_event = on_event
        self._pool = pool
        self._call = call_id
        self._worker: Worker | None = None
        self._streams: dict[tuple[Side, int], int] = {}  # stream: its number in the call
        self._ports: list[int] = []  # by stream number
        self._authors: dict[Side, Author] = {}
        self._said: dict[Side, Said] = {}
        self._pending: tuple[Side, Said] | None = None
        self._offered: Sdp | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if (worker := self._leave()) is not None:
            worker.close_call(self._call)

    async def offer(self, side: Side, sdp: bytes, source: str) -> bytes:
        """Take the offer of `side`; return what to offer to the other side.

        `source` is the address that the signalling came from. Opens the ports on first use. A first
        offer counts at once (early media needs it), a later one when it is answered. Raises
        BadMessage; MediaError when nothing in it can be relayed, no port is free, no worker is
        there: then the session is good for nothing but being left.
        """
        parsed = parse_sdp(sdp)
        said = read(parsed, source)
        if not any(one.is_relayed for one in said.streams) and any(m.port for m in parsed.media):
            raise MediaError("nothing in this SDP can be relayed")
        is_first = not self._streams
        wanted = [index for index, one in enumerate(said.streams) if one.is_relayed]
        if is_first:
            self._said[side] = said
        await self._ensure(wanted)
        self._pending = (side, said)
        self._offered = parsed
        return self._tell(_other(side), parsed, said.streams)

    def answer(self, side: Side, sdp: bytes, source: str) -> bytes:
        """Take the answer of `side`, final or provisional; return the answer for the other side.

        The latest answer counts: of another fork, of the next carrier. Raises BadMessage, and
        MediaError when the worker is gone.
        """
        if not self._streams or self._worker is None:
            raise MediaError("an answer before any offer")
        parsed = parse_sdp(sdp)
        if self._offered is not None:
            parsed = align(parsed, self._offered)
        said = read(parsed, source)
        if self._pending is not None and self._pending[0] != side:
            self._said[self._pending[0]] = self._pending[1]
            self._pending = None
        self._said[side] = said
        told = self._tell(_other(side), parsed, said.streams)
        self._worker.send(control.Update(self._call, self._descriptions()))
        return told

    def withdraw(self) -> None:
        """Forget the pending offer: it was refused, what was agreed before goes on."""
        self._pending = None

    async def propose(self, side: Side) -> bytes:
        """Return an offer of our own for `side`: the INVITE that asked for it carried none.

        Its answer, by way of `answer`, is the offer for the other side. Raises MediaError.
        """
        await self._ensure([0])
        self._pending = None
        self._offered = None
        return self._author(side).propose(self._ports[self._streams[side, 0]])

    def is_held(self, side: Side) -> bool:
        """Say whether `side` holds the other one."""
        said = self._said.get(side)
        return said is not None and is_held(said.streams)

    async def finish(self) -> dict[str, LegStatistics]:
        """Close now; return the figures of "a" and "b". Nothing, if no worker has them."""
        if (worker := self._leave()) is None:
            return {}
        if not worker.is_up:
            worker.close_call(self._call)
            return {}
        worker.calls.discard(self._call)
        try:
            reply = await worker.ask(lambda number: control.Close(number, self._call))
        except MediaError:
            return {}
        if not isinstance(reply, control.Closed):
            return {}
        # The first m-line that carried something speaks for its leg: it is the audio.
        figures: dict[str, LegStatistics] = {}
        for state in sorted(reply.streams, key=lambda one: (not one.packets, one.media)):
            if state.side not in figures:
                figures[state.side] = _statistics(state, self.codec_of(state))
        return figures

    def codec_of(self, state: StreamState) -> str:
        """Return the name of the codec that a stream carries, or was agreed; "" if none was."""
        # A side sends with the numbers of the description that the other side gave (RFC 3264 5.1).
        names: dict[int, Codec] = {}
        for side in (state.side, _other(state.side)):
            if (said := self._said.get(side)) is not None and state.media < len(said.streams):
                names |= said.streams[state.media].codecs
        if not names:
            return ""
        codec = names.get(state.payload_type) or next(iter(names.values()))
        return codec.name.upper()

    async def _ensure(self, wanted: list[int]) -> None:
        """Have streams for these m-lines, at both sides. One round trip when some are new."""
        new: list[tuple[Side, int]] = [
            (side, media)
            for media in wanted
            for side in _SIDES
            if (side, media) not in self._streams
        ]
        if not new:
            return
        worker = self._worker or self._pool.place()
        worker.calls.add(self._call)
        self._worker = worker
        first = len(self._streams)
        for _ in range(OPEN_TRIES):
            ports = self._pool.take_ports(len(new))
            if await self._open(worker, new, ports):
                return
            for key in new:
                del self._streams[key]
            del self._ports[first:]
        raise MediaError("other programs hold the media ports")

    async def _open(self, worker: Worker, new: list[tuple[Side, int]], ports: list[int]) -> bool:
        first = len(self._ports)
        self._ports += ports
        self._streams |= {key: first + index for index, key in enumerate(new)}
        streams = tuple(
            Stream(side, media, port) for (side, media), port in zip(new, ports, strict=True)
        )
        descriptions = () if first else self._descriptions()
        reply = await worker.ask(
            lambda number: control.Open(number, self._call, streams, descriptions)
        )
        if not isinstance(reply, control.Opened) or reply.fault:
            fault = reply.fault if isinstance(reply, control.Opened) else "wrong reply"
            raise MediaError(f"media worker {worker.number}: {fault}")
        if reply.taken:
            self._pool.put_back(ports, reply.taken)
        return not reply.taken

    def _tell(self, side: Side, sdp: Sdp, described: Sequence[Described]) -> bytes:
        ports = [
            self._ports[self._streams[side, media]]
            if one.is_relayed and (side, media) in self._streams
            else 0
            for media, one in enumerate(described)
        ]
        return self._author(side).write(sdp, described, ports)

    def _author(self, side: Side) -> Author:
        if (author := self._authors.get(side)) is None:
            author = self._authors[side] = self._pool.author()
        return author

    def _descriptions(self) -> tuple[control.Description, ...]:
        """Describe every stream whose side has spoken."""
        return tuple(
            describe(number, media, said, self._said.get(_other(side)))
            for (side, media), number in self._streams.items()
            if (said := self._said.get(side)) is not None
        )

    def _leave(self) -> Worker | None:
        """Give the ports back, once; return the worker that still has to be told."""
        self._pool.forget(self._call)
        self._pool.give_back(self._ports)
        self._ports = []
        worker, self._worker = self._worker, None
        return worker


_SIDES: tuple[Side, Side] = ("a", "b")


def _other(side: Side) -> Side:
    return "b" if side == "a" else "a"


def _statistics(state: StreamState, codec: str) -> LegStatistics:
    expected = state.packets + state.lost
    return LegStatistics(
        codec,
        state.packets,
        state.lost,
        state.jitter_ms,
        quality.mos(codec, state.lost / expected) if state.packets else None,
    )
