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

AIOSIP = Path(__file__).parent / "clients" / "aiosip_phone.py"


@pytest.mark.parametrize(("client", "transport"), ways(matrix.REGISTRATION, "sipsak"))
def test_sipsak_registers(
    client: str, transport: str, node: Node, ports: Ports, shown: Matrix
) -> None:
    require("sipsak")
    user, password, _ = MOBILE_PBX  # a name that is known without its domain, which sipsak resolves
    contact = f"sip:{user}@{HOST}:{ports.take()}"
    argv = ["sipsak", "-U", "-s", f"sip:{user}@{HOST}:{node.sip}", "-C", contact, "-x", "600"]
    argv += ["-u", user, "-a", password, "-E", transport.lower(), "-H", HOST, "-vv"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [binding] = node.show("bindings")
    assert binding["contact"] == contact
    shown.shows(client, transport, matrix.REGISTRATION)


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
