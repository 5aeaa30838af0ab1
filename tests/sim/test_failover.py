"""A carrier with several places: calls and registrations find the one that lives (RFC 3263)."""

from pathlib import Path

import pytest

from sipcore.dialog.oversize import DETOUR_S
from sipcore.message.flow import Flow
from sipcore.message.message import Headers
from sipcore.message.parse import parse
from sipcore.transport.avoid import FIRST_S
from sipcore.transport.base import Lost
from sipcore.transport.order import Srv
from tests.sim.carrier import Carrier
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.world import NODE, OUTSIDE, World, world
from tests.store.files import DEMO, replaced

FIRST: Place = ("127.0.0.20", 5070)
SECOND: Place = ("127.0.0.21", 5071)
NAMED = replaced(
    DEMO,
    ("sip:127.0.0.10:25080", "sip:trunk.example"),
    ("sip:127.0.0.11:25081", "sip:spare.example"),
)
REGISTERING = replaced(
    NAMED,
    (
        '# register = { user = "…", password = "…", domain = "…", expires = 600 }',
        'register = { user = "+862136413500", password = "secret", domain = "trunk.example" }',
    ),
)


def publish(here: World, places: tuple[Place, ...] = (FIRST, SECOND)) -> None:
    """Put a carrier's servers into the DNS, in this order."""
    here.zone["SRV", "_sip._udp.trunk.example"] = tuple(
        Srv(number, 1, port, f"sbc{number}.example") for number, (_, port) in enumerate(places)
    )
    for number, (address, _) in enumerate(places):
        here.zone["A", f"sbc{number}.example"] = (address,)


def invites(here: World, to: Place) -> int:
    """Count the transactions of INVITEs that went to a place."""
    sent = [one for one in here.net.sent if one.source == NODE and one.to == to]
    return len({parse(one.data).via.branch for one in sent if one.data.startswith(b"INVITE")})


async def dial(here: World, phone: Phone) -> Talk:
    talk = phone.call(OUTSIDE)
    await talk.answered.wait()
    await here.pass_time(1)
    return talk


def test_a_place_that_is_silent_is_left_for_the_next_and_avoided(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=NAMED) as here:
            publish(here)
            phone, second = await here.desk_phone(), here.carrier(SECOND)
            begun = here.clock.now
            talk = await dial(here, phone)
            assert 4 <= here.clock.now - begun < 6
            assert (invites(here, FIRST), len(second.calls)) == (1, 1)
            talk.hang_up()
            begun = here.clock.now
            talk = await dial(here, phone)
            assert here.clock.now - begun < 2, "the place that failed is not tried again so soon"
            talk.hang_up()
            await here.pass_time(FIRST_S)
            first = here.carrier(FIRST)
            talk = await dial(here, phone)
            assert len(first.calls) == 1, "it has its turn again"
            talk.hang_up()
            await here.pass_time(40)
            assert here.leftovers() == {}
            assert {one.carrier for one in here.cdrs()} == {"carrier-a"}

    simulate(main())


def test_the_next_place_gets_the_same_invite_under_a_new_branch(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=NAMED) as here:
            publish(here)
            phone = await here.desk_phone()
            first, second = here.carrier(FIRST), here.carrier(SECOND)
            first.on_invite = lambda talk: first.refuse(talk, 503)
            talk = await dial(here, phone)
            one, other = first.calls[0].requests[0], second.calls[0].requests[0]
            assert one.via.branch != other.via.branch
            for name in ("From", "To", "Call-ID", "CSeq", "Contact"):
                assert one.headers[name] == other.headers[name]
            assert (one.uri, one.body) == (other.uri, other.body)
            talk.hang_up()
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_503_is_a_reason_to_avoid_a_place_only_where_it_says_for_how_long(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=NAMED) as here:
            publish(here)
            phone = await here.desk_phone()
            first, second = here.carrier(FIRST), here.carrier(SECOND)
            extra: Headers = {}
            first.on_invite = lambda talk: first.refuse(talk, 503, extra)
            for tried in (1, 2):
                (await dial(here, phone)).hang_up()
                assert len(first.calls) == tried
            extra["Retry-After"] = ["120 (maintenance)"]
            (await dial(here, phone)).hang_up()
            (await dial(here, phone)).hang_up()
            await here.pass_time(100)
            (await dial(here, phone)).hang_up()
            assert len(first.calls) == 3
            await here.pass_time(20)
            (await dial(here, phone)).hang_up()
            assert (len(first.calls), len(second.calls)) == (4, 6)

    simulate(main())


def test_a_refusal_of_the_call_is_no_failure_of_the_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=NAMED) as here:
            publish(here)
            phone = await here.desk_phone()
            first, second = here.carrier(FIRST), here.carrier(SECOND)
            first.on_invite = lambda talk: first.refuse(talk, 486)
            talk = phone.call(OUTSIDE)
            await talk.ended.wait()
            assert (talk.status, len(first.calls), len(second.calls)) == (486, 1, 0)

            def ring_then_fail(talk: Talk) -> None:
                first.ring(talk)
                first.refuse(talk, 503)

            first.on_invite = ring_then_fail
            talk = phone.call(OUTSIDE)
            await talk.ended.wait()
            assert len(second.calls) == 0, "what has rung is not taken elsewhere"

    simulate(main())


