"""Rates that one source or many strangers cannot use up, seen from a whole node."""

from pathlib import Path

from sipcore.config import parse_config
from tests.sim.loop import simulate
from tests.sim.strangers import ask_raw, raw
from tests.sim.watching import Lamp
from tests.sim.world import OUTSIDE, PBX, world
from tests.store.files import DEMO, replaced


def test_strangers_cannot_use_up_the_rate_at_which_customers_register(tmp_path: Path) -> None:
    few = parse_config("[limits]\nregisters_per_s = 40\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            owner = await here.desk_phone()
            newcomer = here.phone("8002", "workshop-8002", ("198.18.0.1", 5060))
            challenged = await newcomer.ask_once()
            for number in range(500):
                ask_raw(here, raw("REGISTER", "8001"), f"198.51.100.{number % 250}")
            assert (await owner.register()).status == 200
            signed = await newcomer.ask_once(challenged)
            assert signed.status == 200, "its nonce shows that it is no made-up address"
            for _ in range(500):
                ask_raw(here, raw("REGISTER", "8001"), owner.place[0])
            stale = await newcomer.ask_once(challenged)
            assert stale.status == 401
            assert (await newcomer.ask_once(stale)).status == 200

    simulate(main())


def test_one_source_of_a_customer_has_a_rate_of_registrations(tmp_path: Path) -> None:
    few = parse_config("[guard]\nregisters_per_s = 1\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            phone = await here.desk_phone()
            statuses = [(await phone.register()).status for _ in range(8)]
            assert statuses == [200] * 4 + [503] * 4
            other = await here.desk_phone("8002", "workshop-8002")
            assert (await other.register()).status == 200

    simulate(main())


def test_one_source_cannot_use_up_the_rate_of_calls(tmp_path: Path) -> None:
    few = parse_config("[guard]\ninvites_per_s = 2\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            greedy = await here.desk_phone()
            modest = await here.desk_phone("8002", "workshop-8002")
            talks = [greedy.call("7777") for _ in range(4)]
            for talk in talks:
                await talk.ended.wait()
            assert sorted(talk.status for talk in talks) == [404, 404, 503, 503]
            talk = modest.call("7777")
            await talk.ended.wait()
            assert talk.status == 404
            here.carrier()
            emergency = greedy.call("110")
            await emergency.answered.wait()
            emergency.hang_up()

    simulate(main())


def test_one_extension_cannot_fill_the_node_with_calls_from_several_places(tmp_path: Path) -> None:
    few = parse_config("[guard]\ncalls_per_extension = 2\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            here.carrier()
            called = await here.desk_phone("8002", "workshop-8002")
            greedy = [await here.desk_phone() for _ in range(4)]
            called.on_invite = called.ring
            talks = [one.call("8002") for one in greedy]
            for talk in talks[2:]:
                await talk.ended.wait()
            await here.pass_time(1)
            assert [talk.status for talk in talks] == [180, 180, 503, 503]
            emergency = greedy[3].call("110")
            await emergency.answered.wait()
            assert called.call("8003").invite is not None, "another has his own"
            for talk in (*talks[:2], emergency):
                talk.hang_up()
            await here.pass_time(3)
            again = greedy[2].call("8002")
            await here.pass_time(1)
            assert again.status == 180
            again.hang_up()
            await here.pass_time(70)
            assert here.leftovers() == {}

    simulate(main())


def test_strangers_who_connect_cannot_use_up_the_rate_at_which_lamps_are_watched(
    tmp_path: Path,
) -> None:
    few = parse_config("[limits]\nsubscribes_per_s = 40\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            watcher = await here.desk_phone()
            for number in range(200):
                wish = raw("SUBSCRIBE", f"8{number % 5}", "Event: dialog\r\n")
                ask_raw(here, wish, wire="tcp")
            metric = here.metrics.value
            assert metric("sipcore_subscribes_total", {"result": "throttled"}) == 190
            assert (await Lamp(watcher, "8002").subscribe()).status == 200

    simulate(main())


def test_one_source_cannot_use_up_the_rate_at_which_lamps_are_watched(tmp_path: Path) -> None:
    few = parse_config("[guard]\nregisters_per_s = 1\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            greedy = await here.desk_phone()
            said = [(await Lamp(greedy, "8002").subscribe()).status for _ in range(8)]
            assert said == [200] * 4 + [503] * 4, "its REGISTER was the fifth"

    simulate(main())


def test_a_pbx_that_dials_without_end_leaves_others_the_rate_of_calls(tmp_path: Path) -> None:
    few = parse_config("[limits]\ninvites_per_s = 16\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            phone = await here.desk_phone()
            pbx = here.phone("02136413599", place=PBX)
            talks = [pbx.call("7777") for _ in range(40)]
            others = [phone.call("7777"), here.carrier().call("02136413501")]
            await here.pass_time(1)
            assert [talk.status for talk in talks].count(503) == 40 - 6
            assert [talk.status for talk in others] == [404, 200]
            others[1].hang_up()

    simulate(main())


def test_a_flood_of_emergency_calls_of_one_extension_has_an_end(tmp_path: Path) -> None:
    few = parse_config("[guard]\ninvites_per_s = 4\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            here.carrier()
            greedy = await here.desk_phone()
            modest = await here.desk_phone("8002", "workshop-8002")
            talks = [greedy.call("110") for _ in range(10)]
            await here.pass_time(1)
            assert sorted(talk.status for talk in talks) == [200] * 4 + [503] * 6
            talks.append(modest.call("110"))
            await talks[-1].answered.wait()
            for talk in talks:
                talk.hang_up()

    simulate(main())


def test_a_carrier_that_is_called_and_not_listed_has_no_strangers_bucket(tmp_path: Path) -> None:
    """It names no address in accept_from, and we do not register with it."""
    unlisted = replaced(DEMO, ('accept_from = ["127.0.0.10/32"]', "accept_from = []"))
    few = parse_config("[guard]\nmessages_per_s = 1\n")

    async def main() -> None:
        async with world(tmp_path, provisioning=unlisted, config=few) as here:
            carrier = here.carrier()
            caller = await here.desk_phone()
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            for _ in range(100):
                carrier.calls[0].request("INFO")
            await here.pass_time(1)
            assert len(carrier.calls[0].replies) == 100
            stranger = carrier.call("8001")  # it is known to the guard, and has no rights
            await stranger.ended.wait()
            assert stranger.status == 401
            talk.hang_up()

    simulate(main())
