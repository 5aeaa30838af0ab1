"""Customers' PBXs as trunks: one known by its address, one by digest."""

from tests.interop.devices import Devices
from tests.interop.node import Node
from tests.interop.town import (
    FIXED_PBX_NUMBER,
    MOBILE_PBX,
    MOBILE_PBX_NUMBER,
    OUTSIDE,
    OUTSIDE_E164,
    Town,
    e164,
)


def test_a_pbx_at_its_address_calls_out(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a)
    pbx = devices.call_from(town.fixed_pbx, FIXED_PBX_NUMBER, OUTSIDE)
    pbx.ends_well()
    carrier.ends_well()
    assert pbx.names_received() == ["100", "180", "200", "200"]
    cdr = node.only_cdr()
    assert (cdr["direction"], cdr["trunk"], cdr["device"]) == ("outbound", "fixed-pbx", "pbx")
    assert (cdr["caller_shown"], cdr["callee_routed"]) == (e164(FIXED_PBX_NUMBER), OUTSIDE_E164)
    assert (cdr["carrier"], cdr["account"]) == ("carrier-a", "beta-1")


def test_a_pbx_at_its_address_is_called(node: Node, devices: Devices, town: Town) -> None:
    pbx = devices.answer(town.fixed_pbx)
    carrier = devices.call_from(town.carrier_a, OUTSIDE, FIXED_PBX_NUMBER)
    carrier.ends_well()
    pbx.ends_well()
    [invite] = pbx.received("INVITE")
    assert invite.text.startswith(f"INVITE sip:{FIXED_PBX_NUMBER}@")
    cdr = node.only_cdr()
    assert (cdr["direction"], cdr["trunk"], cdr["carrier"]) == ("inbound", "fixed-pbx", "carrier-a")
    assert (cdr["sip_status"], cdr["ended_by"]) == (200, "caller")


def test_a_pbx_signs_in_to_call_out(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a)
    pbx = devices.call(MOBILE_PBX, OUTSIDE, caller=MOBILE_PBX_NUMBER)
    pbx.ends_well()
    carrier.ends_well()
    assert pbx.names_received() == ["401", "100", "180", "200", "200"]
    cdr = node.only_cdr()
    assert (cdr["direction"], cdr["trunk"], cdr["customer"]) == ("outbound", "mobile-pbx", "beta")
    assert cdr["caller_shown"] == e164(MOBILE_PBX_NUMBER)


def test_a_pbx_that_registers_is_called_at_its_contact(
    node: Node, devices: Devices, town: Town
) -> None:
    pbx = devices.answer(devices.register(MOBILE_PBX))
    carrier = devices.call_from(town.carrier_a, OUTSIDE, MOBILE_PBX_NUMBER)
    carrier.ends_well()
    pbx.ends_well()
    [invite] = pbx.received("INVITE")
    assert invite.text.startswith(f"INVITE sip:{MOBILE_PBX_NUMBER}@")
    cdr = node.only_cdr()
    assert (cdr["direction"], cdr["trunk"]) == ("inbound", "mobile-pbx")
    assert cdr["callee_routed"] == e164(MOBILE_PBX_NUMBER)
