"""The guard before the parser: buckets, bans, bounded memory."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.message.flow import Flow
from sipcore.transport.bans import FIRST_S, LONGEST_S, REMEMBERED_S, Ban, Bans
from sipcore.transport.buckets import SharedBucket, TokenBucket
from sipcore.transport.guard import (
    BURST_S,
    MOST_GUESSES,
    MOST_NAMES,
    MOST_SCANS,
    SLOW_PER_S,
    SLOW_S,
    WINDOW_S,
    Guard,
    Rates,
    source_of,
)

RATES = Rates(messages_per_s=10, known_messages_per_s=1000, invites_per_s=5, calls=2)
BURST = int(RATES.messages_per_s * BURST_S)
STRANGER, PEER = "203.0.113.9", "198.51.100.1"


def guard(most: int = 100) -> Guard:
    return Guard(lambda address: address == PEER, RATES, most)


def sent(count: int, address: str = STRANGER) -> list[tuple[bytes, Flow]]:
    return [(b"x", Flow("udp", "10.0.0.1", 5060, address, 5060))] * count


def sent_by_tcp(count: int, address: str = STRANGER) -> list[tuple[bytes, Flow]]:
    """Return messages of a connection: nobody can open one from an address that is not his."""
    return [(b"x", Flow("tcp", "10.0.0.1", 5060, address, 5060, 1))] * count


def test_a_stranger_has_a_burst_and_then_its_rate() -> None:
    one = guard()
    assert len(one.sift(sent(100), 1000)) == BURST
    assert len(one.sift(sent(100), 1001)) == RATES.messages_per_s
    assert one.dropped == {"banned": 0, "rate": 100 - BURST + 90}


def test_large_messages_cost_more_and_none_is_given_on_credit() -> None:
    one = guard()
    large = [(b"x" * 16_384, sent(1)[0][1])] * 100
    assert len(one.sift(large, 1000)) == BURST // 9 + 1
    now = 1000.0
    kept = 0
    for _ in range(1000):
        now += 0.5
        kept += len(one.sift(large[:1], now))
    assert kept == pytest.approx(500 * RATES.messages_per_s / 9, abs=5)


def test_a_known_source_has_a_generous_bucket() -> None:
    one = guard()
    assert len(one.sift(sent(1000, PEER), 1000)) == BURST
    assert len(one.sift(sent(900, PEER), 1001)) == 900


def test_who_signed_in_rightly_is_known() -> None:
    one = guard()
    one.prove(STRANGER, 1000)
    one.sift(sent(BURST), 1000)
    assert len(one.sift(sent(900), 1001)) == 900


def test_one_source_takes_nothing_from_another() -> None:
    one = guard()
    one.sift(sent(1000), 1000)
    assert len(one.sift(sent(3, "203.0.113.10"), 1000)) == 3


def test_the_order_of_a_batch_is_kept() -> None:
    one = guard()
    flows = [Flow("udp", "10.0.0.1", 5060, address, 5060) for address in (STRANGER, PEER)]
    batch = [(b"%d" % n, flows[n % 2]) for n in range(6)]
    assert list(one.sift(batch, 1000)) == batch


def test_an_ipv6_host_is_its_64() -> None:
    one = guard()
    kept = [len(one.sift(sent(1, f"2001:db8:1:2::{n:x}"), 1000)) for n in range(1, 2 * BURST + 1)]
    assert sum(kept) == BURST
    assert len(one.sift(sent(1, "2001:db8:1:3::1"), 1000)) == 1


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_a_source_is(address: str, source: str) -> None:
    assert source_of(address) == source


def test_a_flood_of_made_up_sources_does_not_grow_it() -> None:
    one = guard(most=50)
    for number in range(10_000):
        one.sift(sent(1, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), 1000)
    assert len(one) <= 2 * 51


def test_a_source_that_goes_on_sending_is_not_forgotten_in_a_flood() -> None:
    one = guard(most=50)
    one.sift(sent(BURST), 1000)
    for number in range(1000):
        one.sift(sent(1, f"10.0.{number >> 8}.{number & 255}"), 1000)
        assert one.sift(sent(1), 1000) == []


def test_many_unknown_users_are_a_scan() -> None:
    one = guard()
    for number in range(MOST_NAMES):
        assert not one.is_banned(STRANGER, 1000)
        one.name_unknown(STRANGER, f"{number}", 1000, is_real=True)
    assert one.is_banned(STRANGER, 1000)
    assert one.sift(sent(2), 1000) == []
    assert one.dropped["banned"] == 2
    (ban,) = one.bans.active(1000)
    assert (ban.source, ban.reason) == (STRANGER, "unknown users")


def test_one_unknown_user_again_and_again_is_a_phone_set_up_wrongly() -> None:
    one = guard()
    for _ in range(1000):
        one.name_unknown(STRANGER, "8001", 1000, is_real=True)
    assert not one.is_banned(STRANGER, 1000)


def test_what_lies_long_back_is_forgotten() -> None:
    one = guard()
    for number in range(10 * MOST_NAMES):
        one.name_unknown(STRANGER, f"{number}", 1000 + number * WINDOW_S / 10, is_real=True)
    assert not one.is_banned(STRANGER, 1000 + WINDOW_S)


def test_many_wrong_passwords_are_banned() -> None:
    one = guard()
    for _ in range(MOST_GUESSES):
        one.guess_wrong(STRANGER, 1000)
    assert one.is_banned(STRANGER, 1000)


def test_a_known_source_is_never_banned() -> None:
    one = guard()
    for number in range(1000):
        one.name_unknown(PEER, f"{number}", 1000, is_real=True)
        one.guess_wrong(PEER, 1000)
        one.scan(PEER, 1000, is_real=True)
        one.sift(sent_by_tcp(1000, PEER), 1000)
    assert not one.is_banned(PEER, 1000)


def test_a_flood_is_banned_at_last() -> None:
    one = guard()
    one.sift(sent_by_tcp(BURST + 249), 1000)
    assert not one.is_banned(STRANGER, 1000)
    one.sift(sent_by_tcp(2), 1000)
    assert one.is_banned(STRANGER, 1000)


def _send_much(one: Guard) -> None:
    one.sift(sent(3000), 1000)


def _ask_for_many(one: Guard) -> None:
    for number in range(100):
        one.name_unknown(STRANGER, f"{number}", 1000, is_real=False)


def _scan_much(one: Guard) -> None:
    for _ in range(100):
        one.scan(STRANGER, 1000, is_real=False)


@pytest.mark.parametrize("attack", [_send_much, _ask_for_many, _scan_much])
def test_made_up_datagrams_ban_nobody_and_slow_their_address_down_for_a_minute(
    attack: Callable[[Guard], None],
) -> None:
    one = Guard(lambda address: False, Rates(messages_per_s=100))
    attack(one)
    assert not one.is_banned(STRANGER, 1000)
    one.sift(sent(20), 1001)
    for second in range(2, 60):
        got = len(one.sift(sent(20), 1000 + second))
        assert got == SLOW_PER_S, "enough for a phone to sign in and to call"
    one.sift(sent(600), 1000 + SLOW_S)
    assert len(one.sift(sent(200), 1001 + SLOW_S)) == 100


def test_what_others_did_in_its_name_does_not_add_to_what_a_source_did() -> None:
    one = guard()
    for number in range(MOST_NAMES - 1):
        one.name_unknown(STRANGER, f"{number}", 1000, is_real=False)
    one.sift(sent(100 * BURST), 1000)
    one.name_unknown(STRANGER, "8001", 1000, is_real=True)
    one.scan(STRANGER, 1000, is_real=True)
    one.sift(sent_by_tcp(1), 1000)
    assert not one.is_banned(STRANGER, 1000)


def test_stun_and_new_connections_are_of_the_same_bucket_as_messages() -> None:
    one = guard()
    assert one.takes(STRANGER, 1000, 10, is_real=True)
    taken = [one.takes(STRANGER, 1000, is_real=False) for _ in range(BURST)]
    assert taken.count(True) in (BURST - 10, BURST - 1)  # the first one finds its source here
    assert one.sift(sent(5), 1000) == []


def test_strangers_and_made_up_addresses_leave_the_nodes_rate_to_others() -> None:
    rate = SharedBucket(100, 1.0)
    strangers = [rate.takes_unproven(1000, is_known=False) for _ in range(200)]
    assert strangers.count(True) == 25
    forged = [rate.takes_unproven(1000, is_known=True) for _ in range(200)]
    assert forged.count(True) == 25
    connected = [rate.takes_proven(1000, is_known=False) for _ in range(200)]
    assert connected.count(True) == 25
    assert rate.takes_proven(1000, is_known=True)
    proven = [rate.take(1000) for _ in range(200)]
    assert proven.count(True) == 100


def test_a_source_that_has_signed_in_has_a_rate_of_registrations() -> None:
    one = Guard(lambda address: True, Rates(registers_per_s=2))
    assert sum(one.takes_register(PEER, 1000) for _ in range(50)) == 2 * BURST_S


def test_a_ban_ends_and_the_next_is_longer() -> None:
    one = guard()
    lengths = []
    now = 1000.0
    for _ in range(3):
        for _ in range(MOST_SCANS):
            one.scan(STRANGER, now, is_real=True)
        (ban,) = one.bans.active(now)
        lengths.append(ban.length_s)
        now = ban.until
        assert not one.is_banned(STRANGER, now)
        assert len(one.sift(sent(1), now)) == 1
    assert lengths == [FIRST_S, FIRST_S * 4, FIRST_S * 16]


def test_an_unbanned_source_is_heard_at_once() -> None:
    one = guard()
    for _ in range(MOST_SCANS):
        one.scan("2001:db8::1", 1000, is_real=True)
    assert one.sift(sent(1, "2001:db8::2"), 1000) == []
    assert one.unban("2001:db8::/64", 1000)
    assert len(one.sift(sent(1, "2001:db8::2"), 1000)) == 1
    assert not one.unban("2001:db8::1", 1000)
    with pytest.raises(ValueError, match="nonsense"):
        one.unban("nonsense", 1000)


def test_a_changed_book_is_asked_anew() -> None:
    known = {STRANGER}
    one = Guard(lambda address: address in known, RATES)
    one.sift(sent(BURST), 1000)
    assert len(one.sift(sent(900), 1001)) == 900
    known.clear()
    one.review()
    assert len(one.sift(sent(900), 1002)) == RATES.messages_per_s


def test_a_source_has_a_rate_of_invites_and_a_number_of_calls() -> None:
    one = guard()
    assert [one.takes_invite(STRANGER, 1000) for _ in range(6)] == [True] * 5 + [False]
    with one.call_of(STRANGER, 1000), one.call_of(STRANGER, 1000):
        assert not one.takes_invite(STRANGER, 2000)
    assert one.takes_invite(STRANGER, 2000)


def test_the_table_of_bans_is_bounded_and_lets_the_first_to_end_go() -> None:
    lifted: list[Ban] = []
    bans = Bans(most=10, lifted=lifted.append)
    for number in range(25):
        bans.add(f"10.0.0.{number}", "scanner", 1000 + number)
    assert len(bans) == 10
    assert [ban.source for ban in lifted] == [f"10.0.0.{n}" for n in range(15)]
    assert bans.count == 25


def test_bans_are_told_once_and_forgotten_a_day_after_their_end() -> None:
    told: list[Ban] = []
    bans = Bans(banned=told.append)
    first = bans.add(STRANGER, "scanner", 0)
    assert bans.add(STRANGER, "flood", 1) is first
    assert told == [first]
    bans.sweep(first.until + REMEMBERED_S - 1)
    assert len(bans) == 1
    bans.sweep(first.until + REMEMBERED_S)
    assert len(bans) == 0


def test_a_ban_never_lasts_longer_than_a_day() -> None:
    bans = Bans()
    now = 0.0
    for _ in range(50):
        now = bans.add(STRANGER, "scanner", now).until
    assert bans.add(STRANGER, "scanner", now).length_s == LONGEST_S


def test_a_bucket_refuses_what_is_beyond_its_rate() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=1)
    assert [bucket.take(t) for t in (0, 0, 0.5, 0.6, 1.1)] == [True, False, True, False, True]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 40)), max_size=40))
def test_a_stranger_never_gets_more_than_burst_and_rate(steps: list[tuple[float, int]]) -> None:
    one = guard()
    now, passed = 1000.0, 0
    for pause_s, count in steps:
        now += pause_s
        passed += len(one.sift(sent(count), now))
        assert passed <= BURST + (now - 1000) * RATES.messages_per_s


def test_nobody_bans_a_peer_by_writing_the_address_of_its_neighbour() -> None:
    peer, neighbour = "2001:db8::1", "2001:db8::2"
    one = Guard(lambda address: address in (peer, "2001:db8::/64"), RATES, 100)
    one.sift(sent(1, peer), 1000)
    for _ in range(MOST_SCANS):
        one.scan(neighbour, 1000, is_real=True)
    one.sift(sent_by_tcp(BURST * 2, neighbour), 1000)
    assert not one.is_banned(peer, 1000)
    assert len(one.sift(sent(10, peer), 1000)) == 10  # nor does it cost the peer anything


def test_a_peer_is_heard_whose_neighbour_was_banned_before_it_was_known() -> None:
    known: set[str] = set()
    one = Guard(known.__contains__, RATES, 100)
    for _ in range(MOST_SCANS):
        one.scan("2001:db8::2", 1000, is_real=True)
    known |= {"2001:db8::1", "2001:db8::/64"}
    assert len(one.sift(sent(1, "2001:db8::1"), 1000)) == 1
    assert one.sift(sent(1, "2001:db8::2"), 1000) == []
