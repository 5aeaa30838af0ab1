"""RTP over columns: headers and receiver's statistics (RFC 3550 5.1, A).

No socket, no clock, no loop over packets.
"""

from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sipcore.media.streams import Bools, Ints, Streams

HEADER_BYTES = 12
MAX_DROPOUT = 3000  # RFC 3550 A.1
MAX_MISORDER = 100
MODULUS = 1 << 16
# A greater step of the transit time is a sender that set its clock anew, not jitter.
CLOCK_STEP_S = 5
_NEVER = 1 << 20  # a header longer than any packet
_MOST_CSRC_BYTES = 60


def _header_table() -> Ints:
    """Length of fixed header and CSRC list for each value of a packet's first two octets.

    `_NEVER` where the packet is invalid or has more to look at (extension, padding): that puts
    whatever is not plain on the slow path by one comparison.
    """
    first, second = np.divmod(np.arange(MODULUS), 256)
    length = HEADER_BYTES + ((first & 15) << 2)
    payload_type = second & 127
    is_rtcp = (payload_type >= 72) & (payload_type <= 76)  # RFC 5761 4
    return np.where((first >> 4 != 8) | is_rtcp, _NEVER, length)


_HEADER_LENGTHS = _header_table()


class Headers:
    """Fields of the fixed header, a column each: (rows,). `octets` is payload without padding.

    `marker` is 128 where it is set, else 0.
    """

    __slots__ = ("marker", "octets", "payload_type", "sequence", "ssrc", "timestamp")

    def __init__(
        self,
        marker: Ints,
        octets: Ints,
        payload_type: Ints,
        sequence: Ints,
        ssrc: Ints,
        timestamp: Ints,
    ) -> None:
        self.marker = marker
        self.octets = octets
        self.payload_type = payload_type
        self.sequence = sequence
        self.ssrc = ssrc
        self.timestamp = timestamp

    @classmethod
    def empty(cls, rows: int) -> Self:
        """Make room for the headers of `rows` packets."""
        return cls(*(np.zeros(rows, np.int64) for _ in cls.__slots__))

    def select(self, picks: Ints | Bools | slice) -> "Headers":
        """Return some of the rows: a view for a slice, a copy for indices or a mask."""
        return Headers(*(getattr(self, name)[picks] for name in self.__slots__))


def read_headers(data: NDArray[np.uint8], cells: Ints, sizes: Ints, out: Headers) -> Bools:
    """Read the headers of `data[cells]` (n, bytes), packets of `sizes` (n,), into `out` (n,).

    Return which are valid by RFC 3550 A.1's test: version 2, a payload type that no RTCP packet
    has, room for CSRC list, extension and padding. Octets beyond a packet's size are never
    believed. A packet that may have been cut off by its cell's end is not valid.
    """
    # Two gathers of eight octets cost less than five of what the fields are.
    head = data[:, :16].view(np.int64)[cells].byteswap(inplace=True)
    first, ssrc = head[:, 0], head[:, 1]
    start = first >> 48 & 0xFFFF
    np.subtract(sizes, _HEADER_LENGTHS[start], out=out.octets)
    np.bitwise_and(start, 127, out=out.payload_type)
    np.bitwise_and(start, 128, out=out.marker)
    np.bitwise_and(first >> 32, 0xFFFF, out=out.sequence)
    np.bitwise_and(first, 0xFFFFFFFF, out=out.timestamp)
    np.bitwise_and(ssrc >> 32, 0xFFFFFFFF, out=out.ssrc)
    # One comparison for both ends: a negative number is a very great one here.
    longest = data.shape[1] - HEADER_BYTES - _MOST_CSRC_BYTES
    valid: Bools = out.octets.view(np.uint64) < longest
    if not valid.all():
        _read_extras(data, cells, sizes, out, valid)
    return valid


