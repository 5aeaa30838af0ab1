"""Client transactions: what goes out again when, and what their user hears (RFC 3261 17.1)."""

import pytest

from sipcore.dialog.events import Reply
from sipcore.dialog.tables import CALLING
from sipcore.message.flow import Flow
from tests.dialog.lab import TCP, UDP, Lab, doubling

BOTH = pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])


def test_invite_is_resent_at_doubling_intervals_until_timer_b() -> None:  # 17.1.1.2
    lab = Lab()
    lab.ask("INVITE")
    lab.advance(31.999)
    assert lab.sent_at("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert lab.told == []
    lab.advance(0.001)
    assert (lab.replies(), lab.reply().is_local) == ([408], True)
    assert lab.leftovers() == (0, 0, 0)


def test_other_requests_are_resent_no_slower_than_t2_until_timer_f() -> None:  # 17.1.2.2
    lab = Lab()
    lab.ask("OPTIONS")
    lab.advance(32)
    assert lab.sent_at("OPTIONS") == list(doubling())
    assert lab.sent_at("OPTIONS")[-1] == 31.5
    assert lab.replies() == [408]
    assert lab.leftovers() == (0, 0, 0)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_reliable_flow_repeats_nothing_and_waits_as_long(method: str) -> None:
    lab = Lab(TCP)
    lab.ask(method)
    lab.advance(32)
    assert lab.labels() == [method]
    assert lab.replies() == [408]
    assert lab.leftovers() == (0, 0, 0)


@BOTH
def test_a_provisional_ends_the_repeats_and_the_wait_of_an_invite(flow: Flow) -> None:
    lab = Lab(flow)
    lab.ask("INVITE")
    lab.answer(100)
    lab.answer(180)
    lab.advance(3600)
    assert lab.labels() == ["INVITE"]
    assert lab.replies() == [100, 180]
    assert len(lab.stack.timers) == 0


def test_after_a_provisional_other_requests_are_resent_every_t2() -> None:  # 17.1.2.2
    lab = Lab()
    lab.ask("OPTIONS")
    lab.advance(0.1)
    lab.answer(100)
    lab.answer(100)
    lab.advance(32)
    assert lab.sent_at("OPTIONS") == [0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert lab.replies() == [100, 100, 408]
    assert lab.leftovers() == (0, 0, 0)


def test_other_requests_stop_when_the_transport_fails_after_a_provisional() -> None:
    lab = Lab()
    transaction = lab.ask("OPTIONS")
    lab.answer(100)
    lab.fail(transaction)
    assert lab.replies() == [100, 503]
    assert lab.leftovers() == (0, 0, 0)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@BOTH
def test_a_transport_that_fails_is_a_503(flow: Flow, method: str) -> None:  # 8.1.3.1
    lab = Lab(flow)
    transaction = lab.ask(method)
    lab.fail(transaction)
    assert (lab.replies(), lab.reply().is_local) == ([503], True)
    lab.fail(transaction)
    assert lab.leftovers() == (0, 0, 0)


@pytest.mark.parametrize("before", [(), (100,), (100, 183)])
@pytest.mark.parametrize(("flow", "linger_s"), [(UDP, 32), (TCP, 0)], ids=["udp", "tcp"])
def test_a_refused_invite_is_acknowledged_each_time_for_timer_d(
    flow: Flow, linger_s: float, before: tuple[int, ...]
) -> None:  # 17.1.1.2
    lab = Lab(flow)
    lab.ask("INVITE", {"Route": ["<sip:p;lr>"]})
    for status in (*before, 486):
        lab.answer(status)
    ack, invite = lab.request_sent("ACK"), lab.request_sent("INVITE")
    assert ack.uri == invite.uri
    assert ack.via == invite.via, "the branch is the INVITE's (17.1.1.3)"
    assert (ack.to.tag, ack.from_.tag, ack.call_id) == ("theirs", "ours", "call-1")
    assert (str(ack.cseq.number), ack.cseq.method) == ("1", "ACK")
    assert ack.headers["Route"] == ["<sip:p;lr>"]
    lab.advance(linger_s and 31.9)
    lab.answer(486)
    assert lab.replies() == [*before, 486], "told once"
    assert lab.sent_at("ACK") == ([0, 31.9] if linger_s else [0])
    lab.advance(0.1)
    assert lab.leftovers() == (0, 0, 0)


@BOTH
def test_an_accepted_invite_hears_of_every_2xx_for_timer_m(flow: Flow) -> None:  # RFC 6026 7.2
    lab = Lab(flow)
    lab.ask("INVITE")
    lab.answer(200, "one")
    lab.advance(31.9)
    lab.answer(200, "two")
    lab.answer(486)
    lab.answer(183)
    assert lab.replies() == [200, 200]
    dialogs = [one.dialog for one in lab.told if isinstance(one, Reply)]
    assert [one.remote_tag for one in dialogs if one is not None] == ["one", "two"]
    assert lab.labels() == ["INVITE"], "a 2xx is acknowledged by the user"
    lab.advance(0.1)
    assert (lab.stack.count(), len(lab.stack.timers)) == (0, 0)
    lab.answer(200, "three")
    assert lab.replies() == [200, 200]
    assert lab.stack.absorbed["stray response"] == 1


@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
@pytest.mark.parametrize("before", [(), (100,)])
@pytest.mark.parametrize(("flow", "linger_s"), [(UDP, 5), (TCP, 0)], ids=["udp", "tcp"])
def test_stragglers_of_other_requests_are_absorbed_for_timer_k(
    flow: Flow, linger_s: float, before: tuple[int, ...], status: int
) -> None:  # 17.1.2.2
    lab = Lab(flow)
    lab.ask("OPTIONS")
    for one in (*before, status):
        lab.answer(one)
    lab.advance(linger_s)
    lab.answer(status)
    assert lab.replies() == [*before, status]
    assert lab.labels() == ["OPTIONS"]
    assert lab.leftovers() == (0, 0, 0)


def test_a_response_to_another_branch_or_method_or_with_two_vias_is_a_stray() -> None:
    lab = Lab()
    transaction = lab.ask("INVITE")
    invite = lab.request_sent("INVITE")
    via = invite.headers["Via"][0]
    strays = (
        {"Via": [via.replace("z9hG4bK", "z9hG4bKx")]},
        {"CSeq": ["1 OPTIONS"]},
        {"Via": [via, "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKb"]},  # 8.1.3.3
        {"Via": [f"{via}, SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKb"]},
    )
    for headers in strays:
        lab.answer(200, headers=headers)
    assert lab.told == []
    assert lab.stack.absorbed["stray response"] == 4
    assert transaction.state == CALLING


def test_the_via_asks_for_rport_and_bears_the_nodes_mark() -> None:
    lab = Lab()
    first, second = lab.ask("OPTIONS"), lab.ask("OPTIONS")
    vias = [one.message.via for one in lab.sent]
    assert all("rport" in via.params for via in vias)
    assert vias[0].branch[:15] == vias[1].branch[:15]
    assert vias[0].branch != vias[1].branch
    assert repr(first) == "<OPTIONS client trying udp:10.0.0.2:5060>"
    assert lab.stack.transactions() == [first, second]
