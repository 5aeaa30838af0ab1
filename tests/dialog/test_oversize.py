"""Requests too large for UDP: smaller first, TCP for one request where it works, UDP after all."""

from sipcore.dialog.events import Send
from sipcore.dialog.oversize import DETOUR_S, LARGE
from sipcore.message.flow import Flow, Hop
from sipcore.message.message import Headers, Request
from sipcore.message.parse import parse
from sipcore.message.shrink import shrink
from tests.dialog.lab import UDP, Lab, Listener

TCP = Flow("tcp", "10.0.0.1", 5062, "10.0.0.2", 5060)
HUGE: Headers = {"X-Large": ["x" * 3000]}
CHATTY: Headers = {"User-Agent": ["u" * 600], "Allow": ["INVITE, ACK, BYE"], "Route": ["r" * 500]}


class Detours:
    """A peer that takes TCP, as far as we know."""

    def __init__(self) -> None:
        self.is_known = True
        self.failures = 0

    def of(self, flow: Flow) -> Hop | None:
        assert flow == UDP
        return Hop(TCP, "10.0.0.1:5062") if self.is_known else None

    def failed(self, hop: Hop) -> None:
        assert hop.flow == TCP
        self.failures += 1


def lab(*, is_known: bool = True) -> tuple[Lab, Detours]:
    made, detours = Lab(), Detours()
    detours.is_known = is_known
    made.stack.oversize.detours = detours
    return made, detours


def test_a_request_that_fits_goes_as_it_is() -> None:
    here, _ = lab()
    here.ask("INVITE", {"X-Large": ["x" * 900]})
    assert here.sent[0].flow == UDP
    assert here.stack.oversize.counts == {"shrunk": 0, "tcp": 0, "fragmented": 0}


def test_a_large_request_is_written_in_fewer_bytes_and_stays_on_udp() -> None:
    here, _ = lab()
    transaction = here.stack.request(
        Request("INVITE", "sip:them@x", {**_base(), **CHATTY}), here.hop(), Listener(), 0
    )
    out = here.stack.poll()
    assert isinstance(out, Send)
    assert len(out.data) <= LARGE < len(transaction.request.to_bytes())
    assert out.flow == UDP
    assert b"\r\nf: <sip:us@x>" in out.data
    assert b"User-Agent" not in out.data
    assert b"Allow" in out.data, "the first INVITE says what we take (13.2.1)"
    assert here.stack.oversize.counts["shrunk"] == 1


def test_what_is_shrunk_says_the_same() -> None:
    whole = Request("INVITE", "sip:them@x", {**_base(), **CHATTY}, b"v=0\r\n")
    whole.headers["Via"] = ["SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa"]
    read = parse(shrink(whole, 10_000))
    assert isinstance(read, Request)
    assert sorted(read.rows()) == sorted(whole.rows())
    assert (read.method, read.uri, read.body) == (whole.method, whole.uri, whole.body)
    within = Request(
        "INVITE", "sip:them@x", {**_base(), "To": ["<sip:a@x>;tag=2"], **CHATTY, **HUGE}
    )
    assert b"Allow" not in shrink(within, LARGE)


def test_what_is_too_large_even_then_goes_over_tcp_for_this_request_alone() -> None:
    here, detours = lab()
    here.ask("INVITE", HUGE)
    sent = here.request_sent("INVITE")
    assert here.sent[0].flow == TCP
    assert (sent.via.transport, sent.via.port) == ("TCP", 5062)
    here.answer(200)
    dialog = here.reply().dialog
    assert dialog is not None
    assert dialog.flow == UDP, "the dialog goes on where it would have been"
    here.advance(40)
    assert here.labels() == ["INVITE"], "nothing is repeated on TCP"
    here.say(dialog, "BYE")
    assert here.sent[-1].flow == UDP
    assert detours.failures == 0


def test_a_refusal_over_tcp_is_acknowledged_there_and_a_cancel_goes_there() -> None:
    here, _ = lab()
    transaction = here.ask("INVITE", HUGE)
    invite = here.request_sent("INVITE")
    here.answer(180)
    here.cancel(transaction)
    here.answer(487, to=invite)
    assert [(one.label, one.flow) for one in here.sent] == [
        ("INVITE", TCP), ("CANCEL", TCP), ("ACK", TCP)
    ]  # fmt: skip
    assert {one.message.via.branch for one in here.sent} == {invite.via.branch}


def test_a_connection_that_fails_brings_the_request_back_to_udp_with_its_branch() -> None:
    here, detours = lab()
    transaction = here.ask("INVITE", HUGE)
    here.fail(transaction)
    first, second = here.sent
    assert (first.flow, second.flow) == (TCP, UDP)
    assert second.message.via.transport == "UDP"
    assert first.message.via.branch == second.message.via.branch
    assert detours.failures == 1
    here.advance(3.6)
    assert here.sent_at("INVITE") == [0, 0, 0.5, 1.5, 3.5], "and it is repeated as on UDP"
    here.answer(486)
    assert here.sent[-1].flow == UDP
    assert here.replies() == [486]


def test_silence_over_tcp_brings_the_request_back_to_udp() -> None:
    for method in ("INVITE", "MESSAGE"):
        here, detours = lab()
        here.ask(method, HUGE)
        here.advance(DETOUR_S + 0.6)
        assert [one.flow for one in here.sent] == [TCP, UDP, UDP]
        assert here.sent_at(method) == [0, DETOUR_S, DETOUR_S + 0.5]
        assert detours.failures == 1
        here.advance(70)
        assert here.replies() == [408]
        assert here.leftovers()[:2] == (0, 0)


def test_what_was_heard_over_tcp_stays_there() -> None:
    for method in ("INVITE", "MESSAGE"):
        here, detours = lab()
        here.ask(method, HUGE)
        here.answer(100)
        here.advance(20)
        assert [one.flow for one in here.sent] == [TCP]
        here.answer(200)
        assert here.replies()[-1] == 200
        assert detours.failures == 0


def test_without_tcp_a_large_request_goes_in_fragments() -> None:
    here, _ = lab(is_known=False)
    here.ask("INVITE", HUGE)
    assert here.sent[0].flow == UDP
    assert here.stack.oversize.counts["fragmented"] == 1
    alone = Lab()
    alone.ask("INVITE", HUGE)
    assert alone.sent[0].flow == UDP


def _base() -> Headers:
    return {
        "Via": [], "Max-Forwards": ["70"], "From": ["<sip:us@x>;tag=ours"], "To": ["<sip:them@x>"],
        "Call-ID": ["call-1"], "CSeq": ["1 INVITE"], "Contact": ["<sip:us@10.0.0.1>"],
    }  # fmt: skip
