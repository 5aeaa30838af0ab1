"""Transfers in which something fails or comes at an odd time: who stays loses nothing by it."""

from pathlib import Path

from sipcore.call.call import Call
from sipcore.dialog.events import Within
from sipcore.message.message import Headers
from tests.sim.disks import RefusingJournal, give
from tests.sim.loop import simulate
from tests.sim.phone import Talk, sdp
from tests.sim.talking import check_all_is_over, talking, two_desks
from tests.sim.transferring import FOUR, refer, reports, third
from tests.sim.world import world


def test_an_update_while_the_transferor_has_left_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, talk, _, other = await talking(here)
            last = await third(here)
            last.on_invite = last.ring
            refer(other, "8004")
            await last.rang.wait()
            await here.pass_time(0.5)
            other.hang_up()
            await here.pass_time(0.5)
            talk.request("UPDATE", sdp(caller.place, version=3, payload="8"))
            await here.pass_time(1)
            assert talk.replies[-1] == ("UPDATE", 491)
            last.pick_up(last.calls[0])
            await here.pass_time(2)
            talk.request("INVITE", sdp(caller.place, version=4, payload="8"))
            await here.pass_time(2)
            assert talk.replies[-1] == ("INVITE", 200)
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_what_a_transferor_was_asked_and_never_answered_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            await third(here)
            other.on_request = lambda _, event: event.request.method == "INFO"
            talk.request("INFO", b"<picture_fast_update/>", {"Content-Type": ["text/xml"]})
            await here.pass_time(0.5)
            assert talk.replies == []
            refer(other, "8004")
            await here.pass_time(2)
            assert talk.replies == [("INFO", 480)], "else it gives the call up after 32 s"
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_a_refresh_that_the_transferor_never_answered_holds_no_other_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, callee = await two_desks(here)
            last = await third(here)
            refreshed = []

            def accept(talk: Talk) -> None:
                timer: Headers = {"Require": ["timer"], "Session-Expires": ["90;refresher=uac"]}
                talk.phone.pick_up(talk, sdp(talk.phone.place), timer)

            def heed(talk: Talk, event: Within) -> bool:
                if event.request.method != "INVITE":
                    return False
                if talk.phone is callee:
                    return True  # and never answers
                refreshed.append(here.clock.monotonic())
                talk.invite = event.transaction
                accept(talk)
                return True

            callee.on_invite = last.on_invite = accept
            talk = caller.call("8002")
            await talk.answered.wait()
            callee.calls[0].on_request = heed
            await here.pass_time(45.5)  # half of it: we have asked anew
            assert callee.calls[0].requests[-1].method == "INVITE"
            refer(callee.calls[0], "8004")
            await here.pass_time(0.02)
            callee.calls[0].hang_up()
            await here.pass_time(1)
            last.calls[0].on_request = heed
            await here.pass_time(200)
            assert len(refreshed) >= 4
            assert not talk.is_over
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_who_stays_is_told_of_the_newcomer_though_it_refuses_by_491_and_then_by_500(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, callee, other = await talking(here)
            await third(here)
            other.request("INVITE", sdp(callee.place, "sendonly", version=2))
            await here.pass_time(1)
            refusals = [491, 500]

            def refuse(one: Talk, event: Within) -> bool:
                if event.request.method != "INVITE" or not refusals:
                    return False
                one.phone.endpoint.respond(event.transaction, refusals.pop(0))
                return True

            talk.on_request = refuse
            refer(other, "8004")
            await here.pass_time(15)
            last = [one.body for one in talk.requests if one.method == "INVITE"][-1]
            assert refusals == []
            assert len([one for one in talk.requests if one.method == "INVITE"]) == 4
            assert b"a=sendrecv" in last, "nobody holds it any more"
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_a_target_whose_answer_cannot_be_written_down_takes_nobodys_sound(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            last.on_invite = lambda new: last.pick_up(new, sdp(last.place, "sendonly"))

            usual = here.node.desk.journal
            give(here, RefusingJournal)
            refer(other, "8004")
            await here.pass_time(2)
            here.node.desk.journal = usual
            assert reports(other)[-1] == "503 Service Unavailable"
            assert last.calls[0].is_over
            assert not talk.is_over
            (call,) = here.node.desk.calls.values()
            assert isinstance(call, Call)
            assert not call.media.is_held("b"), "as the one said who was let go"
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_a_transfer_to_an_emergency_number_does_not_wait_for_the_journal(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            carrier = here.carrier()
            _, talk, _, other = await talking(here)
            give(here, RefusingJournal)
            refer(other, "110")
            await here.pass_time(2)
            assert reports(other)[-1] == "200 OK"
            assert not carrier.calls[0].is_over
            assert not talk.is_over
            talk.hang_up()
            await here.pass_time(1)
            assert carrier.calls[0].is_over

    simulate(main())
