"""Whatever is sent to a node: an error answer or silence, no bug; in the end nothing is left."""

import asyncio
import logging
import random
from pathlib import Path

import pytest

from tests.fuzz.house import House
from tests.fuzz.mutants import mutilated, torture
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Phone, sdp
from tests.sim.world import NODE, OUTSIDE, PBX, World, world

STRANGERS = 500
TALKS = 12
LONGEST_S = 401.0


def test_mutilated_datagrams_leave_nothing(caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(3261)
    seeds = torture()
    house = House()
    for _ in range(STRANGERS):
        house.feed(dice.randbytes(1) + mutilated(dice.choice(seeds), dice, seeds))
    house.close()
    assert errors(caplog) == []


class Mangler:
    """Sends with what a device sends to the node a mutilated copy at times, from the same place:
    so every state of a call meets broken messages that belong to it."""

    def __init__(self, here: World, dice: random.Random) -> None:
        self._here = here
        self._dice = dice
        self._seen = [*torture()]
        self._is_ours = False
        self.sent = 0
        here.net.drops = self._look

    def _look(self, source: Place, to: Place, data: bytes) -> bool:
        if to != NODE or self._is_ours:
            return False
        self._seen.append(data)
        self._is_ours = True
        for _ in range(self._dice.randrange(4)):
            self._here.net.send(source, to, mutilated(data, self._dice, self._seen))
            self.sent += 1
        self._is_ours = False
        return False


@pytest.mark.parametrize("seed", range(3))
def test_mutilated_messages_of_calls_leave_nothing(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        dice = random.Random(seed)
        async with world(tmp_path, seed=seed) as here:
            mangler = Mangler(here, dice)
            desk, workshop = (
                here.phone("8001", "front-desk-8001"),
                here.phone("8002", "workshop-8002"),
            )
            for phone in (desk, workshop):
                phone.node = NODE
                await signed_in(phone)
            callers = [desk, workshop, here.carrier(), here.phone("pbx", place=PBX)]
            for _ in range(TALKS):
                await one_talk(dice.choice(callers), dice)
            await here.pass_time(LONGEST_S)
            assert mangler.sent > TALKS * 3
            assert here.bugs() == 0
            assert here.leftovers() == {}

    simulate(main())
    assert errors(caplog) == []


async def signed_in(phone: Phone) -> None:
    """Register; a mutilated copy may have spent the nonce, then again."""
    for _ in range(10):
        if (await phone.register()).status == 200:
            return
    raise AssertionError(f"{phone.user} is not let in")


async def one_talk(caller: Phone, dice: random.Random) -> None:
    """Call, change the call a few times, hang up at some time."""
    talk = caller.call(dice.choice(["8001", "8002", OUTSIDE, "02136413501"]))
    try:
        async with asyncio.timeout(dice.choice([0.3, 20])):
            await talk.answered.wait()
    except TimeoutError:
        talk.hang_up()
    for _ in range(dice.randrange(3)):
        await asyncio.sleep(dice.uniform(0, 2))
        if talk.is_over or talk.dialog is None or not talk.dialog.is_confirmed:
            break
        talk.request("INVITE", sdp(caller.place, dice.choice(["sendonly", "sendrecv"]), version=2))
    await asyncio.sleep(dice.uniform(0, 5))
    talk.hang_up()


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in log.records if one.levelno >= logging.ERROR]
