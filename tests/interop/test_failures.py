"""Calls that end without an answer, and carriers that fail: what each side and the CDR say."""

import pytest

from tests.interop.devices import Devices
from tests.interop.node import Node
from tests.interop.silent import Silent
from tests.interop.town import DESK, OUTSIDE, WORKSHOP, Town

RING_S = 60.0  # how long an extension rings


def test_the_caller_gives_up_while_it_rings(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a, "ring")
    phone = devices.call(DESK, OUTSIDE, "call_and_cancel", ms=300)
    phone.ends_well()
    carrier.ends_well()
    assert phone.names_received()[-3:] == ["180", "200", "487"]
    assert carrier.names_received() == ["INVITE", "CANCEL", "ACK"]
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["q850_cause"], cdr["ended_by"]) == (487, 16, "caller")
    assert cdr["ringing_at"] is not None
    assert (cdr["answered_at"], cdr["talked_s"]) == (None, None)


def test_busy(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.refuse(town.carrier_a, 486, "Busy Here")
    phone = devices.call(DESK, OUTSIDE, "call_refused")
    phone.ends_well()
    carrier.ends_well()
    assert "cause=17" in phone.received("486")[0].header("Reason")
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["q850_cause"], cdr["ended_by"]) == (486, 17, "callee")
    assert (cdr["tries"], cdr["rule"]) == (1, None)


def test_the_network_says_that_there_is_no_answer(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.refuse(town.carrier_a, 480, "No Answer")
    phone = devices.call(DESK, OUTSIDE, "call_refused")
    phone.ends_well()
    carrier.ends_well()
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["ended_by"]) == (480, "callee")


@pytest.mark.long
@pytest.mark.timeout(120)
def test_nobody_answers_an_extension(node: Node, devices: Devices) -> None:
    workshop = devices.answer(devices.register(WORKSHOP), "ring")
    desk = devices.call(DESK, WORKSHOP.user, "call_refused")
    desk.ends_well(RING_S + 10)
    workshop.ends_well()
    assert "cause=19" in workshop.received("CANCEL")[0].header("Reason")
    rung_s = desk.received("480")[0].at - desk.received("180")[0].at
    assert rung_s == pytest.approx(RING_S, abs=1)
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["q850_cause"], cdr["ended_by"]) == (480, 19, "node")


def test_an_extension_that_is_not_registered(node: Node, devices: Devices) -> None:
    desk = devices.call(DESK, WORKSHOP.user, "call_refused")
    desk.ends_well()
    assert "cause=20" in desk.received("480")[0].header("Reason")
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["q850_cause"], cdr["tries"]) == (480, 20, 1)


def test_a_carrier_that_answers_503_is_passed_over(
    node: Node, devices: Devices, town: Town
) -> None:
    carrier_a = devices.refuse(town.carrier_a, 503, "Service Unavailable")
    carrier_b = devices.answer(town.carrier_b)
    phone = devices.call(DESK, OUTSIDE)
    phone.ends_well()
    carrier_a.ends_well()
    carrier_b.ends_well()
    assert "503" not in phone.names_received()
    cdr = node.only_cdr()
    assert (cdr["carrier"], cdr["tries"], cdr["sip_status"]) == ("carrier-b", 2, 200)


def test_a_carrier_that_is_silent_is_passed_over_after_4_s(
    node: Node, devices: Devices, town: Town
) -> None:
    with Silent(town.carrier_a) as carrier_a:
        carrier_b = devices.answer(town.carrier_b)
        phone = devices.call(DESK, OUTSIDE)
        phone.ends_well()
        carrier_b.ends_well()
    asked_at, first = carrier_a.heard[0]
    assert first.startswith(b"INVITE ")
    waited_s = carrier_b.received("INVITE")[0].at - asked_at
    assert waited_s == pytest.approx(4.0, abs=0.4)
    cdr = node.only_cdr()
    assert (cdr["carrier"], cdr["tries"], cdr["sip_status"]) == ("carrier-b", 2, 200)


def test_with_no_carrier_left_the_network_is_busy(node: Node, devices: Devices, town: Town) -> None:
    carrier_a = devices.refuse(town.carrier_a, 503, "Service Unavailable")
    carrier_b = devices.refuse(town.carrier_b, 500, "Server Internal Error")
    phone = devices.call(DESK, OUTSIDE, "call_refused")
    phone.ends_well()
    carrier_a.ends_well()
    carrier_b.ends_well()
    assert "cause=34" in phone.received("503")[0].header("Reason")
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["q850_cause"], cdr["rule"]) == (503, 34, "carriers")
    assert (cdr["tries"], cdr["ended_by"]) == (2, "node")