def test_when_no_place_answers_the_next_carrier_is_tried_and_a_late_answer_is_ended(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=NAMED) as here:
            publish(here)
            here.zone["A", "spare.example"] = ("127.0.0.11",)
            phone, spare = await here.desk_phone(), here.carrier(("127.0.0.11", 5060))
            slow = here.carrier(FIRST)
            slow.on_invite = lambda talk: None
            begun = here.clock.now
            here.net.drops = lambda source, to, data: (
                source == FIRST and here.clock.now < begun + 10
            )
            talk = await dial(here, phone)
            assert 8 <= here.clock.now - begun < 10
            assert len(spare.calls) == 1
            await here.pass_time(5)
            slow.pick_up(slow.calls[0])
            await slow.calls[0].ended.wait()
            talk.hang_up()
            await here.pass_time(40)
            assert here.leftovers() == {}

    simulate(main())


def test_a_dead_dns_delays_the_first_call_alone_and_none_when_it_was_known(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=NAMED) as here:
            here.is_dns_dead = True
            phone = await here.desk_phone()
            begun = here.clock.now
            talk = phone.call(OUTSIDE)
            inside = phone.call("8002")
            await inside.ended.wait()
            assert here.clock.now - begun < 1
            await talk.ended.wait()
            assert talk.status == 503
            assert here.clock.now - begun <= 11
            publish(here)
            here.is_dns_dead = False
            await here.pass_time(70)
            here.carrier(FIRST)
            (await dial(here, phone)).hang_up()
            here.is_dns_dead = True
            await here.pass_time(70)
            begun = here.clock.now
            (await dial(here, phone)).hang_up()
            assert here.clock.now - begun < 3, "what was known serves on"

    simulate(main())


def test_a_registration_goes_to_the_next_place_and_stays_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            publish(here)
            second = Carrier(here.net, SECOND, "+862136413500", "secret")
            here.phones.append(second)
            await here.pass_time(40)
            assert here.node.trunks.registrations.describe("carrier-a").startswith("registered")
            first = Carrier(here.net, FIRST, "+862136413500", "secret")
            here.phones.append(first)
            await here.pass_time(3600)
            assert len(second.registers) > 3
            assert first.registers == []

    simulate(main())


class Tcp:
    """Our TCP side: it takes what is to be sent and loses it, at once or without a word."""

    name = "tcp"

    def __init__(self, *, is_refused: bool) -> None:
        self.address, self.port = NODE
        self.is_refused = is_refused
        self.sent: list[bytes] = []

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        self.sent.append(data)
        if self.is_refused and lost is not None:
            lost()

    def close(self) -> None: ...


@pytest.mark.parametrize(("is_refused", "waits_s"), [(True, 0.0), (False, DETOUR_S)])
def test_a_large_invite_goes_over_tcp_once_and_over_udp_when_that_fails(
    tmp_path: Path, is_refused: bool, waits_s: float
) -> None:
    async def main() -> None:
        provisioning = replaced(DEMO, ('# over_mtu = "auto"', 'over_mtu = "tcp" # "auto"'))
        async with world(tmp_path, provisioning=provisioning) as here:
            phone, carrier, tcp = (
                await here.desk_phone(),
                here.carrier(),
                Tcp(is_refused=is_refused),
            )
            here.node.listen(tcp)
            large = sdp(phone.place) + b"a=fmtp:8 x=" + b"x" * 1500 + b"\r\n"
            for known in (False, True):
                begun = here.clock.now
                talk = phone.call(OUTSIDE, body=large)
                await talk.answered.wait()
                assert here.clock.now - begun == pytest.approx(0 if known else waits_s, abs=0.2)
                talk.hang_up()
                await here.pass_time(1)
            assert len(tcp.sent) == 1, "its TCP is left alone for a while"
            assert tcp.sent[0].startswith(b"INVITE ")
            assert len(carrier.calls) == 2
            assert {one.via.transport for talk in carrier.calls for one in talk.requests} == {"UDP"}
            await here.pass_time(40)
            assert here.leftovers() == {}
            large_requests = here.node.stack.oversize.counts
            assert large_requests == {"shrunk": 0, "tcp": 1, "fragmented": 2}

    simulate(main())


def test_carriers_are_told_when_our_address_has_changed(tmp_path: Path) -> None:
    async def main() -> None:
        text = replaced(REGISTERING, ("sip:trunk.example", "sip:127.0.0.20:5070"))
        async with world(tmp_path, provisioning=text) as here:
            carrier = Carrier(here.net, FIRST, "+862136413500", "secret")
            here.phones.append(carrier)
            await here.pass_time(5)
            count = len(carrier.registers)
            here.node.change_addresses()
            await here.pass_time(5)
            assert len(carrier.registers) == count, "it is the same one towards this carrier"
            endpoint = here.node.endpoint
            here.node.listen(here.net.open(("127.0.0.1", 5060), endpoint.receive))
            here.node.change_addresses()
            await here.pass_time(5)
            assert len(carrier.registers) > count
            assert "@127.0.0.1:5060;line=" in carrier.registers[-1].headers["Contact"][0]
            assert carrier.registers[-1].via.host == "127.0.0.1"

    simulate(main())
