"""Two parties at a node, and whether they agree on their media."""

from collections.abc import Callable

from sipcore.call.leg import SDP
from sipcore.message.message import Request
from tests.sim.description import direction_of, formats_of
from tests.sim.party import Habits, Party, PartyPhone
from tests.sim.world import World

HEARS = ("sendrecv", "recvonly")
SAYS = ("sendrecv", "sendonly")
EVENTS = "101"  # which become INFO for a party that has none: all of them take it


async def two_phones(
    here: World, callee: Callable[[], Habits] = Habits
) -> tuple[PartyPhone, PartyPhone]:
    """Register a phone that calls, and one that is called and has those habits."""
    phones = []
    for user, password in (("8001", "front-desk-8001"), ("8002", "workshop-8002")):
        phone = PartyPhone(here.net, (f"10.0.1.{len(here.phones) + 1}", 5060), user, password)
        here.phones.append(phone)
        assert (await phone.register()).status == 200
        phones.append(phone)

    def habits_of(request: Request) -> Habits:
        return callee()

    phones[1].habits_of = habits_of
    phones[1].on_invite = lambda talk: None
    return phones[0], phones[1]


def habits(*, reliable: bool = False, update: bool = False, timer_s: int = 0) -> Habits:
    """Return what a party can."""
    made = Habits()
    made.has_reliable, made.has_update, made.timer_s = reliable, update, timer_s
    return made


def party(talk: object) -> Party:
    assert isinstance(talk, Party)
    return talk


def pick_up_saying(b: Party, body: bytes) -> None:
    """Let a party answer with that SDP, be it what it has said before or not."""
    assert b.invite is not None
    b.agreed, b.asked = (body, b.asked or b""), None
    headers = b.headers() | {"Content-Type": [SDP]}
    b.phone.endpoint.respond(b.invite, 200, headers, body)
    b.status = 200


def disagreement(a: Party, b: Party) -> str:
    """Say in what two parties of an answered call do not agree; "" where they do."""
    if a.agreed is None or b.agreed is None:
        return "somebody has agreed to nothing"
    for one, other in ((a, b), (b, a)):
        mine, told = one.agreed or (b"", b"")
        theirs, heard = other.agreed or (b"", b"")
        sends = direction_of(mine) in SAYS and direction_of(told) in HEARS
        hears = direction_of(theirs) in HEARS and direction_of(heard) in SAYS
        if sends != hears:
            return f"{one.phone.user} sends: {sends}, {other.phone.user} hears: {hears}"
        if sends and not (formats_of(mine) & formats_of(told)) - {EVENTS} <= formats_of(theirs):
            return f"{one.phone.user} may send what {other.phone.user} does not take"
    return ""
