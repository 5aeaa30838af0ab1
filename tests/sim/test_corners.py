"""Corners where two things happen at once, or where a peer does what it should not."""

import asyncio
from pathlib import Path

import pytest

from sipcore.call.hops import is_behind_nat
from sipcore.config import parse_config
from sipcore.dialog.events import Within
from sipcore.message.flow import Flow
from sipcore.message.uri import Uri
from tests.sim.disks import RefusingJournal, SlowJournal, give
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Talk, sdp
from tests.sim.talking import ringing, two_desks
from tests.sim.world import OUTSIDE, World, world


async def _talking(here: World, **headers: list[str]) -> tuple[Talk, Talk]:
    caller = await here.desk_phone()
    await here.desk_phone("8002", "workshop-8002")
    talk = caller.call("8002", headers or None)
    await talk.answered.wait()
    await here.pass_time(0.1)
    return talk, here.phones[1].calls[0]


def test_a_caller_without_a_contact_is_ended_like_any_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await _talking(here, Contact=[])
            other.request("INVITE", sdp(other.phone.place, "sendonly", version=2))
            await here.pass_time(1)
            other.hang_up()
            await talk.ended.wait()
            await here.pass_time(40)
            assert here.leftovers() == {}
            assert here.cdrs()[0].ended_by == "callee"

    simulate(main())


def test_an_invite_with_two_contacts_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            talk = caller.call("8002", {"Contact": ["<sip:a@10.0.1.1>, <sip:b@10.0.1.1>"]})
            await talk.ended.wait()
            assert talk.status == 400

    simulate(main())


def test_a_call_id_that_is_no_utf_8_leaves_a_record_and_no_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            call_id = "用户".encode("gb18030").decode("utf-8", "surrogateescape")
            talk, _ = await _talking(here, **{"Call-ID": [call_id]})
            talk.hang_up()
            await here.pass_time(40)
            (cdr,) = here.cdrs()
            assert (cdr.call_id, cdr.sip_status) == ("用户", 200)
            assert here.leftovers() == {}

    simulate(main())


def test_a_worker_lost_while_it_rings_refuses_the_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, callee = await ringing(here)
            here.workers.kill()
            await talk.ended.wait()
            assert talk.status == 503
            await here.pass_time(40)
            assert callee.calls[0].status == 487
            assert here.leftovers() == {}

    simulate(main())


def test_byes_that_cross_are_both_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await _talking(here)
            talk.hang_up()
            other.hang_up()
            await here.pass_time(2)
            for one in (talk, other):
                assert one.replies[-1] in [("BYE", 200), ("BYE", 481)], "481: we were faster"
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


