"""A session, the media of one call: sides "a" and "b", each m-line with a stream at either side.

It costs two round trips to a worker: opening the ports, and the figures at the end. Which worker
that is, is pool's to choose; when it dies, the session opens the same ports at another one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from sipcore.errors import MediaError
from sipcore.log import logger
from sipcore.media import control, quality
from sipcore.media.agreement import SIDES, Agreement, Standing, other_than
from sipcore.media.connection import Worker
from sipcore.media.control import Lost, OnEvent, Record, Recorded, Side, Stream
from sipcore.media.offer import Author, describe, is_held, read
from sipcore.media.quality import StreamState
from sipcore.message.sdp import Codec, parse_sdp

if TYPE_CHECKING:
    from sipcore.media.pool import MediaPool

OPEN_TRIES = 8  # a port that another program holds costs one
MOVE_S = 5.0  # a call without sound for longer is over
MOVE_AGAIN_S = 0.02  # the kernel takes a moment to close a dead worker's sockets

_log = logger(__name__)

_Numbers = dict[tuple[Side, int], int]  # of the streams of a call


class LegStatistics(Struct, frozen=True):
    """One side's figures for the CDR: what came from it. `mos` is None before a packet came."""

    codec: str
    packets: int
    lost: int
    jitter_ms: float
    mos: float | None


