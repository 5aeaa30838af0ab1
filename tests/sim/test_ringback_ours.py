"""A PBX that lets its callers hear nothing at a 180 has `ringback = "ours"` in its profile."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.sim.description import description, formats_of
from tests.sim.hearing import check_one_piece, check_ringback, listening, tones, words
from tests.sim.loop import simulate
from tests.sim.parties import disagreement, habits, party, pick_up_saying
from tests.sim.party import Party, PartyPhone
from tests.sim.world import CARRIER_A, OUTSIDE, PBX, World
from tests.store.files import DEMO, replaced

OURS = replaced(DEMO, ("  channels = 2\n", '  channels = 2\n  profile = { ringback = "ours" }\n'))

Scene = Callable[[World, Party, Party, PartyPhone], Awaitable[None]]


def scene(
    tmp_path: Path,
    play: Scene,
    *,
    reliable: bool = False,
    is_delayed: bool = False,
    offers: str = "8 0 101",
    provisioning: str = OURS,
) -> None:
    """Play a call from the PBX to the public network."""

    async def main() -> None:
        async with listening(tmp_path, provisioning) as here:
            pbx = PartyPhone(here.net, PBX, "02136413599")
            pbx.domain = "10.0.0.1"
            carrier = PartyPhone(here.net, CARRIER_A, "carrier")
            carrier.habits_of = lambda request: habits(reliable=reliable)
            carrier.on_invite = lambda talk: None
            here.phones += [pbx, carrier]
            can = habits(reliable=reliable, update=True)
            body = b"" if is_delayed else description(PBX, 1, "sendrecv", offers)
            a = pbx.begin(OUTSIDE, can, is_delayed=is_delayed, body=body)
            await carrier.rang.wait()
            b = party(carrier.calls[0])
            await play(here, a, b, pbx)
            assert (a.faults, b.faults) == ([], [])
            a.hang_up()

    simulate(main())


def rang(a: Party) -> list[tuple[int, bool]]:
    """Return the 18x that a caller has got, and whether each had SDP."""
    return [(one.status, bool(one.body)) for one in a.answers if 100 < one.status < 200]


@pytest.mark.parametrize("reliable", [True, False])
def test_a_180_becomes_a_183_with_our_sdp_and_our_tone(tmp_path: Path, reliable: bool) -> None:
    async def play(here: World, a: Party, b: Party, pbx: PartyPhone) -> None:
        b.ring(180)
        heard = await here.listen(pbx, 2)
        check_ringback(heard)
        assert rang(a) == [(183, True)]
        assert formats_of(a.answers[-1].body) == {"8", "0", "101"}
        b.pick_up()
        await a.answered.wait()
        heard += await here.listen(pbx, 1)
        here.beside(here.talk(b.phone, b.requests[0].body, 1))
        heard += await here.listen(pbx, 2)
        assert len(words(heard)) == 50
        check_one_piece(heard)
        assert disagreement(a, b) == ""

    scene(tmp_path, play, reliable=reliable)


@pytest.mark.parametrize("reliable", [True, False])
def test_the_callees_own_codec_counts_in_the_end(tmp_path: Path, reliable: bool) -> None:
    async def play(here: World, a: Party, b: Party, pbx: PartyPhone) -> None:
        b.ring(180)
        assert tones(await here.listen(pbx, 1))
        pick_up_saying(b, description(b.phone.place, 1, "sendrecv", "0 101"))
        await a.answered.wait()
        await here.pass_time(5)
        assert a.agreed is not None
        assert formats_of(a.agreed[1]) == {"0", "101"}
        assert disagreement(a, b) == ""

    scene(tmp_path, play, reliable=reliable)


def test_early_sound_of_the_callee_follows_our_tone(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, pbx: PartyPhone) -> None:
        b.ring(180)
        heard = await here.listen(pbx, 1)
        b.ring(183, description(b.phone.place, 1, "sendrecv", "8 101"))
        heard += await here.listen(pbx, 0.6)
        here.beside(here.talk(b.phone, b.requests[0].body, 2))
        heard += await here.listen(pbx, 3)
        assert len(tones(heard)) == pytest.approx(81, abs=3)
        assert len(words(heard)) == 100
        check_one_piece(heard)
        assert rang(a) == [(183, True), (183, True)]

    scene(tmp_path, play)


@pytest.mark.parametrize("reliable", [True, False])
def test_a_180_that_comes_again_does_not_let_the_pbx_ring(tmp_path: Path, reliable: bool) -> None:
    async def play(here: World, a: Party, b: Party, pbx: PartyPhone) -> None:
        b.ring(180)
        await here.pass_time(0.5)
        b.ring(180)
        await here.pass_time(0.5)
        assert rang(a) == [(183, True), (183, not reliable)]
        assert len({one.body for one in a.answers if one.body}) == 1, "the same SDP"

    scene(tmp_path, play, reliable=reliable)


@pytest.mark.parametrize("why", ["no G.711", "no SDP"])
def test_who_offers_nothing_that_we_could_play_is_told_the_180(tmp_path: Path, why: str) -> None:
    async def play(here: World, a: Party, b: Party, pbx: PartyPhone) -> None:
        b.ring(180)
        assert await here.listen(pbx, 1) == []
        assert rang(a) == [(180, False)]

    scene(tmp_path, play, is_delayed=why == "no SDP", offers="101" if why == "no G.711" else "8")


def test_a_peer_without_the_setting_is_told_the_180(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, pbx: PartyPhone) -> None:
        b.ring(180)
        assert await here.listen(pbx, 1) == []
        assert rang(a) == [(180, False)]

    scene(tmp_path, play, provisioning=DEMO)
