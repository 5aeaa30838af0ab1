"""Calls through a whole node, in virtual time: what each side hears, and what the CDR says."""

from pathlib import Path

from tests.sim.loop import simulate
from tests.sim.phone import sdp
from tests.sim.talking import ringing, talking, two_desks
from tests.sim.world import CARRIER_A, CARRIER_B, OUTSIDE, PBX, world


def test_a_phone_registers_and_calls_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            talk = caller.call("8002")
            await talk.answered.wait()
            assert [one.status for one in talk.answers] == [401, 100, 180, 200]
            await here.pass_time(10)
            talk.hang_up()
            await callee.calls[0].ended.wait()
            await here.pass_time(1)
            (cdr,) = here.cdrs()
            assert (cdr.direction, cdr.ended_by, cdr.sip_status) == ("internal", "caller", 200)
            assert cdr.talked_s is not None
            assert 9.9 < cdr.talked_s < 10.1
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_an_outside_call_shows_the_accounts_number(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            carrier = here.carrier()
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            invite = carrier.calls[0].requests[0]
            assert invite.from_.uri.user == "02136413501"
            assert invite.addresses("P-Asserted-Identity")[0].uri.user == "02136413501"
            assert "10.0.1.1" not in str(invite.to_bytes()), "the phone's address is hidden"
            carrier.calls[0].hang_up()
            await talk.ended.wait()
            await here.pass_time(1)
            (cdr,) = here.cdrs()
            assert (cdr.direction, cdr.carrier, cdr.ended_by) == ("outbound", "carrier-a", "callee")

    simulate(main())


def test_the_media_of_both_sides_meets_in_the_relay(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, _, other = await talking(here)
            offered = other.requests[0].body
            assert b"127.0.0.1" in offered
            assert b"10.0.1.1" not in offered
            assert b"127.0.0.1" in talk.body
            assert b"10.0.1.2" not in talk.body
            talk.hang_up()

    simulate(main())


def test_a_caller_who_gives_up_cancels_the_callee(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, callee = await ringing(here)
            await here.pass_time(3)
            talk.hang_up()
            await talk.ended.wait()
            await callee.calls[0].ended.wait()
            assert talk.status == 487
            await here.pass_time(40)
            (cdr,) = here.cdrs()
            assert (cdr.sip_status, cdr.ended_by, cdr.answered_at) == (487, "caller", None)
            assert here.leftovers() == {}

    simulate(main())


def test_a_busy_callee_is_busy_for_the_caller(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            callee.on_invite = lambda talk: callee.refuse(talk, 486)
            talk = caller.call("8002")
            await talk.ended.wait()
            assert talk.status == 486
            await here.pass_time(1)
            (cdr,) = here.cdrs()
            assert (cdr.sip_status, cdr.q850_cause) == (486, 17)

    simulate(main())


def test_nobody_answers(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            callee.on_invite = callee.ring
            talk = caller.call("8002")
            await talk.ended.wait()
            assert talk.status == 480
            await here.pass_time(1)
            assert here.cdrs()[0].q850_cause == 19

    simulate(main())


def test_all_contacts_ring_and_the_first_answer_wins(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            first = await here.desk_phone("8002", "workshop-8002")
            second = await here.desk_phone("8002", "workshop-8002")
            first.on_invite = first.ring
            second.on_invite = second.ring
            talk = caller.call("8002")
            await second.rang.wait()
            await here.pass_time(2)
            second.pick_up(second.calls[0])
            await talk.answered.wait()
            await first.calls[0].ended.wait()
            assert first.calls[0].status == 487
            cancel = next(p for p in here.net.sent if p.start_line.startswith("CANCEL"))
            assert b"Call completed elsewhere" in cancel.data
            talk.hang_up()
            await second.calls[0].ended.wait()

    simulate(main())


def test_two_phones_that_answer_at_once_leave_one_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            first = await here.desk_phone("8002", "workshop-8002")
            second = await here.desk_phone("8002", "workshop-8002")
            talk = caller.call("8002")
            await talk.answered.wait()
            await here.pass_time(5)
            ended = [phone.calls[0].is_over for phone in (first, second)]
            assert sorted(ended) == [False, True]
            talk.hang_up()
            await here.pass_time(40)
            assert here.leftovers() == {}
            assert len(here.cdrs()) == 1

    simulate(main())


def test_the_next_carrier_is_tried_after_503_and_after_silence(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            first, second = here.carrier(CARRIER_A), here.carrier(CARRIER_B)
            first.on_invite = lambda talk: first.refuse(talk, 503)
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            assert len(second.calls) == 1
            talk.hang_up()
            await here.pass_time(1)
            first.close()
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            talk.hang_up()
            await here.pass_time(40)
            assert [(cdr.carrier, cdr.tries) for cdr in here.cdrs()] == [("carrier-b", 2)] * 2
            assert here.leftovers() == {}

    simulate(main())


def test_no_carrier_is_tried_after_it_has_rung(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            first, second = here.carrier(CARRIER_A), here.carrier(CARRIER_B)

            def ring_and_fail(talk: object) -> None:
                first.ring(first.calls[0])
                first.refuse(first.calls[0], 503)

            first.on_invite = ring_and_fail
            talk = caller.call(OUTSIDE)
            await talk.ended.wait()
            assert second.calls == []
            assert talk.status == 503

    simulate(main())


def test_hold_and_resume_pass_through(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, other = await talking(here)
            await here.pass_time(1)
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            await here.pass_time(1)
            assert talk.replies == [("INVITE", 100), ("INVITE", 200)]
            assert b"a=sendonly" in other.requests[-1].body
            assert b"a=recvonly" in talk.body
            other.request("INVITE", sdp(callee.place, "sendrecv", version=2))
            await here.pass_time(1)
            assert b"a=sendrecv" in talk.requests[-1].body
            talk.hang_up()
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_offers_that_cross_get_491_and_the_call_lives(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, other = await talking(here)
            await here.pass_time(1)
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            other.request("INVITE", sdp(callee.place, "sendonly", version=2))
            await here.pass_time(2)
            statuses = {status for _, status in talk.replies + other.replies}
            assert 491 in statuses
            assert not talk.is_over
            talk.hang_up()
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_a_bye_during_a_re_invite_ends_everything(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, other = await talking(here)
            await here.pass_time(1)
            other.on_request = lambda one, event: event.request.method == "INVITE"
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            await here.pass_time(1)
            talk.hang_up()
            await here.pass_time(80)
            assert ("INVITE", 487) in talk.replies
            assert here.leftovers() == {}

    simulate(main())


def test_an_invite_without_sdp_is_answered_with_an_offer(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            talk = caller.call("8002", body=b"")
            await talk.answered.wait()
            assert b"m=audio" in callee.calls[0].requests[0].body
            assert b"m=audio" in talk.body
            talk.hang_up()
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_info_is_carried_across_and_unknown_methods_are_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, _, other = await talking(here)
            picture = {"Content-Type": ["application/media_control+xml"]}
            talk.request("INFO", b"<media_control/>", picture)
            await here.pass_time(1)
            assert other.requests[-1].body == b"<media_control/>"
            talk.request("PUBLISH")
            talk.request("DANCE")
            await here.pass_time(1)
            assert talk.replies == [("INFO", 200), ("PUBLISH", 405), ("DANCE", 501)]
            talk.hang_up()

    simulate(main())


def test_the_third_call_on_two_channels_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            here.carrier()
            talks = [caller.call(OUTSIDE) for _ in range(2)]
            for talk in talks:
                await talk.answered.wait()
            third = caller.call(OUTSIDE)
            await third.ended.wait()
            assert third.status == 403
            assert "concurrency" in (third.answers[-1].first("Reason") or "")
            talks[0].hang_up()
            await here.pass_time(1)
            fourth = caller.call(OUTSIDE)
            await fourth.answered.wait()
            refused = [cdr for cdr in here.cdrs() if cdr.rule == "concurrency"]
            assert [(cdr.sip_status, cdr.q850_cause) for cdr in refused] == [(403, 21)]
            emergency = caller.call("110")
            await emergency.answered.wait()
            for talk in (talks[1], fourth, emergency):
                talk.hang_up()

    simulate(main())


def test_a_foreign_number_asserted_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            here.carrier()
            talk = caller.call(
                OUTSIDE, {"P-Preferred-Identity": ["<sip:02155556666@acme.example>"]}
            )
            await talk.ended.wait()
            assert talk.status == 403
            await here.pass_time(1)
            assert here.cdrs()[0].rule == "display-number"

    simulate(main())


def test_a_call_from_the_carrier_reaches_the_numbers_owner(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            callee = await here.desk_phone()
            carrier = here.carrier()
            carrier.domain = "10.0.0.1"
            carrier.user = "02188887777"
            talk = carrier.call("02136413501")
            await talk.answered.wait()
            assert callee.calls[0].requests[0].from_.uri.user == "+862188887777"
            unknown = carrier.call("02136413500")
            await unknown.ended.wait()
            assert unknown.status == 404
            talk.hang_up()
            await here.pass_time(1)
            assert {cdr.direction for cdr in here.cdrs()} == {"inbound"}

    simulate(main())


def test_a_pbx_by_address_calls_out_and_is_called(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            pbx = here.phone("02136413599", place=PBX)
            pbx.domain = "10.0.0.1"
            carrier = here.carrier()
            talk = pbx.call(OUTSIDE)
            await talk.answered.wait()
            assert carrier.calls[0].requests[0].from_.uri.user == "02136413599"
            talk.hang_up()
            await here.pass_time(1)
            carrier.user, carrier.domain = "02188887777", "10.0.0.1"
            talk = carrier.call("02136413599")
            await talk.answered.wait()
            assert pbx.calls[-1].requests[0].uri == "sip:02136413599@127.0.0.2:25090"
            talk.hang_up()
            await here.pass_time(1)
            assert [cdr.trunk for cdr in here.cdrs()] == ["beta-pbx", "beta-pbx"]

    simulate(main())
