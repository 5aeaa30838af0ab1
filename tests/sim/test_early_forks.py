"""Before the answer of one of several devices: what each was told while it rang is its own."""

import re
from pathlib import Path

from tests.sim.description import description, direction_of
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.parties import disagreement, habits, party, two_phones
from tests.sim.party import Party, PartyPhone
from tests.sim.talking import check_all_is_over
from tests.sim.world import World, world


async def _two_ringing(here: World) -> tuple[Party, Party, Party]:
    """Ring two devices of one extension; return the caller and both."""
    caller, first = await two_phones(here, lambda: habits(reliable=True, update=True))
    second = PartyPhone(here.net, ("10.0.1.9", 5060), "8002", "workshop-8002")
    second.habits_of, second.on_invite = first.habits_of, first.on_invite
    here.phones.append(second)
    assert (await second.register()).status == 200
    a = caller.begin("8002", habits(reliable=True, update=True))
    await first.rang.wait()
    await second.rang.wait()
    return a, party(first.calls[0]), party(second.calls[0])


async def _told_alone(here: World) -> tuple[Party, Party, Party]:
    """Let the caller hold, and the first of both devices alone hear so."""
    a, first, second = await _two_ringing(here)
    first.ring(183, description(first.phone.place, 1), is_reliable=True)
    await here.pass_time(1)
    a.update(a.sdp("sendonly"))
    await here.pass_time(1)
    first.update(first.sdp("sendrecv"))
    await here.pass_time(1)
    assert first.agreed is not None
    assert direction_of(first.agreed[1]) == "sendonly"
    return a, first, second


async def _answered_by(here: World, a: Party, b: Party) -> None:
    b.pick_up()
    await a.answered.wait()
    await here.pass_time(5)
    assert disagreement(a, b) == ""
    assert b.agreed is not None
    assert direction_of(b.agreed[1]) == "sendonly"
    a.hang_up()
    await check_all_is_over(here)


def test_the_device_that_answers_is_told_what_another_one_was_told_while_it_rang(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, _, second = await _told_alone(here)
            await _answered_by(here, a, second)
            assert [one.method for one in second.requests].count("UPDATE") == 1

    simulate(main())


def test_the_device_that_was_told_while_it_rang_is_told_no_more_when_it_answers(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, first, _ = await _told_alone(here)
            await _answered_by(here, a, first)
            assert "UPDATE" not in [one.method for one in first.requests]

    simulate(main())


def test_each_device_sees_versions_that_go_up_by_one(tmp_path: Path) -> None:  # RFC 3264 8
    async def main() -> None:
        async with world(tmp_path) as here:
            a, first, second = await _told_alone(here)
            second.ring(183, description(second.phone.place, 1), is_reliable=True)
            await here.pass_time(1)
            for one in (second, first, second):
                one.update(one.sdp("sendrecv"))
                await here.pass_time(1)
            second.pick_up()
            await a.answered.wait()
            await here.pass_time(5)
            a.hold_or_so("inactive")
            await here.pass_time(5)
            for one in (first, second):
                seen = list(dict.fromkeys(_versions(here, one.phone.place)))
                assert seen == list(range(1, len(seen) + 1))
                assert len(seen) > 1
            a.hang_up()
            await check_all_is_over(here)

    simulate(main())


def _versions(here: World, place: Place) -> list[int]:
    """Return the versions in all o= lines that went to a place."""
    told = b"".join(packet.data for packet in here.net.sent if packet.to == place)
    return [int(one) for one in re.findall(rb"o=- [0-9]+ ([0-9]+) IN", told)]
