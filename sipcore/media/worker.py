"""A media worker: the engine (streams, wire, verbs), and the process that runs one.

The engine is told the time and owns no clock, socket or process: tests drive it over a wire in
memory. `run` is the process: its loop, a control socket, a lifeline.
"""

import errno
import gc
import os
import resource
import select
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct, field, structs

from sipcore.clock import Clock, SystemClock
from sipcore.errors import CannotStart, MediaError
from sipcore.ids import Ids
from sipcore.log import logger
from sipcore.media import control
from sipcore.media.control import Description, read_verbs, write_frame
from sipcore.media.quality import StreamState, Totals
from sipcore.media.rtcp import Reporter
from sipcore.media.rtp import RELATCH_S, Relay
from sipcore.media.streams import NOBODY, Call, Counters, Streams
from sipcore.media.wire.base import Addresses, Wire
from sipcore.media.wire.epoll import EpollWire

TICK_S = 0.25
NTP_EPOCH_S = 2208988800  # 1900 to 1970
MAX_UNREAD = 8 << 20  # bytes of events that nobody reads; then the connection is dropped

log = logger(__name__)


class Settings(Struct, frozen=True):
    """How a worker is to run: its control socket, and the address of its media sockets.

    `gap_s` is the least time between two batches: under load it gathers packets, which is what
    makes numpy cheap; a packet waits half of it on average, and not at all when none came before.
    """

    path: str
    address: str
    silence_s: float
    gap_s: float = 0.002


