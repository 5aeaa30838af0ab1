"""A phone's 302 is a forward by its extension: its rights, its number, a record of its own."""

from pathlib import Path

import pytest

from sipcore.call.deflect import MOST_ATTEMPTS
from tests.sim.deflecting import deflect, deflected
from tests.sim.disks import RefusingJournal, give
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over, two_desks
from tests.sim.transferring import FOUR, refer, reports, third
from tests.sim.world import CARRIER_B, OUTSIDE, World, world

BOTH = FOUR.replace(
    "# health = true", 'profile = { forwards_told = "both", follows_redirects = true } #', 1
)


async def from_outside(here: World) -> tuple[Phone, Talk]:
    carrier = here.carrier()
    carrier.user, carrier.domain = "02188887777", "10.0.0.1"
    await here.desk_phone()
    return carrier, carrier.call("02136413501")


def test_a_deflected_call_is_answered_where_it_was_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, last = await deflected(here)
            talk = caller.call("8002")
            await talk.answered.wait()
            assert last.calls[0].requests[0].from_.uri.user == "8001", "who calls is shown"
            await here.speak(caller, talk.body, 10)
            last.calls[0].hang_up()
            await talk.ended.wait()
            await here.pass_time(1)
            first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
            assert (first.callee_dialled, second.callee_dialled) == ("8002", "8004")
            assert second.parent_id == first.id
            assert (first.ended_by, second.ended_by) == ("callee", "callee")
            assert first.talked_s == pytest.approx(10, abs=1)
            assert second.talked_s == pytest.approx(10, abs=1)
            await check_all_is_over(here)

    simulate(main())


def test_a_call_from_outside_leaves_again_under_the_customers_number(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=BOTH) as here:
            carrier, talk = await from_outside(here)
            deflect(here.phones[-1], OUTSIDE)
            await talk.answered.wait()
            invite = carrier.calls[-1].requests[0]
            assert invite.from_.uri.user == "02136413501"
            assert invite.headers["Diversion"] == [
                "<sip:02136413501@10.0.0.1>;reason=deflection;counter=1"
            ]
            assert invite.values("History-Info") == [
                "<sip:02136413501@10.0.0.1>;index=1",
                "<sip:02188889999@127.0.0.10:25080;cause=480>;index=1.1;mp=1",
            ]
            keys = sorted(key for key, _ in here.node.desk.slots.leases())
            assert keys == ["account:acme-1"] * 2 + ["carrier:carrier-a"] * 2, "one more of each"
            talk.hang_up()
            await here.pass_time(1)
            assert {one.direction for one in here.cdrs()} == {"inbound", "outbound"}
            await check_all_is_over(here)

    simulate(main())


