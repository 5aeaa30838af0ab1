"""Two phones: a call between them that rings or is answered, and how to see that it is over."""

from sipcore.cdr.record import Cdr
from tests.sim.phone import Phone, Talk
from tests.sim.world import World


async def two_desks(here: World) -> tuple[Phone, Phone]:
    """Register the front desk's phone, which calls, and the workshop's, which is called."""
    return await here.desk_phone(), await here.desk_phone("8002", "workshop-8002")


async def ringing(here: World) -> tuple[Phone, Talk, Phone]:
    """Let one phone ring at another."""
    caller, callee = await two_desks(here)
    callee.on_invite = callee.ring
    talk = caller.call("8002")
    await callee.rang.wait()
    return caller, talk, callee


async def talking(here: World) -> tuple[Phone, Talk, Phone, Talk]:
    """Set a call up between two phones."""
    caller, callee = await two_desks(here)
    talk = caller.call("8002")
    await talk.answered.wait()
    await here.pass_time(0.1)
    return caller, talk, callee, callee.calls[0]


async def check_all_is_over(here: World) -> None:
    """Wait for the last timers: nothing is left behind."""
    await here.pass_time(70.3)  # between what comes round
    assert here.leftovers() == {}
    assert here.bugs() == 0


async def recorded_cdr(here: World) -> Cdr:
    """Return the one record, of a recording that was interrupted."""
    await here.pass_time(3)
    (cdr,) = here.cdrs()
    assert cdr.recording is not None
    assert (cdr.recording_degraded, len(cdr.recording_sha256 or "")) == (True, 64)
    return cdr
