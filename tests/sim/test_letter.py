"""What an exact phone or PBX would trip over, each named after the sentence that it goes by."""

from pathlib import Path

import pytest

from sipcore.call.leg import SDP
from sipcore.dialog.events import Within
from sipcore.message.message import Headers
from tests.message.many_parts import ISUP, parts
from tests.sim.loop import simulate
from tests.sim.phone import Talk, sdp
from tests.sim.talking import check_all_is_over, ringing, talking, two_desks
from tests.sim.transferring import FOUR, refer, reports, third
from tests.sim.world import OUTSIDE, World, world

MIXED: Headers = {"Content-Type": ["multipart/mixed;boundary=b1"]}


def with_isup(body: bytes) -> bytes:
    """Return an SDP as an ISUP gateway sends it."""
    return parts(b"Content-Type: application/sdp\r\n\r\n" + body, ISUP + b"\r\n\x01\x10\x00")


def finals(talk: Talk) -> list[tuple[str, int]]:
    return [one for one in talk.replies if one[1] >= 200]


async def _ends(here: World, talk: Talk) -> None:
    talk.hang_up()
    await check_all_is_over(here)


def test_8_2_2_3_what_is_required_and_not_understood_is_refused_within_a_dialog_too(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, other = await talking(here)
            before = len(other.requests)
            talk.request("INVITE", sdp(caller.place, version=2), {"Require": ["teleport, timer"]})
            talk.request("INFO", headers={"Require": ["teleport"]})
            await here.pass_time(1)
            assert finals(talk) == [("INVITE", 420), ("INFO", 420)]
            assert len(other.requests) == before
            talk.request("INVITE", sdp(caller.place, version=3), {"Require": ["timer"]})
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 200)
            await _ends(here, talk)

    simulate(main())


