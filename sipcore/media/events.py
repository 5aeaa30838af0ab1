"""Telephone events (RFC 4733) of a worker's streams: taken out and told, or made and sent.

Where one side has telephone-event and the other has not: what the one sends goes no further and is
told once; what signalling asks for is laid into the jitter buffer in place of sound. Streams that
have neither are not looked at. No socket, no clock.
"""

from collections import deque

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sipcore.media.control import Press
from sipcore.media.jitter import JitterBuffer
from sipcore.media.rtp import Headers, payload_starts
from sipcore.media.streams import Bools, Ints, Streams
from sipcore.media.wire.base import Batch

STEP_S = 0.020  # between packets of an event, and as much again between events (2.5.1.3)
END_PACKETS = 3  # RFC 4733 2.5.1.4
VOLUME = 10  # below 0 dBm0 (2.3.3)
END = 0x80
MOST_WAITING = 400  # packets of events for one stream: some 8 s
LONGEST_S = 5.0
LOST_S = 0.2  # without a packet an event is over: its end was lost
OLD_S = 5.0  # a timestamp so far back is no late packet, but a clock set anew
SAME_S = 1.0  # who sends events, and asks for one, tells of the same key twice
MOST_EVENT = 16  # the keys of a telephone, and the hook
_MOST_DURATION = 0xFFFF


class Event(Struct, frozen=True):
    """The payload of one packet (RFC 4733 2.3); `duration` in timestamp units."""

    code: int
    is_end: bool
    volume: int
    duration: int

    def to_bytes(self) -> bytes:
        flags = (END if self.is_end else 0) | self.volume
        return bytes((self.code, flags)) + self.duration.to_bytes(2, "big")


def parse_event(payload: bytes) -> Event | None:
    """Read the payload of an event packet; None for what is too short to be one.

    Further events in it (RFC 2198 and RFC 2833 3.10) are not looked at.
    """
    if len(payload) < 4:
        return None
    flags = payload[1]
    return Event(payload[0], flags >= END, flags & 63, int.from_bytes(payload[2:4], "big"))


def packets_of(code: int, duration: int, step: int) -> list[Event]:
    """Write an event of `duration` timestamp units, a packet every `step` of them.

    Each tells how long it has been till then; the last of them is there three times.
    """
    told = [*range(step, duration, step), duration]
    began = [Event(code, False, VOLUME, one) for one in told[:-1]]
    return began + [Event(code, True, VOLUME, duration)] * END_PACKETS


class _Open(Struct):
    """The latest event of a stream: told already (`is_told`), or still going on.

    `before`: of a long one, what its earlier segments took (RFC 4733 2.5.1.3).
    """

    ssrc: int
    timestamp: int
    code: int
    duration: int
    heard_at: float
    before: int = 0
    is_told: bool = False


