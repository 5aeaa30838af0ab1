"""The supervisor: starts the processes of a node, starts them again, stops them in order.

Knows names, command lines and signals; what the processes are is serve.py's. A child gets its
settings as one line on standard input, which stays open: its end tells the child that the
supervisor is gone. No polling: signals and deadlines are all that wakes it.
"""

import contextlib
import selectors
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from sipcore.clock import SystemClock
from sipcore.errors import CannotStart
from sipcore.log import logger

DEATHS, DEATHS_S = 5, 10.0  # so many deaths of one child in so many seconds: it will not live
BACK_OFF_S = (0.05, 1.0)
DRAIN_SLACK_S = 5.0  # over the drain itself: BYEs answered, records written
STOP_S = 3.0  # for those that have nothing to finish
NOW_S = 2.0  # after a second SIGTERM

_log = logger(__name__)
_monotonic = SystemClock().monotonic


class ChildSpec(Struct, frozen=True):
    """One process. `settings` is one line; `fds` stay open in it under the same numbers.

    `drains`: on SIGTERM it is stopped first, alone, and given the time that calls may take.
    """

    name: str
    argv: tuple[str, ...]
    settings: bytes
    fds: tuple[int, ...] = ()
    drains: bool = False


class Child:
    """A spec and its life: the process now, when to start it again, when it died."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at: float | None = None
        self.starts = 0
        self._deaths: deque[float] = deque(maxlen=DEATHS)

    def start(self) -> None:
        """Start it. SIGINT stays blocked in it: Ctrl-C reaches the group, only we may act on it.

        Raises CannotStart; the end of this process then ends the other children.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(
                self.spec.argv, stdin=subprocess.PIPE, pass_fds=self.spec.fds, bufsize=0
            )
        except OSError as fault:
            raise CannotStart(f"{self.spec.name} cannot be started: {fault}") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.start_at = None
        self.starts += 1
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died already: the reaper will see
            self.process.stdin.write(self.spec.settings + b"\n")

    def send(self, signum: int) -> None:
        if self.process is not None:
            self.process.send_signal(signum)

    def reap(self) -> int | None:
        """Return how it ended, once; None while it lives or when it was not running."""
        if self.process is None or (status := self.process.poll()) is None:
            return None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process = None
        return status

    def note_death(self, now: float) -> float | None:
        """Return in how many seconds to start it again; None: it dies too often."""
        self._deaths.append(now)
        recent = sum(now - at < DEATHS_S for at in self._deaths)
        if recent >= DEATHS:
            return None
        least, most = BACK_OFF_S
        return min(most, least * 2.0 ** (recent - 1))


class Supervisor:
    """Runs the children until told to stop. `on_restart` is given {name: times started again}."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        drain_s: float,
        on_restart: Callable[[dict[str, int]], None],
    ) -> None:
        self._children = [Child(spec) for spec in specs]
        self._drain_s = drain_s
        self._on_restart = on_restart
        self._stage = "up"  # up, then draining, then stopping
        self._deadline: float | None = None
        self._status = 0

    def run(self) -> int:
        """Start all; return the exit status when all have ended: 0, 1 gave up, 2 cannot start."""
        with _signals() as wait:
            for child in self._children:
                child.start()
            while self._stage == "up" or self._running():
                for signum in wait(self._timeout_s()):
                    if signum != signal.SIGCHLD:
                        self._asked_to_stop()
                self._reap()
                self._act_on_deadlines()
        return self._status

    def _running(self) -> list[Child]:
        return [child for child in self._children if child.process is not None]

    def _timeout_s(self) -> float | None:
        times = [child.start_at for child in self._children if child.start_at is not None]
        if self._deadline is not None:
            times.append(self._deadline)
        return max(0.0, min(times) - _monotonic()) if times else None

    def _asked_to_stop(self) -> None:
        if self._stage == "up":
            _log.info("stopping: no new calls, calls may finish for %g s", self._drain_s)
            self._drain()
        else:
            _log.info("stopping at once")
            self._stop(NOW_S)

    def _drain(self) -> None:
        self._stage = "draining"
        self._deadline = _monotonic() + self._drain_s + DRAIN_SLACK_S
        for child in self._children:
            child.start_at = None
            if child.spec.drains:
                child.send(signal.SIGTERM)

    def _stop(self, within_s: float) -> None:
        """SIGTERM to all; for one that drains already it is the second, which ends it at once."""
        self._stage = "stopping"
        self._deadline = _monotonic() + within_s
        for child in self._children:
            child.start_at = None
            child.send(signal.SIGTERM)

    def _reap(self) -> None:
        for child in self._children:
            if (status := child.reap()) is None:
                continue
            if self._stage == "up":
                self._died(child, status)
            elif status != 0:
                _log.warning("%s ended with status %d", child.spec.name, status)
        if self._stage == "draining" and not any(c.spec.drains for c in self._running()):
            self._stop(STOP_S)

    def _died(self, child: Child, status: int) -> None:
        name = child.spec.name
        if status == 2 and child.starts == 1:  # it said why itself (CannotStart)
            return self._give_up(2)
        wait_s = child.note_death(_monotonic())
        if wait_s is None:
            _log.error(
                "%s died %d times within %g s, giving up (status %d)",
                name,
                DEATHS,
                DEATHS_S,
                status,
            )
            return self._give_up(1)
        _log.error("%s ended with status %d, starting it again", name, status)
        child.start_at = _monotonic() + wait_s
        restarts = {one.spec.name: one.starts - 1 for one in self._children}
        self._on_restart({**restarts, name: child.starts})

    def _give_up(self, status: int) -> None:
        self._status = status
        self._stop(NOW_S)

    def _act_on_deadlines(self) -> None:
        now = _monotonic()
        for child in self._children:
            if child.start_at is not None and child.start_at <= now:
                child.start()
        if self._deadline is None or now < self._deadline:
            return
        if self._stage == "draining":
            _log.warning("not drained in time")
            return self._stop(NOW_S)
        self._deadline = None
        for child in self._running():
            _log.warning("%s does not end, killed", child.spec.name)
            child.send(signal.SIGKILL)


Wait = Callable[[float | None], list[int]]


@contextlib.contextmanager
def _signals() -> Iterator[Wait]:
    """Yield a function that waits so many seconds (None: for ever) and returns what came."""
    inside, outside = socket.socketpair()
    inside.setblocking(False)
    outside.setblocking(False)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    old_fd = signal.set_wakeup_fd(outside.fileno(), warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(inside, selectors.EVENT_READ)

    def wait(timeout_s: float | None) -> list[int]:
        return list(inside.recv(4096)) if selector.select(timeout_s) else []

    try:
        yield wait
    finally:
        signal.set_wakeup_fd(old_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        selector.close()
        inside.close()
        outside.close()
