"""RTP headers, and RFC 3550's statistics against a plain scalar reading of its appendix A."""

import struct
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.media.control import Mode
from sipcore.media.rtp import CLOCK_STEP_S, Headers, count_packets, read_headers, rounds
from sipcore.media.streams import Bools, Ints, Streams
from sipcore.media.wire.base import CELL_BYTES
from tests.media.net import Bench, rtp

RATE = 8000


@dataclass
class Source:
    """RFC 3550 A.1 (without probation), A.3 and A.8 as they are printed, one packet at a time."""

    base: int = 0
    max_seq: int = 0
    cycles: int = 0
    bad_seq: int = -1
    received: int = 0
    ssrc: int = -1
    transit: int | None = None
    jitter: float = 0.0
    past_expected: int = 0
    past_received: int = 0

    def init(self, ssrc: int, seq: int) -> None:
        if self.ssrc >= 0:
            self.past_expected += self.expected
            self.past_received += self.received
        self.ssrc, self.base, self.max_seq, self.bad_seq = ssrc, seq, seq, -1
        self.cycles = self.received = 0
        self.transit = None

    @property
    def expected(self) -> int:
        return self.cycles + self.max_seq - self.base + 1

    def update(self, ssrc: int, seq: int) -> None:
        if ssrc != self.ssrc:
            self.init(ssrc, seq)
        delta = (seq - self.max_seq) & 0xFFFF
        if delta < 3000:
            if seq < self.max_seq:
                self.cycles += 65536
            self.max_seq = seq
        elif delta <= 65536 - 100:
            if seq != self.bad_seq:
                self.bad_seq = (seq + 1) & 0xFFFF
                return
            self.init(ssrc, seq)
        self.received += 1

    def measure(self, timestamp: int, arrival: int) -> None:
        transit = (arrival - timestamp) & 0xFFFFFFFF
        if self.transit is not None:
            step = (transit - self.transit) & 0xFFFFFFFF
            step = min(step, (1 << 32) - step)
            if step < CLOCK_STEP_S * RATE:
                self.jitter += (step - self.jitter) / 16
        self.transit = transit


def headers_of(packets: list[bytes]) -> tuple[Headers, Bools]:
    data = np.zeros((len(packets), CELL_BYTES), np.uint8)
    for row, packet in zip(data, packets, strict=True):
        row[: len(packet)] = np.frombuffer(packet, np.uint8)
    headers = Headers.empty(len(packets))
    sizes = np.array([len(one) for one in packets])
    return headers, read_headers(data, np.arange(len(packets)), sizes, headers)


def count_all(streams: Streams, rows: Ints, headers: Headers, now: float) -> None:
    """Count packets of which several may be of one stream."""
    for turn in rounds(streams, rows):
        picks = slice(None) if turn is None else turn
        count_packets(streams, rows[picks], headers.select(picks), now)


def table(how_many: int) -> tuple[Streams, list[int]]:
    streams = Streams(4)
    rows = [streams.allocate() for _ in range(how_many)]
    streams.clock_rates[rows] = RATE
    return streams, rows


