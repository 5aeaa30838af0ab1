"""What a carrier is sent and how it is understood, by its settings; and its password."""

from pathlib import Path

from sipcore.dialog.events import Within
from sipcore.message.sdp import parse_sdp
from tests.sim.carrier import REALM
from tests.sim.loop import simulate
from tests.sim.phone import Talk, sdp
from tests.sim.trunks import LOGIN, PASSWORD, REGISTER, USER, called, carrier, invited, told
from tests.sim.world import CARRIER_A, CARRIER_B, OUTSIDE, world


def test_a_carrier_that_asks_for_credentials_gets_them_for_all_of_the_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=told(LOGIN)) as here:
            at = carrier(here, asks=True)
            caller = await here.desk_phone()
            talk = await called(here, caller)
            assert talk.status == 200
            (asked,) = at.challenged
            (other,) = at.calls
            signed = other.requests[0]
            assert (asked.call_id, asked.cseq.number) == (signed.call_id, 1)
            assert signed.cseq.number == 2
            await other.acked.wait()
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            await here.pass_time(1)
            talk.hang_up()
            await here.pass_time(1)
            methods = [one.method for one in other.requests]
            assert methods == ["INVITE", "INVITE", "BYE"]
            assert all(at.is_signed(one) for one in other.requests)
            assert here.node.trunks.figures("carrier-a").answered == 1
            await here.pass_time(60)
            assert here.leftovers() == {}

    simulate(main())


def test_an_old_nonce_within_a_call_is_replaced(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=told(LOGIN)) as here:
            at = carrier(here, asks=True)
            caller = await here.desk_phone()
            talk = await called(here, caller)
            (other,) = at.calls
            stale = at.challenge("Proxy-Authenticate", is_stale=True)
            refused: list[Within] = []

            def ask_once(_: Talk, event: Within) -> bool:
                if len(refused) in (0, 2):
                    refused.append(event)
                    at.endpoint.respond(event.transaction, 407, stale)
                    return True
                refused.append(event)
                return False

            other.on_request = ask_once
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            await here.pass_time(2)
            assert talk.replies[-1] == ("INVITE", 200)
            talk.hang_up()
            await here.pass_time(2)
            methods = [one.method for one in other.requests]
            assert methods == ["INVITE", "INVITE", "INVITE", "BYE", "BYE"]
            assert other.is_over
            await here.pass_time(60)
            assert here.leftovers() == {}
            assert here.bugs() == 0

    simulate(main())


def test_an_old_nonce_does_not_spoil_a_transfer(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=told(LOGIN)) as here:
            at = carrier(here, asks=True)
            caller = await here.desk_phone()
            last = await here.desk_phone("8002", "workshop-8002")
            last.on_invite = lambda new: last.pick_up(new, sdp(last.place, payload="8"))
            talk = await called(here, caller)
            (other,) = at.calls
            stale = at.challenge("Proxy-Authenticate", is_stale=True)
            asked: list[Within] = []

            def ask_once(_: Talk, event: Within) -> bool:
                asked.append(event)
                if len(asked) == 1:
                    at.endpoint.respond(event.transaction, 407, stale)
                return len(asked) == 1

            other.on_request = ask_once
            talk.request("REFER", headers={"Refer-To": ["<sip:8002@acme.example>"]})
            await here.pass_time(2)
            assert (talk.is_over, last.calls[0].is_over) == (True, False)
            assert [one.method for one in other.requests] == ["INVITE", "INVITE", "INVITE"]
            last.calls[0].hang_up()
            await here.pass_time(2)
            assert other.is_over
            await here.pass_time(60)
            assert here.leftovers() == {}
            assert here.bugs() == 0

    simulate(main())


def test_a_wrong_password_leads_to_the_next_carrier(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=told(LOGIN)) as here:
            at = carrier(here, asks=True)
            at.password = "another"
            here.carrier(CARRIER_B)
            talk = await called(here, await here.desk_phone())
            assert talk.status == 200
            assert len(at.challenged) == 2
            talk.hang_up()
            await here.pass_time(40)
            assert here.cdrs()[-1].carrier == "carrier-b"
            assert here.leftovers() == {}

    simulate(main())


