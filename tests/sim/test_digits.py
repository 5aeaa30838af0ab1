"""Keys between INFO and telephone events (RFC 4733), whichever way either side has them."""

from pathlib import Path

import pytest

from sipcore.dialog.events import Within
from sipcore.media.events import Event
from sipcore.message.message import Request
from tests.media.net import rtp
from tests.sim.keys import (
    FIVE,
    RELAY,
    WITH_INFO,
    WITHOUT_INFO,
    answering,
    events_at,
    formats_in,
    infos,
    port_in,
    send_key,
)
from tests.sim.loop import simulate
from tests.sim.phone import Talk, sdp
from tests.sim.talking import two_desks
from tests.sim.transferring import FOUR, refer, third
from tests.sim.world import CARRIER_A, OUTSIDE, World, world
from tests.store.files import DEMO, replaced


async def talking(
    here: World,
    a: tuple[str, dict[str, list[str]]],
    b: tuple[str, dict[str, list[str]]],
) -> tuple[Talk, Talk]:
    """Let 8001, with these formats and fields, call 8002 with those."""
    caller, callee = await two_desks(here)
    callee.on_invite = answering(*b)
    talk = caller.call("8002", a[1], sdp(caller.place, payload=a[0]))
    await talk.answered.wait()
    await here.pass_time(0.1)
    return talk, callee.calls[0]


async def hear(here: World, seconds: float) -> None:
    """Let the engine play."""
    for _ in range(int(seconds * 200)):
        here.workers.run()
        await here.pass_time(0.005)


def test_an_info_is_an_event_to_one_who_has_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8", WITH_INFO), ("8 101", WITH_INFO))
            assert formats_in(other.requests[0].body) == b"8 101", "lent"
            assert formats_in(talk.body) == b"8"
            talk.request("INFO", FIVE, dict(RELAY))
            await hear(here, 0.5)
            assert talk.replies == [("INFO", 200)]
            assert infos(other) == []
            found = events_at(here, other.phone)
            assert {one.code for one in found} == {5}
            assert [one.is_end for one in found] == [False] * 7 + [True] * 3
            assert found[-1].duration == 1280
            talk.hang_up()

    simulate(main())


def test_an_event_is_one_info_to_one_who_has_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8 101", WITH_INFO), ("8", WITH_INFO))
            assert formats_in(talk.body) == b"8 101", "lent"
            await send_key(here, talk.phone, talk.body)
            assert infos(other) == [b"Signal=7\r\nDuration=60\r\n"]
            assert other.requests[-1].headers["Content-Type"] == ["application/dtmf-relay"]
            assert events_at(here, other.phone) == []
            other.request("INFO", b"#", {"Content-Type": ["application/dtmf"]})
            await hear(here, 0.5)
            assert {one.code for one in events_at(here, talk.phone)} == {11}
            talk.hang_up()

    simulate(main())


