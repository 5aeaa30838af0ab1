"""Where registered devices are reached: along paths, over flows, in bulk, in order (RFC 3327, 5626,
6140)."""

from pathlib import Path

import pytest

from sipcore.config import parse_config
from sipcore.message.message import Headers, Response
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Phone
from tests.sim.talking import check_all_is_over
from tests.sim.world import World, world

EDGE: Place = ("10.0.5.1", 5060)
EDGE_PATH = "<sip:10.0.5.1;lr;ob>"
STRICT = parse_config('[sip]\npath = "supported"\n')
ROUTED = parse_config('[sip]\nservice_route = ["<sip:10.0.5.1;lr;orig>"]\n')
FLOW = '<sip:8001@{at}:5060>;+sip.instance="<urn:uuid:1>";reg-id={number}'


async def _register(phone: Phone, contact: str, **headers: str) -> Response:
    extra: Headers = {"Contact": [contact]}
    extra |= {name.replace("_", "-"): [value] for name, value in headers.items()}
    return await phone.ask(phone.new_request("REGISTER", f"sip:{phone.domain}", extra))


async def _call(here: World, number: str = "8001") -> int:
    """Call from the workshop; return the final status."""
    caller = await here.desk_phone("8002", "workshop-8002")
    talk = caller.call(number)
    while not (talk.answered.is_set() or talk.ended.is_set()):
        await here.pass_time(0.1)
    status = talk.status
    talk.hang_up()
    return status


def test_a_phone_behind_an_edge_is_called_along_its_path(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            edge = here.phone("8001", place=EDGE)
            phone = here.phone("8001", "front-desk-8001")
            answer = await _register(
                phone, "<sip:8001@192.168.1.7>", Path=EDGE_PATH, Supported="path"
            )
            assert answer.values("Path") == [EDGE_PATH]
            assert await _call(here) == 200
            invite = edge.calls[0].requests[0]
            assert invite.uri == "sip:8001@192.168.1.7"
            assert invite.values("Route") == [EDGE_PATH]
            await check_all_is_over(here)

    simulate(main())


def test_a_path_that_the_phone_does_not_know_is_kept_and_not_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.phone("8001", place=EDGE)
            phone = here.phone("8001", "front-desk-8001")
            answer = await _register(phone, "<sip:8001@192.168.1.7>", Path=EDGE_PATH)
            assert (answer.status, answer.first("Path")) == (200, None)
            assert await _call(here) == 200

    simulate(main())


def test_a_strict_node_refuses_a_path_that_the_phone_does_not_know(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=STRICT) as here:
            phone = here.phone("8001", "front-desk-8001")
            answer = await _register(phone, "<sip:8001@192.168.1.7>", Path=EDGE_PATH)
            assert (answer.status, answer.first("Unsupported")) == (420, "path")
            assert len(here.node.registrar) == 0

    simulate(main())


def test_a_path_that_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            for path in ("<tel:+8621>", ", ".join([EDGE_PATH] * 9), f"<sip:{'a' * 1024}>", "<"):
                assert (await _register(phone, "<sip:8001@10.0.9.1>", Path=path)).status == 400

    simulate(main())


@pytest.mark.parametrize(
    "headers",
    [
        {"Contact": [f"<sip:{'x' * 1030}@10.0.1.1>"]},
        {"Contact": [f'<sip:x@10.0.1.1>;+sip.instance="<{"x" * 1030}>"']},
        {"Call-ID": ["x" * 1030]},
    ],
)
def test_what_a_registration_would_keep_is_not_long(tmp_path: Path, headers: Headers) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            request = phone.new_request("REGISTER", "sip:acme.example", headers)
            assert (await phone.ask(request)).status == 400
            assert here.node.registrar.all() == []

    simulate(main())


def test_a_path_survives_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            edge = here.phone("8001", place=EDGE)
            phone = here.phone("8001", "front-desk-8001")
            await _register(phone, "<sip:8001@192.168.1.7>", Path=EDGE_PATH)
            here.crash()
            await here.restart()
            here.node.registrar.restore(here.store.load_bindings(here.clock.wall_s()))
            assert await _call(here) == 200
            assert edge.calls[0].requests[0].values("Route") == [EDGE_PATH]

    simulate(main())


def test_a_service_route_is_told_to_phones_behind_the_edge_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=ROUTED) as here:
            phone = here.phone("8001", "front-desk-8001")
            behind = await _register(phone, "<sip:8001@192.168.1.7>", Path=EDGE_PATH)
            direct = await _register(phone, "<sip:8001@10.0.9.1>")
            told = [one.first("Service-Route") for one in (behind, direct)]
            assert told == ["<sip:10.0.5.1;lr;orig>", None]

    simulate(main())