class MediaSession:
    """The media of one call. Made by MediaPool.session, used in a `with` block."""

    def __init__(self, pool: "MediaPool", call_id: str, on_event: OnEvent) -> None:
        self.on_event = on_event
        self._pool = pool
        self._call = call_id
        self._worker: Worker | None = None
        self._streams: _Numbers = {}
        self._ports: list[int] = []  # by stream number
        self._agreement = Agreement(pool.author, partial(_port, self._streams, self._ports))
        self._recording: tuple[str, float] | None = None  # its name, when it began
        self._is_carried = False  # the worker had the call when it was closed
        self._is_behind = False  # something was said while the worker could not be told
        self._moving: asyncio.Task[None] | None = None

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
        if kind is not None:
            self._pool.forget_recording(self._call)  # nobody will ask

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
        wanted = [index for index, one in enumerate(said.streams) if one.is_relayed]
        if not self._streams:
            self._agreement.said[side] = said
        await self._ensure(wanted)
        return self._agreement.offer(side, sdp, parsed, said)

    def answer(self, side: Side, sdp: bytes, source: str) -> bytes:
        """Take the answer of `side`, final or provisional; return the answer for the other side.

        The latest answer counts: of another fork, of the next carrier. A worker that is away hears
        of it when it, or another one, is there. Raises BadMessage, and MediaError before any offer.
        """
        if not self._streams:
            raise MediaError("an answer before any offer")
        self.face(side, source)
        told = self._agreement.answer(side, sdp, source)
        self._say()
        return told

    def face(self, side: Side, peer: str) -> None:
        """Let a side be told our address of the family that its signalling comes by."""
        if self._pool.address6:
            self._agreement.face(side, peer)

    def learn(self, side: Side, sdp: bytes, source: str) -> None:
        """Take the answer of `side`, which the other side cannot be told now: see is_due.

        Raises as `answer` does.
        """
        if not self._streams:
            raise MediaError("an answer before any offer")
        self.face(side, source)
        self._agreement.learn(side, sdp, source)
        self._say()

    def answer_here(self, side: Side, sdp: bytes, source: str) -> bytes:
        """Answer an offer of `side` by what the other side said last, which is not asked.

        Raises BadMessage; MediaError where that cannot be done.
        """
        answered = self._agreement.answer_here(side, sdp, source)
        self._say()
        return answered

    def is_due(self, side: Side) -> bool:
        """Tell whether `side` must be told anew what the other one takes and sends."""
        return self._agreement.is_due(side)

    def retell(self, side: Side) -> bytes:
        """Return an offer of ours for `side`: what the other side said last. `learn` its answer."""
        return self._agreement.retell(side)

    def repeat(self, side: Side) -> bytes:
        """Return what `side` was told last, byte for byte, as an offer that refreshes."""
        return self._agreement.repeat(side)

    def is_same(self, side: Side, sdp: bytes) -> bool:
        """Tell whether `side` says again, byte for byte, what it said last."""
        return self._agreement.is_same(side, sdp)

    def withdraw(self) -> None:
        """Forget the pending offer: it was refused, what was agreed before goes on."""
        self._agreement.withdraw()

    def put_off(self) -> None:
        """Forget an offer of ours that was refused for now: see is_due."""
        self._agreement.put_off()

    async def propose(self, side: Side) -> bytes:
        """Return an offer of our own for `side`: the INVITE that asked for it carried none.

        Its answer, by way of `answer`, is the offer for the other side. Raises MediaError.
        """
        await self._ensure([0])
        return self._agreement.propose(side, _port(self._streams, self._ports, side, 0))

    def renew(self, side: Side, author: Author | None = None) -> tuple[bytes, Author]:
        """Return what `side` said last as an offer for somebody new in the other one's place.

        `author` has written to him before, else a new one is made. Nothing changes before
        `stand_in`. Raises MediaError where `side` has said nothing.
        """
        return self._agreement.renew(side, author)

    def stand_in(self, side: Side, author: Author, offer: bytes) -> Standing:
        """Let somebody new speak for `side`; his answer to the offer of `renew` comes next.

        Returns who stood there, for `put_back`.
        """
        return self._agreement.stand_in(side, author, offer)

    def put_back(self, side: Side, standing: Standing) -> None:
        """Forget a newcomer whose answer was of no use."""
        self._agreement.put_back(side, standing)

    def author(self, side: Side) -> Author:
        """Return who writes to a side: its o= line goes on wherever the leg goes (RFC 3264 8)."""
        return self._agreement.author(side)

    def record(self, name: str, started_at: float) -> None:
        """Record what both sides say from now to the end, as `name` in the recordings folder.

        `started_at` is now in UTC seconds: should the call go on at another worker, so does its
        recording. Never raises: `recorded` tells how it went.
        """
        self._recording = (name, started_at)
        self._pool.expect_recording(self._call)
        self._say_record()

    async def recorded(self) -> Recorded | None:
        """Return what became of the recording, once the call is finished; None without one."""
        if self._recording is None:
            return None
        return await self._pool.recorded(self._call, self._recording[0], self._is_carried)

    def rows(self) -> tuple[tuple[Side, int, int], ...]:
        """Return side, m-line and RTP port of every stream, in the order they were opened."""
        return tuple((*key, self._ports[number]) for key, number in self._streams.items())

    def is_held(self, side: Side) -> bool:
        """Say whether `side` holds the other one."""
        said = self._agreement.said.get(side)
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
            worker.close_call(self._call)
            return {}
        if not isinstance(reply, control.Closed):
            return {}
        self._is_carried = bool(reply.streams)
        # The first m-line that carried something speaks for its leg: it is the audio.
        figures: dict[str, LegStatistics] = {}
        for state in sorted(reply.streams, key=lambda one: (not one.packets, one.media)):
            if state.side not in figures:
                figures[state.side] = _statistics(state, self.codec_of(state))
        return figures

    def codec_of(self, state: StreamState) -> str:
        """Return the name of the codec that a stream carries, or was agreed; "" if none was."""
        names = self._codecs(state.side, state.media)
        if not names:
            return ""
        codec = names.get(state.payload_type) or next(iter(names.values()))
        return codec.name.upper()

    def _codecs(self, side: Side, media: int) -> Mapping[int, Codec]:
        """Return what a side may send on an m-line, by payload type."""
        # A side sends with the numbers of the description that the other side gave (RFC 3264 5.1).
        names: dict[int, Codec] = {}
        for one in (side, other_than(side)):
            if (said := self._agreement.said.get(one)) is not None and media < len(said.streams):
                names |= said.streams[media].codecs
        return names

    # Workers that are lost

    def move(self) -> None:
        """Go on at another worker, or at the next process of this one: it has lost the call."""
        self._worker = None
        if self._streams and (self._moving is None or self._moving.done()):
            self._moving = self._pool.begin_move(self._move())

    def goes_on_at(self, worker: Worker, carried: Sequence[StreamState]) -> bool:
        """Tell whether a worker that is there again, and carries the call, may go on with it."""
        if [one.port for one in carried] != self._ports or self._worker not in (worker, None):
            return False
        if self._worker is None:  # it was taken for dead, and nobody has the ports but it
            if self._moving is not None:
                self._moving.cancel()
            self._is_behind = True
        self._worker = worker
        worker.calls.add(self._call)
        if self._is_behind:
            self._say()
        return True

    async def _move(self) -> None:
        """Open the call's ports at a worker that is there; tell of the loss after MOVE_S."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (left_s := began + MOVE_S - loop.time()) > 0:
            try:
                worker = self._pool.place()
            except MediaError:
                await self._pool.wait_for_worker(left_s)
                continue
            if await self._reopen(worker):
                took_ms = (loop.time() - began) * 1000
                place = f"media worker={worker.number}"
                _log.warning("call=%s goes on at %s after %.0f ms", self._call, place, took_ms)
                self._pool.moved_calls += 1
                return
            await asyncio.sleep(MOVE_AGAIN_S)
        self.on_event(Lost(self._call))

    async def _reopen(self, worker: Worker) -> bool:
        """Open all streams as they are, with what is known of them. False: try again."""
        self._worker = worker
        worker.calls.add(self._call)
        streams = tuple(
            Stream(side, media, self._ports[number])
            for (side, media), number in self._streams.items()
        )
        told = self._descriptions()
        try:
            reply = await worker.ask(lambda number: control.Open(number, self._call, streams, told))
        except MediaError:
            reply = None
        is_open = isinstance(reply, control.Opened) and not (reply.taken or reply.fault)
        if not is_open or self._call not in worker.calls:
            worker.close_call(self._call)  # it may have opened it, and not come to say so
            self._worker = None
            return False
        self._is_behind = False
        if self._recording is not None:
            self._pool.expect_recording(self._call)  # what was told before is not the end of it
        if self._descriptions() != told:
            self._say()
        else:
            self._say_record()
        return True

    def _say(self) -> None:
        """Tell the worker what is agreed now; if it is away, once it is there."""
        try:
            if self._worker is not None:
                self._worker.send(control.Update(self._call, self._descriptions()))
            self._is_behind = False
        except MediaError:
            self._is_behind = True
        self._say_record()

    def _say_record(self) -> None:
        if self._recording is None or self._worker is None:
            return
        try:
            self._worker.send(self._record())
        except MediaError:
            self._is_behind = True

    def _record(self) -> Record:
        """Say anew what is recorded, and what each side may send on its first m-line."""
        name, started_at = self._recording or ("", 0.0)
        media = min((one for _, one in self._streams), default=0)
        codecs = tuple(
            (side, number, codec.name)
            for side in SIDES
            for number, codec in self._codecs(side, media).items()
        )
        return Record(self._call, name, codecs, started_at)

    async def _ensure(self, wanted: list[int]) -> None:
        """Have streams for these m-lines, at both sides. One round trip when some are new."""
        new: list[tuple[Side, int]] = [
            (side, media)
            for media in wanted
            for side in SIDES
            if (side, media) not in self._streams
        ]
        if not new:
            return
        if self._moving is not None:
            await asyncio.wait([self._moving])
            if self._worker is None:
                raise MediaError("the media is lost")
        worker = self._worker or self._pool.place()
        worker.calls.add(self._call)
        self._worker = worker
        first = len(self._streams)
        for _ in range(OPEN_TRIES):
            ports = self._pool.take_ports(len(new))
            is_open = False
            try:
                is_open = await self._open(worker, new, ports)
            except MediaError:
                self._pool.give_back(ports)
                raise
            finally:
                if not is_open:
                    for key in new:
                        del self._streams[key]
                    del self._ports[first:]
            if is_open:
                return
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

    def _descriptions(self) -> tuple[control.Description, ...]:
        """Describe every stream whose side has spoken."""
        return tuple(
            describe(number, media, said, self._agreement.said.get(other_than(side)))
            for (side, media), number in self._streams.items()
            if (said := self._agreement.said.get(side)) is not None
        )

    def _leave(self) -> Worker | None:
        """Give the ports back, once; return the worker that still has to be told."""
        self._pool.forget(self._call)
        self._pool.give_back(self._ports)
        self._ports.clear()
        if self._moving is not None:
            self._moving.cancel()
        worker, self._worker = self._worker, None
        return worker


def _port(streams: _Numbers, ports: list[int], side: Side, media: int) -> int:
    """Return our RTP port for an m-line, 0 where it has no stream.

    No method: what has it would keep its session in a cycle, and memory until a collection.
    """
    number = streams.get((side, media))
    return 0 if number is None else ports[number]


def _statistics(state: StreamState, codec: str) -> LegStatistics:
    expected = state.packets + state.lost
    return LegStatistics(
        codec,
        state.packets,
        state.lost,
        state.jitter_ms,
        quality.mos(codec, state.lost / expected) if state.packets else None,
    )
