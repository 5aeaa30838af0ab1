"""Two baresips talk through the node, and each hears the tone that the other plays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.interop.clients.baresip import Baresip
from tests.interop.clients.base import PHONE_HOST, Line
from tests.interop.node import Node
from tests.interop.ports import HOST, Ports
from tests.interop.tones import RATE, read, share, write_tone
from tests.interop.town import DESK, WORKSHOP
from tests.interop.waiting import stays, until

DESK_HZ, WORKSHOP_HZ = 440.0, 1020.0
TALK_S = 4.0


@pytest.fixture
def phones(tmp_path: Path, node: Node) -> Iterator[tuple[Baresip, Baresip]]:
    ports = Ports(PHONE_HOST)
    started: list[Baresip] = []
    try:
        for account, hertz in ((DESK, DESK_HZ), (WORKSHOP, WORKSHOP_HZ)):
            tone = write_tone(tmp_path / f"{account.user}.wav", hertz, 30)
            folder = tmp_path / f"baresip-{account.user}"
            line = Line.of(account, f"{HOST}:{node.sip}", "udp", ports)
            started.append(Baresip(folder, line, tone))
        desk, workshop = started
        for phone in started:
            phone.start()
        until("both are registered", lambda: len(node.show("bindings")) == 2)
        yield desk, workshop
    finally:
        for phone in started:
            phone.end()
        ports.close()


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
