"""Attended transfer: REFER with Replaces joins two calls of a customer."""

from pathlib import Path
from urllib.parse import quote

import pytest

from sipcore.dialog.events import Within
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over, talking
from tests.sim.transferring import FOUR, attend, refer, reports, third
from tests.sim.world import OUTSIDE, World, world


async def consulting(here: World) -> tuple[Talk, Talk, Talk, Talk, Phone]:
    """8001 talks with 8002, who holds and calls 8004. Return both ends of both calls, and 8004."""
    _, talk, callee, other = await talking(here)
    last = await third(here)
    await here.pass_time(10)
    other.request("INVITE", sdp(callee.place, "sendonly", version=2))
    await here.pass_time(1)
    consult = callee.call("8004")
    await consult.answered.wait()
    await here.pass_time(5)
    return talk, other, consult, last.calls[0], last


def test_two_calls_become_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, consult, end, _ = await consulting(here)
            before = end.answers, end.requests[0].body
            attend(other, consult)
            await here.pass_time(2)
            assert reports(other) == ["100 Trying", "200 OK"]
            assert (other.is_over, consult.is_over) == (True, True)
            assert (talk.is_over, end.is_over) == (False, False)
            assert len(here.node.desk.calls) == 1
            again = end.requests[-1]
            assert again.method == "INVITE"
            assert b"a=sendonly" not in again.body
            old, new = (
                next(line for line in body.splitlines() if line.startswith(b"o=")).split()
                for body in (before[1], again.body)
            )
            assert (new[1], int(new[2])) == (old[1], int(old[2]) + 1), "its o= line goes on"
            assert b"a=sendrecv" in talk.requests[-1].body, "who was on hold is not"
            await here.speak(talk.phone, talk.requests[-1].body, 3)
            await here.speak(end.phone, again.body, 3)
            await here.pass_time(14)
            talk.request("INVITE", sdp(talk.phone.place, version=3))
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 200)
            end.hang_up()
            await talk.ended.wait()
            await here.pass_time(1)
            first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
            assert first.talked_s == pytest.approx(16, abs=1)
            assert second.talked_s == pytest.approx(28, abs=1)
            assert second.parent_id == first.id
            assert second.ended_by == "callee"
            assert (first.a_packets, second.a_packets) == (3, 0), "figures of each one's own media"
            await check_all_is_over(here)

    simulate(main())


