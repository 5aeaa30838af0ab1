"""Reading the same text once: From and To come again with each message, URIs with each call.

What is remembered is shared, so the values are frozen and their `params` must never be changed.
"""

from collections.abc import Callable
from itertools import islice
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST_TEXTS = 32_768
MOST_LONG = 8192  # of what may be longer
FORGOTTEN = 16  # one in so many, the oldest, when there are as many
LONGEST = 160  # characters: what strangers send cannot fill the memory
MOST_PARAMS = 12  # that many to LONGEST characters: each takes ten times what its text does
LONGEST_LINES = 1024
MOST_LINES = 40


class _Memory(dict[Key, Value]):
    """What texts mean. The oldest are forgotten, however often they were asked for: they are read
    again then.

    A dictionary that reads what it lacks: a hit costs one lookup and no Python at all.
    """

    def __init__(
        self, read: Callable[[Key], Value], is_short: Callable[[Key], bool], most: int
    ) -> None:
        super().__init__()
        self._read = read
        self._is_short = is_short
        self._most = most

    def __missing__(self, text: Key) -> Value:
        value = self._read(text)  # exceptions are not kept
        if self._is_short(text):
            if len(self) >= self._most:
                for old in list(islice(self, self._most // FORGOTTEN)):
                    del self[old]
            self[text] = value
        return value


def remembered(read: Callable[[str], Value], longest: int = LONGEST) -> Callable[[str], Value]:
    """Return a reader that keeps what the latest short texts mean."""
    most = MOST_TEXTS if longest <= LONGEST else MOST_LONG
    most_params = MOST_PARAMS * (longest // LONGEST)

    def is_short(text: str) -> bool:
        return len(text) <= longest and text.count(";") <= most_params

    return _Memory(read, is_short, most).__getitem__


Lines = tuple[str, ...]


def remembered_lines(read: Callable[[Lines], Value]) -> Callable[[Lines], Value]:
    """Return a reader that keeps what the latest short groups of lines mean."""

    def is_short(lines: Lines) -> bool:
        return len(lines) <= MOST_LINES and sum(map(len, lines)) <= LONGEST_LINES

    return _Memory(read, is_short, MOST_LONG).__getitem__
