"""A node that registers with its carriers: what it sends, what it does when they fail or lie."""

from pathlib import Path

import pytest

from sipcore.policy.standing import UNREGISTERED
from tests.sim.carrier import Carrier
from tests.sim.loop import simulate
from tests.sim.net import Place
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
    value = here.metrics.registry.get_sample_value
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
            assert first.values("Contact") == [f"<sip:{USER}@{NODE[0]}:{NODE[1]}>;expires=600"]
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
                found = trunks.carrier_at(CARRIER_A[0], user, known)
                assert found is not None
                assert found.id == id_
            assert trunks.carrier_at(CARRIER_B[0], USER, None) is None

    simulate(main())
