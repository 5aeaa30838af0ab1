"""Inbox: everything that a call must react to, in the order it came. One reader."""

import asyncio
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue with a deadline on waiting, and no task a wait.

    A timer goes on while later deadlines follow: most waits are over long before it is due.
    """

    __slots__ = ("_items", "_loop", "_timer", "_timer_at", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: list[Item] = []  # a deque takes 0.6 KiB, and one item is many here
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def feed(self, item: Item) -> None:
        """Put an item in; wakes the reader."""
        self._items.append(item)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def next(self, until: float | None = None) -> Item | None:
        """Take the next item; None when `until` (loop time) has passed without one."""
        items = self._items
        while not items:
            if until is None:
                if self._timer is not None:
                    self._stop_timer()
            elif until <= self._loop.time():
                return None
            elif self._timer is None or until < self._timer_at:
                if self._timer is not None:
                    self._stop_timer()
                self._timer, self._timer_at = self._loop.call_at(until, self._timeout), until
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return items.pop(0)

    def drain(self) -> list[Item]:
        """Take all that is left; nobody waits any more."""
        if self._timer is not None:
            self._stop_timer()
        items = self._items.copy()
        self._items.clear()
        return items

    def __iter__(self) -> Iterator[Item]:
        """Look at what waits, and take nothing."""
        return iter(self._items)

    def _stop_timer(self) -> None:
        assert self._timer is not None
        self._timer.cancel()
        self._timer = None

    def _timeout(self) -> None:
        self._timer = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
