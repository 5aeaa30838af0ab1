"""Before the answer: reliable 18x (RFC 3262), UPDATE (RFC 3311), early media of several forks."""

from pathlib import Path

import pytest

from sipcore.message.message import Request, Response
from sipcore.message.parse import parse
from tests.sim.description import description, direction_of, formats_of
from tests.sim.loop import simulate
from tests.sim.net import Packet
from tests.sim.parties import disagreement, habits, party, pick_up_saying, two_phones
from tests.sim.party import Party, PartyPhone
from tests.sim.phone import sdp
from tests.sim.talking import check_all_is_over
from tests.sim.world import World, parse_config, world


async def _ringing(
    here: World, caller_can: bool = True, callee_can: bool = True, update: bool = True
) -> tuple[Party, Party, PartyPhone, PartyPhone]:
    caller, callee = await two_phones(here, lambda: habits(reliable=callee_can, update=update))
    a = caller.begin("8002", habits(reliable=caller_can, update=update))
    await callee.rang.wait()
    return a, party(callee.calls[0]), caller, callee


async def _end(here: World, a: Party, b: Party) -> None:
    assert (a.faults, b.faults) == ([], [])
    assert disagreement(a, b) == ""
    a.hang_up()
    await here.pass_time(1)
    assert b.is_over
    await check_all_is_over(here)
    (cdr,) = here.cdrs()
    assert cdr.sip_status == 200


def _received(here: World, phone: PartyPhone) -> list[Request | Response]:
    return [parse(one.data) for one in here.net.sent if one.to == phone.place]


def _starts(packets: list[Packet], phone: PartyPhone) -> list[str]:
    return [one.start_line for one in packets if one.to == phone.place]


