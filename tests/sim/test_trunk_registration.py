"""A node that registers with its carriers: what it sends, what it does when they fail or lie."""

import re
from pathlib import Path

import pytest

from sipcore.message.flow import Flow
from sipcore.message.message import Headers
from sipcore.message.uri import Uri
from sipcore.policy.standing import UNREGISTERED
from tests.sim.carrier import Carrier
from tests.sim.loop import simulate
from tests.sim.net import Place
from tests.sim.phone import Phone
from tests.sim.world import CARRIER_A, CARRIER_B, NODE, World, world
from tests.store.files import DEMO, replaced

USER, PASSWORD = "+862136413500", "carrier-secret"
REGISTER = f'register = {{ user = "{USER}", password = "{PASSWORD}", domain = "ims.example" }}'
PLACEHOLDER = '# register = { user = "…", password = "…", domain = "…", expires = 600 }'
REGISTERING = replaced(DEMO, (PLACEHOLDER, REGISTER))


def registrar(here: World, place: Place = CARRIER_A) -> Carrier:
    made = Carrier(here.net, place, USER, PASSWORD)
    here.phones.append(made)
    return made


def results(here: World) -> dict[str, float]:
    """Return how our REGISTERs ended, by result."""
    value = here.metrics.value
    name = "sipcore_trunk_registrations_total"
    known = ("registered", "refused", "unanswered", "removed")
    return {one: count for one in known if (count := value(name, {"result": one}))}


def stated(here: World) -> str:
    return here.node.trunks.registrations.describe("carrier-a")


