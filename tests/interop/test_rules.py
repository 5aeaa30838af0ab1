"""What the switch refuses, as the table in service.md section 5 has it."""

from tests.interop.devices import Devices
from tests.interop.node import Node
from tests.interop.town import (
    ACME_NUMBER,
    DESK,
    OUTSIDE,
    SOLO_DESK,
    SOLO_NUMBER,
    SOLO_OTHER,
    Town,
    e164,
)

FOREIGN = "02088887777"


def test_the_second_call_on_one_channel_is_refused_but_not_110(
    node: Node, devices: Devices, town: Town
) -> None:
    carrier = devices.answer(town.carrier_a, calls=2)
    first = devices.call(SOLO_DESK, OUTSIDE, ms=5000)
    first.wait_for("200")

    outbound = devices.call(SOLO_OTHER, OUTSIDE, "call_refused")
    outbound.ends_well()
    assert "Q.850;cause=21" in outbound.received("403")[0].header("Reason")

    inbound = devices.call_from(town.carrier_b, OUTSIDE, SOLO_NUMBER, "call_refused")
    inbound.ends_well()
    assert "Q.850;cause=17" in inbound.received("486")[0].header("Reason")

    emergency = devices.call(SOLO_OTHER, "110")
    emergency.ends_well()
    first.ends_well()
    carrier.ends_well()
    assert len(carrier.received("INVITE")) == 2

    cdrs = node.wait_for_cdrs(4)
    ended = [(cdr["sip_status"], cdr["q850_cause"], cdr["rule"]) for cdr in cdrs]
    assert ended == [
        (403, 21, "concurrency"),
        (486, 17, "concurrency"),
        (200, 16, None),
        (200, 16, None),
    ]
    assert [cdr["direction"] for cdr in cdrs] == ["outbound", "inbound", "outbound", "outbound"]
    assert cdrs[2]["callee_dialled"] == "110"
    assert cdrs[2]["ended_at"] < cdrs[3]["ended_at"]


def test_a_free_channel_can_be_used_again(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a, calls=2)
    for _ in range(2):
        devices.call(SOLO_DESK, OUTSIDE).ends_well()
    carrier.ends_well()
    assert [cdr["sip_status"] for cdr in node.wait_for_cdrs(2)] == [200, 200]


def test_a_foreign_number_is_refused(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a)
    phone = devices.call(DESK, OUTSIDE, "call_refused", caller=FOREIGN)
    phone.ends_well()
    reason = phone.received("403")[0].header("Reason")
    assert "Q.850;cause=21" in reason
    assert "display-number" in reason
    cdr = node.only_cdr()
    assert (cdr["sip_status"], cdr["rule"]) == (403, "display-number")
    assert (cdr["caller_asserted"], cdr["caller_shown"]) == (FOREIGN, None)
    assert FOREIGN in cdr["reason"]
    assert (cdr["tries"], cdr["carrier"]) == (0, None)
    assert carrier.seen() == []


def test_a_number_of_ones_own_is_shown(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a)
    phone = devices.call(DESK, OUTSIDE, caller=ACME_NUMBER)
    phone.ends_well()
    carrier.ends_well()
    [invite] = carrier.received("INVITE")
    assert invite.header("P-Asserted-Identity").startswith(f"<sip:{ACME_NUMBER}@")
    cdr = node.only_cdr()
    assert (cdr["caller_asserted"], cdr["caller_shown"]) == (ACME_NUMBER, e164(ACME_NUMBER))
