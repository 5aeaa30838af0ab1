"""Waiting for what a call must react to, with deadlines that come and go."""

import asyncio

from sipcore.call.inbox import Inbox
from tests.sim.loop import simulate


async def _waited_s(inbox: Inbox[str], until: float | None) -> tuple[str | None, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    return await inbox.next(until), round(loop.time() - began, 3)


def test_a_wait_ends_at_its_own_deadline_whatever_the_one_before_was() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        inbox: Inbox[str] = Inbox(loop)
        loop.call_later(1, inbox.feed, "rings")
        assert await _waited_s(inbox, loop.time() + 4) == ("rings", 1)
        assert await _waited_s(inbox, loop.time() + 60) == (None, 60)  # later than the one before
        loop.call_later(1, inbox.feed, "rings on")
        assert await _waited_s(inbox, loop.time() + 60) == ("rings on", 1)
        assert await _waited_s(inbox, loop.time() + 2) == (None, 2)  # sooner

    simulate(main())


def test_who_waits_for_ever_is_not_woken_by_a_deadline_of_before() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        inbox: Inbox[str] = Inbox(loop)
        loop.call_later(1, inbox.feed, "rings")
        assert await _waited_s(inbox, loop.time() + 4) == ("rings", 1)
        loop.call_later(100, inbox.feed, "hangs up")
        assert await _waited_s(inbox, None) == ("hangs up", 100)

    simulate(main())


def test_what_has_come_is_taken_even_past_the_deadline() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        inbox: Inbox[str] = Inbox(loop)
        inbox.feed("late")
        assert await inbox.next(loop.time() - 1) == "late"
        assert await inbox.next(loop.time() - 1) is None

    simulate(main())
