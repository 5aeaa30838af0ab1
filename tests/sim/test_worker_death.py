"""A media worker dies in a call: the call goes on."""

from pathlib import Path

import pytest

from sipcore.config import parse_config
from tests.media.tape import read
from tests.sim.loop import simulate
from tests.sim.phone import sdp
from tests.sim.talking import check_all_is_over, recorded_cdr, ringing, talking
from tests.sim.world import world

TWO_WORKERS = parse_config("[media]\nworkers = 2\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_call_outlives_its_media_worker(tmp_path: Path, workers: int) -> None:
    config = parse_config(f"[media]\nworkers = {workers}\n")

    async def main() -> None:
        async with world(tmp_path, config=config) as here:
            caller, talk, _, other = await talking(here)
            await here.speak(caller, talk.body, 3)
            here.workers.kill(0)
            await here.pass_time(0.6)
            if workers == 1:
                here.workers.revive(0)
            await here.pass_time(0.2)
            await here.speak(caller, talk.body, 10)
            assert (talk.is_over, other.is_over) == (False, False)
            assert here.media.moved_calls == 1
            talk.hang_up()
            await here.pass_time(1)
            (cdr,) = here.cdrs()
            assert (cdr.ended_by, cdr.q850_cause, cdr.a_packets) == ("caller", 16, 10)
            await check_all_is_over(here)

    simulate(main())


def test_a_call_that_rings_outlives_its_media_worker(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=TWO_WORKERS) as here:
            caller, talk, callee = await ringing(here)
            here.workers.kill(0)
            await here.pass_time(1)
            callee.pick_up(callee.calls[0])
            await talk.answered.wait()
            await here.speak(caller, talk.body, 3)
            talk.hang_up()
            await here.pass_time(1)
            assert here.cdrs()[0].a_packets == 3

    simulate(main())


def test_a_re_invite_in_the_moment_without_a_worker_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, other = await talking(here)
            here.workers.kill()
            talk.request("INVITE", sdp(caller.place, version=2))
            await here.pass_time(0.5)
            here.workers.revive()
            await here.pass_time(1)
            assert talk.replies[-1] == ("INVITE", 200)
            await here.speak(caller, talk.body, 3)
            assert not other.is_over
            talk.hang_up()

    simulate(main())


def test_a_recorded_call_goes_on_in_the_same_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=TWO_WORKERS) as here:
            caller, talk, _, _ = await talking(here)
            await here.speak(caller, talk.body, 4)
            here.workers.kill(0)
            await here.pass_time(1)
            await here.speak(caller, talk.body, 4)
            talk.hang_up()
            cdr = await recorded_cdr(here)
            assert len(list(here.recordings.rglob("*.wav*"))) == 1
            sound = read(here.recordings / (cdr.recording or ""))
            assert len(sound) == pytest.approx(9 * 8000, abs=8000)
            assert sound[: 4 * 8000, 0].any()
            assert sound[5 * 8000 :, 0].any()

    simulate(main())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_call_whose_worker_dies_as_it_is_opened_goes_to_another(
    tmp_path: Path, workers: int
) -> None:
    config = parse_config(f"[media]\nworkers = {workers}\n")

    async def main() -> None:
        async with world(tmp_path, config=config) as here:
            caller = await here.desk_phone()
            await here.desk_phone("8002", "workshop-8002")
            here.workers.mute.add(0)  # it takes the verb, and dies before it answers
            talk = caller.call("8002")
            await here.pass_time(0.1)
            here.workers.mute.clear()
            here.workers.kill(0)
            await here.pass_time(0.5)
            if workers == 1:
                here.workers.revive(0)
            await talk.answered.wait()
            await here.speak(caller, talk.body, 3)
            talk.hang_up()
            await here.pass_time(1)
            (cdr,) = here.cdrs()
            assert (cdr.sip_status, cdr.a_packets) == (200, 3)
            if workers == 2:
                here.workers.revive(0)
            await check_all_is_over(here)

    simulate(main())


def test_a_call_for_which_no_worker_comes_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            await here.desk_phone("8002", "workshop-8002")
            here.workers.mute.add(0)
            talk = caller.call("8002")
            await here.pass_time(0.1)
            here.workers.kill(0)
            await talk.ended.wait()
            assert talk.status == 503
            here.workers.mute.clear()
            here.workers.revive(0)
            await check_all_is_over(here)

    simulate(main())
