"""SIGTERM in a call: no new calls, time to finish, then BYE with a Reason; and a second SIGTERM."""

import signal
import time

import pytest

from tests.interop.devices import Devices
from tests.interop.node import Node, Settings
from tests.interop.talking import talk
from tests.interop.town import DESK, OUTSIDE

SHORT, LONG = Settings(drain_s=2), Settings(drain_s=60)


@pytest.mark.parametrize("settings", [SHORT], ids=["drain 2 s"])
def test_a_call_is_ended_when_the_time_to_finish_is_over(node: Node, devices: Devices) -> None:
    with talk(devices) as up:
        told_at = time.time()
        node.kill(signal.SIGTERM)
        up.phone.wait_for("BYE")
        up.carrier.wait_for("BYE")
        assert node.wait(5) == 0
    for peer in (up.phone, up.carrier):
        [bye] = peer.received("BYE")
        assert bye.at - told_at == pytest.approx(2.0, abs=0.5)
        assert 'Q.850;cause=41;text="the node stops"' in bye.header("Reason")
        peer.ends_well()
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["q850_cause"], cdr["ended_by"]) == (200, 41, "node")
    assert not cdr["inferred_end"]


@pytest.mark.parametrize("settings", [LONG], ids=["drain 60 s"])
def test_new_calls_get_503_and_a_call_may_finish(node: Node, devices: Devices) -> None:
    with talk(devices, ms=3000) as up:
        node.kill(signal.SIGTERM)
        refused = devices.call(DESK, OUTSIDE, "call_refused")
        refused.ends_well()
        assert refused.names_received() == ["401", "100", "503"]
        assert refused.received("503")[0].header("Retry-After").isdigit()
        assert node.get("/ready") == 503
        up.phone.ends_well()
        up.carrier.ends_well()
        assert node.wait(5) == 0
    late, cdr = node.wait_for_cdrs(2)
    assert (late["sip_status"], late["ended_by"], late["tries"]) == (503, "node", 0)
    assert (cdr["sip_status"], cdr["ended_by"]) == (200, "caller")
    assert cdr["talked_s"] == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize("settings", [LONG], ids=["drain 60 s"])
def test_a_second_signal_ends_the_node_at_once(node: Node, devices: Devices) -> None:
    with talk(devices) as up:
        node.kill(signal.SIGTERM)
        up.phone.stays_up(0.5)
        told_at = time.time()
        node.kill(signal.SIGTERM)
        assert node.wait(3) == 0
    for peer in (up.phone, up.carrier):
        peer.ends_well()
        assert peer.received("BYE")[0].at - told_at < 1.0
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["ended_by"]) == (200, "node")