# A walk over sequence numbers: mostly the next, now and then a loss, a repeat, a jump or a wrap.
steps = st.one_of(
    st.just(1),
    st.just(1),
    st.integers(-3, 5),
    st.integers(-110, 110),
    st.sampled_from([0, 2999, 3000, 30000, -100, -101, 65535]),
)
arrivals = st.lists(
    st.tuples(
        st.integers(0, 3),  # stream
        steps,
        st.sampled_from([7, 7, 7, 7, 9]),  # SSRC
        st.integers(0, 400),  # what the timestamp is off by
        st.floats(0, 0.05),  # seconds to the next batch, 0: in the same one
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(arrivals, st.integers(0, 65535))
def test_statistics_are_those_of_rfc_3550_appendix_a(
    packets: list[tuple[int, int, int, int, float]], start: int
) -> None:
    streams, rows = table(4)
    sources = [Source() for _ in rows]
    sequences = [start] * 4
    now = 5000.0
    batch: list[tuple[int, bytes]] = []

    def flush() -> None:
        if batch:
            headers, valid = headers_of([packet for _, packet in batch])
            assert valid.all()
            which = np.array([rows[one] for one, _ in batch])
            count_all(streams, which, headers, now)
            batch.clear()

    for stream, step, ssrc, off, gap in packets:
        sequences[stream] = (sequences[stream] + step) & 0xFFFF
        timestamp = (sequences[stream] * 160 + off) & 0xFFFFFFFF
        batch.append((stream, rtp(sequences[stream], timestamp, ssrc)))
        sources[stream].update(ssrc, sequences[stream])
        sources[stream].measure(timestamp, int(now * RATE))
        if gap > 0.02:
            flush()
            now += gap
    flush()
    for row, source in zip(rows, sources, strict=True):
        if source.ssrc < 0:
            assert not streams.has_source[row]
            continue
        one = np.array([row])
        assert streams.expected(one)[0] == source.expected
        assert streams.received[row] == source.received
        assert streams.past_expected[row] == source.past_expected
        assert streams.past_received[row] == source.past_received
        assert streams.highest_sequence[row] == source.cycles + source.max_seq
        assert streams.jitter[row] == pytest.approx(source.jitter, abs=1e-6)


@pytest.mark.parametrize(
    ("sequences", "lost", "duplicates", "reordered"),
    [
        ([1, 2, 3, 4], 0, 0, 0),
        ([65534, 65535, 0, 1], 0, 0, 0),
        ([1, 2, 5, 6], 2, 0, 0),
        ([1, 2, 2, 3], 0, 1, 0),
        ([1, 3, 2, 4], 0, 0, 1),
        ([1, 3, 2, 2, 4], 0, 1, 1),
        ([65535, 1, 0, 65535, 2], 0, 1, 1),
        ([1, 5, 1, 1], 3, 2, 0),
        ([1, 200, 130, 130], 196, 0, 2),  # too long ago to know one from the other
    ],
)
def test_losses_duplicates_and_late_packets_are_told_apart(
    sequences: list[int], lost: int, duplicates: int, reordered: int
) -> None:
    for at_once in (True, False):
        streams, (row,) = table(1)
        headers, _ = headers_of([rtp(one) for one in sequences])
        chunks = [list(range(len(sequences)))] if at_once else [[n] for n in range(len(sequences))]
        for chunk in chunks:
            some = headers.select(np.array(chunk))
            count_all(streams, np.full(len(chunk), row), some, 1.0)
        assert streams.duplicates[row] == duplicates
        assert streams.reordered[row] == reordered
        assert streams.lost(np.array([row]))[0] == lost


def test_telephone_events_do_not_count_as_jitter() -> None:  # RFC 4733 2.2: the timestamp stands
    bench = Bench()
    a, b = ("198.51.100.1", 4000), ("198.51.100.2", 5000)
    bench.open("one", a, b, (10000, 10002))
    for number in range(20):
        stamp = 1600 if 10 <= number < 15 else number * 160
        bench.speak(a, 10000, timestamp=stamp, payload_type=101 if 10 <= number < 15 else 0)
        bench.now += 0.02
    assert bench.state("one")[0].jitter_ms == pytest.approx(0, abs=0.07)


def test_jitter_is_told_in_milliseconds_whatever_the_clock() -> None:
    for rate in (8000, 48000):
        bench = Bench()
        a, b = ("198.51.100.1", 4000), ("198.51.100.2", 5000)
        bench.open("one", a, b, (10000, 10002), clock_rate=rate, other_rates=())
        for number in range(200):
            bench.speak(a, 10000, timestamp=number * rate // 50)
            bench.now += 0.030 if number % 2 else 0.010
        assert bench.state("one")[0].jitter_ms == pytest.approx(10, rel=0.02)


def pack(first: int, second: int = 0, rest: bytes = b"") -> bytes:
    return struct.pack(">BBHII", first, second, 1, 2, 3) + rest


@pytest.mark.parametrize(
    ("packet", "octets"),
    [
        (pack(0x80), 0),
        (pack(0x80, 8, bytes(160)), 160),
        (pack(0x82, 0, bytes(8)), 0),  # two CSRCs
        (pack(0x90, 0, b"\xbe\xde\0\1" + bytes(4) + bytes(20)), 20),  # extension
        (pack(0xA0, 0, bytes(159) + b"\4"), 156),  # padding
        (pack(0xB1, 0, bytes(4) + b"\0\0\0\1" + bytes(4) + bytes(7) + b"\2"), 6),  # all of them
    ],
)
def test_valid_headers(packet: bytes, octets: int) -> None:
    headers, valid = headers_of([packet])
    assert valid[0]
    assert headers.octets[0] == octets
    assert (headers.sequence[0], headers.timestamp[0], headers.ssrc[0]) == (1, 2, 3)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80",
        pack(0x80)[:11],
        pack(0x40),  # version 1
        pack(0x80, 200 - 128),  # an RTCP SR
        pack(0x81),  # CSRC count without CSRC
        pack(0x90),  # no room for an extension
        pack(0x90, 0, b"\xbe\xde\0\2" + bytes(4)),  # extension longer than the packet
        pack(0xA0, 0, bytes(4)),  # padding of 0
        pack(0xA0, 0, bytes(4) + b"\x06"),  # padding longer than the payload
        pack(0xA0),
        pack(0x80, 0, bytes(CELL_BYTES - 12)),  # was cut off
    ],
)
def test_invalid_headers(packet: bytes) -> None:
    assert not headers_of([packet])[1][0]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 2),
            st.one_of(
                st.binary(max_size=200),
                st.binary(max_size=60).map(lambda tail: b"\xb3" + tail),
                st.binary(max_size=60).map(lambda tail: b"\x81\xc9" + tail),
            ),
        ),
        max_size=40,
    ),
    st.sampled_from(["buffer", "pass"]),
)
def test_no_datagram_breaks_the_engine(packets: list[tuple[int, int, bytes]], mode: Mode) -> None:
    bench = Bench(rows=16)
    hosts = [("198.51.100.1", 4000), ("198.51.100.2", 5000), ("203.0.113.1", 1)]
    bench.open("one", hosts[0], hosts[1], (10000, 10002), mode=mode)
    for port, host, packet in packets:
        bench.wire.deliver(hosts[host], 10000 + port, packet)
    bench.run()
    bench.wait(10)
    totals = bench.totals()
    counted = totals.packets_received + totals.rtcp_received + totals.invalid + totals.foreign
    assert counted >= len(packets) - bench.wire.refused
    bench.close("one")


def test_the_table_grows_and_hands_rows_out_again() -> None:
    streams = Streams(2)
    rows = [streams.allocate() for _ in range(40)]
    assert len(set(rows)) == 40
    assert 0 not in rows
    streams.jitter[rows[3]] = 5
    streams.free(rows[3])
    assert len(streams) == 39
    assert streams.allocate() == rows[3]
    assert streams.jitter[rows[3]] == 0
