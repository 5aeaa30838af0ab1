"""RTCP (RFC 3550 6): reports written for many streams at once, received compounds read one by one.

What is written stands in columns; what is read is a few packets a minute and stream, of shapes that
only a loop can follow. RTCP ends here: nothing of it is passed on to the other leg.

Whose SSRC our reports carry. The packets that a leg gets from us bear an SSRC of our own where they
went through the jitter buffer, in pass mode that of the other leg's sender. Towards this leg we are
that source: the sender report bears that SSRC, our own packet and octet counts, our clock, the
timestamp carried forward from the last packet sent. So the peer's report blocks name a source it
knows, and its LSR/DLSR give the round trip to us. A leg that got nothing lately gets a receiver
report under an SSRC of our own. The CNAME is our own in any case (RFC 7022): the far side's would
show it, and we do not send its SDES.
"""

import struct
from collections.abc import Callable, Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sipcore.media.streams import Counters, Ints, Streams
from sipcore.media.wire.base import SCRATCH_CELLS, Wire

SR, RR, SDES, BYE = 200, 201, 202, 203
CNAME_BYTES = 16
INTERVAL_S = 5.0  # RFC 3550 6.2: the least one; two members never need more
FIRST_INTERVAL_S = 2.5
SENDER_S = 10.0  # RFC 3550 6.3.8: a sender is who sent within two intervals
_RECONSIDERATION = 1.21828  # e - 3/2, RFC 3550 6.3.1
_VERSION = 2 << 30

_HEADER = struct.Struct(">BBH")
_BLOCK = struct.Struct(">IIIIII")


def interval_s(fraction: float, *, is_first: bool = False) -> float:
    """Return how long to wait before the next report; `fraction` is random in [0, 1)."""
    return (FIRST_INTERVAL_S if is_first else INTERVAL_S) * (0.5 + fraction) / _RECONSIDERATION


class Block(Struct, frozen=True):
    """A report block: what the peer heard of source `ssrc`. `lost` may be negative (A.3)."""

    ssrc: int
    lost: int
    jitter: int
    last_sr: int
    delay: int


class Report(Struct, frozen=True):
    """A received compound. `middle_ntp` is 0 when it had no sender report."""

    middle_ntp: int
    blocks: tuple[Block, ...]
    is_bye: bool


def read_compound(data: bytes) -> Report | None:
    """Read a compound packet; None for what is none (RFC 3550 A.2). Never raises.

    Reduced-size RTCP (RFC 5506) is read too: the first packet may be of any known type.
    """
    middle_ntp, is_bye, at = 0, False, 0
    blocks: list[Block] = []
    while at < len(data):
        if len(data) - at < 8:
            return None
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 + words * 4
        if first >> 6 != 2 or not 192 <= kind <= 223 or end > len(data) or end - at < 8:
            return None
        if kind == SR and end - at >= 28:
            middle_ntp = int.from_bytes(data[at + 10 : at + 14], "big")
            blocks += _read_blocks(data, at + 28, end, first & 31)
        elif kind == RR:
            blocks += _read_blocks(data, at + 8, end, first & 31)
        elif kind == BYE:
            is_bye = True
        at = end
    return Report(middle_ntp, tuple(blocks), is_bye) if data else None


def _read_blocks(data: bytes, at: int, end: int, how_many: int) -> Iterator[Block]:
    for start in range(at, min(at + how_many * 24, end - 23), 24):
        ssrc, lost, _, jitter, last_sr, delay = _BLOCK.unpack_from(data, start)
        lost &= 0xFFFFFF
        yield Block(ssrc, lost - (lost >> 23 << 24), jitter, last_sr, delay)


def write_reports(
    data: NDArray[np.uint8], streams: Streams, rows: Ints, now: float, ntp_s: float, *, bye: bool
) -> int:
    """Write one compound for each of `rows` into `data` (len(rows), 2048); return their size.

    `rows` must be alike (see `alike`). Each is SR or RR with up to one block, SDES with CNAME, and
    BYE when asked. `ntp_s` is the time of day at `now`, in seconds since 1900. The receiver's
    interval counters move on.
    """
    words = data.view(">u4")
    is_sender = bool(now - streams.sent_at[rows[0]] < SENDER_S)
    has_source = bool(streams.has_source[rows[0]])
    ssrc = np.where(is_sender, streams.sent_ssrc[rows], streams.own_ssrc[rows])
    at = _write_sender(words, streams, rows, now, ntp_s) if is_sender else 2
    end = at + 6 if has_source else at
    if has_source:
        _write_block(words[:, at:end], streams, rows, now)
    words[:, 0] = _VERSION | (has_source << 24) | ((SR if is_sender else RR) << 16) | (end - 1)
    words[:, 1] = ssrc
    # SDES: one chunk of SSRC, CNAME item (type 1, length 16), two octets of padding.
    words[:, end] = _VERSION | (1 << 24) | (SDES << 16) | 6
    words[:, end + 1] = ssrc
    name = (end + 2) * 4
    data[:, name] = 1
    data[:, name + 1] = CNAME_BYTES
    data[:, name + 2 : name + 2 + CNAME_BYTES] = streams.cname[rows]
    data[:, name + 2 + CNAME_BYTES : name + 20] = 0
    end += 7
    if bye:
        words[:, end] = _VERSION | (1 << 24) | (BYE << 16) | 1
        words[:, end + 1] = ssrc
        end += 2
    return end * 4


