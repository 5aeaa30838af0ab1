"""INVITE with Replaces (RFC 3891): one of the same customer takes a place in an answered call."""

from pathlib import Path

import pytest

from sipcore.message.message import Headers
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over, talking
from tests.sim.transferring import FOUR, replaces_of, third
from tests.sim.world import OUTSIDE, PBX, world


def take(phone: Phone, replaced: Talk, more: str = "", **headers: list[str]) -> Talk:
    """Let a phone ask for somebody's place."""
    told: Headers = {"Replaces": [replaces_of(replaced) + more], **headers}
    return phone.call("8002", told)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_newcomer_takes_the_place_of_either_side(tmp_path: Path, who: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            gone, stays = (talk, other) if who == "caller" else (other, talk)
            last = await third(here)
            await here.pass_time(10)
            new = take(last, gone, Require=["replaces"])
            await here.pass_time(2)
            assert new.status == 200
            assert "replaces" in new.answers[-1].tokens("Supported")
            assert (gone.is_over, stays.is_over, new.is_over) == (True, False, False)
            bye = gone.requests[-1]
            assert (bye.method, bye.headers["Reason"]) == (
                "BYE",
                ['Q.850;cause=16;text="replaced"'],
            )
            assert len(here.node.desk.calls) == 1
            told = [one.body for one in stays.requests if one.body] or [stays.body]
            await here.speak(stays.phone, told[-1], 3)
            await here.speak(last, new.body, 3)
            await here.pass_time(10)
            stays.hang_up()
            await here.pass_time(1)
            assert new.is_over
            first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
            assert second.parent_id == first.id
            assert new.dialog is not None
            assert second.call_id == new.dialog.call_id
            assert (second.caller_shown, second.callee_dialled) == (gone.phone.user, "8004")
            assert second.talked_s == pytest.approx(18, abs=1)
            assert first.talked_s == pytest.approx(10 if who == "callee" else 28, abs=1)
            await check_all_is_over(here)

    simulate(main())


def test_who_was_on_hold_is_not_and_what_follows_is_carried_across(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, callee, other = await talking(here)
            last = await third(here)
            other.request("INVITE", sdp(callee.place, "sendonly", version=2))
            await here.pass_time(1)
            new = take(last, other)
            await here.pass_time(3)
            assert b"a=sendrecv" in talk.requests[-1].body
            assert b"a=sendrecv" in (new.requests[-1].body if new.requests else new.body)
            new.request("INVITE", sdp(last.place, "sendonly", version=3))
            await here.pass_time(1)
            assert b"a=sendonly" in talk.requests[-1].body
            assert new.replies[-1] == ("INVITE", 200)
            new.hang_up()
            await here.pass_time(1)
            assert talk.is_over
            await check_all_is_over(here)

    simulate(main())


@pytest.mark.parametrize("case", ["unknown", "other customer", "early-only", "codec"])
def test_what_may_not_be_taken_is_left_alone(tmp_path: Path, case: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            said, more, status = replaces_of(other), "", 481
            asks, body = last, None
            if case == "unknown":
                said = said.replace("to-tag=", "to-tag=x")
            elif case == "other customer":
                asks = here.carrier(PBX)
            elif case == "early-only":
                more, status = ";early-only", 486
            elif case == "codec":
                body, status = sdp(last.place, payload="96"), 488
            new = asks.call("8002", {"Replaces": [said + more]}, body)
            await here.pass_time(2)
            assert new.status == status
            assert not talk.is_over
            assert not other.is_over
            talk.request("INVITE", sdp(talk.phone.place, version=3))
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 200)
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_a_carrier_is_told_of_no_replaces_and_gives_nobody_away(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            caller = await here.desk_phone()
            last = await third(here)
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            far = carrier.calls[0]
            assert "replaces" not in far.requests[0].tokens("Supported")
            refused = carrier.call("02136413501", {"Replaces": [replaces_of(far)]})
            await here.pass_time(1)
            assert refused.status == 481
            soft = await here.desk_phone("8003", "laptop-8003")
            inside_only = take(soft, talk)
            await here.pass_time(1)
            assert inside_only.status == 403
            new = take(last, talk)
            await here.pass_time(1)
            assert (new.status, talk.is_over, far.is_over) == (200, True, False)
            assert len(dict(here.node.desk.slots.leases())) == 2
            far.hang_up()
            await here.pass_time(1)
            assert new.is_over
            await check_all_is_over(here)

    simulate(main())


def test_a_pbx_that_replaces_itself_keeps_its_channel(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier, pbx = here.carrier(), here.carrier(PBX)
            talk = pbx.call(OUTSIDE)
            await talk.answered.wait()
            before = sorted(key for key, _ in here.node.desk.slots.leases())
            new = take(pbx, talk)
            await here.pass_time(1)
            assert (new.status, talk.is_over) == (200, True)
            assert sorted(key for key, _ in here.node.desk.slots.leases()) == before
            carrier.calls[0].hang_up()
            await here.pass_time(1)
            assert new.is_over
            await check_all_is_over(here)

    simulate(main())


@pytest.mark.parametrize("delay_s", [0.0, 0.0005, 0.0011, 0.002, 0.003])
@pytest.mark.parametrize("who", ["newcomer", "stays", "gone"])
def test_whoever_hangs_up_meanwhile_everybody_gets_an_answer(
    tmp_path: Path, who: str, delay_s: float
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            new = take(last, other)
            await here.pass_time(0.002 + delay_s)  # the challenge takes the first two
            {"newcomer": new, "stays": talk, "gone": other}[who].hang_up()
            await here.pass_time(5)
            assert new.status >= 200
            for one in (talk, other, new):
                one.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_who_takes_over_may_number_its_codecs_in_its_own_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            mine = sdp(last.place, payload="8 96").replace(b":101 ", b":96 ")
            named = {"Replaces": [replaces_of(other)]}
            new = last.call("8002", named, mine)
            await here.pass_time(3)
            assert new.status == 200
            assert b"RTP/AVP 8 101\r\n" in new.body, "as whoever stays takes them (RFC 3264 6.1)"
            assert b"RTP/AVP 8 96\r\n" in talk.requests[-1].body
            assert len([one for one in talk.requests if one.method == "INVITE"]) == 1
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())
