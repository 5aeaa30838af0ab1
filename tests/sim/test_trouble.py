"""When things go wrong: silence, lost messages, a disk that refuses, a node that stops or dies."""

from pathlib import Path

import pytest

from sipcore.config import parse_config
from sipcore.message.flow import Flow
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Phone, sdp
from tests.sim.talking import talking, two_desks
from tests.sim.world import NODE, OUTSIDE, World, world


def _asked(here: World, phone: Phone) -> int:
    """Count the OPTIONS that a phone was sent."""
    return sum(
        packet.start_line.startswith("OPTIONS") and packet.to == phone.place
        for packet in here.net.sent
    )


def test_both_sides_silent_end_the_call_without_asking(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, other = await talking(here)
            await here.pass_time(70)
            assert (talk.is_over, other.is_over) == (True, True)
            assert _asked(here, caller) + _asked(here, callee) == 0
            (cdr,) = here.cdrs()
            assert (cdr.inferred_end, cdr.ended_by, cdr.reason) == (
                True,
                "node",
                "both sides silent",
            )
            assert cdr.talked_s is not None
            assert cdr.talked_s < 1

    simulate(main())


def test_a_silent_phone_that_is_gone_ends_the_call_at_its_last_packet(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, other = await talking(here)
            await here.speak(caller, talk.body, 10)
            caller.close()  # the cable is pulled
            await here.speak(callee, other.requests[0].body, 120)
            assert other.is_over
            assert _asked(here, caller) > 0
            (cdr,) = here.cdrs()
            assert cdr.inferred_end
            assert cdr.talked_s is not None
            assert 8 < cdr.talked_s < 12

    simulate(main())


def test_a_silent_phone_that_answers_is_left_in_peace(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, other = await talking(here)
            await here.speak(callee, other.requests[0].body, 200)
            assert not talk.is_over
            assert _asked(here, caller) >= 2
            talk.hang_up()

    simulate(main())


def test_a_held_phone_may_be_silent(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, other = await talking(here)
            talk.request("INVITE", sdp(caller.place, "inactive", version=2))
            await here.pass_time(300)
            assert (talk.is_over, other.is_over) == (False, False)
            assert _asked(here, caller) + _asked(here, callee) == 0
            talk.hang_up()

    simulate(main())


def test_a_caller_that_never_acknowledges_is_let_go(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)

            def drops(source: Place, to: Place, data: bytes) -> bool:
                is_ack = data.startswith(b"ACK") and source == caller.place
                return is_ack and b"CSeq: 2 ACK" in data

            here.net.drops = drops
            talk = caller.call("8002")
            await talk.answered.wait()
            await here.pass_time(40)
            assert callee.calls[0].is_over
            (cdr,) = here.cdrs()
            assert cdr.reason == "no ACK from a"
            assert cdr.talked_s is not None
            assert cdr.talked_s < 1, "nothing proves that it lived longer"
            await here.pass_time(60)
            assert here.leftovers() == {}

    simulate(main())


def test_a_callee_who_hangs_up_before_the_ack_waits_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            lost = 0

            def drops(source: Place, to: Place, data: bytes) -> bool:
                nonlocal lost
                is_ack = source == caller.place and b"CSeq: 2 ACK" in data
                lost += is_ack
                return is_ack and lost <= 2

            here.net.drops = drops
            talk = caller.call("8002")
            await talk.answered.wait()
            callee.calls[0].hang_up()
            await talk.ended.wait()
            bye_at = next(
                p.at
                for p in here.net.sent
                if p.to == caller.place and p.start_line.startswith("BYE")
            )
            acks = [p.at for p in here.net.sent if p.source == caller.place and b"2 ACK" in p.data]
            assert bye_at > acks[2]
            await here.pass_time(60)
            assert here.leftovers() == {}

    simulate(main())


def test_an_answer_that_is_not_on_disk_does_not_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            here.journal.refuse = "no space left on device"
            talk = caller.call("8002")
            await talk.ended.wait()
            assert talk.status == 503
            assert callee.calls == [], "nobody is rung for a call that cannot be answered"
            carrier = here.carrier()
            emergency = caller.call("110")
            await emergency.answered.wait()
            emergency.hang_up()
            await carrier.calls[0].ended.wait()
            here.journal.refuse = None
            second = caller.call("8002")
            await second.answered.wait()
            second.hang_up()
            await here.pass_time(1)
            assert len(here.cdrs()) == 3, "what the disk refused was kept and written later"

    simulate(main())


def test_a_draining_node_takes_no_calls_and_ends_the_rest(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, other = await talking(here)
            held = caller.call(OUTSIDE)
            await here.pass_time(0)
            here.net.drops = None
            stopping = here.node.drain(drain_s=30)
            waiting = here.beside(stopping)
            await here.pass_time(1)
            refused = caller.call("8002")
            await refused.ended.wait()
            assert refused.status == 503
            assert refused.answers[-1].first("Retry-After") == "10"
            assert not talk.is_over
            await here.pass_time(30)
            await waiting
            assert (talk.is_over, other.is_over, held.is_over) == (True, True, True)
            assert "the node stops" in (talk.requests[-1].first("Reason") or "")
            assert {cdr.ended_by for cdr in here.cdrs()} == {"node"}

    simulate(main())


def test_a_node_that_dies_in_a_call_leaves_one_cdr(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, _ = await talking(here)
            await here.speak(caller, talk.body, 12)
            here.crash()
            await here.pass_time(30)
            await here.restart()
            await here.pass_time(1)
            (cdr,) = here.cdrs()
            assert (cdr.inferred_end, cdr.ended_by) == (True, "node")
            assert cdr.talked_s is not None
            assert 9 < cdr.talked_s < 15, "until the last packet"

    simulate(main())


def test_a_worker_that_does_not_come_back_ends_its_calls(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, _, other = await talking(here)
            here.workers.kill()
            await here.pass_time(6)
            assert (talk.is_over, other.is_over) == (True, True)
            assert here.cdrs()[0].reason == "media worker lost"

    simulate(main())


def test_too_many_calls_are_refused_but_not_an_emergency(tmp_path: Path) -> None:
    one = parse_config("[limits]\ncalls = 1\n[media]\nports = [10000, 10019]\n")

    async def main() -> None:
        async with world(tmp_path, config=one) as here:
            caller, talk, _, _ = await talking(here)
            here.carrier()
            second = caller.call(OUTSIDE)
            await second.ended.wait()
            assert second.status == 503
            emergency = caller.call("119")
            await emergency.answered.wait()
            emergency.hang_up()
            talk.hang_up()

    simulate(main())


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Max-Forwards": ["0"]}, 483),
        ({"Require": ["teleport"]}, 420),
        ({"Content-Type": ["text/plain"]}, 415),
        ({"Content-Encoding": ["gzip"]}, 415),
    ],
)
def test_what_cannot_be_done_is_refused_at_the_door(
    tmp_path: Path, change: dict[str, list[str]], status: int
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = here.phone("8001", "front-desk-8001")
            request = caller.new_request("INVITE", "sip:8002@acme.example", change)
            request.body = sdp(caller.place)
            assert (await caller.ask(request)).status == status

    simulate(main())


@pytest.mark.parametrize(("said", "told"), [("5", "4"), ("255", "69")])
def test_max_forwards_is_carried_across_less_one_and_never_made_more(
    tmp_path: Path, said: str, told: str
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            talk = caller.call("8002", {"Max-Forwards": [said]})
            await talk.answered.wait()
            assert callee.calls[0].requests[0].first("Max-Forwards") == told
            talk.hang_up()

    simulate(main())


def test_a_scanner_gets_no_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.net.sent.clear()
            scanner = ("203.0.113.9", 5060)
            options = (
                b"OPTIONS sip:100@10.0.0.1 SIP/2.0\r\n"
                b"Via: SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bK1\r\n"
                b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
                b"User-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
            )
            here.node.endpoint.receive(options, Flow("udp", *NODE, *scanner))
            here.node.endpoint.flush()
            assert here.net.sent == []
            here.node.endpoint.receive(
                options.replace(b"friendly-scanner", b"Yealink"), Flow("udp", *NODE, *scanner)
            )
            here.node.endpoint.flush()
            assert here.net.sent[0].start_line == "SIP/2.0 200 OK"

    simulate(main())
