"""Two baresips talk through the node, and each hears the tone that the other plays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.interop.baresips import DESK_HZ, WORKSHOP_HZ, two_baresips
from tests.interop.clients.baresip import Baresip
from tests.interop.node import Node
from tests.interop.tones import RATE, read, share
from tests.interop.town import WORKSHOP
from tests.interop.waiting import stays, until

TALK_S = 4.0


@pytest.fixture
def phones(tmp_path: Path, node: Node) -> Iterator[tuple[Baresip, Baresip]]:
    with two_baresips(tmp_path, node) as both:
        yield both


def test_each_hears_the_tone_that_the_other_plays(
    node: Node, phones: tuple[Baresip, Baresip]
) -> None:
    desk, workshop = phones
    desk.tell("dial", f"sip:{WORKSHOP.user}@{WORKSHOP.domain}")
    desk.wait_for("CALL_ESTABLISHED")
    workshop.wait_for("CALL_ESTABLISHED")
    stays("the call is up", lambda: len(node.show("calls")) == 1, TALK_S)
    desk.tell("hangup")
    workshop.wait_for("CALL_CLOSED")

    for phone, hears, plays in (
        (desk, WORKSHOP_HZ, DESK_HZ),
        (workshop, DESK_HZ, WORKSHOP_HZ),
    ):
        samples = read(phone.heard())
        assert len(samples) > (TALK_S - 1) * RATE
        middle = samples[RATE // 2 : -RATE // 2]
        assert np.abs(middle).max() > 8000
        assert share(middle, hears) > 0.95
        assert share(middle, plays) < 0.001

    cdr = node.only_cdr()
    assert (cdr["direction"], cdr["sip_status"], cdr["ended_by"]) == ("internal", 200, "caller")
    for side in ("a", "b"):
        assert cdr[f"{side}_codec"] == "PCMA"
        assert cdr[f"{side}_packets"] > (TALK_S - 1) * 50
        assert cdr[f"{side}_lost"] <= 2
        assert cdr[f"{side}_jitter_ms"] < 20
        assert cdr[f"{side}_mos"] > 4


def test_hold_and_back(node: Node, phones: tuple[Baresip, Baresip]) -> None:
    desk, workshop = phones
    desk.tell("dial", f"sip:{WORKSHOP.user}@{WORKSHOP.domain}")
    desk.wait_for("CALL_ESTABLISHED")
    workshop.wait_for("CALL_ESTABLISHED")
    until("both are heard", lambda: min(packets(node).values()) > 50)

    desk.tell("hold")
    until("neither sends", lambda: not moves(node, "a") and not moves(node, "b"))

    desk.tell("resume")
    until("both are heard again", lambda: moves(node, "a") and moves(node, "b"))
    desk.tell("hangup")
    workshop.wait_for("CALL_CLOSED")
    assert node.only_cdr()["sip_status"] == 200


def packets(node: Node) -> dict[str, int]:
    """Return the packets received on each leg of the one call."""
    return {row["side"]: row["packets"] for row in node.show("media")}


def moves(node: Node, side: str) -> bool:
    """Tell whether packets come on a leg now."""
    before = packets(node)[side]
    stays("the call is up", lambda: node.show("calls"), 0.3)
    return packets(node)[side] > before + 5
