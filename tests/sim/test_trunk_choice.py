"""Which carrier a call goes to: those that live and do well first, and nobody left out."""

from pathlib import Path

from tests.sim.carrier import Carrier
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Phone, Talk
from tests.sim.world import CARRIER_A, CARRIER_B, OUTSIDE, PBX, World, world
from tests.store.files import DEMO, replaced

ASKED = replaced(
    DEMO,
    ("priority = 1 ", "health = true\npriority = 1 "),
    ("priority = 2", "health = 20\npriority = 2"),
    ('uri = "sip:127.0.0.2:25090"', 'uri = "sip:127.0.0.2:25090"\n  health = 60'),
)
SHORT = replaced(DEMO, ("priority = 1 ", "demote = { calls = 4, rest_s = 30 }\npriority = 1 "))


def carrier(here: World, place: Place) -> Carrier:
    made = Carrier(here.net, place)
    here.phones.append(made)
    return made


async def called(here: World, caller: Phone, number: str = OUTSIDE) -> tuple[Talk, str | None]:
    """Make a call and end it; return it and the carrier that the CDR names last."""
    talk = caller.call(number)
    while not (talk.answered.is_set() or talk.ended.is_set()):
        await here.pass_time(0.1)
    talk.hang_up()
    await here.pass_time(3)
    return talk, here.cdrs()[-1].carrier


def state(here: World, id_: str) -> str:
    return here.node.trunks.state(id_)


def test_a_carrier_that_is_silent_is_down_and_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=ASKED) as here:
            one, other = carrier(here, CARRIER_A), carrier(here, CARRIER_B)
            caller = await here.desk_phone()
            await here.pass_time(60)
            assert (state(here, "carrier-a"), state(here, "carrier-b")) == ("good", "good")
            assert (await called(here, caller))[1] == "carrier-a"
            one.probe_status = 0
            await here.pass_time(130)
            assert state(here, "carrier-a") == "down"
            began = here.clock.now
            talk, used = await called(here, caller)
            assert (used, talk.status) == ("carrier-b", 200)
            assert here.clock.now - began < 4, "the one that is down was not waited for"
            other.close()
            here.phones.remove(other)
            assert (await called(here, caller))[1] == "carrier-a", "nothing else is left"
            one.probe_status = 404
            await here.pass_time(90)
            assert state(here, "carrier-a") == "good"

    simulate(main())


def test_peers_are_asked_at_their_intervals_and_no_more_once_gone(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=ASKED) as here:
            one, other = carrier(here, CARRIER_A), carrier(here, CARRIER_B)
            pbx = carrier(here, PBX)
            await here.pass_time(1200)
            assert 38 <= len(one.probes) <= 43
            assert 57 <= len(other.probes) <= 64
            assert 18 <= len(pbx.probes) <= 22
            text = replaced(ASKED, ("health = true\n", ""), ("health = 20\n", "health = 600\n"))
            here.store.import_provisioning(text)
            here.node.change_book(here.store.load_book())
            before = len(one.probes), len(pbx.probes)
            await here.pass_time(600)
            assert len(one.probes) == before[0]
            assert len(pbx.probes) > before[1]
            value = here.metrics.value
            assert value("sipcore_health_checks_total", {"result": "dead"}) == 0

    simulate(main())


def test_a_trunk_that_is_down_is_told_and_called_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=ASKED) as here:
            pbx = carrier(here, PBX)
            pbx.probe_status = 503
            await here.pass_time(250)
            assert here.node.trunks.trunks_down == 1
            outside = carrier(here, CARRIER_A)
            talk = outside.call("02136413599")
            await talk.answered.wait()
            talk.hang_up()

    simulate(main())


def test_a_carrier_that_fails_is_demoted_rested_and_tried(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=SHORT) as here:
            one, _ = carrier(here, CARRIER_A), carrier(here, CARRIER_B)
            caller = await here.desk_phone()
            one.on_invite = lambda talk: one.refuse(talk, 500)
            for _ in range(4):
                assert (await called(here, caller))[1] == "carrier-b"
            assert len(one.calls) == 4
            assert state(here, "carrier-a") == "demoted"
            await called(here, caller)
            assert len(one.calls) == 4, "demoted: the other comes first"
            await here.pass_time(30)
            assert state(here, "carrier-a") == "trial"
            await called(here, caller)
            assert (len(one.calls), state(here, "carrier-a")) == (5, "demoted")
            one.on_invite = one.answer
            await here.pass_time(61)
            for _ in range(3):
                assert (await called(here, caller))[1] == "carrier-a"
            assert state(here, "carrier-a") == "good"
            assert here.node.trunks.not_good() == {}

    simulate(main())


def test_an_emergency_call_is_nobodys_trial_and_leaves_nobody_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=SHORT) as here:
            one, other = carrier(here, CARRIER_A), carrier(here, CARRIER_B)
            caller = await here.desk_phone()
            one.on_invite = lambda talk: one.refuse(talk, 500)
            for _ in range(4):
                await called(here, caller)
            await here.pass_time(30)
            assert state(here, "carrier-a") == "trial"
            assert (await called(here, caller, "110"))[1] == "carrier-b"
            assert len(one.calls) == 4
            other.on_invite = lambda talk: other.refuse(talk, 503)
            one.on_invite = one.answer
            talk, used = await called(here, caller, "110")
            assert (used, talk.status) == ("carrier-a", 200)

    simulate(main())


def test_busy_numbers_and_impatient_callers_are_not_the_carriers_fault(tmp_path: Path) -> None:
    async def main() -> None:
        text = replaced(SHORT, ("calls = 4,", "calls = 4, answered = 0,"))
        async with world(tmp_path, provisioning=text) as here:
            one = carrier(here, CARRIER_A)
            caller = await here.desk_phone()
            one.on_invite = lambda talk: one.refuse(talk, 486)
            for _ in range(6):
                await called(here, caller)
            one.on_invite = lambda talk: None
            for _ in range(6):
                talk = caller.call(OUTSIDE)
                await here.pass_time(1)
                talk.hang_up()
                await here.pass_time(3)
            assert state(here, "carrier-a") == "good"
            assert here.node.trunks.figures("carrier-a").calls == 6

    simulate(main())
