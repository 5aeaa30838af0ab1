"""Clients that are no phones: sipsak asks a server, aiosip is a library of 2017."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.interop import matrix
from tests.interop.clients.base import PHONE_HOST, ended, started, tell
from tests.interop.clients.pjsua import PYTHON
from tests.interop.clients.sipsak import asked
from tests.interop.house import House
from tests.interop.matrix import Matrix, ways
from tests.interop.ports import Ports
from tests.interop.town import MOBILE_PBX, WORKSHOP
from tests.interop.waiting import until

WRITTEN = """MESSAGE sip:{place} SIP/2.0
Max-Forwards: 70
From: <sip:{me.user}@{me.domain}>;tag=1
To: <sip:{reader.user}@{reader.domain}>
Call-ID: written-by-{me.user}
CSeq: 1 MESSAGE
Content-Type: text/plain
Content-Length: 15

Is lunch ready?"""
AIOSIP = Path(__file__).parent / "clients" / "aiosip_phone.py"


@pytest.mark.parametrize(("client", "transport"), ways(matrix.REGISTRATION, "sipsak"))
def test_sipsak_registers(
    client: str, transport: str, house: House, ports: Ports, shown: Matrix
) -> None:
    user, password, _ = MOBILE_PBX  # a name that is known without its domain, which sipsak resolves
    contact = f"sip:{user}@{PHONE_HOST}:{ports.take()}"
    signed = ("-u", user, "-a", password)
    sipsak(house, transport, f"{user}@", "-U", "-C", contact, "-x", "600", *signed)
    assert contact in [one["contact"] for one in house.node.show("bindings")]
    shown.shows(client, transport, matrix.REGISTRATION)


@pytest.mark.parametrize(("client", "transport"), ways(matrix.OPTIONS, "sipsak"))
def test_sipsak_asks(client: str, transport: str, house: House, shown: Matrix) -> None:
    assert "SIP/2.0 200 OK" in sipsak(house, transport, "")
    shown.shows(client, transport, matrix.OPTIONS)


@pytest.mark.parametrize(("client", "transport"), ways(matrix.MESSAGE, "sipsak"))
def test_sipsak_writes(
    client: str, transport: str, tmp_path: Path, house: House, shown: Matrix
) -> None:
    """Its own mode for that (-M) crashes in version 0.9.8.1, so the request comes from a file."""
    house.quiet()
    me = house.desk()
    place = f"{WORKSHOP.user}@{house.place(transport)[0]}"
    file = tmp_path / "message"
    file.write_text(WRITTEN.format(place=place, me=me, reader=WORKSHOP))
    signed = ("-u", me.user, "-a", me.password)
    sipsak(house, transport, f"{WORKSHOP.user}@", "-f", str(file), *signed)
    house.peer.expect("message", text="Is lunch ready?")
    shown.shows(client, transport, matrix.MESSAGE)


def sipsak(house: House, transport: str, user: str, *words: str) -> str:
    """Let sipsak ask a node something; return what it says. It must have been answered well."""
    done = asked(house, transport, user, *words, ca=house.authority)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")  # with a fingerprint's bytes
    assert done.returncode == 0, said
    return said


@contextmanager
def aiosip(house: House, transport: str, folder: Path) -> Iterator[Callable[[str], None]]:
    """Let aiosip register. What is yielded tells it a line."""
    house.quiet()
    me, ports = house.desk(), Ports(PHONE_HOST)
    host, _, port = house.place(transport)[0].rpartition(":")
    place = {"host": PHONE_HOST, "port": ports.take(), "node": host, "node_port": int(port)}
    argv = [str(PYTHON), str(AIOSIP), json.dumps({**me._asdict(), **place})]
    process = started(argv, folder)
    try:
        says(folder, "registered 200")
        assert house.has_binding(me)
        yield partial(tell, process)
    finally:
        ended(process, folder)
        ports.close()


def says(folder: Path, words: str) -> None:
    """Wait until aiosip says something."""
    until(words, lambda: words in (folder / "screen.log").read_text())


@pytest.mark.parametrize(("client", "transport"), ways(matrix.REGISTRATION, "aiosip"))
def test_aiosip_registers(
    client: str, transport: str, tmp_path: Path, house: House, shown: Matrix
) -> None:
    with aiosip(house, transport, tmp_path):
        shown.shows(client, transport, matrix.REGISTRATION)


@pytest.mark.parametrize(("client", "transport"), ways(matrix.CALL, "aiosip"))
def test_aiosip_calls(
    client: str, transport: str, tmp_path: Path, house: House, shown: Matrix
) -> None:
    with aiosip(house, transport, tmp_path) as told:
        told(WORKSHOP.user)
        says(tmp_path, "answered")
        house.peer.expect("confirmed")
        told("")
        says(tmp_path, "hung up")
        house.peer.expect("disconnected")
        shown.shows(client, transport, matrix.CALL)