def alike(streams: Streams, rows: Ints, now: float) -> Iterator[Ints]:
    """Split `rows` into those whose reports have the same shape."""
    shape = (now - streams.sent_at[rows] < SENDER_S) * 2 + streams.has_source[rows]
    for kind in range(4):
        if len(chosen := rows[shape == kind]):
            yield chosen


def round_trip_s(block: Block, ntp_s: float) -> float | None:
    """Return the round trip of a report block that came at `ntp_s` (RFC 3550 6.4.1), or None."""
    if not block.last_sr:
        return None
    units = (int(ntp_s * 65536) - block.last_sr - block.delay) & 0xFFFFFFFF
    return units / 65536 if units < 1 << 22 else None  # above 64 s: the peer's arithmetic is wrong


def _write_sender(
    words: NDArray[np.uint32], streams: Streams, rows: Ints, now: float, ntp_s: float
) -> int:
    elapsed = (now - streams.sent_at[rows]) * streams.clock_rate[streams.peer[rows]]
    words[:, 2] = int(ntp_s) & 0xFFFFFFFF
    words[:, 3] = int(ntp_s % 1 * (1 << 32))
    words[:, 4] = (streams.sent_timestamp[rows] + elapsed.astype(np.int64)) & 0xFFFFFFFF
    words[:, 5] = (streams.sent_packets - streams.past_packets)[rows] & 0xFFFFFFFF
    words[:, 6] = (streams.sent_octets - streams.past_octets)[rows] & 0xFFFFFFFF
    return 7


def _write_block(words: NDArray[np.uint32], streams: Streams, rows: Ints, now: float) -> None:
    """RFC 3550 6.4.1 and A.3, for the source that each row hears."""
    expected, received = streams.expected(rows), streams.received[rows]
    expected_now = expected - streams.expected_prior[rows]
    lost_now = expected_now - (received - streams.received_prior[rows])
    fraction = np.where(lost_now > 0, (lost_now << 8) // np.maximum(expected_now, 1), 0)
    streams.expected_prior[rows] = expected
    streams.received_prior[rows] = received
    lost = np.clip(expected - received, -0x800000, 0x7FFFFF) & 0xFFFFFF
    words[:, 0] = streams.ssrc[rows]
    words[:, 1] = (np.clip(fraction, 0, 255) << 24) | lost
    words[:, 2] = streams.highest_sequence[rows] & 0xFFFFFFFF
    words[:, 3] = streams.jitter[rows].astype(np.int64) & 0xFFFFFFFF
    heard = streams.last_sr[rows] != 0
    words[:, 4] = streams.last_sr[rows]
    delay = np.where(heard, (now - streams.last_sr_at[rows]) * 65536, 0)
    words[:, 5] = delay.astype(np.int64) & 0xFFFFFFFF


class Reporter:
    """RTCP of all streams: takes in what comes, sends what is due."""

    def __init__(
        self, streams: Streams, wire: Wire, counters: Counters, fraction: Callable[[], float]
    ) -> None:
        """`fraction()` is random in [0, 1)."""
        self._streams = streams
        self._wire = wire
        self._counters = counters
        self._fraction = fraction

    def begin(self, row: int, now: float) -> None:
        """Set when a stream's first report is due."""
        self._streams.report_at[row] = now + interval_s(self._fraction(), is_first=True)

    def hear(self, row: int, at: int, now: float, ntp_s: float) -> None:
        """Take in one RTCP packet. Its door is never connected: the sender is checked each time."""
        streams, batch = self._streams, self._wire.batch
        if batch.address[at] not in streams.sources[row] or not streams.is_described[row]:
            streams.foreign[row] += 1
            return
        cell = int(batch.cell[at])
        report = read_compound(batch.data[cell, : int(batch.size[cell])].tobytes())
        if report is None:
            self._counters.invalid += 1
            return
        self._counters.rtcp_received += 1
        streams.heard_at[streams.lead[row]] = streams.packet_at[row] = now
        if streams.is_sendable[row]:
            self._wire.aim(2 * row + 1, batch.senders[at], is_latched=False)
        if report.middle_ntp:
            streams.last_sr[row] = report.middle_ntp
            streams.last_sr_at[row] = now
        for block in report.blocks:
            if block.ssrc == streams.sent_ssrc[row]:
                streams.remote_lost[row] = block.lost
                streams.remote_jitter[row] = block.jitter
                trip_s = round_trip_s(block, ntp_s)
                if trip_s is not None:
                    streams.round_trip_s[row] = trip_s

    def send_due(self, now: float, ntp_s: float) -> None:
        """Send the reports whose time has come. `ntp_s` as in write_reports."""
        streams = self._streams
        due = np.flatnonzero(streams.report_at <= now)
        if len(due):
            self.send(due, now, ntp_s)
            for row in due.tolist():
                streams.report_at[row] = now + interval_s(self._fraction())

    def send(self, rows: Ints, now: float, ntp_s: float, *, bye: bool = False) -> None:
        """Send the RTCP reports of `rows`."""
        batch, streams = self._wire.batch, self._streams
        rows = rows[streams.is_sendable[rows]]
        for group in alike(streams, rows, now):
            for start in range(0, len(group), SCRATCH_CELLS):
                some = group[start : start + SCRATCH_CELLS]
                cells = np.arange(len(some))
                size = write_reports(batch.data[: len(some)], streams, some, now, ntp_s, bye=bye)
                batch.size[cells] = size
                unsent = self._wire.send(some * 2 + 1, cells)
                self._counters.rtcp_sent += len(some) - unsent
