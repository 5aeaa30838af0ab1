"""Which transaction and dialog a request belongs to, what the stack refuses by itself, and where
answers go (RFC 3261 8.2.2, 17.2.3, 18.2)."""

import pytest

from sipcore.dialog.events import Arrival
from sipcore.dialog.matching import reply_flow, stamp_via
from sipcore.errors import BadMessage
from sipcore.message.flow import Flow
from sipcore.message.message import Request
from sipcore.message.parse import parse
from tests.dialog.lab import TCP, UDP, Lab, heard


def test_a_request_that_came_by_two_ways_is_answered_482() -> None:  # 8.2.2.2
    lab = Lab()
    lab.hear("INVITE")
    transaction = lab.accept()
    lab.hear("INVITE", branch="z9hG4bKb")
    assert lab.labels() == ["100", "482"]
    lab.respond(transaction, 486)
    lab.hear("INVITE", branch="z9hG4bKc")
    assert isinstance(lab.told[-1], Arrival), "the first is over"


def test_a_request_of_ours_that_comes_back_is_answered_482() -> None:  # 16.3
    lab = Lab()
    lab.ask("INVITE")
    ours = lab.request_sent("INVITE").headers["Via"][0]
    lab.hear("INVITE", "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKb", f"Via: {ours}")
    assert lab.labels() == ["INVITE", "482"]


def test_the_table_of_requests_that_may_be_merged_has_an_end() -> None:
    lab = Lab(most=1)
    lab.hear("INVITE")
    lab.accept()
    for branch in ("z9hG4bKb", "z9hG4bKc"):
        lab.hear("INVITE", "Call-ID: other", branch=branch)
        assert isinstance(lab.told[-1], Arrival), "what is not remembered is not told apart"
        lab.accept()
    assert "482" not in lab.labels()


@pytest.mark.parametrize("method", ["INVITE", "BYE", "INFO", "OPTIONS"])
def test_a_request_in_an_unknown_dialog_is_answered_481(method: str) -> None:  # 12.2.2
    lab = Lab()
    lab.hear(method, "To: <sip:us@x>;tag=unknown")
    assert lab.labels() == ["481"]
    assert lab.last("481").to.tag == "unknown"
    assert lab.told == []
    assert lab.leftovers() == (0, 0, 0)


def test_the_right_tags_with_another_call_id_are_an_unknown_dialog() -> None:
    lab = Lab()
    dialog = lab.was_called()
    lab.hear(
        "BYE",
        f"To: <sip:us@x>;tag={dialog.local_tag}",
        "CSeq: 2 BYE",
        "Call-ID: x",
        branch="z9hG4bKc",
    )
    assert lab.labels()[-1] == "481"


@pytest.mark.parametrize("branch", ["z9hG4bK", "1"])
def test_without_a_branch_that_is_unique_all_fields_tell_requests_apart(branch: str) -> None:
    lab = Lab()  # 17.2.3, RFC 4475 3.2.1
    lab.hear("OPTIONS", branch=branch)
    lab.respond(lab.accept(), 200)
    lab.hear("OPTIONS", branch=branch)
    assert lab.labels() == ["200", "200"], "a repeat"
    for row in ("CSeq: 2 OPTIONS", "Call-ID: x", "From: <sip:them@x>;tag=x"):
        before = len(lab.told)
        lab.hear("OPTIONS", row, branch=branch)
        assert len(lab.told) == before + 1, "another request"


def test_the_sent_by_belongs_to_the_branch() -> None:  # 17.2.3
    lab = Lab()
    for host in ("10.0.0.2", "10.0.0.3", "10.0.0.2:5061"):
        lab.hear("OPTIONS", f"Via: SIP/2.0/UDP {host};branch=z9hG4bKa", f"Call-ID: {host}")
    assert len(lab.told) == 3
    lab.accept()
    lab.hear("OPTIONS", "Via: SIP/2.0/UDP 10.0.0.2:5061;branch=z9hG4bKa")
    assert len(lab.told) == 3, "5061 is there already"


def vias(*rows: str) -> Request:
    found = parse(heard("OPTIONS", *(f"Via: {row}" for row in rows)))
    assert isinstance(found, Request)
    return found


SOURCE = Flow("udp", "10.0.0.1", 5060, "192.0.2.7", 40000)
SOURCE6 = Flow("udp", "2001:db8::1", 5060, "2001:db8::7", 40000)


