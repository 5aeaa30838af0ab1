"""What others' users have met in re-INVITEs and transfers, each named after its issue."""

from pathlib import Path

import pytest

from sipcore.dialog.events import Within
from sipcore.message.message import Headers
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.parties import disagreement, habits, party, two_phones
from tests.sim.party import Party
from tests.sim.phone import Talk
from tests.sim.talking import check_all_is_over
from tests.sim.world import World, world


async def _talking(here: World, *, is_delayed: bool = False) -> tuple[Party, Party]:
    caller, callee = await two_phones(here)
    a = caller.begin("8002", habits(), is_delayed=is_delayed)
    await callee.rang.wait()
    b = party(callee.calls[0])
    b.pick_up()
    await a.answered.wait()
    await here.pass_time(0.2)
    return a, b


async def _agrees(here: World, a: Party, b: Party) -> None:
    assert disagreement(a, b) == ""
    assert (a.faults, b.faults) == ([], [])
    a.hang_up()
    await check_all_is_over(here)


def test_livekit_402_an_invite_without_sdp_is_a_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await _agrees(here, *await _talking(here, is_delayed=True))

    simulate(main())


def test_livekit_96_hold_does_not_end_the_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b = await _talking(here)
            for direction in ("sendonly", "inactive", "sendrecv"):
                a.hold_or_so(direction)
                await here.pass_time(1)
                assert disagreement(a, b) == ""
            await _agrees(here, a, b)

    simulate(main())


def test_freeswitch_1717_many_re_invites_leave_the_media_as_the_last_one_has_it(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b = await _talking(here)
            for turn in range(20):
                (a, b)[turn % 2].hold_or_so("sendonly" if turn % 3 else "sendrecv")
                await here.pass_time(0.5)
            await _agrees(here, a, b)

    simulate(main())


@pytest.mark.parametrize("hangs_up", [0, 1])
def test_drachtio_145_a_bye_during_a_re_invite_leaves_nothing(
    tmp_path: Path, hangs_up: int
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            both = await _talking(here)
            both[0].hold_or_so("sendonly")
            await here.pass_time(0.0015)
            both[hangs_up].hang_up()
            await check_all_is_over(here)
            assert len(here.cdrs()) == 1

    simulate(main())


def test_drachtio_401_a_refresh_that_meets_a_re_invite_goes_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_phones(here)
            a = caller.begin("8002", habits())
            await callee.rang.wait()
            b = party(callee.calls[0])
            plain = b.headers
            timed: Headers = {"Session-Expires": ["600;refresher=uac"], "Require": ["timer"]}
            b.headers = lambda: plain() | timed  # type: ignore[method-assign]
            b.pick_up()
            await a.answered.wait()
            for one in (a, b):
                assert one.agreed is not None
                here.beside(here.speak(one.phone, one.agreed[1], 320))
            del b.headers
            refused: list[Within] = []

            def glares(talk: Talk, event: Within) -> bool:
                if refused:
                    return False
                refused.append(event)
                talk.phone.endpoint.respond(event.transaction, 491)
                return True

            b.on_request = glares
            await here.pass_time(310)
            assert not a.is_over
            assert [one.method for one in b.requests] == ["INVITE", "INVITE", "INVITE"]
            assert b.requests[1].body == b.requests[2].body
            await _agrees(here, a, b)

    simulate(main())


def test_hass_sip_47_a_re_invite_is_not_answered_486(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            a, b = await _talking(here)
            b.hold_or_so("sendonly")
            await here.pass_time(1)
            assert b.replies == [("INVITE", 200)]
            await _agrees(here, a, b)

    simulate(main())


@pytest.mark.parametrize("hangs_up", ["a", "b"])
def test_siphon_456_a_bye_that_overtakes_the_ack_ends_the_call_once(
    tmp_path: Path, hangs_up: str
) -> None:
    """The ACK is held back on the wire, the BYE is not; then the ACK comes all the same."""

    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_phones(here)
            held: list[tuple[Place, Place, bytes]] = []

            def holds_back(source: Place, to: Place, data: bytes) -> bool:
                if source == caller.place and data.startswith(b"ACK") and not held:
                    held.append((source, to, data))
                    return True
                return False

            here.net.drops = holds_back
            a = caller.begin("8002", habits())
            await callee.rang.wait()
            b = party(callee.calls[0])
            b.pick_up()
            await a.answered.wait()
            {"a": a, "b": b}[hangs_up].hang_up()
            await here.pass_time(0.1)
            here.net.send(*held[0])
            await here.pass_time(0.1)
            assert (a.is_over, b.is_over) == (True, True)
            (cdr,) = here.cdrs()
            assert cdr.ended_by == ("caller" if hangs_up == "a" else "callee")
            await check_all_is_over(here)

    simulate(main())