class Engine:
    """Streams, a wire, and what the verbs say about them. Events wait for `poll`."""

    def __init__(
        self, wire: Wire, addresses: Addresses, ids: Ids, silence_s: float, wall_s: float = 0.0
    ) -> None:
        """`addresses` is the wire's; `wall_s` the time of day at the clock's 0, for RTCP."""
        self.streams = Streams()
        self._wire = wire
        self._addresses = addresses
        self._ids = ids
        self._silence_s = silence_s
        self._ntp_s = wall_s + NTP_EPOCH_S
        self._calls: dict[str, Call] = {}
        self._legs: dict[int, tuple[str, control.Side]] = {}  # by the leg's first row
        self._counters = Counters()
        self._relay = Relay(self.streams, wire, addresses, self._counters)
        self._reporter = Reporter(self.streams, wire, self._counters, ids.fraction)
        self._events: deque[control.Event] = deque()
        self._tick_at: float | None = None
        self._greatest_late_ms = 0.0

    def handle(self, verb: control.Verb, now: float) -> control.Reply | None:
        """Do what a verb says; return its reply, if it has one."""
        match verb:
            case control.Open():
                return self._open(verb, now)
            case control.Update():
                if (call := self._calls.get(verb.call)) is not None:
                    self._describe(call, verb.descriptions, now)
                return None
            case control.Close():
                return control.Closed(verb.id, self._close(verb.call, now))
            case control.List():
                calls = self._calls.values()
                return control.Listed(verb.id, {one.id: self._states(one, now) for one in calls})
            case control.Metrics():
                return control.Measured(verb.id, self._totals())

    def receive(self, now: float) -> int:
        """Take one batch off the wire, send on what may go; return how many packets came."""
        count = self._wire.receive()
        if not count:
            return 0
        self._counters.batches += 1
        self._counters.greatest_batch = max(self._counters.greatest_batch, count)
        doors = self._wire.batch.door[:count]
        rows = doors >> 1
        rtcp = (doors & 1).nonzero()[0]
        if len(rtcp):
            for at in rtcp.tolist():
                self._reporter.hear(int(rows[at]), at, now, now + self._ntp_s)
            rows[rtcp] = NOBODY
            self._wire.batch.size[rtcp] = 0  # no RTP, whatever it looks like
        self._relay.take(rows, now)
        for lead in self._relay.started:
            self._events.append(control.FirstPacket(*self._legs[lead]))
        self._relay.started.clear()
        return count

    def tick(self, now: float) -> None:
        """Do what is due: reports, silence, doors to be unlatched."""
        if self._tick_at is not None:
            if now < self._tick_at:
                return
            self._greatest_late_ms = max(self._greatest_late_ms, (now - self._tick_at) * 1000)
        self._tick_at = now + TICK_S
        streams = self.streams
        quiet = now - streams.packet_at > RELATCH_S
        for row in np.flatnonzero(quiet & streams.is_latched).tolist():
            self._relay.unlatch(row)
        since = np.maximum(streams.heard_at, streams.told_at)
        silent = streams.is_sound_expected & (now - since >= self._silence_s)
        for lead in np.flatnonzero(silent).tolist():
            streams.told_at[lead] = now
            silent_s = now - streams.heard_at.item(lead)
            self._events.append(control.Silent(*self._legs[lead], silent_s))
        self._reporter.send_due(now, now + self._ntp_s)

    def next_timeout(self) -> float:
        """Return when `tick` wants to be called."""
        return self._tick_at or 0.0

    def poll(self) -> control.Event | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    def close(self, now: float) -> None:
        """End every call, with an RTCP BYE to each leg."""
        for call in list(self._calls):
            self._close(call, now)

    def _open(self, verb: control.Open, now: float) -> control.Reply:
        """Bind the ports of all the streams, or of none."""
        taken, fault, rows = [], "", []
        for stream in verb.streams:
            row = self.streams.allocate()
            try:
                self._wire.open(row, stream.port)
                rows.append(row)
            except OSError as error:
                self.streams.free(row)
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    taken.append(stream.port)
                else:
                    fault = f"cannot open a media port: {error.strerror}"
        if taken or fault:
            for row in rows:
                self._wire.close(row)
                self.streams.free(row)
            return control.Opened(verb.id, tuple(taken), fault)
        call = self._calls.setdefault(verb.call, Call(verb.call, [], [], {}))
        call.streams += verb.streams
        call.rows += rows
        rows_of = {(s.side, s.media): row for s, row in zip(call.streams, call.rows, strict=True)}
        for lead, side in self.streams.pair(rows_of):
            self._legs[lead] = (call.id, side)
        for row in rows:
            self.streams.own_ssrc[row] = int(self._ids.token(8), 16)
            self.streams.cname[row] = np.frombuffer(self._ids.token(16).encode(), np.uint8)
            self._reporter.begin(row, now)
        self._describe(call, verb.descriptions, now)
        return control.Opened(verb.id)

    def _describe(self, call: Call, descriptions: Sequence[Description], now: float) -> None:
        streams = self.streams
        for one in descriptions:
            if not 0 <= one.stream < len(call.rows):
                continue
            row, was = call.rows[one.stream], call.descriptions.get(one.stream)
            call.descriptions[one.stream] = one
            streams.clock_rates[row] = one.clock_rate
            for payload_type, rate in one.other_rates:
                streams.clock_rates[row, payload_type & 127] = rate
            if was is None or was.place() != one.place():
                self._relay.move(row, one, now)
            streams.heard_at[streams.lead[row]] = now  # its signalling is a sign of life
        for lead in {int(streams.lead[row]) for row in call.rows}:
            streams.is_sound_expected[lead] = any(
                one.is_sound_expected
                for number, one in call.descriptions.items()
                if streams.lead[call.rows[number]] == lead
            )

    def _close(self, call_id: str, now: float) -> tuple[StreamState, ...]:
        if (call := self._calls.pop(call_id, None)) is None:
            return ()
        states, rows = self._states(call, now), np.array(call.rows)
        self._reporter.send(rows, now, now + self._ntp_s, bye=True)
        self._counters.lost += int(self.streams.lost(rows).sum())
        self._counters.octets_received += int(self.streams.octets[rows].sum())
        self._counters.foreign += int(self.streams.foreign[rows].sum())
        for row in call.rows:
            self._legs.pop(row, None)
            self._relay.close(row)
        return states

    def _states(self, call: Call, now: float) -> tuple[StreamState, ...]:
        figures = zip(call.rows, call.streams, strict=True)
        return tuple(
            StreamState(
                stream.side,
                stream.media,
                stream.port,
                *self._relay.remote(row, call.descriptions.get(number)),
                **self.streams.figures(row, now),
            )
            for number, (row, stream) in enumerate(figures)
        )

    def _totals(self) -> Totals:
        streams = self.streams
        rows = np.flatnonzero(streams.is_open)
        counted = structs.asdict(self._counters)
        counted["lost"] += int(streams.lost(rows).sum())
        counted["octets_received"] += int(streams.octets[rows].sum())
        counted["foreign"] += int(streams.foreign[rows].sum())
        heard = rows[streams.has_source[rows]]
        return Totals(
            calls=len(self._calls),
            streams=len(rows),
            greatest_late_ms=self._greatest_late_ms,
            jitter_ms=float(streams.jitter_s(heard).mean()) * 1000 if len(heard) else 0.0,
            **counted,
        )


