"""The signalling end of one worker: requests and their replies, connecting again, what is owed.

Knows whether its process is there; what becomes of the calls of one that is not, is pool's.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Protocol

from sipcore.errors import MediaError
from sipcore.log import logger
from sipcore.media.control import (
    Close,
    Connect,
    Event,
    FirstPacket,
    Link,
    List,
    Listed,
    Pressed,
    Recorded,
    Reply,
    Silent,
    StreamState,
    Verb,
)

ASK_S = 5.0  # a worker that takes longer to answer is as good as gone
RECONNECT_S = (0.02, 0.1)  # a new process listens 0.5 s after the old one died, at best

Carried = Mapping[str, Sequence[StreamState]]  # by call

_log = logger(__name__)


class Owner(Protocol):
    """Who is told what becomes of a worker."""

    def heard(self, event: Event) -> None:
        """Take an event of a worker."""
        ...

    def gone(self, worker: "Worker") -> None:
        """Take note that no process listens for a worker's verbs: what it carried is silent."""
        ...

    def back(self, worker: "Worker", known: set[str], carried: Carried) -> None:
        """Take note that a worker is connected. `known`: the calls it should carry."""
        ...


class Worker:
    """The connection to one worker. `calls` are those that are placed there."""

    def __init__(self, number: int, connect: Connect, owner: Owner) -> None:
        self.number = number
        self.calls: set[str] = set()
        self._connect = connect
        self._owner = owner
        self._link: Link | None = None
        self._asked: dict[int, tuple[asyncio.Future[Reply], float]] = {}  # and until when, in order
        self._patience: asyncio.TimerHandle | None = None  # one for all that is asked
        self._unclosed: set[str] = set()  # calls that ended while the worker could not be told
        self._numbers = count(1)
        self._loop = asyncio.get_running_loop()
        self._connecting: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        return self._link is not None

    async def start(self) -> None:
        """Connect. Raises MediaError when the worker does not answer within 5 s."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._reach())
        done, _ = await asyncio.wait([self._connecting], timeout=ASK_S)
        if not done:
            await self.stop()
            raise MediaError(f"media worker {self.number} does not answer")

    async def stop(self) -> None:
        """End the connection. What the worker carries goes on."""
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError):
                await self._connecting
        if self._link is not None:
            self._link.close()
        self._drop()

    def send(self, verb: Verb) -> None:
        """Pass a verb on without waiting. Raises MediaError when the worker is gone."""
        if self._link is None:
            raise MediaError(f"media worker {self.number} is gone")
        self._link.send(verb)

    def close_call(self, call: str) -> None:
        """End a call without waiting; if the worker is gone, as soon as it is there again."""
        self.calls.discard(call)
        if self._link is not None:
            self._link.send(Close(0, call))
        else:
            self._unclosed.add(call)

    def owes_close(self, call: str) -> bool:
        """Tell whether a call ended, or went elsewhere, while the worker could not be told."""
        return call in self._unclosed

    def ask(self, make: Callable[[int], Verb]) -> asyncio.Future[Reply]:
        """Send the verb that `make` makes of a request number; return what its reply comes in.

        Raises MediaError when the worker is gone, or, awaited, does not answer within 5 s.
        """
        number = next(self._numbers)
        loop = self._loop
        self.send(make(number))
        future: asyncio.Future[Reply] = loop.create_future()
        self._asked[number] = future, loop.time() + ASK_S
        if self._patience is None:
            self._patience = loop.call_later(ASK_S, self._give_up)
        return future

    async def listed(self) -> dict[str, tuple[StreamState, ...]]:
        """Return every call that the worker carries. Raises MediaError."""
        reply = await self.ask(List)
        return reply.calls if isinstance(reply, Listed) else {}

    async def _reach(self) -> None:
        """Connect, however long it takes; then see what the worker carries.

        A process that lives listens, busy or not: where nobody does, it is dead.
        """
        delay, longest = RECONNECT_S
        while True:
            try:
                self._link = await self._connect(self._heard, self._lost)
                known = set(self.calls)  # those placed from here on are not in the list
                carried = await self.listed()
                break
            except (ConnectionRefusedError, FileNotFoundError):
                self._owner.gone(self)
            except (OSError, MediaError) as fault:
                _log.debug("media worker=%d not reached: %s", self.number, fault)
                if self._link is not None:
                    self._link.close()
                    self._link = None
            await asyncio.sleep(delay)
            delay = min(delay * 2, longest)
        self._owner.back(self, known & self.calls, carried)
        self._unclosed.clear()

    def _heard(self, answer: Reply | Event) -> None:
        if isinstance(answer, FirstPacket | Silent | Pressed | Recorded):
            self._owner.heard(answer)
        elif (asked := self._asked.pop(answer.id, None)) is not None and not asked[0].done():
            asked[0].set_result(answer)

    def _lost(self) -> None:
        _log.warning("media worker=%d connection lost", self.number)
        self._drop()
        if self._connecting is None or self._connecting.done():  # else it tries again by itself
            self._connecting = asyncio.create_task(self._reach())

    def _drop(self) -> None:
        self._link = None
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None
        asked, self._asked = self._asked, {}
        for future, _ in asked.values():
            if not future.done():
                future.set_exception(MediaError(f"media worker {self.number} is gone"))

    def _give_up(self) -> None:
        """Wait no longer for replies that are overdue, and go on waiting for the others."""
        self._patience, now = None, self._loop.time()
        for number, (future, until) in list(self._asked.items()):
            if until > now:
                self._patience = self._loop.call_at(until, self._give_up)
                return
            del self._asked[number]
            if not future.done():
                future.set_exception(MediaError(f"media worker {self.number} does not answer"))
