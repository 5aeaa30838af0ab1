"""Dialogs: how they begin, change and end, where their requests go (RFC 3261 12, 13)."""

import pytest

from sipcore.dialog.dialog import FILLED_S, MOST_REQUESTS, Dialog
from sipcore.dialog.dialogs import MOST_FORKS, MOST_RINGING
from sipcore.dialog.events import Reply, Within
from sipcore.dialog.negotiation import (
    ASKED,
    FAIL,
    OFFERED,
    RECEIVE_ANSWER,
    RECEIVE_OFFER,
    SEND_ANSWER,
    SEND_OFFER,
    STABLE,
    Negotiation,
)
from tests.dialog.lab import UDP, Lab

LOOSE = ["<sip:p2.example;lr>", "<sip:p1.example;lr>"]
STRICT = ["<sip:p2.example>", '"<;lr" <sip:p1.example:5070;transport=tcp>']


def test_a_call_of_ours_begins_a_dialog_with_the_first_tag() -> None:
    lab = Lab()
    lab.ask("INVITE")
    lab.answer(100)
    assert lab.reply().dialog is None
    lab.answer(180)
    dialog = lab.reply().dialog
    assert dialog is not None
    assert (dialog.is_confirmed, dialog.key) == (False, ("ours", "theirs"))
    lab.answer(200)
    assert lab.reply().dialog is dialog
    assert dialog.is_confirmed
    assert dialog.peer_contact == "sip:theirs@10.0.0.2"


def test_an_answer_without_a_tag_or_to_another_request_begins_none() -> None:
    lab = Lab()
    lab.ask("INVITE")
    lab.answer(180, headers={"To": ["<sip:them@x>"]})
    assert lab.reply().dialog is None
    lab.ask("OPTIONS")
    lab.answer(200)
    assert lab.reply().dialog is None
    assert lab.stack.dialogs == {}


def test_without_a_contact_the_request_uri_stays_the_target() -> None:
    lab = Lab()
    lab.ask("INVITE")
    lab.answer(200, headers={"Contact": []})
    dialog = lab.reply().dialog
    assert dialog is not None
    assert dialog.peer_contact == "sip:them@x"


def test_each_fork_that_answers_has_its_own_dialog() -> None:  # 13.2.2.4
    lab = Lab()
    lab.ask("INVITE")
    for status, tag in ((180, "one"), (183, "two"), (200, "two"), (200, "three")):
        lab.answer(status, tag)
    keys = [one.dialog.key for one in lab.told if isinstance(one, Reply) and one.dialog]
    assert keys == [("ours", tag) for tag in ("one", "two", "two", "three")]
    confirmed = [dialog.remote_tag for dialog in lab.stack.dialogs.values() if dialog.is_confirmed]
    assert confirmed == ["two", "three"]
    lab.advance(32)
    assert sorted(key[1] for key in lab.stack.dialogs) == ["three", "two"], "early ones are over"


def test_forks_without_end_are_not_kept_and_the_one_that_answers_is() -> None:
    lab = Lab()
    lab.ask("INVITE")
    for number in range(1000):
        lab.answer(180, f"ringing-{number}")
    assert len(lab.stack.dialogs) == MOST_RINGING
    lab.answer(200, "answering")
    dialog = lab.reply().dialog
    assert dialog is not None
    assert dialog.is_confirmed
    for number in range(1000):
        lab.answer(200, f"late-{number}")
    assert len(lab.stack.dialogs) <= MOST_FORKS


@pytest.mark.parametrize("how", ["refused", "failed"])
def test_early_dialogs_end_with_their_invite(how: str) -> None:
    lab = Lab()
    transaction = lab.ask("INVITE")
    lab.answer(180, "one")
    lab.answer(180, "two")
    if how == "refused":
        lab.answer(486, "three")
    else:
        lab.cancel(transaction)
        lab.advance(32)
    assert lab.reply().dialog is None
    assert lab.stack.dialogs == {}


def test_the_ack_of_a_2xx_is_sent_again_for_each_repeat_even_after_the_bye() -> None:  # 13.2.2.4
    lab = Lab()
    dialog = lab.called()
    invite = lab.request_sent("INVITE")
    ack = lab.request_sent("ACK")
    assert ack.uri == "sip:theirs@10.0.0.2"
    assert ack.via.branch != invite.via.branch
    assert (ack.cseq.number, ack.to.tag) == (1, "theirs")
    lab.answer(200, to=invite)
    lab.say(dialog, "BYE")
    lab.stack.end(dialog)
    lab.answer(200, to=invite)
    assert lab.labels() == ["INVITE", "ACK", "ACK", "BYE", "ACK"]
    assert lab.sent[-1].message == ack
    assert lab.replies() == [200], "told once"
    assert lab.stack.dialogs == {}