@pytest.mark.parametrize(
    ("via", "flow", "stamped", "answered_at"),
    [
        ("SIP/2.0/UDP 192.0.2.7", SOURCE, "SIP/2.0/UDP 192.0.2.7", 5060),
        ("SIP/2.0/UDP 192.0.2.7:5070", SOURCE, "SIP/2.0/UDP 192.0.2.7:5070", 5070),
        ("SIP/2.0/UDP 192.0.2.7:40000", SOURCE, "SIP/2.0/UDP 192.0.2.7:40000", 40000),
        ("SIP/2.0/UDP 10.1.1.1", SOURCE, "SIP/2.0/UDP 10.1.1.1;received=192.0.2.7", 5060),
        ("SIP/2.0/UDP pc.example;branch=z9hG4bKa", SOURCE,
         "SIP/2.0/UDP pc.example;branch=z9hG4bKa;received=192.0.2.7", 5060),
        ("SIP/2.0/UDP 192.0.2.7;rport;branch=z9hG4bKa", SOURCE,
         "SIP/2.0/UDP 192.0.2.7;rport=40000;branch=z9hG4bKa;received=192.0.2.7", 40000),
        ("SIP/2.0/UDP 10.1.1.1;rport=1;received=1.2.3.4", SOURCE,
         "SIP/2.0/UDP 10.1.1.1;rport=40000;received=192.0.2.7", 40000),
        ("SIP/2.0/UDP [2001:db8::7]:5070", SOURCE6, "SIP/2.0/UDP [2001:db8::7]:5070", 5070),
        ("SIP/2.0/UDP [2001:db8::9];rport", SOURCE6,
         "SIP/2.0/UDP [2001:db8::9];rport=40000;received=2001:db8::7", 40000),
        ("SIP/2.0/TCP 10.1.1.1:5070", Flow("tcp", "10.0.0.1", 5060, "192.0.2.7", 40000, 3),
         "SIP/2.0/TCP 10.1.1.1:5070;received=192.0.2.7", 40000),
    ],
)  # fmt: skip
def test_a_via_is_stamped_and_answered_where_it_came_from(
    via: str, flow: Flow, stamped: str, answered_at: int
) -> None:  # 18.2.1, 18.2.2, RFC 3581 4
    request = vias(via)
    stamp_via(request, flow)
    assert request.headers["Via"] == [stamped]
    back = reply_flow(request, flow)
    assert (back.remote_address, back.remote_port) == (flow.remote_address, answered_at)
    assert (back.connection, back.local_port) == (flow.connection, flow.local_port)


@pytest.mark.parametrize("between", ["one line", "rows"])
def test_only_the_topmost_via_is_stamped(between: str) -> None:
    others = ['SIP/2.0/UDP p2;x="a,b"', "SIP/2.0/TCP p1;branch=z9hG4bKp"]
    rows = ["SIP/2.0/UDP p3;rport", *others]
    request = vias(*([", ".join(rows)] if between == "one line" else rows))
    stamp_via(request, SOURCE)
    assert request.values("Via") == ["SIP/2.0/UDP p3;rport=40000;received=192.0.2.7", *others]


def test_the_answer_bears_all_vias_as_stamped() -> None:
    lab = Lab()
    lab.hear("OPTIONS", "Via: SIP/2.0/UDP a;branch=z9hG4bKa, SIP/2.0/UDP b;branch=z9hG4bKb")
    lab.respond(lab.accept(), 200)
    assert lab.last("200").values("Via") == [
        "SIP/2.0/UDP a;branch=z9hG4bKa;received=10.0.0.2",
        "SIP/2.0/UDP b;branch=z9hG4bKb",
    ]


@pytest.mark.parametrize("flow", [UDP, TCP], ids=["udp", "tcp"])
def test_a_broken_request_is_refused_once_and_nothing_is_kept(flow: Flow) -> None:
    lab = Lab(flow)
    request = parse(heard("OPTIONS", "CSeq: 1 INVITE", transport=flow.transport))
    assert isinstance(request, Request)
    lab.stack.refuse_broken(request, flow, 400, "CSeq names another method")
    lab.drain()
    (sent,) = lab.sent
    assert sent.message.to_bytes().startswith(b"SIP/2.0 400 Bad Request - CSeq names")
    assert sent.message.to.tag is not None
    assert lab.leftovers() == (0, 0, 0)


def test_an_unreadable_via_goes_back_as_it_came_to_where_it_came_from() -> None:
    lab = Lab()
    request = parse(heard("OPTIONS", "Via: SIP/2.0/UDP a;;"))
    assert isinstance(request, Request)
    lab.stack.refuse_broken(request, SOURCE, 400, "broken parameter")
    out = lab.stack.poll()
    assert out is not None
    assert b"Via: SIP/2.0/UDP a;;\r\n" in getattr(out, "data", b"")
    assert getattr(out, "flow", None) == SOURCE


@pytest.mark.parametrize("name", ["Via", "CSeq"])
def test_what_could_not_be_matched_by_its_sender_gets_no_refusal(name: str) -> None:
    request = parse(heard("OPTIONS"))
    assert isinstance(request, Request)
    del request.headers[name]
    with pytest.raises(BadMessage, match="no Via or no CSeq"):
        Lab().stack.refuse_broken(request, UDP, 400, "missing")
