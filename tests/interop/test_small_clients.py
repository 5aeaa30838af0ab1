"""Clients that are no phones: sipsak asks a server, aiosip is a library of 2017."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.interop import matrix
from tests.interop.clients.base import ended, started, tell
from tests.interop.clients.pjsua import PYTHON
from tests.interop.devices import Devices
from tests.interop.matrix import Matrix, ways
from tests.interop.node import Node
from tests.interop.ports import HOST, Ports
from tests.interop.town import DESK, MOBILE_PBX, WORKSHOP
from tests.interop.waiting import until
from tests.packages import require

WRITTEN = """MESSAGE sip:{place} SIP/2.0
Max-Forwards: 70
From: <sip:{me.user}@{me.domain}>;tag=1
To: <sip:{reader.user}@{reader.domain}>
Call-ID: written
CSeq: 1 MESSAGE
Content-Type: text/plain
Content-Length: 15

Is lunch ready?"""
AIOSIP = Path(__file__).parent / "clients" / "aiosip_phone.py"


@pytest.mark.parametrize(("client", "transport"), ways(matrix.REGISTRATION, "sipsak"))
def test_sipsak_registers(
    client: str, transport: str, node: Node, ports: Ports, shown: Matrix
) -> None:
    user, password, _ = MOBILE_PBX  # a name that is known without its domain, which sipsak resolves
    contact = f"sip:{user}@{HOST}:{ports.take()}"
    place = f"{user}@{HOST}:{node.sip}"
    sipsak(transport, place, "-U", "-C", contact, "-x", "600", "-u", user, "-a", password)
    [binding] = node.show("bindings")
    assert binding["contact"] == contact
    shown.shows(client, transport, matrix.REGISTRATION)


@pytest.mark.parametrize(("client", "transport"), ways(matrix.OPTIONS, "sipsak"))
def test_sipsak_asks(client: str, transport: str, node: Node, shown: Matrix) -> None:
    said = sipsak(transport, f"{HOST}:{node.sip}")
    assert "SIP/2.0 200 OK" in said
    shown.shows(client, transport, matrix.OPTIONS)


@pytest.mark.parametrize(("client", "transport"), ways(matrix.MESSAGE, "sipsak"))
def test_sipsak_writes(
    client: str, transport: str, tmp_path: Path, node: Node, devices: Devices, shown: Matrix
) -> None:
    """Its own mode for that (-M) crashes in version 0.9.8.1, so the request comes from a file."""
    reader = devices.sipp.listen("take_message", port=devices.register(WORKSHOP))
    place = f"{WORKSHOP.user}@{HOST}:{node.sip}"
    file = tmp_path / "message"
    file.write_text(WRITTEN.format(place=place, me=DESK, reader=WORKSHOP))
    sipsak(transport, place, "-f", str(file), "-u", DESK.user, "-a", DESK.password)
    reader.ends_well()
    [message] = reader.received("MESSAGE")
    assert message.text.strip().endswith("Is lunch ready?")
    shown.shows(client, transport, matrix.MESSAGE)


def sipsak(transport: str, place: str, *words: str) -> str:
    """Let sipsak ask a node something; return what it says. It must have been answered well."""
    require("sipsak")
    argv = ["sipsak", "-s", f"sip:{place}", "-E", transport.lower(), "-H", HOST, "-vvv", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_aiosip_registers_and_calls(
    tmp_path: Path, node: Node, ports: Ports, devices: Devices, shown: Matrix
) -> None:
    callee = devices.answer(devices.register(WORKSHOP))
    told = {
        **DESK._asdict(),
        "host": HOST,
        "port": ports.take(),
        "node": HOST,
        "node_port": node.sip,
        "callee": WORKSHOP.user,
    }
    aiosip = started([str(PYTHON), str(AIOSIP), json.dumps(told)], tmp_path)
    screen = tmp_path / "screen.log"
    try:
        until("it is registered", lambda: "registered 200" in screen.read_text())
        shown.shows("aiosip", "UDP", matrix.REGISTRATION)
        until("it is answered", lambda: "answered" in screen.read_text())
        callee.wait_for("ACK")
        tell(aiosip, "")
        until("it has hung up", lambda: "hung up" in screen.read_text())
        assert node.only_cdr()["ended_by"] == "caller"
        shown.shows("aiosip", "UDP", matrix.CALL)
    finally:
        ended(aiosip, tmp_path)
