"""Clients that look at our certificate: those that believe another authority stay outside."""

from pathlib import Path

import pytest

from tests.interop import matrix
from tests.interop.clients.pjsua import Pjsua
from tests.interop.clients.sipsak import asked
from tests.interop.house import House
from tests.interop.matrix import CLIENTS, Matrix, ways
from tests.interop.stage import Stage
from tests.interop.waiting import until
from tests.transport.certificates import Authority

SIPSAK = "sipsak"
WAYS = [one for name in CLIENTS for one in ways(matrix.TRUST, name)]


@pytest.mark.parametrize(("client", "transport"), [one for one in WAYS if one[0] != SIPSAK])
def test_a_phone_that_believes_another_authority_does_not_come_in(
    client: str, transport: str, house: House, tmp_path: Path, shown: Matrix
) -> None:
    def refused() -> float:
        name = "sipcore_connections_ended_total"
        return house.node.metric(name, transport=transport.lower(), reason="handshake")

    before = refused()
    stage = Stage(house, tmp_path, client, transport, Authority(tmp_path, "stranger").file)
    try:
        if isinstance(stage.phone, Pjsua):  # it looks when the handshake is done
            stage.phone.expect("registration", status=503)
        else:
            until("it has ended the handshake", lambda: refused() > before)
        assert not house.has_binding(stage.me)
        stage.shows(shown, matrix.TRUST)
    finally:
        stage.close()


@pytest.mark.parametrize(("client", "transport"), [one for one in WAYS if one[0] == SIPSAK])
def test_sipsak_asks_nobody_whom_it_does_not_believe(
    client: str, transport: str, house: House, tmp_path: Path, shown: Matrix
) -> None:
    said = asked(house, transport, "", ca=Authority(tmp_path, "stranger").file)
    assert said.returncode != 0
    assert b"SIP/2.0 200" not in said.stdout
    assert b"The certificate is not trustworthy" in said.stdout + said.stderr
    shown.shows(client, transport, matrix.TRUST)