def test_slots_of_an_outside_call_go_with_its_leg(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            _, talk, callee, other = await talking(here)
            consult = callee.call(OUTSIDE)
            await consult.answered.wait()
            await here.pass_time(5)
            attend(other, consult, OUTSIDE)
            await here.pass_time(2)
            (call,) = here.node.desk.calls
            leases = dict(here.node.desk.slots.leases())
            assert leases == {"account:acme-1": call, "carrier:carrier-a": call}
            assert not any(
                p.start_line.startswith("REFER") for p in here.net.sent if p.to == carrier.place
            )
            await here.pass_time(10)
            talk.hang_up()
            await here.pass_time(1)
            assert carrier.calls[0].is_over
            outside = next(one for one in here.cdrs() if one.direction == "outbound")
            assert outside.talked_s == pytest.approx(17, abs=1), "charged as long as it lasted"
            assert outside.ended_by == "caller"
            await check_all_is_over(here)

    simulate(main())


def test_who_was_called_by_both_joins_them_and_no_talk_is_without_a_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            second = last.call("8002")
            await second.answered.wait()
            await here.pass_time(5)
            attend(other, other.phone.calls[-1])
            await here.pass_time(10)
            assert (talk.is_over, second.is_over) == (False, False)
            talk.hang_up()
            await here.pass_time(1)
            assert second.is_over
            lasted = sorted(one.talked_s or 0 for one in here.cdrs())
            assert lasted == pytest.approx([5, 15], abs=1)
            await check_all_is_over(here)

    simulate(main())


def test_a_phone_that_hangs_up_both_at_once_has_transferred_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, consult, end, _ = await consulting(here)
            attend(other, consult)
            await here.pass_time(0.001)
            other.hang_up()
            consult.hang_up()
            await here.pass_time(2)
            assert (talk.is_over, end.is_over) == (False, False)
            talk.hang_up()
            await here.pass_time(1)
            assert end.is_over
            assert len(here.cdrs()) == 2
            await check_all_is_over(here)

    simulate(main())


def test_a_consultation_that_still_rings_is_rung_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, callee, other = await talking(here)
            last = await third(here)
            last.on_invite = last.ring
            consult = callee.call("8004")
            await last.rang.wait()
            await here.pass_time(1)
            assert consult.invite is not None
            tag = consult.answers[-1].to.tag
            ours = consult.invite.request.from_.tag
            named = quote(f"{consult.answers[-1].call_id};to-tag={tag};from-tag={ours}", safe="")
            other.request("REFER", headers={"Refer-To": [f"<sip:8004@x?Replaces={named}>"]})
            await here.pass_time(1)
            assert (consult.status, last.calls[0].status) == (487, 487)
            last.pick_up(last.calls[1])
            await here.pass_time(1)
            assert reports(other)[-1] == "200 OK"
            assert (other.is_over, talk.is_over, last.calls[1].is_over) == (True, False, False)
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_a_call_of_another_customer_cannot_be_taken(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            carrier = here.carrier()
            pbx = here.phone("beta-pbx", "beta-pbx-secret")
            pbx.domain = "beta.example"
            theirs = pbx.call(OUTSIDE)
            await theirs.answered.wait()
            attend(other, theirs)
            await here.pass_time(2)
            assert reports(other) == ["100 Trying", "481 Call/Transaction Does Not Exist"]
            assert not any(one.is_over for one in (talk, other, theirs, carrier.calls[0]))

    simulate(main())


def test_a_soft_client_is_not_joined_to_whom_a_transfer_has_reached(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            here.carrier()
            caller, talk, _, other = await talking(here)
            refer(other, OUTSIDE)
            await here.pass_time(2)
            soft = await here.desk_phone("8003", "laptop-8003")
            consult = caller.call("8003")
            await consult.answered.wait()
            await here.pass_time(1)
            attend(consult, talk, OUTSIDE)
            await here.pass_time(2)
            assert reports(consult)[-1] == "403 Forbidden"
            assert not soft.calls[0].is_over

    simulate(main())


def glares(phone: Phone, end: Talk) -> None:
    """Let a phone answer re-INVITEs with 491."""

    def refuse(_: Talk, event: Within) -> bool:
        is_invite = event.request.method == "INVITE"
        if is_invite:
            phone.endpoint.respond(event.transaction, 491)
        return is_invite

    end.on_request = refuse


@pytest.mark.parametrize("first", ["transferor", "who stays"])
def test_who_hangs_up_while_a_glare_is_waited_out_leaves_no_call(
    tmp_path: Path, first: str
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, consult, end, last = await consulting(here)
            glares(last, end)
            attend(other, consult)
            await here.pass_time(1)
            if first == "transferor":
                consult.hang_up()
                await here.pass_time(10)
                assert end.is_over
                assert not talk.is_over
                talk.hang_up()
            else:
                talk.hang_up()
                await here.pass_time(10)
                assert not end.is_over
                consult.hang_up()
                await here.pass_time(1)
                assert end.is_over
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_when_the_newcomer_refuses_both_calls_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, consult, end, last = await consulting(here)

            def refuse(one: Talk, event: Within) -> bool:
                transaction = event.transaction
                if transaction.method == "INVITE":
                    last.endpoint.respond(transaction, 488)
                return bool(transaction.method == "INVITE")

            end.on_request = refuse
            attend(other, consult)
            await here.pass_time(2)
            assert reports(other)[-1] == "488 Not Acceptable Here"
            assert not any(one.is_over for one in (talk, other, consult, end))
            consult.hang_up()
            other.hang_up()
            await here.pass_time(1)
            assert (talk.is_over, end.is_over) == (True, True)
            await check_all_is_over(here)

    simulate(main())


def test_after_a_crash_joined_calls_end_with_both_their_records(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, consult, end, last = await consulting(here)
            attend(other, consult)
            await here.pass_time(2)
            await here.speak(talk.phone, talk.requests[-1].body, 5)
            here.crash()
            await here.pass_time(1)
            here.net.sent.clear()
            await here.restart()
            await here.pass_time(2)
            byes = {p.to for p in here.net.sent if p.start_line.startswith("BYE")}
            assert byes == {talk.phone.place, last.place}
            assert (talk.is_over, end.is_over) == (True, True)
            first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
            assert first.talked_s == pytest.approx(16, abs=1)
            assert second.talked_s == pytest.approx(12, abs=1.5)
            await check_all_is_over(here)

    simulate(main())


def test_a_call_that_ends_meanwhile_gives_the_other_its_media_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            talk, other, consult, end, _ = await consulting(here)
            own = end.requests[0].body
            attend(other, consult)
            await here.pass_time(0.0115)
            talk.hang_up()
            await here.pass_time(5)
            assert other.is_over
            if end.is_over:
                return
            media = [line for line in own.splitlines() if line.startswith(b"m=")]
            latest = end.requests[-1].body.splitlines()
            assert [line for line in latest if line.startswith(b"m=")] == media
            assert not consult.is_over
            consult.hang_up()
            await check_all_is_over(here)

    simulate(main())


__all__ = ["refer"]
