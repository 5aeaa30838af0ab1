"""Who has early media and hears nothing hears our ringback (freeswitch 1725, RFC 3960)."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sipcore.dialog.events import Within
from sipcore.media import control
from tests.sim.description import description
from tests.sim.hearing import check_one_piece, check_ringback, is_tone, listening, tones, words
from tests.sim.loop import simulate
from tests.sim.parties import habits, party, two_phones
from tests.sim.party import Party, PartyPhone
from tests.sim.phone import Talk, sdp
from tests.sim.talking import talking, two_desks
from tests.sim.transferring import FOUR, third
from tests.sim.world import CARRIER_A, OUTSIDE, World

Scene = Callable[[World, Party, Party, PartyPhone], Awaitable[None]]


def scene(tmp_path: Path, play: Scene, *, reliable: bool = False, is_delayed: bool = False) -> None:
    """Play a call from 8001 to 8002 that rings; it is over at the end, and nothing is left."""

    async def main() -> None:
        async with listening(tmp_path) as here:
            caller, callee = await two_phones(here, lambda: habits(reliable=reliable, update=True))
            a = caller.begin("8002", habits(reliable=reliable, update=True), is_delayed=is_delayed)
            await callee.rang.wait()
            b = party(callee.calls[0])
            await play(here, a, b, caller)
            assert (a.faults, b.faults) == ([], [])
            a.hang_up()

    simulate(main())


def early(b: Party, direction: str = "sendrecv") -> bytes:
    return description(b.phone.place, 1, direction, "8 101")


def test_a_180_without_sdp_leaves_the_ringing_to_the_phone(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        here.workers.verbs.clear()
        b.ring(180)
        assert await here.listen(caller, 5) == []
        b.pick_up()
        await a.answered.wait()
        assert await here.listen(caller, 2) == []
        assert [one.body for one in a.answers if one.status == 180] == [b""]
        updates = [one for one in here.workers.verbs if isinstance(one, control.Update)]
        assert [one.play for one in updates] == [None], "the answer's own, and no other"

    scene(tmp_path, play)


def test_a_180_with_sdp_and_no_sound_is_heard_at_once(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(180, early(b))
        heard = await here.listen(caller, 1.2)
        assert len(heard) == pytest.approx(57, abs=2)
        check_ringback(heard)

    scene(tmp_path, play)


@pytest.mark.parametrize("reliable", [True, False])
def test_a_183_whose_sound_does_not_come_is_heard_after_half_a_second(
    tmp_path: Path, reliable: bool
) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(183, early(b), is_reliable=reliable)
        await here.pass_time(0)
        assert await here.listen(caller, 0.5) == []
        check_ringback(await here.listen(caller, 5))

    scene(tmp_path, play, reliable=reliable)


def test_sound_within_half_a_second_of_the_183_is_all_that_is_heard(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(183, early(b))
        await here.pass_time(0.4)
        speaking = here.beside(here.talk(b.phone, b.requests[0].body, 3))
        heard = await here.listen(caller, 6)
        await speaking
        assert (len(tones(heard)), len(words(heard))) == (0, 150)

    scene(tmp_path, play)


def test_the_first_early_sound_ends_the_tone_for_good(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(183, early(b))
        heard = await here.listen(caller, 2)
        check_ringback(heard)
        here.beside(here.talk(b.phone, b.requests[0].body, 2))
        then = await here.listen(caller, 3)
        assert len(tones(then)) <= 3
        assert [is_tone(packet) for packet in then] == sorted(map(is_tone, then), reverse=True)
        b.ring(183, early(b))
        b.ring(180)
        assert await here.listen(caller, 3) == [], "an announcement may pause"
        check_one_piece(heard + then)

    scene(tmp_path, play)


@pytest.mark.parametrize("reliable", [True, False])
def test_the_answer_ends_the_tone_and_its_sound_goes_on_from_it(
    tmp_path: Path, reliable: bool
) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(183, early(b), is_reliable=reliable)
        before = await here.listen(caller, 2)
        b.pick_up()
        await a.answered.wait()
        after = await here.listen(caller, 2)
        assert len(after) <= 3
        here.beside(here.talk(b.phone, b.requests[0].body, 1))
        talk = await here.listen(caller, 2)
        assert len(words(talk)) == 50
        check_one_piece(before + after + talk)

    scene(tmp_path, play, reliable=reliable)


def test_a_180_after_a_183_without_sound_does_not_wait(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(183, early(b))
        await here.listen(caller, 0.1)
        b.ring(180)
        assert len(await here.listen(caller, 0.3)) == pytest.approx(12, abs=2)

    scene(tmp_path, play)


def test_nothing_is_played_to_who_is_told_that_nothing_will_come(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(183, early(b, "inactive"))
        assert await here.listen(caller, 3) == []

    scene(tmp_path, play)


def test_a_caller_without_sdp_hears_it_once_its_prack_has_answered(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(183, early(b))
        await here.pass_time(0.1)
        assert a.agreed is not None
        check_ringback(await here.listen(caller, 3))

    scene(tmp_path, play, reliable=True, is_delayed=True)


def test_a_caller_without_sdp_that_cannot_prack_hears_its_phone(tmp_path: Path) -> None:
    async def play(here: World, a: Party, b: Party, caller: PartyPhone) -> None:
        b.ring(183, early(b))
        b.ring(180)
        assert await here.listen(caller, 3) == []

    scene(tmp_path, play, is_delayed=True)


def test_a_caller_that_gives_up_hears_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as here:
            caller, callee = await two_phones(here)
            a = caller.begin("8002", habits())
            await callee.rang.wait()
            b = party(callee.calls[0])
            b.ring(183, early(b))
            assert tones(await here.listen(caller, 2))
            a.hang_up()
            await a.ended.wait()
            assert await here.listen(caller, 3) == []

    simulate(main())


async def _forked(here: World) -> tuple[PartyPhone, Party, Party, Party]:
    """Let a call ring at two phones of an extension."""
    caller, first = await two_phones(here)
    second = PartyPhone(here.net, ("10.0.1.9", 5060), "8002", "workshop-8002")
    here.phones.append(second)
    second.on_invite = lambda talk: None
    assert (await second.register()).status == 200
    a = caller.begin("8002", habits())
    await first.rang.wait()
    await second.rang.wait()
    return caller, a, party(first.calls[0]), party(second.calls[0])


def test_a_fork_that_rings_is_heard_when_the_one_that_spoke_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as here:
            caller, a, one, other = await _forked(here)
            other.ring(180)
            one.ring(183, early(one))
            here.beside(here.talk(one.phone, one.requests[0].body, 2))
            heard = await here.listen(caller, 2)
            assert tones(heard) == []
            one.phone.refuse(one, 486)
            then = await here.listen(caller, 2)
            assert len(words(then)) <= 2
            check_ringback(tones(then))
            check_one_piece(heard + then)
            other.pick_up()
            await a.answered.wait()
            assert len(await here.listen(caller, 2)) <= 2
            a.hang_up()

    simulate(main())


def test_one_fork_that_rings_leaves_the_others_sound_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as here:
            caller, a, one, other = await _forked(here)
            one.ring(183, early(one))
            speaking = here.beside(here.talk(one.phone, one.requests[0].body, 3))
            await here.listen(caller, 0.2)
            other.ring(180)
            heard = await here.listen(caller, 2.5)
            assert tones(heard) == []
            await speaking
            a.hang_up()

    simulate(main())


def test_another_fork_that_is_silent_is_waited_for_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as here:
            caller, a, one, other = await _forked(here)
            one.ring(183, early(one))
            here.beside(here.talk(one.phone, one.requests[0].body, 1))
            heard = await here.listen(caller, 1)
            other.ring(183, early(other))
            heard += await here.listen(caller, 0.4)
            assert tones(heard) == []
            heard += await here.listen(caller, 2)
            assert len(tones(heard)) > 50
            check_one_piece(heard)
            a.hang_up()

    simulate(main())


def test_freeswitch_1725_a_carriers_183_without_rtp(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as here:
            caller, carrier = await here.desk_phone(), here.carrier(CARRIER_A)
            carrier.on_invite = lambda talk: carrier.ring(talk, 183, sdp(carrier.place))
            talk = caller.call(OUTSIDE)
            await carrier.rang.wait()
            check_ringback(await here.listen(caller, 3))
            talk.hang_up()

    simulate(main())


def test_the_tone_outlives_its_media_worker(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as here:
            caller, callee = await two_phones(here)
            a = caller.begin("8002", habits())
            await callee.rang.wait()
            b = party(callee.calls[0])
            b.ring(183, early(b))
            assert await here.listen(caller, 1)
            here.workers.kill()
            await here.pass_time(0.2)
            here.workers.revive()
            await here.pass_time(0.3)
            check_ringback(await here.listen(caller, 3))
            a.hang_up()

    simulate(main())


def test_a_forwarded_call_that_rings_is_heard_after_an_announcement(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, FOUR) as here:
            caller, callee = await two_desks(here)
            last = await third(here)
            last.on_invite = last.ring
            callee.on_invite = lambda talk: callee.ring(talk, 183, sdp(callee.place))
            talk = caller.call("8002")
            await callee.rang.wait()
            first = callee.calls[0]
            here.beside(here.talk(callee, first.requests[0].body, 1))
            heard = await here.listen(caller, 1)
            assert tones(heard) == []
            callee.refuse(first, 302, {"Contact": ["<sip:8004@acme.example>"]})
            await last.rang.wait()
            heard += await here.listen(caller, 2)
            assert len(tones(heard)) > 60
            check_one_piece(heard)
            talk.hang_up()

    simulate(main())


def test_a_call_that_is_answered_hears_no_ringback_of_a_later_update(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as here:
            caller, talk, callee, other = await talking(here)
            answered: list[str] = []

            def on_request(_: Talk, event: Within) -> bool:
                answered.append(event.request.method)
                return False

            other.on_request = on_request
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            await here.pass_time(0.5)
            talk.request("INVITE", sdp(caller.place, version=3))
            await here.pass_time(0.5)
            assert answered == ["INVITE", "INVITE"]
            assert await here.listen(caller, 2) == []
            assert await here.listen(callee, 2) == []
            talk.hang_up()

    simulate(main())