@pytest.mark.parametrize(("by", "status"), [("caller", 500), ("callee", 491)])
def test_14_2_an_invite_in_an_early_dialog_waits_for_the_first_one(
    tmp_path: Path, by: str, status: int
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee = await ringing(here)
            await here.pass_time(1)
            one = talk if by == "caller" else callee.calls[0]
            one.dialog = one.early or one.dialog
            one.request("INVITE", sdp(caller.place, version=2))
            one.request("INFO", headers={"Require": ["teleport"]})
            await here.pass_time(1)
            assert finals(one) == [("INVITE", status), ("INFO", 420)]
            talk.dialog = None
            callee.pick_up(callee.calls[0])
            await talk.answered.wait()
            await _ends(here, talk)

    simulate(main())


def test_13_3_1_an_invitation_ends_when_its_sender_wants_it_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            callee.on_invite = callee.ring
            began = here.clock.monotonic()
            talk = caller.call("8002", {"Expires": ["20"]})
            await talk.ended.wait()
            assert talk.status == 487
            assert here.clock.monotonic() - began == pytest.approx(20, abs=1)
            await here.pass_time(1)
            assert callee.calls[0].status == 487
            callee.on_invite = callee.answer
            for said in ("5", "no number", "0", "100000"):
                talk = caller.call("8002", {"Expires": [said]})
                await here.pass_time(30)
                assert (talk.status, talk.is_over) == (200, False)
                talk.hang_up()
                await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_12_2_1_2_who_moves_by_his_answer_to_an_update_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            moved = ("10.0.9.9", 5060)

            def answer(talk: Talk) -> None:
                assert talk.invite is not None
                timed: Headers = {
                    "Contact": [callee.hop().contact("8002")],
                    "Allow": ["INVITE, ACK, BYE, UPDATE"],
                    "Supported": ["timer"],
                    "Session-Expires": ["90;refresher=uac"],
                    "Content-Type": [SDP],
                }
                callee.endpoint.respond(talk.invite, 200, timed, sdp(callee.place))

            def update(talk: Talk, event: Within) -> bool:
                if event.request.method == "UPDATE":
                    said: Headers = {
                        "Contact": [f"<sip:8002@{moved[0]}:{moved[1]}>"],
                        "Session-Expires": ["90;refresher=uac"],
                    }
                    callee.endpoint.respond(event.transaction, 200, said)
                return event.request.method == "UPDATE"

            callee.on_invite = answer
            talk = caller.call("8002")
            await talk.answered.wait()
            callee.calls[0].on_request = update
            await here.pass_time(50)
            talk.hang_up()
            await here.pass_time(1)
            byes = [
                one.to for one in here.net.sent if one.data.startswith(b"BYE sip:8002@10.0.9.9")
            ]
            assert byes[0] == moved
            await check_all_is_over(here)

    simulate(main())


def test_4028_9_a_re_invite_that_sets_no_timer_ends_the_one_that_was(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            timed: Headers = {"Supported": ["timer"], "Session-Expires": ["90;refresher=uac"]}
            talk = caller.call("8002", timed)
            await talk.answered.wait()
            assert "Session-Expires" in talk.answers[-1].headers
            talk.request("INVITE", sdp(caller.place, version=2))
            for _ in range(20):
                await here.speak(caller, talk.body, 10)
                await here.speak(callee, callee.calls[0].requests[0].body, 1)
            assert talk.answers[-1].status == 200
            assert "Session-Expires" not in talk.answers[-1].headers
            assert not talk.is_over
            await _ends(here, talk)

    simulate(main())


def test_3515_2_2_the_answer_to_a_refer_names_our_contact(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, _ = await talking(here)
            await third(here)
            refer(talk, "8004")
            await here.pass_time(2)
            (accepted,) = [one.data for one in here.net.sent if one.data.startswith(b"SIP/2.0 202")]
            assert b"\r\nContact: <sip:" in accepted
            await here.pass_time(2)
            here.phones[1].calls[0].hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_11_2_options_tell_what_is_supported(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, _, _ = await talking(here)
            answer = await talk.phone.ask(talk.phone.new_request("OPTIONS", "sip:acme.example"))
            assert "timer" in answer.tokens("Supported")
            talk.request("OPTIONS")
            await here.pass_time(1)
            inside = [one.data for one in here.net.sent if b"CSeq: 3 OPTIONS" in one.data][-1]
            assert b"Supported: 100rel, timer, replaces" in inside
            await _ends(here, talk)

    simulate(main())


def test_5621_a_session_among_other_parts_is_found(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            carrier = here.carrier()

            def answer(talk: Talk) -> None:
                assert talk.invite is not None
                said: Headers = {"Contact": [carrier.hop().contact("gw")], **MIXED}
                body = with_isup(sdp(carrier.place))
                carrier.endpoint.respond(talk.invite, 183, said, body)
                carrier.endpoint.respond(talk.invite, 200, said, body)
                talk.status = 200

            carrier.on_invite = answer
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            await here.pass_time(1)
            assert talk.body.startswith(b"v=0")
            held = with_isup(sdp(carrier.place, "sendonly", version=2))
            carrier.calls[0].request("INVITE", held, dict(MIXED))
            await here.pass_time(1)
            assert carrier.calls[0].replies[-1] == ("INVITE", 200)
            assert b"a=sendonly" in talk.requests[-1].body
            back = carrier.call("02136413501", dict(MIXED), with_isup(sdp(carrier.place)))
            await here.pass_time(1)
            assert back.status == 200
            assert caller.calls[-1].requests[0].body.startswith(b"v=0")
            back.hang_up()
            await _ends(here, talk)

    simulate(main())


@pytest.mark.parametrize(("handling", "status"), [("optional", 200), ("required", 415)])
def test_20_11_a_body_that_need_not_be_understood_is_ignored(
    tmp_path: Path, handling: str, status: int
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, _ = await two_desks(here)
            said: Headers = {
                "Content-Type": ["application/x-picture"],
                "Content-Disposition": [f"render;handling={handling}"],
            }
            talk = caller.call("8002", said, b"\x00\x01")
            await here.pass_time(2)
            assert talk.status == status
            await _ends(here, talk)

    simulate(main())


@pytest.mark.parametrize("status", [408, 481])
def test_12_2_1_2_who_does_not_know_the_dialog_gets_a_bye(tmp_path: Path, status: int) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee, other = await talking(here)

            def lost(one: Talk, event: Within) -> bool:
                if event.request.method == "INVITE":
                    callee.endpoint.respond(event.transaction, status)
                return event.request.method == "INVITE"

            other.on_request = lost
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            await here.pass_time(2)
            assert [one.method for one in (talk.requests[-1], other.requests[-1])] == ["BYE", "BYE"]
            await check_all_is_over(here)

    simulate(main())


def test_6665_4_1_2_who_transfers_refreshes_and_ends_what_he_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            last.on_invite = last.ring
            refer(talk, "8004")
            await here.pass_time(1)
            for event, expires in (("refer", "60"), ("refer;id=99", "60"), ("refer", "0")):
                talk.request("SUBSCRIBE", headers={"Event": [event], "Expires": [expires]})
                await here.pass_time(1)
            other.request("SUBSCRIBE", headers={"Event": ["refer"]})
            talk.request("SUBSCRIBE", headers={"Event": ["refer"]})
            await here.pass_time(1)
            asked = [status for method, status in talk.replies if method == "SUBSCRIBE"]
            assert (asked, other.replies) == ([200, 481, 200, 481], [("SUBSCRIBE", 481)])
            told = [one for one in talk.requests if one.method == "NOTIFY"]
            states = [one.headers["Subscription-State"][0] for one in told]
            assert states[-2:] == ["active;expires=60", "terminated;reason=timeout"]
            assert reports(talk) == ["100 Trying", "180 Ringing", "180 Ringing", "180 Ringing"]
            last.pick_up(last.calls[0])
            await here.pass_time(1)
            assert (talk.is_over, other.is_over) == (True, False)
            other.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_7_3_1_option_tags_are_known_in_any_case(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, _ = await two_desks(here)
            said: Headers = {"Supported": ["TIMER"], "Session-Expires": ["600;refresher=UAC"]}
            talk = caller.call("8002", {"Require": ["Timer"], **said})
            await talk.answered.wait()
            assert talk.answers[-1].headers["Session-Expires"] == ["600;refresher=uac"]
            await _ends(here, talk)

    simulate(main())


@pytest.mark.parametrize("reliable", [False, True])
def test_13_3_1_1_a_caller_hears_every_minute_that_it_rings_on(
    tmp_path: Path, reliable: bool
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            carrier = here.carrier()
            carrier.on_invite = lambda talk: carrier.ring(talk, 183, sdp(carrier.place))
            talk = caller.call(OUTSIDE, {"Supported": ["100rel"]} if reliable else {})

            async def prack() -> None:
                await here.pass_time(0.3)
                talk.dialog = talk.early
                number = talk.answers[-1].headers["RSeq"][0]
                talk.request("PRACK", headers={"RAck": [f"{number} 2 INVITE"]})
                await here.pass_time(0.5)
                talk.dialog = None

            if reliable:
                await prack()
            await here.pass_time(150)
            rung = [one for one in talk.answers if 100 < one.status < 200]
            assert [(one.status, bool(one.body)) for one in rung] == [
                (183, True), (183, False), (183, False),
            ]  # fmt: skip
            carrier.pick_up(carrier.calls[0])
            await talk.answered.wait()
            await _ends(here, talk)

    simulate(main())


@pytest.mark.parametrize(("said", "heard"), [(199, []), (188, [183]), (182, [182])])
def test_8_1_3_2_an_18x_that_nobody_knows_is_session_progress(
    tmp_path: Path, said: int, heard: list[int]
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            callee.on_invite = lambda talk: callee.ring(talk, said)
            talk = caller.call("8002")
            await here.pass_time(2)
            assert [one.status for one in talk.answers if 100 < one.status < 200] == heard
            await _ends(here, talk)

    simulate(main())


def test_21_4_6_what_is_refused_by_405_is_not_among_what_is_allowed(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, _, _ = await talking(here)
            phone = talk.phone
            outside = await phone.ask(phone.new_request("REFER", "sip:8002@acme.example"))
            assert (outside.status, "refer" in outside.tokens("Allow")) == (405, False)
            talk.request("REGISTER")
            await here.pass_time(1)
            inside = [one.data for one in here.net.sent if b"SIP/2.0 405" in one.data][-1]
            assert b"INVITE, ACK" in inside
            assert b"REGISTER, " not in inside
            await _ends(here, talk)

    simulate(main())


def test_3891_who_can_be_asked_to_replace_says_so_in_each_re_invite(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, other = await talking(here)
            carrier = here.carrier()
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            out = caller.call(OUTSIDE)
            await out.answered.wait()
            out.request("INVITE", sdp(caller.place, "sendonly", version=2))
            await here.pass_time(1)
            assert "replaces" in other.requests[-1].tokens("Supported")
            assert "100rel" not in other.requests[-1].tokens("Supported")
            assert "Supported" not in carrier.calls[0].requests[-1].headers
            out.hang_up()
            await _ends(here, talk)

    simulate(main())
