"""CANCEL from either side, and its race with the answer (RFC 3261 9)."""

import pytest

from sipcore.dialog.events import Arrival, Cancelled, Reply
from tests.dialog.lab import TCP, Lab, doubling


def test_a_cancel_waits_for_the_first_provisional() -> None:  # 9.1
    lab = Lab()
    transaction = lab.ask("INVITE", {"Route": ["<sip:p;lr>"]})
    lab.cancel(transaction, 'SIP;cause=200;text="Call completed elsewhere"')
    lab.cancel(transaction)
    assert lab.labels() == ["INVITE"]
    lab.answer(100)
    invite, cancel = lab.request_sent("INVITE"), lab.request_sent("CANCEL")
    assert (cancel.uri, cancel.via, cancel.call_id) == (invite.uri, invite.via, invite.call_id)
    assert (cancel.cseq.number, cancel.cseq.method) == (1, "CANCEL")
    assert cancel.to.tag is None
    assert cancel.headers["Route"] == ["<sip:p;lr>"]
    assert cancel.first("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'


def test_a_cancelled_invite_ends_with_its_487() -> None:
    lab = Lab()
    transaction = lab.ask("INVITE")
    lab.answer(180)
    invite = lab.request_sent("INVITE")
    lab.cancel(transaction)
    lab.answer(200, to=lab.request_sent("CANCEL"))
    lab.answer(487, to=invite)
    assert lab.labels() == ["INVITE", "CANCEL", "ACK"]
    assert lab.request_sent("CANCEL").first("Reason") is None
    assert lab.replies() == [180, 200, 487]
    lab.advance(32)
    assert lab.leftovers() == (0, 0, 0)


def test_an_answer_that_overtakes_the_cancel_is_told() -> None:
    lab = Lab()
    transaction = lab.ask("INVITE")
    lab.answer(180)
    invite = lab.request_sent("INVITE")
    lab.cancel(transaction)
    lab.answer(200, to=invite)
    reply = lab.reply()
    assert (reply.response.status, reply.transaction) == (200, transaction)
    assert reply.dialog is not None, "the user acknowledges and hangs up"
    lab.cancel(transaction)
    assert lab.labels() == ["INVITE", "CANCEL"]


def test_an_invite_that_is_answered_at_once_needs_no_cancel() -> None:
    lab = Lab()
    transaction = lab.ask("INVITE")
    lab.cancel(transaction)
    lab.answer(200)
    assert lab.labels() == ["INVITE"]
    assert lab.replies() == [200]


def test_a_cancel_without_effect_ends_the_invite_after_64_t1() -> None:  # 9.1
    lab = Lab()
    transaction = lab.ask("INVITE")
    lab.answer(183)
    assert len(lab.stack.dialogs) == 1
    lab.advance(100)
    lab.cancel(transaction)
    lab.advance(32)
    assert lab.sent_at("CANCEL") == list(doubling(100, until_s=132))
    assert lab.replies() == [183, 408, 408]
    assert {one.transaction.method for one in lab.told[1:] if isinstance(one, Reply)} == {
        "INVITE",
        "CANCEL",
    }
    assert lab.leftovers() == (0, 0, 0)


def test_a_cancel_that_is_owed_is_forgotten_when_nobody_answers() -> None:
    lab = Lab(TCP)
    lab.cancel(lab.ask("INVITE"))
    lab.advance(32)
    assert lab.labels() == ["INVITE"]
    assert lab.leftovers() == (0, 0, 0)


def test_a_cancel_heard_is_answered_and_told_once() -> None:  # 9.2
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.hear("CANCEL")
    lab.hear("CANCEL")
    assert lab.labels() == ["100", "200", "200"]
    assert [type(one) for one in lab.told] == [Arrival, Cancelled]
    assert lab.last("200").to.tag == transaction.tag
    assert lab.last("200").cseq.method == "CANCEL"
    lab.respond(transaction, 487)
    lab.hear("ACK")
    lab.advance(5)
    assert lab.leftovers() == (0, 0, 0)


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_after_the_answer_is_only_acknowledged(status: int) -> None:
    lab = Lab()
    lab.hear("INVITE")
    lab.respond(lab.accept(), status)
    lab.hear("CANCEL")
    assert lab.labels() == ["100", str(status), "200"]
    assert [type(one) for one in lab.told] == [Arrival]


@pytest.mark.parametrize(
    ("row", "branch"),
    [("", "z9hG4bKother"), ("Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKa", "")],
)
def test_a_cancel_for_nothing_is_481(row: str, branch: str) -> None:  # 9.2
    lab = Lab()
    lab.hear("INVITE")
    lab.accept()
    lab.hear("CANCEL", *([row] if row else []), branch=branch)
    assert lab.labels() == ["100", "481"]
    assert [type(one) for one in lab.told] == [Arrival]


def test_a_cancel_of_another_request_than_invite_is_481() -> None:
    lab = Lab()
    lab.hear("OPTIONS")
    lab.accept()
    lab.hear("CANCEL")
    assert lab.labels() == ["481"]


def test_a_cancel_by_the_rules_of_rfc_2543_finds_its_invite() -> None:
    lab = Lab()
    row = "Via: SIP/2.0/UDP 10.0.0.2"
    lab.hear("INVITE", row)
    lab.accept()
    lab.hear("CANCEL", row)
    assert isinstance(lab.told[-1], Cancelled)
