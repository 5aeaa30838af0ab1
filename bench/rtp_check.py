"""RTP packets that can be recognised, and what became of them. Pure: no socket, no clock.

A packet is G.711 of 20 ms: 12 octets of header, 160 of payload. The payload has its stream, its
number in the stream, when it was sent and 144 octets that follow from these three. A relay may
write the header anew; the payload tells which packet it is and that it came whole.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

HEADER_BYTES = 12
PAYLOAD_BYTES = 160
PACKET_BYTES = HEADER_BYTES + PAYLOAD_BYTES
PTIME_MS = 20
SAMPLES = 160  # timestamp units a packet
START = 4  # where a packet begins in its row, so that its payload is aligned to 8
ROW_BYTES = 192
PERCENTILES = (50.0, 95.0, 99.0, 99.9)
_PCMU = 0x8000  # version 2, payload type 0
_FILLER = np.arange(1, 19, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
_MIX = np.uint64(0xD6E8FEB86659FD93)

Octets = NDArray[np.uint8]
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Packets:
    """Rows of packets, the fields of which are columns; `data` (rows, ROW_BYTES) uint8.

    `head`, `sequence` >u2; `timestamp`, `ssrc` >u4; `key` (stream << 32 | number), `sent_ns`
    uint64; `filler` (rows, 18) uint64. All are views.
    """

    def __init__(self, rows: int) -> None:
        self.data: Octets = np.zeros((rows, ROW_BYTES), np.uint8)
        halves = self.data[:, START : START + 4].view(">u2")
        self.head, self.sequence = halves[:, 0], halves[:, 1]
        words = self.data[:, START + 4 : START + HEADER_BYTES].view(">u4")
        self.timestamp, self.ssrc = words[:, 0], words[:, 1]
        body = self.data[:, START + HEADER_BYTES : START + PACKET_BYTES].view(np.uint64)
        self.key: Words = body[:, 0]
        self.sent_ns: Words = body[:, 1]
        self.filler: Words = body[:, 2:]

    def address(self) -> Ints:
        """Return where in memory each packet begins, (rows,)."""
        rows: Ints = np.arange(len(self.data)) * ROW_BYTES + self.data.ctypes.data + START
        return rows


def begin(packets: Packets, rows: slice, streams: Ints) -> None:
    """Make rows the packets of streams, (n,): what stays the same in each."""
    packets.head[rows] = _PCMU
    packets.ssrc[rows] = streams + 0x51C00000
    packets.key[rows] = streams.astype(np.uint64) << np.uint64(32)


def write(packets: Packets, rows: slice, number: int, now_ns: int) -> None:
    """Make rows the packets `number` of their streams, sent at `now_ns`."""
    packets.sequence[rows] = number & 0xFFFF
    packets.timestamp[rows] = number * SAMPLES & 0xFFFFFFFF
    keys = packets.key[rows]
    keys &= np.uint64(0xFFFFFFFF00000000)
    keys |= np.uint64(number)
    packets.sent_ns[rows] = now_ns
    np.multiply(_seeds(keys, packets.sent_ns[rows]), _FILLER, out=packets.filler[rows])


def is_whole(packets: Packets, sizes: Ints) -> Bools:
    """Say of the first rows, as many as `sizes` (n,), which are packets as `write` made them."""
    rows = slice(len(sizes))
    expected = _seeds(packets.key[rows], packets.sent_ns[rows]) * _FILLER
    found: Bools = (packets.filler[rows] == expected).all(axis=1)
    found &= sizes == PACKET_BYTES
    found &= (packets.head[rows] & 0xFF7F) == _PCMU  # the marker may be set
    return found


def _seeds(keys: Words, sent_ns: Words) -> Words:
    return (keys * _MIX ^ sent_ns)[:, None]


class Arrivals:
    """What came, in this order: a column a field. Filled by `add`, as far as there is room.

    `overflow` counts what there was no room for: there is room for all that is sent, and more.
    """

    def __init__(self, room: int) -> None:
        self.count = 0
        self.overflow = 0
        self.stream = np.zeros(room, np.int32)
        self.number = np.zeros(room, np.int64)
        self.sequence = np.zeros(room, np.int64)
        self.timestamp = np.zeros(room, np.int64)
        self.ssrc = np.zeros(room, np.int64)
        self.delay_ns = np.zeros(room, np.int64)

    def add(self, packets: Packets, rows: Ints, arrived_ns: Ints) -> None:
        """Note whole packets: `rows` (n,) of `packets`, `arrived_ns` (n,)."""
        rows = rows[: len(self.stream) - self.count]
        self.overflow += len(arrived_ns) - len(rows)
        to = slice(self.count, self.count + len(rows))
        keys = packets.key[rows]
        self.stream[to] = keys >> np.uint64(32)
        self.number[to] = keys & np.uint64(0xFFFFFFFF)
        self.sequence[to] = packets.sequence[rows]
        self.timestamp[to] = packets.timestamp[rows]
        self.ssrc[to] = packets.ssrc[rows]
        self.delay_ns[to] = arrived_ns[: len(rows)] - packets.sent_ns[rows].view(np.int64)
        self.count += len(rows)


class Tally(Struct, frozen=True):
    """What became of the packets of a window. Each packet sent is received or lost.

    `late` ones were received, after the bound. `header_faults`: a sequence number that did not grow
    by one, a timestamp not by 160, or another SSRC, from one packet to the next where nothing was
    lost. `delays_ms` are those of PERCENTILES.
    """

    sent: int
    lost: int
    late: int
    duplicates: int
    out_of_order: int
    header_faults: int
    delays_ms: tuple[float, ...]

    @property
    def loss(self) -> float:
        return self.lost / self.sent if self.sent else 1.0


def tally(came: Arrivals, streams: int, window: range, late_ms: float) -> Tally:
    """Count the packets whose number is in `window`, of each of `streams` streams."""
    rows = slice(came.count)
    inside = (came.number[rows] >= window.start) & (came.number[rows] < window.stop)
    # Stable: packets of one stream stay in the order in which they came.
    order = np.flatnonzero(inside)[np.argsort(came.stream[rows][inside], kind="stable")]
    stream, number = came.stream[order], came.number[order]
    unique = len(np.unique(stream * np.int64(1 << 32) + number))
    same = stream[1:] == stream[:-1]
    step = np.diff(number)
    next_ = same & (step == 1)
    delay_ms = came.delay_ns[order] / 1e6
    found = np.percentile(delay_ms, PERCENTILES) if len(order) else np.zeros(len(PERCENTILES))
    sent = streams * len(window)
    return Tally(
        sent,
        sent - unique,
        int((delay_ms > late_ms).sum()),
        len(order) - unique + came.overflow,
        int((same & (step < 0)).sum()),
        _header_faults(came, order, next_),
        tuple(found.tolist()),
    )


def _header_faults(came: Arrivals, order: Ints, next_: Bools) -> int:
    """Count successors (n - 1,) of which the header does not continue the one before."""
    faulty = np.diff(came.sequence[order]) & 0xFFFF != 1
    faulty |= np.diff(came.timestamp[order]) & 0xFFFFFFFF != SAMPLES
    faulty |= np.diff(came.ssrc[order]) != 0
    return int((faulty & next_).sum())


def slots(streams: int) -> Sequence[Ints]:
    """Return the streams of each millisecond of the 20: spread evenly, a call's legs 9 ms apart.

    Stream 2c is the caller's in call c, 2c + 1 the other's.
    """
    every = np.arange(streams)
    slot = (every // 2 + every % 2 * 9) % PTIME_MS
    return [every[slot == one] for one in range(PTIME_MS)]
