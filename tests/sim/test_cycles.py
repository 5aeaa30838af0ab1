"""A call that is over is free at once: none of its parts waits for Python's collector, which in a
node comes by rarely (signalling.py)."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipcore.call.call import Call
from sipcore.call.leg import Leg
from sipcore.call.talk import Talk
from sipcore.media.session import MediaSession
from tests.sim.loop import simulate
from tests.sim.phone import Phone
from tests.sim.phone import Talk as Heard
from tests.sim.world import World, world

PARTS = (Call, Leg, Talk, MediaSession)


@pytest.fixture(autouse=True)
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _parts() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, PARTS))


async def _call(here: World, desk: Phone, for_s: float) -> None:
    talk = desk.call("8002")
    await asyncio.sleep(for_s)
    talk.hang_up()
    await here.pass_time(100)  # until its transactions are over, too


@pytest.mark.parametrize("fate", ["answered", "refused", "cancelled"])
def test_a_call_that_is_over_leaves_no_cycle(tmp_path: Path, fate: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            desk, workshop = await here.desk_phone(), await here.desk_phone("8002", "workshop-8002")

            def on_invite(talk: Heard) -> None:
                workshop.ring(talk)
                if fate == "answered":
                    workshop.pick_up(talk)
                elif fate == "refused":
                    workshop.refuse(talk, 486)

            workshop.on_invite = on_invite
            before = _parts()
            await _call(here, desk, 3)
            assert len(here.cdrs()) == 1
            assert _parts() == before

    simulate(main())
