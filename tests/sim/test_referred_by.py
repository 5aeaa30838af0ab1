"""Referred-By (RFC 3892): a phone that gets a transferred call may know by whom, nobody else."""

from pathlib import Path

import pytest

from tests.sim.loop import simulate
from tests.sim.talking import check_all_is_over, talking
from tests.sim.transferring import FOUR, refer, replaces_of, third
from tests.sim.world import CARRIER_A, OUTSIDE, world

ME = "<sip:8001@acme.example>"
LIAR = '"The boss" <sip:8002@elsewhere.example;x=1>;cid="20398823.2UWQFN309shb3@elsewhere.example"'


@pytest.mark.parametrize("said", [[ME], [LIAR], []])
def test_the_target_is_told_who_has_signed_in(tmp_path: Path, said: list[str]) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            last = await third(here)
            refer(talk, "8004", **({"Referred-By": said} if said else {}))
            await here.pass_time(2)
            invite = last.calls[0].requests[0]
            told = ['"Front desk" <sip:8001@acme.example>'] if said else None
            assert invite.headers.get("Referred-By") == told
            other.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_a_carrier_is_told_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, other = await talking(here)
            carrier = here.carrier(CARRIER_A)
            refer(talk, OUTSIDE, **{"Referred-By": [ME]})
            await here.pass_time(2)
            assert "Referred-By" not in carrier.calls[0].requests[0].headers
            other.hang_up()
            await here.pass_time(1)

    simulate(main())


def test_a_consultation_that_is_rung_anew_tells_it_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            caller, talk, _, other = await talking(here)
            last = await third(here)
            last.on_invite = last.ring
            second = caller.call("8004")
            await here.pass_time(1)
            second.dialog = second.early
            target = replaces_of(second).replace(";", "%3B").replace("=", "%3D")
            asked = {"Refer-To": [f"<sip:8004@acme.example?Replaces={target}>"]}
            talk.request("REFER", headers={**asked, "Referred-By": [ME]})
            await here.pass_time(2)
            first, again = (one.requests[0].headers for one in last.calls)
            assert "Referred-By" not in first
            assert again["Referred-By"] == ['"Front desk" <sip:8001@acme.example>']
            other.hang_up()
            await here.pass_time(1)

    simulate(main())


@pytest.mark.parametrize("said", [[ME, ME], ["<sip:8001@acme.example"]])
def test_what_names_nobody_is_refused(tmp_path: Path, said: list[str]) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=FOUR) as here:
            _, talk, _, _ = await talking(here)
            refer(talk, "8004", **{"Referred-By": said})
            await here.pass_time(1)
            assert talk.replies == [("REFER", 400)]
            talk.hang_up()
            await here.pass_time(1)

    simulate(main())
