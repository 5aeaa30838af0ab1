"""What /metrics says of a whole node, after what has happened to it."""

from pathlib import Path

from sipcore.views import Views
from tests.sim.counting import counts
from tests.sim.loop import simulate
from tests.sim.world import OUTSIDE, world


def test_a_wrong_password_is_counted_and_a_challenge_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await here.desk_phone()
            await here.phone("8002", "guess").register()
            seen = await counts(here)
            assert seen["sipcore_wrong_credentials_total{method=REGISTER}"] == 1
            assert seen["sipcore_wrong_credentials_total{method=INVITE}"] == 0
            assert seen["sipcore_registrations_total{result=challenged}"] == 2
            assert seen["sipcore_bindings{}"] == 1

    simulate(main())


def test_a_call_is_counted_where_it_stands_and_when_it_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.carrier()
            talk = (await here.desk_phone()).call(OUTSIDE)
            await talk.answered.wait()
            seen = await counts(here)
            assert seen["sipcore_calls_active{state=answered}"] == 1
            assert seen["sipcore_slots{kind=carrier}"] == 1
            assert seen["sipcore_slots{kind=account}"] == 1
            channels = [one.channels for one in here.node.book.carriers.values()]
            assert seen["sipcore_slots_limit{kind=carrier}"] == sum(channels)
            assert seen["sipcore_media_calls{process=media-0}"] == 1
            talk.hang_up()
            await here.pass_time(1)
            seen = await counts(here)
            assert seen["sipcore_calls_active{state=answered}"] == 0
            assert seen["sipcore_calls_total{direction=outbound,cause_class=answered}"] == 1
            assert seen["sipcore_cdrs_total{}"] == 1
            assert seen["sipcore_slots{kind=carrier}"] == 0

    simulate(main())


def test_sides_from_which_no_sound_comes_are_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone()
            await here.desk_phone("8002", "workshop-8002")
            await caller.call("8002").answered.wait()
            await here.pass_time(70)
            assert (await counts(here))["sipcore_call_silences_total{}"] == 2

    simulate(main())


def test_a_node_tells_why_it_is_not_ready(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            views = Views(here.node, here.store, here.folder, 5.0)
            views.is_open = True
            assert (await views.ready("")).reasons == []
            here.journal.refuse = "no space"
            here.node.desk.retry_after_s = 10
            assert (await views.ready("")).reasons == [
                "draining: the node stops",
                "journal: no space",
            ]
            families = {one.name: one.samples for one in await views.metrics("")}
            assert [one.value for one in families["sipcore_ready"]] == [0]
            told = {one.labels["reason"]: one.value for one in families["sipcore_not_ready"]}
            assert told == {"starting": 0, "draining": 1, "journal": 1, "media": 0}
            here.journal.refuse = None

    simulate(main())
