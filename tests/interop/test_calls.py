"""A phone of SIPp, the node, a carrier of SIPp: calls that go well."""

import pytest

from tests.interop.devices import Devices
from tests.interop.node import Node
from tests.interop.town import ACME_NUMBER, DESK, OUTSIDE, OUTSIDE_E164, WORKSHOP, Town, e164


def test_a_phone_calls_a_carrier(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a)
    phone = devices.call(DESK, OUTSIDE, ms=300)
    phone.ends_well()
    carrier.ends_well()
    assert phone.names_received() == ["401", "100", "180", "200", "200"]
    assert carrier.names_received() == ["INVITE", "ACK", "BYE"]
    [invite] = carrier.received("INVITE")
    assert invite.header("From").startswith(f"<sip:{ACME_NUMBER}@")
    cdr = node.only_cdr()
    assert (cdr["direction"], cdr["customer"], cdr["account"]) == ("outbound", "acme", "acme-1")
    assert (cdr["caller_shown"], cdr["callee_dialled"]) == (e164(ACME_NUMBER), OUTSIDE)
    assert (cdr["callee_routed"], cdr["carrier"], cdr["tries"]) == (OUTSIDE_E164, "carrier-a", 1)
    assert (cdr["sip_status"], cdr["q850_cause"], cdr["ended_by"]) == (200, 16, "caller")
    assert 0.2 < cdr["talked_s"] < 3
    assert cdr["setup_at"] < cdr["ringing_at"] < cdr["answered_at"] < cdr["ended_at"]
    assert not cdr["inferred_end"]


def test_a_carrier_hangs_up_on_a_phone(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a, "answer_and_hang_up", ms=300)
    phone = devices.call(DESK, OUTSIDE, "call_until_bye")
    phone.ends_well()
    carrier.ends_well()
    assert phone.names_received() == ["401", "100", "180", "200", "BYE"]
    cdr = node.only_cdr()
    assert (cdr["ended_by"], cdr["sip_status"], cdr["q850_cause"]) == ("callee", 200, 16)


@pytest.mark.parametrize(
    ("callee", "caller", "ended_by"),
    [("answer", "call", "caller"), ("answer_and_hang_up", "call_until_bye", "callee")],
)
def test_a_carrier_calls_a_phone_and_either_hangs_up(
    node: Node, devices: Devices, town: Town, callee: str, caller: str, ended_by: str
) -> None:
    phone = devices.answer(devices.register(DESK), callee)
    carrier = devices.call_from(town.carrier_a, OUTSIDE, ACME_NUMBER, caller)
    carrier.ends_well()
    phone.ends_well()
    assert "401" not in carrier.names_received()
    [invite] = phone.received("INVITE")
    assert invite.header("From").startswith(f"<sip:{OUTSIDE_E164}@")
    cdr = node.only_cdr()
    assert (cdr["direction"], cdr["carrier"], cdr["customer"]) == ("inbound", "carrier-a", "acme")
    assert (cdr["caller_shown"], cdr["callee_dialled"]) == (OUTSIDE_E164, ACME_NUMBER)
    assert (cdr["ended_by"], cdr["sip_status"]) == (ended_by, 200)


def test_a_phone_calls_another_phone(node: Node, devices: Devices) -> None:
    workshop = devices.answer(devices.register(WORKSHOP))
    desk = devices.call(DESK, WORKSHOP.user)
    desk.ends_well()
    workshop.ends_well()
    [invite] = workshop.received("INVITE")
    assert invite.header("From").startswith('"Front desk" <sip:8001@')
    cdr = node.only_cdr()
    assert (cdr["direction"], cdr["caller_shown"]) == ("internal", DESK.user)
    assert (cdr["callee_routed"], cdr["device"]) == (WORKSHOP.user, "phone")


def test_a_phone_calls_over_tcp(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a)
    phone = devices.call(DESK, OUTSIDE, transport="t1")
    phone.ends_well()
    carrier.ends_well()
    assert phone.received("200")[0].header("Via").startswith("SIP/2.0/TCP")
    assert node.only_cdr()["sip_status"] == 200


def test_hold_and_back(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a, "answer_and_be_held")
    phone = devices.call(DESK, OUTSIDE, "call_and_hold", ms=300)
    phone.ends_well()
    carrier.ends_well()
    directions = [direction_of(invite.text) for invite in carrier.received("INVITE")]
    assert directions == ["sendrecv", "sendonly", "sendrecv"]
    answers = [one for one in phone.received("200") if one.header("CSeq").endswith("INVITE")]
    assert [direction_of(one.text) for one in answers] == ["sendrecv", "recvonly", "sendrecv"]
    assert node.only_cdr()["sip_status"] == 200


def direction_of(message: str) -> str:
    """Return the direction of the stream in a message's SDP."""
    lines = [line.strip() for line in message.splitlines()]
    said = [line for line in lines if line in ("a=sendonly", "a=recvonly", "a=inactive")]
    return said[0].removeprefix("a=") if said else "sendrecv"
