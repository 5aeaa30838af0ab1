"""A whole node on a virtual clock and a made-up network, provisioned from deploy/demo.toml."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sipcore.call.recover import CALLS_PER_S
from sipcore.cdr.entry import Entry
from sipcore.cdr.export import read_cdrs
from sipcore.cdr.journal import InlineJournal, recover
from sipcore.cdr.record import Cdr
from sipcore.config import Config, Limits, parse_config
from sipcore.media.pool import MediaPool
from sipcore.media.staging import salvage
from sipcore.metrics import Metrics
from sipcore.node import Node, Parts
from sipcore.store.sqlite import Store
from sipcore.transport.names import Answer, Unanswered
from sipcore.transport.order import Question, Records
from tests.media.net import LocalWorkers, rtp, seeded
from tests.sim.loop import SimClock
from tests.sim.net import Net, Place, Weather
from tests.sim.phone import Phone
from tests.store.files import DEMO

NODE: Place = ("10.0.0.1", 5060)
CARRIER_A: Place = ("127.0.0.10", 25080)
CARRIER_B: Place = ("127.0.0.11", 25081)
PBX: Place = ("127.0.0.2", 25090)
OUTSIDE = "02188889999"


class _NoJournal:
    """What a dead process writes."""

    fault: str | None = None

    def append(self, entry: Entry) -> None:
        pass

    async def sync(self) -> None:
        pass


class World:
    """The node, its net, and whoever talks to it."""

    def __init__(self, folder: Path, net: Net, provisioning: str, config: Config) -> None:
        loop = asyncio.get_running_loop()
        self.net = net
        self.clock = SimClock(loop)
        self.folder = folder
        self.metrics = Metrics()
        self.recordings = folder / "recordings"
        self.workers = LocalWorkers(
            self.clock, config.media.workers, config.media.silence_s, self.recordings
        )
        for wire in self.workers.wires:
            wire.is_dual = config.media.address6 is not None
        self.store = Store.open(folder)
        self.store.import_provisioning(provisioning)
        self.journal = InlineJournal(folder / "journal", self.metrics)
        self.ids = seeded(5)
        self._config = config
        self.media = self._make_media()
        self._ticking: asyncio.TimerHandle | None = None
        self._tick_s = 1.0
        self.phones: list[Phone] = []
        self.sequence = 0
        self.zone: dict[tuple[str, str], Records] = {}  # what the DNS knows, by kind and name
        self.is_dns_dead = False
        self.make_node()

    def _make_media(self) -> MediaPool:
        media = self._config.media
        return MediaPool(
            media.address,
            media.ports,
            media.silence_s,
            self.clock,
            self.ids,
            self.workers.connects,
            self._salvage,
            media.address6 or "",
        )

    async def _salvage(self, name: str) -> str:
        return salvage(self.recordings, name)

    def make_node(self) -> None:
        """Build a node, the first or the next after a crash, on what is stored."""
        parts = Parts(
            self.clock,
            self.ids,
            self.metrics,
            self.journal,
            self.media,
            self.store.inline_bindings(),
            self.store.load_book(),
            self.store.open_secret,
            self._look_up,
        )
        self.node = Node(self._config, parts)

    async def _look_up(self, question: Question) -> Answer:
        if self.is_dns_dead:
            await asyncio.sleep(2.5)
            raise Unanswered(question.name)
        return Answer(self.zone.get((question.kind, question.name), ()), 60)

    def open_node(self) -> None:
        """Let the node hear the network."""
        self.node.listen(self.net.open(NODE, self.node.endpoint.receive))
        self.node.begin()

    def crash(self) -> None:
        """Let the signalling process die: it writes and sends nothing more. Media goes on."""
        self.workers.cut()
        self.node.endpoint.close()
        self.node.desk.journal = _NoJournal()
        self.node.close()

    async def restart(self, calls_per_s: float = CALLS_PER_S) -> None:
        """Let the next signalling process start on what the dead one left, and end it."""
        await self.journal.close()
        left = recover(self.folder / "journal")
        self.journal = InlineJournal(self.folder / "journal", self.metrics, left)
        self.journal.start()
        self.media = self._make_media()
        await self.media.start()
        self.make_node()
        self.open_node()
        self.node.recover(left, calls_per_s)

    async def start(self) -> None:
        self.journal.start()
        await self.media.start()
        self.open_node()
        self._tick()

    async def stop(self) -> None:
        await self.node.end()
        if self._ticking is not None:
            self._ticking.cancel()
        self.node.close()
        for phone in self.phones:
            phone.close()
        await self.media.stop()
        await self.journal.close()
        self.store.close()

    def _tick(self) -> None:
        """Let the media engine run once a second, and whenever tests call run()."""
        self._run_media()
        self._ticking = asyncio.get_running_loop().call_later(self._tick_s, self._tick)

    def _run_media(self) -> None:
        for number in range(len(self.workers.wires)):
            self.workers.run(number)

    def phone(self, user: str, password: str = "", place: Place | None = None) -> Phone:
        """Set a phone up; it is not registered yet."""
        place = place or (f"10.0.1.{len(self.phones) + 1}", 5060)
        phone = Phone(self.net, place, user, password)
        self.phones.append(phone)
        return phone

    def carrier(self, place: Place = CARRIER_A) -> Phone:
        """Set up what answers at a carrier's address."""
        phone = Phone(self.net, place, "carrier")
        self.phones.append(phone)
        return phone

    async def desk_phone(self, user: str = "8001", password: str = "front-desk-8001") -> Phone:
        """Set a phone up and register it."""
        phone = self.phone(user, password)
        assert (await phone.register()).status == 200
        return phone

    def cdrs(self) -> list[Cdr]:
        """Return what the journal has, in the order of ending."""
        return list(read_cdrs(self.folder / "journal", None))

    def beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the test."""
        return asyncio.get_running_loop().create_task(work)

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def speak(self, phone: Phone, heard: bytes, seconds: float) -> None:
        """Let a phone send a packet a second to where the SDP that it heard says."""
        found = re.search(rb"m=audio ([0-9]+)", heard)
        assert found is not None
        source = (phone.place[0], phone.place[1] + 1000)
        for _ in range(int(seconds)):
            self.sequence += 1
            for wire in self.workers.wires:  # the one that has the port takes it
                wire.deliver(source, int(found[1]), rtp(self.sequence, payload_type=8))
            self._run_media()
            await asyncio.sleep(1)

    def tick_each(self, seconds: float) -> None:
        """Let the media engine run that often: as a worker does while sound plays, if need be."""
        self._tick_s = seconds
        if self._ticking is not None:
            self._ticking.cancel()
        self._tick()

    async def listen(self, phone: Phone, seconds: float) -> list[bytes]:
        """Let time pass; return the RTP that a phone has got since it was asked last."""
        await asyncio.sleep(seconds)
        there = (phone.place[0], phone.place[1] + 1000)
        heard: list[bytes] = []
        for wire in self.workers.wires:
            heard += [packet for _, remote, packet in wire.sent if remote == there]
            wire.sent = [one for one in wire.sent if one[1] != there]
        return heard

    async def talk(self, phone: Phone, heard: bytes, seconds: float) -> None:
        """Let a phone speak to where the SDP that it heard says, a packet each 20 ms."""
        found = re.search(rb"m=audio ([0-9]+)", heard)
        assert found is not None
        source = (phone.place[0], phone.place[1] + 1000)
        for _ in range(round(seconds * 50)):
            self.sequence += 1
            for wire in self.workers.wires:
                wire.deliver(source, int(found[1]), rtp(self.sequence, payload_type=8))
            await asyncio.sleep(0.02)

    def bugs(self) -> float:
        """Count what met a bug: exceptions that the endpoint had to catch."""
        value = self.metrics.value
        return value("sipcore_bad_messages_total", {"reason": "bug"}) or 0.0

    def leftovers(self) -> dict[str, int]:
        """Count everything that must be gone when all calls are over."""
        node = self.node
        counts = {
            "transactions": node.stack.count(),
            "timers": len(node.stack.timers),
            "dialogs": len(node.stack.dialogs),
            "slots": len(node.desk.slots),
            "calls": len(node.desk.calls),
            "tasks": node.task_count(),
            "media sessions": len(self.media),
            "tones": sum(int(np.isfinite(e.streams.tone_at).sum()) for e in self.workers.engines),
            "media streams": sum(len(engine.streams) for engine in self.workers.engines),
        }
        return {name: count for name, count in counts.items() if count}


@asynccontextmanager
async def world(
    folder: Path,
    weather: Weather | None = None,
    seed: int = 1,
    provisioning: str = DEMO,
    config: Config | None = None,
) -> AsyncIterator[World]:
    """Open a world, and close it."""
    made = World(folder, Net(seed, weather), provisioning, config or Config())
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


__all__ = ["Limits", "World", "parse_config", "world"]
