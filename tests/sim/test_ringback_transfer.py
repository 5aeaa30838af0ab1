"""Who stays in a blind transfer hears the target ring."""

from pathlib import Path

import numpy as np
import pytest

from tests.media.tape import read
from tests.sim.hearing import check_one_piece, check_ringback, listening, tones, words
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import talking
from tests.sim.transferring import FOUR, refer, reports, third
from tests.sim.world import World


async def _transferred(here: World, hold: str) -> tuple[Talk, Talk, Phone]:
    """Let the callee send the caller on to a third phone that only rings."""
    _, talk, callee, other = await talking(here)
    last = await third(here)
    last.on_invite = last.ring
    if hold:
        other.request("INVITE", sdp(callee.place, hold, version=2))
        await here.pass_time(0.5)
    refer(other, "8004")
    await here.pass_time(0.5)
    assert reports(other) == ["100 Trying", "180 Ringing"]
    return talk, other, last


@pytest.mark.parametrize("hold", ["", "sendonly"])
def test_who_stays_in_a_transfer_hears_the_target_ring(tmp_path: Path, hold: str) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, other, last = await _transferred(here, hold)
            before = await here.listen(talk.phone, 3)
            check_ringback(before)
            last.pick_up(last.calls[0])
            await here.listen(talk.phone, 1)
            assert other.is_over
            assert await here.listen(talk.phone, 2) == []
            here.beside(here.talk(last, last.calls[0].requests[0].body, 1))
            assert len(words(await here.listen(talk.phone, 2))) == 50
            talk.hang_up()

    simulate(main())


def test_who_stays_hears_the_transferor_be_rung_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, other, last = await _transferred(here, "")
            other.phone.on_invite = other.phone.ring
            other.hang_up()
            await here.listen(talk.phone, 1)
            last.refuse(last.calls[0], 486)
            await here.listen(talk.phone, 0.5)
            again = other.phone.calls[-1]
            assert again is not other
            heard = await here.listen(talk.phone, 5)
            assert len(heard) == pytest.approx(250, abs=3)
            check_one_piece(heard)
            again.phone.pick_up(again)
            await here.listen(talk.phone, 1)
            assert await here.listen(talk.phone, 1) == []
            talk.hang_up()

    simulate(main())


def test_a_recording_has_what_who_stays_has_heard(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, _, last = await _transferred(here, "sendonly")
            await here.pass_time(3)
            last.pick_up(last.calls[0])
            await here.pass_time(2)
            talk.hang_up()
            await here.pass_time(3)
            first = min(here.cdrs(), key=lambda one: one.setup_at)
            assert first.recording is not None
            sound = read(here.recordings / first.recording)
            assert np.abs(sound[:, 1]).max() > 5000, "of the callee's side"
            assert not sound[:, 0].any()

    simulate(main())


def test_a_transferor_that_goes_on_speaking_is_heard(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            caller, talk, callee, other = await talking(here)
            last = await third(here)
            last.on_invite = last.ring
            here.beside(here.talk(callee, other.requests[0].body, 2))
            heard = await here.listen(caller, 0.5)
            refer(other, "8004")
            heard += await here.listen(caller, 1.4)
            assert tones(heard) == []
            other.request("BYE")
            other.is_over = True
            heard += await here.listen(caller, 2)
            assert len(tones(heard)) > 60
            check_one_piece(heard)
            talk.hang_up()

    simulate(main())


def test_a_target_that_refuses_gives_who_stays_the_transferor_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, other, last = await _transferred(here, "")
            assert tones(await here.listen(talk.phone, 1))
            last.refuse(last.calls[0], 486)
            await here.listen(talk.phone, 0.5)
            assert await here.listen(talk.phone, 2) == []
            here.beside(here.talk(other.phone, other.requests[0].body, 1))
            assert len(words(await here.listen(talk.phone, 2))) == 50
            assert not other.is_over
            talk.hang_up()

    simulate(main())


def test_a_target_that_answers_with_no_usable_sdp_leaves_no_tone_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            talk, other, last = await _transferred(here, "")
            assert tones(await here.listen(talk.phone, 1))
            last.pick_up(last.calls[0], sdp(last.place, payload="18"))
            await here.listen(talk.phone, 1)
            assert reports(other)[-1] == "488 Not Acceptable Here"
            assert not other.is_over
            assert await here.listen(talk.phone, 6) == []
            talk.hang_up()

    simulate(main())