@pytest.mark.parametrize("early_s", [0.0, 0.0005], ids=["", "timers of uvloop"])
def test_a_node_registers_and_renews_and_leaves_when_it_drains(
    tmp_path: Path, early_s: float
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            carrier = registrar(here)
            await here.pass_time(3)
            assert stated(here).startswith("registered")
            first, signed = carrier.registers
            assert first.uri == "sip:ims.example"
            assert str(first.from_.uri) == f"sip:{USER}@ims.example"
            (contact,) = first.values("Contact")
            place = re.escape(f"{USER}@{NODE[0]}:{NODE[1]}")
            assert re.fullmatch(f"<sip:{place};line=[0-9a-f]{{16}}>;expires=600", contact)
            assert signed.values("Contact") == [contact]
            assert signed.call_id == first.call_id
            await here.pass_time(3600)
            assert 7 <= len(carrier.registers) - 2 <= 9, "the nonce serves on"
            await here.node.drain(1)
            assert carrier.registers[-1].headers["Expires"] == ["0"]
            assert results(here)["removed"] == 1
            await here.pass_time(3600)
            assert carrier.registers[-1].headers["Expires"] == ["0"]
            assert here.leftovers() == {}

    simulate(main(), early_s)


def test_a_wrong_password_is_not_repeated_every_minute(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            carrier = registrar(here)
            carrier.password = "another"
            await here.pass_time(3600)
            assert len(carrier.registers) <= 14
            assert "credentials refused" in stated(here)
            assert here.node.trunks.not_good() == {"carrier-a": UNREGISTERED}
            assert set(results(here)) == {"refused"}

    simulate(main())


def test_a_carrier_that_comes_back_is_registered_with_within_minutes(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            await here.pass_time(300)
            assert set(results(here)) == {"unanswered"}
            assert "no answer" in stated(here)
            registrar(here)
            await here.pass_time(500)
            assert stated(here).startswith("registered")

    simulate(main())


def test_a_carrier_that_grants_a_second_is_not_asked_every_second(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            carrier = registrar(here)
            carrier.grants_s = 1
            await here.pass_time(600)
            assert len(carrier.registers) < 65

    simulate(main())


def test_too_brief_a_time_is_asked_for_longer(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            carrier = registrar(here)
            carrier.script = [(423, {"Min-Expires": ["1800"]})]
            await here.pass_time(3)
            assert carrier.registers[-1].headers["Expires"] == ["1800"]
            assert stated(here).startswith("registered")

    simulate(main())


def test_the_password_is_neither_sent_nor_shown(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            registrar(here)
            await here.pass_time(3)
            assert all(PASSWORD.encode() not in packet.data for packet in here.net.sent)
            assert PASSWORD not in repr(here.node.book.carriers) + stated(here)

    simulate(main())


def test_a_change_registers_anew_and_a_password_that_cannot_be_opened_is_told(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            carrier = registrar(here)
            await here.pass_time(3)
            other = "+862136413511"
            here.store.import_provisioning(replaced(REGISTERING, (USER, other)))
            here.node.change_book(here.store.load_book())
            carrier.wants_credentials = False
            await here.pass_time(3)
            users = [(one.from_.uri.user, one.headers["Expires"][0]) for one in carrier.registers]
            assert users[2:] == [(USER, "0"), (other, "600")]
            carriers = here.node.book.carriers
            here.node.change_book(here.store.load_book())
            assert here.node.book.carriers.keys() == carriers.keys()
            await here.pass_time(3)
            assert len(carrier.registers) == 4, "what has not changed is left in peace"

    simulate(main())


def test_a_call_to_the_contact_is_for_the_number_in_to(tmp_path: Path) -> None:
    async def main() -> None:
        text = replaced(REGISTERING, ('accept_from = ["127.0.0.10/32"]', "accept_from = []"))
        async with world(tmp_path, provisioning=text) as here:
            carrier = registrar(here)
            callee = await here.desk_phone()
            carrier.wants_credentials = False
            await here.pass_time(3)
            talk = carrier.call(USER, {"To": ["<sip:02136413501@ims.example>"]})
            await talk.answered.wait()
            assert callee.rang.is_set()
            talk.hang_up()
            await here.pass_time(40)
            (cdr,) = here.cdrs()
            assert (cdr.carrier, cdr.direction, cdr.callee_routed) == (
                "carrier-a",
                "inbound",
                "8001",
            )

    simulate(main())


def test_a_stranger_is_no_carrier_for_knowing_the_contact(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=REGISTERING) as here:
            registrar(here)
            await here.pass_time(3)
            stranger = here.phone(USER)
            talk = stranger.call(USER, {"To": ["<sip:02136413501@ims.example>"]})
            await talk.ended.wait()
            assert talk.status == 401

    simulate(main())


def test_two_carriers_behind_one_address_are_told_apart_by_whom_they_call(tmp_path: Path) -> None:
    async def main() -> None:
        other = "+862136413511"
        text = replaced(
            REGISTERING,
            ('uri = "sip:127.0.0.11:25081"', f'uri = "sip:{CARRIER_A[0]}:{CARRIER_A[1]}"'),
            (
                'accept_from = ["127.0.0.11/32"]',
                REGISTER.replace(USER, other),
            ),
        )
        async with world(tmp_path, provisioning=text) as here:
            carrier = registrar(here)
            carrier.wants_credentials = False
            await here.pass_time(3)
            book, trunks = here.node.book, here.node.trunks.registrations
            known = book.carriers["carrier-a"]
            for user, id_ in ((USER, "carrier-a"), (other, "carrier-b"), ("110", "carrier-a")):
                flow = Flow("udp", *NODE, *CARRIER_A)
                found = trunks.carrier_at(flow, Uri(user=user, host="x"), known)
                assert found is not None
                assert found.id == id_
            elsewhere = Flow("udp", *NODE, *CARRIER_B)
            assert trunks.carrier_at(elsewhere, Uri(user=USER, host="x"), None) is None

    simulate(main())


PHONE, PASSWORD_OF_PHONE = "8001", "front-desk-8001"
UNLISTED = replaced(REGISTERING, ('accept_from = ["127.0.0.10/32"]', "accept_from = []"))
TO_A_DID = {"To": ["<sip:02136413501@ims.example>"]}


async def _sign_in(phone: Phone) -> None:
    """Register a phone as an edge passes it on."""
    edge = f"<sip:{phone.place[0]}:{phone.place[1]};lr>"
    contact = f"<sip:{PHONE}@192.168.1.7>"
    wish = phone.new_request("REGISTER", "sip:node", {"Path": [edge], "Contact": [contact]})
    assert (await phone.ask(wish)).status == 200


async def _status(here: World, phone: Phone, number: str, headers: Headers | None = None) -> int:
    """Return what becomes of a call: 200 where it is answered."""
    talk = phone.call(number, headers)
    while not (talk.answered.is_set() or talk.ended.is_set()):
        await here.pass_time(0.1)
    status = talk.status
    talk.hang_up()
    await here.pass_time(3)
    return status


def test_phones_behind_an_edge_at_a_carriers_address_sign_in_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=UNLISTED) as here:
            carrier = registrar(here)
            await here.pass_time(3)
            edge = here.phone(PHONE, PASSWORD_OF_PHONE, place=(CARRIER_A[0], 5080))
            await _sign_in(edge)
            await here.desk_phone("8002", "workshop-8002")
            assert await _status(here, edge, "8002") == 200
            edge.password = ""
            assert await _status(here, edge, USER, TO_A_DID) == 401, "not the carrier's"
            carrier.wants_credentials, carrier.password = False, ""
            assert await _status(here, carrier, USER, TO_A_DID) == 200
            assert [cdr.direction for cdr in here.cdrs()] == ["internal", "inbound"]

    simulate(main())


def test_a_carrier_that_is_an_edge_itself_is_known_by_the_line_of_our_contact(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=UNLISTED) as here:
            carrier = registrar(here)
            carrier.wants_credentials = False
            await here.pass_time(3)
            line = carrier.registers[0].contact
            assert line is not None
            carrier.user, carrier.password = PHONE, PASSWORD_OF_PHONE
            await _sign_in(carrier)
            await here.desk_phone("8002", "workshop-8002")
            assert await _status(here, carrier, "8002") == 200
            carrier.password = ""
            assert await _status(here, carrier, USER, TO_A_DID) == 401
            carrier.domain += f";line={line.uri.params['line']}"
            assert (
                await _status(here, carrier, USER, {**TO_A_DID, "From": ["<sip:110@x>;tag=1"]})
                == 200
            )
            assert [cdr.direction for cdr in here.cdrs()] == ["internal", "inbound"]

    simulate(main())


def test_the_line_of_our_contact_is_the_same_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        lines = set()
        for _ in range(2):
            async with world(tmp_path, provisioning=REGISTERING) as here:
                carrier = registrar(here)
                await here.pass_time(3)
                lines |= set(carrier.registers[0].values("Contact"))
        assert len(lines) == 1

    simulate(main())
