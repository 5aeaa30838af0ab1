"""A side that sends no sound: it is asked; a call whose sides are both silent is ended."""

import pytest

from tests.interop.devices import Devices
from tests.interop.node import Node, Settings
from tests.interop.rtp import Talker, place_of
from tests.interop.town import DESK, OUTSIDE, Town

SILENCE_S = 2


@pytest.fixture
def settings() -> Settings:
    return Settings(silence_s=SILENCE_S)


def test_a_call_without_any_sound_is_ended(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a)
    phone = devices.call(DESK, OUTSIDE, "call_until_bye")
    phone.ends_well()
    carrier.ends_well()
    assert "OPTIONS" not in phone.names_received() + carrier.names_received()
    up_s = phone.received("BYE")[0].at - phone.received("200")[0].at
    assert SILENCE_S - 0.1 < up_s < SILENCE_S + 4
    cdr = node.only_cdr()
    assert cdr["inferred_end"]
    assert (cdr["sip_status"], cdr["q850_cause"], cdr["ended_by"]) == (200, 102, "node")
    assert cdr["reason"] == "both sides silent"
    assert cdr["talked_s"] < up_s - SILENCE_S + 0.5


def test_a_side_that_is_silent_and_answers_stays(node: Node, devices: Devices, town: Town) -> None:
    carrier = devices.answer(town.carrier_a, more=["-aa"])
    phone = devices.call(DESK, OUTSIDE, ms=7000)
    with Talker(phone.rtp_port, place_of(phone.wait_for("200"))):
        phone.ends_well()
    carrier.ends_well()
    asked_after_s = carrier.received("OPTIONS")[0].at - carrier.received("ACK")[0].at
    assert SILENCE_S < asked_after_s < SILENCE_S + 3.5
    assert not phone.received("OPTIONS")
    cdr = node.only_cdr()
    assert (cdr["ended_by"], cdr["inferred_end"]) == ("caller", False)
    assert cdr["a_packets"] > 300
    assert cdr["b_packets"] == 0
