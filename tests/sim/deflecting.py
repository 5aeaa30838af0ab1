"""Phones that send their calls on by a 302."""

from tests.sim.phone import Phone
from tests.sim.transferring import third
from tests.sim.world import World


def deflect(phone: Phone, *contacts: str) -> None:
    """Let a phone send its calls on."""
    rows = [one if "<" in one else f"<sip:{one}@acme.example>" for one in contacts]
    phone.on_invite = lambda talk: phone.refuse(talk, 302, {"Contact": rows})


async def deflected(here: World) -> tuple[Phone, Phone]:
    """Set up 8001 and, at 8004, whoever gets its calls to 8002 by a 302."""
    caller = await here.desk_phone()
    deflect(await here.desk_phone("8002", "workshop-8002"), "8004")
    return caller, await third(here)
