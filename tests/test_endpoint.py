"""The shell: what comes is answered or counted, what must leave leaves by the right transport, and
nothing that comes over the network raises."""

import asyncio
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipcore.dialog.events import Reply
from sipcore.endpoint import Batch
from sipcore.errors import BadMessage
from sipcore.message.flow import Flow
from sipcore.message.message import Request
from sipcore.message.parse import parse
from sipcore.message.uri import Uri
from tests.dialog.lab import TCP, UDP, heard
from tests.message.mutants import mutants
from tests.shell import Owner, Shell, Wire
from tests.sim.loop import simulate


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
        ours = refused.headers["To"][0]
        tag = ours.partition(";")[2]
        for to, strays in (
            (ours, 0),
            ("<sip:us@x>;tag=other", 1),
            (f'";{tag}" <sip:us@x>;tag=1', 2),
        ):
            shell.endpoint.receive(heard("ACK", f"To: {to}"), UDP)
            assert shell.stack.absorbed["stray ACK"] == strays
        assert shell.value("sipcore_messages_total", acked) == 3

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
