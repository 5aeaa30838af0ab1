"""Waiting for the world outside: the one place of these tests that sleeps."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

Found = TypeVar("Found")
LOOK_S = 0.02


def until(what: str, look: Callable[[], Found], within_s: float = 10.0) -> Found:
    """Look again and again; return the first thing found that counts as true."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(LOOK_S)
    return found


def stays(what: str, look: Callable[[], object], for_s: float) -> None:
    """Look again and again for some time; what is found must count as true each time."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        assert look(), f"it did not stay so for {for_s:g} s: {what}"
        time.sleep(LOOK_S)


def at_intervals(every_s: float, for_s: float) -> Iterator[float]:
    """Yield the time since the start again and again, in step, for some time."""
    began = time.monotonic()
    due = 0.0
    while due < for_s:
        time.sleep(max(0.0, began + due - time.monotonic()))
        yield time.monotonic() - began
        due += every_s
