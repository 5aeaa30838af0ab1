"""Reliable provisional responses (RFC 3262): their numbers, their repeats, their order."""

import pytest

from sipcore.dialog.events import Unacked
from sipcore.dialog.reliable import MOST_WAITING, Provisional, Reliable, is_next, number_of, rack
from sipcore.message.flow import Flow
from sipcore.message.message import Headers, Request, Response
from tests.dialog.lab import TCP, UDP, Lab

RINGING = Provisional(180, {"Contact": ["<sip:us@10.0.0.1>"]})
EARLY = Provisional(183, {"Contact": ["<sip:us@10.0.0.1>"]}, b"sdp")


def _prack(rack: str) -> Request:
    return Request("PRACK", "sip:us@x", {"RAck": [rack]} if rack else {})


def test_a_reliable_18x_is_repeated_at_doubling_intervals_until_its_prack() -> None:  # 3
    for flow in (UDP, TCP):
        lab = Lab(flow)
        lab.hear("INVITE")
        transaction = lab.accept()
        lab.stack.respond(transaction, 183, 0.0, {"RSeq": ["1"]}, b"sdp", is_reliable=True)
        lab.drain()
        lab.advance(20)
        assert lab.sent_at("183") == [0, 0.5, 1.5, 3.5, 7.5, 15.5]
        lab.stack.settle(transaction, lab.now)
        lab.advance(40)
        assert len(lab.sent_at("183")) == 6
        assert len(lab.stack.timers) == 0


@pytest.mark.parametrize("status", [200, 486])
def test_a_final_response_stops_the_repeats(status: int) -> None:
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.stack.respond(transaction, 183, 0.0, {"RSeq": ["1"]}, is_reliable=True)
    lab.respond(transaction, status)
    lab.hear("ACK", f"To: <sip:us@x>;tag={transaction.tag}")
    lab.advance(70)
    assert len(lab.sent_at("183")) == 1
    assert lab.stack.count() == 0


def test_the_user_is_told_when_no_prack_comes() -> None:  # 3: it should refuse with 5xx
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.stack.respond(transaction, 183, 0.0, {"RSeq": ["1"]}, is_reliable=True)
    lab.drain()
    lab.advance(32.5)
    assert isinstance(lab.told[-1], Unacked)
    assert len(lab.stack.timers) == 0
    assert lab.respond(transaction, 504)


def test_the_next_18x_waits_for_the_prack() -> None:  # 3
    ours = Reliable(41)
    first = ours.send(EARLY)
    assert first is not None
    assert (first.headers["RSeq"], first.headers["Require"]) == (["41"], ["100rel"])
    assert ours.send(RINGING) is None
    held_back = [ours.holds_answer_back]
    assert ours.acknowledge(_prack("41 1 INVITE"), 1)
    following = ours.next()
    assert following is not None
    assert following.headers["RSeq"] == ["42"]
    held_back.append(ours.holds_answer_back)
    assert held_back == [True, False], "the second is a 180 without SDP"
    assert ours.next() is None


@pytest.mark.parametrize("said", ["", "40 1 INVITE", "41 2 INVITE", "41 1 UPDATE", "41", "x y z"])
def test_a_prack_for_nothing_that_is_open_is_refused(said: str) -> None:
    ours = Reliable(41)
    assert not ours.acknowledge(_prack(said), 1), "nothing was sent"
    ours.send(EARLY)
    assert not ours.acknowledge(_prack(said), 1)
    assert ours.acknowledge(_prack("41  1 INVITE"), 1)
    assert not ours.acknowledge(_prack("41 1 INVITE"), 1), "it was open once"


def test_an_unreliable_18x_waits_in_the_same_order_and_has_no_number() -> None:
    ours = Reliable(1)
    ours.send(EARLY)
    assert ours.send(Provisional(180, {}, is_reliable=False)) is None
    assert ours.acknowledge(_prack("1 1 INVITE"), 1)
    following = ours.next()
    assert following is not None
    assert following.headers == {}
    assert ours.next() is None


def test_no_flood_of_18x_waits() -> None:
    ours = Reliable(1)
    ours.send(EARLY)
    for _ in range(100):
        ours.send(RINGING)
    assert ours.acknowledge(_prack("1 1 INVITE"), 1)
    count = 0
    while (one := ours.next()) is not None:
        count += 1
        assert ours.acknowledge(_prack(f"{one.headers['RSeq'][0]} 1 INVITE"), 1)
    assert count == MOST_WAITING


@pytest.mark.parametrize(
    ("status", "headers", "number"),
    [
        (183, {"Require": ["100rel"], "RSeq": ["7"]}, 7),
        (183, {"Require": ["precondition, 100rel"], "RSeq": ["7"]}, 7),
        (183, {"Require": ["100rel"]}, None),
        (183, {"RSeq": ["7"]}, None),
        (183, {"Require": ["100rel"], "RSeq": ["seven"]}, None),
        (200, {"Require": ["100rel"], "RSeq": ["7"]}, None),
        (100, {"Require": ["100rel"], "RSeq": ["7"]}, None),
    ],
)
def test_what_wants_a_prack(status: int, headers: Headers, number: int | None) -> None:
    assert number_of(Response(status, headers)) == number


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_an_18x_out_of_order_or_again_wants_no_prack(flow: Flow) -> None:  # 4
    lab = Lab(flow)
    lab.ask("INVITE")
    lab.answer(183, headers={"Require": ["100rel"], "RSeq": ["9"]})
    reply = lab.reply()
    dialog = reply.dialog
    assert dialog is not None
    assert [is_next(dialog, number) for number in (9, 9, 11, 10, 11)] == [
        True, False, False, True, True,
    ]  # fmt: skip
    assert rack(reply.response, 9) == {"RAck": ["9 1 INVITE"]}