def test_an_extension_that_nobody_knows_cannot_be_required(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            answer = await _register(phone, "<sip:8001@10.0.9.1>", Require="path, gruu")
            assert (answer.status, answer.first("Unsupported")) == (420, "gruu")

    simulate(main())


async def _two_flows(here: World) -> tuple[Phone, Phone, Response]:
    """Register a device by two flows; return both, and what the second one was told."""
    flows = [here.phone("8001", "front-desk-8001") for _ in range(2)]
    for number, phone in enumerate(flows, 1):
        contact = FLOW.format(at="10.0.1.1", number=number)
        answer = await _register(phone, contact, Supported="path, outbound")
        assert (answer.status, answer.first("Require")) == (200, "outbound")
        await here.pass_time(1)
    return flows[0], flows[1], answer


def test_a_device_keeps_two_flows_and_rings_over_the_later_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            first, second, answer = await _two_flows(here)
            assert [one.rpartition(";")[2] for one in answer.values("Contact")] == [
                "reg-id=1",
                "reg-id=2",
            ]
            assert await _call(here) == 200
            assert [len(first.calls), len(second.calls)] == [0, 1]

    simulate(main())


def test_a_new_flow_takes_the_place_of_the_old_one_with_its_number(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            for host in ("10.0.9.1", "10.0.9.2"):
                await _register(phone, FLOW.format(at=host, number=1), Supported="outbound")
            (binding,) = here.node.registrar.all()
            assert binding.contact == "sip:8001@10.0.9.2:5060"

    simulate(main())


def test_a_flow_that_failed_is_forgotten_and_the_other_one_rings(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            first, second, _ = await _two_flows(here)
            second.on_invite = lambda talk: second.refuse(talk, 430)
            assert await _call(here) == 200
            assert [len(first.calls), len(second.calls)] == [1, 1]
            (left,) = here.node.registrar.of("acme", "8001")
            assert left.instance.endswith("#1")
            first.on_invite = lambda talk: first.refuse(talk, 430)
            assert await _call(here) == 480
            assert here.node.registrar.of("acme", "8001") == []
            await check_all_is_over(here)

    simulate(main())


def test_a_first_hop_that_keeps_no_flows_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            contact = FLOW.format(at="10.0.9.1", number=1)
            lacks = "<sip:10.0.5.2;lr;ob>, <sip:10.0.5.1;lr>"
            answer = await _register(phone, contact, Supported="outbound", Path=lacks)
            assert answer.status == 439
            assert (await _register(phone, contact, Path=lacks)).status == 200, "it did not ask"

    simulate(main())


def test_a_contact_without_an_address_is_called_back_along_its_flow(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            assert (await _register(phone, "<sip:abc@k3j4.invalid>")).status == 200
            assert await _call(here) == 200
            assert phone.calls[0].requests[0].uri == "sip:abc@k3j4.invalid"

    simulate(main())


def test_contacts_come_in_the_order_of_their_preference(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            for host, q in ((1, "0.2"), (2, "0.9"), (3, "nonsense"), (4, "7")):
                await _register(phone, f"<sip:8001@10.0.9.{host}>;q={q}")
                await here.pass_time(1)
            found = here.node.registrar.ways_to("acme", "8001")
            assert [one.uri[-1] for one in found] == ["4", "3", "2", "1"]
            answer = await phone.ask(
                phone.new_request("REGISTER", "sip:acme.example", {"Contact": []})
            )
            assert [one.endswith(";q=0.2") for one in answer.values("Contact")].count(True) == 1

    simulate(main())


def test_an_expiry_that_cannot_be_read_is_an_hour(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            answer = await _register(phone, "<sip:8001@10.0.9.1>;expires=soon", Expires="60")
            assert answer.first("Contact") == "<sip:8001@10.0.9.1>;expires=3600"

    simulate(main())


def test_a_pbx_registers_all_its_numbers_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            pbx = here.phone("beta-pbx", "beta-pbx-secret", ("10.0.1.9", 5060))
            pbx.domain = "beta.example"
            answer = await _register(pbx, "<sip:10.0.1.9;bnc>", Require="gin", Proxy_Require="gin")
            assert answer.status == 200
            assert answer.first("Contact") == "<sip:10.0.1.9;bnc>;expires=3600"
            carrier = here.carrier()
            carrier.user, carrier.domain = "02188887777", "10.0.0.1"
            talk = carrier.call("02136413599")
            await talk.answered.wait()
            assert pbx.calls[0].requests[0].uri == "sip:02136413599@10.0.1.9"
            talk.hang_up()

    simulate(main())


def test_bulk_is_for_a_pbx_that_asks_for_it_rightly(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            pbx = here.phone("beta-pbx", "beta-pbx-secret")
            pbx.domain = "beta.example"
            unasked = await _register(pbx, "<sip:10.0.1.9;bnc>")
            assert (unasked.status, unasked.first("Require")) == (421, "gin")
            assert (await _register(pbx, "<sip:x@10.0.1.9;bnc>", Require="gin")).status == 400
            phone = here.phone("8001", "front-desk-8001")
            assert (await _register(phone, "<sip:10.0.1.9;bnc>", Require="gin")).status == 403
            assert len(here.node.registrar) == 0

    simulate(main())
