"""NOTIFY: one that is lost, refused or put off; changes that come faster than it may be said."""

from pathlib import Path

import pytest

from sipcore.message.notify import Counts
from tests.sim.loop import simulate
from tests.sim.net import Place, Weather
from tests.sim.watching import watch
from tests.sim.world import world


def test_a_lamp_survives_a_network_that_loses_a_third(tmp_path: Path) -> None:
    weather = Weather(loss=0.33, doubling=0.1, delay_s=(0.001, 0.2))

    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            caller = await here.desk_phone()
            callee = await here.desk_phone("8003", "laptop-8003")
            here.net.weather = weather
            for _ in range(3):
                talk = caller.call("8003")
                await here.pass_time(20)
                talk.hang_up()
                await here.pass_time(40)
            here.net.weather = Weather()
            await here.pass_time(40)
            assert callee.calls
            assert [state for state in lamp.states()[-1] if state != "terminated"] == []
            assert len(here.node.watchers) == 1

    simulate(main())


def test_a_lost_notify_is_said_again_with_the_state_of_then(tmp_path: Path) -> None:
    """Lesson: one lost NOTIFY must not kill the lamp. Not even one lost for 32 s."""

    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            await here.desk_phone()
            caller = await here.desk_phone("8003", "laptop-8003")

            def drops(source: Place, to: Place, data: bytes) -> bool:
                return data.startswith(b"NOTIFY")

            here.net.drops = drops
            talk = caller.call("8001")
            await here.pass_time(10)
            talk.hang_up()
            await here.pass_time(25)
            here.net.drops = None
            await here.pass_time(10)
            assert lamp.states() == [[], ["terminated"]]
            assert len(here.node.watchers) == 1

    simulate(main())


def test_a_phone_that_is_silent_for_a_minute_is_told_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            lamp.phone.close()
            here.node.mailboxes.put(("acme", "8001"), Counts(new=1))
            caller = await here.desk_phone()
            caller.call("8003")
            await here.pass_time(70)
            assert len(here.node.watchers) == 0

    simulate(main())


def test_a_phone_that_forgot_its_subscription_is_told_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            lamp.forget()
            caller = await here.desk_phone()
            caller.call("8003")
            await here.pass_time(1)
            assert len(here.node.watchers) == 0

    simulate(main())


def test_a_phone_that_asks_for_time_gets_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here)
            lamp.answers = [(503, {"Retry-After": ["10"]})]
            caller = await here.desk_phone()
            talk = caller.call("8003")
            await here.pass_time(30)
            assert lamp.at[2] - lamp.at[1] == pytest.approx(10, abs=0.3)
            talk.hang_up()

    simulate(main())


def test_changes_in_quick_succession_become_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            lamp = await watch(here, "8002", "message-summary")
            for number in range(1, 8):
                here.node.mailboxes.put(("acme", "8002"), Counts(new=number))
                await here.pass_time(0.2)
            await here.pass_time(3)
            said = [one.body.split(b"Voice-Message: ")[1][:1] for one in lamp.notifies]
            assert said[0] == b"0"
            assert said[-1] == b"7"
            assert len(said) <= 4
            gaps = [after - before for before, after in zip(lamp.at, lamp.at[1:], strict=False)]
            assert min(gaps[1:]) >= 0.99

    simulate(main())