def test_a_repeat_of_another_fork_is_told_for_it_was_not_acknowledged() -> None:
    lab = Lab()
    lab.called()
    lab.answer(200, "other", to=lab.request_sent("INVITE"))
    assert lab.replies() == [200, 200]
    assert lab.labels() == ["INVITE", "ACK"]


def test_a_re_invite_learns_the_new_target_and_its_answer_belongs_to_the_dialog() -> None:
    lab = Lab()
    dialog = lab.called()
    lab.say(dialog, "INVITE")
    lab.answer(200, headers={"Contact": ["<sip:moved@10.0.0.3>"]})
    assert lab.reply().dialog is dialog
    assert dialog.peer_contact == "sip:moved@10.0.0.3"
    lab.stack.ack(dialog, 2, lab.hop())
    lab.answer(200, to=lab.request_sent("INVITE"))
    lab.drain()
    assert lab.labels() == ["INVITE", "ACK", "INVITE", "ACK", "ACK"]


def test_a_refused_re_invite_leaves_the_dialog_and_its_target_alone() -> None:
    lab = Lab()
    dialog = lab.called()
    lab.say(dialog, "INVITE")
    lab.answer(180, headers={"Contact": ["<sip:early@10.0.0.3>"]})
    lab.answer(488)
    assert lab.reply().dialog is dialog
    assert dialog.peer_contact == "sip:theirs@10.0.0.2"
    assert list(lab.stack.dialogs.values()) == [dialog]


def test_an_answer_to_a_re_invite_from_nobody_in_the_dialog_begins_none() -> None:
    lab = Lab()
    dialog = lab.called()
    lab.say(dialog, "INVITE")
    response_from = {"To": ["<sip:them@x>;tag=stranger"]}
    lab.answer(200, headers=response_from)
    assert lab.reply().dialog is None
    assert list(lab.stack.dialogs.values()) == [dialog]


def test_a_call_to_us_begins_a_dialog_that_its_bye_finds() -> None:
    lab = Lab()
    dialog = lab.was_called()
    assert dialog.is_confirmed
    lab.hear("BYE", f"To: <sip:us@x>;tag={dialog.local_tag}", "CSeq: 2 BYE", branch="z9hG4bKb")
    within = lab.within()
    assert (within.dialog, within.request.method) == (dialog, "BYE")
    assert within.transaction.user is dialog.user
    lab.respond(within.transaction, 200)
    lab.stack.end(dialog)
    lab.advance(32)
    assert lab.leftovers() == (0, 0, 0)


def test_a_refused_call_to_us_leaves_no_dialog() -> None:
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.stack.open_dialog(transaction)
    lab.respond(transaction, 486)
    assert lab.stack.dialogs == {}


@pytest.mark.parametrize("to", ["<sip:us@x;tag=9>", '"tag=9" <sip:us@x>', "<sip:us@x>;vintag=9"])
def test_a_tag_elsewhere_than_in_the_parameters_of_to_is_none(to: str) -> None:
    lab = Lab()
    lab.hear("INVITE", f"To: {to}")
    transaction = lab.accept()
    dialog = lab.stack.open_dialog(transaction)
    assert dialog.local == f"{to};tag={transaction.tag}"
    lab.respond(transaction, 200)
    assert lab.last("200").to.tag == transaction.tag


@pytest.mark.parametrize("number", [0, 1])
def test_a_request_with_a_cseq_that_is_not_higher_is_answered_500(number: int) -> None:  # 12.2.2
    lab = Lab()
    dialog = lab.was_called()
    to = f"To: <sip:us@x>;tag={dialog.local_tag}"
    lab.hear("INFO", to, f"CSeq: {number} INFO", branch="z9hG4bKb")
    assert lab.labels()[-1] == "500"
    assert not isinstance(lab.told[-1], Within)
    lab.hear("INFO", to, "CSeq: 7 INFO", branch="z9hG4bKc")
    assert isinstance(lab.told[-1], Within)


def test_a_peer_has_a_rate_of_requests_within_a_dialog_and_may_always_hang_up() -> None:
    lab = Lab()
    dialog = lab.was_called()
    to = f"To: <sip:us@x>;tag={dialog.local_tag}"

    def ask(method: str, number: int) -> None:
        lab.hear(method, to, f"CSeq: {number} {method}", branch=f"z9hG4bKn{number}")

    for number in range(10, 10 + 3 * MOST_REQUESTS):
        ask("INFO", number)
    assert lab.stack.count() <= MOST_REQUESTS + 1, "and the INVITE's"
    assert lab.labels().count("503") == 2 * MOST_REQUESTS
    ask("BYE", 9000)
    assert lab.within().request.method == "BYE"
    lab.advance(FILLED_S)
    ask("INFO", 9001)
    assert lab.within().request.method == "INFO"


