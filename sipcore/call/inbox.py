"""Inbox: everything that a call must react to, in the order it came. One reader."""

import asyncio
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue with a deadline on waiting, and no task a wait."""

    __slots__ = ("_items", "_loop", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: list[Item] = []  # a deque takes 0.6 KiB, and one item is many here
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, item: Item) -> None:
        """Put an item in; wakes the reader."""
        self._items.append(item)
        self._wake()

    async def next(self, until: float | None = None) -> Item | None:
        """Take the next item; None when `until` (loop time) has passed without one."""
        items = self._items
        if items:
            return items.pop(0)
        timer = None
        if until is not None:
            if until <= self._loop.time():
                return None
            timer = self._loop.call_at(until, self._wake)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        return items.pop(0) if items else None

    def drain(self) -> list[Item]:
        """Take all that is left."""
        items = list(self._items)
        self._items.clear()
        return items

    def __iter__(self) -> Iterator[Item]:
        """Look at what waits, and take nothing."""
        return iter(self._items)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
