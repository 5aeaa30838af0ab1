"""Early media of a blind transfer's target: heard once the transferor speaks no more."""

from pathlib import Path

import pytest

from tests.sim.deflecting import deflect
from tests.sim.hearing import check_one_piece, listening, tones, words
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import talking
from tests.sim.transferring import FOUR, refer, third
from tests.sim.world import World


async def _transferred(here: World, hold: str = "sendonly") -> tuple[Talk, Talk, Phone]:
    """Let the callee send the caller on to a third phone, whose 183 has an SDP."""
    _, talk, callee, other = await talking(here)
    last = await third(here)
    last.on_invite = lambda rung: last.ring(rung, 183, sdp(last.place))
    if hold:
        other.request("INVITE", sdp(callee.place, hold, version=2))
        await here.pass_time(0.5)
    refer(other, "8004")
    await here.pass_time(0.3)
    return talk, other, last


def _speaks(here: World, last: Phone, seconds: float) -> None:
    here.beside(here.talk(last, last.calls[0].requests[0].body, seconds))


@pytest.mark.parametrize("is_gone", [False, True])
def test_who_stays_hears_what_the_target_sends_before_its_answer(
    tmp_path: Path, is_gone: bool
) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, other, last = await _transferred(here, "" if is_gone else "sendonly")
            if is_gone:
                other.hang_up()
            await here.listen(talk.phone, 0.1)
            _speaks(here, last, 2)
            heard = await here.listen(talk.phone, 3)
            assert len(words(heard)) == pytest.approx(100, abs=2)
            check_one_piece(heard)
            assert "INVITE" not in [one.method for one in talk.requests][1:], "nobody is asked"
            last.pick_up(last.calls[0])
            await here.listen(talk.phone, 1)
            _speaks(here, last, 1)
            assert len(words(await here.listen(talk.phone, 2))) == 50
            talk.hang_up()

    simulate(main())


def test_a_183_whose_sound_does_not_come_gives_way_to_our_ringback(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, _, last = await _transferred(here)
            assert tones(await here.listen(talk.phone, 2))
            _speaks(here, last, 1)
            await here.listen(talk.phone, 0.5)
            assert tones(await here.listen(talk.phone, 0.4)) == []
            talk.hang_up()

    simulate(main())


def test_a_transferor_that_does_not_hold_is_heard_instead(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, other, last = await _transferred(here, "")
            _speaks(here, last, 1)
            heard = await here.listen(talk.phone, 2)
            assert (words(heard), len(tones(heard)) > 30) == ([], True)
            here.beside(here.talk(other.phone, other.requests[0].body, 1))
            assert len(words(await here.listen(talk.phone, 2))) == 50
            talk.hang_up()

    simulate(main())


def test_who_stays_hears_the_transferor_again_when_the_target_refuses(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, other, last = await _transferred(here)
            _speaks(here, last, 1)
            await here.listen(talk.phone, 2)
            last.refuse(last.calls[0], 486)
            await here.listen(talk.phone, 0.5)
            assert await here.listen(talk.phone, 1) == []
            other.request("INVITE", sdp(other.phone.place, version=3))
            await here.listen(talk.phone, 0.5)
            here.beside(here.talk(other.phone, other.answers[-1].body, 1))
            assert len(words(await here.listen(talk.phone, 2))) == 50
            talk.hang_up()

    simulate(main())


def test_a_target_that_forwards_is_heard_where_it_rings_at_last(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            _, talk, callee, other = await talking(here)
            deflect(await here.desk_phone("8003", "laptop-8003"), "8004")
            last = await third(here)
            last.on_invite = lambda rung: last.ring(rung, 183, sdp(last.place))
            other.request("INVITE", sdp(callee.place, "sendonly", version=2))
            await here.pass_time(0.5)
            refer(other, "8003")
            await here.pass_time(0.5)
            _speaks(here, last, 1)
            assert len(words(await here.listen(talk.phone, 2))) == pytest.approx(50, abs=2)
            talk.hang_up()

    simulate(main())