def test_the_peers_first_request_in_a_call_of_ours_may_be_number_0() -> None:  # 12.1.2
    lab = Lab()
    dialog = lab.called()
    rows = ("From: <sip:them@x>;tag=theirs", "To: <sip:us@x>;tag=ours", "Call-ID: call-1")
    lab.hear("INFO", *rows, "CSeq: 0 INFO")
    assert lab.within().dialog is dialog


@pytest.mark.parametrize(("method", "target"), [
    ("INVITE", "sip:new@10.0.0.9"), ("UPDATE", "sip:new@10.0.0.9"), ("INFO", "sip:them@10.0.0.2"),
])  # fmt: skip
def test_only_target_refresh_requests_move_the_target(method: str, target: str) -> None:
    lab = Lab()
    dialog = lab.was_called()
    flow = UDP.__class__("udp", "10.0.0.1", 5060, "10.0.0.8", 5099)
    data = (
        f"{method} sip:us@x SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.8;branch=z9hG4bKb\r\n"
        f"From: <sip:them@x>;tag=theirs\r\nTo: <sip:us@x>;tag={dialog.local_tag}\r\n"
        f"Call-ID: call-2\r\nCSeq: 2 {method}\r\nContact: <sip:new@10.0.0.9>\r\n\r\n"
    )
    lab.receive(data.encode(), flow)
    assert dialog.peer_contact == target
    assert dialog.flow == flow, "the path by which it was last heard"


def test_requests_take_the_loose_route_that_was_recorded() -> None:  # 12.2.1.1
    lab = Lab()
    dialog = lab.called(LOOSE)
    ack = lab.request_sent("ACK")
    assert (ack.uri, ack.headers["Route"]) == ("sip:theirs@10.0.0.2", LOOSE[::-1])
    assert dialog.next_hop() == "sip:p1.example;lr"
    lab.say(dialog, "BYE")
    assert lab.request_sent("BYE").headers["Route"] == LOOSE[::-1]


def test_requests_are_rewritten_for_a_strict_router() -> None:  # 12.2.1.1
    lab = Lab()
    dialog = lab.called(STRICT)
    ack = lab.request_sent("ACK")
    assert ack.uri == "sip:p1.example:5070;transport=tcp"
    assert ack.headers["Route"] == ["<sip:p2.example>", "<sip:theirs@10.0.0.2>"]
    assert dialog.next_hop() == "sip:p1.example:5070;transport=tcp"


def test_the_called_side_keeps_the_order_of_the_route() -> None:  # 12.1.1
    lab = Lab()
    dialog = lab.was_called(f"Record-Route: {', '.join(LOOSE)}")
    assert dialog.route_set == LOOSE
    lab.say(dialog, "BYE")
    bye = lab.request_sent("BYE")
    assert bye.headers["Route"] == LOOSE
    assert (bye.to.tag, bye.from_.tag, bye.uri) == ("theirs", dialog.local_tag, "sip:them@10.0.0.2")


def test_the_route_of_the_2xx_takes_the_place_of_the_early_one() -> None:  # 13.2.2.4
    lab = Lab()
    lab.ask("INVITE")
    lab.answer(180, headers={"Record-Route": ["<sip:early;lr>"]})
    dialog = lab.reply().dialog
    assert isinstance(dialog, Dialog)
    assert dialog.route_set == ["<sip:early;lr>"]
    lab.answer(200, headers={"Record-Route": LOOSE})
    assert dialog.route_set == LOOSE[::-1]


def test_without_routes_the_target_is_the_next_hop() -> None:
    assert Lab().called().next_hop() == "sip:theirs@10.0.0.2"


def test_offers_and_answers_take_turns() -> None:  # RFC 3264 4, RFC 3261 14
    steps = (SEND_OFFER, RECEIVE_OFFER, SEND_ANSWER, RECEIVE_ANSWER, FAIL)
    paths = {STABLE: [], OFFERED: [SEND_OFFER], ASKED: [RECEIVE_OFFER]}
    allowed = {
        STABLE: {SEND_OFFER: OFFERED, RECEIVE_OFFER: ASKED},
        OFFERED: {RECEIVE_ANSWER: STABLE, FAIL: STABLE},
        ASKED: {SEND_ANSWER: STABLE, FAIL: STABLE},
    }
    for state, path in paths.items():
        for step in steps:
            negotiation = Negotiation()
            for before in path:
                assert negotiation.step(before)
            after = allowed[state].get(step)
            assert negotiation.step(step) is (after is not None)
            assert negotiation.state == (after or state)


def test_an_offer_out_of_turn_is_refused_by_whose_turn_it_is() -> None:  # 14.2
    negotiation = Negotiation()
    assert negotiation.refusal() is None
    negotiation.step(SEND_OFFER)
    assert negotiation.refusal() == 491
    negotiation.step(FAIL)
    negotiation.step(RECEIVE_OFFER)
    assert negotiation.refusal() == 500
