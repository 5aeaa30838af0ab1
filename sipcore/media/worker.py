"""A media worker: the process that runs an engine over sockets, with a clock."""

import gc
import resource
import select
import signal

from msgspec import Struct

from sipcore.clock import Clock, SystemClock
from sipcore.ids import Ids
from sipcore.media.engine import Engine
from sipcore.media.server import Server
from sipcore.media.wire.base import Addresses
from sipcore.media.wire.epoll import EpollWire


class Settings(Struct, frozen=True):
    """How a worker is to run: its control socket, and the address of its media sockets.

    `jitter_ms` are the bounds of the jitter buffer's delay, `recordings` the folder that calls are
    recorded in.
    `gap_s` is the least time between two batches: under load it gathers packets, which is what
    makes numpy cheap; a packet waits half of it on average, and not at all when none came before.
    """

    path: str
    address: str
    silence_s: float
    jitter_ms: tuple[int, int] = (20, 120)
    recordings: str = ""
    gap_s: float = 0.002


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
