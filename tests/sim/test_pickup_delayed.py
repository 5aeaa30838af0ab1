"""Who picks up, or takes a place, by an INVITE without SDP: the answer comes with the ACK."""

from pathlib import Path

import pytest

from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over, talking, two_desks
from tests.sim.transferring import FOUR, ask, refer, replaces_of, reports, third
from tests.sim.world import World, world


async def check_both_are_heard(here: World, one: Talk, other: Talk) -> None:
    """Let both speak to what they were told last, and each hold the other."""
    for talk, facing in ((one, other), (other, one)):
        told = [request.body for request in talk.requests if request.body] or [talk.body]
        await here.speak(talk.phone, told[-1], 2)
        assert await here.listen(facing.phone, 1)
    one.request("INVITE", sdp(one.phone.place, "sendonly", version=4))
    await here.pass_time(1)
    assert one.replies[-1] == ("INVITE", 200)
    assert b"a=sendonly" in other.requests[-1].body


async def ringing(here: World, body: bytes | None = None) -> tuple[Talk, Talk, Phone]:
    caller, callee = await two_desks(here)
    callee.on_invite = callee.ring
    colleague = await third(here)
    talk = caller.call("8002", body=body)
    await callee.rang.wait()
    await here.pass_time(1)
    return talk, callee.calls[0], colleague


@pytest.mark.parametrize("payload", ["8 101", "0"])
def test_a_call_is_picked_up_and_both_are_heard(tmp_path: Path, payload: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, rung, colleague = await ringing(here, sdp(("10.0.1.1", 5060), payload="8 0 101"))
            new = ask(colleague, rung, sdp(colleague.place, payload=payload))
            await here.pass_time(2)
            assert (talk.status, new.status, rung.status) == (200, 200, 487)
            assert b"RTP/AVP 8 0 101" in new.body
            await check_both_are_heard(here, talk, new)
            new.hang_up()
            await check_all_is_over(here)

    simulate(main())


@pytest.mark.parametrize("answer", ["nothing", "nonsense", "none"])
def test_without_an_answer_nobody_is_heard_in_its_place(tmp_path: Path, answer: str) -> None:
    bodies = {"nothing": b"", "nonsense": b"v=0\r\n", "none": sdp(("10.0.1.9", 5060), payload="18")}

    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, callee, other = await talking(here)
            new = ask(await third(here), other, bodies[answer])
            await here.pass_time(2)
            assert (new.status, other.is_over) == (200, True)
            await here.listen(callee, 0.1)
            await here.speak(talk.phone, talk.body, 3)
            assert await here.listen(callee, 1) == [], "who was replaced hears no more"
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_two_who_have_no_sdp_cannot_meet(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, rung, colleague = await ringing(here, b"")
            new = ask(colleague, rung, b"")
            await here.pass_time(2)
            assert (new.status, talk.is_over) == (488, False)
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_place_is_taken_and_both_are_heard(tmp_path: Path, who: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            gone, stays = (talk, other) if who == "caller" else (other, talk)
            new = ask(last, gone, sdp(last.place))
            await here.pass_time(2)
            assert (new.status, gone.is_over, stays.is_over) == (200, True, False)
            await check_both_are_heard(here, stays, new)
            new.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_what_rings_by_a_transfer_is_picked_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            last.on_invite = last.ring
            refer(talk, "8004")
            await here.pass_time(2)
            colleague = await here.desk_phone("8003", "laptop-8003")
            new = ask(colleague, last.calls[0], sdp(colleague.place))
            await here.pass_time(2)
            assert (new.status, reports(talk)[-1]) == (200, "200 OK")
            await check_both_are_heard(here, other, new)
            new.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_an_acknowledgement_that_never_comes_ends_the_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, rung, colleague = await ringing(here)
            new = colleague.call("8000", {"Replaces": [replaces_of(rung)]}, b"")
            new.ack = lambda response, body=b"": None  # type: ignore[method-assign]
            await here.pass_time(40)
            assert (talk.is_over, new.is_over) == (True, True)
            await check_all_is_over(here)

    simulate(main())
