"""The shell: what comes is answered or counted, what must leave leaves by the right transport, and
nothing that comes over the network raises."""

import asyncio
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipcore.dialog.events import Reply, Told
from sipcore.dialog.stack import Stack
from sipcore.endpoint import Batch, Endpoint
from sipcore.errors import BadMessage
from sipcore.ids import Ids
from sipcore.message.flow import Flow
from sipcore.message.message import Request, Response
from sipcore.message.parse import parse
from sipcore.message.uri import Uri
from sipcore.metrics import Metrics
from sipcore.transport.base import Lost
from sipcore.transport.networks import source_address
from sipcore.transport.resolve import Resolver
from tests.dialog.lab import TCP, UDP, heard
from tests.message.mutants import mutants
from tests.sim.loop import simulate


class Wire:
    """A transport that keeps what is sent; `is_broken` loses it at once."""

    def __init__(self, address: str = "10.0.0.1", port: int = 5060, name: str = "udp") -> None:
        self.name, self.address, self.port = name, address, port
        self.sent: list[tuple[bytes, Flow]] = []
        self.is_broken = False
        self.is_closed = False

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        self.sent.append((data, flow))
        if self.is_broken and lost is not None:
            lost()

    def close(self) -> None:
        self.is_closed = True

    def statuses(self) -> list[int]:
        read = [parse(data) for data, _ in self.sent]
        return [one.status for one in read if isinstance(one, Response)]


class Owner:
    """A user that keeps what it is told, or has a bug."""

    def __init__(self, has_bug: bool = False) -> None:
        self.told: list[Told] = []
        self._has_bug = has_bug

    def feed(self, event: Told) -> None:
        self.told.append(event)
        assert not self._has_bug, "a bug"


class Shell:
    """An Endpoint with its stack and metrics in view."""

    def __init__(self, *wires: Wire) -> None:
        self._wires = wires or (Wire(),)
        self.stack = Stack(Ids().token)
        self.metrics = Metrics()
        loop = asyncio.get_running_loop()
        self.endpoint = Endpoint(self.stack, Resolver(loop), self.metrics)
        for wire in self._wires:
            self.endpoint.add(wire)

    @property
    def wires(self) -> tuple[Wire, ...]:
        """The transports, with what gathered for them."""
        self.endpoint.flush()
        return self._wires

    def bad(self, reason: str) -> float:
        value = self.value("sipcore_bad_messages_total", {"reason": reason})
        return value or 0.0

    def value(self, name: str, labels: dict[str, str]) -> float | None:
        for family in self.metrics.snapshot():
            for sample in family.samples:
                if (sample.name, sample.labels) == (name, labels):
                    return sample.value
        return None

    def options(self, uri: str = "sip:them@10.0.0.2") -> Request:
        return Request("OPTIONS", uri, {
            "Via": [], "From": ["<sip:us@x>;tag=1"], "To": [f"<{uri}>"], "Call-ID": ["1"],
            "CSeq": ["1 OPTIONS"],
        })  # fmt: skip


def test_what_arrives_is_handed_over_and_answered() -> None:
    async def main() -> None:
        shell = Shell()
        came: list[Request] = []

        def arrive(request: Request, flow: Flow) -> None:
            came.append(request)
            transaction = shell.endpoint.accept(request, flow)
            assert shell.endpoint.respond(transaction, 200)
            assert not shell.endpoint.respond(transaction, 200)

        shell.endpoint.on_arrival = arrive
        shell.endpoint.receive(heard("OPTIONS"), UDP)
        assert (len(came), shell.wires[0].statuses()) == (1, [200])
        assert shell.value(
            "sipcore_messages_total", {"direction": "out", "method": "OPTIONS", "class": "2xx"}
        ) == 1  # fmt: skip
        await asyncio.sleep(33)
        assert (shell.stack.count(), len(shell.stack.timers)) == (0, 0)

    simulate(main())


def test_what_is_sent_as_it_is_leaves_in_a_row_with_all_else_once_the_batch_is_done() -> None:
    async def main() -> None:
        wire = Wire()
        shell = Shell(wire)

        def arrive(request: Request, flow: Flow) -> None:
            assert wire.sent == []
            shell.endpoint.send_as_it_is(b"SIP/2.0 401 Unauthorized", flow, "REGISTER")
            shell.endpoint.reply_statelessly(request, flow, 404)

        shell.endpoint.on_arrival = arrive
        batch = [(heard("OPTIONS", f"Call-ID: {name}"), UDP) for name in ("a", "b")]
        shell.endpoint.receive_all(batch)
        await asyncio.sleep(0)
        assert [data[8:11] for data, _ in wire.sent] == [b"401", b"404", b"401", b"404"]

    simulate(main())


