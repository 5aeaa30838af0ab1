"""Streams: what a worker remembers, one row a stream, one numpy column a field.

A stream is one m-line of one leg. It has two doors, for RTP (door 2 x row) and RTCP (2 x row + 1).
Row 0 is nobody: never handed out, never sendable, so that "no peer" needs no test.
"""

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sipcore.media.control import Description, Side, Stream

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]
Octets = NDArray[np.uint8]
Shorts = NDArray[np.int16]
_TYPES = {
    Bools: np.bool_,
    Ints: np.int64,
    Floats: np.float64,
    Words: np.uint64,
    Octets: np.uint8,
    Shorts: np.int16,
}

NOBODY = 0

WINDOW = 512  # packets that a stream's playout delay is judged by

# Columns that are not one value a row, and starts that are not zero.
_SHAPES = {"sources": (2,), "clock_rates": (128,), "cname": (16,), "window": (WINDOW,)}
_STARTS = {
    "packet_at": -np.inf,
    "heard_at": -np.inf,
    "told_at": -np.inf,
    "left_until": -np.inf,
    "sent_at": -np.inf,
    "report_at": np.inf,
    "payload_type": -1,
    "bad_sequence": -1,
    "ssrc": -1,
    "sent_ssrc": -1,
    "source_ssrc": -1,
    "played": -1,
    "scheduled_at": -np.inf,
    "tone_at": np.inf,
    "tone_begun": -1,
    "event_type": -1,
    "event_at": -np.inf,
    "muted_until": -np.inf,
}


class Counters(Struct):
    """What a worker has done since its start; `lost`, `late`, `foreign` of streams now closed."""

    packets_received: int = 0
    octets_received: int = 0
    packets_sent: int = 0
    lost: int = 0
    foreign: int = 0
    invalid: int = 0
    unsent: int = 0
    late: int = 0
    overflowed: int = 0
    rtcp_received: int = 0
    rtcp_sent: int = 0
    batches: int = 0
    greatest_batch: int = 0
    ticks: int = 0
    ticks_late_s: float = 0.0
    tones: int = 0


class Call(Struct):
    """A call's streams, their rows, and where each was described to be; by stream number."""

    id: str
    streams: list[Stream]
    rows: list[int]
    descriptions: dict[int, Description]
    played: int | None = None  # the row in whose place a tone is heard

    def audio(self) -> dict[Side, int]:
        """Return the row of each side's first stream: its audio."""
        rows: dict[Side, int] = {}
        for stream, row in sorted(
            zip(self.streams, self.rows, strict=True), key=lambda pair: pair[0].media
        ):
            rows.setdefault(stream.side, row)
        return rows