def test_a_reliable_183_is_acknowledged_on_both_legs_and_its_sdp_is_the_answer(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, caller, _ = await _ringing(here)
            b.ring(183, description(b.phone.place, 1, "sendrecv", "8 101"), is_reliable=True)
            await here.pass_time(0.2)
            assert not b.unpracked, "the node has sent a PRACK"
            assert a.agreed is not None
            assert formats_of(a.agreed[1]) == {"8", "101"}
            assert ("PRACK", 200) in a.replies
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(0.2)
            last = [one for one in _received(here, caller) if isinstance(one, Response)][-1]
            assert (last.status, last.body) == (200, b""), "the answer went before (RFC 6337 3.1)"
            await _end(here, a, b)

    simulate(main())


def test_a_183_that_is_lost_is_sent_again_and_the_200_waits_for_its_prack(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, caller, _ = await _ringing(here)
            here.net.drops = lambda source, to, data: data.startswith(b"PRACK") and to[1] == 5060
            b.ring(183, description(b.phone.place, 1))  # not reliably: the callee waits for none
            await here.pass_time(1)
            b.pick_up()
            await here.pass_time(2)
            assert not a.answered.is_set()
            here.net.drops = None
            await a.answered.wait()
            rang = [line for line in _starts(here.net.sent, caller) if " 183 " in line]
            assert len(rang) >= 3
            await here.pass_time(1)
            await _end(here, a, b)

    simulate(main())


def test_a_caller_that_never_sends_a_prack_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, _, _ = await _ringing(here)
            here.net.drops = lambda source, to, data: data.startswith(b"PRACK")
            b.ring(183, description(b.phone.place, 1))
            await a.ended.wait()
            assert a.status == 504
            await here.pass_time(1)
            assert b.is_over
            await check_all_is_over(here)
            (cdr,) = here.cdrs()
            assert cdr.sip_status == 504

    simulate(main())


def test_peers_without_100rel_see_nothing_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, caller, _ = await _ringing(here, caller_can=False, callee_can=False)
            b.ring(183, description(b.phone.place, 1))
            await here.pass_time(1)
            rang = [
                one
                for one in _received(here, caller)
                if isinstance(one, Response) and one.status == 183
            ]
            assert [("RSeq" in one.headers, "Require" in one.headers) for one in rang] == [
                (False, False)
            ]
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(0.2)
            await _end(here, a, b)

    simulate(main())


def test_every_18x_is_reliable_for_a_caller_that_requires_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_phones(here)
            can = habits(reliable=True)
            can.requires_reliable = True
            a = caller.begin("8002", can)
            await callee.rang.wait()
            b = party(callee.calls[0])
            b.ring(180)
            b.ring(183, description(b.phone.place, 1))
            await here.pass_time(1)
            numbers = [
                int(one.headers["RSeq"][0])
                for one in _received(here, caller)
                if isinstance(one, Response) and 100 < one.status < 200
            ]
            assert numbers == [numbers[0], numbers[0] + 1]
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(0.2)
            await _end(here, a, b)

    simulate(main())


def test_a_node_without_100rel_refuses_who_requires_it(tmp_path: Path) -> None:
    async def main() -> None:
        config = parse_config('[sip]\nreliable = "off"\n')
        async with world(tmp_path, config=config) as here:
            caller, callee = await two_phones(here)
            can = habits(reliable=True)
            can.requires_reliable = True
            a = caller.begin("8002", can)
            await a.ended.wait()
            assert a.status == 420
            b = caller.begin("8002", habits(reliable=True))
            await callee.rang.wait()
            heard = [one for one in _received(here, callee) if isinstance(one, Request)][-1]
            assert heard.headers["Supported"] == ["timer, replaces"]
            b.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_a_node_may_require_100rel_of_those_it_calls(tmp_path: Path) -> None:
    async def main() -> None:
        config = parse_config('[sip]\nreliable = "required"\n')
        async with world(tmp_path, config=config) as here:
            caller, callee = await two_phones(here)
            a = caller.begin("8002", habits())
            await callee.rang.wait()
            heard = [one for one in _received(here, callee) if isinstance(one, Request)][-1]
            assert heard.headers["Require"] == ["100rel"]
            a.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_an_invite_without_sdp_is_offered_some_in_a_reliable_18x(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_phones(here)
            a = caller.begin("8002", habits(reliable=True), is_delayed=True)
            await callee.rang.wait()
            b = party(callee.calls[0])
            b.ring(183, description(b.phone.place, 1, "sendrecv", "8 101"))
            await here.pass_time(1)
            assert a.agreed is not None, "the PRACK had the answer"
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(5)
            await _end(here, a, b)

    simulate(main())


@pytest.mark.parametrize("has_update", [True, False])
def test_an_answer_that_differs_from_the_reliable_183_is_told_after_the_call_is_up(
    tmp_path: Path, has_update: bool
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, _, _ = await _ringing(here, callee_can=False, update=has_update)
            b.habits.has_update = has_update
            b.ring(183, description(b.phone.place, 1, "sendonly", "8 101"))
            await here.pass_time(1)
            assert a.agreed is not None
            assert direction_of(a.agreed[1]) == "sendonly"
            pick_up_saying(b, description(b.phone.place, 2, "sendrecv", "0 101"))
            await a.answered.wait()
            await here.pass_time(5)
            method = "UPDATE" if has_update else "INVITE"
            assert [one.method for one in a.requests] == [method]
            await _end(here, a, b)

    simulate(main())


def test_an_early_update_of_the_caller_is_answered_and_told_to_the_callee_when_it_is_up(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, _, _ = await _ringing(here)
            b.ring(183, description(b.phone.place, 1), is_reliable=True)
            await here.pass_time(1)
            a.update(a.sdp("sendonly", "8 101"))
            await here.pass_time(1)
            assert ("UPDATE", 200) in a.replies
            assert a.agreed is not None
            assert direction_of(a.agreed[1]) == "recvonly"
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(5)
            assert b.agreed is not None
            assert direction_of(b.agreed[1]) == "sendonly"
            await _end(here, a, b)

    simulate(main())


def test_an_early_update_of_the_callee_reaches_the_caller(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, _, _ = await _ringing(here)
            b.ring(183, description(b.phone.place, 1), is_reliable=True)
            await here.pass_time(1)
            b.update(b.sdp("sendonly", "0 101"))
            await here.pass_time(1)
            assert ("UPDATE", 200) in b.replies
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(5)
            assert a.agreed is not None
            assert direction_of(a.agreed[1]) == "sendonly"
            assert formats_of(a.agreed[1]) == {"0", "101"}
            await _end(here, a, b)

    simulate(main())


def test_an_update_before_the_first_answer_is_refused(tmp_path: Path) -> None:  # RFC 3311 5.2
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, _, _ = await _ringing(here)
            b.ring(180)
            await here.pass_time(1)
            assert a.dialog is not None
            a.request("UPDATE", sdp(a.phone.place), a.headers())
            b.request("UPDATE", sdp(b.phone.place), b.headers())
            b.request("UPDATE", b"", b.headers())
            await here.pass_time(1)
            assert a.replies == [("UPDATE", 500)]
            assert b.replies == [("UPDATE", 491), ("UPDATE", 200)]
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(0.2)
            await _end(here, a, b)

    simulate(main())


def test_a_preview_that_the_answer_has_overtaken_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b, _, _ = await _ringing(here, caller_can=False)
            b.ring(183, description(b.phone.place, 1, "recvonly", "8 101"), is_reliable=True)
            await here.pass_time(0.5)
            assert b.invite is not None
            headers = b.headers() | {"Content-Type": ["application/sdp"]}
            late = description(b.phone.place, 2, "sendrecv", "0 101")
            b.phone.endpoint.respond(b.invite, 180, headers, late)
            await here.pass_time(0.5)
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(0.2)
            assert direction_of(a.body) == "recvonly"
            await _end(here, a, b)

    simulate(main())


def test_livekit_438_a_caller_that_requires_preconditions_gets_through(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_phones(here)
            can = habits(reliable=True, update=True)
            can.requires_reliable = True
            wants = "a=des:qos mandatory local sendrecv\r\na=des:qos mandatory remote sendrecv\r\n"

            def asks(current: str) -> bytes:
                plain = description(caller.place, 1).decode()
                have = f"a=curr:qos local {current}\r\na=curr:qos remote none\r\n"
                return (plain + have + wants).encode()

            a = caller.begin(
                "8002", can, body=asks("none"), headers={"Require": ["100rel, precondition"]}
            )
            await callee.rang.wait()
            b = party(callee.calls[0])
            b.ring(183, description(b.phone.place, 1))
            await here.pass_time(0.5)
            assert b.asked is not None
            assert b"a=curr" not in b.asked
            assert a.agreed is not None
            assert b"a=curr:qos remote none\r\n" in a.agreed[1]
            assert b"a=conf:qos remote sendrecv\r\n" in a.agreed[1]
            a.update(asks("sendrecv"))
            await here.pass_time(0.5)
            assert b"a=curr:qos remote sendrecv\r\n" in a.agreed[1]
            assert b"a=conf" not in a.agreed[1]
            b.pick_up()
            await a.answered.wait()
            await here.pass_time(5)
            assert [one.method for one in b.requests] == ["INVITE"], (
                "nothing of it concerns the callee"
            )
            await _end(here, a, b)

    simulate(main())


def test_livekit_766_a_codec_that_was_not_offered_is_not_passed_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_phones(here)
            a = caller.begin("8002", habits())
            a.offered = None
            await callee.rang.wait()
            b = party(callee.calls[0])
            assert b.invite is not None
            body = description(b.phone.place, 1, formats="8 101").replace(b" 101\r", b" 101 96\r")
            body = body.replace(b"a=send", b"a=rtpmap:96 opus/48000/2\r\na=send")
            headers = b.headers() | {"Content-Type": ["application/sdp"]}
            b.phone.endpoint.respond(b.invite, 200, headers, body)
            await here.pass_time(1)
            assert b"opus" not in a.body
            assert formats_of(a.body) == {"8", "101"}
            a.hang_up()
            await check_all_is_over(here)

    simulate(main())
