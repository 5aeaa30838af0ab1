"""Recorded calls through a whole node: which calls, which file, what the CDR says of it."""

import hashlib
from pathlib import Path

import pytest

from sipcore.cdr.record import Cdr
from sipcore.media import control
from tests.media.tape import read
from tests.sim.deflecting import deflect
from tests.sim.loop import simulate
from tests.sim.phone import Talk, sdp
from tests.sim.talking import two_desks
from tests.sim.world import OUTSIDE, World, world
from tests.store.files import DEMO, replaced

NOBODY = replaced(DEMO, ("record = true", "record = false"))


async def talk(here: World, number: str = "8002", seconds: float = 10) -> Talk:
    """Let 8001, which is recorded, call and speak; return the call, still up."""
    caller = await here.desk_phone()
    if number == "8002":
        await here.desk_phone("8002", "workshop-8002")
    else:
        here.carrier()
    up = caller.call(number)
    await up.answered.wait()
    await here.speak(caller, up.body, seconds)
    return up


async def only_cdr(here: World) -> Cdr:
    await here.pass_time(3)
    (cdr,) = here.cdrs()
    return cdr


def check_file(here: World, cdr: Cdr, seconds: float) -> None:
    """The file is there, is the one that the record says, and is as long as the talk."""
    assert cdr.recording is not None
    file = here.recordings / cdr.recording
    assert cdr.recording == f"2026/11/18/{cdr.id}.wav"
    assert cdr.recording_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    sound = read(file)
    assert len(sound) == pytest.approx(seconds * 8000, abs=8000)
    assert sound[:, 0].any()
    assert not sound[:, 1].any()


@pytest.mark.parametrize("number", ["8002", OUTSIDE])
def test_a_caller_that_is_recorded(tmp_path: Path, number: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            up = await talk(here, number)
            up.hang_up()
            cdr = await only_cdr(here)
            check_file(here, cdr, 10)
            assert cdr.recording_degraded is False
            assert cdr.talked_s == pytest.approx(10, abs=0.2)
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_a_callee_that_is_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await here.desk_phone()
            caller = await here.desk_phone("8002", "workshop-8002")
            up = caller.call("8001")
            await up.answered.wait()
            await here.speak(caller, up.body, 5)
            up.hang_up()
            check_file(here, await only_cdr(here), 5)

    simulate(main())


def test_an_extension_that_is_recorded_is_so_where_a_forward_leads_to_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await here.desk_phone()
            deflect(await here.desk_phone("8002", "workshop-8002"), "8001")
            caller = await here.desk_phone("8003", "laptop-8003")
            up = caller.call("8002")
            await up.answered.wait()
            await here.speak(caller, up.body, 5)
            up.hang_up()
            await here.pass_time(3)
            (cdr,) = [one for one in here.cdrs() if one.parent_id is None]
            check_file(here, cdr, 5)

    simulate(main())


def test_a_call_that_nobody_wants_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=NOBODY) as here:
            up = await talk(here)
            up.hang_up()
            cdr = await only_cdr(here)
            assert (cdr.recording, cdr.recording_sha256, cdr.recording_degraded) == (None,) * 3
            assert not here.recordings.exists()
            assert not any(isinstance(verb, control.Record) for verb in here.workers.verbs)

    simulate(main())


def test_a_call_that_is_not_answered_is_not_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, callee = await two_desks(here)
            callee.on_invite = lambda one: callee.refuse(one, 486)
            await caller.call("8002").ended.wait()
            assert (await only_cdr(here)).recording is None
            assert not here.recordings.exists()

    simulate(main())


def test_codecs_of_a_re_invite_are_taken_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            up = await talk(here)
            up.request("INVITE", sdp(up.phone.place, version=2))
            await here.pass_time(1)
            up.hang_up()
            await only_cdr(here)
            said = [verb for verb in here.workers.verbs if isinstance(verb, control.Record)]
            assert len(said) == 2
            assert said[0].codecs == said[1].codecs
            assert ("a", 8, "PCMA") in said[0].codecs
            assert ("b", 101, "telephone-event") in said[0].codecs

    simulate(main())


def test_a_worker_that_does_not_finish_the_file_delays_the_record_for_2_s(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            up = await talk(here)
            here.workers.keeps_events = True  # the file is finished, and nobody is told
            up.hang_up()
            await here.pass_time(1)
            assert here.cdrs() == []
            assert here.leftovers().keys() <= {
                "calls",
                "tasks",
                "dialogs",
                "transactions",
                "timers",
            }
            await here.pass_time(2)
            (cdr,) = here.cdrs()
            check_file(here, cdr, 10)
            assert cdr.recording_degraded is True
            assert cdr.talked_s == pytest.approx(10, abs=0.2)

    simulate(main())


def test_a_worker_that_is_lost_leaves_a_file_that_is_finished(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await talk(here)
            here.workers.kill()
            await here.pass_time(3)
            cdr = await only_cdr(here)
            check_file(here, cdr, 10)
            assert (cdr.recording_degraded, cdr.reason) == (True, "media worker lost")

    simulate(main())


def test_after_a_crash_the_file_that_was_left_is_finished_and_linked(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await talk(here)
            here.crash()
            here.workers.lose()
            await here.pass_time(1)
            await here.restart()
            cdr = await only_cdr(here)
            check_file(here, cdr, 10)
            assert (cdr.inferred_end, cdr.recording_degraded) == (True, True)

    simulate(main())
