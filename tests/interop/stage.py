"""A client at a desk of its own in the house, for a row of tests.

It comes to a door of the node's, or to the edge proxy in front of it.
"""

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from tests.interop.clients.baresip import Baresip
from tests.interop.clients.base import PHONE_HOST, PRESENCE, Device, Line, Phone
from tests.interop.clients.jssip import Jssip
from tests.interop.clients.linphone import Linphone
from tests.interop.clients.pjsua import Pjsua
from tests.interop.clients.sipp_phone import SippPhone
from tests.interop.doors import HOST6
from tests.interop.house import VIA_EDGE, House
from tests.interop.matrix import CLIENTS, IPV6, Matrix
from tests.interop.matrix import PRESENCE as SEES
from tests.interop.ports import Ports
from tests.interop.town import WORKSHOP
from tests.interop.waiting import until

PHONES: dict[str, Callable[[Path, Line], Phone]] = {
    "baresip": Baresip,
    "JsSIP": Jssip,
    "linphone": Linphone,
    "pjsua": Pjsua,
}
SCRIPTED = "SIPp"
SOUNDLESS = BROWSERS = ("JsSIP",)
HEARD = 25  # packets: half a second
DIGITS = "5#"  # the keys that a client presses


class Stage:
    """`phone` is the client, `sipp` where that is SIPp; it signs in as `me`. `peer` and `third`
    are those of the house. `ca`: the file of whom it believes, where that is not the house's."""

    def __init__(
        self, house: House, folder: Path, client: str, transport: str, ca: str = ""
    ) -> None:
        self.client, self.transport, self._ca = client, transport, ca
        self.house, self.node = house, house.node
        self.peer, self.third = house.peer, house.third
        self.me = house.desk()
        self._ports = Ports(HOST6 if transport == IPV6 else PHONE_HOST)
        self.phone: Phone
        self.sipp: SippPhone
        self._client = self._made(folder / "phone")

    def _made(self, folder: Path) -> Device:
        line = self._line()
        if self._ca:
            line = replace(line, ca=self._ca)
        if self.client == SCRIPTED:
            self.sipp = SippPhone(folder, line)
            return self.sipp
        self.phone = PHONES[self.client](folder, line)
        return self.phone

    def _line(self) -> Line:
        if self.transport == IPV6:
            by = "ws" if self.client in BROWSERS else "udp"
            return self.house.line6(self.me, by, self._ports)
        return self.house.line(self.me, self.transport, self._ports)

    def open(self) -> None:
        """Wait until the client is registered, and sees that its peer is."""
        self._client.start()
        until("it is registered", lambda: self.house.has_binding(self.me))
        if SEES in CLIENTS[self.client].cases(self.transport):
            self._client.watch(PRESENCE, WORKSHOP.user)
            until("it sees its peer", lambda: self._client.sees(is_there=True))

    @property
    def has_edge(self) -> bool:
        """True where the client comes through Kamailio."""
        return self.transport in VIA_EDGE

    def quiet(self) -> None:
        """End what a test before has left, and forget it."""
        try:
            self.house.quiet()
        except AssertionError:  # a test has failed
            self.peer.hang_up()
            self._client.hang_up()
            self.house.quiet()
        self._client.forget()

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

    def talks_without_the_client(self) -> None:
        """Wait until peer and third are in the one call that is left, and let the peer hang up."""
        until("one call is left", lambda: len(self.node.show("calls")) == 1)
        before = self.packets()
        until("both are heard", lambda: all(map(int.__gt__, self.packets(), before)))
        self.peer.hang_up()
        self.third.expect("disconnected")

    def close(self) -> None:
        """End the client."""
        self._client.end()
        self._ports.close()
