"""The load of the media bench: 50 packets a second from every phone, and every one that comes back.

One process and one thread: each millisecond the packets of the phones whose turn it is leave, and
some sockets are emptied. Times of arrival are the kernel's, so a slow sink shows no delay.
"""

import gc
import math
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.mmsg import Messages, drops, open_socket
from bench.relay import RELAY_ADDRESS, Phone
from bench.rtp_check import PTIME_MS, Arrivals, Ints, Tally, begin, is_whole, slots, tally, write

LOAD_ADDRESS = "127.0.0.31"
BUFFER_BYTES = 16 << 20
AT_ONCE = 128  # packets that have one time of sending
RECEIVE_ROWS = 4096
TURNS = 4  # a socket is emptied every so many ms
JOIN_S = 1.0  # within which the phones begin to speak: calls do not begin all at once
DRAIN_MS = 400
LATE_MS = 5.0  # a millisecond that is served so late was not sent on time
GIVE_UP_MS = 1000.0
_MS = 1_000_000

Floats = NDArray[np.float64]


class Plan(Struct, frozen=True):
    """`warm_s` unmeasured, then `window_s` measured; packets over `late_ms` are late.

    The phones begin to speak one after the other in the first half of `warm_s`, JOIN_S at most.
    """

    warm_s: float
    window_s: float
    late_ms: float

    def share(self, number: int) -> float:
        """Return which share of the phones sends when the first sends its packet `number`."""
        join_s = min(JOIN_S, self.warm_s / 2)
        return min(1.0, (number + 1) * PTIME_MS / 1000 / join_s) if join_s else 1.0

    @property
    def window(self) -> range:
        """The numbers of the packets that are measured, of each stream."""
        first = round(self.warm_s * 1000 / PTIME_MS)
        return range(first, first + round(self.window_s * 1000 / PTIME_MS))


class Loaded(Struct, frozen=True):
    """A run. `damaged`, `misrouted`, `unsent`, `sink_lost`: packets, in all parts of it.

    `unsent`, `sink_lost` and a poor `on_time` (share of the milliseconds) are the load's own
    faults. `lateness_ms`: how late it sent, at worst in 99 % of the milliseconds.
    """

    tally: Tally
    damaged: int
    misrouted: int
    unsent: int
    sink_lost: int
    on_time: float
    lateness_ms: float