class Events:
    """Of all streams. `told` collects (row, code, ms): who reads it empties it."""

    def __init__(self, streams: Streams, batch: Batch, buffer: JitterBuffer) -> None:
        self.told: deque[tuple[int, int, int]] = deque()
        self.watched: set[int] = set()  # rows of which not every packet goes on as it is
        self._streams = streams
        self._batch = batch
        self._buffer = buffer
        self._rates: dict[int, int] = {}  # of the streams whose events are told
        self._open: dict[int, _Open] = {}
        self._echoed_at: dict[int, float] = {}  # events dropped beside one that was asked for

    def heed(self, row: int, payload_type: int, rate: int) -> None:
        """Take out and tell what comes in this payload type, or nothing any more: -1."""
        if payload_type < 0:
            if self._rates.pop(row, None) is not None:
                self.forget(row)
            return
        self._streams.event_type[row] = payload_type
        self._rates[row] = max(rate, 1)
        self.watched.add(row)

    def forget(self, row: int) -> None:
        """A stream is closed, or its events are the other side's own business again."""
        self._streams.event_type[row] = -1
        self.watched.discard(row)
        self._rates.pop(row, None)
        self._open.pop(row, None)
        self._echoed_at.pop(row, None)

    # What comes

    def sift(self, rows: Ints, headers: Headers, cells: Ints, now: float) -> Bools:
        """Say which packets go on, (n,), at most one of each stream: no row stands twice."""
        streams = self._streams
        ours: Bools = streams.event_type[rows] == headers.payload_type
        mute: Bools = streams.muted_until[rows] > now
        mute |= self._echoes(rows, headers, mute, now)
        goes: Bools = ~(ours | mute)
        if not goes.all():
            picks = np.flatnonzero(~goes)
            self._buffer.skip(rows[picks], headers.select(picks))
        for at in np.flatnonzero(ours).tolist():
            row, cell = int(rows[at]), int(cells[at])
            begin = int(payload_starts(self._batch.data, np.array([cell]))[0])
            size = min(int(headers.octets[at]), 4)
            event = parse_event(self._batch.data[cell, begin : begin + size].tobytes())
            if event is not None:
                self._hear(row, int(headers.ssrc[at]), int(headers.timestamp[at]), event, now)
        return goes

    def _echoes(self, rows: Ints, headers: Headers, mute: Bools, now: float) -> Bools:
        """Say which packets are events that go on beside one which was asked for: the same key."""
        streams = self._streams
        found = np.zeros(len(rows), np.bool_)
        if not self._echoed_at and not mute.any():
            return found
        is_event = streams.clock_rates[rows, headers.payload_type] == 0
        for at in np.flatnonzero(is_event).tolist():
            row = int(rows[at])
            if mute[at] or now - self._echoed_at.get(row, -np.inf) < LOST_S:
                self._echoed_at[row] = now
                found[at] = True
        return found

    def _hear(self, row: int, ssrc: int, timestamp: int, event: Event, now: float) -> None:
        """Take one packet of an event: the first, a further one, one of its ends."""
        last = self._open.get(row)
        if last is not None and last.ssrc == ssrc:
            ahead = (timestamp - last.timestamp + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            if ahead == _MOST_DURATION and not last.is_told and event.code == last.code:
                last.before, last.timestamp, last.duration = last.before + ahead, timestamp, 0
                ahead = 0
            if ahead == 0:
                last.heard_at, last.duration = now, max(last.duration, event.duration)
                if event.is_end and not last.is_told:
                    self._tell(row, last)
                return
            if -OLD_S * self._rates[row] < ahead < 0:
                return  # late: another one has begun since
        if last is not None and not last.is_told:
            self._tell(row, last)
        begun = _Open(ssrc, timestamp, event.code, event.duration, now)
        self._open[row] = begun
        if event.is_end:
            self._tell(row, begun)

    def _tell(self, row: int, event: _Open) -> None:
        event.is_told = True
        if event.code <= MOST_EVENT:
            ticks = event.before + event.duration
            self.told.append((row, event.code, ticks * 1000 // self._rates[row]))

    def care(self, now: float) -> None:
        """Tell of events whose end was lost; look no longer at streams that are done."""
        for row, event in self._open.items():
            if not event.is_told and now - event.heard_at > LOST_S:
                self._tell(row, event)
        for row in [one for one in self.watched if one not in self._rates]:
            if max(self._streams.muted_until[row], self._echoed_at.get(row, 0.0) + LOST_S) < now:
                self.forget(row)

    # What is sent

    def press(self, row: int, verb: Press, now: float) -> bool:
        """Send an event in the stream that comes from `row`, in place of its sound. False: not."""
        streams, peer = self._streams, int(self._streams.peer[row])
        if not streams.is_sendable[peer] or not 0 <= verb.event <= MOST_EVENT:
            return False
        if not streams.is_buffered[row] or now - streams.event_at[row] < SAME_S:
            return False
        length_s = min(verb.duration_ms / 1000, LONGEST_S)
        rate = min(max(verb.clock_rate, 1), int(_MOST_DURATION / LONGEST_S))
        step = int(STEP_S * rate)
        events = packets_of(verb.event, max(int(length_s * rate), 2 * step), step)
        count = len(events)
        if streams.held[row] + count > MOST_WAITING:
            return False
        if self._batch.free_count < count + len(self._batch):
            return False
        payloads = np.frombuffer(b"".join(one.to_bytes() for one in events), np.uint8)
        cells = self._batch.take(count).copy()
        self._write(cells, payloads.reshape(count, 4), verb.payload_type & 127)
        until = self._buffer.lay(row, cells, STEP_S, now)
        streams.muted_until[row] = until
        self.watched.add(row)
        return True

    def _write(self, cells: Ints, payloads: NDArray[np.uint8], payload_type: int) -> None:
        data = self._batch.data
        data[cells, 0] = 0x80
        data[cells, 1] = payload_type
        data[cells[0], 1] = payload_type | 0x80  # the marker: an event begins (RFC 4733 2.2.2)
        data[cells[:, None], np.arange(12, 16)] = payloads
        self._batch.size[cells] = 16