def test_the_callee_s_events_are_infos_to_the_caller(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8", WITH_INFO), ("8 101", {}))
            await send_key(here, other.phone, other.requests[0].body, code=11)
            assert infos(talk) == [b"Signal=#\r\nDuration=60\r\n"]
            talk.hang_up()

    simulate(main())


def test_where_both_have_events_they_pass(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8 101", WITH_INFO), ("8 101", WITH_INFO))
            await send_key(here, talk.phone, talk.body)
            await hear(here, 0.2)
            assert [one.code for one in events_at(here, other.phone)] == [7] * 5
            assert infos(other) == []
            talk.hang_up()

    simulate(main())


def test_where_neither_has_events_info_is_carried_across(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8", WITH_INFO), ("8", WITH_INFO))
            talk.request("INFO", FIVE, dict(RELAY))
            await here.pass_time(1)
            assert infos(other) == [FIVE]
            assert talk.replies == [("INFO", 200)]
            talk.hang_up()

    simulate(main())


@pytest.mark.parametrize(("a", "b"), [("8 101", "8"), ("8", "8 101")])
def test_nothing_is_lent_for_one_who_takes_no_info(tmp_path: Path, a: str, b: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, (a, WITHOUT_INFO), (b, WITHOUT_INFO))
            assert formats_in(talk.body) == b"8", "its keys are sound"
            assert formats_in(other.requests[0].body) == a.encode()
            talk.hang_up()

    simulate(main())


def test_an_info_that_names_no_key_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8 101", WITH_INFO), ("8 101", WITH_INFO))
            talk.request("INFO", b"Signal=no\r\n", dict(RELAY))
            await hear(here, 0.5)
            assert talk.replies == [("INFO", 400)]
            assert events_at(here, other.phone) == []
            talk.hang_up()

    simulate(main())


def test_a_key_that_comes_both_ways_is_told_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8 101", WITH_INFO), ("8", WITH_INFO))
            talk.request("INFO", b"Signal=7\r\nDuration=60\r\n", dict(RELAY))
            await send_key(here, talk.phone, talk.body, code=7)
            assert len(infos(other)) == 1
            here.sequence += 100
            await here.pass_time(6)
            talk.hang_up()

    simulate(main())


def test_a_key_held_for_long_that_comes_both_ways_is_told_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8 101", WITH_INFO), ("8", WITH_INFO))
            talk.request("INFO", FIVE, dict(RELAY))
            source = (talk.phone.place[0], talk.phone.place[1] + 1000)
            for at in range(1, 101):
                packet = rtp(at, 16000, 7, 101, size=0)
                event = Event(5, at == 100, 10, at * 160).to_bytes()
                here.workers.wires[0].deliver(source, port_in(talk.body), packet + event)
                here.workers.run()
                await here.pass_time(0.02)
            await here.pass_time(1)
            assert infos(other) == [FIVE]
            talk.hang_up()

    simulate(main())


def test_keys_wait_for_the_answer_of_the_one_before(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            talk, other = await talking(here, ("8 101", WITH_INFO), ("8", WITH_INFO))
            late: list[Request] = []

            def unanswered(_: Talk, event: Within) -> bool:
                late.append(event.request)
                return event.request.method == "INFO"

            other.on_request = unanswered
            wire = here.workers.wires[0]
            source = (talk.phone.place[0], talk.phone.place[1] + 1000)
            for code in (1, 2):
                here.sequence += 1
                packet = rtp(here.sequence, 16000 * code, 7, 101, size=0)
                wire.deliver(
                    source, port_in(talk.body), packet + Event(code, True, 10, 800).to_bytes()
                )
                here.workers.run()
            await here.pass_time(1)
            assert {one.body for one in late} == {b"Signal=1\r\nDuration=100\r\n"}
            await here.pass_time(40)  # it never answers: timer F
            assert {one.body[:8] for one in late} == {b"Signal=1", b"Signal=2"}
            other.on_request = lambda _, event: False
            talk.hang_up()
            await here.pass_time(80)
            assert here.leftovers() == {}

    simulate(main())


def test_a_key_that_a_transferor_has_not_answered_keeps_back_no_later_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            last = await third(here)
            last.on_invite = answering("8", WITH_INFO)
            talk, other = await talking(here, ("8 101", WITH_INFO), ("8", WITH_INFO))
            other.on_request = lambda _, event: event.request.method == "INFO"
            source = (talk.phone.place[0], talk.phone.place[1] + 1000)

            async def press(code: int) -> None:
                here.sequence += 1
                packet = rtp(here.sequence, 16000 * code, 7, 101, size=0)
                event = Event(code, True, 10, 800).to_bytes()
                here.workers.wires[0].deliver(source, port_in(talk.body), packet + event)
                here.workers.run()
                await here.pass_time(0.1)

            await press(1)
            await press(2)
            refer(other, "8004")
            await here.pass_time(2)
            assert other.is_over
            await press(3)
            await press(4)
            assert [one[:8] for one in infos(last.calls[0])] == [b"Signal=3", b"Signal=4"]
            talk.hang_up()
            await here.pass_time(80)
            assert here.leftovers() == {}

    simulate(main())


def test_a_key_pressed_while_it_rings_is_heard_by_an_ivr_that_has_not_answered(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            carrier = here.carrier()

            def early(talk: Talk) -> None:
                carrier.ring(talk, 183, sdp(carrier.place))

            carrier.on_invite = early
            talk = caller.call(OUTSIDE, WITH_INFO, sdp(caller.place, payload="8"))
            await carrier.rang.wait()
            await here.pass_time(0.2)
            (ringing,) = [one for one in talk.answers if one.status == 183]
            assert formats_in(ringing.body) == b"8"
            talk.dialog = talk.early
            talk.request("INFO", FIVE, dict(RELAY))
            await hear(here, 0.5)
            assert {one.code for one in events_at(here, carrier)} == {5}
            talk.hang_up()

    simulate(main())


def test_a_carrier_that_has_events_by_info_alone_is_never_offered_them(tmp_path: Path) -> None:
    by_info = replaced(DEMO, ('id = "carrier-a"', 'id = "carrier-a"\nprofile = { dtmf = "info" }'))

    async def main() -> None:
        async with world(tmp_path, provisioning=by_info) as here:
            caller = await here.desk_phone()
            carrier = here.carrier(CARRIER_A)
            carrier.on_invite = answering("8", {})
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            await here.pass_time(0.1)
            assert formats_in(carrier.calls[0].requests[0].body) == b"8"
            assert formats_in(talk.body) == b"8 101"
            await send_key(here, caller, talk.body)
            assert infos(carrier.calls[0]) == [b"Signal=7\r\nDuration=60\r\n"]
            carrier.calls[0].request("INFO", FIVE, dict(RELAY))
            await hear(here, 0.5)
            assert {one.code for one in events_at(here, caller)} == {5}
            talk.hang_up()

    simulate(main())
