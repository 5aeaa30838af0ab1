"""A node with one client at the front desk and two pjsua phones beside it, for a row of tests.

The client comes to a door of the node's, or to an edge proxy in front of it.
"""

from collections.abc import Callable
from pathlib import Path

from tests.interop.clients.baresip import Baresip
from tests.interop.clients.base import PHONE_HOST, Device, Line, Phone
from tests.interop.clients.jssip import Jssip
from tests.interop.clients.linphone import Linphone
from tests.interop.clients.pjsua import Pjsua
from tests.interop.clients.sipp_phone import SippPhone
from tests.interop.doors import HOST6, Doors
from tests.interop.kamailio import Kamailio
from tests.interop.matrix import EDGE, EDGE_TLS, IPV6, Matrix
from tests.interop.node import Node
from tests.interop.ports import HOST, Ports
from tests.interop.town import DESK, SAFE, WORKSHOP, Account, Town
from tests.interop.waiting import until

PHONES: dict[str, Callable[[Path, Line], Phone]] = {
    "baresip": Baresip,
    "JsSIP": Jssip,
    "linphone": Linphone,
    "pjsua": Pjsua,
}
SCRIPTED = "SIPp"
SOUNDLESS = ("JsSIP",)
HEARD = 25  # packets: half a second


class Stage:
    """`phone` is the client at DESK, `sipp` where that is SIPp; `peer` is at WORKSHOP, `third` at
    SAFE."""

    def __init__(self, folder: Path, client: str, transport: str) -> None:
        self.client, self.transport = client, transport
        self._folder = folder
        self._ports = Ports()
        self._phone_ports = Ports(PHONE_HOST)
        self._phones: list[Device] = []
        self._ports6 = Ports(HOST6)
        self._doors = Doors(folder, self._ports, self._ports6.take())
        self._edge = Kamailio(folder / "edge", self._ports, self._doors, "edge")
        self.node = Node(folder, self._ports, self._doors.settings())
        self.phone: Phone
        self.sipp: SippPhone
        self.peer: Pjsua
        self.third: Pjsua

    def open(self) -> None:
        """Start all; wait until all are registered."""
        self.node.import_(Town(self._ports).provisioning())
        self.node.start()
        if self.has_edge:
            tls, udp = f"{HOST}:{self._doors.tls};transport=tls", f"{HOST}:{self.node.sip}"
            self._edge.start(NODE_PLACE=tls if self.transport == EDGE_TLS else udp)
        self._phones.append(self._client())
        self.peer = Pjsua(self._folder / "peer", self._line(WORKSHOP, "UDP"))
        self._phones.append(self.peer)
        self.third = Pjsua(self._folder / "third", self._line(SAFE, "UDP"))
        self._phones.append(self.third)
        for phone in self._phones:
            phone.start()
        until("all are registered", lambda: len(self.node.show("bindings")) == 3)

    @property
    def has_edge(self) -> bool:
        """True where the client comes through Kamailio."""
        return self.transport in (EDGE, EDGE_TLS)

    def _client(self) -> Device:
        folder, line = self._folder / "phone", self._line(DESK, self.transport)
        if self.client == SCRIPTED:
            self.sipp = SippPhone(folder, line)
            return self.sipp
        self.phone = PHONES[self.client](folder, line)
        return self.phone

    def _line(self, account: Account, transport: str) -> Line:
        doors, edge = self._doors, self._edge
        ca = doors.authority.file
        if transport == IPV6:
            node = f"[{HOST6}]:{doors.sip6}"
            return Line.of(account, node, "udp", self._ports6, host=HOST6)
        places = {
            "TLS": doors.tls,
            "WS": self.node.ws,
            "WSS": doors.wss,
            EDGE: edge.port,
            EDGE_TLS: edge.tls,
        }
        node = f"{HOST}:{places.get(transport, self.node.sip)}"
        by = {EDGE: "udp", EDGE_TLS: "tls"}.get(transport, transport.lower())
        return Line.of(account, node, by, self._phone_ports, ca=ca)

    def quiet(self) -> None:
        """End what a test before has left, and forget it."""
        try:
            until("no call is left", self._is_silent)
        except AssertionError:  # a test has failed
            self.peer.hang_up()
            self._phones[0].hang_up()
            until("no call is left", self._is_silent)
        for phone in self._phones:
            phone.forget()

    def _is_silent(self) -> bool:
        return not self.node.show("calls")

    def shows(self, shown: Matrix, case: str) -> None:
        """Note that a case works."""
        shown.shows(self.client, self.transport, case)

    def is_heard(self) -> bool:
        """Tell whether sound comes from every side that has any."""
        packets = self.packets()
        if self.client in SOUNDLESS:
            return max(packets, default=0) > HEARD
        return min(packets, default=0) > HEARD

    def packets(self) -> list[int]:
        """Return how many packets came from each side of the one call."""
        return [row["packets"] for row in self.node.show("media")]

    def close(self) -> None:
        """End all."""
        for phone in self._phones:
            phone.end()
        try:
            self.node.end()
        finally:
            self._edge.end()
            for ports in (self._ports, self._phone_ports, self._ports6):
                ports.close()
