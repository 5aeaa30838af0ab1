"""Customers, or who has stolen a password of theirs, who try to use the node against others."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from sipcore.call.callee import MOST_18X
from sipcore.config import parse_config
from sipcore.media.offer import MOST_RELAYED
from sipcore.message.message import Headers
from tests.sim.loop import simulate
from tests.sim.phone import Phone, Talk, sdp
from tests.sim.talking import check_all_is_over, two_desks
from tests.sim.world import CARRIER_A, NODE, OUTSIDE, PBX, World, world
from tests.sim.writing import inbox, message
from tests.store.files import DEMO, replaced

NODE6 = ("2001:db8::1", 5060)
PREMIUM = "+18005551234"
AT_CARRIER = f"{CARRIER_A[0]}:{CARRIER_A[1]}"
BY_NAME = replaced(
    DEMO,
    (f'uri = "sip:{AT_CARRIER}"', 'uri = "sip:carrier.example:25080"'),
    ('accept_from = ["127.0.0.10/32"]', "accept_from = []"),
)
UNLISTED = replaced(DEMO, ('accept_from = ["127.0.0.10/32"]', "accept_from = []"))


async def _thief(here: World, **headers: list[str]) -> Phone:
    thief = here.phone("8001", "front-desk-8001")
    wish: Headers = {"Contact": [f"<sip:{PREMIUM}@{AT_CARRIER}>"], **headers}
    await thief.ask(thief.new_request("REGISTER", "sip:node", wish))
    return thief


@pytest.mark.parametrize("text", [DEMO, UNLISTED, BY_NAME], ids=["listed", "called", "by name"])
def test_a_contact_at_a_carrier_is_no_way_to_call_at_the_nodes_expense(
    tmp_path: Path, text: str
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=text) as here:
            here.zone["A", "carrier.example"] = (CARRIER_A[0],)
            here.crash()
            await here.restart()
            carrier = here.carrier()
            thief = await _thief(here)
            caller = await here.desk_phone("8002", "workshop-8002")
            talk = caller.call("8001")
            await talk.answered.wait()
            assert carrier.calls == [], "the number called is none that anybody was charged for"
            assert thief.calls, "he is called where he signed in"
            talk.hang_up()
            await here.pass_time(3)
            got = inbox(thief), inbox(carrier)
            assert (await caller.ask(message(caller, "8001"))).status == 200
            assert [len(one) for one in got] == [1, 0]

    simulate(main())


@pytest.mark.parametrize(
    ("uri", "spelled"),
    [
        ("sip:[2001:db8::a:1]", "[2001:DB8:0::A:0001]"),
        ("sip:[2001:DB8:0::A:0001]", "[2001:db8::a:1]"),
        ("sip:10.0.7.7;maddr=10.0.7.8", "10.0.7.8"),
    ],
)
def test_a_carriers_address_is_known_however_it_is_spelled(
    tmp_path: Path, uri: str, spelled: str
) -> None:
    text = replaced(UNLISTED, (f'uri = "sip:{AT_CARRIER}"', f'uri = "{uri}"'))

    async def main() -> None:
        async with world(tmp_path, provisioning=text) as here:
            here.node.listen(here.net.open(NODE6, here.node.endpoint.receive))
            await here.pass_time(70)
            carrier = here.carrier((str(ip_address(spelled.strip("[]"))), 5060))
            thief = await _thief(here, Contact=[f"<sip:{PREMIUM}@{spelled}>"])
            caller = await here.desk_phone("8002", "workshop-8002")
            talk = caller.call("8001")
            await here.pass_time(5)
            assert carrier.calls == []
            assert talk.answered.is_set()
            assert thief.calls
            talk.hang_up()
            await here.pass_time(3)

    simulate(main())


def test_a_carrier_whose_name_led_nowhere_at_the_start_is_known_once_it_does(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=BY_NAME) as here:
            carrier = here.carrier()
            await _thief(here)
            caller = await here.desk_phone("8002", "workshop-8002")
            here.zone["A", "carrier.example"] = (CARRIER_A[0],)
            await here.pass_time(120)
            talk = caller.call("8001")
            await here.pass_time(5)
            assert carrier.calls == []
            assert talk.answered.is_set()
            talk.hang_up()
            await here.pass_time(3)

    simulate(main())


@pytest.mark.parametrize("contact", [f"<sip:8001@{AT_CARRIER}>", "<sip:8001@192.168.1.7>"])
def test_a_path_by_a_carrier_leads_nowhere(tmp_path: Path, contact: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()
            await _thief(here, Contact=[contact], Path=[f"<sip:{AT_CARRIER};lr>"])
            caller = await here.desk_phone("8002", "workshop-8002")
            talk = caller.call("8001")
            await talk.ended.wait()
            assert (talk.status, carrier.calls) == (480, [])

    simulate(main())


@pytest.mark.parametrize("number", ["8001", "8002", OUTSIDE])
def test_a_contact_at_the_node_itself_goes_round_once(tmp_path: Path, number: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            carrier = here.carrier()
            thief = await _thief(here, Contact=[f"<sip:{number}@{NODE[0]}:{NODE[1]}>"])
            caller = await here.desk_phone("8002", "workshop-8002")
            talk = caller.call("8001")
            await talk.ended.wait()
            assert talk.status == 482
            assert carrier.calls == thief.calls == caller.calls[1:] == []
            await check_all_is_over(here)

    simulate(main())


def test_a_call_that_a_pbx_sends_back_ends_when_its_channels_are_used(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            pbx = here.phone("02136413501", place=PBX)
            pbx.domain = "beta.example"
            pbx.on_invite = lambda talk: back.append(pbx.call("02136413599"))
            back: list[Talk] = []
            back.append(pbx.call("02136413599"))
            await here.pass_time(2)
            assert len(back) == 2
            assert back[1].ended.is_set(), "both channels are used"
            back[0].hang_up()
            await here.pass_time(70.5)
            assert here.leftovers() == {}

    simulate(main())


def test_a_gateway_that_sends_its_calls_back_to_itself_ends_at_its_most_calls(
    tmp_path: Path,
) -> None:
    few = parse_config("[guard]\ncalls_per_extension = 5\n")

    async def main() -> None:
        async with world(tmp_path, config=few) as here:
            gateway = await here.desk_phone()
            back: list[Talk] = []
            gateway.on_invite = lambda talk: back.append(gateway.call("8001"))
            caller = await here.desk_phone("8002", "workshop-8002")
            talk = caller.call("8001")
            await here.pass_time(5)
            assert [one.status for one in back] == [100] * 5 + [503]
            talk.hang_up()
            for one in back[:5]:
                one.hang_up()
            await here.pass_time(70.5)
            assert here.leftovers() == {}

    simulate(main())


def test_a_call_with_many_streams_takes_few_ports(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, called = await two_desks(here)
            offer = sdp(caller.place)
            many = offer + b"m=audio 4002 RTP/AVP 8\r\n" * 31
            talk = caller.call("8002", body=many)
            await talk.answered.wait()
            told = called.calls[0].requests[0].body
            refused = told.count(b"m=audio 0 ")
            assert (told.count(b"m=audio "), refused) == (32, 32 - MOST_RELAYED)
            assert here.leftovers()["media streams"] == 2 * MOST_RELAYED
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())


def test_a_callee_that_rings_without_end_is_told_on_so_often(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller, called = await two_desks(here)

            def ring(talk: Talk) -> None:
                for _ in range(MOST_18X + 50):
                    called.ring(talk)

            called.on_invite = ring
            talk = caller.call("8002")
            await here.pass_time(2)
            assert [one.status for one in talk.answers].count(180) == MOST_18X
            called.pick_up(called.calls[0])
            await talk.answered.wait()
            talk.hang_up()
            await check_all_is_over(here)

    simulate(main())
