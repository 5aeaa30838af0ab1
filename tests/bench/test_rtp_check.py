"""Packets that can be recognised, and the account of what became of them."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rtp_check import (
    PACKET_BYTES,
    PTIME_MS,
    START,
    Arrivals,
    Packets,
    Tally,
    begin,
    is_whole,
    slots,
    tally,
    write,
)

WINDOW = range(10, 20)
MS = 1_000_000


def made(streams: list[int], number: int, now_ns: int = 5 * MS) -> Packets:
    packets = Packets(len(streams))
    begin(packets, slice(None), np.array(streams))
    write(packets, slice(None), number, now_ns)
    return packets


def sizes(packets: Packets) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.full(len(packets.data), PACKET_BYTES)


def account(
    came: Iterable[tuple[int, int]], *, streams: int = 1, delay_ms: int = 3, late_ms: float = 40
) -> Tally:
    """Tell of packets (stream, number), in the order in which they came."""
    arrivals = Arrivals(200)
    for stream, number in came:
        packets = made([stream], number)
        arrivals.add(packets, np.array([0]), np.array([(5 + delay_ms) * MS]))
    return tally(arrivals, streams, WINDOW, late_ms)


def test_a_packet_is_rtp_of_g711_with_its_stream_number_and_time_in_the_payload() -> None:
    packets = made([7], 65537, now_ns=99)
    octets = packets.data[0, START : START + PACKET_BYTES].tobytes()
    assert len(octets) == 172
    assert octets[:4] == b"\x80\x00\x00\x01"  # sequence numbers go round
    assert int.from_bytes(octets[4:8], "big") == 65537 * 160
    assert int(packets.key[0]) == 7 << 32 | 65537
    assert int(packets.sent_ns[0]) == 99
    assert is_whole(packets, sizes(packets)).all()


@given(st.integers(0, PACKET_BYTES - 1), st.integers(1, 255))
def test_a_change_of_any_octet_is_seen_but_for_what_a_relay_may_write(at: int, bits: int) -> None:
    packets = made([1, 2], 3)
    packets.data[0, START + at] ^= bits
    is_free = 2 <= at < 12 or (at == 1 and bits == 0x80)  # sequence, timestamp, SSRC; marker
    assert is_whole(packets, sizes(packets)).tolist() == [is_free, True]


@pytest.mark.parametrize("size", [PACKET_BYTES - 1, PACKET_BYTES + 1, 0])
def test_a_packet_of_another_size_is_not_whole(size: int) -> None:
    packets = made([1], 3)
    assert not is_whole(packets, np.array([size])).any()


def test_nothing_is_wrong_where_all_came_in_order() -> None:
    found = account(((stream, n) for n in range(30) for stream in (0, 1)), streams=2)
    assert (found.sent, found.lost, found.late) == (20, 0, 0)
    assert (found.duplicates, found.out_of_order, found.header_faults) == (0, 0, 0)
    assert found.delays_ms == (3.0, 3.0, 3.0, 3.0)


def test_what_is_missing_is_lost_in_the_window_alone() -> None:
    found = account((0, n) for n in range(30) if n not in (5, 12, 19, 25))
    assert (found.lost, found.loss) == (2, 0.2)
    assert found.header_faults == 0  # the gap is a gap in the header too
    assert account([], streams=3) == Tally(30, 30, 0, 0, 0, 0, (0.0, 0.0, 0.0, 0.0))


def test_what_comes_twice_is_a_duplicate_and_not_one_received_more() -> None:
    found = account((0, n) for n in [*range(10, 15), 14, 14, *range(16, 20)])
    assert (found.lost, found.duplicates, found.out_of_order) == (1, 2, 0)


def test_what_comes_after_a_later_one_is_out_of_order() -> None:
    found = account((0, n) for n in [10, 11, 13, 12, 14, 15, 16, 17, 19, 18])
    assert (found.lost, found.duplicates, found.out_of_order) == (0, 0, 2)


def test_what_comes_after_the_bound_is_late_and_not_lost() -> None:
    found = account([(0, 10), (0, 11)], delay_ms=41)
    assert (found.lost, found.late) == (8, 2)


@pytest.mark.parametrize(
    ("field", "step", "faults"),
    [("sequence", 1, 1), ("timestamp", 160, 1), ("ssrc", 1, 1), ("sequence", 0, 0)],
)
def test_a_header_that_does_not_continue_is_a_fault_once(
    field: str, step: int, faults: int
) -> None:
    arrivals = Arrivals(20)
    for number in WINDOW:
        arrivals.add(made([0], number), np.array([0]), np.array([8 * MS]))
    getattr(arrivals, field)[5:] += step  # from there on it goes on in order
    assert tally(arrivals, 1, WINDOW, 40).header_faults == faults


def test_the_sequence_number_goes_round() -> None:
    arrivals = Arrivals(20)
    for number in range(65530, 65542):
        arrivals.add(made([0], number), np.array([0]), np.array([8 * MS]))
    assert tally(arrivals, 1, range(65530, 65542), 40).header_faults == 0


def test_more_arrivals_than_there_is_room_for_are_counted() -> None:
    arrivals = Arrivals(1)
    arrivals.add(made([0, 1], 10), np.array([0, 1]), np.array([8 * MS, 8 * MS]))
    assert (arrivals.count, arrivals.overflow) == (1, 1)
    assert tally(arrivals, 2, WINDOW, 40).duplicates == 1


@given(st.integers(1, 300))
def test_every_stream_has_one_millisecond_of_the_twenty_and_all_are_as_full(calls: int) -> None:
    found = slots(2 * calls)
    assert len(found) == PTIME_MS
    assert sorted(np.concatenate(found).tolist()) == list(range(2 * calls))
    counts = [len(one) for one in found]
    assert max(counts) - min(counts) <= 2
