"""A media pool with engines in this process behind its links, and descriptions to feed it."""

import re
from collections import Counter
from pathlib import Path

from sipcore.media.control import MediaEvent
from sipcore.media.pool import MediaPool
from tests.media.net import RELAY, FakeClock, LocalWorkers, rtp, seeded

A, B, C = "198.51.100.1", "198.51.100.2", "198.51.100.3"


def sdp(
    address: str, port: int = 4000, *attributes: str, formats: str = "0 8 101", more: str = ""
) -> bytes:
    lines = (
        "v=0",
        f"o=phone 1 1 IN IP4 {address}",
        "s=-",
        f"c=IN IP4 {address}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {formats}",
        "a=rtpmap:101 telephone-event/8000",
        *attributes,
    )
    return ("\r\n".join(lines) + "\r\n" + more).encode()


def port_of(shown: bytes, which: int = 0) -> int:
    assert RELAY.encode() in shown
    return int(re.findall(rb"m=\w+ (\d+)", shown)[which])


class House:
    """A pool, its workers and what happens between them."""

    def __init__(
        self,
        how_many: int = 1,
        ports: tuple[int, int] = (10000, 10099),
        recordings: Path | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.workers = LocalWorkers(self.clock, how_many, recordings=recordings)
        self.pool = MediaPool(RELAY, ports, 60, self.clock, seeded(), self.workers.connects)
        self.events: list[MediaEvent] = []
        self._spoken: Counter[tuple[str, int]] = Counter()

    def speak(self, source: tuple[str, int], port: int, worker: int = 0, **fields: int) -> int:
        """Send 10 packets of `source` to `port`; return how many left us for anybody."""
        wire = self.workers.wires[worker]
        wire.take_sent()
        for number in range(20):
            if number < 10:
                wire.deliver(source, port, rtp(self._spoken[source], **fields))
                self._spoken[source] += 1
            self.workers.run(worker)
            self.clock.now += 0.02
        return sum(not port % 2 for port, _, _ in wire.take_sent())
