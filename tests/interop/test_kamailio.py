"""Kamailio as a carrier that we register with; over TLS it is known by its name, too.

A phone of the public network is registered there; calls go both ways, and either side is held.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import matrix
from tests.interop.clients.base import Line
from tests.interop.clients.pjsua import Pjsua
from tests.interop.doors import Doors
from tests.interop.kamailio import NAME, Kamailio
from tests.interop.matrix import CLIENTS, Matrix
from tests.interop.node import Node, Row
from tests.interop.ports import HOST, NEXT_DOOR, Ports
from tests.interop.town import ACME_NUMBER, DESK, OUTSIDE, Account, Town
from tests.interop.waiting import until

DOMAIN, PASSWORD = "carrier.example", "carrier-secret"
OURS = "line-1"
SUBSCRIBER = Account(OUTSIDE, PASSWORD, DOMAIN)
CARRIER = """
[[carrier]]
id = "kamailio"
uri = "sip:{place}"
priority = 0
channels = 10
health = 5
{more}
"""
LOGIN = f'{{ user = "{OURS}", password = "{PASSWORD}", domain = "{DOMAIN}" }}'
REGISTERS = f"register = {LOGIN}"
NAMED = f'tls_names = ["{NAME}"]\n{REGISTERS}'


class Lines:
    """A node, its carrier, a phone at each. `transport` is that between node and carrier."""

    def __init__(self, folder: Path, transport: str) -> None:
        self.transport = transport
        self._folder = folder
        self._ports, self._inside_ports = Ports(), Ports(NEXT_DOOR)
        self._doors = Doors(folder, self._ports, asks_clients=True)
        self.carrier = Kamailio(folder / "carrier", self._ports, self._doors, "carrier")
        self.node = Node(folder, self._ports, self._doors.settings())
        self._phones: list[Pjsua] = []

    def open(self) -> None:
        """Start all; wait until the phones are registered."""
        tls = self.transport == "TLS"
        carrier = self.carrier
        self.carrier.start(
            REALM=DOMAIN,
            PASSWORD=PASSWORD,
            OUR_NUMBER=ACME_NUMBER,
            OUR_USER=OURS,
            NODE_PLACE=f"{HOST}:{self._doors.tls};transport=tls" if tls else "contact",
        )
        by = self.transport.lower()
        place = f"{HOST}:{carrier.tls if tls else carrier.port};transport={by}"
        written = CARRIER.format(place=place, more=NAMED if tls else REGISTERS)
        self.node.import_(Town(self._ports).provisioning() + written)
        self.node.start()
        # not on the address of the carrier: who calls from there is the carrier
        self.inside = self._phone(DESK, self.node.sip, self._inside_ports, NEXT_DOOR)
        self.outside = self._phone(SUBSCRIBER, carrier.port, self._ports, HOST)
        for phone in self._phones:
            phone.start()

    def _phone(self, account: Account, port: int, ports: Ports, host: str) -> Pjsua:
        line = Line.of(account, f"{HOST}:{port}", "udp", ports, host=host)
        self._phones.append(Pjsua(self._folder / account.user, line))
        return self._phones[-1]

    def row(self) -> Row:
        """Return how the node says that the carrier stands."""
        return next(one for one in self.node.show("trunks") if one["id"] == "kamailio")

    def is_heard(self) -> bool:
        """Tell whether sound comes from both sides."""
        return min((one["packets"] for one in self.node.show("media")), default=0) > 25

    def close(self) -> None:
        """End all."""
        for phone in self._phones:
            phone.end()
        try:
            self.node.end()
        finally:
            self.carrier.end()
            self._ports.close()
            self._inside_ports.close()


@pytest.fixture(scope="module", params=CLIENTS["Kamailio"].transports)
def lines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lines]:
    made = Lines(tmp_path_factory.mktemp("carrier"), request.param)
    try:
        made.open()
        yield made
    finally:
        made.close()


def call(lines: Lines, caller: Pjsua, callee: Pjsua, number: str) -> None:
    """Call, talk, be held by the callee, resume; the callee hangs up."""
    lines.node.forget()
    for phone in (caller, callee):
        phone.forget()
    caller.call(number)
    callee.expect("confirmed")
    caller.expect("confirmed")
    until("both are heard", lines.is_heard)
    callee.hold()
    caller.expect("media", status="held there")
    callee.resume()
    caller.expect("media", status="active")
    caller.hold()
    callee.expect("media", status="held there")
    caller.resume()
    callee.expect("media", status="active")
    callee.hang_up()
    caller.expect("disconnected")
    until("the call is over", lambda: not lines.node.show("calls"))


def test_it_is_asked_whether_it_lives(lines: Lines, shown: Matrix) -> None:
    until("it was asked by OPTIONS", lambda: f"asked by {HOST}" in lines.carrier.log)
    until("it is good", lambda: lines.row()["state"] == "good")
    shown.shows("Kamailio", lines.transport, matrix.ASKED)


def test_we_register_with_it(lines: Lines, shown: Matrix) -> None:
    until("it is good", lambda: lines.row()["state"] == "good")
    by = lines.transport.lower()
    told = rf"registered {OURS} at <sip:{OURS}@{HOST}:\d+\S* by {by}"
    assert re.search(told, lines.carrier.log)
    shown.shows("Kamailio", lines.transport, matrix.REGISTERED_WITH)


def test_it_is_called(lines: Lines, shown: Matrix) -> None:
    call(lines, lines.inside, lines.outside, OUTSIDE)
    assert f"{OURS} calls {OUTSIDE} by {lines.transport.lower()}" in lines.carrier.log
    cdr = lines.node.only_cdr()
    assert (cdr["direction"], cdr["carrier"], cdr["sip_status"]) == ("outbound", "kamailio", 200)
    assert cdr["ended_by"] == "callee"
    shown.shows("Kamailio", lines.transport, matrix.GIVES)


def test_it_calls(lines: Lines, shown: Matrix) -> None:
    call(lines, lines.outside, lines.inside, ACME_NUMBER)
    cdr = lines.node.only_cdr()
    assert (cdr["direction"], cdr["carrier"], cdr["sip_status"]) == ("inbound", "kamailio", 200)
    assert cdr["ended_by"] == "callee"
    shown.shows("Kamailio", lines.transport, matrix.TAKES)
