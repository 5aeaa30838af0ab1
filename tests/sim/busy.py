"""A node whose processor is slow: each message costs virtual time, and others wait."""

import asyncio
from collections import deque

from sipcore.endpoint import Batch
from sipcore.message.flow import Flow
from sipcore.transport.base import Lost
from tests.sim.loop import START_WALL_S, SimLoop
from tests.sim.net import Net, NetTransport
from tests.sim.world import NODE, World

READ_S = 0.003  # to parse a message and to act on it
TOUCH_S = 0.0001  # to receive a datagram, and to send one
BATCH = 8
MOST_QUEUED = 2000  # then the kernel drops


class SlowTransport(NetTransport):
    """Sends, and counts the time that it took."""

    def __init__(self, net: Net, owner: "SlowProcessor") -> None:
        super().__init__(net, NODE)
        self._owner = owner

    def send(self, data: bytes, flow: Flow, lost: Lost | None = None) -> None:
        self._owner.used_s += TOUCH_S
        super().send(data, flow, lost)


class SlowProcessor:
    """Stands between the network and the node, as its socket and its core do."""

    def __init__(self, here: World) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        self._loop = loop
        self._node = here.node
        self._queue: deque[tuple[bytes, Flow, float]] = deque()
        self._is_working = False
        self.used_s = 0.0
        self._gate = here.node.gate.sift
        here.node.endpoint.close()
        here.net.open(NODE, self._arrive)
        here.node.endpoint.sift = self._sift
        here.node.listen(SlowTransport(here.net, self))

    def _arrive(self, data: bytes, flow: Flow) -> None:
        if len(self._queue) < MOST_QUEUED:
            self._queue.append((data, flow, START_WALL_S + self._loop.time()))
        if not self._is_working:
            self._is_working = True
            self._loop.call_soon(self._turn)

    def _sift(self, batch: Batch) -> Batch:
        kept = self._gate(batch)
        self.used_s += len(kept) * READ_S + len(batch) * TOUCH_S
        return kept

    def _turn(self) -> None:
        self._node.queued_since(self._queue[0][2])
        taken = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        self._node.endpoint.receive_all([(data, flow) for data, flow, _ in taken])
        self._node.endpoint.flush()
        used_s, self.used_s = self.used_s, 0.0
        self._loop.work(used_s)
        self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._loop.call_soon(self._turn if self._queue else self._rest)

    def _rest(self) -> None:
        if self._queue:
            self._turn()
            return
        self._is_working = False
        self._node.queued_since(0.0)