@pytest.mark.parametrize("method", ["INFO", "MESSAGE"])
def test_what_is_open_at_the_end_of_a_call_gets_its_answer(tmp_path: Path, method: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await _talking(here)
            other.on_request = lambda _, event: event.request.method == method  # heard, unanswered
            talk.request(method, b"x", {"Content-Type": ["application/x"]})
            await here.pass_time(1)
            assert talk.replies == []
            other.hang_up()
            await talk.ended.wait()
            await here.pass_time(1)
            assert talk.replies == [(method, 487)]  # RFC 3261 15.1.2

    simulate(main())


def test_a_node_that_stops_says_bye_until_it_is_heard(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await _talking(here)
            lost: set[Place] = set()

            def drops(source: Place, to: Place, data: bytes) -> bool:
                is_first = data.startswith(b"BYE") and to not in lost
                if is_first:
                    lost.add(to)
                return is_first

            here.net.drops = drops
            await here.node.drain(drain_s=0)
            await here.pass_time(0.1)
            assert len(lost) == 2
            assert (talk.is_over, other.is_over) == (True, True)

    simulate(main())


def test_line_ends_in_a_dialled_number_go_nowhere(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            talk = caller.call("*%0d%0aX-Evil:1")
            await talk.ended.wait()
            assert talk.status == 400
            assert not any(b"\r\nX-Evil" in p.data for p in here.net.sent)

    simulate(main())


def test_telephone_parameters_are_no_part_of_a_number(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await here.desk_phone()
            carrier = here.carrier()
            carrier.user, carrier.domain = "02188887777", "10.0.0.1"
            talk = carrier.call("+862136413501;npdi=yes")
            await talk.answered.wait()
            talk.hang_up()

    simulate(main())


def test_a_challenge_for_a_re_invite_is_not_passed_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await _talking(here)

            def challenge(one: Talk, event: Within) -> bool:
                one.phone.endpoint.respond(event.transaction, 401)
                return True

            other.on_request = challenge
            talk.request("INVITE", sdp(talk.phone.place, "sendonly", version=2))
            talk.request("MESSAGE", b"hello", {"Content-Type": ["text/plain"]})
            await here.pass_time(1)
            assert sorted(talk.replies) == [("INVITE", 100), ("INVITE", 488), ("MESSAGE", 503)]
            talk.hang_up()

    simulate(main())


def test_a_message_in_a_call_is_carried_across(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await _talking(here)
            other.request("MESSAGE", "你好".encode(), {"Content-Type": ["text/plain"]})
            await here.pass_time(1)
            assert talk.requests[-1].body.decode() == "你好"
            assert other.replies == [("MESSAGE", 200)]
            talk.hang_up()

    simulate(main())


@pytest.mark.parametrize(
    ("contact", "source", "expected"),
    [
        ("192.168.1.5", "8.8.8.8", True),
        ("100.64.3.4", "8.8.8.8", True),  # carrier-grade NAT, RFC 6598
        ("192.168.1.5", "10.0.0.7", False),  # a carrier's private network: its Contact counts
        ("8.8.4.4", "8.8.8.8", False),
        ("phone.example", "8.8.8.8", False),
    ],
)
def test_a_contact_that_the_public_network_cannot_reach_is_behind_nat(
    contact: str, source: str, expected: bool
) -> None:
    flow = Flow("udp", "10.0.0.1", 5060, source, 5060)
    assert is_behind_nat(Uri.parse(f"sip:8001@{contact}"), flow) is expected


def test_a_caller_who_gives_up_while_the_disk_hangs_is_not_connected(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            give(here, SlowJournal)
            talk = caller.call("8002")
            await callee.rang.wait()
            await here.pass_time(0.2)
            talk.hang_up()
            await talk.ended.wait()
            assert talk.status == 487
            await callee.calls[0].ended.wait()
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_an_answer_that_cannot_be_synced_is_no_answer_for_the_caller(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            give(here, RefusingJournal)
            talk = caller.call("8002")
            await talk.ended.wait()
            await callee.calls[0].ended.wait()
            assert talk.status == 503
            (cdr,) = here.cdrs()
            assert (cdr.sip_status, cdr.answered_at, cdr.talked_s) == (503, None, None)

    simulate(main())


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("INFO", 200), ("REFER", 405)])
def test_a_ringing_phone_may_ask(tmp_path: Path, method: str, status: int) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, callee = await ringing(here)
            await here.pass_time(0.1)
            callee.calls[0].request(method)
            await here.pass_time(0.1)
            assert callee.calls[0].replies == [(method, status)]
            talk.hang_up()
            await talk.ended.wait()

    simulate(main())


def test_a_flood_of_invites_does_not_stop_an_emergency(tmp_path: Path) -> None:
    one = parse_config("[limits]\ninvites_per_s = 1\n")

    async def main() -> None:
        async with world(tmp_path, config=one) as here:
            caller = await here.desk_phone()
            here.carrier()
            first, second = caller.call(OUTSIDE), caller.call(OUTSIDE)
            await asyncio.gather(first.answered.wait(), second.ended.wait())
            assert second.status == 503
            emergency = caller.call("110")
            await emergency.answered.wait()
            emergency.hang_up()
            first.hang_up()

    simulate(main())


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (["application/sdp"], 404),
        (["text/plain", "Application/SDP;level=1"], 404),
        (["application/*"], 404),
        (["*/*;q=0.1"], 404),
        (["text/plain"], 406),
        ([""], 406),
        (["application/sdp;q=0.0"], 406),
    ],
)
def test_who_takes_no_sdp_cannot_call(tmp_path: Path, accept: list[str], status: int) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            talk = caller.call("7777", {"Accept": accept})
            await talk.ended.wait()
            assert talk.status == status
            if status == 406:
                assert talk.answers[-1].headers["Accept"] == ["application/sdp"]

    simulate(main())
