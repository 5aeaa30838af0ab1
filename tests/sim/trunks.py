"""A carrier with settings and a password, and calls through it."""

from sipcore.message.message import Request
from tests.sim.carrier import Carrier
from tests.sim.phone import Phone, Talk
from tests.sim.world import CARRIER_A, OUTSIDE, World
from tests.store.files import DEMO, replaced

USER, PASSWORD = "trunk-7", "carrier-secret"
LOGIN = f'login = {{ user = "{USER}", password = "{PASSWORD}" }}\n'
REGISTER = f'register = {{ user = "{USER}", password = "{PASSWORD}", domain = "ims.example" }}\n'


def told(*lines: str) -> str:
    """Return the demonstration with lines for carrier-a."""
    return replaced(DEMO, ("priority = 1 ", "".join(lines) + "priority = 1 "))


def carrier(here: World, *, asks: bool = False) -> Carrier:
    made = Carrier(here.net, CARRIER_A, USER, PASSWORD)
    made.wants_credentials = asks
    here.phones.append(made)
    return made


async def called(here: World, phone: Phone, number: str = OUTSIDE) -> Talk:
    """Call, and wait for an answer or a refusal."""
    talk = phone.call(number)
    while not (talk.answered.is_set() or talk.ended.is_set()):
        await here.pass_time(0.1)
    return talk


async def invited(here: World, profile: str, extra: str = "") -> Request:
    """Make a call through carrier-a with a profile; return the INVITE that it got."""
    at = carrier(here)
    await here.pass_time(3)
    talk = await called(here, await here.desk_phone())
    assert talk.status == 200
    talk.hang_up()
    return at.calls[0].requests[0]
