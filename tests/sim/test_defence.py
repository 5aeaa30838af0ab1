"""What strangers and guessers get from a whole node, and what they cannot take from others."""

import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from sipcore.control import ControlFault
from sipcore.message.digest import ALGORITHMS, ha1
from sipcore.transport.guard import MOST_NAMES, MOST_SCANS
from sipcore.views import Views
from tests.sim.loop import simulate
from tests.sim.phone import Phone
from tests.sim.strangers import ask_raw, raw
from tests.sim.world import World, world
from tests.store.files import DEMO, replaced

METHODS = ("REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "PUBLISH", "REFER")
OWN_DIGEST = replaced(
    DEMO, ('password = "workshop-8002"', 'password = "workshop-8002"\n  digest = ["SHA-256"]')
)


@contextmanager
def hashing() -> Iterator[list[str]]:
    """Note each hash that is computed, by the interpreter's own account of calls into C."""
    found: list[str] = []

    def note(_: FrameType, event: str, called: object) -> None:
        name = getattr(called, "__name__", "")
        if event == "c_call" and name.startswith(("openssl_md5", "openssl_sha")):
            found.append(name)

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


def _credentials(user: str, answer: bytes, method: str) -> str:
    found = re.search(rb'nonce="([^"]+)", algorithm=([A-Z0-9-]+)', answer)
    assert found is not None
    nonce, algorithm = found[1].decode(), found[2].decode()
    return (
        f'Authorization: Digest username="{user}", realm="sipcore", nonce="{nonce}", '
        f'uri="sip:acme.example", response="{"0" * 32}", algorithm={algorithm}, qop=auth, '
        f'nc=00000001, cnonce="x"\r\n'
    )


def _shape(answers: list[bytes], user: str) -> list[bytes]:
    """Blank what differs for every request: the nonce, our tag, the name that was sent."""
    blank = [re.sub(rb'nonce="[^"]+"', b"nonce", one) for one in answers]
    blank = [re.sub(rb"(To: [^\r]*);tag=[0-9a-f]+", rb"\1", one) for one in blank]
    return [one.replace(user.encode(), b"USER") for one in blank]


@pytest.mark.parametrize("method", METHODS)
def test_known_and_unknown_users_get_the_same_bytes_for_the_same_work(
    tmp_path: Path, method: str
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            found = []
            for user in ("8001", "9999"):
                with hashing() as hashes:
                    first = ask_raw(here, raw(method, user))
                seen = [(_shape(first, user), Counter(hashes))]
                for _ in range(6):  # the last ones are throttled
                    more = _credentials(user, first[-1], method) if b"nonce" in first[-1] else ""
                    with hashing() as hashes:
                        answers = ask_raw(here, raw(method, user, more))
                    seen.append((_shape(answers, user), Counter(hashes)))
                found.append(seen)
            assert method != "REGISTER" or any(hashes for _, hashes in found[0])
            assert found[0] == found[1]

    simulate(main())


def test_an_order_of_algorithms_tells_not_who_is_there(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, provisioning=OWN_DIGEST) as here:
            kinds: dict[str, bool] = {}
            for number in range(500):
                user = f"7{number:03}"
                (answer,) = ask_raw(here, raw("REGISTER", user), f"198.18.0.{number % 250}")
                kinds[user] = b"SHA-256" in answer
            assert 0 < sum(kinds.values()) < 500
            for user, is_own in list(kinds.items())[:20]:
                (answer,) = ask_raw(here, raw("REGISTER", user), "198.18.1.1")
                assert (b"SHA-256" in answer) == is_own, "always the same for one name"

    simulate(main())


def test_who_shows_a_number_is_asked_as_all_are(tmp_path: Path) -> None:
    """Old phones know MD5 alone, and a PBX shows one number of many: none is a name to be tried."""

    async def main() -> None:
        async with world(tmp_path, provisioning=OWN_DIGEST) as here:
            for number in range(2 * MOST_NAMES):
                data = raw("INVITE", f"021364135{number:02}")
                (answer,) = ask_raw(here, data, "198.18.0.1")
                assert re.findall(rb"algorithm=([A-Z0-9-]+)", answer) == [b"MD5"]

    simulate(main())


async def _guess(attacker: Phone, how_often: int) -> list[int]:
    return [(await attacker.register()).status for _ in range(how_often)]


def test_guessing_elsewhere_does_not_lock_the_owner_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            owner = await here.desk_phone()
            for number in range(40):
                attacker = here.phone("8001", f"guess-{number}", (f"198.18.0.{number + 1}", 5060))
                assert await _guess(attacker, 3) == [401] * 3
            assert (await owner.register()).status == 200
            talk = owner.call("8002")
            await talk.ended.wait()
            assert talk.status != 401
            newcomer = here.phone("8001", "front-desk-8001", ("198.18.9.9", 5060))
            assert (await newcomer.register()).status == 401, "from elsewhere it must wait"
            await here.pass_time(8)
            assert (await newcomer.register()).status == 200

    simulate(main())


def test_a_guesser_waits_longer_each_time_and_not_even_the_right_password_helps(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            guesser = here.phone("8001", "wrong")
            assert await _guess(guesser, 5) == [401] * 5
            guesser.password = "front-desk-8001"
            assert (await guesser.register()).status == 401
            await here.pass_time(1)
            assert (await guesser.register()).status == 200
            assert here.node.sign_in.throttled_count == 2

    simulate(main())


def test_a_phone_with_an_old_password_does_not_hold_up_its_office(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            old = here.phone("8001", "last-years", ("198.18.0.1", 5061))
            for _ in range(100):
                assert (await old.register()).status == 401
                await here.pass_time(30)
            new = here.phone("8002", "workshop-8002", ("198.18.0.1", 5062))
            assert (await new.register()).status == 200

    simulate(main())


def test_made_up_sources_cannot_throttle_anybody(tmp_path: Path) -> None:
    """A wrong password counts under a nonce that its source was sent, and no other."""

    async def main() -> None:
        async with world(tmp_path) as here:
            (challenge,) = ask_raw(here, raw("REGISTER", "8001"), "198.18.0.1")
            forged = raw("REGISTER", "8001", _credentials("8001", challenge, "REGISTER"))
            for _ in range(100):
                ask_raw(here, forged, "10.0.1.1")
            assert not here.node.guard.is_banned("10.0.1.1", here.clock.now)
            phone = here.phone("8001", "front-desk-8001", ("10.0.1.1", 5060))
            assert (await phone.register()).status == 200

    simulate(main())


def test_a_scan_of_users_is_banned_and_its_messages_are_not_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            for number in range(MOST_NAMES):
                assert not here.node.guard.is_banned("203.0.113.9", here.clock.now)
                ask_raw(here, raw("REGISTER", f"{number}"), wire="tcp")
            assert ask_raw(here, raw("REGISTER", "8001")) == []
            (ban,) = here.node.guard.bans.active(here.clock.now)
            assert ban.source == "203.0.113.9"
            await here.pass_time(61)
            assert len(ask_raw(here, raw("REGISTER", "8001"))) == 1

    simulate(main())


def test_a_scanner_is_not_answered_and_then_not_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            scan = raw("OPTIONS", "100", "User-Agent: friendly-scanner\r\n")
            for _ in range(MOST_SCANS + 3):
                assert ask_raw(here, scan, wire="tcp") == []
            assert here.node.guard.dropped["banned"] == 3
            assert ask_raw(here, raw("OPTIONS", "100")) == []

    simulate(main())


def test_a_phone_in_whose_name_others_scan_and_flood_registers_all_the_same(
    tmp_path: Path,
) -> None:
    """It is no customer's address yet, so nothing tells it from a stranger's."""

    async def main() -> None:
        async with world(tmp_path) as here:
            scan = raw("OPTIONS", "100", "User-Agent: friendly-scanner\r\n")
            for number in range(100 * MOST_NAMES):
                ask_raw(here, scan, "198.18.0.1")
                ask_raw(here, raw("REGISTER", f"{number}"), "198.18.0.1")
            assert here.node.guard.bans.active(here.clock.now) == []
            await here.pass_time(1)
            phone = here.phone("8001", "front-desk-8001", ("198.18.0.1", 5060))
            assert (await phone.register()).status == 200

    simulate(main())


def test_a_scan_of_users_under_nonces_of_ours_is_banned_over_udp_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            (challenge,) = ask_raw(here, raw("REGISTER", "8001"))
            for number in range(MOST_NAMES):
                signed = _credentials(f"{number}", challenge, "REGISTER")
                assert not here.node.guard.is_banned("203.0.113.9", here.clock.now)
                ask_raw(here, raw("REGISTER", f"{number}", signed))
            assert here.node.guard.is_banned("203.0.113.9", here.clock.now)

    simulate(main())


def test_an_ipv6_host_guesses_no_faster_from_all_the_addresses_that_it_has(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            for number in range(3):
                address = f"2001:db8:1:2::{number + 1:x}"
                (challenge,) = ask_raw(here, raw("REGISTER", "8001"), address)
                wrong = _credentials("8001", challenge, "REGISTER")
                for _ in range(2):
                    ask_raw(here, raw("REGISTER", "8001", wrong), address)
            assert here.node.sign_in.throttled_count == 2

    simulate(main())


def test_bans_are_shown_and_lifted(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            views = Views(here.node, here.store, here.folder, 0.0)
            assert (await views.show("bans")).rows == []
            for _ in range(MOST_SCANS):
                here.node.guard.scan("2001:db8::9", here.clock.now, is_real=True)
            await here.pass_time(10)
            assert (await views.show("bans")).rows == [["2001:db8::/64", "scanner", 1, 10, 50]]
            assert await views.unban("2001:db8::9") is True
            assert await views.unban("2001:db8::9") is False
            with pytest.raises(ControlFault, match="'x' is no IP address"):
                await views.unban("x")

    simulate(main())


def test_an_office_that_is_registered_is_not_banned_for_one_of_its_devices(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.phones.append(Phone(here.net, ("198.18.0.1", 5061), "8001", "front-desk-8001"))
            assert (await here.phones[0].register()).status == 200
            for number in range(3 * MOST_NAMES):
                ask_raw(here, raw("REGISTER", f"{number}"), "198.18.0.1")
            assert (await here.phones[0].register()).status == 200

    simulate(main())


def test_nobody_registers_in_the_name_of_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            phone = here.phone("8001", "front-desk-8001")
            for header in ("To", "From"):
                request = phone.new_request("REGISTER", "sip:acme.example")
                tag = ";tag=1" if header == "From" else ""
                request.headers[header] = [f"<sip:8002@acme.example>{tag}"]
                assert (await phone.ask(request)).status == 403

    simulate(main())


def _secrets(here: World) -> set[str]:
    """Return what no log may have: passwords, their hashes, the answers to challenges."""
    found = {"front-desk-8001", "workshop-8002", "not-the-password"}
    for user, password in (("8001", "front-desk-8001"), ("8002", "workshop-8002")):
        found |= {ha1(kind, user, "sipcore", password) for kind in ALGORITHMS}
    for packet in here.net.sent:
        found |= {one.decode() for one in re.findall(rb'response="([^"]+)"', packet.data)}
    return found


def test_no_log_has_a_password_a_hash_or_an_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> set[str]:
        async with world(tmp_path) as here:
            phone = await here.desk_phone()
            await here.desk_phone("8002", "workshop-8002")
            await _guess(here.phone("8001", "not-the-password", ("198.18.0.1", 5060)), 8)
            talk = phone.call("8002")
            await talk.answered.wait()
            talk.hang_up()
            await talk.ended.wait()
            signed = raw("REGISTER", "8001", 'Authorization: Digest response="beef"broken\r\n')
            ask_raw(here, signed)
            ask_raw(here, signed.replace(b"CSeq: 1 REGISTER", b"CSeq: x"))
            here.store.import_provisioning(DEMO)
            await here.pass_time(40)
            return _secrets(here)

    secrets = simulate(main()) | {"beef"}
    assert len(secrets) > 8
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert [secret for secret in secrets if secret in said] == []
