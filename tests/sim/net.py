"""A network in memory that loses, doubles, reorders and delays. Seeded: a run is repeatable."""

import asyncio
import random
from collections.abc import Callable

from msgspec import Struct

from sipcore.message.flow import Flow
from sipcore.transport.base import Lost, Receive

Place = tuple[str, int]
Drop = Callable[[Place, Place, bytes], bool]


class Weather(Struct, frozen=True):
    """How bad it is. Shares of packets; delay in seconds, uniform: what differs is reordered."""

    loss: float = 0.0
    doubling: float = 0.0
    delay_s: tuple[float, float] = (0.001, 0.001)


class Packet(Struct, frozen=True):
    """What was sent, for tests that look."""

    at: float
    source: Place
    to: Place
    data: bytes

    @property
    def start_line(self) -> str:
        return self.data.partition(b"\r\n")[0].decode("utf-8", "replace")


class Net:
    """All hosts of a simulation."""

    def __init__(self, seed: int = 1, weather: Weather | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._random = random.Random(seed)
        self._hosts: dict[Place, Receive] = {}
        self.weather = weather or Weather()
        self.sent: list[Packet] = []
        self._sent_count = 0
        self.keeps_record = True
        self.drops: Drop | None = None

    def open(self, place: Place, receive: Receive) -> "NetTransport":
        """Give a host an address."""
        assert place not in self._hosts, place
        self._hosts[place] = receive
        return NetTransport(self, place)

    def close(self, place: Place) -> None:
        self._hosts.pop(place, None)

    def send(self, source: Place, to: Place, data: bytes) -> None:
        """Carry a datagram, or not."""
        if self.keeps_record:
            self.sent.append(Packet(self._loop.time(), source, to, data))
        if self.drops is not None and self.drops(source, to, data):
            return
        weather = self.weather
        self._sent_count += 1
        copies = 1 + (self._random.random() < weather.doubling)
        for _ in range(copies):
            if self._random.random() >= weather.loss:
                delay_s = self._random.uniform(*weather.delay_s)
                delay_s += self._sent_count * 1e-9  # what has the same delay keeps its order
                self._loop.call_later(delay_s, self._arrive, source, to, data)

    def _arrive(self, source: Place, to: Place, data: bytes) -> None:
        receive = self._hosts.get(to)
        if receive is not None:
            receive(data, Flow("udp", to[0], to[1], source[0], source[1]))


class NetTransport:
    """One host's UDP socket, as sipcore.transport.base has it."""

    name = "udp"

    def __init__(self, net: Net, place: Place) -> None:
        self._net = net
        self.address, self.port = place
        self._is_closed = False

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        if not self._is_closed:
            place = (flow.remote_address, flow.remote_port)
            self._net.send((self.address, self.port), place, data)

    def close(self) -> None:
        self._is_closed = True
        self._net.close((self.address, self.port))
