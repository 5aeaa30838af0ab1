"""A network in memory for the media engine, and the pieces that the media tests share."""

import asyncio
import errno
import struct
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sipcore.clock import Clock
from sipcore.ids import Ids
from sipcore.media import control
from sipcore.media.control import Description, Mode, OnAnswer, OnLost, Stream
from sipcore.media.engine import Engine
from sipcore.media.quality import StreamState, Totals
from sipcore.media.recorder import InlineRecorder
from sipcore.media.tap import Tap
from sipcore.media.wire.base import CELLS, Addresses, Batch, Remote

RELAY = "192.0.2.1"
Sent = tuple[int, Remote, bytes]  # local port, remote, packet


class FakeClock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.now


def seeded(seed: int = 1) -> Ids:
    """Ids that are the same in every run."""
    rng = np.random.default_rng(seed)
    return Ids(lambda count: rng.bytes(count))


class MemoryWire:
    """Doors as queues. A latched door hears only its remote, as a connected socket does."""

    def __init__(self, rows: int = 64, *, names_all: bool = False, cells: int = CELLS) -> None:
        self.addresses = Addresses()
        self.batch = Batch(rows, cells)
        self.now = 0.0
        self.sent: list[Sent] = []
        self.log: list[tuple[float, int, bytes]] = []  # when, local port, packet: all there was
        self.busy: set[int] = set()  # ports that another program holds
        self.others: list[MemoryWire] = []  # of the same machine
        self.is_dual = False  # it has sockets of IPv6, too
        self.refused = 0
        self.fault = 0  # an errno that every open fails with
        self.most = rows  # packets that one look finds, as the looks at a socket are limited
        self._names_all = names_all
        self._ports: dict[int, int] = {}  # door: port
        self._doors: dict[int, int] = {}  # port: door
        self._remotes: dict[int, tuple[Remote | None, bool]] = {}
        self._queue: deque[tuple[int, Remote, bytes]] = deque()

    def reaches(self, address: str) -> bool:
        return ":" not in address or self.is_dual

    def deliver(self, source: Remote, port: int, packet: bytes) -> None:
        """Bring a packet from `source` to one of our ports, if it is open."""
        if port in self._doors:
            self._queue.append((port, source, packet))

    def take_sent(self) -> list[Sent]:
        """Return what was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent

    def open(self, row: int, port: int) -> None:
        if self.fault:
            raise OSError(self.fault, "no more files")
        held = self.busy.union(*(wire._doors for wire in (self, *self.others)))
        if {port, port + 1} & held:
            raise OSError(errno.EADDRINUSE, "in use")
        for channel in (0, 1):
            self._ports[2 * row + channel] = port + channel
            self._doors[port + channel] = 2 * row + channel
            self._remotes[2 * row + channel] = (None, False)

    def close(self, row: int) -> None:
        for door in (2 * row, 2 * row + 1):
            port = self._ports.pop(door)
            del self._doors[port], self._remotes[door]
            self._queue = deque(one for one in self._queue if one[0] != port)

    def aim(self, door: int, remote: Remote | None, *, is_latched: bool) -> None:
        self._remotes[door] = (remote, is_latched)

    def receive(self) -> int:
        batch = self.batch
        batch.senders.clear()
        count = 0
        room = min(batch.room(), self.most)
        while self._queue and count < room:
            port, source, packet = self._queue.popleft()
            door = self._doors[port]
            remote, is_latched = self._remotes[door]
            is_vouched = is_latched and not self._names_all
            if is_vouched and remote != source:
                self.refused += 1
                continue
            size = min(len(packet), batch.data.shape[1])
            cell = int(batch.take(1)[0])
            batch.cell[count] = cell
            batch.data[cell, :size] = np.frombuffer(packet, np.uint8)[:size]
            batch.door[count], batch.size[cell] = door, size
            batch.address[count] = 0 if is_vouched else self.addresses.number(source[0])
            batch.port[count] = 0 if is_vouched else source[1]
            if not is_vouched:
                batch.senders[count] = source
            count += 1
        return count

    def send(self, doors: NDArray[np.int64], cells: NDArray[np.int64]) -> int:
        for door, cell in zip(doors.tolist(), cells.tolist(), strict=True):
            remote, _ = self._remotes[door]
            if remote is not None:
                packet = self.batch.data[cell, : self.batch.size[cell]].tobytes()
                self.sent.append((self._ports[door], remote, packet))
                self.log.append((self.now, self._ports[door], packet))
        return 0


class LocalWorkers:
    """Engines in this process behind the pool's links, on one clock.

    They record into the folder `recordings`, if there is one.
    """

    def __init__(
        self,
        clock: Clock,
        how_many: int = 1,
        silence_s: float = 60,
        recordings: Path | None = None,
    ) -> None:
        self.clock = clock
        self.wires = [MemoryWire() for _ in range(how_many)]
        for wire in self.wires:
            wire.others = [other for other in self.wires if other is not wire]
        self.engines = [
            Engine(
                *(wire, wire.addresses, seeded(7), silence_s, 1_700_000_000.0),
                tap=InlineRecorder(recordings, clock) if recordings is not None else None,
            )
            for wire in self.wires
        ]
        self.keeps_events = False  # a worker that is slow to tell
        self.dead: set[int] = set()
        self.mute: set[int] = set()  # they take verbs, and do nothing
        self.verbs: list[control.Verb] = []
        self.links: dict[int, LocalLink] = {}
        self.connects = [self._connect_to(number) for number in range(how_many)]

    def _connect_to(self, number: int) -> control.Connect:
        async def connect(on_answer: OnAnswer, on_lost: OnLost) -> control.Link:
            if number in self.dead:
                raise ConnectionRefusedError
            link = LocalLink(self, number, on_answer, on_lost)
            self.links[number] = link
            return link

        return connect

    def cut(self) -> None:
        """Let the signalling process die: its connections carry nothing more, either way."""
        for link in self.links.values():
            link.is_cut = True

    def kill(self, number: int = 0) -> None:
        """Let a worker die; nobody listens there before `revive`."""
        self.dead.add(number)
        self.lose(number)

    def revive(self, number: int = 0) -> None:
        """Let a worker's next process listen."""
        self.dead.discard(number)

    def lose(self, number: int = 0) -> None:
        """Let a worker die and come back empty, at once."""
        engine = self.engines[number]
        engine.close(self.clock.monotonic())
        while engine.poll() is not None:
            pass  # the dead tell nothing
        self.links[number].on_lost()

    def run(self, number: int = 0) -> None:
        """Let an engine take what came, and pass its events on."""
        engine = self.engines[number]
        now = self.clock.monotonic()
        engine.receive(now)
        engine.tick(now)
        while not self.keeps_events and (event := engine.poll()) is not None:
            self.links[number].on_answer(event)


