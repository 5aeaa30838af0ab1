"""Reading the same text once: From and To come again with each message, URIs with each call.

What is remembered is shared, so the values are frozen and their `params` must never be changed.
"""

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST_TEXTS = 8192
LONGEST = 160  # characters: what strangers send cannot fill the memory
LONGEST_LINES = 1024
MOST_LINES = 40


class _Memory(dict[Key, Value]):
    """What texts mean, in two generations: what was not asked for in the last one is forgotten.

    A dictionary that reads what it lacks: a hit costs one lookup and no Python at all.
    """

    def __init__(self, read: Callable[[Key], Value], is_short: Callable[[Key], bool]) -> None:
        super().__init__()
        self._read = read
        self._is_short = is_short
        self._older: dict[Key, Value] = {}

    def __missing__(self, text: Key) -> Value:
        value = self._older.get(text)
        if value is None:
            value = self._read(text)  # exceptions are not kept
            if not self._is_short(text):
                return value
        if len(self) >= MOST_TEXTS:
            self._older = dict(self)
            self.clear()
        self[text] = value
        return value


def remembered(read: Callable[[str], Value], longest: int = LONGEST) -> Callable[[str], Value]:
    """Return a reader that keeps what the latest short texts mean."""
    return _Memory(read, lambda text: len(text) <= longest).__getitem__


Lines = tuple[str, ...]


def remembered_lines(read: Callable[[Lines], Value]) -> Callable[[Lines], Value]:
    """Return a reader that keeps what the latest short groups of lines mean."""
    return _Memory(
        read, lambda lines: len(lines) <= MOST_LINES and sum(map(len, lines)) <= LONGEST_LINES
    ).__getitem__
