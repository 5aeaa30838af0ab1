"""Each message of a call is lost once, on either leg: the call succeeds, and has one CDR.

A phone of SIPp, a lossy path, the node, a lossy path, a carrier of SIPp.
"""

from collections.abc import Iterator

import pytest

from tests.interop.devices import Devices
from tests.interop.lossy import Loss, LossyPath
from tests.interop.node import Node, Settings, running
from tests.interop.ports import Ports
from tests.interop.town import DESK, OUTSIDE, Town

TALK_MS = 1200  # longer than an answer takes to be repeated twice
LINGER_MS = 900  # a lost last message is asked for again after 500 ms

PHONE_HANGS_UP = [
    ("phone", "1 INVITE"),
    ("node", "401 to 1 INVITE"),
    ("phone", "1 ACK"),
    ("phone", "2 INVITE"),
    ("node", "100 to 2 INVITE"),
    ("node", "180 to 2 INVITE"),
    ("node", "200 to 2 INVITE"),
    ("phone", "2 ACK"),
    ("phone", "3 BYE"),
    ("node", "200 to 3 BYE"),
]
CARRIER_IS_HUNG_UP_ON = [
    ("node", "1 INVITE"),
    ("carrier", "180 to 1 INVITE"),
    ("carrier", "200 to 1 INVITE"),
    ("node", "1 ACK"),
    ("node", "2 BYE"),
    ("carrier", "200 to 2 BYE"),
]
CARRIER_HANGS_UP = [
    ("carrier", "2 BYE"),
    ("node", "200 to 2 BYE"),
]
PHONE_IS_HUNG_UP_ON = [
    ("node", "1 BYE"),
    ("phone", "200 to 1 BYE"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Town]]:
    ports = Ports()
    town = Town(ports)
    with running(tmp_path_factory.mktemp("node"), ports, town, Settings()) as node:
        yield node, town
    ports.close()


@pytest.fixture
def town(place: tuple[Node, Town]) -> Town:
    return place[1]


@pytest.fixture
def node(place: tuple[Node, Town]) -> Node:
    """One for all of these tests: a call leaves nothing behind but its CDR."""
    place[0].forget()
    return place[0]


class Paths:
    """The lossy paths of both legs."""

    def __init__(self, a: LossyPath, b: LossyPath) -> None:
        self.a, self.b = a, b


@pytest.fixture
def paths(node: Node, devices: Devices, ports: Ports, town: Town) -> Iterator[Paths]:
    phone, carrier = devices.sipp.port(), devices.sipp.port()
    with (
        LossyPath(ports, node.sip, phone) as a,
        LossyPath(ports, node.sip, carrier, town.carrier_a) as b,
    ):
        yield Paths(a, b)


def run_call(devices: Devices, paths: Paths, phone: str = "call", carrier: str = "answer") -> None:
    a, b = paths.a, paths.b
    callee = devices.answer(b.peer, carrier, ms=200, linger_ms=LINGER_MS, contact_port=b.node_side)
    caller = devices.call(
        DESK,
        OUTSIDE,
        phone,
        ms=TALK_MS,
        linger_ms=LINGER_MS,
        port=a.peer,
        towards=a.peer_side,
        contact_port=a.node_side,
    )
    caller.ends_well()
    callee.ends_well()


def check_cdr(node: Node, ended_by: str) -> None:
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["ended_by"]) == (200, ended_by)
    assert (cdr["carrier"], cdr["tries"]) == ("carrier-a", 1)
    assert not cdr["inferred_end"]


@pytest.mark.parametrize(("sender", "name"), PHONE_HANGS_UP)
def test_lost_between_phone_and_node(
    node: Node, devices: Devices, paths: Paths, sender: str, name: str
) -> None:
    paths.a.lose(Loss(name, to_node=sender == "phone"))
    run_call(devices, paths)
    assert paths.a.lost == 1, paths.a.passed
    check_cdr(node, "caller")


@pytest.mark.parametrize(("sender", "name"), CARRIER_IS_HUNG_UP_ON)
def test_lost_between_node_and_carrier(
    node: Node, devices: Devices, paths: Paths, sender: str, name: str
) -> None:
    paths.b.lose(Loss(name, to_node=sender == "carrier"))
    run_call(devices, paths)
    assert paths.b.lost == 1, paths.b.passed
    check_cdr(node, "caller")


@pytest.mark.parametrize(("sender", "name"), CARRIER_HANGS_UP)
def test_lost_when_the_carrier_hangs_up(
    node: Node, devices: Devices, paths: Paths, sender: str, name: str
) -> None:
    paths.b.lose(Loss(name, to_node=sender == "carrier"))
    run_call(devices, paths, "call_until_bye", "answer_and_hang_up")
    assert paths.b.lost == 1, paths.b.passed
    check_cdr(node, "callee")


@pytest.mark.parametrize(("sender", "name"), PHONE_IS_HUNG_UP_ON)
def test_lost_when_the_phone_is_hung_up_on(
    node: Node, devices: Devices, paths: Paths, sender: str, name: str
) -> None:
    paths.a.lose(Loss(name, to_node=sender == "phone"))
    run_call(devices, paths, "call_until_bye", "answer_and_hang_up")
    assert paths.a.lost == 1, paths.a.passed
    check_cdr(node, "callee")


def test_these_are_all_messages_of_a_call(devices: Devices, paths: Paths) -> None:
    run_call(devices, paths)
    assert sorted(set(paths.a.passed)) == sorted(name for _, name in PHONE_HANGS_UP)
    assert sorted(set(paths.b.passed)) == sorted(name for _, name in CARRIER_IS_HUNG_UP_ON)