@pytest.mark.parametrize(
    ("data", "reason", "statuses"),
    [
        (b"nonsense", "unreadable", []),
        (b"SIP/2.0 999 Odd\r\n\r\n", "unreadable", []),
        (heard("OPTIONS", "CSeq: 1 INVITE"), "broken", [400]),
        (heard("OPTIONS", "CSeq: \x80"), "broken", []),
        (heard("ACK", "CSeq: 1 INVITE"), "broken", []),
        (heard("OPTIONS").replace(b"SIP/2.0\r\nVia", b"SIP/9.9\r\nVia"), "broken", [505]),
        (b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", "broken", []),
        (b"SIP/2.0 200 OK\r\nCall-ID: 1\r\n\r\n", "broken", []),
    ],
)
def test_what_is_broken_is_counted_and_answered_at_most_once(
    data: bytes, reason: str, statuses: list[int]
) -> None:
    async def main() -> None:
        shell = Shell()
        shell.endpoint.receive(data, UDP)
        assert (shell.bad(reason), shell.wires[0].statuses()) == (1, statuses)
        assert shell.stack.count() == 0

    simulate(main())


def test_what_turns_out_broken_when_it_is_looked_at_is_answered_400() -> None:
    async def main() -> None:
        shell = Shell()

        def arrive(request: Request, flow: Flow) -> None:
            raise BadMessage("Contact is no SIP URI")

        shell.endpoint.on_arrival = arrive
        shell.endpoint.receive(heard("OPTIONS"), UDP)
        assert (shell.bad("broken"), shell.wires[0].statuses()) == (1, [400])

    simulate(main())


def test_the_ack_of_what_was_answered_without_state_is_dropped_unread() -> None:
    async def main() -> None:
        shell = Shell()
        shell.endpoint.on_arrival = lambda request, flow: shell.endpoint.reply_statelessly(
            request, flow, 401
        )
        shell.endpoint.receive(heard("INVITE"), UDP)
        refused = parse(shell.wires[0].sent[0][0])
        acked = {"direction": "in", "method": "ACK", "class": "request"}
        for to, strays in ((refused.headers["To"][0], 0), ("<sip:us@x>;tag=other", 1)):
            shell.endpoint.receive(heard("ACK", f"To: {to}"), UDP)
            assert shell.stack.absorbed["stray ACK"] == strays
        assert shell.value("sipcore_messages_total", acked) == 2

    simulate(main())


def test_a_bug_of_who_takes_arrivals_is_answered_500_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        shell = Shell()

        def arrive(request: Request, flow: Flow) -> None:
            raise ZeroDivisionError

        shell.endpoint.on_arrival = arrive
        with caplog.at_level(logging.ERROR):
            shell.endpoint.receive(heard("OPTIONS"), UDP)
        assert (shell.bad("bug"), shell.wires[0].statuses()) == (1, [500])
        assert "a bug met OPTIONS" in caplog.text

    simulate(main())


def test_a_bug_of_an_owner_disturbs_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        shell = Shell()
        broken, fine = Owner(has_bug=True), Owner()
        for owner in (broken, fine):
            hop = shell.endpoint.hop_at_once(Uri.parse("sip:them@10.0.0.2"))
            assert hop is not None
            shell.endpoint.request(shell.options(), hop, owner)
        await asyncio.sleep(33)
        for owner in (broken, fine):
            ((reply,),) = (owner.told,)
            assert isinstance(reply, Reply)
            assert (reply.response.status, reply.is_local) == (408, True)
        assert shell.bad("bug") == 1
        assert len(shell.wires[0].sent) == 22, "both repeated until timer F"

    simulate(main())


def test_a_transport_that_fails_at_once_is_told_once() -> None:
    async def main() -> None:
        shell = Shell()
        shell.wires[0].is_broken = True
        owner = Owner()
        hop = shell.endpoint.hop_at_once(Uri.parse("sip:them@10.0.0.2"))
        assert hop is not None
        shell.endpoint.request(shell.options(), hop, owner)
        shell.endpoint.flush()
        assert [one.response.status for one in owner.told if isinstance(one, Reply)] == [503]
        assert shell.stack.count() == 0

    simulate(main())


def test_a_request_within_a_dialog_that_nobody_owns_any_more_is_481() -> None:
    async def main() -> None:
        shell = Shell()

        def arrive(request: Request, flow: Flow) -> None:
            transaction = shell.endpoint.accept(request, flow)
            shell.endpoint.open_dialog(transaction)
            shell.endpoint.respond(transaction, 200)

        shell.endpoint.on_arrival = arrive
        shell.endpoint.receive(heard("INVITE"), UDP)
        tag = parse(shell.wires[0].sent[-1][0]).to.tag
        to = f"To: <sip:us@x>;tag={tag}"
        shell.endpoint.receive(heard("BYE", to, "CSeq: 2 BYE", branch="z9hG4bKb"), UDP)
        assert shell.wires[0].statuses() == [100, 200, 481]

    simulate(main())


MANY = (
    ("10.0.0.1", 5060, "udp"), ("10.0.0.9", 5060, "udp"), ("2001:db8::1", 5060, "udp"),
    ("10.0.0.9", 5070, "udp"), ("10.0.0.1", 5060, "tcp"), ("10.0.0.9", 5060, "tcp"),
)  # fmt: skip


@pytest.mark.parametrize(("address", "port", "transport"), MANY)
def test_an_answer_leaves_by_the_address_that_the_request_came_to(
    address: str, port: int, transport: str
) -> None:
    async def main() -> None:
        shell = Shell(*(Wire(*place) for place in MANY))
        remote = "2001:db8::2" if ":" in address else "10.0.0.2"
        flow = Flow(transport, address, port, remote, 5060, int(transport == "tcp"))
        shell.endpoint.receive(heard("BYE", "To: <sip:us@x>;tag=none"), flow)
        used = [(w.address, w.port, w.name) for w in shell.wires if w.sent]
        assert used == [(address, port, transport)]
        assert shell.endpoint.hop_by(flow).sent_by.rpartition(":")[2] == str(port)

    simulate(main())


@pytest.mark.parametrize(("local", "remote", "wire"), [
    ("192.0.2.1", "192.0.2.2", "0.0.0.0"), ("2001:db8::1", "2001:db8::2", "::"),
])  # fmt: skip
def test_a_wildcard_serves_its_own_family(local: str, remote: str, wire: str) -> None:
    async def main() -> None:
        shell = Shell(Wire("0.0.0.0"), Wire("::"))
        flow = Flow("udp", local, 5060, remote, 5060)
        shell.endpoint.receive(heard("BYE", "To: <sip:us@x>;tag=none"), flow)
        assert [one.address for one in shell.wires if one.sent] == [wire]

    simulate(main())


def test_what_came_to_an_address_of_before_leaves_by_one_of_its_family() -> None:
    async def main() -> None:
        shell = Shell(Wire("2001:db8::1"), Wire("10.0.0.1"))
        flow = Flow("udp", "10.9.9.9", 5060, "10.0.0.2", 5060)
        shell.endpoint.receive(heard("BYE", "To: <sip:us@x>;tag=none"), flow)
        assert [one.address for one in shell.wires if one.sent] == ["10.0.0.1"]

    simulate(main())


def test_a_connection_that_we_opened_is_named_by_the_port_we_listen_on() -> None:
    async def main() -> None:
        shell = Shell(Wire("10.0.0.1", 5060, "tcp"))
        opened = Flow("tcp", "10.0.0.1", 43210, "10.0.0.2", 5060, 3)
        assert shell.endpoint.hop_by(opened).sent_by == "10.0.0.1:5060"
        elsewhere = Flow("tcp", "10.9.9.9", 43210, "10.0.0.2", 5060, 3)
        assert shell.endpoint.hop_by(elsewhere).sent_by == "10.9.9.9:43210"

    simulate(main())


def test_peers_outside_are_told_the_advertised_name() -> None:
    async def main() -> None:
        shell = Shell(Wire("10.0.0.5"))
        shell.endpoint.add(Wire("10.0.0.1"), "sip.example")
        shell.endpoint.add(Wire("10.0.0.1", 5070), "sip.example:15070")
        for port, name in ((5060, "sip.example:5060"), (5070, "sip.example:15070")):
            flow = Flow("udp", "10.0.0.1", port, "198.51.100.2", 5060)
            assert shell.endpoint.hop_by(flow).sent_by == name
            inside = Flow("udp", "10.0.0.1", port, "10.0.0.2", 5060)
            assert shell.endpoint.hop_by(inside).sent_by == f"10.0.0.1:{port}"

    simulate(main())


def test_the_way_to_a_uri_is_of_its_family_and_transport_or_there_is_none() -> None:
    async def main() -> None:
        endpoint = Shell(Wire(), Wire("2001:db8::1"), Wire(port=5070, name="tcp")).endpoint
        for text, local in (
            ("sip:10.0.0.2", "udp 10.0.0.1:5060"),
            ("sip:[2001:db8::2]", "udp 2001:db8::1:5060"),
            ("sip:10.0.0.2;transport=tcp", "tcp 10.0.0.1:5070"),
        ):
            for _ in range(2):
                hop = await endpoint.hop_to(Uri.parse(text))
                assert hop is not None
                flow = hop.flow
                assert f"{flow.transport} {flow.local_address}:{flow.local_port}" == local
        for text in ("sip:10.0.0.2;transport=sctp", "sip:[::2];transport=tcp", "tel:1"):
            assert endpoint.hop_at_once(Uri.parse(text)) is None
            assert await endpoint.hop_to(Uri.parse(text)) is None

    simulate(main())


def test_a_wildcard_is_named_by_the_address_that_the_kernel_would_use() -> None:
    async def main() -> None:
        endpoint = Shell(Wire("0.0.0.0")).endpoint
        hop = endpoint.hop_at_once(Uri.parse("sip:127.0.0.1"))
        assert hop is not None
        assert hop.sent_by == "127.0.0.1:5060"
        assert source_address("::1") == "::1"
        assert source_address("not an address") is None

    simulate(main())


def test_an_answer_of_a_wildcard_names_an_address_that_the_peer_can_reach() -> None:
    async def main() -> None:
        shell = Shell(Wire("0.0.0.0"))
        came = Flow("udp", "0.0.0.0", 5060, "127.0.0.1", 5061)
        assert shell.endpoint.hop_by(came).sent_by == "127.0.0.1:5060"

    simulate(main())


def test_a_closed_endpoint_sends_and_repeats_nothing() -> None:
    async def main() -> None:
        shell = Shell()
        hop = shell.endpoint.hop_at_once(Uri.parse("sip:10.0.0.2"))
        assert hop is not None
        shell.endpoint.request(shell.options(), hop, None)
        shell.endpoint.close()
        await asyncio.sleep(33)
        shell.endpoint.receive(heard("OPTIONS", "CSeq: 1 INVITE"), TCP)
        assert len(shell.wires[0].sent) == 1
        assert shell.wires[0].is_closed
        Shell().endpoint.close()

    simulate(main())


@settings(deadline=None, max_examples=150, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.lists(mutants(), min_size=1, max_size=4))
def test_mutilated_messages_never_raise_and_meet_no_bug(data: list[bytes]) -> None:
    async def main() -> None:
        shell = Shell(Wire(), Wire(name="tcp"))

        def arrive(request: Request, flow: Flow) -> None:
            transaction = shell.endpoint.accept(request, flow)
            if request.method == "INVITE":
                dialog = shell.endpoint.open_dialog(transaction)
                shell.endpoint.respond(transaction, 200, {"Contact": ["<sip:us@10.0.0.1>"]})
                hop = shell.endpoint.hop_by(dialog.flow)
                shell.endpoint.request(dialog.request("BYE"), hop, None)
                shell.endpoint.end(dialog)
            else:
                shell.endpoint.respond(transaction, 404)

        shell.endpoint.on_arrival = arrive
        for one in data:
            for flow in (UDP, TCP):
                shell.endpoint.receive(one, flow)
        assert shell.bad("bug") == 0
        await asyncio.sleep(100)
        assert (shell.stack.count(), len(shell.stack.timers)) == (0, 0)
        assert shell.stack.dialogs == {}

    simulate(main())


def test_one_datagram_that_meets_a_bug_of_the_guard_does_not_take_its_batch_with_it() -> None:
    async def main() -> None:
        shell = Shell()

        def sift(batch: Batch) -> Batch:
            assert all(b"Call-ID: bad" not in data for data, _ in batch), "a bug"
            return batch

        shell.endpoint.sift = sift
        heard_by: list[str] = []
        shell.endpoint.on_arrival = lambda request, flow: heard_by.append(request.call_id)
        batch = [(heard("OPTIONS", f"Call-ID: {name}"), UDP) for name in ("a", "bad", "b")]
        shell.endpoint.receive_all(batch)
        assert heard_by == ["a", "b"]
        assert shell.bad("bug") == 1

    simulate(main())
