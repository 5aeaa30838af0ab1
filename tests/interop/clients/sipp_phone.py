"""SIPp as a phone: each thing that it does is a scenario, a process of its own."""

from pathlib import Path

from tests.interop.clients.base import Line
from tests.interop.ports import Ports
from tests.interop.sipp import Peer, Sipp

CLOSED = "closed"


class SippPhone:
    """One phone. It is called at `port`."""

    def __init__(self, folder: Path, line: Line) -> None:
        folder.mkdir()
        node, _, port = line.node.rpartition(":")
        self._ports = Ports(line.host)
        self._line = line
        self._sipp = Sipp(folder, self._ports, (node, int(port)), host=line.host)
        self._port = self._ports.take()
        self._watching: Peer

    def start(self) -> None:
        """Register: from where it is called, for an edge believes where a REGISTER came from."""
        self.play("register", port=self._port, expires=600).ends_well()

    def play(
        self,
        scenario: str,
        *options: str,
        port: int | None = None,
        has_sound: bool = False,
        **keys: str | int,
    ) -> Peer:
        """Let it do something. `options` are SIPp's, `keys` the scenario's."""
        user, password, domain = self._line.account
        signed = ("-au", user, "-ap", password)
        port = port or self._sipp.port()
        keys = {"caller": user, "domain": domain, "contact_port": self._place(port), **keys}
        return self._sipp.start(
            scenario, *self._by, *signed, *options, port=port, keys=keys, has_sound=has_sound
        )

    def listen(self, scenario: str, *options: str) -> Peer:
        """Let it wait at the place that it is called at."""
        return self._sipp.listen(scenario, *self._by, *options, port=self._port, has_sound=True)

    def _place(self, port: int) -> str:
        """Return what a Contact says behind the host."""
        return f"{port};transport={self._line.transport}"

    @property
    def _by(self) -> tuple[str, ...]:
        return "-t", "t1" if self._line.transport == "tcp" else "u1"

    def watch(self, event: str, number: str) -> None:
        """Subscribe, until a NOTIFY says that the other one has gone."""
        self._watching = self.play("subscribe", "-s", number, event=event, until=CLOSED)

    def sees(self, *, is_there: bool) -> bool:
        told = self._watching.received("NOTIFY")
        return bool(told) and (CLOSED in told[-1].text) != is_there

    def hang_up(self) -> None:
        """Nothing: a scenario ends by itself, or with the phone."""

    def forget(self) -> None:
        """Nothing: each scenario is told what it is told."""

    def end(self) -> None:
        self._sipp.end()
        self._ports.close()
