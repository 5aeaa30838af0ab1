"""A real Kamailio as a carrier that is not to be believed, or that falls silent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sipcore.policy.health import FALL, RISE
from tests.interop.devices import Devices
from tests.interop.doors import Doors
from tests.interop.kamailio import Kamailio
from tests.interop.node import Node, Row, Settings
from tests.interop.ports import HOST, Ports
from tests.interop.town import DESK, OUTSIDE, Town
from tests.interop.waiting import until
from tests.transport.certificates import Authority, Pair

CARRIER = """
[[carrier]]
id = "kamailio"
uri = "sip:{place}"
priority = 0
channels = 10
{more}
"""
HEALTH_S = 5  # the least that can be asked for
FOREIGN, STRANGER = "a certificate for another name", "a certificate by another authority"
SAYS = {
    FOREIGN: f"tls to={HOST} closed: its certificate is for elsewhere.example, not for {HOST}",
    STRANGER: "certificate verify failed",
}


@pytest.fixture
def doors(tmp_path: Path, ports: Ports) -> Doors:
    return Doors(tmp_path, ports)


@pytest.fixture
def settings(doors: Doors) -> Settings:
    return doors.settings()


@pytest.fixture
def shown_pair(request: pytest.FixtureRequest, tmp_path: Path, doors: Doors) -> Pair | None:
    """What Kamailio shows for a certificate; None: one that is good."""
    what = getattr(request, "param", "")
    if what == FOREIGN:
        return doors.authority.issue("elsewhere.example", file="foreign")
    if what == STRANGER:
        return Authority(tmp_path, "stranger").issue(HOST, file="strange")
    return None


@pytest.fixture
def carrier(
    tmp_path: Path, ports: Ports, doors: Doors, shown_pair: Pair | None
) -> Iterator[Kamailio]:
    carrier = Kamailio(tmp_path / "carrier", ports, doors, "carrier", shown_pair)
    words = {"REALM": "x", "PASSWORD": "x", "OUR_NUMBER": "x", "OUR_USER": "x"}
    try:
        carrier.start(NODE_PLACE="contact", **words)
        yield carrier
    finally:
        carrier.end()


@pytest.mark.parametrize(
    ("shown_pair", "words"), SAYS.items(), ids=("name", "authority"), indirect=["shown_pair"]
)
def test_a_carrier_with_a_foreign_certificate_gets_no_call(
    node: Node, carrier: Kamailio, devices: Devices, town: Town, words: str
) -> None:
    place = f"{HOST}:{carrier.tls};transport=tls"
    node.import_(town.provisioning() + CARRIER.format(place=place, more=""))
    other = devices.answer(town.carrier_a)
    devices.call(DESK, OUTSIDE).ends_well()
    other.ends_well()
    cdr = node.only_cdr()
    assert (cdr["carrier"], cdr["tries"], cdr["sip_status"]) == ("carrier-a", 2, 200)
    assert words in node.log
    ended = node.metric("sipcore_connections_ended_total", transport="tls", reason="handshake")
    assert ended >= 1
    assert f"calls {OUTSIDE}" not in carrier.log


@pytest.mark.timeout(90)
def test_a_carrier_that_is_silent_is_left_out_until_it_answers_again_and_again(
    node: Node, carrier: Kamailio, town: Town
) -> None:
    written = CARRIER.format(place=f"{HOST}:{carrier.port}", more=f"health = {HEALTH_S}")
    node.import_(town.provisioning() + written)
    until("it has answered", lambda: counted(node, "alive") >= 1)
    assert row(node)["state"] == "good"

    before = counted(node, "dead")
    carrier.fall_silent()
    until("it is down", lambda: row(node)["state"] == "down", 6 * HEALTH_S)
    assert counted(node, "dead") - before == FALL

    before = counted(node, "alive")
    carrier.speak_again()
    until("it is good", lambda: row(node)["state"] == "good", 6 * HEALTH_S)
    assert counted(node, "alive") - before == RISE


def counted(node: Node, result: str) -> float:
    """Return how many questions to carriers have been answered, or not."""
    return node.metric("sipcore_health_checks_total", result=result)


def row(node: Node) -> Row:
    """Return how the node says that the carrier stands."""
    return next(one for one in node.show("trunks") if one["id"] == "kamailio")