class LocalLink:
    """A control connection that is a function call; replies come in the next loop iteration."""

    def __init__(
        self, workers: LocalWorkers, number: int, on_answer: OnAnswer, on_lost: OnLost
    ) -> None:
        self._on_answer = on_answer
        self.on_lost = on_lost
        self.is_cut = False
        self._workers = workers
        self._number = number

    def on_answer(self, answer: control.Reply | control.Event) -> None:
        if not self.is_cut:
            self._on_answer(answer)

    def send(self, verb: control.Verb) -> None:
        if self.is_cut:
            return
        self._workers.verbs.append(verb)
        if self._number in self._workers.mute:
            return
        buffer = bytearray()
        control.write_frame(buffer, verb)
        for copy in control.read_verbs(buffer):
            now = self._workers.clock.monotonic()
            engine = self._workers.engines[self._number]
            reply = engine.handle(copy, now)
            if reply is not None:
                asyncio.get_running_loop().call_soon(self.on_answer, reply)
            while not self._workers.keeps_events and (event := engine.poll()) is not None:
                asyncio.get_running_loop().call_soon(self.on_answer, event)

    def close(self) -> None:
        pass


class Bench:
    """One engine with calls between hosts; the time moves by hand."""

    def __init__(
        self,
        silence_s: float = 60,
        *,
        names_all: bool = False,
        rows: int = 64,
        cells: int = CELLS,
        tap: Tap | None = None,
    ) -> None:
        self.now = 100.0
        self.wire = MemoryWire(rows, names_all=names_all, cells=cells)
        self.engine = Engine(self.wire, self.wire.addresses, seeded(), silence_s, 1.7e9, tap)
        self._sequence: dict[Remote, int] = defaultdict(int)

    def open(
        self,
        call: str,
        a: Remote | None,
        b: Remote | None,
        ports: tuple[int, int],
        **kwargs: Any,
    ) -> None:
        """Open one call; a side that is None has not spoken. `kwargs` are those of describe."""
        descriptions = [
            describe(number, remote, **kwargs)
            for number, remote in enumerate((a, b))
            if remote is not None
        ]
        streams = (Stream("a", 0, ports[0]), Stream("b", 0, ports[1]))
        verb = control.Open(1, call, streams, tuple(descriptions))
        assert self.engine.handle(verb, self.now) == control.Opened(1)

    def update(self, call: str, *descriptions: Description) -> None:
        self.engine.handle(control.Update(call, descriptions), self.now)

    def close(self, call: str) -> tuple[StreamState, ...]:
        reply = self.engine.handle(control.Close(2, call), self.now)
        assert isinstance(reply, control.Closed)
        return reply.streams

    def state(self, call: str) -> tuple[StreamState, ...]:
        reply = self.engine.handle(control.List(3), self.now)
        assert isinstance(reply, control.Listed)
        return reply.calls[call]

    def totals(self) -> Totals:
        reply = self.engine.handle(control.Metrics(4), self.now)
        assert isinstance(reply, control.Measured)
        return reply.totals

    def speak(self, source: Remote, port: int, **fields: int) -> bytes:
        """Send the next RTP packet of `source` to `port`, and let the engine take it."""
        sequence = fields.pop("sequence", self._sequence[source])
        self._sequence[source] = sequence + 1
        packet = rtp(sequence, **fields)
        self.wire.deliver(source, port, packet)
        self.run()
        return packet

    def run(self) -> None:
        self.wire.now = self.now
        while self.engine.receive(self.now) == len(self.wire.batch):
            pass

    def wait(self, seconds: float) -> None:
        """Move the time, ticking as the worker does."""
        end = self.now + seconds
        while (at := self.engine.next_timeout()) <= end:
            self.now = max(at, self.now)
            self.run()
            self.engine.tick(self.now)
        self.now = end

    def bring(self, at: float, source: Remote, port: int, packet: bytes) -> None:
        """Let a packet come at a given time. A worker that plays takes it at its next tick."""
        self.wait(max(at - self.now, 0.0))
        self.wire.deliver(source, port, packet)
        if not self.engine.is_playing:
            self.run()

    def events(self) -> list[control.Event]:
        events = []
        while (event := self.engine.poll()) is not None:
            events.append(event)
        return events

    def heard(self, port: int) -> list[tuple[Remote, bytes]]:
        """Return what left by `port` since the last time, RTCP not counted."""
        kept = [one for one in self.wire.sent if one[0] != port]
        found = [one[1:] for one in self.wire.sent if one[0] == port]
        self.wire.sent = kept
        return found


def describe(
    number: int,
    remote: Remote,
    *,
    sources: Sequence[str] = (),
    is_sound_expected: bool = True,
    clock_rate: int = 8000,
    other_rates: tuple[tuple[int, int], ...] = ((101, 0),),
    mode: Mode = "pass",
) -> Description:
    """Describe a stream as the pool does; its own address is a source.

    In pass mode: who hears whom can be told without waiting.
    """
    address, port = remote
    return Description(
        number,
        address,
        port,
        port + 1,
        (address, *sources),
        is_sound_expected,
        clock_rate,
        other_rates,
        mode,
    )


def rtp(
    sequence: int,
    timestamp: int | None = None,
    ssrc: int = 0x1234,
    payload_type: int = 0,
    size: int = 160,
) -> bytes:
    """Write an RTP packet whose payload tells its sequence and source."""
    stamp = sequence * 160 if timestamp is None else timestamp
    head = struct.pack(">BBHII", 0x80, payload_type, sequence & 0xFFFF, stamp & 0xFFFFFFFF, ssrc)
    return head + struct.pack(">II", sequence & 0xFFFFFFFF, ssrc).ljust(size, b"\x55")[:size]