class Server:
    """The worker's end: a Unix socket that any number may connect to, signals, the lifeline.

    `fileno()` becomes readable when `serve` has something to do. The loss of a connection is
    nothing: calls go on, and whoever connects next may list them.
    """

    def __init__(self, path: str, lifeline_fd: int) -> None:
        """Listen at `path`. Raises CannotStart."""
        self.is_over = False
        self._path = Path(path)
        self._lifeline_fd = lifeline_fd
        self._peers: dict[int, _Peer] = {}
        self._epoll = select.epoll()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)
            self._listener.bind(path)
            self._path.chmod(0o600)
            self._listener.listen()
        except OSError as fault:
            raise CannotStart(f"media worker cannot listen at {path}: {fault.strerror}") from None
        self._listener.setblocking(False)
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGTERM, lambda *_: None)
        for fd in (self._listener.fileno(), self._woken.fileno(), lifeline_fd):
            self._epoll.register(fd, select.EPOLLIN)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def serve(self, handle: Callable[[control.Verb], control.Reply | None]) -> None:
        """Take what has come in; reply to each connection in one write."""
        for fd, _ in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif fd == self._lifeline_fd:
                self.is_over |= not os.read(fd, 1)
            elif fd == self._woken.fileno():
                self.is_over = True  # SIGTERM: the only signal that wakes
            elif (peer := self._peers.get(fd)) is not None:
                self._hear(peer, handle)

    def tell(self, event: control.Event) -> None:
        """Send an event to every connection."""
        for peer in list(self._peers.values()):
            write_frame(peer.out, event)
            self._flush(peer)

    def shut(self) -> None:
        """Close everything, the path included."""
        signal.set_wakeup_fd(-1)
        for peer in list(self._peers.values()):
            self._drop(peer)
        for one in (self._listener, self._woken, self._wake, self._epoll):
            one.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        self._peers[sock.fileno()] = _Peer(sock)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _hear(self, peer: "_Peer", handle: Callable[[control.Verb], control.Reply | None]) -> None:
        try:
            data = peer.socket.recv(1 << 18)
        except BlockingIOError:
            return self._flush(peer)
        except OSError:
            data = b""
        peer.inward += data
        try:
            for verb in read_verbs(peer.inward):
                if (reply := handle(verb)) is not None:
                    write_frame(peer.out, reply)
        except MediaError as fault:
            log.error("media control: %s", fault)
            data = b""
        self._flush(peer) if data else self._drop(peer)

    def _flush(self, peer: "_Peer") -> None:
        try:
            while peer.out:
                del peer.out[: peer.socket.send(peer.out)]
        except BlockingIOError:
            pass
        except OSError:
            peer.out.clear()
        if len(peer.out) > MAX_UNREAD:
            self._drop(peer)
        elif bool(peer.out) != peer.is_waiting:
            peer.is_waiting = bool(peer.out)
            wanted = select.EPOLLIN | (select.EPOLLOUT if peer.is_waiting else 0)
            self._epoll.modify(peer.socket.fileno(), wanted)

    def _drop(self, peer: "_Peer") -> None:
        del self._peers[peer.socket.fileno()]
        self._epoll.unregister(peer.socket.fileno())
        peer.socket.close()


class _Peer(Struct):
    """One connection of the server."""

    socket: socket.socket
    inward: bytearray = field(default_factory=bytearray)
    out: bytearray = field(default_factory=bytearray)
    is_waiting: bool = False


def run(settings: Settings, lifeline_fd: int) -> None:
    """Run a worker until SIGTERM, or until nobody holds the other end of `lifeline_fd`.

    Raises CannotStart when the control socket cannot be made.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the supervisor acts
    clock = SystemClock()
    addresses = Addresses()
    wire = EpollWire(settings.address, addresses)
    wall_s = clock.wall_s() - clock.monotonic()
    engine = Engine(wire, addresses, Ids(), settings.silence_s, wall_s)
    server = Server(settings.path, lifeline_fd)
    gc.collect()
    gc.freeze()  # what is here stays: no collection needs to look at it during calls
    try:
        _serve(engine, wire, server, clock, settings.gap_s)
        engine.close(clock.monotonic())
    finally:
        server.shut()
        wire.shut()


def _serve(engine: Engine, wire: EpollWire, server: Server, clock: Clock, gap_s: float) -> None:
    receive_at = 0.0
    while not server.is_over:
        now = clock.monotonic()
        watched: tuple[Server | EpollWire, ...] = (server, wire)
        until = engine.next_timeout()
        if now < receive_at:
            watched = (server,)
            until = min(until, receive_at)
        # select, because it alone takes less than milliseconds; its two files are epolls.
        ready, _, _ = select.select(watched, (), (), max(until - now, 0.0))
        now = clock.monotonic()
        if server in ready:
            server.serve(lambda verb: engine.handle(verb, clock.monotonic()))
        if wire in ready:
            count = engine.receive(now)
            receive_at = now if count == len(wire.batch) else now + gap_s
        engine.tick(now)
        while (event := engine.poll()) is not None:
            server.tell(event)