class Streams:
    """The table. Columns are attributes and are replaced when it grows: do not keep them.

    Addresses are numbers that the worker gave to those it was told of; 0 is none.
    `clock_rates` (rows, 128) is by payload type, in Hz; `seen` has bit n for the packet n before
    the highest; `transit` and `jitter` are in timestamp units; `transit_rate` is the clock of
    `transit`, 0 when there is none; `turn` is scratch; `*_at` are seconds of the worker's clock.
    """

    # Who it is.
    is_open: Bools
    is_described: Bools
    is_sendable: Bools
    peer: Ints
    sources: Ints
    clock_rates: Ints
    # Its leg's marks, kept at the leg's first row (`lead`).
    lead: Ints
    is_sound_expected: Bools
    has_started: Bools
    heard_at: Floats
    told_at: Floats
    # Its RTP door: who may speak there.
    is_latched: Bools
    latched_address: Ints
    latched_port: Ints
    left_address: Ints
    left_port: Ints
    left_until: Floats
    foreign: Ints
    # What came: RFC 3550 A.1 for the present source, sums over all sources.
    turn: Ints
    has_source: Bools
    ssrc: Ints
    first_sequence: Ints
    highest_sequence: Ints
    bad_sequence: Ints
    seen: Words
    received: Ints
    past_expected: Ints
    past_received: Ints
    duplicates: Ints
    reordered: Ints
    octets: Ints
    payload_type: Ints
    packet_at: Floats
    # RFC 3550 A.8.
    clock_rate: Ints
    transit: Ints
    transit_rate: Ints
    jitter: Floats
    # How it is played (jitter.py): the source as the buffer knows it, and what is made of it.
    is_buffered: Bools
    source_ssrc: Ints
    source_sequence: Ints
    source_ticks: Ints
    source_rate: Ints
    floor: Floats
    offset: Floats
    wanted: Floats
    source_gap: Ints
    scheduled_at: Floats
    judged: Ints
    window: Shorts
    sequence: Ints
    shift: Ints
    played: Ints
    held: Ints
    late: Ints
    # What is played in its place (player.py): which tone, from when on, since which slot.
    tone: Ints
    tone_type: Ints
    tone_at: Floats
    tone_pause_s: Floats
    tone_begun: Ints
    tone_offset: Ints
    # Its telephone events (events.py): which are told, when one came, till when it is not heard.
    event_type: Ints
    event_at: Floats
    muted_until: Floats
    # What was sent there.
    sent_packets: Ints
    sent_octets: Ints
    past_packets: Ints
    past_octets: Ints
    sent_ssrc: Ints
    sent_timestamp: Ints
    sent_at: Floats
    # RTCP.
    own_ssrc: Ints
    cname: Octets
    report_at: Floats
    expected_prior: Ints
    received_prior: Ints
    last_sr: Ints
    last_sr_at: Floats
    remote_lost: Ints
    remote_jitter: Floats
    round_trip_s: Floats

    def __init__(self, capacity: int = 64) -> None:
        self.capacity = 0
        self._free: list[int] = []
        self._grow(capacity)
        self._free.remove(NOBODY)

    def __len__(self) -> int:
        """Count the rows in use."""
        return self.capacity - 1 - len(self._free)

    def allocate(self) -> int:
        """Return a row whose every field is at its start, but for `is_open` and `lead`: itself."""
        if not self._free:
            self._grow(self.capacity * 2)
        row = self._free.pop()
        for name in self.__annotations__:
            getattr(self, name)[row] = _STARTS.get(name, 0)
        self.is_open[row] = True
        self.lead[row] = row
        return row

    def free(self, row: int) -> None:
        """Hand a row back. Nothing is relayed from or to it from now on."""
        self.is_open[row] = self.is_described[row] = self.is_sendable[row] = False
        self.is_latched[row] = self.is_sound_expected[row] = False
        self.report_at[row] = self.tone_at[row] = np.inf
        self._free.append(row)

    def pair(self, rows: dict[tuple[Side, int], int]) -> list[tuple[int, Side]]:
        """Tell a call's streams, by side and m-line, their peers and their legs' first rows.

        Return those first rows and their sides.
        """
        leads: dict[Side, int] = {}
        for (side, media), row in rows.items():
            self.lead[row] = leads.setdefault(side, row)
            self.peer[row] = rows.get(("b" if side == "a" else "a", media), NOBODY)
        return [(lead, side) for side, lead in leads.items()]

    def expected(self, rows: Ints) -> Ints:
        """Packets that the present sources should have sent (RFC 3550 A.3). Shape of `rows`."""
        span = self.highest_sequence[rows] - self.first_sequence[rows] + 1
        return np.where(self.has_source[rows], span, 0)

    def lost(self, rows: Ints) -> Ints:
        """Packets that never came, over all sources; duplicates do not make up for them."""
        came = self.past_received[rows] + self.received[rows] - self.duplicates[rows]
        return np.maximum(self.past_expected[rows] + self.expected(rows) - came, 0)

    def jitter_s(self, rows: Ints) -> Floats:
        """Interarrival jitter in seconds."""
        return self.jitter[rows] / np.maximum(self.clock_rate[rows], 1)

    def figures(self, row: int, now: float) -> dict[str, Any]:
        """Return the fields of control.StreamState that the table knows, for one row."""
        rows = np.array([row])
        rate = max(int(self.clock_rate[self.peer[row]]), 1)
        age_s = float(now - self.packet_at[row])
        return {
            "is_latched": bool(self.is_latched[row]),
            "is_sound_expected": bool(self.is_sound_expected[self.lead[row]]),
            "payload_type": int(self.payload_type[row]),
            "packets": int(self.past_received[row] + self.received[row]),
            "octets": int(self.octets[row]),
            "lost": int(self.lost(rows)[0]),
            "duplicates": int(self.duplicates[row]),
            "reordered": int(self.reordered[row]),
            "jitter_ms": float(self.jitter_s(rows)[0]) * 1000,
            "sent_packets": int(self.sent_packets[row]),
            "foreign": int(self.foreign[row]),
            "last_packet_age_s": age_s if age_s < np.inf else -1.0,
            "remote_lost": int(self.remote_lost[row]),
            "remote_jitter_ms": float(self.remote_jitter[row]) / rate * 1000,
            "round_trip_s": float(self.round_trip_s[row]),
            "mode": "buffer" if self.is_buffered[row] else "pass",
            "late": int(self.late[row]),
        }

    def _grow(self, capacity: int) -> None:
        for name, kind in self.__annotations__.items():
            shape = (capacity, *_SHAPES.get(name, ()))
            column: NDArray[Any] = np.full(shape, _STARTS.get(name, 0), dtype=_TYPES[kind])
            if self.capacity:
                column[: self.capacity] = getattr(self, name)
            setattr(self, name, column)
        # Low rows are handed out first: the busy part of every column stays in the cache.
        self._free[:0] = range(capacity - 1, self.capacity - 1, -1)
        self.capacity = capacity
