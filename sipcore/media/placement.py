"""Where a call's streams are: their ports, the worker that carries them, what it is told.

Which worker that is, is pool's to choose; when it dies, the same ports are opened at another one.
What the sides say is session's and agreement's.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from sipcore.errors import MediaError
from sipcore.log import logger
from sipcore.media import control
from sipcore.media.agreement import SIDES, Agreement, other_than
from sipcore.media.codecs import tone_codec
from sipcore.media.connection import Worker
from sipcore.media.control import Lost, OnEvent, Play, Record, Side, Stream
from sipcore.media.offer import Said, describe
from sipcore.media.quality import StreamState
from sipcore.message.sdp import Codec

if TYPE_CHECKING:
    from sipcore.media.pool import MediaPool

OPEN_TRIES = 8  # a port that another program holds costs one
MOVE_S = 5.0  # a call without sound for longer is over
MOVE_AGAIN_S = 0.02  # the kernel takes a moment to close a dead worker's sockets

_log = logger(__name__)

_Numbers = dict[tuple[Side, int], int]  # of the streams of a call


class Ringback(Struct, frozen=True):
    """Who hears the ringback tone, when, and whether again after a pause: see control.Play."""

    to: Side
    wait_ms: int = 0
    pause_ms: int = 0


class Placement:
    """The streams of one call and the worker that carries them. The base of MediaSession.

    `ringback` counts with the next words that the worker is told; `tell` tells it.
    """

    ringback: Ringback | None = None
    guest: tuple[Side, Said] | None = None  # who is heard in a side's place, for the time being

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
            self.tell()
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
        if self._descriptions() != told or self.ringback is not None:
            self.tell()
        else:
            self._say_record()
        return True

    def tell(self) -> None:
        """Tell the worker what is agreed now; if it is away, once it is there."""
        play = None if self.ringback is None else self._play(self.ringback)
        try:
            if self._worker is not None:
                self._worker.send(control.Update(self._call, self._descriptions(), play))
            self._is_behind = False
        except MediaError:
            self._is_behind = True
        self._say_record()

    def _play(self, ringback: Ringback) -> Play | None:
        """Return what is to be played now; None where nobody could hear it."""
        to, said = ringback.to, self._heard()
        hears, speaks = said.get(to), said.get(other_than(to)) or self._agreement.foretold
        if hears is None or speaks is None:
            return None
        for media, pair in enumerate(zip(hears.streams, speaks.streams, strict=False)):
            number, codec = self._streams.get((other_than(to), media)), tone_codec(*pair)
            if number is not None and codec is not None:
                return Play(number, "ringback", *codec, ringback.wait_ms, ringback.pause_ms)
        return None

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

    def _codecs(self, side: Side, media: int) -> Mapping[int, Codec]:
        """Return what a side may send on an m-line, by payload type."""
        # A side sends with the numbers of the description that the other side gave (RFC 3264 5.1).
        names: dict[int, Codec] = {}
        for one in (side, other_than(side)):
            if (said := self._agreement.said.get(one)) is not None and media < len(said.streams):
                names |= said.streams[media].codecs
        return names

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
                if first or worker.is_up:
                    raise
                worker.close_call(self._call)  # should it live after all
                self._worker = None
            finally:
                if not is_open:
                    for key in new:
                        del self._streams[key]
                    del self._ports[first:]
            if is_open:
                return
            if self._worker is None:
                worker = self._worker = await self._place_again()
                worker.calls.add(self._call)
        raise MediaError("other programs hold the media ports")

    async def _place_again(self) -> Worker:
        """Return a worker in place of one that died before it had opened anything. Raises
        MediaError when none comes within MOVE_S."""
        loop = asyncio.get_running_loop()
        until = loop.time() + MOVE_S
        while True:
            try:
                return self._pool.place()
            except MediaError:
                left_s = until - loop.time()
                if left_s <= 0:
                    raise
            await self._pool.wait_for_worker(left_s)

    async def _open(self, worker: Worker, new: list[tuple[Side, int]], ports: list[int]) -> bool:
        first = len(self._ports)
        self._ports += ports
        streams: list[Stream] = []
        for key, port in zip(new, ports, strict=True):
            self._streams[key] = first + len(streams)
            streams.append(Stream(*key, port))
        descriptions = () if first else self._descriptions()
        reply = await worker.ask(
            lambda number: control.Open(number, self._call, tuple(streams), descriptions)
        )
        if not isinstance(reply, control.Opened) or reply.fault:
            fault = reply.fault if isinstance(reply, control.Opened) else "wrong reply"
            raise MediaError(f"media worker {worker.number}: {fault}")
        if reply.taken:
            self._pool.put_back(ports, reply.taken)
        return not reply.taken

    def _port_of(self, side: Side, media: int) -> int:
        return _port(self._streams, self._ports, side, media)

    def _heard(self) -> Mapping[Side, Said]:
        """Return what each side has said, or who is heard in its place."""
        said = self._agreement.said
        return said if self.guest is None else {**said, self.guest[0]: self.guest[1]}

    def _descriptions(self) -> tuple[control.Description, ...]:
        """Describe every stream whose side has spoken."""
        said = self._heard()
        described = tuple(
            [
                describe(number, media, said[side], said.get(other_than(side)))
                for (side, media), number in self._streams.items()
                if side in said
            ]
        )
        uneven = self._agreement.uneven()
        if uneven is None:
            return described
        number, how = self._streams.get((uneven[0], 0)), uneven[1]
        return tuple(
            structs.replace(one, event_type=how.payload_type, event_rate=how.clock_rate)
            if one.stream == number
            else one
            for one in described
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
