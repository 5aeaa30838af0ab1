"""Server transactions: what is answered again when, and what their user hears (RFC 3261 17.2)."""

import pytest

from sipcore.dialog.events import Acked, Arrival, Unacked
from sipcore.message.flow import Flow
from tests.dialog.lab import TCP, UDP, Lab, doubling

BOTH = pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
LINGER = pytest.mark.parametrize(("flow", "linger_s"), [(UDP, 32), (TCP, 0)], ids=["udp", "tcp"])


def test_an_invite_is_answered_100_at_once_and_its_repeats_get_the_last_answer() -> None:
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.hear("INVITE")
    assert lab.labels() == ["100", "100"]
    lab.respond(transaction, 180)
    lab.hear("INVITE")
    assert lab.labels() == ["100", "100", "180", "180"]
    assert len(lab.told) == 1, "one arrival"
    assert repr(transaction) == "<INVITE server proceeding udp:10.0.0.2:5060>"


def test_a_refusal_is_repeated_until_timer_h_and_nobody_is_told() -> None:  # 17.2.1, timer G
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    assert lab.respond(transaction, 486)
    lab.advance(32)
    assert lab.sent_at("486") == list(doubling())
    assert len(lab.told) == 1
    assert lab.leftovers() == (0, 0, 0)


def test_a_repeated_invite_gets_the_refusal_again() -> None:
    lab = Lab()
    lab.hear("INVITE")
    lab.respond(lab.accept(), 486)
    lab.advance(0.1)
    lab.hear("INVITE")
    assert lab.sent_at("486") == [0, 0.1]


def test_a_refusal_over_a_reliable_flow_is_said_once_and_waits_for_timer_h() -> None:
    lab = Lab(TCP)
    lab.hear("INVITE")
    lab.respond(lab.accept(), 486)
    lab.advance(31.9)
    assert lab.stack.count() == 1
    lab.advance(0.1)
    assert lab.labels() == ["100", "486"]
    assert lab.leftovers() == (0, 0, 0)


@pytest.mark.parametrize(("flow", "linger_s"), [(UDP, 5), (TCP, 0)], ids=["udp", "tcp"])
def test_an_acknowledged_refusal_absorbs_acks_for_timer_i(flow: Flow, linger_s: float) -> None:
    lab = Lab(flow)
    lab.hear("INVITE")
    lab.respond(lab.accept(), 486)
    lab.hear("ACK")
    lab.advance(linger_s and 4.9)
    lab.hear("ACK")
    lab.hear("INVITE") if linger_s else None
    assert lab.labels() == ["100", "486"]
    assert len(lab.told) == 1
    lab.advance(0.1)
    assert lab.leftovers() == (0, 0, 0)


@BOTH
def test_a_2xx_is_repeated_until_its_ack_even_over_a_reliable_flow(flow: Flow) -> None:
    lab = Lab(flow)  # 13.3.1.4
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.respond(transaction, 200)
    lab.advance(4)
    lab.hear("INVITE")
    assert lab.sent_at("200") == [0, 0.5, 1.5, 3.5], "the repeat is absorbed (RFC 6026 7.1)"
    lab.hear("ACK", f"To: <sip:us@x>;tag={transaction.tag}", branch="z9hG4bKb")
    assert isinstance(lab.told[-1], Acked)
    assert lab.told[-1].transaction is transaction
    lab.advance(5)
    assert lab.sent_at("200") == [0, 0.5, 1.5, 3.5]
    assert lab.leftovers() == (0, 0, 0)


@BOTH
def test_a_2xx_that_is_never_acknowledged_is_told_after_64_t1(flow: Flow) -> None:
    lab = Lab(flow)
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.respond(transaction, 200)
    lab.advance(32)
    assert lab.sent_at("200") == list(doubling())
    assert isinstance(lab.told[-1], Unacked)
    assert lab.told[-1].transaction is transaction
    assert lab.leftovers() == (0, 0, 0)


def test_an_ack_with_the_branch_of_the_invite_is_taken_too() -> None:
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.respond(transaction, 200)
    lab.hear("ACK", f"To: <sip:us@x>;tag={transaction.tag}")
    lab.hear("ACK", f"To: <sip:us@x>;tag={transaction.tag}")
    assert [type(one) for one in lab.told] == [Arrival, Acked]


@pytest.mark.parametrize(
    "row", ["To: <sip:us@x>;tag=other", "From: <sip:them@x>;tag=x", "CSeq: 2 ACK", "To: <sip:us@x>"]
)
def test_an_ack_for_something_else_is_a_stray(row: str) -> None:
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.respond(transaction, 200)
    to = f"To: <sip:us@x>;tag={transaction.tag}"
    lab.hear("ACK", *([row] if row.startswith("To") else [row, to]), branch="z9hG4bKb")
    assert lab.stack.absorbed["stray ACK"] == 1
    assert not isinstance(lab.told[-1], Acked)


@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
@pytest.mark.parametrize("before", [(), (100,)])
@LINGER
def test_the_answer_to_other_requests_is_repeated_for_timer_j(
    flow: Flow, linger_s: float, before: tuple[int, ...], status: int
) -> None:  # 17.2.2
    lab = Lab(flow)
    lab.hear("OPTIONS")
    transaction = lab.accept()
    lab.hear("OPTIONS")
    assert lab.labels() == [], "in Trying repeats are absorbed"
    for one in before:
        lab.respond(transaction, one)
        lab.hear("OPTIONS")
    assert lab.labels() == ["100", "100"][: 2 * len(before)]
    assert lab.respond(transaction, status)
    assert not lab.respond(transaction, 500), "too late"
    lab.advance(linger_s and 31.9)
    if linger_s:
        lab.hear("OPTIONS")
        assert lab.labels()[-2:] == [str(status)] * 2
    lab.advance(0.1)
    assert lab.leftovers() == (0, 0, 0)
    assert len(lab.told) == 1


@pytest.mark.parametrize("before", [(), (100,)])
@BOTH
def test_a_request_that_its_user_never_answers_is_let_go(
    flow: Flow, before: tuple[int, ...]
) -> None:  # RFC 4320 4.2: no 408
    lab = Lab(flow)
    lab.hear("OPTIONS")
    transaction = lab.accept()
    for status in before:
        lab.respond(transaction, status)
    lab.advance(32)
    assert lab.labels() == [str(status) for status in before]
    assert not lab.respond(transaction, 200)
    assert lab.leftovers() == (0, 0, 0)


def test_a_transport_that_fails_an_answer_changes_nothing() -> None:
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.fail(transaction)
    assert lab.respond(transaction, 200)
    assert lab.stack.absorbed["proceeding error"] == 1


def test_the_answer_has_our_tag_unless_the_request_had_one() -> None:
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.respond(transaction, 180)
    assert lab.last("100").to.tag is None
    assert lab.last("180").to.tag == transaction.tag


def test_a_stateless_answer_is_the_same_each_time() -> None:  # 8.2.7
    lab = Lab()
    for _ in range(2):
        lab.hear("OPTIONS")
        arrival = lab.told[-1]
        assert isinstance(arrival, Arrival)
        lab.stack.reply_statelessly(arrival.request, lab.flow, 401, {"Warning": ["1"]})
        lab.drain()
    first, second = lab.sent
    assert first.message == second.message
    assert first.message.headers["Warning"] == ["1"]
    assert lab.leftovers() == (0, 0, 0)
