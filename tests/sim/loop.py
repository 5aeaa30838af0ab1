"""An event loop whose clock jumps: 32 seconds of timers run in milliseconds.

Nothing real is waited for. When no callback is ready, time is moved to the next deadline.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

START_WALL_S = 1_795_000_000.0  # 2026-11-18


class Stuck(AssertionError):
    """Nothing is ready, nothing is due, and the test still waits."""


class _JumpingSelector(selectors.SelectSelector):
    """Never sleeps: being asked to wait moves the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Stuck("nothing is due and the test still waits")
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready


class SimLoop(asyncio.SelectorEventLoop):
    """The loop. `time()` begins at 1000 s, so that a forgotten zero is seen.

    `early_s`: timers end so much before their time, as uvloop's do, which count in milliseconds.
    """

    def __init__(self, early_s: float = 0.0) -> None:
        self._jumping = _JumpingSelector()
        self._early_s = early_s
        super().__init__(self._jumping)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        is_near = when - self.time() <= 2 * self._early_s
        at = when if is_near else when - self._early_s
        return super().call_at(at, callback, *args, context=context)

    def time(self) -> float:
        return 1000.0 + self._jumping.now

    def work(self, seconds: float) -> None:
        """Let time pass in which nothing else is done."""
        self._jumping.now += seconds


class SimClock:
    """The loop's time, in the shape of sipcore.clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @property
    def now(self) -> float:
        return self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    def wall_s(self) -> float:
        return START_WALL_S + self._loop.time()


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def simulate(main: Coroutine[Any, Any, Result], early_s: float = 0.0) -> Result:
    """Run a coroutine in virtual time. A callback that raised fails the test."""
    loop = SimLoop(early_s)
    faults: list[dict[str, Any]] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        faults.append(context)
        if not isinstance(context.get("exception"), Exception | None):
            loop.stop()  # a time-out of pytest's, which a callback of the loop met

    loop.set_exception_handler(note)
    try:
        result = loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_end_tasks())
        loop.close()
    assert not faults, faults
    return result
