"""An endpoint between wires that keep what is sent and an owner that keeps what it is told."""

import asyncio

from sipcore.dialog.events import Told
from sipcore.dialog.stack import Stack
from sipcore.endpoint import Endpoint
from sipcore.ids import Ids
from sipcore.message.flow import Flow
from sipcore.message.message import Request, Response
from sipcore.message.parse import parse
from sipcore.metrics import Metrics
from sipcore.transport.base import Lost
from sipcore.transport.resolve import Resolver


class Wire:
    """A transport that keeps what is sent; `is_broken` loses it at once."""

    def __init__(self, address: str = "10.0.0.1", port: int = 5060, name: str = "udp") -> None:
        self.name, self.address, self.port = name, address, port
        self.sent: list[tuple[bytes, Flow]] = []
        self.is_broken = False
        self.is_closed = False

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        self.sent.append((data, flow))
        if self.is_broken and lost is not None:
            lost()

    def close(self) -> None:
        self.is_closed = True

    def statuses(self) -> list[int]:
        read = [parse(data) for data, _ in self.sent]
        return [one.status for one in read if isinstance(one, Response)]


class Owner:
    """A user that keeps what it is told, or has a bug."""

    def __init__(self, has_bug: bool = False) -> None:
        self.told: list[Told] = []
        self._has_bug = has_bug

    def feed(self, event: Told) -> None:
        self.told.append(event)
        assert not self._has_bug, "a bug"


class Shell:
    """An Endpoint with its stack and metrics in view."""

    def __init__(self, *wires: Wire) -> None:
        self._wires = wires or (Wire(),)
        self.stack = Stack(Ids().token)
        self.metrics = Metrics()
        loop = asyncio.get_running_loop()
        self.endpoint = Endpoint(self.stack, Resolver(loop), self.metrics)
        for wire in self._wires:
            self.endpoint.add(wire)

    @property
    def wires(self) -> tuple[Wire, ...]:
        """The transports, with what gathered for them."""
        self.endpoint.flush()
        return self._wires

    def bad(self, reason: str) -> float:
        value = self.value("sipcore_bad_messages_total", {"reason": reason})
        return value or 0.0

    def value(self, name: str, labels: dict[str, str]) -> float | None:
        for family in self.metrics.snapshot():
            for sample in family.samples:
                if (sample.name, sample.labels) == (name, labels):
                    return sample.value
        return None

    def options(self, uri: str = "sip:them@10.0.0.2") -> Request:
        return Request("OPTIONS", uri, {
            "Via": [], "From": ["<sip:us@x>;tag=1"], "To": [f"<{uri}>"], "Call-ID": ["1"],
            "CSeq": ["1 OPTIONS"],
        })  # fmt: skip
