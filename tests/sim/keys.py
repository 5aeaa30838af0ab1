"""Keys as INFO and as telephone events: who takes which, how they are pressed and heard."""

from collections.abc import Callable

from sipcore.call.leg import SDP
from sipcore.media.events import Event, parse_event
from tests.media.net import rtp
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.world import World

WITH_INFO = {"Allow": ["INVITE, ACK, BYE, CANCEL, INFO"]}
WITHOUT_INFO = {"Allow": ["INVITE, ACK, BYE, CANCEL"]}
RELAY = {"Content-Type": ["application/dtmf-relay"]}
FIVE = b"Signal=5\r\nDuration=160\r\n"


def answering(payload: str, headers: dict[str, list[str]]) -> Callable[[Talk], None]:
    """Answer calls with these formats and fields."""

    def answer(talk: Talk) -> None:
        assert talk.invite is not None
        phone = talk.phone
        said = {"Contact": [phone.hop().contact(phone.user)], "Content-Type": [SDP], **headers}
        phone.endpoint.respond(talk.invite, 200, said, sdp(phone.place, payload=payload))
        talk.answered.set()

    return answer


def port_in(body: bytes) -> int:
    return int(body.split(b"m=audio ")[1].split()[0])


def formats_in(body: bytes) -> bytes:
    return body.split(b"RTP/AVP ")[1].split(b"\r\n")[0]


async def send_key(here: World, phone: Phone, shown: bytes, code: int = 7) -> None:
    """Send a key of 60 ms as events to where an SDP says."""
    wire = here.workers.wires[0]
    source = (phone.place[0], phone.place[1] + 1000)
    for at in range(5):
        here.sequence += 1
        event = Event(code, at > 1, 10, min(at + 1, 3) * 160)
        packet = rtp(here.sequence, 1600 * code, 7, 101, size=0) + event.to_bytes()
        wire.deliver(source, port_in(shown), packet)
        here.workers.run()
        await here.pass_time(0.02)
    await here.pass_time(1)


def events_at(here: World, phone: Phone) -> list[Event]:
    """Return the events that a phone's ear has got so far."""
    ear = (phone.place[0], phone.place[1] + 1000)
    sent = here.workers.wires[0].sent
    found = [parse_event(one[12:]) for _, to, one in sent if to == ear and one[1] & 127 == 101]
    return [one for one in found if one is not None]


def infos(talk: Talk) -> list[bytes]:
    return [one.body for one in talk.requests if one.method == "INFO"]
