"""RTCP made and read, and what silence a leg may keep."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.media import rtcp
from sipcore.media.control import Silent
from tests.media.net import Bench, describe

A, B = ("198.51.100.1", 4000), ("198.51.100.2", 5000)
A_RTCP, B_RTCP = ("198.51.100.1", 4001), ("198.51.100.2", 5001)


def opened(silence_s: float = 60) -> Bench:
    bench = Bench(silence_s)
    bench.open("one", A, B, (10000, 10002))
    return bench


def packets(compound: bytes) -> list[tuple[int, int, bytes]]:
    """Split a compound: type, count, what follows the header."""
    found = []
    while compound:
        first, kind, words = struct.unpack_from(">BBH", compound)
        assert first >> 6 == 2
        found.append((kind, first & 31, compound[4 : 4 + words * 4]))
        assert len(compound) >= 4 + words * 4
        compound = compound[4 + words * 4 :]
    return found


def report(ssrc: int, *blocks: tuple[int, int, int, int, int, int], middle: int = 0) -> bytes:
    body = b"".join(struct.pack(">IIIIII", *block) for block in blocks)
    head = struct.pack(">IIIIII", ssrc, middle >> 16, middle << 16 & 0xFFFFFFFF, 0, 0, 0)
    return struct.pack(">BBH", 0x80 | len(blocks), 200, 6 + len(body) // 4) + head + body


def test_a_leg_that_is_sent_to_gets_sender_reports_for_the_source_it_hears() -> None:
    bench = opened()
    for number in range(100):
        if number != 50:
            bench.speak(A, 10000, sequence=number, ssrc=0xAAAA)
        bench.speak(B, 10002, ssrc=0xBBBB)
        bench.now += 0.02
    bench.wire.take_sent()
    bench.wait(4)
    (remote, compound), *_ = bench.heard(10003)
    assert remote == B_RTCP
    (kind, blocks, body), (sdes, _, chunk) = packets(compound)
    assert (kind, blocks, sdes) == (rtcp.SR, 1, rtcp.SDES)
    ssrc, ntp, _, stamp, sent, octets = struct.unpack_from(">IIIIII", body)
    assert (ssrc, sent, octets) == (0xAAAA, 99, 99 * 160)
    assert ntp == int(1.7e9 + rtcp_now(bench, compound) + 2208988800)
    assert 100 * 160 - 200 <= stamp <= 100 * 160 + 4 * 8000
    of, loss, highest, _, last_sr, delay = struct.unpack_from(">IIIIII", body, 24)
    assert (of, loss, highest, last_sr, delay) == (0xBBBB, 0, 99, 0, 0)
    assert chunk[4:6] == b"\1\x10"
    assert len(chunk) == 24
    (_, compound), *_ = bench.heard(10001)
    (_, _, body), _ = packets(compound)
    of, loss = struct.unpack_from(">II", body, 24)
    assert of == 0xAAAA
    assert loss == (1 * 256 // 100) << 24 | 1


def rtcp_now(bench: Bench, compound: bytes) -> float:
    """Return the time at which a report was sent, from its own NTP timestamp."""
    whole = struct.unpack_from(">I", compound, 8)[0]
    return float(whole - 2208988800 - 1_700_000_000)


def test_a_leg_that_is_sent_nothing_gets_receiver_reports_every_five_seconds_or_so() -> None:
    bench = opened()
    bench.wait(60)
    reports = [packets(one) for _, one in bench.heard(10001)]
    assert 9 <= len(reports) <= 20
    assert all(one[0][:2] == (rtcp.RR, 0) for one in reports)


def test_reports_of_the_peer_are_taken_in_and_not_passed_on() -> None:
    bench = opened()
    bench.speak(A, 10000, ssrc=0xAAAA)
    bench.wire.take_sent()
    now_units = int((bench.now + 1.7e9 + 2208988800) * 65536) & 0xFFFFFFFF
    block = (0xAAAA, 3 << 24 | 7, 0, 80, (now_units - 65536 // 2) & 0xFFFFFFFF, 65536 // 4)
    bench.wire.deliver(B_RTCP, 10003, report(0xBBBB, block, middle=0x12345678))
    bench.run()
    assert bench.wire.take_sent() == []
    state = bench.state("one")[1]
    assert (state.remote_lost, state.remote_jitter_ms) == (7, 10)
    assert state.round_trip_s == pytest.approx(0.25, abs=0.001)
    bench.now += 1
    bench.speak(B, 10002, ssrc=0xBBBB)
    bench.wire.take_sent()
    bench.wait(4)
    (_, compound), *_ = bench.heard(10003)
    last_sr, delay = struct.unpack_from(">II", packets(compound)[0][2], 40)
    assert last_sr == 0x12345678
    assert 65536 <= delay <= 5 * 65536


def test_foreign_rtcp_is_counted_and_believed_nothing() -> None:
    bench = opened()
    bench.wire.deliver(("203.0.113.66", 5001), 10003, report(1, middle=5))
    bench.run()
    assert bench.state("one")[1].foreign == 1
    assert bench.totals().rtcp_received == 0


def test_reports_go_where_the_peers_come_from() -> None:
    bench = opened()
    bench.wire.deliver((A[0], 61001), 10001, report(1))
    bench.run()
    bench.wait(6)
    assert {remote for remote, _ in bench.heard(10001)} == {(A[0], 61001)}


def test_close_says_bye_to_each_leg() -> None:
    bench = opened()
    bench.speak(A, 10000)
    bench.wire.take_sent()
    bench.close("one")
    kinds = {port: [k for k, _, _ in packets(one)] for port, _, one in bench.wire.take_sent()}
    assert kinds == {
        10001: [rtcp.RR, rtcp.SDES, rtcp.BYE],
        10003: [rtcp.SR, rtcp.SDES, rtcp.BYE],
    }


@given(st.one_of(st.binary(max_size=120), st.binary(max_size=80).map(lambda b: b"\x81\xc8\0" + b)))
def test_any_bytes_are_a_report_or_none(data: bytes) -> None:
    found = rtcp.read_compound(data)
    assert found is None or isinstance(found, rtcp.Report)


def test_a_negative_loss_is_read() -> None:  # RFC 3550 A.3: duplicates
    found = rtcp.read_compound(report(1, (2, 0xFFFFFE, 0, 0, 0, 0)))
    assert found is not None
    assert found.blocks[0].lost == -2


def test_a_silent_leg_is_told_once_and_again_while_it_lasts() -> None:
    bench = opened(silence_s=10)
    for _ in range(95):
        bench.speak(A, 10000)
        bench.wait(0.3)
    told = bench.events()
    silent = [one for one in told if isinstance(one, Silent)]
    assert [one.side for one in silent] == ["b", "b"]
    assert [round(one.silent_s) for one in silent] == [10, 20]


def test_rtcp_alone_is_a_sign_of_life() -> None:
    bench = opened(silence_s=10)
    for _ in range(8):
        for remote, port in ((A_RTCP, 10001), (B_RTCP, 10003)):
            bench.wire.deliver(remote, port, report(1))
        bench.run()
        bench.wait(5)
    assert bench.events() == []
    assert bench.state("one")[0].last_packet_age_s == pytest.approx(5)


def test_a_leg_on_hold_or_not_described_may_be_silent() -> None:
    bench = Bench(silence_s=10)
    bench.open("one", A, None, (10000, 10002), is_sound_expected=False)
    bench.wait(30)
    held = [describe(n, remote, is_sound_expected=False) for n, remote in enumerate((A, B))]
    bench.update("one", *held)
    bench.wait(30)
    assert bench.events() == []
    bench.update("one", describe(0, A), describe(1, B))
    bench.wait(9)
    assert bench.events() == []
    bench.wait(2)
    assert bench.events() == [Silent("one", "a", 10.0), Silent("one", "b", 10.0)]


def test_receiver_reports_byes_and_lone_packets_are_read() -> None:
    rr = struct.pack(">BBHI", 0x81, 201, 7, 9) + struct.pack(">IIIIII", 5, 4, 0, 3, 2, 1)
    bye = struct.pack(">BBHI", 0x81, 203, 1, 9)
    found = rtcp.read_compound(rr + bye)
    assert found == rtcp.Report(0, (rtcp.Block(5, 4, 3, 2, 1),), True)
    assert rtcp.read_compound(bye) == rtcp.Report(0, (), True)  # RFC 5506
    for broken in (rr[:-1], rr + bye[:6], bytes(8), b"", rr[:2] + b"\0\0" + rr[4:]):
        assert rtcp.read_compound(broken) is None


def test_a_round_trip_that_cannot_be_is_not_believed() -> None:
    now_units = int(3.9e9 * 65536) & 0xFFFFFFFF
    assert rtcp.round_trip_s(rtcp.Block(1, 0, 0, 0, 0), 3.9e9) is None
    assert rtcp.round_trip_s(rtcp.Block(1, 0, 0, now_units, 65536), 3.9e9) is None
    assert rtcp.round_trip_s(rtcp.Block(1, 0, 0, now_units - 65536, 0), 3.9e9) == 1.0
