"""RTP over columns: headers and receiver's statistics (RFC 3550 5.1, A), latching, passing on.

No socket, no clock, no loop over packets.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from sipcore.media.control import Description
from sipcore.media.streams import NOBODY, Bools, Counters, Ints, Streams
from sipcore.media.wire.base import Addresses, Remote, Wire, canonical

HEADER_BYTES = 12
MAX_DROPOUT = 3000  # RFC 3550 A.1
MAX_MISORDER = 100
MODULUS = 1 << 16
# A greater step of the transit time is a sender that set its clock anew, not jitter.
CLOCK_STEP_S = 5
RELATCH_S = 1.0  # a leg silent for so long may speak from another port (architecture.md)
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
    """Fields of the fixed header, a column each: (rows,). `octets` is payload without padding."""

    __slots__ = ("octets", "payload_type", "sequence", "ssrc", "timestamp")

    def __init__(
        self, octets: Ints, payload_type: Ints, sequence: Ints, ssrc: Ints, timestamp: Ints
    ) -> None:
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
        return Headers(
            self.octets[picks],
            self.payload_type[picks],
            self.sequence[picks],
            self.ssrc[picks],
            self.timestamp[picks],
        )


def read_headers(data: NDArray[np.uint8], sizes: Ints, out: Headers) -> Bools:
    """Read the headers of `data` (n, bytes), packets of `sizes` (n,), into `out`'s columns (n,).

    Return which are valid by RFC 3550 A.1's test: version 2, a payload type that no RTCP packet
    has, room for CSRC list, extension and padding. Octets beyond a packet's size are never
    believed. A packet that may have been cut off by its row's end is not valid.
    """
    halves, words = data.view(">u2"), data.view(">u4")
    np.subtract(sizes, _HEADER_LENGTHS[halves[:, 0]], out=out.octets)
    np.bitwise_and(data[:, 1], 127, out=out.payload_type)
    out.sequence[:] = halves[:, 1]
    out.timestamp[:] = words[:, 1]
    out.ssrc[:] = words[:, 2]
    # One comparison for both ends: a negative number is a very great one here.
    longest = data.shape[1] - HEADER_BYTES - _MOST_CSRC_BYTES
    valid: Bools = out.octets.view(np.uint64) < longest
    if not valid.all():
        _read_extras(data, sizes, out, valid)
    return valid


def _read_extras(data: NDArray[np.uint8], sizes: Ints, out: Headers, valid: Bools) -> None:
    """Look again at what is not plain: take extension and padding off `octets`, mend `valid`."""
    rows = np.flatnonzero(~valid)
    first, kind = data[rows, 0].astype(np.int64), out.payload_type[rows]
    fine = (first >> 6 == 2) & ((first & 48) != 0) & ((kind < 72) | (kind > 76))
    rows, first = rows[fine], first[fine]
    at = HEADER_BYTES + ((first & 15) << 2)
    left = sizes[rows] - at
    extended = (first & 16) != 0
    fits = (left >= extended * 4) & (sizes[rows] < data.shape[1])
    rows, first, at, left, extended = (
        one[fits] for one in (rows, first, at, left, extended.astype(np.int64))
    )
    length = (data[rows, at + 2].astype(np.int64) << 8) | data[rows, at + 3]
    left -= extended * (4 + (length << 2))
    padded = (first & 32) != 0
    padding = np.where(padded, data[rows, sizes[rows] - 1], 0).astype(np.int64)
    left -= padding
    fits = (left >= 0) & ~(padded & (padding == 0))
    out.octets[rows[fits]] = left[fits]
    valid[rows[fits]] = True


def count_packets(streams: Streams, rows: Ints, headers: Headers, now: float) -> None:
    """Count packets into their streams' rows, (n,) as the columns of `headers`, in this order.

    Packets of one stream are taken one after the other, as RFC 3550 A.1 and A.8 want it, and all
    streams at once: round k handles the k-th packet of every stream.
    """
    order = np.arange(len(rows))
    streams.turn[rows] = order
    if (streams.turn[rows] == order).all():  # no stream twice
        _count_round(streams, rows, headers, now)
        return
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    begin = np.zeros(len(rows), np.int64)
    begin[starts] = starts
    rank = np.arange(len(rows)) - np.maximum.accumulate(begin)
    for turn in range(int(rank.max()) + 1):
        chosen = order[rank == turn]
        _count_round(streams, rows[chosen], headers.select(chosen), now)


def _count_round(streams: Streams, rows: Ints, headers: Headers, now: float) -> None:
    """Count at most one packet of each stream: no row stands twice in `rows`."""
    ahead = (headers.sequence - streams.highest_sequence[rows]) & (MODULUS - 1)
    known = streams.ssrc[rows] == headers.ssrc
    plain = known & (ahead == 1)
    if plain.all():
        _advance(streams, rows)
    else:
        _advance(streams, rows[plain])
        odd = ~plain
        _place(streams, rows[odd], headers.select(odd), ahead[odd], known[odd])
    streams.octets[rows] += headers.octets
    streams.payload_type[rows] = headers.payload_type
    _measure_jitter(streams, rows, headers, now)


def _advance(streams: Streams, rows: Ints) -> None:
    streams.highest_sequence[rows] += 1
    streams.seen[rows] = (streams.seen[rows] << np.uint64(1)) | np.uint64(1)
    streams.received[rows] += 1


def _place(streams: Streams, rows: Ints, headers: Headers, ahead: Ints, known: Bools) -> None:
    """Place packets that are not simply the next: RFC 3550 A.1 without its probation.

    Probation is there to tell a real source from a stray packet; here the latch has done that.
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

    late = known & ((ahead == 0) | (ahead > MODULUS - MAX_MISORDER))
    chosen, back = rows[late], (MODULUS - ahead[late]) & (MODULUS - 1)
    bit = np.where(back < 64, np.uint64(1) << np.minimum(back, 63).astype(np.uint64), np.uint64(0))
    again = (streams.seen[chosen] & bit) != 0
    streams.seen[chosen] |= bit
    streams.duplicates[chosen] += again
    streams.reordered[chosen] += ~again
    streams.received[chosen] += 1


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


