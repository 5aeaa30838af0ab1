"""A node with one client at the front desk and two pjsua phones beside it, for a row of tests."""

from collections.abc import Callable
from pathlib import Path

from tests.interop.clients.baresip import Baresip
from tests.interop.clients.base import PHONE_HOST, Line, Phone
from tests.interop.clients.jssip import Jssip
from tests.interop.clients.linphone import Linphone
from tests.interop.clients.pjsua import Pjsua
from tests.interop.matrix import Matrix
from tests.interop.node import Node, Settings
from tests.interop.ports import HOST, Ports
from tests.interop.town import DESK, SAFE, WORKSHOP, Account, Town
from tests.interop.waiting import until

PHONES: dict[str, Callable[[Path, Line], Phone]] = {
    "baresip": Baresip,
    "JsSIP": Jssip,
    "linphone": Linphone,
    "pjsua": Pjsua,
}
SOUNDLESS = ("JsSIP",)
HEARD = 25  # packets: half a second


class Stage:
    """`phone` is the client at DESK; `peer` is at WORKSHOP, `third` at SAFE."""

    def __init__(self, folder: Path, client: str, transport: str) -> None:
        self.client, self.transport = client, transport
        self._folder = folder
        self._ports = Ports()
        self._phone_ports = Ports(PHONE_HOST)
        self._phones: list[Phone] = []
        self.node = Node(folder, self._ports, Settings())
        self.phone: Phone
        self.peer: Pjsua
        self.third: Pjsua

    def open(self) -> None:
        """Start all; wait until all are registered."""
        self.node.import_(Town(self._ports).provisioning())
        self.node.start()
        self.phone = PHONES[self.client](self._folder / "phone", self._line(DESK, self.transport))
        self._phones.append(self.phone)
        self.peer = Pjsua(self._folder / "peer", self._line(WORKSHOP, "UDP"))
        self._phones.append(self.peer)
        self.third = Pjsua(self._folder / "third", self._line(SAFE, "UDP"))
        self._phones.append(self.third)
        for phone in self._phones:
            phone.start()
        until("all are registered", lambda: len(self.node.show("bindings")) == 3)

    def _line(self, account: Account, transport: str) -> Line:
        node = f"{HOST}:{self.node.ws if transport == 'WS' else self.node.sip}"
        return Line.of(account, node, transport.lower(), self._phone_ports)

    def quiet(self) -> None:
        """End what a test before has left, and forget it."""
        try:
            until("no call is left", self._is_silent)
        except AssertionError:  # a test has failed
            self.peer.hang_up()
            self.phone.hang_up()
            until("no call is left", self._is_silent)
        self.phone.forget()
        self.peer.forget()
        self.third.forget()

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
            self._ports.close()
            self._phone_ports.close()