class RtpLoad:
    """Phones of some calls, on a socket for each millisecond of the 20. Closed by its block.

    The socket of a millisecond sends all of its packets in few calls.
    """

    def __init__(self, calls: int) -> None:
        self._streams = 2 * calls
        self._slots = slots(self._streams)
        self._slot_of = np.zeros(self._streams, np.int64)
        for number, streams in enumerate(self._slots):
            self._slot_of[streams] = number
        self._out = Messages(self._streams, is_stamped=False)
        self._in = Messages(RECEIVE_ROWS, is_stamped=True)
        self._from = np.zeros(RECEIVE_ROWS, np.int64)
        self._filled = 0
        self._ports = np.zeros(self._streams, np.int64)
        self._damaged = self._misrouted = self._unsent = 0

    def __enter__(self) -> Self:
        with ExitStack() as held:
            self._sockets = [held.enter_context(_open()) for _ in range(PTIME_MS)]
            self._rtcp = held.enter_context(_open())  # nobody reads it
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def phones(self) -> list[Phone]:
        """The phone of each stream: many share a port, as behind one gateway."""
        ports = [one.getsockname()[1] for one in self._sockets]
        rtcp = self._rtcp.getsockname()[1]
        return [Phone(LOAD_ADDRESS, ports[slot], rtcp) for slot in self._slot_of.tolist()]

    def aim(self, ports: Sequence[int]) -> None:
        """Say where the relay hears each stream."""
        self._ports[:] = ports
        first = 0
        self._rows = []
        for streams in self._slots:
            rows = slice(first, first + len(streams))
            begin(self._out.packets, rows, streams)
            self._out.address_to(rows, RELAY_ADDRESS, self._ports[streams].tolist())
            self._rows.append(range(rows.start, rows.stop))
            first = rows.stop

    def run(self, plan: Plan, mark: Callable[[], None]) -> Loaded:
        """Send and receive for the time of the plan; `mark` is called where the window begins
        and where it ends. Gives up where it is itself a second late."""
        packets = self._streams * plan.window.stop
        came = Arrivals(packets + packets // 20 + 1000)
        lost_before = sum(map(drops, self._sockets))
        gc.collect()
        gc.disable()
        try:
            late_ms = self._pass(plan, came, mark)
        finally:
            gc.enable()
        served = slice(plan.window.start * PTIME_MS, plan.window.stop * PTIME_MS)
        last = int(np.isfinite(late_ms).sum()) // PTIME_MS
        sent = range(plan.window.start, max(plan.window.start, last))
        return Loaded(
            tally(came, self._streams, sent, plan.late_ms),
            self._damaged,
            self._misrouted,
            self._unsent,
            sum(map(drops, self._sockets)) - lost_before,
            float((late_ms[served] <= LATE_MS).mean()),
            float(np.percentile(late_ms[served], 99, method="lower")),
        )

    def _pass(self, plan: Plan, came: Arrivals, mark: Callable[[], None]) -> Floats:
        """Return how late each millisecond was served, in ms; inf: not at all."""
        ticks = plan.window.stop * PTIME_MS
        late_ms = np.full(ticks, np.inf)
        begun_ns = time.monotonic_ns() + 10 * _MS
        for tick in range(ticks):
            if tick == plan.window.start * PTIME_MS:
                mark()
            late_ms[tick] = _wait(begun_ns + tick * _MS) / _MS
            if late_ms[tick] > GIVE_UP_MS:
                break
            number = tick // PTIME_MS
            self._send(tick % PTIME_MS, number, plan.share(number))
            self._receive(tick, came)
        mark()
        begun_ns = time.monotonic_ns()
        for tick in range(DRAIN_MS):
            _wait(begun_ns + tick * _MS)
            self._receive(tick, came)
        return late_ms

    def _send(self, slot: int, number: int, share: float) -> None:
        rows = self._rows[slot][: math.ceil(len(self._rows[slot]) * share)]
        for first in range(rows.start, rows.stop, AT_ONCE):
            some = range(first, min(first + AT_ONCE, rows.stop))
            now_ns = time.monotonic_ns()
            write(self._out.packets, slice(some.start, some.stop), number, now_ns)
            self._unsent += len(some) - self._out.send(self._sockets[slot], some)

    def _receive(self, tick: int, came: Arrivals) -> None:
        """Empty the sockets whose turn it is; after the last turn, look at what came."""
        for slot in range(tick % TURNS, PTIME_MS, TURNS):
            while self._take(slot) and self._filled == RECEIVE_ROWS:
                self._check(came)
        if tick % TURNS == TURNS - 1:
            self._check(came)

    def _take(self, slot: int) -> int:
        rows = range(self._filled, RECEIVE_ROWS)
        got = self._in.receive(self._sockets[slot], rows)
        self._from[self._filled : self._filled + got] = slot
        self._filled += got
        return got

    def _check(self, came: Arrivals) -> None:
        """Note what is whole and came by the right port to the right socket; count the rest."""
        count, self._filled = self._filled, 0
        if not count:
            return
        arrived_ns = self._in.arrived_ns(count) - _wall_minus_monotonic_ns()
        whole = is_whole(self._in.packets, self._in.sizes(count))
        streams = (self._in.packets.key[:count] >> np.uint64(32)).astype(np.int64)
        whole &= streams < self._streams
        self._damaged += count - int(whole.sum())
        rows: Ints = np.flatnonzero(whole)
        other = streams[rows] ^ 1
        right = self._from[rows] == self._slot_of[other]
        right &= self._in.ports[rows] == self._ports[other]
        self._misrouted += len(rows) - int(right.sum())
        rows = rows[right]
        came.add(self._in.packets, rows, arrived_ns[rows])
        self._in.reset(count)


def _open() -> socket.socket:
    return open_socket(LOAD_ADDRESS, BUFFER_BYTES)


def _wait(until_ns: int) -> int:
    """Sleep until a time; return how late it is then."""
    left_ns = until_ns - time.monotonic_ns()
    if left_ns > 0:
        time.sleep(left_ns / 1e9)
    return max(time.monotonic_ns() - until_ns, 0)


def _wall_minus_monotonic_ns() -> int:
    before = time.monotonic_ns()
    wall = time.time_ns()
    return wall - (before + time.monotonic_ns()) // 2
