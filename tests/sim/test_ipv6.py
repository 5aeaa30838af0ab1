"""Two networks, IPv4 and IPv6, and a node in both: each side is told what it can reach."""

from pathlib import Path

from sipcore.config import Config, Media
from sipcore.message.sdp import parse_sdp
from tests.sim.loop import simulate
from tests.sim.phone import Phone, sdp
from tests.sim.talking import check_all_is_over
from tests.sim.world import World, world

NODE6 = ("2001:db8::1", 5060)
FOUR, SIX = "127.0.0.1", "2001:db8::7"  # of the node's media
DUAL = Config(media=Media(address=FOUR, address6=SIX))


async def phone6(here: World, user: str, password: str, number: int = 1) -> Phone:
    """Register a phone that has IPv6 alone."""
    phone = here.phone(user, password, (f"2001:db8::{number}:99", 5060))
    phone.node = NODE6
    assert (await phone.register()).status == 200
    return phone


def open6(here: World) -> None:
    here.node.listen(here.net.open(NODE6, here.node.endpoint.receive))


def told(sdp: bytes) -> tuple[str, str]:
    """Return the addresses of an SDP's o= line and of its c= line."""
    parsed = parse_sdp(sdp)
    origin = next(line for line in sdp.decode().splitlines() if line.startswith("o="))
    return origin.split()[-1], parsed.connection or ""


def test_an_ipv6_phone_calls_an_ipv4_phone_and_is_held(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=DUAL) as here:
            open6(here)
            caller = await phone6(here, "8002", "workshop-8002")
            callee = await here.desk_phone()
            talk = caller.call("8001")
            await talk.answered.wait()
            (other,) = callee.calls
            assert told(other.requests[0].body) == (FOUR, FOUR)
            assert told(talk.body) == (SIX, SIX)
            assert talk.answers[-1].headers["Contact"] == ["<sip:8001@[2001:db8::1]:5060>"]
            assert other.requests[0].via.host == "10.0.0.1"
            other.request("INVITE", sdp(callee.place, "sendonly", version=2))
            await here.pass_time(1)
            assert told(talk.requests[-1].body) == (SIX, SIX)
            assert told(other.body) == (FOUR, FOUR)
            talk.hang_up()
            await here.pass_time(1)
            await check_all_is_over(here)

    simulate(main())


def test_an_ipv4_phone_rings_contacts_of_both_families(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=DUAL) as here:
            open6(here)
            caller = await here.desk_phone()
            old = await here.desk_phone("8002", "workshop-8002")
            new = await phone6(here, "8002", "workshop-8002")
            old.on_invite = old.ring
            new.on_invite = new.ring
            talk = caller.call("8002")
            await old.rang.wait()
            await new.rang.wait()
            assert told(old.calls[0].requests[0].body) == (FOUR, FOUR)
            assert told(new.calls[0].requests[0].body) == (SIX, SIX)
            assert new.calls[0].requests[0].via.host == "[2001:db8::1]"
            assert "@[2001:db8::1]>" in new.calls[0].requests[0].headers["From"][0]
            new.pick_up(new.calls[0])
            await talk.answered.wait()
            assert told(talk.body) == (FOUR, FOUR)
            talk.request("INVITE", sdp(caller.place, "sendonly", version=2))
            await here.pass_time(1)
            invited, again = (one.body for one in new.calls[0].requests)
            assert told(again) == (SIX, SIX)
            (first, second) = (body.split(b"\r\n")[1].split() for body in (invited, again))
            assert (first[1], first[2], second[2]) == (second[1], b"1", b"2")
            talk.hang_up()
            await here.pass_time(1)

    simulate(main())


def test_one_who_asks_for_the_offer_gets_it_in_his_family(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=DUAL) as here:
            open6(here)
            caller = await phone6(here, "8002", "workshop-8002")
            await here.desk_phone()
            talk = caller.call("8001", body=b"")
            await talk.answered.wait()
            assert told(talk.body) == (SIX, SIX)
            talk.hang_up()
            await here.pass_time(1)

    simulate(main())