def payload_starts(data: NDArray[np.uint8], cells: Ints) -> Ints:
    """Return where the payloads of valid packets in `data[cells]` begin, (n,)."""
    first = data[cells, 0].astype(np.int64)
    at: Ints = HEADER_BYTES + ((first & 15) << 2)
    extended = np.flatnonzero(first & 16)
    some, ends = cells[extended], at[extended]
    words = (data[some, ends + 2].astype(np.int64) << 8) | data[some, ends + 3]
    at[extended] += 4 + (words << 2)
    return at


def rounds(streams: Streams, rows: Ints) -> Iterator[Ints | None]:
    """Split packets of `rows` (n,) so that no stream stands twice in a part; yield their indices.

    Packets of one stream must be taken one after the other (RFC 3550 A.1, A.8), and all streams
    at once: part k has the k-th packet of every stream. None for all of them, the usual case.
    """
    left: Ints | None = None
    while len(rows):
        order = np.arange(len(rows))
        streams.turn[rows[::-1]] = order[::-1]
        first = streams.turn[rows] == order
        if first.all():
            yield left
            return
        if left is None:
            left = order
        yield left[first]
        left, rows = left[~first], rows[~first]


def _read_extras(
    data: NDArray[np.uint8], cells: Ints, sizes: Ints, out: Headers, valid: Bools
) -> None:
    """Look again at what is not plain: take extension and padding off `octets`, mend `valid`."""
    rows = np.flatnonzero(~valid)
    first, kind = data[cells[rows], 0].astype(np.int64), out.payload_type[rows]
    fine = (first >> 6 == 2) & ((first & 48) != 0) & ((kind < 72) | (kind > 76))
    rows, first = rows[fine], first[fine]
    at = HEADER_BYTES + ((first & 15) << 2)
    left = sizes[rows] - at
    extended = (first & 16) != 0
    fits = (left >= extended * 4) & (sizes[rows] < data.shape[1])
    rows, first, at, left, extended = (
        one[fits] for one in (rows, first, at, left, extended.astype(np.int64))
    )
    some = cells[rows]
    length = (data[some, at + 2].astype(np.int64) << 8) | data[some, at + 3]
    left -= extended * (4 + (length << 2))
    padded = (first & 32) != 0
    padding = np.where(padded, data[some, sizes[rows] - 1], 0).astype(np.int64)
    left -= padding
    fits = (left >= 0) & ~(padded & (padding == 0))
    out.octets[rows[fits]] = left[fits]
    valid[rows[fits]] = True


def count_packets(streams: Streams, rows: Ints, headers: Headers, now: float) -> Bools | None:
    """Count at most one packet of each stream into its row: no row stands twice in `rows` (n,).

    Return which packets were here before (n,), as far as 64 packets back can tell; None for none.
    """
    ahead = (headers.sequence - streams.highest_sequence[rows]) & (MODULUS - 1)
    known = streams.ssrc[rows] == headers.ssrc
    plain = known & (ahead == 1)
    again: Bools | None = None
    if plain.all():
        _advance(streams, rows)
    else:
        again = np.zeros(len(rows), np.bool_)
        _advance(streams, rows[plain])
        odd = ~plain
        again[odd] = _place(streams, rows[odd], headers.select(odd), ahead[odd], known[odd])
    streams.octets[rows] += headers.octets
    streams.payload_type[rows] = headers.payload_type
    _measure_jitter(streams, rows, headers, now)
    return again


def _advance(streams: Streams, rows: Ints) -> None:
    streams.highest_sequence[rows] += 1
    streams.seen[rows] = (streams.seen[rows] << np.uint64(1)) | np.uint64(1)
    streams.received[rows] += 1


