"""What all stages of a run share: a node, an edge proxy in front of it, two pjsua phones."""

from pathlib import Path

from tests.interop.clients.base import PHONE_HOST, Line
from tests.interop.clients.pjsua import Pjsua
from tests.interop.doors import HOST6, Doors
from tests.interop.kamailio import Kamailio
from tests.interop.matrix import EDGE, EDGE_TLS, EDGE_WS
from tests.interop.node import Node
from tests.interop.ports import HOST, NEXT_DOOR, Ports
from tests.interop.town import SAFE, WORKSHOP, Account, Town
from tests.interop.waiting import until

DESKS = 48  # each stage has one of its own, so that none finds what another one has left
VIA_EDGE = {EDGE: "udp", EDGE_TLS: "tls", EDGE_WS: "ws"}


class House:
    """`peer` is at WORKSHOP, `third` at SAFE."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports, self._ports6 = Ports(), Ports(HOST6)
        self._phone_ports = Ports(PHONE_HOST)
        self._doors = Doors(folder, self._ports, self._ports6)
        self.edge = Kamailio(folder / "edge", self._ports, self._doors, "edge")
        self.node = Node(folder, self._ports, self._doors.settings())
        # Contacts at a carrier's address are not called, and the edge is at HOST.
        self._town = Town(self._ports, DESKS, NEXT_DOOR)
        self._desks = iter(self._town.desks)
        self._phones: list[Pjsua] = []
        self.peer: Pjsua
        self.third: Pjsua

    def open(self) -> None:
        """Start all; wait until the phones are registered."""
        self.node.import_(self._town.provisioning())
        self.node.start()
        self.edge.start(
            NODE_PLACE=f"{HOST}:{self.node.sip}",
            NODE_SECURE=f"{HOST}:{self._doors.tls};transport=tls",
        )
        self.peer = self._phone(WORKSHOP)
        self.third = self._phone(SAFE)
        for phone in self._phones:
            phone.start()

    def _phone(self, account: Account) -> Pjsua:
        line = self.line(account, "UDP", self._phone_ports)
        self._phones.append(Pjsua(self._folder / account.user, line))
        return self._phones[-1]

    @property
    def authority(self) -> str:
        """The file of who issued the node's certificate and that of the edge."""
        return self._doors.authority.file

    def desk(self) -> Account:
        """Return an extension that nobody has yet."""
        return next(self._desks)

    def line(self, account: Account, transport: str, ports: Ports) -> Line:
        """Return how a phone comes to the node over a transport of the matrix."""
        return Line.of(account, *self.place(transport), ports, ca=self.authority)

    def place(self, transport: str) -> tuple[str, str]:
        """Return host and port, and SIP's word for how one speaks there."""
        if transport in VIA_EDGE:
            secure = transport == EDGE_TLS
            place = self.edge.tls if secure else self.edge.port
            return f"{HOST}:{place}", VIA_EDGE[transport]
        places = {"TLS": self._doors.tls, "WS": self.node.ws, "WSS": self._doors.wss}
        return f"{HOST}:{places.get(transport, self.node.sip)}", transport.lower()

    def line6(self, account: Account, transport: str, ports: Ports) -> Line:
        """Return how a phone comes to the node over IPv6: "udp" or "ws"."""
        port = {"udp": self._doors.sip6, "ws": self._doors.ws6}[transport]
        return Line.of(account, f"[{HOST6}]:{port}", transport, ports, host=HOST6)

    def has_binding(self, account: Account) -> bool:
        """Tell whether an extension is registered."""
        return any(one["user"] == account.user for one in self.node.show("bindings"))

    def quiet(self) -> None:
        """Wait until nobody is in a call, and forget what was."""
        until("no call is left", lambda: not self.node.show("calls"))
        for phone in self._phones:
            phone.forget()

    def close(self) -> None:
        """End all."""
        for phone in self._phones:
            phone.end()
        try:
            self.node.end()
        finally:
            self.edge.end()
            for ports in (self._ports, self._phone_ports, self._ports6):
                ports.close()
