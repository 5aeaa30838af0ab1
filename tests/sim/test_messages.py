"""MESSAGE outside a dialog: between numbers of one customer, signed, and never to a carrier."""

from pathlib import Path

import pytest

from sipcore.call.courier import MOST_OF_ONE
from sipcore.message.message import Request
from tests.sim.loop import simulate
from tests.sim.net import Place, Weather
from tests.sim.phone import Phone
from tests.sim.world import CARRIER_A, OUTSIDE, PBX, world
from tests.sim.writing import TEXT, inbox, message


def test_a_message_reaches_all_devices_of_an_extension(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            sender = await here.desk_phone()
            first = await here.desk_phone("8002", "workshop-8002")
            second = await here.desk_phone("8002", "workshop-8002")
            got = inbox(first), inbox(second, 202)
            evil = {"X-Secret": ["10.1.2.3"], "Call-Info": ["<http://inside>"]}
            answer = await sender.ask(message(sender, "8002", "你好".encode(), **evil))
            assert answer.status in (200, 202)
            for (one,) in got:
                assert one.body.decode() == "你好"
                assert one.from_.uri.user == "8001"
                assert one.headers["Content-Type"] == TEXT["Content-Type"]
                assert not {"Contact", "X-Secret", "Call-Info", "Authorization"} & set(one.headers)
            await here.pass_time(70)
            assert here.leftovers() == {}

    simulate(main())


def test_a_message_that_comes_twice_at_once_is_delivered_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            sender = await here.desk_phone()
            got = inbox(await here.desk_phone("8002", "workshop-8002"))
            here.net.weather = Weather(doubling=1.0, delay_s=(0.01, 0.01))
            assert (await sender.ask(message(sender, "8002"))).status == 200
            await here.pass_time(1)
            assert len({one.via.branch for one in got}) == 1

    simulate(main())


@pytest.mark.parametrize(
    ("number", "size", "status"),
    [("8002", 1301, 413), ("8009", 5, 404), ("8003", 5, 480), (OUTSIDE, 5, 404), ("110", 5, 404)],
)
def test_what_cannot_be_delivered_is_refused(
    tmp_path: Path, number: str, size: int, status: int
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.carrier()
            sender = await here.desk_phone()
            await here.desk_phone("8002", "workshop-8002")
            answer = await sender.ask(message(sender, number, b"x" * size))
            assert answer.status == status
            assert not any(p.to == CARRIER_A for p in here.net.sent)

    simulate(main())


def test_nobody_sends_without_signing_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            callee = await here.desk_phone("8002", "workshop-8002")
            got = inbox(callee)
            stranger = here.phone("8001")
            assert (await stranger.ask(message(stranger, "8002"))).status == 401
            carrier = here.carrier()
            carrier.domain = "10.0.0.1"
            assert (await carrier.ask(message(carrier, "02136413501"))).status == 403
            pbx = here.phone("pbx", place=PBX)
            pbx.domain = "beta.example"
            assert (await pbx.ask(message(pbx, "8002"))).status == 404, "another customer's"
            assert got == []

    simulate(main())


@pytest.mark.parametrize(("said", "told"), [(486, 486), (603, 603), (401, 480), (500, 480)])
def test_what_the_device_says_is_told(tmp_path: Path, said: int, told: int) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            sender = await here.desk_phone()
            callee = await here.desk_phone("8002", "workshop-8002")
            inbox(callee, said)
            assert (await sender.ask(message(sender, "02136413501"))).status == 200, "to himself"
            assert (await sender.ask(message(sender, "8002"))).status == told

    simulate(main())


def test_a_device_that_is_gone_gets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            sender = await here.desk_phone()
            callee = await here.desk_phone("8002", "workshop-8002")
            lost: list[Place] = [callee.place]
            here.net.drops = lambda source, to, data: to in lost
            assert (await sender.ask(message(sender, "8002"))).status in (480, 408)
            await here.pass_time(70)
            assert here.leftovers() == {}

    simulate(main())


def test_a_customer_whose_devices_are_silent_leaves_others_their_messages(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            sender = await here.desk_phone()
            silent = await here.desk_phone("8002", "workshop-8002")
            silent.endpoint.on_arrival = lambda request, flow: None
            waiting = [here.beside(_ask(sender, message(sender, "8002"))) for _ in range(60)]
            await here.pass_time(1)
            assert sum(one.done() for one in waiting) == 60 - MOST_OF_ONE
            pbx = here.phone("02136413599", place=PBX)
            answer = await pbx.ask(message(pbx, "02136413599"))
            assert answer.status == 404, "looked at, not put off"
            await here.pass_time(70)
            assert all(one.done() for one in waiting)
            assert here.leftovers() == {}

    simulate(main())


async def _ask(phone: Phone, request: Request) -> None:
    await phone.ask(request)