def _measure_jitter(streams: Streams, rows: Ints, headers: Headers, now: float) -> None:
    """Interarrival jitter (RFC 3550 A.8), for packets whose timestamp says when they were made.

    All packets of a batch arrive at `now`: the figure holds up to half the gap between batches.
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


class Relay:
    """The way of RTP packets through a worker: strict source, statistics, on to the peer.

    `started` collects the first rows of legs whose first packet came; who reads it empties it.
    """

    def __init__(self, streams: Streams, wire: Wire, addresses: Addresses, counters: Counters):
        self.started: list[int] = []
        self._streams = streams
        self._wire = wire
        self._addresses = addresses
        self._counters = counters
        self._headers = Headers.empty(len(wire.batch))
        self._every = np.arange(len(wire.batch))

    def take(self, rows: Ints, now: float) -> None:
        """Deal with the packets at the front of the batch.

        `rows` (n,) are their streams; NOBODY for one that has been dealt with, whose size is 0.
        """
        batch, count = self._wire.batch, len(rows)
        headers = self._headers.select(slice(count))
        valid = read_headers(batch.data[:count], batch.size[:count], headers)
        admitted = valid & self._admit(rows, valid, now) if batch.senders else valid
        picks = self._every[:count]
        if not admitted.all():
            self._counters.invalid += int((~valid & (rows != NOBODY)).sum())
            picks = np.flatnonzero(admitted)
            if not len(picks):
                return
            rows, headers = rows[picks], headers.select(picks)
        self._hear(rows, headers, now)
        self._pass(rows, headers, picks, now)

    def move(self, row: int, one: Description, now: float) -> None:
        """Take in that a stream's speaker is (now) elsewhere: latch anew, by this description only.

        Packets still under way from the old port of the same host must not latch it again, so that
        source is shut out for a moment unless it is the one described.
        """
        streams = self._streams
        address = canonical(one.address)
        is_reachable = bool(address) and (":" in address) == self._wire.is_ipv6 and one.port > 0
        sources = [self._addresses.hold(text) for text in one.sources[:2]] if one.port else []
        for number in streams.sources[row].tolist():
            self._addresses.drop(number)
        streams.sources[row] = (*sources, 0, 0)[:2]
        if streams.is_latched[row]:
            old = streams.latched_address[row], streams.latched_port[row]
            if old != (self._addresses.number(address), one.port):
                streams.left_address[row], streams.left_port[row] = old
                streams.left_until[row] = now + RELATCH_S
        streams.is_latched[row] = False
        streams.is_described[row] = one.port > 0
        streams.is_sendable[row] = is_reachable
        remote: Remote | None = (address, one.port) if is_reachable else None
        self._wire.aim(2 * row, remote, is_latched=False)
        rtcp = (address, one.rtcp_port) if is_reachable and one.rtcp_port else None
        self._wire.aim(2 * row + 1, rtcp, is_latched=False)

    def close(self, row: int) -> None:
        """Forget a stream and its doors."""
        for number in self._streams.sources[row].tolist():
            self._addresses.drop(number)
        self._wire.close(row)
        self._streams.free(row)

    def remote(self, row: int, told: Description | None) -> Remote:
        """Return where a stream is sent to: the latched source, else what was described."""
        streams = self._streams
        if streams.is_latched[row]:
            address = self._addresses.text(int(streams.latched_address[row]))
            return address, int(streams.latched_port[row])
        return (told.address, told.port) if told is not None else ("", 0)

    def unlatch(self, row: int) -> None:
        """Let a silent leg speak from another port; until it does, send where it last was."""
        streams = self._streams
        address = self._addresses.text(int(streams.latched_address[row]))
        streams.is_latched[row] = False
        self._wire.aim(2 * row, (address, int(streams.latched_port[row])), is_latched=False)

    def _admit(self, rows: Ints, valid: Bools, now: float) -> Bools:
        """Say which packets (n,) come from where their stream is latched to; latch what may be.

        Strict source: a stream is latched to the first valid packet from an address that signalling
        named for it. The port is learnt (NAT). Everything else is foreign, counted, and goes
        nowhere. Packets of connected doors (port 0) were judged by the kernel.
        """
        streams, batch, count = self._streams, self._wire.batch, len(rows)
        ports = batch.port[:count]
        named = ports != 0
        addresses = batch.address[:count]
        allowed = (streams.sources[rows] == addresses[:, None]).any(axis=1)
        left = (streams.left_address[rows] == addresses) & (streams.left_port[rows] == ports)
        left &= streams.left_until[rows] > now
        may = valid & named & allowed & ~streams.is_latched[rows] & ~left
        if may.any():
            picks = np.flatnonzero(may)
            chosen, first = np.unique(rows[picks], return_index=True)
            for row, at in zip(chosen.tolist(), picks[first].tolist(), strict=True):
                self._latch(row, at)
        genuine: Bools = streams.is_latched[rows] & (streams.latched_address[rows] == addresses)
        genuine &= streams.latched_port[rows] == ports
        genuine |= ~named
        np.add.at(streams.foreign, rows[~genuine], 1)
        return genuine

    def _latch(self, row: int, at: int) -> None:
        streams, batch = self._streams, self._wire.batch
        streams.is_latched[row] = True
        streams.latched_address[row] = batch.address[at]
        streams.latched_port[row] = batch.port[at]
        streams.left_until[row] = -np.inf
        self._wire.aim(2 * row, batch.senders[at], is_latched=True)

    def _hear(self, rows: Ints, headers: Headers, now: float) -> None:
        """Count genuine packets, and note the signs of life of their legs."""
        streams = self._streams
        count_packets(streams, rows, headers, now)
        self._counters.packets_received += len(rows)
        streams.packet_at[rows] = now
        leads = streams.lead[rows]
        streams.heard_at[leads] = now
        if not streams.has_started[leads].all():
            for lead in np.unique(leads[~streams.has_started[leads]]).tolist():
                streams.has_started[lead] = True
                self.started.append(lead)

    def _pass(self, rows: Ints, headers: Headers, picks: Ints, now: float) -> None:
        """Send packets on as they are (pass mode); `picks` are their places in the batch.

        The jitter buffer will stand here: packets go into its matrix, and what is due comes out
        with sequence, timestamp and SSRC of our own, written as columns.
        """
        streams, batch = self._streams, self._wire.batch
        peers = streams.peer[rows]
        sendable = streams.is_sendable[peers]
        if not sendable.all():
            peers, picks, headers = peers[sendable], picks[sendable], headers.select(sendable)
            if not len(picks):
                return
        unsent = self._wire.send(peers * 2, picks, batch.size[picks])
        self._counters.unsent += unsent
        self._counters.packets_sent += len(picks) - unsent
        changed = streams.sent_ssrc[peers] != headers.ssrc
        if changed.any():
            fresh = peers[changed]
            streams.past_packets[fresh] = streams.sent_packets[fresh]
            streams.past_octets[fresh] = streams.sent_octets[fresh]
            streams.sent_ssrc[peers] = headers.ssrc
        streams.sent_timestamp[peers] = headers.timestamp
        streams.sent_at[peers] = now
        np.add.at(streams.sent_packets, peers, 1)
        np.add.at(streams.sent_octets, peers, headers.octets)
