"""REGISTER through a whole node: who may, where, how many, how long."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from sipcore.config import parse_config
from sipcore.message.message import Headers, Response
from tests.sim.loop import simulate
from tests.sim.phone import Phone
from tests.sim.world import NODE, world
from tests.store.files import DEMO, replaced

BOTH = parse_config('[sip]\ndigest = ["SHA-256", "MD5"]\n')


async def _register(phone: Phone, contact: str, **headers: str) -> Response:
    extra: Headers = {"Contact": [contact], **{key: [value] for key, value in headers.items()}}
    return await phone.ask(phone.new_request("REGISTER", f"sip:{phone.domain}", extra))


def _contacts(response: Response) -> list[str]:
    return [one.partition(";")[0] for one in response.values("Contact")]


def test_a_wrong_password_gets_another_challenge(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            response = await here.phone("8001", "guess").register()
            assert response.status == 401
            assert "stale" not in response.headers["WWW-Authenticate"][0]
            assert len(here.node.registrar) == 0

    simulate(main())


def test_an_unknown_user_is_challenged_like_a_known_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            shapes = []
            for user in ("8001", "9999"):
                phone = here.phone(user)
                response = await phone.ask(phone.new_request("REGISTER", "sip:acme.example"))
                shapes.append((response.status, len(response.headers["WWW-Authenticate"][0])))
            assert shapes[0] == shapes[1]

    simulate(main())


def test_challenges_come_in_the_configured_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, config=BOTH) as here:
            phone = here.phone("8001")
            response = await phone.ask(phone.new_request("REGISTER", "sip:acme.example"))
            rows = response.headers["WWW-Authenticate"]
            assert ["SHA-256" in rows[0], "MD5" in rows[1], len(rows)] == [True, True, 2]
            phone.password = "front-desk-8001"
            assert (await phone.register()).status == 200

    simulate(main())


def test_a_device_has_an_order_of_its_own(tmp_path: Path) -> None:
    own = replaced(
        DEMO, ('password = "workshop-8002"', 'password = "workshop-8002"\n  digest = ["SHA-256"]')
    )

    async def main() -> None:
        async with world(tmp_path, provisioning=own) as here:
            phone = here.phone("8002", "workshop-8002")
            assert (await phone.register()).status == 200
            challenge = next(p for p in here.net.sent if b"WWW-Authenticate" in p.data)
            assert b"algorithm=SHA-256" in challenge.data
            assert b"algorithm=MD5" not in challenge.data

    simulate(main())


def test_the_long_form_of_the_user_name_signs_in_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            request = phone.new_request("REGISTER", "sip:acme.example")
            phone.user = "8001@acme.example"
            assert (await phone.ask(request)).status == 200

    simulate(main())


def test_a_replayed_request_is_stale(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            first = phone.new_request("REGISTER", "sip:acme.example")
            challenge = await _ask_without_password(phone)
            signed = phone.signed(first, challenge)
            phone.password = ""
            assert (await phone.ask(signed)).status == 200
            signed.headers["Call-ID"] = ["another"]
            again = await phone.ask(signed)
            assert again.status == 401
            assert "stale=true" in again.headers["WWW-Authenticate"][0]

    simulate(main())


async def _ask_without_password(phone: Phone) -> Response:
    password, phone.password = phone.password, ""
    response = await phone.ask(phone.new_request("REGISTER", "sip:acme.example"))
    phone.password = password
    return response


def test_an_address_of_record_is_its_owners_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            request = phone.new_request("REGISTER", "sip:acme.example")
            request.headers["To"] = ["<sip:8002@acme.example>"]
            assert (await phone.ask(request)).status == 403

    simulate(main())


def test_five_devices_and_no_sixth_but_the_same_device_moves(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            for number in range(5):
                own = f'<sip:8001@10.0.9.{number}>;+sip.instance="<urn:uuid:{number}>"'
                assert (await _register(phone, own)).status == 200
            assert (await _register(phone, "<sip:8001@10.0.9.9>")).status == 403
            moved = await _register(phone, '<sip:8001@10.0.9.9>;+sip.instance="<urn:uuid:3>"')
            assert moved.status == 200
            assert len(_contacts(moved)) == 5
            assert "<sip:8001@10.0.9.9>" in _contacts(moved)
            assert "<sip:8001@10.0.9.3>" not in _contacts(moved)

    simulate(main())


def test_star_removes_everything_and_needs_expires_0(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = await here.desk_phone()
            assert (await _register(phone, "*")).status == 400
            assert (await _register(phone, "*", Expires="60")).status == 400
            assert (await _register(phone, "*, <sip:8001@10.0.9.1>", Expires="0")).status == 400
            assert len(here.node.registrar) == 1
            assert (await _register(phone, "*", Expires="0")).status == 200
            assert len(here.node.registrar) == 0

    simulate(main())


def test_too_short_is_told_the_least_and_too_long_is_cut(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            short = await _register(phone, "<sip:8001@10.0.9.1>;expires=10")
            assert (short.status, short.first("Min-Expires")) == (423, "60")
            long = await _register(phone, "<sip:8001@10.0.9.1>;expires=999999")
            assert long.first("Contact") == "<sip:8001@10.0.9.1>;expires=7200"

    simulate(main())


def test_a_binding_expires_and_its_phone_does_not_ring(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            caller = await here.desk_phone("8002", "workshop-8002")
            phone = here.phone("8001", "front-desk-8001")
            await phone.register(60)
            await here.pass_time(61)
            talk = caller.call("8001")
            await talk.ended.wait()
            assert talk.status == 480
            await here.pass_time(10)
            assert len(here.node.registrar) == 1, "8002 alone"

    simulate(main())


def test_a_late_request_of_the_same_client_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            newer = phone.new_request("REGISTER", "sip:acme.example")
            newer.headers["CSeq"] = ["10 REGISTER"]
            assert (await phone.ask(newer)).status == 200
            older = phone.new_request("REGISTER", "sip:acme.example")
            older.headers["Call-ID"] = newer.headers["Call-ID"]
            older.headers["CSeq"] = ["5 REGISTER"]
            assert (await phone.ask(older)).status == 500

    simulate(main())


def test_bindings_survive_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            await here.desk_phone()
            here.crash()
            await here.restart()
            assert len(here.node.registrar) == 0
            here.node.registrar.restore(here.store.load_bindings(here.clock.wall_s()))
            caller = await here.desk_phone("8002", "workshop-8002")
            talk = caller.call("8001")
            await talk.answered.wait()
            talk.hang_up()

    simulate(main())


def test_a_pbx_that_registers_is_called_where_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            pbx = here.phone("beta-pbx", "beta-pbx-secret")
            pbx.domain = "beta.example"
            assert (await pbx.register()).status == 200
            carrier = here.carrier()
            carrier.user, carrier.domain = "02188887777", "10.0.0.1"
            talk = carrier.call("02136413599")
            await talk.answered.wait()
            assert pbx.calls[0].requests[0].uri.startswith("sip:02136413599@10.0.1.")
            talk.hang_up()

    simulate(main())


def test_a_register_that_comes_again_gets_the_same_answer(tmp_path: Path) -> None:  # 17.2.2
    async def main() -> None:
        async with world(tmp_path) as here:
            await here.desk_phone()
            last = [one for one in here.net.sent if one.to == NODE][-1]
            first = [one for one in here.net.sent if one.source == NODE][-1]
            assert (first.start_line, here.node.stack.count()) == ("SIP/2.0 200 OK", 0)
            await here.pass_time(31)
            here.net.send(last.source, NODE, last.data)
            await here.pass_time(1)
            again = [one for one in here.net.sent if one.source == NODE][-1]
            assert again.data == first.data
            assert here.node.front.reception.repeats == 1
            here.net.send(("10.0.9.9", 5060), NODE, last.data)
            await here.pass_time(1)
            other = [one for one in here.net.sent if one.source == NODE][-1]
            assert other.start_line.startswith("SIP/2.0 401"), "it came from elsewhere"
            await here.pass_time(48)
            here.net.send(last.source, NODE, last.data)
            await here.pass_time(1)
            late = [one for one in here.net.sent if one.source == NODE][-1]
            assert b"stale=true" in late.data

    simulate(main())


def test_what_is_refreshed_stays_and_what_is_cut_short_goes(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            kept, cut = "<sip:8001@10.0.9.1>", "<sip:8001@10.0.9.2>"
            for contact, expires in ((kept, 60), (cut, 3600), (kept, 600), (cut, 60)):
                await _register(phone, f"{contact};expires={expires}")
            await here.pass_time(75)
            assert [one.contact for one in here.node.registrar.all()] == ["sip:8001@10.0.9.1"]
            assert len(here.node.registrar) == 1
            await here.pass_time(600)
            assert len(here.node.registrar) == 0
            assert not here.node.registrar.is_source("10.0.1.1")

    simulate(main())


def test_a_phone_that_comes_and_goes_is_noted_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            for turn in range(60):
                assert (await phone.register(3600 - 20 * (turn % 7))).status == 200
                await here.pass_time(5)
                if turn % 3:
                    assert (await phone.register(0)).status == 200
                    await here.pass_time(7)
            assert here.node.registrar.looks < 8
            await here.pass_time(4000)
            assert (len(here.node.registrar), here.node.registrar.looks) == (0, 0)

    simulate(main())


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Expires": "1800"},
        {"Expires": "60"},
        {"Expires": "59"},
        {"Expires": "0"},
        {"Expires": "99999"},
        {"Expires": "soon"},
        {"User-Agent": "phone/2"},
        {"Supported": "path, outbound"},
        {"Path": "<sip:10.0.5.1;lr>", "Supported": "path"},
        {"Require": "path"},
        {"Require": "gin"},
        {"Contact": "<sip:8001@10.0.9.1>;expires=600"},
        {"Contact": "<sip:8001@10.0.9.1>;q=0.5"},
        {"Contact": '<sip:8001@10.0.9.1>;+sip.instance="<urn:uuid:1>"'},
        {"Contact": "<sip:8001@10.0.9.1>, <sip:8001@10.0.9.2>"},
    ],
)
def test_who_renews_a_contact_is_treated_as_who_brings_it_first(
    tmp_path: Path, said: dict[str, str]
) -> None:
    asked: Headers = {"User-Agent": ["phone/1"], "Contact": ["<sip:8001@10.0.9.1>"]}
    asked |= {name: [value] for name, value in said.items()}

    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            seen = []
            for has_one in (True, False):
                assert (await _register(phone, "*", Expires="0")).status == 200
                if has_one:
                    first = await _register(phone, "<sip:8001@10.0.9.1>", **{"User-Agent": "old"})
                    assert first.status == 200
                answer = await phone.ask(phone.new_request("REGISTER", "sip:acme.example", asked))
                kept = here.node.registrar.all() if answer.status == 200 else []
                plain = [replace(one, call_id="", expires_at=round(one.expires_at)) for one in kept]
                copied = ("Via", "From", "To", "Call-ID", "CSeq")
                rows = [row for row in answer.rows() if row[0] not in copied]
                seen.append((answer.status, rows, plain))
            assert seen[0] == seen[1]

    simulate(main())


def test_a_renewal_survives_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = await here.desk_phone()
            await here.pass_time(500)
            assert (await phone.register()).status == 200
            await here.pass_time(500)
            stored = here.store.load_bindings(here.clock.wall_s())
            assert stored == here.node.registrar.all()
            assert round(stored[0].expires_at - here.clock.wall_s()) == 100

    simulate(main())


def test_a_renewal_that_comes_late_or_for_less_time_is_seen_as_such(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            for number, expires, status in (
                (5, 600, 200),
                (6, 60, 200),
                (6, 600, 500),
                (5, 9, 423),
            ):
                request = phone.new_request("REGISTER", "sip:acme.example")
                request.headers |= {
                    "Call-ID": ["one"],
                    "CSeq": [f"{number} REGISTER"],
                    "Expires": [str(expires)],
                }
                assert (await phone.ask(request)).status == status
            await here.pass_time(75)
            assert len(here.node.registrar) == 0

    simulate(main())
