"""Why it ended goes across: Reason between the legs, Q.850 and SIP either way (RFC 3326, 3398)."""

from pathlib import Path

import pytest

from tests.sim.loop import simulate
from tests.sim.talking import ringing
from tests.sim.world import CARRIER_B, OUTSIDE, world


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ('SIP;cause=200;text="Call completed elsewhere"',) * 2,
        ("Q.850;cause=26", "Q.850;cause=26"),
        (None, None),
    ],
)
def test_a_call_answered_elsewhere_is_no_missed_call(
    tmp_path: Path, said: str | None, passed: str | None
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, talk, callee = await ringing(here)
            await here.pass_time(1)
            assert talk.invite is not None
            caller.endpoint.cancel(talk.invite, said)
            await here.pass_time(1)
            (cancel,) = (
                p for p in here.net.sent if p.to == callee.place and p.data.startswith(b"CANCEL")
            )
            found = [line for line in cancel.data.split(b"\r\n") if line.startswith(b"Reason: ")]
            assert found == ([f"Reason: {passed}".encode()] if passed else [])

    simulate(main())


def test_a_busy_callee_is_busy_at_every_carrier(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            first, second = here.carrier(), here.carrier(CARRIER_B)
            busy = {"Reason": ['Q.850;cause=17;text="User busy"']}
            first.on_invite = lambda talk: first.refuse(talk, 503, busy)
            caller = await here.desk_phone()
            talk = caller.call(OUTSIDE)
            await talk.ended.wait()
            assert talk.status == 486
            assert second.calls == []
            (cdr,) = here.cdrs()
            assert (cdr.sip_status, cdr.q850_cause, cdr.tries) == (486, 17, 1)

    simulate(main())


def test_the_cause_of_a_bye_is_told_to_the_other_side(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()
            caller = await here.desk_phone()
            talk = caller.call(OUTSIDE)
            await talk.answered.wait()
            carrier.calls[0].request("BYE", headers={"Reason": ["Q.850;cause=38"]})
            await talk.ended.wait()
            assert talk.requests[-1].headers["Reason"] == ["Q.850;cause=38"]
            await here.pass_time(1)
            assert here.cdrs()[0].q850_cause == 38

    simulate(main())
