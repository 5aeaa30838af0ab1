"""A media worker: the process that runs an engine over sockets, with a clock."""

import gc
import resource
import select
import signal
from pathlib import Path

from msgspec import Struct

from sipcore.clock import Clock, SystemClock
from sipcore.ids import Ids
from sipcore.media.engine import Engine
from sipcore.media.recorder import Recorder
from sipcore.media.server import Server
from sipcore.media.wire.base import Addresses
from sipcore.media.wire.epoll import EpollWire


class Settings(Struct, frozen=True):
    """How a worker is to run: its control socket, and the address of its media sockets.

    `jitter_ms` are the bounds of the jitter buffer's delay, `recordings` the folder that calls are
    recorded in.
    """

    path: str
    address: str
    silence_s: float
    jitter_ms: tuple[int, int] = (20, 120)
    address6: str = ""
    recordings: str = ""


def run(settings: Settings, lifeline_fd: int) -> None:
    """Run a worker until SIGTERM, or until nobody holds the other end of `lifeline_fd`.

    Raises CannotStart when the control socket cannot be made.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the supervisor acts
    clock = SystemClock()
    addresses = Addresses()
    wire = EpollWire(settings.address, addresses, address6=settings.address6)
    wall_s = clock.wall_s() - clock.monotonic()
    recorder = Recorder(Path(settings.recordings), clock) if settings.recordings else None
    engine = Engine(
        wire, addresses, Ids(), settings.silence_s, wall_s, recorder, settings.jitter_ms
    )
    server = Server(settings.path, lifeline_fd)
    gc.collect()
    gc.freeze()  # what is here stays: no collection needs to look at it during calls
    try:
        _serve(engine, wire, server, clock)
        engine.close(clock.monotonic())
        while (event := engine.poll()) is not None:
            server.tell(event)  # recordings that the end of this process has finished
    finally:
        server.shut()
        wire.shut()


def _serve(engine: Engine, wire: EpollWire, server: Server, clock: Clock) -> None:
    """While packets play they are taken at ticks, many at once; the first of them when it comes."""
    while not server.is_over:
        watched: tuple[Server | EpollWire, ...] = (server,) if engine.is_playing else (server, wire)
        wait_s = engine.next_timeout() - clock.monotonic()
        # select, because it alone takes less than milliseconds; its two files are epolls.
        ready, _, _ = select.select(watched, (), (), max(wait_s, 0.0))
        if server in ready:
            server.serve(lambda verb: engine.handle(verb, clock.monotonic()))
        now = clock.monotonic()
        if wire in ready or now >= engine.next_timeout():
            engine.receive(now)
            engine.tick(now)
        while (event := engine.poll()) is not None:
            server.tell(event)
