"""Busy lamps: what a phone that watches an extension sees of its calls (RFC 4235)."""

from pathlib import Path

from sipcore.message.message import Headers, Request
from tests.sim.loop import simulate
from tests.sim.watching import check_left_alone, watch
from tests.sim.world import OUTSIDE, world


def test_a_lamp_follows_a_call_through_its_life(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            callee = await here.desk_phone()
            callee.on_invite = lambda talk: callee.ring(talk)
            caller = await here.desk_phone("8003", "laptop-8003")
            talk = caller.call("8001")
            await here.pass_time(2)
            other = "sip:8003@acme.example"
            assert lamp.shown() == [("early", "recipient", other)]
            callee.pick_up(callee.calls[0])
            await here.pass_time(2)
            assert lamp.shown() == [("confirmed", "recipient", other)]
            talk.hang_up()
            await here.pass_time(2)
            assert lamp.shown() == [("terminated", "recipient", other)]
            assert (await lamp.subscribe()).status == 200
            await here.pass_time(2)
            assert lamp.states() == [[], ["early"], ["confirmed"], ["terminated"], []]
            versions = [_version(one) for one in lamp.notifies]
            assert versions == [0, 1, 2, 3, 4]
            await check_left_alone(here)

    simulate(main())


def _version(notify: Request) -> int:
    return int(notify.body.partition(b'dialog-info" version="')[2].partition(b'"')[0])


def test_the_callers_lamp_shows_whom_he_calls_inside_and_hides_who_is_outside(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            here.carrier()
            caller = await here.desk_phone()
            await here.desk_phone("8003", "laptop-8003")
            seen = []
            for number in ("8003", OUTSIDE):
                talk = caller.call(number)
                await talk.answered.wait()
                await here.pass_time(2)
                seen.append(lamp.shown())
                talk.hang_up()
                await here.pass_time(2)
            assert seen == [
                [("confirmed", "initiator", "sip:8003@acme.example")],
                [("confirmed", "initiator", "sip:anonymous@anonymous.invalid")],
            ]

    simulate(main())


def test_a_call_that_is_refused_by_a_rule_never_lights_a_lamp(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            caller = await here.desk_phone()
            await caller.call("8999").ended.wait()
            await here.pass_time(2)
            assert lamp.states() == [[]]

    simulate(main())


def test_a_lamp_that_is_lit_late_shows_the_call_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await here.desk_phone()
            caller = await here.desk_phone("8003", "laptop-8003")
            talk = caller.call("8001")
            await talk.answered.wait()
            lamp = await watch(here)
            assert lamp.states() == [["confirmed"]]
            talk.hang_up()
            await here.pass_time(2)
            assert lamp.states() == [["confirmed"], ["terminated"]]

    simulate(main())


def test_the_lamp_of_who_is_reached_by_a_forward_is_lit(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            await here.desk_phone()
            soft = await here.desk_phone("8003", "laptop-8003")
            sent_on: Headers = {"Contact": ["<sip:8001@acme.example>"]}
            soft.on_invite = lambda talk: soft.refuse(talk, 302, sent_on)
            workshop = lamp.phone
            assert (await workshop.register()).status == 200
            talk = workshop.call("8003")
            await talk.answered.wait()
            await here.pass_time(2)
            assert lamp.shown() == [("confirmed", "recipient", "sip:8002@acme.example")]
            talk.hang_up()
            await here.pass_time(2)
            assert lamp.states()[-1] == ["terminated"]

    simulate(main())


def test_lamps_follow_a_call_that_is_transferred(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamps = [await watch(here, number) for number in ("8001", "8002", "8003")]
            front = await here.desk_phone()
            await here.desk_phone("8002", "workshop-8002")
            await here.desk_phone("8003", "laptop-8003")
            talk = front.call("8003")
            await talk.answered.wait()
            await here.pass_time(2)
            talk.request("REFER", headers={"Refer-To": ["<sip:8002@acme.example>"]})
            await here.pass_time(3)
            talk.hang_up()
            await here.pass_time(3)
            assert [lamp.shown() for lamp in lamps] == [
                [("terminated", "initiator", "sip:8003@acme.example")],
                [("confirmed", "recipient", "sip:8003@acme.example")],
                [("confirmed", "recipient", "sip:8002@acme.example")],
            ]
            await here.node.end()
            await here.pass_time(3)
            assert here.node.watchers.by_package()["dialog",] == 0

    simulate(main())
