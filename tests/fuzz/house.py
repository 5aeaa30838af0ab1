"""A whole node for fuzzing, kept over many inputs: each is sent to it as one datagram.

Nothing raises in it, and when time has passed nothing is left.
"""

import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from sipcore.message.flow import Flow
from tests.sim.loop import SimLoop
from tests.sim.net import Place
from tests.sim.world import CARRIER_A, NODE, PBX, World, world

STRANGER: Place = ("198.51.100.7", 5060)
SOURCES = (STRANGER, PBX, CARRIER_A)
BETWEEN_S = 0.05
LONGEST_S = 401.0  # above it everything that 64*T1 and a ringing carrier allow is over
ROUND = 500  # inputs, then all must be gone


class House:
    """Opened when made, on a loop of its own. The first byte of an input chooses who sends it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._loop = SimLoop()
        self._faults: list[str] = []
        self._loop.set_exception_handler(lambda _, context: self._faults.append(str(context)))
        self._fed = 0
        self._last: list[bytes] = []
        self._opened: AbstractAsyncContextManager[World]
        self._here = self._loop.run_until_complete(self._open())

    async def _open(self) -> World:
        self._opened = world(Path(self._folder.name))
        here = await self._opened.__aenter__()
        here.net.keeps_record = False
        for source in SOURCES:
            here.net.open(source, _silence)
        return here

    def feed(self, data: bytes) -> None:
        """Send one input and look for bugs; every ROUND inputs for what is left, too."""
        source = SOURCES[data[0] % len(SOURCES)] if data else STRANGER
        self._here.net.send(source, NODE, data[1:])
        self._last = [*self._last[-ROUND:], data]
        self._fed += 1
        self._pass(BETWEEN_S)
        if self._fed % ROUND == 0:
            self.settle()

    def settle(self) -> None:
        """Let everything end, and check that nothing is left."""
        self._pass(LONGEST_S)
        left = self._here.leftovers()
        assert not left, f"{left} after one of these: {self._last}"
        self._last = []

    def close(self) -> None:
        """Settle, and close all."""
        self.settle()
        self._loop.run_until_complete(self._opened.__aexit__(None, None, None))
        self._loop.close()
        self._folder.cleanup()

    def _pass(self, seconds: float) -> None:
        self._loop.run_until_complete(self._here.pass_time(seconds))
        assert not self._here.bugs(), f"a bug; the last input was {self._last[-1:]}"
        assert not self._faults, self._faults


def _silence(data: bytes, flow: Flow) -> None:
    """Somebody who never answers."""
