"""Blind transfer by REFER: handled here, under the transferor's rights, with its own record."""

from pathlib import Path

import pytest

from sipcore.dialog.events import Within
from sipcore.message.message import Headers
from tests.sim.loop import simulate
from tests.sim.phone import Talk, sdp
from tests.sim.talking import check_all_is_over, talking
from tests.sim.transferring import FOUR, refer, reports, third
from tests.sim.world import OUTSIDE, world


def origin(body: bytes) -> list[bytes]:
    return next(line for line in body.splitlines() if line.startswith(b"o=")).split()


def ports(body: bytes) -> list[bytes]:
    return [line for line in body.splitlines() if line.startswith((b"m=", b"c="))]


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_who_stays_talks_with_the_new_target(tmp_path: Path, by: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, talk, callee, other = await talking(here)
            last = await third(here)
            gone, stays = (talk, other) if by == "caller" else (other, talk)
            await here.pass_time(10)
            refer(gone, "8004")
            await here.pass_time(2)
            assert gone.replies[0] == ("REFER", 202)
            assert reports(gone) == ["100 Trying", "180 Ringing", "200 OK"]
            note = next(one for one in gone.requests if one.method == "NOTIFY")
            assert note.headers["Event"] == ["refer"]
            assert note.headers["Subscription-State"] == ["active;expires=300"]
            assert gone.is_over
            assert not stays.is_over
            new = last.calls[0]
            me = (caller if by == "caller" else callee).user
            assert new.requests[0].from_.uri.user == me, "the transferor's number is shown"
            await here.speak(stays.phone, stays.body or stays.requests[0].body, 3)
            await here.pass_time(17)
            new.hang_up()
            await stays.ended.wait()
            await here.pass_time(1)
            first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
            assert second.parent_id == first.id
            assert (first.callee_dialled, second.callee_dialled) == ("8002", "8004")
            assert second.talked_s == pytest.approx(22, abs=1)
            assert second.ended_by == "callee"
            whole = by == "caller"  # then the callee of the first record stays till the end
            assert first.talked_s == pytest.approx(32 if whole else 10, abs=1)
            assert first.reason == (None if whole else "transferred to 8004")
            await check_all_is_over(here)

    simulate(main())


def test_a_transfer_target_never_gets_a_stale_hold(tmp_path: Path) -> None:  # SIPhon PR 234
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, callee, other = await talking(here)
            last = await third(here)
            other.request("INVITE", sdp(callee.place, "sendonly", version=2))
            await here.pass_time(1)
            held = talk.requests[-1].body
            assert b"a=sendonly" in held
            refer(other, "8004")
            await here.pass_time(2)
            offer = last.calls[0].requests[0].body
            assert not any(word in offer for word in (b"sendonly", b"recvonly", b"inactive"))
            again = talk.requests[-1]
            assert again.method == "INVITE", "who was on hold hears that he is not"
            assert b"a=sendrecv" in again.body
            assert ports(again.body) == ports(held), "our relay stays where it is"
            session, before = origin(again.body), origin(held)
            assert (session[1], int(session[2])) == (before[1], int(before[2]) + 1)
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_a_target_that_refuses_leaves_the_two_as_they_were(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            last.on_invite = lambda new: last.refuse(new, 486)
            refer(talk, "8004")
            await here.pass_time(5)
            assert reports(talk) == ["100 Trying", "486 Busy Here"]
            final = [one for one in talk.requests if one.method == "NOTIFY"][-1]
            assert final.headers["Subscription-State"] == ["terminated;reason=noresource"]
            assert (talk.is_over, other.is_over) == (False, False)
            talk.request("INVITE", sdp(talk.phone.place, "sendonly", version=2))
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 200)
            refer(talk, "8004")
            await here.pass_time(5)
            later = [one for one in talk.requests if one.method == "NOTIFY"][-1]
            assert later.headers["Event"][0].startswith("refer;id="), "the second in this dialog"
            other.hang_up()
            await talk.ended.wait()
            await here.pass_time(1)
            assert sorted(one.sip_status or 0 for one in here.cdrs()) == [200, 486, 486]
            await check_all_is_over(here)

    simulate(main())


def test_who_transferred_and_hung_up_is_rung_when_it_fails(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, callee, other = await talking(here)
            last = await third(here)
            last.on_invite = lambda new: last.refuse(new, 486)
            refer(other, "8004")
            await here.pass_time(0.001)
            other.hang_up()
            await here.pass_time(5)
            assert not talk.is_over
            assert len(callee.calls) == 2, "the call comes back"
            assert callee.calls[1].status == 200
            callee.calls[1].hang_up()
            await talk.ended.wait()
            await here.pass_time(1)
            assert len(here.cdrs()) == 3
            await check_all_is_over(here)

    simulate(main())


def test_a_transfer_outside_takes_the_rights_and_a_slot_of_the_transferor(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            _, talk, _, other = await talking(here)
            refer(other, OUTSIDE)
            await here.pass_time(2)
            invite = carrier.calls[0].requests[0]
            assert invite.from_.uri.user == "02136413501", "the account's number, never another"
            assert {key for key, _ in here.node.desk.slots.leases()} == {
                "account:acme-1",
                "carrier:carrier-a",
            }
            towards = [p.start_line for p in here.net.sent if p.to == carrier.place]
            assert not any(line.startswith("REFER") for line in towards)
            talk.hang_up()
            await here.pass_time(1)
            second = here.cdrs()[-1]
            assert (second.direction, second.carrier) == ("outbound", "carrier-a")
            await check_all_is_over(here)

    simulate(main())


@pytest.mark.parametrize(
    ("number", "status"), [("0086900", "404 Not Found"), ("0012125550100", "403 Forbidden")]
)
def test_number_rules_hold_for_transfers(tmp_path: Path, number: str, status: str) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            here.carrier()
            _, talk, _, other = await talking(here)
            refer(other, number)
            await here.pass_time(2)
            assert reports(other)[-1] == status
            assert not talk.is_over
            talk.hang_up()
            await here.pass_time(1)

    simulate(main())


def test_a_soft_client_is_not_transferred_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            soft = await here.desk_phone("8003", "laptop-8003")
            callee = await here.desk_phone("8002", "workshop-8002")
            talk = soft.call("8002")
            await talk.answered.wait()
            await here.pass_time(0.1)
            refer(callee.calls[0], OUTSIDE)
            await here.pass_time(2)
            assert reports(callee.calls[0])[-1] == "403 Forbidden"
            assert carrier.calls == []
            assert any(one.rule == "soft-landing" for one in here.cdrs())

    simulate(main())


def test_an_outside_callee_is_not_transferred_to_a_soft_client(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            here.carrier()
            caller = await here.desk_phone()
            soft = await here.desk_phone("8003", "laptop-8003")
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            refer(talk, "8003")
            await here.pass_time(2)
            assert reports(talk)[-1] == "403 Forbidden"
            assert soft.calls == []

    simulate(main())


def test_an_outside_caller_is_transferred_to_a_soft_client(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            carrier.user, carrier.domain = "02188887777", "10.0.0.1"
            callee = await here.desk_phone()
            await here.desk_phone("8003", "laptop-8003")
            talk = carrier.call("02136413501")
            await talk.answered.wait()
            await here.pass_time(0.1)
            refer(callee.calls[0], "8003")
            await here.pass_time(2)
            assert reports(callee.calls[0])[-1] == "200 OK"

    simulate(main())


def test_a_carrier_may_not_transfer(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            caller = await here.desk_phone()
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            await here.pass_time(1)
            refer(carrier.calls[0], "8004")
            await here.pass_time(1)
            assert carrier.calls[0].replies == [("REFER", 403)]
            assert not talk.is_over

    simulate(main())


@pytest.mark.parametrize(
    ("refer_to", "status"),
    [
        (["<http://example.com>"], 416),
        (["<sip:8004@acme.example;method=BYE>"], 403),
        ([], 400),
        (["<sip:8004@acme.example>", "<sip:8005@acme.example>"], 400),
        (["<sip:8004@acme.example?Replaces=only-a-call-id>"], 400),
    ],
)
def test_a_refer_that_cannot_be_followed_is_refused(
    tmp_path: Path, refer_to: list[str], status: int
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            talk.request("REFER", headers={"Refer-To": refer_to} if refer_to else None)
            await here.pass_time(1)
            assert talk.replies == [("REFER", status)]
            assert not other.is_over

    simulate(main())


def test_norefersub_is_heeded(tmp_path: Path) -> None:  # RFC 4488
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            await third(here)
            refer(talk, "8004", **{"Refer-Sub": ["false"]})
            await here.pass_time(2)
            assert reports(talk) == []
            accepted = next(p for p in here.net.sent if b"SIP/2.0 202" in p.data)
            assert b"Refer-Sub: false" in accepted.data
            assert (talk.is_over, other.is_over) == (True, False)

    simulate(main())


def test_who_stays_may_give_up_while_the_target_rings(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            last.on_invite = last.ring
            refer(other, "8004")
            await here.pass_time(3)
            talk.hang_up()
            await here.pass_time(3)
            assert last.calls[0].status == 487
            assert other.is_over
            assert len(here.cdrs()) == 2
            await check_all_is_over(here)

    simulate(main())


def test_a_re_invite_that_meets_the_transfer_loses_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, callee, other = await talking(here)
            last = await third(here)
            other.request("INVITE", sdp(callee.place, "sendonly", version=2))
            await here.pass_time(1)

            def refuse_once(one: Talk, event: Within) -> bool:
                if event.request.method == "INVITE" and b"sendrecv" in event.request.body:
                    one.on_request = lambda talk, event: False
                    one.phone.endpoint.respond(event.transaction, 491)
                    return True
                return False

            talk.on_request = refuse_once
            refer(other, "8004")
            await here.pass_time(8)
            invites = [one for one in talk.requests if one.method == "INVITE"]
            assert len(invites) == 3, "hold, glare, again"
            assert not last.calls[0].is_over
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_after_a_crash_each_part_has_its_record_and_each_leg_its_bye(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            await here.pass_time(10)
            refer(other, "8004")
            await here.pass_time(2)
            await here.speak(talk.phone, talk.body, 10)
            here.crash()
            await here.pass_time(1)
            here.net.sent.clear()
            await here.restart()
            await here.pass_time(2)
            assert (talk.is_over, last.calls[0].is_over) == (True, True)
            byes = {p.to for p in here.net.sent if p.start_line.startswith("BYE")}
            assert byes == {talk.phone.place, last.place}, "the transferor has left before"
            first, second = sorted(here.cdrs(), key=lambda one: one.setup_at)
            assert first.talked_s == pytest.approx(10, abs=1)
            assert (first.inferred_end, first.reason) == (False, "transferred to 8004")
            assert second.talked_s == pytest.approx(12, abs=1.5)
            assert (second.inferred_end, second.parent_id) == (True, first.id)
            await check_all_is_over(here)

    simulate(main())


__all__ = ["FOUR", "Headers", "refer", "reports", "third"]