def _place(streams: Streams, rows: Ints, headers: Headers, ahead: Ints, known: Bools) -> Bools:
    """Place packets that are not simply the next: RFC 3550 A.1 without its probation.

    Return which were here before. Probation is there to tell a real source from a stray packet;
    here the latch has done that.
    """
    sequence = headers.sequence
    jumped = known & (ahead >= MAX_DROPOUT) & (ahead <= MODULUS - MAX_MISORDER)
    begun = ~known | (jumped & (sequence == streams.bad_sequence[rows]))
    _begin(streams, rows[begun], sequence[begun], headers.ssrc[begun])
    waits = jumped & ~begun
    streams.bad_sequence[rows[waits]] = (sequence[waits] + 1) & (MODULUS - 1)

    moved = known & (ahead < MAX_DROPOUT) & (ahead > 0)
    chosen, step = rows[moved], ahead[moved]
    streams.highest_sequence[chosen] += step
    shift = np.minimum(step, 63).astype(np.uint64)
    seen = np.where(step < 64, streams.seen[chosen] << shift, np.uint64(0))
    streams.seen[chosen] = seen | np.uint64(1)
    streams.received[chosen] += 1

    late: Bools = known & ((ahead == 0) | (ahead > MODULUS - MAX_MISORDER))
    chosen, back = rows[late], (MODULUS - ahead[late]) & (MODULUS - 1)
    bit = np.where(back < 64, np.uint64(1) << np.minimum(back, 63).astype(np.uint64), np.uint64(0))
    again = (streams.seen[chosen] & bit) != 0
    streams.seen[chosen] |= bit
    streams.duplicates[chosen] += again
    streams.reordered[chosen] += ~again
    streams.received[chosen] += 1
    late[late] = again
    return late


def _begin(streams: Streams, rows: Ints, sequence: Ints, ssrc: Ints) -> None:
    """Begin a source anew (init_seq of RFC 3550 A.1), its first packet counted."""
    if not len(rows):
        return
    streams.past_expected[rows] += streams.expected(rows)
    streams.past_received[rows] += streams.received[rows]
    streams.has_source[rows] = True
    streams.ssrc[rows] = ssrc
    streams.first_sequence[rows] = sequence
    streams.highest_sequence[rows] = sequence
    streams.bad_sequence[rows] = -1
    streams.seen[rows] = 1
    streams.received[rows] = 1
    streams.expected_prior[rows] = 0
    streams.received_prior[rows] = 0
    streams.transit_rate[rows] = 0


def end_source(streams: Streams, row: int) -> None:
    """Whoever speaks next in a stream's place is another source, whatever its SSRC."""
    streams.past_expected[row] += streams.expected(np.array([row]))[0]
    streams.past_received[row] += streams.received[row]
    streams.received[row] = 0
    streams.has_source[row] = False
    streams.ssrc[row] = -1


def _measure_jitter(streams: Streams, rows: Ints, headers: Headers, now: float) -> None:
    """Interarrival jitter (RFC 3550 A.8), for packets whose timestamp says when they were made.

    All packets of a batch arrive at `now`: the figure holds up to half a tick.
    """
    rate = streams.clock_rates[rows, headers.payload_type]
    transit = (now * rate).astype(np.int64) - headers.timestamp & 0xFFFFFFFF
    step = (transit - streams.transit[rows] + 0x80000000 & 0xFFFFFFFF) - 0x80000000
    step = np.abs(step, out=step)
    usable = (rate == streams.transit_rate[rows]) & (step < CLOCK_STEP_S * rate)
    jitter = streams.jitter[rows]
    if usable.all():
        streams.jitter[rows] = jitter + (step - jitter) / 16
        streams.transit[rows] = transit
        return
    told = rate > 0
    before = np.where(streams.clock_rate[rows] > 0, streams.clock_rate[rows], rate)
    # At a changed clock rate the figure keeps its meaning in seconds.
    scaled = jitter * (rate / np.maximum(before, 1))
    new = np.where(usable, jitter + (step - jitter) / 16, scaled)
    rows, rate = rows[told], rate[told]
    streams.jitter[rows] = new[told]
    streams.transit[rows] = transit[told]
    streams.transit_rate[rows] = streams.clock_rate[rows] = rate
