"""A node that drains: who calls is told to try elsewhere, on the record; emergencies pass."""

import asyncio
from pathlib import Path

from tests.sim.loop import simulate
from tests.sim.talking import check_all_is_over, talking, two_desks
from tests.sim.world import NODE, world


def test_a_call_that_a_draining_node_refuses_has_its_record(tmp_path: Path) -> None:
    """A record is one attempt to reach a callee, also a refused one (service.md section 7)."""

    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, _, _ = await talking(here)
            draining = here.beside(here.node.drain(30))
            await here.pass_time(1)
            late = caller.call("8002")
            await late.ended.wait()
            assert late.status == 503
            assert late.answers[-1].headers["Retry-After"] == ["10"]
            (cdr,) = here.cdrs()
            assert (cdr.sip_status, cdr.callee_dialled) == (503, "8002")
            assert cdr.reason == "the node takes no new calls"
            talk.hang_up()
            await draining
            await check_all_is_over(here)

    simulate(main())


def test_a_draining_node_takes_emergency_calls_until_it_ends_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()
            caller, _, _, _ = await talking(here)
            draining = here.beside(here.node.drain(30))
            await here.pass_time(1)
            emergency = caller.call("110")
            await emergency.answered.wait()
            await here.pass_time(28.99)
            late = caller.call("110")
            await draining
            assert (emergency.is_over, late.is_over) == (True, True)
            assert carrier.calls[0].is_over
            await check_all_is_over(here)

    simulate(main())


def test_strangers_leave_no_record_in_a_node_that_drains(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            _, talk, _, _ = await talking(here)
            draining = here.beside(here.node.drain(30))
            await here.pass_time(1)
            stranger = here.phone("9999")
            refused = stranger.call("8002")
            await refused.ended.wait()
            assert refused.status == 401
            asked = await stranger.ask(stranger.new_request("OPTIONS", f"sip:{NODE[0]}"))
            assert (asked.status, asked.headers["Retry-After"]) == (503, ["10"])
            talk.hang_up()
            await draining
            assert len(here.cdrs()) == 1

    simulate(main())


def test_a_node_that_ends_at_once_waits_for_nobody_who_is_silent(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone, _ = await two_desks(here)
            call = phone.call("02150001234")  # to carriers that are not there
            await here.pass_time(1)
            began = asyncio.get_running_loop().time()
            await here.node.end()
            assert asyncio.get_running_loop().time() - began < 1, "its supervisor kills it soon"
            await call.ended.wait()
            assert call.status == 503
            (cdr,) = here.cdrs()
            assert (cdr.sip_status, cdr.reason) == (503, "the node stops")

    simulate(main())