def test_the_password_of_a_registration_serves_for_calls_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=told(REGISTER)) as here:
            at = carrier(here, asks=True)
            at.extra = {"Service-Route": [f"<sip:{CARRIER_A[0]}:{CARRIER_A[1]};lr>"]}
            await here.pass_time(3)
            talk = await called(here, await here.desk_phone())
            assert talk.status == 200
            invite = at.calls[0].requests[0]
            assert invite.headers["Route"] == at.extra["Service-Route"]
            assert invite.contact is not None
            assert invite.contact.uri.user == USER
            assert invite.from_.uri.host == "ims.example"
            assert f'realm="{REALM}"' in invite.headers["Proxy-Authorization"][0]
            assert all(PASSWORD.encode() not in packet.data for packet in here.net.sent)
            talk.hang_up()

    simulate(main())


def test_where_the_callers_number_goes_is_a_setting(tmp_path: Path) -> None:
    async def main() -> None:
        profile = (
            'profile = { numbers = "e164", caller_numbers = "digits", user_phone = true,'
            ' caller_in = ["P-Preferred-Identity", "Remote-Party-ID"] }\n'
        )
        async with world(tmp_path, provisioning=told(REGISTER, profile)) as here:
            invite = await invited(here, profile)
            shown = "862136413501@ims.example;user=phone"
            assert invite.uri == f"sip:+862188889999@{CARRIER_A[0]}:{CARRIER_A[1]};user=phone"
            assert invite.to.uri.params == {"user": "phone"}
            assert str(invite.from_.uri) == f"sip:{USER}@ims.example"
            assert invite.headers["P-Preferred-Identity"] == [f"<sip:{shown}>"]
            assert invite.headers["Remote-Party-ID"] == [
                f"<sip:{shown}>;party=calling;screen=yes;privacy=off"
            ]
            assert "P-Asserted-Identity" not in invite.headers

    simulate(main())


def test_codecs_are_offered_as_a_carrier_may_have_them(tmp_path: Path) -> None:
    async def main() -> None:
        profile = 'profile = { codecs = ["PCMU", "PCMA"] }\n'
        async with world(tmp_path, provisioning=told(profile)) as here:
            at = carrier(here)
            caller = await here.desk_phone()
            talk = caller.call(OUTSIDE, body=sdp(caller.place, payload="9 8 18 0 101"))
            await talk.answered.wait()
            (media,) = parse_sdp(at.calls[0].requests[0].body).media
            assert media.formats == ("0", "8", "101")
            talk.hang_up()

    simulate(main())


def test_a_carrier_that_has_none_of_the_codecs_is_passed_over(tmp_path: Path) -> None:
    async def main() -> None:
        profile = 'profile = { codecs = ["G729"] }\n'
        async with world(tmp_path, provisioning=told(profile)) as here:
            at = carrier(here)
            here.carrier(CARRIER_B)
            talk = await called(here, await here.desk_phone())
            assert (talk.status, len(at.calls)) == (200, 0)
            assert here.node.trunks.figures("carrier-a").calls == 0
            talk.hang_up()

    simulate(main())


def test_sound_before_the_answer_is_heard_as_the_setting_says(tmp_path: Path) -> None:
    async def main() -> None:
        for setting, expected in (
            ("any", [(180, True), (183, True)]),
            ("183", [(180, False), (183, True)]),
            ("none", [(180, False), (180, False)]),
        ):
            folder = tmp_path / setting
            folder.mkdir()
            text = told(f'profile = {{ early_media = "{setting}" }}\n')
            async with world(folder, provisioning=text) as here:
                at = carrier(here)
                at.on_invite = lambda talk: None
                caller = await here.desk_phone()
                talk = caller.call(OUTSIDE)
                await at.rang.wait()
                for status in (180, 183):
                    at.ring(at.calls[0], status, sdp(at.place))
                    await here.pass_time(1)
                heard = [
                    (one.status, bool(one.body)) for one in talk.answers if 100 < one.status < 200
                ]
                assert heard == expected, setting
                talk.hang_up()
                await here.pass_time(1)

    simulate(main())


def test_the_number_called_may_stand_in_to(tmp_path: Path) -> None:
    async def main() -> None:
        profile = 'profile = { number_in = "to", reads = "e164" }\n'
        async with world(tmp_path, provisioning=told(profile)) as here:
            at = carrier(here)
            await here.desk_phone()
            talk = at.call("pilot", {"To": ["<sip:862136413501@node.example>"]})
            await talk.answered.wait()
            talk.hang_up()
            await here.pass_time(40)
            assert here.cdrs()[-1].callee_routed == "8001"

    simulate(main())