def test_a_peer_that_does_not_want_it_is_told_of_no_forward(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier, talk = await from_outside(here)
            deflect(here.phones[-1], OUTSIDE)
            await talk.answered.wait()
            assert not {"Diversion", "History-Info"} & set(carrier.calls[-1].requests[0].headers)

    simulate(main())


def test_contacts_are_tried_in_the_order_of_q(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller = await here.desk_phone()
            contacts = "<sip:8004@x>;q=0.2", "<sip:8003@x>;q=0.9", "<sip:8009@x>;q=0.5"
            deflect(await here.desk_phone("8002", "workshop-8002"), *contacts)
            await third(here)
            talk = caller.call("8002")
            await talk.answered.wait()
            tried = {one.callee_dialled: one.sip_status for one in here.cdrs()}
            assert tried == {"8003": 480, "8009": 404}, "before 8004"

    simulate(main())


def test_forwards_that_go_round_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller = await here.desk_phone()
            deflect(await here.desk_phone("8002", "workshop-8002"), "8004")
            deflect(await third(here), "8002")
            talk = caller.call("8002")
            await talk.ended.wait()
            assert talk.status == 482
            await here.pass_time(1)
            assert [one.sip_status for one in here.cdrs()] == [482, 482, 482]
            await check_all_is_over(here)

    simulate(main())


def test_rules_hold_for_forwards(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            caller = await here.desk_phone()
            deflect(await here.desk_phone("8003", "laptop-8003"), OUTSIDE)
            talk = caller.call("8003")
            await talk.ended.wait()
            assert talk.status == 403
            assert "soft-landing" in {one.rule for one in here.cdrs()}
            assert carrier.calls == []

    simulate(main())


def test_a_forward_does_not_lead_a_soft_client_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            soft = await here.desk_phone("8003", "laptop-8003")
            deflect(await here.desk_phone("8002", "workshop-8002"), OUTSIDE)
            talk = soft.call("8002")
            await talk.ended.wait()
            assert (talk.status, carrier.calls) == (403, [])
            assert "soft-landing" in {one.rule for one in here.cdrs()}
            await check_all_is_over(here)

    simulate(main())


def test_a_transfer_and_a_forward_do_not_lead_a_soft_client_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            soft = await here.desk_phone("8003", "laptop-8003")
            callee = await here.desk_phone("8002", "workshop-8002")
            deflect(await third(here), OUTSIDE)
            talk = soft.call("8002")
            await talk.answered.wait()
            refer(callee.calls[0], "8004")
            await here.pass_time(2)
            assert reports(callee.calls[0])[-1] == "403 Forbidden"
            assert carrier.calls == []
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_who_is_reached_by_a_forward_sees_the_callers_name(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, last = await deflected(here)
            talk = caller.call("8002")
            await talk.answered.wait()
            straight = caller.call("8004")
            await straight.answered.wait()
            shown = [one.requests[0].headers["From"][0].partition("<")[0] for one in last.calls]
            assert shown[0] == shown[1], "and not the name of who forwards"

    simulate(main())


def test_a_forward_takes_a_hop(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, last = await deflected(here)
            talk = caller.call("8002", {"Max-Forwards": ["1"]})
            await talk.ended.wait()
            assert (talk.status, last.calls) == (483, [])
            await check_all_is_over(here)

    simulate(main())


def test_sound_before_the_answer_of_a_forward_is_heard(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            carrier.on_invite = lambda talk: carrier.ring(talk, 183, sdp(carrier.place))
            caller = await here.desk_phone()
            deflect(await here.desk_phone("8002", "workshop-8002"), OUTSIDE)
            talk = caller.call("8002")
            await carrier.rang.wait()
            await here.pass_time(1)
            assert talk.answers[-1].status == 183
            assert b"m=audio" in talk.answers[-1].body
            carrier.pick_up(carrier.calls[0])
            await talk.answered.wait()
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_the_caller_may_give_up_while_a_forward_rings(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, last = await deflected(here)
            last.on_invite = last.ring
            talk = caller.call("8002")
            await last.rang.wait()
            await here.pass_time(2)
            assert 180 in [one.status for one in talk.answers]
            talk.hang_up()
            await here.pass_time(1)
            assert (talk.status, last.calls[0].status) == (487, 487)
            await here.pass_time(1)
            assert [one.sip_status for one in here.cdrs()] == [487, 487]
            await check_all_is_over(here)

    simulate(main())


def test_phones_that_deflect_to_one_another_do_not_multiply_a_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller = await here.desk_phone()
            others = {"8002": "workshop-8002", "8003": "laptop-8003", "8004": "store-8004"}
            for number, password in others.items():
                for _ in range(5):
                    deflect(await here.desk_phone(number, password), *others)
            talk = caller.call("8002")
            await talk.ended.wait()
            invited = sum(len(phone.calls) for phone in here.phones) - 1
            assert invited <= 5 * (MOST_ATTEMPTS + 1)
            await here.pass_time(70)
            assert len(here.cdrs()) == MOST_ATTEMPTS + 1
            await check_all_is_over(here)

    simulate(main())


@pytest.mark.parametrize(("provisioning", "followed"), [(BOTH, True), (FOUR, False)])
def test_a_carriers_302_is_followed_where_its_setting_allows(
    tmp_path: Path, provisioning: str, followed: bool
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=provisioning) as here:
            carrier = here.carrier()
            here.carrier(CARRIER_B)
            caller, callee = await two_desks(here)
            deflect(carrier, "<sip:8002@acme.example>")
            talk = caller.call(OUTSIDE)
            await (talk.answered if followed else talk.ended).wait()
            assert bool(callee.calls) is followed
            assert talk.status == (200 if followed else 480)

    simulate(main())


def test_a_forward_that_was_answered_is_transferred_like_any_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller = await here.desk_phone()
            workshop = await here.desk_phone("8002", "workshop-8002")
            deflect(workshop, "8004")
            last = await third(here)
            talk = caller.call("8002")
            await talk.answered.wait()
            await here.pass_time(5)
            workshop.on_invite = workshop.answer
            last.calls[0].request("REFER", headers={"Refer-To": ["<sip:8002@acme.example>"]})
            await here.pass_time(2)
            assert not talk.is_over
            assert last.calls[0].is_over
            talk.hang_up()
            await here.pass_time(1)
            assert len(here.cdrs()) == 3
            await check_all_is_over(here)

    simulate(main())


def test_after_a_crash_a_forward_has_both_its_records(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, last = await deflected(here)
            talk = caller.call("8002")
            await talk.answered.wait()
            await here.speak(caller, talk.body, 5)
            here.crash()
            await here.pass_time(1)
            await here.restart()
            await here.pass_time(2)
            assert (talk.is_over, last.calls[0].is_over) == (True, True)
            assert [one.talked_s for one in here.cdrs()] == pytest.approx([5, 5], abs=1.5)
            await check_all_is_over(here)

    simulate(main())


def test_a_forward_to_an_emergency_number_does_not_wait_for_the_journal(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            here.carrier()
            caller = await here.desk_phone()
            deflect(await here.desk_phone("8002", "workshop-8002"), "120")
            give(here, RefusingJournal)
            talk = caller.call("8002")
            await talk.answered.wait()
            talk.hang_up()
            await here.pass_time(1)
            first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
            assert (first.sip_status, second.sip_status) == (200, 200)
            assert second.answered_at is not None

    simulate(main())
