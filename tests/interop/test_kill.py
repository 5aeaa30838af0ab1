"""kill -9 in a call: of signalling, of the supervisor, of the whole node."""

import time
from datetime import datetime

import pytest

from tests.interop.devices import Devices
from tests.interop.node import Node, Row
from tests.interop.talking import talk
from tests.interop.town import DESK, WORKSHOP
from tests.interop.waiting import stays, until

ALIVE_S = 5.0  # how often the journal notes who is alive


def test_signalling_is_killed_in_a_call(node: Node, devices: Devices) -> None:
    with talk(devices) as up:
        up.fall_silent()
        stays("the node lives", node.pids, 1.0)
        killed_at = time.time()
        node.kill(role="signalling")
        cdr = node.only_cdr(10)
        until("the node is ready again", lambda: node.get("/ready") == 200)
        up.phone.ends_well()
        up.carrier.ends_well()
    check_inferred(cdr)
    assert seconds(cdr["ended_at"]) == pytest.approx(up.last_packet_at, abs=0.3)
    assert seconds(cdr["ended_at"]) < killed_at - 0.5
    assert "ended at its last sign of life" in node.log


def test_the_whole_node_is_killed_in_a_call(node: Node, devices: Devices) -> None:
    with talk(devices):
        stays("the node lives", node.pids, ALIVE_S + 1)
        killed_at = time.time()
        node.kill_all()
    node.start()
    cdr = node.only_cdr()
    check_inferred(cdr)
    assert killed_at - ALIVE_S - 1 < seconds(cdr["ended_at"]) <= killed_at
    node.kill_all()
    node.start()
    assert node.cdrs() == [cdr]


def test_bindings_outlive_the_node(node: Node, devices: Devices) -> None:
    port = devices.register(WORKSHOP)
    until("the binding is on disk", lambda: node.show("bindings"))
    stays("the node lives", node.pids, 0.5)
    node.kill_all()
    node.start()
    workshop = devices.answer(port)
    devices.call(DESK, WORKSHOP.user).ends_well()
    workshop.ends_well()
    assert node.only_cdr()["sip_status"] == 200


def test_the_children_of_a_killed_supervisor_end_within_1_s(node: Node, devices: Devices) -> None:
    with talk(devices):
        node.kill()
        until("all children have ended", lambda: not node.pids(), 1.0)
    assert len(node.cdrs()) <= 1
    node.start()
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["carrier"]) == (200, "carrier-a")


def check_inferred(cdr: Row) -> None:
    assert cdr["inferred_end"]
    assert (cdr["sip_status"], cdr["carrier"]) == (200, "carrier-a")
    talked_s = seconds(cdr["ended_at"]) - seconds(cdr["answered_at"])
    assert cdr["talked_s"] == pytest.approx(talked_s, abs=0.05)


def seconds(time_of_day: str) -> float:
    return datetime.fromisoformat(time_of_day).timestamp()
